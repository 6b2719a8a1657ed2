/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine's wrapper over the fake backend: arguments, run state, parked vCPUs and capabilities asked once for all;
 * guest memory by both kinds of address; host addresses; stale MMIO caches. Slots are in test_machine_slots.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/fake.h"

#define P PTE_P
#define W PTE_W
#define U PTE_U

static struct err e;

static int setup(void **state)
{
	memset(&e, 0, sizeof(e));
	*state = fake_create(2);
	return 0;
}

static int teardown(void **state)
{
	machine_destroy(*state);
	return 0;
}

static void why_has(const char *words)
{
	if (!strstr(e.why, words))
		fail_msg("'%s' is not in '%s'", words, e.why);
	assert_string_not_equal(e.what, "");
	assert_string_not_equal(e.next, "");
}

static void put8(struct machine *m, uint64_t gpa, uint64_t v)
{
	assert_int_equal(machine_write(m, gpa, false, &v, 8, &e), 0);
}

/* 64 KiB at 0 with tables at 0x1000 to 0x4000, 4 KiB READONLY at 0x20000; gva 0x200000 + n * 4 KiB is entry n. */
static void long_mode(struct machine *m, unsigned cpl)
{
	fake_add_slot(m, 0, 0, 0x10000, 0);
	fake_add_slot(m, 1, 0x20000, 0x1000, SLOT_READONLY);
	put8(m, 0x1000, 0x2000 | P | W | U);
	put8(m, 0x2000, 0x3000 | P | W | U);
	put8(m, 0x3008, 0x4000 | P | W | U);
	put8(m, 0x4000, 0x8000 | P | W | U);
	put8(m, 0x4008, 0x9000 | P | U);
	put8(m, 0x4010, 0xd0000000 | P | W | U);
	put8(m, 0x4018, 0x20000 | P | W | U);
	put8(m, 0x4020, 0xb000 | P | W | U);
	fake_enter_long(m, 0, cpl, 0x1000, 0x200000);
	fake_of(m)->wrotes = 0;
}

static void test_create(void **state)
{
	struct machine *m = (struct machine *)1;
	struct machine_config cfg = {.vcpus = 0};

	(void)state;
	assert_int_equal(machine_create(&fake_ops, &cfg, &m, &e), -EINVAL);
	cfg.vcpus = 65;
	assert_int_equal(machine_create(&fake_ops, &cfg, &m, &e), -EINVAL);
	why_has("1 to 64");
	assert_ptr_equal(m, (struct machine *)1);
	cfg.vcpus = 64;
	assert_int_equal(machine_create(&fake_ops, &cfg, &m, &e), 0);
	assert_int_equal(machine_vcpus(m), 64);
	assert_string_equal(machine_backend(m), "fake");
	assert_int_equal(machine_slots(m)->n, 0);
	assert_int_equal(machine_slots(m)->limits.max_slots, 32764);
	assert_non_null(machine_keys(m));
	assert_non_null(board_window_at(machine_board(m), 0xd0000000));
	assert_false(machine_running(m));
	machine_destroy(m);
	machine_destroy(NULL);
}

static int fail_create(const struct machine_config *cfg, struct machine **out, struct err *err)
{
	(void)cfg;
	(void)out;
	return err_set(err, -EACCES, "open /dev/kvm" WHY "no");
}

static void test_create_fails(void **state)
{
	struct machine_ops ops = fake_ops;
	struct machine_config cfg = {.vcpus = 1};
	struct machine *m = NULL;

	(void)state;
	ops.create = fail_create;
	assert_int_equal(machine_create(&ops, &cfg, &m, &e), -EACCES);
	assert_string_equal(e.what, "open /dev/kvm");
	assert_null(m);
}

