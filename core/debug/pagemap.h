/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map of guest physical memory: which slots, devices and holes there are, and what the MMU has for each page of them at
 * the moment of a look. A look asks the machine and changes nothing. What is kept goes by what is mapped, not by how much
 * could be, and a range of any length is summed up by binary search, so that 1 TiB of slots is drawn as fast as 1 MiB.
 *
 * Sptes are those of all shadow pages that are in use, so a page's count is the length of its reverse map; where TDP keeps
 * none it is the count all the same.
 *
 * What changes is seen by comparing with the look before. An access that leaves sptes as they are, such as a write to a page
 * that is dirty already, is not seen: to see it a look would have to clear what it looks at.
 */
#ifndef KVMSCOPE_CORE_DEBUG_PAGEMAP_H
#define KVMSCOPE_CORE_DEBUG_PAGEMAP_H

#include "core/machine/gpamap.h"
#include "core/machine/machine.h"

/* What is true of a page, or of one of the pages of a range. */
enum map_bit {
	MAP_MAPPED = 1 << 0,   /* by a leaf spte */
	MAP_WRITABLE = 1 << 1, /* one that allows writes */
	MAP_ACCESSED = 1 << 2, /* one with A */
	MAP_DIRTY = 1 << 3,    /* one with D */
	MAP_HUGE = 1 << 4,     /* one of 2 MiB or more */
	MAP_TABLE = 1 << 5,    /* shadowed as a guest page table */
	MAP_UNSYNC = 1 << 6,   /* a table whose shadow page is unsync */
	MAP_MMIO = 1 << 7,     /* an MMIO spte, or the valid entry of a vCPU's MMIO cache, is of it */
	MAP_ARMED = 1 << 8,    /* kept from the guest to see who touches it: watched, or its faults are caught */
	MAP_LOGGED = 1 << 9,   /* in its slot's dirty log */
	MAP_CHANGED = 1 << 10, /* any of MAP_STATE is not as it was at the look before */
	MAP_UNKNOWN = 1 << 11, /* sptes could not be read: what is not said here may be so all the same */
};
#define MAP_STATE (MAP_MAPPED | MAP_WRITABLE | MAP_ACCESSED | MAP_DIRTY | MAP_HUGE | MAP_TABLE | MAP_UNSYNC | MAP_MMIO)
#define MAP_HEAT_MAX 5

/* What a look is made of; one that failed is not known, with the reason. */
enum map_part { MAP_PART_SLOTS, MAP_PART_SPTES, MAP_PART_LOG, MAP_PART_MMIO, MAP_PARTS };

/* Of a slot's dirty log. OLD: as it was when the guest stood last, and what sptes say was written since. */
enum map_log_state { MAP_LOG_NONE, MAP_LOG_KNOWN, MAP_LOG_OLD, MAP_LOG_UNKNOWN };

/* A range of pages summed up. */
struct map_cell {
	uint32_t bits; /* enum map_bit, of any of its pages */
	unsigned heat; /* of the hottest: rises each time that a look finds it changed, falls by one each time it does not */
	uint32_t sptes;						      /* the most that one page has */
	uint64_t pages;						      /* in the range, … */
	uint64_t mapped, writable, dirty, huge, tables, mmio, logged; /* … and how many of them are so */
};

struct map_about {
	bool live; /* the guest ran meanwhile */
	bool torn; /* what was read changed meanwhile, or some of it made no sense */
	enum source source;
	const char *why[MAP_PARTS]; /* NULL: known */
	uint64_t looks;		    /* so far */
	uint64_t limit;		    /* the first gpa behind guest physical space */
	size_t entries;		    /* kept; for what a map costs */
};

struct pagemap;
/* Look again: *map becomes the new one, changes and heat are against the old one; NULL before the first. -ENOMEM: *map is as
 * it was. Nothing else fails: what the machine refuses is a part that is not known. */
int pagemap_look(struct pagemap **map, struct machine *m, struct err *e) MUST_USE;
void pagemap_destroy(struct pagemap *map);
struct map_about pagemap_about(const struct pagemap *map);

/* All of guest physical space as gpa_map_build() gives it, the debugger's own slots too. */
const struct gpa_region *pagemap_regions(const struct pagemap *map, size_t *n);
/* Of one of its regions; NONE where no dirty log is kept. */
enum map_log_state pagemap_log_state(const struct pagemap *map, const struct gpa_region *r);
/* The first region that has gpa; gpas behind the limit are in the last one. */
size_t pagemap_region_at(const struct pagemap *map, uint64_t gpa);
/* What is in first..last of a region of this map; cut off at the region's ends. */
struct map_cell pagemap_cell(const struct pagemap *map, const struct gpa_region *r, uint64_t first, uint64_t last);

/* ---- what a look has seen; for tests, which make maps of machines that they do not have */

struct map_range {
	uint64_t gpa, size;
};
struct map_log_seen {
	uint32_t slot;
	uint64_t *bits; /* one a page, as machine_slot_dirty() gives it */
	size_t n_words;
};
struct map_seen {
	struct slot_info_list slots;
	struct shadow_page_list pages; /* with leaves */
	struct mmio_info_list mmio;
	struct map_log_seen *log;
	size_t n_log;
	const struct board *board; /* its windows; NULL: none */
	struct map_range *armed;
	size_t n_armed;
	uint64_t limit; /* 0: 1 << 52 */
	bool live;
	char why[MAP_PARTS][160]; /* "": known */
};
int pagemap_make(struct pagemap **map, const struct map_seen *seen, struct err *e) MUST_USE;

#endif
