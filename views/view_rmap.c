/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reverse maps: one gfn's chain drawn from its head word over the descriptors to the sptes, and the histogram of chain
 * lengths.
 */
#include "views/draw.h"

#include <string.h>

static void draw_spte(struct out *o, struct tree *t, unsigned depth, const struct value *s, bool last)
{
	const struct value *gva = v_get(s, "gva");

	tree_branch(o, t, depth, last);
	out_hex(o, get_num(s, "sptep"));
	out_text(o, ": ");
	out_styled_hex(o, STYLE_BOLD, get_num(s, "spte"));
	out_styled(o, STYLE_DIM, "  gfn ");
	out_hex(o, get_num(s, "page_gfn"));
	out_textf(o, "[%u]", (unsigned)get_num(s, "index"));
	if (gva && gva->type == VALUE_HEX) {
		out_styled(o, STYLE_DIM, "  gva ");
		out_styled_hex(o, STYLE_ADDR, gva->hex);
	}
	if (has_num(s, "l2_gpa")) {
		out_styled(o, STYLE_DIM, "  L2 gpa ");
		out_styled_hex(o, STYLE_ADDR, get_num(s, "l2_gpa"));
		out_styled(o, STYLE_DIM, "  under L1's root ");
		out_hex(o, get_num(s, "l1_root"));
	} else if (get_truth(s, "guest_mode")) {
		out_styled(o, STYLE_DIM, "  of L2");
	}
	out_text(o, get_truth(s, "writable") ? "  rw\n" : "  ro\n");
}

static void draw_chain(struct out *o, const struct value *desc, const struct value *sptes)
{
	struct tree t = {0};
	uint32_t next = 0;

	for (uint32_t i = 0; i < desc->n; i++) {
		const struct value *d = &desc->items[i];
		uint64_t used = get_num(d, "used");
		tree_branch(o, &t, 1, i + 1 == desc->n);
		out_text(o, "descriptor ");
		out_hex(o, get_num(d, "address"));
		out_text(o, "  ");
		out_plural(o, used, "entry", "entries");
		if (get_num(d, "more")) {
			out_styled(o, STYLE_DIM, "  more ");
			out_hex(o, get_num(d, "more"));
		}
		out_text(o, "\n");
		for (uint64_t k = 0; k < used && next < sptes->n; k++, next++)
			draw_spte(o, &t, 2, &sptes->items[next], k + 1 == used || next + 1 == sptes->n);
	}
	for (; next < sptes->n; next++)
		draw_spte(o, &t, 1, &sptes->items[next], next + 1 == sptes->n);
}

static void draw_rmap(struct out *o, const struct value *r)
{
	const struct value *sptes = get_list(r, "sptes");
	const char *corrupt = get_str(r, "corrupt");

	out_styled(o, STYLE_BOLD, "gfn 0x%llx", (unsigned long long)get_num(r, "gfn"));
	out_textf(o, "  slot %u%s  level %u  head ", (unsigned)get_num(r, "slot"), space_words(r),
		  (unsigned)get_num(r, "level"));
	out_hex(o, get_num(r, "head"));
	out_textf(o, "  %s", get_str(r, "kind"));
	if (sptes->n) {
		out_text(o, ": ");
		out_plural(o, sptes->n, "spte", "sptes");
	}
	if (get_str(r, "owner")[0])
		out_textf(o, "  %s", get_str(r, "owner"));
	out_text(o, "\n");
	draw_chain(o, get_list(r, "descriptors"), sptes);
	if (corrupt[0])
		out_styled(o, STYLE_BAD, "corrupt: %s\n", corrupt);
}

/* Why empty ones say nothing: once, as it is the host's reason. */
static void draw_why(struct out *o, const struct value *rows)
{
	for (uint32_t i = 0; i < rows->n; i++) {
		const char *why = get_str(&rows->items[i], "why");

		if (!why[0])
			continue;
		out_between(o, "no reverse maps: ", why, "\n");
		return;
	}
}

void view_rmap(struct out *o, const struct value *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		draw_rmap(o, &v->items[i]);
	draw_why(o, v);
	if (v->n)
		out_source(o, &v->items[0]);
	else
		out_nothing(o, "no rmaps");
}

static const char *const bucket_title[] = {"0",	    "1",      "2-3",	 "4-7",	    "8-15",	"16-31",
					   "32-63", "64-127", "128-255", "256-511", "512-1023", "1024+"};

/* "1: 3 ############" one line a bucket that is not empty, the bar as long as its share of all but the empty gfns. */
static void draw_bucket(struct out *o, uint32_t i, uint64_t n, uint64_t most)
{
	uint64_t bar = i && most ? (n * 40 + most - 1) / most : 0;

	out_textf(o, "  %9s  %8llu", bucket_title[i], (unsigned long long)n);
	if (bar) {
		out_text(o, "  ");
		out_begin(o, STYLE_GOOD);
		for (uint64_t k = 0; k < bar; k++)
			out_text(o, o->ascii ? "#" : "█");
		out_end(o, STYLE_GOOD);
	}
	out_text(o, "\n");
}

static void draw_histogram(struct out *o, const struct value *h)
{
	const struct value *counts = get_list(h, "counts");
	uint64_t most = 0;

	for (uint32_t i = 1; i < counts->n; i++)
		if (counts->items[i].hex > most)
			most = counts->items[i].hex;
	out_styled(o, STYLE_BOLD, "slot %u%s level %u", (unsigned)get_num(h, "slot"), space_words(h),
		   (unsigned)get_num(h, "level"));
	if (get_str(h, "owner")[0])
		out_textf(o, "  %s", get_str(h, "owner"));
	if (get_num(h, "longest")) {
		out_text(o, "  longest chain ");
		out_plural(o, get_num(h, "longest"), "spte", "sptes");
		out_text(o, " at gfn ");
		out_styled_hex(o, STYLE_ADDR, get_num(h, "longest_gfn"));
	}
	if (!most) {
		out_styled(o, STYLE_DIM, "  no sptes\n");
		return;
	}
	out_text(o, "\n");
	out_styled(o, STYLE_HEAD, "  %9s  %8s\n", "sptes", "gfns");
	for (uint32_t i = 0; i < counts->n && i < ARRAY_LEN(bucket_title); i++)
		if (counts->items[i].hex)
			draw_bucket(o, i, counts->items[i].hex, most);
}

void view_rmaps(struct out *o, const struct value *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (!get_str(&v->items[i], "why")[0])
			draw_histogram(o, &v->items[i]);
	draw_why(o, v);
	if (v->n)
		out_source(o, &v->items[0]);
	else
		out_nothing(o, "no rmaps");
}
