/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The stages of a guest fault, in the kernel's words. Code compares these; the names are for people and records.
 */
#ifndef KVMSCOPE_CORE_STAGE_H
#define KVMSCOPE_CORE_STAGE_H

enum stage {
	STAGE_NONE,
	STAGE_FAULT,	   /* the fault begins */
	STAGE_WALK,	   /* a guest table's entry is read */
	STAGE_ACCESSED,	   /* its A bit is set */
	STAGE_DIRTY,	   /* its D bit is set */
	STAGE_GUEST_FAULT, /* the walk ends in an exception of the guest's */
	STAGE_SLOT,	   /* the slot of the gfn is looked up */
	STAGE_PAGE,	   /* the host page behind it is needed */
	STAGE_SHADOW_PAGE, /* a shadow page is found or made */
	STAGE_SPTE,	   /* an spte is set */
	STAGE_TDP_SPTE,	   /* an entry of the TDP MMU was changed */
	STAGE_RMAP,	   /* it is added to the chain of its gfn */
	STAGE_FAST_FAULT,  /* an spte was changed without the MMU lock */
	STAGE_MMIO_CACHE,  /* the vCPU's MMIO cache is filled */
	STAGE_MMIO_MATCH,  /* the access is found in it, or an MMIO spte */
	STAGE_MMIO,	   /* a device access */
	STAGE_EMULATE,	   /* KVM's emulator runs the instruction */
	STAGE_EXIT,	   /* KVM_RUN comes back */
	STAGE_UNSYNC,
	STAGE_SYNC,
	STAGE_ZAP,
};

const char *stage_name(enum stage s); /* "guest-fault", "shadow-page" …; "unknown" for none */

#endif
