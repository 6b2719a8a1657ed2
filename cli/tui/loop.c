/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Opening and closing the screens, and the one loop: draw what has changed, wait for a key or for the guest.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/prompt/signals.h"
#include "cli/session/go.h"
#include "cli/session/interrupt.h"
#include "cli/tui/tui_impl.h"

#define TEXT_LINES 20000
#define DRAW_NS 100000000ull /* while a line is carried out: ten pictures a second at the most */

/* ---- lines and stops */

static uint64_t place_of_vcpu(struct session *s)
{
	struct regs r;

	return s->d.m && !machine_get_regs(s->d.m, s->vcpu, REGS_GPR, &r, NULL) ? r.rip : s->d.stop.rip;
}

/* Until the user has chosen an address, each stop chooses the one that it is about. */
static void select_what_stopped(struct tui *t)
{
	struct session *s = t->client->s;
	const struct stop *st = &s->d.stop;
	struct place at = {.has_gva = true, .gva = place_of_vcpu(s)};

	if (s->sel_chosen || !s->d.m || go_is_under_way(s))
		return;
	if (st->reason == STOP_EXCEPTION && st->vector == 14)
		at.gva = st->cr2;
	else if (st->reason == STOP_FAULT_STAGE || st->reason == STOP_WATCHPOINT)
		at.gva = st->gva;
	else if (st->reason == STOP_MMIO)
		at = (struct place){.has_gpa = true, .gpa = st->gpa};
	selection_choose(&s->sel, s->d.m, s->vcpu, &at);
}

static void after_change(struct tui *t)
{
	struct session *s = t->client->s;

	select_what_stopped(t);
	if (s->sel_chosen && !go_is_under_way(s))
		selection_refresh(&s->sel, s->d.m, s->vcpu);
	collect_changed(&t->looks, true);
	t->dirty = true;
}

/* What was entered stands above what it shows. */
static void echo(struct tui *t, const char *line)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "\033[1m%s\033[0m%.250s\n", t->lines.pending ? "> " : "(kvmscope) ", line);

	scrollback_mark(&t->text[TEXT_OUTPUT]);
	if (n > 0 && !strchr(line, '\033'))
		tui_add_output(t, text, MIN((size_t)n, sizeof(text) - 1), true);
}

/* Whoever has scrolled back in the output wants to see what comes of a line. */
static void show_end_of_output(struct tui *t)
{
	struct pane *output = tui_pane_of(t, &pane_output);
	struct pane_reply unused = {.line = ""};

	if (output)
		pane_key(output, &t->looks.scene, TUI_KEY_END, &unused);
}

void tui_run_line(struct tui *t, const char *line)
{
	show_end_of_output(t);
	echo(t, line);
	t->carrying_out = true;
	tui_refresh(t); /* it may take long: that it was taken is seen at once */
	lines_take(&t->lines, line);
	t->carrying_out = false;
	t->leave |= t->client->quit;
	after_change(t);
}

void tui_stopped(struct client *c)
{
	struct tui *t = tui_of(c);

	if (!t->carrying_out || clock_now_ns() - t->drawn_at < DRAW_NS)
		return;
	collect_changed(&t->looks, true);
	t->dirty = true;
	tui_refresh(t);
}

/* ---- waiting */

static void take_interrupt(struct tui *t)
{
	interrupt_forget();
	if (go_is_under_way(t->client->s))
		go_interrupt(t->client->s);
	else if (t->editing)
		edit_abandon(t);
	t->help = false;
	t->dirty = true;
}

/* Somebody else had it, or has written over it. */
static void take_terminal_again(struct tui *t)
{
	terminal_resume(&t->term);
	t->dirty = true;
}

static void suspend(struct tui *t)
{
	terminal_suspend(&t->term);
	raise(SIGSTOP);
	take_terminal_again(t);
}

/* Alt and a letter come as Escape and the letter, at once. */
static void take_key(struct tui *t, int key, const struct mouse *m)
{
	struct mouse behind = {0};
	int next = key == TUI_KEY_ESCAPE && t->editing ? terminal_key(&t->term, &behind) : TUI_KEY_NONE;

	if (key == KEY_CTRL('z')) {
		suspend(t);
	} else if (next >= ' ' && next < TUI_KEY_UP) {
		edit_key(t, TUI_KEY_ESCAPE);
		edit_key(t, next);
	} else {
		tui_key(t, key, m);
		if (next != TUI_KEY_NONE)
			tui_key(t, next, &behind);
	}
}

