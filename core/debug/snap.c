/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Taking a snapshot: ask the machine for each part, keep what a diff needs in sorted arrays, drop the rest.
 */
#include "core/debug/snap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/debug/snap_impl.h"

void snap_destroy(struct snap *s)
{
	if (!s)
		return;
	free(s->slots);
	free(s->own);
	free(s->mmio);
	free(s->regs);
	free(s->mem);
	pool_destroy(s->pool);
	free(s);
}

const char *snap_missing(const struct snap *s, enum diff_part p)
{
	return s->missing[p][0] ? s->missing[p] : NULL;
}

size_t snap_count(const struct snap *s, enum diff_part p)
{
	const size_t counts[DIFF_PARTS] = {
	    [DIFF_SLOT] = s->n_slots, [DIFF_SHADOW] = s->n_pages, [DIFF_SPTE] = s->n_sptes, [DIFF_RMAP] = s->n_rmaps,
	    [DIFF_MMIO] = s->n_mmio,  [DIFF_REG] = s->n_regs,	  [DIFF_MEMORY] = s->n_mem,
	};

	return counts[p];
}

bool snap_torn(const struct snap *s)
{
	return s->torn;
}

/* A part that cannot be had: 0 and the reason kept, or the error itself where memory is out. */
static int lacks(struct snap *s, enum diff_part p, int rc, const struct err *why, struct err *e)
{
	if (rc == -ENOMEM) {
		if (e)
			*e = *why;
		return rc;
	}
	snprintf(s->missing[p], sizeof(s->missing[p]), "%.199s", err_reason(why));
	return 0;
}

static void *array(size_t n, size_t size)
{
	return calloc(n ? n : 1, size);
}

/* ---- slots */

