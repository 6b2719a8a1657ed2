/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A tree of tables that unfolds: each entry that points to a table is a <details> with what is in that table.
 */
#include "views/dot.h"
#include "views/html/draw.h"

#define DEPTH_MAX 8
#define LINES_MAX 3000
#define OPEN_LINES 200 /* a tree with no more lines is shown unfolded */

struct fold {
	uint64_t level[DEPTH_MAX]; /* of the entries that are open */
	unsigned depth;
};

static void close_down_to(struct out *o, struct fold *f, uint64_t level)
{
	while (f->depth && f->level[f->depth - 1] <= level) {
		out_text(o, "</details>\n");
		f->depth--;
	}
}

static bool has_children(const struct value *rows, uint32_t i, const struct fold *f)
{
	return i + 1 < rows->n && f->depth < DEPTH_MAX &&
	       get_num(&rows->items[i + 1], "level") < get_num(&rows->items[i], "level");
}

void html_tree(struct out *o, const struct value *rows, html_line_fn *line)
{
	struct fold f = {.depth = 0};
	uint32_t i = 0, lines = 0;

	out_text(o, "<div class=\"tree\">\n");
	for (uint32_t n; i < rows->n && lines < LINES_MAX && !o->failed; i += n, lines++) {
		const struct value *row = &rows->items[i];
		close_down_to(o, &f, get_num(row, "level"));
		n = 1;
		if (has_children(rows, i, &f)) {
			out_text(o, rows->n <= OPEN_LINES || f.depth < 2 ? "<details open><summary>" : "<details><summary>");
			line(o, row, 1);
			out_text(o, "</summary>\n");
			f.level[f.depth++] = get_num(row, "level");
			continue;
		}
		n = run_of_leaves(rows, i);
		out_text(o, "<p>");
		line(o, row, n);
		out_text(o, "</p>\n");
	}
	close_down_to(o, &f, UINT64_MAX);
	if (!rows->n)
		out_text(o, "<p class=\"dim\">no entries</p>\n");
	out_text(o, "</div>\n");
	html_left_out(o, rows->n - i, "entries are left out");
}
