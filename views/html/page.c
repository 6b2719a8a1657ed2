/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The page: its head, and a section for each part of the record that is there.
 */
#include "views/dot.h"
#include "views/html/draw.h"
#include "views/html/html.h"

#include <string.h>

#define ROWS_MAX 1000

/* ---- what a section has in it; v is the part, never NULL and never n/a */

static void draw_why(struct out *o, const struct value *v)
{
	out_text(o, "<div class=\"stop\"><p><b>");
	if (!strcmp(get_str(v, "reason"), "none")) {
		out_text(o, "not run yet</b>");
	} else {
		html_text(o, get_str(v, "reason"));
		out_textf(o, "</b> on vCPU %u at <code>", (unsigned)get_num(v, "vcpu"));
		out_hex(o, get_num(v, "rip"));
		out_text(o, "</code>");
	}
	out_text(o, "</p>\n<p>");
	html_text(o, get_str(v, "why"));
	out_text(o, "</p></div>\n");
}

static void draw_slots(struct out *o, const struct value *v)
{
	static const struct html_column columns[] = {
	    {.key = "id"},
	    {.key = "as", .title = "address space", .optional = true},
	    {.key = "gpa"},
	    {.key = "size", .kind = HTML_SIZE},
	    {.key = "hva"},
	    {.key = "visible"},
	    {.key = "flags"},
	    {.key = "generation"},
	    {.key = "own", .optional = true},
	    {.key = "source"},
	};

	html_table(o, columns, ARRAY_LEN(columns), v, ROWS_MAX);
}

/* "<gva> L1 → gfn 0x40 …"; n entries as one. */
static void begin_line(struct out *o, const struct value *row, uint32_t n)
{
	out_text(o, "<b>");
	if (has_num(row, "gva")) {
		out_hex(o, get_num(row, "gva"));
	} else if (has_num(row, "gpa")) {
		out_text(o, "gpa ");
		out_hex(o, get_num(row, "gpa"));
	} else {
		out_text(o, "gva n/a");
	}
	out_textf(o, "</b> <span class=\"dim\">L%u</span> ", (unsigned)get_num(row, "level"));
	if (n > 1)
		out_textf(o, "%u entries ", (unsigned)n);
	if (get_truth(row, "leaf") && has_num(row, "gfn")) {
		uint64_t gfn = get_num(row, "gfn"), level = get_num(row, "level");
		uint64_t pages = level && level < 6 ? 1ull << (9 * (level - 1)) : 1;
		out_text(o, "→ gfn ");
		out_hex_range(o, gfn, n > 1 ? gfn + n * pages - 1 : gfn);
		out_text(o, " ");
	}
}

static void guest_line(struct out *o, const struct value *row, uint32_t n)
{
	begin_line(o, row, n);
	out_text(o, "<span class=\"dim\">");
	html_value(o, get_list(row, "flags"));
	out_text(o, ", entry ");
	out_hex(o, get_num(row, "entry"));
	out_text(o, " at ");
	out_hex(o, get_num(row, "at"));
	if (v_get(row, "why")) {
		out_text(o, "; ");
		html_value(o, v_get(row, "why"));
	}
	out_text(o, "</span>");
}

static void spte_line(struct out *o, const struct value *row, uint32_t n)
{
	static const char *const words[] = {"accessed", "dirty", "mmio"};

	begin_line(o, row, n);
	if (get_truth(row, "present"))
		out_access(o, get_truth(row, "writable"), get_truth(row, "exec"), get_truth(row, "user"));
	out_text(o, " <span class=\"dim\">");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (get_truth(row, words[i]))
			out_textf(o, "%s ", words[i]);
	out_text(o, "spte ");
	out_hex(o, get_num(row, "spte"));
	out_text(o, "</span>");
}

static void draw_guest(struct out *o, const struct value *v)
{
	html_tree(o, get_list(v, "rows"), guest_line);
	if (get_truth(v, "more"))
		out_text(o, "<p class=\"dim\">mappings at higher addresses are left out</p>\n");
}

static void draw_sptes(struct out *o, const struct value *v)
{
	html_tree(o, get_list(v, "rows"), spte_line);
	html_left_out(o, get_num(v, "left_out"), "sptes are left out");
}

static void draw_pages(struct out *o, const struct value *v)
{
	static const struct html_column columns[] = {
	    {.key = "level"},
	    {.key = "gfn"},
	    {.key = "access"},
	    {.key = "direct", .optional = true},
	    {.key = "smm", .optional = true},
	    {.key = "unsync", .optional = true},
	    {.key = "invalid", .optional = true},
	    {.key = "tdp", .optional = true},
	    {.key = "roots"},
	    {.key = "sptes"},
	    {.key = "mmio_sptes", .title = "mmio", .optional = true},
	    {.key = "address"},
	    {.key = "source"},
	};

	html_table(o, columns, ARRAY_LEN(columns), get_list(v, "rows"), ROWS_MAX);
	html_left_out(o, get_num(v, "left_out"), "shadow pages are left out");
}

