/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 *     agree_qemu [-f FIRST] [-n SEEDS] [-i] [-m]
 *
 * -i: lists of instructions instead of page tables, 2,048 instructions a seed. -m: without the monitor's commands. Skips,
 * counted, where QEMU is not installed.
 */
#include "tests/qemu/qemu.h"

#include <errno.h>
#include <time.h>

static int run_insn_seeds(struct qemu *q, uint64_t first, uint64_t n, struct tally *t)
{
	int rc = 0;

	for (uint64_t i = 0; !rc && i < n; i++, fflush(stdout))
		rc = run_insns(q, first + i, t);
	return rc;
}

static int run_seeds(struct qemu *q, uint64_t first, uint64_t n, bool monitor, struct tally *t)
{
	while (n) {
		unsigned now = n < BATCH_MAX ? (unsigned)n : BATCH_MAX;
		int rc = run_batch(q, first, now, monitor, t);
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
	bool monitor = true, insns = false;
	struct tally t = {0};
	struct qemu q;
	struct err e = {0};
	int c;

	while ((c = getopt(argc, argv, "f:n:im")) != -1)
		switch (c) {
		case 'f':
			first = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			n = strtoull(optarg, NULL, 0);
			break;
		case 'i':
			insns = true;
			break;
		case 'm':
			monitor = false;
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
	rc = insns ? run_insn_seeds(&q, first, n, &t) : run_seeds(&q, first, n, monitor, &t);
	qemu_end(&q);
	if (insns)
		printf("%llu instructions, %.1f s of CPU besides QEMU\n", (unsigned long long)t.insns,
		       (double)(clock() - t0) / CLOCKS_PER_SEC);
	else
		printf("%llu table sets, %llu accesses, %llu of them page faults, %llu monitor answers, %llu accessed bits "
		       "set early by"
		       " QEMU, %.1f s of CPU besides QEMU\n",
		       (unsigned long long)t.jobs, (unsigned long long)t.accesses, (unsigned long long)t.faults,
		       (unsigned long long)t.monitor, (unsigned long long)t.early_a,
		       (double)(clock() - t0) / CLOCKS_PER_SEC);
	printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)(t.jobs > t.failed ? t.jobs - t.failed : 0),
	       (unsigned long long)t.failed);
	return rc || t.failed;
}
