/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Small things that every file may use: array length, page arithmetic, scoped cleanup, the clock.
 */
#ifndef KVMSCOPE_CORE_BASE_UTIL_H
#define KVMSCOPE_CORE_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#define PAGE_SHIFT 12
#define PAGE_SIZE_4K 0x1000ull
#define PAGE_OFFSET_MASK 0xfffull

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* _cleanup_(fn): call fn(&variable) when the variable's scope ends. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void util_freep(void *p)
{
	free(*(void **)p);
}

static inline void util_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_ _cleanup_(util_freep)
#define _cleanup_close_ _cleanup_(util_closep)

/* True if [base, base + len) wraps past 2^64. len 0 never wraps. */
static inline bool range_wraps(uint64_t base, uint64_t len)
{
	return len && base + (len - 1) < base;
}

/* True if two ranges of base and non-zero length share a byte; neither may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return alen && blen && a <= b + (blen - 1) && b <= a + (alen - 1);
}

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t clock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

#endif
