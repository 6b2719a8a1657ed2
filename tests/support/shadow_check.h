/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Does the shadow MMU keep its word? Every present leaf spte maps a page of the slot that its gfn is in, no more writable
 * than that slot and its tables allow, and stands in its gfn's reverse map once; every link stands among its child's parents
 * once; nothing else stands in either; what shadows a synced table says what the table says; unsync pages are leaf tables
 * and are listed; every page is hashed and listed.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_SHADOW_CHECK_H
#define KVMSCOPE_TESTS_SUPPORT_SHADOW_CHECK_H

#include "core/machine/machine.h"

struct shadow;

/* NULL, or what is wrong. Not for the seed's key (host page); with its writable-only rule read-only sptes stand in no map.
 */
const char *shadow_check(struct shadow *s);
/* Of a soft machine: its shadow MMU, and that each vCPU's TLB reaches memory of slots only, with the rights that they give.
 */
const char *soft_check(struct machine *m);

#endif
