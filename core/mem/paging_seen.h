/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which of the guest's tables a listing has been through, and what they map in all: inside core/mem/paging_enum.c.
 */
#ifndef KVMSCOPE_CORE_MEM_PAGING_SEEN_H
#define KVMSCOPE_CORE_MEM_PAGING_SEEN_H

#include "core/base/util.h"

/* What a table maps: nothing; every address, with the same rights; anything else. */
enum seen_kind { SUM_UNKNOWN, SUM_NOTHING, SUM_ALL, SUM_MIXED };
struct seen_sum {
	enum seen_kind kind;
	uint8_t rights; /* ALL */
};
/* Of the entries of a table one after the other; UNKNOWN at first. */
static inline void seen_sum_add(struct seen_sum *sum, const struct seen_sum *entry)
{
	if (sum->kind == SUM_UNKNOWN)
		*sum = *entry;
	else if (sum->kind != entry->kind || (sum->kind == SUM_ALL && sum->rights != entry->rights))
		sum->kind = SUM_MIXED;
}

struct seen_table {
	uint64_t key; /* gpa, level and rights; 0: no table */
	uint64_t gva; /* where it was gone through */
	struct seen_sum sum;
};

/* Tables by what they are: a fixed number of them, in groups that share a hash. */
#define SEEN_GROUP 4
#define SEEN_GROUPS 4096
struct tables_seen {
	struct seen_table v[SEEN_GROUPS][SEEN_GROUP];
};

static inline struct tables_seen *tables_seen_create(void)
{
	return calloc(1, sizeof(struct tables_seen));
}

static inline uint64_t seen_key(uint64_t gpa, unsigned level, uint8_t rights)
{
	return gpa << 8 | (uint64_t)level << 8 | rights; /* a table's gpa has 52 bits, the last 12 of them are 0 */
}

static inline struct seen_table *seen_group(struct tables_seen *s, uint64_t key)
{
	return s->v[key * 0x9e3779b97f4a7c15ull >> 52];
}

static inline const struct seen_table *tables_seen_find(struct tables_seen *s, uint64_t gpa, unsigned level, uint8_t rights)
{
	uint64_t key = seen_key(gpa, level, rights);
	const struct seen_table *g = seen_group(s, key);

	for (unsigned i = 0; i < SEEN_GROUP; i++)
		if (g[i].key == key)
			return &g[i];
	return NULL;
}

static inline unsigned seen_level(const struct seen_table *t)
{
	return t->key >> 8 & 7;
}

/* In the place of one of the lowest level where there is none left: that is what costs least to go through again. */
static inline void tables_seen_add(struct tables_seen *s, uint64_t gpa, unsigned level, uint8_t rights, uint64_t gva,
				   const struct seen_sum *sum)
{
	uint64_t key = seen_key(gpa, level, rights);
	struct seen_table *g = seen_group(s, key), *at = g;

	for (unsigned i = 0; i < SEEN_GROUP; i++) {
		if (g[i].key == key)
			return;
		if (seen_level(&g[i]) < seen_level(at))
			at = &g[i];
	}
	*at = (struct seen_table){.key = key, .gva = gva, .sum = *sum};
}

#endif
