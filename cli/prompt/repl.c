/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The prompt.
 *
 * readline runs in its callback form: we wait for the terminal ourselves, so that a signal is handled at once and in one
 * place, and readline's own handlers stay out of it.
 */
#include "cli/prompt/repl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <readline/readline.h>

#include "cli/prompt/complete.h"
#include "cli/prompt/history.h"
#include "cli/prompt/lines.h"
#include "cli/session/go.h"
#include "cli/session/interrupt.h"
#include "cli/tcl/exec.h"
#include "cli/tcl/input.h"
#include "cli/tcl/line.h"

#define PROMPT "(kvmscope) "
#define MORE "> "

struct repl {
	struct console *c;
	struct lines lines;
};

static bool ended(const struct repl *r)
{
	return r->c->client.quit || r->c->screens_wanted || interrupt_end_asked();
}

/* ---- terminal */

/* What readline has handed over: its callback has no argument. */
static struct {
	bool ready;
	char *line; /* NULL: end of input */
} entered;

static void on_line(char *line)
{
	rl_callback_handler_remove();
	entered.ready = true;
	entered.line = line;
}

static const char *prompt(const struct repl *r)
{
	if (r->lines.pending)
		return MORE;
	return r->c->client.color ? "\001\033[1m\002" PROMPT "\001\033[0m\002" : PROMPT;
}

static void abandon_line(struct repl *r)
{
	/* Behind what was typed: readline goes back to the line's start when it lets go of the terminal. */
	printf("^C\n");
	fflush(stdout);
	rl_free_line_state();
	rl_callback_sigcleanup();
	rl_callback_handler_remove();
	lines_drop(&r->lines);
}

/* ---- waiting for standard input and for the guest */

/* Standard input can be read: 1. Something came of a run in the background, or a signal that asks for nothing: 0. A signal
 * that asks to stop: -1. */
static int wait_for_either(struct repl *r)
{
	struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = go_fd(r->c->client.s), .events = POLLIN}};
	const struct timespec none = {0}, quiet = {.tv_nsec = 100000000};
	bool due = go_is_due(r->c->client.s), unfinished = r->c->n_unfinished && !due;
	int n = interrupt_wait(p, 2, due ? &none : unfinished ? &quiet : NULL);

	console_settle(r->c);
	if (n >= 0 && (due || p[1].revents))
		go_poll(r->c->client.s);
	return n < 0 ? -1 : n > 0 && p[0].revents;
}

/* What comes while a line is being typed is shown above it. */
static bool made_room;

static void make_room(struct console *c)
{
	(void)c;
	if (made_room)
		return;
	made_room = true;
	rl_clear_visible_line();
	fflush(rl_outstream);
}

static int wait_at_prompt(struct repl *r)
{
	made_room = false;
	r->c->make_room = make_room;
	int n = wait_for_either(r);
	r->c->make_room = NULL;
	if (made_room) {
		fflush(stdout);
		rl_on_new_line();
		rl_redisplay();
	}
	return n;
}

static bool screens_key; /* C-x a was pressed */

static int on_screens_key(int count, int key)
{
	(void)count;
	(void)key;
	screens_key = true;
	return 0;
}

/* What has been typed goes on there. */
static void leave_for_screens(struct repl *r)
{
	struct err e = {0};

	screens_key = false;
	if (r->c->client.ops->screens(&r->c->client, &e)) {
		client_report(&r->c->client, &e);
		rl_on_new_line();
		rl_redisplay();
		return;
	}
	free(r->c->typed);
	r->c->typed = strdup(rl_line_buffer);
	rl_replace_line("", 0);
	rl_clear_visible_line();
}

static void put_back_typed(struct repl *r)
{
	if (!r->c->typed)
		return;
	rl_insert_text(r->c->typed);
	rl_redisplay();
	free(r->c->typed);
	r->c->typed = NULL;
}

/* True if a line was entered; false if a signal ended it. */
static bool read_line(struct repl *r)
{
	interrupt_forget();
	entered.ready = false;
	rl_callback_handler_install(prompt(r), on_line);
	put_back_typed(r);
	while (!entered.ready && !ended(r)) {
		int n = wait_at_prompt(r);
		if (n > 0) {
			complete_for(r->c->client.s, rl_callback_read_char);
			if (screens_key)
				leave_for_screens(r);
		} else if (!n) {
			rl_resize_terminal();
		} else if (interrupt_end_asked()) {
			rl_callback_handler_remove();
			return false;
		} else {
			abandon_line(r);
			return false;
		}
	}
	if (!entered.ready)
		rl_callback_handler_remove();
	return entered.ready;
}

/* Ctrl-D: out of an open brace first, then out. */
static void end_input(struct repl *r)
{
	printf("\n");
	if (r->lines.pending)
		lines_drop(&r->lines);
	else
		r->c->client.quit = true;
}

static void terminal_loop(struct repl *r)
{
	rl_readline_name = "kvmscope";
	rl_catch_signals = 0;
	rl_bind_keyseq("\\C-xa", on_screens_key);
	complete_init();
	history_open();
	while (!ended(r)) {
		if (!read_line(r))
			continue;
		_cleanup_free_ char *line = entered.line;
		if (!line) {
			end_input(r);
			continue;
		}
		history_add(line);
		lines_take(&r->lines, line);
	}
}

/* ---- a pipe or a file: no prompt, no history */

static void refuse_line(struct repl *r)
{
	struct err e = {0};

	lines_drop(&r->lines);
	(void)err_set(&e, -EILSEQ, "line" WHY "it has a NUL byte, so none of it was carried out" TRY "text without one");
	client_report(&r->c->client, &e);
}

static void pipe_loop(struct repl *r)
{
	while (!ended(r)) {
		_cleanup_free_ char *line = NULL;
		interrupt_forget();
		if (!input_has_line()) {
			/* A Ctrl-C has nothing to interrupt here: what has come of a line stays. */
			if (wait_for_either(r) > 0 && input_fill() == -ENOMEM)
				break;
			continue;
		}
		int rc = input_line(&line);
		if (rc == -EILSEQ)
			refuse_line(r);
		if (rc == -EILSEQ)
			continue;
		if (rc || !line)
			break;
		lines_take(&r->lines, line);
	}
	if (r->lines.pending && !ended(r))
		exec_line(&r->c->client, r->lines.pending);
}

int repl_run(struct console *c)
{
	struct repl r = {.c = c, .lines.c = &c->client};

	if (c->interactive)
		terminal_loop(&r);
	else
		pipe_loop(&r);
	lines_drop(&r.lines);
	return c->client.exit_status;
}
