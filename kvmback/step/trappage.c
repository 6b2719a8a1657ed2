/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The trap page: a stand-in for the empty IDT on hosts where a shutdown exit loses the vCPU's state (SVM) or does not tell
 * the vector (VT-x). While such a vCPU runs, its IDT is one whose handlers are an OUT each, in a slot of the debugger's own;
 * the exit's rip is the vector, the frame on that slot's stack is the vCPU. When the exit is over, everything is put back
 * and the exit looks like the shutdown exit of a host that keeps the state, so that nobody else needs to know.
 *
 * The guest's GDT is copied, with three descriptors behind it, because delivery loads CS from there. In long mode the slot
 * is mapped by one entry of the guest's top table that is free; it is there only while the guest runs. Gates use an IST
 * stack, so nothing is written below the guest's. Not covered: paging without long mode, 5-level paging, a guest that loads
 * another CR3 on its way to the exception; those end as a shutdown.
 */
#include "kvmback/step/step.h"
#include "kvmback/vcpu/nested.h"

#include "core/base/lock.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* Pages of the slot, then two for each vCPU: GDT with TSS, stack. */
enum { AT_STUBS, AT_IDT_LONG, AT_IDT_PROT, AT_L3, AT_L2, AT_L1, AT_VCPUS };
#define TRAP_GPA 0xfef00000ull
#define STUB_SIZE 16u
#define VECTORS 32u
/* In the page of GDT and TSS. */
#define OWN_CODE 0xe00u
#define OWN_DATA 0xe08u
#define OWN_TSS 0xe10u
#define GDT_LIMIT 0xe1fu
#define TSS_OFFSET 0xf00u
#define TSS_SIZE 0x68u
/* Of the gates in long mode: the stack that a guest which loads an IDT of its own uses last. */
#define OWN_IST 7u

struct link {
	uint64_t *at;
	unsigned users;
};

struct trap_page {
	uint8_t *mem;
	size_t size;
	unsigned index; /* of the entry in the top table; 0: none chosen yet */
	struct link link[KVM_MAX_VCPUS_HERE];
};

static uint8_t *page(const struct trap_page *t, unsigned n)
{
	return t->mem + (size_t)n * PAGE_SIZE_4K;
}

static void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* ---- making it */

static void fill_tables(struct trap_page *t)
{
	/* out 0xdb, al. Not HLT: stepped over in KVM's emulator, that halts the vCPU at some later instruction. */
	static const uint8_t stub[] = {0xe6, 0xdb};

	put64(page(t, AT_L3), (TRAP_GPA + AT_L2 * PAGE_SIZE_4K) | PTE_P | PTE_W);
	put64(page(t, AT_L2), (TRAP_GPA + AT_L1 * PAGE_SIZE_4K) | PTE_P | PTE_W);
	for (size_t i = 0; i < t->size >> PAGE_SHIFT; i++)
		put64(page(t, AT_L1) + i * 8, (TRAP_GPA + i * PAGE_SIZE_4K) | PTE_P | PTE_W);
	for (unsigned v = 0; v < VECTORS; v++)
		memcpy(page(t, AT_STUBS) + v * STUB_SIZE, stub, sizeof(stub));
}

/* INT3 and INTO may be raised by CPL3; any other INT n is a #GP, as with no IDT. */
static uint64_t gate_access(unsigned v)
{
	return v == 3 || v == 4 ? 0xee : 0x8e;
}

static void fill_idt(struct trap_page *t, uint64_t base)
{
	for (unsigned v = 0; v < VECTORS; v++) {
		uint64_t at = base + v * STUB_SIZE, prot = TRAP_GPA + v * STUB_SIZE;
		uint64_t ist = (at & 0xffff) | (uint64_t)OWN_CODE << 16 | (uint64_t)OWN_IST << 32 | gate_access(v) << 40 |
			       (at >> 16 & 0xffff) << 48;

		put64(page(t, AT_IDT_LONG) + v * 16, ist);
		put64(page(t, AT_IDT_LONG) + v * 16 + 8, at >> 32);
		put64(page(t, AT_IDT_PROT) + v * 8,
		      (prot & 0xffff) | (uint64_t)OWN_CODE << 16 | gate_access(v) << 40 | prot >> 16 << 48);
	}
}

