/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A stop in one or two sentences with numbers.
 */
#ifndef KVMSCOPE_CORE_STOP_WHY_H
#define KVMSCOPE_CORE_STOP_WHY_H

#include "core/cpu/disas.h"
#include "core/load/symbols.h"
#include "core/run/progress.h"
#include "core/stop/point.h"

/* What the words are taken from. m may be NULL: then nothing is looked up. */
struct why_env {
	struct machine *m;
	const struct point_table *points;
	const struct symbols *syms;
	struct disas *disas;
};
/* Never fails; what does not fit is cut. All reasons are named, the first in full. */
void why_stop(const struct why_env *env, const struct stop *s, char *buf, size_t size);
/* A run that makes no progress, in one. Asks the machine nothing: it runs. */
void why_stall(const struct why_env *env, const struct stall *s, char *buf, size_t size);

#endif
