/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Agreement: the same guest on the kvm and on the soft backend, compared instruction by instruction and at the end.
 *
 *   emit.c     instructions as bytes, from a table        gen.c      a guest from a seed: code, tables, registers
 *   insn.c     which flags an instruction leaves undefined rules.c    where the host is known to differ, and why
 *   compare.c  registers, memory, MMIO                    shadow.c   shadow tables and reverse maps
 *   run.c      both machines, step by step                main.c     seeds, demos, options
 *   events.c   what the kernel's tracepoints say          host.c     the processor's habits
 */
#ifndef KVMSCOPE_TESTS_AGREE_H
#define KVMSCOPE_TESTS_AGREE_H

#include <stdio.h>

#include "core/board/board.h"
#include "core/cpu/disas.h"
#include "core/machine/machine.h"
#include "core/soft/soft.h"
#include "tests/agree/rng.h"

/* ---- classes of instructions, separately switchable */
enum insn_class {
	CLASS_ALU = 1 << 0,
	CLASS_SHIFT = 1 << 1,
	CLASS_MULDIV = 1 << 2,
	CLASS_BIT = 1 << 3,
	CLASS_STRING = 1 << 4,
	CLASS_STACK = 1 << 5,
	CLASS_FLOW = 1 << 6,
	CLASS_MOVE = 1 << 7,
	CLASS_ATOMIC = 1 << 8,
	CLASS_SSE = 1 << 9,
	CLASS_SEGMENT = 1 << 10,
	CLASS_TABLES = 1 << 11, /* writes to the guest's own page tables */
	CLASS_RAW = 1 << 12,	/* random bytes */
	CLASS_COUNT = 13,
};
const char *class_name(unsigned bit);
#define CLASSES_ALL ((1u << CLASS_COUNT) - 1)

/* ---- the guest's memory. gpa: */
enum {
	RAM_SIZE = 0x80000,
	GPA_CODE = 0x1000,     /* 4 pages */
	GPA_STACK = 0x8000,    /* 2 pages */
	TABLES_BASE = 0x10000, /* all that becomes a table in RAM */
	GPA_PML4 = 0x10000,
	GPA_PDPT = 0x11000,
	GPA_PD = 0x12000,
	GPA_PT_CODE = 0x13000,
	GPA_PT_STACK = 0x14000,
	GPA_PT_A = 0x15000,
	GPA_PT_B = 0x16000,
	GPA_PT_GAP = 0x17000, /* the tables that are mapped as data */
	GPA_PML4_2 = 0x18000,
	GPA_PT_C = 0x19000,
	TABLES_END = 0x1a000,
	GPA_SYS = 0x20000, /* GDT and TSS, IDT, stack and code of CPL 0: a page each */
	GPA_FRAME_FLAGS = GPA_SYS + 0x3000 - 24,
	GPA_FRAME_ERROR = GPA_SYS + 0x3000 - 48,
	GPA_FRAME_RIP = GPA_SYS + 0x3000 - 40,
	GPA_DATA = 0x40000, /* 64 pages */
	DATA_PAGES = 64,
	GPA_ROM = 0x200000,
	ROM_SIZE = 0x10000,
	GPA_PT_ROM = 0x20f000, /* a table in READONLY memory */
	GPA_BIG = 0x400000,
	BIG_SIZE = 0x200000,
};
#define C_REGIONS 8
#define GPA_LOG 0xe0000000u
#define LOG_SIZE 0x10000u
#define GPA_HOLE 0xf0000000u
/* gva: */
enum {
	GVA_CODE = 0x200000,
	CODE_SIZE = 0x4000,
	GVA_SYS = 0x208000, /* a supervisor's */
	GVA_UD_HANDLER = GVA_SYS + 0x3300,
	GVA_UD_END = GVA_UD_HANDLER + 0x16, /* behind its hlt */
	GVA_GP_HANDLER = GVA_SYS + 0x30d0,
	GVA_PF_HANDLER = GVA_SYS + 0x30e0,
	GVA_PF_END = GVA_PF_HANDLER + 4,
	GVA_STACK = 0x600000, /* 2 pages */
	GVA_A = 0x10000000,   /* 512 random pages */
	GVA_A2 = 0x10200000,  /* the same table once more */
	GVA_BIG = 0x10400000,
	GVA_BIG2 = 0x10600000, /* other rights */
	GVA_B = 0x10800000,    /* another table of random pages, below an entry of random rights */
	GVA_GAP = 0x10a00000,  /* page 0 is PT_A as data, 1 PT_B, 2 the PD */
	GVA_C = 0x10c00000,    /* C_REGIONS times 2 MiB whose directory entries are of any kind */
	GVA_HIGH = 0x40000000, /* everything once more */
};

#define PLAN_CODE_MAX 0x1800u

