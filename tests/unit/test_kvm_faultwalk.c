/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Faults of the real kernel's guest that are told by their walks, for a range of virtual addresses, mapped or not, or for
 * gfns: which stages are live, that other faults are not told, that each fault is caught anew and every one gets through,
 * under roots that are loaded meanwhile and with several vCPUs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/load/image.h"
#include "kvmback/kvmback.h"
#include "kvmback/trace/trace.h"
#include "kvmback/host/uffd.h"

struct guest {
	struct image *img;
	struct machine *m;
	struct symbols syms;
	struct stop stop;
};

static void must(int rc, const struct err *e)
{
	char text[1024];

	if (!rc)
		return;
	err_format(e, text, sizeof(text));
	fail_msg("%s", text);
}

/* What faults are told by: userfaultfd, and their walks (the tracepoints, and no two-dimensional paging); the chains that
 * grow by them are in the kernel's own tables. */
static bool possible(struct guest *g)
{
	struct err e = {0};
	struct rmap_list l = {0};
	const char *why = uffd_why();

	if (!why && machine_fault_limit(g->m, &e))
		why = e.why;
	if (!why && machine_rmap(g->m, 0x40, &l, &e))
		why = e.why;
	rmap_list_free(&l);
	if (why)
		printf("skip: %s\n", why);
	return !why;
}

static bool start(struct guest *g, const char *name)
{
	struct image_options opt = {.name = name};
	struct machine_config cfg = {0};
	struct err e = {0};

	memset(g, 0, sizeof(*g));
	if (kvmback_available(&e) < 0) {
		printf("skip: %s\n", e.why);
		return false;
	}
	must(image_open(&opt, &g->img, &e), &e);
	cfg.vcpus = image_vcpus(g->img);
	must(machine_create(&kvm_backend, &cfg, &g->m, &e), &e);
	must(image_make_slots(g->img, g->m, &e), &e);
	must(image_load(g->img, g->m, &e), &e);
	symbols_init(&g->syms);
	must(image_symbols(g->img, &g->syms, &e), &e);
	must(symbols_sort(&g->syms, &e), &e);
	return possible(g);
}

#define START(g, name)                                                                                                      \
	struct guest g;                                                                                                     \
	if (!start(&g, name))                                                                                               \
	skip()

static void stop(struct guest *g)
{
	symbols_deinit(&g->syms);
	machine_destroy(g->m);
	image_close(g->img);
}

static void catch_gvas(struct guest *g, uint64_t first, uint64_t last)
{
	struct fault_filter f = {.gva = true, .first = first, .last = last};
	struct err e = {0};

	must(machine_fault_catch(g->m, &f, 1, &e), &e);
}

static void catch_gfns(struct guest *g, uint64_t first, uint64_t last)
{
	struct fault_filter f = {.first = first, .last = last};
	struct err e = {0};

	must(machine_fault_catch(g->m, &f, 1, &e), &e);
}

static void go(struct guest *g)
{
	struct err e = {0};

	must(machine_run(g->m, RUN_CONTINUE, 0, 1, &g->stop, &e), &e);
}

static void next_stage(struct guest *g)
{
	struct err e = {0};

	must(machine_fault_step(g->m, &g->stop, &e), &e);
}

static void at_stage(const struct guest *g, enum stage stage, uint64_t gfn, uint64_t gva)
{
	assert_int_equal(g->stop.reason, STOP_FAULT_STAGE);
	assert_int_equal(g->stop.stage, stage);
	assert_int_equal(g->stop.gpa >> PAGE_SHIFT, gfn);
	assert_int_equal(g->stop.gva, gva);
}

/* The vCPU stands at the top level's table; on to the last of these, which are at gfn 0x10 and following. */
static void walk_down(struct guest *g, uint64_t gva, unsigned tables)
{
	for (unsigned i = 0; i < tables; i++) {
		if (i)
			next_stage(g);
		at_stage(g, STAGE_WALK, 0x10 + i, gva);
	}
}

