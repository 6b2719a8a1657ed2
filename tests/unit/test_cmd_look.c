/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * context, telescope, hexdump, xinfo, vmmap, set and show: what they give, to the last key, on the fake machine's guest.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cmd/look.h"
#include "cli/session/changed.h"
#include "core/board/board.h"
#include "tests/support/handlers.h"

static struct machine *m(void)
{
	return handlers_session.d.m;
}

static struct regs *regs(unsigned vcpu)
{
	return &fake_of(m())->regs[vcpu];
}

#define JSON(line, text) assert_string_equal(run_line(line), text)
#define HAS(text, part)                                                                                                     \
	do {                                                                                                                \
		const char *has_text = text;                                                                                \
		if (!strstr(has_text, part))                                                                                \
			fail_msg("no %s in %s", part, has_text);                                                            \
	} while (0)

static void add_symbol(const char *name, uint64_t addr)
{
	assert_int_equal(symbols_add(&handlers_session.d.syms, name, addr, 0x100, NULL), 0);
	assert_int_equal(symbols_sort(&handlers_session.d.syms, NULL), 0);
}

/* ---- telescope */

static void test_telescope(void **state)
{
	(void)state;
	add_symbol("main", 0x10000);
	longguest_poke(m(), 0x10000, "\x90\xf4", 2);
	regs(0)->rip = 0x10000;
	regs(0)->gpr[RSP] = 0x80000;
	regs(0)->gpr[RBP] = 0x8000c;
	longguest_poke_word(m(), 0x80000, 0x10001);
	longguest_poke_word(m(), 0x80008, 7);
	JSON(
	    "telescope $rsp 2",
	    "[{\"address\":\"0x80000\",\"offset\":\"0x0\",\"value\":\"0x10001\",\"chain\":[{\"value\":\"0x10001\","
	    "\"symbol\":"
	    "\"main+0x1\",\"insn\":\"hlt\"}],\"registers\":[\"rsp\"]},{\"address\":\"0x80008\",\"offset\":\"0x8\",\"value\":"
	    "\"0x7\",\"chain\":[{\"value\":\"0x7\"}],\"registers\":[\"rbp\"]}]");
	HAS(run_line("telescope"), "\"offset\":\"0x38\"");
	assert_null(strstr(run_line("telescope"), "\"offset\":\"0x40\""));
}

/* What cannot be read is told and ends nothing. */
static void test_telescope_unreadable(void **state)
{
	(void)state;
	longguest_set_pte(m(), 0x21000, 0);
	longguest_poke_word(m(), 0x20ff8, 1);
	const char *text = run_line("telescope 0x20ff8 2");
	HAS(text, "\"address\":\"0x20ff8\",\"offset\":\"0x0\",\"value\":\"0x1\"");
	HAS(text, "\"address\":\"0x21000\",\"offset\":\"0x8\",\"value\":\"n/a (");
	HAS(text, "\"chain\":[],\"registers\":[]}]");
	regs(0)->gpr[RSP] = 0xdead000000000000;
	HAS(run_line("telescope"), "\"address\":\"0xdead000000000000\",\"offset\":\"0x0\",\"value\":\"n/a (");
	/* A word over the end of the address space, and one over a page that is not there. */
	HAS(run_line("telescope 0xffffffffffffffff 2"), "\"address\":\"0x7\",\"offset\":\"0x8\"");
	HAS(run_line("telescope 0x20ffc 1"), "n/a (");
	assert_int_equal(refused_line("telescope 0x20000 0"), -ERANGE);
	assert_int_equal(refused_line("telescope 0x20000 5000"), -ERANGE);
	assert_int_equal(refused_line("telescope 0x20000 1 1"), -EINVAL);
}

static void flat32(unsigned base, bool db)
{
	struct regs *r = regs(0);

	r->cr0 = db ? CR0_PE : 0;
	r->efer = 0;
	r->rflags = RFLAGS_FIXED;
	for (int i = 0; i < SEG_COUNT; i++)
		r->seg[i] = (struct seg){.s = true, .present = true, .limit = 0xffffffff, .type = 3, .db = db, .base = base};
}

static void test_telescope_word_size(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20000, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
	flat32(0x10000, true);
	regs(0)->rip = 0x100;
	regs(0)->gpr[RSP] = 0x10000;
	HAS(run_line("telescope"), "[{\"address\":\"0x20000\",\"offset\":\"0x0\",\"value\":\"0x4030201\"");
	HAS(run_line("telescope"), "\"registers\":[\"rsp\"]");
	flat32(0x10000, false);
	HAS(run_line("telescope $rsp"), "\"address\":\"0x10000\"");
	HAS(run_line("telescope 0x20002 1"), "\"value\":\"0x403\"");
	regs(0)->gpr[RSP] = 0x10004; /* 16 bits of it */
	HAS(run_line("telescope"), "\"address\":\"0x10004\",\"offset\":\"0x0\"");
}

