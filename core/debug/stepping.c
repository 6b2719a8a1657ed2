/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The plans (core/debug/plan.h). next, until and finish go by one temporary stop that only counts at the right depth of the
 * stack.
 *
 * finish must guess where the current function will return to. Code without frame pointers is the rule in the guests that
 * people debug here, so a guess is taken only where the bytes before the supposed return address are a call; otherwise the
 * function is stepped through, over its calls, until a return at its own depth has run.
 */
#include "core/debug/debugger.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/control.h"

static enum insn_kind kind_at(struct debugger *d, unsigned vcpu, const struct where *w, struct insn *insn)
{
	uint8_t code[15];
	size_t n = where_code(d->m, vcpu, w->pc, code, sizeof(code));

	return disas_one(d->disas, w->bits, w->pc, code, n, insn) ? insn->kind : INSN_PLAIN;
}

static bool stepped_over(enum insn_kind k)
{
	return k == INSN_CALL || k == INSN_REP || k == INSN_INT || k == INSN_SYSCALL;
}

static uint64_t behind(const struct where *w, const struct insn *insn)
{
	uint64_t next = w->pc + insn->len;

	return w->bits == 64 ? next : (uint32_t)next;
}

static int resume_to(struct plan *p, uint64_t addr, uint64_t min_sp)
{
	p->move = MOVE_RESUME;
	p->has_temp = true;
	p->temp = (struct temp_stop){.addr = addr, .min_sp = min_sp};
	return 1;
}

static int step_by(struct plan *p, uint64_t count)
{
	p->move = MOVE_STEP;
	p->count = count;
	return 1;
}

/* ---- continue, step, a fault's stage */

static int next_of_continue(struct debugger *d, struct plan *p, struct err *e)
{
	(void)d, (void)e;
	p->move = MOVE_RESUME;
	return !p->made;
}

struct plan plan_continue(unsigned vcpu)
{
	static const struct plan_ops ops = {.next = next_of_continue};

	return (struct plan){.ops = &ops, .vcpu = vcpu};
}

/* All in one job if there is nothing to ask in between. */
static int next_of_step(struct debugger *d, struct plan *p, struct err *e)
{
	uint64_t count = points_any_enabled(&d->points) ? 1 : p->n;

	(void)e;
	if (!p->n)
		return 0;
	p->n -= count;
	return step_by(p, count);
}

static const struct plan_ops step_ops = {.next = next_of_step};

struct plan plan_step(unsigned vcpu, uint64_t n)
{
	return (struct plan){.ops = &step_ops, .vcpu = vcpu, .n = n};
}

#define SHORT_STEPS 100
bool plan_is_short(const struct plan *p)
{
	return p->ops == &step_ops && p->n <= SHORT_STEPS;
}

static int next_of_stage(struct debugger *d, struct plan *p, struct err *e)
{
	if (p->made)
		return 0;
	p->move = MOVE_STAGE;
	int rc = machine_fault_check(d->m, e);
	return rc ? rc : 1;
}

struct plan plan_stage(void)
{
	static const struct plan_ops ops = {.next = next_of_stage};

	return (struct plan){.ops = &ops};
}

/* ---- next, until */

static int over_one(struct debugger *d, struct plan *p, const struct where *w)
{
	struct insn insn;

	return stepped_over(kind_at(d, p->vcpu, w, &insn)) ? resume_to(p, behind(w, &insn), w->sp) : step_by(p, 1);
}

static int next_of_next(struct debugger *d, struct plan *p, struct err *e)
{
	struct where w;

	if (!p->n)
		return 0;
	p->n--;
	int rc = where_get(d->m, p->vcpu, &w, e);
	return rc ? rc : over_one(d, p, &w);
}

struct plan plan_next(unsigned vcpu, uint64_t n)
{
	static const struct plan_ops ops = {.next = next_of_next};

	return (struct plan){.ops = &ops, .vcpu = vcpu, .n = n};
}

