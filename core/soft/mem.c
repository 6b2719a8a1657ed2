/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Memory as the soft CPU sees it. The TLB answers in line (cpu.h); a miss comes here: the shadow MMU maps the page or says
 * why not, then the access itself goes through the pipeline's second and third stage (core/mem/xlate), so that RAM, ROM
 * writes, devices and MMIO exits are decided in one place. Both pages of a crossing access are settled before a byte moves.
 */
#include "core/soft/exec.h"
#include "core/soft/rings.h"
#include "core/soft/soft_impl.h"

#include <errno.h>
#include <stdio.h>

/* One access of at most two pages. */
struct mem_access {
	uint64_t lin;
	unsigned size, kind; /* enum access, USER and IMPLICIT included */
	struct xlate_tlb tlb;
	bool emulate[2]; /* the page is a shadowed guest table: tell the shadow MMU of the write */
};

static bool data_is_watched(const struct soft_cpu *c)
{
	return c->m->n_watch || c->dr_data;
}

/* ---- the TLB */

static struct soft_tlb_entry *tlb_take(struct soft_cpu *c, bool user, uint64_t lin)
{
	struct soft_tlb_entry *t = &c->tlb_of[user][lin >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];

	if (c->tlb_n_used < SOFT_TLB_FEW)
		c->tlb_used[c->tlb_n_used] = t;
	if (c->tlb_n_used <= SOFT_TLB_FEW)
		c->tlb_n_used++;
	return t;
}

/* Remember what the spte allows at this privilege. Supervisor accesses to user pages depend on SMEP, SMAP and AC, so only
 * what holds without AC is kept. */
static void tlb_fill(struct soft_cpu *c, const struct mem_access *a, uint64_t lin, const struct shadow_result *r)
{
	bool user = a->kind & ACCESS_USER, upage = r->rights & ACCESS_USER;
	uint64_t page = lin & ~PAGE_OFFSET_MASK;
	struct soft_tlb_entry *t = tlb_take(c, user, lin);
	bool data = user || !upage || !(c->pg.cr4 & CR4_SMAP);
	bool code = (r->rights & ACCESS_FETCH) && (user || !upage || !(c->pg.cr4 & CR4_SMEP));

	if (user && c->checks_alignment)
		data = false;
	if (data_is_watched(c) && (c->dr_data || soft_watched_page(c->m, page, r->gpa & ~PAGE_OFFSET_MASK)))
		data = false;
	t->host = r->host;
	t->gpa = r->gpa & ~PAGE_OFFSET_MASK;
	t->read = data ? page : ~0ull;
	t->write = data && (r->rights & ACCESS_WRITE) && !block_page_has_code(c->blocks, r->host) ? page : ~0ull;
	t->fetch = code ? page : ~0ull;
}

/* ---- table walks */

static int table_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct soft_cpu *c = ctx;
	struct slot *s = slot_lookup(&c->m->m.slots, gpa, c->r.smm, NULL);

	if (!s || !s->alias)
		return -EFAULT;
	*entry = 0;
	memcpy(entry, s->alias + (gpa - s->gpa), size);
	return 0;
}

static int table_update(void *ctx, uint64_t gpa, unsigned size, uint64_t old, uint64_t new_entry)
{
	struct soft_cpu *c = ctx;
	struct slot *s = slot_lookup(&c->m->m.slots, gpa, c->r.smm, NULL);
	uint64_t now = 0;

	if (!s || !s->alias)
		return -EFAULT;
	if ((s->flags & SLOT_READONLY) || s->file_backed)
		return -EROFS;
	memcpy(&now, s->alias + (gpa - s->gpa), size);
	if (now != old)
		return 1;
	memcpy(s->alias + (gpa - s->gpa), &new_entry, size);
	slot_mark_dirty(s, gpa, size, c->r.smm);
	block_cache_written(c->blocks, s->alias + (gpa - s->gpa));
	return 0;
}

void soft_mem_init(struct soft_cpu *c, struct paging_mem *mem)
{
	*mem = (struct paging_mem){.ctx = c, .read = table_read, .update = table_update};
}

/* ---- translating */

