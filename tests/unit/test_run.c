/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Who runs: the tables of phases; runs in the background, with what they print and ask delivered on the client's thread and
 * in order; interrupting; standing still; and machines that are destroyed in every phase. On both backends.
 */
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/run/queue.h"
#include "core/machine/machine_impl.h"
#include "core/soft/soft.h"
#include "tests/support/guest.h"

#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)
#define PRINT "\xb0\x41\xe6\xe9\xfe\xc0\xe6\xe9"  /* mov al, 'A'; out 0xe9, al; inc al; out 0xe9, al */
#define LOOP "\xeb\xfe"				  /* jmp . */
#define PRINT_FOR_EVER "\xb0\x2e\xe6\xe9\xeb\xfc" /* mov al, '.'; out 0xe9, al; jmp back */
#define STORE "\x89\x04\x25\x00\x00\x04\x00"	  /* mov [0x40000], eax */

static const struct machine_ops *const backends[] = {NULL, &soft_backend};

/* A guest on backend i; false (and a skip) if it cannot be had. */
static bool open_on(struct guest *g, unsigned i, unsigned cpl, unsigned vcpus)
{
	guest_backend = backends[i];
	if (!backends[i] && !guest_possible())
		return false;
	guest_open(g, GUEST_LONG, cpl, false, vcpus);
	return true;
}

static void close_it(struct guest *g)
{
	guest_close(g);
	guest_backend = NULL;
}

static void start(struct guest *g, enum run_kind kind, enum run_where where)
{
	struct run_job job = {.kind = kind, .count = 1, .passed = RUN_PASSED_ALL};

	if (machine_start(g->m, &job, where, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
}

/* Poll the descriptor, as a client with a terminal does, until the run stops. */
static enum stop_reason poll_until_stop(struct guest *g)
{
	struct pollfd p = {.fd = machine_run_fd(g->m), .events = POLLIN};
	int rc;

	assert_true(p.fd >= 0);
	while (!(rc = machine_poll(g->m, &g->stop, &g->e)))
		if (poll(&p, 1, 20000) == 0)
			fail_msg("nothing came of the run in 20 s");
	assert_int_equal(rc, 1);
	return g->stop.reason;
}

/* ---- phases */

static void phases(void **state)
{
	static const char allowed[RUN_PHASES][RUN_ASKS + 1] = {
	    /* ALWAYS LIVE STOPPED IDLE: y yes, l if the machine can, n no */
	    [RUN_STOPPED] = "yyyy", [RUN_GOING] = "ylnn", [RUN_STOPPING] = "ylnn",
	    [RUN_PARKED] = "yyyn",  [RUN_GONE] = "nnnn",
	};
	static const char *const follow[RUN_PHASES] = {"ga", "stp", "sp", "g", ""};
	static const char letter[] = "gtpas"; /* by phase, from GOING on; STOPPED is the last */
	struct err e;

	(void)state;
	for (enum run_phase p = 0; p < RUN_PHASES; p++) {
		for (enum run_ask a = 0; a < RUN_ASKS; a++) {
			char c = allowed[p][a];
			assert_int_equal(run_phase_allows(p, a, false), c == 'y');
			assert_int_equal(run_phase_allows(p, a, true), c != 'n');
			assert_int_equal(run_phase_check(p, a, false, 3, "ask", &e) == 0, c == 'y');
		}
		for (enum run_phase q = 0; q < RUN_PHASES; q++) {
			char c = q == RUN_STOPPED ? letter[4] : letter[q - 1];
			assert_int_equal(run_phase_may_follow(p, q), strchr(follow[p], c) != NULL);
		}
	}
	assert_int_equal(run_phase_check(RUN_PARKED, RUN_ASK_IDLE, false, 3, "ask", &e), -EBUSY);
	assert_non_null(strstr(e.why, "vCPU 3 stands inside a fault"));
	assert_int_equal(run_phase_check(RUN_GOING, RUN_ASK_STOPPED, true, 0, "ask", &e), -EBUSY);
	assert_non_null(strstr(e.why, "the guest is running"));
	assert_int_equal(run_phase_check(RUN_GONE, RUN_ASK_ALWAYS, true, 0, "ask", &e), -ENODEV);
}

/* ---- in the background */

static void starts_and_is_interrupted(unsigned i, unsigned cpl, unsigned vcpus)
{
	struct run_job job = {.kind = RUN_CONTINUE};
	struct stop stop = {.reason = STOP_SMI};
	struct guest g;

	if (!open_on(&g, i, cpl, vcpus))
		return;
	CODE(&g, LOOP);
	start(&g, RUN_CONTINUE, RUN_RUNNER);
	assert_int_equal(machine_phase(g.m), RUN_GOING);
	assert_true(machine_running(g.m));
	assert_int_equal(machine_poll(g.m, &stop, &g.e), 0);
	assert_int_equal(stop.reason, STOP_SMI); /* nothing was delivered */
	assert_int_equal(machine_start(g.m, &job, RUN_RUNNER, &g.e), -EBUSY);
	assert_int_equal(machine_reset(g.m, &g.e), -EBUSY);
	machine_interrupt(g.m);
	assert_int_equal(machine_phase(g.m), RUN_STOPPING);
	assert_int_equal(poll_until_stop(&g), STOP_INTERRUPTED);
	assert_int_equal(machine_phase(g.m), RUN_STOPPED);
	assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE);
	/* The same machine on this thread, as if nothing had been. */
	assert_int_equal(guest_step(&g), STOP_STEP);
	close_it(&g);
}

static void background(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned vcpus = 1; vcpus <= 2; vcpus++) {
			starts_and_is_interrupted(i, 0, vcpus);
			starts_and_is_interrupted(i, 3, vcpus);
		}
}

