/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Agreement: the same guest on the kvm and on the soft backend, compared instruction by instruction and at the end.
 *
 *   emit.c     instructions as bytes, from a table        gen.c      a guest from a seed: code, tables, registers
 *   insn.c     which flags an instruction leaves undefined rules.c    where the host is known to differ, and why
 *   compare.c  registers, memory, MMIO                    shadow.c   shadow tables and reverse maps
 *   run.c      both machines, step by step                main.c     seeds, demos, options
 *   events.c   what the kernel's tracepoints say
 */
#ifndef KVMSCOPE_TESTS_AGREE_H
#define KVMSCOPE_TESTS_AGREE_H

#include <stdio.h>

#include "core/board/board.h"
#include "core/debug/disas.h"
#include "core/machine.h"

/* ---- a seeded generator of numbers */
struct rng {
	uint64_t s;
};
uint64_t rng_next(struct rng *r);
/* 0 to n - 1. */
static inline unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)(rng_next(r) >> 33) % n;
}
static inline bool rng_percent(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}
/* Values that arithmetic goes wrong at, and plain random ones. */
uint64_t rng_value(struct rng *r);

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
	GPA_CODE = 0x1000,  /* 4 pages */
	GPA_STACK = 0x8000, /* 2 pages */
	GPA_PML4 = 0x10000,
	GPA_PDPT = 0x11000,
	GPA_PD = 0x12000,
	GPA_PT_CODE = 0x13000,
	GPA_PT_STACK = 0x14000,
	GPA_PT_A = 0x15000,
	GPA_PT_B = 0x16000,
	GPA_GDT = 0x18000,
	GPA_DATA = 0x40000, /* 64 pages */
	DATA_PAGES = 64,
	GPA_ROM = 0x200000,
	ROM_SIZE = 0x10000,
	GPA_BIG = 0x400000,
	BIG_SIZE = 0x200000,
};
#define GPA_LOG 0xe0000000u
#define LOG_SIZE 0x10000u
#define GPA_HOLE 0xf0000000u
/* gva: */
enum {
	GVA_CODE = 0x200000,
	GVA_STACK = 0x600000, /* 2 pages */
	GVA_A = 0x10000000,   /* 512 random pages */
	GVA_A2 = 0x10200000,  /* the same table once more */
	GVA_BIG = 0x10400000,
	GVA_BIG2 = 0x10600000, /* other rights */
	GVA_B = 0x10800000,    /* another table of random pages, below an entry of random rights */
	GVA_GAP = 0x10a00000,
	GVA_HIGH = 0x40000000, /* everything once more */
};

#define PLAN_CODE_MAX 0x1800u
#define PLAN_INSNS_MAX 80

struct plan {
	uint64_t seed;
	uint32_t classes;
	bool cpl0, stepping;
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
	uint64_t undefined; /* flags */
	char text[96];
};
struct decoder;
int facts_open(void);
void facts_close(void);
/* What is about to execute. rcx: for shifts by cl. */
void facts_of(const uint8_t *code, size_t n, uint64_t rip, uint64_t rcx, struct insn_facts *out);

/* ---- rules.c: ends the comparison of a guest, with the reason. NULL: no rule. */
struct rule_input {
	const struct insn_facts *insn;
	bool cpl0;
	const struct stop *kvm, *soft; /* after the step; NULL before it */
	uint64_t mmio_exits;	       /* that kvm's step made */
	bool moved;		       /* kvm's rip is another one than before */
	const uint8_t *code;
};
const char *rule_before(const struct rule_input *in);
const char *rule_after(const struct rule_input *in);
void rules_report(FILE *f); /* how often each was used */

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
};
void PRINTF_LIKE(2, 3) diff_add(struct diff *d, const char *fmt, ...);
void compare_regs(struct diff *d, const struct regs *kvm, const struct regs *soft, uint64_t undefined, uint32_t parts);
void compare_stop(struct diff *d, const struct stop *kvm, const struct stop *soft);
void compare_mmio_log(struct diff *d, const struct mmio_log *kvm, const struct mmio_log *soft);
int compare_memory(struct diff *d, struct machine *kvm, struct machine *soft, bool everything, struct err *e) MUST_USE;
int compare_mmio_cache(struct diff *d, struct machine *kvm, struct machine *soft, struct err *e) MUST_USE;
void regs_print(FILE *f, const char *name, const struct regs *r);

/* shadow.c */
int compare_shadow(struct diff *d, struct machine *kvm, struct machine *soft, struct err *e) MUST_USE;

/* ---- events.c: the kernel's tracepoints of this thread, where one vCPU runs. */
int events_open(struct err *e) MUST_USE;
void events_close(void);
bool events_there(void);
/* What was traced so far is forgotten: another guest begins. */
void events_reset(void);
/* Take what came in since the last call; printed where show. Returns how many instructions the emulator executed. */
unsigned events_take(bool show);

/* ---- run.c */
struct totals {
	uint64_t guests, failed, instructions, ruled, shadow, lacking;
};
/* 0: agreed; 1: not, printed; negative: could not be run. */
int agree_seed(const struct plan *p, struct totals *t, int verbose);
int agree_demo(const char *name, struct totals *t, int verbose);

#endif
