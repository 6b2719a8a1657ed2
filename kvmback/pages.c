/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Arming pages for watchpoints, and the thread that answers their faults.
 *
 * The order in which a fault is answered is what makes it exact: first the signal, then the page. A fault of the guest's own
 * access is given up by the signal (KVM_RUN: EINTR, nothing executed); a copy by KVM's emulator cannot be, it waits for the
 * page, completes the instruction and finds the signal before the next. With several vCPUs the others come out first, so
 * that nobody runs past an open page.
 */
#include "kvmback/pages.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "kvmback/kernel/kview.h"

#define GVA_MAX (16ull << 20)  /* a longer range of virtual addresses is not looked up page by page */
#define READ_MAX (64ull << 20) /* every page of a range whose reads are watched must exist */
#define LATE_NS 50000

/* A part of a watched range that is contiguous in a slot's memory. */
struct piece {
	uint64_t hva, len, gva, gpa;
	int id;
	unsigned vcpu;
	bool drop; /* reads are watched */
	bool write;
	const uint8_t *alias; /* of hva */
};

struct armed {
	uint64_t hva, len; /* whole pages */
	bool drop;
};

struct opened {
	uint64_t hva;
	const uint8_t *alias;
	uint8_t before[PAGE_SIZE_4K];
};

struct pages {
	struct kvm_vm *vm;
	struct uffd uffd;
	pthread_mutex_t lock;	/* armed, opened */
	pthread_mutex_t reader; /* who reads faults */
	bool direct;
	pthread_t thread;
	bool has_thread, quit;
	bool polling, hold; /* the thread is in poll() on the userfaultfd; it is not to be */
	pthread_cond_t out;
	int wake; /* eventfd */
	struct piece *piece;
	size_t n_pieces, cap_pieces;
	struct armed *armed; /* ascending, apart from each other */
	size_t n_armed;
	unsigned armed_gen; /* of uffd; another: nothing is armed */
	struct opened **opened;
	size_t n_opened, cap_opened;
	struct uffd_fault *kept; /* faults read while waiting for others, for whoever reads next */
	size_t n_kept, cap_kept;
};

/* Room for one more of size bytes. */
static bool grow(void *array, size_t n, size_t *cap, size_t size)
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

