/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * demo:nested on the real kernel: a guest that runs a guest. Its console, stops and steps in L2 and over the borders, memory
 * as L2 sees it, a checkpoint in the middle of L2, and what KVM shadows of L1's tables. Needs a KVM that offers SVM to its
 * guests; what needs tracepoints, the kernel's structures or nested paging skips without.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/board/board.h"
#include "core/debug/debugger.h"
#include "core/load/image.h"
#include "kvmback/kvmback.h"
#include "kvmback/trace/nestwake.h"
#include "tests/support/blocking.h"

#define SHARED 0x60000u /* gpa of L2's gpas 0x8000 and 0x9000 */
#define VALUE 0x1122334455667788ull
static const char golden[] = "L2 runs\n"
			     "L1: VMMCALL, rax 1122334455667788\n"
			     "L1: nested page fault at L2 gpa 000000000000b000\n"
			     "L1: its error code 0000000100000004\n"
			     "L1: VMMCALL, rax 0000000000000000\n"
			     "L1: L2 has halted, exits 0000000000000004\n";

static struct debugger d;
static struct image *image;
static struct symbols syms;
static struct err e;
static char said[512];
static size_t n_said;

static void ok(int rc)
{
	char text[1200];

	if (!rc)
		return;
	err_format(&e, text, sizeof(text));
	fail_msg("%s", text);
}

static void skip_test(const char *why)
{
	printf("skip: %s\n", why);
	skip();
}

static void listen(void *ctx, const char *bytes, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n && n_said + 1 < sizeof(said); i++)
		said[n_said++] = bytes[i];
	said[n_said] = '\0';
}

static int begin(void **state)
{
	const struct image_options opt = {.name = "demo:nested"};
	const struct machine_config cfg = {.vcpus = 1};

	(void)state;
	n_said = 0;
	said[0] = '\0';
	image = NULL;
	d = (struct debugger){0};
	if (kvmback_available(&e) < 0)
		return 0;
	ok(debugger_init(&d, &e));
	ok(image_open(&opt, &image, &e));
	ok(machine_create(&kvm_backend, &cfg, &d.m, &e));
	machine_board(d.m)->console = listen;
	symbols_init(&syms);
	ok(image_symbols(image, &syms, &e));
	ok(symbols_sort(&syms, &e));
	if (!machine_can(d.m, MACHINE_CAP_SVM, NULL))
		return 0;
	ok(image_make_slots(image, d.m, &e));
	ok(image_load(image, d.m, &e));
	return 0;
}

static int end(void **state)
{
	struct machine *m = d.m;

	(void)state;
	if (!m)
		return 0;
	debugger_deinit(&d);
	symbols_deinit(&syms);
	machine_destroy(m);
	image_close(image);
	return 0;
}

static void need_svm(void)
{
	const char *why;

	if (!d.m)
		skip_test(e.why);
	if (!machine_can(d.m, MACHINE_CAP_SVM, &why))
		skip_test(why);
}

/* Stops in L2 and steps stand on them. */
static void need_tracepoints(void)
{
	need_svm();
	if (nestwake_check(&e))
		skip_test(e.why);
}

static struct regs regs(void)
{
	struct regs r = {0};

	ok(machine_get_regs(d.m, 0, REGS_ALL, &r, &e));
	return r;
}

static uint64_t symbol(const char *name)
{
	const struct symbol *s = symbols_by_name(&syms, name);

	if (!s)
		fail_msg("no symbol %s", name);
	return s ? s->addr : 0;
}

/* A breakpoint that is gone when it was met. */
static void run_to(const char *name)
{
	struct stop_point spec = {.kind = POINT_BREAK, .addr = symbol(name), .len = 1, .temporary = true}, *b;

	ok(point_add(&d.points, d.m, &spec, &b, &e));
	ok(debug_continue(&d, 0, &e));
	if (d.stop.reason != STOP_BREAKPOINT || d.stop.rip != symbol(name))
		fail_msg("%s: %s at %#llx", name, stop_reason_name(d.stop.reason), (unsigned long long)d.stop.rip);
}

static void run_to_the_end(void)
{
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_HLT);
	assert_false(d.stop.nested);
}

/* L1 has found nested paging, or L2's tables lead to L1's memory. */
static bool has_nested_paging(void)
{
	return regs().nested.paging;
}

static void console(void **state)
{
	(void)state;
	need_svm();
	run_to_the_end();
	if (strstr(said, "nested page fault"))
		assert_string_equal(said, golden);
	else
		assert_non_null(strstr(said, "L1: VMMCALL, rax 1122334455667788\nL1: VMMCALL, rax 0000000000000000\n"));
}

