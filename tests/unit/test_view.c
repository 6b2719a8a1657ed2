/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What people see: every view drawn from sample records and compared, byte for byte, with tests/golden/NAME.txt.
 * KVMSCOPE_GOLDEN=write writes the files anew; look at them before they are committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/golden.h"
#include "tests/support/samples.h"
#include "views/view.h"

static const struct golden {
	const char *name, *view;
	sample_fn *sample;
	bool color, ascii;
} goldens[] = {
    {"slots", "slots", sample_slots, 0, 0},
    {"slots-color", "slots", sample_slots, 1, 0},
    {"map", "map", sample_map, 0, 0},
    {"map-ascii", "map", sample_map, 0, 1},
    {"map-color", "map", sample_map, 1, 0},
    {"map-smm", "map", sample_map_smm, 0, 0},
    {"slot-flip", "slot", sample_slot_flip, 0, 0},
    {"slot-dirty", "slot", sample_slot_dirty, 0, 0},
    {"shadow", "shadow", sample_shadow, 0, 0},
    {"sptes", "sptes", sample_sptes, 0, 0},
    {"tdp", "tdp", sample_tdp, 0, 0},
    {"shadow-tree", "shadow-tree", sample_sptes, 0, 0},
    {"shadow-tree-ascii", "shadow-tree", sample_sptes, 0, 1},
    {"rmap", "rmap", sample_rmap, 0, 0},
    {"rmap-nested", "rmap", sample_rmap_nested, 0, 0},
    {"sptes-nested", "sptes", sample_sptes_nested, 0, 0},
    {"tree-nested", "shadow-tree", sample_sptes_nested, 0, 0},
    {"rmap-long", "rmap", sample_long_rmap, 0, 0},
    {"rmap-empty", "rmap", sample_rmap_empty, 0, 0},
    {"rmaps", "rmaps", sample_rmaps, 0, 0},
    {"mmio", "mmio", sample_mmio, 0, 0},
    {"mmio-stale", "mmio", sample_mmio_stale, 0, 0},
    {"tlb", "tlb", sample_tlb, 0, 0},
    {"mem", "mem", sample_mem, 0, 0},
    {"xlate", "xlate", sample_xlate, 0, 0},
    {"xlate-fault", "xlate", sample_xlate_fault, 0, 0},
    {"memop", "memop", sample_memop, 0, 0},
    {"memop-fault", "memop", sample_memop_fault, 0, 0},
    {"stop-exception", "stop", sample_stop_exception, 0, 0},
    {"stop-mmio", "stop", sample_stop_mmio, 0, 0},
    {"stop-note", "stop", sample_stop_note, 0, 0},
    {"stop-real", "stop", sample_stop_real, 0, 0},
    {"stages", "stages", sample_stages, 0, 0},
    {"diff", "diff", sample_diff, 0, 0},
    {"diff-color", "diff", sample_diff, 1, 0},
    {"breakpoints", "breakpoints", sample_breakpoints, 0, 0},
    {"disas", "disas", sample_disas, 0, 0},
    {"dump-string", "dump", sample_dump_string, 0, 0},
    {"registers", "registers", sample_regs, 0, 0},
    {"registers-all", "registers", sample_regs_all, 0, 0},
    {"registers-old", "registers", sample_regs_old, 0, 0},
    {"registers-old-all", "registers", sample_regs_old_all, 0, 0},
    {"stop-old", "stop", sample_stop_old, 0, 0},
    {"vcpus", "vcpus", sample_vcpus, 0, 0},
    {"vcpus-old", "vcpus", sample_vcpus_old, 0, 0},
    {"facts", "facts", sample_facts, 0, 0},
    {"walk", "walk", sample_walk, 0, 0},
    {"walk-color", "walk", sample_walk, 1, 0},
    {"walk-mmio", "walk", sample_walk_mmio, 0, 0},
    {"shape-dict", NULL, sample_stop_mmio, 0, 0},
    {"shape-nested", NULL, sample_walk, 0, 0},
    {"shape-table", NULL, sample_tlb, 0, 0},
    {"shape-unknown-view", "no-such-view", sample_mem, 0, 0},
    {"context", "context", sample_context, 0, 0},
    {"context-color", "context", sample_context, 1, 0},
    {"context-ascii", "context", sample_context, 0, 1},
    {"context-old", "context", sample_context_old, 0, 0},
    {"stop-context", "stop", sample_stop_context, 0, 0},
    {"telescope", "telescope", sample_telescope, 0, 0},
    {"hexdump", "hexdump", sample_hexdump, 0, 0},
    {"hexdump-folded", "hexdump", sample_hexdump_folded, 0, 0},
    {"xinfo", "xinfo", sample_xinfo, 0, 0},
    {"xinfo-mmio", "xinfo", sample_xinfo_mmio, 0, 0},
    {"vmmap", "vmmap", sample_vmmap, 0, 0},
};

