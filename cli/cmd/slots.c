/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands about memory slots: list, add, flags, move, del, dirty.
 */
#include "cli/cmd/args.h"
#include "cli/cmd/map.h"
#include "cli/session/interrupt.h"
#include "cli/session/session.h"
#include "cli/cmd/table.h"
#include "views/record.h"

#include <errno.h>
#include <string.h>

static void slot_list_freep(struct slot_info_list *l)
{
	slot_info_list_free(l);
}
#define _cleanup_slots_ _cleanup_(slot_list_freep)

static int compare_slots(const void *a, const void *b)
{
	const struct slot_info *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->as > y->as) - (x->as < y->as);
}

static int sorted_slots(struct machine *m, struct slot_info_list *out, struct err *e)
{
	int ret = machine_slot_list(m, out, e);

	if (!ret && out->n)
		qsort(out->v, out->n, sizeof(*out->v), compare_slots);
	return ret;
}

static int info_slots(struct call *c, struct err *e)
{
	_cleanup_slots_ struct slot_info_list list = {0};
	struct machine *m = c->s->d.m;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret)
		return ret;
	bool all = args_flag(&a, "-all"), map = args_flag(&a, "-map");
	if ((ret = args_end(&a, e)))
		return ret;
	if (map) {
		c->view = "map";
		return map_regions(c, all, &c->result, e);
	}
	if ((ret = sorted_slots(m, &list, e)))
		return ret;
	c->result = v_list(c->pool, list.n);
	for (size_t i = 0; i < list.n; i++)
		if (all || !list.v[i].own)
			v_push(c->pool, &c->result, record_slot(c->pool, &list.v[i]));
	return 0;
}

/* The slot as the machine has it now; code if there is none. */
static int find_slot(struct call *c, uint32_t id, int code, struct slot_info *out, struct err *e)
{
	_cleanup_slots_ struct slot_info_list list = {0};
	int ret = sorted_slots(c->s->d.m, &list, e);

	for (size_t i = 0; !ret && i < list.n; i++) {
		if (list.v[i].id == id) {
			*out = list.v[i];
			return 0;
		}
	}
	return ret ? ret : slot_missing(machine_slots(c->s->d.m), code, c->cmd->name, id, e);
}

static int result_slot(struct call *c, uint32_t id, const struct slot_steps *steps, struct err *e)
{
	struct slot_info info;
	int ret = machine_slot_info(c->s->d.m, id, &info, e);

	if (!ret)
		c->result = record_slot_changed(c->pool, &info, steps);
	return ret;
}

/* Any number of 32 bits: which of them are ids is the slot rules' business. */
static int arg_id(struct args *a, uint32_t *id, struct err *e)
{
	const struct call *c = a->call;
	uint64_t x;
	int ret = args_addr(a, "slot id", &x, e);

	if (ret)
		return ret;
	*id = (uint32_t)x;
	if (x == *id)
		return 0;
	return err_set(e, -EINVAL,
		       "%s" WHY "slot id %#llx has more than 32 bits, and ids end at %u on this host" TRY
		       "info slots for those in use",
		       c->cmd->name, (unsigned long long)x, machine_slots(c->s->d.m)->limits.max_slots - 1);
}

/* "64M", or an expression. */
static int arg_size(struct args *a, uint64_t *size, struct err *e)
{
	const char *word = args_peek(a);

	if (!word || !strchr("KMGTkmgt", word[strlen(word) - 1]) || word[0] < '0' || word[0] > '9')
		return args_addr(a, "size", size, e);
	int ret = args_word(a, "size", &word, e);
	return ret ? ret : parse_size(word, size, e);
}

static int arg_visible(struct args *a, enum slot_vis *vis, struct err *e)
{
	const char *word;
	int ret = args_option(a, "-visible", &word, e);

	return ret > 0 ? slot_vis_parse(word, vis, e) : ret;
}

static int slot_add_args(struct args *a, struct slot_spec *spec, struct err *e)
{
	int ret;

	if (args_flag(a, "-readonly"))
		spec->flags |= SLOT_READONLY;
	if (args_flag(a, "-log") || args_flag(a, "-log-dirty"))
		spec->flags |= SLOT_LOG_DIRTY;
	if (args_flag(a, "-smram"))
		spec->flags |= SLOT_SMRAM;
	spec->huge = args_flag(a, "-huge");
	spec->guest_memfd = args_flag(a, "-guest-memfd");
	spec->overcommit = args_flag(a, "-overcommit");
	spec->poll = interrupt_poll;
	if ((ret = arg_visible(a, &spec->vis, e)))
		return ret;
	if ((ret = args_option(a, "-file", &spec->file, e)) < 0)
		return ret;
	if ((ret = arg_id(a, &spec->id, e)) || (ret = args_addr(a, "gpa", &spec->gpa, e)) ||
	    (ret = arg_size(a, &spec->size, e)))
		return ret;
	return args_end(a, e);
}

