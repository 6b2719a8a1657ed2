/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Slots as KVM has them: which of the table's slots are set in which address space, their dirty logs, and making KVM forget
 * what it cached. One slot of the table is up to two regions of KVM: id in space 0 (seen outside SMM) and id | 1 << 16 in
 * space 1 (seen inside). On a host with one space only the slots of the current view are set, and kvm_slots_view() swaps.
 */
#include "kvmback/host/backing.h"
#include "kvmback/host/newkvm.h"
#include "kvmback/kernel/kview.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define KVM_FLAGS (SLOT_LOG_DIRTY | SLOT_READONLY)
#define LIST_FROM_PAGES 16 /* a write of more pages lists the shadow pages once instead of asking for each */

/* One region as it stands or should stand; size 0: not there. */
struct region {
	uint64_t gpa, size;
	uint32_t flags;
};

static bool in_space(const struct kvm_vm *vm, enum slot_vis vis, unsigned as)
{
	if (vm->host->address_spaces > 1)
		return vis & (as ? SLOT_VIS_SMM : SLOT_VIS_NONSMM);
	return as == 0 && vis & (vm->view_smm ? SLOT_VIS_SMM : SLOT_VIS_NONSMM);
}

static struct region region_of(const struct kvm_vm *vm, const struct slot *s, enum slot_vis vis, unsigned as)
{
	if (!in_space(vm, vis, as))
		return (struct region){0};
	return (struct region){s->gpa, s->size, s->flags & KVM_FLAGS};
}

/* The rules were checked already: a refusal by them means that table and kernel disagree. */
static int region_error(const struct slot *s, const struct region *to, int errnum, struct err *e)
{
	unsigned long long gpa = to->size ? to->gpa : s->gpa, size = s->size;
	const char *doing = to->size ? "set" : "delete";

	if (errnum == EEXIST)
		return err_set_at(
		    e, -EEXIST, ERR_SPACE_GPA, gpa,
		    "slot %u" WHY
		    "KVM answered EEXIST: gpa 0x%llx to %#llx meets memory that it or the debugger keeps for itself, "
		    "in a slot that is none of yours" TRY "info slots -all, which lists it, and a gpa away from it",
		    s->id, gpa, gpa + size - 1);
	if (errnum == EINVAL)
		return err_set(
		    e, -EPROTO,
		    "slot %u" WHY
		    "KVM answered EINVAL when asked to %s id %u, gpa 0x%llx, size %#llx, flags %#x, which the slot "
		    "rules allow" TRY "info slots -all, and a report of these numbers",
		    s->id, doing, s->id, gpa, size, to->flags);
	if (errnum == ENOMEM)
		return err_set(e, -ENOMEM,
			       "slot %u" WHY "KVM has no kernel memory left to %s it, %#llx bytes at gpa 0x%llx" TRY
			       "%s, or the same with memory freed on this host",
			       s->id, doing, size, gpa, to->size ? "a smaller slot" : "info slots: it is still there");
	return err_errno(e, errnum,
			 "slot %u" WHY "KVM_SET_USER_MEMORY_REGION to %s gpa 0x%llx, size %#llx at hva %#llx" TRY
			 "info slots -all",
			 s->id, doing, gpa, size, (unsigned long long)s->hva);
}

/* A part of a guest_memfd belongs to one region of KVM's, that of the first space in which the slot is seen. The other
 * space has the same pages by their mapping. */
static bool has_memfd(const struct slot *s, unsigned as)
{
	return s->guest_memfd && (!as || !(s->vis & SLOT_VIS_NONSMM));
}

static int region2_set(struct kvm_vm *vm, const struct slot *s, unsigned as, const struct region *to)
{
	struct newkvm_region2 r = {
	    .slot = s->id | as << 16,
	    .flags = to->flags | NEWKVM_MEM_GUEST_MEMFD,
	    .guest_phys_addr = to->gpa,
	    .memory_size = to->size,
	    .userspace_addr = s->hva,
	    .guest_memfd = (uint32_t)s->memfd,
	};

	return ioctl(vm->fd, NEWKVM_SET_USER_MEMORY_REGION2, &r);
}

static int region_set(struct kvm_vm *vm, const struct slot *s, unsigned as, const struct region *to, struct err *e)
{
	struct kvm_userspace_memory_region r = {
	    .slot = s->id | as << 16,
	    .flags = to->flags,
	    .guest_phys_addr = to->gpa,
	    .memory_size = to->size,
	    .userspace_addr = s->hva,
	};
	int rc;

	do
		rc = to->size && has_memfd(s, as) ? region2_set(vm, s, as, to)
						  : ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &r);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? region_error(s, to, errno, e) : 0;
}

