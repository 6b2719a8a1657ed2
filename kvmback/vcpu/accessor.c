/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which instruction made the device access in the run area? At a read's exit rip stands on it. Before a write's KVM has
 * moved rip on already, unless rounds of a REP are to come; and whether it has before an OUT's is the host's habit
 * (probe.c). Then it is looked for: an instruction that ends at rip and writes these bytes, or goes to this port, by the
 * registers as they are now. If several could have, as what is before one may pass for its prefix, the one that code leads
 * to from where the vCPU was let in, or from most of the places further up.
 */
#include "kvmback/vcpu/vcpu.h"

#include <string.h>

#include "core/cpu/access.h"
#include "core/cpu/disas.h"

#define INSN_MAX 15
#define BEFORE 48 /* bytes of code that are looked at */

struct look {
	struct access_regs r;
	uint64_t linear;		 /* of rip */
	uint8_t code[BEFORE + INSN_MAX]; /* rip is at BEFORE */
	unsigned first, end;		 /* of code: what could be read */
	bool moved;			 /* rip is behind what is no string instruction */
};

void vcpu_access_regs(struct kvcpu *v, struct access_regs *r)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	vcpu_gprs(v, r->gpr, &r->rip);
	r->bits = vcpu_bits(v);
	r->stack32 = s->ss.db;
	r->base[SEG_FS] = s->fs.base;
	r->base[SEG_GS] = s->gs.base;
	if (r->bits == 64)
		return;
	r->base[SEG_ES] = s->es.base;
	r->base[SEG_CS] = s->cs.base;
	r->base[SEG_SS] = s->ss.base;
	r->base[SEG_DS] = s->ds.base;
}

/* Whole, or as far as the page of rip reaches. */
static void take_code(struct kvcpu *v, struct look *l)
{
	unsigned in_page = (unsigned)(l->linear & PAGE_OFFSET_MASK);
	uint64_t at = l->linear - BEFORE;

	l->first = gmem_read(v, at, l->code, BEFORE) == BEFORE ? 0 : BEFORE;
	if (l->first && in_page) {
		unsigned n = in_page < BEFORE ? in_page : BEFORE;
		if (gmem_read(v, l->linear - n, l->code + BEFORE - n, n) == n)
			l->first = BEFORE - n;
	}
	l->end = BEFORE + (unsigned)gmem_read(v, l->linear, l->code + BEFORE, INSN_MAX);
}

/* ---- did this one? */

static bool is_prefix(unsigned bits, uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x26 || b == 0x2e || b == 0x36 ||
	       b == 0x3e || b == 0x64 || b == 0x65 || (bits == 64 && (b & 0xf0) == 0x40);
}

/* An access to the exit's port, of its size. */
static bool goes_to_port(const struct kvcpu *v, const struct look *l, unsigned at, bool *string)
{
	const struct kvm_run *run = v->run;
	bool small = false;
	unsigned i = at;

	for (; i < l->end && is_prefix(l->r.bits, l->code[i]); i++)
		small |= l->code[i] == 0x66;
	if (i >= l->end)
		return false;
	uint8_t op = l->code[i];
	bool imm = (op & 0xfc) == 0xe4, dx = (op & 0xfc) == 0xec, out = op & 2;
	*string = (op & 0xfc) == 0x6c;
	if (!imm && !dx && !*string)
		return false;
	unsigned size = !(op & 1) ? 1 : (l->r.bits == 16) != small ? 2 : 4;
	unsigned port = !imm ? (uint16_t)l->r.gpr[RDX] : i + 1 < l->end ? l->code[i + 1] : ~0u;
	return out == (run->io.direction == KVM_EXIT_IO_OUT) && size == run->io.size && port == run->io.port;
}

static bool has_byte(struct kvcpu *v, uint64_t linear, unsigned len, uint64_t byte)
{
	uint8_t rights;
	uint64_t gpa;

	for (unsigned off = 0; off < len; off++)
		if ((!off || !((linear + off) & PAGE_OFFSET_MASK)) && gmem_translate(v, linear + off, &gpa, &rights) &&
		    byte >= gpa && byte - gpa < len - off && (byte & ~PAGE_OFFSET_MASK) == (gpa & ~PAGE_OFFSET_MASK))
			return true;
	return false;
}

