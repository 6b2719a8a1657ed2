/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standing inside faults of the real kernel, on demo:tour: which stages come, in which order and with which labels; looking
 * at a vCPU that is parked, and what is refused meanwhile; giving a fault up, going on, leaving.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/load/image.h"
#include "kvmback/kvmback.h"
#include "kvmback/trace/trace.h"
#include "kvmback/host/uffd.h"
#include "tests/support/guest.h"

#define STORE 0x20000f /* mov [rbx], rax: the first write of gfn 0x40 */
#define STORED 0x1122334455667788ull

static struct err e;

static bool possible(void)
{
	const char *why = guest_possible() ? uffd_why() : "";

	if (why && *why)
		printf("skip: %s\n", why);
	return !why;
}

static void ok(int rc)
{
	if (rc)
		fail_msg("%s: %s", e.what, e.why);
}

static struct machine *tour(unsigned vcpus)
{
	struct image_options opt = {.name = "demo:tour"};
	struct machine_config cfg = {.vcpus = vcpus};
	struct machine *m;
	struct image *img;

	ok(image_open(&opt, &img, &e));
	ok(machine_create(&kvm_backend, &cfg, &m, &e));
	ok(image_make_slots(img, m, &e));
	ok(image_load(img, m, &e));
	image_close(img);
	return m;
}

#define TOUR(m)                                                                                                             \
	if (!possible())                                                                                                    \
		skip();                                                                                                     \
	struct machine *m = tour(1)

static struct stop go(struct machine *m, enum run_kind kind)
{
	struct stop s;

	ok(machine_run(m, kind, 0, 1, &s, &e));
	return s;
}

static struct stop next_stage(struct machine *m)
{
	struct stop s;

	ok(machine_fault_step(m, &s, &e));
	return s;
}

static void catch_all(struct machine *m)
{
	const struct fault_filter all = {.all = true};

	ok(machine_fault_catch(m, &all, 1, &e));
}

static void catch_gfn(struct machine *m, uint64_t gfn)
{
	const struct fault_filter f = {.first = gfn, .last = gfn};

	ok(machine_fault_catch(m, &f, 1, &e));
}

static uint64_t read64(struct machine *m, uint64_t gpa)
{
	uint64_t v = 0;

	ok(machine_read(m, gpa, false, &v, sizeof(v), &e));
	return v;
}

static bool stands(struct machine *m)
{
	unsigned vcpu = 9;
	bool yes = machine_parked(m, &vcpu);

	assert_true(!yes || vcpu == 0);
	return yes;
}

/* On from this stage to the page itself: a gfn in a READONLY slot is caught from the root of its walk on. */
static struct stop on_to_page(struct machine *m, struct stop s, uint64_t gfn)
{
	while (s.reason == STOP_FAULT_STAGE && !(s.has_fault_gfn && s.fault_gfn == gfn))
		s = next_stage(m);
	assert_int_equal(s.reason, STOP_FAULT_STAGE);
	return s;
}

static struct stop until_page(struct machine *m, uint64_t gfn)
{
	return on_to_page(m, go(m, RUN_CONTINUE), gfn);
}

static void ends_as_ever(struct machine *m)
{
	struct stop s = go(m, RUN_CONTINUE);

	assert_int_equal(s.reason, STOP_EXCEPTION);
	assert_int_equal(s.vector, 14);
	assert_int_equal(s.cr2, 0x300000);
	assert_int_equal(read64(m, 0x40000), STORED + 1);
}

/* Are tables by gpa here, so that faults are KVM's own? Without a look into the kernel nobody knows, and nobody asks. */
static bool is_by_gpa(struct machine *m)
{
	struct spte_list l = {0};

	if (!machine_can(m, MACHINE_CAP_SHADOW, NULL))
		return false;
	ok(machine_sptes(m, 0, 0, PAGE_OFFSET_MASK, &l, &e));
	bool yes = l.by_gpa;
	spte_list_free(&l);
	return yes;
}

