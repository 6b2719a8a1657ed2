/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Records of TDP: the VM's tables by gpa as a whole, each root, and each level below it.
 */
#include "views/record.h"

static struct value access_words(struct pool *p, uint8_t access)
{
	static const char *const word[] = {"exec", "write", "user"};
	struct value v = v_list(p, 3);

	for (unsigned i = 0; i < ARRAY_LEN(word); i++)
		if (access & 1u << i)
			v_push(p, &v, v_lit(word[i]));
	return v;
}

static struct value vcpu_numbers(struct pool *p, uint64_t bits)
{
	struct value v = v_list(p, 4);

	for (unsigned i = 0; i < 64; i++)
		if (bits & 1ull << i)
			v_push(p, &v, v_int(i));
	return v;
}

static struct value level_record(struct pool *p, unsigned level, const struct tdp_level *l)
{
	static const char *const size[] = {"4K", "2M", "1G"};
	struct value d = v_dict(p, 12);

	v_put(p, &d, "level", v_int(level));
	v_put(p, &d, "size", level <= ARRAY_LEN(size) ? v_lit(size[level - 1]) : v_null());
	v_put(p, &d, "tables", v_int((int64_t)l->tables));
	v_put(p, &d, "leaves", v_int((int64_t)l->leaves));
	v_put(p, &d, "writable", v_int((int64_t)l->writable));
	v_put(p, &d, "accessed", v_int((int64_t)l->accessed));
	v_put(p, &d, "dirty", v_int((int64_t)l->dirty));
	v_put(p, &d, "host_writable", v_int((int64_t)l->host_writable));
	v_put(p, &d, "mmu_writable", v_int((int64_t)l->mmu_writable));
	v_put(p, &d, "mmio_sptes", v_int((int64_t)l->mmio));
	v_put(p, &d, "frozen", v_int((int64_t)l->frozen));
	v_put(p, &d, "nx_splits", v_int((int64_t)l->nx_splits));
	return d;
}

static struct value levels_of(struct pool *p, const struct tdp_root *r)
{
	struct value v = v_list(p, TDP_LEVELS);

	if (!r->walked)
		return v_na(p, "the kernel's direct map is not known: nothing has run on one of these roots yet");
	for (unsigned level = r->level < TDP_LEVELS ? r->level : TDP_LEVELS; level; level--)
		v_push(p, &v, level_record(p, level, &r->below[level - 1]));
	return v;
}

static struct value record_tdp_root(struct pool *p, const struct tdp_root *r)
{
	struct value d = v_dict(p, 18);

	v_put(p, &d, "root", r->hpa_known ? v_hex(r->hpa) : v_na(p, "the kernel's direct map is not known"));
	v_put(p, &d, "level", v_int(r->level));
	v_put(p, &d, "as", v_int(r->as));
	v_put(p, &d, "access", access_words(p, r->access));
	v_put(p, &d, "nx", v_bool(r->nx));
	v_put(p, &d, "wp", v_bool(r->wp));
	v_put(p, &d, "ad", v_bool(!r->no_ad));
	v_put(p, &d, "guest_mode", v_bool(r->guest_mode));
	v_put(p, &d, "mirror", v_bool(r->mirror));
	v_put(p, &d, "invalid", v_bool(r->invalid));
	v_put(p, &d, "references", v_int(r->references));
	v_put(p, &d, "vcpus", vcpu_numbers(p, r->vcpus));
	v_put(p, &d, "previous", vcpu_numbers(p, r->previous));
	v_put(p, &d, "levels", levels_of(p, r));
	v_put(p, &d, "address", v_hex(r->address));
	v_put(p, &d, "table", v_hex(r->spt));
	v_put(p, &d, "source", v_lit(source_name(r->source, r->torn)));
	return d;
}

static struct value nx_splits(struct pool *p, const struct tdp_root_list *l)
{
	return l->nx_splits_known ? v_int((int64_t)l->nx_splits) : v_na(p, "this kernel keeps no list of them");
}

static void put_tables(struct pool *p, struct value *d, const struct tdp_root_list *l)
{
	v_put(p, d, "format", v_lit(l->ept ? "ept" : "npt"));
	v_put(p, d, "ad", v_bool(l->ad));
	v_put(p, d, "dirty_log", v_lit(l->pml ? "pml" : "write-protection"));
	v_put(p, d, "nx_huge_pages",
	      l->nx_huge_pages[0] ? v_str(p, l->nx_huge_pages) : v_na(p, "kvm's parameter nx_huge_pages cannot be read"));
	v_put(p, d, "nx_off", v_bool(l->nx_off));
	v_put(p, d, "nx_splits", nx_splits(p, l));
	v_put(p, d, "rmaps", l->rmaps[0] ? v_str(p, l->rmaps) : v_null());
	v_put(p, d, "tables", l->tables_known ? v_int((int64_t)l->tables) : v_na(p, "this kernel does not count them"));
}

struct value record_tdp(struct pool *p, const struct tdp_root_list *l)
{
	struct value d = v_dict(p, 14), roots = v_list(p, l->n);

	v_put(p, &d, "mmu", v_lit(tdp_kind_name(l->kind)));
	v_put(p, &d, "why", v_str(p, l->why));
	v_put(p, &d, "try", l->next[0] ? v_str(p, l->next) : v_null());
	if (l->kind != TDP_NONE)
		put_tables(p, &d, l);
	for (size_t i = 0; i < l->n; i++)
		v_push(p, &roots, record_tdp_root(p, &l->v[i]));
	v_put(p, &d, "roots", roots);
	if (l->torn)
		v_put(p, &d, "torn", v_bool(true));
	return d;
}
