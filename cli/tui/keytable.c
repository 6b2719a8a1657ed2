/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The keys of the screens, and how panes stand in each preset.
 */
#include "cli/tui/keytable.h"

const struct key_row tui_keys[] = {
    {TUI_KEY_F1 + 1, 0, "the map"},
    {TUI_KEY_F1 + 2, 0, "tables"},
    {TUI_KEY_F1 + 3, 0, "the fault"},
    {TUI_KEY_F1 + 4, 0, "the CPU"},
    {TUI_KEY_F1 + 5, 0, "everything"},
    {'\t', 0, "the next pane (C-x o: the same)"},
    {TUI_KEY_BACK_TAB, 0, "the pane before"},
    {':', 0, "a command; Esc leads back, C-x : stays in the command line"},
    {'s', 0, "one instruction (stepi)"},
    {'n', 0, "one instruction, calls as a whole (nexti)"},
    {'c', 0, "let the guest go on"},
    {' ', 0, "stop the guest, or let it go on"},
    {'u', 0, "until the selected address"},
    {'b', 0, "a breakpoint at the selected address"},
    {'f', 0, "one stage of the fault (fault step)"},
    {'<', TUI_KEY_BACKSPACE, "the address selected before"},
    {'>', 0, "the one selected after it"},
    {'g', 0, "go to an address"},
    {'/', 0, "search in this pane"},
    {'N', 0, "search on"},
    {'P', 0, "search back"},
    {'z', 0, "this pane alone, or all"},
    {'x', 0, "hide this pane"},
    {'X', 0, "show all panes"},
    {'(', ')', "this pane narrower, wider"},
    {'{', '}', "this pane lower, higher"},
    {'?', 0, "these keys"},
    {'q', 0, "back to the prompt (C-x a: the same)"},
    {KEY_CTRL('c'), 0, "stop the guest"},
    {KEY_CTRL('l'), 0, "draw the screen anew"},
    {0, 0, NULL},
};

const struct preset tui_presets[PRESETS] = {
    {"map", "the memory map, and all that is known of the selected page", "((map:3|selected:2):3/output:2)"},
    {"tables", "the guest's page tables and the host's, side by side", "((trees:3|selected:2):3/output:1)"},
    {"fault", "the stages of a fault, and the state in it", "((fault:3|(selected:2/registers:2):2):3/(output:1|log:1):1)"},
    {"cpu", "registers, code, stack, memory",
     "(((registers:3/stack:2):1|(code:3/memory:2):1):4/(output:3|(displays:1/breakpoints:2):2):2)"},
    {"all", "everything at once",
     "((map:2|trees:3|selected:2):2/(code:1|registers:1|(slots:2/breakpoints:2/mmio:2):1):2/(output:2|console:1):1)"},
};
