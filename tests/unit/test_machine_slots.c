/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's slots over the fake backend: the record follows what the backend did, and only that; the READONLY flip keeps
 * memory, dirty bits and visibility, and survives a backend that fails half-way.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/fake.h"

static struct err e;
static struct slot_steps steps;

/* The fake's slot_change, refusing the calls whose bits are set. */
static uint32_t refuse;
static unsigned calls;

static int picky_change(struct machine *m, struct slot *s, const struct slot_change *c, struct slot_steps *st,
			struct err *err)
{
	if (refuse >> calls++ & 1)
		return err_set(err, -EIO, "KVM_SET_USER_MEMORY_REGION" WHY "the test refuses" TRY "again");
	/* While a change is under way the table says so. */
	assert_true(machine_slots(m)->generation >> 63);
	assert_int_equal(s->invalid, c->kind == SLOT_DELETE || c->kind == SLOT_MOVE);
	return fake_ops.slot_change(m, s, c, st, err);
}

static struct machine_ops ops;

static int setup(void **state)
{
	struct machine_config cfg = {.vcpus = 1};
	struct machine *m;

	memset(&e, 0, sizeof(e));
	refuse = 0;
	ops = fake_ops;
	ops.slot_change = picky_change;
	assert_int_equal(machine_create(&ops, &cfg, &m, &e), 0);
	fake_add_slot(m, 0, 0, 0x80000, 0);
	fake_add_slot(m, 1, 0x80000, 0x10000, SLOT_READONLY);
	calls = 0;
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	machine_destroy(*state);
	return 0;
}

static struct slot *slot(struct machine *m, uint32_t id)
{
	return slot_by_id(machine_slots(m), id);
}

static void test_add(void **state)
{
	struct machine *m = *state;
	struct slot_spec spec = {.id = 5, .gpa = 0x100000, .size = 0x2000, .flags = SLOT_LOG_DIRTY, .own = true};
	uint64_t generation = machine_slots(m)->generation;

	steps.n = 7; /* emptied first */
	assert_int_equal(machine_slot_add(m, &spec, &steps, &e), 0);
	assert_int_equal(steps.n, 1);
	assert_string_equal(steps.step[0], "slot 5: create");
	assert_int_equal(machine_slots(m)->generation, generation + 1);
	assert_true(slot(m, 5)->own);
	assert_non_null(slot(m, 5)->dirty[0]);
	assert_non_null(slot(m, 5)->dirty[1]);
	assert_non_null(slot(m, 5)->alias);
	assert_int_equal(machine_slot_add(m, &spec, &steps, &e), 0); /* the same again: nothing to do */
	assert_int_equal(steps.n, 0);
	assert_int_equal(machine_slots(m)->generation, generation + 1);
}

static void test_add_refused(void **state)
{
	struct machine *m = *state;
	uint64_t generation = machine_slots(m)->generation;
	const struct {
		struct slot_spec spec;
		int rc;
	} bad[] = {
	    {{.id = 0, .gpa = 0, .size = 0x1000}, -EINVAL},
	    {{.id = 5, .gpa = 1, .size = 0x1000}, -EINVAL},
	    {{.id = 5, .gpa = 0x40000, .size = 0x1000}, -EEXIST},
	    {{.id = 5, .gpa = 0x100000, .size = 0}, -EINVAL}, /* KVM would delete; here that is slot del */
	    {{.id = 1, .gpa = 0, .size = 0}, -EINVAL},
	    {{.id = 5, .gpa = 0x100000, .size = 0x1000, .flags = 1 << 5}, -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(machine_slot_add(m, &bad[i].spec, &steps, &e), bad[i].rc);
		assert_int_equal(strncmp(e.what, "slot add ", 9), 0);
	}
	assert_int_equal(calls, 0);
	assert_int_equal(machine_slots(m)->n, 2);
	assert_int_equal(machine_slots(m)->generation, generation);
}

static void test_backend_refuses_add(void **state)
{
	struct machine *m = *state;
	struct slot_spec spec = {.id = 5, .gpa = 0x100000, .size = 0x2000, .flags = SLOT_LOG_DIRTY};
	uint64_t generation = machine_slots(m)->generation;

	refuse = 1;
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EIO);
	assert_null(slot(m, 5));
	assert_null(slot_lookup(machine_slots(m), 0x100000, false, NULL));
	assert_int_equal(machine_slots(m)->generation, generation);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), 0);
}

