/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Records of what a machine is made of: stops, slots, registers. Memory-management records are in record_mmu.c, those of
 * translations in record_guest.c, those of the debugger's own tables in record_debug.c.
 */
#include "views/record.h"

#include <stdio.h>
#include <string.h>

struct value record_flags(struct pool *p, uint32_t slot_flags)
{
	struct value v = v_list(p, 3);

	if (slot_flags & SLOT_READONLY)
		v_push(p, &v, v_lit("readonly"));
	if (slot_flags & SLOT_LOG_DIRTY)
		v_push(p, &v, v_lit("log-dirty"));
	if (slot_flags & SLOT_SMRAM)
		v_push(p, &v, v_lit("smram"));
	return v;
}

/* The kernel sets bit 63 of a slot generation while it swaps the tables. */
static void put_generation(struct pool *p, struct value *d, uint64_t generation)
{
	v_put(p, d, "generation", v_int((int64_t)(generation & ~(1ull << 63))));
	if (generation >> 63)
		v_put(p, d, "updating", v_bool(true));
}

struct value record_slot(struct pool *p, const struct slot_info *s)
{
	struct value d = v_dict(p, 12);

	v_put(p, &d, "id", v_int(s->id));
	v_put(p, &d, "as", v_int(s->as));
	v_put(p, &d, "visible", v_lit(slot_vis_name(s->vis)));
	v_put(p, &d, "gpa", v_hex(s->gpa));
	v_put(p, &d, "size", v_int((int64_t)s->size));
	v_put(p, &d, "hva", s->hva ? v_hex(s->hva) : v_na(p, "not mapped in this process"));
	v_put(p, &d, "flags", record_flags(p, s->flags));
	put_generation(p, &d, s->generation);
	v_put(p, &d, "source", v_lit(source_name(s->source, s->torn)));
	if (s->own)
		v_put(p, &d, "own", v_bool(true));
	if (s->guest_memfd) {
		v_put(p, &d, "guest_memfd", v_int(s->memfd));
		v_put(p, &d, "guest_memfd_offset", v_hex(s->memfd_offset));
		v_put(p, &d, "attributes", v_lit("shared"));
	}
	return d;
}

struct value record_slot_changed(struct pool *p, const struct slot_info *s, const struct slot_steps *steps)
{
	struct value d = record_slot(p, s), list = v_list(p, steps->n);

	for (unsigned i = 0; i < steps->n && i < SLOT_STEPS_MAX; i++)
		v_push(p, &list, v_str(p, steps->step[i]));
	v_put(p, &d, "steps", list);
	return d;
}

static struct value record_dirty_entry(struct pool *p, const struct dirty_entry *entry)
{
	struct value d = v_dict(p, 7), flags = v_list(p, 1);

	v_put(p, &d, "vcpu", v_int(entry->vcpu));
	v_put(p, &d, "n", v_int((int64_t)entry->n));
	v_put(p, &d, "gfn", v_hex(entry->gfn));
	v_put(p, &d, "slot", v_int(entry->slot));
	v_put(p, &d, "as", v_int(entry->as));
	v_put(p, &d, "offset", v_hex(entry->offset));
	v_push(p, &flags, v_lit(entry->given_back ? "reset" : "dirty"));
	v_put(p, &d, "flags", flags);
	return d;
}

void record_put_ring(struct pool *p, struct value *slot, const struct dirty_entry_list *l)
{
	struct value list = v_list(p, l->n);

	for (size_t i = 0; i < l->n; i++)
		v_push(p, &list, record_dirty_entry(p, &l->v[i]));
	v_put(p, slot, "ring", list);
	v_put(p, slot, "ring_entries", v_int(l->entries));
	v_put(p, slot, "ring_full", v_int((int64_t)l->full));
	v_put(p, slot, "ring_lost", v_int((int64_t)l->lost));
}