int trap_page_make(struct kvm_vm *vm, struct err *e)
{
	struct kvm_userspace_memory_region r = {.guest_phys_addr = TRAP_GPA};
	struct trap_page *t;

	if (vm->rs->trap)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_nomem(e, "trap page");
	t->size = (AT_VCPUS + 2 * (size_t)vm->m.vcpus) * PAGE_SIZE_4K;
	void *mem = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED) {
		free(t);
		return err_nomem(e, "trap page");
	}
	t->mem = mem;
	fill_tables(t);
	r.slot = vm->host->max_slots;
	do
		r.slot--;
	while (r.slot && slot_by_id(&vm->m.slots, r.slot));
	r.memory_size = t->size;
	r.userspace_addr = (uintptr_t)mem;
	for (unsigned as = 0; as < vm->host->address_spaces; as++, r.slot += 1u << 16)
		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0) {
			int errnum = errno;

			munmap(mem, t->size);
			free(t);
			return err_errno(e, errnum, "trap page" WHY "no slot at gpa %#llx" TRY "slot del of what is there",
					 (unsigned long long)TRAP_GPA);
		}
	vm->rs->trap = t;
	return 0;
}

void trap_page_free(struct run_state *rs)
{
	if (rs->trap)
		munmap(rs->trap->mem, rs->trap->size);
	free(rs->trap);
}

/* ---- the entry in the guest's top table */

static uint64_t base_of(const struct trap_page *t)
{
	uint64_t base = (uint64_t)t->index << 39;

	return t->index >= 256 ? base | 0xffff000000000000ull : base;
}

static struct link *find_link(struct trap_page *t, const uint64_t *at)
{
	struct link *unused = NULL;

	for (unsigned i = 0; i < KVM_MAX_VCPUS_HERE; i++) {
		if (t->link[i].users && t->link[i].at == at)
			return &t->link[i];
		if (!t->link[i].users && !unused)
			unused = &t->link[i];
	}
	return unused;
}

/* The first vCPU's top table decides which entry it is, from the end. */
static void choose_index(struct trap_page *t, const uint64_t *table)
{
	for (unsigned i = 511; !t->index && i > 0; i--)
		if (!table[i])
			t->index = i;
	if (t->index)
		fill_idt(t, base_of(t));
}

static bool link_in(struct kvcpu *v)
{
	struct trap_page *t = v->vm->rs->trap;
	uint64_t *table = (void *)gmem_byte(v, vcpu_sregs(v)->cr3 & 0x000ffffffffff000ull, true);

	if (!table)
		return false;
	LOCK_SCOPE(&v->vm->rs->plant_lock);
	choose_index(t, table);
	struct link *l = t->index ? find_link(t, &table[t->index]) : NULL;
	if (!l || (!l->users && table[t->index]))
		return false;
	if (!l->users++)
		l->at = &table[t->index];
	*(volatile uint64_t *)l->at = (TRAP_GPA + AT_L3 * PAGE_SIZE_4K) | PTE_P | PTE_W;
	v->control->trap.link = l->at;
	return true;
}

static void link_out(struct kvcpu *v)
{
	struct vcpu_control *r = v->control;

	if (!r->trap.link)
		return;
	LOCK_SCOPE(&v->vm->rs->plant_lock);
	struct link *l = find_link(v->vm->rs->trap, r->trap.link);
	if (l && l->users && !--l->users)
		*(volatile uint64_t *)l->at = 0;
	r->trap.link = NULL;
}

/* ---- for one KVM_RUN */

/* A guest that loads an IDT of its own still has this TSS until it comes out: its handlers run on the stacks that its own
 * TSS names, and ports are denied as that says. */
static void make_tss(struct kvcpu *v, uint8_t *tss, uint64_t stack)
{
	const struct kvm_segment *own = &vcpu_sregs(v)->tr;

	if (own->unusable || !own->present || own->limit < TSS_SIZE - 1 ||
	    gmem_read(v, own->base, tss, TSS_SIZE) != TSS_SIZE) {
		memset(tss, 0, TSS_SIZE);
		put64(tss + 4, stack);
	}
	put64(tss + 0x1c + OWN_IST * 8, stack);
}

