/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Samples: the tour guest's slots, tables, sptes and chains, with kernel addresses made up but of the real shape.
 */
#include "tests/support/samples.h"

#include <stdio.h>
#include <string.h>

#define HVA 0x7f3c40000000ull
#define SPT 0xffff888104a5c000ull

static struct value list_of(struct pool *p, size_t n, struct value (*one)(struct pool *, size_t))
{
	struct value l = v_list(p, n);

	for (size_t i = 0; i < n; i++)
		v_push(p, &l, one(p, i));
	return l;
}

static const struct slot_info slots[] = {
    {.id = 0, .vis = SLOT_VIS_BOTH, .gpa = 0, .size = 0x80000, .hva = HVA, .generation = 4, .source = SOURCE_KERNEL},
    {.id = 1,
     .vis = SLOT_VIS_BOTH,
     .gpa = 0x80000,
     .size = 0x10000,
     .hva = HVA + 0x80000,
     .flags = SLOT_READONLY,
     .generation = 4,
     .source = SOURCE_KERNEL},
    {.id = 4,
     .vis = SLOT_VIS_SMM,
     .gpa = 0x100000,
     .size = 0x1000,
     .hva = HVA + 0x100000,
     .generation = 4,
     .flags = SLOT_SMRAM | SLOT_LOG_DIRTY,
     .source = SOURCE_KERNEL},
    {.id = 32000,
     .vis = SLOT_VIS_BOTH,
     .gpa = 0xfffff000,
     .size = 0x1000,
     .hva = HVA + 0x200000,
     .generation = 4,
     .own = true,
     .source = SOURCE_KERNEL},
};

static struct value slot_row(struct pool *p, size_t i)
{
	return record_slot(p, &slots[i]);
}

struct value sample_slots(struct pool *p)
{
	return list_of(p, ARRAY_LEN(slots), slot_row);
}

static struct value map_of(struct pool *p, const struct slot_info *v, size_t n)
{
	struct slot_info_list list = {.v = (struct slot_info *)(uintptr_t)v, .n = n};
	struct value rows = v_list(p, n);
	struct gpa_map map;
	struct board b;

	board_init(&b);
	if (gpa_map_build(&list, &b, 1ull << 46, false, &map, NULL))
		return v_null();
	for (size_t i = 0; i < map.n; i++)
		v_push(p, &rows, record_region(p, &map.v[i]));
	gpa_map_free(&map);
	return rows;
}

struct value sample_map(struct pool *p)
{
	return map_of(p, slots, 2);
}

/* SMRAM in a hole, over RAM that is seen outside only, and over a part of the device. */
struct value sample_map_smm(struct pool *p)
{
	const struct slot_info v[] = {
	    {.id = 0, .vis = SLOT_VIS_BOTH, .size = 0xa0000},
	    {.id = 1, .vis = SLOT_VIS_NONSMM, .gpa = 0xa0000, .size = 0x20000, .flags = SLOT_LOG_DIRTY},
	    {.id = 2, .vis = SLOT_VIS_SMM, .gpa = 0xa0000, .size = 0x10000, .flags = SLOT_SMRAM},
	    {.id = 3, .vis = SLOT_VIS_BOTH, .gpa = 0x100000, .size = 0x3ff00000},
	    {.id = 4, .vis = SLOT_VIS_SMM, .gpa = 0xcffff000, .size = 0x1000, .flags = SLOT_SMRAM | SLOT_READONLY},
	};

	return map_of(p, v, ARRAY_LEN(v));
}

struct value sample_slot_flip(struct pool *p)
{
	static const struct slot_steps steps = {
	    2, {"KVM_SET_USER_MEMORY_REGION slot 1: delete", "KVM_SET_USER_MEMORY_REGION slot 1: create, readonly"}};

	return record_slot_changed(p, &slots[1], &steps);
}

struct value sample_slot_dirty(struct pool *p)
{
	static const uint64_t gfns[] = {0x13, 0x40, 0x41, 0x42, 0x7f};
	struct value d = record_slot(p, &slots[0]), l = v_list(p, 0);

