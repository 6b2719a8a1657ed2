/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Running what has run before. The machine is deterministic but for the debugger's own doings: which vCPU it stepped, where
 * it woke halted ones. Those are in a log of switches, which a replay follows instead of the turns; so from a state that was
 * saved any later position is reached exactly, whatever breakpoints and steps there were. The debugger's changes to memory
 * and registers are not in it: who records saves the state behind each of them (core/debug/reverse.c).
 */
#include "core/soft/replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/soft/exec.h"
#include "core/soft/run.h"
#include "core/soft/fault.h"
#include "core/soft/mmucatch.h"
#include "core/soft/soft_impl.h"

/* Without progress so often the run is not the one that was recorded. */
#define STUCK_MAX 8

/* ---- replay */

/* What the user wants to stop at, taken out for the time of a silent replay. */
struct silenced {
	struct soft_plant *plants;
	uint32_t catches;
	shadow_stage_fn *stage[64];
	void (*mark)(void *ctx);
	void (*console)(void *ctx, const char *bytes, size_t n);
	bool mmu;
};

static void silence(struct soft_machine *m, bool stops, struct silenced *was)
{
	was->plants = m->plants;
	was->catches = m->catches;
	was->mark = m->log.fn;
	was->console = m->m.board.console;
	m->log.fn = NULL;
	m->m.board.console = NULL; /* it was said the first time */
	for (unsigned i = 0; i < m->m.vcpus; i++) {
		was->stage[i] = m->cpu[i]->shadow.stage;
		m->cpu[i]->shadow.stage = NULL;
	}
	soft_mmu_go(m);
	if (stops)
		return;
	was->mmu = soft_mmu_silence(m, true);
	m->plants = NULL;
	m->catches = 0;
	for (unsigned i = 0; i < m->m.vcpus; i++)
		m->cpu[i]->devices.shown = m->cpu[i]->caught = false;
	soft_plants_changed(m);
}

static void restore_voices(struct soft_machine *m, bool stops, const struct silenced *was)
{
	m->log.fn = was->mark;
	m->m.board.console = was->console;
	for (unsigned i = 0; i < m->m.vcpus; i++)
		m->cpu[i]->shadow.stage = was->stage[i];
	if (stops)
		return;
	soft_mmu_silence(m, was->mmu);
	m->plants = was->plants;
	m->catches = was->catches;
	soft_plants_changed(m);
}

static void wake(struct soft_machine *m, const struct soft_switch *s)
{
	for (unsigned i = 0; s->wake && i < m->m.vcpus; i++)
		m->cpu[i]->halted = false;
	m->cpu[s->vcpu]->halted = false;
}

/* One stretch of one vCPU. True where something stopped it. */
static bool stretch(struct soft_machine *m, uint64_t target, size_t *at, struct stop *out)
{
	while (soft_log_end(&m->log, *at) <= m->sched.position)
		(*at)++;
	const struct soft_switch *s = &m->log.v[*at];
	uint64_t end = soft_log_end(&m->log, *at), n;

	if (m->sched.turn != s->vcpu || !m->sched.left)
		m->sched.left = SOFT_TURN;
	m->sched.turn = s->vcpu;
	wake(m, &(struct soft_switch){.vcpu = s->vcpu, .wake = s->wake && s->position == m->sched.position});
	n = (target < end ? target : end) - m->sched.position;
	return soft_go(m->cpu[s->vcpu], n < m->sched.left ? n : m->sched.left, out);
}

static bool wanted(enum stop_reason r)
{
	return r != STOP_EXIT && r != STOP_SHUTDOWN && r != STOP_ERROR;
}

static int diverged(const struct soft_machine *m, uint64_t target, struct err *e)
{
	return err_set(e, -EUCLEAN,
		       "replay" WHY "at position %llu on the way to %llu the run stands still, which the recorded one did "
		       "not" TRY "run, which records anew",
		       (unsigned long long)m->sched.position, (unsigned long long)target);
}

