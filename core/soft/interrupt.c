/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Exceptions and interrupts: through the vector table of real mode, the IDT of protected and of long mode; double and triple
 * faults. Intel SDM vol. 3A chapter 6; the classes that make a double fault: table 6-5.
 *
 * If the IDT's limit leaves out the vector and all that would come of it (#GP, #DF), the machine stops and says so,
 * instead of the cascade to a triple fault that hardware goes through and that would leave nothing to look at. So it does in
 * real mode for an entry of 0000:0000, where hardware would execute the vector table.
 */
#include "core/soft/segment.h"

#include <stdio.h>

#include "core/soft/soft_impl.h"

/* What is being delivered to a handler. */
struct delivery {
	uint8_t vector;
	bool has_error, soft; /* soft: INT n, INT3, INTO: checked against the gate's DPL, never part of a double fault */
	uint32_t error;
	uint64_t rip; /* to be pushed */
};

struct gate {
	uint64_t offset;
	uint16_t selector;
	uint8_t type, dpl, ist;
	bool present;
};

/* ---- real mode */

static int deliver_real(struct soft_cpu *c, const struct delivery *d)
{
	uint64_t frame[3] = {c->eflags, c->r.seg[SEG_CS].selector, d->rip};
	uint16_t to[2];

	if (4u * d->vector + 3 > c->r.idt.limit) {
		soft_raise_error(c, VEC_GP, 0);
		return -1;
	}
	if (soft_read_sys(c, c->r.idt.base + 4ull * d->vector, 4, to) || exec_push_n(c, 2, frame, 3))
		return -1;
	c->eflags &= ~(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF);
	seg_set_real(c, SEG_CS, to[1]);
	c->rip = to[0];
	soft_segs_changed(c);
	return 0;
}

/* ---- protected and long mode */

static int raise_code(struct soft_cpu *c, uint8_t vector, uint32_t error)
{
	soft_raise_error(c, vector, error);
	return -1;
}

static int gate_read(struct soft_cpu *c, const struct delivery *d, struct gate *g)
{
	unsigned size = c->long_mode ? 16 : 8;
	uint64_t raw[2] = {0}, at = c->r.idt.base + (uint64_t)size * d->vector;
	uint32_t error = 8u * d->vector + 2;

	if (size * (d->vector + 1u) - 1 > c->r.idt.limit)
		return raise_code(c, VEC_GP, error);
	if (soft_read_sys(c, at, 8, &raw[0]) || (c->long_mode && soft_read_sys(c, at + 8, 8, &raw[1])))
		return -1;
	*g = (struct gate){.offset = (raw[0] & 0xffff) | (raw[0] >> 32 & 0xffff0000),
			   .selector = (uint16_t)(raw[0] >> 16),
			   .type = raw[0] >> 40 & 31,
			   .dpl = raw[0] >> 45 & 3,
			   .present = raw[0] >> 47 & 1,
			   .ist = c->long_mode ? raw[0] >> 32 & 7 : 0};
	if (c->long_mode)
		g->offset |= raw[1] << 32;
	bool known = g->type == DESC_INT || g->type == DESC_TRAP ||
		     (!c->long_mode && (g->type == DESC_INT16 || g->type == DESC_TRAP16 || g->type == DESC_TASK));
	if (!known || (d->soft && g->dpl < c->cpl))
		return raise_code(c, VEC_GP, error);
	return g->present ? 0 : raise_code(c, VEC_NP, error);
}

/* Where the frame goes: the stack segment it will be, and its pointer. */
struct frame_stack {
	struct descriptor ss;
	uint64_t sp;
	bool fresh, null_ss; /* another stack than now */
	unsigned cpl;
};

