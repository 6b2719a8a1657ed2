/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Multiboot 1: finding the header, and the information that the kernel gets through ebx. Layouts: Multiboot Specification
 * 0.6.96, sections 3.1 (header) and 3.3 (boot information).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/load/image_impl.h"

#define HEADER_MAGIC 0x1badb002u
#define HEADER_WITHIN 8192u
#define HEADER_SIZE 12u
#define FLAGS_KNOWN 0x7u /* page-aligned modules (there are none), memory information, video mode (a wish) */
#define INFO_MEMORY (1u << 0)
#define INFO_COMMAND_LINE (1u << 2)
#define INFO_MEMORY_MAP (1u << 6)
#define INFO_LOADER_NAME (1u << 9)

struct info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};

struct map_entry {
	uint32_t size;
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

struct all {
	struct info info;
	struct map_entry map[3];
	char loader[16], cmdline[256];
} __attribute__((packed));

static uint32_t read_word(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

long image_multiboot_header(const uint8_t *bytes, size_t size)
{
	for (size_t at = 0; at + HEADER_SIZE <= size && at + HEADER_SIZE <= HEADER_WITHIN; at += 4)
		if (read_word(bytes + at) == HEADER_MAGIC &&
		    read_word(bytes + at) + read_word(bytes + at + 4) + read_word(bytes + at + 8) == 0)
			return (long)at;
	return -1;
}

int image_check_multiboot(struct image *img, struct err *e)
{
	long at = image_multiboot_header(img->bytes, img->size);
	uint32_t flags;

	if (at < 0)
		return err_set(e, -EINVAL,
			       "load %s" WHY "no multiboot header with a right checksum in its first 8 KiB" TRY
			       "--format elf",
			       img->name);
	flags = read_word(img->bytes + at + 4);
	if (flags & 0xffff & ~FLAGS_KNOWN)
		return err_set(e, -EINVAL,
			       "load %s" WHY "its multiboot header requires features %#x that this loader does not have" TRY
			       "--format elf",
			       img->name, flags & 0xffff & ~FLAGS_KNOWN);
	return 0;
}

static unsigned memory_map(const struct image *img, struct map_entry map[3])
{
	const uint32_t size = sizeof(map[0]) - sizeof(map[0].size), ram = 1;
	uint64_t low = image_low_ram(img), first = low < 0xa0000 ? low : 0xa0000;
	unsigned n = 0;

	map[n++] = (struct map_entry){size, 0, first, ram};
	if (low > 0x100000)
		map[n++] = (struct map_entry){size, 0x100000, low - 0x100000, ram};
	if (image_high_ram(img))
		map[n++] = (struct map_entry){size, IMAGE_HIGH, image_high_ram(img), ram};
	return n;
}

size_t image_multiboot_info(const struct image *img, uint64_t gpa, uint8_t *buf, size_t size)
{
	uint64_t low = image_low_ram(img);
	struct all a = {0};

	a.info.flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MEMORY_MAP | INFO_LOADER_NAME;
	a.info.mem_lower = (uint32_t)((low < 0xa0000 ? low : 0xa0000) >> 10);
	a.info.mem_upper = low > 0x100000 ? (uint32_t)((low - 0x100000) >> 10) : 0;
	a.info.mmap_length = memory_map(img, a.map) * (uint32_t)sizeof(a.map[0]);
	a.info.mmap_addr = (uint32_t)(gpa + offsetof(struct all, map));
	a.info.boot_loader_name = (uint32_t)(gpa + offsetof(struct all, loader));
	a.info.cmdline = (uint32_t)(gpa + offsetof(struct all, cmdline));
	snprintf(a.loader, sizeof(a.loader), "kvmscope");
	snprintf(a.cmdline, sizeof(a.cmdline), "%s", img->name);
	if (size > sizeof(a))
		size = sizeof(a);
	memcpy(buf, &a, size);
	return size;
}
