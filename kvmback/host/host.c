/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What this host's KVM can do: capabilities, CPUID and MSR lists, asked once for the process. A failure is not remembered:
 * the next call tries again, so that a person who fixed the permission need not start over.
 */
#include "kvmback/host/newkvm.h"
#include "kvmback/kvm.h"
#include "kvmback/kvmback.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CPUID_MAX 512u
#define MSRS_MAX 4096u

static int open_error(const char *path, int errnum, struct err *e)
{
	switch (errnum) {
	case ENOENT:
		return err_set(e, -ENOENT,
			       "open %s" WHY
			       "there is no such device: KVM is not in this kernel, or virtualization is off" TRY
			       "modprobe kvm_intel or kvm_amd, the firmware's virtualization switch, or -b soft",
			       path);
	case EACCES:
	case EPERM:
		return err_set(e, -EACCES,
			       "open %s" WHY "no permission for user %u" TRY
			       "usermod -aG kvm USER and a new login, or -b soft",
			       path, (unsigned)geteuid());
	default:
		return err_errno(e, errnum, "open %s" WHY "the kernel refused" TRY "-b soft", path);
	}
}

static int check_version(const char *path, int fd, struct err *e)
{
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);

	if (version == KVM_API_VERSION)
		return 0;
	if (version < 0)
		return err_set(e, -ENODEV,
			       "open %s" WHY "it is no KVM device: KVM_GET_API_VERSION gave %s" TRY "/dev/kvm, or -b soft",
			       path, strerror(errno));
	return err_set(e, -ENODEV,
		       "open %s" WHY "it speaks KVM API %d, kvmscope needs %d" TRY "a kernel from 2.6.22 on, or -b soft",
		       path, version, KVM_API_VERSION);
}

static int cap(int fd, int what)
{
	int n = ioctl(fd, KVM_CHECK_EXTENSION, what);

	return n < 0 ? 0 : n;
}

/* With nested paging on AMD's a guest's walk reads the four top entries of PAE from memory, as any other table (APM vol. 2,
 * 15.25.10); KVM_GET_SREGS2 gives copies that nobody goes by. */
static bool nested_paging_amd(void)
{
	_cleanup_close_ int fd = open("/sys/module/kvm_amd/parameters/npt", O_RDONLY | O_CLOEXEC);
	char c = 0;

	return fd >= 0 && read(fd, &c, 1) == 1 && (c == 'Y' || c == '1');
}

