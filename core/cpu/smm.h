/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * System management mode by hand: SMI entry, the 64-bit state-save area, RSM. Used by the soft CPU, and by the kvm backend
 * if the host has no SMM. Layout: AMD APM vol. 2, 10.2.3 (AMD64 save-state map, revision 0x30064); Intel SDM vol. 3C
 * ch. 32. A KVM that does SMM itself writes its own revisions, which are read here and not written.
 */
#ifndef KVMSCOPE_CORE_CPU_SMM_H
#define KVMSCOPE_CORE_CPU_SMM_H

#include "core/cpu/regs.h"

#define SMM_DEFAULT_SMBASE 0x30000u
#define SMM_ENTRY_OFFSET 0x8000u
#define SMM_SAVE_OFFSET 0xfe00u /* 512 bytes up to SMBASE + 0xffff */
#define SMM_SAVE_SIZE 0x200u
#define SMM_REVISION 0x30064u
/* What KVM writes: the same map for a guest that has long mode, Intel's P6 map for one that has not. */
#define SMM_REVISION_KVM 0x20064u
#define SMM_REVISION_KVM_32 0x20000u

/* Encode the state into the 512 bytes at SMBASE + 0xfe00, and back. restore checks what RSM checks (reserved bits of control
 * registers, EFER, CR0 combinations): -EINVAL means shutdown on hardware. *smbase is the saved field: RSM relocates by it.
 */
void smm_save(const struct regs *r, uint32_t smbase, uint8_t area[SMM_SAVE_SIZE]);
int smm_restore(struct regs *r, uint32_t *smbase, const uint8_t area[SMM_SAVE_SIZE], struct err *e) MUST_USE;
/* Registers at the handler's first instruction: real-mode-like, CS base SMBASE, flat 4 GiB limits, rip 0x8000, smm set. */
void smm_enter(struct regs *r, uint32_t smbase);

/* One field of the save area, for `info smm`. */
struct smm_field {
	const char *name;
	unsigned offset; /* from SMBASE + 0xfe00 */
	unsigned size;	 /* bytes */
};
/* By the map that the area's revision names; NULL if it is none of those: no state has been saved there. */
const struct smm_field *smm_fields(const uint8_t area[SMM_SAVE_SIZE], size_t *n);

#endif