/* ---- hexdump */

static void test_hexdump(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20ffe, "\x41\x42", 2);
	JSON("hexdump 0x20ffe 2", "{\"address\":\"0x20ffe\",\"len\":2,\"data\":\"4142\"}");
	HAS(run_line("hexdump 0x20000"), "\"len\":256,");
	longguest_set_pte(m(), 0x21000, 0);
	const char *text = run_line("hexdump 0x20ffe 16");
	HAS(text, "{\"address\":\"0x20ffe\",\"len\":2,\"data\":\"4142\",\"end\":\"0x21000\",\"why\":\"");
	assert_int_equal(refused_line("hexdump 0x21000"), -EFAULT);
	/* The last bytes of the address space. */
	longguest_poke_word(m(), 0x1ff8, 0x2000 | PTE_P);
	longguest_poke_word(m(), 0x2ff8, 0x3000 | PTE_P);
	longguest_poke_word(m(), 0x3ff8, LONG_PT | PTE_P);
	JSON("hexdump 0xfffffffffffffffe", "{\"address\":\"0xfffffffffffffffe\",\"len\":2,\"data\":\"0000\"}");
	HAS(run_line("telescope 0xfffffffffffffffc 2"), "\"address\":\"0x4\"");
	assert_int_equal(refused_line("hexdump"), -EINVAL);
	assert_int_equal(refused_line("hexdump 0x20000 0"), -ERANGE);
	HAS(run_line("hexdump 0x21000 4 -phys"), "\"data\":\"00000000\"");
}

/* ---- xinfo */

static void test_xinfo(void **state)
{
	struct spte_info sptes[] = {{.gva = 0x20000, .gva_known = true, .gfn = 0x20, .gfn_known = true, .level = 1},
				    {.gva = 0x60000, .gva_known = true, .gfn = 0x20, .gfn_known = true, .level = 1},
				    {.level = 1}};
	struct rmap_info r = {.gfn = 0x20, .level = 1, .kind = RMAP_MANY, .head = 0x1001, .sptes = sptes, .n_sptes = 3};
	struct rmap_list one = {.v = &r, .n = 1};

	(void)state;
	add_symbol("data", 0x20000);
	regs(0)->gpr[RSP] = 0x20800;
	assert_int_equal(rmap_list_copy(&one, &fake_of(m())->rmap, NULL), 0);
	const char *text = run_line("xinfo 0x20008");
	HAS(text, "\"gva\":\"0x20008\"");
	HAS(text, "\"gpa\":\"0x20008\"");
	HAS(text, "\"rights\":[\"writable\",\"user\",\"exec\"],\"slot\":0");
	HAS(text, "\"symbol\":\"data+0x8\",\"part_of\":[\"stack\"],\"rmap\":{\"gfn\":\"0x20\",\"sptes\":3},\"aliases\":["
		  "\"0x60000\"]}");
	regs(0)->rip = 0x30000;
	HAS(run_line("xinfo 0x30001"), "\"part_of\":[\"code\"]");
	rmap_list_free(&fake_of(m())->rmap);
}

/* TDP's tables are by gpa, and there are no reverse maps: that nothing is in one says nothing. */
static void test_xinfo_under_tdp(void **state)
{
	(void)state;
	HAS(run_line("xinfo 0x20008"), "\"sptes\":0}");
	fake_of(m())->tdp_roots = (struct tdp_root_list){.kind = TDP_MMU, .rmaps = "none here"};
	HAS(run_line("xinfo 0x20008"), "\"rmap\":\"n/a (TDP keeps none)\"");
	fake_of(m())->tdp_roots = (struct tdp_root_list){.kind = TDP_NONE};
}

/* Every layer may be missing. */
static void test_xinfo_of_nothing(void **state)
{
	(void)state;
	longguest_set_pte(m(), 0x21000, 0);
	longguest_set_pte(m(), 0x22000, 0xd0000000 | PTE_P);
	HAS(run_line("xinfo 0x21000"), "\"gpa\":\"n/a (");
	HAS(run_line("xinfo 0x21000"), "\"verdict\":\"exception\"");
	HAS(run_line("xinfo 0x22000"), "\"device\":\"scratch\"");
	HAS(run_line("xinfo 0x22000"), "\"rights\":[\"exec\"]");
	HAS(run_line("xinfo 0x800000000000"), "\"verdict\":\"exception\"");
	assert_int_equal(refused_line("xinfo"), -EINVAL);
	assert_int_equal(refused_line("xinfo 1 2"), -EINVAL);
}

