/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is asked of the machine for the screens, and how often: on the soft machine with the real commands, and on the fake
 * one where a look has to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/table.h"
#include "cli/session/go.h"
#include "cli/tcl/exec.h"
#include "cli/tcl/tcl.h"
#include "cli/tui/collect.h"
#include "tests/support/handlers.h"
#include "views/draw.h"

static struct session s;
static struct client client;
static struct collector k;
static const struct client_ops silent;

static void load(const char *image)
{
	struct err e = {0};

	if (session_load(&s, &(struct image_options){.name = image}, &e))
		fail_msg("%s: %s", image, e.why);
}

static void line(const char *text)
{
	if (exec_line(&client, text))
		fail_msg("%s: %s", text, s.last_error.why);
}

static int setup(void **state)
{
	(void)state;
	if (session_init(&s, &(struct session_options){.backend = BACKEND_SOFT}, command_table(), NULL))
		return -1;
	client_init(&client, &s, &silent);
	client.background = true;
	collect_init(&k, &client);
	return tcl_open(&client, NULL);
}

static int teardown(void **state)
{
	(void)state;
	collect_deinit(&k);
	go_client_gone(&client);
	tcl_close(&client);
	client_deinit(&client);
	session_deinit(&s);
	return 0;
}

static const struct seen *seen(enum seen_id id)
{
	return &k.scene.seen[id];
}

static void until_it_stops(void)
{
	while (go_is_under_way(&s)) {
		struct pollfd p = {.fd = go_fd(&s), .events = POLLIN};
		if (!go_is_due(&s))
			poll(&p, 1, -1);
		go_poll(&s);
	}
}

/* The guest turns in one place until it is told to stop. */
static void run_endlessly(void)
{
	load("demo:tour");
	line("mem write 0x200000 ebfe");
	line("run");
	assert_true(go_is_under_way(&s));
}

static void stop(void)
{
	go_interrupt(&s);
	until_it_stops();
}

/* As the loop does after a line. */
static void changed(void)
{
	collect_changed(&k, true);
}

static void select_gva(uint64_t gva)
{
	selection_choose(&s.sel, s.d.m, s.vcpu, &(struct place){.has_gva = true, .gva = gva});
	s.sel_chosen = true;
}

/* ---- once */

static void a_look_is_made_once(void **state)
{
	unsigned slots;

	(void)state;
	load("demo:tour");
	assert_true(collect(&k, SEES(SLOTS) | SEES(MAP)));
	assert_int_equal(seen(SEEN_SLOTS)->v.type, VALUE_LIST);
	assert_string_equal(seen(SEEN_SLOTS)->error, "");
	assert_true(seen(SEEN_SLOTS)->at && !seen(SEEN_SLOTS)->live && !seen(SEEN_SLOTS)->torn);
	assert_non_null(k.scene.map);
	assert_int_equal(seen(SEEN_REGISTERS)->at, 0); /* nobody needs it */
	slots = seen(SEEN_SLOTS)->generation;
	for (int i = 0; i < 100; i++)
		assert_false(collect(&k, SEES(SLOTS) | SEES(MAP)));
	assert_int_equal(seen(SEEN_SLOTS)->generation, slots);
	assert_true(collect(&k, SEES(SLOTS) | SEES(REGISTERS))); /* what is new alone */
	assert_int_equal(seen(SEEN_SLOTS)->generation, slots);
	assert_true(seen(SEEN_REGISTERS)->at);
	assert_false(collect(&k, 0));
	assert_true(collect_due_in(&k) == UINT64_MAX);
}

static void again_when_something_may_have_changed(void **state)
{
	(void)state;
	load("demo:tour");
	collect(&k, SEES(SLOTS));
	line("slot del 1");
	assert_false(collect(&k, SEES(SLOTS)));
	uint32_t n = seen(SEEN_SLOTS)->v.n;
	unsigned generation = seen(SEEN_SLOTS)->generation;
	changed();
	assert_true(collect(&k, SEES(SLOTS)));
	assert_int_equal(seen(SEEN_SLOTS)->v.n, n - 1);
	changed();
	changed();
	collect(&k, SEES(SLOTS));
	assert_int_equal(seen(SEEN_SLOTS)->generation, generation + 2);
	collect_again(&k, SEES(SLOTS) | SEES(MMIO));
	assert_true(collect(&k, SEES(SLOTS)));
	assert_false(collect(&k, SEES(SLOTS)));
	assert_int_equal(seen(SEEN_SLOTS)->generation, generation + 3);
}

