/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Disassembly by capstone, in Intel's syntax. One handle and one instruction buffer a width, opened when first asked for,
 * all without capstone's detail mode: what run control asks (call, return, REP, …) follows from the opcode bytes alone and
 * is answered without capstone, since single-stepping asks it for every instruction.
 */
#include "core/cpu/disas.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/cpu/regs.h"

struct width {
	csh handle;
	cs_insn *insn; /* NULL until opened */
};

struct disas {
	struct width width[3]; /* 16, 32, 64 */
};

static int open_width(struct width *w, cs_mode mode, struct err *e)
{
	cs_err ce = cs_open(CS_ARCH_X86, mode, &w->handle);

	if (ce != CS_ERR_OK)
		return err_set(e, -ENOTSUP, "disassembler" WHY "capstone: %s" TRY "a capstone built with x86 support",
			       cs_strerror(ce));
	w->insn = cs_malloc(w->handle);
	if (w->insn)
		return 0;
	cs_close(&w->handle);
	return err_nomem(e, "disassembler");
}

static void close_width(struct width *w)
{
	if (!w->insn)
		return;
	cs_free(w->insn, 1);
	cs_close(&w->handle);
}

int disas_create(struct disas **out, struct err *e)
{
	struct disas *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem(e, "disassembler");
	/* The widths are opened lazily; one is opened now so that a capstone without x86 is told at the start. */
	int rc = open_width(&d->width[2], CS_MODE_64, e);
	if (rc) {
		free(d);
		return rc;
	}
	*out = d;
	return 0;
}

void disas_destroy(struct disas *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < ARRAY_LEN(d->width); i++)
		close_width(&d->width[i]);
	free(d);
}

static struct width *get_width(struct disas *d, unsigned bits)
{
	struct width *w = &d->width[bits == 64 ? 2 : bits == 32 ? 1 : 0];

	if (!w->insn && open_width(w, bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16, NULL))
		return NULL;
	return w;
}

static bool is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

/* INS, OUTS, MOVS, CMPS, STOS, LODS, SCAS: those that REP repeats. */
static bool is_string(uint8_t op)
{
	return (op >= 0x6c && op <= 0x6f) || (op >= 0xa4 && op <= 0xa7) || (op >= 0xaa && op <= 0xaf);
}

static enum insn_kind kind_0f(const uint8_t *op, size_t n)
{
	if (n < 2)
		return INSN_PLAIN;
	if (op[1] >= 0x80 && op[1] <= 0x8f)
		return INSN_JUMP;
	switch (op[1]) {
	case 0x05:
	case 0x34:
		return INSN_SYSCALL;
	case 0x07:
	case 0x35:
		return INSN_IRET;
	case 0xaa:
		return INSN_RSM;
	default:
		return INSN_PLAIN;
	}
}

static enum insn_kind kind_modrm(const uint8_t *op, size_t n)
{
	if (n < 2)
		return INSN_PLAIN;
	unsigned reg = op[1] >> 3 & 7;
	if (op[0] == 0x8e)
		return reg == 2 ? INSN_MOV_SS : INSN_PLAIN;
	return reg == 2 || reg == 3 ? INSN_CALL : reg == 4 || reg == 5 ? INSN_JUMP : INSN_PLAIN; /* 0xff */
}

static enum insn_kind kind_one_byte(bool legacy, const uint8_t *op, size_t n)
{
	switch (op[0]) {
	case 0xe8:
		return INSN_CALL;
	case 0x9a:
		return legacy ? INSN_CALL : INSN_PLAIN;
	case 0xea:
		return legacy ? INSN_JUMP : INSN_PLAIN;
	case 0x17:
		return legacy ? INSN_MOV_SS : INSN_PLAIN;
	case 0xc2:
	case 0xc3:
	case 0xca:
	case 0xcb:
		return INSN_RET;
	case 0xcc:
	case 0xcd:
	case 0xf1:
		return INSN_INT;
	case 0xce:
		return legacy ? INSN_INT : INSN_PLAIN;
	case 0xcf:
		return INSN_IRET;
	case 0xe0 ... 0xe3:
	case 0xe9:
	case 0xeb:
	case 0x70 ... 0x7f:
		return INSN_JUMP;
	case 0xf4:
		return INSN_HLT;
	case 0x9c:
		return INSN_PUSHF;
	case 0x9d:
		return INSN_POPF;
	case 0x8e:
	case 0xff:
		return kind_modrm(op, n);
	default:
		return INSN_PLAIN;
	}
}

enum insn_kind disas_kind(unsigned bits, const uint8_t *code, size_t n)
{
	bool rep = false;

	while (n && is_prefix(*code)) {
		rep |= *code == 0xf2 || *code == 0xf3;
		code++;
		n--;
	}
	if (n && bits == 64 && (*code & 0xf0) == 0x40) {
		code++;
		n--;
	}
	if (!n)
		return INSN_PLAIN;
	if (is_string(*code))
		return rep ? INSN_REP : INSN_PLAIN;
	return *code == 0x0f ? kind_0f(code, n) : kind_one_byte(bits != 64, code, n);
}

