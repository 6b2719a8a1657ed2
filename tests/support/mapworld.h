/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Maps of guest physical space for tests: what a look at a machine would have seen, put together piece by piece without one.
 *
 *     struct mapworld w = {0};
 *     mapworld_slot(&w, 1, 0x80000, 0x10000, SLOT_READONLY, SLOT_VIS_BOTH);
 *     mapworld_leaf(&w, 0x80, MAP_ACCESSED, 1);
 *     mapworld_look(&w);          w.map is there, compared with the one before
 *     mapworld_forget(&w);        sptes and tables are gone, slots stay
 *     mapworld_close(&w);
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_MAPWORLD_H
#define KVMSCOPE_TESTS_SUPPORT_MAPWORLD_H

#include "core/debug/pagemap.h"

struct mapworld {
	struct map_seen seen;
	struct board board; /* no windows but those of mapworld_device() */
	struct pagemap *map;
};

void mapworld_slot(struct mapworld *w, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags, enum slot_vis vis);
void mapworld_device(struct mapworld *w, const char *name, uint64_t gpa, uint64_t size);
void mapworld_armed(struct mapworld *w, uint64_t gpa, uint64_t size);
/* A leaf spte of a level; bits: MAP_WRITABLE, MAP_ACCESSED, MAP_DIRTY, or MAP_MMIO for an MMIO spte. */
struct spte_info *mapworld_leaf(struct mapworld *w, uint64_t gfn, uint32_t bits, unsigned level);
/* A shadow page of a guest table; leaves of later calls are its own. smm: leaves are seen from inside SMM. */
struct shadow_page *mapworld_table(struct mapworld *w, uint64_t gfn, bool unsync, bool smm);
/* Pages of a slot's dirty log, in a log of so many pages. */
void mapworld_log(struct mapworld *w, uint32_t slot, uint64_t pages, const uint64_t *set, size_t n);
void mapworld_unlog(struct mapworld *w);
void mapworld_look(struct mapworld *w);
void mapworld_forget(struct mapworld *w);
void mapworld_close(struct mapworld *w);

/* n pages of 4 KiB mapped, spread evenly over slots of size bytes in all. */
void mapworld_spread(struct mapworld *w, uint64_t size, size_t n);

/* The i-th region, that of a slot; they have to be there. */
const struct gpa_region *mapworld_region(const struct pagemap *map, size_t i);
const struct gpa_region *mapworld_region_of(const struct pagemap *map, uint32_t slot);
enum map_log_state mapworld_log_state(const struct pagemap *map, uint32_t slot);
/* One page of a slot; its bits but for MAP_CHANGED. */
struct map_cell mapworld_page(const struct pagemap *map, uint32_t slot, uint64_t gfn);
uint32_t mapworld_state(const struct pagemap *map, uint32_t slot, uint64_t gfn);

#endif