static size_t chain(struct guest *g, uint64_t gfn)
{
	struct rmap_list l = {0};
	struct err e = {0};
	size_t n = 0;

	must(machine_rmap(g->m, gfn, &l, &e), &e);
	for (size_t i = 0; i < l.n; i++)
		n += l.v[i].n_sptes;
	rmap_list_free(&l);
	return n;
}

static void page_fault_at(const struct guest *g, uint64_t gva)
{
	assert_int_equal(g->stop.reason, STOP_EXCEPTION);
	assert_int_equal(g->stop.vector, 14);
	assert_int_equal(g->stop.cr2, gva);
}

/* Nothing is mapped there: the tables, as far as they exist, then the guest's exception. Nothing else stops. */
static void unmapped(void **state)
{
	(void)state;
	START(g, "demo:tour");
	catch_gvas(&g, 0x300000, 0x300fff);
	go(&g);
	walk_down(&g, 0x300000, 4);
	assert_int_equal(g.stop.fault, 1);
	next_stage(&g);
	page_fault_at(&g, 0x300000);
	/* The same instruction once more is another fault. */
	go(&g);
	walk_down(&g, 0x300000, 1);
	assert_int_equal(g.stop.fault, 2);
	go(&g);
	page_fault_at(&g, 0x300000);
	stop(&g);
}

/* Two addresses of one page, of which one is asked for; the recorded stages are of that fault alone. */
static void one_of_two_aliases(void **state)
{
	struct fault_stage_list l = {0};
	struct err e = {0};
	unsigned live = 0;
	bool spte = false;

	(void)state;
	START(g, "demo:tour");
	catch_gvas(&g, 0x240000, 0x240fff);
	go(&g);
	walk_down(&g, 0x240000, 4);
	assert_int_equal(chain(&g, 0x40), 0);
	next_stage(&g);
	at_stage(&g, STAGE_PAGE, 0x40, 0x240000);
	assert_int_equal(chain(&g, 0x40), 0);
	go(&g);
	page_fault_at(&g, 0x300000);
	assert_int_equal(chain(&g, 0x40), 2);
	must(machine_fault_stages(g.m, &l, &e), &e);
	for (size_t i = 0; i < l.n; i++) {
		live += l.v[i].live;
		assert_true(l.v[i].fault <= 1);
		spte |= l.v[i].stage == STAGE_SPTE && l.v[i].gfn == 0x40 && !l.v[i].live;
	}
	assert_int_equal(live, 5);
	assert_true(spte);
	fault_stage_list_free(&l);
	stop(&g);
}

/* A read and a write of one page fault separately, and the page that is mapped already by the other alias is left alone. */
static void read_then_write(void **state)
{
	(void)state;
	START(g, "demo:tour");
	catch_gvas(&g, 0x250000, 0x250fff);
	go(&g);
	walk_down(&g, 0x250000, 4);
	assert_int_equal(chain(&g, 0x40), 1);
	next_stage(&g);
	walk_down(&g, 0x250000, 4);
	assert_int_equal(g.stop.fault, 2);
	assert_int_equal(chain(&g, 0x40), 2);
	next_stage(&g);
	page_fault_at(&g, 0x300000);
	stop(&g);
}

/* Where the host makes MMIO sptes the second and third access to the device's page come by that of the first and walk
 * nothing: they are told, with nowhere to stand in. */
static bool by_mmio_spte(struct guest *g, uint64_t gva)
{
	struct mmio_info_list l = {0};
	struct err e = {0};

	if (gva != 0x260004 && gva != 0x260008)
		return false;
	must(machine_mmio(g->m, &l, &e), &e);
	bool yes = !l.v[0].sptes_off;
	mmio_info_list_free(&l);
	return yes;
}

