/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The thread that answers faults on armed pages.
 *
 * The order in which a fault is answered is what makes it exact: first the signal, then the page. A fault of the guest's own
 * access is given up by the signal (KVM_RUN: EINTR, nothing executed); a copy by KVM's emulator cannot be, it waits_for_page
 * for the page, completes the instruction and finds the signal before the next. With several vCPUs the others come out
 * first, so that nobody runs past an open page.
 *
 * A message may be old when it is read, or answered: its access given up, made again, or done. So each is answered for one
 * entry into the guest, and the vCPU is held there (it neither leaves KVM_RUN nor enters it) until the answer is given. One
 * that is late is dropped; whoever waits_for_page still is woken, and asks again.
 */
#include "kvmback/watch/armed_impl.h"

#include "core/base/lock.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>

#include "kvmback/kernel/kview.h"
#include "kvmback/vcpu/bytes.h"

#define LATE_NS 50000

/* ---- faults */

static void reached(struct armed *p, const struct message *m, enum answer_at point)
{
	if (p->vm->answering)
		p->vm->answering(p, m, point);
}

static struct kvcpu *vcpu_of(struct kvm_vm *vm, pid_t tid)
{
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (vm->vcpu[i].control && vm->vcpu[i].control->tid == tid)
			return &vm->vcpu[i];
	return NULL;
}

static bool in_guest(unsigned entry)
{
	return entry & 1;
}

/* Where the instruction began, for an access of KVM's emulator that will be done when the vCPU comes out. The vCPU is held.
 */
static void note_regs(struct kvcpu *v, unsigned entry)
{
	struct vcpu_control *t = v->control;
	struct armed_access *a = &t->access;

	if (t->completing)
		vcpu_gprs(v, a->gpr, &a->rip);
	a->regs_known = t->completing || !kvm_view_gprs(v->vm, v->index, a->gpr, &a->rip);
	a->entry = vcpu_entry_behind(entry);
}

/* The next message, with the entry into the guest that it is about: whoever waits_for_page is in KVM_RUN while it is read,
 * so that is the entry if it is the same before and after. */
static bool next_message(struct armed *p, struct message *m)
{
	struct kvm_vm *vm = p->vm;
	struct kvcpu *v;

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		p->entry[i] = vcpu_entry(&vm->vcpu[i]);
	if (!uffd_next(&p->uffd, &m->f))
		return false;
	v = vcpu_of(vm, m->f.tid);
	m->entry = v ? p->entry[v->index] : 0;
	m->sure = v && vcpu_entry(v) == m->entry;
	return true;
}

void armed_defer_message(struct armed *p, const struct message *m)
{
	for (size_t i = 0; i < p->n_deferred; i++)
		if (p->deferred[i].f.tid == m->f.tid && p->deferred[i].f.hva == m->f.hva) {
			p->deferred[i] = *m;
			return;
		}
	if (armed_grow(&p->deferred, p->n_deferred, &p->cap_deferred, sizeof(*p->deferred)))
		p->deferred[p->n_deferred++] = *m;
	else
		uffd_wake(&p->uffd, m->f.hva); /* it is asked for again */
}

static bool take_deferred(struct armed *p, struct message *out)
{
	if (!p->n_deferred)
		return false;
	*out = p->deferred[0];
	p->n_deferred--;
	memmove(p->deferred, p->deferred + 1, p->n_deferred * sizeof(*p->deferred));
	return true;
}

/* Does this vCPU wait for a page of whoever armed it? */
static bool waits_for_page(const struct armed *p, const struct kvcpu *v)
{
	for (size_t i = 0; i < p->n_deferred; i++)
		if (p->deferred[i].f.tid == v->control->tid && p->deferred[i].sure && p->deferred[i].entry == vcpu_entry(v))
			return true;
	return false;
}

static void kick_all_but(struct armed *p, const struct kvcpu *me)
{
	struct kvm_vm *vm = p->vm;
	struct message m;

	/* Nobody begins to run behind our back. */
	while (atomic_load(&vm->rs->giving))
		sched_yield();
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		if (&vm->vcpu[i] != me && vcpu_busy(&vm->vcpu[i]))
			vcpu_kick(&vm->vcpu[i], KICK_OTHER_TOUCHED);
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		while (&vm->vcpu[i] != me && vcpu_busy(&vm->vcpu[i]) && !waits_for_page(p, &vm->vcpu[i])) {
			struct pollfd pfd = {.fd = p->uffd.fd, .events = POLLIN};
			struct timespec t = {.tv_nsec = LATE_NS};

			(void)ppoll(&pfd, 1, &t, NULL);
			while (next_message(p, &m))
				armed_defer_message(p, &m);
		}
}

