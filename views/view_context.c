/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where a vCPU stands: sections under rules (registers, code, stack, stop), and telescope, words with what they point to. A
 * star before a register: the run has changed it; a tilde: as of the last stop.
 */
#include "views/draw.h"
#include "core/cpu/regs.h"

#include <stdio.h>
#include <string.h>

#define RULE_WIDTH 80 /* where no terminal says how wide it is */

/* ---- chains */

static void draw_arrow(struct out *o)
{
	out_styled(o, STYLE_DIM, "%s", o->ascii ? " -> " : " → ");
}

/* One link: its number, what it is called, what stands there. */
static void draw_link(struct out *o, const struct value *link)
{
	const char *symbol = get_str(link, "symbol"), *insn = get_str(link, "insn");
	const struct value *string = v_get(link, "string");

	if (has_num(link, "value"))
		out_styled_hex(o, symbol[0] || insn[0] || string ? STYLE_ADDR : STYLE_PLAIN, get_num(link, "value"));
	if (symbol[0])
		out_between(o, " <", symbol, ">");
	if (insn[0])
		out_between(o, ": ", insn, "");
	if (string)
		out_between(o, ": \"", get_str(link, "string"), get_truth(link, "cut") ? "\"..." : "\"");
	if (get_truth(link, "loop"))
		out_styled(o, STYLE_WARN, " (loop)");
	if (get_truth(link, "more")) {
		draw_arrow(o);
		out_text(o, "...");
	}
}

static void draw_chain(struct out *o, const struct value *chain)
{
	for (uint32_t i = 0; i < chain->n; i++) {
		if (i)
			draw_arrow(o);
		draw_link(o, &chain->items[i]);
	}
}

/* ---- telescope */

static size_t names_width(const struct value *names)
{
	size_t n = 0;

	for (uint32_t i = 0; i < names->n; i++)
		n += names->items[i].type == VALUE_STR ? names->items[i].n + (i > 0) : 0;
	return n;
}

struct telescope_widths {
	size_t address, offset, names;
};

static void widen(size_t *w, size_t n)
{
	*w = n > *w ? n : *w;
}

static void draw_word(struct out *o, const struct telescope_widths *w, const struct value *row)
{
	const struct value *names = get_list(row, "registers");
	uint64_t address = get_num(row, "address"), offset = get_num(row, "offset");

	out_fill(o, ' ', w->address - hex_width(address));
	out_styled_hex(o, STYLE_ADDR, address);
	out_styled(o, STYLE_DIM, "  +0x%0*llx", (int)w->offset - 2, (unsigned long long)offset);
	if (w->names) {
		out_text(o, "  ");
		out_begin(o, STYLE_BOLD);
		out_words(o, names, "");
		out_end(o, STYLE_BOLD);
		out_fill(o, ' ', w->names - names_width(names));
	}
	out_text(o, "  ");
	if (has_num(row, "value") && get_list(row, "chain")->n)
		draw_chain(o, get_list(row, "chain"));
	else
		out_field(o, row, "value");
	out_text(o, "\n");
}

/* How many rows from i on cannot be read, and have nothing else to say; 1 for any other row. */
static uint32_t unreadable_run(const struct value *v, uint32_t i)
{
	uint32_t n = 1;

	if (has_num(&v->items[i], "value"))
		return 1;
	while (i + n < v->n && !has_num(&v->items[i + n], "value") && !get_list(&v->items[i + n], "registers")->n)
		n++;
	return n;
}

void view_telescope(struct out *o, const struct value *v)
{
	struct telescope_widths w = {0};

	for (uint32_t i = 0; i < v->n; i++) {
		widen(&w.address, hex_width(get_num(&v->items[i], "address")));
		widen(&w.offset, hex_width(get_num(&v->items[i], "offset")));
		widen(&w.names, names_width(get_list(&v->items[i], "registers")));
	}
	for (uint32_t i = 0; i < v->n;) {
		uint32_t n = unreadable_run(v, i);
		draw_word(o, &w, &v->items[i]);
		if (n > 1)
			out_textf(o, "%*sand %u more words that cannot be read\n", (int)(w.address + 2), "", n - 1);
		i += n;
	}
}

/* ---- registers */

struct registers {
	const struct value *all, *changed, *old, *chains;
	size_t width;	   /* of the widest number */
	unsigned per_line; /* plain numbers */
	unsigned in_line;  /* of the line begun */
	bool any_old;
};

static void end_line(struct out *o, struct registers *r)
{
	while (r->in_line && o->len && o->text[o->len - 1] == ' ')
		o->len--;
	if (r->in_line)
		out_text(o, "\n");
	r->in_line = 0;
}

static void draw_name(struct out *o, struct registers *r, const char *name)
{
	bool changed = has_word(r->changed, name), old = has_word(r->old, name);

	r->any_old |= old;
	out_begin(o, changed || old ? STYLE_WARN : STYLE_BOLD);
	out_textf(o, "%s%-4s", changed ? "*" : old ? "~" : " ", name);
	out_end(o, changed || old ? STYLE_WARN : STYLE_BOLD);
}

