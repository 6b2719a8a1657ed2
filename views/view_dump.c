/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory as `x` shows it: 16 bytes' worth of values a line behind their address, in gdb's formats; and disassembly with a
 * marker at the instruction where the vCPU stands.
 */
#include "views/draw.h"

#include <string.h>

struct dump {
	unsigned unit; /* bytes of one value */
	char format;
	unsigned width, per_line;
};

static unsigned value_width(char format, unsigned unit)
{
	switch (format) {
	case 'd':
	case 'u':
		return unit == 1 ? 4 : unit == 2 ? 6 : unit == 4 ? 11 : 20;
	case 'o':
		return (unit * 8 + 2) / 3 + 1;
	case 't':
		return unit * 8;
	case 'c':
		return 9;
	default:
		return 2 + 2 * unit;
	}
}

static void dump_layout(const struct value *v, struct dump *d)
{
	const char *format = get_str(v, "format");
	uint64_t unit = get_num(v, "unit");

	d->unit = unit == 1 || unit == 2 || unit == 4 ? (unsigned)unit : 8;
	d->format = format[0] ? format[0] : 'x';
	d->width = value_width(d->format, d->unit);
	d->per_line = d->format == 't' ? (d->unit > 1 ? 8 / d->unit : 8) : 16 / d->unit;
	if (d->per_line > 8)
		d->per_line = 8;
	if (d->per_line * (d->width + 2) > 62 && d->per_line > 1)
		d->per_line = d->per_line * (d->width + 2) > 124 ? d->per_line / 4 : d->per_line / 2;
	if (!d->per_line || d->format == 's' || d->format == 'a')
		d->per_line = 1;
}

static int64_t sign_extend(uint64_t x, unsigned unit)
{
	unsigned shift = 64 - 8 * unit;

	return (int64_t)(x << shift) >> shift;
}

static size_t format_bits(char *buf, uint64_t x, unsigned digits, unsigned per_digit)
{
	for (unsigned i = 0; i < digits; i++) {
		unsigned shift = (digits - 1 - i) * per_digit;
		uint64_t digits_left = shift < 64 ? x >> shift : 0;
		buf[i] = "0123456789abcdef"[digits_left & ((1u << per_digit) - 1)];
	}
	return digits;
}

/* The number in the format asked for; returns its length in buf. */
static size_t format_value(char *buf, const struct dump *d, uint64_t x)
{
	size_t n;

	switch (d->format) {
	case 'd':
		return format_dec(buf, sign_extend(x, d->unit));
	case 'u':
		n = format_dec(buf, (int64_t)(x / 10));
		if (x < 10)
			n = 0;
		buf[n] = (char)('0' + x % 10);
		return n + 1;
	case 'o':
		return format_bits(buf, x, d->width, 3);
	case 't':
		return format_bits(buf, x, d->width, 1);
	case 'c':
		n = format_dec(buf, sign_extend(x, d->unit));
		memcpy(buf + n, " '.'", 4);
		if (x >= 0x20 && x < 0x7f)
			buf[n + 2] = (char)x;
		return n + 4;
	default:
		buf[0] = '0';
		buf[1] = 'x';
		return 2 + format_bits(buf + 2, x, 2 * d->unit, 4);
	}
}

static void draw_value(struct out *o, const struct dump *d, const struct value *v, bool last)
{
	char buf[80];
	size_t n;

	if (v->type != VALUE_INT && v->type != VALUE_HEX) {
		if (v->type == VALUE_STR)
			out_text(o, "\"");
		out_inline(o, v);
		if (v->type == VALUE_STR)
			out_text(o, "\"");
		return;
	}
	n = format_value(buf, d, v->hex);
	if (n < d->width && d->format != 'c')
		out_fill(o, ' ', d->width - n);
	out_bytes(o, buf, n);
	if (n < d->width && d->format == 'c' && !last)
		out_fill(o, ' ', d->width - n);
}

