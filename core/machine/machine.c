/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's wrapper: life, vCPUs, running, inspection. It asks once for all backends what must hold before an
 * operation (arguments, run state, capability, nobody parked) and then calls the backend. Slots are in machine_slots.c,
 * guest memory in machine_mem.c.
 */
#include "core/machine/check.h"

#include <errno.h>
#include <string.h>

static const char *cap_name(enum machine_cap cap)
{
	static const char *const name[] = {
	    [MACHINE_CAP_SHADOW] = "shadow pages",   [MACHINE_CAP_RMAP] = "rmaps",
	    [MACHINE_CAP_MMIO_CACHE] = "MMIO cache", [MACHINE_CAP_HPA] = "host physical addresses",
	    [MACHINE_CAP_WATCH] = "watchpoints",     [MACHINE_CAP_FAULT_STEP] = "fault stepping",
	    [MACHINE_CAP_SMM_NATIVE] = "SMM",	     [MACHINE_CAP_REVERSE] = "reverse execution",
	};

	return (size_t)cap < ARRAY_LEN(name) ? name[cap] : "this";
}

int machine_check_vcpu(const struct machine *m, unsigned vcpu, const char *what, struct err *e)
{
	if (vcpu < m->vcpus)
		return 0;
	return err_set(e, -EINVAL, "%s: vCPU %u" WHY "this VM has %u, numbered from 0" TRY "0%s", what, vcpu, m->vcpus,
		       m->vcpus > 1 ? " or another below that" : "");
}

int machine_check_idle(const struct machine *m, const char *what, struct err *e)
{
	return run_phase_check(run_phase(&m->run), RUN_ASK_IDLE, false, m->run.parked_vcpu, what, e);
}

int machine_check_cap(const struct machine *m, enum machine_cap cap, bool has_op, const char *what, struct err *e)
{
	const char *why = NULL, *next = NULL;

	if (machine_can(m, cap, &why) && has_op)
		return 0;
	if (has_op && m->ops->cap_next)
		next = m->ops->cap_next(m, cap);
	return err_set(e, -ENOTSUP, "%s" WHY "%s: not supported by this backend (%s), because %s" TRY "%s", what,
		       cap_name(cap), m->ops->name, why ? why : "it does not have this operation",
		       next && *next ? next : "info kvm for what this host can do, or another backend (-b)");
}

int machine_check_range(uint64_t first, uint64_t last, const char *what, struct err *e)
{
	if (first <= last)
		return 0;
	return err_set(e, -EINVAL, "%s %#llx %#llx" WHY "the range ends before it begins" TRY "the lower address first",
		       what, (unsigned long long)first, (unsigned long long)last);
}

static void on_console(void *ctx, const char *bytes, size_t n)
{
	run_console(&((struct machine *)ctx)->run, bytes, n);
}

static int check_config(const struct machine_config *cfg, struct err *e)
{
	if (cfg->vcpus >= 1 && cfg->vcpus <= 64)
		return 0;
	return err_set(e, -EINVAL, "create a VM with %u vCPUs" WHY "a VM has 1 to 64" TRY "-n 1", cfg->vcpus);
}

int machine_create(const struct machine_ops *backend, const struct machine_config *cfg, struct machine **out, struct err *e)
{
	struct storage_keys *keys;
	struct machine *m = NULL;
	int rc = check_config(cfg, e);

	if (rc)
		return rc;
	keys = storage_keys_create();
	if (!keys)
		return err_nomem(e, "create a VM");
	rc = backend->create(cfg, &m, e);
	if (rc) {
		storage_keys_destroy(keys);
		return rc;
	}
	m->ops = backend;
	m->vcpus = cfg->vcpus;
	m->keys = keys;
	slot_limits_default(&m->slots.limits);
	board_init(&m->board);
	m->board.console = on_console;
	m->board.console_ctx = m;
	rc = run_init(&m->run, backend->run, m, e);
	if (rc) {
		storage_keys_destroy(keys);
		backend->destroy(m);
		return rc;
	}
	*out = m;
	return 0;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	/* A vCPU inside a fault waits for memory that is about to go. */
	run_close(&m->run);
	for (size_t i = 0; i < m->slots.n; i++)
		m->ops->slot_release(m, m->slots.by_gfn[i]);
	slot_table_deinit(&m->slots);
	storage_keys_destroy(m->keys);
	run_deinit(&m->run);
	m->ops->destroy(m);
}