static void test_vcpu_range(void **state)
{
	struct machine *m = *state;
	struct regs r = {0};
	struct xlate_env env;
	struct stop stop;
	struct spte_list sptes;
	struct guest_fault f = {.present = true, .vector = 14};
	struct memop op = {0};
	struct memop_result res;
	uint32_t smbase;
	uint8_t b;

	assert_int_equal(machine_get_regs(m, 2, REGS_GPR, &r, &e), -EINVAL);
	why_has("this VM has 2");
	assert_int_equal(machine_set_regs(m, 2, REGS_GPR, &r, &e), -EINVAL);
	assert_int_equal(machine_run(m, RUN_CONTINUE, 2, 1, &stop, &e), -EINVAL);
	assert_int_equal(machine_inject(m, 2, &f, &e), -EINVAL);
	assert_int_equal(machine_smi(m, 2, &e), -EINVAL);
	assert_int_equal(machine_smbase(m, 2, &smbase, &e), -EINVAL);
	assert_int_equal(machine_env(m, 2, &env, &e), -EINVAL);
	assert_int_equal(machine_memop(m, 2, &op, &res, &e), -EINVAL);
	assert_int_equal(machine_sptes(m, 2, 0, 1, &sptes, &e), -EINVAL);
	assert_int_equal(machine_read_gva(m, 2, 0, &b, 1, &e), -EINVAL);
	assert_int_equal(machine_write_gva(m, ~0u, 0, &b, 1, &e), -EINVAL);
	assert_int_equal(machine_get_regs(m, 1, REGS_GPR, &r, &e), 0);
	assert_int_equal(fake_of(m)->runs, 0);
}

static void test_regs(void **state)
{
	struct machine *m = *state;
	struct regs r;

	assert_int_equal(machine_get_regs(m, 0, REGS_ALL, &r, &e), 0);
	r.gpr[RBX] = 0x1234;
	assert_int_equal(machine_set_regs(m, 0, REGS_GPR, &r, &e), 0);
	assert_int_equal(fake_of(m)->regs[0].gpr[RBX], 0x1234);
	assert_int_equal(fake_of(m)->regs[1].gpr[RBX], 0);
	assert_int_equal(machine_set_regs(m, 0, 1 << 6, &r, &e), -EINVAL);
	assert_int_equal(machine_get_regs(m, 0, ~0u, &r, &e), -EINVAL);
}

static void test_inject(void **state)
{
	struct machine *m = *state;
	struct guest_fault f = {.present = true, .vector = 32};

	assert_int_equal(machine_inject(m, 0, &f, &e), -EINVAL);
	f = (struct guest_fault){.vector = 14};
	assert_int_equal(machine_inject(m, 0, &f, &e), -EINVAL);
	f = (struct guest_fault){.present = true, .vector = 13, .has_error = true, .error_code = 8};
	assert_int_equal(machine_inject(m, 1, &f, &e), 0);
	assert_int_equal(fake_of(m)->injected[1].error_code, 8);
}

/* What is tried while the guest runs (from within the fake's run). */
static void busy_while_running(struct machine *m, void *arg)
{
	struct slot_spec spec = {.id = 9, .gpa = 0x100000, .size = 0x1000};
	struct plant p = {.id = 1, .kind = PLANT_EXEC};
	struct guest_fault f = {.present = true, .vector = 6};
	struct regs r = {.valid = REGS_ALL};
	struct stop stop;
	uint64_t *bits;
	size_t n;

	assert_true(machine_running(m));
	assert_int_equal(machine_run(m, RUN_STEP, 0, 1, &stop, &e), -EBUSY);
	why_has("the guest is running");
	assert_int_equal(machine_fault_step(m, &stop, &e), -EBUSY);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EBUSY);
	assert_int_equal(machine_slot_delete(m, 0, NULL, &e), -EBUSY);
	assert_int_equal(machine_slot_move(m, 0, 0x100000, NULL, &e), -EBUSY);
	assert_int_equal(machine_slot_flags(m, 0, SLOT_READONLY, 0, 0, NULL, &e), -EBUSY);
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), -EBUSY);
	assert_int_equal(machine_set_regs(m, 0, REGS_GPR, &r, &e), -EBUSY);
	assert_int_equal(machine_inject(m, 0, &f, &e), -EBUSY);
	assert_int_equal(machine_smi(m, 0, &e), -EBUSY);
	assert_int_equal(machine_reset(m, &e), -EBUSY);
	assert_int_equal(machine_plant(m, &p, &e), -EBUSY);
	assert_int_equal(machine_unplant(m, 1, &e), -EBUSY);
	assert_int_equal(machine_fault_catch(m, NULL, 0, &e), -EBUSY);
	machine_interrupt(m);
	*(bool *)arg = true;
}