static void region_step(const struct slot *s, unsigned as, const struct region *from, const struct region *to,
			struct slot_steps *steps)
{
	const char *space = as ? " in SMM's space" : "";
	const char *ro = to->flags & SLOT_READONLY ? " readonly" : "", *log = to->flags & SLOT_LOG_DIRTY ? " log-dirty" : "";

	if (!to->size)
		slot_step_add(steps, "KVM_SET_USER_MEMORY_REGION slot %u%s: delete", s->id, space);
	else if (!from->size)
		slot_step_add(steps, "KVM_SET_USER_MEMORY_REGION%s slot %u%s: create at %#llx%s%s%s",
			      has_memfd(s, as) ? "2" : "", s->id, space, (unsigned long long)to->gpa, ro, log,
			      has_memfd(s, as) ? " guest_memfd" : "");
	else if (from->gpa != to->gpa)
		slot_step_add(steps, "KVM_SET_USER_MEMORY_REGION slot %u%s: move to %#llx%s%s", s->id, space,
			      (unsigned long long)to->gpa, ro, log);
	else
		slot_step_add(steps, "KVM_SET_USER_MEMORY_REGION slot %u%s: flags%s%s", s->id, space, ro,
			      *ro || *log ? log : " none");
}

static bool region_same(const struct region *a, const struct region *b)
{
	return a->size == b->size && (!a->size || (a->gpa == b->gpa && a->flags == b->flags));
}

/* Bring both spaces from one state to the other, or leave them as they were. */
static int regions_change(struct kvm_vm *vm, const struct slot *s, const struct region from[2], const struct region to[2],
			  struct slot_steps *steps, struct err *e)
{
	for (unsigned as = 0; as < 2; as++) {
		int rc;

		if (region_same(&from[as], &to[as]))
			continue;
		rc = region_set(vm, s, as, &to[as], e);
		if (rc) {
			if (as && !region_same(&from[0], &to[0]))
				(void)region_set(vm, s, 0, &from[0], NULL);
			return rc;
		}
		region_step(s, as, &from[as], &to[as], steps);
	}
	return 0;
}

/* ---- dirty log */

static int log_fetch(struct kvm_vm *vm, const struct slot *s, unsigned as, uint64_t *bits, bool restart, struct err *e)
{
	struct kvm_dirty_log get = {.slot = s->id | as << 16, .dirty_bitmap = bits};
	struct kvm_clear_dirty_log clear = {
	    .slot = get.slot, .num_pages = (uint32_t)(s->size >> PAGE_SHIFT), .dirty_bitmap = bits};

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &get) < 0)
		return err_errno(e, errno, "read the dirty log of slot %u" WHY "KVM_GET_DIRTY_LOG" TRY "slot flags %u +log",
				 s->id, s->id);
	/* Without manual protection the fetch itself cleared and write-protected. */
	if (restart && vm->host->manual_dirty && ioctl(vm->fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0)
		return err_errno(
		    e, errno, "clear the dirty log of slot %u" WHY "KVM_CLEAR_DIRTY_LOG" TRY "slot flags %u -log, then +log",
		    s->id, s->id);
	return 0;
}

static int log_fold(struct kvm_vm *vm, struct slot *s, unsigned as, bool restart, struct err *e)
{
	size_t words = (size_t)((s->size / PAGE_SIZE_4K + 63) / 64);
	unsigned side = vm->host->address_spaces > 1 ? as : vm->view_smm;
	_cleanup_free_ uint64_t *bits = calloc(words, sizeof(*bits));
	int rc = bits ? 0 : err_nomem(e, "read a dirty log");

	if (!rc)
		rc = log_fetch(vm, s, as, bits, restart, e);
	for (size_t i = 0; !rc && i < words; i++)
		s->dirty[side][i] |= bits[i];
	return rc;
}

