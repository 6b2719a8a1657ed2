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
#include "kvmback/vcpu/bytes.h"
#include "kvmback/watch/armed.h"

/* ---- what an instruction accesses */

/* Code as the guest has it: an int3 of ours may stand where an access began that was shown before it was done. */
static void hide_int3(struct kvcpu *v, uint64_t linear, uint8_t *code, size_t n)
{
	uint64_t gpa;
	uint8_t rights, under;

	for (size_t i = 0; i < n; i++)
		if (code[i] == INT3 && gmem_translate(v, linear + i, &gpa, &rights) &&
		    bytes_known(v->vm->rs, gmem_byte(v, gpa, true), &under))
			code[i] = under;
}

size_t watch_code(struct kvcpu *v, uint64_t rip, uint8_t *code, size_t n)
{
	uint64_t linear = vcpu_linear(v, &vcpu_sregs(v)->cs, rip);

	n = gmem_read(v, linear, code, n);
	hide_int3(v, linear, code, n);
	return n;
}

struct access_decoder *watch_decoder(struct kvcpu *v)
{
	struct vcpu_control *t = v->control;

	return t->accesses || !access_decoder_create(&t->accesses, NULL) ? t->accesses : NULL;
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

/* How much of an access from off on is watched, without a gap; 8 bytes at the most. */
static unsigned watched_part(struct kvcpu *v, const struct plant *p, const struct insn_access *a, unsigned off)
{
	unsigned n = 0;

	for (; n < 8 && off + n < a->len; n++) {
		uint64_t at = a->linear + off + n;
		uint8_t rights;

		if ((p->phys && !gmem_translate(v, at, &at, &rights)) || at - p->addr >= p->len)
			break;
	}
	return n;
}

/* All of an access that can be shown; of a wider one the part that is watched. */
static struct watch_touch touch_of(struct kvcpu *v, const struct plant *p, const struct insn_access *a, unsigned off,
				   bool write)
{
	bool small = a->len <= 8;
	struct watch_touch t = {.linear = a->linear + (small ? 0 : off),
				.len = small ? a->len : watched_part(v, p, a, off),
				.read = a->read,
				.write = write};
	uint8_t rights;

	if (!gmem_translate(v, t.linear, &t.gpa, &rights))
		t.gpa = 0;
	return t;
}

/* The same instruction writes what it has been seen to read. */
static void note_written(struct kvcpu *v, const struct insn_access *a, struct watch_touch *t)
{
	uint64_t off = t->linear - a->linear;
	const struct slot *s;

	if (!a->write || !t->len || off >= a->len || t->len > a->len - off)
		return;
	s = gmem_slot(v, t->gpa);
	t->write |= s && !(s->flags & SLOT_READONLY);
}

/* The first plant that an access touches says what is shown, and the next that touches other bytes; of all others it is
 * known that they are touched. */
static void watched(struct kvcpu *v, const struct insn_access *a, struct watch_look *l)
{
	const struct run_state *rs = v->vm->rs;

	note_written(v, a, &l->first);
	note_written(v, a, &l->then);

	for (size_t i = rs->n_exec; i < rs->n_plants; i++) {
		const struct plant *p = &rs->plant[i].p;
		bool write = false;
		int off = kind_matches(p, a->read, a->write) ? offset_of(v, p, a, &write) : -1;

		if (off < 0)
			continue;
		struct watch_touch t = touch_of(v, p, a, (unsigned)off, write);

		if (!l->id) {
			l->id = p->id;
			l->first = t;
			continue;
		}
		add_also(l, p->id);
		if (!l->then.len && t.linear != l->first.linear)
			l->then = t;
	}
}

static void look(struct kvcpu *v, const struct access_regs *r, struct watch_look *l)
{
	struct insn_access a[ACCESSES_MAX];
	uint8_t code[15];
	size_t n_code = watch_code(v, r->rip, code, sizeof(code));
	struct access_decoder *d = watch_decoder(v);
	int n = d ? access_decode(d, r, code, n_code, a) : -1;

	l->known = n >= 0;
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
		l->first = (struct watch_touch){.linear = w->p.phys ? 0 : w->p.addr + at,
						.gpa = w->p.phys ? w->p.addr + at : 0,
						.len = n - at < 8 ? (unsigned)(n - at) : 8,
						.write = true};
		memcpy(l->first.old, w->old + at, l->first.len);
		if (l->first.linear && !gmem_translate(v, l->first.linear, &l->first.gpa, &rights))
			l->first.gpa = 0;
		return true;
	}
	return false;
}

