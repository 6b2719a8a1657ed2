/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Continue and step, and the judgement of each stop: which of the user's breakpoints it is, whether its condition, ignore
 * count or filter lets it through, or whether the guest goes on.
 */
#include "core/debug/debugger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/control.h"

int debugger_init(struct debugger *d, struct err *e)
{
	memset(d, 0, sizeof(*d));
	bp_table_init(&d->bps);
	symbols_init(&d->syms);
	return disas_create(&d->disas, e);
}

void debugger_deinit(struct debugger *d)
{
	history_deinit(&d->history);
	bp_table_deinit(&d->bps);
	symbols_deinit(&d->syms);
	free(d->gone_commands);
	d->gone_commands = NULL;
	disas_destroy(d->disas);
	d->disas = NULL;
}

/* ---- where a vCPU stands */

uint64_t control_linear(const struct where *w, const struct seg *seg, uint64_t offset)
{
	return w->bits == 64 ? offset : (uint32_t)(seg->base + offset);
}

int control_where(struct debugger *d, unsigned vcpu, struct where *out, struct err *e)
{
	int rc = machine_get_regs(d->m, vcpu, REGS_GPR | REGS_SYS, &out->r, e);

	if (rc)
		return rc;
	out->bits = regs_code_bits(&out->r);
	out->word = out->bits / 8;
	out->pc = control_linear(out, &out->r.seg[SEG_CS], out->r.rip);
	uint64_t sp = out->r.gpr[RSP];
	if (out->bits != 64 && !out->r.seg[SEG_SS].db)
		sp &= 0xffff;
	out->sp = control_linear(out, &out->r.seg[SEG_SS], sp);
	return 0;
}

size_t control_code(struct debugger *d, unsigned vcpu, uint64_t addr, uint8_t *buf, size_t n)
{
	size_t first = PAGE_SIZE_4K - (addr & PAGE_OFFSET_MASK);

	if (!machine_read_gva(d->m, vcpu, addr, buf, n, NULL))
		return n;
	if (first >= n || machine_read_gva(d->m, vcpu, addr, buf, first, NULL))
		return 0;
	return first;
}

/* ---- judging a stop */

static bool is_exec(const struct bp *b)
{
	return b->kind == BP_BREAK || b->kind == BP_HBREAK;
}

bool control_passes(struct debugger *d, struct bp *b, struct stop *s)
{
	struct err why = {0};
	int yes = b->condition && d->condition ? d->condition(d->condition_ctx, b, s, &why) : 1;

	s->bad_condition = yes < 0;
	if (yes < 0)
		snprintf(s->note, sizeof(s->note), "the condition of breakpoint %d could not be evaluated: %.90s", b->id,
			 why.why[0] ? why.why : why.what);
	if (!yes || d->rehearsal)
		return yes;
	b->hits++;
	if (yes > 0 && b->ignore) {
		b->ignore--;
		return false;
	}
	return true;
}

/* Its hit stands and its commands are kept for who runs them; a failure leaves it planted, which costs a stop too many later
 * on, not a lost one now. */
static bool retire(struct debugger *d, struct bp *b)
{
	char *commands = b->commands;
	int id = b->id;

	b->commands = NULL;
	if (bp_delete(&d->bps, d->m, id, NULL)) {
		b->commands = commands;
		return false;
	}
	free(d->gone_commands);
	d->gone_commands = commands;
	d->gone_id = id;
	return true;
}

/* All execution breakpoints at addr: each counts its hit; true where one stops. The first that does names the stop. */
static bool exec_hit(struct debugger *d, uint64_t addr, struct stop *s)
{
	int id = 0;

	for (size_t i = 0; i < d->bps.n; i++) {
		struct bp *b = d->bps.v[i];
		if (!is_exec(b) || !b->enabled || b->addr != addr || !control_passes(d, b, s))
			continue;
		if (!id)
			id = b->id;
		if (b->temporary && !d->rehearsal && retire(d, b))
			i--;
	}
	if (id) {
		s->reason = STOP_BREAKPOINT;
		s->breakpoint = id;
	}
	return id != 0;
}

