/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ncurses: colours, keys, and putting what has changed.
 */
#define NCURSES_WIDECHAR 1
#include "views/tui/terminal.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>

#undef tone /* term.h calls a capability so */

#include "core/base/util.h"

#define DOUBLE_CLICK_NS 400000000

static struct {
	SCREEN *screen;
	FILE *in, *out;
	struct cell *shown; /* what the terminal has */
	unsigned rows, cols;
	struct termios before;
	int out_fd;
	char rescue[256]; /* what brings the terminal back */
	uint64_t pressed_at;
	unsigned pressed_row, pressed_col;
} cur;

/* ---- how tones look */

struct look {
	short color8, color256; /* -1: the terminal's own */
	short back;		/* -1: its own */
	attr_t attr, plain;	/* attr with colours, plain without */
};

static const struct look looks[TONE_COUNT] = {
    [TONE_PLAIN] = {-1, -1, -1, 0, 0},
    [TONE_HEAD] = {-1, -1, -1, A_BOLD, A_BOLD},
    [TONE_ADDR] = {COLOR_CYAN, 80, -1, 0, 0},
    [TONE_GOOD] = {COLOR_GREEN, 114, -1, 0, 0},
    [TONE_WARN] = {COLOR_YELLOW, 179, -1, 0, 0},
    [TONE_BAD] = {COLOR_RED, 203, -1, A_BOLD, A_BOLD},
    [TONE_DIM] = {-1, 245, -1, 0, 0},
    [TONE_BOLD] = {-1, -1, -1, A_BOLD, A_BOLD},
    [TONE_RULE] = {-1, 240, -1, 0, 0},
    [TONE_TITLE] = {-1, 250, -1, 0, 0},
    [TONE_FOCUS] = {COLOR_CYAN, 80, -1, A_BOLD | A_REVERSE, A_REVERSE},
    [TONE_STATUS] = {-1, -1, -1, A_REVERSE, A_REVERSE},
    [TONE_ALARM] = {COLOR_YELLOW, 179, -1, A_REVERSE | A_BOLD, A_REVERSE | A_BOLD},
    [TONE_KEY] = {COLOR_CYAN, 80, -1, A_BOLD, A_BOLD},
    [TONE_HOLE] = {-1, 240, -1, 0, 0},
    [TONE_UNMAPPED] = {-1, 244, -1, 0, 0},
    [TONE_READONLY] = {COLOR_YELLOW, 179, -1, 0, 0},
    [TONE_WRITABLE] = {COLOR_GREEN, 71, -1, 0, 0},
    [TONE_DIRTY] = {COLOR_GREEN, 119, -1, A_BOLD, A_BOLD},
    [TONE_SHARED] = {COLOR_MAGENTA, 176, -1, A_BOLD, A_BOLD},
    [TONE_HUGE] = {COLOR_BLUE, 75, -1, A_BOLD, A_BOLD},
    [TONE_TABLE] = {COLOR_CYAN, 80, -1, A_BOLD, A_BOLD},
    [TONE_UNSYNC] = {COLOR_RED, 209, -1, 0, A_BOLD},
    [TONE_ARMED] = {COLOR_RED, 203, -1, A_REVERSE, A_REVERSE},
    [TONE_MMIO] = {COLOR_BLUE, 111, -1, 0, 0},
    [TONE_DEVICE] = {COLOR_BLUE, 67, -1, 0, 0},
    [TONE_SMRAM] = {COLOR_MAGENTA, 140, -1, 0, 0},
    [TONE_HEAT_1] = {COLOR_BLUE, 61, -1, 0, 0},
    [TONE_HEAT_2] = {COLOR_CYAN, 73, -1, 0, 0},
    [TONE_HEAT_3] = {COLOR_GREEN, 150, -1, 0, 0},
    [TONE_HEAT_4] = {COLOR_YELLOW, 220, -1, 0, A_BOLD},
    [TONE_HEAT_5] = {COLOR_RED, 196, -1, A_BOLD, A_BOLD | A_REVERSE},
};

static void init_colors(struct terminal *t, bool wanted)
{
	t->color = wanted && has_colors() && start_color() == OK;
	if (!t->color)
		return;
	bool own = use_default_colors() == OK;
	for (short i = 1; i < TONE_COUNT; i++) {
		short color = COLORS >= 256 ? looks[i].color256 : looks[i].color8;
		init_pair(i, color < 0 && !own ? COLOR_WHITE : color, own ? -1 : COLOR_BLACK);
	}
}

/* ---- opening */

static void add_rescue(const char *capability)
{
	const char *s = tigetstr((NCURSES_CONST char *)(uintptr_t)capability);

	if (s && s != (char *)-1 && strlen(cur.rescue) + strlen(s) < sizeof(cur.rescue))
		strcat(cur.rescue, s);
}

