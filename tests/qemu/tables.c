/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A job from a seed: page tables with aliases, large pages, missing and reserved bits, tables mapped as data, and accesses
 * that are aimed through them. The lowest 2 MiB are the guest program's own and mapped alike in every job.
 *
 * The generator follows its own copy of the tables, changed as the job's accesses change them, only to know where an access
 * would go: code is fetched from the pool alone, and nothing writes over the program or the tables by chance.
 */
#include "tests/qemu/qemu.h"

#include <string.h>

#include "core/mem/paging_bits.h"

#define USED_MAX 24

struct table {
	unsigned level, n;
	uint16_t used[USED_MAX];
	bool chain; /* of the program's own mapping: entry 0 stays */
};

struct gen {
	struct rng rng;
	struct plan_job *p;
	struct paging pg;
	uint8_t work[JOB_BYTES];
	uint64_t base; /* gpa of the tables */
	unsigned root_offset, n;
	struct table t[JOB_PAGES];
	bool astray; /* the last walk left the tables */
	uint64_t seen[ACCESSES_MAX];
	unsigned n_seen;
};

const char *op_name(unsigned op)
{
	static const char *const name[OP_COUNT] = {"read1", "read4", "read8", "write1", "write4", "write8", "xadd", "stack",
						   "fetch", "cr0",   "cr4",   "cr3",	"invlpg", "set4",   "set8", "flush"};

	return op < OP_COUNT ? name[op] : "?";
}

/* The first and last bytes of a page are one-byte instructions, since a fetch or a write may cross there; at 0x10 its number
 * is loaded and told. */
static const uint8_t edge_byte[] = {0x90, 0xf8, 0xf9, 0xfc, 0xf5};

void pool_fill(uint8_t *page, unsigned number)
{
	const uint8_t tell[] = {0xb8, (uint8_t)number, (uint8_t)(number >> 8), 0x5a, 0xa5, 0xcd, 0x81};
	uint64_t v = number * 0x9e3779b97f4a7c15ull;

	for (unsigned i = 0x20; i < 0xff0; i += 8, v = v * 6364136223846793005ull + 1)
		memcpy(page + i, &v, 8);
	memset(page, 0x90, 0x20);
	memcpy(page + 0x10, tell, sizeof(tell));
	memset(page + 0xff0, 0x90, 0x10);
}

/* ---- the tables */

static unsigned entry_size(const struct gen *g)
{
	return paging_entry_size(&g->pg);
}

static uint32_t entry_at(const struct gen *g, unsigned page, unsigned i)
{
	return page * 0x1000 + (page ? 0 : g->root_offset) + i * entry_size(g);
}

static uint64_t get(const struct gen *g, uint32_t at)
{
	uint64_t v = 0;

	memcpy(&v, g->work + at, entry_size(g));
	return v;
}

static void put(struct gen *g, uint32_t at, uint64_t v)
{
	memcpy(g->work + at, &v, entry_size(g));
}

static unsigned new_table(struct gen *g, unsigned level, bool chain)
{
	g->t[g->n] = (struct table){.level = level, .chain = chain};
	return g->n++;
}

static uint64_t table_gpa(const struct gen *g, unsigned page)
{
	return g->base + page * 0x1000ull;
}

static uint64_t flag(struct gen *g, unsigned percent, uint64_t bits)
{
	return rng_percent(&g->rng, percent) ? bits : 0;
}

static uint64_t random_rights(struct gen *g)
{
	bool nxe = g->pg.efer & EFER_NXE;
	uint64_t v = flag(g, 96, PTE_P) | flag(g, 78, PTE_U) | flag(g, 70, PTE_W) | flag(g, 35, PTE_A) | flag(g, 35, PTE_D) |
		     flag(g, 12, PTE_G) | flag(g, 8, PTE_PWT) | flag(g, 8, PTE_PCD) | flag(g, 10, 0xe00);

	if (g->pg.mode != PAGING_32BIT)
		v |= flag(g, nxe ? 22 : 3, PTE_NX);
	if (paging_long(&g->pg))
		v |= flag(g, 5, 0x3full << 52);
	return v;
}

/* One bit that this mode may call reserved. */
static uint64_t reserved_bit(struct gen *g, bool leaf, unsigned level)
{
	if (g->pg.mode == PAGING_32BIT)
		return leaf && level == 2 ? 1ull << (13 + rng_below(&g->rng, 9)) : 0;
	if (leaf && level > 1 && rng_percent(&g->rng, 50))
		return 1ull << (13 + rng_below(&g->rng, level == 2 ? 8 : 17));
	if (g->pg.mode == PAGING_PAE && rng_percent(&g->rng, 30))
		return 1ull << (52 + rng_below(&g->rng, 11));
	return 1ull << (40 + rng_below(&g->rng, 12));
}

