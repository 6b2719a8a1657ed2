/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Graphs for Graphviz: the shadow tables from a root down, and rmap chains.
 */
#include "views/dot.h"
#include "views/draw.h"

#include <string.h>

#define EDGES_MAX 2000 /* more than that dot lays out in minutes, and nobody finds anything in it */

static void begin_graph(struct out *o, const char *name)
{
	out_textf(o,
		  "digraph %s {\n\trankdir=LR;\n\tnode [shape=box, style=filled, fillcolor=white, fontname=\"monospace\"];\n"
		  "\tedge [fontname=\"monospace\", fontsize=10];\n",
		  name);
}

/* Within the quotes of a label. */
static void label_text(struct out *o, const char *s)
{
	struct out safe;

	out_init(&safe, false, 0);
	out_safe(&safe, s, strlen(s), false);
	for (size_t i = 0; i < safe.len; i++) {
		if (safe.text[i] == '"' || safe.text[i] == '\\')
			out_text(o, "\\");
		out_bytes(o, safe.text + i, 1);
	}
	o->failed |= safe.failed;
	out_deinit(&safe);
}

static void note(struct out *o, const char *id, const char *color, const char *text)
{
	out_textf(o, "\t%s [shape=note, fillcolor=%s, label=\"", id, color);
	label_text(o, text);
	out_text(o, "\"];\n");
}

static void left_out(struct out *o, uint64_t n, const char *where)
{
	struct out text;

	if (!n)
		return;
	out_init(&text, false, 0);
	out_textf(&text, "%llu more left out; %s", (unsigned long long)n, where);
	note(o, "left_out", "lightyellow", text.text);
	out_deinit(&text);
}

/* ---- the tree */

struct page_key {
	uint64_t key; /* of its table, or of an spte that points to it */
	uint32_t page;
};
struct graph {
	const struct value *pages;
	struct page_key *by_table, *by_parent;
	size_t n_parents;
	bool *drawn;
};

