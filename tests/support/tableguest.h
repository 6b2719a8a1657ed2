/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest on the fake machine whose page tables and sptes a test writes one by one: 2 MiB of memory in slot 0, CR3 0x1000,
 * tables 0x2000, 0x3000, and one leaf table at 0x4000 for gvas below 2 MiB.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_TABLEGUEST_H
#define KVMSCOPE_TESTS_SUPPORT_TABLEGUEST_H

#include "tests/support/longguest.h"

enum { H_W = 1, H_U = 2, H_X = 4, H_A = 8, H_D = 16, H_RWX = H_W | H_U | H_X, H_ALL = H_RWX | H_A | H_D };
#define PTE_ALL (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

/* One more spte, behind the others, of a shadow page of gfn 5 - level; its pfn is 0x1000 and the gfn. */
struct spte_info *tableguest_spte(struct machine *m, unsigned level, uint64_t gva, uint64_t gfn, unsigned bits);
/* gva 0x10000 on is mapped by these entries and nothing else is; the upper sptes are there. */
struct machine *tableguest_create(const uint64_t *pte, size_t n);
/* 512 pages from each of TABLEGUEST_MANY tables from gva 0x40000000 on, which all map gfn 0x20; and the sptes for them, of
 * which that of the seventh page of table 150 is not dirty. */
#define TABLEGUEST_MANY 196u
struct machine *tableguest_large(bool host);
void tableguest_destroy(struct machine *m);

/* For struct machine_ops: slot 0, and at 0xfef00000 one of the debugger's own, 32 KiB, that its table does not have. */
int tableguest_slots_with_own(struct machine *m, struct slot_info_list *out, struct err *e);

#endif
