/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Handlers of the slot, memory-map and memop commands on the fake machine: a long-mode guest with the tour's tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "cli/cmd/table.h"
#include "cli/session/client.h"
#include "tests/support/fake.h"
#include "tests/support/golden.h"
#include "views/draw.h"

struct fixture {
	struct session s;
	struct machine *m;
	struct pool *pool;
	struct value result;
	struct err e;
};

static void put64(struct machine *m, uint64_t gpa, uint64_t x)
{
	assert_int_equal(machine_write(m, gpa, false, &x, sizeof(x), NULL), 0);
}

static void map_page(struct machine *m, uint64_t gva, uint64_t pte)
{
	put64(m, 0x13000 + ((gva >> 12) & 511) * 8, pte);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->m = fake_create(1);
	f->pool = pool_create();
	fake_add_slot(f->m, 0, 0, 0x80000, 0);
	fake_add_slot(f->m, 1, 0x80000, 0x10000, SLOT_READONLY);
	put64(f->m, 0x10000, 0x11027);
	put64(f->m, 0x11000, 0x12027);
	put64(f->m, 0x12008, 0x13027);
	map_page(f->m, 0x200000, 0x1025);
	map_page(f->m, 0x240000, 0x40067);
	map_page(f->m, 0x250000, 0x40067);
	map_page(f->m, 0x260000, 0xd0000067);
	map_page(f->m, 0x280000, 0x80067);
	fake_enter_long(f->m, 0, 3, 0x10000, 0x200000);
	fake_of(f->m)->hpa_base = 0x12000000;
	assert_int_equal(debugger_init(&f->s.d, NULL), 0);
	f->s.d.m = f->m;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	debugger_deinit(&f->s.d);
	machine_destroy(f->m);
	pool_destroy(f->pool);
	free(f);
	return 0;
}

static const struct command *command_named(const char *name)
{
	const struct command *const tables[] = {commands_slots, commands_mmu, commands_memop, commands_tdp};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct command *c = tables[i]; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	fail_msg("no command %s", name);
	return NULL;
}

/* Run name with the words of text; the value is in f->result. */
static int run(struct fixture *f, const char *name, const char *text)
{
	const char *argv[16];
	char copy[256];
	struct client client = {.s = &f->s};
	struct call c = {.s = &f->s, .client = &client, .cmd = command_named(name), .pool = f->pool, .argv = argv};

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok(copy, " "); w && c.argc < 16; w = strtok(NULL, " "))
		argv[c.argc++] = pool_strdup(f->pool, w);
	err_clear(&f->e);
	f->result = v_null();
	int ret = c.cmd->run(&c, &f->e);
	if (!ret)
		f->result = c.result;
	assert_false(pool_failed(f->pool));
	return ret;
}

static void ok(struct fixture *f, const char *name, const char *text)
{
	char buf[1024];

	if (!run(f, name, text))
		return;
	err_format(&f->e, buf, sizeof(buf));
	fail_msg("%s %s: %s", name, text, buf);
}

static void refused(struct fixture *f, int code, const char *name, const char *text)
{
	assert_int_equal(run(f, name, text), code);
	assert_true(f->e.what[0] && f->e.why[0] && f->e.next[0]);
}

static uint64_t num(const struct value *v, const char *key)
{
	const struct value *x = v_get(v, key);

	if (!x || (x->type != VALUE_INT && x->type != VALUE_HEX))
		fail_msg("%s is no number", key);
	return x->hex;
}

static const char *str(const struct value *v, const char *key)
{
	const struct value *x = v_get(v, key);

	if (!x || x->type != VALUE_STR)
		fail_msg("%s is no text", key);
	return x->str;
}

static const struct value *row(const struct fixture *f, uint32_t i)
{
	assert_int_equal(f->result.type, VALUE_LIST);
	assert_true(i < f->result.n);
	return &f->result.items[i];
}

static void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' does not say '%s'", text, part);
}

static void test_slots_are_listed_by_id(void **state)
{
	struct fixture *f = *state;

	ok(f, "slot add", "7 0x100000 64K -log");
	ok(f, "slot add", "3 0x200000 0x1000 -readonly -visible smm");
	ok(f, "info slots", "");
	assert_int_equal(f->result.n, 4);
	static const uint64_t ids[] = {0, 1, 3, 7};
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(num(row(f, i), "id"), ids[i]);
	assert_int_equal(num(row(f, 3), "size"), 65536);
	assert_string_equal(v_get(row(f, 3), "flags")->items[0].str, "log-dirty");
	assert_string_equal(str(row(f, 2), "visible"), "smm");
}

static void test_slot_changes_give_the_slot(void **state)
{
	struct fixture *f = *state;

	ok(f, "slot flags", "1 -readonly");
	assert_int_equal(num(&f->result, "id"), 1);
	assert_int_equal(v_get(&f->result, "flags")->n, 0);
	assert_int_equal(v_get(&f->result, "steps")->type, VALUE_LIST);
	ok(f, "slot flags", "1 +readonly");
	assert_string_equal(v_get(&f->result, "flags")->items[0].str, "readonly");
	ok(f, "slot move", "1 0x300000");
	assert_int_equal(num(&f->result, "gpa"), 0x300000);
	ok(f, "slot del", "1");
	assert_true(v_get(&f->result, "deleted")->truth);
	ok(f, "info slots", "");
	assert_int_equal(f->result.n, 1);
}

