/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Symbols: two sorted orders over one array. Lookups work from symbols_sort() until the next symbols_add().
 */
#include "core/load/symbols.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How far beyond a symbol without a size an address still belongs to it, and over how many shorter symbols the search for
 * one that covers the address goes back. */
#define REACH 0x10000u
#define LOOK_BACK 64u

void symbols_init(struct symbols *s)
{
	memset(s, 0, sizeof(*s));
}

void symbols_deinit(struct symbols *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].name);
	for (uint32_t i = 0; i < s->n_files; i++)
		free(s->files[i]);
	free(s->files);
	free(s->v);
	free(s->by_name);
	symbols_init(s);
}

static bool grow_table(struct symbols *s)
{
	size_t cap = s->cap ? s->cap * 2 : 64;
	struct symbol *v;

	if (s->n < s->cap)
		return true;
	v = realloc(s->v, cap * sizeof(*v));
	if (!v)
		return false;
	s->v = v;
	s->cap = cap;
	return true;
}

int symbols_add_file(struct symbols *s, const char *name, uint32_t *file, struct err *e)
{
	char **files = realloc(s->files, (s->n_files + 1) * sizeof(*files));
	char *copy = strdup(name);

	if (files)
		s->files = files;
	if (!files || !copy) {
		free(copy);
		return err_nomem(e, "add a file of symbols");
	}
	s->files[s->n_files++] = copy;
	*file = s->n_files;
	return 0;
}

int symbols_add_local(struct symbols *s, uint32_t file, const char *name, uint64_t addr, uint64_t size, struct err *e)
{
	char *copy;

	if (!name[0])
		return 0;
	copy = strdup(name);
	if (!copy || !grow_table(s)) {
		free(copy);
		return err_nomem(e, "add a symbol");
	}
	s->v[s->n++] = (struct symbol){.name = copy, .addr = addr, .size = size, .file = file};
	free(s->by_name);
	s->by_name = NULL;
	return 0;
}

int symbols_add(struct symbols *s, const char *name, uint64_t addr, uint64_t size, struct err *e)
{
	return symbols_add_local(s, 0, name, addr, size, e);
}

int symbols_add_all(struct symbols *s, const struct symbols *from, struct err *e)
{
	uint32_t before = s->n_files, file;
	int rc = 0;

	for (uint32_t i = 0; i < from->n_files && !rc; i++)
		rc = symbols_add_file(s, from->files[i], &file, e);
	for (size_t i = 0; i < from->n && !rc; i++) {
		const struct symbol *sym = &from->v[i];
		rc = symbols_add_local(s, sym->file ? sym->file + before : 0, sym->name, sym->addr, sym->size, e);
	}
	return rc;
}

static int by_addr(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (strcmp(x->name, y->name))
		return strcmp(x->name, y->name);
	return (x->file > y->file) - (x->file < y->file);
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct symbol *v = arg;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int c = strcmp(v[x].name, v[y].name);

	return c ? c : (x > y) - (x < y);
}

/* In by_name those of one name are neighbours, in the order of addresses. */
static void mark_shared(struct symbols *s)
{
	for (size_t from = 0, to; from < s->n; from = to) {
		struct symbol *first = &s->v[s->by_name[from]];
		bool shared = false;

		for (to = from + 1; to < s->n && !strcmp(s->v[s->by_name[to]].name, first->name); to++)
			shared |= s->v[s->by_name[to]].addr != first->addr;
		for (size_t i = from; i < to; i++)
			s->v[s->by_name[i]].shared = shared;
	}
}

int symbols_sort(struct symbols *s, struct err *e)
{
	size_t *index = malloc((s->n ? s->n : 1) * sizeof(*index));

	if (!index)
		return err_nomem(e, "sort symbols");
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_addr);
	for (size_t i = 0; i < s->n; i++)
		index[i] = i;
	if (s->n)
		qsort_r(index, s->n, sizeof(*index), by_name, s->v);
	free(s->by_name);
	s->by_name = index;
	mark_shared(s);
	return 0;
}

/* Index into by_name of the first name that is not below name. */
static size_t lower_bound(const struct symbols *s, const char *name)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(s->v[s->by_name[mid]].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct symbol *symbols_by_name(const struct symbols *s, const char *name)
{
	size_t i;

	if (!s->by_name)
		return NULL;
	i = lower_bound(s, name);
	if (i == s->n || strcmp(s->v[s->by_name[i]].name, name) != 0)
		return NULL;
	return &s->v[s->by_name[i]];
}

static bool symbol_covers(const struct symbol *sym, uint64_t addr)
{
	return addr - sym->addr < (sym->size ? sym->size : REACH);
}

const struct symbol *symbols_by_addr(const struct symbols *s, uint64_t addr)
{
	const struct symbol *best = NULL;
	size_t lo = 0, hi = s->n;

	if (!s->by_name)
		return NULL;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* The nearest that covers it; of several at one address the first by name. */
	for (size_t back = 0; lo-- && back < LOOK_BACK; back++) {
		if (best && s->v[lo].addr != best->addr)
			break;
		if (symbol_covers(&s->v[lo], addr))
			best = &s->v[lo];
	}
	return best;
}