static int choose_stack(struct soft_cpu *c, const struct gate *g, unsigned cpl, struct frame_stack *st)
{
	bool vm = c->eflags & RFLAGS_VM;
	uint16_t selector;

	*st = (struct frame_stack){.sp = c->gpr[RSP], .cpl = cpl};
	if (cpl == c->cpl && !vm && !g->ist) {
		if (c->long_mode)
			st->sp &= ~15ull;
		return 0;
	}
	st->fresh = true;
	if (tss_stack(c, cpl, g->ist, &st->sp, &selector))
		return -1;
	if (c->long_mode) {
		st->sp &= ~15ull;
		st->null_ss = cpl != c->cpl;
		return 0;
	}
	return desc_check_stack(c, selector, cpl, VEC_TS, &st->ss);
}

static int write_frame(struct soft_cpu *c, const struct frame_stack *st, unsigned size, const uint64_t *v, unsigned n,
		       uint64_t *sp)
{
	const struct seg *ss = st->fresh ? &st->ss.seg : &c->r.seg[SEG_SS];
	uint64_t mask = c->long_mode ? ~0ull : ss->db ? 0xffffffffull : 0xffffull, at = st->sp;

	for (unsigned i = 0; i < n; i++) {
		at = (at - size) & mask;
		uint64_t lin = c->long_mode ? at : (uint32_t)(ss->base + at);
		if (!c->long_mode && !(ss->type & 4) && at + size - 1 > ss->limit)
			return raise_code(c, VEC_SS, 0);
		if (st->cpl == 3 ? soft_write(c, lin, size, &v[i]) : soft_write_sys(c, lin, size, &v[i]))
			return -1;
	}
	*sp = c->long_mode ? at : (c->gpr[RSP] & ~mask & 0xffffffff) | at;
	if (st->fresh && !c->long_mode)
		*sp = at;
	return 0;
}

static unsigned build_frame(struct soft_cpu *c, const struct delivery *d, bool fresh, uint64_t v[10])
{
	unsigned n = 0;
	bool vm = c->eflags & RFLAGS_VM;

	if (vm) {
		v[n++] = c->r.seg[SEG_GS].selector;
		v[n++] = c->r.seg[SEG_FS].selector;
		v[n++] = c->r.seg[SEG_DS].selector;
		v[n++] = c->r.seg[SEG_ES].selector;
	}
	if (fresh || c->long_mode) {
		v[n++] = c->r.seg[SEG_SS].selector;
		v[n++] = c->gpr[RSP];
	}
	v[n++] = c->eflags;
	v[n++] = c->r.seg[SEG_CS].selector;
	v[n++] = d->rip;
	if (d->has_error)
		v[n++] = d->error;
	return n;
}

static void drop_vm86_segments(struct soft_cpu *c)
{
	static const enum seg_index data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < ARRAY_LEN(data); i++)
		c->r.seg[data[i]] = (struct seg){.unusable = true};
}

static int handler_code(struct soft_cpu *c, const struct gate *g, struct descriptor *cs, unsigned *cpl)
{
	if (!(g->selector & 0xfffc))
		return raise_code(c, VEC_GP, 0);
	if (desc_read(c, g->selector, VEC_GP, false, cs))
		return -1;
	bool bad_long = c->long_mode && (!cs->seg.l || cs->seg.db);
	if (!desc_is_code(&cs->seg) || cs->seg.dpl > c->cpl || bad_long)
		return raise_code(c, VEC_GP, g->selector & 0xfffcu);
	if (!cs->seg.present)
		return raise_code(c, VEC_NP, g->selector & 0xfffcu);
	*cpl = desc_conforming(&cs->seg) ? c->cpl : cs->seg.dpl;
	if ((c->eflags & RFLAGS_VM) && *cpl)
		return raise_code(c, VEC_GP, g->selector & 0xfffcu);
	return 0;
}

