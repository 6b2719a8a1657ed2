/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the kvm backend: the host's capabilities, the VM, its vCPUs, and who does what.
 *
 *   host.c   capabilities, CPUID                    vm.c     create, destroy, the ops table
 *   mem.c    slots: memfd mapped twice, dirty log    regs.c   registers through ioctls and the sync area
 *   smm.c    SMM by hand, or address space 1         probe.c  which debug facilities work, once
 *   run.c    threads, all-stop, exits                step.c   one instruction, per mode
 *   plant.c  breakpoints                             kernel/  the running kernel's own structures
 *   armed.c  armed for watchpoints                   pagefault.c, watchpoint.c  who comes to one; is it a hit
 */
#ifndef KVMSCOPE_KVMBACK_KVM_H
#define KVMSCOPE_KVMBACK_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/machine/machine_impl.h"

#define KVM_MAX_VCPUS_HERE 64

/* Slots of today's kernels (newkvm.h). Some answers are the kernel's, the others of a VM of the default type. */
struct kvm_new_caps {
	bool memory2, kernel_memfd, vm_memfd, prefault;
	uint64_t memfd_flags, attributes, vm_types;
};

/* Asked of /dev/kvm once for the process (host.c). */
struct kvm_host {
	int fd;
	unsigned max_slots, address_spaces;
	uint32_t sync_regs; /* KVM_CAP_SYNC_REGS bits, 0 for none */
	bool immediate_exit, x86_smm, readonly_mem, guest_debug, debugregs, vcpu_events, xsave;
	bool pdptes;	   /* PAE's top entries are registers, and KVM tells them (KVM_CAP_SREGS2) */
	bool nested_state; /* KVM_CAP_NESTED_STATE */
	bool manual_dirty; /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	unsigned ring_cap; /* KVM_CAP_DIRTY_LOG_RING_ACQ_REL, or KVM_CAP_DIRTY_LOG_RING; 0: neither */
	unsigned ring_max; /* entries that a ring may have */
	struct kvm_new_caps new;
	unsigned maxphyaddr;
	uint64_t gpa_limit; /* first address past what a slot may cover: shadow paging allows more than maxphyaddr */
	uint32_t *msrs;	    /* KVM_GET_MSR_INDEX_LIST */
	unsigned n_msrs;
	size_t xsave_size; /* of struct kvm_xsave with its tail */
	struct kvm_cpuid2 *cpuid;
	size_t run_size; /* of the kvm_run mapping */
};
int kvm_host_get(const struct kvm_host **out, struct err *e) MUST_USE;
/* The same of another device node, into *out; kvm_host_close() frees it. -ENOENT, -EACCES, -ENODEV (not KVM, or not API
 * 12), -EMFILE. */
int kvm_host_open(const char *path, struct kvm_host *out, struct err *e) MUST_USE;
void kvm_host_close(struct kvm_host *h);

/* What probe.c found (once per process, on a scratch VM), by mode and by [cpl == 3]. The empty IDT: with limit 0 an
 * exception is a KVM_EXIT_SHUTDOWN; where that keeps the vCPU's state, rip and the vector say what happened, TF's #DB
 * included. */
