/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tables of a range of guest virtual addresses, armed, opened and armed again. The list of tables has a lock: the debugger's
 * thread opens them, vCPUs' threads arm them again.
 */
#include "kvmback/gvarange.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kvmback/fault.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/pages.h"

#define TABLES_MAX 4096
#define ENTRY_FRAME 0x000ffffffffff000ull
#define ENTRIES 512
#define OTHERS_NS 20000000ull
/* Of the error code that KVM hands its walk. */
#define PFERR_WRITE (1u << 1)
#define PFERR_USER (1u << 2)
#define PFERR_FETCH (1u << 4)

struct table {
	uint64_t hva;
	bool open;
};

/* What a vCPU's tracepoints have told of its walk. */
struct walker {
	bool known, in_range;
	uint64_t gva;
	unsigned level;	     /* of the table that is read next; 0: the walk is over */
	uint64_t error;	     /* the access, by the bits of a page fault's error code */
	uint64_t rights, nx; /* of the entries so far: all of them, any of them */
	bool shown;	     /* the page of this fault was a live stage: the same again is the same fault */
	bool again;	     /* and it is */
	uint64_t shown_gva;
	uint64_t given; /* the page that was continued last */
	bool last;	/* nothing that is armed follows the stage at hand */
};

struct gva_range {
	struct kvm_vm *vm;
	uint64_t first, last;
	unsigned levels;
	pthread_mutex_t lock;
	struct table table[TABLES_MAX];
	size_t n;
	atomic_bool any_open;
	struct walker walker[KVM_MAX_VCPUS_HERE];
};

const char *gva_range_why(struct kvm_vm *vm, const struct trace *t, const struct regs *r)
{
	struct kview *k;

	if (!t)
		return "the tracepoints that tell the address of a fault cannot be read (they take root, or CAP_SYS_ADMIN "
		       "and "
		       "CAP_PERFMON)";
	if (!(r->efer & EFER_LMA) || !(r->cr0 & CR0_PG))
		return "only long mode's tables are followed to addresses that are not mapped yet";
	if (!kvm_kview(vm, &k, NULL) && kview_tdp(k))
		return "with two-dimensional paging the processor walks the guest's tables, and KVM does not see for which "
		       "address";
	return NULL;
}

int gva_range_create(struct kvm_vm *vm, uint64_t first, uint64_t last, struct gva_range **out, struct err *e)
{
	struct gva_range *g = calloc(1, sizeof(*g));

	if (!g)
		return err_nomem(e, "catch fault");
	g->vm = vm;
	g->first = first;
	g->last = last;
	pthread_mutex_init(&g->lock, NULL);
	*out = g;
	return 0;
}

void gva_range_destroy(struct gva_range *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- the guest's tables, by the debugger's alias */

static const uint64_t *table_at(const struct gva_range *g, uint64_t gpa)
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

/* Memory of a slot that can be armed; NULL where there is none. */
static struct slot *armable(const struct gva_range *g, uint64_t gpa)
{
	struct slot *s = slot_lookup(&g->vm->m.slots, gpa, false, NULL);

	return s && !s->file_backed && s->alias ? s : NULL;
}

static struct slot *slot_of(const struct gva_range *g, uint64_t hva)
{
	for (size_t i = 0; i < g->vm->m.slots.n; i++) {
		struct slot *s = g->vm->m.slots.by_gfn[i];

		if (hva - s->hva < s->size)
			return s;
	}
	return NULL;
}

/* ---- the list */

static struct table *find_table(struct gva_range *g, uint64_t hva)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->table[i].hva == hva)
			return &g->table[i];
	return NULL;
}

static int add_table(struct gva_range *g, uint64_t gpa, struct err *e)
{
	struct slot *s = armable(g, gpa);
	struct table *t;
	bool known, full;

	gpa &= ENTRY_FRAME;
	if (!s)
		return 0;
	pthread_mutex_lock(&g->lock);
	t = find_table(g, s->hva + (gpa - s->gpa));
	known = t && !t->open;
	full = !t && g->n >= TABLES_MAX;
	if (!t && !full) {
		t = &g->table[g->n++];
		*t = (struct table){.hva = s->hva + (gpa - s->gpa)};
	}
	if (t)
		t->open = false;
	pthread_mutex_unlock(&g->lock);
	if (full)
		return err_set(e, -E2BIG, "catch fault" WHY "the range has more than %u tables" TRY "a shorter range",
			       TABLES_MAX);
	return known ? 0 : kvm_faults_arm(g->vm, s, gpa, gpa + PAGE_OFFSET_MASK, e);
}

/* ---- arming */

