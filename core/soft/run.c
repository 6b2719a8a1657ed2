/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Running: vCPUs take turns of a fixed number of instructions on one host thread, so that the same start gives the same run;
 * what an instruction raised is delivered, reported or acted on here.
 */
#include "core/soft/run.h"

#include <errno.h>
#include <stdio.h>

#include "core/soft/exec.h"
#include "core/soft/fault.h"
#include "core/soft/mmucatch.h"
#include "core/soft/rings.h"
#include "core/soft/soft_impl.h"
#include "core/soft/stall.h"

/* run_asked() is looked at between turns. */
void soft_kick(void *ctx)
{
	(void)ctx;
}

int soft_set_catch(struct machine *m, uint32_t events, struct err *e)
{
	(void)e;
	soft_of(m)->catches = events;
	return 0;
}

/* ---- after a run of instructions */

/* Each gives true with *out filled where the machine is to stop. */

static bool stop_with(struct soft_cpu *c, const struct stop *s, struct stop *out)
{
	*out = *s;
	out->vcpu = c->index;
	out->rip = c->rip;
	out->code_bits = c->code_bits;
	out->code_base = c->code_bits == 64 ? 0 : c->seg_base[SEG_CS];
	if (s->reason == STOP_MMIO || s->reason == STOP_PIO)
		out->by = c->rip;
	return true;
}

static bool stop_because(struct soft_cpu *c, enum stop_reason reason, struct stop *out)
{
	struct stop s = {.reason = reason, .slot = -1};

	return stop_with(c, &s, out);
}

static bool stop_error(struct soft_cpu *c, const struct err *e, struct stop *out)
{
	struct stop s = {.reason = STOP_ERROR, .slot = -1};

	snprintf(s.error, sizeof(s.error), "%.90s: %.180s", e->what, e->why);
	snprintf(s.next, sizeof(s.next), "%.127s", e->next);
	return stop_with(c, &s, out);
}

/* catch exception: before it is delivered, and the next time it is. INT n is none. What nobody would take is told anyway,
 * when delivery finds that out. */
static bool is_caught(struct soft_cpu *c)
{
	if (!(c->m->catches & CATCH_EXCEPTION) || c->int_n || !soft_has_handler(c))
		return false;
	bool told = c->caught && c->caught_vector == c->vector && c->caught_rip == c->rip;
	c->caught = !told;
	c->caught_vector = c->vector;
	c->caught_rip = c->rip;
	return !told;
}

static bool tell_caught(struct soft_cpu *c, struct stop *out)
{
	struct stop s = {.reason = STOP_EXCEPTION,
			 .vector = c->vector,
			 .has_error = c->has_error && (c->r.cr0 & CR0_PE),
			 .error_code = c->error_code,
			 .cr2 = c->vector == 14 ? c->cr2 : c->r.cr2,
			 .software = c->soft_int_len,
			 .slot = -1,
			 .note = "caught before it is delivered"};

	if (c->trap_behind) { /* nothing would raise it again */
		c->injected = (struct guest_fault){.present = true, .vector = c->vector};
		c->trap_caught = true;
	}
	return stop_with(c, &s, out);
}

static bool on_exception(struct soft_cpu *c, struct stop *out)
{
	if (is_caught(c))
		return tell_caught(c, out);
	if (!c->trap_behind && !c->soft_int_len)
		soft_begun(c);
	soft_stall_exception(c);
	c->delivering = true;
	soft_deliver(c);
	c->delivering = false;
	if (c->event == EVENT_SHUTDOWN)
		return stop_because(c, STOP_SHUTDOWN, out);
	if (c->event == EVENT_STOP || c->event == EVENT_RESTART) {
		bool stop = c->event == EVENT_STOP, done = stop && c->stop.reason == STOP_EXCEPTION && c->stop.has_by;

		c->db_pending = 0;
		c->m->sched.position += done;
		return stop && stop_with(c, &c->stop, out);
	}
	soft_devices_forget(c);
	if (!c->trap_behind)
		c->m->sched.position++;
	return false;
}

/* Into or out of SMM: a stop of its own, and other slots are visible. */
static bool smm_seen(struct soft_cpu *c, bool in, enum stop_reason reason, struct stop *out)
{
	if (c->m->catches & CATCH_SLOT)
		machine_slot_note_smm(&c->m->m, in);
	if (c->m->catches & CATCH_SMI)
		return stop_because(c, reason, out);
	return (c->m->catches & CATCH_SLOT) && machine_slot_stop(&c->m->m, c->index, c->rip, out);
}

static bool on_yield(struct soft_cpu *c, struct stop *out)
{
	struct err e = {0};

	if (c->exit_pending) {
		struct stop s = {.reason = STOP_EXIT, .exit_code = c->m->m.board.exit_code, .slot = -1};
		c->exit_pending = false;
		return stop_with(c, &s, out);
	}
	if (c->left_smm) {
		c->left_smm = false;
		if (smm_seen(c, false, STOP_RSM, out))
			return true;
	}
	if (c->smi_pending && !c->r.smm) {
		if (soft_enter_smm(c, &e))
			return stop_error(c, &e, out);
		return smm_seen(c, true, STOP_SMI, out);
	}
	return false;
}

