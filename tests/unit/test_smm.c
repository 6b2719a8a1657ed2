/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The state-save area: where every field stands, that a round trip loses nothing, what RSM refuses, relocation, and the
 * registers at the handler's first instruction.
 */
#include "core/cpu/smm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct seg a_seg(unsigned n)
{
	return (struct seg){.base = 0x1000ull * n + 0xffff800000000000ull,
			    .limit = 0xfffff - n,
			    .selector = (uint16_t)(8 * n),
			    .type = (uint8_t)(n & 15),
			    .s = true,
			    .present = true,
			    .dpl = n & 3,
			    .db = n & 1,
			    .g = !(n & 1),
			    .avl = n & 1};
}

/* A 64-bit state with every field different from every other. */
static struct regs a_state(void)
{
	struct regs r = {.valid = REGS_ALL};

	for (unsigned i = 0; i < 16; i++)
		r.gpr[i] = 0x1111111100000000ull * (i + 1) + i;
	r.rip = 0xffffffff81000123;
	r.rflags = RFLAGS_FIXED | RFLAGS_CF | RFLAGS_IF | RFLAGS_IOPL;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r.seg[i] = a_seg(i + 1);
	r.seg[SEG_CS].l = true;
	r.seg[SEG_CS].db = false;
	r.tr = a_seg(8);
	r.ldt = a_seg(9);
	r.ldt.present = false;
	r.ldt.unusable = true;
	r.gdt = (struct desc_table){0xfffffe0000001000, 0x7f};
	r.idt = (struct desc_table){0xfffffe0000000000, 0xfff};
	r.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	r.cr2 = 0x1234;
	r.cr3 = 0x10000;
	r.cr4 = CR4_PAE | CR4_OSFXSR;
	r.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
	r.dr[0] = 0x5555;
	r.dr[6] = 0xffff0ff0;
	r.dr[7] = 0x455;
	r.msr.lstar = 0x777;
	r.sti_shadow = true;
	r.nmi_masked = true;
	r.halted = true;
	return r;
}

static uint64_t at(const uint8_t *area, unsigned offset, size_t len)
{
	uint64_t x = 0;

	memcpy(&x, area + offset, len);
	return x;
}

static void test_layout(void **state)
{
	uint8_t area[SMM_SAVE_SIZE];
	struct regs r = a_state();

	(void)state;
	smm_save(&r, 0x30000, area);
	/* Offsets from SMBASE + 0xfe00, by the manual's table. */
	assert_int_equal(at(area, 0x010, 2), r.seg[SEG_CS].selector);
	assert_int_equal(at(area, 0x012, 2), 2 | 1 << 4 | 2 << 5 | 1 << 7 | 1 << 13 | 1 << 15);
	assert_int_equal(at(area, 0x014, 4), r.seg[SEG_CS].limit);
	assert_true(at(area, 0x018, 8) == r.seg[SEG_CS].base);
	assert_int_equal(at(area, 0x000, 2), r.seg[SEG_ES].selector);
	assert_int_equal(at(area, 0x050, 2), r.seg[SEG_GS].selector);
	assert_int_equal(at(area, 0x064, 2), 0x7f);
	assert_true(at(area, 0x068, 8) == r.gdt.base);
	assert_int_equal(at(area, 0x070, 2), r.ldt.selector);
	assert_int_equal(at(area, 0x084, 2), 0xfff);
	assert_true(at(area, 0x088, 8) == r.idt.base);
	assert_int_equal(at(area, 0x090, 2), r.tr.selector);
	assert_int_equal(at(area, 0x0c9, 1), 1);
	assert_int_equal(at(area, 0x0d0, 8), r.efer);
	assert_int_equal(at(area, 0x0fc, 4), 0x30064);
	assert_int_equal(at(area, 0x100, 4), 0x30000);
	assert_int_equal(at(area, 0x148, 8), r.cr4);
	assert_int_equal(at(area, 0x150, 8), r.cr3);
	assert_int_equal(at(area, 0x158, 8), r.cr0);
	assert_int_equal(at(area, 0x160, 8), r.dr[7]);
	assert_int_equal(at(area, 0x168, 8), r.dr[6]);
	assert_int_equal(at(area, 0x170, 8), r.rflags);
	assert_true(at(area, 0x178, 8) == r.rip);
	assert_true(at(area, 0x180, 8) == r.gpr[R15]);
	assert_true(at(area, 0x1c0, 8) == r.gpr[RDI]);
	assert_true(at(area, 0x1d8, 8) == r.gpr[RSP]);
	assert_true(at(area, 0x1f8, 8) == r.gpr[RAX]);
}