/* No capability names it, but that is what ncurses has sent. */
#define MOUSE_OFF "\033[?1000l\033[?1002l\033[?1006l"
static void prepare_rescue(void)
{
	cur.rescue[0] = '\0';
	if (tigetstr((NCURSES_CONST char *)(uintptr_t) "kmous") != NULL)
		strcpy(cur.rescue, MOUSE_OFF);
	add_rescue("sgr0");
	add_rescue("rmkx");
	add_rescue("cnorm");
	add_rescue("rmcup");
}

/* ^C stays a signal, everything else is a key. */
static void set_modes(int in)
{
	struct termios now;

	cbreak();
	noecho();
	nonl();
	set_escdelay(25);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	mousemask(BUTTON1_PRESSED | BUTTON1_CLICKED | BUTTON1_DOUBLE_CLICKED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
	mouseinterval(0);
	if (!tcgetattr(in, &now)) {
		now.c_iflag &= ~(tcflag_t)(IXON | IXOFF);
		now.c_lflag &= ~(tcflag_t)IEXTEN;
		now.c_cc[VSUSP] = now.c_cc[VQUIT] = _POSIX_VDISABLE;
		tcsetattr(in, TCSADRAIN, &now);
		def_prog_mode();
	}
}

static bool is_plain_terminal(const char *name)
{
	return !strncmp(name, "vt1", 3) || !strncmp(name, "vt2", 3) || !strncmp(name, "ansi", 4);
}

static int check_terminal(int in, int out, struct err *e)
{
	const char *name = getenv("TERM");

	if (!isatty(in) || !isatty(out))
		return err_set(e, -ENOTTY,
			       "screens" WHY "standard input and output are no terminal" TRY
			       "report FILE.html, or the commands");
	if (!name || !*name || !strcmp(name, "dumb"))
		return err_set(e, -ENOTSUP,
			       "screens" WHY "the terminal can only print lines (TERM is %s)" TRY
			       "TERM=xterm, if it can do more",
			       name && *name ? name : "not set");
	return 0;
}

static int open_streams(int in, int out, struct err *e)
{
	int in_copy = dup(in), out_copy = dup(out);

	cur.in = in_copy < 0 ? NULL : fdopen(in_copy, "r");
	cur.out = out_copy < 0 ? NULL : fdopen(out_copy, "w");
	if (cur.in && cur.out)
		return 0;
	return err_set(e, -EMFILE, "screens" WHY "no file descriptors are left" TRY "ulimit -n");
}

static void close_streams(void)
{
	if (cur.in)
		fclose(cur.in);
	if (cur.out)
		fclose(cur.out);
	cur.in = cur.out = NULL;
}

static void take_size(struct terminal *t)
{
	t->rows = (unsigned)LINES;
	t->cols = (unsigned)COLS;
}

int terminal_open(struct terminal *t, int in, int out, bool color, struct err *e)
{
	const char *name = getenv("TERM");
	int ret = check_terminal(in, out, e);

	*t = (struct terminal){0};
	if (ret || (ret = open_streams(in, out, e))) {
		close_streams();
		return ret;
	}
	setlocale(LC_CTYPE, "");
	tcgetattr(in, &cur.before); /* newterm() changes modes */
	/* The size is the terminal's, now: LINES and COLUMNS say what it was when readline set them. */
	use_env(FALSE);
	use_tioctl(TRUE);
	cur.screen = newterm(NULL, cur.out, cur.in);
	if (!cur.screen) {
		close_streams();
		return err_set(e, -ENOTSUP,
			       "screens" WHY "the terminal %.40s is not known here" TRY "TERM=xterm, if it is like one",
			       name);
	}
	set_term(cur.screen);
	cur.out_fd = fileno(cur.out); /* out is given to something else while the screens are open */
	prepare_rescue();
	set_modes(fileno(cur.in));
	init_colors(t, color);
	t->ascii = !out_locale_is_utf8() || is_plain_terminal(name);
	take_size(t);
	return 0;
}

void terminal_close(struct terminal *t)
{
	endwin();
	cur.rescue[0] = '\0';
	delscreen(cur.screen);
	cur.screen = NULL;
	close_streams();
	free(cur.shown);
	cur.shown = NULL;
	cur.rows = cur.cols = 0;
	*t = (struct terminal){0};
}

void terminal_suspend(struct terminal *t)
{
	(void)t;
	endwin();
}

void terminal_resume(struct terminal *t)
{
	clearok(curscr, TRUE);
	refresh();
	take_size(t);
	cur.rows = cur.cols = 0;
}

void terminal_rescue(void)
{
	if (!cur.rescue[0])
		return;
	(void)!write(cur.out_fd, cur.rescue, strlen(cur.rescue));
	tcsetattr(cur.out_fd, TCSANOW, &cur.before);
}

/* ncurses tells by a key, where keys are read, and not always: it is asked for. */
void terminal_follow_size(struct terminal *t)
{
	struct winsize now;

	if (ioctl(cur.out_fd, TIOCGWINSZ, &now) || !now.ws_row || !now.ws_col ||
	    (now.ws_row == t->rows && now.ws_col == t->cols))
		return;
	resize_term(now.ws_row, now.ws_col);
	clearok(curscr, TRUE);
	take_size(t);
}

/* ---- putting */

static attr_t attributes(const struct terminal *t, const struct cell *c)
{
	attr_t a = t->color ? looks[c->tone].attr : looks[c->tone].plain;

	if (c->flags & CELL_REVERSE)
		a ^= A_REVERSE;
	if (c->flags & CELL_BOLD)
		a |= A_BOLD;
	if (c->flags & CELL_UNDERLINE)
		a |= A_UNDERLINE;
	return a;
}

static void put_cell(const struct terminal *t, unsigned row, unsigned col, const struct cell *c)
{
	wchar_t text[2] = {(wchar_t)(t->ascii && c->ch > '~' ? '?' : c->ch), 0};
	cchar_t cc;

	setcchar(&cc, text, attributes(t, c), t->color ? (short)c->tone : 0, NULL);
	mvadd_wch((int)row, (int)col, &cc);
}

static bool remember_size(const struct grid *g)
{
	size_t n = (size_t)g->rows * g->cols;

	if (cur.shown && cur.rows == g->rows && cur.cols == g->cols)
		return true;
	free(cur.shown);
	cur.shown = calloc(n + 1, sizeof(*cur.shown)); /* no cell of a grid is all zeroes */
	cur.rows = cur.shown ? g->rows : 0;
	cur.cols = cur.shown ? g->cols : 0;
	erase();
	return cur.shown != NULL;
}

void terminal_put(struct terminal *t, const struct grid *g)
{
	bool known = remember_size(g);

	for (unsigned row = 0; row < g->rows; row++)
		for (unsigned col = 0; col < g->cols; col++) {
			size_t i = (size_t)row * g->cols + col;
			if (known && !memcmp(&cur.shown[i], &g->cells[i], sizeof(struct cell)))
				continue;
			put_cell(t, row, col, &g->cells[i]);
			if (known)
				cur.shown[i] = g->cells[i];
		}
	curs_set(g->cursor_shown ? 1 : 0);
	if (g->cursor_shown)
		move((int)g->cursor_row, (int)g->cursor_col);
	refresh();
}

/* ---- keys */

static const struct {
	int curses, key;
} keys[] = {
    {KEY_UP, TUI_KEY_UP},	{KEY_DOWN, TUI_KEY_DOWN}, {KEY_LEFT, TUI_KEY_LEFT},	{KEY_RIGHT, TUI_KEY_RIGHT},
    {KEY_HOME, TUI_KEY_HOME},	{KEY_END, TUI_KEY_END},	  {KEY_PPAGE, TUI_KEY_PAGE_UP}, {KEY_NPAGE, TUI_KEY_PAGE_DOWN},
    {KEY_DC, TUI_KEY_DELETE},	{KEY_IC, TUI_KEY_INSERT}, {KEY_BTAB, TUI_KEY_BACK_TAB}, {KEY_BACKSPACE, TUI_KEY_BACKSPACE},
    {KEY_ENTER, TUI_KEY_ENTER},
};

static int function_key(int c)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].curses == c)
			return keys[i].key;
	return c >= KEY_F(1) && c <= KEY_F(12) ? TUI_KEY_F1 + (c - KEY_F(1)) : 0;
}

