/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fake machine: slots, registers, running, plants. What it inspects is in fake_inspect.c.
 */
#include "tests/support/fake.h"
#include "core/run/queue.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/fake_inspect.h"

int fake_failing(struct machine *m, const char *op, struct err *e)
{
	struct fake *f = fake_of(m);

	if (!f->fail_op || strcmp(f->fail_op, op) != 0)
		return 0;
	if (f->fail_after) {
		f->fail_after--;
		return 0;
	}
	return err_set(e, f->fail_code, "%s" WHY "the test makes it fail" TRY "without fail_op", op);
}

static void die(const char *what, const struct err *e)
{
	char text[1024];

	err_format(e, text, sizeof(text));
	fprintf(stderr, "fake: %s: %s\n", what, text);
	abort();
}

/* ---- life */

static void reset_regs(struct regs *r)
{
	*r = (struct regs){.valid = REGS_ALL, .rip = 0xfff0, .rflags = RFLAGS_FIXED, .cr0 = CR0_ET | CR0_CD | CR0_NW};
	for (int i = 0; i < SEG_COUNT; i++)
		r->seg[i] = (struct seg){.limit = 0xffff, .type = 3, .s = true, .present = true};
	r->seg[SEG_CS].selector = 0xf000;
	r->seg[SEG_CS].base = 0xffff0000;
	r->seg[SEG_CS].type = 11;
	r->gdt.limit = r->idt.limit = 0xffff;
	r->tr = (struct seg){.limit = 0xffff, .type = 11, .present = true};
	r->ldt = (struct seg){.limit = 0xffff, .type = 2, .present = true};
	r->fpu.fcw = 0x37f;
	r->fpu.mxcsr = 0x1f80;
	r->dr[6] = 0xffff0ff0;
	r->dr[7] = 0x400;
	r->xcr0 = 1;
}

static int op_reset(struct machine *m, struct err *e)
{
	struct fake *f = fake_of(m);
	int rc = fake_failing(m, "reset", e);

	if (rc)
		return rc;
	for (unsigned i = 0; i < FAKE_VCPUS_MAX; i++)
		reset_regs(&f->regs[i]);
	memset(f->injected, 0, sizeof(f->injected));
	f->smbase = 0x30000;
	f->resets++;
	return 0;
}

static int op_create(const struct machine_config *cfg, struct machine **out, struct err *e)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (!f)
		return err_nomem(e, "fake machine");
	f->m.ops = &fake_ops;
	f->m.vcpus = cfg->vcpus;
	f->hpa_base = 0x100000000;
	if (op_reset(&f->m, e) < 0)
		abort();
	f->resets = 0;
	*out = &f->m;
	return 0;
}

static void op_destroy(struct machine *m)
{
	free(fake_of(m));
}

static const char *op_cap_why(const struct machine *m, enum machine_cap cap)
{
	const struct fake *f = (const struct fake *)m;

	if (cap <= MACHINE_CAP_CONTROL && f->look_only)
		return "it may only be looked at";
	return f->no_cap[cap] ? "the fake machine was told not to" : NULL;
}

static int op_facts(struct machine *m, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		    struct err *e)
{
	int rc = fake_failing(m, "facts", e);

	return rc ? rc : fn(arg, "breakpoints", "soft", "nothing executes here");
}

/* ---- slots */

static uint8_t *backing_of(const struct slot *s)
{
	return (uint8_t *)(((uintptr_t)s->backing + PAGE_OFFSET_MASK) & ~(uintptr_t)PAGE_OFFSET_MASK);
}

/* How memory is read that is not mapped here. */
static int fill(const struct slot *s, uint64_t gpa, void *buf, size_t len, struct err *e)
{
	struct fake *f = s->fill_ctx;
	uint64_t at = f->hole > gpa ? f->hole : gpa;

	f->fills++;
	if (at < gpa + len && at < f->hole + f->hole_len)
		return err_set_at(e, -ENODATA, ERR_SPACE_GPA, at,
				  "read gpa %#llx" WHY "the test makes it unreadable" TRY "another address",
				  (unsigned long long)at);
	memcpy(buf, backing_of(s) + (gpa - s->gpa), len);
	return 0;
}

