/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Agreement of the soft backend with the host's KVM.
 *
 *   agree [-n SEEDS] [-f FIRST] [-0] [-c] [-C CLASS,...] [-v] [-k]
 *   -0 all at CPL0   -c all to the end without stepping   -s the guests of -c, stepped   -C only these classes   -v every
 * instruction, -vv with memory and shadow compared each time   -k go on after a difference
 */
#include "tests/agree/agree.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvmback/kvmback.h"

struct options {
	uint64_t n, first;
	bool cpl0, whole, step, keep;
	int verbose;
	uint32_t classes;
};

static uint32_t classes_parse(char *text)
{
	uint32_t c = 0;

	for (char *w = strtok(text, ","); w; w = strtok(NULL, ","))
		for (unsigned i = 0; i < CLASS_COUNT; i++)
			if (!strcmp(w, class_name(i)))
				c |= 1u << i;
	return c;
}

/* Of ten seeds seven step at CPL3, one steps at CPL0, two run to the end; one in twenty has random bytes, three
 * in four write their own tables. */
static void choose(const struct options *o, uint64_t seed, uint32_t *classes, bool *cpl0, bool *stepping)
{
	*cpl0 = o->cpl0 || seed % 10 == 7;
	*stepping = !o->whole && seed % 10 < 8;
	*classes = CLASSES_ALL & ~CLASS_RAW;
	if (*cpl0)
		*classes &= ~CLASS_SSE;
	if (seed % 4 == 3)
		*classes &= ~CLASS_TABLES;
	if (seed % 20 == 4)
		*classes |= CLASS_RAW;
	if (o->classes)
		*classes = o->classes;
}

static int run_seeds(const struct options *o, struct totals *t)
{
	int bad = 0;

	for (uint64_t seed = o->first; seed < o->first + o->n && (!bad || o->keep); seed++) {
		struct plan p;
		uint32_t classes;
		bool cpl0, stepping;
		choose(o, seed, &classes, &cpl0, &stepping);
		int rc = plan_make(&p, seed, classes, cpl0, stepping);
		p.stepping |= o->step;
		if (!rc)
			rc = agree_seed(&p, t, o->verbose);
		plan_free(&p);
		bad |= rc != 0;
		t->failed += rc != 0;
		fflush(stdout);
	}
	return bad;
}

static int run_demos(const struct options *o, struct totals *t)
{
	static const char *const name[] = {"demo:tour", "demo:rmap", "demo:remap", "demo:smm", "demo:real", "demo:threads"};
	int bad = 0;

	for (unsigned i = 0; i < sizeof(name) / sizeof(*name); i++) {
		int rc = agree_demo(name[i], t, o->verbose);
		bad |= rc != 0;
		t->failed += rc != 0;
	}
	return bad;
}

/* False: words that are no options. */
static bool options_parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:f:0csC:vk")) != -1)
		switch (c) {
		case 'n':
			o->n = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			o->first = strtoull(optarg, NULL, 0);
			break;
		case '0':
			o->cpl0 = true;
			break;
		case 'c':
			o->whole = true;
			break;
		case 's':
			o->whole = o->step = true;
			break;
		case 'C':
			o->classes = classes_parse(optarg);
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

static void report(const struct totals *t, double seconds)
{
	const struct shadow_counts *n = &t->counts;

	printf(
	    "%llu guests, %llu instructions side by side, %llu shadow comparisons, %llu left out because trace events were "
	    "lost, %llu ended by a rule, %.1f s of CPU\n",
	    (unsigned long long)t->guests, (unsigned long long)t->instructions, (unsigned long long)t->shadow,
	    (unsigned long long)t->overflowed, (unsigned long long)t->ruled, seconds);
	printf(
	    "  shadow: %llu pages (%llu unsync) and %llu leaves on both; %llu leaves that KVM fetched ahead; %llu pages and "
	    "%llu leaves that it zapped\n",
	    (unsigned long long)n->pages, (unsigned long long)n->unsync, (unsigned long long)n->leaves,
	    (unsigned long long)n->ahead, (unsigned long long)n->zapped_pages, (unsigned long long)n->zapped_leaves);
	printf("  %llu instructions skipped that faulted alike\n", (unsigned long long)t->skipped);
	printf("  %llu guests taken once more because KVM's MMIO cache was empty\n", (unsigned long long)t->repeated);
	for (unsigned i = 0; i < FEATURE_COUNT; i++)
		printf("  %6llu guests with %s\n", (unsigned long long)t->feature[i], feature_name(i));
	rules_report(stdout);
}

int main(int argc, char **argv)
{
	struct options o = {.n = 2000};
	struct totals t = {0};
	struct err e = {0};

	if (!options_parse(&o, argc, argv))
		return 2;
	if (kvmback_available(&e)) {
		printf("skip: %s\n0 passed, 0 failed, 1 skipped\n", e.why);
		return 0;
	}
	if (facts_open())
		return 2;
	if (host_probe())
		printf("this processor does what the manuals leave open in a way that soft does not know\n");
	bool blind = events_open(&e);
	if (blind)
		printf("skip: shadow tables are not compared without the kernel's tracepoints: %s\n", e.why);
	clock_t t0 = clock();
	int bad = run_seeds(&o, &t);
	if (o.n > 1 && !o.first)
		bad |= run_demos(&o, &t);
	facts_close();
	events_close();
	report(&t, (double)(clock() - t0) / CLOCKS_PER_SEC);
	printf("%llu passed, %llu failed, %u skipped\n", (unsigned long long)(t.guests - t.failed),
	       (unsigned long long)t.failed, blind);
	return bad;
}
