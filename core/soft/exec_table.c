/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The handler of each operation.
 */
#include "core/soft/exec.h"

static uop_fn *const named[] = {
#define X(name) [OP_##name] = op_##name,
    SOFT_OPS(X)
#undef X
};

uop_fn *exec_handler(enum soft_op op)
{
	unsigned i = op;

	if (i < OP_ALU)
		return named[i];
	if (i < OP_UNARY) {
		i -= OP_ALU;
		return exec_alu[i / (OP_SIZES * FORM_COUNT)][i / FORM_COUNT % OP_SIZES][i % FORM_COUNT];
	}
	if (i < OP_JCC) {
		i -= OP_UNARY;
		return exec_unary[i / (OP_SIZES * 2)][i / 2 % OP_SIZES][i % 2];
	}
	return exec_jcc[i - OP_JCC];
}