void record_put_prefault(struct pool *p, struct value *slot, unsigned vcpu, uint64_t gpa, const struct prefault *done)
{
	v_put(p, slot, "vcpu", v_int(vcpu));
	v_put(p, slot, "first", v_hex(gpa));
	v_put(p, slot, "last", v_hex(gpa + done->bytes - 1));
	v_put(p, slot, "bytes", v_int((int64_t)done->bytes));
	if (!done->by_tables) {
		v_put(p, slot, "calls", v_int(done->calls));
		return;
	}
	v_put(p, slot, "mapped", v_int((int64_t)done->mapped));
	v_put(p, slot, "not_accessed", v_int((int64_t)done->not_accessed));
}

struct value record_region(struct pool *p, const struct gpa_region *r)
{
	struct value d = v_dict(p, 8);

	v_put(p, &d, "gpa", v_hex(r->first));
	v_put(p, &d, "size", v_int((int64_t)(r->last - r->first + 1)));
	v_put(p, &d, "kind", v_lit(gpa_kind_name(r->kind)));
	v_put(p, &d, "slot", gpa_is_slot(r) ? v_int(r->slot) : v_null());
	v_put(p, &d, "flags", record_flags(p, r->flags));
	v_put(p, &d, "visible", v_lit(slot_vis_name(r->vis)));
	if (r->name[0])
		v_put(p, &d, "name", v_str(p, r->name));
	if (r->own)
		v_put(p, &d, "own", v_bool(true));
	return d;
}

static struct value data_bytes(struct pool *p, const uint8_t *data, uint32_t len)
{
	return v_bytes(p, data, len > 8 ? 8 : len);
}

static void put_slot(struct pool *p, struct value *d, int slot)
{
	v_put(p, d, "slot", slot < 0 ? v_null() : v_int(slot));
}

/* Linear, as addresses are. */
static void put_instruction(struct pool *p, struct value *d, const struct stop *s)
{
	bool flat = !s->code_bits || s->code_bits == 64;
	uint64_t at = s->by_elsewhere ? s->by_linear : flat ? s->by : (uint32_t)(s->code_base + s->by);

	if (s->has_by)
		v_put(p, d, "instruction", v_hex(at));
}

static void put_exception(struct pool *p, struct value *d, const struct stop *s)
{
	v_put(p, d, "vector", v_int(s->vector));
	v_put(p, d, "error_code", s->has_error ? v_hex(s->error_code) : v_null());
	if (s->vector == 14)
		v_put(p, d, "cr2", v_hex(s->cr2));
	put_instruction(p, d, s);
}

static void put_access(struct pool *p, struct value *d, const struct stop *s)
{
	bool asked = !s->write && s->reason != STOP_WATCHPOINT;

	v_put(p, d, "len", v_int(s->len));
	if (s->reason == STOP_WATCHPOINT)
		v_put(p, d, "read", v_bool(s->read));
	v_put(p, d, "write", v_bool(s->write));
	v_put(p, d, "data", asked ? v_na(p, "a read that the device has not answered yet") : data_bytes(p, s->data, s->len));
}

static void put_then(struct pool *p, struct value *d, const struct stop_touch *t)
{
	struct value then = v_dict(p, 7);

	if (t->gva)
		v_put(p, &then, "gva", v_hex(t->gva));
	v_put(p, &then, "gpa", v_hex(t->gpa));
	v_put(p, &then, "len", v_int(t->len));
	v_put(p, &then, "read", v_bool(t->read));
	v_put(p, &then, "write", v_bool(t->write));
	v_put(p, &then, "data", data_bytes(p, t->data, t->len));
	v_put(p, &then, "old_data", data_bytes(p, t->old_data, t->len));
	v_put(p, d, "then", then);
}

