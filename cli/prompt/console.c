/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Showing things on standard output and standard error. With -j the former is for JSON alone: what the guest prints goes to
 * the latter.
 */
#include "cli/prompt/console.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/prompt/history.h"
#include "cli/prompt/output.h"
#include "cli/prompt/pager.h"
#include "cli/session/go.h"
#include "cli/tcl/tcl.h"
#include "views/json.h"

static struct console *console_of(struct client *c)
{
	return CONTAINER_OF(c, struct console, client);
}

static unsigned width(struct client *c)
{
	struct winsize w;

	if (!c->color && !console_of(c)->interactive)
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_col ? 0 : w.ws_col;
}

static void make_room(struct console *c)
{
	tcl_flush();
	if (c->make_room)
		c->make_room(c);
}

static void put_bytes(struct console *c, const char *bytes, size_t n)
{
	(void)output_put(c->client.json ? stderr : stdout, bytes, n); /* if it is gone, the next command says so */
}

static void show_unfinished(struct console *c)
{
	if (!c->n_unfinished)
		return;
	make_room(c);
	put_bytes(c, c->unfinished, c->n_unfinished);
	put_bytes(c, "\n", 1);
	c->n_unfinished = 0;
}

void console_settle(struct console *c)
{
	if (c->n_unfinished && clock_now_ns() - c->unfinished_since > 90000000)
		show_unfinished(c);
}

/* Of anything but the guest's own text. */
static void begin_output(struct client *c)
{
	show_unfinished(console_of(c));
	make_room(console_of(c));
}

/* Standard output has not taken it. */
static void put_failed(struct console *c, int rc)
{
	if (rc == -EINTR) {
		c->out_torn = true;
		fprintf(stderr, "error: standard output: interrupted, nobody reads it; try it again with a reader\n");
		return;
	}
	if (rc != -EPIPE)
		fprintf(stderr, "error: standard output: %s; try another place for the output\n", strerror(-rc));
	c->out_gone = true;
	c->client.quit = true;
	c->client.exit_status = 1;
}

static bool put_out(struct console *c, const char *text, size_t len)
{
	int rc = c->out_torn ? output_put(stdout, "\n", 1) : 0;

	if (!rc) {
		c->out_torn = false;
		rc = output_put(stdout, text, len);
	}
	if (rc)
		put_failed(c, rc);
	return !rc;
}

/* paged: through the pager if the screen is too small for it. */
static void put(struct console *c, const char *text, size_t len, bool paged)
{
	if (c->out_gone || !len)
		return;
	begin_output(&c->client);
	if (!(paged && c->pages && pager_show(text, len)))
		(void)put_out(c, text, len);
}

static void put_json(struct console *c, const struct value *v)
{
	struct out o;

	out_init(&o, false, 0);
	json_write(&o, v);
	out_text(&o, "\n");
	put(c, o.text, o.len, true);
	out_deinit(&o);
}

static void put_text(struct console *c, const char *view, const struct value *v)
{
	struct out o;

	out_init(&o, c->client.color, width(&c->client));
	o.ascii = !out_locale_is_utf8();
	view_draw(&o, view, v);
	if (o.len && o.text[o.len - 1] != '\n')
		out_text(&o, "\n");
	put(c, o.text, o.len, !view || strcmp(view, "stop")); /* nobody asked for a stop that comes at every step */
	out_deinit(&o);
}

/* False: it is not wanted. The first part decides whether there is a pager. */
static bool put_rows(struct console *c, const char *text, size_t len, bool first)
{
	struct listing *l = &c->listing;

	if (c->out_gone)
		return false;
	if (first) {
		begin_output(&c->client);
		l->pager = c->pages ? pager_open(text, len) : NULL;
		if (l->pager)
			return true;
	}
	return l->pager ? !output_put(l->pager, text, len) : put_out(c, text, len);
}

static void end_rows(struct console *c)
{
	if (c->listing.pager)
		pager_close(c->listing.pager);
	table_parts_end(&c->listing.parts);
	c->listing = (struct listing){0};
}

static bool show_rows(struct client *client, const char *view, const struct value *rows, bool last)
{
	struct console *c = console_of(client);
	struct listing *l = &c->listing;
	bool first = !l->begun, taken;
	struct out o;

	l->begun = true;
	l->parts.last = last;
	out_init(&o, client->color && !client->json, client->json ? 0 : width(client));
	o.ascii = !out_locale_is_utf8();
	o.parts = &l->parts;
	if (client->json)
		json_write_part(&o, rows, first, last);
	else
		view_draw(&o, view, rows);
	if (client->json && last)
		out_text(&o, "\n");
	taken = put_rows(c, o.text, o.len, first);
	out_deinit(&o);
	if (last || !taken)
		end_rows(c);
	return taken;
}

static void show_value(struct client *c, const char *view, const struct value *v)
{
	if (c->json)
		put_json(console_of(c), v);
	else
		put_text(console_of(c), view, v);
}

