/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A soft machine with one vCPU and 1 MiB of memory, ready to run a few bytes of code in 16, 32 or 64 bit: a GDT, a TSS, an
 * identity map, and for each exception a handler that halts at an address of its own.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_SOFTGUEST_H
#define KVMSCOPE_TESTS_SUPPORT_SOFTGUEST_H

#include "core/machine/machine.h"
#include "core/mem/paging.h"
#include "core/soft/soft.h"

#define MiB 0x100000ull
enum {
	GDT = 0x500,
	TSS = 0x600,
	IDT = 0x4000,
	CODE = 0x8000,
	HANDLERS = 0x9000, /* 16 bytes a vector: hlt */
	STACK = 0xb000,
	KSTACK = 0xd000,
	CR3 = 0x10000,
};
enum mode { REAL, PROT, LONG };

struct cpu {
	struct machine *m;
	enum mode mode;
	struct stop stop;
	struct regs r;
};

void cpu_open(struct cpu *c, enum mode mode, unsigned cpl);					 /* rip at CODE */
void cpu_open_as(struct cpu *c, enum mode mode, unsigned cpl, const struct machine_config *cfg); /* one vCPU */
void cpu_close(struct cpu *c);
void cpu_ok(int rc, const struct err *e); /* fails the test in the error's words */
void cpu_poke(struct cpu *c, uint64_t gpa, const void *bytes, size_t n);
void cpu_poke64(struct cpu *c, uint64_t gpa, uint64_t v);
uint64_t cpu_peek(struct cpu *c, uint64_t gpa, unsigned n);
void cpu_get(struct cpu *c);
void cpu_set(struct cpu *c, uint32_t parts);
enum stop_reason cpu_run(struct cpu *c, enum run_kind kind, uint64_t n);
struct seg cpu_segment(uint16_t selector, uint8_t type, uint8_t dpl, bool l);
/* In the handler of which vector did it halt? -1: in none. */
int cpu_handler(const struct cpu *c);

#define CODE_AT(C, AT, BYTES) cpu_poke(C, AT, BYTES, sizeof(BYTES) - 1)
#define RUN(C, BYTES) (CODE_AT(C, CODE, BYTES "\xf4"), cpu_run(C, RUN_CONTINUE, 1))

#endif
