/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looks: what of a machine's MMU can be listed. One row makes the call of machine.h with its checks, the backends' operation
 * (struct machine_looks), kvm's way to its reader of the kernel, and the fake machine's answer. The records, and how a list
 * of them is freed and copied, are in inspect.h. docs/ADDING-A-COMMAND.md adds one as an example.
 */
#ifndef KVMSCOPE_CORE_MACHINE_LOOKS_H
#define KVMSCOPE_CORE_MACHINE_LOOKS_H

#include "core/machine/inspect.h"

/* X(name, words, capabilities, list, shape): int machine_name(m, what shape has of arguments, struct list *out, e).
 *
 * shadow_pages  every shadow page; flags: SHADOW_WITH_…
 * roots         the roots of every vCPU
 * tdp_roots     the roots of the tables by gpa, whoever runs on them, each with counts of what is below it; none, and the
 *               reason, where the host shadows the guest's own tables
 * sptes         every spte (present or MMIO) under the vCPU's current root that maps part of gvas first..last
 * rmap          a row for each slot and level that has a head for the gfn: level 1 always if a slot covers it, higher ones
 *               if not empty
 * rmap_all      all non-empty rmaps of the VM, without gvas
 * rmap_histogram  lengths of the chains, a row for each slot and level
 * mmio          the vCPUs' MMIO caches and the VM's MMIO sptes; whether an entry is stale is the wrapper's to fill in */
#define MACHINE_LOOK_LIST(X)                                                                                                \
	X(shadow_pages, "list shadow pages", NEEDS(SHADOW), shadow_page_list, FLAGS)                                        \
	X(roots, "list roots", NEEDS(SHADOW), root_list, VM)                                                                \
	X(tdp_roots, "list TDP's roots", NEEDS(SHADOW), tdp_root_list, VM)                                                  \
	X(sptes, "list sptes", NEEDS(SHADOW), spte_list, RANGE)                                                             \
	X(rmap, "read an rmap", NEEDS(RMAP), rmap_list, GFN)                                                                \
	X(rmap_all, "read all rmaps", NEEDS(RMAP), rmap_list, VM)                                                           \
	X(rmap_histogram, "count rmaps", NEEDS(RMAP), rmap_histogram_list, VM)                                              \
	X(mmio, "read the MMIO cache", NEEDS(MMIO_CACHE), mmio_info_list, VM)

/* Shapes: the arguments between the machine and the list, as parameters and as they are handed on. */
#define LOOK_PARAMS_VM
#define LOOK_HAND_ON_VM
#define LOOK_PARAMS_GFN uint64_t gfn,
#define LOOK_HAND_ON_GFN gfn,
#define LOOK_PARAMS_FLAGS unsigned flags,
#define LOOK_HAND_ON_FLAGS flags,
#define LOOK_PARAMS_RANGE unsigned vcpu, uint64_t first, uint64_t last,
#define LOOK_HAND_ON_RANGE vcpu, first, last,

/* The same by name, for what serves looks of any shape. */
struct look_args {
	unsigned vcpu, flags;
	uint64_t first, last; /* gvas, or the gfn in both */
	bool has_vcpu, has_range, has_gfn;
};
#define LOOK_ARGS_VM                                                                                                        \
	(struct look_args)                                                                                                  \
	{                                                                                                                   \
		0                                                                                                           \
	}
#define LOOK_ARGS_GFN                                                                                                       \
	(struct look_args)                                                                                                  \
	{                                                                                                                   \
		.first = gfn, .last = gfn, .has_gfn = true                                                                  \
	}
#define LOOK_ARGS_FLAGS                                                                                                     \
	(struct look_args)                                                                                                  \
	{                                                                                                                   \
		.flags = flags                                                                                              \
	}
#define LOOK_ARGS_RANGE                                                                                                     \
	(struct look_args)                                                                                                  \
	{                                                                                                                   \
		.vcpu = vcpu, .first = first, .last = last, .has_vcpu = true, .has_range = true                             \
	}

/* A backend's looks; NULL members are not supported by it. Arguments are checked as for struct machine_ops. */
struct machine;
struct machine_looks {
#define LOOK_MEMBER(name, words, needs, list, shape)                                                                        \
	int (*name)(struct machine * m, LOOK_PARAMS_##shape struct list * out, struct err * e);
	MACHINE_LOOK_LIST(LOOK_MEMBER)
#undef LOOK_MEMBER
};

#define LOOK_CALL(name, words, needs, list, shape)                                                                          \
	int machine_##name(struct machine *m, LOOK_PARAMS_##shape struct list *out, struct err *e) MUST_USE;
MACHINE_LOOK_LIST(LOOK_CALL)
#undef LOOK_CALL

#endif
