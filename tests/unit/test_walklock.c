/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The walk lock between threads: memops against others that change the guest's tables under them, first over memop alone,
 * then over the soft machine with a guest that runs meanwhile. Without the lock the walk and the copy see different times;
 * so each thing read here consists of two halves that agree at every moment when nobody is in the middle of a change.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/machine/machine.h"
#include "core/mem/memop.h"
#include "core/mem/walklock.h"
#include "core/soft/soft.h"
#include "core/soft/soft_impl.h"
#include "tests/unit/xlate_guest.h"

#define US (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

/* ---- the lock alone */

struct counter {
	struct walk_lock lock;
	unsigned n, most;
	atomic_uint inside;
	bool yields;
};

static void *count(void *arg)
{
	struct counter *c = arg;

	walk_lock_take(&c->lock);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned inside = atomic_fetch_add(&c->inside, 1) + 1;
		c->most = inside > c->most ? inside : c->most;
		c->n++;
		atomic_fetch_sub(&c->inside, 1);
		if (c->yields) {
			walk_lock_yield(&c->lock);
		} else {
			walk_lock_give(&c->lock);
			walk_lock_take(&c->lock);
		}
	}
	walk_lock_give(&c->lock);
	return NULL;
}

static void test_one_at_a_time(void **state)
{
	struct counter c = {.n = 0};
	pthread_t t[3];

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		c.yields = round;
		walk_lock_init(&c.lock);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(pthread_create(&t[i], NULL, count, &c), 0);
		for (unsigned i = 0; i < 3; i++)
			pthread_join(t[i], NULL);
		walk_lock_deinit(&c.lock);
		assert_int_equal(c.n, (round + 1) * 60000);
		assert_int_equal(c.most, 1);
	}
}

/* ---- scopes: however a function is left, what it took is given back */

static bool walk_lock_free(const struct walk_lock *l)
{
	return atomic_load(&l->next) == l->serving;
}

static unsigned early_or_late(struct walk_lock *l, struct lock *inner, unsigned where)
{
	if (where == 0)
		return 0;
	WALK_LOCK_SCOPE(l);
	if (where == 1)
		return l->serving;
	for (;;) {
		LOCK_SCOPE(inner);
		assert_int_not_equal(pthread_mutex_trylock(&inner->mutex), 0);
		assert_false(walk_lock_free(l));
		if (where == 2)
			return l->serving;
		break;
	}
	assert_int_equal(pthread_mutex_trylock(&inner->mutex), 0);
	pthread_mutex_unlock(&inner->mutex);
	return l->serving;
}

static void test_scopes_give_back(void **state)
{
	struct lock inner = LOCK_INIT(LOCK_BOARD);
	struct walk_lock lock;

	(void)state;
	walk_lock_init(&lock);
	for (unsigned where = 0; where < 4; where++) {
		/* Who holds it serves as many as were there before. */
		assert_int_equal(early_or_late(&lock, &inner, where), where ? where - 1 : 0);
		assert_true(walk_lock_free(&lock));
		assert_int_equal(pthread_mutex_trylock(&inner.mutex), 0);
		pthread_mutex_unlock(&inner.mutex);
	}
	walk_lock_deinit(&lock);
	lock_destroy(&inner);
}

/* ---- memop against changers */

/* Two neighbouring pages of the guest, GVA(0) and GVA(1), always map two frames that hold the same number all over; the
 * other frames hold anything. */
enum { FRAMES = 7, FIRST_FRAME = 0x8000, READS = 400, WORDS = 2 * PAGE_SIZE_4K / 8 };

struct world {
	struct guest *g;
	struct walk_lock lock;
	atomic_bool end;
	atomic_uint changes;
	atomic_uint torn, wrong;
};

static void lock_world(void *ctx)
{
	walk_lock_take(&((struct world *)ctx)->lock);
}

static void unlock_world(void *ctx)
{
	walk_lock_give(&((struct world *)ctx)->lock);
}