static void assert_seg(const struct seg *a, const struct seg *b)
{
	assert_true(a->base == b->base);
	assert_int_equal(a->limit, b->limit);
	assert_int_equal(a->selector, b->selector);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->dpl, b->dpl);
	assert_int_equal(a->s, b->s);
	assert_int_equal(a->present, b->present);
	assert_int_equal(a->avl, b->avl);
	assert_int_equal(a->l, b->l);
	assert_int_equal(a->db, b->db);
	assert_int_equal(a->g, b->g);
	assert_int_equal(a->unusable, b->unusable);
}

static void test_round_trip(void **state)
{
	uint8_t area[SMM_SAVE_SIZE];
	struct regs r = a_state(), in_smm = a_state(), want = a_state();
	uint32_t smbase = 0;

	(void)state;
	smm_save(&r, 0xa0000, area);
	smm_enter(&in_smm, 0xa0000);
	/* What the map does not hold is the handler's: these survive RSM as they are. */
	in_smm.cr2 = 0x9999;
	in_smm.dr[0] = 0x8888;
	in_smm.msr.lstar = 0x6666;
	memset(in_smm.gpr, 0xee, sizeof(in_smm.gpr));
	assert_int_equal(smm_restore(&in_smm, &smbase, area, NULL), 0);
	assert_int_equal(smbase, 0xa0000);
	assert_int_equal(in_smm.cr2, 0x9999);
	assert_int_equal(in_smm.dr[0], 0x8888);
	assert_int_equal(in_smm.msr.lstar, 0x6666);
	assert_memory_equal(in_smm.gpr, want.gpr, sizeof(want.gpr));
	assert_true(in_smm.rip == want.rip && in_smm.rflags == want.rflags);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		assert_seg(&in_smm.seg[i], &want.seg[i]);
	assert_seg(&in_smm.tr, &want.tr);
	assert_seg(&in_smm.ldt, &want.ldt);
	assert_true(in_smm.gdt.base == want.gdt.base && in_smm.gdt.limit == want.gdt.limit);
	assert_true(in_smm.idt.base == want.idt.base && in_smm.idt.limit == want.idt.limit);
	assert_true(in_smm.cr0 == want.cr0 && in_smm.cr3 == want.cr3 && in_smm.cr4 == want.cr4 && in_smm.efer == want.efer);
	assert_true(in_smm.dr[6] == want.dr[6] && in_smm.dr[7] == want.dr[7]);
	assert_true(in_smm.halted && in_smm.sti_shadow && !in_smm.mov_ss_shadow && in_smm.nmi_masked);
	assert_false(in_smm.smm);
}

static void test_relocation(void **state)
{
	uint8_t area[SMM_SAVE_SIZE];
	struct regs r = a_state();
	const uint32_t moved = 0x7f0000;
	uint32_t smbase = 0x30000;

	(void)state;
	smm_save(&r, smbase, area);
	memcpy(area + 0x100, &moved, sizeof(moved));
	assert_int_equal(smm_restore(&r, &smbase, area, NULL), 0);
	assert_int_equal(smbase, moved);
}

struct bad {
	unsigned offset;
	uint64_t value;
	const char *words;
};

static void test_refusals(void **state)
{
	static const struct bad cases[] = {
	    {0x158, CR0_PG, "paging without protected mode"},
	    {0x158, CR0_PE | CR0_PG | CR0_NW, "CR0.NW without CR0.CD"},
	    {0x158, CR0_PE | CR0_PG | 1ull << 40, "bits 63:32 of CR0"},
	    {0x158, CR0_PE, "EFER.LMA"},
	    {0x148, 0, "long mode without PAE"},
	    {0x148, CR4_PAE | 1ull << 15, "reserved bits of CR4"},
	    {0x0d0, EFER_LME | EFER_LMA | 1ull << 9, "reserved bits of EFER"},
	    {0x0d0, EFER_LME, "EFER.LMA"},
	    {0x170, RFLAGS_VM, "virtual-8086"},
	    {0x160, 1ull << 32, "DR6 or DR7"},
	};
	uint8_t area[SMM_SAVE_SIZE];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct regs r = a_state(), before;
		uint32_t smbase = 0x1234;
		struct err e = {0};

		smm_save(&r, 0x30000, area);
		memcpy(area + cases[i].offset, &cases[i].value, 8);
		smm_enter(&r, 0x30000);
		before = r;
		assert_int_equal(smm_restore(&r, &smbase, area, &e), -EINVAL);
		assert_non_null(strstr(e.why, cases[i].words));
		assert_memory_equal(&r, &before, sizeof(r));
		assert_int_equal(smbase, 0x1234);
	}
}

static void test_cs_l_and_d(void **state)
{
	uint8_t area[SMM_SAVE_SIZE];
	struct regs r = a_state();
	uint32_t smbase;
	struct err e = {0};

	(void)state;
	r.seg[SEG_CS].db = true;
	smm_save(&r, 0x30000, area);
	assert_int_equal(smm_restore(&r, &smbase, area, &e), -EINVAL);
	assert_non_null(strstr(e.why, "L and D"));
}

