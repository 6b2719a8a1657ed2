/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which memory an instruction touches, by its bytes and registers.
 */
#include "core/cpu/access.h"
#include "core/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

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
	struct insn_access a[4];
};
#define INSN(s) s, sizeof(s) - 1

static void check(const struct access_regs *r, const struct expected *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct insn_access a[ACCESSES_MAX];

		int got = access_decode(decoder, r, (const uint8_t *)x[i].code, x[i].n, a);
		if (got != x[i].count)
			fail_msg("row %zu (%02x %02x %02x): %d accesses, not %d", i, (uint8_t)x[i].code[0],
				 (uint8_t)x[i].code[1], (uint8_t)x[i].code[2], got, x[i].count);
		for (int k = 0; k < got; k++)
			if (a[k].linear != x[i].a[k].linear || a[k].len != x[i].a[k].len || a[k].read != x[i].a[k].read ||
			    a[k].write != x[i].a[k].write)
				fail_msg("row %zu, access %d: %#llx len %u %s%s", i, k, (unsigned long long)a[k].linear,
					 a[k].len, a[k].read ? "r" : "", a[k].write ? "w" : "");
	}
}

static const struct expected in_long_mode[] = {
    {INSN("\x48\x89\x03"), 1, {{0x5000, 8, false, true}}},			     /* mov [rbx], rax */
    {INSN("\x8b\x43\x04"), 1, {{0x5004, 4, true, false}}},			     /* mov eax, [rbx+4] */
    {INSN("\xff\x04\x25\x00\x60\x00\x00"), 1, {{0x6000, 4, true, true}}},	     /* inc dword [0x6000] */
    {INSN("\x80\x3c\x8b\x00"), 1, {{0x5040, 1, true, false}}},			     /* cmp byte [rbx+rcx*4], 0 */
    {INSN("\x48\x8d\x43\x08"), 0, {{0}}},					     /* lea rax, [rbx+8] */
    {INSN("\x50"), 1, {{0x6ff8, 8, false, true}}},				     /* push rax */
    {INSN("\x58"), 1, {{0x7000, 8, true, false}}},				     /* pop rax */
    {INSN("\xe8\x00\x00\x00\x00"), 1, {{0x6ff8, 8, false, true}}},		     /* call */
    {INSN("\xc3"), 1, {{0x7000, 8, true, false}}},				     /* ret */
    {INSN("\xc9"), 1, {{0x7100, 8, true, false}}},				     /* leave */
    {INSN("\xff\x33"), 2, {{0x5000, 8, true, false}, {0x6ff8, 8, false, true}}},     /* push qword [rbx] */
    {INSN("\xf0\x0f\xb1\x13"), 1, {{0x5000, 4, true, true}}},			     /* lock cmpxchg [rbx], edx */
    {INSN("\xf0\x0f\xc1\x0b"), 1, {{0x5000, 4, true, true}}},			     /* lock xadd [rbx], ecx */
    {INSN("\x87\x0b"), 1, {{0x5000, 4, true, true}}},				     /* xchg [rbx], ecx */
    {INSN("\x0f\xc7\x0b"), 1, {{0x5000, 8, true, true}}},			     /* cmpxchg8b [rbx] */
    {INSN("\x48\x0f\xc7\x0b"), 1, {{0x5000, 16, true, true}}},			     /* cmpxchg16b [rbx] */
    {INSN("\x0f\xba\x2b\x03"), 1, {{0x5000, 4, true, true}}},			     /* bts dword [rbx], 3 */
    {INSN("\x0f\x94\x03"), 1, {{0x5000, 1, false, true}}},			     /* sete [rbx] */
    {INSN("\xf7\x1b"), 1, {{0x5000, 4, true, true}}},				     /* neg dword [rbx] */
    {INSN("\xd1\x23"), 1, {{0x5000, 4, true, true}}},				     /* shl dword [rbx], 1 */
    {INSN("\x8c\x1b"), 1, {{0x5000, 2, false, true}}},				     /* mov [rbx], ds */
    {INSN("\x0f\x01\x03"), 2, {{0x5002, 8, false, true}, {0x5000, 2, false, true}}}, /* sgdt [rbx] */
    {INSN("\x0f\x01\x13"), 2, {{0x5000, 2, true, false}, {0x5002, 8, true, false}}}, /* lgdt [rbx] */
    {INSN("\xc8\x20\x00\x02"),
     4,
     {{0x6ff8, 8, false, true},
      {0x70f8, 8, true, false},
      {0x6ff0, 8, false, true},
      {0x6fe8, 8, false, true}}},							 /* enter 32, 2 */
    {INSN("\x8f\x44\x24\x08"), 2, {{0x7000, 8, true, false}, {0x7010, 8, false, true}}}, /* pop qword [rsp+8] */
    {INSN("\xff\x1b"),
     4,
     {{0x5000, 4, true, false},
      {0x5004, 2, true, false},
      {0x6ffc, 4, false, true},
      {0x6ff8, 4, false, true}}},						 /* call far [rbx] */
    {INSN("\xc5\xfa\x11\x03"), 1, {{0x5000, 4, false, true}}},			 /* vmovss [rbx], xmm0 */
    {INSN("\xc4\xe2\x79\x2e\x03"), -1, {{0}}},					 /* vmaskmovps [rbx], xmm0, xmm0 */
    {INSN("\xf2\x0f\x11\x03"), 1, {{0x5000, 8, false, true}}},			 /* movsd [rbx], xmm0 */
    {INSN("\x48\x0f\xab\x03"), 1, {{0x5008, 8, true, true}}},			 /* bts [rbx], rax, rax 0x42 */
    {INSN("\x66\x0f\xbb\x13"), 1, {{0x4ffe, 2, true, true}}},			 /* btc [rbx], dx, dx -1 */
    {INSN("\x0f\xb3\x13"), 1, {{0x4ffc, 4, true, true}}},			 /* btr [rbx], edx, edx -1 */
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
    {INSN("\x66\xf3\xab"), 1, {{0x9000, 2, false, true}}},			 /* rep stosw, 66 first */
    {INSN("\xf3\x48\xab"), 1, {{0x9000, 8, false, true}}},			 /* rep stosq */
    {INSN("\x0f\x1f\x00"), 0, {{0}}},						 /* nop [rax] */
    {INSN("\x0f\xa3\x03"), 1, {{0x5008, 4, true, false}}},			 /* bt [rbx], eax */
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
	r.gpr[RDX] = ~0ull;
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
	    {INSN("\x89\x07"), 1, {{0x15000, 2, false, true}}},		    /* mov [bx], ax */
	    {INSN("\x8b\x46\x02"), 1, {{0x27102, 2, true, false}}},	    /* mov ax, [bp+2] */
	    {INSN("\x50"), 1, {{0x2fffe, 2, false, true}}},		    /* push ax, sp 0: wraps to 0xfffe */
	    {INSN("\xaa"), 1, {{0x39000, 1, false, true}}},		    /* stosb */
	    {INSN("\x26\x8a\x07"), 1, {{0x35000, 1, true, false}}},	    /* mov al, es:[bx] */
	    {INSN("\x66\x0f\x7f\x07"), 1, {{0x15000, 16, false, true}}},    /* movdqa [bx], xmm0 */
	    {INSN("\xf2\x0f\x10\x07"), 1, {{0x15000, 8, true, false}}},	    /* movsd xmm0, [bx] */
	    {INSN("\xf3\x0f\x7e\x46\x02"), 1, {{0x27102, 8, true, false}}}, /* movq xmm0, [bp+2] */
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

/* 464 bytes of FXSAVE, 16 at a time; the last 48 are software's. */
static void wide_state(void **state)
{
	struct access_regs r = {.bits = 64};
	struct insn_access a[ACCESSES_MAX];

	(void)state;
	r.gpr[RBX] = 0x5000;
	assert_int_equal(access_decode(decoder, &r, (const uint8_t *)"\x0f\xae\x03", 3, a), 29);
	assert_int_equal(a[28].linear, 0x5000 + 448);
	assert_true(a[28].write && !a[28].read && a[28].len == 16);
	assert_int_equal(access_decode(decoder, &r, (const uint8_t *)"\x0f\xae\x0b", 3, a), 32);
	assert_true(a[31].read && !a[31].write);
	/* fnstenv: seven words of 4 bytes */
	assert_int_equal(access_decode(decoder, &r, (const uint8_t *)"\xd9\x33", 2, a), 7);
	assert_true(a[6].linear == 0x5018 && a[6].len == 4 && a[6].write);
	/* enter 0, 31: 32 pushes and 30 reads */
	assert_int_equal(access_decode(decoder, &r, (const uint8_t *)"\xc8\x00\x00\x1f", 4, a), 62);
}

static void modifies(void **state)
{
	static const struct {
		const char *code;
		size_t n;
		bool yes;
	} x[] = {{INSN("\x01\x03"), true},	{INSN("\x89\x03"), false},	  {INSN("\x0f\xb1\x13"), true},
		 {INSN("\x3b\x03"), false},	{INSN("\x87\x03"), true},	  {INSN("\x01\xd8"), false},
		 {INSN("\x48\x8d\x03"), false}, {INSN("\xf0\x0f\xc7\x0b"), true}, {INSN("\x0f\xab\x03"), true},
		 {INSN("\x0f\xa3\x03"), false}, {INSN("\xff\x33"), false},	  {INSN("\xd1\x23"), true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		if (access_modifies(decoder, 64, (const uint8_t *)x[i].code, x[i].n) != x[i].yes)
			fail_msg("row %zu", i);
}

/* Iterations by the registers before and after: up, down, with an early end, with addresses that wrap at 16 bits. */
static void rep_ranges(void **state)
{
	struct access_regs before = {.bits = 32}, after;
	struct insn_access a[ACCESSES_MAX];
	struct access_rep s;

	(void)state;
	before.gpr[RSI] = 0x5000;
	before.gpr[RDI] = 0x6000;
	before.gpr[RCX] = 10;
	after = before;
	assert_true(access_rep_decode(decoder, &before, (const uint8_t *)"\xf3\xa5", 2, &s)); /* rep movsd */
	assert_true(s.size == 4 && s.source && s.dest && s.dest_write);
	after.gpr[RSI] -= 12;
	after.gpr[RDI] -= 12;
	after.gpr[RCX] = 7;
	assert_int_equal(access_rep_count(&s, &before, &after), 3);
	assert_int_equal(access_rep_at(&s, &before, &after, 2, a), 2);
	assert_true(a[0].linear == 0x4ff8 && a[0].read && !a[0].write);
	assert_true(a[1].linear == 0x5ff8 && a[1].write && !a[1].read && a[1].len == 4);

	before.bits = 16;
	before.base[SEG_ES] = 0x10000;
	before.gpr[RDI] = 0xffff;
	before.gpr[RCX] = 0x10002;
	after = before;
	after.gpr[RDI] = 1;
	after.gpr[RCX] = 0x10000;
	assert_true(access_rep_decode(decoder, &before, (const uint8_t *)"\xf2\xae", 2, &s)); /* repne scasb */
	assert_true(!s.source && s.dest && !s.dest_write && s.mask == 0xffff);
	assert_int_equal(access_rep_count(&s, &before, &after), 2);
	assert_int_equal(access_rep_at(&s, &before, &after, 1, a), 1);
	assert_true(a[0].linear == 0x10000 && a[0].read);

	before.gpr[RCX] = 0x10000; /* no iteration */
	assert_int_equal(access_decode(decoder, &before, (const uint8_t *)"\xf3\xa5", 2, a), 0);
	assert_false(access_rep_decode(decoder, &before, (const uint8_t *)"\xa5", 1, &s));
	assert_true(access_rep_decode(decoder, &before, (const uint8_t *)"\xf3\x26\xac", 3, &s)); /* rep lodsb es: */
	assert_true(s.seg == SEG_ES && s.source && !s.dest);
}

/* What an instruction has moved by what it is. */
static void undone(void **state)
{
	struct access_regs behind = {.bits = 64}, r;

	(void)state;
	behind.gpr[RSI] = 0x5008;
	behind.gpr[RDI] = 0x6000;
	behind.gpr[RSP] = 0x7000;
	behind.gpr[RBP] = 0x7100;
	access_undo(decoder, &behind, false, (const uint8_t *)"\x48\xa5", 2, &r); /* movsq */
	assert_true(r.gpr[RSI] == 0x5000 && r.gpr[RDI] == 0x5ff8 && r.gpr[RCX] == 0);
	access_undo(decoder, &behind, true, (const uint8_t *)"\xf3\xad", 2, &r); /* rep lodsd */
	assert_true(r.gpr[RSI] == 0x500c && r.gpr[RDI] == 0x6000 && r.gpr[RCX] == 1);
	access_undo(decoder, &behind, false, (const uint8_t *)"\x50", 1, &r); /* push rax */
	assert_int_equal(r.gpr[RSP], 0x7008);
	access_undo(decoder, &behind, false, (const uint8_t *)"\x8f\x04\x24", 3, &r); /* pop qword [rsp] */
	assert_int_equal(r.gpr[RSP], 0x6ff8);
	access_undo(decoder, &behind, false, (const uint8_t *)"\xc9", 1, &r); /* leave */
	assert_int_equal(r.gpr[RBP], 0x6ff8);
	access_undo(decoder, &behind, false, (const uint8_t *)"\xc8\x10\x00\x00", 4, &r); /* enter 16, 0 */
	assert_int_equal(r.gpr[RSP], 0x7108);
	access_undo(decoder, &behind, false, (const uint8_t *)"\x89\x03", 2, &r);
	assert_memory_equal(&r, &behind, sizeof(r));
}

static void backwards(void **state)
{
	/* mov [rbx], rax behind others: the stream that begins in the middle of one ends in another place, or in step */
	static const uint8_t code[] = "\xb8\x01\x00\x00\x00\xbb\x00\x50\x00\x00\x48\x89\x03";
	static const uint8_t zeroes[64] = {[61] = 0x48, [62] = 0x89, [63] = 0x03};

	(void)state;
	/* From a REX prefix on, or behind it: who begins there cannot know. */
	assert_int_equal(access_length_before(decoder, 64, code + 10, 3), 0);
	assert_int_equal(access_length_before(decoder, 64, zeroes, sizeof(zeroes)), 0);
	assert_int_equal(access_length_before(decoder, 64, (const uint8_t *)"\x90\x90\xc3", 3), 1);
	assert_int_equal(access_length_before(decoder, 64, code, 0), 0);

	/* Who knows a beginning knows the rest, unless something jumps on the way. */
	assert_int_equal(access_length_from(decoder, 64, code, 13), 3);
	assert_int_equal(access_length_from(decoder, 64, code + 10, 3), 3);
	assert_int_equal(access_length_from(decoder, 64, code, 12), 0);
	assert_int_equal(access_length_from(decoder, 64, (const uint8_t *)"\x90\x74\x00\x90", 4), 0);
	assert_int_equal(access_length_from(decoder, 64, (const uint8_t *)"\x90\xe8\x00\x00\x00\x00", 6), 5);
	assert_int_equal(access_length_from(decoder, 64, (const uint8_t *)"\xe2\x00\x90", 3), 0);

	/* Enough of it above: all fall into step. */
	uint8_t far[64];
	for (unsigned i = 0; i + 3 <= sizeof(far); i += 3)
		memcpy(far + i, "\x48\x89\x03", 3);
	assert_int_equal(access_length_before(decoder, 64, far, 63), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(long_mode),	 cmocka_unit_test(real_mode),
					   cmocka_unit_test(wide_state), cmocka_unit_test(modifies),
					   cmocka_unit_test(rep_ranges), cmocka_unit_test(backwards),
					   cmocka_unit_test(undone)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