static void note_arrival(struct debugger *d, const char *what, uint64_t addr)
{
	char sym[96];

	symbols_format(&d->syms, addr, sym, sizeof(sym));
	snprintf(d->stop.note, sizeof(d->stop.note), "%s %#llx%s%s%s", what, (unsigned long long)addr, *sym ? " (" : "", sym,
		 *sym ? ")" : "");
}

static int next_of_until(struct debugger *d, struct plan *p, struct err *e)
{
	(void)d, (void)e;
	return p->made ? 0 : resume_to(p, p->n, 0);
}

static void until_arrived(struct debugger *d, const struct plan *p)
{
	note_arrival(d, "`until` arrived at", p->n);
}

struct plan plan_until(unsigned vcpu, uint64_t addr)
{
	static const struct plan_ops ops = {.next = next_of_until, .arrived = until_arrived};

	return (struct plan){.ops = &ops, .vcpu = vcpu, .n = addr};
}

/* ---- finish */

bool control_read_word(struct debugger *d, unsigned vcpu, const struct where *w, uint64_t addr, uint64_t *out)
{
	uint64_t v = 0;

	if (machine_read_gva(d->m, vcpu, addr, &v, w->word, NULL))
		return false;
	*out = v;
	return true;
}

/* Is addr right behind a call? Calls are 2 to 7 bytes long (3 in 16 bit for a near one); *target is a direct one's. */
bool control_behind_call(struct debugger *d, unsigned vcpu, const struct where *w, uint64_t addr, uint64_t *target)
{
	uint8_t code[8];
	struct insn insn;

	for (unsigned len = 2; len <= 7; len++) {
		if (addr < len || where_code(d->m, vcpu, addr - len, code, len) != len)
			continue;
		if (disas_one(d->disas, w->bits, addr - len, code, len, &insn) && insn.len == len &&
		    insn.kind == INSN_CALL) {
			*target = insn.target;
			return true;
		}
	}
	return false;
}

static bool guess_at(struct debugger *d, unsigned vcpu, const struct where *w, uint64_t slot, struct ret_guess *g,
		     uint64_t *target)
{
	uint64_t ret;

	*target = 0;
	if (!control_read_word(d, vcpu, w, slot, &ret))
		return false;
	g->slot = slot;
	g->addr = where_linear(w, &w->r.seg[SEG_CS], ret);
	return control_behind_call(d, vcpu, w, g->addr, target);
}

/* `push rbp` at pc - 1 has run, `mov rbp, rsp` has not. */
static bool after_push_bp(struct debugger *d, unsigned vcpu, const struct where *w)
{
	uint8_t code[4];

	return w->pc && where_code(d->m, vcpu, w->pc - 1, code, 4) == 4 && code[0] == 0x55 &&
	       (memcmp(code + 1, "\x48\x89\xe5", 3) == 0 || memcmp(code + 1, "\x48\x8b\xec", 3) == 0 ||
		memcmp(code + 1, "\x89\xe5", 2) == 0 || memcmp(code + 1, "\x8b\xec", 2) == 0);
}

static bool same_function(struct debugger *d, uint64_t a, uint64_t b)
{
	const struct symbol *s = symbols_by_addr(&d->syms, a);

	return a == b || (s && s == symbols_by_addr(&d->syms, b));
}

/* A call that led here: a direct one into this function, or an indirect one whose callee has not moved yet. */
static bool led_here(struct debugger *d, uint64_t target, uint64_t pc)
{
	const struct symbol *s = symbols_by_addr(&d->syms, pc);

	return target ? same_function(d, target, pc) : s && s->addr == pc;
}

uint64_t control_frame(const struct where *w, uint64_t bp)
{
	if (w->bits == 64)
		return bp;
	return where_linear(w, &w->r.seg[SEG_SS], w->r.seg[SEG_SS].db ? (uint32_t)bp : (uint16_t)bp);
}

