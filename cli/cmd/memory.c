/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looking at and changing guest memory: x, xp, mem read, mem write. Searching and files are in memfile.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/session/client.h"
#include "cli/session/interrupt.h"
#include "views/record.h"

/* The longest string that format s shows in one piece, as gdb's print elements. */
#define STRING_MAX 200

/* ---- x */

struct value number_value(struct pool *p, uint64_t v, char format, unsigned unit)
{
	unsigned shift = 64 - 8 * unit;
	char digits[80];
	size_t at = sizeof(digits) - 1;

	switch (format) {
	case 'd':
	case 'c':
		return v_int((int64_t)(v << shift) >> shift);
	case 'u':
		return v <= INT64_MAX ? v_int((int64_t)v) : v_hex(v);
	case 't':
		digits[at] = 0;
		do
			digits[--at] = (char)('0' + (v & 1));
		while (v >>= 1);
		return v_strf(p, "0b%s", digits + at);
	case 'o':
		return v_strf(p, "0%llo", (unsigned long long)v);
	default:
		return v_hex(v);
	}
}

/* Values of x stay numbers in every format, so that scripts can compute with them; the view shows the format. */
static struct value element(struct pool *p, uint64_t v, const struct xformat *f)
{
	return number_value(p, v, f->format == 't' || f->format == 'o' ? 'x' : f->format, f->unit);
}

static int read_numbers(struct call *c, const struct space *sp, const struct xformat *f, uint64_t addr, struct value *values,
			struct err *e)
{
	uint8_t small[512];
	size_t size = f->count * f->unit;
	_cleanup_free_ uint8_t *big = size > sizeof(small) ? malloc(size) : NULL;
	uint8_t *bytes = big ? big : small;

	if (size > sizeof(small) && !big)
		return err_nomem(e, "x");
	int rc = space_read(sp, addr, bytes, size, e);
	if (rc)
		return rc;
	*values = v_list(c->pool, f->count);
	for (uint64_t i = 0; i < f->count; i++) {
		uint64_t v = 0;
		memcpy(&v, bytes + i * f->unit, f->unit);
		v_push(c->pool, values, element(c->pool, v, f));
	}
	return 0;
}

static int read_strings(struct call *c, const struct space *sp, const struct xformat *f, uint64_t addr, struct value *values,
			uint64_t *next, struct err *e)
{
	*values = v_list(c->pool, f->count);
	for (uint64_t i = 0; i < f->count; i++) {
		char text[STRING_MAX + 1];
		size_t n = space_read_some(sp, addr, text, STRING_MAX);
		if (!n)
			return space_read(sp, addr, text, 1, e);
		text[n] = 0;
		size_t len = strlen(text);
		v_push(c->pool, values, v_str(c->pool, text));
		addr += len < n ? len + 1 : len;
		if (interrupt_asked())
			return err_set(e, -EINTR, "x" WHY "interrupted" TRY "a smaller count");
	}
	*next = addr;
	return 0;
}

/* For format a: what each value points to. */
static struct value symbols_of(struct call *c, const struct value *values)
{
	struct value list = v_list(c->pool, values->n);
	char sym[128];

	for (uint32_t i = 0; i < values->n; i++)
		v_push(c->pool, &list,
		       v_str(c->pool, symbols_format(&c->s->d.syms, values->items[i].hex, sym, sizeof(sym))));
	return list;
}

static int read_values(struct call *c, const struct space *sp, const struct xformat *f, uint64_t addr, struct value *values,
		       uint64_t *next, struct err *e)
{
	uint64_t pc;
	unsigned bits;
	int rc;

	switch (f->format) {
	case 'i':
		rc = current_pc(c->s, &pc, &bits, e);
		return rc ? rc : disassemble(c, sp, bits, addr, f->count, values, next, e);
	case 's':
		return read_strings(c, sp, f, addr, values, next, e);
	default:
		rc = read_numbers(c, sp, f, addr, values, e);
		if (!rc)
			*next = addr + f->count * f->unit;
		return rc;
	}
}

