/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Walking the stack. The innermost return address is found as `finish` finds it (a function may stand before its prologue);
 * from there on each frame pointer leads to the next one, above a return address.
 */
#include "core/debug/backtrace.h"

#include <stdio.h>

#include "core/debug/control.h"

struct climb {
	struct debugger *d;
	unsigned vcpu;
	struct where w;
	struct backtrace *b;
	uint64_t bp;  /* the next frame's pointer, linear */
	uint64_t low; /* it stands at or above this */
};

static void push(struct climb *c, uint64_t pc)
{
	c->b->v[c->b->n++] = (struct frame){.pc = pc};
}

static struct frame *innermost(struct climb *c)
{
	return &c->b->v[c->b->n - 1];
}

#define END(c, ...) snprintf((c)->b->end, sizeof((c)->b->end), __VA_ARGS__)

/* Is there a frame at c->bp? Its function is the last one in the list. */
static bool frame_ok(struct climb *c)
{
	unsigned long long bp = c->bp, low = c->low;

	if (!bp)
		END(c, "the frame pointer is 0, as in the outermost frame");
	else if (bp < low)
		END(c, "the frame pointer %#llx is below %#llx, where the frames so far end", bp, low);
	else if (bp - low > CONTROL_FRAME_MAX)
		END(c, "the frame pointer %#llx is more than 1 MiB above %#llx, where the frames so far end", bp, low);
	else if (bp % c->w.word)
		END(c, "the frame pointer %#llx is not aligned to %u bytes", bp, c->w.word);
	else
		return true;
	return false;
}

/* One frame up. */
static bool up(struct climb *c)
{
	uint64_t next, ret, target, pc;

	if (!frame_ok(c))
		return false;
	if (!control_read_word(c->d, c->vcpu, &c->w, c->bp, &next) ||
	    !control_read_word(c->d, c->vcpu, &c->w, c->bp + c->w.word, &ret)) {
		END(c, "the stack at %#llx cannot be read", (unsigned long long)c->bp);
		return false;
	}
	pc = where_linear(&c->w, &c->w.r.seg[SEG_CS], ret);
	if (!control_behind_call(c->d, c->vcpu, &c->w, pc, &target)) {
		END(c, "%#llx, above the frame pointer at %#llx, is no address behind a call", (unsigned long long)pc,
		    (unsigned long long)c->bp);
		return false;
	}
	innermost(c)->frame = c->bp;
	innermost(c)->has_frame = true;
	push(c, pc);
	c->low = c->bp + 2 * c->w.word;
	c->bp = next ? control_frame(&c->w, next) : 0;
	return true;
}

/* A function that has not set up its frame yet has its return address on the stack, and the frame pointer is its caller's.
 */
static void push_innermost_return(struct climb *c)
{
	struct ret_guess g;

	if (!control_return(c->d, c->vcpu, &c->w, &g) || g.slot == c->bp + c->w.word)
		return;
	push(c, g.addr);
	c->low = g.slot + c->w.word;
}

int debug_backtrace(struct debugger *d, unsigned vcpu, size_t max, struct backtrace *out, struct err *e)
{
	struct backtrace b = {.v = NULL};
	struct climb c = {.d = d, .vcpu = vcpu, .b = &b};
	int rc = where_get(d->m, vcpu, &c.w, e);

	if (rc)
		return rc;
	b.v = calloc(max + 1, sizeof(*b.v));
	if (!b.v)
		return err_nomem(e, "backtrace");
	c.bp = c.w.r.gpr[RBP] ? control_frame(&c.w, c.w.r.gpr[RBP]) : 0;
	c.low = c.w.sp;
	push(&c, c.w.pc);
	if (max > 1)
		push_innermost_return(&c);
	while (b.n < max && up(&c))
		;
	*out = b;
	return 0;
}

void backtrace_free(struct backtrace *b)
{
	free(b->v);
	*b = (struct backtrace){.v = NULL};
}