static int deliver_gate(struct soft_cpu *c, const struct delivery *d)
{
	struct descriptor cs;
	struct frame_stack st;
	struct gate g;
	uint64_t v[10], sp;
	unsigned cpl;

	if (gate_read(c, d, &g))
		return -1;
	if (g.type == DESC_TASK) {
		c->event = EVENT_STOP;
		c->stop = (struct stop){.reason = STOP_ERROR, .vcpu = c->index, .slot = -1};
		snprintf(c->stop.error, sizeof(c->stop.error),
			 "vector %u is a task gate, and the soft CPU switches no tasks", d->vector);
		return -1;
	}
	if (handler_code(c, &g, &cs, &cpl) || choose_stack(c, &g, cpl, &st))
		return -1;
	unsigned size = c->long_mode ? 8 : g.type & 8 ? 4 : 2;
	uint64_t to = size == 2 ? g.offset & 0xffff : g.offset;
	if (c->long_mode ? !paging_canonical(&c->pg, to) : to > cs.seg.limit)
		return raise_code(c, VEC_GP, 0);
	unsigned n = build_frame(c, d, st.fresh, v);
	if (desc_mark_accessed(c, &cs) || (st.fresh && !c->long_mode && desc_mark_accessed(c, &st.ss)) ||
	    write_frame(c, &st, size, v, n, &sp))
		return -1;
	bool vm = c->eflags & RFLAGS_VM;
	c->eflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM);
	if (!(g.type & 1))
		c->eflags &= ~RFLAGS_IF;
	if (vm)
		drop_vm86_segments(c);
	if (st.fresh && !c->long_mode)
		c->r.seg[SEG_SS] = st.ss.seg;
	else if (st.null_ss)
		c->r.seg[SEG_SS] = (struct seg){.selector = (uint16_t)cpl, .unusable = true, .dpl = (uint8_t)cpl};
	c->gpr[RSP] = sp;
	seg_set_code(c, &cs, g.selector, cpl);
	c->rip = to;
	soft_segs_changed(c);
	return 0;
}

/* ---- escalation */

static bool contributory(uint8_t vector)
{
	return vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
}

/* The first exception was being delivered when the second came up: both one after the other, or a double fault. INT n is
 * none of those that double, whatever its vector. */
static bool makes_double_fault(uint8_t first, uint8_t second)
{
	return (contributory(first) && contributory(second)) ||
	       (first == VEC_PF && (second == VEC_PF || contributory(second)));
}

static int deliver_once(struct soft_cpu *c, const struct delivery *d)
{
	uint64_t flags, rsp = c->gpr[RSP];

	flags_settle(c);
	flags = c->eflags;
	c->event = EVENT_NONE;
	if (d->vector == VEC_PF)
		c->r.cr2 = c->cr2;
	/* RF is set in the image that a fault pushes, so that its restart does not trip the same instruction breakpoint. */
	if (!d->soft && d->vector != VEC_DB && d->vector != VEC_BP && d->vector != VEC_OF)
		c->eflags |= RFLAGS_RF;
	int rc = c->r.cr0 & CR0_PE ? deliver_gate(c, d) : deliver_real(c, d);
	if (rc) {
		c->eflags = flags;
		c->gpr[RSP] = rsp;
		if (c->event == EVENT_EXCEPTION && c->vector == VEC_PF)
			c->r.cr2 = c->cr2;
		return rc;
	}
	if (d->vector == VEC_DB && !d->soft)
		c->r.dr[7] &= ~(1ull << 13); /* a handler may look at the debug registers */
	c->halted = false;
	return 0;
}

static bool beyond_idt(const struct soft_cpu *c, uint8_t vector)
{
	unsigned size = !(c->r.cr0 & CR0_PE) ? 4 : c->long_mode ? 16 : 8;

	return size * (vector + 1u) - 1 > c->r.idt.limit;
}

/* Real mode only. Looks, and touches nothing. */
static bool entry_empty(struct soft_cpu *c, uint8_t vector)
{
	uint16_t entry[2];

	return !(c->r.cr0 & CR0_PE) && !beyond_idt(c, vector) &&
	       !slots_read(&c->m->m.slots, c->r.idt.base + 4ull * vector, c->r.smm, entry, sizeof(entry), NULL) &&
	       ivt_entry_empty(c->r.idt.base, entry);
}

/* Beyond the IDT's limit comes #GP, or a double fault; with those beyond it too nothing of the guest's would run. */
static enum exception_handler find_handler(struct soft_cpu *c, const struct delivery *d)
{
	bool twice = !d->soft && makes_double_fault(d->vector, VEC_GP);

