/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `walk`: one address through every layer. Each layer is asked in turn and written down; the verdict is spoken by the
 * first one that decides: the guest's tables (exception), then the slots (mmio, readonly), and where both let the access
 * pass, the sptes say what still happens on the way.
 */
#include "cli/cmd/walk_impl.h"
#include "core/board/board.h"
#include "views/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put_guest(struct walker *k, struct value *d)
{
	struct pool *p = k->p;
	const struct paging *pg = &k->env.pg;
	const char *access = k->access & ACCESS_WRITE ? "write" : k->access & ACCESS_FETCH ? "fetch" : "read";

	v_put(p, d, "gva", v_hex(k->gva));
	v_put(p, d, "access", v_lit(access));
	v_put(p, d, "user", v_bool(k->access & ACCESS_USER));
	v_put(p, d, "mode", v_lit(paging_mode_name(pg->mode)));
	v_put(p, d, "cr3", v_hex(pg->cr3));
	struct value steps = record_walk_steps(p, &k->w, pg->mode);
	walk_tdp_tables(k, &steps);
	v_put(p, d, "guest", steps);
	v_put(p, d, "fault", k->w.unreadable ? v_na(p, k->w.why) : record_guest_fault(p, &k->w.fault));
}

static void put_address(struct walker *k, struct value *d, const char *key, int ret, uint64_t x, const struct err *e)
{
	v_put(k->p, d, key, ret ? v_na(k->p, err_reason(e)) : v_hex(x));
}

/* gpa, slot, hva, hpa: n/a from where the address stops to mean anything. */
static void put_memory(struct walker *k, struct value *d)
{
	struct pool *p = k->p;
	struct err e = {0};
	uint64_t x = 0;
	int ret;

	if (k->w.fault.present) {
		struct value na = v_na(p, k->w.unreadable ? k->w.why : "the guest's tables do not map it");
		v_put(p, d, "gpa", na);
		v_put(p, d, "slot", v_null());
		v_put(p, d, "hva", na);
		v_put(p, d, "hpa", na);
		return;
	}
	k->slot = slot_lookup(k->env.slots, k->w.gpa, k->env.smm, &k->found);
	v_put(p, d, "gpa", v_hex(k->w.gpa));
	v_put(p, d, "page_size", v_int((int64_t)k->w.page_size));
	v_put(p, d, "rights", record_rights(p, k->w.rights));
	v_put(p, d, "slot", k->slot ? v_int(k->slot->id) : v_null());
	if (!k->slot) {
		struct value na = v_na(p, "no memory behind it");
		v_put(p, d, "hva", na);
		v_put(p, d, "hpa", na);
		return;
	}
	v_put(p, d, "slot_flags", record_flags(p, k->slot->flags));
	ret = machine_hva(k->m, k->w.gpa, k->env.smm, &x, &e);
	put_address(k, d, "hva", ret, x, &e);
	ret = machine_hpa(k->m, k->w.gpa, k->env.smm, &x, &e);
	put_address(k, d, "hpa", ret, x, &e);
}

static void push_spte(struct walker *k, struct value *list, const struct spte_info *s)
{
	v_push(k->p, list, walk_spte(k->p, s));
	if (s->leaf && s->present) {
		k->leaf = *s;
		k->has_leaf = true;
	}
}

/* Where the current root says nothing (another root is loaded, or none), the rmap still knows who maps this page at this
 * address. */
static void push_by_rmap(struct walker *k, struct value *list)
{
	struct rmap_list rmaps = {0};

	if (k->w.fault.present || !k->slot || machine_rmap(k->m, k->w.gpa >> PAGE_SHIFT, &rmaps, NULL))
		return;
	for (size_t i = 0; i < rmaps.n; i++)
		for (size_t j = 0; j < rmaps.v[i].n_sptes; j++) {
			const struct spte_info *s = &rmaps.v[i].sptes[j];
			if (s->gva_known && s->gva == (k->gva & ~PAGE_OFFSET_MASK))
				push_spte(k, list, s);
		}
	rmap_list_free(&rmaps);
}

/* Those of the way to the page: TDP's tables are by gpa, of which there is none where the guest's tables map nothing. */
static int sptes_of_page(struct walker *k, struct spte_list *out, struct err *e)
{
	if (k->tdp.on && k->w.fault.present)
		return 0;
	/* Of a nested guest KVM's tables are by its own physical addresses. */
	return walk_sptes(k, !k->tdp.on ? k->gva : k->w.nested ? k->w.l2_gpa : k->w.gpa, out, e);
}

