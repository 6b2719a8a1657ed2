/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of the last two stops that somebody saw.
 */
#include "cli/session/changed.h"

#include <string.h>

#include "cli/session/session.h"

#define KEPT (REGS_OLD_RFLAGS + 1)

struct kept_regs {
	uint64_t v[KEPT];
	bool known;
};

struct kept_vcpu {
	struct kept_regs last, before;
};

struct changed {
	bool stale; /* the guest has run since .last was read */
	unsigned n;
	struct kept_vcpu vcpu[];
};

static int read_regs(struct machine *m, unsigned vcpu, struct kept_regs *k, uint64_t *old, struct err *e)
{
	struct regs r;
	int rc = machine_get_regs(m, vcpu, REGS_GPR, &r, e);

	k->known = !rc;
	if (rc)
		return rc;
	memcpy(k->v, r.gpr, sizeof(r.gpr));
	k->v[REGS_OLD_RIP] = r.rip;
	k->v[REGS_OLD_RFLAGS] = r.rflags;
	*old = r.old;
	return 0;
}

void changed_free(struct session *s)
{
	free(s->changed);
	s->changed = NULL;
}

/* This stop is the last one that somebody saw. */
static void keep(struct session *s)
{
	struct changed *k = s->changed;
	uint64_t old;

	if (!k || !k->stale || machine_running(s->d.m))
		return;
	k->stale = false;
	for (unsigned i = 0; i < k->n; i++) {
		k->vcpu[i].before = k->vcpu[i].last;
		(void)!read_regs(s->d.m, i, &k->vcpu[i].last, &old, NULL);
	}
}

void changed_begin(struct session *s)
{
	unsigned n = machine_vcpus(s->d.m);

	changed_free(s);
	s->changed = calloc(1, sizeof(*s->changed) + n * sizeof(struct kept_vcpu));
	if (!s->changed)
		return; /* nothing is said to have changed */
	s->changed->n = n;
	s->changed->stale = true;
	keep(s);
	for (unsigned i = 0; i < n; i++)
		s->changed->vcpu[i].before = s->changed->vcpu[i].last;
}

void changed_stopped(struct session *s, bool seen)
{
	if (s->changed)
		s->changed->stale = true;
	if (seen)
		keep(s);
}

int session_changed_regs(struct session *s, unsigned vcpu, uint64_t *mask, struct err *e)
{
	const struct kept_regs *before;
	struct kept_regs now;
	struct machine *m;
	uint64_t old;
	int rc = session_machine(s, &m, e);

	if (!rc)
		rc = read_regs(m, vcpu, &now, &old, e);
	if (rc)
		return rc;
	keep(s);
	*mask = 0;
	before = s->changed && vcpu < s->changed->n ? &s->changed->vcpu[vcpu].before : NULL;
	for (unsigned i = 0; before && before->known && i < KEPT; i++)
		if (now.v[i] != before->v[i])
			*mask |= 1ull << i;
	*mask &= ~old;
	return 0;
}