static void test_refused_slots_change_nothing(void **state)
{
	struct fixture *f = *state;

	refused(f, -EINVAL, "slot add", "5 0x1 0x1000");
	refused(f, -EEXIST, "slot add", "5 0x40000 0x1000");
	refused(f, -EINVAL, "slot add", "5 0x1000000 0");
	refused(f, -EINVAL, "slot add", "5 0x1000000");
	refused(f, -EINVAL, "slot add", "5 0x1000000 0x1000 extra");
	refused(f, -EINVAL, "slot add", "5 0x1000000 12Q");
	refused(f, -EINVAL, "slot add", "5 0x1000000 0x1000 -visible nowhere");
	refused(f, -EINVAL, "slot del", "77");
	refused(f, -EINVAL, "slot flags", "1 +nonsense");
	refused(f, -EINVAL, "slot flags", "1 readonly");
	refused(f, -EINVAL, "slot flags", "1");
	ok(f, "info slots", "");
	assert_int_equal(f->result.n, 2);
}

static void test_own_slots_show_with_all(void **state)
{
	struct fixture *f = *state;
	const struct slot_spec spec = {.id = 9, .gpa = 0x900000, .size = 0x1000, .own = true};

	assert_int_equal(machine_slot_add(f->m, &spec, NULL, NULL), 0);
	ok(f, "info slots", "");
	assert_int_equal(f->result.n, 2);
	ok(f, "info slots", "-all");
	assert_int_equal(f->result.n, 3);
	assert_true(v_get(row(f, 2), "own")->truth);
}

static void test_dirty_gfns(void **state)
{
	struct fixture *f = *state;
	static const char byte = 1;

	ok(f, "slot flags", "0 +log-dirty");
	fake_guest_write(f->m, 0x40010, &byte, 1);
	fake_guest_write(f->m, 0x7ffff, &byte, 1);
	ok(f, "slot dirty", "0");
	assert_int_equal(v_get(&f->result, "dirty")->n, 2);
	assert_int_equal(v_get(&f->result, "dirty")->items[0].hex, 0x40);
	assert_int_equal(v_get(&f->result, "dirty")->items[1].hex, 0x7f);
	ok(f, "slot dirty", "0 -clear");
	assert_int_equal(v_get(&f->result, "dirty")->n, 2);
	ok(f, "slot dirty", "0");
	assert_int_equal(v_get(&f->result, "dirty")->n, 0);
}

static void test_single_steps(void **state)
{
	struct fixture *f = *state;

	ok(f, "gva2gpa", "0x250123");
	assert_int_equal(f->result.type, VALUE_HEX);
	assert_int_equal(f->result.hex, 0x40123);
	refused(f, -EFAULT, "gva2gpa", "0x300000");
	refused(f, -EINVAL, "gva2gpa", "");
	ok(f, "gpa2hva", "0x40123");
	assert_int_equal(f->result.hex, slot_by_id(machine_slots(f->m), 0)->hva + 0x40123);
	ok(f, "gpa2hpa", "0x40123");
	assert_int_equal(f->result.hex, 0x12040123);
	assert_true(run(f, "gpa2hva", "0xd0000000") < 0);
}

static void test_walk_verdicts(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *words, *verdict, *why;
	} t[] = {
	    {"0x250000 w -user", "ok", "in slot 0"},
	    {"0x250000", "ok", "in slot 0"},
	    {"0x280000 w -user", "readonly", "slot 1 is READONLY"},
	    {"0x280000 r -user", "ok", "in slot 1"},
	    {"0x260000 r -user", "mmio", "device scratch"},
	    {"0x300000 r -user", "exception", "error code 0x4"},
	    {"0x200000 w -user", "exception", "error code 0x7"},
	    {"0x200000 -user x", "ok", "in slot 0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		ok(f, "walk", t[i].words);
		assert_string_equal(str(&f->result, "verdict"), t[i].verdict);
		assert_contains(str(&f->result, "why"), t[i].why);
	}
	refused(f, -EINVAL, "walk", "0x250000 rw");
	refused(f, -EINVAL, "walk", "0x250000 r -kernel");
}

static void test_walk_says_every_layer(void **state)
{
	struct fixture *f = *state;
	struct spte_info sptes[] = {
	    {.gva = 0, .gva_known = true, .level = 4, .present = true, .writable = true, .user = true},
	    {.gva = 0x250000,
	     .gva_known = true,
	     .gfn = 0x40,
	     .gfn_known = true,
	     .level = 1,
	     .spte = 0x12040e67,
	     .present = true,
	     .leaf = true,
	     .writable = true,
	     .user = true,
	     .page_gfn = 0x13}};

	fake_of(f->m)->sptes = (struct spte_list){.v = sptes, .n = 2};
	ok(f, "walk", "0x250123 w -user");
	assert_int_equal(v_get(&f->result, "guest")->n, 4);
	assert_int_equal(num(&v_get(&f->result, "guest")->items[0], "level"), 4);
	assert_int_equal(num(&v_get(&f->result, "guest")->items[3], "gpa"), 0x13280);
	assert_int_equal(num(&f->result, "gpa"), 0x40123);
	assert_int_equal(num(&f->result, "slot"), 0);
	assert_int_equal(num(&f->result, "hpa"), 0x12040123);
	const struct value *list = v_get(&f->result, "sptes");
	assert_int_equal(num(&list->items[list->n - 1], "level"), 1);
	assert_int_equal(num(&list->items[list->n - 1], "page"), 0x13);
	assert_contains(str(&f->result, "why"), "allows the access: no fault");
	sptes[1].writable = false;
	ok(f, "walk", "0x250123 w -user");
	assert_contains(str(&f->result, "why"), "does not allow this access yet");
	ok(f, "slot flags", "0 +log-dirty");
	ok(f, "walk", "0x250123 w -user");
	assert_contains(str(&f->result, "why"), "write-protected for the dirty log");
}

