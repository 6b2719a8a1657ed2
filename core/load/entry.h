/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a vCPU needs to begin in a mode: registers, a GDT with task state segments, 4-level page tables. Formats: Intel SDM
 * vol. 3A chapters 3 (descriptors), 4.5 (4-level paging), 7.7 (64-bit task state segment).
 *
 * Selectors in the debugger's GDT:  0x08 code  0x10 data  0x1b data CPL 3  0x23 code CPL 3  0x28 + 16 n  TSS of vCPU n
 * (long and user only). Code is 32 bits wide in prot, 64 in long and user. The IDT is empty (limit 0) except in real mode,
 * where it is the vector table at 0. edi holds the vCPU's number.
 */
#ifndef KVMSCOPE_CORE_LOAD_ENTRY_H
#define KVMSCOPE_CORE_LOAD_ENTRY_H

#include "core/cpu/regs.h"
#include "core/load/image.h"

#define ENTRY_CS 0x08u
#define ENTRY_DS 0x10u
#define ENTRY_USER_DS 0x1bu
#define ENTRY_USER_CS 0x23u
#define ENTRY_TSS 0x28u
#define ENTRY_STACK 0x10000ull /* bytes of stack for each vCPU */
#define ENTRY_TSS_SIZE 0x80u   /* one TSS takes this much room */
#define ENTRY_GDT_SIZE(vcpus) (ENTRY_TSS + 16u * (vcpus))

struct entry {
	enum entry_mode mode;
	unsigned vcpu, vcpus;
	uint64_t rip, rsp;
	uint64_t cr3;	   /* long and user */
	uint64_t gdt, tss; /* linear addresses; tss is that of vCPU 0 */
};

/* Change registers at reset state (all parts valid) into those of the entry. */
void entry_regs(const struct entry *en, struct regs *r);
/* Fill buf (ENTRY_GDT_SIZE(vcpus) bytes) with the GDT. */
void entry_gdt(const struct entry *en, uint8_t *buf);
/* Fill one TSS: the stack for interrupts from CPL 3. */
void entry_tss(uint64_t rsp0, uint8_t buf[ENTRY_TSS_SIZE]);

/* 4-level tables under construction: pages of 512 entries, the root first, the others in the order in which they came to be
 * needed, one after another from gpa on. */
struct tables {
	uint64_t gpa;
	uint64_t *entry; /* n * 512 */
	unsigned n, cap;
	uint64_t upper; /* rights of entries that lead to tables */
};

void tables_init(struct tables *t, uint64_t gpa, uint64_t upper);
void tables_deinit(struct tables *t);
/* Map pages that meet [gva, gva + size) to those from gpa on (same offset in the page), with rights (PTE_P | …); 0 leaves
 * the entries empty. large: 2 MiB pages if both addresses and the size allow. What was mapped there is replaced, in
 * pieces if it was large. -ENOMEM. */
int tables_map(struct tables *t, uint64_t gva, uint64_t gpa, uint64_t size, uint64_t rights, bool large,
	       struct err *e) MUST_USE;

#endif