static void test_delete(void **state)
{
	struct machine *m = *state;
	uint64_t generation = machine_slots(m)->generation;

	assert_int_equal(machine_slot_delete(m, 7, NULL, &e), -EINVAL);
	assert_string_equal(e.what, "slot del 7");
	refuse = 1;
	assert_int_equal(machine_slot_delete(m, 1, NULL, &e), -EIO);
	assert_non_null(slot(m, 1));
	assert_int_equal(machine_slot_delete(m, 1, &steps, &e), 0);
	assert_null(slot(m, 1));
	assert_string_equal(steps.step[0], "slot 1: delete");
	assert_int_equal(machine_slots(m)->generation, generation + 2);
}

static void test_move(void **state)
{
	struct machine *m = *state;
	uint64_t generation = machine_slots(m)->generation;
	uint32_t v = 0xabcd, back = 0;

	assert_int_equal(machine_write(m, 0x80010, false, &v, 4, &e), 0);
	assert_int_equal(machine_slot_move(m, 1, 0x40000, NULL, &e), -EEXIST);
	assert_string_equal(e.what, "slot move 1");
	assert_int_equal(machine_slot_move(m, 1, 0x40001, NULL, &e), -EINVAL);
	assert_int_equal(machine_slot_move(m, 7, 0x100000, NULL, &e), -EINVAL);
	assert_int_equal(calls, 0);
	refuse = 1;
	assert_int_equal(machine_slot_move(m, 1, 0x200000, NULL, &e), -EIO);
	assert_int_equal(slot(m, 1)->gpa, 0x80000);
	assert_int_equal(machine_slot_move(m, 1, 0x200000, &steps, &e), 0);
	assert_int_equal(machine_slots(m)->generation, generation + 2);
	assert_int_equal(machine_read(m, 0x200010, false, &back, 4, &e), 0);
	assert_int_equal(back, v);
	assert_int_equal(machine_read(m, 0x80010, false, &back, 4, &e), -EFAULT);
	assert_int_equal(machine_slot_move(m, 1, 0x200000, &steps, &e), 0); /* where it is */
	assert_int_equal(steps.n, 0);
}

static void test_move_keeps_the_log(void **state)
{
	struct machine *m = *state;
	uint64_t *bits;
	size_t n;

	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e), 0);
	fake_guest_write(m, 0x3000, "x", 1);
	assert_int_equal(machine_slot_move(m, 0, 0x400000, NULL, &e), 0);
	fake_guest_write(m, 0x405000, "x", 1);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), 0);
	assert_int_equal(bits[0], 1 << 3 | 1 << 5);
	free(bits);
}

static void test_log(void **state)
{
	struct machine *m = *state;
	uint64_t *bits = (uint64_t *)1;
	size_t n = 77;

	assert_int_equal(machine_slot_dirty(m, 7, false, &bits, &n, &e), -ENOENT);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), -ENOENT);
	assert_ptr_equal(bits, (uint64_t *)1);
	assert_int_equal(n, 77);
	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, &steps, &e), 0);
	assert_int_equal(steps.n, 1);
	assert_string_equal(steps.step[0], "slot 0: flags");
	fake_guest_write(m, 0x3ffe, "abcd", 4);
	fake_guest_write(m, 0x7f000, "x", 1);
	slot_mark_dirty(slot(m, 0), 0x9000, 1, true); /* from inside SMM */
	uint64_t *view[2];
	assert_int_equal(machine_slot_dirty_views(m, 0, false, view, &n, &e), 0);
	assert_int_equal(view[0][0], 1 << 3 | 1 << 4);
	assert_int_equal(view[0][1], 1ull << 63);
	assert_int_equal(view[1][0], 1 << 9);
	assert_int_equal(view[1][1], 0);
	free(view[0]);
	free(view[1]);
	assert_int_equal(machine_slot_dirty(m, 0, true, &bits, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(bits[0], 1 << 3 | 1 << 4 | 1 << 9);
	assert_int_equal(bits[1], 1ull << 63);
	free(bits);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), 0);
	assert_int_equal(bits[0] | bits[1], 0);
	free(bits);
	assert_int_equal(machine_slot_flags(m, 0, 0, SLOT_LOG_DIRTY, 0, NULL, &e), 0);
	assert_null(slot(m, 0)->dirty[0]);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), -ENOENT);
	refuse = 1u << calls;
	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e), -EIO);
	assert_null(slot(m, 0)->dirty[0]); /* what was allocated for it is gone */
	assert_int_equal(slot(m, 0)->flags, 0);
}

static void test_flags_refused(void **state)
{
	struct machine *m = *state;

	assert_int_equal(machine_slot_flags(m, 7, SLOT_READONLY, 0, 0, NULL, &e), -EINVAL);
	assert_int_equal(machine_slot_flags(m, 0, SLOT_READONLY, SLOT_READONLY, 0, NULL, &e), -EINVAL);
	assert_int_equal(machine_slot_flags(m, 0, 1 << 9, 0, 0, NULL, &e), -EINVAL);
	assert_string_equal(e.what, "slot flags 0");
	assert_int_equal(calls, 0);
}

