/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The command line at the bottom: readline's own editing, history, search and completion, fed with keys and drawn by us.
 */
#include <stdio.h>
#include <string.h>

#include <readline/readline.h>

#include "cli/prompt/complete.h"
#include "cli/prompt/history.h"
#include "cli/tui/tui_impl.h"
#include "views/draw.h"
#include "views/utf8.h"

/* readline's callbacks have no argument. */
static struct tui *editing;
static char queue[64]; /* bytes of the key that is handed over */
static size_t queue_n, queue_at;
static FILE *nowhere;

static int next_byte(FILE *in)
{
	(void)in;
	return queue_at < queue_n ? (unsigned char)queue[queue_at++] : EOF;
}

static int byte_is_there(void)
{
	return queue_at < queue_n;
}

static void redisplay(void)
{
	if (editing)
		editing->dirty = true;
}

static void no_terminal_modes(int meta)
{
	(void)meta;
}

static void no_terminal_end(void)
{
}

/* Candidates of a completion: into the output, as many beside each other as there is room for. */
static void show_candidates(char **match, int n, int longest)
{
	struct out o;
	unsigned width = (unsigned)longest + 2, columns = MAX(1u, editing->term.cols / width);

	out_init(&o, false, 0);
	for (int i = 1; i <= n; i++) {
		size_t used = strlen(match[i]);
		out_safe(&o, match[i], used, false);
		if ((unsigned)i % columns == 0 || i == n)
			out_text(&o, "\n");
		else
			out_fill(&o, ' ', used < width ? width - used : 1);
	}
	tui_add_output(editing, o.text, o.len, false);
	out_deinit(&o);
}

static char *entered;
static bool has_entered, at_end;

static void on_line(char *line)
{
	has_entered = line != NULL;
	at_end = line == NULL;
	entered = line;
	/* Here, not later: readline looks where the history ends when it begins the next line. */
	if (line && *line && editing->edit_for == EDIT_COMMAND)
		history_add(line);
}

static struct {
	rl_vintfunc_t *prep;
	rl_voidfunc_t *deprep, *redisplay;
	rl_getc_func_t *getc;
	FILE *out;
	char bell[16];
} prompts_own;

/* It looks the terminal up by termcap's functions, which are ncurses's: before ncurses has it. */
void edit_prepare(void)
{
	rl_readline_name = "kvmscope";
	rl_catch_signals = rl_catch_sigwinch = 0;
	rl_initialize();
	if (!rl_outstream)
		rl_outstream = stdout;
	if (!rl_instream)
		rl_instream = stdin;
}

void edit_open(struct tui *t)
{
	const char *bell = rl_variable_value("bell-style");

	editing = t;
	nowhere = fopen("/dev/null", "we");
	prompts_own.prep = rl_prep_term_function;
	prompts_own.deprep = rl_deprep_term_function;
	prompts_own.redisplay = rl_redisplay_function;
	prompts_own.getc = rl_getc_function;
	prompts_own.out = rl_outstream;
	snprintf(prompts_own.bell, sizeof(prompts_own.bell), "%s", bell ? bell : "audible");
	rl_prep_term_function = no_terminal_modes;
	rl_deprep_term_function = no_terminal_end;
	rl_redisplay_function = redisplay;
	rl_getc_function = next_byte;
	rl_input_available_hook = byte_is_there;
	rl_completion_display_matches_hook = show_candidates;
	rl_outstream = nowhere;
	complete_init();
	history_open();
	rl_callback_handler_install("", on_line);
	rl_variable_bind("bell-style", "none");
	if (t->console->typed && t->console->typed[0])
		edit_begin(t, EDIT_COMMAND, t->console->typed);
	free(t->console->typed);
	t->console->typed = NULL;
}

void edit_close(struct tui *t)
{
	edit_leave(t);
	t->console->typed = rl_line_buffer && rl_line_buffer[0] ? strdup(rl_line_buffer) : NULL;
	rl_callback_handler_remove();
	rl_prep_term_function = prompts_own.prep;
	rl_deprep_term_function = prompts_own.deprep;
	rl_redisplay_function = prompts_own.redisplay;
	rl_getc_function = prompts_own.getc;
	rl_input_available_hook = NULL;
	rl_completion_display_matches_hook = NULL;
	rl_outstream = prompts_own.out;
	rl_variable_bind("bell-style", prompts_own.bell);
	if (nowhere)
		fclose(nowhere);
	nowhere = NULL;
	editing = NULL;
}

