/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keys and what they do. A key is a code point, or one of these. Every key that does something stands in a table, its
 * pane's or the screens' own (keymap.c): `?` and the manual come from there.
 */
#ifndef KVMSCOPE_VIEWS_TUI_KEY_H
#define KVMSCOPE_VIEWS_TUI_KEY_H

#include "core/base/util.h"

#define KEY_CTRL(c) ((c)&0x1f)
enum {
	TUI_KEY_NONE = -1,
	TUI_KEY_ENTER = '\r',
	TUI_KEY_ESCAPE = 27,
	TUI_KEY_BACKSPACE = 127,
	TUI_KEY_UP = 0x110000, /* behind the last code point */
	TUI_KEY_DOWN,
	TUI_KEY_LEFT,
	TUI_KEY_RIGHT,
	TUI_KEY_HOME,
	TUI_KEY_END,
	TUI_KEY_PAGE_UP,
	TUI_KEY_PAGE_DOWN,
	TUI_KEY_DELETE,
	TUI_KEY_INSERT,
	TUI_KEY_BACK_TAB,
	TUI_KEY_F1,
	TUI_KEY_F12 = TUI_KEY_F1 + 11,
	TUI_KEY_MOUSE /* struct mouse says where */
};

enum mouse_button { MOUSE_PRESS, MOUSE_DOUBLE, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN };
struct mouse {
	enum mouse_button button;
	unsigned row, col;
};

/* A row of a table of keys. Two keys may do the same. */
struct key_row {
	int key, other;	  /* other: 0 for none */
	const char *what; /* "the next pane", for `?` */
};
/* "F2", "C-x", "PgUp", "Space", "a": up to 12 bytes. */
const char *key_text(int key, char *buf, size_t size);

#endif
