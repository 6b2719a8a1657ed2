/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is said of a vCPU that is in a guest of its guest's, beside its registers and in a walk.
 */
#include "views/draw.h"

#include <string.h>

void draw_nested(struct out *o, const struct value *g)
{
	bool svm = !strcmp(get_str(g, "kind"), "svm");

	out_textf(o, "in L2, a guest that the guest (L1) runs: %s at gpa ", svm ? "its VMCB is" : "its VMCS is");
	out_field(o, g, "control");
	if (has_num(g, "l1_root")) {
		out_textf(o, ", %s ", svm ? "nested CR3" : "EPT's root");
		out_hex(o, get_num(g, "l1_root"));
	} else {
		out_text(o, ", without nested tables");
	}
	if (has_num(g, "l1_rip")) {
		out_textf(o, "; L1 %s ", svm ? "is at" : "comes back at");
		out_hex(o, get_num(g, "l1_rip"));
		out_text(o, ", its cr3 ");
		out_hex(o, get_num(g, "l1_cr3"));
	}
	out_text(o, "\n");
}

/* The second translation, between the guest's tables and the gpa that they come to. */
void draw_nested_walk(struct out *o, struct tree *t, const struct value *n)
{
	const struct value *steps = get_list(n, "tables");

	tree_branch(o, t, 1, false);
	out_styled(o, STYLE_BOLD, "L2 gpa");
	out_text(o, "  ");
	out_styled_hex(o, STYLE_ADDR, get_num(n, "l2_gpa"));
	out_text(o, "  by L1's tables at ");
	out_hex(o, get_num(n, "l1_root"));
	out_text(o, "\n");
	for (uint32_t i = 0; i < steps->n; i++) {
		const struct value *s = &steps->items[i];

		tree_branch(o, t, 2, i + 1 == steps->n);
		out_textf(o, "L%u at ", (unsigned)get_num(s, "level"));
		out_styled_hex(o, STYLE_ADDR, get_num(s, "gpa"));
		out_text(o, "  ");
		out_field(o, s, "entry");
		out_text(o, "  ");
		out_words(o, get_list(s, "flags"), "not present");
		out_text(o, "\n");
	}
}