static bool guess_by_frame(struct debugger *d, unsigned vcpu, const struct where *w, struct ret_guess *g)
{
	uint64_t bp = control_frame(w, w->r.gpr[RBP]), target;

	if (bp < w->sp || bp - w->sp > CONTROL_FRAME_MAX || bp % w->word)
		return false;
	return guess_at(d, vcpu, w, bp + w->word, g, &target) && (!target || same_function(d, target, w->pc));
}

/* The innermost return address: on top of the stack at a function's first instructions, else above the frame pointer. A
 * frame pointer alone is not enough: it is the caller's wherever the function does not set one up. */
bool control_return(struct debugger *d, unsigned vcpu, const struct where *w, struct ret_guess *g)
{
	uint64_t target;

	if (guess_at(d, vcpu, w, w->sp, g, &target) && led_here(d, target, w->pc))
		return true;
	if (after_push_bp(d, vcpu, w) && guess_at(d, vcpu, w, w->sp + w->word, g, &target))
		return true;
	return guess_by_frame(d, vcpu, w, g);
}

/* Is there a word near the top of the stack that leads to behind a call? None at all: nothing called what runs here. Words
 * are looked at as far as a function without a frame pointer may have gone down. */
#define CALLER_WORDS 512
static bool has_caller(struct debugger *d, unsigned vcpu, const struct where *w)
{
	struct ret_guess g;
	uint64_t target;

	for (unsigned i = 0; i < CALLER_WORDS; i++)
		if (guess_at(d, vcpu, w, w->sp + (uint64_t)i * w->word, &g, &target))
			return true;
	return false;
}

static int no_caller(struct debugger *d, unsigned vcpu, const struct where *w, struct err *e)
{
	uint64_t top;

	if (!control_read_word(d, vcpu, w, w->sp, &top))
		return err_set(e, -ENOENT,
			       "finish" WHY
			       "no caller: the stack at %#llx, where a return address would be, cannot be read" TRY
			       "until ADDR",
			       (unsigned long long)w->sp);
	return err_set(e, -ENOENT,
		       "finish" WHY
		       "no caller: the stack at %#llx begins with %#llx, and neither that nor the words above it "
		       "are an address behind a call" TRY "until ADDR",
		       (unsigned long long)w->sp, (unsigned long long)top);
}

/* Over calls, until a return has run that popped what was there at the start. */
static int finish_by_steps(struct debugger *d, struct plan *p, const struct where *w)
{
	struct insn insn;
	enum insn_kind k = kind_at(d, p->vcpu, w, &insn);

	p->returns = (k == INSN_RET || k == INSN_IRET) && w->sp >= p->sp;
	return over_one(d, p, w);
}

static int begin_finish(struct debugger *d, struct plan *p, const struct where *w, struct err *e)
{
	struct ret_guess g;

	p->pc = w->pc;
	p->sp = w->sp;
	if (control_return(d, p->vcpu, w, &g))
		return resume_to(p, g.addr, g.slot + w->word);
	if (!has_caller(d, p->vcpu, w))
		return no_caller(d, p->vcpu, w, e);
	p->by_steps = true;
	return finish_by_steps(d, p, w);
}

static int next_of_finish(struct debugger *d, struct plan *p, struct err *e)
{
	struct where w;

	if (p->made && (!p->by_steps || p->returns))
		return 0;
	int rc = where_get(d->m, p->vcpu, &w, e);
	if (rc)
		return rc;
	return p->made ? finish_by_steps(d, p, &w) : begin_finish(d, p, &w, e);
}

static void finish_arrived(struct debugger *d, const struct plan *p)
{
	note_arrival(d, "`finish` returned from", p->pc);
}

struct plan plan_finish(unsigned vcpu)
{
	static const struct plan_ops ops = {.next = next_of_finish, .arrived = finish_arrived};

	return (struct plan){.ops = &ops, .vcpu = vcpu};
}