/* ---- what the scene says beside it */

static void the_state_of_the_machine(void **state)
{
	(void)state;
	assert_true(collect(&k, SEES(SLOTS) | SEES(STOP) | SEES(MAP) | SEES(TABLES)));
	assert_false(k.scene.has_vm || k.scene.running || k.scene.parked);
	assert_int_equal(k.scene.vcpus, 0);
	assert_int_equal(seen(SEEN_SLOTS)->v.type, VALUE_NULL);
	assert_true(seen(SEEN_SLOTS)->error[0]);
	assert_null(k.scene.map);
	assert_false(collect(&k, SEES(SLOTS) | SEES(STOP) | SEES(MAP) | SEES(TABLES)));
	load("demo:threads");
	line("vcpu 1");
	changed();
	collect(&k, SEES(SLOTS) | SEES(STOP));
	assert_true(k.scene.has_vm);
	assert_true(k.scene.vcpus > 1);
	assert_int_equal(k.scene.vcpu, 1);
	assert_string_equal(seen(SEEN_SLOTS)->error, "");
	assert_string_equal(get_str(&seen(SEEN_STOP)->v, "reason"), "none");
}

static void the_last_stop(void **state)
{
	(void)state;
	load("demo:tour");
	line("run");
	until_it_stops();
	changed();
	collect(&k, SEES(STOP));
	assert_string_equal(get_str(&seen(SEEN_STOP)->v, "reason"), "exception");
	assert_int_equal(get_num(&seen(SEEN_STOP)->v, "cr2"), 0x300000);
}

static void inside_a_fault(void **state)
{
	(void)state;
	load("demo:tour");
	line("catch fault");
	line("run");
	until_it_stops();
	changed();
	collect(&k, SEES(STAGES) | SEES(STOP));
	assert_true(k.scene.parked);
	assert_false(k.scene.running);
	assert_true(seen(SEEN_STAGES)->v.n >= 1);
}

/* ---- the selection */

static void a_selection_makes_the_looks_about_it_again(void **state)
{
	const uint32_t all = SEES(SLOTS) | SEES(RMAP) | SEES(WALK) | SEES(CODE) | SEES(MEMORY) | SEES(REGISTERS);

	(void)state;
	load("demo:tour");
	line("run");
	until_it_stops();
	changed();
	collect(&k, all);
	assert_string_equal(seen(SEEN_WALK)->error, ""); /* nothing is selected: nothing to say */
	assert_int_equal(seen(SEEN_WALK)->v.type, VALUE_NULL);
	unsigned slots = seen(SEEN_SLOTS)->generation, walk = seen(SEEN_WALK)->generation;
	select_gva(0x240000);
	assert_true(collect(&k, all));
	assert_int_equal(k.scene.sel.gpa, 0x40000);
	assert_int_equal(seen(SEEN_WALK)->generation, walk + 1);
	assert_int_equal(get_num(&seen(SEEN_WALK)->v, "gva"), 0x240000);
	assert_int_equal(seen(SEEN_RMAP)->v.n, 1);
	assert_int_equal(get_num(&seen(SEEN_MEMORY)->v, "address"), 0x240000);
	assert_int_equal(seen(SEEN_SLOTS)->generation, slots);
	assert_false(collect(&k, all));
	select_gva(0x300010); /* no gpa: no rmap */
	assert_true(collect(&k, all));
	assert_int_equal(seen(SEEN_RMAP)->v.type, VALUE_NULL);
	assert_string_equal(seen(SEEN_RMAP)->error, "");
	assert_true(seen(SEEN_MEMORY)->error[0]); /* not mapped */
	assert_int_equal(seen(SEEN_SLOTS)->generation, slots);
}

static void memory_by_gpa(void **state)
{
	(void)state;
	load("demo:tour");
	line("mem write 0x80008 2a -phys");
	selection_choose(&s.sel, s.d.m, 0, &(struct place){.has_gpa = true, .gpa = 0x80008});
	s.sel.at.has_gva = false;
	collect(&k, SEES(MEMORY));
	assert_int_equal(get_num(&seen(SEEN_MEMORY)->v, "address"), 0x80000);
	assert_memory_equal(get_str(&seen(SEEN_MEMORY)->v, "data") + 16, "2a", 2);
}

