/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A KVM_RUN that the run loop cannot go on from, in words: exits that nothing here handles, KVM's internal errors, memory
 * that the host does not give. Numbers and layouts: the kernel's virt/kvm/api.rst, struct kvm_run; what KVM puts into an
 * internal error's data is not ABI, so it is shown as it is, with what it means on today's kernels beside it.
 */
#include "kvmback/host/newkvm.h"
#include "kvmback/vcpu/exitwords.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SHOWN 5 /* words of data */
#define INSN_MAX 15

typedef unsigned long long ull;

static void PRINTF_LIKE(2, 3) add(struct stop *s, const char *fmt, ...)
{
	size_t len = strlen(s->error);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error + len, sizeof(s->error) - len, fmt, ap);
	va_end(ap);
}

static void PRINTF_LIKE(2, 3) advise(struct stop *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->next, sizeof(s->next), fmt, ap);
	va_end(ap);
}

/* ---- KVM_EXIT_INTERNAL_ERROR */

/* How many of internal.data are there, whatever ndata says. */
static unsigned n_data(const struct kvm_run *r)
{
	return r->internal.ndata < ARRAY_LEN(r->internal.data) ? r->internal.ndata : ARRAY_LEN(r->internal.data);
}

static void add_data(const struct kvm_run *r, struct stop *s)
{
	unsigned n = n_data(r);

	add(s, n ? ", data" : ", no data");
	for (unsigned i = 0; i < n && i < SHOWN; i++)
		add(s, " 0x%llx", (ull)r->internal.data[i]);
	if (n > SHOWN)
		add(s, " and %u more", n - SHOWN);
}

/* VT-x's and SVM's word for an event: vector in 7:0, type in 10:8, valid in bit 31. */
static void add_event(const struct kvm_run *r, unsigned i, const char *before, struct stop *s)
{
	static const char *const type[8] = {"external interrupt", "event of type 1",	"NMI",
					    "exception",	  "software interrupt", "privileged software exception",
					    "software exception", "event of type 7"};
	uint64_t word = i < n_data(r) ? r->internal.data[i] : 0;

	if (word >> 31 == 1)
		add(s, "%s%s %u", before, type[word >> 8 & 7], (unsigned)(word & 0xff));
}

