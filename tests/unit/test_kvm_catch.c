/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stopping after the MMU has done something to its tables: the same guests on the kvm backend, where the kernel's
 * tracepoints tell, and on the soft one, where the model does.
 */
#include "tests/support/guest.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/soft/soft.h"

#define CODE(g, s) guest_code(g, s, sizeof(s) - 1)

static bool soft; /* which backend a test is about: its state says */

/* A CPL3 guest, or false after saying why there is none. */
static bool begin(struct guest *g, void **state, unsigned vcpus)
{
	soft = *(const bool *)*state;
	guest_backend = soft ? &soft_backend : NULL;
	if (!soft && !guest_possible())
		return false;
	if (!soft && geteuid()) {
		printf("skip: tracepoints take root\n");
		return false;
	}
	guest_open(g, GUEST_LONG, 3, false, vcpus);
	if (!soft && !machine_can(g->m, MACHINE_CAP_SHADOW, NULL)) {
		printf("skip: the kernel's structures cannot be read\n");
		guest_close(g);
		return false;
	}
	return true;
}

static void end(struct guest *g)
{
	guest_close(g);
	guest_backend = NULL;
}

static bool is_by_gpa(struct guest *g)
{
	struct spte_list l = {0};

	assert_int_equal(machine_sptes(g->m, 0, 0, PAGE_OFFSET_MASK, &l, &g->e), 0);
	bool yes = l.by_gpa;
	spte_list_free(&l);
	return yes;
}

/* What is about shadow pages of guest tables (tdp false), or about the TDP MMU. */
static bool begin_with(struct guest *g, void **state, bool tdp)
{
	if (!begin(g, state, 1))
		return false;
	if (is_by_gpa(g) == tdp)
		return true;
	printf("skip: guests have %s here\n",
	       tdp ? "shadow tables, and no TDP MMU" : "TDP's tables, none of theirs is shadowed");
	end(g);
	return false;
}

/* On to the guest's own end. An instruction that reads and writes may have its spte set for each. */
static void goes_on_to_its_end(struct guest *g, uint64_t gfn)
{
	for (unsigned i = 0; guest_continue(g) == STOP_MMU; i++) {
		assert_true(i < 1);
		assert_int_equal(g->stop.mmu.gfn, gfn);
	}
	assert_int_equal(g->stop.reason, STOP_EXCEPTION);
}

static void catch (struct guest *g, uint32_t kinds, uint64_t first, uint64_t last)
{
	struct mmu_filter f = {kinds, first, last};

	if (machine_mmu_catch(g->m, &f, 1, &g->e))
		fail_msg("%s: %s", g->e.what, g->e.why);
}

static struct mmu_event_list events(struct guest *g)
{
	struct mmu_event_list l;

	assert_int_equal(machine_mmu_events(g->m, &l, &g->e), 0);
	return l;
}

static void expect_event(const struct mmu_event *ev, enum mmu_kind kind, uint64_t gfn, unsigned level)
{
	assert_int_equal(ev->kind, kind);
	assert_int_equal(ev->gfn, gfn);
	assert_int_equal(ev->level, level);
}

/* One spte for one gfn: the stop is at the instruction that needed it on kvm, behind it on soft; nothing after it has run.
 */
static void spte_set(void **state)
{
	struct guest g;

	if (!begin(&g, state, 1))
		skip();
	/* inc qword [0x40000]; nop; inc qword [0x50000]; ud2 */
	CODE(&g, "\x48\xff\x04\x25\x00\x00\x04\x00\x90\x48\xff\x04\x25\x00\x00\x05\x00\x0f\x0b");
	catch (&g, MMU_SPTE, 0x50, 0x50);
	assert_int_equal(guest_continue(&g), STOP_MMU);
	assert_int_equal(g.stop.rip, GUEST_CODE + (soft ? 17 : 9));
	expect_event(&g.stop.mmu, MMU_SPTE, 0x50, 1);
	assert_true(g.stop.mmu.spte & 1);
	assert_int_not_equal(g.stop.mmu.sptep, 0);
	assert_int_equal(g.stop.mmu.vcpu, 0);
	struct mmu_event_list l = events(&g);
	assert_int_equal(l.n, 1);
	expect_event(&l.v[0], MMU_SPTE, 0x50, 1);
	assert_true(l.v[0].spte == g.stop.mmu.spte && l.v[0].sptep == g.stop.mmu.sptep && l.v[0].time == g.stop.mmu.time);
	mmu_event_list_free(&l);
	uint64_t first, second;
	guest_peek(&g, 0x40000, &first, 8);
	guest_peek(&g, 0x50000, &second, 8);
	assert_int_equal(first, 1);
	assert_int_equal(second, soft ? 1 : 0);
	goes_on_to_its_end(&g, 0x50);
	guest_peek(&g, 0x50000, &second, 8);
	assert_int_equal(second, 1);
	l = events(&g);
	assert_int_equal(l.n, 0);
	end(&g);
}

