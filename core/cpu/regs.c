/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The register table: one list gives names, parts, widths and where each value lies in struct regs. Mode, CPL and the
 * words for flag bits follow below.
 */
#include "core/cpu/regs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* How the value is stored. */
enum store {
	U8,
	U16,
	U32,
	U64,
	BYTES,
	SEGFLAGS,
	LOW32, /* of 64 bits; writing clears the rest */
	LINEAR /* of 64 bits: an offset in a segment, given as the address that it is there */
};

struct place {
	uint16_t offset;
	uint8_t store, len; /* len of BYTES, segment of LINEAR */
};

/* What LINEAR follows from. */
#define REGS_PLACE (REGS_GPR | REGS_SYS)

#define AT(member) ((uint16_t)offsetof(struct regs, member))

/* X(name, part, bits, group, member, store, len) in the order of `info registers`. */
#define SEG(X, n, member)                                                                                                   \
	X(n, SYS, 16, "segment", member.selector, U16, 0)                                                                   \
	X(n ".base", SYS, 64, "segment", member.base, U64, 0)                                                               \
	X(n ".limit", SYS, 32, "segment", member.limit, U32, 0)                                                             \
	X(n ".flags", SYS, 17, "segment", member, SEGFLAGS, 0)
#define TABLE(X, n, member)                                                                                                 \
	X(n ".base", SYS, 64, "table", member.base, U64, 0) X(n ".limit", SYS, 16, "table", member.limit, U16, 0)
#define GPR(X, n, i) X(n, GPR, 64, "general", gpr[i], U64, 0)
#define CTL(X, n) X(#n, SYS, 64, "control", n, U64, 0)
#define DBG(X, i) X("dr" #i, DEBUG, 64, "debug", dr[i], U64, 0)
#define MSRV(X, n) X(#n, MSR, 64, "msr", msr.n, U64, 0)
#define ST(X, i) X("st" #i, FPU, 80, "fpu", fpu.st[i], BYTES, 10)
#define XMM(X, i) X("xmm" #i, FPU, 128, "fpu", fpu.xmm[i], BYTES, 16)
/* Narrower views of a general register. The high bytes are the second byte of a little-endian 64-bit word. */
#define VIEW(X, i, r32, r16, r8)                                                                                            \
	X(r32, GPR, 32, "part", gpr[i], LOW32, 0)                                                                           \
	X(r16, GPR, 16, "part", gpr[i], U16, 0)                                                                             \
	X(r8, GPR, 8, "part", gpr[i], U8, 0)
#define HIGH(X, i, r8) X(r8, GPR, 8, "part", gpr[i], U8, 1)