static void lent_runs_here(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct guest g;

		if (!open_on(&g, i, 0, 1))
			continue;
		CODE(&g, "\x90");
		start(&g, RUN_STEP, RUN_LENT);
		/* Nothing runs before the thread is lent. */
		assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE);
		assert_int_equal(machine_wait(g.m, &g.stop, &g.e), 0);
		assert_int_equal(g.stop.reason, STOP_STEP);
		assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE + 1);
		assert_false(g.m->run.has_thread);
		close_it(&g);
	}
}

/* ---- what is delivered */

struct heard {
	pthread_t client;
	char text[64];
	size_t n, all;
	bool elsewhere;
	struct timespec pause;
};

static void on_bytes(void *ctx, const char *bytes, size_t n)
{
	struct heard *h = ctx;

	h->elsewhere |= !pthread_equal(h->client, pthread_self());
	h->all += n;
	for (size_t i = 0; i < n && h->n < sizeof(h->text) - 1; i++)
		h->text[h->n++] = bytes[i];
	if (h->pause.tv_nsec)
		nanosleep(&h->pause, NULL);
}

/* Two vCPUs that print "AB" may take turns at any byte; whoever ends the run has printed both. */
static bool each_prints_a_then_b(const struct heard *h)
{
	size_t a = 0, b = 0;

	for (size_t i = 0; i < h->n && b <= a; i++) {
		a += h->text[i] == 'A';
		b += h->text[i] == 'B';
	}
	return b && b <= a && a + b == h->n;
}

static void console_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned vcpus = 1; vcpus <= 2; vcpus++)
			for (enum run_where where = RUN_LENT; where <= RUN_RUNNER; where++) {
				struct heard h = {.client = pthread_self()};
				struct guest g;

				if (!open_on(&g, i, 0, vcpus))
					continue;
				machine_console(g.m, on_bytes, &h);
				CODE(&g, PRINT);
				start(&g, RUN_CONTINUE, where);
				if (where == RUN_LENT)
					assert_int_equal(machine_wait(g.m, &g.stop, &g.e), 0);
				else
					poll_until_stop(&g);
				/* Before the stop: it is all there now. */
				assert_true(h.n >= 2 && each_prints_a_then_b(&h));
				assert_false(h.elsewhere);
				close_it(&g);
			}
}

