/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every way in which a slot call can be refused before a backend is asked, in words: the whole line that a user reads and
 * that `why` repeats, with its numbers and with what to do. What it says to do is then done, and must work.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/support/fake.h"

#define RO SLOT_READONLY
#define LOG SLOT_LOG_DIRTY
#define HVA 0x7f0000000000ull

static struct machine *m;
static struct err e;

/* Slots 0: 512 KiB at 0; 1: 64 KiB READONLY at 0x80000; 7: 64 KiB at 1 MiB, seen in SMM only. */
static int setup(void **state)
{
	struct slot_spec smram = {.id = 7, .gpa = 0x100000, .size = 0x10000, .vis = SLOT_VIS_SMM};

	(void)state;
	memset(&e, 0, sizeof(e));
	m = fake_create(1);
	fake_add_slot(m, 0, 0, 0x80000, 0);
	fake_add_slot(m, 1, 0x80000, 0x10000, RO);
	return machine_slot_add(m, &smram, NULL, &e);
}

static int teardown(void **state)
{
	(void)state;
	machine_destroy(m);
	return 0;
}

static void expect(int rc, int wanted, const char *line)
{
	char text[1100];

	err_format(&e, text, sizeof(text));
	if (rc != wanted || e.code != wanted || strcmp(text, line))
		fail_msg("\n  %d, code %d: %s\nwanted\n  %d: %s", rc, e.code, text, wanted, line);
}

/* ---- slot add */

struct add_case {
	struct slot_spec to;
	int rc;
	const char *line;
	struct slot_spec instead; /* as the line says; size 0: it says something else */
};