/* The ioctl would wait for the parked vCPU: the kernel's own bitmap instead, if it can be read. */
static int dirty_while_parked(struct kvm_vm *vm, struct slot *s, struct err *e)
{
	size_t n = (size_t)((s->size / PAGE_SIZE_4K + 63) / 64);
	_cleanup_free_ uint64_t *bits = calloc(n, sizeof(*bits));
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;
	int rc = bits ? kvm_kview(vm, &k, e) : err_nomem(e, "slot dirty");

	if (!rc)
		rc = kview_dirty(k, s->id, 0, bits, n, e);
	for (int smm = 0; !rc && smm < 2; smm++)
		for (size_t i = 0; s->dirty[smm] && i < n; i++)
			s->dirty[smm][i] |= bits[i];
	return rc;
}

/* Rings are memory of this process, whatever a vCPU does. */
static int dirty_by_rings(struct kvm_vm *vm, struct slot *s, bool restart, struct err *e)
{
	int rc = slot_log_start(s, e);

	if (!rc)
		kvm_rings_read(vm);
	return rc || !restart ? rc : kvm_rings_give_back(vm, e);
}

int kvm_slot_dirty(struct machine *m, struct slot *s, bool restart, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	int rc;

	if (!(s->flags & SLOT_LOG_DIRTY))
		return 0;
	if (m->rings.entries)
		return dirty_by_rings(vm, s, restart, e);
	if (kvm_is_parked(vm))
		return dirty_while_parked(vm, s, e);
	rc = slot_log_start(s, e);
	for (unsigned as = 0; !rc && as < 2; as++)
		if (in_space(vm, s->vis, as))
			rc = log_fold(vm, s, as, restart, e);
	return rc;
}

/* ---- changes */

static int slot_create(struct kvm_vm *vm, struct slot *s, const struct slot_spec *spec, struct slot_steps *steps,
		       struct err *e)
{
	const struct region none[2] = {{0}, {0}};
	struct region to[2] = {region_of(vm, s, s->vis, 0), region_of(vm, s, s->vis, 1)};
	bool fresh = !s->backing;
	int rc = fresh ? backing_make(vm, s, spec, steps, e) : 0;

	if (rc)
		return rc;
	rc = regions_change(vm, s, none, to, steps, e);
	if (rc && fresh)
		backing_free(s);
	else if (!rc && !to[0].size && !to[1].size)
		slot_step_add(steps, "slot %u is kept out of KVM until %s SMM", s->id,
			      vm->view_smm ? "RSM leaves" : "an SMI enters");
	return rc;
}

static int slot_alter(struct kvm_vm *vm, struct slot *s, const struct slot_spec *wish, struct slot_steps *steps,
		      struct err *e)
{
	enum slot_vis vis = wish->vis ? wish->vis : s->vis;
	struct slot after = *s;
	struct region from[2], to[2];

	after.gpa = wish->gpa;
	after.flags = wish->flags;
	for (unsigned as = 0; as < 2; as++) {
		from[as] = region_of(vm, s, s->vis, as);
		to[as] = region_of(vm, &after, vis, as);
	}
	return regions_change(vm, s, from, to, steps, e);
}

static int slot_drop(struct kvm_vm *vm, struct slot *s, struct slot_steps *steps, struct err *e)
{
	const struct region none[2] = {{0}, {0}};
	const struct region from[2] = {region_of(vm, s, s->vis, 0), region_of(vm, s, s->vis, 1)};

	return regions_change(vm, s, from, none, steps, e);
}

int kvm_slot_change(struct machine *m, struct slot *s, const struct slot_change *c, struct slot_steps *steps, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	int rc = 0;

	/* KVM drops the bitmap of a slot that is deleted or no longer logged. */
	if (c->kind != SLOT_CREATE && c->kind != SLOT_NOTHING)
		rc = kvm_slot_dirty(m, s, false, e);
	if (rc)
		return rc;
	switch (c->kind) {
	case SLOT_CREATE:
		return slot_create(vm, s, &c->to, steps, e);
	case SLOT_DELETE:
		return slot_drop(vm, s, steps, e);
	case SLOT_MOVE:
	case SLOT_FLAGS:
		rc = slot_alter(vm, s, &c->to, steps, e);
		if (!rc && c->kind == SLOT_MOVE && s->huge && (s->hva ^ c->to.gpa) & (HUGE_SIZE - 1))
			slot_step_add(steps, "gpa and hva are no longer congruent: sptes of 4 KiB only");
		return rc;
	case SLOT_NOTHING:
		break;
	}
	return 0;
}

void kvm_slot_release(struct machine *m, struct slot *s)
{
	(void)m;
	backing_free(s);
}

/* ---- making KVM forget */

