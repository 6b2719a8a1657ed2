/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of a vCPU that is out of KVM_RUN. What the last exit left in the run area (KVM_CAP_SYNC_REGS) is taken from
 * there; everything else is an ioctl, about 5 µs each. Stores always go by ioctl, so that a reader of the kernel's own
 * structures sees them at once; the run area is updated or marked old with each.
 */
#include "kvmback/vcpu/nested.h"
#include "kvmback/vcpu/regs_impl.h"
#include "kvmback/vcpu/vcpu.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#define PF_VECTOR 14
#define NMI_VECTOR 2

int kvm_vcpu_error(const struct kvcpu *v, const char *verb, const char *ioctl_name, struct err *e)
{
	return err_errno(e, errno, "%s of vCPU %u" WHY "%s" TRY "the same again with the vCPU stopped", verb, v->index,
			 ioctl_name);
}

/* struct kvm_sregs2 begins with the same members. */
_Static_assert(offsetof(struct kvm_sregs2, flags) == offsetof(struct kvm_sregs, interrupt_bitmap), "up to apic_base");

/* ---- fetching */

/* One part of the run area is the vCPU's state now: the next look at it needs no ioctl. A dirty bit from before stood for
 * what was there until now. */
static void fetched(struct kvcpu *v, uint32_t part)
{
	v->run->kvm_dirty_regs &= v->sync_fresh;
	v->sync_fresh |= part & v->vm->host->sync_regs;
}

static int fetch_regs(struct kvcpu *v, struct kvm_regs *k, struct err *e)
{
	if (!(v->sync_fresh & KVM_SYNC_X86_REGS)) {
		if (ioctl(v->fd, KVM_GET_REGS, &v->run->s.regs.regs) < 0)
			return kvm_vcpu_error(v, "read registers", "KVM_GET_REGS", e);
		fetched(v, KVM_SYNC_X86_REGS);
	}
	*k = v->run->s.regs.regs;
	return 0;
}

int kvm_fetch_sregs(struct kvcpu *v, struct kvm_sregs *k, struct err *e)
{
	if (!(v->sync_fresh & KVM_SYNC_X86_SREGS)) {
		if (ioctl(v->fd, KVM_GET_SREGS, &v->run->s.regs.sregs) < 0)
			return kvm_vcpu_error(v, "read system registers", "KVM_GET_SREGS", e);
		fetched(v, KVM_SYNC_X86_SREGS);
	}
	*k = v->run->s.regs.sregs;
	return 0;
}

static int fetch_events(struct kvcpu *v, struct kvm_vcpu_events *k, struct err *e)
{
	memset(k, 0, sizeof(*k));
	if (!v->vm->host->vcpu_events)
		return 0;
	if (v->sync_fresh & KVM_SYNC_X86_EVENTS)
		*k = v->run->s.regs.events;
	else if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, k) < 0)
		return kvm_vcpu_error(v, "read pending events", "KVM_GET_VCPU_EVENTS", e);
	return 0;
}

/* ---- general registers */

static void gpr_out(struct regs *r, const struct kvm_regs *k)
{
	const uint64_t in[16] = {k->rax, k->rcx, k->rdx, k->rbx, k->rsp, k->rbp, k->rsi, k->rdi,
				 k->r8,	 k->r9,	 k->r10, k->r11, k->r12, k->r13, k->r14, k->r15};

	memcpy(r->gpr, in, sizeof(in));
	r->rip = k->rip;
	r->rflags = k->rflags;
}

static void gpr_in(struct kvm_regs *k, const struct regs *r)
{
	const uint64_t *g = r->gpr;

	*k = (struct kvm_regs){.rax = g[RAX],
			       .rcx = g[RCX],
			       .rdx = g[RDX],
			       .rbx = g[RBX],
			       .rsp = g[RSP],
			       .rbp = g[RBP],
			       .rsi = g[RSI],
			       .rdi = g[RDI],
			       .r8 = g[R8],
			       .r9 = g[R9],
			       .r10 = g[R10],
			       .r11 = g[R11],
			       .r12 = g[R12],
			       .r13 = g[R13],
			       .r14 = g[R14],
			       .r15 = g[R15]};
	k->rip = r->rip;
	k->rflags = r->rflags | RFLAGS_FIXED;
}

