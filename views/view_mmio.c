/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Each vCPU's MMIO cache: what it holds, whether it would be believed now, whether it should be.
 */
#include "views/draw.h"

#include <string.h>

static bool is_by_gfn(const struct value *row)
{
	return !strcmp(get_str(row, "by"), "gfn");
}

static void cell_access(struct out *o, const struct value *row)
{
	if (get_num(row, "gva") || get_num(row, "gfn"))
		out_words(o, get_list(row, "access"), "read");
	else
		out_text(o, "-");
}

static void cell_state(struct out *o, const struct value *row)
{
	if (get_truth(row, "stale"))
		out_styled(o, STYLE_BAD, "hit, stale");
	else if (get_truth(row, "valid"))
		out_styled(o, STYLE_GOOD, is_by_gfn(row) ? "hit, by gfn" : "hit");
	else if (get_num(row, is_by_gfn(row) ? "gfn" : "gva"))
		out_styled(o, STYLE_WARN, "old generation");
	else
		out_text(o, "empty");
}

static void draw_stale(struct out *o, const struct value *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		const char *why = get_str(&v->items[i], "stale_why");
		if (!why[0])
			continue;
		out_styled(o, STYLE_BAD, "vcpu %u: ", (unsigned)get_num(&v->items[i], "vcpu"));
		out_textf(o, "%s\n", why);
	}
}

static void draw_sptes(struct out *o, const struct value *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		const struct value *sptes = get_list(&v->items[i], "sptes");
		if (!sptes->n)
			continue;
		out_styled(o, STYLE_BOLD, "MMIO sptes\n");
		view_sptes(o, sptes);
	}
}

void view_mmio(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "vcpu"},
	    {.key = "gva", .style = STYLE_ADDR},
	    {.key = "gfn"},
	    {.key = "access", .kind = COL_CELL, .cell = cell_access},
	    {.key = "generation", .title = "generation"},
	    {.key = "current_generation", .title = "current"},
	    {.key = "mmio_sptes", .title = "mmio sptes"},
	    {.key = "valid", .title = "state", .kind = COL_CELL, .cell = cell_state},
	    {.key = "source", .kind = COL_SHARED},
	    {.key = "live", .kind = COL_SHARED, .optional = true},
	};

	if (!v->n)
		out_nothing(o, "no vCPUs");
	table_draw(o, columns, ARRAY_LEN(columns), v);
	draw_stale(o, v);
	draw_sptes(o, v);
}