static int slot_add(struct call *c, struct err *e)
{
	struct slot_spec spec = {0};
	struct slot_steps steps = {0};
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = slot_add_args(&a, &spec, e)))
		return ret;
	ret = machine_slot_add(c->s->d.m, &spec, &steps, e);
	return ret ? ret : result_slot(c, spec.id, &steps, e);
}

/* "+readonly", "-log-dirty": each into set or clear. */
static int arg_flags(struct args *a, uint32_t *set, uint32_t *clear, struct err *e)
{
	const char *word;
	uint32_t flag;
	int ret;

	while (args_more(a)) {
		if ((ret = args_word(a, "flag", &word, e)))
			return ret;
		if (word[0] != '+' && word[0] != '-')
			return err_set(e, -EINVAL,
				       "slot flags" WHY "'%.60s' does not begin with + or -" TRY "+%.60s or -%.60s", word,
				       word, word);
		if ((ret = slot_flag_parse(word + 1, &flag, e)))
			return ret;
		*(word[0] == '+' ? set : clear) |= flag;
		*(word[0] == '+' ? clear : set) &= ~flag;
	}
	return 0;
}

static int slot_flags(struct call *c, struct err *e)
{
	struct slot_steps steps = {0};
	enum slot_vis vis = 0;
	uint32_t id, set = 0, clear = 0;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = arg_visible(&a, &vis, e)) || (ret = arg_id(&a, &id, e)) || (ret = arg_flags(&a, &set, &clear, e)))
		return ret;
	if (!set && !clear && !vis)
		return err_set(e, -EINVAL, "slot flags %u" WHY "no flag is named" TRY "slot flags %u +readonly", id, id);
	ret = machine_slot_flags(c->s->d.m, id, set, clear, vis, &steps, e);
	return ret ? ret : result_slot(c, id, &steps, e);
}

static int slot_move(struct call *c, struct err *e)
{
	struct slot_steps steps = {0};
	uint32_t id;
	uint64_t gpa;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = arg_id(&a, &id, e)) || (ret = args_addr(&a, "gpa", &gpa, e)) || (ret = args_end(&a, e)))
		return ret;
	ret = machine_slot_move(c->s->d.m, id, gpa, &steps, e);
	return ret ? ret : result_slot(c, id, &steps, e);
}

static int slot_del(struct call *c, struct err *e)
{
	struct slot_steps steps = {0};
	struct slot_info info;
	uint32_t id;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = arg_id(&a, &id, e)) || (ret = args_end(&a, e)) || (ret = find_slot(c, id, -EINVAL, &info, e)) ||
	    (ret = machine_slot_delete(c->s->d.m, id, &steps, e)))
		return ret;
	c->result = record_slot_changed(c->pool, &info, &steps);
	v_put(c->pool, &c->result, "deleted", v_bool(true));
	return 0;
}

/* Of either bitmap; NULL has none. */
static struct value dirty_gfns(struct pool *p, const struct slot_info *s, const uint64_t *a, const uint64_t *b, size_t n)
{
	struct value list = v_list(p, 0);
	uint64_t pages = s->size >> PAGE_SHIFT;

	for (size_t w = 0; w < n; w++)
		for (uint64_t word = (a ? a[w] : 0) | (b ? b[w] : 0); word; word &= word - 1) {
			uint64_t page = w * 64 + (unsigned)__builtin_ctzll(word);
			if (page < pages)
				v_push(p, &list, v_hex((s->gpa >> PAGE_SHIFT) + page));
		}
	return list;
}

static int slot_dirty(struct call *c, struct err *e)
{
	_cleanup_(dirty_entry_list_free) struct dirty_entry_list ring = {0};
	uint64_t *bits[2] = {NULL, NULL};
	size_t n = 0;
	struct slot_info info;
	uint32_t id;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret)
		return ret;
	bool clear = args_flag(&a, "-clear"), rings = args_flag(&a, "-ring");
	if ((ret = arg_id(&a, &id, e)) || (ret = args_end(&a, e)) || (ret = find_slot(c, id, -ENOENT, &info, e)) ||
	    (rings && (ret = machine_slot_dirty_ring(c->s->d.m, id, &ring, e))) ||
	    (ret = machine_slot_dirty_views(c->s->d.m, id, clear, bits, &n, e)))
		return ret;
	c->result = record_slot(c->pool, &info);
	v_put(c->pool, &c->result, "dirty", dirty_gfns(c->pool, &info, bits[0], bits[1], n));
	if (bits[0] && bits[1]) {
		v_put(c->pool, &c->result, "dirty_non_smm", dirty_gfns(c->pool, &info, bits[0], NULL, n));
		v_put(c->pool, &c->result, "dirty_smm", dirty_gfns(c->pool, &info, NULL, bits[1], n));
	}
	if (rings)
		record_put_ring(c->pool, &c->result, &ring);
	free(bits[0]);
	free(bits[1]);
	return 0;
}

