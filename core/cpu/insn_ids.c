/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Capstone's numbers of segment registers and of instructions that change memory.
 */
#include "core/cpu/insn_ids.h"

#include <capstone/capstone.h>

#include "core/cpu/regs.h"

int insn_segment(unsigned reg)
{
	switch (reg) {
	case X86_REG_ES:
		return SEG_ES;
	case X86_REG_CS:
		return SEG_CS;
	case X86_REG_SS:
		return SEG_SS;
	case X86_REG_DS:
		return SEG_DS;
	case X86_REG_FS:
		return SEG_FS;
	case X86_REG_GS:
		return SEG_GS;
	default:
		return -1;
	}
}

bool insn_lockable(unsigned id)
{
	switch (id) {
	case X86_INS_ADC:
	case X86_INS_ADD:
	case X86_INS_AND:
	case X86_INS_BTC:
	case X86_INS_BTR:
	case X86_INS_BTS:
	case X86_INS_CMPXCHG:
	case X86_INS_CMPXCHG8B:
	case X86_INS_CMPXCHG16B:
	case X86_INS_DEC:
	case X86_INS_INC:
	case X86_INS_NEG:
	case X86_INS_NOT:
	case X86_INS_OR:
	case X86_INS_SBB:
	case X86_INS_SUB:
	case X86_INS_XADD:
	case X86_INS_XCHG:
	case X86_INS_XOR:
		return true;
	default:
		return false;
	}
}