const char *machine_backend(const struct machine *m)
{
	return m->ops->name;
}

unsigned machine_vcpus(const struct machine *m)
{
	return m->vcpus;
}

bool machine_can(const struct machine *m, enum machine_cap cap, const char **why)
{
	const char *reason = m->ops->cap_why(m, cap);

	if (why)
		*why = reason;
	return !reason;
}

int machine_facts(struct machine *m, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		  struct err *e)
{
	return m->ops->facts ? m->ops->facts(m, fn, arg, e) : 0;
}

struct board *machine_board(struct machine *m)
{
	return &m->board;
}

struct storage_keys *machine_keys(struct machine *m)
{
	return m->keys;
}

/* ---- vCPUs */

static int check_parts(uint32_t parts, const char *what, struct err *e)
{
	if (!(parts & ~(uint32_t)REGS_ALL))
		return 0;
	return err_set(e, -EINVAL, "%s" WHY "%#x names parts that registers do not have" TRY "%#x", what, parts, REGS_ALL);
}

int machine_get_regs(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "read registers", e);

	if (!rc)
		rc = check_parts(parts, "read registers", e);
	return rc ? rc : m->ops->get_regs(m, vcpu, parts, out, e);
}

int machine_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "write registers", e);

	if (!rc)
		rc = check_parts(parts, "write registers", e);
	if (!rc)
		rc = machine_check_idle(m, "write registers", e);
	m->changes++;
	return rc ? rc : m->ops->set_regs(m, vcpu, parts, in, e);
}

int machine_inject(struct machine *m, unsigned vcpu, const struct guest_fault *f, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "inject an exception", e);

	if (!rc && (!f->present || f->vector > 31))
		rc = err_set(e, -EINVAL, "inject an exception" WHY "vector %u is no exception" TRY "a vector below 32",
			     f->vector);
	if (!rc)
		rc = machine_check_idle(m, "inject an exception", e);
	m->changes++;
	return rc ? rc : m->ops->inject(m, vcpu, f, e);
}

int machine_smi(struct machine *m, unsigned vcpu, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "smi", e);

	if (!rc)
		rc = machine_check_idle(m, "smi", e);
	m->changes++;
	return rc ? rc : m->ops->smi(m, vcpu, e);
}

int machine_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "read SMBASE", e);

	return rc ? rc : m->ops->smbase(m, vcpu, smbase, e);
}

int machine_reset(struct machine *m, struct err *e)
{
	int rc = machine_check_idle(m, "reset", e);

	m->resets++;
	if (!rc)
		rc = m->ops->reset(m, e);
	if (!rc)
		board_reset(&m->board);
	return rc;
}

/* ---- what to stop at */

/* Nobody executes guest code; a vCPU may stand inside a fault. */
static int check_still(const struct machine *m, const char *what, struct err *e)
{
	return run_phase_check(run_phase(&m->run), RUN_ASK_STOPPED, false, 0, what, e);
}

static int check_plant(const struct machine *m, const struct plant *p, struct err *e)
{
	bool watch = p->kind == PLANT_WRITE || p->kind == PLANT_READ || p->kind == PLANT_ACCESS;

	if (!watch && p->phys)
		return err_set(e, -EINVAL,
			       "breakpoint %d" WHY "breakpoints are at linear addresses, not physical ones" TRY
			       "a gva, or watch -phys",
			       p->id);
	if (!watch)
		return 0;
	if (!p->len || range_wraps(p->addr, p->len))
		return err_set_at(e, -EINVAL, p->phys ? ERR_SPACE_GPA : ERR_SPACE_GVA, p->addr,
				  "watchpoint %d at %#llx" WHY "%#llx bytes from there are no range" TRY
				  "a length of 1 or more",
				  p->id, (unsigned long long)p->addr, (unsigned long long)p->len);
	return machine_check_cap(m, MACHINE_CAP_WATCH, true, "watchpoint", e);
}

static int check_watched_gpa(const struct machine *m, const struct plant *p, uint64_t gpa, const struct slot **out,
			     struct err *e)
{
	const struct slot *s = NULL;

