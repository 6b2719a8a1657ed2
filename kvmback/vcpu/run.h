/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Run control's own header: shared by run.c (threads, all-stop), exits.c (what KVM_RUN came back for), step.c (one
 * instruction), plant.c (what to stop at), trap.c (exceptions through the guest's IDT) and gmem.c (guest memory from a
 * vCPU's thread).
 *
 * Each of several vCPUs has a thread, and its KVM_RUN is called there only. The debugger's thread hands it a job and waits;
 * both sides spin a little before they sleep, because a step is shorter than a wake-up. While a job runs, everything of the
 * vCPU belongs to its thread; while none does, to the debugger's. A lone vCPU's jobs are done by the debugger's thread
 * itself, with no handing over at all; watch.c looks after its steps meanwhile. Registers live in the run area
 * (KVM_CAP_SYNC_REGS): what is changed there is marked in kvm_dirty_regs and reaches the vCPU with the next KVM_RUN.
 */
#ifndef KVMSCOPE_KVMBACK_RUN_H
#define KVMSCOPE_KVMBACK_RUN_H

#include <signal.h>

#include "core/mem/paging.h"
#include "kvmback/kvm.h"

/* None of the queued ones: those get lost where the user has too many of them pending. */
#define KICK_SIGNAL SIGURG
void run_kick_init(void);    /* install the handler; the debugger's thread takes the signal too */
void run_kick_unblock(void); /* in a thread that does nothing but call KVM_RUN: that signal and no other */

/* A number that one thread raises and another waits for. */
struct gate {
	atomic_uint value, sleeping;
	_Atomic uint64_t posted_ns; /* when a sleeper was last posted to */
	unsigned spin_ns;	    /* how long the waiter polls: adapts */
};
void gate_post(struct gate *g);
/* Until value is not `seen` any more, or for timeout_ns (0: for ever). False at the timeout. */
bool gate_wait(struct gate *g, unsigned seen, uint64_t timeout_ns);

enum job { JOB_NONE, JOB_RUN, JOB_STEP, JOB_TOUCH, JOB_FORGET, JOB_QUIT };

/* Why a vCPU's thread came back. */
enum outcome {
	OUT_KICKED, /* asked to: nothing to tell */
	OUT_STOP,   /* t->stop says */
	OUT_SMI,    /* the board raised an SMI; the access is complete */
	OUT_RSM,    /* in emulated SMM, an RSM stands at rip */
	OUT_TOUCH,  /* an armed page was touched: watch_touched() with the others out */
	OUT_HALT,   /* HLT with interrupts on: the others may go on */
};

enum io_state {
	IO_NONE,
	IO_CAUGHT, /* an access was shown to the user; the device has not seen it */
	IO_DONE,   /* the device has answered; KVM does not know yet */
};

/* How the vCPU is to run freely, made by plant_lay(). */
#define DR_COUNT 4
enum dr_use { DR_FREE, DR_PLANT, DR_WATCH, DR_HANDLER, DR_NO_HANDLER, DR_SMI };
struct run_plan {
	struct kvm_guest_debug dbg;
	enum dr_use dr[DR_COUNT];
	int dr_id[DR_COUNT];				   /* plant's id, or the vector of a handler */
	uint8_t dr_old[DR_COUNT][8], dr_old_len[DR_COUNT]; /* DR_WATCH: what is there */
	const char *slow_why;				   /* not NULL: by single steps only, and why */
	uint64_t cr0, cr3, cr4, efer;
	uint8_t width; /* vcpu_code_width() */
	unsigned cpl;  /* of one that was remembered, not planned */
	struct kvm_dtable idt;
	bool unresolved; /* some address did not translate */
};

struct trap_page;

/* At least as many as KVM goes back to without a look-up: the current one and three more. */
#define ROOTS_KEPT 8

struct kvcpu_run {
	struct kvcpu *v;
	pthread_t thread;
	_Atomic pid_t tid; /* of whoever does the job under way */
	atomic_bool started;
	struct gate go;
	atomic_bool busy, kick;
	atomic_ulong steps; /* instructions stepped in this job */
	atomic_bool stuck;  /* watch.c: kicked because a step did not come back */
	atomic_int job;	    /* enum job */
	uint64_t count;
	enum outcome out;
	struct stop stop;
	struct run_plan plan;
	struct kvm_guest_debug dbg; /* as KVM has it */
	enum io_state io;
	bool pending; /* out and stop have not been told yet: another vCPU's stop came first */
	bool shown;   /* the user has seen a stop of this vCPU at shown_rip */
	uint64_t shown_rip;
	bool step_first; /* a free run begins on a breakpoint: step off it, then put it in */
	bool exc_shown;	 /* catch exception: shown at exc_rip, now deliver it */
	uint8_t exc_vector;
	uint64_t exc_rip;
	bool own_tf;   /* a step is under way with TF set by us */
	bool guest_tf; /* and the guest has set it as well */
	bool trapped;  /* the last exit was an exception that came out at the trap page, made to look like a shutdown */
	uint64_t *trap_link;
	struct kvm_sregs trap_saved;
	bool idt_saved;
	struct kvm_dtable idt; /* the guest's, while an empty one stands in */
	bool io_tf;	       /* the access that was caught began with TF set by us */
	/* watchpoints by pages: set by whoever answers the fault, see pages.c */
	atomic_bool touched; /* an armed page was: watch_touched() before the next KVM_RUN */
	atomic_bool quiet;   /* an instruction is being stepped and looked at anyway. Changes while out of KVM_RUN only */
	atomic_uint entries; /* vcpu_entry() */
	atomic_int cpu;	     /* where KVM_RUN was called last */
	unsigned at_entry;   /* what it is behind the entry in which a page was touched */
	bool moved;	     /* a watched address may be somewhere else now: plant_relay() */
	bool at_known;	     /* the registers when it was touched */
	uint64_t at_gpr[16], at_rip;
	struct access_decoder *accesses;
	uint64_t root[ROOTS_KEPT]; /* tables under which virtual addresses are watched, the newest first: pages.c */
	unsigned n_roots;
	bool rep; /* a REP iteration is under way with rcx 1 */
	bool rep_repne, rep_compares;
	uint64_t rep_count, rep_mask, rep_rip, rep_next;
};

/* A byte of guest memory that is int3 while the guest runs. */
struct laid {
	uint8_t *at;
	uint8_t under;
};

#define WATCH_OLD 64
struct plant_rec {
	struct plant p;
	uint8_t old[WATCH_OLD]; /* the beginning of a watched range, before an instruction whose accesses are not known */
	size_t n_old;
};

/* Who looks after steps that the debugger's thread does itself (watch.c). */
struct watch {
	pthread_t thread;
	bool started;
	struct gate go;
	atomic_uint jobs; /* step jobs begun so far */
	atomic_bool awake, quit;
	void (*on_look)(struct kvm_vm *vm); /* for tests, NULL else: before it asks what holds the step up */
};

struct run_state {
	const struct strategy *st;
	struct watch watch;
	struct plant_rec *plant; /* execution plants first by address, then watches */
	size_t n_plants, n_exec, cap_plants;
	struct laid *laid;
	size_t n_laid, cap_laid;
	uint32_t catch;
	atomic_bool letting; /* vCPUs are being given their jobs: one that is not busy may be in a moment */
	bool turns;	     /* faults are caught: one vCPU at a time is in the guest. Set between runs only */
	struct gate done;    /* raised by a vCPU's thread whenever it has come back */
	pthread_mutex_t board_lock, lay_lock;
	struct trap_page *trap; /* NULL where shutdown exits keep the state */
};

static inline struct kvm_regs *vcpu_regs(struct kvcpu *v)
{
	return &v->run->s.regs.regs;
}
static inline struct kvm_sregs *vcpu_sregs(struct kvcpu *v)
{
	return &v->run->s.regs.sregs;
}
/* In SMM that KVM does itself; v->in_smm is the one by hand. */
static inline bool vcpu_native_smm(const struct kvcpu *v)
{
	return v->vm->host->x86_smm && v->run->flags & KVM_RUN_X86_SMM;
}
static inline void vcpu_immediate_exit(struct kvcpu *v, bool on)
{
	__atomic_store_n(&v->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}
static inline void vcpu_dirty(struct kvcpu *v, uint32_t parts)
{
	v->run->kvm_dirty_regs |= parts;
}

/* On the client's thread, waiting for other vCPUs' threads: what they queued for it. */
static inline void run_serve_waiting(struct kvm_vm *vm)
{
	if (run_on_client(&vm->m.run))
		run_serve(&vm->m.run);
}

/* In a run by turns, from another thread than the run's: the vCPU that has its turn comes out, where another could run. */
void run_end_turn(struct kvm_vm *vm);
/* Neither halted nor outside while another is in emulated SMM. */
bool vcpu_may_run(const struct kvcpu *v);

/* vcpu.c: from the debugger's thread, but for vcpu_busy(), vcpu_kick() and run_kick_all(), which any may call */
/* Its thread, once; for one that runs here the watch over its steps. */
int vcpu_start(struct kvcpu *v, struct err *e) MUST_USE;
/* A lone vCPU stands while the debugger's thread does anything else, so it needs no thread of its own: its jobs are done
 * when vcpu_give() returns. */
static inline bool vcpu_runs_here(const struct kvcpu *v)
{
	return v->vm->m.vcpus == 1;
}
void vcpu_give(struct kvcpu *v, enum job job, uint64_t count);
bool vcpu_busy(const struct kvcpu *v);
void vcpu_kick(struct kvcpu *v);
void run_kick_all(struct kvm_vm *vm);
void run_wait_all(struct kvm_vm *vm);
/* and from the vCPU's own */
int vcpu_enter(struct kvcpu *v);				   /* one KVM_RUN: 0, or a negative errno */
int vcpu_load(struct kvcpu *v, struct err *e) MUST_USE;		   /* registers and system registers into the run area */
bool vcpu_debug(struct kvcpu *v, const struct kvm_guest_debug *d); /* KVM_SET_GUEST_DEBUG where it differs */
/* Fill t->stop and t->out; always false, so that callers can `return vcpu_stop(…)`. */
bool vcpu_stop(struct kvcpu *v, enum stop_reason reason);
bool vcpu_out(struct kvcpu *v, enum outcome out);
bool vcpu_error(struct kvcpu *v, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool vcpu_kicked(const struct kvcpu *v);

/* Calls of KVM_RUN and returns from it, counted: odd while in it. Any thread may ask. Who holds a vCPU keeps it on its side
 * of that border for a moment; hold is false where the count is another by now. */
#define ENTRIES_HELD (1u << 31)
static inline unsigned vcpu_entry(const struct kvcpu *v)
{
	return atomic_load(&v->thread->entries) & ~ENTRIES_HELD;
}
static inline bool vcpu_hold(struct kvcpu *v, unsigned entry)
{
	return atomic_compare_exchange_strong(&v->thread->entries, &entry, entry | ENTRIES_HELD);
}
static inline void vcpu_let(struct kvcpu *v)
{
	atomic_fetch_and(&v->thread->entries, ~ENTRIES_HELD);
}

/* watch.c: kicks a lone vCPU whose step makes no progress for STUCK_NS. begin: before each job of steps, costs next to
 * nothing. */
#define STUCK_NS 1000000000ull
int watch_start(struct kvm_vm *vm, struct err *e) MUST_USE;
void watch_begin(struct kvm_vm *vm);
void watch_end(struct kvm_vm *vm); /* ends the thread */

/* exits.c. Each returns true where the vCPU may go on; else t->out is set. */
bool exit_free(struct kvcpu *v, int rc); /* after vcpu_enter() in a free run */
bool exit_io(struct kvcpu *v);		 /* the access in the run area: catch it, or have the board do it and complete it */
bool io_resume(struct kvcpu *v);	 /* an access that was caught: do it now */
bool io_finish(struct kvcpu *v);	 /* let KVM complete what the board has answered, and nothing else */
bool exit_failed(struct kvcpu *v, int rc); /* KVM_RUN's own failure, or an exit that nothing handles */
bool exit_exception(struct kvcpu *v, const struct kvm_vcpu_events *ev);
/* After a shutdown exit: is the vCPU what it was before the exception, and vcpu_events() the exception? */
static inline bool vcpu_told(const struct kvcpu *v)
{
	return v->vm->rs->st->shutdown_keeps_state || v->thread->trapped;
}
void vcpu_events(struct kvcpu *v, struct kvm_vcpu_events *ev);
/* An exception that waits for delivery: a #DB by a TF of ours, a #BP by an int3 of ours. */
bool vcpu_waiting(struct kvcpu *v, unsigned vector);
void vcpu_drop(struct kvcpu *v, unsigned vector);
bool exit_breakpoint(struct kvcpu *v, int id);
/* HLT: with interrupts off the vCPU is at its end, and that is a stop; else it waits while others run. */
bool exit_halt(struct kvcpu *v);
/* An INTERNAL_ERROR or DEBUG exit by an int3 that is the guest's own. */
bool exit_guest_int3(struct kvcpu *v, bool skip);

/* step.c. True: exactly one instruction was executed, and the vCPU stands before the next. */
bool step_one(struct kvcpu *v);
/* What stands at rip: watches, breakpoints, modes after a step. True: nothing that stops. */
void step_run(struct kvcpu *v, uint64_t count); /* JOB_STEP */
uint8_t vcpu_code_width(struct kvcpu *v);
bool vcpu_mode_changed(struct kvcpu *v, const struct run_plan *before); /* paging or width, by what is in it */
void vcpu_remember_mode(struct kvcpu *v, struct run_plan *p);		/* with the privilege level */
/* catch mode: false where mode or privilege are others than before; t->stop then says so. */
bool vcpu_look_at_mode(struct kvcpu *v, const struct run_plan *before);
bool step_slow(struct kvcpu *v); /* one round of a free run by steps */
/* Registers that were read out of the kernel while the vCPU is in KVM_RUN: what a step has put in place of the guest's own
 * becomes the guest's again. What is of the last stop is not touched. */
void step_hide(const struct kvcpu *v, struct regs *r);

/* trap.c */
bool idt_own(const struct kvcpu *v);
bool idt_handler(struct kvcpu *v, unsigned vector, uint64_t *linear, unsigned *dpl);
/* Deliver through the guest's IDT and stop at the handler's first instruction. */
bool trap_deliver(struct kvcpu *v, unsigned vector, bool has_error, uint32_t error);
bool trap_software(struct kvcpu *v, unsigned vector); /* the same for INT n and its like, which stands at rip */
/* What single-steps and stops at the handlers of likely exceptions; and whether the vCPU stands at one of those. */
void trap_guard(struct kvcpu *v, struct kvm_guest_debug *d);
bool trap_at_guard(struct kvcpu *v);
/* Real mode, at linear address 0: an exception whose vector is empty. Undo it and stop; always false. */
bool trap_no_handler(struct kvcpu *v);
/* The vCPU stands at the first instruction of a handler: was it a laid int3 that brought it here? Undo the delivery, then.
 */
bool trap_unwind(struct kvcpu *v, unsigned vector, int *id);
/* Segment register contents for a selector, out of the guest's tables. */
bool trap_segment(struct kvcpu *v, uint16_t selector, struct kvm_segment *out);

/* trappage.c */
int trap_page_make(struct kvm_vm *vm, struct err *e) MUST_USE;
void trap_page_free(struct run_state *rs);
/* Around KVM_RUN, for a vCPU without an IDT. in: false where it cannot stand in. */
bool trap_page_in(struct kvcpu *v);
int trap_page_out(struct kvcpu *v, int rc);		    /* rc, or 0 where it made an exit of it */
void trap_page_hide(const struct kvcpu *v, struct regs *r); /* as step_hide() */

/* plant.c */
int plant_lay(struct kvm_vm *vm, struct err *e) MUST_USE; /* plans and int3 bytes for all vCPUs */
void plant_relay(struct kvcpu *v);			  /* from the vCPU's thread: after tables changed */
void plant_lift(struct kvm_vm *vm);
int plant_exec_at(const struct run_state *rs, uint64_t linear); /* id, or 0 */
bool plant_laid_at(struct kvcpu *v, uint64_t linear);		/* an int3 of ours is there now */
bool plant_watching(const struct run_state *rs);
void plant_free(struct run_state *rs);

/* watchpoint.c. look: what the instruction at rip will touch of what is watched. judge: it has been executed; false where
 * that was a hit. touched: an armed page was touched in a free run; step the instruction, unless KVM has done it. */
struct watch_look {
	int id; /* 0: nothing that is watched */
	bool known, rep, write;
	uint64_t rip, linear, gpa;
	unsigned len;
	uint8_t old[8];
};
void watch_look(struct kvcpu *v, struct watch_look *l);
bool watch_judge(struct kvcpu *v, struct watch_look *l);
bool watch_touched(struct kvcpu *v);

/* gmem.c: from any thread, while slots stand still. */
enum run_mode vcpu_mode(struct kvcpu *v);
unsigned vcpu_cpl(struct kvcpu *v);
unsigned vcpu_bits(struct kvcpu *v);
uint64_t vcpu_linear(struct kvcpu *v, const struct kvm_segment *seg, uint64_t offset);
uint64_t vcpu_linear_rip(struct kvcpu *v);
/* The walk of the vCPU's tables, n 0 where paging is off; false where it ends in a fault. */
bool gmem_walk(struct kvcpu *v, uint64_t linear, struct walk *out);
/* The same under another root, of the mode that the vCPU is in. */
bool gmem_walk_under(struct kvcpu *v, uint64_t cr3, uint64_t linear, struct walk *out);
bool gmem_translate(struct kvcpu *v, uint64_t linear, uint64_t *gpa, uint8_t *rights);
struct slot *gmem_slot(struct kvcpu *v, uint64_t gpa);
/* The debugger's view of one byte; NULL where there is no memory, or where write and it is a file's. */
uint8_t *gmem_byte(struct kvcpu *v, uint64_t gpa, bool write);
size_t gmem_read(struct kvcpu *v, uint64_t linear, void *buf, size_t n); /* how many bytes could be read */
bool gmem_write(struct kvcpu *v, uint64_t linear, const void *buf, size_t n);

#endif
