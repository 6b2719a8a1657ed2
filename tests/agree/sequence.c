/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pieces of code that need more than one instruction to be worth something: strings with their registers, calls with their
 * returns, bit offsets far away, divisions that do not always overflow.
 */
#include "tests/agree/agree.h"

#include <string.h>

void emit_string(struct plan *p)
{
	static const uint8_t ops[] = {0xa4, 0xaa, 0xac, 0xae, 0xa6};
	unsigned op = ops[rng_below(&p->rng, 5)], size = rng_below(&p->rng, 4), rep = rng_below(&p->rng, 4);
	unsigned n = rng_below(&p->rng, 6), bytes = 1u << size;
	bool writes = op == 0xa4 || op == 0xaa;

	emit_mov_imm(p, RSI, plan_target(p, bytes * 4, false, false));
	emit_mov_imm(p, RDI, plan_target(p, bytes * 4, writes, false));
	if (rep)
		emit_mov_imm(p, RCX, n);
	if (rng_percent(&p->rng, 30))
		emit_byte(p, rng_percent(&p->rng, 60) ? 0xfd : 0xfc);
	if (rng_percent(&p->rng, 10))
		emit_byte(p, 0x67);
	if (rep)
		emit_byte(p, rep == 3 ? 0xf2 : 0xf3);
	if (size == 1)
		emit_byte(p, 0x66);
	if (size == 3)
		emit_byte(p, 0x48);
	emit_byte(p, (uint8_t)(op | (size ? 1 : 0)));
	emit_byte(p, 0xfc);
}

static void push_flags(struct plan *p)
{
	/* No TF, NT, IF or IOPL: what those do is the unit tests' subject. */
	emit_byte(p, 0x68);
	emit_le(p,
		rng_next(&p->rng) &
		    (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF | RFLAGS_DF | RFLAGS_ID),
		4);
	emit_byte(p, 0x9d);
	emit_byte(p, 0xfc);
}

void emit_stack(struct plan *p)
{
	unsigned reg = pick_free(p), what = rng_below(&p->rng, 9);
	bool rex = reg >= 8, word = rng_percent(&p->rng, 25);

	switch (what) {
	case 0: /* push r, pop r */
	case 1:
		if (word)
			emit_byte(p, 0x66);
		if (rex)
			emit_byte(p, 0x41);
		emit_byte(p, (uint8_t)((what ? 0x58 : 0x50) | (reg & 7)));
		break;
	case 2:
		if (word)
			emit_byte(p, 0x66);
		emit_byte(p, 0x68);
		emit_le(p, rng_value(&p->rng), word ? 2 : 4);
		break;
	case 3:
		emit_byte(p, 0x6a);
		emit_byte(p, (uint8_t)rng_next(&p->rng));
		break;
	case 4: /* pushf, lahf, sahf */
		emit_byte(p, 0x9c);
		emit_byte(p, rng_percent(&p->rng, 50) ? 0x9f : 0x9e);
		break;
	case 5:
		push_flags(p);
		break;
	case 6: /* push and pop of memory */
	case 7:
		emit_byte(p, what == 6 ? 0xff : 0x8f);
		emit_byte(p, (uint8_t)(4 | (what == 6 ? 6 : 0) << 3));
		emit_byte(p, 0x25);
		emit_le(p, plan_target(p, 8, what == 7, false), 4);
		break;
	default: /* a frame: enter, leave */
		emit_byte(p, 0xc8);
		emit_le(p, rng_below(&p->rng, 64) * 8, 2);
		emit_byte(p, (uint8_t)(rng_percent(&p->rng, 70) ? 0 : rng_below(&p->rng, 4)));
		emit_byte(p, 0xc9);
	}
}

static void small(struct plan *p)
{
	emit_table(p, CLASS_ALU | CLASS_MOVE);
}

/* The byte at `at` becomes the distance from behind it to here. */
static void patch8(struct plan *p, size_t at)
{
	p->code[at] = (uint8_t)(p->len - at - 1);
}

/* The opcode of a branch with a distance of one byte, over an instruction. */
static void branch_over(struct plan *p, uint8_t opcode)
{
	size_t at = p->len + 1;

	emit_byte(p, opcode);
	emit_byte(p, 0);
	small(p);
	patch8(p, at);
}

