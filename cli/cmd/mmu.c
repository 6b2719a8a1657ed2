/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands about how addresses translate: the table of all of them, and walk, the single steps, the pipeline. The guest's
 * mappings are in cli/cmd/guestmap.c, the host's side in cli/cmd/shadow.c.
 */
#include "cli/cmd/mmu.h"
#include "cli/cmd/walk.h"
#include "cli/cmd/table.h"
#include "cli/session/client.h"
#include "cli/session/interrupt.h"
#include "views/record.h"

#include <errno.h>
#include <string.h>

/* "r", "w" or "x" if the next word is one. */
static bool take_access(struct args *a, unsigned *access)
{
	static const struct {
		const char *word;
		unsigned access;
	} words[] = {{"r", ACCESS_READ}, {"w", ACCESS_WRITE}, {"x", ACCESS_FETCH}};
	const char *word = args_peek(a);

	for (size_t i = 0; word && i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i].word)) {
			*access |= words[i].access;
			return args_word(a, "access", &word, NULL) == 0;
		}
	return false;
}

static int walk(struct call *c, struct err *e)
{
	unsigned access = 0;
	uint64_t gva;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret)
		return ret;
	if (args_flag(&a, "-user"))
		access |= ACCESS_USER;
	if ((ret = args_addr(&a, "gva", &gva, e)))
		return ret;
	if (!take_access(&a, &access))
		access |= ACCESS_READ;
	if ((ret = args_end(&a, e)))
		return ret;
	return walk_address(c->s->d.m, c->s->vcpu, gva, access, c->pool, &c->result, e);
}

static int one_address(struct call *c, const char *what, uint64_t *out, struct err *e)
{
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = args_addr(&a, what, out, e)))
		return ret;
	return args_end(&a, e);
}

static int gva2gpa(struct call *c, struct err *e)
{
	struct xlate_env env;
	struct walk w;
	uint64_t gva;
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int ret = one_address(c, "gva", &gva, e);

	if (ret || (ret = machine_look_begin(c->s->d.m, &hold, e)) || (ret = machine_env(c->s->d.m, c->s->vcpu, &env, e)))
		return ret;
	paging_walk(&env.pg, &env.mem, gva, ACCESS_READ, false, &w);
	if (w.fault.present)
		return err_set_at(e, w.unreadable ? -ENODATA : -EFAULT, ERR_SPACE_GVA, gva,
				  "gva2gpa 0x%llx" WHY "%s" TRY "walk 0x%llx", (unsigned long long)gva, w.why,
				  (unsigned long long)gva);
	c->result = v_hex(w.gpa);
	return 0;
}

/* Does the current vCPU see memory as in SMM? Outside, if it cannot be asked. */
static bool sees_smm(struct call *c)
{
	struct xlate_env env;

	return !machine_env(c->s->d.m, c->s->vcpu, &env, NULL) && env.smm;
}

static int gpa2hva(struct call *c, struct err *e)
{
	uint64_t gpa, hva;
	int ret = one_address(c, "gpa", &gpa, e);

	if (ret || (ret = machine_hva(c->s->d.m, gpa, sees_smm(c), &hva, e)))
		return ret;
	c->result = v_hex(hva);
	return 0;
}

static int gpa2hpa(struct call *c, struct err *e)
{
	uint64_t gpa, hpa;
	int ret = one_address(c, "gpa", &gpa, e);

	if (ret || (ret = machine_hpa(c->s->d.m, gpa, sees_smm(c), &hpa, e)))
		return ret;
	c->result = v_hex(hpa);
	return 0;
}

struct xlate_words {
	uint64_t gva, len;
	unsigned access;
	bool atomic, phys;
};

static int xlate_args(struct call *c, struct xlate_words *x, struct err *e)
{
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret)
		return ret;
	x->atomic = args_flag(&a, "-atomic");
	x->phys = args_flag(&a, "-phys");
	if (args_flag(&a, "-user"))
		x->access |= ACCESS_USER;
	if ((ret = args_addr(&a, "gva", &x->gva, e)) || (ret = args_number(&a, "length", 0, UINT32_MAX, &x->len, e)))
		return ret;
	if (!take_access(&a, &x->access)) {
		const char *word = args_peek(&a);
		if (word)
			return err_set(e, -EINVAL, "xlate" WHY "'%.60s' is no access" TRY "r, w or x", word);
		x->access |= ACCESS_READ;
	}
	return args_end(&a, e);
}

