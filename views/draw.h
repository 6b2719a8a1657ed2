/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the views share below views/view.h: appending to a struct out without printf, tables sized in one pass, and the
 * branches of trees. Only views/ includes this.
 *
 * Text that comes from a guest, an image or the kernel is drawn by out_safe(): no control character reaches a terminal.
 */
#ifndef KVMSCOPE_VIEWS_DRAW_H
#define KVMSCOPE_VIEWS_DRAW_H

#include "views/view.h"

/* Room for n more bytes and a NUL at the end of the text, or NULL (and failed set). The caller adds what it used to len. */
char *out_room(struct out *o, size_t n);
void out_bytes(struct out *o, const char *s, size_t n);
void out_fill(struct out *o, char c, size_t n);
#define STYLE_CODE_MAX 8
#define STYLE_CODE_END "\033[0m"
const char *style_code_of(enum style st); /* the escape sequence; "" for plain */
void out_begin(struct out *o, enum style st);
void out_end(struct out *o, enum style st);
/* n bytes of s with control characters as \xNN and broken UTF-8 as '?'; newline and tab stay if multiline. */
void out_safe(struct out *o, const char *s, size_t n, bool multiline);
/* Such text, on one line, between two pieces of ours. */
void out_between(struct out *o, const char *before, const char *text, const char *behind);
size_t out_column(const struct out *o); /* columns of the last line so far, escape sequences not counted */
/* A sentence from here to the end of the line, broken at blanks if o->width is reached; further lines begin at indent. */
void out_wrapped(struct out *o, const char *text, unsigned indent);
void out_hex(struct out *o, uint64_t x);
void out_styled_hex(struct out *o, enum style st, uint64_t x);
void out_hex_range(struct out *o, uint64_t first, uint64_t last); /* "0x40-0x47", "0x40" for one */
/* "512 KiB", "1 MiB", "12345": exact, never rounded. */
void out_size(struct out *o, uint64_t bytes);

/* All return the length; buf holds 32 bytes or more. */
size_t format_hex(char *buf, uint64_t x);
size_t format_dec(char *buf, int64_t n);
size_t format_size(char *buf, uint64_t bytes);
unsigned hex_width(uint64_t x);
/* Columns that n bytes of UTF-8 take, one a code point. */
size_t text_width(const char *s, size_t n);

/* A table's column: key names the row's field. */
enum column_kind {
	COL_VALUE,
	COL_SIZE,   /* bytes, as out_size() */
	COL_FLAG,   /* the title's word if true, nothing if false */
	COL_SHARED, /* left out and told below the table if all rows agree */
	COL_CELL,   /* .cell draws it */
};
struct column {
	const char *key;
	const char *title; /* NULL: the key */
	enum column_kind kind;
	enum style style;
	bool optional; /* left out if no row has anything to say */
	bool left;     /* numbers to the left too */
	void (*cell)(struct out *o, const struct value *row);
};
/* rows is a list of dicts. Reasons of n/a cells follow the table, each once. */
void table_draw(struct out *o, const struct column *cols, size_t n, const struct value *rows);
/* Columns from the rows' own keys. */
void table_by_shape(struct out *o, const struct value *rows);

/* One line's beginning in a tree: for every level above whether more siblings follow there, then this one's own. */
#define TREE_DEPTH_MAX 16
struct tree {
	unsigned depth;
	bool more[TREE_DEPTH_MAX];
};
/* Draw the branches before an entry at t->depth (0: none); last: no sibling follows. Remembers it for deeper entries. */
void tree_branch(struct out *o, struct tree *t, unsigned depth, bool last);
/* view_nested.c: one line about a vCPU in L2; a walk's second translation. */
void draw_nested(struct out *o, const struct value *g);
void draw_nested_walk(struct out *o, struct tree *t, const struct value *n);

/* Fields of a record, forgiving: 0, false, "" or an empty list if there is no such field or it has another type. */
uint64_t get_num(const struct value *dict, const char *key);
bool get_truth(const struct value *dict, const char *key);
const char *get_str(const struct value *dict, const char *key);
const struct value *get_list(const struct value *dict, const char *key);
/* " in SMM" for a record that is about KVM's second address space, else "". */
const char *space_words(const struct value *dict);
bool has_num(const struct value *dict, const char *key);
/* True if the list has this word. */
bool has_word(const struct value *list, const char *word);
/* The spte of a walk's record that maps the page, a large or an MMIO one too; NULL: none does. */
const struct value *leaf_spte(const struct value *walk);
/* A general register's number: rax to r15, rip. */
bool is_general_register(const struct field *f);
/* "rwx" from writable and exec; then " user". */
void out_access(struct out *o, bool writable, bool exec, bool user);
void out_words(struct out *o, const struct value *list, const char *none);
void out_plural(struct out *o, uint64_t n, const char *one, const char *many); /* "1 spte", "2 sptes" */
void out_nothing(struct out *o, const char *text);			       /* the dim line of an empty table */
void out_truncated(struct out *o, const struct value *rows); /* "truncated" of a list's last row: how to have the rest */
void out_source(struct out *o, const struct value *record);  /* "source kernel" in a dim line */
void out_field(struct out *o, const struct value *record, const char *key); /* its value inside a line; "-" without */
/* Any value inside a line: lists and dicts too. */
void out_inline(struct out *o, const struct value *v);
/* "0102…" as rows of 16 bytes with their characters, beginning at address. fold: a row that is as the one before is a "*"
 * with those that follow it, and the end's address stands below. */
void out_hex_bytes(struct out *o, uint64_t address, const char *hex, bool fold);

typedef void view_fn(struct out *o, const struct value *v);
view_fn view_stall;
view_fn view_stop, view_breakpoint, view_display, view_displays, view_checkpoints, view_slots, view_slot, view_shadow,
    view_shadow_tree, view_sptes, view_rmap, view_rmaps, view_mmio, view_walk, view_xlate, view_memop, view_tlb, view_mem,
    view_registers, view_dump, view_bytes, view_disas, view_stages, view_diff, view_breakpoints, view_vcpus, view_backtrace,
    view_facts, view_tdp;
view_fn view_map;
view_fn view_context, view_telescope, view_hexdump, view_xinfo, view_vmmap;
view_fn view_commands, view_help, view_help_command; /* view_support.c */

#endif
