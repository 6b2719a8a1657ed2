/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The user's checkpoints.
 */
#include "core/debug/history.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/debug/control.h"

void history_clear(struct history *h)
{
	h->m = NULL; /* may be gone already */
	record_clear(h);
	checkpoint_drop(h->before);
	h->before = NULL;
	for (size_t i = 0; i < h->n; i++)
		checkpoint_drop(h->v[i].c);
	free(h->v);
	h->v = NULL;
	h->n = 0;
	h->last_id = 0;
}

void history_deinit(struct history *h)
{
	history_clear(h);
	free(h->record.v);
	page_store_destroy(h->store);
	memset(h, 0, sizeof(*h));
}

int history_checkpoint(struct debugger *d, unsigned vcpu, int *id, struct err *e)
{
	struct history *h = &d->history;
	struct user_checkpoint *grown = realloc(h->v, (h->n + 1) * sizeof(*grown));
	int rc = grown ? 0 : err_nomem(e, "checkpoint");

	if (grown)
		h->v = grown;
	if (!rc && !h->store)
		rc = page_store_create(&h->store, e);
	if (rc)
		return rc;
	const struct checkpoint *base = h->n ? h->v[h->n - 1].c : h->record.n ? h->record.v[h->record.n - 1].c : NULL;
	struct user_checkpoint *u = &h->v[h->n];
	*u = (struct user_checkpoint){.stop = d->stop, .passed = d->judge.passed, .has_run = d->has_run, .vcpu = vcpu};
	rc = checkpoint_take(h->store, d->m, base, &u->c, e);
	if (rc)
		return rc;
	u->id = *id = ++h->last_id;
	h->n++;
	return 0;
}

static int find(const struct history *h, int id, const char *what, size_t *out, struct err *e)
{
	for (*out = 0; *out < h->n; (*out)++)
		if (h->v[*out].id == id)
			return 0;
	return err_set(e, -ENOENT, "%s %d" WHY "there is no such checkpoint" TRY "%s", what, id,
		       h->n ? "info checkpoints" : "checkpoint, which takes one");
}

int history_restart(struct debugger *d, int id, unsigned *vcpu, struct err *e)
{
	struct history *h = &d->history;
	size_t i;
	int rc = find(h, id, "restart", &i, e);

	if (!rc)
		rc = checkpoint_restore(d->m, h->v[i].c, e);
	if (rc)
		return rc;
	record_clear(h);
	*vcpu = h->v[i].vcpu;
	d->has_run = h->v[i].has_run;
	d->stop = h->v[i].stop;
	d->stop.vcpu = *vcpu;
	d->stop.rip = checkpoint_rip(h->v[i].c, *vcpu);
	control_restored(d, h->v[i].c, h->v[i].passed);
	snprintf(d->stop.note, sizeof(d->stop.note), "the VM is as it was at checkpoint %d", id);
	return 0;
}

int history_delete(struct history *h, int id, struct err *e)
{
	size_t i;
	int rc = find(h, id, "delete checkpoint", &i, e);

	if (rc)
		return rc;
	checkpoint_drop(h->v[i].c);
	h->n--;
	memmove(&h->v[i], &h->v[i + 1], (h->n - i) * sizeof(*h->v));
	return 0;
}