/* The tables below this one, which stands for addresses from base on. */
static int arm_below(struct gva_range *g, uint64_t gpa, unsigned level, uint64_t base, struct err *e)
{
	const uint64_t *t = table_at(g, gpa);
	uint64_t span = 1ull << shift_of(level);
	int rc = add_table(g, gpa, e);

	for (unsigned i = 0; t && !rc && level > 1 && i < ENTRIES; i++) {
		uint64_t from = base + i * span;

		if (level == g->levels && i >= ENTRIES / 2)
			from |= ~0ull << shift_of(level + 1); /* canonical */
		if (from > g->last || from + (span - 1) < g->first || !(t[i] & PTE_P) || is_leaf(t[i], level))
			continue;
		rc = arm_below(g, t[i] & ENTRY_FRAME, level - 1, from, e);
	}
	return rc;
}

int gva_range_arm(struct gva_range *g, const struct regs *r, struct err *e)
{
	g->levels = r->cr4 & CR4_LA57 ? 5 : 4;
	return arm_below(g, r->cr3, g->levels, 0, e);
}

static bool mapped_somewhere(const struct gva_range *g, uint64_t gfn)
{
	_cleanup_(rmap_list_free) struct rmap_list l = {0};
	struct kview *k;

	if (kvm_kview(g->vm, &k, NULL) || kview_rmap(k, gfn, &l, NULL))
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].n_sptes)
			return true;
	return false;
}

/* The page behind an entry. Dropping one would take it from everybody who has it mapped already, which a look at a fault
 * must not: such a page is no live stage. */
static bool arm_page(struct gva_range *g, uint64_t gpa)
{
	struct slot *s = armable(g, gpa);

	gpa &= ~PAGE_OFFSET_MASK;
	return s && !mapped_somewhere(g, gpa >> PAGE_SHIFT) && !kvm_faults_arm(g->vm, s, gpa, gpa + PAGE_OFFSET_MASK, NULL);
}

/* Will the walk end in an exception of the guest's? A supervisor's rights depend on more than the entries: for it, no. */
static bool refused(const struct walker *w, uint64_t entry)
{
	uint64_t rights = w->rights & entry;

	return w->error & PFERR_USER && (!(rights & PTE_U) || (w->error & PFERR_WRITE && !(rights & PTE_W)) ||
					 (w->error & PFERR_FETCH && (w->nx | entry) & PTE_NX));
}

/* What the entry in this table leads to is armed; false where that is nothing. */
static bool arm_next(struct gva_range *g, uint64_t table, const struct walker *w)
{
	const uint64_t *t = table_at(g, table);
	unsigned level = w->level;
	uint64_t entry = t ? t[w->gva >> shift_of(level) & (ENTRIES - 1)] : 0, within = (1ull << shift_of(level)) - 1;

	if (!(entry & PTE_P))
		return false;
	if (is_leaf(entry, level))
		return !refused(w, entry) && arm_page(g, (entry & ENTRY_FRAME & ~within) | (w->gva & within));
	return armable(g, entry & ENTRY_FRAME) && !add_table(g, entry & ENTRY_FRAME, NULL);
}

/* ---- opening */

void gva_range_open(struct gva_range *g, uint64_t hva)
{
	struct pages *p = g->vm->pages;
	struct table *t;

	hva &= ~PAGE_OFFSET_MASK;
	pthread_mutex_lock(&g->lock);
	t = find_table(g, hva);
	if (t)
		t->open = true;
	if (t)
		atomic_store(&g->any_open, true);
	uffd_continue(pages_uffd(p), hva, pages_protected(p, hva));
	pthread_mutex_unlock(&g->lock);
}

/* All that the walk of gva has still to read behind this table, and its page. */
static void open_walk(struct gva_range *g, uint64_t table, unsigned level, uint64_t gva)
{
	for (; level; level--) {
		const uint64_t *t = table_at(g, table);
		uint64_t entry = t ? t[gva >> shift_of(level) & (ENTRIES - 1)] : 0, within = (1ull << shift_of(level)) - 1;
		bool leaf = is_leaf(entry, level);
		uint64_t next = leaf ? (entry & ENTRY_FRAME & ~within) | (gva & within) : entry & ENTRY_FRAME;
		struct slot *s = entry & PTE_P ? armable(g, next) : NULL;

		if (!s)
			return;
		gva_range_open(g, s->hva + (next - s->gpa));
		if (leaf)
			return;
		table = next;
	}
}

/* Out of KVM_RUN as soon as nothing more is missing. Sent before the page is continued: behind that the vCPU might be in its
 * next fault already. A walk waits for its page all the same; a fault that waits for the page itself is given up, and comes
 * back. */
static void come_out(struct gva_range *g, unsigned vcpu)
{
	struct kvcpu_run *t = g->vm->vcpu[vcpu].thread;

	atomic_store(&t->rearm, true);
	pthread_kill(t->thread, KICK_SIGNAL);
}

/* With a signal pending a thread waits for its page by asking again and again: what it asked last may come behind the
 * answer. */
