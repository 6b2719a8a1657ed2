/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The built-in guests. Each is a small ELF file linked into this program, read like any other; what is said here is what a
 * file cannot say: slots, page tables, vCPUs, devices. Places in guest memory common to all: GDT at 0x500, task state
 * segments at 0x600, stacks for CPL 0 below 0xd000 (vCPU 0) and 0xe000 (vCPU 1), page tables from 0x10000 on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/load/image_impl.h"
#include "core/mem/paging.h"

/* As many TSSs as have room between the GDT and the image. */
#define DEMO_VCPUS 8u
#define USER_RIGHTS (PTE_P | PTE_W | PTE_U)
#define KERNEL_RIGHTS (PTE_P | PTE_W)

#define BLOB(name) extern const uint8_t demo_##name[], demo_##name##_end[]
BLOB(tour);
BLOB(rmap);
BLOB(remap);
BLOB(smm);
BLOB(real);
BLOB(threads);
BLOB(nested);

#define RAM_512K                                                                                                            \
	{                                                                                                                   \
		.id = 0, .gpa = 0, .size = 0x80000, .vis = SLOT_VIS_BOTH                                                    \
	}
/* Code and data for both privileges; GDT, stacks and page tables (at gpa + 2 MiB) for CPL 0. The leaf table for 0x200000
 * comes to stand at 0x13000, that for low memory at 0x14000; the next one is at 0x15000. */
#define LONG_MAPS                                                                                                           \
	{0x200000, 0x1000, 0x8000, USER_RIGHTS}, {0, 0, 0x10000, KERNEL_RIGHTS},                                            \
	{                                                                                                                   \
		0x210000, 0x10000, 0x20000, KERNEL_RIGHTS                                                                   \
	}

static const struct demo demos[] = {
    {
	.info = {"tour", "aliases, a device, READONLY memory and a page fault at CPL 3 (the default)"},
	.start = demo_tour,
	.end = demo_tour_end,
	.slot = {RAM_512K, {.id = 1, .gpa = 0x80000, .size = 0x10000, .flags = SLOT_READONLY, .vis = SLOT_VIS_BOTH}},
	.map = {{0x200000, 0x1000, 0x1000, USER_RIGHTS},
		{0x240000, 0x40000, 0x1000, USER_RIGHTS},
		{0x250000, 0x40000, 0x1000, USER_RIGHTS},
		{0x260000, 0xd0000000, 0x1000, USER_RIGHTS},
		{0x280000, 0x80000, 0x1000, USER_RIGHTS},
		{0x290000, 0x81000, 0x1000, USER_RIGHTS}},
	.cpu = {{"start", ENTRY_USER, 0}},
	.vcpus = 1,
    },
    {
	.info = {"rmap", "maps one page at 40 addresses, breakpoints `mapped` and `unmapped`"},
	.start = demo_rmap,
	.end = demo_rmap_end,
	.slot = {RAM_512K},
	.map = {LONG_MAPS, {0x400000, 0, 0x800000, 0}},
	.cpu = {{"start", ENTRY_LONG, 0xd000}},
	.vcpus = 1,
    },
    {
	.info = {"remap", "a device page remapped with and without a flush, and across a CR3 switch"},
	.start = demo_remap,
	.end = demo_remap_end,
	.slot = {RAM_512K},
	.map = {LONG_MAPS, {0x600000, 0xd0000000, 0x1000, USER_RIGHTS}},
	.cpu = {{"start", ENTRY_LONG, 0xd000}},
	.vcpus = 1,
    },
    {
	.info = {"smm", "an SMI handler in SMRAM over a device window, entered through port 0xb2"},
	.start = demo_smm,
	.end = demo_smm_end,
	.slot = {{.id = 0, .gpa = 0, .size = 0x30000, .vis = SLOT_VIS_BOTH},
		 {.id = 1, .gpa = 0x40000, .size = 0x40000, .vis = SLOT_VIS_BOTH},
		 {.id = 2, .gpa = 0x30000, .size = 0x10000, .vis = SLOT_VIS_SMM, .flags = SLOT_SMRAM}},
	.cpu = {{"start", ENTRY_PROT, 0xd000}},
	.window = "under-smram",
	.window_gpa = 0x30000,
	.window_size = 0x10000,
	.vcpus = 1,
    },
    {
	.info = {"real", "from 16-bit real mode over protected mode to long mode"},
	.start = demo_real,
	.end = demo_real_end,
	.slot = {RAM_512K},
	.cpu = {{"start", ENTRY_REAL, 0x7c00}},
	.vcpus = 1,
    },
    {
	.info = {"threads", "two vCPUs, one changing a mapping while the other uses it"},
	.start = demo_threads,
	.end = demo_threads_end,
	.slot = {RAM_512K},
	.map = {LONG_MAPS, {0x600000, 0x40000, 0x1000, USER_RIGHTS}},
	.cpu = {{"start", ENTRY_LONG, 0xd000}, {"changer", ENTRY_LONG, 0xe000}},
	.vcpus = 2,
    },
    {
	.info = {"nested", "runs a guest of its own with SVM and nested paging, breakpoints `l2_touch` and `l2_hole`"},
	.start = demo_nested,
	.end = demo_nested_end,
	.slot = {RAM_512K},
	.map = {LONG_MAPS, {0x240000, 0x40000, 0x40000, KERNEL_RIGHTS}},
	.cpu = {{"start", ENTRY_LONG, 0xd000}},
	.vcpus = 1,
	.needs = NEEDS(SVM),
    },
};