static void emit_loop(struct plan *p)
{
	emit_mov_imm(p, RCX, 1 + rng_below(&p->rng, 3));
	size_t from = p->len;
	emit_byte(p, 0x90);
	emit_byte(p, rng_percent(&p->rng, 50) ? 0xf8 : 0xf5);
	emit_byte(p, (uint8_t)(0xe0 + rng_below(&p->rng, 3)));
	emit_byte(p, (uint8_t)(from - p->len - 1));
}

/* Forward, and back by a ret with or without bytes to drop. */
static void emit_call(struct plan *p)
{
	emit_byte(p, 0xe8);
	emit_le(p, 2, 4);
	emit_byte(p, 0xeb);
	size_t at = p->len;
	emit_byte(p, 0);
	small(p);
	if (rng_percent(&p->rng, 40)) {
		emit_byte(p, 0xc2);
		emit_le(p, 8 * rng_below(&p->rng, 3), 2);
	} else {
		emit_byte(p, 0xc3);
	}
	patch8(p, at);
}

static void emit_jump_by_register(struct plan *p, unsigned reg)
{
	emit_byte(p, reg >= 8 ? 0x4c : 0x48);
	emit_byte(p, 0x8d);
	emit_byte(p, (uint8_t)(5 | (reg & 7) << 3));
	emit_le(p, reg >= 8 ? 4 : 3, 4);
	if (reg >= 8)
		emit_byte(p, 0x41);
	emit_byte(p, 0xff);
	emit_byte(p, (uint8_t)(0xe0 | (reg & 7)));
	emit_byte(p, 0x90);
}

static void emit_setcc_cmovcc(struct plan *p, unsigned reg)
{
	emit_byte(p, (uint8_t)(0x40 | (reg >= 8 ? 1 : 0)));
	emit_byte(p, 0x0f);
	emit_byte(p, (uint8_t)(0x90 | rng_below(&p->rng, 16)));
	emit_byte(p, (uint8_t)(0xc0 | (reg & 7)));
	emit_byte(p, 0x0f);
	emit_byte(p, (uint8_t)(0x40 | rng_below(&p->rng, 16)));
	emit_byte(p, (uint8_t)(0xc0 | RDX << 3 | rng_below(&p->rng, 8)));
}

static void emit_condition_of_memory(struct plan *p, bool cmov)
{
	emit_byte(p, 0x0f);
	emit_byte(p, (uint8_t)((cmov ? 0x40 : 0x90) | rng_below(&p->rng, 16)));
	emit_byte(p, 4);
	emit_byte(p, 0x25);
	emit_le(p, plan_target(p, 4, !cmov, false), 4);
}

void emit_flow(struct plan *p)
{
	unsigned reg = pick_free(p);

	switch (rng_below(&p->rng, 8)) {
	case 0:
	case 1:
		branch_over(p, (uint8_t)(0x70 | rng_below(&p->rng, 16)));
		break;
	case 2:
		emit_loop(p);
		break;
	case 3: /* jrcxz */
		if (rng_percent(&p->rng, 30))
			emit_byte(p, 0x67);
		branch_over(p, 0xe3);
		break;
	case 4:
		emit_call(p);
		break;
	case 5:
		emit_jump_by_register(p, reg);
		break;
	case 6:
		emit_setcc_cmovcc(p, reg);
		break;
	default:
		emit_condition_of_memory(p, reg & 1);
	}
}

/* Reads of segment registers, and loads of the selectors that are there already. */
void emit_segment(struct plan *p)
{
	static const uint8_t seg[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS, SEG_CS, SEG_SS};
	unsigned s = seg[rng_below(&p->rng, 6)];

	if (rng_percent(&p->rng, 30))
		emit_byte(p, 0x66);
	emit_byte(p, 0x8c);
	emit_byte(p, (uint8_t)(0xc0 | s << 3 | RAX));
}

/* INVLPG of rdi, or a CR3 load: at CPL 3 the handler of #UD does it. */
static void emit_flush(struct plan *p)
{
	unsigned what = rng_below(&p->rng, 10);

	what = what < 5 ? 1 : what == 5 && p->same_cr3 ? 2 : 3;
	p->features |= HAS_FLUSHES;
	if (!p->cpl0) {
		emit_bytes(p, "\x0f\x0b", 2);
		emit_byte(p, (uint8_t)what);
	} else if (what == 1) {
		emit_bytes(p, "\x0f\x01\x3f", 3);
	} else { /* mov rax, cr3; xor rax, …; mov cr3, rax */
		emit_bytes(p, "\x0f\x20\xd8", 3);
		if (what == 3)
			emit_bytes(p, "\x48\x35\x00\x80\x00\x00", 6);
		emit_bytes(p, "\x0f\x22\xd8", 3);
	}
}

