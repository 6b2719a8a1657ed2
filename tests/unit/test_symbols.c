/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Symbols: both orders, sizes and reach, completion, hostile names.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/load/symbols.h"

static void add(struct symbols *s, const char *name, uint64_t addr, uint64_t size)
{
	assert_int_equal(symbols_add(s, name, addr, size, NULL), 0);
}

static void sample(struct symbols *s)
{
	symbols_init(s);
	add(s, "main", 0x1000, 0x40);
	add(s, "loop", 0x1010, 0x8);
	add(s, "bare", 0x2000, 0);
	add(s, "alias", 0x1000, 0x40);
	add(s, "", 0x1, 1); /* has no name to ask for */
	add(s, "main2", 0xffffffffffffff00, 0);
	assert_int_equal(symbols_sort(s, NULL), 0);
}

static void by_name_finds_exactly(void **state)
{
	struct symbols s;

	(void)state;
	sample(&s);
	assert_int_equal(s.n, 5);
	assert_int_equal(symbols_by_name(&s, "main")->addr, 0x1000);
	assert_int_equal(symbols_by_name(&s, "loop")->size, 8);
	assert_null(symbols_by_name(&s, "mai"));
	assert_null(symbols_by_name(&s, "zzz"));
	assert_null(symbols_by_name(&s, ""));
	symbols_deinit(&s);
}

static void by_addr_takes_the_nearest_that_covers(void **state)
{
	struct symbols s;

	(void)state;
	sample(&s);
	assert_string_equal(symbols_by_addr(&s, 0x1000)->name, "alias"); /* first by name at one address */
	assert_string_equal(symbols_by_addr(&s, 0x1017)->name, "loop");
	assert_string_equal(symbols_by_addr(&s, 0x1018)->name, "alias"); /* past loop, still in the one around it */
	assert_null(symbols_by_addr(&s, 0x1040));
	assert_null(symbols_by_addr(&s, 0xfff));
	assert_string_equal(symbols_by_addr(&s, 0x11fff)->name, "bare");
	assert_null(symbols_by_addr(&s, 0x12000));
	assert_string_equal(symbols_by_addr(&s, ~0ull)->name, "main2");
	symbols_deinit(&s);
}

static void format(void **state)
{
	struct symbols s;
	char buf[32], tiny[4];

	(void)state;
	sample(&s);
	assert_string_equal(symbols_format(&s, 0x1010, buf, sizeof(buf)), "loop");
	assert_string_equal(symbols_format(&s, 0x1012, buf, sizeof(buf)), "loop+0x2");
	assert_string_equal(symbols_format(&s, 0x10, buf, sizeof(buf)), "");
	assert_string_equal(symbols_format(&s, 0x1012, tiny, sizeof(tiny)), "loo");
	symbols_deinit(&s);
}

static void collect(void *arg, const char *name)
{
	strcat(arg, name);
	strcat(arg, " ");
}

static void complete(void **state)
{
	struct symbols s;
	char all[128] = "";

	(void)state;
	sample(&s);
	symbols_complete(&s, "ma", collect, all);
	assert_string_equal(all, "main main2 ");
	all[0] = '\0';
	symbols_complete(&s, "", collect, all);
	assert_string_equal(all, "alias bare loop main main2 ");
	all[0] = '\0';
	add(&s, "main", 0x5000, 0);
	symbols_complete(&s, "ma", collect, all);
	assert_string_equal(all, ""); /* not sorted again yet */
	assert_null(symbols_by_name(&s, "main"));
	assert_int_equal(symbols_sort(&s, NULL), 0);
	symbols_complete(&s, "ma", collect, all);
	assert_string_equal(all, "main@1 main@2 main2 ");
	symbols_deinit(&s);
}

static void add_in(struct symbols *s, uint32_t file, const char *name, uint64_t addr)
{
	assert_int_equal(symbols_add_local(s, file, name, addr, 16, NULL), 0);
}

static const char *found(const struct symbols *s, const char *text, int want)
{
	static char name[64];
	const struct symbol *sym = NULL;

	assert_int_equal(symbols_lookup(s, text, &sym), want);
	return want == -ENOENT ? "" : symbols_name(s, sym, name, sizeof(name));
}