/* With another reason in *out already: both. An instruction that has not been carried out touches the bytes again. */
static bool on_watch(struct soft_cpu *c, bool stop, bool done, bool own, struct stop *out)
{
	struct stop hit = c->m->watch_hit;

	c->stop_soon = false;
	hit.by = c->by;
	if (own)
		soft_watch_done(c, &hit);
	memset(&c->m->watch_hit, 0, sizeof(c->m->watch_hit));
	if (!hit.reason || !done)
		return stop;
	if (!stop)
		return stop_with(c, &hit, out);
	stop_put_first(out, &hit);
	return true;
}

/* A frame that was pushed onto what the guest's debug registers watch is a trap before the handler's first instruction. */
static bool trap_of_frame(struct soft_cpu *c, struct stop *out)
{
	if (!c->db_pending || c->event == EVENT_RESTART)
		return false;
	c->trap_behind = true;
	c->r.dr[6] |= c->db_pending;
	c->db_pending = 0;
	soft_raise(c, 1);
	return on_exception(c, out);
}

static bool after(struct soft_cpu *c, struct stop *out)
{
	bool stop = false, done = c->event != EVENT_STOP && c->event != EVENT_RESTART;
	bool fault = c->event == EVENT_EXCEPTION && !c->trap_behind && !c->soft_int_len, own;

	/* An instruction that faults has done nothing: it touches the bytes when it comes again. */
	if (fault)
		c->m->watch_hit.reason = STOP_NONE;
	own = c->m->watch_hit.reason != STOP_NONE;

	switch ((enum soft_event)c->event) {
	case EVENT_EXCEPTION:
		/* A trap behind an access that asked the board for something keeps neither from coming. */
		stop = on_exception(c, out) || trap_of_frame(c, out) || on_yield(c, out);
		break;
	case EVENT_STOP:
	case EVENT_STOP_DONE:
		stop = stop_with(c, &c->stop, out);
		break;
	case EVENT_YIELD:
		stop = on_yield(c, out);
		break;
	case EVENT_SHUTDOWN:
		stop = stop_because(c, STOP_SHUTDOWN, out);
		break;
	case EVENT_RESTART:
	case EVENT_NONE:
		break;
	}
	c->event = EVENT_NONE;
	if (c->inhibit && c->inhibit_rip != c->rip)
		c->inhibit = false;
	return c->stop_soon ? on_watch(c, stop, done, own, out) : stop;
}

static void deliver_injected(struct soft_cpu *c)
{
	if (!c->injected.present)
		return;
	c->cr2 = c->injected.address;
	c->trap_behind = c->trap_caught;
	c->trap_caught = false;
	soft_raise(c, c->injected.vector);
	c->has_error = c->injected.has_error;
	c->error_code = c->injected.error_code;
	c->injected.present = false;
}

static enum cpu_mode mode_of(struct soft_cpu *c)
{
	c->r.rflags = c->eflags;
	return regs_mode(&c->r);
}

/* Exceptions that are delivered count in after(). */
static bool execute(struct soft_cpu *c, uint64_t n, struct stop *out)
{
	c->trap_behind = false;
	c->devices.next = 0;
	if (c->injected.present) {
		deliver_injected(c);
	} else {
		/* What was seen while code was fetched is told behind the next instruction. */
		c->budget = c->devices.alone || soft_mmu_pending(c->m) ? 1 : n;
		bool alone = c->devices.alone;
		uint64_t before = c->icount;
		soft_execute(c);
		if (alone && c->icount != before)
			soft_devices_forget(c);
		c->m->sched.position += c->icount - before;
	}
	return after(c, out);
}

static bool add_reason(struct stop *out, enum stop_reason reason)
{
	stop_add_cause(out, reason, 0);
	return true;
}

bool soft_go(struct soft_cpu *c, uint64_t n, struct stop *out)
{
	struct soft_machine *m = c->m;
	enum cpu_mode mode = mode_of(c);
	enum paging_mode paging = c->pg.mode;
	unsigned cpl = c->cpl;
	uint64_t before = m->sched.position, done;
	uint64_t rip = c->rip;
	soft_rings_run(m, c);
	bool stop = execute(c, n, out);
	soft_rings_run(m, NULL);
	soft_rings_full(m);

	if (c->rip != rip)
		c->passed = false;
	done = m->sched.position - before;
	m->sched.left -= done < m->sched.left ? (unsigned)done : m->sched.left;
	bool changed = (c->m->catches & CATCH_MODE) && (mode_of(c) != mode || c->pg.mode != paging);
	if (changed || ((c->m->catches & CATCH_MODE) && c->cpl != cpl)) {
		struct stop s = {.reason = STOP_MODE, .slot = -1};
		stop = stop ? add_reason(out, STOP_MODE) : stop_with(c, &s, out);
		out->cpl_only = !changed;
		out->old_cpl = (uint8_t)cpl;
	}
	/* What the MMU did for an instruction that stands there undone is told behind it. */
	return stop || (done && soft_mmu_stop(c, out));
}

