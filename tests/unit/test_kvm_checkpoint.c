/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Checkpoints of guests that run, on soft (with the shadow MMU's state) and on kvm: from a restart on, everything happens
 * again as it did. test_checkpoint.c has what needs no guest.
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
#include "core/soft/soft.h"
#include "kvmback/kvmback.h"
#include "tests/support/blocking.h"

static struct err e;

static void ok(int rc)
{
	char text[1200];

	if (!rc)
		return;
	err_format(&e, text, sizeof(text));
	fail_msg("%s", text);
}

static uint64_t word_at(struct machine *m, uint64_t gpa)
{
	uint64_t v = 0;

	ok(machine_read(m, gpa, false, &v, sizeof(v), &e));
	return v;
}

static struct debugger d;
static struct image *image;

static void open_demo(const struct machine_ops *ops, const char *name)
{
	struct image_options opt = {.name = name};
	struct machine_config cfg = {0};

	ok(debugger_init(&d, &e));
	ok(image_open(&opt, &image, &e));
	cfg.vcpus = image_vcpus(image);
	ok(machine_create(ops, &cfg, &d.m, &e));
	ok(image_make_slots(image, d.m, &e));
	ok(image_load(image, d.m, &e));
}

/* With fewer passes of its spin loop. */
static void open_tour(const struct machine_ops *ops)
{
	const uint32_t passes = 1000;

	open_demo(ops, "demo:tour");
	ok(machine_write_gva(d.m, 0, 0x20002f, &passes, sizeof(passes), &e));
}

static void close_demo(void)
{
	struct machine *m = d.m;

	debugger_deinit(&d);
	machine_destroy(m);
	image_close(image);
}

static int add_break(uint64_t addr)
{
	struct stop_point spec = {.kind = POINT_BREAK, .addr = addr, .len = 1}, *b;

	ok(point_add(&d.points, d.m, &spec, &b, &e));
	return b->id;
}

static uint64_t reg(unsigned index)
{
	struct regs r;

	ok(machine_get_regs(d.m, 0, REGS_GPR, &r, &e));
	return index == 16 ? r.rip : r.gpr[index];
}

/* The tour: a checkpoint between the two writes, to its end, back, and to its end again; thrice. */
static void tour(const struct machine_ops *ops)
{
	unsigned vcpu;
	int id;

	open_tour(ops);
	int bp = add_break(0x20000f);
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_BREAKPOINT);
	ok(history_checkpoint(&d, 0, &id, &e));
	assert_int_equal(id, 1);
	ok(point_delete(&d.points, d.m, bp, &e));
	assert_int_equal(word_at(d.m, 0x40000), 0);
	for (unsigned i = 0; i < 3; i++) {
		ok(debug_continue(&d, 0, &e));
		assert_int_equal(d.stop.reason, STOP_EXCEPTION);
		assert_int_equal(d.stop.cr2, 0x300000);
		assert_int_equal(word_at(d.m, 0x40000), 0x1122334455667789);
		ok(history_restart(&d, 1, &vcpu, &e));
		assert_int_equal(d.stop.reason, STOP_BREAKPOINT);
		assert_int_equal(d.stop.rip, 0x20000f);
		assert_int_equal(reg(16), 0x20000f);
		assert_int_equal(reg(RAX), 0x1122334455667788);
		assert_int_equal(word_at(d.m, 0x40000), 0);
		assert_int_equal(machine_board(d.m)->scratch[0], 0);
	}
	assert_int_equal(history_restart(&d, 2, &vcpu, &e), -ENOENT);
	ok(history_delete(&d.history, 1, &e));
	assert_int_equal(history_restart(&d, 1, &vcpu, &e), -ENOENT);
	close_demo();
}

