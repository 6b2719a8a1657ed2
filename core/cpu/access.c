/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory accesses of one instruction, by capstone's detail mode. What capstone gets wrong or leaves out is put right here:
 * the stack of PUSH, CALL, RET and their like, bits that are counted from the operand on; directions and sizes are
 * access_kind.c's.
 */
#include "core/cpu/access_impl.h"
#include "core/cpu/disas.h"

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
	if (reg >= X86_REG_R8W && reg <= X86_REG_R15W)
		return (uint16_t)r->gpr[8 + reg - X86_REG_R8W];
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

static uint64_t linear(const struct access_regs *r, enum seg_index seg, uint64_t offset)
{
	return r->bits == 64 ? r->base[seg] + offset : (uint32_t)(r->base[seg] + offset);
}

/* BT and its like with a register count bits from the operand on, with a sign, as far as the register says: the bytes are
 * the operand-sized ones which have the bit. */
static uint64_t bit_string_offset(const struct access_regs *r, const cs_insn *in, unsigned size)
{
	const cs_x86 *x = &in->detail->x86;
	bool bt = in->id == X86_INS_BT || in->id == X86_INS_BTS || in->id == X86_INS_BTR || in->id == X86_INS_BTC;
	uint64_t bit;

	if (!bt || x->op_count != 2 || x->operands[1].type != X86_OP_REG)
		return 0;
	bit = reg_value(r, x->operands[1].reg, 0);
	int64_t from = size == 2 ? (int16_t)bit : size == 4 ? (int32_t)bit : (int64_t)bit, bits = 8 * (int64_t)size;
	int64_t words = from / bits - (from % bits < 0);

	return (uint64_t)words * size;
}

static uint64_t operand_linear(const struct access_regs *r, const cs_insn *in, const cs_x86_op *op)
{
	const cs_x86 *x = &in->detail->x86;
	const x86_op_mem *m = &op->mem;
	uint64_t next = r->rip + in->size, off = (uint64_t)m->disp + bit_string_offset(r, in, op->size);
	bool di = m->base == X86_REG_DI || m->base == X86_REG_EDI || m->base == X86_REG_RDI;

	if (m->base != X86_REG_INVALID)
		off += reg_value(r, m->base, next);
	if (m->index != X86_REG_INVALID)
		off += reg_value(r, m->index, next) * (uint64_t)m->scale;
	return linear(r, segment_of(m, di && access_is_string(in)), off & address_mask(x->addr_size));
}

/* ---- the stack */

static unsigned stack_width(const struct access_regs *r, const cs_insn *in)
{
	bool small = in->detail->x86.prefix[2] == 0x66;

	if (r->bits == 64)
		return small ? 2 : 8;
	return (r->bits == 32) != small ? 4 : 2;
}

/* Words pushed (negative) or popped by the instruction, and their size. 0: none. */
static int stack_words(const cs_insn *in, unsigned *w)
{
	switch (in->id) {
	case X86_INS_PUSH:
	case X86_INS_CALL:
	case X86_INS_PUSHF:
	case X86_INS_PUSHFD:
	case X86_INS_PUSHFQ:
		return -1;
	case X86_INS_LCALL:
		return -2;
	case X86_INS_PUSHAW:
	case X86_INS_PUSHAL:
		return -8;
	case X86_INS_POP:
	case X86_INS_RET:
	case X86_INS_POPF:
	case X86_INS_POPFD:
	case X86_INS_POPFQ:
	case X86_INS_LEAVE:
		return 1;
	case X86_INS_RETF:
	case X86_INS_RETFQ:
		return 2;
	case X86_INS_POPAW:
	case X86_INS_POPAL:
		return 8;
	case X86_INS_IRET:
		*w = 2;
		return 3;
	case X86_INS_IRETD:
		*w = 4;
		return 3;
	case X86_INS_IRETQ:
		*w = 8;
		return 5;
	default:
		return 0;
	}
}

static uint64_t stack_mask(const struct access_regs *r)
{
	return r->bits == 64 ? ~0ull : r->stack32 ? 0xffffffff : 0xffff;
}

static struct insn_access stack_word(const struct access_regs *r, uint64_t at, unsigned w, bool write)
{
	return (struct insn_access){
	    .linear = linear(r, SEG_SS, at & stack_mask(r)), .len = w, .read = !write, .write = write};
}