static void draw_chains(struct out *o, const struct value *v)
{
	const struct value *rows = get_list(v, "rows");

	if (!rows->n)
		out_text(o, "<p class=\"dim\">no chain is longer than one</p>\n");
	out_text(o, "<div class=\"pair\">\n");
	for (uint32_t i = 0; i < rows->n; i++) {
		out_text(o, "<div>");
		html_chain(o, &rows->items[i]);
		out_text(o, "</div>\n");
	}
	out_text(o, "</div>\n");
	html_left_out(o, get_num(v, "left_out"), "shorter chains are left out");
}

static void draw_rmaps(struct out *o, const struct value *v)
{
	out_text(o, "<div class=\"wide\"><table>\n<thead><tr><th>slot</th><th>level</th><th>gfns by number of sptes</th>"
		    "<th>longest</th><th>of gfn</th></tr></thead>\n<tbody>\n");
	for (uint32_t i = 0; i < v->n && i < ROWS_MAX; i++) {
		const struct value *h = &v->items[i];
		out_textf(o, "<tr><td class=\"n\">%u</td><td class=\"n\">%u</td><td>", (unsigned)get_num(h, "slot"),
			  (unsigned)get_num(h, "level"));
		html_lengths(o, get_list(h, "counts"), 0);
		out_textf(o, "</td><td class=\"n\">%llu</td><td class=\"n\">", (unsigned long long)get_num(h, "longest"));
		if (has_num(h, "longest_gfn"))
			out_hex(o, get_num(h, "longest_gfn"));
		out_text(o, "</td></tr>\n");
	}
	out_text(o, "</tbody></table></div>\n");
	html_left_out(o, v->n > ROWS_MAX ? v->n - ROWS_MAX : 0, "rows are left out");
}

static void draw_tdp(struct out *o, const struct value *v)
{
	static const struct html_column columns[] = {
	    {.key = "root"},
	    {.key = "level"},
	    {.key = "as", .title = "address space"},
	    {.key = "access"},
	    {.key = "nx"},
	    {.key = "ad", .title = "A and D bits"},
	    {.key = "guest_mode", .optional = true},
	    {.key = "invalid", .optional = true},
	    {.key = "references"},
	    {.key = "vcpus"},
	};
	static const struct html_column levels[] = {
	    {.key = "level"},
	    {.key = "size"},
	    {.key = "tables"},
	    {.key = "leaves"},
	    {.key = "writable"},
	    {.key = "accessed"},
	    {.key = "dirty"},
	    {.key = "mmio_sptes", .title = "mmio", .optional = true},
	    {.key = "frozen", .optional = true},
	    {.key = "nx_splits", .title = "NX splits", .optional = true},
	};
	const struct value *roots = get_list(v, "roots");

	out_text(o, "<p>");
	html_text(o, get_str(v, "why"));
	out_text(o, "</p>\n");
	html_table(o, columns, ARRAY_LEN(columns), roots, ROWS_MAX);
	for (uint32_t i = 0; i < roots->n; i++)
		html_table(o, levels, ARRAY_LEN(levels), get_list(&roots->items[i], "levels"), ROWS_MAX);
}

static void draw_mmio(struct out *o, const struct value *v)
{
	static const struct html_column columns[] = {
	    {.key = "vcpu"},
	    {.key = "gva"},
	    {.key = "gfn"},
	    {.key = "access"},
	    {.key = "generation"},
	    {.key = "current_generation", .title = "current"},
	    {.key = "valid"},
	    {.key = "stale", .optional = true},
	    {.key = "stale_why", .title = "why stale", .kind = HTML_LINES, .optional = true},
	    {.key = "mmio_sptes", .title = "mmio sptes", .kind = HTML_LINES},
	};

	html_table(o, columns, ARRAY_LEN(columns), v, ROWS_MAX);
}

static void draw_breakpoints(struct out *o, const struct value *v)
{
	static const struct html_column columns[] = {
	    {.key = "id"},
	    {.key = "kind"},
	    {.key = "at", .kind = HTML_LINES},
	    {.key = "enabled"},
	    {.key = "hits"},
	    {.key = "how", .optional = true},
	    {.key = "means", .optional = true},
	    {.key = "condition", .kind = HTML_LINES, .optional = true},
	    {.key = "commands", .kind = HTML_LINES, .optional = true},
	    {.key = "ignore", .optional = true},
	    {.key = "temporary", .optional = true},
	    {.key = "why", .kind = HTML_LINES, .optional = true},
	};

	html_table(o, columns, ARRAY_LEN(columns), v, ROWS_MAX);
}

