/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The register table: every name reads and writes its own place, widths and narrow views behave as the CPU's, modes and CPL
 * follow from the state.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/cpu/regs.h"

static uint64_t get(const struct regs *r, const char *name)
{
	const struct reg_name *n = reg_find(name);

	if (!n)
		fail_msg("no register %s", name);
	return reg_get(r, n);
}

static int set(struct regs *r, const char *name, uint64_t value)
{
	const struct reg_name *n = reg_find(name);
	struct err e;

	if (!n)
		fail_msg("no register %s", name);
	return reg_set(r, n, value, &e);
}

static void test_table_is_sound(void **state)
{
	size_t n;
	const struct reg_name *all = reg_names(&n);
	bool parts = false;

	(void)state;
	assert_true(n > 150);
	assert_string_equal(all[0].name, "rax");
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(reg_find(all[i].name), &all[i]); /* no name twice */
		assert_true(all[i].bits >= 8 && all[i].bits <= 128);
		if (parts)
			assert_string_equal(all[i].group, "part"); /* these come last */
		parts = !strcmp(all[i].group, "part");
		assert_true(all[i].part && !(reg_stored_in(&all[i]) & (reg_stored_in(&all[i]) - 1)));
	}
	assert_true(parts);
}

/* Write a pattern to each full register and look at what else changed: nothing. */
static void test_each_has_its_own_place(void **state)
{
	size_t n;
	const struct reg_name *all = reg_names(&n);

	(void)state;
	for (size_t i = 0; i < n && strcmp(all[i].group, "part"); i++) {
		struct regs r = {0};
		struct err e;
		uint64_t v = all[i].bits >= 64 ? 0x8123456789abcdef : (1ull << all[i].bits) - 1;

		if (all[i].bits == 17) /* a segment's flags: bits 11:8 are the limit's in a descriptor, nothing here */
			v = 0x1f0ff;
		assert_int_equal(reg_set(&r, &all[i], v, &e), 0);
		assert_int_equal(reg_get(&r, &all[i]), v);
		for (size_t k = 0; k < n && strcmp(all[k].group, "part"); k++)
			if (k != i && reg_get(&r, &all[k]))
				fail_msg("writing %s shows in %s", all[i].name, all[k].name);
	}
}

static void test_narrow_views(void **state)
{
	struct regs r = {.gpr[RAX] = 0x1122334455667788,
			 .gpr[R9] = ~0ull,
			 .gpr[RSP] = 0x7fff0000fff0,
			 .cr0 = CR0_PE,
			 .efer = EFER_LMA,
			 .seg[SEG_CS].l = true};

	(void)state;
	assert_int_equal(get(&r, "eax"), 0x55667788);
	assert_int_equal(get(&r, "ax"), 0x7788);
	assert_int_equal(get(&r, "al"), 0x88);
	assert_int_equal(get(&r, "ah"), 0x77);
	assert_int_equal(set(&r, "al", 0x11), 0);
	assert_int_equal(set(&r, "ah", 0x22), 0);
	assert_int_equal(r.gpr[RAX], 0x1122334455662211);
	assert_int_equal(set(&r, "ax", 0xbeef), 0);
	assert_int_equal(r.gpr[RAX], 0x112233445566beef);
	assert_int_equal(set(&r, "eax", 1), 0); /* clears the upper half */
	assert_int_equal(r.gpr[RAX], 1);
	assert_int_equal(set(&r, "r9d", 0x80000000), 0);
	assert_int_equal(r.gpr[R9], 0x80000000);
	assert_int_equal(get(&r, "spl"), 0xf0);
	assert_int_equal(get(&r, "sp"), 0x7fff0000fff0);
	assert_int_equal(get(&r, "SP"), 0x7fff0000fff0);
	assert_int_equal(set(&r, "PC", 0x200000), 0);
	assert_int_equal(r.rip, 0x200000);
	assert_int_equal(set(&r, "fp", 5), 0);
	assert_int_equal(r.gpr[RBP], 5);
	assert_int_equal(get(&r, "sp16"), 0xfff0);
	assert_null(reg_find("raxx"));
	assert_null(reg_find(""));
	assert_null(reg_find("r16"));
}

