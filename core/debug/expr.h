/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Address expressions: numbers (decimal, 0x, 0o, 0b), $registers, symbols, + - * / % << >> & | ^ ~ and parentheses, with C's
 * precedence on unsigned 64 bits; a leading * as in gdb is accepted and ignored.
 */
#ifndef KVMSCOPE_CORE_DEBUG_EXPR_H
#define KVMSCOPE_CORE_DEBUG_EXPR_H

#include "core/machine/machine.h"

struct symbols;
struct expr_env {
	struct machine *m; /* NULL: no registers */
	unsigned vcpu;
	const struct symbols *syms; /* NULL: no symbols */
};

/* -EINVAL with words (unknown symbol, unknown register, what stands where), -ERANGE for a number beyond 64 bits, -EDOM for
 * division by zero. The whole text must be used. */
int expr_eval(const struct expr_env *env, const char *text, uint64_t *out, struct err *e) MUST_USE;

#endif