static void put_watchpoint(struct pool *p, struct value *d, const struct stop *s)
{
	put_instruction(p, d, s);
	if (s->gva)
		v_put(p, d, "gva", v_hex(s->gva));
	v_put(p, d, "gpa", v_hex(s->gpa));
	put_access(p, d, s);
	if (s->has_old)
		v_put(p, d, "old_data", data_bytes(p, s->old_data, s->len));
	if (s->then.len)
		put_then(p, d, &s->then);
}

static void put_error(struct pool *p, struct value *d, const struct stop *s)
{
	v_put(p, d, "error", v_str(p, s->error));
	if (s->kvm_exit) {
		v_put(p, d, "kvm_exit", v_int(s->kvm_exit));
		v_put(p, d, "suberror", v_int(s->suberror));
	}
	if (s->n_insn)
		v_put(p, d, "insn", v_bytes(p, s->insn, s->n_insn > sizeof(s->insn) ? sizeof(s->insn) : s->n_insn));
}

static void put_stage(struct pool *p, struct value *d, const struct stop *s)
{
	v_put(p, d, "stage", v_str(p, stage_name(s->stage)));
	v_put(p, d, "fault", v_int(s->fault));
	if (s->gva)
		v_put(p, d, "gva", v_hex(s->gva));
	if (s->gpa)
		v_put(p, d, "gpa", v_hex(s->gpa));
}

static void put_mmu(struct pool *p, struct value *d, const struct mmu_event *ev)
{
	v_put(p, d, "event", v_lit(mmu_kind_name(ev->kind)));
	v_put(p, d, "gfn", v_hex(ev->gfn));
	v_put(p, d, "level", v_int(ev->level));
	if (ev->kind == MMU_SPTE) {
		v_put(p, d, "spte", v_hex(ev->spte));
		v_put(p, d, "sptep", v_hex(ev->sptep));
	} else if (ev->kind == MMU_TDP) {
		v_put(p, d, "spte", v_hex(ev->spte));
		v_put(p, d, "old_spte", v_hex(ev->old_spte));
		v_put(p, d, "as", v_int(ev->as));
	} else {
		v_put(p, d, "role", v_hex(ev->role));
	}
}

struct value record_mmu_events(struct pool *p, const struct mmu_event_list *l)
{
	struct value list = v_list(p, l->n);

	for (size_t i = 0; i < l->n; i++) {
		struct value d = v_dict(p, 8);
		put_mmu(p, &d, &l->v[i]);
		v_put(p, &d, "vcpu", v_int(l->v[i].vcpu));
		v_push(p, &list, d);
	}
	return list;
}

/* What a stop says besides reason, vcpu and rip. */
static void put_by_reason(struct pool *p, struct value *d, const struct stop *s)
{
	switch (s->reason) {
	case STOP_EXCEPTION:
		put_exception(p, d, s);
		return;
	case STOP_MMIO:
		put_instruction(p, d, s);
		v_put(p, d, "gpa", v_hex(s->gpa));
		put_access(p, d, s);
		put_slot(p, d, s->slot);
		return;
	case STOP_PIO:
		put_instruction(p, d, s);
		v_put(p, d, "port", v_hex(s->port));
		put_access(p, d, s);
		v_put(p, d, "count", v_int(s->count));
		return;
	case STOP_WATCHPOINT:
		put_watchpoint(p, d, s);
		return;
	case STOP_FAULT_STAGE:
		put_stage(p, d, s);
		return;
	case STOP_SLOT:
		put_slot(p, d, s->slot);
		return;
	case STOP_MODE:
		if (s->cpl_only)
			v_put(p, d, "old_cpl", v_int(s->old_cpl));
		return;
	case STOP_MMU:
		put_mmu(p, d, &s->mmu);
		return;
	case STOP_EXIT:
		v_put(p, d, "exit_code", v_int((int64_t)s->exit_code));
		return;
	case STOP_ERROR:
		put_error(p, d, s);
		return;
	default:
		return;
	}
}

