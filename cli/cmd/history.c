/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Going back: checkpoints of the user's, the record, reverse-stepi and reverse-continue.
 */
#include <errno.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/cmd/run.h"
#include "cli/cmd/table.h"
#include "cli/session/go.h"

/* ---- checkpoints */

static struct value checkpoint_record(struct call *c, const struct user_checkpoint *u)
{
	struct value v = v_dict(c->pool, 6);
	uint64_t rip = checkpoint_rip(u->c, u->vcpu);
	char sym[128];

	v_put(c->pool, &v, "id", v_int(u->id));
	v_put(c->pool, &v, "vcpu", v_int(u->vcpu));
	v_put(c->pool, &v, "rip", v_hex(rip));
	if (*symbols_format(&c->s->d.syms, rip, sym, sizeof(sym)))
		v_put(c->pool, &v, "symbol", v_str(c->pool, sym));
	v_put(c->pool, &v, "pages", v_int((int64_t)checkpoint_pages(u->c)));
	if (machine_can(c->s->d.m, MACHINE_CAP_REVERSE, NULL))
		v_put(c->pool, &v, "position", v_int((int64_t)checkpoint_position(u->c)));
	return v;
}

static int cmd_checkpoint(struct call *c, struct err *e)
{
	struct debugger *d = &c->s->d;
	struct args a;
	int id, rc = args_init(&a, c, e);

	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = history_checkpoint(d, c->s->vcpu, &id, e);
	if (!rc)
		c->result = checkpoint_record(c, &d->history.v[d->history.n - 1]);
	return rc;
}

static int one_id(struct call *c, int *id, struct err *e)
{
	uint64_t n = 0;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_number(&a, "N", 1, INT32_MAX, &n, e);
	*id = (int)n;
	return rc ? rc : args_end(&a, e);
}

static int cmd_restart(struct call *c, struct err *e)
{
	unsigned vcpu;
	int id, rc = one_id(c, &id, e);

	if (!rc)
		rc = history_restart(&c->s->d, id, &vcpu, e);
	return rc ? rc : cmd_stopped(c, e);
}

static int cmd_delete_checkpoint(struct call *c, struct err *e)
{
	int id, rc = one_id(c, &id, e);

	return rc ? rc : history_delete(&c->s->d.history, id, e);
}

static int cmd_info_checkpoints(struct call *c, struct err *e)
{
	const struct history *h = &c->s->d.history;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	c->result = v_list(c->pool, h->n);
	for (size_t i = 0; i < h->n; i++)
		v_push(c->pool, &c->result, checkpoint_record(c, &h->v[i]));
	return 0;
}

/* ---- backwards */

static int cmd_reverse_stepi(struct call *c, struct err *e)
{
	uint64_t n = 1;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc && args_more(&a))
		rc = args_number(&a, "N", 1, INT64_MAX, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	return rc ? rc : go_wait(c, plan_reverse_step(c->s->vcpu, n), cmd_stopped);
}

static int cmd_reverse_continue(struct call *c, struct err *e)
{
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_end(&a, e);
	return rc ? rc : go_wait(c, plan_reverse_continue(), cmd_stopped);
}

/* ---- the record */

static struct value record_state(struct call *c)
{
	const struct history *h = &c->s->d.history;
	struct machine *m = c->s->d.m;
	struct value v = v_dict(c->pool, 8);
	uint64_t now = machine_position(m), start = record_start(h);

	v_put(c->pool, &v, "on", v_bool(!h->off));
	if (h->record.off_why[0])
		v_put(c->pool, &v, "why", v_str(c->pool, h->record.off_why));
	v_put(c->pool, &v, "position", v_int((int64_t)now));
	if (start == UINT64_MAX)
		v_put(c->pool, &v, "start", v_na(c->pool, "nothing is recorded yet"));
	else
		v_put(c->pool, &v, "start", v_int((int64_t)start));
	v_put(c->pool, &v, "points", v_int((int64_t)h->record.n));
	v_put(c->pool, &v, "memory", v_int(h->store ? (int64_t)page_store_bytes(h->store) : 0));
	v_put(c->pool, &v, "limit", v_int((int64_t)h->limit));
	v_put(c->pool, &v, "max_memory", v_int((int64_t)(h->max_memory ? h->max_memory : RECORD_MEMORY)));
	return v;
}

/* limit [N] [-memory SIZE] */
static int set_limits(struct args *a, struct history *h, struct err *e)
{
	uint64_t limit = h->limit, memory = h->max_memory;
	const char *size;
	int has = args_option(a, "-memory", &size, e), rc = has < 0 ? has : 0;

	if (has > 0)
		rc = parse_size(size, &memory, e);
	if (!rc && (args_more(a) || has <= 0))
		rc = args_number(a, "N", 0, INT64_MAX, &limit, e);
	if (!rc)
		rc = args_end(a, e);
	if (rc)
		return rc;
	h->limit = limit;
	h->max_memory = memory;
	record_settings(h);
	return 0;
}

static int switch_record(struct args *a, struct history *h, bool on, struct err *e)
{
	int rc = args_end(a, e);

	if (rc)
		return rc;
	h->off = !on;
	record_settings(h);
	return 0;
}

