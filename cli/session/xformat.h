/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The /NFU of x, xp, p and display, with gdb's rules for what is left out.
 */
#ifndef KVMSCOPE_CLI_XFORMAT_H
#define KVMSCOPE_CLI_XFORMAT_H

#include "core/base/err.h"

#define XFORMAT_COUNT_MAX (1u << 21)

struct xformat {
	uint64_t count; /* 1 if it was not said */
	char format;	/* x d u o t c s i a */
	unsigned unit;	/* bytes of one value: 1, 2, 4, 8; means nothing for s and i */
};

/* What later x commands default to. Starts as 'x' and 4. */
struct xsticky {
	char format;
	unsigned unit;
};

/* Parse "8gx" (any order after the count; NULL or "" is all defaults). ptr is the size of an address here, used by 'a'. The
 * defaults follow what was asked for: c is by bytes unless a unit is named, a is always ptr; s and i leave the unit alone.
 * -EINVAL: an unknown letter, two formats, two units; -ERANGE: a count of 0 or over XFORMAT_COUNT_MAX. sticky is
 * unchanged on failure. */
int xformat_parse(const char *text, unsigned ptr, struct xsticky *sticky, struct xformat *out, struct err *e) MUST_USE;

#endif
