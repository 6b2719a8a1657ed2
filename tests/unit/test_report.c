/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A report's tables end where a page would be too long, and say how much they leave out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cmd/report.h"
#include "tests/support/handlers.h"
#include "views/draw.h"

#define SPTES 40000
#define PAGES 1234
#define CHAINS 30

static struct pool *pool;
static struct call call;

static int setup(void **state)
{
	pool = pool_create();
	call = (struct call){.s = &handlers_session, .client = &handlers_client, .pool = pool};
	return handlers_setup(state);
}

static int teardown(void **state)
{
	pool_destroy(pool);
	return handlers_teardown(state);
}

static struct fake *fake(void)
{
	return fake_of(handlers_session.d.m);
}

static void leaves_out(const struct value v, uint64_t total)
{
	assert_int_equal(v.type, VALUE_DICT);
	assert_in_range(get_list(&v, "rows")->n, 1, total - 1);
	assert_int_equal(get_num(&v, "left_out"), total - get_list(&v, "rows")->n);
}

static void test_sptes(void **state)
{
	struct spte_info *v = calloc(SPTES, sizeof(*v));

	(void)state;
	assert_non_null(v);
	for (unsigned i = 0; i < SPTES; i++)
		v[i] =
		    (struct spte_info){.gva = i * 0x1000ull, .gva_known = true, .level = 1, .present = true, .leaf = true};
	fake()->sptes = (struct spte_list){.v = v, .n = SPTES};
	leaves_out(report_sptes(&call), SPTES);
	fake()->sptes.n = 10;
	assert_int_equal(get_num(&(struct value[]){report_sptes(&call)}[0], "left_out"), 0);
	free(v);
}

static void test_pages(void **state)
{
	struct shadow_page *v = calloc(PAGES, sizeof(*v));

	(void)state;
	assert_non_null(v);
	for (unsigned i = 0; i < PAGES; i++)
		v[i] = (struct shadow_page){.gfn = i, .level = 1};
	fake()->shadow_pages = (struct shadow_page_list){.v = v, .n = PAGES};
	leaves_out(report_pages(&call), PAGES);
	free(v);
}

/* The longest of them, that one first. */
static void test_chains(void **state)
{
	struct rmap_info v[CHAINS];
	struct spte_info sptes[CHAINS + 2];

	(void)state;
	memset(sptes, 0, sizeof(sptes));
	for (unsigned i = 0; i < CHAINS; i++)
		v[i] = (struct rmap_info){
		    .gfn = 0x10 + i, .level = 1, .kind = RMAP_MANY, .sptes = sptes, .n_sptes = 2 + (i * 7) % CHAINS};
	fake()->rmap = (struct rmap_list){v, CHAINS};
	struct value found = report_chains(&call);
	leaves_out(found, CHAINS);
	assert_int_equal(get_list(&get_list(&found, "rows")->items[0], "sptes")->n, CHAINS + 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {T(test_sptes), T(test_pages), T(test_chains)};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
