/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pane of page tables with 100,000 entries open, on the soft backend: a key and the picture after it against the same
 * with 1,000 open; and looking at all of it anew, as at each stop. And a listing of tables as a kernel with KASAN has them,
 * 16 TiB out of three tables, against a walk to one address for each entry that these have.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/tables.h"
#include "tests/bench/bench.h"
#include "views/tui/pane.h"

#define MANY 100000u
#define FEW 1000u
#define ROWS 40
#define COLS 120

struct showing {
	struct session *s;
	struct scene scene;
	struct pane *p;
	struct grid g;
};

static bool look(struct showing *w)
{
	struct err e = {0};

	if (trees_look(&w->scene.tables, w->s->d.m, 0, &e)) {
		bench_fail("%.100s: %.150s", e.what, e.why);
		return false;
	}
	w->scene.seen[SEEN_TABLES].generation++;
	return true;
}

/* As the loop does it: what the key wants is looked at, then all is drawn. */
static bool press(struct showing *w, int key)
{
	struct pane_reply reply;

	if ((pane_key(w->p, &w->scene, key, &reply) & PANE_LOOK) && !look(w))
		return false;
	grid_clear(&w->g);
	pane_draw(w->p, &w->scene, area_whole(&w->g), true);
	return true;
}

/* The table before the last closed and opened, and the cursor moved through it. */
static double keys(void *arg)
{
	static const int key[] = {TUI_KEY_END, TUI_KEY_LEFT, TUI_KEY_UP,   TUI_KEY_LEFT,
				  ' ',	       ' ',	     TUI_KEY_DOWN, TUI_KEY_PAGE_DOWN};
	struct showing *w = arg;
	double t = bench_now();

	for (unsigned i = 0; i < ARRAY_LEN(key); i++)
		if (!press(w, key[i]))
			return -1;
	return bench_now() - t;
}
#define KEYS 8

static double look_anew(void *arg)
{
	struct showing *w = arg;
	double t = bench_now();

	return look(w) ? bench_now() - t : -1;
}

static void close_showing(struct showing *w)
{
	trees_destroy(w->scene.tables);
	pane_destroy(w->p);
	grid_deinit(&w->g);
	bench_close(w->s);
}

static bool open_showing(struct showing *w, unsigned pages)
{
	w->s = bench_touched("soft", pages);
	w->p = pane_create(&pane_trees);
	w->scene.has_vm = true;
	if (!w->s || !w->p || grid_resize(&w->g, ROWS, COLS) || !look(w))
		return false;
	if (!press(w, TUI_KEY_HOME) || !press(w, '*'))
		return false;
	if (trees_count(w->scene.tables) < pages || trees_about(w->scene.tables)->sptes < pages) {
		bench_fail("only %zu rows and %zu sptes", trees_count(w->scene.tables), trees_about(w->scene.tables)->sptes);
		return false;
	}
	return true;
}

/* ---- shared tables */

#define SHARED_RAM 0x10000u
#define SHARED_ENTRIES (32 + 3 * 512)

static const void *shared_map(void *ctx, uint64_t gpa, size_t len)
{
	return gpa + len <= SHARED_RAM ? (const uint8_t *)ctx + gpa : NULL;
}

static int shared_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	const void *at = shared_map(ctx, gpa, size);

	if (at)
		memcpy(entry, at, size);
	return at ? 0 : -EFAULT;
}

static int count_page(void *arg, const struct guest_mapping *m)
{
	(void)m;
	++*(uint64_t *)arg;
	return 0;
}

static int count_span(void *arg, const struct guest_span *s)
{
	(void)s;
	++*(uint64_t *)arg;
	return 0;
}

struct shared {
	uint64_t ram[SHARED_RAM / 8];
	struct paging pg;
	struct paging_mem mem;
};

static double list_shared(void *arg)
{
	struct shared *t = arg;
	uint64_t n = 0;
	const struct paging_listing l = {
	    .last = UINT64_MAX, .page = count_page, .span = count_span, .arg = &n, .fold = true};
	double begin = bench_now();

	if (paging_list(&t->pg, &t->mem, &l))
		return bench_fail("the listing fails");
	return n < 10000 ? bench_now() - begin : bench_fail("%llu rows", (unsigned long long)n);
}

static double walk_shared(void *arg)
{
	struct shared *t = arg;
	double begin = bench_now();
	struct walk w;

	for (uint64_t i = 0; i < SHARED_ENTRIES; i++) {
		paging_walk(&t->pg, &t->mem, 0xffffec0000000000 + i * 0x40201000, ACCESS_READ, false, &w);
		if (w.fault.present)
			return bench_fail("a walk fails: %.150s", w.why);
	}
	return bench_now() - begin;
}

static void make_shared(struct shared *t)
{
	t->pg = (struct paging){.mode = PAGING_4LEVEL,
				.cr0 = CR0_PE | CR0_PG,
				.cr4 = CR4_PAE,
				.efer = EFER_LME | EFER_LMA | EFER_NXE,
				.cr3 = 0x1000,
				.maxphyaddr = 48};
	t->mem = (struct paging_mem){.ctx = t->ram, .read = shared_read, .map = shared_map};
	for (unsigned i = 0; i < 512; i++) {
		t->ram[0x1000 / 8 + i] = i >= 0x1d8 && i < 0x1f8 ? 0x2003 : 0;
		t->ram[0x2000 / 8 + i] = 0x3003;
		t->ram[0x3000 / 8 + i] = 0x4003;
		t->ram[0x4000 / 8 + i] = 0x5021;
	}
}

static void bench_shared(void)
{
	static struct shared t;
	const struct figure f = {
	    "16 TiB of shared tables: a walk an entry", list_shared, walk_shared, &t, &t, 15, 1, "us", 2, 0};

	make_shared(&t);
	bench_figure(&f);
}

void bench_tables(void)
{
	static struct showing many, few;
	const struct figure f[] = {
	    {"a key in 100,000 rows of tables: in 1,000", keys, keys, &many, &few, 15, KEYS, "us", 3, 2000},
	    {"100,000 rows of tables looked at anew", look_anew, NULL, &many, NULL, 15, 1, "ms", 0, 50},
	};

	if (!open_showing(&few, FEW) || !open_showing(&many, MANY))
		bench_skip(f[0].name, bench_why);
	else
		for (unsigned i = 0; i < ARRAY_LEN(f); i++)
			bench_figure(&f[i]);
	close_showing(&many);
	close_showing(&few);
	bench_shared();
}
