/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handlers of breakpoints and of running: words, what is planted for them, and the values that they give.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/handlers.h"

static struct machine *m(void)
{
	return handlers_session.d.m;
}

static const struct stop_point *bp(int id)
{
	const struct stop_point *b = point_find(&handlers_session.d.points, id);

	assert_non_null(b);
	return b;
}

#define JSON(line, text) assert_string_equal(run_line(line), text)

/* ---- break */

static void test_break(void **state)
{
	(void)state;
	run_line("b *0x10010");
	assert_int_equal(bp(1)->kind, POINT_BREAK);
	assert_int_equal(bp(1)->addr, 0x10010);
	assert_string_equal(bp(1)->at, "*0x10010");
	run_line("b $rip + 4");
	assert_int_equal(bp(2)->addr, 0x10004);
	assert_string_equal(bp(2)->at, "$rip + 4");
	run_line("tb 0x20");
	assert_true(bp(3)->temporary);
	run_line("hb 0x30");
	assert_int_equal(fake_plant(m(), 4)->kind, PLANT_EXEC_HW);
	run_line("b");
	assert_int_equal(bp(5)->addr, 0x10000);
	assert_string_equal(bp(5)->at, "*0x10000");
}

static void test_break_if(void **state)
{
	(void)state;
	run_line("b 0x10 if $rax == 5 && 1");
	assert_string_equal(bp(1)->condition, "$rax == 5 && 1");
	assert_string_equal(bp(1)->at, "0x10");
	run_line("b if {$rbx > 2}");
	assert_string_equal(bp(2)->condition, "$rbx > 2");
	assert_int_equal(bp(2)->addr, 0x10000);
	assert_int_equal(refused_line("b 0x10 if"), -EINVAL);
	assert_int_equal(refused_line("b nosuchsymbol"), -EINVAL);
	assert_int_equal(refused_line("b 0x10 0x20"), -EINVAL);
	assert_int_equal(handlers_session.d.points.n, 2);
}

static void test_watch(void **state)
{
	(void)state;
	run_line("watch 0x20000");
	assert_int_equal(bp(1)->kind, POINT_WATCH);
	assert_int_equal(bp(1)->len, 8);
	assert_false(bp(1)->phys);
	run_line("awatch -phys 0x40000 + 8 16 if $rcx");
	assert_int_equal(bp(2)->addr, 0x40008);
	assert_int_equal(bp(2)->len, 16);
	assert_true(bp(2)->phys);
	assert_string_equal(bp(2)->condition, "$rcx");
	assert_string_equal(bp(2)->at, "0x40000 + 8");
	run_line("rwatch 0x40000 1 -phys");
	assert_int_equal(fake_plant(m(), 3)->kind, PLANT_READ);
	assert_true(fake_plant(m(), 3)->phys);
	/* As long as the symbol, unless LEN says so; an expression with one in it is no symbol. */
	assert_int_equal(symbols_add(&handlers_session.d.syms, "word", 0x20000, 4, NULL), 0);
	assert_int_equal(symbols_add(&handlers_session.d.syms, "label", 0x20010, 0, NULL), 0);
	assert_int_equal(symbols_sort(&handlers_session.d.syms, NULL), 0);
	run_line("watch word");
	run_line("awatch *word");
	run_line("rwatch word 2");
	run_line("watch word+1");
	run_line("watch label");
	assert_int_equal(bp(4)->addr, 0x20000);
	assert_int_equal(bp(4)->len, 4);
	assert_int_equal(bp(5)->len, 4);
	assert_int_equal(bp(6)->len, 2);
	assert_int_equal(bp(7)->len, 8);
	assert_int_equal(bp(8)->len, 8);
	assert_int_equal(refused_line("watch 0xffffffffffffffff 2"), -EINVAL);
	assert_int_equal(refused_line("watch 0x10 0"), -ERANGE);
	assert_int_equal(refused_line("watch"), -EINVAL);
}

/* ---- catch */

