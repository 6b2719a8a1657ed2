/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * KVM_RUN's exits that end a run, from the bytes of a run area to `why`'s sentence: every internal error with and without
 * data, every exit that nothing handles, memory that the host refuses. The area is heap memory of its exact size and full of
 * ones, so that memcheck and the sanitizers see a read behind it.
 */
#include "kvmback/vcpu/exitwords.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/debug/debugger.h"
#include "tests/support/longguest.h"

static struct debugger d;
static struct kvm_run *r;
static struct stop s;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(debugger_init(&d, NULL), 0);
	d.m = longguest_create(1, 3);
	assert_int_equal(symbols_add(&d.syms, "main", 0x10000, 0x100, NULL), 0);
	assert_int_equal(symbols_sort(&d.syms, NULL), 0);
	r = malloc(sizeof(*r));
	assert_non_null(r);
	memset(r, 0xff, sizeof(*r));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(r);
	machine_destroy(d.m);
	debugger_deinit(&d);
	return 0;
}

static void begin(uint32_t reason)
{
	memset(r, 0, sizeof(*r));
	r->exit_reason = reason;
	s = (struct stop){.reason = STOP_ERROR, .rip = 0x10004, .slot = -1};
	snprintf(s.error, sizeof(s.error), "of an exit before");
	snprintf(s.next, sizeof(s.next), "something else");
}

#define PREFIX "The host could not go on with vCPU 0 at 0x10004 (main+0x4): "

static void told(const char *sentence)
{
	char text[1024];

	debug_why(&d, &s, text, sizeof(text));
	if (strncmp(text, PREFIX, strlen(PREFIX)) || strcmp(text + strlen(PREFIX), sentence))
		fail_msg("\n  %s\nwanted\n  %s%s", text, PREFIX, sentence);
}

static void expect(const char *sentence)
{
	exit_words(r, &s);
	assert_int_equal(s.kvm_exit, r->exit_reason);
	told(sentence);
}

/* ---- KVM_EXIT_INTERNAL_ERROR */

static void emulation(uint32_t ndata, uint64_t flags, uint8_t insn_size, const char *insn)
{
	begin(KVM_EXIT_INTERNAL_ERROR);
	r->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	r->emulation_failure.ndata = ndata;
	r->emulation_failure.flags = flags;
	r->emulation_failure.insn_size = insn_size;
	memcpy(r->emulation_failure.insn_bytes, insn, strlen(insn));
}

#define NO_EMULATION "KVM has to emulate the instruction and cannot (KVM_EXIT_INTERNAL_ERROR, suberror 1)"
#define ANOTHER_CPU "kvmscope -b soft, whose CPU is another."

static void test_emulation(void **state)
{
	(void)state;
	longguest_poke(d.m, 0x10004, "\x0f\x01\xc1", 3); /* vmcall */
	emulation(3, 1, 3, "\xc5\xf8\x77");
	expect(NO_EMULATION ", `vzeroupper` (bytes c5 f8 77); try `set $rip = 0x10007`, which skips it, or " ANOTHER_CPU);
	assert_int_equal(s.suberror, 1);
	/* What follows it is in the bytes as well, up to 15; the instruction is the first. */
	emulation(8, 1, 15, "\x9b\x90\xf4");
	expect(NO_EMULATION ", `wait` (bytes 9b); try `set $rip = 0x10005`, which skips it, or " ANOTHER_CPU);
	assert_int_equal(s.n_insn, 15);
	/* No bytes by KVM: those of the guest's memory. */
	emulation(0, 0, 0, "");
	expect(NO_EMULATION ", `vmcall` (bytes 0f 01 c1); try `set $rip = 0x10007`, which skips it, or " ANOTHER_CPU);
	emulation(2, 1, 3, "\xc5\xf8\x77");
	expect(NO_EMULATION ", `vmcall` (bytes 0f 01 c1); try `set $rip = 0x10007`, which skips it, or " ANOTHER_CPU);
	emulation(3, 2, 3, "\xc5\xf8\x77");
	expect(NO_EMULATION ", `vmcall` (bytes 0f 01 c1); try `set $rip = 0x10007`, which skips it, or " ANOTHER_CPU);
	emulation(3, 1, 0, "\xc5\xf8\x77");
	expect(NO_EMULATION ", `vmcall` (bytes 0f 01 c1); try `set $rip = 0x10007`, which skips it, or " ANOTHER_CPU);
	/* No instruction: nothing to skip, the bytes all the same. */
	emulation(3, 1, 2, "\x06\x90");
	expect(NO_EMULATION ", bytes 06 90, which are no instruction that is known; try " ANOTHER_CPU);
	/* Neither bytes nor memory. */
	emulation(0, 0, 0, "");
	s.rip = 0x7000000;
	exit_words(r, &s);
	char text[1024];
	debug_why(&d, &s, text, sizeof(text));
	assert_string_equal(text, "The host could not go on with vCPU 0 at 0x7000000: " NO_EMULATION "; try " ANOTHER_CPU);
}

