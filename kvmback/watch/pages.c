/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which pages are armed for watchpoints, and what was in those that are open. A watched range is cut into pieces, each
 * contiguous in a slot's memory; the pages of all pieces are what is armed. Virtual addresses bring the entries of the
 * guest's tables with them by which they are reached, as far as those are present: whoever writes one of them has the plan
 * made anew, so that a watch follows its address to another page, or to the first that it gets.
 */
#include "kvmback/watch/pages_impl.h"

#include "core/base/lock.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kvmback/kernel/kview.h"

#define ROOT_FRAME 0x000fffffffffffe0ull /* of CR3, without PCID and PCD, PWT; PAE's table is on 32 bytes */
#define GVA_MAX (16ull << 20)		 /* a longer range of virtual addresses is not looked up page by page */
#define READ_MAX (64ull << 20)		 /* every page of a range whose reads are watched must exist */

bool pages_grow(void *array, size_t n, size_t *cap, size_t size)
{
	size_t to = *cap ? *cap * 2 : 16;
	void **at = array, *bigger;

	if (n < *cap)
		return true;
	bigger = realloc(*at, to * size);
	if (!bigger)
		return false;
	*at = bigger;
	*cap = to;
	return true;
}

/* ---- what is armed */

const struct armed *pages_find_armed(const struct pages *p, uint64_t hva)
{
	size_t lo = 0, hi = p->uffd.gen == p->armed_gen ? p->n_armed : 0;

	lock_assert_held(&p->lock);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->armed[mid].hva + p->armed[mid].len <= hva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n_armed && p->uffd.gen == p->armed_gen && p->armed[lo].hva <= hva ? &p->armed[lo] : NULL;
}

/* Missing pages must exist, or they would not be missing in the sense of userfaultfd: a look makes a hole a page of zeroes.
 */
static int drop(struct pages *p, uint64_t hva, uint64_t len)
{
	(void)p;
	return madvise((void *)(uintptr_t)hva, len, MADV_DONTNEED) ? -errno : 0;
}

static int arm(struct pages *p, const struct armed *a)
{
	unsigned minor = a->drop || p->vm->faults ? UFFD_MINOR : 0;
	int rc = uffd_register(&p->uffd, a->hva, a->len, minor | UFFD_PROTECT);

	if (rc)
		return rc;
	return a->drop ? drop(p, a->hva, a->len) : uffd_protect(&p->uffd, a->hva, a->len, true);
}

/* What is missing comes back when it is touched. */
static void disarm(struct pages *p, const struct armed *a)
{
	if (!a->drop)
		(void)!uffd_protect(&p->uffd, a->hva, a->len, false);
}

static int by_hva(const void *a, const void *b)
{
	const struct armed *x = a, *y = b;

	return x->hva < y->hva ? -1 : x->hva > y->hva;
}

/* Of one kind: sorted, overlaps and neighbours made one. */
static size_t unite(struct armed *a, size_t n)
{
	size_t out = 0;

	qsort(a, n, sizeof(*a), by_hva);
	for (size_t i = 0; i < n; i++) {
		uint64_t end = a[i].hva + a[i].len, last = out ? a[out - 1].hva + a[out - 1].len : 0;

		if (!out || a[i].hva > last)
			a[out++] = a[i];
		else if (end > last)
			a[out - 1].len = end - a[out - 1].hva;
	}
	return out;
}

/* What of a is in none of the ranges of b, both united: at most as many more as b has. */
static size_t without(const struct armed *a, size_t n_a, const struct armed *b, size_t n_b, struct armed *out)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < n_a; i++) {
		uint64_t at = a[i].hva, end = a[i].hva + a[i].len;

		while (k < n_b && b[k].hva + b[k].len <= at)
			k++;
		for (size_t m = k; at < end && m < n_b && b[m].hva < end; m++) {
			if (b[m].hva > at)
				out[n++] = (struct armed){at, b[m].hva - at, a[i].drop};
			at = b[m].hva + b[m].len;
		}
		if (at < end)
			out[n++] = (struct armed){at, end - at, a[i].drop};
	}
	return n;
}

