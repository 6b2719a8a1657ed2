/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole VMs in a fake kernel's memory, opened by the kernel view: one on shadow paging, one on a TDP MMU.
 */
#ifndef KVMSCOPE_TESTS_FAKE_SHADOW_H
#define KVMSCOPE_TESTS_FAKE_SHADOW_H

#include "tests/support/fake_kernel.h"

struct fk_world {
	struct fake_kernel f;
	struct kview *k;
	struct fk_sp sp[8];
};

/* Slot 0 of 0x80 pages. Pages sp[0] to sp[3] of levels 4 to 1 and gfns 0x10 to 0x13 down to gvas 0x240000 and 0x250000, both
 * gfn 0x40 and pfn 0x1234; empty entries are the version's; the root's entry 256 is the host's own. */
void fk_make_shadow(struct fk_world *w, enum fk_version v);
/* Slot 0 of 2 GiB without reverse maps. A root sp[0] and one page for each level below: gfn 0x204 is pfn 0x5555, 0x205
 * frozen, 0x206 MMIO, and a large page at gfn 0x1000. */
void fk_make_tdp(struct fk_world *w, enum fk_version v);
void fk_unmake(struct fk_world *w);

/* Asserted to work. */
struct shadow_page_list fk_pages(struct kview *k, unsigned flags);
struct spte_list fk_sptes(struct kview *k, uint64_t first, uint64_t last); /* of vCPU 0 */

#endif
