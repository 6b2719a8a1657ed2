/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where a vCPU is: in KVM_RUN or not, held or not, at an armed page or not. Phase and number of the entry are one word, so
 * that whoever holds a vCPU does so in the very entry that it means. vcpu.h draws the table.
 */
#include "kvmback/vcpu/vcpu.h"

#include <sched.h>

#include "core/base/check.h"
#include "core/base/tsan.h"

#define PHASE_BITS 3
#define PHASE_MASK ((1u << PHASE_BITS) - 1)

static enum vcpu_phase phase_of(unsigned word)
{
	return (enum vcpu_phase)(word & PHASE_MASK);
}

static bool is_held(unsigned word)
{
	return phase_of(word) == VCPU_HELD_IN || phase_of(word) == VCPU_HELD_OUT;
}

#define TO(p) (1u << (p))
/* Looked at in builds with checks only. */
__attribute__((unused)) static const uint8_t allowed[VCPU_PHASES] = {
    [VCPU_OUT] = TO(VCPU_IN_GUEST) | TO(VCPU_HELD_OUT) | TO(VCPU_TOUCHED),
    [VCPU_IN_GUEST] = TO(VCPU_OUT) | TO(VCPU_HELD_IN),
    [VCPU_AT_PAGE] = TO(VCPU_TOUCHED) | TO(VCPU_HELD_IN),
    [VCPU_TOUCHED] = TO(VCPU_OUT) | TO(VCPU_AT_PAGE) | TO(VCPU_HELD_OUT),
    [VCPU_HELD_IN] = TO(VCPU_IN_GUEST) | TO(VCPU_AT_PAGE),
    [VCPU_HELD_OUT] = TO(VCPU_OUT) | TO(VCPU_TOUCHED),
};

/* The one place where a phase changes. False if the word is another by now. */
static bool move(struct kvcpu *v, unsigned word, enum vcpu_phase to, unsigned entries)
{
	unsigned next = ((word >> PHASE_BITS) + entries) << PHASE_BITS | to;

	CHECK(allowed[phase_of(word)] & TO(to));
	return atomic_compare_exchange_strong(&v->control->where, &word, next);
}

/* If it is when nobody holds it. */
static unsigned settled(const struct kvcpu *v)
{
	unsigned word;

	while (is_held(word = atomic_load(&v->control->where)))
		sched_yield();
	return word;
}

enum vcpu_phase vcpu_phase(const struct kvcpu *v)
{
	return phase_of(atomic_load(&v->control->where));
}

unsigned vcpu_entry(const struct kvcpu *v)
{
	return atomic_load(&v->control->where) >> PHASE_BITS;
}

unsigned vcpu_entry_behind(unsigned entry)
{
	return (entry + 1) & (~0u >> PHASE_BITS);
}

void vcpu_go_in(struct kvcpu *v)
{
	unsigned word;

	do
		word = settled(v);
	while (!move(v, word, phase_of(word) == VCPU_TOUCHED ? VCPU_AT_PAGE : VCPU_IN_GUEST, 1));
}

void vcpu_go_out(struct kvcpu *v)
{
	unsigned word;

	do
		word = settled(v);
	while (!move(v, word, phase_of(word) == VCPU_AT_PAGE ? VCPU_TOUCHED : VCPU_OUT, 1));
}

bool vcpu_touched(const struct kvcpu *v)
{
	return phase_of(settled(v)) == VCPU_TOUCHED;
}

void vcpu_looked_at(struct kvcpu *v)
{
	unsigned word;

	do
		word = settled(v);
	while (phase_of(word) == VCPU_TOUCHED && !move(v, word, VCPU_OUT, 0));
}

void vcpu_touch(struct kvcpu *v)
{
	unsigned word;

	do
		word = settled(v);
	while (phase_of(word) == VCPU_OUT && !move(v, word, VCPU_TOUCHED, 0));
}

bool vcpu_hold(struct kvcpu *v, unsigned entry, enum vcpu_phase *was)
{
	unsigned word = atomic_load(&v->control->where);

	if (word >> PHASE_BITS != entry || is_held(word))
		return false;
	*was = phase_of(word);
	return move(v, word, entry & 1 ? VCPU_HELD_IN : VCPU_HELD_OUT, 0);
}

void vcpu_release(struct kvcpu *v, enum vcpu_phase to)
{
	bool released = move(v, atomic_load(&v->control->where), to, 0);

	CHECK(released);
	(void)released;
}

void vcpu_continued(struct kvm_vm *vm)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		TSAN_RELEASE(&vm->vcpu[i].control->where);
}