static void put_sptes(struct walker *k, struct value *d)
{
	struct spte_list sptes = {0};
	struct value list = v_list(k->p, 4);
	struct err e = {0};

	if (sptes_of_page(k, &sptes, &e)) {
		v_put(k->p, d, "sptes", v_na(k->p, err_reason(&e)));
		return;
	}
	k->sptes_known = true;
	for (size_t i = 0; i < sptes.n; i++)
		push_spte(k, &list, &sptes.v[i]);
	walk_tdp_page(k, &sptes);
	spte_list_free(&sptes);
	if (!list.n && !k->tdp.on)
		push_by_rmap(k, &list);
	v_put(k->p, d, "sptes", list);
}

/* Would the vCPU's MMIO cache answer this access? Its access bits are the guest's rights when it was filled; by gfn they are
 * not asked for. */
static bool cache_hits(const struct walker *k, const struct mmio_info *m)
{
	if (m->valid && m->by_gfn)
		return !k->w.fault.present && m->gfn == k->w.gpa >> PAGE_SHIFT;
	if (!m->valid || (m->gva & ~PAGE_OFFSET_MASK) != (k->gva & ~PAGE_OFFSET_MASK))
		return false;
	if ((k->access & ACCESS_WRITE) && !(m->access & 2))
		return false;
	return !(k->access & ACCESS_USER) || (m->access & 4);
}

static void put_mmio(struct walker *k, struct value *d)
{
	struct mmio_info_list list = {0};
	struct value v = v_dict(k->p, 5);
	struct err e = {0};

	if (machine_mmio(k->m, &list, &e)) {
		v_put(k->p, d, "mmio", v_na(k->p, err_reason(&e)));
		return;
	}
	for (size_t i = 0; i < list.n; i++) {
		if (list.v[i].vcpu != k->vcpu)
			continue;
		k->mmio = list.v[i];
		k->mmio.sptes = NULL;
		k->mmio.n_sptes = 0;
		k->hit = cache_hits(k, &list.v[i]);
	}
	mmio_info_list_free(&list);
	v_put(k->p, &v, "hit", v_bool(k->hit));
	v_put(k->p, &v, "stale", v_bool(k->hit && k->mmio.stale));
	if (k->hit) {
		v_put(k->p, &v, "gfn", v_hex(k->mmio.gfn));
		v_put(k->p, &v, "by", v_lit(k->mmio.by_gfn ? "gfn" : "gva"));
	}
	v_put(k->p, d, "mmio", v);
}

/* One sentence's beginning; more may be appended. */
PRINTF_LIKE(3, 4)
static void say(char *why, size_t size, const char *fmt, ...)
{
	size_t len = strlen(why);
	va_list ap;

	va_start(ap, fmt);
	if (len < size)
		vsnprintf(why + len, size - len, fmt, ap);
	va_end(ap);
}

static const char *why_exception(const struct walker *k, char *why, size_t size)
{
	say(why, size, "the guest's tables refuse it: %s (vector %u", k->w.why, k->w.fault.vector);
	if (k->w.fault.has_error)
		say(why, size, ", error code 0x%x", k->w.fault.error_code);
	say(why, size, ")");
	if (k->has_leaf)
		say(why, size, "; an older spte is still there until the guest flushes");
	return "exception";
}

static const char *why_mmio(const struct walker *k, char *why, size_t size)
{
	struct board_window *dev = board_window_at(machine_board(k->m), k->w.gpa);
	unsigned long long gpa = k->w.gpa;

	if (k->found)
		say(why, size, "slot %u covers gpa 0x%llx but is visible %s SMM only", k->found->id, gpa,
		    k->found->vis == SLOT_VIS_SMM ? "inside" : "outside");
	else
		say(why, size, "no slot covers gpa 0x%llx", gpa);
	if (dev)
		say(why, size, ": the access leaves as an MMIO exit to device %s", dev->name);
	else
		say(why, size, ": the access leaves as an MMIO exit that no device answers");
	return "mmio";
}

