/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standing still inside faults of the soft backend, on demo:tour: stages in order, every one live, nothing of a stage done
 * before it is left; giving a fault up; going on; destroying a machine whose vCPU is parked.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/load/image.h"
#include "core/soft/soft.h"

static struct machine *tour(void)
{
	struct image_options opt = {.name = "demo:tour"};
	struct machine_config cfg = {.vcpus = 1};
	struct machine *m;
	struct image *img;

	assert_int_equal(image_open(&opt, &img, NULL), 0);
	assert_int_equal(machine_create(&soft_backend, &cfg, &m, NULL), 0);
	assert_int_equal(image_make_slots(img, m, NULL), 0);
	assert_int_equal(image_load(img, m, NULL), 0);
	image_close(img);
	return m;
}

static struct stop go(struct machine *m)
{
	struct stop s;

	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 1, &s, NULL), 0);
	return s;
}

static struct stop next_stage(struct machine *m)
{
	struct stop s;

	assert_int_equal(machine_fault_step(m, &s, NULL), 0);
	return s;
}

static void catch_gfn(struct machine *m, uint64_t gfn)
{
	struct fault_filter f = {.first = gfn, .last = gfn};

	assert_int_equal(machine_fault_catch(m, &f, 1, NULL), 0);
}

static size_t chain(struct machine *m, uint64_t gfn)
{
	struct rmap_list l;
	size_t n;

	assert_int_equal(machine_rmap(m, gfn, &l, NULL), 0);
	n = l.v[0].n_sptes;
	rmap_list_free(&l);
	return n;
}

/* The tour's first write of gfn 0x40 is at 0x20000f. */
static void stages_of_a_write(void **state)
{
	static const enum stage want[] = {STAGE_WALK,  STAGE_WALK, STAGE_WALK, STAGE_WALK, STAGE_ACCESSED,
					  STAGE_DIRTY, STAGE_SLOT, STAGE_PAGE, STAGE_SPTE, STAGE_RMAP};
	struct machine *m = tour();
	unsigned k = 0, vcpu;
	(void)state;

	catch_gfn(m, 0x40);
	struct stop s = go(m);
	while (s.reason == STOP_FAULT_STAGE && s.fault == 1) {
		assert_int_equal(s.rip, 0x20000f);
		assert_true(machine_parked(m, &vcpu));
		assert_int_equal(vcpu, 0);
		assert_true(s.has_fault_gfn && s.fault_gfn == 0x40);
		if (k < ARRAY_LEN(want) && s.stage == want[k])
			k++;
		assert_int_equal(chain(m, 0x40), s.stage == STAGE_RMAP);
		s = next_stage(m);
	}
	assert_int_equal(k, ARRAY_LEN(want));
	assert_int_equal(s.reason, STOP_FAULT_STAGE);
	assert_int_equal(s.fault, 2);
	assert_int_equal(s.rip, 0x200017);
	assert_int_equal(chain(m, 0x40), 1);
	machine_destroy(m);
}

static void continue_finishes_the_fault(void **state)
{
	struct machine *m = tour();
	struct fault_stage_list l;
	unsigned vcpu;
	(void)state;

	catch_gfn(m, 0x80);
	struct stop s = go(m);
	assert_int_equal(s.reason, STOP_FAULT_STAGE);
	for (unsigned i = 0; i < 10 && s.reason == STOP_FAULT_STAGE; i++)
		s = go(m);
	assert_int_equal(s.reason, STOP_EXCEPTION);
	assert_int_equal(s.cr2, 0x300000);
	assert_false(machine_parked(m, &vcpu));
	assert_int_equal(chain(m, 0x80), 1);
	assert_int_equal(machine_fault_stages(m, &l, NULL), 0);
	assert_true(l.n > 8);
	bool live = false, recorded = false;
	for (size_t i = 0; i < l.n; i++) {
		live |= l.v[i].live;
		recorded |= !l.v[i].live;
	}
	assert_true(live && recorded);
	fault_stage_list_free(&l);
	machine_destroy(m);
}