/* What a guest has: counted in the summary. */
enum feature {
	HAS_ALIASES = 1 << 0,
	HAS_RIGHTS = 1 << 1, /* pages that are not writable, not for users, not for code; entries above that take rights */
	HAS_ABSENT = 1 << 2,
	HAS_RESERVED = 1 << 3,
	HAS_LARGE = 1 << 4,
	HAS_READONLY = 1 << 5,
	HAS_MMIO = 1 << 6,
	HAS_TABLE_ROM = 1 << 7,
	HAS_TABLE_NOWHERE = 1 << 8, /* a table where no memory is */
	HAS_SELF = 1 << 9,	    /* a table that is its own page */
	HAS_TABLE_WRITES = 1 << 10,
	HAS_FLUSHES = 1 << 11, /* INVLPG and CR3 loads by a handler at CPL 0 */
	/* and what happened to it */
	MET_MMIO = 1 << 12,
	MET_FAULT = 1 << 13,
	MET_UNSYNC = 1 << 14,
	MET_SYNC = 1 << 15,
	MET_ZAP = 1 << 16,
	MET_AHEAD = 1 << 17,
	FEATURE_COUNT = 18,
};
const char *feature_name(unsigned bit);

struct plan {
	uint64_t seed;
	uint32_t classes;
	bool cpl0, stepping;
	bool handlers; /* an IDT: exceptions end in hlt, ud2 asks for a flush */
	bool same_cr3; /* a CR3 load of the value that CR3 has */
	uint32_t features;
	struct rng rng;
	uint8_t code[PLAN_CODE_MAX + 256];
	size_t len;
	uint64_t start; /* gva of the first byte */
	struct regs r;
	uint8_t *ram; /* RAM_SIZE bytes */
	uint8_t *rom, *big;
	uint64_t fs_base;
	/* pages of GVA_A by what they are good for */
	uint16_t writable[512], readable[512];
	unsigned n_writable, n_readable;
};

/* gen.c. Fills everything from seed, classes, cpl0, stepping; plan_free() afterwards. */
int plan_make(struct plan *p, uint64_t seed, uint32_t classes, bool cpl0, bool stepping) MUST_USE;
void plan_free(struct plan *p);
uint64_t plan_entry(struct plan *p); /* of a table */
uint64_t plan_directory_entry(struct plan *p);
/* An address for an access of size bytes; write: most of them may be written. */
uint64_t plan_target(struct plan *p, unsigned size, bool write, bool aligned);

/* emit.c: one more piece of code, of one of the plan's classes. */
void emit_piece(struct plan *p);
void emit_byte(struct plan *p, uint8_t b);
void emit_bytes(struct plan *p, const void *b, size_t n);
void emit_le(struct plan *p, uint64_t v, unsigned bytes);
void emit_mov_imm(struct plan *p, unsigned reg, uint64_t v); /* mov r64, imm */
/* A random instruction of the table with one of these classes. */
void emit_table(struct plan *p, uint32_t classes);
/* The same on one given operand address, so that a sequence can prepare for it. */

/* sequence.c: pieces that take more than one instruction. */
void emit_string(struct plan *p);
void emit_stack(struct plan *p);
void emit_flow(struct plan *p);
void emit_segment(struct plan *p);
void emit_tables(struct plan *p);
void emit_raw(struct plan *p);
void emit_far_bit(struct plan *p);
void emit_divide(struct plan *p);
unsigned pick_free(struct plan *p); /* a register that pieces may change */

/* ---- insn.c */
struct insn_facts {
	bool known;
	unsigned id, len;
	bool vector;	    /* x87, MMX or SSE */
	uint64_t undefined; /* flags */
	char text[96];
};
int facts_open(void);
void facts_close(void);
/* What is about to execute. rcx: for shifts by cl. */
void facts_of(const uint8_t *code, size_t n, uint64_t rip, uint64_t rcx, struct insn_facts *out);

/* ---- rules.c: where the host is no oracle. A reason ends the guest; NULL: no rule. */
struct rule_input {
	const struct insn_facts *insn; /* at kvm's rip, or before the step */
	bool cpl0, raw;
	bool emulated;		       /* kvm's emulator executed it */
	const struct stop *kvm, *soft; /* after the step; NULL before it */
	const struct regs *kvm_regs;
	struct regs *soft_regs;
	uint64_t kvm_cr2; /* of its last #PF */
	bool moved;	  /* kvm's rip is another one than before */
};
/* NULL: none. May be asked of an instruction at CPL 0 alone: it is passed over on both. */
bool rule_passes_over(const struct rule_input *in);
const char *rule_before(const struct rule_input *in);
const char *rule_after(const struct rule_input *in);
/* Results that the emulator has otherwise: soft's registers take them over. */
bool rule_adopts(const struct rule_input *in);
/* kvm may have written the part of an access before cr2, which soft has not: how many bytes at most. */
unsigned rule_half_write(const struct rule_input *in);
const char *rule_half_written(void); /* and it has */
/* Error codes of a #PF whose walk ends where no memory is. */
bool rule_no_table(uint64_t kvm, uint64_t soft);
const char *rule_stale(void);
/* This instruction is about to execute: counted where soft does it as the host does, though its own way is another. */
void rule_habit(const struct insn_facts *insn, bool cpl0);
void rules_report(FILE *f); /* how often each was used */