static void test_run(void **state)
{
	struct machine *m = *state;
	struct stop stop;
	bool asked = false;

	fake_add_slot(m, 0, 0, 0x1000, SLOT_LOG_DIRTY);
	memset(&stop, 0xa5, sizeof(stop));
	assert_int_equal(machine_run(m, RUN_STEP, 0, 0, &stop, &e), -EINVAL);
	assert_int_equal((uint8_t)stop.note[0], 0xa5); /* untouched */
	fake_push_event(
	    m, &(struct fake_event){.stop = {.reason = STOP_STEP, .rip = 5}, .fn = busy_while_running, .arg = &asked});
	assert_int_equal(machine_run(m, RUN_STEP, 0, 1, &stop, &e), 0);
	assert_true(asked);
	assert_int_equal(stop.reason, STOP_STEP);
	assert_int_equal(stop.rip, 5);
	assert_false(machine_running(m));
	assert_int_equal(fake_of(m)->last_count, 1);
	/* What came when it had stopped by itself is not the next run's; what comes before it is. */
	machine_interrupt(m);
	assert_int_equal(machine_run(m, RUN_CONTINUE, 1, 0, &stop, &e), 0);
	assert_int_equal(stop.reason, STOP_INTERRUPTED);
	fake_of(m)->fail_op = "run";
	fake_of(m)->fail_code = -EIO;
	stop.reason = STOP_HLT;
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 0, &stop, &e), -EIO);
	assert_int_equal(stop.reason, STOP_HLT);
	assert_false(machine_running(m)); /* after an error too */
}

static struct machine *asker;

static bool yes_when_running(void)
{
	return machine_running(asker);
}

/* Who interrupts just before the guest starts is asked once more when machine_running() says so. */
static void test_asks_before_it_runs(void **state)
{
	struct machine *m = asker = *state;
	struct stop stop = {0};

	fake_push_event(m, &(struct fake_event){.stop = {.reason = STOP_STEP, .rip = 5}});
	machine_ask_interrupted(m, yes_when_running);
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 0, &stop, &e), 0);
	assert_int_equal(stop.reason, STOP_INTERRUPTED);
	machine_ask_interrupted(m, NULL);
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 0, &stop, &e), 0);
	assert_int_equal(stop.rip, 5);
}

