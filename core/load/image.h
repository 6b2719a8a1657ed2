/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest images: flat, ELF64 and ELF32 (libelf), multiboot ELF, and the built-in demos; and the state that a vCPU is put into
 * to enter them. Files are hostile input: every offset and size is checked before it is used.
 *
 * General images get RAM in slot 0 from gpa 0 on (what exceeds 3 GiB in slot 1 from 4 GiB on) and are entered so:
 *
 *   real  at --at (0x7c00), cs = entry >> 4 & 0xf000, other segments 0, sp 0x7c00, vector table at 0
 *   prot  at --at (0x100000), flat 32-bit segments, no paging, IDT limit 0
 *   long  at --at (0x100000), CPL 0, RAM mapped where it is, IDT limit 0
 *   user  at --at (0x1000) mapped at gva 0x200000 + (at & 0xfff), CPL 3, the other RAM mapped where it is, user-accessible
 *
 * ELF segments go to p_paddr; in long and user mode they are mapped at p_vaddr, and those whose p_paddr is no RAM get a
 * place after the others. ELF64 is entered in long mode, ELF32 in prot if no mode is named. Multiboot ELF: prot, eax
 * 0x2badb002, ebx the boot information.
 *
 * Except in real mode the debugger takes the top of RAM below 3 GiB for itself, downwards: task state segments (long and
 * user: 128 bytes a vCPU, whole pages), a page for GDT and multiboot information, the page tables, a stack of 64 KiB for
 * each vCPU (rsp begins 16 below its top). gdt.base and cr3 say where. Selectors: core/load/entry.h. edi is the vCPU's
 * number.
 */
#ifndef KVMSCOPE_CORE_LOAD_IMAGE_H
#define KVMSCOPE_CORE_LOAD_IMAGE_H

#include "core/load/symbols.h"
#include "core/machine/machine.h"

enum entry_mode { ENTRY_AUTO, ENTRY_REAL, ENTRY_PROT, ENTRY_LONG, ENTRY_USER };
enum image_format { IMAGE_AUTO, IMAGE_FLAT, IMAGE_ELF, IMAGE_MULTIBOOT };

struct image_options {
	const char *name; /* file name or "demo:NAME" */
	enum image_format format;
	enum entry_mode mode;
	uint64_t memory; /* guest RAM in bytes; 0: 64 MiB, or what the demo wants */
	bool has_at, has_entry;
	uint64_t at, entry;
	unsigned vcpus;	     /* 0: 1, or what the demo wants */
	unsigned dirty_ring; /* of the VM that it is loaded into: struct machine_config's */
};

struct image;

/* Read and check an image; touches no machine. -ENOENT, -EACCES, -EINVAL (malformed), -EFBIG (does not fit). */
int image_open(const struct image_options *opt, struct image **out, struct err *e) MUST_USE;
void image_close(struct image *img);
/* How many vCPUs and whose slots it wants (demo guests bring their own). */
unsigned image_vcpus(const struct image *img);
const char *
image_describe(const struct image *img); /* one line for people: "demo:tour, long mode at CPL 3, entry 0x200000" */
const char *image_name(const struct image *img);

/* Create the slots that the image wants in a machine that has none. */
int image_make_slots(struct image *img, struct machine *m, struct err *e) MUST_USE;
/* (Re)write its bytes, page tables and GDT through machine_write, and put every vCPU at its entry. Slots that the user has
 * changed since are left as they are; bytes outside every slot are an error. Zeroes RAM that the image had cleared before.
 */
int image_load(struct image *img, struct machine *m, struct err *e) MUST_USE;
/* Add its symbols. */
int image_symbols(const struct image *img, struct symbols *s, struct err *e) MUST_USE;

/* Names of the built-in guests, NULL-terminated, with a line of help each. */
struct demo_info {
	const char *name, *help;
};
const struct demo_info *demo_list(void);

#endif
