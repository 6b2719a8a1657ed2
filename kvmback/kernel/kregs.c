/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of a vCPU that stands in the kernel, where every vCPU ioctl would wait for it. PVM keeps all of them in memory.
 * VMX and SVM keep rflags, segments and control registers in the processor's own structures; of the general registers and
 * rip the kernel says by vcpu->arch.regs_avail which of vcpu->arch.regs are the vCPU's now (VMX reads rsp and rip when
 * somebody asks, SVM after each exit). What is not there stays as the caller has it, and is marked old.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "core/cpu/regs.h"
#include "kvmback/kernel/kview_impl.h"

#define REG_RIP 16 /* in vcpu->arch.regs, after the sixteen */
#define WORDS 17
#define WORDS_ALL ((1u << WORDS) - 1)
#define OLD_RFLAGS (1u << 17) /* of struct regs' old */
#define SREGS 8		      /* es cs ss ds fs gs tr ldt, as struct kvm_segment */

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

/* vcpu->arch.regs, and a bit in *have for each word of it that is the vCPU's now. */
static int read_words(struct kview *k, unsigned vcpu, uint64_t raw[WORDS], uint32_t *have, struct err *e)
{
	const struct klayout *l = k->l;
	int rc;

	if (vcpu >= k->vcpus || l->vcpu_regs.count < WORDS)
		return err_set(e, -EINVAL, "registers of vCPU %u" WHY "%u vCPUs, %u words of registers" TRY "info vcpus",
			       vcpu, k->vcpus, l->vcpu_regs.count);
	*have = k->host.pvm ? WORDS_ALL : 0;
	rc = read_at(k, vcpu, &l->vcpu_regs, raw, WORDS * sizeof(raw[0]), e);
	if (!rc && !k->host.pvm && l->vcpu_regs_avail.off >= 0)
		rc = read_at(k, vcpu, &l->vcpu_regs_avail, have, sizeof(*have), e);
	*have &= WORDS_ALL;
	return rc;
}

static int in_processor(unsigned vcpu, const char *what, struct err *e)
{
	return err_set(e, -ENODATA,
		       "%s of vCPU %u inside a fault" WHY "this KVM keeps it in the processor, not in memory" TRY
		       "fault continue, then info registers",
		       what, vcpu);
}

int kview_rip(struct kview *k, unsigned vcpu, uint64_t *rip, struct err *e)
{
	uint64_t raw[WORDS];
	uint32_t have;
	int rc = read_words(k, vcpu, raw, &have, e);

	if (!rc && !(have >> REG_RIP & 1))
		rc = in_processor(vcpu, "rip", e);
	if (!rc)
		*rip = raw[REG_RIP];
	return rc;
}

int kview_regs(struct kview *k, unsigned vcpu, struct regs *out, struct err *e)
{
	const struct klayout *l = k->l;
	struct regs r = *out;
	uint64_t raw[WORDS];
	uint32_t have;
	int rc = read_words(k, vcpu, raw, &have, e);
	bool whole = k->host.pvm && l->pvm_rflags.off >= 0;

	/* What is lacking is the caller's, who then must have it. */
	if (!rc && (!have || (!whole && !(out->valid & REGS_GPR))))
		rc = in_processor(vcpu, "part of the registers", e);
	if (!rc && whole)
		rc = read_at(k, vcpu, &l->pvm_rflags, &r.rflags, sizeof(r.rflags), e);
	else if (!rc && l->vcpu_cr2.off >= 0)
		rc = read_at(k, vcpu, &l->vcpu_cr2, &r.cr2, sizeof(r.cr2), e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < REG_RIP; i++)
		if (have >> i & 1)
			r.gpr[i] = raw[i];
	if (have >> REG_RIP & 1)
		r.rip = raw[REG_RIP];
	r.old = (WORDS_ALL & ~have) | (whole ? 0 : OLD_RFLAGS);
	r.valid |= REGS_GPR;
	rc = whole ? read_system(k, vcpu, &r, e) : 0;
	if (!rc)
		*out = r;
	return rc;
}

int kview_gprs(struct kview *k, unsigned vcpu, uint64_t gpr[16], uint64_t *rip)
{
	uint64_t raw[WORDS];
	uint32_t have;
	int rc = read_words(k, vcpu, raw, &have, NULL);

	if (rc || have != WORDS_ALL)
		return rc ? rc : -ENODATA;
	memcpy(gpr, raw, 16 * sizeof(raw[0]));
	*rip = raw[REG_RIP];
	return 0;
}
