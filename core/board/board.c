/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The board: a table of ports, a table of MMIO windows, and the few devices behind them. Accesses of two or four bytes to a
 * byte-wide port reach consecutive ports, as the bus does it; the debug exit takes its value whole.
 */
#include "core/board/board.h"

#include <errno.h>
#include <string.h>

#define UART_BASE 0x3f8u
#define PORT_DEBUG_CONSOLE 0xe9u
#define PORT_DEBUG_EXIT 0x501u
#define PORT_APM_CONTROL 0xb2u
#define PORT_APM_STATUS 0xb3u
#define SCRATCH_GPA 0xd0000000ull

enum { UART_DATA, UART_IER, UART_IIR, UART_LCR, UART_MCR, UART_LSR, UART_MSR, UART_SCR };
#define UART_LCR_DLAB 0x80u
#define UART_LSR_IDLE 0x60u  /* transmitter and holding register empty */
#define UART_MSR_READY 0xb0u /* carrier, data set ready, clear to send */
#define UART_IIR_NONE 0x01u

static void console(struct board *b, uint8_t byte)
{
	char c = (char)byte;

	if (b->console)
		b->console(b->console_ctx, &c, 1);
}

/* ---- UART: the divisor latch lies over the data and interrupt registers while DLAB is set; what is written to it is not
 * kept, since no bit ever moves at a speed. */

static uint8_t uart_read(const struct board *b, unsigned reg)
{
	bool latch = reg <= UART_IER && b->uart[UART_LCR] & UART_LCR_DLAB;

	switch (reg) {
	case UART_DATA:
		return latch ? 1 : 0;
	case UART_IER:
		return latch ? 0 : b->uart[UART_IER];
	case UART_IIR:
		return UART_IIR_NONE;
	case UART_LSR:
		return UART_LSR_IDLE;
	case UART_MSR:
		return UART_MSR_READY;
	default:
		return b->uart[reg];
	}
}

static void uart_write(struct board *b, unsigned reg, uint8_t value)
{
	bool latch = reg <= UART_IER && b->uart[UART_LCR] & UART_LCR_DLAB;

	if (latch || reg == UART_LSR || reg == UART_MSR)
		return;
	if (reg == UART_DATA)
		console(b, value);
	else
		b->uart[reg] = value;
}

/* ---- CMOS */

static void cmos_init(struct board *b)
{
	memset(b->cmos, 0, sizeof(b->cmos));
	/* Monday, 1 January 2024, 00:00:00, in BCD and 24 hours: always the same, so that runs repeat. */
	b->cmos[0x06] = 2;
	b->cmos[0x07] = b->cmos[0x08] = 1;
	b->cmos[0x09] = 0x24;
	b->cmos[0x32] = 0x20;
	b->cmos[0x0a] = 0x26;
	b->cmos[0x0b] = 0x02;
	b->cmos[0x0d] = 0x80; /* the battery is good */
	b->cmos[0x15] = 0x80; /* 640 KiB of base memory */
	b->cmos[0x16] = 0x02;
}

/* ---- ports */

static uint8_t port_read(const struct board *b, uint16_t port)
{
	if (port >= UART_BASE && port < UART_BASE + 8)
		return uart_read(b, port - UART_BASE);
	switch (port) {
	case PORT_DEBUG_CONSOLE:
		return 0xe9; /* how guests find out that it is there */
	case 0x70:
		return b->cmos_index;
	case 0x71:
		return b->cmos[b->cmos_index & 0x7f];
	case PORT_APM_CONTROL:
	case PORT_APM_STATUS:
		return b->apm[port - PORT_APM_CONTROL];
	case 0x92:
		return b->a20;
	case 0x80:
		return b->post;
	default:
		return 0xff;
	}
}

static enum board_effect port_write(struct board *b, uint16_t port, uint8_t value)
{
	if (port >= UART_BASE && port < UART_BASE + 8) {
		uart_write(b, port - UART_BASE, value);
		return BOARD_NONE;
	}
	switch (port) {
	case PORT_DEBUG_CONSOLE:
		console(b, value);
		break;
	case 0x70:
		b->cmos_index = value;
		break;
	case 0x71:
		b->cmos[b->cmos_index & 0x7f] = value;
		break;
	case PORT_APM_CONTROL:
		b->apm[0] = value;
		return BOARD_SMI;
	case PORT_APM_STATUS:
		b->apm[1] = value;
		break;
	case 0x92:
		b->a20 = value;
		break;
	case 0x80:
		b->post = value;
		break;
	default:
		break;
	}
	return BOARD_NONE;
}

