/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pages of the guest's view that are armed for watchpoints: write-protected, or missing if reads are watched. Everywhere
 * else the guest runs at full speed. An access to an armed page parks its vCPU in the kernel; the page is opened, the vCPU
 * comes out before (KVM's emulator: behind) the instruction, which is then stepped and judged by watchpoint.c, and the page
 * is armed again. A vCPU is never left parked.
 */
#ifndef KVMSCOPE_KVMBACK_ARMED_H
#define KVMSCOPE_KVMBACK_ARMED_H

#include "kvmback/vcpu/vcpu.h"
#include "kvmback/host/uffd.h"

struct armed;

/* The VM's, made when first asked for: its userfaultfd and the thread that looks after it. what: for errors. */
int armed_get(struct kvm_vm *vm, const char *what, struct armed **out, struct err *e) MUST_USE;
void armed_destroy(struct kvm_vm *vm);
struct uffd *armed_uffd(struct armed *p);
/* The thread cannot wait for faults any more: the run is to end, with that error. The next one begins with another thread.
 */
bool armed_gave_up(const struct kvm_vm *vm);
int armed_error(const struct kvm_vm *vm, struct err *e) MUST_USE; /* 0 if it can */
int armed_recover(struct kvm_vm *vm, struct err *e) MUST_USE;
/* Close the userfaultfd: nobody waits_for_page in it any more, what watchpoints armed is armed anew at the next run. */
void armed_close(struct armed *p);
/* The debugger's thread reads the faults itself (fault stepping), or the pages' thread does. */
void armed_direct(struct armed *p, bool on);
/* The next fault for fault stepping; those that watchpoints are behind are dealt with on the way. */
bool armed_next_fault(struct kvm_vm *vm, struct uffd_fault *out);
/* Is anything armed for watchpoints? */
bool armed_any(const struct armed *p);
/* Must this page be write-protected when it is mapped? */
bool armed_protected(struct armed *p, uint64_t hva);

/* What watchpoints want armed, from plant.c under plant_lock: begin for a vCPU, want each, then apply. want: NULL, or why it
 * cannot be armed. What is not mapped, or no memory, needs nothing now: the tables that say so are armed. A virtual address
 * is watched under the tables of now and those that were in use before. */
void armed_begin(struct kvcpu *v);
/* Is anything watched by virtual addresses, under tables that may become others? */
bool armed_follows_tables(const struct kvm_vm *vm);
const char *armed_want(struct kvcpu *v, const struct plant *w);
/* The roots under which virtual addresses are looked up, the newest first: that of CR3 (without paging 0), those before it,
 * and those to which KVM may go back without telling. */
unsigned armed_roots(struct kvcpu *v, const uint64_t **root);
/* The entries of a walk, as far as it came. way: zeroes before the first of several under one root, best in ascending order.
 * There must be an armed_get(). */
#define ARMED_LEVELS 6
struct armed_entry {
	uint64_t gpa;
	size_t part;
};
struct armed_way {
	struct armed_entry seen[ARMED_LEVELS]; /* by level: the last that was added, with its part */
};
const char *armed_want_way(struct kvcpu *v, const struct walk *w, struct armed_way *way);
/* The page with an int3 byte of ours: its writes, and its reads until it has been executed. *seen: reads are not armed. */
const char *armed_want_code(struct kvcpu *v, const struct slot *s, uint64_t gpa, bool *seen);
/* Behind an access to armed pages, before they are armed again: was it the fetch of an instruction on a page with a byte of
 * ours? Then the page is only protected from now on, and the plan is to be made anew. */
void armed_fetched(struct kvcpu *v);
bool armed_apply(struct kvm_vm *vm); /* false: some could not be armed */
/* What is armed now, as ranges of gpas, tables too; see machine_armed(). */
void armed_ranges(struct machine *m, armed_fn *fn, void *arg);
/* A slot's memory goes. */
void armed_forget(struct kvm_vm *vm);
/* The VM begins again: no page has been executed. */
void armed_forget_code(struct kvm_vm *vm);

/* After an instruction, and before a free run: arm again what was opened, with our bytes over what is there now.
 * v->control->plan.stale is set where a guest table was written by which a watched address is reached. */
void armed_rearm(struct kvcpu *v);
/* On the way into KVM_RUN: was something opened since, for an access that was no vCPU's? It is armed again; look around
 * before the guest runs. */
bool armed_left_open(struct kvcpu *v);
/* The byte of guest memory behind an alias pointer as it was before its page was opened; NULL if it was not opened. */
const uint8_t *armed_byte_before(struct kvcpu *v, const uint8_t *alias);
/* Bytes of watched memory that changed in an opened page: the first such run of at most 8 bytes. */
struct page_change {
	int id; /* the plant's */
	uint64_t gva, gpa;
	unsigned len;
	uint8_t old[8], now[8];
};
bool armed_bytes_changed(struct kvcpu *v, struct page_change *out);

#endif
