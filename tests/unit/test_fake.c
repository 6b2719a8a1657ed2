/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fake machine does what its header says, through the machine interface.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/fake.h"

static void plays_stops_in_order(void **state)
{
	struct machine *m = fake_create(2);
	struct stop s;

	(void)state;
	fake_push_step(m, 1, 0x1003);
	fake_push_stop(m, &(struct stop){.reason = STOP_BREAKPOINT, .vcpu = 1, .rip = 0x1008, .breakpoint = 4});
	assert_int_equal(fake_queued(m), 2);
	assert_int_equal(machine_run(m, RUN_STEP, 1, 5, &s, NULL), 0);
	assert_int_equal(s.reason, STOP_BREAKPOINT); /* of five steps the second one stopped early */
	assert_int_equal(s.breakpoint, 4);
	assert_int_equal(fake_of(m)->regs[1].rip, 0x1008);
	assert_int_equal(fake_of(m)->regs[0].rip, 0xfff0);
	assert_int_equal(fake_of(m)->last_count, 5);
	assert_int_equal(machine_run(m, RUN_STEP, 1, 3, &s, NULL), 0);
	assert_int_equal(s.reason, STOP_STEP);
	assert_int_equal(s.rip, 0x100b);
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 1, &s, NULL), 0);
	assert_int_equal(s.reason, STOP_HLT);
	assert_int_equal(fake_of(m)->runs, 3);
	machine_destroy(m);
}

static void change_rip(struct machine *m, void *arg)
{
	fake_of(m)->regs[0].rip = *(uint64_t *)arg;
}

static void events_may_act(void **state)
{
	struct machine *m = fake_create(1);
	struct stop s;
	uint64_t to = 0x4444;

	(void)state;
	fake_push_event(m,
			&(struct fake_event){.stop = {.reason = STOP_HLT}, .keep_rip = true, .fn = change_rip, .arg = &to});
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 1, &s, NULL), 0);
	assert_int_equal(s.rip, 0x4444);
	machine_destroy(m);
}

static void interrupt_stops_the_next_run(void **state)
{
	struct machine *m = fake_create(1);
	struct stop s;

	(void)state;
	fake_push_step(m, 0, 0x10);
	machine_interrupt(m);
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 1, &s, NULL), 0);
	assert_int_equal(s.reason, STOP_INTERRUPTED);
	assert_int_equal(fake_queued(m), 1);
	machine_destroy(m);
}

static void plants_are_recorded(void **state)
{
	struct machine *m = fake_create(1);
	struct plant p = {.id = 7, .kind = PLANT_EXEC_HW, .addr = 0x2000};

	(void)state;
	assert_int_equal(machine_plant(m, &p, NULL), 0);
	assert_string_equal(p.how, "hw");
	p = (struct plant){.id = 8, .kind = PLANT_EXEC, .addr = 0x3000};
	assert_int_equal(machine_plant(m, &p, NULL), 0);
	assert_int_equal(fake_plant(m, 7)->addr, 0x2000);
	assert_int_equal(machine_unplant(m, 7, NULL), 0);
	assert_null(fake_plant(m, 7));
	assert_int_equal(fake_plant(m, 8)->addr, 0x3000);
	assert_int_equal(machine_unplant(m, 7, NULL), -ENOENT);
	machine_destroy(m);
}

static void memory_and_dirty_pages(void **state)
{
	struct machine *m = fake_create(1);
	uint64_t v = 0x1122334455667788, *bits = NULL;
	size_t n = 0;

	(void)state;
	fake_add_slot(m, 0, 0, 0x10000, SLOT_LOG_DIRTY);
	fake_guest_write(m, 0x3ffc, &v, sizeof(v));
	v = 0;
	assert_int_equal(machine_read(m, 0x3ffc, false, &v, sizeof(v), NULL), 0);
	assert_int_equal(v, 0x1122334455667788);
	assert_int_equal(machine_slot_dirty(m, 0, true, &bits, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(bits[0], 0x18);
	free(bits);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, NULL), 0);
	assert_int_equal(bits[0], 0);
	free(bits);
	assert_int_equal(machine_write(m, 0x5000, false, &v, 1, NULL), 0);
	assert_int_equal(fake_of(m)->wrotes, 1);
	assert_int_equal(fake_of(m)->wrote_gpa, 0x5000);
	machine_destroy(m);
}

static void inspection_is_copied(void **state)
{
	struct machine *m = fake_create(1);
	struct spte_info sptes[2] = {{.gva = 0x1000, .level = 1, .spte = 1}, {.gva = 0x200000, .level = 2, .spte = 2}};
	struct rmap_desc desc = {.address = 0x77, .used = 2};
	struct rmap_info rmap = {.gfn = 5, .kind = RMAP_MANY, .desc = &desc, .n_desc = 1, .sptes = sptes, .n_sptes = 2};
	struct spte_list got;
	struct rmap_list chain;

	(void)state;
	fake_add_slot(m, 3, 0, 0x10000, 0);
	fake_of(m)->sptes = (struct spte_list){.v = sptes, .n = 2};
	fake_of(m)->rmap = (struct rmap_list){&rmap, 1};
	assert_int_equal(machine_sptes(m, 0, 0x3fffff, ~0ull, &got, NULL), 0);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.v[0].spte, 2);
	spte_list_free(&got);
	assert_int_equal(machine_rmap(m, 5, &chain, NULL), 0);
	assert_int_equal(chain.n, 1);
	assert_int_equal(chain.v[0].sptes[1].spte, 2);
	rmap_list_free(&chain);
	assert_int_equal(machine_rmap(m, 6, &chain, NULL), 0);
	assert_int_equal(chain.v[0].kind, RMAP_EMPTY);
	assert_int_equal(chain.v[0].slot, 3);
	rmap_list_free(&chain);
	fake_of(m)->no_cap[MACHINE_CAP_RMAP] = true;
	assert_int_equal(machine_rmap(m, 5, &chain, NULL), -ENOTSUP);
	machine_destroy(m);
}

static void operations_fail_on_demand(void **state)
{
	struct machine *m = fake_create(1);
	struct err e = {0};
	struct regs r;

	(void)state;
	fake_of(m)->fail_op = "get_regs";
	fake_of(m)->fail_code = -EIO;
	fake_of(m)->fail_after = 1;
	assert_int_equal(machine_get_regs(m, 0, REGS_GPR, &r, &e), 0);
	assert_int_equal(machine_get_regs(m, 0, REGS_GPR, &r, &e), -EIO);
	assert_int_equal(e.code, -EIO);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plays_stops_in_order),	    cmocka_unit_test(events_may_act),
	    cmocka_unit_test(interrupt_stops_the_next_run), cmocka_unit_test(plants_are_recorded),
	    cmocka_unit_test(memory_and_dirty_pages),	    cmocka_unit_test(inspection_is_copied),
	    cmocka_unit_test(operations_fail_on_demand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
