/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The second of the two translations of a nested guest: from L2's physical addresses to L1's, by the tables that L1 has
 * made. Each access of L2's own walk goes through them, and so does the address at its end (AMD APM vol. 2, 15.25.5; Intel
 * SDM vol. 3C, 29.3).
 */
#ifndef KVMSCOPE_CORE_MEM_NESTED_H
#define KVMSCOPE_CORE_MEM_NESTED_H

#include "core/mem/paging.h"

/* Memory as a walk of L2's tables sees it. It points to itself, so it is not to be copied. */
struct nested_mem {
	struct paging_mem under; /* L1's physical memory, as paging_walk() sees it */
	struct nested_guest guest;
	unsigned maxphyaddr;
};

/* g->paging. */
void nested_mem_init(struct nested_mem *n, const struct paging_mem *under, const struct nested_guest *g,
		     unsigned maxphyaddr);
/* What paging_walk() and the like are to be given: addresses in it are L2's. */
struct paging_mem nested_mem(struct nested_mem *n);
/* L1's tables for an address of L2's; access as for paging_walk(). With out->fault the access leaves L2 for L1 (out->why).
 */
void nested_walk(const struct nested_mem *n, uint64_t l2_gpa, unsigned access, struct walk *out);

#endif
