/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of the last two stops.
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

static int keep(struct machine *m, unsigned vcpu, struct kept_regs *k, struct regs *r, struct err *e)
{
	int rc = machine_get_regs(m, vcpu, REGS_GPR, r, e);

	k->known = !rc;
	if (rc)
		return rc;
	memcpy(k->v, r->gpr, sizeof(r->gpr));
	k->v[REGS_OLD_RIP] = r->rip;
	k->v[REGS_OLD_RFLAGS] = r->rflags;
	return 0;
}

void changed_free(struct session *s)
{
	free(s->kept);
	s->kept = NULL;
}

void changed_begin(struct session *s)
{
	struct regs r;

	changed_free(s);
	s->kept = calloc(machine_vcpus(s->d.m), sizeof(*s->kept)); /* NULL: nothing is said to have changed */
	for (unsigned i = 0; s->kept && i < machine_vcpus(s->d.m); i++) {
		(void)!keep(s->d.m, i, &s->kept[i].last, &r, NULL);
		s->kept[i].before = s->kept[i].last;
	}
}

void changed_stopped(struct session *s)
{
	struct regs r;

	for (unsigned i = 0; s->kept && i < machine_vcpus(s->d.m); i++) {
		s->kept[i].before = s->kept[i].last;
		(void)!keep(s->d.m, i, &s->kept[i].last, &r, NULL);
	}
}

int session_changed_regs(struct session *s, unsigned vcpu, uint64_t *mask, struct err *e)
{
	struct machine *m;
	struct regs r;
	struct kept_regs now;
	int rc = session_machine(s, &m, e);

	if (!rc)
		rc = keep(m, vcpu, &now, &r, e);
	if (rc)
		return rc;
	*mask = 0;
	if (!s->kept || !s->kept[vcpu].before.known)
		return 0;
	for (unsigned i = 0; i < KEPT; i++)
		if (now.v[i] != s->kept[vcpu].before.v[i])
			*mask |= 1ull << i;
	*mask &= ~r.old;
	return 0;
}
