/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Where an image goes: checks of every address against RAM and against each other, the place of the debugger's own tables,
 * and the page tables that follow from it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/load/image_impl.h"
#include "core/mem/paging.h"

#define MIB 0x100000ull
#define NEED_MAX (1ull << 40) /* nobody is told to use more memory than that */

static bool has_paging(const struct image *img)
{
	return img->mode == ENTRY_LONG || img->mode == ENTRY_USER;
}

static uint64_t page_up(uint64_t x)
{
	return (x + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;
}

static bool in_ram(const struct image *img, uint64_t gpa, uint64_t len)
{
	uint64_t low = image_low_ram(img), high = image_high_ram(img);

	return (gpa <= low && len <= low - gpa) ||
	       (gpa >= IMAGE_HIGH && gpa - IMAGE_HIGH <= high && len <= high - (gpa - IMAGE_HIGH));
}

/* "Does not fit", with the memory that would do: low bytes below the hole, extra ones of ours besides. */
static int too_big(const struct image *img, uint64_t gpa, uint64_t len, uint64_t extra, struct err *e)
{
	uint64_t end = gpa + len, need = end + extra;

	if (range_wraps(gpa, len) || end > NEED_MAX || (end > IMAGE_HOLE - extra && gpa < IMAGE_HIGH))
		return err_set_at(e, -EFBIG, ERR_SPACE_GPA, gpa,
				  "load %s" WHY "%#" PRIx64 " bytes at gpa %#" PRIx64
				  " do not fit: RAM can be [0, 0xc0000000) and from 0x100000000 on" TRY
				  "an image linked for lower addresses (p_paddr)",
				  img->name, len, gpa);
	if (gpa >= IMAGE_HIGH)
		need = end - IMAGE_HIGH + IMAGE_HOLE;
	need = (need + MIB - 1) / MIB;
	return err_set_at(e, -EFBIG, ERR_SPACE_GPA, gpa,
			  "load %s" WHY "%#" PRIx64 " bytes at gpa %#" PRIx64 " do not fit into %#" PRIx64
			  " bytes of RAM beside %#" PRIx64 " bytes for tables and stacks" TRY "-m %" PRIu64 "M",
			  img->name, len, gpa, img->memory, extra, need);
}

/* ---- segments among each other */

static int check_overlap(const struct image *img, const struct image_seg *a, const struct image_seg *b, struct err *e)
{
	uint64_t ap = a->gva & ~PAGE_OFFSET_MASK, bp = b->gva & ~PAGE_OFFSET_MASK;

	if (ranges_overlap(a->gpa, a->memsz, b->gpa, b->memsz))
		return err_set_at(e, -EINVAL, ERR_SPACE_GPA, b->gpa,
				  "load %s" WHY "its segments at gpa %#" PRIx64 " (%#" PRIx64 " bytes) and %#" PRIx64
				  " (%#" PRIx64 " bytes) overlap" TRY "another image",
				  img->name, a->gpa, a->memsz, b->gpa, b->memsz);
	if (has_paging(img) && a->gva - a->gpa != b->gva - b->gpa &&
	    ranges_overlap(ap, page_up(a->gva + a->memsz) - ap, bp, page_up(b->gva + b->memsz) - bp))
		return err_set_at(e, -EINVAL, ERR_SPACE_GVA, b->gva,
				  "load %s" WHY "its segments at gva %#" PRIx64 " and %#" PRIx64
				  " share a page but not its place in memory" TRY "segments aligned to 4 KiB",
				  img->name, a->gva, b->gva);
	return 0;
}

static int check_segs(const struct image *img, struct err *e)
{
	for (unsigned i = 0; i < img->n_segs; i++) {
		for (unsigned j = i + 1; j < img->n_segs; j++) {
			int rc = check_overlap(img, &img->seg[i], &img->seg[j], e);

			if (rc)
				return rc;
		}
	}
	return 0;
}

static bool is_canonical(uint64_t gva)
{
	return (uint64_t)((int64_t)(gva << 16) >> 16) == gva;
}

static int check_gva(const struct image *img, const struct image_seg *s, struct err *e)
{
	if ((s->gva & PAGE_OFFSET_MASK) != (s->gpa & PAGE_OFFSET_MASK))
		return err_set_at(e, -EINVAL, ERR_SPACE_GVA, s->gva,
				  "load %s" WHY "gva %#" PRIx64 " and gpa %#" PRIx64
				  " differ in their offset in the page" TRY "segments congruent to 4 KiB, or --mode prot",
				  img->name, s->gva, s->gpa);
	if (range_wraps(s->gva, s->memsz + PAGE_SIZE_4K) || !is_canonical(s->gva) || !is_canonical(s->gva + s->memsz))
		return err_set_at(e, -EINVAL, ERR_SPACE_GVA, s->gva,
				  "load %s" WHY "%#" PRIx64 " bytes at gva %#" PRIx64
				  " are not within canonical addresses" TRY "another image",
				  img->name, s->memsz, s->gva);
	return 0;
}

/* Give segments that lie outside RAM a place after the others, where tables can map them. */
static int settle_segs(struct image *img, struct err *e)
{
	uint64_t next = MIB;
	int rc;

	for (unsigned i = 0; i < img->n_segs; i++) {
		const struct image_seg *s = &img->seg[i];

		if (in_ram(img, s->gpa, s->memsz) && s->gpa < IMAGE_HIGH && s->gpa + s->memsz > next)
			next = s->gpa + s->memsz;
	}
	for (unsigned i = 0; i < img->n_segs; i++) {
		struct image_seg *s = &img->seg[i];

		if (!in_ram(img, s->gpa, s->memsz)) {
			if (!has_paging(img) || img->format == IMAGE_FLAT)
				return too_big(img, s->gpa, s->memsz, img->layout.size, e);
			s->gpa = page_up(next) + (s->gva & PAGE_OFFSET_MASK);
			if (!in_ram(img, s->gpa, s->memsz))
				return too_big(img, s->gpa, s->memsz, img->layout.size, e);
			next = s->gpa + s->memsz;
		}
		rc = has_paging(img) ? check_gva(img, s, e) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- the debugger's own range */

static uint64_t tss_size(const struct image *img)
{
	return has_paging(img) ? page_up(img->vcpus * ENTRY_TSS_SIZE) : 0;
}

static void lay_out(struct image *img, unsigned n_tables)
{
	struct layout *l = &img->layout;

	*l = (struct layout){0};
	if (img->mode == ENTRY_REAL)
		return;
	l->size = img->vcpus * ENTRY_STACK + n_tables * PAGE_SIZE_4K + PAGE_SIZE_4K + tss_size(img);
	l->start = image_low_ram(img) - l->size;
	l->stacks = l->start;
	l->tables = l->stacks + img->vcpus * ENTRY_STACK;
	l->gdt = l->tables + n_tables * PAGE_SIZE_4K;
	l->info = l->gdt + 0x800;
	l->tss = l->gdt + PAGE_SIZE_4K;
}

static int check_layout(const struct image *img, struct err *e)
{
	const struct layout *l = &img->layout;

	if (l->size > image_low_ram(img))
		return too_big(img, 0, img->n_segs ? img->seg[0].memsz : 0, l->size, e);
	for (unsigned i = 0; i < img->n_segs; i++) {
		const struct image_seg *s = &img->seg[i];
		uint64_t gva = s->gva & ~PAGE_OFFSET_MASK;

		if (ranges_overlap(s->gpa, s->memsz, l->start, l->size))
			return too_big(img, s->gpa, s->memsz, l->size, e);
		if (has_paging(img) && s->gva != s->gpa &&
		    ranges_overlap(gva, page_up(s->gva + s->memsz) - gva, l->start, l->size))
			return err_set_at(e, -EINVAL, ERR_SPACE_GVA, s->gva,
					  "load %s" WHY "its pages at gva %#" PRIx64
					  " would hide tables and stacks at %#" PRIx64 " to %#" PRIx64 TRY "another -m",
					  img->name, s->gva, l->start, l->start + l->size - 1);
	}
	return 0;
}

static int check_entry(const struct image *img, struct err *e)
{
	static const char *const names[] = {"auto", "real", "prot", "long", "user"};
	bool bad = (img->mode == ENTRY_REAL && img->entry >= MIB) || (img->mode == ENTRY_PROT && img->entry >> 32) ||
		   (has_paging(img) && !is_canonical(img->entry));

	if (bad)
		return err_set_at(e, -EINVAL, ERR_SPACE_GVA, img->entry,
				  "load %s" WHY "its entry %#" PRIx64 " is not an address that mode %s can begin at" TRY
				  "--mode long, or another --entry",
				  img->name, img->entry, names[img->mode]);
	return 0;
}

int image_place(struct image *img, struct err *e)
{
	struct tables t;
	int rc;

	/* Sizes for error messages first: without the tables, that are a few pages. */
	lay_out(img, has_paging(img) ? 8 : 0);
	rc = settle_segs(img, e);
	if (!rc)
		rc = check_segs(img, e);
	if (!rc)
		rc = check_entry(img, e);
	if (rc || img->mode == ENTRY_REAL)
		return rc;
	if (has_paging(img)) {
		rc = image_tables(img, 0, &t, e);
		if (rc)
			return rc;
		lay_out(img, t.n);
		tables_deinit(&t);
	}
	return check_layout(img, e);
}

/* ---- page tables */

static int map_demo(const struct image *img, struct tables *t, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(img->demo->map) && img->demo->map[i].size; i++) {
		const struct demo_map *m = &img->demo->map[i];
		int rc = tables_map(t, m->gva, m->gpa, m->size, m->rights, false, e);

		if (rc)
			return rc;
	}
	return 0;
}

static int map_general(const struct image *img, struct tables *t, uint64_t rights, struct err *e)
{
	int rc = tables_map(t, 0, 0, image_low_ram(img), rights, true, e);

	if (!rc && image_high_ram(img))
		rc = tables_map(t, IMAGE_HIGH, IMAGE_HIGH, image_high_ram(img), rights, true, e);
	for (unsigned i = 0; !rc && i < img->n_segs; i++) {
		const struct image_seg *s = &img->seg[i];

		if (s->gva != s->gpa)
			rc = tables_map(t, s->gva, s->gpa, s->memsz, rights, false, e);
	}
	return rc;
}

int image_tables(const struct image *img, uint64_t gpa, struct tables *out, struct err *e)
{
	uint64_t rights = PTE_P | PTE_W | (img->demo || img->mode == ENTRY_USER ? PTE_U : 0);
	int rc;

	tables_init(out, gpa, rights);
	rc = img->demo ? map_demo(img, out, e) : map_general(img, out, rights, e);
	if (rc)
		tables_deinit(out);
	return rc;
}
