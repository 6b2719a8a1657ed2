/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handlers of the memory-map commands whose table stands in cli/cmd/mmu.c, and what both files of them use.
 */
#ifndef KVMSCOPE_CLI_MMU_H
#define KVMSCOPE_CLI_MMU_H

#include "cli/cmd/args.h"
#include "cli/session/rows.h"
#include "cli/session/session.h"

/* "[START [END]]": everything without words, from START on with one, END inclusive. */
int mmu_range(struct args *a, uint64_t *first, uint64_t *last, struct err *e) MUST_USE;

/* How many rows a listing gives at the most: -limit N, or MMU_ROWS. */
#define MMU_ROWS 200000
#define MMU_ROWS_MAX 10000000
int mmu_limit(struct args *a, uint64_t *rows, struct err *e) MUST_USE;

/* A table's entry before the entries of what it points to; roots before the pages below them. */
void mmu_sort_tree(struct spte_list *l);
void mmu_sort_pages(struct shadow_page_list *l);
/* An empty reverse map says nothing: TDP maps guest physical memory without any. */
const char *mmu_without_rmaps(struct call *c);

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