static void test_parked(void **state)
{
	struct machine *m = *state;
	struct slot_spec spec = {.id = 9, .gpa = 0x100000, .size = 0x1000};
	struct guest_fault f = {.present = true, .vector = 6};
	struct memop op = {.op = MEMOP_ABSOLUTE_READ, .gva = 0, .size = 1};
	struct memop_result res;
	struct stop stop;
	struct regs r;
	uint64_t *bits;
	size_t n;
	unsigned vcpu = 77;
	uint8_t b = 1;

	fake_add_slot(m, 0, 0, 0x1000, SLOT_LOG_DIRTY);
	assert_false(machine_parked(m, &vcpu));
	assert_int_equal(vcpu, 77);
	fake_park(m, 1);
	assert_true(machine_parked(m, &vcpu));
	assert_true(machine_parked(m, NULL));
	assert_int_equal(vcpu, 1);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EBUSY);
	why_has("vCPU 1 stands inside a fault");
	assert_int_equal(machine_slot_delete(m, 0, NULL, &e), -EBUSY);
	assert_int_equal(machine_slot_flags(m, 0, 0, SLOT_LOG_DIRTY, 0, NULL, &e), -EBUSY);
	assert_int_equal(machine_slot_dirty(m, 0, true, &bits, &n, &e), -EBUSY);
	assert_int_equal(machine_get_regs(m, 0, REGS_GPR, &r, &e), 0);
	assert_int_equal(machine_set_regs(m, 0, REGS_GPR, &r, &e), -EBUSY);
	assert_int_equal(machine_inject(m, 0, &f, &e), -EBUSY);
	assert_int_equal(machine_smi(m, 0, &e), -EBUSY);
	assert_int_equal(machine_reset(m, &e), -EBUSY);
	assert_int_equal(machine_write(m, 0, false, &b, 1, &e), -EBUSY);
	assert_int_equal(machine_write_gva(m, 0, 0, &b, 1, &e), -EBUSY);
	op.buf = &b;
	assert_int_equal(machine_memop(m, 0, &op, &res, &e), 0);
	assert_int_equal(b, 0); /* what is there: nothing was written */
	op.op = MEMOP_ABSOLUTE_WRITE;
	assert_int_equal(machine_memop(m, 0, &op, &res, &e), -EBUSY);
	op.flags = MEMOP_CHECK_ONLY;
	assert_int_equal(machine_memop(m, 0, &op, &res, &e), 0);
	/* Looking and going on work. */
	assert_int_equal(machine_slot_dirty(m, 0, false, &bits, &n, &e), 0);
	free(bits);
	fake_push_step(m, 1, 3);
	assert_int_equal(machine_fault_step(m, &stop, &e), 0);
	assert_int_equal(machine_run(m, RUN_CONTINUE, 0, 1, &stop, &e), 0);
	fake_of(m)->filter_set = true;
}

static void test_capabilities(void **state)
{
	struct machine *m = *state;
	struct shadow_page_list pages;
	struct root_list roots;
	struct spte_list sptes;
	struct rmap_list rmaps;
	struct rmap_histogram_list hist;
	struct mmio_info_list mmio;
	struct fault_stage_list stages;
	struct plant p = {.id = 1, .kind = PLANT_WRITE, .addr = 0x1000, .len = 8};
	struct stop stop;
	uint64_t hpa;
	const char *why = NULL;

	assert_true(machine_can(m, MACHINE_CAP_SHADOW, &why));
	assert_null(why);
	for (int cap = MACHINE_CAP_SHADOW; cap < MACHINE_CAP_COUNT; cap++)
		fake_of(m)->no_cap[cap] = true;
	assert_false(machine_can(m, MACHINE_CAP_SHADOW, &why));
	assert_string_equal(why, "the fake machine was told not to");
	assert_false(machine_can(m, MACHINE_CAP_HPA, NULL));
	assert_int_equal(machine_shadow_pages(m, 0, &pages, &e), -ENOTSUP);
	why_has("not supported by this backend (fake), because the fake machine was told not to");
	assert_int_equal(machine_roots(m, &roots, &e), -ENOTSUP);
	assert_int_equal(machine_sptes(m, 0, 0, 1, &sptes, &e), -ENOTSUP);
	assert_int_equal(machine_rmap(m, 0, &rmaps, &e), -ENOTSUP);
	assert_int_equal(machine_rmap_all(m, &rmaps, &e), -ENOTSUP);
	assert_int_equal(machine_rmap_histogram(m, &hist, &e), -ENOTSUP);
	assert_int_equal(machine_mmio(m, &mmio, &e), -ENOTSUP);
	assert_int_equal(machine_fault_catch(m, NULL, 0, &e), -ENOTSUP);
	assert_int_equal(machine_fault_step(m, &stop, &e), -ENOTSUP);
	assert_int_equal(machine_fault_stages(m, &stages, &e), -ENOTSUP);
	assert_int_equal(machine_hpa(m, 0, false, &hpa, &e), -ENOTSUP);
	assert_int_equal(machine_plant(m, &p, &e), -ENOTSUP);
	p.kind = PLANT_EXEC;
	assert_int_equal(machine_plant(m, &p, &e), 0);
}

