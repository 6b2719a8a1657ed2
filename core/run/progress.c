/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Judging looks at a vCPU: what they agree in, and since when.
 */
#include "core/run/progress.h"

void progress_forget(struct progress *p)
{
	*p = (struct progress){.kind = STALL_NONE};
}

/* Was everything since the last look the same, and the same as before it? */
static bool all_same(struct repeated *r)
{
	uint64_t since = r->n - r->n_at_look;

	r->n_at_look = r->n;
	return since && r->same > since;
}

/* What this look and the one before agree in. */
static enum stall_kind agree(struct progress *p, uint64_t state)
{
	bool accessed = p->access.n != p->access.n_at_look, raised = p->exception.n != p->exception.n_at_look;
	bool access = all_same(&p->access), exception = all_same(&p->exception);

	if (accessed)
		return access ? STALL_ACCESS : STALL_NONE;
	if (raised)
		return exception ? STALL_EXCEPTION : STALL_NONE;
	return p->looks && p->state == state ? STALL_SPIN : STALL_NONE;
}

/* The first look of what may become a stretch without progress. */
static void start_over(struct progress *p, uint64_t now, uint64_t rip, enum stall_kind kind)
{
	p->kind = kind;
	p->since = now;
	p->first = p->last = rip;
	p->looks = 0;
	p->told = false;
}

bool progress_look(struct progress *p, uint64_t now, uint64_t rip, uint64_t state)
{
	enum stall_kind kind = agree(p, state);
	bool goes_on = kind != STALL_NONE && (kind == p->kind || (p->looks == 1 && p->kind == STALL_NONE));

	if (!goes_on)
		start_over(p, now, rip, STALL_NONE);
	else
		p->kind = kind;
	p->looks++;
	p->state = state;
	p->now = now;
	p->first = MIN(p->first, rip);
	p->last = MAX(p->last, rip);
	return goes_on && p->looks > PROGRESS_LOOKS && now - p->since >= PROGRESS_STALL_NS;
}

static void tell_repeated(const struct repeated *r, struct stall *out)
{
	out->first = out->last = r->rip;
	out->count = r->same;
	out->address = r->address;
}

bool progress_tell(struct progress *p, struct stall *out)
{
	if (p->told)
		return false;
	p->told = true;
	*out = (struct stall){.kind = p->kind, .ns = p->now - p->since, .first = p->first, .last = p->last};
	if (p->kind == STALL_ACCESS) {
		tell_repeated(&p->access, out);
		out->port = p->access.what >> 1 & 1;
		out->write = p->access.what & 1;
		out->len = p->len;
	} else if (p->kind == STALL_EXCEPTION) {
		tell_repeated(&p->exception, out);
		out->vector = (uint8_t)p->exception.what;
	}
	return true;
}
