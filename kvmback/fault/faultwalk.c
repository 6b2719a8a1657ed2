/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Roots of guest tables, armed, opened and armed again, and the tables behind them for one walk. The list of roots has a
 * lock: the debugger's thread opens them, vCPUs' threads arm them again.
 */
#include "kvmback/fault/faultwalk.h"

#include "core/base/lock.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kvmback/fault/fault.h"
#include "kvmback/fault/walker.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/watch/armed.h"
#include "kvmback/trace/rootwake.h"

#define ROOTS_MAX 4096
#define ENTRY_FRAME 0x000ffffffffff000ull
#define ENTRIES 512
/* Of the error code that KVM hands its walk. */
#define PFERR_WRITE (1u << 1)
#define PFERR_USER (1u << 2)
#define PFERR_FETCH (1u << 4)

struct root {
	uint64_t hva;
	bool open; /* continued, and not armed again yet */
};

struct fault_walk {
	struct kvm_vm *vm;
	struct fault_filter filter[FAULT_FILTERS_MAX];
	size_t n_filters;
	atomic_bool tables;	/* roots are armed */
	struct lock roots_lock; /* of the list: vCPUs' threads arm what the debugger's has opened */
	struct root root[ROOTS_MAX];
	size_t n;
	atomic_bool any_open;
	struct lock walkers_lock; /* a message may be answered when its vCPU has come out already, and goes in again */
	struct walker walker[KVM_MAX_VCPUS_HERE];
};

const char *fault_walk_why(struct kvm_vm *vm, const struct trace *t)
{
	if (!t)
		return "the tracepoints that tell the address of a fault cannot be read (info kvm says why)";
	if (kvm_view_tdp(vm, kvm_host_tdp()))
		return "with two-dimensional paging the processor walks the guest's tables, and KVM does not see for which "
		       "address (the stages of its own faults are fault, walk, page, shadow-page, tdp-spte and spte; no A "
		       "or D "
		       "bit, no fault of the guest's and no rmap is among them)";
	return NULL;
}

const char *fault_walk_mode_why(const struct regs *r)
{
	if (!(r->efer & EFER_LMA) || !(r->cr0 & CR0_PG))
		return "only long mode's tables are followed to addresses that are not mapped yet";
	return NULL;
}

int fault_walk_create(struct kvm_vm *vm, const struct fault_filter *v, size_t n, struct fault_walk **out, struct err *e)
{
	bool tables = false;
	struct fault_walk *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return err_nomem(e, "catch fault");
	rc = rootwake_set(vm, ROOTWAKE_FAULTS, true, e);
	if (rc) {
		free(g);
		err_prefix(e, "catch fault: ");
		return rc;
	}
	g->vm = vm;
	g->n_filters = n;
	for (size_t i = 0; i < n; i++) {
		g->filter[i] = v[i];
		tables |= v[i].gva || v[i].all;
	}
	atomic_store(&g->tables, tables);
	lock_init(&g->roots_lock, LOCK_ROOTS);
	lock_init(&g->walkers_lock, LOCK_WALKERS);
	*out = g;
	return 0;
}

void fault_walk_destroy(struct fault_walk *g)
{
	if (!g)
		return;
	(void)!rootwake_set(g->vm, ROOTWAKE_FAULTS, false, NULL);
	lock_destroy(&g->roots_lock);
	lock_destroy(&g->walkers_lock);
	free(g);
}

/* ---- the guest's tables, by the debugger's alias */

static const uint64_t *table_at(const struct fault_walk *g, uint64_t gpa)
{
	size_t len;
	const uint8_t *t = machine_peek(&g->vm->m, gpa & ENTRY_FRAME, false, &len);

	return t && len >= PAGE_SIZE_4K ? (const void *)t : NULL;
}

static unsigned shift_of(unsigned level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == 1 || (level <= 3 && entry & PTE_PS);
}

/* Memory of a slot that can be armed; NULL if there is none. */
static struct slot *armable(const struct fault_walk *g, uint64_t gpa)
{
	struct slot *s = slot_lookup(&g->vm->m.slots, gpa, false, NULL);

	return s && !s->file_backed && s->alias ? s : NULL;
}

/* ---- whom the filter asks for */