static uint64_t leaf_entry(struct gen *g, unsigned level)
{
	struct rng *r = &g->rng;
	bool small_gpa = g->pg.mode == PAGING_32BIT;
	uint64_t v = random_rights(g);
	unsigned k = rng_below(r, 100);

	if (level == 1) {
		uint64_t gpa = k < 70		      ? POOL_AT + rng_below(r, 48) * 0x1000ull
			       : k < 90 && !small_gpa ? HIGH_AT + rng_below(r, 32) * 0x1000ull
			       : k < 95		      ? table_gpa(g, rng_below(r, g->n))
			       : k < 97		      ? HOLE_AT + rng_below(r, 16) * 0x1000ull
						      : POOL_AT + rng_below(r, POOL_SIZE >> 12) * 0x1000ull;
		v |= gpa | flag(g, 8, 0x80);
	} else if (small_gpa) {
		v |= PTE_PS | flag(g, 8, 0x1000);
		v |= k < 60   ? POOL_AT
		     : k < 94 ? (1u << 13 | flag(g, 50, 0x400000))
			      : (uint64_t)rng_below(r, 256) << 13 | 0xc8000000u;
	} else if (level == 2) {
		v |= PTE_PS | flag(g, 8, 0x1000);
		v |= k < 60 ? POOL_AT + rng_below(r, 2) * 0x200000ull : HIGH_AT + rng_below(r, 4) * 0x200000ull;
	} else {
		v |= PTE_PS | flag(g, 8, 0x1000) | (k < 60 ? 0 : HIGH_AT);
	}
	if (rng_percent(r, 4))
		v |= reserved_bit(g, true, level);
	return v;
}

/* A table of this level for others to point to; the program's own are left out. */
static unsigned some_table(struct gen *g, unsigned level)
{
	for (unsigned tries = 0; tries < 200; tries++) {
		unsigned i = rng_below(&g->rng, g->n);
		if (g->t[i].level == level && !g->t[i].chain)
			return i;
	}
	return 0;
}

static bool leaf_here(const struct gen *g, unsigned level)
{
	if (g->pg.mode == PAGING_32BIT)
		return level == 2;
	return level == 2 || (level == 3 && paging_long(&g->pg));
}

static uint64_t random_entry(struct gen *g, unsigned page)
{
	unsigned level = g->t[page].level;

	if (level == 1 || (leaf_here(g, level) && rng_percent(&g->rng, 22)))
		return leaf_entry(g, level);
	/* The registers of PAE: reserved bits there are a #GP of the load, no matter of walks. */
	if (paging_is_pdpte(&g->pg, level))
		return table_gpa(g, some_table(g, 2)) | flag(g, 90, PTE_P) | flag(g, 20, PTE_PWT | 0xe00);
	uint64_t v = (random_rights(g) & ~(PTE_G | PTE_D)) | flag(g, 10, PTE_D | PTE_G);
	/* Now and then a table is its own entry's table: its entries are then pages. */
	v |= table_gpa(g, level == 2 && rng_percent(&g->rng, 5) ? page : some_table(g, level - 1));
	if (rng_percent(&g->rng, 3))
		v |= level > 3 ? flag(g, 40, PTE_PS) | reserved_bit(g, false, level) : reserved_bit(g, false, level);
	return v;
}

static void fill(struct gen *g, unsigned page)
{
	struct table *t = &g->t[page];
	unsigned entries = paging_entries(&g->pg, t->level),
		 n = t->level == 1 ? 14 + rng_below(&g->rng, 10) : 5 + rng_below(&g->rng, 4);

	if (entries == 4)
		n = 3;
	for (unsigned k = 0; k < n; k++) {
		unsigned i = entries == 4		     ? k + 1
			     : rng_percent(&g->rng, 30) && k ? t->used[k - 1] + 1u
							     : rng_below(&g->rng, entries);
		if (i >= entries || (t->chain && !i))
			i = entries - 1;
		t->used[t->n++] = (uint16_t)i;
		put(g, entry_at(g, page, i), random_entry(g, page));
	}
}