	for (size_t i = 0; i < ARRAY_LEN(gfns); i++)
		v_push(p, &l, v_hex(gfns[i]));
	v_put(p, &d, "dirty", l);
	return d;
}

static uint64_t parents[] = {SPT + 0x1000, SPT + 0x2008};

static struct value shadow_row(struct pool *p, size_t i)
{
	struct shadow_page s = {.gfn = 0x10 + i,
				.level = 4 - (unsigned)i,
				.access = 7,
				.roots = i == 0,
				.sptes = i == 3 ? 5 : 1,
				.parents = parents,
				.n_parents = i ? 1 : 0,
				.address = 0xffff888101230000ull + 0xb8 * i,
				.unsync = i == 3,
				.source = SOURCE_KERNEL};

	return record_shadow_page(p, &s);
}

/* A guest whose slot 1 logs: SMM's root, which nobody is on, and one that is being dropped. */
struct value sample_tdp(struct pool *p)
{
	struct tdp_root roots[] = {
	    {.hpa = 0x5977000,
	     .hpa_known = true,
	     .walked = true,
	     .level = 4,
	     .access = 7,
	     .nx = true,
	     .wp = true,
	     .references = 3,
	     .vcpus = 3,
	     .below = {{.tables = 3,
			.leaves = 15,
			.writable = 12,
			.host_writable = 13,
			.mmu_writable = 13,
			.accessed = 15,
			.dirty = 12,
			.mmio = 1,
			.nx_splits = 1},
		       {.tables = 2, .leaves = 2, .writable = 2, .accessed = 2, .dirty = 1},
		       {.tables = 1},
		       {.tables = 1}},
	     .source = SOURCE_KERNEL},
	    {.hpa = 0x6000000, .hpa_known = true, .walked = true, .level = 4, .as = 1, .references = 1},
	    {.level = 4, .access = 7, .invalid = true, .references = 1, .previous = 1, .no_ad = true}};
	const struct tdp_root_list l = {.v = roots,
					.n = 3,
					.kind = TDP_MMU,
					.why = "the processor walks the guest's tables and, for each gpa, these: EPT",
					.rmaps = "EPT's tables are found by gpa, so the TDP MMU keeps none",
					.ept = true,
					.ad = true,
					.pml = true,
					.nx_huge_pages = "Y",
					.nx_splits = 1,
					.nx_splits_known = true,
					.tables = 7,
					.tables_known = true};
	struct value d = record_tdp(p, &l), logged = v_list(p, 1);

	v_push(p, &logged, v_int(1));
	v_put(p, &d, "logged", logged);
	return d;
}

struct value sample_shadow(struct pool *p)
{
	return list_of(p, 4, shadow_row);
}

static struct spte_info spte(unsigned level, uint64_t gva, uint64_t gfn, uint64_t pfn, bool writable)
{
	bool leaf = level == 1;
	uint64_t bits = leaf ? (writable ? 0xe67 : 0x825) : 0x827;

	return (struct spte_info){.gva = gva,
				  .gva_known = true,
				  .gfn = gfn,
				  .gfn_known = leaf,
				  .level = level,
				  .spte = pfn << 12 | bits,
				  .sptep = SPT + 0x1000 * level + ((gva >> (9 * level)) & 0xff8),
				  .pfn = pfn,
				  .page_gfn = 0x14 - level,
				  .index = (unsigned)(gva >> (3 + 9 * level)) & 511,
				  .present = true,
				  .leaf = leaf,
				  .writable = writable || !leaf,
				  .user = true,
				  .exec = true,
				  .accessed = true,
				  .dirty = leaf && writable,
				  .host_writable = leaf && writable,
				  .mmu_writable = leaf && writable,
				  .source = SOURCE_KERNEL};
}

static struct value spte_row(struct pool *p, size_t i)
{
	const struct spte_info rows[] = {
	    spte(4, 0, 0, 0x104a5f, true),	     spte(3, 0, 0, 0x104a5e, true),
	    spte(2, 0x200000, 0, 0x104a5d, true),    spte(1, 0x200000, 0x1, 0x12001, false),
	    spte(1, 0x240000, 0x40, 0x12040, true),  spte(1, 0x250000, 0x40, 0x12040, true),
	    spte(1, 0x280000, 0x80, 0x12080, false),
	};

