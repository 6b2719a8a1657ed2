/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A machine's state at one moment (slots, shadow pages, sptes, rmaps, MMIO cache, registers, guest paging's A/D bits and
 * dirty logs by way of the memory hash) and what differs between two of them.
 */
#ifndef KVMSCOPE_CORE_DEBUG_SNAP_H
#define KVMSCOPE_CORE_DEBUG_SNAP_H

#include "core/machine/machine.h"

struct snap;
/* What the machine cannot show (no BPF, a vCPU parked in a fault) is left out, and snap_missing() tells why; -ENOMEM and a
 * failing slot list are errors. Nothing that it looks at changes. with_memory: also a hash of every guest page that is not
 * all zeroes, so that diff names changed gfns. */
int snap_take(struct machine *m, bool with_memory, struct snap **out, struct err *e) MUST_USE;
void snap_destroy(struct snap *s);

enum diff_part { DIFF_SLOT, DIFF_SHADOW, DIFF_SPTE, DIFF_RMAP, DIFF_MMIO, DIFF_REG, DIFF_MEMORY };
enum diff_kind { DIFF_ADDED, DIFF_REMOVED, DIFF_CHANGED };
const char *diff_part_name(enum diff_part p); /* slot, shadow-page, spte, rmap, mmio, register, memory */
const char *diff_kind_name(enum diff_kind k); /* added, removed, changed */

struct diff_row {
	enum diff_part part;
	enum diff_kind kind;
	char what[80];	  /* "gfn 0x40 level 1", "vcpu 0 rip", "slot 1 flags" */
	char before[120]; /* "" where added */
	char after[120];  /* "" where removed */
};
struct diff_list {
	struct diff_row *v;
	size_t n;
};
/* Why a part is not in the snapshot ("no CAP_BPF …"); NULL if it is. A diff leaves out what either side lacks. */
const char *snap_missing(const struct snap *s, enum diff_part p);
/* How many slots, shadow pages, sptes, rmaps, vCPUs' MMIO caches, vCPUs' registers or memory pages it holds. */
size_t snap_count(const struct snap *s, enum diff_part p);
bool snap_torn(const struct snap *s); /* the kernel changed something under a read */

/* Rows in a stable order (part, then key). An empty list means nothing changed. */
int snap_diff(const struct snap *a, const struct snap *b, struct diff_list *out, struct err *e) MUST_USE;
void diff_list_free(struct diff_list *l);

#endif
