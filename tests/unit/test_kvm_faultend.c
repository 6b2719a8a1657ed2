/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How it ends on the kvm backend while faults are caught: a VM that is destroyed while the watchdog looks at its step, a run
 * that the debugger cannot wait for.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kvmback/vcpu/vcpu.h"
#include "kvmback/host/uffd.h"
#include "tests/support/guest.h"

#define PAGE 0x40 /* the gfn that faults are caught at */
#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)
#define STORE "\x89\x04\x25\x00\x00\x04\x00" /* mov [0x40000], eax */
#define LOOP "\xeb\xfe"			     /* jmp . */

static bool possible(void)
{
	const char *why = guest_possible() ? uffd_why() : "";

	if (why && *why)
		printf("skip: %s\n", why);
	return !why;
}

#define OPEN(g, vcpus)                                                                                                      \
	struct guest g;                                                                                                     \
	if (!possible())                                                                                                    \
		skip();                                                                                                     \
	guest_open(&g, GUEST_LONG, 3, false, vcpus)

static void catch_page(struct guest *g)
{
	const struct fault_filter f = {.first = PAGE, .last = PAGE};

	if (machine_fault_catch(g->m, &f, 1, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
}

static bool parked(struct guest *g)
{
	return machine_parked(g->m, &(unsigned){0});
}

/* ---- a VM goes while the watchdog looks at its step */

static sem_t looking;
static atomic_bool looked, faults_there;

/* The first look lasts until the VM's end has come as far as it can meanwhile. */
static void while_it_looks(struct kvm_vm *vm)
{
	if (atomic_exchange(&looked, true))
		return;
	sem_post(&looking);
	while (!atomic_load(&vm->rs->watchdog.quit) && vm->faults)
		sched_yield();
	atomic_store(&faults_there, vm->faults != NULL);
}

static void open_watched(struct guest *g)
{
	assert_int_equal(sem_init(&looking, 0, 0), 0);
	atomic_store(&looked, false);
	atomic_store(&faults_there, false);
	kvm_of(g->m)->rs->watchdog.on_look = while_it_looks;
}

static void destroyed_while_the_watchdog_looks(void **state)
{
	OPEN(g, 1);

	(void)state;
	open_watched(&g);
	CODE(&g, STORE);
	catch_page(&g);
	assert_int_equal(guest_run(&g, RUN_STEP, 0, 1), STOP_FAULT_STAGE);
	assert_true(parked(&g));
	while (sem_wait(&looking))
		assert_int_equal(errno, EINTR);
	guest_close(&g);
	assert_true(atomic_load(&faults_there));
	sem_destroy(&looking);
}

/* The instruction is fetched out by the watchdog, with faults armed; what it looked at goes behind it. */
static void destroyed_behind_a_stuck_step(void **state)
{
	OPEN(g, 1);

	(void)state;
	CODE(&g, LOOP);
	catch_page(&g);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_true(g.stop.no_progress);
	guest_close(&g);
}

/* ---- poll() fails */

int __real_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);

static __thread unsigned polls_to_fail; /* of this thread, from now on */
static __thread int failing_with;
static atomic_bool pages_poll_fails; /* of any other thread */
static pthread_t main_thread;

int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
	if (atomic_load(&pages_poll_fails) && !pthread_equal(pthread_self(), main_thread)) {
		errno = ENOMEM;
		return -1;
	}
	if (!polls_to_fail)
		return __real_poll(p, n, timeout);
	polls_to_fail--;
	errno = failing_with;
	return -1;
}

static void fail_polls(unsigned n, int error)
{
	polls_to_fail = n;
	failing_with = error;
}

static void run_fails(struct guest *g, int error)
{
	struct stop stop = {.reason = STOP_SMI};

	assert_int_equal(machine_run(g->m, RUN_CONTINUE, 0, 1, &stop, &g->e), -error);
	assert_non_null(strstr(g->e.why, strerror(error)));
	assert_true(g->e.what[0] && g->e.next[0]);
	assert_int_equal(stop.reason, STOP_SMI); /* no stop is handed out */
	assert_false(parked(g));
	err_clear(&g->e);
}

/* The guest is out, an instruction done or not begun, and the next run is one as ever. */
static void fetched_out(unsigned vcpus, unsigned polls)
{
	OPEN(g, vcpus);

	CODE(&g, LOOP);
	guest_poke(&g, GUEST_CODE + 0x100, STORE LOOP, sizeof(STORE LOOP));
	catch_page(&g);
	fail_polls(polls, ENOMEM);
	run_fails(&g, ENOMEM);
	fail_polls(0, 0);
	for (unsigned i = 0; i < vcpus; i++)
		assert_int_equal(guest_regs(&g, i).rip, GUEST_CODE);

	guest_set_rip(&g, 0, GUEST_CODE + 0x100);
	guest_set(&g, 0, RAX, 0x77);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	assert_int_equal(g.stop.vcpu, 0);
	assert_true(parked(&g));
	fail_polls(polls, EINVAL);
	run_fails(&g, EINVAL);
	fail_polls(0, 0);

	uint32_t stored = 0;
	uint64_t behind = GUEST_CODE + 0x100 + sizeof(STORE) - 1, rip = guest_regs(&g, 0).rip;
	guest_peek(&g, (uint64_t)PAGE << PAGE_SHIFT, &stored, sizeof(stored));
	assert_true(stored == 0x77 ? rip == behind : stored == 0 && rip == GUEST_CODE + 0x100);
	guest_close(&g);
}