static enum board_effect debug_exit(struct board *b, unsigned len, const void *data)
{
	uint32_t value = 0;

	memcpy(&value, data, len);
	b->exit_code = value << 1 | 1;
	return BOARD_EXIT;
}

enum board_effect board_pio(struct board *b, uint16_t port, unsigned len, void *data, bool write)
{
	enum board_effect effect = BOARD_NONE;
	uint8_t *bytes = data;

	if (len > 4)
		len = 4;
	if (write && port == PORT_DEBUG_EXIT)
		return debug_exit(b, len, data);
	for (unsigned i = 0; i < len; i++) {
		uint16_t at = (uint16_t)(port + i);

		if (!write)
			bytes[i] = port_read(b, at);
		else if (port_write(b, at, bytes[i]) != BOARD_NONE)
			effect = BOARD_SMI;
	}
	return effect;
}

/* ---- MMIO windows */

static void scratch_access(struct board *b, struct board_window *w, uint64_t offset, unsigned len, void *data, bool write)
{
	(void)w;
	for (unsigned i = 0; i < len; i++) {
		uint8_t *cell = &b->scratch[(offset + i) % sizeof(b->scratch)];

		if (write)
			*cell = ((uint8_t *)data)[i];
		else
			((uint8_t *)data)[i] = *cell;
	}
}

struct board_window board_scratch_window(const char *name, uint64_t gpa, uint64_t size)
{
	return (struct board_window){.name = name, .gpa = gpa, .size = size, .access = scratch_access};
}

int board_add_window(struct board *b, const struct board_window *w, struct err *e)
{
	const char *name = w->name ? w->name : "";

	if (!name[0] || !w->size || !w->access || range_wraps(w->gpa, w->size))
		return err_set(e, -EINVAL,
			       "device window '%s'" WHY "it needs a name, an access function, and a size that does not wrap"
			       " (gpa %#llx, size %#llx)" TRY "a range within 64 bits",
			       name, (unsigned long long)w->gpa, (unsigned long long)w->size);
	for (unsigned i = 0; i < b->n_windows; i++) {
		const struct board_window *o = &b->window[i];

		if (ranges_overlap(w->gpa, w->size, o->gpa, o->size))
			return err_set_at(e, -EEXIST, ERR_SPACE_GPA, w->gpa,
					  "device window '%s'" WHY "[%#llx, +%#llx) overlaps '%s' at [%#llx, +%#llx)" TRY
					  "another address",
					  name, (unsigned long long)w->gpa, (unsigned long long)w->size, o->name,
					  (unsigned long long)o->gpa, (unsigned long long)o->size);
	}
	if (b->n_windows == BOARD_WINDOWS_MAX)
		return err_set(e, -ENOSPC,
			       "device window '%s'" WHY "the board has room for %d windows" TRY
			       "one window for several devices",
			       name, BOARD_WINDOWS_MAX);
	b->window[b->n_windows++] = *w;
	return 0;
}

struct board_window *board_window_at(struct board *b, uint64_t gpa)
{
	for (unsigned i = 0; i < b->n_windows; i++)
		if (gpa - b->window[i].gpa < b->window[i].size)
			return &b->window[i];
	return NULL;
}

enum board_effect board_mmio(struct board *b, uint64_t gpa, unsigned len, void *data, bool write)
{
	struct board_window *w = board_window_at(b, gpa);

	if (!len || len > 8)
		return BOARD_NONE;
	if (w && gpa - w->gpa <= w->size - len)
		w->access(b, w, gpa - w->gpa, len, data, write);
	else if (!write)
		memset(data, 0xff, len);
	return BOARD_NONE;
}

/* ---- life */

void board_reset(struct board *b)
{
	cmos_init(b);
	b->cmos_index = b->post = b->a20 = 0;
	b->exit_code = 0;
	memset(b->apm, 0, sizeof(b->apm));
	memset(b->uart, 0, sizeof(b->uart));
	memset(b->scratch, 0, sizeof(b->scratch));
}

void board_init(struct board *b)
{
	memset(b, 0, sizeof(*b));
	board_reset(b);
	b->window[b->n_windows++] = board_scratch_window("scratch", SCRATCH_GPA, sizeof(b->scratch));
}
