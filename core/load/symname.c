/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Symbols as people name them: a name, a name in a file, the N-th of a name. What one of them is called in text is what may
 * be typed for it.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/load/symbols.h"

#define NTH_MAX 100000000u

/* A text taken apart: FILE:NAME@N. */
struct wanted {
	const char *file, *name;
	size_t file_len, name_len;
	unsigned nth; /* 0: not said */
};

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool begins_with_file(const char *text, const char *file)
{
	size_t n = strlen(file);

	return n && !strncmp(text, file, n) && text[n] == ':';
}

size_t symbols_file_len(const struct symbols *s, const char *text)
{
	size_t best = 0;

	if (!strchr(text, ':'))
		return 0;
	for (uint32_t i = 0; i < s->n_files; i++) {
		const char *file = s->files[i];
		if (!begins_with_file(text, file))
			file = last_part(file);
		if (begins_with_file(text, file) && strlen(file) + 1 > best)
			best = strlen(file) + 1;
	}
	return best;
}

static struct wanted take_apart(const struct symbols *s, const char *text)
{
	struct wanted w = {.file = text, .file_len = symbols_file_len(s, text)};

	w.name = text + w.file_len;
	w.name_len = strlen(w.name);
	return w;
}

/* "helper@2" is the second helper unless a symbol is called so. False: it says no number. */
static bool take_number(struct wanted *w)
{
	const char *at = memrchr(w->name, '@', w->name_len);
	unsigned n = 0;

	if (!at || at == w->name || !isdigit((unsigned char)at[1]))
		return false;
	for (const char *p = at + 1; *p; p++) {
		if (!isdigit((unsigned char)*p) || n > NTH_MAX)
			return false;
		n = n * 10 + (unsigned)(*p - '0');
	}
	w->nth = n;
	w->name_len = (size_t)(at - w->name);
	return n;
}

static int compare(const struct wanted *w, const char *name)
{
	int c = strncmp(name, w->name, w->name_len);

	return c ? c : name[w->name_len] ? 1 : 0;
}

