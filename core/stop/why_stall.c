/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A run that makes no progress, in one sentence: who, where, since when, and what repeats. That a guest waits is no fault,
 * so the words say what is seen and no more.
 */
#include "core/stop/why_impl.h"

typedef unsigned long long ull;

/* "0x100004 (spin+0x4)" */
static void add_place(struct why *w, uint64_t at)
{
	char sym[96];

	symbols_format(w->env->syms, at, sym, sizeof(sym));
	why_add(w, *sym ? "0x%llx (%s)" : "0x%llx", (ull)at, sym);
}

static bool decode(const struct why *w, const struct stall *s, struct insn *out)
{
	return w->env->disas && s->n_insn && disas_one(w->env->disas, s->code_bits, s->first, s->insn, s->n_insn, out);
}

static void add_insn(struct why *w, const struct insn *i)
{
	why_add(w, ", `%s%s%s`,", i->mnemonic, i->operands[0] ? " " : "", i->operands);
}

static void add_time(struct why *w, const struct stall *s)
{
	why_add(w, " for %llu s", (ull)((s->ns + 500000000) / 1000000000));
}

/* Looks a few times a second may meet a short loop at the same place each time. */
static void spin(struct why *w, const struct stall *s)
{
	struct insn i;
	bool known = decode(w, s, &i), to_itself = known && i.kind == INSN_JUMP && i.target == s->first;

	why_add(w, "vCPU %u %s ", s->vcpu,
		s->first != s->last ? "spins between"
		: to_itself	    ? "spins at"
				    : "was seen nowhere but at");
	add_place(w, s->first);
	if (s->first != s->last) {
		why_add(w, " and ");
		add_place(w, s->last);
	} else if (known) {
		add_insn(w, &i);
	}
	add_time(w, s);
	if (to_itself && s->first == s->last) {
		why_add(w, ": a jump to itself");
		return;
	}
	why_add(w, ": no general register changes, no device is asked");
	if (s->first == s->last)
		why_add(w, "; it spins there, or the instruction never ends");
}

static void access_again(struct why *w, const struct stall *s)
{
	struct insn i;

	why_add(w, "vCPU %u has been at ", s->vcpu);
	add_place(w, s->first);
	if (decode(w, s, &i))
		add_insn(w, &i);
	add_time(w, s);
	why_add(w, ": the same %s %s of %s0x%llx, %llu times", s->port ? "PIO" : "MMIO", s->write ? "write" : "read",
		s->port ? "port " : "", (ull)s->address, (ull)s->count);
}

static void exception_again(struct why *w, const struct stall *s)
{
	struct insn i;

	why_add(w, "vCPU %u has come back to ", s->vcpu);
	add_place(w, s->first);
	if (decode(w, s, &i))
		add_insn(w, &i);
	add_time(w, s);
	why_add(w, ": the same %s%s%s (vector %u)", exception_mnemonic(s->vector),
		exception_mnemonic(s->vector)[0] ? ", " : "", exception_name(s->vector), s->vector);
	if (s->vector == 14)
		why_add(w, " at 0x%llx", (ull)s->address);
	why_add(w, ", %llu times: its handler does not take it away", (ull)s->count);
}

void why_stall(const struct why_env *env, const struct stall *s, char *buf, size_t size)
{
	struct why w = {.env = env, .buf = buf, .size = size};

	buf[0] = '\0';
	if (s->kind == STALL_ACCESS)
		access_again(&w, s);
	else if (s->kind == STALL_EXCEPTION)
		exception_again(&w, s);
	else
		spin(&w, s);
	why_add(&w, ". It goes on.");
}