static bool in_filter(const struct fault_filter *f, uint64_t x)
{
	return x >= f->first && x <= f->last;
}

/* Where the walk of gva goes from this table; false if it ends there. */
static bool follow(const struct fault_walk *g, uint64_t table, unsigned level, uint64_t gva, uint64_t *entry, uint64_t *to)
{
	const uint64_t *t = table_at(g, table);
	uint64_t within = (1ull << shift_of(level)) - 1;

	*entry = t ? t[gva >> shift_of(level) & (ENTRIES - 1)] : 0;
	*to = is_leaf(*entry, level) ? (*entry & ENTRY_FRAME & ~within) | (gva & within) : *entry & ENTRY_FRAME;
	return *entry & PTE_P;
}

/* By gfn: the page that the walk of gva comes to, or a table that it reads. */
static bool walk_meets_filter(const struct fault_walk *g, const struct fault_filter *f, const struct walker *w, uint64_t gva)
{
	uint64_t at = w->root, entry, next;

	for (unsigned level = w->levels; level; level--) {
		if (in_filter(f, at >> PAGE_SHIFT))
			return true;
		if (!follow(g, at, level, gva, &entry, &next))
			return false;
		if (is_leaf(entry, level))
			return in_filter(f, next >> PAGE_SHIFT);
		at = next;
	}
	return false;
}

/* The level at which the walk reads this table: the tracepoints' if it is there, as it may be there twice. 0: nowhere. */
static unsigned level_at(const struct fault_walk *g, const struct walker *w, uint64_t gpa)
{
	uint64_t at = w->root, entry;
	unsigned found = 0;

	gpa &= ENTRY_FRAME;
	for (unsigned level = w->levels; level; level--) {
		if (at == gpa && (!found || level == w->level))
			found = level;
		if (!follow(g, at, level, w->gva, &entry, &at) || is_leaf(entry, level))
			break;
	}
	return found;
}

static bool asks_for(const struct fault_walk *g, const struct walker *w, uint64_t gva)
{
	for (size_t i = 0; i < g->n_filters; i++) {
		const struct fault_filter *f = &g->filter[i];

		if (f->all || (f->gva ? in_filter(f, gva) : walk_meets_filter(g, f, w, gva)))
			return true;
	}
	return false;
}

/* ---- the list of roots */

static struct root *find_root(struct fault_walk *g, uint64_t hva)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->root[i].hva == hva)
			return &g->root[i];
	return NULL;
}

/* If there is no room all that is known goes: a root comes back when it is loaded. */
static bool note_root(struct fault_walk *g, uint64_t hva)
{
	LOCK_SCOPE(&g->roots_lock);
	struct root *r = find_root(g, hva);
	bool known = r && !r->open;

	lock_assert_held(&g->roots_lock);

	if (!r && g->n == ROOTS_MAX)
		g->n = 0;
	if (!r)
		r = &g->root[g->n++];
	*r = (struct root){.hva = hva};
	return known;
}

static int arm(struct fault_walk *g, struct slot *s, uint64_t gpa, struct err *e)
{
	gpa &= ~PAGE_OFFSET_MASK;
	for (unsigned i = 0; i < g->vm->m.vcpus; i++)
		if (g->walker[i].continued == s->hva + (gpa - s->gpa))
			g->walker[i].continued = 0;
	return kvm_faults_arm(g->vm, s, gpa, gpa + PAGE_OFFSET_MASK, e);
}

static int add_root(struct fault_walk *g, uint64_t gpa, struct err *e)
{
	struct slot *s = armable(g, gpa);

	gpa &= ENTRY_FRAME;
	if (!s)
		return 0;
	bool known = note_root(g, s->hva + (gpa - s->gpa));
	return known ? 0 : arm(g, s, gpa, e);
}

static void rearm_roots(struct fault_walk *g)
{
	if (!atomic_load(&g->any_open))
		return;
	LOCK_SCOPE(&g->roots_lock);
	atomic_store(&g->any_open, false);
	for (size_t i = 0; i < g->n; i++)
		if (g->root[i].open) {
			g->root[i].open = false;
			(void)!madvise((void *)(uintptr_t)g->root[i].hva, PAGE_SIZE_4K, MADV_DONTNEED);
		}
}

/* ---- arming */