/* The test is for hosts whose faults are those of shadow tables (tdp false), or of EPT and NPT. */
#define TOUR_WITH(m, tdp)                                                                                                   \
	TOUR(m);                                                                                                            \
	if (is_by_gpa(m) != (tdp)) {                                                                                        \
		printf("skip: guests have %s here\n", (tdp) ? "shadow tables" : "TDP's tables");                            \
		machine_destroy(m);                                                                                         \
		skip();                                                                                                     \
	}

/* ---- stages */

/* The first fault fetches the first instruction: its walk reads the four tables, then comes the page of code. The next one
 * is the store's, from the root again. */
static void live_stages(void **state)
{
	static const struct {
		uint64_t rip, gpa[5];
	} want[] = {{0x200000, {0x10000, 0x11000, 0x12000, 0x13000, 0x1000}},
		    {STORE, {0x10000, 0x11000, 0x12000, 0x13000, 0x40000}}};
	struct fault_stage_list l;
	struct trace *t = NULL;
	TOUR_WITH(m, false);

	(void)state;
	bool traced = !trace_open(&t, &e);
	trace_close(t);
	catch_all(m);
	struct stop s = go(m, RUN_CONTINUE);
	for (unsigned i = 0; i < 10; i++, s = next_stage(m)) {
		unsigned fault = i / 5, level = 4 - i % 5;
		/* without tracepoints a table is armed once */
		if (!traced && fault && level)
			continue;
		assert_int_equal(s.reason, STOP_FAULT_STAGE);
		assert_int_equal(s.fault, fault + 1);
		assert_int_equal(s.rip, want[fault].rip);
		assert_int_equal(s.stage, level ? STAGE_WALK : STAGE_PAGE);
		assert_int_equal(s.gpa, want[fault].gpa[i % 5]);
		assert_int_equal(s.slot, 0);
		assert_true(stands(m));
		assert_int_equal(machine_fault_stages(m, &l, &e), 0);
		const struct fault_stage *last = &l.v[l.n - 1];
		assert_true(last->live && last->gfn_known);
		assert_int_equal(last->gfn, want[fault].gpa[i % 5] >> 12);
		assert_int_equal(last->level, level);
		fault_stage_list_free(&l);
	}
	assert_int_equal(read64(m, 0x40000), STORED);
	machine_destroy(m);
}

/* Between live ones the tracepoints tell: in the kernel's order, with the fault that they belong to. */
static void recorded_stages(void **state)
{
	static const struct {
		enum stage stage;
		bool live;
		unsigned level;
	} want[] = {{STAGE_WALK, false, 4},	{STAGE_WALK, false, 3},	 {STAGE_WALK, false, 2}, {STAGE_WALK, false, 1},
		    {STAGE_ACCESSED, false, 0}, {STAGE_DIRTY, false, 0}, {STAGE_PAGE, true, 0},	 {STAGE_SPTE, false, 1}};
	struct fault_stage_list l;
	struct trace *t = NULL;
	unsigned k = 0;
	TOUR_WITH(m, false);

	(void)state;
	bool traced = !trace_open(&t, &e);
	trace_close(t);
	catch_gfn(m, 0x40);
	struct stop s = go(m, RUN_CONTINUE);
	assert_int_equal(s.reason, STOP_FAULT_STAGE);
	assert_int_equal(s.rip, STORE);
	assert_int_equal(s.gpa, 0x40000);
	assert_true(s.has_fault_gfn && s.fault_gfn == 0x40);
	unsigned fault = s.fault;
	s = next_stage(m);
	ok(machine_fault_stages(m, &l, &e));
	/* arming has taken the page's sptes away, and says so */
	assert_int_equal(l.v[0].stage, STAGE_ZAP);
	assert_int_equal(l.v[0].fault, 0);
	assert_int_equal(l.v[0].gfn, 0x40);
	assert_false(l.v[0].live);
	for (size_t i = 0; i < l.n; i++)
		if (l.v[i].fault == fault && k < ARRAY_LEN(want) && l.v[i].stage == want[k].stage &&
		    l.v[i].live == want[k].live && l.v[i].level == want[k].level)
			k++;
	for (size_t i = 0; !traced && i < l.n; i++)
		k += l.v[i].fault == fault && l.v[i].live ? ARRAY_LEN(want) : 0;
	assert_int_equal(k, ARRAY_LEN(want));
	fault_stage_list_free(&l);
	/* the other alias of the page faults as well */
	assert_int_equal(s.reason, traced ? STOP_FAULT_STAGE : STOP_EXCEPTION);
	machine_destroy(m);
}