/* The program's mapping: one table of small pages under a chain of first entries. */
static void fixed_part(struct gen *g)
{
	const uint64_t own = PTE_P | PTE_W | PTE_A | PTE_D;
	unsigned below = new_table(g, paging_top(&g->pg), true);

	for (unsigned level = paging_top(&g->pg); level > 1; level--) {
		unsigned above = below;
		below = new_table(g, level - 1, true);
		put(g, entry_at(g, above, 0),
		    table_gpa(g, below) | (paging_is_pdpte(&g->pg, level) ? PTE_P : PTE_P | PTE_W | PTE_U | PTE_A));
	}
	for (unsigned i = 0; i < FIXED_SIZE >> 12; i++)
		put(g, entry_at(g, below, i), i * 0x1000ull | own);
	for (unsigned i = 0; i < JOB_PAGES; i++)
		put(g, entry_at(g, below, (TABLES_ALIAS >> 12) + i), table_gpa(g, i) | own);
	put(g, entry_at(g, below, GUEST_USER_CODE >> 12), GUEST_USER_CODE | (own & ~PTE_W) | PTE_U);
	put(g, entry_at(g, below, GUEST_USER_STACK >> 12), GUEST_USER_STACK | own | PTE_U);
}

static void make_tables(struct gen *g)
{
	static const uint8_t tables_of[] = {0, 3, 3, 2, 1};
	unsigned top = paging_top(&g->pg);

	fixed_part(g);
	for (unsigned level = 1; level < top; level++)
		for (unsigned i = 0; i < tables_of[level]; i++)
			new_table(g, level, false);
	for (unsigned page = 0; page < g->n; page++)
		if (!g->t[page].chain || g->t[page].level > 1)
			fill(g, page);
}

/* ---- where an access goes */

static int work_read(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
	struct gen *g = ctx;

	*entry = 0;
	g->astray |= gpa - g->base > JOB_BYTES - size;
	if (g->astray)
		return 0;
	memcpy(entry, g->work + (gpa - g->base), size);
	return 0;
}

/* ASTRAY: by a table that is none (an entry for a large page, where those are off), so that the walk itself would change it.
 */
enum where { NOWHERE, POOL, TABLES, HOLE, OTHER, ASTRAY };

/* Whatever the rights say. */
static enum where where_is(struct gen *g, uint64_t gva, uint64_t *gpa)
{
	struct paging_mem mem = {.ctx = g, .read = work_read};
	struct paging pg = g->pg;
	struct walk w;

	pg.cr4 &= ~(CR4_SMAP | CR4_SMEP);
	g->astray = false;
	paging_walk(&pg, &mem, gva, ACCESS_READ, false, &w);
	*gpa = w.gpa;
	if (g->astray)
		return ASTRAY;
	if (w.fault.present)
		return NOWHERE;
	if (w.gpa - POOL_AT < POOL_SIZE || w.gpa - HIGH_AT < HIGH_SIZE)
		return POOL;
	if (w.gpa - g->base < JOB_BYTES)
		return TABLES;
	return (w.gpa >= HOLE_AT && w.gpa < HOLE_AT + 0x10000000ull) || w.gpa >= HIGH_AT + HIGH_SIZE ? HOLE : OTHER;
}

/* An address that the tables have something to say about, on a page's first byte. */
static uint64_t aim(struct gen *g)
{
	struct rng *r = &g->rng;
	unsigned page = 0, top = paging_top(&g->pg);
	uint64_t gva = 0;

	for (unsigned level = top; level; level--) {
		struct table *t = &g->t[page];
		unsigned shift = paging_shift(&g->pg, level), entries = paging_entries(&g->pg, level);
		bool chosen = t->n && t->level == level && rng_percent(r, 94);
		unsigned i = chosen ? t->used[rng_below(r, t->n)] : rng_below(r, entries);
		uint64_t e = get(g, entry_at(g, page, i)), next = (e & PTE_ADDRESS) - g->base;

		gva |= (uint64_t)i << shift;
		if (!(e & PTE_P) || paging_is_leaf(&g->pg, level, e) || next >= JOB_BYTES) {
			/* Within a large page: pages of the pool where it can reach them. */
			uint64_t inside = (1ull << shift) - 1, off = rng_below(r, 8) * 0x1000ull + flag(g, 50, 0x3f0000);
			if (shift == 30)
				off += e & HIGH_AT ? 0 : POOL_AT;
			gva |= off & inside & ~0xfffull;
			break;
		}
		page = (unsigned)(next >> 12);
	}
	return paging_sign_extend(&g->pg, gva);
}

static unsigned op_size(const struct gen *g, unsigned op)
{
	bool wide = g->p->job.wide;

	return op == OP_READ1 || op == OP_WRITE1 ? 1 : op == OP_READ8 || op == OP_WRITE8 ? (wide ? 8 : 2) : 4;
}