static bool leaf_allows(const struct walker *k)
{
	const struct spte_info *s = &k->leaf;

	if ((k->access & ACCESS_WRITE) && !s->writable)
		return false;
	if ((k->access & ACCESS_FETCH) && !s->exec)
		return false;
	return !(k->access & ACCESS_USER) || s->user;
}

/* With TDP the guest's rights are the guest's tables' alone: what the spte refuses is KVM's own business. */
static void say_tdp_refuses(const struct walker *k, char *why, size_t size)
{
	char reason[160];

	walk_tdp_refusal(k, k->access, reason, sizeof(reason));
	say(why, size, "; the guest's tables allow it, %s does not: %s", k->tdp.name, reason);
}

static const char *why_ok(const struct walker *k, char *why, size_t size)
{
	say(why, size, "gpa 0x%llx is in slot %u", (unsigned long long)k->w.gpa, k->slot->id);
	if (!k->sptes_known)
		return "ok";
	if (!k->has_leaf)
		say(why, size,
		    "; no spte maps it yet, so the first access from native code faults into KVM, which makes one");
	else if (leaf_allows(k))
		say(why, size, " and its level %u spte allows the access: no fault", k->leaf.level);
	else if (k->tdp.on)
		say_tdp_refuses(k, why, size);
	else if (k->access & ACCESS_WRITE && k->slot->flags & SLOT_LOG_DIRTY)
		say(why, size,
		    "; its spte is write-protected for the dirty log: the first write faults into KVM and is logged");
	else
		say(why, size, "; its spte does not allow this access yet: it faults into KVM, which makes it allow it");
	return "ok";
}

static const char *why_nested(const struct walker *k, char *why, size_t size)
{
	say(why, size, "%s; the access leaves L2 for L1, which has a nested page fault", k->w.why);
	return "nested";
}

static const char *decide(const struct walker *k, char *why, size_t size)
{
	if (k->w.fault.present && k->w.nested)
		return why_nested(k, why, size);
	if (k->w.fault.present)
		return why_exception(k, why, size);
	if (!k->slot)
		return why_mmio(k, why, size);
	if (!(k->access & ACCESS_WRITE) || !(k->slot->flags & SLOT_READONLY))
		return why_ok(k, why, size);
	say(why, size, "slot %u is READONLY: the write to gpa 0x%llx leaves as an MMIO exit, reads are memory", k->slot->id,
	    (unsigned long long)k->w.gpa);
	return "readonly";
}

static void put_verdict(struct walker *k, struct value *d)
{
	char why[640] = "";
	const char *verdict = decide(k, why, sizeof(why));

	if (k->hit && k->mmio.stale)
		say(why, sizeof(why),
		    "; the MMIO cache is stale and still sends emulated accesses to gfn 0x%llx until a flush",
		    (unsigned long long)k->mmio.gfn);
	else if (k->hit)
		say(why, sizeof(why),
		    k->mmio.by_gfn ? "; the vCPU's MMIO cache knows the gfn, so no slot is looked for"
				   : "; the vCPU's MMIO cache knows it, so no walk is needed");
	v_put(k->p, d, "verdict", v_lit(verdict));
	v_put(k->p, d, "why", v_str(k->p, why));
	v_put(k->p, d, "source", v_str(k->p, machine_backend(k->m)));
}

int walk_address(struct machine *m, unsigned vcpu, uint64_t gva, unsigned access, struct pool *p, struct value *out,
		 struct err *e)
{
	struct walker k = {.m = m, .vcpu = vcpu, .access = access & ~WALK_DEBUGGER, .gva = gva, .p = p};
	_cleanup_hold_ struct machine_hold hold = {NULL};
	int ret = machine_look_begin(m, &hold, e);
	struct value d;

	if (!ret)
		ret = machine_env(m, vcpu, &k.env, e);
	if (ret)
		return ret;
	if (access & WALK_DEBUGGER)
		k.env.pg = xlate_debug_paging(&k.env);
	d = v_dict(p, 21);
	paging_walk(&k.env.pg, &k.env.mem, gva, k.access, false, &k.w);
	walk_tdp_begin(&k);
	put_guest(&k, &d);
	if (k.w.nested)
		v_put(p, &d, "nested", record_nested_walk(p, &k.env.nested, &k.w, k.access));
	put_memory(&k, &d);
	put_sptes(&k, &d);
	walk_tdp_put(&k, &d);
	put_mmio(&k, &d);
	put_verdict(&k, &d);
	*out = d;
	return 0;
}
