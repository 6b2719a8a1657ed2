/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Records of the host's side of memory: sptes, shadow pages, rmap chains and their histogram, MMIO caches, fault stages.
 */
#include "views/record.h"

static struct value access_words(struct pool *p, uint8_t access)
{
	struct value v = v_list(p, 3);

	if (access & 1)
		v_push(p, &v, v_lit("exec"));
	if (access & 2)
		v_push(p, &v, v_lit("write"));
	if (access & 4)
		v_push(p, &v, v_lit("user"));
	return v;
}

static struct value spte_gva(struct pool *p, const struct spte_info *s)
{
	if (s->by_gpa)
		return v_null();
	return s->gva_known ? v_hex(s->gva) : v_na(p, "does not follow from the tables");
}

/* Null for an entry that points to a table. */
static struct value spte_gfn(struct pool *p, const struct spte_info *s)
{
	if (s->gfn_known)
		return v_hex(s->gfn);
	return s->leaf ? v_na(p, "the kernel keeps none for this entry") : v_null();
}

struct value record_spte(struct pool *p, const struct spte_info *s)
{
	struct field f[21] = {
	    {"gva", spte_gva(p, s)},
	    {"gfn", spte_gfn(p, s)},
	    {"level", v_int(s->level)},
	    {"spte", v_hex(s->spte)},
	    {"pfn", s->present ? v_hex(s->pfn) : v_null()},
	    {"present", v_bool(s->present)},
	    {"writable", v_bool(s->writable)},
	    {"user", v_bool(s->user)},
	    {"exec", v_bool(s->exec)},
	    {"accessed", v_bool(s->accessed)},
	    {"dirty", v_bool(s->dirty)},
	    {"host_writable", v_bool(s->host_writable)},
	    {"mmu_writable", v_bool(s->mmu_writable)},
	    {"mmio", v_bool(s->mmio)},
	    {"leaf", v_bool(s->leaf)},
	    {"sptep", v_hex(s->sptep)},
	    {"source", v_lit(source_name(s->source, s->torn))},
	};
	uint32_t n = 17;

	if (s->by_gpa)
		f[n++] = (struct field){s->nested ? "l2_gpa" : "gpa", v_hex(s->gva)};
	if (s->nested)
		f[n++] = (struct field){"l1_root", v_hex(s->l1_root)};
	if (s->mmio)
		f[n++] = (struct field){"generation", v_int((int64_t)s->mmio_gen)};
	if (s->host_own)
		f[n++] = (struct field){"host_own", v_bool(true)};
	return v_dict_of(p, f, n);
}

struct value record_shadow_page(struct pool *p, const struct shadow_page *s)
{
	struct value d = v_dict(p, 22), parents = v_list(p, s->n_parents);

	for (size_t i = 0; i < s->n_parents; i++)
		v_push(p, &parents, v_hex(s->parents[i]));
	v_put(p, &d, "gfn", v_hex(s->gfn));
	v_put(p, &d, "level", v_int(s->level));
	v_put(p, &d, "direct", v_bool(s->direct));
	v_put(p, &d, "access", access_words(p, s->access));
	v_put(p, &d, "smm", v_bool(s->smm));
	v_put(p, &d, "unsync", v_bool(s->unsync));
	v_put(p, &d, "invalid", v_bool(s->invalid));
	v_put(p, &d, "roots", v_int(s->roots));
	v_put(p, &d, "sptes", v_int(s->sptes));
	v_put(p, &d, "mmio_sptes", v_int(s->mmio_sptes));
	v_put(p, &d, "parents", parents);
	v_put(p, &d, "address", s->address ? v_hex(s->address) : v_na(p, "the TDP MMU lists its roots only"));
	v_put(p, &d, "table", v_hex(s->spt));
	v_put(p, &d, "source", v_lit(source_name(s->source, s->torn)));
	if (s->guest_mode)
		v_put(p, &d, "guest_mode", v_bool(true));
	if (s->nested)
		v_put(p, &d, "l1_root", v_hex(s->l1_root));
	if (s->tdp)
		v_put(p, &d, "tdp", v_bool(true));
	if (s->nx_split)
		v_put(p, &d, "nx_split", v_bool(true));
	return d;
}

static struct value rmap_spte(struct pool *p, const struct spte_info *s)
{
	struct value d = v_dict(p, 11);

	v_put(p, &d, "sptep", v_hex(s->sptep));
	v_put(p, &d, "spte", v_hex(s->spte));
	v_put(p, &d, "page_gfn", v_hex(s->page_gfn));
	v_put(p, &d, "index", v_int(s->index));
	v_put(p, &d, "gva", spte_gva(p, s));
	v_put(p, &d, "writable", v_bool(s->writable));
	v_put(p, &d, "accessed", v_bool(s->accessed));
	v_put(p, &d, "dirty", v_bool(s->dirty));
	if (s->guest_mode)
		v_put(p, &d, "guest_mode", v_bool(true));
	if (s->nested) {
		v_put(p, &d, "l2_gpa", v_hex(s->gva));
		v_put(p, &d, "l1_root", v_hex(s->l1_root));
	}
	return d;
}