#define AT(g, s) .id = 5, .gpa = (g), .size = (s)
static const struct add_case adds[] = {
    {{AT(0x200000, 0x1000), .flags = RO | 1u << 16},
     -EINVAL,
     "error: slot add 5: flags 0x10002: 0x10000 is no flag; try readonly (0x2), log-dirty (0x1) or smram (0x1000000)",
     {0}},
    {{AT(0x200000, 0x1000), .vis = 4}, -EINVAL, "error: slot add 5: visibility 4 is none; try smm, non-smm or both", {0}},
    {{AT(0x200000, 0x1000), .vis = SLOT_VIS_NONSMM, .flags = SLOT_SMRAM},
     -EINVAL,
     "error: slot add 5: smram says visible inside SMM only, yet visible outside SMM only is asked for; try one of smram "
     "and "
     "visible non-smm",
     {0}},
    {{AT(0x200000, 0x1800)},
     -EINVAL,
     "error: slot add 5: size 0x1800 is not a multiple of 4 KiB (0x1000); try size 0x1000 or 0x2000",
     {AT(0x200000, 0x2000)}},
    {{AT(0x200000, 0x800)},
     -EINVAL,
     "error: slot add 5: size 0x800 is not a multiple of 4 KiB (0x1000); try size 0x1000",
     {AT(0x200000, 0x1000)}},
    {{AT(0x200010, 0x1000)},
     -EINVAL,
     "error: slot add 5: gpa 0x200010 is not a multiple of 4 KiB (0x1000); try gpa 0x200000 or 0x201000",
     {AT(0x201000, 0x1000)}},
    {{AT(0x10, 0x1000)},
     -EINVAL,
     "error: slot add 5: gpa 0x10 is not a multiple of 4 KiB (0x1000); try gpa 0x0 or 0x1000",
     {0}},
    {{AT(~0ull, 0x1000)},
     -EINVAL,
     "error: slot add 5: gpa 0xffffffffffffffff is not a multiple of 4 KiB (0x1000); try gpa 0xfffffffffffff000",
     {0}},
    {{AT(0x200000, 0x1000), .hva = HVA + 1},
     -EINVAL,
     "error: slot add 5: hva 0x7f0000000001 is not a multiple of 4 KiB (0x1000); try hva 0x7f0000000000 or 0x7f0000001000",
     {0}},
    {{AT(0x200000, 0x1000), .hva = 0xffff888000000000},
     -EINVAL,
     "error: slot add 5: hva 0xffff888000000000 with size 0x1000 is not user memory, which ends at 0x7ffffffff000; try no "
     "hva: "
     "the debugger picks one",
     {AT(0x200000, 0x1000)}},
    {{.id = 0x10005, .gpa = 0x200000, .size = 0x1000},
     -EINVAL,
     "error: slot add 65541: address space 1 is not there: number 0x10005 names it in bits 31:16, and the last on this host "
     "is "
     "0; try id 5, with -visible smm if only SMM is to see it",
     {AT(0x200000, 0x1000), .vis = SLOT_VIS_SMM}},
    {{.id = 32764, .gpa = 0x200000, .size = 0x1000},
     -EINVAL,
     "error: slot add 32764: ids end at 32763 on this host; try id 2, which is free",
     {.id = 2, .gpa = 0x200000, .size = 0x1000}},
    {{AT(0xfffffffffffff000, 0x2000)},
     -EINVAL,
     "error: slot add 5: gpa 0xfffffffffffff000 and size 0x2000 run past 2^64; try gpa 0xfffffffffe000 or lower",
     {AT(0xfffffffffe000, 0x2000)}},
    {{AT(0xfffffffffffff000, 0x1000)},
     -EINVAL,
     "error: slot add 5: gpa 0xfffffffffffff000 and size 0x1000 run past 2^64; try gpa 0xffffffffff000 or lower",
     {AT(0xffffffffff000, 0x1000)}},
    {{AT(0x1000000000000000, 0xf000000000000000)},
     -EINVAL,
     "error: slot add 5: gpa 0x1000000000000000 and size 0xf000000000000000 run past 2^64; try size 0x7fffffff000 or less",
     {0}},
    {{AT(0x200000, 0x80000000000)},
     -EINVAL,
     "error: slot add 5: size 0x80000000000 is 0x80000000 pages, which are too many for one slot: it has at most "
     "0x7fffffff; "
     "try size 0x7fffffff000 or less, or several slots",
     {0}},
    {{AT(0xffffffffff000, 0x2000)},
     -EINVAL,
     "error: slot add 5: gpa 0xffffffffff000 to 0x10000000000fff runs past the end of physical addresses, the last is "
     "0xfffffffffffff; try gpa 0xfffffffffe000 or lower",
     {AT(0xfffffffffe000, 0x2000)}},
    {{AT(0x200000, 0)},
     -EINVAL,
     "error: slot add 5: its size is 0, and the smallest slot is one page of 4 KiB; try size 0x1000",
     {AT(0x200000, 0x1000)}},
    {{.id = 1, .gpa = 0x80000}, -EINVAL, "error: slot add 1: size 0 is how KVM deletes a slot; try slot del 1", {0}},
    {{AT(0x200000, 0x400000), .huge = true, .file = "/etc/passwd"},
     -EINVAL,
     "error: slot add 5: -huge is for fresh memory, and file /etc/passwd has pages as they are; try one of -huge and -file",
     {AT(0x200000, 0x400000), .huge = true}},
    /* Overlaps: the place it names is free from every side that sees the slot, and not taken by a third. */
    {{AT(0x7f000, 0x2000)},
     -EEXIST,
     "error: slot add 5: gpa 0x7f000 to 0x80fff overlaps slot 1 (gpa 0x80000 to 0x8ffff, visible both) and 1 more; try gpa "
     "0x90000, which is free, or slot del 1 and the others",
     {AT(0x90000, 0x2000)}},
    {{AT(0, 0x80000)},
     -EEXIST,
     "error: slot add 5: gpa 0x0 to 0x7ffff overlaps slot 0 (gpa 0x0 to 0x7ffff, visible both); try gpa 0x110000, which is "
     "free, or slot del 0",
     {AT(0x110000, 0x80000)}},
    {{AT(0, 0x80000), .vis = SLOT_VIS_NONSMM},
     -EEXIST,
     "error: slot add 5: gpa 0x0 to 0x7ffff overlaps slot 0 (gpa 0x0 to 0x7ffff, visible both); try gpa 0x90000, which is "
     "free, "
     "or slot del 0",
     {AT(0x90000, 0x80000), .vis = SLOT_VIS_NONSMM}},
    {{AT(0x108000, 0x1000)},
     -EEXIST,
     "error: slot add 5: gpa 0x108000 to 0x108fff overlaps slot 7 (gpa 0x100000 to 0x10ffff, visible smm); try gpa "
     "0x110000, "
     "which is free, or slot del 7",
     {AT(0x110000, 0x1000)}},
    {{AT(0, 0x7fffffff000)},
     -EEXIST,
     "error: slot add 5: gpa 0x0 to 0x7ffffffefff overlaps slot 1 (gpa 0x80000 to 0x8ffff, visible both) and 2 more; try "
     "gpa "
     "0x110000, which is free, or slot del 1 and the others",
     {0}},
    /* A slot that is there. */
    {{.id = 0, .gpa = 0, .size = 0x80000, .flags = RO},
     -EINVAL,
     "error: slot add 0: readonly cannot be set on a slot that is there (gpa 0x0 to 0x7ffff, flags 0); try slot flags 0 "
     "+readonly, which deletes and creates it",
     {0}},
    {{.id = 1, .gpa = 0x80000, .size = 0x10000},
     -EINVAL,
     "error: slot add 1: readonly cannot be cleared on a slot that is there (gpa 0x80000 to 0x8ffff, flags 0x2); try slot "
     "flags "
     "1 -readonly, which deletes and creates it",
     {0}},
    {{.id = 0, .gpa = 0, .size = 0x1000},
     -EINVAL,
     "error: slot add 0: it is there with size 0x80000 at gpa 0x0 and cannot become 0x1000; try slot del 0, then slot add "
     "(its "
     "bytes are gone then), or id 2, which is free",
     {.id = 2, .gpa = 0x200000, .size = 0x1000}},
};

