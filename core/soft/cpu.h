/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the soft CPU: its state, memory access, events. Each line uses nothing of the lines below it:
 *
 *   decode*.c      bytes to struct uop (uop.h); knows neither CPUs nor memory
 *   event.c        what an instruction raises    block_cache.c  which blocks of decoded code there are    tlb.c
 *   watch.c        breakpoints, watchpoints, the guest's debug registers    device.c  ports and MMIO, one access after
 * another mem.c          a TLB miss: the shadow MMU (mmu/), then the pipeline for what is no plain memory segment.c
 * descriptors, and the state that follows from CS, SS and control registers    cpu.c  registers in and out exec_stack.c push
 * and pop    interrupt.c  exceptions through the guest's IDT    smi.c  into SMM and back    port.c exec*.c, system.c, far.c,
 * fpu.c, cpuid.c   what instructions do; exec_table.c which function does it block_build.c  a block out of guest memory
 * block.c  the loop that runs blocks run.c          the machine: vCPUs take turns on one host thread, so every run of a
 * guest is the same run soft.c         the machine ops
 *
 * An instruction handler either completes, or leaves the architectural state as it was and raises an event; so every
 * exception is precise and every instruction can be started again. Handlers compute first, write memory next, write
 * registers last.
 */
#ifndef KVMSCOPE_CORE_SOFT_CPU_H
#define KVMSCOPE_CORE_SOFT_CPU_H

#include "core/board/board.h"
#include "core/run/progress.h"
#include "core/soft/mmu/shadow.h"
#include "core/run/begun.h"
#include "core/run/stop.h"
#include "core/soft/uop.h"

struct soft_cpu;
struct soft_machine;

/* Arithmetic flags are stored as what they follow from, and worked out when read. flags.h. */
struct lazy_flags {
	uint64_t result, a, b;
	uint8_t op;   /* enum flags_op; FLAGS_READY: eflags holds them all */
	uint8_t size; /* 1, 2, 4, 8 */
	bool carry_in;
};

/* Why the run loop has to look up from its work. */
enum soft_event {
	EVENT_NONE,
	EVENT_EXCEPTION, /* .vector, .error_code, .cr2: to be delivered through the IDT */
	EVENT_STOP,	 /* .stop is filled, the instruction has not been carried out: rip is its own */
	EVENT_STOP_DONE, /* .stop is filled, the instruction is done: the handler has set rip */
	EVENT_YIELD,	 /* the instruction is done, rip set: look at pending SMIs, other vCPUs, HLT */
	EVENT_RESTART,	 /* start the instruction again (tables changed under it) */
	EVENT_SHUTDOWN,	 /* triple fault */
};

/* One access to a port (at: its number) or to MMIO (at: gpa), of at most 8 bytes. */
struct soft_access {
	uint64_t at;
	unsigned len;
	bool port, write;
	void *data;
};
/* One that its device has had. */
struct soft_seen {
	uint64_t at;
	uint8_t data[8], len;
	bool port, write;
};
/* As many as FXSAVE makes, and the frame of an exception. */
#define SOFT_ACCESSES_MAX 96
/* The accesses of the instruction under way. device.c. */
struct soft_devices {
	bool alone;	 /* it was begun by itself, or is to be */
	bool shown;	 /* the access behind those that are remembered was reported: now it goes through */
	uint8_t n, next; /* remembered, and how many of those it has come to again since it began */
	struct soft_seen v[SOFT_ACCESSES_MAX];
};

#define SOFT_TLB_SIZE 1024
/* Entries that a flush looks at one by one; with more than these in use it goes over all of them. */
#define SOFT_TLB_FEW 64
struct soft_tlb_entry {
	uint64_t read, write, fetch; /* gva of the page where that access may go straight, else ~0 */
	uint8_t *host;		     /* of the page */
	uint64_t gpa;		     /* of the page */
};

struct soft_cpu {
	/* hot */
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t eflags; /* all but the lazy ones are right here always */
	struct lazy_flags lazy;
	uint8_t event;		       /* enum soft_event */
	uint8_t cpl, code_bits;	       /* 16, 32, 64 */
	bool long_mode;		       /* EFER.LMA */
	bool stack32;		       /* SS.B */
	uint8_t flat_read, flat_write; /* bit n: segment n needs no check: base + offset is the address */
	uint64_t rmw_lin;	       /* of the memory operand that exec_rmw_read() read */
	uint64_t budget;	       /* instructions left in this turn */
	struct soft_tlb_entry *tlb;    /* the one of the current privilege */
	uint64_t seg_base[SEG_COUNT];  /* 0 for CS, DS, ES, SS in 64-bit code */