static int get_gpr(struct kvcpu *v, struct regs *r, struct err *e)
{
	struct kvm_regs k = {0};
	int rc = fetch_regs(v, &k, e);

	if (!rc)
		gpr_out(r, &k);
	return rc;
}

static int store_events(struct kvcpu *v, const struct kvm_vcpu_events *k, struct err *e)
{
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, k) < 0)
		return err_errno(e, errno,
				 "set pending events of vCPU %u" WHY "KVM_SET_VCPU_EVENTS, exception %u" TRY
				 "a vector below 32",
				 v->index, k->exception.nr);
	/* What was stored is not what a fetch gives: flags and the conflated injected and pending bits differ. */
	v->sync_fresh &= ~(uint32_t)KVM_SYNC_X86_EVENTS;
	return 0;
}

static int set_gpr(struct kvcpu *v, const struct regs *r, struct err *e)
{
	struct kvm_vcpu_events ev;
	struct kvm_regs k;
	int rc = fetch_events(v, &ev, e);

	if (rc)
		return rc;
	gpr_in(&k, r);
	if (ioctl(v->fd, KVM_SET_REGS, &k) < 0)
		return kvm_vcpu_error(v, "set registers", "KVM_SET_REGS", e);
	v->run->s.regs.regs = k;
	v->sync_fresh |= KVM_SYNC_X86_REGS & v->vm->host->sync_regs;
	/* KVM_SET_REGS drops an exception that waits for delivery. */
	if (ev.exception.pending || ev.exception.injected)
		return store_events(v, &ev, e);
	return 0;
}

/* ---- segments, tables, control registers */

void kvm_seg_out(struct seg *to, const struct kvm_segment *from)
{
	*to = (struct seg){
	    .base = from->base,
	    .limit = from->limit,
	    .selector = from->selector,
	    .type = from->type & 15,
	    .s = from->s,
	    .present = from->present,
	    .avl = from->avl,
	    .l = from->l,
	    .db = from->db,
	    .g = from->g,
	    .unusable = from->unusable,
	    .dpl = from->dpl & 3,
	};
}

static void segment_in(struct kvm_segment *to, const struct seg *from)
{
	*to = (struct kvm_segment){
	    .base = from->base,
	    .limit = from->limit,
	    .selector = from->selector,
	    .type = from->type & 15,
	    .present = from->present,
	    .dpl = from->dpl & 3,
	    .db = from->db,
	    .s = from->s,
	    .l = from->l,
	    .g = from->g,
	    .avl = from->avl,
	    .unusable = from->unusable,
	};
}

static void sregs_out(struct regs *r, const struct kvm_sregs *k)
{
	const struct kvm_segment *in[SEG_COUNT] = {[SEG_ES] = &k->es, [SEG_CS] = &k->cs, [SEG_SS] = &k->ss,
						   [SEG_DS] = &k->ds, [SEG_FS] = &k->fs, [SEG_GS] = &k->gs};

	for (unsigned i = 0; i < SEG_COUNT; i++)
		kvm_seg_out(&r->seg[i], in[i]);
	kvm_seg_out(&r->tr, &k->tr);
	kvm_seg_out(&r->ldt, &k->ldt);
	r->gdt = (struct desc_table){k->gdt.base, k->gdt.limit};
	r->idt = (struct desc_table){k->idt.base, k->idt.limit};
	r->cr0 = k->cr0;
	r->cr2 = k->cr2;
	r->cr3 = k->cr3;
	r->cr4 = k->cr4;
	r->cr8 = k->cr8;
	r->efer = k->efer;
}

