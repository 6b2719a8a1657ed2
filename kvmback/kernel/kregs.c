/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of a vCPU that stands in the kernel, where every vCPU ioctl would wait for it. Everything is as of the last stop
 * until it has been read here. What memory has:
 *
 * - vcpu->arch.regs: PVM all of them, VMX and SVM those that arch.regs_avail names (VMX reads rsp and rip when somebody
 *   asks, SVM after each exit);
 * - cr2, efer, xcr0 and debug registers: KVM sees each write of them, or takes them over at each exit. cr8 too, as long as
 *   there is no local APIC in the kernel, whose register it is then;
 * - cr0 and cr4: all but the bits which the guest may change without an exit (cr?_guest_owned_bits), and those where
 *   regs_avail says so. cr3 likewise; with VMX and no EPT each load of it is an exit. SVM sets these bits and keeps its
 * word: it copies them at each exit;
 * - rflags, segments and descriptor tables: ksegs.c.
 *
 * MSRs are wherever each vendor has them (arch.pat is not PVM's), the FPU in a buffer that is written when the thread is
 * switched out, behind the message that it has parked: not read.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "kvmback/kernel/kview_impl.h"

#define REG_RIP 16 /* in vcpu->arch.regs, after the sixteen */
#define WORDS 17
#define WORDS_ALL ((1u << WORDS) - 1)
#define BIT(n) (1ull << (n))
#define OLD_GPR_PART (BIT(REGS_OLD_SEG) - 1)
#define OLD_SYS_PART ((BIT(REGS_OLD_SMM) - 1) & ~OLD_GPR_PART)

struct words {
	uint64_t raw[WORDS], avail; /* avail: a bit for each of raw, and those of enum kavail */
};

bool kregs_num(struct kview *k, uint64_t at, const struct kfield *f, uint64_t *out)
{
	uint64_t v = 0;

	if (f->off < 0 || f->bits || !f->elem || f->elem > sizeof(v) ||
	    kmem_read(k->mem, at + (uint64_t)f->off, &v, f->elem, NULL))
		return false;
	*out = v;
	return true;
}

bool kregs_avail(const struct kview *k, uint64_t avail, enum kavail what)
{
	int bit = k->l->avail[what];

	return k->host.vendor == KVENDOR_PVM || (bit >= 0 && avail >> bit & 1);
}

static int read_words(struct kview *k, unsigned vcpu, struct words *w, struct err *e)
{
	const struct klayout *l = k->l;
	bool pvm = k->host.vendor == KVENDOR_PVM;

	if (vcpu >= k->vcpus || l->vcpu_regs.count < WORDS)
		return err_set(e, -EINVAL, "registers of vCPU %u" WHY "%u vCPUs, %u words of registers" TRY "info vcpus",
			       vcpu, k->vcpus, l->vcpu_regs.count);
	w->avail = pvm ? ~0ull : 0;
	if (!pvm)
		(void)kregs_num(k, k->vcpu[vcpu], &l->vcpu_regs_avail, &w->avail);
	return kmem_read(k->mem, k->vcpu[vcpu] + (uint64_t)l->vcpu_regs.off, w->raw, sizeof(w->raw), e);
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
	struct words w;
	int rc = read_words(k, vcpu, &w, e);

	if (!rc && !(w.avail >> REG_RIP & 1))
		rc = in_processor(vcpu, "rip", e);
	if (!rc)
		*rip = w.raw[REG_RIP];
	return rc;
}

int kview_gprs(struct kview *k, unsigned vcpu, uint64_t gpr[16], uint64_t *rip)
{
	struct words w;
	int rc = read_words(k, vcpu, &w, NULL);

	if (rc || (w.avail & WORDS_ALL) != WORDS_ALL)
		return rc ? rc : -ENODATA;
	memcpy(gpr, w.raw, 16 * sizeof(w.raw[0]));
	*rip = w.raw[REG_RIP];
	return 0;
}

static void take_words(const struct words *w, struct regs *r)
{
	for (unsigned i = 0; i < WORDS; i++) {
		if (!(w->avail >> i & 1))
			continue;
		*(i < REG_RIP ? &r->gpr[i] : &r->rip) = w->raw[i];
		kregs_fresh(r, i < REG_RIP ? REGS_OLD_GPR + i : REGS_OLD_RIP);
	}
}

/* CR0 or CR4: the guest's own bits are in memory only if regs_avail says so. */
static void read_owned(struct kview *k, uint64_t at, const struct kfield *f, const struct kfield *owned, bool avail,
		       uint64_t *to, unsigned bit, struct regs *r)
{
	uint64_t v, lacking = 0;

	if ((!avail && !kregs_num(k, at, owned, &lacking)) || !kregs_num(k, at, f, &v))
		return;
	*to = (v & ~lacking) | (*to & lacking);
	if (!lacking)
		kregs_fresh(r, bit);
}

static void read_control(struct kview *k, uint64_t at, uint64_t avail, struct regs *r)
{
	const struct klayout *l = k->l;
	const struct {
		const struct kfield *f;
		uint64_t *to;
		unsigned bit;
		bool there;
	} plain[] = {
	    {&l->vcpu_cr2, &r->cr2, REGS_OLD_CR2, true},
	    {&l->vcpu_efer, &r->efer, REGS_OLD_EFER, true},
	    {&l->vcpu_xcr0, &r->xcr0, REGS_OLD_XCR0, true},
	    {&l->vcpu_cr3, &r->cr3, REGS_OLD_CR3,
	     kregs_avail(k, avail, KAVAIL_CR3) || (k->host.vendor == KVENDOR_VMX && !k->host.ept)},
	};
	uint64_t apic;

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (plain[i].there && kregs_num(k, at, plain[i].f, plain[i].to))
			kregs_fresh(r, plain[i].bit);
	if (kregs_num(k, at, &l->vcpu_apic, &apic) && !apic && kregs_num(k, at, &l->vcpu_cr8, &r->cr8))
		kregs_fresh(r, REGS_OLD_CR8);
	read_owned(k, at, &l->vcpu_cr0, &l->vcpu_cr0_owned, kregs_avail(k, avail, KAVAIL_CR0), &r->cr0, REGS_OLD_CR0, r);
	read_owned(k, at, &l->vcpu_cr4, &l->vcpu_cr4_owned, kregs_avail(k, avail, KAVAIL_CR4), &r->cr4, REGS_OLD_CR4, r);
}

static void read_debug(struct kview *k, uint64_t at, struct regs *r)
{
	const struct klayout *l = k->l;
	uint64_t db[4], dr6, dr7;

	if (l->vcpu_db.off < 0 || l->vcpu_db.size != sizeof(db) || !kregs_num(k, at, &l->vcpu_dr6, &dr6) ||
	    !kregs_num(k, at, &l->vcpu_dr7, &dr7) || kmem_read(k->mem, at + (uint64_t)l->vcpu_db.off, db, sizeof(db), NULL))
		return;
	memcpy(r->dr, db, sizeof(db));
	r->dr[6] = dr6;
	r->dr[7] = dr7;
	kregs_fresh(r, REGS_OLD_DR);
}

static void read_all(struct kview *k, unsigned vcpu, const struct words *w, struct regs *r)
{
	uint64_t at = k->vcpu[vcpu], debug = 0;

	take_words(w, r);
	read_control(k, at, w->avail, r);
	read_debug(k, at, r);
	ksegs_read(k, vcpu, w->avail, r);
	/* A debugger's own step, which KVM_GET_REGS hides as well. */
	(void)kregs_num(k, at, &k->l->vcpu_guest_debug, &debug);
	if (!(r->old >> REGS_OLD_RFLAGS & 1) && debug & KVM_GUESTDBG_SINGLESTEP)
		r->rflags &= ~RFLAGS_TF;
}

/* What the caller did not bring is there only if all of it was read. */
static void note_parts(struct regs *r)
{
	if (!(r->old & OLD_GPR_PART))
		r->valid |= REGS_GPR;
	if (!(r->old & OLD_SYS_PART))
		r->valid |= REGS_SYS;
	if (!(r->old & BIT(REGS_OLD_DR)))
		r->valid |= REGS_DEBUG;
}

int kview_regs(struct kview *k, unsigned vcpu, struct regs *out, struct err *e)
{
	struct words before, after;
	struct regs r;
	int rc = read_words(k, vcpu, &before, e);

	for (unsigned i = 0; !rc && i < KVIEW_TRIES; i++) {
		r = *out;
		r.old = (REGS_OLD_ALL & ~BIT(REGS_OLD_SMM)) | (out->old & BIT(REGS_OLD_SMM));
		read_all(k, vcpu, &before, &r);
		note_parts(&r);
		rc = read_words(k, vcpu, &after, e);
		if (!rc && !memcmp(&before, &after, sizeof(before))) {
			if (!(before.avail & WORDS_ALL) || !(r.valid & REGS_GPR))
				return in_processor(vcpu, "part of the registers", e);
			knested_regs(k, vcpu, out, &r);
			*out = r;
			return 0;
		}
		before = after;
	}
	return rc ? rc
		  : err_set(e, -EAGAIN, "registers of vCPU %u" WHY "they changed while they were read" TRY "again", vcpu);
}
