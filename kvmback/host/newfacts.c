/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Rows of `info kvm` about what newer kernels do with slots: whether it is there, by which capability, and if not, since
 * which release Linux has it and what else it needs.
 */
#include "kvmback/host/newkvm.h"
#include "kvmback/kvm.h"

#include <stdio.h>

typedef int fact_fn(void *arg, const char *what, const char *value, const char *why);

static int ring_row(const struct kvm_vm *vm, fact_fn *fn, void *arg)
{
	const struct kvm_host *h = vm->host;
	char value[32] = "no", why[160];

	if (!h->ring_cap)
		return fn(arg, "dirty ring", value, "KVM_CAP_DIRTY_LOG_RING is 0: Linux has it since 5.11");
	if (vm->m.rings.entries)
		snprintf(value, sizeof(value), "on, %u entries", vm->m.rings.entries);
	else
		snprintf(value, sizeof(value), "off");
	snprintf(why, sizeof(why),
		 "%s: up to %u entries for each vCPU, of a VM that is made with them; load IMAGE --dirty-ring %u",
		 h->ring_cap == KVM_CAP_DIRTY_LOG_RING_ACQ_REL ? "KVM_CAP_DIRTY_LOG_RING_ACQ_REL" : "KVM_CAP_DIRTY_LOG_RING",
		 h->ring_max, h->ring_max < 4096 ? h->ring_max : 4096);
	return fn(arg, "dirty ring", value, why);
}

static int prefault_row(const struct kvm_new_caps *n, fact_fn *fn, void *arg)
{
	return fn(arg, "slot prefault", n->prefault ? "yes" : "no",
		  n->prefault ? "KVM_CAP_PRE_FAULT_MEMORY"
			      : "KVM_CAP_PRE_FAULT_MEMORY is 0: Linux has it since 6.11, with EPT or NPT only");
}

const char *kvm_memfd_why(const struct kvm_host *h)
{
	const struct kvm_new_caps *n = &h->new;
	const uint64_t both = NEWKVM_MEMFD_MMAP | NEWKVM_MEMFD_INIT_SHARED;

	if (!n->kernel_memfd)
		return "KVM_CAP_GUEST_MEMFD is 0: Linux has it since 6.8, and for ordinary VMs since 6.18";
	if (!n->memory2)
		return "KVM_CAP_USER_MEMORY2 is 0: without KVM_SET_USER_MEMORY_REGION2 no slot can have a guest_memfd";
	if (!n->vm_memfd)
		return "this kernel has guest_memfd for VMs of a type with private memory only (KVM_CAP_GUEST_MEMFD of this "
		       "VM is "
		       "0): for ordinary ones Linux has it since 6.18";
	if ((n->memfd_flags & both) != both)
		return "KVM_CAP_GUEST_MEMFD_FLAGS lacks MMAP or INIT_SHARED (Linux 6.18): nobody could read the slot, nor "
		       "load an "
		       "image into it";
	return NULL;
}

static int memfd_row(const struct kvm_host *h, fact_fn *fn, void *arg)
{
	const char *why = kvm_memfd_why(h);

	return fn(
	    arg, "guest_memfd", why ? "no" : "yes",
	    why ? why
		: "KVM_CAP_GUEST_MEMFD, mapped (KVM_CAP_GUEST_MEMFD_FLAGS has MMAP and INIT_SHARED): slot add -guest-memfd");
}

static int attributes_row(const struct kvm_new_caps *n, fact_fn *fn, void *arg)
{
	bool has = n->attributes & NEWKVM_MEMORY_ATTRIBUTE_PRIVATE;

	return fn(arg, "memory attributes", has ? "private" : "none",
		  has ? "KVM_CAP_MEMORY_ATTRIBUTES"
		      : "KVM_CAP_MEMORY_ATTRIBUTES of this VM is 0: an ordinary VM has no private memory (Linux 6.8, and a "
			"VM type "
			"that has)");
}

/* KVM_X86_… in arch/x86/include/uapi/asm/kvm.h. */
static int types_row(const struct kvm_new_caps *n, fact_fn *fn, void *arg)
{
	static const char *const name[] = {"default", "SW protected", "SEV", "SEV-ES", "SEV-SNP", "TDX"};
	char value[96] = "";
	size_t len = 0;

	for (unsigned i = 0; i < ARRAY_LEN(name) && len < sizeof(value); i++)
		if (n->vm_types >> i & 1)
			len += (size_t)snprintf(value + len, sizeof(value) - len, "%s%s", len ? ", " : "", name[i]);
	return fn(arg, "VM types", *value ? value : "default",
		  n->vm_types ? "KVM_CAP_VM_TYPES; kvmscope makes those of the default type"
			      : "KVM_CAP_VM_TYPES is 0: Linux tells them since 6.8");
}

int kvm_new_facts(struct kvm_vm *vm, fact_fn *fn, void *arg)
{
	const struct kvm_new_caps *n = &vm->host->new;

	return ring_row(vm, fn, arg) ?: prefault_row(n, fn, arg) ?: memfd_row(vm->host, fn, arg) ?:
	       attributes_row(n, fn, arg) ?: types_row(n, fn, arg);
}
