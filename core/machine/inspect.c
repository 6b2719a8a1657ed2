/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What every user of the inspection types needs: freeing lists, names, histogram buckets.
 */
#include "core/machine/inspect.h"

const char *source_name(enum source s, bool torn)
{
	switch (s) {
	case SOURCE_KVM:
		return torn ? "kvm torn" : "kvm";
	case SOURCE_KERNEL:
		return torn ? "kernel torn" : "kernel";
	case SOURCE_SOFT:
		return torn ? "soft torn" : "soft";
	}
	return "unknown";
}

const char *rmap_kind_name(enum rmap_kind k)
{
	static const char *const name[] = {[RMAP_EMPTY] = "empty", [RMAP_ONE] = "one", [RMAP_MANY] = "many"};

	return (size_t)k < ARRAY_LEN(name) ? name[k] : "unknown";
}

unsigned rmap_bucket(uint64_t sptes)
{
	unsigned log2;

	if (!sptes)
		return 0;
	log2 = 63 - (unsigned)__builtin_clzll(sptes);
	return log2 + 1 < RMAP_BUCKETS ? log2 + 1 : RMAP_BUCKETS - 1;
}

void mmu_event_list_free(struct mmu_event_list *l)
{
	free(l->v);
	*l = (struct mmu_event_list){.v = NULL};
}

void slot_info_list_free(struct slot_info_list *l)
{
	free(l->v);
	*l = (struct slot_info_list){0};
}

void spte_list_free(struct spte_list *l)
{
	free(l->v);
	*l = (struct spte_list){0};
}

void shadow_page_list_free(struct shadow_page_list *l)
{
	for (size_t i = 0; l->v && i < l->n; i++) {
		free(l->v[i].parents);
		free(l->v[i].entries);
	}
	free(l->v);
	*l = (struct shadow_page_list){0};
}

void root_list_free(struct root_list *l)
{
	free(l->v);
	*l = (struct root_list){0};
}

void rmap_list_free(struct rmap_list *l)
{
	for (size_t i = 0; l->v && i < l->n; i++) {
		free(l->v[i].desc);
		free(l->v[i].sptes);
	}
	free(l->v);
	*l = (struct rmap_list){0};
}

void rmap_histogram_list_free(struct rmap_histogram_list *l)
{
	free(l->v);
	*l = (struct rmap_histogram_list){0};
}

void mmio_info_list_free(struct mmio_info_list *l)
{
	for (size_t i = 0; l->v && i < l->n; i++)
		free(l->v[i].sptes);
	free(l->v);
	*l = (struct mmio_info_list){0};
}

void fault_stage_list_free(struct fault_stage_list *l)
{
	free(l->v);
	*l = (struct fault_stage_list){0};
}
