/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stopping at addresses: the debugger's breakpoints and watchpoints, and the guest's own debug registers. Pages with a
 * watched byte get no TLB entry that allows data accesses, so each of those is looked at; everywhere else nothing is slower.
 */
#include <errno.h>
#include <stdio.h>

#include "core/cpu/access.h"
#include "core/soft/exec.h"
#include "core/soft/run.h"
#include "core/soft/segment.h"
#include "core/soft/soft_impl.h"

static bool is_watch(const struct plant *p)
{
	return p->kind == PLANT_WRITE || p->kind == PLANT_READ || p->kind == PLANT_ACCESS;
}

/* ---- debug registers */

static bool dr_enabled(const struct soft_cpu *c, unsigned n)
{
	return c->r.dr[7] >> (2 * n) & 3;
}
static unsigned dr_kind(const struct soft_cpu *c, unsigned n)
{
	return c->r.dr[7] >> (16 + 4 * n) & 3; /* 0 execute, 1 write, 2 port, 3 access */
}
static unsigned dr_len(const struct soft_cpu *c, unsigned n)
{
	static const unsigned len[] = {1, 2, 8, 4};

	return len[c->r.dr[7] >> (18 + 4 * n) & 3];
}

void soft_debug_changed(struct soft_cpu *c)
{
	bool exec = false, data = false;

	c->dr_ports = false;
	for (unsigned n = 0; n < 4; n++)
		if (dr_enabled(c, n)) {
			exec |= dr_kind(c, n) == 0;
			data |= dr_kind(c, n) & 1;
			c->dr_ports |= dr_kind(c, n) == 2;
		}
	if (exec != c->dr_exec || data != c->dr_data || exec || data) {
		block_cache_flush(c->blocks);
		soft_tlb_flush(c);
	}
	c->dr_exec = exec;
	c->dr_data = data;
	c->any_plants = exec || c->m->n_exec;
}

/* ---- plants */

void soft_plants_changed(struct soft_machine *m)
{
	m->n_exec = m->n_watch = 0;
	for (const struct soft_plant *p = m->plants; p; p = p->next)
		++*(is_watch(&p->p) ? &m->n_watch : &m->n_exec);
	block_cache_flush(m->blocks);
	for (unsigned i = 0; i < m->m.vcpus; i++) {
		m->cpu[i]->any_plants = m->n_exec || m->cpu[i]->dr_exec;
		soft_tlb_flush(m->cpu[i]);
	}
}

int soft_plant(struct machine *base, struct plant *p, struct err *e)
{
	struct soft_machine *m = soft_of(base);
	struct soft_plant *n = calloc(1, sizeof(*n));

	if (!n)
		return err_nomem(e, "breakpoint");
	p->how = "soft";
	n->p = *p;
	n->next = m->plants;
	m->plants = n;
	soft_plants_changed(m);
	return 0;
}

int soft_unplant(struct machine *base, int id, struct err *e)
{
	struct soft_machine *m = soft_of(base);

	for (struct soft_plant **at = &m->plants; *at; at = &(*at)->next)
		if ((*at)->p.id == id) {
			struct soft_plant *gone = *at;
			*at = gone->next;
			free(gone);
			soft_plants_changed(m);
			return 0;
		}
	return err_set(e, -ENOENT, "remove breakpoint %d" WHY "it is not planted" TRY "info breakpoints", id);
}

static const struct plant *exec_plant(const struct soft_cpu *c, uint64_t lin)
{
	for (const struct soft_plant *p = c->m->plants; p; p = p->next)
		if (!is_watch(&p->p) && p->p.addr == lin)
			return &p->p;
	return NULL;
}

static int dr_exec_at(const struct soft_cpu *c, uint64_t lin)
{
	for (unsigned n = 0; c->dr_exec && n < 4; n++)
		if (dr_enabled(c, n) && !dr_kind(c, n) && c->r.dr[n] == lin)
			return (int)n;
	return -1;
}

bool soft_planted(const struct soft_cpu *c, uint64_t lin)
{
	return exec_plant(c, lin) || dr_exec_at(c, lin) >= 0;
}

