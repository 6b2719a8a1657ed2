/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From bytes to struct uop: capstone reads the instruction, the other decode files choose the operation and put the operands
 * where its handler wants them. What capstone knows and the CPU lacks becomes OP_unsupported; what capstone does not know is
 * #UD.
 */
#include "core/cpu/disas.h"
#include "core/soft/decode.h"

#include <string.h>

#include "core/soft/decode_impl.h"

struct decoder {
	csh handle[3]; /* 16, 32, 64 bit */
	cs_insn *insn;
};

int decoder_create(struct decoder **out, struct err *e)
{
	static const cs_mode mode[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
	struct decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem(e, "decoder");
	for (unsigned i = 0; i < 3; i++)
		if (cs_open(CS_ARCH_X86, mode[i], &d->handle[i]) || cs_option(d->handle[i], CS_OPT_DETAIL, CS_OPT_ON))
			goto fail;
	d->insn = cs_malloc(d->handle[0]);
	if (!d->insn)
		goto fail;
	*out = d;
	return 0;
fail:
	decoder_destroy(d);
	return err_nomem(e, "decoder");
}

void decoder_destroy(struct decoder *d)
{
	if (!d)
		return;
	if (d->insn)
		cs_free(d->insn, 1);
	for (unsigned i = 0; i < 3; i++)
		if (d->handle[i])
			cs_close(&d->handle[i]);
	free(d);
}

const char *decoder_name(struct decoder *d, unsigned insn)
{
	const char *name = cs_insn_name(d->handle[0], insn);

	return name ? name : "instruction";
}

/* 0F 0D and 0F 18 to 0F 1F are NOPs and hints with a ModRM byte, in every form; capstone knows some of them only. */
static bool decode_nop(unsigned bits, const uint8_t *code, unsigned n, struct uop *u)
{
	bool addr16 = bits == 16;
	unsigned i = 0;

	for (; i < n && memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3", code[i], 10); i++)
		if (code[i] == 0x67)
			addr16 = bits == 32;
	if (i < n && bits == 64 && code[i] >> 4 == 4)
		i++;
	if (i + 3 > n || code[i] != 0x0f || !(code[i + 1] == 0x0d || (code[i + 1] >= 0x18 && code[i + 1] <= 0x1f)))
		return false;
	unsigned modrm = code[i + 2], mod = modrm >> 6, rm = modrm & 7;
	unsigned disp = mod == 1 ? 1 : mod == 2 ? (addr16 ? 2 : 4) : 0;
	i += 3;
	if (mod != 3 && !addr16 && rm == 4) {
		if (mod == 0 && i < n && (code[i] & 7) == 5)
			disp = 4;
		i++;
	}
	if (mod == 0 && rm == (addr16 ? 6 : 5))
		disp = addr16 ? 2 : 4;
	i += disp;
	if (i > n)
		return false;
	*u = (struct uop){.op = OP_nop, .len = (uint8_t)i};
	return true;
}

/* A REX prefix counts directly before the opcode only. */
static void scan_prefixes(struct decoding *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		bool rex = d->bits == 64 && d->code[i] >> 4 == 4;
		if (!rex && !memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", d->code[i], 11))
			break;
		d->rex = rex ? d->code[i] : 0;
		d->prefix16 |= d->code[i] == 0x66;
		d->u->lock |= d->code[i] == 0xf0;
		if (d->code[i] == 0xf2 || d->code[i] == 0xf3)
			d->rep = d->code[i];
	}
}

#define INSN_BYTES 15

/* Behind an operand-size prefix capstone takes a repeat prefix for a part of the opcode, and gives registers of the wrong
 * size: if the opcode has no use for it, it is left out. How many bytes there are then; n if none is left out. */
static unsigned drop_rep(unsigned bits, const uint8_t *code, unsigned n, uint8_t out[INSN_BYTES])
{
	bool size16 = false;
	unsigned i = 0, k = 0;

	for (; i < n && memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", code[i], 11); i++) {
		size16 |= code[i] == 0x66;
		if (code[i] != 0xf2 && code[i] != 0xf3)
			out[k++] = code[i];
	}
	unsigned op = i + (i < n && bits == 64 && code[i] >> 4 == 4);
	if (op >= n || i == k || !size16 ||
	    memchr("\x0f\x6c\x6d\x6e\x6f\x90\xa4\xa5\xa6\xa7\xaa\xab\xac\xad\xae\xaf", code[op], 16))
		return n;
	memcpy(out + k, code + i, n - i);
	return n - (i - k);
}

/* LFENCE, MFENCE and SFENCE are 0F AE with mod 3 and 5, 6, 7 in reg, whatever stands in rm (SDM vol. 2, opcodes 0F AE E8 to
 * FF); capstone knows them with 0 there alone. */
static bool decode_fence(unsigned bits, const uint8_t *code, unsigned n, struct uop *u)
{
	unsigned i = 0;

	while (i < n && memchr("\x26\x2e\x36\x3e\x64\x65\x67", code[i], 7))
		i++;
	if (i < n && bits == 64 && code[i] >> 4 == 4)
		i++;
	if (i + 3 > n || code[i] != 0x0f || code[i + 1] != 0xae || code[i + 2] < 0xe8)
		return false;
	*u = (struct uop){.op = OP_nop, .len = (uint8_t)(i + 3)};
	return true;
}

bool decoder_decode(struct decoder *dec, unsigned bits, uint64_t rip, const uint8_t *code, unsigned n, struct uop *u)
{
	unsigned which = bits == 64 ? 2 : bits == 32 ? 1 : 0;
	uint8_t other[INSN_BYTES + 1];
	size_t left = n > INSN_BYTES ? INSN_BYTES : n;
	int dropped = (int)left;
	uint64_t addr = rip;

	unsigned sse = bits == 16 ? disas_sse_as_32bit(code, (unsigned)left, other) : 0;
	if (sse)
		which = 1;
	left = sse ? sse : drop_rep(bits, code, (unsigned)left, other);
	dropped -= (int)left;
	const uint8_t *at = dropped ? other : code;
	if (!cs_disasm_iter(dec->handle[which], &at, &left, &addr, dec->insn))
		return decode_nop(bits, code, n, u) || decode_fence(bits, code, n, u);
	struct decoding d = {.x = &dec->insn->detail->x86, .code = code, .id = dec->insn->id, .bits = bits, .u = u};
	*u = (struct uop){.insn = (uint16_t)dec->insn->id,
			  .len = (uint8_t)(dec->insn->size + dropped),
			  .dst = UOP_NO_REG,
			  .src = UOP_NO_REG,
			  .base = UOP_NO_REG,
			  .index = UOP_NO_REG,
			  .seg = SEG_DS,
			  .addrsize = d.x->addr_size};
	scan_prefixes(&d, n);
	if (u->lock && !decode_lock_ok(&d)) {
		u->op = OP_ud;
		u->last = true;
		return true;
	}
	if (!decode_by_id(&d)) {
		u->op = OP_unsupported;
		u->last = true;
	}
	return true;
}
