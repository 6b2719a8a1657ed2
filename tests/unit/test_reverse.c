/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Going back on the soft backend: wherever a walk back and forth ends, registers, memory, devices, slots and the shadow
 * MMU's caches are those of the same position on the way forward.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/board/board.h"
#include "core/debug/debugger.h"
#include "core/load/image.h"
#include "core/soft/soft.h"
#include "tests/support/blocking.h"

static struct debugger d;
static struct image *image;
static struct err e;
static size_t printed;

static void ok(int rc)
{
	char text[1200];

	if (!rc)
		return;
	err_format(&e, text, sizeof(text));
	fail_msg("%s", text);
}

static void on_console(void *ctx, const char *bytes, size_t n)
{
	(void)ctx;
	(void)bytes;
	printed += n;
}

static void open_demo(const char *name, unsigned vcpus)
{
	struct image_options opt = {.name = name, .vcpus = vcpus};
	struct machine_config cfg = {0};

	printed = 0;
	ok(debugger_init(&d, &e));
	ok(image_open(&opt, &image, &e));
	cfg.vcpus = image_vcpus(image);
	ok(machine_create(&soft_backend, &cfg, &d.m, &e));
	machine_board(d.m)->console = on_console;
	ok(image_make_slots(image, d.m, &e));
	ok(image_load(image, d.m, &e));
	ok(image_symbols(image, &d.syms, &e));
	ok(symbols_sort(&d.syms, &e));
}

static void close_demo(void)
{
	struct machine *m = d.m;

	debugger_deinit(&d);
	machine_destroy(m);
	image_close(image);
}

static int add_break(uint64_t addr, const char *condition)
{
	struct stop_point spec = {.kind = POINT_BREAK, .addr = addr, .len = 1}, *b;

	ok(point_add(&d.points, d.m, &spec, &b, &e));
	if (condition)
		ok(point_set_condition(b, condition, &e));
	return b->id;
}

static uint64_t symbol(const char *name)
{
	const struct symbol *s = symbols_by_name(&d.syms, name);

	if (!s)
		fail_msg("no symbol %s", name);
	return s ? s->addr : 0;
}

static struct regs regs_of(unsigned vcpu)
{
	struct regs r;

	ok(machine_get_regs(d.m, vcpu, REGS_ALL, &r, &e));
	return r;
}

static uint64_t here(void)
{
	return machine_position(d.m);
}

/* Of the tour's spin loop, two instructions a pass; gone through twice. */
#define SPIN 0x20002eull
#define AGAIN 0x200033ull
#define PASSES 200000u

/* The tour with a shorter spin loop, and points close enough together that it has several. */
static void open_tour(void)
{
	const uint32_t passes = PASSES;

	open_demo("demo:tour", 1);
	ok(machine_write_gva(d.m, 0, SPIN + 1, &passes, sizeof(passes), &e));
	d.history.spacing = PASSES / 2;
}

/* ---- what a position looks like */

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

static uint64_t mix_regs(uint64_t h, const struct regs *r)
{
	/* Field by field: padding is nobody's state. */
	h = mix(h, r->gpr, sizeof(r->gpr));
	h = mix(h, &r->rip, sizeof(r->rip));
	h = mix(h, &r->rflags, sizeof(r->rflags));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		h = mix(h, &r->seg[i].base, sizeof(uint64_t) + sizeof(uint32_t) + sizeof(uint16_t));
	uint64_t sys[] = {r->cr0, r->cr2, r->cr3, r->cr4, r->cr8, r->efer, r->idt.base, r->gdt.base, r->smm, r->halted};
	h = mix(h, sys, sizeof(sys));
	h = mix(h, r->dr, sizeof(r->dr));
	h = mix(h, &r->msr, sizeof(r->msr));
	return mix(h, r->fpu.xmm, sizeof(r->fpu.xmm));
}

static uint64_t mix_memory(uint64_t h)
{
	const struct slot_table *t = machine_slots(d.m);

	for (size_t i = 0; i < t->n; i++) {
		const struct slot *s = t->by_id[i];
		h = mix(h, &s->gpa, sizeof(s->gpa));
		h = mix(h, &s->flags, sizeof(s->flags));
		const uint64_t *word = (const uint64_t *)(const void *)s->alias;
		for (size_t k = 0; k < s->size / 8; k++)
			if (word[k])
				h = (h ^ word[k] ^ k << 40) * 0x100000001b3ull;
	}
	return h;
}