static int cmd_record(struct call *c, struct err *e)
{
	struct history *h = &c->s->d.history;
	_cleanup_hold_ struct machine_hold hold = {NULL};
	const char *why, *word = "";
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc && !machine_can(c->s->d.m, MACHINE_CAP_REVERSE, &why))
		rc = err_set(e, -ENOTSUP,
			     "record" WHY "this backend (%s) cannot run backwards: %s" TRY
			     "checkpoint and restart, or -b soft",
			     machine_backend(c->s->d.m), why);
	if (!rc && args_more(&a))
		rc = session_check_not_looking(c->s, "record", e);
	if (!rc && args_more(&a) && h->before)
		rc = machine_check_idle(c->s->d.m, "record", e);
	if (!rc)
		rc = machine_look_begin(c->s->d.m, &hold, e);
	if (!rc && args_more(&a)) {
		rc = args_word(&a, "on|off|limit", &word, e);
		if (!rc && !strcmp(word, "limit"))
			rc = set_limits(&a, h, e);
		else if (!rc && (!strcmp(word, "on") || !strcmp(word, "off")))
			rc = switch_record(&a, h, word[1] == 'n', e);
		else if (!rc)
			rc = err_set(e, -EINVAL, "record %.40s" WHY "it is on, off or limit" TRY "record on", word);
	}
	if (!rc)
		c->result = record_state(c);
	return rc;
}

#define STANDS (CMD_NEEDS_VM | CMD_NEEDS_STOPPED)

const struct command commands_history[] = {
    {.name = "checkpoint",
     .aliases = NULL,
     .group = "running",
     .usage = "",
     .summary = "remember the VM's whole state, to go back to",
     .help =
	 "Memory, slots and their dirty logs, registers and events of every vCPU, of one that is in a guest's guest what "
	 "the guest "
	 "comes back with, the board's devices; on the soft "
	 "backend the shadow tables too. Gives id, vcpu, rip, pages (of memory that are not all zeroes). Checkpoints share "
	 "what is the same in them.",
     .flags = STANDS,
     .run = cmd_checkpoint},
    {.name = "restart",
     .aliases = NULL,
     .group = "running",
     .usage = "N",
     .summary = "go back to checkpoint N",
     .help = "Gives the stop at which it was taken. Breakpoints, displays and snapshots stay as they are; a slot that was "
	     "deleted since is made anew. The record begins anew there.",
     .flags = STANDS,
     .needs = NEEDS(WRITE) | NEEDS(SLOTS) | NEEDS(CONTROL),
     .view = "stop",
     .run = cmd_restart},
    {.name = "info checkpoints",
     .aliases = NULL,
     .group = "running",
     .usage = "",
     .summary = "the checkpoints that were taken",
     .help = "id, vcpu, rip, symbol, pages; position (instructions since the VM was made) on the soft backend.",
     .flags = CMD_NEEDS_VM,
     .view = "checkpoints",
     .run = cmd_info_checkpoints},
    {.name = "delete checkpoint",
     .aliases = NULL,
     .group = "running",
     .usage = "N",
     .summary = "forget checkpoint N",
     .help = "Its memory is freed but for what others share with it.",
     .flags = CMD_NEEDS_VM,
     .run = cmd_delete_checkpoint},
    {.name = "reverse-stepi",
     .aliases = "rsi",
     .group = "running",
     .usage = "[N] [&]",
     .summary = "undo the current vCPU's last instruction, or N",
     .help =
	 "The guest stands as it did before it, memory and devices included; what other vCPUs did since then is undone as "
	 "well. Exceptions that were delivered count as one. Soft backend, along the record (see record).",
     .flags = STANDS | CMD_RUNS | CMD_REPEATS,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = cmd_reverse_stepi},
    {.name = "reverse-continue",
     .aliases = "rc",
     .group = "running",
     .usage = "[&]",
     .summary = "go back to the last earlier breakpoint or watchpoint",
     .help = "Gives the same stop as going forward did (behind the instruction that a watchpoint caught), or a step at the "
	     "start of the record. Conditions are asked; hits are not counted. Ctrl-C, or with & interrupt, gives it up and "
	     "leaves everything as it was; until it is there the VM can be asked what it can be while it runs, and answers "
	     "from the past that is run again.",
     .flags = STANDS | CMD_RUNS | CMD_REPEATS,
     .needs = NEEDS(RUN),
     .view = "stop",
     .run = cmd_reverse_continue},
    {.name = "record",
     .aliases = NULL,
     .group = "running",
     .usage = "[on|off|limit [N] [-memory SIZE]]",
     .summary = "what going back is possible from, and its limits",
     .help = "On from the start on the soft backend. limit N keeps at least the last N instructions (0: as many as memory "
	     "allows), -memory what its copies of memory may take. run, load and restart begin a new record; a change that "
	     "you make to memory, registers or slots can be gone back across, but is then undone. Gives on, position, "
	     "start, points, memory, limit, max_memory.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_WORDS,
     .words = "on off limit -memory",
     .run = cmd_record},
    {.name = NULL},
};
