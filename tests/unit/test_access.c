/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which memory an instruction touches, by its bytes and registers.
 */
#include "core/cpu/access.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct access_decoder *decoder;

static int setup(void **state)
{
	(void)state;
	return access_decoder_create(&decoder, NULL);
}

static int teardown(void **state)
{
	(void)state;
	access_decoder_destroy(decoder);
	return 0;
}

struct expected {
	const char *code;
	size_t n;
	int count;
	struct insn_access a[2];
};
#define INSN(s) s, sizeof(s) - 1

static void check(const struct access_regs *r, const struct expected *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct insn_access a[ACCESSES_MAX];

		int got = access_decode(decoder, r, (const uint8_t *)x[i].code, x[i].n, a);
		if (got != x[i].count)
			fail_msg("row %zu: %d accesses, not %d", i, got, x[i].count);
		for (int k = 0; k < got; k++)
			if (a[k].linear != x[i].a[k].linear || a[k].len != x[i].a[k].len || a[k].read != x[i].a[k].read ||
			    a[k].write != x[i].a[k].write)
				fail_msg("row %zu, access %d: %#llx len %u %s%s", i, k, (unsigned long long)a[k].linear,
					 a[k].len, a[k].read ? "r" : "", a[k].write ? "w" : "");
	}
}

static const struct expected in_long_mode[] = {
    {INSN("\x48\x89\x03"), 1, {{0x5000, 8, false, true}}},			 /* mov [rbx], rax */
    {INSN("\x8b\x43\x04"), 1, {{0x5004, 4, true, false}}},			 /* mov eax, [rbx+4] */
    {INSN("\xff\x04\x25\x00\x60\x00\x00"), 1, {{0x6000, 4, true, true}}},	 /* inc dword [0x6000] */
    {INSN("\x80\x3c\x8b\x00"), 1, {{0x5040, 1, true, false}}},			 /* cmp byte [rbx+rcx*4], 0 */
    {INSN("\x48\x8d\x43\x08"), 0, {{0}}},					 /* lea rax, [rbx+8] */
    {INSN("\x50"), 1, {{0x6ff8, 8, false, true}}},				 /* push rax */
    {INSN("\x58"), 1, {{0x7000, 8, true, false}}},				 /* pop rax */
    {INSN("\xe8\x00\x00\x00\x00"), 1, {{0x6ff8, 8, false, true}}},		 /* call */
    {INSN("\xc3"), 1, {{0x7000, 8, true, false}}},				 /* ret */
    {INSN("\xc9"), 1, {{0x7100, 8, true, false}}},				 /* leave */
    {INSN("\xff\x33"), 2, {{0x5000, 8, true, false}, {0x6ff8, 8, false, true}}}, /* push qword [rbx] */
    {INSN("\xf0\x0f\xb1\x13"), 1, {{0x5000, 4, true, true}}},			 /* lock cmpxchg [rbx], edx */
    {INSN("\xf0\x0f\xc1\x0b"), 1, {{0x5000, 4, true, true}}},			 /* lock xadd [rbx], ecx */
    {INSN("\x87\x0b"), 1, {{0x5000, 4, true, true}}},				 /* xchg [rbx], ecx */
    {INSN("\x0f\xc7\x0b"), 1, {{0x5000, 8, true, true}}},			 /* cmpxchg8b [rbx] */
    {INSN("\x48\x0f\xc7\x0b"), 1, {{0x5000, 16, true, true}}},			 /* cmpxchg16b [rbx] */
    {INSN("\x0f\xae\x03"), 1, {{0x5000, 512, false, true}}},			 /* fxsave [rbx] */
    {INSN("\x0f\xba\x2b\x03"), 1, {{0x5000, 4, true, true}}},			 /* bts dword [rbx], 3 */
    {INSN("\x0f\x94\x03"), 1, {{0x5000, 1, false, true}}},			 /* sete [rbx] */
    {INSN("\xf7\x1b"), 1, {{0x5000, 4, true, true}}},				 /* neg dword [rbx] */
    {INSN("\xd1\x23"), 1, {{0x5000, 4, true, true}}},				 /* shl dword [rbx], 1 */
    {INSN("\x8c\x1b"), 1, {{0x5000, 2, false, true}}},				 /* mov [rbx], ds */
    {INSN("\x0f\x01\x03"), 1, {{0x5000, 10, false, true}}},			 /* sgdt [rbx] */
    {INSN("\xd7"), 1, {{0x5042, 1, true, false}}},				 /* xlatb, al 0x42 */
    {INSN("\xcd\x80"), -1, {{0}}},						 /* int 0x80 */
    {INSN("\xc0\x03\x01"), 1, {{0x5000, 1, true, true}}},			 /* rol byte [rbx], 1 */
    {INSN("\xd9\x1b"), 1, {{0x5000, 4, false, true}}},				 /* fstp dword [rbx] */
    {INSN("\xdf\x3b"), 1, {{0x5000, 8, false, true}}},				 /* fistp qword [rbx] */
    {INSN("\xd9\x3b"), 1, {{0x5000, 2, false, true}}},				 /* fnstcw [rbx] */
    {INSN("\x0f\x38\xf1\x03"), 1, {{0x5000, 4, false, true}}},			 /* movbe [rbx], eax */
    {INSN("\x0f\xe7\x03"), 1, {{0x5000, 8, false, true}}},			 /* movntq [rbx], mm0 */
    {INSN("\x66\x0f\x3a\x16\x03\x01"), 1, {{0x5000, 4, false, true}}},		 /* pextrd [rbx], xmm0, 1 */
    {INSN("\xc5\xfc\x11\x03"), 1, {{0x5000, 32, false, true}}},			 /* vmovups [rbx], ymm0 */
    {INSN("\xc5\xfc\x10\x03"), 1, {{0x5000, 32, true, false}}},			 /* vmovups ymm0, [rbx] */
    {INSN("\xf7\x03\x01\x00\x00\x00"), 1, {{0x5000, 4, true, false}}},		 /* test dword [rbx], 1 */
    {INSN("\xd8\x03"), 1, {{0x5000, 4, true, false}}},				 /* fadd dword [rbx] */
    {INSN("\xa6"), 2, {{0x8000, 1, true, false}, {0x9000, 1, true, false}}},	 /* cmpsb */
    {INSN("\x0f\xae\x23"), -1, {{0}}},						 /* xsave [rbx] */
    {INSN("\x0f\xae\x1b"), 1, {{0x5000, 4, false, true}}},			 /* stmxcsr [rbx] */
    {INSN("\xdb\x3b"), 1, {{0x5000, 10, false, true}}},				 /* fstp tbyte [rbx] */
    {INSN("\x66\x0f\xd6\x03"), 1, {{0x5000, 8, false, true}}},			 /* movq [rbx], xmm0 */
    {INSN("\x8f\x03"), 2, {{0x7000, 8, true, false}, {0x5000, 8, false, true}}}, /* pop qword [rbx] */
    {INSN("\xf3\xaa"), 1, {{0x9000, 1, false, true}}},				 /* rep stosb */
    {INSN("\x48\xa5"), 2, {{0x8000, 8, true, false}, {0x9000, 8, false, true}}}, /* movsq */
    {INSN("\x8b\x05\x10\x00\x00\x00"), 1, {{0x1016, 4, true, false}}},		 /* mov eax, [rip+0x10] */
    {INSN("\x64\x8b\x04\x25\x10\x00\x00\x00"), 1, {{0x20010, 4, true, false}}},	 /* mov eax, fs:[0x10] */
    {INSN("\x0f\x11\x03"), 1, {{0x5000, 16, false, true}}},			 /* movups [rbx], xmm0 */
    {INSN("\x0f\x1f\x00"), 0, {{0}}},						 /* nop [rax] */
    {INSN("\x0f\xa3\x03"), -1, {{0}}},						 /* bt [rbx], eax */
    {INSN("\x90"), 0, {{0}}},
    {INSN("\x06"), -1, {{0}}}, /* no instruction */
};

