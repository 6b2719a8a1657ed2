/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * SplitMix64.
 */
#include "tests/agree/rng.h"

uint64_t rng_next(struct rng *r)
{
	uint64_t x = r->s += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint64_t rng_value(struct rng *r)
{
	static const uint64_t edge[] = {0,
					1,
					2,
					0x7f,
					0x80,
					0xff,
					0x7fff,
					0x8000,
					0xffff,
					0x7fffffff,
					0x80000000,
					0xffffffff,
					0x7fffffffffffffff,
					0x8000000000000000,
					0xffffffffffffffff,
					0x100000000,
					0x10,
					0xf};
	unsigned how = rng_below(r, 8);

	if (how < 2)
		return edge[rng_below(r, sizeof(edge) / sizeof(*edge))];
	return how == 2 ? rng_below(r, 256) : how == 3 ? (uint32_t)rng_next(r) : rng_next(r);
}
