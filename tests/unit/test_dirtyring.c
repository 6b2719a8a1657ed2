/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A ring of dirty pages from both sides: the order of its entries, what reading and giving back change, a ring that is full.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/mem/dirtyring.h"

#define SIZE 256u

struct both {
	struct dirty_ring ring;
	struct dirty_source source;
	uint64_t read[4 * SIZE], n_read, first_n;
	uint64_t taken[4 * SIZE], n_taken;
};

static int setup(void **state)
{
	struct both *b = calloc(1, sizeof(*b));

	b->ring.v = calloc(SIZE, sizeof(struct dirty_gfn));
	b->ring.size = SIZE;
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct both *b = *state;

	free(b->ring.v);
	free(b);
	return 0;
}

static void on_read(void *ctx, uint64_t n, const struct dirty_gfn *g)
{
	struct both *b = ctx;

	assert_int_equal(g->flags, DIRTY_GFN_DIRTY);
	assert_int_equal(g->slot, 3);
	assert_int_equal(n, b->first_n + b->n_read);
	b->read[b->n_read++] = g->offset;
}

static void on_taken(void *ctx, uint32_t slot, uint64_t offset)
{
	struct both *b = ctx;

	assert_int_equal(slot, 3);
	b->taken[b->n_taken++] = offset;
}

static void push(struct both *b, uint64_t offset)
{
	assert_true(dirty_ring_push(&b->ring, &b->source, 3, offset));
}

static void read_all(struct both *b)
{
	b->first_n = b->ring.seen;
	b->n_read = 0;
	dirty_ring_read(&b->ring, on_read, b);
}

static void take_all(struct both *b)
{
	b->n_taken = 0;
	dirty_ring_take(&b->ring, &b->source, on_taken, b);
}

static void test_order_and_states(void **state)
{
	struct both *b = *state;

	read_all(b);
	assert_int_equal(b->n_read, 0);
	push(b, 7);
	push(b, 5);
	push(b, 7);
	read_all(b);
	assert_memory_equal(b->read, ((uint64_t[]){7, 5, 7}), 3 * sizeof(uint64_t));
	read_all(b); /* each once */
	assert_int_equal(b->n_read, 0);
	take_all(b); /* read is not given back */
	assert_int_equal(b->n_taken, 0);
	assert_int_equal(b->ring.v[0].flags, DIRTY_GFN_DIRTY);
	push(b, 9);
	assert_int_equal(dirty_ring_give_back(&b->ring), 3);
	assert_int_equal(b->ring.v[2].flags, DIRTY_GFN_RESET);
	take_all(b);
	assert_memory_equal(b->taken, ((uint64_t[]){7, 5, 7}), 3 * sizeof(uint64_t));
	assert_int_equal(b->ring.v[2].flags, 0);
	assert_int_equal(b->ring.v[3].flags, DIRTY_GFN_DIRTY); /* not read yet */
	read_all(b);
	assert_int_equal(b->n_read, 1);
	assert_int_equal(b->read[0], 9);
}

/* A ring all of whose entries are read and none given back: the next one looks as if it had been pushed just now. */
static void test_full(void **state)
{
	struct both *b = *state;

	for (unsigned i = 0; i < SIZE; i++) {
		assert_int_equal(dirty_ring_soft_full(&b->ring, &b->source), i >= SIZE - DIRTY_RING_RESERVED);
		push(b, i);
	}
	assert_false(dirty_ring_push(&b->ring, &b->source, 3, 1));
	read_all(b);
	assert_int_equal(b->n_read, SIZE);
	read_all(b);
	assert_int_equal(b->n_read, 0);
	assert_int_equal(dirty_ring_give_back(&b->ring), SIZE);
	take_all(b);
	assert_int_equal(b->n_taken, SIZE);
	assert_false(dirty_ring_soft_full(&b->ring, &b->source));
	push(b, 1);
	read_all(b);
	assert_int_equal(b->n_read, 1);
}

static void test_many_rounds(void **state)
{
	struct both *b = *state;

	for (uint64_t round = 0, next = 0; round < 100; round++) {
		for (unsigned i = 0; i < 100; i++)
			push(b, next + i);
		read_all(b);
		assert_int_equal(b->n_read, 100);
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(b->read[i], next + i);
		next += 100;
		dirty_ring_give_back(&b->ring);
		take_all(b);
		assert_int_equal(b->n_taken, 100);
	}
}

static void test_sizes(void **state)
{
	static const uint64_t bad[] = {0, 1, 128, 300, 65535, 131072, ~0ull};
	struct err e = {0};

	(void)state;
	assert_int_equal(dirty_ring_check(256, &e), 0);
	assert_int_equal(dirty_ring_check(65536, &e), 0);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(dirty_ring_check(bad[i], &e), -EINVAL);
		assert_int_equal(dirty_ring_check(strtoull(e.next, NULL, 0), NULL), 0); /* what it says to try is right */
	}
	assert_int_equal(dirty_ring_check(300, &e), -EINVAL);
	assert_string_equal(e.next, "512");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_order_and_states, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_rounds, setup, teardown),
	    cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
