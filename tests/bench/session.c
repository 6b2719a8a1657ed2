/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The program's own session in this process, and guests for it.
 */
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd/options.h"
#include "cli/cmd/table.h"
#include "cli/prompt/console.h"
#include "cli/tcl/interp.h"

#define MAX_ARGS 24

/* Of the same code, one file. */
static struct file {
	char *name;
	void *code;
	size_t len;
} files[32];
static size_t n_files;

static bool failed(const struct err *e)
{
	char text[1100];

	err_format(e, text, sizeof(text));
	bench_fail("%s", text);
	return false;
}

/* A session and its client, which is found by it. */
struct opened {
	struct session s;
	struct console console;
};

struct session *bench_open(int argc, const char *const *argv)
{
	struct opened *o = calloc(1, sizeof(*o));
	struct session *s = &o->s;
	char *args[MAX_ARGS] = {"kvmscope", "-q", "-n", "1", "-b", "kvm"};
	int n = 6;
	enum options_end end;
	struct options opt;
	struct err e = {0};

	for (int i = 0; i < argc && n < MAX_ARGS; i++) {
		if (!argv[i]) { /* bench_image() failed */
			free(o);
			bench_fail("a file for the guest's code could not be made in /tmp");
			return NULL;
		}
		args[n++] = (char *)(uintptr_t)argv[i];
	}
	if (options_parse(&opt, n, args, &end, &e) || session_init(s, &opt.session, command_table(), &e)) {
		failed(&e);
		free(o);
		return NULL;
	}
	options_deinit(&opt);
	if (console_open(&o->console, s, false, true, &e) || session_load(s, &s->opt.image, &e)) {
		failed(&e);
		bench_close(s);
		return NULL;
	}
	return s;
}

void bench_close(struct session *s)
{
	if (!s)
		return;
	struct opened *o = CONTAINER_OF(s, struct opened, s);
	if (s->clients)
		console_close(&o->console);
	session_deinit(s);
	free(o);
}

/* As a line of the prompt that is Tcl. */
bool bench_eval(struct session *s, const char *script)
{
	struct err e = {0};

	return !interp_eval(s->clients->tcl, script, (int)strlen(script), &e) || failed(&e);
}

double bench_time(struct session *s, const char *script)
{
	double t = bench_now();

	return bench_eval(s, script) ? bench_now() - t : -1;
}

static char *image_file(const void *code, size_t len)
{
	char name[] = "/tmp/kvmscope-bench-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		return NULL;
	bool ok = write(fd, code, len) == (ssize_t)len;
	close(fd);
	if (!ok)
		unlink(name);
	return ok ? strdup(name) : NULL;
}

const char *bench_image(const void *code, size_t len)
{
	struct file *f = &files[n_files];

	for (size_t i = 0; i < n_files; i++)
		if (files[i].len == len && !memcmp(files[i].code, code, len))
			return files[i].name;
	if (n_files == ARRAY_LEN(files))
		return NULL;
	f->code = malloc(len);
	f->name = f->code ? image_file(code, len) : NULL;
	if (!f->name) {
		free(f->code);
		return NULL;
	}
	memcpy(f->code, code, len);
	f->len = len;
	n_files++;
	return f->name;
}

void bench_files_remove(void)
{
	while (n_files--) {
		unlink(files[n_files].name);
		free(files[n_files].name);
		free(files[n_files].code);
	}
	n_files = 0;
}

/* ---- many pages */

static bool put(struct machine *m, uint64_t gpa, uint64_t entry)
{
	struct err e = {0};

	return !machine_write(m, gpa, false, &entry, sizeof(entry), &e) || failed(&e);
}

/* The image's own top level leads here for the second GiB: one directory, then leaf tables behind it. */
bool bench_map(struct session *s, size_t n, bool scattered)
{
	struct machine *m = s->d.m;
	struct regs r = {0};
	struct err e = {0};
	uint64_t top, *leaf = calloc(n, sizeof(*leaf));

	if (!leaf || machine_get_regs(m, 0, REGS_SYS, &r, &e) ||
	    machine_read(m, r.cr3 & ~0xfffull, false, &top, sizeof(top), &e))
		return failed(&e);
	/* An odd multiplier modulo a power of two visits every page once. */
	size_t round = 1;
	while (round < n)
		round *= 2;
	for (size_t i = 0, at = 0; i < n; at++) {
		size_t to = scattered ? at * 0x9e3779b1u % round : at;

		if (to < n)
			leaf[i++] = (BENCH_DATA + to * 0x1000) | 7;
	}
	bool ok = put(m, (top & 0xffffffffff000ull) + 8, BENCH_TABLES | 7);
	for (size_t i = 0; ok && i * 512 < n; i++)
		ok = put(m, BENCH_TABLES + i * 8, (BENCH_TABLES + 0x1000 + i * 0x1000) | 7);
	if (ok && machine_write(m, BENCH_TABLES + 0x1000, false, leaf, n * sizeof(*leaf), &e))
		ok = failed(&e);
	free(leaf);
	return ok;
}

/* mov rbx, GVA; mov ecx, N; next: mov [rbx], rbx; add rbx, 0x1000; dec ecx; jnz next; ud2 */
static const uint8_t touch[] = {0x48, 0xc7, 0xc3, 0,	0, 0,	 0x40, 0xb9, 0,	   0,	 0,    0,    0x48, 0x89,
				0x1b, 0x48, 0x81, 0xc3, 0, 0x10, 0,    0,    0xff, 0xc9, 0x75, 0xf2, 0x0f, 0x0b};
#define TOUCH_N 8

struct session *bench_touched(const char *backend, uint32_t n)
{
	uint8_t code[sizeof(touch)];

	memcpy(code, touch, sizeof(touch));
	memcpy(code + TOUCH_N, &n, sizeof(n));
	const char *const argv[] = {"-b", backend, "--mode", "user", "-m", "1G", bench_image(code, sizeof(code))};
	struct session *s = bench_open(7, argv);
	if (s && bench_map(s, n, false) && bench_eval(s, "c"))
		return s;
	bench_close(s);
	return NULL;
}
