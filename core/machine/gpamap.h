/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The guest physical space as one list without gaps: slots, device windows, and the holes between them. A slot goes before a
 * window that it covers, in the view (outside SMM, inside SMM) from which it is seen.
 */
#ifndef KVMSCOPE_CORE_GPAMAP_H
#define KVMSCOPE_CORE_GPAMAP_H

#include "core/board/board.h"
#include "core/machine/inspect.h"

enum gpa_kind { GPA_RAM, GPA_ROM, GPA_DEVICE, GPA_HOLE };
const char *gpa_kind_name(enum gpa_kind k); /* "ram", "rom", "device", "hole" */

struct gpa_region {
	uint64_t first, last; /* gpas, last is the last byte's */
	enum gpa_kind kind;
	enum slot_vis vis; /* from where it is seen */
	uint32_t slot;	   /* RAM, ROM: the slot's id */
	uint32_t flags;	   /* the slot's */
	bool own;	   /* a slot that the debugger keeps for itself */
	char name[32];	   /* DEVICE: the window's, cut off where it is longer; else "" */
};
static inline bool gpa_is_slot(const struct gpa_region *r)
{
	return r->kind == GPA_RAM || r->kind == GPA_ROM;
}
struct gpa_map {
	struct gpa_region *v;
	size_t n;
};

/* By gpa; at the same gpa slots before windows, then what is seen outside SMM first. Regions of different views may overlap,
 * others do not, unless a kernel's list of slots makes no sense. A hole is what no view sees anything in; the last one ends
 * below limit, the first address past physical memory. own: the debugger's own slots are in it, else they count as holes.
 * b: NULL for no windows. At least one region, as limit is above 0. -ENOMEM. The caller frees it. */
int gpa_map_build(const struct slot_info_list *slots, const struct board *b, uint64_t limit, bool own, struct gpa_map *out,
		  struct err *e) MUST_USE;
void gpa_map_free(struct gpa_map *map);

#endif
