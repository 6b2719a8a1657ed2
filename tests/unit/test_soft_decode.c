/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The decoder by itself, without a CPU and without memory: operations and operands of a few instructions, and a handler for
 * whatever it can decode.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "core/cpu/regs.h"
#include "core/soft/cpu.h"
#include "core/soft/decode.h"

static struct decoder *dec;

static struct uop decode(unsigned bits, const char *code, unsigned n)
{
	uint8_t bytes[16] = {0};
	struct uop u;

	memcpy(bytes, code, n);
	assert_true(decoder_decode(dec, bits, 0x1000, bytes, 15, &u));
	assert_int_equal(u.len, n);
	return u;
}
#define DECODE(bits, code) decode(bits, code, sizeof(code) - 1)

static bool can_decode(unsigned bits, const char *code, unsigned n)
{
	uint8_t bytes[16] = {0};
	struct uop u;

	memcpy(bytes, code, n);
	return decoder_decode(dec, bits, 0x1000, bytes, 15, &u) && u.op != OP_ud;
}

static void operations(void **state)
{
	(void)state;
	assert_int_equal(DECODE(64, "\x90").op, OP_nop);
	assert_int_equal(DECODE(64, "\x48\x01\xd8").op, op_of_alu(ALU_ADD, 3, FORM_RR));
	assert_int_equal(DECODE(64, "\x66\x83\x28\x05").op, op_of_alu(ALU_SUB, 1, FORM_MI));
	assert_int_equal(DECODE(32, "\x84\x08").op, op_of_alu(ALU_TEST, 0, FORM_MR));
	assert_int_equal(DECODE(64, "\x48\xf7\xd8").op, op_of_unary(UNARY_NEG, 3, false));
	assert_int_equal(DECODE(32, "\xff\x08").op, op_of_unary(UNARY_DEC, 2, true));
	assert_int_equal(DECODE(16, "\x75\xfe").op, op_of_jcc(5));
	assert_int_equal(DECODE(64, "\x0f\x05").op, OP_syscall);
	assert_int_equal(DECODE(64, "\x66\x0f\xef\xc1").op, OP_sse);
	assert_int_equal(DECODE(64, "\xd9\xc0").op, OP_unsupported);
	assert_int_equal(DECODE(64, "\xf0\x48\x03\x00").op, OP_ud); /* LOCK without a memory destination */
}

/* Whatever stands in rm. */
static void fences(void **state)
{
	(void)state;
	for (unsigned modrm = 0xe8; modrm <= 0xff; modrm++) {
		const char code[] = {0x0f, (char)0xae, (char)modrm}, rex[] = {0x41, 0x0f, (char)0xae, (char)modrm};

		assert_int_equal(decode(64, code, 3).op, OP_nop);
		assert_int_equal(decode(32, code, 3).op, OP_nop);
		assert_int_equal(decode(16, code, 3).op, OP_nop);
		assert_int_equal(decode(64, rex, 4).op, OP_nop);
	}
	assert_false(can_decode(64, "\xf0\x0f\xae\xfd", 4)); /* LOCK */
	assert_false(can_decode(64, "\xf2\x0f\xae\xfd", 4));
}

/* 66, F2 and F3 are a part of these opcodes in 16-bit code too. */
static void sse_in_16_bits(void **state)
{
	(void)state;
	assert_int_equal(DECODE(16, "\x66\x0f\xef\xc1").op, OP_sse); /* pxor xmm0, xmm1 */
	assert_int_equal(DECODE(32, "\x66\x0f\x7e\x07").op, DECODE(16, "\x66\x0f\x7e\x05").op);
	assert_int_equal(DECODE(16, "\x66\x64\x0f\x7e\x05").seg, SEG_FS);
	assert_int_equal(DECODE(16, "\xf2\x0f\x11\x05").opsize, 8); /* movsd [di], xmm0 */
	assert_int_equal(DECODE(16, "\xf3\x0f\x11\x05").opsize, 4);
	assert_int_equal(DECODE(16, "\x0f\x11\x05").opsize, 16);
	struct uop u = DECODE(16, "\x36\x66\x0f\xd6\x40\xfc"); /* movq ss:[bx + si - 4], xmm0 */
	assert_int_equal(u.base, 8 * RBX);
	assert_int_equal(u.index, 8 * RSI);
	assert_int_equal(u.disp, -4);
	assert_int_equal(u.seg, SEG_SS);
	assert_int_equal(u.addrsize, 2);
	u = DECODE(16, "\x67\x66\x0f\xd6\x04\x8b"); /* movq [ebx + ecx*4], xmm0 */
	assert_int_equal(u.index, 8 * RCX);
	assert_int_equal(u.addrsize, 4);
}