static uint64_t mix_mmu(uint64_t h)
{
	struct shadow_page_list pages = {0};
	struct mmio_info_list mmio = {0};
	struct rmap_list rmaps = {0};

	ok(machine_shadow_pages(d.m, 0, &pages, &e));
	for (size_t i = 0; i < pages.n; i++) {
		uint64_t v[] = {pages.v[i].gfn, pages.v[i].level, pages.v[i].sptes, pages.v[i].unsync, pages.v[i].roots};
		h = mix(h, v, sizeof(v));
	}
	ok(machine_mmio(d.m, &mmio, &e));
	for (size_t i = 0; i < mmio.n; i++) {
		uint64_t v[] = {mmio.v[i].gva, mmio.v[i].gfn, mmio.v[i].access, mmio.v[i].valid};
		h = mix(h, v, sizeof(v));
	}
	ok(machine_rmap_all(d.m, &rmaps, &e));
	for (size_t i = 0; i < rmaps.n; i++) {
		uint64_t v[] = {rmaps.v[i].gfn, rmaps.v[i].n_sptes, rmaps.v[i].kind};
		h = mix(h, v, sizeof(v));
		for (size_t k = 0; k < rmaps.v[i].n_sptes; k++)
			h = mix(h, &rmaps.v[i].sptes[k].sptep, sizeof(uint64_t));
	}
	shadow_page_list_free(&pages);
	mmio_info_list_free(&mmio);
	rmap_list_free(&rmaps);
	return h;
}

static uint64_t fingerprint(void)
{
	struct board *b = machine_board(d.m);
	uint64_t h = 0xcbf29ce484222325ull;

	for (unsigned i = 0; i < machine_vcpus(d.m); i++) {
		struct regs r = regs_of(i);
		h = mix_regs(h, &r);
	}
	h = mix(h, b->scratch, sizeof(b->scratch));
	h = mix(h, b->apm, sizeof(b->apm));
	return mix_mmu(mix_memory(h));
}

/* ---- walks */

#define WALK_MAX 600
static uint64_t seen[WALK_MAX + 1], base;
static unsigned walked;

/* Step forward up to n instructions on vCPUs in turn by chance, keeping what each position looks like. */
static void walk_forward(unsigned n, unsigned *chance)
{
	unsigned vcpus = machine_vcpus(d.m);

	base = here();
	for (walked = 0; walked < n; walked++) {
		unsigned vcpu = 0;
		seen[walked] = fingerprint();
		if (vcpus > 1) {
			*chance = *chance * 1103515245u + 12345u;
			vcpu = *chance >> 16 & 3 ? 0 : 1;
		}
		ok(debug_step(&d, vcpu, 1, &e));
		if (d.stop.reason != STOP_STEP || here() != base + walked + 1)
			break;
	}
	walked = (unsigned)(here() - base);
	seen[walked] = fingerprint();
}

static void expect_here(const char *what)
{
	uint64_t at = here() - base;

	assert_true(at <= walked);
	if (fingerprint() != seen[at])
		fail_msg("%s: position %u of %u differs", what, (unsigned)at, walked);
}

/* Back and (on one vCPU) forward by chance. */
static void walk_about(unsigned moves, unsigned *chance)
{
	for (unsigned i = 0; i < moves; i++) {
		*chance = *chance * 1103515245u + 12345u;
		unsigned far = *chance >> 16 & 15 ? (*chance >> 20 & 7) + 1 : (*chance >> 20 & 127) + 1;
		uint64_t at = here() - base;
		if (machine_vcpus(d.m) == 1 && *chance >> 8 & 1 && at < walked) {
			far = far < walked - at ? far : (unsigned)(walked - at);
			ok(debug_step(&d, 0, far, &e));
			assert_int_equal(here() - base, at + far);
		} else {
			ok(debug_reverse_step(&d, 0, far, &e));
			assert_true(machine_vcpus(d.m) > 1 || here() - base == (at > far ? at - far : 0));
		}
		expect_here("walk");
	}
}