static void stops_in_l2_and_l1(void **state)
{
	struct regs r;

	(void)state;
	need_tracepoints();
	run_to("l2_start");
	r = regs();
	assert_true(d.stop.nested && r.nested.in && r.nested.l1_known);
	assert_int_equal(r.nested.kind, NESTED_SVM);
	assert_int_equal(r.nested.control, 0x40000);
	assert_int_equal(r.nested.l1_rip, symbol("exited"));
	assert_int_equal(r.nested.l1_cr3, 0x10000);
	assert_int_equal(r.cr3, r.nested.paging ? 0x1000 : 0x51000);
	run_to("l2_call");
	assert_int_equal(regs().gpr[RAX], VALUE);
	run_to("called");
	assert_false(d.stop.nested || regs().nested.in);
	run_to("l2_spin");
	assert_true(d.stop.nested);
	run_to_the_end();
}

/* One instruction is one instruction on either side of VMRUN and of #VMEXIT, and leaves nothing behind. */
static void steps_cross(void **state)
{
	struct regs before, r;

	(void)state;
	need_tracepoints();
	run_to("entered");
	before = regs();
	ok(debug_step(&d, 0, 1, &e));
	assert_int_equal(d.stop.rip, symbol("l2_start"));
	assert_true(d.stop.nested);
	run_to("l2_call");
	ok(debug_step(&d, 0, 1, &e));
	r = regs();
	assert_int_equal(d.stop.rip, symbol("exited"));
	assert_false(d.stop.nested || r.exception_pending || r.rflags & RFLAGS_TF);
	assert_memory_equal(&r.gdt, &before.gdt, sizeof(r.gdt));
	assert_int_equal(r.idt.limit, before.idt.limit);
	assert_int_equal(r.tr.selector, before.tr.selector);
	ok(debug_step(&d, 0, 1, &e)); /* stgi */
	assert_int_equal(d.stop.rip, symbol("exited") + 3);
	run_to("l2_spin");
	ok(debug_step(&d, 0, 2, &e)); /* cmp, jne: L2's hlt is next, which leaves it */
	assert_true(d.stop.nested);
	ok(debug_step(&d, 0, 1, &e));
	assert_int_equal(d.stop.reason, STOP_STEP);
	assert_int_equal(d.stop.rip, symbol("exited"));
	ok(debug_step(&d, 0, 5000, &e));
	assert_int_equal(d.stop.reason, STOP_HLT);
	assert_false(d.stop.nested);
	assert_non_null(strstr(said, "L1: L2 has halted"));
}

static void memory_is_l2s(void **state)
{
	struct xlate_env env;
	struct walk w;
	uint64_t v = 0;

	(void)state;
	need_tracepoints();
	run_to("l2_call");
	ok(machine_read_gva(d.m, 0, 0x409000, &v, sizeof(v), &e));
	assert_int_equal(v, VALUE);
	ok(machine_env(d.m, 0, &env, &e));
	paging_walk(&env.pg, &env.mem, 0x408000, ACCESS_READ, false, &w);
	assert_int_equal(w.gpa, SHARED);
	assert_int_equal(w.nested, has_nested_paging());
	if (!has_nested_paging())
		skip_test("L1 has no nested paging here");
	assert_int_equal(w.l2_gpa, 0x8000);
	assert_int_equal(machine_read_gva(d.m, 0, 0x40b000, &v, sizeof(v), &e), -ENODATA);
	assert_non_null(strstr(e.why, "L2 gpa 0xb000"));
	v = 0x55;
	ok(machine_write_gva(d.m, 0, 0x409000, &v, sizeof(v), &e));
	ok(machine_read(d.m, SHARED, false, &v, sizeof(v), &e));
	assert_int_equal(v, 0x55);
}

static void watch_in_l2(void **state)
{
	struct stop_point spec = {.kind = POINT_WATCH, .addr = 0x408000, .len = 8}, *b;

	(void)state;
	need_tracepoints();
	run_to("l2_start");
	ok(point_add(&d.points, d.m, &spec, &b, &e));
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_WATCHPOINT);
	assert_int_equal(d.stop.gpa, SHARED);
	assert_true(d.stop.nested);
	ok(point_delete(&d.points, d.m, b->id, &e));
	run_to_the_end();
}

