/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a call needs of the machine, asked once for all backends: the table of calls.h is enforced here and nowhere else.
 */
#include "core/machine/check.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

struct call_check {
	struct machine_call_row row;
	size_t op; /* offset in struct machine_ops, or with look in struct machine_looks */
	bool look;
};

static const struct call_check calls[MACHINE_CALL_COUNT] = {
#define CALL_ROW(name, words, needs, op, ask)                                                                               \
	[CALL_##name] = {{"machine_" #name, words, needs, ask}, offsetof(struct machine_ops, op), false},
#define LOOK_ROW(name, words, needs, list, shape)                                                                           \
	[CALL_##name] = {{"machine_" #name, words, needs, ASK_LIVE_MMU}, offsetof(struct machine_looks, name), true},
    MACHINE_CALLS(CALL_ROW) MACHINE_LOOK_LIST(LOOK_ROW)
#undef CALL_ROW
#undef LOOK_ROW
};

const struct machine_call_row *machine_call_row(enum machine_call call)
{
	return &calls[call].row;
}

const char *machine_cap_name(enum machine_cap cap)
{
	static const char *const name[MACHINE_CAP_COUNT] = {
#define CAP_NAME(id, words) [MACHINE_CAP_##id] = words,
	    MACHINE_CAPS(CAP_NAME)
#undef CAP_NAME
	};

	return (size_t)cap < ARRAY_LEN(name) ? name[cap] : "this";
}

bool machine_can(const struct machine *m, enum machine_cap cap, const char **why)
{
	const char *reason = m->ops->cap_why(m, cap);

	if (why)
		*why = reason;
	return !reason;
}

const char *machine_cap_next(const struct machine *m, enum machine_cap cap)
{
	return m->ops->cap_next ? m->ops->cap_next(m, cap) : NULL;
}

/* ---- capabilities */

static int no_capability(const struct machine *m, enum machine_cap cap, const char *what, const char *why, struct err *e)
{
	const char *next = machine_cap_next(m, cap);

	return err_set(e, -ENOTSUP, "%s" WHY "%s: not supported by this backend (%s), because %s" TRY "%s", what,
		       machine_cap_name(cap), m->ops->name, why,
		       next && *next ? next : "info kvm for what this host can do, or another backend (-b)");
}

int machine_check_caps(const struct machine *m, uint32_t needs, const char *what, struct err *e)
{
	const char *why;

	for (; needs; needs &= needs - 1) {
		enum machine_cap cap = (enum machine_cap)__builtin_ctz(needs);

		if (!machine_can(m, cap, &why))
			return no_capability(m, cap, what, why, e);
	}
	return 0;
}

/* All members are pointers, so that one without an operation is all zeroes. */
static bool has_member(const void *table, size_t offset)
{
	static const char none[sizeof(void (*)(void))];

	return table && memcmp((const char *)table + offset, none, sizeof(none)) != 0;
}

static int check_operation(const struct machine *m, const struct call_check *c, const char *what, struct err *e)
{
	if (has_member(c->look ? (const void *)m->ops->looks : (const void *)m->ops, c->op))
		return 0;
	return err_set(e, -ENOTSUP,
		       "%s" WHY "not supported by this backend (%s), because it does not have this operation" TRY
		       "info kvm for what this host can do, or another backend (-b)",
		       what, m->ops->name);
}

/* ---- run state */

int machine_check_idle(const struct machine *m, const char *what, struct err *e)
{
	return run_phase_check(run_phase(&m->run), RUN_ASK_IDLE, false, m->run.parked_vcpu, what, e);
}

static int check_ask(const struct machine *m, enum machine_ask ask, const char *what, struct err *e)
{
	static const enum run_ask of_phase[] = {
	    [ASK_ALWAYS] = RUN_ASK_ALWAYS, [ASK_LIVE_VCPU] = RUN_ASK_LIVE,  [ASK_LIVE_MEMORY] = RUN_ASK_LIVE,
	    [ASK_LIVE_MMU] = RUN_ASK_LIVE, [ASK_STOPPED] = RUN_ASK_STOPPED, [ASK_IDLE] = RUN_ASK_IDLE,
	};

	/* A run that waits for its client's thread does not execute anything yet. */
	bool live = m->run.lent || (m->ops->live & 1u << ask);

	return run_phase_check(run_phase(&m->run), of_phase[ask], live, m->run.parked_vcpu, what, e);
}

/* ---- looking only */

void machine_only_look(struct machine *m, const char *who)
{
	m->only_look = who;
}

static int check_only_look(const struct machine *m, uint32_t needs, const char *what, struct err *e)
{
	if (!m->only_look || !(needs & (NEEDS(RUN) | NEEDS(WRITE) | NEEDS(SLOTS) | NEEDS(CONTROL))))
		return 0;
	return err_set(e, -EBUSY,
		       "%s" WHY "%s is being worked out; it may only look" TRY "commands N, for what a breakpoint is to do",
		       what, m->only_look);
}

int machine_check(const struct machine *m, enum machine_call call, const char *words, struct err *e)
{
	const struct call_check *c = &calls[call];
	const char *what = words ? words : c->row.words;
	int rc = machine_check_caps(m, c->row.needs, what, e);

	if (!rc)
		rc = check_only_look(m, c->row.needs, what, e);
	if (!rc)
		rc = check_operation(m, c, what, e);
	return rc ? rc : check_ask(m, c->row.ask, what, e);
}

int machine_begin(struct machine *m, enum machine_call call, struct machine_hold *h, struct err *e)
{
	int rc = machine_check(m, call, NULL, e);

	*h = (struct machine_hold){NULL};
	if (!rc && machine_running(m))
		machine_hold(m, h);
	return rc;
}

int machine_look_begin(struct machine *m, struct machine_hold *h, struct err *e)
{
	return machine_begin(m, CALL_look_begin, h, e);
}

void machine_hold(struct machine *m, struct machine_hold *h)
{
	bool taken = m->ops->walk_lock && m->ops->walk_lock(m);

	*h = (struct machine_hold){taken ? m : NULL};
}

void machine_end(struct machine_hold *h)
{
	if (h->m)
		h->m->ops->walk_unlock(h->m);
	h->m = NULL;
}

/* ---- arguments */

int machine_check_vcpu(const struct machine *m, unsigned vcpu, const char *what, struct err *e)
{
	if (vcpu < m->vcpus)
		return 0;
	return err_set(e, -EINVAL, "%s: vCPU %u" WHY "this VM has %u, numbered from 0" TRY "0%s", what, vcpu, m->vcpus,
		       m->vcpus > 1 ? " or another below that" : "");
}

int machine_check_range(uint64_t first, uint64_t last, const char *what, struct err *e)
{
	if (first <= last)
		return 0;
	return err_set(e, -EINVAL, "%s %#llx %#llx" WHY "the range ends before it begins" TRY "the lower address first",
		       what, (unsigned long long)first, (unsigned long long)last);
}
