/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Implementers' side of the machine: what a backend provides, and what the wrapper keeps for it. Only core/machine/machine.c
 * and the backends include this.
 */
#ifndef KVMSCOPE_CORE_MACHINE_IMPL_H
#define KVMSCOPE_CORE_MACHINE_IMPL_H

#include <stdatomic.h>

#include "core/base/lock.h"
#include "core/board/board.h"
#include "core/machine/machine.h"
#include "core/mem/dirtyring.h"
#include "core/mem/gfncache.h"

/* Operations. M: mandatory. O: optional, NULL gives -ENOTSUP with cap_why()'s words. What a call needs (calls.h) is
 * checked already, and its arguments: vcpu in range, slots known to slot_check(). What is M may be missing if a capability
 * of the calls that use it is. */
struct machine_ops {
	const char *name;
	/* M. Allocate the backend's struct zeroed, with struct machine as its first member; vcpus at reset. It may fill
	 * slots.limits, maxphyaddr and no_gbpages; the wrapper fills ops, vcpus, board, keys and the limits left 0. */
	int (*create)(const struct machine_config *cfg, struct machine **out, struct err *e);
	/* M. Free everything, the struct too; the wrapper has freed what is its own. Slots' backing is released by
	 * slot_release. */
	void (*destroy)(struct machine *m);
	/* M. Reason why cap is missing; NULL if the machine has it. */
	const char *(*cap_why)(const struct machine *m, enum machine_cap cap);
	/* O. What would give it the missing cap ("sudo, or ..."); NULL: nothing in particular. */
	const char *(*cap_next)(const struct machine *m, enum machine_cap cap);
	/* O */
	int (*facts)(struct machine *m, int (*fn)(void *arg, const char *what, const char *value, const char *why),
		     void *arg, struct err *e);

	/* M. Carry out a checked change. CREATE: s is new, filled from the spec; the backend makes its memory (alias, hva,
	 * backing) unless s->backing is set already (a flip's second half). MOVE and FLAGS: s is the slot, change->to the
	 * wish; the wrapper writes s->gpa, s->flags and s->vis after success. DELETE keeps the backing; slot_release frees
	 * it. Fills steps. */
	int (*slot_change)(struct machine *m, struct slot *s, const struct slot_change *change, struct slot_steps *steps,
			   struct err *e);
	void (*slot_release)(struct machine *m, struct slot *s); /* M */
	/* M. Fold what the guest wrote since the last call into s->dirty. restart: also begin a new interval in the backend.
	 */
	int (*slot_dirty)(struct machine *m, struct slot *s, bool restart, struct err *e);
	/* O. A checked range of a slot. */
	int (*slot_prefault)(struct machine *m, unsigned vcpu, const struct slot *s, uint64_t gpa, uint64_t size,
			     int (*poll)(void *unused), struct prefault *out, struct err *e);
	int (*slot_list)(struct machine *m, struct slot_info_list *out, struct err *e); /* O: else from the table */
	enum source slot_source; /* where a slot of the table comes from */
	/* The generation of a slot's address space, and which space that is. O: else the table's, and 0 */
	void (*slot_generation)(struct machine *m, const struct slot *s, uint64_t *generation, unsigned *as);
	/* M. The debugger wrote [gpa, gpa+len) through the alias: drop what is cached of it. */
	int (*wrote)(struct machine *m, struct slot *s, uint64_t gpa, uint64_t len, struct err *e);
	int (*hpa)(struct machine *m, const struct slot *s, uint64_t gpa, uint64_t *hpa, struct err *e); /* O */

	int (*get_regs)(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e);	 /* M */
	int (*set_regs)(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e); /* M */
	int (*inject)(struct machine *m, unsigned vcpu, const struct guest_fault *f, struct err *e);		 /* M */
	int (*smi)(struct machine *m, unsigned vcpu, struct err *e);						 /* M */
	int (*smbase)(struct machine *m, unsigned vcpu, uint32_t *smbase, struct err *e);			 /* M */
	int (*reset)(struct machine *m, struct err *e);								 /* M */
	/* O: bytes of memory that stand for plants while the guest runs, or a vCPU stands inside a fault, become what is
	 * under them, in what was just read of [gpa, gpa + len). */
	void (*hide_plants)(struct machine *m, uint64_t gpa, void *buf, size_t len);
	/* Bits 1 << ASK_LIVE_… (core/machine/calls.h): what is answered while the guest runs. */
	uint32_t live;
	/* O: the lock under which guest code runs, for what looks meanwhile and for memops. False: this thread has it
	 * already.
	 */
	bool (*walk_lock)(struct machine *m);
	void (*walk_unlock)(struct machine *m); /* O */

	const struct run_ops *run;					 /* M: core/run/run.h; ctx is the struct machine */
	int (*plant)(struct machine *m, struct plant *p, struct err *e); /* M */
	int (*unplant)(struct machine *m, int id, struct err *e);	 /* M */
	int (*plants_now)(struct machine *m, struct plant *p, size_t n, struct err *e); /* O: else as when planted */
	int (*set_catch)(struct machine *m, uint32_t events, struct err *e);		/* M */
	const char *(*catch_how)(uint32_t event); /* O: see machine_catch_how(); else "soft" */

	/* O. */
	int (*mmu_catch)(struct machine *m, const struct mmu_filter *v, size_t n, struct err *e);
	int (*mmu_events)(struct machine *m, struct mmu_event_list *out, struct err *e);