static void long_mode(void **state)
{
	struct access_regs r = {.bits = 64, .rip = 0x1000};

	(void)state;
	r.gpr[RAX] = 0x42;
	r.gpr[RBX] = 0x5000;
	r.gpr[RCX] = 16;
	r.gpr[RSP] = 0x7000;
	r.gpr[RBP] = 0x7100;
	r.gpr[RSI] = 0x8000;
	r.gpr[RDI] = 0x9000;
	r.base[SEG_FS] = 0x20000;
	check(&r, in_long_mode, sizeof(in_long_mode) / sizeof(in_long_mode[0]));
}

static void real_mode(void **state)
{
	struct access_regs r = {.bits = 16, .rip = 0x100};
	static const struct expected x[] = {
	    {INSN("\x89\x07"), 1, {{0x15000, 2, false, true}}},	    /* mov [bx], ax */
	    {INSN("\x8b\x46\x02"), 1, {{0x27102, 2, true, false}}}, /* mov ax, [bp+2] */
	    {INSN("\x50"), 1, {{0x2fffe, 2, false, true}}},	    /* push ax, sp 0: wraps to 0xfffe */
	    {INSN("\xaa"), 1, {{0x39000, 1, false, true}}},	    /* stosb */
	    {INSN("\x26\x8a\x07"), 1, {{0x35000, 1, true, false}}}, /* mov al, es:[bx] */
	};

	(void)state;
	r.gpr[RBX] = 0x5000;
	r.gpr[RBP] = 0x7100;
	r.gpr[RDI] = 0x9000;
	r.base[SEG_DS] = 0x10000;
	r.base[SEG_SS] = 0x20000;
	r.base[SEG_ES] = 0x30000;
	check(&r, x, sizeof(x) / sizeof(x[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(long_mode), cmocka_unit_test(real_mode)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
