/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The built-in guests on the fake machine: bytes, slots, tables, entry state, symbols; and that loading twice is loading
 * once.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/load/image.h"
#include "core/mem/paging.h"
#include "tests/support/fake.h"

/* What nasm 2.16 makes of the tour: the addresses in it are part of the command surface. */
static const uint8_t tour_bytes[] = {
    0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xbb, 0x00, 0x00, 0x24, 0x00, 0x48, 0x89, 0x03, 0xbb, 0x00,
    0x00, 0x25, 0x00, 0x48, 0x8b, 0x0b, 0x48, 0x83, 0xc1, 0x01, 0x48, 0x89, 0x0b, 0xbb, 0x00, 0x00, 0x26, 0x00, 0x89, 0x03,
    0x8b, 0x53, 0x04, 0x89, 0x53, 0x08, 0xb9, 0x80, 0x96, 0x98, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xbb, 0x00, 0x00, 0x28, 0x00,
    0x89, 0x03, 0x8b, 0x03, 0xbb, 0x00, 0x00, 0x29, 0x00, 0x8b, 0x03, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00, 0xf4,
};

static struct image *open_demo(const char *name, unsigned vcpus)
{
	struct image_options opt = {.name = name, .vcpus = vcpus};
	struct image *img = NULL;
	struct err e = {0};