/* With EPT and NPT each table that the processor's walk reads is a fault of its own, by gpa, and so is the page. */
static void tdp_live_stages(void **state)
{
	static const struct {
		uint64_t rip, gpa;
		unsigned level;
	} want[] = {{0x200000, 0x10000, 4}, {0x200000, 0x11000, 3}, {0x200000, 0x12000, 2},
		    {0x200000, 0x13000, 1}, {0x200000, 0x1000, 0},  {STORE, 0x40000, 0}};
	TOUR_WITH(m, true);

	(void)state;
	catch_all(m);
	struct stop s = go(m, RUN_CONTINUE);
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		if (i)
			s = next_stage(m);
		assert_int_equal(s.reason, STOP_FAULT_STAGE);
		assert_int_equal(s.fault, i + 1);
		assert_int_equal(s.rip, want[i].rip);
		assert_int_equal(s.gpa, want[i].gpa);
		assert_int_equal(s.stage, want[i].level ? STAGE_WALK : STAGE_PAGE);
		assert_true(stands(m));
	}
	assert_int_equal(read64(m, 0x40000), 0);
	ok(machine_fault_catch(m, NULL, 0, &e));
	ends_as_ever(m);
	machine_destroy(m);
}

/* What the tracepoints tell of one of them, and of none that nobody asks for; an alias of the page does not fault again. */
static void tdp_recorded_stages(void **state)
{
	static const struct {
		enum stage stage;
		bool live;
		unsigned level;
	} want[] = {{STAGE_FAULT, false, 0}, {STAGE_PAGE, true, 0}, {STAGE_PAGE, false, 1}, {STAGE_SPTE, false, 1}};
	struct fault_stage_list l;
	struct trace *t = NULL;
	unsigned k = 0, changes = 0;
	TOUR_WITH(m, true);

	(void)state;
	if (trace_open(&t, &e)) {
		printf("skip: %s\n", e.why);
		machine_destroy(m);
		skip();
	}
	trace_close(t);
	catch_gfn(m, 0x40);
	assert_int_equal(go(m, RUN_CONTINUE).reason, STOP_FAULT_STAGE);
	assert_int_equal(next_stage(m).reason, STOP_EXCEPTION);
	ok(machine_fault_stages(m, &l, &e));
	for (size_t i = 0; i < l.n; i++) {
		if (l.v[i].fault == 1 && k < ARRAY_LEN(want) && l.v[i].stage == want[k].stage &&
		    l.v[i].live == want[k].live && l.v[i].level == want[k].level)
			k++;
		assert_true(l.v[i].fault <= 1);
		changes += l.v[i].stage == STAGE_TDP_SPTE && l.v[i].gfn == 0x40;
		if (l.v[i].stage == STAGE_FAULT) {
			assert_true(l.v[i].gfn_known && l.v[i].gfn == 0x40);
			assert_non_null(strstr(l.v[i].detail, "write"));
			assert_non_null(strstr(l.v[i].detail, "for the page itself"));
		}
	}
	assert_int_equal(k, ARRAY_LEN(want));
	assert_int_equal(changes, 1);
	fault_stage_list_free(&l);
	machine_destroy(m);
}

