/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Samples of what shows several things of one place: context, telescope, hexdump, xinfo, vmmap; and a list of any length.
 */
#include "tests/support/samples.h"

#include <string.h>

#define CHAIN(...) chain(p, sizeof((uint64_t[]){__VA_ARGS__}) / 8, (const uint64_t[]){__VA_ARGS__})

static struct value chain(struct pool *p, size_t n, const uint64_t *values)
{
	struct value list = v_list(p, n);

	for (size_t i = 0; i < n; i++) {
		struct value d = v_dict(p, 4);
		v_put(p, &d, "value", v_hex(values[i]));
		v_push(p, &list, d);
	}
	return list;
}

static struct value with_end(struct pool *p, struct value list, const char *key, struct value v)
{
	v_put(p, &list.items[list.n - 1], key, v);
	return list;
}

static void push_word(struct pool *p, struct value *list, uint64_t address, struct value value, struct value links,
		      const char *reg)
{
	struct value d = v_dict(p, 5), regs = v_list(p, 1);

	if (reg)
		v_push(p, &regs, v_lit(reg));
	v_put(p, &d, "address", v_hex(address));
	v_put(p, &d, "offset", v_hex(address - 0x27ff8));
	v_put(p, &d, "value", value);
	v_put(p, &d, "chain", links);
	v_put(p, &d, "registers", regs);
	v_push(p, list, d);
}

struct value sample_telescope(struct pool *p)
{
	struct value l = v_list(p, 8), code = CHAIN(0x200031),
		     na = v_na(p, "level 1 entry 41 at gpa 0x13148 is not present");

	code = with_end(p, code, "symbol", v_lit("fib+0xe"));
	code = with_end(p, code, "insn", v_lit("mov eax, 1"));
	push_word(p, &l, 0x27ff8, v_hex(0x200031), code, "rsp");
	push_word(p, &l, 0x28000, v_hex(0x28010), with_end(p, CHAIN(0x28010, 0x240000), "string", v_lit("hello\x1b")),
		  "rbp");
	push_word(p, &l, 0x28008, v_hex(5), CHAIN(5), NULL);
	push_word(p, &l, 0x28010, v_hex(0x28010), with_end(p, CHAIN(0x28010, 0x28010), "loop", v_bool(true)), NULL);
	push_word(p, &l, 0x28018, v_hex(0x240000), with_end(p, CHAIN(0x240000, 0x240008), "more", v_bool(true)), NULL);
	for (uint64_t a = 0x29000; a < 0x29018; a += 8)
		push_word(p, &l, a, na, v_list(p, 0), NULL);
	return l;
}

static struct value words(struct pool *p, const char *const *w)
{
	struct value list = v_list(p, 4);

	for (; *w; w++)
		v_push(p, &list, v_lit(*w));
	return list;
}
#define WORDS(...) words(p, (const char *const[]){__VA_ARGS__, NULL})

static struct value context(struct pool *p, const char *mode, struct value old)
{
	static const struct {
		const char *name;
		uint64_t value;
	} regs[] = {{"rax", 5},	      {"rbx", 0x240000}, {"rcx", 0}, {"rdx", 0x1122334455667788},
		    {"rsp", 0x27ff8}, {"r8", 0},	 {"r15", 1}, {"rip", 0x20002b}};
	struct value d = v_dict(p, 8), r = v_dict(p, 16), chains = v_dict(p, 4), code = sample_disas(p);

	v_put(p, &d, "vcpu", v_int(1));
	v_put(p, &d, "mode", v_lit(mode));
	v_put(p, &d, "cpl", v_int(3));
	for (size_t i = 0; i < ARRAY_LEN(regs); i++)
		v_put(p, &r, regs[i].name, v_hex(regs[i].value));
	v_put(p, &r, "rflags", v_hex(0x246));
	v_put(p, &r, "cs", v_hex(0x33));
	v_put(p, &r, "ss", v_hex(0x2b));
	if (old.n)
		v_put(p, &r, "of_last_stop", old);
	v_put(p, &d, "registers", r);
	v_put(p, &d, "changed", WORDS("rax", "rip"));
	v_put(p, &chains, "rbx", CHAIN(0x240000, 0x11));
	v_put(p, &chains, "rip", with_end(p, CHAIN(0x20002b), "insn", v_lit("jne 0x20004a")));
	v_put(p, &d, "chains", chains);
	for (uint32_t i = 0; i < code.items[1].n; i++)
		if (!strcmp(code.items[1].fields[i].key, "insn"))
			code.items[1].fields[i].value = v_lit("jne 0x20004a");
	v_put(p, &code.items[1], "taken", v_bool(true));
	v_put(p, &d, "code", code);
	v_put(p, &d, "stack", sample_telescope(p));
	return d;
}

struct value sample_context(struct pool *p)
{
	struct value d = context(p, "long", v_list(p, 0));

	v_put(p, &d, "stop", sample_stop_mmio(p));
	return d;
}