static void take_keys(struct tui *t)
{
	struct mouse m;
	int key;

	while (!t->leave && (key = terminal_key(&t->term, &m)) != TUI_KEY_NONE)
		take_key(t, key, &m);
}

/* Until a look is due, a key comes, or something of the guest. */
static void wait_for_news(struct tui *t)
{
	struct session *s = t->client->s;
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = go_fd(s), .events = POLLIN}};
	uint64_t due = go_is_due(s) ? 0 : collect_due_in(&t->looks);
	struct timespec most = {.tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000)};
	int n = interrupt_wait(p, 2, due == UINT64_MAX ? NULL : &most);

	if (n < 0 && !interrupt_end_asked())
		take_interrupt(t);
	if (n > 0 && p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		t->leave = t->client->quit = true;
	take_keys(t);
	bool under_way = go_is_under_way(s);
	go_poll(s);
	if (under_way && !go_is_under_way(s))
		after_change(t);
}

void tui_run(struct console *c)
{
	struct tui *t = c->tui;

	t->client->background = true;
	t->leave = t->client->quit;
	c->screens_wanted = false;
	after_change(t);
	while (!t->leave && !interrupt_end_asked()) {
		if (signals_went_on())
			take_terminal_again(t);
		tui_refresh(t);
		wait_for_news(t);
	}
	t->client->background = false;
}

/* A command waits for the guest in the foreground: a script. The panes go on; of keys only those that do not change anything
 * make sense, and Ctrl-C comes as a signal. */
void tui_wait(struct client *c, int fd)
{
	struct tui *t = tui_of(c);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct timespec most = {.tv_nsec = DRAW_NS};

	if (clock_now_ns() - t->drawn_at >= DRAW_NS) {
		t->dirty = true;
		tui_refresh(t);
	}
	ppoll(&p, 1, &most, NULL);
}

/* ---- opening and closing */

static int open_texts(struct tui *t, struct err *e)
{
	for (int i = 0; i < TEXT_COUNT; i++) {
		if (scrollback_init(&t->text[i], TEXT_LINES))
			return err_nomem(e, "screens");
		t->looks.scene.text[i] = &t->text[i];
	}
	t->text[TEXT_OUTPUT].own_styles = true;
	return 0;
}

static void destroy(struct tui *t)
{
	for (int i = 0; i < LAYOUT_NODES; i++)
		pane_destroy(t->pane[i]);
	for (int i = 0; i < TEXT_COUNT; i++)
		scrollback_deinit(&t->text[i]);
	collect_deinit(&t->looks);
	lines_drop(&t->lines);
	grid_deinit(&t->grid);
	free(t);
}

static struct tui *create(struct console *c, struct err *e)
{
	struct tui *t = calloc(1, sizeof(*t));

	if (!t) {
		err_nomem(e, "screens");
		return NULL;
	}
	t->console = c;
	t->client = &c->client;
	t->lines.c = &c->client;
	t->divert.file = -1;
	collect_init(&t->looks, t->client);
	if (open_texts(t, e) || state_presets(t, e)) {
		destroy(t);
		return NULL;
	}
	return t;
}

static int take_terminal(struct tui *t, struct err *e)
{
	bool color = !getenv("NO_COLOR") || !*getenv("NO_COLOR");
	int ret = terminal_open(&t->term, STDIN_FILENO, STDOUT_FILENO, color, e);

	if (ret)
		return ret;
	ret = divert_begin(&t->divert, e);
	if (ret)
		terminal_close(&t->term);
	return ret;
}

int tui_open(struct console *c, struct err *e)
{
	int ret = c->client.ops->screens(&c->client, e); /* the prompt knows why it may not be */
	struct tui *t = ret ? NULL : create(c, e);

	c->screens_wanted = false;
	if (!t)
		return ret ? ret : -ENOMEM;
	edit_prepare();
	ret = take_terminal(t, e);
	if (ret) {
		destroy(t);
		return ret;
	}
	signals_on_crash(terminal_rescue);
	t->looks.scene.ascii = t->term.ascii;
	t->looks.scene.color = t->term.color;
	t->prompt_ops = c->client.ops;
	c->tui = t;
	c->client.ops = &tui_ops;
	edit_open(t);
	return 0;
}

void tui_close(struct console *c)
{
	struct tui *t = c->tui;

	edit_close(t);
	state_save(t);
	client_flush(t->client);
	c->client.ops = t->prompt_ops;
	c->tui = NULL;
	divert_end(&t->divert);
	terminal_close(&t->term);
	signals_on_crash(NULL);
	destroy(t);
}
