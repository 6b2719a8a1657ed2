/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Records of the guest's side of memory: faults, page-table walks, the translation pipeline, memop, mappings.
 */
#include "views/record.h"

struct value record_guest_fault(struct pool *p, const struct guest_fault *f)
{
	struct value d;

	if (!f->present)
		return v_null();
	d = v_dict(p, 4);
	v_put(p, &d, "vector", v_int(f->vector));
	v_put(p, &d, "error_code", f->has_error ? v_hex(f->error_code) : v_null());
	v_put(p, &d, "address", v_hex(f->address));
	return d;
}

/* Is this present entry the last of its walk? */
static bool is_leaf(uint64_t entry, unsigned level, enum paging_mode mode)
{
	if (level == 1)
		return true;
	if (level > 3 || (level == 3 && mode == PAGING_PAE))
		return false;
	return entry & PTE_PS;
}

static void push_if(struct pool *p, struct value *list, bool cond, const char *word)
{
	if (cond)
		v_push(p, list, v_lit(word));
}

/* The bits of a guest entry in words; PAE's page-directory pointers have no rights of their own. */
static struct value entry_flags(struct pool *p, uint64_t e, unsigned level, enum paging_mode mode)
{
	struct value v = v_list(p, 9);
	bool leaf = is_leaf(e, level, mode), rights = !(mode == PAGING_PAE && level == 3);

	if (!(e & PTE_P))
		return v;
	v_push(p, &v, v_lit("present"));
	push_if(p, &v, rights && (e & PTE_W), "writable");
	push_if(p, &v, rights && (e & PTE_U), "user");
	push_if(p, &v, e & PTE_PWT, "pwt");
	push_if(p, &v, e & PTE_PCD, "pcd");
	push_if(p, &v, rights && (e & PTE_A), "accessed");
	push_if(p, &v, leaf && (e & PTE_D), "dirty");
	push_if(p, &v, leaf && level > 1, "large");
	push_if(p, &v, leaf && (e & PTE_G), "global");
	push_if(p, &v, rights && mode != PAGING_32BIT && (e & PTE_NX), "nx");
	return v;
}

struct value record_walk_steps(struct pool *p, const struct walk *w, enum paging_mode mode)
{
	struct value list = v_list(p, w->n);

	for (unsigned i = 0; i < w->n && i < ARRAY_LEN(w->step); i++) {
		const struct walk_step *s = &w->step[i];
		struct value d = v_dict(p, 4);
		v_put(p, &d, "level", v_int(s->level));
		v_put(p, &d, "gpa", v_hex(s->gpa));
		if (w->unreadable && !w->nested && i + 1 == w->n)
			v_put(p, &d, "entry", v_na(p, "cannot be read now"));
		else if (s->no_memory)
			v_put(p, &d, "entry", v_na(p, "no memory there; the walk reads all ones"));
		else
			v_put(p, &d, "entry", v_hex(s->entry));
		struct value flags = entry_flags(p, s->entry, s->level, mode);
		push_if(p, &flags, s->is_register, "register");
		v_put(p, &d, "flags", flags);
		v_push(p, &list, d);
	}
	return list;
}

static struct value tlb_list(struct pool *p, const struct xlate_tlb *tlb)
{
	struct value list = v_list(p, 2);

	for (unsigned i = 0; i < tlb->n && i < 2; i++) {
		struct value d = v_dict(p, 2);
		v_put(p, &d, "gpa", v_hex(tlb->entry[i].gpa));
		v_put(p, &d, "len", v_int(tlb->entry[i].len));
		v_push(p, &list, d);
	}
	return list;
}

static struct value io_entry(struct pool *p, const struct xlate_io *io)
{
	struct value d = v_dict(p, 8);