static void read_caps(struct kvm_host *h)
{
	int fd = h->fd;
	unsigned slots = (unsigned)cap(fd, KVM_CAP_NR_MEMSLOTS), spaces = (unsigned)cap(fd, KVM_CAP_MULTI_ADDRESS_SPACE);

	h->max_slots = slots ? slots : 32;
	h->address_spaces = spaces > 1 ? 2 : 1;
	h->sync_regs = (uint32_t)cap(fd, KVM_CAP_SYNC_REGS);
	h->immediate_exit = cap(fd, KVM_CAP_IMMEDIATE_EXIT) > 0;
	h->x86_smm = cap(fd, KVM_CAP_X86_SMM) > 0;
	h->readonly_mem = cap(fd, KVM_CAP_READONLY_MEM) > 0;
	h->guest_debug = cap(fd, KVM_CAP_SET_GUEST_DEBUG) > 0;
	h->debugregs = cap(fd, KVM_CAP_DEBUGREGS) > 0;
	h->vcpu_events = cap(fd, KVM_CAP_VCPU_EVENTS) > 0;
	h->xsave = cap(fd, KVM_CAP_XSAVE) > 0;
	h->pdptes = cap(fd, KVM_CAP_SREGS2) > 0 && !nested_paging_amd();
	h->ring_cap = cap(fd, KVM_CAP_DIRTY_LOG_RING_ACQ_REL) > 0 ? KVM_CAP_DIRTY_LOG_RING_ACQ_REL : KVM_CAP_DIRTY_LOG_RING;
	h->ring_max = (unsigned)cap(fd, (int)h->ring_cap) / (unsigned)sizeof(struct kvm_dirty_gfn);
	if (!h->ring_max)
		h->ring_cap = 0;
	h->nested_state = cap(fd, KVM_CAP_NESTED_STATE) > 0;
	h->manual_dirty = (cap(fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) != 0;
}

static int read_cpuid(struct kvm_host *h, struct err *e)
{
	h->cpuid = calloc(1, sizeof(*h->cpuid) + CPUID_MAX * sizeof(h->cpuid->entries[0]));
	if (!h->cpuid)
		return err_nomem(e, "read the host's CPUID");
	h->cpuid->nent = CPUID_MAX;
	if (ioctl(h->fd, KVM_GET_SUPPORTED_CPUID, h->cpuid) < 0)
		return err_errno(e, errno, "read the host's CPUID" WHY "KVM_GET_SUPPORTED_CPUID" TRY "-b soft");
	h->maxphyaddr = 36;
	for (unsigned i = 0; i < h->cpuid->nent; i++)
		if (h->cpuid->entries[i].function == 0x80000008u)
			h->maxphyaddr = h->cpuid->entries[i].eax & 0xff;
	return 0;
}

static int read_msr_list(struct kvm_host *h, struct err *e)
{
	struct kvm_msr_list *l = calloc(1, sizeof(*l) + MSRS_MAX * sizeof(l->indices[0]));

	if (!l)
		return err_nomem(e, "list the host's MSRs");
	l->nmsrs = MSRS_MAX;
	if (ioctl(h->fd, KVM_GET_MSR_INDEX_LIST, l) < 0)
		l->nmsrs = 0; /* no MSR can be read then; everything else works */
	h->n_msrs = l->nmsrs;
	memmove(l, l->indices, h->n_msrs * sizeof(l->indices[0]));
	h->msrs = (uint32_t *)(void *)l;
	return 0;
}

/* With shadow paging KVM takes slots up to 52 bits whatever the processor's width is; with TDP only up to that width. One
 * page above it, on a VM of its own, tells which. */
static uint64_t probe_gpa_limit(int vm, unsigned maxphyaddr)
{
	struct kvm_userspace_memory_region r = {.guest_phys_addr = 1ull << maxphyaddr, .memory_size = PAGE_SIZE_4K};
	void *page;
	bool above;

	if (maxphyaddr >= 52 || maxphyaddr < 32)
		return 1ull << 52;
	page = mmap(NULL, PAGE_SIZE_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (page == MAP_FAILED)
		return 1ull << maxphyaddr;
	r.userspace_addr = (uintptr_t)page;
	above = ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r) == 0;
	munmap(page, PAGE_SIZE_4K);
	return above ? 1ull << 52 : 1ull << maxphyaddr;
}

static void read_new_caps(struct kvm_host *h, int vm)
{
	struct kvm_new_caps *n = &h->new;

	n->memory2 = cap(vm, NEWKVM_CAP_USER_MEMORY2) > 0;
	n->kernel_memfd = cap(h->fd, NEWKVM_CAP_GUEST_MEMFD) > 0;
	n->vm_memfd = cap(vm, NEWKVM_CAP_GUEST_MEMFD) > 0;
	n->memfd_flags = (uint64_t)cap(vm, NEWKVM_CAP_GUEST_MEMFD_FLAGS);
	n->attributes = (uint64_t)cap(vm, NEWKVM_CAP_MEMORY_ATTRIBUTES);
	n->vm_types = (uint64_t)cap(h->fd, NEWKVM_CAP_VM_TYPES);
	n->prefault = cap(vm, NEWKVM_CAP_PRE_FAULT_MEMORY) > 0;
}

static int read_vm_facts(struct kvm_host *h, struct err *e)
{
	_cleanup_close_ int vm = -1;
	int size;

	do
		vm = ioctl(h->fd, KVM_CREATE_VM, 0);
	while (vm < 0 && errno == EINTR);
	if (vm < 0)
		return err_errno(e, errno, "create a VM to ask what it can do" WHY "KVM_CREATE_VM" TRY "-b soft");
	read_new_caps(h, vm);
	h->gpa_limit = probe_gpa_limit(vm, h->maxphyaddr);
	size = h->xsave ? cap(vm, KVM_CAP_XSAVE2) : 0;
	h->xsave_size = size > (int)sizeof(struct kvm_xsave) ? (size_t)size : sizeof(struct kvm_xsave);
	return 0;
}

static int read_host(struct kvm_host *h, struct err *e)
{
	int rc, size = ioctl(h->fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < (int)sizeof(struct kvm_run))
		return err_set(e, -ENODEV, "ask KVM for its run area" WHY "KVM_GET_VCPU_MMAP_SIZE gave %d" TRY "-b soft",
			       size);
	h->run_size = (size_t)size;
	read_caps(h);
	rc = read_cpuid(h, e);
	if (!rc)
		rc = read_msr_list(h, e);
	return rc ? rc : read_vm_facts(h, e);
}

int kvm_host_open(const char *path, struct kvm_host *out, struct err *e)
{
	struct kvm_host h = {.fd = open(path, O_RDWR | O_CLOEXEC)};
	int rc;

	if (h.fd < 0)
		return open_error(path, errno, e);
	rc = check_version(path, h.fd, e);
	if (!rc)
		rc = read_host(&h, e);
	if (rc) {
		kvm_host_close(&h);
		return rc;
	}
	*out = h;
	return 0;
}

void kvm_host_close(struct kvm_host *h)
{
	if (h->fd >= 0)
		close(h->fd);
	free(h->cpuid);
	free(h->msrs);
	*h = (struct kvm_host){.fd = -1};
}

static struct kvm_host the_host = {.fd = -1};

__attribute__((destructor)) static void host_exit(void)
{
	kvm_host_close(&the_host);
}

int kvm_host_get(const struct kvm_host **out, struct err *e)
{
	if (the_host.fd < 0) {
		int rc = kvm_host_open("/dev/kvm", &the_host, e);

		if (rc)
			return rc;
	}
	*out = &the_host;
	return 0;
}

int kvmback_available(struct err *e)
{
	const struct kvm_host *h;

	return kvm_host_get(&h, e);
}