static void test_golden(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
		_cleanup_pool_ struct pool *p = pool_create();
		const struct golden *g = &goldens[i];
		struct value v = g->sample(p);
		struct out o;

		out_init(&o, g->color, 80);
		o.ascii = g->ascii;
		view_draw(&o, g->view, &v);
		assert_false(o.failed);
		compare_golden(g->name, &o);
		out_deinit(&o);
	}
	(void)state;
}

static void test_dumps(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value all = sample_dump(p);
	struct out o;

	(void)state;
	out_init(&o, false, 80);
	for (uint32_t i = 0; i < all.n; i++) {
		view_draw(&o, "dump", &all.items[i]);
		out_text(&o, "\n");
	}
	compare_golden("dump", &o);
	out_deinit(&o);
}

/* Without color no view may write an escape sequence; with it every one is closed. */
static void test_styles_close(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
		_cleanup_pool_ struct pool *p = pool_create();
		struct value v = goldens[i].sample(p);
		int opened = 0;
		struct out o;

		out_init(&o, true, 80);
		view_draw(&o, goldens[i].view, &v);
		for (const char *s = o.text; (s = strstr(s, "\033[")); s += 2)
			opened = strncmp(s, "\033[0m", 4) ? opened + 1 : 0;
		assert_int_equal(opened, 0);
		out_deinit(&o);
		out_init(&o, false, 80);
		view_draw(&o, goldens[i].view, &v);
		assert_null(strchr(o.text, '\033'));
		out_deinit(&o);
	}
}

static void test_lines_have_no_trailing_blanks_and_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
		_cleanup_pool_ struct pool *p = pool_create();
		struct value v = goldens[i].sample(p);
		struct out o;

		out_init(&o, false, 80);
		view_draw(&o, goldens[i].view, &v);
		if (strstr(o.text, " \n"))
			fail_msg("%s: trailing blank", goldens[i].name);
		assert_true(o.len && o.text[o.len - 1] == '\n');
		out_deinit(&o);
	}
}

static void assert_scalar(struct value v, const char *want)
{
	struct out o;

	out_init(&o, false, 0);
	view_scalar(&o, &v);
	assert_string_equal(o.text, want);
	out_deinit(&o);
}

static void test_scalars(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value flags = record_flags(p, SLOT_READONLY | SLOT_LOG_DIRTY);

	(void)state;
	assert_scalar(v_hex(0x40), "0x40");
	assert_scalar(v_hex(0), "0x0");
	assert_scalar(v_hex(UINT64_MAX), "0xffffffffffffffff");
	assert_scalar(v_int(-12), "-12");
	assert_scalar(v_int(INT64_MIN), "-9223372036854775808");
	assert_scalar(v_bool(true), "yes");
	assert_scalar(v_na(p, "no BTF"), "n/a (no BTF)");
	assert_scalar(flags, "readonly log-dirty");
	assert_scalar(v_lit("two\nlines\t\x1b[2J\xff\xc3\xa4\xc2\x9b"), "two\nlines\t\\x1b[2J?\xc3\xa4??");
}

static void test_empty_tables_say_so(void **state)
{
	static const char *const views[] = {"map",    "slots", "shadow",      "shadow-tree", "sptes",
					    "rmap",   "rmaps", "mmio",	      "tlb",	     "mem",
					    "stages", "diff",  "breakpoints", "vcpus",	     "checkpoints"};
	struct value none = {.type = VALUE_LIST};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(views); i++) {
		struct out o;
		out_init(&o, false, 80);
		view_draw(&o, views[i], &none);
		if (o.len < 5 || o.text[o.len - 1] != '\n')
			fail_msg("%s: '%s'", views[i], o.text);
		out_deinit(&o);
	}
}

/* A script may hand any value to any view: nothing may be read that is not there. */
static void test_wrong_shapes_are_harmless(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value l = v_list(p, 4), d = v_dict(p, 4);

	(void)state;
	v_push(p, &l, v_int(1));
	v_push(p, &l, v_null());
	v_push(p, &l, v_lit("x"));
	v_put(p, &d, "sptes", v_int(3));
	v_put(p, &d, "gva", v_lit("text"));
	v_put(p, &d, "values", l);
	v_put(p, &d, "flags", v_hex(1));
	v_push(p, &l, d);
	for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
		const struct value *try[] = {&l, &d};
		for (size_t k = 0; k < 2; k++) {
			struct out o;
			out_init(&o, true, 80);
			view_draw(&o, goldens[i].view, try[k]);
			assert_false(o.failed);
			out_deinit(&o);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_dumps),
	    cmocka_unit_test(test_styles_close),
	    cmocka_unit_test(test_lines_have_no_trailing_blanks_and_fit),
	    cmocka_unit_test(test_scalars),
	    cmocka_unit_test(test_empty_tables_say_so),
	    cmocka_unit_test(test_wrong_shapes_are_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
