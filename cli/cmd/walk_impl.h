/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside `walk`: what is known of the address so far, and the second dimension (walk_tdp.c) beside the layers of walk.c.
 */
#ifndef KVMSCOPE_CLI_WALK_IMPL_H
#define KVMSCOPE_CLI_WALK_IMPL_H

#include "cli/cmd/walk.h"

/* The host's own dimension, where it has one. */
struct walk_tdp {
	bool on;
	const char *name; /* "EPT", "NPT" */
	unsigned levels;  /* of the root; 0: the vCPU has none now */
	unsigned reads;	  /* entries that the walk reads, of the guest's tables and of the host's */
};

struct walker {
	struct machine *m;
	unsigned vcpu, access;
	uint64_t gva;
	struct pool *p;
	struct xlate_env env;
	struct walk w;
	struct slot *slot, *found; /* visible from here; covering it at all */
	struct spte_info leaf;
	bool has_leaf, sptes_known;
	struct walk_tdp tdp;
	struct mmio_info mmio;
	bool hit;
};

/* One spte as a dict: level, spte, flags, page, sptep, pfn, source. */
struct value walk_spte(struct pool *p, const struct spte_info *s);
/* The sptes on the way to an address (a gva, with TDP a gpa), highest level first. */
int walk_sptes(struct walker *k, uint64_t addr, struct spte_list *out, struct err *e) MUST_USE;

/* Are the host's tables by gpa? Fills k->tdp. */
void walk_tdp_begin(struct walker *k);
/* To each of the guest's entries: tdp, the sptes on the way to its gpa; hpa, page_size and writable of what they come to;
 * why, where the processor's walk would fault there. Nothing without TDP. */
void walk_tdp_tables(struct walker *k, struct value *steps);
/* Counts the way to the page itself. */
void walk_tdp_page(struct walker *k, const struct spte_list *sptes);
/* tdp: format, levels, reads; dimensions: for read, write and fetch access, guest, tdp and why. Nothing without TDP. */
void walk_tdp_put(struct walker *k, struct value *d);
/* Why the host's tables do not let this access of the guest's pass, which its own allow; "" if they do. */
void walk_tdp_refusal(const struct walker *k, unsigned access, char *why, size_t size);

#endif
