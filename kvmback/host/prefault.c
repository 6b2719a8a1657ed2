/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Mapping guest memory before the guest touches it: KVM_PRE_FAULT_MEMORY, as if a vCPU had read each page. It comes back
 * after a part of the range whenever it likes, and is asked for the rest.
 */
#include "kvmback/host/newkvm.h"
#include "kvmback/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

typedef unsigned long long ull;

/* Again would not help anybody: KVM gave nothing for so many calls. */
#define TRIES 1000

static int refused(const struct slot *s, uint64_t at, uint64_t done, int errnum, struct err *e)
{
	switch (errnum) {
	case EOPNOTSUPP:
		return err_set(
		    e, -ENOTSUP,
		    "slot prefault %u" WHY
		    "KVM answered EOPNOTSUPP: it maps ahead by gpa, with EPT or NPT only, and not for a guest's guest" TRY
		    "info kvm, or a run of the guest, which maps what it touches",
		    s->id);
	case ENOENT:
		return err_set_at(e, -ENOENT, ERR_SPACE_GPA, at,
				  "slot prefault %u" WHY
				  "after %#llx bytes KVM found no memory that this vCPU sees at gpa 0x%llx (visible %s)" TRY
				  "info slots -map",
				  s->id, (ull)done, (ull)at, slot_vis_name(s->vis));
	case EFAULT:
		return err_set_at(e, -EFAULT, ERR_SPACE_GPA, at,
				  "slot prefault %u" WHY
				  "after %#llx bytes the host gave no page for gpa 0x%llx (private in KVM's eyes and shared "
				  "here, or the reverse; a file cut short)" TRY "info slots",
				  s->id, (ull)done, (ull)at);
	default:
		return err_errno(e, errnum,
				 "slot prefault %u" WHY "KVM_PRE_FAULT_MEMORY at gpa 0x%llx, after %#llx bytes" TRY
				 "the same from there on",
				 s->id, (ull)at, (ull)done);
	}
}

static int interrupted(const struct slot *s, uint64_t at, uint64_t done, struct err *e)
{
	return err_set_at(e, -EINTR, ERR_SPACE_GPA, at,
			  "slot prefault %u" WHY "interrupted at gpa 0x%llx; the %#llx bytes below it are mapped" TRY
			  "the same from there on",
			  s->id, (ull)at, (ull)done);
}

int kvm_prefault(struct machine *m, unsigned vcpu, const struct slot *s, uint64_t gpa, uint64_t size,
		 int (*poll)(void *unused), struct prefault *out, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	struct newkvm_pre_fault r = {.gpa = gpa, .size = size};
	unsigned idle = 0;

	if (!vm->host->new.prefault)
		return err_set(e, -ENOTSUP,
			       "slot prefault %u" WHY
			       "this KVM does not map ahead (KVM_CAP_PRE_FAULT_MEMORY is 0): Linux does since 6.11, with "
			       "EPT or NPT" TRY "a run of the guest, which maps what it touches, or -b soft",
			       s->id);
	while (r.size) {
		uint64_t before = r.size;
		int errnum = ioctl(vm->vcpu[vcpu].fd, NEWKVM_PRE_FAULT_MEMORY, &r) < 0 ? errno : 0;

		out->calls++;
		idle = r.size < before ? 0 : idle + 1;
		if (poll && poll(NULL))
			return interrupted(s, r.gpa, size - r.size, e);
		if (errnum && ((errnum != EINTR && errnum != EAGAIN) || idle > TRIES))
			return refused(s, r.gpa, size - r.size, errnum, e);
	}
	out->bytes = size;
	return 0;
}