static void fill(struct guest *g, unsigned frame, uint64_t v)
{
	uint64_t *at = (uint64_t *)(void *)ram(g, FIRST_FRAME + frame * PAGE_SIZE_4K);

	for (unsigned i = 0; i < PAGE_SIZE_4K / 8; i++)
		at[i] = v;
}

/* As a guest kernel does, without INVLPG's help: other frames, entry by entry, then the old ones are used for other things.
 */
static void *change(void *arg)
{
	struct world *w = arg;
	unsigned at = 0;

	for (uint64_t v = 2; !atomic_load(&w->end); v++) {
		unsigned a = (at + 2) % FRAMES, b = (at + 3) % FRAMES;
		walk_lock_take(&w->lock);
		fill(w->g, a, v);
		fill(w->g, b, v);
		map(w->g, 0, (FIRST_FRAME + a * PAGE_SIZE_4K) | US);
		map(w->g, 1, (FIRST_FRAME + b * PAGE_SIZE_4K) | US);
		fill(w->g, at, ~v);
		fill(w->g, (at + 1) % FRAMES, ~v - 1);
		walk_lock_give(&w->lock);
		at = a;
		atomic_fetch_add(&w->changes, 1);
	}
	return NULL;
}

static bool all_same(const uint64_t *v)
{
	for (unsigned i = 1; i < WORDS; i++)
		if (v[i] != v[0])
			return false;
	return true;
}

struct walker {
	struct world *w;
	struct xlate_env env;
};

/* A walk that stands at its last entry until somebody who wants to make a change waits for it to end, or has not waited. */
static int slow_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct walker *k = ctx;
	struct world *w = k->w;
	unsigned then = atomic_load(&w->changes);
	int rc = k->env.mem.read(&k->env, gpa, size, entry);

	while (gpa == 0x4008 && atomic_load(&w->changes) == then && atomic_load(&w->lock.next) - w->lock.serving < 2)
		sched_yield();
	return rc;
}

/* Reads the two pages, and now and then writes them. */
static void *operate(void *arg)
{
	struct world *w = arg;
	struct walker k = {.w = w, .env = w->g->env};
	struct memop_env env = {.x = w->g->env, .ctx = w, .lock = lock_world, .unlock = unlock_world};
	struct memop_result r;
	uint64_t v[WORDS];
	struct err e;

	env.x.mem = (struct paging_mem){.ctx = &k, .read = slow_read};
	env.x.side_effects = false;
	for (unsigned i = 0; i < READS; i++) {
		struct memop op = {.op = MEMOP_LOGICAL_READ, .gva = GVA(0), .size = sizeof(v), .buf = v};
		if (i % 8 == 7) {
			for (unsigned j = 0; j < WORDS; j++)
				v[j] = i;
			op.op = MEMOP_LOGICAL_WRITE;
		}
		if (memop_run(&env, &op, 3, &r, &e) || r.status)
			atomic_fetch_add(&w->wrong, 1);
		if (!all_same(v))
			atomic_fetch_add(&w->torn, 1);
	}
	return NULL;
}

static void test_walk_and_copy_are_one(void **state)
{
	struct world w = {.g = new_guest()};
	pthread_t changer, reader;

	(void)state;
	walk_lock_init(&w.lock);
	fill(w.g, 0, 1);
	fill(w.g, 1, 1);
	map(w.g, 0, FIRST_FRAME | US);
	map(w.g, 1, (FIRST_FRAME + PAGE_SIZE_4K) | US);
	assert_int_equal(pthread_create(&changer, NULL, change, &w), 0);
	assert_int_equal(pthread_create(&reader, NULL, operate, &w), 0);
	pthread_join(reader, NULL);
	atomic_store(&w.end, true);
	pthread_join(changer, NULL);
	assert_int_equal(w.wrong, 0);
	assert_int_equal(w.torn, 0);
	walk_lock_deinit(&w.lock);
	end_guest(w.g);
}