static int raise_fault(struct soft_cpu *c, const struct guest_fault *f)
{
	struct paging_mem mem;

	if (f->vector == 14)
		c->cr2 = f->address;
	/* A page fault invalidates what is cached for its address. */
	soft_mem_init(c, &mem);
	if (f->vector == 14 && (f->error_code & (PFERR_PRESENT | PFERR_RSVD)) == PFERR_PRESENT)
		shadow_invlpg(c->m->shadow, &c->shadow, &c->pg, &mem, f->address);
	if (f->has_error)
		soft_raise_error(c, f->vector, f->error_code | (f->vector == 14 && c->rmw_emulated ? PFERR_WRITE : 0));
	else
		soft_raise(c, f->vector);
	c->not_canonical = f->vector == 13;
	return -1;
}

static int raise_host(struct soft_cpu *c, int rc, const struct err *e)
{
	if (rc == -EINTR) { /* the debugger gave the fault up at a stage: the instruction starts again */
		c->event = EVENT_RESTART;
		return -1;
	}
	c->event = EVENT_STOP;
	c->stop = (struct stop){.reason = STOP_ERROR, .vcpu = c->index, .slot = -1};
	snprintf(c->stop.error, sizeof(c->stop.error), "%.90s: %.180s", e->what, e->why);
	snprintf(c->stop.next, sizeof(c->stop.next), "%.127s", e->next);
	return -1;
}

/* As an emulator translates: the MMIO cache, then the guest's tables; nothing is mapped for it. */
static int emulator_page(struct soft_cpu *c, uint64_t lin, unsigned kind, uint64_t *gpa)
{
	const struct mmio_cache *cache = &c->shadow.mmio;
	struct paging_mem mem;
	struct walk w;

	if (shadow_mmio_match(cache, &c->pg, lin, kind, c->m->m.slots.generation)) {
		*gpa = cache->gfn << PAGE_SHIFT | (lin & PAGE_OFFSET_MASK);
		return 0;
	}
	soft_mem_init(c, &mem);
	paging_walk(&c->pg, &mem, lin, kind, true, &w);
	if (w.fault.present)
		return raise_fault(c, &w.fault);
	*gpa = w.gpa;
	return 0;
}

/* CPL 3's faults walk, and so see what the guest's tables say now. A supervisor's accesses ask the MMIO cache first, as
 * if the kernel is emulated: a stale hit is permitted until a flush, and here it can be seen. */
static int shadow_page(struct soft_cpu *c, struct mem_access *a, uint64_t lin, unsigned which, uint64_t *gpa)
{
	bool asks_cache = !(a->kind & (ACCESS_USER | ACCESS_FETCH));
	struct shadow_result r;
	struct paging_mem mem;
	struct err e = {0};
	int rc;

	soft_mem_init(c, &mem);
	rc = shadow_access(c->m->shadow, &c->shadow, &c->pg, &mem, lin, a->kind, c->r.smm, asks_cache, &r, &e);
	if (rc)
		return raise_host(c, rc, &e);
	if (r.kind == SHADOW_GUEST_FAULT)
		return raise_fault(c, &r.fault);
	if (r.kind == SHADOW_MAPPED)
		tlb_fill(c, a, lin, &r);
	a->emulate[which] = r.kind == SHADOW_EMULATE;
	c->emulated |= r.kind != SHADOW_MAPPED;
	*gpa = r.gpa;
	return 0;
}

/* The emulator reads all of what it will write before it writes any of it. */
static int read_first(struct soft_cpu *c, uint64_t lin, unsigned kind)
{
	uint64_t gpa;

	c->rmw_emulated = true;
	int rc = emulator_page(c, lin, kind & ~(unsigned)ACCESS_WRITE, &gpa);
	c->rmw_emulated = false;
	return rc;
}

static int translate(struct soft_cpu *c, struct mem_access *a)
{
	uint64_t lin = a->lin;
	unsigned left = a->size;

	c->emulated = c->in_emulator;
	bool emulator = c->in_emulator || (c->m->emulated_kernel && !(a->kind & ACCESS_USER));

	c->pg.ac = c->eflags & RFLAGS_AC;
	for (unsigned i = 0; left; i++) {
		unsigned room = (unsigned)(PAGE_SIZE_4K - (lin & PAGE_OFFSET_MASK)), part = left < room ? left : room;
		uint64_t gpa;

		bool by_emulator = emulator || (i && c->emulated);
		if (by_emulator && c->rmw_probe && read_first(c, lin, a->kind))
			return -1;
		if (by_emulator ? emulator_page(c, lin, a->kind, &gpa) : shadow_page(c, a, lin, i, &gpa))
			return -1;
		if (by_emulator)
			a->emulate[i] = a->kind & ACCESS_WRITE;
		a->tlb.entry[a->tlb.n++] = (struct tlb_entry){.gpa = gpa, .len = part};
		lin += part;
		left -= part;
		if (c->code_bits != 64)
			lin = (uint32_t)lin;
	}
	return 0;
}