const struct demo_info *demo_list(void)
{
	static struct demo_info list[ARRAY_LEN(demos) + 1];

	for (size_t i = 0; i < ARRAY_LEN(demos); i++)
		list[i] = demos[i].info;
	return list;
}

static int unknown_demo(const char *name, struct err *e)
{
	char names[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(demos); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%sdemo:%s", i ? ", " : "", demos[i].info.name);
	return err_set(e, -ENOENT, "load %s" WHY "there is no built-in guest of that name" TRY "%s", name, names);
}

static int check_wishes(const struct image *img, const struct image_options *opt, struct err *e)
{
	if (opt->mode != ENTRY_AUTO || opt->has_at || opt->has_entry || opt->format != IMAGE_AUTO)
		return err_set(e, -EINVAL,
			       "load %s" WHY "a built-in guest brings its own entry" TRY
			       "without --mode, --at, --entry and --format",
			       img->name);
	if (opt->vcpus > DEMO_VCPUS)
		return err_set(e, -EINVAL, "load %s" WHY "a built-in guest has room for %u vCPUs, not %u" TRY "-n %u",
			       img->name, DEMO_VCPUS, opt->vcpus, DEMO_VCPUS);
	if (opt->vcpus && opt->vcpus < img->demo->vcpus)
		return err_set(e, -EINVAL, "load %s" WHY "it needs %u vCPUs, not %u" TRY "-n %u", img->name,
			       img->demo->vcpus, opt->vcpus, img->demo->vcpus);
	return 0;
}

static uint64_t end_of_memory(const struct demo *d)
{
	uint64_t end = 0;

	for (size_t i = 0; i < ARRAY_LEN(d->slot) && d->slot[i].size; i++)
		if (d->slot[i].gpa + d->slot[i].size > end)
			end = d->slot[i].gpa + d->slot[i].size;
	return end;
}

int image_read_demo(struct image *img, const struct image_options *opt, struct err *e)
{
	const char *name = opt->name + strlen("demo:");
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(demos); i++)
		if (strcmp(demos[i].info.name, name) == 0)
			img->demo = &demos[i];
	if (!img->demo)
		return unknown_demo(opt->name, e);
	rc = check_wishes(img, opt, e);
	if (rc)
		return rc;
	img->bytes = img->demo->start;
	img->size = (size_t)(img->demo->end - img->demo->start);
	img->mode = img->demo->cpu[0].mode;
	img->memory = end_of_memory(img->demo);
	img->vcpus = opt->vcpus ? opt->vcpus : img->demo->vcpus;
	img->layout = (struct layout){.tables = 0x10000, .gdt = 0x500, .tss = 0x600};
	return image_read_elf(img, e);
}
