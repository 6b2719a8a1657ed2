/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The registers of an x86 vCPU as one plain struct, the table of their names, and what follows from them (mode, CPL).
 * Widths and meanings: Intel SDM vol. 3A chapters 2 and 3, AMD APM vol. 2 chapters 3 and 4.
 */
#ifndef KVMSCOPE_CORE_CPU_REGS_H
#define KVMSCOPE_CORE_CPU_REGS_H

#include "core/base/err.h"
#include "core/cpu/nested.h"

/* Indices in the encoding's order. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum seg_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

struct seg {
	uint64_t base;
	uint32_t limit; /* in bytes, already scaled by G */
	uint16_t selector;
	uint8_t type; /* 4 bits */
	bool s, present, avl, l, db, g, unusable;
	uint8_t dpl;
};

struct desc_table {
	uint64_t base;
	uint16_t limit;
};

struct fpu_regs {
	uint16_t fcw, fsw, fop;
	uint8_t ftw; /* abridged, one bit a register, as FXSAVE */
	uint64_t fip, fdp;
	uint32_t mxcsr;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
};

struct msr_regs {
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc, pat, apic_base, misc_enable, tsc_aux;
};

/* Parts that can be fetched or stored apart; a backend may always give more than was asked for. */
enum regs_part {
	REGS_GPR = 1 << 0,   /* gpr, rip, rflags */
	REGS_SYS = 1 << 1,   /* segments, tables, control registers, efer, smm */
	REGS_DEBUG = 1 << 2, /* dr */
	REGS_MSR = 1 << 3,
	REGS_FPU = 1 << 4,
	REGS_EVENTS = 1 << 5, /* pending exception, halted, shadows */
	REGS_ALL = 63,
};

/* First bits in struct regs' old; reg_is_old() says it of a register by name. */
enum regs_old {
	REGS_OLD_GPR = 0, /* 16: gpr[] */
	REGS_OLD_RIP = 16,
	REGS_OLD_RFLAGS,
	REGS_OLD_SEG, /* 4 a segment (enum regs_old_seg): seg[], tr, ldt */
	REGS_OLD_GDT = REGS_OLD_SEG + 4 * (SEG_COUNT + 2),
	REGS_OLD_IDT,
	REGS_OLD_CR0,
	REGS_OLD_CR2,
	REGS_OLD_CR3,
	REGS_OLD_CR4,
	REGS_OLD_CR8,
	REGS_OLD_EFER,
	REGS_OLD_XCR0,
	REGS_OLD_SMM,
	REGS_OLD_DR, /* all of them; so for MSRs and the FPU */
	REGS_OLD_MSR,
	REGS_OLD_FPU, /* with pkru */
	REGS_OLD_BITS
};
enum regs_old_seg { OLD_SELECTOR, OLD_BASE, OLD_LIMIT, OLD_FLAGS };
#define REGS_OLD_ALL (~0ull >> (64 - REGS_OLD_BITS))

struct regs {
	uint32_t valid; /* enum regs_part: what was filled */
	uint64_t gpr[16], rip, rflags;
	/* Bits of enum regs_old: what is as of the last stop, the vCPU being parked inside a fault, where it cannot be
	 * asked, and the kernel's memory not having it. 0 otherwise. */
	uint64_t old;
	struct seg seg[SEG_COUNT], tr, ldt;
	struct desc_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	/* With REGS_SYS, in PAE paging: the four entries of the top table, which are registers. They are loaded with CR3 and
	 * when CR0 or CR4 turn PAE paging on (SDM vol. 3A 4.4.1), so memory may say something else by now. Not valid where
	 * the backend cannot tell them, and once reg_set() has changed what they are loaded with: a store then loads them
	 * from memory, as the processor would. */
	uint64_t pdpte[4];
	bool pdpte_valid;
	uint64_t dr[8]; /* 4 and 5 unused */
	struct msr_regs msr;
	struct fpu_regs fpu;
	uint32_t pkru; /* with REGS_FPU; 0 (all allowed) if the CPU has none */
	bool smm;
	struct nested_guest nested; /* with REGS_SYS: in L2 all of this is L2's */
	/* REGS_EVENTS */
	bool halted;
	bool sti_shadow, mov_ss_shadow, nmi_masked;
	bool exception_pending, exception_has_error;
	uint8_t exception_vector;
	uint32_t exception_error;
};

#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)
#define CR4_VME (1ull << 0)
#define CR4_PVI (1ull << 1)
#define CR4_TSD (1ull << 2)
#define CR4_DE (1ull << 3)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_MCE (1ull << 6)
#define CR4_PGE (1ull << 7)
#define CR4_PCE (1ull << 8)
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP (1ull << 11)
#define CR4_LA57 (1ull << 12)
#define CR4_VMXE (1ull << 13)
#define CR4_FSGSBASE (1ull << 16)
#define CR4_PCIDE (1ull << 17)
#define CR4_OSXSAVE (1ull << 18)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define CR4_PKE (1ull << 22)
#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)
#define EFER_SVME (1ull << 12)
#define RFLAGS_CF (1ull << 0)
#define RFLAGS_FIXED (1ull << 1)
#define RFLAGS_PF (1ull << 2)
#define RFLAGS_AF (1ull << 4)
#define RFLAGS_ZF (1ull << 6)
#define RFLAGS_SF (1ull << 7)
#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_DF (1ull << 10)
#define RFLAGS_OF (1ull << 11)
#define RFLAGS_IOPL (3ull << 12)
#define RFLAGS_NT (1ull << 14)
#define RFLAGS_RF (1ull << 16)
#define RFLAGS_VM (1ull << 17)
#define RFLAGS_AC (1ull << 18)
#define RFLAGS_VIF (1ull << 19)
#define RFLAGS_VIP (1ull << 20)
#define RFLAGS_ID (1ull << 21)

