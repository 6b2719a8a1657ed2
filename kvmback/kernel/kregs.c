/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of a vCPU that stands in the kernel, where every vCPU ioctl would wait for it. KVM's copy in memory is the truth
 * only where the hardware keeps none of its own: so for PVM all of it, for VMX and SVM nothing that can be relied on.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "core/cpu/regs.h"
#include "kvmback/kernel/kview_impl.h"

#define REG_RIP 16 /* in vcpu->arch.regs, after the sixteen */
#define SREGS 8	   /* es cs ss ds fs gs tr ldt, as struct kvm_segment */

struct desc_ptr { /* struct desc_ptr of the kernel: as lgdt wants it */
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static int read_at(struct kview *k, unsigned vcpu, const struct kfield *f, void *out, size_t len, struct err *e)
{
	return kmem_read(k->mem, k->vcpu[vcpu] + (uint64_t)f->off, out, len, e);
}

static struct seg segment(const struct kvm_segment *k)
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

static int read_segments(struct kview *k, unsigned vcpu, struct regs *r, struct err *e)
{
	static const unsigned to[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
	struct kvm_segment seg[SREGS];
	struct desc_ptr gdt, idt;
	int rc = read_at(k, vcpu, &k->l->pvm_seg, seg, sizeof(seg), e);

	if (!rc)
		rc = read_at(k, vcpu, &k->l->pvm_gdt, &gdt, sizeof(gdt), e);
	if (!rc)
		rc = read_at(k, vcpu, &k->l->pvm_idt, &idt, sizeof(idt), e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < ARRAY_LEN(to); i++)
		r->seg[to[i]] = segment(&seg[i]);
	r->tr = segment(&seg[6]);
	r->ldt = segment(&seg[7]);
	r->gdt = (struct desc_table){gdt.base, gdt.limit};
	r->idt = (struct desc_table){idt.base, idt.limit};
	return 0;
}

static int read_system(struct kview *k, unsigned vcpu, struct regs *r, struct err *e)
{
	const struct klayout *l = k->l;
	const struct {
		const struct kfield *f;
		uint64_t *to;
	} w[] = {{&l->vcpu_cr0, &r->cr0}, {&l->vcpu_cr2, &r->cr2},   {&l->vcpu_cr3, &r->cr3},  {&l->vcpu_cr4, &r->cr4},
		 {&l->vcpu_cr8, &r->cr8}, {&l->vcpu_efer, &r->efer}, {&l->vcpu_xcr0, &r->xcr0}};
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		if (w[i].f->off < 0)
			return 0;
	if (l->pvm_seg.size != SREGS * sizeof(struct kvm_segment) || l->pvm_gdt.size != sizeof(struct desc_ptr) ||
	    l->pvm_idt.size != sizeof(struct desc_ptr))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		rc = read_at(k, vcpu, w[i].f, w[i].to, sizeof(*w[i].to), e);
		if (rc)
			return rc;
	}
	rc = read_segments(k, vcpu, r, e);
	if (!rc)
		r->valid |= REGS_SYS;
	return rc;
}

int kview_rip(struct kview *k, unsigned vcpu, uint64_t *rip, struct err *e)
{
	const struct klayout *l = k->l;
	uint64_t raw[REG_RIP + 1];
	int rc;

	if (vcpu >= k->vcpus || l->vcpu_regs.count <= REG_RIP || !k->host.pvm)
		return err_set(e, -ENODATA, "rip of vCPU %u" WHY "this KVM does not keep it in memory" TRY "fault continue",
			       vcpu);
	rc = read_at(k, vcpu, &l->vcpu_regs, raw, sizeof(raw), e);
	if (!rc)
		*rip = raw[REG_RIP];
	return rc;
}

int kview_regs(struct kview *k, unsigned vcpu, struct regs *out, struct err *e)
{
	const struct klayout *l = k->l;
	struct regs r = *out;
	uint64_t raw[REG_RIP + 1];
	int rc;

	if (vcpu >= k->vcpus || l->vcpu_regs.count <= REG_RIP)
		return err_set(e, -EINVAL, "registers of vCPU %u" WHY "%u vCPUs, %u words of registers" TRY "info vcpus",
			       vcpu, k->vcpus, l->vcpu_regs.count);
	if (!k->host.pvm || l->pvm_rflags.off < 0)
		return err_set(e, -ENODATA,
			       "registers of vCPU %u inside a fault" WHY
			       "this KVM keeps some of them in the processor, not in memory" TRY
			       "fault continue, then info registers",
			       vcpu);
	rc = read_at(k, vcpu, &l->vcpu_regs, raw, sizeof(raw), e);
	if (!rc)
		rc = read_at(k, vcpu, &l->pvm_rflags, &r.rflags, sizeof(r.rflags), e);
	if (rc)
		return rc;
	memcpy(r.gpr, raw, sizeof(r.gpr));
	r.rip = raw[REG_RIP];
	r.valid |= REGS_GPR;
	rc = read_system(k, vcpu, &r, e);
	if (!rc)
		*out = r;
	return rc;
}

int kview_gprs(struct kview *k, unsigned vcpu, uint64_t gpr[16], uint64_t *rip)
{
	const struct klayout *l = k->l;
	uint64_t raw[REG_RIP + 1];
	int rc;

	if (vcpu >= k->vcpus || l->vcpu_regs.count <= REG_RIP || !k->host.pvm)
		return -ENODATA;
	rc = read_at(k, vcpu, &l->vcpu_regs, raw, sizeof(raw), NULL);
	if (rc)
		return rc;
	memcpy(gpr, raw, 16 * sizeof(raw[0]));
	*rip = raw[REG_RIP];
	return 0;
}