/* Code is where the vCPU stands, until an address is chosen; and again there at the next stop. */
static void code_follows_the_vcpu_or_the_selection(void **state)
{
	(void)state;
	load("demo:tour");
	collect(&k, SEES(CODE));
	assert_int_equal(get_num(&seen(SEEN_CODE)->v.items[0], "address"), 0x200000);
	select_gva(0x200033);
	collect(&k, SEES(CODE));
	assert_int_equal(get_num(&seen(SEEN_CODE)->v.items[0], "address"), 0x200033);
	line("si");
	until_it_stops();
	changed();
	collect(&k, SEES(CODE));
	assert_int_equal(get_num(&seen(SEEN_CODE)->v.items[0], "address"), 0x20000a);
	line("si"); /* in the upper part of what is listed: the lines stay */
	until_it_stops();
	changed();
	collect(&k, SEES(CODE));
	assert_int_equal(get_num(&seen(SEEN_CODE)->v.items[0], "address"), 0x20000a);
	assert_true(get_truth(&seen(SEEN_CODE)->v.items[1], "current"));
}

/* ---- another machine */

static void another_machine_drops_all(void **state)
{
	(void)state;
	load("demo:tour");
	collect(&k, SEES(SLOTS) | SEES(MAP) | SEES(TABLES) | SEES(REGISTERS));
	assert_non_null(k.scene.map);
	assert_non_null(k.scene.tables);
	load("demo:rmap");
	assert_true(collect(&k, SEES(MMIO))); /* though nobody has said that something changed */
	assert_null(k.scene.map);
	assert_null(k.scene.tables);
	assert_int_equal(seen(SEEN_SLOTS)->v.type, VALUE_NULL);
	assert_int_equal(seen(SEEN_SLOTS)->at, 0);
	assert_int_equal(seen(SEEN_REGISTERS)->v.type, VALUE_NULL);
}

/* Two machines later one may stand where the first one stood. */
static void a_machine_at_the_same_address(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		load("demo:tour");
		collect(&k, SEES(SLOTS));
		load("demo:rmap");
		load("demo:tour");
		collect(&k, SEES(MMIO));
		assert_int_equal(seen(SEEN_SLOTS)->v.type, VALUE_NULL);
	}
}

/* ---- while the guest runs */

static void ten_times_a_second_at_the_most(void **state)
{
	uint64_t before, left;
	unsigned slots, registers;

	(void)state;
	run_endlessly();
	assert_true(collect(&k, SEES(SLOTS) | SEES(REGISTERS)));
	slots = seen(SEEN_SLOTS)->generation;
	registers = seen(SEEN_REGISTERS)->generation;
	assert_true(k.scene.running);
	assert_true(seen(SEEN_SLOTS)->live && seen(SEEN_REGISTERS)->live);
	assert_string_equal(seen(SEEN_REGISTERS)->error, "");
	before = k.scene.now;
	assert_true(k.next_live >= before + 100000000);
	left = collect_due_in(&k);
	assert_true(left <= k.next_live - before);
	for (int i = 0; i < 1000; i++) { /* too early, however often */
		uint64_t due = k.next_live;
		assert_true(!collect(&k, SEES(SLOTS) | SEES(REGISTERS)) || k.scene.now >= due);
	}
	slots = seen(SEEN_SLOTS)->generation;
	registers = seen(SEEN_REGISTERS)->generation;
	k.next_live = clock_now_ns(); /* as if the time were over */
	assert_true(collect_due_in(&k) == 0);
	assert_true(collect(&k, SEES(SLOTS) | SEES(REGISTERS)));
	assert_int_equal(seen(SEEN_SLOTS)->generation, slots + 1);
	assert_int_equal(seen(SEEN_REGISTERS)->generation, registers + 1);
	stop();
	changed();
	assert_true(collect(&k, SEES(SLOTS)));
	assert_false(seen(SEEN_SLOTS)->live);
	assert_true(collect_due_in(&k) == UINT64_MAX);
}

static void no_more_than_a_tenth_of_the_time(void **state)
{
	uint64_t began, cost;

	(void)state;
	line("proc slow {} {set t [clock milliseconds]; while {[clock milliseconds] - $t < 50} {}; return 1}");
	run_endlessly();
	line("display {[slow]}");
	began = clock_now_ns();
	assert_true(collect(&k, SEES(DISPLAYS)));
	cost = k.scene.now - began;
	assert_true(seen(SEEN_DISPLAYS)->cost >= 40000000);
	assert_true(k.next_live - k.scene.now >= cost / 10 * 9 && k.next_live - k.scene.now >= 9 * 40000000ull);
	stop();
}