static char *command; /* that was being typed when a search began; NULL for nothing */

static void replace_line(const char *text)
{
	rl_replace_line(text, 1);
	rl_point = rl_end;
}

static void stop_editing(struct tui *t)
{
	t->editing = t->stay_editing && t->edit_for == EDIT_COMMAND;
	if (t->edit_for != EDIT_COMMAND) {
		replace_line(command ? command : "");
		free(command);
		command = NULL;
	}
	t->edit_for = EDIT_COMMAND;
	t->dirty = true;
}

void edit_begin(struct tui *t, enum edit_for what, const char *text)
{
	if (t->edit_for != EDIT_COMMAND)
		stop_editing(t);
	if (what != EDIT_COMMAND) {
		command = strdup(edit_text(t));
		replace_line("");
	}
	t->edit_for = what;
	t->editing = true;
	t->dirty = true;
	if (text)
		rl_insert_text(text);
}

void edit_abandon(struct tui *t)
{
	rl_free_line_state();
	rl_callback_sigcleanup();
	rl_replace_line("", 1);
	rl_point = 0;
	lines_drop(&t->lines);
	stop_editing(t);
}

static void search_for(struct tui *t, const char *text, bool backwards)
{
	struct pane *p = tui_focused(t);

	if (!p || !pane_search(p, &t->looks.scene, *text ? text : p->pattern, backwards))
		snprintf(t->note, sizeof(t->note), "not found: %.80s", *text ? text : "(nothing was searched for yet)");
}

static void take_entered(struct tui *t)
{
	_cleanup_free_ char *line = entered;
	enum edit_for what = t->edit_for;

	entered = NULL;
	has_entered = false;
	stop_editing(t);
	if (what != EDIT_COMMAND) {
		search_for(t, line, what == EDIT_SEARCH_BACK);
		return;
	}
	tui_run_line(t, line);
	if (t->lines.pending)
		t->editing = true;
}

static const struct {
	int key;
	const char *bytes;
} sequences[] = {
    {TUI_KEY_UP, "\033[A"},	 {TUI_KEY_DOWN, "\033[B"}, {TUI_KEY_RIGHT, "\033[C"},	{TUI_KEY_LEFT, "\033[D"},
    {TUI_KEY_HOME, "\033[H"},	 {TUI_KEY_END, "\033[F"},  {TUI_KEY_DELETE, "\033[3~"}, {TUI_KEY_INSERT, "\033[2~"},
    {TUI_KEY_BACKSPACE, "\x7f"}, {TUI_KEY_ENTER, "\r"},
};

/* The bytes that a terminal would send. */
static void queue_key(int key)
{
	queue_at = queue_n = 0;
	for (size_t i = 0; i < ARRAY_LEN(sequences); i++)
		if (sequences[i].key == key) {
			queue_n = strlen(sequences[i].bytes);
			memcpy(queue, sequences[i].bytes, queue_n);
			return;
		}
	if (key >= 0 && key < TUI_KEY_UP)
		queue_n = utf8_encode((uint32_t)key, queue);
}

void edit_key(struct tui *t, int key)
{
	/* Twice ':' is once. */
	if (key == ':' && t->edit_for == EDIT_COMMAND && !rl_end && !t->lines.pending)
		return;
	queue_key(key);
	while (queue_at < queue_n)
		complete_for(t->client->s, rl_callback_read_char);
	t->dirty = true;
	if (has_entered)
		take_entered(t);
	else if (at_end)
		t->leave = true;
	at_end = false;
}

void edit_leave(struct tui *t)
{
	if (RL_ISSTATE(RL_STATE_ISEARCH | RL_STATE_NSEARCH))
		edit_key(t, KEY_CTRL('g'));
	t->stay_editing = false;
	stop_editing(t);
}

const char *edit_prompt(const struct tui *t)
{
	if (RL_ISSTATE(RL_STATE_ISEARCH | RL_STATE_NSEARCH))
		return rl_display_prompt;
	if (t->edit_for != EDIT_COMMAND)
		return t->edit_for == EDIT_SEARCH ? "/" : "?";
	return t->lines.pending ? "> " : ":";
}

const char *edit_text(const struct tui *t)
{
	(void)t;
	return rl_line_buffer ? rl_line_buffer : "";
}

unsigned edit_column(const struct tui *t)
{
	return (unsigned)text_width(edit_text(t), (size_t)rl_point);
}