static void mark_all_open(struct fault_walk *g)
{
	LOCK_SCOPE(&g->roots_lock);
	for (size_t i = 0; i < g->n; i++)
		g->root[i].open = true;
	atomic_store(&g->any_open, g->n > 0);
}

/* With the walkers' lock, as everything that looks at one. */
static int take_root(struct fault_walk *g, struct walker *w, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer,
		     struct err *e)
{
	bool followed = efer & EFER_LMA && cr0 & CR0_PG;
	unsigned levels = !followed ? 0 : cr4 & CR4_LA57 ? 5 : 4;

	if (levels == w->levels && (!levels || (cr3 & ENTRY_FRAME) == w->root))
		return 0;
	walker_tables(w, cr3 & ENTRY_FRAME, levels);
	return levels && atomic_load(&g->tables) ? add_root(g, w->root, e) : 0;
}

/* Those that KVM keeps for coming back to, without a look-up. */
static int arm_cached_roots(struct fault_walk *g, struct err *e)
{
	struct root_list l = {0};
	int rc = 0;

	if (kvm_view_roots(g->vm, &l, NULL))
		return 0; /* what is loaded is armed */
	for (size_t i = 0; i < l.n && !rc; i++)
		if (l.v[i].level >= 4 && l.v[i].vcpu < g->vm->m.vcpus && g->walker[l.v[i].vcpu].levels)
			rc = add_root(g, l.v[i].cr3, e);
	root_list_free(&l);
	return rc;
}

static int arm_roots(struct fault_walk *g, struct err *e)
{
	int rc = arm_cached_roots(g, e);

	for (unsigned i = 0; i < g->vm->m.vcpus && !rc; i++)
		if (g->walker[i].levels)
			rc = add_root(g, g->walker[i].root, e);
	return rc;
}

/* A write to READONLY memory is_leaving for user space before it comes to the page: its walk alone tells of it. */
static bool has_readonly(const struct kvm_vm *vm, const struct fault_filter *f)
{
	for (size_t i = 0; i < vm->m.slots.n; i++) {
		const struct slot *s = vm->m.slots.by_gfn[i];
		uint64_t first = s->gpa >> PAGE_SHIFT, last = first + (s->size >> PAGE_SHIFT) - 1;

		if (s->flags & SLOT_READONLY && first <= f->last && last >= f->first)
			return true;
	}
	return false;
}

int fault_walk_roots(struct fault_walk *g, const struct regs *regs, struct err *e)
{
	LOCK_SCOPE(&g->walkers_lock);
	int rc = 0;

	/* What was given up in another run is told anew; and a page that one of the debugger's own calls came to between the
	 * runs was simply given. */
	for (size_t i = 0; i < g->n_filters; i++)
		if (has_readonly(g->vm, &g->filter[i]))
			atomic_store(&g->tables, true);
	mark_all_open(g);
	rearm_roots(g);
	for (unsigned i = 0; i < g->vm->m.vcpus && !rc; i++) {
		g->walker[i].report = WALK_UNREPORTED;
		rc = take_root(g, &g->walker[i], regs[i].cr0, regs[i].cr3, regs[i].cr4, regs[i].efer, e);
	}
	return rc || !atomic_load(&g->tables) ? rc : arm_roots(g, e);
}

static bool mapped_somewhere(const struct fault_walk *g, uint64_t gfn)
{
	_cleanup_(rmap_list_free) struct rmap_list l = {0};

	if (kvm_view_rmap(g->vm, gfn, &l, NULL))
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].n_sptes)
			return true;
	return false;
}

/* The page behind an entry. Dropping one would take it from everybody who has it mapped already, which a look at a fault
 * must not: such a page is no live stage. */
static bool arm_page(struct fault_walk *g, uint64_t gpa)
{
	struct slot *s = armable(g, gpa);

	return s && !mapped_somewhere(g, gpa >> PAGE_SHIFT) && !arm(g, s, gpa, NULL);
}

/* Will the walk end in an exception of the guest's? A supervisor's rights depend on more than the entries: for it, no. */
static bool refused(const struct walker *w, uint64_t entry)
{
	uint64_t rights = w->rights & entry;

	return w->error & PFERR_USER && (!(rights & PTE_U) || (w->error & PFERR_WRITE && !(rights & PTE_W)) ||
					 (w->error & PFERR_FETCH && (w->nx | entry) & PTE_NX));
}

