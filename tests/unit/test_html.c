/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The page of a report: tags are balanced and ids unique whatever the record holds; nothing of a guest's text is markup;
 * large lists are cut and say so. tests/cli/pictures.py reads pages of real sessions with a parser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/samples.h"
#include "views/html/draw.h"
#include "views/html/html.h"

#define HOSTILE "</td><script>alert(1)</script>\"'&\033[2J\xff<img src=//x>"

static struct value rows_of(struct pool *p, struct value rows)
{
	struct value d = v_dict(p, 2);

	v_put(p, &d, "rows", rows);
	v_put(p, &d, "left_out", v_int(3));
	return d;
}

static struct value guest_rows(struct pool *p)
{
	struct value l = v_list(p, 8);

	for (unsigned i = 0; i < 4; i++) {
		struct walk w = {.n = 2,
				 .step = {{.level = 2, .gpa = 0x12008, .entry = 0x13027},
					  {.level = 1, .gpa = 0x13000 + 8 * i, .entry = (0x40000 + 0x1000 * i) | 7}}};
		struct guest_mapping m = {.gva = 0x200000 + 0x1000 * i, .gpa = 0x40000 + 0x1000 * i, .page_size = 0x1000};
		for (unsigned k = i ? 1 : 0; k < 2; k++)
			v_push(p, &l, record_guest_entry(p, &w, k, &m, PAGING_4LEVEL));
	}
	return l;
}

static struct value trace_rows(struct pool *p)
{
	struct diff_row change = {
	    .part = DIFF_SPTE, .kind = DIFF_CHANGED, .what = HOSTILE, .before = "0x1", .after = HOSTILE};
	struct stop_row rows[] = {
	    {.why = (char *)(uintptr_t) "has not run"},
	    {.reason = STOP_STEP,
	     .rip = 0x200000,
	     .why = (char *)(uintptr_t)HOSTILE,
	     .counts_known = true,
	     .sptes = 7,
	     .shadow_pages = 4,
	     .chains_known = true,
	     .longest = 2,
	     .chains = {120, 6, 1},
	     .n_changes = 30,
	     .changes = {&change, 1}},
	};
	struct value l = v_list(p, 2);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		v_push(p, &l, record_trace_stop(p, &rows[i]));
	return l;
}

static struct value sample_page(struct pool *p)
{
	struct value d = v_dict(p, 20), chains = sample_rmap(p), facts = sample_facts(p), f = v_dict(p, 3);

	v_put(p, &f, "what", v_str(p, HOSTILE));
	v_put(p, &f, "value", v_na(p, HOSTILE));
	v_put(p, &f, "why", v_str(p, HOSTILE));
	v_push(p, &facts, f);
	v_put(p, &d, "title", v_str(p, HOSTILE));
	v_put(p, &d, "version", v_lit("0.1"));
	v_put(p, &d, "date", v_lit("today"));
	v_put(p, &d, "stop", sample_stop_exception(p));
	v_put(p, &d, "map", sample_map_smm(p));
	v_put(p, &d, "slots", sample_slots(p));
	v_put(p, &d, "guest", rows_of(p, guest_rows(p)));
	v_put(p, &d, "sptes", rows_of(p, sample_sptes(p)));
	v_put(p, &d, "pages", rows_of(p, sample_shadow(p)));
	v_put(p, &d, "chains", rows_of(p, chains));
	v_put(p, &d, "rmaps", sample_rmaps(p));
	v_put(p, &d, "mmio", sample_mmio_stale(p));
	v_put(p, &d, "fault", v_na(p, HOSTILE));
	v_put(p, &d, "trace", rows_of(p, trace_rows(p)));
	v_put(p, &d, "registers", sample_regs(p));
	v_put(p, &d, "vcpus", sample_vcpus(p));
	v_put(p, &d, "breakpoints", sample_breakpoints(p));
	v_put(p, &d, "facts", facts);
	return d;
}

/* ---- is it well-formed? */

#define DEPTH 64
struct tags {
	char open[DEPTH][24];
	unsigned depth;
};

static bool is_void(const char *name)
{
	return !strcmp(name, "meta") || !strcmp(name, "!DOCTYPE");
}

/* One tag, s behind its '<'; gives what follows its '>'. */
static const char *take_tag(struct tags *t, const char *s)
{
	bool closing = *s == '/';
	const char *name = s + closing, *end = strchr(name, '>');
	char word[24];

	assert_non_null(end);
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, " />\n"), name);
	if (closing) {
		assert_true(t->depth > 0);
		assert_string_equal(t->open[--t->depth], word);
	} else if (end[-1] != '/' && !is_void(word)) {
		assert_true(t->depth < DEPTH);
		memcpy(t->open[t->depth++], word, sizeof(word));
	}
	return end + 1;
}

