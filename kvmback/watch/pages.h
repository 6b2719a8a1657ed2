/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pages of the guest's view that are armed for watchpoints: write-protected, or missing where reads are watched. Everywhere
 * else the guest runs at full speed. An access to an armed page parks its vCPU in the kernel; the page is opened, the vCPU
 * comes out before (KVM's emulator: behind) the instruction, which is then stepped and judged by watchpoint.c, and the page
 * is armed again. A vCPU is never left parked.
 */
#ifndef KVMSCOPE_KVMBACK_PAGES_H
#define KVMSCOPE_KVMBACK_PAGES_H

#include "kvmback/vcpu/vcpu.h"
#include "kvmback/host/uffd.h"

struct pages;

/* The VM's, made when first asked for: its userfaultfd and the thread that looks after it. what: for errors. */
int pages_get(struct kvm_vm *vm, const char *what, struct pages **out, struct err *e) MUST_USE;
void pages_destroy(struct kvm_vm *vm);
struct uffd *pages_uffd(struct pages *p);
/* Close the userfaultfd: nobody waits in it any more, what watchpoints armed is armed anew at the next run. */
void pages_close(struct pages *p);
/* The debugger's thread reads the faults itself (fault stepping), or the pages' thread does. */
void pages_direct(struct pages *p, bool on);
/* The next fault for fault stepping; those that watchpoints are behind are dealt with on the way. */
bool pages_next(struct kvm_vm *vm, struct uffd_fault *out);
/* Is anything armed for watchpoints? */
bool pages_armed(const struct pages *p);
/* Must this page be write-protected when it is mapped? */
bool pages_protected(struct pages *p, uint64_t hva);

/* What watchpoints want armed, from plant.c under plant_lock: begin for a vCPU, want each, then apply. want: NULL, or why it
 * cannot be armed. What is not mapped, or no memory, needs nothing now: the tables that say so are armed. A virtual address
 * is watched under the tables of now and those that were in use before. */
void pages_begin(struct kvcpu *v);
/* Is anything watched by virtual addresses, under tables that may become others? */
bool pages_follow(const struct kvm_vm *vm);
const char *pages_want(struct kvcpu *v, const struct plant *w);
bool pages_apply(struct kvm_vm *vm); /* false: some could not be armed */
/* A slot's memory goes. */
void pages_forget(struct kvm_vm *vm);

/* After an instruction, and before a free run: arm again what was opened. v->thread->plan.stale is set where a guest table
 * was written by which a watched address is reached. */
void pages_rearm(struct kvcpu *v);
/* On the way into KVM_RUN: was something opened since, for an access that was no vCPU's? It is armed again; look around
 * before the guest runs. */
bool pages_left_open(struct kvcpu *v);
/* The byte of guest memory behind an alias pointer as it was before its page was opened; NULL where it was not opened. */
const uint8_t *pages_before(struct kvcpu *v, const uint8_t *alias);
/* Bytes of watched memory that changed in an opened page: the first such run of at most 8 bytes. */
struct page_change {
	int id; /* the plant's */
	uint64_t gva, gpa;
	unsigned len;
	uint8_t old[8], now[8];
};
bool pages_changed(struct kvcpu *v, struct page_change *out);

#endif