/* The formatter would pack this table until nobody can read it. */
/* clang-format off */
#define REGISTERS(X) \
	GPR(X, "rax", RAX) GPR(X, "rbx", RBX) GPR(X, "rcx", RCX) GPR(X, "rdx", RDX) GPR(X, "rsi", RSI) \
	GPR(X, "rdi", RDI) GPR(X, "rbp", RBP) GPR(X, "rsp", RSP) GPR(X, "r8", R8) GPR(X, "r9", R9) \
	GPR(X, "r10", R10) GPR(X, "r11", R11) GPR(X, "r12", R12) GPR(X, "r13", R13) GPR(X, "r14", R14) \
	GPR(X, "r15", R15) \
	X("rip", GPR, 64, "general", rip, U64, 0) \
	X("rflags", GPR, 64, "general", rflags, U64, 0) \
	SEG(X, "cs", seg[SEG_CS]) \
	SEG(X, "ss", seg[SEG_SS]) \
	SEG(X, "ds", seg[SEG_DS]) \
	SEG(X, "es", seg[SEG_ES]) \
	SEG(X, "fs", seg[SEG_FS]) \
	SEG(X, "gs", seg[SEG_GS]) \
	SEG(X, "tr", tr) \
	SEG(X, "ldt", ldt) \
	TABLE(X, "gdt", gdt) \
	TABLE(X, "idt", idt) \
	CTL(X, cr0) CTL(X, cr2) CTL(X, cr3) CTL(X, cr4) CTL(X, cr8) CTL(X, efer) CTL(X, xcr0) \
	DBG(X, 0) DBG(X, 1) DBG(X, 2) DBG(X, 3) DBG(X, 6) DBG(X, 7) \
	MSRV(X, star) MSRV(X, lstar) MSRV(X, cstar) MSRV(X, sfmask) MSRV(X, kernel_gs_base) \
	MSRV(X, sysenter_cs) MSRV(X, sysenter_esp) MSRV(X, sysenter_eip) MSRV(X, tsc) MSRV(X, pat) \
	MSRV(X, apic_base) MSRV(X, misc_enable) MSRV(X, tsc_aux) \
	X("fcw", FPU, 16, "fpu", fpu.fcw, U16, 0) \
	X("fsw", FPU, 16, "fpu", fpu.fsw, U16, 0) \
	X("ftw", FPU, 8, "fpu", fpu.ftw, U8, 0) \
	X("fop", FPU, 16, "fpu", fpu.fop, U16, 0) \
	X("fip", FPU, 64, "fpu", fpu.fip, U64, 0) \
	X("fdp", FPU, 64, "fpu", fpu.fdp, U64, 0) \
	X("mxcsr", FPU, 32, "fpu", fpu.mxcsr, U32, 0) \
	X("pkru", FPU, 32, "fpu", pkru, U32, 0) \
	ST(X, 0) ST(X, 1) ST(X, 2) ST(X, 3) ST(X, 4) ST(X, 5) ST(X, 6) ST(X, 7) \
	XMM(X, 0) XMM(X, 1) XMM(X, 2) XMM(X, 3) XMM(X, 4) XMM(X, 5) XMM(X, 6) XMM(X, 7) XMM(X, 8) XMM(X, 9) \
	XMM(X, 10) XMM(X, 11) XMM(X, 12) XMM(X, 13) XMM(X, 14) XMM(X, 15) \
	VIEW(X, RAX, "eax", "ax", "al") HIGH(X, RAX, "ah") \
	VIEW(X, RBX, "ebx", "bx", "bl") HIGH(X, RBX, "bh") \
	VIEW(X, RCX, "ecx", "cx", "cl") HIGH(X, RCX, "ch") \
	VIEW(X, RDX, "edx", "dx", "dl") HIGH(X, RDX, "dh") \
	VIEW(X, RSI, "esi", "si", "sil") \
	VIEW(X, RDI, "edi", "di", "dil") \
	VIEW(X, RBP, "ebp", "bp", "bpl") \
	X("esp", GPR, 32, "part", gpr[RSP], LOW32, 0) \
	X("spl", GPR, 8, "part", gpr[RSP], U8, 0) \
	VIEW(X, R8, "r8d", "r8w", "r8b") \
	VIEW(X, R9, "r9d", "r9w", "r9b") \
	VIEW(X, R10, "r10d", "r10w", "r10b") \
	VIEW(X, R11, "r11d", "r11w", "r11b") \
	VIEW(X, R12, "r12d", "r12w", "r12b") \
	VIEW(X, R13, "r13d", "r13w", "r13b") \
	VIEW(X, R14, "r14d", "r14w", "r14b") \
	VIEW(X, R15, "r15d", "r15w", "r15b") \
	X("eip", GPR, 32, "part", rip, LOW32, 0) \
	X("ip", GPR, 16, "part", rip, U16, 0) \
	X("sp16", GPR, 16, "part", gpr[RSP], U16, 0) \
	X("pc", PLACE, 64, "part", rip, LINEAR, SEG_CS) \
	X("sp", PLACE, 64, "part", gpr[RSP], LINEAR, SEG_SS) \
	X("fp", PLACE, 64, "part", gpr[RBP], LINEAR, SEG_SS) \
	X("eflags", GPR, 32, "part", rflags, LOW32, 0) \
	X("flags", GPR, 16, "part", rflags, U16, 0) \
	X("fs_base", SYS, 64, "part", seg[SEG_FS].base, U64, 0) \
	X("gs_base", SYS, 64, "part", seg[SEG_GS].base, U64, 0)
