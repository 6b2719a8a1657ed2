/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The thread that answers faults on armed pages.
 *
 * The order in which a fault is answered is what makes it exact: first the signal, then the page. A fault of the guest's own
 * access is given up by the signal (KVM_RUN: EINTR, nothing executed); a copy by KVM's emulator cannot be, it waits for the
 * page, completes the instruction and finds the signal before the next. With several vCPUs the others come out first, so
 * that nobody runs past an open page.
 */
#include "kvmback/pages_impl.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>

#include "kvmback/kernel/kview.h"

#define LATE_NS 50000

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
	if (pages_grow(&p->kept, p->n_kept, &p->cap_kept, sizeof(*p->kept)))
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
	pages_keep_before(p, f->hva);
	open_page(p, f);
	pthread_mutex_unlock(&p->lock);
}

static bool is_mine(struct pages *p, const struct uffd_fault *f)
{
	pthread_mutex_lock(&p->lock);
	const struct armed *a = pages_find_armed(p, f->hva);
	bool mine = a && (f->protect || a->drop);
	pthread_mutex_unlock(&p->lock);
	return mine;
}

static void touched(struct kvcpu *v)
{
	note_regs(v);
	atomic_store(&v->thread->opening, true);
	atomic_store(&v->thread->touched, true);
	/* Another signal may have brought it out of the fault already: then it must not enter again and run past the page.
	 */
	vcpu_immediate_exit(v, true);
	(void)tgkill(getpid(), v->thread->tid, KICK_SIGNAL);
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
			atomic_store(&v->thread->opening, false);
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
	atomic_store(&v->thread->opening, false);
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