/* The machine names one of those that an access hits; another may be the one whose condition holds. */
static bool watch_covers(const struct bp *b, const struct stop *s)
{
	bool way = b->kind == BP_AWATCH || (b->kind == BP_WATCH && s->write) || (b->kind == BP_RWATCH && !s->write);

	return b->enabled &&
	       (b->id == s->breakpoint || (way && ranges_overlap(b->addr, b->len, b->phys ? s->gpa : s->gva, s->len)));
}

/* All watchpoints that the access hits: each counts it; true where one stops. The first that does names the stop. */
static bool watch_hit(struct debugger *d, struct stop *s)
{
	int id = 0;

	if (!bp_find(&d->bps, s->breakpoint))
		return s->breakpoint != TEMP_ID;
	for (size_t i = 0; i < d->bps.n; i++) {
		struct bp *b = d->bps.v[i];

		if (b->kind < BP_WATCH || b->kind > BP_AWATCH || !watch_covers(b, s) || !control_passes(d, b, s))
			continue;
		if (!id)
			id = b->id;
		if (b->temporary && !d->rehearsal && retire(d, b))
			i--;
	}
	if (id)
		s->breakpoint = id;
	return id != 0;
}

static bool worth_telling(struct debugger *d, struct stop *s)
{
	const struct bp *b = bp_find(&d->bps, s->breakpoint);

	if (s->reason == STOP_BREAKPOINT)
		return b ? exec_hit(d, b->addr, s) : s->breakpoint != TEMP_ID;
	if (s->reason == STOP_WATCHPOINT)
		return watch_hit(d, s);
	return control_catch(d, s);
}

bool control_would_tell(struct debugger *d, struct stop *s)
{
	d->rehearsal = true;
	bool told = worth_telling(d, s);
	d->rehearsal = false;
	return told && s->breakpoint > 0;
}

/* ---- resuming */

static void take_out_temp(struct debugger *d)
{
	if (d->temp_left && machine_unplant(d->m, TEMP_ID, NULL) != -EBUSY)
		d->temp_left = false;
}

int control_settle(struct debugger *d, struct err *e)
{
	take_out_temp(d);
	return machine_parked(d->m, NULL)
		   ? err_set(e, -EBUSY, "going back" WHY "a vCPU stands inside a fault" TRY "fault continue, or si, first")
		   : 0;
}

/* Is the stop an arrival at t (by its own plant, or by a user's breakpoint at the same place)? */
static int arrived_at(struct debugger *d, const struct temp_stop *t, const struct stop *s, bool *yes, struct err *e)
{
	const struct bp *b = s->breakpoint == TEMP_ID ? NULL : bp_find(&d->bps, s->breakpoint);
	struct where w;

	*yes = false;
	if (!t || s->reason != STOP_BREAKPOINT || s->vcpu != t->vcpu || (b ? b->addr != t->addr : s->breakpoint != TEMP_ID))
		return 0;
	int rc = control_where(d, s->vcpu, &w, e);
	if (!rc)
		*yes = w.pc == t->addr && w.sp >= t->min_sp;
	return rc;
}

static int resume_loop(struct debugger *d, unsigned vcpu, const struct temp_stop *t, bool *arrived, struct err *e)
{
	for (;;) {
		struct stop s = {.slot = -1};
		record_before_run(&d->history, d->m);
		int rc = machine_run(d->m, RUN_CONTINUE, vcpu, 1, &s, e);
		if (rc)
			return rc;
		d->has_run = true;
		rc = arrived_at(d, t, &s, arrived, e);
		if (rc)
			return rc;
		/* A user's breakpoint at the same address comes first: it has a number to be told by. */
		bool told = s.breakpoint == TEMP_ID ? t && exec_hit(d, t->addr, &s) : worth_telling(d, &s);
		if (!told && !*arrived) {
			d->stop = s;
			if (control_interrupted(d))
				return 0;
			continue;
		}
		if (!told) {
			s.reason = STOP_STEP;
			s.breakpoint = 0;
		}
		d->stop = s;
		return 0;
	}
}

