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

/* How a child ends: soft's own way, the other one, neither. */
enum way { OWN, OTHER, NEITHER };

#define STACK_SIZE 0x10000ul

static struct soft_habits habits;
static uint8_t *missing;		 /* two pages, behind a stack that is there */
static const uint8_t *if_own, *if_other; /* the fault's address; NULL: #GP */
static size_t other_size = 1;

struct soft_habits host_habits(void)
{
	return habits;
}

/* 0x1234 and 0xabcd shifted by 20: either 0xbcd1, the destination behind the source, or 0xbcda, the source once more. */
static void try_shiftd(void)
{
	uint16_t left = 0x1234, right = 0x1234, with = 0xabcd;

	__asm__ volatile("shldw $20, %1, %0" : "+r"(left) : "r"(with) : "cc");
	__asm__ volatile("shrdw $20, %1, %0" : "+r"(right) : "r"(with) : "cc");
	_exit(left == 0xbcda && right == 0xdabc ? OTHER : left == 0xbcd1 && right == 0x4abc ? OWN : NEITHER);
}

static void faulted(int sig, siginfo_t *info, void *ctx)
{
	const uint8_t *at = info->si_addr;

	(void)sig;
	(void)ctx;
	_exit((at >= if_other && at < if_other + other_size) || at == if_other ? OTHER : at == if_own ? OWN : NEITHER);
}

/* Both operands are missing: the first fault tells. */
static void try_cmpsb(void)
{
	uint8_t *from = missing, *to = missing + 0x1000;
	unsigned long n = 3;

	if_other = from;
	if_own = to;
	__asm__ volatile("repe cmpsb" : "+S"(from), "+D"(to), "+c"(n) : : "memory", "cc");
}

/* CS is null, and what an outer privilege's RSP and SS would be popped from is missing. */
static void try_outer(void)
{
	uint64_t *sp = (uint64_t *)(void *)missing - 2;

	sp[0] = sp[1] = 0;
	if_other = missing;
	other_size = 16;
	if_own = NULL;
	__asm__ volatile("mov %0, %%rsp\n\tlretq" : : "r"(sp) : "memory");
}

/* All that they pop is missing. */
static void try_retf(void)
{
	if_other = missing + 8;
	if_own = missing;
	__asm__ volatile("mov %0, %%rsp\n\tlretq" : : "r"(missing) : "memory");
}

static void try_iret(void)
{
	if_other = missing + 16;
	if_own = missing;
	__asm__ volatile("mov %0, %%rsp\n\tiretq" : : "r"(missing) : "memory");
}

/* The target is not canonical, and what the return address would be pushed to is missing. */
static void try_call(void)
{
	uint64_t to = 1ull << 63, *at = &to;

	if_other = NULL;
	other_size = 0;
	if_own = missing + 0x1000 - 8;
	__asm__ volatile("mov %0, %%rsp\n\tcall *(%1)" : : "r"(missing + 0x1000), "r"(at) : "memory");
}

static int run_child(void (*try)(void))
{
	struct sigaction sa = {.sa_sigaction = faulted, .sa_flags = SA_SIGINFO};
	uint8_t *stack = mmap(NULL, STACK_SIZE + 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED)
		return NEITHER;
	missing = stack + STACK_SIZE;
	if (!mprotect(missing, 0x2000, PROT_NONE) && !sigaction(SIGSEGV, &sa, NULL))
		try();
	return NEITHER;
}

static int tried(void (*try)(void), bool *habit)
{
	int status = 0;
	pid_t child = fork();

	if (!child)
		_exit(run_child(try));
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) >= NEITHER)
		return -1;
	*habit = WEXITSTATUS(status) == OTHER;
	return 0;
}

int host_probe(void)
{
	bool iret = false;
	int rc = tried(try_shiftd, &habits.shiftd_source);

	rc |= tried(try_cmpsb, &habits.cmpsb_source);
	rc |= tried(try_outer, &habits.outer_early);
	rc |= tried(try_call, &habits.call_target_first);
	rc |= tried(try_retf, &habits.pops_down) | tried(try_iret, &iret);
	if (iret == habits.pops_down)
		return rc;
	habits.pops_down = false;
	return -1;
}