/* Counts that no kernel should give: 15 bytes, 16 words. */
static void test_hostile_counts(void **state)
{
	(void)state;
	emulation(UINT32_MAX, UINT64_MAX, 255, "\x9b");
	memset(r->emulation_failure.insn_bytes + 1, 0x2e, 14);
	exit_words(r, &s);
	assert_int_equal(s.n_insn, 15);
	assert_int_equal(s.insn[15], 0);
	for (uint32_t sub = 0; sub < 8; sub++) {
		begin(KVM_EXIT_INTERNAL_ERROR);
		memset(r->padding, 0xff, sizeof(r->padding));
		r->internal.suberror = sub;
		exit_words(r, &s);
		assert_true(strlen(s.error) < sizeof(s.error) - 1); /* not cut */
		if (sub != 1)
			assert_non_null(strstr(s.error, " and 11 more)"));
	}
	/* And of a struct stop. */
	s = (struct stop){.reason = STOP_ERROR, .rip = 0x10004, .n_insn = 400};
	memset(s.insn, 0x06, sizeof(s.insn));
	char text[1024];
	debug_why(&d, &s, text, sizeof(text));
	assert_non_null(strstr(text, "bytes 06 06 06 06 06 06 06 06 06 06 06 06 06 06 06 06, which"));
}

struct internal_case {
	uint32_t suberror, ndata;
	uint64_t data[6];
	const char *sentence;
};

#define LOOK "; try info registers -a, then walk of the IDT's base and of the stack: both must be memory."
#define DMESG "; try dmesg for what KVM says of it, or kvmscope -b soft."

static const struct internal_case internals[] = {
    {2,
     4,
     {0x80000b0e, 0x80000b0d, 0x10, 3},
     "an exception came while another event was being delivered: exception 13 during exception 14 (KVM_EXIT_INTERNAL_ERROR, "
     "suberror 2, data 0x80000b0e 0x80000b0d 0x10 0x3)" LOOK},
    {2,
     1,
     {0x80000020},
     "an exception came while another event was being delivered during external interrupt 32 (KVM_EXIT_INTERNAL_ERROR, "
     "suberror "
     "2, data 0x80000020)" LOOK},
    {2,
     0,
     {0x80000b0e, 0x80000b0d},
     "an exception came while another event was being delivered (KVM_EXIT_INTERNAL_ERROR, suberror 2, no data)" LOOK},
    {3,
     5,
     {0x80000b0e, 0x31, 0x181, 0xfee00000, 2},
     "an event could not be delivered to the guest: exception 14, hardware exit reason 0x31 (KVM_EXIT_INTERNAL_ERROR, "
     "suberror "
     "3, data 0x80000b0e 0x31 0x181 0xfee00000 0x2)" LOOK},
    {3,
     6,
     {0x80000202, 0x30, 0, 0, 0, 9},
     "an event could not be delivered to the guest: NMI 2, hardware exit reason 0x30 (KVM_EXIT_INTERNAL_ERROR, suberror 3, "
     "data "
     "0x80000202 0x30 0x0 0x0 0x0 and 1 more)" LOOK},
    /* A word whose valid bit is clear, or that is more than 32 bits, is no event. */
    {3, 1, {0xb0e}, "an event could not be delivered to the guest (KVM_EXIT_INTERNAL_ERROR, suberror 3, data 0xb0e)" LOOK},
    {3,
     1,
     {0x180000b0e},
     "an event could not be delivered to the guest (KVM_EXIT_INTERNAL_ERROR, suberror 3, data 0x180000b0e)" LOOK},
    {3, 0, {0}, "an event could not be delivered to the guest (KVM_EXIT_INTERNAL_ERROR, suberror 3, no data)" LOOK},
    {4,
     2,
     {0x43, 1},
     "the processor left the guest for a reason that KVM does not expect, hardware exit reason 0x43 "
     "(KVM_EXIT_INTERNAL_ERROR, "
     "suberror 4, data 0x43 0x1)" DMESG},
    {4,
     0,
     {0x43},
     "the processor left the guest for a reason that KVM does not expect (KVM_EXIT_INTERNAL_ERROR, suberror 4, no "
     "data)" DMESG},
    {77,
     1,
     {0xabc},
     "KVM gave up for a reason that this program does not know (KVM_EXIT_INTERNAL_ERROR, suberror 77, data 0xabc)" DMESG},
    {0,
     0,
     {0},
     "KVM gave up for a reason that this program does not know (KVM_EXIT_INTERNAL_ERROR, suberror 0, no data)" DMESG},
};

