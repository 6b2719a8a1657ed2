/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From core's plain structs to the records that commands give: the one place where a record's keys are spelled. Everything
 * lives in the pool. Views draw these records, Tcl and JSON hand them out.
 */
#ifndef KVMSCOPE_VIEWS_RECORD_H
#define KVMSCOPE_VIEWS_RECORD_H

#include "core/base/value.h"
#include "core/board/board.h"
#include "core/debug/backtrace.h"
#include "core/debug/deref.h"
#include "core/stop/point.h"
#include "core/cpu/disas.h"
#include "core/debug/snap.h"
#include "core/debug/stoplog.h"
#include "core/machine/gpamap.h"
#include "core/machine/machine.h"

struct value record_stop(struct pool *p, const struct stop *s, const char *why);
/* What a stop by catch mmu is about: a list of event, vcpu, gfn, level, and role, or spte and sptep. */
struct value record_mmu_events(struct pool *p, const struct mmu_event_list *l);
struct value record_slot(struct pool *p, const struct slot_info *s);
/* A slot after a change, with the steps that ran. */
/* ring, ring_entries, ring_full and ring_lost, into the record of a slot. */
void record_put_ring(struct pool *p, struct value *slot, const struct dirty_entry_list *l);
/* vcpu, first, last, bytes, and calls or mapped and not_accessed. */
void record_put_prefault(struct pool *p, struct value *slot, unsigned vcpu, uint64_t gpa, const struct prefault *done);
struct value record_slot_changed(struct pool *p, const struct slot_info *s, const struct slot_steps *steps);
/* A part of the guest physical space: gpa, size, kind, slot, flags, visible, and name of a device, own. */
struct value record_region(struct pool *p, const struct gpa_region *r);
struct value record_spte(struct pool *p, const struct spte_info *s);
struct value record_shadow_page(struct pool *p, const struct shadow_page *s);
/* mmu, why, try and, where there are tables by gpa, what help says of info tdp but logged. */
struct value record_tdp(struct pool *p, const struct tdp_root_list *l);
struct value record_rmap(struct pool *p, const struct rmap_info *r);
struct value record_rmap_histogram(struct pool *p, const struct rmap_histogram *h);
struct value record_mmio(struct pool *p, const struct mmio_info *m);
struct value record_fault_stage(struct pool *p, const struct fault_stage *f);
struct value record_backtrace(struct pool *p, const struct backtrace *b, const struct symbols *syms);
struct value record_stop_point(struct pool *p, const struct stop_point *b);
struct value record_xlate(struct pool *p, const struct xlate_tlb *tlb, const struct xlate_iolist *io);
struct value record_memop(struct pool *p, const struct memop *op, const struct memop_result *r);
struct value record_storage_key(struct pool *p, uint64_t gpa, uint8_t byte);  /* as storage_key_get() gives it */
struct value record_guest_fault(struct pool *p, const struct guest_fault *f); /* null if not present */
struct value record_walk_steps(struct pool *p, const struct walk *w, enum paging_mode mode);
/* Entry i of the walk that ends in this mapping: gva (the first that it maps), size, level, at (its gpa), entry, flags,
 * leaf, gfn of a leaf. */
struct value record_guest_entry(struct pool *p, const struct walk *w, unsigned i, const struct guest_mapping *m,
				enum paging_mode mode);
/* Equal flags of a list's mappings share one list of words: known is zeroed at first and belongs to the pool's lifetime. */
struct mapping_flags {
	struct value list[64];
};
struct value record_mapping(struct pool *p, const struct guest_mapping *m, struct mapping_flags *known);
/* A list of writable, user, exec; rights as in struct walk. */
struct value record_rights(struct pool *p, uint8_t rights);
/* Entries that point to a table which is not gone through again: as a mapping, gpa and entry null, with what
 * record_span_table() puts into a row: end (inclusive), kind (repeated, recursive), table, level, entries, same_as of one
 * that repeats, why (a sentence). */
struct value record_span(struct pool *p, const struct guest_span *s);
void record_span_table(struct pool *p, struct value *row, const struct guest_span *s);
/* A range of neighbouring mappings: gva, end (inclusive), size, flags. rights as in struct walk. */
struct value record_range(struct pool *p, uint64_t first, uint64_t last, uint8_t rights);
struct value record_insn(struct pool *p, const struct insn *i, const char *symbol);
/* A list of dicts, one a link: value, and where it has one symbol; the last may have insn or string (and cut), loop or more.
 */
struct value record_chain(struct pool *p, const struct deref_chain *c, const struct symbols *syms);
struct value record_diff(struct pool *p, const struct diff_list *d);
/* vcpu, kind (spin, access, exception), at (linear; of a spin the lowest place seen, last is the highest), ms (for how
 * long), count; gpa or port, len, write; vector, cr2; why. */
struct value record_stall(struct pool *p, const struct stall *s, const char *why);
/* A stop as a log has it: reason, vcpu, rip, why, shadow_pages, sptes, rmaps, chains, longest, longest_gfn, changed,
 * changes. */
struct value record_trace_stop(struct pool *p, const struct stop_row *r);
/* name → value of every register of the parts in r->valid; all: segments' parts, MSRs and FPU too. */
struct value record_regs(struct pool *p, const struct regs *r, bool all);
/* Of a vCPU that is in L2: kind, control, paging, l1_root, and where it is known l1_rip and l1_cr3. */
struct value record_nested(struct pool *p, const struct nested_guest *g);
/* The second translation of a walk with w->nested: l2_gpa, l1_root, tables, refused. */
struct value record_nested_walk(struct pool *p, const struct nested_mem *n, const struct walk *w, unsigned access);
/* To a dict with registers' names as keys: of_last_stop, a list of those that are, if there are any. */
void record_old_regs(struct pool *p, struct value *d, const struct regs *r);
struct value record_flags(struct pool *p, uint32_t slot_flags); /* list of readonly, log-dirty, smram */

#endif