/* clang-format on */

#define AS_NAME(name, part, bits, group, member, store, len) {name, REGS_##part, bits, group},
#define AS_PLACE(name, part, bits, group, member, store, len) {AT(member), store, len},

static const struct reg_name names[] = {REGISTERS(AS_NAME)};
static const struct place places[] = {REGISTERS(AS_PLACE)};

const struct reg_name *reg_names(size_t *n)
{
	*n = ARRAY_LEN(names);
	return names;
}

const struct reg_name *reg_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((name[0] | 0x20) == names[i].name[0] && !strcasecmp(name, names[i].name))
			return &names[i];
	return NULL;
}

static uint64_t seg_flags_get(const struct seg *s)
{
	return (uint64_t)(s->type & 15) | (uint64_t)s->s << 4 | (uint64_t)(s->dpl & 3) << 5 | (uint64_t)s->present << 7 |
	       (uint64_t)s->avl << 12 | (uint64_t)s->l << 13 | (uint64_t)s->db << 14 | (uint64_t)s->g << 15 |
	       (uint64_t)s->unusable << 16;
}

void seg_set_flags(struct seg *s, uint64_t v)
{
	s->type = v & 15;
	s->s = v >> 4 & 1;
	s->dpl = v >> 5 & 3;
	s->present = v >> 7 & 1;
	s->avl = v >> 12 & 1;
	s->l = v >> 13 & 1;
	s->db = v >> 14 & 1;
	s->g = v >> 15 & 1;
	s->unusable = v >> 16 & 1;
}

static const struct place *place_of(const struct reg_name *reg)
{
	return &places[reg - names];
}

/* Bytes that a register of this kind takes in the struct; U8's len is the byte within a wider register. */
static size_t store_size(enum store st)
{
	static const uint8_t size[] = {[U8] = 1, [U16] = 2, [U32] = 4, [U64] = 8, [BYTES] = 8, [LOW32] = 4, [LINEAR] = 8};

	return size[st];
}

/* ---- addresses */

uint64_t regs_linear(const struct regs *r, unsigned seg, uint64_t offset)
{
	if (regs_code_bits(r) != 64)
		return (uint32_t)(r->seg[seg].base + offset);
	return seg == SEG_FS || seg == SEG_GS ? r->seg[seg].base + offset : offset;
}

/* How many bits of a register are an offset in CS or SS. */
static unsigned offset_bits(const struct regs *r, unsigned seg)
{
	unsigned bits = regs_code_bits(r);

	if (bits == 64 || seg == SEG_CS)
		return bits == 64 ? 64 : 32;
	return r->seg[seg].db ? 32 : 16;
}

static uint64_t offset_of(const struct regs *r, unsigned seg, uint64_t value)
{
	return value & ~0ull >> (64 - offset_bits(r, seg));
}

uint64_t regs_pc(const struct regs *r)
{
	return regs_linear(r, SEG_CS, offset_of(r, SEG_CS, r->rip));
}

uint64_t regs_sp(const struct regs *r)
{
	return regs_linear(r, SEG_SS, offset_of(r, SEG_SS, r->gpr[RSP]));
}

bool reg_is_linear(const struct reg_name *reg)
{
	return place_of(reg)->store == LINEAR;
}

enum regs_part reg_stored_in(const struct reg_name *reg)
{
	return reg_is_linear(reg) ? REGS_GPR : reg->part;
}

uint64_t reg_as_offset(const struct regs *r, const struct reg_name *reg)
{
	const struct place *p = place_of(reg);
	uint64_t value;

	if (p->store != LINEAR)
		return reg_get(r, reg);
	memcpy(&value, (const uint8_t *)r + p->offset, sizeof(value));
	return offset_of(r, p->len, value);
}