static unsigned stack_accesses(const struct access_regs *r, const cs_insn *in, struct insn_access *a)
{
	bool far = in->id == X86_INS_LCALL || in->id == X86_INS_RETF || in->id == X86_INS_RETFQ;
	unsigned w = far ? access_far_width(r, in) : stack_width(r, in), n;
	int words = stack_words(in, &w);
	uint64_t at = r->gpr[in->id == X86_INS_LEAVE ? RBP : RSP];

	for (n = 0; n < (unsigned)(words < 0 ? -words : words); n++)
		a[n] = words < 0 ? stack_word(r, at - (n + 1) * w, w, true) : stack_word(r, at + n * w, w, false);
	return n;
}

/* ENTER pushes BP, copies the frame pointers of the levels above out of the frame that BP has, and pushes its own. */
static unsigned enter_accesses(const struct access_regs *r, const cs_insn *in, struct insn_access *a)
{
	unsigned w = stack_width(r, in), level = (unsigned)in->detail->x86.operands[1].imm & 31, n = 0;
	uint64_t sp = r->gpr[RSP] - w, bp = r->gpr[RBP];

	a[n++] = stack_word(r, sp, w, true);
	for (unsigned i = 1; i < level; i++) {
		bp -= w;
		sp -= w;
		a[n++] = stack_word(r, bp, w, false);
		a[n++] = stack_word(r, sp, w, true);
	}
	if (level)
		a[n++] = stack_word(r, sp - w, w, true);
	return n;
}

/* ---- all of it */

