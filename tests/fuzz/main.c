/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs fuzz targets over seeds: fuzz [-t SECONDS] [-s FIRST SEED] [-n SEEDS] [-v] [TARGET ...]. Each seed is one input; what
 * is wrong aborts, with the target and the seed said before. Prints for each target how many inputs there were, and the
 * median of what they came to.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "tests/fuzz/rng.h"

bool fuzz_verbose;

enum { KEPT = 1 << 16, PATIENCE = 20 };

static const struct target {
	const char *name, *what;
	fuzz_fn *fn;
} targets[] = {
    {"machine", "instructions", fuzz_machine},
    {"image", "taken", fuzz_image},
    {"expr", "taken", fuzz_expr},
    {"btf", "taken", fuzz_btf},
    {"line", "taken", fuzz_line},
};

static const char *now_target;
static volatile uint64_t now_seed;

static void say_where(void)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "fuzz: fuzz -n 1 -s %llu %s\n", (unsigned long long)now_seed, now_target);

	(void)!write(2, text, (size_t)n);
}

static void on_abort(int sig)
{
	say_where();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void on_alarm(int sig)
{
	(void)sig;
	(void)!write(2, "fuzz: no end\n", 13);
	abort();
}

/* Of processor time: a busy host is nobody's fault. */
static void patience(long seconds)
{
	const struct itimerval t = {.it_value.tv_sec = seconds};

	setitimer(ITIMER_PROF, &t, NULL);
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void run_target(const struct target *t, double seconds, uint64_t seed, uint64_t n)
{
	static uint64_t kept[KEPT];
	double end = seconds_now() + seconds;
	uint64_t i = 0, sum = 0;

	now_target = t->name;
	for (; n ? i < n : seconds_now() < end; i++) {
		now_seed = seed + i;
		if (fuzz_verbose)
			fprintf(stderr, "seed %llu\n", (unsigned long long)now_seed);
		patience(PATIENCE);
		kept[i % KEPT] = t->fn(now_seed);
		sum += kept[i % KEPT];
	}
	patience(0);
	size_t have = i < KEPT ? i : KEPT;
	qsort(kept, have, sizeof(kept[0]), by_size);
	printf("%s: %llu inputs up to seed %llu; %s: median %llu, most %llu, all %llu\n", t->name, (unsigned long long)i,
	       (unsigned long long)(seed + i - 1), t->what, have ? (unsigned long long)kept[have / 2] : 0ull,
	       have ? (unsigned long long)kept[have - 1] : 0ull, (unsigned long long)sum);
	fflush(stdout);
}

static bool wanted(char **names, const char *name)
{
	for (char **n = names; *n; n++)
		if (!strcmp(*n, name))
			return true;
	return !*names;
}

int main(int argc, char **argv)
{
	double seconds = 2;
	uint64_t seed = 1, n = 0;
	unsigned ran = 0;
	int c;

	while ((c = getopt(argc, argv, "t:s:n:v")) != -1)
		if (c == 't')
			seconds = atof(optarg);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			n = strtoull(optarg, NULL, 0);
		else if (c == 'v')
			fuzz_verbose = true;
		else
			return 2;
	signal(SIGABRT, on_abort);
	signal(SIGSEGV, on_abort);
	signal(SIGPROF, on_alarm);
	for (size_t i = 0; i < ARRAY_LEN(targets); i++)
		if (wanted(argv + optind, targets[i].name)) {
			run_target(&targets[i], seconds, seed, n);
			ran++;
		}
	printf("%u passed, 0 failed, 0 skipped\n", ran);
	return ran ? 0 : 2;
}
