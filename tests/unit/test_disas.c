/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The disassembler in its three widths: text, lengths, kinds and targets of instructions whose encoding is known.
 */
#include "core/cpu/disas.h"
#include "core/cpu/regs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct disas *dis;

static int setup(void **state)
{
	(void)state;
	return disas_create(&dis, NULL);
}

static int teardown(void **state)
{
	(void)state;
	disas_destroy(dis);
	return 0;
}

struct sample {
	unsigned bits;
	uint64_t addr;
	const char *bytes;
	size_t n;
	unsigned len;
	const char *text;
	enum insn_kind kind;
	uint64_t target;
};
#define CODE(s) s, sizeof(s) - 1

static const struct sample samples[] = {
    {64, 0x1000, CODE("\x90"), 1, "nop ", INSN_PLAIN, 0},
    {64, 0x1000, CODE("\xe8\xfb\x00\x00\x00"), 5, "call 0x1100", INSN_CALL, 0x1100},
    {64, 0x1000, CODE("\xeb\xfe"), 2, "jmp 0x1000", INSN_JUMP, 0x1000},
    {64, 0xffffffff80000000, CODE("\xe9\x00\x01\x00\x00"), 5, "jmp 0xffffffff80000105", INSN_JUMP, 0xffffffff80000105},
    {64, 0x1000, CODE("\x0f\x84\x10\x00\x00\x00"), 6, "je 0x1016", INSN_JUMP, 0x1016},
    {64, 0x1000, CODE("\xff\xd0"), 2, "call rax", INSN_CALL, 0},
    {64, 0x1000, CODE("\xff\x10"), 2, "call qword ptr [rax]", INSN_CALL, 0},
    {64, 0x1000, CODE("\xff\xe0"), 2, "jmp rax", INSN_JUMP, 0},
    {64, 0x1000, CODE("\xc3"), 1, "ret ", INSN_RET, 0},
    {64, 0x1000, CODE("\xcd\x80"), 2, "int 0x80", INSN_INT, 0},
    {64, 0x1000, CODE("\xcc"), 1, "int3 ", INSN_INT, 0},
    {64, 0x1000, CODE("\x0f\x05"), 2, "syscall ", INSN_SYSCALL, 0},
    {64, 0x1000, CODE("\x48\x0f\x07"), 3, "sysret ", INSN_IRET, 0},
    {64, 0x1000, CODE("\x48\xcf"), 2, "iretq ", INSN_IRET, 0},
    {64, 0x1000, CODE("\xf3\x48\xa5"), 3, "rep movsq qword ptr [rdi], qword ptr [rsi]", INSN_REP, 0},
    {64, 0x1000, CODE("\x48\xa5"), 2, "movsq qword ptr [rdi], qword ptr [rsi]", INSN_PLAIN, 0},
    {64, 0x1000, CODE("\xf3\x90"), 2, "pause ", INSN_PLAIN, 0},
    {64, 0x1000, CODE("\x9c"), 1, "pushfq ", INSN_PUSHF, 0},
    {64, 0x1000, CODE("\x9d"), 1, "popfq ", INSN_POPF, 0},
    {64, 0x1000, CODE("\xf4"), 1, "hlt ", INSN_HLT, 0},
    {64, 0x1000, CODE("\x0f\xaa"), 2, "rsm ", INSN_RSM, 0},
    {64, 0x1000, CODE("\x8e\xd0"), 2, "mov ss, eax", INSN_MOV_SS, 0},
    {64, 0x1000, CODE("\x8e\xd8"), 2, "mov ds, eax", INSN_PLAIN, 0},
    {64, 0x1000, CODE("\x48\x8b\x05\x10\x00\x00\x00"), 7, "mov rax, qword ptr [rip + 0x10]", INSN_PLAIN, 0},
    {64, 0x1000, CODE("\xea\x00\x00\x00\x00"), 0, ".byte 0xea", INSN_PLAIN, 0},
    {64, 0x1000, CODE("\xe8\xfb\x00"), 0, ".byte 0xe8", INSN_PLAIN, 0},
    {32, 0x8000, CODE("\x40"), 1, "inc eax", INSN_PLAIN, 0},
    {32, 0x8000, CODE("\xe8\xfb\xff\xff\xff"), 5, "call 0x8000", INSN_CALL, 0x8000},
    {32, 0xfffffff0, CODE("\xeb\x10"), 2, "jmp 2", INSN_JUMP, 2},
    {32, 0x8000, CODE("\x17"), 1, "pop ss", INSN_MOV_SS, 0},
    {32, 0x8000, CODE("\xce"), 1, "into ", INSN_INT, 0},
    {32, 0x8000, CODE("\x0f\x34"), 2, "sysenter ", INSN_SYSCALL, 0},
    {32, 0x8000, CODE("\xf3\xaa"), 2, "rep stosb byte ptr es:[edi], al", INSN_REP, 0},
    {16, 0x7c00, CODE("\xb8\x34\x12"), 3, "mov ax, 0x1234", INSN_PLAIN, 0},
    {16, 0x7c00, CODE("\xe8\x10\x00"), 3, "call 0x7c13", INSN_CALL, 0x7c13},
    {16, 0x38000, CODE("\xe8\x10\x00"), 3, "call 0x38013", INSN_CALL, 0x38013},
    {16, 0x38000, CODE("\xeb\xf0"), 2, "jmp 0x37ff2", INSN_JUMP, 0x37ff2},
    {16, 0x7c00, CODE("\xea\x00\x80\x08\x00"), 5, "ljmp 8:0x8000", INSN_JUMP, 0},
    {16, 0x7c00, CODE("\xcd\x10"), 2, "int 0x10", INSN_INT, 0},
    {16, 0x7c00, CODE("\x66\xb8\x78\x56\x34\x12"), 6, "mov eax, 0x12345678", INSN_PLAIN, 0},
    /* 66, F2 and F3 that belong to an SSE opcode */
    {16, 0x7c00, CODE("\x66\x0f\x6f\x07"), 4, "movdqa xmm0, xmmword ptr [bx]", INSN_PLAIN, 0},
    {16, 0x7c00, CODE("\xf3\x0f\x6f\x47\x10"), 5, "movdqu xmm0, xmmword ptr [bx + 0x10]", INSN_PLAIN, 0},
    {16, 0x7c00, CODE("\xf2\x0f\x58\xc1"), 4, "addsd xmm0, xmm1", INSN_PLAIN, 0},
    {16, 0x7c00, CODE("\x67\x66\x0f\xef\x03"), 5, "pxor xmm0, xmmword ptr [ebx]", INSN_PLAIN, 0},
    {16, 0x7c00, CODE("\x64\xf3\x0f\x10\x07"), 5, "movss xmm0, dword ptr fs:[bx]", INSN_PLAIN, 0},
    {16, 0x7c00, CODE("\x0f\x28\xc1"), 3, "movaps xmm0, xmm1", INSN_PLAIN, 0},
};