/* A backend without the optional operations: one typed answer each, never a crash. */
static void test_optional_operations(void **state)
{
	struct machine_ops ops = fake_ops;
	struct machine_config cfg = {.vcpus = 1};
	struct machine *m;
	struct shadow_page_list pages;
	struct slot_info_list slots;
	struct stop stop;
	struct memop op = {.op = MEMOP_ABSOLUTE_READ, .flags = MEMOP_CHECK_ONLY, .size = 1};
	struct memop_result res;
	uint64_t hpa;

	(void)state;
	ops.facts = NULL;
	ops.slot_list = NULL;
	ops.hpa = NULL;
	ops.walk_lock = NULL;
	ops.walk_unlock = NULL;
	ops.looks = NULL;
	ops.fault_catch = NULL;
	assert_int_equal(machine_create(&ops, &cfg, &m, &e), 0);
	assert_int_equal(machine_facts(m, NULL, NULL, &e), 0);
	assert_int_equal(machine_shadow_pages(m, 0, &pages, &e), -ENOTSUP);
	why_has("it does not have this operation");
	assert_int_equal(machine_hpa(m, 0, false, &hpa, &e), -ENOTSUP);
	assert_false(machine_parked(m, NULL));
	assert_int_equal(machine_fault_step(m, &stop, &e), -ENOTSUP);
	fake_add_slot(m, 3, 0x1000, 0x1000, 0);
	fake_add_slot(m, 1, 0x2000, 0x1000, SLOT_READONLY);
	assert_int_equal(machine_slot_list(m, &slots, &e), 0);
	assert_int_equal(slots.n, 2);
	assert_int_equal(slots.v[0].id, 1);
	assert_int_equal(slots.v[0].flags, SLOT_READONLY);
	assert_int_equal(slots.v[1].gpa, 0x1000);
	assert_int_equal(slots.v[1].generation, 2);
	assert_int_equal(slots.v[1].source, SOURCE_SOFT);
	slot_info_list_free(&slots);
	op.gva = 0x1000;
	assert_int_equal(machine_memop(m, 0, &op, &res, &e), 0);
	machine_destroy(m);
}

static void test_bad_arguments(void **state)
{
	struct machine *m = *state;
	struct fault_filter f = {.first = 2, .last = 1};
	struct spte_list sptes;
	struct shadow_page_list pages;
	struct plant p = {.id = 1, .kind = PLANT_WRITE, .addr = 0x1000};

	assert_int_equal(machine_sptes(m, 0, 2, 1, &sptes, &e), -EINVAL);
	assert_int_equal(machine_shadow_pages(m, 8, &pages, &e), -EINVAL);
	assert_int_equal(machine_fault_catch(m, &f, 1, &e), -EINVAL);
	f.all = true;
	assert_int_equal(machine_fault_catch(m, &f, 1, &e), 0);
	assert_int_equal(machine_fault_catch(m, NULL, 0, &e), 0);
	assert_false(fake_of(m)->filter_set);
	assert_int_equal(machine_catch(m, 1 << 6, &e), -EINVAL);
	assert_int_equal(machine_catch(m, CATCH_MMIO | CATCH_SMI, &e), 0);
	assert_int_equal(fake_of(m)->catch_events, CATCH_MMIO | CATCH_SMI);
	assert_int_equal(machine_plant(m, &p, &e), -EINVAL); /* length 0 */
	p.len = 8;
	p.addr = ~0ull;
	assert_int_equal(machine_plant(m, &p, &e), -EINVAL);
	p.kind = PLANT_EXEC;
	p.phys = true;
	assert_int_equal(machine_plant(m, &p, &e), -EINVAL);
	p.phys = false;
	assert_int_equal(machine_plant(m, &p, &e), 0);
	assert_string_equal(p.how, "soft");
	assert_int_equal(machine_unplant(m, 1, &e), 0);
}