/* Inside a fault, in protected mode, at a rip that cannot be read. */
struct value sample_context_old(struct pool *p)
{
	struct value d = context(p, "prot32", WORDS("rsp", "rflags"));

	for (uint32_t i = 0; i < d.n; i++)
		if (!strcmp(d.fields[i].key, "code"))
			d.fields[i].value = v_na(p, "level 1 entry 43 at gpa 0x13158 is not present");
	return d;
}

struct value sample_stop_context(struct pool *p)
{
	struct value d = sample_stop_mmio(p);

	v_put(p, &d, "next", sample_disas(p));
	v_put(p, &d, "context", context(p, "long", v_list(p, 0)));
	return d;
}

struct value sample_hexdump(struct pool *p)
{
	struct value d = v_dict(p, 5);
	uint8_t bytes[0x48] = "The quick\tbrowns fox";

	memset(bytes + 0x20, 0xff, 0x20);
	v_put(p, &d, "address", v_hex(0xff8));
	v_put(p, &d, "len", v_int(sizeof(bytes)));
	v_put(p, &d, "data", v_bytes(p, bytes, sizeof(bytes)));
	v_put(p, &d, "end", v_hex(0x1040));
	v_put(p, &d, "why", v_lit("level 1 entry 1 at gpa 0x13008 is not present"));
	return d;
}

struct value sample_hexdump_folded(struct pool *p)
{
	struct value d = v_dict(p, 3);
	uint8_t bytes[0x50] = "";

	v_put(p, &d, "address", v_hex(0x240000));
	v_put(p, &d, "len", v_int(sizeof(bytes)));
	v_put(p, &d, "data", v_bytes(p, bytes, sizeof(bytes)));
	return d;
}

struct value sample_xinfo(struct pool *p)
{
	struct value d = sample_walk(p), rmap = v_dict(p, 2), aliases = v_list(p, 8);

	v_put(p, &d, "rights", WORDS("writable", "user", "exec"));
	v_put(p, &d, "symbol", v_lit("counter+0x8"));
	v_put(p, &d, "part_of", WORDS("stack"));
	v_put(p, &rmap, "gfn", v_hex(0x40));
	v_put(p, &rmap, "sptes", v_int(9));
	v_put(p, &d, "rmap", rmap);
	for (uint64_t i = 0; i < 8; i++)
		v_push(p, &aliases, v_hex(0x251000 + i * 0x1000));
	v_put(p, &d, "aliases", aliases);
	v_put(p, &d, "dirty", v_bool(true));
	return d;
}

struct value sample_xinfo_mmio(struct pool *p)
{
	struct value d = sample_walk_mmio(p);

	v_put(p, &d, "rights", WORDS("writable"));
	v_put(p, &d, "part_of", v_list(p, 0));
	v_put(p, &d, "device", v_lit("scratch"));
	return d;
}

static void push_range(struct pool *p, struct value *l, uint64_t start, uint64_t size, struct value rights, uint64_t gpa)
{
	struct value d = v_dict(p, 12);

	v_put(p, &d, "start", v_hex(start));
	v_put(p, &d, "end", v_hex(start + size));
	v_put(p, &d, "size", v_int((int64_t)size));
	v_put(p, &d, "rights", rights);
	v_put(p, &d, "gpa", v_hex(gpa));
	v_push(p, l, d);
}

struct value sample_vmmap(struct pool *p)
{
	struct value l = v_list(p, 4), *row;

	push_range(p, &l, 0x200000, 0x1000, WORDS("user", "exec"), 0x1000);
	row = &l.items[0];
	v_put(p, row, "slot", v_int(0));
	v_put(p, row, "slot_flags", WORDS("readonly"));
	v_put(p, row, "what", WORDS("code"));
	v_put(p, row, "symbols", WORDS("start", "fib"));
	v_put(p, row, "n_symbols", v_int(7));
	push_range(p, &l, 0x260000, 0x1000, WORDS("writable"), 0xd0000000);
	row = &l.items[1];
	v_put(p, row, "slot", v_null());
	v_put(p, row, "device", v_lit("scratch"));
	v_put(p, row, "what", v_list(p, 0));
	v_put(p, row, "symbols", v_list(p, 0));
	v_put(p, row, "n_symbols", v_int(0));
	push_range(p, &l, 0xffff800000000000, 1ull << 30, WORDS("writable"), 0x40000000);
	row = &l.items[2];
	v_put(p, row, "slot", v_null());
	v_put(p, row, "what", v_list(p, 0));
	v_put(p, row, "symbols", v_list(p, 0));
	v_put(p, row, "n_symbols", v_int(0));
	return l;
}

struct value sample_leaves(struct pool *p, unsigned n)
{
	struct value l = v_list(p, n);

	for (unsigned i = 0; i < n; i++) {
		struct spte_info s = {.gva = 0x3000ull * i,
				      .gva_known = true,
				      .level = 1,
				      .sptep = 0x1000 + 8 * i,
				      .gfn = i,
				      .gfn_known = true,
				      .leaf = true,
				      .present = true};
		v_push(p, &l, record_spte(p, &s));
	}
	return l;
}
