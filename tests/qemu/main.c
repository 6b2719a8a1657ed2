/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *     agree_qemu [-f FIRST] [-n SEEDS] [-m] [-v]
 *
 * -m: without the monitor's commands. Skips, counted, where QEMU is not installed.
 */
#include "tests/qemu/qemu.h"

#include <errno.h>
#include <time.h>

static int run_seeds(struct qemu *q, uint64_t first, uint64_t n, bool monitor, struct tally *t, int verbose)
{
	while (n) {
		unsigned now = n < BATCH_MAX ? (unsigned)n : BATCH_MAX;
		int rc = run_batch(q, first, now, monitor, t, verbose);
		if (rc)
			return rc;
		fflush(stdout);
		first += now;
		n -= now;
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t first = 0, n = 512;
	bool monitor = true;
	struct tally t = {0};
	struct qemu q;
	struct err e = {0};
	int c, verbose = 0;

	while ((c = getopt(argc, argv, "f:n:mv")) != -1)
		switch (c) {
		case 'f':
			first = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			n = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			monitor = false;
			break;
		case 'v':
			verbose++;
			break;
		default:
			return 2;
		}
	int rc = qemu_start(&q, &e);
	if (rc) {
		bool skip = rc == -ENOENT;
		printf("%s%s\n0 passed, %d failed, %d skipped\n", skip ? "skip: " : "", e.why, !skip, skip);
		return !skip;
	}
	clock_t t0 = clock();
	rc = run_seeds(&q, first, n, monitor, &t, verbose);
	qemu_end(&q);
	printf(
	    "%llu table sets, %llu accesses, %llu of them page faults, %llu monitor answers, %llu accessed bits set early by"
	    " QEMU, %.1f s of CPU besides QEMU\n",
	    (unsigned long long)t.jobs, (unsigned long long)t.accesses, (unsigned long long)t.faults,
	    (unsigned long long)t.monitor, (unsigned long long)t.early_a, (double)(clock() - t0) / CLOCKS_PER_SEC);
	printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)(t.jobs > t.failed ? t.jobs - t.failed : 0),
	       (unsigned long long)t.failed);
	return rc || t.failed;
}