static void sregs_in(struct kvm_sregs *k, const struct regs *r)
{
	struct kvm_segment *out[SEG_COUNT] = {[SEG_ES] = &k->es, [SEG_CS] = &k->cs, [SEG_SS] = &k->ss,
					      [SEG_DS] = &k->ds, [SEG_FS] = &k->fs, [SEG_GS] = &k->gs};

	for (unsigned i = 0; i < SEG_COUNT; i++)
		segment_in(out[i], &r->seg[i]);
	segment_in(&k->tr, &r->tr);
	segment_in(&k->ldt, &r->ldt);
	k->gdt.base = r->gdt.base;
	k->gdt.limit = r->gdt.limit;
	k->idt.base = r->idt.base;
	k->idt.limit = r->idt.limit;
	k->cr0 = r->cr0;
	k->cr2 = r->cr2;
	k->cr3 = r->cr3;
	k->cr4 = r->cr4;
	k->cr8 = r->cr8;
	k->efer = r->efer;
}

static int get_xcr0(struct kvcpu *v, uint64_t *xcr0)
{
	struct kvm_xcrs x = {0};

	if (ioctl(v->fd, KVM_GET_XCRS, &x) < 0)
		return -errno; /* a host without XSAVE: XCR0 stays 1 */
	for (unsigned i = 0; i < x.nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (x.xcrs[i].xcr == 0)
			*xcr0 = x.xcrs[i].value;
	return 0;
}

static int set_xcr0(struct kvcpu *v, uint64_t xcr0, struct err *e)
{
	struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = xcr0}}};

	if (xcr0 == v->xcr0)
		return 0;
	if (ioctl(v->fd, KVM_SET_XCRS, &x) < 0)
		return err_errno(e, errno,
				 "set XCR0 of vCPU %u to %#llx" WHY "KVM_SET_XCRS" TRY
				 "a value with bit 0 set, of the features in CPUID 0xd",
				 v->index, (unsigned long long)xcr0);
	v->xcr0 = xcr0;
	return 0;
}

static int get_sys(struct kvcpu *v, struct regs *r, struct err *e)
{
	struct kvm_sregs k;
	struct kvm_vcpu_events ev;
	int rc = kvm_fetch_sregs(v, &k, e);

	if (rc)
		return rc;
	r->smm = v->in_smm;
	if (v->vm->host->x86_smm) {
		rc = fetch_events(v, &ev, e);
		if (rc)
			return rc;
		r->smm = ev.smi.smm;
	}
	sregs_out(r, &k);
	nested_fetch(v, &k);
	r->nested = v->nested;
	r->pdpte_valid = v->pdpte_valid;
	memcpy(r->pdpte, v->pdpte, sizeof(r->pdpte));
	/* XSETBV needs CR4.OSXSAVE; without it XCR0 is what it was, and the ioctl is saved. */
	if (k.cr4 & CR4_OSXSAVE)
		(void)get_xcr0(v, &v->xcr0);
	r->xcr0 = v->xcr0;
	return 0;
}

static int set_smm_flag(struct kvcpu *v, bool smm, struct err *e)
{
	struct kvm_vcpu_events ev;
	int rc;

	if (!v->vm->host->x86_smm)
		return smm == v->in_smm ? 0 : kvm_smm_switch(v->vm, v->index, smm, e);
	rc = fetch_events(v, &ev, e);
	if (!rc && (bool)ev.smi.smm != smm) {
		ev.smi.smm = smm;
		ev.flags |= KVM_VCPUEVENT_VALID_SMM;
		rc = store_events(v, &ev, e);
	}
	/* KVM tells it at exits only, and the next step compares with it. */
	if (!rc)
		v->run->flags = (uint16_t)((v->run->flags & ~KVM_RUN_X86_SMM) | (smm ? KVM_RUN_X86_SMM : 0));
	return rc;
}

static int sregs_refused(const struct kvcpu *v, const struct kvm_sregs *k, int errnum, struct err *e)
{
	return err_errno(e, errnum,
			 "set system registers of vCPU %u" WHY
			 "KVM refuses CR0 %#llx, CR3 %#llx, CR4 %#llx, EFER %#llx together" TRY
			 "paging with PE, long mode with PAE, and only bits that CPUID has",
			 v->index, (unsigned long long)k->cr0, (unsigned long long)k->cr3, (unsigned long long)k->cr4,
			 (unsigned long long)k->efer);
}

