/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Breakpoints, watchpoints, catchpoints, and what is attached to them.
 *
 * The setting commands take their words as typed, so that `b main if $rax == 5` keeps its condition; an address may still
 * hold Tcl's variables and brackets, which are substituted here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/data.h"
#include "cli/tcl.h"
#include "views/record.h"

/* ---- where */

/* Tcl's part of an address: a variable that is no register, or brackets. */
static bool needs_tcl(const char *word)
{
	const char *p = strchr(word, '$');
	char name[32];

	if (strchr(word, '['))
		return true;
	if (!p)
		return false;
	snprintf(name, sizeof(name), "%.*s",
		 (int)strspn(p + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"), p + 1);
	return !reg_find(name);
}

static int substitute(struct call *c, const char **word, struct err *e)
{
	char script[512];

	if (!c->s->interp || !needs_tcl(*word) || strpbrk(*word, "{}\\"))
		return 0;
	int n = snprintf(script, sizeof(script), "subst {%s}", *word);
	if (n < 0 || (size_t)n >= sizeof(script))
		return 0;
	int rc = tcl_eval(c->s, script, n, e);
	if (rc)
		return rc;
	struct value v = tcl_result(c->s, c->pool);
	*word = v.type == VALUE_STR ? v.str : v_strf(c->pool, "0x%llx", (unsigned long long)v.hex).str;
	return 0;
}

/* Cut the words at "if": what is behind it becomes *condition (NULL for none); before it Tcl's parts are substituted. */
static int split_if(struct args *a, const char **condition, struct err *e)
{
	int n = a->n, at = a->next;

	*condition = NULL;
	while (at < n && !(a->word[at] && strcmp(a->word[at], "if") == 0))
		at++;
	for (int i = a->next; i < at; i++) {
		int rc = a->word[i] ? substitute(a->call, &a->word[i], e) : 0;
		if (rc)
			return rc;
	}
	if (at == n)
		return 0;
	a->next = at + 1;
	int rc = args_rest(a, "COND", condition, e);
	a->next = 0;
	a->n = at;
	return rc;
}

/* Words from..to as the user said them. */
static void words_text(const struct args *a, int from, int to, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	for (int i = from; i < to; i++)
		if (a->word[i] && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", a->word[i]);
}

static void pc_text(struct call *c, uint64_t pc, char *buf, size_t size)
{
	char sym[80];

	symbols_format(&c->s->d.syms, pc, sym, sizeof(sym));
	snprintf(buf, size, *sym ? "*0x%llx (%s)" : "*0x%llx", (unsigned long long)pc, sym);
}

/* ---- break, watch */

static int add(struct call *c, const struct bp *spec, struct err *e)
{
	struct bp *b;
	int rc = bp_add(&c->s->d.bps, c->s->d.m, spec, &b, e);

	if (!rc)
		c->result = record_bp(c->pool, b);
	return rc;
}

static int set_break(struct call *c, enum bp_kind kind, bool temporary, struct err *e)
{
	struct bp spec = {.kind = kind, .temporary = temporary, .len = 1};
	const char *condition;
	struct args a;
	unsigned bits;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = split_if(&a, &condition, e);
	if (rc)
		return rc;
	if (args_more(&a)) {
		words_text(&a, 0, a.n, spec.at, sizeof(spec.at));
		rc = args_addr(&a, "A", &spec.addr, e);
	} else {
		rc = current_pc(c->s, &spec.addr, &bits, e);
		if (!rc)
			pc_text(c, spec.addr, spec.at, sizeof(spec.at));
	}
	if (!rc)
		rc = args_end(&a, e);
	spec.condition = (char *)(uintptr_t)condition;
	return rc ? rc : add(c, &spec, e);
}

static int cmd_break(struct call *c, struct err *e)
{
	return set_break(c, BP_BREAK, false, e);
}

static int cmd_tbreak(struct call *c, struct err *e)
{
	return set_break(c, BP_BREAK, true, e);
}

static int cmd_hbreak(struct call *c, struct err *e)
{
	return set_break(c, BP_HBREAK, false, e);
}

static int set_watch(struct call *c, enum bp_kind kind, struct err *e)
{
	struct bp spec = {.kind = kind};
	const char *condition;
	struct args a;
	uint64_t pc;
	unsigned bits = 64;
	int rc = args_init(&a, c, e);

	if (rc)
		return rc;
	spec.phys = args_flag(&a, "-phys");
	rc = split_if(&a, &condition, e);
	if (!rc)
		rc = args_addr(&a, "A", &spec.addr, e);
	if (rc)
		return rc;
	words_text(&a, 0, a.next, spec.at, sizeof(spec.at));
	if (current_pc(c->s, &pc, &bits, NULL))
		bits = 64;
	spec.len = bits / 8;
	if (args_more(&a))
		rc = args_number(&a, "LEN", 1, 1u << 30, &spec.len, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc && range_wraps(spec.addr, spec.len))
		rc = err_set(e, -EINVAL, "watch" WHY "0x%llx and %llu bytes wrap past the last address" TRY "a shorter LEN",
			     (unsigned long long)spec.addr, (unsigned long long)spec.len);
	spec.condition = (char *)(uintptr_t)condition;
	return rc ? rc : add(c, &spec, e);
}

static int cmd_watch(struct call *c, struct err *e)
{
	return set_watch(c, BP_WATCH, e);
}

static int cmd_rwatch(struct call *c, struct err *e)
{
	return set_watch(c, BP_RWATCH, e);
}

static int cmd_awatch(struct call *c, struct err *e)
{
	return set_watch(c, BP_AWATCH, e);
}

/* ---- catch */

/* What a catchpoint stands on; breakpoints' mechanisms come from the machine, which does not name these. */
static const char *catch_mechanism(const struct machine *m, uint32_t event)
{
	if (strcmp(machine_backend(m), "kvm") != 0)
		return "soft";
	switch (event) {
	case 0:
		return "page";
	case CATCH_EXCEPTION:
		return "trap";
	case CATCH_SMI:
	case CATCH_MODE:
		return "step";
	default:
		return "exit";
	}
}

static const struct {
	const char *name;
	uint32_t event;
} events[] = {
    {"fault", 0},	{"mmio", CATCH_MMIO}, {"pio", CATCH_PIO},   {"exception", CATCH_EXCEPTION},
    {"smi", CATCH_SMI}, {"mode", CATCH_MODE}, {"slot", CATCH_SLOT},
};

static int parse_event(struct args *a, struct bp *spec, struct err *e)
{
	const char *word;
	int rc = args_word(a, "EVENT", &word, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (strcmp(word, events[i].name) != 0)
			continue;
		spec->event = events[i].event;
		return 0;
	}
	return err_set(e, -EINVAL, "catch %.40s" WHY "there is no such event" TRY "%s", word,
		       "catch fault, mmio, pio, exception, smi, mode or slot");
}

/* FIRST [LAST]: one number, or an inclusive range. */
static int parse_range(struct args *a, uint64_t *first, uint64_t *last, struct err *e)
{
	int rc = args_addr(a, "ARG", first, e);

	*last = *first;
	if (!rc && args_more(a))
		rc = args_addr(a, "LAST", last, e);
	if (!rc && *last < *first)
		rc = err_set(e, -EINVAL, "catch" WHY "the range ends at 0x%llx, before it begins at 0x%llx" TRY "FIRST LAST",
			     (unsigned long long)*last, (unsigned long long)*first);
	return rc;
}

/* "PF", "#pf" or a number. */
static bool vector_of(const char *word, uint64_t *vector)
{
	static const char names[][4] = {"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "",   "TS",
					"NP", "SS", "GP",  "PF", "",   "MF", "AC", "MC", "XM", "VE", "CP"};

	word += *word == '#';
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i][0] && strcasecmp(word, names[i]) == 0) {
			*vector = i;
			return true;
		}
	}
	return false;
}