#define TDP_ENTRY(address, at, is_leaf, bits)                                                                               \
	{                                                                                                                   \
		.by_gpa = true, .gva = address, .level = at, .present = true, .leaf = is_leaf, .exec = true, .user = true,  \
		.writable = (bits)&2, .spte = (bits), .pfn = (bits) >> 12, .host_writable = (bits)&2, .sptep = 0x7000,      \
		.accessed = true                                                                                            \
	}

/* 4 levels; the guest's tables, the pages of gfn 0x40 and of READONLY gfn 0x80 each with a small entry. */
static const struct spte_info tdp_sptes[] = {
    TDP_ENTRY(0, 4, false, 0x5e61827),	    TDP_ENTRY(0, 3, false, 0x5e60827),	    TDP_ENTRY(0, 2, false, 0x5e5f827),
    TDP_ENTRY(0x10000, 1, true, 0x76f7e67), TDP_ENTRY(0x11000, 1, true, 0x76f8e67), TDP_ENTRY(0x12000, 1, true, 0x76f9e67),
    TDP_ENTRY(0x13000, 1, true, 0x76fae67), TDP_ENTRY(0x40000, 1, true, 0x84dde67), TDP_ENTRY(0x80000, 1, true, 0x84e9825),
    TDP_ENTRY(0x250000, 1, true, 0x9999e67)};

static void use_tdp(struct fixture *f, struct spte_info *sptes)
{
	memcpy(sptes, tdp_sptes, sizeof(tdp_sptes));
	fake_of(f->m)->sptes = (struct spte_list){.v = sptes, .n = ARRAY_LEN(tdp_sptes), .by_gpa = true, .levels = 4};
}

static const struct value *item(const struct value *v, const char *key, unsigned i)
{
	const struct value *list = v_get(v, key);

	if (!list || list->type != VALUE_LIST || list->n <= i)
		fail_msg("%s has no item %u", key, i);
	return &list->items[i];
}

static void golden_walk(struct fixture *f, const char *name)
{
	struct out o;

	for (uint32_t i = 0; i < f->result.n; i++) /* where the fake's memory lies differs from run to run */
		if (!strcmp(f->result.fields[i].key, "hva"))
			f->result.fields[i].value = v_hex(0x7f0000000000);
	out_init(&o, false, 0);
	view_walk(&o, &f->result);
	compare_golden(name, &o);
	out_deinit(&o);
}

/* TDP's tables are by gpa: the way to gpa 0x40123 is shown, not what is at the gpa of the same number as the gva; and the
 * guest's tables are reached through them too. */
static void test_walk_under_tdp(void **state)
{
	struct spte_info sptes[ARRAY_LEN(tdp_sptes)];
	struct fixture *f = *state;

	use_tdp(f, sptes);
	ok(f, "walk", "0x250123 w -user");
	assert_int_equal(v_get(&f->result, "sptes")->n, 4);
	assert_int_equal(num(item(&f->result, "sptes", 0), "level"), 4);
	assert_int_equal(num(item(&f->result, "sptes", 3), "spte"), 0x84dde67);
	assert_contains(str(&f->result, "why"), "allows the access: no fault");
	assert_string_equal(str(v_get(&f->result, "tdp"), "format"), "NPT");
	assert_int_equal(num(v_get(&f->result, "tdp"), "levels"), 4);
	assert_int_equal(num(v_get(&f->result, "tdp"), "reads"), 24);
	assert_int_equal(v_get(item(&f->result, "guest", 3), "tdp")->n, 4);
	assert_int_equal(num(item(&f->result, "guest", 3), "hpa"), 0x76fa280);
	assert_int_equal(num(item(&f->result, "guest", 3), "page_size"), 4096);
	golden_walk(f, "walk-tdp");
	fake_of(f->m)->sptes.ept = true;
	ok(f, "walk", "0x250123");
	assert_string_equal(str(v_get(&f->result, "tdp"), "format"), "EPT");
	ok(f, "walk", "0x300000"); /* no gpa, so none of TDP's; its tables are there */
	assert_int_equal(v_get(&f->result, "sptes")->n, 0);
	assert_int_equal(num(v_get(&f->result, "tdp"), "reads"), 20);
	assert_int_equal(v_get(item(&f->result, "dimensions", 1), "tdp")->type, VALUE_NULL);
}

