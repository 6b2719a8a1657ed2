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
bool armed_apply(struct kvm_vm *vm); /* false: some could not be armed */
/* What is armed now, as ranges of gpas, tables too; see machine_armed(). */
void armed_ranges(struct machine *m, armed_fn *fn, void *arg);
/* A slot's memory goes. */
void armed_forget(struct kvm_vm *vm);

/* After an instruction, and before a free run: arm again what was opened. v->control->plan.stale is set where a guest table
 * was written by which a watched address is reached. */
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