static int mode_of(const char *word, uint64_t *mode, struct err *e)
{
	for (int i = CPU_REAL; i <= CPU_LONG64; i++) {
		if (strcmp(word, cpu_mode_name((enum cpu_mode)i)) == 0) {
			*mode = (uint64_t)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL,
		       "catch mode %.20s" WHY "there is no such mode" TRY "real, vm86, prot16, prot32, compat, long", word);
}

static int parse_catch_arg(struct args *a, struct bp *spec, struct err *e)
{
	const char *word = args_peek(a);

	spec->has_arg = true;
	if (spec->event == CATCH_SMI)
		return err_set(e, -EINVAL, "catch smi" WHY "it takes no argument" TRY "catch smi");
	if (spec->event == CATCH_MODE || (spec->event == CATCH_EXCEPTION && vector_of(word, &spec->arg_first))) {
		int rc = args_word(a, "ARG", &word, e);
		if (!rc && spec->event == CATCH_MODE)
			rc = mode_of(word, &spec->arg_first, e);
		spec->arg_last = spec->arg_first;
		return rc;
	}
	return parse_range(a, &spec->arg_first, &spec->arg_last, e);
}

/* One number is a gfn, two are a range of gvas. */
static int parse_fault_arg(struct args *a, struct bp *spec, struct err *e)
{
	bool more = args_more(a);
	int rc = more ? parse_range(a, &spec->fault.first, &spec->fault.last, e) : 0;

	spec->fault.all = !more;
	spec->fault.gva = more && a->next > 2;
	spec->has_arg = more;
	spec->arg_first = spec->fault.first;
	spec->arg_last = spec->fault.last;
	return rc;
}

static int cmd_catch(struct call *c, struct err *e)
{
	struct bp spec = {.kind = BP_CATCH};
	struct debugger *d = &c->s->d;
	const char *condition;
	struct args a;
	struct bp *b;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = split_if(&a, &condition, e);
	if (rc)
		return rc;
	words_text(&a, 0, a.n, spec.at, sizeof(spec.at));
	rc = parse_event(&a, &spec, e);
	if (!rc && !spec.event)
		rc = parse_fault_arg(&a, &spec, e);
	else if (!rc && args_more(&a))
		rc = parse_catch_arg(&a, &spec, e);
	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	spec.how = catch_mechanism(d->m, spec.event);
	spec.condition = (char *)(uintptr_t)condition;
	rc = bp_add(&d->bps, d->m, &spec, &b, e);
	if (rc)
		return rc;
	rc = debug_apply_catches(d, e);
	if (rc) {
		(void)!bp_delete(&d->bps, d->m, b->id, NULL);
		(void)!debug_apply_catches(d, NULL);
		return rc;
	}
	c->result = record_bp(c->pool, b);
	return 0;
}

/* ---- by number */

/* fn for each number among the words; for every breakpoint where there is none. Ids that do not exist are refused first. */
static int for_each(struct call *c, int (*fn)(struct debugger *d, int id, struct err *e), struct err *e)
{
	struct debugger *d = &c->s->d;
	int ids[ARGS_MAX], n = 0, rc;
	struct args a;
	uint64_t id;

	rc = args_init(&a, c, e);
	while (!rc && args_more(&a)) {
		rc = args_number(&a, "N", 1, INT32_MAX, &id, e);
		if (!rc && !bp_find(&d->bps, (int)id))
			rc = err_set(e, -ENOENT, "%s %llu" WHY "no breakpoint has that number" TRY "info breakpoints",
				     c->cmd->name, (unsigned long long)id);
		if (!rc)
			ids[n++] = (int)id;
	}
	for (int i = 0; i < n && !rc; i++)
		rc = fn(d, ids[i], e);
	if (!rc && !n)
		for (size_t i = d->bps.n; i-- && !rc;)
			rc = fn(d, d->bps.v[i]->id, e);
	int applied = c->s->d.m ? debug_apply_catches(d, rc ? NULL : e) : 0;
	return rc ? rc : applied;
}

static int delete_one(struct debugger *d, int id, struct err *e)
{
	/* The same number twice is gone the second time, and that is what was asked for. */
	return bp_find(&d->bps, id) ? bp_delete(&d->bps, d->m, id, e) : 0;
}

static int enable_one(struct debugger *d, int id, struct err *e)
{
	return bp_enable(&d->bps, d->m, id, true, e);
}

static int disable_one(struct debugger *d, int id, struct err *e)
{
	return bp_enable(&d->bps, d->m, id, false, e);
}

static int cmd_delete(struct call *c, struct err *e)
{
	return for_each(c, delete_one, e);
}

static int cmd_enable(struct call *c, struct err *e)
{
	return for_each(c, enable_one, e);
}

static int cmd_disable(struct call *c, struct err *e)
{
	return for_each(c, disable_one, e);
}

/* The breakpoint that the first word names. */
static int named_bp(struct args *a, struct bp **b, struct err *e)
{
	struct bp_table *t = &a->call->s->d.bps;
	uint64_t id;
	int rc = args_number(a, "N", 1, INT32_MAX, &id, e);

	if (rc)
		return rc;
	*b = bp_find(t, (int)id);
	return *b ? 0
		  : err_set(e, -ENOENT, "%s %llu" WHY "no breakpoint has that number" TRY "info breakpoints",
			    a->call->cmd->name, (unsigned long long)id);
}

static int cmd_condition(struct call *c, struct err *e)
{
	const char *text = NULL;
	struct args a;
	struct bp *b;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = named_bp(&a, &b, e);
	if (!rc && args_more(&a))
		rc = args_rest(&a, "EXPR", &text, e);
	if (!rc)
		rc = bp_set_condition(b, text, e);
	if (!rc)
		c->result = record_bp(c->pool, b);
	return rc;
}

static int cmd_ignore(struct call *c, struct err *e)
{
	struct args a;
	struct bp *b;
	uint64_t n;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = named_bp(&a, &b, e);
	if (!rc)
		rc = args_number(&a, "COUNT", 0, UINT64_MAX, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	b->ignore = n;
	c->result = record_bp(c->pool, b);
	return 0;
}

/* commands N {SCRIPT}; with one word, the script of the newest breakpoint, as gdb has it. */
static int cmd_commands(struct call *c, struct err *e)
{
	struct bp_table *t = &c->s->d.bps;
	const char *script;
	struct args a;
	struct bp *b;
	int rc = args_init(&a, c, e);

	if (rc)
		return rc;
	if (c->argc == 1 && t->n && c->argv[0][strspn(c->argv[0], "0123456789")])
		b = t->v[t->n - 1];
	else
		rc = named_bp(&a, &b, e);
	if (!rc)
		rc = args_word(&a, "{SCRIPT}", &script, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = bp_set_commands(b, script, e);
	if (!rc)
		c->result = record_bp(c->pool, b);
	return rc;
}

static int cmd_info_breakpoints(struct call *c, struct err *e)
{
	const struct bp_table *t = &c->s->d.bps;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	c->result = v_list(c->pool, t->n);
	for (size_t i = 0; i < t->n; i++)
		v_push(c->pool, &c->result, record_bp(c->pool, t->v[i]));
	return 0;
}

#define KEYS "Gives the breakpoint: id, kind, at, enabled, hits, how (hw, int3, trap, page, step, soft), condition."

const struct command commands_break[] = {
    {.name = "break",
     .aliases = "b br brea",
     .group = "breakpoints",
     .usage = "[A] [if COND]",
     .summary = "stop before the instruction at an address is executed",
     .help = "A is a linear address: *0x7c00, a symbol, an expression; without it the current one. There is no limit to how "
	     "many. COND is a Tcl expression, evaluated at each hit: b main if {$rax == 5}. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF | CMD_SHADOWS_TCL,
     .complete = COMPLETE_ADDRESS,
     .view = "breakpoint",
     .run = cmd_break},
    {.name = "tbreak",
     .aliases = "tb",
     .group = "breakpoints",
     .usage = "[A] [if COND]",
     .summary = "a breakpoint that is deleted when it stops",
     .help = KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .view = "breakpoint",
     .run = cmd_tbreak},
    {.name = "hbreak",
     .aliases = "hb",
     .group = "breakpoints",
     .usage = "[A] [if COND]",
     .summary = "a breakpoint in a debug register of the CPU",
     .help = "There are four, and a host may deliver them in some modes only (info kvm says which). " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .view = "breakpoint",
     .run = cmd_hbreak},
    {.name = "watch",
     .aliases = "wa",
     .group = "breakpoints",
     .usage = "A [LEN] [-phys] [if COND]",
     .summary = "stop when memory is written",
     .help = "LEN is 8 in 64-bit code, else 4 or 2. A is linear; with -phys guest physical, whatever address the guest "
	     "used. Every "
	     "write stops, also one that leaves the value as it was. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys if",
     .view = "breakpoint",
     .run = cmd_watch},
    {.name = "rwatch",
     .aliases = "rw",
     .group = "breakpoints",
     .usage = "A [LEN] [-phys] [if COND]",
     .summary = "stop when memory is read",
     .help = "As watch. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys if",
     .view = "breakpoint",
     .run = cmd_rwatch},
    {.name = "awatch",
     .aliases = "aw",
     .group = "breakpoints",
     .usage = "A [LEN] [-phys] [if COND]",
     .summary = "stop when memory is read or written",
     .help = "As watch. " KEYS,
     .flags = CMD_NEEDS_VM | CMD_RAW_IF,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys if",
     .view = "breakpoint",
     .run = cmd_awatch},
    {.name = "catch",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "fault|mmio|pio|exception|smi|mode|slot [ARG [LAST]] [if COND]",
     .summary = "stop at an event",
     .help =
	 "catch fault [GFN | FIRST LAST]: inside guest faults, of one gfn or of a range of gvas (end inclusive). catch mmio "
	 "[GPA [LAST]], pio [PORT [LAST]]: before the device sees the access. catch exception [VECTOR|PF|GP...]: delivered "
	 "or "
	 "not. catch smi: at the handler's first instruction and after RSM. catch mode [real|prot32|long...]. catch slot "
	 "[ID]. "
	 "Gives the breakpoint.",
     .flags = CMD_NEEDS_VM | CMD_RAW_IF | CMD_SHADOWS_TCL,
     .complete = COMPLETE_WORDS,
     .words = "fault mmio pio exception smi mode slot",
     .view = "breakpoint",
     .run = cmd_catch},
    {.name = "delete",
     .aliases = "d",
     .group = "breakpoints",
     .usage = "[N...]",
     .summary = "delete breakpoints; without a number all of them",
     .help = "Takes watchpoints and catchpoints too. Numbers are not used again.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .run = cmd_delete},
    {.name = "enable",
     .aliases = "en",
     .group = "breakpoints",
     .usage = "[N...]",
     .summary = "enable breakpoints; without a number all of them",
     .help = "They are planted again where they were.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .run = cmd_enable},
    {.name = "disable",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "[N...]",
     .summary = "disable breakpoints; without a number all of them",
     .help = "They stay in the list, and nothing of them stays in the guest.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .run = cmd_disable},
    {.name = "condition",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "N [EXPR]",
     .summary = "stop only where an expression is true",
     .help = "EXPR is a Tcl expression over registers and variables, evaluated at each hit, in braces or not: condition 1 "
	     "$rax == "
	     "5. Without EXPR the breakpoint is unconditional again. Gives the breakpoint.",
     .flags = CMD_RAW,
     .complete = COMPLETE_BREAKPOINT,
     .view = "breakpoint",
     .run = cmd_condition},
    {.name = "ignore",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "N COUNT",
     .summary = "pass a breakpoint COUNT times before it stops",
     .help = "Hits are counted all the same; a hit whose condition is false is none. Gives the breakpoint.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .view = "breakpoint",
     .run = cmd_ignore},
    {.name = "commands",
     .aliases = NULL,
     .group = "breakpoints",
     .usage = "[N] {SCRIPT}",
     .summary = "run a script at each stop at a breakpoint",
     .help = "SCRIPT is lines as at the prompt: commands 1 {x/i $rip; c}. {} takes it away. Without N: the newest "
	     "breakpoint. Gives "
	     "the breakpoint.",
     .flags = 0,
     .complete = COMPLETE_BREAKPOINT,
     .view = "breakpoint",
     .run = cmd_commands},
    {.name = "info breakpoints",
     .aliases = "i_b i_watchpoints",
     .group = "breakpoints",
     .usage = "",
     .summary = "breakpoints, watchpoints and catchpoints",
     .help = "A list of: id, kind, at, enabled, hits, how, and where set temporary, ignore, condition, commands; address "
	     "for those "
	     "that have one, len and phys for watchpoints.",
     .flags = 0,
     .view = "breakpoints",
     .run = cmd_info_breakpoints},
    {.name = NULL},
};