/* ---- the soft machine: a guest stores across a page's end for ever */

enum { RAM = 0x40000, TABLES = 0x10000, CODE = 0x8000, AT = 0x20ffc };

/* again: inc eax; movsxd, doubled into both halves of rcx; mov [0x20ffc], rcx; jmp again */
static const uint8_t code[] = {0xff, 0xc0,				 /* inc eax */
			       0x89, 0xc1,				 /* mov ecx, eax */
			       0x48, 0xc1, 0xe1, 0x20,			 /* shl rcx, 32 */
			       0x48, 0x09, 0xc1,			 /* or rcx, rax */
			       0x48, 0x89, 0x0c, 0x25, 0xfc, 0x0f, 2, 0, /* mov [0x20ffc], rcx */
			       0xeb, 0xeb};

static struct seg flat(uint8_t type, bool l)
{
	return (struct seg){.limit = ~0u, .type = type, .s = true, .present = true, .l = l, .db = !l, .g = true, .dpl = 3};
}

static void ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

static void put(struct machine *m, uint64_t gpa, uint64_t v)
{
	struct err e = {0};

	ok(machine_write(m, gpa, false, &v, sizeof(v), &e), &e);
}

static struct machine *storing_guest(void)
{
	const struct machine_config cfg = {.vcpus = 1};
	const struct slot_spec ram = {.size = RAM};
	struct err e = {0};
	struct machine *m;
	struct regs r;

	ok(machine_create(&soft_backend, &cfg, &m, &e), &e);
	ok(machine_slot_add(m, &ram, NULL, &e), &e);
	for (unsigned i = 0; i < 3; i++)
		put(m, TABLES + i * 0x1000, (TABLES + (i + 1) * 0x1000) | US);
	for (uint64_t i = 0; i < RAM >> PAGE_SHIFT; i++)
		put(m, TABLES + 0x3000 + 8 * i, i << PAGE_SHIFT | US);
	ok(machine_write(m, CODE, false, code, sizeof(code), &e), &e);
	ok(machine_get_regs(m, 0, REGS_ALL, &r, &e), &e);
	memset(r.gpr, 0, sizeof(r.gpr));
	r.rip = CODE;
	r.rflags = RFLAGS_FIXED;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r.seg[i] = flat(i == SEG_CS ? 11 : 3, i == SEG_CS);
	r.cr0 = CR0_PE | CR0_PG | CR0_ET;
	r.cr3 = TABLES;
	r.cr4 = CR4_PAE;
	r.efer = EFER_LME | EFER_LMA;
	ok(machine_set_regs(m, 0, REGS_GPR | REGS_SYS, &r, &e), &e);
	return m;
}

struct running {
	struct machine *m;
	struct stop stop;
	int rc;
};

static void *run_guest(void *arg)
{
	struct running *run = arg;
	struct err e;

	run->rc = machine_run(run->m, RUN_CONTINUE, 0, 1, &run->stop, &e);
	return NULL;
}

static void test_memop_while_the_guest_runs(void **state)
{
	struct running run = {.m = storing_guest()};
	uint32_t v[2], before = 0;
	struct memop op = {.op = MEMOP_LOGICAL_READ, .gva = AT, .size = 8, .buf = v};
	struct memop_result r;
	struct err e = {0};
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, run_guest, &run), 0);
	while (before < 200000) {
		ok(machine_memop(run.m, 0, &op, &r, &e), &e);
		assert_int_equal(r.status, 0);
		assert_int_equal(v[0], v[1]);
		assert_true(v[0] >= before);
		before = v[0];
	}
	/* What would change something is for a guest that is stopped. */
	op.op = MEMOP_LOGICAL_WRITE;
	assert_int_equal(machine_memop(run.m, 0, &op, &r, &e), -EBUSY);
	machine_interrupt(run.m);
	pthread_join(t, NULL);
	assert_int_equal(run.rc, 0);
	assert_int_equal(run.stop.reason, STOP_INTERRUPTED);
	ok(machine_memop(run.m, 0, &op, &r, &e), &e);
	machine_destroy(run.m);
}

