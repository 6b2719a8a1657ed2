/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands that let the guest run, and those about its last stop.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/cmd/look.h"
#include "cli/cmd/run.h"
#include "cli/cmd/table.h"
#include "cli/session/changed.h"
#include "cli/session/client.h"
#include "cli/session/go.h"
#include "core/board/board.h"

/* Real and virtual-8086 mode, and wherever else CS has a base. */
void stop_put_segment(struct call *c, struct value *stop)
{
	struct regs r;

	if (machine_get_regs(c->s->d.m, c->s->vcpu, REGS_GPR | REGS_SYS, &r, NULL) || r.rip != c->s->d.stop.rip)
		return;
	if (regs_mode(&r) != CPU_REAL && regs_mode(&r) != CPU_VM86 && regs_pc(&r) == r.rip)
		return;
	v_put(c->pool, stop, "cs", v_hex(r.seg[SEG_CS].selector));
	v_put(c->pool, stop, "pc", v_hex(regs_pc(&r)));
}

/* For people: what is about to be executed, and its symbol. Programs ask for that themselves, and step by the million. */
static void add_place(struct call *c)
{
	char sym[128];
	uint64_t pc, next;
	unsigned bits;
	struct space sp;
	struct value insn;

	if (!c->shown || c->s->d.stop.rip_old || current_pc(c->s, &pc, &bits, NULL) || space_init(&sp, c, false, NULL))
		return;
	stop_put_segment(c, &c->result);
	if (*symbols_format(&c->s->d.syms, pc, sym, sizeof(sym)))
		v_put(c->pool, &c->result, "symbol", v_str(c->pool, sym));
	if (!disassemble(c, &sp, bits, pc, 1, &insn, &next, NULL))
		v_put(c->pool, &c->result, "next", insn);
}

/* After `set context on`, for people: all of where it stands. */
static void add_context(struct call *c)
{
	struct value v;

	if (c->shown && c->client->settings.context && !context(c, CONTEXT_ALL & ~CONTEXT_STOP, &v, NULL))
		v_put(c->pool, &c->result, "context", v);
}

/* The stop that there was last. */
static void show_stop(struct call *c)
{
	c->s->vcpu = c->s->d.stop.vcpu;
	session_result_stop(c);
	snap_keep_stage(c->s);
	report_note_stop(c->s);
	add_place(c);
	add_context(c);
	if (c->s->n_displays)
		v_put(c->pool, &c->result, "displays", display_list(c));
}

int cmd_stopped(struct call *c, struct err *e)
{
	(void)e;
	changed_stopped(c->s, !c->script);
	show_stop(c);
	return 0;
}

/* One optional count. */
static int one_count(struct call *c, uint64_t *n, struct err *e)
{
	struct args a;
	int rc = args_init(&a, c, e);

	*n = 1;
	if (!rc && args_more(&a))
		rc = args_number(&a, "N", 1, INT64_MAX, n, e);
	return rc ? rc : args_end(&a, e);
}

static int start_over(struct session *s, struct err *e)
{
	if (!s->image)
		return err_set(e, -ENODEV, "run" WHY "no image is loaded" TRY "load IMAGE");
	int rc = machine_reset(s->d.m, e);
	if (rc)
		return rc;
	board_reset(machine_board(s->d.m));
	rc = image_load(s->image, s->d.m, e);
	if (!rc)
		s->d.has_run = false;
	return rc;
}

static int cmd_run(struct call *c, struct err *e)
{
	int rc = args_none(c, e);

	if (!rc && c->s->d.has_run)
		rc = start_over(c->s, e);
	return rc ? rc : go_wait(c, plan_continue(c->s->vcpu), cmd_stopped);
}

/* Of the stop points that the last stop is of; false: there are none. */
static bool ignore_last(struct debugger *d, uint64_t times)
{
	struct stop_point *p = point_find(&d->points, d->stop.breakpoint);
	bool any = p;

	if (p)
		p->ignore = times;
	for (unsigned i = 1; i < d->stop.n_causes; i++) {
		p = point_find(&d->points, d->stop.cause[i].id);
		if (p)
			p->ignore = times;
		any |= p != NULL;
	}
	return any;
}

/* c N: pass this breakpoint N - 1 times more. */
static int cmd_continue(struct call *c, struct err *e)
{
	struct debugger *d = &c->s->d;
	uint64_t n;
	int rc = one_count(c, &n, e);

	if (!rc && n > 1 && !ignore_last(d, n - 1))
		rc = err_set(e, -EINVAL, "c %llu" WHY "the last stop was at no breakpoint that could be passed" TRY "c",
			     (unsigned long long)n);
	return rc ? rc : go_wait(c, plan_continue(c->s->vcpu), cmd_stopped);
}

static int cmd_stepi(struct call *c, struct err *e)
{
	uint64_t n;
	int rc = one_count(c, &n, e);

	return rc ? rc : go_wait(c, plan_step(c->s->vcpu, n), cmd_stopped);
}

