/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Does an instruction touch watched bytes? Decided by decoding its accesses before it runs, so that a write of the same
 * value is a hit and a write next to the watched bytes is none; an instruction whose accesses are not known is judged by
 * what has changed. Every step is looked at; a free run comes here when an armed page was touched (armed.c).
 */
#include "kvmback/watch/watchpoint.h"

#include <string.h>

#include "core/base/lock.h"
#include "core/cpu/access.h"
#include "core/cpu/disas.h"
#include "kvmback/watch/armed.h"

/* ---- what an instruction accesses */

static void take_bases(struct kvcpu *v, struct access_regs *r)
{
	const struct kvm_sregs *s = vcpu_sregs(v);

	r->bits = vcpu_bits(v);
	r->stack32 = s->ss.db;
	r->base[SEG_FS] = s->fs.base;
	r->base[SEG_GS] = s->gs.base;
	if (r->bits == 64)
		return;
	r->base[SEG_ES] = s->es.base;
	r->base[SEG_CS] = s->cs.base;
	r->base[SEG_SS] = s->ss.base;
	r->base[SEG_DS] = s->ds.base;
}

static void take_regs(struct kvcpu *v, struct access_regs *r)
{
	vcpu_gprs(v, r->gpr, &r->rip);
}

/* Code as the guest has it: an int3 of ours may stand where an access began that was shown before it was done. */
static void hide_int3(struct kvcpu *v, uint64_t linear, uint8_t *code, size_t n)
{
	struct run_state *rs = v->vm->rs;
	uint64_t gpa;
	uint8_t rights;

	LOCK_SCOPE(&rs->plant_lock);
	for (size_t i = 0; rs->n_int3 && i < n; i++) {
		const struct int3_byte *b = NULL;

		if (code[i] == INT3 && gmem_translate(v, linear + i, &gpa, &rights))
			b = gmem_int3(rs, gmem_byte(v, gpa, true));
		if (b)
			code[i] = b->under;
	}
}

static int decode(struct kvcpu *v, const struct access_regs *r, struct insn_access a[ACCESSES_MAX], bool *rep)
{
	struct vcpu_control *t = v->control;
	uint8_t code[15];

	if (!t->accesses && access_decoder_create(&t->accesses, NULL))
		return -1;
	uint64_t linear = vcpu_linear(v, &vcpu_sregs(v)->cs, r->rip);
	size_t n = gmem_read(v, linear, code, sizeof(code));
	hide_int3(v, linear, code, n);
	*rep = disas_kind(r->bits, code, n) == INSN_REP;
	return access_decode(t->accesses, r, code, n, a);
}

/* ---- is it watched */

static bool kind_matches(const struct plant *p, bool read, bool write)
{
	return p->kind == PLANT_WRITE ? write : p->kind == PLANT_READ ? read : read || write;
}

/* How far into the access the first watched byte of memory is, and whether it is written there; -1: none is. What a device
 * answers is no memory, and a write to READONLY memory leaves as MMIO. */
static int offset_of(struct kvcpu *v, const struct plant *p, const struct insn_access *a, bool *write)
{
	unsigned part;

	for (unsigned off = 0; off < a->len; off += part) {
		uint64_t lin = a->linear + off, left = PAGE_SIZE_4K - (lin & PAGE_OFFSET_MASK), gpa, at;
		uint8_t rights;

		part = left < a->len - off ? (unsigned)left : a->len - off;
		if ((!p->phys && !ranges_overlap(p->addr, p->len, lin, part)) || !gmem_translate(v, lin, &gpa, &rights))
			continue;
		const struct slot *s = gmem_slot(v, gpa);
		at = p->phys ? gpa : lin;
		*write = a->write && s && !(s->flags & SLOT_READONLY);
		if (s && kind_matches(p, a->read, *write) && ranges_overlap(p->addr, p->len, at, part))
			return (int)(off + (p->addr > at ? p->addr - at : 0));
	}
	return -1;
}

static void add_also(struct watch_look *l, int id)
{
	bool known = id == l->id;

	for (unsigned i = 0; i < l->n_also; i++)
		known |= l->also[i] == id;
	if (!known && l->n_also < ARRAY_LEN(l->also))
		l->also[l->n_also++] = id;
}