/* Numbers side by side; what points somewhere has a line of its own. */
static void draw_register(struct out *o, struct registers *r, const struct field *f)
{
	const struct value *chain = get_list(r->chains, f->key);

	if (chain->n || r->in_line == r->per_line)
		end_line(o, r);
	draw_name(o, r, f->key);
	if (chain->n) {
		draw_chain(o, chain);
		out_text(o, "\n");
		return;
	}
	out_hex(o, f->value.hex);
	out_fill(o, ' ', r->width - hex_width(f->value.hex) + 2);
	r->in_line++;
}

static bool is_drawn(const struct field *f, bool long_mode)
{
	return is_general_register(f) && (long_mode || f->key[1] > '9');
}

static void layout_registers(const struct out *o, struct registers *r, bool long_mode)
{
	for (uint32_t i = 0; i < r->all->n; i++) {
		const struct field *f = &r->all->fields[i];
		if (is_drawn(f, long_mode) && !get_list(r->chains, f->key)->n)
			widen(&r->width, hex_width(f->value.hex));
	}
	size_t most = o->width ? o->width : RULE_WIDTH, each = 5 + r->width + 2;
	r->per_line = each && most / each ? (unsigned)(most / each) : 1;
	if (r->per_line > 4)
		r->per_line = 4;
}

static void draw_flags(struct out *o, struct registers *r)
{
	const struct reg_name *reg = reg_find("rflags");
	char text[256];

	if (!has_num(r->all, "rflags"))
		return;
	draw_name(o, r, "rflags");
	out_text(o, " ");
	out_hex(o, get_num(r->all, "rflags"));
	reg_flags_text(reg, get_num(r->all, "rflags"), text, sizeof(text));
	out_textf(o, "%s%s\n", text[0] ? "  " : "", text);
}

/* Where they take part in addresses. */
static void draw_segments(struct out *o, struct registers *r)
{
	static const char *const names[] = {"cs", "ss", "ds", "es", "fs", "gs"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (has_num(r->all, names[i])) {
			out_text(o, i ? " " : "");
			out_styled(o, STYLE_BOLD, " %s ", names[i]);
			out_hex(o, get_num(r->all, names[i]));
		}
	out_text(o, "\n");
}

static const struct value *dict_of(const struct value *v, const char *key)
{
	static const struct value none = {.type = VALUE_DICT};
	const struct value *d = v_get(v, key);

	return d && d->type == VALUE_DICT ? d : &none;
}

static void draw_registers(struct out *o, const struct value *v)
{
	bool long_mode = !strcmp(get_str(v, "mode"), "long");
	struct registers r = {
	    .all = dict_of(v, "registers"), .chains = dict_of(v, "chains"), .changed = get_list(v, "changed")};

	r.old = get_list(r.all, "of_last_stop");
	layout_registers(o, &r, long_mode);
	for (uint32_t i = 0; i < r.all->n; i++)
		if (is_drawn(&r.all->fields[i], long_mode))
			draw_register(o, &r, &r.all->fields[i]);
	end_line(o, &r);
	draw_flags(o, &r);
	if (!long_mode)
		draw_segments(o, &r);
	if (r.any_old)
		out_styled(o, STYLE_DIM, "~ as of the last stop\n");
}

/* ---- sections */

static void draw_rule(struct out *o, const char *title, const char *note)
{
	size_t most = o->width ? o->width : RULE_WIDTH;
	const char *dash = o->ascii ? "-" : "─";

	out_begin(o, STYLE_HEAD);
	out_textf(o, "%s%s %s%s%s ", dash, dash, title, note[0] ? ": " : "", note);
	for (size_t at = out_column(o); at < most; at++)
		out_text(o, dash);
	out_end(o, STYLE_HEAD);
	out_text(o, "\n");
}

static void draw_list(struct out *o, const struct value *v, const char *key, view_fn *draw)
{
	const struct value *part = v_get(v, key);

	if (!part)
		return;
	draw_rule(o, key, "");
	if (part->type == VALUE_LIST) {
		draw(o, part);
		return;
	}
	out_inline(o, part);
	out_text(o, "\n");
}

void view_context(struct out *o, const struct value *v)
{
	const struct value *stop = v_get(v, "stop");
	char note[64];

	snprintf(note, sizeof(note), "vcpu %u, %.20s mode, CPL %u", (unsigned)get_num(v, "vcpu"), get_str(v, "mode"),
		 (unsigned)get_num(v, "cpl"));
	if (v_get(v, "registers")) {
		draw_rule(o, "registers", note);
		draw_registers(o, v);
	}
	draw_list(o, v, "code", view_disas);
	draw_list(o, v, "stack", view_telescope);
	if (stop && stop->type == VALUE_DICT) {
		draw_rule(o, "stop", "");
		view_stop(o, stop);
	}
}