enum run_mode { RUN_REAL, RUN_PROT, RUN_LONG, RUN_MODES };
enum step_how { STEP_GUESTDBG, STEP_EMPTY_IDT, STEP_TRAP_PAGE, STEP_NONE };
enum break_how { BREAK_HW, BREAK_INT3_EXIT, BREAK_INT3_EMPTY_IDT, BREAK_INT3_HANDLER, BREAK_INT3_TRAP_PAGE, BREAK_STEP };
struct strategy {
	enum step_how step[RUN_MODES][2];
	enum break_how int3[RUN_MODES][2]; /* what becomes of an int3: never BREAK_HW; BREAK_STEP: nothing usable */
	uint8_t int3_vector[RUN_MODES][2]; /* of the exception that it raises; not always 3 (emulation without INT3: 6) */
	bool hw[RUN_MODES][2];		   /* execution breakpoints in debug registers hit */
	bool rf_hides;			   /* but not at the first instruction if RF is set */
	bool watch[RUN_MODES][2];	   /* data watchpoints in debug registers hit */
	bool out_moves_on[RUN_MODES][2];   /* at the exit of an OUT rip is behind it already */
	bool shutdown_keeps_state, hlt_step_runs_on, tdp;
	bool real_handler_hits; /* real mode: a debug register hits at the first instruction of a fault's handler */
	bool walks_write; /* the processor's own walks count as writes to the guest's tables: an armed one is touched at each
			   */
	bool step_is_for_one_rip; /* KVM_GUESTDBG_SINGLESTEP is to be asked for anew wherever the vCPU stands then */
};
int kvm_strategy_get(const struct strategy **out, struct err *e) MUST_USE;
/* tdp and walks_write: NPT takes each access of the processor to a guest table for a write (AMD APM vol. 2, 15.25.5); EPT
 * does if it keeps A and D bits (Intel SDM vol. 3C, 28.3.3.2). An error, and neither is set, where that cannot be asked now.
 */
int probe_paging(struct strategy *st, struct err *e) MUST_USE;
bool kvm_host_tdp(void); /* two-dimensional paging, by the parameters of KVM's modules, which anybody may read */

struct kvm_vm;
struct kview;
struct armed;
struct message;

struct kvcpu {
	struct kvm_vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	uint32_t sync_fresh;	/* KVM_SYNC_X86_* parts of run->s.regs that are the vCPU's state now */
	struct dirty_ring ring; /* of dirty pages: rings.c, with m.rings.lock */
	bool in_smm;		/* SMM emulated by us */
	bool smi_latched;   /* an SMI that came while in_smm: taken when kvm_smm_leave() leaves; or KVM has one that waits */
	atomic_bool halted; /* run.c: the last exit was a HLT, nothing has run since */
	uint32_t smbase;
	uint64_t xcr0;		      /* regs.c: as last fetched */
	uint64_t pdpte[4];	      /* of PAE paging, as of the last time out of KVM_RUN or the last store */
	struct nested_guest nested;   /* as of the same: nested.c */
	bool pdpte_valid;	      /* the vCPU is in PAE paging, and host->pdptes */
	struct vcpu_control *control; /* run.c's own */
};

struct kvm_vm {
	struct machine m;
	const struct kvm_host *host;
	int fd;
	atomic_bool ran; /* run.c sets it before KVM_RUN: KVM may have shadowed guest tables. mem.c clears it */
	struct kvcpu vcpu[KVM_MAX_VCPUS_HERE];
	struct regs *remembered; /* live.c: of all vCPUs, when the runner was last given a run */
	struct lock kview_lock;	 /* of the view and its opening */
	struct kview *kview;	 /* NULL until first used; kview_why says why it cannot be */
	struct err kview_err;
	struct run_state *rs;	   /* run.c, plant.c */
	struct armed *armed;	   /* armed.c; NULL until a page is armed */
	struct kvm_mmu *mmu;	   /* mmucatch.c; NULL until something is caught */
	struct kvm_faults *faults; /* fault.c; NULL until something is caught */
	struct rootwake *rootwake; /* rootwake.c; NULL until wanted */
	struct nestwake *nestwake; /* nestwake.c; the same */
	/* For tests, NULL else: called with an enum answer_at by whoever answers a message of an armed page. What happens to
	 * be late on a busy host is late for sure then. Set before the first watchpoint. */
	void (*answering)(struct armed *p, const struct message *m, int at);
	bool view_smm; /* mem.c: one address space only: the slots seen from SMM are in KVM now, not those seen outside */
};

static inline struct kvm_vm *kvm_of(const struct machine *m)
{
	return CONTAINER_OF(m, struct kvm_vm, m);
}

