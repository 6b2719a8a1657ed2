/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The built-in guests on the real kernel: each runs to its end, says what it should, and leaves what it promises. Where the
 * kernel's structures cannot be read or guests run on nested paging, the parts that look at rmaps skip.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/board/board.h"
#include "core/load/image.h"
#include "kvmback/kvmback.h"

struct guest {
	struct image *img;
	struct machine *m;
	struct symbols syms;
	char said[512];
	size_t n_said;
};

static void listen(void *ctx, const char *bytes, size_t n)
{
	struct guest *g = ctx;

	for (size_t i = 0; i < n && g->n_said + 1 < sizeof(g->said); i++)
		g->said[g->n_said++] = bytes[i];
	g->said[g->n_said] = '\0';
}

static void must(int rc, const struct err *e)
{
	char text[1024];

	if (!rc)
		return;
	err_format(e, text, sizeof(text));
	fail_msg("%s", text);
}

static void start(struct guest *g, const char *name)
{
	struct image_options opt = {.name = name};
	struct machine_config cfg = {0};
	struct err e = {0};

	memset(g, 0, sizeof(*g));
	if (kvmback_available(&e) < 0) {
		printf("skip: %s\n", e.why);
		skip();
	}
	must(image_open(&opt, &g->img, &e), &e);
	cfg.vcpus = image_vcpus(g->img);
	must(machine_create(&kvm_backend, &cfg, &g->m, &e), &e);
	machine_board(g->m)->console = listen;
	machine_board(g->m)->console_ctx = g;
	must(image_make_slots(g->img, g->m, &e), &e);
	must(image_load(g->img, g->m, &e), &e);
	symbols_init(&g->syms);
	must(image_symbols(g->img, &g->syms, &e), &e);
	must(symbols_sort(&g->syms, &e), &e);
}

static void stop(struct guest *g)
{
	symbols_deinit(&g->syms);
	machine_destroy(g->m);
	image_close(g->img);
}

static uint64_t symbol(struct guest *g, const char *name)
{
	const struct symbol *s = symbols_by_name(&g->syms, name);

	if (!s)
		fail_msg("no symbol %s", name);
	return s ? s->addr : 0;
}

static uint64_t variable(struct guest *g, const char *name, unsigned size)
{
	struct err e = {0};
	uint64_t v = 0;

	must(machine_read(g->m, symbol(g, name) - 0x200000 + 0x1000, false, &v, size, &e), &e);
	return v;
}

static struct stop run(struct guest *g)
{
	struct err e = {0};
	struct stop s;

	must(machine_run(g->m, RUN_CONTINUE, 0, 1, &s, &e), &e);
	return s;
}

static void plant(struct guest *g, int id, const char *name)
{
	struct plant p = {.id = id, .kind = PLANT_EXEC, .addr = symbol(g, name)};
	struct err e = {0};

	must(machine_plant(g->m, &p, &e), &e);
}

/* Are the host's tables by gpa? Then each frame has one entry, and there are no reverse maps. False where nobody knows. */
static bool is_by_gpa(struct guest *g)
{
	struct spte_list l = {0};
	struct err e = {0};

	if (!machine_can(g->m, MACHINE_CAP_SHADOW, NULL))
		return false;
	must(machine_sptes(g->m, 0, 0, PAGE_OFFSET_MASK, &l, &e), &e);
	bool yes = l.by_gpa;
	spte_list_free(&l);
	return yes;
}

/* Length of the level-1 chain of gfn 0x40; skips where it cannot be known or is not kept. */
static size_t chain(struct guest *g)
{
	struct rmap_list l = {0};
	struct err e = {0};
	size_t n = 0;
	int rc = machine_rmap(g->m, 0x40, &l, &e);

	if (!rc && is_by_gpa(g)) {
		rc = err_set(&e, -ENOTSUP, "rmaps" WHY "TDP keeps none" TRY "npt=0 or ept=0");
		rmap_list_free(&l);
	}
	if (rc == -ENOTSUP || rc == -EPERM) {
		printf("skip: %s\n", e.why);
		stop(g);
		skip();
	}
	must(rc, &e);
	for (size_t i = 0; i < l.n; i++) {
		assert_string_equal(l.v[i].corrupt, "");
		n += l.v[i].level == 1 ? l.v[i].n_sptes : 0;
	}
	rmap_list_free(&l);
	return n;
}

static void tour(void **state)
{
	struct guest g;

	(void)state;
	start(&g, "demo:tour");
	for (unsigned again = 0; again < 2; again++) {
		struct stop s = run(&g);
		struct err e = {0};

		assert_int_equal(s.reason, STOP_EXCEPTION);
		assert_int_equal(s.vector, 14);
		assert_int_equal(s.error_code, 4);
		assert_int_equal(s.cr2, 0x300000);
		assert_int_equal(s.rip, symbol(&g, "unmapped"));
		must(image_load(g.img, g.m, &e), &e);
	}
	stop(&g);
}