static void test_flip_keeps_every_byte(void **state)
{
	struct machine *m = *state;
	uint64_t generation = machine_slots(m)->generation;
	uint8_t bytes[0x10000], back[0x10000];
	struct slot *s = slot(m, 1);
	uint8_t *alias = s->alias;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 13 + i / 256);
	assert_int_equal(machine_write(m, 0x80000, false, bytes, sizeof(bytes), &e), 0);
	assert_int_equal(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, &steps, &e), 0);
	assert_int_equal(steps.n, 2);
	assert_string_equal(steps.step[0], "slot 1: delete");
	assert_string_equal(steps.step[1], "slot 1: create");
	assert_ptr_equal(slot(m, 1), s);
	assert_ptr_equal(s->alias, alias);
	assert_int_equal(s->flags, 0);
	assert_int_equal(machine_slots(m)->generation, generation + 3);
	assert_int_equal(machine_slot_flags(m, 1, SLOT_READONLY, 0, 0, NULL, &e), 0);
	assert_int_equal(s->flags, SLOT_READONLY);
	assert_int_equal(machine_read(m, 0x80000, false, back, sizeof(back), &e), 0);
	assert_memory_equal(bytes, back, sizeof(bytes));
	assert_int_equal(calls, 4);
	assert_int_equal(machine_slot_flags(m, 1, SLOT_READONLY, 0, 0, &steps, &e), 0); /* is so already */
	assert_int_equal(calls, 4);
	assert_int_equal(steps.n, 0);
}

static void test_flip_keeps_the_log(void **state)
{
	struct machine *m = *state;
	uint64_t *bits;
	size_t n;

	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e), 0);
	fake_guest_write(m, 0x3000, "x", 1);
	assert_int_equal(machine_slot_flags(m, 0, SLOT_READONLY, 0, 0, NULL, &e), 0);
	assert_int_equal(slot(m, 0)->flags, SLOT_READONLY | SLOT_LOG_DIRTY);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), 0);
	assert_int_equal(bits[0], 1 << 3);
	free(bits);
	/* Both at once. */
	assert_int_equal(machine_slot_flags(m, 0, 0, SLOT_READONLY | SLOT_LOG_DIRTY, 0, NULL, &e), 0);
	assert_int_equal(slot(m, 0)->flags, 0);
	assert_null(slot(m, 0)->dirty[0]);
	assert_int_equal(machine_slot_flags(m, 0, SLOT_READONLY | SLOT_LOG_DIRTY, 0, 0, NULL, &e), 0);
	assert_non_null(slot(m, 0)->dirty[0]);
}

static void test_flip_fails_at_the_deletion(void **state)
{
	struct machine *m = *state;

	refuse = 1;
	assert_int_equal(machine_slot_flags(m, 1, SLOT_LOG_DIRTY, SLOT_READONLY, 0, NULL, &e), -EIO);
	assert_int_equal(slot(m, 1)->flags, SLOT_READONLY);
	assert_null(slot(m, 1)->dirty[0]);
	assert_int_equal(calls, 1);
}

static void test_flip_fails_at_the_creation(void **state)
{
	struct machine *m = *state;
	uint32_t v = 0x1234, back = 0;

	assert_int_equal(machine_write(m, 0x80000, false, &v, 4, &e), 0);
	refuse = 2; /* the first creation; the one that restores works */
	assert_int_equal(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, &steps, &e), -EIO);
	assert_int_equal(calls, 3);
	assert_int_equal(slot(m, 1)->flags, SLOT_READONLY); /* as it was */
	assert_int_equal(machine_read(m, 0x80000, false, &back, 4, &e), 0);
	assert_int_equal(back, v);
	assert_string_equal(e.why, "the test refuses, and slot 1 was made again as it was");
	refuse = 6u << calls; /* neither works: the slot is gone, and the error says so */
	assert_int_equal(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, &steps, &e), -EIO);
	assert_null(slot(m, 1));
	assert_string_equal(
	    e.why, "the test refuses, nor can slot 1 be created as it was (the test refuses), so that it is deleted "
		   "now and its memory gone");
	assert_string_equal(e.next, "slot add 1 0x80000 0x10000 -readonly -visible both");
	assert_int_equal(machine_slots(m)->n, 1);
	assert_int_equal(machine_read(m, 0x80000, false, &back, 4, &e), -EFAULT);
}