static void open_page(struct armed *p, const struct uffd_fault *f)
{
	if (f->protect)
		(void)!uffd_protect(&p->uffd, f->hva, PAGE_SIZE_4K, false);
	else
		uffd_continue(&p->uffd, f->hva, false);
}

/* Opened and noted at once, so that whoever arms again finds all that is open. What is found there is the guest's own: no
 * other vCPU is in the guest then, unless this one is stepped while others run. */
static void open_and_save(struct armed *p, const struct uffd_fault *f, bool alone)
{
	LOCK_SCOPE(&p->lock);
	const uint8_t *page = alone ? armed_alias(p->vm, f->hva) : NULL;

	if (page)
		bytes_lift_page(p->vm->rs, page);
	armed_save_page(p, f->hva);
	open_page(p, f);
}

/* With lock held. */
static bool armed_at(const struct armed *p, const struct uffd_fault *f)
{
	const struct armed_range *a = armed_find(p, f->hva);

	lock_assert_held(&p->lock);
	return a && (f->protect || a->drop);
}

static bool is_watched(struct armed *p, const struct uffd_fault *f)
{
	LOCK_SCOPE(&p->lock);
	return armed_at(p, f);
}

/* Protected though nothing is behind it any more. */
static void open_disarmed(struct armed *p, const struct uffd_fault *f)
{
	LOCK_SCOPE(&p->lock);
	if (!armed_at(p, f))
		open_page(p, f);
}

/* The vCPU is held in KVM_RUN, and was in `was` before. What it does there from now on, until the signal brings it out, is
 * one instruction; a thread that waits_for_page with a signal pending asks again and again, and the instruction may be done
 * by the last time. Gives the phase to release it to. */
static enum vcpu_phase note_access(struct kvcpu *v, unsigned entry, enum vcpu_phase was)
{
	if (was == VCPU_AT_PAGE && v->control->access.entry == vcpu_entry_behind(entry))
		return VCPU_AT_PAGE;
	note_regs(v, entry);
	vcpu_kick(v, KICK_ARMED_PAGE);
	return VCPU_AT_PAGE;
}

/* Hold the vCPU in the very KVM_RUN that the message is from. False: it has come out meanwhile, or nobody knows; it asks
 * again if it is still there. */
static bool hold(struct armed *p, const struct message *m, struct kvcpu *v, enum vcpu_phase *was)
{
	if (m->sure && vcpu_hold(v, m->entry, was))
		return true;
	uffd_wake(&p->uffd, m->f.hva);
	return false;
}

/* Others that came to an armed page meanwhile: all of them are out when the first is. */
static void answer_deferred(struct armed *p, const struct kvcpu *me)
{
	size_t out = 0;

	for (size_t i = 0; i < p->n_deferred; i++) {
		const struct message m = p->deferred[i];
		struct kvcpu *v = vcpu_of(p->vm, m.f.tid);
		enum vcpu_phase was;

		if (!v || v == me || !is_watched(p, &m.f)) {
			p->deferred[out++] = m;
		} else if (in_guest(m.entry) && hold(p, &m, v, &was)) {
			was = note_access(v, m.entry, was);
			open_and_save(p, &m.f, true);
			vcpu_release(v, was);
		}
	}
	p->n_deferred = out;
}

static bool others_run(const struct armed *p, const struct kvcpu *me)
{
	const struct kvm_vm *vm = p->vm;
	bool any = false;

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		any |= &vm->vcpu[i] != me && vcpu_busy(&vm->vcpu[i]) && !waits_for_page(p, &vm->vcpu[i]);
	return any;
}

static void answer_vcpu(struct armed *p, const struct message *m, struct kvcpu *v)
{
	enum vcpu_phase was;

	/* Before others are kicked: nobody lets them go on but for this one's news. */
	if (!hold(p, m, v, &was))
		return;
	if (!atomic_load(&v->control->stepping)) {
		if (p->vm->m.vcpus > 1)
			kick_all_but(p, v);
		reached(p, m, ANSWER_OTHERS_KICKED);
		was = note_access(v, m->entry, was);
		answer_deferred(p, v);
	}
	reached(p, m, ANSWER_SIGNALLED);
	open_and_save(p, &m->f, !others_run(p, v));
	reached(p, m, ANSWER_OPENED);
	vcpu_release(v, was);
}