void fake_unmap(struct machine *m, uint32_t id)
{
	struct slot *s = slot_by_id(&m->slots, id);

	s->alias = NULL;
	s->hva = 0;
	s->fill = fill;
	s->fill_ctx = fake_of(m);
}

static int op_slot_change(struct machine *m, struct slot *s, const struct slot_change *change, struct slot_steps *steps,
			  struct err *e)
{
	static const char *const names[] = {"create", "delete", "move", "flags", "nothing"};
	int rc = fake_failing(m, "slot_change", e);

	if (rc)
		return rc;
	if (change->kind == SLOT_CREATE && change->to.file)
		return err_set(e, -ENOTSUP, "slot add %u" WHY "the fake machine maps no files" TRY "fresh memory", s->id);
	if (change->kind == SLOT_CREATE && !s->backing) {
		s->backing = calloc(1, s->size + PAGE_SIZE_4K);
		if (!s->backing)
			return err_nomem(e, "slot memory");
		s->alias = backing_of(s);
		s->hva = (uintptr_t)s->alias;
	}
	fake_of(m)->slot_changes++;
	if (steps && steps->n < SLOT_STEPS_MAX)
		snprintf(steps->step[steps->n++], sizeof(steps->step[0]), "slot %u: %s", s->id, names[change->kind]);
	return 0;
}

static void op_slot_release(struct machine *m, struct slot *s)
{
	(void)m;
	free(s->backing);
	s->backing = NULL;
	s->alias = NULL;
	s->fill = NULL;
}

/* Nothing to fold in: fake_guest_write() marks at once. */
static int op_slot_dirty(struct machine *m, struct slot *s, bool restart, struct err *e)
{
	(void)s;
	(void)restart;
	return fake_failing(m, "slot_dirty", e);
}

static int op_wrote(struct machine *m, struct slot *s, uint64_t gpa, uint64_t len, struct err *e)
{
	struct fake *f = fake_of(m);
	int rc = fake_failing(m, "wrote", e);

	(void)s;
	if (rc)
		return rc;
	f->wrotes++;
	f->wrote_gpa = gpa;
	f->wrote_len = len;
	return 0;
}

static int op_hpa(struct machine *m, const struct slot *s, uint64_t gpa, uint64_t *hpa, struct err *e)
{
	(void)s;
	if (fake_of(m)->no_cap[MACHINE_CAP_HPA])
		return err_set(e, -ENOTSUP, "hpa of %#llx" WHY "the fake machine was told not to" TRY "another machine",
			       (unsigned long long)gpa);
	*hpa = fake_of(m)->hpa_base + gpa;
	return 0;
}

/* ---- vCPUs */

static int op_get_regs(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e)
{
	int rc = fake_failing(m, "get_regs", e);

	(void)parts;
	if (rc)
		return rc;
	*out = fake_of(m)->regs[vcpu];
	out->valid = REGS_ALL;
	return 0;
}

static void set_sys(struct regs *r, const struct regs *in)
{
	memcpy(r->seg, in->seg, sizeof(r->seg));
	r->tr = in->tr;
	r->ldt = in->ldt;
	r->gdt = in->gdt;
	r->idt = in->idt;
	r->cr0 = in->cr0;
	r->cr2 = in->cr2;
	r->cr3 = in->cr3;
	r->cr4 = in->cr4;
	r->cr8 = in->cr8;
	r->efer = in->efer;
	r->xcr0 = in->xcr0;
	r->smm = in->smm;
}

static void set_events(struct regs *r, const struct regs *in)
{
	r->halted = in->halted;
	r->sti_shadow = in->sti_shadow;
	r->mov_ss_shadow = in->mov_ss_shadow;
	r->nmi_masked = in->nmi_masked;
	r->exception_pending = in->exception_pending;
	r->exception_has_error = in->exception_has_error;
	r->exception_vector = in->exception_vector;
	r->exception_error = in->exception_error;
}

static int op_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e)
{
	struct regs *r = &fake_of(m)->regs[vcpu];
	int rc = fake_failing(m, "set_regs", e);

	if (rc)
		return rc;
	if (parts & REGS_GPR) {
		memcpy(r->gpr, in->gpr, sizeof(r->gpr));
		r->rip = in->rip;
		r->rflags = in->rflags;
	}
	if (parts & REGS_SYS)
		set_sys(r, in);
	if (parts & REGS_DEBUG)
		memcpy(r->dr, in->dr, sizeof(r->dr));
	if (parts & REGS_MSR)
		r->msr = in->msr;
	if (parts & REGS_FPU)
		r->fpu = in->fpu;
	if (parts & REGS_EVENTS)
		set_events(r, in);
	return 0;
}