static void test_enter(void **state)
{
	struct regs r = a_state();
	const uint64_t rax = r.gpr[RAX], cr3 = r.cr3;

	(void)state;
	smm_enter(&r, 0x38000);
	assert_true(r.smm);
	assert_int_equal(r.rip, 0x8000);
	assert_int_equal(r.rflags, 2);
	assert_int_equal(r.seg[SEG_CS].base, 0x38000);
	assert_int_equal(r.seg[SEG_CS].selector, 0x3800);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(r.seg[i].limit, 0xffffffff);
		assert_true(r.seg[i].present && r.seg[i].s && !r.seg[i].db && !r.seg[i].l);
	}
	assert_int_equal(r.seg[SEG_DS].base, 0);
	assert_int_equal(r.cr0 & (CR0_PE | CR0_PG | CR0_EM | CR0_TS), 0);
	assert_int_equal(r.cr0 & CR0_WP, CR0_WP);
	assert_int_equal(r.cr4, 0);
	assert_int_equal(r.efer, 0);
	assert_int_equal(r.dr[7], 0x400);
	assert_true(r.gpr[RAX] == rax && r.cr3 == cr3);
	assert_true(r.nmi_masked && !r.halted);
}

/* Every byte of the area belongs to at most one field. */
static size_t own_bytes(const uint8_t area[SMM_SAVE_SIZE], uint8_t owner[SMM_SAVE_SIZE])
{
	size_t n;
	const struct smm_field *f = smm_fields(area, &n);

	memset(owner, 0, SMM_SAVE_SIZE);
	for (size_t i = 0; i < n; i++)
		for (unsigned b = 0; b < f[i].size; b++) {
			assert_true(f[i].offset + b < SMM_SAVE_SIZE);
			assert_int_equal(owner[f[i].offset + b]++, 0);
		}
	return n;
}

/* And every field that smm_save() writes is named. */
static void test_fields(void **state)
{
	uint8_t owner[SMM_SAVE_SIZE], area[SMM_SAVE_SIZE];
	struct regs r = a_state();

	(void)state;
	smm_save(&r, 0xffffffff, area);
	assert_int_equal(own_bytes(area, owner), 71);
	for (unsigned i = 0; i < SMM_SAVE_SIZE; i++)
		if (area[i])
			assert_int_equal(owner[i], 1);
}

static unsigned offset_of(const uint8_t area[SMM_SAVE_SIZE], const char *name, unsigned *size)
{
	size_t n;
	const struct smm_field *f = smm_fields(area, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(f[i].name, name) == 0) {
			*size = f[i].size;
			return f[i].offset;
		}
	fail_msg("no field %s", name);
	return 0;
}

/* By the revision, which is where each map has it. */
static void test_maps(void **state)
{
	static const struct {
		uint32_t revision;
		size_t n;
		unsigned rip, rax, cr0, cs_limit, smbase, size;
	} all[] = {{SMM_REVISION, 71, 0x178, 0x1f8, 0x158, 0x14, 0x100, 8},
		   {SMM_REVISION_KVM, 71, 0x178, 0x1f8, 0x158, 0x14, 0x100, 8},
		   {SMM_REVISION_KVM_32, 59, 0x1f0, 0x1d0, 0x1fc, 0x194, 0xf8, 4}};
	uint8_t owner[SMM_SAVE_SIZE], area[SMM_SAVE_SIZE] = {0};
	unsigned size;

	(void)state;
	assert_int_equal(own_bytes(area, owner), 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		memcpy(area + 0xfc, &all[i].revision, 4);
		assert_int_equal(own_bytes(area, owner), all[i].n);
		assert_int_equal(offset_of(area, "rip", &size), all[i].rip);
		assert_int_equal(size, all[i].size);
		assert_int_equal(offset_of(area, "rax", &size), all[i].rax);
		assert_int_equal(offset_of(area, "cr0", &size), all[i].cr0);
		assert_int_equal(offset_of(area, "cs.limit", &size), all[i].cs_limit);
		assert_int_equal(offset_of(area, "smbase", &size), all[i].smbase);
		assert_int_equal(size, 4);
	}
	memset(area + 0xfc, 0x11, 4);
	assert_int_equal(own_bytes(area, owner), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_layout),   cmocka_unit_test(test_round_trip), cmocka_unit_test(test_relocation),
	    cmocka_unit_test(test_refusals), cmocka_unit_test(test_cs_l_and_d), cmocka_unit_test(test_enter),
	    cmocka_unit_test(test_fields),   cmocka_unit_test(test_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
