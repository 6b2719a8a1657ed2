/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Address expressions: numbers (decimal, 0x, 0o, 0b), $registers, symbols, seg:off, + - * / % << >> & | ^ ~ and parentheses,
 * with C's precedence on unsigned 64 bits; a leading * as in gdb is accepted and ignored.
 *
 * seg:off binds tighter than any operator and has no blanks: 0x7c0:0x10, $cs:$ip, 8:(start+4). seg is a number or a
 * register; a segment register stands for what it has loaded, anything else is a selector (core/debug/segment.h). $pc, $sp
 * and $fp are linear addresses, behind a ':' the registers. A symbol of a name that there is several times is said as
 * file.c:name or name@N (core/load/symbols.h).
 */
#ifndef KVMSCOPE_CORE_DEBUG_EXPR_H
#define KVMSCOPE_CORE_DEBUG_EXPR_H

#include "core/machine/machine.h"

struct symbols;
struct expr_env {
	struct machine *m; /* NULL: no registers, and seg:off as in real mode */
	unsigned vcpu;
	const struct symbols *syms; /* NULL: no symbols */
};

/* -EINVAL with words (unknown symbol, unknown register, what stands where, a bad selector), -ENOTUNIQ for a symbol of a name
 * that there is several times (the words tell which), -ERANGE for a number beyond 64 bits, -EDOM for division by zero. The
 * whole text must be used. */
int expr_eval(const struct expr_env *env, const char *text, uint64_t *out, struct err *e) MUST_USE;

#endif