/* ---- telling */

/* What is only read was there before; nobody else has written it since, but the instruction itself may have. */
static void value_now(struct kvcpu *v, const struct watch_touch *t, uint8_t now[8])
{
	memset(now, 0, 8);
	if (!t->write)
		memcpy(now, t->old, t->len);
	else if (t->linear)
		(void)gmem_read(v, t->linear, now, t->len);
	for (unsigned i = 0; t->write && !t->linear && i < t->len; i++) {
		const uint8_t *at = gmem_byte(v, t->gpa + i, false);

		now[i] = at ? *at : 0;
	}
}

void watch_tell_then(struct kvcpu *v, const struct watch_touch *t)
{
	struct stop *s = &v->control->stop;

	s->then = (struct stop_touch){.gva = t->linear, .gpa = t->gpa, .len = t->len, .read = t->read, .write = t->write};
	memcpy(s->then.old_data, t->old, sizeof(s->then.old_data));
	value_now(v, t, s->then.data);
}

static bool tell(struct kvcpu *v, const struct watch_look *l)
{
	struct stop *s = &v->control->stop;
	const struct slot *slot = gmem_slot(v, l->first.gpa);

	s->breakpoint = l->id;
	s->gva = l->first.linear;
	s->gpa = l->first.gpa;
	s->len = l->first.len;
	s->read = l->first.read;
	s->write = l->first.write;
	s->has_old = true;
	s->slot = slot ? (int)slot->id : -1;
	s->by = l->rip;
	s->has_by = l->rip;
	memcpy(s->old_data, l->first.old, sizeof(s->old_data));
	value_now(v, &l->first, s->data);
	watch_tell_then(v, &l->then);
	vcpu_stop(v, STOP_WATCHPOINT);
	s->by_elsewhere = l->cs_known && l->linear != vcpu_linear(v, &vcpu_sregs(v)->cs, l->rip);
	s->by_linear = l->linear;
	for (unsigned i = 0; i < l->n_also; i++)
		stop_add_cause(s, STOP_WATCHPOINT, l->also[i]);
	return false;
}

void watch_look(struct kvcpu *v, struct watch_look *l)
{
	struct access_regs r = {0};

	vcpu_access_regs(v, &r);
	*l = (struct watch_look){.rip = r.rip,
				 .rsp = r.gpr[RSP],
				 .rcx = r.gpr[RCX],
				 .cs_known = true,
				 .cs = vcpu_sregs(v)->cs.selector,
				 .linear = vcpu_linear(v, &vcpu_sregs(v)->cs, r.rip)};
	look(v, &r, l);
	if (l->id)
		(void)gmem_read(v, l->first.linear, l->first.old, l->first.len);
	else if (!l->known)
		take_values(v);
	(void)gmem_read(v, l->then.linear, l->then.old, l->then.len);
}

/* ---- what the pages were */

static const uint8_t *byte_before(struct kvcpu *v, uint64_t linear)
{
	uint64_t gpa;
	uint8_t rights;

	return gmem_translate(v, linear, &gpa, &rights) ? armed_byte_before(v, gmem_byte(v, gpa, false)) : NULL;
}

/* What was there before: only the opened pages tell. A part of the access in another page is left out. */
static void old_of(struct kvcpu *v, struct watch_touch *t)
{
	uint64_t page = (t->linear | PAGE_OFFSET_MASK) + 1;
	unsigned first = page - t->linear < t->len ? (unsigned)(page - t->linear) : t->len;
	uint8_t rights;

	if (first < t->len && !byte_before(v, t->linear)) {
		t->linear += first;
		t->len -= first;
		(void)gmem_translate(v, t->linear, &t->gpa, &rights);
	} else if (first < t->len && !byte_before(v, page)) {
		t->len = first;
	}
	/* Of a page that is armed again already nobody knows; what was read is there yet. */
	if (!t->write)
		(void)gmem_read(v, t->linear, t->old, t->len);
	for (unsigned i = 0; i < t->len; i++) {
		const uint8_t *before = byte_before(v, t->linear + i);

		if (before)
			t->old[i] = *before;
	}
}