static void draw_trace(struct out *o, const struct value *v)
{
	html_trace(o, get_list(v, "rows"));
	html_left_out(o, get_num(v, "left_out"), "stops came later and were not put down");
}

static void draw_table(struct out *o, const struct value *v)
{
	html_table_by_shape(o, v, ROWS_MAX);
}

/* "name value" one below the other, in as many columns as there is room for. */
static void draw_pairs(struct out *o, const struct value *v, const char *class)
{
	out_textf(o, "<div class=\"%s\">\n", class);
	for (uint32_t i = 0; i < v->n; i++) {
		out_text(o, "<div><span class=\"dim\">");
		html_text(o, v->fields[i].key);
		out_text(o, "</span> ");
		html_value(o, &v->fields[i].value);
		out_text(o, "</div>\n");
	}
	out_text(o, "</div>\n");
}

static void draw_registers(struct out *o, const struct value *v)
{
	draw_pairs(o, v, "regs");
}

static void draw_vm(struct out *o, const struct value *v)
{
	draw_pairs(o, v, "facts");
}

/* ---- the page */

static const struct section {
	const char *key, *title;
	enum value_type shape;
	void (*draw)(struct out *o, const struct value *v);
} sections[] = {
    {"stop", "The stop", VALUE_DICT, draw_why},
    {"map", "Guest physical memory", VALUE_LIST, html_map},
    {"slots", "Slots", VALUE_LIST, draw_slots},
    {"guest", "The guest's own tables", VALUE_DICT, draw_guest},
    {"tdp", "Tables by guest physical address", VALUE_DICT, draw_tdp},
    {"sptes", "Shadow tables", VALUE_DICT, draw_sptes},
    {"pages", "Shadow pages", VALUE_DICT, draw_pages},
    {"chains", "Rmap chains", VALUE_DICT, draw_chains},
    {"rmaps", "Lengths of rmap chains", VALUE_LIST, draw_rmaps},
    {"mmio", "MMIO caches", VALUE_LIST, draw_mmio},
    {"fault", "Stages of the last fault", VALUE_LIST, draw_table},
    {"trace", "The run, stop by stop", VALUE_DICT, draw_trace},
    {"registers", "Registers", VALUE_DICT, draw_registers},
    {"vcpus", "vCPUs", VALUE_LIST, draw_table},
    {"breakpoints", "Breakpoints", VALUE_LIST, draw_breakpoints},
    {"vm", "The VM", VALUE_DICT, draw_vm},
    {"facts", "The host", VALUE_LIST, draw_table},
};

/* Where the tables are by gpa nothing shadows the guest's. */
static const char *title_of(const struct section *s, const struct value *page)
{
	if (v_get(page, "tdp") && s->draw == draw_sptes)
		return "Entries of those tables";
	return v_get(page, "tdp") && s->draw == draw_pages ? "Those tables one by one" : s->title;
}

static void draw_section(struct out *o, const struct section *s, const struct value *page)
{
	const struct value *v = v_get(page, s->key);

	out_textf(o, "<section id=\"%s\">\n<h2>%s</h2>\n", s->key, title_of(s, page));
	if (v->type == (uint8_t)s->shape)
		s->draw(o, v);
	else
		html_na(o, v);
	out_text(o, "</section>\n");
}

static void draw_top(struct out *o, const struct value *v)
{
	out_text(o, "<header>\n<h1>");
	html_text(o, get_str(v, "title"));
	out_text(o, "</h1>\n<p class=\"dim\">kvmscope ");
	html_text(o, get_str(v, "version"));
	out_text(o, ", ");
	html_text(o, get_str(v, "date"));
	out_text(o, "</p>\n</header>\n<nav>\n");
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (v_get(v, sections[i].key))
			out_textf(o, "<a href=\"#%s\">%s</a>\n", sections[i].key, title_of(&sections[i], v));
	out_text(o, "</nav>\n");
}

void html_report(struct out *o, const struct value *v)
{
	out_text(o, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
	html_text(o, get_str(v, "title"));
	out_text(o, "</title>\n<style>\n");
	out_text(o, html_style);
	out_text(o, "</style>\n</head>\n<body>\n");
	draw_top(o, v);
	out_text(o, "<main>\n");
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (v_get(v, sections[i].key))
			draw_section(o, &sections[i], v);
	out_text(o, "</main>\n</body>\n</html>\n");
}