/* Has the step that was just made ended where t waits? */
static int stepped_to(struct debugger *d, const struct temp_stop *t, bool *yes, struct err *e)
{
	struct where w;
	int rc = control_where(d, t->vcpu, &w, e);

	*yes = !rc && w.pc == t->addr && w.sp >= t->min_sp;
	return rc;
}

/* Out of a fault first: nothing can be planted while a vCPU stands inside one. *done: the step ended it all. */
static int leave_fault(struct debugger *d, const struct temp_stop *t, bool *arrived, bool *done, struct err *e)
{
	int rc = control_step(d, t->vcpu, e);

	*done = true;
	if (rc || d->stop.reason != STOP_STEP || d->stop.no_progress)
		return rc;
	rc = stepped_to(d, t, arrived, e);
	*done = *arrived;
	return rc;
}

int control_resume(struct debugger *d, unsigned vcpu, const struct temp_stop *t, bool *arrived, struct err *e)
{
	bool done = false;
	int rc = 0;

	*arrived = false;
	take_out_temp(d);
	if (t && machine_parked(d->m, NULL))
		rc = leave_fault(d, t, arrived, &done, e);
	if (rc || done)
		return rc;
	if (t) {
		struct plant p = {.id = TEMP_ID, .kind = PLANT_EXEC, .addr = t->addr, .len = 1};
		rc = machine_plant(d->m, &p, e);
		if (rc)
			return rc;
		d->temp_left = true;
	}
	rc = resume_loop(d, vcpu, t, arrived, e);
	take_out_temp(d);
	return rc;
}

int debug_continue(struct debugger *d, unsigned vcpu, struct err *e)
{
	bool arrived;

	return control_resume(d, vcpu, NULL, &arrived, e);
}

int debug_fault_step(struct debugger *d, struct err *e)
{
	struct stop s;

	do {
		s = (struct stop){.slot = -1};
		int rc = machine_fault_step(d->m, &s, e);
		if (rc)
			return rc;
		d->has_run = true;
	} while (!worth_telling(d, &s));
	d->stop = s;
	return 0;
}

/* Nobody wants this stop: has the instruction run all the same, so that the step is over? Else it is still to come (a device
 * access before the device sees it, an exception before its delivery, a fault's stage, a slot changed before it ran). */
static bool step_is_over(enum stop_reason r)
{
	return r != STOP_MMIO && r != STOP_PIO && r != STOP_EXCEPTION && r != STOP_FAULT_STAGE && r != STOP_SLOT;
}

static bool any_enabled(const struct debugger *d)
{
	for (size_t i = 0; i < d->bps.n; i++)
		if (d->bps.v[i]->enabled)
			return true;
	return false;
}

/* n steps in one call of the machine, judged at the end. */
static int step_some(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	struct stop s;
	struct where w;
	bool told;

	do {
		s = (struct stop){.slot = -1};
		record_before_run(&d->history, d->m);
		int rc = machine_run(d->m, RUN_STEP, vcpu, n, &s, e);
		if (rc)
			return rc;
		d->has_run = true;
		told = worth_telling(d, &s);
	} while (!told && !step_is_over(s.reason));
	if (!told) {
		s.reason = STOP_STEP;
		s.breakpoint = 0;
	}
	if (s.reason == STOP_STEP && any_enabled(d) && !control_where(d, s.vcpu, &w, NULL))
		exec_hit(d, w.pc, &s);
	d->stop = s;
	return 0;
}

int control_step(struct debugger *d, unsigned vcpu, struct err *e)
{
	take_out_temp(d);
	return step_some(d, vcpu, 1, e);
}

bool control_interrupted(struct debugger *d)
{
	if (!d->interrupted || !d->interrupted())
		return false;
	d->stop.reason = STOP_INTERRUPTED;
	d->stop.breakpoint = 0;
	return true;
}

int debug_step(struct debugger *d, unsigned vcpu, uint64_t n, struct err *e)
{
	take_out_temp(d);
	if (!any_enabled(d))
		return n ? step_some(d, vcpu, n, e) : 0;
	while (n--) {
		int rc = step_some(d, vcpu, 1, e);
		if (rc || d->stop.reason != STOP_STEP || d->stop.no_progress)
			return rc;
		if (n && control_interrupted(d))
			return 0;
	}
	return 0;
}