	for (size_t i = 0; !s && i < m->slots.n; i++)
		if (slot_contains(m->slots.by_gfn[i], gpa))
			s = m->slots.by_gfn[i];
	*out = s;
	if (!s)
		return err_set_at(e, -EINVAL, ERR_SPACE_GPA, gpa,
				  "watch on MMIO: %#llx" WHY
				  "no slot has gpa %#llx, so that every access there goes to a device" TRY
				  "catch mmio %#llx",
				  (unsigned long long)p->addr, (unsigned long long)gpa, (unsigned long long)gpa);
	if (s->own)
		return err_set_at(e, -EPERM, ERR_SPACE_GPA, gpa,
				  "watch %#llx" WHY "gpa %#llx is memory that the debugger keeps for itself" TRY
				  "info slots",
				  (unsigned long long)p->addr, (unsigned long long)gpa);
	if (p->kind == PLANT_WRITE && s->flags & SLOT_READONLY)
		return err_set_at(
		    e, -EINVAL, ERR_SPACE_GPA, gpa,
		    "watch %#llx" WHY "slot %u is READONLY: a write to gpa %#llx leaves as MMIO and changes nothing" TRY
		    "catch mmio %#llx, rwatch, or slot flags %u -readonly",
		    (unsigned long long)p->addr, s->id, (unsigned long long)gpa, (unsigned long long)gpa, s->id);
	return 0;
}

int machine_check_watch(struct machine *m, unsigned vcpu, const struct plant *p, struct err *e)
{
	struct xlate_env env;
	int rc = check_plant(m, p, e);

	if (!rc && !p->phys)
		rc = machine_env(m, vcpu, &env, e);
	for (uint64_t at = p->addr, left = p->len, part; !rc && left; at += part, left -= part) {
		const struct slot *s = NULL;
		struct walk w = {.gpa = at};

		part = PAGE_SIZE_4K - (at & PAGE_OFFSET_MASK);
		if (!p->phys)
			paging_walk(&env.pg, &env.mem, at, ACCESS_READ | ACCESS_IMPLICIT, false, &w);
		/* What is not mapped now may be later. */
		if (!w.fault.present)
			rc = check_watched_gpa(m, p, w.gpa, &s, e);
		if (s && p->phys)
			part = s->size - (at - s->gpa);
		part = part < left ? part : left;
	}
	return rc;
}

int machine_plant(struct machine *m, struct plant *p, struct err *e)
{
	int rc = check_plant(m, p, e);

	if (!rc)
		rc = check_still(m, "plant a breakpoint", e);
	return rc ? rc : m->ops->plant(m, p, e);
}

int machine_unplant(struct machine *m, int id, struct err *e)
{
	int rc = check_still(m, "remove a breakpoint", e);

	return rc ? rc : m->ops->unplant(m, id, e);
}

int machine_catch(struct machine *m, uint32_t events, struct err *e)
{
	const uint32_t all = CATCH_MMIO | CATCH_PIO | CATCH_EXCEPTION | CATCH_SMI | CATCH_MODE | CATCH_SLOT;

	if (events & ~all)
		return err_set(e, -EINVAL, "catch" WHY "%#x are no events" TRY "mmio, pio, exception, smi, mode or slot",
			       events & ~all);
	int rc = m->ops->set_catch(m, events, e);
	if (rc)
		return rc;
	m->catches = events;
	if (!(events & CATCH_SLOT))
		machine_slot_forget_news(m);
	return 0;
}

static int check_mmu_filters(const struct mmu_filter *v, size_t n, struct err *e)
{
	int rc = 0;

	if (n > MMU_FILTERS_MAX)
		return err_set(e, -ENOSPC, "catch mmu" WHY "%zu filters, at most %u fit" TRY "wider ranges of gfns", n,
			       MMU_FILTERS_MAX);
	for (size_t i = 0; !rc && i < n; i++) {
		if (!v[i].kinds || v[i].kinds & ~MMU_ALL)
			return err_set(e, -EINVAL, "catch mmu" WHY "%#x are no events" TRY "zap, unsync, sync or spte",
				       v[i].kinds);
		rc = machine_check_range(v[i].first, v[i].last, "catch mmu", e);
	}
	return rc;
}

int machine_mmu_catch(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e)
{
	int rc = check_mmu_filters(v, n, e);

	if (!rc && !n && !m->ops->mmu_catch)
		return 0;
	if (!rc && n)
		rc = machine_check_cap(m, MACHINE_CAP_SHADOW, m->ops->mmu_catch, "catch mmu", e);
	if (!rc)
		rc = check_still(m, "catch mmu", e);
	return rc ? rc : m->ops->mmu_catch(m, v, n, e);
}