static void no_emulation(const struct kvm_run *r, struct stop *s)
{
	unsigned n = r->emulation_failure.insn_size;

	add(s, "KVM has to emulate the instruction and cannot (KVM_EXIT_INTERNAL_ERROR, suberror 1)");
	advise(s, "kvmscope -b soft, whose CPU is another");
	/* Flags and the bytes are three words. */
	if (r->internal.ndata < 3 || !(r->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	s->n_insn = n < INSN_MAX ? n : INSN_MAX;
	memcpy(s->insn, r->emulation_failure.insn_bytes, s->n_insn);
}

static void internal_error(const struct kvm_run *r, struct stop *s)
{
	static const char *const look =
	    "info registers -a, then walk of the IDT's base and of the stack: both must be memory";

	s->suberror = r->internal.suberror;
	switch (s->suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		no_emulation(r, s);
		return;
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		add(s, "an exception came while another event was being delivered");
		add_event(r, 1, ": ", s);
		add_event(r, 0, " during ", s);
		advise(s, look);
		break;
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		add(s, "an event could not be delivered to the guest");
		add_event(r, 0, ": ", s);
		if (n_data(r) > 1)
			add(s, ", hardware exit reason 0x%llx", (ull)r->internal.data[1]);
		advise(s, look);
		break;
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		add(s, "the processor left the guest for a reason that KVM does not expect");
		if (n_data(r))
			add(s, ", hardware exit reason 0x%llx", (ull)r->internal.data[0]);
		advise(s, "dmesg for what KVM says of it, or kvmscope -b soft");
		break;
	default:
		add(s, "KVM gave up for a reason that this program does not know");
		advise(s, "dmesg for what KVM says of it, or kvmscope -b soft");
	}
	add(s, " (KVM_EXIT_INTERNAL_ERROR, suberror %u", s->suberror);
	add_data(r, s);
	add(s, ")");
}

/* ---- KVM_EXIT_FAIL_ENTRY */

/* VT-x gives its exit reason with bit 31 set, or the number of a VM-instruction error; SVM all ones. */
static const char *entry_failure(uint64_t reason)
{
	if (reason == UINT64_MAX || reason == UINT32_MAX)
		return "SVM's VMEXIT_INVALID: registers or control block do not go together";
	if (reason >> 31 == 1 && (reason & 0xffff) == 33)
		return "VT-x: registers that do not go together";
	if (reason >> 31 == 1 && (reason & 0xffff) == 34)
		return "VT-x: an MSR that cannot be loaded";
	if (reason >> 31 == 1 && (reason & 0xffff) == 41)
		return "VT-x: a machine check";
	if (reason == 7)
		return "VT-x: controls that do not go together";
	if (reason == 8)
		return "VT-x: host state that it does not take";
	return "which this program does not know";
}

static void fail_entry(const struct kvm_run *r, struct stop *s)
{
	uint64_t reason = r->fail_entry.hardware_entry_failure_reason;

	add(s, "the processor did not enter the guest (KVM_EXIT_FAIL_ENTRY) on host CPU %u, hardware reason 0x%llx, %s",
	    r->fail_entry.cpu, (ull)reason, entry_failure(reason));
	advise(
	    s,
	    "info registers -a for a segment, cr0, cr4, efer or rflags that do not fit each other, and set $NAME = VALUE");
}

/* ---- others */

static const char *system_event(uint32_t type)
{
	static const char *const names[] = {[KVM_SYSTEM_EVENT_SHUTDOWN] = "asked to be switched off",
					    [KVM_SYSTEM_EVENT_RESET] = "asked to be reset",
					    [KVM_SYSTEM_EVENT_CRASH] = "says that it has crashed",
					    [4] = "woke up",
					    [5] = "asked to be suspended",
					    [6] = "is an encrypted one and asked to be ended"};

	return type < ARRAY_LEN(names) && names[type] ? names[type] : "says something that this program does not know";
}

static const char on[] = "c, which goes on behind it";

/* Exits that KVM makes only if a program has asked for them, and this one has not. */
static bool numbered(const struct kvm_run *r, struct stop *s)
{
	switch (r->exit_reason) {
	case KVM_EXIT_UNKNOWN:
		add(s,
		    "the processor left the guest for a reason that KVM does not know (KVM_EXIT_UNKNOWN), hardware exit "
		    "reason "
		    "0x%llx",
		    (ull)r->hw.hardware_exit_reason);
		advise(s, "dmesg for what KVM says of it, or kvmscope -b soft");
		return true;
	case KVM_EXIT_EXCEPTION:
		add(s, "KVM passed exception %u on (KVM_EXIT_EXCEPTION), error code 0x%x", r->ex.exception,
		    r->ex.error_code);
		advise(s, "catch exception and run again, to see it before it is delivered");
		return true;
	case KVM_EXIT_HYPERCALL:
		add(s,
		    "the guest made hypercall 0x%llx (KVM_EXIT_HYPERCALL), arguments 0x%llx 0x%llx 0x%llx, which nobody "
		    "here "
		    "answers",
		    (ull)r->hypercall.nr, (ull)r->hypercall.args[0], (ull)r->hypercall.args[1], (ull)r->hypercall.args[2]);
		advise(s, on);
		return true;
	case KVM_EXIT_TPR_ACCESS:
		add(s, "the guest %s its APIC's task priority at rip 0x%llx (KVM_EXIT_TPR_ACCESS)",
		    r->tpr_access.is_write ? "wrote" : "read", (ull)r->tpr_access.rip);
		advise(s, on);
		return true;
	case KVM_EXIT_SYSTEM_EVENT:
		add(s, "the guest %s (KVM_EXIT_SYSTEM_EVENT, type %u)", system_event(r->system_event.type),
		    r->system_event.type);
		advise(s, "run, which begins again, or c");
		return true;
	case KVM_EXIT_IOAPIC_EOI:
		add(s, "the guest ended interrupt %u (KVM_EXIT_IOAPIC_EOI), and there is no I/O APIC here", r->eoi.vector);
		advise(s, on);
		return true;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		add(s, "the guest %s MSR 0x%x (%s), value 0x%llx, reason %u, which nobody here answers",
		    r->exit_reason == KVM_EXIT_X86_RDMSR ? "reads" : "writes", r->msr.index,
		    r->exit_reason == KVM_EXIT_X86_RDMSR ? "KVM_EXIT_X86_RDMSR" : "KVM_EXIT_X86_WRMSR", (ull)r->msr.data,
		    r->msr.reason);
		advise(s, on);
		return true;
	case KVM_EXIT_HYPERV:
		add(s, "the guest used an interface of Hyper-V's (KVM_EXIT_HYPERV, type %u)", r->hyperv.type);
		advise(s, on);
		return true;
	case KVM_EXIT_XEN:
		add(s, "the guest used an interface of Xen's (KVM_EXIT_XEN, type %u)", r->xen.type);
		advise(s, on);
		return true;
	default:
		return false;
	}
}

static const struct {
	uint32_t reason;
	const char *words;
} plain[] = {
    {KVM_EXIT_SET_TPR, "the guest lowered its task priority by cr8 (KVM_EXIT_SET_TPR), which matters to nobody here"},
    {KVM_EXIT_NMI, "a non-maskable interrupt of the host's came (KVM_EXIT_NMI)"},
    {KVM_EXIT_DIRTY_RING_FULL, "KVM's ring of dirty pages is full (KVM_EXIT_DIRTY_RING_FULL)"},
    {KVM_EXIT_AP_RESET_HOLD, "the vCPU waits for another to start it (KVM_EXIT_AP_RESET_HOLD)"},
    {KVM_EXIT_X86_BUS_LOCK, "the guest locked the bus, by an atomic access across two cache lines (KVM_EXIT_X86_BUS_LOCK)"},
    {NEWKVM_EXIT_NOTIFY, "the guest left the processor no time to exit (KVM_EXIT_NOTIFY): it may hang in one instruction"},
};

void exit_words(const struct kvm_run *r, struct stop *s)
{
	s->kvm_exit = r->exit_reason;
	s->error[0] = '\0';
	s->suberror = s->n_insn = 0;
	if (r->exit_reason == KVM_EXIT_INTERNAL_ERROR) {
		internal_error(r, s);
		return;
	}
	if (r->exit_reason == KVM_EXIT_FAIL_ENTRY) {
		fail_entry(r, s);
		return;
	}
	if (numbered(r, s))
		return;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (plain[i].reason == r->exit_reason) {
			add(s, "%s", plain[i].words);
			advise(s, on);
			return;
		}
	add(s, "KVM exit %u, which this program does not know", r->exit_reason);
	advise(s, "c, or kvmscope -b soft");
}

/* ---- memory that the host does not give */

struct memory_fault exit_memory_fault(const struct kvm_run *r)
{
	struct memory_fault f = {.told = r->exit_reason == NEWKVM_EXIT_MEMORY_FAULT};
	uint64_t words[3]; /* at the union's start */

	memcpy(words, r->padding, sizeof(words));
	if (f.told) {
		f.flags = words[0];
		f.gpa = words[1];
		f.size = words[2];
	}
	return f;
}

/* Up to where the slot has bytes of its file: the kernel fills the last page up. */
static uint64_t file_end(const struct slot *s)
{
	struct stat st;

	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return s->size;
	uint64_t end = ((uint64_t)st.st_size + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;
	return end > s->fd_offset ? end - s->fd_offset : 0;
}

/* Where f.told is false the slot is a guess, by what is wrong with it. */
static void file_words(const struct memory_fault *f, const struct slot *slot, struct stop *s)
{
	uint64_t end = file_end(slot);

	if (f->told)
		add(s, "gpa 0x%llx cannot be reached: ", (ull)f->gpa);
	else
		add(s, "the kernel does not tell at which gpa, but ");
	add(s, "slot %u (gpa 0x%llx to 0x%llx) is a file ", slot->id, (ull)slot->gpa, (ull)(slot->gpa + slot->size - 1));
	if (end < slot->size && (!f->told || f->gpa - slot->gpa >= end)) {
		add(s, "that has been cut short and ends at gpa 0x%llx", (ull)(slot->gpa + end));
		advise(s, "slot del %u, then slot add with a file that is long enough", slot->id);
		return;
	}
	add(s, "mapped PROT_READ, and yet writable for the guest");
	advise(s, "slot flags %u +readonly, by which its writes leave as MMIO", slot->id);
}

bool exit_slot_to_blame(const struct slot *s)
{
	return s->file_backed && (!(s->flags & SLOT_READONLY) || file_end(s) < s->size);
}

void exit_memory_words(const struct memory_fault *f, const struct slot *slot, int errnum, struct stop *s)
{
	s->gpa = f->told ? f->gpa : 0;
	s->slot = slot ? (int)slot->id : -1;
	s->error[0] = '\0';
	add(s, "KVM_RUN gave %s: ", errnum == EFAULT ? "EFAULT" : strerror(errnum));
	if (errnum == EFAULT && slot && !(f->flags & NEWKVM_MEMORY_EXIT_PRIVATE) && exit_slot_to_blame(slot)) {
		file_words(f, slot, s);
		return;
	}
	if (f->told && f->flags & NEWKVM_MEMORY_EXIT_PRIVATE)
		advise(s, "set rip past the access, or load: a VM of kvmscope's has shared memory alone");
	else
		advise(s, "dmesg, and memory freed on this host, then c");
	if (!f->told) {
		add(s, "memory of the guest cannot be reached by the host, and this kernel does not tell which");
		return;
	}
	add(s, "the host cannot reach %sgpa 0x%llx to 0x%llx",
	    f->flags & NEWKVM_MEMORY_EXIT_PRIVATE ? "as private memory " : "", (ull)f->gpa,
	    (ull)(f->gpa + f->size - (f->size != 0)));
	if (slot)
		add(s, ", which is hva 0x%llx by slot %u", (ull)(slot->hva + (f->gpa - slot->gpa)), slot->id);
	else
		add(s, ", which no slot covers");
	if (f->flags)
		add(s, ", flags 0x%llx", (ull)f->flags);
}