static void test_catch_events(void **state)
{
	(void)state;
	run_line("catch mmio");
	run_line("catch pio 0x3f8 0x3ff");
	run_line("catch exception #pf");
	run_line("catch exception 13");
	run_line("catch mode prot32");
	run_line("catch smi");
	assert_non_null(strstr(run_line("catch mode cpl"), "\"means\":\"another privilege level\""));
	run_line("delete 7");
	assert_int_equal(fake_of(m())->catch_events, CATCH_MMIO | CATCH_PIO | CATCH_EXCEPTION | CATCH_MODE | CATCH_SMI);
	assert_false(bp(1)->has_arg);
	assert_int_equal(bp(2)->arg_first, 0x3f8);
	assert_int_equal(bp(2)->arg_last, 0x3ff);
	assert_int_equal(bp(3)->arg_first, 14);
	assert_int_equal(bp(3)->arg_last, 14);
	assert_int_equal(bp(4)->arg_first, 13);
	assert_int_equal(bp(5)->arg_first, CPU_PROT32);
	assert_string_equal(bp(2)->at, "pio 0x3f8 0x3ff");
	run_line("delete 1 6");
	assert_int_equal(fake_of(m())->catch_events, CATCH_PIO | CATCH_EXCEPTION | CATCH_MODE);
	run_line("disable 2");
	assert_int_equal(fake_of(m())->catch_events, CATCH_EXCEPTION | CATCH_MODE);
}

static void test_catch_fault(void **state)
{
	(void)state;
	run_line("catch fault");
	assert_true(fake_of(m())->filter_set);
	assert_true(fake_of(m())->filter[0].all);
	run_line("delete");
	assert_false(fake_of(m())->filter_set);
	run_line("catch fault 0x40");
	assert_false(fake_of(m())->filter[0].all);
	assert_false(fake_of(m())->filter[0].gva);
	assert_int_equal(fake_of(m())->filter[0].first, 0x40);
	assert_int_equal(fake_of(m())->filter[0].last, 0x40);
	run_line("delete");
	run_line("catch fault 0x240000 0x250fff");
	assert_true(fake_of(m())->filter[0].gva);
	assert_int_equal(fake_of(m())->filter[0].last, 0x250fff);
}

/* Which meaning a filter's numbers were taken in is said. */
static void test_catch_means(void **state)
{
	(void)state;
	assert_non_null(strstr(run_line("catch fault 0x10 0x13"), "\"means\":\"gva 0x10 to 0x13\""));
	assert_non_null(strstr(run_line("catch fault 0x40"), "\"means\":\"gfn 0x40\""));
	assert_null(strstr(run_line("catch fault"), "means"));
	assert_non_null(strstr(run_line("catch mmio 0xd0000000 0xd0000fff"), "\"means\":\"gpa 0xd0000000 to 0xd0000fff\""));
	assert_non_null(strstr(run_line("catch pio 0x3f8"), "\"means\":\"port 0x3f8\""));
	assert_non_null(strstr(run_line("catch exception 13"), "\"means\":\"vector 13\""));
	assert_non_null(strstr(run_line("catch exception 0 31"), "\"means\":\"vectors 0 to 31\""));
	assert_non_null(strstr(run_line("catch mode long"), "\"means\":\"into long mode\""));
	assert_non_null(strstr(run_line("catch slot 1"), "\"means\":\"slot 1\""));
}