static const struct armed *find_armed(const struct pages *p, uint64_t hva)
{
	size_t lo = 0, hi = p->uffd.gen == p->armed_gen ? p->n_armed : 0;

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

/* Sorted, overlaps and like neighbours made one. */
static size_t merge(struct armed *a, size_t n)
{
	size_t out = 0;

	qsort(a, n, sizeof(*a), by_hva);
	for (size_t i = 0; i < n; i++) {
		struct armed *last = out ? &a[out - 1] : NULL;
		uint64_t end = a[i].hva + a[i].len;

		if (!last || a[i].hva > last->hva + last->len ||
		    (a[i].hva == last->hva + last->len && a[i].drop != last->drop)) {
			a[out++] = a[i];
			continue;
		}
		last->drop |= a[i].drop;
		if (end > last->hva + last->len)
			last->len = end - last->hva;
	}
	return out;
}

static bool in_list(const struct armed *list, size_t n, const struct armed *a)
{
	const struct armed *f = n ? bsearch(a, list, n, sizeof(*a), by_hva) : NULL;

	return f && f->len == a->len && f->drop == a->drop;
}

static bool change_armed(struct pages *p, const struct armed *now, size_t n)
{
	bool fresh = p->armed_gen != p->uffd.gen, ok = true;

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

/* ---- what is wanted */

void pages_begin(struct kvcpu *v)
{
	struct pages *p = v->vm->pages;
	size_t out = 0;

	for (size_t i = 0; p && i < p->n_pieces; i++)
		if (p->piece[i].vcpu != v->index)
			p->piece[out++] = p->piece[i];
	if (p)
		p->n_pieces = out;
}

static bool add_piece(struct kvcpu *v, const struct plant *w, const struct slot *s, uint64_t gpa, uint64_t len, uint64_t gva)
{
	struct pages *p = v->vm->pages;

	if (s->file_backed || !s->alias || !grow(&p->piece, p->n_pieces, &p->cap_pieces, sizeof(*p->piece)))
		return false;
	p->piece[p->n_pieces++] = (struct piece){.hva = s->hva + (gpa - s->gpa),
						 .len = len,
						 .gva = gva,
						 .gpa = gpa,
						 .id = w->id,
						 .vcpu = v->index,
						 .drop = w->kind != PLANT_WRITE,
						 .write = w->kind != PLANT_READ,
						 .alias = s->alias + (gpa - s->gpa)};
	return true;
}

/* Every slot with a part of it, whoever sees that. */
static bool want_phys(struct kvcpu *v, const struct plant *w)
{
	const struct slot_table *t = &v->vm->m.slots;
	bool any = false;

	for (size_t i = 0; i < t->n; i++) {
		const struct slot *s = t->by_gfn[i];
		uint64_t first = w->addr > s->gpa ? w->addr : s->gpa;
		uint64_t last = w->addr + w->len - 1, end = s->gpa + s->size - 1;

		last = last < end ? last : end;
		if (first > last)
			continue;
		if (!add_piece(v, w, s, first, last - first + 1, 0))
			return false;
		any = true;
	}
	return any;
}

static bool want_gva(struct kvcpu *v, const struct plant *w)
{
	if (w->len > GVA_MAX)
		return false;
	for (uint64_t at = w->addr, end = w->addr + w->len; at != end;) {
		uint64_t next = (at | PAGE_OFFSET_MASK) + 1, gpa;
		uint8_t rights;

		if (next > end || !next)
			next = end;
		if (!gmem_translate(v, at, &gpa, &rights))
			return false;
		const struct slot *s = gmem_slot(v, gpa);
		if (!s || !add_piece(v, w, s, gpa, next - at, at))
			return false;
		at = next;
	}
	return true;
}

bool pages_want(struct kvcpu *v, const struct plant *w)
{
	struct pages *p;

	if (w->kind != PLANT_WRITE && w->len > READ_MAX)
		return false;
	if (pages_get(v->vm, "watch", &p, NULL))
		return false;
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
	bool ok = true;
	size_t n;

	if (!p || (!p->n_pieces && !p->n_armed))
		return true;
	now = calloc(p->n_pieces + 1, sizeof(*now));
	if (!now)
		return false;
	for (size_t i = 0; i < p->n_pieces; i++) {
		uint64_t hva = p->piece[i].hva & ~PAGE_OFFSET_MASK;
		uint64_t end = (p->piece[i].hva + p->piece[i].len + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;

		now[i] = (struct armed){hva, end - hva, p->piece[i].drop};
	}
	n = merge(now, p->n_pieces);
	pthread_mutex_lock(&p->lock);
	if (!same_armed(p, now, n)) {
		for (size_t i = 0; i < p->n_pieces; i++)
			touch(&p->piece[i]);
		ok = change_armed(p, now, n);
		free(p->armed);
		p->armed = now;
		p->n_armed = n;
		/* Where some could not be armed the next run tries again. */
		p->armed_gen = p->uffd.gen - !ok;
		now = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	free(now);
	return ok;
}

void pages_forget(struct kvm_vm *vm)
{
	struct pages *p = vm->pages;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->n_armed = p->n_pieces = 0;
	for (size_t i = 0; i < p->n_opened; i++)
		free(p->opened[i]);
	p->n_opened = 0;
	pthread_mutex_unlock(&p->lock);
}

bool pages_protected(struct pages *p, uint64_t hva)
{
	pthread_mutex_lock(&p->lock);
	const struct armed *a = find_armed(p, hva);
	bool yes = a && !a->drop;
	pthread_mutex_unlock(&p->lock);
	return yes;
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

static void keep_before(struct pages *p, uint64_t hva)
{
	const uint8_t *alias = alias_of(p->vm, hva);
	struct opened *o;

	for (size_t i = 0; i < p->n_opened; i++)
		if (p->opened[i]->hva == hva)
			return;
	if (!alias || !grow(&p->opened, p->n_opened, &p->cap_opened, sizeof(*p->opened)))
		return;
	o = malloc(sizeof(*o));
	if (!o)
		return;
	o->hva = hva;
	o->alias = alias;
	memcpy(o->before, alias, sizeof(o->before));
	p->opened[p->n_opened++] = o;
}

void pages_rearm(struct kvcpu *v)
{
	struct pages *p = v->vm->pages;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n_opened; i++) {
		const struct armed *a = find_armed(p, p->opened[i]->hva);

		if (a && a->drop)
			(void)!drop(p, p->opened[i]->hva, PAGE_SIZE_4K);
		else if (a)
			(void)!uffd_protect(&p->uffd, p->opened[i]->hva, PAGE_SIZE_4K, true);
		free(p->opened[i]);
	}
	p->n_opened = 0;
	pthread_mutex_unlock(&p->lock);
}

const uint8_t *pages_before(struct kvcpu *v, const uint8_t *alias)
{
	struct pages *p = v->vm->pages;

	for (size_t i = 0; p && alias && i < p->n_opened; i++)
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

	for (size_t o = 0; p && o < p->n_opened; o++)
		for (size_t i = 0; i < p->n_pieces; i++)
			if (piece_changed(&p->piece[i], p->opened[o], out))
				return true;
	return false;
}

/* ---- faults */

static struct kvcpu *vcpu_of(struct kvm_vm *vm, pid_t tid)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vm->vcpu[i].thread && vm->vcpu[i].thread->tid == tid)
			return &vm->vcpu[i];
	return NULL;
}

/* Where the instruction began, for an access of KVM's emulator that will be done when the vCPU comes out. */
static void note_regs(struct kvcpu *v)
{
	struct kvcpu_run *t = v->thread;
	unsigned entry = atomic_load(&t->entries);

	t->at_known =
	    v->vm->kview && !kview_gprs(v->vm->kview, v->index, t->at_gpr, &t->at_rip) && entry == atomic_load(&t->entries);
	t->at_entry = entry;
}

static void keep_fault(struct pages *p, const struct uffd_fault *f)
{
	if (grow(&p->kept, p->n_kept, &p->cap_kept, sizeof(*p->kept)))
		p->kept[p->n_kept++] = *f;
}

static bool take_kept(struct pages *p, struct uffd_fault *out)
{
	if (!p->n_kept)
		return false;
	*out = p->kept[0];
	p->n_kept--;
	memmove(p->kept, p->kept + 1, p->n_kept * sizeof(*p->kept));
	return true;
}

/* Does this vCPU wait for a page of whoever armed it? */
static bool waits(const struct pages *p, const struct kvcpu *v)
{
	for (size_t i = 0; i < p->n_kept; i++)
		if (p->kept[i].tid == v->thread->tid)
			return true;
	return false;
}

static void others_out(struct pages *p, const struct kvcpu *me)
{
	struct kvm_vm *vm = p->vm;
	struct uffd_fault f;

	/* Nobody begins to run behind our back. */
	while (atomic_load(&vm->rs->letting))
		sched_yield();
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (&vm->vcpu[i] != me && vcpu_busy(&vm->vcpu[i]))
			vcpu_kick(&vm->vcpu[i]);
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		while (&vm->vcpu[i] != me && vcpu_busy(&vm->vcpu[i]) && !waits(p, &vm->vcpu[i])) {
			struct pollfd pfd = {.fd = p->uffd.fd, .events = POLLIN};
			struct timespec t = {.tv_nsec = LATE_NS};

			(void)ppoll(&pfd, 1, &t, NULL);
			while (uffd_next(&p->uffd, &f))
				keep_fault(p, &f);
		}
}

static void open_page(struct pages *p, const struct uffd_fault *f)
{
	if (f->protect)
		(void)!uffd_protect(&p->uffd, f->hva, PAGE_SIZE_4K, false);
	else
		uffd_continue(&p->uffd, f->hva, false);
}

/* Opened and noted at once, so that whoever arms again finds all that is open. */
static void open_noted(struct pages *p, const struct uffd_fault *f)
{
	pthread_mutex_lock(&p->lock);
	keep_before(p, f->hva);
	open_page(p, f);
	pthread_mutex_unlock(&p->lock);
}

static bool is_mine(struct pages *p, const struct uffd_fault *f)
{
	pthread_mutex_lock(&p->lock);
	const struct armed *a = find_armed(p, f->hva);
	bool mine = a && (f->protect || a->drop);
	pthread_mutex_unlock(&p->lock);
	return mine;
}

static void touched(struct kvcpu *v)
{
	note_regs(v);
	atomic_store(&v->thread->touched, true);
	pthread_kill(v->thread->thread, KICK_SIGNAL);
}

/* Others that came to an armed page meanwhile: all of them are out when the first is. */
static void answer_others(struct pages *p)
{
	size_t out = 0;

	for (size_t i = 0; i < p->n_kept; i++) {
		const struct uffd_fault f = p->kept[i];
		struct kvcpu *v = vcpu_of(p->vm, f.tid);

		if (!v || !is_mine(p, &f)) {
			p->kept[out++] = f;
		} else if (vcpu_busy(v)) {
			touched(v);
			open_noted(p, &f);
		}
	}
	p->n_kept = out;
}

static void answer_vcpu(struct pages *p, const struct uffd_fault *f, struct kvcpu *v)
{
	if (!atomic_load(&v->thread->quiet)) {
		if (p->vm->m.vcpus > 1)
			others_out(p, v);
		touched(v);
		answer_others(p);
	}
	open_noted(p, f);
}

/* The watchpoints' part in a fault; false where they have none. */
static bool answer(struct pages *p, const struct uffd_fault *f)
{
	struct kvcpu *v = vcpu_of(p->vm, f->tid);
	bool mine = is_mine(p, f);

	/* A page that is protected and missing: missing comes first, and is fault stepping's. */
	if (!mine && !f->protect)
		return false;
	if (!mine)
		open_page(p, f);
	else if (v && vcpu_busy(v))
		answer_vcpu(p, f, v);
	else if (!v || p->vm->m.vcpus == 1)
		/* Not an access of the guest's own: an ioctl of the debugger's, or one that was given up before it was
		 * answered. The page is armed again when a vCPU starts. A vCPU's own thread does nothing but run it. */
		open_noted(p, f);
	return true;
}

bool pages_next(struct kvm_vm *vm, struct uffd_fault *out)
{
	struct pages *p = vm->pages;

	while (p && (take_kept(p, out) || uffd_next(&p->uffd, out)))
		if (!answer(p, out))
			return true;
	return false;
}

static void answer_all(struct pages *p)
{
	struct uffd_fault f;

	pthread_mutex_lock(&p->reader);
	/* Nobody steps through faults now: a page that is missing for that is simply given. */
	while (!p->direct && pages_next(p->vm, &f))
		uffd_continue(&p->uffd, f.hva, pages_protected(p, f.hva));
	pthread_mutex_unlock(&p->reader);
}

/* What to wait for; false: quit. */
static bool poll_begin(struct pages *p, struct pollfd pfd[2])
{
	pthread_mutex_lock(&p->reader);
	bool on = !p->quit;
	p->polling = on && !p->direct && !p->hold && p->uffd.fd >= 0;
	pfd[0] = (struct pollfd){.fd = p->wake, .events = POLLIN};
	pfd[1] = (struct pollfd){.fd = p->polling ? p->uffd.fd : -1, .events = POLLIN};
	pthread_mutex_unlock(&p->reader);
	return on;
}

static void poll_end(struct pages *p)
{
	pthread_mutex_lock(&p->reader);
	p->polling = false;
	pthread_cond_broadcast(&p->out);
	pthread_mutex_unlock(&p->reader);
}

static void *pages_main(void *arg)
{
	struct pages *p = arg;
	struct pollfd pfd[2];

	while (poll_begin(p, pfd)) {
		uint64_t n;

		(void)poll(pfd, 2, -1);
		poll_end(p);
		if (pfd[0].revents && read(p->wake, &n, sizeof(n)) < 0)
			continue; /* somebody else has emptied it: an eventfd does not fail otherwise */
		if (pfd[1].revents)
			answer_all(p);
	}
	return NULL;
}

/* Let the thread see what has changed. */
static void wake(struct pages *p)
{
	uint64_t one = 1;

	if (write(p->wake, &one, sizeof(one)) < 0)
		return; /* full: then it is awake anyway */
}

void pages_direct(struct pages *p, bool on)
{
	bool was;

	pthread_mutex_lock(&p->reader);
	was = p->direct;
	p->direct = on;
	pthread_mutex_unlock(&p->reader);
	if (was != on)
		wake(p);
}

/* ---- life */

static int start_thread(struct pages *p, const char *what, struct err *e)
{
	sigset_t all, old;

	if (p->has_thread)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int rc = pthread_create(&p->thread, NULL, pages_main, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "%s" WHY "no thread to answer page faults" TRY "fewer processes", what);
	p->has_thread = true;
	return 0;
}

static int create(struct kvm_vm *vm, const char *what, struct err *e)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(e, what);
	p->vm = vm;
	uffd_init(&p->uffd);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake < 0) {
		int saved = errno;

		free(p);
		return err_errno(e, saved, "%s" WHY "eventfd" TRY "a higher ulimit -n", what);
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->reader, NULL);
	pthread_cond_init(&p->out, NULL);
	vm->pages = p;
	return 0;
}

