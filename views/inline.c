/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A value within a line, as any view draws one.
 */
#include "views/draw.h"

static void out_na(struct out *o, const struct value *v)
{
	out_begin(o, STYLE_DIM);
	out_text(o, "n/a");
	if (v->n) {
		out_text(o, " (");
		out_safe(o, v->str, v->n, false);
		out_text(o, ")");
	}
	out_end(o, STYLE_DIM);
}

static void out_dec(struct out *o, int64_t n)
{
	char num[24];

	out_bytes(o, num, format_dec(num, n));
}

static void inline_list(struct out *o, const struct value *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		bool container = v->items[i].type >= VALUE_LIST;
		if (i)
			out_text(o, container ? "; " : " ");
		out_inline(o, &v->items[i]);
	}
	if (!v->n)
		out_text(o, "-");
}

void out_inline(struct out *o, const struct value *v)
{
	switch ((enum value_type)v->type) {
	case VALUE_NULL:
		out_text(o, "-");
		return;
	case VALUE_BOOL:
		out_text(o, v->truth ? "yes" : "no");
		return;
	case VALUE_INT:
		out_dec(o, v->num);
		return;
	case VALUE_HEX:
		out_hex(o, v->hex);
		return;
	case VALUE_STR:
	case VALUE_REAL:
		out_safe(o, v->str, v->n, false);
		return;
	case VALUE_NA:
		out_na(o, v);
		return;
	case VALUE_LIST:
		inline_list(o, v);
		return;
	case VALUE_DICT:
		for (uint32_t i = 0; i < v->n; i++) {
			out_textf(o, "%s%s=", i ? " " : "", v->fields[i].key);
			out_inline(o, &v->fields[i].value);
		}
		return;
	}
}