static void test_catch_mmu(void **state)
{
	(void)state;
	assert_non_null(strstr(run_line("catch mmu"), "\"at\":\"mmu\""));
	assert_int_equal(bp(1)->mmu.kinds, MMU_ALL);
	assert_true(bp(1)->mmu.first == 0 && bp(1)->mmu.last == ~0ull);
	assert_non_null(strstr(run_line("catch mmu zap unsync 0x13"), "\"means\":\"gfn 0x13\""));
	assert_int_equal(bp(2)->mmu.kinds, MMU_ZAP | MMU_UNSYNC);
	assert_int_equal(bp(2)->mmu.last, 0x13);
	assert_non_null(strstr(run_line("catch mmu spte 0x40 0x4f if $rax"), "\"means\":\"gfn 0x40 to 0x4f\""));
	assert_int_equal(bp(3)->mmu.kinds, MMU_SPTE);
	run_line("catch mmu 0x40");
	assert_int_equal(bp(4)->mmu.kinds, MMU_ALL);
	assert_int_equal(fake_of(m())->n_mmu, 4);
	run_line("disable 1");
	run_line("delete 2 4");
	assert_int_equal(fake_of(m())->n_mmu, 1);
	assert_int_equal(fake_of(m())->mmu[0].last, 0x4f);
	assert_int_equal(refused_line("catch mmu sptes 0x40"), -EINVAL);
	assert_int_equal(refused_line("catch mmu zap 0x40 0x30"), -EINVAL);
	assert_int_equal(refused_line("catch mmu zap 1 2 3"), -EINVAL);
	fake_of(m())->fail_op = "mmu_catch";
	fake_of(m())->fail_code = -EACCES;
	assert_int_equal(refused_line("catch mmu"), -EACCES);
	assert_int_equal(handlers_session.d.points.n, 2);
}

/* The stop's record has what happened first and all of it. */
static void test_mmu_stop(void **state)
{
	struct mmu_event ev[] = {{.kind = MMU_ZAP, .vcpu = 1, .gfn = 0x13, .level = 1, .role = 0x701},
				 {.kind = MMU_SPTE, .vcpu = 1, .gfn = 0x40, .level = 1, .spte = 0xe67, .sptep = 0x1200}};

	(void)state;
	run_line("catch mmu");
	fake_of(m())->mmu_events = (struct mmu_event_list){.v = ev, .n = 2, .lost = 1};
	fake_push_stop(m(), &(struct stop){.reason = STOP_MMU, .rip = 0x10, .slot = -1, .mmu = ev[0]});
	const char *said = run_line("c");
	assert_non_null(strstr(said, "\"event\":\"zap\",\"gfn\":\"0x13\",\"level\":1,\"role\":\"0x701\""));
	assert_non_null(strstr(
	    said, "\"events\":[{\"event\":\"zap\",\"gfn\":\"0x13\",\"level\":1,\"role\":\"0x701\",\"vcpu\":1},"
		  "{\"event\":\"spte\",\"gfn\":\"0x40\",\"level\":1,\"spte\":\"0xe67\",\"sptep\":\"0x1200\",\"vcpu\":1}],"
		  "\"lost\":1"));
	fake_of(m())->mmu_events = (struct mmu_event_list){.v = NULL};
}

static void test_catch_refused(void **state)
{
	(void)state;
	assert_int_equal(refused_line("catch nonsense"), -EINVAL);
	assert_int_equal(refused_line("catch smi 1"), -EINVAL);
	assert_int_equal(refused_line("catch mode wide"), -EINVAL);
	assert_int_equal(refused_line("catch pio 0x3ff 0x3f8"), -EINVAL);
	assert_int_equal(refused_line("catch"), -EINVAL);
	fake_of(m())->fail_op = "set_catch";
	fake_of(m())->fail_code = -ENOTSUP;
	assert_int_equal(refused_line("catch pio"), -ENOTSUP);
	assert_int_equal(handlers_session.d.points.n, 0);
}

/* ---- by number */

static void test_delete(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		run_line("b 0x10");
	assert_int_equal(refused_line("delete 1 9"), -ENOENT);
	assert_int_equal(handlers_session.d.points.n, 4);
	run_line("delete 2 2 3");
	assert_int_equal(handlers_session.d.points.n, 2);
	run_line("delete");
	assert_int_equal(handlers_session.d.points.n, 0);
	assert_int_equal(fake_of(m())->n_plants, 0);
	run_line("delete");
}

static void test_enable(void **state)
{
	(void)state;
	run_line("b 0x10");
	run_line("b 0x20");
	run_line("disable");
	assert_int_equal(fake_of(m())->n_plants, 0);
	run_line("enable 2");
	assert_false(bp(1)->enabled);
	assert_true(bp(2)->enabled);
	assert_int_equal(refused_line("enable 3"), -ENOENT);
	assert_int_equal(refused_line("enable x"), -EINVAL);
}

