/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Graphs for Graphviz: golden text of the samples; hostile text stays inside its quotes; large graphs are cut and say so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/samples.h"
#include "views/dot.h"
#include "views/draw.h"
#include "views/view.h"

/* Two levels; the page of level 1 is unsync, that of level 2 a root. */
static struct value small_tree(struct pool *p)
{
	uint64_t parent = 0x52008;
	struct shadow_page pages[] = {
	    {.gfn = 0x12, .level = 2, .access = 7, .roots = 1, .spt = 0x52000},
	    {.gfn = 0x13, .level = 1, .access = 7, .unsync = true, .spt = 0x53000, .parents = &parent, .n_parents = 1},
	};
	struct spte_info up = {.gva = 0x200000,
			       .gva_known = true,
			       .level = 2,
			       .sptep = 0x52008,
			       .present = true,
			       .writable = true,
			       .user = true,
			       .exec = true};
	struct value d = v_dict(p, 3), l = v_list(p, 8), s = v_list(p, 8);

	for (size_t i = 0; i < ARRAY_LEN(pages); i++)
		v_push(p, &l, record_shadow_page(p, &pages[i]));
	v_push(p, &s, record_spte(p, &up));
	for (unsigned i = 0; i < 6; i++) {
		struct spte_info leaf = {.gva = 0x200000 + 0x1000 * i,
					 .gva_known = true,
					 .level = 1,
					 .sptep = 0x53000 + 8 * i,
					 .gfn = 0x40 + i,
					 .gfn_known = true,
					 .leaf = true,
					 .present = true,
					 .user = true};
		if (i == 3)
			leaf.writable = true; /* ends the run of three */
		if (i == 5)
			leaf = (struct spte_info){.gva = leaf.gva,
						  .gva_known = true,
						  .level = 1,
						  .sptep = leaf.sptep,
						  .gfn = 0xd0000,
						  .gfn_known = true,
						  .leaf = true,
						  .mmio = true};
		v_push(p, &s, record_spte(p, &leaf));
	}
	v_put(p, &d, "vcpu", v_int(1));
	v_put(p, &d, "pages", l);
	v_put(p, &d, "sptes", s);
	return d;
}

static void draw(struct out *o, void (*fn)(struct out *o, const struct value *v), const struct value *v)
{
	out_init(o, false, 0);
	fn(o, v);
	assert_false(o->failed);
	assert_int_equal(strncmp(o->text, "digraph", 7), 0);
	assert_string_equal(o->text + o->len - 2, "}\n");
}

static void test_golden(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value tree = small_tree(p), rmap = sample_rmap(p), empty = sample_rmap_empty(p);
	struct out o;

	(void)state;
	draw(&o, dot_shadow_tree, &tree);
	compare_golden("dot-tree", &o);
	out_deinit(&o);
	draw(&o, dot_rmap, &rmap);
	compare_golden("dot-rmap", &o);
	out_deinit(&o);
	draw(&o, dot_rmap, &empty);
	compare_golden("dot-rmap-empty", &o);
	out_deinit(&o);
}

/* Where TDP's tables are by gpa, edges and lines of the tree say so. */
static void test_by_gpa(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	const struct spte_info table = {.by_gpa = true, .gva = 0x40000000, .level = 2, .present = true};
	struct value d = v_dict(p, 3), s = v_list(p, 1);
	struct out o;

	(void)state;
	v_push(p, &s, record_spte(p, &table));
	v_put(p, &d, "vcpu", v_int(0));
	v_put(p, &d, "pages", v_list(p, 0));
	v_put(p, &d, "sptes", s);
	draw(&o, dot_shadow_tree, &d);
	assert_non_null(strstr(o.text, "gpa 0x40000000-0x401fffff"));
	out_deinit(&o);
	out_init(&o, false, 0);
	view_shadow_tree(&o, &s);
	assert_non_null(strstr(o.text, "gpa 0x40000000  L2"));
	out_deinit(&o);
	out_init(&o, false, 0);
	view_sptes(&o, &s);
	assert_non_null(strstr(o.text, "0x40000000"));
	assert_null(strstr(o.text, "gva"));
	out_deinit(&o);
}

/* Each quote that opens is closed on its line, whatever a kernel's words are. */
static void assert_quotes_close(const char *s)
{
	bool in = false;

	for (; *s; s++) {
		if (*s == '\\' && in)
			s++;
		else if (*s == '"')
			in = !in;
		assert_false(*s == '\n' && in);
		assert_true(*s == '\n' || *s == '\t' || (unsigned char)*s >= 0x20);
	}
	assert_false(in);
}

static void test_hostile_text(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct rmap_info r = {.gfn = 0x40, .level = 1, .head = 1, .corrupt = "\"]; } evil -> \\ \n\033[2J\xff"};
	struct value v = v_list(p, 1);
	struct out o;

	(void)state;
	v_push(p, &v, record_rmap(p, &r));
	draw(&o, dot_rmap, &v);
	assert_quotes_close(o.text);
	assert_non_null(strstr(o.text, "\\\"]; } evil -> \\\\ \\\\x0a\\\\x1b[2J?"));
	out_deinit(&o);
}

static void test_large(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value v = v_dict(p, 1);
	size_t arrows = 0;
	struct out o;

	(void)state;
	v_put(p, &v, "sptes", sample_leaves(p, 5000));
	draw(&o, dot_shadow_tree, &v);
	for (const char *at = o.text; (at = strstr(at, " -> ")); at++)
		arrows++;
	assert_int_equal(arrows, 2000);
	assert_non_null(strstr(o.text, "3000 more left out"));
	out_deinit(&o);
}

/* Any value is harmless. */
static void test_wrong_shapes(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value d = v_dict(p, 2), l = v_list(p, 2);
	struct out o;

	(void)state;
	v_push(p, &l, v_int(1));
	v_push(p, &l, v_null());
	v_put(p, &d, "sptes", l);
	v_put(p, &d, "pages", l);
	v_push(p, &l, d);
	draw(&o, dot_shadow_tree, &d);
	out_deinit(&o);
	draw(&o, dot_rmap, &l);
	out_deinit(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden), cmocka_unit_test(test_by_gpa),	cmocka_unit_test(test_hostile_text),
	    cmocka_unit_test(test_large),  cmocka_unit_test(test_wrong_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
