/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a single step must know of the instruction that it steps, and do about it: the few kinds that are not simply run.
 * Opcodes: Intel SDM vol. 2. A string instruction with REP is run with a count of one; iret, sysret, syscall and loads of
 * SS, after which no trap comes, are run to an int3 and a debug register at their target.
 */
#include "kvmback/step/insn.h"

#include "kvmback/vcpu/bytes.h"

#include <string.h>

#define MSR_LSTAR 0xc0000082u
#define MSR_SYSENTER_EIP 0x176u

/* ---- decoding */

static bool is_prefix(uint8_t b)
{
	return b == 0xf3 || b == 0xf2 || b == 0x66 || b == 0x67 || b == 0xf0 || b == 0x26 || b == 0x2e || b == 0x36 ||
	       b == 0x3e || b == 0x64 || b == 0x65;
}

void insn_decode(struct kvcpu *v, struct step *s)
{
	unsigned i = 0;

	s->from = vcpu_regs(v)->rip;
	s->sp = vcpu_regs(v)->rsp;
	s->cpl = vcpu_cpl(v);
	s->bits = vcpu_bits(v);
	s->n = (unsigned)gmem_read(v, vcpu_linear_rip(v), s->code, sizeof(s->code));
	s->kind = disas_kind(s->bits, s->code, s->n);
	for (; i < s->n && is_prefix(s->code[i]); i++) {
		uint8_t b = s->code[i];

		s->rep |= b == 0xf3;
		s->repne |= b == 0xf2;
		s->opsize |= b == 0x66;
		s->addrsize |= b == 0x67;
	}
	if (s->bits == 64 && i < s->n && (s->code[i] & 0xf0) == 0x40)
		i++;
	s->op = s->code + i;
}

unsigned insn_count_prefixes(struct kvcpu *v, uint64_t linear)
{
	uint8_t code[15];
	size_t n = gmem_read(v, linear, code, sizeof(code));
	unsigned i = 0;

	while (i < n && is_prefix(code[i]))
		i++;
	return i + (vcpu_bits(v) == 64 && i < n && (code[i] & 0xf0) == 0x40);
}

bool insn_meets_int3(struct kvcpu *v)
{
	uint64_t at = vcpu_linear_rip(v);
	uint8_t code[15];
	size_t n = bytes_any(v->vm->rs) ? gmem_read(v, at, code, sizeof(code)) : 0;

	for (size_t i = 0; i < n; i++)
		if (code[i] == INT3 && plant_int3_at(v, at + i))
			return true;
	return false;
}

static unsigned op_left(const struct step *s)
{
	return s->n - (unsigned)(s->op - s->code);
}

bool insn_touches_idtr(const struct step *s)
{
	return op_left(s) >= 3 && s->op[0] == 0x0f && s->op[1] == 0x01 && s->op[2] < 0xc0 &&
	       ((s->op[2] >> 3 & 7) == 1 || (s->op[2] >> 3 & 7) == 3);
}

bool insn_moves_dr(const struct step *s)
{
	return op_left(s) >= 3 && s->op[0] == 0x0f && (s->op[1] == 0x21 || s->op[1] == 0x23);
}

int insn_software_vector(struct kvcpu *v, const struct step *s)
{
	if (s->kind != INSN_INT || !op_left(s))
		return -1;
	switch (s->op[0]) {
	case 0xcc:
		return 3;
	case 0xcd:
		return op_left(s) > 1 ? s->op[1] : -1;
	case 0xce:
		return vcpu_regs(v)->rflags & RFLAGS_OF ? 4 : -1;
	default:
		return 1;
	}
}

static unsigned stack_width(const struct step *s)
{
	if (s->bits == 64)
		return s->opsize ? 2 : 8;
	return (s->bits == 32) != s->opsize ? 4 : 2;
}

static uint64_t stack_linear(struct kvcpu *v, uint64_t offset)
{
	const struct kvm_segment *ss = &vcpu_sregs(v)->ss;
	uint64_t rsp = vcpu_regs(v)->rsp + offset;

	if (vcpu_bits(v) == 64)
		return rsp;
	return (uint32_t)(ss->base + (ss->db ? (uint32_t)rsp : (uint16_t)rsp));
}

/* ---- REP: one iteration */

static uint64_t count_mask(const struct step *s)
{
	if (s->bits == 64)
		return s->addrsize ? 0xffffffff : ~0ull;
	return (s->bits == 32) != s->addrsize ? 0xffffffff : 0xffff;
}

