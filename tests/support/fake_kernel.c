/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Fake kernel memory: pages in a hash by address, and builders that write KVM's structures by the layout.
 */
#include "tests/support/fake_kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct fk_mem {
	uint64_t at; /* page address, 0 for a free place */
	bool gone;
	uint8_t *bytes;
};

/* ---- memory */

static struct fk_mem *place(struct fake_kernel *f, uint64_t page)
{
	size_t i = (page >> 12) * 0x9e3779b97f4a7c15ull >> 32 & f->mask;

	while (f->page[i].at && f->page[i].at != page)
		i = (i + 1) & f->mask;
	return &f->page[i];
}

static void grow(struct fake_kernel *f)
{
	struct fk_mem *old = f->page;
	size_t size = f->mask + 1;

	f->mask = size * 2 - 1;
	f->page = calloc(size * 2, sizeof(*f->page));
	for (size_t i = 0; i < size; i++)
		if (old[i].at)
			*place(f, old[i].at) = old[i];
	free(old);
}

static uint8_t *page_at(struct fake_kernel *f, uint64_t addr, bool make)
{
	uint64_t page = addr & ~PAGE_OFFSET_MASK;
	struct fk_mem *p = place(f, page);

	if (!p->at && make) {
		if (f->pages * 2 > f->mask) {
			grow(f);
			p = place(f, page);
		}
		p->at = page;
		p->bytes = calloc(1, PAGE_SIZE_4K);
		f->pages++;
	}
	return p->at && !p->gone ? p->bytes : NULL;
}

static int fk_read(struct kmem *m, uint64_t addr, void *buf, size_t len)
{
	struct fake_kernel *f = CONTAINER_OF(m, struct fake_kernel, m);

	if (f->on_read)
		f->on_read(f, f->n_reads, addr);
	f->n_reads++;
	for (size_t done = 0, part; done < len; done += part) {
		uint64_t at = addr + done;
		const uint8_t *p = page_at(f, at, false);

		part = PAGE_SIZE_4K - (at & PAGE_OFFSET_MASK);
		part = part < len - done ? part : len - done;
		if (!p)
			return -EFAULT;
		memcpy((char *)buf + done, p + (at & PAGE_OFFSET_MASK), part);
	}
	return 0;
}

static uint64_t task_of(struct fake_kernel *f)
{
	return f->files;
}

static int fk_task(struct kmem *m, uint64_t *task)
{
	*task = task_of(CONTAINER_OF(m, struct fake_kernel, m));
	return 0;
}

static void fk_close(struct kmem *m)
{
	(void)m;
}

static const struct kmem_ops fk_ops = {.read = fk_read, .task = fk_task, .close = fk_close};

void fk_put(struct fake_kernel *f, uint64_t addr, const void *buf, size_t len)
{
	for (size_t done = 0, part; done < len; done += part) {
		uint64_t at = addr + done;

		part = PAGE_SIZE_4K - (at & PAGE_OFFSET_MASK);
		part = part < len - done ? part : len - done;
		memcpy(page_at(f, at, true) + (at & PAGE_OFFSET_MASK), (const char *)buf + done, part);
	}
}

void fk_put64(struct fake_kernel *f, uint64_t addr, uint64_t v)
{
	fk_put(f, addr, &v, sizeof(v));
}

uint64_t fk_get64(struct fake_kernel *f, uint64_t addr)
{
	const uint8_t *p = page_at(f, addr, false);
	uint64_t v = 0;

	if (p)
		memcpy(&v, p + (addr & PAGE_OFFSET_MASK), sizeof(v));
	return v;
}

void fk_unmap(struct fake_kernel *f, uint64_t addr)
{
	place(f, addr & ~PAGE_OFFSET_MASK)->gone = true;
}

