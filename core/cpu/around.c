/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * See around.h.
 */
#include "core/cpu/around.h"

#define AROUND_MAX 4096u

static bool goes_on(const struct insn *i, unsigned bits)
{
	switch (i->kind) {
	case INSN_JUMP:
		return disas_taken(bits, i->bytes, i->len, 0, 0) >= 0;
	case INSN_RET:
	case INSN_IRET:
	case INSN_HLT:
	case INSN_RSM:
		return false;
	default:
		return true;
	}
}

uint64_t insn_around(const struct around *a, uint64_t from, uint64_t to)
{
	uint8_t code[15];
	struct insn i;

	if (from > to || to - from > AROUND_MAX)
		return 0;
	while (from < to) {
		size_t n = a->read(a->ctx, from, code, sizeof(code));

		if (!n || !disas_one(a->disas, a->bits, from, code, n, &i))
			return 0;
		if (from + i.len > to)
			return from;
		if (!a->through && !goes_on(&i, a->bits))
			return 0;
		from += i.len;
	}
	return 0;
}