	if (entry_empty(c, d->vector))
		return HANDLER_EMPTY;
	return beyond_idt(c, d->vector) && beyond_idt(c, VEC_DF) && (twice || beyond_idt(c, VEC_GP)) ? HANDLER_BEYOND_IDT
												     : HANDLER_OWN;
}

static uint64_t rip_behind(const struct soft_cpu *c)
{
	uint64_t rip = c->rip + c->soft_int_len;

	return c->code_bits == 64 ? rip : c->code_bits == 32 ? (uint32_t)rip : (uint16_t)rip;
}

/* INT n that leads nowhere is told, and the second time passed over. True: it was. */
static bool passes_over(struct soft_cpu *c)
{
	bool again = c->int_told && c->int_rip == c->rip;

	c->int_told = !again;
	c->int_rip = c->rip;
	if (!again)
		return false;
	c->event = EVENT_NONE;
	c->rip = rip_behind(c);
	return true;
}

static void stop_with_exception(struct soft_cpu *c, enum exception_handler handler)
{
	bool trap = c->soft_int_len && !c->int_n && (c->vector == VEC_DB || c->vector == VEC_BP || c->vector == VEC_OF);

	if (c->soft_int_len && !trap && passes_over(c))
		return;
	if (c->vector == VEC_PF)
		c->r.cr2 = c->cr2;
	c->event = EVENT_STOP;
	c->stop = (struct stop){.reason = STOP_EXCEPTION,
				.vcpu = c->index,
				.vector = c->vector,
				.has_error = c->has_error && (c->r.cr0 & CR0_PE),
				.error_code = c->error_code,
				.cr2 = c->r.cr2,
				.handler = handler,
				.software = c->soft_int_len,
				.has_by = trap,
				.by = c->rip,
				.slot = -1};
	if (trap)
		c->rip = rip_behind(c);
}

static struct delivery raised(const struct soft_cpu *c)
{
	return (struct delivery){.vector = c->vector,
				 .has_error = c->has_error && (c->r.cr0 & CR0_PE),
				 .error = c->error_code,
				 .soft = c->soft_int_len && !c->int1,
				 .rip = rip_behind(c)};
}

bool soft_has_handler(struct soft_cpu *c)
{
	struct delivery d = raised(c);

	return find_handler(c, &d) == HANDLER_OWN;
}

void soft_deliver(struct soft_cpu *c)
{
	struct delivery d = raised(c);
	enum exception_handler handler = find_handler(c, &d);

	for (unsigned depth = 0; depth < 5; depth++) { /* INT n, #GP, #PF, #DF, nothing */
		if (depth)
			handler = entry_empty(c, d.vector) ? HANDLER_EMPTY : HANDLER_OWN;
		if (handler != HANDLER_OWN) {
			stop_with_exception(c, handler);
			return;
		}
		if (!deliver_once(c, &d))
			return;
		if (c->event != EVENT_EXCEPTION) {
			/* A stop, or once more from the start: a fault's instruction raises it again, a trap is
			 * injected. */
			if (d.vector == VEC_DB && d.rip == c->rip) {
				c->injected = (struct guest_fault){.present = true, .vector = VEC_DB};
				c->trap_caught = c->trap_behind;
				c->caught = c->m->catches & CATCH_EXCEPTION;
			}
			return;
		}
		uint8_t second = c->vector;
		if (d.vector == VEC_DF && !d.soft)
			break;
		/* INT n is benign, whatever exception's vector it names. */
		bool twice = !d.soft && makes_double_fault(d.vector, second);
		d = (struct delivery){.vector = twice ? VEC_DF : second,
				      .has_error = true,
				      .error = twice ? 0 : c->error_code | (second == VEC_PF ? 0 : !d.soft),
				      .rip = c->rip};
		d.has_error = d.has_error && (c->r.cr0 & CR0_PE);
	}
	c->event = EVENT_SHUTDOWN;
}