/* ---- the access itself */

static int mmio_exit(void *ctx, uint64_t gpa, unsigned len, void *data, bool write)
{
	const struct soft_access a = {.at = gpa, .len = len, .write = write, .data = data};

	return soft_device_access(ctx, &a) ? -EAGAIN : 0;
}

/* What crosses from memory into a device comes to the device first: where that stops, nothing is half written. */
static int run_parts(const struct xlate_env *env, const struct xlate_iolist *io, uint8_t *data, struct err *e)
{
	if (!io->write || io->n != 2 || io->io[0].kind != IO_RAM || io->io[1].kind == IO_RAM)
		return run_iolist(env, io, data, e);
	for (unsigned i = 2; i-- > 0;) {
		struct xlate_iolist part = {.write = true, .n = 1, .io = {io->io[i]}};
		int rc = run_iolist(env, &part, data + (i ? io->io[0].len : 0), e);

		if (rc)
			return rc;
	}
	return 0;
}

static int access_memory(struct soft_cpu *c, struct mem_access *a, void *data, bool write)
{
	struct xlate_env env = {.pg = c->pg,
				.slots = &c->m->m.slots,
				.smm = c->r.smm,
				.side_effects = true,
				.board = &c->m->m.board,
				.mmio = mmio_exit,
				.mmio_ctx = c};
	struct xlate_iolist io;
	struct err e = {0};
	int rc = tlb_to_io(&env, &a->tlb, a->kind, false, &io, &e);

	if (!rc && data_is_watched(c))
		soft_watch(c, a->lin, &io, write, data);
	/* Through an spte nobody sees a store: its page was marked when the spte was made. */
	soft_rings_by_spte(c->m, !a->emulate[0] && !a->emulate[1]);
	if (!rc)
		rc = run_parts(&env, &io, data, &e);
	soft_rings_by_spte(c->m, false);
	if (rc)
		return c->event ? -1 : raise_host(c, rc, &e);
	uint32_t flushes = c->flushes_of_all;
	for (unsigned i = 0; write && i < io.n; i++) {
		if (io.io[i].kind != IO_RAM)
			continue;
		block_cache_written(c->blocks, io.io[i].slot->alias + (io.io[i].gpa - io.io[i].slot->gpa));
		if (a->emulate[i])
			shadow_emulated_write(c->m->shadow, io.io[i].gpa, io.io[i].len);
	}
	if (c->flushes_of_all != flushes)
		block_cut(c);
	return 0;
}

static int full_access(struct soft_cpu *c, uint64_t lin, unsigned size, void *data, unsigned kind)
{
	struct mem_access a = {.lin = lin, .size = size, .kind = kind};

	return translate(c, &a) ? -1 : access_memory(c, &a, data, kind & ACCESS_WRITE);
}

/* #AC; 16 bytes have checks of their own. */
static int check_alignment(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	if (!c->checks_alignment || c->cpl != 3 || size > 8 || !(lin & (size - 1)))
		return 0;
	soft_raise_error(c, 17, 0);
	return -1;
}

static unsigned with_cpl(const struct soft_cpu *c, unsigned access)
{
	return access | (c->cpl == 3 ? ACCESS_USER : 0);
}

int soft_read_slow(struct soft_cpu *c, uint64_t lin, unsigned size, void *out, unsigned access)
{
	return check_alignment(c, lin, size) ? -1 : full_access(c, lin, size, out, with_cpl(c, access));
}

int soft_write_slow(struct soft_cpu *c, uint64_t lin, unsigned size, const void *in, unsigned access)
{
	uint8_t copy[16];

	if (check_alignment(c, lin, size))
		return -1;
	memcpy(copy, in, size);
	return full_access(c, lin, size, copy, with_cpl(c, access));
}

int soft_read_sys(struct soft_cpu *c, uint64_t lin, unsigned size, void *out)
{
	return full_access(c, lin, size, out, ACCESS_READ | ACCESS_IMPLICIT);
}

int soft_write_sys(struct soft_cpu *c, uint64_t lin, unsigned size, const void *in)
{
	uint8_t copy[16];

	memcpy(copy, in, size);
	return full_access(c, lin, size, copy, ACCESS_WRITE | ACCESS_IMPLICIT);
}

int soft_probe_write(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	struct mem_access a = {.lin = lin, .size = size, .kind = with_cpl(c, ACCESS_WRITE)};

	return translate(c, &a);
}