/* Does a vCPU stand inside a fault? None of its ioctls, nor of slots and dirty logs, may be called then. Any thread may ask.
 */
static inline bool kvm_is_parked(const struct kvm_vm *vm)
{
	return run_phase(&vm->m.run) == RUN_PARKED;
}

/* mem.c */
int kvm_slot_change(struct machine *m, struct slot *s, const struct slot_change *c, struct slot_steps *steps, struct err *e);
void kvm_slot_release(struct machine *m, struct slot *s);
int kvm_slot_dirty(struct machine *m, struct slot *s, bool restart, struct err *e);
int kvm_wrote(struct machine *m, struct slot *s, uint64_t gpa, uint64_t len, struct err *e);
/* Delete and create the slot's region(s) so that KVM forgets every spte of it. */
int kvm_slot_refresh(struct kvm_vm *vm, struct slot *s, struct err *e) MUST_USE;
/* Put in what SMM sees, or what is seen outside, if the host has one address space only; dirty logs are folded first. */
int kvm_slots_view(struct kvm_vm *vm, bool smm, struct err *e) MUST_USE;

/* rings.c: dirty pages by rings, where the VM was made with them (vm->m.rings.entries). enable: before the VM has vCPUs.
 * -ENOTSUP, -EINVAL in words. map: the vCPU's own. */
int kvm_rings_enable(struct kvm_vm *vm, unsigned entries, struct err *e) MUST_USE;
int kvm_ring_map(struct kvcpu *v, struct err *e) MUST_USE;
void kvm_ring_unmap(struct kvcpu *v);
/* What the rings have had since; no ioctl, so that a vCPU may stand inside a fault. give_back: KVM then protects the pages
 * anew. */
void kvm_rings_read(struct kvm_vm *vm);
int kvm_rings_give_back(struct kvm_vm *vm, struct err *e) MUST_USE;
/* KVM_EXIT_DIRTY_RING_FULL, from the vCPU's own thread: its ring is emptied, and the guest may go on. A negative errno. */
int kvm_ring_full(struct kvcpu *v);

/* newfacts.c: why no slot can have a guest_memfd, NULL if it can; rows of `info kvm` about slots of today's kernels. */
const char *kvm_memfd_why(const struct kvm_host *h);
int kvm_new_facts(struct kvm_vm *vm, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg);

/* prefault.c */
int kvm_prefault(struct machine *m, unsigned vcpu, const struct slot *s, uint64_t gpa, uint64_t size,
		 int (*poll)(void *unused), struct prefault *out, struct err *e);

/* regs.c: all work from the debugger's thread while the vCPU is out of KVM_RUN. */
int kvm_get_regs(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e);
int kvm_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e);
int kvm_inject(struct machine *m, unsigned vcpu, const struct guest_fault *f, struct err *e);
/* Architectural reset state of every register, events and mp_state too. */
int kvm_reset_regs(struct kvcpu *v, struct err *e) MUST_USE;
void kvm_seg_out(struct seg *to, const struct kvm_segment *from);

/* smm.c: called by run.c with all vCPUs out of the guest. enter: the board's SMI or machine_smi(), any exit that raised it
 * completed (the saved rip is the vCPU's); while in_smm the SMI is latched and nothing else happens. leave: an RSM stands at
 * rip; a latched SMI is taken at once (in_smm then stays). -EINVAL: the saved state is one that RSM answers with shutdown.
 */
int kvm_smm_enter(struct kvm_vm *vm, unsigned vcpu, struct err *e) MUST_USE;
int kvm_smm_leave(struct kvm_vm *vm, unsigned vcpu, struct err *e) MUST_USE;
/* Set whether the vCPU is in (emulated) SMM, swapping the slots that only one side sees. Registers are the caller's. */
int kvm_smm_switch(struct kvm_vm *vm, unsigned vcpu, bool smm, struct err *e) MUST_USE;
void kvm_smm_reset(struct kvcpu *v); /* SMBASE and a latched SMI; in_smm is kvm_smm_switch()'s */
int kvm_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e);
int kvm_set_smbase(struct machine *m, unsigned vcpu, uint32_t smbase, struct err *e);

