/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What of KVM's interface is newer than the headers that some distributions install: numbers and layouts as of the kernel's
 * include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h, with the release that brought each; what they mean is in its
 * Documentation/virt/kvm/api.rst. Structs have names of ours, so that newer headers do not meet them.
 *
 * (KVM_CAP_X86_GUEST_DEBUG_CR3, cr3 in struct kvm_debug_exit_arch, was proposed in November 2025 and is in no release: cr3
 * comes with each exit by KVM_SYNC_X86_SREGS.)
 */
#ifndef KVMSCOPE_KVMBACK_NEWKVM_H
#define KVMSCOPE_KVMBACK_NEWKVM_H

#include <linux/kvm.h>

/* Linux 6.8 */
#define NEWKVM_CAP_USER_MEMORY2 231
#define NEWKVM_CAP_MEMORY_FAULT_INFO 232
#define NEWKVM_CAP_MEMORY_ATTRIBUTES 233 /* which attributes a VM may set */
#define NEWKVM_CAP_GUEST_MEMFD 234
#define NEWKVM_CAP_VM_TYPES 235 /* bits, 1 << type */
/* Linux 6.11 */
#define NEWKVM_CAP_PRE_FAULT_MEMORY 236
/* Linux 6.18 */
#define NEWKVM_CAP_GUEST_MEMFD_FLAGS 244 /* what NEWKVM_CREATE_GUEST_MEMFD takes */

#define NEWKVM_VM_DEFAULT 0
#define NEWKVM_VM_SW_PROTECTED 1

#define NEWKVM_EXIT_NOTIFY 37
#define NEWKVM_EXIT_MEMORY_FAULT 39
#define NEWKVM_MEMORY_EXIT_PRIVATE (1ull << 3)

#define NEWKVM_MEM_GUEST_MEMFD (1u << 2) /* beside KVM_MEM_LOG_DIRTY_PAGES and KVM_MEM_READONLY */

struct newkvm_region2 {
	__u32 slot, flags;
	__u64 guest_phys_addr, memory_size, userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd, pad1;
	__u64 pad2[14];
};
#define NEWKVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct newkvm_region2)

#define NEWKVM_MEMORY_ATTRIBUTE_PRIVATE (1ull << 3)
struct newkvm_attributes {
	__u64 address, size, attributes, flags;
};
#define NEWKVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, struct newkvm_attributes)

#define NEWKVM_MEMFD_MMAP (1ull << 0)
#define NEWKVM_MEMFD_INIT_SHARED (1ull << 1)
struct newkvm_create_memfd {
	__u64 size, flags, reserved[6];
};
#define NEWKVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct newkvm_create_memfd)

/* Of a vCPU. KVM moves gpa on and takes from size what it has mapped. */
struct newkvm_pre_fault {
	__u64 gpa, size, flags, padding[5];
};
#define NEWKVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct newkvm_pre_fault)

#endif
