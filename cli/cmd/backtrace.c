/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Who called what runs now.
 */
#include "core/debug/backtrace.h"

#include <errno.h>

#include "cli/cmd/data.h"
#include "views/record.h"

#define FRAMES_SHOWN 64

int cmd_backtrace(struct call *c, struct err *e)
{
	_cleanup_(backtrace_free) struct backtrace b = {.v = NULL};
	struct machine *m;
	struct args a;
	uint64_t n = FRAMES_SHOWN;
	int rc = session_machine(c->s, &m, e);

	if (!rc)
		rc = args_init(&a, c, e);
	if (!rc && args_more(&a))
		rc = args_number(&a, "N", 1, BACKTRACE_MAX, &n, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc)
		rc = debug_backtrace(&c->s->d, c->s->vcpu, n, &b, e);
	if (rc)
		return rc;
	c->result = record_backtrace(c->pool, &b, &c->s->d.syms);
	return 0;
}
