/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Shadow pages and sptes: tables, and the tree of sptes from the root down.
 */
#include "views/draw.h"

#include <string.h>

static void cell_role(struct out *o, const struct value *row)
{
	static const char *const words[] = {"direct", "smm", "unsync", "invalid", "guest_mode", "tdp", "nx_split"};
	const struct value *access = get_list(row, "access");

	out_access(o, has_word(access, "write"), has_word(access, "exec"), has_word(access, "user"));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (get_truth(row, words[i]))
			out_textf(o, " %s", words[i]);
	if (has_num(row, "own_sptes"))
		out_textf(o, ", %llu of", (unsigned long long)get_num(row, "own_sptes"));
	if (get_str(row, "owner")[0])
		out_textf(o, " %s", get_str(row, "owner"));
}

/* The TDP MMU holds a root of its own accord, so not each reference is a vCPU's. */
static void cell_tdp_root(struct out *o, const struct value *row)
{
	const struct value *vcpus = get_list(row, "vcpus");

	out_plural(o, get_num(row, "roots"), "reference", "references");
	out_text(o, !vcpus->n ? ", no vCPU" : vcpus->n > 1 ? ", vCPUs " : ", vCPU ");
	for (uint32_t i = 0; i < vcpus->n; i++)
		out_textf(o, "%s%u", i ? " " : "", (unsigned)vcpus->items[i].num);
}

static void cell_roots(struct out *o, const struct value *row)
{
	if (get_num(row, "roots") && v_get(row, "vcpus"))
		cell_tdp_root(o, row);
	else if (get_num(row, "roots"))
		out_plural(o, get_num(row, "roots"), "root", "roots");
	else
		out_plural(o, get_list(row, "parents")->n, "parent", "parents");
}

void view_shadow(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "level"},
	    {.key = "gfn", .style = STYLE_ADDR},
	    {.key = "sptes"},
	    {.key = "mmio_sptes", .title = "mmio", .optional = true},
	    {.key = "parents", .title = "held by", .kind = COL_CELL, .cell = cell_roots},
	    {.key = "address"},
	    {.key = "access", .title = "role", .kind = COL_CELL, .cell = cell_role},
	    {.key = "l1_root", .title = "L1's root", .style = STYLE_ADDR, .optional = true},
	    {.key = "source", .kind = COL_SHARED},
	    {.key = "live", .kind = COL_SHARED, .optional = true},
	};

	if (!v->n)
		out_nothing(o, "no shadow pages: nothing has run natively yet, or the guest's accesses are emulated");
	table_draw(o, columns, ARRAY_LEN(columns), v);
}

/* What allows writing is said only if the spte does not (yet). */
static void spte_words(struct out *o, const struct value *s)
{
	static const struct {
		const char *key, *word;
		bool if_readonly;
	} words[] = {{"accessed", " accessed", false},
		     {"dirty", " dirty", false},
		     {"host_writable", " host-writable", true},
		     {"mmu_writable", " mmu-writable", true},
		     {"mmio", " mmio", false}};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (get_truth(s, words[i].key) && !(words[i].if_readonly && get_truth(s, "writable")))
			out_text(o, words[i].word);
}

static void cell_spte(struct out *o, const struct value *s)
{
	if (get_truth(s, "host_own")) {
		out_text(o, "the hypervisor's own");
		return;
	}
	if (!get_truth(s, "present")) {
		out_text(o, get_truth(s, "mmio") ? "mmio" : "not present");
		return;
	}
	out_access(o, get_truth(s, "writable"), get_truth(s, "exec"), get_truth(s, "user"));
	spte_words(o, s);
	if (get_str(s, "owner")[0])
		out_textf(o, "  %s", get_str(s, "owner"));
}

void view_sptes(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "gva", .style = STYLE_ADDR, .optional = true},
	    {.key = "gpa", .style = STYLE_ADDR, .optional = true},
	    {.key = "l2_gpa", .style = STYLE_ADDR, .optional = true},
	    {.key = "level"},
	    {.key = "gfn"},
	    {.key = "pfn"},
	    {.key = "spte"},
	    {.key = "present", .title = "means", .kind = COL_CELL, .cell = cell_spte},
	    {.key = "l1_root", .title = "L1's root", .kind = COL_SHARED, .optional = true},
	    {.key = "source", .kind = COL_SHARED},
	    {.key = "live", .kind = COL_SHARED, .optional = true},
	};

	if (!v->n)
		out_nothing(o, "no sptes there");
	table_draw(o, columns, ARRAY_LEN(columns), v);
	out_truncated(o, v);
}

/* Whether an entry at this level follows among the rows after i before the tree goes up again. */
static bool is_last(const struct value *rows, uint32_t i)
{
	uint64_t level = get_num(&rows->items[i], "level");

	for (uint32_t j = i + 1; j < rows->n; j++) {
		uint64_t row_level = get_num(&rows->items[j], "level");
		if (row_level == level)
			return false;
		if (row_level > level)
			return true;
	}
	return true;
}

static void tree_line(struct out *o, const struct value *s)
{
	const struct value *gfn = v_get(s, "gfn");
	bool leaf = gfn && gfn->type == VALUE_HEX;

	if (has_num(s, "gva"))
		out_styled_hex(o, STYLE_ADDR, get_num(s, "gva"));
	else if (has_num(s, "l2_gpa"))
		out_styled(o, STYLE_ADDR, "L2 gpa 0x%llx", (unsigned long long)get_num(s, "l2_gpa"));
	else if (has_num(s, "gpa"))
		out_styled(o, STYLE_ADDR, "gpa 0x%llx", (unsigned long long)get_num(s, "gpa"));
	else
		out_text(o, "gva n/a");
	out_styled(o, STYLE_DIM, "  L%u  ", (unsigned)get_num(s, "level"));
	if (leaf) {
		out_text(o, "gfn ");
		out_hex(o, gfn->hex);
		out_text(o, "  ");
	}
	if (has_num(s, "pfn") && leaf) {
		out_text(o, "pfn ");
		out_hex(o, get_num(s, "pfn"));
		out_text(o, "  ");
	}
	cell_spte(o, s);
	out_text(o, "\n");
}

static void draw_root(struct out *o, const struct value *first)
{
	out_styled(o, STYLE_BOLD, "root");
	if (has_num(first, "l1_root"))
		out_textf(o, " of a nested guest, by L1's tables at 0x%llx", (unsigned long long)get_num(first, "l1_root"));
	out_text(o, "\n");
}

void view_shadow_tree(struct out *o, const struct value *v)
{
	struct tree t = {0};
	uint64_t top = 0;

	if (!v->n)
		out_nothing(o, "the root has no entries yet");
	for (uint32_t i = 0; i < v->n; i++)
		if (get_num(&v->items[i], "level") > top)
			top = get_num(&v->items[i], "level");
	if (v->n)
		draw_root(o, &v->items[0]);
	for (uint32_t i = 0; i < v->n && !o->failed; i++) {
		const struct value *s = &v->items[i];
		if (s->type != VALUE_DICT)
			continue;
		tree_branch(o, &t, (unsigned)(top - get_num(s, "level")) + 1, is_last(v, i));
		tree_line(o, s);
	}
	if (v->n)
		out_source(o, &v->items[0]);
	out_truncated(o, v);
}