/* The debugger reads where SMAP would stop a supervisor; walk says so. */
static void test_xinfo_with_smap(void **state)
{
	(void)state;
	longguest_set_pte(m(), 0x20000, 0x20000 | PTE_P | PTE_W | PTE_U);
	regs(0)->cr4 |= CR4_SMAP;
	HAS(run_line("walk 0x20000"), "\"verdict\":\"exception\"");
	HAS(run_line("xinfo 0x20000"), "\"gpa\":\"0x20000\"");
}

static void test_xinfo_dirty(void **state)
{
	(void)state;
	assert_null(strstr(run_line("xinfo 0x20000"), "\"dirty\":"));
	run_line("slot flags 0 +log-dirty");
	HAS(run_line("xinfo 0x20000"), "\"dirty\":false");
	slot_mark_dirty(slot_by_id(machine_slots(m()), 0), 0x20000, 1, false);
	HAS(run_line("xinfo 0x20fff"), "\"dirty\":true");
	HAS(run_line("xinfo 0x21000"), "\"dirty\":false");
}

/* ---- vmmap */

static void test_vmmap(void **state)
{
	(void)state;
	add_symbol("start", 0x10000);
	add_symbol("end", 0x1ffff);
	longguest_set_pte(m(), 0x20000, 0x20000 | PTE_P);
	longguest_set_pte(m(), 0x21000, 0);
	longguest_set_pte(m(), 0x22000, 0x30000 | PTE_P | PTE_W | PTE_U);
	longguest_set_pte(m(), 0x23000, 0xd0000000 | PTE_P | PTE_W);
	longguest_set_pte(m(), 0x24000, 0xd0001000 | PTE_P | PTE_W);
	regs(0)->rip = 0x10000;
	regs(0)->gpr[RSP] = 0x80000;
	regs(0)->gdt.limit = regs(0)->idt.limit = 0;
	JSON(
	    "vmmap 0x1ffff",
	    "[{\"start\":\"0x0\",\"end\":\"0x20000\",\"size\":131072,\"rights\":[\"writable\",\"user\",\"exec\"],\"gpa\":"
	    "\"0x0\","
	    "\"slot\":0,\"slot_flags\":[],\"what\":[\"code\",\"tables\"],\"symbols\":[\"start\",\"end\"],\"n_symbols\":2}]");
	const char *text = run_line("vmmap");
	HAS(text,
	    "{\"start\":\"0x20000\",\"end\":\"0x21000\",\"size\":4096,\"rights\":[\"exec\"],\"gpa\":\"0x20000\",\"slot\":0");
	HAS(text,
	    "{\"start\":\"0x22000\",\"end\":\"0x23000\",\"size\":4096,\"rights\":[\"writable\",\"user\",\"exec\"],\"gpa\":"
	    "\"0x30000\"");
	HAS(text, "{\"start\":\"0x23000\",\"end\":\"0x24000\",\"size\":4096,\"rights\":[\"writable\",\"exec\"],\"gpa\":"
		  "\"0xd0000000\",\"slot\":null,\"device\":\"scratch\"");
	HAS(text, "{\"start\":\"0x24000\",\"end\":\"0x25000\",\"size\":4096,\"rights\":[\"writable\",\"exec\"],\"gpa\":"
		  "\"0xd0001000\",\"slot\":null,\"what\":[]");
	HAS(text, "{\"start\":\"0x25000\",\"end\":\"0x200000\"");
	assert_int_equal(refused_line("vmmap 0x21000"), -EFAULT);
	assert_int_equal(refused_line("vmmap 0 1"), -EINVAL);
}

/* A large page over several slots and what no slot covers. */
static void test_vmmap_large_page(void **state)
{
	(void)state;
	fake_add_slot(m(), 5, 0x401000, 0x2000, SLOT_READONLY);
	fake_add_slot(m(), 6, 0x403000, 0x1000, 0);
	longguest_poke_word(m(), 0x3008, 0x400000 | PTE_P | PTE_W | PTE_PS);
	const char *text = run_line("vmmap");
	HAS(text, "{\"start\":\"0x200000\",\"end\":\"0x201000\",\"size\":4096,\"rights\":[\"writable\",\"exec\"],\"gpa\":"
		  "\"0x400000\",\"slot\":null");
	HAS(text, "{\"start\":\"0x201000\",\"end\":\"0x203000\",\"size\":8192,\"rights\":[\"writable\",\"exec\"],\"gpa\":"
		  "\"0x401000\",\"slot\":5,\"slot_flags\":[\"readonly\"]");
	HAS(text, "{\"start\":\"0x203000\",\"end\":\"0x204000\"");
	HAS(text, "{\"start\":\"0x204000\",\"end\":\"0x400000\"");
	HAS(run_line("vmmap 0x202fff"), "[{\"start\":\"0x201000\"");
}

