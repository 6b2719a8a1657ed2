/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The registers that a debugger asks for less often: debug registers, MSRs, FPU with SSE and PKRU. Always by ioctl.
 */
#include "kvmback/vcpu/regs_impl.h"
#include "kvmback/vcpu/vcpu.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

/* ---- debug registers */

int kvm_get_debug(struct kvcpu *v, struct regs *r, struct err *e)
{
	struct kvm_debugregs k;

	if (!v->vm->host->debugregs)
		return 0;
	if (ioctl(v->fd, KVM_GET_DEBUGREGS, &k) < 0)
		return kvm_vcpu_error(v, "read debug registers", "KVM_GET_DEBUGREGS", e);
	for (unsigned i = 0; i < 4; i++)
		r->dr[i] = k.db[i];
	r->dr[4] = r->dr[5] = 0;
	r->dr[6] = k.dr6;
	r->dr[7] = k.dr7;
	return 0;
}

int kvm_set_debug(struct kvcpu *v, const struct regs *r, struct err *e)
{
	struct kvm_debugregs k = {.db = {r->dr[0], r->dr[1], r->dr[2], r->dr[3]}, .dr6 = r->dr[6], .dr7 = r->dr[7]};

	if (!v->vm->host->debugregs)
		return err_set(e, -ENOTSUP, "set debug registers" WHY "this host lacks KVM_CAP_DEBUGREGS" TRY "-b soft");
	if (ioctl(v->fd, KVM_SET_DEBUGREGS, &k) < 0)
		return err_errno(e, errno,
				 "set debug registers of vCPU %u" WHY "DR6 %#llx, DR7 %#llx" TRY "values of 32 bits",
				 v->index, (unsigned long long)r->dr[6], (unsigned long long)r->dr[7]);
	return 0;
}

/* ---- MSRs */

static const struct {
	uint32_t index;
	uint16_t offset;
	const char *name;
} msr_map[] = {
#define M(i, f)                                                                                                             \
	{                                                                                                                   \
		i, offsetof(struct msr_regs, f), #f                                                                         \
	}
    M(0xc0000081, star),    M(0xc0000082, lstar),	   M(0xc0000083, cstar),
    M(0xc0000084, sfmask),  M(0xc0000102, kernel_gs_base), M(0x174, sysenter_cs),
    M(0x175, sysenter_esp), M(0x176, sysenter_eip),	   M(0x10, tsc),
    M(0x277, pat),	    M(0x1a0, misc_enable),	   M(0xc0000103, tsc_aux),
#undef M
};

/* As struct kvm_msrs, with its array's length known. */
struct msr_block {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry[ARRAY_LEN(msr_map)];
};

static bool host_has_msr(const struct kvm_host *h, uint32_t index)
{
	for (unsigned i = 0; i < h->n_msrs; i++)
		if (h->msrs[i] == index)
			return true;
	return false;
}

static uint64_t *msr_field(struct msr_regs *m, unsigned i)
{
	return (uint64_t *)(void *)((char *)m + msr_map[i].offset);
}

/* As struct kvm_msrs with one entry. */
struct one_msr {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry;
};

bool vcpu_read_msr(const struct kvcpu *v, uint32_t index, uint64_t *value)
{
	struct one_msr m = {.nmsrs = 1, .entry = {.index = index}};

	if (ioctl(v->fd, KVM_GET_MSRS, &m) != 1)
		return false;
	*value = m.entry.data;
	return true;
}

bool vcpu_write_msr(const struct kvcpu *v, uint32_t index, uint64_t value)
{
	struct one_msr m = {.nmsrs = 1, .entry = {.index = index, .data = value}};

	return ioctl(v->fd, KVM_SET_MSRS, &m) == 1;
}