/* String instructions and pushes have moved their pointer on by now, and the last round of a REP has counted down to none:
 * KVM's emulator leaves rip on it until it is come to once more. */
static bool writes_bytes(struct kvcpu *v, const struct look *l, unsigned at, bool rep)
{
	struct vcpu_control *t = v->control;
	const struct kvm_run *run = v->run;
	struct insn_access a[ACCESSES_MAX];
	struct access_regs r = l->r;

	r.rip = l->r.rip + at - BEFORE;
	if (rep)
		r.gpr[RCX] = 1;
	int n = access_decode(t->accesses, &r, l->code + at, l->end - at, a);
	for (int i = 0; i < n; i++)
		for (int by = -1; a[i].write && run->mmio.len <= a[i].len && by <= 1; by++)
			if (has_byte(v, a[i].linear + (uint64_t)(by * (int64_t)a[i].len), a[i].len, run->mmio.phys_addr))
				return true;
	return false;
}

static bool made_it(struct kvcpu *v, const struct look *l, unsigned at)
{
	bool rep = disas_kind(l->r.bits, l->code + at, l->end - at) == INSN_REP, here = at == BEFORE, string = false;

	if (v->run->exit_reason == KVM_EXIT_MMIO)
		return (rep || !here) && writes_bytes(v, l, at, rep);
	return goes_to_port(v, l, at, &string) && (here ? rep || !l->moved : string || l->moved);
}

/* ---- which one? */

static unsigned length_at(struct kvcpu *v, const struct look *l, unsigned at)
{
	struct insn insn;

	return disas_one(v->control->disas, l->r.bits, l->linear + at - BEFORE, l->code + at, l->end - at, &insn) ? insn.len
														  : 0;
}

/* The last instruction on the way from `at` to rip; BEFORE if the way does not lead there. */
static unsigned last_from(struct kvcpu *v, const struct look *l, unsigned at)
{
	unsigned last = BEFORE;

	while (at < BEFORE) {
		unsigned len = length_at(v, l, at);

		if (!len)
			return BEFORE;
		last = at;
		at += len;
	}
	return at == BEFORE ? last : BEFORE;
}

static unsigned choose(struct kvcpu *v, const struct look *l, uint32_t could)
{
	uint64_t back = l->r.rip - v->control->entered;
	unsigned votes[INSN_MAX + 1] = {0}, best = 0;

	if (back && back <= BEFORE - l->first) {
		unsigned len = BEFORE - last_from(v, l, BEFORE - (unsigned)back);
		if (len <= INSN_MAX && could >> len & 1)
			return len;
	}
	for (unsigned at = l->first; at < BEFORE; at++) {
		unsigned len = BEFORE - last_from(v, l, at);
		if (len <= INSN_MAX && could >> len & 1)
			votes[len]++;
	}
	for (unsigned len = 1; len <= INSN_MAX; len++)
		if (votes[len] > votes[best])
			best = len;
	return best;
}

static bool ready(struct vcpu_control *t)
{
	return (t->accesses || !access_decoder_create(&t->accesses, NULL)) && (t->disas || !disas_create(&t->disas, NULL));
}

bool accessor_find(struct kvcpu *v, uint64_t *rip)
{
	struct look l = {.linear = vcpu_linear_rip(v), .moved = v->vm->rs->st->out_moves_on[vcpu_mode(v)][vcpu_cpl(v) == 3]};
	uint32_t could = 0; /* a bit for each length */

	if (!ready(v->control))
		return false;
	vcpu_access_regs(v, &l.r);
	take_code(v, &l);
	*rip = l.r.rip;
	if (made_it(v, &l, BEFORE))
		return true;
	for (unsigned len = 1; len <= INSN_MAX && len <= BEFORE - l.first; len++)
		if (length_at(v, &l, BEFORE - len) == len && made_it(v, &l, BEFORE - len))
			could |= 1u << len;
	*rip -= could & (could - 1) ? choose(v, &l, could) : could ? (unsigned)__builtin_ctz(could) : 0;
	return could;
}
