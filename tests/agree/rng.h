/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A seeded generator of numbers.
 */
#ifndef KVMSCOPE_TESTS_AGREE_RNG_H
#define KVMSCOPE_TESTS_AGREE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s;
};
uint64_t rng_next(struct rng *r);
/* 0 to n - 1. */
static inline unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)(rng_next(r) >> 33) % n;
}
static inline bool rng_percent(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}
/* Values that arithmetic goes wrong at, and plain random ones. */
uint64_t rng_value(struct rng *r);

#endif
