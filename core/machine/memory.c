/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's guest memory as the debugger sees it: physical, through a vCPU's tables, by memop; host addresses; and
 * whether a vCPU's cached MMIO address still means what the guest's tables say.
 */
#include "core/machine/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef unsigned long long ull;

/* As the guest has it. */
static int read_memory(struct machine *m, uint64_t gpa, bool smm, void *buf, size_t len, struct err *e)
{
	int rc = slots_read(&m->slots, gpa, smm, buf, len, e);

	if (!rc && m->ops->hide_plants)
		m->ops->hide_plants(m, gpa, buf, len);
	return rc;
}

int machine_read(struct machine *m, uint64_t gpa, bool smm, void *buf, size_t len, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = machine_begin(m, CALL_read, &hold, e);

	return rc ? rc : read_memory(m, gpa, smm, buf, len, e);
}

/* Tell the backend, slot by slot, what was written. */
static int tell_written(struct machine *m, uint64_t gpa, bool smm, uint64_t len, struct err *e)
{
	int rc = 0;

	m->changes++;
	while (len && !rc) {
		struct slot *s = slot_lookup(&m->slots, gpa, smm, NULL);
		uint64_t run = s ? s->size - (gpa - s->gpa) : len;

		if (run > len)
			run = len;
		if (s)
			rc = m->ops->wrote(m, s, gpa, run, e);
		gpa += run;
		len -= run;
	}
	return rc;
}

int machine_write(struct machine *m, uint64_t gpa, bool smm, const void *buf, size_t len, struct err *e)
{
	int rc = machine_check(m, CALL_write, NULL, e);

	if (!rc)
		rc = slots_write(&m->slots, gpa, smm, buf, len, e);
	return rc ? rc : tell_written(m, gpa, smm, len, e);
}

/* How much of a slot's file is there at this moment. */
static uint64_t file_room(const struct slot *s, uint64_t offset, uint64_t room)
{
	struct stat st;
	uint64_t size;

	if (fstat(s->fd, &st) || (uint64_t)st.st_size <= s->fd_offset + offset)
		return 0;
	size = (uint64_t)st.st_size - s->fd_offset - offset;
	return size < room ? size : room;
}

const uint8_t *machine_peek(struct machine *m, uint64_t gpa, bool smm, size_t *len)
{
	struct slot *s = slot_lookup(&m->slots, gpa, smm, NULL);
	uint64_t room;

	if (!s || !s->alias)
		return NULL;
	room = s->size - (gpa - s->gpa);
	if (s->file_backed && s->fd >= 0)
		room = file_room(s, gpa - s->gpa, room);
	if (!room)
		return NULL;
	*len = (size_t)room;
	return s->alias + (gpa - s->gpa);
}

int machine_env(struct machine *m, unsigned vcpu, struct xlate_env *out, struct err *e)
{
	struct regs r = {0};
	int rc = machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS, &r, e);

	/* Protection keys are the one thing that paging takes from the FPU's part. */
	if (!rc && (r.cr4 & CR4_PKE))
		rc = machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS | REGS_FPU, &r, e);
	if (rc)
		return rc;
	xlate_env_init(out, &m->slots, &r);
	out->board = &m->board;
	if (r.cr4 & CR4_PKE)
		out->pg.pkru = r.pkru;
	if (m->maxphyaddr)
		out->pg.maxphyaddr = out->nested.maxphyaddr = m->maxphyaddr;
	out->pg.gbpages = !m->no_gbpages;
	return 0;
}

/* ---- through a vCPU's tables */

static int gva_runs(struct machine *m, unsigned vcpu, uint64_t gva, size_t len, bool write, struct xlate_env *env,
		    struct xlate_runs *runs, struct err *e)
{
	int rc = machine_env(m, vcpu, env, e);

	if (!rc)
		rc = xlate_runs(env, gva, len, write, runs, e);
	for (size_t i = 0; !rc && i < runs->n; i++) {
		rc = slots_probe(&m->slots, runs->v[i].gpa, env->smm, runs->v[i].len, write, e);
		if (rc)
			err_prefix(e, "gva %#llx: ", (ull)runs->v[i].gva);
	}
	return rc;
}