/* The whole slot, or from FIRST to LAST, whose page is one of it. */
static int prefault_range(struct args *a, const struct slot_info *s, uint64_t *gpa, uint64_t *size, struct err *e)
{
	uint64_t last = s->gpa + (s->size - 1);
	int ret = 0;

	*gpa = s->gpa;
	if (args_more(a))
		ret = args_addr(a, "first gpa", gpa, e);
	if (!ret && args_more(a))
		ret = args_addr(a, "last gpa", &last, e);
	else if (!ret && *gpa != s->gpa)
		last = *gpa;
	if (ret || (ret = args_end(a, e)))
		return ret;
	if (*gpa > last)
		return err_set(e, -EINVAL,
			       "slot prefault %u" WHY "the range ends before it begins" TRY "the lower gpa first", s->id);
	*gpa &= ~PAGE_OFFSET_MASK;
	*size = (last | PAGE_OFFSET_MASK) - *gpa + 1;
	return 0;
}

static int slot_prefault(struct call *c, struct err *e)
{
	struct prefault done;
	struct slot_info info;
	uint64_t gpa, size = 0;
	uint32_t id;
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = arg_id(&a, &id, e)) || (ret = find_slot(c, id, -ENOENT, &info, e)) ||
	    (ret = prefault_range(&a, &info, &gpa, &size, e)) ||
	    (ret = machine_slot_prefault(c->s->d.m, c->s->vcpu, id, gpa, size, interrupt_poll, &done, e)))
		return ret;
	c->result = record_slot(c->pool, &info);
	record_put_prefault(c->pool, &c->result, c->s->vcpu, gpa, &done);
	return 0;
}

#define CHANGES (CMD_NEEDS_VM | CMD_NEEDS_STOPPED)

