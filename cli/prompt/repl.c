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
#include "cli/session/go.h"
#include "cli/session/interrupt.h"
#include "cli/tcl/exec.h"
#include "cli/tcl/input.h"
#include "cli/tcl/line.h"

#define PROMPT "(kvmscope) "
#define MORE "> "

struct repl {
	struct console *c;
	char *pending; /* lines of a command that is not complete */
	bool done;
};

/* ---- lines */

static bool blank(const char *line)
{
	return !line[strspn(line, " \t\r\n")];
}

/* Append a line to the command that is not complete yet; false if memory is out. */
static bool append(struct repl *r, const char *line)
{
	size_t old = r->pending ? strlen(r->pending) + 1 : 0;
	char *more = realloc(r->pending, old + strlen(line) + 1);

	if (!more)
		return false;
	if (old)
		more[old - 1] = '\n';
	strcpy(more + old, line);
	r->pending = more;
	return true;
}

static void drop_pending(struct repl *r)
{
	free(r->pending);
	r->pending = NULL;
}

static void run_line(struct repl *r, const char *text)
{
	struct client *c = &r->c->client;
	_cleanup_free_ char *repeat = NULL;

	if (blank(text)) {
		if (!c->repeat)
			return;
		repeat = strdup(c->repeat);
		text = repeat ? repeat : "";
	}
	exec_line(c, text);
	if (c->quit)
		r->done = true;
}

/* One line of input; a command that is complete is run. */
static void take_line(struct repl *r, const char *line)
{
	if (!append(r, line) || !line_complete(r->pending))
		return;
	char *text = r->pending;
	r->pending = NULL;
	run_line(r, text);
	free(text);
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
	if (r->pending)
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
	drop_pending(r);
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

/* True if a line was entered; false if a signal ended it. */
static bool read_line(struct repl *r)
{
	interrupt_forget();
	entered.ready = false;
	rl_callback_handler_install(prompt(r), on_line);
	while (!entered.ready && !r->c->client.quit) {
		int n = wait_at_prompt(r);
		if (n > 0) {
			complete_for(r->c->client.s, rl_callback_read_char);
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
	if (r->pending)
		drop_pending(r);
	else
		r->done = true;
}

static void terminal_loop(struct repl *r)
{
	rl_readline_name = "kvmscope";
	rl_catch_signals = 0;
	complete_init();
	history_open();
	while (!r->done && !r->c->client.quit && !interrupt_end_asked()) {
		if (!read_line(r))
			continue;
		_cleanup_free_ char *line = entered.line;
		if (!line) {
			end_input(r);
			continue;
		}
		history_add(line);
		take_line(r, line);
	}
	history_close();
}

/* ---- a pipe or a file: no prompt, no history */

static void pipe_loop(struct repl *r)
{
	while (!r->done && !r->c->client.quit && !interrupt_end_asked()) {
		_cleanup_free_ char *line = NULL;
		interrupt_forget();
		if (!input_has_line()) {
			/* A Ctrl-C has nothing to interrupt here: what has come of a line stays. */
			if (wait_for_either(r) > 0 && input_fill() == -ENOMEM)
				break;
			continue;
		}
		if (input_line(&line) || !line)
			break;
		take_line(r, line);
	}
	if (r->pending && !r->done && !interrupt_end_asked())
		exec_line(&r->c->client, r->pending);
}

int repl_run(struct console *c)
{
	struct repl r = {.c = c, .done = c->client.quit};

	if (c->interactive)
		terminal_loop(&r);
	else
		pipe_loop(&r);
	drop_pending(&r);
	return c->client.exit_status;
}
