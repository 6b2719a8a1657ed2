/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is worth saying of a breakpoint's address: in the middle of an instruction nothing ever stops, and an int3 there
 * would make another instruction of it.
 */
#include "cli/cmd/breaks.h"

#include "core/cpu/around.h"

static size_t read_code(void *ctx, uint64_t linear, uint8_t *code, size_t n)
{
	const struct call *c = ctx;

	for (; n; n--)
		if (!machine_read_gva(c->s->d.m, c->s->vcpu, linear, code, n, NULL))
			return n;
	return 0;
}

/* From the function's symbol, else from where the vCPU stands. */
static uint64_t begin_of(struct call *c, uint64_t addr)
{
	const struct symbol *f = symbols_by_addr(&c->s->d.syms, addr);
	struct around a = {.disas = c->s->d.disas, .read = read_code, .ctx = c, .through = f && f->size};
	uint64_t pc;

	if (current_pc(c->s, &pc, &a.bits, NULL))
		return 0;
	return insn_around(&a, a.through ? f->addr : pc, addr);
}

void break_note(struct call *c, const struct stop_point *b, struct value *v)
{
	uint64_t begin = c->s->d.m && b->kind <= POINT_HBREAK ? begin_of(c, b->addr) : 0;

	if (begin)
		v_put(c->pool, v, "inside", v_hex(begin));
}
