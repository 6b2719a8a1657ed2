/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Conditions, ignore counts and temporary points, and the order in which the reasons of one stop are told, as docs/ and the
 * help of `break`, `ignore`, `condition` have them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/agree/stops/stops.h"

void s_list_add(struct s_list *l, const char *fmt, ...)
{
	va_list ap;

	if (l->n == S_STOPS_MAX) {
		l->cut = true;
		return;
	}
	if (l->n == l->max) {
		l->max = l->max ? 2 * l->max : 64;
		l->line = realloc(l->line, l->max * sizeof(*l->line));
		if (!l->line)
			abort();
	}
	va_start(ap, fmt);
	if (vasprintf(&l->line[l->n++], fmt, ap) < 0)
		abort();
	va_end(ap);
}

void s_list_free(struct s_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->line[i]);
	free(l->line);
	*l = (struct s_list){.n = 0};
}

void s_scene_begin(struct s_scene *sc, struct s_guest *g, struct s_list *l, uint64_t rbp, uint64_t rip)
{
	sc->g = g;
	sc->l = l;
	sc->rbp = rbp;
	sc->rip = rip;
	sc->n = 0;
	sc->detail[0] = '\0';
}

static void add(struct s_scene *sc, unsigned rank, int id, const char *what)
{
	unsigned at = sc->n++;

	for (; at && (sc->rank[at - 1] > rank || (sc->rank[at - 1] == rank && sc->id[at - 1] > id)); at--) {
		sc->rank[at] = sc->rank[at - 1];
		sc->id[at] = sc->id[at - 1];
		memcpy(sc->what[at], sc->what[at - 1], sizeof(sc->what[at]));
	}
	sc->rank[at] = rank;
	sc->id[at] = id;
	snprintf(sc->what[at], sizeof(sc->what[at]), "%s", what);
}

bool s_scene_match(struct s_scene *sc, unsigned i, const char *what)
{
	struct s_point *p = &sc->g->point[i];
	unsigned rank = p->kind == POINT_CATCH ? 2 : p->kind == POINT_BREAK || p->kind == POINT_HBREAK ? 3 : 1;

	if (p->gone || (p->modulus && sc->rbp % p->modulus != p->rest))
		return false;
	p->hits++;
	if (p->ignored < p->ignore) {
		p->ignored++;
		return false;
	}
	p->gone = p->temporary;
	add(sc, rank, (int)i + 1, what);
	return true;
}

void s_scene_own(struct s_scene *sc, const char *what)
{
	add(sc, 0, 0, what);
}

void s_scene_end(struct s_scene *sc)
{
	char text[1024] = "";
	size_t n = 0;

	for (unsigned i = 0; i < sc->n && n < sizeof(text) - 200; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, sc->id[i] ? ", %s %d" : ", %s", sc->what[i], sc->id[i]);
	if (sc->n)
		s_list_add(sc->l, "%#llx%s%s", (unsigned long long)sc->rip, text + 1, sc->detail);
}
