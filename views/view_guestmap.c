/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest's mappings: one a line (`info tlb`), folded into ranges (`info mem`), and as a map (`vmmap`).
 */
#include "views/draw.h"

#include <string.h>

/* A bit a word: no two of them begin alike, and there may be 100,000 rows. */
static unsigned flag_bits(const struct value *flags)
{
	unsigned bits = 0;

	for (uint32_t i = 0; i < flags->n; i++)
		if (flags->items[i].type == VALUE_STR && flags->items[i].str[0] >= 'a' && flags->items[i].str[0] <= 'z')
			bits |= 1u << (flags->items[i].str[0] - 'a');
	return bits;
}

static char *append_flag(char *at, bool on, const char *word, size_t n)
{
	if (on)
		memcpy(at, word, n);
	return on ? at + n : at;
}

#define MAPPING_FIELDS 5 /* of a row that is a mapping and no more */

/* What a row that stands for a table has to say. */
static void out_why(struct out *o, const struct value *row)
{
	const char *why = get_str(row, "why");

	if (why[0])
		out_textf(o, "  %s", why);
}

static void cell_rights(struct out *o, const struct value *row)
{
	unsigned bits = flag_bits(get_list(row, "flags"));
#define HAS(letter) ((bits >> ((letter) - 'a') & 1) != 0)
	char text[64], *at = text;

	*at++ = 'r';
	*at++ = HAS('w') ? 'w' : '-';
	*at++ = HAS('e') ? 'x' : '-';
	at = append_flag(at, HAS('u'), " user", 5);
	at = append_flag(at, HAS('a'), " accessed", 9);
	at = append_flag(at, HAS('d'), " dirty", 6);
	at = append_flag(at, HAS('g'), " global", 7);
#undef HAS
	out_bytes(o, text, (size_t)(at - text));
	if (row->n > MAPPING_FIELDS)
		out_why(o, row);
}

void view_tlb(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "gva", .style = STYLE_ADDR},
	    {.key = "gpa"},
	    {.key = "size", .kind = COL_SIZE},
	    {.key = "flags", .title = "rights", .kind = COL_CELL, .cell = cell_rights},
	};

	if (!v->n)
		out_nothing(o, "no mappings there");
	table_draw(o, columns, ARRAY_LEN(columns), v);
	out_truncated(o, v);
}

void view_mem(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "gva", .style = STYLE_ADDR},
	    {.key = "end", .style = STYLE_ADDR},
	    {.key = "size", .kind = COL_SIZE},
	    {.key = "flags", .title = "rights", .kind = COL_CELL, .cell = cell_rights},
	};

	if (!v->n)
		out_nothing(o, "no mappings there");
	table_draw(o, columns, ARRAY_LEN(columns), v);
	out_truncated(o, v);
}

static void cell_map_rights(struct out *o, const struct value *row)
{
	const struct value *rights = get_list(row, "rights");

	out_access(o, has_word(rights, "writable"), has_word(rights, "exec"), has_word(rights, "user"));
}

static void cell_map_slot(struct out *o, const struct value *row)
{
	const char *device = get_str(row, "device");

	if (has_num(row, "slot"))
		out_field(o, row, "slot");
	else if (get_str(row, "kind")[0])
		out_text(o, "-");
	else
		out_text(o, device[0] ? "device " : "none");
	if (device[0])
		out_safe(o, device, strlen(device), false);
	if (get_list(row, "slot_flags")->n) {
		out_text(o, " ");
		out_words(o, get_list(row, "slot_flags"), "");
	}
}

/* "code stack; start fib spin and 4 more" */
static void cell_map_what(struct out *o, const struct value *row)
{
	const struct value *what = get_list(row, "what"), *symbols = get_list(row, "symbols");
	uint64_t n = get_num(row, "n_symbols");

	out_words(o, what, "");
	if (what->n && symbols->n)
		out_text(o, "; ");
	out_words(o, symbols, "");
	if (symbols->n && n > symbols->n)
		out_textf(o, " and %llu more", (unsigned long long)(n - symbols->n));
	out_why(o, row);
}

void view_vmmap(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "start", .style = STYLE_ADDR},
	    {.key = "end", .style = STYLE_ADDR},
	    {.key = "rights", .kind = COL_CELL, .cell = cell_map_rights},
	    {.key = "size", .kind = COL_SIZE},
	    {.key = "gpa"},
	    {.key = "slot", .kind = COL_CELL, .left = true, .cell = cell_map_slot},
	    {.key = "what", .kind = COL_CELL, .cell = cell_map_what},
	};

	if (!v->n)
		out_nothing(o, "no mappings there");
	table_draw(o, columns, ARRAY_LEN(columns), v);
	out_truncated(o, v);
}
