/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Decoding of sptes, by the tables that docs name "SPTE bits". A value is first put into a class, then the flags are read.
 */
#include "kvmback/kernel/kspte.h"

#include <string.h>

#define BIT(n) (1ull << (n))
#define SUPPRESS_VE BIT(63) /* the non-present value of newer kernels; also NX in the legacy format */

void kspte_bits_init(struct kspte_bits *b, enum kspte_era era, bool ept)
{
	memset(b, 0, sizeof(*b));
	b->era = era;
	b->ept = ept;
	b->accessed = BIT(ept ? 8 : 5);
	b->dirty = BIT(ept ? 9 : 6);
	b->ad_shift = era == KSPTE_LATE ? 60 : 52;
	b->gen_low = 3;
	b->gen_high = era == KSPTE_EARLY ? 54 : 52;
	b->gen_high_bits = 63 - b->gen_high;
	if (era == KSPTE_EARLY) {
		b->host_writable = BIT(10);
		b->mmu_writable = BIT(11);
		b->gen_low_bits = 9;
		b->frozen = BIT(59);
		return;
	}
	b->mmu_present = BIT(11);
	b->host_writable = !ept ? BIT(9) : era == KSPTE_LATE ? BIT(53) : BIT(57);
	b->mmu_writable = !ept ? BIT(10) : era == KSPTE_LATE ? BIT(55) : BIT(58);
	b->gen_low_bits = era == KSPTE_LATE ? 7 : 8;
	b->frozen = era == KSPTE_LATE ? 0x1a0 : 0x5a0;
}

const char *kspte_era_name(enum kspte_era era)
{
	static const char *const name[] = {"5.10", "5.15 to 6.18", "7.x"};

	return name[era];
}

const char *kmmio_how_name(enum kmmio_how how)
{
	static const char *const name[] = {"none are made", "by kvm.arch.shadow_mmio_value", "by bits 52 and 53",
					   "by their shape"};

	return name[how];
}

static bool is_mmio(const struct kspte_bits *b, uint64_t spte, unsigned level)
{
	switch (b->mmio) {
	case KMMIO_OFF:
		return false;
	case KMMIO_SPECIAL:
		return (spte >> 52 & 3) == 3;
	case KMMIO_VALUE:
		return level == 1 && b->mmio_value && (spte & b->mmio_value) == b->mmio_value;
	case KMMIO_SHAPE: /* a reserved bit with present set; EPT: writable and executable, not readable */
		return level == 1 && (b->ept ? (spte & 7) == 6 : (spte & 1) != 0);
	}
	return false;
}

enum kspte_class kspte_classify(const struct kspte_bits *b, uint64_t spte, unsigned level)
{
	uint64_t rest = spte & ~SUPPRESS_VE;

	if (!rest)
		return KSPTE_EMPTY;
	if (rest == b->frozen)
		return KSPTE_FROZEN;
	if (b->mmu_present && (spte & b->mmu_present))
		return KSPTE_PRESENT;
	if (is_mmio(b, spte, level))
		return KSPTE_MMIO;
	return b->mmu_present ? KSPTE_HOST : KSPTE_PRESENT;
}

bool kspte_leaf(uint64_t spte, unsigned level)
{
	return level <= 1 || (level <= 3 && (spte & BIT(7)));
}

/* On processors with the L1TF fault an MMIO spte has the five highest bits set of what addresses their caches, so that none
 * is a line that is there, and the gpa's own five are above them. That width is no less than 44 on many of those that have
 * fewer physical bits, whichever a kernel says they are: bits up there are no gpa's. 0: no guard. */
#define GUARD_BITS 5
#define CACHE_BITS_MIN 44
#define CACHE_BITS_MAX 46 /* of more none is known to have the fault, and there would be no room above */
static uint64_t guard_of(const struct kspte_bits *b, uint64_t gpa)
{
	unsigned bits = b->maxphyaddr >= 36 && b->maxphyaddr <= 52 ? b->maxphyaddr : 46;
	uint64_t at_min = 31ull << (CACHE_BITS_MIN - GUARD_BITS), at_top = 31ull << (bits - GUARD_BITS);

	if (!b->l1tf || bits > CACHE_BITS_MAX)
		return 0;
	if (bits < CACHE_BITS_MIN && (gpa & at_min) == at_min)
		return at_min;
	return (gpa & at_top) == at_top ? at_top : 0;
}

/* The gpa's bits are where the pfn would be. */
static void decode_mmio(const struct kspte_bits *b, uint64_t spte, struct spte_info *out)
{
	uint64_t low = spte >> b->gen_low & ((1ull << b->gen_low_bits) - 1);
	uint64_t high = spte >> b->gen_high & ((1ull << b->gen_high_bits) - 1);
	uint64_t gpa = spte & KSPTE_PFN_MASK & ~(b->mmio_value | BIT(51));
	uint64_t guard = guard_of(b, gpa), below = guard ? (guard & -guard) - 1 : ~0ull;

	out->mmio = true;
	out->mmio_gen = high << b->gen_low_bits | low;
	out->gfn = ((gpa & below) | (gpa >> GUARD_BITS & guard)) >> PAGE_SHIFT;
	/* Not sure to be a guard: where it is not known whether there are any. */
	out->gfn_known = !guard || b->l1tf > 0;
}

void kspte_decode(const struct kspte_bits *b, uint64_t spte, unsigned level, struct spte_info *out)
{
	enum kspte_class class = kspte_classify(b, spte, level);
	unsigned ad = spte >> b->ad_shift & 3;

	out->spte = spte;
	out->level = level;
	out->host_own = class == KSPTE_HOST;
	if (class == KSPTE_MMIO)
		decode_mmio(b, spte, out);
	if (class != KSPTE_PRESENT)
		return;
	out->present = true;
	out->leaf = kspte_leaf(spte, level);
	out->pfn = (spte & KSPTE_PFN_MASK) >> PAGE_SHIFT;
	if (out->leaf && level > 1)
		out->pfn &= ~((1ull << 9 * (level - 1)) - 1);
	out->writable = spte & BIT(1);
	out->user = b->ept || (spte & BIT(2));
	out->exec = b->ept ? (spte & BIT(2)) != 0 : !(spte & BIT(63));
	out->host_writable = spte & b->host_writable;
	out->mmu_writable = spte & b->mmu_writable;
	/* Without A/D bits KVM takes away access to see the next one: what is mapped was accessed, writable was written. */
	out->accessed = ad == 1 ? (spte & 7) != 0 : (spte & b->accessed) != 0;
	out->dirty = ad == 1 ? out->writable : (spte & b->dirty) != 0;
}