int examine(struct call *c, const struct space *sp, const struct xformat *f, uint64_t addr, struct value *out,
	    uint64_t *next, struct err *e)
{
	struct value values;
	char sym[128], format[2] = {f->format, 0};
	int rc = read_values(c, sp, f, addr, &values, next, e);

	if (rc)
		return rc;
	*out = v_dict(c->pool, 8);
	v_put(c->pool, out, "address", v_hex(addr));
	v_put(c->pool, out, "values", values);
	v_put(c->pool, out, "unit", v_int(f->unit));
	v_put(c->pool, out, "format", v_str(c->pool, format));
	if (f->format == 'a')
		v_put(c->pool, out, "symbols", symbols_of(c, &values));
	if (!sp->phys && *symbols_format(&c->s->d.syms, addr, sym, sizeof(sym)))
		v_put(c->pool, out, "symbol", v_str(c->pool, sym));
	return 0;
}

/* The size of an address where the vCPU stands, for format a: asked for only then. */
static unsigned pointer_size(struct call *c)
{
	uint64_t pc;
	unsigned bits;

	if (!c->format || !strchr(c->format, 'a') || current_pc(c->s, &pc, &bits, NULL))
		return c->client->x_sticky.unit == 4 ? 4 : 8;
	return bits / 8;
}

static int examine_command(struct call *c, bool phys, struct err *e)
{
	struct xsticky sticky = c->client->x_sticky;
	struct xformat f;
	struct space sp;
	struct args a;
	uint64_t addr = c->client->x_next;
	int rc = args_init(&a, c, e);

	if (rc)
		return rc;
	phys |= args_flag(&a, "-phys");
	rc = xformat_parse(c->format, pointer_size(c), &sticky, &f, e);
	if (!rc && args_more(&a))
		rc = args_addr(&a, "A", &addr, e);
	if (!rc)
		rc = space_args_end(&sp, &a, phys, e);
	if (!rc)
		rc = examine(c, &sp, &f, addr, &c->result, &c->client->x_next, e);
	if (!rc)
		c->client->x_sticky = sticky;
	return rc;
}

int cmd_x(struct call *c, struct err *e)
{
	return examine_command(c, false, e);
}

int cmd_xp(struct call *c, struct err *e)
{
	return examine_command(c, true, e);
}

/* ---- mem */

int cmd_mem_read(struct call *c, struct err *e)
{
	struct space sp;
	struct args a;
	uint64_t addr, len;
	bool phys;
	int rc = space_args(&a, c, &phys, &addr, e);

	if (!rc)
		rc = args_number(&a, "LEN", 1, 16u << 20, &len, e);
	if (!rc)
		rc = space_args_end(&sp, &a, phys, e);
	if (rc)
		return rc;
	uint8_t small[512];
	_cleanup_free_ uint8_t *big = len > sizeof(small) ? malloc(len) : NULL;
	if (len > sizeof(small) && !big)
		return err_nomem(e, "mem read");
	uint8_t *bytes = big ? big : small;
	rc = space_read(&sp, addr, bytes, len, e);
	if (rc)
		return rc;
	c->result = v_dict(c->pool, 4);
	v_put(c->pool, &c->result, "address", v_hex(addr));
	v_put(c->pool, &c->result, "len", v_int((int64_t)len));
	v_put(c->pool, &c->result, "data", v_bytes(c->pool, bytes, len));
	return 0;
}

int cmd_mem_write(struct call *c, struct err *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct space sp;
	struct args a;
	uint64_t addr;
	size_t len = 0;
	bool phys;
	int rc = space_args(&a, c, &phys, &addr, e);

	if (!rc)
		rc = args_hex(&a, "HEX", &bytes, &len, e);
	if (!rc)
		rc = space_args_end(&sp, &a, phys, e);
	if (!rc)
		rc = space_write(&sp, addr, bytes, len, e);
	if (rc)
		return rc;
	c->result = v_dict(c->pool, 2);
	v_put(c->pool, &c->result, "address", v_hex(addr));
	v_put(c->pool, &c->result, "len", v_int((int64_t)len));
	return 0;
}