static int by_key(const void *a, const void *b)
{
	const struct page_key *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static bool graph_init(struct graph *g, const struct value *pages)
{
	size_t n = 0;

	*g = (struct graph){.pages = pages};
	for (uint32_t i = 0; i < pages->n; i++)
		n += get_list(&pages->items[i], "parents")->n;
	g->by_table = calloc((size_t)pages->n + 1, sizeof(*g->by_table));
	g->by_parent = calloc(n + 1, sizeof(*g->by_parent));
	g->drawn = calloc((size_t)pages->n + 1, sizeof(*g->drawn));
	if (!g->by_table || !g->by_parent || !g->drawn)
		return false;
	for (uint32_t i = 0; i < pages->n; i++) {
		const struct value *parents = get_list(&pages->items[i], "parents");
		g->by_table[i] = (struct page_key){get_num(&pages->items[i], "table"), i};
		for (uint32_t k = 0; k < parents->n; k++)
			g->by_parent[g->n_parents++] = (struct page_key){parents->items[k].hex, i};
	}
	qsort(g->by_table, pages->n, sizeof(*g->by_table), by_key);
	qsort(g->by_parent, g->n_parents, sizeof(*g->by_parent), by_key);
	return true;
}

static void graph_deinit(struct graph *g)
{
	free(g->by_table);
	free(g->by_parent);
	free(g->drawn);
}

static const struct page_key *find(const struct page_key *v, size_t n, uint64_t key)
{
	const struct page_key k = {.key = key};

	return n ? bsearch(&k, v, n, sizeof(k), by_key) : NULL;
}

static void page_label(struct out *o, const struct value *page)
{
	static const char *const words[] = {"direct", "smm", "unsync", "invalid", "guest_mode", "tdp"};
	const struct value *access = get_list(page, "access");

	out_textf(o, "level %u\\ngfn ", (unsigned)get_num(page, "level"));
	out_hex(o, get_num(page, "gfn"));
	out_text(o, "\\n");
	out_access(o, has_word(access, "write"), has_word(access, "exec"), has_word(access, "user"));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (get_truth(page, words[i]))
			out_textf(o, " %s", words[i]);
}

static const char *page_color(const struct value *page)
{
	if (get_truth(page, "invalid"))
		return "tomato";
	if (get_truth(page, "unsync"))
		return "orange";
	return get_truth(page, "direct") ? "lightblue" : "white";
}

static void page_node(struct out *o, struct graph *g, uint32_t i)
{
	const struct value *page = &g->pages->items[i];

	if (g->drawn[i])
		return;
	g->drawn[i] = true;
	out_textf(o, "\tpage_%llx [label=\"", (unsigned long long)get_num(page, "table"));
	page_label(o, page);
	out_textf(o, "\", fillcolor=%s%s];\n", page_color(page), get_num(page, "roots") ? ", peripheries=2" : "");
}

/* Where the edge begins: the page that the entry stands in; what stands in none (the four entries of a PAE root) in "root".
 */
static void edge_from(struct out *o, struct graph *g, const struct value *spte)
{
	uint64_t table = get_num(spte, "sptep") & ~PAGE_OFFSET_MASK;
	const struct page_key *at = find(g->by_table, g->pages->n, table);

	if (!at) {
		out_text(o, "\troot");
		return;
	}
	page_node(o, g, at->page);
	out_textf(o, "\tpage_%llx", (unsigned long long)table);
}

/* The node that a run of leaves ends in; the same pages, the same node. */
static void leaf_node(struct out *o, const struct value *spte, uint64_t pages)
{
	uint64_t gfn = get_num(spte, "gfn"), last = gfn + pages - 1;
	const char *kind = get_truth(spte, "mmio") ? "mmio" : "gfn";

	if (!has_num(spte, "gfn")) {
		out_textf(o, "\tother_%llx [label=\"%s\", shape=ellipse];\n", (unsigned long long)get_num(spte, "sptep"),
			  get_truth(spte, "host_own") ? "the hypervisor's own" : "not known");
		return;
	}
	out_textf(o, "\t%s_%llx_%llx [label=\"%s", kind, (unsigned long long)gfn, (unsigned long long)last,
		  get_truth(spte, "mmio") ? "mmio gfn" : "gfn");
	out_text(o, " ");
	out_hex_range(o, gfn, last);
	out_textf(o, "\", shape=ellipse%s];\n", get_truth(spte, "mmio") ? ", fillcolor=thistle" : "");
}

static void edge_to_leaf(struct out *o, const struct value *spte, uint64_t pages)
{
	uint64_t gfn = get_num(spte, "gfn");

	if (has_num(spte, "gfn"))
		out_textf(o, " -> %s_%llx_%llx", get_truth(spte, "mmio") ? "mmio" : "gfn", (unsigned long long)gfn,
			  (unsigned long long)(gfn + pages - 1));
	else
		out_textf(o, " -> other_%llx", (unsigned long long)get_num(spte, "sptep"));
}

static void edge_label(struct out *o, const struct value *spte, uint32_t n, uint64_t bytes)
{
	uint64_t index = (get_num(spte, "sptep") & PAGE_OFFSET_MASK) / 8, gva = get_num(spte, "gva"),
		 gpa = get_num(spte, "gpa");

	out_textf(o, " [label=\"[%u", (unsigned)index);
	if (n > 1)
		out_textf(o, "-%u", (unsigned)index + n - 1);
	out_text(o, "] ");
	if (has_num(spte, "gva")) {
		out_text(o, "gva ");
		out_hex_range(o, gva, gva + (bytes - 1));
	} else if (has_num(spte, "gpa")) {
		out_text(o, "gpa ");
		out_hex_range(o, gpa, gpa + (bytes - 1));
	}
	out_text(o, "\\n");
	if (get_truth(spte, "present"))
		out_access(o, get_truth(spte, "writable"), get_truth(spte, "exec"), get_truth(spte, "user"));
	else
		out_text(o, get_truth(spte, "mmio") ? "mmio" : "not present");
	out_text(o, "\"];\n");
}

static void draw_edge(struct out *o, struct graph *g, const struct value *spte, uint32_t n)
{
	const struct page_key *child = find(g->by_parent, g->n_parents, get_num(spte, "sptep"));
	unsigned level = (unsigned)get_num(spte, "level");
	uint64_t pages = level && level < 7 ? (uint64_t)n << (9 * (level - 1)) : n;

	if (child)
		page_node(o, g, child->page);
	else
		leaf_node(o, spte, pages);
	edge_from(o, g, spte);
	if (child)
		out_textf(o, " -> page_%llx", (unsigned long long)get_num(&g->pages->items[child->page], "table"));
	else
		edge_to_leaf(o, spte, pages);
	edge_label(o, spte, n, pages << PAGE_SHIFT);
}

static void draw_edges(struct out *o, struct graph *g, const struct value *sptes)
{
	uint32_t i = 0, edges = 0;

	while (i < sptes->n && edges < EDGES_MAX && !o->failed) {
		uint32_t n = run_of_leaves(sptes, i);
		draw_edge(o, g, &sptes->items[i], n);
		i += n;
		edges++;
	}
	left_out(o, sptes->n - i, "info sptes START END lists them");
}

void dot_shadow_tree(struct out *o, const struct value *v)
{
	const struct value *sptes = get_list(v, "sptes");
	struct graph g;

	begin_graph(o, "shadow_tree");
	out_textf(o, "\tlabel=\"shadow tables of vCPU %u\";\n", (unsigned)get_num(v, "vcpu"));
	if (!sptes->n)
		note(o, "empty", "lightyellow", "the root has no entries yet");
	if (graph_init(&g, get_list(v, "pages")))
		draw_edges(o, &g, sptes);
	else
		o->failed = true;
	graph_deinit(&g);
	out_text(o, "}\n");
}

/* ---- rmap chains */

static void draw_head(struct out *o, uint32_t row, const struct value *r)
{
	const struct value *sptes = get_list(r, "sptes");

	out_textf(o, "\thead_%u [fillcolor=lightblue, label=\"gfn ", row);
	out_hex(o, get_num(r, "gfn"));
	out_textf(o, "  slot %u%s  level %u\\nhead ", (unsigned)get_num(r, "slot"), space_words(r),
		  (unsigned)get_num(r, "level"));
	out_hex(o, get_num(r, "head"));
	out_text(o, "\\n");
	label_text(o, get_str(r, "kind"));
	out_text(o, ": ");
	out_plural(o, sptes->n, "spte", "sptes");
	out_text(o, "\"];\n");
}

/* An spte, the arrow to it from the head or its descriptor, and the one to the page that it stands in. */
static void draw_chained(struct out *o, uint32_t row, uint32_t i, const struct value *s)
{
	uint64_t table = get_num(s, "sptep") & ~PAGE_OFFSET_MASK;

	out_textf(o, "\tspte_%u_%u [label=\"spte ", row, i);
	out_hex(o, get_num(s, "spte"));
	out_text(o, "\\nat ");
	out_hex(o, get_num(s, "sptep"));
	if (has_num(s, "gva")) {
		out_text(o, "\\ngva ");
		out_hex(o, get_num(s, "gva"));
	}
	out_textf(o, "  %s\"];\n", get_truth(s, "writable") ? "rw" : "ro");
	out_textf(o, "\tpage_%llx [label=\"shadow page\\nof gfn ", (unsigned long long)table);
	out_hex(o, get_num(s, "page_gfn"));
	out_text(o, "\", fillcolor=lightyellow];\n");
	out_textf(o, "\tspte_%u_%u -> page_%llx [style=dashed, label=\"stands in [%u]\"];\n", row, i,
		  (unsigned long long)table, (unsigned)get_num(s, "index"));
}

static void draw_descriptor(struct out *o, uint32_t row, uint32_t i, const struct value *d)
{
	out_textf(o, "\tdescriptor_%u_%u [fillcolor=lightgrey, label=\"descriptor ", row, i);
	out_hex(o, get_num(d, "address"));
	out_text(o, "\\n");
	out_plural(o, get_num(d, "used"), "entry", "entries");
	out_text(o, "\"];\n");
	if (i)
		out_textf(o, "\tdescriptor_%u_%u -> descriptor_%u_%u [label=\"more\"];\n", row, i - 1, row, i);
	else
		out_textf(o, "\thead_%u -> descriptor_%u_0;\n", row, row);
}

static uint32_t draw_chain(struct out *o, uint32_t row, const struct value *r)
{
	const struct value *desc = get_list(r, "descriptors"), *sptes = get_list(r, "sptes");
	uint32_t next = 0, most = sptes->n < EDGES_MAX / 2 ? sptes->n : EDGES_MAX / 2;

	for (uint32_t i = 0; i < desc->n && (!i || next < most); i++) {
		draw_descriptor(o, row, i, &desc->items[i]);
		for (uint64_t k = 0; k < get_num(&desc->items[i], "used") && next < most; k++, next++) {
			draw_chained(o, row, next, &sptes->items[next]);
			out_textf(o, "\tdescriptor_%u_%u -> spte_%u_%u [label=\"%u\"];\n", row, i, row, next, (unsigned)k);
		}
	}
	for (; next < most; next++) {
		draw_chained(o, row, next, &sptes->items[next]);
		out_textf(o, "\thead_%u -> spte_%u_%u;\n", row, row, next);
	}
	return sptes->n - next;
}

void dot_rmap(struct out *o, const struct value *v)
{
	uint64_t more = 0;

	begin_graph(o, "rmap");
	for (uint32_t i = 0; i < v->n; i++) {
		const struct value *r = &v->items[i];
		draw_head(o, i, r);
		more += draw_chain(o, i, r);
		if (!get_str(r, "corrupt")[0])
			continue;
		note(o, "corrupt", "tomato", get_str(r, "corrupt"));
		out_textf(o, "\thead_%u -> corrupt [style=dotted];\n", i);
	}
	left_out(o, more, "info rmap lists them");
	out_text(o, "}\n");
}
