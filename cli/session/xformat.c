/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parsing /NFU: a count, then format and unit letters in any order.
 */
#include "cli/session/xformat.h"

#include <errno.h>
#include <string.h>

#define LETTERS "a count, one of x d u o t c s i a, one of b h w g: x/8gx"

static unsigned unit_of(char letter)
{
	switch (letter) {
	case 'b':
		return 1;
	case 'h':
		return 2;
	case 'w':
		return 4;
	case 'g':
		return 8;
	default:
		return 0;
	}
}

static int parse_count(const char **p, struct xformat *f, struct err *e)
{
	uint64_t n = 0;

	if (**p < '0' || **p > '9')
		return 0;
	for (; **p >= '0' && **p <= '9'; (*p)++)
		n = n > XFORMAT_COUNT_MAX ? n : n * 10 + (uint64_t)(**p - '0');
	if (!n || n > XFORMAT_COUNT_MAX)
		return err_set(e, -ERANGE, "format" WHY "a count of %s" TRY "1 to %u, or dump for more",
			       n ? "more than there may be" : "0", XFORMAT_COUNT_MAX);
	f->count = n;
	return 0;
}

static int parse_letters(const char *p, struct xformat *f, struct err *e)
{
	for (; *p; p++) {
		unsigned unit = unit_of(*p);
		if (!unit && !strchr("xduotcsia", *p))
			return err_set(e, -EINVAL, "format" WHY "'%c' is neither a format nor a unit" TRY LETTERS, *p);
		if (unit ? f->unit != 0 : f->format != 0)
			return err_set(e, -EINVAL, "format" WHY "it names two %s" TRY LETTERS, unit ? "units" : "formats");
		if (unit)
			f->unit = unit;
		else
			f->format = *p;
	}
	return 0;
}

int xformat_parse(const char *text, unsigned ptr, struct xsticky *sticky, struct xformat *out, struct err *e)
{
	struct xformat f = {.count = 1};
	const char *p = text ? text : "";
	int rc = parse_count(&p, &f, e);

	if (!rc)
		rc = parse_letters(p, &f, e);
	if (rc)
		return rc;
	if (!f.format)
		f.format = sticky->format ? sticky->format : 'x';
	unsigned named = f.unit;
	if (f.format == 'a')
		f.unit = ptr;
	else if (!named)
		f.unit = f.format == 'c' ? 1 : sticky->unit ? sticky->unit : 4;
	sticky->format = f.format;
	if (f.format != 'i' && f.format != 's')
		sticky->unit = f.unit;
	*out = f;
	return 0;
}