/* Nothing that was not asked for stops, and nothing after it was given up. */
static void others_do_not_stop(void **state)
{
	struct guest g;

	if (!begin_with(&g, state, false))
		skip();
	CODE(&g, "\x48\xff\x04\x25\x00\x00\x04\x00\x48\xff\x04\x25\x00\x00\x05\x00\x0f\x0b");
	catch (&g, MMU_SPTE, 0x41, 0x4f);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	guest_set_rip(&g, 0, GUEST_CODE);
	catch (&g, MMU_ZAP | MMU_UNSYNC | MMU_SYNC, 0x40, 0x50);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	assert_int_equal(machine_mmu_catch(g.m, NULL, 0, &g.e), 0);
	guest_set_rip(&g, 0, GUEST_CODE);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	end(&g);
}

/* A leaf table that maps itself is written at CPL3: it goes unsync. */
static void unsync(void **state)
{
	struct guest g;

	if (!begin_with(&g, state, false))
		skip();
	/* mov qword [0x13f00], 0; nop; ud2 */
	CODE(&g, "\x48\xc7\x04\x25\x00\x3f\x01\x00\x00\x00\x00\x00\x90\x0f\x0b");
	catch (&g, MMU_UNSYNC, 0, ~0ull);
	assert_int_equal(guest_continue(&g), STOP_MMU);
	expect_event(&g.stop.mmu, MMU_UNSYNC, 0x13, 1);
	assert_int_equal(g.stop.mmu.role & 15, 1);
	assert_int_equal(g.stop.rip, GUEST_CODE + (soft ? 12 : 0));
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	end(&g);
}

/* A table above the leaves is written by a byte in the middle of an entry: its shadow page goes. */
static void zap(void **state)
{
	struct guest g;

	if (!begin_with(&g, state, false))
		skip();
	/* mov byte [0x12f01], 0; nop; ud2 */
	CODE(&g, "\xc6\x04\x25\x01\x2f\x01\x00\x00\x90\x0f\x0b");
	catch (&g, MMU_ZAP, 0x12, 0x12);
	assert_int_equal(guest_continue(&g), STOP_MMU);
	expect_event(&g.stop.mmu, MMU_ZAP, 0x12, 2);
	assert_int_equal(g.stop.mmu.role & 15, 2);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	end(&g);
}

/* By steps: the step is made, and the stop says what it did. */
static void by_steps(void **state)
{
	struct guest g;

	if (!begin(&g, state, 1))
		skip();
	CODE(&g, "\x90\x48\xff\x04\x25\x00\x00\x05\x00\x90\x90");
	catch (&g, MMU_SPTE, 0x50, 0x50);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(guest_run(&g, RUN_STEP, 0, 2), STOP_MMU);
	assert_int_equal(g.stop.rip, GUEST_CODE + 9);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(g.stop.rip, GUEST_CODE + 10);
	end(&g);
}

/* What the debugger does while the guest stands is not the guest's doing. (A root goes when the vCPU that holds it runs on:
 * it is not among those asked for.) */
static void not_the_debuggers(void **state)
{
	struct guest g;

	if (!begin_with(&g, state, false))
		skip();
	/* inc qword [0x40000]; ud2; nop; ud2 */
	CODE(&g, "\x48\xff\x04\x25\x00\x00\x04\x00\x0f\x0b\x90\x0f\x0b");
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	catch (&g, MMU_ZAP, 0x11, 0x13);
	assert_int_equal(machine_slot_flags(g.m, GUEST_ROM_SLOT, 0, SLOT_READONLY, 0, NULL, &g.e), 0);
	assert_int_equal(machine_slot_flags(g.m, GUEST_ROM_SLOT, SLOT_READONLY, 0, 0, NULL, &g.e), 0);
	guest_set_rip(&g, 0, GUEST_CODE + 10);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	end(&g);
}