static int cmd_nexti(struct call *c, struct err *e)
{
	uint64_t n;
	int rc = one_count(c, &n, e);

	return rc ? rc : go_wait(c, plan_next(c->s->vcpu, n), cmd_stopped);
}

static int cmd_until(struct call *c, struct err *e)
{
	struct args a;
	uint64_t addr;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_addr(&a, "A", &addr, e);
	if (!rc)
		rc = args_end(&a, e);
	return rc ? rc : go_wait(c, plan_until(c->s->vcpu, addr), cmd_stopped);
}

static int cmd_finish(struct call *c, struct err *e)
{
	int rc = args_none(c, e);

	return rc ? rc : go_wait(c, plan_finish(c->s->vcpu), cmd_stopped);
}

/* The stop that there was last, whose breakpoint's commands have run. */
static int last_stop(struct call *c, struct err *e)
{
	if (c->s->d.stop.reason == STOP_NONE)
		return err_set(e, -EINVAL, "wait" WHY "no run is in the background" TRY "c &, then wait");
	show_stop(c);
	scripts_clear(&c->client->pending);
	return 0;
}

static int cmd_wait(struct call *c, struct err *e)
{
	uint64_t seconds = 0;
	bool limited;
	struct args a;
	int rc = args_init(&a, c, e);

	limited = !rc && args_more(&a);
	if (limited)
		rc = args_number(&a, "SECONDS", 0, INT32_MAX, &seconds, e);
	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	return go_is_under_way(c->s) ? go_join(c, limited ? (int64_t)seconds * 1000 : -1, e) : last_stop(c, e);
}

static int cmd_interrupt(struct call *c, struct err *e)
{
	int rc = args_none(c, e);

	if (!rc)
		go_interrupt(c->s);
	return rc;
}

static int cmd_why(struct call *c, struct err *e)
{
	char text[1600];
	int rc = args_none(c, e);

	if (rc)
		return rc;
	if (c->s->last_was_error)
		err_format(&c->s->last_error, text, sizeof(text));
	else
		debug_why(&c->s->d, &c->s->d.stop, text, sizeof(text));
	c->result = v_str(c->pool, text);
	return 0;
}