int soft_probe_read(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	struct mem_access a = {.lin = lin, .size = size, .kind = with_cpl(c, ACCESS_READ)};
	const struct soft_tlb_entry *t = &c->tlb[lin >> PAGE_SHIFT & (SOFT_TLB_SIZE - 1)];

	if (soft_tlb_hit(c, lin, size, t->read) || (c->m->emulated_kernel && c->cpl != 3))
		return 0;
	return translate(c, &a);
}

void soft_touch(struct soft_cpu *c, uint64_t lin)
{
	struct shadow_result r;
	struct paging_mem mem;

	if (c->emulated || c->shadow.stage || (c->m->emulated_kernel && c->cpl != 3))
		return;
	soft_mem_init(c, &mem);
	if (shadow_access(c->m->shadow, &c->shadow, &c->pg, &mem, lin, with_cpl(c, ACCESS_READ), c->r.smm, false, &r, NULL))
		soft_tlb_flush(c);
}

int soft_probe_frame(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	return c->m->emulated_kernel && c->cpl != 3 ? 0 : soft_probe_write(c, lin, size);
}

int soft_probe_rmw(struct soft_cpu *c, uint64_t lin, unsigned size)
{
	c->emulated = false;
	c->rmw_emulated = c->m->emulated_kernel && c->cpl != 3;
	if (c->rmw_emulated)
		return 0;
	c->rmw_probe = true;
	int rc = soft_probe_write(c, lin, size);
	c->rmw_probe = false;
	return rc;
}

/* ---- fetching */

static int fetch_page(struct soft_cpu *c, uint64_t lin, unsigned want, uint8_t *code, uint8_t **host, uint64_t *gpa_out)
{
	struct mem_access a = {.lin = lin, .size = want, .kind = with_cpl(c, ACCESS_FETCH)};

	if (translate(c, &a))
		return -1;
	uint64_t gpa = a.tlb.entry[0].gpa;
	struct slot *s = slot_lookup(&c->m->m.slots, gpa, c->r.smm, NULL);
	if (!s || !s->alias) {
		c->event = EVENT_STOP;
		c->stop = (struct stop){.reason = STOP_ERROR, .vcpu = c->index, .gpa = gpa, .slot = -1};
		snprintf(c->stop.error, sizeof(c->stop.error),
			 "the instruction at gva %#llx is to be fetched from gpa %#llx, where there is no memory",
			 (unsigned long long)lin, (unsigned long long)gpa);
		return -1;
	}
	*host = s->alias + (gpa - s->gpa);
	*gpa_out = gpa;
	memcpy(code, *host, want);
	return 0;
}

int soft_fetch(struct soft_cpu *c, uint64_t lin, uint8_t code[16], unsigned *n, uint8_t **host, uint64_t *gpa)
{
	unsigned room = (unsigned)(PAGE_SIZE_4K - (lin & PAGE_OFFSET_MASK)), first = room < 15 ? room : 15;

	memset(code, 0, 16);
	if (fetch_page(c, lin, first, code, host, gpa))
		return -1;
	*n = first;
	return 0;
}

int soft_fetch_more(struct soft_cpu *c, uint64_t lin, uint8_t code[16], unsigned *n)
{
	uint8_t *host;
	uint64_t gpa, next = c->code_bits == 64 ? lin + *n : (uint32_t)(lin + *n);

	if (fetch_page(c, next, 15 - *n, code + *n, &host, &gpa))
		return -1;
	*n = 15;
	return 0;
}

void soft_stop_bytes(struct soft_cpu *c, uint64_t rip, unsigned len)
{
	uint64_t lin = c->code_bits == 64 ? rip : (uint32_t)(c->seg_base[SEG_CS] + rip), gpa;
	uint8_t code[16], *host, event = c->event;
	unsigned n;

	if (!soft_fetch(c, lin, code, &n, &host, &gpa)) {
		c->stop.n_insn = len < n ? len : n;
		memcpy(c->stop.insn, code, c->stop.n_insn);
	}
	c->event = event;
}

void soft_memory_written(struct soft_machine *m, const struct slot *s, uint64_t gpa, uint64_t len)
{
	for (uint64_t at = gpa & ~PAGE_OFFSET_MASK; at < gpa + len; at += PAGE_SIZE_4K)
		block_cache_written(m->blocks, s->alias + (at - s->gpa));
	shadow_wrote(m->shadow, gpa, len, !(s->vis & SLOT_VIS_NONSMM));
}
