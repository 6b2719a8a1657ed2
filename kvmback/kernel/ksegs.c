/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * rflags, segments and descriptor tables of a vCPU that stands in the kernel, which each vendor keeps elsewhere:
 *
 * - PVM in struct vcpu_pvm, all of them;
 * - SVM in the VMCB, where each exit saves them; FS, GS, TR and LDTR by VMSAVE, always to vmcb01, if there are two
 *   (AMD APM vol. 2 appendix B);
 * - VMX in the VMCS, which nobody else can read. struct vcpu_vmx has rflags and parts of segments that KVM has read since
 *   the exit, one bit each (Intel SDM vol. 3C, 24.4.1 for the format of access rights). The descriptor tables are not there.
 */
#include <linux/kvm.h>
#include <string.h>

#include "kvmback/kernel/kview_impl.h"

/* es cs ss ds fs gs tr ldt: KVM's order, and that of struct regs' old. */
#define SEGS (SEG_COUNT + 2)
enum { TR = SEG_COUNT, LDT };

#define ELEMENT_MAX 64 /* bytes of one segment, however a kernel keeps it */

struct desc_ptr { /* struct desc_ptr of the kernel: as lgdt wants it */
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct seg *seg_at(struct regs *r, unsigned i)
{
	return i < SEG_COUNT ? &r->seg[i] : i == TR ? &r->tr : &r->ldt;
}

static void fresh(struct regs *r, unsigned i, enum regs_old_seg part)
{
	kregs_fresh(r, REGS_OLD_SEG + 4 * i + part);
}

/* The vendor's struct that has this vCPU inside. */
static bool container(const struct kview *k, unsigned vcpu, const struct kfield *f, uint64_t *out)
{
	*out = k->vcpu[vcpu] - (uint64_t)f->off;
	return f->off >= 0;
}

static void read_rflags(struct kview *k, uint64_t at, const struct kfield *f, struct regs *r)
{
	if (kregs_num(k, at, f, &r->rflags))
		kregs_fresh(r, REGS_OLD_RFLAGS);
}

/* ---- PVM */

static struct seg pvm_segment(const struct kvm_segment *k)
{
	return (struct seg){.base = k->base,
			    .limit = k->limit,
			    .selector = k->selector,
			    .type = k->type & 15,
			    .s = k->s,
			    .present = k->present,
			    .avl = k->avl,
			    .l = k->l,
			    .db = k->db,
			    .g = k->g,
			    .unusable = k->unusable,
			    .dpl = k->dpl & 3};
}

static void pvm_table(struct kview *k, uint64_t at, const struct kfield *f, struct desc_table *to, unsigned bit,
		      struct regs *r)
{
	struct desc_ptr d;

