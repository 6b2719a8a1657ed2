/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rows of both sides' page tables, for tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/tableguest.h"
#include "tests/support/tablerows.h"

static void ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

/* ---- rows as text: depth by indentation, levels, address, the guest's, the host's, marks */

static const char *mark_words(const struct trees_row *r, char *buf, size_t size)
{
	static const char *const word[] = {"guest-only", "stale",    "not-writable", "narrower", "wider",
					   "a-guest",	 "a-host",   "d-guest",	     "d-host",	 "level",
					   "mmio",	 "host-own", "reserved",     "loop"};
	static const char *const why[] = {"", ":readonly", ":file", ":table", ":log", ":clean"};
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < ARRAY_LEN(word) && n < size; i++)
		if (r->marks & 1u << i)
			n += (size_t)snprintf(buf + n, size - n, " %s%s", word[i],
					      1u << i == TREES_NOT_WRITABLE ? why[r->why] : "");
	return buf;
}

static size_t row_text(const struct trees_row *r, char *buf, size_t size)
{
	static const char *const table[] = {"", " (empty)", " (no memory)", " (unreadable)"};
	char marks[200];
	size_t n = 0;
#define ADD(...) n += (size_t)snprintf(buf + n, size - n, __VA_ARGS__)

	ADD("%*s%c%llx", 2 * (int)r->depth, "", !r->foldable ? ' ' : r->open ? '-' : '+', (unsigned long long)r->first);
	if (!r->depth)
		ADD(" root%s", r->by_gpa ? " gpa" : "");
	else
		ADD(" %u/%u", r->guest_level, r->host_level);
	if (r->has_guest)
		ADD(" %llx%s%s%s", (unsigned long long)r->gpa, r->entry_rights & ACCESS_WRITE ? "w" : "",
		    r->entry_rights & ACCESS_USER ? "u" : "", r->entry_rights & ACCESS_FETCH ? "x" : "");
	if (r->spte)
		ADD(" | %llx%s%s%s", (unsigned long long)r->spte->gfn, r->spte->writable ? "w" : "",
		    r->spte->user ? "u" : "", r->spte->exec ? "x" : "");
	ADD("%s%s\n", mark_words(r, marks, sizeof(marks)), table[r->table]);
#undef ADD
	return n;
}

void rows_expect(const struct table_trees *t, const char *text)
{
	static char got[1 << 16];
	struct trees_row r;
	size_t n = 0;

	got[0] = '\0';
	for (size_t i = 0; trees_row(t, i, &r) && n + 300 < sizeof(got); i++)
		n += row_text(&r, got + n, sizeof(got) - n);
	if (strcmp(got, text))
		fail_msg("rows are\n%sinstead of\n%s", got, text);
}

struct table_trees *rows_look(struct machine *m)
{
	struct table_trees *t = NULL;
	struct err e = {0};

	ok(trees_look(&t, m, 0, &e), &e);
	return t;
}

void rows_look_again(struct table_trees **t, struct machine *m)
{
	struct err e = {0};

	ok(trees_look(t, m, 0, &e), &e);
}

size_t rows_find(const struct table_trees *t, uint64_t addr)
{
	size_t i = 0;

	assert_true(trees_find(t, false, addr, &i, NULL));
	return i;
}

struct trees_row rows_at(const struct table_trees *t, uint64_t addr)
{
	struct trees_row r;

	assert_true(trees_row(t, rows_find(t, addr), &r));
	return r;
}

void rows_check_numbers(const struct table_trees *t)
{
	size_t n = trees_count(t), i, found, disagree = 0;
	uint64_t before = 0;
	struct trees_row r, p;

	assert_false(trees_row(t, n, &r));
	for (i = 0; i < n; i++) {
		assert_true(trees_row(t, i, &r));
		assert_int_equal(trees_parent(t, i, &found), r.depth > 0);
		if (!r.depth)
			continue;
		assert_true(r.first >= before);
		before = r.first;
		assert_true(trees_row(t, found, &p));
		assert_true(found < i && p.open && p.depth == r.depth - 1);
		assert_true(p.first <= r.first && r.last <= p.last);
		disagree += (r.marks & TREES_DISAGREE) != 0;
		if (!r.open && !r.by_gpa) {
			assert_true(trees_find(t, false, r.first, &found, NULL));
			assert_true(found == i || (found > i && r.open));
		}
	}
	for (found = 0; trees_next(t, found, false, TREES_DISAGREE, &i); found = i)
		disagree--;
	assert_int_equal(disagree, 0);
}

void rows_close(struct machine *m, struct table_trees *t)
{
	if (t)
		rows_check_numbers(t);
	trees_destroy(t);
	tableguest_destroy(m);
}
