/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Slots: the table, and one slot after a change with the steps that it took or the pages found dirty.
 */
#include "views/draw.h"

static void cell_flags(struct out *o, const struct value *row)
{
	const struct value *flags = get_list(row, "flags");

	out_words(o, flags, get_truth(row, "own") ? "" : "-");
	if (get_truth(row, "own"))
		out_text(o, flags->n ? " own" : "own");
}

static const struct column slot_columns[] = {
    {.key = "id"},
    {.key = "as", .kind = COL_SHARED, .title = "address space"},
    {.key = "gpa", .style = STYLE_ADDR},
    {.key = "size", .kind = COL_SIZE},
    {.key = "hva"},
    {.key = "visible", .left = true},
    {.key = "flags", .kind = COL_CELL, .cell = cell_flags},
    {.key = "guest_memfd", .optional = true},
    {.key = "guest_memfd_offset", .title = "offset", .optional = true},
    {.key = "attributes", .optional = true, .left = true},
    {.key = "generation", .kind = COL_SHARED},
    {.key = "source", .kind = COL_SHARED},
    {.key = "live", .kind = COL_SHARED, .optional = true},
};

void view_slots(struct out *o, const struct value *v)
{
	if (!v->n)
		out_nothing(o, "no slots");
	table_draw(o, slot_columns, ARRAY_LEN(slot_columns), v);
}

static void draw_steps(struct out *o, const struct value *steps)
{
	for (uint32_t i = 0; i < steps->n; i++) {
		out_styled(o, STYLE_DIM, "%u. ", i + 1);
		out_inline(o, &steps->items[i]);
		out_text(o, "\n");
	}
}

/* Dirty gfns as ranges: "0x40-0x43". */
static void draw_dirty(struct out *o, const char *what, const struct value *dirty)
{
	out_styled(o, STYLE_BOLD, "%s: ", what);
	out_plural(o, dirty->n, "page", "pages");
	for (uint32_t i = 0, j; i < dirty->n; i = j) {
		uint64_t first = dirty->items[i].hex;
		for (j = i + 1; j < dirty->n && dirty->items[j].hex == first + (j - i); j++)
			;
		out_text(o, i ? ", " : ": gfn ");
		out_styled_hex(o, STYLE_ADDR, first);
		if (j - i > 1) {
			out_text(o, "-");
			out_styled_hex(o, STYLE_ADDR, first + (j - i) - 1);
		}
	}
	out_text(o, "\n");
}

static const struct column ring_columns[] = {
    {.key = "vcpu"},
    {.key = "n"},
    {.key = "gfn", .style = STYLE_ADDR},
    {.key = "offset"},
    {.key = "as", .kind = COL_SHARED, .title = "address space"},
    {.key = "flags", .kind = COL_CELL, .cell = cell_flags},
};

static void draw_ring(struct out *o, const struct value *v)
{
	const struct value *ring = get_list(v, "ring");
	uint64_t lost = get_num(v, "ring_lost"), full = get_num(v, "ring_full");

	out_styled(o, STYLE_BOLD, "ring: ");
	out_plural(o, ring->n, "entry", "entries");
	out_textf(o, ", of %u that a ring has", (unsigned)get_num(v, "ring_entries"));
	if (full)
		out_textf(o, "; full %llu time%s", (unsigned long long)full, full == 1 ? "" : "s");
	if (lost)
		out_textf(o, "; %llu more were not kept", (unsigned long long)lost);
	out_text(o, "\n");
	if (ring->n)
		table_draw(o, ring_columns, ARRAY_LEN(ring_columns), ring);
}

static void draw_prefault(struct out *o, const struct value *v)
{
	out_styled(o, STYLE_BOLD, "mapped ahead: ");
	out_text(o, "gpa ");
	out_styled_hex(o, STYLE_ADDR, get_num(v, "first"));
	out_text(o, " to ");
	out_styled_hex(o, STYLE_ADDR, get_num(v, "last"));
	out_textf(o, " for vCPU %u", (unsigned)get_num(v, "vcpu"));
	if (v_get(v, "mapped")) {
		out_text(o, ", ");
		out_plural(o, get_num(v, "mapped"), "address has its sptes", "addresses have their sptes");
		out_textf(o, ", %llu left out (not accessed yet)", (unsigned long long)get_num(v, "not_accessed"));
	} else {
		out_text(o, ", by ");
		out_plural(o, get_num(v, "calls"), "call of KVM_PRE_FAULT_MEMORY", "calls of KVM_PRE_FAULT_MEMORY");
	}
	out_text(o, "\n");
}

void view_slot(struct out *o, const struct value *v)
{
	struct value row = *v, list = {.type = VALUE_LIST, .n = 1, .items = &row};

	table_draw(o, slot_columns, ARRAY_LEN(slot_columns), &list);
	draw_steps(o, get_list(v, "steps"));
	if (v_get(v, "dirty"))
		draw_dirty(o, "dirty", get_list(v, "dirty"));
	if (v_get(v, "dirty_smm") && get_list(v, "dirty_smm")->n) {
		draw_dirty(o, "outside SMM", get_list(v, "dirty_non_smm"));
		draw_dirty(o, "inside SMM", get_list(v, "dirty_smm"));
	}
	if (v_get(v, "bytes"))
		draw_prefault(o, v);
	if (v_get(v, "ring"))
		draw_ring(o, v);
	if (get_truth(v, "deleted"))
		out_nothing(o, "deleted");
}