static void walk_demo(const char *name, unsigned vcpus, unsigned n)
{
	unsigned chance = 7;

	open_demo(name, vcpus);
	walk_forward(n, &chance);
	assert_true(walked > 15);
	walk_about(60, &chance);
	close_demo();
}

static void walk_tour(void **state)
{
	(void)state;
	walk_demo("demo:tour", 1, 100);
}

static void walk_rmap(void **state)
{
	(void)state;
	walk_demo("demo:rmap", 1, 600);
}

static void walk_remap(void **state)
{
	(void)state;
	walk_demo("demo:remap", 1, 600);
}

static void walk_smm(void **state)
{
	(void)state;
	walk_demo("demo:smm", 1, 300);
}

static void walk_real(void **state)
{
	(void)state;
	walk_demo("demo:real", 1, 300);
}

static void walk_threads(void **state)
{
	(void)state;
	walk_demo("demo:threads", 2, 400);
}

/* ---- two vCPUs that ran by turns */

static uint64_t early;

static int is_early(void *ctx, const struct stop_point *b, const struct stop *s, struct err *err)
{
	(void)ctx;
	(void)b;
	(void)s;
	(void)err;
	return here() <= early;
}

static void turns_again(void **state)
{
	uint64_t end, at[6], print[6];
	unsigned n = 0;

	(void)state;
	const uint64_t rounds = 3;
	open_demo("demo:threads", 2);
	ok(machine_write_gva(d.m, 0, symbol("rounds"), &rounds, sizeof(rounds), &e));
	d.history.spacing = 10000;
	int id = add_break(symbol("flush"), NULL);
	for (; n < 6; n++) {
		ok(debug_continue(&d, 0, &e));
		assert_int_equal(d.stop.reason, STOP_BREAKPOINT);
		at[n] = here();
		print[n] = fingerprint();
	}
	ok(point_delete(&d.points, d.m, id, &e));
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_HLT);
	end = here();
	uint64_t last = fingerprint();
	assert_true(d.history.record.n > 3);
	early = at[5];
	d.judge.condition = is_early;
	add_break(symbol("flush"), "early");
	for (n = 6; n--;) {
		ok(debug_reverse_continue(&d, &e));
		assert_int_equal(d.stop.reason, STOP_BREAKPOINT);
		assert_int_equal(here(), at[n]);
		assert_true(fingerprint() == print[n]);
	}
	ok(debug_reverse_continue(&d, &e));
	assert_int_equal(d.stop.reason, STOP_STEP);
	assert_non_null(strstr(d.stop.note, "record begins"));
	/* And forward again the turns fall as they did. */
	ok(point_delete(&d.points, d.m, d.points.v[0]->id, &e));
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(here(), end);
	assert_true(fingerprint() == last);
	close_demo();
}

/* ---- reverse-continue */

static int is_third(void *ctx, const struct stop_point *b, const struct stop *s, struct err *err)
{
	(void)ctx;
	(void)s;
	(void)err;
	return !b->condition || regs_of(0).gpr[RCX] == PASSES - 2;
}

static void breakpoints_backwards(void **state)
{
	(void)state;
	open_tour();
	int spin = add_break(SPIN, NULL), again = add_break(AGAIN, NULL);
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.rip, SPIN);
	uint64_t at_spin = here(), print = fingerprint();
	for (unsigned i = 0; i < 3; i++)
		ok(debug_continue(&d, 0, &e));
	assert_int_equal(regs_of(0).gpr[RCX], PASSES - 2);
	uint64_t hits = point_find(&d.points, again)->hits;
	ok(debug_reverse_continue(&d, &e));
	assert_int_equal(d.stop.reason, STOP_BREAKPOINT);
	assert_int_equal(d.stop.breakpoint, again);
	assert_int_equal(regs_of(0).gpr[RCX], PASSES - 1);
	ok(debug_reverse_continue(&d, &e));
	assert_int_equal(regs_of(0).gpr[RCX], PASSES);
	ok(debug_reverse_continue(&d, &e));
	assert_int_equal(d.stop.breakpoint, spin);
	assert_int_equal(here(), at_spin);
	assert_true(fingerprint() == print);
	assert_int_equal(point_find(&d.points, again)->hits, hits);
	ok(debug_reverse_continue(&d, &e));
	assert_int_equal(d.stop.reason, STOP_STEP);
	assert_int_equal(here(), 0);
	/* Nothing is before the start. */
	ok(debug_reverse_step(&d, 0, 1, &e));
	assert_int_equal(here(), 0);
	assert_non_null(strstr(d.stop.note, "record begins"));
	close_demo();
}