void insn_rep_begin(struct kvcpu *v, const struct step *s)
{
	struct step_own *own = &v->control->own;
	struct kvm_regs *r = vcpu_regs(v);
	bool compares = (s->op[0] & 0xf6) == 0xa6; /* CMPS, SCAS */

	own->rep = REP_NONE;
	if (s->kind != INSN_REP)
		return;
	own->rep_mask = count_mask(s);
	own->rep_count = r->rcx & own->rep_mask;
	own->rep_rip = s->from;
	own->rep_next = s->from + (uint64_t)(s->op - s->code) + 1;
	if (!own->rep_count)
		return;
	own->rep = !compares ? REP_COUNT : s->repne ? REP_UNTIL_ZF : REP_WHILE_ZF;
	r->rcx = (r->rcx & ~own->rep_mask) | 1;
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

void insn_rep_end(struct kvcpu *v, bool executed)
{
	struct step_own *own = &v->control->own;
	struct kvm_regs *r = vcpu_regs(v);
	bool zf = r->rflags & RFLAGS_ZF, over = own->rep == REP_WHILE_ZF ? !zf : own->rep == REP_UNTIL_ZF && zf;

	if (own->rep == REP_NONE)
		return;
	own->rep = REP_NONE;
	r->rcx = (r->rcx & ~own->rep_mask) | (own->rep_count - executed);
	/* An emulator that is done with the last iteration may say so with rip still on it. */
	if (executed) {
		r->rip = own->rep_count > 1 && !over ? own->rep_rip : own->rep_next;
		r->rflags &= ~RFLAGS_RF;
	}
	vcpu_dirty(v, KVM_SYNC_X86_REGS);
}

/* ---- targets of iret and syscall */

static bool wide(const struct step *s)
{
	return s->bits == 64 && s->op > s->code && (s->op[-1] & 0xf8) == 0x48;
}

static bool iret_target(struct kvcpu *v, const struct step *s, uint64_t *linear)
{
	unsigned width = wide(s) ? 8 : s->bits == 64 ? (s->opsize ? 2 : 4) : stack_width(s);
	uint64_t ip = 0, cs = 0;
	struct kvm_segment seg;

	if (gmem_read(v, stack_linear(v, 0), &ip, width) != width || gmem_read(v, stack_linear(v, width), &cs, 2) != 2 ||
	    !trap_segment(v, (uint16_t)cs, &seg))
		return false;
	*linear = seg.l ? ip : (uint32_t)(seg.base + ip);
	return true;
}

/* ModRM with what belongs to it. */
static unsigned modrm_len(const struct step *s)
{
	uint8_t mod = s->op[1] >> 6, rm = s->op[1] & 7;
	bool sib = rm == 4, addr16 = s->bits != 64 && (s->bits == 16) != s->addrsize;

	if (mod == 3)
		return 1;
	if (addr16)
		return mod == 1 ? 2 : mod == 2 || rm == 6 ? 3 : 1;
	bool far = mod == 2 || (!mod && (rm == 5 || (sib && (s->op[2] & 7) == 5)));
	return 1 + sib + (mod == 1 ? 1 : far ? 4 : 0);
}

uint64_t insn_behind_ss(const struct step *s)
{
	return s->from + (uint64_t)(s->op - s->code) + 1 + (s->op[0] == 0x8e ? modrm_len(s) : 0);
}

bool insn_load_ss(struct kvcpu *v, const struct step *s)
{
	struct kvm_regs *r = vcpu_regs(v);
	struct kvm_segment *ss = &vcpu_sregs(v)->ss;
	uint64_t gpr[16], rip;
	uint16_t selector = 0;
	bool pops = s->op[0] == 0x17;

	if (vcpu_sregs(v)->cr0 & CR0_PE || (!pops && s->op[1] < 0xc0))
		return false;
	vcpu_gprs(v, gpr, &rip);
	if (pops && gmem_read(v, stack_linear(v, 0), &selector, 2) != 2)
		return false;
	if (pops)
		r->rsp = (r->rsp & ~0xffffull) | ((r->rsp + (s->opsize ? 4 : 2)) & 0xffff);
	else
		selector = (uint16_t)gpr[s->op[1] & 7];
	ss->selector = selector;
	ss->base = selector * 16u;
	r->rip = insn_behind_ss(s) & 0xffff;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
	return true;
}

static bool find_target(struct kvcpu *v, const struct step *s, uint64_t *linear)
{
	const struct kvm_regs *r = vcpu_regs(v);

	if (s->kind == INSN_MOV_SS) {
		*linear = vcpu_linear(v, &vcpu_sregs(v)->cs, insn_behind_ss(s));
		return true;
	}

	if (s->op[0] == 0xcf)
		return iret_target(v, s, linear);
	if (s->op[0] != 0x0f || op_left(s) < 2)
		return false;
	switch (s->op[1]) {
	case 0x05:
		return vcpu_read_msr(v, MSR_LSTAR, linear);
	case 0x34:
		return vcpu_read_msr(v, MSR_SYSENTER_EIP, linear);
	case 0x07:
		*linear = wide(s) ? r->rcx : (uint32_t)r->rcx;
		return true;
	default:
		*linear = wide(s) ? r->rdx : (uint32_t)r->rdx;
		return true;
	}
}

/* An int3 and a debug register there: which of them hits is up to the CPL at the target. */
bool insn_target_arm(struct kvcpu *v, struct step *s)
{
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP};
	uint64_t gpa;
	uint8_t rights;

	if (!(vcpu_sregs(v)->cr0 & CR0_PE) || !find_target(v, s, &s->target))
		return false;
	s->aimed = true;
	d.arch.debugreg[0] = s->target;
	d.arch.debugreg[7] = 0x602;
	s->int3 = gmem_translate(v, s->target, &gpa, &rights) ? gmem_byte(v, gpa, true) : NULL;
	if (s->int3) {
		s->under = *s->int3;
		*(volatile uint8_t *)s->int3 = 0xcc;
	}
	return vcpu_debug(v, &d);
}