static uint64_t linear_rip(const struct soft_cpu *c)
{
	return c->code_bits == 64 ? c->rip : (uint32_t)(c->seg_base[SEG_CS] + c->rip);
}

void soft_begun(struct soft_cpu *c)
{
	if (c->passed && exec_plant(c, linear_rip(c)))
		begun_add(&c->begun, linear_rip(c));
}

bool soft_returned(struct soft_cpu *c)
{
	if (!c->passed && c->begun.n && exec_plant(c, linear_rip(c)))
		c->passed = begun_take(&c->begun, linear_rip(c), c->eflags);
	return c->passed;
}

bool soft_stop_at_plant(struct soft_cpu *c)
{
	uint64_t lin = linear_rip(c);
	const struct plant *p = soft_returned(c) ? NULL : exec_plant(c, lin);
	int dr = c->eflags & RFLAGS_RF || soft_ss_shadow(c) ? -1 : dr_exec_at(c, lin);

	if (p) {
		c->event = EVENT_STOP;
		c->stop = (struct stop){
		    .reason = STOP_BREAKPOINT, .vcpu = c->index, .breakpoint = p->id, .slot = -1, .before = true};
		return true;
	}
	if (dr < 0)
		return false;
	c->r.dr[6] |= 1ull << dr;
	soft_raise(c, VEC_DB);
	return true;
}

/* ---- data */

static bool plant_hits(const struct plant *p, uint64_t lin, uint64_t gpa, unsigned len, bool write)
{
	if (!is_watch(p) || (p->kind == PLANT_WRITE && !write) || (p->kind == PLANT_READ && write))
		return false;
	return ranges_overlap(p->addr, p->len, p->phys ? gpa : lin, len);
}

bool soft_watched_page(const struct soft_machine *m, uint64_t gva_page, uint64_t gpa_page)
{
	for (const struct soft_plant *p = m->plants; p; p = p->next)
		if (is_watch(&p->p) && ranges_overlap(p->p.addr, p->p.len, p->p.phys ? gpa_page : gva_page, PAGE_SIZE_4K))
			return true;
	return false;
}

#define ARMED_PAGES 4096u /* of a range of virtual addresses; more are not looked up */

static void armed_gvas(struct soft_machine *m, unsigned vcpu, const struct plant *p, armed_fn *fn, void *arg)
{
	uint64_t page = p->addr & ~PAGE_OFFSET_MASK, last = (p->addr + (p->len - 1)) & ~PAGE_OFFSET_MASK;
	struct xlate_env env;
	struct walk w;

	if (machine_env(&m->m, vcpu, &env, NULL))
		return;
	for (unsigned i = 0; i < ARMED_PAGES && page + i * PAGE_SIZE_4K <= last; i++) {
		paging_walk(&env.pg, &env.mem, page + i * PAGE_SIZE_4K, ACCESS_READ, false, &w);
		if (!w.fault.present)
			fn(arg, w.gpa, PAGE_SIZE_4K);
	}
}

void soft_armed(struct machine *base, armed_fn *fn, void *arg)
{
	struct soft_machine *m = soft_of(base);

	for (const struct soft_plant *p = m->plants; p; p = p->next) {
		if (!is_watch(&p->p))
			continue;
		if (p->p.phys)
			fn(arg, p->p.addr, p->p.len);
		for (unsigned i = 0; !p->p.phys && i < base->vcpus; i++)
			armed_gvas(m, i, &p->p, fn, arg);
	}
}

/* An access to memory, whole. */
struct soft_touch {
	uint64_t lin;
	const struct xlate_iolist *io;
	bool write;
	const uint8_t *data; /* of a write */
};

static unsigned access_len(const struct soft_touch *a)
{
	return a->io->io[0].len + (a->io->n > 1 ? a->io->io[1].len : 0);
}