static void test_internal_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(internals); i++) {
		const struct internal_case *c = &internals[i];

		begin(KVM_EXIT_INTERNAL_ERROR);
		r->internal.suberror = c->suberror;
		r->internal.ndata = c->ndata;
		memcpy(r->internal.data, c->data, sizeof(c->data));
		expect(c->sentence);
		assert_int_equal(s.suberror, c->suberror);
		assert_int_equal(s.n_insn, 0);
	}
}

/* ---- other exits */

static void test_fail_entry(void **state)
{
	const struct {
		uint64_t reason;
		const char *means;
	} cases[] = {
	    {0x80000021, "0x80000021, VT-x: registers that do not go together"},
	    {0x80000022, "0x80000022, VT-x: an MSR that cannot be loaded"},
	    {0x80000029, "0x80000029, VT-x: a machine check"},
	    {7, "0x7, VT-x: controls that do not go together"},
	    {8, "0x8, VT-x: host state that it does not take"},
	    {UINT32_MAX, "0xffffffff, SVM's VMEXIT_INVALID: registers or control block do not go together"},
	    {UINT64_MAX, "0xffffffffffffffff, SVM's VMEXIT_INVALID: registers or control block do not go together"},
	    {0x123456789, "0x123456789, which this program does not know"},
	};
	char sentence[500];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin(KVM_EXIT_FAIL_ENTRY);
		r->fail_entry.hardware_entry_failure_reason = cases[i].reason;
		r->fail_entry.cpu = 5;
		snprintf(sentence, sizeof(sentence),
			 "the processor did not enter the guest (KVM_EXIT_FAIL_ENTRY) on host CPU 5, hardware reason %s; "
			 "try info "
			 "registers -a for a segment, cr0, cr4, efer or rflags that do not fit each other, and set $NAME = "
			 "VALUE.",
			 cases[i].means);
		expect(sentence);
	}
}

#define ON "; try c, which goes on behind it."

static void test_with_numbers(void **state)
{
	(void)state;
	begin(KVM_EXIT_UNKNOWN);
	r->hw.hardware_exit_reason = 0x4d;
	expect("the processor left the guest for a reason that KVM does not know (KVM_EXIT_UNKNOWN), hardware exit reason "
	       "0x4d" DMESG);
	begin(KVM_EXIT_EXCEPTION);
	r->ex.exception = 13;
	r->ex.error_code = 0x10;
	expect(
	    "KVM passed exception 13 on (KVM_EXIT_EXCEPTION), error code 0x10; try catch exception and run again, to see it "
	    "before it is delivered.");
	begin(KVM_EXIT_HYPERCALL);
	r->hypercall.nr = 12;
	r->hypercall.args[0] = 0x1000;
	r->hypercall.args[2] = 1;
	expect("the guest made hypercall 0xc (KVM_EXIT_HYPERCALL), arguments 0x1000 0x0 0x1, which nobody here answers" ON);
	begin(KVM_EXIT_TPR_ACCESS);
	r->tpr_access.rip = 0x10004;
	r->tpr_access.is_write = 1;
	expect("the guest wrote its APIC's task priority at rip 0x10004 (KVM_EXIT_TPR_ACCESS)" ON);
	begin(KVM_EXIT_IOAPIC_EOI);
	r->eoi.vector = 0x31;
	expect("the guest ended interrupt 49 (KVM_EXIT_IOAPIC_EOI), and there is no I/O APIC here" ON);
	begin(KVM_EXIT_X86_RDMSR);
	r->msr.index = 0xc0000103;
	r->msr.reason = 2;
	expect("the guest reads MSR 0xc0000103 (KVM_EXIT_X86_RDMSR), value 0x0, reason 2, which nobody here answers" ON);
	begin(KVM_EXIT_X86_WRMSR);
	r->msr.index = 0x10;
	r->msr.data = 0x55;
	r->msr.reason = 4;
	expect("the guest writes MSR 0x10 (KVM_EXIT_X86_WRMSR), value 0x55, reason 4, which nobody here answers" ON);
	begin(KVM_EXIT_HYPERV);
	r->hyperv.type = 2;
	expect("the guest used an interface of Hyper-V's (KVM_EXIT_HYPERV, type 2)" ON);
	begin(KVM_EXIT_XEN);
	r->xen.type = 1;
	expect("the guest used an interface of Xen's (KVM_EXIT_XEN, type 1)" ON);
}