/* KVM_SET_SREGS loads the PDPTEs from the guest's memory, KVM_SET_SREGS2 those it is given. */
static int store_sregs(struct kvcpu *v, const struct kvm_sregs *k, const struct regs *r)
{
	struct kvm_sregs2 two = {.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID};
	bool pae = k->cr0 & CR0_PG && k->cr4 & CR4_PAE && !(k->efer & EFER_LMA);

	if (!pae || !r->pdpte_valid || !v->vm->host->pdptes)
		return ioctl(v->fd, KVM_SET_SREGS, k);
	memcpy(&two, k, offsetof(struct kvm_sregs2, flags));
	memcpy(two.pdptrs, r->pdpte, sizeof(two.pdptrs));
	return ioctl(v->fd, KVM_SET_SREGS2, &two);
}

static int set_sys(struct kvcpu *v, const struct regs *r, struct err *e)
{
	struct kvm_sregs k;
	bool was_smm = v->in_smm;
	int rc = kvm_fetch_sregs(v, &k, e);

	if (!rc)
		rc = set_smm_flag(v, r->smm, e);
	if (rc)
		return rc;
	sregs_in(&k, r);
	v->sync_fresh &= ~(uint32_t)KVM_SYNC_X86_SREGS;
	if (store_sregs(v, &k, r) < 0) {
		rc = sregs_refused(v, &k, errno, e);
		if (v->in_smm != was_smm)
			(void)!kvm_smm_switch(v->vm, v->index, was_smm, NULL);
		return rc;
	}
	vcpu_fetch_pdptes(v, &k);
	return set_xcr0(v, r->xcr0 ? r->xcr0 : v->xcr0, e);
}

/* ---- events */

static int get_events(struct kvcpu *v, struct regs *r, struct err *e)
{
	struct kvm_vcpu_events k;
	int rc = fetch_events(v, &k, e);

	if (rc)
		return rc;
	/* HLT is an exit here, there being no interrupt controller in the kernel: run.c keeps what mp_state would say. */
	r->halted = v->halted;
	r->sti_shadow = k.interrupt.shadow & KVM_X86_SHADOW_INT_STI;
	r->mov_ss_shadow = k.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
	r->nmi_masked = k.nmi.masked;
	r->exception_pending = k.exception.injected || k.exception.pending;
	r->exception_vector = r->exception_pending ? k.exception.nr : 0;
	r->exception_has_error = r->exception_pending && k.exception.has_error_code;
	r->exception_error = r->exception_has_error ? k.exception.error_code : 0;
	return 0;
}

static int set_events(struct kvcpu *v, const struct regs *r, struct err *e)
{
	struct kvm_vcpu_events k;
	int rc;

	if (!v->vm->host->vcpu_events)
		return err_set(e, -ENOTSUP, "set pending events" WHY "this host lacks KVM_CAP_VCPU_EVENTS" TRY "-b soft");
	rc = fetch_events(v, &k, e);
	if (rc)
		return rc;
	memset(&k.exception, 0, sizeof(k.exception));
	if (r->exception_pending) {
		k.exception.injected = 1;
		k.exception.nr = r->exception_vector;
		k.exception.has_error_code = r->exception_has_error;
		k.exception.error_code = r->exception_error;
	}
	k.exception_has_payload = 0;
	k.interrupt.shadow =
	    (uint8_t)((r->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) | (r->mov_ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0));
	k.nmi.masked = r->nmi_masked;
	k.flags |= KVM_VCPUEVENT_VALID_SHADOW;
	rc = store_events(v, &k, e);
	if (!rc)
		v->halted = r->halted;
	return rc;
}

/* ---- the operations */

struct part_ops {
	uint32_t part;
	int (*get)(struct kvcpu *v, struct regs *r, struct err *e);
	int (*set)(struct kvcpu *v, const struct regs *r, struct err *e);
};

