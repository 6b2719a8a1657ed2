/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * String instructions. One call does one iteration and, under REP, comes back to the same instruction, so that an interrupt,
 * a step or a fault can come between any two, as on hardware. Long MOVS and STOS on plain memory do what lies within one
 * page in a single call when nobody is stepping.
 */
#include "core/soft/exec.h"
#include "core/soft/soft_impl.h"

static int64_t step_of(const struct soft_cpu *c, unsigned size)
{
	return c->eflags & RFLAGS_DF ? -(int64_t)size : (int64_t)size;
}

static uint64_t count_of(const struct soft_cpu *c, const struct uop *u)
{
	return reg_read(c, 8 * RCX, u->addrsize);
}

static void advance(struct soft_cpu *c, const struct uop *u, unsigned reg, int64_t by)
{
	reg_write(c, 8 * reg, u->addrsize, reg_read(c, 8 * reg, u->addrsize) + (uint64_t)by);
}

static int src_linear(struct soft_cpu *c, const struct uop *u, uint64_t *lin)
{
	return exec_linear(c, u->seg, reg_read(c, 8 * RSI, u->addrsize), u->opsize, false, lin);
}

static int dst_linear(struct soft_cpu *c, const struct uop *u, bool write, uint64_t *lin)
{
	return exec_linear(c, SEG_ES, reg_read(c, 8 * RDI, u->addrsize), u->opsize, write, lin);
}

/* An iteration begins in what the last one ran in: the CPU or the emulator. In the emulator the tables are walked anew. */
static void string_begin(struct soft_cpu *c)
{
	c->emulated = c->in_emulator = c->rep_emulated;
}

static const struct uop *string_fault(struct soft_cpu *c)
{
	c->in_emulator = c->rep_emulated = false;
	return NULL;
}

static int string_read(struct soft_cpu *c, uint64_t lin, unsigned size, void *out)
{
	return c->in_emulator ? soft_read_slow(c, lin, size, out, ACCESS_READ) : soft_read(c, lin, size, out);
}

static int string_write(struct soft_cpu *c, uint64_t lin, unsigned size, const void *in)
{
	return c->in_emulator ? soft_write_slow(c, lin, size, in, ACCESS_WRITE) : soft_write(c, lin, size, in);
}

/* Come back for the rest of a REP. The emulator enters the guest anew after each 1024 iterations, and with a trap behind
 * each. */
static const struct uop *string_repeat(struct soft_cpu *c, const struct uop *u, uint64_t left)
{
	c->rep_emulated = left & 0x3ff && c->emulated && !(c->eflags & RFLAGS_TF);
	c->in_emulator = false;
	return left ? exec_jump(c, uop_rip(c, u)) : u + 1;
}

/* After an iteration: without REP go on; with it count down n iterations and come back while any are left. */
static const struct uop *string_next(struct soft_cpu *c, const struct uop *u, uint64_t n)
{
	if (!u->rep) {
		c->in_emulator = false;
		return u + 1;
	}
	uint64_t left = (count_of(c, u) - n) & size_mask(u->addrsize);
	reg_write(c, 8 * RCX, u->addrsize, left);
	return string_repeat(c, u, left);
}

static bool string_finished(const struct soft_cpu *c, const struct uop *u)
{
	return u->rep && !count_of(c, u);
}

/* How many iterations may run at once from these two addresses: within the pages, forward, on plain memory, and within the
 * budget, of which the rest of a block (48 at most) is left: a run ends exactly where it is to end. */
static uint64_t burst(const struct soft_cpu *c, const struct uop *u, uint64_t a, uint64_t b)
{
	uint64_t n = count_of(c, u), room_a = (PAGE_SIZE_4K - (a & PAGE_OFFSET_MASK)) / u->opsize;
	uint64_t room_b = (PAGE_SIZE_4K - (b & PAGE_OFFSET_MASK)) / u->opsize;

	if (!u->rep || u->addrsize == 2 || (c->eflags & (RFLAGS_DF | RFLAGS_TF | RFLAGS_RF)))
		return 1;
	n = n < room_a ? n : room_a;
	n = n < room_b ? n : room_b;
	uint64_t room = c->budget > 64 ? c->budget - 64 : 1;
	n = n < room ? n : room;
	return n ? n : 1;
}

