/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which pages are armed for watchpoints, and what was in those that are open. A watched range is cut into parts, each
 * contiguous in a slot's memory; the pages of all parts are what is armed. Virtual addresses bring the entries of the
 * guest's tables with them by which they are reached, as far as those are present: whoever writes one of them has the plan
 * made anew, so that a watch follows its address to another page, or to the first that it gets.
 */
#include "kvmback/watch/armed_impl.h"

#include "core/base/lock.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "kvmback/vcpu/bytes.h"

#define GVA_MAX (16ull << 20)  /* a longer range of virtual addresses is not looked up page by page */
#define READ_MAX (64ull << 20) /* every page of a range whose reads are watched must exist */

bool armed_grow(void *array, size_t n, size_t *cap, size_t size)
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

const struct armed_range *armed_find(const struct armed *p, uint64_t hva)
{
	size_t lo = 0, hi = p->uffd.gen == p->range_gen ? p->n_ranges : 0;

	lock_assert_held(&p->lock);
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->range[mid].hva + p->range[mid].len <= hva)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n_ranges && p->uffd.gen == p->range_gen && p->range[lo].hva <= hva ? &p->range[lo] : NULL;
}

/* Missing pages must exist, or they would not be missing in the sense of userfaultfd: a look makes a hole a page of zeroes.
 */
static int drop(struct armed *p, uint64_t hva, uint64_t len)
{
	(void)p;
	return madvise((void *)(uintptr_t)hva, len, MADV_DONTNEED) ? -errno : 0;
}

static int arm(struct armed *p, const struct armed_range *a)
{
	unsigned minor = a->drop || p->vm->faults ? UFFD_MINOR : 0;
	int rc = uffd_register(&p->uffd, a->hva, a->len, minor | UFFD_PROTECT);

	if (rc)
		return rc;
	return a->drop ? drop(p, a->hva, a->len) : uffd_protect(&p->uffd, a->hva, a->len, true);
}

/* What is missing comes back when it is touched. */
static void disarm(struct armed *p, const struct armed_range *a)
{
	if (!a->drop)
		(void)!uffd_protect(&p->uffd, a->hva, a->len, false);
}

static int by_hva(const void *a, const void *b)
{
	const struct armed_range *x = a, *y = b;

	return x->hva < y->hva ? -1 : x->hva > y->hva;
}

/* Of one kind: sorted, overlaps and neighbours made one. */
static size_t unite(struct armed_range *a, size_t n)
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
static size_t subtract(const struct armed_range *a, size_t n_a, const struct armed_range *b, size_t n_b,
		       struct armed_range *out)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < n_a; i++) {
		uint64_t at = a[i].hva, end = a[i].hva + a[i].len;

		while (k < n_b && b[k].hva + b[k].len <= at)
			k++;
		for (size_t m = k; at < end && m < n_b && b[m].hva < end; m++) {
			if (b[m].hva > at)
				out[n++] = (struct armed_range){at, b[m].hva - at, a[i].drop};
			at = b[m].hva + b[m].len;
		}
		if (at < end)
			out[n++] = (struct armed_range){at, end - at, a[i].drop};
	}
	return n;
}

/* The pages of all parts, each once, sorted: out has room for twice as many. If reads are watched the page is missing,
 * which is write-protected enough; nothing else is dropped with it. */
