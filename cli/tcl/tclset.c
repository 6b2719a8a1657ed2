/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Settings as Tcl variables: a script's `set context on` outside of procs, as in init.tcl, changes the setting as it does at
 * the prompt. What is no value of the setting is a variable's as any other.
 */
#include "cli/tcl/interp.h"

#include <errno.h>

#include "cli/session/settings.h"

#define TRACED (TCL_GLOBAL_ONLY | TCL_TRACE_WRITES | TCL_TRACE_UNSETS)

static char *on_trace(ClientData data, Tcl_Interp *interp, const char *name, const char *index, int flags)
{
	struct tcl *t = data;
	const struct setting *st = setting_find(name);

	(void)index;
	if (flags & TCL_TRACE_UNSETS) {
		if ((flags & TCL_TRACE_DESTROYED) && !(flags & TCL_INTERP_DESTROYED))
			Tcl_TraceVar2(interp, name, NULL, TRACED, on_trace, t);
		return NULL;
	}
	const char *value = Tcl_GetVar2(interp, name, NULL, TCL_GLOBAL_ONLY);
	if (st && value && setting_takes(st, value))
		(void)!setting_set(&t->client->settings, st, value, NULL);
	return NULL;
}

int tclset_init(struct tcl *t, struct err *e)
{
	for (const struct setting *st = settings_table; st->name; st++)
		if (Tcl_TraceVar2(t->interp, st->name, NULL, TRACED, on_trace, t) != TCL_OK)
			return err_set(e, -EINVAL, "setting %s" WHY "%s" TRY "another build", st->name,
				       Tcl_GetStringResult(t->interp));
	return 0;
}