static void assert_balanced(const char *s)
{
	struct tags t = {.depth = 0};

	for (const char *at = s; (at = strchr(at, '<'));)
		at = take_tag(&t, at + 1);
	assert_int_equal(t.depth, 0);
}

static void draw(struct out *o, const struct value *page)
{
	out_init(o, false, 0);
	html_report(o, page);
	assert_false(o->failed);
	assert_balanced(o->text);
	assert_null(strstr(o->text, "http"));
	assert_null(strstr(o->text, "<script"));
	assert_null(strstr(o->text, "<img"));
	assert_null(strchr(o->text, '\033'));
	assert_null(strchr(o->text, '\xff'));
}

static void test_page(void **state)
{
	static const char *const there[] = {"<svg class=\"map\"",
					    "0x80000",
					    "<svg class=\"chain\"",
					    "<svg class=\"chart\"",
					    "4 entries → gfn 0x40-0x43",
					    "gva 0x240000 rw",
					    "0x300000",
					    "3 more sptes are left out",
					    "29 more changes are left out",
					    "3 more stops came later",
					    "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;",
					    "id=\"fault\"",
					    "prefers-color-scheme:dark",
					    "@media print"};
	_cleanup_pool_ struct pool *p = pool_create();
	struct value page = sample_page(p);
	struct out o;

	(void)state;
	draw(&o, &page);
	for (size_t i = 0; i < ARRAY_LEN(there); i++)
		if (!strstr(o.text, there[i]))
			fail_msg("no %s", there[i]);
	out_deinit(&o);
}

/* The pictures alone, as they are. */
static void test_golden(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value map = sample_map_smm(p), rmap = sample_rmap(p), trace = trace_rows(p);
	struct out o;

	(void)state;
	out_init(&o, false, 0);
	html_map(&o, &map);
	html_chain(&o, &rmap.items[0]);
	html_trace(&o, &trace);
	compare_golden("html-pictures", &o);
	out_deinit(&o);
}

static struct value many_regions(struct pool *p, unsigned n)
{
	struct value l = v_list(p, n);

	for (unsigned i = 0; i < n; i++) {
		struct gpa_region r = {.first = 0x1000ull * i,
				       .last = 0x1000ull * i + 0xfff,
				       .kind = i % 2 ? GPA_HOLE : GPA_RAM,
				       .vis = SLOT_VIS_BOTH,
				       .slot = i};
		v_push(p, &l, record_region(p, &r));
	}
	return l;
}

static void test_bounded(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value page = v_dict(p, 3);
	struct out o;

	(void)state;
	v_put(p, &page, "map", many_regions(p, 3000));
	v_put(p, &page, "sptes", rows_of(p, sample_leaves(p, 20000)));
	v_put(p, &page, "slots", many_regions(p, 3000));
	draw(&o, &page);
	assert_true(o.len < 2000000);
	assert_non_null(strstr(o.text, "2800 more regions at higher addresses are left out"));
	assert_non_null(strstr(o.text, "17000 more entries are left out"));
	assert_non_null(strstr(o.text, "2000 more rows are left out"));
	out_deinit(&o);
}

/* Levels that make no sense, and values of any shape in every place. */
static void test_wrong_shapes(void **state)
{
	static const char *const keys[] = {"title", "stop",	 "map",	  "slots",	 "guest", "sptes",
					   "pages", "chains",	 "rmaps", "mmio",	 "fault", "trace",
					   "vcpus", "registers", "vm",	  "breakpoints", "facts", "date"};
	_cleanup_pool_ struct pool *p = pool_create();
	struct value odd = v_list(p, 40), d = v_dict(p, 4);

	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		struct value row = v_dict(p, 2);
		v_put(p, &row, "level", v_int(i % 7 ? 1000 - i : 3));
		v_put(p, &row, "sptes", v_int(1));
		v_push(p, &odd, row);
	}
	v_push(p, &odd, v_int(1));
	v_push(p, &odd, v_null());
	v_put(p, &d, "rows", odd);
	const struct value any[] = {odd, d, v_int(1), v_null(), v_list(p, 0), v_dict(p, 0)};
	for (size_t i = 0; i < ARRAY_LEN(any); i++) {
		struct value page = v_dict(p, 20);
		struct out o;
		for (size_t k = 0; k < ARRAY_LEN(keys); k++)
			v_put(p, &page, keys[k], any[i]);
		draw(&o, &page);
		out_deinit(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_page),
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_bounded),
	    cmocka_unit_test(test_wrong_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