/* The pages of all pieces, each once, sorted: out has room for twice as many. Where reads are watched the page is missing,
 * which is write-protected enough; nothing else is dropped with it. */
static size_t merge(const struct piece *piece, size_t n, struct armed *out)
{
	struct armed *drop = malloc(2 * n * sizeof(*drop) + 1), *protect = drop + n;
	size_t n_drop = 0, n_protect = 0;

	if (!drop)
		return SIZE_MAX;
	for (size_t i = 0; i < n; i++) {
		uint64_t hva = piece[i].hva & ~PAGE_OFFSET_MASK;
		uint64_t end = (piece[i].hva + piece[i].len + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;

		*(piece[i].drop ? &drop[n_drop++] : &protect[n_protect++]) = (struct armed){hva, end - hva, piece[i].drop};
	}
	n_drop = unite(drop, n_drop);
	n_protect = unite(protect, n_protect);
	memcpy(out, drop, n_drop * sizeof(*out));
	n = n_drop + without(protect, n_protect, drop, n_drop, out + n_drop);
	qsort(out, n, sizeof(*out), by_hva);
	free(drop);
	return n;
}

static bool in_list(const struct armed *list, size_t n, const struct armed *a)
{
	const struct armed *f = n ? bsearch(a, list, n, sizeof(*a), by_hva) : NULL;

	return f && f->len == a->len && f->drop == a->drop;
}

static bool change_armed(struct pages *p, const struct armed *now, size_t n)
{
	bool fresh = p->armed_gen != p->uffd.gen, ok = true;

	lock_assert_held(&p->lock);
	for (size_t i = 0; !fresh && i < p->n_armed; i++)
		if (!in_list(now, n, &p->armed[i]))
			disarm(p, &p->armed[i]);
	for (size_t i = 0; i < n; i++)
		if (fresh || !in_list(p->armed, p->n_armed, &now[i]))
			ok &= !arm(p, &now[i]);
	return ok;
}

static bool same_armed(const struct pages *p, const struct armed *now, size_t n)
{
	if (p->armed_gen != p->uffd.gen || n != p->n_armed)
		return false;
	for (size_t i = 0; i < n; i++)
		if (now[i].hva != p->armed[i].hva || now[i].len != p->armed[i].len || now[i].drop != p->armed[i].drop)
			return false;
	return true;
}

void pages_begin(struct kvcpu *v)
{
	struct pages *p = v->vm->pages;
	size_t out = 0;

	lock_assert_held(&v->vm->rs->plant_lock);
	if (!p)
		return;
	LOCK_SCOPE(&p->lock);
	for (size_t i = 0; i < p->n_pieces; i++)
		if (p->piece[i].vcpu != v->index)
			p->piece[out++] = p->piece[i];
	p->n_pieces = out;
}

#define NO_ROOM "no memory left to note its pages"

static const char *add_piece(struct kvcpu *v, const struct slot *s, uint64_t gpa, const struct piece *c)
{
	struct pages *p = v->vm->pages;

	lock_assert_held(&v->vm->rs->plant_lock);
	if (s->file_backed || !s->alias)
		return "its memory is a file's, mapped for reading only, whose pages cannot be armed";
	LOCK_SCOPE(&p->lock);
	if (!pages_grow(&p->piece, p->n_pieces, &p->cap_pieces, sizeof(*p->piece)))
		return NO_ROOM;
	p->piece[p->n_pieces] = *c;
	p->piece[p->n_pieces].hva = s->hva + (gpa - s->gpa);
	p->piece[p->n_pieces].gpa = gpa;
	p->piece[p->n_pieces].alias = s->alias + (gpa - s->gpa);
	p->piece[p->n_pieces++].vcpu = v->index;
	return NULL;
}

static const char *add_watched(struct kvcpu *v, const struct plant *w, const struct slot *s, uint64_t gpa, uint64_t len,
			       uint64_t gva)
{
	const struct piece c = {
	    .len = len, .gva = gva, .id = w->id, .drop = w->kind != PLANT_WRITE, .write = w->kind != PLANT_READ};

	return add_piece(v, s, gpa, &c);
}

/* Every slot with a part of it, whoever sees that. */
static const char *want_phys(struct kvcpu *v, const struct plant *w)
{
	const struct slot_table *t = &v->vm->m.slots;
	const char *why = NULL;

	for (size_t i = 0; i < t->n && !why; i++) {
		const struct slot *s = t->by_gfn[i];
		uint64_t first = w->addr > s->gpa ? w->addr : s->gpa;
		uint64_t last = w->addr + w->len - 1, end = s->gpa + s->size - 1;

		last = last < end ? last : end;
		if (first <= last)
			why = add_watched(v, w, s, first, last - first + 1, 0);
	}
	return why;
}

/* The entries of a walk; seen: by level, the last that was added, with its piece. */
struct seen {
	uint64_t gpa;
	size_t piece;
};
#define LEVELS 6

static void lengthen(struct pages *p, size_t piece, uint64_t len)
{
	LOCK_SCOPE(&p->lock);
	p->piece[piece].len += len;
}

static const char *want_entries(struct kvcpu *v, const struct walk *w, struct seen seen[LEVELS])
{
	const char *why = NULL;

	for (unsigned i = 0; i < w->n && !why; i++) {
		const struct walk_step *step = &w->step[i];
		const struct slot *s = gmem_slot(v, step->gpa);
		struct seen *last = &seen[step->level % LEVELS];
		struct piece c = {.len = step->size, .table = true};

		if (!s || last->gpa == step->gpa)
			continue;
		bool next = last->gpa && last->gpa + step->size == step->gpa && step->gpa & PAGE_OFFSET_MASK;
		if (next)
			lengthen(v->vm->pages, last->piece, step->size);
		else
			why = add_piece(v, s, step->gpa, &c);
		*last = (struct seen){step->gpa, next ? last->piece : v->vm->pages->n_pieces - 1};
	}
	return why;
}

static const char *want_under(struct kvcpu *v, const struct plant *w, uint64_t cr3)
{
	struct seen seen[LEVELS] = {0};
	const char *why = NULL;

	for (uint64_t at = w->addr, end = w->addr + w->len; at != end && !why;) {
		uint64_t next = (at | PAGE_OFFSET_MASK) + 1;
		const struct slot *s;
		struct walk walk;

		if (next > end || !next)
			next = end;
		bool mapped = gmem_walk_under(v, cr3, at, &walk);
		why = want_entries(v, &walk, seen);
		s = mapped ? gmem_slot(v, walk.gpa) : NULL;
		if (s && !why)
			why = add_watched(v, w, s, walk.gpa, next - at, at);
		at = next;
	}
	return why;
}

static bool has_tables(struct kvcpu *v)
{
	return vcpu_sregs(v)->cr0 & CR0_PG;
}

static void put_root(struct kvcpu_run *t, uint64_t cr3)
{
	unsigned at = 0;

	while (at < t->n_roots && t->root[at] != cr3)
		at++;
	if (at == ROOTS_KEPT)
		at--;
	t->n_roots += at == t->n_roots;
	memmove(t->root + 1, t->root, at * sizeof(*t->root));
	t->root[0] = cr3;
}

/* CR3 may go back to one of those that KVM keeps, and nobody is told. */
static void put_kept_roots(struct kvcpu *v)
{
	struct root_list l = {0};
	struct kview *k;

	if (kvm_kview(v->vm, &k, NULL) || kview_roots(k, &l, NULL))
		return;
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].vcpu == v->index && l.v[i].page)
			put_root(v->thread, l.v[i].cr3 & ROOT_FRAME);
	root_list_free(&l);
}