/* Of level 1, that map the gfn. */
static size_t sptes_of(struct machine *m, uint64_t gfn)
{
	struct spte_list sptes = {0};
	struct rmap_list l = {0};

	if (is_by_gpa(m)) {
		ok(machine_sptes(m, 0, gfn << 12, gfn << 12 | PAGE_OFFSET_MASK, &sptes, &e));
		bool mapped = sptes.n && sptes.v[sptes.n - 1].leaf;
		spte_list_free(&sptes);
		return mapped;
	}
	ok(machine_rmap(m, gfn, &l, &e));
	size_t n = l.n ? l.v[0].n_sptes : 0;
	rmap_list_free(&l);
	return n;
}

/* Arming zaps what maps the page; the fault behind it puts the spte back. */
static void arming_zaps(void **state)
{
	struct plant p = {.id = 1, .kind = PLANT_EXEC, .addr = 0x200021};
	const char *why = NULL;
	TOUR(m);

	(void)state;
	if (!machine_can(m, MACHINE_CAP_RMAP, &why)) {
		printf("skip: %s\n", why);
		machine_destroy(m);
		skip();
	}
	ok(machine_plant(m, &p, &e));
	assert_int_equal(go(m, RUN_CONTINUE).reason, STOP_BREAKPOINT);
	ok(machine_unplant(m, 1, &e));
	assert_int_equal(sptes_of(m, 0x40), is_by_gpa(m) ? 1 : 2); /* two aliases; TDP knows none */
	catch_gfn(m, 0x40);
	assert_int_equal(sptes_of(m, 0x40), 0);
	ok(machine_fault_catch(m, NULL, 0, &e));
	ends_as_ever(m);
	machine_destroy(m);
}

/* ---- while parked */

static void looking(void **state)
{
	struct regs r;
	struct shadow_page_list pages;
	struct slot_info_list slots;
	struct mmio_info_list mmio;
	const char *why;
	TOUR(m);

	(void)state;
	bool kernel = machine_can(m, MACHINE_CAP_SHADOW, &why);
	catch_gfn(m, 0x40);
	assert_int_equal(go(m, RUN_CONTINUE).reason, STOP_FAULT_STAGE);
	ok(machine_get_regs(m, 0, REGS_ALL, &r, &e));
	assert_int_equal(r.cr3, 0x10000);
	assert_true(r.efer & EFER_LMA);
	if (kernel) {
		assert_int_equal(r.rip, STORE);
		assert_int_equal(r.gpr[RBX], 0x240000);
		assert_int_equal(r.gpr[RAX], STORED);
		ok(machine_shadow_pages(m, SHADOW_WITH_ENTRIES, &pages, &e));
		assert_true(pages.n >= 4);
		shadow_page_list_free(&pages);
		assert_int_equal(sptes_of(m, 0x40), 0);
		ok(machine_mmio(m, &mmio, &e));
		mmio_info_list_free(&mmio);
	}
	ok(machine_slot_list(m, &slots, &e));
	assert_true(slots.n >= 2);
	slot_info_list_free(&slots);
	assert_int_equal(read64(m, 0x40000), 0);
	assert_true(stands(m));
	machine_destroy(m);
}

static void refused(int rc, const char *what)
{
	assert_int_equal(rc, -EBUSY);
	assert_non_null(strstr(e.why, "vCPU 0 stands inside a fault"));
	if (!e.next[0] || !e.what[0])
		fail_msg("%s: half an error", what);
}