	return record_spte(p, &rows[i]);
}

struct value sample_sptes(struct pool *p)
{
	return list_of(p, 7, spte_row);
}

static struct value rmap_with(struct pool *p, struct rmap_info *r)
{
	struct value l = v_list(p, 1);

	r->level = 1;
	r->source = SOURCE_KERNEL;
	v_push(p, &l, record_rmap(p, r));
	return l;
}

struct value sample_rmap(struct pool *p)
{
	struct spte_info s[] = {spte(1, 0x240000, 0x40, 0x12040, true), spte(1, 0x250000, 0x40, 0x12040, true)};
	struct rmap_desc d = {.address = 0xffff888103344500ull, .used = 2};
	struct rmap_info r = {
	    .gfn = 0x40, .head = d.address | 1, .kind = RMAP_MANY, .desc = &d, .n_desc = 1, .sptes = s, .n_sptes = 2};

	return rmap_with(p, &r);
}

struct value sample_rmap_nested(struct pool *p)
{
	struct spte_info s[] = {spte(1, 0x8000, 0x60, 0x12060, true), spte(1, 0x9000, 0x60, 0x12060, true),
				spte(1, 0x409000, 0x60, 0x12060, true)};
	struct rmap_desc d = {.address = 0xffff888103344500ull, .used = 3};
	struct rmap_info r = {
	    .gfn = 0x60, .head = d.address | 1, .kind = RMAP_MANY, .desc = &d, .n_desc = 1, .sptes = s, .n_sptes = 3};

	for (unsigned i = 0; i < 3; i++)
		s[i].guest_mode = true;
	for (unsigned i = 0; i < 2; i++) {
		s[i].nested = s[i].by_gpa = true;
		s[i].gva_known = false;
		s[i].l1_root = 0x42000;
	}
	return rmap_with(p, &r);
}

struct value sample_sptes_nested(struct pool *p)
{
	struct value l = v_list(p, 2);

	for (unsigned i = 0; i < 2; i++) {
		struct spte_info s = spte(1, 0x8000 + i * 0x1000, 0x60, 0x12060, true);

		s.gva_known = false;
		s.nested = s.by_gpa = true;
		s.l1_root = 0x42000;
		v_push(p, &l, record_spte(p, &s));
	}
	return l;
}

struct value sample_long_rmap(struct pool *p)
{
	struct spte_info s[6];
	struct rmap_desc d[2] = {
	    {.address = 0xffff888103344500ull, .more = 0xffff888103344580ull, .used = 2, .tail_count = 4},
	    {.address = 0xffff888103344580ull, .used = 4}};
	struct rmap_info r = {
	    .gfn = 0x40, .head = d[0].address | 1, .kind = RMAP_MANY, .desc = d, .n_desc = 2, .sptes = s, .n_sptes = 6};

	for (unsigned i = 0; i < 6; i++)
		s[i] = spte(1, 0x240000 + 0x1000 * i, 0x40, 0x12040, i != 4);
	s[5].gva_known = false;
	return rmap_with(p, &r);
}

struct value sample_rmap_empty(struct pool *p)
{
	struct rmap_info r = {.gfn = 0x41}, in_smm = {.gfn = 0x41, .as = 1, .level = 1};
	struct value l = rmap_with(p, &r);

	v_push(p, &l, record_rmap(p, &in_smm));
	return l;
}

struct value sample_rmaps(struct pool *p)
{
	const struct rmap_histogram h[] = {
	    {.slot = 0,
	     .level = 1,
	     .counts = {120, 6, 1, 0, 0, 0, 1},
	     .longest = 40,
	     .longest_gfn = 0x40,
	     .source = SOURCE_KERNEL},
	    {.slot = 1, .level = 1, .counts = {16}, .source = SOURCE_KERNEL},
	    {.slot = 1, .as = 1, .level = 1, .counts = {16}, .source = SOURCE_KERNEL},
	};
	struct value l = v_list(p, 3);

