/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Agreement on stops, by seeds.
 *
 *   agree_stops [-n SEEDS] [-f FIRST] [-m MODE] [-x CLASS,...] [-p POINTS] [-v] [-k]
 *   -m all in this mode   -x without these classes   -p these stop points alone (a bit each)   -v lists, code   -k go on
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/machine/machine_impl.h"
#include "core/soft/soft.h"
#include "kvmback/kvmback.h"
#include "tests/agree/stops/stops.h"

struct options {
	uint64_t n, first;
	int mode, verbose;
	uint32_t without, points;
	bool keep, kvm, steps;
};

struct sums {
	uint64_t guests, failed, stops, unknown, cut, whole;
	uint64_t kind[6], guests_of[6]; /* by KINDS */
};
static const char *const kinds[] = {"breakpoint", "watchpoint", "mmio", "pio", "exception", "mode"};

static void count_kinds(struct sums *t, struct machine *m, const struct s_list *l)
{
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		uint64_t n = 0;
		for (unsigned i = 0; i < l->n; i++)
			n += strstr(l->line[i], kinds[k]) != NULL;
		t->kind[k] += n;
		t->guests_of[k] += n > 0;
	}
	uint32_t exceptions = S_COUNT_MAX;
	t->whole += !l->why && !machine_read(m, S_COUNT, false, &exceptions, 4, NULL) && exceptions < S_COUNT_MAX;
}

/* ---- printing */

static void print_point(FILE *f, const struct s_point *p, unsigned id)
{
	fprintf(f, "  %2u %s", id, p->temporary ? "tbreak" : p->kind == POINT_HBREAK ? "hbreak" : point_kind_name(p->kind));
	if (p->kind == POINT_CATCH) {
		fprintf(f, " %s", p->event == CATCH_MMIO ? "mmio" : p->event == CATCH_PIO ? "pio" : p->event == CATCH_MODE ? "mode" : "exception");
		if (p->has_arg)
			fprintf(f, " %#llx to %#llx", (unsigned long long)p->first, (unsigned long long)p->last);
	} else {
		fprintf(f, " %s%#llx", p->phys ? "-phys " : "", (unsigned long long)p->addr);
	}
	if (p->kind != POINT_CATCH && p->kind != POINT_BREAK && p->kind != POINT_HBREAK)
		fprintf(f, " %llu", (unsigned long long)p->len);
	if (p->modulus)
		fprintf(f, " if {$rbp %% %u == %u}", p->modulus, p->rest);
	fprintf(f, p->ignore ? " ignore %u\n" : "\n", p->ignore);
}

void s_print_guest(FILE *f, struct s_guest *g)
{
	struct disas *d;
	struct insn insn;

	for (unsigned i = 0; i < g->n_points; i++)
		print_point(f, &g->point[i], i + 1);
	if (disas_create(&d, NULL))
		return;
	for (size_t at = 0; at < g->len; at += insn.len ? insn.len : 1) {
		if (!disas_one(d, g->mode->bits, S_CODE + at, g->ram + S_CODE + at, g->len - at, &insn))
			fprintf(f, "  %#zx .byte %#x\n", S_CODE + at, g->ram[S_CODE + at]);
		else
			fprintf(f, "  %#zx %s %s\n", S_CODE + at, insn.mnemonic, insn.operands);
	}
	disas_destroy(d);
}

static void print_lists(FILE *f, const struct s_list *a, const char *an, const struct s_list *b, const char *bn, unsigned from)
{
	for (unsigned i = from > 3 ? from - 3 : 0; i < from + 6 && (i < a->n || i < b->n); i++) {
		const char *x = i < a->n ? a->line[i] : "(none)", *y = i < b->n ? b->line[i] : "(none)";
		if (!strcmp(x, y))
			fprintf(f, "  %3u %s\n", i, x);
		else
			fprintf(f, "  %3u %-8s %s\n      %-8s %s\n", i, an, x, bn, y);
	}
}

static void print_regs(FILE *f, const char *name, const struct regs *r)
{
	fprintf(f, "  %-6s", name);
	for (unsigned i = 0; i < 16; i++)
		fprintf(f, " %llx", (unsigned long long)r->gpr[i]);
	fprintf(f, " rip %llx flags %llx cr3 %llx dr %llx %llx %llx %llx\n", (unsigned long long)r->rip, (unsigned long long)r->rflags,
		(unsigned long long)r->cr3, (unsigned long long)r->dr[0], (unsigned long long)r->dr[1], (unsigned long long)r->dr[6],
		(unsigned long long)r->dr[7]);
}

/* ---- comparing */

