/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handing over between the debugger's thread and a vCPU's: a counter that is polled for a while before its waiter sleeps on
 * it (futex). A single step takes 10 to 50 µs and a wake-up as much again, so polling is worth it for as long as it
 * succeeds; if it does not (one CPU, a busy host, a guest that runs for long), the time polled shrinks to nothing.
 */
#include "kvmback/host/gate.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/util.h"

#define SPIN_MAX_NS 120000u

static unsigned spin_max(void)
{
	static atomic_int cpus;

	if (!atomic_load(&cpus))
		atomic_store(&cpus, (int)sysconf(_SC_NPROCESSORS_ONLN));
	return atomic_load(&cpus) > 1 ? SPIN_MAX_NS : 0;
}

void gate_post(struct gate *g)
{
	if (atomic_load(&g->sleeping))
		atomic_store(&g->posted_ns, clock_now_ns());
	atomic_fetch_add(&g->value, 1);
	if (atomic_load(&g->sleeping))
		syscall(SYS_futex, &g->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static bool spin(struct gate *g, unsigned seen)
{
	uint64_t end = clock_now_ns() + g->spin_ns;

	do {
		for (int i = 0; i < 32; i++) {
			if (atomic_load_explicit(&g->value, memory_order_acquire) != seen)
				return true;
			__builtin_ia32_pause();
		}
	} while (clock_now_ns() < end);
	return false;
}

static void sleep_on(struct gate *g, unsigned seen, uint64_t begin, uint64_t timeout_ns)
{
	atomic_fetch_add(&g->sleeping, 1);
	while (atomic_load(&g->value) == seen) {
		uint64_t gone = clock_now_ns() - begin, left = timeout_ns > gone ? timeout_ns - gone : 0;
		struct timespec t = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};

		if (timeout_ns && !left)
			break;
		syscall(SYS_futex, &g->value, FUTEX_WAIT_PRIVATE, seen, timeout_ns ? &t : NULL, NULL, 0);
	}
	atomic_fetch_sub(&g->sleeping, 1);
}

bool gate_wait(struct gate *g, unsigned seen, uint64_t timeout_ns)
{
	uint64_t begin = clock_now_ns();

	if (spin(g, seen))
		return true;
	sleep_on(g, seen, begin, timeout_ns);
	/* Waking takes its time: what counts is when the post was made. One that polling would have seen makes the next
	 * wait poll again. */
	uint64_t posted = atomic_load(&g->posted_ns);
	bool short_wait = atomic_load(&g->value) != seen && posted > begin && posted - begin < SPIN_MAX_NS;
	g->spin_ns = short_wait ? spin_max() : g->spin_ns / 2;
	return atomic_load(&g->value) != seen;
}