/* The n bytes at an offset of it that are there now, by its parts. */
static void read_parts(const struct soft_cpu *c, const struct soft_touch *a, unsigned off, uint8_t *out, unsigned n)
{
	unsigned begin = 0;

	for (unsigned i = 0; i < a->io->n && n; begin += a->io->io[i++].len) {
		const struct xlate_io *io = &a->io->io[i];
		unsigned skip = off > begin ? off - begin : 0, part = io->len > skip ? io->len - skip : 0;

		part = part < n ? part : n;
		if (part && io->slot)
			(void)!slots_read(&c->m->m.slots, io->gpa + skip, c->r.smm, out, part, NULL);
		out += part;
		off += part;
		n -= part;
	}
}

static uint64_t gpa_of(const struct soft_touch *a, unsigned off)
{
	unsigned first = a->io->io[0].len;

	return off < first ? a->io->io[0].gpa + off : a->io->io[1].gpa + (off - first);
}

/* What is told of it: all of an access that can be shown; of a wider one the part that is watched, from its first byte on,
 * 8 bytes at the most. */
static struct stop_touch touch_of(const struct soft_cpu *c, const struct plant *p, const struct soft_touch *a)
{
	unsigned len = access_len(a), off = 0, end = len;

	if (len > 8) {
		while (off < len && (p->phys ? gpa_of(a, off) : a->lin + off) - p->addr >= p->len)
			off++;
		for (end = off; end < len && end < off + 8; end++)
			if ((p->phys ? gpa_of(a, end) : a->lin + end) - p->addr >= p->len)
				break;
	}
	struct stop_touch t = {
	    .gva = a->lin + off, .gpa = gpa_of(a, off), .len = end - off, .read = !a->write, .write = a->write};

	read_parts(c, a, off, t.old_data, t.len);
	memcpy(t.data, a->write ? a->data + off : t.old_data, t.len);
	return t;
}

static void add_hit(struct stop *s, int id)
{
	bool known = s->breakpoint == id;

	for (unsigned i = 0; i < s->n_causes; i++)
		known |= s->cause[i].id == id;
	if (!known)
		stop_add_cause(s, STOP_WATCHPOINT, id);
}

static void report(struct soft_cpu *c, const struct plant *p, const struct soft_touch *a)
{
	struct stop *s = &c->m->watch_hit;
	const struct stop_touch t = touch_of(c, p, a);
	const struct slot *slot = slot_lookup(&c->m->m.slots, t.gpa, c->r.smm, NULL);

	/* The first of an instruction's says what happened, and the next to other bytes; of more it is known that they were
	 * hit.
	 */
	if (s->reason) {
		add_hit(s, p->id);
		if (!s->then.len && t.gva != s->gva)
			s->then = t;
		return;
	}
	*s = (struct stop){.reason = STOP_WATCHPOINT,
			   .vcpu = c->index,
			   .breakpoint = p->id,
			   .gva = t.gva,
			   .gpa = t.gpa,
			   .len = t.len,
			   .read = t.read,
			   .write = t.write,
			   .has_old = true,
			   .has_by = true,
			   .slot = slot ? (int)slot->id : -1};
	memcpy(s->old_data, t.old_data, sizeof(s->old_data));
	memcpy(s->data, t.data, sizeof(s->data));
	c->m->watch_cs = c->seg_base[SEG_CS];
	c->m->watch_bits = c->code_bits;
	c->by = c->rip; /* of an exception's frame; an instruction's is known when its block has ended */
	c->stop_soon = true;
	block_cache_flush(c->blocks); /* the block under way ends behind this instruction */
}

/* The same instruction writes what it has been seen to read. */
static void note_written(const struct soft_touch *a, uint64_t gva, unsigned len, bool *write, uint8_t data[8])
{
	uint64_t off = gva - a->lin;

	if (!a->write || !len || off >= access_len(a) || len > access_len(a) - off)
		return;
	*write = true;
	memcpy(data, a->data + off, len);
}

static bool dr_meets(const struct soft_cpu *c, unsigned n, uint64_t at, unsigned len)
{
	return dr_enabled(c, n) && ranges_overlap(c->r.dr[n] & ~(uint64_t)(dr_len(c, n) - 1), dr_len(c, n), at, len);
}