static void operands(void **state)
{
	struct uop u = DECODE(64, "\x64\x48\x8b\x44\x8d\xf8"); /* mov rax, fs:[rbp + rcx*4 - 8] */

	(void)state;
	assert_int_equal(u.op, op_of_alu(ALU_MOV, 3, FORM_RM));
	assert_int_equal(u.dst, 8 * RAX);
	assert_int_equal(u.base, 8 * RBP);
	assert_int_equal(u.index, 8 * RCX);
	assert_int_equal(u.scale, 2);
	assert_int_equal(u.seg, SEG_FS);
	assert_int_equal(u.disp, -8);
	assert_true(u.mem_src);
	u = DECODE(16, "\x75\xfe");
	assert_int_equal(u.imm, 0x1000);
	assert_true(u.last);
	u = DECODE(32, "\x88\xe3"); /* mov bl, ah */
	assert_int_equal(u.dst, 8 * RBX);
	assert_int_equal(u.src, 8 * RAX + 1);
}

static void not_an_instruction(void **state)
{
	static const uint8_t push_es[16] = {0x06}; /* not in 64-bit code */
	static const uint8_t cut[16] = {0x48, 0xb8, 1, 2, 3};
	struct uop u;

	(void)state;
	assert_false(decoder_decode(dec, 64, 0, push_es, 15, &u));
	assert_true(decoder_decode(dec, 32, 0, push_es, 15, &u));
	assert_false(decoder_decode(dec, 64, 0, cut, 5, &u));
}

/* Every opcode of one and two bytes, with and without prefixes, register and memory operands. */
static void each_has_a_handler(void **state)
{
	static const uint8_t modrm[] = {0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0xc1, 0xc9, 0xd1, 0xd9, 0xe1, 0xf8};
	static const uint8_t prefix[] = {0x3e, 0x66, 0xf2, 0xf3, 0xf0, 0x48};
	unsigned decoded = 0;

	(void)state;
	for (unsigned i = 0; i < 512 * ARRAY_LEN(modrm) * ARRAY_LEN(prefix) * 3; i++) {
		unsigned op = i % 512, rest = i / 512, bits = 16u << rest % 3, k = 0;
		uint8_t code[16] = {0};
		struct uop u;
		code[k++] = prefix[rest / 3 % ARRAY_LEN(prefix)];
		if (op > 255)
			code[k++] = 0x0f;
		code[k++] = (uint8_t)op;
		code[k] = modrm[rest / 3 / ARRAY_LEN(prefix)];
		if (!decoder_decode(dec, bits, 0x1000, code, 15, &u))
			continue;
		decoded++;
		assert_true(u.op < OP_COUNT);
		assert_non_null(exec_handler((enum soft_op)u.op));
	}
	assert_true(decoded > 10000);
}

static int group_setup(void **state)
{
	struct err e = {0};

	(void)state;
	return decoder_create(&dec, &e);
}

static int group_teardown(void **state)
{
	(void)state;
	decoder_destroy(dec);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(operations),	  cmocka_unit_test(fences),
	    cmocka_unit_test(sse_in_16_bits),	  cmocka_unit_test(operands),
	    cmocka_unit_test(not_an_instruction), cmocka_unit_test(each_has_a_handler),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