	/* the rest of the architecture; gpr, rip, rflags here are stale while it runs */
	struct regs r;
	struct paging pg;				/* of the registers now; soft_mode_changed() keeps it */
	struct soft_tlb_entry tlb_of[2][SOFT_TLB_SIZE]; /* supervisor, user */
	struct soft_tlb_entry *tlb_used[SOFT_TLB_FEW];	/* filled since the last flush, the first few */
	unsigned tlb_n_used;				/* may be more than SOFT_TLB_FEW */
	struct shadow_vcpu shadow;
	struct soft_machine *m;
	unsigned index;
	uint32_t smbase;
	bool smi_pending, nmi_blocked;
	bool inhibit;	 /* the last instruction was STI, MOV or POP to SS: no interrupt before the next, … */
	bool inhibit_ss; /* … and of those to SS no #DB either */
	uint64_t inhibit_rip;

	/* the event */
	uint8_t vector;
	bool has_error;
	uint32_t error_code;
	uint64_t cr2;
	uint8_t soft_int_len; /* of an INT n: rip to push is behind it; 0 for faults */
	bool int1;	      /* it is INT1, which counts as an exception */
	bool int_n;	      /* it is INT with a number, which is none, whatever the number */
	struct stop stop;

	bool refetched;	       /* block.c: the last handler was that of a block that is dead */
	uint64_t by;	       /* rip of the instruction that hit a watchpoint */
	uint64_t block_rip;    /* rip of the current block's first byte */
	struct block *running; /* by whole blocks; else NULL */
	struct block_cache *blocks;
	struct decoder *decoder; /* the machine's */
	uint64_t icount;	 /* instructions completed */
	bool halted;
	bool stop_soon;	  /* a watchpoint was hit: the run loop ends behind this instruction */
	uint32_t flushes; /* of the TLB: what was looked up before the last one may not hold any more */
	uint32_t flushes_of_all;
	/* KVM emulates an instruction from its first access to MMIO or to a shadowed table on: what it accesses then goes
	 * by the emulator, which maps nothing. Handlers with two operands in memory tell where the first one ends. */
	bool emulated, in_emulator;
	bool rep_emulated;  /* as is the REP under way, from that iteration on: its emulator goes on with the next ones */
	bool not_canonical; /* the exception raised is that of an address that is none: through SS it is #SS */
	bool rmw_emulated;  /* the emulator reads what it will write: a fault says write */
	bool rmw_probe;	    /* a read-modify-write's first look at its operand */
	bool exit_pending, left_smm;
	bool caught; /* the exception of caught_vector at caught_rip was told: the next time it is delivered */
	uint8_t caught_vector;
	uint64_t caught_rip;
	bool int_told; /* that no handler is there for the INT n at int_rip: the next time it is passed over */
	uint64_t int_rip;
	bool trap_behind;		 /* the exception raised comes behind an instruction that is done */
	bool trap_caught;		 /* the injected one did so too: it was caught before it was delivered */
	bool dr_exec, dr_data, dr_ports; /* the guest's debug registers watch code, data, ports */
	bool checks_alignment;		 /* CPL 3 with CR0.AM and EFLAGS.AC: its TLB lets no data access pass unseen */
	uint64_t db_pending;		 /* bits of DR6 for a #DB behind this instruction */
	struct guest_fault injected;
	bool delivering; /* an event: what is pushed for it is not the access of the instruction before */
	struct soft_devices devices;
	bool any_plants; /* somebody wants to stop at addresses: soft_planted() */
	bool passed;	 /* plants at rip have been asked already: struct run_job's bit */
	struct begun begun;
	struct progress progress;
};

/* Between a load of SS and the next instruction. */
static inline bool soft_ss_shadow(const struct soft_cpu *c)
{
	return c->inhibit && c->inhibit_ss && c->inhibit_rip == c->rip;
}

/* The address of the instruction under way. */
static inline uint64_t uop_rip(const struct soft_cpu *c, const struct uop *u)
{
	return c->block_rip + u->off;
}

/* ---- mem.c. Addresses are linear. All give 0, or -1 with c->event raised and nothing done. size 1, 2, 4, 8 or 16. A write
 * that crosses a page is all or nothing. access is ACCESS_READ or ACCESS_WRITE for data by the current CPL; the _sys forms
 * are implicit supervisor accesses (descriptor tables, TSS, delivery frames). */
