/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What an instruction does with its operand in memory: nothing (LEA, NOP, prefetch), reading, writing or both, and in which
 * parts. By name, as capstone's own word is wrong for dozens of instructions.
 */
#include "core/cpu/access_impl.h"

#include "core/cpu/insn_ids.h"

/* MOVSD and CMPSD are SSE's as well. */
bool access_is_string(const cs_insn *in)
{
	uint8_t op = in->detail->x86.opcode[0];

	return (op >= 0x6c && op <= 0x6f) || (op >= 0xa4 && op <= 0xaf && op != 0xa8 && op != 0xa9);
}

/* The operand is an address and nothing more. */
bool access_touches_nothing(unsigned id)
{
	switch (id) {
	case X86_INS_LEA:
	case X86_INS_NOP:
	case X86_INS_PREFETCH:
	case X86_INS_PREFETCHW:
	case X86_INS_PREFETCHNTA:
	case X86_INS_PREFETCHT0:
	case X86_INS_PREFETCHT1:
	case X86_INS_PREFETCHT2:
	case X86_INS_CLFLUSH:
	case X86_INS_CLFLUSHOPT:
	case X86_INS_CLWB:
	case X86_INS_INVLPG:
	case X86_INS_MONITOR:
		return true;
	default:
		return false;
	}
}

/* Capstone's own word on the direction of a first operand is wrong for dozens of instructions (stores of FPU and SSE state,
 * SETcc, rotations, CMPXCHG, TEST): by name, then. */
static bool modifies(unsigned id)
{
	switch (id) {
	case X86_INS_RCL:
	case X86_INS_RCR:
	case X86_INS_ROL:
	case X86_INS_ROR:
	case X86_INS_SAL:
	case X86_INS_SAR:
	case X86_INS_SHL:
	case X86_INS_SHR:
	case X86_INS_SHLD:
	case X86_INS_SHRD:
		return true;
	default:
		return insn_lockable(id);
	}
}

static bool only_reads(unsigned id)
{
	switch (id) {
	case X86_INS_CMP:
	case X86_INS_TEST:
	case X86_INS_BT:
	case X86_INS_PUSH:
	case X86_INS_CALL:
	case X86_INS_JMP:
	case X86_INS_LCALL:
	case X86_INS_LJMP:
	case X86_INS_MUL:
	case X86_INS_IMUL:
	case X86_INS_DIV:
	case X86_INS_IDIV:
	case X86_INS_CMPSB:
	case X86_INS_CMPSW:
	case X86_INS_CMPSD:
	case X86_INS_CMPSQ:
	case X86_INS_FADD:
	case X86_INS_FSUB:
	case X86_INS_FSUBR:
	case X86_INS_FMUL:
	case X86_INS_FDIV:
	case X86_INS_FDIVR:
	case X86_INS_FCOM:
	case X86_INS_FCOMP:
	case X86_INS_FIADD:
	case X86_INS_FISUB:
	case X86_INS_FISUBR:
	case X86_INS_FIMUL:
	case X86_INS_FIDIV:
	case X86_INS_FIDIVR:
	case X86_INS_FICOM:
	case X86_INS_FICOMP:
	case X86_INS_FLD:
	case X86_INS_FILD:
	case X86_INS_FBLD:
	case X86_INS_FLDCW:
	case X86_INS_FLDENV:
	case X86_INS_FRSTOR:
	case X86_INS_FXRSTOR:
	case X86_INS_FXRSTOR64:
	case X86_INS_LDMXCSR:
	case X86_INS_LGDT:
	case X86_INS_LIDT:
	case X86_INS_LLDT:
	case X86_INS_LMSW:
	case X86_INS_LTR:
	case X86_INS_VERR:
	case X86_INS_VERW:
		return true;
	default:
		return false;
	}
}