static void restarts_in_l2(void **state)
{
	unsigned vcpu;
	int in_l2, in_l1;

	(void)state;
	need_tracepoints();
	run_to("l2_touch");
	ok(history_checkpoint(&d, 0, &in_l2, &e));
	run_to("called");
	ok(history_checkpoint(&d, 0, &in_l1, &e));
	for (unsigned i = 0; i < 3; i++) {
		uint64_t v = 1;

		run_to_the_end();
		ok(history_restart(&d, in_l2, &vcpu, &e));
		assert_true(regs().nested.in);
		assert_int_equal(regs().rip, symbol("l2_touch"));
		assert_int_equal(regs().nested.l1_rip, symbol("exited"));
		ok(machine_read(d.m, SHARED, false, &v, sizeof(v), &e));
		assert_int_equal(v, 0);
		n_said = 0;
		run_to_the_end();
		assert_non_null(strstr(said, "L1: VMMCALL, rax 1122334455667788\n"));
		ok(history_restart(&d, in_l1, &vcpu, &e));
		assert_false(regs().nested.in);
		assert_int_equal(regs().rip, symbol("called"));
	}
	/* Out of L2 into L2. */
	ok(history_restart(&d, in_l2, &vcpu, &e));
	run_to("l2_hole");
	ok(history_restart(&d, in_l2, &vcpu, &e));
	assert_int_equal(regs().rip, symbol("l2_touch"));
	run_to_the_end();
}

/* A VM that is loaded anew is in no guest's guest. */
static void reset_leaves_l2(void **state)
{
	(void)state;
	need_tracepoints();
	run_to("l2_touch");
	ok(image_load(image, d.m, &e));
	assert_false(regs().nested.in);
	assert_int_equal(regs().rip, symbol("start"));
	n_said = 0;
	run_to_the_end();
	assert_non_null(strstr(said, "L2 runs\nL1: VMMCALL, rax 1122334455667788\n"));
}

static void endless_loop_is_interrupted(void **state)
{
	const uint8_t on = 1;
	struct stop s;

	(void)state;
	need_svm();
	ok(machine_write(d.m, 0x50000 + symbol("forever") - 0x400000, false, &on, 1, &e));
	machine_interrupt(d.m);
	ok(machine_run(d.m, RUN_CONTINUE, 0, 1, &s, &e));
	assert_int_equal(s.reason, STOP_INTERRUPTED);
	assert_int_equal(s.nested, regs().nested.in);
	if (nestwake_check(&e))
		skip_test(e.why);
	run_to("l2_spin");
	ok(debug_step(&d, 0, 201, &e));
	assert_true(d.stop.nested);
	assert_true(d.stop.rip - symbol("l2_spin") < 16);
}

static const struct spte_info *nested_entry(const struct rmap_info *row, uint64_t l2_gpa)
{
	for (size_t i = 0; i < row->n_sptes; i++)
		if (row->sptes[i].nested && row->sptes[i].gva == l2_gpa)
			return &row->sptes[i];
	fail_msg("no entry for L2 gpa %#llx", (unsigned long long)l2_gpa);
	return NULL;
}

static void shadow_of_l1s_tables(void **state)
{
	struct shadow_page_list pages;
	struct rmap_list rmaps;
	struct spte_list sptes;
	unsigned levels = 0;
	const char *why;

	(void)state;
	need_tracepoints();
	if (!machine_can(d.m, MACHINE_CAP_SHADOW, &why))
		skip_test(why);
	run_to("l2_call");
	if (!has_nested_paging())
		skip_test("L1 has no nested paging here");
	ok(machine_shadow_pages(d.m, SHADOW_WITH_PARENTS, &pages, &e));
	for (size_t i = 0; i < pages.n; i++)
		if (pages.v[i].nested) {
			assert_int_equal(pages.v[i].l1_root, 0x42000);
			assert_int_equal(pages.v[i].gfn, 0x46 - pages.v[i].level);
			levels |= 1u << pages.v[i].level;
		}
	assert_int_equal(levels, 0x1e);
	shadow_page_list_free(&pages);
	ok(machine_rmap(d.m, SHARED >> 12, &rmaps, &e));
	assert_int_equal(nested_entry(&rmaps.v[0], 0x8000)->l1_root, 0x42000);
	assert_int_equal(nested_entry(&rmaps.v[0], 0x9000)->l1_root, 0x42000);
	rmap_list_free(&rmaps);
	ok(machine_sptes(d.m, 0, 0xa000, 0xafff, &sptes, &e));
	assert_int_equal(sptes.n, 4);
	assert_true(sptes.v[3].nested && sptes.v[3].gfn == 0x61);
	spte_list_free(&sptes);
	run_to_the_end();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(console),
	    TEST(stops_in_l2_and_l1),
	    TEST(steps_cross),
	    TEST(memory_is_l2s),
	    TEST(watch_in_l2),
	    TEST(restarts_in_l2),
	    TEST(reset_leaves_l2),
	    TEST(endless_loop_is_interrupted),
	    TEST(shadow_of_l1s_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