/* What the walk comes to behind this table is armed: the next table or, if page, the page at its end. False if that is
 * nothing. A table that maps itself is read again without waiting. */
static bool arm_next(struct fault_walk *g, uint64_t table, unsigned level, const struct walker *w, bool page)
{
	uint64_t entry, next;

	for (; level && follow(g, table, level, w->gva, &entry, &next); level--) {
		struct slot *s = armable(g, next);

		if (is_leaf(entry, level))
			return page && !refused(w, entry) && arm_page(g, next);
		if (next != (table & ENTRY_FRAME))
			return s && !arm(g, s, next, NULL);
	}
	return false;
}

/* ---- opening */

void fault_walk_continue(struct fault_walk *g, uint64_t hva)
{
	struct armed *p = g->vm->armed;
	struct root *r;

	hva &= ~PAGE_OFFSET_MASK;
	LOCK_SCOPE(&g->roots_lock);
	r = find_root(g, hva);
	if (r) {
		r->open = true;
		atomic_store(&g->any_open, true);
	}
	vcpu_continued(g->vm);
	uffd_continue(armed_uffd(p), hva, armed_protected(p, hva));
}

/* Out of KVM_RUN behind the fault, for the root to be armed again. Sent before the page is continued: behind that the vCPU
 * might be in its next fault already. A walk waits for its page all the same; a fault that waits for the page itself is
 * given up, and comes back. */
static void fetch_to_rearm(struct fault_walk *g, unsigned vcpu)
{
	vcpu_kick(&g->vm->vcpu[vcpu], KICK_ROOT_OPEN);
}

/* With a signal pending a thread waits for its page by asking again and again: what it asked last may come behind the
 * answer. */
bool fault_walk_stale(struct fault_walk *g, unsigned vcpu, uint64_t hva)
{
	LOCK_SCOPE(&g->walkers_lock);
	return g->walker[vcpu].continued == hva;
}

/* The walk has read its root and waits for a table behind it. A fault reads all of its entries once more when it makes the
 * spte, and would begin again for ever, were one of them missing then; the emulator does not. */
static void rearm_in_walk(struct fault_walk *g, struct walker *w)
{
	if (w->by == WALK_BY_FAULT)
		return;
	w->by = WALK_BY_EMULATOR_REARMED;
	rearm_roots(g);
}

void fault_walk_pass(struct fault_walk *g, unsigned vcpu, uint64_t hva)
{
	LOCK_SCOPE(&g->walkers_lock);
	struct walker *w = &g->walker[vcpu];
	struct slot *s = slot_by_hva(&g->vm->m.slots, hva);
	uint64_t gpa = s ? s->gpa + (hva - s->hva) : 0;
	unsigned level = s && walker_known(w) ? level_at(g, w, gpa) : 0;

	if (level && level < w->levels)
		rearm_in_walk(g, w);
	else if (level && !(w->by != WALK_BY_FAULT && arm_next(g, gpa, level, w, false)))
		fetch_to_rearm(g, vcpu);
	w->continued = hva;
	fault_walk_continue(g, hva);
}

/* A page that the filter names is about to be given: from now on its faults are told by their walks. */
static void begin_tables(struct fault_walk *g)
{
	if (!atomic_exchange(&g->tables, true))
		(void)!arm_roots(g, NULL);
}

void fault_walk_end_stage(struct fault_walk *g, unsigned vcpu, uint64_t hva)
{
	LOCK_SCOPE(&g->walkers_lock);
	struct walker *w = &g->walker[vcpu];

	begin_tables(g);
	if (w->last_armed)
		fetch_to_rearm(g, vcpu);
	w->continued = hva;
}

void fault_walk_rearm(struct fault_walk *g, struct kvcpu *v)
{
	LOCK_SCOPE(&g->walkers_lock);
	const struct kvm_sregs *s = vcpu_sregs(v);
	struct walker *w = &g->walker[v->index];

	w->continued = 0;
	if (v->sync_fresh & KVM_SYNC_X86_SREGS)
		(void)!take_root(g, w, s->cr0, s->cr3, s->cr4, s->efer, NULL);
	rearm_roots(g);
}

