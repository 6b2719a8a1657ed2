/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Names of fault stages, as scripts see them.
 */
#include "core/run/stage.h"

#include "core/base/util.h"

const char *stage_name(enum stage s)
{
	static const char *const name[] = {
	    [STAGE_FAULT] = "fault",
	    [STAGE_WALK] = "walk",
	    [STAGE_ACCESSED] = "accessed",
	    [STAGE_DIRTY] = "dirty",
	    [STAGE_GUEST_FAULT] = "guest-fault",
	    [STAGE_SLOT] = "slot",
	    [STAGE_PAGE] = "page",
	    [STAGE_SHADOW_PAGE] = "shadow-page",
	    [STAGE_SPTE] = "spte",
	    [STAGE_TDP_SPTE] = "tdp-spte",
	    [STAGE_RMAP] = "rmap",
	    [STAGE_FAST_FAULT] = "fast-fault",
	    [STAGE_MMIO_CACHE] = "mmio-cache",
	    [STAGE_MMIO_MATCH] = "mmio-match",
	    [STAGE_MMIO] = "mmio",
	    [STAGE_EMULATE] = "emulate",
	    [STAGE_EXIT] = "exit",
	    [STAGE_UNSYNC] = "unsync",
	    [STAGE_SYNC] = "sync",
	    [STAGE_ZAP] = "zap",
	};

	return (unsigned)s < ARRAY_LEN(name) && name[s] ? name[s] : "unknown";
}
