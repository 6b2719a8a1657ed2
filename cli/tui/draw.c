/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The frame: panes with their titles, the command line, the status line, the keys.
 */
#include <stdio.h>
#include <string.h>

#include "cli/tui/tui_impl.h"
#include "views/draw.h"

#define BOTTOM_ROWS 2 /* command line, status line */

static struct layout *layout_of(struct tui *t)
{
	return &t->preset[t->now];
}

static int number_of(const struct pane_ops *ops)
{
	for (int i = 0; pane_list[i]; i++)
		if (pane_list[i] == ops)
			return i;
	return -1;
}

struct pane *tui_pane_of(struct tui *t, const struct pane_ops *ops)
{
	int i = number_of(ops);

	if (i < 0 || i >= LAYOUT_NODES)
		return NULL;
	if (!t->pane[i])
		t->pane[i] = pane_create(ops);
	return t->pane[i];
}

struct pane *tui_focused(struct tui *t)
{
	const struct layout_node *n = &layout_of(t)->node[layout_of(t)->focus];

	return n->placed ? tui_pane_of(t, n->ops) : NULL;
}

static bool too_small(const struct tui *t)
{
	return t->term.rows < TERMINAL_LEAST_ROWS || t->term.cols < TERMINAL_LEAST_COLS;
}

uint32_t tui_needs(const struct tui *t)
{
	const struct layout *l = &t->preset[t->now];
	uint32_t needs = SEES(STOP) | SEES(VCPUS);

	for (int i = 0; i < l->n; i++) {
		const struct layout_node *n = &l->node[i];
		const struct pane *p = n->placed ? t->pane[number_of(n->ops)] : NULL;
		if (p)
			needs |= n->ops->needs;
	}
	return too_small(t) ? 0 : needs;
}

/* ---- panes */

static uint32_t rule(const struct tui *t, uint32_t line, uint32_t ascii)
{
	return t->term.ascii ? ascii : line;
}

static void draw_title(struct tui *t, const struct layout_node *n, const struct pane *p, struct area a, bool focus)
{
	struct out o;

	for (unsigned col = 0; col < a.cols; col++)
		area_cell(a, 0, col, rule(t, 0x2500, '-'), TONE_RULE, 0);
	unsigned col = area_textf(a, 0, 1, focus ? TONE_FOCUS : TONE_TITLE, " %s ", n->ops->title);
	if (!n->ops->subtitle)
		return;
	out_init(&o, true, a.cols);
	o.ascii = t->term.ascii;
	n->ops->subtitle(p, &t->looks.scene, &o);
	if (o.len) {
		unsigned behind = col + 2 + (unsigned)out_column(&o);
		area_cell(a, 0, col + 1, ' ', TONE_PLAIN, 0);
		area_styled(a, 0, col + 2, o.text, o.len, 0);
		area_cell(a, 0, behind, ' ', TONE_PLAIN, 0);
	}
	out_deinit(&o);
}

static void draw_pane(struct tui *t, int i, struct area a)
{
	const struct layout *l = layout_of(t);
	const struct layout_node *n = &l->node[i];
	struct pane *p = tui_pane_of(t, n->ops);
	struct area all = area_part(a, n->row, n->col, n->rows, n->cols);
	bool focus = l->focus == i && !t->editing;

	if (!p)
		return;
	pane_draw(p, &t->looks.scene, area_part(all, 1, 0, n->rows - 1, n->cols), focus);
	draw_title(t, n, p, all, focus);
	if (n->ops == &pane_console)
		t->console_seen = t->text[TEXT_CONSOLE].dropped + t->text[TEXT_CONSOLE].n;
	for (unsigned row = 0; row < n->rows && n->col + n->cols < a.cols; row++)
		area_cell(a, n->row + row, n->col + n->cols, rule(t, 0x2502, '|'), TONE_RULE, 0);
}

/* ---- the last two lines */

