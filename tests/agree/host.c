/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What this host's processor does where the manuals leave it open: tried in a child, bare, without KVM. Soft is told, so
 * that these instructions are compared like all others, in code that runs freely too. docs/AGREEMENT.md has what was seen
 * where.
 */
#include "tests/agree/agree.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHIFTD_SOURCE = 1, CMPSB_SOURCE = 2, NEITHER = 4 };

static struct soft_habits habits;
static uint8_t *source;
static int seen;

struct soft_habits host_habits(void)
{
	return habits;
}

/* 0x1234 and 0xabcd shifted by 20: either 0xbcd1, the destination behind the source, or 0xbcda, the source once more. */
static int try_shiftd(void)
{
	uint16_t left = 0x1234, right = 0x1234, with = 0xabcd;

	__asm__ volatile("shldw $20, %1, %0" : "+r"(left) : "r"(with) : "cc");
	__asm__ volatile("shrdw $20, %1, %0" : "+r"(right) : "r"(with) : "cc");
	if (left == 0xbcda && right == 0xdabc)
		return SHIFTD_SOURCE;
	return left == 0xbcd1 && right == 0x4abc ? 0 : NEITHER;
}

static void faulted(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	_exit(seen | (info->si_addr == source ? CMPSB_SOURCE : info->si_addr == source + 0x1000 ? 0 : NEITHER));
}

/* Both operands are missing: the first fault tells. Does not come back. */
static void try_cmpsb(void)
{
	struct sigaction sa = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO};
	unsigned long n = 3;

	source = mmap(NULL, 0x2000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (source == MAP_FAILED || sigaction(SIGSEGV, &sa, NULL))
		_exit(NEITHER);
	uint8_t *from = source, *to = source + 0x1000;
	__asm__ volatile("repe cmpsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory", "cc");
	_exit(NEITHER);
}

int host_probe(void)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		seen = try_shiftd();
		try_cmpsb();
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	habits.shiftd_source = WEXITSTATUS(status) & SHIFTD_SOURCE;
	habits.cmpsb_source = WEXITSTATUS(status) & CMPSB_SOURCE;
	return WEXITSTATUS(status) & NEITHER ? -1 : 0;
}
