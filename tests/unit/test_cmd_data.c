/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handlers that look at and change data: what they give, to the last key, and what they refuse.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cmd/data.h"
#include "cli/session/client.h"
#include "cli/session/interrupt.h"
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

/* ---- x */

static void test_x(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20000, "\x11\x22\x33\x44\x55\x66\x77\x88\xff\xff\xff\xff", 12);
	JSON("x/2gx 0x20000",
	     "{\"address\":\"0x20000\",\"values\":[\"0x8877665544332211\",\"0xffffffff\"],\"unit\":8,\"format\":\"x\"}");
	JSON("x/2hx 0x20000", "{\"address\":\"0x20000\",\"values\":[\"0x2211\",\"0x4433\"],\"unit\":2,\"format\":\"x\"}");
	JSON("x/wd 0x20008", "{\"address\":\"0x20008\",\"values\":[-1],\"unit\":4,\"format\":\"d\"}");
	JSON("x/wu 0x20008", "{\"address\":\"0x20008\",\"values\":[4294967295],\"unit\":4,\"format\":\"u\"}");
	JSON("x/2c 0x20000", "{\"address\":\"0x20000\",\"values\":[17,34],\"unit\":1,\"format\":\"c\"}");
	JSON("x/bt 0x20002", "{\"address\":\"0x20002\",\"values\":[\"0x33\"],\"unit\":1,\"format\":\"t\"}");
}

static void test_x_goes_on(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20000, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
	JSON("x/2hx 0x20000", "{\"address\":\"0x20000\",\"values\":[\"0x201\",\"0x403\"],\"unit\":2,\"format\":\"x\"}");
	JSON("x", "{\"address\":\"0x20004\",\"values\":[\"0x605\"],\"unit\":2,\"format\":\"x\"}");
	JSON("x/1bd", "{\"address\":\"0x20006\",\"values\":[7],\"unit\":1,\"format\":\"d\"}");
	JSON("x", "{\"address\":\"0x20007\",\"values\":[8],\"unit\":1,\"format\":\"d\"}");
}

static void test_x_strings(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20000, "one\0two", 8);
	JSON("x/2s 0x20000", "{\"address\":\"0x20000\",\"values\":[\"one\",\"two\"],\"unit\":4,\"format\":\"s\"}");
	assert_int_equal(handlers_client.x_next, 0x20008);
}

/* A string that ends with its page, before one that is not there. */
static void test_x_string_at_page_end(void **state)
{
	(void)state;
	longguest_set_pte(m(), 0x21000, 0);
	longguest_poke(m(), 0x20ffc, "end", 4);
	JSON("x/s 0x20ffc", "{\"address\":\"0x20ffc\",\"values\":[\"end\"],\"unit\":4,\"format\":\"s\"}");
	assert_int_equal(refused_line("x/s 0x21000"), -EFAULT);
}

static void test_x_pointers(void **state)
{
	struct symbols *t = &handlers_session.d.syms;

	(void)state;
	assert_int_equal(symbols_add(t, "main", 0x10000, 0x100, NULL), 0);
	assert_int_equal(symbols_sort(t, NULL), 0);
	longguest_poke_word(m(), 0x20000, 0x10004);
	JSON("x/a 0x20000",
	     "{\"address\":\"0x20000\",\"values\":[\"0x10004\"],\"unit\":8,\"format\":\"a\",\"symbols\":[\"main+0x4\"]}");
	longguest_poke(m(), 0x10000, "\x90\xc3", 2);
	JSON("x/2i main",
	     "{\"address\":\"0x10000\",\"values\":[{\"address\":\"0x10000\",\"len\":1,\"bytes\":\"90\",\"insn\":\"nop\","
	     "\"symbol\":\"main\",\"current\":true},{\"address\":\"0x10001\",\"len\":1,\"bytes\":\"c3\",\"insn\":\"ret\","
	     "\"symbol\":\"main+0x1\"}],\"unit\":8,\"format\":\"i\",\"symbol\":\"main\"}");
}

