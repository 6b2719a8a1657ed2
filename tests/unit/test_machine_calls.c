/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every call of machine.h against what a machine can do and what it is doing: a machine that may only be looked at, a guest
 * that runs, a vCPU inside a fault. What is expected stands here in words of its own, not taken from calls.h.
 */
#include "core/machine/check.h"
#include "tests/support/fake.h"

#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define GPA 0x1000ull

/* ---- one way to make each call */

static int fact(void *arg, const char *what, const char *value, const char *why)
{
	(void)arg;
	(void)what;
	(void)value;
	(void)why;
	return 0;
}

static int do_facts(struct machine *m, struct err *e)
{
	return machine_facts(m, fact, NULL, e);
}

static int do_look_begin(struct machine *m, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};

	return machine_look_begin(m, &hold, e);
}

static int do_slot_add(struct machine *m, struct err *e)
{
	struct slot_spec spec = {.id = 7, .gpa = 0x70000, .size = 0x1000};

	return machine_slot_add(m, &spec, NULL, e);
}

static int do_slot_delete(struct machine *m, struct err *e)
{
	return machine_slot_delete(m, 2, NULL, e);
}

static int do_slot_move(struct machine *m, struct err *e)
{
	return machine_slot_move(m, 1, 0x90000, NULL, e);
}

static int do_slot_flags(struct machine *m, struct err *e)
{
	return machine_slot_flags(m, 1, SLOT_READONLY, 0, 0, NULL, e);
}

static int dirty(struct machine *m, bool clear, struct err *e)
{
	uint64_t *bits = NULL;
	size_t n;
	int rc = machine_slot_dirty(m, 0, clear, &bits, &n, e);

	free(bits);
	return rc;
}

static int do_slot_dirty(struct machine *m, struct err *e)
{
	return dirty(m, false, e);
}

static int do_slot_dirty_clear(struct machine *m, struct err *e)
{
	return dirty(m, true, e);
}

static int do_slot_dirty_views(struct machine *m, struct err *e)
{
	uint64_t *bits[2] = {NULL, NULL};
	size_t n;
	int rc = machine_slot_dirty_views(m, 0, false, bits, &n, e);

	free(bits[0]);
	free(bits[1]);
	return rc;
}

static int do_slot_dirty_ring(struct machine *m, struct err *e)
{
	struct dirty_entry_list l = {0};
	int rc = machine_slot_dirty_ring(m, 0, &l, e);

	dirty_entry_list_free(&l);
	return rc;
}

static int do_slot_prefault(struct machine *m, struct err *e)
{
	struct prefault done;

	return machine_slot_prefault(m, 0, 0, 0, 0x1000, NULL, &done, e);
}

static int do_slot_dirty_set(struct machine *m, struct err *e)
{
	uint64_t *none[2] = {NULL, NULL};

	return machine_slot_dirty_set(m, 0, none, e);
}

static int do_slot_list(struct machine *m, struct err *e)
{
	struct slot_info_list l = {0};
	int rc = machine_slot_list(m, &l, e);

	slot_info_list_free(&l);
	return rc;
}

static int do_slot_info(struct machine *m, struct err *e)
{
	struct slot_info i;

	return machine_slot_info(m, 0, &i, e);
}

static int do_read(struct machine *m, struct err *e)
{
	uint8_t byte;

	return machine_read(m, GPA, false, &byte, 1, e);
}

static int do_write(struct machine *m, struct err *e)
{
	return machine_write(m, GPA, false, "x", 1, e);
}

static int do_write_pages(struct machine *m, struct err *e)
{
	struct machine_page page = {.index = 0};

	return machine_write_pages(m, 0, &page, 1, e);
}

static int do_read_gva(struct machine *m, struct err *e)
{
	uint8_t byte;

	return machine_read_gva(m, 0, GPA, &byte, 1, e);
}

static int do_write_gva(struct machine *m, struct err *e)
{
	return machine_write_gva(m, 0, GPA, "x", 1, e);
}

static int do_writable(struct machine *m, struct err *e)
{
	return machine_writable(m, GPA, false, 1, e);
}

static int do_writable_gva(struct machine *m, struct err *e)
{
	return machine_writable_gva(m, 0, GPA, 1, e);
}

static int do_env(struct machine *m, struct err *e)
{
	struct xlate_env env;

	return machine_env(m, 0, &env, e);
}

static int memop(struct machine *m, unsigned op, uint32_t flags, struct err *e)
{
	uint8_t byte = 1;
	struct memop o = {.op = op, .flags = flags, .gva = GPA, .size = 1, .buf = &byte};
	struct memop_result res;

	return machine_memop(m, 0, &o, &res, e);
}

