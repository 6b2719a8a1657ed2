/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The pipeline, stage by stage: at most two tlb entries, at most two I/O entries of the right kind, and nothing at all where
 * a stage before them refuses. Then long ranges for the debugger's own accesses.
 */
#include "tests/unit/xlate_guest.h"

#define USER ACCESS_USER

static struct xlate_tlb tlb(struct guest *g, uint64_t gva, uint32_t len, unsigned access, bool phys)
{
	struct xlate_tlb t;
	struct err e;

	memset(&t, 0xa5, sizeof(t));
	assert_int_equal(gva_to_tlb(&g->env, gva, len, access, phys, &t, &e), 0);
	return t;
}

static struct xlate_iolist io(struct guest *g, uint64_t gva, uint32_t len, unsigned access, bool phys)
{
	struct xlate_tlb t = tlb(g, gva, len, access, phys);
	struct xlate_iolist l;
	struct err e;

	assert_false(t.fault.present);
	assert_int_equal(tlb_to_io(&g->env, &t, access, false, &l, &e), 0);
	assert_int_equal(l.n, t.n);
	return l;
}

/* The whole way; the guest's fault where there is one. */
static struct guest_fault do_access(struct guest *g, uint64_t gva, void *data, uint32_t len, unsigned access)
{
	struct xlate_tlb t = tlb(g, gva, len, access, false);
	struct xlate_iolist l;
	struct err e;

	if (t.fault.present)
		return t.fault;
	assert_int_equal(tlb_to_io(&g->env, &t, access, false, &l, &e), 0);
	assert_int_equal(run_iolist(&g->env, &l, data, &e), 0);
	return t.fault;
}

static void test_one_page(void **state)
{
	struct guest *g = new_guest();
	struct xlate_tlb t = tlb(g, GVA(0) + 0x123, 8, ACCESS_READ, false);

	(void)state;
	assert_int_equal(t.n, 1);
	assert_int_equal(t.entry[0].gpa, 0x8123);
	assert_int_equal(t.entry[0].len, 8);
	assert_int_equal(t.walk.n, 4);
	t = tlb(g, GVA(0), 0x1000, ACCESS_READ, false); /* exactly a page */
	assert_int_equal(t.n, 1);
	assert_int_equal(t.entry[0].len, 0x1000);
	end_guest(g);
}

static void test_two_pages(void **state)
{
	struct guest *g = new_guest();

	(void)state;
	map(g, 1, 0xf000 | PTE_P | PTE_W); /* not next to the first */
	struct xlate_tlb t = tlb(g, GVA(0) + 0xffd, 8, ACCESS_READ, false);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.entry[0].gpa, 0x8ffd);
	assert_int_equal(t.entry[0].len, 3);
	assert_int_equal(t.entry[1].gpa, 0xf000);
	assert_int_equal(t.entry[1].len, 5);
	t = tlb(g, GVA(0), 0x2000, ACCESS_READ, false);
	assert_int_equal(t.n, 2);
	/* Within a large page too, no entry crosses 4 KiB. */
	put8(g, 0x3010, 0 | PTE_P | PTE_W | PTE_PS);
	t = tlb(g, 0x408ff0, 0x20, ACCESS_READ, false);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.entry[0].gpa, 0x8ff0);
	assert_int_equal(t.entry[0].len, 0x10);
	assert_int_equal(t.entry[1].gpa, 0x9000);
	end_guest(g);
}

static void refused(struct guest *g, uint64_t gva, uint32_t len, bool phys)
{
	struct xlate_tlb t = {.n = 77};
	struct err e = {0};

	assert_int_equal(gva_to_tlb(&g->env, gva, len, ACCESS_READ, phys, &t, &e), -EINVAL);
	assert_int_equal(t.n, 77); /* untouched */
	assert_int_equal(e.addr, gva);
	assert_true(e.why[0] && e.next[0]);
}