static void test_attach(void **state)
{
	(void)state;
	run_line("b 0x10");
	run_line("b 0x20");
	run_line("condition 1 $rax == 5");
	assert_string_equal(bp(1)->condition, "$rax == 5");
	run_line("condition 1 {$rax == 6}");
	assert_string_equal(bp(1)->condition, "$rax == 6");
	run_line("condition 1");
	assert_null(bp(1)->condition);
	run_line("ignore 1 3");
	assert_int_equal(bp(1)->ignore, 3);
	run_line("commands 1 {x/i $rip; c}");
	assert_string_equal(bp(1)->commands, "x/i $rip; c");
	run_line("commands {p 1}");
	assert_string_equal(bp(2)->commands, "p 1");
	run_line("commands 1 {}");
	assert_null(bp(1)->commands);
	assert_int_equal(refused_line("condition 7 1"), -ENOENT);
	assert_int_equal(refused_line("commands 1"), -EINVAL);
	assert_int_equal(refused_line("ignore 1"), -EINVAL);
}

static void test_info(void **state)
{
	(void)state;
	JSON("info breakpoints", "[]");
	run_line("b *0x10010");
	assert_non_null(strstr(run_line("info breakpoints"),
			       "[{\"id\":1,\"kind\":\"breakpoint\",\"at\":\"*0x10010\",\"enabled\":true,"
			       "\"hits\":0,\"how\":\"soft\""));
	assert_string_equal(run_line("info breakpoints"), run_line("info b"));
}

/* ---- running */

static void test_continue(void **state)
{
	(void)state;
	run_line("b 0x10010");
	fake_push_stop(m(), &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = 1, .rip = 0x10010, .slot = -1});
	assert_non_null(strstr(run_line("c"), "\"reason\":\"breakpoint\",\"vcpu\":0,\"rip\":\"0x10010\",\"breakpoint\":1"));
	for (int i = 0; i < 3; i++)
		fake_push_stop(m(), &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = 1, .rip = 0x10010, .slot = -1});
	run_line("c 3");
	assert_int_equal(bp(1)->hits, 4);
	assert_int_equal(fake_queued(m()), 0);
	run_line("si");
	assert_int_equal(refused_line("c 2"), -EINVAL);
	assert_int_equal(refused_line("c 0"), -ERANGE);
}

static void test_steps(void **state)
{
	(void)state;
	longguest_poke(m(), 0x10000, "\x90\x90\x90\x90\x90\x90\x90\x90", 8);
	assert_non_null(strstr(run_line("si"), "{\"reason\":\"step\",\"vcpu\":0,\"rip\":\"0x10001\""));
	assert_non_null(strstr(run_line("si 3"), "\"rip\":\"0x10004\""));
	assert_non_null(strstr(run_line("ni 2"), "\"rip\":\"0x10006\""));
	fake_push_stop(m(), &(struct stop){.reason = STOP_BREAKPOINT, .breakpoint = -1, .rip = 0x10040, .slot = -1});
	assert_non_null(strstr(run_line("until 0x10040"), "\"reason\":\"step\",\"vcpu\":0,\"rip\":\"0x10040\""));
	assert_int_equal(refused_line("until"), -EINVAL);
	assert_int_equal(refused_line("si 0"), -ERANGE);
	assert_int_equal(refused_line("finish 1"), -EINVAL);
}

/* The vCPU that stopped is the current one from then on. */
static void test_stop_moves_current_vcpu(void **state)
{
	(void)state;
	fake_push_stop(m(), &(struct stop){.reason = STOP_HLT, .vcpu = 1, .rip = 0x10, .slot = -1});
	run_line("c");
	assert_int_equal(handlers_session.vcpu, 1);
}

static void test_parked(void **state)
{
	(void)state;
	fake_park(m(), 0);
	assert_int_equal(refused_line("run"), -EBUSY);
	assert_non_null(strstr(handlers_err.next, "or si to leave the fault"));
	assert_int_equal(refused_line("smi"), -EBUSY);
}

