/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory accesses of one instruction, by capstone's detail mode. What capstone gets wrong or leaves out is put right here:
 * operands that are addresses only (LEA, NOP, prefetch), the stack of PUSH, CALL, RET and their like, directions and sizes.
 */
#include "core/cpu/access.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <string.h>

#include "core/cpu/insn_ids.h"

struct width {
	csh handle;
	cs_insn *insn; /* NULL until opened */
};

struct access_decoder {
	struct width width[3];
};

static bool width_open(struct width *w, cs_mode mode)
{
	if (cs_open(CS_ARCH_X86, mode, &w->handle) != CS_ERR_OK)
		return false;
	if (cs_option(w->handle, CS_OPT_DETAIL, CS_OPT_ON) == CS_ERR_OK)
		w->insn = cs_malloc(w->handle);
	if (!w->insn)
		cs_close(&w->handle);
	return w->insn;
}

int access_decoder_create(struct access_decoder **out, struct err *e)
{
	static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
	struct access_decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem(e, "watchpoint");
	for (unsigned i = 0; i < 3; i++)
		if (!width_open(&d->width[i], modes[i])) {
			access_decoder_destroy(d);
			return err_set(e, -ENOTSUP,
				       "watchpoint" WHY "capstone cannot decode x86 in detail" TRY
				       "a capstone built with x86 support");
		}
	*out = d;
	return 0;
}

void access_decoder_destroy(struct access_decoder *d)
{
	for (unsigned i = 0; d && i < 3; i++) {
		if (!d->width[i].insn)
			continue;
		cs_free(d->width[i].insn, 1);
		cs_close(&d->width[i].handle);
	}
	free(d);
}

/* ---- addresses */

static uint64_t reg_value(const struct access_regs *r, x86_reg reg, uint64_t next_rip)
{
	static const uint16_t names[3][8] = {
	    {X86_REG_AX, X86_REG_CX, X86_REG_DX, X86_REG_BX, X86_REG_SP, X86_REG_BP, X86_REG_SI, X86_REG_DI},
	    {X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX, X86_REG_ESP, X86_REG_EBP, X86_REG_ESI, X86_REG_EDI},
	    {X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX, X86_REG_RSP, X86_REG_RBP, X86_REG_RSI, X86_REG_RDI}};
	static const uint64_t mask[3] = {0xffff, 0xffffffff, ~0ull};

	if (reg == X86_REG_RIP)
		return next_rip;
	if (reg == X86_REG_EIP)
		return (uint32_t)next_rip;
	if (reg >= X86_REG_R8 && reg <= X86_REG_R15)
		return r->gpr[8 + reg - X86_REG_R8];
	if (reg >= X86_REG_R8D && reg <= X86_REG_R15D)
		return (uint32_t)r->gpr[8 + reg - X86_REG_R8D];
	for (unsigned w = 0; w < 3; w++)
		for (unsigned i = 0; i < 8; i++)
			if (names[w][i] == reg)
				return r->gpr[i] & mask[w];
	return 0;
}

static bool on_stack(x86_reg base)
{
	return base == X86_REG_SP || base == X86_REG_ESP || base == X86_REG_BP || base == X86_REG_EBP;
}

static enum seg_index segment_of(const x86_op_mem *m, bool in_es)
{
	int seg = insn_segment(m->segment);

	if (seg >= 0)
		return (enum seg_index)seg;
	return in_es ? SEG_ES : on_stack(m->base) ? SEG_SS : SEG_DS;
}

static uint64_t address_mask(unsigned bytes)
{
	return bytes == 2 ? 0xffff : bytes == 4 ? 0xffffffff : ~0ull;
}

static bool string_insn(unsigned id)
{
	switch (id) {
	case X86_INS_MOVSB:
	case X86_INS_MOVSW:
	case X86_INS_MOVSQ:
	case X86_INS_STOSB:
	case X86_INS_STOSW:
	case X86_INS_STOSD:
	case X86_INS_STOSQ:
	case X86_INS_SCASB:
	case X86_INS_SCASW:
	case X86_INS_SCASD:
	case X86_INS_SCASQ:
	case X86_INS_CMPSB:
	case X86_INS_CMPSW:
	case X86_INS_CMPSQ:
	case X86_INS_INSB:
	case X86_INS_INSW:
	case X86_INS_INSD:
		return true;
	default:
		return false;
	}
}