/* To a device, through READONLY memory: every access that faults is caught, at its first table. */
static void every_fault(void **state)
{
	static const uint64_t wanted[] = {0x260000, 0x260004, 0x260008, 0x280000, 0x280000, 0x290000};

	(void)state;
	START(g, "demo:tour");
	catch_gvas(&g, 0x260000, 0x290fff);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		if (by_mmio_spte(&g, wanted[i]))
			continue;
		go(&g);
		walk_down(&g, wanted[i], 1);
		assert_int_equal(g.stop.fault, i + 1);
	}
	go(&g);
	page_fault_at(&g, 0x300000);
	stop(&g);
}

/* The table of the last level is made while the vCPU stands before the instruction, then walked. */
static void tables_made_later(void **state)
{
	static const uint64_t entry = 0x14000 | 7, leaf = 0x44000 | 7;
	struct regs r;
	struct err e = {0};

	(void)state;
	START(g, "demo:tour");
	catch_gvas(&g, 0x600000, 0x600fff);
	must(machine_get_regs(g.m, 0, REGS_GPR, &r, &e), &e);
	r.rip = symbols_by_name(&g.syms, "write_alias")->addr + 5;
	r.gpr[RBX] = 0x600000;
	must(machine_set_regs(g.m, 0, REGS_GPR, &r, &e), &e);
	go(&g);
	walk_down(&g, 0x600000, 3);
	next_stage(&g);
	page_fault_at(&g, 0x600000);
	must(machine_write(g.m, 0x14000, false, &leaf, sizeof(leaf), &e), &e);
	must(machine_write(g.m, 0x12018, false, &entry, sizeof(entry), &e), &e);
	go(&g);
	walk_down(&g, 0x600000, 3);
	next_stage(&g);
	at_stage(&g, STAGE_WALK, 0x14, 0x600000);
	next_stage(&g);
	at_stage(&g, STAGE_PAGE, 0x44, 0x600000);
	go(&g);
	page_fault_at(&g, 0x300000);
	stop(&g);
}

/* Fault by fault the chain of one page grows: each stands at its first table before its own entry is there. */
static void chain_by_faults(void **state)
{
	(void)state;
	START(g, "demo:rmap");
	catch_gvas(&g, 0x400000, 0x427fff);
	for (unsigned i = 0; i < 40; i++) {
		go(&g);
		at_stage(&g, STAGE_WALK, 0x10, 0x400000 + i * 0x1000ull);
		assert_int_equal(chain(&g, 0x40), i);
	}
	/* The addresses are unmapped by a handler that invalidates them: no faults any more. */
	go(&g);
	assert_int_equal(g.stop.reason, STOP_HLT);
	assert_int_equal(chain(&g, 0x40), 0);
	stop(&g);
}

/* A step gives the fault up and takes the instruction. */
static void step_out(void **state)
{
	struct err e = {0};
	struct regs r;

	(void)state;
	START(g, "demo:tour");
	catch_gvas(&g, 0x240000, 0x240fff);
	go(&g);
	walk_down(&g, 0x240000, 2);
	uint64_t rip = g.stop.rip;
	must(machine_run(g.m, RUN_STEP, 0, 1, &g.stop, &e), &e);
	assert_int_equal(g.stop.reason, STOP_STEP);
	must(machine_get_regs(g.m, 0, REGS_GPR, &r, &e), &e);
	assert_int_equal(r.rip, rip + 3);
	assert_int_equal(chain(&g, 0x40), 1);
	/* It is taken out of the guest's tables' way: all of it runs to its end. */
	must(machine_fault_catch(g.m, NULL, 0, &e), &e);
	go(&g);
	page_fault_at(&g, 0x300000);
	stop(&g);
}

/* Both addresses of one page: the first fault parks at the page itself, which nothing maps; the others (a read by the second
 * address, a write by it) at their tables, with the page left to those who have it. So the chain is what it is without any
 * catch. */
