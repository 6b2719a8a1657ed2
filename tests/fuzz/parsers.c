/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parsers of what others wrote: images, expressions, BTF. Valid inputs with a few bytes changed, or words in any order.
 */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/debug/expr.h"
#include "core/load/image_impl.h"
#include "core/soft/soft.h"
#include "kvmback/kernel/klayout.h"
#include "tests/fuzz/rng.h"
#include "tests/support/fake_kernel.h"

static void put(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, 4);
}

/* ---- images: an ELF file with symbols, one of a demo, a multiboot kernel, or a flat one */

static size_t small_elf(struct rng *r, uint8_t *at)
{
	static const char names[] = "\0start\0data\0.symtab\0.strtab\0.text";
	Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = 1,
			.e_entry = 0x100010,
			.e_phoff = 0x40,
			.e_shoff = 0x400,
			.e_ehsize = 64,
			.e_phentsize = 56,
			.e_phnum = 2,
			.e_shentsize = 64,
			.e_shnum = 4,
			.e_shstrndx = 2};
	Elf64_Phdr ph[2] = {{PT_LOAD, 5, 0x200, 0x100000, 0x100000, 0x80, 0x1000, 0x1000},
			    {PT_LOAD, 6, 0x280, 0x102000, 0x102000, 0x20, 0x40, 0x1000}};
	Elf64_Sym sym[3] = {{0}, {1, STT_FUNC, 0, 1, 0x100010, 8}, {7, STT_OBJECT, 0, 1, 0x102000, 8}};
	Elf64_Shdr sh[4] = {
	    {0},
	    {.sh_name = 12,
	     .sh_type = SHT_SYMTAB,
	     .sh_offset = 0x300,
	     .sh_size = sizeof(sym),
	     .sh_link = 2,
	     .sh_info = 1,
	     .sh_entsize = 24},
	    {.sh_name = 20, .sh_type = SHT_STRTAB, .sh_offset = 0x360, .sh_size = sizeof(names)},
	    {.sh_name = 28, .sh_type = SHT_PROGBITS, .sh_offset = 0x200, .sh_size = 0x80, .sh_addr = 0x100000}};

	memset(at, 0, 0x600);
	memcpy(at, &h, sizeof(h));
	memcpy(at + 0x40, ph, sizeof(ph));
	memcpy(at + 0x300, sym, sizeof(sym));
	memcpy(at + 0x360, names, sizeof(names));
	memcpy(at + 0x400, sh, sizeof(sh));
	if (rng_below(r, 3) == 0) { /* a multiboot header in it */
		put(at + 0x200, 0x1badb002);
		put(at + 0x204, 3);
		put(at + 0x208, 0 - 0x1badb002u - 3);
	}
	return 0x600;
}

static size_t flat_multiboot(struct rng *r, uint8_t *at)
{
	uint32_t flags = 0x10003;

	memset(at, 0x90, 0x300);
	put(at + 0x20, 0x1badb002);
	put(at + 0x24, flags);
	put(at + 0x28, 0 - 0x1badb002u - flags);
	put(at + 0x2c, 0x100020); /* header, load, load end, bss end, entry */
	put(at + 0x30, 0x100000);
	put(at + 0x34, rng_below(r, 2) ? 0 : 0x100300);
	put(at + 0x38, rng_below(r, 2) ? 0 : 0x101000);
	put(at + 0x3c, 0x100040);
	return 0x300;
}

static size_t make_image(struct rng *r, uint8_t *at)
{
	struct image *demo;
	size_t n;

	switch (rng_below(r, 4)) {
	case 0:
		return flat_multiboot(r, at);
	case 1: {
		const struct image_options opt = {.name = rng_below(r, 2) ? "demo:tour" : "demo:smm"};
		struct err e;
		if (image_open(&opt, &demo, &e))
			abort();
		n = demo->size < 0x10000 ? demo->size : 0x10000;
		memcpy(at, demo->bytes, n);
		image_close(demo);
		return n;
	}
	default:
		return small_elf(r, at);
	}
}

static uint64_t load_it(struct image *image)
{
	struct machine_config cfg = {.vcpus = image_vcpus(image)};
	struct symbols syms = {0};
	struct machine *m;
	struct err e;
	uint64_t taken = 0;

	if (machine_create(&soft_backend, &cfg, &m, &e))
		return 0;
	if (!image_make_slots(image, m, &e) && !image_load(image, m, &e) && !image_symbols(image, &syms, &e))
		taken = 1;
	symbols_deinit(&syms);
	machine_destroy(m);
	return taken;
}