/* ---- the frame of an exception or interrupt, which no instruction's operands tell */

#define FRAME_WORDS 6u

/* Does the vCPU stand at a handler, on a frame that was pushed for the instruction of the look? Its words from rsp on; 0:
 * no. sp: rsp before, as the frame says or its size does. */
static unsigned frame_words(struct kvcpu *v, const struct watch_look *l, unsigned width, bool error, uint64_t at)
{
	bool in_long = vcpu_sregs(v)->efer & EFER_LMA;
	uint64_t w[5] = {0}, rsp = vcpu_regs(v)->rsp, mask = vcpu_sregs(v)->ss.db ? 0xffffffff : 0xffff;
	unsigned n = in_long ? 5 : 3, all;

	for (unsigned i = 0; i < n; i++)
		if (gmem_read(v, at + (error + i) * width, &w[i], width) != width)
			return 0;
	all = n + error;
	if ((l->cs_known && (uint16_t)w[1] != l->cs) || w[0] - l->rip > 15 || !(w[2] & 2))
		return 0;
	if (in_long)
		return w[3] == l->rsp ? all : 0;
	if (((rsp + all * width - l->rsp) & mask) == 0)
		return all;
	/* From another privilege level: SP and SS were pushed as well. */
	if (gmem_read(v, at + all * width, &w[3], width) != width ||
	    w[3] != (width == 2 ? (uint16_t)l->rsp : (uint32_t)l->rsp))
		return 0;
	return vcpu_cpl(v) < (w[1] & 3) ? all + 2 : 0;
}

/* The frame's words as accesses, in the order in which they were pushed. *fault: it is that of the instruction itself, which
 * has not been done. */
static unsigned frame_accesses(struct kvcpu *v, const struct watch_look *l, struct insn_access out[FRAME_WORDS], bool *fault)
{
	const struct kvm_sregs *s = vcpu_sregs(v);
	bool in_long = s->efer & EFER_LMA, real = !(s->cr0 & CR0_PE), error = false;
	uint64_t rsp = vcpu_regs(v)->rsp, ip = 0;
	uint64_t at = in_long ? rsp : (uint32_t)(s->ss.base + (s->ss.db ? (uint32_t)rsp : (uint16_t)rsp));
	unsigned n = 0, width = in_long ? 8 : real ? 2 : 4;

	if (vcpu_regs(v)->rip - l->rip <= 15)
		return 0;
	/* By its gate: of 32 bits or of 16, with an error code or without. */
	for (unsigned way = 0; way < 4 && !n; way++) {
		error = way & 1;
		width = way < 2 ? width : 2;
		if ((way < 2 || !in_long) && !(real && way))
			n = frame_words(v, l, width, error, at);
	}
	for (unsigned i = 0; i < n; i++)
		out[i] = (struct insn_access){.linear = at + (n - 1 - i) * width, .len = width, .write = true};
	(void)gmem_read(v, at + error * width, &ip, width);
	*fault = n && ip == l->rip && vcpu_regs(v)->rcx == l->rcx;
	return n;
}

/* A delivery came with it: of a fault nothing else counts, as the instruction has done nothing and will come again. */
static void look_at_frame(struct kvcpu *v, struct watch_look *l)
{
	struct insn_access a[FRAME_WORDS];
	bool fault = false;
	unsigned n = frame_accesses(v, l, a, &fault);
	const struct watch_touch none = {0};

	if (fault) {
		l->id = 0;
		l->n_also = 0;
		l->known = true;
		l->first = l->then = none;
	}
	bool had = l->id, had_then = l->then.len;
	for (unsigned i = 0; i < n; i++)
		watched(v, &a[i], l);
	if (l->id && !had)
		old_of(v, &l->first);
	if (l->then.len && !had_then)
		old_of(v, &l->then);
}