/* Which dimension refuses what, and why: a READONLY slot, the dirty log, no entry, a table that cannot be written. */
static void test_who_refuses_under_tdp(void **state)
{
	struct spte_info sptes[ARRAY_LEN(tdp_sptes)];
	struct fixture *f = *state;

	use_tdp(f, sptes);
	ok(f, "walk", "0x280000 w -user");
	assert_true(v_get(item(&f->result, "dimensions", 0), "tdp")->truth);
	assert_false(v_get(item(&f->result, "dimensions", 1), "tdp")->truth);
	assert_true(v_get(item(&f->result, "dimensions", 1), "guest")->truth);
	assert_string_equal(str(item(&f->result, "dimensions", 1), "why"), "slot 1 is READONLY");
	golden_walk(f, "walk-tdp-readonly");
	sptes[6].writable = sptes[7].writable = false;
	ok(f, "slot flags", "0 +log-dirty");
	ok(f, "walk", "0x250123 w -user");
	assert_contains(str(&f->result, "why"),
			"the guest's tables allow it, NPT does not: write-protected for the dirty log");
	assert_contains(str(item(&f->result, "guest", 3), "why"), "NPT counts a walk's read as a write");
	ok(f, "walk", "0x200000 w -user"); /* the guest's own refusal comes first */
	assert_false(v_get(item(&f->result, "dimensions", 1), "guest")->truth);
	assert_contains(str(item(&f->result, "dimensions", 1), "why"), "not writable");
	ok(f, "walk", "0x200000 r -user");
	assert_contains(str(item(&f->result, "dimensions", 0), "why"), "no entry maps it now");
	fake_of(f->m)->sptes.n = 0;
	ok(f, "walk", "0x250123 w -user");
	assert_contains(str(item(&f->result, "guest", 0), "why"), "faults into KVM, which maps it");
	golden_walk(f, "walk-tdp-empty");
}

/* Without paging there is the host's dimension alone; what a gfn's entry in the MMIO cache says of it. */
static void test_one_dimension_under_tdp(void **state)
{
	struct mmio_info mmio = {.gfn = 0xd0000, .access = 0, .by_gfn = true, .valid = true};
	struct spte_info sptes[ARRAY_LEN(tdp_sptes)];
	struct fixture *f = *state;

	use_tdp(f, sptes);
	fake_of(f->m)->mmio = (struct mmio_info_list){&mmio, 1};
	ok(f, "walk", "0x260000 w -user");
	assert_true(v_get(v_get(&f->result, "mmio"), "hit")->truth);
	assert_string_equal(str(v_get(&f->result, "mmio"), "by"), "gfn");
	assert_contains(str(&f->result, "why"), "knows the gfn, so no slot is looked for");
	ok(f, "walk", "0x240000 w -user");
	assert_false(v_get(v_get(&f->result, "mmio"), "hit")->truth);
	ok(f, "info mmio", "");
	assert_string_equal(str(row(f, 0), "by"), "gfn");
	assert_int_equal(v_get(row(f, 0), "gva")->type, VALUE_NA);
	fake_of(f->m)->regs[0].cr0 &= ~CR0_PG;
	ok(f, "walk", "0x40010 w");
	assert_int_equal(v_get(&f->result, "guest")->n, 0);
	assert_int_equal(num(v_get(&f->result, "tdp"), "reads"), 4);
	golden_walk(f, "walk-tdp-nopaging");
}

static void test_walk_without_capabilities_says_why(void **state)
{
	struct fixture *f = *state;

	fake_of(f->m)->no_cap[MACHINE_CAP_SHADOW] = true;
	fake_of(f->m)->no_cap[MACHINE_CAP_HPA] = true;
	fake_of(f->m)->no_cap[MACHINE_CAP_MMIO_CACHE] = true;
	ok(f, "walk", "0x250000 w -user");
	assert_string_equal(str(&f->result, "verdict"), "ok");
	static const char *const keys[] = {"hpa", "sptes", "mmio"};
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		assert_int_equal(v_get(&f->result, keys[i])->type, VALUE_NA);
		assert_true(v_get(&f->result, keys[i])->n > 0);
	}
}

static void test_walk_tells_a_stale_hit(void **state)
{
	struct fixture *f = *state;
	struct mmio_info mmio = {.gva = 0x250000, .gfn = 0xd0000, .access = 6, .valid = true, .stale = true};

	fake_of(f->m)->mmio = (struct mmio_info_list){&mmio, 1};
	ok(f, "walk", "0x250000 w -user");
	assert_true(v_get(v_get(&f->result, "mmio"), "hit")->truth);
	assert_true(v_get(v_get(&f->result, "mmio"), "stale")->truth);
	assert_contains(str(&f->result, "why"), "stale");
	mmio.access = 4;
	ok(f, "walk", "0x250000 w -user");
	assert_false(v_get(v_get(&f->result, "mmio"), "hit")->truth);
}

static void test_xlate(void **state)
{
	struct fixture *f = *state;

	ok(f, "xlate", "0x240ffc 8 r -user");
	assert_int_equal(v_get(&f->result, "fault")->type, VALUE_DICT);
	assert_int_equal(num(v_get(&f->result, "fault"), "address"), 0x241000);
	assert_int_equal(v_get(&f->result, "io")->n, 0);
	ok(f, "xlate", "0x240000 4 w -user");
	assert_int_equal(v_get(&f->result, "fault")->type, VALUE_NULL);
	assert_string_equal(str(&v_get(&f->result, "io")->items[0], "kind"), "ram");
	assert_int_equal(num(&v_get(&f->result, "io")->items[0], "page"), 0x40);
	ok(f, "xlate", "0x280000 4 w -user");
	assert_string_equal(str(&v_get(&f->result, "io")->items[0], "kind"), "rom");
	ok(f, "xlate", "0x260004 4 r -user");
	assert_string_equal(str(&v_get(&f->result, "io")->items[0], "kind"), "device");
	assert_int_equal(num(&v_get(&f->result, "io")->items[0], "offset"), 4);
	ok(f, "xlate", "0x7fffc 8 r -phys");
	assert_int_equal(v_get(&f->result, "tlb")->n, 2);
	refused(f, -EAGAIN, "xlate", "0x260004 4 r -user -atomic");
	refused(f, -EINVAL, "xlate", "0x240000 0 r");
	refused(f, -EINVAL, "xlate", "0x240000 8193 r");
	refused(f, -EINVAL, "xlate", "0x240000 8 q");
}

