/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Dirty pages by rings (KVM_CAP_DIRTY_LOG_RING; the kernel's virt/kvm/api.rst). A VM has them from before its first vCPU on
 * or never, and has no bitmaps then: on x86 KVM_GET_DIRTY_LOG gives ENXIO. A ring is memory that KVM and this process share,
 * so reading it takes no ioctl; KVM_RESET_DIRTY_RINGS gives back what is marked as read, of all rings.
 */
#include "kvmback/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

_Static_assert(sizeof(struct dirty_gfn) == sizeof(struct kvm_dirty_gfn), "KVM's entry");
_Static_assert(offsetof(struct dirty_gfn, slot) == offsetof(struct kvm_dirty_gfn, slot), "KVM's entry");
_Static_assert(offsetof(struct dirty_gfn, offset) == offsetof(struct kvm_dirty_gfn, offset), "KVM's entry");
_Static_assert(DIRTY_GFN_DIRTY == KVM_DIRTY_GFN_F_DIRTY && DIRTY_GFN_RESET == KVM_DIRTY_GFN_F_RESET, "KVM's flags");

int kvm_rings_enable(struct kvm_vm *vm, unsigned entries, struct err *e)
{
	struct kvm_enable_cap on = {.cap = vm->host->ring_cap, .args = {entries * sizeof(struct kvm_dirty_gfn)}};

	if (!vm->host->ring_cap)
		return err_set(e, -ENOTSUP,
			       "dirty ring of %u entries" WHY
			       "this kernel has no rings (KVM_CAP_DIRTY_LOG_RING is 0; Linux has them since 5.11)" TRY
			       "no --dirty-ring, so that slots log in bitmaps, or -b soft, which has rings",
			       entries);
	if (entries > vm->host->ring_max)
		return err_set(e, -EINVAL, "dirty ring of %u entries" WHY "this kernel's have at most %u" TRY "%u", entries,
			       vm->host->ring_max, vm->host->ring_max);
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &on) == 0)
		return 0;
	if (errno == EINVAL)
		return err_set(e, -EINVAL,
			       "dirty ring of %u entries" WHY
			       "KVM answered EINVAL: it keeps some entries for what comes on the way out of the guest, more "
			       "than half of so small a ring (576 with Intel's page-modification log)" TRY "%u entries",
			       entries, entries < 1024 ? 1024 : 4096);
	return err_errno(e, errno,
			 "dirty ring of %u entries" WHY "KVM_ENABLE_CAP of KVM_CAP_DIRTY_LOG_RING" TRY "no --dirty-ring",
			 entries);
}

int kvm_ring_map(struct kvcpu *v, struct err *e)
{
	unsigned entries = v->vm->m.rings.entries;
	void *at = mmap(NULL, entries * sizeof(struct kvm_dirty_gfn), PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
			(off_t)KVM_DIRTY_LOG_PAGE_OFFSET << PAGE_SHIFT);

	if (at == MAP_FAILED)
		return err_errno(e, errno,
				 "map the dirty ring of vCPU %u" WHY "mmap of its %u entries" TRY "a smaller --dirty-ring",
				 v->index, entries);
	v->ring = (struct dirty_ring){.v = at, .size = entries};
	return 0;
}

void kvm_ring_unmap(struct kvcpu *v)
{
	if (v->ring.v)
		munmap(v->ring.v, v->ring.size * sizeof(struct kvm_dirty_gfn));
	v->ring.v = NULL;
}

/* On a host with one address space the slots are those of one side at a time, and each change of sides reads the rings. */
static void read_entry(void *ctx, uint64_t n, const struct dirty_gfn *g)
{
	const struct kvcpu *v = ctx;
	bool smm = v->vm->host->address_spaces > 1 ? g->slot >> 16 : v->vm->view_smm;

	machine_ring_entry(&v->vm->m, v->index, n, g, smm);
}

static void read_one(struct kvcpu *v)
{
	dirty_ring_read(&v->ring, read_entry, v);
}

static void mark_given(struct kvcpu *v)
{
	dirty_ring_give_back(&v->ring);
	v->vm->m.rings.given[v->index] = v->ring.given;
}

void kvm_rings_read(struct kvm_vm *vm)
{
	LOCK_SCOPE(&vm->m.rings.lock);

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		read_one(&vm->vcpu[i]);
}

int kvm_rings_give_back(struct kvm_vm *vm, struct err *e)
{
	LOCK_SCOPE(&vm->m.rings.lock);

	for (unsigned i = 0; i < vm->m.vcpus; i++)
		mark_given(&vm->vcpu[i]);
	if (ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0) >= 0)
		return 0;
	return err_errno(e, errno, "give dirty rings back" WHY "KVM_RESET_DIRTY_RINGS" TRY "it again");
}

int kvm_ring_full(struct kvcpu *v)
{
	struct kvm_vm *vm = v->vm;
	LOCK_SCOPE(&vm->m.rings.lock);

	read_one(v);
	mark_given(v);
	vm->m.rings.full++;
	/* A signal leaves the rest for the next time: the ring is still full enough to come out again. */
	return ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0) < 0 && errno != EINTR ? -errno : 0;
}
