/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * context: where the current vCPU stands, at a glance: registers with what they point to and which of them the run has
 * changed, code around the next instruction, the stack, the stop.
 */
#include <errno.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/cmd/look.h"
#include "cli/cmd/run.h"
#include "cli/session/changed.h"
#include "views/record.h"

#define CODE_BEFORE 3
#define CODE_LINES 8
#define CODE_SEARCH 2048 /* bytes behind a symbol in which the lines before rip are looked for */
#define STACK_WORDS 8

/* ---- registers */

/* The order of `info registers`. */
static const uint8_t shown[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, DEREF_RIP};

static bool points_somewhere(const struct deref_chain *c)
{
	return c->n > 1 || c->end != DEREF_NUMBER || c->is_address[0];
}

static void put_changed(struct call *c, struct value *d)
{
	struct value list = v_list(c->pool, 8);
	struct err why = {0};
	uint64_t mask;

	if (session_changed_regs(c->s, c->s->vcpu, &mask, &why)) {
		v_put(c->pool, d, "changed", v_na(c->pool, err_reason(&why)));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		if (mask >> (shown[i] == DEREF_RIP ? REGS_OLD_RIP : REGS_OLD_GPR + shown[i]) & 1)
			v_push(c->pool, &list, v_lit(look_register_name(shown[i])));
	if (mask >> REGS_OLD_RFLAGS & 1)
		v_push(c->pool, &list, v_lit("rflags"));
	v_put(c->pool, d, "changed", list);
}

static void put_segments(struct call *c, struct value *d, const struct regs *r)
{
	static const char *const words[] = {"cs", "ss", "ds", "es", "fs", "gs"};
	static const uint8_t order[] = {SEG_CS, SEG_SS, SEG_DS, SEG_ES, SEG_FS, SEG_GS};

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		v_put(c->pool, d, words[i], v_hex(r->seg[order[i]].selector));
}

static void put_registers(struct call *c, struct deref *k, struct value *d)
{
	struct value regs = v_dict(c->pool, 26), chains = v_dict(c->pool, 16);

	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		const char *name = look_register_name(shown[i]);
		struct deref_chain chain;
		deref_register(k, shown[i], &chain);
		v_put(c->pool, &regs, name, v_hex(chain.value[0]));
		if (points_somewhere(&chain))
			v_put(c->pool, &chains, name, record_chain(c->pool, &chain, &c->s->d.syms));
	}
	v_put(c->pool, &regs, "rflags", v_hex(k->w.r.rflags));
	put_segments(c, &regs, &k->w.r);
	record_old_regs(c->pool, &regs, &k->w.r);
	v_put(c->pool, d, "registers", regs);
	put_changed(c, d);
	v_put(c->pool, d, "chains", chains);
}

/* ---- code */

/* Where disassembly begins so that up to CODE_BEFORE instructions stand before pc: from the symbol before it on, as nothing
 * else says where an instruction begins. pc itself if that does not lead there. */
static uint64_t code_begin(struct call *c, const struct space *sp, const struct where *w)
{
	const struct symbol *sym = w->pc ? symbols_by_addr(&c->s->d.syms, w->pc - 1) : NULL;
	uint64_t at = sym ? sym->addr : w->pc, last[CODE_BEFORE];
	uint8_t code[CODE_SEARCH];
	unsigned n = 0;

	if (w->pc - at > sizeof(code) || space_read(sp, at, code, w->pc - at, NULL))
		return w->pc;
	for (uint64_t from = at; at < w->pc; n++) {
		struct insn insn;
		if (!disas_one(c->s->d.disas, w->bits, at, code + (at - from), w->pc - at, &insn))
			return w->pc;
		last[n % CODE_BEFORE] = at;
		at += insn.len;
	}
	if (!n)
		return w->pc;
	return n < CODE_BEFORE ? last[0] : last[n % CODE_BEFORE];
}

