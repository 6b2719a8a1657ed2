/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A debugger's life, and what the files of run control share.
 */
#include "core/debug/debugger.h"

#include <string.h>

#include "core/debug/control.h"

int debugger_init(struct debugger *d, struct err *e)
{
	memset(d, 0, sizeof(*d));
	point_table_init(&d->points);
	judge_init(&d->judge, &d->points);
	symbols_init(&d->syms);
	return disas_create(&d->disas, e);
}

void debugger_deinit(struct debugger *d)
{
	history_deinit(&d->history);
	point_table_deinit(&d->points);
	symbols_deinit(&d->syms);
	judge_deinit(&d->judge);
	disas_destroy(d->disas);
	d->disas = NULL;
}

bool control_would_tell(struct debugger *d, struct stop *s)
{
	d->judge.rehearsal = true;
	bool told = judge_stop(&d->judge, d->m, s);
	d->judge.rehearsal = false;
	return told && s->breakpoint > 0;
}

/* ---- running */

void control_restored(struct debugger *d, const struct checkpoint *c, uint64_t passed)
{
	d->judge.passed = passed;
	for (unsigned i = 0; i < machine_vcpus(d->m) && i < ARRAY_LEN(d->judge.rip); i++)
		d->judge.rip[i] = checkpoint_rip(c, i);
}

bool control_asked(const struct debugger *d)
{
	return d->interrupted && d->interrupted();
}

bool control_interrupted(struct debugger *d)
{
	if (!control_asked(d))
		return false;
	d->stop.reason = STOP_INTERRUPTED;
	d->stop.breakpoint = 0;
	d->stop.n_causes = 0;
	return true;
}

void debug_why(struct debugger *d, const struct stop *s, char *buf, size_t size)
{
	const struct why_env env = {.m = d->m, .points = &d->points, .syms = &d->syms, .disas = d->disas};

	why_stop(&env, s, buf, size);
}

void debug_why_stall(struct debugger *d, const struct stall *s, char *buf, size_t size)
{
	const struct why_env env = {.syms = &d->syms, .disas = d->disas};

	why_stall(&env, s, buf, size);
}