int soft_read_slow(struct soft_cpu *c, uint64_t lin, unsigned size, void *out, unsigned access);
int soft_write_slow(struct soft_cpu *c, uint64_t lin, unsigned size, const void *in, unsigned access);
int soft_read_sys(struct soft_cpu *c, uint64_t lin, unsigned size, void *out);
int soft_write_sys(struct soft_cpu *c, uint64_t lin, unsigned size, const void *in);
/* Would a write of size bytes succeed? Raises what it would raise; leaves the page ready (for read-modify-write and for
 * instructions with two memory effects). */
int soft_probe_write(struct soft_cpu *c, uint64_t lin, unsigned size);
/* The same before the read of a read-modify-write. KVM's emulator reads first, and finds out at the write: for what it
 * executes this does nothing. */
int soft_probe_read(struct soft_cpu *c, uint64_t lin, unsigned size);  /* of what is read before another operand is */
int soft_probe_frame(struct soft_cpu *c, uint64_t lin, unsigned size); /* ENTER's; the emulator looks at nothing */
int soft_probe_rmw(struct soft_cpu *c, uint64_t lin, unsigned size);
/* What an instruction has read already is read once more, because the fault of its other operand took the mapping away: a
 * processor starts the instruction again behind each fault. Raises nothing. */
void soft_touch(struct soft_cpu *c, uint64_t lin);
/* Up to 15 bytes of code at lin for the decoder, to the page's end: *n is how many. host: their host address. -1: the
 * fetch's fault is raised. fetch_more adds those of the next page, once the decoder has found that it needs them. */
int soft_fetch(struct soft_cpu *c, uint64_t lin, uint8_t code[16], unsigned *n, uint8_t **host, uint64_t *gpa);
int soft_fetch_more(struct soft_cpu *c, uint64_t lin, uint8_t code[16], unsigned *n);
void soft_tlb_init(struct soft_cpu *c); /* empty, whatever it holds */
void soft_tlb_flush(struct soft_cpu *c);
void soft_tlb_flush_page(struct soft_cpu *c, uint64_t gva_page);
void soft_tlb_forget_writes(struct soft_machine *m, const uint8_t *host_page); /* no direct writes to it, on any vCPU */

static inline bool soft_tlb_hit(const struct soft_cpu *c, uint64_t lin, unsigned size, uint64_t tag)
{
	(void)c;
	return (lin & ~PAGE_OFFSET_MASK) == tag && (lin & PAGE_OFFSET_MASK) <= PAGE_SIZE_4K - size;
}

static inline int soft_read(struct soft_cpu *c, uint64_t lin, unsigned size, void *out)
{
	const struct soft_tlb_entry *t = &c->tlb[lin >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];

	if (__builtin_expect(!soft_tlb_hit(c, lin, size, t->read), 0))
		return soft_read_slow(c, lin, size, out, ACCESS_READ);
	__builtin_memcpy(out, t->host + (lin & PAGE_OFFSET_MASK), size);
	return 0;
}

static inline int soft_write(struct soft_cpu *c, uint64_t lin, unsigned size, const void *in)
{
	const struct soft_tlb_entry *t = &c->tlb[lin >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];

	if (__builtin_expect(!soft_tlb_hit(c, lin, size, t->write), 0))
		return soft_write_slow(c, lin, size, in, ACCESS_WRITE);
	__builtin_memcpy(t->host + (lin & PAGE_OFFSET_MASK), in, size);
	return 0;
}

/* The linear address of offset in a segment, for an access of size bytes: -1 with #GP or #SS raised if the segment is not
 * usable so, or if it ends before, or (64-bit) the address is not canonical. segment.c. */
int soft_seg_linear(struct soft_cpu *c, enum seg_index seg, uint64_t offset, unsigned size, bool write, uint64_t *lin);

/* port.c: one port access of 1, 2 or 4 bytes, after the IOPL and permission-map check. -1 with an event raised: #GP, or a
 * stop that somebody asked for (catch pio), before the device has seen it. */
int soft_pio(struct soft_cpu *c, uint16_t port, unsigned size, uint64_t *v, bool write);
bool soft_pio_allowed(struct soft_cpu *c, uint16_t port, unsigned size); /* the check alone; false: raised */

/* ---- device.c */
/* A device's answer is in *a->data, or it has what is there. -1 with an event raised: the device has not seen it; a stop
 * that somebody asked for (catch mmio, catch pio), or the instruction begins again. */
int soft_device_access(struct soft_cpu *c, const struct soft_access *a);
void soft_devices_forget(struct soft_cpu *c); /* the instruction is over, or is another one now */