const struct command commands_run[] = {
    {.name = "run",
     .aliases = "r",
     .group = "running",
     .usage = "[&]",
     .summary = "start the guest from its entry",
     .help =
	 "Runs until something stops the guest, and gives that stop. If the VM ran before, image and registers are loaded "
	 "again first; slots, flags, breakpoints and catchpoints stay. A run in the background is given up for it.",
     .flags = CMD_NEEDS_VM | CMD_RUNS | CMD_ENDS_RUN | CMD_NEEDS_STOPPED,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = cmd_run},
    {.name = "continue",
     .aliases = "c fg",
     .group = "running",
     .usage = "[N] [&]",
     .summary = "let the guest go on",
     .help =
	 "Gives the next stop: reason, vcpu, rip (the register; $pc is linear), why, and by reason breakpoint; vector, "
	 "error_code, cr2; gpa, len, write, "
	 "data, slot; port; stage. With N the breakpoint of the last stop is passed N - 1 times more. Inside a fault it "
	 "finishes the fault and goes on, as `fault continue`.\n\n"
	 "A guest that gets nowhere for a second (the same device access or exception again and again, or no general "
	 "register "
	 "changes) "
	 "is told of once, and goes on: with -j {\"event\":\"no-progress\", ...}: vcpu, kind (spin, access, exception), at, "
	 "ms, "
	 "by kind last; count, gpa or port, len, write; count, vector, cr2; why.\n\n"
	 "With & behind it this, as run, stepi, nexti, until, finish, reverse-stepi, reverse-continue, fault step and fault "
	 "continue, goes on in the background: the prompt is back at once, the value is null, and the stop is shown when it "
	 "comes (with -j as "
	 "{\"event\":\"stop\", ...}; the event of a `catch mmu` is mmu_event there). Until then what the machine can tell "
	 "while it runs is told, with live true, and the "
	 "rest "
	 "is refused; Ctrl-C does not stop it, interrupt does; wait waits for it. Conditions are asked, and what the guest "
	 "prints is shown, between two lines. The end of the input, load, run and quit end it.",
     .flags = CMD_NEEDS_VM | CMD_RUNS | CMD_REPEATS | CMD_SHADOWS_TCL,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = cmd_continue},
    {.name = "stepi",
     .aliases = "si",
     .group = "running",
     .usage = "[N] [&]",
     .summary = "execute one instruction, or N",
     .help =
	 "The current vCPU alone executes; an instruction with a REP prefix counts once for each round. A breakpoint, an "
	 "exception or an exit ends it early. Inside a fault (`catch fault`) the fault is given up where it stands, then "
	 "the "
	 "instruction is executed from its start without stopping at this fault's stages.",
     .flags = CMD_NEEDS_VM | CMD_RUNS | CMD_REPEATS,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = cmd_stepi},
    {.name = "nexti",
     .aliases = "ni",
     .group = "running",
     .usage = "[N] [&]",
     .summary = "execute one instruction, calls and REP as a whole",
     .help =
	 "As stepi, but a call, int, syscall or REP instruction runs until it comes back to the instruction behind it, with "
	 "the stack no deeper than before. Inside a fault it leaves the fault as stepi does.",
     .flags = CMD_NEEDS_VM | CMD_RUNS | CMD_REPEATS,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = cmd_nexti},
    {.name = "until",
     .aliases = "u advance",
     .group = "running",
     .usage = "A [&]",
     .summary = "go on until the current vCPU reaches an address",
     .help = "The stop's reason is step if it got there; a breakpoint or anything else on the way stops as well. Inside a "
	     "fault the instruction at hand is stepped first, as stepi does.",
     .flags = CMD_NEEDS_VM | CMD_RUNS,
     .needs = NEEDS(RUN),
     .complete = COMPLETE_ADDRESS,
     .view = "stop",
     .run = cmd_until},
    {.name = "finish",
     .aliases = "fin",
     .group = "running",
     .usage = "[&]",
     .summary = "go on until the current function has returned",
     .help = "The return address is taken from the stack or the frame pointer if the bytes before it are a call; otherwise "
	     "the function is stepped through, over its calls, until it returns (slower). Inside a fault the instruction at "
	     "hand "
	     "is stepped first, as stepi does.",
     .flags = CMD_NEEDS_VM | CMD_RUNS,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = cmd_finish},
    {.name = "interrupt",
     .aliases = NULL,
     .group = "running",
     .usage = "",
     .summary = "stop the guest that runs in the background",
     .help = "Does nothing if the guest stands already. The stop is shown when it comes; wait gives it.",
     .flags = CMD_NEEDS_VM,
     .run = cmd_interrupt},
    {.name = "wait",
     .aliases = NULL,
     .group = "running",
     .usage = "[SECONDS]",
     .summary = "wait for the guest that runs in the background to stop",
     .help =
	 "Gives the stop, as c does; if none is running, the last one. After SECONDS, or Ctrl-C, it is an error, and the "
	 "guest runs on.\n\n    c &; interrupt; wait",
     .flags = CMD_NEEDS_VM,
     .view = "stop",
     .run = cmd_wait},
    {.name = "why",
     .aliases = NULL,
     .group = "running",
     .usage = "",
     .summary = "explain the last stop or error",
     .help =
	 "One or two sentences with the numbers: the exception's name and error code in words, the page-table entry that "
	 "refused, the slot or device of an access, the instruction that the host could not execute.\n\n"
	 "After a command that failed, also one whose error a script caught: what was asked for, what stands against it, "
	 "what "
	 "to try. The next stop, or load, ends that.",
     .flags = 0,
     .run = cmd_why},
    {.name = "display",
     .aliases = NULL,
     .group = "running",
     .usage = "[/FMT] [EXPR]",
     .summary = "show an expression, or memory, at every stop",
     .help = "display/i $pc, display/4gx $sp, display $rax+1. With a count, a unit, i or s the expression is an address. "
	     "It is "
	     "worked out anew at each stop. Without words: all of them now (id, expr, format, value).",
     .flags = CMD_FORMAT | CMD_RAW,
     .complete = COMPLETE_ADDRESS,
     .view = "display",
     .run = cmd_display},
    {.name = "undisplay",
     .aliases = NULL,
     .group = "running",
     .usage = "[N...]",
     .summary = "show an expression no more",
     .help = "Without a number: none of them.",
     .flags = 0,
     .run = cmd_undisplay},
    {.name = "smi",
     .aliases = NULL,
     .group = "running",
     .usage = "[VCPU]",
     .summary = "raise a system management interrupt",
     .help =
	 "Gives what `info smm` gives: the vCPU stands at the handler's first instruction. On kvm an SMI waits behind an "
	 "exception or a device access that is shown, and while pages are armed.",
     .flags = CMD_NEEDS_VM | CMD_NEEDS_STOPPED,
     .needs = NEEDS(CONTROL),
     .complete = COMPLETE_VCPU,
     .run = cmd_smi},
    {.name = "info smm",
     .aliases = NULL,
     .group = "running",
     .usage = "[VCPU]",
     .summary = "system management mode: SMBASE, the saved state, what is visible",
     .help =
	 "vcpu, smm (is it in SMM), rip, smbase, entry, by (cpu or debugger), saved (the state-save area by field, as its "
	 "revision says: 0x30064, or KVM's own 0x20064 and, without long mode, 0x20000), slots (id, gpa, size, visible: "
	 "smm, non-smm or both).",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_VCPU,
     .run = cmd_info_smm},
    {.name = NULL},
};