const struct uop *op_movs(struct soft_cpu *c, const struct uop *u)
{
	uint64_t from, to, v = 0, n = 1;

	if (string_finished(c, u))
		return u + 1;
	string_begin(c);
	if (src_linear(c, u, &from) || dst_linear(c, u, true, &to) || string_read(c, from, u->opsize, &v))
		return string_fault(c);
	exec_second(c);
	uint32_t flushes = c->flushes_of_all;
	if (string_write(c, to, u->opsize, &v))
		return string_fault(c);
	if (c->flushes_of_all != flushes)
		soft_touch(c, from);
	const struct soft_tlb_entry *r = &c->tlb[from >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];
	const struct soft_tlb_entry *w = &c->tlb[to >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];
	bool flat = (c->flat_read >> u->seg & 1) && (c->flat_write >> SEG_ES & 1);
	if (flat && !c->in_emulator && soft_tlb_hit(c, from, u->opsize, r->read) &&
	    soft_tlb_hit(c, to, u->opsize, w->write)) {
		uint8_t *d = w->host + (to & PAGE_OFFSET_MASK);
		const uint8_t *s = r->host + (from & PAGE_OFFSET_MASK);
		n = burst(c, u, from, to);
		if (d + n * u->opsize <= s || s + n * u->opsize <= d)
			memcpy(d, s, n * u->opsize);
		else
			n = 1;
	}
	advance(c, u, RSI, step_of(c, u->opsize) * (int64_t)n);
	advance(c, u, RDI, step_of(c, u->opsize) * (int64_t)n);
	c->icount += n - 1;
	c->budget -= n - 1;
	return string_next(c, u, n);
}

const struct uop *op_stos(struct soft_cpu *c, const struct uop *u)
{
	uint64_t to, v = reg_read(c, 8 * RAX, u->opsize), n = 1;

	if (string_finished(c, u))
		return u + 1;
	string_begin(c);
	if (dst_linear(c, u, true, &to) || string_write(c, to, u->opsize, &v))
		return string_fault(c);
	const struct soft_tlb_entry *w = &c->tlb[to >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];
	if ((c->flat_write >> SEG_ES & 1) && !c->in_emulator && soft_tlb_hit(c, to, 1, w->write)) {
		uint8_t *d = w->host + (to & PAGE_OFFSET_MASK);
		n = burst(c, u, to, to);
		for (uint64_t i = 1; i < n; i++)
			memcpy(d + i * u->opsize, &v, u->opsize);
	}
	advance(c, u, RDI, step_of(c, u->opsize) * (int64_t)n);
	c->icount += n - 1;
	c->budget -= n - 1;
	return string_next(c, u, n);
}

const struct uop *op_lods(struct soft_cpu *c, const struct uop *u)
{
	uint64_t from, v = 0;

	if (string_finished(c, u))
		return u + 1;
	string_begin(c);
	if (src_linear(c, u, &from) || string_read(c, from, u->opsize, &v))
		return string_fault(c);
	reg_write(c, 8 * RAX, u->opsize, v);
	advance(c, u, RSI, step_of(c, u->opsize));
	return string_next(c, u, 1);
}

/* REPE goes on while equal, REPNE while not. */
static const struct uop *string_next_compared(struct soft_cpu *c, const struct uop *u)
{
	if (!u->rep) {
		c->in_emulator = false;
		return u + 1;
	}
	uint64_t left = (count_of(c, u) - 1) & size_mask(u->addrsize);
	reg_write(c, 8 * RCX, u->addrsize, left);
	return string_repeat(c, u, flag_zf(c) == (u->rep == 0xf3) ? left : 0);
}