/* ---- event.c. The first two give NULL so that a handler can `return soft_raise(…)`. */
const struct uop *soft_raise(struct soft_cpu *c, uint8_t vector);
const struct uop *soft_raise_error(struct soft_cpu *c, uint8_t vector, uint32_t error_code);
void soft_out_of_memory(struct soft_cpu *c); /* EVENT_STOP with an error */
/* What the board asked for in answer to an access: an SMI, the end of the run. */
void soft_board_effect(struct soft_cpu *c, enum board_effect effect);
/* mem.c: the instruction's bytes into c->stop. */
void soft_stop_bytes(struct soft_cpu *c, uint64_t rip, unsigned len);
/* exec_trap.c: stop and name the instruction: not something that this CPU executes. */
const struct uop *op_unsupported(struct soft_cpu *c, const struct uop *u);
/* interrupt.c: deliver the raised exception (or an interrupt, INT n with soft_int_len set) at c->rip. Escalates to double
 * and triple faults by itself; EVENT_SHUTDOWN if none is left. If the IDT's limit leaves out the vector and what would come
 * of it (#GP, #DF), or its entry is empty in real mode, the machine stops with STOP_EXCEPTION: the guest has no handler of
 * its own. INT3, INTO and INT1 are over then, and rip is behind them; any other INT n is passed over the next time. */
void soft_deliver(struct soft_cpu *c);
bool soft_has_handler(struct soft_cpu *c); /* for what is raised */

/* ---- segment.c */
/* Load a segment register as MOV does, with every check; vector and error raised on failure. */
int soft_load_seg(struct soft_cpu *c, enum seg_index seg, uint16_t selector);
/* After control registers, EFER, CS, SS or SMM changed: recompute cpl, code_bits, bases, paging; flush what the change
 * flushes. */
void soft_mode_changed(struct soft_cpu *c, bool flush);
/* The four entries that CR3 points to in PAE mode; all ones if there is no memory. */
void soft_read_pdptes(struct soft_cpu *c, uint64_t pdpte[4]);
void soft_segs_changed(struct soft_cpu *c); /* bases, cpl, code bits only */
void soft_ac_changed(struct soft_cpu *c);   /* EFLAGS.AC, CR0.AM or the CPL may have */

/* smi.c: RSM: registers from the save area; EVENT_YIELD, or EVENT_SHUTDOWN if the area is not one to return to. */
void soft_leave_smm(struct soft_cpu *c);
bool soft_sse_usable(struct soft_cpu *c); /* else #UD or #NM is raised. fpu.c */

/* ---- watch.c */
/* DR7 or an address changed: which addresses to look at. */
void soft_debug_changed(struct soft_cpu *c);
/* Is there a breakpoint (the debugger's, or a debug register's that raises) at this linear address? Asked at the start of
 * every block while any_plants is set; blocks end before such addresses. */
bool soft_planted(const struct soft_cpu *c, uint64_t lin);
/* Called there: true with EVENT_STOP (or #DB of a debug register) raised if this vCPU is to stop before c->rip. */
bool soft_stop_at_plant(struct soft_cpu *c);
/* A fault is to be delivered / the vCPU has come to rip: core/run/begun.h; true if it stands on plants that were asked. */
void soft_begun(struct soft_cpu *c);
bool soft_returned(struct soft_cpu *c);

/* ---- block_cache.c */
struct block_cache *block_cache_create(void);
void block_cache_destroy(struct block_cache *b);
void block_cache_flush(struct block_cache *b);
/* Code on the host page was written: blocks of it go. mem.c calls it for pages that block_page_has_code() names. */
void block_cache_written(struct block_cache *b, const uint8_t *host_page);
/* The instruction under way is the last of the block that runs; what follows is looked up and fetched anew. */
void block_cut(struct soft_cpu *c);
bool block_page_has_code(const struct block_cache *b, const uint8_t *host_page);

/* block.c: execute up to c->budget instructions; returns with c->event set (EVENT_NONE: the budget is used up). c->rip,
 * eflags and icount are up to date then. */
void soft_execute(struct soft_cpu *c);

/* exec_table.c: the function that carries out an operation. */
uop_fn *exec_handler(enum soft_op op);

/* cpu.c: soft_cpu.gpr, rip, flags ↔ struct regs. */
void soft_regs_out(struct soft_cpu *c, struct regs *out);
void soft_regs_in(struct soft_cpu *c, uint32_t parts, const struct regs *in);

#endif