static void both_aliases_of_a_gfn(void **state)
{
	(void)state;
	START(g, "demo:tour");
	catch_gfns(&g, 0x40, 0x40);
	go(&g);
	at_stage(&g, STAGE_PAGE, 0x40, 0x240000);
	assert_int_equal(chain(&g, 0x40), 0);
	assert_int_equal(g.stop.fault, 1);
	go(&g);
	walk_down(&g, 0x250000, 4);
	assert_int_equal(g.stop.fault, 2);
	assert_int_equal(chain(&g, 0x40), 1);
	next_stage(&g);
	walk_down(&g, 0x250000, 4);
	assert_int_equal(g.stop.fault, 3);
	assert_int_equal(chain(&g, 0x40), 2);
	next_stage(&g);
	page_fault_at(&g, 0x300000);
	assert_int_equal(chain(&g, 0x40), 2);
	stop(&g);
}

/* Such an access is emulated, and the fetch of its instruction is the first walk of its fault. */
static uint64_t fetched_for(uint64_t gva)
{
	return gva == 0x260004 ? 0x200028 : 0x20002b;
}

/* A table by its number: each fault whose walk reads it, and no other's. */
static void faults_through_a_table(void **state)
{
	static const uint64_t wanted[] = {0x240000, 0x250000, 0x250000, 0x260000, 0x260004,
					  0x260008, 0x280000, 0x280000, 0x290000, 0x300000};

	(void)state;
	START(g, "demo:tour");
	catch_gfns(&g, 0x13, 0x13);
	/* that of the code's first fetch: the table itself is what is missing */
	go(&g);
	at_stage(&g, STAGE_WALK, 0x13, 0x200000);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		go(&g);
		at_stage(&g, STAGE_WALK, 0x10, by_mmio_spte(&g, wanted[i]) ? fetched_for(wanted[i]) : wanted[i]);
		assert_int_equal(g.stop.fault, i + 2);
	}
	go(&g);
	page_fault_at(&g, 0x300000);
	stop(&g);
}

/* The live stages of the log, and the faults in it that are done but had none: those slipped by. */
static unsigned slipped(struct guest *g)
{
	struct fault_stage_list l = {0};
	struct err e = {0};
	unsigned n = 0;

	must(machine_fault_stages(g->m, &l, &e), &e);
	for (size_t i = 0; i < l.n; i++) {
		bool live = false;

		if (l.v[i].stage != STAGE_SPTE)
			continue;
		for (size_t k = 0; k < l.n; k++)
			live |= l.v[k].live && l.v[k].fault == l.v[i].fault;
		n += !live;
	}
	fault_stage_list_free(&l);
	return n;
}

/* Processes that share an address: under a root that was loaded while the guest ran, under one that was loaded and left
 * before, and by instructions that KVM emulates, which read the code's tables first. The same as on soft, but for hits of
 * the MMIO cache, which walk nothing; nor does an access by the MMIO spte that the first one has left, where the host makes
 * some: in the second part the address is not read again before its process is gone. */
static void roots_loaded_meanwhile(void **state)
{
	static const struct {
		const char *at;
		uint64_t root;
		bool emulated; /* at CPL 0, by KVM's emulator: natively the spte that is there answers */
	} want[] = {{"fill", 0x10, false},    {"fresh_invlpg", 0x10, false}, {"fill", 0x10, false},
		    {"same_cr3", 0x10, true}, {"fresh_cr3", 0x10, true},     {"fill", 0x10, false},
		    {"switched", 0x20, false}};

	(void)state;
	START(g, "demo:remap");
	catch_gvas(&g, 0x600000, 0x600fff);
	go(&g);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		if (want[i].emulated && g.stop.rip != symbols_by_name(&g.syms, want[i].at)->addr)
			continue;
		at_stage(&g, STAGE_WALK, want[i].root, 0x600000);
		assert_int_equal(g.stop.rip, symbols_by_name(&g.syms, want[i].at)->addr);
		go(&g);
	}
	assert_int_equal(g.stop.reason, STOP_HLT);
	stop(&g);
}

static void count_of(struct guest *g, const char *name, uint64_t want)
{
	struct err e = {0};
	uint64_t v = ~want;

	must(machine_read_gva(g->m, 0, symbols_by_name(&g->syms, name)->addr, &v, sizeof(v), &e), &e);
	assert_int_equal(v, want);
}