/* step/smi.c */
int kvm_smi(struct machine *m, unsigned vcpu, struct err *e);

/* run.c, step.c, plant.c */
int kvm_run_init(struct kvm_vm *vm, struct err *e) MUST_USE; /* after the vcpus exist: threads are started lazily */
void kvm_run_deinit(struct kvm_vm *vm);			     /* joins the threads */
/* struct run_ops' (core/run/run.h); ctx is the struct machine. */
int kvm_enter(void *ctx, struct run_job *job, struct stop *out, struct err *e) MUST_USE;
void kvm_kick(void *ctx);
void kvm_nudge(void *ctx);
void kvm_thread_begin(void *ctx);
/* A planted int3 is in memory only while the guest runs: a read through a slot's alias gives the guest's own bytes. */
int kvm_plant(struct machine *m, struct plant *p, struct err *e);
int kvm_unplant(struct machine *m, int id, struct err *e);
int kvm_plants_now(struct machine *m, struct plant *p, size_t n, struct err *e);
int kvm_set_catch(struct machine *m, uint32_t events, struct err *e);
int kvm_run_facts(struct machine *m, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		  struct err *e);
/* The VM was reset or registers were set: forget a pending MMIO completion, a pending #DB. */
void kvm_run_forget(struct kvm_vm *vm, unsigned vcpu);

/* inspect.c: the inspection ops on kernel/kview.h */
/* With kview_lock held, for as long as *out is used. */
int kvm_kview(struct kvm_vm *vm, struct kview **out, struct err *e) MUST_USE;
/* The same by one call, from any thread; the view is opened if it is not yet. kvm_view_gprs() does not open it. */
int kvm_view_open(struct kvm_vm *vm, struct err *e) MUST_USE;
int kvm_view_roots(struct kvm_vm *vm, struct root_list *out, struct err *e) MUST_USE;
int kvm_view_rmap(struct kvm_vm *vm, uint64_t gfn, struct rmap_list *out, struct err *e) MUST_USE;
int kvm_view_regs(struct kvm_vm *vm, unsigned vcpu, struct regs *out, struct err *e) MUST_USE;
int kvm_view_rip(struct kvm_vm *vm, unsigned vcpu, uint64_t *rip, struct err *e) MUST_USE;
int kvm_view_gprs(struct kvm_vm *vm, unsigned vcpu, uint64_t gpr[16], uint64_t *rip) MUST_USE;
/* Two-dimensional paging; unknown: what to answer if the kernel cannot be read. */
bool kvm_view_tdp(struct kvm_vm *vm, bool unknown);
bool kvm_view_tdp_mmu(struct kvm_vm *vm, bool unknown);
bool kvm_view_ept(struct kvm_vm *vm); /* in EPT's format; false where nobody knows */
int kvm_slot_list(struct machine *m, struct slot_info_list *out, struct err *e);
void kvm_slot_generation(struct machine *m, const struct slot *s, uint64_t *generation, unsigned *as);
extern const struct machine_looks kvm_looks;
int kvm_rmap_each(struct machine *m, rmap_fn *fn, void *arg, struct err *e);
void kvm_share_reads(struct machine *m, bool on);

/* hpa.c */
int kvm_hpa(struct machine *m, const struct slot *s, uint64_t gpa, uint64_t *hpa, struct err *e);
/* NULL if frame numbers are shown to this process; else why not, and kvm_hpa_next() what to do. */
const char *kvm_hpa_why(void);
const char *kvm_hpa_next(void);

/* cando.c: rows of `info kvm` about what depends on who runs the program, each by asking what the command itself asks. */
int kvm_privilege_facts(struct kvm_vm *vm, int (*fn)(void *arg, const char *what, const char *value, const char *why),
			void *arg);

#endif