/* Looks of several steps see one state: what they read does not move while they hold it. */
static void look_at(struct machine *m, uint32_t *value)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct spte_list sptes = {0};
	struct rmap_list rmaps = {0};
	struct root_list roots = {0};
	struct regs first, second;
	struct xlate_env env;
	struct walk w;
	uint32_t later;
	struct err e = {0};

	ok(machine_look_begin(m, &hold, &e), &e);
	ok(machine_get_regs(m, 0, REGS_GPR, &first, &e), &e);
	ok(machine_env(m, 0, &env, &e), &e);
	paging_walk(&env.pg, &env.mem, AT, ACCESS_READ, false, &w);
	assert_false(w.fault.present);
	ok(machine_read(m, w.gpa, false, value, sizeof(*value), &e), &e);
	ok(machine_sptes(m, 0, AT, AT, &sptes, &e), &e);
	ok(machine_rmap_all(m, &rmaps, &e), &e);
	ok(machine_roots(m, &roots, &e), &e);
	ok(machine_read_gva(m, 0, AT, &later, sizeof(later), &e), &e);
	ok(machine_get_regs(m, 0, REGS_GPR, &second, &e), &e);
	assert_int_equal(later, *value);
	assert_int_equal(first.rip, second.rip);
	spte_list_free(&sptes);
	rmap_list_free(&rmaps);
	root_list_free(&roots);
}

static void test_looks_while_the_guest_runs(void **state)
{
	struct running run = {.m = storing_guest()};
	uint32_t before = 0, now = 0;
	struct err e = {0};
	struct regs r = {.rip = CODE};
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, run_guest, &run), 0);
	while (!machine_running(run.m))
		sched_yield();
	while (now < 100000) {
		look_at(run.m, &now);
		assert_true(now >= before);
		before = now;
	}
	assert_int_equal(machine_set_regs(run.m, 0, REGS_GPR, &r, &e), -EBUSY);
	assert_int_equal(machine_write(run.m, AT, false, &before, 4, &e), -EBUSY);
	machine_interrupt(run.m);
	pthread_join(t, NULL);
	assert_int_equal(run.stop.reason, STOP_INTERRUPTED);
	assert_true(walk_lock_free(&soft_of(run.m)->walk));
	machine_destroy(run.m);
}

/* The store hits a watchpoint, and the spte that it made is told by the next run before that executes anything. */
static void test_given_back_at_every_stop(void **state)
{
	static const enum stop_reason told[] = {STOP_MMU, STOP_WATCHPOINT, STOP_MMU, STOP_WATCHPOINT, STOP_WATCHPOINT};
	const struct mmu_filter sptes = {.kinds = MMU_SPTE, .last = ~0ull};
	struct plant watch = {.id = 1, .kind = PLANT_WRITE, .addr = AT, .len = 4};
	struct machine *m = storing_guest();
	struct err e = {0};
	struct stop stop;

	(void)state;
	ok(machine_plant(m, &watch, &e), &e);
	ok(machine_mmu_catch(m, &sptes, 1, &e), &e);
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		ok(machine_run(m, RUN_CONTINUE, 0, 1, &stop, &e), &e);
		assert_int_equal(stop.reason, told[i]);
		assert_true(walk_lock_free(&soft_of(m)->walk));
	}
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_at_a_time),
	    cmocka_unit_test(test_scopes_give_back),
	    cmocka_unit_test(test_walk_and_copy_are_one),
	    cmocka_unit_test(test_memop_while_the_guest_runs),
	    cmocka_unit_test(test_looks_while_the_guest_runs),
	    cmocka_unit_test(test_given_back_at_every_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