static const char *want_gva(struct kvcpu *v, const struct plant *w)
{
	struct kvcpu_run *t = v->thread;
	uint64_t cr3 = vcpu_sregs(v)->cr3 & ROOT_FRAME;
	const char *why = NULL;

	if (w->len > GVA_MAX)
		return "it is longer than 16 MiB of virtual addresses (-phys has no such limit)";
	if (!has_tables(v))
		return want_under(v, w, cr3);
	if (!t->n_roots)
		put_kept_roots(v);
	put_root(t, cr3);
	for (unsigned i = 0; i < t->n_roots && !why; i++)
		why = want_under(v, w, t->root[i]);
	return why;
}

bool pages_follow(const struct kvm_vm *vm)
{
	const struct pages *p = vm->pages;

	for (size_t i = 0; p && i < p->n_pieces; i++)
		if (p->piece[i].table)
			return true;
	return false;
}

const char *pages_want(struct kvcpu *v, const struct plant *w)
{
	struct pages *p;

	if (uffd_why())
		return uffd_why();
	if (w->kind != PLANT_WRITE && w->len > READ_MAX)
		return "reads are watched in more than 64 MiB, all of which would have to be in memory";
	if (pages_get(v->vm, "watch", &p, NULL))
		return "there is no file descriptor or thread left for userfaultfd";
	return w->phys ? want_phys(v, w) : want_gva(v, w);
}

