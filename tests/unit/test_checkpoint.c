/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Checkpoints: shared copies of memory; slots, memory, dirty logs, registers and devices come back on the fake machine.
 * With guests that run: test_kvm_checkpoint.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/board/board.h"
#include "core/debug/checkpoint.h"
#include "tests/support/fake.h"

static struct err e;

static void ok(int rc)
{
	char text[1200];

	if (!rc)
		return;
	err_format(&e, text, sizeof(text));
	fail_msg("%s", text);
}

/* ---- copies of memory */

static uint8_t *pages_of(size_t n)
{
	uint8_t *at =
	    mmap(NULL, n * PAGE_SIZE_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static size_t present(uint8_t *at, size_t n)
{
	unsigned char vec[64];
	size_t count = 0;

	assert_true(n <= sizeof(vec) && !mincore(at, n * PAGE_SIZE_4K, vec));
	for (size_t i = 0; i < n; i++)
		count += vec[i] & 1;
	return count;
}

static void copies_share(void **state)
{
	struct memory_copy a, b, c;
	struct page_store *s;
	uint8_t *at = pages_of(64);

	(void)state;
	ok(page_store_create(&s, &e));
	size_t empty = page_store_bytes(s);
	at[5 * PAGE_SIZE_4K + 7] = 1;
	at[9 * PAGE_SIZE_4K] = 2;
	at[10 * PAGE_SIZE_4K] = 2;
	at[11 * PAGE_SIZE_4K] = 0; /* exists, all zeroes */
	ok(memory_copy_take(s, at, 64 * PAGE_SIZE_4K, NULL, &a, &e));
	assert_int_equal(present(at, 64), 4);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.index[0], 5);
	assert_int_equal(a.index[2], 10);
	size_t two = page_store_bytes(s) - empty; /* pages 9 and 10 are one */
	ok(memory_copy_take(s, at, 64 * PAGE_SIZE_4K, &a, &b, &e));
	assert_int_equal(page_store_bytes(s) - empty, two);
	at[9 * PAGE_SIZE_4K + 1] = 3;
	at[5 * PAGE_SIZE_4K + 7] = 0;
	at[63 * PAGE_SIZE_4K] = 4;
	ok(memory_copy_take(s, at, 64 * PAGE_SIZE_4K, &b, &c, &e));
	assert_int_equal(c.n, 3);
	assert_int_equal(page_store_bytes(s) - empty, two * 2);
	ok(memory_copy_put(&a, at, &e));
	assert_int_equal(at[5 * PAGE_SIZE_4K + 7], 1);
	assert_int_equal(at[9 * PAGE_SIZE_4K + 1], 0);
	assert_int_equal(at[63 * PAGE_SIZE_4K], 0);
	ok(memory_copy_put(&c, at, &e));
	assert_int_equal(at[9 * PAGE_SIZE_4K + 1], 3);
	assert_int_equal(at[63 * PAGE_SIZE_4K], 4);
	assert_int_equal(present(at, 64), 5);
	memory_copy_drop(s, &a);
	memory_copy_drop(s, &b);
	memory_copy_drop(s, &c);
	assert_int_equal(page_store_bytes(s), empty);
	page_store_destroy(s);
	munmap(at, 64 * PAGE_SIZE_4K);
}

static void odd_ranges(void **state)
{
	uint8_t bytes[10000], was[10000];
	struct memory_copy a;
	struct page_store *s;

	(void)state;
	ok(page_store_create(&s, &e));
	for (size_t i = 0; i < sizeof(bytes); i++)
		was[i] = bytes[i] = (uint8_t)(i * 7);
	ok(memory_copy_take(s, bytes + 1, 9001, NULL, &a, &e));
	memset(bytes, 0xff, sizeof(bytes));
	ok(memory_copy_put(&a, bytes + 1, &e));
	assert_memory_equal(bytes + 1, was + 1, 9001);
	assert_int_equal(bytes[0], 0xff);
	assert_int_equal(bytes[9002], 0xff);
	memory_copy_drop(s, &a);
	page_store_destroy(s);
}

/* Many different pages: the table grows, and every page is found again. */
static void many_pages(void **state)
{
	const size_t n = 6000;
	uint8_t *at = pages_of(n);
	struct memory_copy a, b;
	struct page_store *s;

	(void)state;
	ok(page_store_create(&s, &e));
	for (size_t i = 0; i < n; i++)
		memcpy(at + i * PAGE_SIZE_4K + i % 4000, &(uint64_t){i + 1}, 8);
	ok(memory_copy_take(s, at, n * PAGE_SIZE_4K, NULL, &a, &e));
	size_t bytes = page_store_bytes(s);
	ok(memory_copy_take(s, at, n * PAGE_SIZE_4K, NULL, &b, &e));
	assert_int_equal(page_store_bytes(s), bytes);
	memset(at, 0, n * PAGE_SIZE_4K);
	memory_copy_drop(s, &a);
	ok(memory_copy_put(&b, at, &e));
	for (size_t i = 0; i < n; i++) {
		uint64_t v;
		memcpy(&v, at + i * PAGE_SIZE_4K + i % 4000, 8);
		assert_int_equal(v, i + 1);
	}
	memory_copy_drop(s, &b);
	page_store_destroy(s);
	munmap(at, n * PAGE_SIZE_4K);
}

/* ---- the fake machine */

static uint64_t word_at(struct machine *m, uint64_t gpa)
{
	uint64_t v = 0;

	ok(machine_read(m, gpa, false, &v, sizeof(v), &e));
	return v;
}

static void put_word(struct machine *m, uint64_t gpa, uint64_t v)
{
	ok(machine_write(m, gpa, false, &v, sizeof(v), &e));
}

static void fake_comes_back(void **state)
{
	struct machine *m = fake_create(2);
	struct slot_steps steps;
	struct page_store *s;
	struct checkpoint *c;
	struct regs r = {0};
	uint64_t *bits = NULL;
	size_t n;

	(void)state;
	ok(page_store_create(&s, &e));
	fake_add_slot(m, 0, 0, 0x100000, SLOT_LOG_DIRTY);
	fake_add_slot(m, 1, 0x200000, 0x10000, SLOT_READONLY);
	fake_add_slot(m, 2, 0x300000, 0x10000, 0);
	put_word(m, 0x5000, 55);
	put_word(m, 0x200000, 66);
	put_word(m, 0x300008, 77);
	fake_guest_write(m, 0x5008, "dirty", 5);
	ok(machine_get_regs(m, 1, REGS_ALL, &r, &e));
	r.gpr[RBX] = 99;
	ok(machine_set_regs(m, 1, REGS_GPR, &r, &e));
	machine_board(m)->apm[1] = 0x42;
	ok(checkpoint_take(s, m, NULL, &c, &e));
	assert_int_equal(checkpoint_pages(c), 3);

	put_word(m, 0x5000, 1);
	put_word(m, 0x9000, 1);
	fake_guest_write(m, 0x9008, "dirty", 5);
	ok(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, &steps, &e));
	put_word(m, 0x200000, 2);
	ok(machine_slot_move(m, 0, 0x400000, &steps, &e));
	ok(machine_slot_delete(m, 2, &steps, &e));
	fake_add_slot(m, 7, 0, 0x10000, 0);
	r.gpr[RBX] = 1;
	ok(machine_set_regs(m, 1, REGS_GPR, &r, &e));
	machine_board(m)->apm[1] = 0;

	ok(checkpoint_restore(m, c, &e));
	assert_int_equal(word_at(m, 0x5000), 55);
	assert_int_equal(word_at(m, 0x9000), 0);
	assert_int_equal(word_at(m, 0x200000), 66);
	assert_int_equal(word_at(m, 0x300008), 77);
	assert_null(slot_by_id(machine_slots(m), 7));
	assert_int_equal(slot_by_id(machine_slots(m), 0)->gpa, 0);
	assert_int_equal(slot_by_id(machine_slots(m), 1)->flags, SLOT_READONLY);
	ok(machine_get_regs(m, 1, REGS_ALL, &r, &e));
	assert_int_equal(r.gpr[RBX], 99);
	assert_int_equal(machine_board(m)->apm[1], 0x42);
	ok(machine_slot_dirty(m, 0, false, &bits, &n, &e));
	assert_int_equal(bits[0], 1ull << 5);
	free(bits);
	checkpoint_drop(c);
	page_store_destroy(s);
	machine_destroy(m);
}