/* A step gives the fault up, whatever stage it stands at, and carries the instruction out. */
static void step_gives_up(void **state)
{
	(void)state;
	for (unsigned stages = 0; stages < 9; stages++) {
		struct machine *m = tour();
		struct stop s;
		uint64_t v = 0;

		catch_gfn(m, 0x40);
		s = go(m);
		for (unsigned i = 0; i < stages; i++)
			s = next_stage(m);
		assert_int_equal(s.reason, STOP_FAULT_STAGE);
		assert_int_equal(machine_read(m, 0x40000, false, &v, 8, NULL), 0);
		assert_int_equal(v, 0);
		assert_int_equal(machine_run(m, RUN_STEP, 0, 1, &s, NULL), 0);
		assert_int_equal(s.reason, STOP_STEP);
		assert_int_equal(s.rip, 0x200012);
		assert_int_equal(machine_read(m, 0x40000, false, &v, 8, NULL), 0);
		assert_int_equal(v, 0x1122334455667788ull);
		assert_int_equal(chain(m, 0x40), 1);
		machine_destroy(m);
	}
}

/* Looking is allowed while a vCPU is parked, changing is not. */
static void parked_machine(void **state)
{
	struct machine *m = tour();
	struct err e = {0};
	struct regs r;
	struct slot_spec spec = {.id = 9, .gpa = 0x10000000, .size = 0x1000, .vis = SLOT_VIS_BOTH};
	struct shadow_page_list l;
	(void)state;

	catch_gfn(m, 0x40);
	assert_int_equal(go(m).reason, STOP_FAULT_STAGE);
	assert_int_equal(machine_get_regs(m, 0, REGS_ALL, &r, NULL), 0);
	assert_int_equal(r.rip, 0x20000f);
	assert_int_equal(r.gpr[RBX], 0x240000);
	assert_int_equal(machine_set_regs(m, 0, REGS_GPR, &r, &e), -EBUSY);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EBUSY);
	assert_true(e.why[0] && e.next[0]);
	assert_int_equal(machine_shadow_pages(m, 0, &l, NULL), 0);
	assert_true(l.n >= 4);
	shadow_page_list_free(&l);
	/* Dropping the catch lets the vCPU go where it was, before its instruction. */
	assert_int_equal(machine_fault_catch(m, NULL, 0, NULL), 0);
	unsigned vcpu;
	assert_false(machine_parked(m, &vcpu));
	assert_int_equal(machine_get_regs(m, 0, REGS_GPR, &r, NULL), 0);
	assert_int_equal(r.rip, 0x20000f);
	assert_int_equal(go(m).reason, STOP_EXCEPTION);
	machine_destroy(m);
}

static void destroyed_while_parked(void **state)
{
	struct fault_filter all = {.all = true};
	struct machine *m = tour();
	(void)state;

	assert_int_equal(machine_fault_catch(m, &all, 1, NULL), 0);
	assert_int_equal(go(m).reason, STOP_FAULT_STAGE);
	machine_destroy(m);
}

static void gva_range(void **state)
{
	struct fault_filter f = {.gva = true, .first = 0x280000, .last = 0x280fff};
	struct machine *m = tour();
	(void)state;

	assert_int_equal(machine_fault_catch(m, &f, 1, NULL), 0);
	struct stop s = go(m);
	assert_int_equal(s.reason, STOP_FAULT_STAGE);
	assert_int_equal(s.gva & ~0xfffull, 0x280000);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stages_of_a_write),      cmocka_unit_test(continue_finishes_the_fault),
	    cmocka_unit_test(step_gives_up),	      cmocka_unit_test(parked_machine),
	    cmocka_unit_test(destroyed_while_parked), cmocka_unit_test(gva_range),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