/* An access that is none of the guest's: by an ioctl, of the debugger's thread or of a lone vCPU's while it is out. Nobody
 * runs meanwhile, or it was given up before it was answered; a vCPU that starts arms the page again. */
static void answer_idle(struct armed *p, const struct uffd_fault *f)
{
	enum vcpu_phase was[KVM_MAX_VCPUS_HERE];
	struct kvm_vm *vm = p->vm;
	unsigned n, entry;

	for (n = 0; n < vm->m.vcpus; n++) {
		entry = vcpu_entry(&vm->vcpu[n]);
		if (in_guest(entry) || !vcpu_hold(&vm->vcpu[n], entry, &was[n]))
			break;
	}
	if (n == vm->m.vcpus)
		open_and_save(p, f, true);
	else
		uffd_wake(&p->uffd, f->hva);
	for (; n; n--)
		vcpu_release(&vm->vcpu[n - 1], was[n - 1]);
}

/* The watchpoints' part in a fault; false if they have none. */
static bool answer(struct armed *p, const struct message *m)
{
	struct kvcpu *v = vcpu_of(p->vm, m->f.tid);
	bool watched = is_watched(p, &m->f);

	/* A page that is protected and missing: missing comes first, and is fault stepping's. */
	if (!watched && !m->f.protect)
		return false;
	reached(p, m, ANSWER_READ);
	if (v)
		atomic_store_explicit(&p->last, v->index, memory_order_relaxed);
	if (!watched)
		open_disarmed(p, &m->f);
	else if (v && in_guest(m->entry))
		answer_vcpu(p, m, v);
	else if (!v || vcpu_runs_here(v))
		answer_idle(p, &m->f);
	else
		/* A vCPU's own thread does nothing but run it. */
		uffd_wake(&p->uffd, m->f.hva);
	reached(p, m, ANSWER_DONE);
	return true;
}

bool armed_next_fault(struct kvm_vm *vm, struct uffd_fault *out)
{
	struct armed *p = vm->armed;
	struct message m;

	while (p && (take_deferred(p, &m) || next_message(p, &m)))
		if (!answer(p, &m)) {
			*out = m.f;
			return true;
		}
	return false;
}

static void answer_all(struct armed *p)
{
	struct uffd_fault f;

	LOCK_SCOPE(&p->reader);
	/* Nobody steps through faults now: a page that is missing for that is simply given. */
	while (!p->direct && armed_next_fault(p->vm, &f))
		uffd_continue(&p->uffd, f.hva, armed_protected(p, f.hva));
}

/* Waking a CPU that sleeps takes longer than all the rest of an answer, so the thread waits_for_page where the vCPU runs,
 * which sleeps while it is answered. If it may not, it stays. */