/* Tables that are their own are a row for each run of entries, not 2^36. A range inside can be asked for. */
static void test_vmmap_hostile_tables(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 512; i++)
		longguest_poke_word(m(), 0x1000 + 8 * i, 0x1000 | PTE_P | PTE_W | (i & 1 ? PTE_U : 0));
	const char *text = run_line("vmmap");
	HAS(text, "[{\"start\":\"0x0\",\"end\":\"0x8000000000\",\"size\":549755813888,\"rights\":[\"writable\",\"exec\"],"
		  "\"gpa\":null,\"slot\":null");
	HAS(text, "\"kind\":\"recursive\",\"table\":\"0x1000\",\"level\":4,\"entries\":1,\"why\":\"entry 0x0 of the root "
		  "points to the root: a recursive map, shown once\"}");
	HAS(run_line("vmmap -limit 3"), "\"truncated\":{\"limit\":3,\"next\":\"0x18000000000\",\"why\":\"the first 3 rows; "
					"there is more from 0x18000000000 on: vmmap -limit N\"}}]");
	HAS(run_line("vmmap 0x1000"), "\"gpa\":\"0x1000\"");
	HAS(run_line("vmmap 0xffffffffffffffff"), "\"end\":\"0x0\"");
	HAS(run_line("vmmap 0x7fffffffffff"), "\"gpa\":\"0x1000\"");
}

static void test_vmmap_without_paging(void **state)
{
	(void)state;
	flat32(0, true);
	const char *text = run_line("vmmap");
	HAS(text, "[{\"start\":\"0x0\",\"end\":\"0x200000\"");
	HAS(text, "\"device\":\"scratch\"");
	assert_null(strstr(text, "\"end\":\"0x100000000\""));
	HAS(run_line("vmmap 0x40000000"), "\"slot\":null");
}

/* ---- context */

static void begin_context(void)
{
	add_symbol("main", 0x10000);
	longguest_poke(m(), 0x10000, "\x90\x90\x75\x00\xf4", 5);
	longguest_poke_word(m(), 0x80000, 7);
	regs(0)->rip = 0x10002;
	regs(0)->gpr[RSP] = 0x80000;
	regs(0)->gpr[RBX] = 0x80000;
}

static void test_context(void **state)
{
	(void)state;
	begin_context();
	const char *text = run_line("context");
	HAS(text, "{\"vcpu\":0,\"mode\":\"long\",\"cpl\":0,\"registers\":{\"rax\":");
	HAS(text, "\"rip\":\"0x10002\",\"rflags\":");
	HAS(text, "\"changed\":[]");
	HAS(text, "\"rbx\":[{\"value\":\"0x80000\"},{\"value\":\"0x7\"}]");
	HAS(text, "\"code\":[{\"address\":\"0x10000\",\"len\":1,\"bytes\":\"90\",\"insn\":\"nop\",\"symbol\":\"main\"}");
	HAS(text, "\"symbol\":\"main+0x2\",\"target_symbol\":\"main+0x4\",\"current\":true,\"taken\":true}");
	HAS(text, "\"stack\":[{\"address\":\"0x80000\"");
	HAS(text, "\"stop\":{\"reason\":\"none\"");
	regs(0)->rflags |= RFLAGS_ZF;
	HAS(run_line("context code"), "\"taken\":false");
	assert_null(strstr(run_line("context code"), "\"registers\":{"));
	assert_null(strstr(run_line("context regs stop"), "\"stack\":"));
	assert_int_equal(refused_line("context nosuch"), -EINVAL);
}

/* Nothing of it can be read. */
static void test_context_lost(void **state)
{
	(void)state;
	regs(0)->rip = regs(0)->gpr[RSP] = 0xdead000000000000;
	const char *text = run_line("context");
	HAS(text, "\"code\":\"n/a (");
	HAS(text, "\"value\":\"n/a (");
}

