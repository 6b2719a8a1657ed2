/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * All that is known of the selected address: where it leads through the guest's tables, slot and host, and who else maps its
 * page: the rmap chain.
 */
#include <string.h>

#include "views/draw.h"
#include "views/tui/record_pane.h"

static void draw_address(struct out *o, const char *name, bool known, uint64_t x)
{
	out_styled(o, STYLE_HEAD, "%s ", name);
	if (known)
		out_styled(o, STYLE_ADDR, "0x%llx", (unsigned long long)x);
	else
		out_styled(o, STYLE_DIM, "none");
	out_text(o, "  ");
}

static void draw_selection(struct out *o, const struct place *sel)
{
	if (!sel->has_gva && !sel->has_gpa) {
		out_styled(o, STYLE_DIM, "Nothing is selected: Enter on a line or a cell, or `select ADDR`.");
		out_text(o, "\n");
		return;
	}
	draw_address(o, "gva", sel->has_gva, sel->gva);
	draw_address(o, "gpa", sel->has_gpa, sel->gpa);
	draw_address(o, "gfn", sel->has_gpa, sel->gpa >> PAGE_SHIFT);
	out_text(o, "\n");
}

/* Every guest virtual address that leads to the page, by its rmap; of code in SMM on a line of its own. */
static void draw_aliases(struct out *o, const struct value *rmaps, uint64_t space)
{
	unsigned n = 0;

	for (uint32_t i = 0; rmaps->type == VALUE_LIST && i < rmaps->n; i++) {
		const struct value *sptes = get_list(&rmaps->items[i], "sptes");
		if (get_num(&rmaps->items[i], "as") != space)
			continue;
		for (uint32_t j = 0; j < sptes->n; j++) {
			if (!has_num(&sptes->items[j], "gva"))
				continue;
			if (!n++)
				out_styled(o, STYLE_HEAD, "mapped%s at gva", space_words(&rmaps->items[i]));
			else if (o->width && out_column(o) + 18 > o->width)
				out_text(o, "\n ");
			out_text(o, " ");
			out_styled_hex(o, STYLE_ADDR, get_num(&sptes->items[j], "gva"));
		}
	}
	if (n)
		out_text(o, "\n");
}

static void draw_part(struct out *o, const char *title, const char *view, const struct seen *seen)
{
	if (!seen->at)
		return;
	out_styled(o, STYLE_HEAD, "%s", title);
	if (seen_word(seen)[0])
		out_styled(o, STYLE_WARN, "  %s", seen_word(seen));
	out_text(o, "\n");
	if (seen->error[0]) {
		out_styled(o, STYLE_WARN, "%s", seen->error);
		out_text(o, "\n");
	}
	if (seen->v.type != VALUE_NULL)
		view_draw(o, view, &seen->v);
}

/* The verdict alone: the way there is drawn for the read. */
static void draw_write(struct out *o, const struct value *walk)
{
	const char *verdict = get_str(walk, "verdict");

	out_styled(o, STYLE_HEAD, "a write: ");
	out_styled(o, strcmp(verdict, "ok") ? STYLE_WARN : STYLE_GOOD, "%s: ", verdict);
	out_wrapped(o, get_str(walk, "why"), 2);
}

static void update(struct pane *p, const struct scene *s)
{
	const struct seen *walk = &s->seen[SEEN_WALK], *rmap = &s->seen[SEEN_RMAP];
	struct out *o = record_pane_begin(p, s, walk->generation + rmap->generation + s->sel_generation);

	if (!o)
		return;
	draw_selection(o, &s->sel);
	if (s->sel.has_gpa) {
		draw_aliases(o, &rmap->v, 0);
		draw_aliases(o, &rmap->v, 1);
		draw_part(o, "who maps it", "rmap", rmap);
	}
	if (s->sel.has_gva && s->seen[SEEN_WRITE].v.type == VALUE_DICT)
		draw_write(o, &s->seen[SEEN_WRITE].v);
	if (s->sel.has_gva)
		draw_part(o, "how it is reached", "walk", walk);
	record_pane_end(p);
}

const struct pane_ops pane_selected = {
    .name = "selected",
    .title = "Selected",
    .about = "The selected address: gva, gpa, slot, hva, hpa, sptes, and the rmap chain of its page.",
    .size = sizeof(struct record_pane),
    RECORD_PANE_LINES,
    .needs = SEES(WALK) | SEES(WRITE) | SEES(RMAP),
    .update = update,
    .place = record_pane_place,
};
