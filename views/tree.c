/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Branches of trees in box-drawing characters, or in ASCII if the terminal is not UTF-8.
 */
#include "views/draw.h"

void tree_branch(struct out *o, struct tree *t, unsigned depth, bool last)
{
	if (depth > TREE_DEPTH_MAX)
		depth = TREE_DEPTH_MAX;
	out_begin(o, STYLE_DIM);
	for (unsigned d = 1; d < depth; d++)
		out_text(o, !t->more[d - 1] ? "   " : o->ascii ? "|  " : "│  ");
	if (depth)
		out_text(o, o->ascii ? (last ? "`- " : "|- ") : (last ? "└─ " : "├─ "));
	out_end(o, STYLE_DIM);
	t->depth = depth;
	if (depth)
		t->more[depth - 1] = !last;
}
