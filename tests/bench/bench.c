/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Medians, lines, and which groups of figures run.
 *
 *   build/bench [PROGRAM]    BENCH_ONLY="start steps memory slots snapshot lists tables" picks groups, BENCH_QUICK=1 makes
 * fewer runs build/bench [PROGRAM]    BENCH_ONLY="start steps memory slots snapshot lists map" picks groups, BENCH_QUICK=1
 * makes fewer runs
 */
#include "tests/bench/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_RUNS 64

char bench_why[300];

double bench_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(bench_why, sizeof(bench_why), fmt, ap);
	va_end(ap);
	return -1;
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_now(void)
{
	static int cpu = -1;

	if (cpu < 0)
		cpu = getenv("BENCH_CPU") != NULL;
	return now(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC);
}

double bench_clock(void)
{
	return now(CLOCK_MONOTONIC);
}

static bool bench_quick(void)
{
	return getenv("BENCH_QUICK") != NULL;
}

bool bench_wanted(const char *group)
{
	const char *only = getenv("BENCH_ONLY");

	return !only || !*only || strstr(only, group);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *v, unsigned n)
{
	double s[MAX_RUNS];

	memcpy(s, v, n * sizeof(*v));
	qsort(s, n, sizeof(*s), by_value);
	return n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

/* In the figure's unit, for one unit of work. */
static double in_unit(const struct figure *f, double seconds)
{
	if (!strcmp(f->unit, "/s"))
		return f->per / seconds;
	return seconds / f->per * (strcmp(f->unit, "ms") ? 1e6 : 1e3);
}

static const char *verdict(const struct figure *f, double ours, double ratio)
{
	if (!f->aim && !f->aim_abs)
		return "-";
	if (f->aim && ratio > f->aim)
		return "missed";
	if (f->aim_abs && (strcmp(f->unit, "/s") ? ours > f->aim_abs : ours < f->aim_abs))
		return "missed";
	return "met";
}

static void print_line(const struct figure *f, double ours, double floor, double ratio)
{
	char a[32], b[32] = "-", r[16] = "-", aim[40] = "-";

	snprintf(a, sizeof(a), "%.*f %s", ours >= 1000 ? 0 : 2, ours, f->unit);
	if (f->floor) {
		snprintf(b, sizeof(b), "%.*f %s", floor >= 1000 ? 0 : 2, floor, f->unit);
		snprintf(r, sizeof(r), "%.2f", ratio);
	}
	if (f->aim && f->aim_abs)
		snprintf(aim, sizeof(aim), "<= %.3gx, %.0f %s", f->aim, f->aim_abs, f->unit);
	else if (f->aim)
		snprintf(aim, sizeof(aim), "<= %.3gx", f->aim);
	else if (f->aim_abs)
		snprintf(aim, sizeof(aim), "%s %.0f %s", strcmp(f->unit, "/s") ? "<=" : ">=", f->aim_abs, f->unit);
	printf("%-44s %14s %14s %7s  %-16s %s\n", f->name, a, b, r, aim, verdict(f, ours, ratio));
	fflush(stdout);
}

static void bench_head(void)
{
	printf("%-44s %14s %14s %7s  %-16s %s\n", "figure", "ours", "floor", "ratio", "aim", "met?");
}

void bench_skip(const char *name, const char *why)
{
	printf("%-44s n/a (%s)\n", name, why);
	fflush(stdout);
}

double bench_figure(const struct figure *f)
{
	double ours[MAX_RUNS], floor[MAX_RUNS], ratio[MAX_RUNS];
	unsigned runs = f->runs > MAX_RUNS ? MAX_RUNS : f->runs;

	if (bench_quick())
		runs = (runs + 3) / 4;
	for (unsigned i = 0; i < runs; i++) {
		floor[i] = f->floor ? f->floor(f->floor_arg) : 1;
		ours[i] = floor[i] < 0 ? -1 : f->ours(f->arg);
		if (ours[i] < 0) {
			bench_skip(f->name, bench_why);
			return -1;
		}
		ratio[i] = ours[i] / floor[i];
	}
	double o = median(ours, runs);
	print_line(f, in_unit(f, o), in_unit(f, median(floor, runs)), median(ratio, runs));
	return o / f->per;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--bare-start"))
		return bench_bare_start();
	bench_head();
	if (bench_wanted("start"))
		bench_start(argv[0], argc > 1 ? argv[1] : "build/kvmscope");
	if (bench_wanted("steps"))
		bench_steps();
	if (bench_wanted("memory"))
		bench_memory();
	if (bench_wanted("slots"))
		bench_slots();
	bench_kernel();
	if (bench_wanted("soft"))
		bench_soft();
	if (bench_wanted("faults"))
		bench_faults();
	if (bench_wanted("watch"))
		bench_watch();
	if (bench_wanted("tables"))
		bench_tables();
	if (bench_wanted("map"))
		bench_pagemap();
	bench_files_remove();
	return 0;
}