static unsigned first_difference(const struct s_list *a, const struct s_list *b)
{
	unsigned i = 0;

	while (i < a->n && i < b->n && !strcmp(a->line[i], b->line[i]))
		i++;
	return i;
}

static bool hits_differ(const struct s_guest *g, const struct s_list *a, const struct s_list *b, unsigned *which)
{
	for (unsigned i = 0; i < g->n_points; i++)
		if (a->hits[i] != b->hits[i] && a->hits[i] != UINT64_MAX && b->hits[i] != UINT64_MAX) {
			*which = i;
			return true;
		}
	return false;
}

static bool ends_differ(const struct s_list *a, const struct s_list *b)
{
	return memcmp(a->end.gpr, b->end.gpr, sizeof(a->end.gpr)) || a->end.rip != b->end.rip || a->end.rflags != b->end.rflags ||
	       a->end.cr3 != b->end.cr3 || memcmp(a->end.dr, b->end.dr, sizeof(a->end.dr));
}

static bool memory_differs(struct machine *a, struct machine *b, uint64_t *where)
{
	static uint8_t x[S_RAM], y[S_RAM];

	if (machine_read(a, 0, false, x, S_RAM, NULL) || machine_read(b, 0, false, y, S_RAM, NULL))
		return true;
	for (*where = 0; *where < S_RAM; ++*where)
		/* accessed and dirty bits of tables are compared by build/agree */
		if (x[*where] != y[*where] && (*where < S_PT1 || *where >= S_ROOTS + 0x6000))
			return true;
	return false;
}

/* 0: alike. */
static int compare(struct s_guest *g, struct machine *am, const struct s_list *a, const char *an, struct machine *bm,
		   const struct s_list *b, const char *bn)
{
	unsigned at = first_difference(a, b), point = 0;
	bool whole = !a->cut && !b->cut && !a->why && !b->why;
	uint64_t where = 0;

	if ((at < a->n || at < b->n) && !(a->why && at == a->n) && !(a->cut && at == a->n) && !(b->cut && at == b->n)) {
		printf("DISAGREE seed %llu (%s): stop %u\n", (unsigned long long)g->seed, g->mode->name, at);
		print_lists(stdout, a, an, b, bn, at);
		return 1;
	}
	if (!whole)
		return 0;
	if (hits_differ(g, a, b, &point)) {
		printf("DISAGREE seed %llu (%s): hits of point %u: %s %llu, %s %llu\n", (unsigned long long)g->seed, g->mode->name,
		       point + 1, an, (unsigned long long)a->hits[point], bn, (unsigned long long)b->hits[point]);
		return 1;
	}
	bool regs = ends_differ(a, b);
	if (!regs && !memory_differs(am, bm, &where))
		return 0;
	printf("DISAGREE seed %llu (%s): %s at the end\n", (unsigned long long)g->seed, g->mode->name, regs ? "registers" : "memory");
	if (regs) {
		print_regs(stdout, an, &a->end);
		print_regs(stdout, bn, &b->end);
	} else {
		printf("  at %#llx\n", (unsigned long long)where);
	}
	return 1;
}

/* ---- one seed */

static void keep_points(struct s_guest *g, uint32_t mask)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_points; i++)
		if (mask >> i & 1)
			g->point[n++] = g->point[i];
	g->n_points = n;
}

static int list_of(const struct s_guest *g, const struct machine_ops *backend, unsigned maxphyaddr, bool steps, struct machine **m,
		   struct s_list *l, struct err *e)
{
	return s_guest_open(g, backend, maxphyaddr, m, e) ?: s_debug_list(g, *m, steps, l, e);
}

/* kvm against soft, which has the address bits that the host has. */
static int kvm_lists(struct s_guest *g, const struct options *o, struct sums *t, struct err *e)
{
	struct machine *m[2] = {NULL};
	struct s_list l[2] = {{.n = 0}};
	int rc = list_of(g, &kvm_backend, 0, o->steps, &m[0], &l[0], e), bad = 0;

	if (!rc)
		rc = list_of(g, &soft_backend, m[0]->maxphyaddr, false, &m[1], &l[1], e);
	if (!rc) {
		t->stops += l[0].n;
		count_kinds(t, m[0], &l[0]);
		bad = compare(g, m[0], &l[0], "kvm", m[1], &l[1], "soft");
	}
	if (o->verbose || bad)
		s_print_guest(stdout, g);
	if (bad)
		printf("  again: build/agree_stops -b kvm -f %llu -n 1 -v\n", (unsigned long long)g->seed);
	for (unsigned i = 0; o->verbose && i < l[0].n; i++)
		printf("  %3u %s\n", i, l[0].line[i]);
	for (unsigned i = 0; i < 2; i++) {
		s_list_free(&l[i]);
		if (m[i])
			machine_destroy(m[i]);
	}
	return rc ? rc : bad;
}

