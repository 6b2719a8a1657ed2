/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Interrupts and exceptions of real mode, delivered by the debugger: three words on the stack and a far pointer out of the
 * vector table (Intel SDM vol. 3A 20.1.4). KVM is not asked, so that a step ends at the handler's first instruction on every
 * host, and the frame has the guest's TF.
 */
#include "kvmback/step/step.h"

static const struct kvm_dtable *vector_table(const struct kvcpu *v)
{
	return &v->run->s.regs.sregs.idt;
}

static bool read_entry(struct kvcpu *v, unsigned vector, uint16_t entry[2])
{
	const struct kvm_dtable *t = vector_table(v);

	return vector * 4 + 3 <= t->limit && gmem_read(v, t->base + vector * 4, entry, 4) == 4;
}

bool real_empty(struct kvcpu *v, unsigned vector)
{
	uint16_t entry[2];

	return !(vcpu_sregs(v)->cr0 & CR0_PE) && read_entry(v, vector, entry) &&
	       ivt_entry_empty(vector_table(v)->base, entry);
}

bool real_any_empty(struct kvcpu *v)
{
	const struct kvm_dtable *t = vector_table(v);
	uint16_t entry[256][2];
	size_t n = gmem_read(v, t->base, entry, sizeof(entry)) / sizeof(entry[0]);

	for (size_t i = 0; i < n && i * 4 + 3 <= t->limit; i++)
		if (ivt_entry_empty(t->base, entry[i]))
			return true;
	return false;
}

static bool push_frame(struct kvcpu *v, const uint16_t frame[3])
{
	struct kvm_regs *r = vcpu_regs(v);
	uint64_t sp = r->rsp - 6;

	for (unsigned i = 0; i < 3; i++)
		if (!gmem_write(v, (uint32_t)(vcpu_sregs(v)->ss.base + ((sp + 2 * i) & 0xffff)), &frame[i], 2))
			return false;
	r->rsp = (r->rsp & ~0xffffull) | (sp & 0xffff);
	return true;
}

bool real_deliver(struct kvcpu *v, unsigned vector, uint64_t ip)
{
	struct kvm_regs *r = vcpu_regs(v);
	struct kvm_segment *cs = &vcpu_sregs(v)->cs;
	const uint16_t frame[3] = {(uint16_t)ip, cs->selector, (uint16_t)r->rflags};
	uint16_t to[2];

	if (!read_entry(v, vector, to))
		return vcpu_error(v, "vector %u has no entry: the table at 0x%llx ends at 0x%x, or is no memory", vector,
				  (unsigned long long)vector_table(v)->base, vector_table(v)->limit);
	if (!push_frame(v, frame))
		return vcpu_error(v, "vector %u cannot be delivered: the stack at 0x%llx is no memory that can be written",
				  vector, (unsigned long long)(vcpu_sregs(v)->ss.base + (r->rsp & 0xffff)));
	r->rflags &= ~(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF);
	r->rip = to[0];
	cs->selector = to[1];
	cs->base = to[1] * 16u;
	vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS);
	return true;
}

int real_fault_due(struct kvcpu *v, const uint8_t *code)
{
	if (vcpu_sregs(v)->cr0 & CR0_PE || v->vm->rs->st->real_handler_hits)
		return -1;
	return trap_certain(v, code);
}

bool real_raise(struct kvcpu *v, unsigned vector)
{
	struct kvm_vcpu_events ev = {.exception.nr = (uint8_t)vector};

	if (real_empty(v, vector)) {
		(void)exit_exception(v, &ev);
		v->control->stop.handler = HANDLER_EMPTY;
		return false;
	}
	if (!exit_caught(v, vector, false, 0, false))
		return false;
	exit_begun(v);
	return real_deliver(v, vector, vcpu_regs(v)->rip);
}