/* A guest that prints faster than anybody reads waits; it can be stopped, and it can be destroyed. */
static void console_is_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned vcpus = 1; vcpus <= 2; vcpus++) {
			struct heard h = {.client = pthread_self()};
			struct pollfd p;
			struct guest g;

			if (!open_on(&g, i, 0, vcpus))
				continue;
			machine_console(g.m, on_bytes, &h);
			CODE(&g, PRINT_FOR_EVER);
			start(&g, RUN_CONTINUE, RUN_RUNNER);
			p = (struct pollfd){.fd = machine_run_fd(g.m), .events = POLLIN};
			for (unsigned k = 0; k < 50; k++) {
				assert_int_equal(poll(&p, 1, 20000), 1);
				assert_int_equal(machine_poll(g.m, &g.stop, &g.e), 0);
			}
			assert_true(h.all > 0);
			machine_interrupt(g.m);
			assert_int_equal(poll_until_stop(&g), STOP_INTERRUPTED);
			start(&g, RUN_CONTINUE, RUN_RUNNER);
			assert_int_equal(poll(&p, 1, 20000), 1);
			close_it(&g);
			assert_false(h.elsewhere);
		}
}

static pthread_t marked_on;
static unsigned marks;

static void on_mark(void *ctx)
{
	struct machine *m = ctx;
	struct regs r;

	marks++;
	marked_on = pthread_self();
	assert_int_equal(machine_get_regs(m, 0, REGS_GPR, &r, NULL), 0);
	machine_mark(m, 0, NULL, NULL);
}

static void marks_on_the_clients_thread(void **state)
{
	(void)state;
	for (enum run_where where = RUN_LENT; where <= RUN_RUNNER; where++) {
		struct guest g;

		open_on(&g, 1, 0, 1);
		CODE(&g, "\x90\x90\x90\x90\x90\x90\x90\x90");
		marks = 0;
		machine_mark(g.m, machine_position(g.m) + 4, on_mark, g.m);
		start(&g, RUN_CONTINUE, where);
		if (where == RUN_LENT)
			assert_int_equal(machine_wait(g.m, &g.stop, &g.e), 0);
		else
			poll_until_stop(&g);
		assert_int_equal(g.stop.reason, STOP_HLT);
		assert_int_equal(marks, 1);
		assert_true(pthread_equal(marked_on, pthread_self()));
		close_it(&g);
	}
}

/* ---- looking while it runs */

#define COUNT "\xff\x04\x25\x00\x00\x04\x00\xeb\xf7" /* inc dword [0x40000]; jmp back */

static uint32_t counter(struct guest *g)
{
	uint32_t n = 0;

	assert_int_equal(machine_read(g->m, 0x40000, false, &n, sizeof(n), &g->e), 0);
	return n;
}

/* Memory moves, registers are of the loop, a breakpoint is not seen in it; what changes something is refused. */
static void looks_at(struct guest *g)
{
	struct regs r = {0};
	struct timespec pause = {.tv_nsec = 1000000};
	uint32_t before = counter(g);
	uint8_t code[9];

	for (unsigned i = 0; i < 20000 && counter(g) == before; i++)
		nanosleep(&pause, NULL);
	assert_int_not_equal(counter(g), before);
	assert_int_equal(machine_get_regs(g->m, 0, REGS_GPR | REGS_SYS, &r, &g->e), 0);
	assert_true(r.rip == GUEST_CODE || r.rip == GUEST_CODE + 7);
	assert_int_equal(r.cr3, GUEST_CR3);
	assert_int_equal(r.rflags & 0x100, 0);
	assert_int_equal(machine_read_gva(g->m, 0, GUEST_CODE, code, sizeof(code), &g->e), 0);
	assert_memory_equal(code, COUNT, sizeof(code));
	assert_int_equal(machine_read(g->m, GUEST_CODE + 0x100, false, code, 1, &g->e), 0);
	assert_int_equal(code[0], 0x90);
	assert_int_equal(machine_write(g->m, 0x40000, false, code, 1, &g->e), -EBUSY);
	assert_int_equal(machine_set_regs(g->m, 0, REGS_GPR, &r, &g->e), -EBUSY);
}

