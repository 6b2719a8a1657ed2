/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The machine: the one interface to a virtual machine, whoever runs it. Callers' header; backends include
 * core/machine/machine_impl.h.
 *
 * All functions are called from one thread (the debugger's), except machine_interrupt(), and looks and memops that change
 * nothing if the backend answers them while its guest runs. What each call needs (capabilities, run state) is its row in
 * core/machine/calls.h, refused in one place with -ENOTSUP ("not supported by this backend, because …") or -EBUSY. The vCPU
 * is always an argument. While machine_run() is not running, every vCPU is out of the guest (all-stop), or parked inside a
 * fault (machine_parked()).
 */
#ifndef KVMSCOPE_CORE_MACHINE_H
#define KVMSCOPE_CORE_MACHINE_H

#include "core/cpu/regs.h"
#include "core/machine/looks.h"
#include "core/mem/memop.h"
#include "core/mem/memslot.h"
#include "core/run/run.h"

struct machine;
struct machine_ops;
struct board;

struct machine_config {
	unsigned vcpus;	      /* 1 to 64 */
	bool mmio_sptes;      /* soft: make MMIO sptes */
	unsigned dirty_ring;  /* log dirty pages in a ring of so many entries for each vCPU; 0: in bitmaps */
	bool emulated_kernel; /* soft: accesses of CPL 0 go the way of an emulator (no sptes, the MMIO cache asked first), as
			       * on a host whose KVM emulates CPL 0 */
};

/* X(id, words): what a machine can do, as `info kvm` and refusals name it. Without the first four it may only be looked at.
 */
#define MACHINE_CAPS(X)                                                                                                     \
	X(RUN, "running the guest") /* run, step, stop at what is planted and caught */                                     \
	X(WRITE, "writing guest memory")                                                                                    \
	X(SLOTS, "changing slots")                                                                                          \
	X(CONTROL, "changing vCPUs") /* registers, events, reset */                                                         \
	X(SHADOW, "shadow pages")    /* shadow pages, sptes and roots can be read */                                        \
	X(RMAP, "reverse maps")                                                                                             \
	X(MMIO_CACHE, "MMIO cache")                                                                                         \
	X(HPA, "host physical addresses") /* hva to host physical */                                                        \
	X(WATCH, "watchpoints")		  /* on data */                                                                     \
	X(FAULT_STEP, "standing inside a fault")                                                                            \
	X(SMM_NATIVE, "SMM by the CPU") /* SMI, RSM by the CPU; else emulated by the debugger */                            \
	X(REVERSE, "running backwards")                                                                                     \
	X(SVM, "SVM for the guest") /* it can run guests of its own with it */

enum machine_cap {
#define CAP_ID(id, words) MACHINE_CAP_##id,
	MACHINE_CAPS(CAP_ID) MACHINE_CAP_COUNT
#undef CAP_ID
};
#define NEEDS(id) (1u << MACHINE_CAP_##id) /* one of a set of capabilities that something needs */

/* Create a machine of a backend: no slots, vcpus at reset state. The caller destroys it. */
int machine_create(const struct machine_ops *backend, const struct machine_config *cfg, struct machine **out,
		   struct err *e) MUST_USE;
void machine_destroy(struct machine *m);
const char *machine_backend(const struct machine *m); /* "kvm", "soft", "fake" */
unsigned machine_vcpus(const struct machine *m);
const char *machine_cap_name(enum machine_cap cap); /* its words */
/* True if the machine can; else *why (may be NULL) is the reason in words. */
bool machine_can(const struct machine *m, enum machine_cap cap, const char **why);
/* After machine_can() has said no: what would give it to the machine; NULL: nothing in particular. */
const char *machine_cap_next(const struct machine *m, enum machine_cap cap);
/* What a client asks before it begins with something that will take several calls, in the words of the calls themselves.
 * needs: bits of enum machine_cap; -ENOTSUP. idle: the guest stands, and no vCPU inside a fault; -EBUSY. */
int machine_check_caps(const struct machine *m, uint32_t needs, const char *what, struct err *e) MUST_USE;
int machine_check_idle(const struct machine *m, const char *what, struct err *e) MUST_USE;
/* Lines of "what: found, chosen, why" for `info kvm`: rows of {what, value, why}, filled into caller's callback. */
int machine_facts(struct machine *m, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		  struct err *e) MUST_USE;

/* A look of several steps (an environment, walks in it, lists of what they met) at a guest that may be running: between
 * begin and the end of the scope that has the hold it does not change. -EBUSY if it runs and this backend cannot answer
 * then. */
struct machine_hold {
	struct machine *m; /* NULL: no lock is held */
};
int machine_look_begin(struct machine *m, struct machine_hold *h, struct err *e) MUST_USE;
void machine_end(struct machine_hold *h);
#define _cleanup_hold_ _cleanup_(machine_end)

/* Slots. The steps a change took, in words ("KVM_SET_USER_MEMORY_REGION slot 1: delete", …). */
#define SLOT_STEPS_MAX 8
struct slot_steps {
	unsigned n;
	char step[SLOT_STEPS_MAX][96];
};
struct slot_table *machine_slots(struct machine *m); /* read it, look things up in it; change it by the calls below only */
int machine_slot_add(struct machine *m, const struct slot_spec *spec, struct slot_steps *steps, struct err *e) MUST_USE;
int machine_slot_delete(struct machine *m, uint32_t id, struct slot_steps *steps, struct err *e) MUST_USE;
int machine_slot_move(struct machine *m, uint32_t id, uint64_t gpa, struct slot_steps *steps, struct err *e) MUST_USE;
/* Flags after it: (flags & ~clear) | set. A READONLY flip is a delete and a create that keep every byte. SLOT_SMRAM set or
 * cleared is visibility smm or both. vis 0 keeps it. */
int machine_slot_flags(struct machine *m, uint32_t id, uint32_t set, uint32_t clear, enum slot_vis vis,
		       struct slot_steps *steps, struct err *e) MUST_USE;
/* Bring slot->dirty up to date with what the guest has written since the last clear; clear: then start anew. The bitmap that
 * the caller reads is the one before the clear: copied to *bits (n words, caller frees), the OR of both visibilities. */
int machine_slot_dirty(struct machine *m, uint32_t id, bool clear, uint64_t **bits, size_t *n_words, struct err *e) MUST_USE;
/* The same, what was written outside SMM and inside it apart: bits[1] is the latter's; NULL for a side that does not see the
 * slot. The caller frees both. */
int machine_slot_dirty_views(struct machine *m, uint32_t id, bool clear, uint64_t *bits[2], size_t *n_words,
			     struct err *e) MUST_USE;
/* The entries of the slot's pages that vCPUs' rings have had since its last clear, bitmaps brought up to date as above; a
 * clear drops them. -ENOTSUP: this VM has no rings (struct machine_config). */
int machine_slot_dirty_ring(struct machine *m, uint32_t id, struct dirty_entry_list *out, struct err *e) MUST_USE;
/* Have [gpa, gpa + size) of a slot mapped for the vCPU as if it had read each page, before it does; whole pages. poll: asked
 * now and then, negative to give up. -ENOTSUP in words; -EINTR and others say how far it came, what is mapped stays. */
struct prefault {
	uint64_t bytes; /* that are mapped now */
	unsigned calls; /* of the kernel's, that it took */
	/* soft: what the guest's tables lead to there, 4 KiB each, and how many of these have an entry that is not accessed
	 * yet: KVM maps none of such ahead, as the guest's A bit would never be set. */
	bool by_tables;
	uint64_t mapped, not_accessed;
};
int machine_slot_prefault(struct machine *m, unsigned vcpu, uint32_t id, uint64_t gpa, uint64_t size,
			  int (*poll)(void *unused), struct prefault *out, struct err *e) MUST_USE;
/* The slots as the machine itself has them (kernel's copy if it can be read). own ones included. */
int machine_slot_list(struct machine *m, struct slot_info_list *out, struct err *e) MUST_USE;
/* One slot by the debugger's table, right after a change that the machine has accepted: only the generation is read from it,
 * so that the record of a change costs little beside the change. -ENOENT. */
int machine_slot_info(struct machine *m, uint32_t id, struct slot_info *out, struct err *e) MUST_USE;

/* Guest physical memory, the debugger's own access: READONLY slots can be written, nothing faults, no bit changes.
 * write makes the backend drop what it cached of it (KVM: delete and create of a slot whose guest tables changed). smm: as
 * seen from SMM. Errors: those of slots_read() and slots_write(). */
int machine_read(struct machine *m, uint64_t gpa, bool smm, void *buf, size_t len, struct err *e) MUST_USE;
int machine_write(struct machine *m, uint64_t gpa, bool smm, const void *buf, size_t len, struct err *e) MUST_USE;
/* Pointer to the debugger's view of gpa and how many bytes follow it in the same slot: the fast path beside machine_read().
 * NULL: there is no memory, or none that is mapped here (machine_read() tells them apart). */
const uint8_t *machine_peek(struct machine *m, uint64_t gpa, bool smm, size_t *len);
/* The same through the vCPU's page tables, as a supervisor's read; writes ignore W and WP. -EFAULT if a page does not
 * translate, naming the first such address; then nothing was written. */
int machine_read_gva(struct machine *m, unsigned vcpu, uint64_t gva, void *buf, size_t len, struct err *e) MUST_USE;
int machine_write_gva(struct machine *m, unsigned vcpu, uint64_t gva, const void *buf, size_t len, struct err *e) MUST_USE;
/* Whether they could: their errors, for every byte of the range, and nothing is changed. */
int machine_writable(struct machine *m, uint64_t gpa, bool smm, size_t len, struct err *e) MUST_USE;
int machine_writable_gva(struct machine *m, unsigned vcpu, uint64_t gva, size_t len, struct err *e) MUST_USE;
/* The pipeline's environment for this vCPU as it stands, without side effects. */
int machine_env(struct machine *m, unsigned vcpu, struct xlate_env *out, struct err *e) MUST_USE;
/* Under the walk lock: what changes nothing (a read, a check, without INJECT) may come from another thread while the machine
 * runs, if the backend runs guest code under that lock (soft); else -EBUSY then. */
int machine_memop(struct machine *m, unsigned vcpu, const struct memop *op, struct memop_result *out,
		  struct err *e) MUST_USE;
struct storage_keys *machine_keys(struct machine *m);
/* gpa to the host virtual address that the backend maps it at, and on to host physical (-ENOTSUP, -EPERM, -ENODATA: not
 * present). */
int machine_hva(struct machine *m, uint64_t gpa, bool smm, uint64_t *hva, struct err *e) MUST_USE;
int machine_hpa(struct machine *m, uint64_t gpa, bool smm, uint64_t *hpa, struct err *e) MUST_USE;

/* vCPUs. get fills at least the parts asked for and sets out->valid; set stores the parts named. */
int machine_get_regs(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e) MUST_USE;
int machine_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e) MUST_USE;
/* Queue an exception for delivery at the next run. */
int machine_inject(struct machine *m, unsigned vcpu, const struct guest_fault *f, struct err *e) MUST_USE;
int machine_smi(struct machine *m, unsigned vcpu, struct err *e) MUST_USE;
/* The SMBASE that the vCPU's next SMI enters at. -ENODATA if the host does not tell. */
int machine_smbase(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e) MUST_USE;
/* Back to reset state: registers, events, SMM; slots and plants stay. */
int machine_reset(struct machine *m, struct err *e) MUST_USE;

