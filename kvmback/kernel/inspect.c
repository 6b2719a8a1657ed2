/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kvm backend's inspection operations, on the kernel's own structures (kernel/kview.h). The view is opened when it is
 * first asked for; if it cannot be, the reason is kept and given each time, at no cost.
 */
#include <errno.h>
#include <string.h>

#include "core/base/lock.h"
#include "kvmback/kernel/kmem.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/kvm.h"

int kvm_kview(struct kvm_vm *vm, struct kview **out, struct err *e)
{
	lock_assert_held(&vm->kview_lock);
	int fds[KVM_MAX_VCPUS_HERE];
	struct err why = {0};
	int rc;

	if (!vm->kview && (!vm->kview_err.code || kmem_passing(vm->kview_err.code))) {
		for (unsigned i = 0; i < vm->m.vcpus; i++)
			fds[i] = vm->vcpu[i].fd;
		rc = kview_open(vm->fd, fds, vm->m.vcpus, &vm->kview, &why);
		if (rc) {
			vm->kview = NULL;
			why.code = rc;
			vm->kview_err = why;
		}
	}
	if (!vm->kview) {
		if (e && e != &vm->kview_err)
			*e = vm->kview_err;
		return vm->kview_err.code;
	}
	*out = vm->kview;
	return 0;
}

/* ---- what others ask of it, each under its lock */

int kvm_view_roots(struct kvm_vm *vm, struct root_list *out, struct err *e)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;
	int rc = kvm_kview(vm, &k, e);

	return rc ? rc : kview_roots(k, out, e);
}

int kvm_view_rmap(struct kvm_vm *vm, uint64_t gfn, struct rmap_list *out, struct err *e)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;
	int rc = kvm_kview(vm, &k, e);

	return rc ? rc : kview_rmap(k, gfn, out, e);
}

int kvm_view_regs(struct kvm_vm *vm, unsigned vcpu, struct regs *out, struct err *e)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;
	int rc = kvm_kview(vm, &k, e);

	return rc ? rc : kview_regs(k, vcpu, out, e);
}

int kvm_view_rip(struct kvm_vm *vm, unsigned vcpu, uint64_t *rip, struct err *e)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;
	int rc = kvm_kview(vm, &k, e);

	return rc ? rc : kview_rip(k, vcpu, rip, e);
}

int kvm_view_gprs(struct kvm_vm *vm, unsigned vcpu, uint64_t gpr[16], uint64_t *rip)
{
	LOCK_SCOPE(&vm->kview_lock);

	return vm->kview ? kview_gprs(vm->kview, vcpu, gpr, rip) : -ENODEV;
}

bool kvm_view_tdp(struct kvm_vm *vm, bool unknown)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;

	return kvm_kview(vm, &k, NULL) ? unknown : kview_tdp(k);
}

bool kvm_view_tdp_mmu(struct kvm_vm *vm, bool unknown)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;

	return kvm_kview(vm, &k, NULL) ? unknown : kview_tdp_mmu(k);
}

bool kvm_view_ept(struct kvm_vm *vm)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;

	return !kvm_kview(vm, &k, NULL) && kview_ept(k);
}

int kvm_view_open(struct kvm_vm *vm, struct err *e)
{
	LOCK_SCOPE(&vm->kview_lock);

	return kvm_kview(vm, &(struct kview *){NULL}, e);
}

/* ---- slots: the debugger's table, each with what the kernel has of it */

/* smram is the debugger's word for a visibility: the kernel has no such flag. */
static void take_kernel(struct slot_info *row, const struct slot_info *k)
{
	row->as = k->as;
	row->gpa = k->gpa;
	row->size = k->size;
	row->hva = k->hva;
	row->flags = (k->flags & (SLOT_LOG_DIRTY | SLOT_READONLY)) | (row->flags & SLOT_SMRAM);
	row->generation = k->generation;
	row->source = SOURCE_KERNEL;
	row->torn = k->torn;
}