static int do_memop(struct machine *m, struct err *e)
{
	return memop(m, MEMOP_LOGICAL_READ, 0, e);
}

static int do_memop_write(struct machine *m, struct err *e)
{
	return memop(m, MEMOP_LOGICAL_WRITE, 0, e);
}

static int do_memop_inject(struct machine *m, struct err *e)
{
	return memop(m, MEMOP_LOGICAL_READ, MEMOP_INJECT, e);
}

static int do_hva(struct machine *m, struct err *e)
{
	uint64_t hva;

	return machine_hva(m, GPA, false, &hva, e);
}

static int do_hpa(struct machine *m, struct err *e)
{
	uint64_t hpa;

	return machine_hpa(m, GPA, false, &hpa, e);
}

static int do_get_regs(struct machine *m, struct err *e)
{
	struct regs r;

	return machine_get_regs(m, 0, REGS_ALL, &r, e);
}

static int do_set_regs(struct machine *m, struct err *e)
{
	struct regs r = {.rip = 1};

	return machine_set_regs(m, 0, REGS_MSR, &r, e);
}

static int do_inject(struct machine *m, struct err *e)
{
	struct guest_fault f = {.present = true, .vector = 6};

	return machine_inject(m, 0, &f, e);
}

static int do_smi(struct machine *m, struct err *e)
{
	return machine_smi(m, 0, e);
}

static int do_smbase(struct machine *m, struct err *e)
{
	uint32_t smbase;

	return machine_smbase(m, 0, &smbase, e);
}

static int do_set_smbase(struct machine *m, struct err *e)
{
	return machine_set_smbase(m, 0, 0x30000, e);
}

static int do_nested_take(struct machine *m, struct err *e)
{
	void *state;
	size_t len;
	int rc = machine_nested_take(m, 0, &state, &len, e);

	if (!rc)
		free(state);
	return rc;
}

static int do_nested_leave(struct machine *m, struct err *e)
{
	return machine_nested_leave(m, 0, e);
}

static int do_nested_put(struct machine *m, struct err *e)
{
	return machine_nested_put(m, 0, NULL, 0, e);
}

static int do_reset(struct machine *m, struct err *e)
{
	return machine_reset(m, e);
}

static int do_run(struct machine *m, struct err *e)
{
	struct stop stop;

	return machine_run(m, RUN_STEP, 0, 1, &stop, e);
}

static int do_run_job(struct machine *m, struct err *e)
{
	struct run_job job = {.kind = RUN_STEP, .count = 1};
	struct stop stop;

	return machine_run_job(m, &job, &stop, e);
}

static int do_start(struct machine *m, struct err *e)
{
	struct run_job job = {.kind = RUN_STEP, .count = 1};
	struct stop stop;
	int rc = machine_start(m, &job, RUN_LENT, e);

	return rc ? rc : machine_wait(m, &stop, e);
}

static int do_start_replay(struct machine *m, struct err *e)
{
	struct run_job job = {.kind = RUN_REPLAY};
	struct stop stop;
	int rc = machine_start(m, &job, RUN_LENT, e);

	return rc ? rc : machine_wait(m, &stop, e);
}

static int do_check_watch(struct machine *m, struct err *e)
{
	struct plant p = {.id = 1, .kind = PLANT_WRITE, .addr = GPA, .len = 1, .phys = true};

	return machine_check_watch(m, 0, &p, e);
}

static int do_plant(struct machine *m, struct err *e)
{
	struct plant p = {.id = 9, .kind = PLANT_EXEC, .addr = GPA};

	return machine_plant(m, &p, e);
}

static int do_plants_now(struct machine *m, struct err *e)
{
	struct plant p = {.id = 1, .addr = GPA, .len = 1};

	return machine_plants_now(m, &p, 1, e);
}

static int do_unplant(struct machine *m, struct err *e)
{
	return machine_unplant(m, 5, e);
}

static int do_catch(struct machine *m, struct err *e)
{
	return machine_catch(m, CATCH_MMIO, e);
}

static int do_mmu_catch(struct machine *m, struct err *e)
{
	struct mmu_filter f = {.kinds = MMU_ZAP, .last = 1};

	return machine_mmu_catch(m, &f, 1, e);
}

static int do_mmu_events(struct machine *m, struct err *e)
{
	struct mmu_event_list l = {.v = NULL};
	int rc = machine_mmu_events(m, &l, e);

	mmu_event_list_free(&l);
	return rc;
}