/* Run a job (core/run/run.h) on the calling thread until it stops. The stop is a result; an error means nothing ran. */
int machine_run_job(struct machine *m, struct run_job *job, struct stop *out, struct err *e) MUST_USE;
/* The same with all vCPUs past what is planted where they start. */
int machine_run(struct machine *m, enum run_kind kind, unsigned vcpu, uint64_t count, struct stop *out,
		struct err *e) MUST_USE;
/* The same for a client that does something else meanwhile, see run_start(), run_poll(), run_wait() and run_fd() in
 * core/run/run.h. The one thread from which a machine is called is the client's: that is where everything is delivered. */
int machine_start(struct machine *m, const struct run_job *job, enum run_where where, struct err *e) MUST_USE;
int machine_poll(struct machine *m, struct stop *out, struct err *e) MUST_USE;
int machine_wait(struct machine *m, struct stop *out, struct err *e) MUST_USE;
int machine_run_fd(struct machine *m);
/* What has become of the last job's .passed. */
uint64_t machine_passed(const struct machine *m);
/* Where the guest's console bytes go, on the client's thread, in order with the stops. fn NULL: nowhere. */
void machine_console(struct machine *m, void (*fn)(void *ctx, const char *bytes, size_t n), void *ctx);
/* Who is told, on the client's thread, that a run has made no progress for a second (core/run/progress.h). It goes on. */
void machine_tell_stalls(struct machine *m, void (*fn)(void *ctx, const struct stall *s), void *ctx);
enum run_phase machine_phase(const struct machine *m);
/* Make a running machine_run() stop with STOP_INTERRUPTED (or not start). From any thread or a signal handler. */
void machine_interrupt(struct machine *m);
bool machine_running(const struct machine *m);
/* Asked at the start of each machine_run(), when machine_running() is true already: true stops it as machine_interrupt()
 * does. What came between the caller's last look and that moment is not lost so. NULL, as at first: nobody is asked. */