int kvm_slot_refresh(struct kvm_vm *vm, struct slot *s, struct err *e)
{
	const struct region none[2] = {{0}, {0}};
	const struct region now[2] = {region_of(vm, s, s->vis, 0), region_of(vm, s, s->vis, 1)};
	int rc;

	if (!now[0].size && !now[1].size)
		return 0;
	rc = kvm_slot_dirty(&vm->m, s, false, e);
	if (!rc)
		rc = regions_change(vm, s, now, none, NULL, e);
	if (!rc) {
		rc = regions_change(vm, s, none, now, NULL, e);
		/* Deleting any slot zaps every shadow page of the VM. */
		atomic_store(&vm->ran, false);
	}
	return rc;
}

static bool any_table_in(struct kview *k, uint64_t first, uint64_t last)
{
	struct shadow_page_list l = {0};
	bool hit = false;

	if (kview_shadow_pages(k, 0, &l, NULL))
		return true;
	for (size_t i = 0; i < l.n && !hit; i++)
		hit = !l.v[i].direct && l.v[i].gfn >= first && l.v[i].gfn <= last;
	hit |= l.torn;
	shadow_page_list_free(&l);
	return hit;
}

/* Does KVM hold something that it made from these bytes? If that cannot be known, yes. With TDP it is the processor's TLB
 * that may, and nobody can look there. */
static bool cached_from(struct kvm_vm *vm, uint64_t gpa, uint64_t len)
{
	uint64_t first = gpa >> PAGE_SHIFT, last = (gpa + len - 1) >> PAGE_SHIFT;
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;

	if (kvm_kview(vm, &k, NULL) || kview_tdp(k))
		return true;
	if (last - first >= LIST_FROM_PAGES)
		return any_table_in(k, first, last);
	for (uint64_t gfn = first; gfn <= last; gfn++) {
		bool table = true;

		if (kview_is_table(k, gfn, &table, NULL) || table)
			return true;
	}
	return false;
}

int kvm_wrote(struct machine *m, struct slot *s, uint64_t gpa, uint64_t len, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);

	if (!len || !atomic_load(&vm->ran) || !cached_from(vm, gpa, len))
		return 0;
	return kvm_slot_refresh(vm, s, e);
}

/* ---- SMM on one address space */

static bool changes_sides(const struct slot *s)
{
	return s->vis != SLOT_VIS_BOTH;
}

static int view_put(struct kvm_vm *vm, bool smm, bool in, size_t *done, struct err *e)
{
	const struct region none = {0};
	struct slot_table *t = &vm->m.slots;

	for (*done = 0; *done < t->n; (*done)++) {
		const struct slot *s = t->by_gfn[*done];
		const struct region r = {s->gpa, s->size, s->flags & KVM_FLAGS};
		int rc = changes_sides(s) && slot_visible(s, smm) ? region_set(vm, s, 0, in ? &r : &none, e) : 0;

		if (rc)
			return rc;
	}
	return 0;
}

/* Put back the first n slots of a view_put() that failed: best effort, the error is reported already. */
static void view_undo(struct kvm_vm *vm, bool smm, bool was_in, size_t n)
{
	const struct region none = {0};

	for (size_t i = 0; i < n; i++) {
		const struct slot *s = vm->m.slots.by_gfn[i];
		const struct region r = {s->gpa, s->size, s->flags & KVM_FLAGS};

		if (changes_sides(s) && slot_visible(s, smm))
			(void)region_set(vm, s, 0, was_in ? &r : &none, NULL);
	}
}

static int fold_logs(struct kvm_vm *vm, struct err *e)
{
	struct slot_table *t = &vm->m.slots;
	int rc = 0;

	for (size_t i = 0; !rc && i < t->n; i++)
		rc = kvm_slot_dirty(&vm->m, t->by_gfn[i], true, e);
	return rc;
}

int kvm_slots_view(struct kvm_vm *vm, bool smm, struct err *e)
{
	size_t done;
	int rc;

	if (vm->host->address_spaces > 1 || vm->view_smm == smm)
		return 0;
	rc = fold_logs(vm, e);
	if (rc)
		return rc;
	rc = view_put(vm, !smm, false, &done, e);
	if (rc) {
		view_undo(vm, !smm, true, done);
		return rc;
	}
	rc = view_put(vm, smm, true, &done, e);
	if (rc) {
		view_undo(vm, smm, false, done);
		view_undo(vm, !smm, true, vm->m.slots.n);
		return rc;
	}
	vm->view_smm = smm;
	return 0;
}