/* Instructions whose accesses are no operands: frames, descriptors; and those of which a mask leaves some out. */
static bool hides_accesses(const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;

	switch (in->id) {
	case X86_INS_INT:
	case X86_INS_INT1:
	case X86_INS_INT3:
	case X86_INS_INTO:
	case X86_INS_MASKMOVQ:
	case X86_INS_MASKMOVDQU:
	case X86_INS_VMASKMOVDQU:
	case X86_INS_VMASKMOVPD:
	case X86_INS_VMASKMOVPS:
	case X86_INS_VPMASKMOVD:
	case X86_INS_VPMASKMOVQ:
		return true;
	default:
		break;
	}
	for (unsigned i = 0; i < x->op_count; i++)
		if (x->op_count > 2 && x->operands[i].type == X86_OP_REG && x->operands[i].reg >= X86_REG_K0 &&
		    x->operands[i].reg <= X86_REG_K7)
			return true;
	return false;
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

/* POP to memory computes the address with SP as it is after the pop. */
static struct access_regs regs_for_operand(const struct access_regs *r, const cs_insn *in)
{
	struct access_regs after = *r;

	if (in->id == X86_INS_POP)
		after.gpr[RSP] += stack_width(r, in);
	return after;
}

/* One operand's accesses; -1: not known. */
static int operand_accesses(const struct access_regs *before, const cs_insn *in, unsigned index, struct insn_access *out)
{
	const struct access_regs r = regs_for_operand(before, in);
	const cs_x86_op *op = &in->detail->x86.operands[index];
	uint8_t part[ACCESS_PARTS_MAX];
	unsigned n = access_parts(&r, in, op->size, part);
	uint64_t at = operand_linear(&r, in, op);

	/* A vector of addresses, or a state whose size the operand does not have. */
	if (!n || (op->mem.index >= X86_REG_XMM0 && op->mem.index <= X86_REG_ZMM31))
		return -1;
	for (unsigned i = 0; i < n; at += part[i++]) {
		out[i] = (struct insn_access){.linear = r.bits == 64 ? at : (uint32_t)at, .len = part[i]};
		access_direction(in, index, &out[i]);
	}
	return (int)n;
}

/* In the order in which they are made: of two the one that reads first; of SGDT and SIDT the base. */
static void order(const cs_insn *in, struct insn_access *a, int n)
{
	bool base_first = in->id == X86_INS_SGDT || in->id == X86_INS_SIDT;

	if (n == 2 && ((!a[0].read && a[1].read) || base_first)) {
		struct insn_access first = a[0];

		a[0] = a[1];
		a[1] = first;
	}
}

static uint8_t rep_prefix(const cs_insn *in)
{
	uint8_t p = access_is_string(in) ? in->detail->x86.prefix[0] : 0;

	return p == 0xf2 || p == 0xf3 ? p : 0;
}

static int collect(const struct access_regs *r, const cs_insn *in, struct insn_access out[ACCESSES_MAX])
{
	const cs_x86 *x = &in->detail->x86;
	int n = 0;

	if (hides_accesses(in))
		return -1;
	if (in->id == X86_INS_ENTER)
		return (int)enter_accesses(r, in, out);
	if (rep_prefix(in) && !(r->gpr[RCX] & address_mask(x->addr_size)))
		return 0;
	if (in->id == X86_INS_XLATB)
		out[n++] = table_byte(r, in);

	for (unsigned i = 0; i < x->op_count && !access_touches_nothing(in->id); i++) {
		int more = x->operands[i].type == X86_OP_MEM && n + ACCESS_PARTS_MAX < ACCESSES_MAX
			       ? operand_accesses(r, in, i, &out[n])
			       : 0;

		if (more < 0)
			return -1;
		n += more;
	}
	n += (int)stack_accesses(r, in, &out[n]);
	order(in, out, n);
	return n;
}

static const cs_insn *decode(struct access_decoder *d, unsigned bits, uint64_t rip, const uint8_t *code, size_t n)
{
	size_t left = n < 15 ? n : 15, dropped = 0;
	uint8_t other[16];
	unsigned sse = bits == 16 && n ? disas_sse_as_32bit(code, (unsigned)left, other) : 0;
	struct width *w = &d->width[bits == 64 ? 2 : bits == 32 || sse ? 1 : 0];

	if (sse) {
		code = other;
		dropped = left - sse;
		left = sse;
	}
	if (!n || !cs_disasm_iter(w->handle, &code, &left, &rip, w->insn))
		return NULL;
	w->insn->size = (uint16_t)(w->insn->size + dropped);
	return w->insn;
}

int access_decode(struct access_decoder *d, const struct access_regs *r, const uint8_t *code, size_t n,
		  struct insn_access out[ACCESSES_MAX])
{
	const cs_insn *in = decode(d, r->bits, r->rip, code, n);

	return in ? collect(r, in, out) : -1;
}

bool access_modifies(struct access_decoder *d, unsigned bits, const uint8_t *code, size_t n)
{
	const cs_insn *in = decode(d, bits, 0, code, n);
	struct insn_access a = {0};

	for (unsigned i = 0; in && i < in->detail->x86.op_count; i++)
		if (in->detail->x86.operands[i].type == X86_OP_MEM) {
			access_direction(in, i, &a);
			return a.read && a.write && !access_touches_nothing(in->id);
		}
	return false;
}

/* ---- REP */

bool access_rep_decode(struct access_decoder *d, const struct access_regs *r, const uint8_t *code, size_t n,
		       struct access_rep *out)
{
	const cs_insn *in = decode(d, r->bits, r->rip, code, n);
	const cs_x86 *x;

	if (!in || !rep_prefix(in))
		return false;
	x = &in->detail->x86;
	uint8_t op = x->opcode[0] & 0xfe;
	const x86_op_mem m = {.segment = x->prefix[1] ? segment_prefix(x->prefix[1]) : 0};

	*out = (struct access_rep){
	    .source = op == 0xa4 || op == 0xa6 || op == 0xac || op == 0x6e,
	    .dest = op != 0xac && op != 0x6e,
	    .dest_write = op == 0xa4 || op == 0xaa || op == 0x6c,
	    .mask = address_mask(x->addr_size),
	    .seg = segment_of(&m, false),
	};
	uint8_t part[ACCESS_PARTS_MAX];

	access_parts(r, in, 0, part);
	out->size = part[0];
	return out->size;
}

uint64_t access_rep_count(const struct access_rep *s, const struct access_regs *before, const struct access_regs *after)
{
	return (before->gpr[RCX] - after->gpr[RCX]) & s->mask;
}

int access_rep_at(const struct access_rep *s, const struct access_regs *before, const struct access_regs *after, uint64_t i,
		  struct insn_access out[2])
{
	unsigned reg = s->dest ? RDI : RSI;
	uint64_t went = (after->gpr[reg] - before->gpr[reg]) & s->mask;
	bool up = went == (access_rep_count(s, before, after) * s->size & s->mask);
	uint64_t by = up ? i * s->size : 0 - i * s->size;
	int n = 0;

	if (s->source)
		out[n++] = (struct insn_access){
		    .linear = linear(before, s->seg, (before->gpr[RSI] + by) & s->mask), .len = s->size, .read = true};
	if (s->dest)
		out[n++] = (struct insn_access){.linear = linear(before, SEG_ES, (before->gpr[RDI] + by) & s->mask),
						.len = s->size,
						.read = !s->dest_write,
						.write = s->dest_write};
	return n;
}

/* ---- backwards */

static void undo_string(struct access_regs *r, const cs_insn *in, bool down)
{
	uint64_t mask = address_mask(in->detail->x86.addr_size);
	uint8_t part[ACCESS_PARTS_MAX], op = in->detail->x86.opcode[0] & 0xfe;
	bool source = op == 0xa4 || op == 0xa6 || op == 0xac || op == 0x6e, dest = op != 0xac && op != 0x6e;

	access_parts(r, in, 0, part);
	uint64_t by = down ? part[0] : 0 - (uint64_t)part[0];
	if (source)
		r->gpr[RSI] = (r->gpr[RSI] & ~mask) | ((r->gpr[RSI] + by) & mask);
	if (dest)
		r->gpr[RDI] = (r->gpr[RDI] & ~mask) | ((r->gpr[RDI] + by) & mask);
	if (rep_prefix(in))
		r->gpr[RCX] = (r->gpr[RCX] & ~mask) | ((r->gpr[RCX] + 1) & mask);
}

void access_undo(struct access_decoder *d, const struct access_regs *behind, bool down, const uint8_t *code, size_t n,
		 struct access_regs *before)
{
	const cs_insn *in = decode(d, behind->bits, behind->rip, code, n);
	unsigned w;

	*before = *behind;
	if (!in)
		return;
	w = stack_width(behind, in);
	if (access_is_string(in)) {
		undo_string(before, in, down);
	} else if (in->id == X86_INS_ENTER) {
		before->gpr[RSP] = before->gpr[RBP] + w;
	} else if (in->id == X86_INS_LEAVE) {
		before->gpr[RBP] = before->gpr[RSP] - w;
	} else {
		int words = stack_words(in, &w);

		before->gpr[RSP] -= (uint64_t)words * w;
	}
}

#define LONGEST 15u

/* Instructions from a start on: the length of the one that ends at the end; 0: none does, or they are no code. */
static unsigned last_length(struct access_decoder *d, unsigned bits, const uint8_t *code, size_t n)
{
	while (n) {
		const cs_insn *in = decode(d, bits, 0, code, n);

		/* Zeroes are filler: what is decoded out of them begins anywhere. */
		if (!in || (in->size == 2 && !code[0] && !code[1]))
			return 0;
		if (in->size == n)
			return (unsigned)n;
		code += in->size;
		n -= in->size;
	}
	return 0;
}

unsigned access_length_before(struct access_decoder *d, unsigned bits, const uint8_t *code, size_t n)
{
	unsigned found = 0;
	/* Those that begin far enough up have fallen into step; where there is not that much, all count. */
	size_t starts = n > 2 * LONGEST ? n - 2 * LONGEST : n;

	for (size_t at = 0; at < starts; at++) {
		unsigned len = last_length(d, bits, code + at, n - at);

		if (len && found && len != found)
			return 0;
		found = len ? len : found;
	}
	return found;
}

static bool goes_elsewhere(const cs_insn *in)
{
	for (unsigned i = 0; i < in->detail->groups_count; i++)
		if (in->detail->groups[i] == CS_GRP_JUMP || in->detail->groups[i] == CS_GRP_CALL ||
		    in->detail->groups[i] == CS_GRP_RET || in->detail->groups[i] == CS_GRP_IRET ||
		    in->detail->groups[i] == CS_GRP_INT)
			return true;
	return in->id == X86_INS_LOOP || in->id == X86_INS_LOOPE || in->id == X86_INS_LOOPNE;
}

unsigned access_length_from(struct access_decoder *d, unsigned bits, const uint8_t *code, size_t n)
{
	while (n) {
		const cs_insn *in = decode(d, bits, 0, code, n);

		if (!in || (in->size < n && goes_elsewhere(in)))
			return 0;
		if (in->size == n)
			return (unsigned)n;
		code += in->size;
		n -= in->size;
	}
	return 0;
}