static void follow_vcpu(struct armed *p)
{
	int cpu = atomic_load_explicit(&p->vm->vcpu[atomic_load_explicit(&p->last, memory_order_relaxed)].control->cpu,
				       memory_order_relaxed);
	cpu_set_t set;

	if (cpu == p->cpu || cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((unsigned)cpu, &p->allowed))
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (!pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		p->cpu = cpu;
}

/* What to wait for; false: quit. */
static bool poll_begin(struct armed *p, struct pollfd pfd[2])
{
	LOCK_SCOPE(&p->reader);
	bool on = !p->quit;
	p->polling = on && !p->direct && !p->hold && p->uffd.fd >= 0;
	pfd[0] = (struct pollfd){.fd = p->wake, .events = POLLIN};
	pfd[1] = (struct pollfd){.fd = p->polling ? p->uffd.fd : -1, .events = POLLIN};
	return on;
}

static void poll_end(struct armed *p)
{
	LOCK_SCOPE(&p->reader);
	p->polling = false;
	pthread_cond_broadcast(&p->out);
}

/* Nobody answers any more: the run is to end. Whoever waits for a page is let go by the close, and executes nothing more. */
static void give_up(struct armed *p, int why)
{
	struct run_state *rs = p->vm->rs;

	atomic_store(&p->error, why);
	vcpu_kick_busy(p->vm, KICK_GIVE_UP);
	{
		LOCK_SCOPE(&p->reader);
		LOCK_SCOPE(&p->lock);
		uffd_close(&p->uffd);
		p->n_deferred = 0;
	}
	gate_post(&rs->done);
}

static void *armed_main(void *arg)
{
	struct armed *p = arg;
	struct pollfd pfd[2];

	while (poll_begin(p, pfd)) {
		uint64_t n;

		follow_vcpu(p);
		int why = poll(pfd, 2, -1) < 0 ? errno : 0;
		poll_end(p);
		if (why) {
			give_up(p, why);
			return NULL;
		}
		if (pfd[0].revents && read(p->wake, &n, sizeof(n)) < 0)
			continue; /* somebody else has emptied it: an eventfd does not fail otherwise */
		if (pfd[1].revents)
			answer_all(p);
	}
	return NULL;
}

/* Let the thread see what has changed. */
static void wake(struct armed *p)
{
	uint64_t one = 1;

	if (write(p->wake, &one, sizeof(one)) < 0)
		return; /* full: then it is awake anyway */
}

void armed_direct(struct armed *p, bool on)
{
	LOCK_SCOPE(&p->reader);
	bool was = p->direct;

	p->direct = on;
	if (was != on)
		wake(p);
}

/* ---- life */

static int start_thread(struct armed *p, const char *what, struct err *e)
{
	sigset_t all, old;

	if (p->has_thread)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int rc = pthread_create(&p->thread, NULL, armed_main, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return err_errno(e, rc, "%s" WHY "no thread to answer page faults" TRY "fewer processes", what);
	p->has_thread = true;
	return 0;
}

static int create(struct kvm_vm *vm, const char *what, struct err *e)
{
	struct armed *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(e, what);
	p->vm = vm;
	uffd_init(&p->uffd);
	p->cpu = -1;
	if (sched_getaffinity(0, sizeof(p->allowed), &p->allowed))
		CPU_ZERO(&p->allowed);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake < 0) {
		int saved = errno;

		free(p);
		return err_errno(e, saved, "%s" WHY "eventfd" TRY "a higher ulimit -n", what);
	}
	lock_init(&p->lock, LOCK_PAGES);
	lock_init(&p->reader, LOCK_READER);
	pthread_cond_init(&p->out, NULL);
	vm->armed = p;
	return 0;
}

static int reopen(struct armed *p, const char *what, struct err *e)
{
	LOCK_SCOPE(&p->reader);
	return uffd_open(&p->uffd, what, e);
}

int armed_get(struct kvm_vm *vm, const char *what, struct armed **out, struct err *e)
{
	int rc = vm->armed ? 0 : create(vm, what, e);
	bool closed = !rc && vm->armed->uffd.fd < 0;

	if (closed)
		rc = reopen(vm->armed, what, e);
	if (!rc)
		rc = start_thread(vm->armed, what, e);
	if (!rc && closed)
		wake(vm->armed);
	if (!rc)
		*out = vm->armed;
	return rc;
}

bool armed_gave_up(const struct kvm_vm *vm)
{
	return vm->armed && atomic_load(&vm->armed->error);
}

int armed_error(const struct kvm_vm *vm, struct err *e)
{
	int why = vm->armed ? atomic_load(&vm->armed->error) : 0;

	return why ? err_errno(e, why,
			       "run" WHY "poll, for accesses to watched pages; the guest was therefore stopped" TRY
			       "c, to go on")
		   : 0;
}

int armed_recover(struct kvm_vm *vm, struct err *e)
{
	struct armed *p = vm->armed;

	if (!armed_gave_up(vm))
		return 0;
	pthread_join(p->thread, NULL);
	p->has_thread = false;
	atomic_store(&p->error, 0);
	return armed_get(vm, "run", &p, e);
}

struct uffd *armed_uffd(struct armed *p)
{
	return &p->uffd;
}

void armed_close(struct armed *p)
{
	LOCK_SCOPE(&p->reader);
	/* A poll under way would keep the file, and with it all registrations. */
	p->hold = true;
	wake(p);
	while (p->polling)
		lock_wait(&p->out, &p->reader);
	LOCK_SCOPE(&p->lock);
	uffd_close(&p->uffd);
	p->n_deferred = 0;
	p->hold = false;
}

static void tell_quit(struct armed *p)
{
	LOCK_SCOPE(&p->reader);
	p->quit = true;
	wake(p);
}

void armed_destroy(struct kvm_vm *vm)
{
	struct armed *p = vm->armed;

	if (!p)
		return;
	armed_forget(vm);
	armed_close(p);
	if (p->has_thread) {
		tell_quit(p);
		pthread_join(p->thread, NULL);
	}
	close(p->wake);
	lock_destroy(&p->lock);
	lock_destroy(&p->reader);
	pthread_cond_destroy(&p->out);
	free(p->part);
	free(p->range);
	free(p->code);
	free(p->opened);
	free(p->deferred);
	free(p);
	vm->armed = NULL;
}