/* From behind both spin loops, the condition true once. */
static void conditions_backwards(void **state)
{
	(void)state;
	open_tour();
	d.judge.condition = is_third;
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_EXCEPTION);
	assert_true(here() > 2 * PASSES);
	assert_true(d.history.record.n > 2);
	struct stop_point spec = {.kind = POINT_WATCH, .addr = 0x250000, .len = 8}, *b;
	ok(point_add(&d.points, d.m, &spec, &b, &e));
	ok(debug_reverse_continue(&d, &e));
	assert_int_equal(d.stop.reason, STOP_WATCHPOINT);
	assert_int_equal(d.stop.breakpoint, b->id);
	assert_int_equal(d.stop.gva, 0x250000);
	assert_true(d.stop.write);
	assert_int_equal(d.stop.old_data[0], 0x88);
	assert_int_equal(d.stop.data[0], 0x89);
	/* The second and last pass over the spin loop comes out the same. */
	ok(point_delete(&d.points, d.m, b->id, &e));
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_EXCEPTION);
	assert_int_equal(d.stop.cr2, 0x300000);
	close_demo();
}

static void steps_back_from_far(void **state)
{
	(void)state;
	open_tour();
	ok(debug_continue(&d, 0, &e));
	uint64_t end = here();
	for (unsigned i = 1; i <= 8; i++) {
		ok(debug_reverse_step(&d, 0, 1, &e));
		assert_int_equal(here(), end - i);
	}
	ok(debug_reverse_step(&d, 0, PASSES + 1, &e));
	assert_int_equal(here(), end - (PASSES + 9));
	uint64_t print = fingerprint(), rip = regs_of(0).rip;
	assert_true(rip == AGAIN || rip == AGAIN + 2);
	ok(debug_step(&d, 0, 1000, &e));
	ok(debug_reverse_step(&d, 0, 1000, &e));
	assert_true(fingerprint() == print);
	close_demo();
}

/* ---- what the debugger did in between */

static void changes_are_undone(void **state)
{
	struct regs r;

	(void)state;
	open_demo("demo:tour", 1);
	ok(debug_step(&d, 0, 2, &e));
	uint64_t print = fingerprint();
	r = regs_of(0);
	r.gpr[RAX] = 0x1234;
	ok(machine_set_regs(d.m, 0, REGS_GPR, &r, &e));
	ok(machine_write(d.m, 0x41000, false, "kvmscope", 8, &e));
	ok(debug_step(&d, 0, 3, &e));
	ok(debug_reverse_step(&d, 0, 2, &e));
	assert_int_equal(regs_of(0).gpr[RAX], 0x1234);
	ok(debug_reverse_step(&d, 0, 1, &e));
	assert_int_equal(regs_of(0).gpr[RAX], 0x1234);
	ok(debug_reverse_step(&d, 0, 1, &e));
	ok(debug_step(&d, 0, 1, &e));
	assert_int_equal(regs_of(0).gpr[RAX], 0x1122334455667788);
	assert_true(fingerprint() == print);
	close_demo();
}

static void slots_come_back(void **state)
{
	const struct slot_spec added = {.id = 5, .gpa = 0x400000, .size = 0x10000};

	(void)state;
	open_demo("demo:tour", 1);
	ok(debug_step(&d, 0, 9, &e));
	uint64_t at = here();
	ok(machine_slot_add(d.m, &added, NULL, &e));
	ok(machine_slot_flags(d.m, 1, SLOT_LOG_DIRTY, 0, 0, NULL, &e));
	ok(debug_step(&d, 0, 1, &e));
	ok(debug_reverse_step(&d, 0, 2, &e));
	assert_int_equal(here(), at - 1);
	assert_null(slot_by_id(machine_slots(d.m), 5));
	assert_int_equal(slot_by_id(machine_slots(d.m), 1)->flags, SLOT_READONLY);
	close_demo();
}