static uint64_t linear(const struct access_regs *r, enum seg_index seg, uint64_t offset)
{
	return r->bits == 64 ? r->base[seg] + offset : (uint32_t)(r->base[seg] + offset);
}

static uint64_t operand_linear(const struct access_regs *r, const cs_insn *in, const x86_op_mem *m)
{
	const cs_x86 *x = &in->detail->x86;
	uint64_t next = r->rip + in->size, off = (uint64_t)m->disp;
	bool di = m->base == X86_REG_DI || m->base == X86_REG_EDI || m->base == X86_REG_RDI;

	if (m->base != X86_REG_INVALID)
		off += reg_value(r, m->base, next);
	if (m->index != X86_REG_INVALID)
		off += reg_value(r, m->index, next) * (uint64_t)m->scale;
	return linear(r, segment_of(m, di && string_insn(in->id)), off & address_mask(x->addr_size));
}

/* ---- directions and sizes */

/* The operand is an address and nothing more. */
static bool touches_nothing(unsigned id)
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
static void direction(const cs_insn *in, unsigned index, struct insn_access *a)
{
	bool rmw = index == 0 && modifies(in->id), reads = index || only_reads(in->id) || rmw;

	/* XADD and XCHG with the memory operand second are written the other way round. */
	if (in->id == X86_INS_XCHG || in->id == X86_INS_XADD)
		rmw = reads = true;
	a->read = reads;
	a->write = rmw || !reads;
}

/* Bytes of the operand; 0: nobody knows. */
static unsigned operand_size(const cs_insn *in, const cs_x86_op *op)
{
	switch (in->id) {
	case X86_INS_FXSAVE:
	case X86_INS_FXSAVE64:
	case X86_INS_FXRSTOR:
	case X86_INS_FXRSTOR64:
		return 512;
	case X86_INS_FNSAVE:
	case X86_INS_FRSTOR:
		return 108;
	case X86_INS_FNSTSW:
		return 2;
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
		return op->size;
	}
}

/* ---- the stack */

/* BT and its like with a register count bits from the operand on, as far as the register says. */
static bool bit_string(const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;
	bool bt = in->id == X86_INS_BT || in->id == X86_INS_BTS || in->id == X86_INS_BTR || in->id == X86_INS_BTC;

	return bt && x->op_count == 2 && x->operands[1].type == X86_OP_REG;
}

static unsigned stack_width(const struct access_regs *r, const cs_insn *in)
{
	bool small = in->detail->x86.prefix[2] == 0x66;

	if (r->bits == 64)
		return small ? 2 : 8;
	return (r->bits == 32) != small ? 4 : 2;
}

/* Bytes pushed (negative) or popped by the instruction, and whether from BP. 0: none. */
static int stack_bytes(const struct access_regs *r, const cs_insn *in, bool *from_bp)
{
	int w = (int)stack_width(r, in);

	switch (in->id) {
	case X86_INS_PUSH:
	case X86_INS_CALL:
	case X86_INS_PUSHF:
	case X86_INS_PUSHFD:
	case X86_INS_PUSHFQ:
		return -w;
	case X86_INS_LCALL:
		return -2 * w;
	case X86_INS_PUSHAW:
	case X86_INS_PUSHAL:
		return -8 * w;
	case X86_INS_POP:
	case X86_INS_RET:
	case X86_INS_POPF:
	case X86_INS_POPFD:
	case X86_INS_POPFQ:
		return w;
	case X86_INS_LEAVE:
		*from_bp = true;
		return w;
	case X86_INS_RETF:
	case X86_INS_RETFQ:
		return 2 * w;
	case X86_INS_POPAW:
	case X86_INS_POPAL:
		return 8 * w;
	case X86_INS_IRET:
		return 3 * 2;
	case X86_INS_IRETD:
		return 3 * 4;
	case X86_INS_IRETQ:
		return 5 * 8;
	default:
		return 0;
	}
}

