/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Why a machine stopped, with the numbers. Backends fill it; core/stop/why.c puts it into a sentence.
 */
#ifndef KVMSCOPE_CORE_STOP_H
#define KVMSCOPE_CORE_STOP_H

#include "core/base/err.h"
#include "core/run/stage.h"

enum stop_reason {
	STOP_NONE, /* has not run yet */
	STOP_STEP,
	STOP_BREAKPOINT,
	STOP_WATCHPOINT,
	STOP_FAULT_STAGE,
	STOP_EXCEPTION,
	STOP_MMIO,
	STOP_PIO,
	STOP_HLT,
	STOP_SHUTDOWN,
	STOP_SMI,
	STOP_RSM,
	STOP_MODE,	  /* catch mode: paging, width or privilege changed */
	STOP_SLOT,	  /* catch slot */
	STOP_MMU,	  /* catch mmu: .mmu says what happened to the tables */
	STOP_INTERRUPTED, /* Ctrl-C, or machine_interrupt() */
	STOP_EXIT,	  /* the guest asked the board to end: .exit_code */
	STOP_ERROR,	  /* the host could not go on: .error says */
};
struct stop;
/* One reason more. What does not fit is left out. */
void stop_add_cause(struct stop *s, enum stop_reason reason, int id);
/* A watchpoint's hit, told before what the stop is for otherwise. */
void stop_put_first(struct stop *s, const struct stop *hit);
const char *stop_reason_name(enum stop_reason r); /* as records have it: "step", "fault-stage", … */

/* What the MMU did to its own tables: on kvm a tracepoint's record, on soft told by the model itself. */
enum mmu_kind {
	MMU_ZAP = 1 << 0,    /* a shadow page is taken apart */
	MMU_UNSYNC = 1 << 1, /* a shadowed guest table may be written without being seen */
	MMU_SYNC = 1 << 2,   /* it is brought up to date again */
	MMU_SPTE = 1 << 3,   /* an spte is set */
	MMU_TDP = 1 << 4,    /* an entry of the TDP MMU is changed: made, removed, other rights */
};
#define MMU_ALL 31u
const char *mmu_kind_name(enum mmu_kind k); /* "zap", "unsync", "sync", "spte", "tdp" */
struct mmu_event {
	enum mmu_kind kind;
	unsigned vcpu;
	uint64_t gfn; /* of the shadow page; of what the spte maps */
	unsigned level;
	uint32_t role;	      /* ZAP, UNSYNC, SYNC: of the shadow page, as the kernel packs it */
	uint64_t spte, sptep; /* SPTE: its value, and where it stands; TDP: its value only, and what it was */
	uint64_t old_spte;
	unsigned as;   /* TDP: the address space */
	uint64_t time; /* ns, CLOCK_MONOTONIC; soft: instructions executed before */
};

/* Who of the guest's takes an exception that is told. */
enum exception_handler {
	HANDLER_OWN,	    /* its own: it is told because somebody asked, before it is delivered */
	HANDLER_BEYOND_IDT, /* nobody: the IDT ends before the vector and before what would come of it */
	HANDLER_EMPTY,	    /* nobody: real mode, and the vector's entry is 0000:0000 */
};

/* One of several reasons of a stop. From a machine: id is that of a plant, or 0. From the judge: the stop point's, or 0. */
struct stop_cause {
	enum stop_reason reason;
	int id;
};
#define STOP_CAUSES_MAX 16

/* Bytes that an instruction touched. read and write: it changed them (XADD, also a CMPXCHG that puts back what is there),
 * and old_data is what it read. Neither: nobody knows. What is only read has the same in both. */
struct stop_touch {
	uint64_t gva, gpa;
	uint32_t len; /* 0: none */
	bool read, write;
	uint8_t data[8], old_data[8];
};

struct stop {
	enum stop_reason reason; /* the first, if there are several */
	unsigned vcpu;
	uint64_t rip;
	bool state_lost;    /* SHUTDOWN: the vCPU has been reset by it; rip is where it begins anew */
	bool before;	    /* of a RUN_STEP: what was there before it, whose instruction is still to come */
	uint8_t code_bits;  /* 16, 32, 64: of code at rip; 0: not told, ask the registers */
	uint64_t code_base; /* with code_bits: CS's, 0 in 64-bit code */
	bool nested;	    /* the vCPU is in a guest that its guest runs: rip is that one's */
	bool rip_old;	    /* FAULT_STAGE: rip is that of the last stop, the processor keeps the one of now */
	int breakpoint;	    /* BREAKPOINT, WATCHPOINT, or a catchpoint: its id; 0 for none */
	/* EXCEPTION */
	uint8_t vector;
	bool has_error;
	uint32_t error_code;
	uint64_t cr2;
	enum exception_handler handler;
	/* By INT n, INT3, INTO or INT1, and not by what an instruction met. Without a handler of the guest's INT n, which is
	 * no exception whatever n, stands at itself; the others have been executed (has_by). */
	bool software;
	/* MMIO, PIO, WATCHPOINT */
	uint64_t gpa, gva;
	uint32_t len;
	bool write;
	bool read; /* WATCHPOINT: with write as in struct stop_touch */
	uint8_t data[8], old_data[8];
	bool has_old;
	struct stop_touch then; /* WATCHPOINT: the instruction's next access to bytes that are watched */
	/* WATCHPOINT, EXCEPTION, MMIO, PIO: rip of the instruction that does it, by code_base as .rip is. That of a
	 * watchpoint has been executed, so .rip is the next one's; an exception has it where that is so. With MMIO and PIO
	 * .rip is where the machine is by then, as KVM has moved it on already when most writes come. */
	uint64_t by;
	bool has_by;
	/* WATCHPOINT: the instruction went on to where CS has another base (a handler), and this is its linear address. */
	bool by_elsewhere;
	uint64_t by_linear;
	int slot; /* of gpa; -1 for none */
	uint16_t port;
	uint32_t count; /* PIO: of a string operation */
	/* FAULT_STAGE */
	enum stage stage;
	unsigned fault;
	bool has_fault_gfn;
	uint64_t fault_gfn; /* the page that the access comes to, if that is known already; gpa is the stage's own */
	/* MODE */
	bool cpl_only; /* nothing but the privilege level changed */
	uint8_t old_cpl;
	/* MMU: the first event; machine_mmu_events() has all of them */
	struct mmu_event mmu;
	/* All reasons, the first included, if there is more than one; else empty. */
	struct stop_cause cause[STOP_CAUSES_MAX];
	unsigned n_causes;
	/* EXIT, ERROR */
	uint64_t exit_code;
	uint32_t kvm_exit, suberror;
	uint8_t insn[16]; /* the bytes that could not be emulated */
	unsigned n_insn;
	char error[280];
	char next[128];	    /* ERROR: what to do about it; "" for nothing */
	bool no_progress;   /* STEP: rip and registers did not move */
	bool bad_condition; /* its breakpoint's could not be evaluated: note says why */
	char note[160];	    /* a backend's own remark for `why`, "" for none */
};

/* EXCEPTION: an INT n that leads nowhere, which is no exception. */
static inline bool stop_is_interrupt(const struct stop *s)
{
	return s->software && s->handler != HANDLER_OWN && !s->has_by;
}

#endif