bool gva_range_stale(struct gva_range *g, unsigned vcpu, uint64_t hva)
{
	const struct table *t;
	bool open;

	pthread_mutex_lock(&g->lock);
	t = find_table(g, hva);
	open = t && t->open;
	pthread_mutex_unlock(&g->lock);
	return open || (!t && g->walker[vcpu].given == hva && atomic_load(&g->vm->vcpu[vcpu].thread->rearm));
}

void gva_range_pass(struct gva_range *g, unsigned vcpu, uint64_t hva)
{
	struct walker *w = &g->walker[vcpu];
	struct slot *s = slot_of(g, hva);

	come_out(g, vcpu);
	/* First what follows, then the one that it waits for. */
	if (s && w->known && w->level)
		open_walk(g, s->gpa + (hva - s->hva), w->level, w->gva);
	w->given = hva;
	gva_range_open(g, hva);
}

void gva_range_end_stage(struct gva_range *g, unsigned vcpu, uint64_t hva)
{
	g->walker[vcpu].given = hva;
	if (g->walker[vcpu].last)
		come_out(g, vcpu);
}

static void arm_opened(struct gva_range *g)
{
	pthread_mutex_lock(&g->lock);
	atomic_store(&g->any_open, false);
	for (size_t i = 0; i < g->n; i++)
		if (g->table[i].open) {
			g->table[i].open = false;
			(void)!madvise((void *)(uintptr_t)g->table[i].hva, PAGE_SIZE_4K, MADV_DONTNEED);
		}
	pthread_mutex_unlock(&g->lock);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static bool others_under_way(struct gva_range *g, const struct kvcpu *v)
{
	for (unsigned i = 0; i < g->vm->m.vcpus; i++)
		if (i != v->index && vcpu_busy(&g->vm->vcpu[i]) && atomic_load(&g->vm->vcpu[i].thread->rearm))
			return true;
	return false;
}

/* Another's fault that is under way reads the same tables: it comes out as well, wait for it. Should it be a live stage,
 * this one is kicked. The limit is for one that ended otherwise than its tables said. */
void gva_range_again(struct gva_range *g, struct kvcpu *v)
{
	uint64_t until = now_ns() + OTHERS_NS;

	atomic_store(&v->thread->rearm, false);
	while (others_under_way(g, v) && !vcpu_kicked(v) && now_ns() < until)
		sched_yield();
	if (atomic_load(&g->any_open))
		arm_opened(g);
}

/* ---- whose fault it is */

static bool ends_fault(const struct trace_event *t)
{
	static const char *const names[] = {"spte", "fast-fault", "guest-fault", "emulate", "mmio", "mmio-cache"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(t->stage, names[i]))
			return true;
	return false;
}

bool gva_range_event(struct gva_range *g, unsigned vcpu, const struct trace_event *t)
{
	struct walker *w = &g->walker[vcpu];

	if (t->gva_known) {
		/* The emulator's fetch is part of the fault that it emulates. */
		bool part = w->known && w->in_range && t->fetch;

		w->known = true;
		w->gva = t->gva;
		w->level = g->levels;
		w->error = t->error;
		w->rights = ~0ull;
		w->nx = 0;
		w->in_range = part || (t->gva >= g->first && t->gva <= g->last);
		w->again = w->shown && w->shown_gva == t->gva;
		return w->in_range && !w->again;
	}
	/* The walk of a fault that was given up at its page is not told twice, nor that a signal came. */
	bool told = w->known && w->in_range && !t->interrupted && (!w->again || ends_fault(t) || !strcmp(t->stage, "page"));
	if (t->element && t->level) {
		w->level = is_leaf(t->pte, t->level) || !(t->pte & PTE_P) ? 0 : t->level - 1;
		w->rights &= t->pte;
		w->nx |= t->pte;
	}
	if (ends_fault(t))
		w->shown = w->again = false;
	return told || !w->known;
}

bool gva_range_wants(struct gva_range *g, unsigned vcpu)
{
	struct walker *w = &g->walker[vcpu];

	/* Excused once: a fault that is neither done nor let through is better told twice than never again. */
	w->shown = false;
	return !w->known || (w->gva >= g->first && w->gva <= g->last && !w->again);
}

unsigned gva_range_stage(struct gva_range *g, unsigned vcpu, uint64_t hva, uint64_t *gva)
{
	struct walker *w = &g->walker[vcpu];
	struct slot *s = slot_of(g, hva);

	*gva = w->known ? w->gva : 0;
	atomic_store(&g->vm->vcpu[vcpu].thread->rearm, true);
	w->last = true;
	w->given = 0;
	if (s && w->known && w->level)
		w->last = !arm_next(g, s->gpa + (hva - s->hva), w);
	else
		w->shown = w->known;
	w->shown_gva = w->gva;
	return w->known ? w->level : 0;
}
