/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the kernel did for a guest, by its tracepoints: which shadow pages it zapped, which leaves it fetched ahead, which
 * entries it marked as accessed on behalf of an instruction fetch, whether its emulator executed an instruction.
 */
#include "tests/agree/agree.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvmback/trace/trace.h"

#define EACH_MAX 4096
#define SPTE_A 0x20ull

struct named {
	uint64_t gfn;
	unsigned n; /* level, or index */
};
struct names {
	struct named v[EACH_MAX];
	size_t n;
};

static struct {
	struct trace *trace;
	struct names zapped, ahead, fetched; /* fetched: gfn of a table, index of the entry */
	bool in_fetch;
	uint64_t walked;
	unsigned emulated;
	uint64_t lost;
	uint32_t met;
	bool show;
} ev;

int events_open(struct err *e)
{
	int rc = trace_open(&ev.trace, e);

	if (!rc)
		trace_thread(ev.trace, gettid());
	return rc;
}

void events_close(void)
{
	trace_close(ev.trace);
	ev.trace = NULL;
}

bool events_there(void)
{
	return ev.trace;
}

static void add(struct names *l, uint64_t gfn, unsigned n)
{
	if (l->n < EACH_MAX)
		l->v[l->n++] = (struct named){gfn, n};
}

static bool has(const struct names *l, uint64_t gfn, unsigned n)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].gfn == gfn && l->v[i].n == n)
			return true;
	return false;
}

static uint64_t field(const struct trace_event *e, const char *name)
{
	const char *at = strstr(e->detail, name);

	return at ? strtoull(at + strlen(name), NULL, 16) : 0;
}

/* The bytes of an instruction that faults are read as data, into the next page too. */
static void note_walk(bool fetch, uint64_t addr)
{
	ev.in_fetch =
	    fetch || (ev.walked >= GVA_CODE && ev.walked < GVA_CODE + CODE_SIZE && !(addr & 0xfff) && addr - ev.walked < 15);
	ev.walked = addr;
}

static const struct {
	enum stage stage;
	uint32_t met;
} meanings[] = {{STAGE_MMIO, MET_MMIO},
		{STAGE_GUEST_FAULT, MET_FAULT},
		{STAGE_UNSYNC, MET_UNSYNC},
		{STAGE_SYNC, MET_SYNC},
		{STAGE_ZAP, MET_ZAP}};

static void take(void *arg, const struct trace_event *e)
{
	(void)arg;
	if (ev.show)
		printf("       %s gfn %#llx level %u %s\n", stage_name(e->stage), (unsigned long long)e->gfn, e->level,
		       e->detail);
	for (unsigned i = 0; i < ARRAY_LEN(meanings); i++)
		ev.met |= e->stage == meanings[i].stage ? meanings[i].met : 0;
	if (e->begins && e->stage == STAGE_WALK)
		note_walk(e->fetch, field(e, "addr "));
	else if (e->stage == STAGE_ACCESSED && ev.in_fetch)
		add(&ev.fetched, e->gfn, (unsigned)(field(e, "gpa ") & 0xfff) / 8);
	else if (e->stage == STAGE_ZAP)
		add(&ev.zapped, e->gfn, e->level);
	else if (e->stage == STAGE_SPTE && e->level == 1 && !(field(e, "spte ") & SPTE_A))
		add(&ev.ahead, e->gfn, (unsigned)(field(e, "sptep ") & 0xfff) / 8);
	else if (e->stage == STAGE_EMULATE)
		ev.emulated++;
}

unsigned events_take(bool show)
{
	ev.show = show;
	ev.emulated = 0;
	if (!ev.trace)
		return 1;
	trace_read(ev.trace, take, NULL);
	return ev.emulated;
}

void events_reset(void)
{
	(void)events_take(false);
	ev.met = 0;
	ev.zapped.n = ev.ahead.n = ev.fetched.n = 0;
	ev.lost = ev.trace ? trace_lost(ev.trace) : 0;
}

bool events_lost(void)
{
	return ev.trace && trace_lost(ev.trace) != ev.lost;
}

bool events_zapped(uint64_t gfn, unsigned level)
{
	return !ev.trace || has(&ev.zapped, gfn, level);
}

bool events_fetched_ahead(uint64_t gfn, unsigned index)
{
	return !ev.trace || has(&ev.ahead, gfn, index);
}

bool events_accessed_by_fetch(uint64_t gpa)
{
	return !ev.trace || has(&ev.fetched, gpa >> 12, (unsigned)(gpa & 0xfff) / 8);
}

uint32_t events_met(void)
{
	return ev.met | (ev.ahead.n ? MET_AHEAD : 0);
}
