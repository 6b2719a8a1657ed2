/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the screens draw into: a grid of cells in memory. Tests compare it with golden text; views/tui/terminal.c alone puts
 * it to a terminal.
 */
#ifndef KVMSCOPE_VIEWS_TUI_GRID_H
#define KVMSCOPE_VIEWS_TUI_GRID_H

#include "views/view.h"

/* How a cell looks. The first are enum style's (views/view.h), then what only screens have. A terminal without colours
 * shows most of them by bold, dim or reverse letters, so a tone never says what no letter says. */
enum tone {
	TONE_PLAIN = STYLE_PLAIN,
	TONE_HEAD = STYLE_HEAD,
	TONE_ADDR = STYLE_ADDR,
	TONE_GOOD = STYLE_GOOD,
	TONE_WARN = STYLE_WARN,
	TONE_BAD = STYLE_BAD,
	TONE_DIM = STYLE_DIM,
	TONE_BOLD = STYLE_BOLD,
	TONE_RULE = STYLE_COUNT, /* lines between panes */
	TONE_TITLE,		 /* of a pane */
	TONE_FOCUS,		 /* of the pane that gets the keys */
	TONE_STATUS,		 /* the status line */
	TONE_ALARM,		 /* in it: running, torn */
	TONE_KEY,		 /* a key's name in help and the last line */
	/* Cells of the map. */
	TONE_HOLE,
	TONE_UNMAPPED,
	TONE_READONLY,
	TONE_WRITABLE,
	TONE_DIRTY,
	TONE_SHARED,
	TONE_HUGE,
	TONE_TABLE,
	TONE_UNSYNC,
	TONE_ARMED,
	TONE_MMIO,
	TONE_DEVICE,
	TONE_SMRAM,
	TONE_HEAT_1, /* the fewest */
	TONE_HEAT_2,
	TONE_HEAT_3,
	TONE_HEAT_4,
	TONE_HEAT_5,
	TONE_COUNT
};

enum {
	CELL_REVERSE = 1, /* the cursor's line, what is selected */
	CELL_BOLD = 2,	  /* has changed */
	CELL_UNDERLINE = 4
};

struct cell {
	uint32_t ch; /* code point, one column wide */
	uint8_t tone;
	uint8_t flags; /* CELL_… */
};

struct grid {
	struct cell *cells; /* rows of cols */
	unsigned rows, cols;
	bool cursor_shown; /* the terminal's cursor, where the user types */
	unsigned cursor_row, cursor_col;
};

/* Blanks. -ENOMEM: as it was. */
int grid_resize(struct grid *g, unsigned rows, unsigned cols) MUST_USE;
void grid_deinit(struct grid *g);
void grid_clear(struct grid *g);
/* Its text, trailing blanks left out, "\n" after each row. */
void grid_text(const struct grid *g, struct out *o);
/* The same with what each cell looks like: below each row that is not all plain a row of one letter a cell behind a '~', its
 * tone_letter(), or where that is a blank '#' for a reversed cell and '*' for a bold one; for golden text. */
void grid_text_tones(const struct grid *g, struct out *o);
char tone_letter(enum tone t);

/* A part of a grid. Nothing is drawn outside of it; rows and columns count from its corner. */
struct area {
	struct grid *grid;
	unsigned row, col, rows, cols;
};
struct area area_whole(struct grid *g);
/* A part of a part, cut off where it leaves a. */
struct area area_part(struct area a, unsigned row, unsigned col, unsigned rows, unsigned cols);
void area_clear(struct area a);
void area_cell(struct area a, unsigned row, unsigned col, uint32_t ch, enum tone t, unsigned flags);
/* UTF-8. What is no printable character of one column is drawn as '?'. Returns the column behind it, also if cut off. */
unsigned area_text(struct area a, unsigned row, unsigned col, enum tone t, const char *text);
unsigned area_textf(struct area a, unsigned row, unsigned col, enum tone t, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* n bytes as views draw them into a struct out with colour: escape sequences become tones. skip: columns left out first. */
void area_styled(struct area a, unsigned row, unsigned col, const char *text, size_t n, unsigned skip);
/* The same text without its escape sequences, in place. */
void text_strip(char *text);
/* To a whole row of it. */
void area_row_flags(struct area a, unsigned row, unsigned flags);

#endif