static void test_linear_views(void **state)
{
	struct regs r = {.rip = 0x10,
			 .gpr[RSP] = 0xabcd0100,
			 .gpr[RBP] = 0xabcd0200,
			 .seg[SEG_CS] = {.base = 0x7c00, .limit = 0xffff, .selector = 0x7c0},
			 .seg[SEG_SS] = {.base = 0x20000, .limit = 0xffff, .selector = 0x2000}};

	(void)state;
	assert_int_equal(get(&r, "pc"), 0x7c10);
	assert_int_equal(get(&r, "rip"), 0x10);
	assert_int_equal(get(&r, "sp"), 0x20100); /* SP alone is in use */
	assert_int_equal(get(&r, "fp"), 0x20200);
	assert_int_equal(reg_as_offset(&r, reg_find("sp")), 0x100);
	assert_int_equal(reg_as_offset(&r, reg_find("pc")), 0x10);
	assert_int_equal(regs_pc(&r), 0x7c10);
	assert_int_equal(set(&r, "pc", 0x7c20), 0);
	assert_int_equal(r.rip, 0x20);
	assert_int_equal(set(&r, "sp", 0x20ffe), 0);
	assert_int_equal(r.gpr[RSP], 0xabcd0ffe); /* the rest of esp stays */
	/* No offset in the segment leads there. */
	assert_int_equal(set(&r, "pc", 0x7bff), -ERANGE);
	assert_int_equal(set(&r, "pc", 0x17c00), -ERANGE);
	assert_int_equal(set(&r, "pc", 0x100007c10), -ERANGE);
	assert_int_equal(set(&r, "sp", 0x1ffff), -ERANGE);
	assert_int_equal(r.rip, 0x20);
	/* Protected mode: 32 bits, wrapping. */
	r.cr0 = CR0_PE;
	r.seg[SEG_CS] = (struct seg){.base = 0xfffff000, .limit = 0xffffffff, .db = true};
	r.seg[SEG_SS].db = true;
	r.rip = 0x2000;
	assert_int_equal(get(&r, "pc"), 0x1000);
	assert_int_equal(set(&r, "pc", 0x3000), 0);
	assert_int_equal(r.rip, 0x4000);
	assert_int_equal(get(&r, "sp"), 0xabcd0ffe + 0x20000);
	/* Old as soon as one of its parts is. */
	r.old = 1ull << (REGS_OLD_SEG + 4 * SEG_CS + OLD_BASE);
	assert_true(reg_is_old(&r, reg_find("pc")));
	assert_false(reg_is_old(&r, reg_find("rip")));
	/* 64-bit code has no bases but of fs and gs. */
	r = (struct regs){.rip = 0x200000, .cr0 = CR0_PE, .efer = EFER_LMA, .seg[SEG_CS] = {.base = 0x1000, .l = true}};
	r.seg[SEG_FS].base = 0x5000;
	assert_int_equal(get(&r, "pc"), 0x200000);
	assert_int_equal(set(&r, "pc", 0xffffffff81000000), 0);
	assert_int_equal(r.rip, 0xffffffff81000000);
	assert_int_equal(regs_linear(&r, SEG_FS, 0x28), 0x5028);
	assert_int_equal(regs_linear(&r, SEG_DS, 0x28), 0x28);
}

static void test_every_narrow_view_by_name(void **state)
{
	static const struct {
		const char *name;
		int reg;
		unsigned bits, shift;
	} v[] = {
	    {"eax", RAX, 32, 0},  {"ax", RAX, 16, 0},  {"al", RAX, 8, 0},    {"ah", RAX, 8, 8},	   {"ebx", RBX, 32, 0},
	    {"bx", RBX, 16, 0},	  {"bl", RBX, 8, 0},   {"bh", RBX, 8, 8},    {"ecx", RCX, 32, 0},  {"cx", RCX, 16, 0},
	    {"cl", RCX, 8, 0},	  {"ch", RCX, 8, 8},   {"edx", RDX, 32, 0},  {"dx", RDX, 16, 0},   {"dl", RDX, 8, 0},
	    {"dh", RDX, 8, 8},	  {"esi", RSI, 32, 0}, {"si", RSI, 16, 0},   {"sil", RSI, 8, 0},   {"edi", RDI, 32, 0},
	    {"di", RDI, 16, 0},	  {"dil", RDI, 8, 0},  {"ebp", RBP, 32, 0},  {"bp", RBP, 16, 0},   {"bpl", RBP, 8, 0},
	    {"esp", RSP, 32, 0},  {"r8d", R8, 32, 0},  {"r8w", R8, 16, 0},   {"r8b", R8, 8, 0},	   {"r15d", R15, 32, 0},
	    {"r15w", R15, 16, 0}, {"r15b", R15, 8, 0}, {"r12d", R12, 32, 0}, {"r10w", R10, 16, 0}, {"r11b", R11, 8, 0},
	};
	const uint64_t pattern = 0xfedcba9876543210;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct regs r = {0};
		uint64_t mask = (1ull << v[i].bits) - 1;

		r.gpr[v[i].reg] = pattern;
		assert_int_equal(get(&r, v[i].name), pattern >> v[i].shift & mask);
		assert_int_equal(reg_find(v[i].name)->bits, v[i].bits);
		assert_int_equal(set(&r, v[i].name, mask), 0);
		assert_int_equal(r.gpr[v[i].reg], v[i].bits == 32 ? mask : pattern | mask << v[i].shift);
	}
}