static int slot_cmp(const void *x, const void *y)
{
	const struct slot_info *a = x, *b = y;

	if (a->as != b->as)
		return a->as < b->as ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static int take_slots(struct snap *s, struct machine *m, struct err *e)
{
	struct slot_info_list l = {0};
	int rc = machine_slot_list(m, &l, e);

	if (rc)
		return rc;
	s->own = array(l.n, sizeof(s->own[0]));
	if (!s->own) {
		slot_info_list_free(&l);
		return err_nomem(e, "snapshot of slots");
	}
	size_t n = 0;
	for (size_t i = 0; i < l.n; i++) {
		s->torn |= l.v[i].torn;
		if (l.v[i].own)
			s->own[s->n_own++] = l.v[i];
		else
			l.v[n++] = l.v[i];
	}
	s->slots = l.v;
	s->n_slots = n;
	if (n)
		qsort(s->slots, n, sizeof(s->slots[0]), slot_cmp);
	return 0;
}

/* ---- shadow pages and sptes */

static int page_cmp(const void *x, const void *y)
{
	const struct shadow_page *a = x, *b = y;

	if (a->level != b->level)
		return a->level > b->level ? -1 : 1;
	if (a->gfn != b->gfn)
		return a->gfn < b->gfn ? -1 : 1;
	return a->address < b->address ? -1 : a->address > b->address;
}

/* Not there at all: zero, or the suppress-#VE bit that kernels since 6.12 fill empty entries with. */
static bool spte_empty(uint64_t spte)
{
	return (spte & ~(1ull << 63)) == 0;
}

static size_t count_entries(const struct shadow_page_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		for (unsigned j = 0; l->v[i].entries && j < 512; j++)
			n += !spte_empty(l->v[i].entries[j]);
	return n;
}

/* Reverse maps have no more sptes than there are: their room comes with it, so that a big snapshot is one piece of memory.
 */
static int make_room(struct snap *s, size_t pages, size_t sptes)
{
	size_t each = sizeof(s->sptes[0]) + sizeof(s->rmaps[0]) + sizeof(s->sptep[0]);

	s->pool = pool_create_sized(pages * sizeof(s->pages[0]) + sptes * each + 4096);
	if (!s->pool)
		return -ENOMEM;
	s->pages = pool_alloc(s->pool, (pages + 1) * sizeof(s->pages[0]));
	s->sptes = pool_alloc(s->pool, (sptes + 1) * sizeof(s->sptes[0]));
	s->rmap_room = sptes;
	return s->pages && s->sptes ? 0 : -ENOMEM;
}

static void keep_page(struct snap *s, const struct shadow_page *p)
{
	uint32_t page = (uint32_t)s->n_pages;

	s->pages[s->n_pages++] = (struct snap_page){.gfn = p->gfn,
						    .address = p->address,
						    .spt = p->spt,
						    .level = p->level,
						    .roots = p->roots,
						    .sptes = p->sptes,
						    .mmio_sptes = p->mmio_sptes,
						    .access = p->access,
						    .direct = p->direct,
						    .tdp = p->tdp,
						    .smm = p->smm,
						    .unsync = p->unsync,
						    .invalid = p->invalid};
	s->torn |= p->torn;
	for (unsigned j = 0; p->entries && j < 512; j++)
		if (!spte_empty(p->entries[j]))
			s->sptes[s->n_sptes++] =
			    (struct snap_spte){.page = page, .index = (uint16_t)j, .spte = p->entries[j]};
}

static int take_shadow(struct snap *s, struct machine *m, struct err *e)
{
	struct shadow_page_list l = {0};
	struct err why = {0};
	int rc = machine_shadow_pages(m, SHADOW_WITH_ENTRIES, &l, &why);

	if (rc) {
		rc = lacks(s, DIFF_SHADOW, rc, &why, e);
		memcpy(s->missing[DIFF_SPTE], s->missing[DIFF_SHADOW], sizeof(s->missing[0]));
		return rc;
	}
	s->torn |= l.torn;
	if (make_room(s, l.n, count_entries(&l))) {
		shadow_page_list_free(&l);
		return err_nomem(e, "snapshot of shadow pages");
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(l.v[0]), page_cmp);
	for (size_t i = 0; i < l.n; i++)
		keep_page(s, &l.v[i]);
	shadow_page_list_free(&l);
	return 0;
}

/* ---- reverse maps */

static int rmap_cmp(const void *x, const void *y)
{
	const struct snap_rmap *a = x, *b = y;

	if (a->as != b->as)
		return a->as < b->as ? -1 : 1;
	if (a->slot != b->slot)
		return a->slot < b->slot ? -1 : 1;
	if (a->level != b->level)
		return a->level < b->level ? -1 : 1;
	return a->gfn < b->gfn ? -1 : a->gfn > b->gfn;
}

struct rmaps {
	struct snap *s;
	size_t cap, cap_sptep;
	bool sorted;
};

/* An array with room for n more; if it is full, one twice as long that begins with the same. */
static void *more(struct pool *p, void *array, size_t have, size_t n, size_t *cap, size_t size)
{
	size_t want = have ? have * 2 : *cap;

	if (array && have + n <= *cap)
		return array;
	if (want < have + n)
		want = have + n;
	void *grown = pool_alloc(p, want * size);
	if (!grown)
		return NULL;
	if (have)
		memcpy(grown, array, have * size);
	*cap = want;
	return grown;
}

static int keep_rmap(void *arg, const struct rmap_info *r)
{
	struct rmaps *a = arg;
	struct snap *s = a->s;

	s->torn |= r->torn;
	if (r->kind == RMAP_EMPTY)
		return 0;
	s->rmaps = more(s->pool, s->rmaps, s->n_rmaps, 1, &a->cap, sizeof(s->rmaps[0]));
	s->sptep = more(s->pool, s->sptep, s->n_sptep, r->n_sptes, &a->cap_sptep, sizeof(s->sptep[0]));
	if (!s->rmaps || !s->sptep)
		return -ENOMEM;
	struct snap_rmap *k = &s->rmaps[s->n_rmaps++];
	*k = (struct snap_rmap){.gfn = r->gfn,
				.slot = r->slot,
				.as = (uint16_t)r->as,
				.level = (uint16_t)r->level,
				.first = (uint32_t)s->n_sptep,
				.n = (uint32_t)r->n_sptes};
	for (size_t i = 0; i < r->n_sptes; i++)
		s->sptep[s->n_sptep++] = r->sptes[i].sptep;
	if (s->n_rmaps > 1 && rmap_cmp(k - 1, k) > 0)
		a->sorted = false;
	return 0;
}

static int take_rmaps(struct snap *s, struct machine *m, struct err *e)
{
	struct rmaps a = {.s = s, .cap = s->rmap_room, .cap_sptep = s->rmap_room, .sorted = true};
	struct err why = {0};

	if (!s->pool && make_room(s, 0, 0)) /* shadow pages could not be had */
		return err_nomem(e, "snapshot of reverse maps");
	int rc = machine_rmap_each(m, keep_rmap, &a, &why);

	if (rc == -ENOMEM)
		return err_nomem(e, "snapshot of reverse maps");
	if (rc) {
		s->n_rmaps = s->n_sptep = 0;
		return lacks(s, DIFF_RMAP, rc, &why, e);
	}
	if (!a.sorted)
		qsort(s->rmaps, s->n_rmaps, sizeof(s->rmaps[0]), rmap_cmp);
	return 0;
}

/* ---- MMIO caches and registers */

static int spte_cmp(const void *x, const void *y)
{
	const struct snap_spte *a = x, *b = y;

	if (a->page != b->page)
		return a->page < b->page ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

/* An MMIO spte has a guest's address where others have a pfn: mark the one that stands at sptep. Pages are by level and gfn.
 */
static void mark_mmio(struct snap *s, const struct spte_info *m)
{
	size_t low = 0, high = s->n_pages;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct snap_page *p = &s->pages[mid];

		if (p->level > m->level || (p->level == m->level && p->gfn < m->page_gfn))
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < s->n_pages && s->pages[low].level == m->level && s->pages[low].gfn == m->page_gfn; low++) {
		struct snap_spte key = {.page = (uint32_t)low, .index = (uint16_t)m->index}, *at = NULL;

		if (s->pages[low].spt == (m->sptep & ~PAGE_OFFSET_MASK))
			at = bsearch(&key, s->sptes, s->n_sptes, sizeof(key), spte_cmp);
		if (at)
			at->mmio = true;
	}
}

static int take_mmio(struct snap *s, struct machine *m, struct err *e)
{
	struct mmio_info_list l = {0};
	struct err why = {0};
	int rc = machine_mmio(m, &l, &why);

	if (rc)
		return lacks(s, DIFF_MMIO, rc, &why, e);
	s->mmio = array(l.n, sizeof(s->mmio[0]));
	if (!s->mmio) {
		mmio_info_list_free(&l);
		return err_nomem(e, "snapshot of MMIO caches");
	}
	for (size_t i = 0; i < l.n; i++) {
		for (size_t j = 0; s->n_sptes && j < l.v[i].n_sptes; j++)
			mark_mmio(s, &l.v[i].sptes[j]);
		s->mmio[i] = l.v[i];
		s->mmio[i].sptes = NULL;
		s->mmio[i].n_sptes = 0;
		s->torn |= l.v[i].torn;
	}
	s->n_mmio = l.n;
	mmio_info_list_free(&l);
	return 0;
}

static int take_regs(struct snap *s, struct machine *m, struct err *e)
{
	unsigned n = machine_vcpus(m);
	struct err why = {0};

	s->regs = array(n, sizeof(s->regs[0]));
	if (!s->regs)
		return err_nomem(e, "snapshot of registers");
	for (unsigned i = 0; i < n; i++) {
		int rc = machine_get_regs(m, i, REGS_ALL, &s->regs[i], &why);
		if (rc)
			return lacks(s, DIFF_REG, rc, &why, e);
	}
	s->n_regs = n;
	return 0;
}

/* ---- memory */

static uint64_t hash_page(const uint8_t *page)
{
	uint64_t lane[4] = {1, 2, 3, 4}, word[4];

	for (size_t i = 0; i < PAGE_SIZE_4K; i += sizeof(word)) {
		memcpy(word, page + i, sizeof(word));
		for (int j = 0; j < 4; j++) {
			lane[j] = (lane[j] ^ word[j]) * 0x9e3779b97f4a7c15ull;
			lane[j] ^= lane[j] >> 29;
		}
	}
	return lane[0] ^ lane[1] << 1 ^ lane[2] << 2 ^ lane[3] << 3;
}

static int mem_cmp(const void *x, const void *y)
{
	const struct snap_mem *a = x, *b = y;

	if (a->smm != b->smm)
		return a->smm ? 1 : -1;
	return a->gfn < b->gfn ? -1 : a->gfn > b->gfn;
}

static bool is_zero(const uint8_t *page)
{
	return !page[0] && memcmp(page, page + 1, PAGE_SIZE_4K - 1) == 0;
}

static int mem_room(struct snap *s, size_t n, struct err *e)
{
	struct snap_mem *grown = realloc(s->mem, (s->n_mem + n + 1) * sizeof(*grown));

	if (!grown)
		return err_nomem(e, "snapshot of memory");
	s->mem = grown;
	return 0;
}

static void add_page(struct snap *s, uint64_t gfn, bool smm, const uint8_t *page)
{
	if (!is_zero(page))
		s->mem[s->n_mem++] = (struct snap_mem){.gfn = gfn, .smm = smm, .hash = hash_page(page)};
}

/* A slot that is not mapped here, by a buffer. */
static int hash_by_reading(struct snap *s, struct machine *m, const struct slot_info *sl, bool smm, struct err *e)
{
	_cleanup_free_ uint8_t *page = malloc(PAGE_SIZE_4K);
	int rc = page ? mem_room(s, sl->size / PAGE_SIZE_4K, e) : err_nomem(e, "snapshot of memory");

	for (uint64_t at = 0; !rc && at < sl->size; at += PAGE_SIZE_4K) {
		rc = machine_read(m, sl->gpa + at, smm, page, PAGE_SIZE_4K, e);
		if (!rc)
			add_page(s, (sl->gpa + at) >> PAGE_SHIFT, smm, page);
	}
	return rc;
}

/* The pages of [gpa, gpa + size) that exist in the host and are not all zeroes. One that does not exist must not be read:
 * that would make it, all zeroes, which is why such a page counts as none. */
static int hash_range(struct snap *s, uint64_t gpa, bool smm, const uint8_t *bytes, size_t size, struct err *e)
{
	size_t n = size / PAGE_SIZE_4K;
	uintptr_t at = (uintptr_t)bytes;
	_cleanup_free_ unsigned char *present = malloc(n ? n : 1);
	int rc = present ? mem_room(s, n, e) : err_nomem(e, "snapshot of memory");

	if (rc)
		return rc;
	if (at & PAGE_OFFSET_MASK || mincore((void *)at, n * PAGE_SIZE_4K, present))
		memset(present, 1, n);
	for (size_t i = 0; i < n; i++)
		if (present[i] & 1)
			add_page(s, (gpa >> PAGE_SHIFT) + i, smm, bytes + i * PAGE_SIZE_4K);
	return 0;
}

static int take_slot_memory(struct snap *s, struct machine *m, const struct slot_info *sl, struct err *e)
{
	bool smm = sl->vis == SLOT_VIS_SMM;
	const struct slot *slot = slot_lookup(machine_slots(m), sl->gpa, smm, NULL);
	size_t len = 0;
	const uint8_t *bytes = machine_peek(m, sl->gpa, smm, &len);

	if (bytes)
		return hash_range(s, sl->gpa, smm, bytes, len < sl->size ? len : sl->size, e);
	return slot && !slot->file_backed ? hash_by_reading(s, m, sl, smm, e) : 0;
}

/* Memory that cannot be read now is a part that is missing, no failure of the rest. */
static int take_memory(struct snap *s, struct machine *m, struct err *e)
{
	struct err why = {0};
	int rc = 0;

	for (size_t i = 0; !rc && i < s->n_slots; i++)
		rc = take_slot_memory(s, m, &s->slots[i], &why);
	if (rc == -ENODATA) {
		s->n_mem = 0;
		snprintf(s->missing[DIFF_MEMORY], sizeof(s->missing[0]), "%.80s: %.110s", why.what, why.why);
		return 0;
	}
	if (rc && e)
		*e = why;
	if (!rc && s->n_mem)
		qsort(s->mem, s->n_mem, sizeof(s->mem[0]), mem_cmp);
	return rc;
}

int snap_take(struct machine *m, bool with_memory, struct snap **out, struct err *e)
{
	struct snap *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(e, "snapshot");
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int rc = machine_look_begin(m, &hold, e);
	if (!rc)
		rc = take_slots(s, m, e);
	machine_share_reads(m, true);
	if (!rc)
		rc = take_shadow(s, m, e);
	if (!rc)
		rc = take_rmaps(s, m, e);
	if (!rc)
		rc = take_mmio(s, m, e);
	machine_share_reads(m, false);
	if (!rc)
		rc = take_regs(s, m, e);
	if (!rc && with_memory)
		rc = take_memory(s, m, e);
	else
		snprintf(s->missing[DIFF_MEMORY], sizeof(s->missing[0]), "taken without -memory");
	if (rc) {
		snap_destroy(s);
		return rc;
	}
	*out = s;
	return 0;
}
