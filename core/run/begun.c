/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which instructions have begun and raised a fault.
 */
#include "core/run/begun.h"

#include <string.h>

#include "core/cpu/regs.h"

static bool forget(struct begun *b, uint64_t pc)
{
	for (unsigned i = 0; i < b->n; i++)
		if (b->pc[i] == pc) {
			b->n--;
			memmove(&b->pc[i], &b->pc[i + 1], (b->n - i) * sizeof(b->pc[0]));
			return true;
		}
	return false;
}

void begun_add(struct begun *b, uint64_t pc)
{
	if (!forget(b, pc) && b->n == BEGUN_MAX)
		forget(b, b->pc[0]);
	b->pc[b->n++] = pc;
}

bool begun_take(struct begun *b, uint64_t pc, uint64_t rflags)
{
	return rflags & RFLAGS_RF && forget(b, pc);
}