static int stack_access(const struct access_regs *r, const cs_insn *in, struct insn_access *a)
{
	uint64_t mask = r->bits == 64 ? ~0ull : r->stack32 ? 0xffffffff : 0xffff;
	bool from_bp = false;
	int bytes = stack_bytes(r, in, &from_bp);
	uint64_t at = r->gpr[from_bp ? RBP : RSP] & mask;

	if (!bytes)
		return 0;
	*a = (struct insn_access){.len = (unsigned)(bytes < 0 ? -bytes : bytes), .read = bytes > 0, .write = bytes < 0};
	a->linear = linear(r, SEG_SS, bytes < 0 ? (at + (uint64_t)(int64_t)bytes) & mask : at);
	return 1;
}

/* ---- all of it */

/* Instructions whose accesses are no operands: frames, descriptors, what the displays of ENTER hold. */
static bool hides_accesses(unsigned id)
{
	switch (id) {
	case X86_INS_INT:
	case X86_INS_INT1:
	case X86_INS_INT3:
	case X86_INS_INTO:
	case X86_INS_ENTER:
	case X86_INS_MASKMOVQ:
	case X86_INS_MASKMOVDQU:
	case X86_INS_VMASKMOVDQU:
		return true;
	default:
		return false;
	}
}

static x86_reg segment_prefix(uint8_t prefix)
{
	switch (prefix) {
	case 0x26:
		return X86_REG_ES;
	case 0x2e:
		return X86_REG_CS;
	case 0x36:
		return X86_REG_SS;
	case 0x64:
		return X86_REG_FS;
	case 0x65:
		return X86_REG_GS;
	default:
		return X86_REG_DS;
	}
}

static struct insn_access table_byte(const struct access_regs *r, const cs_insn *in)
{
	uint64_t at = (r->gpr[RBX] + (r->gpr[RAX] & 0xff)) & address_mask(in->detail->x86.addr_size);
	const x86_op_mem m = {.segment = in->detail->x86.prefix[1] ? segment_prefix(in->detail->x86.prefix[1]) : 0};

	return (struct insn_access){.linear = linear(r, segment_of(&m, false), at), .len = 1, .read = true};
}

/* In the order in which a processor makes them. */
static void writes_last(struct insn_access *a, int n)
{
	for (int i = 0; i + 1 < n; i++)
		if (!a[i].read && a[i + 1].read) {
			struct insn_access first = a[i];

			a[i] = a[i + 1];
			a[i + 1] = first;
		}
}

static int collect(const struct access_regs *r, const cs_insn *in, struct insn_access out[ACCESSES_MAX])
{
	const cs_x86 *x = &in->detail->x86;
	int n = 0;

	if (hides_accesses(in->id))
		return -1;
	if (in->id == X86_INS_XLATB)
		out[n++] = table_byte(r, in);

	for (unsigned i = 0; i < x->op_count && n < ACCESSES_MAX - 1 && !touches_nothing(in->id); i++) {
		const cs_x86_op *op = &x->operands[i];

		if (op->type != X86_OP_MEM)
			continue;
		/* A vector of addresses, or a state whose size the operand does not have. */
		unsigned size = operand_size(in, op);
		if (!size || (op->mem.index >= X86_REG_XMM0 && op->mem.index <= X86_REG_ZMM31) || bit_string(in))
			return -1;
		out[n] = (struct insn_access){.linear = operand_linear(r, in, &op->mem), .len = size};
		direction(in, i, &out[n++]);
	}
	n += stack_access(r, in, &out[n]);
	writes_last(out, n);
	return n;
}

int access_decode(struct access_decoder *d, const struct access_regs *r, const uint8_t *code, size_t n,
		  struct insn_access out[ACCESSES_MAX])
{
	struct width *w = &d->width[r->bits == 64 ? 2 : r->bits == 32 ? 1 : 0];
	uint64_t at = r->rip;
	size_t left = n < 15 ? n : 15;

	if (!n || !cs_disasm_iter(w->handle, &code, &left, &at, w->insn))
		return -1;
	return collect(r, w->insn, out);
}