/* Two objects with a static helper, two objects of one file's name, a global of a static's name, one symbol told twice. */
static void shared_names(void **state)
{
	struct symbols image, s;
	uint32_t a, b, u1, u2;
	char text[128], all[256] = "";

	(void)state;
	symbols_init(&image);
	symbols_init(&s);
	add(&s, "first", 0x10, 4);
	assert_int_equal(symbols_add_file(&s, "z.c", &a, NULL), 0);
	assert_int_equal(symbols_add_file(&image, "lib/a.c", &a, NULL), 0);
	assert_int_equal(symbols_add_file(&image, "b.c", &b, NULL), 0);
	assert_int_equal(symbols_add_file(&image, "util.c", &u1, NULL), 0);
	assert_int_equal(symbols_add_file(&image, "util.c", &u2, NULL), 0);
	add_in(&image, b, "helper", 0x2000);
	add_in(&image, a, "helper", 0x1000);
	add_in(&image, a, "alone", 0x1100);
	add_in(&image, u1, "init", 0x3000);
	add_in(&image, u2, "init", 0x3100);
	add_in(&image, 0, "init", 0x3200);
	add_in(&image, 0, "twice", 0x4000);
	add_in(&image, b, "twice", 0x4000);
	assert_int_equal(symbols_add_all(&s, &image, NULL), 0);
	symbols_deinit(&image);
	assert_int_equal(symbols_sort(&s, NULL), 0);

	assert_string_equal(found(&s, "helper", -ENOTUNIQ), "a.c:helper");
	assert_string_equal(found(&s, "a.c:helper", 0), "a.c:helper");
	assert_string_equal(found(&s, "lib/a.c:helper", 0), "a.c:helper");
	assert_string_equal(found(&s, "b.c:helper", 0), "b.c:helper");
	assert_string_equal(found(&s, "helper@2", 0), "b.c:helper");
	assert_string_equal(found(&s, "a.c:helper@1", 0), "a.c:helper");
	found(&s, "helper@3", -ENOENT);
	found(&s, "helper@0", -ENOENT);
	found(&s, "helper@", -ENOENT);
	found(&s, "z.c:helper", -ENOENT);
	found(&s, "c:helper", -ENOENT);
	assert_string_equal(found(&s, "alone", 0), "alone");
	assert_string_equal(found(&s, "a.c:alone", 0), "alone");
	assert_string_equal(found(&s, "twice", 0), "twice"); /* at one address: one */
	assert_string_equal(found(&s, "init", -ENOTUNIQ), "init@1");
	assert_string_equal(found(&s, "util.c:init", -ENOTUNIQ), "init@1");
	assert_string_equal(found(&s, "util.c:init@2", 0), "init@2");
	assert_string_equal(found(&s, "init@3", 0), "init@3");

	assert_string_equal(symbols_choices_text(&s, "util.c:init", text, sizeof(text)), "init@1 (0x3000), init@2 (0x3100)");
	assert_string_equal(symbols_choices_text(&s, "init", text, 40), "init@1 (0x3000) and 2 more");
	assert_string_equal(symbols_format(&s, 0x2004, text, sizeof(text)), "b.c:helper+0x4");
	assert_string_equal(symbols_format(&s, 0x3100, text, sizeof(text)), "init@2");
	assert_string_equal(symbols_format(&s, 0x1100, text, sizeof(text)), "alone");

	symbols_complete(&s, "hel", collect, all);
	assert_string_equal(all, "helper@1 helper@2 ");
	all[0] = '\0';
	symbols_complete(&s, "helper@2", collect, all);
	assert_string_equal(all, "helper@2 ");
	all[0] = '\0';
	symbols_complete(&s, "a.", collect, all); /* what needs the file, until it is said */
	assert_string_equal(all, "a.c:helper ");
	all[0] = '\0';
	symbols_complete(&s, "a.c:", collect, all);
	assert_string_equal(all, "a.c:alone a.c:helper ");
	all[0] = '\0';
	symbols_complete(&s, "twi", collect, all);
	assert_string_equal(all, "twice ");
	symbols_deinit(&s);
}

static void many(void **state)
{
	struct symbols s;
	char name[16];

	(void)state;
	symbols_init(&s);
	assert_int_equal(symbols_sort(&s, NULL), 0); /* empty */
	assert_null(symbols_by_addr(&s, 0));
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%04u", (i * 2731) % 5000);
		add(&s, name, (i * 2731) % 5000 * 16, 16);
	}
	assert_int_equal(symbols_sort(&s, NULL), 0);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%04u", i);
		assert_int_equal(symbols_by_name(&s, name)->addr, i * 16);
		assert_string_equal(symbols_by_addr(&s, i * 16 + 15)->name, name);
	}
	symbols_deinit(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_name_finds_exactly),
	    cmocka_unit_test(by_addr_takes_the_nearest_that_covers),
	    cmocka_unit_test(format),
	    cmocka_unit_test(complete),
	    cmocka_unit_test(shared_names),
	    cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