int kvm_get_msr(struct kvcpu *v, struct regs *r, struct err *e)
{
	struct msr_block b = {0};
	unsigned which[ARRAY_LEN(msr_map)];
	struct kvm_sregs k;
	int n = 0, got, rc = kvm_fetch_sregs(v, &k, e);

	if (rc)
		return rc;
	for (unsigned i = 0; i < ARRAY_LEN(msr_map); i++)
		if (host_has_msr(v->vm->host, msr_map[i].index)) {
			which[n] = i;
			b.entry[n++].index = msr_map[i].index;
		}
	memset(&r->msr, 0, sizeof(r->msr));
	r->msr.apic_base = k.apic_base;
	/* KVM_GET_MSRS stops at the first that it refuses (TSC_AUX without RDTSCP): skip that one and go on. */
	for (int done = 0; done < n; done += got + 1) {
		struct msr_block part = {.nmsrs = (uint32_t)(n - done)};

		memcpy(part.entry, b.entry + done, (size_t)(n - done) * sizeof(part.entry[0]));
		got = ioctl(v->fd, KVM_GET_MSRS, &part);
		if (got < 0)
			return kvm_vcpu_error(v, "read MSRs", "KVM_GET_MSRS", e);
		for (int i = 0; i < got; i++)
			*msr_field(&r->msr, which[done + i]) = part.entry[i].data;
	}
	return 0;
}

static int set_one_msr(struct kvcpu *v, unsigned i, uint64_t value, struct err *e)
{
	struct msr_block b = {.nmsrs = 1, .entry = {{.index = msr_map[i].index, .data = value}}};

	if (ioctl(v->fd, KVM_SET_MSRS, &b) == 1)
		return 0;
	return err_set(e, -EINVAL,
		       "set %s of vCPU %u" WHY "KVM refuses %#llx for MSR %#x" TRY "a value that the register can hold",
		       msr_map[i].name, v->index, (unsigned long long)value, msr_map[i].index);
}

static int set_apic_base(struct kvcpu *v, uint64_t value, struct err *e)
{
	struct kvm_sregs k;
	int rc = kvm_fetch_sregs(v, &k, e);

	if (rc || k.apic_base == value || !value)
		return rc;
	k.apic_base = value;
	v->sync_fresh &= ~(uint32_t)KVM_SYNC_X86_SREGS;
	if (ioctl(v->fd, KVM_SET_SREGS, &k) < 0)
		return err_errno(e, errno, "set apic_base of vCPU %u" WHY "KVM refuses %#llx" TRY "0xfee00900", v->index,
				 (unsigned long long)value);
	return 0;
}

/* Every MSR that differs is tried; the first that was refused is the error. The TSC always differs, having run on; KVM takes
 * a value within a second of what it has as the same. */
int kvm_set_msr(struct kvcpu *v, const struct regs *r, struct err *e)
{
	struct regs now = {0};
	struct msr_regs want = r->msr;
	int first, rc = kvm_get_msr(v, &now, e);

	if (rc)
		return rc;
	first = set_apic_base(v, want.apic_base, e);
	for (unsigned i = 0; i < ARRAY_LEN(msr_map); i++) {
		uint64_t value = *msr_field(&want, i);

		if (value == *msr_field(&now.msr, i))
			continue;
		rc = set_one_msr(v, i, value, first ? NULL : e);
		first = first ? first : rc;
	}
	return first;
}

/* ---- FPU and SSE: the legacy region of the XSAVE area, so that XSTATE_BV says what is in it */

/* Offsets of the FXSAVE image (SDM vol. 1, 10.5.1), the same to fetch and to store. */
static const struct {
	uint16_t at, field, len;
} fx_map[] = {
#define F(a, f)                                                                                                             \
	{                                                                                                                   \
		a, offsetof(struct fpu_regs, f), sizeof(((struct fpu_regs *)0)->f)                                          \
	}
    F(0, fcw), F(2, fsw), F(4, ftw), F(6, fop), F(8, fip), F(16, fdp), F(24, mxcsr), F(32, st), F(160, xmm),
#undef F
};
#define XSTATE_BV_OFFSET 512
#define XSTATE_FP_SSE 3ull
#define XSTATE_PKRU_BIT 9u

static bool bv_has(const uint8_t *x, unsigned bit)
{
	return x[XSTATE_BV_OFFSET + bit / 8] >> bit % 8 & 1;
}

/* Where PKRU stands in the area: CPUID 0xd, subleaf 9. NULL if the vCPU has none. */
static uint8_t *pkru_at(const struct kvm_host *h, uint8_t *x)
{
	for (unsigned i = 0; i < h->cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *c = &h->cpuid->entries[i];

		if (c->function == 0xd && c->index == XSTATE_PKRU_BIT && c->eax >= 4 && c->ebx + 4ull <= h->xsave_size)
			return x + c->ebx;
	}
	return NULL;
}