static int xlate(struct call *c, struct err *e)
{
	struct xlate_words x = {0};
	struct xlate_iolist io = {0};
	struct xlate_tlb tlb;
	struct xlate_env env;
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int ret = xlate_args(c, &x, e);

	if (ret || (ret = machine_look_begin(c->s->d.m, &hold, e)) || (ret = machine_env(c->s->d.m, c->s->vcpu, &env, e)) ||
	    (ret = gva_to_tlb(&env, x.gva, (uint32_t)x.len, x.access, x.phys, &tlb, e)))
		return ret;
	if (!tlb.fault.present && (ret = tlb_to_io(&env, &tlb, x.access, x.atomic, &io, e)))
		return ret;
	c->result = record_xlate(c->pool, &tlb, &io);
	return 0;
}

int mmu_range(struct args *a, uint64_t *first, uint64_t *last, struct err *e)
{
	int ret;

	*first = 0;
	*last = UINT64_MAX;
	if (args_more(a) && (ret = args_addr(a, "start", first, e)))
		return ret;
	if (args_more(a) && (ret = args_addr(a, "end", last, e)))
		return ret;
	if (*last < *first)
		return err_set(e, -EINVAL,
			       "%s" WHY "the end 0x%llx lies before the start 0x%llx" TRY "the lower address first",
			       a->call->cmd->name, (unsigned long long)*last, (unsigned long long)*first);
	return args_end(a, e);
}

int mmu_limit(struct args *a, uint64_t *rows, struct err *e)
{
	const char *text;
	int has = args_option(a, "-limit", &text, e);

	*rows = MMU_ROWS;
	if (has <= 0)
		return has;
	int rc = client_eval(a->call->client, text, rows, e);
	if (!rc && (!*rows || *rows > MMU_ROWS_MAX))
		return err_set(e, -EINVAL, "%s" WHY "-limit %.20s is not within 1 to %d" TRY "a range: %s",
			       a->call->cmd->name, text, MMU_ROWS_MAX, a->call->cmd->usage);
	return rc;
}