static int mouse_key(struct mouse *m)
{
	uint64_t now = clock_now_ns();
	MEVENT ev;

	if (getmouse(&ev) != OK)
		return 0;
	m->row = (unsigned)ev.y;
	m->col = (unsigned)ev.x;
	if (ev.bstate & BUTTON4_PRESSED)
		m->button = MOUSE_WHEEL_UP;
	else if (ev.bstate & BUTTON5_PRESSED)
		m->button = MOUSE_WHEEL_DOWN;
	else if (ev.bstate & BUTTON1_DOUBLE_CLICKED)
		m->button = MOUSE_DOUBLE;
	else if (ev.bstate & (BUTTON1_PRESSED | BUTTON1_CLICKED))
		m->button = m->row == cur.pressed_row && m->col == cur.pressed_col && now - cur.pressed_at < DOUBLE_CLICK_NS
				? MOUSE_DOUBLE
				: MOUSE_PRESS;
	else
		return 0;
	cur.pressed_at = m->button == MOUSE_PRESS ? now : 0;
	cur.pressed_row = m->row;
	cur.pressed_col = m->col;
	return TUI_KEY_MOUSE;
}

/* 0: a key that nobody knows. */
static int translate(wint_t c, bool function, struct mouse *m)
{
	if (!function)
		return c == '\n' ? TUI_KEY_ENTER : c == '\b' ? TUI_KEY_BACKSPACE : (int)c;
	if (c == KEY_MOUSE)
		return mouse_key(m);
	return function_key((int)c);
}

int terminal_key(struct terminal *t, struct mouse *m)
{
	(void)t;
	for (;;) {
		wint_t c;
		int what = get_wch(&c);
		if (what == ERR)
			return TUI_KEY_NONE;
		int key = translate(c, what == KEY_CODE_YES, m);
		if (key)
			return key;
	}
}