static void test_info_tlb_and_mem(void **state)
{
	struct fixture *f = *state;

	ok(f, "info tlb", "");
	assert_int_equal(f->result.n, 5);
	assert_int_equal(num(row(f, 0), "gva"), 0x200000);
	assert_int_equal(num(row(f, 4), "gva"), 0x280000);
	ok(f, "info tlb", "0x240000 0x250fff");
	assert_int_equal(f->result.n, 2);
	map_page(f->m, 0x241000, 0x41067);
	ok(f, "info mem", "");
	assert_int_equal(f->result.n, 5);
	assert_int_equal(num(row(f, 1), "gva"), 0x240000);
	assert_int_equal(num(row(f, 1), "end"), 0x241fff);
	assert_int_equal(num(row(f, 1), "size"), 0x2000);
	map_page(f->m, 0x241000, 0x41065);
	ok(f, "info mem", "");
	assert_int_equal(f->result.n, 6);
	refused(f, -EINVAL, "info tlb", "0x250000 0x240000");
}

/* A root that leads to itself, and one table behind three entries. */
static void test_tables_shown_once(void **state)
{
	struct fixture *f = *state;
	struct out o;

	put64(f->m, 0x10000 + 8 * 0x1ed, 0x10023);
	put64(f->m, 0x12010, 0x13027);
	put64(f->m, 0x12018, 0x13027);
	ok(f, "info tlb", "");
	assert_int_equal(f->result.n, 7);
	assert_string_equal(v_get(row(f, 5), "kind")->str, "repeated");
	assert_int_equal(num(row(f, 5), "gva"), 0x400000);
	assert_int_equal(num(row(f, 5), "size"), 0x400000);
	assert_int_equal(num(row(f, 5), "end"), 0x7fffff);
	assert_int_equal(num(row(f, 5), "same_as"), 0x200000);
	assert_int_equal(num(row(f, 5), "table"), 0x13000);
	assert_int_equal(v_get(row(f, 5), "gpa")->type, VALUE_NULL);
	assert_string_equal(v_get(row(f, 6), "why")->str,
			    "entry 0x1ed of the root points to the root: a recursive map, shown once");
	out_init(&o, false, 0);
	view_tlb(&o, &f->result);
	assert_non_null(
	    strstr(o.text, "entries 0x2 to 0x3 of the table at 0x12000 point to the table at 0x13000: as at 0x200000"));
	out_deinit(&o);
	ok(f, "info mem", "");
	assert_int_equal(f->result.n, 16);
	assert_string_equal(v_get(row(f, 15), "kind")->str, "recursive");
	ok(f, "info tlb", "0xfffff68000001000 0xfffff68000001fff"); /* the level-1 table, as a page */
	assert_int_equal(f->result.n, 1);
	assert_int_equal(num(row(f, 0), "gpa"), 0x13000);
}

static void test_limits_name_themselves(void **state)
{
	struct fixture *f = *state;
	const struct value *t;
	struct out o;

	ok(f, "info tlb", "-limit 2");
	assert_int_equal(f->result.n, 2);
	assert_null(v_get(row(f, 0), "truncated"));
	t = v_get(row(f, 1), "truncated");
	assert_non_null(t);
	assert_int_equal(num(t, "limit"), 2);
	assert_int_equal(num(t, "next"), 0x250000);
	out_init(&o, false, 0);
	view_tlb(&o, &f->result);
	assert_non_null(
	    strstr(o.text, "\nthe first 2 rows; there is more from 0x250000 on: info tlb -limit N, or START END\n"));
	out_deinit(&o);
	ok(f, "info tlb", "0x250000 -limit 3"); /* the rest, exactly */
	assert_int_equal(f->result.n, 3);
	assert_null(v_get(row(f, 2), "truncated"));
	ok(f, "info mem", "-limit 4");
	assert_int_equal(num(v_get(row(f, 3), "truncated"), "next"), 0x280000);
	ok(f, "info mem", "-limit 5");
	assert_null(v_get(row(f, 4), "truncated"));
	refused(f, -EINVAL, "info tlb", "-limit 0");
	refused(f, -EINVAL, "info mem", "-limit");
}

#define NO_RMAPS "NPT's tables are found by gpa; try npt=0"

/* Said once, however many slots there are; where rmaps are kept, also by a TDP without its MMU, nothing is said. */
static void test_rmap_under_tdp(void **state)
{
	struct fixture *f = *state;
	struct rmap_info r = {.gfn = 0x40, .level = 1, .kind = RMAP_EMPTY};
	struct rmap_histogram h[] = {{.slot = 0, .level = 1, .counts = {0x80}}, {.slot = 1, .level = 1, .counts = {0x10}}};
	struct out o;

	fake_of(f->m)->rmap = (struct rmap_list){&r, 1};
	fake_of(f->m)->rmap_histogram = (struct rmap_histogram_list){h, 2};
	fake_of(f->m)->tdp_roots = (struct tdp_root_list){.kind = TDP_SHADOW_PAGES};
	ok(f, "info rmap", "0x40");
	assert_null(v_get(row(f, 0), "why"));
	ok(f, "info rmaps", "");
	assert_null(v_get(row(f, 0), "why"));
	fake_of(f->m)->tdp_roots = (struct tdp_root_list){.kind = TDP_MMU, .rmaps = NO_RMAPS};
	ok(f, "info rmap", "0x40");
	assert_string_equal(str(row(f, 0), "why"), NO_RMAPS);
	out_init(&o, false, 0);
	view_rmap(&o, &f->result);
	assert_contains(o.text, "level 1  head 0x0  empty\nno reverse maps: " NO_RMAPS "\n");
	out_deinit(&o);
	ok(f, "info rmaps", "");
	assert_string_equal(str(row(f, 1), "why"), NO_RMAPS);
	out_init(&o, false, 0);
	view_rmaps(&o, &f->result);
	assert_string_equal(o.text, "no reverse maps: " NO_RMAPS "\nsource kvm\n");
	out_deinit(&o);
}