	if (f->off < 0 || f->size != sizeof(d) || kmem_read(k->mem, at + (uint64_t)f->off, &d, sizeof(d), NULL))
		return;
	*to = (struct desc_table){d.base, d.limit};
	kregs_fresh(r, bit);
}

static void read_pvm(struct kview *k, unsigned vcpu, struct regs *r)
{
	const struct klayout *l = k->l;
	struct kvm_segment seg[SEGS];
	uint64_t at;

	if (!container(k, vcpu, &l->pvm_vcpu, &at))
		return;
	read_rflags(k, at, &l->pvm_rflags, r);
	pvm_table(k, at, &l->pvm_gdt, &r->gdt, REGS_OLD_GDT, r);
	pvm_table(k, at, &l->pvm_idt, &r->idt, REGS_OLD_IDT, r);
	if (l->pvm_seg.off < 0 || l->pvm_seg.size != sizeof(seg) ||
	    kmem_read(k->mem, at + (uint64_t)l->pvm_seg.off, seg, sizeof(seg), NULL))
		return;
	for (unsigned i = 0; i < SEGS; i++) {
		*seg_at(r, i) = pvm_segment(&seg[i]);
		for (unsigned part = OLD_SELECTOR; part <= OLD_FLAGS; part++)
			fresh(r, i, part);
	}
}

/* ---- VMX */

/* A member of element 0, out of the copy of another element. */
static bool member(const struct kfield *seg, const struct kfield *f, const uint8_t *element, uint64_t *out)
{
	uint32_t at = (uint32_t)(f->off - seg->off);

	if (f->off < seg->off || !f->elem || f->elem > sizeof(*out) || at + f->elem > seg->elem)
		return false;
	*out = 0;
	memcpy(out, element + at, f->elem);
	return true;
}

static void vmx_segment(const struct klayout *l, const uint8_t *element, unsigned cached, unsigned i, struct regs *r)
{
	struct seg *s = seg_at(r, i);
	uint64_t v;

	if (cached & 1u << OLD_SELECTOR && member(&l->vmx_seg, &l->vmx_seg_selector, element, &v)) {
		s->selector = (uint16_t)v;
		fresh(r, i, OLD_SELECTOR);
	}
	if (cached & 1u << OLD_BASE && member(&l->vmx_seg, &l->vmx_seg_base, element, &v)) {
		s->base = v;
		fresh(r, i, OLD_BASE);
	}
	if (cached & 1u << OLD_LIMIT && member(&l->vmx_seg, &l->vmx_seg_limit, element, &v)) {
		s->limit = (uint32_t)v;
		fresh(r, i, OLD_LIMIT);
	}
	if (cached & 1u << OLD_FLAGS && member(&l->vmx_seg, &l->vmx_seg_ar, element, &v)) {
		seg_set_flags(s, v);
		s->present = !s->unusable; /* as KVM_GET_SREGS has it */
		fresh(r, i, OLD_FLAGS);
	}
}

static void read_vmx(struct kview *k, unsigned vcpu, uint64_t avail, struct regs *r)
{
	const struct klayout *l = k->l;
	uint8_t seg[SEGS * ELEMENT_MAX];
	uint64_t at, cached, vm86;

	if (!container(k, vcpu, &l->vmx_vcpu, &at))
		return;
	if (kregs_avail(k, avail, KAVAIL_RFLAGS))
		read_rflags(k, at, &l->vmx_rflags, r);
	/* Real mode by way of virtual-8086 mode: the VMCS' segments are not the guest's. */
	if (!kregs_avail(k, avail, KAVAIL_SEGMENTS) || !kregs_num(k, at, &l->vmx_vm86, &vm86) || vm86 ||
	    !kregs_num(k, at, &l->vmx_cached, &cached))
		return;
	if (l->vmx_seg.off < 0 || l->vmx_seg.count != SEGS || l->vmx_seg.elem > ELEMENT_MAX ||
	    kmem_read(k->mem, at + (uint64_t)l->vmx_seg.off, seg, l->vmx_seg.size, NULL))
		return;
	for (unsigned i = 0; i < SEGS; i++)
		vmx_segment(l, seg + (size_t)i * l->vmx_seg.elem, cached >> 4 * i & 15, i, r);
}

/* ---- SVM */

struct vmcb_seg {
	uint64_t selector, attrib, limit, base;
};

static bool read_vmcb_seg(struct kview *k, uint64_t vmcb, const struct kfield *f, struct vmcb_seg *out)
{
	const struct klayout *l = k->l;
	uint64_t at = vmcb + (uint64_t)f->off;

	return f->off >= 0 && kregs_num(k, at, &l->vmcb_seg_selector, &out->selector) &&
	       kregs_num(k, at, &l->vmcb_seg_attrib, &out->attrib) && kregs_num(k, at, &l->vmcb_seg_limit, &out->limit) &&
	       kregs_num(k, at, &l->vmcb_seg_base, &out->base);
}

/* KVM_GET_SREGS makes these of the VMCB's attributes, some of which the processor does not save. */
static void svm_flags(struct seg *s, unsigned i, uint64_t attrib, uint64_t cpl)
{
	seg_set_flags(s, (attrib & 0xff) | (attrib & 0xf00) << 4);
	s->g = s->limit > 0xfffff;
	s->unusable = !s->present;
	if (i == TR)
		s->type |= 2;
	else if (i == SEG_SS)
		s->dpl = cpl & 3;
	else if (i != SEG_CS && i != LDT && s->present)
		s->type |= 1;
	if (i == SEG_SS && s->unusable)
		s->db = false;
}

static void svm_segment(struct kview *k, uint64_t vmcb, const struct kfield *f, unsigned i, struct regs *r)
{
	struct seg *s = seg_at(r, i);
	struct vmcb_seg v;
	uint64_t cpl = 0;

	if (!read_vmcb_seg(k, vmcb, f, &v) || (i == SEG_SS && !kregs_num(k, vmcb, &k->l->vmcb_cpl, &cpl)))
		return;
	s->selector = (uint16_t)v.selector;
	s->base = v.base;
	s->limit = (uint32_t)v.limit;
	svm_flags(s, i, v.attrib, cpl);
	for (unsigned part = OLD_SELECTOR; part <= OLD_FLAGS; part++)
		fresh(r, i, part);
}

static void svm_table(struct kview *k, uint64_t vmcb, const struct kfield *f, struct desc_table *to, unsigned bit,
		      struct regs *r)
{
	struct vmcb_seg v;