/* In the order in which stores are made: what KVM may refuse first, events after the general registers. */
static const struct part_ops parts_table[] = {
    {REGS_SYS, get_sys, set_sys},	  {REGS_DEBUG, kvm_get_debug, kvm_set_debug},
    {REGS_MSR, kvm_get_msr, kvm_set_msr}, {REGS_FPU, kvm_get_fpu, kvm_set_fpu},
    {REGS_GPR, get_gpr, set_gpr},	  {REGS_EVENTS, get_events, set_events},
};

int kvm_get_regs(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e)
{
	struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];
	struct regs r = *out;

	for (unsigned i = 0; i < ARRAY_LEN(parts_table); i++) {
		int rc = parts & parts_table[i].part ? parts_table[i].get(v, &r, e) : 0;

		if (rc)
			return rc;
	}
	r.valid |= parts & REGS_ALL;
	r.old = 0;
	*out = r;
	return 0;
}

int kvm_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e)
{
	struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];

	for (unsigned i = 0; i < ARRAY_LEN(parts_table); i++) {
		int rc = parts & parts_table[i].part ? parts_table[i].set(v, in, e) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

static int reset_events(struct kvcpu *v, struct err *e)
{
	const struct kvm_host *h = v->vm->host;
	struct kvm_vcpu_events k = {.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW};
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_RUNNABLE};

	if (h->x86_smm)
		k.flags |= KVM_VCPUEVENT_VALID_SMM;
	if (ioctl(v->fd, KVM_SET_MP_STATE, &mp) < 0 && errno != EINVAL)
		return kvm_vcpu_error(v, "reset the run state", "KVM_SET_MP_STATE", e);
	v->halted = false;
	kvm_smm_reset(v);
	return h->vcpu_events ? store_events(v, &k, e) : 0;
}

int kvm_reset_regs(struct kvcpu *v, struct err *e)
{
	uint32_t parts = REGS_ALL & ~(uint32_t)REGS_EVENTS;
	struct regs r;
	int rc = reset_events(v, e);

	regs_reset(&r, v->index == 0);
	/* What a fresh vCPU has and reset does not touch, or what the host may not let be set. */
	r.msr.misc_enable = 0;
	if (!v->vm->host->debugregs)
		parts &= ~(uint32_t)REGS_DEBUG;
	return rc ? rc : kvm_set_regs(&v->vm->m, v->index, parts, &r, e);
}

static int inject_nmi(struct kvcpu *v, struct err *e)
{
	struct kvm_vcpu_events k;
	int rc = fetch_events(v, &k, e);

	if (rc)
		return rc;
	k.nmi.pending = 1;
	k.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	return store_events(v, &k, e);
}

int kvm_inject(struct machine *m, unsigned vcpu, const struct guest_fault *f, struct err *e)
{
	struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];
	struct regs r = {0};
	int rc;

	if (f->vector > 31)
		return err_set(e, -EINVAL, "inject an exception" WHY "vector %u is an interrupt's" TRY "a vector below 32",
			       f->vector);
	if (f->vector == NMI_VECTOR)
		return inject_nmi(v, e);
	rc = kvm_get_regs(m, vcpu, REGS_EVENTS | (f->vector == PF_VECTOR ? REGS_SYS : 0), &r, e);
	if (rc)
		return rc;
	if (r.exception_pending)
		return err_set(e, -EBUSY,
			       "inject exception %u" WHY "exception %u waits for delivery already" TRY "si, then again",
			       f->vector, r.exception_vector);
	/* KVM delivers what is injected as it is: CR2 is ours to load. */
	r.cr2 = f->address;
	rc = f->vector == PF_VECTOR ? set_sys(v, &r, e) : 0;
	if (rc)
		return rc;
	r.exception_pending = true;
	r.exception_vector = f->vector;
	r.exception_has_error = f->has_error;
	r.exception_error = f->error_code;
	return set_events(v, &r, e);
}