/* The first plant that the access touches says what is shown; of the others it is known that they are touched. */
static void watched(struct kvcpu *v, const struct insn_access *a, struct watch_look *l)
{
	const struct run_state *rs = v->vm->rs;

	for (size_t i = rs->n_exec; i < rs->n_plants; i++) {
		const struct plant *p = &rs->plant[i].p;
		bool write = false;
		int off = kind_matches(p, a->read, a->write) ? offset_of(v, p, a, &write) : -1;
		uint8_t rights;

		if (off < 0)
			continue;
		if (l->id) {
			add_also(l, p->id);
			continue;
		}
		/* All of an access that can be shown; else from the first watched byte on. */
		bool small = a->len <= sizeof(l->old);
		l->id = p->id;
		l->linear = a->linear + (small ? 0 : (unsigned)off);
		l->len = small ? a->len : a->len - (unsigned)off < 8 ? a->len - (unsigned)off : 8;
		l->write = write && p->kind != PLANT_READ;
		if (!gmem_translate(v, l->linear, &l->gpa, &rights))
			l->gpa = 0;
	}
}

static void look(struct kvcpu *v, const struct access_regs *r, struct watch_look *l)
{
	struct insn_access a[ACCESSES_MAX];
	bool rep = false;
	int n = decode(v, r, a, &rep);

	*l = (struct watch_look){.rip = r->rip, .known = n >= 0, .rep = rep};
	for (int i = 0; i < n; i++)
		watched(v, &a[i], l);
}

/* ---- by values, where the accesses are not known */

static size_t value(struct kvcpu *v, const struct plant *p, uint8_t now[WATCH_OLD])
{
	size_t n = p->len < WATCH_OLD ? p->len : WATCH_OLD, i;

	if (!p->phys)
		return gmem_read(v, p->addr, now, n) == n ? n : 0;
	for (i = 0; i < n; i++) {
		const uint8_t *at = gmem_byte(v, p->addr + i, false);

		if (!at)
			return 0;
		now[i] = *at;
	}
	return n;
}

static void take_values(struct kvcpu *v)
{
	struct run_state *rs = v->vm->rs;

	for (size_t i = rs->n_exec; i < rs->n_plants; i++)
		rs->plant[i].n_old = value(v, &rs->plant[i].p, rs->plant[i].old);
}

static bool values_changed(struct kvcpu *v, struct watch_look *l)
{
	struct run_state *rs = v->vm->rs;

	for (size_t i = rs->n_exec; i < rs->n_plants; i++) {
		struct plant_rec *w = &rs->plant[i];
		uint8_t now[WATCH_OLD], rights;
		size_t n = value(v, &w->p, now), at = 0;

		while (at < n && now[at] == w->old[at])
			at++;
		if (w->p.kind == PLANT_READ || n != w->n_old || at == n)
			continue;
		l->id = w->p.id;
		l->write = true;
		l->linear = w->p.phys ? 0 : w->p.addr + at;
		l->gpa = w->p.phys ? w->p.addr + at : 0;
		l->len = n - at < 8 ? (unsigned)(n - at) : 8;
		memcpy(l->old, w->old + at, l->len);
		if (l->linear && !gmem_translate(v, l->linear, &l->gpa, &rights))
			l->gpa = 0;
		return true;
	}
	return false;
}

/* ---- telling */

static void read_now(struct kvcpu *v, const struct watch_look *l, uint8_t *now)
{
	const uint8_t *at;

	if (l->linear) {
		(void)gmem_read(v, l->linear, now, l->len);
		return;
	}
	for (unsigned i = 0; i < l->len; i++) {
		at = gmem_byte(v, l->gpa + i, false);
		now[i] = at ? *at : 0;
	}
}