int machine_read_gva(struct machine *m, unsigned vcpu, uint64_t gva, void *buf, size_t len, struct err *e)
{
	struct xlate_runs runs = {0};
	struct xlate_env env;
	uint8_t *to = buf;
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = machine_begin(m, CALL_read_gva, &hold, e);

	if (!rc)
		rc = gva_runs(m, vcpu, gva, len, false, &env, &runs, e);
	for (size_t i = 0; !rc && i < runs.n; i++) {
		rc = read_memory(m, runs.v[i].gpa, env.smm, to, runs.v[i].len, e);
		to += runs.v[i].len;
	}
	xlate_runs_free(&runs);
	return rc;
}

int machine_write_gva(struct machine *m, unsigned vcpu, uint64_t gva, const void *buf, size_t len, struct err *e)
{
	struct xlate_runs runs = {0};
	struct xlate_env env;
	const uint8_t *from = buf;
	int rc = machine_check(m, CALL_write_gva, NULL, e);

	if (!rc)
		rc = gva_runs(m, vcpu, gva, len, true, &env, &runs, e);
	for (size_t i = 0; !rc && i < runs.n; i++) {
		rc = machine_write(m, runs.v[i].gpa, env.smm, from, runs.v[i].len, e);
		from += runs.v[i].len;
	}
	xlate_runs_free(&runs);
	return rc;
}

int machine_writable(struct machine *m, uint64_t gpa, bool smm, size_t len, struct err *e)
{
	int rc = machine_check(m, CALL_writable, NULL, e);

	return rc ? rc : slots_probe(&m->slots, gpa, smm, len, true, e);
}

int machine_writable_gva(struct machine *m, unsigned vcpu, uint64_t gva, size_t len, struct err *e)
{
	struct xlate_runs runs = {0};
	struct xlate_env env;
	int rc = machine_check(m, CALL_writable_gva, NULL, e);

	if (!rc)
		rc = gva_runs(m, vcpu, gva, len, true, &env, &runs, e);
	xlate_runs_free(&runs);
	return rc;
}

/* ---- memop */

struct memop_ctx {
	struct machine *m;
	unsigned vcpu;
	bool smm;
};

static int memop_inject(void *ctx, const struct guest_fault *f, struct err *e)
{
	struct memop_ctx *c = ctx;

	return machine_inject(c->m, c->vcpu, f, e);
}

static int memop_wrote(void *ctx, uint64_t gpa, uint64_t len, struct err *e)
{
	struct memop_ctx *c = ctx;

	return tell_written(c->m, gpa, c->smm, len, e);
}

/* Under the walk lock, which the registers that the walk begins with are under too. */
static int memop_locked(struct machine *m, unsigned vcpu, const struct memop *op, struct memop_result *out, struct err *e)
{
	struct memop_ctx ctx = {.m = m, .vcpu = vcpu};
	struct memop_env env = {.keys = m->keys, .ctx = &ctx, .inject = memop_inject, .wrote = memop_wrote};
	struct regs r = {0};
	int rc = machine_env(m, vcpu, &env.x, e);

	if (!rc)
		rc = machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS, &r, e);
	if (rc)
		return rc;
	ctx.smm = env.x.smm;
	env.x.cache = &m->gfn_cache;
	return memop_run(&env, op, regs_cpl(&r), out, e);
}

static enum machine_call memop_call(const struct memop *op)
{
	bool writes = op->op == MEMOP_LOGICAL_WRITE || op->op == MEMOP_ABSOLUTE_WRITE || op->op == MEMOP_ABSOLUTE_CMPXCHG;

	if (writes && !(op->flags & MEMOP_CHECK_ONLY))
		return CALL_memop_write;
	return op->flags & MEMOP_INJECT ? CALL_memop_inject : CALL_memop;
}

int machine_memop(struct machine *m, unsigned vcpu, const struct memop *op, struct memop_result *out, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = machine_check(m, memop_call(op), NULL, e);

	if (rc)
		return rc;
	machine_hold(m, &hold);
	return memop_locked(m, vcpu, op, out, e);
}