static void touch(const struct piece *c)
{
	volatile uint8_t sum = 0;

	for (uint64_t at = 0; c->drop && at < c->len; at += PAGE_SIZE_4K)
		sum = (uint8_t)(sum + c->alias[at]);
	if (c->drop)
		sum = (uint8_t)(sum + c->alias[c->len - 1]);
}

bool pages_apply(struct kvm_vm *vm)
{
	struct pages *p = vm->pages;
	struct armed *now;
	size_t n;

	lock_assert_held(&vm->rs->plant_lock);
	if (!p || (!p->n_pieces && !p->n_armed))
		return true;
	now = calloc(2 * p->n_pieces + 1, sizeof(*now));
	n = now ? merge(p->piece, p->n_pieces, now) : SIZE_MAX;
	if (n == SIZE_MAX) {
		free(now);
		return false;
	}
	LOCK_SCOPE(&p->lock);
	if (same_armed(p, now, n)) {
		free(now);
		return true;
	}
	for (size_t i = 0; i < p->n_pieces; i++)
		touch(&p->piece[i]);
	bool ok = change_armed(p, now, n);
	free(p->armed);
	p->armed = now;
	p->n_armed = n;
	/* Where some could not be armed the next run tries again. */
	p->armed_gen = p->uffd.gen - !ok;
	return ok;
}

void pages_forget(struct kvm_vm *vm)
{
	struct pages *p = vm->pages;

	if (!p)
		return;
	LOCK_SCOPE(&p->lock);
	p->n_armed = p->n_pieces = 0;
	for (size_t i = 0; i < p->n_opened; i++)
		free(p->opened[i]);
	p->n_opened = 0;
}

bool pages_protected(struct pages *p, uint64_t hva)
{
	LOCK_SCOPE(&p->lock);
	const struct armed *a = pages_find_armed(p, hva);

	return a && !a->drop;
}

bool pages_armed(const struct pages *p)
{
	return p->n_armed && p->armed_gen == p->uffd.gen;
}

/* ---- opened pages */

static const uint8_t *alias_of(const struct kvm_vm *vm, uint64_t hva)
{
	for (size_t i = 0; i < vm->m.slots.n; i++) {
		const struct slot *s = vm->m.slots.by_gfn[i];

		if (hva - s->hva < s->size)
			return s->alias + (hva - s->hva);
	}
	return NULL;
}

void pages_keep_before(struct pages *p, uint64_t hva)
{
	const uint8_t *alias = alias_of(p->vm, hva);
	struct opened *o;

	lock_assert_held(&p->lock);
	for (size_t i = 0; i < p->n_opened; i++)
		if (p->opened[i]->hva == hva)
			return;
	if (!alias || !pages_grow(&p->opened, p->n_opened, &p->cap_opened, sizeof(*p->opened)))
		return;
	o = malloc(sizeof(*o));
	if (!o)
		return;
	o->hva = hva;
	o->alias = alias;
	memcpy(o->before, alias, sizeof(o->before));
	p->opened[p->n_opened++] = o;
}