/* The last offset that can be in use: code ends at its segment's limit. A stack's may grow the other way. */
static uint64_t last_offset(const struct regs *r, unsigned seg)
{
	if (seg == SEG_CS)
		return r->seg[SEG_CS].limit;
	return offset_bits(r, seg) == 16 ? 0xffff : UINT32_MAX;
}

/* -ERANGE: not in the segment. Of a stack pointer of 16 bits the rest stays, as the processor leaves it. */
static int linear_set(struct regs *r, const struct reg_name *reg, uint64_t linear, struct err *e)
{
	static const char *const seg_names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};
	const struct place *p = place_of(reg);
	unsigned long long base = r->seg[p->len].base, last = last_offset(r, p->len);
	uint64_t *at = (uint64_t *)(void *)((uint8_t *)r + p->offset);

	if (regs_code_bits(r) == 64) {
		*at = linear;
		return 0;
	}
	uint32_t offset = (uint32_t)(linear - base);
	if (linear > UINT32_MAX || offset > last)
		return err_set(e, -ERANGE,
			       "set %s to %#llx" WHY "%s begins at %#llx and its last offset is %#llx" TRY
			       "setting $%s and $%s.base first, or an address from %#llx on",
			       reg->name, (unsigned long long)linear, seg_names[p->len], base, last, seg_names[p->len],
			       seg_names[p->len], base);
	*at = offset_bits(r, p->len) == 16 ? (*at & ~0xffffull) | offset : offset;
	return 0;
}

uint64_t reg_get(const struct regs *r, const struct reg_name *reg)
{
	const struct place *p = place_of(reg);
	const uint8_t *at = (const uint8_t *)r + p->offset + (p->store == U8 ? p->len : 0);
	uint64_t value = 0;

	if (p->store == SEGFLAGS)
		return seg_flags_get((const void *)at);
	if (p->store == LINEAR)
		return regs_linear(r, p->len, reg_as_offset(r, reg));
	memcpy(&value, at, store_size(p->store));
	return value;
}

const uint8_t *reg_bytes(const struct regs *r, const struct reg_name *reg, size_t *len)
{
	const struct place *p = place_of(reg);

	if (p->store != BYTES)
		return NULL;
	*len = p->len;
	return (const uint8_t *)r + p->offset;
}

/* ---- what is of the last stop */

_Static_assert(AT(tr) == AT(seg) + SEG_COUNT * sizeof(struct seg) && AT(ldt) == AT(tr) + sizeof(struct seg),
	       "seg[], tr and ldt are one after the other");

static unsigned old_seg_bit(const struct place *p)
{
	size_t at = p->offset - offsetof(struct regs, seg);
	unsigned part = p->store == SEGFLAGS ? OLD_FLAGS
			: p->store == U16    ? OLD_SELECTOR
			: p->store == U32    ? OLD_LIMIT
					     : OLD_BASE;

	return REGS_OLD_SEG + 4 * (unsigned)(at / sizeof(struct seg)) + part;
}

static unsigned old_sys_bit(const struct place *p)
{
	static const struct {
		uint16_t from;
		uint8_t bit;
	} table[] = {{AT(xcr0), REGS_OLD_XCR0}, {AT(efer), REGS_OLD_EFER}, {AT(cr8), REGS_OLD_CR8},
		     {AT(cr4), REGS_OLD_CR4},	{AT(cr3), REGS_OLD_CR3},   {AT(cr2), REGS_OLD_CR2},
		     {AT(cr0), REGS_OLD_CR0},	{AT(idt), REGS_OLD_IDT},   {AT(gdt), REGS_OLD_GDT}};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (p->offset >= table[i].from)
			return table[i].bit;
	return old_seg_bit(p);
}

static unsigned old_bit(const struct reg_name *reg)
{
	const struct place *p = place_of(reg);

	switch (reg_stored_in(reg)) {
	case REGS_GPR:
		return p->offset == AT(rip)	 ? REGS_OLD_RIP
		       : p->offset == AT(rflags) ? REGS_OLD_RFLAGS
						 : REGS_OLD_GPR + (p->offset - AT(gpr)) / 8u;
	case REGS_DEBUG:
		return REGS_OLD_DR;
	case REGS_MSR:
		return REGS_OLD_MSR;
	case REGS_FPU:
		return REGS_OLD_FPU;
	default:
		return old_sys_bit(p);
	}
}