static void test_range(void **state)
{
	struct regs r = {0};
	struct err e;

	(void)state;
	assert_int_equal(set(&r, "al", 0x100), -ERANGE);
	assert_int_equal(r.gpr[RAX], 0);
	assert_int_equal(set(&r, "al", (uint64_t)-1), 0); /* a negative number that fits */
	assert_int_equal(r.gpr[RAX], 0xff);
	assert_int_equal(set(&r, "al", (uint64_t)-128), 0);
	assert_int_equal(set(&r, "al", (uint64_t)-129), -ERANGE);
	assert_int_equal(set(&r, "eax", 0x100000000), -ERANGE);
	assert_int_equal(set(&r, "eax", (uint64_t)-2), 0);
	assert_int_equal(r.gpr[RAX], 0xfffffffe);
	assert_int_equal(set(&r, "rax", ~0ull), 0);
	assert_int_equal(set(&r, "cs", 0x10000), -ERANGE);
	assert_int_equal(set(&r, "gdt.limit", 0x10000), -ERANGE);
	assert_int_equal(reg_set(&r, reg_find("ax"), 0x12345, &e), -ERANGE);
	assert_string_equal(e.why, "it has 16 bits");
	assert_string_equal(e.next, "at most 0xffff");
}

static void test_segments(void **state)
{
	struct regs r = {0};

	(void)state;
	assert_int_equal(set(&r, "cs", 0x2b), 0);
	assert_int_equal(set(&r, "cs.base", 0x123000), 0);
	assert_int_equal(set(&r, "cs.limit", 0xffffffff), 0);
	assert_int_equal(set(&r, "cs.flags", 0xa0fb), 0);
	assert_int_equal(r.seg[SEG_CS].selector, 0x2b);
	assert_int_equal(r.seg[SEG_CS].base, 0x123000);
	assert_int_equal(r.seg[SEG_CS].type, 0xb);
	assert_true(r.seg[SEG_CS].s && r.seg[SEG_CS].present && r.seg[SEG_CS].l && r.seg[SEG_CS].g);
	assert_false(r.seg[SEG_CS].db || r.seg[SEG_CS].avl || r.seg[SEG_CS].unusable);
	assert_int_equal(r.seg[SEG_CS].dpl, 3);
	assert_int_equal(get(&r, "cs.flags"), 0xa0fb);
	for (uint64_t v = 0; v < 0x20000; v += 0x111) {
		uint64_t kept = v & 0x1f0ff;

		assert_int_equal(set(&r, "ldt.flags", v), 0);
		assert_int_equal(get(&r, "ldt.flags"), kept);
	}
	assert_int_equal(set(&r, "fs_base", 0xffff888000000000), 0);
	assert_int_equal(r.seg[SEG_FS].base, 0xffff888000000000);
	assert_int_equal(get(&r, "fs.base"), 0xffff888000000000);
}

static void test_wide(void **state)
{
	struct regs r = {0};
	size_t len = 0;

	(void)state;
	memset(r.fpu.xmm[3], 0xaa, 16);
	assert_int_equal(set(&r, "xmm3", 0x1122334455667788), 0);
	assert_int_equal(get(&r, "xmm3"), 0x1122334455667788);
	const uint8_t *b = reg_bytes(&r, reg_find("xmm3"), &len);
	assert_ptr_equal(b, r.fpu.xmm[3]);
	assert_int_equal(len, 16);
	assert_int_equal(b[0], 0x88);
	assert_int_equal(b[8], 0xaa);
	assert_ptr_equal(reg_bytes(&r, reg_find("st7"), &len), r.fpu.st[7]);
	assert_int_equal(len, 10);
	assert_null(reg_bytes(&r, reg_find("rax"), &len));
	assert_int_equal(reg_find("xmm15")->bits, 128);
	assert_int_equal(reg_find("st0")->bits, 80);
}

