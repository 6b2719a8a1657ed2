/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The stages of the faults caught so far, and inside of one what its last stage changed.
 */
#include "views/draw.h"
#include "views/tui/record_pane.h"

struct fault_pane {
	struct record_pane record;
	size_t stages;	     /* lines of them, with the header */
	unsigned generation; /* that the cursor was put by */
};

static void draw_changes(struct out *o, const struct seen *changes)
{
	if (!changes->error[0] && changes->v.type == VALUE_NULL)
		return;
	out_text(o, "\n");
	out_styled(o, STYLE_HEAD, "what this stage changed");
	out_text(o, "\n");
	if (changes->error[0]) {
		out_styled(o, STYLE_DIM, "%s", changes->error);
		out_text(o, "\n");
	} else {
		view_draw(o, "diff", &changes->v);
	}
}

static size_t count_lines(const char *text, size_t n)
{
	size_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines;
}

/* The cursor goes along with the last stage. */
static void follow_last_stage(struct pane *p)
{
	struct fault_pane *f = p->own;

	if (f->generation == f->record.generation)
		return;
	f->generation = f->record.generation;
	p->cursor = f->stages ? f->stages - 1 : 0;
}

static void update(struct pane *p, const struct scene *s)
{
	const struct seen *stages = &s->seen[SEEN_STAGES], *changes = &s->seen[SEEN_CHANGES];
	struct fault_pane *f = p->own;
	struct out *o = record_pane_begin(p, s, stages->generation + changes->generation + s->parked);

	if (!o)
		return;
	if (stages->v.type != VALUE_NULL)
		view_draw(o, "stages", &stages->v);
	if (stages->v.type == VALUE_LIST && !stages->v.n)
		out_nothing(o, "`catch fault`, or `catch fault GFN`, and c: the guest then stands still inside its faults");
	f->stages = count_lines(o->text, o->len);
	if (s->parked)
		draw_changes(o, changes);
	record_pane_end(p);
	follow_last_stage(p);
}

static void subtitle(const struct pane *p, const struct scene *s, struct out *o)
{
	if (s->parked)
		out_styled(o, STYLE_WARN, "a vCPU stands in a fault: f goes one stage further");
	else
		record_pane_subtitle(p, s, o);
}

static bool place(const struct pane *p, const struct scene *s, size_t i, struct place *out)
{
	const struct value *rows = &s->seen[SEEN_STAGES].v;
	const struct fault_pane *f = p->own;

	if (i < f->stages)
		return i && rows->type == VALUE_LIST && i - 1 < rows->n && place_of_record(&rows->items[i - 1], out);
	return record_pane_place(p, s, i, out);
}

const struct pane_ops pane_fault = {
    .name = "fault",
    .title = "Fault",
    .about = "The stages of the faults caught so far: live ones stood still, recorded ones are told afterwards.",
    .size = sizeof(struct fault_pane),
    RECORD_PANE_LINES,
    .needs = SEES(STAGES) | SEES(CHANGES),
    .seen = SEEN_STAGES,
    .subtitle = subtitle,
    .update = update,
    .place = place,
    .header = 1,
};