bool reg_is_old(const struct regs *r, const struct reg_name *reg)
{
	const struct place *p = place_of(reg);

	if (p->store == LINEAR && r->old >> (REGS_OLD_SEG + 4 * (unsigned)p->len + OLD_BASE) & 1)
		return true;
	return r->old >> old_bit(reg) & 1;
}

bool regs_mode_is_old(const struct regs *r)
{
	uint64_t by = 1ull << REGS_OLD_CR0 | 1ull << REGS_OLD_EFER | 1ull << (REGS_OLD_SEG + 4 * SEG_CS + OLD_FLAGS);

	/* Virtual-8086 mode is not in long mode. */
	if (!(r->efer & EFER_LMA))
		by |= 1ull << REGS_OLD_RFLAGS;
	return r->old & by;
}

bool regs_cpl_is_old(const struct regs *r)
{
	return regs_mode_is_old(r) || r->old >> (REGS_OLD_SEG + 4 * SEG_SS + OLD_FLAGS) & 1;
}

/* As an unsigned number of that width, or as a negative one sign-extended to 64 bits. */
static bool fits(uint64_t value, unsigned bits)
{
	return bits >= 64 || !(value >> bits) || (int64_t)value >> (bits - 1) == -1;
}

int reg_set(struct regs *r, const struct reg_name *reg, uint64_t value, struct err *e)
{
	const struct place *p = place_of(reg);
	uint8_t *at = (uint8_t *)r + p->offset + (p->store == U8 ? p->len : 0);

	if (!fits(value, reg->bits))
		return err_set(e, -ERANGE, "set %s to %#llx" WHY "it has %u bits" TRY "at most %#llx", reg->name,
			       (unsigned long long)value, reg->bits, (1ull << reg->bits) - 1);
	if (p->store == LINEAR)
		return linear_set(r, reg, value, e);
	if (p->store == SEGFLAGS)
		seg_set_flags((void *)at, value);
	else if (p->store == LOW32)
		memcpy(at, &(uint64_t){(uint32_t)value}, 8);
	else
		memcpy(at, &value, store_size(p->store));
	if (p->offset >= AT(cr0) && p->offset <= AT(efer) && p->offset != AT(cr2))
		r->pdpte_valid = false;
	return 0;
}

enum cpu_mode regs_mode(const struct regs *r)
{
	const struct seg *cs = &r->seg[SEG_CS];

	if (!(r->cr0 & CR0_PE))
		return CPU_REAL;
	if (r->efer & EFER_LMA)
		return cs->l ? CPU_LONG64 : CPU_LONG_COMPAT;
	if (r->rflags & RFLAGS_VM)
		return CPU_VM86;
	return cs->db ? CPU_PROT32 : CPU_PROT16;
}

unsigned regs_cpl(const struct regs *r)
{
	switch (regs_mode(r)) {
	case CPU_REAL:
		return 0;
	case CPU_VM86:
		return 3;
	default:
		return r->seg[SEG_SS].dpl & 3;
	}
}

unsigned regs_code_bits(const struct regs *r)
{
	switch (regs_mode(r)) {
	case CPU_LONG64:
		return 64;
	case CPU_PROT32:
		return 32;
	case CPU_LONG_COMPAT:
	case CPU_REAL: /* D set: what a switch back from protected mode can leave behind */
		return r->seg[SEG_CS].db ? 32 : 16;
	default:
		return 16;
	}
}

const char *cpu_mode_name(enum cpu_mode m)
{
	static const char *const name[] = {
	    [CPU_REAL] = "real",     [CPU_VM86] = "vm86",	   [CPU_PROT16] = "prot16",
	    [CPU_PROT32] = "prot32", [CPU_LONG_COMPAT] = "compat", [CPU_LONG64] = "long",
	};

	return (size_t)m < ARRAY_LEN(name) ? name[m] : "unknown";
}