bool mmu_filter_matches(const struct mmu_filter *v, size_t n, const struct mmu_event *ev)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].kinds & ev->kind && ev->gfn >= v[i].first && ev->gfn <= v[i].last)
			return true;
	return false;
}

int machine_mmu_events(struct machine *m, struct mmu_event_list *out, struct err *e)
{
	if (m->ops->mmu_events)
		return m->ops->mmu_events(m, out, e);
	*out = (struct mmu_event_list){.v = NULL};
	return 0;
}

/* ---- inspection */

int machine_shadow_pages(struct machine *m, unsigned flags, struct shadow_page_list *out, struct err *e)
{
	int rc = machine_check_cap(m, MACHINE_CAP_SHADOW, m->ops->shadow_pages, "list shadow pages", e);

	if (!rc && (flags & ~(unsigned)(SHADOW_WITH_ENTRIES | SHADOW_WITH_PARENTS)))
		rc = err_set(e, -EINVAL, "list shadow pages" WHY "flags %#x" TRY "entries and parents are all there is",
			     flags);
	return rc ? rc : m->ops->shadow_pages(m, flags, out, e);
}

int machine_roots(struct machine *m, struct root_list *out, struct err *e)
{
	int rc = machine_check_cap(m, MACHINE_CAP_SHADOW, m->ops->roots, "list roots", e);

	return rc ? rc : m->ops->roots(m, out, e);
}

int machine_sptes(struct machine *m, unsigned vcpu, uint64_t first, uint64_t last, struct spte_list *out, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "list sptes", e);

	if (!rc)
		rc = machine_check_range(first, last, "list sptes", e);
	if (!rc)
		rc = machine_check_cap(m, MACHINE_CAP_SHADOW, m->ops->sptes, "list sptes", e);
	return rc ? rc : m->ops->sptes(m, vcpu, first, last, out, e);
}

int machine_rmap(struct machine *m, uint64_t gfn, struct rmap_list *out, struct err *e)
{
	int rc = machine_check_cap(m, MACHINE_CAP_RMAP, m->ops->rmap, "read an rmap", e);

	if (rc)
		return rc;
	if (gfn > UINT64_MAX >> PAGE_SHIFT) { /* its address would be another page's */
		*out = (struct rmap_list){0};
		return 0;
	}
	return m->ops->rmap(m, gfn, out, e);
}

int machine_rmap_all(struct machine *m, struct rmap_list *out, struct err *e)
{
	int rc = machine_check_cap(m, MACHINE_CAP_RMAP, m->ops->rmap_all, "read all rmaps", e);

	return rc ? rc : m->ops->rmap_all(m, out, e);
}

int machine_rmap_each(struct machine *m, rmap_fn *fn, void *arg, struct err *e)
{
	struct rmap_list l = {0};
	int rc;

	if (m->ops->rmap_each) {
		rc = machine_check_cap(m, MACHINE_CAP_RMAP, true, "read all rmaps", e);
		return rc ? rc : m->ops->rmap_each(m, fn, arg, e);
	}
	rc = machine_rmap_all(m, &l, e);
	for (size_t i = 0; !rc && i < l.n; i++)
		rc = fn(arg, &l.v[i]);
	rmap_list_free(&l);
	return rc;
}

void machine_inspect_hold(struct machine *m, bool on)
{
	if (m->ops->inspect_hold)
		m->ops->inspect_hold(m, on);
}

int machine_rmap_histogram(struct machine *m, struct rmap_histogram_list *out, struct err *e)
{
	int rc = machine_check_cap(m, MACHINE_CAP_RMAP, m->ops->rmap_histogram, "count rmaps", e);

	return rc ? rc : m->ops->rmap_histogram(m, out, e);
}

int machine_mmio(struct machine *m, struct mmio_info_list *out, struct err *e)
{
	struct mmio_info_list l = {0};
	int rc = machine_check_cap(m, MACHINE_CAP_MMIO_CACHE, m->ops->mmio, "read the MMIO cache", e);

	if (!rc)
		rc = m->ops->mmio(m, &l, e);
	if (rc)
		return rc;
	machine_mmio_compare(m, &l);
	*out = l;
	return 0;
}