/* ---- host.c: what the manuals leave open, as this host's processor does it. */
int host_probe(void) MUST_USE; /* at the start; -1: neither of the ways that soft knows, whose own way it keeps then */
struct soft_habits host_habits(void);

/* ---- compare.c */
#define MMIO_LOG_MAX 512
struct mmio_log {
	unsigned n;
	struct mmio_entry {
		uint64_t gpa, data;
		unsigned len;
		bool write;
	} v[MMIO_LOG_MAX];
};
struct side {
	struct machine *m;
	struct mmio_log log;
	struct board_window scratch; /* the default board's, behind the log */
	struct regs r;
	struct stop stop;
	const char *name;
};
struct diff {
	char text[4000];
	size_t n;
	bool cache_cleared; /* kvm's MMIO cache is not valid, soft's is: perhaps the host's doing */
};
/* A guest that was not stepped may end behind any instruction. */
#define UNDEFINED_ANY (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
void PRINTF_LIKE(2, 3) diff_add(struct diff *d, const char *fmt, ...);
void compare_regs(struct diff *d, const struct regs *kvm, const struct regs *soft, uint64_t undefined, uint32_t parts);
void compare_stop(struct diff *d, const struct stop *kvm, const struct stop *soft);
void compare_mmio_log(struct diff *d, const struct mmio_log *kvm, const struct mmio_log *soft);
int compare_memory(struct diff *d, struct machine *kvm, struct machine *soft, bool everything, struct err *e) MUST_USE;
/* kept: kvm's may be valid where soft's was cleared. */
int compare_mmio_cache(struct diff *d, struct machine *kvm, struct machine *soft, bool kept, struct err *e) MUST_USE;
void regs_print(FILE *f, const char *name, const struct regs *r);

/* shadow.c */
struct shadow_counts {
	uint64_t cleaner;		/* large pages that soft has as dirty ones too */
	uint64_t pages, unsync, leaves; /* that both sides have */
	uint64_t ahead;			/* leaves of the kernel's alone, fetched ahead */
	uint64_t zapped_pages;		/* of soft's alone, zapped by the kernel, and named by a tracepoint */
	uint64_t zapped_leaves;		/* in such pages */
	uint64_t stale_used;		/* of the leaves ahead: the entry names another page now, and a processor used it */
};
int compare_shadow(struct diff *d, struct machine *kvm, struct machine *soft, struct shadow_counts *counts,
		   struct err *e) MUST_USE;

/* ---- events.c: the kernel's tracepoints of this thread, where one vCPU runs. Without them all of it may have happened. */
int events_open(struct err *e) MUST_USE;
void events_close(void);
bool events_there(void);
/* What was traced so far is forgotten: another guest begins. */
void events_reset(void);
/* Take what came in since the last call; printed where show. Returns how many instructions the emulator executed. */
unsigned events_take(bool show);
bool events_lost(void); /* the buffer was full since the last events_reset() */
/* Since then: a shadow page of this gfn and level was zapped; a leaf of gfn at this index was installed with its A bit
 * clear; the table entry at gpa was marked as accessed by a walk for an instruction fetch. */
bool events_zapped(uint64_t gfn, unsigned level);
bool events_fetched_ahead(uint64_t gfn, unsigned index);
bool events_accessed_by_fetch(uint64_t gpa);
uint32_t events_met(void); /* MET_… of this guest */

/* ---- history.c: values that entries of the guest's tables had before. */
void history_begin(const uint8_t *ram);
void history_note(struct machine *soft); /* after each instruction */
bool history_value(uint64_t gpa, size_t which, uint64_t *entry);

/* ---- run.c */
struct totals {
	uint64_t guests, failed, instructions, ruled, shadow;
	struct shadow_counts counts;
	uint64_t feature[FEATURE_COUNT], skipped;
	unsigned again;	     /* how often this guest was taken before */
	uint64_t repeated;   /* guests taken once more, as the host may have cleared the MMIO cache */
	uint64_t overflowed; /* guests whose shadow tables were not compared: the tracepoints' buffer was full */
};
/* 0: agreed; 1: not, printed; negative: could not be run. */
int agree_seed(struct plan *p, struct totals *t, int verbose);
int agree_demo(const char *name, struct totals *t, int verbose);

#endif