static void test_reset(void **state)
{
	struct machine *m = *state;

	fake_add_slot(m, 0, 0, 0x1000, 0);
	machine_board(m)->exit_code = 5;
	machine_board(m)->post = 3;
	fake_of(m)->regs[1].rip = 7;
	assert_int_equal(machine_reset(m, &e), 0);
	assert_int_equal(fake_of(m)->regs[1].rip, 0xfff0);
	assert_int_equal(machine_board(m)->post, 0);
	assert_int_equal(machine_slots(m)->n, 1);
}

/* ---- memory */

static void test_physical(void **state)
{
	struct machine *m = *state;
	uint8_t buf[0x2000], back[0x2000];
	size_t len = 0;

	fake_add_slot(m, 0, 0, 0x10000, 0);
	fake_add_slot(m, 1, 0x10000, 0x1000, SLOT_READONLY | SLOT_LOG_DIRTY);
	memset(buf, 0x42, sizeof(buf));
	assert_int_equal(machine_write(m, 0xf800, false, buf, 0x1000, &e), 0); /* across, into READONLY */
	assert_int_equal(fake_of(m)->wrotes, 2);			       /* told slot by slot */
	assert_int_equal(fake_of(m)->wrote_gpa, 0x10000);
	assert_int_equal(fake_of(m)->wrote_len, 0x800);
	assert_int_equal(slot_by_id(machine_slots(m), 1)->dirty[0][0], 0); /* the debugger's write is not the guest's */
	assert_int_equal(machine_read(m, 0xf800, false, back, 0x1000, &e), 0);
	assert_memory_equal(buf, back, 0x1000);
	assert_int_equal(machine_write(m, 0x10800, false, buf, 0x1000, &e), -EFAULT);
	assert_int_equal(e.addr, 0x11000);
	assert_int_equal(fake_of(m)->wrotes, 2);
	const uint8_t *p = machine_peek(m, 0x10100, false, &len);
	assert_ptr_equal(p, slot_by_id(machine_slots(m), 1)->alias + 0x100);
	assert_int_equal(len, 0xf00);
	assert_null(machine_peek(m, 0x11000, false, &len));
	assert_int_equal(len, 0xf00);
	fake_of(m)->fail_op = "wrote";
	fake_of(m)->fail_code = -EIO;
	assert_int_equal(machine_write(m, 0, false, buf, 1, &e), -EIO);
}

static void test_peek_at_a_file_cut_short(void **state)
{
	struct machine *m = *state;
	FILE *f = tmpfile();
	struct slot *s;
	size_t len = 0;

	fake_add_slot(m, 0, 0, 0x3000, SLOT_READONLY);
	s = slot_by_id(machine_slots(m), 0);
	s->file_backed = true;
	s->fd = fileno(f);
	assert_int_equal(ftruncate(s->fd, 0x1800), 0);
	assert_non_null(machine_peek(m, 0x1000, false, &len));
	assert_int_equal(len, 0x800);
	assert_null(machine_peek(m, 0x1800, false, &len));
	assert_null(machine_peek(m, 0x2000, false, &len));
	fclose(f);
}

