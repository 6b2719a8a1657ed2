/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft machine looked at: each look is what the shadow MMU has of it.
 */
#include "core/soft/looks.h"

#include "core/soft/cpu.h"
#include "core/soft/soft_impl.h"

static int shadow_pages(struct machine *m, unsigned flags, struct shadow_page_list *out, struct err *e)
{
	return shadow_pages_list(soft_of(m)->shadow, flags, out, e);
}

static int roots(struct machine *base, struct root_list *out, struct err *e)
{
	struct soft_machine *m = soft_of(base);
	const struct shadow_vcpu *v[64];

	for (unsigned i = 0; i < base->vcpus; i++)
		v[i] = &m->cpu[i]->shadow;
	return shadow_roots(m->shadow, v, base->vcpus, out, e);
}

static int tdp_roots(struct machine *m, struct tdp_root_list *out, struct err *e)
{
	(void)m, (void)e;
	*out = (struct tdp_root_list){.kind = TDP_NONE,
				      .why = "the soft machine's MMU shadows the guest's own tables, as KVM does without "
					     "EPT and NPT",
				      .next = "info shadow"};
	return 0;
}

static int sptes(struct machine *base, unsigned vcpu, uint64_t first, uint64_t last, struct spte_list *out, struct err *e)
{
	struct soft_machine *m = soft_of(base);

	return shadow_sptes_list(m->shadow, &m->cpu[vcpu]->shadow, first, last, out, e);
}

static int rmap(struct machine *m, uint64_t gfn, struct rmap_list *out, struct err *e)
{
	return shadow_rmap(soft_of(m)->shadow, gfn, out, e);
}

static int rmap_all(struct machine *m, struct rmap_list *out, struct err *e)
{
	return shadow_rmap_all(soft_of(m)->shadow, out, e);
}

static int rmap_histogram(struct machine *m, struct rmap_histogram_list *out, struct err *e)
{
	return shadow_rmap_histogram(soft_of(m)->shadow, out, e);
}

static int mmio(struct machine *base, struct mmio_info_list *out, struct err *e)
{
	struct soft_machine *m = soft_of(base);
	struct mmio_info_list l = {.v = calloc(base->vcpus, sizeof(*l.v)), .n = base->vcpus};
	uint64_t now = base->slots.generation;

	if (!l.v)
		return err_nomem(e, "MMIO caches");
	for (unsigned i = 0; i < base->vcpus; i++) {
		const struct mmio_cache *c = &m->cpu[i]->shadow.mmio;
		l.v[i] = (struct mmio_info){.vcpu = i,
					    .gva = c->gva,
					    .gfn = c->gfn,
					    .access = c->access,
					    .generation = c->generation,
					    .current_generation = now,
					    .valid = c->gva && c->generation == now,
					    .sptes_off = !m->mmio_sptes,
					    .source = SOURCE_SOFT};
	}
	int rc = shadow_mmio_sptes(m->shadow, &l.v[0].sptes, &l.v[0].n_sptes, e);
	if (rc)
		mmio_info_list_free(&l);
	else
		*out = l;
	return rc;
}

const struct machine_looks soft_looks = {
#define LOOK_OP(name, words, needs, list, shape) .name = name,
    MACHINE_LOOK_LIST(LOOK_OP)
#undef LOOK_OP
};
