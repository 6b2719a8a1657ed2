/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The map's dirty logs: chunks of the bitmap in which anything is set. While the guest runs the machine does not tell the
 * log. It only grows then, so what was in it stays, and what a dirty and writable spte shows was written since is added.
 */
#include "core/debug/pagemap_impl.h"

#include <errno.h>
#include <string.h>

static struct map_chunk *room(struct map_log *l)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct map_chunk *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		l->v = v;
		l->cap = cap;
	}
	return &l->v[l->n];
}

static uint64_t count_words(const struct map_chunk *c)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < MAP_CHUNK_WORDS; i++)
		n += (uint64_t)__builtin_popcountll(c->word[i]);
	return n;
}

/* At the end, behind all others. */
static int append(struct map_log *l, const struct map_chunk *c)
{
	struct map_chunk *to = room(l);

	if (!to)
		return -ENOMEM;
	*to = *c;
	to->before = l->n ? to[-1].before + count_words(&to[-1]) : 0;
	l->n++;
	return 0;
}

static int from_bits(struct map_log *l, const struct map_log_seen *seen)
{
	uint64_t pages = l->size >> PAGE_SHIFT;

	for (size_t i = 0; i < seen->n_words && i * 64 < pages; i += MAP_CHUNK_WORDS) {
		size_t n = seen->n_words - i < MAP_CHUNK_WORDS ? seen->n_words - i : MAP_CHUNK_WORDS;
		struct map_chunk c = {.page = i * 64};

		memcpy(c.word, seen->bits + i, n * sizeof(uint64_t));
		if (count_words(&c) && append(l, &c))
			return -ENOMEM;
	}
	return 0;
}

/* ---- while the guest runs */

static bool is_written(const struct map_entry *en)
{
	return (en->bits & (MAP_WRITABLE | MAP_DIRTY)) == (MAP_WRITABLE | MAP_DIRTY);
}

/* Pages of the chunk that sptes show as written; *at goes behind them. base: the slot's first gfn. */
static void add_written(struct map_chunk *c, const struct map_level *l, size_t *at, uint64_t base)
{
	for (; *at < l->n && l->v[*at].gfn - base < c->page + MAP_CHUNK_PAGES; ++*at) {
		uint64_t page = l->v[*at].gfn - base - c->page;

		if (is_written(&l->v[*at]))
			c->word[page / 64] |= 1ull << page % 64;
	}
}

/* What was logged, and what was written since. Mappings of more than a page are of no slot that is logged. */
static int carry(struct map_log *l, const struct map_log *was, const struct map_level *written)
{
	uint64_t base = l->gpa >> PAGE_SHIFT, pages = l->size >> PAGE_SHIFT;
	size_t at = map_level_find(written, 0, base), k = 0;

	for (;;) {
		bool more = at < written->n && written->v[at].gfn - base < pages;
		uint64_t next = more ? (written->v[at].gfn - base) & ~(MAP_CHUNK_PAGES - 1) : UINT64_MAX;
		struct map_chunk c = {.page = next};

		if (k < was->n && was->v[k].page <= next)
			c = was->v[k++];
		else if (!more)
			return 0;
		add_written(&c, written, &at, base);
		if (count_words(&c) && append(l, &c))
			return -ENOMEM;
	}
}

/* The log that this slot had in the map before, if that was known. */
static const struct map_log *log_before(const struct pagemap *old, const struct gpa_region *r)
{
	for (size_t i = 0; old && i < old->regions.n; i++) {
		const struct gpa_region *was = &old->regions.v[i];
		bool same = gpa_is_slot(was) && was->slot == r->slot && was->first == r->first && was->last == r->last &&
			    was->vis == r->vis;

		if (same && (old->log[i].state == MAP_LOG_KNOWN || old->log[i].state == MAP_LOG_OLD))
			return &old->log[i];
	}
	return NULL;
}

static const struct map_log_seen *log_seen(const struct map_seen *seen, uint32_t slot)
{
	for (size_t i = 0; i < seen->n_log; i++)
		if (seen->log[i].slot == slot)
			return &seen->log[i];
	return NULL;
}

static int make_log(struct pagemap *map, size_t i, const struct pagemap *old, const struct map_seen *seen)
{
	const struct gpa_region *r = &map->regions.v[i];
	const struct map_log_seen *bits = log_seen(seen, r->slot);
	const struct map_log *was = bits || !seen->live ? NULL : log_before(old, r);

	map->log[i] = (struct map_log){.state = bits  ? MAP_LOG_KNOWN
						: was ? MAP_LOG_OLD
						      : MAP_LOG_UNKNOWN,
				       .slot = r->slot,
				       .gpa = r->first,
				       .size = r->last - r->first + 1};
	if (bits)
		return from_bits(&map->log[i], bits);
	return was ? carry(&map->log[i], was, &map->level[map_layer(r)][0]) : 0;
}

int map_logs_make(struct pagemap *map, const struct pagemap *old, const struct map_seen *seen, struct err *e)
{
	int rc = 0;

	map->log = calloc(map->regions.n + 1, sizeof(*map->log));
	if (!map->log)
		return err_nomem(e, "map of memory");
	for (size_t i = 0; !rc && i < map->regions.n; i++)
		if (gpa_is_slot(&map->regions.v[i]) && map->regions.v[i].flags & SLOT_LOG_DIRTY)
			rc = make_log(map, i, old, seen);
	return rc ? err_nomem(e, "map of memory") : 0;
}

enum map_log_state pagemap_log_state(const struct pagemap *map, const struct gpa_region *r)
{
	return map->log[r - map->regions.v].state;
}

/* ---- counting */

static uint64_t mask_from(uint64_t bit)
{
	return bit >= 64 ? 0 : ~0ull << bit;
}

/* Set pages of a chunk below `page`, counted in the chunk. */
static uint64_t count_below(const struct map_chunk *c, uint64_t page)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < MAP_CHUNK_WORDS && i * 64 < page; i++)
		n += (uint64_t)__builtin_popcountll(c->word[i] & ~mask_from(page - i * 64));
	return n;
}

/* Set pages of the log below `page`. */
static uint64_t log_below(const struct map_log *l, uint64_t page)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (l->v[mid].page < page)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return 0;
	return l->v[lo - 1].before + count_below(&l->v[lo - 1], page - l->v[lo - 1].page);
}

uint64_t map_log_count(const struct map_log *l, uint64_t first, uint64_t last)
{
	return log_below(l, last + 1) - log_below(l, first);
}
