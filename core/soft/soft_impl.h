/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the soft machine: what its vCPUs share.
 */
#ifndef KVMSCOPE_CORE_SOFT_SOFT_IMPL_H
#define KVMSCOPE_CORE_SOFT_SOFT_IMPL_H

#include <stdatomic.h>

#include "core/machine/machine_impl.h"
#include "core/mem/walklock.h"
#include "core/soft/cpu.h"
#include "core/soft/decode.h"
#include "core/soft/soft.h"

struct soft_plant {
	struct plant p;
	struct soft_plant *next;
};

/* Whose turn it is, and how many instructions have run: with the guest's state this says all that comes. */
struct soft_schedule {
	uint64_t position; /* instructions completed and exceptions delivered, on all vCPUs together: what `si` counts */
	unsigned turn;	   /* the vCPU */
	unsigned left;	   /* instructions left in its turn */
};

/* Which vCPU ran from which position on, so that a replay is the same run whatever stops and steps came between. */
struct soft_switch {
	uint64_t position;
	unsigned vcpu;
	bool wake; /* all were halted and the debugger said go on */
};

struct soft_log {
	struct soft_switch *v;
	size_t n, cap;
	bool failed; /* memory was out: positions before its end cannot be reached any more */
	/* Called between two instructions once position is at least mark. */
	uint64_t mark;
	void (*fn)(void *ctx);
	void *ctx;
};

struct soft_machine {
	struct machine m;
	struct soft_cpu *cpu[64];
	struct shadow *shadow;
	struct decoder *decoder;
	struct block_cache *blocks;
	struct soft_plant *plants;
	unsigned n_exec, n_watch; /* plants of either kind */
	uint32_t catches;	  /* enum catch_event */
	struct walk_lock walk;	  /* held while guest code runs */
	bool mmio_sptes;
	bool emulated_kernel; /* accesses of CPL 0 to 2 are done as an emulator does them: no sptes, the MMIO cache asked
				 first */
	struct soft_habits habits;
	struct soft_schedule sched;
	struct soft_log log;
	/* stall.c */
	struct {
		uint64_t (*clock)(void); /* for tests, NULL else */
		uint64_t next;		 /* when it looks again */
		unsigned turns;
	} stall;
	struct soft_rings *rings;   /* rings.c; NULL: dirty pages are in bitmaps alone */
	struct soft_mmu *mmu;	    /* mmucatch.c; NULL until something is caught */
	struct soft_faults *faults; /* fault.c; NULL until something is caught */
	struct stop watch_hit;	    /* reason STOP_WATCHPOINT: reported behind the instruction that made it */
	uint64_t watch_cs;	    /* CS's base then: a handler may have another one */
	uint8_t watch_bits;
	struct access_decoder *accesses; /* NULL until one is needed */
};

static inline struct soft_machine *soft_of(const struct machine *m)
{
	return CONTAINER_OF(m, struct soft_machine, m);
}

/* run.c: up to n instructions of one vCPU; true if the machine is to stop. */
bool soft_go(struct soft_cpu *c, uint64_t n, struct stop *out);
#define SOFT_TURN 10000u

/* runlog.c: note that this vCPU goes on from here. at: the entry in force at a position, the first one if there is none
 * before it; end: the position up to which it holds. */
void soft_log_switch(struct soft_machine *m, unsigned vcpu, bool wake);
size_t soft_log_at(const struct soft_log *l, uint64_t position);
uint64_t soft_log_end(const struct soft_log *l, size_t i);

/* cpu.c: vCPU i of m->cpu, and its state after power-on. */
int soft_cpu_create(struct soft_machine *m, unsigned i, struct err *e) MUST_USE;
void soft_cpu_reset(struct soft_cpu *c);

/* mem.c: guest memory as table walks of this CPU see it, A/D updates included. */
void soft_mem_init(struct soft_cpu *c, struct paging_mem *mem);
/* Drop decoded code and shadow state of guest memory that was written by other means than this CPU's stores. */
void soft_memory_written(struct soft_machine *m, const struct slot *s, uint64_t gpa, uint64_t len);

/* watch.c: m->plants is another list now. */
void soft_plants_changed(struct soft_machine *m);

/* watch.c: does an access touch a watched range? Fills m->watch_hit; the bytes before a write are read by it. */
void soft_watch(struct soft_cpu *c, uint64_t lin, const struct xlate_iolist *io, bool write, const void *data);
/* The instruction at hit->by has been executed, and made it: was its write one of what it had read? */
void soft_watch_done(struct soft_cpu *c, struct stop *hit);
void soft_watch_port(struct soft_cpu *c, uint16_t port, unsigned size); /* for the guest's debug registers */
/* Is any byte of this page watched? Then its TLB entries allow nothing directly. */
bool soft_watched_page(const struct soft_machine *m, uint64_t gva_page, uint64_t gpa_page);

#endif