static void refusals(void **state)
{
	const struct slot_spec spec = {.id = 9, .gpa = 0x10000000, .size = 0x1000, .vis = SLOT_VIS_BOTH};
	struct slot_steps steps;
	uint64_t *bits, mine = 0x55;
	size_t n;
	struct regs r;
	TOUR(m);

	(void)state;
	catch_gfn(m, 0x40);
	assert_int_equal(go(m, RUN_CONTINUE).reason, STOP_FAULT_STAGE);
	ok(machine_get_regs(m, 0, REGS_GPR, &r, &e));
	refused(machine_set_regs(m, 0, REGS_GPR, &r, &e), "registers");
	refused(machine_write(m, 0x40008, false, &mine, sizeof(mine), &e), "memory");
	refused(machine_slot_add(m, &spec, &steps, &e), "slot add");
	refused(machine_slot_delete(m, 1, &steps, &e), "slot delete");
	refused(machine_slot_move(m, 1, 0x10000000, &steps, &e), "slot move");
	refused(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, &steps, &e), "slot flags");
	refused(machine_slot_dirty(m, 0, true, &bits, &n, &e), "dirty log");
	assert_true(stands(m));
	/* Still the same fault, and it can be finished. */
	for (struct stop s = go(m, RUN_CONTINUE);; s = go(m, RUN_CONTINUE)) {
		if (s.reason == STOP_FAULT_STAGE)
			continue;
		assert_int_equal(s.reason, STOP_EXCEPTION);
		break;
	}
	assert_int_equal(read64(m, 0x40000), STORED + 1);
	machine_destroy(m);
}

/* ---- out of it */

/* From whatever stage: the fault is abandoned, the instruction done once, by itself. */
static void step_gives_up(void **state)
{
	(void)state;
	for (unsigned stages = 0; stages < 6; stages++) {
		TOUR(m);
		struct stop s;

		catch_all(m);
		s = go(m, RUN_CONTINUE);
		for (unsigned i = 0; i < stages; i++)
			s = next_stage(m);
		assert_int_equal(s.reason, STOP_FAULT_STAGE);
		uint64_t from = s.rip;
		assert_int_equal(from, stages < 5 ? 0x200000 : STORE);
		s = go(m, RUN_STEP);
		assert_int_equal(s.reason, STOP_STEP);
		assert_int_equal(s.rip, from == STORE ? 0x200012 : 0x20000a);
		assert_false(stands(m));
		assert_int_equal(read64(m, 0x40000), from == STORE ? STORED : 0);
		machine_destroy(m);
	}
}

/* Giving up the catch: out without the instruction, which runs as ever afterwards. */
static void catch_dropped(void **state)
{
	struct regs r;
	TOUR(m);

	(void)state;
	catch_all(m);
	struct stop s = until_page(m, 0x40);
	assert_int_equal(s.rip, STORE);
	ok(machine_fault_catch(m, NULL, 0, &e));
	assert_false(stands(m));
	ok(machine_get_regs(m, 0, REGS_GPR, &r, &e));
	assert_int_equal(r.rip, STORE);
	assert_int_equal(read64(m, 0x40000), 0);
	ends_as_ever(m);
	machine_destroy(m);
}

/* Another filter while parked: out of the first, into the second. */
static void another_filter(void **state)
{
	TOUR(m);

	(void)state;
	catch_gfn(m, 0x40);
	assert_int_equal(go(m, RUN_CONTINUE).gpa, 0x40000);
	catch_gfn(m, 0x81);
	assert_false(stands(m));
	struct stop s = until_page(m, 0x81);
	assert_int_equal(s.gpa, 0x81000);
	assert_int_equal(read64(m, 0x40000), STORED + 1);
	machine_destroy(m);
}

static void *interrupter(void *arg)
{
	struct machine *m = arg;

	while (!machine_running(m))
		;
	machine_interrupt(m);
	return NULL;
}

/* Interrupted in the loop, with pages still armed: no stage, no vCPU left behind. */
static void interrupted(void **state)
{
	struct regs r;
	pthread_t t;
	TOUR(m);

	(void)state;
	catch_gfn(m, 0x81);
	assert_int_equal(pthread_create(&t, NULL, interrupter, m), 0);
	struct stop s = go(m, RUN_CONTINUE);
	pthread_join(t, NULL);
	assert_true(s.reason == STOP_INTERRUPTED || s.reason == STOP_FAULT_STAGE);
	if (s.reason == STOP_INTERRUPTED)
		s = go(m, RUN_CONTINUE);
	s = on_to_page(m, s, 0x81);
	assert_int_equal(s.gpa, 0x81000);
	ok(machine_get_regs(m, 0, REGS_GPR, &r, &e));
	machine_destroy(m);
}