static int op_inject(struct machine *m, unsigned vcpu, const struct guest_fault *fault, struct err *e)
{
	int rc = fake_failing(m, "inject", e);

	if (!rc)
		fake_of(m)->injected[vcpu] = *fault;
	return rc;
}

static int op_smi(struct machine *m, unsigned vcpu, struct err *e)
{
	int rc = fake_failing(m, "smi", e);

	if (rc)
		return rc;
	fake_of(m)->smis++;
	fake_of(m)->regs[vcpu].smm = true;
	return 0;
}

static int op_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e)
{
	int rc = fake_failing(m, "smbase", e);

	(void)vcpu;
	if (!rc)
		*smbase = fake_of(m)->smbase;
	return rc;
}

static bool op_walk_lock(struct machine *m)
{
	fake_of(m)->locks++;
	return true;
}

static void op_walk_unlock(struct machine *m)
{
	fake_of(m)->unlocks++;
}

/* ---- running */

static void default_stop(struct fake *f, enum run_kind kind, unsigned vcpu, uint64_t count, struct stop *out)
{
	*out = (struct stop){.reason = kind == RUN_STEP ? STOP_STEP : STOP_HLT, .vcpu = vcpu, .slot = -1};
	f->passed &= ~(1ull << vcpu);
	if (kind == RUN_STEP)
		f->regs[vcpu].rip += count;
	out->rip = f->regs[vcpu].rip;
}

/* Take the next event. Queued steps are played count times, anything else ends the run. */
static void play(struct fake *f, struct stop *out)
{
	struct fake_event *ev = &f->queue[f->q_head++ % FAKE_QUEUE_MAX];

	if (!ev->keep_rip)
		f->passed &= ~(1ull << ev->stop.vcpu);

	if (ev->fn)
		ev->fn(&f->m, ev->arg);
	*out = ev->stop;
	if (!ev->keep_rip)
		f->regs[out->vcpu].rip = out->rip;
	out->rip = f->regs[out->vcpu].rip;
}

/* A plant at a vCPU's rip that it was not told of. */
static bool stands_unasked(struct fake *f, unsigned vcpu, struct stop *out)
{
	for (unsigned i = 0; i < f->n_plants && !(f->passed >> vcpu & 1); i++) {
		if (f->plants[i].kind > PLANT_EXEC_HW || f->plants[i].addr != f->regs[vcpu].rip)
			continue;
		*out = (struct stop){.reason = STOP_BREAKPOINT,
				     .vcpu = vcpu,
				     .rip = f->regs[vcpu].rip,
				     .breakpoint = f->plants[i].id,
				     .slot = -1};
		return true;
	}
	return false;
}

static int enter(void *ctx, const struct run_job *job, struct stop *out, struct err *e)
{
	struct machine *m = ctx;
	enum run_kind kind = job->kind;
	unsigned vcpu = job->vcpu;
	uint64_t count = job->count;
	struct fake *f = fake_of(m);
	int rc = fake_failing(m, "run", e);

	if (rc)
		return rc;
	f->runs++;
	f->steps += kind == RUN_STEP ? (unsigned)count : 0;
	f->last_kind = kind;
	f->last_vcpu = vcpu;
	f->last_count = count;
	if (run_asked(&m->run)) {
		*out = (struct stop){.reason = STOP_INTERRUPTED, .vcpu = vcpu, .rip = f->regs[vcpu].rip, .slot = -1};
		return 0;
	}
	for (unsigned i = 0; i < m->vcpus; i++)
		if ((kind == RUN_CONTINUE || i == vcpu) && stands_unasked(f, i, out))
			return 0;
	for (uint64_t left = kind == RUN_STEP ? count : 1; left; left--) {
		if (f->q_head == f->q_tail) {
			default_stop(f, kind, vcpu, left, out);
			return 0;
		}
		play(f, out);
		if (out->reason != STOP_STEP)
			break;
	}
	return 0;
}