static void make_gdt(struct kvcpu *v, uint8_t *gdt, uint64_t linear, uint64_t stack, bool in_long)
{
	const struct kvm_dtable *own = &vcpu_sregs(v)->gdt;
	size_t n = own->limit ? own->limit + 1u : 0;
	uint64_t tss = linear + TSS_OFFSET;
	uint32_t esp0[2] = {(uint32_t)stack, OWN_DATA};

	memset(gdt, 0, PAGE_SIZE_4K);
	(void)gmem_read(v, own->base, gdt, n < OWN_CODE ? n : OWN_CODE);
	put64(gdt + OWN_CODE, in_long ? 0x00209b0000000000 : 0x00cf9b000000ffff);
	put64(gdt + OWN_DATA, 0x00cf93000000ffff);
	put64(gdt + OWN_TSS, 0x67 | (tss & 0xffffff) << 16 | 0x8bull << 40 | (tss >> 24 & 0xff) << 56);
	put64(gdt + OWN_TSS + 8, tss >> 32);
	if (!in_long) {
		memcpy(gdt + TSS_OFFSET + 4, esp0, sizeof(esp0));
		return;
	}
	make_tss(v, gdt + TSS_OFFSET, stack);
}

bool trap_page_covers(struct kvcpu *v)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	/* L2's memory is L1's to map. */
	return !v->nested.in && s->cr0 & CR0_PE && !(vcpu_regs(v)->rflags & RFLAGS_VM) &&
	       (s->efer & EFER_LMA ? !(s->cr4 & CR4_LA57) : !(s->cr0 & CR0_PG));
}

static bool usable(struct kvcpu *v)
{
	return v->vm->rs->trap && !vcpu_sregs(v)->idt.limit && trap_page_covers(v);
}

void trap_page_in(struct kvcpu *v)
{
	struct vcpu_control *r = v->control;
	struct kvm_sregs *s = vcpu_sregs(v);
	struct trap_page *t = v->vm->rs->trap;
	bool in_long = s->efer & EFER_LMA;
	unsigned gdt = AT_VCPUS + 2 * v->index;

	r->trap.state = TRAP_OUT;
	if (!usable(v) || (in_long && !link_in(v)))
		return;
	r->trap.state = TRAP_IN;
	uint64_t base = in_long ? base_of(t) : TRAP_GPA, at = base + gdt * PAGE_SIZE_4K;
	if (!in_long && !t->index)
		fill_idt(t, base);
	r->trap.saved = *s;
	make_gdt(v, page(t, gdt), at, at + 2 * PAGE_SIZE_4K, in_long);
	s->gdt.base = at;
	s->gdt.limit = GDT_LIMIT;
	s->idt.base = base + (in_long ? AT_IDT_LONG : AT_IDT_PROT) * PAGE_SIZE_4K;
	s->idt.limit = VECTORS * (in_long ? 16 : 8) - 1;
	s->tr = (struct kvm_segment){.base = at + TSS_OFFSET, .limit = 0x67, .selector = OWN_TSS, .type = 11, .present = 1};
	vcpu_dirty(v, KVM_SYNC_X86_SREGS);
}

static struct kvm_segment segment_was(struct kvcpu *v, uint64_t selector, const struct kvm_segment *was)
{
	struct kvm_segment seg;

	if ((uint16_t)selector == was->selector || !trap_segment(v, (uint16_t)selector, &seg))
		return *was;
	return seg;
}

/* A word of the stack: the slot's own is in no slot table. */
static bool stack_word(struct kvcpu *v, uint64_t base, uint64_t linear, uint64_t *word, unsigned width)
{
	const struct trap_page *t = v->vm->rs->trap;

	if (linear - base > t->size - width)
		return gmem_read(v, linear, word, width) == width;
	memcpy(word, t->mem + (linear - base), width);
	return true;
}

/* Words first to last - 1 of those that the stub stands on. */
static bool stack_words(struct kvcpu *v, uint64_t base, uint64_t w[6], unsigned first, unsigned last)
{
	bool in_long = v->control->trap.saved.efer & EFER_LMA;
	const struct kvm_regs *r = vcpu_regs(v);

	for (unsigned i = first; i < last; i++) {
		uint64_t at = in_long ? r->rsp + i * 8 : (uint32_t)(vcpu_sregs(v)->ss.base + r->rsp + i * 4);

		if (!stack_word(v, base, at, &w[i], in_long ? 8 : 4))
			return false;
	}
	return true;
}