static int do_fault_catch(struct machine *m, struct err *e)
{
	struct fault_filter f = {.all = true};

	return machine_fault_catch(m, &f, 1, e);
}

static int catch_any_fault(struct machine *m, struct err *e)
{
	struct fault_filter f = {.all = true};
	size_t n;

	return machine_running(m) || (machine_fault_caught(m, &n), n) ? 0 : machine_fault_catch(m, &f, 1, e);
}

static int do_fault_check(struct machine *m, struct err *e)
{
	int rc = catch_any_fault(m, e);

	return rc ? rc : machine_fault_check(m, e);
}

static int do_fault_step(struct machine *m, struct err *e)
{
	struct stop stop;
	int rc = catch_any_fault(m, e);

	return rc ? rc : machine_fault_step(m, &stop, e);
}

static int do_fault_stages(struct machine *m, struct err *e)
{
	struct fault_stage_list l = {0};
	int rc = machine_fault_stages(m, &l, e);

	fault_stage_list_free(&l);
	return rc;
}

static int row(void *arg, const struct rmap_info *r)
{
	(void)arg;
	(void)r;
	return 0;
}

static int do_rmap_each(struct machine *m, struct err *e)
{
	return machine_rmap_each(m, row, NULL, e);
}

/* Looks of any shape: what LOOK_HAND_ON_shape names. */
#define LOOK(name, words, needs, list, shape)                                                                               \
	static int do_##name(struct machine *m, struct err *e)                                                              \
	{                                                                                                                   \
		const uint64_t gfn = 1, first = 0, last = 0x1000;                                                           \
		const unsigned flags = 0, vcpu = 0;                                                                         \
		struct list l = {0};                                                                                        \
		int rc = machine_##name(m, LOOK_HAND_ON_##shape & l, e);                                                    \
                                                                                                                            \
		(void)gfn, (void)first, (void)last, (void)flags, (void)vcpu;                                                \
		list##_free(&l);                                                                                            \
		return rc;                                                                                                  \
	}
MACHINE_LOOK_LIST(LOOK)
#undef LOOK

/* ---- what is expected of each */

enum kind {
	LOOKS,	 /* allowed on a machine that may only be looked at, also while it runs if it can answer then */
	STANDS,	 /* the same, but not while the guest runs */
	CHANGES, /* refused on such a machine, while the guest runs, and inside a fault */
	RUNS,	 /* refused on such a machine and while the guest runs */
	WORDS,	 /* says something that no run state touches */
	PLANS,	 /* asks whether something could be stopped at */
};

struct expectation {
	enum kind kind;
	int (*call)(struct machine *m, struct err *e);
	bool lacking; /* the fake machine does not have the operation */
};