static int op_enter(void *ctx, struct run_job *job, struct stop *out, struct err *e)
{
	struct fake *f = fake_of(ctx);

	f->passed = job->passed;
	int rc = enter(ctx, job, out, e);
	job->passed = f->passed;
	return rc;
}

static void op_kick(void *ctx)
{
	fake_of(ctx)->kicks++;
}

/* A vCPU that a test has put inside a fault is let go: the run under way ends as a backend's would. */
static void op_release(void *ctx, enum run_release how)
{
	struct machine *m = ctx;
	struct stop *s = &m->run.stop;

	*s = (struct stop){.reason = how == RUN_RELEASE_ABANDON ? STOP_INTERRUPTED : STOP_STEP, .slot = -1};
	if (how == RUN_RELEASE_STAGE)
		m->run.rc = op_enter(ctx, &m->run.job, s, &m->run.err);
	queue_end(&m->run.queue);
}

static const struct run_ops run_ops = {
    .enter = op_enter,
    .kick = op_kick,
    .release = op_release,
};

void fake_park(struct machine *m, unsigned vcpu)
{
	m->run.parked_vcpu = vcpu;
	atomic_store(&m->run.phase, RUN_PARKED);
}

void fake_unpark(struct machine *m)
{
	atomic_store(&m->run.phase, RUN_STOPPED);
}

/* ---- plants */

static int op_plant(struct machine *m, struct plant *p, struct err *e)
{
	struct fake *f = fake_of(m);
	int rc = fake_failing(m, "plant", e);

	if (rc)
		return rc;
	if (f->n_plants == FAKE_PLANTS_MAX)
		return err_set(e, -ENOSPC, "plant %d" WHY "%u are planted already" TRY "delete some", p->id, f->n_plants);
	p->how = p->kind == PLANT_EXEC_HW ? "hw" : "soft";
	f->plants[f->n_plants++] = *p;
	return 0;
}

const struct plant *fake_plant(struct machine *m, int id)
{
	struct fake *f = fake_of(m);

	for (unsigned i = 0; i < f->n_plants; i++)
		if (f->plants[i].id == id)
			return &f->plants[i];
	return NULL;
}

static int op_unplant(struct machine *m, int id, struct err *e)
{
	struct fake *f = fake_of(m);
	int rc = fake_failing(m, "unplant", e);

	if (rc)
		return rc;
	for (unsigned i = 0; i < f->n_plants; i++) {
		if (f->plants[i].id != id)
			continue;
		memmove(&f->plants[i], &f->plants[i + 1], (f->n_plants - i - 1) * sizeof(f->plants[0]));
		f->n_plants--;
		return 0;
	}
	return err_set(e, -ENOENT, "unplant %d" WHY "nothing is planted under that id" TRY "info breakpoints", id);
}

static int op_set_catch(struct machine *m, uint32_t events, struct err *e)
{
	int rc = fake_failing(m, "set_catch", e);

	if (!rc)
		fake_of(m)->catch_events = events;
	return rc;
}

/* ---- fault stepping */

static int op_fault_catch(struct machine *m, const struct fault_filter *v, size_t n, struct err *e)
{
	struct fake *f = fake_of(m);
	int rc = fake_failing(m, "fault_catch", e);

	if (rc)
		return rc;
	f->filter_set = n > 0;
	f->n_filters = n;
	for (size_t i = 0; i < n; i++)
		f->filter[i] = v[i];
	return 0;
}

static int op_mmu_catch(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e)
{
	struct fake *f = fake_of(m);
	int rc = fake_failing(m, "mmu_catch", e);

	if (rc)
		return rc;
	if (n)
		memcpy(f->mmu, v, n * sizeof(*v));
	f->n_mmu = n;
	return 0;
}

static int op_mmu_events(struct machine *m, struct mmu_event_list *out, struct err *e)
{
	const struct fake *f = fake_of(m);
	size_t n = f->mmu_events.n;

	(void)e;
	*out = (struct mmu_event_list){.v = calloc(n + 1, sizeof(*out->v)), .n = n, .lost = f->mmu_events.lost};
	if (!out->v)
		abort();
	if (n)
		memcpy(out->v, f->mmu_events.v, n * sizeof(*out->v));
	return 0;
}