struct bit_name {
	uint64_t bit;
	const char *name;
};

static const struct bit_name rflags_bits[] = {
    {RFLAGS_CF, "CF"}, {RFLAGS_PF, "PF"},   {RFLAGS_AF, "AF"},	 {RFLAGS_ZF, "ZF"}, {RFLAGS_SF, "SF"}, {RFLAGS_TF, "TF"},
    {RFLAGS_IF, "IF"}, {RFLAGS_DF, "DF"},   {RFLAGS_OF, "OF"},	 {RFLAGS_NT, "NT"}, {RFLAGS_RF, "RF"}, {RFLAGS_VM, "VM"},
    {RFLAGS_AC, "AC"}, {RFLAGS_VIF, "VIF"}, {RFLAGS_VIP, "VIP"}, {RFLAGS_ID, "ID"}, {0, NULL},
};
static const struct bit_name cr0_bits[] = {
    {CR0_PE, "PE"}, {CR0_MP, "MP"}, {CR0_EM, "EM"}, {CR0_TS, "TS"}, {CR0_ET, "ET"}, {CR0_NE, "NE"},
    {CR0_WP, "WP"}, {CR0_AM, "AM"}, {CR0_NW, "NW"}, {CR0_CD, "CD"}, {CR0_PG, "PG"}, {0, NULL},
};
static const struct bit_name cr4_bits[] = {
    {CR4_VME, "VME"},
    {CR4_PVI, "PVI"},
    {CR4_TSD, "TSD"},
    {CR4_DE, "DE"},
    {CR4_PSE, "PSE"},
    {CR4_PAE, "PAE"},
    {CR4_MCE, "MCE"},
    {CR4_PGE, "PGE"},
    {CR4_PCE, "PCE"},
    {CR4_OSFXSR, "OSFXSR"},
    {CR4_OSXMMEXCPT, "OSXMMEXCPT"},
    {CR4_UMIP, "UMIP"},
    {CR4_LA57, "LA57"},
    {CR4_FSGSBASE, "FSGSBASE"},
    {CR4_PCIDE, "PCIDE"},
    {CR4_OSXSAVE, "OSXSAVE"},
    {CR4_SMEP, "SMEP"},
    {CR4_SMAP, "SMAP"},
    {CR4_PKE, "PKE"},
    {0, NULL},
};
static const struct bit_name efer_bits[] = {
    {EFER_SCE, "SCE"}, {EFER_LME, "LME"}, {EFER_LMA, "LMA"}, {EFER_NXE, "NXE"}, {EFER_SVME, "SVME"}, {0, NULL},
};

static const struct bit_name *bits_of(const char *name)
{
	static const struct {
		const char *reg;
		const struct bit_name *bits;
	} all[] = {{"rflags", rflags_bits}, {"eflags", rflags_bits}, {"flags", rflags_bits},
		   {"cr0", cr0_bits},	    {"cr4", cr4_bits},	     {"efer", efer_bits}};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (!strcmp(name, all[i].reg))
			return all[i].bits;
	return NULL;
}

static void append(char *buf, size_t size, const char *word)
{
	size_t len = strlen(buf);

	if (len < size)
		snprintf(buf + len, size - len, "%s%s", len ? " " : "", word);
}

const char *reg_flags_text(const struct reg_name *reg, uint64_t value, char *buf, size_t size)
{
	const struct bit_name *b = bits_of(reg->name);
	char iopl[8];

	if (!size)
		return buf;
	buf[0] = '\0';
	for (; b && b->bit; b++) {
		/* IOPL is two bits wide and stands where its bits do. */
		if (b->bit == RFLAGS_NT && bits_of(reg->name) == rflags_bits && (value & RFLAGS_IOPL)) {
			snprintf(iopl, sizeof(iopl), "IOPL=%u", (unsigned)(value >> 12 & 3));
			append(buf, size, iopl);
		}
		if (value & b->bit)
			append(buf, size, b->name);
	}
	return buf;
}
