/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A list of instructions that both machines have been through: registers, selectors, how each ended, the data they share.
 */
#include "tests/qemu/qemu.h"

#include <capstone/capstone.h>
#include <inttypes.h>
#include <string.h>

static void print_state(struct diff *d, const char *name, const struct insn_note *n)
{
	static const char *const reg[] = {"edi", "esi", "ebp", NULL, "ebx", "edx", "ecx", "eax"};

	diff_add(d,
		 "  %s: vector %" PRIu32 " error %#" PRIx32 " at %#" PRIx32 ":%#" PRIx32 " flags %#" PRIx32
		 " stack %#" PRIx32 ":%#" PRIx32 " ds %#" PRIx32 " es %#" PRIx32 " fs %#" PRIx32 " gs %#" PRIx32 "\n   ",
		 name, n->vector, n->error, n->out_cs & 0xffff, n->out_ip, n->out_flags, n->out_seg[0] & 0xffff, n->out_sp,
		 n->out_seg[1] & 0xffff, n->out_seg[2] & 0xffff, n->out_seg[3] & 0xffff, n->out_seg[4] & 0xffff);
	for (unsigned i = 0; i < 8; i++)
		if (reg[i])
			diff_add(d, " %s %" PRIx32, reg[i], n->out[i]);
	diff_add(d, "\n");
}

static void print_insn(struct diff *d, const struct insn_note *n)
{
	static const char *const reg[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
	cs_insn *insn;
	csh h;

	if (!cs_open(CS_ARCH_X86, n->bits == 32 ? CS_MODE_32 : CS_MODE_16, &h)) {
		size_t count = cs_disasm(h, n->code, n->length, n->ip, 0, &insn);
		for (size_t i = 0; i < count; i++)
			diff_add(d, "%s %s; ", insn[i].mnemonic, insn[i].op_str);
		if (count)
			cs_free(insn, count);
		cs_close(&h);
	}
	for (unsigned i = 0; i < n->length; i++)
		diff_add(d, " %02x", n->code[i]);
	diff_add(d, "\n  before: cs %#" PRIx32 " ss %#" PRIx32 " ds %#" PRIx32 " flags %#" PRIx32, n->cs, n->ss, n->ds,
		 n->flags);
	for (unsigned i = 0; i < 8; i++)
		diff_add(d, " %s %" PRIx32, reg[i], n->gpr[i]);
	diff_add(d, "\n");
}

static bool same_insn(const struct insn_note *q, const struct insn_note *s)
{
	bool same = q->vector == s->vector && q->error == s->error && q->out_ip == s->out_ip && q->out_sp == s->out_sp;

	for (unsigned i = 0; i < 8; i++)
		same &= i == 3 || q->out[i] == s->out[i]; /* the fourth is ESP within the handler */
	for (unsigned i = 0; i < 5; i++)
		same &= !((q->out_seg[i] ^ s->out_seg[i]) & 0xffff);
	same &= !((q->out_cs ^ s->out_cs) & 0xffff);
	/* QEMU 7.2 pushes RF of no fault. */
	return same && !((q->out_flags ^ s->out_flags) & ~q->undefined & ~(uint32_t)RFLAGS_RF);
}

void compare_insns(uint64_t seed, bool real, const uint8_t *qemu, const uint8_t *soft, struct diff *d)
{
	const struct insn_note *q = (const void *)qemu, *s = (const void *)soft;
	unsigned shown = 0;

	for (unsigned i = 0; i < INSNS && shown < 4; i++)
		if (!same_insn(&q[i], &s[i])) {
			diff_add(d, "instruction %u of seed %" PRIu64 "%s: ", i, seed, real ? " in real mode" : "");
			print_insn(d, &s[i]);
			print_state(d, "QEMU", &q[i]);
			print_state(d, "soft", &s[i]);
			shown++;
		}
	for (unsigned at = INSN_DATA - INSN_AT; at < INSN_BYTES && shown < 8; at += 4)
		if (memcmp(qemu + at, soft + at, 4)) {
			diff_add(d, "data of seed %" PRIu64 "%s at %#x: QEMU %08" PRIx32 " soft %08" PRIx32 "\n", seed,
				 real ? " in real mode" : "", INSN_AT + at, *(const uint32_t *)(qemu + at),
				 *(const uint32_t *)(soft + at));
			shown++;
		}
}