static const char *what_to_press(const struct tui *t)
{
	return t->help ? "Up, Down, PgUp and PgDn scroll; any other key leads back"
		       : "press : for a command, ? for the keys, F2 to F6 for other panes";
}

static void draw_command_line(struct tui *t, struct area a)
{
	unsigned col, cursor, skip = 0;

	if (!t->editing) {
		area_text(a, 0, 0, t->note[0] ? TONE_WARN : TONE_DIM, t->note[0] ? t->note : what_to_press(t));
		return;
	}
	col = area_text(a, 0, 0, TONE_BOLD, edit_prompt(t));
	cursor = edit_column(t);
	if (col + cursor >= a.cols)
		skip = col + cursor - a.cols + 1;
	area_styled(a, 0, col, edit_text(t), strlen(edit_text(t)), skip);
	t->grid.cursor_shown = true;
	t->grid.cursor_row = a.row;
	t->grid.cursor_col = a.col + col + cursor - skip;
}

static unsigned draw_state(const struct tui *t, struct area a, unsigned col)
{
	const struct scene *s = &t->looks.scene;
	const struct value *stop = &s->seen[SEEN_STOP].v;

	if (!s->has_vm)
		return area_text(a, 0, col, TONE_STATUS, "no VM");
	if (s->running)
		return area_text(a, 0, col, TONE_ALARM, " running ");
	if (t->progress[0])
		return area_textf(a, 0, col, TONE_ALARM, " %s ", t->progress);
	if (stop->type != VALUE_DICT)
		return area_text(a, 0, col, TONE_STATUS, "stopped");
	if (!strcmp(get_str(stop, "reason"), "none"))
		return area_text(a, 0, col, TONE_STATUS, "has not run yet");
	col = area_textf(a, 0, col, s->parked ? TONE_ALARM : TONE_STATUS, "%s", get_str(stop, "reason"));
	if (has_num(stop, "vector"))
		col = area_textf(a, 0, col, TONE_STATUS, " %llu", (unsigned long long)get_num(stop, "vector"));
	if (has_num(stop, "cr2"))
		col = area_textf(a, 0, col, TONE_STATUS, " cr2 0x%llx", (unsigned long long)get_num(stop, "cr2"));
	return area_textf(a, 0, col, TONE_STATUS, " at 0x%llx",
			  (unsigned long long)get_num(stop, has_num(stop, "pc") ? "pc" : "rip"));
}

static void draw_status(struct tui *t, struct area a)
{
	static const char hints[] = "F2 map F3 tables F4 fault F5 cpu F6 all ? keys q prompt";
	const struct scene *s = &t->looks.scene;
	const struct scrollback *console = &t->text[TEXT_CONSOLE];
	struct session *session = t->client->s;

	for (unsigned col = 0; col < a.cols; col++)
		area_cell(a, 0, col, ' ', TONE_STATUS, 0);
	unsigned col = area_textf(a, 0, 1, TONE_STATUS, "%s %s ", s->has_vm ? machine_backend(session->d.m) : "",
				  session->image ? image_name(session->image) : "");
	if (s->vcpus > 1)
		col = area_textf(a, 0, col, TONE_STATUS, "vCPU %u of %u ", s->vcpu, s->vcpus);
	col = draw_state(t, a, col);
	if (console->dropped + console->n > t->console_seen)
		col = area_text(a, 0, col + 1, TONE_ALARM, " the guest prints: console ");
	if (a.cols > col + sizeof(hints) + 1)
		area_text(a, 0, a.cols - sizeof(hints), TONE_STATUS, hints);
}

/* ---- keys */

static unsigned draw_keys(struct area a, unsigned row, const char *title, const struct key_row *keys)
{
	char name[16], other[16];

	area_text(a, row++, 1, TONE_HEAD, title);
	for (; keys->key; keys++) {
		unsigned col = area_text(a, row, 3, TONE_KEY, key_text(keys->key, name, sizeof(name)));
		if (keys->other)
			area_textf(a, row, col, TONE_KEY, ", %s", key_text(keys->other, other, sizeof(other)));
		area_text(a, row++, 20, TONE_PLAIN, keys->what);
	}
	return row + 1;
}