void insn_target_disarm(struct step *s)
{
	if (s->int3 && *(volatile uint8_t *)s->int3 == 0xcc)
		*s->int3 = s->under;
	s->int3 = NULL;
}

/* ---- pushf, popf, iret */

void insn_note_popf(struct kvcpu *v, struct step *s)
{
	uint8_t flags[2] = {0};
	unsigned width = wide(s) ? 8 : s->bits == 64 ? (s->opsize ? 2 : 4) : stack_width(s);
	uint64_t above = s->kind == INSN_IRET && s->op[0] == 0xcf ? 2 * width : 0;

	if ((s->kind == INSN_POPF || above) && gmem_read(v, stack_linear(v, above), flags, 2) == 2)
		s->popped_tf = flags[1] & 1;
}

void insn_fix_pushf(struct kvcpu *v, const struct step *s)
{
	bool tf_guest = v->control->own.tf == TF_GUEST || v->control->own.tf == TF_OURS_AND_GUEST;
	uint64_t at = stack_linear(v, 1);
	uint8_t flags;

	if (s->kind != INSN_PUSHF || gmem_read(v, at, &flags, 1) != 1 || (flags & 1) == tf_guest)
		return;
	flags ^= 1;
	(void)gmem_write(v, at, &flags, 1);
}

static bool jumps_to_itself(const struct step *s)
{
	const uint8_t *op = s->op;
	int prefixes = (int)(op - s->code), size = s->bits != 64 && (s->bits == 16) != s->opsize ? 2 : 4;
	bool far_cond = op[0] == 0x0f && (op[1] & 0xf0) == 0x80;
	int16_t by16;
	int32_t by32;

	if ((op[0] & 0xf0) == 0x70 || (op[0] & 0xfc) == 0xe0 || op[0] == 0xeb)
		return prefixes + 2 + (int8_t)op[1] == 0;
	if ((op[0] != 0xe9 && !far_cond) || prefixes + 2 + size > (int)sizeof(s->code))
		return false;
	memcpy(&by16, op + 1 + far_cond, sizeof(by16));
	memcpy(&by32, op + 1 + far_cond, sizeof(by32));
	return prefixes + 1 + far_cond + size + (size == 2 ? by16 : by32) == 0;
}

#define EARLY_TRAPS_MAX 64
bool insn_trapped_early(struct kvcpu *v, struct step *s, const struct kvm_regs *before)
{
	struct kvm_regs now = *vcpu_regs(v);

	if (v->run->exit_reason != KVM_EXIT_DEBUG || now.rip != s->from || !(v->run->debug.arch.dr6 & DR6_BS) ||
	    jumps_to_itself(s) || s->early_traps == EARLY_TRAPS_MAX)
		return false;
	now.rflags = (now.rflags & ~(RFLAGS_TF | RFLAGS_RF)) | (before->rflags & (RFLAGS_TF | RFLAGS_RF));
	s->early_traps++;
	return !memcmp(&now, before, sizeof(now));
}

bool insn_int1_left(struct kvcpu *v, unsigned *len)
{
	uint64_t at = vcpu_linear_rip(v);
	uint8_t op = 0;

	*len = insn_count_prefixes(v, at) + 1;
	return !(v->run->debug.arch.dr6 & (15 | DR6_BS | DR6_BD)) && gmem_read(v, at + *len - 1, &op, 1) == 1 && op == 0xf1;
}
