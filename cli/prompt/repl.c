/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The prompt.
 *
 * readline runs in its callback form: we wait for the terminal ourselves, so that a signal is handled at once and in one
 * place, and readline's own handlers stay out of it. Each line goes to the history file when it is entered: a session that
 * is killed keeps it.
 */
#include "cli/prompt/repl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "cli/prompt/complete.h"
#include "cli/session/exec.h"
#include "cli/tcl/line.h"
#include "cli/prompt/signals.h"
#include "cli/prompt/input.h"

#define PROMPT "(kvmscope) "
#define MORE "> "
#define HISTORY_LINES 10000

static struct {
	struct session *s;
	char history[512]; /* "" where there is no place for it */
	char *pending;	   /* lines of a command that is not complete */
	bool reading;	   /* a line is being typed */
	bool done;
} repl;

/* ---- history */

static void make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
}

static void open_history(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	repl.history[0] = '\0';
	if (state && state[0] == '/')
		snprintf(repl.history, sizeof(repl.history), "%.400s/kvmscope/history", state);
	else if (home && home[0] == '/')
		snprintf(repl.history, sizeof(repl.history), "%.400s/.local/state/kvmscope/history", home);
	using_history();
	stifle_history(HISTORY_LINES);
	if (!repl.history[0])
		return;
	make_folders(repl.history);
	if (read_history(repl.history) == ENOENT)
		write_history(repl.history);
}

static void remember(const char *line)
{
	HIST_ENTRY *last = history_length ? history_get(history_base + history_length - 1) : NULL;

	if (!line[0] || line[0] == ' ' || (last && !strcmp(last->line, line)))
		return;
	add_history(line);
	if (repl.history[0])
		append_history(1, repl.history);
}

static void close_history(void)
{
	if (repl.history[0])
		history_truncate_file(repl.history, HISTORY_LINES);
}

void repl_history(void (*fn)(void *arg, int n, const char *line), void *arg)
{
	for (int i = 0; i < history_length; i++) {
		HIST_ENTRY *h = history_get(history_base + i);
		if (h)
			fn(arg, i + 1, h->line);
	}
}

/* ---- lines */

static bool blank(const char *line)
{
	return !line[strspn(line, " \t\r\n")];
}

/* Append a line to the command that is not complete yet; false where memory is out. */
static bool append(const char *line)
{
	size_t old = repl.pending ? strlen(repl.pending) + 1 : 0;
	char *more = realloc(repl.pending, old + strlen(line) + 1);

	if (!more)
		return false;
	if (old)
		more[old - 1] = '\n';
	strcpy(more + old, line);
	repl.pending = more;
	return true;
}

static void drop_pending(void)
{
	free(repl.pending);
	repl.pending = NULL;
}

static void run_line(const char *text)
{
	_cleanup_free_ char *again = NULL;

	if (blank(text)) {
		const char *repeat = exec_repeat(repl.s);
		if (!repeat)
			return;
		again = strdup(repeat);
		text = again ? again : "";
	}
	exec_line(repl.s, text);
	if (repl.s->quit)
		repl.done = true;
}

/* One line of input; true where a command was complete (and has run). */
static bool take_line(const char *line)
{
	if (!append(line) || !line_complete(repl.pending))
		return false;
	char *text = repl.pending;
	repl.pending = NULL;
	run_line(text);
	free(text);
	return true;
}

/* ---- terminal */

static const char *prompt(void)
{
	if (repl.pending)
		return MORE;
	return repl.s->color ? "\001\033[1m\002" PROMPT "\001\033[0m\002" : PROMPT;
}

static void on_line(char *line)
{
	rl_callback_handler_remove();
	repl.reading = false;
	if (!line) {
		/* Ctrl-D: out of an open brace first, then out. */
		printf("\n");
		if (repl.pending)
			drop_pending();
		else
			repl.done = true;
		return;
	}
	remember(line);
	take_line(line);
	free(line);
}

static void abandon_line(void)
{
	/* Behind what was typed: readline goes back to the line's start when it lets go of the terminal. */
	printf("^C\n");
	fflush(stdout);
	rl_free_line_state();
	rl_callback_sigcleanup();
	rl_callback_handler_remove();
	drop_pending();
	repl.reading = false;
}

static void read_line(void)
{
	signals_forget();
	repl.reading = true;
	rl_callback_handler_install(prompt(), on_line);
	while (repl.reading) {
		if (signals_wait_readable(STDIN_FILENO)) {
			rl_callback_read_char();
		} else if (signals_end_asked()) {
			rl_callback_handler_remove();
			return;
		} else if (session_interrupted()) {
			abandon_line();
		} else {
			rl_resize_terminal();
		}
	}
}

static void terminal_loop(void)
{
	rl_readline_name = "kvmscope";
	rl_catch_signals = 0;
	complete_init(repl.s);
	open_history();
	while (!repl.done && !signals_end_asked())
		read_line();
	close_history();
	clear_history();
}

/* ---- a pipe or a file: no prompt, no history */

static void pipe_loop(void)
{
	while (!repl.done && !signals_end_asked()) {
		_cleanup_free_ char *line = NULL;
		signals_forget();
		int rc = input_line(&line);
		if (rc == -EINTR)
			continue; /* a Ctrl-C with nothing to break into: what has come of a line stays */
		if (!line)
			break;
		take_line(line);
	}
	if (repl.pending && !repl.done && !signals_end_asked())
		exec_line(repl.s, repl.pending);
}

int repl_run(struct session *s)
{
	repl.s = s;
	repl.done = s->quit;
	if (s->interactive)
		terminal_loop();
	else
		pipe_loop();
	drop_pending();
	return s->exit_status;
}
