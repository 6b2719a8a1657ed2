/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From the command line to a session and out again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/exec.h"
#include "cli/prompt/options.h"
#include "cli/prompt/repl.h"
#include "cli/prompt/signals.h"

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

/* $XDG_CONFIG_HOME/kvmscope/init.tcl, where there is one. */
static int run_init_file(struct session *s)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char path[600];

	if (config && config[0] == '/')
		snprintf(path, sizeof(path), "%.500s/kvmscope/init.tcl", config);
	else if (home && home[0] == '/')
		snprintf(path, sizeof(path), "%.500s/.config/kvmscope/init.tcl", home);
	else
		return 0;
	return access(path, F_OK) ? 0 : exec_file(s, path);
}

static void greet(struct session *s)
{
	FILE *to = s->opt.json ? stderr : stdout;

	if (s->opt.quiet)
		return;
	fprintf(to, "kvmscope " KVMSCOPE_VERSION ": %s on backend %s (%s)\n", image_describe(s->image),
		machine_backend(s->d.m), s->backend_why);
	if (s->interactive)
		fprintf(to, "`help` lists the commands, `run` starts the guest.\n");
	fflush(to);
}

/* The image, the init file, then what -x and -c say. Non-zero at the first error, where that ends a batch. */
static int start(struct session *s)
{
	struct err e;
	int ret;

	err_clear(&e);
	ret = session_load(s, &s->opt.image, &e);
	if (ret)
		exec_report(s, &e);
	else
		greet(s);
	if (ret && s->opt.batch)
		return ret;
	if (!s->opt.no_init)
		ret = run_init_file(s);
	for (size_t i = 0; i < s->opt.n_actions && !s->quit && !signals_end_asked() && !(ret && s->opt.batch); i++) {
		const struct action *a = &s->opt.actions[i];
		ret = a->is_file ? exec_file(s, a->text) : exec_line(s, a->text);
	}
	return s->quit ? 0 : ret;
}

static bool wants_color(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

static int run(const struct options *opt)
{
	static struct session s;
	struct err e;
	int status = 0;

	err_clear(&e);
	if (session_init(&s, opt, &e)) {
		print_error(&e);
		return 1;
	}
	s.interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	s.color = isatty(STDOUT_FILENO) && wants_color();
	signals_init(&s);
	if (start(&s) && opt->batch)
		status = 1;
	else if (s.quit || opt->batch)
		status = s.exit_status;
	else
		status = repl_run(&s);
	if (signals_end_asked())
		status = 128 + signals_end_asked();
	session_deinit(&s);
	return status;
}

int main(int argc, char **argv)
{
	enum options_end end;
	struct options opt;
	struct err e;
	int status = 0;

	hold_standard_descriptors();
	err_clear(&e);
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