static void test_add(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(adds); i++) {
		const struct add_case *c = &adds[i];
		size_t n = machine_slots(m)->n;

		expect(machine_slot_add(m, &c->to, NULL, &e), c->rc, c->line);
		assert_int_equal(machine_slots(m)->n, n);
		if (!c->instead.size)
			continue;
		struct slot_change any;
		if (slot_check(machine_slots(m), &c->instead, &any, &e))
			fail_msg("what it says to try is refused: %s\n%s", c->line, e.why);
	}
}

/* Another hva, a file, large pages: other memory than the slot has. The hva is the host's, so not word for word. */
static void test_other_memory(void **state)
{
	struct slot_spec same = {.id = 0, .gpa = 0, .size = 0x80000}, to = same;
	char line[400];

	(void)state;
	slot_by_id(machine_slots(m), 0)->hva = HVA;
	to.hva = HVA + 0x1000;
	expect(machine_slot_add(m, &to, NULL, &e), -EINVAL,
	       "error: slot add 0: it is at hva 0x7f0000000000 and cannot be given another, 0x7f0000001000; try slot del 0, "
	       "then "
	       "slot add (its bytes are gone then)");
	to = same;
	to.file = "/etc/passwd";
	snprintf(line, sizeof(line),
		 "error: slot add 0: it is there with memory at hva 0x7f0000000000, which %s cannot take the "
		 "place of; try slot del 0, then slot add (its bytes are gone then)",
		 "file /etc/passwd");
	expect(machine_slot_add(m, &to, NULL, &e), -EINVAL, line);
	to.gpa = 0x200000; /* a move would forget the file, and succeed */
	expect(machine_slot_add(m, &to, NULL, &e), -EINVAL, line);
	to = same;
	to.huge = true;
	snprintf(line, sizeof(line),
		 "error: slot add 0: it is there with memory at hva 0x7f0000000000, which %s cannot take the "
		 "place of; try slot del 0, then slot add (its bytes are gone then)",
		 "memory of 2 MiB pages");
	expect(machine_slot_add(m, &to, NULL, &e), -EINVAL, line);
	assert_int_equal(machine_slot_add(m, &same, NULL, &e), 0);
}

static void test_no_free_id(void **state)
{
	struct slot_spec to = {.id = 3, .gpa = 0x200000, .size = 0x1000};

	(void)state;
	machine_slots(m)->limits.max_slots = 3;
	fake_add_slot(m, 2, 0x300000, 0x1000, 0);
	expect(machine_slot_add(m, &to, NULL, &e), -EINVAL,
	       "error: slot add 3: ids end at 2 on this host; try slot del of one that is not needed: all 3 are taken");
}