/* Two vCPUs over the same tables, one in the range all the time: neither starves, the guest's own counts come out exact, and
 * no fault gets by: each change of the mapping makes one, and what has an spte was told. */
static void two_vcpus(struct guest *g, bool gfns, uint64_t rounds)
{
	struct err e = {0};
	unsigned seen = 0;

	must(machine_write_gva(g->m, 0, symbols_by_name(&g->syms, "rounds")->addr, &rounds, 8, &e), &e);
	if (gfns)
		catch_gfns(g, 0x40, 0x41);
	else
		catch_gvas(g, 0x600000, 0x600fff);
	for (go(g); g->stop.reason == STOP_FAULT_STAGE; go(g)) {
		if (!gfns)
			assert_int_equal(g->stop.gva, 0x600000);
		seen += g->stop.gva == 0x600000;
	}
	assert_int_equal(g->stop.reason, STOP_HLT);
	go(g);
	assert_int_equal(g->stop.reason, STOP_HLT);
	count_of(g, "changes", rounds + 1);
	count_of(g, "strange", 0);
	assert_int_equal(slipped(g), 0);
	assert_in_range(seen, rounds + 1, UINT32_MAX);
}

/* While one stands in a fault the other is out of the guest: all of its registers are its own. */
static void the_other_one(void **state)
{
	struct regs r = {0}, again = {0};
	struct err e = {0};

	(void)state;
	START(g, "demo:threads");
	catch_gvas(&g, 0x600000, 0x600fff);
	for (unsigned i = 0; i < 3; i++) {
		go(&g);
		at_stage(&g, STAGE_WALK, 0x10, 0x600000);
		assert_int_equal(g.stop.vcpu, 0);
		must(machine_get_regs(g.m, 1, REGS_ALL, &r, &e), &e);
		assert_int_equal(r.old, 0);
		assert_int_equal(r.valid, REGS_ALL);
	}
	must(machine_fault_catch(g.m, NULL, 0, &e), &e);
	must(machine_get_regs(g.m, 1, REGS_ALL, &again, &e), &e);
	assert_int_equal(again.rip, r.rip);
	assert_memory_equal(again.gpr, r.gpr, sizeof(r.gpr));
	stop(&g);
}

static void two_vcpus_in_a_range(void **state)
{
	(void)state;
	START(g, "demo:threads");
	two_vcpus(&g, false, 20);
	stop(&g);
}

static void two_vcpus_on_gfns(void **state)
{
	(void)state;
	START(g, "demo:threads");
	two_vcpus(&g, true, 20);
	stop(&g);
}

/* Before there are tables an address that has no memory cannot be followed anywhere. */
static void no_tables(void **state)
{
	const struct fault_filter f = {.gva = true, .first = 0xd0000000, .last = 0xd0000fff};
	struct err e = {0};

	(void)state;
	START(g, "demo:real");
	assert_int_equal(machine_fault_catch(g.m, &f, 1, &e), -EFAULT);
	assert_non_null(strstr(e.why, "only long mode's tables"));
	go(&g);
	assert_int_not_equal(g.stop.reason, STOP_FAULT_STAGE);
	stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(unmapped),
	    cmocka_unit_test(one_of_two_aliases),
	    cmocka_unit_test(read_then_write),
	    cmocka_unit_test(every_fault),
	    cmocka_unit_test(tables_made_later),
	    cmocka_unit_test(chain_by_faults),
	    cmocka_unit_test(step_out),
	    cmocka_unit_test(no_tables),
	    cmocka_unit_test(both_aliases_of_a_gfn),
	    cmocka_unit_test(faults_through_a_table),
	    cmocka_unit_test(roots_loaded_meanwhile),
	    cmocka_unit_test(two_vcpus_in_a_range),
	    cmocka_unit_test(two_vcpus_on_gfns),
	    cmocka_unit_test(the_other_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
