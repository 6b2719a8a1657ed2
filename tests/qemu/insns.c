/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Random instructions of 16- and 32-bit code, each with its own registers, so that operands in memory are aimed by choosing
 * registers and displacement. Behind each stands INT 0x80; branches that are taken go to an INT 0x81. All run in segments
 * that end where the lists' data ends.
 *
 * Encodings and undefined flags: Intel SDM vol. 2.
 */
#include "tests/qemu/insns.h"

#include <string.h>

#define CODE_OFFSET 160

static void machine_state(struct maker *m, unsigned index)
{
	struct insn_note *n = m->n;
	uint32_t linear = INSN_AT + index * sizeof(*n) + CODE_OFFSET;

	for (unsigned i = 0; i < 8; i++)
		n->gpr[i] = (uint32_t)rng_value(&m->rng);
	n->gpr[RSP] = 0x1000 + below(m, 0x1000) * 2;
	n->flags = ((uint32_t)rng_next(&m->rng) & (FLAGS_ALL | RFLAGS_DF)) | RFLAGS_FIXED;
	n->bits = m->kind == PM32 ? 32 : 16;
	switch (m->kind) {
	case PM32:
		n->cs = 0x23;
		n->ip = linear;
		break;
	case PM16:
		n->cs = 0x9b + (linear >> 16) * 8 - 24;
		n->ip = linear & 0xffff;
		break;
	default:
		n->cs = linear >> 4;
		n->ip = 0;
	}
	if (real_like(m)) {
		n->ss = 0x8000, n->ds = 0x7000, n->es = 0x7800, n->fs = 0x7400, n->gs = 0x7c00;
		n->flags |= m->kind == VM86 ? RFLAGS_VM | (percent(m, 70) ? RFLAGS_IOPL : 0) : 0;
		return;
	}
	static const uint8_t ss[] = {0x83, 0x83, 0x8b, 0x93, 0x63};
	n->ss = ss[below(m, 5)];
	if (n->ss == 0x93)
		n->gpr[RSP] += 0x4000;
	n->ds = 0x63;
	n->es = 0x6b, n->fs = 0x73, n->gs = 0x8b;
}

static void make_one(struct maker *m, unsigned index)
{
	struct insn_note *n = m->n;
	unsigned own = m->kind == PM32 ? 4 : 2;

	machine_state(m, index);
	m->at = 0;
	m->lock = false;
	m->op = percent(m, 70) ? own : 6 - own;
	m->addr = percent(m, 75) ? own : 6 - own;
	m->seg = percent(m, 25) ? (int)below(m, 6) : -1;
	if (m->seg == SEG_CS) /* that segment holds the list, and QEMU writes to it */
		m->seg = -1;
	memset(n->code, 0x90, sizeof(n->code));
	if (percent(m, 55))
		insn_make_data(m);
	else
		insn_make_control(m);
	/* In real mode the handler's frame is in memory that is compared: no undefined flags into it. */
	if (m->kind == REAL && n->undefined) {
		byte(m, 0x38);
		byte(m, 0xc0);
		n->undefined = 0;
	}
	n->length = m->at;
	/* … and a stack for it. */
	if (m->kind == REAL) {
		byte(m, 0xbc);
		le(m, 0x2000, 2);
	}
	memcpy(n->code + m->at, "\xcd\x80", 2);
	memcpy(n->code + TAKEN, "\xcd\x81", 2);
	n->code[TAKEN + 2] = 0xf1;
}

void insns_make(uint8_t *image, uint64_t seed, bool real)
{
	struct maker m = {.rng.s = seed * 0x9fb21c651e98df25ull + real};
	struct insn_note *notes = (void *)image;

	memset(image, 0, INSN_BYTES);
	for (unsigned i = INSN_DATA - INSN_AT; i < INSN_BYTES; i += 8) {
		uint64_t v = rng_next(&m.rng);
		memcpy(image + i, &v, 8);
	}
	for (unsigned i = 0; i < INSNS; i++) {
		m.n = &notes[i];
		m.kind = real ? REAL : below(&m, 3);
		make_one(&m, i);
	}
}