/* Many in one guest: each pass of a loop over fresh pages stops; all of them are told, in order, and none twice. */
static void each_once(void **state)
{
	struct guest g;

	if (!begin(&g, state, 1))
		skip();
	/* mov ebx, 0x40000; again: inc qword [rbx]; add ebx, 0x1000; cmp ebx, 0x60000; jb again; ud2 */
	CODE(&g, "\xbb\x00\x00\x04\x00\x48\xff\x03\x81\xc3\x00\x10\x00\x00\x81\xfb\x00\x00\x06\x00\x72\xef\x0f\x0b");
	catch (&g, MMU_SPTE, 0x40, 0x5f);
	uint64_t seen[0x60] = {0};
	unsigned stops = 0;
	while (guest_continue(&g) == STOP_MMU) {
		struct mmu_event_list l = events(&g);
		for (size_t i = 0; i < l.n; i++) {
			assert_in_range(l.v[i].gfn, 0x40, 0x5f);
			seen[l.v[i].gfn]++;
			assert_true(!i || l.v[i].time >= l.v[i - 1].time);
		}
		mmu_event_list_free(&l);
		stops++;
		assert_true(stops <= 64);
	}
	assert_int_equal(g.stop.reason, STOP_EXCEPTION);
	for (uint64_t gfn = 0x40; gfn < 0x60; gfn++)
		assert_int_not_equal(seen[gfn], 0);
	end(&g);
}