static struct value rmap_descriptors(struct pool *p, const struct rmap_info *r)
{
	struct value list = v_list(p, r->n_desc);

	for (size_t i = 0; i < r->n_desc; i++) {
		const struct rmap_desc *s = &r->desc[i];
		struct value d = v_dict(p, 4);
		v_put(p, &d, "address", v_hex(s->address));
		v_put(p, &d, "used", v_int(s->used));
		v_put(p, &d, "more", v_hex(s->more));
		if (s->tail_count)
			v_put(p, &d, "tail_count", v_int(s->tail_count));
		v_push(p, &list, d);
	}
	return list;
}

struct value record_rmap(struct pool *p, const struct rmap_info *r)
{
	struct value d = v_dict(p, 12), sptes = v_list(p, r->n_sptes);

	for (size_t i = 0; i < r->n_sptes; i++)
		v_push(p, &sptes, rmap_spte(p, &r->sptes[i]));
	v_put(p, &d, "gfn", v_hex(r->gfn));
	v_put(p, &d, "slot", v_int(r->slot));
	v_put(p, &d, "as", v_int(r->as));
	v_put(p, &d, "level", v_int(r->level));
	v_put(p, &d, "head", v_hex(r->head));
	v_put(p, &d, "kind", v_lit(rmap_kind_name(r->kind)));
	v_put(p, &d, "descriptors", rmap_descriptors(p, r));
	v_put(p, &d, "sptes", sptes);
	v_put(p, &d, "source", v_lit(source_name(r->source, r->torn)));
	if (r->corrupt[0])
		v_put(p, &d, "corrupt", v_str(p, r->corrupt));
	return d;
}

struct value record_rmap_histogram(struct pool *p, const struct rmap_histogram *h)
{
	struct value d = v_dict(p, 8), counts = v_list(p, RMAP_BUCKETS);

	for (unsigned i = 0; i < RMAP_BUCKETS; i++)
		v_push(p, &counts, v_int((int64_t)h->counts[i]));
	v_put(p, &d, "slot", v_int(h->slot));
	v_put(p, &d, "as", v_int(h->as));
	v_put(p, &d, "level", v_int(h->level));
	v_put(p, &d, "counts", counts);
	v_put(p, &d, "longest", v_int((int64_t)h->longest));
	v_put(p, &d, "longest_gfn", h->longest ? v_hex(h->longest_gfn) : v_null());
	v_put(p, &d, "source", v_lit(source_name(h->source, h->torn)));
	return d;
}

/* They belong to the whole VM and are told once, with vCPU 0. */
static struct value mmio_spte_count(struct pool *p, const struct mmio_info *m)
{
	if (m->sptes_off)
		return v_na(p, "the host makes no MMIO sptes (mmio_caching is off)");
	return m->vcpu ? v_null() : v_int((int64_t)m->n_sptes);
}

struct value record_mmio(struct pool *p, const struct mmio_info *m)
{
	struct value d = v_dict(p, 14), sptes = v_list(p, m->n_sptes);

	for (size_t i = 0; i < m->n_sptes; i++)
		v_push(p, &sptes, record_spte(p, &m->sptes[i]));
	v_put(p, &d, "vcpu", v_int(m->vcpu));
	v_put(p, &d, "gva", m->by_gfn && !m->gva ? v_na(p, "TDP's cache is by gfn") : v_hex(m->gva));
	v_put(p, &d, "gfn", v_hex(m->gfn));
	v_put(p, &d, "by", v_lit(m->by_gfn ? "gfn" : "gva"));
	v_put(p, &d, "access", access_words(p, m->access));
	v_put(p, &d, "generation", v_int((int64_t)m->generation));
	v_put(p, &d, "current_generation", v_int((int64_t)m->current_generation));
	v_put(p, &d, "valid", v_bool(m->valid));
	v_put(p, &d, "stale", v_bool(m->stale));
	if (m->stale)
		v_put(p, &d, "stale_why", v_str(p, m->stale_why));
	v_put(p, &d, "mmio_sptes", mmio_spte_count(p, m));
	v_put(p, &d, "sptes", sptes);
	v_put(p, &d, "source", v_lit(source_name(m->source, m->torn)));
	return d;
}

struct value record_fault_stage(struct pool *p, const struct fault_stage *f)
{
	struct value d = v_dict(p, 8);

	v_put(p, &d, "n", v_int(f->n));
	v_put(p, &d, "fault", v_int(f->fault));
	v_put(p, &d, "stage", v_str(p, stage_name(f->stage)));
	v_put(p, &d, "gfn", f->gfn_known ? v_hex(f->gfn) : v_null());
	v_put(p, &d, "level", f->level ? v_int(f->level) : v_null());
	v_put(p, &d, "detail", v_str(p, f->detail));
	v_put(p, &d, "live", v_bool(f->live));
	v_put(p, &d, "vcpu", v_int(f->vcpu));
	return d;
}