static const struct expectation expected[MACHINE_CALL_COUNT] = {
#define LOOK(name, words, needs, list, shape) [CALL_##name] = {LOOKS, do_##name, false},
    MACHINE_LOOK_LIST(LOOK)
#undef LOOK
	[CALL_facts] = {WORDS, do_facts, false},
    [CALL_look_begin] = {LOOKS, do_look_begin, false},
    [CALL_slot_add] = {CHANGES, do_slot_add, false},
    [CALL_slot_delete] = {CHANGES, do_slot_delete, false},
    [CALL_slot_move] = {CHANGES, do_slot_move, false},
    [CALL_slot_flags] = {CHANGES, do_slot_flags, false},
    [CALL_slot_dirty] = {STANDS, do_slot_dirty, false},
    [CALL_slot_dirty_views] = {STANDS, do_slot_dirty_views, false},
    [CALL_slot_dirty_clear] = {CHANGES, do_slot_dirty_clear, false},
    [CALL_slot_dirty_ring] = {STANDS, do_slot_dirty_ring, false},
    [CALL_slot_prefault] = {CHANGES, do_slot_prefault, true},
    [CALL_slot_dirty_set] = {CHANGES, do_slot_dirty_set, false},
    [CALL_slot_list] = {LOOKS, do_slot_list, false},
    [CALL_slot_info] = {LOOKS, do_slot_info, false},
    [CALL_read] = {LOOKS, do_read, false},
    [CALL_write] = {CHANGES, do_write, false},
    [CALL_write_pages] = {CHANGES, do_write_pages, false},
    [CALL_read_gva] = {LOOKS, do_read_gva, false},
    [CALL_write_gva] = {CHANGES, do_write_gva, false},
    [CALL_writable] = {CHANGES, do_writable, false},
    [CALL_writable_gva] = {CHANGES, do_writable_gva, false},
    [CALL_env] = {LOOKS, do_env, false},
    [CALL_memop] = {LOOKS, do_memop, false},
    [CALL_memop_write] = {CHANGES, do_memop_write, false},
    [CALL_memop_inject] = {CHANGES, do_memop_inject, false},
    [CALL_hva] = {LOOKS, do_hva, false},
    [CALL_hpa] = {LOOKS, do_hpa, false},
    [CALL_get_regs] = {LOOKS, do_get_regs, false},
    [CALL_set_regs] = {CHANGES, do_set_regs, false},
    [CALL_inject] = {CHANGES, do_inject, false},
    [CALL_smi] = {CHANGES, do_smi, false},
    [CALL_smbase] = {LOOKS, do_smbase, false},
    [CALL_set_smbase] = {CHANGES, do_set_smbase, true},
    [CALL_nested_take] = {LOOKS, do_nested_take, false},
    [CALL_nested_leave] = {CHANGES, do_nested_leave, false},
    [CALL_nested_put] = {CHANGES, do_nested_put, false},
    [CALL_reset] = {CHANGES, do_reset, false},
    [CALL_run] = {RUNS, do_run, false},
    [CALL_run_job] = {RUNS, do_run_job, false},
    [CALL_start] = {RUNS, do_start, false},
    [CALL_start_replay] = {CHANGES, do_start_replay, true},
    [CALL_check_watch] = {PLANS, do_check_watch, false},
    [CALL_plant] = {RUNS, do_plant, false},
    [CALL_unplant] = {RUNS, do_unplant, false},
    [CALL_plants_now] = {RUNS, do_plants_now, true},
    [CALL_catch] = {RUNS, do_catch, false},
    [CALL_mmu_catch] = {RUNS, do_mmu_catch, false},
    [CALL_mmu_events] = {STANDS, do_mmu_events, false},
    [CALL_fault_catch] = {RUNS, do_fault_catch, false},
    [CALL_fault_check] = {RUNS, do_fault_check, false},
    [CALL_fault_step] = {RUNS, do_fault_step, false},
    [CALL_fault_stages] = {STANDS, do_fault_stages, false},
    [CALL_rmap_each] = {LOOKS, do_rmap_each, false},
};

/* ---- the machines */

static struct machine *filled(const struct machine_ops *ops)
{
	struct machine_config cfg = {.vcpus = 1, .dirty_ring = 256};
	struct plant p = {.id = 5, .kind = PLANT_EXEC, .addr = 0x4000};
	struct machine *m = NULL;
	struct err e = {0};

	assert_int_equal(machine_create(ops, &cfg, &m, &e), 0);
	fake_add_slot(m, 0, 0, 0x10000, SLOT_LOG_DIRTY);
	fake_add_slot(m, 1, 0x20000, 0x1000, 0);
	fake_add_slot(m, 2, 0x30000, 0x1000, 0);
	assert_int_equal(machine_plant(m, &p, &e), 0);
	return m;
}

/* One call, and whether its refusal says what was tried, why not, and what to do. */
static int ask(struct machine *m, unsigned call)
{
	uint64_t before = machine_changes(m) + machine_resets(m);
	struct err e = {0};
	int rc = expected[call].call(m, &e);

	if (rc && machine_changes(m) + machine_resets(m) != before)
		fail_msg("%s is refused, yet counted as a change", machine_call_row(call)->name);
	if (rc && (!e.what[0] || !e.why[0] || !e.next[0]))
		fail_msg("%s refuses without words: %s, %s, %s", machine_call_row(call)->name, e.what, e.why, e.next);
	return rc;
}

static void expect(struct machine *m, unsigned call, int want, const char *when)
{
	int rc = ask(m, call);

	if (!want && expected[call].lacking)
		want = -ENOTSUP;
	if (rc != want)
		fail_msg("%s %s: %d, not %d", machine_call_row(call)->name, when, rc, want);
}

static void test_standing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MACHINE_CALL_COUNT; i++) {
		struct machine *m = filled(&fake_ops);

		assert_non_null(expected[i].call);
		expect(m, i, 0, "standing");
		machine_destroy(m);
	}
}

static bool changes_or_runs(unsigned call)
{
	return expected[call].kind == CHANGES || expected[call].kind == RUNS || expected[call].kind == PLANS;
}

