/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest memory that is not mapped in this process: all that reads it goes by the slot's fill callback and gives what it
 * gives of mapped memory; what cannot be read now is said, never guessed; nothing is written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/debug/checkpoint.h"
#include "core/debug/snap.h"
#include "tests/support/handlers.h"

static struct machine *m(void)
{
	return handlers_session.d.m;
}

static int setup(void **state)
{
	int rc = handlers_setup(state);

	longguest_poke(m(), 0x20000, "\x90\x48\x89\xd8\xc3 needle", 12);
	longguest_poke(m(), 0x21ffc, "page", 4);
	return rc;
}

static char *dump_of(const char *line, const char *path)
{
	static char text[4096];
	FILE *f;
	size_t n;

	run_line(line);
	f = fopen(path, "rb");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	assert_int_equal(n, 0x20);
	fclose(f);
	return text;
}

/* Every command that looks at memory gives the same of it. */
static void test_commands_see_the_same(void **state)
{
	static const char *const lines[] = {
	    "x/4gx 0x20000",	   "xp/4gx 0x20000",	       "x/s 0x20006",
	    "mem read 0x20000 16", "find 0 0x100000 6e6565",   "find -phys 0 0x100000 6e6565",
	    "disas 0x20000 3",	   "info tlb 0x1f000 0x22fff", "info mem",
	    "xlate 0x20ffc 8 r",   "gva2gpa 0x20000",	       "memop read 0x20000 16",
	};
	char *before[ARRAY_LEN(lines)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		before[i] = strdup(run_line(lines[i]));
	fake_unmap(m(), 0);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		unsigned fills = fake_of(m())->fills;

		assert_string_equal(run_line(lines[i]), before[i]);
		if (fake_of(m())->fills == fills)
			fail_msg("%s did not read", lines[i]);
		free(before[i]);
	}
}

static void test_walk(void **state)
{
	const char *walk;

	(void)state;
	fake_unmap(m(), 0);
	walk = run_line("walk 0x20000");
	assert_non_null(strstr(walk, "\"gpa\":\"0x20000\",\"page_size\":4096,"));
	assert_non_null(strstr(walk, "\"slot\":0"));
	assert_non_null(strstr(walk, "slot 0 is not mapped in this process"));
	assert_non_null(strstr(run_line("info slots"), "\"hva\":\"n/a (not mapped in this process)\""));
}

static void test_dump(void **state)
{
	char path[] = "/tmp/unmapped-XXXXXX", line[64], before[0x20];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(line, sizeof(line), "dump %s 0x20000 0x20", path);
	memcpy(before, dump_of(line, path), sizeof(before));
	fake_unmap(m(), 0);
	assert_memory_equal(dump_of(line, path), before, sizeof(before));
	unlink(path);
}

/* The same pages with the same hashes; a page that changes is seen. */
static void test_snap(void **state)
{
	(void)state;
	longguest_poke(m(), 0x30000, "x", 1);
	run_line("snap a -memory");
	fake_unmap(m(), 0);
	run_line("snap b -memory");
	assert_non_null(strstr(run_line("diff a b"), "slot 0 hva"));
	assert_null(strstr(run_line("diff a b"), "memory"));
	/* By its mapped twin: the callback reads the same bytes. */
	((uint8_t *)(((uintptr_t)slot_by_id(machine_slots(m()), 0)->backing + 0xfff) & ~0xfffull))[0x30000] = 'y';
	run_line("snap c -memory");
	assert_non_null(strstr(run_line("diff b c"), "\"part\":\"memory\",\"kind\":\"changed\",\"what\":\"gfn 0x30"));
}

/* ---- what cannot be read now */

static void hole(uint64_t gpa, uint64_t len)
{
	fake_unmap(m(), 0);
	fake_of(m())->hole = gpa;
	fake_of(m())->hole_len = len;
}

static void test_unreadable_range(void **state)
{
	uint8_t buf[0x2000];
	struct err e = {0};

	(void)state;
	hole(0x20800, 0x800);
	assert_int_equal(machine_read(m(), 0x20000, false, buf, 0x800, &e), 0);
	assert_int_equal(machine_read(m(), 0x20000, false, buf, 0x801, &e), -ENODATA);
	assert_int_equal(e.space, ERR_SPACE_GPA);
	assert_int_equal(e.addr, 0x20800);
	assert_int_equal(machine_read_gva(m(), 0, 0x207ff, buf, 2, &e), -ENODATA);
	assert_int_equal(e.addr, 0x20800);
	assert_int_equal(refused_line("x/gx 0x20800"), -ENODATA);
	assert_int_equal(refused_line("memop read 0x20800 8"), -ENODATA);
	assert_int_equal(refused_line("dump /dev/null 0x20000 0x1000"), -ENODATA);
	/* A search goes on behind it. */
	assert_string_equal(run_line("find 0x20000 0x3000 70616765"), "[\"0x21ffc\"]");
	assert_non_null(strstr(run_line("snap a -memory"), "\"memory\":\"n/a (read gpa 0x20800: the test makes it"));
}

/* A table that cannot be read is no page fault of the guest's. */
static void test_unreadable_table(void **state)
{
	uint8_t byte;
	struct err e = {0};
	const char *walk;

	(void)state;
	hole(0x3000, 0x1000);
	walk = run_line("walk 0x20000");
	assert_non_null(strstr(walk, "\"fault\":\"n/a (the level 2 entry at gpa 0x3000 cannot be read now)\""));
	assert_non_null(strstr(walk, "\"entry\":\"n/a (cannot be read now)\""));
	assert_int_equal(machine_read_gva(m(), 0, 0x20000, &byte, 1, &e), -ENODATA);
	assert_int_equal(e.addr, 0x3000);
	assert_int_equal(refused_line("xlate 0x20000 8"), -ENODATA);
	assert_int_equal(refused_line("memop read 0x20000 8"), -ENODATA);
	assert_int_equal(refused_line("gva2gpa 0x20000"), -ENODATA);
	assert_int_equal(refused_line("info tlb"), -ENODATA);
}

/* ---- writing */

static void test_nothing_is_written(void **state)
{
	struct page_store *store = NULL;
	struct checkpoint *c = NULL;
	struct machine_page page = {.index = 1};
	struct err e = {0};

	(void)state;
	fake_unmap(m(), 0);
	assert_int_equal(machine_write(m(), 0x20000, false, "x", 1, &e), -EROFS);
	assert_int_equal(machine_write_gva(m(), 0, 0x20000, "x", 1, &e), -EROFS);
	assert_int_equal(machine_write_pages(m(), 0, &page, 1, &e), -EROFS);
	assert_int_equal(refused_line("memop write 0x20000 00"), -EFAULT);
	assert_null(machine_peek(m(), 0x20000, false, &(size_t){0}));
	assert_int_equal(page_store_create(&store, &e), 0);
	assert_int_equal(checkpoint_take(store, m(), NULL, &c, &e), -EROFS);
	page_store_destroy(store);
	assert_non_null(strstr(run_line("mem read 0x20000 2"), "\"data\":\"9048\""));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, handlers_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_commands_see_the_same),
	    TEST(test_walk),
	    TEST(test_dump),
	    TEST(test_snap),
	    TEST(test_unreadable_range),
	    TEST(test_unreadable_table),
	    TEST(test_nothing_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