	v_put(p, &d, "kind", v_lit(io_kind_name(io->kind)));
	v_put(p, &d, "slot", io->slot ? v_int(io->slot->id) : v_null());
	v_put(p, &d, "page", v_hex(io->page));
	v_put(p, &d, "offset", v_hex(io->offset));
	v_put(p, &d, "len", v_int(io->len));
	v_put(p, &d, "gpa", v_hex(io->gpa));
	if (io->device)
		v_put(p, &d, "device", v_str(p, io->device));
	return d;
}

struct value record_xlate(struct pool *p, const struct xlate_tlb *tlb, const struct xlate_iolist *io)
{
	struct value d = v_dict(p, 4), list = v_list(p, 2), fault = record_guest_fault(p, &tlb->fault);

	for (unsigned i = 0; io && i < io->n && i < 2; i++)
		v_push(p, &list, io_entry(p, &io->io[i]));
	if (tlb->fault.present)
		v_put(p, &fault, "why", v_str(p, tlb->walk.why));
	v_put(p, &d, "tlb", tlb_list(p, tlb));
	v_put(p, &d, "fault", fault);
	v_put(p, &d, "io", list);
	return d;
}

struct value record_memop(struct pool *p, const struct memop *op, const struct memop_result *r)
{
	struct value d = v_dict(p, 8);
	bool moved = !r->status && op->buf && !(op->flags & MEMOP_CHECK_ONLY);

	v_put(p, &d, "status", v_int(r->status));
	v_put(p, &d, "at", v_hex(op->gva));
	v_put(p, &d, "len", v_int(op->size));
	v_put(p, &d, "data", moved ? v_bytes(p, op->buf, op->size) : v_null());
	if (r->status) {
		v_put(p, &d, "vector", v_int(r->fault.vector));
		v_put(p, &d, "error_code", r->fault.has_error ? v_hex(r->fault.error_code) : v_null());
		v_put(p, &d, "address", v_hex(r->fault.address));
		v_put(p, &d, "protection", v_bool(r->protection));
	}
	if (op->op == MEMOP_ABSOLUTE_CMPXCHG)
		v_put(p, &d, "exchanged", v_bool(r->exchanged));
	return d;
}

struct value record_storage_key(struct pool *p, uint64_t gpa, uint8_t byte)
{
	struct value d = v_dict(p, 3);

	v_put(p, &d, "gpa", v_hex(gpa & ~PAGE_OFFSET_MASK));
	v_put(p, &d, "key", v_int(byte >> 4));
	v_put(p, &d, "fetch", v_bool(byte & 8));
	return d;
}

/* The rights that all levels allow together, and the leaf's marks. */
static struct value mapping_flags(struct pool *p, const struct guest_mapping *m)
{
	struct value v = v_list(p, 8);

	push_if(p, &v, m->rights & ACCESS_WRITE, "writable");
	push_if(p, &v, m->rights & ACCESS_USER, "user");
	push_if(p, &v, m->rights & ACCESS_FETCH, "exec");
	push_if(p, &v, m->accessed, "accessed");
	push_if(p, &v, m->dirty, "dirty");
	push_if(p, &v, m->global, "global");
	return v;
}

static uint64_t entry_span(unsigned level, enum paging_mode mode)
{
	return 1ull << (PAGE_SHIFT + (mode == PAGING_32BIT ? 10 : 9) * (level - 1));
}

struct value record_guest_entry(struct pool *p, const struct walk *w, unsigned i, const struct guest_mapping *m,
				enum paging_mode mode)
{
	const struct walk_step *s = &w->step[i];
	bool leaf = i + 1 == w->n;
	uint64_t size = leaf ? m->page_size : entry_span(s->level, mode);
	struct value d = v_dict(p, 8);

	v_put(p, &d, "gva", v_hex(m->gva & ~(size - 1)));
	v_put(p, &d, "size", v_int((int64_t)size));
	v_put(p, &d, "level", v_int(s->level));
	v_put(p, &d, "at", v_hex(s->gpa));
	v_put(p, &d, "entry", v_hex(s->entry));
	v_put(p, &d, "flags", entry_flags(p, s->entry, s->level, mode));
	v_put(p, &d, "leaf", v_bool(leaf));
	v_put(p, &d, "gfn", leaf ? v_hex(m->gpa >> PAGE_SHIFT) : v_null());
	return d;
}

