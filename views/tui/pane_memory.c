/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bytes around the selection, in hex and as text, with the rights that its page has.
 */
#include <stdio.h>
#include <string.h>

#include "views/draw.h"
#include "views/tui/record_pane.h"

#define BYTES_A_LINE 16

/* "rwx user by the guest's tables, r by the sptes" of the page that was walked. */
static void draw_rights(struct out *o, const struct value *walk)
{
	const struct value *guest = get_list(walk, "guest"), *leaf = leaf_spte(walk);

	out_styled(o, STYLE_HEAD, "guest's tables ");
	if (guest->n) {
		const struct value *flags = get_list(&guest->items[guest->n - 1], "flags");
		out_words(o, flags, "not present");
	} else {
		out_text(o, "-");
	}
	out_styled(o, STYLE_HEAD, "  spte ");
	if (leaf)
		out_words(o, get_list(leaf, "flags"), "not present");
	else
		out_text(o, "none");
	out_text(o, "\n");
}

static void update(struct pane *p, const struct scene *s)
{
	const struct seen *memory = &s->seen[SEEN_MEMORY], *walk = &s->seen[SEEN_WALK];
	struct out *o = record_pane_begin(p, s, memory->generation + walk->generation);

	if (!o)
		return;
	if (s->sel.has_gva && walk->v.type == VALUE_DICT)
		draw_rights(o, &walk->v);
	else
		out_text(o, s->sel.has_gpa ? "guest physical memory\n" : "\n");
	if (memory->v.type != VALUE_NULL)
		view_draw(o, "bytes", &memory->v);
	record_pane_end(p);
}

/* The line's own address, which is physical if nothing but a gpa is selected. */
static bool place(const struct pane *p, const struct scene *s, size_t i, struct place *out)
{
	if (!i || !record_pane_place(p, s, i, out))
		return false;
	if (!s->sel.has_gva)
		*out = (struct place){.has_gpa = true, .gpa = out->gva};
	return true;
}

static bool find(const struct pane *p, const struct scene *s, size_t *i)
{
	uint64_t want = s->sel.has_gva ? s->sel.gva : s->sel.gpa;
	struct place at;

	for (size_t line = 1; line < record_pane_count(p); line++) {
		if (!place(p, s, line, &at))
			continue;
		uint64_t first = at.has_gva ? at.gva : at.gpa;
		if (want >= first && want - first < BYTES_A_LINE) {
			*i = line;
			return true;
		}
	}
	return false;
}

const struct pane_ops pane_memory = {
    .name = "memory",
    .title = "Memory",
    .about = "Bytes around the selection, in hex and as text, with the rights that its page has.",
    .size = sizeof(struct record_pane),
    RECORD_PANE_LINES,
    .needs = SEES(MEMORY) | SEES(WALK),
    .seen = SEEN_MEMORY,
    .subtitle = record_pane_subtitle,
    .update = update,
    .place = place,
    .find = find,
    .header = 1,
};
