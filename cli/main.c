/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From the command line to a session and out again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cmd/options.h"
#include "cli/cmd/table.h"
#include "cli/prompt/repl.h"
#include "cli/prompt/signals.h"
#include "cli/session/interrupt.h"
#include "cli/session/privilege.h"
#include "cli/tcl/exec.h"
#include "cli/tui/tui.h"

/* Descriptors 0 to 2 that are closed would become the VM's: give them to /dev/null. */
static void hold_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			_exit(1);
}

static void print_error(const struct err *e)
{
	char text[1100];

	err_format(e, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
}

/* $XDG_CONFIG_HOME/kvmscope/init.tcl, if there is one. */
static int run_init_file(struct client *c)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct stat st;
	char path[600];

	if (config && config[0] == '/')
		snprintf(path, sizeof(path), "%.500s/kvmscope/init.tcl", config);
	else if (home && home[0] == '/')
		snprintf(path, sizeof(path), "%.500s/.config/kvmscope/init.tcl", home);
	else
		return 0;
	if (stat(path, &st))
		return 0;
	if (privilege_elevated()) {
		fprintf(stderr, "%s is not read: the program's file has capabilities (-x FILE reads one)\n", path);
		return 0;
	}
	if (S_ISREG(st.st_mode))
		return exec_file(c, path);
	fprintf(stderr, "%s is not read: it is no regular file\n", path);
	return 0;
}

static void greet(const struct console *c)
{
	const struct session *s = c->client.s;
	FILE *to = c->client.json ? stderr : stdout;

	fprintf(to, "kvmscope " KVMSCOPE_VERSION ": %s on backend %s (%s)\n", image_describe(s->image),
		machine_backend(s->d.m), s->backend_why);
	if (c->interactive)
		fprintf(to, "`help` lists the commands, `run` starts the guest.\n");
	fflush(to);
}

static int load_image(struct console *c, const struct options *opt)
{
	struct err e;
	int ret;

	err_clear(&e);
	ret = session_load(c->client.s, &opt->session.image, &e);
	if (ret)
		client_report(&c->client, &e);
	else if (!opt->quiet)
		greet(c);
	return ret;
}

/* The image, the init file, then what -x and -c say. Non-zero at the first error, if that ends a batch. */
static int start(struct console *c, const struct options *opt)
{
	int ret = load_image(c, opt);

	if (ret && opt->batch)
		return ret;
	if (!opt->no_init)
		ret = run_init_file(&c->client);
	for (size_t i = 0; i < opt->n_actions && !c->client.quit && !interrupt_end_asked() && !(ret && opt->batch); i++) {
		const struct action *a = &opt->actions[i];
		ret = a->is_file ? exec_file(&c->client, a->text) : exec_line(&c->client, a->text);
	}
	return c->client.quit ? 0 : ret;
}

/* On failure everything stays where it is. batch: nobody would see them, and what is shown there would be seen nowhere. */
static void open_screens(struct console *c, bool batch)
{
	struct err e;
	int ret;

	err_clear(&e);
	if (batch && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		ret = err_set(&e, -EINVAL, "screens" WHY "with --batch they would close at once" TRY "without --batch");
	else
		ret = tui_open(c, &e);
	if (ret)
		client_report(&c->client, &e);
}

/* The prompt and the screens, one after the other, until the user ends. */
static int serve(struct console *c)
{
	while (!c->client.quit && !interrupt_end_asked()) {
		if (c->tui) {
			tui_run(c);
			tui_close(c);
			continue;
		}
		repl_run(c);
		if (!c->screens_wanted)
			break;
		open_screens(c, false);
	}
	return c->client.exit_status;
}

static int run_client(struct console *c, const struct options *opt)
{
	int status = 0;

	if (opt->tui)
		open_screens(c, opt->batch);
	if (start(c, opt) && opt->batch)
		status = 1;
	else if (c->client.quit || opt->batch)
		status = c->client.exit_status;
	else
		status = serve(c);
	if (c->tui)
		tui_close(c);
	return interrupt_end_asked() ? 128 + interrupt_end_asked() : status;
}

static int run_session(struct session *s, const struct options *opt, struct err *e)
{
	struct console c;
	int status, ret = console_open(&c, s, opt->json, opt->batch, e);

	if (ret)
		return ret;
	signals_init();
	status = run_client(&c, opt);
	console_close(&c);
	return status;
}

static int run(const struct options *opt)
{
	struct session s;
	struct err e;

	err_clear(&e);
	int status = session_init(&s, &opt->session, command_table(), &e);
	if (!status) {
		status = run_session(&s, opt, &e);
		session_deinit(&s);
	}
	if (status < 0)
		print_error(&e);
	return status < 0 ? 1 : status;
}

int main(int argc, char **argv)
{
	enum options_end end;
	struct options opt;
	struct err e;
	int status = 0;

	hold_standard_descriptors();
	err_clear(&e);
	if (privilege_give_up(&e)) {
		print_error(&e);
		return 1;
	}
	if (options_parse(&opt, argc, argv, &end, &e)) {
		print_error(&e);
		return 1;
	}
	if (end == OPTIONS_HELP)
		options_usage(stdout);
	else if (end == OPTIONS_VERSION)
		puts("kvmscope " KVMSCOPE_VERSION);
	else
		status = run(&opt);
	options_deinit(&opt);
	if (fflush(stdout) && !status)
		status = 1;
	return status;
}