static int replay(struct soft_machine *m, uint64_t target, bool stops, struct stop *out, struct err *e)
{
	size_t at = soft_log_at(&m->log, m->sched.position);
	unsigned stuck = 0;

	while (m->sched.position < target) {
		struct stop s = {.slot = -1};
		uint64_t before = m->sched.position;
		if (run_asked(&m->m.run)) {
			*out = (struct stop){.reason = STOP_INTERRUPTED, .slot = -1, .vcpu = m->sched.turn};
			return 0;
		}
		walk_lock_yield(&m->walk);
		bool stop = stretch(m, target, &at, &s);
		stuck = m->sched.position == before ? stuck + 1 : 0;
		if (stop && stops && wanted(s.reason)) {
			*out = s;
			return 0;
		}
		if (stuck > STUCK_MAX)
			return diverged(m, target, e);
	}
	return 0;
}

int soft_replay(struct soft_machine *m, struct run_job *job, struct stop *out, struct err *e)
{
	WALK_LOCK_SCOPE(&m->walk);
	struct silenced was = {.mmu = false};

	if (!m->log.n || m->log.failed)
		return err_set(e, -ENODATA, "replay" WHY "%s" TRY "run, which records anew",
			       m->log.n ? "memory for the record was out" : "nothing is recorded");
	silence(m, job->stops, &was);
	soft_set_passed(m, job->passed);
	*out = (struct stop){.reason = STOP_NONE, .vcpu = job->vcpu, .slot = -1};
	int rc = replay(m, job->position, job->stops, out, e);
	job->passed = soft_passed(m);
	restore_voices(m, job->stops, &was);
	return rc;
}

/* ---- hidden state */

/* Of a vCPU everything but its TLB, which may always be empty. */
static int cpu_ranges(struct soft_cpu *c, int (*fn)(void *ctx, void *at, size_t len, bool maps), void *ctx)
{
	size_t from = offsetof(struct soft_cpu, tlb_of), to = offsetof(struct soft_cpu, shadow);

	return fn(ctx, c, from, false) ?: fn(ctx, (char *)c + to, sizeof(*c) - to, false);
}

struct map_ranges {
	int (*fn)(void *ctx, void *at, size_t len, bool maps);
	void *ctx;
};

static int map_range(void *ctx, void *at, size_t len)
{
	const struct map_ranges *r = ctx;

	return r->fn(r->ctx, at, len, true);
}

int soft_hidden(struct machine *base, int (*fn)(void *ctx, void *at, size_t len, bool maps), void *ctx)
{
	struct soft_machine *m = soft_of(base);
	struct map_ranges maps = {fn, ctx};
	int rc = fn(ctx, &m->sched, sizeof(m->sched), false);

	for (unsigned i = 0; !rc && i < base->vcpus; i++)
		rc = cpu_ranges(m->cpu[i], fn, ctx);
	if (!rc)
		rc = fn(ctx, &base->slots.generation, sizeof(base->slots.generation), true);
	return rc ? rc : shadow_each_range(m->shadow, map_range, &maps);
}

void soft_hidden_drop(struct machine *base)
{
	struct soft_machine *m = soft_of(base);

	for (unsigned i = 0; i < base->vcpus; i++)
		shadow_vcpu_deinit(m->shadow, &m->cpu[i]->shadow);
	shadow_zap_all(m->shadow);
}

static void cpu_restored(struct soft_machine *m, struct soft_cpu *c, bool maps)
{
	if (!maps)
		shadow_vcpu_init(&c->shadow);
	c->stop_soon = false;
	soft_tlb_flush(c);
	c->any_plants = m->n_exec || c->dr_exec;
	c->tlb = c->tlb_of[c->cpl == 3];
	if (!maps)
		soft_mode_changed(c, true);
}

void soft_hidden_restored(struct machine *base, bool maps)
{
	struct soft_machine *m = soft_of(base);

	block_cache_flush(m->blocks);
	memset(&m->watch_hit, 0, sizeof(m->watch_hit));
	for (unsigned i = 0; i < base->vcpus; i++)
		cpu_restored(m, m->cpu[i], maps);
	soft_faults_rearm(m);
}
