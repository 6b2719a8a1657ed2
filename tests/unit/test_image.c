/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Images made by the test itself: flat, ELF64, ELF32 and multiboot, good ones on the fake machine, hostile ones refused in
 * words, and mutations that may do anything but crash.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/load/entry.h"
#include "core/load/image.h"
#include "core/mem/paging.h"
#include "tests/support/fake.h"

#define FILE_SIZE 0x2000

static char path[] = "/tmp/kvmscope-image-XXXXXX";

static void put_file(const void *bytes, size_t size)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* A file with two segments, code (0x20 bytes at file offset 0x1000) and data with BSS, and three symbols. */
struct elf64 {
	Elf64_Ehdr h;
	Elf64_Phdr p[2];
	Elf64_Shdr s[4];
	Elf64_Sym sym[5];
	char names[64];
	uint8_t
	    pad[0x1000 - sizeof(Elf64_Ehdr) - 2 * sizeof(Elf64_Phdr) - 4 * sizeof(Elf64_Shdr) - 5 * sizeof(Elf64_Sym) - 64];
	uint8_t code[0x20], more[FILE_SIZE - 0x1020];
};

static void make_elf64(struct elf64 *f)
{
	static const char names[] = "\0entry\0table\0const";

	memset(f, 0, sizeof(*f));
	f->h = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			    .e_type = ET_EXEC,
			    .e_machine = EM_X86_64,
			    .e_version = 1,
			    .e_entry = 0x400004,
			    .e_phoff = offsetof(struct elf64, p),
			    .e_shoff = offsetof(struct elf64, s),
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 2,
			    .e_shentsize = sizeof(Elf64_Shdr),
			    .e_shnum = 4,
			    .e_shstrndx = 2};
	f->p[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0x1000, 0x400000, 0x100000, 0x20, 0x20, 0x1000};
	f->p[1] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x1020, 0x600020, 0x200020, 0x10, 0x3000, 0x1000};
	f->s[1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
			       .sh_offset = offsetof(struct elf64, sym),
			       .sh_size = sizeof(f->sym),
			       .sh_link = 2,
			       .sh_info = 1,
			       .sh_addralign = 8,
			       .sh_entsize = sizeof(Elf64_Sym)};
	f->s[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
			       .sh_offset = offsetof(struct elf64, names),
			       .sh_size = sizeof(f->names),
			       .sh_addralign = 1};
	f->s[3] = (Elf64_Shdr){.sh_type = SHT_PROGBITS,
			       .sh_flags = SHF_ALLOC,
			       .sh_addr = 0x400000,
			       .sh_offset = 0x1000,
			       .sh_size = 0x20,
			       .sh_addralign = 1};
	memcpy(f->names, names, sizeof(names));
	f->sym[1] = (Elf64_Sym){1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 3, 0x400004, 8};
	f->sym[2] = (Elf64_Sym){7, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, 3, 0x600020, 0};
	f->sym[3] = (Elf64_Sym){13, ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), 0, SHN_ABS, 0x1234, 0};
	f->sym[4] = (Elf64_Sym){1, ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE), 0, SHN_UNDEF, 0, 0};
	for (unsigned i = 0; i < sizeof(f->code); i++)
		f->code[i] = (uint8_t)(0x80 + i);
	memset(f->more, 0x5a, 0x10);
}

struct elf32 {
	Elf32_Ehdr h;
	Elf32_Phdr p;
	uint32_t multiboot[3];
	uint8_t pad[0x1000 - sizeof(Elf32_Ehdr) - sizeof(Elf32_Phdr) - 12];
	uint8_t code[0x100];
};