static void test_x_refusals(void **state)
{
	(void)state;
	run_line("x/2hx 0x20000");
	assert_int_equal(refused_line("x/8gx 0xdead000000000000"), -EFAULT);
	assert_int_equal(refused_line("x/q 0x20000"), -EINVAL);
	assert_int_equal(refused_line("x 0x20000 5"), -EINVAL);
	assert_int_equal(refused_line("x nosuch"), -EINVAL);
	JSON("x", "{\"address\":\"0x20004\",\"values\":[\"0x0\"],\"unit\":2,\"format\":\"x\"}");
}

static void test_physical(void **state)
{
	(void)state;
	longguest_set_pte(m(), 0x20000, 0x30000 | PTE_P);
	longguest_poke_word(m(), 0x30000, 0x1234);
	JSON("x/gx 0x20000", "{\"address\":\"0x20000\",\"values\":[\"0x1234\"],\"unit\":8,\"format\":\"x\"}");
	JSON("xp/gx 0x20000", "{\"address\":\"0x20000\",\"values\":[\"0x0\"],\"unit\":8,\"format\":\"x\"}");
	JSON("mem read 0x20000 2", "{\"address\":\"0x20000\",\"len\":2,\"data\":\"3412\"}");
	JSON("mem read 0x20000 2 -phys", "{\"address\":\"0x20000\",\"len\":2,\"data\":\"0000\"}");
	assert_int_equal(refused_line("xp/gx 0x40000000"), -EFAULT);
}

/* ---- mem, find, files */

static void test_mem_write(void **state)
{
	(void)state;
	JSON("mem write 0x20ffe deadbeef", "{\"address\":\"0x20ffe\",\"len\":4}");
	JSON("mem read 0x20ffd 6", "{\"address\":\"0x20ffd\",\"len\":6,\"data\":\"00deadbeef00\"}");
	longguest_set_pte(m(), 0x21000, 0);
	assert_int_equal(refused_line("mem write 0x20ffe 11223344"), -EFAULT);
	JSON("mem read 0x20ffe 2", "{\"address\":\"0x20ffe\",\"len\":2,\"data\":\"dead\"}");
	assert_int_equal(refused_line("mem write 0x20000 abc"), -EINVAL);
	assert_int_equal(refused_line("mem read 0x20000 0"), -ERANGE);
}

static void test_find(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20000, "aaa", 3);
	longguest_poke(m(), 0x20fff, "aa", 2);
	JSON("find 0x20000 0x2000 6161", "[\"0x20000\",\"0x20001\",\"0x20fff\"]");
	JSON("find 0x20000 2 6161", "[\"0x20000\"]");
	JSON("find 0x20000 1 6161", "[]");
	longguest_set_pte(m(), 0x21000, 0);
	longguest_poke(m(), 0x22000, "aa", 2);
	JSON("find 0x20800 0x2000 6161", "[\"0x22000\"]");
	assert_int_equal(refused_line("find 0x21000 0x1000 61"), -EFAULT);
	assert_int_equal(refused_line("find 0xffffffffffffff00 0x1000 61"), -EINVAL);
}

/* Across the search's own buffer, which is 1 MiB long. */
static void test_find_across_chunks(void **state)
{
	(void)state;
	longguest_poke(m(), 0x10fffe, "wxyz", 4);
	longguest_poke(m(), 0x1ffffc, "wxyz", 4);
	JSON("find 0x10000 0x1f0000 7778797a -phys", "[\"0x10fffe\",\"0x1ffffc\"]");
}

static char path[64];

static void temp_name(void)
{
	snprintf(path, sizeof(path), "/tmp/kvmscope-test-%d", (int)getpid());
}

static void test_dump_and_restore(void **state)
{
	char line[200], json[200];

	(void)state;
	temp_name();
	longguest_poke(m(), 0x20000, "hello", 5);
	snprintf(line, sizeof(line), "dump %s 0x20000 0x1800", path);
	snprintf(json, sizeof(json), "{\"file\":\"%s\",\"address\":\"0x20000\",\"len\":6144}", path);
	JSON(line, json);
	snprintf(line, sizeof(line), "restore %s 0x50000", path);
	snprintf(json, sizeof(json), "{\"file\":\"%s\",\"address\":\"0x50000\",\"len\":6144}", path);
	JSON(line, json);
	JSON("mem read 0x50000 6", "{\"address\":\"0x50000\",\"len\":6,\"data\":\"68656c6c6f00\"}");
	unlink(path);
	assert_int_equal(refused_line(line), -ENOENT);
}

