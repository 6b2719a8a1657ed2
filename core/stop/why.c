/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The last stop in words: what happened, where, with which numbers, and which layer decided. One function a reason; each
 * appends to a bounded text. Only exceptions and guest accesses look anything up (a walk, a slot); steps stay cheap, since
 * every stop is told by one of these sentences.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/board/board.h"
#include "core/stop/point_impl.h"
#include "core/stop/where.h"
#include "core/stop/why_impl.h"

#define SUBERROR_EMULATION 1u /* struct stop's suberror, as KVM numbers them; soft's too */

void why_add(struct why *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(w->buf + w->len, w->size - w->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->len = w->len + (size_t)n < w->size ? w->len + (size_t)n : w->size - 1;
}

static void add_text(struct why *w, const char *text)
{
	size_t n = strlen(text), room = w->size - 1 - w->len;

	n = n < room ? n : room;
	memcpy(w->buf + w->len, text, n);
	w->len += n;
	w->buf[w->len] = '\0';
}

/* "0x1f": every step has one, so it is not left to printf. */
static void add_hex(struct why *w, uint64_t v)
{
	char text[19], *at = text + sizeof(text);

	*--at = '\0';
	do
		*--at = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	*--at = 'x';
	*--at = '0';
	add_text(w, at);
}

/* An offset in CS as a linear address, which is what symbols are. */
static uint64_t linear_rip(struct why *w, uint64_t rip)
{
	const struct stop *s = w->s;
	struct where at;

	if (s->code_bits)
		return s->code_bits == 64 ? rip : (uint32_t)(s->code_base + rip);
	if (w->rip == rip)
		return w->linear;
	w->rip = w->linear = rip;
	if (w->env->m && !where_get(w->env->m, s->vcpu, &at, NULL))
		w->linear = where_linear(&at, &at.r.seg[SEG_CS], rip);
	return w->linear;
}

static void add_place(struct why *w, uint64_t rip, uint64_t linear)
{
	char sym[96];

	symbols_format(w->env->syms, linear, sym, sizeof(sym));
	add_hex(w, rip);
	if (linear != rip)
		why_add(w, " (linear 0x%llx%s%s)", (unsigned long long)linear, *sym ? ", " : "", sym);
	else if (*sym)
		why_add(w, " (%s)", sym);
}

void why_rip(struct why *w, uint64_t rip)
{
	add_place(w, rip, linear_rip(w, rip));
}

/* "slot 1 (READONLY, gpa 0x80000 to 0x8ffff)", "no slot", with the device's window if there is one. */
static void add_slot(struct why *w, uint64_t gpa)
{
	struct regs r = {0};
	struct machine *m = w->env->m;

	if (m && machine_get_regs(m, w->s->vcpu, REGS_SYS, &r, NULL))
		r.smm = false;
	struct slot *found = NULL, *s = m ? slot_lookup(machine_slots(m), gpa, r.smm, &found) : NULL;
	const struct board_window *win = m && !s ? board_window_at(machine_board(m), gpa) : NULL;
	if (s)
		why_add(w, "slot %u (%sgpa 0x%llx to 0x%llx)", s->id, s->flags & SLOT_READONLY ? "READONLY, " : "",
			(unsigned long long)s->gpa, (unsigned long long)(s->gpa + s->size - 1));
	else if (found)
		why_add(w, "slot %u, which is not visible %s SMM", found->id, r.smm ? "inside" : "outside");
	else
		why_add(w, "no slot");
	if (win)
		why_add(w, " but device \"%s\"", win->name);
}

/* The first len bytes, little endian. */
static unsigned long long data_of(const uint8_t *bytes, unsigned len)
{
	unsigned long long v = 0;

	memcpy(&v, bytes, len < 8 ? len : 8);
	return v;
}

static void why_none(struct why *w)
{
	struct regs r;

	why_add(w, "The VM has not run yet");
	if (w->env->m && !machine_get_regs(w->env->m, w->s->vcpu, REGS_GPR, &r, NULL)) {
		why_add(w, "; vCPU %u stands at its entry ", w->s->vcpu);
		why_rip(w, r.rip);
	}
	why_add(w, ".");
}

static void why_step(struct why *w)
{
	if (w->s->no_progress) {
		why_add(w, "vCPU %u was stepped at ", w->s->vcpu);
		why_rip(w, w->s->rip);
		why_add(w, " but neither rip nor any register moved: this host does not get past the instruction");
		why_insn(w, w->s->rip, NULL, 0);
		why_add(w, "; set $rip behind it to go on.");
		return;
	}
	if (w->s->vcpu)
		why_add(w, "vCPU %u", w->s->vcpu);
	else
		add_text(w, "vCPU 0");
	add_text(w, " was stepped and stands at ");
	why_rip(w, w->s->rip);
	add_text(w, ".");
}

void why_point(struct why *w, const struct stop_point *p)
{
	why_add(w, "%s %d", p->ops->name, p->id);
	if (p->at[0])
		why_add(w, " (%s)", p->at);
	why_add(w, ", hit %llu time%s", (unsigned long long)p->hits, p->hits == 1 ? "" : "s");
	if (p->condition && !w->s->bad_condition)
		why_add(w, ", its condition %s is true", p->condition);
}

/* Who it was; the number alone of one that is gone. */
static void add_point(struct why *w, const char *what)
{
	const struct stop_point *p = point_find(w->env->points, w->id);

	if (p)
		p->ops->tell(w, p);
	else
		why_add(w, "%s %d", what, w->id);
}

static void why_breakpoint(struct why *w)
{
	if (w->id)
		add_point(w, "Breakpoint");
	else
		why_add(w, "A breakpoint of the guest's own");
	why_add(w, ": vCPU %u is about to execute ", w->s->vcpu);
	why_rip(w, w->s->rip);
	why_add(w, ".");
}

static void add_touch(struct why *w, const struct stop_touch *t, bool has_old)
{
	const struct stop_point *b = point_find(w->env->points, w->id);
	const char *what = t->read && t->write ? "read and wrote" : t->write ? "wrote" : t->read ? "read" : "accessed";

	why_add(w, "%s %u byte%s at ", what, t->len, t->len == 1 ? "" : "s");
	if (t->gva || !(b && b->phys)) /* steps see that physical memory changed, not by which address */
		why_add(w, "gva 0x%llx, ", (unsigned long long)t->gva);
	why_add(w, "gpa 0x%llx in ", (unsigned long long)t->gpa);
	add_slot(w, t->gpa);
	if (has_old && t->write)
		why_add(w, ", 0x%llx before and 0x%llx now", data_of(t->old_data, t->len), data_of(t->data, t->len));
	else
		why_add(w, ", value 0x%llx", data_of(t->data, t->len));
}

static void why_watchpoint(struct why *w)
{
	const struct stop *s = w->s;
	struct stop_touch t = {.gva = s->gva, .gpa = s->gpa, .len = s->len, .read = s->read, .write = s->write};

	memcpy(t.data, s->data, sizeof(t.data));
	memcpy(t.old_data, s->old_data, sizeof(t.old_data));
	add_point(w, "Watchpoint");
	why_add(w, ": vCPU %u ", s->vcpu);
	add_touch(w, &t, s->has_old);
	if (s->then.len) {
		why_add(w, ", and ");
		add_touch(w, &s->then, true);
	}
	if (s->has_by) {
		why_add(w, ", by the instruction at ");
		add_place(w, s->by, s->by_elsewhere ? s->by_linear : linear_rip(w, s->by));
	}
	why_add(w, "; rip is ");
	why_rip(w, s->rip);
	why_add(w, ".");
}

static void why_fault_stage(struct why *w)
{
	struct fault_stage_list l = {0};
	const struct stop *s = w->s;

	why_add(w, "vCPU %u stands still inside guest fault %u", s->vcpu, s->fault);
	if (s->gva)
		why_add(w, " on gva 0x%llx", (unsigned long long)s->gva);
	why_add(w, ", stage %s", stage_name(s->stage));
	if (w->env->m && !machine_fault_stages(w->env->m, &l, NULL)) {
		const struct fault_stage *last = l.n ? &l.v[l.n - 1] : NULL;
		if (last && last->gfn_known)
			why_add(w, " of gfn 0x%llx", (unsigned long long)last->gfn);
		if (last && last->level)
			why_add(w, " at level %u", last->level);
		if (last && last->detail[0])
			why_add(w, " (%s)", last->detail);
		fault_stage_list_free(&l);
	}
	if (s->rip_old) {
		why_add(w, "; its instruction has not completed. Which one that is this KVM leaves in the processor: ");
		why_rip(w, s->rip);
		why_add(w, " is where the last stop was.");
		return;
	}
	why_add(w, "; the instruction at ");
	why_rip(w, s->rip);
	why_add(w, " has not completed.");
}

/* Behind an access that a device has not seen yet. */
static void add_instruction(struct why *w)
{
	const struct stop *s = w->s;

	if (s->has_by) {
		why_add(w, "; the instruction is at ");
		why_rip(w, s->by);
	}
	if (s->has_by && s->by == s->rip) {
		why_add(w, ", and so is rip.");
		return;
	}
	why_add(w, s->has_by ? ", rip is moved on to " : "; rip is ");
	why_rip(w, s->rip);
	why_add(w, s->has_by ? " already." : ".");
}

static void why_mmio(struct why *w)
{
	const struct stop *s = w->s;

	why_add(w, "vCPU %u %s %u byte%s ", s->vcpu, s->write ? "writes" : "reads", s->len, s->len == 1 ? "" : "s");
	if (s->write)
		why_add(w, "(0x%llx) ", data_of(s->data, s->len));
	why_add(w, "at gpa 0x%llx, which is in ", (unsigned long long)s->gpa);
	add_slot(w, s->gpa);
	if (s->write && s->slot >= 0)
		why_add(w, ": a write to read-only memory leaves as MMIO and changes nothing there");
	else
		why_add(w, ": the access leaves the guest as MMIO");
	add_instruction(w);
}

static const char *port_name(uint16_t port)
{
	if (port >= 0x3f8 && port <= 0x3ff)
		return " (UART)";
	switch (port) {
	case 0xe9:
		return " (debug console)";
	case 0x501:
		return " (debug exit)";
	case 0x70:
	case 0x71:
		return " (CMOS)";
	case 0xb2:
	case 0xb3:
		return " (APM control, raises SMI)";
	case 0x92:
		return " (fast A20)";
	case 0x80:
		return " (POST code)";
	default:
		return ", where the board has no device";
	}
}

static void why_pio(struct why *w)
{
	const struct stop *s = w->s;

	why_add(w, "vCPU %u %s %u byte%s ", s->vcpu, s->write ? "writes" : "reads", s->len, s->len == 1 ? "" : "s");
	if (s->write)
		why_add(w, "(0x%llx) ", data_of(s->data, s->len));
	why_add(w, "%s port 0x%x%s", s->write ? "to" : "from", s->port, port_name(s->port));
	if (s->count > 1)
		why_add(w, ", %u times (a string instruction)", s->count);
	add_instruction(w);
}

static void why_hlt(struct why *w)
{
	struct regs r;

	why_add(w, "vCPU %u executed hlt, rip is ", w->s->vcpu);
	why_rip(w, w->s->rip);
	if (w->env->m && !machine_get_regs(w->env->m, w->s->vcpu, REGS_GPR, &r, NULL))
		why_add(w, "; interrupts are %s",
			r.rflags & RFLAGS_IF ? "on (IF set), but no device here raises any"
					     : "off (IF clear), so that nothing but an SMI or NMI could wake it");
	why_add(w, ".");
}

/* Registers and IDT are those of a reset, and say nothing of it. */
static void why_lost(struct why *w)
{
	why_add(w,
		"vCPU %u shut down (triple fault): an exception could not be delivered. KVM on this host resets a vCPU "
		"then, so its registers "
		"are gone; ",
		w->s->vcpu);
	if (w->s->has_by)
		why_add(w, "it was at the instruction at 0x%llx.", (unsigned long long)w->s->by);
	else
		why_add(w, "si from the stop before shows where it was.");
}

static void why_shutdown(struct why *w)
{
	struct regs r;

	if (w->s->state_lost) {
		why_lost(w);
		return;
	}
	why_add(w, "vCPU %u shut down (triple fault) at ", w->s->vcpu);
	why_rip(w, w->s->rip);
	if (w->env->m && !machine_get_regs(w->env->m, w->s->vcpu, REGS_GPR | REGS_SYS, &r, NULL))
		why_add(w, ": an exception could not be delivered through the IDT at 0x%llx, limit 0x%x; cr2 is 0x%llx",
			(unsigned long long)r.idt.base, r.idt.limit, (unsigned long long)r.cr2);
	why_add(w, ".");
}

static void why_smi(struct why *w)
{
	uint32_t smbase;

	why_add(w, "An SMI took vCPU %u into system management mode; the handler's first instruction is at ", w->s->vcpu);
	why_rip(w, w->s->rip);
	if (w->env->m && !machine_smbase(w->env->m, w->s->vcpu, &smbase, NULL))
		why_add(w, ", SMBASE is 0x%x and the state-save area at 0x%x", smbase, smbase + SMM_SAVE_OFFSET);
	why_add(w, ".");
}

static void why_rsm(struct why *w)
{
	why_add(w, "RSM took vCPU %u out of system management mode; it goes on at ", w->s->vcpu);
	why_rip(w, w->s->rip);
	why_add(w, ".");
}

static void why_mode(struct why *w)
{
	struct regs r;

	if (w->s->cpl_only)
		why_add(w, "vCPU %u left privilege level %u", w->s->vcpu, w->s->old_cpl);
	else
		why_add(w, "vCPU %u changed its mode", w->s->vcpu);
	if (w->env->m && !machine_get_regs(w->env->m, w->s->vcpu, REGS_GPR | REGS_SYS, &r, NULL))
		why_add(w, " and is now in %s mode at CPL %u (cr0 0x%llx, cr4 0x%llx, efer 0x%llx)",
			cpu_mode_name(regs_mode(&r)), regs_cpl(&r), (unsigned long long)r.cr0, (unsigned long long)r.cr4,
			(unsigned long long)r.efer);
	why_add(w, "; rip is ");
	why_rip(w, w->s->rip);
	why_add(w, ".");
}

static void why_slot(struct why *w)
{
	const struct stop *s = w->s;

	if (w->id > 0)
		why_add(w, "Catchpoint %d: ", w->id);
	why_add(w, "%s %d %s; vCPU %u stands at ", w->id > 0 ? "slot" : "Slot", s->slot, s->note[0] ? s->note : "changed",
		s->vcpu);
	why_rip(w, s->rip);
	why_add(w, ".");
}

static void why_interrupted(struct why *w)
{
	why_add(w, "vCPU %u was interrupted at ", w->s->vcpu);
	why_rip(w, w->s->rip);
	why_add(w, ".");
}

static void why_exit(struct why *w)
{
	why_add(w, "The guest asked the board to end with exit code %llu, at ", (unsigned long long)w->s->exit_code);
	why_rip(w, w->s->rip);
	why_add(w, ".");
}

/* Bytes that are no instruction here, or none that the disassembler knows. */
static void add_bytes(struct why *w, size_t n)
{
	why_add(w, ", bytes");
	for (size_t i = 0; i < n; i++)
		why_add(w, " %02x", w->s->insn[i]);
	why_add(w, ", which are no instruction that is known");
}

static void why_error(struct why *w)
{
	const struct stop *s = w->s;
	size_t n = s->n_insn < sizeof(s->insn) ? s->n_insn : sizeof(s->insn);
	unsigned len = 0;

	why_add(w, "The host could not go on with vCPU %u at ", s->vcpu);
	why_rip(w, s->rip);
	if (s->error[0])
		why_add(w, ": %s", s->error);
	if (n || s->suberror == SUBERROR_EMULATION)
		len = why_insn(w, s->rip, s->insn, n);
	if (n && !len)
		add_bytes(w, n);
	if (len)
		why_add(w, "; try `set $rip = 0x%llx`, which skips it", (unsigned long long)(s->rip + len));
	if (s->next[0])
		why_add(w, "%s%s", len ? ", or " : "; try ", s->next);
	why_add(w, ".");
}

static void (*const by_reason[])(struct why *) = {
    [STOP_NONE] = why_none,
    [STOP_STEP] = why_step,
    [STOP_BREAKPOINT] = why_breakpoint,
    [STOP_WATCHPOINT] = why_watchpoint,
    [STOP_FAULT_STAGE] = why_fault_stage,
    [STOP_EXCEPTION] = why_exception,
    [STOP_MMIO] = why_mmio,
    [STOP_PIO] = why_pio,
    [STOP_HLT] = why_hlt,
    [STOP_SHUTDOWN] = why_shutdown,
    [STOP_SMI] = why_smi,
    [STOP_RSM] = why_rsm,
    [STOP_MODE] = why_mode,
    [STOP_SLOT] = why_slot,
    [STOP_MMU] = why_mmu,
    [STOP_INTERRUPTED] = why_interrupted,
    [STOP_EXIT] = why_exit,
    [STOP_ERROR] = why_error,
};

static bool reason_named(const struct stop *s, unsigned before, enum stop_reason reason)
{
	for (unsigned i = 0; i < before; i++)
		if (s->cause[i].reason == reason)
			return true;
	return false;
}

/* What more there is to the stop. Of a reason that has its sentence already, the points alone. */
static void add_causes(struct why *w)
{
	for (unsigned i = 1; i < w->s->n_causes; i++) {
		enum stop_reason reason = w->s->cause[i].reason;

		w->id = w->s->cause[i].id;
		why_add(w, " ");
		if (!reason_named(w->s, i, reason)) {
			by_reason[reason](w);
			continue;
		}
		add_point(w, "Point");
		why_add(w, ", too.");
	}
}

/* Whose rip and registers these are. */
static void add_nested(struct why *w)
{
	struct regs r = {0};

	why_add(w, " That is in L2, the guest that this one runs");
	if (w->env->m && !machine_get_regs(w->env->m, w->s->vcpu, REGS_SYS, &r, NULL) && r.nested.in &&
	    !r.nested.control_old)
		why_add(w, " by the %s at gpa 0x%llx", r.nested.kind == NESTED_SVM ? "VMCB" : "VMCS",
			(unsigned long long)r.nested.control);
	why_add(w, ".");
}

void why_stop(const struct why_env *env, const struct stop *s, char *buf, size_t size)
{
	struct why w = {.env = env, .s = s, .id = s->breakpoint, .buf = buf, .size = size, .rip = ~0ull, .linear = ~0ull};

	if (!size)
		return;
	*buf = 0;
	if ((size_t)s->reason < ARRAY_LEN(by_reason))
		by_reason[s->reason](&w);
	add_causes(&w);
	if (s->nested)
		add_nested(&w);
	if (s->note[0] && s->reason != STOP_FAULT_STAGE && s->reason != STOP_SLOT)
		why_add(&w, " Note: %s.", s->note);
}
