/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keeping the stages of faults.
 */
#include "core/machine/fault_log.h"

#include <stdlib.h>
#include <string.h>

int fault_log_init(struct fault_log *l, struct err *e)
{
	memset(l, 0, sizeof(*l));
	l->stage = calloc(FAULT_LOG_KEPT, sizeof(*l->stage));
	return l->stage ? 0 : err_nomem(e, "catch fault");
}

void fault_log_deinit(struct fault_log *l)
{
	free(l->stage);
	memset(l, 0, sizeof(*l));
}

void fault_log_next(struct fault_log *l)
{
	l->fault++;
	l->stages = 0;
}

struct fault_stage *fault_log_add(struct fault_log *l, unsigned vcpu, enum stage stage, bool live)
{
	struct fault_stage *s;

	if (l->n == FAULT_LOG_KEPT) {
		memmove(l->stage, l->stage + 1, (FAULT_LOG_KEPT - 1) * sizeof(*l->stage));
		l->n--;
	}
	s = &l->stage[l->n++];
	*s = (struct fault_stage){.n = ++l->stages, .fault = l->fault, .stage = stage, .live = live, .vcpu = vcpu};
	return s;
}

int fault_log_list(const struct fault_log *l, struct fault_stage_list *out, struct err *e)
{
	size_t n = l ? l->n : 0;
	struct fault_stage *v = calloc(n + 1, sizeof(*v));

	if (!v)
		return err_nomem(e, "list of fault stages");
	if (n)
		memcpy(v, l->stage, n * sizeof(*v));
	*out = (struct fault_stage_list){.v = v, .n = n};
	return 0;
}
