/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * 64 MiB of guest virtual memory through tables of 4 KiB pages against memcpy() of the same bytes; the same into a file;
 * and small reads from a script.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define BYTES (64u << 20)
#define PAGES (BYTES / 0x1000)
#define READS 30000
#define DUMP_FILE "/tmp/kvmscope-bench-dump"

struct reading {
	struct session *s;
	uint8_t *to;
	const uint8_t *from;
};

static double ours_read(void *arg)
{
	struct reading *r = arg;
	struct err e = {0};
	double t = bench_now();

	if (machine_read_gva(r->s->d.m, 0, BENCH_GVA, r->to, BYTES, &e))
		return bench_fail("%.100s: %.150s", e.what, e.why);
	return bench_now() - t;
}

static double floor_copy(void *arg)
{
	struct reading *r = arg;
	double t = bench_now();

	memcpy(r->to, r->from, BYTES);
	return bench_now() - t;
}

static double ours_dump(void *arg)
{
	struct reading *r = arg;

	unlink(DUMP_FILE);
	return bench_time(r->s, "dump " DUMP_FILE " 0x40000000 0x4000000");
}

/* The same pages of the page cache, written once. */
static double floor_dump(void *arg)
{
	struct reading *r = arg;
	double t;
	int fd;

	unlink(DUMP_FILE);
	t = bench_now();
	fd = open(DUMP_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	for (size_t done = 0; fd >= 0 && done < BYTES;) {
		ssize_t n = write(fd, r->from + done, BYTES - done);

		if (n <= 0) {
			close(fd);
			return bench_fail("write %s", DUMP_FILE);
		}
		done += (size_t)n;
	}
	if (fd < 0 || close(fd))
		return bench_fail("write %s", DUMP_FILE);
	return bench_now() - t;
}

static double ours_small(void *arg)
{
	struct reading *r = arg;
	char script[100];

	snprintf(script, sizeof(script), "for {set i 0} {$i < %d} {incr i} {mem read 0x200000 8}", READS);
	return bench_time(r->s, script);
}

static double ours_x(void *arg)
{
	struct reading *r = arg;
	char script[100];

	snprintf(script, sizeof(script), "for {set i 0} {$i < %d} {incr i} {x/1gx 0x200000}", READS);
	return bench_time(r->s, script);
}

/* The same number of library calls without the interpreter. */
static double floor_small(void *arg)
{
	struct reading *r = arg;
	struct err e = {0};
	double t = bench_now();
	uint64_t x;

	for (int i = 0; i < READS; i++)
		if (machine_read_gva(r->s->d.m, 0, 0x200000, &x, sizeof(x), &e))
			return bench_fail("%.100s: %.150s", e.what, e.why);
	return bench_now() - t;
}

static void figures(struct reading *r, bool scattered)
{
	const struct figure f[] = {
	    {"gva read of 64 MiB, pages in order", ours_read, floor_copy, r, r, 15, 1, "ms", 1.5, 0},
	    {"dump of 64 MiB (floor: write)", ours_dump, floor_dump, r, r, 9, 1, "ms", 1.5, 0},
	    {"mem read A 8 from Tcl (floor: C calls)", ours_small, floor_small, r, r, 15, READS, "/s", 0, 300000},
	    {"x/1gx A from Tcl (floor: C calls)", ours_x, floor_small, r, r, 15, READS, "/s", 0, 300000},
	};
	const struct figure mixed = {"gva read of 64 MiB, pages scattered", ours_read, floor_copy, r, r, 15, 1, "ms", 0, 0};

	if (scattered)
		bench_figure(&mixed);
	for (size_t i = 0; i < ARRAY_LEN(f) && !scattered; i++)
		bench_figure(&f[i]);
}

static void with_pages(bool scattered)
{
	static const uint8_t code[] = {0xeb, 0xfe};
	const char *const argv[] = {"--mode", "user", "-m", "128M", bench_image(code, sizeof(code))};
	struct reading r = {.s = bench_open(5, argv), .to = malloc(BYTES)};
	size_t len;

	if (!r.s || !r.to || !bench_map(r.s, PAGES, scattered)) {
		bench_skip("gva reads", bench_why);
	} else {
		r.from = machine_peek(r.s->d.m, BENCH_DATA, false, &len);
		/* Memory that exists, on both sides. */
		memset((uint8_t *)(uintptr_t)r.from, 0x5a, BYTES);
		memset(r.to, 1, BYTES);
		figures(&r, scattered);
	}
	unlink(DUMP_FILE);
	free(r.to);
	bench_close(r.s);
}

void bench_memory(void)
{
	with_pages(false);
	with_pages(true);
}