uint64_t fuzz_image(uint64_t seed)
{
	static uint8_t bytes[0x10000];
	struct rng r = rng_of(seed);
	struct image_options opt = {.memory = (uint64_t)rng_below(&r, 64) << 20,
				    .format = (enum image_format)rng_below(&r, 4),
				    .mode = (enum entry_mode)rng_below(&r, 5),
				    .has_at = !rng_below(&r, 6),
				    .at = rng_next(&r) >> rng_below(&r, 64)};
	char name[32];
	struct image *image;
	struct err e;
	uint64_t taken = 0;
	int fd = memfd_create("image", 0);

	size_t n = make_image(&r, bytes);
	n = rng_below(&r, 16) ? rng_mutate(&r, bytes, n) : n;
	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		abort();
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	opt.name = name;
	if (!image_open(&opt, &image, &e)) {
		taken = load_it(image);
		image_close(image);
	}
	close(fd);
	return taken;
}

/* ---- expressions */

uint64_t fuzz_expr(uint64_t seed)
{
	static const char *const word[] = {"1",
					   "0x10",
					   "$rip",
					   "$rax",
					   "$nothing",
					   "start",
					   "(",
					   ")",
					   "+",
					   "-",
					   "*",
					   "/",
					   "%",
					   "<<",
					   ">>",
					   "&",
					   "|",
					   "^",
					   "~",
					   "0b101",
					   "0o17",
					   "$eax",
					   " ",
					   "18446744073709551615",
					   "0xffffffffffffffffff",
					   "!",
					   "\xff",
					   "start+0x1",
					   ":",
					   "$cs:",
					   "0x7c0:",
					   "$sp",
					   "a.c:",
					   "@2",
					   "$"};
	static struct symbols syms;
	static struct machine *m;
	struct rng r = rng_of(seed);
	const struct machine_config cfg = {.vcpus = 1};
	struct err e;
	char text[1024] = "";
	uint64_t v;

	if (!m && (machine_create(&soft_backend, &cfg, &m, &e) || symbols_add(&syms, "start", 0x1000, 0x10, &e) ||
		   symbols_sort(&syms, &e)))
		abort();
	for (unsigned n = 1 + rng_below(&r, rng_below(&r, 8) ? 9 : 60); n-- && strlen(text) < sizeof(text) - 32;)
		strcat(text, word[rng_below(&r, ARRAY_LEN(word))]);
	if (!rng_below(&r, 4))
		text[rng_mutate(&r, (uint8_t *)text, strlen(text))] = 0;
	if (!rng_below(&r, 64)) { /* deep */
		memset(text, rng_below(&r, 2) ? '(' : '~', sizeof(text) - 1);
		text[sizeof(text) - 1] = 0;
	}
	return !expr_eval(&(struct expr_env){m, 0, &syms}, text, &v, &e);
}

/* ---- BTF */

uint64_t fuzz_btf(uint64_t seed)
{
	struct rng r = rng_of(seed);
	size_t len, split_len = 0, n;
	void *split = NULL,
	     *raw = fk_btf((enum fk_version)rng_below(&r, 5), NULL, &len, rng_below(&r, 2) ? &split : NULL, &split_len);
	const char *const *names = klayout_names(&n);
	struct kbtf *b = NULL;
	struct klayout l;
	struct err e;

	/* Exactly as many bytes as there are, so that a look past them is seen. */
	size_t cut = rng_mutate(&r, raw, len), split_cut = split ? rng_mutate(&r, split, split_len) : 0;
	uint8_t *mine = malloc(cut + !cut), *mine_split = split ? malloc(split_cut + !split_cut) : NULL;
	if (!mine || (split && !mine_split))
		abort();
	memcpy(mine, raw, cut);
	if (split)
		memcpy(mine_split, split, split_cut);
	int rc = kbtf_open(mine, cut, mine_split, split_cut, names, n, &b, &e);
	if (!rc)
		rc = klayout_fill(b, &l, &e);
	kbtf_close(b);
	free(mine);
	free(mine_split);
	free(raw);
	free(split);
	return !rc;
}