/* Index into by_name of the first name that is not below the wanted one. */
static size_t first_of(const struct symbols *s, const struct wanted *w)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare(w, s->v[s->by_name[mid]].name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_in_file(const struct symbols *s, const struct symbol *sym, const struct wanted *w)
{
	const char *file = sym->file ? s->files[sym->file - 1] : "", *part = last_part(file);
	size_t n = w->file_len - 1;

	if (!w->file_len)
		return true;
	return (strlen(file) == n && !memcmp(file, w->file, n)) || (strlen(part) == n && !memcmp(part, w->file, n));
}

/* Goes through the symbols of a name, in a file or in all: each address once. */
struct matches {
	const struct symbols *s;
	const struct wanted *w;
	size_t i;
	const struct symbol *last;
};

static struct matches matches_of(const struct symbols *s, const struct wanted *w)
{
	return (struct matches){.s = s, .w = w, .i = s->by_name ? first_of(s, w) : s->n};
}

static const struct symbol *next_match(struct matches *m)
{
	while (m->i < m->s->n) {
		const struct symbol *sym = &m->s->v[m->s->by_name[m->i++]];

		if (compare(m->w, sym->name))
			break;
		if (!is_in_file(m->s, sym, m->w) || (m->last && m->last->addr == sym->addr))
			continue;
		m->last = sym;
		return sym;
	}
	return NULL;
}

static int find(const struct symbols *s, const struct wanted *w, const struct symbol **out)
{
	struct matches m = matches_of(s, w);
	const struct symbol *sym = next_match(&m);

	for (unsigned n = 1; sym && n < w->nth; n++)
		sym = next_match(&m);
	if (!sym)
		return -ENOENT;
	*out = sym;
	return !w->nth && next_match(&m) ? -ENOTUNIQ : 0;
}

int symbols_lookup(const struct symbols *s, const char *text, const struct symbol **out)
{
	struct wanted w = take_apart(s, text);
	int rc = find(s, &w, out);

	return rc == -ENOENT && take_number(&w) ? find(s, &w, out) : rc;
}

unsigned symbols_numbered(const struct symbols *s, const char *text)
{
	struct wanted w = take_apart(s, text);
	unsigned n = 0;

	if (!take_number(&w) && w.name_len == strlen(w.name))
		return 0;
	struct matches m = matches_of(s, &w);
	while (next_match(&m))
		n++;
	return n;
}

/* ---- what they are called */

/* Can it stand in an expression that is one word of a line? */
static bool can_be_typed(const char *file)
{
	for (; *file; file++)
		if (!isalnum((unsigned char)*file) && !strchr("_.-/+", *file))
			return false;
	return true;
}

static bool is_alone_in_file(const struct symbols *s, const struct symbol *sym, const char *file)
{
	const struct wanted w = {
	    .file = file, .file_len = strlen(file) + 1, .name = sym->name, .name_len = strlen(sym->name)};
	const struct symbol *found;

	return *file && can_be_typed(file) && !find(s, &w, &found) && found->addr == sym->addr;
}

static unsigned number_of(const struct symbols *s, const struct symbol *sym)
{
	const struct wanted w = {.name = sym->name, .name_len = strlen(sym->name)};
	struct matches m = matches_of(s, &w);
	unsigned n = 1;

	for (const struct symbol *other = next_match(&m); other && other->addr != sym->addr; n++)
		other = next_match(&m);
	return n;
}

const char *symbols_name(const struct symbols *s, const struct symbol *sym, char *buf, size_t size)
{
	const char *file = sym->file ? s->files[sym->file - 1] : "";

	if (!sym->shared)
		snprintf(buf, size, "%s", sym->name);
	else if (is_alone_in_file(s, sym, last_part(file)))
		snprintf(buf, size, "%s:%s", last_part(file), sym->name);
	else if (is_alone_in_file(s, sym, file))
		snprintf(buf, size, "%s:%s", file, sym->name);
	else
		snprintf(buf, size, "%s@%u", sym->name, number_of(s, sym));
	return buf;
}

void symbols_choices(const struct symbols *s, const char *text,
		     void (*fn)(void *arg, const struct symbol *sym, const char *text), void *arg)
{
	struct wanted w = take_apart(s, text);
	struct matches m = matches_of(s, &w);
	char name[300];

	for (const struct symbol *sym = next_match(&m); sym; sym = next_match(&m))
		fn(arg, sym, symbols_name(s, sym, name, sizeof(name)));
}

struct choices_text {
	char *buf;
	size_t size, len;
	unsigned more;
};

static void add_choice(void *arg, const struct symbol *sym, const char *text)
{
	static const char and_more[] = " and 4294967295 more";
	struct choices_text *t = arg;
	char one[340];
	int n = snprintf(one, sizeof(one), "%s%s (%#" PRIx64 ")", t->len ? ", " : "", text, sym->addr);

	if (t->more || t->len + (size_t)n + sizeof(and_more) > t->size) {
		t->more++;
		return;
	}
	memcpy(t->buf + t->len, one, (size_t)n + 1);
	t->len += (size_t)n;
}

const char *symbols_choices_text(const struct symbols *s, const char *text, char *buf, size_t size)
{
	struct choices_text t = {.buf = buf, .size = size};

	buf[0] = '\0';
	symbols_choices(s, text, add_choice, &t);
	if (t.more)
		snprintf(buf + t.len, size - t.len, " and %u more", t.more);
	return buf;
}

const char *symbols_format(const struct symbols *s, uint64_t addr, char *buf, size_t size)
{
	const struct symbol *sym = symbols_by_addr(s, addr);
	char name[300];

	if (!size)
		return buf;
	if (!sym) {
		buf[0] = '\0';
		return buf;
	}
	const char *called = sym->shared ? symbols_name(s, sym, name, sizeof(name)) : sym->name;
	if (sym->addr == addr)
		snprintf(buf, size, "%s", called);
	else
		snprintf(buf, size, "%s+%#" PRIx64, called, addr - sym->addr);
	return buf;
}

/* ---- completion */

struct offers {
	const struct symbols *s;
	const char *prefix;
	size_t len;
	void (*fn)(void *arg, const char *name);
	void *arg;
};

static void offer(const struct offers *o, const char *text)
{
	if (!strncmp(text, o->prefix, o->len))
		o->fn(o->arg, text);
}

/* Those whose name begins with the prefix. */
static void offer_names(const struct offers *o)
{
	const struct symbols *s = o->s;
	struct wanted w = {.name = o->prefix, .name_len = o->len};
	const char *at = memrchr(o->prefix, '@', o->len);
	const char *last = NULL;
	unsigned n = 0;
	char text[300];

	if (at)
		w.name_len = (size_t)(at - o->prefix);
	for (size_t i = first_of(s, &w); i < s->n; i++) {
		const struct symbol *sym = &s->v[s->by_name[i]];
		if (strncmp(sym->name, w.name, w.name_len))
			break;
		bool again = last && !strcmp(last, sym->name);
		n = again ? n : 0;
		if (again && (!sym->shared || s->v[s->by_name[i - 1]].addr == sym->addr))
			continue; /* one symbol */
		last = sym->name;
		snprintf(text, sizeof(text), sym->shared ? "%s@%u" : "%s", sym->name, ++n);
		offer(o, text);
	}
}

/* file.c:name, for a prefix that reaches into the file's name: of names that are shared, and of all behind the ':'. */
static void offer_in_files(const struct offers *o)
{
	bool all = symbols_file_len(o->s, o->prefix);
	char text[300];

	for (size_t i = 0; i < o->s->n && o->len; i++) {
		const struct symbol *sym = &o->s->v[o->s->by_name[i]];
		if (!sym->file || (!sym->shared && !all))
			continue;
		const char *file = last_part(o->s->files[sym->file - 1]);
		if (strncmp(file, o->prefix, MIN(strlen(file), o->len)) || !is_alone_in_file(o->s, sym, file))
			continue;
		snprintf(text, sizeof(text), "%s:%s", file, sym->name);
		offer(o, text);
	}
}

void symbols_complete(const struct symbols *s, const char *prefix, void (*fn)(void *arg, const char *name), void *arg)
{
	const struct offers o = {.s = s, .prefix = prefix, .len = strlen(prefix), .fn = fn, .arg = arg};

	if (!s->by_name)
		return;
	offer_names(&o);
	offer_in_files(&o);
}