/* "<main+0x12>": the symbol that the dump began at, and how far this lies behind it. */
static void draw_symbol(struct out *o, const char *symbol, uint64_t offset)
{
	const char *plus = strrchr(symbol, '+');
	size_t n = plus ? (size_t)(plus - symbol) : strlen(symbol);

	if (plus)
		offset += strtoull(plus + 1, NULL, 0);
	out_text(o, " <");
	out_safe(o, symbol, n, false);
	if (offset)
		out_textf(o, "+0x%llx", (unsigned long long)offset);
	out_text(o, ">");
}

static void draw_address(struct out *o, const struct value *v, uint64_t at, uint64_t offset, unsigned digits)
{
	const char *symbol = get_str(v, "symbol");
	char hex[17];

	out_begin(o, STYLE_ADDR);
	out_text(o, "0x");
	out_bytes(o, hex, format_bits(hex, at, digits, 4));
	out_end(o, STYLE_ADDR);
	if (symbol[0])
		draw_symbol(o, symbol, offset);
	out_text(o, ":");
}

/* What a value points to, for format a. */
static void draw_target(struct out *o, const struct value *symbols, uint32_t i)
{
	if (i < symbols->n && symbols->items[i].type == VALUE_STR && symbols->items[i].n)
		draw_symbol(o, symbols->items[i].str, 0);
}

static void draw_lines(struct out *o, const struct value *v, const struct value *values)
{
	const struct value *symbols = get_list(v, "symbols");
	struct dump d;
	uint64_t base = get_num(v, "address"), at = base;
	uint64_t end = base + get_num(v, "unit") * values->n;

	dump_layout(v, &d);
	for (uint32_t i = 0; i < values->n; i++) {
		if (i % d.per_line == 0)
			draw_address(o, v, at, at - base, hex_width(end) - 2);
		out_text(o, d.per_line == 1 ? "  " : " ");
		out_text(o, d.per_line == 1 ? "" : " ");
		bool last = i + 1 == values->n || (i + 1) % d.per_line == 0;
		draw_value(o, &d, &values->items[i], last);
		draw_target(o, symbols, i);
		if (last)
			out_text(o, "\n");
		at += values->items[i].type == VALUE_STR ? values->items[i].n + 1 : d.unit;
	}
}

/* ---- bytes and their characters */

#define ROW_BYTES 16

