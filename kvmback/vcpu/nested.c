/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Nested state of a vCPU. For SVM it is a VMCB: controls as L1 has set them, and, in the save area, not L2's state but L1's,
 * as it was at VMRUN (AMD APM vol. 2, appendix B). For VMX it is KVM's own form of L1's VMCS, whose offsets are part of
 * KVM's interface.
 */
#include "kvmback/vcpu/nested.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvmback/vcpu/regs_impl.h"
#include "kvmback/vcpu/vcpu.h"

#define CPUID_ECX_VMX (1u << 5)
#define CPUID_EXT_ECX_SVM (1u << 2)
#define MSR_VM_HSAVE_PA 0xc0010117u
#define GIF_SET 0x100u /* KVM_STATE_NESTED_GIF_SET */
#define STATE_MAX (sizeof(struct kvm_nested_state) + 2 * 4096u)

/* In a VMCB. */
enum {
	VMCB_NESTED_CTL = 0x90,
	VMCB_NESTED_CR3 = 0xb0,
	VMCB_SAVE = 0x400,
	VMCB_GDTR = VMCB_SAVE + 0x60, /* selector, attributes, limit of 32 bits at 4, base at 8 */
	VMCB_IDTR = VMCB_SAVE + 0x80,
	VMCB_EFER = VMCB_SAVE + 0xd0,
	VMCB_CR4 = VMCB_SAVE + 0x148,
	VMCB_CR3 = VMCB_SAVE + 0x150,
	VMCB_CR0 = VMCB_SAVE + 0x158,
	VMCB_RFLAGS = VMCB_SAVE + 0x170,
	VMCB_RIP = VMCB_SAVE + 0x178,
};
/* In KVM's struct vmcs12. */
enum {
	VMCS12_EPTP = 120,
	VMCS12_HOST_CR0 = 584,
	VMCS12_HOST_CR3 = 592,
	VMCS12_HOST_CR4 = 600,
	VMCS12_HOST_RIP = 672,
	VMCS12_SECONDARY = 804,
};
#define SECONDARY_EPT (1u << 1)

union state {
	struct kvm_nested_state s;
	uint8_t raw[STATE_MAX];
};

/* What a checkpoint has. */
struct saved {
	bool has_hsave;
	uint64_t hsave;
	union state state;
};

static uint64_t get64(const uint8_t *at, unsigned offset)
{
	uint64_t x;

	memcpy(&x, at + offset, sizeof(x));
	return x;
}

static bool has_bit(const struct kvm_host *h, uint32_t function, uint32_t bit)
{
	for (unsigned i = 0; i < h->cpuid->nent; i++)
		if (h->cpuid->entries[i].function == function)
			return h->cpuid->entries[i].ecx & bit;
	return false;
}

static bool has_svm(const struct kvm_host *h)
{
	return has_bit(h, 0x80000001u, CPUID_EXT_ECX_SVM);
}

const char *nested_svm_why(const struct kvm_host *h)
{
	if (has_svm(h))
		return NULL;
	if (has_bit(h, 1, CPUID_ECX_VMX))
		return "KVM offers its guests VMX here (CPUID 1), not SVM";
	return "KVM offers its guests none (no SVM in CPUID 0x80000001): kvm_amd with nested=1 does";
}

bool nested_possible(const struct kvm_host *h)
{
	return h->nested_state && (has_svm(h) || has_bit(h, 1, CPUID_ECX_VMX));
}

/* ---- what it is */

static bool get_state(const struct kvcpu *v, union state *s)
{
	memset(&s->s, 0, sizeof(s->s));
	s->s.size = sizeof(*s);
	return ioctl(v->fd, KVM_GET_NESTED_STATE, s) == 0;
}

static void decode_svm(const union state *s, struct nested_guest *g)
{
	const uint8_t *vmcb = s->s.data.svm[0].vmcb12;

	*g = (struct nested_guest){.in = true,
				   .kind = NESTED_SVM,
				   .control = s->s.hdr.svm.vmcb_pa,
				   .paging = vmcb[VMCB_NESTED_CTL] & 1,
				   .root = get64(vmcb, VMCB_NESTED_CR3),
				   .l1_known = true,
				   .l1_rip = get64(vmcb, VMCB_RIP),
				   .l1_cr0 = get64(vmcb, VMCB_CR0),
				   .l1_cr3 = get64(vmcb, VMCB_CR3),
				   .l1_cr4 = get64(vmcb, VMCB_CR4),
				   .l1_efer = get64(vmcb, VMCB_EFER)};
}

static void decode_vmx(const union state *s, struct nested_guest *g)
{
	const uint8_t *vmcs = s->s.data.vmx[0].vmcs12;
	uint64_t eptp = get64(vmcs, VMCS12_EPTP);

	*g = (struct nested_guest){.in = true,
				   .kind = NESTED_VMX,
				   .control = s->s.hdr.vmx.vmcs12_pa,
				   .paging = get64(vmcs, VMCS12_SECONDARY) & SECONDARY_EPT,
				   .root = eptp & ~(uint64_t)PAGE_OFFSET_MASK,
				   .levels = (unsigned)(eptp >> 3 & 7) + 1,
				   .l1_known = true,
				   .l1_rip = get64(vmcs, VMCS12_HOST_RIP),
				   .l1_cr0 = get64(vmcs, VMCS12_HOST_CR0),
				   .l1_cr3 = get64(vmcs, VMCS12_HOST_CR3),
				   .l1_cr4 = get64(vmcs, VMCS12_HOST_CR4)};
}

