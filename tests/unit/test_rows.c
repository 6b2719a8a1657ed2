/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Listings that are shown while they are made: a client that counts what it is given, and a guest with many mappings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "cli/cmd/table.h"
#include "cli/session/client.h"
#include "cli/session/interrupt.h"
#include "cli/session/rows.h"
#include "tests/support/fake.h"
#include "views/draw.h"
#include "views/json.h"

#define TABLES 40
#define ROWS (TABLES * 512u)

struct fixture {
	struct session s;
	struct client client;
	struct machine *m;
	struct pool *pool;
	struct call call;
	struct err e;
	/* What the client was given. */
	unsigned parts, ends;
	uint32_t rows, first, largest;
	uint64_t last_gva;
	char truncated[200];
	unsigned interrupts_in, leaves_in; /* in which part it presses Ctrl-C, or has enough; 0: in none */
	struct table_parts table;
	struct out text, json;
};

static void put64(struct machine *m, uint64_t gpa, uint64_t x)
{
	assert_int_equal(machine_write(m, gpa, false, &x, sizeof(x), NULL), 0);
}

/* Tables of pages whose rights take turns: no two rows are neighbours with the same rights. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->m = fake_create(1);
	f->pool = pool_create();
	fake_add_slot(f->m, 0, 0, 0x400000, 0);
	put64(f->m, 0x10000, 0x11007);
	put64(f->m, 0x11000, 0x12007);
	for (unsigned t = 0; t < TABLES; t++) {
		put64(f->m, 0x12000 + 8 * t, 0x100007 + 0x1000 * t);
		for (unsigned i = 0; i < 512; i++)
			put64(f->m, 0x100000 + 0x1000 * t + 8 * i, 0x1000 * i | (i & 1 ? 5 : 7));
	}
	fake_enter_long(f->m, 0, 3, 0x10000, 0x200000);
	assert_int_equal(debugger_init(&f->s.d, NULL), 0);
	f->s.d.m = f->m;
	out_init(&f->text, false, 0);
	out_init(&f->json, false, 0);
	f->text.parts = &f->table;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	interrupt_forget();
	table_parts_end(&f->table);
	out_deinit(&f->text);
	out_deinit(&f->json);
	debugger_deinit(&f->s.d);
	machine_destroy(f->m);
	pool_destroy(f->pool);
	free(f);
	return 0;
}

static uint64_t num(const struct value *v, const char *key)
{
	const struct value *x = v_get(v, key);

	assert_non_null(x);
	return x->hex;
}

static bool count_rows(struct client *c, const char *view, const struct value *part, bool last)
{
	struct fixture *f = CONTAINER_OF(c, struct fixture, client);

	if (!f->parts++)
		f->first = part->n;
	f->ends += last;
	f->rows += part->n;
	f->largest = part->n > f->largest ? part->n : f->largest;
	f->table.last = last;
	view_draw(&f->text, view, part);
	json_write_part(&f->json, part, f->parts == 1, last);
	if (part->n) {
		const struct value *row = &part->items[part->n - 1], *cut = v_get(row, "truncated");
		f->last_gva = num(row, v_get(row, "gva") ? "gva" : "start");
		snprintf(f->truncated, sizeof(f->truncated), "%s", cut ? get_str(cut, "why") : "");
	}
	if (f->parts == f->interrupts_in)
		interrupt_raise(0);
	return f->parts != f->leaves_in;
}

static const struct client_ops counting = {.rows = count_rows};

static const struct command *command_named(const char *name)
{
	for (const struct command *c = commands_mmu; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	fail_msg("no command %s", name);
	return NULL;
}

static int run(struct fixture *f, const char *name, const char *words, bool streams)
{
	static const char *argv[8];
	static char copy[100];

	f->client = (struct client){.s = &f->s, .ops = &counting};
	f->call = (struct call){.s = &f->s,
				.client = &f->client,
				.cmd = command_named(name),
				.view = command_named(name)->view,
				.pool = f->pool,
				.argv = argv,
				.streams = streams};
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[f->call.argc++] = w;
	err_clear(&f->e);
	return f->call.cmd->run(&f->call, &f->e);
}

static void test_parts(void **state)
{
	static const char *const names[] = {"info tlb", "info mem", "vmmap"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct fixture *f = (setup(state), *state);
		assert_int_equal(run(f, names[i], "", true), 0);
		assert_true(f->call.streamed);
		assert_int_equal(f->call.result.type, VALUE_NULL);
		assert_int_equal(f->rows, ROWS);
		assert_int_equal(f->ends, 1);
		assert_int_equal(f->last_gva, (ROWS - 1) * 0x1000ull);
		assert_string_equal(f->truncated, "");
		teardown(state);
	}
}

/* What is in memory does not grow with the listing, and the first rows do not wait for many. */
static void test_bounded(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "info tlb", "", true), 0);
	assert_in_range(f->first, 1, ROWS_FIRST);
	assert_in_range(f->largest, 1, ROWS_PART);
	assert_true(f->parts >= ROWS / ROWS_PART);
}