/* ---- whose fault it is */

static bool ends_fault(const struct trace_event *t)
{
	switch (t->stage) {
	case STAGE_SPTE:
	case STAGE_FAST_FAULT:
	case STAGE_GUEST_FAULT:
	case STAGE_EMULATE:
	case STAGE_MMIO:
	case STAGE_MMIO_CACHE:
		return true;
	default:
		return false;
	}
}

/* The walk of a fault that was given up at its page is not told twice, nor that a signal came. */
static bool counts_for_walk(const struct walker *w, const struct trace_event *t)
{
	return walker_known(w) && w->asked != WALK_UNASKED && !t->interrupted &&
	       (w->report != WALK_REPEATED || ends_fault(t) || t->stage == STAGE_PAGE);
}

bool fault_walk_event(struct fault_walk *g, unsigned vcpu, const struct trace_event *t)
{
	LOCK_SCOPE(&g->walkers_lock);
	struct walker *w = &g->walker[vcpu];

	if (t->stage == STAGE_FAULT && w->levels) {
		walker_faults(w, t, asks_for(g, w, t->address));
		return w->asked != WALK_UNASKED && w->report != WALK_REPEATED;
	}
	if (t->gva_known && w->levels) {
		walker_begins(w, t, asks_for(g, w, t->gva));
		return w->asked != WALK_UNASKED && w->report != WALK_REPEATED;
	}
	bool told = counts_for_walk(w, t);

	if (t->element && t->level)
		walker_reads(w, t);
	if (ends_fault(t))
		walker_ends(w);
	return told || !walker_known(w);
}

/* A page that is asked for by its number is told whoever it is that comes to it. */
static bool names_page(const struct fault_walk *g, uint64_t hva)
{
	const struct slot *s = slot_by_hva(&g->vm->m.slots, hva);

	for (size_t i = 0; s && i < g->n_filters; i++) {
		const struct fault_filter *f = &g->filter[i];

		if (!f->gva && (f->all || in_filter(f, (s->gpa + (hva - s->hva)) >> PAGE_SHIFT)))
			return true;
	}
	return false;
}

/* A walk that has read nothing yet waits for its root: CR3 may have gone back to one that KVM keeps. */
static void see_root(struct fault_walk *g, struct walker *w, uint64_t hva)
{
	const struct slot *s = slot_by_hva(&g->vm->m.slots, hva);
	uint64_t gpa = s ? s->gpa + (hva - s->hva) : w->root;

	if (w->place != WALK_AT_ROOT || gpa == w->root)
		return;
	w->root = gpa;
	if (asks_for(g, w, w->gva))
		w->asked = WALK_ASKED;
	else if (w->asked == WALK_ASKED)
		w->asked = WALK_PART;
}

bool fault_walk_wants(struct fault_walk *g, unsigned vcpu, uint64_t hva)
{
	LOCK_SCOPE(&g->walkers_lock);
	struct walker *w = &g->walker[vcpu];

	see_root(g, w, hva);

	return !walker_known(w) || (w->report != WALK_REPEATED && (w->asked == WALK_ASKED || names_page(g, hva)));
}

bool fault_walk_reads(struct fault_walk *g, unsigned vcpu)
{
	LOCK_SCOPE(&g->walkers_lock);
	return walker_in_tables(&g->walker[vcpu]);
}

unsigned fault_walk_stage(struct fault_walk *g, unsigned vcpu, uint64_t hva, uint64_t *gva)
{
	LOCK_SCOPE(&g->walkers_lock);
	struct walker *w = &g->walker[vcpu];
	struct slot *s = slot_by_hva(&g->vm->m.slots, hva);

	uint64_t gpa = s ? s->gpa + (hva - s->hva) : 0;
	unsigned level = s && walker_known(w) ? level_at(g, w, gpa) : 0;

	*gva = walker_known(w) ? w->gva : 0;
	w->continued = 0;
	w->last_armed = !level || !arm_next(g, gpa, level, w, true);
	walker_stage(w);
	if (level && level < w->levels) {
		rearm_in_walk(g, w);
		w->last_armed &= w->by != WALK_BY_EMULATOR_REARMED;
	}
	return level;
}
