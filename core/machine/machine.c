/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's wrapper: life, vCPUs, what to stop at. It asks once for all backends what must hold before an operation (its
 * row in calls.h, arguments) and then calls the backend. running.c, slots.c, memory.c, looks.c and history.c are its others.
 */
#include "core/machine/check.h"

#include <errno.h>
#include <string.h>

static void on_console(void *ctx, const char *bytes, size_t n)
{
	run_console(&((struct machine *)ctx)->run, bytes, n);
}

static int check_config(const struct machine_config *cfg, struct err *e)
{
	if (cfg->vcpus >= 1 && cfg->vcpus <= 64)
		return cfg->dirty_ring ? dirty_ring_check(cfg->dirty_ring, e) : 0;
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
	m->rings.entries = cfg->dirty_ring;
	lock_init(&m->rings.lock, LOCK_DIRTY);
	slot_limits_default(&m->slots.limits);
	board_init(&m->board);
	m->board.console = on_console;
	m->board.console_ctx = m;
	rc = run_init(&m->run, backend->run, m, e);
	if (rc) {
		storage_keys_destroy(keys);
		lock_destroy(&m->rings.lock);
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
	lock_destroy(&m->rings.lock);
	free(m->rings.v);
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

int machine_facts(struct machine *m, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		  struct err *e)
{
	int rc = machine_check(m, CALL_facts, NULL, e);

	return rc || !m->ops->facts ? rc : m->ops->facts(m, fn, arg, e);
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
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = machine_check_vcpu(m, vcpu, "read registers", e);

	if (!rc)
		rc = check_parts(parts, "read registers", e);
	if (!rc)
		rc = machine_begin(m, CALL_get_regs, &hold, e);
	return rc ? rc : m->ops->get_regs(m, vcpu, parts, out, e);
}

int machine_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "write registers", e);

	if (!rc)
		rc = check_parts(parts, "write registers", e);
	if (!rc)
		rc = machine_check(m, CALL_set_regs, NULL, e);
	if (rc)
		return rc;
	m->changes++;
	return m->ops->set_regs(m, vcpu, parts, in, e);
}

int machine_inject(struct machine *m, unsigned vcpu, const struct guest_fault *f, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "inject an exception", e);

	if (!rc && (!f->present || f->vector > 31))
		rc = err_set(e, -EINVAL, "inject an exception" WHY "vector %u is no exception" TRY "a vector below 32",
			     f->vector);
	if (!rc)
		rc = machine_check(m, CALL_inject, NULL, e);
	if (rc)
		return rc;
	m->changes++;
	return m->ops->inject(m, vcpu, f, e);
}

int machine_smi(struct machine *m, unsigned vcpu, struct err *e)
{
	int rc = machine_check_vcpu(m, vcpu, "smi", e);

	if (!rc)
		rc = machine_check(m, CALL_smi, NULL, e);
	if (rc)
		return rc;
	m->changes++;
	return m->ops->smi(m, vcpu, e);
}

int machine_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = machine_check_vcpu(m, vcpu, "read SMBASE", e);

	if (!rc)
		rc = machine_begin(m, CALL_smbase, &hold, e);
	return rc ? rc : m->ops->smbase(m, vcpu, smbase, e);
}

int machine_reset(struct machine *m, struct err *e)
{
	int rc = machine_check(m, CALL_reset, NULL, e);

	if (rc)
		return rc;
	m->resets++;
	rc = m->ops->reset(m, e);
	if (!rc)
		board_reset(&m->board);
	return rc;
}

/* ---- what to stop at */

static bool is_watch(const struct plant *p)
{
	return p->kind == PLANT_WRITE || p->kind == PLANT_READ || p->kind == PLANT_ACCESS;
}

static int check_plant(const struct machine *m, const struct plant *p, struct err *e)
{
	bool watch = is_watch(p);

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
	return machine_check_caps(m, NEEDS(WATCH), "watchpoint", e);
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

	if (!rc)
		rc = machine_check(m, CALL_check_watch, NULL, e);
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
		rc = machine_check(m, CALL_plant, is_watch(p) ? "watchpoint" : NULL, e);
	return rc ? rc : m->ops->plant(m, p, e);
}

int machine_unplant(struct machine *m, int id, struct err *e)
{
	int rc = machine_check(m, CALL_unplant, NULL, e);

	return rc ? rc : m->ops->unplant(m, id, e);
}

int machine_plants_now(struct machine *m, struct plant *p, size_t n, struct err *e)
{
	int rc = machine_check(m, CALL_plants_now, NULL, e);

	return rc ? rc : m->ops->plants_now(m, p, n, e);
}

const char *machine_catch_how(const struct machine *m, uint32_t event)
{
	return m->ops->catch_how ? m->ops->catch_how(event) : "soft";
}

int machine_catch(struct machine *m, uint32_t events, struct err *e)
{
	const uint32_t all = CATCH_MMIO | CATCH_PIO | CATCH_EXCEPTION | CATCH_SMI | CATCH_MODE | CATCH_SLOT;

	if (events & ~all)
		return err_set(e, -EINVAL, "catch" WHY "%#x are no events" TRY "mmio, pio, exception, smi, mode or slot",
			       events & ~all);
	/* None, on a machine that has none: nothing to do. */
	if (!events && machine_check(m, CALL_catch, NULL, NULL) == -ENOTSUP)
		return 0;
	int rc = machine_check(m, CALL_catch, NULL, e);
	if (!rc)
		rc = m->ops->set_catch(m, events, e);
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
			return err_set(e, -EINVAL, "catch mmu" WHY "%#x are no events" TRY "zap, unsync, sync, spte or tdp",
				       v[i].kinds);
		rc = machine_check_range(v[i].first, v[i].last, "catch mmu", e);
	}
	return rc;
}

int machine_mmu_catch(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e)
{
	int rc = check_mmu_filters(v, n, e);

	/* None, on a machine that has none: nothing to do. */
	if (!rc && !n && machine_check(m, CALL_mmu_catch, NULL, NULL) == -ENOTSUP)
		return 0;
	if (!rc)
		rc = machine_check(m, CALL_mmu_catch, NULL, e);
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
	int rc = machine_check(m, CALL_mmu_events, NULL, e);

	if (!rc && m->ops->mmu_events)
		return m->ops->mmu_events(m, out, e);
	if (!rc)
		*out = (struct mmu_event_list){.v = NULL};
	return rc;
}