static void test_run_without_image(void **state)
{
	(void)state;
	run_line("run");
	assert_true(handlers_session.d.has_run);
	assert_int_equal(refused_line("run"), -ENODEV);
}

static void test_why(void **state)
{
	(void)state;
	JSON("why", "\"The VM has not run yet; vCPU 0 stands at its entry 0x10000.\"");
	run_line("si");
	JSON("why", "\"vCPU 0 was stepped and stands at 0x10001.\"");
	refused_line("b nosuch");
	handlers_session.last_error = handlers_err;
	handlers_session.last_was_error = true;
	assert_ptr_equal(strstr(run_line("why"), "\"error: "), run_line("why"));
}

/* ---- display */

static void test_display(void **state)
{
	(void)state;
	longguest_poke(m(), 0x20000, "\x05", 1);
	JSON("display $rip", "{\"id\":1,\"expr\":\"$rip\",\"format\":\"\",\"value\":\"0x10000\"}");
	JSON("display/2bx 0x20000",
	     "{\"id\":2,\"expr\":\"0x20000\",\"format\":\"2bx\",\"value\":{\"address\":\"0x20000\",\"values\":"
	     "[\"0x5\",\"0x0\"],\"unit\":1,\"format\":\"x\"}}");
	run_line("si");
	assert_non_null(
	    strstr(run_line("display"), "[{\"id\":1,\"expr\":\"$rip\",\"format\":\"\",\"value\":\"0x10001\"},{\"id\":2,"));
	run_line("undisplay 1");
	assert_int_equal(handlers_session.n_displays, 1);
	assert_int_equal(refused_line("undisplay 1"), -ENOENT);
	JSON("display $nosuch",
	     "{\"id\":3,\"expr\":\"$nosuch\",\"format\":\"\",\"value\":\"n/a (there is no register $nosuch)\"}");
	run_line("undisplay");
	JSON("display", "[]");
	assert_int_equal(refused_line("display/q 1"), -EINVAL);
}

/* ---- SMM */

static void test_smm(void **state)
{
	static const uint8_t revision[] = {0x64, 0x00, 0x03, 0x00}, by_kvm[] = {0x00, 0x00, 0x02, 0x00},
			     rip[] = {0x78, 0x56, 0x34, 0x12};

	(void)state;
	assert_non_null(
	    strstr(run_line("info smm"), "\"smm\":false,\"rip\":\"0x10000\",\"smbase\":\"0x30000\",\"entry\":\"0x38000\""));
	assert_non_null(
	    strstr(run_line("info smm"),
		   "\"saved\":\"n/a (no state has been saved there: the revision is none of 0x30064, 0x20064, 0x20000)\""));
	longguest_poke(m(), 0x30000 + 0xfefc, revision, 4);
	assert_non_null(strstr(run_line("smi"), "\"smm\":true"));
	assert_int_equal(fake_of(m())->smis, 1);
	assert_non_null(strstr(run_line("info smm"), "\"revision\":\"0x30064\""));
	longguest_poke(m(), 0x30000 + 0xfefc, by_kvm, 4);
	longguest_poke(m(), 0x30000 + 0xfff0, rip, 4);
	assert_non_null(strstr(run_line("info smm"), "\"rip\":\"0x12345678\""));
	assert_int_equal(refused_line("smi 9"), -ERANGE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, handlers_setup, handlers_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(test_break),	   T(test_break_if),
	    T(test_watch),	   T(test_catch_events),
	    T(test_catch_fault),   T(test_catch_means),
	    T(test_catch_mmu),	   T(test_mmu_stop),
	    T(test_catch_refused), T(test_delete),
	    T(test_enable),	   T(test_attach),
	    T(test_info),	   T(test_continue),
	    T(test_steps),	   T(test_stop_moves_current_vcpu),
	    T(test_parked),	   T(test_run_without_image),
	    T(test_why),	   T(test_display),
	    T(test_smm),
	};
	return cmocka_run_group_tests_name("cmd_break", tests, NULL, NULL);
}
