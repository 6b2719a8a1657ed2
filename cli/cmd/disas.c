/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Disassembly with symbols, a mark at the instruction where the vCPU stands, and the breakpoints that are set there.
 */
#include <errno.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/session/interrupt.h"
#include "views/record.h"

#define CODE_BUFFER 4096
#define INSN_MAX 15

int current_pc(struct session *s, uint64_t *pc, unsigned *bits, struct err *e)
{
	struct machine *m;
	struct regs r;
	int rc = session_machine(s, &m, e);

	if (!rc)
		rc = machine_get_regs(m, s->vcpu, REGS_GPR | REGS_SYS, &r, e);
	if (rc)
		return rc;
	*bits = regs_code_bits(&r);
	*pc = regs_pc(&r);
	return 0;
}

static const struct stop_point *breakpoint_at(const struct point_table *t, uint64_t addr)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i]->kind <= POINT_HBREAK && t->v[i]->addr == addr)
			return t->v[i];
	return NULL;
}

/* What record_insn() does not know: this session's symbols, position and breakpoints. */
static struct value line_of(struct call *c, const struct insn *insn, bool current)
{
	struct debugger *d = &c->s->d;
	const struct stop_point *b = breakpoint_at(&d->points, insn->addr);
	char sym[128];
	struct value v = record_insn(c->pool, insn, symbols_format(&d->syms, insn->addr, sym, sizeof(sym)));

	if (insn->target && *symbols_format(&d->syms, insn->target, sym, sizeof(sym)))
		v_put(c->pool, &v, "target_symbol", v_str(c->pool, sym));
	if (current)
		v_put(c->pool, &v, "current", v_bool(true));
	if (b)
		v_put(c->pool, &v, "breakpoint", v_int(b->id));
	return v;
}

int disassemble(struct call *c, const struct space *sp, unsigned bits, uint64_t addr, uint64_t n, struct value *out,
		uint64_t *next, struct err *e)
{
	uint8_t code[CODE_BUFFER];
	size_t have = 0, at = 0;
	uint64_t pc = 0;
	unsigned pc_bits;
	bool known = !sp->phys && !current_pc(c->s, &pc, &pc_bits, NULL);

	*out = v_list(c->pool, n < 1024 ? n : 1024);
	for (uint64_t i = 0; i < n; i++) {
		struct insn insn;
		if (have - at < INSN_MAX) {
			size_t want = (n - i) * INSN_MAX < sizeof(code) ? (n - i) * INSN_MAX : sizeof(code);
			have = space_read_some(sp, addr, code, want);
			at = 0;
		}
		if (!have)
			return space_read(sp, addr, code, 1, e);
		disas_one(c->s->d.disas, bits, addr, code + at, have - at, &insn);
		v_push(c->pool, out, line_of(c, &insn, known && addr == pc));
		addr += insn.len ? insn.len : 1;
		at += insn.len ? insn.len : 1;
		if (interrupt_asked())
			return err_set(e, -EINTR, "disas" WHY "interrupted" TRY "a smaller count");
	}
	*next = addr;
	return 0;
}

static int parse_bits(struct args *a, unsigned *bits, struct err *e)
{
	const char *text;
	int rc = args_option(a, "-bits", &text, e);

	if (rc <= 0)
		return rc;
	if (strcmp(text, "16") && strcmp(text, "32") && strcmp(text, "64"))
		return err_set(e, -EINVAL, "disas" WHY "there is no code of %.20s bits" TRY "-bits 16, 32 or 64", text);
	*bits = (unsigned)atoi(text);
	return 0;
}

int cmd_disas(struct call *c, struct err *e)
{
	uint64_t addr, n = 10, next;
	unsigned bits;
	struct space sp;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = current_pc(c->s, &addr, &bits, e);
	if (!rc)
		rc = parse_bits(&a, &bits, e);
	if (rc)
		return rc;
	bool phys = args_flag(&a, "-phys");
	if (args_more(&a))
		rc = args_addr(&a, "A", &addr, e);
	if (!rc && args_more(&a))
		rc = args_number(&a, "N", 1, XFORMAT_COUNT_MAX, &n, e);
	if (!rc)
		rc = space_args_end(&sp, &a, phys, e);
	return rc ? rc : disassemble(c, &sp, bits, addr, n, &c->result, &next, e);
}