void fk_set(struct fake_kernel *f, uint64_t addr, const struct kfield *field, uint64_t v)
{
	uint64_t at = addr + (uint64_t)field->off, old = 0;

	if (field->off < 0)
		return;
	if (!field->bits) {
		fk_put(f, at, &v, field->elem < 8 ? field->elem : 8);
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		memcpy((char *)&old + i, page_at(f, at + i, true) + ((at + i) & PAGE_OFFSET_MASK), 1);
	old &= ~(((1ull << field->bits) - 1) << field->bit);
	old |= v << field->bit;
	fk_put(f, at, &old, 3);
}

uint64_t fk_alloc(struct fake_kernel *f, size_t size)
{
	uint64_t at = f->next;

	f->next = (f->next + size + 63) & ~63ull;
	for (uint64_t p = at & ~PAGE_OFFSET_MASK; p < f->next; p += PAGE_SIZE_4K)
		page_at(f, FK_BASE + p, true);
	return FK_BASE + at;
}

uint64_t fk_alloc_page(struct fake_kernel *f)
{
	f->next = (f->next + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;
	return fk_alloc(f, PAGE_SIZE_4K);
}

/* ---- the process and its VM */

static uint64_t new_file(struct fake_kernel *f, uint64_t private)
{
	uint64_t at = fk_alloc(f, 256);

	fk_set(f, at, &f->l.file_private, private);
	return at;
}

static void empty_list(struct fake_kernel *f, uint64_t head)
{
	fk_put64(f, head, head);
	fk_put64(f, head + 8, head);
}

static void fk_list_add(struct fake_kernel *f, uint64_t head, uint64_t node)
{
	uint64_t last = fk_get64(f, head + 8);

	fk_put64(f, node, head);
	fk_put64(f, node + 8, last);
	fk_put64(f, last, node);
	fk_put64(f, head + 8, node);
}

static void make_process(struct fake_kernel *f)
{
	uint64_t files = fk_alloc(f, 256), fdt = fk_alloc(f, 256), fd = fk_alloc(f, 64 * 8);

	f->files = fk_alloc(f, 512); /* the task */
	fk_set(f, f->files, &f->l.task_files, files);
	fk_set(f, files, &f->l.files_fdt, fdt);
	fk_set(f, fdt, &f->l.fdt_max, 64);
	fk_set(f, fdt, &f->l.fdt_fd, fd);
	fk_put64(f, fd + 8 * FK_VM_FD, new_file(f, f->kvm));
	fk_put64(f, fd + 8 * FK_VCPU_FD, new_file(f, f->vcpu[0]));
	fk_put64(f, fd + 8 * (FK_VCPU_FD + 1), new_file(f, f->vcpu[1]));
}

static void make_vm(struct fake_kernel *f)
{
	f->kvm = fk_alloc(f, 4096);
	empty_list(f, f->kvm + (uint64_t)f->l.kvm_active.off);
	if (f->l.kvm_tdp_roots.off >= 0)
		empty_list(f, f->kvm + (uint64_t)f->l.kvm_tdp_roots.off);
	if (f->l.tdp_list)
		empty_list(f, f->kvm + (uint64_t)f->l.kvm_tdp_pages.off);
	for (uint32_t i = 0; f->l.kvm_nx_pages.off >= 0 && i < f->l.kvm_nx_pages.count; i++)
		empty_list(f, f->kvm + (uint64_t)f->l.kvm_nx_pages.off + i * f->l.kvm_nx_pages.elem);
	fk_set(f, f->kvm, &f->l.kvm_tdp_enabled, 1);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t mmu;

		f->vcpu[i] = fk_alloc(f, 8192);
		mmu = f->vcpu[i] + (uint64_t)f->l.vcpu_root_mmu.off;
		fk_set(f, f->vcpu[i], &f->l.vcpu_kvm, f->kvm);
		fk_set(f, f->vcpu[i], &f->l.vcpu_mmu, mmu);
		fk_set(f, mmu, &f->l.mmu_root_hpa, ~0ull);
		for (unsigned p = 0; p < 3; p++)
			fk_put64(f,
				 mmu + (uint64_t)f->l.mmu_prev.off + p * f->l.root_info_size + (uint64_t)f->l.root_hpa.off,
				 ~0ull);
		fk_set(f, f->vcpu[i] + (uint64_t)f->l.vcpu_guest_mmu.off, &f->l.mmu_root_hpa, ~0ull);
		f->set[i] = fk_alloc(f, f->l.slots == KSLOTS_ARRAY ? 64 + FK_SLOTS_MAX * f->l.slot_size : 4096);
		fk_put64(f, f->kvm + (uint64_t)f->l.kvm_memslots.off + i * 8, f->set[i]);
		fk_set(f, f->set[i], &f->l.slots_generation, 2 + i);
	}
}

void fk_init(struct fake_kernel *f, enum fk_version v, bool tdp)
{
	size_t len, n;
	void *raw = fk_btf(v, NULL, &len, NULL, NULL);
	const char *const *names = klayout_names(&n);
	struct kbtf *b;
	struct err e = {0};

	memset(f, 0, sizeof(*f));
	assert_int_equal(kbtf_open(raw, len, NULL, 0, names, n, &b, &e), 0);
	if (klayout_fill(b, &f->l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	kbtf_close(b);
	free(raw);
	f->version = v;
	f->m.ops = &fk_ops;
	f->host = (struct khost){.tdp = tdp, .ept = tdp, .mmio_caching = 1, .tdp_mmu = 1, .ad = tdp, .maxphyaddr = 46};
	f->mask = 255;
	f->page = calloc(256, sizeof(*f->page));
	f->next = 0x100000;
	make_vm(f);
	make_process(f);
}

void fk_free(struct fake_kernel *f)
{
	for (size_t i = 0; i <= f->mask; i++)
		free(f->page[i].bytes);
	free(f->page);
}

struct kview *fk_open(struct fake_kernel *f)
{
	const int vcpu = FK_VCPU_FD;
	struct kview *k;
	struct err e = {0};

	if (kview_open_on(&f->m, &f->l, &f->host, FK_VM_FD, &vcpu, 1, &k, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return k;
}

/* ---- slots */

struct fk_slot *fk_add_slot(struct fake_kernel *f, unsigned as, uint32_t id, uint64_t base_gfn, uint64_t npages,
			    uint32_t flags)
{
	struct fk_slot *s = &f->slot[f->slots++];
	const struct klayout *l = &f->l;

	s->at = l->slots == KSLOTS_ARRAY
		    ? f->set[as] + (uint64_t)l->slots_array.off + (uint64_t)(f->slots - 1) * l->slot_size
		    : fk_alloc(f, l->slot_size);
	s->base_gfn = base_gfn;
	s->npages = npages;
	s->as = as;
	fk_set(f, s->at, &l->slot_base_gfn, base_gfn);
	fk_set(f, s->at, &l->slot_npages, npages);
	fk_set(f, s->at, &l->slot_hva, 0x7f0000000000ull + (base_gfn << 12));
	fk_set(f, s->at, &l->slot_flags, flags);
	fk_set(f, s->at, &l->slot_id, id);
	for (unsigned level = 1; level <= 3; level++) {
		s->rmap[level - 1] = fk_alloc(f, ((npages >> 9 * (level - 1)) + 2) * 8);
		fk_put64(f, s->at + (uint64_t)l->slot_rmap.off + (level - 1) * 8, s->rmap[level - 1]);
	}
	return s;
}

uint64_t fk_rmap_at(const struct fk_slot *s, uint64_t gfn, unsigned level)
{
	unsigned shift = 9 * (level - 1);

	return s->rmap[level - 1] + 8 * ((gfn >> shift) - (s->base_gfn >> shift));
}

/* Slots [from, to) of one space, in order of gfn: a balanced tree. Gives its root's node address. */
static uint64_t subtree(struct fake_kernel *f, struct fk_slot **s, size_t from, size_t to, unsigned node_idx)
{
	const struct klayout *l = &f->l;
	size_t mid = (from + to) / 2;
	uint64_t node;

	if (from == to)
		return 0;
	node = s[mid]->at + (uint64_t)l->slot_gfn_node.off + node_idx * l->rb_size;
	fk_set(f, node, &l->rb_left, subtree(f, s, from, mid, node_idx));
	fk_set(f, node, &l->rb_right, subtree(f, s, mid + 1, to, node_idx));
	return node;
}

void fk_slots_done(struct fake_kernel *f)
{
	const struct klayout *l = &f->l;

	for (unsigned as = 0; as < 2; as++) {
		struct fk_slot *in[FK_SLOTS_MAX];
		size_t n = 0;

		for (unsigned i = 0; i < f->slots; i++)
			if (f->slot[i].as == as)
				in[n++] = &f->slot[i];
		if (l->slots == KSLOTS_ARRAY) {
			fk_set(f, f->set[as], &l->slots_used, n);
			continue;
		}
		fk_set(f, f->set[as], &l->slots_node_idx, as);
		fk_set(f, f->set[as], &l->slots_tree, subtree(f, in, 0, n, as));
	}
}

/* ---- shadow pages */

static struct fk_sp new_sp(struct fake_kernel *f, unsigned level, uint64_t gfn, bool direct, bool tdp)
{
	struct fk_sp sp = {.spt = fk_alloc_page(f), .level = level};
	const struct klayout *l = &f->l;

	sp.at = fk_alloc(f, l->sp_size);
	if (!direct) {
		sp.translation = fk_alloc_page(f);
		fk_set(f, sp.at, l->gfn == KGFN_GFNS ? &l->sp_gfns : &l->sp_translation, sp.translation);
	}
	fk_set(f, sp.at, &l->sp_spt, sp.spt);
	fk_set(f, sp.at, &l->sp_gfn, gfn);
	fk_set(f, sp.at, &l->sp_tdp, tdp);
	fk_role(f, &sp, &l->role_level, level);
	fk_role(f, &sp, &l->role_direct, direct);
	fk_role(f, &sp, &l->role_access, 7);
	fk_role(f, &sp, &l->role_wide, 1);
	return sp;
}

struct fk_sp fk_add_sp(struct fake_kernel *f, unsigned level, uint64_t gfn, bool direct)
{
	struct fk_sp sp = new_sp(f, level, gfn, direct, false);

	fk_list_add(f, f->kvm + (uint64_t)f->l.kvm_active.off, sp.at + (uint64_t)f->l.sp_link.off);
	return sp;
}

struct fk_sp fk_add_tdp(struct fake_kernel *f, unsigned level, uint64_t gfn, bool root)
{
	struct fk_sp sp = new_sp(f, level, gfn, true, true);
	const struct kfield *list = root ? &f->l.kvm_tdp_roots : f->l.tdp_list ? &f->l.kvm_tdp_pages : NULL;

	if (root)
		fk_set(f, sp.at, f->l.sp_tdp_root_count.off >= 0 ? &f->l.sp_tdp_root_count : &f->l.sp_root_count, 1);
	if (list)
		fk_list_add(f, f->kvm + (uint64_t)list->off, sp.at + (uint64_t)f->l.sp_link.off);
	return sp;
}

void fk_split(struct fake_kernel *f, const struct fk_sp *sp)
{
	const struct kfield *lists = &f->l.kvm_nx_pages;

	fk_list_add(f, f->kvm + (uint64_t)lists->off + (lists->count - 1) * lists->elem,
		    sp->at + (uint64_t)f->l.sp_nx_link.off);
	fk_set(f, sp->at, &f->l.sp_nx_split, 1);
}

void fk_role(struct fake_kernel *f, const struct fk_sp *sp, const struct kfield *field, uint64_t v)
{
	fk_set(f, sp->at + (uint64_t)f->l.sp_role.off, field, v);
}

void fk_entry(struct fake_kernel *f, const struct fk_sp *sp, unsigned i, uint64_t spte)
{
	fk_put64(f, sp->spt + i * 8u, spte);
}

uint64_t fk_table_bits(const struct fake_kernel *f)
{
	if (f->version == FK_5_10)
		return f->host.ept ? 0x107 : 0x027;
	return f->host.ept ? 0x907 : 0x827;
}

static uint64_t fk_leaf_bits(const struct fake_kernel *f)
{
	if (f->version == FK_5_10)
		return f->host.ept ? 0xf37 : 0xc67;
	if (!f->host.ept)
		return 0xe67;
	return 0xb37 | (f->version == FK_7 ? 0xa0ull << 48 : 0x600ull << 48);
}

void fk_link(struct fake_kernel *f, const struct fk_sp *sp, unsigned i, const struct fk_sp *child)
{
	fk_entry(f, sp, i, (child->spt - FK_BASE) | fk_table_bits(f));
	fk_set(f, child->at, &f->l.sp_parents, sp->spt + i * 8u);
}

uint64_t fk_leaf(struct fake_kernel *f, const struct fk_sp *sp, unsigned i, uint64_t gfn, uint64_t pfn)
{
	fk_entry(f, sp, i, pfn << 12 | fk_leaf_bits(f) | (sp->level > 1 ? 0x80 : 0));
	if (sp->translation)
		fk_put64(f, sp->translation + i * 8u, f->l.gfn == KGFN_GFNS ? gfn : gfn << 12 | 7);
	return sp->spt + i * 8u;
}

void fk_root(struct fake_kernel *f, uint64_t hpa, uint64_t pgd, unsigned level)
{
	uint64_t mmu = f->vcpu[0] + (uint64_t)f->l.vcpu_root_mmu.off;

	fk_set(f, mmu, &f->l.mmu_root_hpa, hpa);
	fk_set(f, mmu, &f->l.mmu_root_pgd, pgd);
	fk_set(f, mmu + (uint64_t)f->l.mmu_role.off, &f->l.role_level, level);
}

/* ---- reverse maps */

uint64_t fk_desc(struct fake_kernel *f, const uint64_t *sptes, size_t n, uint64_t count, uint64_t tail, uint64_t more)
{
	uint64_t at = fk_alloc(f, f->l.desc_size);

	fk_set(f, at, &f->l.desc_more, more);
	fk_set(f, at, &f->l.desc_count, count);
	fk_set(f, at, &f->l.desc_tail, tail);
	if (n)
		fk_put(f, at + (uint64_t)f->l.desc_sptes.off, sptes, n * 8);
	return at;
}

/* Descriptors are appended; with tail counts each new one becomes the head. */
uint64_t fk_chain(struct fake_kernel *f, const uint64_t *sptes, size_t n)
{
	size_t each = f->l.desc_entries, done, part;
	uint64_t head = 0, last = 0;

	if (n <= 1)
		return n ? sptes[0] : 0;
	for (done = 0; done < n; done += part) {
		uint64_t at;

		part = n - done < each ? n - done : each;
		at = fk_desc(f, sptes + done, part, part, done, f->l.desc == KDESC_HEAD ? head : 0);
		if (f->l.desc != KDESC_HEAD && last)
			fk_set(f, last, &f->l.desc_more, at);
		if (f->l.desc == KDESC_HEAD || !head)
			head = at;
		last = at;
	}
	return head | 1;
}
