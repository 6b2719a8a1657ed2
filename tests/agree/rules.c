/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where the host is not an oracle: each rule says which instruction or stop, and why. docs/AGREEMENT.md has the evidence.
 */
#include "tests/agree/agree.h"

#include <capstone/capstone.h>
#include <string.h>

#include "core/mem/paging.h"

enum rule {
	RULE_TIME,
	RULE_SYSCALL,
	RULE_INT,
	RULE_LACKS,
	RULE_EMULATOR,
	RULE_BSF,
	RULE_PAGE,
	RULE_CMPXCHG,
	RULE_NO_TABLE,
	RULE_STALE,
	RULE_IMAGE,
	RULE_SHIFTD,
	RULE_CMPSB,
	RULE_FAR_RETURN,
	RULE_COUNT,
};

static struct {
	const char *reason;
	uint64_t used;
} rules[RULE_COUNT] = {
    [RULE_TIME] = {"time, randomness and CPUID are the host's own", 0},
    [RULE_SYSCALL] = {"syscall and its kin at CPL3 stay at CPL3 on a pagetable-based KVM", 0},
    [RULE_INT] = {"int n at CPL3 is #UD on a pagetable-based KVM", 0},
    [RULE_LACKS] = {"the soft CPU lacks the instruction, and says so", 0},
    [RULE_EMULATOR] = {"KVM's emulator lacks the instruction (CPL0, or its operand is MMIO)", 0},
    [RULE_BSF] = {"KVM's emulator executes tzcnt as bsf and lzcnt as bsr", 0},
    [RULE_PAGE] = {"KVM's emulator writes the first page, and has read a device in the second, before that one faults", 0},
    [RULE_CMPXCHG] = {"KVM's emulator zero-extends a 32-bit register that cmpxchg leaves as it is, the processor does not",
		      0},
    [RULE_NO_TABLE] = {"a table where no memory is: KVM says not present, a bus reads all ones, which are reserved bits", 0},
    [RULE_STALE] = {"KVM used a leaf that it had fetched ahead and that the guest's entry has left since, without a flush",
		    0},
    [RULE_IMAGE] = {"a pagetable-based KVM executes fxsave and fxrstor at CPL3 where an unaligned address is #GP", 0},
    [RULE_SHIFTD] = {"shld and shrd of 16 bits by more than 16 are undefined: soft was told this processor's way", 0},
    [RULE_CMPSB] = {"repe cmpsb reads its source first on this processor: soft was told", 0},
    [RULE_FAR_RETURN] = {"retf and iret read an outer stack before they look at CS, or downwards, on this processor: soft "
			 "was told",
			 0},
};

static const char *use(enum rule r)
{
	rules[r].used++;
	return rules[r].reason;
}

const char *rule_before(const struct rule_input *in)
{
	if (!in->insn->known)
		return NULL;
	switch (in->insn->id) {
	case X86_INS_RDTSC:
	case X86_INS_RDTSCP:
	case X86_INS_RDRAND:
	case X86_INS_RDSEED:
	case X86_INS_CPUID:
	case X86_INS_XGETBV:
	case X86_INS_RDPMC:
		return use(RULE_TIME);
	case X86_INS_SYSCALL:
	case X86_INS_SYSENTER:
	case X86_INS_SYSEXIT:
	case X86_INS_SYSRET:
	case X86_INS_VMCALL:
	case X86_INS_VMMCALL:
		return use(RULE_SYSCALL);
	case X86_INS_INT:
	case X86_INS_INT3:
	case X86_INS_INT1:
	case X86_INS_INTO:
		return use(RULE_INT);
	default:
		return NULL;
	}
}

/* What KVM's emulator has no entry for, of what the generator makes on purpose. */
static bool emulator_lacks(const struct rule_input *in)
{
	switch (in->insn->id) {
	case X86_INS_MOVBE:
	case X86_INS_CMPXCHG16B:
	case X86_INS_POPCNT:
		return true;
	case X86_INS_ENTER:
		return !strstr(in->insn->text, ", 0 ;"); /* nested */
	default:
		return in->raw || in->insn->vector;
	}
}

static bool raised_ud(const struct stop *stop, const struct regs *r)
{
	return (stop->reason == STOP_EXCEPTION && stop->vector == 6) || r->rip == GVA_UD_HANDLER || r->rip == GVA_UD_END;
}

bool rule_passes_over(const struct rule_input *in)
{
	return in->cpl0 && !in->raw && in->insn->known && emulator_lacks(in) && use(RULE_EMULATOR);
}

static bool raised_gp(const struct stop *stop, const struct regs *r)
{
	return (stop->reason == STOP_EXCEPTION && stop->vector == 13) || r->rip == GVA_GP_HANDLER;
}