static void test_flip_cannot_overlap_by_visibility(void **state)
{
	struct machine *m = *state;
	struct slot_spec smram = {.id = 4, .gpa = 0x100000, .size = 0x1000, .vis = SLOT_VIS_SMM},
			 out = {.id = 5, .gpa = 0x100000, .size = 0x1000, .vis = SLOT_VIS_NONSMM};

	assert_int_equal(machine_slot_add(m, &smram, NULL, &e), 0);
	assert_int_equal(machine_slot_add(m, &out, NULL, &e), 0);
	calls = 0;
	assert_int_equal(machine_slot_flags(m, 4, SLOT_READONLY, SLOT_SMRAM, 0, NULL, &e), -EEXIST);
	assert_int_equal(machine_slot_flags(m, 5, 0, 0, SLOT_VIS_BOTH, NULL, &e), -EEXIST);
	assert_int_equal(calls, 0);
	assert_int_equal(slot(m, 4)->flags, SLOT_SMRAM);
}

static void test_visibility(void **state)
{
	struct machine *m = *state;
	struct slot_spec spec = {.id = 4, .gpa = 0x100000, .size = 0x1000, .flags = SLOT_LOG_DIRTY};
	uint8_t b;

	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->vis, SLOT_VIS_BOTH);
	assert_int_equal(machine_slot_flags(m, 4, SLOT_SMRAM, 0, 0, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->vis, SLOT_VIS_SMM);
	assert_true(slot(m, 4)->flags & SLOT_SMRAM);
	assert_null(slot(m, 4)->dirty[0]); /* logged where it is seen */
	assert_non_null(slot(m, 4)->dirty[1]);
	assert_int_equal(machine_read(m, 0x100000, false, &b, 1, &e), -EFAULT);
	assert_int_equal(machine_read(m, 0x100000, true, &b, 1, &e), 0);
	assert_int_equal(machine_slot_flags(m, 4, 0, SLOT_SMRAM, 0, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->vis, SLOT_VIS_BOTH);
	assert_non_null(slot(m, 4)->dirty[0]);
	assert_int_equal(machine_slot_flags(m, 4, 0, 0, SLOT_VIS_NONSMM, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->vis, SLOT_VIS_NONSMM);
	assert_int_equal(machine_read(m, 0x100000, true, &b, 1, &e), -EFAULT);
	assert_int_equal(machine_slot_flags(m, 4, 0, 0, SLOT_VIS_SMM, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->flags, SLOT_LOG_DIRTY | SLOT_SMRAM);
	assert_int_equal(machine_slot_flags(m, 4, 0, 0, SLOT_VIS_BOTH, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->flags, SLOT_LOG_DIRTY);
	/* With a flip in one go. */
	assert_int_equal(machine_slot_flags(m, 4, SLOT_READONLY | SLOT_SMRAM, 0, 0, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->vis, SLOT_VIS_SMM);
	assert_int_equal(slot(m, 4)->flags, SLOT_LOG_DIRTY | SLOT_SMRAM | SLOT_READONLY);
	assert_int_equal(machine_slot_flags(m, 4, 0, SLOT_READONLY, 0, NULL, &e), 0);
	assert_int_equal(slot(m, 4)->vis, SLOT_VIS_SMM); /* kept */
}

static void test_dirty_fails(void **state)
{
	struct machine *m = *state;
	uint64_t *bits = NULL;
	size_t n;

	assert_int_equal(machine_slot_flags(m, 0, SLOT_LOG_DIRTY, 0, 0, NULL, &e), 0);
	fake_guest_write(m, 0x3000, "x", 1);
	fake_of(m)->fail_op = "slot_dirty";
	fake_of(m)->fail_code = -EIO;
	assert_int_equal(machine_slot_dirty(m, 0, true, &bits, &n, &e), -EIO);
	assert_null(bits);
	assert_int_equal(slot(m, 0)->dirty[0][0], 1 << 3); /* not cleared */
	calls = 0;
	assert_int_equal(machine_slot_flags(m, 0, SLOT_READONLY, 0, 0, NULL, &e), -EIO); /* the flip would lose bits */
	assert_int_equal(calls, 0);
	fake_of(m)->fail_op = NULL;
	assert_int_equal(machine_slot_dirty(m, 0, true, &bits, &n, &e), 0);
	assert_int_equal(bits[0], 1 << 3);
	free(bits);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_add),
	    T(test_add_refused),
	    T(test_backend_refuses_add),
	    T(test_delete),
	    T(test_move),
	    T(test_move_keeps_the_log),
	    T(test_log),
	    T(test_flags_refused),
	    T(test_flip_keeps_every_byte),
	    T(test_flip_keeps_the_log),
	    T(test_flip_fails_at_the_deletion),
	    T(test_flip_fails_at_the_creation),
	    T(test_flip_cannot_overlap_by_visibility),
	    T(test_visibility),
	    T(test_dirty_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