/* The block under way ends behind this instruction. */
static void dr_hit(struct soft_cpu *c, unsigned n)
{
	c->db_pending |= 1ull << n;
	block_cache_flush(c->blocks);
}

void soft_watch_port(struct soft_cpu *c, uint16_t port, unsigned size)
{
	for (unsigned n = 0; c->dr_ports && (c->r.cr4 & CR4_DE) && n < 4; n++)
		if (dr_kind(c, n) == 2 && dr_meets(c, n, port, size))
			dr_hit(c, n);
}

static void watch_drs(struct soft_cpu *c, uint64_t lin, unsigned len, bool write)
{
	for (unsigned n = 0; c->dr_data && n < 4; n++)
		if ((dr_kind(c, n) == 3 || (dr_kind(c, n) == 1 && write)) && dr_meets(c, n, lin, len))
			dr_hit(c, n);
}

/* What a device answers, a write to READONLY memory too, touches nothing that is watched. */
static bool in_memory(const struct xlate_io *io, bool write)
{
	return io->kind == IO_RAM || (io->kind == IO_ROM && !write);
}

static bool hits_part(const struct plant *p, uint64_t at, const struct xlate_iolist *io, bool write)
{
	for (unsigned i = 0; i < io->n; at += io->io[i++].len)
		if (in_memory(&io->io[i], write) && plant_hits(p, at, io->io[i].gpa, io->io[i].len, write))
			return true;
	return false;
}

void soft_watch(struct soft_cpu *c, uint64_t lin, const struct xlate_iolist *io, bool write, const void *data)
{
	const struct soft_touch a = {.lin = lin, .io = io, .write = write, .data = data};
	struct stop *s = &c->m->watch_hit;
	uint64_t at = lin;

	for (unsigned i = 0; i < io->n; at += io->io[i++].len)
		watch_drs(c, at, io->io[i].len, write);
	if (s->reason && !c->delivering && in_memory(&io->io[0], write)) {
		note_written(&a, s->gva, s->len, &s->write, s->data);
		note_written(&a, s->then.gva, s->then.len, &s->then.write, s->then.data);
	}
	for (const struct soft_plant *p = c->m->plants; p; p = p->next)
		if (hits_part(&p->p, lin, io, write))
			report(c, &p->p, &a);
}

/* ---- an instruction that reads, changes and writes */

/* The bytes of the instruction that hit, without a trace in the shadow MMU. */
static unsigned code_at(struct soft_cpu *c, uint64_t rip, uint8_t code[15])
{
	struct paging_mem mem;
	unsigned n = 0;

	soft_mem_init(c, &mem);
	while (n < 15) {
		uint64_t lin = c->m->watch_bits == 64 ? rip + n : (uint32_t)(c->m->watch_cs + rip + n);
		unsigned room = (unsigned)(PAGE_SIZE_4K - (lin & PAGE_OFFSET_MASK)), part = room < 15 - n ? room : 15 - n;
		struct walk w;

		paging_walk(&c->pg, &mem, lin, ACCESS_READ | ACCESS_IMPLICIT, false, &w);
		if (w.fault.present || slots_read(&c->m->m.slots, w.gpa, c->r.smm, code + n, part, NULL))
			break;
		n += part;
	}
	return n;
}

void soft_watch_done(struct soft_cpu *c, struct stop *hit)
{
	struct soft_machine *m = c->m;
	uint8_t code[15];

	hit->by_linear = m->watch_bits == 64 ? hit->by : (uint32_t)(m->watch_cs + hit->by);
	hit->by_elsewhere = m->watch_bits != c->code_bits || m->watch_cs != c->seg_base[SEG_CS];
	if (!hit->write || hit->read || (!m->accesses && access_decoder_create(&m->accesses, NULL)))
		return;
	hit->read = access_modifies(m->accesses, m->watch_bits, code, code_at(c, hit->by, code));
	hit->then.read |= hit->read && hit->then.len;
}
