/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * QEMU as a child: no devices but pvpanic, its machine protocol (QMP) over a pair of pipes, its RAM a memory file that is
 * mapped here too. It dies with this process. QEMU 7.2 documentation: "QEMU Machine Protocol Specification".
 */
#include "tests/qemu/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define TIMEOUT_MS 60000
#define BIOS_SIZE 0x10000
#define BINARY "qemu-system-x86_64"

/* The reset vector's only instruction: to where the guest's program is. */
static int bios_file(void)
{
	static const uint8_t jump[] = {0xea, 0x00, 0x80, 0x00, 0x00};
	int fd = memfd_create("bios", 0);

	if (fd >= 0 && (ftruncate(fd, BIOS_SIZE) || pwrite(fd, jump, sizeof(jump), BIOS_SIZE - 16) != sizeof(jump))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void child(int in, int out, int ram, int bios)
{
	char object[128], path[64];
	int null = open("/dev/null", O_WRONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, 0);
	dup2(out, 1);
	if (!getenv("QEMU_STDERR"))
		dup2(null, 2);
	snprintf(object, sizeof(object), "memory-backend-file,id=ram,size=72M,share=on,mem-path=/proc/self/fd/%d", ram);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", bios);
	/* Two CPUs, one of which sleeps: with one alone TCG does locked instructions as a load and a store, and reports the
	 * load's fault. */
	execlp(BINARY, BINARY, "-machine", "pc,memory-backend=ram,max-ram-below-4g=64M,usb=off", "-accel",
	       "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "72M", "-object", object, "-bios", path, "-nodefaults",
	       "-no-user-config", "-display", "none", "-device", "pvpanic", "-action", "panic=pause", "-qmp", "stdio", "-S",
	       (char *)NULL);
	_exit(127);
}

/* One line of the protocol, without its end, in q->buf until the next call. */
static int line_read(struct qemu *q, char **line, struct err *e)
{
	static const char what[] = "QEMU's monitor";

	for (;;) {
		char *end = memchr(q->buf, '\n', q->n);
		if (end) {
			*end = '\0';
			*line = strndup(q->buf, (size_t)(end - q->buf));
			q->n -= (size_t)(end + 1 - q->buf);
			memmove(q->buf, end + 1, q->n);
			return *line ? 0 : err_nomem(e, what);
		}
		if (q->n + 65536 > q->cap) {
			char *more = realloc(q->buf, q->cap * 2 + 131072);
			if (!more)
				return err_nomem(e, what);
			q->buf = more;
			q->cap = q->cap * 2 + 131072;
		}
		struct pollfd p = {.fd = q->from, .events = POLLIN};
		int rc = poll(&p, 1, TIMEOUT_MS);
		if (!rc)
			return err_set(e, -ETIMEDOUT, "%s" WHY "silent for %d s", what, TIMEOUT_MS / 1000);
		ssize_t got = rc < 0 ? -1 : read(q->from, q->buf + q->n, 65536);
		if (got <= 0)
			return err_set(e, -EPIPE, "%s" WHY "it ended", what);
		q->n += (size_t)got;
	}
}

/* Lines until one has this in it; with out NULL the line is dropped. */
static int wait_for(struct qemu *q, const char *mark, char **out, struct err *e)
{
	for (;;) {
		char *line;
		int rc = line_read(q, &line, e);
		if (rc)
			return rc;
		bool error = strstr(line, "\"error\"") == line + 1, found = strstr(line, mark) != NULL;
		if (found && out && !error) {
			*out = line;
			return 0;
		}
		if (error)
			rc = err_set(e, -EPROTO, "QEMU's monitor" WHY "%.300s", line);
		free(line);
		if (rc || found)
			return rc;
	}
}

static int send_line(struct qemu *q, const char *text, struct err *e)
{
	size_t n = strlen(text);

	if (write(q->to, text, n) != (ssize_t)n)
		return err_errno(e, errno, "QEMU's monitor" WHY "it takes no command");
	return 0;
}

static int command(struct qemu *q, const char *text, struct err *e)
{
	int rc = send_line(q, text, e);

	return rc ? rc : wait_for(q, "\"return\"", NULL, e);
}

int qemu_run(struct qemu *q, struct err *e)
{
	int rc = send_line(q, "{\"execute\":\"cont\"}\n", e);

	return rc ? rc : wait_for(q, "\"STOP\"", NULL, e);
}

/* A JSON string's escapes, in place; the monitor's text has no others. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s && *s != '"'; s++) {
		if (*s != '\\') {
			*to++ = *s;
			continue;
		}
		s++;
		if (*s == 'n')
			*to++ = '\n';
		else if (*s == 't')
			*to++ = '\t';
		else if (*s != 'r')
			*to++ = *s;
	}
	*to = '\0';
}

int qemu_monitor(struct qemu *q, const char *text, char **out, struct err *e)
{
	static const char head[] = "{\"return\": \"";
	char line[256];
	int rc;

	snprintf(line, sizeof(line), "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"%s\"}}\n",
		 text);
	rc = send_line(q, line, e);
	if (!rc)
		rc = wait_for(q, "\"return\"", out, e);
	if (rc)
		return rc;
	size_t n = strlen(*out);
	if (strncmp(*out, head, sizeof(head) - 1)) {
		free(*out);
		return err_set(e, -EPROTO, "QEMU's monitor" WHY "unexpected answer to %s", text);
	}
	memmove(*out, *out + sizeof(head) - 1, n - (sizeof(head) - 1) + 1);
	unescape(*out);
	return 0;
}

static bool installed(void)
{
	char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin"), *save = NULL, file[512];
	bool found = false;

	for (char *dir = path ? strtok_r(path, ":", &save) : NULL; dir && !found; dir = strtok_r(NULL, ":", &save)) {
		snprintf(file, sizeof(file), "%s/" BINARY, dir);
		found = !access(file, X_OK);
	}
	free(path);
	return found;
}

static int map_ram(struct qemu *q, int ram)
{
	if (ram < 0 || ftruncate(ram, LOW_SIZE + HIGH_SIZE))
		return -1;
	q->low = mmap(NULL, LOW_SIZE + HIGH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram, 0);
	if (q->low == MAP_FAILED) {
		q->low = NULL;
		return -1;
	}
	q->high = q->low + LOW_SIZE;
	return 0;
}

static int spawn(struct qemu *q, int ram, int bios, struct err *e)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return err_errno(e, errno, "start QEMU" WHY "no pipes");
	q->pid = fork();
	if (!q->pid)
		child(in[0], out[1], ram, bios);
	close(in[0]);
	close(out[1]);
	q->to = in[1];
	q->from = out[0];
	return q->pid < 0 ? err_errno(e, errno, "start QEMU" WHY "fork") : 0;
}

int qemu_start(struct qemu *q, struct err *e)
{
	_cleanup_close_ int ram = memfd_create("ram", 0);
	_cleanup_close_ int bios = bios_file();
	int rc;

	*q = (struct qemu){.pid = -1, .to = -1, .from = -1};
	signal(SIGPIPE, SIG_IGN);
	if (!installed())
		return err_set(e, -ENOENT,
			       "start QEMU" WHY BINARY " is not installed" TRY "apt-get install qemu-system-x86");
	if (bios < 0 || map_ram(q, ram))
		return err_errno(e, errno, "start QEMU" WHY "no memory file");
	rc = spawn(q, ram, bios, e);
	if (!rc)
		rc = wait_for(q, "\"QMP\"", NULL, e);
	if (!rc)
		rc = command(q, "{\"execute\":\"qmp_capabilities\"}\n", e);
	if (rc)
		qemu_end(q);
	return rc;
}

void qemu_end(struct qemu *q)
{
	if (q->pid > 0) {
		kill(q->pid, SIGKILL);
		waitpid(q->pid, NULL, 0);
	}
	if (q->to >= 0)
		close(q->to);
	if (q->from >= 0)
		close(q->from);
	if (q->low)
		munmap(q->low, LOW_SIZE + HIGH_SIZE);
	free(q->buf);
	*q = (struct qemu){.pid = -1, .to = -1, .from = -1};
}