static void looks_at_mmu(struct guest *g)
{
	struct shadow_page_list pages = {0};
	struct rmap_list rmaps = {0};
	struct slot_info_list slots = {0};

	assert_int_equal(machine_slot_list(g->m, &slots, &g->e), 0);
	assert_true(slots.n > 0);
	slot_info_list_free(&slots);
	if (!machine_can(g->m, MACHINE_CAP_SHADOW, NULL) || !machine_can(g->m, MACHINE_CAP_RMAP, NULL))
		return;
	assert_int_equal(machine_shadow_pages(g->m, SHADOW_WITH_ENTRIES, &pages, &g->e), 0);
	assert_int_equal(machine_rmap(g->m, 0x40, &rmaps, &g->e), 0);
	assert_true(pages.n >= 4 && rmaps.n == 1 && rmaps.v[0].n_sptes == 1);
	shadow_page_list_free(&pages);
	rmap_list_free(&rmaps);
}

static void looked_at(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned vcpus = 1; vcpus <= 2; vcpus++) {
			struct guest g;

			if (!open_on(&g, i, 3, vcpus))
				continue;
			CODE(&g, COUNT);
			guest_poke(&g, GUEST_CODE + 0x100, "\x90", 1);
			guest_break(&g, 1, GUEST_CODE + 0x100);
			start(&g, RUN_CONTINUE, RUN_RUNNER);
			looks_at(&g);
			looks_at_mmu(&g);
			machine_interrupt(g.m);
			assert_int_equal(poll_until_stop(&g), STOP_INTERRUPTED);
			close_it(&g);
		}
}

/* ---- standing still */

static bool catch_page(struct guest *g)
{
	const struct fault_filter f = {.first = 0x40, .last = 0x40};

	if (!machine_can(g->m, MACHINE_CAP_FAULT_STEP, NULL))
		return false;
	assert_int_equal(machine_fault_catch(g->m, &f, 1, &g->e), 0);
	return true;
}

static void stands_still_in_the_background(unsigned i)
{
	struct guest g;

	if (!open_on(&g, i, 3, 1))
		return;
	CODE(&g, STORE LOOP);
	if (!catch_page(&g)) {
		close_it(&g);
		return;
	}
	start(&g, RUN_CONTINUE, RUN_RUNNER);
	assert_int_equal(poll_until_stop(&g), STOP_FAULT_STAGE);
	assert_int_equal(machine_phase(g.m), RUN_PARKED);
	assert_int_equal(machine_reset(g.m, &g.e), -EBUSY);
	/* Through the rest of the fault and on: the loop runs. */
	start(&g, RUN_CONTINUE, RUN_RUNNER);
	assert_int_equal(machine_poll(g.m, &g.stop, &g.e), 0);
	assert_int_equal(machine_phase(g.m), RUN_GOING);
	machine_interrupt(g.m);
	assert_int_equal(poll_until_stop(&g), STOP_INTERRUPTED);
	assert_int_equal(machine_phase(g.m), RUN_STOPPED);
	close_it(&g);
}

static void parked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		stands_still_in_the_background(i);
}

/* ---- the end, in every phase */

static void destroyed_in(enum run_phase phase, unsigned i, unsigned vcpus)
{
	struct guest g;

	if (!open_on(&g, i, 3, vcpus))
		return;
	CODE(&g, STORE LOOP);
	if (phase == RUN_PARKED && !catch_page(&g))
		phase = RUN_GOING;
	if (phase != RUN_STOPPED)
		start(&g, RUN_CONTINUE, RUN_RUNNER);
	if (phase == RUN_STOPPING)
		machine_interrupt(g.m);
	if (phase == RUN_PARKED)
		assert_int_equal(poll_until_stop(&g), STOP_FAULT_STAGE);
	assert_int_equal(machine_phase(g.m), phase);
	close_it(&g);
}

static void destroyed_in_every_phase(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned vcpus = 1; vcpus <= 2; vcpus++)
			for (enum run_phase p = RUN_STOPPED; p <= RUN_PARKED; p++)
				destroyed_in(p, i, vcpus);
}

static void destroyed_before_the_thread_is_lent(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct guest g;

		if (!open_on(&g, i, 0, 1))
			continue;
		CODE(&g, LOOP);
		start(&g, RUN_CONTINUE, RUN_LENT);
		close_it(&g);
	}
}