static void test_gva(void **state)
{
	struct machine *m = *state;
	uint8_t buf[0x1000], back[0x1000];

	long_mode(m, 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 3);
	/* Through a writable and a readonly page, and user pages with SMAP: it is the debugger. */
	fake_of(m)->regs[0].cr4 |= CR4_SMAP;
	assert_int_equal(machine_write_gva(m, 0, 0x200800, buf, sizeof(buf), &e), 0);
	assert_int_equal(fake_of(m)->wrotes, 1); /* both pages in one run */
	assert_int_equal(machine_read(m, 0x8800, false, back, sizeof(back), &e), 0);
	assert_memory_equal(buf, back, sizeof(buf));
	memset(back, 0, sizeof(back));
	assert_int_equal(machine_read_gva(m, 0, 0x200800, back, sizeof(back), &e), 0);
	assert_memory_equal(buf, back, sizeof(buf));
	assert_int_equal(machine_write_gva(m, 0, 0x203000, buf, 8, &e), 0); /* READONLY slot */
	/* Not memory, not mapped: named, and nothing written. */
	assert_int_equal(machine_write_gva(m, 0, 0x201ffe, buf, 8, &e), -EFAULT);
	assert_non_null(strstr(e.what, "gva 0x202000"));
	assert_int_equal(machine_read(m, 0x9ffe, false, back, 2, &e), 0);
	assert_int_equal(back[0], 0);
	assert_int_equal(machine_read_gva(m, 0, 0x205000, back, 1, &e), -EFAULT);
	assert_int_equal(e.addr, 0x205000);
	why_has("not present");
	assert_int_equal(machine_read_gva(m, 1, 0x8800, back, 4, &e), 0); /* the other vCPU has no paging */
	assert_memory_equal(buf, back, 4);
	uint64_t entry;
	assert_int_equal(machine_read(m, 0x4000, false, &entry, 8, &e), 0);
	assert_int_equal(entry & (PTE_A | PTE_D), 0);
}

static void test_env(void **state)
{
	struct machine *m = *state;
	struct xlate_env env;

	long_mode(m, 0);
	m->maxphyaddr = 40;
	m->no_gbpages = true;
	assert_int_equal(machine_env(m, 0, &env, &e), 0);
	assert_int_equal(env.pg.mode, PAGING_4LEVEL);
	assert_int_equal(env.pg.cr3, 0x1000);
	assert_int_equal(env.pg.maxphyaddr, 40);
	assert_false(env.pg.gbpages);
	assert_false(env.side_effects);
	assert_ptr_equal(env.slots, machine_slots(m));
	assert_ptr_equal(env.board, machine_board(m));
	assert_int_equal(env.pg.pkru, 0);
	fake_of(m)->regs[0].pkru = 0x55;
	fake_of(m)->regs[0].cr4 |= CR4_PKE;
	assert_int_equal(machine_env(m, 0, &env, &e), 0);
	assert_int_equal(env.pg.pkru, 0x55);
	fake_of(m)->regs[0].smm = true;
	assert_int_equal(machine_env(m, 0, &env, &e), 0);
	assert_true(env.smm);
}