/* The last instruction before memory that is not there. */
static void test_context_at_page_end(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20fff, "\xf4", 1);
	longguest_set_pte(m(), 0x21000, 0);
	regs(0)->rip = 0x20fff;
	HAS(run_line("context code"),
	    "\"code\":[{\"address\":\"0x20fff\",\"len\":1,\"bytes\":\"f4\",\"insn\":\"hlt\",\"current\":true}]");
}

static void test_changed_registers(void **state)
{
	uint64_t mask = 1;

	(void)state;
	begin_context();
	changed_begin(&handlers_session);
	regs(0)->gpr[RAX]++;
	regs(0)->rip++;
	changed_stopped(&handlers_session, true);
	HAS(run_line("context regs"), "\"changed\":[\"rax\",\"rip\"]");
	assert_int_equal(session_changed_regs(&handlers_session, 1, &mask, NULL), 0);
	assert_int_equal(mask, 0);
	regs(0)->rflags ^= RFLAGS_CF;
	changed_stopped(&handlers_session, true);
	HAS(run_line("context regs"), "\"changed\":[\"rflags\"]");
	/* What the user has written since counts too; what cannot be known does not. */
	regs(0)->gpr[R15]++;
	HAS(run_line("context regs"), "\"changed\":[\"r15\",\"rflags\"]");
	regs(0)->old = 1ull << REGS_OLD_RFLAGS;
	HAS(run_line("context regs"), "\"changed\":[\"r15\"]");
	HAS(run_line("context regs"), "\"of_last_stop\":[\"rflags\"]");
}

/* Stops that only a script got are passed over, unless it asks. */
static void test_changed_in_a_script(void **state)
{
	struct session *s = &handlers_session;

	(void)state;
	begin_context();
	changed_begin(s);
	regs(0)->gpr[RAX]++;
	changed_stopped(s, false);
	regs(0)->gpr[RCX]++;
	changed_stopped(s, false);
	HAS(run_line("context regs"), "\"changed\":[\"rax\",\"rcx\"]");
	HAS(run_line("context regs"), "\"changed\":[\"rax\",\"rcx\"]");
	regs(0)->gpr[RDX]++;
	changed_stopped(s, false);
	HAS(run_line("context regs"), "\"changed\":[\"rdx\"]");
	regs(0)->gpr[RSI]++;
	changed_stopped(s, false);
	regs(0)->gpr[RDI]++;
	changed_stopped(s, true);
	HAS(run_line("context regs"), "\"changed\":[\"rsi\",\"rdi\"]");
}

/* ---- settings */

static void test_settings(void **state)
{
	(void)state;
	JSON("show context", "\"off\"");
	JSON("set context on", "null");
	JSON("show context", "\"on\"");
	assert_int_equal(handlers_client.settings.context, 1);
	HAS(run_line("show"), "{\"setting\":\"context\",\"value\":\"on\",\"values\":\"off on\",\"help\":\"");
	assert_int_equal(refused_line("set context maybe"), -EINVAL);
	assert_int_equal(refused_line("set context"), -EINVAL);
	assert_int_equal(refused_line("set context on on"), -EINVAL);
	assert_int_equal(refused_line("show nosuch"), -ENOENT);
	JSON("show context", "\"on\"");
}

/* ---- all of them */

static const char *const lines[] = {"context", "telescope", "hexdump 0x20000", "xinfo 0x20000", "vmmap", "vmmap 0x20000"};

static void test_looking_writes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		run_line(lines[i]);
	assert_int_equal(fake_of(m())->wrotes, 0);
}

static void test_without_vm(void **state)
{
	struct machine *kept = m();

	(void)state;
	handlers_session.d.m = NULL;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_int_equal(refused_line(lines[i]), -ENODEV);
	JSON("set context on", "null");
	handlers_session.d.m = kept;
}

#define T(name) cmocka_unit_test_setup_teardown(name, handlers_setup, handlers_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_telescope),
	    T(test_telescope_unreadable),
	    T(test_telescope_word_size),
	    T(test_hexdump),
	    T(test_xinfo),
	    T(test_xinfo_under_tdp),
	    T(test_xinfo_of_nothing),
	    T(test_xinfo_with_smap),
	    T(test_xinfo_dirty),
	    T(test_vmmap),
	    T(test_vmmap_large_page),
	    T(test_vmmap_hostile_tables),
	    T(test_vmmap_without_paging),
	    T(test_context),
	    T(test_context_lost),
	    T(test_context_at_page_end),
	    T(test_changed_registers),
	    T(test_changed_in_a_script),
	    T(test_settings),
	    T(test_looking_writes_nothing),
	    T(test_without_vm),
	};
	return cmocka_run_group_tests_name("cmd_look", tests, NULL, NULL);
}
