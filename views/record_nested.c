/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Records of a vCPU that is in a guest of its guest's (core/cpu/nested.h).
 */
#include "views/record.h"

struct value record_nested(struct pool *p, const struct nested_guest *g)
{
	struct value d = v_dict(p, 6);

	v_put(p, &d, "kind", v_lit(g->kind == NESTED_SVM ? "svm" : "vmx"));
	v_put(p, &d, "control", g->control_old ? v_na(p, "L2 was entered since the last stop") : v_hex(g->control));
	v_put(p, &d, "paging", v_bool(g->paging));
	v_put(p, &d, "l1_root", g->paging ? v_hex(g->root) : v_null());
	if (g->l1_known) {
		v_put(p, &d, "l1_rip", v_hex(g->l1_rip));
		v_put(p, &d, "l1_cr3", v_hex(g->l1_cr3));
	}
	return d;
}

struct value record_nested_walk(struct pool *p, const struct nested_mem *n, const struct walk *w, unsigned access)
{
	struct value d = v_dict(p, 4);
	struct walk on;

	nested_walk(n, w->l2_gpa, access, &on);
	v_put(p, &d, "l2_gpa", v_hex(w->l2_gpa));
	v_put(p, &d, "l1_root", v_hex(n->guest.root));
	v_put(p, &d, "tables", record_walk_steps(p, &on, PAGING_4LEVEL));
	v_put(p, &d, "refused", on.fault.present ? v_str(p, on.why) : v_null());
	return d;
}
