/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What keys do outside of the command line: first the pane's own meaning, then that of the screens.
 */
#include <stdio.h>
#include <string.h>

#include "cli/session/go.h"
#include "cli/tui/tui_impl.h"

static struct layout *layout_of(struct tui *t)
{
	return &t->preset[t->now];
}

/* ---- what a pane answers */

static void select_place(struct tui *t, const struct place *at)
{
	struct session *s = t->client->s;

	selection_choose(&s->sel, s->d.m, s->vcpu, at);
	s->sel_chosen = true;
}

static bool act(struct tui *t, struct pane *p, unsigned did, const struct pane_reply *r)
{
	if (did & PANE_SELECT)
		select_place(t, &r->place);
	if (did & PANE_LOOK)
		collect_again(&t->looks, p->ops->needs);
	if (did & PANE_EDIT)
		edit_begin(t, EDIT_COMMAND, r->line);
	if (did & PANE_COMMAND)
		tui_run_line(t, r->line);
	t->dirty |= did != PANE_IGNORED;
	return did != PANE_IGNORED;
}

static bool pane_took(struct tui *t, int key)
{
	struct pane *p = tui_focused(t);
	struct pane_reply r = {.line = ""};

	return p && act(t, p, pane_key(p, &t->looks.scene, key, &r), &r);
}

/* ---- mouse */

static void take_mouse(struct tui *t, const struct mouse *m)
{
	struct layout *l = layout_of(t);
	int i = layout_at(l, m->row, m->col);
	struct pane_reply r = {.line = ""};
	struct mouse inside = *m;

	if (i < 0) {
		if (m->row + 2 == t->term.rows)
			edit_begin(t, EDIT_COMMAND, NULL);
		return;
	}
	if (m->button == MOUSE_PRESS || m->button == MOUSE_DOUBLE) {
		l->focus = i;
		edit_leave(t);
	}
	t->dirty = true;
	struct pane *p = tui_pane_of(t, l->node[i].ops);
	if (!p || m->row == l->node[i].row)
		return;
	inside.row = m->row - l->node[i].row - 1;
	inside.col = m->col - l->node[i].col;
	act(t, p, pane_mouse(p, &t->looks.scene, &inside, &r), &r);
}

/* ---- keys of the screens */

static void run_at_selection(struct tui *t, const char *command)
{
	const struct place *at = &t->client->s->sel.at;
	char line[64];

	if (!at->has_gva) {
		snprintf(t->note, sizeof(t->note), "%s: no virtual address is selected", command);
		return;
	}
	snprintf(line, sizeof(line), "%s *0x%llx", command, (unsigned long long)at->gva);
	tui_run_line(t, line);
}

static void step_selection(struct tui *t, int by)
{
	struct session *s = t->client->s;

	if (!selection_step(&s->sel, s->d.m, s->vcpu, by))
		snprintf(t->note, sizeof(t->note), "nothing was selected %s that", by < 0 ? "before" : "after");
	else
		s->sel_chosen = true;
}

static void stop_or_go_on(struct tui *t)
{
	if (go_is_under_way(t->client->s))
		go_interrupt(t->client->s);
	else
		tui_run_line(t, "continue");
}

static void search_again(struct tui *t, bool backwards)
{
	struct pane *p = tui_focused(t);

	if (!p || !pane_search(p, &t->looks.scene, p->pattern, backwards))
		snprintf(t->note, sizeof(t->note), "not found: %.60s", p ? p->pattern : "");
}

/* Keys that change how panes stand. */
static bool layout_key(struct tui *t, int key)
{
	struct layout *l = layout_of(t);

	switch (key) {
	case '\t':
		layout_focus_next(l, 1);
		break;
	case TUI_KEY_BACK_TAB:
		layout_focus_next(l, -1);
		break;
	case 'z':
		l->zoomed = !l->zoomed;
		break;
	case 'x':
		layout_hide(l);
		break;
	case 'X':
		layout_show_all(l);
		break;
	case '(':
	case ')':
		layout_grow(l, true, key == ')' ? 5 : -5);
		break;
	case '{':
	case '}':
		layout_grow(l, false, key == '}' ? 5 : -5);
		break;
	default:
		return false;
	}
	return true;
}