/* Each reason once, if there are several. */
static void put_reasons(struct pool *p, struct value *d, const struct stop *s)
{
	struct value reasons = v_list(p, s->n_causes);
	uint32_t seen = 0;

	for (unsigned i = 0; i < s->n_causes; i++) {
		if (!(seen >> s->cause[i].reason & 1))
			v_push(p, &reasons, v_lit(stop_reason_name(s->cause[i].reason)));
		seen |= 1u << s->cause[i].reason;
	}
	if (reasons.n > 1)
		v_put(p, d, "reasons", reasons);
}

static void put_points(struct pool *p, struct value *d, const struct stop *s)
{
	struct value ids = v_list(p, s->n_causes);
	int first = s->breakpoint;

	for (unsigned i = 0; i < s->n_causes; i++) {
		first = first ? first : s->cause[i].id;
		if (s->cause[i].id)
			v_push(p, &ids, v_int(s->cause[i].id));
	}
	if (first)
		v_put(p, d, "breakpoint", v_int(first));
	if (ids.n > 1)
		v_put(p, d, "breakpoints", ids);
}

struct value record_stop(struct pool *p, const struct stop *s, const char *why)
{
	struct value d = v_dict(p, 15);

	v_put(p, &d, "reason", v_lit(stop_reason_name(s->reason)));
	put_reasons(p, &d, s);
	v_put(p, &d, "vcpu", v_int(s->vcpu));
	v_put(p, &d, "rip", v_hex(s->rip));
	if (s->rip_old) {
		struct value old = v_list(p, 1);
		v_push(p, &old, v_lit("rip"));
		v_put(p, &d, "of_last_stop", old);
	}
	if (s->nested)
		v_put(p, &d, "nested", v_bool(true));
	put_points(p, &d, s);
	put_by_reason(p, &d, s);
	if (s->no_progress)
		v_put(p, &d, "no_progress", v_bool(true));
	if (s->note[0])
		v_put(p, &d, "note", v_str(p, s->note));
	v_put(p, &d, "why", v_str(p, why && why[0] ? why : s->note));
	return d;
}

/* 128- and 80-bit registers as one number in hex. */
static struct value wide_register(struct pool *p, const uint8_t *bytes, size_t len)
{
	char text[40] = "0x";

	for (size_t i = 0; i < len && i < 16; i++)
		snprintf(text + 2 + 2 * i, 3, "%02x", bytes[len - 1 - i]);
	return v_str(p, text);
}

/* Without all: no hidden parts of segments, no debug registers, no MSRs, no FPU. */
static bool register_is_shown(const struct reg_name *n, bool all)
{
	if (!strcmp(n->group, "part"))
		return false;
	if (all || !strcmp(n->group, "general"))
		return true;
	if (!strcmp(n->group, "segment"))
		return !strchr(n->name, '.');
	return !strcmp(n->group, "control") || !strcmp(n->group, "table");
}

void record_old_regs(struct pool *p, struct value *d, const struct regs *r)
{
	struct value old = v_list(p, 8);

	for (uint32_t i = 0; i < d->n; i++) {
		const struct reg_name *reg = reg_find(d->fields[i].key);
		if (reg && reg_is_old(r, reg))
			v_push(p, &old, v_lit(reg->name));
	}
	if (old.n)
		v_put(p, d, "of_last_stop", old);
}

struct value record_regs(struct pool *p, const struct regs *r, bool all)
{
	size_t n;
	const struct reg_name *names = reg_names(&n);
	struct value d = v_dict(p, 64);

	for (size_t i = 0; i < n; i++) {
		size_t len;
		if (!(r->valid & names[i].part) || !register_is_shown(&names[i], all))
			continue;
		const uint8_t *bytes = reg_bytes(r, &names[i], &len);
		v_put(p, &d, names[i].name, bytes ? wide_register(p, bytes, len) : v_hex(reg_get(r, &names[i])));
	}
	record_old_regs(p, &d, r);
	return d;
}