/* ---- host addresses */

static int slot_of(struct machine *m, uint64_t gpa, bool smm, const char *what, struct slot **out, struct err *e)
{
	*out = slot_lookup(&m->slots, gpa, smm, NULL);
	if (*out)
		return 0;
	return err_set_at(e, -EFAULT, ERR_SPACE_GPA, gpa,
			  "%s of gpa %#llx" WHY "no slot covers it%s" TRY "info slots for what there is", what, (ull)gpa,
			  smm ? " inside SMM" : "");
}

int machine_hva(struct machine *m, uint64_t gpa, bool smm, uint64_t *hva, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct slot *s;
	int rc = machine_begin(m, CALL_hva, &hold, e);

	if (!rc)
		rc = slot_of(m, gpa, smm, "host virtual address", &s, e);
	if (!rc && !s->hva)
		rc = err_set_at(e, -ENODATA, ERR_SPACE_GPA, gpa,
				"host virtual address of gpa %#llx" WHY "slot %u is not mapped in this process" TRY
				"x, or dump",
				(ull)gpa, s->id);
	if (!rc)
		*hva = s->hva + (gpa - s->gpa);
	return rc;
}

int machine_hpa(struct machine *m, uint64_t gpa, bool smm, uint64_t *hpa, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct slot *s;
	int rc = machine_begin(m, CALL_hpa, &hold, e);

	if (!rc)
		rc = slot_of(m, gpa, smm, "host physical address", &s, e);
	return rc ? rc : m->ops->hpa(m, s, gpa, hpa, e);
}

/* ---- the MMIO cache against the guest's tables */

#define MMIO_WRITE 2u
#define MMIO_USER 4u

/* What the tables say now of a cached (gva, gfn, access), in words if that is something else. */
static void compare_tables(const struct xlate_env *env, struct mmio_info *i)
{
	struct paging pg = xlate_debug_paging(env);
	struct walk w;
	uint64_t gfn;

	paging_walk(&pg, &env->mem, i->gva, ACCESS_READ, false, &w);
	gfn = w.gpa >> PAGE_SHIFT;
	if (w.fault.present)
		snprintf(i->stale_why, sizeof(i->stale_why), "gva %#llx no longer translates: %.100s", (ull)i->gva, w.why);
	else if (gfn != i->gfn)
		snprintf(i->stale_why, sizeof(i->stale_why), "gva %#llx now maps gfn %#llx, not %#llx", (ull)i->gva,
			 (ull)gfn, (ull)i->gfn);
	else if ((i->access & MMIO_USER) && !(w.rights & ACCESS_USER))
		snprintf(i->stale_why, sizeof(i->stale_why), "gva %#llx is no longer a user page", (ull)i->gva);
	else if ((i->access & MMIO_WRITE) && !(w.rights & ACCESS_WRITE) && (env->pg.cr0 & CR0_WP))
		snprintf(i->stale_why, sizeof(i->stale_why), "gva %#llx is no longer writable", (ull)i->gva);
	i->stale = i->stale_why[0] != '\0';
}

static void compare_one(struct machine *m, struct mmio_info *i)
{
	struct xlate_env env;
	struct slot *s;
	int rc = machine_env(m, i->vcpu, &env, NULL);

	if (rc) {
		snprintf(i->stale_why, sizeof(i->stale_why), "not compared: the vCPU's registers cannot be read (%s)",
			 strerror(-rc));
		return;
	}
	s = slot_lookup(&m->slots, i->gfn << PAGE_SHIFT, env.smm, NULL);
	if (s) {
		snprintf(i->stale_why, sizeof(i->stale_why), "gfn %#llx is memory now, slot %u", (ull)i->gfn, s->id);
		i->stale = true;
		return;
	}
	if (!i->by_gfn || i->gva)
		compare_tables(&env, i);
}

void machine_mmio_compare(struct machine *m, struct mmio_info_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		l->v[i].stale = false;
		l->v[i].stale_why[0] = '\0';
		if (l->v[i].valid)
			compare_one(m, &l->v[i]);
	}
}