/* Has a guest table been written by which a watched address is reached? */
static bool tables_changed(const struct pages *p)
{
	lock_assert_held(&p->lock);
	for (size_t o = 0; o < p->n_opened; o++)
		for (size_t i = 0; i < p->n_pieces; i++) {
			const struct piece *c = &p->piece[i];
			uint64_t off = c->hva - p->opened[o]->hva;

			if (c->table && off < PAGE_SIZE_4K && memcmp(p->opened[o]->before + off, c->alias, c->len) != 0)
				return true;
		}
	return false;
}

void pages_rearm(struct kvcpu *v)
{
	struct pages *p = v->vm->pages;

	if (!p)
		return;
	LOCK_SCOPE(&p->lock);
	if (tables_changed(p))
		v->thread->plan.stale = true;
	for (size_t i = 0; i < p->n_opened; i++) {
		const struct armed *a = pages_find_armed(p, p->opened[i]->hva);

		if (a && a->drop)
			(void)!drop(p, p->opened[i]->hva, PAGE_SIZE_4K);
		else if (a)
			(void)!uffd_protect(&p->uffd, p->opened[i]->hva, PAGE_SIZE_4K, true);
		free(p->opened[i]);
	}
	p->n_opened = 0;
}

static bool any_opened(struct pages *p)
{
	LOCK_SCOPE(&p->lock);
	return p->n_opened;
}

bool pages_left_open(struct kvcpu *v)
{
	struct pages *p = v->vm->pages;

	/* With immediate_exit what is under way is completed, and may need them. */
	if (!p || atomic_load_explicit(&v->thread->stepping, memory_order_relaxed) ||
	    __atomic_load_n(&v->run->immediate_exit, __ATOMIC_RELAXED))
		return false;
	bool open = any_opened(p);
	if (open)
		pages_rearm(v);
	return open;
}

const uint8_t *pages_before(struct kvcpu *v, const uint8_t *alias)
{
	struct pages *p = v->vm->pages;

	if (!p || !alias)
		return NULL;
	LOCK_SCOPE(&p->lock);
	for (size_t i = 0; i < p->n_opened; i++)
		if ((uintptr_t)alias - (uintptr_t)p->opened[i]->alias < PAGE_SIZE_4K)
			return p->opened[i]->before + (alias - p->opened[i]->alias);
	return NULL;
}

/* The first bytes of the piece that are not what they were in the opened page. */
static bool piece_changed(const struct piece *c, const struct opened *o, struct page_change *out)
{
	uint64_t first = c->hva > o->hva ? c->hva : o->hva;
	uint64_t end = c->hva + c->len < o->hva + PAGE_SIZE_4K ? c->hva + c->len : o->hva + PAGE_SIZE_4K;

	for (; first < end; first++)
		if (o->before[first - o->hva] != o->alias[first - o->hva])
			break;
	if (!c->write || first >= end)
		return false;
	*out = (struct page_change){.id = c->id,
				    .gva = c->gva ? c->gva + (first - c->hva) : 0,
				    .gpa = c->gpa + (first - c->hva),
				    .len = end - first < 8 ? (unsigned)(end - first) : 8};
	memcpy(out->old, o->before + (first - o->hva), out->len);
	memcpy(out->now, o->alias + (first - o->hva), out->len);
	while (out->len > 1 && out->old[out->len - 1] == out->now[out->len - 1])
		out->len--;
	return true;
}

bool pages_changed(struct kvcpu *v, struct page_change *out)
{
	struct pages *p = v->vm->pages;

	if (!p)
		return false;
	LOCK_SCOPE(&p->lock);
	for (size_t o = 0; o < p->n_opened; o++)
		for (size_t i = 0; i < p->n_pieces; i++)
			if (piece_changed(&p->piece[i], p->opened[o], out))
				return true;
	return false;
}
