/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Exceptions in words: the vector's name, the error code's bits, and for a page fault the table entry that refused, found by
 * walking the guest's tables once more. Error codes: Intel SDM vol. 3A 6.13 (selectors) and 4.7 (page faults).
 */
#include "core/stop/why_impl.h"

#include <string.h>

#include "core/stop/where.h"

static const struct {
	const char *mnemonic, *name;
} exceptions[32] = {
    [0] = {"#DE", "divide error"},
    [1] = {"#DB", "debug exception"},
    [2] = {"NMI", "non-maskable interrupt"},
    [3] = {"#BP", "breakpoint (int3)"},
    [4] = {"#OF", "overflow (into)"},
    [5] = {"#BR", "bound range exceeded"},
    [6] = {"#UD", "invalid opcode"},
    [7] = {"#NM", "device not available (x87 or SSE)"},
    [8] = {"#DF", "double fault"},
    [9] = {"", "coprocessor segment overrun"},
    [10] = {"#TS", "invalid TSS"},
    [11] = {"#NP", "segment not present"},
    [12] = {"#SS", "stack segment fault"},
    [13] = {"#GP", "general protection fault"},
    [14] = {"#PF", "page fault"},
    [16] = {"#MF", "x87 floating-point error"},
    [17] = {"#AC", "alignment check"},
    [18] = {"#MC", "machine check"},
    [19] = {"#XM", "SIMD floating-point exception"},
    [20] = {"#VE", "virtualization exception"},
    [21] = {"#CP", "control protection exception"},
    [28] = {"#HV", "hypervisor injection exception"},
    [29] = {"#VC", "VMM communication exception"},
    [30] = {"#SX", "security exception"},
};

const char *exception_name(uint8_t vector)
{
	if (vector >= 32)
		return "interrupt";
	return exceptions[vector].name ? exceptions[vector].name : "reserved";
}

const char *exception_mnemonic(uint8_t vector)
{
	return vector < 32 && exceptions[vector].mnemonic ? exceptions[vector].mnemonic : "";
}

unsigned why_insn(struct why *w, uint64_t rip, const uint8_t *code, size_t n)
{
	uint8_t fetched[15];
	struct where at = {.bits = 64};
	struct insn insn;

	if (w->env->m && !where_get(w->env->m, w->s->vcpu, &at, NULL) && !n) {
		n = where_code(w->env->m, w->s->vcpu, where_linear(&at, &at.r.seg[SEG_CS], rip), fetched, sizeof(fetched));
		code = fetched;
	}
	if (!n || !disas_one(w->env->disas, at.bits, rip, code, n, &insn))
		return 0;
	why_add(w, ", `%s%s%s` (bytes", insn.mnemonic, insn.operands[0] ? " " : "", insn.operands);
	for (unsigned i = 0; i < insn.len; i++)
		why_add(w, " %02x", insn.bytes[i]);
	why_add(w, ")");
	return insn.len;
}

/* ---- page faults */

static void add_pf_bits(struct why *w, uint32_t ec)
{
	why_add(w, "%s by %s code of ",
		ec & PFERR_FETCH   ? "an instruction fetch"
		: ec & PFERR_WRITE ? "a write"
				   : "a read",
		ec & PFERR_USER ? "user" : "supervisor");
	if (ec & PFERR_RSVD)
		why_add(w, "a page whose tables have a reserved bit set");
	else if (ec & PFERR_PK)
		why_add(w, "a page that its protection key forbids");
	else if (ec & PFERR_PRESENT)
		why_add(w, "a page that is present but forbids it");
	else
		why_add(w, "a page that is not present");
}

static unsigned pf_access(uint32_t ec)
{
	unsigned access = ec & PFERR_FETCH ? ACCESS_FETCH : ec & PFERR_WRITE ? ACCESS_WRITE : ACCESS_READ;

	return access | (ec & PFERR_USER ? ACCESS_USER : 0);
}

static const char *level_name(enum paging_mode mode, unsigned level)
{
	static const char *const names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};

	if (mode == PAGING_32BIT && level == 2)
		return "PDE";
	return level < ARRAY_LEN(names) ? names[level] : "entry";
}

