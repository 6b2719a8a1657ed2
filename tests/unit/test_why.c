/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The sentence for each stop reason, word for word.
 */
#include "core/debug/debugger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/stop/why_impl.h"
#include "tests/support/longguest.h"

static struct debugger d;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(debugger_init(&d, NULL), 0);
	d.m = longguest_create(1, 3);
	fake_add_slot(d.m, 1, 0x800000, 0x10000, SLOT_READONLY);
	assert_int_equal(symbols_add(&d.syms, "main", 0x10000, 0x100, NULL), 0);
	assert_int_equal(symbols_sort(&d.syms, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	machine_destroy(d.m);
	debugger_deinit(&d);
	return 0;
}

static void expect(const struct stop *s, const char *sentence)
{
	char text[1024];

	debug_why(&d, s, text, sizeof(text));
	assert_string_equal(text, sentence);
}

static void test_none(void **state)
{
	struct stop s = {.reason = STOP_NONE};

	(void)state;
	expect(&s, "The VM has not run yet; vCPU 0 stands at its entry 0x10000 (main).");
}

static void test_step(void **state)
{
	struct stop s = {.reason = STOP_STEP, .rip = 0x10004};

	(void)state;
	expect(&s, "vCPU 0 was stepped and stands at 0x10004 (main+0x4).");
	snprintf(s.note, sizeof(s.note), "`finish` returned from 0x20000");
	expect(&s, "vCPU 0 was stepped and stands at 0x10004 (main+0x4). Note: `finish` returned from 0x20000.");
}

static void test_no_progress(void **state)
{
	struct stop s = {.reason = STOP_STEP, .rip = 0x10000, .no_progress = true};

	(void)state;
	longguest_poke(d.m, 0x10000, "\x0f\x01\xc1", 3);
	expect(
	    &s,
	    "vCPU 0 was stepped at 0x10000 (main) but neither rip nor any register moved: this host does not get past the "
	    "instruction, `vmcall` (bytes 0f 01 c1); set $rip behind it to go on.");
}

static struct stop_point *add(enum point_kind kind, const char *at)
{
	struct stop_point spec = {.kind = kind, .addr = 0x10004, .len = 8}, *b = NULL;

	snprintf(spec.at, sizeof(spec.at), "%s", at);
	assert_int_equal(point_add(&d.points, d.m, &spec, &b, NULL), 0);
	return b;
}

static void test_breakpoint(void **state)
{
	struct stop s = {.reason = STOP_BREAKPOINT, .breakpoint = 1, .rip = 0x10004};
	struct stop_point *b = add(POINT_BREAK, "main+4");

	(void)state;
	b->hits = 1;
	expect(&s, "Breakpoint 1 (main+4), hit 1 time: vCPU 0 is about to execute 0x10004 (main+0x4).");
	b->hits = 3;
	assert_int_equal(point_set_condition(b, "$rax == 5", NULL), 0);
	expect(&s, "Breakpoint 1 (main+4), hit 3 times, its condition $rax == 5 is true: vCPU 0 is about to execute 0x10004 "
		   "(main+0x4).");
	s.breakpoint = 0;
	expect(&s, "A breakpoint of the guest's own: vCPU 0 is about to execute 0x10004 (main+0x4).");
}

/* What an instruction raised by itself, and nobody takes: its own address, and where that leaves rip. */
static void test_software(void **state)
{
	struct stop s = {.reason = STOP_EXCEPTION,
			 .vector = 3,
			 .rip = 0x10005,
			 .handler = HANDLER_BEYOND_IDT,
			 .software = true,
			 .has_by = true,
			 .by = 0x10004,
			 .slot = -1};

	(void)state;
	longguest_poke(d.m, 0x10004, "\xcc", 1);
	expect(
	    &s,
	    "#BP, breakpoint (int3) (vector 3) on vCPU 0 at 0x10004 (main+0x4), `int3` (bytes cc); the IDT ends before its "
	    "vector; rip is 0x10005 (main+0x5), behind it.");
	longguest_poke(d.m, 0x10004, "\xcd\x10", 2);
	s = (struct stop){
	    .reason = STOP_EXCEPTION, .vector = 16, .rip = 0x10004, .handler = HANDLER_EMPTY, .software = true, .slot = -1};
	expect(
	    &s,
	    "Software interrupt 0x10 (vector 16) on vCPU 0 at 0x10004 (main+0x4), `int 0x10` (bytes cd 10); its vector, at "
	    "0x40, is 0000:0000; c goes on behind it.");
	longguest_poke(d.m, 0x10004, "\x0f\x0b", 2);
	s = (struct stop){.reason = STOP_EXCEPTION, .vector = 6, .rip = 0x10004, .handler = HANDLER_EMPTY, .slot = -1};
	expect(
	    &s,
	    "#UD, invalid opcode (vector 6) on vCPU 0 at 0x10004 (main+0x4), `ud2` (bytes 0f 0b); its vector, at 0x18, is "
	    "0000:0000.");
}

static void test_watchpoint(void **state)
{
	struct stop s = {.reason = STOP_WATCHPOINT,
			 .breakpoint = 1,
			 .rip = 0x10004,
			 .gva = 0x240000,
			 .gpa = 0x40000,
			 .len = 4,
			 .write = true,
			 .has_old = true,
			 .old_data = {1},
			 .data = {0x78, 0x56, 0x34, 0x12},
			 .slot = 0};

	(void)state;
	add(POINT_WATCH, "0x40000")->hits = 1;
	expect(&s,
	       "Watchpoint 1 (0x40000), hit 1 time: vCPU 0 wrote 4 bytes at gva 0x240000, gpa 0x40000 in slot 0 (gpa 0x0 to "
	       "0x1fffff), 0x1 before and 0x12345678 now; rip is 0x10004 (main+0x4).");
	s.by = 0x10000;
	s.has_by = true;
	expect(&s,
	       "Watchpoint 1 (0x40000), hit 1 time: vCPU 0 wrote 4 bytes at gva 0x240000, gpa 0x40000 in slot 0 (gpa 0x0 to "
	       "0x1fffff), 0x1 before and 0x12345678 now, by the instruction at 0x10000 (main); rip is 0x10004 (main+0x4).");
	s.read = true;
	expect(
	    &s,
	    "Watchpoint 1 (0x40000), hit 1 time: vCPU 0 read and wrote 4 bytes at gva 0x240000, gpa 0x40000 in slot 0 (gpa "
	    "0x0 "
	    "to 0x1fffff), 0x1 before and 0x12345678 now, by the instruction at 0x10000 (main); rip is 0x10004 (main+0x4).");
	s.write = false;
	s.then = (struct stop_touch){.gva = 0x240010, .gpa = 0x40010, .len = 1, .write = true, .data = {7}};
	expect(&s,
	       "Watchpoint 1 (0x40000), hit 1 time: vCPU 0 read 4 bytes at gva 0x240000, gpa 0x40000 in slot 0 (gpa 0x0 to "
	       "0x1fffff), value 0x12345678, and wrote 1 byte at gva 0x240010, gpa 0x40010 in slot 0 (gpa 0x0 to 0x1fffff), "
	       "0x0 "
	       "before and 0x7 now, by the instruction at 0x10000 (main); rip is 0x10004 (main+0x4).");
	s.then.len = 0;
	s.read = false;
	expect(
	    &s,
	    "Watchpoint 1 (0x40000), hit 1 time: vCPU 0 accessed 4 bytes at gva 0x240000, gpa 0x40000 in slot 0 (gpa 0x0 to "
	    "0x1fffff), value 0x12345678, by the instruction at 0x10000 (main); rip is 0x10004 (main+0x4).");
	s.read = true;
	s.has_old = s.has_by = false;
	s.len = 1;
	expect(&s,
	       "Watchpoint 1 (0x40000), hit 1 time: vCPU 0 read 1 byte at gva 0x240000, gpa 0x40000 in slot 0 (gpa 0x0 to "
	       "0x1fffff), value 0x78; rip is 0x10004 (main+0x4).");
}

static void test_fault_stage(void **state)
{
	struct fault_stage st = {
	    .n = 2, .fault = 3, .stage = STAGE_WALK, .gfn = 0x11, .gfn_known = true, .level = 3, .live = true};
	struct stop s = {.reason = STOP_FAULT_STAGE, .stage = STAGE_WALK, .fault = 3, .rip = 0x10004};

	(void)state;
	snprintf(st.detail, sizeof(st.detail), "reads entry 0 of the table at 0x11000");
	fake_of(d.m)->stages = (struct fault_stage_list){&st, 1};
	expect(&s,
	       "vCPU 0 stands still inside guest fault 3, stage walk of gfn 0x11 at level 3 (reads entry 0 of the table at "
	       "0x11000); the instruction at 0x10004 (main+0x4) has not completed.");
	s.rip_old = true;
	expect(&s,
	       "vCPU 0 stands still inside guest fault 3, stage walk of gfn 0x11 at level 3 (reads entry 0 of the table at "
	       "0x11000); its instruction has not completed. Which one that is this KVM leaves in the processor: 0x10004 "
	       "(main+0x4) is where the last stop was.");
	s.rip_old = false;
	fake_of(d.m)->stages = (struct fault_stage_list){0};
	expect(&s, "vCPU 0 stands still inside guest fault 3, stage walk; the instruction at 0x10004 (main+0x4) has not "
		   "completed.");
	s.gva = 0x250000;
	expect(&s, "vCPU 0 stands still inside guest fault 3 on gva 0x250000, stage walk; the instruction at 0x10004 "
		   "(main+0x4) has not completed.");
}

/* ---- exceptions */

static struct stop page_fault(uint64_t cr2, uint32_t ec)
{
	return (struct stop){
	    .reason = STOP_EXCEPTION, .vector = 14, .has_error = true, .error_code = ec, .cr2 = cr2, .rip = 0x10004};
}

static void test_pf_not_present(void **state)
{
	struct stop s = page_fault(0x30008, 4);

	(void)state;
	longguest_set_pte(d.m, 0x30000, 0);
	expect(
	    &s,
	    "#PF, page fault (vector 14) on vCPU 0 at 0x10004 (main+0x4): a read by user code of a page that is not "
	    "present, "
	    "address 0x30008, error code 0x4; the level-1 entry (PTE) at gpa 0x4180 is 0x0 and has P clear (not present).");
	s = page_fault(0x40000000, 6);
	expect(&s, "#PF, page fault (vector 14) on vCPU 0 at 0x10004 (main+0x4): a write by user code of a page that is not "
		   "present, "
		   "address 0x40000000, error code 0x6; the level-3 entry (PDPTE) at gpa 0x2008 is 0x0 and has P clear (not "
		   "present).");
}

static void test_pf_permission(void **state)
{
	struct stop s = page_fault(0x30008, 7);

	(void)state;
	longguest_set_pte(d.m, 0x30000, 0x30000 | PTE_P | PTE_U);
	expect(
	    &s,
	    "#PF, page fault (vector 14) on vCPU 0 at 0x10004 (main+0x4): a write by user code of a page that is present "
	    "but "
	    "forbids it, address 0x30008, error code 0x7; the level-1 entry (PTE) at gpa 0x4180 is 0x30005 and has W clear "
	    "(read-only).");
	longguest_set_pte(d.m, 0x30000, 0x30000 | PTE_P | PTE_W);
	s = page_fault(0x30008, 5);
	expect(
	    &s,
	    "#PF, page fault (vector 14) on vCPU 0 at 0x10004 (main+0x4): a read by user code of a page that is present but "
	    "forbids it, address 0x30008, error code 0x5; the level-1 entry (PTE) at gpa 0x4180 is 0x30003 and has U clear "
	    "(supervisor only).");
	longguest_set_pte(d.m, 0x30000, 0x30000 | PTE_P | PTE_W | PTE_U | PTE_NX);
	s = page_fault(0x30008, 0x15);
	expect(&s, "#PF, page fault (vector 14) on vCPU 0 at 0x10004 (main+0x4): an instruction fetch by user code of a "
		   "page that is "
		   "present but forbids it, address 0x30008, error code 0x15; the level-1 entry (PTE) at gpa 0x4180 is "
		   "0x8000000000030007 and has NX set (no execution).");
}

static void test_pf_mapped_by_now(void **state)
{
	struct stop s = page_fault(0x30008, 4);

	(void)state;
	expect(&s, "#PF, page fault (vector 14) on vCPU 0 at 0x10004 (main+0x4): a read by user code of a page that is not "
		   "present, "
		   "address 0x30008, error code 0x4; the tables map it by now, to gpa 0x30008.");
}

static void test_pf_reserved(void **state)
{
	struct stop s = page_fault(0x30008, 0xd);
	char text[1024];

	(void)state;
	longguest_poke_word(d.m, 0x1000, 0x2000 | PTE_P | PTE_W | PTE_U | PTE_PS);
	debug_why(&d, &s, text, sizeof(text));
	assert_non_null(strstr(
	    text, "a page whose tables have a reserved bit set, address 0x30008, error code 0xd; the walk refuses: "));
}

static void test_selectors(void **state)
{
	struct stop s = {.reason = STOP_EXCEPTION, .vector = 13, .has_error = true, .rip = 0x10004};

	(void)state;
	longguest_poke(d.m, 0x10004, "\x8e\xd8", 2);
	expect(&s, "#GP, general protection fault (vector 13) on vCPU 0 at 0x10004 (main+0x4), error code 0 (no selector is "
		   "to blame), "
		   "`mov ds, eax` (bytes 8e d8).");
	s.error_code = 0x2b;
	expect(&s, "#GP, general protection fault (vector 13) on vCPU 0 at 0x10004 (main+0x4), error code 0x2b: IDT entry "
		   "0x5, while an "
		   "external event was delivered, `mov ds, eax` (bytes 8e d8).");
	s.error_code = 0x2c;
	s.vector = 11;
	expect(&s, "#NP, segment not present (vector 11) on vCPU 0 at 0x10004 (main+0x4), error code 0x2c: LDT selector "
		   "0x28, `mov ds, "
		   "eax` (bytes 8e d8).");
}

static void test_plain_exception(void **state)
{
	struct stop s = {.reason = STOP_EXCEPTION, .vector = 6, .rip = 0x10004, .breakpoint = 2};

	(void)state;
	longguest_poke(d.m, 0x10004, "\x0f\x0b", 2);
	expect(&s, "Catchpoint 2: #UD, invalid opcode (vector 6) on vCPU 0 at 0x10004 (main+0x4), `ud2` (bytes 0f 0b).");
	s.breakpoint = 0;
	s.vector = 3;
	expect(&s, "#BP, breakpoint (int3) (vector 3) on vCPU 0 at 0x10004 (main+0x4).");
	s.vector = 15;
	expect(&s, "reserved (vector 15) on vCPU 0 at 0x10004 (main+0x4), `ud2` (bytes 0f 0b).");
}

static void test_exception_names(void **state)
{
	(void)state;
	assert_string_equal(exception_mnemonic(0), "#DE");
	assert_string_equal(exception_mnemonic(8), "#DF");
	assert_string_equal(exception_mnemonic(18), "#MC");
	assert_string_equal(exception_mnemonic(200), "");
	assert_string_equal(exception_name(200), "interrupt");
	assert_string_equal(exception_name(31), "reserved");
}

/* ---- accesses */

static void test_mmio(void **state)
{
	struct stop s = {.reason = STOP_MMIO,
			 .gpa = 0xd0000004,
			 .len = 4,
			 .write = true,
			 .data = {0x44, 0x33, 0x22, 0x11},
			 .rip = 0x10004,
			 .slot = -1};

	(void)state;
	expect(&s, "vCPU 0 writes 4 bytes (0x11223344) at gpa 0xd0000004, which is in no slot but device \"scratch\": the "
		   "access leaves "
		   "the guest as MMIO; rip is 0x10004 (main+0x4).");
	s.write = false;
	s.gpa = 0xe0000000;
	expect(&s, "vCPU 0 reads 4 bytes at gpa 0xe0000000, which is in no slot: the access leaves the guest as MMIO; rip "
		   "is 0x10004 "
		   "(main+0x4).");
	s.write = true;
	s.gpa = 0x800010;
	s.slot = 1;
	expect(&s, "vCPU 0 writes 4 bytes (0x11223344) at gpa 0x800010, which is in slot 1 (READONLY, gpa 0x800000 to "
		   "0x80ffff): a write "
		   "to read-only memory leaves as MMIO and changes nothing there; rip is 0x10004 (main+0x4).");
}

static void test_pio(void **state)
{
	struct stop s = {
	    .reason = STOP_PIO, .port = 0x3f8, .len = 1, .write = true, .data = {0x41}, .count = 1, .rip = 0x10004};

	(void)state;
	expect(&s, "vCPU 0 writes 1 byte (0x41) to port 0x3f8 (UART); rip is 0x10004 (main+0x4).");
	s.port = 0x1f0;
	s.write = false;
	s.len = 2;
	s.count = 256;
	expect(
	    &s,
	    "vCPU 0 reads 2 bytes from port 0x1f0, where the board has no device, 256 times (a string instruction); rip is "
	    "0x10004 (main+0x4).");
}

/* ---- the rest */

static void test_hlt(void **state)
{
	struct stop s = {.reason = STOP_HLT, .rip = 0x10005};

	(void)state;
	expect(&s, "vCPU 0 executed hlt, rip is 0x10005 (main+0x5); interrupts are off (IF clear), so that nothing but an "
		   "SMI or NMI "
		   "could wake it.");
	fake_of(d.m)->regs[0].rflags |= RFLAGS_IF;
	expect(&s,
	       "vCPU 0 executed hlt, rip is 0x10005 (main+0x5); interrupts are on (IF set), but no device here raises any.");
}

static void test_shutdown(void **state)
{
	struct stop s = {.reason = STOP_SHUTDOWN, .rip = 0x10004};

	(void)state;
	fake_of(d.m)->regs[0].idt = (struct desc_table){.base = 0x5000, .limit = 0xff};
	fake_of(d.m)->regs[0].cr2 = 0xdead000;
	expect(&s, "vCPU 0 shut down (triple fault) at 0x10004 (main+0x4): an exception could not be delivered through the "
		   "IDT at 0x5000, "
		   "limit 0xff; cr2 is 0xdead000.");
	s.rip = 0xfff0;
	s.state_lost = true;
	expect(&s,
	       "vCPU 0 shut down (triple fault): an exception could not be delivered. KVM on this host resets a vCPU then, "
	       "so its registers are gone; si from the stop before shows where it was.");
	s.has_by = true;
	s.by = 0x10004;
	expect(&s,
	       "vCPU 0 shut down (triple fault): an exception could not be delivered. KVM on this host resets a vCPU then, "
	       "so its registers are gone; it was at the instruction at 0x10004.");
}

static void test_smm(void **state)
{
	struct stop s = {.reason = STOP_SMI, .rip = 0x8000};

	(void)state;
	expect(&s, "An SMI took vCPU 0 into system management mode; the handler's first instruction is at 0x8000, SMBASE is "
		   "0x30000 and "
		   "the state-save area at 0x3fe00.");
	s.reason = STOP_RSM;
	s.rip = 0x10004;
	expect(&s, "RSM took vCPU 0 out of system management mode; it goes on at 0x10004 (main+0x4).");
}

static void test_mode(void **state)
{
	struct stop s = {.reason = STOP_MODE, .rip = 0x10004};

	(void)state;
	expect(&s, "vCPU 0 changed its mode and is now in long mode at CPL 3 (cr0 0x80010033, cr4 0x20, efer 0xd01); rip is "
		   "0x10004 "
		   "(main+0x4).");
}

static void test_privilege(void **state)
{
	struct stop s = {.reason = STOP_MODE, .rip = 0x10004, .cpl_only = true, .old_cpl = 0};

	(void)state;
	expect(
	    &s,
	    "vCPU 0 left privilege level 0 and is now in long mode at CPL 3 (cr0 0x80010033, cr4 0x20, efer 0xd01); rip is "
	    "0x10004 (main+0x4).");
}

static void test_mmu(void **state)
{
	struct mmu_event two[2] = {{.kind = MMU_ZAP}, {.kind = MMU_SPTE}};
	struct stop s = {.reason = STOP_MMU,
			 .breakpoint = 2,
			 .rip = 0x10004,
			 .mmu = {.kind = MMU_ZAP, .gfn = 0x13, .level = 1, .role = 0x701}};

	(void)state;
	expect(&s,
	       "Catchpoint 2: the level-1 shadow page of gfn 0x13 was zapped (role 0x701: rights user, write, execute), on "
	       "vCPU 0. vCPU 0 stands at 0x10004 (main+0x4).");
	s.breakpoint = 0;
	s.mmu.kind = MMU_UNSYNC;
	s.mmu.role = 0x481;
	expect(&s, "the level-1 shadow page of gfn 0x13 went unsync: its guest table may now be written unseen (role 0x481: "
		   "direct, rights user), on vCPU 0. vCPU 0 stands at 0x10004 (main+0x4).");
	s.mmu.kind = MMU_SYNC;
	s.mmu.role = 1;
	expect(
	    &s,
	    "the level-1 shadow page of gfn 0x13 was taken off the unsync list: its guest table counts again as read (role "
	    "0x1: rights none), on vCPU 0. vCPU 0 stands at 0x10004 (main+0x4).");
	s.mmu = (struct mmu_event){.kind = MMU_SPTE, .vcpu = 1, .gfn = 0x40, .level = 1, .spte = 0x1e67, .sptep = 0x5200};
	fake_of(d.m)->mmu_events = (struct mmu_event_list){.v = two, .n = 2, .lost = 3};
	snprintf(s.note, sizeof(s.note), "it took 9 us");
	expect(&s,
	       "a level-1 spte for gfn 0x40 was set to 0x1e67, at 0x5200, on vCPU 1; 2 such events came before it stood (3 "
	       "more were lost). vCPU 0 stands at 0x10004 (main+0x4). Note: it took 9 us.");
	fake_of(d.m)->mmu_events = (struct mmu_event_list){.v = NULL};
}

/* What became of an entry of the TDP MMU follows from both values. */
static void test_mmu_tdp(void **state)
{
	static const struct {
		uint64_t old, new;
		const char *word;
	} changes[] = {{0, 0xe67, "made"},
		       {0x8000000000000000, 0xe67, "made"},
		       {0xe67, 0xe65, "write-protected"},
		       {0xe65, 0xe67, "made writable"},
		       {0xe67, 0x5a0, "removed"},
		       {0xe47, 0xe67, "changed"}};
	struct stop s = {.reason = STOP_MMU, .rip = 0x10004, .mmu = {.kind = MMU_TDP, .gfn = 0x40, .level = 1, .as = 1}};
	char want[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		s.mmu.old_spte = changes[i].old;
		s.mmu.spte = changes[i].new;
		snprintf(
		    want, sizeof(want),
		    "the TDP MMU's level-1 entry for gfn 0x40 in SMM was %s: 0x%llx to 0x%llx, on vCPU 0. vCPU 0 stands "
		    "at 0x10004 (main+0x4).",
		    changes[i].word, (unsigned long long)changes[i].old, (unsigned long long)changes[i].new);
		expect(&s, want);
	}
}

static void test_slot_words(void **state)
{
	struct stop s = {.reason = STOP_SLOT, .slot = 3, .breakpoint = 1, .rip = 0x10004, .note = "became writable"};

	(void)state;
	expect(&s, "Catchpoint 1: slot 3 became writable; vCPU 0 stands at 0x10004 (main+0x4).");
}

static void test_short_ones(void **state)
{
	struct stop s = {.reason = STOP_SLOT, .slot = 3, .rip = 0x10004};

	(void)state;
	expect(&s, "Slot 3 changed; vCPU 0 stands at 0x10004 (main+0x4).");
	s.reason = STOP_INTERRUPTED;
	expect(&s, "vCPU 0 was interrupted at 0x10004 (main+0x4).");
	s.reason = STOP_EXIT;
	s.exit_code = 33;
	expect(&s, "The guest asked the board to end with exit code 33, at 0x10004 (main+0x4).");
}

/* What KVM's exits say: test_exit_words. */
static void test_error(void **state)
{
	struct stop s = {.reason = STOP_ERROR, .rip = 0x10004, .insn = {0x9b, 0x90}, .n_insn = 2, .error = "no such thing"};

	(void)state;
	expect(
	    &s,
	    "The host could not go on with vCPU 0 at 0x10004 (main+0x4): no such thing, `wait` (bytes 9b); try `set $rip = "
	    "0x10005`, which skips it.");
	snprintf(s.next, sizeof(s.next), "another CPU");
	expect(
	    &s,
	    "The host could not go on with vCPU 0 at 0x10004 (main+0x4): no such thing, `wait` (bytes 9b); try `set $rip = "
	    "0x10005`, which skips it, or another CPU.");
	s.n_insn = 0;
	expect(&s, "The host could not go on with vCPU 0 at 0x10004 (main+0x4): no such thing; try another CPU.");
	s.next[0] = '\0';
	expect(&s, "The host could not go on with vCPU 0 at 0x10004 (main+0x4): no such thing.");
}

/* Whatever the buffer's size: within it, and ended. */
static void test_small_buffers(void **state)
{
	struct stop s = page_fault(0x30008, 4);
	char text[64];

	(void)state;
	for (size_t n = 1; n < sizeof(text); n++) {
		memset(text, 0x7f, sizeof(text));
		debug_why(&d, &s, text, n);
		assert_int_equal(strlen(text), n - 1);
		assert_int_equal(text[n], 0x7f);
	}
}

/* A reason that nobody has described yet would give an empty sentence. */
static void test_every_reason_has_words(void **state)
{
	(void)state;
	for (int r = STOP_NONE; r <= STOP_ERROR; r++) {
		struct stop s = {.reason = (enum stop_reason)r, .rip = 0x10004, .slot = -1};
		char text[512];
		debug_why(&d, &s, text, sizeof(text));
		assert_true(strlen(text) > 20);
		assert_int_equal(text[strlen(text) - 1], '.');
	}
}

/* Without a machine (none loaded any more) the sentences lose their look-ups, not their sense. */
static void test_without_machine(void **state)
{
	struct debugger lone;
	struct stop s = page_fault(0x30008, 4);
	char text[512];

	(void)state;
	assert_int_equal(debugger_init(&lone, NULL), 0);
	debug_why(&lone, &s, text, sizeof(text));
	assert_string_equal(
	    text, "#PF, page fault (vector 14) on vCPU 0 at 0x10004: a read by user code of a page that is not present, "
		  "address 0x30008, error code 0x4.");
	for (int r = STOP_NONE; r <= STOP_ERROR; r++) {
		s.reason = (enum stop_reason)r;
		debug_why(&lone, &s, text, sizeof(text));
		assert_true(text[0]);
	}
	debugger_deinit(&lone);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_none),
	    T(test_step),
	    T(test_no_progress),
	    T(test_breakpoint),
	    T(test_software),
	    T(test_watchpoint),
	    T(test_fault_stage),
	    T(test_pf_not_present),
	    T(test_pf_permission),
	    T(test_pf_mapped_by_now),
	    T(test_pf_reserved),
	    T(test_selectors),
	    T(test_plain_exception),
	    T(test_exception_names),
	    T(test_mmio),
	    T(test_pio),
	    T(test_hlt),
	    T(test_shutdown),
	    T(test_smm),
	    T(test_mode),
	    T(test_privilege),
	    T(test_mmu),
	    T(test_mmu_tdp),
	    T(test_slot_words),
	    T(test_short_ones),
	    T(test_error),
	    T(test_small_buffers),
	    T(test_every_reason_has_words),
	    T(test_without_machine),
	};
	return cmocka_run_group_tests_name("why", tests, NULL, NULL);
}