static void test_flags_text(void **state)
{
	char buf[256], small[8];

	(void)state;
	assert_string_equal(reg_flags_text(reg_find("rflags"), 0x246, buf, sizeof(buf)), "PF ZF IF");
	assert_string_equal(reg_flags_text(reg_find("eflags"), 0x3002, buf, sizeof(buf)), "IOPL=3");
	assert_string_equal(reg_flags_text(reg_find("rflags"), 0x7002, buf, sizeof(buf)), "IOPL=3 NT");
	assert_string_equal(reg_flags_text(reg_find("cr0"), 0x80010031, buf, sizeof(buf)), "PE ET NE WP PG");
	assert_string_equal(reg_flags_text(reg_find("cr4"), 0x300020, buf, sizeof(buf)), "PAE SMEP SMAP");
	assert_string_equal(reg_flags_text(reg_find("efer"), 0xd01, buf, sizeof(buf)), "SCE LME LMA NXE");
	assert_string_equal(reg_flags_text(reg_find("rax"), ~0ull, buf, sizeof(buf)), "");
	assert_true(strlen(reg_flags_text(reg_find("rflags"), ~0ull, small, sizeof(small))) < sizeof(small));
	assert_ptr_equal(reg_flags_text(reg_find("rflags"), 1, buf, 0), buf);
}

static void check_mode(const struct regs *r, enum cpu_mode mode, unsigned cpl, unsigned bits, const char *name)
{
	assert_int_equal(regs_mode(r), mode);
	assert_int_equal(regs_cpl(r), cpl);
	assert_int_equal(regs_code_bits(r), bits);
	assert_string_equal(cpu_mode_name(regs_mode(r)), name);
}

static void test_modes(void **state)
{
	struct regs r = {0};

	(void)state;
	r.seg[SEG_SS].dpl = 3; /* says nothing in real mode */
	check_mode(&r, CPU_REAL, 0, 16, "real");
	r.cr0 = CR0_PE;
	r.seg[SEG_SS].dpl = 0;
	check_mode(&r, CPU_PROT16, 0, 16, "prot16");
	r.seg[SEG_CS].db = true;
	check_mode(&r, CPU_PROT32, 0, 32, "prot32");
	r.seg[SEG_SS].dpl = 3;
	check_mode(&r, CPU_PROT32, 3, 32, "prot32");
	r.rflags = RFLAGS_VM;
	r.seg[SEG_SS].dpl = 0;
	check_mode(&r, CPU_VM86, 3, 16, "vm86");
	r.rflags = 0;
	r.efer = EFER_LME; /* not active without paging */
	check_mode(&r, CPU_PROT32, 0, 32, "prot32");
	r.efer |= EFER_LMA;
	r.cr0 |= CR0_PG;
	check_mode(&r, CPU_LONG_COMPAT, 0, 32, "compat");
	r.seg[SEG_CS].db = false;
	check_mode(&r, CPU_LONG_COMPAT, 0, 16, "compat");
	r.seg[SEG_CS].l = true;
	r.seg[SEG_SS].dpl = 3;
	check_mode(&r, CPU_LONG64, 3, 64, "long");
}