static unsigned nibble(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void draw_hex_address(struct out *o, uint64_t address, unsigned width)
{
	out_fill(o, ' ', width > hex_width(address) ? width - hex_width(address) : 0);
	out_styled_hex(o, STYLE_ADDR, address);
}

/* Up to 16 bytes behind their address. */
static void draw_hex_row(struct out *o, const char *hex, size_t n)
{
	char text[ROW_BYTES + 1] = "";

	out_text(o, " ");
	for (size_t k = 0; k < ROW_BYTES; k++) {
		out_text(o, k == ROW_BYTES / 2 ? "  " : " ");
		if (k >= n) {
			out_text(o, "  ");
			continue;
		}
		unsigned c = nibble(hex[2 * k]) << 4 | nibble(hex[2 * k + 1]);
		out_bytes(o, hex + 2 * k, 2);
		text[k] = c >= 0x20 && c < 0x7f ? (char)c : '.';
	}
	out_textf(o, "  %s\n", text);
}

/* Is row i the same as the one before it, and whole? */
static bool repeats(const char *hex, size_t i, size_t n)
{
	return i && i + ROW_BYTES <= n && !memcmp(hex + 2 * i, hex + 2 * (i - ROW_BYTES), 2 * ROW_BYTES);
}

void out_hex_bytes(struct out *o, uint64_t address, const char *hex, bool fold)
{
	size_t n = strlen(hex) / 2;
	unsigned width = hex_width(address + n - 1);

	for (size_t i = 0; i < n; i += ROW_BYTES) {
		if (!fold || !repeats(hex, i, n)) {
			draw_hex_address(o, address + i, width);
			draw_hex_row(o, hex + 2 * i, n - i < ROW_BYTES ? n - i : ROW_BYTES);
		} else if (!repeats(hex, i - ROW_BYTES, n)) {
			out_text(o, "*\n");
		}
	}
	/* Where nothing but a star stands last, its end would not be seen. */
	if (fold && n >= ROW_BYTES && !(n % ROW_BYTES) && repeats(hex, n - ROW_BYTES, n)) {
		draw_hex_address(o, address + n, width);
		out_text(o, "\n");
	}
}

/* Bytes as `mem read` gives them. */
void view_bytes(struct out *o, const struct value *v)
{
	out_hex_bytes(o, get_num(v, "address"), get_str(v, "data"), false);
}

/* The same with rows that repeat folded, and why it ends early. */
void view_hexdump(struct out *o, const struct value *v)
{
	const char *why = get_str(v, "why");

	out_hex_bytes(o, get_num(v, "address"), get_str(v, "data"), true);
	if (!why[0])
		return;
	out_styled_hex(o, STYLE_ADDR, get_num(v, "end"));
	out_text(o, "  cannot be read: ");
	out_wrapped(o, why, 2);
}

void view_dump(struct out *o, const struct value *v)
{
	const struct value *values = get_list(v, "values");

	if (get_str(v, "format")[0] == 'i' || (values->n && values->items[0].type == VALUE_DICT))
		view_disas(o, values);
	else
		draw_lines(o, v, values);
}

static enum style insn_style(const struct value *i)
{
	return !strncmp(get_str(i, "insn"), ".byte", 5) ? STYLE_BAD : STYLE_PLAIN;
}

/* "main:" before the first line of a function; within it the addresses say enough. */
static void draw_label(struct out *o, const char *symbol)
{
	size_t n = strlen(symbol);

	if (!n || memchr(symbol, '+', n))
		return;
	out_begin(o, STYLE_BOLD);
	out_safe(o, symbol, n, false);
	out_text(o, ":");
	out_end(o, STYLE_BOLD);
	out_text(o, "\n");
}

static void draw_insn(struct out *o, const struct value *i, size_t bytes_width, unsigned digits)
{
	const char *bytes = get_str(i, "bytes"), *insn = get_str(i, "insn"), *to = get_str(i, "target_symbol");
	char hex[17];

	out_text(o, has_num(i, "breakpoint") ? "*" : " ");
	out_text(o, get_truth(i, "current") ? "=> " : "   ");
	out_begin(o, STYLE_ADDR);
	out_text(o, "0x");
	out_bytes(o, hex, format_bits(hex, get_num(i, "address"), digits, 4));
	out_end(o, STYLE_ADDR);
	out_text(o, "  ");
	out_styled(o, STYLE_DIM, "%-*s", (int)bytes_width, bytes);
	out_text(o, "  ");
	out_begin(o, get_truth(i, "current") ? STYLE_BOLD : insn_style(i));
	out_safe(o, insn, strlen(insn), false);
	out_end(o, get_truth(i, "current") ? STYLE_BOLD : insn_style(i));
	if (to[0]) {
		out_text(o, " <");
		out_safe(o, to, strlen(to), false);
		out_text(o, ">");
	}
	if (v_get(i, "taken"))
		out_styled(o, get_truth(i, "taken") ? STYLE_GOOD : STYLE_DIM, "  (%s)",
			   get_truth(i, "taken") ? "taken" : "not taken");
	out_text(o, "\n");
}

void view_disas(struct out *o, const struct value *v)
{
	size_t bytes_width = 0;
	unsigned digits = 1;

	for (uint32_t i = 0; i < v->n; i++) {
		size_t n = strlen(get_str(&v->items[i], "bytes"));
		unsigned w = hex_width(get_num(&v->items[i], "address")) - 2;
		bytes_width = n > bytes_width ? n : bytes_width;
		digits = w > digits ? w : digits;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		draw_label(o, get_str(&v->items[i], "symbol"));
		draw_insn(o, &v->items[i], bytes_width, digits);
	}
}
