/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest memory as run control needs it from a vCPU's own thread: the vCPU's tables and the slots' aliases, without an ioctl
 * and without the hints that the slot table keeps for the debugger's thread. Registers must be in the run area.
 */
#include "core/mem/nested.h"
#include "kvmback/vcpu/vcpu.h"

#include <errno.h>
#include <string.h>

enum run_mode vcpu_mode(struct kvcpu *v)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	if (!(s->cr0 & CR0_PE) || vcpu_regs(v)->rflags & RFLAGS_VM)
		return RUN_REAL;
	return s->efer & EFER_LMA ? RUN_LONG : RUN_PROT;
}

unsigned vcpu_cpl(struct kvcpu *v)
{
	if (!(vcpu_sregs(v)->cr0 & CR0_PE))
		return 0;
	return vcpu_regs(v)->rflags & RFLAGS_VM ? 3 : vcpu_sregs(v)->ss.dpl;
}

unsigned vcpu_bits(struct kvcpu *v)
{
	if (vcpu_mode(v) == RUN_REAL)
		return 16;
	if (vcpu_mode(v) == RUN_LONG && vcpu_sregs(v)->cs.l)
		return 64;
	return vcpu_sregs(v)->cs.db ? 32 : 16;
}

uint64_t vcpu_linear(struct kvcpu *v, const struct kvm_segment *seg, uint64_t offset)
{
	if (vcpu_bits(v) == 64)
		return offset + (seg == &vcpu_sregs(v)->fs || seg == &vcpu_sregs(v)->gs ? seg->base : 0);
	return (uint32_t)(seg->base + offset);
}

uint64_t vcpu_linear_rip(struct kvcpu *v)
{
	return vcpu_linear(v, &vcpu_sregs(v)->cs, vcpu_regs(v)->rip);
}

struct slot *gmem_slot(struct kvcpu *v, uint64_t gpa)
{
	bool smm = v->in_smm || vcpu_native_smm(v);
	const struct slot_view *view = &v->vm->m.slots.view[smm];
	size_t lo = 0, hi = view->n;

	/* Descending by gpa: the first that does not begin above gpa. */
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (view->by_gfn[mid]->gpa > gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < view->n && slot_contains(view->by_gfn[lo], gpa) ? view->by_gfn[lo] : NULL;
}

static int read_slot(const struct slot *s, uint64_t gpa, void *buf, size_t n)
{
	/* A file that was cut short under its mapping is a SIGBUS: read it as a file. */
	if (s->file_backed && s->fd >= 0)
		return pread(s->fd, buf, n, (off_t)(s->fd_offset + (gpa - s->gpa))) == (ssize_t)n ? 0 : -EFAULT;
	memcpy(buf, s->alias + (gpa - s->gpa), n);
	return 0;
}

static int read_entry(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	const struct slot *s = gmem_slot(ctx, gpa);

	if (!s || s->size - (gpa - s->gpa) < size)
		return -EFAULT;
	*entry = 0;
	return read_slot(s, gpa, entry, size);
}

bool gmem_walk_under(struct kvcpu *v, uint64_t cr3, uint64_t linear, struct walk *out)
{
	const struct kvm_sregs *s = vcpu_sregs(v);
	struct paging_mem mem = {.ctx = v, .read = read_entry};
	struct nested_mem nested;
	struct regs r = {.cr0 = s->cr0, .cr3 = cr3, .cr4 = s->cr4, .efer = s->efer};
	struct paging pg;

	r.pdpte_valid = v->pdpte_valid && cr3 == s->cr3;
	memcpy(r.pdpte, v->pdpte, sizeof(r.pdpte));

	if (v->nested.in && v->nested.paging) {
		nested_mem_init(&nested, &mem, &v->nested, v->vm->m.maxphyaddr);
		mem = nested_mem(&nested);
	} else if (!(s->cr0 & CR0_PG)) {
		*out = (struct walk){.gpa = linear, .rights = ACCESS_WRITE | ACCESS_FETCH | ACCESS_USER};
		return true;
	}
	paging_from_regs(&pg, &r);
	if (v->vm->m.maxphyaddr)
		pg.maxphyaddr = v->vm->m.maxphyaddr;
	paging_walk(&pg, &mem, linear, ACCESS_READ | ACCESS_IMPLICIT, false, out);
	return !out->fault.present;
}

/* The walk of the vCPU's tables, n 0 if paging is off; false if it ends in a fault. */
static bool walk_own_tables(struct kvcpu *v, uint64_t linear, struct walk *out)
{
	return gmem_walk_under(v, vcpu_sregs(v)->cr3, linear, out);
}

bool gmem_translate(struct kvcpu *v, uint64_t linear, uint64_t *gpa, uint8_t *rights)
{
	struct walk w;

	if (!walk_own_tables(v, linear, &w))
		return false;
	*gpa = w.gpa;
	*rights = w.rights;
	return true;
}

uint8_t *gmem_byte(struct kvcpu *v, uint64_t gpa, bool write)
{
	const struct slot *s = gmem_slot(v, gpa);

	if (!s || !s->alias || (write && s->file_backed))
		return NULL;
	return s->alias + (gpa - s->gpa);
}

size_t gmem_read(struct kvcpu *v, uint64_t linear, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint64_t gpa;
		uint8_t rights;
		size_t part = PAGE_SIZE_4K - ((linear + done) & PAGE_OFFSET_MASK);

		if (!gmem_translate(v, linear + done, &gpa, &rights))
			break;
		const struct slot *s = gmem_slot(v, gpa);
		part = part < n - done ? part : n - done;
		if (!s || read_slot(s, gpa, (char *)buf + done, part))
			break;
		done += part;
	}
	return done;
}

bool gmem_write(struct kvcpu *v, uint64_t linear, const void *buf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t gpa;
		uint8_t rights, *at;

		if (!gmem_translate(v, linear + i, &gpa, &rights))
			return false;
		at = gmem_byte(v, gpa, true);
		if (!at)
			return false;
		*at = ((const uint8_t *)buf)[i];
	}
	return true;
}