/* Everything as RESET leaves it (SDM vol. 3A table 9-1), bsp: the first vCPU. */
void regs_reset(struct regs *r, bool bsp);

enum cpu_mode { CPU_REAL, CPU_VM86, CPU_PROT16, CPU_PROT32, CPU_LONG_COMPAT, CPU_LONG64 };

/* The mode that REGS_SYS and rflags say; the CPL (SS.DPL; 0 in real mode, 3 in virtual-8086). */
enum cpu_mode regs_mode(const struct regs *r);
unsigned regs_cpl(const struct regs *r);
/* 16, 32 or 64: the default operand size of code at CS, which is what a disassembler wants. */
unsigned regs_code_bits(const struct regs *r);
/* "real", "vm86", "prot16", "prot32", "compat", "long". */
const char *cpu_mode_name(enum cpu_mode m);

/* An offset in a segment as the linear address that the processor makes of it: 64-bit code has bases in fs and gs alone,
 * all else wraps at 32 bits. */
uint64_t regs_linear(const struct regs *r, unsigned seg, uint64_t offset);
/* Where the next instruction and the top of the stack are, linear. */
uint64_t regs_pc(const struct regs *r);
uint64_t regs_sp(const struct regs *r);

/* Real mode: does the vector table's entry lead nowhere? 0000:0000 lies in the table itself as long as that is at 0, which
 * is no code; a guest that has moved the table away may have a handler there. */
static inline bool ivt_entry_empty(uint64_t table, const uint16_t entry[2])
{
	return !table && !entry[0] && !entry[1];
}

/* A name a person may type after `$`: rax eax ax al ah … r15d, rip eip, rsp esp sp16, rflags eflags, cs cs.base cs.limit
 * cs.flags …, gdt.base, cr0 …, dr0 …, efer, msr names, xmm0, st0, mxcsr …; pc, sp and fp are linear addresses */
struct reg_name {
	const char *name;
	enum regs_part part; /* what reg_get() needs; of pc, sp and fp two */
	uint8_t bits;	     /* 8 to 64, 128 for xmm, 80 for st */
	/* general, segment, table, control, debug, msr, fpu; "part": another name or a narrower view of one of those (eax,
	 * al, pc, fs_base), after all others in the table and not shown by `info registers` */
	const char *group;
};
/* The whole table in the order in which `info registers` shows it; *n entries. cs.flags and the like are bits 0 to 16:
 * type, s 4, dpl 5-6, present 7, avl 12, l 13, db 14, g 15, unusable 16. */
const struct reg_name *reg_names(size_t *n);
/* NULL if there is no such register. Case does not matter. "pc", "sp" and "fp" are rip, rsp and rbp as linear addresses:
 * CS or SS is added (regs_linear()), and what is not in use of rsp and rbp left out. */
const struct reg_name *reg_find(const char *name);
bool reg_is_linear(const struct reg_name *reg); /* pc, sp, fp */
/* Its value as an offset in a segment: rip for pc. Of all others what reg_get() gives. */
uint64_t reg_as_offset(const struct regs *r, const struct reg_name *reg);
/* The part that reg_set() changes. */
enum regs_part reg_stored_in(const struct reg_name *reg);
/* The register's value, zero-extended; of xmm and st the low 64 bits (whole: reg_bytes). r must hold reg->part. */
uint64_t reg_get(const struct regs *r, const struct reg_name *reg);
/* Is what reg_get() gives as of the last stop? */
bool reg_is_old(const struct regs *r, const struct reg_name *reg);
/* The same of what regs_mode() and regs_cpl() say. */
bool regs_mode_is_old(const struct regs *r);
bool regs_cpl_is_old(const struct regs *r);
/* Pointer to and length of the bytes of an xmm or st register; NULL for others. */
const uint8_t *reg_bytes(const struct regs *r, const struct reg_name *reg, size_t *len);
/* Store; -ERANGE if value does not fit the width, neither as it is nor as a sign-extended negative, or, for pc, sp and fp,
 * if it is no address of the segment. Writing eax
 * zero-extends into rax, ax and al keep the rest; of xmm and st the low 64 bits are written. */
int reg_set(struct regs *r, const struct reg_name *reg, uint64_t value, struct err *e) MUST_USE;
/* What setting cs.flags does: everything of a segment but selector, base and limit. */
void seg_set_flags(struct seg *s, uint64_t flags);
/* "CF ZF …" for rflags, "PE WP PG" for cr0, and so on for cr4 and efer; "" for others. Returns buf. */
const char *reg_flags_text(const struct reg_name *reg, uint64_t value, char *buf, size_t size);

#endif
