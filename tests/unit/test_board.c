/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The board: every port, splitting of wide accesses, windows and their overlaps.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/board/board.h"

static char said[64];
static size_t n_said;

static void say(void *ctx, const char *bytes, size_t n)
{
	assert_ptr_equal(ctx, said);
	for (size_t i = 0; i < n && n_said < sizeof(said) - 1; i++)
		said[n_said++] = bytes[i];
	said[n_said] = '\0';
}

static void start(struct board *b)
{
	board_init(b);
	n_said = 0;
	said[0] = '\0';
	b->console = say;
	b->console_ctx = said;
}

static uint32_t in(struct board *b, uint16_t port, unsigned len)
{
	uint32_t v = 0;

	assert_int_equal(board_pio(b, port, len, &v, false), BOARD_NONE);
	return v;
}

static enum board_effect out(struct board *b, uint16_t port, unsigned len, uint32_t v)
{
	return board_pio(b, port, len, &v, true);
}

static void uart(void **state)
{
	struct board b;

	(void)state;
	start(&b);
	assert_int_equal(in(&b, 0x3fd, 1), 0x60);
	assert_int_equal(out(&b, 0x3f8, 1, 'A'), BOARD_NONE);
	out(&b, 0x3fb, 1, 0x80); /* the divisor latch */
	out(&b, 0x3f8, 1, 1);
	out(&b, 0x3f9, 1, 0);
	assert_int_equal(in(&b, 0x3f8, 1), 1);
	out(&b, 0x3fb, 1, 3);
	out(&b, 0x3f8, 1, 'B');
	assert_string_equal(said, "AB");
	out(&b, 0x3ff, 1, 0x5a);
	assert_int_equal(in(&b, 0x3ff, 1), 0x5a);
	assert_int_equal(in(&b, 0x3fa, 1), 1);
	out(&b, 0x3fd, 1, 0);
	assert_int_equal(in(&b, 0x3fd, 1), 0x60);
}

static void debug_ports(void **state)
{
	struct board b;

	(void)state;
	start(&b);
	assert_int_equal(out(&b, 0xe9, 1, '!'), BOARD_NONE);
	assert_string_equal(said, "!");
	assert_int_equal(in(&b, 0xe9, 1), 0xe9);
	assert_int_equal(out(&b, 0x501, 4, 5), BOARD_EXIT);
	assert_int_equal(b.exit_code, 11);
	assert_int_equal(out(&b, 0x501, 1, 0), BOARD_EXIT);
	assert_int_equal(b.exit_code, 1);
	out(&b, 0x80, 1, 0x42);
	assert_int_equal(in(&b, 0x80, 1), 0x42);
	out(&b, 0x92, 1, 2);
	assert_int_equal(in(&b, 0x92, 1), 2);
	assert_int_equal(in(&b, 0x1234, 1), 0xff);
	assert_int_equal(in(&b, 0x1234, 2), 0xffff);
	assert_int_equal(in(&b, 0xffff, 4), 0xffffffff); /* wraps past the last port */
}

static void apm_raises_an_smi(void **state)
{
	struct board b;

	(void)state;
	start(&b);
	assert_int_equal(out(&b, 0xb3, 1, 7), BOARD_NONE);
	assert_int_equal(out(&b, 0xb2, 1, 0x11), BOARD_SMI);
	assert_int_equal(in(&b, 0xb2, 2), 0x711);
	assert_int_equal(out(&b, 0xb2, 2, 0x2233), BOARD_SMI);
	assert_int_equal(in(&b, 0xb2, 1), 0x33);
	assert_int_equal(in(&b, 0xb3, 1), 0x22);
}

static void cmos_repeats(void **state)
{
	struct board b;

	(void)state;
	start(&b);
	out(&b, 0x70, 1, 0x09);
	assert_int_equal(in(&b, 0x71, 1), 0x24);
	out(&b, 0x70, 1, 0x8a); /* bit 7 masks NMI, it is no address bit */
	assert_int_equal(in(&b, 0x71, 1), 0x26);
	out(&b, 0x70, 2, 0x5540); /* index, then value through the next port */
	assert_int_equal(in(&b, 0x71, 1), 0x55);
	board_reset(&b);
	out(&b, 0x70, 1, 0x40);
	assert_int_equal(in(&b, 0x71, 1), 0);
	out(&b, 0xe9, 1, 'x');
	assert_string_equal(said, "x"); /* the console stays */
}

static void scratch_window(void **state)
{
	struct board b;
	uint64_t v = 0x1122334455667788;
	uint8_t few[3] = {1, 2, 3};

	(void)state;
	start(&b);
	assert_non_null(board_window_at(&b, 0xd0000000));
	assert_non_null(board_window_at(&b, 0xd0000fff));
	assert_null(board_window_at(&b, 0xd0001000));
	assert_null(board_window_at(&b, 0xcfffffff));
	assert_int_equal(board_mmio(&b, 0xd0000008, 8, &v, true), BOARD_NONE);
	v = 0;
	board_mmio(&b, 0xd000000c, 4, &v, false);
	assert_int_equal(v, 0x11223344);
	v = 0;
	board_mmio(&b, 0xd0000ffe, 4, &v, false); /* over the end: nobody answers */
	assert_int_equal(v, 0xffffffff);
	v = 0;
	board_mmio(&b, 0x12345678, 2, &v, false);
	assert_int_equal(v, 0xffff);
	board_mmio(&b, 0xd0000100, 3, few, true);
	assert_int_equal(b.scratch[0x102], 3);
	board_mmio(&b, 0xd0000000, 9, &v, true); /* no such width */
	assert_int_equal(b.scratch[0], 0);
}

static void windows(void **state)
{
	struct board_window w = board_scratch_window("second", 0x30000, 0x10000);
	struct board b;
	struct err e;
	uint32_t v = 0xabcd;

	(void)state;
	start(&b);
	assert_int_equal(board_add_window(&b, &w, &e), 0);
	board_mmio(&b, 0x31004, 4, &v, true);
	assert_int_equal(b.scratch[4], 0xcd); /* the same device, wrapped */
	assert_int_equal(board_add_window(&b, &w, &e), -EEXIST);
	assert_string_equal(e.why, "[0x30000, +0x10000) overlaps 'second' at [0x30000, +0x10000)");
	w.gpa = ~0ull - 0xfff;
	w.size = 0x1001;
	assert_int_equal(board_add_window(&b, &w, &e), -EINVAL);
	w.size = 0x1000;
	assert_int_equal(board_add_window(&b, &w, &e), 0);
	assert_ptr_equal(board_window_at(&b, ~0ull), &b.window[2]);
	w.access = NULL;
	w.gpa = 0;
	assert_int_equal(board_add_window(&b, &w, &e), -EINVAL);
	for (unsigned i = b.n_windows; i < BOARD_WINDOWS_MAX; i++) {
		w = board_scratch_window("more", i * 0x100000, 0x1000);
		assert_int_equal(board_add_window(&b, &w, &e), 0);
	}
	w.gpa = 0x70000000;
	assert_int_equal(board_add_window(&b, &w, &e), -ENOSPC);
	assert_int_equal(b.n_windows, BOARD_WINDOWS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(uart),	    cmocka_unit_test(debug_ports),    cmocka_unit_test(apm_raises_an_smi),
	    cmocka_unit_test(cmos_repeats), cmocka_unit_test(scratch_window), cmocka_unit_test(windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