static void test_system_events(void **state)
{
	static const char *const words[] = {"says something that this program does not know",
					    "asked to be switched off",
					    "asked to be reset",
					    "says that it has crashed",
					    "woke up",
					    "asked to be suspended",
					    "is an encrypted one and asked to be ended",
					    "says something that this program does not know"};
	char sentence[200];

	(void)state;
	for (uint32_t type = 0; type < 9; type++) {
		uint32_t told_type = type == 8 ? UINT32_MAX : type;

		begin(KVM_EXIT_SYSTEM_EVENT);
		r->system_event.type = told_type;
		r->system_event.ndata = UINT32_MAX; /* nobody reads that many */
		snprintf(sentence, sizeof(sentence),
			 "the guest %s (KVM_EXIT_SYSTEM_EVENT, type %u); try run, which begins again, or c.",
			 words[type < 7 ? type : 7], told_type);
		expect(sentence);
	}
}

static void test_without_numbers(void **state)
{
	const struct {
		uint32_t reason;
		const char *part;
	} cases[] = {{KVM_EXIT_SET_TPR, "lowered its task priority by cr8 (KVM_EXIT_SET_TPR)"},
		     {KVM_EXIT_NMI, "non-maskable interrupt of the host's came (KVM_EXIT_NMI)"},
		     {KVM_EXIT_DIRTY_RING_FULL, "(KVM_EXIT_DIRTY_RING_FULL)"},
		     {KVM_EXIT_AP_RESET_HOLD, "(KVM_EXIT_AP_RESET_HOLD)"},
		     {KVM_EXIT_X86_BUS_LOCK, "locked the bus"},
		     {37, "(KVM_EXIT_NOTIFY)"},
		     {12345, "KVM exit 12345, which this program does not know"},
		     {UINT32_MAX, "KVM exit 4294967295, which"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		begin(cases[i].reason);
		exit_words(r, &s);
		if (!strstr(s.error, cases[i].part) || strncmp(s.next, "c, ", 3))
			fail_msg("exit %u: %s; try %s", cases[i].reason, s.error, s.next);
	}
	/* Whatever reason and bytes: words and advice, whole ones. */
	for (uint32_t reason = 0; reason < 64; reason++) {
		begin(reason);
		memset(r->padding, 0xff, sizeof(r->padding));
		exit_words(r, &s);
		assert_true(strlen(s.error) > 20 && strlen(s.error) < sizeof(s.error) - 1);
		assert_true(s.next[0] && strlen(s.next) < sizeof(s.next) - 1);
		assert_null(strstr(s.error, "before"));
	}
}

/* ---- memory */

static void memory(uint64_t flags, uint64_t gpa, uint64_t size)
{
	const uint64_t words[3] = {flags, gpa, size};

	begin(39);
	memcpy(r->padding, words, sizeof(words));
}

static void no_memory(const struct slot *slot, int errnum, const char *sentence)
{
	struct memory_fault f = exit_memory_fault(r);

	exit_memory_words(&f, slot, errnum, &s);
	assert_int_equal(s.slot, slot ? (int)slot->id : -1);
	told(sentence);
}

#define FREE_MEMORY "; try dmesg, and memory freed on this host, then c."

static void test_memory(void **state)
{
	struct slot slot = {.id = 5, .gpa = 0x100000, .size = 0x4000, .hva = 0x7f0000000000, .fd = -1};

	(void)state;
	memory(0, 0x102000, 0x1000);
	no_memory(&slot, EFAULT,
		  "KVM_RUN gave EFAULT: the host cannot reach gpa 0x102000 to 0x102fff, which is hva 0x7f0000002000 by slot "
		  "5" FREE_MEMORY);
	assert_int_equal(s.gpa, 0x102000);
	memory(8, 0x102000, 0);
	no_memory(&slot, EFAULT,
		  "KVM_RUN gave EFAULT: the host cannot reach as private memory gpa 0x102000 to 0x102000, which is hva "
		  "0x7f0000002000 by slot 5, flags 0x8; try set rip past the access, or load: a VM of kvmscope's has shared "
		  "memory alone.");
	memory(0, 0x900000, 0x1000);
	no_memory(
	    NULL, EHWPOISON,
	    "KVM_RUN gave Memory page has hardware error: the host cannot reach gpa 0x900000 to 0x900fff, which no slot "
	    "covers" FREE_MEMORY);
	begin(KVM_EXIT_UNKNOWN); /* a kernel that does not tell */
	memset(r->padding, 0xff, sizeof(r->padding));
	no_memory(NULL, EFAULT,
		  "KVM_RUN gave EFAULT: memory of the guest cannot be reached by the host, and this kernel does not tell "
		  "which" FREE_MEMORY);
	assert_int_equal(s.gpa, 0);
}

static void test_memory_of_a_file(void **state)
{
	char path[] = "/tmp/kvmscope-words-XXXXXX";
	struct slot slot = {.id = 5, .gpa = 0x100000, .size = 0x4000, .file_backed = true};

	(void)state;
	slot.fd = mkstemp(path);
	assert_true(slot.fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(slot.fd, 0x3001), 0); /* the last page is there in part: whole */
	assert_true(exit_slot_to_blame(&slot));
	memory(0, 0x103000, 0x1000);
	no_memory(
	    &slot, EFAULT,
	    "KVM_RUN gave EFAULT: gpa 0x103000 cannot be reached: slot 5 (gpa 0x100000 to 0x103fff) is a file mapped "
	    "PROT_READ, and yet writable for the guest; try slot flags 5 +readonly, by which its writes leave as MMIO.");
	slot.flags = SLOT_READONLY;
	assert_false(exit_slot_to_blame(&slot));
	no_memory(&slot, EFAULT,
		  "KVM_RUN gave EFAULT: the host cannot reach gpa 0x103000 to 0x103fff, which is hva 0x3000 by slot "
		  "5" FREE_MEMORY);
	assert_int_equal(ftruncate(slot.fd, 0x1800), 0);
	assert_true(exit_slot_to_blame(&slot));
	no_memory(
	    &slot, EFAULT,
	    "KVM_RUN gave EFAULT: gpa 0x103000 cannot be reached: slot 5 (gpa 0x100000 to 0x103fff) is a file that has "
	    "been cut short and ends at gpa 0x102000; try slot del 5, then slot add with a file that is long enough.");
	begin(KVM_EXIT_UNKNOWN);
	no_memory(
	    &slot, EFAULT,
	    "KVM_RUN gave EFAULT: the kernel does not tell at which gpa, but slot 5 (gpa 0x100000 to 0x103fff) is a file "
	    "that has been cut short and ends at gpa 0x102000; try slot del 5, then slot add with a file that is long "
	    "enough.");
	/* A write to a page that the file still has. */
	slot.flags = 0;
	memory(0, 0x101000, 0x1000);
	no_memory(
	    &slot, EFAULT,
	    "KVM_RUN gave EFAULT: gpa 0x101000 cannot be reached: slot 5 (gpa 0x100000 to 0x103fff) is a file mapped "
	    "PROT_READ, and yet writable for the guest; try slot flags 5 +readonly, by which its writes leave as MMIO.");
	close(slot.fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_emulation),	     T(test_hostile_counts), T(test_internal_errors),
	    T(test_fail_entry),	     T(test_with_numbers),   T(test_system_events),
	    T(test_without_numbers), T(test_memory),	     T(test_memory_of_a_file),
	};

	return cmocka_run_group_tests_name("exit words", tests, NULL, NULL);
}