static int oracle_list(struct s_guest *g, struct machine **m, struct s_list *l, struct err *e)
{
	int rc = s_guest_open(g, &soft_backend, 0, m, e) ?: s_oracle(g, *m, l, e);

	for (unsigned i = 0; i < g->n_points; i++)
		l->hits[i] = g->point[i].gone ? UINT64_MAX : g->point[i].hits;
	return rc;
}

static int seed_lists(struct s_guest *g, const struct options *o, struct sums *t, struct err *e)
{
	struct machine *m[3] = {NULL};
	struct s_list l[3] = {{.n = 0}};
	int rc = oracle_list(g, &m[0], &l[0], e), bad = 0;

	if (!rc)
		rc = list_of(g, &soft_backend, 0, false, &m[1], &l[1], e);
	if (!rc)
		rc = list_of(g, &soft_backend, 0, true, &m[2], &l[2], e);
	if (!rc) {
		t->stops += l[0].n;
		count_kinds(t, m[0], &l[0]);
		t->unknown += l[0].why != NULL;
		t->cut += l[0].cut;
		bad = compare(g, m[0], &l[0], "oracle", m[1], &l[1], "soft");
		if (!bad)
			bad = compare(g, m[0], &l[0], "oracle", m[2], &l[2], "steps");
	}
	if (o->verbose || bad) {
		s_print_guest(stdout, g);
		printf("  again: build/agree_stops -f %llu -n 1 -v\n", (unsigned long long)g->seed);
	}
	if (o->verbose) {
		for (unsigned i = 0; i < l[0].n; i++)
			printf("  %3u %s\n", i, l[0].line[i]);
		printf("  oracle: %s\n", l[0].why ? l[0].why : "to the end");
	}
	for (unsigned i = 0; i < 3; i++) {
		s_list_free(&l[i]);
		if (m[i])
			machine_destroy(m[i]);
	}
	return rc ? rc : bad;
}

static int run_seed(const struct options *o, uint64_t seed, struct sums *t)
{
	struct s_guest g;
	struct err e = {0};
	int rc = s_guest_make(&g, seed, o->mode, o->without);

	keep_points(&g, o->points);
	if (!rc)
		rc = (o->kvm ? kvm_lists : seed_lists)(&g, o, t, &e);
	if (rc < 0)
		printf("seed %llu: %s: %s\n", (unsigned long long)seed, e.what, e.why);
	s_guest_free(&g);
	t->guests++;
	t->failed += rc != 0;
	return rc;
}

static uint32_t classes_parse(char *text)
{
	uint32_t c = 0;

	for (char *w = strtok(text, ","); w; w = strtok(NULL, ","))
		for (unsigned i = 0; i < S_CLASSES; i++)
			if (!strcmp(w, s_class_name(i)))
				c |= 1u << i;
	return c;
}

static int mode_parse(const char *name)
{
	for (unsigned i = 0; i < s_n_modes; i++)
		if (!strcmp(s_modes[i].name, name))
			return (int)i;
	return -1;
}

static bool options_parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:f:m:x:p:b:svk")) != -1)
		switch (c) {
		case 'n':
			o->n = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			o->first = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			o->mode = mode_parse(optarg);
			break;
		case 'x':
			o->without = classes_parse(optarg);
			break;
		case 'p':
			o->points = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'b':
			o->kvm = !strcmp(optarg, "kvm");
			break;
		case 's':
			o->steps = true;
			break;
		case 'v':
			o->verbose++;
			break;
		case 'k':
			o->keep = true;
			break;
		default:
			return false;
		}
	return true;
}

int main(int argc, char **argv)
{
	struct options o = {.n = 500, .mode = -1, .points = ~0u};
	struct sums t = {0};
	int bad = 0;

	if (!options_parse(&o, argc, argv))
		return 2;
	for (uint64_t seed = o.first; seed < o.first + o.n && (!bad || o.keep); seed++)
		bad |= run_seed(&o, seed, &t) != 0;
	printf("%llu guests, %llu stops; the oracle gave up on %llu, %llu had more stops than are compared\n",
	       (unsigned long long)t.guests, (unsigned long long)t.stops, (unsigned long long)t.unknown, (unsigned long long)t.cut);
	printf("%llu ended by themselves. Stops of a kind, and guests with one:", (unsigned long long)t.whole);
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
		printf("%s %s %llu in %llu", k ? "," : "", kinds[k], (unsigned long long)t.kind[k], (unsigned long long)t.guests_of[k]);
	printf("\n%llu passed, %llu failed, 0 skipped\n", (unsigned long long)(t.guests - t.failed), (unsigned long long)t.failed);
	return bad;
}