static void check_sample(const struct sample *s)
{
	struct insn insn;
	char text[256];
	bool ok = disas_one(dis, s->bits, s->addr, (const uint8_t *)s->bytes, s->n, &insn);

	snprintf(text, sizeof(text), "%s %s", insn.mnemonic, insn.operands);
	assert_string_equal(text, s->text);
	assert_int_equal(ok, s->len != 0);
	assert_int_equal(insn.len, s->len);
	assert_int_equal(insn.addr, s->addr);
	assert_int_equal(insn.kind, s->kind);
	assert_int_equal(insn.target, s->target);
	assert_memory_equal(insn.bytes, s->bytes, s->len ? s->len : 1);
}

static void test_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		check_sample(&samples[i]);
}

static void test_no_bytes(void **state)
{
	struct insn insn;

	(void)state;
	assert_false(disas_one(dis, 64, 0x10, (const uint8_t *)"", 0, &insn));
	assert_int_equal(insn.len, 0);
	assert_string_equal(insn.mnemonic, ".byte");
}

/* The kind by bytes must not read past what there is. */
static void test_kind_of_prefixes_only(void **state)
{
	static const uint8_t prefixes[15] = {0xf3, 0x66, 0x67, 0xf2, 0x2e, 0x3e, 0x26, 0x36, 0x64, 0x65, 0xf0};

	(void)state;
	for (size_t n = 0; n <= 11; n++)
		assert_int_equal(disas_kind(64, prefixes, n), INSN_PLAIN);
	assert_int_equal(disas_kind(64, (const uint8_t *)"\x48", 1), INSN_PLAIN);
	assert_int_equal(disas_kind(64, (const uint8_t *)"\x0f", 1), INSN_PLAIN);
	assert_int_equal(disas_kind(64, (const uint8_t *)"\xff", 1), INSN_PLAIN);
	assert_int_equal(disas_kind(32, (const uint8_t *)"\x48", 1), INSN_PLAIN);
}

