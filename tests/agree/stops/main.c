/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Agreement on stops, by seeds.
 *
 *   agree_stops [-b kvm] [-s] [-n SEEDS] [-f FIRST] [-m MODE] [-x CLASS,...] [-p POINTS] [-r] [-v] [-k]
 *   -b kvm against soft, not soft against the oracle   -s kvm stepped   -m all in this mode   -x without these classes
 *   -p these stop points alone (a bit each)   -r the least that differs   -v lists, code   -k go on after a difference
 */
#include <errno.h>
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
	bool keep, kvm, steps, shrink;
	FILE *out;
};

struct sums {
	uint64_t guests, failed, stops, unknown, cut, whole, otherwise, beside;
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

/* ---- one seed */

static int list_of(const struct s_guest *g, const struct machine_ops *backend, unsigned maxphyaddr, bool steps,
		   struct machine **m, struct s_list *l, struct err *e)
{
	return s_guest_open(g, backend, maxphyaddr, m, e) ?: s_debug_list(g, *m, steps, l, e);
}

/* kvm against soft, which has the address bits that the host has. */
static int kvm_compared(const struct s_guest *g, const struct options *o, struct sums *t, struct err *e)
{
	struct machine *m[2] = {NULL};
	struct s_list l[2] = {{.n = 0}};
	int rc = list_of(g, &kvm_backend, 0, o->steps, &m[0], &l[0], e), bad = 0;

	if (!rc)
		rc = list_of(g, &soft_backend, m[0]->maxphyaddr, false, &m[1], &l[1], e);
	if (!rc) {
		t->stops += l[0].n;
		count_kinds(t, m[0], &l[0]);
		bad = s_compare(o->out, g, m[0], &l[0], "kvm", m[1], &l[1], "soft");
	}
	for (unsigned i = 0; o->verbose && i < l[0].n; i++)
		fprintf(o->out, "  %3u %s\n", i, l[0].line[i]);
	for (unsigned i = 0; i < 2; i++) {
		s_list_free(&l[i]);
		if (m[i])
			machine_destroy(m[i]);
	}
	return rc ? rc : bad;
}

/* A guest that goes another way on kvm though nothing is planted in it (a mode that this host has not, INT n at CPL 3, what
 * KVM's emulator lacks) says nothing of stops: it is counted, and left to build/agree. */
static bool goes_otherwise(const struct s_guest *g, const struct options *o, struct err *e)
{
	struct s_guest bare = *g;
	struct options quiet = *o;
	struct sums ignored = {0};

	bare.n_points = 0;
	quiet.verbose = 0;
	quiet.out = fopen("/dev/null", "w");
	bool otherwise = quiet.out && kvm_compared(&bare, &quiet, &ignored, e) != 0;
	if (quiet.out)
		fclose(quiet.out);
	return otherwise;
}

static int kvm_lists(struct s_guest *g, const struct options *o, struct sums *t, struct err *e)
{
	struct options quiet = *o;
	int rc;

	quiet.out = fopen("/dev/null", "w");
	if (!quiet.out)
		return err_set(e, -errno, "/dev/null" WHY "it cannot be opened" TRY "look at it");
	rc = kvm_compared(g, &quiet, t, e);
	fclose(quiet.out);
	if (rc && goes_otherwise(g, o, e)) {
		t->otherwise++;
		return 0;
	}
	if (rc || o->verbose) {
		rc = kvm_compared(g, o, &(struct sums){0}, e);
		s_print_guest(o->out, g);
		s_print_prompt(o->out, g, "kvm");
	}
	return rc;
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
		t->beside += l[1].beside;
		t->cut += l[0].cut;
		bad = s_compare(o->out, g, m[0], &l[0], "oracle", m[1], &l[1], "soft");
		if (!bad)
			bad = s_compare(o->out, g, m[0], &l[0], "oracle", m[2], &l[2], "steps");
	}
	if (o->verbose || bad)
		s_print_guest(o->out, g);
	if (o->verbose || (bad && o->out == stdout))
		s_print_prompt(o->out, g, "soft");
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

static int run_guest(const struct options *o, uint64_t seed, const struct s_less *less, struct sums *t)
{
	struct s_guest g;
	struct err e = {0};
	int rc = s_guest_make(&g, seed, o->mode, o->without, o->kvm);

	if (!rc) {
		s_leave_out(&g, less);
		rc = (o->kvm ? kvm_lists : seed_lists)(&g, o, t, &e);
	}
	if (rc < 0)
		fprintf(o->out, "seed %llu: %s: %s\n", (unsigned long long)seed, e.what, e.why);
	s_guest_free(&g);
	return rc;
}

/* ---- the least that still differs: points and instructions are left out one by one */

static bool differs_without(const struct options *o, uint64_t seed, const struct s_less *less, FILE *nowhere)
{
	struct options quiet = *o;
	struct sums ignored = {0};

	quiet.out = nowhere;
	quiet.verbose = 0;
	return run_guest(&quiet, seed, less, &ignored) > 0;
}

static void shrink(const struct options *o, uint64_t seed)
{
	struct s_less less = {.points = ~o->points};
	FILE *nowhere = fopen("/dev/null", "w");
	struct sums ignored = {0};

	if (!nowhere)
		return;
	s_steps_max = 3000; /* without an instruction of its own a loop may have no end */
	for (unsigned i = 0; i < S_POINTS_MAX; i++) {
		less.points |= 1u << i;
		if (!differs_without(o, seed, &less, nowhere))
			less.points &= ~(1u << i);
	}
	for (unsigned n = 32; n; n /= 4)
		for (unsigned i = 0; i < S_INSNS_MAX; i += n) {
			struct s_less tried = less;
			memset(&tried.insn[i], true, n);
			if (memcmp(&tried, &less, sizeof(less)) && differs_without(o, seed, &tried, nowhere))
				less = tried;
		}
	fclose(nowhere);
	s_steps_max = S_STEPS_MAX;
	printf("the least of seed %llu that differs (NOPs are not shown):\n", (unsigned long long)seed);
	run_guest(o, seed, &less, &ignored);
}

static int run_seed(const struct options *o, uint64_t seed, struct sums *t)
{
	struct s_less less = {.points = ~o->points};
	int rc = run_guest(o, seed, &less, t);

	t->guests++;
	t->failed += rc != 0;
	if (rc > 0)
		printf("  again: build/agree_stops%s -f %llu -n 1 -v, or -r in place of -v for the least that differs\n",
		       o->kvm ? " -b kvm" : "", (unsigned long long)seed);
	if (rc > 0 && o->shrink)
		shrink(o, seed);
	fflush(stdout);
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

	while ((c = getopt(argc, argv, "n:f:m:x:p:b:srvk")) != -1)
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
		case 'r':
			o->shrink = true;
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
	struct options o = {.n = 500, .mode = -1, .points = ~0u, .out = stdout};
	struct sums t = {0};
	int bad = 0;

	struct err e = {0};

	if (!options_parse(&o, argc, argv))
		return 2;
	if (o.kvm && kvmback_available(&e)) {
		printf("skip: %s\n0 passed, 0 failed, 1 skipped\n", e.why);
		return 0;
	}
	for (uint64_t seed = o.first; seed < o.first + o.n && (!bad || o.keep); seed++)
		bad |= run_seed(&o, seed, &t) != 0;
	printf("%llu guests, %llu stops; the oracle gave up on %llu, %llu had more stops than are compared\n",
	       (unsigned long long)t.guests, (unsigned long long)t.stops, (unsigned long long)t.unknown,
	       (unsigned long long)t.cut);
	if (t.beside)
		printf("%llu more for what the MMU did, which changed nothing\n", (unsigned long long)t.beside);
	if (t.otherwise)
		printf("%llu go another way on this host without any stop point: left to build/agree\n",
		       (unsigned long long)t.otherwise);
	printf("%llu ended by themselves. Stops of a kind, and guests with one:", (unsigned long long)t.whole);
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
		printf("%s %s %llu in %llu", k ? "," : "", kinds[k], (unsigned long long)t.kind[k],
		       (unsigned long long)t.guests_of[k]);
	printf("\n%llu passed, %llu failed, 0 skipped\n", (unsigned long long)(t.guests - t.failed),
	       (unsigned long long)t.failed);
	return bad;
}
