/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * telescope: words of memory, and what each points to; hexdump: bytes and their characters. Both go on behind what they
 * showed when an empty line follows.
 */
#include <errno.h>

#include "cli/cmd/data.h"
#include "cli/cmd/look.h"
#include "cli/session/interrupt.h"
#include "views/record.h"

#define TELESCOPE_WORDS 8
#define TELESCOPE_MAX 4096
#define HEXDUMP_BYTES 256

int look_deref(struct call *c, struct deref *d, struct err *e)
{
	return deref_init(d, c->s->d.m, c->s->vcpu, &c->s->d.syms, c->s->d.disas, e);
}

const char *look_register_name(unsigned reg)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
					    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

	return names[reg];
}

/* Those that point into the word at addr. */
static struct value registers_at(struct call *c, const struct deref *d, uint64_t addr)
{
	struct value list = v_list(c->pool, 2);
	uint64_t linear;

	for (unsigned reg = 0; reg <= DEREF_RIP; reg++)
		if (deref_register_points(d, reg) && deref_register_address(d, reg, &linear) && linear - addr < d->w.word)
			v_push(c->pool, &list, v_lit(look_register_name(reg)));
	return list;
}

static struct value word_row(struct call *c, struct deref *d, uint64_t addr, uint64_t offset)
{
	struct value row = v_dict(c->pool, 5);
	struct err why = {0};
	uint64_t word = 0;
	int rc = machine_read_gva(d->m, d->vcpu, addr, &word, d->w.word, &why);

	v_put(c->pool, &row, "address", v_hex(addr));
	v_put(c->pool, &row, "offset", v_hex(offset));
	v_put(c->pool, &row, "value", rc ? v_na(c->pool, err_reason(&why)) : v_hex(word));
	struct deref_chain chain;
	if (!rc)
		deref_word(d, word, &chain);
	v_put(c->pool, &row, "chain", rc ? v_list(c->pool, 0) : record_chain(c->pool, &chain, &c->s->d.syms));
	v_put(c->pool, &row, "registers", registers_at(c, d, addr));
	return row;
}

struct value telescope(struct call *c, struct deref *d, uint64_t addr, uint64_t n)
{
	uint64_t mask = d->w.bits == 64 ? ~0ull : UINT32_MAX;
	struct value list = v_list(c->pool, n);

	for (uint64_t i = 0; i < n && !interrupt_asked(); i++)
		v_push(c->pool, &list, word_row(c, d, (addr + i * d->w.word) & mask, i * d->w.word));
	return list;
}

int cmd_telescope(struct call *c, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	uint64_t addr, n = TELESCOPE_WORDS;
	struct deref d;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = machine_look_begin(c->s->d.m, &hold, e);
	if (!rc)
		rc = look_deref(c, &d, e);
	if (rc)
		return rc;
	addr = d.w.sp;
	if (args_more(&a))
		rc = args_addr(&a, "A", &addr, e);
	if (!rc && args_more(&a))
		rc = args_number(&a, "N", 1, TELESCOPE_MAX, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	c->result = telescope(c, &d, addr, n);
	c->again =
	    v_strf(c->pool, "telescope 0x%llx %llu", (unsigned long long)(addr + n * d.w.word), (unsigned long long)n).str;
	return 0;
}

/* ---- hexdump */

/* What can be read of len bytes at addr, and where and why it ends before them. */
static int dump_bytes(struct call *c, const struct space *sp, uint64_t addr, uint64_t len, struct err *e)
{
	uint8_t *bytes = pool_alloc(c->pool, len);
	struct err why = {0};
	size_t n = bytes ? space_read_some(sp, addr, bytes, len) : 0;

	if (!bytes)
		return err_nomem(e, "hexdump");
	if (!n)
		return space_read(sp, addr, bytes, 1, e);
	c->result = v_dict(c->pool, 5);
	v_put(c->pool, &c->result, "address", v_hex(addr));
	v_put(c->pool, &c->result, "len", v_int((int64_t)n));
	v_put(c->pool, &c->result, "data", v_bytes(c->pool, bytes, n));
	if (n == len || !space_read(sp, addr + n, bytes, 1, &why))
		return 0;
	v_put(c->pool, &c->result, "end", v_hex(addr + n));
	v_put(c->pool, &c->result, "why", v_str(c->pool, err_reason(&why)));
	return 0;
}

int cmd_hexdump(struct call *c, struct err *e)
{
	uint64_t addr, len = HEXDUMP_BYTES;
	struct space sp;
	struct args a;
	int rc = args_init(&a, c, e);

	if (rc)
		return rc;
	bool phys = args_flag(&a, "-phys");
	rc = args_addr(&a, "A", &addr, e);
	if (!rc && args_more(&a))
		rc = args_number(&a, "N", 1, 16u << 20, &len, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = space_init(&sp, c, phys, e);
	if (len > -addr && addr) /* to the end of the address space */
		len = -addr;
	if (!rc)
		rc = dump_bytes(c, &sp, addr, len, e);
	if (!rc)
		c->again = v_strf(c->pool, "hexdump 0x%llx %llu%s", (unsigned long long)(addr + len),
				  (unsigned long long)len, phys ? " -phys" : "")
			       .str;
	return rc;
}