void nested_fetch(struct kvcpu *v, const struct kvm_sregs *s)
{
	union state state;

	v->nested = (struct nested_guest){0};
	if (!v->vm->host->nested_state || !(s->efer & EFER_SVME || s->cr4 & CR4_VMXE) || !get_state(v, &state) ||
	    !(state.s.flags & KVM_STATE_NESTED_GUEST_MODE))
		return;
	if (state.s.format == KVM_STATE_NESTED_FORMAT_SVM)
		decode_svm(&state, &v->nested);
	else if (state.s.format == KVM_STATE_NESTED_FORMAT_VMX)
		decode_vmx(&state, &v->nested);
}

/* ---- what L1 comes back with */

static void put_table(uint8_t *vmcb, unsigned offset, const struct kvm_dtable *t)
{
	uint32_t limit = t->limit;
	uint64_t base = t->base;

	memcpy(vmcb + offset + 4, &limit, sizeof(limit));
	memcpy(vmcb + offset + 8, &base, sizeof(base));
}

bool nested_put_l1(struct kvcpu *v, const struct nested_l1 *l1)
{
	union state state;
	uint8_t *vmcb = state.s.data.svm[0].vmcb12;

	/* VMX has no such state: what L1 comes back with stands in its VMCS. */
	if (!v->nested.in || v->nested.kind != NESTED_SVM)
		return true;
	if (!get_state(v, &state))
		return false;
	if (l1->idt)
		put_table(vmcb, VMCB_IDTR, l1->idt);
	if (l1->gdt)
		put_table(vmcb, VMCB_GDTR, l1->gdt);
	if (l1->clear_tf)
		vmcb[VMCB_RFLAGS + 1] &= (uint8_t) ~(RFLAGS_TF >> 8);
	return ioctl(v->fd, KVM_SET_NESTED_STATE, &state) == 0;
}

/* ---- checkpoints */

int kvm_nested_take(struct machine *m, unsigned vcpu, void **out, size_t *len, struct err *e)
{
	const struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];
	struct saved *s;

	*out = NULL;
	*len = 0;
	if (!nested_possible(v->vm->host))
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_nomem(e, "checkpoint");
	if (!get_state(v, &s->state)) {
		int rc = kvm_vcpu_error(v, "checkpoint", "KVM_GET_NESTED_STATE", e);

		free(s);
		return rc;
	}
	s->has_hsave = has_svm(v->vm->host) && vcpu_read_msr(v, MSR_VM_HSAVE_PA, &s->hsave);
	*out = s;
	*len = sizeof(*s);
	return 0;
}

/* EFER without SVME, or CR4 without VMXE, would take it out as well, but not all that is set before those is L1's then. */
int kvm_nested_leave(struct machine *m, unsigned vcpu, struct err *e)
{
	struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];
	union state s;

	if (!nested_possible(v->vm->host) || !get_state(v, &s) || !(s.s.flags & KVM_STATE_NESTED_GUEST_MODE))
		return 0;
	if (s.s.format == KVM_STATE_NESTED_FORMAT_SVM)
		s.s.flags = GIF_SET;
	else
		s.s.flags = 0, s.s.hdr.vmx.vmcs12_pa = ~0ull;
	s.s.size = sizeof(s.s);
	v->sync_fresh = 0;
	v->nested = (struct nested_guest){0};
	return ioctl(v->fd, KVM_SET_NESTED_STATE, &s) < 0
		   ? kvm_vcpu_error(v, "leave the nested guest", "KVM_SET_NESTED_STATE", e)
		   : 0;
}

int kvm_nested_put(struct machine *m, unsigned vcpu, const void *saved, size_t len, struct err *e)
{
	struct kvcpu *v = &kvm_of(m)->vcpu[vcpu];
	const struct saved *s = saved;
	struct kvm_sregs k;
	int rc;

	if (len != sizeof(*s))
		return 0;
	if (s->has_hsave && !vcpu_write_msr(v, MSR_VM_HSAVE_PA, s->hsave))
		return err_set(e, -EINVAL, "restore a checkpoint" WHY "KVM refuses %#llx for VM_HSAVE_PA" TRY "load",
			       (unsigned long long)s->hsave);
	if (ioctl(v->fd, KVM_SET_NESTED_STATE, &s->state) < 0)
		return kvm_vcpu_error(v, "restore the nested guest", "KVM_SET_NESTED_STATE", e);
	v->sync_fresh = 0;
	rc = kvm_fetch_sregs(v, &k, e);
	if (!rc)
		nested_fetch(v, &k);
	return rc;
}