/* Slots that changed since, with the guest's tables in one of them. */
static void slots_changed(const struct machine_ops *ops)
{
	unsigned vcpu;
	int id;

	open_tour(ops);
	ok(debug_step(&d, 0, 6, &e));
	ok(history_checkpoint(&d, 0, &id, &e));
	ok(debug_continue(&d, 0, &e));
	ok(machine_slot_flags(d.m, 1, 0, SLOT_READONLY, 0, NULL, &e));
	ok(machine_slot_delete(d.m, 0, NULL, &e));
	ok(history_restart(&d, id, &vcpu, &e));
	assert_int_equal(slot_by_id(machine_slots(d.m), 1)->flags, SLOT_READONLY);
	assert_int_equal(reg(16), 0x20001e);
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_EXCEPTION);
	assert_int_equal(d.stop.cr2, 0x300000);
	assert_int_equal(word_at(d.m, 0x40000), 0x1122334455667789);
	close_demo();
}

/* In the middle of an SMI handler, and before it. */
static void inside_smm(const struct machine_ops *ops)
{
	unsigned vcpu;
	int before, inside;
	struct regs r;

	open_demo(ops, "demo:smm");
	ok(history_checkpoint(&d, 0, &before, &e));
	struct stop_point spec = {.kind = POINT_CATCH, .event = CATCH_SMI}, *b;
	ok(point_add(&d.points, d.m, &spec, &b, &e));
	ok(points_catch(&d.points, d.m, &e));
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_SMI);
	ok(history_checkpoint(&d, 0, &inside, &e));
	uint64_t entry = reg(16);
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_RSM);
	uint64_t behind = reg(16);
	ok(history_restart(&d, inside, &vcpu, &e));
	ok(machine_get_regs(d.m, 0, REGS_SYS | REGS_GPR, &r, &e));
	assert_true(r.smm);
	assert_int_equal(r.rip, entry);
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_RSM);
	assert_int_equal(reg(16), behind);
	ok(history_restart(&d, before, &vcpu, &e));
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_SMI);
	assert_int_equal(reg(16), entry);
	close_demo();
}

static void on_soft(void **state)
{
	(void)state;
	tour(&soft_backend);
	slots_changed(&soft_backend);
	inside_smm(&soft_backend);
}

/* What only soft can put back: tables, chains and caches as they were. */
static void shadow_comes_back(void **state)
{
	struct mmio_info_list a = {0}, b = {0};
	struct rmap_list ra = {0}, rb = {0};
	unsigned vcpu;
	int id;

	(void)state;
	open_tour(&soft_backend);
	ok(debug_continue(&d, 0, &e));
	ok(history_checkpoint(&d, 0, &id, &e));
	ok(machine_mmio(d.m, &a, &e));
	ok(machine_rmap(d.m, 0x40, &ra, &e));
	assert_int_equal(ra.v[0].n_sptes, 2);
	ok(machine_reset(d.m, &e));
	ok(machine_slot_flags(d.m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e));
	ok(history_restart(&d, id, &vcpu, &e));
	ok(machine_mmio(d.m, &b, &e));
	ok(machine_rmap(d.m, 0x40, &rb, &e));
	assert_int_equal(b.v[0].gva, 0x260000);
	assert_int_equal(b.v[0].generation, a.v[0].generation);
	assert_true(b.v[0].valid);
	assert_int_equal(rb.v[0].n_sptes, 2);
	assert_int_equal(rb.v[0].sptes[1].sptep, ra.v[0].sptes[1].sptep);
	assert_int_equal(rb.v[0].sptes[1].spte, ra.v[0].sptes[1].spte);
	mmio_info_list_free(&a);
	mmio_info_list_free(&b);
	rmap_list_free(&ra);
	rmap_list_free(&rb);
	close_demo();
}

static void on_kvm(void **state)
{
	(void)state;
	if (kvmback_available(&e)) {
		printf("skip: %s\n", e.why[0] ? e.why : e.what);
		skip();
	}
	tour(&kvm_backend);
	slots_changed(&kvm_backend);
	inside_smm(&kvm_backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(on_soft),
	    cmocka_unit_test(shadow_comes_back),
	    cmocka_unit_test(on_kvm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
