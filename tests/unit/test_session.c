/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sessions and their clients: two clients on one session, used in turn; two sessions in one process. All on the soft
 * backend, with the real commands, and each client with an interpreter of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/table.h"
#include "cli/session/go.h"
#include "cli/tcl/exec.h"
#include "cli/tcl/tcl.h"
#include "core/soft/soft_impl.h"
#include "views/json.h"
#include "views/view.h"

/* A client that writes down what it is shown. */
struct listener {
	struct client client;
	char shown[4096];
	char told[1024]; /* console, notices */
	char failed[1024];
	char event[2048]; /* what came on its own */
};

static struct listener *listener_of(struct client *c)
{
	return CONTAINER_OF(c, struct listener, client);
}

static void append(char *to, size_t size, const char *text, size_t n)
{
	size_t at = strlen(to);

	snprintf(to + at, size - at, "%.*s", (int)n, text);
}

static void on_value(struct client *c, const char *view, const struct value *v)
{
	struct listener *l = listener_of(c);
	struct out o;

	out_init(&o, false, 0);
	if (c->json)
		json_write(&o, v);
	else
		view_draw(&o, view, v);
	append(l->shown, sizeof(l->shown), o.text, o.len);
	out_deinit(&o);
}

static void on_error(struct client *c, const struct err *e)
{
	struct listener *l = listener_of(c);

	err_format(e, l->failed, sizeof(l->failed));
}

static void on_notice(struct client *c, const char *text)
{
	struct listener *l = listener_of(c);

	append(l->told, sizeof(l->told), text, strlen(text));
}

static void on_console(struct client *c, const char *bytes, size_t n)
{
	struct listener *l = listener_of(c);

	append(l->told, sizeof(l->told), bytes, n);
}

static void on_event(struct client *c, const char *event, const char *view, const struct value *v)
{
	struct listener *l = listener_of(c);
	struct out o;

	(void)view;
	out_init(&o, false, 0);
	json_write(&o, v);
	snprintf(l->event, sizeof(l->event), "%s %s", event, o.text);
	out_deinit(&o);
}

static const struct client_ops ops = {
    .event = on_event, .value = on_value, .error = on_error, .notice = on_notice, .console = on_console};

static void open_listener(struct listener *l, struct session *s, bool json)
{
	memset(l, 0, sizeof(*l));
	client_init(&l->client, s, &ops);
	l->client.json = json;
	assert_int_equal(tcl_open(&l->client, NULL), 0);
}

static void close_listener(struct listener *l)
{
	tcl_close(&l->client);
	client_deinit(&l->client);
}

/* What the line showed. */
static const char *ask(struct listener *l, const char *line)
{
	l->shown[0] = l->failed[0] = '\0';
	if (exec_line(&l->client, line))
		fail_msg("%s: %s", line, l->failed);
	return l->shown;
}

static const char *refused(struct listener *l, const char *line)
{
	l->shown[0] = l->failed[0] = '\0';
	assert_int_not_equal(exec_line(&l->client, line), 0);
	return l->failed;
}

static void open_session(struct session *s, const char *image)
{
	const struct session_options opt = {.backend = BACKEND_SOFT};
	const struct image_options what = {.name = image};
	struct err e;

	if (session_init(s, &opt, command_table(), &e) || session_load(s, &what, &e))
		fail_msg("%s: %s: %s", image, e.what, e.why);
}

static void two_clients_on_one_session(void **state)
{
	struct listener json, text;
	struct session s;

	(void)state;
	open_session(&s, "demo:tour");
	open_listener(&json, &s, true);
	open_listener(&text, &s, false);
	assert_non_null(strstr(ask(&json, "b *0x20000a"), "\"id\":1"));
	assert_non_null(strstr(ask(&text, "run"), "breakpoint 1"));
	/* The guest and the selection are the session's. */
	assert_string_equal(ask(&json, "p $rip"), "\"0x20000a\"");
	assert_non_null(strstr(ask(&json, "si"), "\"reason\":\"step\""));
	assert_non_null(strstr(ask(&text, "why"), "step"));
	/* Variables, and what x goes on with, are the client's. */
	ask(&json, "set mine 0x200000");
	ask(&text, "set mine 0x200010");
	assert_non_null(strstr(ask(&json, "x/1bx $mine"), "0x200000"));
	assert_non_null(strstr(ask(&text, "x/1bx $mine"), "0x200010"));
	assert_non_null(strstr(ask(&json, json.client.repeat), "0x200001"));
	assert_non_null(strstr(ask(&text, text.client.repeat), "0x200011"));
	ask(&json, "proc twice x {expr {$x * 2}}");
	assert_non_null(strstr(refused(&text, "twice 2"), "no such command"));
	assert_non_null(strstr(ask(&json, "why"), "no such command"));
	/* One goes, the other stays. */
	close_listener(&json);
	assert_non_null(strstr(ask(&text, "c"), "exception"));
	close_listener(&text);
	session_deinit(&s);
}