static void test_lengths_refused(void **state)
{
	struct guest *g = new_guest();

	(void)state;
	refused(g, GVA(0), 0, false);
	refused(g, GVA(0), 0x2001, false);
	refused(g, GVA(0) + 1, 0x2000, false);
	refused(g, GVA(0) + 0xfff, 0x1002, false);
	refused(g, ~0ull, 2, false);
	refused(g, ~0ull, 2, true);
	refused(g, 0x8000, 0, true);
	refused(g, GVA(0), ~0u, false);
	tlb(g, GVA(0) + 0xfff, 0x1001, ACCESS_READ, false);
	struct xlate_tlb t = tlb(g, ~0ull, 1, ACCESS_READ, false); /* the last byte is no wrap, merely not mapped */
	assert_int_equal(t.fault.vector, 14);
	end_guest(g);
}

static void test_phys(void **state)
{
	struct guest *g = new_guest();
	struct xlate_tlb t = tlb(g, 0xfffffffff, 2, ACCESS_WRITE, true);

	(void)state;
	assert_int_equal(t.n, 2);
	assert_int_equal(t.entry[0].gpa, 0xfffffffff);
	assert_int_equal(t.entry[1].gpa, 0x1000000000);
	assert_int_equal(t.walk.n, 0);
	end_guest(g);
}

static void test_fault_on_the_second_page(void **state)
{
	struct guest *g = new_guest();
	uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	(void)state;
	g->env.side_effects = true;
	map(g, 1, 0x9000 | PTE_P | PTE_U); /* the second page cannot be written */
	struct guest_fault f = do_access(g, GVA(0) + 0xffc, data, 8, ACCESS_WRITE | USER);
	assert_int_equal(f.vector, 14);
	assert_int_equal(f.error_code, PFERR_PRESENT | PFERR_WRITE | PFERR_USER);
	assert_int_equal(f.address, GVA(1)); /* of the second page, not of the access */
	/* Nothing happened: no byte, no accessed or dirty bit, no dirty page. */
	assert_int_equal(*(uint32_t *)ram(g, 0x8ffc), 0);
	assert_int_equal(at8(g, 0x4000) & (PTE_A | PTE_D), 0);
	assert_int_equal(at8(g, 0x1000) & PTE_A, 0);
	assert_false(is_dirty(g, 0x8000));
	assert_false(is_dirty(g, 0x4000));
	struct xlate_tlb t = tlb(g, GVA(0) + 0xffc, 8, ACCESS_WRITE | USER, false);
	assert_int_equal(t.n, 0);
	assert_int_equal(t.walk.step[3].gpa, 0x4008); /* the walk that decided */
	/* And on the first. */
	map(g, 0, 0);
	f = do_access(g, GVA(0) + 0xffc, data, 8, ACCESS_WRITE);
	assert_int_equal(f.address, GVA(0) + 0xffc);
	assert_int_equal(f.error_code, PFERR_WRITE);
	end_guest(g);
}

static void test_side_effects(void **state)
{
	struct guest *g = new_guest();
	uint64_t v = 0x1122334455667788, back = 0;

	(void)state;
	/* The debugger's access leaves no trace. */
	assert_false(do_access(g, GVA(0) + 0xffc, &v, 8, ACCESS_WRITE).present);
	assert_int_equal(*(uint32_t *)ram(g, 0x8ffc), 0x55667788);
	assert_int_equal(*(uint32_t *)ram(g, 0x9000), 0x11223344);
	assert_int_equal(at8(g, 0x4000) & (PTE_A | PTE_D), 0);
	for (uint64_t gpa = 0; gpa < 0x10000; gpa += 0x1000)
		assert_false(is_dirty(g, gpa));
	/* The guest's does. */
	g->env.side_effects = true;
	assert_false(do_access(g, GVA(0) + 0xffc, &back, 8, ACCESS_READ).present);
	assert_int_equal(back, v);
	assert_int_equal(at8(g, 0x4000) & (PTE_A | PTE_D), PTE_A);
	assert_true(is_dirty(g, 0x4000)); /* setting A is a write to the table */
	assert_false(is_dirty(g, 0x8000));
	assert_false(do_access(g, GVA(0) + 0xffc, &v, 8, ACCESS_WRITE).present);
	assert_int_equal(at8(g, 0x4008) & (PTE_A | PTE_D), PTE_A | PTE_D);
	assert_true(is_dirty(g, 0x8000) && is_dirty(g, 0x9000) && !is_dirty(g, 0xa000));
	end_guest(g);
}

