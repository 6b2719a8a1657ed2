/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest for the tests of the pipeline and of memop: slots of heap memory, long mode tables, a device window, and a record
 * of what left for user space.
 *
 *   gpa 0x00000  64 KiB RAM, slot 0: tables at 0x1000 to 0x4000, data from 0x8000, LOG_DIRTY
 *   gpa 0x10000  16 KiB READONLY, slot 1
 *   gpa 0xa0000  4 KiB, slot 2, visible inside SMM only; outside it is a hole
 *   gpa 0xd0000000 the board's scratch device
 *   gva 0x200000 + n * 4 KiB: as map() says
 */
#ifndef KVMSCOPE_TESTS_UNIT_XLATE_GUEST_H
#define KVMSCOPE_TESTS_UNIT_XLATE_GUEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/board/board.h"
#include "core/mem/xlate.h"

#define GVA(n) (0x200000ull + (n)*0x1000ull)

struct exit_log {
	uint64_t gpa;
	unsigned len;
	bool write;
	uint64_t data;
};

struct guest {
	struct slot_table slots;
	struct xlate_env env;
	struct board board;
	struct exit_log exits[16];
	unsigned n_exits;
	int exit_rc; /* what the exit's callback gives */
};

static inline struct slot *add_slot(struct guest *g, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags,
				    enum slot_vis vis)
{
	struct slot_spec spec = {.id = id, .gpa = gpa, .size = size, .flags = flags, .vis = vis};
	struct slot *s = slot_new(&spec);
	struct err e;

	assert_non_null(s);
	s->alias = calloc(1, size);
	s->backing = s->alias;
	if (flags & SLOT_LOG_DIRTY)
		assert_int_equal(slot_log_start(s, &e), 0);
	assert_int_equal(slot_table_insert(&g->slots, s, &e), 0);
	return s;
}

static inline uint8_t *ram(struct guest *g, uint64_t gpa)
{
	struct slot *s = slot_lookup(&g->slots, gpa, g->env.smm, NULL);

	assert_non_null(s);
	return s->alias + (gpa - s->gpa);
}

static inline void put8(struct guest *g, uint64_t gpa, uint64_t v)
{
	memcpy(ram(g, gpa), &v, 8);
}

static inline uint64_t at8(struct guest *g, uint64_t gpa)
{
	uint64_t v;

	memcpy(&v, ram(g, gpa), 8);
	return v;
}

static inline void map(struct guest *g, unsigned n, uint64_t entry)
{
	put8(g, 0x4000 + 8 * n, entry);
}

static inline int log_exit(void *ctx, uint64_t gpa, unsigned len, void *data, bool write)
{
	struct guest *g = ctx;
	struct exit_log *x = &g->exits[g->n_exits++];

	*x = (struct exit_log){.gpa = gpa, .len = len, .write = write};
	assert_true(len >= 1 && len <= 8);
	if (write)
		memcpy(&x->data, data, len);
	else
		memset(data, 0x5a, len);
	return g->exit_rc;
}

static inline struct guest *new_guest(void)
{
	struct regs r = {
	    .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = 0x1000, .cr4 = CR4_PAE, .efer = EFER_LME | EFER_LMA | EFER_NXE};
	struct guest *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	slot_table_init(&g->slots);
	add_slot(g, 0, 0, 0x10000, SLOT_LOG_DIRTY, SLOT_VIS_BOTH);
	add_slot(g, 1, 0x10000, 0x4000, SLOT_READONLY, SLOT_VIS_BOTH);
	add_slot(g, 2, 0xa0000, 0x1000, SLOT_SMRAM, SLOT_VIS_SMM);
	board_init(&g->board);
	xlate_env_init(&g->env, &g->slots, &r);
	g->env.board = &g->board;
	g->env.mmio = log_exit;
	g->env.mmio_ctx = g;
	put8(g, 0x1000, 0x2000 | PTE_P | PTE_W | PTE_U);
	put8(g, 0x2000, 0x3000 | PTE_P | PTE_W | PTE_U);
	put8(g, 0x3008, 0x4000 | PTE_P | PTE_W | PTE_U);
	map(g, 0, 0x8000 | PTE_P | PTE_W | PTE_U);
	map(g, 1, 0x9000 | PTE_P | PTE_W | PTE_U);
	return g;
}

static inline void end_guest(struct guest *g)
{
	for (size_t i = 0; i < g->slots.n; i++)
		free(g->slots.by_gfn[i]->backing);
	slot_table_deinit(&g->slots);
	free(g);
}

static inline bool is_dirty(struct guest *g, uint64_t gpa)
{
	const struct slot *s = slot_lookup(&g->slots, gpa, g->env.smm, NULL);
	uint64_t page = (gpa - s->gpa) >> 12;

	return s->dirty[g->env.smm] && s->dirty[g->env.smm][page / 64] >> (page % 64) & 1;
}

#endif
