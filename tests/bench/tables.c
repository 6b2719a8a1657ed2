/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pane of page tables with 100,000 entries open, on the soft backend: a key and the picture after it against the same
 * with 1,000 open; and looking at all of it anew, as at each stop.
 */
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
}