static void take_turn(struct soft_machine *m, unsigned vcpu)
{
	if (m->sched.turn != vcpu || !m->sched.left)
		m->sched.left = SOFT_TURN;
	m->sched.turn = vcpu;
	soft_log_switch(m, vcpu, false);
}

/* Whoever is called looks at the machine, and takes the walk lock for it if that is another thread. */
static void at_mark(struct soft_machine *m)
{
	if (!m->log.fn || m->sched.position < m->log.mark)
		return;
	if (run_on_client(&m->m.run)) {
		m->log.fn(m->log.ctx);
		return;
	}
	/* The lock of carry_out(): handed over to the client's thread, which makes the call. */
	walk_lock_give(&m->walk);
	run_call(&m->m.run, m->log.fn, m->log.ctx);
	/* ... and back. */
	walk_lock_take(&m->walk);
}

static bool interrupted(struct soft_machine *m, struct soft_cpu *c, struct stop *out)
{
	return run_asked(&m->m.run) && stop_because(c, STOP_INTERRUPTED, out);
}

/* ---- stepping and continuing */

/* A step over HLT reports the halt; an exception that is delivered counts as the step into its handler. */
static void step(struct soft_machine *m, struct soft_cpu *c, uint64_t count, struct stop *out)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t rip = c->rip, before = c->icount, position = m->sched.position;
		at_mark(m);
		walk_lock_yield(&m->walk);
		take_turn(m, c->index);
		if (interrupted(m, c, out) || soft_go(c, 1, out))
			return;
		if (c->halted) {
			stop_because(c, STOP_HLT, out);
			return;
		}
		if (c->icount == before && c->rip == rip && m->sched.position == position)
			i--; /* the fault was given up, or only a catch was passed: the instruction is still to come */
		if (i + 1 < count && c->any_plants && soft_stop_at_plant(c)) {
			after(c, out);
			return;
		}
	}
	stop_because(c, STOP_STEP, out);
}

static bool all_halted(const struct soft_machine *m)
{
	for (unsigned i = 0; i < m->m.vcpus; i++)
		if (!m->cpu[i]->halted)
			return false;
	return true;
}

/* Up to the end of the turn, or to the mark that somebody waits for. */
static uint64_t turn_left(const struct soft_machine *m)
{
	uint64_t to_mark = m->log.mark - m->sched.position;

	return m->log.fn && m->log.mark > m->sched.position && to_mark < m->sched.left ? to_mark : m->sched.left;
}

static void cont(struct soft_machine *m, struct stop *out)
{
	for (;;) {
		struct soft_cpu *c = m->cpu[m->sched.turn];
		if (interrupted(m, c, out))
			return;
		if (all_halted(m)) {
			stop_because(c, STOP_HLT, out);
			return;
		}
		if (c->halted || !m->sched.left) {
			m->sched.turn = (m->sched.turn + 1) % m->m.vcpus;
			m->sched.left = SOFT_TURN;
			continue;
		}
		at_mark(m);
		walk_lock_yield(&m->walk);
		soft_stall_turn(m);
		soft_log_switch(m, c->index, false);
		if (soft_go(c, turn_left(m), out))
			return;
	}
}

void soft_set_passed(struct soft_machine *m, uint64_t passed)
{
	for (unsigned i = 0; i < m->m.vcpus; i++)
		m->cpu[i]->passed = passed >> (i % 64) & 1;
}

uint64_t soft_passed(struct soft_machine *m)
{
	uint64_t passed = 0;

	for (unsigned i = 0; i < m->m.vcpus; i++)
		passed |= (uint64_t)soft_returned(m->cpu[i]) << (i % 64);
	return passed;
}

static void carry_out(struct soft_machine *m, struct run_job *job, struct stop *out)
{
	WALK_LOCK_SCOPE(&m->walk);
	unsigned vcpu = job->vcpu;
	bool all = all_halted(m);

	soft_mmu_go(m);
	if (job->kind == RUN_CONTINUE && soft_mmu_stop(m->cpu[vcpu], out))
		return; /* the stop before came first */
	for (unsigned i = 0; i < m->m.vcpus; i++) {
		/* Halted all of them, and told to go on: there is nothing to wake them but the debugger. */
		if (all || (job->kind == RUN_STEP && i == vcpu))
			m->cpu[i]->halted = false;
	}
	if (all)
		soft_log_switch(m, job->kind == RUN_STEP ? vcpu : m->sched.turn, true);
	if (job->kind == RUN_STEP) {
		step(m, m->cpu[vcpu], job->count, out);
		return;
	}
	soft_stall_begin(m);
	cont(m, out);
}

void soft_run(struct soft_machine *m, struct run_job *job, struct stop *out)
{
	soft_faults_run_begin(m, job);
	soft_set_passed(m, job->passed);
	carry_out(m, job, out);
	job->passed = soft_passed(m);
}
