/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The bench: what kvmscope costs over a bare floor that does the same work with nothing around it. Both sides of a figure
 * run one after the other, many times; what is printed is the median of each and the median of the pairs' ratios, so that a
 * busy host weighs on both. docs/BENCH.md says what each figure means.
 */
#ifndef KVMSCOPE_TESTS_BENCH_H
#define KVMSCOPE_TESTS_BENCH_H

#include <linux/kvm.h>

#include "cli/session/session.h"

/* Seconds for one round of work; a negative number: it could not be done, and bench_why says why. */
typedef double (*bench_fn)(void *arg);
extern char bench_why[300];
double bench_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);
double bench_now(void);
double bench_clock(void);	      /* the clock whatever BENCH_CPU says: for what is about other processes */
bool bench_wanted(const char *group); /* BENCH_ONLY names it, or nothing */

struct figure {
	const char *name;
	bench_fn ours, floor; /* floor may be NULL: then the aim is absolute */
	void *arg, *floor_arg;
	unsigned runs;
	double per;	  /* work units in a round: times are shown for one of them */
	const char *unit; /* "us", "ms", "/s" (units of work a second) */
	double aim;	  /* largest ratio; with an absolute aim see aim_abs; 0: none */
	double aim_abs;	  /* in unit; 0: none */
};
/* Measure and print one line. Returns our median in seconds for one unit, or a negative number. */
double bench_figure(const struct figure *f);
void bench_skip(const char *name, const char *why);

/* ---- a session as the program has it (the real commands through the real interpreter) */
struct session *bench_open(int argc, const char *const *argv); /* NULL: bench_why */
void bench_close(struct session *s);
bool bench_eval(struct session *s, const char *script);	  /* false: bench_why */
double bench_time(struct session *s, const char *script); /* seconds that it took */
/* A flat image of these bytes in a file of its own; its name lives until bench_files_remove(). */
const char *bench_image(const void *code, size_t len);
void bench_files_remove(void);
/* Map n pages of 4 KiB for the user from BENCH_GVA on to gpa BENCH_DATA on, with tables at BENCH_TABLES; scattered: in an
 * order that is not theirs. RAM must reach BENCH_DATA + n pages. */
#define BENCH_GVA 0x40000000ull
#define BENCH_DATA 0x2000000ull
#define BENCH_TABLES 0x1000000ull
bool bench_map(struct session *s, size_t n, bool scattered);
/* A VM of 1 GiB whose guest has written to n such pages at CPL 3. NULL: bench_why. */
struct session *bench_touched(const char *backend, uint32_t n);

/* ---- a bare VM: nothing but KVM's ioctls */
struct bare {
	int vm, vcpu;
	struct kvm_run *run;
	int fd;	      /* of its memory */
	uint8_t *mem; /* 1 MiB at gpa 0 */
	size_t run_size;
};
#define BARE_CODE 0x200000ull /* gva; gpa 0x1000 */
bool bare_open(struct bare *b, unsigned cpl, const void *code, size_t len);
void bare_close(struct bare *b);

void bench_steps(void);
void bench_memory(void);
void bench_slots(void);
void bench_kernel(void);
void bench_soft(void);
void bench_faults(void);
void bench_watch(void);
void bench_tables(void);
void bench_pagemap(void);
void bench_start(const char *self, const char *program);
/* What the bench runs itself as: a program that starts, makes a VM and says so. */
int bench_bare_start(void);

#endif
