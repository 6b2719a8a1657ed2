/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How it ends on the kvm backend while faults are caught: a VM that is destroyed while the watchdog looks at its step.
 */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kvmback/vcpu/run.h"
#include "kvmback/watch/uffd.h"
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

	if (machine_fault_catch(g->m, &f, &g->e))
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
	while (!atomic_load(&vm->rs->watch.quit) && vm->faults)
		sched_yield();
	atomic_store(&faults_there, vm->faults != NULL);
}

static void open_watched(struct guest *g)
{
	assert_int_equal(sem_init(&looking, 0, 0), 0);
	atomic_store(&looked, false);
	atomic_store(&faults_there, false);
	kvm_of(g->m)->rs->watch.on_look = while_it_looks;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(destroyed_while_the_watchdog_looks),
	    cmocka_unit_test(destroyed_behind_a_stuck_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