	v_push(p, &l, record_rmap_histogram(p, &h[0]));
	v_push(p, &l, record_rmap_histogram(p, &h[1]));
	v_push(p, &l, record_rmap_histogram(p, &h[2]));
	return l;
}

static const struct mmio_info mmio_base = {.gva = 0x260000,
					   .gfn = 0xd0000,
					   .access = 6,
					   .generation = 4,
					   .current_generation = 4,
					   .valid = true,
					   .sptes_off = true,
					   .source = SOURCE_KERNEL};

struct value sample_mmio(struct pool *p)
{
	struct value l = v_list(p, 2);
	struct mmio_info empty = {.vcpu = 1, .current_generation = 4, .sptes_off = true, .source = SOURCE_KERNEL};

	v_push(p, &l, record_mmio(p, &mmio_base));
	v_push(p, &l, record_mmio(p, &empty));
	return l;
}

struct value sample_mmio_stale(struct pool *p)
{
	struct spte_info s = {.gva_known = true,
			      .gva = 0x260000,
			      .gfn_known = true,
			      .gfn = 0xd0000,
			      .level = 1,
			      .leaf = true,
			      .spte = 0xd0000405ull,
			      .mmio = true,
			      .mmio_gen = 4,
			      .source = SOURCE_SOFT};
	struct mmio_info m = mmio_base;
	struct value l = v_list(p, 1);

	m.stale = true;
	m.sptes_off = false;
	m.sptes = &s;
	m.n_sptes = 1;
	m.source = SOURCE_SOFT;
	snprintf(m.stale_why, sizeof(m.stale_why), "the guest's tables now map gva 0x260000 to gfn 0x40");
	v_push(p, &l, record_mmio(p, &m));
	return l;
}

struct value sample_tlb(struct pool *p)
{
	const struct guest_mapping m[] = {
	    {0x200000, 0x1000, 0x1000, 0x1025, ACCESS_USER | ACCESS_FETCH, true, false, false},
	    {0x240000, 0x40000, 0x1000, 0x40067, ACCESS_USER | ACCESS_WRITE | ACCESS_FETCH, true, true, false},
	    {0x40000000, 0x200000, 0x200000, 0x2001e3, ACCESS_WRITE, true, true, true},
	    {0xffff800000000000ull, 0xd0000000, 0x40000000, 0x80000000d0000081ull, 0, false, false, false},
	};
	struct value l = v_list(p, 4);
	struct mapping_flags known = {0};

	for (size_t i = 0; i < ARRAY_LEN(m); i++)
		v_push(p, &l, record_mapping(p, &m[i], &known));
	return l;
}

struct value sample_mem(struct pool *p)
{
	struct value l = v_list(p, 2);

	v_push(p, &l, record_range(p, 0x200000, 0x20ffff, ACCESS_USER | ACCESS_FETCH));
	v_push(p, &l, record_range(p, 0xffff800000000000ull, 0xffff80003fffffffull, ACCESS_WRITE));
	return l;
}

struct value sample_xlate_fault(struct pool *p)
{
	struct xlate_tlb t = {
	    .fault = {.present = true, .vector = 14, .has_error = true, .error_code = 4, .address = 0x241000}};

	snprintf(t.walk.why, sizeof(t.walk.why), "the level 1 entry 0x0 at gpa 0x13208 is not present");
	return record_xlate(p, &t, NULL);
}

struct value sample_xlate(struct pool *p)
{
	static struct slot s = {.id = 1};
	struct xlate_tlb t = {.n = 2, .entry = {{0x80ffc, 4}, {0xd0000000, 4}}};
	struct xlate_iolist io = {
	    .n = 2,
	    .io = {{.kind = IO_ROM, .slot = &s, .gpa = 0x80ffc, .page = 0, .offset = 0xffc, .len = 4},
		   {.kind = IO_DEVICE, .gpa = 0xd0000000, .page = 0xd0000, .len = 4, .device = "scratch"}}};

	return record_xlate(p, &t, &io);
}

struct value sample_memop(struct pool *p)
{
	static char bytes[] = "\x01\x02\x03Hello, guest\x7f!";
	const struct memop op = {.op = MEMOP_LOGICAL_READ, .gva = 0x240000, .size = 18, .buf = bytes};
	const struct memop_result r = {0};

