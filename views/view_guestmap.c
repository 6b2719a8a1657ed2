/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's mappings: one a line (`info tlb`), and folded into ranges (`info mem`).
 */
#include "views/draw.h"

static void cell_rights(struct out *o, const struct value *row)
{
	const struct value *flags = get_list(row, "flags");

	out_access(o, has_word(flags, "writable"), has_word(flags, "exec"), has_word(flags, "user"));
	if (has_word(flags, "accessed"))
		out_text(o, " accessed");
	if (has_word(flags, "dirty"))
		out_text(o, " dirty");
	if (has_word(flags, "global"))
		out_text(o, " global");
}

void view_tlb(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "gva", .style = STYLE_ADDR},
	    {.key = "gpa"},
	    {.key = "size", .kind = COL_SIZE},
	    {.key = "entry"},
	    {.key = "flags", .title = "rights", .kind = COL_CELL, .cell = cell_rights},
	};

	if (!v->n)
		out_nothing(o, "no mappings there");
	table_draw(o, columns, ARRAY_LEN(columns), v);
}

void view_mem(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "gva", .style = STYLE_ADDR},
	    {.key = "end", .style = STYLE_ADDR},
	    {.key = "size", .kind = COL_SIZE},
	    {.key = "flags", .title = "rights", .kind = COL_CELL, .cell = cell_rights},
	};

	if (!v->n)
		out_nothing(o, "no mappings there");
	table_draw(o, columns, ARRAY_LEN(columns), v);
}