	if (!read_vmcb_seg(k, vmcb, f, &v))
		return;
	*to = (struct desc_table){v.base, (uint16_t)v.limit};
	kregs_fresh(r, bit);
}

/* A VMCB is a page of its own. */
static bool vmcb_of(struct kview *k, uint64_t svm, const struct kfield *f, uint64_t *out)
{
	return kregs_num(k, svm, f, out) && kmem_pointer(*out) && !(*out & PAGE_OFFSET_MASK);
}

static void read_svm(struct kview *k, unsigned vcpu, struct regs *r)
{
	const struct klayout *l = k->l;
	const struct kfield *seg[SEGS] = {
	    [SEG_ES] = &l->vmcb_es, [SEG_CS] = &l->vmcb_cs, [SEG_SS] = &l->vmcb_ss, [SEG_DS] = &l->vmcb_ds,
	    [SEG_FS] = &l->vmcb_fs, [SEG_GS] = &l->vmcb_gs, [TR] = &l->vmcb_tr,	    [LDT] = &l->vmcb_ldtr};
	uint64_t svm, vmcb, saved;

	if (!container(k, vcpu, &l->svm_vcpu, &svm) || !vmcb_of(k, svm, &l->svm_vmcb, &vmcb))
		return;
	read_rflags(k, vmcb, &l->vmcb_rflags, r);
	svm_table(k, vmcb, &l->vmcb_gdtr, &r->gdt, REGS_OLD_GDT, r);
	svm_table(k, vmcb, &l->vmcb_idtr, &r->idt, REGS_OLD_IDT, r);
	for (unsigned i = SEG_ES; i <= SEG_DS; i++)
		svm_segment(k, vmcb, seg[i], i, r);
	saved = vmcb;
	if (l->svm_vmcb01.off >= 0 && !vmcb_of(k, svm, &l->svm_vmcb01, &saved))
		return;
	for (unsigned i = SEG_FS; i < SEGS; i++)
		svm_segment(k, saved, seg[i], i, r);
}

bool ksegs_vmcb_base(struct kview *k, unsigned vcpu, uint64_t *base)
{
	const struct klayout *l = k->l;
	const struct kfield *at = l->svm_vmcb01.off >= 0 ? &l->svm_vmcb01 : &l->svm_vmcb;
	unsigned bits = k->host.maxphyaddr >= 36 && k->host.maxphyaddr <= 52 ? k->host.maxphyaddr : 52;
	uint64_t svm, vmcb, physical; /* perhaps with the bit of memory encryption above the address's */

	if (k->host.vendor != KVENDOR_SVM || !container(k, vcpu, &l->svm_vcpu, &svm) || !vmcb_of(k, svm, at, &vmcb) ||
	    !kregs_num(k, svm, &l->svm_vmcb_pa, &physical))
		return false;
	*base = vmcb - (physical & ((1ull << bits) - 1));
	return true;
}

void ksegs_read(struct kview *k, unsigned vcpu, uint64_t avail, struct regs *r)
{
	switch (k->host.vendor) {
	case KVENDOR_PVM:
		read_pvm(k, vcpu, r);
		return;
	case KVENDOR_SVM:
		read_svm(k, vcpu, r);
		return;
	case KVENDOR_VMX:
		read_vmx(k, vcpu, avail, r);
	}
}