static void conditions_are_the_running_clients(void **state)
{
	struct listener a, b;
	struct session s;

	(void)state;
	open_session(&s, "demo:tour");
	open_listener(&a, &s, true);
	open_listener(&b, &s, true);
	ask(&a, "set wanted 1");
	ask(&b, "set wanted 0");
	ask(&a, "b *0x20000a if {$wanted}");
	assert_null(strstr(ask(&b, "run"), "\"breakpoint\":1"));
	assert_non_null(strstr(ask(&a, "run"), "\"breakpoint\":1"));
	close_listener(&b);
	close_listener(&a);
	session_deinit(&s);
}

static void notices_and_console_reach_all(void **state)
{
	struct listener a, b;
	struct session s;

	(void)state;
	open_session(&s, "demo:rmap");
	open_listener(&a, &s, true);
	open_listener(&b, &s, false);
	ask(&a, "b unmapped");
	ask(&b, "load demo:smm");
	assert_non_null(strstr(a.told, "breakpoint 1 disabled: the new image has no unmapped"));
	assert_string_equal(a.told, b.told);
	close_listener(&a);
	close_listener(&b);
	session_deinit(&s);
}

static void a_breakpoints_commands_run_in_the_client_that_ran(void **state)
{
	struct listener a, b;
	struct session s;

	(void)state;
	open_session(&s, "demo:tour");
	open_listener(&a, &s, false);
	open_listener(&b, &s, false);
	ask(&a, "b *0x20000a");
	ask(&a, "commands 1 {set here 1}");
	ask(&b, "run");
	assert_string_equal(ask(&b, "set here"), "1\n");
	assert_non_null(strstr(refused(&a, "set here"), "no such variable"));
	close_listener(&a);
	close_listener(&b);
	session_deinit(&s);
}

static void poll_until(struct session *s, const char *text)
{
	while (!text[0]) {
		struct pollfd p = {.fd = go_fd(s), .events = POLLIN};
		if (!go_is_due(s))
			assert_int_equal(poll(&p, 1, 30000), 1);
		go_poll(s);
	}
}

static void wait_for_event(struct session *s, const struct listener *l)
{
	poll_until(s, l->event);
}

/* One client's run goes on while the other looks; both are told of its stop. */
static void a_run_in_the_background(void **state)
{
	struct listener a, b;
	struct session s;

	(void)state;
	open_session(&s, "demo:tour");
	open_listener(&a, &s, true);
	open_listener(&b, &s, true);
	assert_int_equal(go_fd(&s), -1);
	/* Passed over for ever. */
	ask(&a, "b *0x200033 if {[incr asked] < 0}");
	assert_string_equal(ask(&a, "run &"), "null");
	assert_true(go_is_under_way(&s));
	assert_non_null(strstr(refused(&b, "si"), "the guest is running"));
	assert_non_null(strstr(ask(&b, "info slots"), "\"live\":true"));
	assert_null(strstr(ask(&b, "info breakpoints"), "live"));
	ask(&b, "interrupt");
	wait_for_event(&s, &a);
	if (!strstr(a.event, "stop {\"reason\":\"interrupted\""))
		fail_msg("%s", a.event);
	assert_string_equal(a.event, b.event);
	assert_false(go_is_under_way(&s));
	/* Who waits has it as a value. */
	a.event[0] = b.event[0] = '\0';
	ask(&a, "c &");
	assert_non_null(strstr(ask(&b, "interrupt; wait"), "\"reason\":\"interrupted\""));
	assert_non_null(strstr(a.event, "stop {\"reason\":\"interrupted\""));
	assert_string_equal(b.event, "");
	assert_null(strstr(ask(&b, "info slots"), "live"));
	/* Who began it goes: so does the run. */
	ask(&a, "c &");
	close_listener(&a);
	assert_false(go_is_under_way(&s));
	assert_non_null(strstr(ask(&b, "si"), "\"reason\""));
	close_listener(&b);
	session_deinit(&s);
}