/* What the debugger keeps for itself is nobody's to delete; and where nothing fits, no place is named. */
static void test_own_in_the_way(void **state)
{
	struct slot_spec own = {.id = 9, .gpa = 0xfef00000, .size = 0x1000, .own = true},
			 to = {.id = 5, .gpa = 0xfef00000, .size = 0x1000};

	(void)state;
	assert_int_equal(machine_slot_add(m, &own, NULL, &e), 0);
	expect(machine_slot_add(m, &to, NULL, &e), -EEXIST,
	       "error: slot add 5: gpa 0xfef00000 to 0xfef00fff overlaps slot 9 (gpa 0xfef00000 to 0xfef00fff, visible "
	       "both, the "
	       "debugger's own); try gpa 0xfef01000, which is free");
	machine_slots(m)->limits.gpa_limit = 0xfef01000;
	expect(machine_slot_add(m, &to, NULL, &e), -EEXIST,
	       "error: slot add 5: gpa 0xfef00000 to 0xfef00fff overlaps slot 9 (gpa 0xfef00000 to 0xfef00fff, visible "
	       "both, the "
	       "debugger's own); try gpa 0x90000, which is free");
	to.gpa = 0x8f000;
	to.size = 0xfee00000;
	expect(machine_slot_add(m, &to, NULL, &e), -EEXIST,
	       "error: slot add 5: gpa 0x8f000 to 0xfee8efff overlaps slot 1 (gpa 0x80000 to 0x8ffff, visible both) and 1 "
	       "more; "
	       "try slot del 1 and the others");
	to.size = 0xfef00000; /* past the limit too: no deletion would help */
	expect(
	    machine_slot_add(m, &to, NULL, &e), -EEXIST,
	    "error: slot add 5: gpa 0x8f000 to 0xfef8efff overlaps slot 9 (gpa 0xfef00000 to 0xfef00fff, visible both, the "
	    "debugger's own) and 2 more; try a smaller slot");
}

/* ---- move, flags, del, dirty */

static void test_move(void **state)
{
	(void)state;
	expect(machine_slot_move(m, 1, 0x40000, NULL, &e), -EEXIST,
	       "error: slot move 1: gpa 0x40000 to 0x4ffff overlaps slot 0 (gpa 0x0 to 0x7ffff, visible both); try gpa "
	       "0x80000, "
	       "which is free, or slot del 0");
	expect(machine_slot_move(m, 1, 0x80001, NULL, &e), -EINVAL,
	       "error: slot move 1: gpa 0x80001 is not a multiple of 4 KiB (0x1000); try gpa 0x80000 or 0x81000");
	expect(
	    machine_slot_move(m, 1, 0xffffffffffff0000, NULL, &e), -EINVAL,
	    "error: slot move 1: gpa 0xffffffffffff0000 and size 0x10000 run past 2^64; try gpa 0xfffffffff0000 or lower");
	expect(machine_slot_move(m, 1, 0x10000000000000, NULL, &e), -EINVAL,
	       "error: slot move 1: gpa 0x10000000000000 to 0x1000000000ffff runs past the end of physical addresses, the "
	       "last is "
	       "0xfffffffffffff; try gpa 0xfffffffff0000 or lower");
	assert_int_equal(machine_slot_move(m, 1, 0xfffffffff0000, NULL, &e), 0);
}

static void test_flags(void **state)
{
	struct slot_spec out = {.id = 5, .gpa = 0x100000, .size = 0x10000, .vis = SLOT_VIS_NONSMM};

	(void)state;
	expect(machine_slot_flags(m, 0, RO, RO, 0, NULL, &e), -EINVAL,
	       "error: slot flags 0: 0x2 is both set and cleared; try one of the two");
	expect(machine_slot_flags(m, 0, 4, 0, 0, NULL, &e), -EINVAL,
	       "error: slot flags 0: flags 0x4: 0x4 is no flag; try readonly (0x2), log-dirty (0x1) or smram (0x1000000)");
	assert_int_equal(machine_slot_add(m, &out, NULL, &e), 0);
	/* A slot that is there has no gpa in its command: it is to be moved first. */
	expect(
	    machine_slot_flags(m, 7, 0, 0, SLOT_VIS_BOTH, NULL, &e), -EEXIST,
	    "error: slot flags 7: gpa 0x100000 to 0x10ffff overlaps slot 5 (gpa 0x100000 to 0x10ffff, visible non-smm); try "
	    "slot move 7 0x110000 first, or slot del 5");
	assert_int_equal(machine_slot_move(m, 7, 0x110000, NULL, &e), 0);
	assert_int_equal(machine_slot_flags(m, 7, 0, 0, SLOT_VIS_BOTH, NULL, &e), 0);
}

