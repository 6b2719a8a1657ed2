/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Small guests as byte arrays for the tests of run control: a machine with 1 MiB of RAM at 0, one vCPU or two, entered in
 * the mode and at the CPL that a test asks for. The first 2 MiB of linear addresses are mapped one to one for users; linear
 * 0x1d0000 is a device page (gpa 0xd0000000), 0x1e0000 a READONLY slot (gpa 0x200000), everything from 0x100000 on else
 * unmapped.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_GUEST_H
#define KVMSCOPE_TESTS_SUPPORT_GUEST_H

#include "core/board/board.h"
#include "core/machine/machine.h"

enum guest_mode { GUEST_REAL, GUEST_PROT, GUEST_LONG };

enum {
	GUEST_GDT = 0x500,
	GUEST_TSS = 0x600,
	GUEST_IDT = 0x4000,
	GUEST_CODE = 0x8000,
	GUEST_HANDLERS = 0x9000, /* 16 bytes a vector */
	GUEST_STACK = 0xb000,	 /* first address past it */
	GUEST_KSTACK = 0xd000,
	GUEST_CR3 = 0x10000,
	GUEST_DEVICE = 0x1d0000,
	GUEST_ROM = 0x1e0000,
	GUEST_ROM_GPA = 0x200000,
	GUEST_ROM_SLOT = 7,
};

/* The backend of guests that are opened from now on; NULL: kvm. */
extern const struct machine_ops *guest_backend;

/* Entries of the dirty rings of guests that are opened from now on; 0: they have none. */
extern unsigned guest_dirty_ring;

struct guest {
	struct machine *m;
	enum guest_mode mode;
	struct stop stop; /* of the last guest_run() */
	struct err e;
};

/* Prints `skip: REASON` and returns false where there is no usable /dev/kvm. */
bool guest_possible(void);
/* What a test needs of the host, where guest_possible(): what the backend has found out by trying (struct strategy), never
 * whose host it is. False, and `skip: it needs NEED` is printed, if the host does not have it. */
struct strategy;
const struct strategy *guest_host(void);
bool guest_needs(bool has, const char *need);
/* idt: an IDT of the guest's own whose handlers are nop, mov al, VECTOR, out 0x80, al, hlt; else its limit is 0. Fails the
 * test where it cannot be made. */
void guest_open(struct guest *g, enum guest_mode mode, unsigned cpl, bool idt, unsigned vcpus);
void guest_close(struct guest *g);
void guest_code(struct guest *g, const void *code, size_t n); /* at GUEST_CODE, hlt behind it */
void guest_poke(struct guest *g, uint64_t gpa, const void *bytes, size_t n);
void guest_peek(struct guest *g, uint64_t gpa, void *bytes, size_t n);
uint64_t guest_reg(struct guest *g, unsigned vcpu, unsigned index); /* RAX … R15 */
struct regs guest_regs(struct guest *g, unsigned vcpu);
void guest_set(struct guest *g, unsigned vcpu, unsigned index, uint64_t value);
void guest_set_rip(struct guest *g, unsigned vcpu, uint64_t rip);
/* Run and return the reason; the stop is in g->stop. */
enum stop_reason guest_run(struct guest *g, enum run_kind kind, unsigned vcpu, uint64_t count);
static inline enum stop_reason guest_step(struct guest *g)
{
	return guest_run(g, RUN_STEP, 0, 1);
}
static inline enum stop_reason guest_continue(struct guest *g)
{
	return guest_run(g, RUN_CONTINUE, 0, 1);
}
/* At the end of main(): the same tests once more with the trap page standing in for the empty IDT, in a new process because
 * what works is tried once for each. Does not return the first time. */
int guest_once_more(char **argv, int failed);
/* Plant an execution breakpoint; what stands for it. */
const char *guest_break(struct guest *g, int id, uint64_t addr);

#endif