static void slots_changed_places(void **state)
{
	struct machine *m = fake_create(1);
	struct slot_steps steps;
	struct page_store *s;
	struct checkpoint *c;

	(void)state;
	ok(page_store_create(&s, &e));
	fake_add_slot(m, 0, 0, 0x10000, 0);
	fake_add_slot(m, 1, 0x10000, 0x10000, 0);
	put_word(m, 0x100, 10);
	put_word(m, 0x10100, 11);
	ok(checkpoint_take(s, m, NULL, &c, &e));
	ok(machine_slot_move(m, 0, 0x40000, &steps, &e));
	ok(machine_slot_move(m, 1, 0, &steps, &e));
	ok(machine_slot_move(m, 0, 0x10000, &steps, &e));
	assert_int_equal(word_at(m, 0x100), 11);
	ok(checkpoint_restore(m, c, &e));
	assert_int_equal(word_at(m, 0x100), 10);
	assert_int_equal(word_at(m, 0x10100), 11);
	assert_int_equal(slot_by_id(machine_slots(m), 0)->gpa, 0);
	checkpoint_drop(c);
	page_store_destroy(s);
	machine_destroy(m);
}

static void refusals(void **state)
{
	struct machine *m = fake_create(1), *two = fake_create(2);
	struct page_store *s;
	struct checkpoint *c;

	(void)state;
	ok(page_store_create(&s, &e));
	fake_add_slot(m, 0, 0, 0x10000, 0);
	ok(checkpoint_take(s, m, NULL, &c, &e));
	assert_int_equal(checkpoint_restore(two, c, &e), -EINVAL);
	fake_park(m, 0);
	assert_int_equal(checkpoint_restore(m, c, &e), -EBUSY);
	checkpoint_drop(c);
	assert_int_equal(checkpoint_take(s, m, NULL, &c, &e), -EBUSY);
	fake_unpark(m);
	fake_of(m)->fail_op = "get_regs";
	fake_of(m)->fail_code = -EIO;
	assert_int_equal(checkpoint_take(s, m, NULL, &c, &e), -EIO);
	fake_of(m)->fail_op = NULL;
	page_store_destroy(s);
	machine_destroy(m);
	machine_destroy(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(copies_share),    cmocka_unit_test(odd_ranges),	       cmocka_unit_test(many_pages),
	    cmocka_unit_test(fake_comes_back), cmocka_unit_test(slots_changed_places), cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
