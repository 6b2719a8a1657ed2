/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Small VMs of the kvm backend for tests: memory, a CPL3 long-mode layout, and a bare KVM_RUN that needs no run control.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_KVMTEST_H
#define KVMSCOPE_TESTS_SUPPORT_KVMTEST_H

#include "core/machine/machine.h"
#include "kvmback/kvm.h"

/* A machine, or NULL after printing "skip: REASON" (the test then calls skip()). */
struct machine *kvmtest_create(unsigned vcpus);
/* Add a slot of fresh memory; fails the test where that does not work. */
void kvmtest_slot(struct machine *m, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags, enum slot_vis vis);
/* Guest memory through the alias, as seen from outside SMM (smm false) or inside; fails the test where there is none. */
uint8_t *kvmtest_mem(struct machine *m, uint64_t gpa, bool smm);

/* Tables at 0x10000-0x13fff, code at gva 0x200000 (gpa 0x1000), so that gva 0x200000 + x maps gpa 0x1000 for page 0 and PTE
 * i maps what kvmtest_map() says. vCPU 0 in long mode at CPL3, an empty IDT. Slot 0 must cover the first 512 KiB. */
void kvmtest_long_user(struct machine *m, const void *code, size_t len);
void kvmtest_map(struct machine *m, uint64_t gva, uint64_t pte); /* 0x200000 <= gva < 0x400000; no refresh */
/* Real mode at CPL0, cs 0, flat, rip. */
void kvmtest_real(struct machine *m, unsigned vcpu, uint64_t rip);

/* One KVM_RUN; the exit reason, or a negative errno. Stops after five seconds whatever the guest does. */
int kvmtest_run(struct machine *m, unsigned vcpu);
/* Complete the device access that it came out for, and nothing more: its registers may be looked at and set then. A guest
 * that is to be looked at ends in such an access, as SVM resets the vCPU at a shutdown. */
void kvmtest_complete(struct machine *m, unsigned vcpu);
/* Are the host's tables for this VM by gpa (EPT, NPT)? Fails the test where nobody can see; asked for by MACHINE_CAP_SHADOW.
 */
bool kvmtest_tdp(struct machine *m);
struct regs kvmtest_regs(struct machine *m, unsigned vcpu, uint32_t parts);
void kvmtest_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *r);

#endif