/* A memory operand that is not the first is read; one that is, is a store unless it is known for another. */
void access_direction(const cs_insn *in, unsigned index, struct insn_access *a)
{
	bool rmw = index == 0 && modifies(in->id), reads = index || only_reads(in->id) || rmw;

	/* XADD and XCHG with the memory operand second are written the other way round. */
	if (in->id == X86_INS_XCHG || in->id == X86_INS_XADD)
		rmw = reads = true;
	a->read = reads;
	a->write = rmw || !reads;
}

static unsigned same_parts(unsigned n, uint8_t size, uint8_t part[ACCESS_PARTS_MAX])
{
	for (unsigned i = 0; i < n; i++)
		part[i] = size;
	return n;
}

/* 2 or 4, by the mode and the prefix. */
unsigned access_width(const struct access_regs *r, const cs_insn *in)
{
	return (r->bits == 16) != (in->detail->x86.prefix[2] == 0x66) ? 2 : 4;
}

unsigned access_far_width(const struct access_regs *r, const cs_insn *in)
{
	return in->detail->x86.rex & 8 ? 8 : access_width(r, in);
}

/* Capstone forgets an operand-size prefix that stands before REP. */
static unsigned element_size(const struct access_regs *r, const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;
	bool small = false;
	unsigned i = 0;

	for (; i < in->size && in->bytes[i] != x->opcode[0]; i++)
		small |= in->bytes[i] == 0x66;
	if (!(x->opcode[0] & 1))
		return 1;
	if (r->bits == 64 && i && (in->bytes[i - 1] & 0xf8) == 0x48)
		return (x->opcode[0] & 0xfe) == 0x6e || (x->opcode[0] & 0xfe) == 0x6c ? 4 : 8;
	return (r->bits == 16) != small ? 2 : 4;
}

unsigned access_parts(const struct access_regs *r, const cs_insn *in, unsigned size, uint8_t part[ACCESS_PARTS_MAX])
{
	switch (in->id) {
	case X86_INS_FXSAVE:
	case X86_INS_FXSAVE64:
		return same_parts(29, 16, part); /* the last 48 bytes are software's */
	case X86_INS_FXRSTOR:
	case X86_INS_FXRSTOR64:
		return same_parts(32, 16, part);
	case X86_INS_FNSAVE:
	case X86_INS_FRSTOR:
	case X86_INS_FNSTENV:
	case X86_INS_FLDENV:
		size = access_width(r, in);
		size = same_parts(7, (uint8_t)size, part);
		return in->id == X86_INS_FNSTENV || in->id == X86_INS_FLDENV ? size : size + same_parts(8, 10, part + size);
	case X86_INS_LGDT:
	case X86_INS_LIDT:
	case X86_INS_SGDT:
	case X86_INS_SIDT:
		part[0] = 2;
		part[1] = r->bits == 64 ? 8 : 4;
		return 2;
	case X86_INS_LCALL:
	case X86_INS_LJMP:
	case X86_INS_LDS:
	case X86_INS_LES:
	case X86_INS_LFS:
	case X86_INS_LGS:
	case X86_INS_LSS:
		part[0] = (uint8_t)access_far_width(r, in);
		part[1] = 2;
		return 2;
	case X86_INS_BOUND:
		return same_parts(2, (uint8_t)access_width(r, in), part);
	case X86_INS_FNSTSW:
		size = 2;
		break;
	case X86_INS_XSAVE:
	case X86_INS_XSAVE64:
	case X86_INS_XSAVEC:
	case X86_INS_XSAVEC64:
	case X86_INS_XSAVEOPT:
	case X86_INS_XSAVEOPT64:
	case X86_INS_XSAVES:
	case X86_INS_XSAVES64:
	case X86_INS_XRSTOR:
	case X86_INS_XRSTOR64:
	case X86_INS_XRSTORS:
	case X86_INS_XRSTORS64:
		return 0;
	default:
		if (access_is_string(in))
			size = element_size(r, in);
		break;
	}
	part[0] = (uint8_t)size;
	return size > 0 && size <= 64;
}