/* A backend for such a machine need not even have the operations that change or run. */
static void test_look_only(void **state)
{
	struct machine_ops ops = fake_ops;
	struct machine *m = filled(&ops);

	(void)state;
	ops.slot_change = NULL;
	ops.wrote = NULL;
	ops.set_regs = NULL;
	ops.inject = NULL;
	ops.smi = NULL;
	ops.reset = NULL;
	ops.run = NULL;
	ops.plant = NULL;
	ops.unplant = NULL;
	ops.set_catch = NULL;
	ops.mmu_catch = NULL;
	ops.fault_catch = NULL;
	fake_of(m)->look_only = true;
	for (unsigned i = 0; i < MACHINE_CALL_COUNT; i++)
		expect(m, i, changes_or_runs(i) ? -ENOTSUP : 0, "of a machine that may only be looked at");
	/* To stop at nothing is what it does anyway. */
	assert_int_equal(machine_catch(m, 0, NULL), 0);
	assert_int_equal(machine_mmu_catch(m, NULL, 0, NULL), 0);
	machine_interrupt(m);
	assert_false(machine_running(m));
	assert_int_equal(machine_slots(m)->n, 3);
	machine_destroy(m);
}

/* Each capability alone: exactly the calls that name it are refused, and say it. */
static void test_each_capability(void **state)
{
	(void)state;
	for (unsigned cap = 0; cap < MACHINE_CAP_COUNT; cap++)
		for (unsigned i = 0; i < MACHINE_CALL_COUNT; i++) {
			struct machine *m = filled(&fake_ops);
			bool needed = machine_call_row(i)->needs & 1u << cap;
			struct err e = {0};
			int rc;

			fake_of(m)->no_cap[cap] = true;
			rc = expected[i].call(m, &e);
			if (expected[i].lacking || needed ? rc != -ENOTSUP : rc != 0)
				fail_msg("%s without %s: %d", machine_call_row(i)->name, machine_cap_name(cap), rc);
			if (needed && !strstr(e.why, machine_cap_name(cap)))
				fail_msg("%s without %s: %s", machine_call_row(i)->name, machine_cap_name(cap), e.why);
			machine_destroy(m);
		}
}

static void test_inside_a_fault(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MACHINE_CALL_COUNT; i++) {
		struct machine *m = filled(&fake_ops);
		bool refused = expected[i].kind == CHANGES && !expected[i].lacking;

		fake_park(m, 0);
		expect(m, i, refused ? -EBUSY : 0, "inside a fault");
		if (machine_parked(m, NULL))
			fake_unpark(m);
		machine_destroy(m);
	}
}

/* ---- while the guest runs */

struct while_running {
	unsigned call;
	bool live; /* this backend answers then */
	unsigned locked;
};

static void during_run(struct machine *m, void *arg)
{
	struct while_running *w = arg;
	enum kind kind = expected[w->call].kind;
	bool looks = kind == LOOKS || kind == PLANS;
	bool allowed = kind == WORDS || (looks && w->live);
	unsigned before = fake_of(m)->locks;

	assert_true(machine_running(m));
	expect(m, w->call, allowed || expected[w->call].lacking ? 0 : -EBUSY, "while the guest runs");
	assert_int_equal(fake_of(m)->locks, fake_of(m)->unlocks);
	w->locked = fake_of(m)->locks - before;
}

static unsigned ask_running(const struct machine_ops *ops, unsigned call, bool live)
{
	struct machine *m = filled(ops);
	struct while_running w = {.call = call, .live = live};
	struct stop stop;
	struct err e = {0};

	fake_push_event(m, &(struct fake_event){.stop = {.reason = STOP_HLT, .slot = -1}, .fn = during_run, .arg = &w});
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 1, &stop, &e), 0);
	machine_destroy(m);
	return w.locked;
}

/* Under the walk lock whatever is allowed. */
static void test_running(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MACHINE_CALL_COUNT; i++) {
		unsigned locked = ask_running(&fake_ops, i, true);

		if (expected[i].kind == LOOKS && !locked)
			fail_msg("%s looks at a guest that runs without the walk lock", machine_call_row(i)->name);
	}
}

static void test_running_not_live(void **state)
{
	struct machine_ops ops = fake_ops;

	(void)state;
	ops.live = 0;
	for (unsigned i = 0; i < MACHINE_CALL_COUNT; i++)
		ask_running(&ops, i, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_standing),	   cmocka_unit_test(test_look_only), cmocka_unit_test(test_each_capability),
	    cmocka_unit_test(test_inside_a_fault), cmocka_unit_test(test_running),   cmocka_unit_test(test_running_not_live),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