bool watch_judge(struct kvcpu *v, struct watch_look *l)
{
	look_at_frame(v, l);
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

	vcpu_access_regs(v, r);
	if (!a->regs_known || a->entry != vcpu_entry(v)) {
		r->rip = 0;
		return vcpu_cpl(v) == 0 && armed_bytes_changed(v, &c);
	}
	bool same = r->rip == a->rip && !memcmp(r->gpr, a->gpr, sizeof(r->gpr));
	memcpy(r->gpr, a->gpr, sizeof(r->gpr));
	r->rip = a->rip;
	return !same;
}

static bool any_watched_in(struct kvcpu *v, uint64_t page)
{
	const struct insn_access all = {.linear = page, .len = PAGE_SIZE_4K, .read = true, .write = true};
	const struct run_state *rs = v->vm->rs;
	bool write;

	for (size_t i = rs->n_exec; i < rs->n_plants; i++)
		if (offset_of(v, &rs->plant[i].p, &all, &write) >= 0)
			return true;
	return false;
}

/* One of the two sides of a string instruction: whether its page of now has watched bytes. */
struct side {
	uint64_t page;
	bool asked, watched;
};

static void watched_side(struct kvcpu *v, const struct insn_access *a, struct side *s, struct watch_look *l)
{
	uint64_t page = a->linear & ~PAGE_OFFSET_MASK, last = (a->linear + a->len - 1) & ~PAGE_OFFSET_MASK;

	if (!s->asked || s->page != page)
		*s = (struct side){.page = page, .asked = true, .watched = any_watched_in(v, page)};
	if (s->watched || last != page)
		watched(v, a, l);
}

#define ITERATIONS_MAX (1u << 20) /* far more than KVM does in one go */

/* A REP instruction of which KVM has done some iterations: those between the registers at the fault and now, in their order.
 * The one that faulted is the first: what came before touched no armed page. */
static bool look_at_rep(struct kvcpu *v, const struct access_regs *before, struct watch_look *l)
{
	struct access_regs now = *before;
	struct side side[2] = {{0}};
	struct insn_access a[2];
	struct access_rep s;
	uint8_t code[15];
	size_t n_code = watch_code(v, before->rip, code, sizeof(code));
	struct access_decoder *d = watch_decoder(v);

	if (!d || !access_rep_decode(d, before, code, n_code, &s))
		return false;
	vcpu_gprs(v, now.gpr, &now.rip);
	uint64_t count = access_rep_count(&s, before, &now);
	for (uint64_t i = 0; i < count && i < ITERATIONS_MAX; i++) {
		int n = access_rep_at(&s, before, &now, i, a);

		for (int k = 0; k < n; k++)
			watched_side(v, &a[k], &side[k], l);
	}
	l->known = true;
	return true;
}

static bool judge_executed(struct kvcpu *v, const struct access_regs *r)
{
	struct watch_look l = {.rip = r->rip, .rsp = r->gpr[RSP], .rcx = r->gpr[RCX]};
	struct page_change c;

	if (r->rip && !look_at_rep(v, r, &l))
		look(v, r, &l);
	if (l.id)
		old_of(v, &l.first);
	if (l.then.len)
		old_of(v, &l.then);
	if (r->rip)
		look_at_frame(v, &l);
	if (l.id)
		return tell(v, &l);
	/* What changed beside the accesses is a table's A or D bit. */
	if (l.known || !armed_bytes_changed(v, &c))
		return true;
	l = (struct watch_look){.id = c.id, .rip = r->rip};
	l.first = (struct watch_touch){.linear = c.gva, .gpa = c.gpa, .len = c.len, .write = true};
	memcpy(l.first.old, c.old, sizeof(l.first.old));
	return tell(v, &l);
}

bool watch_done_by_kvm(struct kvcpu *v, bool *on)
{
	struct access_regs r = {0};

	armed_fetched(v);
	if (!executed(v, &r))
		return false;
	*on = judge_executed(v, &r);
	/* What has changed is told once, not again for the next that came to a page. */
	if (!r.rip)
		armed_rearm(v);
	return true;
}