/* Filters of several catchpoints, each with its own kinds and range. */
static void several_filters(void **state)
{
	struct mmu_filter f[] = {{MMU_ZAP, 0x50, 0x50}, {MMU_SPTE, 0x40, 0x40}};
	struct guest g;

	if (!begin_with(&g, state, false))
		skip();
	CODE(&g, "\x48\xff\x04\x25\x00\x00\x05\x00\x48\xff\x04\x25\x00\x00\x04\x00\x0f\x0b");
	assert_int_equal(machine_mmu_catch(g.m, f, 2, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_MMU);
	expect_event(&g.stop.mmu, MMU_SPTE, 0x40, 1);
	goes_on_to_its_end(&g, 0x40);
	end(&g);
}

/* Each change of an entry of the TDP MMU is told, with what it was; and nothing that this host does not have is promised. */
static void tdp_entries(void **state)
{
	const struct mmu_filter zap = {MMU_ZAP, 0, ~0ull};
	struct guest g;

	if (!begin_with(&g, state, true))
		skip();
	/* inc qword [0x40000]; inc qword [0x50000]; ud2 */
	CODE(&g, "\x48\xff\x04\x25\x00\x00\x04\x00\x48\xff\x04\x25\x00\x00\x05\x00\x0f\x0b");
	assert_int_equal(machine_mmu_catch(g.m, &zap, 1, &g.e), -ENOTSUP);
	assert_non_null(strstr(g.e.next, "catch mmu spte or tdp"));
	catch (&g, MMU_TDP, 0x50, 0x50);
	assert_int_equal(guest_continue(&g), STOP_MMU);
	assert_int_equal(g.stop.rip, GUEST_CODE + 8);
	expect_event(&g.stop.mmu, MMU_TDP, 0x50, 1);
	assert_int_equal(g.stop.mmu.old_spte & 7, 0);
	assert_int_equal(g.stop.mmu.spte & 3, 3);
	assert_int_equal(g.stop.mmu.as, 0);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	end(&g);
}

static void no_tdp_without_it(void **state)
{
	const struct mmu_filter tdp = {MMU_TDP, 0, ~0ull};
	struct guest g;

	if (!begin_with(&g, state, false))
		skip();
	assert_int_equal(machine_mmu_catch(g.m, &tdp, 1, &g.e), -ENOTSUP);
	assert_non_null(strstr(g.e.why, "shadow tables"));
	end(&g);
}

static void *interrupt_soon(void *m)
{
	/* Whenever it comes, the guest is running for good or not yet: both end in an interrupted stop. */
	machine_interrupt(m);
	return NULL;
}

/* Ctrl-C while a catch waits for what never comes. */
static void interrupted(void **state)
{
	struct guest g;
	pthread_t t;

	if (!begin(&g, state, 1))
		skip();
	CODE(&g, "\xeb\xfe");
	catch (&g, MMU_ALL, 0x60, 0x60);
	assert_int_equal(pthread_create(&t, NULL, interrupt_soon, g.m), 0);
	assert_int_equal(guest_continue(&g), STOP_INTERRUPTED);
	pthread_join(t, NULL);
	assert_int_equal(g.stop.rip, GUEST_CODE);
	end(&g);
}

/* Of two vCPUs the one that did it is named, and both stand. */
static void two_vcpus(void **state)
{
	struct guest g;

	if (!begin(&g, state, 2))
		skip();
	/* jmp $; then at +2: inc qword [0x50000]; jmp $ */
	CODE(&g, "\xeb\xfe\x48\xff\x04\x25\x00\x00\x05\x00\xeb\xfe");
	guest_set_rip(&g, 1, GUEST_CODE + 2);
	catch (&g, MMU_SPTE, 0x50, 0x50);
	assert_int_equal(guest_continue(&g), STOP_MMU);
	assert_int_equal(g.stop.vcpu, 1);
	expect_event(&g.stop.mmu, MMU_SPTE, 0x50, 1);
	assert_int_equal(g.stop.mmu.vcpu, 1);
	assert_int_equal(guest_regs(&g, 0).rip, GUEST_CODE);
	end(&g);
}

/* Inside a fault the vCPU is recorded at once; the spte that ends the fault stops it. */
static void from_inside_a_fault(void **state)
{
	struct fault_filter f = {.first = 0x50, .last = 0x50};
	struct guest g;

	if (!begin(&g, state, 1))
		skip();
	if (!machine_can(g.m, MACHINE_CAP_FAULT_STEP, NULL)) {
		end(&g);
		printf("skip: no fault stepping here\n");
		skip();
	}
	CODE(&g, "\x48\xff\x04\x25\x00\x00\x05\x00\x90\x0f\x0b");
	assert_int_equal(machine_fault_catch(g.m, &f, 1, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_FAULT_STAGE);
	catch (&g, MMU_SPTE, 0x50, 0x50);
	assert_int_equal(guest_continue(&g), STOP_MMU);
	expect_event(&g.stop.mmu, MMU_SPTE, 0x50, 1);
	assert_false(machine_parked(g.m, NULL));
	assert_int_equal(machine_fault_catch(g.m, NULL, 0, &g.e), 0);
	goes_on_to_its_end(&g, 0x50);
	end(&g);
}

/* ---- slots */

static void expect_slot(struct guest *g, int slot, const char *words)
{
	assert_int_equal(guest_continue(g), STOP_SLOT);
	assert_int_equal(g->stop.slot, slot);
	assert_string_equal(g->stop.note, words);
	assert_int_equal(g->stop.rip, GUEST_CODE);
}

/* Each slot that the debugger changes is told before the guest runs on, once. */
static void slots(void **state)
{
	struct slot_spec add = {.id = 9, .gpa = 0x1000000, .size = 0x2000, .vis = SLOT_VIS_BOTH};
	struct guest g;

	if (!begin(&g, state, 1))
		skip();
	CODE(&g, "\x90\x0f\x0b");
	assert_int_equal(machine_slot_add(g.m, &add, NULL, &g.e), 0);
	assert_int_equal(machine_catch(g.m, CATCH_SLOT, &g.e), 0);
	assert_int_equal(machine_slot_flags(g.m, GUEST_ROM_SLOT, 0, SLOT_READONLY, 0, NULL, &g.e), 0);
	assert_int_equal(machine_slot_move(g.m, 9, 0x2000000, NULL, &g.e), 0);
	assert_int_equal(machine_slot_flags(g.m, 9, SLOT_LOG_DIRTY, 0, 0, NULL, &g.e), 0);
	expect_slot(&g, GUEST_ROM_SLOT, "became writable");
	expect_slot(&g, 9, "was moved from gpa 0x1000000 to 0x2000000, then began its dirty log");
	assert_int_equal(machine_slot_delete(g.m, 9, NULL, &g.e), 0);
	expect_slot(&g, 9, "was deleted (gpa 0x2000000, 0x2000 bytes)");
	add.vis = SLOT_VIS_SMM;
	add.flags = SLOT_SMRAM;
	assert_int_equal(machine_slot_add(g.m, &add, NULL, &g.e), 0);
	expect_slot(&g, 9, "was added at gpa 0x1000000, 0x2000 bytes");
	assert_int_equal(machine_slot_flags(g.m, 9, 0, SLOT_SMRAM, 0, NULL, &g.e), 0);
	expect_slot(&g, 9, "became visible to both, before to SMM only");
	/* Told of or not: a step makes its step, and what nobody waits for is dropped. */
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(machine_slot_delete(g.m, 9, NULL, &g.e), 0);
	assert_int_equal(machine_catch(g.m, 0, &g.e), 0);
	assert_int_equal(machine_catch(g.m, CATCH_SLOT, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_EXCEPTION);
	end(&g);
}

/* ---- modes */

/* CPL3 runs freely on kvm: the change is seen at the first exit of CPL0, here the handler's port; soft sees it at once. */
static void privilege(void **state)
{
	struct guest g;

	soft = *(const bool *)*state;
	guest_backend = soft ? &soft_backend : NULL;
	if (!soft && !guest_possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, true, 1);
	/* nop; mov eax, [0x100000], which is unmapped: a handler of CPL0 says its vector to port 0x80 */
	CODE(&g, "\x90\x8b\x04\x25\x00\x00\x10\x00\x90");
	assert_int_equal(machine_catch(g.m, CATCH_MODE, &g.e), 0);
	assert_int_equal(guest_continue(&g), STOP_MODE);
	assert_true(g.stop.cpl_only);
	assert_int_equal(g.stop.old_cpl, 3);
	assert_int_equal(g.stop.rip, GUEST_HANDLERS + 16 * 14 + (soft ? 0 : 5));
	assert_true(soft || strstr(g.stop.note, "CPL3 ran freely"));
	assert_int_equal(guest_continue(&g), STOP_HLT);
	end(&g);
}

/* By steps each change is told where it is made, on both. */
static void privilege_by_steps(void **state)
{
	struct guest g;

	soft = *(const bool *)*state;
	guest_backend = soft ? &soft_backend : NULL;
	if (!soft && !guest_possible())
		skip();
	guest_open(&g, GUEST_LONG, 3, true, 1);
	CODE(&g, "\x90\x8b\x04\x25\x00\x00\x10\x00\x90");
	assert_int_equal(machine_catch(g.m, CATCH_MODE, &g.e), 0);
	assert_int_equal(guest_step(&g), STOP_STEP);
	assert_int_equal(guest_step(&g), STOP_MODE);
	assert_true(g.stop.cpl_only);
	assert_int_equal(g.stop.rip, GUEST_HANDLERS + 16 * 14);
	assert_int_equal(guest_step(&g), STOP_STEP);
	end(&g);
}

static void refused(void **state)
{
	struct mmu_filter bad[MMU_FILTERS_MAX + 1] = {{0, 0, 1}};
	struct guest g;

	if (!begin(&g, state, 1))
		skip();
	assert_int_equal(machine_mmu_catch(g.m, bad, 1, &g.e), -EINVAL);
	bad[0] = (struct mmu_filter){MMU_ALL + 1, 0, 1};
	assert_int_equal(machine_mmu_catch(g.m, bad, 1, &g.e), -EINVAL);
	bad[0] = (struct mmu_filter){MMU_ZAP, 2, 1};
	assert_int_equal(machine_mmu_catch(g.m, bad, 1, &g.e), -EINVAL);
	assert_int_equal(machine_mmu_catch(g.m, bad, MMU_FILTERS_MAX + 1, &g.e), -ENOSPC);
	for (unsigned i = 0; i < MMU_FILTERS_MAX; i++)
		bad[i] = (struct mmu_filter){MMU_ALL, 0xfffffffffff00000ull + 2 * i, 0xfffffffffff00000ull + 2 * i};
	assert_int_equal(machine_mmu_catch(g.m, bad, MMU_FILTERS_MAX, &g.e), 0);
	end(&g);
}

int main(void)
{
	static bool on_kvm = false, on_soft = true;
#define BOTH(f) cmocka_unit_test_prestate(f, &on_kvm), cmocka_unit_test_prestate(f, &on_soft)
	const struct CMUnitTest tests[] = {
	    BOTH(spte_set),
	    BOTH(others_do_not_stop),
	    BOTH(unsync),
	    BOTH(zap),
	    BOTH(by_steps),
	    BOTH(not_the_debuggers),
	    BOTH(each_once),
	    BOTH(several_filters),
	    BOTH(tdp_entries),
	    BOTH(no_tdp_without_it),
	    BOTH(interrupted),
	    BOTH(two_vcpus),
	    BOTH(from_inside_a_fault),
	    BOTH(refused),
	    BOTH(slots),
	    BOTH(privilege),
	    BOTH(privilege_by_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