/* ---- nothing stays */

static unsigned entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	for (struct dirent *f; d && (f = readdir(d));)
		n++;
	if (d)
		closedir(d);
	return n;
}

static unsigned userfaults(void)
{
	char line[512];
	unsigned n = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	/* uw, ui: a mapping registered for write protection, for minor faults */
	while (f && fgets(line, sizeof(line), f))
		n += !strncmp(line, "VmFlags:", 8) && (strstr(line, " ui") || strstr(line, " uw"));
	if (f)
		fclose(f);
	return n;
}

static void destroyed_while_parked(void **state)
{
	TOUR(first);

	(void)state;
	machine_destroy(first);
	unsigned files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
	for (unsigned i = 0; i < 3; i++) {
		struct machine *m = tour(1);

		catch_all(m);
		assert_int_equal(go(m, RUN_CONTINUE).reason, STOP_FAULT_STAGE);
		assert_true(userfaults() > 0);
		for (unsigned k = 0; k < 2 * i; k++)
			(void)next_stage(m);
		assert_true(stands(m));
		machine_destroy(m);
		assert_int_equal(userfaults(), 0);
		assert_int_equal(entries("/proc/self/task"), threads);
		assert_int_equal(entries("/proc/self/fd"), files);
	}
}

static void dropped_leaves_nothing(void **state)
{
	TOUR(m);

	(void)state;
	catch_all(m);
	assert_int_equal(go(m, RUN_CONTINUE).reason, STOP_FAULT_STAGE);
	ok(machine_fault_catch(m, NULL, 0, &e));
	assert_int_equal(userfaults(), 0);
	struct slot_steps steps;
	ok(machine_slot_flags(m, 1, 0, SLOT_READONLY, 0, &steps, &e));
	ends_as_ever(m);
	machine_destroy(m);
}

static void bad_input(void **state)
{
	const struct fault_filter nowhere = {.first = 0xd0000, .last = 0xd0000};
	struct stop s;
	TOUR(m);

	(void)state;
	assert_int_equal(machine_fault_step(m, &s, &e), -EINVAL);
	assert_int_equal(machine_fault_catch(m, &nowhere, 1, &e), -EFAULT);
	assert_non_null(strstr(e.why, "no slot"));
	assert_int_equal(userfaults(), 0);
	ends_as_ever(m);
	machine_destroy(m);
}

/* 512 GiB out of three tables: where what is mapped now is armed, that takes as long as there are entries, and not the 2^27
 * pages that they come to. */
static void a_range_is_armed_by_table(void **state)
{
	const struct fault_filter range = {.gva = true, .first = 0x8000000000, .last = 0xffffffffff};
	TOUR(m);

	(void)state;
	for (uint64_t table = 0x30000; table <= 0x32000; table += 0x1000)
		for (unsigned i = 0; i < 512; i++) {
			uint64_t entry = (table == 0x32000 ? 0x50000 : table + 0x1000) | 7;
			ok(machine_write(m, table + 8 * i, false, &entry, sizeof(entry), &e));
		}
	ok(machine_write(m, 0x10008, false, &(uint64_t){0x30007}, 8, &e));
	ok(machine_fault_catch(m, &range, 1, &e));
	ends_as_ever(m);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(live_stages),
	    cmocka_unit_test(recorded_stages),
	    cmocka_unit_test(tdp_live_stages),
	    cmocka_unit_test(tdp_recorded_stages),
	    cmocka_unit_test(arming_zaps),
	    cmocka_unit_test(looking),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(step_gives_up),
	    cmocka_unit_test(catch_dropped),
	    cmocka_unit_test(another_filter),
	    cmocka_unit_test(interrupted),
	    cmocka_unit_test(bad_input),
	    cmocka_unit_test(destroyed_while_parked),
	    cmocka_unit_test(dropped_leaves_nothing),
	    cmocka_unit_test(a_range_is_armed_by_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
