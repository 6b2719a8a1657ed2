/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * snap and diff: named moments of the machine, and what lies between two of them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/cmd/run.h"
#include "views/record.h"

#define STAGE_NS 20000000

static struct named_snap *find_snap(struct session *s, const char *name)
{
	for (size_t i = 0; i < s->n_snaps; i++)
		if (strcmp(s->snaps[i].name, name) == 0)
			return &s->snaps[i];
	return NULL;
}

static int named(struct session *s, const char *name, struct snap **out, struct err *e)
{
	struct named_snap *n = find_snap(s, name);
	char names[160] = "";

	if (n) {
		*out = n->snap;
		return 0;
	}
	for (size_t i = 0; i < s->n_snaps; i++) {
		size_t len = strlen(names);
		snprintf(names + len, sizeof(names) - len, "%s%s", i ? ", " : "", s->snaps[i].name);
	}
	return err_set(e, -ENOENT, "snapshot %.40s" WHY "there is none of that name" TRY "%s", name,
		       s->n_snaps ? names : "snap NAME to take one");
}

/* The lowest number that is not a name yet. */
static void free_name(struct session *s, char *name, size_t size)
{
	unsigned i = 1;

	do
		snprintf(name, size, "%u", i++);
	while (find_snap(s, name));
}

static int check_name(const char *name, struct err *e)
{
	struct named_snap limit;

	if (strlen(name) >= sizeof(limit.name) || !*name || *name == '-')
		return err_set(e, -EINVAL, "snap" WHY "'%.40s' is no name for a snapshot" TRY "1 to %zu letters or digits",
			       name, sizeof(limit.name) - 1);
	return 0;
}

/* A snapshot of the same name goes; the newest is the last of the list. */
static int add_snap(struct session *s, const char *name, struct snap *snap, struct err *e)
{
	struct named_snap *old = find_snap(s, name);

	if (old) {
		snap_destroy(old->snap);
		s->n_snaps--;
		memmove(old, old + 1, (size_t)(&s->snaps[s->n_snaps] - old) * sizeof(*old));
	} else {
		struct named_snap *grown = realloc(s->snaps, (s->n_snaps + 1) * sizeof(*grown));
		if (!grown)
			return err_nomem(e, "snap");
		s->snaps = grown;
	}
	struct named_snap *n = &s->snaps[s->n_snaps++];
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->snap = snap;
	return 0;
}

static void put_count(struct call *c, const char *key, const struct snap *s, enum diff_part p)
{
	const char *why = snap_missing(s, p);

	v_put(c->pool, &c->result, key, why ? v_na(c->pool, why) : v_int((int64_t)snap_count(s, p)));
}