/* What the debugger has in the guest's space is told from the guest's own, in each list that shows it. */
static void test_own_pages_are_labelled(void **state)
{
	struct fixture *f = *state;
	struct slot_spec own = {.id = 7, .gpa = 0xfef00000, .size = 0x8000, .own = true};
	struct spte_info s[] = {{.by_gpa = true,
				 .gva = 0x40000,
				 .gfn = 0x40,
				 .gfn_known = true,
				 .level = 1,
				 .present = true,
				 .leaf = true,
				 .sptep = 0xffff888001000200},
				{.by_gpa = true,
				 .gva = 0xfef01000,
				 .gfn = 0xfef01,
				 .gfn_known = true,
				 .level = 1,
				 .present = true,
				 .leaf = true,
				 .sptep = 0xffff888002000808}};
	struct shadow_page pages[] = {{.gfn = 0, .level = 1, .direct = true, .tdp = true, .spt = 0xffff888001000000},
				      {.gfn = 0xfee00, .level = 1, .direct = true, .tdp = true, .spt = 0xffff888002000000},
				      {.gfn = 0xfef03, .level = 3}};
	struct rmap_histogram h = {.slot = 7, .level = 1};
	struct out o;

	assert_int_equal(machine_slot_add(f->m, &own, NULL, NULL), 0);
	fake_of(f->m)->sptes = (struct spte_list){.v = s, .n = 2};
	fake_of(f->m)->shadow_pages = (struct shadow_page_list){pages, 3, false};
	fake_of(f->m)->rmap_histogram = (struct rmap_histogram_list){&h, 1};
	ok(f, "info sptes", "");
	assert_null(v_get(row(f, 0), "owner"));
	assert_string_equal(str(row(f, 1), "owner"), "the debugger's own");
	ok(f, "info shadow", "");
	assert_string_equal(str(row(f, 0), "owner"), "the debugger's own"); /* the shadowed table of level 3 */
	assert_null(v_get(row(f, 1), "owner"));
	assert_string_equal(str(row(f, 2), "owner"), "the debugger's own");
	assert_int_equal(num(row(f, 2), "own_sptes"), 1);
	assert_int_equal(v_get(row(f, 2), "address")->type, VALUE_NA);
	out_init(&o, false, 0);
	view_shadow(&o, &f->result);
	assert_contains(o.text, "direct tdp, 1 of the debugger's own");
	out_deinit(&o);
	ok(f, "info rmaps", "");
	assert_string_equal(str(row(f, 0), "owner"), "the debugger's own");
	ok(f, "info rmap", "0xfef02");
	assert_string_equal(str(row(f, 0), "owner"), "the debugger's own");
}

static void test_a_tdp_root_says_who_is_on_it(void **state)
{
	struct fixture *f = *state;
	struct shadow_page page = {.level = 4, .direct = true, .tdp = true, .roots = 2, .address = 0xffff888000001000};
	struct root_info root = {.vcpu = 0, .page = 0xffff888000001000, .current = true};
	struct out o;

	fake_of(f->m)->shadow_pages = (struct shadow_page_list){&page, 1, false};
	fake_of(f->m)->roots = (struct root_list){&root, 1};
	for (unsigned current = 0; current < 2; current++) {
		root.current = current;
		ok(f, "info shadow", "");
		out_init(&o, false, 0);
		view_shadow(&o, &f->result);
		assert_contains(o.text, current ? "2 references, vCPU 0" : "2 references, no vCPU");
		out_deinit(&o);
	}
}