/* ---- what comes in the way of a restore, at its first MiB */

static void restore_meets(void (*progress)(struct client *c, uint64_t done, uint64_t total), const char *why)
{
	const struct client_ops *was = handlers_client.ops;
	struct client_ops ops = was ? *was : (struct client_ops){0};
	char line[200];
	struct err e;
	FILE *f;

	temp_name();
	f = fopen(path, "w");
	for (int i = 0; i < 0x180000; i++)
		fputc(0x5a, f);
	fclose(f);
	ops.progress = progress;
	handlers_client.ops = &ops;
	snprintf(line, sizeof(line), "restore %s 0x2000000 -phys", path);
	interrupt_line_begin();
	int rc = refused_line(line);
	e = handlers_err;
	interrupt_line_end();
	interrupt_forget();
	handlers_client.ops = was;
	assert_true(rc < 0);
	assert_non_null(strstr(e.why, why));
	assert_non_null(strstr(e.why, "0x100000 of 0x180000 bytes are written, 0x2000000 to 0x20fffff"));
	unlink(path);
	JSON("mem read 0x20fffff 2 -phys", "{\"address\":\"0x20fffff\",\"len\":2,\"data\":\"5a00\"}");
}

static void interrupts(struct client *c, uint64_t done, uint64_t total)
{
	(void)c;
	if (done && total)
		interrupt_raise(0);
}

static void cuts_short(struct client *c, uint64_t done, uint64_t total)
{
	(void)c;
	if (done && total)
		assert_int_equal(truncate(path, 0x110000), 0);
}

static void big_slot(void)
{
	struct slot_spec spec = {.id = 7, .gpa = 0x2000000, .size = 0x200000};

	assert_int_equal(machine_slot_add(m(), &spec, NULL, NULL), 0);
}

static void test_restore_interrupted(void **state)
{
	(void)state;
	big_slot();
	restore_meets(interrupts, "interrupted");
}

static void test_restore_of_what_is_cut_short(void **state)
{
	(void)state;
	big_slot();
	restore_meets(cuts_short, "cut short");
}

/* What was in the file stays where the range cannot be read to its end. */
static void test_failed_dump_keeps_file(void **state)
{
	char line[200], text[8] = "";
	FILE *f;

	(void)state;
	temp_name();
	f = fopen(path, "w");
	fputs("before", f);
	fclose(f);
	longguest_set_pte(m(), 0x21000, 0);
	snprintf(line, sizeof(line), "dump %s 0x20000 0x2000", path);
	assert_int_equal(refused_line(line), -EFAULT);
	f = fopen(path, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "before");
	unlink(path);
}

/* ---- disas */

static void test_disas(void **state)
{
	(void)state;
	longguest_poke(m(), 0x10000, "\xe8\xfb\x00\x00\x00\x90\xff", 7);
	run_line("break *0x10005");
	JSON("disas 0x10000 3",
	     "[{\"address\":\"0x10000\",\"len\":5,\"bytes\":\"e8fb000000\",\"insn\":\"call 0x10100\","
	     "\"target\":\"0x10100\",\"current\":true},{\"address\":\"0x10005\",\"len\":1,\"bytes\":\"90\","
	     "\"insn\":\"nop\",\"breakpoint\":1},{\"address\":\"0x10006\",\"len\":2,\"bytes\":\"ff00\","
	     "\"insn\":\"inc dword ptr [rax]\"}]");
	assert_ptr_equal(strstr(run_line("disas"), "[{\"address\":\"0x10000\""), run_line("disas"));
}