	if (image_open(&opt, &img, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return img;
}

static struct machine *put(struct image *img)
{
	struct machine *m = fake_create(image_vcpus(img));
	struct err e = {0};

	if (image_make_slots(img, m, &e) < 0 || image_load(img, m, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return m;
}

static uint64_t word(struct machine *m, uint64_t gpa)
{
	uint64_t v = 0;

	assert_int_equal(machine_read(m, gpa, false, &v, sizeof(v), NULL), 0);
	return v;
}

static uint64_t symbol(const struct image *img, const char *name)
{
	const struct symbol *sym;
	struct symbols s;
	uint64_t addr;

	symbols_init(&s);
	assert_int_equal(image_symbols(img, &s, NULL), 0);
	assert_int_equal(symbols_sort(&s, NULL), 0);
	sym = symbols_by_name(&s, name);
	if (!sym)
		fail_msg("no symbol %s", name);
	addr = sym ? sym->addr : 0;
	symbols_deinit(&s);
	return addr;
}

static void tour_memory(void **state)
{
	static const struct {
		uint64_t gpa, entry;
	} tables[] = {{0x10000, 0x11007},
		      {0x11000, 0x12007},
		      {0x12008, 0x13007},
		      {0x12000, 0},
		      {0x13000, 0x1007},
		      {0x13008, 0},
		      {0x13000 + 8 * 0x40, 0x40007},
		      {0x13000 + 8 * 0x50, 0x40007},
		      {0x13000 + 8 * 0x60, 0xd0000007},
		      {0x13000 + 8 * 0x80, 0x80007},
		      {0x13000 + 8 * 0x90, 0x81007},
		      {0x13000 + 8 * 0x91, 0},
		      {0x14000, 0}};
	struct image *img = open_demo("demo:tour", 0);
	struct machine *m = put(img);
	uint8_t code[sizeof(tour_bytes) + 1];

	(void)state;
	assert_string_equal(image_describe(img), "demo:tour, long mode at CPL 3, entry 0x200000");
	assert_int_equal(machine_read(m, 0x1000, false, code, sizeof(code), NULL), 0);
	assert_memory_equal(code, tour_bytes, sizeof(tour_bytes));
	assert_int_equal(code[sizeof(tour_bytes)], 0);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		assert_int_equal(word(m, tables[i].gpa), tables[i].entry);
	for (uint64_t at = 0x10000; at < 0x14000; at += 8)
		assert_true(!word(m, at) || (word(m, at) & 0xfff) == 7);
	machine_destroy(m);
	image_close(img);
}

static void tour_slots(void **state)
{
	struct image *img = open_demo("demo:tour", 0);
	struct machine *m = put(img);
	struct slot *s;

	(void)state;
	assert_int_equal(machine_slots(m)->n, 2);
	s = slot_by_id(machine_slots(m), 0);
	assert_int_equal(s->gpa, 0);
	assert_int_equal(s->size, 0x80000);
	assert_int_equal(s->flags, 0);
	s = slot_by_id(machine_slots(m), 1);
	assert_int_equal(s->gpa, 0x80000);
	assert_int_equal(s->size, 0x10000);
	assert_int_equal(s->flags, SLOT_READONLY);
	assert_int_equal(s->vis, SLOT_VIS_BOTH);
	machine_destroy(m);
	image_close(img);
}

static void tour_entry(void **state)
{
	struct image *img = open_demo("demo:tour", 0);
	struct machine *m = put(img);
	const struct regs *r = &fake_of(m)->regs[0];

	(void)state;
	assert_int_equal(r->rip, 0x200000);
	assert_int_equal(r->rflags, 2);
	assert_int_equal(r->cr3, 0x10000);
	assert_int_equal(r->cr0, 0x80010033);
	assert_int_equal(r->efer, 0xd01);
	assert_int_equal(r->cr4 & CR4_PAE, CR4_PAE);
	assert_int_equal(r->idt.limit, 0);
	assert_int_equal(regs_cpl(r), 3);
	assert_int_equal(regs_mode(r), CPU_LONG64);
	assert_int_equal(r->seg[SEG_CS].selector, 0x23);
	assert_int_equal(r->seg[SEG_SS].selector, 0x1b);
	for (int i = 0; i < 16; i++)
		assert_int_equal(r->gpr[i], 0);
	assert_int_equal(r->gdt.base, 0x500);
	assert_int_equal(word(m, 0x520), 0x00affb000000ffff); /* the code segment that cs says it is */
	assert_int_equal(word(m, 0x518), 0x00cff3000000ffff);
	machine_destroy(m);
	image_close(img);
}

static void loading_again_restores(void **state)
{
	struct image *img = open_demo("demo:rmap", 0);
	struct machine *m = put(img);
	uint64_t count = symbol(img, "count"), gpa = count - 0x200000 + 0x1000, junk = 7;
	uint64_t size = slot_by_id(machine_slots(m), 0)->size;
	uint8_t *before = malloc(size), *after = malloc(size);

	(void)state;
	assert_non_null(before);
	assert_non_null(after);
	assert_int_equal(word(m, gpa), 40);
	assert_int_equal(machine_read(m, 0, false, before, size, NULL), 0);
	assert_int_equal(machine_write(m, gpa, false, &junk, 8, NULL), 0);
	assert_int_equal(machine_write(m, 0x15000, false, &junk, 8, NULL), 0);
	assert_int_equal(machine_write(m, 0x1000, false, &junk, 8, NULL), 0);
	fake_of(m)->regs[0].rip = 0x1234;
	fake_of(m)->regs[0].idt.limit = 0x6f;
	fake_of(m)->regs[0].smm = true;
	assert_int_equal(image_load(img, m, NULL), 0);
	assert_int_equal(machine_read(m, 0, false, after, size, NULL), 0);
	assert_memory_equal(before, after, size);
	assert_int_equal(fake_of(m)->regs[0].rip, 0x200000);
	assert_int_equal(fake_of(m)->regs[0].idt.limit, 0);
	assert_false(fake_of(m)->regs[0].smm);
	assert_int_equal(fake_of(m)->resets, 2);
	free(before);
	free(after);
	machine_destroy(m);
	image_close(img);
}

static void slots_stay_as_the_user_changed_them(void **state)
{
	struct image *img = open_demo("demo:tour", 0);
	struct machine *m = put(img);
	struct slot_steps steps = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(machine_slot_delete(m, 1, &steps, &e), 0);
	assert_int_equal(image_load(img, m, &e), 0);
	assert_int_equal(machine_slots(m)->n, 1);
	assert_int_equal(machine_slot_move(m, 0, 0x100000, &steps, &e), 0);
	assert_int_equal(image_load(img, m, &e), -EFAULT); /* its bytes belong at 0x1000, where nothing is now */
	machine_destroy(m);
	image_close(img);
}

static void rmap_entry(void **state)
{
	struct image *img = open_demo("demo:rmap", 0);
	struct machine *m = put(img);
	const struct regs *r = &fake_of(m)->regs[0];

	(void)state;
	assert_int_equal(regs_cpl(r), 0);
	assert_int_equal(regs_mode(r), CPU_LONG64);
	assert_int_equal(r->gpr[RSP], 0xd000);
	assert_int_equal(r->tr.base, 0x600);
	assert_int_equal(r->tr.selector, 0x28);
	assert_int_equal(word(m, 0x604), 0xd000); /* RSP0 */
	assert_int_equal(word(m, 0x528), 0x00008b0006000067);
	for (uint64_t i = 2; i < 6; i++)
		assert_int_equal(word(m, 0x12000 + 8 * i), (0x13000 + 0x1000 * i) | 7);
	assert_int_equal(word(m, 0x15000), 0);
	assert_true(symbol(img, "mapped") > 0x200000);
	assert_true(symbol(img, "unmapped") > symbol(img, "mapped"));
	machine_destroy(m);
	image_close(img);
}

static void every_demo_loads(void **state)
{
	static const struct {
		const char *name;
		unsigned vcpus;
		enum cpu_mode mode;
		uint64_t rip;
		const char *symbol;
	} want[] = {
	    {"demo:tour", 1, CPU_LONG64, 0x200000, "unmapped"},	     {"demo:rmap", 1, CPU_LONG64, 0x200000, "touch"},
	    {"demo:remap", 1, CPU_LONG64, 0x200000, "stale_invlpg"}, {"demo:smm", 1, CPU_PROT32, 0x1000, "smi_handler"},
	    {"demo:real", 1, CPU_REAL, 0x7c00, "long_mode"},	     {"demo:threads", 2, CPU_LONG64, 0x200000, "changer"},
	    {"demo:nested", 1, CPU_LONG64, 0x200000, "l2_touch"}};
	const struct demo_info *d = demo_list();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct image *img = open_demo(want[i].name, 0);
		struct machine *m = put(img);

		assert_string_equal(d[i].name, want[i].name + 5);
		assert_true(strlen(d[i].help) > 10);
		assert_int_equal(image_vcpus(img), want[i].vcpus);
		assert_int_equal(regs_mode(&fake_of(m)->regs[0]), want[i].mode);
		assert_int_equal(fake_of(m)->regs[0].rip, want[i].rip);
		assert_true(symbol(img, want[i].symbol) != 0);
		assert_int_equal(image_load(img, m, NULL), 0);
		machine_destroy(m);
		image_close(img);
	}
	assert_null(d[ARRAY_LEN(want)].name);
}

static void threads_enters_both(void **state)
{
	struct image *img = open_demo("demo:threads", 3);
	struct machine *m = put(img);
	const struct fake *f = fake_of(m);

	(void)state;
	assert_int_equal(f->regs[0].rip, 0x200000);
	assert_int_equal(f->regs[1].rip, symbol(img, "changer"));
	assert_int_equal(f->regs[1].gpr[RSP], 0xe000);
	assert_int_equal(f->regs[1].tr.base, 0x680);
	assert_int_equal(f->regs[1].gpr[RDI], 1);
	assert_int_equal(f->regs[2].rip, symbol(img, "changer"));
	assert_int_equal(word(m, 0x40000), 0xaaaaaaaaaaaaaaaa);
	assert_int_equal(word(m, 0x41000), 0xbbbbbbbbbbbbbbbb);
	machine_destroy(m);
	image_close(img);
}

static void smm_is_hidden_in_smram(void **state)
{
	struct image *img = open_demo("demo:smm", 0);
	struct machine *m = put(img);
	uint8_t first = 0, outside = 0;
	struct slot *s = slot_by_id(machine_slots(m), 2);

	(void)state;
	assert_int_equal(s->vis, SLOT_VIS_SMM);
	assert_int_equal(s->flags, SLOT_SMRAM);
	assert_int_equal(machine_read(m, 0x38000, true, &first, 1, NULL), 0);
	assert_int_equal(first, 0x2e); /* inc dword [cs:…] with its prefixes */
	assert_int_equal(machine_read(m, 0x38000, false, &outside, 1, NULL), -EFAULT);
	assert_string_equal(board_window_at(machine_board(m), 0x38000)->name, "under-smram");
	assert_int_equal(symbol(img, "smi_handler"), 0x38000);
	machine_destroy(m);
	image_close(img);
}

static void refused(const struct image_options *opt, int code, const char *text)
{
	struct image *img = (struct image *)1;
	struct err e = {0};

	assert_int_equal(image_open(opt, &img, &e), code);
	assert_ptr_equal(img, (struct image *)1);
	if (!strstr(e.why, text) && !strstr(e.next, text))
		fail_msg("'%s' is neither in '%s' nor in '%s'", text, e.why, e.next);
	assert_true(e.what[0] && e.why[0] && e.next[0]);
}

static void wrong_wishes(void **state)
{
	(void)state;
	refused(&(struct image_options){.name = "demo:nonsense"}, -ENOENT,
		"demo:tour, demo:rmap, demo:remap, demo:smm, demo:real, demo:threads, demo:nested");
	refused(&(struct image_options){.name = "demo:"}, -ENOENT, "demo:tour");
	refused(&(struct image_options){.name = "demo:tour", .mode = ENTRY_REAL}, -EINVAL, "brings its own");
	refused(&(struct image_options){.name = "demo:threads", .vcpus = 1}, -EINVAL, "-n 2");
	refused(&(struct image_options){.name = "demo:tour", .vcpus = 9}, -EINVAL, "-n 8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tour_memory),
	    cmocka_unit_test(tour_slots),
	    cmocka_unit_test(tour_entry),
	    cmocka_unit_test(loading_again_restores),
	    cmocka_unit_test(slots_stay_as_the_user_changed_them),
	    cmocka_unit_test(rmap_entry),
	    cmocka_unit_test(every_demo_loads),
	    cmocka_unit_test(threads_enters_both),
	    cmocka_unit_test(smm_is_hidden_in_smram),
	    cmocka_unit_test(wrong_wishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