/* {"event":"stop", and the keys of what happened}; a stop of `catch mmu` has an event of its own, which is mmu_event here.
 */
static void show_event(struct client *c, const char *event, const char *view, const struct value *v)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct value named;

	if (!c->json) {
		put_text(console_of(c), view, v);
		return;
	}
	if (!pool)
		return;
	named = v_dict(pool, v->n + 1);
	v_put(pool, &named, "event", v_str(pool, event));
	for (uint32_t i = 0; v->type == VALUE_DICT && i < v->n; i++) {
		const char *key = v->fields[i].key;
		v_put(pool, &named, strcmp(key, "event") ? key : "mmu_event", v->fields[i].value);
	}
	put_json(console_of(c), &named);
}

static void show_error(struct client *c, const struct err *e)
{
	char text[1100];

	begin_output(c);
	err_format(e, text, sizeof(text) - 1);
	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	strcat(text, "\n");
	(void)output_put(stderr, text, strlen(text));
}

static void show_notice(struct client *c, const char *text)
{
	begin_output(c);
	fprintf(stderr, "%s\n", text);
}

/* Is a line being typed, or will one be soon? */
static bool is_typing(const struct console *c)
{
	const struct session *s = c->client.s;

	return c->make_room || (c->interactive && go_is_under_way(s) && !go_is_waited_for(s));
}

/* Above a line that is being typed only whole lines are shown, or what there is of one when no more comes. */
static size_t whole_lines(const char *bytes, size_t n)
{
	const char *end = n ? memrchr(bytes, '\n', n) : NULL;

	return end ? (size_t)(end + 1 - bytes) : 0;
}

static void show_console(struct client *client, const char *bytes, size_t n)
{
	struct console *c = console_of(client);
	bool typing = is_typing(c);
	size_t whole = typing ? whole_lines(bytes, n) : n;

	if (whole || (!typing && c->n_unfinished)) {
		make_room(c);
		put_bytes(c, c->unfinished, c->n_unfinished);
		put_bytes(c, bytes, whole);
		c->n_unfinished = 0;
	}
	while (whole < n) {
		if (c->n_unfinished == sizeof(c->unfinished))
			show_unfinished(c);
		c->unfinished[c->n_unfinished++] = bytes[whole++];
		c->unfinished_since = clock_now_ns();
	}
}

/* A line on the terminal if it takes longer than a second. */
static void show_progress(struct client *client, uint64_t done, uint64_t total)
{
	struct console *c = console_of(client);
	unsigned share = done >= total ? 1000 : (unsigned)((double)done * 1000 / (double)total);

	if (!total) {
		if (c->progress)
			fputs("\r\033[K", stderr);
		c->progress_began = c->progress = 0;
		return;
	}
	if (c->progress_began == 0)
		c->progress_began = clock_now_ns();
	if (share + 1 == c->progress || clock_now_ns() - c->progress_began < 1000000000 || !isatty(STDERR_FILENO))
		return;
	c->progress = share + 1;
	fprintf(stderr, "\rreplaying [%.*s%*s] %u.%u %%", (int)share / 40, "#########################", 25 - (int)share / 40,
		"", share / 10, share % 10);
	fflush(stderr);
}

static void flush(struct client *c)
{
	(void)c;
	tcl_flush();
	fflush(stdout);
}

static void each_line(struct client *c, void (*fn)(void *arg, int n, const char *line), void *arg)
{
	(void)c;
	history_each(fn, arg);
}

static int go_to_screens(struct client *client, struct err *e)
{
	struct console *c = console_of(client);

	if (client->json)
		return err_set(e, -ENOTSUP, "tui" WHY "-j gives lines of JSON, no screens" TRY "it without -j");
	if (!c->interactive)
		return err_set(e, -ENOTSUP,
			       "tui" WHY "standard input and output are no terminal" TRY
			       "it at a prompt, or report FILE.html");
	c->screens_wanted = true;
	return 0;
}

static const struct client_ops ops = {
    .value = show_value,
    .rows = show_rows,
    .event = show_event,
    .error = show_error,
    .notice = show_notice,
    .console = show_console,
    .progress = show_progress,
    .flush = flush,
    .width = width,
    .lines = each_line,
    .screens = go_to_screens,
};

static bool wants_color(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

int console_open(struct console *c, struct session *s, bool json, bool batch, struct err *e)
{
	*c = (struct console){.interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
	client_init(&c->client, s, &ops);
	c->client.json = json;
	c->client.color = isatty(STDOUT_FILENO) && wants_color();
	c->pages = c->interactive && !batch;
	int ret = tcl_open(&c->client, e);
	if (ret)
		client_deinit(&c->client);
	return ret;
}

void console_close(struct console *c)
{
	if (c->interactive)
		history_close();
	free(c->typed);
	tcl_close(&c->client);
	client_deinit(&c->client);
}