static bool unaligned_image(const struct rule_input *in)
{
	bool fx = in->insn->id == X86_INS_FXSAVE || in->insn->id == X86_INS_FXSAVE64 || in->insn->id == X86_INS_FXRSTOR ||
		  in->insn->id == X86_INS_FXRSTOR64;

	return fx && !in->cpl0 && raised_gp(in->soft, in->soft_regs) && !raised_gp(in->kvm, in->kvm_regs);
}

const char *rule_after(const struct rule_input *in)
{
	bool ud = raised_ud(in->kvm, in->kvm_regs), soft_ud = raised_ud(in->soft, in->soft_regs);

	if (in->raw && in->soft->reason == STOP_ERROR && in->soft->suberror == 1)
		return use(RULE_LACKS);
	if (in->insn->known && unaligned_image(in))
		return use(RULE_IMAGE);
	if (!in->emulated || !emulator_lacks(in))
		return NULL;
	if (in->kvm->reason == STOP_ERROR && in->kvm->suberror == 1)
		return use(RULE_EMULATOR);
	/* Or it makes #UD of it; where the read is done already that waits, and the step seems to go nowhere. */
	return (ud && !soft_ud) || !in->moved ? use(RULE_EMULATOR) : NULL;
}

/* The one general register in which both differ; -1 for none, -2 for several. */
static int only_difference(const struct regs *k, const struct regs *s)
{
	int at = -1;

	for (int i = 0; i < 16; i++)
		if (k->gpr[i] != s->gpr[i])
			at = at == -1 ? i : -2;
	return at;
}

bool rule_adopts(const struct rule_input *in)
{
	bool count = in->insn->id == X86_INS_TZCNT || in->insn->id == X86_INS_LZCNT;
	int at = only_difference(in->kvm_regs, in->soft_regs);
	struct regs *s = in->soft_regs;

	if (!in->emulated)
		return false;
	if (count && at >= -1) {
		if (at >= 0)
			s->gpr[at] = in->kvm_regs->gpr[at];
		s->rflags = in->kvm_regs->rflags;
		return use(RULE_BSF);
	}
	if (in->insn->id != X86_INS_CMPXCHG || at < 0 || in->kvm_regs->gpr[at] != (uint32_t)s->gpr[at])
		return false;
	s->gpr[at] = in->kvm_regs->gpr[at];
	return use(RULE_CMPXCHG);
}

unsigned rule_half_write(const struct rule_input *in)
{
	const struct stop *k = in->kvm;

	if (!in->emulated || in->kvm_cr2 & 0xfff)
		return 0;
	if (k->reason != STOP_EXCEPTION || k->vector != 14)
		return in->kvm_regs->rip == GVA_PF_HANDLER || in->kvm_regs->rip == GVA_PF_END ? 15 : 0;
	return k->error_code & PFERR_WRITE ? 15 : 0;
}

const char *rule_half_written(void)
{
	return use(RULE_PAGE);
}

bool rule_no_table(uint64_t kvm, uint64_t soft)
{
	return soft == (kvm | PFERR_PRESENT | PFERR_RSVD) && !(kvm & (PFERR_PRESENT | PFERR_RSVD)) && use(RULE_NO_TABLE);
}

const char *rule_stale(void)
{
	return use(RULE_STALE);
}

/* By a shift beyond the operand nothing at all is defined, which no shift within it has. */
static bool shift_beyond(const struct insn_facts *insn)
{
	return (insn->id == X86_INS_SHLD || insn->id == X86_INS_SHRD) && insn->undefined == UNDEFINED_ANY;
}

static bool far_return(const struct insn_facts *insn)
{
	return insn->id == X86_INS_RETF || insn->id == X86_INS_RETFQ || insn->id == X86_INS_IRET ||
	       insn->id == X86_INS_IRETD || insn->id == X86_INS_IRETQ;
}

void rule_habit(const struct insn_facts *insn, bool cpl0)
{
	struct soft_habits habits = host_habits();

	if (habits.shiftd_source && insn->known && shift_beyond(insn))
		(void)use(RULE_SHIFTD);
	if (habits.cmpsb_source && insn->known && !strncmp(insn->text, "repe cmpsb ", 11))
		(void)use(RULE_CMPSB);
	if ((habits.outer_early || habits.pops_down) && !cpl0 && insn->known && far_return(insn))
		(void)use(RULE_FAR_RETURN);
}

void rules_report(FILE *f)
{
	for (unsigned i = 0; i < RULE_COUNT; i++)
		if (rules[i].used)
			fprintf(f, "  %6llu by a rule: %s\n", (unsigned long long)rules[i].used, rules[i].reason);
}