int cmd_snap(struct call *c, struct err *e)
{
	char numbered[32];
	const char *name = numbered;
	struct machine *m;
	struct snap *snap;
	struct args a;
	int rc = args_init(&a, c, e);

	if (!rc)
		rc = session_machine(c->s, &m, e);
	if (rc)
		return rc;
	bool memory = args_flag(&a, "-memory");
	free_name(c->s, numbered, sizeof(numbered));
	if (args_more(&a))
		rc = args_word(&a, "NAME", &name, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = check_name(name, e);
	if (!rc)
		rc = snap_take(m, memory, &snap, e);
	if (rc)
		return rc;
	rc = add_snap(c->s, name, snap, e);
	if (rc) {
		snap_destroy(snap);
		return rc;
	}
	c->result = v_dict(c->pool, 9);
	v_put(c->pool, &c->result, "name", v_str(c->pool, name));
	put_count(c, "slots", snap, DIFF_SLOT);
	put_count(c, "shadow_pages", snap, DIFF_SHADOW);
	put_count(c, "sptes", snap, DIFF_SPTE);
	put_count(c, "rmaps", snap, DIFF_RMAP);
	put_count(c, "mmio", snap, DIFF_MMIO);
	put_count(c, "registers", snap, DIFF_REG);
	put_count(c, "memory", snap, DIFF_MEMORY);
	v_put(c->pool, &c->result, "torn", v_bool(snap_torn(snap)));
	return 0;
}

/* One for each stage, as long as that takes no time that anybody would notice: large shadow tables are left to snap. */
void snap_keep_stage(struct session *s)
{
	uint64_t before = clock_now_ns();

	if (s->d.stop.reason != STOP_FAULT_STAGE && !s->stage[1] && !s->stage[0])
		return;
	snap_destroy(s->stage[0]);
	s->stage[0] = s->stage[1];
	s->stage[1] = NULL;
	if (s->d.stop.reason != STOP_FAULT_STAGE || s->stage_slow)
		return;
	if (snap_take(s->d.m, false, &s->stage[1], NULL))
		s->stage[1] = NULL;
	s->stage_slow = clock_now_ns() - before > STAGE_NS;
}

/* No snapshot: the stage before the one at hand, or the last stage of the fault that has just ended. */
static int stage_before(struct session *s, struct snap **out, struct err *e)
{
	bool stands = s->d.stop.reason == STOP_FAULT_STAGE;

	*out = s->stage[0];
	if (*out)
		return 0;
	return err_set(e, -ENOENT, "diff" WHY "no snapshot has been taken%s" TRY "snap, then diff later on",
		       !stands	       ? ""
		       : s->stage_slow ? ", and this VM is too large to keep one for each stage"
				       : ", and this is the first stage that was stopped at");
}

static int diff_names(struct call *c, struct snap **a, struct snap **b, struct err *e)
{
	const char *name;
	struct args args;
	int rc = args_init(&args, c, e);

	if (rc)
		return rc;
	if (!args_more(&args)) {
		if (!c->s->n_snaps)
			return stage_before(c->s, a, e);
		*a = c->s->snaps[c->s->n_snaps - 1].snap;
		return 0;
	}
	rc = args_word(&args, "A", &name, e);
	if (!rc)
		rc = named(c->s, name, a, e);
	if (!rc && args_more(&args)) {
		rc = args_word(&args, "B", &name, e);
		if (!rc)
			rc = named(c->s, name, b, e);
	}
	return rc ? rc : args_end(&args, e);
}

/* What a diff leaves out is no "nothing changed". */
static void tell_gaps(struct call *c, const struct snap *a, const struct snap *b)
{
	const enum diff_part parts[] = {DIFF_SHADOW, DIFF_RMAP, DIFF_MMIO, DIFF_REG, DIFF_MEMORY};

	if (c->look)
		return;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const char *before = snap_missing(a, parts[i]), *after = snap_missing(b, parts[i]);

		/* Memory is in a snapshot by request; in one of two it is what somebody forgot. */
		if ((!before && !after) || (parts[i] == DIFF_MEMORY && before && after && !strcmp(before, after)))
			continue;
		session_notice(c->s, "diff: %s not compared, %s: %s",
			       parts[i] == DIFF_SHADOW ? "shadow pages and sptes" : diff_part_name(parts[i]),
			       before && after ? "neither side has them"
			       : before	       ? "the earlier side lacks them"
					       : "the later side lacks them",
			       before ? before : after);
	}
	if (snap_torn(a) || snap_torn(b))
		session_notice(c->s, "diff: the kernel changed something while %s read (torn): rows may be of that",
			       snap_torn(a) && snap_torn(b) ? "both sides were"
			       : snap_torn(a)		    ? "the earlier side was"
							    : "the later side was");
}

/* diff: the newest snapshot against now; diff A: A against now; diff A B. */
int cmd_diff(struct call *c, struct err *e)
{
	struct snap *a = NULL, *b = NULL, *now = NULL;
	struct diff_list rows = {0};
	struct machine *m;
	int rc = diff_names(c, &a, &b, e);

	if (!rc && !b) {
		rc = session_machine(c->s, &m, e);
		if (!rc)
			rc = snap_take(m, !snap_missing(a, DIFF_MEMORY), &now, e);
	}
	if (!rc)
		rc = snap_diff(a, b ? b : now, &rows, e);
	if (!rc) {
		c->result = record_diff(c->pool, &rows);
		tell_gaps(c, a, b ? b : now);
	}
	diff_list_free(&rows);
	snap_destroy(now);
	return rc;
}