static void make_elf32(struct elf32 *f, bool multiboot)
{
	memset(f, 0, sizeof(*f));
	f->h = (Elf32_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
			    .e_type = ET_EXEC,
			    .e_machine = EM_386,
			    .e_version = 1,
			    .e_entry = 0xc0100010,
			    .e_phoff = offsetof(struct elf32, p),
			    .e_ehsize = sizeof(Elf32_Ehdr),
			    .e_phentsize = sizeof(Elf32_Phdr),
			    .e_phnum = 1};
	f->p = (Elf32_Phdr){PT_LOAD, 0x1000, 0xc0100000, 0x100000, 0x100, 0x200, 7, 0x1000};
	memset(f->code, 0x90, sizeof(f->code));
	if (multiboot)
		memcpy(f->multiboot, (uint32_t[]){0x1badb002, 3, -(0x1badb002u + 3)}, 12);
}

static struct image *opened(const struct image_options *opt)
{
	struct image_options o = *opt;
	struct image *img = NULL;
	struct err e = {0};

	o.name = o.name ? o.name : path;
	if (image_open(&o, &img, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return img;
}

static struct machine *loaded(struct image *img)
{
	struct machine *m = fake_create(image_vcpus(img));
	struct err e = {0};

	if (image_make_slots(img, m, &e) < 0 || image_load(img, m, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return m;
}

static void refused(const struct image_options *opt, int code, const char *text)
{
	struct image_options o = *opt;
	struct image *img = NULL;
	struct err e = {0};
	int rc;

	o.name = o.name ? o.name : path;
	rc = image_open(&o, &img, &e);
	if (rc != code || (!strstr(e.why, text) && !strstr(e.next, text)))
		fail_msg("%d, not %d; '%s' is not in '%s' nor in '%s'", rc, code, text, e.why, e.next);
	assert_null(img);
	assert_true(e.what[0] && e.why[0] && e.next[0]);
}

static uint64_t word(struct machine *m, uint64_t gpa)
{
	uint64_t v = 0;

	assert_int_equal(machine_read(m, gpa, false, &v, sizeof(v), NULL), 0);
	return v;
}

/* Where the tables that cr3 names lead, by the same code that inspection uses. */
static struct walk walk(struct machine *m, uint64_t gva, unsigned access)
{
	struct xlate_env env;
	struct walk w;

	assert_int_equal(machine_env(m, 0, &env, NULL), 0);
	paging_walk(&env.pg, &env.mem, gva, access, false, &w);
	return w;
}

/* ---- flat */

static void flat_in_every_mode(void **state)
{
	static const struct {
		enum entry_mode mode;
		uint64_t gpa, rip, rsp;
		enum cpu_mode cpu;
		unsigned cpl;
		const char *describe;
	} want[] = {
	    {ENTRY_AUTO, 0x7c00, 0x7c00, 0x7c00, CPU_REAL, 0, "real mode, entry 0x7c00"},
	    {ENTRY_REAL, 0x7c00, 0x7c00, 0x7c00, CPU_REAL, 0, "real mode, entry 0x7c00"},
	    {ENTRY_PROT, 0x100000, 0x100000, 0x3fffff0 - 0x1000, CPU_PROT32, 0, "32-bit protected mode"},
	    {ENTRY_LONG, 0x100000, 0x100000, 0x3fffff0 - 0x5000, CPU_LONG64, 0, "long mode at CPL 0"},
	    {ENTRY_USER, 0x1000, 0x200000, 0x3fffff0 - 0x6000, CPU_LONG64, 3, "long mode at CPL 3, entry 0x200000"},
	};
	uint8_t code[0x1800];

	(void)state;
	memset(code, 0xf4, sizeof(code));
	put_file(code, sizeof(code));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct image *img = opened(&(struct image_options){.mode = want[i].mode});
		struct machine *m = loaded(img);
		const struct regs *r = &fake_of(m)->regs[0];

		assert_int_equal(slot_by_id(machine_slots(m), 0)->size, 64 << 20);
		assert_int_equal(machine_slots(m)->n, 1);
		assert_int_equal(word(m, want[i].gpa), 0xf4f4f4f4f4f4f4f4);
		assert_int_equal(word(m, want[i].gpa + 0x17f8), 0xf4f4f4f4f4f4f4f4);
		assert_int_equal(word(m, want[i].gpa + 0x1800), 0);
		assert_int_equal(regs_mode(r), want[i].cpu);
		assert_int_equal(regs_cpl(r), want[i].cpl);
		assert_int_equal(r->rip, want[i].rip);
		assert_int_equal(r->gpr[RSP], want[i].rsp);
		assert_int_equal(r->idt.limit, want[i].cpu == CPU_REAL ? 0x3ff : 0);
		assert_non_null(strstr(image_describe(img), want[i].describe));
		machine_destroy(m);
		image_close(img);
	}
}

static void user_tables(void **state)
{
	struct image *img;
	struct machine *m;
	struct walk w;

	(void)state;
	put_file("\xf4", 1);
	img = opened(&(struct image_options){.mode = ENTRY_USER, .vcpus = 2});
	m = loaded(img);
	w = walk(m, 0x200000, ACCESS_FETCH | ACCESS_USER);
	assert_false(w.fault.present);
	assert_int_equal(w.gpa, 0x1000);
	assert_int_equal(w.page_size, 0x1000);
	w = walk(m, 0x201000, ACCESS_READ | ACCESS_USER); /* the rest of that region is where it is */
	assert_int_equal(w.gpa, 0x201000);
	w = walk(m, 0x3ffffff, ACCESS_WRITE | ACCESS_USER);
	assert_int_equal(w.gpa, 0x3ffffff);
	assert_int_equal(w.page_size, 0x200000);
	w = walk(m, 0x4000000, ACCESS_READ | ACCESS_USER);
	assert_int_equal(w.fault.vector, 14);
	assert_int_equal(fake_of(m)->regs[1].gpr[RSP] - fake_of(m)->regs[0].gpr[RSP], ENTRY_STACK);
	assert_int_equal(fake_of(m)->regs[1].gpr[RDI], 1);
	assert_int_equal(word(m, fake_of(m)->regs[1].tr.base + 4), fake_of(m)->regs[1].gpr[RSP]);
	machine_destroy(m);
	image_close(img);
}

static void flat_at_and_entry(void **state)
{
	struct image *img;
	struct machine *m;
	const struct regs *r;

	(void)state;
	put_file("\xeb\xfe", 2);
	img = opened(&(struct image_options){.has_at = true, .at = 0x54321, .memory = 0x80000});
	m = loaded(img);
	r = &fake_of(m)->regs[0];
	assert_int_equal(r->seg[SEG_CS].base + r->rip, 0x54321);
	assert_int_equal(r->seg[SEG_CS].selector, 0x5000);
	assert_int_equal(r->rip, 0x4321);
	machine_destroy(m);
	image_close(img);
	img = opened(
	    &(struct image_options){.mode = ENTRY_USER, .has_at = true, .at = 0x5010, .has_entry = true, .entry = 0x200011});
	m = loaded(img);
	assert_int_equal(fake_of(m)->regs[0].rip, 0x200011);
	assert_int_equal(walk(m, 0x200010, ACCESS_READ | ACCESS_USER).gpa, 0x5010);
	machine_destroy(m);
	image_close(img);
}

static void much_memory_leaves_a_hole(void **state)
{
	struct image *img;
	struct machine *m;

	(void)state;
	put_file("\xf4", 1);
	img = opened(&(struct image_options){.mode = ENTRY_LONG, .memory = 5ull << 30});
	m = fake_create(1);
	fake_of(m)->fail_op = "slot_change"; /* nobody here wants 5 GiB: look at what was asked for */
	fake_of(m)->fail_code = -ENOMEM;
	assert_int_equal(image_make_slots(img, m, NULL), -ENOMEM);
	machine_destroy(m);
	image_close(img);
	refused(&(struct image_options){.mode = ENTRY_LONG, .memory = 5ull << 30, .has_at = true, .at = 0xd0000000}, -EFBIG,
		"RAM can be [0, 0xc0000000) and from 0x100000000 on");
}

static void flat_refused(void **state)
{
	uint8_t big[0x20000] = {0};

	(void)state;
	put_file(big, sizeof(big));
	refused(&(struct image_options){.mode = ENTRY_LONG, .memory = 0x100000}, -EFBIG, "-m 2M");
	refused(&(struct image_options){.memory = 0x10000}, -EFBIG, "-m 1M");
	refused(&(struct image_options){.mode = ENTRY_PROT, .has_at = true, .at = 0x3ff0000}, -EFBIG, "-m 65M");
	refused(&(struct image_options){.mode = ENTRY_PROT, .has_at = true, .at = ~0ull - 5}, -EFBIG, "past the end");
	refused(&(struct image_options){.mode = ENTRY_REAL, .has_entry = true, .entry = 0x100000}, -EINVAL, "mode real");
	refused(&(struct image_options){.mode = ENTRY_LONG, .has_entry = true, .entry = 1ull << 47}, -EINVAL, "mode long");
	refused(&(struct image_options){.mode = ENTRY_PROT, .has_entry = true, .entry = 1ull << 32}, -EINVAL, "mode prot");
	refused(&(struct image_options){.memory = 0x12345}, -EINVAL, "0x13000");
	refused(&(struct image_options){.memory = 1ull << 50}, -EINVAL, "64 TiB");
	refused(&(struct image_options){.vcpus = 65}, -EINVAL, "-n 64");
	refused(&(struct image_options){.mode = ENTRY_USER, .memory = 0x8000}, -EFBIG, "-m 1M");
	refused(&(struct image_options){.name = "/nonexistent/image"}, -ENOENT, "No such file");
	refused(&(struct image_options){.name = "/tmp"}, -EINVAL, "no regular file");
	refused(&(struct image_options){.name = "/dev/null"}, -EINVAL, "no regular file");
	put_file("", 0);
	refused(&(struct image_options){.mode = ENTRY_LONG}, -EINVAL, "empty");
}

static void foreign_formats(void **state)
{
	uint8_t f[0x10000] = {0};
	struct image *img;

	(void)state;
	memcpy(f + 0x202, "HdrS", 4);
	put_file(f, 0x400);
	refused(&(struct image_options){0}, -EINVAL, "a Linux bzImage, not yet a format that is loaded");
	img = opened(&(struct image_options){.format = IMAGE_FLAT});
	image_close(img);
	memset(f, 0, sizeof(f));
	f[0xfff0] = 0xea;
	put_file(f, sizeof(f));
	refused(&(struct image_options){0}, -EINVAL, "ROM");
	put_file("\x1f\x8b\x08\x00", 4);
	refused(&(struct image_options){0}, -EINVAL, "gzip");
	put_file("\xf4", 1);
	refused(&(struct image_options){.format = IMAGE_ELF}, -EINVAL, "malformed");
	refused(&(struct image_options){.format = IMAGE_MULTIBOOT}, -EINVAL, "no multiboot header");
	memcpy(f, (uint32_t[]){0x1badb002, 0, -0x1badb002u}, 12);
	put_file(f, 64);
	refused(&(struct image_options){0}, -EINVAL, "multiboot header but is no ELF");
}

/* ---- ELF */

static void elf64_long(void **state)
{
	struct elf64 f;
	struct image *img;
	struct machine *m;

	(void)state;
	make_elf64(&f);
	put_file(&f, sizeof(f));
	img = opened(&(struct image_options){0});
	m = loaded(img);
	assert_int_equal(regs_mode(&fake_of(m)->regs[0]), CPU_LONG64);
	assert_int_equal(fake_of(m)->regs[0].rip, 0x400004);
	assert_int_equal(word(m, 0x100000), 0x8786858483828180);
	assert_int_equal(word(m, 0x200020), 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(word(m, 0x200030), 0);
	assert_int_equal(walk(m, 0x400004, ACCESS_FETCH).gpa, 0x100004);
	assert_int_equal(walk(m, 0x60301f, ACCESS_WRITE).gpa, 0x20301f);
	assert_int_equal(walk(m, 0x604000, ACCESS_WRITE).gpa, 0x604000);
	assert_int_equal(walk(m, 0x100000, ACCESS_READ).gpa, 0x100000);
	machine_destroy(m);
	image_close(img);
}

static void elf_bss_is_cleared_again(void **state)
{
	struct elf64 f;
	struct image *img;
	struct machine *m;
	uint64_t junk = ~0ull;

	(void)state;
	make_elf64(&f);
	put_file(&f, sizeof(f));
	img = opened(&(struct image_options){.mode = ENTRY_USER});
	m = loaded(img);
	assert_int_equal(regs_cpl(&fake_of(m)->regs[0]), 3);
	assert_int_equal(machine_write(m, 0x203018, false, &junk, 8, NULL), 0);
	assert_int_equal(machine_write(m, 0x203020, false, &junk, 8, NULL), 0);
	assert_int_equal(image_load(img, m, NULL), 0);
	assert_int_equal(word(m, 0x203018), 0);
	assert_int_equal(word(m, 0x203020), ~0ull); /* past the image: the guest's own */
	machine_destroy(m);
	image_close(img);
}

static void elf_symbols(void **state)
{
	struct elf64 f;
	struct image *img;
	struct symbols s;

	(void)state;
	make_elf64(&f);
	put_file(&f, sizeof(f));
	img = opened(&(struct image_options){0});
	symbols_init(&s);
	assert_int_equal(image_symbols(img, &s, NULL), 0);
	assert_int_equal(symbols_sort(&s, NULL), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(symbols_by_name(&s, "entry")->size, 8);
	assert_int_equal(symbols_by_name(&s, "table")->addr, 0x600020);
	assert_null(symbols_by_name(&s, "const"));
	symbols_deinit(&s);
	image_close(img);
}

static void elf_outside_ram_is_mapped(void **state)
{
	struct elf64 f;
	struct image *img;
	struct machine *m;

	(void)state;
	make_elf64(&f);
	f.h.e_entry = f.p[0].p_vaddr = f.p[0].p_paddr = 0xffffffff80001000;
	put_file(&f, sizeof(f));
	img = opened(&(struct image_options){0});
	m = loaded(img);
	assert_int_equal(walk(m, 0xffffffff80001000, ACCESS_FETCH).gpa, 0x204000); /* after the other segment */
	assert_int_equal(word(m, 0x204000), 0x8786858483828180);
	machine_destroy(m);
	image_close(img);
	refused(&(struct image_options){.mode = ENTRY_PROT}, -EFBIG, "RAM can be");
}

static void elf32_prot(void **state)
{
	struct elf32 f;
	struct image *img;
	struct machine *m;
	const struct regs *r;

	(void)state;
	make_elf32(&f, false);
	put_file(&f, sizeof(f));
	img = opened(&(struct image_options){0});
	m = loaded(img);
	r = &fake_of(m)->regs[0];
	assert_int_equal(regs_mode(r), CPU_PROT32);
	assert_int_equal(r->rip, 0x100010); /* where the bytes are: there is no paging */
	assert_int_equal(r->gpr[RAX], 0);
	assert_int_equal(word(m, r->gdt.base + 8), 0x00cf9b000000ffff);
	assert_int_equal(r->gdt.limit, 39);
	machine_destroy(m);
	image_close(img);
	refused(&(struct image_options){.mode = ENTRY_LONG}, -EINVAL, "--mode prot");
	refused(&(struct image_options){.has_at = true, .at = 0x1000}, -EINVAL, "without --at");
}

static void multiboot(void **state)
{
	struct elf32 f;
	struct image *img;
	struct machine *m;
	const struct regs *r;
	char text[32];
	uint32_t info[16];

	(void)state;
	make_elf32(&f, true);
	put_file(&f, sizeof(f));
	img = opened(&(struct image_options){0});
	m = loaded(img);
	r = &fake_of(m)->regs[0];
	assert_int_equal(r->gpr[RAX], 0x2badb002);
	assert_int_equal(machine_read(m, r->gpr[RBX], false, info, sizeof(info), NULL), 0);
	assert_int_equal(info[0], 0x245);
	assert_int_equal(info[1], 640);
	assert_int_equal(info[2], 63 << 10);
	assert_int_equal(info[11], 48);
	assert_int_equal(word(m, info[12] + 4), 0);
	assert_int_equal(word(m, info[12] + 12), 0xa0000);
	assert_int_equal(word(m, info[12] + 28), 0x100000);
	assert_int_equal(word(m, info[12] + 36), 63 << 20);
	assert_int_equal(machine_read(m, info[4], false, text, sizeof(text), NULL), 0);
	assert_memory_equal(text, path, strlen(path) + 1);
	machine_destroy(m);
	image_close(img);
	f.multiboot[1] = 8;
	f.multiboot[2] = -(0x1badb002u + 8);
	put_file(&f, sizeof(f));
	refused(&(struct image_options){0}, -EINVAL, "requires features 0x8");
	img = opened(&(struct image_options){.format = IMAGE_ELF});
	image_close(img);
}

/* ---- hostile files */

static void hostile(void (*change)(struct elf64 *f), int code, const char *text)
{
	struct elf64 f;

	make_elf64(&f);
	change(&f);
	put_file(&f, sizeof(f));
	refused(&(struct image_options){0}, code, text);
}

#define CHANGE(name, stmt)                                                                                                  \
	static void name(struct elf64 *f)                                                                                   \
	{                                                                                                                   \
		stmt;                                                                                                       \
	}
CHANGE(other_machine, f->h.e_machine = EM_AARCH64)
CHANGE(big_endian, f->h.e_ident[EI_DATA] = ELFDATA2MSB)
CHANGE(object_file, f->h.e_type = ET_REL)
CHANGE(bytes_past_the_end, f->p[1].p_filesz = f->p[1].p_memsz = 0x1001)
CHANGE(offset_past_the_end, f->p[0].p_offset = ~0ull - 4)
CHANGE(more_file_than_memory, f->p[1].p_memsz = 8)
CHANGE(huge_memory, f->p[1].p_memsz = 1ull << 60)
CHANGE(large_memory, f->p[1].p_memsz = 100ull << 20)
CHANGE(wrapping, (f->p[1].p_memsz = ~0ull, f->p[1].p_paddr = 0x2000))
CHANGE(overlap, (f->p[1].p_paddr = 0x100010, f->p[1].p_vaddr = 0x600010))
CHANGE(shared_page, (f->p[1].p_vaddr = 0x400020, f->p[1].p_memsz = 0x20))
CHANGE(not_congruent, f->p[1].p_vaddr += 8)
CHANGE(not_canonical, f->p[1].p_vaddr = 0x0000800000000020)
CHANGE(nothing_to_load, f->p[0].p_type = f->p[1].p_type = PT_NOTE)
CHANGE(interpreter, f->p[0].p_type = PT_INTERP)
CHANGE(headers_past_the_end, f->h.e_phoff = 0x1fff)
CHANGE(headers_far_away, f->h.e_phoff = 1ull << 62)
CHANGE(over_our_tables, f->p[1].p_paddr = 0x3ff0020)
CHANGE(hides_our_tables, f->p[1].p_vaddr = 0x3ff0020)
CHANGE(bad_entry, f->h.e_entry = 0x8000000000000000)

static void hostile_elf(void **state)
{
	struct elf64 f;

	(void)state;
	hostile(other_machine, -EINVAL, "not for x86");
	hostile(big_endian, -EINVAL, "");
	hostile(object_file, -EINVAL, "linking it first");
	hostile(bytes_past_the_end, -EINVAL, "truncated");
	hostile(offset_past_the_end, -EINVAL, "truncated");
	hostile(more_file_than_memory, -EINVAL, "more bytes in the file than in memory");
	hostile(huge_memory, -EFBIG, "RAM can be");
	hostile(large_memory, -EFBIG, "-m ");
	hostile(wrapping, -EINVAL, "wraps");
	hostile(overlap, -EINVAL, "overlap");
	hostile(shared_page, -EINVAL, "share a page");
	hostile(not_congruent, -EINVAL, "offset in the page");
	hostile(not_canonical, -EINVAL, "canonical");
	hostile(nothing_to_load, -EINVAL, "no segment to load");
	hostile(interpreter, -EINVAL, "-static");
	hostile(headers_past_the_end, -EINVAL, "malformed");
	hostile(headers_far_away, -EINVAL, "malformed");
	hostile(over_our_tables, -EFBIG, "-m ");
	hostile(hides_our_tables, -EINVAL, "would hide");
	hostile(bad_entry, -EINVAL, "mode long");
	make_elf64(&f);
	for (size_t size = 1; size < 0x1010; size += size < 0x100 ? 1 : 61) {
		struct image_options opt = {.name = path, .format = IMAGE_ELF};
		struct image *img = NULL;

		put_file(&f, size);
		assert_int_equal(image_open(&opt, &img, NULL), -EINVAL); /* cut short anywhere */
	}
}

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* Change a few fields at random; whatever opens must also load, or say why not. */
static void mutations(void **state)
{
	static const uint64_t nasty[] = {0,	1,	0xff,	    0xffff,    0xffffffff, 0x7fffffffffffffff,
					 ~0ull, 0x1000, 0x80000000, 1ull << 47};
	unsigned good = 0, bad = 0;
	uint32_t x = 1;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		struct image_options opt = {.name = path, .memory = 8 << 20};
		struct image *img = NULL;
		struct err e = {0};
		struct elf64 f;

		make_elf64(&f);
		for (unsigned n = next_random(&x) % 4 + 1; n; n--) {
			size_t at = next_random(&x) % (offsetof(struct elf64, pad) - 8);
			uint64_t v = nasty[next_random(&x) % ARRAY_LEN(nasty)];

			memcpy((uint8_t *)&f + at, &v, 1u << next_random(&x) % 4);
		}
		put_file(&f, sizeof(f) - (next_random(&x) % 8 ? 0 : next_random(&x) % sizeof(f)));
		if (image_open(&opt, &img, &e) < 0) {
			assert_true(e.what[0] && e.why[0] && e.next[0]);
			bad++;
			continue;
		}
		machine_destroy(loaded(img));
		image_close(img);
		good++;
	}
	assert_true(good > 500);
	assert_true(bad > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(flat_in_every_mode), cmocka_unit_test(user_tables),
	    cmocka_unit_test(flat_at_and_entry),  cmocka_unit_test(much_memory_leaves_a_hole),
	    cmocka_unit_test(flat_refused),	  cmocka_unit_test(foreign_formats),
	    cmocka_unit_test(elf64_long),	  cmocka_unit_test(elf_bss_is_cleared_again),
	    cmocka_unit_test(elf_symbols),	  cmocka_unit_test(elf_outside_ram_is_mapped),
	    cmocka_unit_test(elf32_prot),	  cmocka_unit_test(multiboot),
	    cmocka_unit_test(hostile_elf),	  cmocka_unit_test(mutations),
	};
	int fd = mkstemp(path), rc;

	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