static void test_disas_bits(void **state)
{
	(void)state;
	longguest_poke(m(), 0x10000, "\xb8\x34\x12\x00\x00", 5);
	JSON("disas 0x10000 1 -bits 16",
	     "[{\"address\":\"0x10000\",\"len\":3,\"bytes\":\"b83412\",\"insn\":\"mov ax, 0x1234\",\"current\":true}]");
	JSON("disas 0x10000 1",
	     "[{\"address\":\"0x10000\",\"len\":5,\"bytes\":\"b834120000\",\"insn\":\"mov eax, 0x1234\",\"current\":true}]");
	assert_int_equal(refused_line("disas 0x10000 1 -bits 8"), -EINVAL);
	assert_int_equal(refused_line("disas 0x40000000"), -EFAULT);
}

/* An instruction that is cut by the end of what can be read is shown as bytes. */
static void test_disas_at_page_end(void **state)
{
	(void)state;
	longguest_set_pte(m(), 0x21000, 0);
	longguest_poke(m(), 0x20ffe, "\x90\xe8", 2);
	JSON("disas 0x20ffe 2", "[{\"address\":\"0x20ffe\",\"len\":1,\"bytes\":\"90\",\"insn\":\"nop\"},"
				"{\"address\":\"0x20fff\",\"len\":1,\"bytes\":\"e8\",\"insn\":\".byte 0xe8\"}]");
	assert_int_equal(refused_line("disas 0x20ffe 3"), -EFAULT);
}

/* ---- registers */

static void test_reg(void **state)
{
	(void)state;
	JSON("reg rax 0x1122334455667788", "\"0x1122334455667788\"");
	JSON("reg ax", "\"0x7788\"");
	JSON("reg eax 1", "\"0x1\"");
	assert_int_equal(regs(0)->gpr[RAX], 1);
	JSON("reg xmm1 0xabc", "\"0x00000000000000000000000000000abc\"");
	assert_int_equal(regs(0)->fpu.xmm[1][1], 0x0a);
	assert_int_equal(refused_line("reg nosuch"), -ENOENT);
	assert_int_equal(refused_line("reg al 256"), -ERANGE);
	assert_int_equal(refused_line("reg xmm1 12"), -EINVAL);
	JSON("set $rbx = $rax + 4", "\"0x5\"");
	assert_int_equal(regs(0)->gpr[RBX], 5);
	assert_int_equal(refused_line("set $rbx 4"), -EINVAL);
}

static void test_info_registers(void **state)
{
	(void)state;
	regs(0)->gpr[RCX] = 0x77;
	JSON("info registers rcx $cs pc", "{\"rcx\":\"0x77\",\"cs\":\"0x8\",\"pc\":\"0x10000\"}");
	assert_non_null(strstr(run_line("info registers"), "\"cr3\":\"0x1000\""));
	assert_null(strstr(run_line("info registers"), "xmm0"));
	assert_non_null(strstr(run_line("info registers -a"), "\"xmm0\":\"0x00000000000000000000000000000000\""));
	assert_int_equal(refused_line("info registers nosuch"), -ENOENT);
	assert_null(strstr(run_line("info registers -a"), "of_last_stop"));
}

/* What a parked vCPU's record names. */
static void test_old_registers(void **state)
{
	(void)state;
	regs(0)->gpr[RCX] = 0x77;
	regs(0)->old = 1ull << REGS_OLD_RIP | 1ull << REGS_OLD_CR3 | 1ull << REGS_OLD_FPU;
	JSON("info registers rcx cs", "{\"rcx\":\"0x77\",\"cs\":\"0x8\"}");
	JSON("info registers rcx cr3 pc",
	     "{\"rcx\":\"0x77\",\"cr3\":\"0x1000\",\"pc\":\"0x10000\",\"of_last_stop\":[\"cr3\",\"pc\"]}");
	assert_non_null(strstr(run_line("info registers"), "\"of_last_stop\":[\"rip\",\"cr3\"]"));
	assert_non_null(strstr(run_line("info registers -a"), "\"of_last_stop\":[\"rip\",\"cr3\",\"fcw\",\"fsw\","));
	JSON("vcpu", "{\"id\":0,\"mode\":\"long\",\"cpl\":0,\"rip\":\"0x10000\",\"smm\":false,\"state\":\"stopped\","
		     "\"current\":true,\"of_last_stop\":[\"rip\"]}");
	regs(0)->old = 1ull << REGS_OLD_EFER | 1ull << REGS_OLD_SMM;
	assert_non_null(strstr(run_line("vcpu"), "\"of_last_stop\":[\"mode\",\"cpl\",\"smm\"]"));
	/* Numbers stay numbers for programs. */
	JSON("reg efer", "\"0xd01\"");
	JSON("p $efer", "\"0xd01\"");
}