/* Nothing is on the screen that needs a look: the loop must not turn either. */
static void nothing_needed_while_it_runs(void **state)
{
	(void)state;
	run_endlessly();
	assert_false(collect(&k, 0));
	assert_true(collect_due_in(&k) > 0);
	stop();
}

/* ---- looks that fail: the fake machine */

static void open_fake(struct collector *fake)
{
	assert_int_equal(handlers_setup(NULL), 0);
	collect_init(fake, &handlers_client);
}

static void close_fake(struct collector *fake)
{
	fake_of(handlers_session.d.m)->fail_op = NULL;
	collect_deinit(fake);
	handlers_teardown(NULL);
}

static void fail_with(int code)
{
	fake_of(handlers_session.d.m)->fail_op = code ? "mmio" : NULL;
	fake_of(handlers_session.d.m)->fail_code = code;
}

static void busy_keeps_what_was_seen(void **state)
{
	struct collector f;
	const struct seen *mmio = &f.scene.seen[SEEN_MMIO];

	(void)state;
	open_fake(&f);
	collect(&f, SEES(MMIO));
	assert_int_equal(mmio->v.type, VALUE_LIST);
	fail_with(-EBUSY);
	collect_changed(&f, true);
	assert_true(collect(&f, SEES(MMIO)));
	assert_int_equal(mmio->v.type, VALUE_LIST);
	assert_true(mmio->error[0]);
	assert_int_equal(mmio->generation, 2);
	assert_false(collect(&f, SEES(MMIO))); /* refused once, not again and again */
	fail_with(0);
	collect_changed(&f, true);
	collect(&f, SEES(MMIO));
	assert_string_equal(mmio->error, "");
	close_fake(&f);
}

static void another_failure_does_not(void **state)
{
	struct collector f;
	const struct seen *mmio = &f.scene.seen[SEEN_MMIO];

	(void)state;
	open_fake(&f);
	fail_with(-EBUSY); /* nothing was seen before */
	collect(&f, SEES(MMIO));
	assert_int_equal(mmio->v.type, VALUE_NULL);
	assert_true(mmio->error[0]);
	fail_with(0);
	collect_changed(&f, true);
	collect(&f, SEES(MMIO));
	assert_int_equal(mmio->v.type, VALUE_LIST);
	fail_with(-EIO);
	collect_changed(&f, true);
	collect(&f, SEES(MMIO));
	assert_int_equal(mmio->v.type, VALUE_NULL);
	assert_true(mmio->error[0]);
	close_fake(&f);
}

static void torn_is_said(void **state)
{
	struct mmio_info torn = {.valid = true, .gva = 0x260000, .gfn = 0xd0, .torn = true};
	struct collector f;

	(void)state;
	open_fake(&f);
	fake_of(handlers_session.d.m)->mmio.v = &torn;
	fake_of(handlers_session.d.m)->mmio.n = 1;
	collect(&f, SEES(MMIO));
	assert_true(f.scene.seen[SEEN_MMIO].torn);
	torn.torn = false;
	collect_changed(&f, true);
	collect(&f, SEES(MMIO));
	assert_false(f.scene.seen[SEEN_MMIO].torn);
	fake_of(handlers_session.d.m)->mmio.n = 0;
	close_fake(&f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_look_is_made_once),
	    TEST(again_when_something_may_have_changed),
	    TEST(the_state_of_the_machine),
	    TEST(the_last_stop),
	    TEST(inside_a_fault),
	    TEST(a_selection_makes_the_looks_about_it_again),
	    TEST(memory_by_gpa),
	    TEST(code_follows_the_vcpu_or_the_selection),
	    TEST(another_machine_drops_all),
	    TEST(a_machine_at_the_same_address),
	    TEST(ten_times_a_second_at_the_most),
	    TEST(no_more_than_a_tenth_of_the_time),
	    TEST(nothing_needed_while_it_runs),
	    cmocka_unit_test(busy_keeps_what_was_seen),
	    cmocka_unit_test(another_failure_does_not),
	    cmocka_unit_test(torn_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
