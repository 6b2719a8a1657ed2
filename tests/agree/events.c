/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the kernel did for a guest, by its tracepoints: which shadow pages it zapped, which leaves it fetched ahead, whether
 * its emulator executed the instruction.
 */
#include "tests/agree/agree.h"

#include <string.h>
#include <unistd.h>

#include "kvmback/trace.h"

static struct trace *trace;

int events_open(struct err *e)
{
	int rc = trace_open(&trace, e);

	if (!rc)
		trace_thread(trace, gettid());
	return rc;
}

void events_close(void)
{
	trace_close(trace);
	trace = NULL;
}

bool events_there(void)
{
	return trace;
}

struct taking {
	bool show;
	unsigned emulated;
};

static void take(void *arg, const struct trace_event *ev)
{
	struct taking *t = arg;

	if (t->show)
		printf("       %s gfn %#llx level %u %s\n", ev->stage, (unsigned long long)ev->gfn, ev->level, ev->detail);
	t->emulated += !strcmp(ev->stage, "emulate");
}

unsigned events_take(bool show)
{
	struct taking t = {.show = show};

	if (trace)
		trace_read(trace, take, &t);
	return t.emulated;
}

void events_reset(void)
{
	(void)events_take(false);
}
