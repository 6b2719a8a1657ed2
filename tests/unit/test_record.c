/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Keys and types of every record. Scripts depend on them: a change here is a change of what the program promises.
 * Types: i int, h hex, s text, b bool, l list, d dict, 0 null, n "n/a".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/samples.h"

static const char type_letter[] = {
    [VALUE_NULL] = '0', [VALUE_BOOL] = 'b', [VALUE_INT] = 'i',	[VALUE_HEX] = 'h',
    [VALUE_STR] = 's',	[VALUE_NA] = 'n',   [VALUE_LIST] = 'l', [VALUE_DICT] = 'd',
};

/* "id:i gpa:h …" */
static void assert_keys(const struct value *v, const char *want)
{
	char got[1024] = "";
	size_t n = 0;

	assert_non_null(v);
	assert_int_equal(v->type, VALUE_DICT);
	for (uint32_t i = 0; i < v->n; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s:%c", i ? " " : "", v->fields[i].key,
				      type_letter[v->fields[i].value.type]);
	assert_string_equal(got, want);
}

static const struct {
	const char *name;
	sample_fn *sample;
	int row;	    /* of a list; -1: the record is a dict itself */
	const char *inside; /* key of a list whose first item is meant; NULL: the record itself */
	const char *keys;
} records[] = {
    {"slot", sample_slots, 0, NULL, "id:i as:i visible:s gpa:h size:i hva:h flags:l generation:i source:s"},
    {"own slot", sample_slots, 3, NULL, "id:i as:i visible:s gpa:h size:i hva:h flags:l generation:i source:s own:b"},
    {"region", sample_map, 1, NULL, "gpa:h size:i kind:s slot:i flags:l visible:s"},
    {"hole", sample_map, 2, NULL, "gpa:h size:i kind:s slot:0 flags:l visible:s"},
    {"device", sample_map, 3, NULL, "gpa:h size:i kind:s slot:0 flags:l visible:s name:s"},
    {"slot after a change", sample_slot_flip, -1, NULL,
     "id:i as:i visible:s gpa:h size:i hva:h flags:l generation:i source:s steps:l"},
    {"shadow page", sample_shadow, 0, NULL,
     "gfn:h level:i direct:b access:l smm:b unsync:b invalid:b roots:i sptes:i mmio_sptes:i parents:l address:h table:h "
     "source:s"},
    {"leaf spte", sample_sptes, 4, NULL,
     "gva:h gfn:h level:i spte:h pfn:h present:b writable:b user:b exec:b accessed:b dirty:b host_writable:b mmu_writable:b "
     "mmio:b leaf:b sptep:h source:s"},
    {"spte of a table", sample_sptes, 0, NULL,
     "gva:h gfn:0 level:i spte:h pfn:h present:b writable:b user:b exec:b accessed:b dirty:b host_writable:b mmu_writable:b "
     "mmio:b leaf:b sptep:h source:s"},
    {"rmap", sample_rmap, 0, NULL, "gfn:h slot:i as:i level:i head:h kind:s descriptors:l sptes:l source:s"},
    {"rmap's spte", sample_rmap, 0, "sptes", "sptep:h spte:h page_gfn:h index:i gva:h writable:b accessed:b dirty:b"},
    {"rmap's descriptor", sample_long_rmap, 0, "descriptors", "address:h used:i more:h tail_count:i"},
    {"empty rmap", sample_rmap_empty, 0, NULL, "gfn:h slot:i as:i level:i head:h kind:s descriptors:l sptes:l source:s"},
    {"histogram", sample_rmaps, 0, NULL, "slot:i as:i level:i counts:l longest:i longest_gfn:h source:s"},
    {"mmio", sample_mmio, 0, NULL,
     "vcpu:i gva:h gfn:h by:s access:l generation:i current_generation:i valid:b stale:b mmio_sptes:n sptes:l source:s"},
    {"stale mmio", sample_mmio_stale, 0, NULL,
     "vcpu:i gva:h gfn:h by:s access:l generation:i current_generation:i valid:b stale:b stale_why:s mmio_sptes:i sptes:l "
     "source:s"},
    {"mmio spte", sample_mmio_stale, 0, "sptes",
     "gva:h gfn:h level:i spte:h pfn:0 present:b writable:b user:b exec:b accessed:b dirty:b host_writable:b mmu_writable:b "
     "mmio:b leaf:b sptep:h source:s generation:i"},
    {"mapping", sample_tlb, 0, NULL, "gva:h gpa:h size:i entry:h flags:l"},
    {"range", sample_mem, 0, NULL, "gva:h end:h size:i flags:l"},
    {"xlate", sample_xlate, -1, NULL, "tlb:l fault:0 io:l"},
    {"xlate's tlb", sample_xlate, -1, "tlb", "gpa:h len:i"},
    {"xlate's io", sample_xlate, -1, "io", "kind:s slot:i page:h offset:h len:i gpa:h"},
    {"xlate with a fault", sample_xlate_fault, -1, NULL, "tlb:l fault:d io:l"},
    {"memop", sample_memop, -1, NULL, "status:i at:h len:i data:s"},
    {"memop's exception", sample_memop_fault, -1, NULL,
     "status:i at:h len:i data:0 vector:i error_code:h address:h protection:b"},
    {"stop", sample_stop_exception, -1, NULL, "reason:s vcpu:i rip:h vector:i error_code:h cr2:h why:s"},
    {"mmio stop", sample_stop_mmio, -1, NULL, "reason:s vcpu:i rip:h breakpoint:i gpa:h len:i write:b data:s slot:0 why:s"},
    {"noted step", sample_stop_note, -1, NULL, "reason:s vcpu:i rip:h note:s why:s"},
    {"stop of an old rip", sample_stop_old, -1, NULL, "reason:s vcpu:i rip:h of_last_stop:l stage:s fault:i why:s"},
    {"stage", sample_stages, 0, NULL, "n:i fault:i stage:s gfn:h level:i detail:s live:b vcpu:i"},
    {"stage without gfn", sample_stages, 3, NULL, "n:i fault:i stage:s gfn:0 level:0 detail:s live:b vcpu:i"},
    {"change", sample_diff, 1, NULL, "part:s kind:s what:s before:s after:s"},
    {"addition", sample_diff, 0, NULL, "part:s kind:s what:s before:0 after:s"},
    {"breakpoint", sample_breakpoints, 0, NULL, "id:i kind:s at:s enabled:b hits:i how:s temporary:b address:h"},
    {"watchpoint", sample_breakpoints, 1, NULL,
     "id:i kind:s at:s enabled:b hits:i how:s temporary:b address:h len:i phys:b condition:s"},
    {"catchpoint", sample_breakpoints, 2, NULL, "id:i kind:s at:s enabled:b hits:i how:0 temporary:b commands:s"},
    {"instruction", sample_disas, 0, NULL, "address:h len:i bytes:s insn:s symbol:s"},
    {"walk's guest entry", sample_walk, -1, "guest", "level:i gpa:h entry:h flags:l"},
};