	return record_memop(p, &op, &r);
}

struct value sample_memop_fault(struct pool *p)
{
	const struct memop op = {.op = MEMOP_LOGICAL_READ, .gva = 0x300000, .size = 8};
	const struct memop_result r = {
	    .status = 14, .fault = {.present = true, .vector = 14, .has_error = true, .error_code = 4, .address = 0x300000}};

	return record_memop(p, &op, &r);
}

struct value sample_stop_exception(struct pool *p)
{
	const struct stop s = {
	    .reason = STOP_EXCEPTION, .rip = 0x200055, .vector = 14, .has_error = true, .error_code = 4, .cr2 = 0x300000};

	return record_stop(p, &s, "page fault (vector 14, error code 0x4): a user read of 0x300000, which no entry maps");
}

struct value sample_stop_mmio(struct pool *p)
{
	const struct stop s = {.reason = STOP_MMIO,
			       .rip = 0x200028,
			       .breakpoint = 2,
			       .gpa = 0xd0000000,
			       .len = 4,
			       .write = true,
			       .data = {0x44, 0x33, 0x22, 0x11},
			       .slot = -1};

	return record_stop(p, &s, "a write of 4 bytes to gpa 0xd0000000, device scratch");
}

/* As the prompt has it where CS has a base. */
struct value sample_stop_real(struct pool *p)
{
	const struct stop s = {.reason = STOP_STEP, .rip = 0x10};
	struct value v = record_stop(p, &s, "vCPU 0 was stepped and stands at 0x10 (linear 0x7c10).");

	v_put(p, &v, "cs", v_hex(0x7c0));
	v_put(p, &v, "pc", v_hex(0x7c10));
	return v;
}

struct value sample_stop_note(struct pool *p)
{
	const struct stop s = {
	    .reason = STOP_STEP, .rip = 0x200000, .slot = -1, .note = "the record begins here; there is nothing before it"};

	return record_stop(p, &s, "vCPU 0 has executed one instruction.");
}

struct value sample_stages(struct pool *p)
{
	static const struct fault_stage s[] = {
	    {.n = 1,
	     .fault = 1,
	     .stage = STAGE_WALK,
	     .gfn = 0x10,
	     .gfn_known = true,
	     .level = 4,
	     .detail = "entry 0x11027",
	     .live = true},
	    {.n = 2,
	     .fault = 1,
	     .stage = STAGE_PAGE,
	     .gfn = 0x40,
	     .gfn_known = true,
	     .detail = "host page about to be there",
	     .live = true},
	    {.n = 3, .fault = 1, .stage = STAGE_SPTE, .gfn = 0x40, .gfn_known = true, .level = 1, .detail = "0x12040e67"},
	    {.n = 4, .fault = 1, .stage = STAGE_EMULATE, .detail = "mov [rbx], eax"},
	};
	struct value l = v_list(p, 4);

	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		v_push(p, &l, record_fault_stage(p, &s[i]));
	return l;
}

struct value sample_diff(struct pool *p)
{
	static struct diff_row r[] = {
	    {DIFF_SPTE, DIFF_ADDED, "gva 0x240000 level 1", "", "0x12040e67"},
	    {DIFF_RMAP, DIFF_CHANGED, "gfn 0x40 level 1", "one: 1 spte", "many: 2 sptes"},
	    {DIFF_REG, DIFF_CHANGED, "vcpu 0 rip", "0x20000a", "0x20000f"},
	    {DIFF_SLOT, DIFF_REMOVED, "slot 9", "0x10000000 4 KiB", ""},
	};
	const struct diff_list l = {r, ARRAY_LEN(r)};

	return record_diff(p, &l);
}

struct value sample_breakpoints(struct pool *p)
{
	static char cond[] = "$rax == 5", script[] = "info rmap 0x40";
	static const struct stop_point b[] = {
	    {.id = 1, .kind = POINT_BREAK, .addr = 0x200033, .at = "*0x200033", .enabled = true, .hits = 3, .how = "trap"},
	    {.id = 2,
	     .kind = POINT_WATCH,
	     .addr = 0x40000,
	     .len = 8,
	     .phys = true,
	     .at = "0x40000",
	     .how = "page",
	     .condition = cond},
	    {.id = 4, .kind = POINT_CATCH, .at = "mmio", .enabled = true, .temporary = true, .commands = script},
	};
	struct value l = v_list(p, 3);

