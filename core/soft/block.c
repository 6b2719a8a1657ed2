/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The loop that runs decoded blocks, and what comes behind single instructions: traps, CS's limit, the count.
 */
#include "core/soft/block_impl.h"
#include "core/soft/exec.h"

/* The block at rip: from its slot if the page is in the TLB and the block was made from the same bytes. Blocks that reach
 * over the page's end are not reused: what follows the page may have changed. */
static inline struct block *block_find(struct soft_cpu *c)
{
	uint64_t lin = c->code_bits == 64 ? c->rip : (uint32_t)(c->seg_base[SEG_CS] + c->rip);
	const struct soft_tlb_entry *t = &c->tlb[lin >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];
	struct block *k = c->blocks->slot[block_slot(c->rip, c->code_bits)];

	if (likely(k && t->fetch == (lin & ~PAGE_OFFSET_MASK) && k->rip == c->rip && k->bits == c->code_bits &&
		   k->host == t->host + (lin & PAGE_OFFSET_MASK) && (lin & PAGE_OFFSET_MASK) + k->bytes <= PAGE_SIZE_4K))
		return k;
	return block_build(c);
}

/* After the handler of `last` has ended the block. */
static void count_executed(struct soft_cpu *c, const struct uop *last)
{
	uint64_t done = last->done;

	if (c->event == EVENT_EXCEPTION || c->event == EVENT_STOP || c->event == EVENT_RESTART) {
		c->rip = uop_rip(c, last);
		if (c->event == EVENT_EXCEPTION && c->not_canonical && last->seg == SEG_SS)
			c->vector = 12;
		done -= last->fn != op_end && last->fn != op_refetch;
	} else if (last->fn == op_refetch && !c->refetched) {
		done++; /* it ended the block and made it dead as well */
	}
	if (c->stop_soon)
		c->by = uop_rip(c, c->refetched && last->done ? last - 1 : last);
	c->refetched = false;
	c->icount += done;
	c->budget -= done < c->budget ? done : c->budget;
}

/* Whole blocks, one after the other. A block that jumps to its own start is run once more without a look-up, as long as
 * nothing was flushed meanwhile and no breakpoint stands at it: that is what tight loops do. */
static void run_blocks(struct soft_cpu *c, struct block *k)
{
	const struct uop *u, *last;
	uint32_t flushes = c->flushes;
	bool may_loop =
	    !c->any_plants || !soft_planted(c, c->code_bits == 64 ? c->rip : (uint32_t)(c->seg_base[SEG_CS] + c->rip));

	c->running = k;
	do {
		u = k->uop;
		do {
			last = u;
			u = u->fn(c, u);
		} while (likely(u != NULL));
		count_executed(c, last);
	} while (may_loop && c->rip == c->block_rip && c->event == EVENT_NONE && c->budget >= k->n && !k->dead &&
		 c->flushes == flushes && !c->stop_soon && !(c->eflags & (RFLAGS_TF | RFLAGS_RF)));
	c->running = NULL;
}

static void run_one(struct soft_cpu *c, const struct block *k)
{
	const struct uop *u = k->uop, *next = u->fn(c, u);

	c->by = uop_rip(c, u);
	if (next) {
		c->rip = block_wrap_rip(c, uop_rip(c, next));
		c->icount++;
		c->budget--;
	} else {
		count_executed(c, u);
	}
}

/* The #DB of the trap flag and of data and port breakpoints comes behind the instruction, unless that raised something
 * itself. A load of SS holds it back: then a breakpoint's comes behind the next one, the trap flag's does not come. */
static void trap_after(struct soft_cpu *c, bool tf)
{
	uint64_t bits = c->db_pending | (tf ? 1ull << 14 : 0);

	if (c->event != EVENT_NONE && c->event != EVENT_YIELD) {
		c->db_pending = 0;
		return;
	}
	if (!bits || soft_ss_shadow(c))
		return;
	c->db_pending = 0;
	c->r.dr[6] |= bits;
	c->trap_behind = true;
	soft_raise(c, 1);
}

/* SYSCALL and SYSRET look at TF when they are done, everything else before it begins. */
static bool trap_flag_counts(const struct soft_cpu *c, const struct uop *u, uint64_t flags_before)
{
	bool after = u->op == OP_syscall || u->op == OP_sysret;

	return (after ? c->eflags : flags_before) & RFLAGS_TF;
}

/* One instruction with what only some of them meet: RF, which ends with it unless it is what sets it, and traps. */
static void run_with_traps(struct soft_cpu *c, const struct block *k)
{
	uint64_t flags = c->eflags, rip = c->rip;
	struct uop u = k->uop[0];

	run_one(c, k);
	if ((c->event == EVENT_NONE || c->event == EVENT_YIELD) && u.op != OP_iret && !(u.rep && c->rip == rip))
		c->eflags &= ~RFLAGS_RF;
	trap_after(c, trap_flag_counts(c, &u, flags));
}

static bool within_limit(const struct soft_cpu *c, const struct block *k)
{
	return c->code_bits == 64 || c->rip + k->bytes - 1 <= c->r.seg[SEG_CS].limit;
}

/* A block that reaches beyond CS's limit goes one instruction at a time, up to the one that faults. */
static bool first_within_limit(struct soft_cpu *c, const struct block *k)
{
	if (c->rip + k->uop[0].len - 1 <= c->r.seg[SEG_CS].limit)
		return true;
	soft_raise_error(c, 13, 0);
	return false;
}

/* Where a round of soft_execute() begins. */
struct start {
	bool passed, rep;
	uint64_t rip, icount;
};

/* The next instruction goes alone where it stands on a plant that was asked already: the vCPU may come back to it. */
static bool runs_over_plant(const struct soft_cpu *c)
{
	return c->passed && c->any_plants &&
	       soft_planted(c, c->code_bits == 64 ? c->rip : (uint32_t)(c->seg_base[SEG_CS] + c->rip));
}

/* Later rounds of a REP instruction are no new arrival at it, nor is one that was not carried out. */
static void keep_passed(struct soft_cpu *c, const struct start *s)
{
	c->passed = c->rip == s->rip && (s->rep || c->icount == s->icount);
}

void soft_execute(struct soft_cpu *c)
{
	c->event = EVENT_NONE;
	while (c->budget && c->event == EVENT_NONE && !c->stop_soon) {
		if (unlikely(c->blocks->dead))
			block_cache_free_dead(c->blocks);
		if (unlikely(c->any_plants) && soft_stop_at_plant(c))
			return;
		struct block *k = block_find(c);
		if (unlikely(!k))
			return;
		struct start start = {c->passed, k->uop[0].rep, c->rip, c->icount};
		bool alone = c->eflags & (RFLAGS_TF | RFLAGS_RF) || c->db_pending || runs_over_plant(c);
		bool whole = within_limit(c, k);
		if (!whole && !first_within_limit(c, k))
			return;
		c->block_rip = c->rip;
		/* While stages are watched each instruction goes alone: a vCPU that stands still has an exact rip. So does
		 * one whose fetch was an event to stop behind. */
		if (likely(!alone && whole && c->budget >= k->n && !c->shadow.stage && !c->stop_soon))
			run_blocks(c, k);
		else if (alone)
			run_with_traps(c, k);
		else
			run_one(c, k);
		if (start.passed)
			keep_passed(c, &start);
		if (unlikely(c->db_pending))
			trap_after(c, false);
	}
}