/* A condition by the number that opcodes have of it; its lowest bit turns it round (SDM vol. 1 appendix B). */
static bool condition_holds(unsigned cc, uint64_t f)
{
	bool less = !(f & RFLAGS_SF) != !(f & RFLAGS_OF), zero = f & RFLAGS_ZF;
	const bool holds[] = {f & RFLAGS_OF, f & RFLAGS_CF, zero, (f & RFLAGS_CF) || zero,
			      f & RFLAGS_SF, f & RFLAGS_PF, less, less || zero};

	return holds[cc >> 1 & 7] != (cc & 1);
}

/* loopne, loope, loop, jcxz: e0 to e3. */
static bool count_holds(uint8_t opcode, unsigned width, uint64_t rflags, uint64_t rcx)
{
	uint64_t mask = width == 64 ? ~0ull : (1ull << width) - 1, left = (rcx - 1) & mask;

	if (opcode == 0xe3)
		return !(rcx & mask);
	return left && (opcode == 0xe2 || !(rflags & RFLAGS_ZF) == (opcode == 0xe0));
}

int disas_taken(unsigned bits, const uint8_t *code, size_t n, uint64_t rflags, uint64_t rcx)
{
	unsigned width = bits;

	for (; n && is_prefix(*code); code++, n--)
		if (*code == 0x67)
			width = bits == 32 ? 16 : 32;
	if (n && bits == 64 && (*code & 0xf0) == 0x40) {
		code++;
		n--;
	}
	if (n > 1 && (*code & 0xf0) == 0x70)
		return condition_holds(*code & 15, rflags);
	if (n > 1 && *code == 0x0f && (code[1] & 0xf0) == 0x80)
		return condition_holds(code[1] & 15, rflags);
	return n > 1 && (*code & 0xfc) == 0xe0 ? count_holds(*code, width, rflags, rcx) : -1;
}

/* Is this the second byte of an opcode that 66, F2 or F3 may be a part of? */
static bool may_be_sse(unsigned op)
{
	return (op >= 0x10 && op < 0x18) || (op >= 0x28 && op < 0x30) || (op >= 0x50 && op < 0x80) || op == 0xc2 ||
	       (op >= 0xc4 && op < 0xc7) || op >= 0xd0;
}

/* The same instruction in 32-bit code has the other address size, and these prefixes last, as capstone sees none behind
 * them. */
unsigned disas_sse_as_32bit(const uint8_t *code, unsigned n, uint8_t out[16])
{
	bool size32 = false, addr32 = false;
	uint8_t rep = 0;
	unsigned i = 0, k = 0;

	for (; i < n && memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3", code[i], 10); i++) {
		size32 |= code[i] == 0x66;
		addr32 |= code[i] == 0x67;
		if (code[i] >= 0xf2)
			rep = code[i];
		else if (code[i] != 0x67 && code[i] != 0x66)
			out[k++] = code[i];
	}
	if ((!size32 && !rep) || i + 1 >= n || code[i] != 0x0f || !may_be_sse(code[i + 1]))
		return 0;
	if (!addr32)
		out[k++] = 0x67;
	if (rep || size32)
		out[k++] = rep ? rep : 0x66; /* with both, F2 and F3 count */
	memcpy(out + k, code + i, n - i);
	return k + n - i;
}

/* A direct target is an operand that is one number. In 16 bit, capstone folds it to 64 KiB, though addr is linear. */
static void fill_target(struct insn *out, unsigned bits)
{
	char *end;

	if ((out->kind != INSN_CALL && out->kind != INSN_JUMP) || out->operands[0] < '0' || out->operands[0] > '9')
		return;
	uint64_t target = strtoull(out->operands, &end, 0);
	if (*end)
		return;
	if (bits == 16) {
		uint64_t next = out->addr + out->len;
		target = next + (uint64_t)(int64_t)(int16_t)(target - next);
		snprintf(out->operands, sizeof(out->operands), "%#llx", (unsigned long long)target);
	}
	out->target = target;
}

static bool not_an_insn(uint8_t byte, struct insn *out)
{
	out->bytes[0] = byte;
	snprintf(out->mnemonic, sizeof(out->mnemonic), ".byte");
	snprintf(out->operands, sizeof(out->operands), "0x%02x", byte);
	return false;
}

bool disas_one(struct disas *d, unsigned bits, uint64_t addr, const uint8_t *code, size_t n, struct insn *out)
{
	struct width *w = get_width(d, bits);

	memset(out, 0, sizeof(*out));
	out->addr = addr;
	if (!n)
		return not_an_insn(0, out);
	const uint8_t *at = code;
	size_t left = n < 15 ? n : 15, dropped = 0;
	uint64_t pc = addr;
	uint8_t other[16];
	unsigned sse = bits == 16 ? disas_sse_as_32bit(code, (unsigned)left, other) : 0;
	if (sse) {
		w = get_width(d, 32);
		at = other;
		dropped = left - sse; /* it may be one more: that wraps back when it is added */
		left = sse;
	}
	if (!w || !cs_disasm_iter(w->handle, &at, &left, &pc, w->insn))
		return not_an_insn(*code, out);
	out->len = (unsigned)(w->insn->size + dropped);
	memcpy(out->bytes, code, out->len);
	snprintf(out->mnemonic, sizeof(out->mnemonic), "%s", w->insn->mnemonic);
	snprintf(out->operands, sizeof(out->operands), "%.159s", w->insn->op_str);
	out->kind = disas_kind(bits, code, out->len);
	fill_target(out, bits);
	return true;
}
