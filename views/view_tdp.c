/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * TDP: what the host does with its tables by gpa, then each root with who runs on it and a row for each level below.
 */
#include "views/draw.h"

#include <string.h>

static void draw_fact(struct out *o, const char *what)
{
	out_styled(o, STYLE_HEAD, "%-14s  ", what);
}

static void draw_dirty_log(struct out *o, const struct value *v)
{
	const struct value *logged = get_list(v, "logged");

	draw_fact(o, "dirty logging");
	out_text(o, !strcmp(get_str(v, "dirty_log"), "pml") ? "by the processor's log (PML)" : "by write-protection");
	if (!logged->n)
		out_text(o, "; no slot logs");
	for (uint32_t i = 0; i < logged->n; i++)
		out_textf(o, "%s%u", i ? ", " : logged->n > 1 ? "; slots " : "; slot ", (unsigned)logged->items[i].num);
	out_text(o, logged->n == 1 ? " logs\n" : logged->n ? " log\n" : "\n");
}

static void draw_nx(struct out *o, const struct value *v)
{
	const struct value *param = v_get(v, "nx_huge_pages");
	const char *word = get_str(v, "nx_huge_pages");

	draw_fact(o, "NX huge pages");
	if (!param || param->type != VALUE_STR) {
		out_textf(o, "n/a (%s)\n", word);
		return;
	}
	out_textf(o, "%s", word);
	if (get_truth(v, "nx_off"))
		out_text(o, ", but not for this VM");
	else
		out_text(o, word[0] == 'Y' ? ": a huge page is split where its code is executed"
					   : ": a huge page with code stays one");
	if (has_num(v, "nx_splits")) {
		out_text(o, "; ");
		out_plural(o, get_num(v, "nx_splits"), "split", "splits");
	}
	out_text(o, "\n");
}

static void draw_facts(struct out *o, const struct value *v)
{
	bool ad = get_truth(v, "ad");

	draw_fact(o, "A and D bits");
	out_text(o, ad ? "set by the processor\n" : "none: access is taken away to see the next one\n");
	draw_dirty_log(o, v);
	draw_nx(o, v);
	if (get_str(v, "rmaps")[0]) {
		draw_fact(o, "reverse maps");
		out_between(o, "none: ", get_str(v, "rmaps"), "\n");
	}
	if (has_num(v, "tables")) {
		draw_fact(o, "tables");
		out_textf(o, "%llu besides the roots, by KVM's count\n", (unsigned long long)get_num(v, "tables"));
	}
}

/* "vCPU 0, 1" */
static void draw_vcpus(struct out *o, const struct value *list, const char *before)
{
	out_text(o, before);
	for (uint32_t i = 0; i < list->n; i++)
		out_textf(o, "%s%u", i ? ", " : list->n > 1 ? "vCPUs " : "vCPU ", (unsigned)list->items[i].num);
}

static void draw_users(struct out *o, const struct value *r)
{
	const struct value *vcpus = get_list(r, "vcpus"), *previous = get_list(r, "previous");
	uint64_t references = get_num(r, "references"), used = vcpus->n + previous->n;
	bool invalid = get_truth(r, "invalid");

	out_text(o, "  ");
	if (vcpus->n)
		draw_vcpus(o, vcpus, invalid ? "until it runs next, held by " : "in use by ");
	else
		out_styled(o, STYLE_WARN, "no vCPU is on it");
	if (previous->n)
		draw_vcpus(o, previous, ", kept by ");
	out_text(o, "; ");
	out_plural(o, references, "reference", "references");
	if (references > used && invalid)
		out_text(o, ", KVM's own until all below it is gone");
	else if (references > used)
		out_text(o, used ? ", one is KVM's own until the root is invalid" : ", KVM's own until the root is invalid");
	out_text(o, "\n");
}

static void draw_role(struct out *o, const struct value *r)
{
	static const char *const words[] = {"nx", "wp", "guest_mode", "mirror"};
	const struct value *access = get_list(r, "access");

	out_begin(o, STYLE_BOLD);
	out_text(o, "root ");
	out_end(o, STYLE_BOLD);
	out_field(o, r, "root");
	out_textf(o, "  level %u  ", (unsigned)get_num(r, "level"));
	out_access(o, has_word(access, "write"), has_word(access, "exec"), has_word(access, "user"));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (get_truth(r, words[i]))
			out_textf(o, " %s", words[i]);
	if (!get_truth(r, "ad"))
		out_text(o, " ad_disabled");
	out_textf(o, "  address space %u%s", (unsigned)get_num(r, "as"), space_words(r));
	if (get_truth(r, "invalid"))
		out_styled(o, STYLE_BAD, "  invalid: no vCPU enters the guest on it again");
	out_text(o, "\n");
}

static void draw_levels(struct out *o, const struct value *r)
{
	static const struct column columns[] = {
	    {.key = "level"},
	    {.key = "size"},
	    {.key = "tables"},
	    {.key = "leaves"},
	    {.key = "writable"},
	    {.key = "host_writable", .title = "host-writable"},
	    {.key = "mmu_writable", .title = "mmu-writable"},
	    {.key = "accessed"},
	    {.key = "dirty"},
	    {.key = "mmio_sptes", .title = "mmio", .optional = true},
	    {.key = "frozen", .optional = true},
	    {.key = "nx_splits", .title = "nx splits", .optional = true},
	};
	const struct value *levels = v_get(r, "levels");

	if (levels && levels->type == VALUE_LIST)
		table_draw(o, columns, ARRAY_LEN(columns), levels);
	else
		out_between(o, "  below it: n/a (", get_str(r, "levels"), ")\n");
}

void view_tdp(struct out *o, const struct value *v)
{
	const char *mmu = get_str(v, "mmu");
	const struct value *roots = get_list(v, "roots");

	if (!strcmp(mmu, "shadow"))
		out_styled(o, STYLE_BOLD, "no TDP tables: ");
	else
		out_styled(o, STYLE_BOLD, !strcmp(mmu, "tdp") ? "TDP MMU: " : "TDP by shadow pages: ");
	out_between(o, "", get_str(v, "why"), "");
	if (get_str(v, "try")[0])
		out_between(o, "; try ", get_str(v, "try"), "");
	out_text(o, "\n");
	if (!strcmp(mmu, "shadow"))
		return;
	draw_facts(o, v);
	for (uint32_t i = 0; i < roots->n; i++) {
		out_text(o, "\n");
		draw_role(o, &roots->items[i]);
		draw_users(o, &roots->items[i]);
		draw_levels(o, &roots->items[i]);
	}
	if (roots->n)
		out_source(o, &roots->items[0]);
	else
		out_nothing(o, "no roots: nothing has run yet, or not since all tables were dropped");
}
