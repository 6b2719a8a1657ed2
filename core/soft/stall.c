/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whether the vCPUs of a run make progress. It is told when none of those that run does: one that waits for another in a
 * loop is no news.
 */
#include "core/soft/stall.h"

#include <string.h>

#define TURNS_A_CLOCK 64 /* turns between two looks at the clock */

static uint64_t now(const struct soft_machine *m)
{
	return m->stall.clock ? m->stall.clock() : clock_now_ns();
}

static uint64_t linear_rip(const struct soft_cpu *c)
{
	return c->code_bits == 64 ? c->rip : (uint32_t)(c->seg_base[SEG_CS] + c->rip);
}

void soft_stall_begin(struct soft_machine *m)
{
	for (unsigned i = 0; i < m->m.vcpus; i++)
		progress_forget(&m->cpu[i]->progress);
	m->stall.turns = 0;
	m->stall.next = now(m) + PROGRESS_LOOK_NS;
}

void soft_stall_access(struct soft_cpu *c, bool port, uint64_t address, unsigned len, bool write)
{
	progress_access(&c->progress, linear_rip(c), port, address, len, write, progress_state(c->gpr));
}

void soft_stall_exception(struct soft_cpu *c)
{
	if (!c->soft_int_len)
		progress_exception(&c->progress, linear_rip(c), c->vector, c->cr2, progress_state(c->gpr));
}

/* The instruction there, as far as its page goes. */
static void read_insn(struct soft_cpu *c, struct stall *s)
{
	uint64_t gpa = s->first, room = PAGE_SIZE_4K - (s->first & PAGE_OFFSET_MASK);
	struct paging_mem mem;
	const struct slot *slot;
	struct walk w;

	soft_mem_init(c, &mem);
	mem.update = NULL;
	if (c->pg.mode != PAGING_NONE) {
		paging_walk(&c->pg, &mem, s->first, ACCESS_FETCH, false, &w);
		if (w.fault.present)
			return;
		gpa = w.gpa;
	}
	slot = slot_lookup(&c->m->m.slots, gpa, c->r.smm, NULL);
	if (!slot || !slot->alias)
		return;
	s->code_bits = c->code_bits;
	s->n_insn = (uint8_t)MIN(room, sizeof(s->insn));
	memcpy(s->insn, slot->alias + (gpa - slot->gpa), s->n_insn);
}

static void tell(struct soft_cpu *c)
{
	struct stall s;

	if (!progress_tell(&c->progress, &s))
		return;
	s.vcpu = c->index;
	read_insn(c, &s);
	run_stalled(&c->m->m.run, &s);
}

static void look(struct soft_machine *m, uint64_t t)
{
	bool all = true;

	for (unsigned i = 0; i < m->m.vcpus; i++) {
		struct soft_cpu *c = m->cpu[i];
		if (!c->halted && !progress_look(&c->progress, t, linear_rip(c), progress_state(c->gpr)))
			all = false;
	}
	for (unsigned i = 0; i < m->m.vcpus && all; i++)
		if (!m->cpu[i]->halted)
			tell(m->cpu[i]);
}

void soft_stall_turn(struct soft_machine *m)
{
	if (++m->stall.turns % TURNS_A_CLOCK)
		return;
	uint64_t t = now(m);
	if (t < m->stall.next)
		return;
	m->stall.next = t + PROGRESS_LOOK_NS;
	look(m, t);
}