const struct command commands_slots[] = {
    {.name = "info slots",
     .group = "slots",
     .usage = "[-all] [-map]",
     .summary = "the memory slots, as a table or as a picture",
     .help =
	 "One row a slot, by id: id, as (address space), visible (smm, non-smm, both), gpa, size, hva, flags (readonly, "
	 "log-dirty, smram), generation, source. Of a slot made by slot add -guest-memfd also guest_memfd (the number of "
	 "its "
	 "descriptor), guest_memfd_offset (where in it the slot begins) and attributes (shared: the host has its "
	 "bytes).\n\nA slot that the debugger keeps for itself shows only with -all, "
	 "with own "
	 "true.\n\n-map: the whole guest physical space as bars on one axis, long holes cut short and marked. One row a "
	 "region, by gpa: gpa, size, kind (ram, rom, device, hole), slot, flags, visible, name of a device. What is seen "
	 "inside SMM only is a region of its own.\n\n    info slots -map",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_WORDS,
     .words = "-all -map",
     .view = "slots",
     .run = info_slots},
    {.name = "slot add",
     .group = "slots",
     .usage = "ID GPA SIZE [-readonly] [-log] [-smram] [-visible smm|non-smm|both] [-file F] [-huge] [-guest-memfd] "
	      "[-overcommit]",
     .summary = "add a memory slot",
     .help =
	 "SIZE in bytes or with K, M, G. -log turns dirty logging on, -smram is -visible smm, -file backs it with a "
	 "file (only ever read: what the guest writes to it ends in an error stop), -huge with 2 MiB pages, gpa and hva "
	 "congruent, so that KVM can map it by sptes of level 2. -huge takes all of its memory at once (with "
	 "-b soft it only advises the host to use such pages as they are touched, and takes none), out of what is free, "
	 "not out of "
	 "hugetlb pools; KVM's tables take "
	 "some for every page: what the host does not have is refused before anything is made, unless -overcommit says not "
	 "to "
	 "look. Ctrl-C gives a slot up that is being made.\n\n"
	 "-guest-memfd: memory of KVM's own (KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION2), mapped here and shared "
	 "with "
	 "the guest: Linux 6.18, kvm only; info kvm says whether it is there. KVM makes no such slot readonly or log-dirty "
	 "and "
	 "changes nothing of it: it is deleted and made anew. Seen inside SMM as well, in a VM with two address spaces, it "
	 "belongs to the first, and the second has the same pages by their mapping. userfaultfd does not know such memory, "
	 "so "
	 "that watchpoints by pages and catch fault do without it there.\n\n"
	 "Gives the slot and the steps that ran. A refused slot changes nothing; the error says which rule refused it.\n\n"
	 "    slot add 5 0x10000000 64K -readonly",
     .flags = CHANGES,
     .needs = NEEDS(SLOTS),
     .complete = COMPLETE_FILE,
     .words = "-readonly -log -smram -visible -file -huge -guest-memfd -overcommit",
     .view = "slot",
     .run = slot_add},
    {.name = "slot del",
     .aliases = "slot_delete",
     .group = "slots",
     .usage = "ID",
     .summary = "remove a memory slot",
     .help = "Gives the slot as it was, deleted true, and the steps that ran. Its memory is gone with it.",
     .flags = CHANGES,
     .needs = NEEDS(SLOTS),
     .complete = COMPLETE_SLOT,
     .view = "slot",
     .run = slot_del},
    {.name = "slot dirty",
     .group = "slots",
     .usage = "ID [-clear] [-ring]",
     .summary = "pages of a slot that the guest has written",
     .help =
	 "Gives the slot with dirty: the gfns written since the last -clear. The slot must log dirty pages "
	 "(slot flags ID +log-dirty).\n\nA slot that is seen inside SMM and outside logs each apart: dirty_smm and "
	 "dirty_non_smm, of which dirty is the union.\n\n"
	 "-ring: the entries of the vCPUs' dirty rings too, in a VM that was made with them (load IMAGE --dirty-ring "
	 "ENTRIES; KVM_CAP_DIRTY_LOG_RING, Linux 5.11). KVM pushes one onto its vCPU's ring whenever it marks a page, and "
	 "has no bitmaps then. ring is a list by vcpu and n (its number in that ring, from 0) of gfn, slot, as, offset (in "
	 "pages, from the slot's first) and flags: dirty, or reset once it was given back to KVM (KVM_RESET_DIRTY_RINGS). "
	 "Only then is the page write-protected again, and its next write an entry again. That happens at -clear, for all "
	 "slots, as rings have the pages of all; and to the whole of a ring that is full, where the vCPU leaves the guest "
	 "by itself (KVM_EXIT_DIRTY_RING_FULL): ring_full says how often. ring_entries is how many a ring has; ring_lost "
	 "how many entries there was no room to keep, which dirty has all the same.\n\n"
	 "    load demo:tour --dirty-ring 4096\n    slot flags 0 +log-dirty\n    run\n    slot dirty 0 -ring",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_SLOT,
     .words = "-clear -ring",
     .view = "slot",
     .run = slot_dirty},
    {.name = "slot flags",
     .group = "slots",
     .usage = "ID +FLAG|-FLAG… [-visible smm|non-smm|both]",
     .summary = "set and clear a slot's flags",
     .help = "FLAG is readonly, log-dirty or smram. KVM cannot flip READONLY in place: the slot is deleted and created, its "
	     "bytes stay; steps says which calls ran.\n\n    slot flags 1 -readonly",
     .flags = CHANGES,
     .needs = NEEDS(SLOTS),
     .complete = COMPLETE_SLOT,
     .words = "+readonly -readonly +log-dirty -log-dirty +smram -smram -visible",
     .view = "slot",
     .run = slot_flags},
    {.name = "slot move",
     .group = "slots",
     .usage = "ID GPA",
     .summary = "move a slot to another guest physical address",
     .help = "Its bytes go with it. Gives the slot and the steps that ran.",
     .flags = CHANGES,
     .needs = NEEDS(SLOTS),
     .complete = COMPLETE_SLOT,
     .view = "slot",
     .run = slot_move},
    {.name = "slot prefault",
     .group = "slots",
     .usage = "ID [FIRST [LAST]]",
     .summary = "map a slot's pages before the guest touches them",
     .help =
	 "All of the slot, or the pages from gpa FIRST to LAST (inclusive; FIRST alone is one page), as if the current vCPU "
	 "had read each of them.\n\nOn kvm by KVM_PRE_FAULT_MEMORY (Linux 6.11), which needs EPT or NPT: its tables are by "
	 "gpa; info kvm says whether it is there. What is mapped stays, also where it ends early (Ctrl-C, no memory): the "
	 "error "
	 "says how far it came.\n\nOn soft, whose shadow tables are by gva, each page that the guest's tables lead to: "
	 "mapped "
	 "says how many addresses now have their sptes. An entry that the guest has not accessed yet is left out "
	 "(not_accessed), as KVM's own shadow paging does when it fetches entries ahead: behind an spte nobody would set "
	 "its A "
	 "bit.\n\nGives the slot with vcpu, first and last (gpas), bytes, and calls (of the kernel's) or mapped and "
	 "not_accessed.\n\n    slot prefault 0 0x40000 0x4ffff",
     .flags = CHANGES,
     .needs = NEEDS(SLOTS),
     .complete = COMPLETE_SLOT,
     .view = "slot",
     .run = slot_prefault},
    {0},
};
