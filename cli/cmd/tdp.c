/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * info tdp: the tables by which the processor finds a guest physical page, as a whole. What they have entry by entry is in
 * cli/cmd/shadow.c: info shadow, info sptes, shadow tree.
 */
#include "cli/cmd/mmu.h"
#include "cli/cmd/table.h"
#include "views/record.h"

static int compare_roots(const void *a, const void *b)
{
	const struct tdp_root *x = a, *y = b;

	if (x->as != y->as)
		return x->as < y->as ? -1 : 1;
	if (x->invalid != y->invalid)
		return x->invalid ? 1 : -1;
	return x->spt < y->spt ? -1 : x->spt > y->spt;
}

/* The slots whose dirty pages are logged, each once. */
static int logged_slots(struct call *c, struct value *out, struct err *e)
{
	struct slot_info_list slots = {0};
	int ret = machine_slot_list(c->s->d.m, &slots, e);

	if (ret)
		return ret;
	*out = v_list(c->pool, 4);
	for (size_t i = 0; i < slots.n; i++)
		if (slots.v[i].flags & SLOT_LOG_DIRTY)
			v_push(c->pool, out, v_int(slots.v[i].id));
	slot_info_list_free(&slots);
	return 0;
}

const char *mmu_without_rmaps(struct call *c)
{
	_cleanup_(tdp_root_list_free) struct tdp_root_list list = {0};

	if (machine_tdp_roots(c->s->d.m, &list, NULL) || !list.rmaps[0])
		return NULL;
	return v_str(c->pool, list.rmaps).str;
}

static int info_tdp(struct call *c, struct err *e)
{
	_cleanup_hold_ struct machine_hold hold = {NULL};
	_cleanup_(tdp_root_list_free) struct tdp_root_list list = {0};
	struct value logged;
	int ret = args_none(c, e);

	if (ret || (ret = machine_look_begin(c->s->d.m, &hold, e)) || (ret = machine_tdp_roots(c->s->d.m, &list, e)) ||
	    (ret = logged_slots(c, &logged, e)))
		return ret;
	if (list.n)
		qsort(list.v, list.n, sizeof(*list.v), compare_roots);
	c->result = record_tdp(c->pool, &list);
	if (list.kind != TDP_NONE)
		v_put(c->pool, &c->result, "logged", logged);
	return 0;
}

const struct command commands_tdp[] = {
    {.name = "info tdp",
     .group = "memory-map",
     .summary = "EPT's or NPT's tables by guest physical address: roots and what they hold",
     .help =
	 "mmu (tdp; shadow-pages: the TDP MMU is off, so the tables are direct shadow pages of info shadow; shadow: there "
	 "are none, the guest's own tables are shadowed), why, try (where else to look), format (npt, ept), ad (the "
	 "processor "
	 "sets A and D bits), dirty_log (pml, write-protection) and logged (slots that log), nx_huge_pages (kvm's "
	 "parameter), "
	 "nx_off (this VM is left out of it), nx_splits (tables that KVM may make a huge page of again), tables (KVM's own "
	 "count of those that are no roots), rmaps (why there are no reverse maps and how to get some; null where they are "
	 "kept), "
	 "roots.\n\n"
	 "A root: root (its hpa), level, as (address space, 1 in SMM), its role as access, nx, wp, ad, guest_mode, mirror, "
	 "invalid "
	 "(no vCPU enters the guest on it again, what is below is removed), references, vcpus (on it now), previous (that "
	 "keep "
	 "it), address, table, levels. A level: level, size (of a leaf), tables, leaves, of these writable, accessed, "
	 "dirty, "
	 "host_writable, mmu_writable; mmio_sptes, frozen (entries being changed at this moment), nx_splits (tables instead "
	 "of "
	 "a "
	 "huge page whose code is executed). Tables that were removed and wait for their last reader are in no list.\n\n"
	 "    info tdp\n    info sptes 0x40000 0x40fff\n    dict get [lindex [dict get [info tdp] roots] 0] vcpus",
     .flags = CMD_NEEDS_VM,
     .view = "tdp",
     .run = info_tdp},
    {0},
};
