/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The board that both backends share: ports and MMIO windows, and the few devices a small guest expects.
 *
 *   0x3f8-0x3ff  UART 16550 (transmit only reaches the console; line status always ready)
 *   0xe9         debug console: every byte written goes to the console
 *   0x501        debug exit: a write ends the run with exit code (value << 1) | 1, as QEMU's isa-debug-exit
 *   0x70, 0x71   CMOS: index and 128 bytes; the clock from a fixed date, so that runs repeat
 *   0xb2, 0xb3   APM control: a write to 0xb2 raises an SMI on the writing vCPU; both read back
 *   0x92         fast A20 (reads back), 0x80 POST code (remembered)
 *
 * MMIO windows are for guests and tests; the default board has one at 0xd0000000, a 4 KiB scratch device ("scratch") whose
 * 32-bit words read back what was written. Everything else reads as all ones and drops writes.
 */
#ifndef KVMSCOPE_CORE_BOARD_BOARD_H
#define KVMSCOPE_CORE_BOARD_BOARD_H

#include "core/base/err.h"

enum board_effect {
	BOARD_NONE,
	BOARD_EXIT, /* the guest asked to end; board->exit_code */
	BOARD_SMI,  /* raise an SMI on this vCPU */
};

#define BOARD_WINDOWS_MAX 16

struct board;
struct board_window {
	const char *name;
	uint64_t gpa, size;
	void *ctx;
	void (*access)(struct board *b, struct board_window *w, uint64_t offset, unsigned len, void *data, bool write);
};

struct board {
	/* Console bytes go here; NULL drops them. */
	void (*console)(void *ctx, const char *bytes, size_t n);
	void *console_ctx;
	struct board_window window[BOARD_WINDOWS_MAX];
	unsigned n_windows;
	uint8_t cmos[128], cmos_index;
	uint8_t apm[2], post, a20;
	uint8_t uart[8];
	uint32_t exit_code;
	uint8_t scratch[4096];
};

void board_init(struct board *b);
void board_reset(struct board *b); /* device state as after init; console and windows stay */
/* -ENOSPC, -EEXIST (overlap), -EINVAL. */
int board_add_window(struct board *b, const struct board_window *w, struct err *e) MUST_USE;
/* A window onto the scratch device at another address; offsets beyond its 4 KiB wrap around. name must outlive the board. */
struct board_window board_scratch_window(const char *name, uint64_t gpa, uint64_t size);
/* The window that covers gpa, or NULL. */
struct board_window *board_window_at(struct board *b, uint64_t gpa);
/* One port access of 1, 2 or 4 bytes. */
enum board_effect board_pio(struct board *b, uint16_t port, unsigned len, void *data, bool write);
/* One MMIO access of 1 to 8 bytes; anything outside a window reads as ones. */
enum board_effect board_mmio(struct board *b, uint64_t gpa, unsigned len, void *data, bool write);

#endif