/* Will the conditional jump at rip be taken? */
static void mark_branch(struct call *c, const struct where *w, struct value *insn)
{
	const struct value *bytes = v_get(insn, "bytes");
	uint8_t code[16];
	size_t n = bytes ? bytes->n / 2 : 0;
	int taken = -1;

	if (n && n <= sizeof(code) && !(w->r.old & (1ull << REGS_OLD_RFLAGS | 1ull << REGS_OLD_RIP)) &&
	    !machine_read_gva(c->s->d.m, c->s->vcpu, w->pc, code, n, NULL))
		taken = disas_taken(w->bits, code, n, w->r.rflags, w->r.gpr[RCX]);
	if (taken >= 0)
		v_put(c->pool, insn, "taken", v_bool(taken));
}

static void put_code(struct call *c, const struct where *w, struct value *d)
{
	struct err why = {0};
	struct value list;
	struct space sp;
	uint64_t next;
	int rc = space_init(&sp, c, false, &why);
	uint64_t begin = rc ? 0 : code_begin(c, &sp, w);

	/* As many lines as can be read. */
	for (unsigned n = CODE_LINES; !rc && n; n--) {
		rc = disassemble(c, &sp, w->bits, begin, n, &list, &next, &why);
		if (!rc)
			break;
		rc = n > 1 ? 0 : rc;
	}
	if (rc)
		list = v_na(c->pool, err_reason(&why));
	for (uint32_t i = 0; !rc && i < list.n; i++)
		if (v_get(&list.items[i], "current"))
			mark_branch(c, w, &list.items[i]);
	v_put(c->pool, d, "code", list);
}

/* ---- the whole */

static void put_stop(struct call *c, struct value *d)
{
	const struct stop *st = &c->s->d.stop;
	char why[2048];

	debug_why(&c->s->d, st, why, sizeof(why));
	struct value stop = record_stop(c->pool, st, why);
	if (st->reason != STOP_NONE && st->vcpu == c->s->vcpu)
		stop_put_segment(c, &stop);
	v_put(c->pool, d, "stop", stop);
}

int context(struct call *c, unsigned parts, struct value *out, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	struct machine *m;
	struct deref k;
	int rc = session_machine(c->s, &m, e);

	if (!rc)
		rc = machine_look_begin(m, &hold, e);
	if (!rc)
		rc = look_deref(c, &k, e);
	if (rc)
		return rc;
	*out = v_dict(c->pool, 9);
	v_put(c->pool, out, "vcpu", v_int(c->s->vcpu));
	v_put(c->pool, out, "mode", v_lit(cpu_mode_name(regs_mode(&k.w.r))));
	v_put(c->pool, out, "cpl", v_int(regs_cpl(&k.w.r)));
	if (parts & CONTEXT_REGS)
		put_registers(c, &k, out);
	if (parts & CONTEXT_CODE)
		put_code(c, &k.w, out);
	if (parts & CONTEXT_STACK)
		v_put(c->pool, out, "stack", telescope(c, &k, k.w.sp, STACK_WORDS));
	if (parts & CONTEXT_STOP)
		put_stop(c, out);
	return 0;
}

static int take_part(struct args *a, unsigned *parts, struct err *e)
{
	static const char *const words[] = {"regs", "code", "stack", "stop"};
	const char *word;
	int rc = args_word(a, "SECTION", &word, e);

	for (unsigned i = 0; !rc && i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i])) {
			*parts |= 1u << i;
			return 0;
		}
	return rc ? rc
		  : err_set(e, -EINVAL, "context" WHY "'%.40s' is no section of it" TRY "regs, code, stack or stop", word);
}

int cmd_context(struct call *c, struct err *e)
{
	unsigned parts = 0;
	struct args a;
	int rc = args_init(&a, c, e);

	while (!rc && args_more(&a))
		rc = take_part(&a, &parts, e);
	return rc ? rc : context(c, parts ? parts : CONTEXT_ALL, &c->result, e);
}
