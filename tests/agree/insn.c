/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which flags an instruction leaves undefined: Intel SDM vol. 2, "Flags Affected" of each.
 */
#include "tests/agree/agree.h"

#include <capstone/capstone.h>
#include <string.h>

#define ALL_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static csh handle;
static cs_insn *insn;

int facts_open(void)
{
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) || cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON))
		return -1;
	insn = cs_malloc(handle);
	return insn ? 0 : -1;
}

void facts_close(void)
{
	cs_free(insn, 1);
	cs_close(&handle);
}

static unsigned shift_count(uint64_t rcx, unsigned *bits)
{
	const cs_x86 *x = &insn->detail->x86;
	const cs_x86_op *last = &x->operands[x->op_count - 1];
	unsigned n = last->type == X86_OP_IMM && x->op_count > 1			      ? (unsigned)last->imm
		     : last->type == X86_OP_REG && last->reg == X86_REG_CL && x->op_count > 1 ? (unsigned)rcx
											      : 1;

	*bits = x->operands[0].size * 8u;
	return n & (*bits == 64 ? 63 : 31);
}

static uint64_t undefined_of_shift(uint64_t rcx, bool is_double)
{
	unsigned bits, n = shift_count(rcx, &bits);

	if (!n)
		return 0;
	if (is_double && n > bits)
		return ALL_FLAGS;
	return RFLAGS_AF | (n > 1 ? RFLAGS_OF : 0) | (n >= bits && !is_double ? RFLAGS_CF : 0);
}

static uint64_t undefined_of(uint64_t rcx)
{
	unsigned bits;

	switch (insn->id) {
	case X86_INS_AND:
	case X86_INS_OR:
	case X86_INS_XOR:
	case X86_INS_TEST:
		return RFLAGS_AF;
	case X86_INS_MUL:
	case X86_INS_IMUL:
		return RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
	case X86_INS_DIV:
	case X86_INS_IDIV:
		return ALL_FLAGS;
	case X86_INS_BSF:
	case X86_INS_BSR:
		return ALL_FLAGS & ~RFLAGS_ZF;
	case X86_INS_TZCNT:
	case X86_INS_LZCNT:
		return RFLAGS_OF | RFLAGS_SF | RFLAGS_PF | RFLAGS_AF;
	case X86_INS_BT:
	case X86_INS_BTS:
	case X86_INS_BTR:
	case X86_INS_BTC:
		return RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF;
	case X86_INS_SHL:
	case X86_INS_SHR:
	case X86_INS_SAL:
	case X86_INS_SAR:
		return undefined_of_shift(rcx, false);
	case X86_INS_SHLD:
	case X86_INS_SHRD:
		return undefined_of_shift(rcx, true);
	case X86_INS_ROL:
	case X86_INS_ROR:
	case X86_INS_RCL:
	case X86_INS_RCR:
		return shift_count(rcx, &bits) > 1 ? RFLAGS_OF : 0;
	default:
		return 0;
	}
}

static bool is_vector(void)
{
	static const uint8_t groups[] = {X86_GRP_FPU,  X86_GRP_MMX,   X86_GRP_SSE1,  X86_GRP_SSE2,
					 X86_GRP_SSE3, X86_GRP_SSSE3, X86_GRP_SSE41, X86_GRP_SSE42};

	for (unsigned i = 0; i < sizeof(groups); i++)
		if (cs_insn_group(handle, insn, groups[i]))
			return true;
	return strstr(insn->op_str, "xmm");
}

void facts_of(const uint8_t *code, size_t n, uint64_t rip, uint64_t rcx, struct insn_facts *out)
{
	const uint8_t *at = code;
	uint64_t addr = rip;
	size_t left = n;

	memset(out, 0, sizeof(*out));
	out->known = cs_disasm_iter(handle, &at, &left, &addr, insn);
	if (!out->known) {
		size_t used = (size_t)snprintf(out->text, sizeof(out->text), "(bad)");
		for (size_t i = 0; i < n && i < 15; i++)
			used += (size_t)snprintf(out->text + used, sizeof(out->text) - used, " %02x", code[i]);
		return;
	}
	out->id = insn->id;
	out->len = insn->size;
	out->vector = is_vector();
	out->undefined = undefined_of(rcx);
	size_t used = (size_t)snprintf(out->text, sizeof(out->text), "%s %.60s ;", insn->mnemonic, insn->op_str);
	for (size_t i = 0; i < out->len && used < sizeof(out->text) - 3; i++)
		used += (size_t)snprintf(out->text + used, sizeof(out->text) - used, " %02x", code[i]);
}