static void *tell_once(void *run)
{
	queue_tell(&((struct run *)run)->queue);
	return NULL;
}

/* Whoever polls the descriptor must not find it readable for ever: serving takes away what made it so. */
static void a_readable_queue_can_be_emptied(void **state)
{
	struct run r = {.has_client = false};

	(void)state;
	assert_int_equal(queue_init(&r.queue, NULL), 0);
	for (int i = 0; i < 2000; i++) {
		struct pollfd p = {.fd = r.queue.fd, .events = POLLIN};
		pthread_t t;

		assert_int_equal(pthread_create(&t, NULL, tell_once, &r), 0);
		while (!atomic_load(&r.queue.news))
			;
		run_serve(&r);
		pthread_join(t, NULL);
		run_serve(&r);
		assert_int_equal(poll(&p, 1, 0), 0);
	}
	queue_deinit(&r.queue);
}

/* ---- what came last before the stop */

/* A run whose guest prints once more, and stops, when run_poll() has emptied the queue and looks for what else there is. */
struct late {
	struct run r;
	sem_t go;
	char text[8];
	size_t n;
};

static int print_and_stop(void *ctx, struct run_job *job, struct stop *out, struct err *e)
{
	struct late *l = ctx;

	(void)job, (void)e;
	run_console(&l->r, "a", 1);
	sem_wait(&l->go);
	run_console(&l->r, "b", 1);
	*out = (struct stop){.reason = STOP_HLT, .slot = -1};
	return 0;
}

static bool has_ended(struct run_queue *q)
{
	LOCK_SCOPE(&q->lock);
	return q->ended;
}

/* On the client's thread, between its two looks at the queue. */
static bool let_it_stop(void *ctx, struct stop *out)
{
	struct late *l = ctx;
	struct pollfd p = {.fd = l->r.queue.fd, .events = POLLIN};
	uint64_t n;

	(void)out;
	sem_post(&l->go);
	while (!has_ended(&l->r.queue)) {
		assert_int_equal(poll(&p, 1, 20000), 1);
		(void)!read(p.fd, &n, sizeof(n));
	}
	return false;
}

static bool always_parks(void *ctx, const struct run_job *job)
{
	(void)ctx, (void)job;
	return true;
}

static void keep_text(void *ctx, const char *bytes, size_t n)
{
	struct late *l = ctx;

	assert_true(l->n + n < sizeof(l->text));
	memcpy(l->text + l->n, bytes, n);
	l->n += n;
}

static void text_comes_before_the_stop(void **state)
{
	static const struct run_ops ops = {.enter = print_and_stop, .may_park = always_parks, .park_look = let_it_stop};
	const struct run_job job = {.kind = RUN_CONTINUE};
	struct late l = {.n = 0};
	struct stop stop;
	struct err e;

	(void)state;
	sem_init(&l.go, 0, 0);
	assert_int_equal(run_init(&l.r, &ops, &l, &e), 0);
	l.r.console = keep_text;
	l.r.console_ctx = &l;
	assert_int_equal(run_start(&l.r, &job, RUN_RUNNER, &e), 0);
	assert_int_equal(run_poll(&l.r, &stop, &e), 1);
	assert_int_equal(stop.reason, STOP_HLT);
	assert_string_equal(l.text, "ab");
	run_close(&l.r);
	run_deinit(&l.r);
	sem_destroy(&l.go);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_readable_queue_can_be_emptied),
	    cmocka_unit_test(phases),
	    cmocka_unit_test(background),
	    cmocka_unit_test(lent_runs_here),
	    cmocka_unit_test(console_in_order),
	    cmocka_unit_test(console_is_bounded),
	    cmocka_unit_test(text_comes_before_the_stop),
	    cmocka_unit_test(marks_on_the_clients_thread),
	    cmocka_unit_test(looked_at),
	    cmocka_unit_test(parked),
	    cmocka_unit_test(destroyed_in_every_phase),
	    cmocka_unit_test(destroyed_before_the_thread_is_lent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
