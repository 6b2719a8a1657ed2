/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names of keys, for `?` and the last line.
 */
#include "views/tui/key.h"

#include <stdio.h>

#include "views/utf8.h"

static const struct {
	int key;
	const char *name;
} named[] = {
    {TUI_KEY_ENTER, "Enter"}, {TUI_KEY_ESCAPE, "Esc"},	   {TUI_KEY_BACKSPACE, "Backspace"}, {TUI_KEY_UP, "Up"},
    {TUI_KEY_DOWN, "Down"},   {TUI_KEY_LEFT, "Left"},	   {TUI_KEY_RIGHT, "Right"},	     {TUI_KEY_HOME, "Home"},
    {TUI_KEY_END, "End"},     {TUI_KEY_PAGE_UP, "PgUp"},   {TUI_KEY_PAGE_DOWN, "PgDn"},	     {TUI_KEY_DELETE, "Del"},
    {TUI_KEY_INSERT, "Ins"},  {TUI_KEY_BACK_TAB, "S-Tab"}, {TUI_KEY_MOUSE, "mouse"},	     {'\t', "Tab"},
    {' ', "Space"},
};

const char *key_text(int key, char *buf, size_t size)
{
	char utf8[5] = "";

	for (size_t i = 0; i < ARRAY_LEN(named); i++)
		if (named[i].key == key)
			return named[i].name;
	if (key >= TUI_KEY_F1 && key <= TUI_KEY_F12) {
		snprintf(buf, size, "F%d", key - TUI_KEY_F1 + 1);
	} else if (key > 0 && key < ' ') {
		snprintf(buf, size, "C-%c", key + 'a' - 1);
	} else if (key > 0 && key < TUI_KEY_UP) {
		utf8_encode((uint32_t)key, utf8);
		snprintf(buf, size, "%s", utf8);
	} else {
		snprintf(buf, size, "?");
	}
	return buf;
}
