/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Catchpoints: the event, its filter, and telling the machine.
 */
#include "cli/cmd/breaks.h"
#include "cli/session/client.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "views/record.h"

static const struct {
	const char *name;
	uint32_t event;
} events[] = {
    {"fault", 0},	{"mmio", CATCH_MMIO}, {"pio", CATCH_PIO},   {"exception", CATCH_EXCEPTION},
    {"smi", CATCH_SMI}, {"mode", CATCH_MODE}, {"slot", CATCH_SLOT}, {"mmu", CATCH_MMU},
};

static int parse_event(struct args *a, struct stop_point *spec, struct err *e)
{
	const char *word;
	int rc = args_word(a, "EVENT", &word, e);

	if (rc)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		if (strcmp(word, events[i].name) != 0)
			continue;
		spec->event = events[i].event;
		return 0;
	}
	return err_set(e, -EINVAL, "catch %.40s" WHY "there is no such event" TRY "%s", word,
		       "catch fault, mmio, pio, exception, smi, mode, slot or mmu");
}

/* FIRST [LAST]: one number, or an inclusive range. */
static int parse_range(struct args *a, uint64_t *first, uint64_t *last, struct err *e)
{
	int rc = args_addr(a, "ARG", first, e);

	*last = *first;
	if (!rc && args_more(a))
		rc = args_addr(a, "LAST", last, e);
	if (!rc && *last < *first)
		rc = err_set(e, -EINVAL, "catch" WHY "the range ends at 0x%llx, before it begins at 0x%llx" TRY "FIRST LAST",
			     (unsigned long long)*last, (unsigned long long)*first);
	return rc;
}

/* "PF", "#pf" or a number. */
static bool vector_of(const char *word, uint64_t *vector)
{
	static const char names[][4] = {"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "",   "TS",
					"NP", "SS", "GP",  "PF", "",   "MF", "AC", "MC", "XM", "VE", "CP"};

	word += *word == '#';
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i][0] && strcasecmp(word, names[i]) == 0) {
			*vector = i;
			return true;
		}
	}
	return false;
}

static int mode_of(const char *word, uint64_t *mode, struct err *e)
{
	if (!strcmp(word, "cpl")) {
		*mode = CATCH_MODE_CPL;
		return 0;
	}
	for (int i = CPU_REAL; i <= CPU_LONG64; i++) {
		if (strcmp(word, cpu_mode_name((enum cpu_mode)i)) == 0) {
			*mode = (uint64_t)i;
			return 0;
		}
	}
	return err_set(e, -EINVAL,
		       "catch mode %.20s" WHY "there is no such mode" TRY "real, vm86, prot16, prot32, compat, long, or cpl",
		       word);
}

/* A name that stands for nothing, where a number or one of the event's own words was expected. */
static bool unknown_word(const struct args *a, const char *word)
{
	uint64_t ignored;

	word += *word == '#';
	return isalpha((unsigned char)*word) && client_eval(a->call->client, word, &ignored, NULL);
}

/* Numbers that the event can have: what is beyond them would never stop. */
static int parse_numbers(struct args *a, struct stop_point *spec, const char *word, struct err *e)
{
	bool vector = spec->event == CATCH_EXCEPTION;
	uint64_t max = vector ? 255 : spec->event == CATCH_PIO ? 0xffff : UINT64_MAX;
	int rc;

	if (vector && unknown_word(a, word))
		return err_set(e, -EINVAL,
			       "catch exception %.20s" WHY "there is no exception of that name" TRY
			       "a vector, 0 to 255, or a name such as PF, GP, UD, DE",
			       word);
	rc = parse_range(a, &spec->arg_first, &spec->arg_last, e);
	if (!rc && spec->arg_last > max)
		return err_set(e, -ERANGE, "catch %s" WHY "0x%llx is beyond the last, 0x%llx" TRY "a number in that range",
			       vector ? "exception" : "pio", (unsigned long long)spec->arg_last, (unsigned long long)max);
	return rc;
}

static int parse_catch_arg(struct args *a, struct stop_point *spec, struct err *e)
{
	const char *word = args_peek(a);

	spec->has_arg = true;
	if (spec->event == CATCH_SMI)
		return err_set(e, -EINVAL, "catch smi" WHY "it takes no argument" TRY "catch smi");
	if (spec->event == CATCH_MODE || (spec->event == CATCH_EXCEPTION && vector_of(word, &spec->arg_first))) {
		int rc = args_word(a, "ARG", &word, e);
		if (!rc && spec->event == CATCH_MODE)
			rc = mode_of(word, &spec->arg_first, e);
		spec->arg_last = spec->arg_first;
		return rc;
	}
	return parse_numbers(a, spec, word, e);
}

/* One number is a gfn, two are a range of gvas. */
static int parse_fault_arg(struct args *a, struct stop_point *spec, struct err *e)
{
	bool more = args_more(a);
	int rc = more ? parse_range(a, &spec->fault.first, &spec->fault.last, e) : 0;

	spec->fault.all = !more;
	spec->fault.gva = more && a->next > 2;
	spec->has_arg = more;
	spec->arg_first = spec->fault.first;
	spec->arg_last = spec->fault.last;
	return rc;
}

/* Words for what is to happen, any number of them, then a gfn or a range of gfns. */
static int parse_mmu_arg(struct args *a, struct stop_point *spec, struct err *e)
{
	const char *word;
	int rc = 0;

	spec->mmu = (struct mmu_filter){.last = ~0ull};
	while (!rc && args_more(a)) {
		uint32_t found = 0;
		word = args_peek(a);
		for (uint32_t k = 1; k <= MMU_ALL; k <<= 1)
			if (!strcmp(word, mmu_kind_name((enum mmu_kind)k)))
				found = k;
		if (!found)
			break;
		spec->mmu.kinds |= found;
		rc = args_word(a, "EVENT", &word, e);
	}
	if (!spec->mmu.kinds)
		spec->mmu.kinds = MMU_ALL;
	if (rc || !args_more(a))
		return rc;
	spec->has_arg = true;
	word = args_peek(a);
	if (unknown_word(a, word))
		return err_set(
		    e, -EINVAL,
		    "catch mmu %.20s" WHY "that is neither an event nor a gfn" TRY "zap, unsync, sync, spte or tdp", word);
	rc = parse_range(a, &spec->mmu.first, &spec->mmu.last, e);
	spec->arg_first = spec->mmu.first;
	spec->arg_last = spec->mmu.last;
	return rc;
}

int cmd_catch(struct call *c, struct err *e)
{
	struct stop_point spec = {.kind = POINT_CATCH};
	struct debugger *d = &c->s->d;
	const char *condition;
	struct args a;
	struct stop_point *b;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = break_split_if(&a, &condition, e);
	if (rc)
		return rc;
	break_text(&a, 0, a.n, spec.at, sizeof(spec.at));
	rc = parse_event(&a, &spec, e);
	if (!rc && !spec.event)
		rc = parse_fault_arg(&a, &spec, e);
	else if (!rc && spec.event == CATCH_MMU)
		rc = parse_mmu_arg(&a, &spec, e);
	else if (!rc && args_more(&a))
		rc = parse_catch_arg(&a, &spec, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc && !spec.event)
		rc = point_fault_place(d->m, &spec.fault, e);
	if (rc)
		return rc;
	spec.how = machine_catch_how(d->m, spec.event);
	spec.condition = (char *)(uintptr_t)condition;
	rc = point_add(&d->points, d->m, &spec, &b, e);
	if (rc)
		return rc;
	c->result = record_stop_point(c->pool, b);
	if (!spec.event)
		fault_tell_limit(c);
	return 0;
}
