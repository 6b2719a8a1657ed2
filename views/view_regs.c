/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers: the general ones three to a line, words for the bits of those that have them, segments with their hidden parts
 * on one line each. A star behind a name: as of the last stop.
 */
#include "views/draw.h"
#include "core/cpu/regs.h"

#include <stdio.h>
#include <string.h>

/* Leading zeros dim, so that the number stands out and the columns stay. */
static void out_padded_hex(struct out *o, uint64_t x, unsigned digits)
{
	unsigned used = hex_width(x) - 2;

	out_begin(o, STYLE_DIM);
	out_text(o, "0x");
	out_fill(o, '0', used < digits ? digits - used : 0);
	out_end(o, STYLE_DIM);
	out_textf(o, "%llx", (unsigned long long)x);
}

#define OLD "of_last_stop"

static bool is_old(const struct value *v, const char *key)
{
	const struct value *old = v_get(v, OLD);

	for (uint32_t i = 0; old && old->type == VALUE_LIST && i < old->n; i++)
		if (old->items[i].type == VALUE_STR && !strcmp(old->items[i].str, key))
			return true;
	return false;
}

/* The star stands where a blank does, so that columns stay. */
static void draw_star(struct out *o, bool old)
{
	if (old)
		out_styled(o, STYLE_WARN, "*");
	else
		out_text(o, " ");
}

static void draw_name(struct out *o, const char *name, size_t len, size_t width, bool old)
{
	out_begin(o, STYLE_BOLD);
	out_bytes(o, name, len);
	out_end(o, STYLE_BOLD);
	draw_star(o, old);
	out_fill(o, ' ', len < width ? width - len : 0);
}

static size_t stem_len(const char *key)
{
	const char *dot = strchr(key, '.');

	return dot ? (size_t)(dot - key) : strlen(key);
}

static bool share_stem(const struct value *v, uint32_t i, uint32_t k)
{
	const char *a = v->fields[i].key;
	size_t n = stem_len(a);

	return k < v->n && stem_len(v->fields[k].key) == n && !strncmp(a, v->fields[k].key, n);
}

/* "cs 0x33  base 0x0  limit 0xffffffff  flags 0xa0fb", "gdt  base 0x0  limit 0x0": i and what follows of the same stem. */
static uint32_t draw_parts(struct out *o, const struct value *v, uint32_t i, size_t width)
{
	uint32_t first = i;

	bool whole = !strchr(v->fields[i].key, '.');
	draw_name(o, v->fields[i].key, stem_len(v->fields[i].key), width, whole && is_old(v, v->fields[i].key));
	for (; share_stem(v, first, i); i++) {
		const char *dot = strchr(v->fields[i].key, '.');
		if (dot) {
			out_styled(o, STYLE_DIM, "%s%s", i > first ? "  " : "", dot + 1);
			draw_star(o, is_old(v, v->fields[i].key));
		}
		out_inline(o, &v->fields[i].value);
	}
	out_text(o, "\n");
	return i - 1;
}

static bool in_group(const char *key, const char *group)
{
	const struct reg_name *reg = reg_find(key);

	return reg && !strcmp(reg->group, group);
}

/* Selectors alone share a line. */
static uint32_t draw_selectors(struct out *o, const struct value *v, uint32_t i)
{
	uint32_t first = i;

	for (; i < v->n && in_group(v->fields[i].key, "segment"); i++) {
		if (i > first)
			out_text(o, "  ");
		draw_name(o, v->fields[i].key, strlen(v->fields[i].key), 0, is_old(v, v->fields[i].key));
		out_inline(o, &v->fields[i].value);
	}
	out_text(o, "\n");
	return i - 1;
}

static void draw_flagged(struct out *o, const struct reg_name *reg, uint64_t x, size_t width, bool old)
{
	char text[256];

	draw_name(o, reg->name, strlen(reg->name), width, old);
	out_padded_hex(o, x, 16);
	reg_flags_text(reg, x, text, sizeof(text));
	if (text[0])
		out_textf(o, "  %s", text);
	out_text(o, "\n");
}

/* Three to a line, or fewer if it is narrow. */
static uint32_t draw_general(struct out *o, const struct value *v)
{
	enum { COLUMN = 25 }; /* "rax 0x0000000000000000   " */
	uint32_t in_line = o->width ? MAX(1u, MIN(3u, (o->width + 3) / COLUMN)) : 3, i = 0;

	for (; i < v->n && is_general_register(&v->fields[i]); i++) {
		draw_name(o, v->fields[i].key, strlen(v->fields[i].key), 3, is_old(v, v->fields[i].key));
		out_padded_hex(o, v->fields[i].value.hex, 16);
		out_text(o, i % in_line == in_line - 1 ? "\n" : "   ");
	}
	if (i % in_line) {
		while (o->len && o->text[o->len - 1] == ' ')
			o->len--;
		out_text(o, "\n");
	}
	return i;
}

void view_registers(struct out *o, const struct value *v)
{
	uint32_t i = draw_general(o, v);
	size_t width = 3;

	for (uint32_t k = i; k < v->n; k++)
		if (strcmp(v->fields[k].key, OLD) && stem_len(v->fields[k].key) > width)
			width = stem_len(v->fields[k].key);
	for (; i < v->n; i++) {
		const struct field *f = &v->fields[i];
		const struct reg_name *reg = reg_find(f->key);

		if (!strcmp(f->key, OLD)) {
			out_text(o, "* as of the last stop\n");
		} else if (f->value.type == VALUE_DICT) {
			draw_nested(o, &f->value);
		} else if (share_stem(v, i, i + 1) || strchr(f->key, '.')) {
			i = draw_parts(o, v, i, width);
		} else if (in_group(f->key, "segment")) {
			i = draw_selectors(o, v, i);
		} else if (f->value.type == VALUE_HEX && reg && reg->bits == 64) {
			draw_flagged(o, reg, f->value.hex, width, is_old(v, f->key));
		} else {
			draw_name(o, f->key, strlen(f->key), width, is_old(v, f->key));
			out_inline(o, &f->value);
			out_text(o, "\n");
		}
	}
}
