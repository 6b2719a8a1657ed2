/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft machine: creation, registers, slots. Running is in run.c, what can be looked at in looks.c.
 */
#include "core/soft/soft.h"
#include "core/base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "core/cpu/access.h"
#include "core/soft/exec.h"
#include "core/soft/fault.h"
#include "core/soft/looks.h"
#include "core/soft/mmucatch.h"
#include "core/soft/prefault.h"
#include "core/soft/replay.h"
#include "core/soft/rings.h"
#include "core/soft/run.h"
#include "core/soft/soft_impl.h"

/* ---- vCPUs */

/* The shadow MMU took rights away: no TLB may go on allowing them. */
static void on_flush(void *ctx, uint64_t gva_page)
{
	struct soft_machine *m = ctx;

	for (unsigned i = 0; i < ARRAY_LEN(m->cpu) && m->cpu[i]; i++)
		if (gva_page == ~0ull)
			soft_tlb_flush(m->cpu[i]);
		else
			soft_tlb_flush_page(m->cpu[i], gva_page);
}

static void destroy(struct machine *base)
{
	struct soft_machine *m = soft_of(base);

	soft_faults_destroy(m);
	for (unsigned i = 0; i < ARRAY_LEN(m->cpu); i++) {
		if (m->cpu[i])
			shadow_vcpu_deinit(m->shadow, &m->cpu[i]->shadow);
	}
	shadow_destroy(m->shadow);
	for (unsigned i = 0; i < ARRAY_LEN(m->cpu); i++)
		free(m->cpu[i]);
	block_cache_destroy(m->blocks);
	access_decoder_destroy(m->accesses);
	decoder_destroy(m->decoder);
	soft_log_free(m);
	walk_lock_deinit(&m->walk);
	soft_mmu_destroy(m);
	soft_rings_destroy(m);
	for (struct soft_plant *p = m->plants, *next; p; p = next) {
		next = p->next;
		free(p);
	}
	free(m);
}

void soft_set_habits(struct machine *m, struct soft_habits habits)
{
	soft_of(m)->habits = habits;
}

static int create(const struct machine_config *cfg, struct machine **out, struct err *e)
{
	struct soft_machine *m = calloc(1, sizeof(*m));
	struct shadow_config shadow = {
	    .mmio_sptes = cfg->mmio_sptes, .flush = on_flush, .flush_ctx = m, .event = soft_mmu_event, .event_ctx = m};
	int rc;

	if (!m)
		return err_nomem(e, "create a soft VM");
	shadow.slots = &m->m.slots;
	walk_lock_init(&m->walk);
	m->m.maxphyaddr = 40;
	m->m.slots.limits.gpa_limit = 1ull << 40;
	m->sched.left = SOFT_TURN;
	m->emulated_kernel = cfg->emulated_kernel;
	m->mmio_sptes = cfg->mmio_sptes;
	rc = shadow_create(&shadow, &m->shadow, e);
	if (!rc)
		rc = decoder_create(&m->decoder, e);
	m->blocks = block_cache_create();
	if (!rc && !m->blocks)
		rc = err_nomem(e, "create a soft VM");
	if (!rc && cfg->dirty_ring)
		rc = soft_rings_create(m, cfg->vcpus, cfg->dirty_ring, e);
	for (unsigned i = 0; !rc && i < cfg->vcpus; i++)
		rc = soft_cpu_create(m, i, e);
	if (rc) {
		destroy(&m->m);
		return rc;
	}
	*out = &m->m;
	return 0;
}

/* Handed over to machine_hold(), whose scope gives it back. */
static bool walk_lock(struct machine *base)
{
	struct walk_lock *l = &soft_of(base)->walk;

	if (walk_lock_is_mine(l))
		return false;
	walk_lock_take(l);
	return true;
}

/* What walk_lock() has handed over. */
static void walk_unlock(struct machine *base)
{
	walk_lock_give(&soft_of(base)->walk);
}

static int reset(struct machine *base, struct err *e)
{
	struct soft_machine *m = soft_of(base);

	(void)e;
	for (unsigned i = 0; i < base->vcpus; i++)
		soft_cpu_reset(m->cpu[i]);
	m->sched.turn = 0;
	m->sched.left = SOFT_TURN;
	return 0;
}

/* ---- registers */

static int get_regs(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e)
{
	(void)parts;
	(void)e;
	soft_regs_out(soft_of(m)->cpu[vcpu], out);
	return 0;
}

static int set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e)
{
	(void)e;
	soft_regs_in(soft_of(m)->cpu[vcpu], parts, in);
	return 0;
}

static int inject(struct machine *m, unsigned vcpu, const struct guest_fault *f, struct err *e)
{
	struct soft_cpu *c = soft_of(m)->cpu[vcpu];

	(void)e;
	c->injected = *f;
	return 0;
}

/* ---- slots */

static int anonymous(const struct slot *s, void **at, struct err *e)
{
	*at = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (*at != MAP_FAILED)
		return 0;
	return err_errno(e, errno, "slot %u" WHY "no room to map %#llx bytes" TRY "a smaller slot, or a higher ulimit -v",
			 s->id, (unsigned long long)s->size);
}

