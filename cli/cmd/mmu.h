/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handlers of the memory-map commands whose table stands in cli/cmd/mmu.c, and what both files of them use.
 */
#ifndef KVMSCOPE_CLI_MMU_H
#define KVMSCOPE_CLI_MMU_H

#include "cli/cmd/args.h"
#include "cli/session/session.h"

/* "[START [END]]": everything without words, from START on with one, END inclusive. */
int mmu_range(struct args *a, uint64_t *first, uint64_t *last, struct err *e) MUST_USE;

/* How many rows a listing gives at the most: -limit N, or MMU_ROWS. */
#define MMU_ROWS 200000
#define MMU_ROWS_MAX 10000000
struct rows_limit {
	uint64_t rows;
	bool cut;
	uint64_t next; /* cut: the address at which the rest begins */
};
int mmu_limit(struct args *a, struct rows_limit *l, struct err *e) MUST_USE;
/* There are n rows, and one more at addr: is it one too many? */
bool mmu_limit_reached(struct rows_limit *l, uint32_t n, uint64_t addr);
/* The rows as a result: if there would have been more the last one says so, with a key "truncated": limit, next, why. */
struct value mmu_limited(struct call *c, struct value rows, const struct rows_limit *l);

/* A table's entry before the entries of what it points to; roots before the pages below them. */
void mmu_sort_tree(struct spte_list *l);
void mmu_sort_pages(struct shadow_page_list *l);
/* An empty reverse map says nothing: TDP maps guest physical memory without any. */
bool mmu_is_without_rmaps(struct machine *m, unsigned vcpu, uint64_t gfn);

int mmu_info_shadow(struct call *c, struct err *e);
int mmu_shadow_tree(struct call *c, struct err *e);
int mmu_info_sptes(struct call *c, struct err *e);
int mmu_info_rmap(struct call *c, struct err *e);
int mmu_info_rmaps(struct call *c, struct err *e);
int mmu_info_mmio(struct call *c, struct err *e);
/* guestmap.c */
int mmu_info_tlb(struct call *c, struct err *e);
int mmu_info_mem(struct call *c, struct err *e);
int mmu_vmmap(struct call *c, struct err *e);

#endif
