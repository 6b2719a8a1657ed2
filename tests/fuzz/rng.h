/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Numbers by seed, and what a fuzz target is: one input made of a seed. Whatever is wrong aborts.
 */
#ifndef KVMSCOPE_TESTS_FUZZ_RNG_H
#define KVMSCOPE_TESTS_FUZZ_RNG_H

#include <string.h>

#include "core/base/util.h"

struct rng {
	uint64_t state;
};

static inline struct rng rng_of(uint64_t seed)
{
	return (struct rng){seed * 0x2545f4914f6cdd1dull + 7};
}

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline unsigned rng_below(struct rng *r, unsigned n)
{
	return (unsigned)(rng_next(r) % n);
}

/* What an input came to, for the summary: instructions executed, 1 where a parser took it. */
typedef uint64_t fuzz_fn(uint64_t seed);
fuzz_fn fuzz_machine, fuzz_image, fuzz_expr, fuzz_btf, fuzz_line;

extern bool fuzz_verbose;

/* Change a few bytes of a valid input, or cut it short. */
static inline size_t rng_mutate(struct rng *r, uint8_t *at, size_t n)
{
	static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, 0x10, 0x40};

	for (unsigned k = 1 + rng_below(r, 8); n && k--;) {
		size_t i = rng_next(r) % n;
		switch (rng_below(r, 4)) {
		case 0:
			at[i] ^= (uint8_t)(1u << rng_below(r, 8));
			break;
		case 1:
			at[i] = odd[rng_below(r, sizeof(odd))];
			break;
		case 2:
			memset(at + i, odd[rng_below(r, sizeof(odd))], n - i < 8 ? n - i : 8);
			break;
		default:
			at[i] = (uint8_t)rng_next(r);
			break;
		}
	}
	return rng_below(r, 8) ? n : rng_next(r) % (n + 1);
}

#endif