/* A script, and whoever is not to be shown parts, gets the value. */
static void test_whole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "info tlb", "", false), 0);
	assert_false(f->call.streamed);
	assert_int_equal(f->parts, 0);
	assert_int_equal(f->call.result.n, ROWS);
}

/* No more than a first part: the value, drawn as ever. */
static void test_few(void **state)
{
	struct fixture *f = *state;
	char words[40];

	snprintf(words, sizeof(words), "0 0x%x", ROWS_FIRST * 0x1000 - 1);
	assert_int_equal(run(f, "info tlb", words, true), 0);
	assert_int_equal(f->parts, 0);
	assert_int_equal(f->call.result.n, ROWS_FIRST);
	snprintf(words, sizeof(words), "0 0x%x", ROWS_FIRST * 0x1000);
	assert_int_equal(run(f, "info tlb", words, true), 0);
	assert_int_equal(f->rows, ROWS_FIRST + 1);
}

static void test_limit(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "info tlb", "-limit 10000", true), 0);
	assert_int_equal(f->rows, 10000);
	assert_string_equal(f->truncated,
			    "the first 10000 rows; there is more from 0x2710000 on: info tlb -limit N, or START END");
	assert_int_equal(f->ends, 1);
	assert_int_equal(run(f, "info mem", "-limit 1", true), 0);
	assert_string_equal(get_str(v_get(&f->call.result.items[0], "truncated"), "why"),
			    "the first row; there is more from 0x1000 on: info mem -limit N, or START END");
}

/* What has been shown stays, and says where it ends. */
static void test_interrupt(void **state)
{
	struct fixture *f = *state;

	f->interrupts_in = 2;
	assert_int_equal(run(f, "info tlb", "", true), 0);
	assert_true(f->rows < 3 * ROWS_PART);
	assert_int_equal(f->ends, 1);
	assert_non_null(strstr(f->truncated, "interrupted after "));
	assert_non_null(strstr(f->text.text, f->truncated));
}

/* Before anything was shown it is an error, as ever. */
static void test_interrupt_first(void **state)
{
	struct fixture *f = *state;

	interrupt_raise(0);
	assert_int_equal(run(f, "info tlb", "", true), -EINTR);
	assert_int_equal(f->parts, 0);
	assert_false(f->call.streamed);
}

/* A pager that is left. */
static void test_enough(void **state)
{
	struct fixture *f = *state;

	f->leaves_in = 2;
	assert_int_equal(run(f, "info tlb", "", true), 0);
	assert_int_equal(f->parts, 2);
	assert_int_equal(f->ends, 0);
	assert_true(f->call.streamed);
}

/* The text of all parts is one table: one head, every row in its columns; and one JSON list, as of the value. */
static void test_drawn(void **state)
{
	struct fixture *f = *state;
	struct out whole;
	size_t lines = 0, width = 0;

	assert_int_equal(run(f, "info tlb", "", true), 0);
	for (const char *p = f->text.text; *p; lines++) {
		size_t at = strcspn(p, "\n");
		const char *unit = memmem(p, at, "4 KiB", 5);
		assert_true(!lines == !unit);
		if (unit && !width)
			width = (size_t)(unit - p);
		if (unit)
			assert_int_equal(unit - p, width);
		p += at + 1;
	}
	assert_int_equal(lines, ROWS + 1);
	assert_int_equal(run(f, "info tlb", "", false), 0);
	out_init(&whole, false, 0);
	json_write(&whole, &f->call.result);
	assert_string_equal(f->json.text, whole.text);
	out_deinit(&whole);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parts), TEST(test_bounded),	      TEST(test_whole),	 TEST(test_few),   TEST(test_limit),
	    TEST(test_interrupt),	  TEST(test_interrupt_first), TEST(test_enough), TEST(test_drawn),
	};

	return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