static void test_keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		_cleanup_pool_ struct pool *p = pool_create();
		struct value v = records[i].sample(p);
		const struct value *r = records[i].row < 0 ? &v : &v.items[records[i].row];

		print_message("%s\n", records[i].name);
		if (records[i].inside)
			r = &v_get(r, records[i].inside)->items[0];
		assert_keys(r, records[i].keys);
		assert_false(pool_failed(p));
	}
}

static void test_old_registers_are_named(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct value v = sample_regs_old(p);
	const struct value *old = v_get(&v, "of_last_stop");
	static const char *const want[] = {"rsp", "rip", "rflags", "cs", "ss", "gdt.base", "gdt.limit", "cr0"};

	(void)state;
	assert_int_equal(old->n, ARRAY_LEN(want));
	for (uint32_t i = 0; i < old->n; i++)
		assert_string_equal(old->items[i].str, want[i]);
	v = sample_regs(p);
	assert_null(v_get(&v, "of_last_stop"));
}

static struct value stop_of(struct pool *p, const struct stop *s)
{
	return record_stop(p, s, "because");
}

static void test_stops_by_reason(void **state)
{
	static const struct {
		struct stop s;
		const char *keys;
	} t[] = {
	    {{.reason = STOP_STEP, .no_progress = true}, "reason:s vcpu:i rip:h no_progress:b why:s"},
	    {{.reason = STOP_BREAKPOINT, .breakpoint = 3}, "reason:s vcpu:i rip:h breakpoint:i why:s"},
	    {{.reason = STOP_WATCHPOINT, .breakpoint = 1, .gva = 1, .len = 8, .write = true, .has_old = true},
	     "reason:s vcpu:i rip:h breakpoint:i gva:h gpa:h len:i read:b write:b data:s old_data:s why:s"},
	    {{.reason = STOP_EXCEPTION, .vector = 6}, "reason:s vcpu:i rip:h vector:i error_code:0 why:s"},
	    {{.reason = STOP_EXCEPTION, .vector = 14, .has_error = true},
	     "reason:s vcpu:i rip:h vector:i error_code:h cr2:h why:s"},
	    {{.reason = STOP_MMIO, .len = 4, .slot = 1}, "reason:s vcpu:i rip:h gpa:h len:i write:b data:n slot:i why:s"},
	    {{.reason = STOP_PIO, .len = 1, .write = true},
	     "reason:s vcpu:i rip:h port:h len:i write:b data:s count:i why:s"},
	    {{.reason = STOP_HLT}, "reason:s vcpu:i rip:h why:s"},
	    {{.reason = STOP_FAULT_STAGE, .stage = STAGE_WALK, .gva = 0x1000},
	     "reason:s vcpu:i rip:h stage:s fault:i gva:h why:s"},
	    {{.reason = STOP_EXIT, .exit_code = 3}, "reason:s vcpu:i rip:h exit_code:i why:s"},
	    {{.reason = STOP_ERROR, .kvm_exit = 17, .n_insn = 200},
	     "reason:s vcpu:i rip:h error:s kvm_exit:i suberror:i insn:s why:s"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		_cleanup_pool_ struct pool *p = pool_create();
		struct value v = stop_of(p, &t[i].s);
		assert_keys(&v, t[i].keys);
		assert_string_equal(v_get(&v, "reason")->str, stop_reason_name(t[i].s.reason));
	}
}

static void assert_words(const struct value *list, const char *want)
{
	char got[256] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < list->n; i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s", i ? " " : "", list->items[i].str);
	assert_string_equal(got, want);
}

static void test_entry_flags(void **state)
{
	static const struct {
		unsigned level;
		enum paging_mode mode;
		uint64_t entry;
		const char *want;
	} t[] = {
	    {1, PAGING_4LEVEL, 0, ""},
	    {1, PAGING_4LEVEL, PTE_NX | PTE_W, ""},
	    {4, PAGING_4LEVEL, 0x67 | PTE_PS, "present writable user accessed"},
	    {2, PAGING_4LEVEL, PTE_P | PTE_PS | PTE_D | PTE_G | PTE_NX, "present dirty large global nx"},
	    {2, PAGING_4LEVEL, PTE_P | PTE_D | PTE_G, "present"},
	    {1, PAGING_4LEVEL, 0x1ff, "present writable user pwt pcd accessed dirty global"},
	    {3, PAGING_PAE, PTE_P | PTE_W | PTE_U | PTE_A | PTE_PCD, "present pcd"},
	    {3, PAGING_4LEVEL, PTE_P | PTE_PS, "present large"},
	    {2, PAGING_32BIT, PTE_P | PTE_PS | PTE_D, "present dirty large"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		_cleanup_pool_ struct pool *p = pool_create();
		struct walk w = {.n = 1, .step = {{.level = t[i].level, .entry = t[i].entry}}};
		struct value l = record_walk_steps(p, &w, t[i].mode);
		assert_words(v_get(&l.items[0], "flags"), t[i].want);
	}
}

static void test_what_is_not_known_says_why(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	const struct spte_info s = {.level = 1, .leaf = true, .present = true};
	struct walk w = {.n = 1, .step = {{.level = 1, .no_memory = true, .entry = UINT64_MAX}}};
	struct value v = record_spte(p, &s);

	(void)state;
	assert_int_equal(v_get(&v, "gva")->type, VALUE_NA);
	assert_int_equal(v_get(&v, "gfn")->type, VALUE_NA);
	assert_true(v_get(&v, "gfn")->n > 0);
	v = record_walk_steps(p, &w, PAGING_4LEVEL);
	assert_int_equal(v_get(&v.items[0], "entry")->type, VALUE_NA);
}

static void test_torn_and_generation(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	const struct slot_info s = {.generation = 6 | 1ull << 63, .source = SOURCE_KERNEL, .torn = true};
	struct value v = record_slot(p, &s);

	(void)state;
	assert_string_equal(v_get(&v, "source")->str, "kernel torn");
	assert_int_equal(v_get(&v, "generation")->num, 6);
	assert_true(v_get(&v, "updating")->truth);
}

static void test_memop_data_only_where_bytes_moved(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	uint8_t buf[2] = {0xde, 0xad};
	struct memop op = {.op = MEMOP_LOGICAL_READ, .size = 2, .buf = buf};
	struct memop_result r = {0};
	struct value v = record_memop(p, &op, &r);

	(void)state;
	assert_string_equal(v_get(&v, "data")->str, "dead");
	op.flags = MEMOP_CHECK_ONLY;
	v = record_memop(p, &op, &r);
	assert_int_equal(v_get(&v, "data")->type, VALUE_NULL);
}

static void test_shared_flags_equal_own_ones(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct mapping_flags known = {0};

	(void)state;
	for (unsigned i = 0; i < 128; i++) {
		struct guest_mapping m = {
		    .gva = i,
		    .rights = (uint8_t)((i & 1 ? ACCESS_WRITE : 0) | (i & 2 ? ACCESS_USER : 0) | (i & 4 ? ACCESS_FETCH : 0)),
		    .accessed = i & 8,
		    .dirty = i & 16,
		    .global = i & 32};
		struct mapping_flags none = {0};
		struct value a = record_mapping(p, &m, &none), b = record_mapping(p, &m, &known);
		assert_true(v_equal(&a, &b));
	}
}

static void test_keys_of_reports(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	struct walk w = {.n = 2,
			 .step = {{.level = 2, .gpa = 0x12008, .entry = 0x13027}, {.level = 1, .gpa = 0x13200, .entry = 7}}};
	struct guest_mapping m = {.gva = 0x240000, .gpa = 0x40000, .page_size = 0x1000};
	struct value up = record_guest_entry(p, &w, 0, &m, PAGING_4LEVEL),
		     leaf = record_guest_entry(p, &w, 1, &m, PAGING_4LEVEL);
	struct stop_row r = {.why = (char *)(uintptr_t) "why", .missing = "no BPF"};
	struct value unknown = record_trace_stop(p, &r);

	(void)state;
	assert_keys(&up, "gva:h size:i level:i at:h entry:h flags:l leaf:b gfn:0");
	assert_int_equal(v_get(&up, "gva")->hex, 0x200000);
	assert_int_equal(v_get(&up, "size")->num, 0x200000);
	assert_keys(&leaf, "gva:h size:i level:i at:h entry:h flags:l leaf:b gfn:h");
	assert_int_equal(v_get(&leaf, "gfn")->hex, 0x40);
	up = record_guest_entry(p, &w, 0, &m, PAGING_32BIT);
	assert_int_equal(v_get(&up, "size")->num, 0x400000);
	assert_keys(&unknown, "reason:s vcpu:i rip:0 why:s shadow_pages:n sptes:n rmaps:n chains:n longest:n longest_gfn:0 "
			      "changed:i changes:l");
	r = (struct stop_row){.reason = STOP_STEP, .why = r.why, .counts_known = true, .chains_known = true, .longest = 2};
	struct value known = record_trace_stop(p, &r);
	assert_keys(&known, "reason:s vcpu:i rip:h why:s shadow_pages:i sptes:i rmaps:i chains:l longest:i longest_gfn:h "
			    "changed:i changes:l");
}

/* What ends a chain is said at its last link, and only what is an address has a symbol. */
static void test_chains(void **state)
{
	static const struct {
		enum deref_end end;
		const char *last;
	} t[] = {{DEREF_NUMBER, "value:h"},
		 {DEREF_CODE, "value:h insn:s"},
		 {DEREF_STRING, "value:h string:s cut:b"},
		 {DEREF_LOOP, "value:h loop:b"},
		 {DEREF_MORE, "value:h more:b"}};
	_cleanup_pool_ struct pool *p = pool_create();
	struct symbols syms;

	(void)state;
	symbols_init(&syms);
	assert_int_equal(symbols_add(&syms, "main", 0x1000, 0, NULL), 0);
	assert_int_equal(symbols_sort(&syms, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct deref_chain c = {.n = 2, .value = {0x1004, 5}, .linear = {0x1004, 0x1004}, .is_address = {true}};
		c.end = t[i].end;
		c.string_cut = true;
		struct value v = record_chain(p, &c, &syms);
		assert_int_equal(v.n, 2);
		assert_keys(&v.items[0], "value:h symbol:s");
		assert_keys(&v.items[1], t[i].last);
	}
	symbols_deinit(&syms);
}

static void test_exact_dicts_still_grow(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};

	(void)state;
	for (uint32_t n = 0; n < 8; n++) {
		struct field f[8];
		for (uint32_t i = 0; i < n; i++)
			f[i] = (struct field){keys[i], v_int(i)};
		struct value d = v_dict_of(p, f, n);
		v_put(p, &d, keys[n], v_int(n));
		v_put(p, &d, "last", v_int(99));
		assert_int_equal(d.n, n + 2);
		for (uint32_t i = 0; i <= n; i++)
			assert_int_equal(v_get(&d, keys[i])->num, i);
		assert_int_equal(v_get(&d, "last")->num, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_old_registers_are_named),
	    cmocka_unit_test(test_stops_by_reason),
	    cmocka_unit_test(test_entry_flags),
	    cmocka_unit_test(test_what_is_not_known_says_why),
	    cmocka_unit_test(test_torn_and_generation),
	    cmocka_unit_test(test_memop_data_only_where_bytes_moved),
	    cmocka_unit_test(test_shared_flags_equal_own_ones),
	    cmocka_unit_test(test_chains),
	    cmocka_unit_test(test_exact_dicts_still_grow),
	    cmocka_unit_test(test_keys_of_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