const struct uop *op_scas(struct soft_cpu *c, const struct uop *u)
{
	uint64_t at, v = 0, a = reg_read(c, 8 * RAX, u->opsize);

	if (string_finished(c, u))
		return u + 1;
	string_begin(c);
	if (dst_linear(c, u, false, &at) || string_read(c, at, u->opsize, &v))
		return string_fault(c);
	flags_set(c, FLAGS_SUB, u->opsize, a, v, a - v, false);
	advance(c, u, RDI, step_of(c, u->opsize));
	return string_next_compared(c, u);
}

/* Processors look at ES:DI first, emulators at the source: which of two faults comes tells it. */
static bool source_first(const struct soft_cpu *c, const struct uop *u)
{
	return c->in_emulator || (c->m->habits.cmpsb_source && u->opsize == 1 && u->rep == 0xf3);
}

const struct uop *op_cmps(struct soft_cpu *c, const struct uop *u)
{
	uint64_t from, to, a = 0, b = 0;

	if (string_finished(c, u))
		return u + 1;
	string_begin(c);
	if (src_linear(c, u, &from) || dst_linear(c, u, false, &to) ||
	    (!source_first(c, u) && soft_probe_read(c, to, u->opsize)))
		return string_fault(c);
	exec_second(c);
	if (string_read(c, from, u->opsize, &a))
		return string_fault(c);
	exec_second(c); /* the source may have been the first to bring the emulator in */
	if (string_read(c, to, u->opsize, &b))
		return string_fault(c);
	flags_set(c, FLAGS_SUB, u->opsize, a, b, a - b, false);
	advance(c, u, RSI, step_of(c, u->opsize));
	advance(c, u, RDI, step_of(c, u->opsize));
	return string_next_compared(c, u);
}

/* soft_pio() checks the I/O permission and talks to the board. */
const struct uop *op_ins(struct soft_cpu *c, const struct uop *u)
{
	uint64_t to, v = 0;

	if (string_finished(c, u))
		return u + 1;
	string_begin(c);
	if (!soft_pio_allowed(c, (uint16_t)c->gpr[RDX], u->opsize) || dst_linear(c, u, true, &to) ||
	    soft_probe_write(c, to, u->opsize) || soft_pio(c, (uint16_t)c->gpr[RDX], u->opsize, &v, false) ||
	    string_write(c, to, u->opsize, &v))
		return string_fault(c);
	advance(c, u, RDI, step_of(c, u->opsize));
	return string_next(c, u, 1);
}

const struct uop *op_outs(struct soft_cpu *c, const struct uop *u)
{
	uint64_t from, v = 0;

	if (string_finished(c, u))
		return u + 1;
	string_begin(c);
	if (!soft_pio_allowed(c, (uint16_t)c->gpr[RDX], u->opsize) || src_linear(c, u, &from) ||
	    string_read(c, from, u->opsize, &v) || soft_pio(c, (uint16_t)c->gpr[RDX], u->opsize, &v, true))
		return string_fault(c);
	advance(c, u, RSI, step_of(c, u->opsize));
	const struct uop *n = string_next(c, u, 1);
	return n && c->event ? exec_jump(c, exec_next_rip(c, u)) : n; /* the board may have asked for something */
}

/* src register DX (src set) or an immediate port. */
static uint16_t port_of(const struct soft_cpu *c, const struct uop *u)
{
	return (uint16_t)(u->cond ? c->gpr[RDX] : u->imm & 0xff);
}

const struct uop *op_in(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v = 0;

	if (soft_pio(c, port_of(c, u), u->opsize, &v, false))
		return NULL;
	reg_write(c, 8 * RAX, u->opsize, v);
	return u + 1;
}

const struct uop *op_out(struct soft_cpu *c, const struct uop *u)
{
	uint64_t v = reg_read(c, 8 * RAX, u->opsize);

	if (soft_pio(c, port_of(c, u), u->opsize, &v, true))
		return NULL;
	return exec_jump(c, exec_next_rip(c, u)); /* the board may have raised an SMI, or ended the run */
}