static int by_id(const void *a, const void *b)
{
	const struct slot_info *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void view_slots(struct kvm_vm *vm, struct slot_info_list *out)
{
	LOCK_SCOPE(&vm->kview_lock);
	struct kview *k;

	if (!kvm_kview(vm, &k, NULL) && kview_slots(k, out, NULL) < 0)
		*out = (struct slot_info_list){0};
}

int kvm_slot_list(struct machine *m, struct slot_info_list *out, struct err *e)
{
	const struct slot_table *t = &m->slots;
	struct slot_info_list kernel = {0};
	struct slot_info *v;
	size_t n = 0;

	view_slots(kvm_of(m), &kernel);
	v = calloc(t->n + kernel.n + 1, sizeof(*v));
	if (!v) {
		slot_info_list_free(&kernel);
		return err_nomem(e, "list slots");
	}
	for (size_t i = 0; i < t->n; i++)
		v[n++] = slot_info_of(t->by_gfn[i], t->generation, SOURCE_KVM);
	for (size_t i = 0; i < kernel.n; i++) {
		size_t at = 0;

		while (at < t->n && v[at].id != kernel.v[i].id)
			at++;
		if (at == t->n) { /* the trap page, or KVM's own: the TSS, the identity map, the APIC page */
			v[n] = kernel.v[i];
			v[n].owner = v[n].id < kvm_of(m)->host->max_slots ? "kvmscope's trap page" : "KVM's own";
			v[n++].own = true;
		} else if (v[at].source != SOURCE_KERNEL) {
			take_kernel(&v[at], &kernel.v[i]);
		}
	}
	slot_info_list_free(&kernel);
	qsort(v, n, sizeof(*v), by_id);
	*out = (struct slot_info_list){v, n};
	return 0;
}

void kvm_slot_generation(struct machine *m, const struct slot *s, uint64_t *generation, unsigned *as)
{
	LOCK_SCOPE(&kvm_of(m)->kview_lock);
	struct kview *k;

	*as = kvm_of(m)->host->address_spaces > 1 && s->vis == SLOT_VIS_SMM;
	if (!kvm_kview(kvm_of(m), &k, NULL) && kview_generation(k, *as, generation, NULL) < 0)
		*generation = m->slots.generation;
}

/* ---- the rest is the view's */

#define LOOK(name, words, needs, list, shape)                                                                               \
	static int look_##name(struct machine *m, LOOK_PARAMS_##shape struct list *out, struct err *e)                      \
	{                                                                                                                   \
		LOCK_SCOPE(&kvm_of(m)->kview_lock);                                                                         \
		struct kview *k;                                                                                            \
		int rc = kvm_kview(kvm_of(m), &k, e);                                                                       \
                                                                                                                            \
		return rc ? rc : kview_##name(k, LOOK_HAND_ON_##shape out, e);                                              \
	}
MACHINE_LOOK_LIST(LOOK)
#undef LOOK

const struct machine_looks kvm_looks = {
#define LOOK_OP(name, words, needs, list, shape) .name = look_##name,
    MACHINE_LOOK_LIST(LOOK_OP)
#undef LOOK_OP
};

int kvm_rmap_each(struct machine *m, rmap_fn *fn, void *arg, struct err *e)
{
	LOCK_SCOPE(&kvm_of(m)->kview_lock);
	struct kview *k;
	int rc = kvm_kview(kvm_of(m), &k, e);

	return rc ? rc : kview_rmap_each(k, fn, arg, e);
}

/* While the guest runs, what was read is not what is there any more. */
void kvm_share_reads(struct machine *m, bool on)
{
	LOCK_SCOPE(&kvm_of(m)->kview_lock);
	struct kview *k;

	if (on && machine_running(m))
		return;
	if (!kvm_kview(kvm_of(m), &k, NULL))
		kview_hold(k, on);
}
