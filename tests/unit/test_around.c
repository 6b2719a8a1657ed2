/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whether an address is in the middle of an instruction, by decoding from one that begins one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpu/around.h"

#define BASE 0x1000u

struct code {
	const char *bytes;
	size_t n;
};

static size_t read_code(void *ctx, uint64_t linear, uint8_t *to, size_t n)
{
	const struct code *c = ctx;
	uint64_t off = linear - BASE;
	size_t left = off < c->n ? c->n - off : 0;

	n = n < left ? n : left;
	memcpy(to, c->bytes + off, n);
	return n;
}

static uint64_t begin_of(const char *bytes, size_t n, unsigned off, bool through)
{
	struct code c = {bytes, n};
	struct around a = {.bits = 64, .through = through, .read = read_code, .ctx = &c};

	assert_int_equal(disas_create(&a.disas, NULL), 0);
	uint64_t at = insn_around(&a, BASE, BASE + off);
	disas_destroy(a.disas);
	return at;
}
#define BEGIN(S, OFF, THROUGH) begin_of(S, sizeof(S) - 1, OFF, THROUGH)

static void begins(void **state)
{
	static const char code[] = "\x90\x66\xb8\x34\x12\x90"; /* nop; mov ax, 0x1234; nop */

	(void)state;
	assert_int_equal(BEGIN(code, 0, false), 0);
	assert_int_equal(BEGIN(code, 1, false), 0);
	assert_int_equal(BEGIN(code, 2, false), BASE + 1);
	assert_int_equal(BEGIN(code, 4, false), BASE + 1);
	assert_int_equal(BEGIN(code, 5, false), 0);
}

/* Behind a jump there may be data, unless all of it is one function; a conditional one goes on. */
static void behind_jumps(void **state)
{
	(void)state;
	assert_int_equal(BEGIN("\xeb\x10\xb8\x01\x00\x00\x00", 4, false), 0);
	assert_int_equal(BEGIN("\xeb\x10\xb8\x01\x00\x00\x00", 4, true), BASE + 2);
	assert_int_equal(BEGIN("\x75\x10\xb8\x01\x00\x00\x00", 4, false), BASE + 2);
}

static void nobody_knows(void **state)
{
	(void)state;
	assert_int_equal(BEGIN("\x06\x06\x90", 2, true), 0); /* no instruction in 64-bit code */
	assert_int_equal(BEGIN("\x90", 3, true), 0);	     /* no memory */
	assert_int_equal(BEGIN("\x90", 0x10000, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(begins),
	    cmocka_unit_test(behind_jumps),
	    cmocka_unit_test(nobody_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