int pages_get(struct kvm_vm *vm, const char *what, struct pages **out, struct err *e)
{
	int rc = vm->pages ? 0 : create(vm, what, e);
	bool closed = !rc && vm->pages->uffd.fd < 0;

	if (closed) {
		pthread_mutex_lock(&vm->pages->reader);
		rc = uffd_open(&vm->pages->uffd, what, e);
		pthread_mutex_unlock(&vm->pages->reader);
	}
	if (!rc)
		rc = start_thread(vm->pages, what, e);
	if (!rc && closed)
		wake(vm->pages);
	if (!rc)
		*out = vm->pages;
	return rc;
}

struct uffd *pages_uffd(struct pages *p)
{
	return &p->uffd;
}

void pages_close(struct pages *p)
{
	pthread_mutex_lock(&p->reader);
	/* A poll under way would keep the file, and with it all registrations. */
	p->hold = true;
	wake(p);
	while (p->polling)
		pthread_cond_wait(&p->out, &p->reader);
	pthread_mutex_lock(&p->lock);
	uffd_close(&p->uffd);
	p->n_kept = 0;
	pthread_mutex_unlock(&p->lock);
	p->hold = false;
	pthread_mutex_unlock(&p->reader);
}

void pages_destroy(struct kvm_vm *vm)
{
	struct pages *p = vm->pages;

	if (!p)
		return;
	pages_forget(vm);
	pages_close(p);
	if (p->has_thread) {
		pthread_mutex_lock(&p->reader);
		p->quit = true;
		pthread_mutex_unlock(&p->reader);
		wake(p);
		pthread_join(p->thread, NULL);
	}
	close(p->wake);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->reader);
	pthread_cond_destroy(&p->out);
	free(p->piece);
	free(p->armed);
	free(p->opened);
	free(p->kept);
	free(p);
	vm->pages = NULL;
}
