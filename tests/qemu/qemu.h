/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Agreement with a second oracle, QEMU's TCG: guest page tables in every mode, which the development host's KVM cannot show.
 * One guest program (guest.asm) runs a batch of jobs on both; its notes, the tables and all memory are compared.
 *
 *   tables.c    a job from a seed: page tables and the accesses through them
 *   insns.c     single instructions, which KVM cannot run beside soft in 16 and 32 bits
 *   process.c   QEMU as a child: its monitor over pipes, its memory mapped here
 *   run.c       a batch on both, compared; compare.c what may differ
 *   monitor.c   `info tlb`, `info mem`, `gva2gpa` against core/mem/paging
 */
#ifndef KVMSCOPE_TESTS_QEMU_H
#define KVMSCOPE_TESTS_QEMU_H

#include <stdio.h>

#include "core/machine/machine.h"
#include "tests/agree/agree.h"

/* ---- the guest's memory. Two pieces of RAM, so that addresses above 4 GiB have something behind them. */
enum {
	GUEST_AT = 0x8000,
	GUEST_USER_CODE = 0xc000,
	GUEST_USER_STACK = 0x1e000,
	GUEST_PARAMS = 0x20000,
	GUEST_JOBS = 0x21000,
	GUEST_LISTS = 0x100000,
	FIXED_SIZE = 0x200000,	/* linear = physical, in every job */
	TABLES_ALIAS = 0xa0000, /* linear: the job's own tables, as data */
	GUEST_TABLES = 0x1000000,
	JOB_PAGES = 16,
	JOB_BYTES = JOB_PAGES * 0x1000,
	POOL_AT = 0x2000000,
	POOL_SIZE = 0x400000,
	LOW_SIZE = 0x4000000,
	HIGH_SIZE = 0x800000,
	BATCH_MAX = 128,
	ACCESSES_MAX = 64,
};
#define HIGH_AT 0x100000000ull
/* Nothing answers there on either machine. */
#define HOLE_AT 0xc8000000u

/* One access, 64 bytes, and what the guest noted about it. */
enum access_op {
	OP_READ1,
	OP_READ4,
	OP_READ8, /* 2 bytes in 32-bit code */
	OP_WRITE1,
	OP_WRITE4,
	OP_WRITE8, /* 2 bytes in 32-bit code */
	OP_XADD,
	OP_STACK, /* a write through SS */
	OP_FETCH,
	/* CPL 0 only */
	OP_CR0,
	OP_CR4,
	OP_CR3, /* loads the value that is there */
	OP_INVLPG,
	OP_SET4, /* writes an entry of the tables */
	OP_SET8,
	OP_FLUSH, /* everything, global pages too */
	OP_COUNT,
};
enum { ACCESS_BY_USER = 1, ACCESS_WITH_AC = 2 };
enum { VECTOR_DONE = 0x80, VECTOR_FETCHED = 0x81 };

struct access_note {
	uint64_t gva, value;
	uint32_t op, flags;
	uint64_t mask; /* of data: what is comparable */
	/* by the guest */
	uint32_t vector, error;
	uint64_t cr2, data;
	uint32_t ip, cs;
};

struct job {
	uint32_t cr0, cr4;
	uint64_t cr3;
	uint32_t efer, wide, flags, count, list, pad[7];
};
enum { JOB_SIGNALS = 1 }; /* stops while its paging is on */

/* tables.c */
struct plan_job {
	uint64_t seed;
	struct job job;
	struct access_note list[ACCESSES_MAX];
	uint8_t tables[JOB_BYTES]; /* as they are at the start */
	const char *mode;
};
void job_make(struct plan_job *p, uint64_t seed, unsigned index);
const char *op_name(unsigned op);
/* Paging as the job starts with. */
void job_paging(const struct plan_job *p, struct paging *pg);
/* What stands in each page of the pool, page counting from 0 over both pieces. */
void pool_fill(uint8_t *page, unsigned number);

/* ---- single instructions: in 16- and 32-bit protected mode and virtual-8086 mode at CPL 3, and in real mode */
enum { WIDE_INSN = 2, WIDE_REAL = 3 }; /* of struct job */
enum {
	INSN_AT = 0x30000, /* where the guest copies a list to */
	INSN_DATA = 0x70000,
	INSN_END = 0x90000,
	INSN_BYTES = INSN_END - INSN_AT,
	INSNS = (INSN_DATA - INSN_AT) / 256,
	INSN_STAGE = 0x2800000,
};

struct insn_note {
	uint32_t gpr[8], flags, ip, cs, ss, ds, es, fs, gs;
	/* by the guest; registers as PUSHAD stores them */
	uint32_t out[8], vector, error, out_ip, out_cs, out_flags, out_sp, out_seg[5], pad[5];
	uint8_t code[32];
	/* of no interest to the guest */
	uint32_t undefined; /* flags */
	uint32_t length, bits, spare[13];
};

/* insns.c: a list of INSNS instructions and the data that they work on, INSN_BYTES. */
void insns_make(uint8_t *image, uint64_t seed, bool real);
/* insns_compare.c */
void compare_insns(uint64_t seed, bool real, const uint8_t *qemu, const uint8_t *soft, struct diff *d);

/* process.c */
struct qemu {
	int pid, to, from;
	uint8_t *low, *high; /* its RAM, shared */
	char *buf;
	size_t n, cap;
	bool started;
};
/* -ENOENT: not installed. */
int qemu_start(struct qemu *q, struct err *e) MUST_USE;
void qemu_end(struct qemu *q);
/* Run until the guest signals. -ETIMEDOUT. */
int qemu_run(struct qemu *q, struct err *e) MUST_USE;
/* A monitor command; *out is the caller's to free. */
int qemu_monitor(struct qemu *q, const char *command, char **out, struct err *e) MUST_USE;

/* monitor.c: with both stopped in the job's paging. */
struct tally {
	uint64_t jobs, failed, accesses, faults, monitor, early_a, insns;
};
int compare_monitor(struct qemu *q, struct machine *m, const struct plan_job *p, struct tally *t, struct diff *d,
		    struct err *e) MUST_USE;

/* compare.c: one job of a batch that has run. */
void compare_job(const struct plan_job *p, const struct access_note *qemu, const struct access_note *soft,
		 const uint8_t *qemu_tables, const uint8_t *soft_tables, struct tally *t, struct diff *d);

/* run.c */
int run_insns(struct qemu *q, uint64_t seed, struct tally *t);
int run_batch(struct qemu *q, uint64_t first, unsigned n, bool monitor, struct tally *t);

#endif