/* The frame that the stub stands on, in the stub's mode: where the guest was. */
static bool take_frame(struct kvcpu *v, unsigned vector, uint64_t base, bool in_long)
{
	struct kvm_vcpu_events ev;
	const struct kvm_sregs *was = &v->control->trap.saved;
	struct kvm_regs *r = vcpu_regs(v);
	struct kvm_sregs *s = vcpu_sregs(v);
	bool error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
	unsigned width = in_long ? 8 : 4, n = error;
	uint64_t w[6] = {0};

	/* rsp and ss, the last two, are there only if they changed. */
	if (!stack_words(v, base, w, 0, n + 3) || ((in_long || w[n + 1] & 3) && !stack_words(v, base, w, n + 3, n + 5)))
		return false;
	/* Where the exit came before the OUT, KVM would inject the exception again. */
	vcpu_events(v, &ev);
	ev.exception.injected = ev.exception.pending = 0;
	ev.exception.nr = (uint8_t)vector;
	ev.exception.has_error_code = error;
	ev.exception.error_code = error ? (uint32_t)w[0] : 0;
	v->run->s.regs.events = ev;
	v->sync_fresh |= KVM_SYNC_X86_EVENTS;
	r->rip = w[n];
	r->rflags = w[n + 2];
	/* Pushed in a single step of KVM's. */
	if (v->control->dbg.control & KVM_GUESTDBG_SINGLESTEP && v->control->own.tf == TF_CLEAR)
		r->rflags &= ~RFLAGS_TF;
	s->gdt = was->gdt;
	s->cs = segment_was(v, w[n + 1], &was->cs);
	if (in_long || w[n + 1] & 3) {
		r->rsp = w[n + 3];
		s->ss = segment_was(v, w[n + 4], &was->ss);
	} else {
		r->rsp += (n + 3) * width;
		s->ss = was->ss;
	}
	return true;
}

static bool at_stub(struct kvcpu *v, int rc, unsigned *vector, uint64_t base)
{
	uint64_t at = vcpu_regs(v)->rip - base;
	/* Kicked before the OUT: the exception has been delivered all the same. */
	bool left = rc == -EINTR || (!rc && (v->run->exit_reason == KVM_EXIT_IO || v->run->exit_reason == KVM_EXIT_DEBUG));

	/* Before the OUT or behind it: where KVM leaves rip differs, and a single step may have been what left. */
	*vector = (unsigned)(at / STUB_SIZE);
	return left && at < VECTORS * STUB_SIZE && at % STUB_SIZE <= 2;
}

void trap_page_hide(const struct kvcpu *v, struct regs *r)
{
	const struct kvm_sregs *was = &v->control->trap.saved;
	const struct trap_page *t = v->vm->rs->trap;
	bool in_long = was->efer & EFER_LMA;

	if (!t)
		return;
	uint64_t base = in_long ? base_of(t) : TRAP_GPA;
	if (r->idt.base == base + (in_long ? AT_IDT_LONG : AT_IDT_PROT) * PAGE_SIZE_4K)
		r->idt = (struct desc_table){was->idt.base, was->idt.limit};
	if (r->gdt.base == base + (AT_VCPUS + 2 * v->index) * PAGE_SIZE_4K)
		r->gdt = (struct desc_table){was->gdt.base, was->gdt.limit};
	if (r->tr.selector == OWN_TSS)
		kvm_seg_out(&r->tr, &was->tr);
}

int trap_page_out(struct kvcpu *v, int rc)
{
	struct vcpu_control *r = v->control;
	struct kvm_sregs *s = vcpu_sregs(v);
	const struct kvm_sregs *was = &r->trap.saved;
	bool in_long = was->efer & EFER_LMA;
	uint64_t base = in_long ? base_of(v->vm->rs->trap) : TRAP_GPA;
	unsigned vector;

	r->trap.state = TRAP_OUT;
	if (at_stub(v, rc, &vector, base) && take_frame(v, vector, base, in_long)) {
		rc = 0;
		r->trap.state = TRAP_TAKEN;
		v->run->exit_reason = KVM_EXIT_SHUTDOWN;
		vcpu_dirty(v, KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS);
	}
	if (v->nested.in && !nested_put_l1(v, &(struct nested_l1){.idt = &was->idt, .gdt = &was->gdt}))
		rc = -EIO;
	/* What the guest has loaded itself meanwhile stays. */
	if (s->idt.base == base + (in_long ? AT_IDT_LONG : AT_IDT_PROT) * PAGE_SIZE_4K)
		s->idt = was->idt;
	if (s->gdt.base == base + (AT_VCPUS + 2 * v->index) * PAGE_SIZE_4K)
		s->gdt = was->gdt;
	if (s->tr.selector == OWN_TSS)
		s->tr = was->tr;
	link_out(v);
	vcpu_dirty(v, KVM_SYNC_X86_SREGS);
	return rc;
}