/* Sorted by name; every handler only looks. */
const struct command commands_mmu[] = {
    {.name = "gpa2hpa",
     .group = "memory-map",
     .usage = "GPA",
     .summary = "host physical address of a guest physical address",
     .help = "A plain address. An error if no slot covers it, the host has no page there yet, or this user may not know. "
	     "The soft machine has none: its sptes hold host virtual addresses (gpa2hva).",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .run = gpa2hpa},
    {.name = "gpa2hva",
     .group = "memory-map",
     .usage = "GPA",
     .summary = "host virtual address of a guest physical address",
     .help = "A plain address: where the slot's memory is mapped for the guest in this process.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .run = gpa2hva},
    {.name = "gva2gpa",
     .aliases = "v2p vtop pagewalk",
     .group = "memory-map",
     .usage = "GVA",
     .summary = "guest physical address of a guest virtual address",
     .help = "A plain address, by the current vCPU's tables as a supervisor's read. An error if it does not translate.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .run = gva2gpa},
    {.name = "info mem",
     .group = "memory-map",
     .usage = "[START [END]] [-limit N]",
     .summary = "the guest's mappings folded into ranges",
     .help = "One row a range of neighbours with the same rights: gva, end (inclusive), size, flags. A table that leads to "
	     "itself "
	     "is one row, with kind recursive, table (its gpa) and why; a range inside of it is followed.\n\n"
	     "200000 rows at the most, or N: then the last row has truncated (limit, next: where the rest begins, why).",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-limit",
     .view = "mem",
     .run = mmu_info_mem},
    {.name = "info mmio",
     .group = "memory-map",
     .summary = "each vCPU's MMIO cache",
     .help = "One row a vCPU: gva, gfn, access, generation, current_generation, valid (gva non-zero and the generation "
	     "current; by gfn: the gfn non-zero), by (what KVM looks an access up by: gva, or gfn where the MMU is direct: "
	     "with EPT and NPT, whose entries have no gva), "
	     "stale (the guest's tables now say otherwise); mmio_sptes and sptes with vCPU 0.",
     .flags = CMD_NEEDS_VM,
     .view = "mmio",
     .run = mmu_info_mmio},
    {.name = "info rmap",
     .group = "memory-map",
     .usage = "GFN [-dot]",
     .summary = "who maps a guest page: its rmap chain",
     .help =
	 "One row a slot and level: gfn, slot, level, head, kind (empty, one, many), descriptors, sptes (sptep, spte, "
	 "page_gfn, "
	 "index, gva if it follows from the tables; of a nested guest guest_mode, l2_gpa and l1_root), why if an empty one "
	 "says nothing (TDP), owner if the page is not the "
	 "guest's.\n\n-dot: one text for Graphviz "
	 "instead: the head word, its "
	 "descriptors in order, each spte with its gva and the shadow page that it stands in.\n\n    info rmap 0x40\n"
	 "    exec dot -Tsvg -o rmap.svg << [info rmap 0x40 -dot]",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-dot",
     .view = "rmap",
     .run = mmu_info_rmap},
    {.name = "info rmaps",
     .group = "memory-map",
     .summary = "how long rmap chains are",
     .help =
	 "One row a slot and level: counts of gfns with 0, 1, 2-3, 4-7, … 1024 and more sptes, and the longest; why where "
	 "TDP keeps none, owner of a slot that is not the guest's.",
     .flags = CMD_NEEDS_VM,
     .view = "rmaps",
     .run = mmu_info_rmaps},
    {.name = "info shadow",
     .group = "memory-map",
     .usage = "[GFN]",
     .summary = "shadow pages",
     .help =
	 "One row a shadow page: gfn, level, direct, access, smm, unsync, invalid, roots, sptes (present ones), mmio_sptes, "
	 "parents, address (n/a: the TDP MMU lists its roots only), table (where its 512 entries are). TDP's tables are "
	 "here, "
	 "too, with tdp; their roots' vcpus are those that are on them now, and roots counts KVM's own references. "
	 "nx_split: in "
	 "place of a huge page whose code is executed. owner, own_sptes: kvmscope's trap page or KVM's own is in it. "
	 "guest_mode: of a guest that the guest runs; l1_root: the gpa of that one's topmost nested table, if the page "
	 "shadows "
	 "one of those. With GFN "
	 "only those that shadow that guest table. info tdp has the whole.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .view = "shadow",
     .run = mmu_info_shadow},
    {.name = "info sptes",
     .group = "memory-map",
     .usage = "[START [END]] [-limit N]",
     .summary = "shadow page-table entries by guest virtual address, TDP's by guest physical",
     .help =
	 "Every entry under the current vCPU's root that maps part of START to END (inclusive): gva, gfn, level, spte, pfn, "
	 "present, writable, user, exec, accessed, dirty, host_writable, mmu_writable, mmio, leaf, sptep, owner of a page "
	 "that "
	 "is not the guest's. TDP's tables are "
	 "by gpa: then START and END are gpas, gva is null, and gpa is there; in a guest that the guest runs they "
	 "are its physical addresses, and l2_gpa and l1_root are there. A shadow page that several entries point to "
	 "is there at "
	 "each of its addresses; 200000 rows at the most, or N: then the last one has truncated (limit, next: where the "
	 "rest "
	 "begins, why).",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-limit",
     .view = "sptes",
     .run = mmu_info_sptes},
    {.name = "info tlb",
     .group = "memory-map",
     .usage = "[START [END]] [-limit N]",
     .summary = "the guest's mappings, one row each",
     .help =
	 "gva, gpa, size, entry, flags (writable, user, exec, accessed, dirty, global). END is inclusive.\n\n"
	 "Each table is gone through once. Entries that point to one again, with the same rights at the same level, are one "
	 "row without gpa and entry: kind (repeated; recursive, if the table leads to itself), table (its gpa), level and "
	 "entries (of what points there, how many), same_as (the gva of the rows that are meant) and why. A range inside of "
	 "it is listed.\n\n200000 rows at the most, or N: then the last row has truncated (limit, next: where the rest "
	 "begins, why).\n\n    info tlb 0x200000 0x2fffff -limit 20",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-limit",
     .view = "tlb",
     .run = mmu_info_tlb},
    {.name = "shadow tree",
     .group = "memory-map",
     .usage = "[ROOT] [-limit N] [-dot]",
     .summary = "the shadow tables from a root down",
     .help =
	 "The sptes of info sptes in tree order, by gva or TDP's by gpa, each before those of the table that it points to. "
	 "ROOT is the gfn of a "
	 "root's "
	 "guest table, a CR3 or a root's host address; without it the current vCPU's. 200000 rows at the most, or N, as "
	 "in info sptes.\n\n-dot: one text for Graphviz "
	 "instead: shadow pages (gfn, level, role; orange unsync, red invalid), an arrow for each spte (index, gva, "
	 "rights), neighbours that map neighbours with the same rights as one.\n\n    exec dot -Tsvg -o tree.svg << "
	 "[shadow tree -dot]",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-limit -dot",
     .view = "shadow-tree",
     .run = mmu_shadow_tree},
    {.name = "vmmap",
     .group = "memory-map",
     .usage = "[A] [-limit N]",
     .summary = "the guest's memory as ranges: rights, where they lie, what they are",
     .help =
	 "One row a range of neighbouring pages with the same rights that lie one behind the other in one slot: start, end "
	 "(the first address behind it, 0 at the top), size, rights (writable, user, exec), gpa, slot (null: none), "
	 "slot_flags, device, "
	 "and "
	 "what is known to lie there: what, a list of code, stack, gdt, idt, tables (the page of the vCPU's rip, rsp, "
	 "descriptor and top page table) and symbols (the first few; n_symbols of all). With A only the range that has "
	 "it. Tables that were gone through before, or lead to themselves, are one row as in info tlb; 200000 rows at the "
	 "most, "
	 "or N, as there.\n\n    vmmap $rsp",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-limit",
     .view = "vmmap",
     .run = mmu_vmmap},
    {.name = "walk",
     .group = "memory-map",
     .usage = "GVA [r|w|x] [-user]",
     .summary = "everything on one guest virtual address",
     .help =
	 "guest (the tables that the walk reads), gpa, rights (what all of them allow), slot, hva, hpa, sptes, mmio "
	 "(hit, stale), verdict (ok, "
	 "exception, mmio, "
	 "readonly, nested) and why: which layer decides. In a guest that the guest runs, nested (l2_gpa, l1_root, tables, "
	 "refused): what L1's nested tables make of the address that guest gives. -user: as CPL 3. Nothing is touched: no A "
	 "or D bit, no spte.\n\n"
	 "With EPT or NPT the guest's tables stand at gpas, and each of them, like the page, is reached through the "
	 "host's tables: 24 entries for four levels of both. Then there are tdp (format, levels, reads: the entries that "
	 "the walk reads in all), in each row of guest tdp (the sptes on the way to it), hpa, page_size and why (where "
	 "the processor's walk would fault into KVM), and dimensions: of read, write and fetch whether the guest's tables "
	 "and the host's let it pass, and which refuses it why. A guest without paging has the one dimension.\n\n"
	 "    walk 0x250000 w -user",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "r w x -user",
     .view = "walk",
     .run = walk},
    {.name = "xlate",
     .group = "memory-map",
     .usage = "GVA LEN r|w|x [-user] [-atomic] [-phys]",
     .summary = "an access through the translation pipeline",
     .help = "tlb (at most two of gpa, len), fault (null, or vector, error_code, address), io (at most two of kind ram, "
	     "rom, device, "
	     "mmio; slot, page, offset, len). Nothing is performed. -atomic refuses what would leave for user space.",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "r w x -user -atomic -phys",
     .view = "xlate",
     .run = xlate},
    {0},
};
