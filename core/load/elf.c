/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ELF files by libelf: program headers become segments, .symtab becomes symbols. libelf is told nothing but a buffer, and
 * every offset it hands back is checked against that buffer.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <gelf.h>

#include "core/load/image_impl.h"

static void end_elf(Elf **elf)
{
	if (*elf)
		elf_end(*elf);
}

static int malformed_elf(const struct image *img, const char *why, struct err *e)
{
	return err_set(e, -EINVAL,
		       "load %s" WHY "the ELF file is malformed: %s" TRY "readelf -a, or --format flat for its bytes",
		       img->name, why);
}

static int check_header(const struct image *img, const GElf_Ehdr *h, struct err *e)
{
	if (h->e_ident[EI_DATA] != ELFDATA2LSB || (h->e_machine != EM_X86_64 && h->e_machine != EM_386))
		return err_set(e, -EINVAL, "load %s" WHY "it is for machine %u, not for x86" TRY "an i386 or x86-64 image",
			       img->name, h->e_machine);
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return err_set(e, -EINVAL,
			       "load %s" WHY "ELF type %u is not an executable" TRY "linking it first (ld -o IMAGE FILE.o)",
			       img->name, h->e_type);
	return 0;
}

/* A segment that names an interpreter wants an operating system. */
static int check_program(const struct image *img, const GElf_Phdr *p, struct err *e)
{
	if (p->p_type == PT_INTERP)
		return err_set(e, -EINVAL,
			       "load %s" WHY "it asks for a dynamic linker" TRY "linking it with -static -no-pie",
			       img->name);
	if (p->p_type != PT_LOAD || !p->p_memsz)
		return 0;
	if (p->p_filesz > p->p_memsz)
		return malformed_elf(img, "a segment has more bytes in the file than in memory", e);
	if (p->p_offset > img->size || p->p_filesz > img->size - p->p_offset)
		return malformed_elf(img, "a segment's bytes end after the file (truncated?)", e);
	if (range_wraps(p->p_paddr, p->p_memsz) || range_wraps(p->p_vaddr, p->p_memsz))
		return malformed_elf(img, "a segment wraps past the end of the address space", e);
	return 0;
}

static int read_programs(struct image *img, Elf *elf, struct err *e)
{
	size_t n;

	if (elf_getphdrnum(elf, &n) < 0)
		return malformed_elf(img, elf_errmsg(-1), e);
	for (size_t i = 0; i < n && i < 0x10000; i++) {
		GElf_Phdr p;
		struct image_seg s;
		int rc;

		if (!gelf_getphdr(elf, (int)i, &p))
			return malformed_elf(img, elf_errmsg(-1), e);
		rc = check_program(img, &p, e);
		if (rc)
			return rc;
		if (p.p_type != PT_LOAD || !p.p_memsz)
			continue;
		s = (struct image_seg){p.p_vaddr, p.p_paddr, img->bytes + p.p_offset, p.p_filesz, p.p_memsz};
		rc = image_add_seg(img, &s, e);
		if (rc)
			return rc;
	}
	if (!img->n_segs)
		return malformed_elf(img, "it has no segment to load", e);
	return 0;
}

/* ---- symbols; a broken symbol table costs the symbols, not the image */

static bool symbol_has_address(const GElf_Sym *sym)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || type == STT_SECTION || type == STT_FILE || type == STT_TLS)
		return false;
	/* Local absolute symbols are an assembler's constants, not addresses. */
	return sym->st_shndx != SHN_ABS || GELF_ST_BIND(sym->st_info) != STB_LOCAL;
}

/* Local symbols stand behind the STT_FILE of theirs (System V gABI, "Symbol Table"); a linker's own have one without a
 * name. */
static int read_symbol(struct image *img, const GElf_Sym *sym, const char *name, const char **file, uint32_t *number,
		       struct err *e)
{
	bool local = GELF_ST_BIND(sym->st_info) == STB_LOCAL;
	int rc = 0;

	if (GELF_ST_TYPE(sym->st_info) == STT_FILE) {
		*file = name[0] ? name : NULL;
		*number = 0;
		return 0;
	}
	if (!symbol_has_address(sym))
		return 0;
	if (local && *file && !*number)
		rc = symbols_add_file(&img->syms, *file, number, e);
	return rc ? rc : symbols_add_local(&img->syms, local ? *number : 0, name, sym->st_value, sym->st_size, e);
}

static int read_symtab(struct image *img, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh, struct err *e)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = data && sh->sh_entsize ? data->d_size / sh->sh_entsize : 0;
	const char *file = NULL;
	uint32_t number = 0;

	for (size_t i = 0; i < n && img->syms.n < IMAGE_SYMBOLS_MAX; i++) {
		const char *name;
		GElf_Sym sym;

		if (!gelf_getsym(data, (int)i, &sym))
			continue;
		name = elf_strptr(elf, sh->sh_link, sym.st_name);
		int rc = name ? read_symbol(img, &sym, name, &file, &number, e) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static int read_symbols(struct image *img, Elf *elf, struct err *e)
{
	Elf_Scn *scn = NULL;
	unsigned seen = 0;

	while ((scn = elf_nextscn(elf, scn)) && seen++ < 0x10000) {
		GElf_Shdr sh;
		int rc;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_SYMTAB)
			continue;
		rc = read_symtab(img, elf, scn, &sh, e);
		if (rc)
			return rc;
	}
	return symbols_sort(&img->syms, e);
}

/* Without paging the processor begins where the entry's bytes are, not where they were linked for. */
static void physical_entry(struct image *img)
{
	if (img->mode != ENTRY_REAL && img->mode != ENTRY_PROT)
		return;
	for (unsigned i = 0; i < img->n_segs; i++) {
		const struct image_seg *s = &img->seg[i];

		if (img->entry - s->gva < s->memsz) {
			img->entry = img->entry - s->gva + s->gpa;
			return;
		}
	}
}

int image_read_elf(struct image *img, struct err *e)
{
	_cleanup_(end_elf) Elf *elf = NULL;
	GElf_Ehdr h;
	bool wide;
	int rc;

	elf_version(EV_CURRENT);
	/* libelf only reads a buffer that was given to elf_memory(), in spite of its type. */
	elf = elf_memory((char *)(uintptr_t)img->bytes, img->size);
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &h))
		return malformed_elf(img, elf_errmsg(-1), e);
	rc = check_header(img, &h, e);
	if (rc)
		return rc;
	wide = h.e_ident[EI_CLASS] == ELFCLASS64;
	if (img->mode == ENTRY_AUTO)
		img->mode = wide ? ENTRY_LONG : ENTRY_PROT;
	if (!wide && (img->mode == ENTRY_LONG || img->mode == ENTRY_USER))
		return err_set(e, -EINVAL, "load %s" WHY "a 32-bit ELF file cannot run in 64-bit mode" TRY "--mode prot",
			       img->name);
	img->entry = h.e_entry;
	rc = read_programs(img, elf, e);
	if (rc)
		return rc;
	physical_entry(img);
	return read_symbols(img, elf, e);
}