static int get_xsave(struct kvcpu *v, uint8_t **out, struct err *e)
{
	size_t size = v->vm->host->xsave_size;
	uint8_t *x = calloc(1, size);

	if (!x)
		return err_nomem(e, "read FPU registers");
	if (ioctl(v->fd, size > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, x) < 0) {
		int rc = kvm_vcpu_error(v, "read FPU registers", "KVM_GET_XSAVE", e);

		free(x);
		return rc;
	}
	*out = x;
	return 0;
}

static int get_fpu_plain(struct kvcpu *v, struct fpu_regs *f, struct err *e)
{
	struct kvm_fpu k;

	if (ioctl(v->fd, KVM_GET_FPU, &k) < 0)
		return kvm_vcpu_error(v, "read FPU registers", "KVM_GET_FPU", e);
	*f = (struct fpu_regs){.fcw = k.fcw,
			       .fsw = k.fsw,
			       .fop = k.last_opcode,
			       .ftw = k.ftwx,
			       .fip = k.last_ip,
			       .fdp = k.last_dp,
			       .mxcsr = k.mxcsr};
	memcpy(f->st, k.fpr, sizeof(f->st));
	memcpy(f->xmm, k.xmm, sizeof(f->xmm));
	return 0;
}

int kvm_get_fpu(struct kvcpu *v, struct regs *r, struct err *e)
{
	_cleanup_free_ uint8_t *x = NULL;
	const uint8_t *pkru;
	int rc;

	r->pkru = 0;
	if (!v->vm->host->xsave)
		return get_fpu_plain(v, &r->fpu, e);
	rc = get_xsave(v, &x, e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < ARRAY_LEN(fx_map); i++)
		memcpy((char *)&r->fpu + fx_map[i].field, x + fx_map[i].at, fx_map[i].len);
	pkru = pkru_at(v->vm->host, x);
	if (pkru && bv_has(x, XSTATE_PKRU_BIT))
		memcpy(&r->pkru, pkru, sizeof(r->pkru));
	return 0;
}

static int set_fpu_plain(struct kvcpu *v, const struct fpu_regs *f, struct err *e)
{
	struct kvm_fpu k = {.fcw = f->fcw,
			    .fsw = f->fsw,
			    .last_opcode = f->fop,
			    .ftwx = f->ftw,
			    .last_ip = f->fip,
			    .last_dp = f->fdp,
			    .mxcsr = f->mxcsr};

	memcpy(k.fpr, f->st, sizeof(f->st));
	memcpy(k.xmm, f->xmm, sizeof(f->xmm));
	if (ioctl(v->fd, KVM_SET_FPU, &k) < 0)
		return kvm_vcpu_error(v, "set FPU registers", "KVM_SET_FPU", e);
	return 0;
}

static void store_pkru(const struct kvm_host *h, uint8_t *x, uint32_t value)
{
	uint8_t *pkru = pkru_at(h, x);

	if (!pkru)
		return;
	memcpy(pkru, &value, sizeof(value));
	x[XSTATE_BV_OFFSET + XSTATE_PKRU_BIT / 8] |= 1 << XSTATE_PKRU_BIT % 8;
}

int kvm_set_fpu(struct kvcpu *v, const struct regs *r, struct err *e)
{
	_cleanup_free_ uint8_t *x = NULL;
	int rc;

	if (!v->vm->host->xsave)
		return set_fpu_plain(v, &r->fpu, e);
	rc = get_xsave(v, &x, e);
	if (rc)
		return rc;
	for (unsigned i = 0; i < ARRAY_LEN(fx_map); i++)
		memcpy(x + fx_map[i].at, (const char *)&r->fpu + fx_map[i].field, fx_map[i].len);
	x[XSTATE_BV_OFFSET] |= XSTATE_FP_SSE;
	store_pkru(v->vm->host, x, r->pkru);
	if (ioctl(v->fd, KVM_SET_XSAVE, x) < 0)
		return err_errno(e, errno,
				 "set FPU registers of vCPU %u" WHY "KVM_SET_XSAVE, MXCSR %#x" TRY
				 "an MXCSR without reserved bits",
				 v->index, r->fpu.mxcsr);
	return 0;
}