static bool tell(struct kvcpu *v, const struct watch_look *l)
{
	struct stop *s = &v->control->stop;
	const struct slot *slot = gmem_slot(v, l->gpa);

	s->breakpoint = l->id;
	s->gva = l->linear;
	s->gpa = l->gpa;
	s->len = l->len;
	s->write = l->write;
	s->has_old = true;
	s->slot = slot ? (int)slot->id : -1;
	s->by = l->rip;
	s->has_by = l->rip;
	memcpy(s->old_data, l->old, sizeof(s->old_data));
	memset(s->data, 0, sizeof(s->data));
	read_now(v, l, s->data);
	vcpu_stop(v, STOP_WATCHPOINT);
	for (unsigned i = 0; i < l->n_also; i++)
		stop_add_cause(s, STOP_WATCHPOINT, l->also[i]);
	return false;
}

void watch_look(struct kvcpu *v, struct watch_look *l)
{
	struct access_regs r = {0};

	take_bases(v, &r);
	take_regs(v, &r);
	look(v, &r, l);
	if (l->id)
		(void)gmem_read(v, l->linear, l->old, l->len);
	else if (!l->known)
		take_values(v);
}

bool watch_judge(struct kvcpu *v, struct watch_look *l)
{
	if (!l->id && (l->known || !values_changed(v, l)))
		return true;
	return tell(v, l);
}

/* ---- an armed page was touched */

/* KVM's emulator has done the instruction already: its registers are not those at the fault, or (where those are not
 * known) watched bytes are not what they were. */
static bool executed(struct kvcpu *v, struct access_regs *r)
{
	const struct armed_access *a = &v->control->access;
	struct page_change c;

	take_bases(v, r);
	take_regs(v, r);
	if (!a->regs_known || a->entry != vcpu_entry(v)) {
		r->rip = 0;
		return vcpu_cpl(v) == 0 && armed_bytes_changed(v, &c);
	}
	bool same = r->rip == a->rip && !memcmp(r->gpr, a->gpr, sizeof(r->gpr));
	memcpy(r->gpr, a->gpr, sizeof(r->gpr));
	r->rip = a->rip;
	return !same;
}

static const uint8_t *byte_before(struct kvcpu *v, uint64_t linear)
{
	uint64_t gpa;
	uint8_t rights;

	return gmem_translate(v, linear, &gpa, &rights) ? armed_byte_before(v, gmem_byte(v, gpa, false)) : NULL;
}

/* What was there before: only the opened pages tell. A part of the access in another page is left out. */
static void old_of(struct kvcpu *v, struct watch_look *l)
{
	uint64_t page = (l->linear | PAGE_OFFSET_MASK) + 1;
	unsigned first = page - l->linear < l->len ? (unsigned)(page - l->linear) : l->len;
	uint8_t rights;

	if (first < l->len && !byte_before(v, l->linear)) {
		l->linear += first;
		l->len -= first;
		(void)gmem_translate(v, l->linear, &l->gpa, &rights);
	} else if (first < l->len && !byte_before(v, page)) {
		l->len = first;
	}
	/* Of a page that is armed again already nobody knows; what was read is there yet. */
	if (!l->write)
		(void)gmem_read(v, l->linear, l->old, l->len);
	for (unsigned i = 0; i < l->len; i++) {
		const uint8_t *before = byte_before(v, l->linear + i);

		if (before)
			l->old[i] = *before;
	}
}

static bool judge_executed(struct kvcpu *v, const struct access_regs *r)
{
	struct page_change c;
	struct watch_look l;

	l = (struct watch_look){0};
	if (r->rip)
		look(v, r, &l);
	if (l.id) {
		old_of(v, &l);
		return tell(v, &l);
	}
	/* Several iterations may have been done. Else what changed beside the accesses is a table's A or D bit. */
	if ((l.known && !l.rep) || !armed_bytes_changed(v, &c))
		return true;
	l = (struct watch_look){.id = c.id, .rip = r->rip, .linear = c.gva, .gpa = c.gpa, .len = c.len, .write = true};
	memcpy(l.old, c.old, sizeof(l.old));
	return tell(v, &l);
}

bool watch_done_by_kvm(struct kvcpu *v, bool *on)
{
	struct access_regs r = {0};

	if (!executed(v, &r))
		return false;
	*on = judge_executed(v, &r);
	/* What has changed is told once, not again for the next that came to a page. */
	if (!r.rip)
		armed_rearm(v);
	return true;
}