	const struct machine_looks *looks; /* O: looks.h */
	/* O: else by rmap_all */
	int (*rmap_each)(struct machine *m, rmap_fn *fn, void *arg, struct err *e);
	void (*share_reads)(struct machine *m, bool on); /* O */
	/* O: ranges that are armed for watchpoints */
	void (*armed)(struct machine *m, armed_fn *fn, void *arg);

	int (*fault_catch)(struct machine *m, const struct fault_filter *v, size_t n, struct err *e);
	int (*fault_stages)(struct machine *m, struct fault_stage_list *out, struct err *e);
	bool (*fault_limit)(struct machine *m, struct err *why); /* O: each fault is caught */

	/* O. State that registers, slots and board do not hold, as ranges of host memory whose bytes can be copied away and
	 * back. maps: those made from guest memory (shadow tables), of use only with the slots of then. drop: before ranges
	 * are put back without the maps; restored: after. */
	int (*hidden)(struct machine *m, int (*fn)(void *ctx, void *at, size_t len, bool maps), void *ctx);
	void (*hidden_drop)(struct machine *m);
	void (*hidden_restored)(struct machine *m, bool maps);
	/* O. Set SMBASE, and drop an SMI that waits for RSM. */
	int (*set_smbase)(struct machine *m, unsigned vcpu, uint32_t smbase, struct err *e);
	/* O, all or none. Of a vCPU whose guest runs a guest, what registers do not have: as one piece of memory (*len 0:
	 * nothing), freed by the caller. Before registers are set it leaves L2, behind that it is put where it was. */
	int (*nested_take)(struct machine *m, unsigned vcpu, void **state, size_t *len, struct err *e);
	int (*nested_leave)(struct machine *m, unsigned vcpu, struct err *e);
	int (*nested_put)(struct machine *m, unsigned vcpu, const void *state, size_t len, struct err *e);
	/* O, all or none (MACHINE_CAP_REVERSE), and enter() takes RUN_REPLAY: see machine_position() and those behind it. */
	uint64_t (*position)(const struct machine *m);
	bool (*position_before)(const struct machine *m, unsigned vcpu, uint64_t *position);
	void (*log_cut)(struct machine *m, uint64_t first, uint64_t last);
	void (*mark)(struct machine *m, uint64_t position, void (*fn)(void *ctx), void *ctx);
};

/* slot_news.c: what CATCH_SLOT waits for, one entry a slot, the oldest first. */
#define SLOT_NEWS_MAX 64
struct slot_news {
	uint32_t id;
	unsigned times;
	char text[160]; /* "was added", "became hidden, because …" */
};

/* dirty_rings.c: what was read of the vCPUs' rings of dirty pages, until the slot's next clear. */
#define DIRTY_ENTRIES_MAX 65536u
struct dirty_rings {
	unsigned entries; /* of each ring; 0: this VM has none */
	struct dirty_entry *v;
	size_t n, cap;
	uint64_t given[64]; /* of each vCPU's, given back */
	uint64_t full, lost;
	struct lock lock; /* a vCPU's thread empties its own ring while others run */
};

/* First member of a backend's own struct. */
struct machine {
	const struct machine_ops *ops;
	unsigned vcpus;
	struct slot_table slots;
	struct board board;
	struct storage_keys *keys;
	struct gfn_cache gfn_cache; /* memop's */
	struct run run;
	struct stop slot_stop; /* before the run that was started began: has_slot_stop */
	bool has_slot_stop;
	uint64_t passed;				      /* machine_passed() */
	struct fault_filter fault_filters[FAULT_FILTERS_MAX]; /* of what is caught now */
	size_t n_fault_filters;
	uint64_t changes; /* by the debugger, of what the guest could see; see machine_changes() */
	uint64_t resets;
	uint64_t runs;	       /* begun */
	uint32_t catches;      /* what machine_catch() was told last */
	const char *only_look; /* machine_only_look() */
	struct dirty_rings rings;
	struct slot_news news[SLOT_NEWS_MAX];
	unsigned n_news;
	/* Filled by create if it knows better than the defaults that 0 stands for, as slots.limits. */
	unsigned maxphyaddr; /* the vCPUs' physical address width; 0: 52 */
	bool no_gbpages;     /* their CPUID has no 1 GiB pages */
};

/* Of slot_change(): one line more if there is room. steps may be NULL. */
void slot_step_add(struct slot_steps *steps, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* An entry was read of a vCPU's ring: its page is marked in the slot's bitmap, and the entry kept. smm: whose bitmap. With
 * rings.lock held. */
void machine_ring_entry(struct machine *m, unsigned vcpu, uint64_t n, const struct dirty_gfn *g, bool smm);
void machine_rings_drop(struct machine *m, const struct slot *s); /* what is kept of a slot, NULL: of all */
/* A slot changed; nothing is kept unless CATCH_SLOT is on. smm: the whole VM's view changed, told of each slot that only one
 * side sees. */
void machine_slot_note(struct machine *m, uint32_t id, const char *fmt, ...) PRINTF_LIKE(3, 4);
void machine_slot_note_smm(struct machine *m, bool in);
/* Take the oldest one and make a stop of it. False: there is none. */
bool machine_slot_stop(struct machine *m, unsigned vcpu, uint64_t rip, struct stop *out);

#endif
