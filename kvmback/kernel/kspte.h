/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the bits of an spte mean. They are not in BTF: three tables (5.10; 5.15 to 6.18; 7.x), the one in use chosen by what
 * the structures and the sptes themselves show, and two hardware formats (legacy tables, which NPT shares; EPT).
 */
#ifndef KVMSCOPE_KVMBACK_KERNEL_KSPTE_H
#define KVMSCOPE_KVMBACK_KERNEL_KSPTE_H

#include "core/machine/inspect.h"

enum kspte_era { KSPTE_EARLY, KSPTE_PRESENT_BIT, KSPTE_LATE };

/* What is known of MMIO sptes: their value is a variable of KVM's that has no address in BTF until it moved to struct kvm.
 */
enum kmmio_how {
	KMMIO_OFF,     /* mmio_caching is off: there are none */
	KMMIO_VALUE,   /* kvm.arch.shadow_mmio_value */
	KMMIO_SPECIAL, /* bits 52-53 both set (the early era) */
	KMMIO_SHAPE,   /* not MMU-present, not empty, not frozen, at level 1 */
};

struct kspte_bits {
	enum kspte_era era;
	bool ept;
	uint64_t mmu_present; /* 0 in the early era */
	uint64_t host_writable, mmu_writable;
	uint64_t accessed, dirty;
	unsigned ad_shift; /* A/D tracking type, two bits: 0 on, 1 off, 2 write-protection only */
	unsigned gen_low, gen_low_bits, gen_high, gen_high_bits;
	uint64_t frozen; /* bit 63 aside */
	enum kmmio_how mmio;
	uint64_t mmio_value; /* KMMIO_VALUE */
	unsigned maxphyaddr;
	int l1tf; /* MMIO sptes have a guard against it: 1, 0, -1 not known */
};

enum kspte_class {
	KSPTE_EMPTY,
	KSPTE_PRESENT, /* maps something for the guest */
	KSPTE_MMIO,
	KSPTE_FROZEN, /* the TDP MMU is changing it right now */
	KSPTE_HOST,   /* the host's own entry in a root: never followed, never counted */
};

#define KSPTE_PFN_MASK 0x000ffffffffff000ull

/* Masks of an era and format; mmio_how, mmio_value, maxphyaddr and l1tf are left to the caller. */
void kspte_bits_init(struct kspte_bits *b, enum kspte_era era, bool ept);
const char *kspte_era_name(enum kspte_era era);
const char *kmmio_how_name(enum kmmio_how how);

enum kspte_class kspte_classify(const struct kspte_bits *b, uint64_t spte, unsigned level);
/* Last in its walk: level 1, or the large bit. Only for KSPTE_PRESENT. */
bool kspte_leaf(uint64_t spte, unsigned level);
/* Fill spte, level, pfn, the flags and for MMIO ones mmio_gen, gfn and gfn_known; the rest of *out stays. */
void kspte_decode(const struct kspte_bits *b, uint64_t spte, unsigned level, struct spte_info *out);

#endif