static void run_that_cannot_be_waited_for(void **state)
{
	(void)state;
	for (unsigned vcpus = 1; vcpus <= 2; vcpus++) {
		fetched_out(vcpus, 1);
		fetched_out(vcpus, ~0u);
	}
}

/* Which of the two polls fails is a matter of time: that of giving up, which is what was wanted, or that of the step behind
 * it. The stage that was left is no stop of either. */
static void step_out_of_a_fault(void **state)
{
	OPEN(g, 1);
	struct stop stop;

	(void)state;
	CODE(&g, STORE);
	catch_page(&g);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	fail_polls(1, ENOMEM);
	int rc = machine_run(g.m, RUN_STEP, 0, 1, &stop, &g.e);
	fail_polls(0, 0);
	assert_false(parked(&g));
	uint64_t rip = guest_regs(&g, 0).rip;
	if (rc)
		assert_int_equal(rc, -ENOMEM);
	else
		assert_int_equal(stop.reason, STOP_STEP);
	assert_true(rip == GUEST_CODE + sizeof(STORE) - 1 || (rc && rip == GUEST_CODE));
	guest_close(&g);
}

/* The thread that answers faults on armed pages cannot wait for them: it has answered one when that begins, and the guest
 * waits for the next answer. */
static void pages_that_cannot_be_waited_for(void **state)
{
	struct plant watched = {.id = 1, .kind = PLANT_WRITE, .addr = 0x5800, .len = 4, .phys = true};

	(void)state;
	for (unsigned vcpus = 1; vcpus <= 2; vcpus++) {
		OPEN(g, vcpus);
		struct stop stop = {.reason = STOP_SMI};

		main_thread = pthread_self();
		/* Every vCPU: inc dword [0x5000], in the armed page; jmp back. And: inc dword [0x5800] */
		CODE(&g, "\xff\x04\x25\x00\x50\x00\x00\xeb\xf7");
		guest_poke(&g, GUEST_CODE + 0x100, "\xff\x04\x25\x00\x58\x00\x00", 7);
		assert_int_equal(machine_plant(g.m, &watched, &g.e), 0);
		atomic_store(&pages_poll_fails, true);
		assert_int_equal(machine_run(g.m, RUN_CONTINUE, 0, 1, &stop, &g.e), -ENOMEM);
		assert_non_null(strstr(g.e.why, "watched pages"));
		assert_int_equal(stop.reason, STOP_SMI);
		err_clear(&g.e);
		assert_int_equal(machine_run(g.m, RUN_CONTINUE, 0, 1, &stop, &g.e), -ENOMEM);
		err_clear(&g.e);
		atomic_store(&pages_poll_fails, false);
		/* With another thread all is as ever. */
		guest_set_rip(&g, 0, GUEST_CODE + 0x100);
		assert_int_equal(guest_continue(&g), STOP_WATCHPOINT);
		assert_int_equal(g.stop.vcpu, 0);
		assert_int_equal(g.stop.rip, GUEST_CODE + 0x107);
		guest_close(&g);
	}
}

/* Giving a fault up needs nobody to wait for long. */
static void out_of_a_fault(void **state)
{
	OPEN(g, 1);

	(void)state;
	CODE(&g, STORE);
	catch_page(&g);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	fail_polls(~0u, ENOMEM);
	assert_int_equal(machine_fault_catch(g.m, NULL, 0, &g.e), 0);
	fail_polls(0, 0);
	assert_false(parked(&g));
	assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(g.stop.rip, GUEST_CODE + sizeof(STORE) - 1);
	guest_close(&g);
}

/* A signal on the debugger's thread is nothing that failed. */
static void interrupted_wait(void **state)
{
	OPEN(g, 1);

	(void)state;
	CODE(&g, STORE);
	catch_page(&g);
	fail_polls(3, EINTR);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	fail_polls(0, 0);
	guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(destroyed_while_the_watchdog_looks),
	    cmocka_unit_test(destroyed_behind_a_stuck_step),
	    cmocka_unit_test(run_that_cannot_be_waited_for),
	    cmocka_unit_test(pages_that_cannot_be_waited_for),
	    cmocka_unit_test(step_out_of_a_fault),
	    cmocka_unit_test(out_of_a_fault),
	    cmocka_unit_test(interrupted_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