static void console_is_silent(void **state)
{
	static const uint8_t code[] = {0xb0, 'h', 0xe6, 0xe9, 0xb0, 'i', 0xe6, 0xe9, 0xf4};

	(void)state;
	open_demo("demo:real", 1);
	struct regs r = regs_of(0);
	ok(machine_write(d.m, r.seg[SEG_CS].base + r.rip, false, code, sizeof(code), &e));
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(d.stop.reason, STOP_HLT);
	assert_int_equal(printed, 2);
	ok(debug_reverse_step(&d, 0, 2, &e));
	assert_int_equal(printed, 2);
	ok(debug_continue(&d, 0, &e));
	assert_int_equal(printed, 3);
	close_demo();
}

/* ---- limits and refusals */

static void record_limits(void **state)
{
	(void)state;
	open_tour();
	d.history.limit = PASSES;
	ok(debug_continue(&d, 0, &e));
	uint64_t end = here(), start = record_start(&d.history);
	assert_true(start > 0 && end - start >= PASSES);
	ok(debug_reverse_step(&d, 0, 100000000, &e));
	assert_int_equal(here(), start);
	d.history.off = true;
	record_settings(&d.history);
	assert_int_equal(debug_reverse_step(&d, 0, 1, &e), -ENODATA);
	assert_int_equal(here(), start);
	d.history.off = false;
	record_settings(&d.history);
	assert_int_equal(debug_reverse_continue(&d, &e), -ENODATA);
	ok(debug_step(&d, 0, 5, &e));
	ok(debug_reverse_step(&d, 0, 9, &e));
	assert_int_equal(here(), start);
	close_demo();
}

static void stop_it(void *ctx, uint64_t done, uint64_t total)
{
	(void)total;
	*(uint64_t *)ctx = done;
	machine_interrupt(d.m);
}

static void given_up(void **state)
{
	uint64_t done = 0;

	(void)state;
	open_tour();
	ok(debug_step(&d, 0, 1, &e));
	machine_mark(d.m, 0, NULL, NULL); /* one point: everything is replayed */
	ok(debug_continue(&d, 0, &e));
	uint64_t end = here(), print = fingerprint();
	d.history.progress = stop_it;
	d.history.progress_ctx = &done;
	ok(debug_reverse_continue(&d, &e));
	assert_true(done > 0 && done < end);
	assert_int_equal(d.stop.reason, STOP_INTERRUPTED);
	assert_int_equal(here(), end);
	assert_true(fingerprint() == print);
	close_demo();
}

static void run_begins_anew(void **state)
{
	(void)state;
	open_demo("demo:tour", 1);
	ok(debug_step(&d, 0, 10, &e));
	ok(machine_reset(d.m, &e));
	ok(image_load(image, d.m, &e));
	assert_int_equal(debug_reverse_step(&d, 0, 1, &e), -ENODATA);
	ok(debug_step(&d, 0, 3, &e));
	ok(debug_reverse_step(&d, 0, 100, &e));
	assert_int_equal(regs_of(0).rip, 0x200000);
	assert_int_equal(here(), 10);
	close_demo();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(walk_tour),
	    cmocka_unit_test(walk_rmap),
	    cmocka_unit_test(walk_remap),
	    cmocka_unit_test(walk_smm),
	    cmocka_unit_test(walk_real),
	    cmocka_unit_test(walk_threads),
	    cmocka_unit_test(turns_again),
	    cmocka_unit_test(breakpoints_backwards),
	    cmocka_unit_test(conditions_backwards),
	    cmocka_unit_test(steps_back_from_far),
	    cmocka_unit_test(changes_are_undone),
	    cmocka_unit_test(slots_come_back),
	    cmocka_unit_test(console_is_silent),
	    cmocka_unit_test(record_limits),
	    cmocka_unit_test(given_up),
	    cmocka_unit_test(run_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
