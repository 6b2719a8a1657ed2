/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Exceptions that wait in a vCPU: what KVM_RUN left, or by ioctl.
 */
#include "kvmback/vcpu/vcpu.h"

#include <string.h>
#include <sys/ioctl.h>

void vcpu_events(struct kvcpu *v, struct kvm_vcpu_events *ev)
{
	memset(ev, 0, sizeof(*ev));
	if (v->sync_fresh & KVM_SYNC_X86_EVENTS)
		*ev = v->run->s.regs.events;
	else if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, ev) < 0)
		memset(ev, 0, sizeof(*ev));
}

bool vcpu_waiting(struct kvcpu *v, unsigned vector)
{
	struct kvm_vcpu_events ev;

	vcpu_events(v, &ev);
	return (ev.exception.pending || ev.exception.injected) && ev.exception.nr == vector;
}

void vcpu_drop(struct kvcpu *v, unsigned vector)
{
	struct kvm_vcpu_events ev;

	vcpu_events(v, &ev);
	if (!(ev.exception.pending || ev.exception.injected) || ev.exception.nr != vector)
		return;
	ev.exception.pending = ev.exception.injected = 0;
	ioctl(v->fd, KVM_SET_VCPU_EVENTS, &ev);
	v->sync_fresh &= ~(uint32_t)KVM_SYNC_X86_EVENTS;
}