/* Keys that are commands. */
static bool command_key(struct tui *t, int key)
{
	switch (key) {
	case 's':
		tui_run_line(t, "stepi");
		break;
	case 'n':
		tui_run_line(t, "nexti");
		break;
	case 'c':
		tui_run_line(t, "continue");
		break;
	case 'f':
		tui_run_line(t, "fault step");
		break;
	case ' ':
		stop_or_go_on(t);
		break;
	case 'u':
		run_at_selection(t, "until");
		break;
	case 'b':
		run_at_selection(t, "break");
		break;
	default:
		return false;
	}
	return true;
}

static bool edit_key_begins(struct tui *t, int key)
{
	switch (key) {
	case ':':
		edit_begin(t, EDIT_COMMAND, NULL);
		break;
	case '/':
		edit_begin(t, EDIT_SEARCH, NULL);
		break;
	case 'g':
		edit_begin(t, EDIT_COMMAND, "select ");
		break;
	default:
		return false;
	}
	return true;
}

static void screen_key(struct tui *t, int key)
{
	if (layout_key(t, key) || command_key(t, key) || edit_key_begins(t, key))
		return;
	switch (key) {
	case '<':
	case TUI_KEY_BACKSPACE:
		step_selection(t, -1);
		break;
	case '>':
		step_selection(t, 1);
		break;
	case 'N':
	case 'P':
		search_again(t, key == 'P');
		break;
	case '?':
		t->help = true;
		t->help_top = 0;
		break;
	case 'q':
		t->leave = true;
		break;
	default:
		break;
	}
}

/* ---- what keys mean wherever the focus is */

static bool key_everywhere(struct tui *t, int key, const struct mouse *m)
{
	if (key >= TUI_KEY_F1 + 1 && key <= TUI_KEY_F1 + PRESETS) {
		t->now = key - TUI_KEY_F1 - 1;
		t->help = false;
		edit_leave(t);
	} else if (key == TUI_KEY_MOUSE) {
		take_mouse(t, m);
	} else if (key == KEY_CTRL('l')) {
		terminal_resume(&t->term);
	} else if (key == KEY_CTRL('x')) {
		t->prefix = true;
	} else {
		return false;
	}
	return true;
}

/* Behind C-x: readline's own meanings if the keys go there, but for these. */
static void prefixed_key(struct tui *t, int key)
{
	t->prefix = false;
	if (key == 'a' || key == KEY_CTRL('a')) {
		t->leave = true;
	} else if (key == 'o') {
		edit_leave(t);
		layout_focus_next(layout_of(t), 1);
	} else if (key == ':') {
		t->stay_editing = true;
		edit_begin(t, EDIT_COMMAND, NULL);
	} else if (t->editing) {
		edit_key(t, KEY_CTRL('x'));
		edit_key(t, key);
	}
}

/* Keys while the keys are shown: some scroll, any other one goes back. */
static void help_key(struct tui *t, int key)
{
	if (key == TUI_KEY_DOWN || key == 'j')
		t->help_top++;
	else if (key == TUI_KEY_UP || key == 'k')
		t->help_top -= t->help_top > 0;
	else if (key == TUI_KEY_PAGE_DOWN || key == ' ')
		t->help_top += t->term.rows / 2;
	else if (key == TUI_KEY_PAGE_UP)
		t->help_top -= MIN(t->help_top, t->term.rows / 2);
	else
		t->help = false;
}

static void key_while_editing(struct tui *t, int key)
{
	if (key == TUI_KEY_ESCAPE) {
		edit_leave(t);
	} else if (key == TUI_KEY_PAGE_UP || key == TUI_KEY_PAGE_DOWN) {
		struct pane_reply r = {.line = ""};
		struct pane *output = tui_pane_of(t, &pane_output);
		if (output)
			pane_key(output, &t->looks.scene, key, &r);
	} else {
		edit_key(t, key);
	}
}

void tui_key(struct tui *t, int key, const struct mouse *m)
{
	tui_place(t); /* what the key before has changed may not have been drawn yet */
	t->dirty = true;
	t->note[0] = '\0';
	if (t->prefix)
		prefixed_key(t, key);
	else if (key_everywhere(t, key, m))
		return;
	else if (t->help)
		help_key(t, key);
	else if (t->editing)
		key_while_editing(t, key);
	else if (!pane_took(t, key))
		screen_key(t, key);
}
