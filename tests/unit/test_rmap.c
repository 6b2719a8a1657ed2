/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The reverse map's transitions, held against a plain array as the model: 0 → 1 → many → many and back, corruption, and a
 * long random run in which the chain's invariants are checked after every step.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/soft/mmu/rmap.h"

#define N 1200

static uint64_t spte[N];
static struct rmap_node *word[N];

static struct rmap_node **owner(void *ctx, uint64_t *sptep)
{
	(void)ctx;
	return &word[sptep - spte];
}

static const struct rmap_env env = {.owner = owner};

static void add(uint64_t *head, unsigned i)
{
	struct err e = {0};
	assert_int_equal(rmap_add(&env, head, &spte[i], &e), 0);
}

static void del(uint64_t *head, unsigned i)
{
	struct err e = {0};
	assert_int_equal(rmap_remove(&env, head, &spte[i], &e), 0);
}

struct seen {
	bool has[N];
	unsigned n;
};

static int see(void *arg, uint64_t *sptep)
{
	struct seen *s = arg;
	size_t i = (size_t)(sptep - spte);

	assert_true(i < N);
	assert_false(s->has[i]);
	s->has[i] = true;
	s->n++;
	return 0;
}

static void check(uint64_t head, const bool *model, unsigned n)
{
	struct seen s = {.n = 0};

	assert_int_equal(rmap_each(head, N, see, &s), 0);
	assert_int_equal(s.n, n);
	assert_int_equal(rmap_count(head), n);
	assert_memory_equal(s.has, model, sizeof(s.has));
}

static void transitions(void **state)
{
	uint64_t head = 0;
	struct rmap_info info;
	struct err e = {0};
	(void)state;

	assert_int_equal(rmap_kind_of(head), RMAP_EMPTY);
	add(&head, 0);
	assert_int_equal(head, (uintptr_t)&spte[0]);
	assert_int_equal(rmap_kind_of(head), RMAP_ONE);
	add(&head, 1);
	assert_int_equal(rmap_kind_of(head), RMAP_MANY);
	assert_int_equal(head & 1, 1);
	const struct rmap_node *d = (void *)(uintptr_t)(head & ~1ull);
	assert_ptr_equal(d->sptep[0], &spte[0]);
	assert_ptr_equal(d->sptep[1], &spte[1]);
	assert_null(d->sptep[2]);
	for (unsigned i = 2; i < 9; i++)
		add(&head, i);
	assert_int_equal(rmap_describe(head, &info, &e), 0);
	assert_int_equal(info.n_desc, 3);
	assert_int_equal(info.desc[0].used, 4);
	assert_int_equal(info.desc[1].used, 4);
	assert_int_equal(info.desc[2].used, 1);
	assert_int_equal(info.desc[0].more, info.desc[1].address);
	assert_int_equal(info.desc[2].more, 0);
	free(info.desc);
	for (unsigned i = 0; i < 8; i++)
		del(&head, i);
	assert_int_equal(rmap_kind_of(head), RMAP_MANY);
	assert_int_equal(rmap_count(head), 1);
	del(&head, 8);
	assert_int_equal(head, 0);
}

/* Compaction stays within the descriptor: its last entry moves into the hole, a middle descriptor may be left non-full. */
static void compaction(void **state)
{
	uint64_t head = 0;
	(void)state;

	for (unsigned i = 0; i < 6; i++)
		add(&head, i);
	del(&head, 0);
	struct rmap_node *d = (void *)(uintptr_t)(head & ~1ull);
	assert_ptr_equal(d->sptep[0], &spte[3]);
	assert_ptr_equal(d->sptep[2], &spte[2]);
	assert_null(d->sptep[3]);
	add(&head, 7);
	assert_ptr_equal(d->more->sptep[2], &spte[7]);
	assert_null(d->sptep[3]);
	del(&head, 4);
	del(&head, 5);
	del(&head, 7);
	assert_null(d->more);
	add(&head, 8);
	assert_ptr_equal(d->sptep[3], &spte[8]);
	for (unsigned i = 1; i <= 3; i++)
		del(&head, i);
	del(&head, 8);
	assert_int_equal(head, 0);
}

static void corruption(void **state)
{
	uint64_t head = 0;
	struct err e = {0};
	(void)state;

	assert_int_equal(rmap_remove(&env, &head, &spte[0], &e), -EUCLEAN);
	assert_true(e.why[0]);
	add(&head, 0);
	assert_int_equal(rmap_remove(&env, &head, &spte[1], &e), -EUCLEAN);
	add(&head, 1);
	word[2] = NULL;
	assert_int_equal(rmap_remove(&env, &head, &spte[2], &e), -EUCLEAN);
	word[2] = word[0];
	assert_int_equal(rmap_remove(&env, &head, &spte[2], &e), -EUCLEAN);
	struct seen s = {.n = 0};
	assert_int_equal(rmap_each(head, 1, see, &s), -EUCLEAN);
	del(&head, 0);
	del(&head, 1);
	assert_int_equal(head, 0);
}

static void random_run(void **state)
{
	uint64_t head = 0, seed = 88172645463325252ull;
	static bool model[N];
	unsigned n = 0;
	(void)state;

	memset(model, 0, sizeof(model));
	for (unsigned step = 0; step < 20000; step++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		unsigned i = (unsigned)(seed % (step < 12000 ? N : 40));
		if (model[i])
			del(&head, i), n--;
		else
			add(&head, i), n++;
		model[i] = !model[i];
		if (step % 97 == 0 || n < 8)
			check(head, model, n);
	}
	for (unsigned i = 0; i < N; i++)
		if (model[i])
			del(&head, i);
	assert_int_equal(head, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(transitions),
	    cmocka_unit_test(compaction),
	    cmocka_unit_test(corruption),
	    cmocka_unit_test(random_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
