/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JSON of a value, on one line. Strings may hold any bytes (a guest's, an image's): what is not UTF-8 becomes U+FFFD, one
 * for each byte that begins nothing valid, so that the output always parses.
 */
#include "views/json.h"
#include "views/draw.h"
#include "views/utf8.h"

#include <string.h>

/* Deeper than any record of ours; a script's value nested deeper is cut there in words instead of ending the stack. */
#define DEPTH_MAX 1000

static void write_escape(struct out *o, unsigned char c)
{
	static const char digit[] = "0123456789abcdef";
	char text[] = "\\u00..";
	const char *at = strchr("\"\"\\\\\nn\tt\rr\bb\ff", c);

	if (c && at) {
		text[1] = at[1];
		out_bytes(o, text, 2);
		return;
	}
	text[4] = digit[c >> 4];
	text[5] = digit[c & 15];
	out_bytes(o, text, 6);
}

static bool needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static void write_bytes(struct out *o, const unsigned char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t run = i;
		while (run < n && s[run] < 0x80 && !needs_escape(s[run]))
			run++;
		if (run > i) {
			out_bytes(o, (const char *)s + i, run - i);
			i = run;
		} else if (s[i] < 0x80) {
			write_escape(o, s[i++]);
		} else {
			uint32_t ch;
			size_t len = utf8_decode((const char *)s + i, n - i, &ch);
			out_bytes(o, len ? (const char *)s + i : "\xef\xbf\xbd", len ? len : 3);
			i += len ? len : 1;
		}
	}
}

static void write_string(struct out *o, const char *s, size_t n)
{
	out_bytes(o, "\"", 1);
	write_bytes(o, (const unsigned char *)s, n);
	out_bytes(o, "\"", 1);
}

static void write_na(struct out *o, const struct value *v)
{
	if (!v->n) {
		out_text(o, "\"n/a\"");
		return;
	}
	out_text(o, "\"n/a (");
	write_bytes(o, (const unsigned char *)v->str, v->n);
	out_text(o, ")\"");
}

static void write_value(struct out *o, const struct value *v, unsigned depth);

static void write_items(struct out *o, const struct value *v, unsigned depth)
{
	for (uint32_t i = 0; i < v->n; i++) {
		if (i)
			out_bytes(o, ",", 1);
		write_value(o, &v->items[i], depth);
	}
}

static void write_list(struct out *o, const struct value *v, unsigned depth)
{
	out_bytes(o, "[", 1);
	write_items(o, v, depth);
	out_bytes(o, "]", 1);
}

static void write_dict(struct out *o, const struct value *v, unsigned depth)
{
	out_bytes(o, "{", 1);
	for (uint32_t i = 0; i < v->n; i++) {
		if (i)
			out_bytes(o, ",", 1);
		write_string(o, v->fields[i].key, strlen(v->fields[i].key));
		out_bytes(o, ":", 1);
		write_value(o, &v->fields[i].value, depth);
	}
	out_bytes(o, "}", 1);
}

static void write_number(struct out *o, const struct value *v)
{
	char num[24];

	if (v->type == VALUE_INT) {
		out_bytes(o, num, format_dec(num, v->num));
		return;
	}
	out_bytes(o, "\"", 1);
	out_bytes(o, num, format_hex(num, v->hex));
	out_bytes(o, "\"", 1);
}

static void write_value(struct out *o, const struct value *v, unsigned depth)
{
	switch ((enum value_type)v->type) {
	case VALUE_NULL:
		out_bytes(o, "null", 4);
		return;
	case VALUE_BOOL:
		out_text(o, v->truth ? "true" : "false");
		return;
	case VALUE_INT:
	case VALUE_HEX:
		write_number(o, v);
		return;
	case VALUE_STR:
		write_string(o, v->str, v->n);
		return;
	case VALUE_REAL:
		out_bytes(o, v->str, v->n);
		return;
	case VALUE_NA:
		write_na(o, v);
		return;
	case VALUE_LIST:
	case VALUE_DICT:
		if (depth >= DEPTH_MAX)
			out_text(o, "\"n/a (nested too deep)\"");
		else if (v->type == VALUE_LIST)
			write_list(o, v, depth + 1);
		else
			write_dict(o, v, depth + 1);
		return;
	}
}

void json_write(struct out *o, const struct value *v)
{
	write_value(o, v, 0);
}

void json_write_part(struct out *o, const struct value *list, bool first, bool last)
{
	if (first)
		out_bytes(o, "[", 1);
	else if (list->n)
		out_bytes(o, ",", 1);
	write_items(o, list, 1);
	if (last)
		out_bytes(o, "]", 1);
}