	for (size_t i = 0; i < ARRAY_LEN(b); i++)
		v_push(p, &l, record_stop_point(p, &b[i]));
	return l;
}

struct value sample_disas(struct pool *p)
{
	static const struct insn in[] = {
	    {.addr = 0x200028, .len = 3, .bytes = {0x41, 0x89, 0x00}, .mnemonic = "mov", .operands = "dword ptr [r8], eax"},
	    {.addr = 0x20002b,
	     .len = 5,
	     .bytes = {0xe8, 1, 2, 3, 4},
	     .mnemonic = "call",
	     .operands = "0x20004a",
	     .target = 0x20004a},
	    {.addr = 0x200030, .bytes = {0x06}},
	    {.addr = 0x200031, .len = 1, .bytes = {0xf4}, .mnemonic = "hlt"},
	};
	struct value l = v_list(p, 4);

	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		struct value d = record_insn(p, &in[i], i == 0 ? "start" : "");
		if (i == 1)
			v_put(p, &d, "current", v_bool(true));
		if (i == 3)
			v_put(p, &d, "breakpoint", v_int(2));
		v_push(p, &l, d);
	}
	return l;
}

static struct value dump(struct pool *p, const char *format, unsigned unit, const uint64_t *x, size_t n)
{
	struct value d = v_dict(p, 4), l = v_list(p, n);

	for (size_t i = 0; i < n; i++)
		v_push(p, &l, v_hex(x[i]));
	v_put(p, &d, "address", v_hex(0x240000));
	v_put(p, &d, "unit", v_int(unit));
	v_put(p, &d, "format", v_lit(format));
	v_put(p, &d, "values", l);
	return d;
}

/* One dump in each format, as a list of dumps for the test to draw one by one. */
struct value sample_dump(struct pool *p)
{
	static const uint64_t x[] = {0x1122334455667788, 0, 0xff, 0x41, 0x8000000000000000};
	static const uint64_t b[] = {0, 0x41, 0x7f, 0xff, 0x80, 9, 1, 2, 3, 4};
	struct value l = v_list(p, 8);

	v_push(p, &l, dump(p, "x", 8, x, 5));
	v_push(p, &l, dump(p, "d", 8, x, 5));
	v_push(p, &l, dump(p, "u", 8, x, 5));
	v_push(p, &l, dump(p, "x", 1, b, 10));
	v_push(p, &l, dump(p, "d", 1, b, 10));
	v_push(p, &l, dump(p, "c", 1, b, 10));
	v_push(p, &l, dump(p, "t", 1, b, 5));
	v_push(p, &l, dump(p, "o", 2, b, 10));
	v_push(p, &l, dump(p, "x", 4, b, 10));
	struct value a = dump(p, "a", 8, x, 2), symbols = v_list(p, 2);
	v_push(p, &symbols, v_lit("main+0x12"));
	v_push(p, &symbols, v_lit(""));
	v_put(p, &a, "symbols", symbols);
	v_put(p, &a, "symbol", v_lit("table+0x10"));
	v_push(p, &l, a);
	return l;
}

struct value sample_dump_string(struct pool *p)
{
	struct value d = dump(p, "s", 1, NULL, 0), l = v_list(p, 2);

	v_push(p, &l, v_lit("hello \x1b[31mred"));
	v_push(p, &l, v_lit("world"));
	d.fields[3].value = l;
	v_put(p, &d, "symbol", v_lit("message"));
	return d;
}