/* Of an access that went through: which bits of its data mean the same on both. */
static uint64_t data_mask(enum where where, uint64_t gpa, unsigned size)
{
	uint64_t all = size == 8 ? ~0ull : (1ull << 8 * size) - 1;

	if (where == HOLE || (where == OTHER && gpa >= LOW_SIZE)) /* QEMU answers with zeroes, soft with ones */
		return 0;
	/* QEMU sets accessed bits ahead of a fault. */
	return where == TABLES ? all & ~0x2000000020ull & ~(size < 4 ? 0x20ull : 0) : all;
}

static bool fits(enum where where, unsigned op)
{
	bool reads = op <= OP_READ8;

	if (where == TABLES || where == OTHER)
		return reads;
	return where != HOLE || op != OP_FETCH;
}

static void set_page_edge(struct gen *g, struct access_note *a)
{
	for (unsigned i = 0; i < 8; i++)
		((uint8_t *)&a->value)[i] = edge_byte[rng_below(&g->rng, sizeof(edge_byte))];
}

/* Across the end of a page, where both pages take it. */
static bool cross(struct gen *g, struct access_note *a, unsigned size)
{
	uint64_t gpa, page = a->gva & ~0xfffull;
	bool fetch = a->op == OP_FETCH;

	if (size == 1 || a->op == OP_XADD || page + 0x1000 < page || (g->pg.mode < PAGING_4LEVEL && page == 0xfffff000))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		enum where w = where_is(g, page + i * 0x1000, &gpa);
		if (w != POOL && w != NOWHERE)
			return false;
	}
	a->gva = page + 0x1000 - (fetch ? 1 + rng_below(&g->rng, 4) : 1 + rng_below(&g->rng, size - 1));
	set_page_edge(g, a);
	return true;
}

static unsigned random_op(struct gen *g)
{
	static const uint8_t share[] = {10, 20, 6, 8, 20, 6, 5, 5, 20};
	unsigned k = rng_below(&g->rng, 100), op = 0;

	for (; op < OP_FETCH && k >= share[op]; op++)
		k -= share[op];
	return op;
}

static void add_access(struct gen *g)
{
	struct access_note *a = &g->p->list[g->p->job.count];
	struct rng *r = &g->rng;
	bool again = g->n_seen && rng_percent(r, 35);
	uint64_t gpa, page = again ? g->seen[rng_below(r, g->n_seen)] : aim(g);

	*a = (struct access_note){.gva = page, .op = random_op(g), .value = rng_next(r)};
	a->flags = (rng_percent(r, 55) ? ACCESS_BY_USER : 0) | (rng_percent(r, 30) ? ACCESS_WITH_AC : 0);
	enum where where = where_is(g, page, &gpa);
	if (where == ASTRAY)
		return;
	if (!fits(where, a->op))
		a->op = OP_READ4;
	unsigned size = op_size(g, a->op);
	if (!rng_percent(r, 8) || !cross(g, a, size)) {
		a->gva += a->op == OP_FETCH ? 0x10 : (0x20 + rng_below(r, 0xfa0)) & ~(size - 1);
		a->mask = data_mask(where, gpa, size);
	} else {
		a->mask = a->op == OP_FETCH ? ~0ull : data_mask(POOL, 0, size);
	}
	if (a->op == OP_FETCH)
		a->mask = ~0ull;
	if (g->p->job.wide && a->op != OP_FETCH && rng_percent(r, 3))
		a->gva ^= 1ull << 62; /* not canonical */
	if (g->n_seen < ACCESSES_MAX)
		g->seen[g->n_seen++] = page;
	g->p->job.count++;
}

/* ---- accesses that change how the others translate */

static struct access_note *control(struct gen *g, unsigned op, uint64_t gva, uint64_t value)
{
	struct access_note *a = &g->p->list[g->p->job.count++];

	*a = (struct access_note){.op = op, .gva = gva, .value = value, .mask = ~0ull};
	return a;
}

static void add_flush(struct gen *g)
{
	bool pge = g->pg.cr4 & CR4_PGE;

	control(g, pge || rng_percent(&g->rng, 30) ? OP_FLUSH : OP_CR3, 0, 0);
}

