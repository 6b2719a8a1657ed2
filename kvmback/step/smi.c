/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An SMI on a host whose KVM does SMM itself. KVM enters SMM on its way into the guest, where an ordinary KVM_RUN would go
 * on with the handler. So it is called with a signal pending that only the mask of KVM_SET_SIGNAL_MASK lets through: KVM
 * sees it behind all that comes before the guest's next instruction, and leaves. The vCPU then stands at the handler's first
 * instruction and has executed none, as where the debugger does SMM by hand (kvmback/vcpu/smm.c).
 */
#include "kvmback/step/step.h"
#include "core/cpu/smm.h"
#include "kvmback/watch/armed.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

/* struct kvm_signal_mask with its array's length known: the kernel's own sigset. */
struct run_mask {
	uint32_t len;
	uint8_t set[8];
};

/* A kick that comes meanwhile is taken with ours: what it is for is noted elsewhere, and the vCPU is out. */
static int run_no_insn(struct kvcpu *v)
{
	static const struct timespec at_once;
	struct run_mask mask = {.len = sizeof(mask.set)};
	sigset_t kick, was, in_run;

	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &kick, &was);
	pthread_kill(pthread_self(), KICK_SIGNAL);
	in_run = was;
	sigdelset(&in_run, KICK_SIGNAL);
	memcpy(mask.set, &in_run, sizeof(mask.set));
	v->run->kvm_dirty_regs &= v->sync_fresh;
	int rc = ioctl(v->fd, KVM_SET_SIGNAL_MASK, &mask) < 0 || ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	(void)ioctl(v->fd, KVM_SET_SIGNAL_MASK, NULL);
	(void)sigtimedwait(&kick, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	v->sync_fresh = (uint32_t)v->run->kvm_valid_regs;
	return rc;
}

/* KVM writes the save area with a signal pending: a page that userfaultfd holds back would be no page to it. Out of L2 an
 * SMI leads in the run. */
static bool may_take(const struct kvcpu *v)
{
	const struct kvm_vm *vm = v->vm;

	return v->control->io == IO_NONE && !v->nested.in && !vm->faults && !(vm->armed && armed_any(vm->armed));
}

bool smi_waits(const struct kvcpu *v)
{
	return v->smi_latched && v->vm->host->x86_smm;
}

bool smi_take(struct kvcpu *v)
{
	struct kvm_vcpu_events ev;

	if (!smi_waits(v) || vcpu_native_smm(v) || !may_take(v))
		return false;
	if (run_no_insn(v) != -EINTR)
		return false;
	vcpu_events(v, &ev);
	v->smi_latched = ev.smi.pending;
	if (!ev.smi.smm)
		return false;
	v->halted = false;
	v->control->passed = false;
	return !vcpu_load(v, NULL);
}

/* KVM gives a VM up whose SMI has nowhere to save to. */
static int check_area(const struct kvcpu *v, struct err *e)
{
	uint8_t area[SMM_SAVE_SIZE];
	uint32_t smbase;
	uint64_t at;
	int rc;

	if (kvm_smbase(&v->vm->m, v->index, &smbase, NULL))
		return 0;
	at = (uint64_t)smbase + SMM_SAVE_OFFSET;
	rc = slots_read(&v->vm->m.slots, at, true, area, sizeof(area), e);
	if (!rc)
		rc = slots_write(&v->vm->m.slots, at, true, area, sizeof(area), e);
	if (rc)
		err_prefix(e, "SMI to vCPU %u: ", v->index);
	return rc;
}

bool smi_returns_without_idt(const struct kvcpu *v)
{
	uint8_t area[SMM_SAVE_SIZE];
	const struct smm_field *f;
	uint32_t smbase;
	size_t n;

	if (!vcpu_native_smm(v) || kvm_smbase(&v->vm->m, v->index, &smbase, NULL) ||
	    slots_read(&v->vm->m.slots, (uint64_t)smbase + SMM_SAVE_OFFSET, true, area, sizeof(area), NULL))
		return false;
	f = smm_fields(area, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(f[i].name, "idtr.limit") == 0)
			return !(area[f[i].offset] | area[f[i].offset + 1]);
	return false;
}

int smi_raise(struct kvcpu *v, struct err *e)
{
	int rc = check_area(v, e);

	if (rc)
		return rc;
	if (ioctl(v->fd, KVM_SMI) < 0)
		return err_errno(e, errno, "SMI to vCPU %u" WHY "KVM_SMI" TRY "info kvm", v->index);
	v->sync_fresh &= ~(uint32_t)KVM_SYNC_X86_EVENTS;
	v->smi_latched = true;
	(void)smi_take(v);
	return 0;
}

static int by_hand(struct kvm_vm *vm, unsigned vcpu, struct err *e)
{
	struct regs r = {0};
	int rc;

	kvm_run_forget(vm, vcpu);
	rc = kvm_get_regs(&vm->m, vcpu, REGS_EVENTS, &r, e);
	if (rc)
		return rc;
	/* The save area has no place for it. */
	if (r.exception_pending)
		return err_set(e, -EBUSY, "SMI to vCPU %u" WHY "exception %u waits for delivery" TRY "si first", vcpu,
			       r.exception_vector);
	return kvm_smm_enter(vm, vcpu, e);
}

int kvm_smi(struct machine *m, unsigned vcpu, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	struct kvcpu *v = &vm->vcpu[vcpu];
	struct regs r = {0};
	int rc = kvm_get_regs(m, vcpu, REGS_SYS, &r, e);

	if (rc)
		return rc;
	if (r.smm)
		return err_set(
		    e, -EBUSY,
		    "SMI to vCPU %u" WHY "it is in SMM already, where SMIs are blocked" TRY "run it to its RSM first", vcpu);
	rc = vm->host->x86_smm ? smi_raise(v, e) : by_hand(vm, vcpu, e);
	if (!rc && (v->in_smm || vcpu_native_smm(v)))
		machine_slot_note_smm(m, true);
	return rc;
}