const struct machine_ops fake_ops = {
    .name = "fake",
    .create = op_create,
    .destroy = op_destroy,
    .cap_why = op_cap_why,
    .facts = op_facts,
    .slot_change = op_slot_change,
    .slot_release = op_slot_release,
    .slot_dirty = op_slot_dirty,
    .slot_source = SOURCE_SOFT,
    .wrote = op_wrote,
    .hpa = op_hpa,
    .get_regs = op_get_regs,
    .set_regs = op_set_regs,
    .inject = op_inject,
    .smi = op_smi,
    .smbase = op_smbase,
    .reset = op_reset,
    .live = 1u << ASK_LIVE_VCPU | 1u << ASK_LIVE_MEMORY | 1u << ASK_LIVE_MMU,
    .walk_lock = op_walk_lock,
    .walk_unlock = op_walk_unlock,
    .run = &run_ops,
    .plant = op_plant,
    .unplant = op_unplant,
    .set_catch = op_set_catch,
    .looks = &fake_looks,
    .mmu_catch = op_mmu_catch,
    .mmu_events = op_mmu_events,
    .fault_catch = op_fault_catch,
    .fault_stages = fake_fault_stages,
};

/* ---- for tests */

struct machine *fake_create(unsigned vcpus)
{
	struct machine_config cfg = {.vcpus = vcpus};
	struct machine *m = NULL;
	struct err e = {0};

	if (machine_create(&fake_ops, &cfg, &m, &e) < 0)
		die("create", &e);
	return m;
}

void fake_add_slot(struct machine *m, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags)
{
	struct slot_spec spec = {.id = id, .vis = SLOT_VIS_BOTH, .gpa = gpa, .size = size, .flags = flags};
	struct slot_steps steps = {0};
	struct err e = {0};

	if (machine_slot_add(m, &spec, &steps, &e) < 0)
		die("slot add", &e);
}

void fake_guest_write(struct machine *m, uint64_t gpa, const void *buf, size_t len)
{
	struct err e = {0};

	if (slots_write(&m->slots, gpa, false, buf, len, &e) < 0)
		die("guest write", &e);
	for (uint64_t at = gpa; at < gpa + len; at = (at & ~PAGE_OFFSET_MASK) + PAGE_SIZE_4K) {
		struct slot *s = slot_lookup(&m->slots, at, false, NULL);

		if (s)
			slot_mark_dirty(s, at, 1, false);
	}
}

void fake_push_event(struct machine *m, const struct fake_event *ev)
{
	struct fake *f = fake_of(m);

	if (f->q_tail - f->q_head == FAKE_QUEUE_MAX) {
		fprintf(stderr, "fake: more than %d stops queued\n", FAKE_QUEUE_MAX);
		abort();
	}
	f->queue[f->q_tail++ % FAKE_QUEUE_MAX] = *ev;
}

void fake_push_stop(struct machine *m, const struct stop *s)
{
	fake_push_event(m, &(struct fake_event){.stop = *s});
}

void fake_push_step(struct machine *m, unsigned vcpu, uint64_t rip)
{
	fake_push_stop(m, &(struct stop){.reason = STOP_STEP, .vcpu = vcpu, .rip = rip, .slot = -1});
}

unsigned fake_queued(struct machine *m)
{
	return fake_of(m)->q_tail - fake_of(m)->q_head;
}

void fake_enter_long(struct machine *m, unsigned vcpu, unsigned cpl, uint64_t cr3, uint64_t rip)
{
	struct regs *r = &fake_of(m)->regs[vcpu];
	struct seg data = {.limit = 0xffffffff, .type = 3, .s = true, .present = true, .db = true, .g = true};

	data.dpl = (uint8_t)cpl;
	data.selector = cpl ? 0x1b : 0x10;
	for (int i = 0; i < SEG_COUNT; i++)
		r->seg[i] = data;
	r->seg[SEG_CS].selector = cpl ? 0x23 : 8;
	r->seg[SEG_CS].type = 11;
	r->seg[SEG_CS].db = false;
	r->seg[SEG_CS].l = true;
	r->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	r->cr3 = cr3;
	r->cr4 = CR4_PAE;
	r->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	r->rip = rip;
	r->rflags = RFLAGS_FIXED;
}
