/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Drawing values for people. A view draws into a struct out (a growing text buffer with styles); where the text goes —
 * pager, terminal, test — is the caller's business. A command names its view; a value without one is drawn by its shape: a
 * dict as "key  value" lines, a list of dicts as an aligned table, a list of plain values one a line.
 */
#ifndef KVMSCOPE_VIEWS_VIEW_H
#define KVMSCOPE_VIEWS_VIEW_H

#include "core/base/value.h"

enum style { STYLE_PLAIN, STYLE_HEAD, STYLE_ADDR, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_DIM, STYLE_BOLD, STYLE_COUNT };

/* A table that is drawn in parts, each by view_draw(): how wide its columns are follows from the first one and from what
 * their kinds may need, and they only grow; the head is drawn once, what stands below the table at the end. Zeroed at first.
 */
struct table_parts {
	bool last;
	struct layout *layout; /* of views/table.c; NULL: nothing was drawn yet */
};
void table_parts_end(struct table_parts *p);

struct out {
	char *text; /* NUL-terminated, never NULL after out_init() */
	size_t len, cap;
	bool color;		   /* write escape sequences */
	bool ascii;		   /* trees in |- instead of box-drawing characters: the locale is not UTF-8 */
	unsigned width;		   /* columns to stay within if that can be; 0: no limit */
	bool failed;		   /* memory ran out; text is what there was room for */
	struct table_parts *parts; /* v is a part of the rows: of views that are one table; NULL: all of them */
};

void out_init(struct out *o, bool color, unsigned width);
void out_deinit(struct out *o);
bool out_locale_is_utf8(void); /* what LC_ALL, LC_CTYPE, LANG say: the caller sets ascii if it is false */
void out_text(struct out *o, const char *s);
void out_textf(struct out *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
void out_styled(struct out *o, enum style st, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Draw v by the named view (NULL, unknown, or a value of another shape: by shape). Ends with a newline unless nothing is
 * drawn. The names, and what each draws (records are views/record.h's):
 *
 *   stop         record_stop                        slots        list of record_slot
 *   slot         record_slot_changed, with dirty    registers    record_regs
 *   map          list of record_region: bars to scale
 *   walk xlate memop                                tlb mem      lists of guest mappings, of ranges
 *   shadow sptes rmap rmaps mmio                    lists of those records
 *   shadow-tree  list of sptes in tree order        stages       list of record_fault_stage
 *   diff         record_diff                        breakpoints  list of record_stop_point (breakpoint: one)
 *   disas        list of record_insn; `current` true draws the marker, `breakpoint` (an id) its sign
 *   dump         dict: address, values, unit (1 2 4 8), format ("x" "d" "u" "o" "t" "c" "a" "s", or "i": values are
 *                record_insn), symbol and symbols (of each value; both optional)
 *   bytes        dict: address, data (hex without 0x)
 *   vcpus        list of id, mode, cpl, rip, smm, state, current (optional)
 *   backtrace    list of level, rip, symbol, frame; the last may have end
 *   facts        list of what, value, why
 *   context      dict: vcpu, mode, cpl, and what there is of registers (as record_regs), changed (names), chains
 * (record_chain by register), code (as disas), stack (as telescope), stop (as stop). A stop may have its own telescope list
 * of address, offset, value, chain (record_chain), registers (names) hexdump      as bytes; end, why: where and why it ends
 * early xinfo        walk's record with symbol, part_of, device, rmap, aliases, dirty vmmap        list of start, end, size,
 * rights, gpa, slot, slot_flags, device, what, symbols, n_symbols display      dict: id, expr, format, value (a dump's dict
 * for memory); displays: a list of them. A stop may have its own commands     list of command, what; help: dict of titles,
 * each such a list help-command dict: command, usage, aliases, summary, help
 */
void view_draw(struct out *o, const char *view, const struct value *v);
/* One plain value as people see it, without newline: "0x40", "12", "readonly log-dirty", "n/a (no BTF)". */
void view_scalar(struct out *o, const struct value *v);

#endif