/* People are shown it. */
static void test_an_old_value_is_drawn(void **state)
{
	static const char *const argv[] = {"$efer"};
	struct call c = {.s = &handlers_session,
			 .client = &handlers_client,
			 .argc = 1,
			 .argv = argv,
			 .pool = pool_create(),
			 .shown = true};
	struct err e = {0};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool old = i & 1;

		regs(0)->old = old ? 1ull << REGS_OLD_EFER : 0;
		c.view = NULL;
		assert_int_equal(i & 2 ? cmd_print(&c, &e) : cmd_reg(&c, &e), 0);
		assert_int_equal(c.result.type, old ? VALUE_DICT : VALUE_HEX);
		if (old)
			assert_string_equal(c.view, "registers");
		else
			assert_null(c.view);
	}
	pool_destroy(c.pool);
}

static void test_print(void **state)
{
	(void)state;
	regs(0)->gpr[RAX] = 0xfffffffffffffffe;
	JSON("p 2 + 3 * 4", "\"0xe\"");
	JSON("p $rax", "\"0xfffffffffffffffe\"");
	JSON("p/d $rax", "-2");
	JSON("p/u 10", "10");
	JSON("p/t 5", "\"0b101\"");
	JSON("p/o 8", "\"010\"");
	JSON("p/c 0x1ff", "-1");
	JSON("p $xmm0", "\"0x00000000000000000000000000000000\"");
	JSON("p 0x0000000000000000000000000000abcd", "\"0x0000000000000000000000000000abcd\"");
	assert_int_equal(refused_line("p/i 1"), -EINVAL);
	assert_int_equal(refused_line("p 1 / 0"), -EDOM);
	assert_int_equal(refused_line("p"), -EINVAL);
}

static void test_vcpus(void **state)
{
	(void)state;
	JSON("vcpu", "{\"id\":0,\"mode\":\"long\",\"cpl\":0,\"rip\":\"0x10000\",\"smm\":false,\"state\":\"stopped\","
		     "\"current\":true}");
	regs(1)->halted = true;
	regs(1)->rip = 0x55;
	JSON("vcpu 1",
	     "{\"id\":1,\"mode\":\"long\",\"cpl\":0,\"rip\":\"0x55\",\"smm\":false,\"state\":\"halted\",\"current\":true}");
	assert_non_null(strstr(run_line("info vcpus"), "\"id\":0,"));
	JSON("p $rip", "\"0x55\"");
	assert_int_equal(refused_line("vcpu 2"), -ERANGE);
	assert_int_equal(handlers_session.vcpu, 1);
}

/* ---- snap */

static void test_snap(void **state)
{
	(void)state;
	fake_of(m())->no_cap[MACHINE_CAP_RMAP] = true;
	JSON("snap a",
	     "{\"name\":\"a\",\"slots\":1,\"shadow_pages\":0,\"sptes\":0,\"rmaps\":\"n/a (reverse maps: not supported by "
	     "this "
	     "backend (fake), because the fake machine was told not to)\",\"mmio\":0,\"registers\":2,\"memory\":\"n/a "
	     "(taken without -memory)\",\"torn\":false}");
	JSON("diff", "[]");
	regs(1)->gpr[RDX] = 9;
	JSON("diff a",
	     "[{\"part\":\"register\",\"kind\":\"changed\",\"what\":\"vcpu 1 rdx\",\"before\":\"0x0\",\"after\":\"0x9\"}]");
	assert_non_null(strstr(run_line("snap"), "\"name\":\"1\""));
	JSON("diff 1", "[]");
	assert_non_null(strstr(run_line("diff 1 a"), "\"before\":\"0x9\""));
	run_line("snap a");
	JSON("diff a 1", "[]");
	assert_int_equal(refused_line("diff b"), -ENOENT);
	assert_int_equal(refused_line("snap 0123456789012345678901234567890123"), -EINVAL);
	assert_int_equal(handlers_session.n_snaps, 2);
}

