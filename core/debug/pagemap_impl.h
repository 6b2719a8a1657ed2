/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside the map of guest physical space.
 *
 * pagemap_look.c: asks the machine		pagemap_region.c: which region a gfn is of
 * pagemap.c: entries, and what has changed	pagemap_log.c: dirty logs
 * pagemap_sum.c: ranges
 */
#ifndef KVMSCOPE_CORE_DEBUG_PAGEMAP_IMPL_H
#define KVMSCOPE_CORE_DEBUG_PAGEMAP_IMPL_H

#include "core/debug/pagemap.h"

/* Pages are kept apart by the visibility of the slot that they are in: slots of one visibility never overlap. 0: in no slot.
 */
#define MAP_LAYERS 4
#define MAP_LEVELS 3 /* of mappings: 4 KiB, 2 MiB, 1 GiB */

struct map_entry {
	uint64_t gfn; /* the first of its level's pages */
	uint32_t sptes;
	uint16_t bits;
	uint8_t heat;
};

/* Sums made beforehand: of each 16 entries, of each 256, … */
#define MAP_BLOCK_BITS 4
#define MAP_BLOCK_STEPS 6

/* What is mapped by one level, ascending, each gfn once. */
struct map_level {
	struct map_entry *v;
	size_t n, cap;
	struct map_cell *block[MAP_BLOCK_STEPS]; /* whole ones; NULL behind the last step that has one */
};

/* Some pages of a dirty log, those that are all clean left out; `before` counts the pages logged in all chunks before. */
#define MAP_CHUNK_WORDS 8
#define MAP_CHUNK_PAGES (64ull * MAP_CHUNK_WORDS)
struct map_chunk {
	uint64_t page; /* its first, counted in the slot; a multiple of MAP_CHUNK_PAGES */
	uint64_t before;
	uint64_t word[MAP_CHUNK_WORDS];
};
struct map_log {
	enum map_log_state state;
	uint32_t slot;
	uint64_t gpa, size;
	struct map_chunk *v;
	size_t n, cap;
};

struct map_run {
	uint64_t first, last; /* gfns */
};

struct pagemap {
	struct gpa_map regions;
	uint64_t *reach; /* for each region: the last gpa of it or of one before */
	struct map_level level[MAP_LAYERS][MAP_LEVELS];
	struct map_log *log; /* one for each region, by its index; empty ones have no chunks */
	struct map_run *armed;
	size_t n_armed;
	struct map_about about;
	char why[MAP_PARTS][160];
};

static inline uint64_t map_level_pages(unsigned level)
{
	return 1ull << 9 * level;
}
/* Of which layer a region's pages are. */
static inline unsigned map_layer(const struct gpa_region *r)
{
	return gpa_is_slot(r) ? r->vis : 0;
}

int map_regions_make(struct pagemap *map, const struct map_seen *seen, struct err *e) MUST_USE;
/* The slot region that has a gfn as seen from inside or outside SMM, NULL for none. */
const struct gpa_region *map_slot_at(const struct pagemap *map, uint64_t gfn, bool smm);

/* Logs as seen, or what is known of them from the map before. The map's regions and entries are there already. */
int map_logs_make(struct pagemap *map, const struct pagemap *old, const struct map_seen *seen, struct err *e) MUST_USE;
/* How many pages of a log are set, of those in first..last counted in the slot. */
uint64_t map_log_count(const struct map_log *l, uint64_t first, uint64_t last);

/* The sums made beforehand, of all levels; -ENOMEM. */
int map_sums_make(struct pagemap *map) MUST_USE;
/* The first entry that reaches gfn or is behind it. */
size_t map_level_find(const struct map_level *l, unsigned level, uint64_t gfn);

#endif