static size_t merge(const struct watched_part *part, size_t n, struct armed_range *out)
{
	struct armed_range *drop = malloc(2 * n * sizeof(*drop) + 1), *protect = drop + n;
	size_t n_drop = 0, n_protect = 0;

	if (!drop)
		return SIZE_MAX;
	for (size_t i = 0; i < n; i++) {
		uint64_t hva = part[i].hva & ~PAGE_OFFSET_MASK;
		uint64_t end = (part[i].hva + part[i].len + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;

		*(part[i].drop ? &drop[n_drop++] : &protect[n_protect++]) =
		    (struct armed_range){hva, end - hva, part[i].drop};
	}
	n_drop = unite(drop, n_drop);
	n_protect = unite(protect, n_protect);
	memcpy(out, drop, n_drop * sizeof(*out));
	n = n_drop + subtract(protect, n_protect, drop, n_drop, out + n_drop);
	qsort(out, n, sizeof(*out), by_hva);
	free(drop);
	return n;
}

static bool in_list(const struct armed_range *list, size_t n, const struct armed_range *a)
{
	const struct armed_range *f = n ? bsearch(a, list, n, sizeof(*a), by_hva) : NULL;

	return f && f->len == a->len && f->drop == a->drop;
}

static bool change_armed(struct armed *p, const struct armed_range *now, size_t n)
{
	bool fresh = p->range_gen != p->uffd.gen, ok = true;

	lock_assert_held(&p->lock);
	for (size_t i = 0; !fresh && i < p->n_ranges; i++)
		if (!in_list(now, n, &p->range[i]))
			disarm(p, &p->range[i]);
	for (size_t i = 0; i < n; i++)
		if (fresh || !in_list(p->range, p->n_ranges, &now[i]))
			ok &= !arm(p, &now[i]);
	return ok;
}

static bool same_armed(const struct armed *p, const struct armed_range *now, size_t n)
{
	if (p->range_gen != p->uffd.gen || n != p->n_ranges)
		return false;
	for (size_t i = 0; i < n; i++)
		if (now[i].hva != p->range[i].hva || now[i].len != p->range[i].len || now[i].drop != p->range[i].drop)
			return false;
	return true;
}

/* A byte that is there for another vCPU's tables, or for tables that were: its page stays armed as long as it does. */
static bool is_laid(struct kvcpu *v, const uint8_t *alias)
{
	uint8_t under;

	return bytes_known(v->vm->rs, alias, &under);
}

void armed_begin(struct kvcpu *v)
{
	struct armed *p = v->vm->armed;
	size_t out = 0;

	lock_assert_held(&v->vm->rs->plant_lock);
	if (!p)
		return;
	LOCK_SCOPE(&p->lock);
	for (size_t i = 0; i < p->n_parts; i++)
		if (p->part[i].vcpu != v->index || (p->part[i].code && is_laid(v, p->part[i].alias)))
			p->part[out++] = p->part[i];
	p->n_parts = out;
}

#define NO_ROOM "no memory left to note its pages"

const char *armed_add_part(struct kvcpu *v, const struct slot *s, uint64_t gpa, const struct watched_part *c)
{
	struct armed *p = v->vm->armed;

	lock_assert_held(&v->vm->rs->plant_lock);
	if (s->file_backed || !s->alias)
		return "its memory is a file's, mapped for reading only, whose pages cannot be armed";
	LOCK_SCOPE(&p->lock);
	if (!armed_grow(&p->part, p->n_parts, &p->cap_parts, sizeof(*p->part)))
		return NO_ROOM;
	p->part[p->n_parts] = *c;
	p->part[p->n_parts].hva = s->hva + (gpa - s->gpa);
	p->part[p->n_parts].gpa = gpa;
	p->part[p->n_parts].alias = s->alias + (gpa - s->gpa);
	p->part[p->n_parts++].vcpu = v->index;
	return NULL;
}

static const char *add_watched(struct kvcpu *v, const struct plant *w, const struct slot *s, uint64_t gpa, uint64_t len,
			       uint64_t gva)
{
	const struct watched_part c = {
	    .len = len, .gva = gva, .id = w->id, .drop = w->kind != PLANT_WRITE, .write = w->kind != PLANT_READ};

	return armed_add_part(v, s, gpa, &c);
}

/* Every slot with a part of it, whoever sees that. */
static const char *add_gpas(struct kvcpu *v, const struct plant *w)
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

static const char *add_gvas_under(struct kvcpu *v, const struct plant *w, uint64_t cr3)
{
	struct armed_way way = {0};
	const char *why = NULL;

	for (uint64_t at = w->addr, end = w->addr + w->len; at != end && !why;) {
		uint64_t next = (at | PAGE_OFFSET_MASK) + 1;
		const struct slot *s;
		struct walk walk;

		if (next > end || !next)
			next = end;
		bool mapped = gmem_walk_under(v, cr3, at, &walk);
		if (!v->vm->rs->st->walks_write)
			why = armed_want_way(v, &walk, &way);
		s = mapped ? gmem_slot(v, walk.gpa) : NULL;
		if (s && !why)
			why = add_watched(v, w, s, walk.gpa, next - at, at);
		at = next;
	}
	return why;
}

static const char *add_gvas(struct kvcpu *v, const struct plant *w)
{
	const uint64_t *root;
	unsigned n = armed_roots(v, &root);
	const char *why = NULL;

	if (w->len > GVA_MAX)
		return "it is longer than 16 MiB of virtual addresses (-phys has no such limit)";
	for (unsigned i = 0; i < n && !why; i++)
		why = add_gvas_under(v, w, root[i]);
	return why;
}

bool armed_follows_tables(const struct kvm_vm *vm)
{
	const struct armed *p = vm->armed;

	for (size_t i = 0; p && i < p->n_parts; i++)
		if (p->part[i].table)
			return true;
	return false;
}

const char *armed_want(struct kvcpu *v, const struct plant *w)
{
	struct armed *p;

	if (uffd_why())
		return uffd_why();
	if (w->kind != PLANT_WRITE && w->len > READ_MAX)
		return "reads are watched in more than 64 MiB, all of which would have to be in memory";
	if (armed_get(v->vm, "watch", &p, NULL))
		return "there is no file descriptor or thread left for userfaultfd";
	return w->phys ? add_gpas(v, w) : add_gvas(v, w);
}

static void touch(const struct watched_part *c)
{
	volatile uint8_t sum = 0;

	for (uint64_t at = 0; c->drop && at < c->len; at += PAGE_SIZE_4K)
		sum = (uint8_t)(sum + c->alias[at]);
	if (c->drop)
		sum = (uint8_t)(sum + c->alias[c->len - 1]);
}

bool armed_apply(struct kvm_vm *vm)
{
	struct armed *p = vm->armed;
	struct armed_range *now;
	size_t n;

	lock_assert_held(&vm->rs->plant_lock);
	if (!p || (!p->n_parts && !p->n_ranges))
		return true;
	now = calloc(2 * p->n_parts + 1, sizeof(*now));
	n = now ? merge(p->part, p->n_parts, now) : SIZE_MAX;
	if (n == SIZE_MAX) {
		free(now);
		return false;
	}
	LOCK_SCOPE(&p->lock);
	if (same_armed(p, now, n)) {
		free(now);
		return true;
	}
	for (size_t i = 0; i < p->n_parts; i++)
		touch(&p->part[i]);
	bool ok = change_armed(p, now, n);
	free(p->range);
	p->range = now;
	p->n_ranges = n;
	/* If some could not be armed the next run tries again. */
	p->range_gen = p->uffd.gen - !ok;
	return ok;
}

void armed_forget(struct kvm_vm *vm)
{
	struct armed *p = vm->armed;

	if (!p)
		return;
	LOCK_SCOPE(&p->lock);
	p->n_ranges = p->n_parts = p->n_code = 0;
	for (size_t i = 0; i < p->n_opened; i++)
		free(p->opened[i]);
	p->n_opened = 0;
}

bool armed_protected(struct armed *p, uint64_t hva)
{
	LOCK_SCOPE(&p->lock);
	const struct armed_range *a = armed_find(p, hva);

	return a && !a->drop;
}

bool armed_any(const struct armed *p)
{
	return p->n_ranges && p->range_gen == p->uffd.gen;
}

void armed_ranges(struct machine *m, armed_fn *fn, void *arg)
{
	struct kvm_vm *vm = kvm_of(m);
	LOCK_SCOPE(&vm->rs->plant_lock);
	struct armed *p = vm->armed;

	if (!p)
		return;
	LOCK_SCOPE(&p->lock);
	for (size_t i = 0; armed_any(p) && i < p->n_parts; i++)
		fn(arg, p->part[i].gpa, p->part[i].len);
}

/* ---- opened pages */

const uint8_t *armed_alias(const struct kvm_vm *vm, uint64_t hva)
{
	const struct slot *s = slot_by_hva(&vm->m.slots, hva);

	return s ? s->alias + (hva - s->hva) : NULL;
}

void armed_save_page(struct armed *p, uint64_t hva)
{
	const uint8_t *alias = armed_alias(p->vm, hva);
	struct opened_page *o;

	lock_assert_held(&p->lock);
	for (size_t i = 0; i < p->n_opened; i++)
		if (p->opened[i]->hva == hva)
			return;
	if (!alias || !armed_grow(&p->opened, p->n_opened, &p->cap_opened, sizeof(*p->opened)))
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
static bool tables_changed(const struct armed *p)
{
	lock_assert_held(&p->lock);
	for (size_t o = 0; o < p->n_opened; o++)
		for (size_t i = 0; i < p->n_parts; i++) {
			const struct watched_part *c = &p->part[i];
			uint64_t off = c->hva - p->opened[o]->hva;

			if (c->table && off < PAGE_SIZE_4K && memcmp(p->opened[o]->before + off, c->alias, c->len) != 0)
				return true;
		}
	return false;
}

void armed_rearm(struct kvcpu *v)
{
	struct armed *p = v->vm->armed;

	bytes_lay_again(v->vm->rs, LIFT_FOR_INSN);
	if (!p)
		return;
	LOCK_SCOPE(&p->lock);
	if (tables_changed(p))
		v->control->plan.stale = true;
	for (size_t i = 0; i < p->n_opened; i++) {
		const struct armed_range *a = armed_find(p, p->opened[i]->hva);

		if (a && a->drop)
			(void)!drop(p, p->opened[i]->hva, PAGE_SIZE_4K);
		else if (a)
			(void)!uffd_protect(&p->uffd, p->opened[i]->hva, PAGE_SIZE_4K, true);
		free(p->opened[i]);
	}
	p->n_opened = 0;
}

static bool any_opened(struct armed *p)
{
	LOCK_SCOPE(&p->lock);
	return p->n_opened;
}

bool armed_left_open(struct kvcpu *v)
{
	struct armed *p = v->vm->armed;

	/* With immediate_exit what is under way is completed, and may need them. */
	if (!p || atomic_load_explicit(&v->control->stepping, memory_order_relaxed) ||
	    __atomic_load_n(&v->run->immediate_exit, __ATOMIC_RELAXED))
		return false;
	bool open = any_opened(p);
	if (open)
		armed_rearm(v);
	return open;
}

const uint8_t *armed_byte_before(struct kvcpu *v, const uint8_t *alias)
{
	struct armed *p = v->vm->armed;

	if (!p || !alias)
		return NULL;
	LOCK_SCOPE(&p->lock);
	for (size_t i = 0; i < p->n_opened; i++)
		if ((uintptr_t)alias - (uintptr_t)p->opened[i]->alias < PAGE_SIZE_4K)
			return p->opened[i]->before + (alias - p->opened[i]->alias);
	return NULL;
}

/* The first bytes of the part that are not what they were in the opened page. */
static bool part_changed(const struct watched_part *c, const struct opened_page *o, struct page_change *out)
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

bool armed_bytes_changed(struct kvcpu *v, struct page_change *out)
{
	struct armed *p = v->vm->armed;

	if (!p)
		return false;
	LOCK_SCOPE(&p->lock);
	for (size_t o = 0; o < p->n_opened; o++)
		for (size_t i = 0; i < p->n_parts; i++)
			if (part_changed(&p->part[i], p->opened[o], out))
				return true;
	return false;
}