static void rmap_grows_by_one(void **state)
{
	struct guest g;
	struct stop s;

	(void)state;
	start(&g, "demo:rmap");
	plant(&g, 1, "map");
	plant(&g, 2, "mapped");
	plant(&g, 3, "unmapped");
	for (size_t i = 0; i < 40; i++) {
		s = run(&g);
		assert_int_equal(s.reason, STOP_BREAKPOINT);
		assert_int_equal(s.rip, symbol(&g, "map"));
		assert_int_equal(chain(&g), i);
	}
	s = run(&g);
	assert_int_equal(s.rip, symbol(&g, "mapped"));
	assert_int_equal(chain(&g), 40);
	s = run(&g);
	assert_int_equal(s.rip, symbol(&g, "unmapped"));
	assert_int_equal(chain(&g), 0);
	s = run(&g);
	assert_int_equal(s.reason, STOP_HLT);
	stop(&g);
}

static void rmap_count_is_a_variable(void **state)
{
	uint64_t count = 700;
	struct err e = {0};
	struct guest g;
	struct stop s;

	(void)state;
	start(&g, "demo:rmap");
	must(machine_write(g.m, symbol(&g, "count") - 0x200000 + 0x1000, false, &count, sizeof(count), &e), &e);
	plant(&g, 1, "mapped");
	plant(&g, 2, "unmapped");
	s = run(&g);
	assert_int_equal(s.rip, symbol(&g, "mapped"));
	assert_int_equal(chain(&g), 700); /* over two leaf tables */
	s = run(&g);
	assert_int_equal(s.rip, symbol(&g, "unmapped"));
	assert_int_equal(chain(&g), 0);
	stop(&g);
}

/* It comes with a TSS and no IDT, and loads one: the handler of an exception at CPL3 runs on the stack that its TSS names,
 * also where an IDT and a TSS of the debugger's own were in until then. */
static void handlers_have_the_guests_stack(void **state)
{
	struct guest g;
	struct stop s;
	struct regs r;
	struct err e = {0};
	uint64_t frame[5];

	(void)state;
	start(&g, "demo:rmap");
	s = run(&g);
	assert_int_equal(s.reason, STOP_HLT);
	must(machine_get_regs(g.m, 0, REGS_GPR, &r, &e), &e);
	assert_int_equal(r.gpr[RSP], 0xd000 - sizeof(frame));
	must(machine_read(g.m, r.gpr[RSP], false, frame, sizeof(frame), &e), &e);
	assert_int_equal(frame[0], symbol(&g, "unmap_all"));
	assert_int_equal(frame[3], 0);
	stop(&g);
}

/* The guest loads an IDT without a gate for #BP after the int3 was laid: it is a breakpoint all the same. */
static void break_before_idt(void **state)
{
	struct guest g;
	struct stop s;

	(void)state;
	start(&g, "demo:rmap");
	plant(&g, 1, "touch");
	for (unsigned i = 0; i < 3; i++) {
		s = run(&g);
		assert_int_equal(s.reason, STOP_BREAKPOINT);
		assert_int_equal(s.breakpoint, 1);
		assert_int_equal(s.rip, symbol(&g, "touch"));
		assert_int_equal(chain(&g), i);
	}
	stop(&g);
}

/* What was read after a flush is the architecture's; what was read before one may be either. */
static void remap(void **state)
{
	const uint32_t old = 0x600d1dea, new = 0xffffffff;
	struct guest g;
	struct stop s;
	uint32_t v;

	(void)state;
	start(&g, "demo:remap");
	s = run(&g);
	assert_int_equal(s.reason, STOP_HLT);
	assert_int_equal(s.rip, symbol(&g, "done") + 1);
	assert_int_equal(variable(&g, "was_fresh_invlpg", 4), new);
	assert_int_equal(variable(&g, "was_fresh_cr3", 4), new);
	assert_int_equal(variable(&g, "was_switched", 4), new);
	v = (uint32_t)variable(&g, "was_stale_invlpg", 4);
	assert_true(v == old || v == new);
	v = (uint32_t)variable(&g, "was_stale_cr3", 4);
	assert_true(v == old || v == new);
	assert_non_null(strstr(g.said, "2. switched: the new mapping holds\n"));
	stop(&g);
}