static void fill_regs(struct regs *r)
{
	*r = (struct regs){.valid = REGS_ALL,
			   .rip = 0x200033,
			   .rflags = 0x10246,
			   .cr0 = 0x80010011,
			   .cr3 = 0x10000,
			   .cr4 = 0x20,
			   .efer = 0xd00,
			   .cr2 = 0x300000};
	for (unsigned i = 0; i < 16; i++)
		r->gpr[i] = 0x1111ull * i;
	r->gpr[RSP] = 0xffff800000001000ull;
	r->seg[SEG_CS] = (struct seg){
	    .limit = 0xffffffff, .selector = 0x33, .type = 11, .s = true, .present = true, .l = true, .g = true, .dpl = 3};
	r->seg[SEG_SS] =
	    (struct seg){.limit = 0xffffffff, .selector = 0x2b, .type = 3, .s = true, .present = true, .dpl = 3};
	r->gdt = (struct desc_table){0x5000, 0x3f};
	r->fpu.mxcsr = 0x1f80;
	r->fpu.xmm[0][0] = 0xaa;
	r->fpu.xmm[0][15] = 0x01;
}

struct value sample_regs(struct pool *p)
{
	struct regs r;

	fill_regs(&r);
	return record_regs(p, &r, false);
}

struct value sample_regs_all(struct pool *p)
{
	struct regs r;

	fill_regs(&r);
	return record_regs(p, &r, true);
}

/* As of a parked vCPU of VT-x. */
static void fill_old_regs(struct regs *r)
{
	fill_regs(r);
	r->old = 1ull << REGS_OLD_RIP | 1ull << RSP | 1ull << REGS_OLD_RFLAGS | 1ull << REGS_OLD_GDT | 1ull << REGS_OLD_CR0 |
		 1ull << REGS_OLD_MSR | 1ull << REGS_OLD_FPU | 15ull << (REGS_OLD_SEG + 4 * SEG_CS) |
		 7ull << (REGS_OLD_SEG + 4 * SEG_SS);
}

struct value sample_regs_old(struct pool *p)
{
	struct regs r;

	fill_old_regs(&r);
	return record_regs(p, &r, false);
}

struct value sample_regs_old_all(struct pool *p)
{
	struct regs r;

	fill_old_regs(&r);
	return record_regs(p, &r, true);
}

struct value sample_stop_old(struct pool *p)
{
	const struct stop s = {
	    .reason = STOP_FAULT_STAGE, .rip = 0x200033, .rip_old = true, .stage = STAGE_PAGE, .fault = 1};

	return record_stop(p, &s, "vCPU 0 stands still.");
}

static struct value vcpu(struct pool *p, unsigned id, const char *mode, unsigned cpl, uint64_t rip, bool smm)
{
	struct value d = v_dict(p, 8);

	v_put(p, &d, "id", v_int(id));
	v_put(p, &d, "mode", v_lit(mode));
	v_put(p, &d, "cpl", v_int(cpl));
	v_put(p, &d, "rip", v_hex(rip));
	v_put(p, &d, "smm", v_bool(smm));
	v_put(p, &d, "state", v_lit("stopped"));
	v_put(p, &d, "current", v_bool(id == 0));
	return d;
}

struct value sample_vcpus(struct pool *p)
{
	struct value l = v_list(p, 2);

	v_push(p, &l, vcpu(p, 0, "long", 3, 0x200033, false));
	v_push(p, &l, vcpu(p, 1, "real", 0, 0x8000, true));
	return l;
}

struct value sample_vcpus_old(struct pool *p)
{
	struct value l = sample_vcpus(p), old = v_list(p, 2);

	v_push(p, &old, v_lit("cpl"));
	v_push(p, &old, v_lit("rip"));
	v_put(p, &l.items[0], "of_last_stop", old);
	return l;
}

struct value sample_facts(struct pool *p)
{
	static const char *const f[][3] = {{"backend", "kvm", "/dev/kvm opens"},
					   {"paging", "shadow", "no EPT and no NPT on this host"},
					   {"SMM", "emulated by the debugger", ""}};
	struct value l = v_list(p, 3);

	for (size_t i = 0; i < ARRAY_LEN(f); i++) {
		struct value d = v_dict(p, 3);
		v_put(p, &d, "what", v_str(p, f[i][0]));
		v_put(p, &d, "value", v_str(p, f[i][1]));
		v_put(p, &d, "why", v_str(p, f[i][2]));
		v_push(p, &l, d);
	}
	return l;
}