static void test_kinds(void **state)
{
	struct guest *g = new_guest();
	struct xlate_iolist l = io(g, 0x8123, 4, ACCESS_WRITE, true);

	(void)state;
	assert_int_equal(l.n, 1);
	assert_true(l.write);
	assert_int_equal(l.io[0].kind, IO_RAM);
	assert_int_equal(l.io[0].slot->id, 0);
	assert_int_equal(l.io[0].page, 8);
	assert_int_equal(l.io[0].offset, 0x123);
	assert_int_equal(l.io[0].len, 4);
	l = io(g, 0x12004, 8, ACCESS_READ, true);
	assert_int_equal(l.io[0].kind, IO_RAM); /* reads of READONLY are memory */
	assert_int_equal(l.io[0].slot->id, 1);
	assert_int_equal(l.io[0].page, 2);
	l = io(g, 0x12004, 8, ACCESS_FETCH, true);
	assert_int_equal(l.io[0].kind, IO_RAM);
	l = io(g, 0x12004, 8, ACCESS_WRITE, true);
	assert_int_equal(l.io[0].kind, IO_ROM); /* writes are not */
	assert_int_equal(l.io[0].slot->id, 1);
	l = io(g, 0xd0000004, 4, ACCESS_READ, true);
	assert_int_equal(l.io[0].kind, IO_DEVICE);
	assert_string_equal(l.io[0].device, "scratch");
	assert_null(l.io[0].slot);
	assert_int_equal(l.io[0].page, 0xd0000);
	l = io(g, 0xd0001000, 4, ACCESS_WRITE, true);
	assert_int_equal(l.io[0].kind, IO_MMIO);
	assert_null(l.io[0].slot);
	assert_null(l.io[0].device);
	g->env.board = NULL;
	assert_int_equal(io(g, 0xd0000004, 4, ACCESS_READ, true).io[0].kind, IO_MMIO);
	assert_string_equal(io_kind_name(IO_RAM), "ram");
	assert_string_equal(io_kind_name(IO_ROM), "rom");
	assert_string_equal(io_kind_name(IO_DEVICE), "device");
	assert_string_equal(io_kind_name(IO_MMIO), "mmio");
	end_guest(g);
}

static void test_across_kinds(void **state)
{
	struct guest *g = new_guest();
	uint8_t data[16];

	(void)state;
	memset(data, 0x11, sizeof(data));
	struct xlate_iolist l = io(g, 0xfff8, 16, ACCESS_WRITE, true);
	struct err e;
	assert_int_equal(l.n, 2);
	assert_int_equal(l.io[0].kind, IO_RAM);
	assert_int_equal(l.io[1].kind, IO_ROM);
	assert_int_equal(l.io[0].len + l.io[1].len, 16);
	assert_int_equal(run_iolist(&g->env, &l, data, &e), 0);
	assert_int_equal(at8(g, 0xfff8), 0x1111111111111111);
	assert_int_equal(at8(g, 0x10000), 0); /* ROM keeps its bytes; the write left */
	assert_int_equal(g->n_exits, 1);
	assert_int_equal(g->exits[0].gpa, 0x10000);
	assert_true(g->exits[0].write);
	assert_int_equal(g->exits[0].data, 0x1111111111111111);
	end_guest(g);
}