static unsigned old_names(uint64_t old, char *buf, size_t size)
{
	const struct regs r = {.old = old};
	size_t n, len = 0;
	const struct reg_name *all = reg_names(&n);
	unsigned found = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (reg_is_old(&r, &all[i]) && ++found && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", all[i].name);
	return found;
}

/* Which names each bit is about; every register has one. */
static void test_old(void **state)
{
	static const struct {
		unsigned bit;
		const char *names;
	} t[] = {
	    {REGS_OLD_GPR + RAX, "rax eax ax al ah"},
	    {REGS_OLD_GPR + RSP, "rsp esp spl sp16 sp"},
	    {REGS_OLD_GPR + R15, "r15 r15d r15w r15b"},
	    {REGS_OLD_RIP, "rip eip ip pc"},
	    {REGS_OLD_RFLAGS, "rflags eflags flags"},
	    {REGS_OLD_SEG, "es"},
	    {REGS_OLD_SEG + 4 * SEG_CS + OLD_SELECTOR, "cs"},
	    {REGS_OLD_SEG + 4 * SEG_CS + OLD_BASE, "cs.base pc"},
	    {REGS_OLD_SEG + 4 * SEG_SS + OLD_BASE, "ss.base sp fp"},
	    {REGS_OLD_SEG + 4 * SEG_CS + OLD_LIMIT, "cs.limit"},
	    {REGS_OLD_SEG + 4 * SEG_CS + OLD_FLAGS, "cs.flags"},
	    {REGS_OLD_SEG + 4 * SEG_FS + OLD_BASE, "fs.base fs_base"},
	    {REGS_OLD_SEG + 4 * SEG_COUNT + OLD_FLAGS, "tr.flags"},
	    {REGS_OLD_SEG + 4 * (SEG_COUNT + 1) + OLD_BASE, "ldt.base"},
	    {REGS_OLD_GDT, "gdt.base gdt.limit"},
	    {REGS_OLD_IDT, "idt.base idt.limit"},
	    {REGS_OLD_CR0, "cr0"},
	    {REGS_OLD_CR2, "cr2"},
	    {REGS_OLD_CR3, "cr3"},
	    {REGS_OLD_CR4, "cr4"},
	    {REGS_OLD_CR8, "cr8"},
	    {REGS_OLD_EFER, "efer"},
	    {REGS_OLD_XCR0, "xcr0"},
	    {REGS_OLD_SMM, ""},
	    {REGS_OLD_DR, "dr0 dr1 dr2 dr3 dr6 dr7"},
	    {REGS_OLD_MSR, "star lstar cstar sfmask kernel_gs_base sysenter_cs sysenter_esp sysenter_eip tsc pat apic_base "
			   "misc_enable tsc_aux"},
	};
	char got[2048];
	unsigned sum = 0;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		(void)old_names(1ull << t[i].bit, got, sizeof(got));
		assert_string_equal(got, t[i].names);
	}
	for (unsigned bit = 0; bit < REGS_OLD_BITS; bit++)
		sum += old_names(1ull << bit, got, sizeof(got));
	reg_names(&n);
	assert_int_equal(sum, n + 3); /* pc, sp and fp have two */
	assert_int_equal(old_names(REGS_OLD_ALL, got, sizeof(got)), n);
	assert_int_equal(old_names(0, got, sizeof(got)), 0);
}

static void test_old_mode(void **state)
{
	struct regs r = {.efer = EFER_LMA, .old = 1ull << REGS_OLD_RFLAGS | 1ull << REGS_OLD_CR4};

	(void)state;
	assert_false(regs_mode_is_old(&r) || regs_cpl_is_old(&r));
	r.efer = 0; /* rflags may say virtual-8086 mode */
	assert_true(regs_mode_is_old(&r) && regs_cpl_is_old(&r));
	r.old = 1ull << (REGS_OLD_SEG + 4 * SEG_SS + OLD_FLAGS);
	assert_true(!regs_mode_is_old(&r) && regs_cpl_is_old(&r));
	r.old = 1ull << (REGS_OLD_SEG + 4 * SEG_CS + OLD_FLAGS);
	assert_true(regs_mode_is_old(&r));
	r.old = 1ull << (REGS_OLD_SEG + 4 * SEG_CS + OLD_BASE);
	assert_false(regs_mode_is_old(&r) || regs_cpl_is_old(&r));
	r.old = 1ull << REGS_OLD_CR0;
	assert_true(regs_mode_is_old(&r));
	r.old = 1ull << REGS_OLD_EFER;
	assert_true(regs_cpl_is_old(&r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table_is_sound),
	    cmocka_unit_test(test_each_has_its_own_place),
	    cmocka_unit_test(test_narrow_views),
	    cmocka_unit_test(test_linear_views),
	    cmocka_unit_test(test_every_narrow_view_by_name),
	    cmocka_unit_test(test_range),
	    cmocka_unit_test(test_segments),
	    cmocka_unit_test(test_wide),
	    cmocka_unit_test(test_flags_text),
	    cmocka_unit_test(test_modes),
	    cmocka_unit_test(test_old),
	    cmocka_unit_test(test_old_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