/* Conditional jumps by flags and by count, with prefixes, in every width. */
static void test_taken(void **state)
{
	static const struct {
		const char *code;
		unsigned n, bits;
		uint64_t rflags, rcx;
		int taken;
	} t[] = {
	    {"\x74\x00", 2, 64, RFLAGS_ZF, 0, 1},
	    {"\x74\x00", 2, 64, 0, 0, 0},
	    {"\x75\x00", 2, 32, 0, 0, 1},
	    {"\x0f\x82", 2, 64, RFLAGS_CF, 0, 1}, /* jb */
	    {"\x76\x00", 2, 64, RFLAGS_ZF, 0, 1}, /* jbe */
	    {"\x77\x00", 2, 64, RFLAGS_CF, 0, 0},
	    {"\x70\x00", 2, 16, RFLAGS_OF, 0, 1},
	    {"\x78\x00", 2, 16, RFLAGS_SF, 0, 1},
	    {"\x7b\x00", 2, 16, RFLAGS_PF, 0, 0},
	    {"\x7c\x00", 2, 64, RFLAGS_SF | RFLAGS_OF, 0, 0}, /* jl */
	    {"\x7c\x00", 2, 64, RFLAGS_OF, 0, 1},
	    {"\x7e\x00", 2, 64, RFLAGS_ZF, 0, 1},
	    {"\x7f\x00", 2, 64, 0, 0, 1},
	    {"\x2e\x74\x00", 3, 64, RFLAGS_ZF, 0, 1},
	    {"\xf2\x48\x0f\x85", 4, 64, RFLAGS_ZF, 0, 0},
	    {"\xe3\x00", 2, 64, 0, 0x100000000, 0}, /* jrcxz */
	    {"\x67\xe3\x00", 3, 64, 0, 0x100000000, 1},
	    {"\xe3\x00", 2, 32, 0, 0x100000000, 1},
	    {"\xe3\x00", 2, 16, 0, 0x10000, 1},
	    {"\x67\xe3\x00", 3, 16, 0, 0x10000, 0},
	    {"\x67\xe3\x00", 3, 32, 0, 0x10000, 1},
	    {"\xe2\x00", 2, 64, 0, 1, 0},
	    {"\xe2\x00", 2, 64, 0, 0, 1},
	    {"\xe1\x00", 2, 64, RFLAGS_ZF, 2, 1},
	    {"\xe0\x00", 2, 64, RFLAGS_ZF, 2, 0},
	    {"\xe0\x00", 2, 64, 0, 2, 1},
	    {"\xeb\x00", 2, 64, 0, 0, -1},
	    {"\x90\x90", 2, 64, 0, 0, -1},
	    {"\x74", 1, 64, RFLAGS_ZF, 0, -1},
	    {"\x0f", 1, 64, 0, 0, -1},
	    {"\x48", 1, 64, 0, 0, -1},
	    {"", 0, 64, 0, 0, -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		if (disas_taken(t[i].bits, (const uint8_t *)t[i].code, t[i].n, t[i].rflags, t[i].rcx) != t[i].taken)
			fail_msg("row %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_samples),
	    cmocka_unit_test(test_no_bytes),
	    cmocka_unit_test(test_kind_of_prefixes_only),
	    cmocka_unit_test(test_taken),
	};
	return cmocka_run_group_tests_name("disas", tests, setup, teardown);
}