static void test_memop(void **state)
{
	struct machine *m = *state;
	uint64_t v = 0x1122334455667788;
	struct memop op = {.op = MEMOP_LOGICAL_WRITE, .gva = 0x200000, .size = 8, .buf = &v};
	struct memop_result res;

	long_mode(m, 3);
	assert_int_equal(machine_memop(m, 0, &op, &res, &e), 0);
	assert_int_equal(res.status, 0);
	assert_int_equal(fake_of(m)->locks, 1);
	assert_int_equal(fake_of(m)->unlocks, 1);
	assert_int_equal(fake_of(m)->wrotes, 1);
	assert_int_equal(fake_of(m)->wrote_gpa, 0x8000);
	op.gva = 0x201000;
	op.flags = MEMOP_INJECT;
	assert_int_equal(machine_memop(m, 0, &op, &res, &e), 0);
	assert_int_equal(res.status, 14);
	assert_int_equal(res.fault.error_code, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	assert_int_equal(fake_of(m)->injected[0].address, 0x201000);
	assert_int_equal(fake_of(m)->locks, fake_of(m)->unlocks);
}

static void test_host_addresses(void **state)
{
	struct machine *m = *state;
	uint64_t a = 0;

	fake_add_slot(m, 0, 0x10000, 0x1000, 0);
	assert_int_equal(machine_hva(m, 0x10123, false, &a, &e), 0);
	assert_int_equal(a, slot_by_id(machine_slots(m), 0)->hva + 0x123);
	assert_int_equal(machine_hpa(m, 0x10123, false, &a, &e), 0);
	assert_int_equal(a, fake_of(m)->hpa_base + 0x10123);
	assert_int_equal(machine_hva(m, 0x20000, false, &a, &e), -EFAULT);
	assert_int_equal(machine_hpa(m, 0x20000, false, &a, &e), -EFAULT);
	assert_int_equal(a, fake_of(m)->hpa_base + 0x10123);
}

/* ---- MMIO */

static struct mmio_info ask_mmio(struct machine *m, struct mmio_info in)
{
	struct mmio_info_list l;
	struct mmio_info out;

	fake_of(m)->mmio = (struct mmio_info_list){.v = &in, .n = 1};
	assert_int_equal(machine_mmio(m, &l, &e), 0);
	assert_int_equal(l.n, 1);
	out = l.v[0];
	mmio_info_list_free(&l);
	return out;
}

static void test_mmio_stale(void **state)
{
	struct machine *m = *state;
	struct mmio_info in = {.gva = 0x202000, .gfn = 0xd0000, .access = 6, .valid = true}, i;

	long_mode(m, 3);
	i = ask_mmio(m, in);
	assert_false(i.stale);
	assert_string_equal(i.stale_why, "");
	in.stale = true; /* whatever the backend thinks, the wrapper decides */
	assert_false(ask_mmio(m, in).stale);
	put8(m, 0x4010, 0xd0001000 | P | W | U); /* remapped without a flush */
	i = ask_mmio(m, in);
	assert_true(i.stale);
	assert_string_equal(i.stale_why, "gva 0x202000 now maps gfn 0xd0001, not 0xd0000");
	put8(m, 0x4010, 0x8000 | P | W | U);
	assert_true(ask_mmio(m, in).stale);
	put8(m, 0x4010, 0);
	i = ask_mmio(m, in);
	assert_true(i.stale);
	assert_non_null(strstr(i.stale_why, "no longer translates: level 1 entry 0"));
	put8(m, 0x4010, 0xd0000000 | P | U);
	i = ask_mmio(m, in);
	assert_true(i.stale);
	assert_non_null(strstr(i.stale_why, "no longer writable"));
	in.access = 4;
	assert_false(ask_mmio(m, in).stale);
	put8(m, 0x4010, 0xd0000000 | P | W);
	i = ask_mmio(m, in);
	assert_non_null(strstr(i.stale_why, "no longer a user page"));
	put8(m, 0x4010, 0x8000 | P);
	in.valid = false; /* not current: nothing to be stale */
	assert_false(ask_mmio(m, in).stale);
}

static void test_mmio_memory_now(void **state)
{
	struct machine *m = *state;
	struct mmio_info in = {.gva = 0x202000, .gfn = 0xd0000, .access = 6, .valid = true}, i;

	long_mode(m, 3);
	fake_add_slot(m, 5, 0xd0000000, 0x1000, 0);
	i = ask_mmio(m, in);
	assert_true(i.stale);
	assert_string_equal(i.stale_why, "gfn 0xd0000 is memory now, slot 5");
	fake_of(m)->fail_op = "get_regs";
	fake_of(m)->fail_code = -EBUSY;
	i = ask_mmio(m, in);
	assert_false(i.stale);
	assert_non_null(strstr(i.stale_why, "not compared"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_create),
	    cmocka_unit_test(test_create_fails),
	    T(test_vcpu_range),
	    T(test_regs),
	    T(test_inject),
	    T(test_run),
	    T(test_asks_before_it_runs),
	    T(test_parked),
	    T(test_capabilities),
	    cmocka_unit_test(test_optional_operations),
	    T(test_bad_arguments),
	    T(test_reset),
	    T(test_physical),
	    T(test_peek_at_a_file_cut_short),
	    T(test_gva),
	    T(test_env),
	    T(test_memop),
	    T(test_host_addresses),
	    T(test_mmio_stale),
	    T(test_mmio_memory_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