#define HELP_ROWS 200
static void draw_help(struct tui *t, struct area a)
{
	const struct pane *p = tui_focused(t);
	struct grid whole = {0};
	unsigned row = 0;

	if (grid_resize(&whole, HELP_ROWS, a.cols))
		return;
	struct area all = area_whole(&whole);
	if (p) {
		area_textf(all, row++, 1, TONE_HEAD, "%s", p->ops->title);
		area_text(all, row, 1, TONE_PLAIN, p->ops->about);
		row += 2;
		if (p->ops->keys)
			row = draw_keys(all, row, "Keys of this pane", p->ops->keys);
		if (p->ops->count)
			row = draw_keys(all, row, "Keys of every pane of lines", pane_line_keys);
	}
	row = draw_keys(all, row, "Keys everywhere", tui_keys);
	t->help_top = MIN(t->help_top, row > a.rows ? (size_t)(row - a.rows) : 0);
	area_clear(a);
	for (unsigned r = 0; r < a.rows && r + t->help_top < HELP_ROWS; r++)
		memcpy(a.grid->cells + (size_t)(a.row + r) * a.grid->cols + a.col,
		       whole.cells + (r + t->help_top) * whole.cols, a.cols * sizeof(struct cell));
	grid_deinit(&whole);
}

/* ---- all of it */

static void draw_too_small(struct tui *t)
{
	unsigned row = t->grid.rows / 2;

	area_textf(area_whole(&t->grid), row, 0, TONE_WARN, "too small: %ux%u, %ux%u is the least", t->term.cols,
		   t->term.rows, TERMINAL_LEAST_COLS, TERMINAL_LEAST_ROWS);
	area_text(area_whole(&t->grid), row + 1, 0, TONE_DIM, "q leads to the prompt");
}

void tui_draw(struct tui *t)
{
	struct layout *l = layout_of(t);
	unsigned rows = t->grid.rows;

	grid_clear(&t->grid);
	if (too_small(t)) {
		draw_too_small(t);
		return;
	}
	struct area panes = area_part(area_whole(&t->grid), 0, 0, rows - BOTTOM_ROWS, t->grid.cols);
	for (int i = 0; i < l->n; i++)
		if (l->node[i].placed)
			draw_pane(t, i, panes);
	if (t->help)
		draw_help(t, panes);
	draw_command_line(t, area_part(area_whole(&t->grid), rows - 2, 0, 1, t->grid.cols));
	draw_status(t, area_part(area_whole(&t->grid), rows - 1, 0, 1, t->grid.cols));
}

static bool follow_size(struct tui *t)
{
	terminal_follow_size(&t->term);
	if (t->grid.rows == t->term.rows && t->grid.cols == t->term.cols)
		return true;
	t->dirty = true;
	return !grid_resize(&t->grid, t->term.rows, t->term.cols);
}

/* Panes are made before it is asked what they need. */
void tui_place(struct tui *t)
{
	struct layout *l = layout_of(t);

	if (too_small(t))
		return;
	layout_place(l, t->term.rows - BOTTOM_ROWS, t->term.cols);
	for (int i = 0; i < l->n; i++)
		if (l->node[i].placed && !tui_pane_of(t, l->node[i].ops))
			l->node[i].placed = false;
}

void tui_refresh(struct tui *t)
{
	if (!follow_size(t))
		return;
	client_flush(t->client);
	tui_place(t);
	if (collect(&t->looks, tui_needs(t)))
		t->dirty = true;
	if (!t->dirty)
		return;
	t->dirty = false;
	tui_draw(t);
	terminal_put(&t->term, &t->grid);
	t->drawn_at = clock_now_ns();
}