void machine_ask_interrupted(struct machine *m, bool (*interrupted)(void));

/* While who ("a condition") is being worked out whatever runs the guest or changes something is refused, -EBUSY; NULL: it no
 * longer is. who must live as long. */
void machine_only_look(struct machine *m, const char *who);

/* Things to stop at. id is the caller's, unique; how is filled with the mechanism chosen: hw, int3, hw+int3 (a debug
 * register, and an int3 for where that does not hit), trap, page, step, soft. */
enum plant_kind { PLANT_EXEC, PLANT_EXEC_HW, PLANT_WRITE, PLANT_READ, PLANT_ACCESS };
struct plant {
	int id;
	enum plant_kind kind;
	uint64_t addr; /* linear, or guest physical with phys (watchpoints) */
	uint64_t len;
	bool phys;
	const char *how;
	/* What keeps it from more than steps, or from being as it should; NULL: nothing. Lives as long as the machine. */
	const char *why;
};
/* Is there memory behind a range that somebody wants watched, as this vCPU's tables and the slots are now? -EINVAL: a device
 * answers there, or a READONLY slot does and writes alone are asked for; -EPERM: the debugger's own memory. Planting does
 * not ask this: tables and slots change. */
int machine_check_watch(struct machine *m, unsigned vcpu, const struct plant *p, struct err *e) MUST_USE;
int machine_plant(struct machine *m, struct plant *p, struct err *e) MUST_USE;
int machine_unplant(struct machine *m, int id, struct err *e) MUST_USE;
/* How each of n plants (their ids) would be done if the guest ran now: how and why. Those that are not planted stay as they
 * are. */
