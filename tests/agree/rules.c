/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where the host is not an oracle: each rule says which instruction or stop, and why. docs/AGREEMENT.md has the evidence.
 */
#include "tests/agree/agree.h"

#include <capstone/capstone.h>
#include <stdlib.h>
#include <string.h>

enum rule {
	RULE_TIME,
	RULE_SYSCALL,
	RULE_INT,
	RULE_LACKS,
	RULE_EMULATOR,
	RULE_BSF,
	RULE_PAGE,
	RULE_CMPXCHG,
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
    [RULE_PAGE] = {"KVM's emulator writes the first page before the second one faults", 0},
    [RULE_CMPXCHG] = {"KVM's emulator zero-extends a 32-bit register that cmpxchg leaves as it is, the processor does not",
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

const char *rule_after(const struct rule_input *in)
{
	if (in->soft->reason == STOP_ERROR && in->soft->suberror == 1) {
		if (getenv("AGREE_LACKS"))
			printf("lacks: %s\n", in->insn ? in->insn->text : in->soft->error);
		return use(RULE_LACKS);
	}
	if (in->kvm->reason == STOP_ERROR && (in->cpl0 || in->mmio_exits || in->kvm->suberror == 1))
		return use(RULE_EMULATOR);
	bool emulated = in->cpl0 || in->mmio_exits;
	if (emulated && in->insn && (in->insn->id == X86_INS_TZCNT || in->insn->id == X86_INS_LZCNT))
		return use(RULE_BSF);
	if (in->cpl0 && in->insn && in->insn->id == X86_INS_CMPXCHG && (in->code[0] & 0xf8) != 0xf0 &&
	    !strchr(in->insn->text, '['))
		return use(RULE_CMPXCHG);
	/* #UD of the emulator when the read is done already: the exception waits, the step seems to go nowhere. */
	if (in->mmio_exits && !in->moved && in->insn && in->insn->id == X86_INS_MOVBE)
		return use(RULE_EMULATOR);
	if (emulated && in->kvm->reason == STOP_EXCEPTION && in->kvm->vector == 14 && in->kvm->error_code & 2 &&
	    !(in->kvm->cr2 & 0xfff))
		return use(RULE_PAGE);
	/* CPL3 runs on the processor, which has all of SSE2 and MOVBE: only the emulator makes #UD of one that soft
	 * executes. */
	if (in->kvm->reason == STOP_EXCEPTION && in->kvm->vector == 6 &&
	    !(in->soft->reason == STOP_EXCEPTION && in->soft->vector == 6))
		return use(RULE_EMULATOR);
	return NULL;
}

void rules_report(FILE *f)
{
	for (unsigned i = 0; i < RULE_COUNT; i++)
		if (rules[i].used)
			fprintf(f, "  %6llu guests ended by a rule: %s\n", (unsigned long long)rules[i].used,
				rules[i].reason);
}