static unsigned flags_index(const struct guest_mapping *m)
{
	return (m->rights & ACCESS_WRITE ? 1u : 0) | (m->rights & ACCESS_USER ? 2u : 0) |
	       (m->rights & ACCESS_FETCH ? 4u : 0) | (m->accessed ? 8u : 0) | (m->dirty ? 16u : 0) | (m->global ? 32u : 0);
}

struct value record_mapping(struct pool *p, const struct guest_mapping *m, struct mapping_flags *known)
{
	struct value *flags = &known->list[flags_index(m)];

	if (flags->type != VALUE_LIST)
		*flags = mapping_flags(p, m);
	const struct field fields[] = {{"gva", v_hex(m->gva)},
				       {"gpa", v_hex(m->gpa)},
				       {"size", v_int((int64_t)m->page_size)},
				       {"entry", v_hex(m->entry)},
				       {"flags", *flags}};
	return v_dict_of(p, fields, ARRAY_LEN(fields));
}

struct value record_rights(struct pool *p, uint8_t rights)
{
	return mapping_flags(p, &(struct guest_mapping){.rights = rights});
}

/* "the root", "the table at 0x5000" */
static struct value table_words(struct pool *p, bool root, uint64_t gpa)
{
	return root ? v_lit("the root") : v_strf(p, "the table at 0x%llx", (unsigned long long)gpa);
}

/* "entry 0x1ed of the root points to the root: a recursive map, shown once" */
static struct value span_why(struct pool *p, const struct guest_span *s)
{
	struct value holder = table_words(p, s->in_root, s->holder), table = table_words(p, s->to_root, s->table);
	struct value which = s->n == 1
				 ? v_strf(p, "entry 0x%x of %s points", s->index, holder.str)
				 : v_strf(p, "entries 0x%x to 0x%x of %s point", s->index, s->index + s->n - 1, holder.str);

	if (s->kind == SPAN_RECURSIVE)
		return v_strf(p, "%s to %s: a recursive map, shown once", which.str, table.str);
	return v_strf(p, "%s to %s: as at 0x%llx", which.str, table.str, (unsigned long long)s->same_as);
}

void record_span_table(struct pool *p, struct value *row, const struct guest_span *s)
{
	v_put(p, row, "kind", v_lit(s->kind == SPAN_RECURSIVE ? "recursive" : "repeated"));
	v_put(p, row, "table", v_hex(s->table));
	v_put(p, row, "level", v_int(s->level));
	v_put(p, row, "entries", v_int(s->n));
	if (s->kind != SPAN_RECURSIVE)
		v_put(p, row, "same_as", v_hex(s->same_as));
	v_put(p, row, "why", span_why(p, s));
}

struct value record_span(struct pool *p, const struct guest_span *s)
{
	struct value d = v_dict(p, 12);

	v_put(p, &d, "gva", v_hex(s->gva));
	v_put(p, &d, "gpa", v_null());
	v_put(p, &d, "size", v_int((int64_t)(s->last - s->gva + 1)));
	v_put(p, &d, "entry", v_null());
	v_put(p, &d, "flags", record_rights(p, s->rights));
	v_put(p, &d, "end", v_hex(s->last));
	record_span_table(p, &d, s);
	return d;
}

struct value record_range(struct pool *p, uint64_t first, uint64_t last, uint8_t rights)
{
	struct value d = v_dict(p, 4);

	v_put(p, &d, "gva", v_hex(first));
	v_put(p, &d, "end", v_hex(last));
	v_put(p, &d, "size", v_int((int64_t)(last - first + 1)));
	v_put(p, &d, "flags", record_rights(p, rights));
	return d;
}
