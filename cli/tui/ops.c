/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the prompt would print goes to panes: output, the log of stops, the guest's console.
 */
#include <stdio.h>
#include <string.h>

#include "cli/prompt/history.h"
#include "cli/tcl/tcl.h"
#include "cli/tui/tui_impl.h"
#include "views/draw.h"

struct tui *tui_of(struct client *c)
{
	return CONTAINER_OF(c, struct console, client)->tui;
}

static void take_diverted(void *arg, const char *text, size_t n)
{
	scrollback_add(arg, text, n, false);
}

/* What scripts and children have written stands before what comes now. */
static void take_written(struct tui *t)
{
	tcl_flush();
	divert_take(&t->divert, take_diverted, &t->text[TEXT_OUTPUT]);
}

void tui_add_output(struct tui *t, const char *text, size_t n, bool styled)
{
	take_written(t);
	scrollback_add(&t->text[TEXT_OUTPUT], text, n, styled);
	t->dirty = true;
}

/* For what a pane of text is to show: as wide as it is now, or as the terminal. */
static unsigned width_in(const struct tui *t, const struct pane_ops *pane)
{
	const struct layout *l = &t->preset[t->now];
	int node = layout_find(l, pane);

	return pane_text_cols(node >= 0 && l->node[node].placed ? l->node[node].cols : t->term.cols);
}

static unsigned width(struct client *c)
{
	return width_in(tui_of(c), &pane_output);
}

static void show_in(struct tui *t, enum text_id id, const char *view, const struct value *v)
{
	struct out o;

	out_init(&o, true, width_in(t, id == TEXT_LOG ? &pane_log : &pane_output));
	o.ascii = t->term.ascii;
	view_draw(&o, view, v);
	if (o.len && o.text[o.len - 1] != '\n')
		out_text(&o, "\n");
	if (id == TEXT_OUTPUT)
		tui_add_output(t, o.text, o.len, true);
	else
		scrollback_add(&t->text[id], o.text, o.len, true);
	out_deinit(&o);
}

static void show_value(struct client *c, const char *view, const struct value *v)
{
	struct tui *t = tui_of(c);

	show_in(t, TEXT_OUTPUT, view, v);
	if (view && !strcmp(view, "stop"))
		show_in(t, TEXT_LOG, view, v);
}

static void show_event(struct client *c, const char *event, const char *view, const struct value *v)
{
	if (!strcmp(event, "no-progress"))
		snprintf(tui_of(c)->note, sizeof(tui_of(c)->note), "%s", get_str(v, "why"));
	scrollback_mark(&tui_of(c)->text[TEXT_OUTPUT]);
	show_value(c, view, v);
}

static void show_line(struct tui *t, enum style st, const char *text)
{
	struct out o;

	out_init(&o, true, 0);
	out_begin(&o, st);
	out_safe(&o, text, strlen(text), false);
	out_end(&o, st);
	out_text(&o, "\n");
	tui_add_output(t, o.text, o.len, true);
	out_deinit(&o);
}

static void show_error(struct client *c, const struct err *e)
{
	char text[1100];

	err_format(e, text, sizeof(text));
	show_line(tui_of(c), STYLE_BAD, text);
}

static void show_notice(struct client *c, const char *text)
{
	show_line(tui_of(c), STYLE_DIM, text);
}

static void show_console(struct client *c, const char *bytes, size_t n)
{
	struct tui *t = tui_of(c);

	scrollback_add(&t->text[TEXT_CONSOLE], bytes, n, false);
	t->dirty = true;
}

static void show_progress(struct client *c, uint64_t done, uint64_t total)
{
	struct tui *t = tui_of(c);

	t->progress[0] = '\0';
	if (total)
		snprintf(t->progress, sizeof(t->progress), "%.1f %%",
			 done >= total ? 100. : (double)done * 100 / (double)total);
	tui_stopped(c);
}

static void flush(struct client *c)
{
	take_written(tui_of(c));
}

static void each_line(struct client *c, void (*fn)(void *arg, int n, const char *line), void *arg)
{
	(void)c;
	history_each(fn, arg);
}

static int screens(struct client *c, struct err *e)
{
	(void)e;
	snprintf(tui_of(c)->note, sizeof(tui_of(c)->note), "these are the screens; q goes back to the prompt");
	return 0;
}

static void lend_terminal(struct client *c, bool away)
{
	struct tui *t = tui_of(c);

	if (away) {
		divert_pause(&t->divert);
		terminal_suspend(&t->term);
		return;
	}
	terminal_resume(&t->term);
	if (divert_go_on(&t->divert))
		show_line(t, STYLE_BAD, "error: standard output cannot be set aside again; leave the screens by q");
	t->dirty = true;
}

const struct client_ops tui_ops = {
    .value = show_value,
    .event = show_event,
    .error = show_error,
    .notice = show_notice,
    .console = show_console,
    .progress = show_progress,
    .flush = flush,
    .width = width,
    .lines = each_line,
    .screens = screens,
    .wait = tui_wait,
    .lend_terminal = lend_terminal,
    .stopped = tui_stopped,
};