static struct value words(struct pool *p, const char *const *w)
{
	struct value l = v_list(p, 4);

	for (; *w; w++)
		v_push(p, &l, v_str(p, *w));
	return l;
}

static struct value guest_steps(struct pool *p, uint64_t leaf)
{
	struct walk w = {.n = 4};

	for (unsigned i = 0; i < 4; i++)
		w.step[i] = (struct walk_step){.level = 4 - i,
					       .gpa = 0x10000 + 0x1000 * i + (i == 3 ? 0x280 : 0),
					       .entry = i == 3 ? leaf : 0x11027 + 0x1000 * i,
					       .size = 8};
	return record_walk_steps(p, &w, PAGING_4LEVEL);
}

static struct value walk_head(struct pool *p, uint64_t gva, uint64_t leaf)
{
	struct value d = v_dict(p, 18);

	v_put(p, &d, "gva", v_hex(gva));
	v_put(p, &d, "access", v_lit("write"));
	v_put(p, &d, "user", v_bool(true));
	v_put(p, &d, "mode", v_lit("4-level"));
	v_put(p, &d, "cr3", v_hex(0x10000));
	v_put(p, &d, "guest", guest_steps(p, leaf));
	v_put(p, &d, "fault", v_null());
	return d;
}

static void push_entry(struct pool *p, struct value *l, unsigned level, uint64_t x, const char *const *flags)
{
	struct value d = v_dict(p, 4);

	v_put(p, &d, "level", v_int(level));
	v_put(p, &d, "spte", v_hex(x));
	v_put(p, &d, "flags", words(p, flags));
	v_put(p, &d, "page", v_hex(0x14 - level));
	v_push(p, l, d);
}

struct value sample_walk(struct pool *p)
{
	static const char *const table[] = {"present", "writable", "user", "exec", "accessed", NULL};
	static const char *const leaf[] = {"present", "writable", "user", "exec", "accessed", "dirty", NULL};
	struct value d = walk_head(p, 0x250000, 0x40067), l = v_list(p, 4), m = v_dict(p, 2);

	push_entry(p, &l, 4, 0x104a5f827, table);
	push_entry(p, &l, 3, 0x104a5e827, table);
	push_entry(p, &l, 2, 0x104a5d827, table);
	push_entry(p, &l, 1, 0x12040e67, leaf);
	v_put(p, &m, "hit", v_bool(false));
	v_put(p, &m, "stale", v_bool(false));
	v_put(p, &d, "gpa", v_hex(0x40000));
	v_put(p, &d, "page_size", v_int(4096));
	v_put(p, &d, "slot", v_int(0));
	v_put(p, &d, "slot_flags", v_list(p, 0));
	v_put(p, &d, "hva", v_hex(HVA + 0x40000));
	v_put(p, &d, "hpa", v_hex(0x12040000));
	v_put(p, &d, "sptes", l);
	v_put(p, &d, "mmio", m);
	v_put(p, &d, "verdict", v_lit("ok"));
	v_put(p, &d, "why", v_lit("gpa 0x40000 is in slot 0 and its level 1 spte allows the access: no fault"));
	return d;
}

struct value sample_walk_mmio(struct pool *p)
{
	struct value d = walk_head(p, 0x260000, 0xd0000067), m = v_dict(p, 4);
	struct value na = v_na(p, "no memory behind it");

	v_put(p, &m, "hit", v_bool(true));
	v_put(p, &m, "stale", v_bool(false));
	v_put(p, &m, "gfn", v_hex(0xd0000));
	v_put(p, &d, "gpa", v_hex(0xd0000000));
	v_put(p, &d, "slot", v_null());
	v_put(p, &d, "hva", na);
	v_put(p, &d, "hpa", na);
	v_put(p, &d, "sptes", v_na(p, "no CAP_BPF"));
	v_put(p, &d, "mmio", m);
	v_put(p, &d, "verdict", v_lit("mmio"));
	v_put(p, &d, "why", v_lit("no slot covers gpa 0xd0000000: the access leaves as an MMIO exit to device scratch"));
	return d;
}
