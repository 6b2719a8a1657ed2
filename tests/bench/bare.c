/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Floors: a VM with 1 MiB of memory, long mode, code at gva 0x200000, an empty IDT; and a program that only makes one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define MEM 0x100000u

static struct kvm_segment segment(unsigned selector, unsigned type, unsigned dpl, bool code)
{
	return (struct kvm_segment){.limit = ~0u,
				    .selector = (uint16_t)(selector | dpl),
				    .type = (uint8_t)type,
				    .present = 1,
				    .dpl = (uint8_t)dpl,
				    .db = !code,
				    .s = 1,
				    .l = code,
				    .g = 1};
}

static void put(struct bare *b, uint64_t at, uint64_t x)
{
	memcpy(b->mem + at, &x, sizeof(x));
}

static bool enter(struct bare *b, unsigned cpl)
{
	struct kvm_regs r = {.rip = BARE_CODE, .rflags = 2};
	struct kvm_sregs s;

	if (ioctl(b->vcpu, KVM_GET_SREGS, &s))
		return false;
	s.cs = segment(cpl ? 0x20 : 0x08, 11, cpl, true);
	s.ss = s.ds = s.es = s.fs = s.gs = segment(cpl ? 0x18 : 0x10, 3, cpl, false);
	s.cr3 = 0x10000;
	s.cr4 = 0x20;
	s.cr0 = 0x80010033;
	s.efer = 0xd01;
	s.idt.limit = 0;
	put(b, 0x10000, 0x11007);
	put(b, 0x11000, 0x12007);
	put(b, 0x12008, 0x13007);
	put(b, 0x13000, 0x1007);
	return !ioctl(b->vcpu, KVM_SET_SREGS, &s) && !ioctl(b->vcpu, KVM_SET_REGS, &r);
}

static void set_cpuid(int kvm, int vcpu)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0]));

	if (!c)
		return;
	c->nent = 256;
	if (!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c))
		(void)!ioctl(vcpu, KVM_SET_CPUID2, c);
	free(c);
}

bool bare_open(struct bare *b, unsigned cpl, const void *code, size_t len)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	*b = (struct bare){.vm = -1, .vcpu = -1, .run = MAP_FAILED};
	b->fd = memfd_create("bare", MFD_CLOEXEC);
	b->mem =
	    b->fd < 0 || ftruncate(b->fd, MEM) ? MAP_FAILED : mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	b->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	struct kvm_userspace_memory_region slot = {.memory_size = MEM, .userspace_addr = (uintptr_t)b->mem};
	b->vcpu = ioctl(b->vm, KVM_CREATE_VCPU, 0);
	b->run_size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (b->vcpu >= 0) {
		b->run = mmap(NULL, b->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, b->vcpu, 0);
		set_cpuid(kvm, b->vcpu);
	}
	if (b->mem == MAP_FAILED || b->run == MAP_FAILED || ioctl(b->vm, KVM_SET_USER_MEMORY_REGION, &slot) ||
	    !enter(b, cpl)) {
		bench_fail("a bare VM: %s", strerror(errno));
		close(kvm);
		return false;
	}
	memcpy(b->mem + 0x1000, code, len);
	close(kvm);
	return true;
}

void bare_close(struct bare *b)
{
	munmap(b->run, b->run_size);
	close(b->vcpu);
	close(b->vm);
	munmap(b->mem, MEM);
	close(b->fd);
}

/* Start to a vCPU that stands at its entry, with nothing else: the floor of the program's start. */
int bench_bare_start(void)
{
	struct bare b;
	uint8_t nop = 0x90;

	if (!bare_open(&b, 3, &nop, 1))
		return 1;
	(void)!write(STDOUT_FILENO, "(kvmscope) ", 11);
	return 0;
}
