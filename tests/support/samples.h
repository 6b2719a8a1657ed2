/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Sample inspection results as demo:tour leaves them, as records: what tests of views and records start from.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_SAMPLES_H
#define KVMSCOPE_TESTS_SUPPORT_SAMPLES_H

#include "views/record.h"

typedef struct value sample_fn(struct pool *p);
sample_fn sample_slots, sample_slot_flip, sample_slot_dirty, sample_shadow, sample_tdp, sample_sptes, sample_rmap,
    sample_rmap_nested, sample_sptes_nested, sample_long_rmap, sample_rmap_empty, sample_rmaps, sample_mmio,
    sample_mmio_stale, sample_tlb, sample_mem, sample_xlate_fault, sample_xlate, sample_memop, sample_memop_fault,
    sample_stop_exception, sample_stop_mmio, sample_stop_note, sample_stop_real, sample_stages, sample_diff,
    sample_breakpoints, sample_disas, sample_dump, sample_dump_string, sample_regs, sample_regs_all, sample_regs_old,
    sample_regs_old_all, sample_stop_old, sample_vcpus_old, sample_vcpus, sample_facts, sample_walk, sample_walk_mmio,
    sample_map, sample_map_smm;
/* samples_look.c */
sample_fn sample_context, sample_context_old, sample_stop_context, sample_telescope, sample_hexdump, sample_hexdump_folded,
    sample_xinfo, sample_xinfo_mmio, sample_vmmap;
/* n leaf sptes of level 1, no two of which are a run. */
struct value sample_leaves(struct pool *p, unsigned n);

#endif