static void add_control(struct gen *g)
{
	struct rng *r = &g->rng;

	switch (rng_below(r, 4)) {
	case 0:
		g->pg.cr0 ^= CR0_WP;
		control(g, OP_CR0, 0, g->pg.cr0);
		break;
	case 1:
		g->pg.cr4 ^= (rng_percent(r, 50) ? CR4_SMEP : 0) | (rng_percent(r, 50) ? CR4_SMAP : 0) |
			     (rng_percent(r, 25) ? CR4_PGE : 0) | (rng_percent(r, 20) ? CR4_PSE : 0);
		control(g, OP_CR4, 0, g->pg.cr4);
		break;
	case 2:
		control(g, OP_CR3, 0, 0);
		break;
	default:
		control(g, OP_INVLPG, g->n_seen ? g->seen[rng_below(r, g->n_seen)] : 0, 0);
	}
}

/* An entry is written, and everything flushed unless it was not present: such are not cached, but for PAE's registers. */
static void add_set(struct gen *g)
{
	struct rng *r = &g->rng;
	unsigned page = rng_below(r, g->n);
	struct table *t = &g->t[page];

	if (!t->n)
		return;
	uint32_t at = entry_at(g, page, t->used[rng_below(r, t->n)]);
	uint64_t old = get(g, at), v = random_entry(g, page);
	if (paging_is_pdpte(&g->pg, t->level))
		v = old ^ PTE_P;
	else if (rng_percent(r, 50))
		v = old ^
		    (flag(g, 40, PTE_W) | flag(g, 30, PTE_U) | flag(g, 50, PTE_A) | flag(g, 50, PTE_D) | flag(g, 20, PTE_P));
	put(g, at, v);
	control(g, entry_size(g) == 4 ? OP_SET4 : OP_SET8, TABLES_ALIAS + at, v);
	if ((old & PTE_P) || paging_is_pdpte(&g->pg, t->level) || rng_percent(r, 50))
		add_flush(g);
}

/* ---- the job */

static void choose_mode(struct gen *g)
{
	struct rng *r = &g->rng;
	unsigned k = rng_below(r, 100);
	struct paging *pg = &g->pg;

	pg->mode = k < 35 ? PAGING_32BIT : k < 65 ? PAGING_PAE : k < 85 ? PAGING_4LEVEL : PAGING_5LEVEL;
	pg->maxphyaddr = 40;
	pg->gbpages = true;
	pg->cr0 = CR0_PE | CR0_ET | CR0_PG | (rng_percent(r, 55) ? CR0_WP : 0);
	pg->cr4 = (rng_percent(r, 65) ? CR4_PSE : 0) | (rng_percent(r, 30) ? CR4_PGE : 0) |
		  (rng_percent(r, 30) ? CR4_SMEP : 0) | (rng_percent(r, 30) ? CR4_SMAP : 0);
	if (pg->mode != PAGING_32BIT)
		pg->cr4 |= CR4_PAE;
	pg->efer = pg->mode != PAGING_32BIT && rng_percent(r, 65) ? EFER_NXE : 0;
	if (paging_long(pg))
		pg->efer |= EFER_LME;
	if (pg->mode == PAGING_5LEVEL)
		pg->cr4 |= CR4_LA57;
	g->root_offset = pg->mode == PAGING_PAE ? rng_below(r, 128) * 32 : 0;
	pg->cr3 = g->base + g->root_offset;
}

void job_paging(const struct plan_job *p, struct paging *pg)
{
	struct regs r = {.cr0 = p->job.cr0, .cr3 = p->job.cr3, .cr4 = p->job.cr4, .efer = p->job.efer};

	paging_from_regs(pg, &r);
	pg->maxphyaddr = 40;
}

void job_make(struct plan_job *p, uint64_t seed, unsigned index)
{
	struct gen *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	memset(p, 0, sizeof(*p));
	p->seed = seed;
	g->p = p;
	g->rng.s = seed * 0x2545f4914f6cdd1dull + 77;
	g->base = GUEST_TABLES + (uint64_t)index * JOB_BYTES;
	choose_mode(g);
	make_tables(g);
	p->mode = paging_mode_name(g->pg.mode);
	p->job = (struct job){.cr0 = (uint32_t)g->pg.cr0,
			      .cr4 = (uint32_t)g->pg.cr4,
			      .cr3 = g->pg.cr3,
			      .efer = (uint32_t)g->pg.efer,
			      .wide = paging_long(&g->pg),
			      .list = GUEST_LISTS + index * (uint32_t)sizeof(p->list)};
	memcpy(p->tables, g->work, JOB_BYTES);
	while (p->job.count < ACCESSES_MAX - 2) {
		unsigned k = rng_below(&g->rng, 100);
		if (k < 6)
			add_control(g);
		else if (k < 12)
			add_set(g);
		else
			add_access(g);
	}
	free(g);
}