/* Use the page that entry i of a table maps, at any of the addresses that go through it. */
static void emit_use(struct plan *p, uint64_t gva)
{
	uint64_t at = gva + rng_below(&p->rng, 0xff0);

	emit_byte(p, 0x48);
	emit_byte(p, rng_percent(&p->rng, 60) ? 0x8b : 0x89); /* mov rdx, [at] or back */
	emit_byte(p, 4 | RDX << 3);
	emit_byte(p, 0x25);
	emit_le(p, at, 4);
	emit_mov_imm(p, RDI, at);
}

/* A write of rax to [rdi], of the whole entry or of a part. */
static void emit_entry_write(struct plan *p, bool directory)
{
	static const char *const how[] = {"\x48\x89\x07", "\x48\xab", "\x48\x87\x07",	     "\x48\x31\x07",
					  "\x89\x07",	  "\x88\x07", "\xf0\x48\x0f\xb1\x07"};
	/* Of a directory by instructions only that KVM takes for writes of tables: others make it zap the directory and try
	 * again. */
	static const char *const of_directory[] = {"\x48\x89\x07", "\x48\x87\x07",	   "\x48\x09\x07",
						   "\x89\x07",	   "\xf0\x48\x0f\xb1\x07", "\x48\x21\x07"};
	unsigned k = rng_below(&p->rng, 20);
	const char *w = directory ? of_directory[k < 10 ? 0 : k % 6] : how[k < 8 ? 0 : k < 13 ? 1 : k - 13];

	emit_bytes(p, w, strlen(w));
}

/* An entry of the guest's own tables changes: another page, other rights, a bit. Before it and behind it the page is used,
 * sometimes with a flush between. */
void emit_tables(struct plan *p)
{
	unsigned which = rng_below(&p->rng, 8), i = rng_below(&p->rng, 512);
	uint64_t use = (which < 5 ? GVA_A : GVA_B) + 0x1000ull * i;
	uint64_t entry = GVA_GAP + (which < 5 ? 0 : 0x1000) + i * 8u, value = plan_entry(p);

	if (which == 7) { /* of the directory */
		i = rng_below(&p->rng, C_REGIONS);
		use = GVA_C + 0x200000ull * i + 0x1000ull * rng_below(&p->rng, 512);
		entry = GVA_GAP + 0x2000 + ((GVA_C >> 21 & 511) + i) * 8u;
		value = plan_directory_entry(p);
	}
	if (rng_percent(&p->rng, 40))
		emit_use(p, use);
	if (rng_percent(&p->rng, 3))
		entry += rng_below(&p->rng, 8);
	emit_mov_imm(p, RDI, entry);
	emit_mov_imm(p, RAX, rng_percent(&p->rng, 15) ? 1ull << rng_below(&p->rng, 9) : value);
	emit_entry_write(p, which == 7);
	bool flush = (p->handlers || p->cpl0) && rng_percent(&p->rng, 50);
	if (flush && rng_percent(&p->rng, 80))
		emit_mov_imm(p, RDI, use);
	if (flush)
		emit_flush(p);
	if (rng_percent(&p->rng, 60))
		emit_use(p, use);
}

void emit_raw(struct plan *p)
{
	unsigned n = 1 + rng_below(&p->rng, 6);

	if (rng_percent(&p->rng, 40))
		emit_byte(p, 0x0f);
	for (unsigned i = 0; i < n; i++)
		emit_byte(p, (uint8_t)rng_next(&p->rng));
}

/* bt and its kin with a bit offset that reaches beyond the operand. */
void emit_far_bit(struct plan *p)
{
	static const uint8_t op[] = {0xa3, 0xab, 0xb3, 0xbb};
	unsigned size = rng_below(&p->rng, 3), which = rng_below(&p->rng, 4);
	int64_t bits = (int64_t)rng_below(&p->rng, 0x4000) - 0x2000;
	uint64_t to = plan_target(p, 8, true, false);

	emit_mov_imm(p, RDX, (uint64_t)bits);
	if (which && rng_percent(&p->rng, 20))
		emit_byte(p, 0xf0);
	if (!size)
		emit_byte(p, 0x66);
	if (size == 2)
		emit_byte(p, 0x48);
	emit_byte(p, 0x0f);
	emit_byte(p, op[which]);
	emit_byte(p, 4 | RDX << 3);
	emit_byte(p, 0x25);
	emit_le(p, to, 4);
}

