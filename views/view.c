/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which view draws what, and drawing by shape alone: a dict as "key  value" lines, a list of dicts as a table, anything else
 * as people would write it.
 */
#include "views/draw.h"

#include <string.h>

static const struct named_view {
	const char *name;
	view_fn *draw;
	enum value_type shape; /* a value of another one is drawn by shape */
} named_views[] = {
    {"stop", view_stop, VALUE_DICT},
    {"no-progress", view_stall, VALUE_DICT},
    {"breakpoint", view_breakpoint, VALUE_DICT},
    {"display", view_display, VALUE_DICT},
    {"displays", view_displays, VALUE_LIST},
    {"checkpoints", view_checkpoints, VALUE_LIST},
    {"slots", view_slots, VALUE_LIST},
    {"map", view_map, VALUE_LIST},
    {"slot", view_slot, VALUE_DICT},
    {"shadow", view_shadow, VALUE_LIST},
    {"shadow-tree", view_shadow_tree, VALUE_LIST},
    {"sptes", view_sptes, VALUE_LIST},
    {"tdp", view_tdp, VALUE_DICT},
    {"rmap", view_rmap, VALUE_LIST},
    {"rmaps", view_rmaps, VALUE_LIST},
    {"mmio", view_mmio, VALUE_LIST},
    {"walk", view_walk, VALUE_DICT},
    {"xlate", view_xlate, VALUE_DICT},
    {"memop", view_memop, VALUE_DICT},
    {"tlb", view_tlb, VALUE_LIST},
    {"mem", view_mem, VALUE_LIST},
    {"registers", view_registers, VALUE_DICT},
    {"dump", view_dump, VALUE_DICT},
    {"bytes", view_bytes, VALUE_DICT},
    {"disas", view_disas, VALUE_LIST},
    {"stages", view_stages, VALUE_LIST},
    {"diff", view_diff, VALUE_LIST},
    {"breakpoints", view_breakpoints, VALUE_LIST},
    {"vcpus", view_vcpus, VALUE_LIST},
    {"backtrace", view_backtrace, VALUE_LIST},
    {"facts", view_facts, VALUE_LIST},
    {"context", view_context, VALUE_DICT},
    {"telescope", view_telescope, VALUE_LIST},
    {"hexdump", view_hexdump, VALUE_DICT},
    {"xinfo", view_xinfo, VALUE_DICT},
    {"vmmap", view_vmmap, VALUE_LIST},
    {"commands", view_commands, VALUE_LIST},
    {"help", view_help, VALUE_DICT},
    {"help-command", view_help_command, VALUE_DICT},
    {NULL, NULL, VALUE_NULL},
};

void view_scalar(struct out *o, const struct value *v)
{
	if (v->type == VALUE_STR)
		out_safe(o, v->str, v->n, true);
	else
		out_inline(o, v);
}

static bool is_table(const struct value *v)
{
	if (v->type != VALUE_LIST || !v->n)
		return false;
	for (uint32_t i = 0; i < v->n; i++)
		if (v->items[i].type != VALUE_DICT)
			return false;
	return true;
}

/* Every line drawn since `from` moves to the right. */
static void indent_from(struct out *o, size_t from, size_t by)
{
	struct out moved;

	out_init(&moved, o->color, 0);
	for (size_t at = from; at < o->len;) {
		const char *nl = memchr(o->text + at, '\n', o->len - at);
		size_t len = nl ? (size_t)(nl + 1 - (o->text + at)) : o->len - at;
		out_fill(&moved, ' ', by);
		out_bytes(&moved, o->text + at, len);
		at += len;
	}
	o->len = from;
	out_bytes(o, moved.text, moved.len);
	o->failed |= moved.failed;
	out_deinit(&moved);
}

static void nested_table(struct out *o, const struct value *v)
{
	out_text(o, "\n");
	size_t from = o->len;
	table_by_shape(o, v);
	indent_from(o, from, 2);
}

/* Many fields inside a line: as many on each line as there is room for. */
#define FIELDS_IN_LINE 6
static void wrapped_fields(struct out *o, const struct value *dict, size_t indent)
{
	size_t most = o->width ? o->width : 110;

	for (uint32_t i = 0; i < dict->n; i++) {
		size_t from = o->len, column = out_column(o);
		out_textf(o, "%s%s=", i ? "  " : "", dict->fields[i].key);
		out_inline(o, &dict->fields[i].value);
		if (!i || column + (o->len - from) <= most)
			continue;
		o->len = from;
		out_text(o, "\n");
		out_fill(o, ' ', indent);
		out_textf(o, "%s=", dict->fields[i].key);
		out_inline(o, &dict->fields[i].value);
	}
}

/* "key  value" lines of a dict, keys padded to the widest; nested tables follow their key, indented. */
static void out_dict(struct out *o, const struct value *dict)
{
	size_t widest = 0;

	for (uint32_t i = 0; i < dict->n; i++)
		if (strlen(dict->fields[i].key) > widest)
			widest = strlen(dict->fields[i].key);
	for (uint32_t i = 0; i < dict->n; i++) {
		const struct field *f = &dict->fields[i];
		out_styled(o, STYLE_HEAD, "%s", f->key);
		if (is_table(&f->value)) {
			nested_table(o, &f->value);
			continue;
		}
		out_fill(o, ' ', widest - strlen(f->key) + 2);
		if (f->value.type == VALUE_DICT && f->value.n > FIELDS_IN_LINE)
			wrapped_fields(o, &f->value, widest + 2);
		else
			out_inline(o, &f->value);
		out_text(o, "\n");
	}
}

static void view_by_shape(struct out *o, const struct value *v)
{
	if (v->type == VALUE_NULL)
		return;
	if (v->type == VALUE_DICT) {
		out_dict(o, v);
	} else if (is_table(v)) {
		table_by_shape(o, v);
	} else if (v->type == VALUE_LIST) {
		for (uint32_t i = 0; i < v->n; i++) {
			view_scalar(o, &v->items[i]);
			out_text(o, "\n");
		}
	} else if (v->type != VALUE_STR || v->n) {
		view_scalar(o, v);
		if (o->len && o->text[o->len - 1] != '\n')
			out_text(o, "\n");
	}
}

void view_draw(struct out *o, const char *view, const struct value *v)
{
	for (const struct named_view *n = named_views; view && n->name; n++) {
		if (strcmp(n->name, view))
			continue;
		if (n->shape != v->type)
			break;
		n->draw(o, v);
		return;
	}
	view_by_shape(o, v);
}