static void test_info_tdp(void **state)
{
	struct fixture *f = *state;
	struct tdp_root roots[] = {{.hpa = 0x5000,
				    .hpa_known = true,
				    .walked = true,
				    .level = 4,
				    .as = 1,
				    .access = 7,
				    .nx = true,
				    .wp = true,
				    .references = 1,
				    .invalid = true},
				   {.hpa = 0x4000,
				    .hpa_known = true,
				    .walked = true,
				    .level = 4,
				    .access = 7,
				    .nx = true,
				    .references = 2,
				    .vcpus = 1,
				    .below = {{.tables = 1, .leaves = 3, .writable = 2}}}};
	const struct value *first;
	struct out o;

	fake_of(f->m)->tdp_roots = (struct tdp_root_list){.v = roots,
							  .n = 2,
							  .kind = TDP_MMU,
							  .why = "NPT",
							  .rmaps = NO_RMAPS,
							  .ad = true,
							  .nx_huge_pages = "N",
							  .tables = 3,
							  .tables_known = true};
	ok(f, "info tdp", "");
	assert_string_equal(str(&f->result, "mmu"), "tdp");
	assert_string_equal(str(&f->result, "format"), "npt");
	assert_string_equal(str(&f->result, "dirty_log"), "write-protection");
	assert_int_equal(v_get(&f->result, "nx_splits")->type, VALUE_NA);
	assert_int_equal(v_get(&f->result, "logged")->n, 0);
	first = &v_get(&f->result, "roots")->items[0];
	assert_int_equal(num(first, "root"), 0x4000); /* space 0 first */
	assert_int_equal(v_get(first, "levels")->n, 4);
	assert_int_equal(num(&v_get(first, "levels")->items[3], "leaves"), 3);
	assert_string_equal(str(&v_get(first, "levels")->items[3], "size"), "4K");
	out_init(&o, false, 0);
	view_tdp(&o, &f->result);
	assert_contains(o.text, "in use by vCPU 0; 2 references, one is KVM's own until the root is invalid");
	assert_contains(o.text, "address space 1 in SMM  invalid");
	assert_contains(o.text, "no vCPU is on it; 1 reference, KVM's own until all below it is gone");
	out_deinit(&o);
	ok(f, "slot flags", "0 +log-dirty");
	ok(f, "info tdp", "");
	assert_int_equal(v_get(&f->result, "logged")->n, 1);
	fake_of(f->m)->tdp_roots = (struct tdp_root_list){.kind = TDP_NONE, .why = "shadow", .next = "info shadow"};
	ok(f, "info tdp", "");
	assert_string_equal(str(&f->result, "mmu"), "shadow");
	assert_null(v_get(&f->result, "format"));
	out_init(&o, false, 0);
	view_tdp(&o, &f->result);
	assert_string_equal(o.text, "no TDP tables: shadow; try info shadow\n");
	out_deinit(&o);
}

static void test_rmap(void **state)
{
	struct fixture *f = *state;
	struct spte_info s = {.gva = 0x240000, .gva_known = true, .sptep = 0x1000, .level = 1};
	struct rmap_info r = {.gfn = 0x40, .level = 1, .kind = RMAP_ONE, .head = 0x1000, .sptes = &s, .n_sptes = 1};

	fake_of(f->m)->rmap = (struct rmap_list){&r, 1};
	ok(f, "info rmap", "0x40");
	assert_string_equal(str(row(f, 0), "kind"), "one");
	assert_int_equal(num(&v_get(row(f, 0), "sptes")->items[0], "gva"), 0x240000);
	ok(f, "info rmap", "0x41");
	assert_string_equal(str(row(f, 0), "kind"), "empty");
	assert_int_equal(v_get(row(f, 0), "sptes")->n, 0);
	refused(f, -ENOENT, "info rmap", "0xd0000");
	assert_contains(f->e.why, "no slot covers gfn 0xd0000");
}

static void test_shadow_pages_are_sorted(void **state)
{
	struct fixture *f = *state;
	struct shadow_page pages[] = {{.level = 1, .gfn = 0x13}, {.level = 4, .gfn = 0x10}, {.level = 1, .gfn = 0x12}};

	fake_of(f->m)->shadow_pages = (struct shadow_page_list){.v = pages, .n = 3};
	ok(f, "info shadow", "");
	assert_int_equal(num(row(f, 0), "level"), 4);
	assert_int_equal(num(row(f, 1), "gfn"), 0x12);
	ok(f, "info shadow", "0x13");
	assert_int_equal(f->result.n, 1);
}

static void test_shadow_tree_order(void **state)
{
	struct fixture *f = *state;
	struct spte_info s[] = {{.gva_known = true, .gva = 0x250000, .level = 1, .leaf = true},
				{.gva_known = true, .gva = 0x200000, .level = 1, .leaf = true},
				{.gva_known = true, .gva = 0x200000, .level = 2},
				{.gva_known = true, .gva = 0, .level = 3},
				{.gva_known = true, .gva = 0, .level = 4}};
	struct root_info roots[] = {{.cr3 = 0x10000, .current = true, .level = 4}, {.cr3 = 0x20000, .previous = true}};

	fake_of(f->m)->sptes = (struct spte_list){.v = s, .n = 5};
	fake_of(f->m)->roots = (struct root_list){roots, 2};
	ok(f, "shadow tree", "0x10");
	assert_int_equal(f->result.n, 5);
	static const uint64_t levels[] = {4, 3, 2, 1, 1};
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(num(row(f, i), "level"), levels[i]);
	assert_int_equal(num(row(f, 4), "gva"), 0x250000);
	refused(f, -ENOENT, "shadow tree", "0x20000");
	assert_contains(f->e.why, "no vCPU runs on it");
	refused(f, -ENOENT, "shadow tree", "0x30000");
}

static void test_shadow_tree_by_gpa(void **state)
{
	struct fixture *f = *state;
	struct spte_info s[] = {
	    {.by_gpa = true, .gva = 0, .level = 4}, {.by_gpa = true, .gva = 0xc0000000, .level = 3},
	    {.by_gpa = true, .gva = 0, .level = 3}, {.by_gpa = true, .gva = 0xd0000000, .level = 2},
	    {.by_gpa = true, .gva = 0, .level = 2}, {.by_gpa = true, .gva = 0x1000, .level = 1, .leaf = true}};
	struct root_info roots[] = {{.cr3 = 0x10000, .current = true, .level = 4}};
	static const uint64_t gpas[] = {0, 0, 0, 0x1000, 0xc0000000, 0xd0000000};
	static const uint64_t levels[] = {4, 3, 2, 1, 3, 2};

	fake_of(f->m)->sptes = (struct spte_list){.v = s, .n = 6};
	fake_of(f->m)->roots = (struct root_list){roots, 1};
	ok(f, "shadow tree", "");
	assert_int_equal(f->result.n, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(num(row(f, i), "level"), levels[i]);
		assert_int_equal(num(row(f, i), "gpa"), gpas[i]);
	}
}