int machine_plants_now(struct machine *m, struct plant *p, size_t n, struct err *e) MUST_USE;

/* Events to stop at besides what always stops. */
enum catch_event {
	CATCH_MMIO = 1 << 0, /* after it is decoded, before the device sees it */
	CATCH_PIO = 1 << 1,
	CATCH_EXCEPTION = 1 << 2, /* any that the machine can see, delivered or not */
	CATCH_SMI = 1 << 3,	  /* at the handler's first instruction, and after RSM */
	CATCH_MODE = 1 << 4,
	CATCH_SLOT = 1 << 5, /* changed by the debugger: before the guest runs on; by SMI and RSM: behind them */
	CATCH_MMU = 1 << 6,  /* a catchpoint's name for it; told by machine_mmu_catch(), not by machine_catch() */
};
int machine_catch(struct machine *m, uint32_t events, struct err *e) MUST_USE;
/* The mechanism that a catchpoint of this event stands on: soft, exit, trap, step, page, trace. event 0: faults. */
const char *machine_catch_how(const struct machine *m, uint32_t event);
/* Changes of slots that CATCH_SLOT has not told of are of no interest any more. */
void machine_slot_forget_news(struct machine *m);

/* Stop after the MMU has done one of these to a gfn (inclusive). n 0: to none any more. The filters are copied. On kvm a
 * tracepoint cannot stop a vCPU where it stands: a signal makes it leave KVM_RUN, before it enters the guest again. */
#define MMU_FILTERS_MAX 32
struct mmu_filter {
	uint32_t kinds; /* MMU_ZAP | … */
	uint64_t first, last;
};
int machine_mmu_catch(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e) MUST_USE;
bool mmu_filter_matches(const struct mmu_filter *v, size_t n, const struct mmu_event *ev);
/* What the last STOP_MMU is about, in the order in which it happened; empty after any other stop. */
int machine_mmu_events(struct machine *m, struct mmu_event_list *out, struct err *e) MUST_USE;

/* Looks change nothing that they look at; machine_shadow_pages() and its like: core/machine/looks.h. */
/* machine_rmap_all() a row at a time, by slots and levels but not always by gfns; of the sptes only sptep need be there.
 * *row and what it points to live during the call only. An answer of fn's that is not 0 ends it and is returned. */
typedef int rmap_fn(void *arg, const struct rmap_info *row);
int machine_rmap_each(struct machine *m, rmap_fn *fn, void *arg, struct err *e) MUST_USE;

/* Between on and off, while nothing runs, several of the above may share what they read. */
void machine_share_reads(struct machine *m, bool on);

/* Fault stepping. A vCPU may stand inside a fault: then registers and slots must not be asked of the kernel's ioctls, and
 * the backend serves or refuses (-EBUSY, with the reason) accordingly. */