void emit_divide(struct plan *p)
{
	unsigned size = rng_below(&p->rng, 4), reg = RCX;
	bool idiv = rng_percent(&p->rng, 50);

	emit_mov_imm(p, RDX, rng_percent(&p->rng, 60) ? rng_below(&p->rng, 4) : rng_value(&p->rng));
	emit_mov_imm(p, RAX, rng_value(&p->rng));
	emit_mov_imm(p, reg, rng_percent(&p->rng, 96) ? rng_value(&p->rng) | 0x4040404040404010ull : 0);
	if (idiv && rng_percent(&p->rng, 60)) { /* cwd, cdq, cqo */
		if (size == 1)
			emit_byte(p, 0x66);
		if (size == 3)
			emit_byte(p, 0x48);
		emit_byte(p, size ? 0x99 : 0x98);
	}
	if (size == 1)
		emit_byte(p, 0x66);
	if (size == 3)
		emit_byte(p, 0x48);
	emit_byte(p, size ? 0xf7 : 0xf6);
	emit_byte(p, (uint8_t)(0xc0 | (idiv ? 7 : 6) << 3 | reg));
}

static void emit_single(struct plan *p)
{
	static const uint8_t op[] = {0x98, 0x99, 0xf8, 0xf9, 0xf5, 0xd7, 0x90, 0x9f, 0x9e};
	unsigned which = rng_below(&p->rng, 12), reg = pick_free(p);

	if (which < 9) {
		if (op[which] == 0xd7) {
			/* xlat reads [rbx + al]; rbx is a pointer already */
			emit_byte(p, 0xd7);
			return;
		}
		if (which < 2 && rng_percent(&p->rng, 60))
			emit_byte(p, rng_percent(&p->rng, 50) ? 0x66 : 0x48);
		emit_byte(p, op[which]);
	} else if (which == 9) { /* bswap */
		unsigned rex = (reg >= 8 ? 1 : 0) | (rng_percent(&p->rng, 50) ? 8 : 0);
		if (rex)
			emit_byte(p, (uint8_t)(0x40 | rex));
		emit_byte(p, 0x0f);
		emit_byte(p, (uint8_t)(0xc8 | (reg & 7)));
	} else if (which == 10) { /* xchg rax, r */
		emit_byte(p, reg >= 8 ? 0x49 : 0x48);
		emit_byte(p, (uint8_t)(0x90 | (reg & 7)));
	} else { /* mov al/eax/rax, moffs and back */
		uint64_t to = plan_target(p, 8, true, false);
		unsigned size = rng_below(&p->rng, 4);
		if (size == 1)
			emit_byte(p, 0x66);
		if (size == 3)
			emit_byte(p, 0x48);
		emit_byte(p, (uint8_t)(0xa0 | (size ? 1 : 0) | (rng_percent(&p->rng, 50) ? 2 : 0)));
		emit_le(p, to, 8);
	}
}

void emit_piece(struct plan *p)
{
	unsigned bit;

	do
		bit = rng_below(&p->rng, CLASS_COUNT);
	while (!(p->classes >> bit & 1) || ((1u << bit) == CLASS_TABLES && !rng_percent(&p->rng, 30)));
	switch (1u << bit) {
	case CLASS_STRING:
		emit_string(p);
		break;
	case CLASS_STACK:
		emit_stack(p);
		break;
	case CLASS_FLOW:
		emit_flow(p);
		break;
	case CLASS_SEGMENT:
		emit_segment(p);
		break;
	case CLASS_TABLES:
		emit_tables(p);
		break;
	case CLASS_RAW:
		emit_raw(p);
		break;
	case CLASS_BIT:
		if (rng_percent(&p->rng, 20))
			emit_far_bit(p);
		else
			emit_table(p, CLASS_BIT);
		break;
	case CLASS_MULDIV:
		if (rng_percent(&p->rng, 40))
			emit_divide(p);
		else
			emit_table(p, CLASS_MULDIV);
		break;
	case CLASS_MOVE:
		if (rng_percent(&p->rng, 25))
			emit_single(p);
		else
			emit_table(p, CLASS_MOVE);
		break;
	default:
		emit_table(p, 1u << bit);
	}
}