static void remap_hits_stale(void **state)
{
	struct mmio_info_list l = {0};
	struct err e = {0};
	struct guest g;
	struct stop s;
	int rc;

	(void)state;
	start(&g, "demo:remap");
	plant(&g, 1, "stale_invlpg");
	plant(&g, 2, "fresh_invlpg");
	s = run(&g);
	assert_int_equal(s.rip, symbol(&g, "stale_invlpg"));
	if (is_by_gpa(&g)) {
		printf("skip: TDP's MMIO cache is by gfn, so no gva of it can be stale\n");
		stop(&g);
		skip();
	}
	chain(&g); /* skips where nothing can be seen */
	rc = machine_mmio(g.m, &l, &e);
	must(rc, &e);
	assert_int_equal(l.v[0].gva, 0x600000);
	assert_int_equal(l.v[0].gfn, 0xd0000);
	assert_true(l.v[0].valid);
	assert_true(l.v[0].stale);
	mmio_info_list_free(&l);
	s = run(&g);
	assert_int_equal(s.rip, symbol(&g, "fresh_invlpg"));
	must(machine_mmio(g.m, &l, &e), &e);
	assert_false(l.v[0].valid);
	mmio_info_list_free(&l);
	stop(&g);
}

static void smm(void **state)
{
	uint32_t count = 0;
	struct err e = {0};
	struct guest g;
	struct stop s;

	(void)state;
	start(&g, "demo:smm");
	s = run(&g);
	assert_int_equal(s.reason, STOP_HLT);
	assert_string_equal(g.said, "outside SMM: the device answers\nthe SMI handler left its mark twice\n");
	must(machine_read(g.m, symbol(&g, "smi_count"), true, &count, sizeof(count), &e), &e);
	assert_int_equal(count, 2);
	assert_int_equal(machine_read(g.m, symbol(&g, "smi_count"), false, &count, sizeof(count), &e), -EFAULT);
	stop(&g);
}

static void smm_stops_inside(void **state)
{
	static const enum stop_reason want[] = {STOP_SMI, STOP_RSM, STOP_SMI, STOP_RSM, STOP_HLT};
	struct err e = {0};
	struct guest g;

	(void)state;
	start(&g, "demo:smm");
	must(machine_catch(g.m, CATCH_SMI, &e), &e);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct stop s = run(&g);

		assert_int_equal(s.reason, want[i]);
		if (s.reason == STOP_SMI)
			assert_int_equal(s.rip, 0x8000);
	}
	stop(&g);
}

static void real(void **state)
{
	struct guest g;
	struct stop s;
	struct regs r;
	struct err e = {0};

	(void)state;
	start(&g, "demo:real");
	s = run(&g);
	assert_int_equal(s.reason, STOP_HLT);
	assert_string_equal(g.said, "real mode\nprotected mode\nlong mode\n");
	must(machine_get_regs(g.m, 0, REGS_SYS | REGS_GPR, &r, &e), &e);
	assert_int_equal(regs_mode(&r), CPU_LONG64);
	assert_int_equal(s.rip, symbol(&g, "done") + 1);
	stop(&g);
}

static void threads(void **state)
{
	struct guest g;
	struct stop s;

	(void)state;
	start(&g, "demo:threads");
	do
		s = run(&g);
	while (s.reason == STOP_HLT && s.rip != symbol(&g, "user_done") + 1);
	assert_int_equal(s.reason, STOP_HLT);
	assert_int_equal(variable(&g, "rounds", 8), 200);
	assert_int_equal(variable(&g, "changes", 8), 201);
	assert_int_equal(variable(&g, "strange", 8), 0);
	stop(&g);
}

/* vCPU 0 is fetched out of the guest at whatever it does, an int3 of ours included, each time that vCPU 1 stops; it must
 * not stand a byte off afterwards. */
static void threads_stopped(void **state)
{
	struct guest g;
	struct stop s;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct err e = {0};

		start(&g, "demo:threads");
		plant(&g, 1, "change");
		for (unsigned n = 0; n < 10; n++) {
			must(machine_run(g.m, RUN_CONTINUE, 1, 1, &s, &e), &e);
			assert_int_equal(s.reason, STOP_BREAKPOINT);
			assert_int_equal(s.rip, symbol(&g, "change"));
		}
		must(machine_unplant(g.m, 1, &e), &e);
		s = run(&g);
		assert_int_equal(s.reason, STOP_HLT);
		assert_int_equal(variable(&g, "changes", 8), 201);
		assert_int_equal(variable(&g, "strange", 8), 0);
		stop(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tour),
	    cmocka_unit_test(rmap_grows_by_one),
	    cmocka_unit_test(rmap_count_is_a_variable),
	    cmocka_unit_test(handlers_have_the_guests_stack),
	    cmocka_unit_test(break_before_idt),
	    cmocka_unit_test(remap),
	    cmocka_unit_test(remap_hits_stale),
	    cmocka_unit_test(smm),
	    cmocka_unit_test(smm_stops_inside),
	    cmocka_unit_test(real),
	    cmocka_unit_test(threads),
	    cmocka_unit_test(threads_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