#define READ_AT_ONCE (16ull << 20)

/* A file's bytes are copied, and a sparse one may be larger than any memory. */
static int check_copy(const struct slot *s, const struct slot_spec *spec, struct err *e)
{
	uint64_t have = spec->overcommit ? UINT64_MAX : memory_available();
	char pools[100];

	if (s->size <= have)
		return 0;
	return err_set(e, -ENOMEM,
		       "slot %u" WHY "this backend copies its file, %llu MiB, and %llu MiB is available on this host%s" TRY
		       "a smaller slot, -b kvm, which maps it, or -overcommit",
		       s->id, (unsigned long long)s->size >> 20, (unsigned long long)have >> 20,
		       memory_pools_words(pools, sizeof(pools)));
}

/* A read gives at most 2 GiB at a time, and less at a signal. The file's end may come within the last page, or, of one that
 * has been cut short since, earlier: zeroes from there. */
static int read_whole(int fd, const struct slot *s, const struct slot_spec *spec, uint8_t *at, struct err *e)
{
	for (uint64_t done = 0; done < s->size;) {
		uint64_t left = s->size - done;

		if (spec->poll && spec->poll(NULL))
			return err_set(e, -EINTR,
				       "slot %u" WHY "interrupted at offset %#llx of its file; the slot is not there" TRY
				       "a smaller slot",
				       s->id, (unsigned long long)done);
		ssize_t got = pread(fd, at + done, left < READ_AT_ONCE ? left : READ_AT_ONCE, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(e, errno,
					 "slot %u" WHY "its file cannot be read at offset %#llx" TRY "another file", s->id,
					 (unsigned long long)done);
		if (!got)
			break;
		done += (uint64_t)got;
	}
	return 0;
}

/* A private copy: the guest reads through the CPU's TLB, and a file cut short must not end the debugger. */
static int file_memory(struct slot *s, const struct slot_spec *spec, struct err *e)
{
	_cleanup_close_ int fd = -1;
	void *at;
	int rc = slot_file_open(spec, &fd, e);

	if (!rc)
		rc = check_copy(s, spec, e);
	if (!rc)
		rc = anonymous(s, &at, e);
	if (rc)
		return rc;
	rc = read_whole(fd, s, spec, at, e);
	if (rc) {
		munmap(at, s->size);
		return rc;
	}
	mprotect(at, s->size, PROT_READ);
	s->alias = at;
	s->file_backed = true;
	s->fd = fd;
	fd = -1;
	return 0;
}

static int make_memory(struct slot *s, const struct slot_spec *spec, struct err *e)
{
	void *at;
	int rc = spec->file ? file_memory(s, spec, e) : anonymous(s, &at, e);

	if (rc || spec->file)
		return rc;
	if (s->huge)
		madvise(at, s->size, MADV_HUGEPAGE);
	s->alias = at;
	return 0;
}

static void drop_memory(struct slot *s)
{
	if (s->alias)
		munmap(s->alias, s->size);
	util_closep(&s->fd);
	s->fd = -1;
	s->alias = NULL;
}

static int slot_create(struct soft_machine *m, struct slot *s, const struct slot_change *change, struct slot_steps *steps,
		       struct err *e)
{
	bool fresh = !s->alias;

	if (s->guest_memfd)
		return err_set(e, -ENOTSUP,
			       "slot %u" WHY "a guest_memfd is memory of KVM's own, and this backend has no KVM" TRY
			       "-b kvm, or ordinary memory",
			       s->id);
	int rc = fresh ? make_memory(s, &change->to, e) : 0;

	if (!rc && !s->mmu)
		rc = shadow_slot_created(m->shadow, s, e);
	if (rc && fresh)
		drop_memory(s);
	if (rc)
		return rc;
	s->hva = (uintptr_t)s->alias;
	soft_rings_log(m, s);
	slot_step_add(steps, "slot %u: create, %#llx bytes at gpa %#llx", s->id, (unsigned long long)s->size,
		      (unsigned long long)s->gpa);
	return 0;
}

static int slot_change(struct machine *base, struct slot *s, const struct slot_change *change, struct slot_steps *steps,
		       struct err *e)
{
	struct soft_machine *m = soft_of(base);

	/* While the slot is what the entries say. */
	if (m->rings)
		soft_rings_read(m);
	switch (change->kind) {
	case SLOT_CREATE:
		return slot_create(m, s, change, steps, e);
	case SLOT_DELETE:
	case SLOT_MOVE:
		/* An INVALID copy is what lookups find while the shadow goes. */
		s->invalid = true;
		shadow_zap_slot(m->shadow, s);
		block_cache_flush(m->blocks);
		s->invalid = false;
		slot_step_add(steps, "slot %u: %s through INVALID, shadow pages zapped", s->id,
			      change->kind == SLOT_MOVE ? "move" : "delete");
		return 0;
	case SLOT_FLAGS:
		if (change->to.vis != s->vis)
			shadow_zap_slot(m->shadow, s);
		else if (change->to.flags & ~s->flags & SLOT_LOG_DIRTY)
			shadow_write_protect_slot(m->shadow, s);
		slot_step_add(steps, "slot %u: flags in place", s->id);
		return 0;
	case SLOT_NOTHING:
		break;
	}
	return 0;
}

static void slot_release(struct machine *base, struct slot *s)
{
	struct soft_machine *m = soft_of(base);

	shadow_zap_slot(m->shadow, s);
	block_cache_flush(m->blocks);
	shadow_slot_gone(m->shadow, s);
	drop_memory(s);
}

static int slot_dirty(struct machine *m, struct slot *s, bool restart, struct err *e)
{
	(void)e;
	if (soft_of(m)->rings)
		soft_rings_read(soft_of(m));
	if (restart && soft_of(m)->rings)
		soft_rings_give_back(soft_of(m));
	/* With rings as well: sptes that a checkpoint has brought back have no entry. */
	if (restart)
		shadow_write_protect_slot(soft_of(m)->shadow, s);
	return 0;
}

static int wrote(struct machine *m, struct slot *s, uint64_t gpa, uint64_t len, struct err *e)
{
	(void)e;
	soft_memory_written(soft_of(m), s, gpa, len);
	return 0;
}

/* ---- what it can do */

static const char *cap_why(const struct machine *m, enum machine_cap cap)
{
	(void)m;
	if (cap == MACHINE_CAP_SVM)
		return "the soft CPU has no SVM";
	return cap == MACHINE_CAP_HPA ? "its sptes hold host virtual addresses" : NULL;
}

static const char *cap_next(const struct machine *m, enum machine_cap cap)
{
	(void)m;
	if (cap == MACHINE_CAP_SVM)
		return "-b kvm on a host whose KVM offers it (kvm_amd with nested=1)";
	return cap == MACHINE_CAP_HPA ? "gpa2hva, or -b kvm" : NULL;
}

static int facts(struct machine *base, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		 struct err *e)
{
	struct soft_machine *m = soft_of(base);

	(void)e;
	return fn(arg, "CPU", "interpreter", "decoded blocks over the shadow MMU; steps, breakpoints and watchpoints are its own") ?:
	       fn(arg, "shadow paging", "on", "every access goes through shadow pages made on demand") ?:
	       fn(arg, "MMIO sptes", m->mmio_sptes ? "on" : "off", "--mmio-sptes turns them on") ?:
	       fn(arg, "CPL 0", m->emulated_kernel ? "emulated" : "native",
		  m->emulated_kernel ? "no sptes for it, the MMIO cache asked first"
				     : "--emulated-kernel: as a KVM that emulates it") ?:
	       fn(arg, "dirty ring", base->rings.entries ? "on" : "off",
		  base->rings.entries ? "--dirty-ring" : "load IMAGE --dirty-ring 4096 makes a VM that logs by rings") ?:
	       fn(arg, "slot prefault", "yes", "makes the shadow pages of what the guest's tables map") ?:
	       fn(arg, "guest_memfd", "no", "it is memory of the kernel's: -b kvm") ?:
	       fn(arg, "SMM", "native", "SMI, save area and RSM by the CPU");
}

static int enter(void *ctx, struct run_job *job, struct stop *out, struct err *e)
{
	struct soft_machine *m = soft_of(ctx);

	if (job->kind == RUN_REPLAY)
		return soft_replay(m, job, out, e);
	soft_run(m, job, out);
	return 0;
}

static const struct run_ops run_ops = {
    .enter = enter,
    .kick = soft_kick,
    .may_park = soft_may_park,
    .near = soft_park_near,
};

const struct machine_ops soft_backend = {
    .name = "soft",
    .create = create,
    .destroy = destroy,
    .cap_why = cap_why,
    .cap_next = cap_next,
    .facts = facts,
    .slot_change = slot_change,
    .slot_release = slot_release,
    .slot_dirty = slot_dirty,
    .slot_prefault = soft_prefault,
    .slot_source = SOURCE_SOFT,
    .wrote = wrote,
    .get_regs = get_regs,
    .set_regs = set_regs,
    .inject = inject,
    .smi = soft_smi,
    .smbase = soft_smbase,
    .reset = reset,
    /* Between two instructions everything is whole. */
    .live = 1u << ASK_LIVE_VCPU | 1u << ASK_LIVE_MEMORY | 1u << ASK_LIVE_MMU,
    .walk_lock = walk_lock,
    .walk_unlock = walk_unlock,
    .run = &run_ops,
    .plant = soft_plant,
    .unplant = soft_unplant,
    .set_catch = soft_set_catch,
    .mmu_catch = soft_mmu_catch,
    .mmu_events = soft_mmu_events,
    .looks = &soft_looks,
    .armed = soft_armed,
    .fault_catch = soft_fault_catch,
    .fault_stages = soft_fault_stages,
    .hidden = soft_hidden,
    .hidden_drop = soft_hidden_drop,
    .hidden_restored = soft_hidden_restored,
    .position = soft_position,
    .position_before = soft_position_before,
    .log_cut = soft_log_cut,
    .mark = soft_mark,
};