static void test_exits_in_pieces(void **state)
{
	struct guest *g = new_guest();
	uint8_t data[21] = {0};
	struct err e;

	(void)state;
	struct xlate_iolist l = io(g, 0x50000, 21, ACCESS_READ, true);
	assert_int_equal(run_iolist(&g->env, &l, data, &e), 0);
	assert_int_equal(g->n_exits, 3);
	assert_int_equal(g->exits[0].len, 8);
	assert_int_equal(g->exits[2].gpa, 0x50010);
	assert_int_equal(g->exits[2].len, 5);
	for (size_t i = 0; i < sizeof(data); i++)
		assert_int_equal(data[i], 0x5a);
	g->exit_rc = -EINTR;
	assert_int_equal(run_iolist(&g->env, &l, data, &e), -EINTR);
	assert_int_equal(g->n_exits, 4); /* none after the one that failed */
	/* Nobody to take the exit: ones, and writes are dropped. */
	g->env.mmio = NULL;
	assert_int_equal(run_iolist(&g->env, &l, data, &e), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		assert_int_equal(data[i], 0xff);
	l = io(g, 0x12000, 4, ACCESS_WRITE, true);
	assert_int_equal(run_iolist(&g->env, &l, data, &e), 0);
	assert_int_equal(at8(g, 0x12000), 0);
	end_guest(g);
}

static void test_device(void **state)
{
	struct guest *g = new_guest();
	uint32_t v = 0xcafe, back = 0;
	struct err e;

	(void)state;
	struct xlate_iolist w = io(g, 0xd0000008, 4, ACCESS_WRITE, true), r = io(g, 0xd0000008, 4, ACCESS_READ, true);
	assert_int_equal(run_iolist(&g->env, &w, &v, &e), 0);
	assert_int_equal(g->n_exits, 1); /* the exit's taker comes first */
	g->env.mmio = NULL;
	assert_int_equal(run_iolist(&g->env, &w, &v, &e), 0); /* the debugger does not touch devices */
	assert_int_equal(run_iolist(&g->env, &r, &back, &e), 0);
	assert_int_equal(back, 0xffffffff);
	g->env.side_effects = true;
	assert_int_equal(run_iolist(&g->env, &w, &v, &e), 0);
	assert_int_equal(run_iolist(&g->env, &r, &back, &e), 0);
	assert_int_equal(back, 0xcafe);
	end_guest(g);
}

static void atomic(struct guest *g, uint64_t gpa, uint32_t len, unsigned access, int want)
{
	struct xlate_tlb t = tlb(g, gpa, len, access, true);
	struct xlate_iolist l = {.n = 77};
	struct err e = {0};

	assert_int_equal(tlb_to_io(&g->env, &t, access, true, &l, &e), want);
	if (want) {
		assert_int_equal(l.n, 77);
		assert_string_not_equal(e.why, "");
	}
}

static void test_atomic(void **state)
{
	struct guest *g = new_guest();

	(void)state;
	atomic(g, 0x8000, 8, ACCESS_WRITE, 0);
	atomic(g, 0x12000, 8, ACCESS_READ, 0);
	atomic(g, 0x12000, 8, ACCESS_WRITE, -EAGAIN);
	atomic(g, 0xd0000000, 4, ACCESS_READ, -EAGAIN);
	atomic(g, 0x50000, 4, ACCESS_READ, -EAGAIN);
	atomic(g, 0xfffc, 8, ACCESS_WRITE, -EAGAIN); /* its second half */
	slot_by_id(&g->slots, 0)->file_backed = true;
	atomic(g, 0x8000, 8, ACCESS_READ, -EAGAIN);
	assert_int_equal(g->n_exits, 0);
	end_guest(g);
}

static void test_lists_need_a_translation(void **state)
{
	struct guest *g = new_guest();
	struct xlate_tlb t = tlb(g, 0x900000, 4, ACCESS_READ, false), none = {0}, three = {.n = 3};
	struct xlate_iolist l;
	struct err e;

	(void)state;
	assert_true(t.fault.present);
	assert_int_equal(tlb_to_io(&g->env, &t, ACCESS_READ, false, &l, &e), -EINVAL);
	assert_int_equal(tlb_to_io(&g->env, &none, ACCESS_READ, false, &l, &e), -EINVAL);
	assert_int_equal(tlb_to_io(&g->env, &three, ACCESS_READ, false, &l, &e), -EINVAL);
	end_guest(g);
}

static void test_smm(void **state)
{
	struct guest *g = new_guest();

	(void)state;
	assert_int_equal(io(g, 0xa0000, 4, ACCESS_READ, true).io[0].kind, IO_MMIO);
	g->env.smm = true;
	struct xlate_iolist l = io(g, 0xa0000, 4, ACCESS_WRITE, true);
	assert_int_equal(l.io[0].kind, IO_RAM);
	assert_int_equal(l.io[0].slot->id, 2);
	/* Tables in SMRAM serve walks from inside only. */
	put8(g, 0xa0000, 0x2000 | PTE_P | PTE_W | PTE_U);
	g->env.pg.cr3 = 0xa0000;
	assert_int_equal(tlb(g, GVA(0), 4, ACCESS_READ, false).entry[0].gpa, 0x8000);
	g->env.smm = false;
	struct xlate_tlb t = tlb(g, GVA(0), 4, ACCESS_READ, false);
	assert_true(t.fault.present && t.walk.step[0].no_memory);
	/* What the registers say decides at the start. */
	struct regs r = {.smm = true};
	struct xlate_env env;
	xlate_env_init(&env, &g->slots, &r);
	assert_true(env.smm);
	assert_false(env.side_effects);
	end_guest(g);
}

static void test_tables_in_rom_and_files(void **state)
{
	struct guest *g = new_guest();
	uint64_t v = 1;

	(void)state;
	g->env.side_effects = true;
	memcpy(ram(g, 0x10000), ram(g, 0x4000), 0x1000);
	put8(g, 0x3008, 0x10000 | PTE_P | PTE_W | PTE_U); /* the leaf table is READONLY */
	assert_false(do_access(g, GVA(0), &v, 8, ACCESS_WRITE).present);
	assert_int_equal(at8(g, 0x8000), 1);
	assert_int_equal(at8(g, 0x10000) & (PTE_A | PTE_D), 0); /* ROM keeps its bits */
	assert_int_equal(at8(g, 0x3008) & PTE_A, PTE_A);
	slot_by_id(&g->slots, 1)->file_backed = true; /* without a descriptor: through the mapping */
	assert_false(do_access(g, GVA(0), &v, 8, ACCESS_READ).present);
	end_guest(g);
}

static void test_write_to_a_file_that_is_not_readonly(void **state)
{
	struct guest *g = new_guest();
	uint64_t v = 1;
	struct err e;

	(void)state;
	slot_by_id(&g->slots, 0)->file_backed = true;
	struct xlate_iolist l = io(g, 0x8000, 8, ACCESS_WRITE, true);
	assert_int_equal(run_iolist(&g->env, &l, &v, &e), -EFAULT);
	assert_non_null(strstr(e.why, "mapped for reading only"));
	assert_int_equal(at8(g, 0x8000), 0);
	end_guest(g);
}

/* ---- long ranges */

static void test_runs(void **state)
{
	struct guest *g = new_guest();
	struct xlate_runs r = {0};
	struct err e;

	(void)state;
	map(g, 2, 0xa000 | PTE_P);
	map(g, 3, 0xc000 | PTE_P); /* not next to it */
	map(g, 4, 0xd000 | PTE_P | PTE_U);
	g->env.pg.cr4 |= CR4_SMAP; /* the debugger sees user pages all the same */
	assert_int_equal(xlate_runs(&g->env, GVA(0) + 0x800, 0x4000, false, &r, &e), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[0].gva, GVA(0) + 0x800);
	assert_int_equal(r.v[0].gpa, 0x8800);
	assert_int_equal(r.v[0].len, 0x2800);
	assert_int_equal(r.v[1].gpa, 0xc000);
	assert_int_equal(r.v[1].len, 0x1800);
	xlate_runs_free(&r);
	assert_int_equal(xlate_runs(&g->env, GVA(0), 0, false, &r, &e), 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(xlate_runs(&g->env, GVA(3), 0x3000, true, &r, &e), -EFAULT);
	assert_int_equal(e.addr, GVA(5));
	assert_int_equal(e.space, ERR_SPACE_GVA);
	assert_non_null(strstr(e.why, "is not present"));
	assert_int_equal(xlate_runs(&g->env, GVA(5), 1, false, &r, &e), -EFAULT);
	assert_int_equal(xlate_runs(&g->env, 0x800000000000, 1, false, &r, &e), -EFAULT);
	assert_non_null(strstr(e.why, "not canonical"));
	assert_int_equal(xlate_runs(&g->env, ~0ull, 2, false, &r, &e), -EINVAL);
	assert_int_equal(r.n, 0); /* untouched throughout */
	end_guest(g);
}

static void test_runs_end_of_the_address_space(void **state)
{
	struct guest *g = new_guest();
	struct xlate_runs r = {0};
	struct err e;

	(void)state;
	put8(g, 0x1000 + 8 * 511, 0x5000 | PTE_P);
	put8(g, 0x5000 + 8 * 511, 0x6000 | PTE_P);
	put8(g, 0x6000 + 8 * 511, 0x0 | PTE_P | PTE_PS);
	assert_int_equal(xlate_runs(&g->env, 0xffffffffffffff00, 0x100, false, &r, &e), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.v[0].gpa, 0x1fff00);
	xlate_runs_free(&r);
	end_guest(g);
}

static void test_runs_without_paging(void **state)
{
	struct guest *g = new_guest();
	struct xlate_runs r = {0};
	struct err e;

	(void)state;
	g->env.pg.mode = PAGING_NONE;
	assert_int_equal(xlate_runs(&g->env, 0xfff0, 0x20, false, &r, &e), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.v[0].gpa, 0xfff0);
	xlate_runs_free(&r);
	assert_int_equal(xlate_runs(&g->env, 0xfffffff0, 0x10, false, &r, &e), 0);
	xlate_runs_free(&r);
	assert_int_equal(xlate_runs(&g->env, 0xfffffff0, 0x11, false, &r, &e), -EFAULT);
	assert_int_equal(e.addr, 0x100000000);
	assert_int_equal(xlate_runs(&g->env, 0x123456789abc, 1, false, &r, &e), -EFAULT);
	assert_int_equal(e.addr, 0x123456789abc);
	end_guest(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_page),
	    cmocka_unit_test(test_two_pages),
	    cmocka_unit_test(test_lengths_refused),
	    cmocka_unit_test(test_phys),
	    cmocka_unit_test(test_fault_on_the_second_page),
	    cmocka_unit_test(test_side_effects),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_across_kinds),
	    cmocka_unit_test(test_exits_in_pieces),
	    cmocka_unit_test(test_device),
	    cmocka_unit_test(test_atomic),
	    cmocka_unit_test(test_lists_need_a_translation),
	    cmocka_unit_test(test_smm),
	    cmocka_unit_test(test_tables_in_rom_and_files),
	    cmocka_unit_test(test_write_to_a_file_that_is_not_readonly),
	    cmocka_unit_test(test_runs),
	    cmocka_unit_test(test_runs_end_of_the_address_space),
	    cmocka_unit_test(test_runs_without_paging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