static void test_diff_without_snap(void **state)
{
	(void)state;
	assert_int_equal(refused_line("diff"), -ENOENT);
}

static char noticed[300];

static void note_notice(struct client *c, const char *text)
{
	(void)c;
	snprintf(noticed, sizeof(noticed), "%s", text);
}

/* The fake kernel's chains change under a read, or do not. */
static const char *notice_of(const char *line, struct rmap_info *map, bool torn)
{
	map->torn = torn;
	noticed[0] = '\0';
	run_line(line);
	return noticed;
}

static void test_diff_of_what_is_torn(void **state)
{
	static const struct client_ops hears = {.notice = note_notice};
	struct rmap_info map = {.gfn = 0x41, .level = 1};

	(void)state;
	handlers_client.ops = &hears;
	fake_of(m())->rmap = (struct rmap_list){&map, 1};
	map.kind = RMAP_ONE;
	map.n_sptes = 0;
	notice_of("snap whole", &map, false);
	notice_of("snap torn", &map, true);
	assert_string_equal(notice_of("diff whole", &map, false), "");
	assert_string_equal(notice_of("diff whole", &map, true),
			    "diff: the kernel changed something while the later side was read (torn): rows may be of that");
	assert_string_equal(
	    notice_of("diff torn", &map, false),
	    "diff: the kernel changed something while the earlier side was read (torn): rows may be of that");
	assert_string_equal(notice_of("diff torn", &map, true),
			    "diff: the kernel changed something while both sides were read (torn): rows may be of that");
}

/* ---- looking changes nothing, and a VM is needed */

static void test_looking_writes_nothing(void **state)
{
	static const char *const looks[] = {
	    "x/4gx 0x20000",	 "xp/4gx 0x20000", "mem read 0x20000 64", "disas 0x10000 4", "find 0x20000 0x1000 00ff",
	    "info registers -a", "p $rip",	   "info vcpus",	  "snap z"};

	(void)state;
	run_line("snap a -memory");
	for (size_t i = 0; i < ARRAY_LEN(looks); i++)
		run_line(looks[i]);
	JSON("diff a", "[]");
	assert_int_equal(fake_of(m())->wrotes, 0);
}

static void test_without_vm(void **state)
{
	static const char *const lines[] = {"x 0",     "xp 0",	  "mem read 0 1", "find 0 1 00",
					    "disas 0", "reg rax", "vcpu",	  "snap"};
	struct machine *kept = m();

	(void)state;
	handlers_session.d.m = NULL;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		assert_int_equal(refused_line(lines[i]), -ENODEV);
	JSON("p 1 + 1", "\"0x2\"");
	handlers_session.d.m = kept;
}

#define T(name) cmocka_unit_test_setup_teardown(name, handlers_setup, handlers_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_x),
	    T(test_x_goes_on),
	    T(test_x_strings),
	    T(test_x_string_at_page_end),
	    T(test_x_pointers),
	    T(test_x_refusals),
	    T(test_physical),
	    T(test_mem_write),
	    T(test_find),
	    T(test_find_across_chunks),
	    T(test_dump_and_restore),
	    T(test_failed_dump_keeps_file),
	    T(test_restore_interrupted),
	    T(test_restore_of_what_is_cut_short),
	    T(test_disas),
	    T(test_disas_bits),
	    T(test_disas_at_page_end),
	    T(test_reg),
	    T(test_info_registers),
	    T(test_old_registers),
	    T(test_an_old_value_is_drawn),
	    T(test_print),
	    T(test_vcpus),
	    T(test_snap),
	    T(test_diff_without_snap),
	    T(test_diff_of_what_is_torn),
	    T(test_looking_writes_nothing),
	    T(test_without_vm),
	};
	return cmocka_run_group_tests_name("cmd_data", tests, NULL, NULL);
}
