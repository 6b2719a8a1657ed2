/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fields of records as views ask for them, and the few phrases that several views draw alike.
 */
#include "views/draw.h"

#include <string.h>

#include "core/cpu/regs.h"

/* Keys are constants that the linker has mostly made one: look by address before by content. */
static const struct value *find_field(const struct value *dict, const char *key)
{
	if (dict->type != VALUE_DICT)
		return NULL;
	for (uint32_t i = 0; i < dict->n; i++)
		if (dict->fields[i].key == key)
			return &dict->fields[i].value;
	return v_get(dict, key);
}

const char *space_words(const struct value *dict)
{
	return get_num(dict, "as") ? " in SMM" : "";
}

bool has_num(const struct value *dict, const char *key)
{
	const struct value *v = find_field(dict, key);

	return v && (v->type == VALUE_INT || v->type == VALUE_HEX);
}

uint64_t get_num(const struct value *dict, const char *key)
{
	const struct value *v = find_field(dict, key);

	return v && (v->type == VALUE_INT || v->type == VALUE_HEX) ? v->hex : 0;
}

bool get_truth(const struct value *dict, const char *key)
{
	const struct value *v = find_field(dict, key);

	return v && v->type == VALUE_BOOL && v->truth;
}

const char *get_str(const struct value *dict, const char *key)
{
	const struct value *v = find_field(dict, key);

	return v && (v->type == VALUE_STR || v->type == VALUE_NA) && v->str ? v->str : "";
}

const struct value *get_list(const struct value *dict, const char *key)
{
	static const struct value none = {.type = VALUE_LIST};
	const struct value *v = find_field(dict, key);

	return v && v->type == VALUE_LIST ? v : &none;
}

bool has_word(const struct value *list, const char *word)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (list->items[i].type == VALUE_STR && !strcmp(list->items[i].str, word))
			return true;
	return false;
}

const struct value *leaf_spte(const struct value *walk)
{
	const struct value *sptes = get_list(walk, "sptes"), *last = sptes->n ? &sptes->items[sptes->n - 1] : NULL;
	const struct value *flags = last ? get_list(last, "flags") : NULL;

	return last && (get_num(last, "level") == 1 || has_word(flags, "large") || has_word(flags, "mmio")) ? last : NULL;
}

bool is_general_register(const struct field *f)
{
	const struct reg_name *reg = reg_find(f->key);

	return reg && f->value.type == VALUE_HEX && !strcmp(reg->group, "general") && strcmp(reg->name, "rflags") != 0;
}

void out_access(struct out *o, bool writable, bool exec, bool user)
{
	char text[] = "r-- user";

	if (writable)
		text[1] = 'w';
	if (exec)
		text[2] = 'x';
	out_bytes(o, text, user ? 8 : 3);
}

void out_words(struct out *o, const struct value *list, const char *none)
{
	if (!list->n) {
		out_text(o, none);
		return;
	}
	for (uint32_t i = 0; i < list->n; i++) {
		if (i)
			out_bytes(o, " ", 1);
		out_inline(o, &list->items[i]);
	}
}

void out_between(struct out *o, const char *before, const char *text, const char *behind)
{
	out_text(o, before);
	out_safe(o, text, strlen(text), false);
	out_text(o, behind);
}

void out_plural(struct out *o, uint64_t n, const char *one, const char *many)
{
	char num[24];

	out_bytes(o, num, format_dec(num, (int64_t)n));
	out_text(o, " ");
	out_text(o, n == 1 ? one : many);
}

void out_nothing(struct out *o, const char *text)
{
	out_styled(o, STYLE_DIM, "%s", text);
	out_text(o, "\n");
}

void out_truncated(struct out *o, const struct value *rows)
{
	const struct value *t = rows->n ? v_get(&rows->items[rows->n - 1], "truncated") : NULL;

	if (!t)
		return;
	out_begin(o, STYLE_DIM);
	out_text(o, get_str(t, "why"));
	out_end(o, STYLE_DIM);
	out_text(o, "\n");
}

void out_source(struct out *o, const struct value *record)
{
	const char *source = get_str(record, "source");

	if (!source[0])
		return;
	out_begin(o, STYLE_DIM);
	out_text(o, "source ");
	out_safe(o, source, strlen(source), false);
	if (get_truth(record, "live"))
		out_text(o, ", live");
	out_end(o, STYLE_DIM);
	out_text(o, "\n");
}

void out_field(struct out *o, const struct value *record, const char *key)
{
	const struct value *v = find_field(record, key);

	if (v)
		out_inline(o, v);
	else
		out_text(o, "-");
}