/* Commands are those of who began it. */
static void the_end_of_one_in_the_background(void **state)
{
	struct listener a, b;
	struct session s;

	(void)state;
	open_session(&s, "demo:tour");
	open_listener(&a, &s, true);
	open_listener(&b, &s, false);
	ask(&a, "b *0x20000a");
	ask(&a, "commands 1 {set here 1}");
	ask(&a, "run &");
	wait_for_event(&s, &b);
	assert_non_null(strstr(b.event, "\"reason\":\"breakpoint\""));
	assert_string_equal(a.event, b.event);
	assert_string_equal(ask(&a, "set here"), "1");
	assert_non_null(strstr(refused(&b, "set here"), "no such variable"));
	/* What fails is told to all as well. */
	b.failed[0] = b.event[0] = '\0';
	ask(&b, "si 5");
	soft_of(s.d.m)->log.failed = true;
	ask(&a, "rsi &");
	poll_until(&s, b.failed);
	assert_non_null(strstr(b.failed, "memory for the record was out"));
	assert_string_equal(a.failed, b.failed);
	assert_string_equal(b.event, "");
	assert_non_null(strstr(ask(&b, "why"), "memory for the record was out"));
	close_listener(&a);
	close_listener(&b);
	session_deinit(&s);
}

static void two_runs_in_the_background(void **state)
{
	struct session s[2];
	struct listener l[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_session(&s[i], "demo:tour");
		open_listener(&l[i], &s[i], true);
		ask(&l[i], "run &");
	}
	for (int i = 2; i--;) {
		wait_for_event(&s[i], &l[i]);
		assert_non_null(strstr(l[i].event, "stop {\"reason\":\"exception\""));
	}
	for (int i = 0; i < 2; i++) {
		close_listener(&l[i]);
		session_deinit(&s[i]);
	}
}

/* A breakpoint whose commands go on would never let anybody stop the guest. */
static void stopped_in_spite_of_a_breakpoints_commands(void **state)
{
	struct listener l;
	struct session s;
	unsigned stops = 0;

	(void)state;
	open_session(&s, "demo:tour");
	open_listener(&l, &s, true);
	l.client.background = true;
	ask(&l, "mem write 0x200000 ebfe");
	ask(&l, "b *0x200000");
	ask(&l, "commands 1 {incr hits; c}");
	ask(&l, "run");
	for (; go_is_under_way(&s) && stops < 1000; stops++) {
		struct pollfd p = {.fd = go_fd(&s), .events = POLLIN};
		if (stops == 20)
			go_interrupt(&s);
		if (!go_is_due(&s))
			poll(&p, 1, -1);
		go_poll(&s);
	}
	assert_false(go_is_under_way(&s));
	assert_in_range(stops, 20, 30);
	close_listener(&l);
	session_deinit(&s);
}

static void two_sessions(void **state)
{
	struct listener a, b;
	struct session one, two;

	(void)state;
	open_session(&one, "demo:tour");
	open_session(&two, "demo:rmap");
	open_listener(&a, &one, true);
	open_listener(&b, &two, true);
	ask(&a, "b *0x20000a");
	assert_string_equal(ask(&b, "info breakpoints"), "[]");
	assert_non_null(strstr(ask(&a, "run"), "\"breakpoint\":1"));
	ask(&b, "b mapped");
	assert_non_null(strstr(ask(&b, "run"), "\"breakpoint\":1"));
	assert_non_null(strstr(ask(&a, "p $rip"), "0x20000a"));
	ask(&a, "set $rax = 0x1234");
	assert_null(strstr(ask(&b, "p $rax"), "0x1234"));
	assert_non_null(strstr(ask(&a, "p $rax"), "0x1234"));
	/* The first one goes first: nothing of the second leans on it. */
	close_listener(&a);
	session_deinit(&one);
	ask(&b, "delete");
	assert_non_null(strstr(ask(&b, "c"), "\"reason\""));
	close_listener(&b);
	session_deinit(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_clients_on_one_session),
	    cmocka_unit_test(conditions_are_the_running_clients),
	    cmocka_unit_test(notices_and_console_reach_all),
	    cmocka_unit_test(a_breakpoints_commands_run_in_the_client_that_ran),
	    cmocka_unit_test(a_run_in_the_background),
	    cmocka_unit_test(the_end_of_one_in_the_background),
	    cmocka_unit_test(two_runs_in_the_background),
	    cmocka_unit_test(stopped_in_spite_of_a_breakpoints_commands),
	    cmocka_unit_test(two_sessions),
	};
	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
