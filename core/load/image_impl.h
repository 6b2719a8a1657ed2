/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Inside of core/load: what an image is after it was read, and what its readers (flat, ELF, multiboot, demo) fill in. Only
 * files of this folder include this.
 */
#ifndef KVMSCOPE_CORE_LOAD_IMAGE_IMPL_H
#define KVMSCOPE_CORE_LOAD_IMAGE_IMPL_H

#include "core/board/board.h"
#include "core/load/entry.h"
#include "core/load/image.h"

#define IMAGE_SEGS_MAX 256u
#define IMAGE_SYMBOLS_MAX 1000000u
#define IMAGE_FILE_MAX (1ull << 30)
#define IMAGE_DEMO_CPUS 2u

/* Bytes to put into guest memory, and where they are mapped in modes with paging. */
struct image_seg {
	uint64_t gva, gpa;
	const uint8_t *data; /* in the file's bytes */
	uint64_t filesz, memsz;
};

struct demo_slot {
	uint32_t id, flags;
	uint64_t gpa, size;
	enum slot_vis vis;
};
/* Mapped by the debugger's tables for a demo; rights 0 makes the tables down to level 1 and leaves the entries empty. */
struct demo_map {
	uint64_t gva, gpa, size, rights;
};
struct demo_cpu {
	const char *entry; /* symbol */
	enum entry_mode mode;
	uint64_t rsp;
};
struct demo {
	struct demo_info info;
	const uint8_t *start, *end; /* its ELF file */
	struct demo_slot slot[4];
	struct demo_map map[8];
	struct demo_cpu cpu[IMAGE_DEMO_CPUS]; /* further vCPUs enter as the last one */
	const char *window;		      /* a window onto the scratch device; NULL: none */
	uint64_t window_gpa, window_size;
	unsigned vcpus;
	uint32_t needs; /* enum machine_cap's bits that it cannot do without */
};

/* Where the debugger's own things lie in guest memory (gpa, mapped at the same gva). For general images one range at the
 * top of RAM below the PCI hole: stacks, tables, then a page for GDT and multiboot information, then task state segments. */
struct layout {
	uint64_t start, size; /* the range; size 0 in real mode and for demos */
	uint64_t stacks;      /* vCPU n's ends at stacks + (n + 1) * ENTRY_STACK */
	uint64_t tables, gdt, info, tss;
};

struct image {
	char *name;
	char describe[160];
	enum image_format format;
	enum entry_mode mode;
	const struct demo *demo;
	uint64_t memory, entry;
	unsigned vcpus;
	uint8_t *file; /* NULL for demos */
	const uint8_t *bytes;
	size_t size;
	struct image_seg seg[IMAGE_SEGS_MAX];
	unsigned n_segs;
	struct symbols syms;
	struct layout layout;
	bool loaded; /* once: then memory that should be zero may not be any more */
};

/* RAM of a general image: slot 0 from 0 up to the PCI hole, slot 1 from 4 GiB. */
#define IMAGE_HOLE 0xc0000000ull
#define IMAGE_HIGH 0x100000000ull
static inline uint64_t image_low_ram(const struct image *img)
{
	return img->memory < IMAGE_HOLE ? img->memory : IMAGE_HOLE;
}
static inline uint64_t image_high_ram(const struct image *img)
{
	return img->memory - image_low_ram(img);
}

int image_add_seg(struct image *img, const struct image_seg *seg, struct err *e) MUST_USE;
/* Mend addresses and check: overlaps, what fits where, the entry; fill img->layout. Segments whose gpa is no RAM get one
 * if the mode has paging. */
int image_place(struct image *img, struct err *e) MUST_USE;

/* Readers. They fill segments, symbols, entry and (if it is still ENTRY_AUTO) the mode. */
int image_read_elf(struct image *img, struct err *e) MUST_USE;
/* Where the multiboot 1 header is; -1 for none. */
long image_multiboot_header(const uint8_t *bytes, size_t size);
int image_check_multiboot(struct image *img, struct err *e) MUST_USE;
/* The multiboot information at gpa, for ebx; at most size bytes. */
size_t image_multiboot_info(const struct image *img, uint64_t gpa, uint8_t *buf, size_t size);
int image_read_demo(struct image *img, const struct image_options *opt, struct err *e) MUST_USE;

/* The tables that this image wants, built for a root at gpa. */
int image_tables(const struct image *img, uint64_t gpa, struct tables *out, struct err *e) MUST_USE;

#endif