static void test_not_there(void **state)
{
	uint64_t *bits;
	size_t n;

	(void)state;
#define NONE(verb) "error: slot " verb " 77: there is no slot 77, only 0, 1, 7; try one of these, or info slots"
	expect(machine_slot_delete(m, 77, NULL, &e), -EINVAL, NONE("del"));
	expect(machine_slot_move(m, 77, 0, NULL, &e), -EINVAL, NONE("move"));
	expect(machine_slot_flags(m, 77, RO, 0, 0, NULL, &e), -EINVAL, NONE("flags"));
	expect(machine_slot_dirty(m, 77, false, &bits, &n, &e), -ENOENT, NONE("dirty"));
	for (uint32_t id = 10; id < 20; id++)
		fake_add_slot(m, id, 0x200000 + id * 0x1000, 0x1000, 0);
	expect(machine_slot_delete(m, 77, NULL, &e), -EINVAL,
	       "error: slot del 77: there is no slot 77, only 0, 1, 7, 10, 11, 12, 13, 14 and 5 more; try one of these, or "
	       "info "
	       "slots");
	while (machine_slots(m)->n)
		assert_int_equal(machine_slot_delete(m, machine_slots(m)->by_id[0]->id, NULL, &e), 0);
	expect(machine_slot_delete(m, 0, NULL, &e), -EINVAL,
	       "error: slot del 0: there is no slot 0, nor any other; try slot add");
}

static void test_no_bitmap(void **state)
{
	uint64_t *bits;
	size_t n;

	(void)state;
	expect(machine_slot_dirty(m, 1, false, &bits, &n, &e), -ENOENT,
	       "error: slot dirty 1: it has no dirty log, as log-dirty is not among its flags (0x2); try slot flags 1 "
	       "+log-dirty");
}

/* ---- files */

static void test_file(void **state)
{
	char path[] = "/tmp/kvmscope-words-XXXXXX", line[300];
	struct slot_spec spec = {.id = 5, .size = 0x3000, .file = path};
	int fd = mkstemp(path), out = -1;

	(void)state;
	assert_true(fd >= 0);
	snprintf(line, sizeof(line),
		 "error: slot 5: file %s is empty, and the slot wants 0x3000 bytes; try another file, or a "
		 "slot without -file",
		 path);
	expect(slot_file_open(&spec, &out, &e), -EINVAL, line);
	assert_int_equal(ftruncate(fd, 0x1001), 0);
	snprintf(line, sizeof(line),
		 "error: slot 5: file %s has 0x1001 bytes, which fill 0x2000, and the slot wants 0x3000; try "
		 "size 0x2000",
		 path);
	expect(slot_file_open(&spec, &out, &e), -EINVAL, line);
	spec.size = 0x2000;
	assert_int_equal(slot_file_open(&spec, &out, &e), 0);
	close(out);
	close(fd);
	unlink(path);
	snprintf(line, sizeof(line),
		 "error: slot 5: file %s cannot be opened for reading: No such file or directory; try the path "
		 "of a file that is there",
		 path);
	expect(slot_file_open(&spec, &out, &e), -ENOENT, line);
	spec.file = "/dev/zero";
	expect(slot_file_open(&spec, &out, &e), -EINVAL,
	       "error: slot 5: /dev/zero is not a regular file; try a regular file, or a slot without -file and restore "
	       "into it");
}

/* A name as long as one may be leaves what to do in its place. */
static void test_long_name(void **state)
{
	char path[5000];
	struct slot_spec spec = {.id = 5, .size = 0x1000, .file = path};
	int out;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(slot_file_open(&spec, &out, &e), -ENAMETOOLONG);
	assert_string_equal(e.next, "another file");
	assert_non_null(strstr(e.why, "cannot be opened for reading: File name too long"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_add),   T(test_other_memory), T(test_no_free_id), T(test_own_in_the_way), T(test_move),
	    T(test_flags), T(test_not_there),	 T(test_no_bitmap),  T(test_file),	     T(test_long_name),
	};

	return cmocka_run_group_tests_name("slot words", tests, NULL, NULL);
}