/* The first entry on the way that refuses this access, and what it lacks; NULL if no single bit of one does. */
static const struct walk_step *refusing(const struct walk *wk, unsigned access, const char **lacks)
{
	for (unsigned i = 0; i < wk->n; i++) {
		uint64_t entry = wk->step[i].entry;
		*lacks = NULL;
		if (wk->step[i].no_memory)
			*lacks = "stands where there is no memory";
		else if (!(entry & PTE_P))
			*lacks = "has P clear (not present)";
		else if (wk->fault.error_code & (PFERR_RSVD | PFERR_PK))
			continue;
		else if ((access & ACCESS_USER) && !(entry & PTE_U))
			*lacks = "has U clear (supervisor only)";
		else if ((access & ACCESS_WRITE) && !(entry & PTE_W))
			*lacks = "has W clear (read-only)";
		else if ((access & ACCESS_FETCH) && wk->step[i].size == 8 && (entry & PTE_NX))
			*lacks = "has NX set (no execution)";
		if (*lacks)
			return &wk->step[i];
	}
	return NULL;
}

/* What the tables say about the address now: the level that refuses, or that they no longer do. */
static void add_walk(struct why *w, uint64_t gva, unsigned access)
{
	struct xlate_env env;
	struct walk wk;
	const char *lacks;

	if (!w->env->m || machine_env(w->env->m, w->s->vcpu, &env, NULL))
		return;
	paging_walk(&env.pg, &env.mem, gva, access, false, &wk);
	if (!wk.fault.present) {
		why_add(w, "; the tables map it by now, to gpa 0x%llx", (unsigned long long)wk.gpa);
		return;
	}
	const struct walk_step *st = refusing(&wk, access, &lacks);
	if (st)
		why_add(w, "; the level-%u entry (%s) at gpa 0x%llx is 0x%llx and %s", st->level,
			level_name(env.pg.mode, st->level), (unsigned long long)st->gpa, (unsigned long long)st->entry,
			lacks);
	else if (wk.why[0])
		why_add(w, "; the walk refuses: %s", wk.why);
}

/* ---- selectors */

static void add_selector(struct why *w, uint32_t ec)
{
	if (!ec) {
		why_add(w, ", error code 0 (no selector is to blame)");
		return;
	}
	why_add(w, ", error code 0x%x: ", ec);
	if (ec & 2)
		why_add(w, "IDT entry 0x%x", ec >> 3 & 0x1fff);
	else
		why_add(w, "%s selector 0x%x", ec & 4 ? "LDT" : "GDT", ec & 0xfff8);
	if (ec & 1)
		why_add(w, ", while an external event was delivered");
}

/* Traps leave rip behind the instruction that caused them: what stands there has nothing to do with it. */
static bool is_trap(const struct stop *s)
{
	return (s->vector == 1 || s->vector == 3 || s->vector == 4) && !stop_is_interrupt(s);
}

/* Nobody of the guest's takes it, and where that leaves rip. */
static void add_no_handler(struct why *w)
{
	const struct stop *s = w->s;

	if (s->handler == HANDLER_EMPTY)
		why_add(w, "; its vector, at 0x%x, is 0000:0000", 4u * s->vector);
	else if (s->handler == HANDLER_BEYOND_IDT && s->software)
		why_add(w, "; the IDT ends before its vector");
	if (s->has_by) {
		why_add(w, "; rip is ");
		why_rip(w, s->rip);
		why_add(w, ", behind it");
	} else if (s->software && s->handler != HANDLER_OWN) {
		why_add(w, "; c goes on behind it");
	}
}

void why_exception(struct why *w)
{
	const struct stop *s = w->s;
	const char *m = exception_mnemonic(s->vector);
	uint64_t at = s->has_by ? s->by : s->rip;

	if (w->id > 0)
		why_add(w, "Catchpoint %d: ", w->id);
	if (s->software && !is_trap(s))
		why_add(w, "Software interrupt 0x%x (vector %u) on vCPU %u at ", s->vector, s->vector, s->vcpu);
	else
		why_add(w, "%s%s%s (vector %u) on vCPU %u at ", m, *m ? ", " : "", exception_name(s->vector), s->vector,
			s->vcpu);
	why_rip(w, at);
	if (s->vector == 14) {
		why_add(w, ": ");
		add_pf_bits(w, s->error_code);
		why_add(w, ", address 0x%llx, error code 0x%x", (unsigned long long)s->cr2, s->error_code);
		add_walk(w, s->cr2, pf_access(s->error_code));
	} else if (s->has_error) {
		add_selector(w, s->error_code);
		why_insn(w, s->rip, NULL, 0);
	} else if (!is_trap(s) || s->software) {
		why_insn(w, at, NULL, 0);
	}
	add_no_handler(w);
	why_add(w, ".");
}