bool machine_parked(const struct machine *m, unsigned *vcpu);
/* Stop inside faults that touch these gfns (inclusive). gva: of guest virtual pages first..last instead. all: any. */
struct fault_filter {
	bool all, gva;
	uint64_t first, last;
};
/* Faults that any of the filters lets through, which are copied. n 0: none any more. */
#define FAULT_FILTERS_MAX 16
int machine_fault_catch(struct machine *m, const struct fault_filter *v, size_t n, struct err *e) MUST_USE;
/* True if this host does not catch each fault, but the first of a page after it was armed: *why says why, and what to do. */
bool machine_fault_limit(struct machine *m, struct err *why);
/* What is caught now, *n filters. */
const struct fault_filter *machine_fault_caught(const struct machine *m, size_t *n);
/* Guest memory that is kept from the guest to see who touches it: pages armed for watchpoints, with the tables by which they
 * are reached, and gfns whose faults are caught. fn gets ranges of gpas, in no order, perhaps one twice; it calls nothing of
 * the machine. */
typedef void armed_fn(void *arg, uint64_t gpa, uint64_t len);
void machine_armed(struct machine *m, armed_fn *fn, void *arg);
/* Could a RUN_STAGE job be asked for now? */
int machine_fault_check(struct machine *m, struct err *e) MUST_USE;
int machine_fault_step(struct machine *m, struct stop *out, struct err *e) MUST_USE; /* one stage, or to the next fault */
int machine_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e) MUST_USE;

struct board *machine_board(struct machine *m);

/* ---- for checkpoints and going back (core/debug/checkpoint, reverse) */

/* How often the debugger has changed what the guest runs on (memory, registers, slots, events), and reset it. */
uint64_t machine_changes(const struct machine *m);
uint64_t machine_resets(const struct machine *m);
uint64_t machine_runs(const struct machine *m); /* how often the guest was let run, or run again */
/* Pages into the slot's memory, the backend told once for each stretch. Ascending; bytes NULL: zeroes. -EROFS if the slot
 * maps a file. */
struct machine_page {
	uint64_t index; /* page within the slot */
	const uint8_t *bytes;
};
int machine_write_pages(struct machine *m, uint32_t slot, const struct machine_page *v, size_t n, struct err *e) MUST_USE;
/* The dirty log of a slot as it was: words as machine_slot_dirty() gives them, outside and inside SMM, NULL for none. */
int machine_slot_dirty_set(struct machine *m, uint32_t id, uint64_t *const bits[2], struct err *e) MUST_USE;
/* SMBASE as it was; an SMI that waits for RSM is dropped. Optional. */
int machine_set_smbase(struct machine *m, unsigned vcpu, uint32_t smbase, struct err *e) MUST_USE;
/* Of a vCPU whose guest runs a guest, what its registers do not have: one piece of memory, which is the caller's; *len 0:
 * nothing. leave before registers are set, put behind. */
int machine_nested_take(struct machine *m, unsigned vcpu, void **state, size_t *len, struct err *e) MUST_USE;
int machine_nested_leave(struct machine *m, unsigned vcpu, struct err *e) MUST_USE;
int machine_nested_put(struct machine *m, unsigned vcpu, const void *state, size_t len, struct err *e) MUST_USE;
/* State that is in neither registers, slots nor board, as ranges of host memory; maps: of use only with the same slots. */
int machine_hidden(struct machine *m, int (*fn)(void *ctx, void *at, size_t len, bool maps), void *ctx);
bool machine_has_hidden(const struct machine *m); /* true: the ranges hold the registers too, if the backend is soft */
void machine_hidden_drop(struct machine *m);
void machine_hidden_restored(struct machine *m, bool maps);
/* MACHINE_CAP_REVERSE: what follows, and RUN_REPLAY, which fails with -EUCLEAN if the run is not the one that was recorded.
 * The position counts instructions completed and exceptions delivered on all vCPUs; 0 without it. */
uint64_t machine_position(const struct machine *m);
/* The position before the vCPU's last instruction that began before *position. False: none in the log. */
bool machine_position_before(const struct machine *m, unsigned vcpu, uint64_t *position);
void machine_log_cut(struct machine *m, uint64_t first, uint64_t last); /* forget what ran before first and after last */
/* fn is called between two instructions of a run, once, when position is reached, from the thread that runs the guest; it
 * may look at the machine, and set the next mark. fn NULL: none. */
void machine_mark(struct machine *m, uint64_t position, void (*fn)(void *ctx), void *ctx);

#endif
