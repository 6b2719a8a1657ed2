/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Start, from fork() on: to the first prompt on a terminal, and to a guest that stands stopped and has been asked for its
 * registers. The floor is a program linked with the same libraries that only makes a VM with one vCPU in the same mode; gdb
 * is beside it where it is installed.
 */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define TIMEOUT_MS 10000

struct command_line {
	const char *argv[12];
	const char *until; /* on a terminal: what to wait for; NULL: its end, through a pipe */
	int status;
};

static void child(const struct command_line *c, int out)
{
	if (out >= 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(out, 1);
		dup2(null, 2);
	}
	setenv("TERM", "dumb", 1);
	setenv("XDG_STATE_HOME", "/dev/null/none", 1);
	execvp(c->argv[0], (char *const *)(uintptr_t)c->argv);
	_exit(127);
}

static bool wait_output(int fd, const char *until)
{
	char text[8192] = "";
	size_t n = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, TIMEOUT_MS) <= 0)
			return false;
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			return !until;
		text[n += (size_t)got] = '\0';
		if (until && strstr(text, until))
			return true;
		if (n > sizeof(text) / 2)
			n = 0;
	}
}

static double run_line(void *arg)
{
	const struct command_line *c = arg;
	int fd, pipes[2] = {-1, -1}, status;
	double t = bench_clock();
	pid_t pid;

	if (!c->until && pipe2(pipes, O_CLOEXEC))
		return bench_fail("pipe");
	pid = c->until ? forkpty(&fd, NULL, NULL, NULL) : fork();
	if (pid < 0)
		return bench_fail("fork");
	if (!pid)
		child(c, pipes[1]);
	if (!c->until) {
		close(pipes[1]);
		fd = pipes[0];
	}
	bool ok = wait_output(fd, c->until);
	/* The end of a pipe is the program's end, all but the kernel's part of it. */
	t = bench_clock() - t;
	if (!ok || c->until)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(fd);
	if (!ok || (!c->until && (!WIFEXITED(status) || WEXITSTATUS(status) != c->status)))
		return bench_fail("%s did not get there (status %#x)", c->argv[0], status);
	return t;
}

void bench_start(const char *self, const char *program)
{
	struct command_line prompt = {{program, "-q", "-n", "1", NULL}, "(kvmscope)", 0},
			    stopped = {{program, "-q", "-n", "1", "--batch", "-c", "info registers", NULL}, NULL, 0},
			    bare = {{self, "--bare-start", NULL}, NULL, 0},
			    bare_tty = {{self, "--bare-start", NULL}, "(kvmscope)", 0},
			    gdb = {{"gdb", "-q", "-nx", NULL}, "(gdb)", 0},
			    gdb_end = {{"gdb", "-q", "-nx", "-batch", "-ex", "info line main", program, NULL}, NULL, 0};
	const struct figure f[] = {
	    {"start to first prompt", run_line, run_line, &prompt, &bare_tty, 21, 1, "ms", 0, 25},
	    {"start to stopped guest, registers, and end", run_line, run_line, &stopped, &bare, 21, 1, "ms", 0, 25},
	    {"start to first prompt (floor: gdb's)", run_line, run_line, &prompt, &gdb, 11, 1, "ms", 0.5, 0},
	    {"start to registers (floor: gdb, same binary)", run_line, run_line, &stopped, &gdb_end, 11, 1, "ms", 0.5, 0},
	};
	bool has_gdb = !access("/usr/bin/gdb", X_OK);

	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		if (i < 2 || has_gdb)
			bench_figure(&f[i]);
		else
			bench_skip(f[i].name, "gdb is not installed");
}