static void test_memop(void **state)
{
	struct fixture *f = *state;

	ok(f, "memop write", "0x240000 0102030405060708");
	assert_int_equal(num(&f->result, "status"), 0);
	ok(f, "memop read", "0x250000 8");
	assert_string_equal(str(&f->result, "data"), "0102030405060708");
	ok(f, "memop read", "0x40000 8 -phys");
	assert_string_equal(str(&f->result, "data"), "0102030405060708");
	ok(f, "memop read", "0x300000 8");
	assert_int_equal(num(&f->result, "status"), 14);
	assert_int_equal(num(&f->result, "address"), 0x300000);
	assert_int_equal(num(&f->result, "error_code"), 4);
	ok(f, "memop read", "0x300000 8 -inject");
	assert_true(fake_of(f->m)->injected[0].present);
	ok(f, "memop read", "0x240000 8 -check");
	assert_int_equal(v_get(&f->result, "data")->type, VALUE_NULL);
	refused(f, -E2BIG, "memop read", "0x240000 65537");
	refused(f, -EINVAL, "memop read", "0x240000 0");
	refused(f, -EINVAL, "memop read", "0x240000 8 -key 16");
	refused(f, -EINVAL, "memop write", "0x240000 0g");
}

static void test_memop_key(void **state)
{
	struct fixture *f = *state;

	ok(f, "memop key", "0x40123");
	assert_int_equal(num(&f->result, "gpa"), 0x40000);
	assert_int_equal(num(&f->result, "key"), 0);
	ok(f, "memop key", "0x40000 7");
	assert_int_equal(num(&f->result, "key"), 7);
	assert_false(v_get(&f->result, "fetch")->truth);
	ok(f, "memop read", "0x40000 8 -phys -key 5");
	assert_int_equal(num(&f->result, "status"), 0);
	ok(f, "memop write", "0x40000 00 -phys -key 5");
	assert_int_equal(num(&f->result, "status"), 14);
	ok(f, "memop key", "0x40000 7 -fetch");
	assert_true(v_get(&f->result, "fetch")->truth);
	ok(f, "memop read", "0x40000 8 -phys -key 5");
	assert_int_equal(num(&f->result, "status"), 14);
	ok(f, "memop read", "0x40000 8 -phys -key 7");
	assert_int_equal(num(&f->result, "status"), 0);
	ok(f, "memop key", "0x40000");
	assert_int_equal(num(&f->result, "key"), 7);
	refused(f, -ERANGE, "memop key", "0x40000 16");
	refused(f, -EINVAL, "memop key", "0x40000 -fetch");
	refused(f, -EFAULT, "memop key", "0xd0000000 1");
}

/* No inspection command may write anything, change a slot or run. */
static void test_looking_changes_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const looks[][2] = {{"info slots", ""},
					       {"walk", "0x200000 x -user"},
					       {"gva2gpa", "0x280000"},
					       {"xlate", "0x280000 4 w -user"},
					       {"info tlb", ""},
					       {"info mem", ""},
					       {"info shadow", ""},
					       {"info sptes", ""},
					       {"info rmap", "0x40"},
					       {"info rmaps", ""},
					       {"info mmio", ""},
					       {"gpa2hpa", "0x40000"},
					       {"memop read", "0x240000 8"},
					       {"shadow tree", ""}};
	uint8_t before[0x4000], after[0x4000];
	unsigned changes = fake_of(f->m)->slot_changes, wrotes = fake_of(f->m)->wrotes;

	assert_int_equal(machine_read(f->m, 0x10000, false, before, sizeof(before), NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(looks); i++)
		ok(f, looks[i][0], looks[i][1]);
	assert_int_equal(machine_read(f->m, 0x10000, false, after, sizeof(after), NULL), 0);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(fake_of(f->m)->slot_changes, changes);
	assert_int_equal(fake_of(f->m)->wrotes, wrotes);
	assert_int_equal(fake_of(f->m)->runs, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_slots_are_listed_by_id),
	    TEST(test_slot_changes_give_the_slot),
	    TEST(test_refused_slots_change_nothing),
	    TEST(test_own_slots_show_with_all),
	    TEST(test_dirty_gfns),
	    TEST(test_single_steps),
	    TEST(test_walk_verdicts),
	    TEST(test_walk_says_every_layer),
	    TEST(test_walk_without_capabilities_says_why),
	    TEST(test_walk_tells_a_stale_hit),
	    TEST(test_xlate),
	    TEST(test_info_tlb_and_mem),
	    TEST(test_tables_shown_once),
	    TEST(test_limits_name_themselves),
	    TEST(test_rmap),
	    TEST(test_shadow_pages_are_sorted),
	    TEST(test_shadow_tree_order),
	    TEST(test_shadow_tree_by_gpa),
	    TEST(test_walk_under_tdp),
	    TEST(test_who_refuses_under_tdp),
	    TEST(test_one_dimension_under_tdp),
	    TEST(test_rmap_under_tdp),
	    TEST(test_own_pages_are_labelled),
	    TEST(test_a_tdp_root_says_who_is_on_it),
	    TEST(test_info_tdp),
	    TEST(test_memop),
	    TEST(test_memop_key),
	    TEST(test_looking_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
