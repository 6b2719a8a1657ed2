/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Things to stop at: execution breakpoints, any number, and watchpoints. What stands for one while the guest runs is decided
 * anew at each resume, per vCPU: a debug register if one is left and hits, an int3 in guest memory if CPL3 is not
 * covered by that, single steps if neither can be. int3 bytes are in memory only while the guest runs; the guest sees
 * them if it reads its own code. An address is looked up in the tables of each vCPU as they stand at resume and whenever an
 * exit shows other control registers; tables that change without either are not noticed.
 */
#include "kvmback/step/step.h"
#include "kvmback/watch/armed.h"
#include "kvmback/trace/rootwake.h"
#include "core/base/lock.h"
#include "core/cpu/smm.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define REFUSED "userfaultfd refuses a watched page"

static bool is_exec(const struct plant *p)
{
	return p->kind == PLANT_EXEC || p->kind == PLANT_EXEC_HW;
}

int plant_exec_at(const struct run_state *rs, uint64_t linear)
{
	size_t lo = 0, hi = rs->n_exec;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (rs->plant[mid].p.addr < linear)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < rs->n_exec && rs->plant[lo].p.addr == linear ? rs->plant[lo].p.id : 0;
}

bool plant_watching(const struct run_state *rs)
{
	return rs->n_plants > rs->n_exec;
}

/* ---- int3 bytes in memory */

static bool lay_int3(struct run_state *rs, uint8_t *at)
{
	lock_assert_held(&rs->plant_lock);
	if (gmem_int3(rs, at))
		return true;
	if (rs->n_int3 == rs->cap_int3) {
		size_t cap = rs->cap_int3 ? rs->cap_int3 * 2 : 16;
		struct int3_byte *bigger = realloc(rs->int3, cap * sizeof(*bigger));

		if (!bigger)
			return false;
		rs->int3 = bigger;
		rs->cap_int3 = cap;
	}
	rs->int3[rs->n_int3++] = (struct int3_byte){at, *at};
	*(volatile uint8_t *)at = INT3;
	return true;
}

void plant_lift(struct kvm_vm *vm)
{
	struct run_state *rs = vm->rs;

	/* A byte that the guest has overwritten meanwhile is the guest's. */
	for (size_t i = 0; i < rs->n_int3; i++)
		if (*(volatile uint8_t *)rs->int3[i].at == INT3)
			*rs->int3[i].at = rs->int3[i].under;
	rs->n_int3 = 0;
}

bool plant_int3_at(struct kvcpu *v, uint64_t linear)
{
	struct run_state *rs = v->vm->rs;
	uint64_t gpa;
	uint8_t rights, *at;

	if (!gmem_translate(v, linear, &gpa, &rights))
		return false;
	at = gmem_byte(v, gpa, true);
	LOCK_SCOPE(&rs->plant_lock);
	return at && gmem_int3(rs, at);
}

/* ---- a vCPU's plan */

static bool hw_always(const struct strategy *st)
{
	return st->hw[RUN_LONG][0] && st->hw[RUN_LONG][1] && st->hw[RUN_PROT][0] && st->hw[RUN_PROT][1] &&
	       st->hw[RUN_REAL][0];
}

static unsigned take_dr(struct run_plan *p, enum dr_use use, int id, uint64_t addr, unsigned rw_len)
{
	for (unsigned i = 0; i < DR_COUNT; i++) {
		if (p->dr[i] != DR_FREE)
			continue;
		p->dr[i] = use;
		p->dr_id[i] = id;
		p->dbg.arch.debugreg[i] = addr;
		p->dbg.arch.debugreg[7] |= 0x600 | 2ull << (2 * i) | (uint64_t)rw_len << (16 + 4 * i);
		p->dbg.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
		return i;
	}
	return DR_COUNT;
}

static bool has_dr(const struct run_plan *p, int id)
{
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (p->dr[i] == DR_PLANT && p->dr_id[i] == id)
			return true;
	return false;
}

/* R/W and LEN of DR7 for a watch; -1 if debug registers cannot do it: none tells reads from writes. */
static int watch_bits(const struct plant *p)
{
	int rw = p->kind == PLANT_WRITE ? 1 : 3;

	if (p->phys || p->kind == PLANT_READ || p->addr % p->len)
		return -1;
	switch (p->len) {
	case 1:
		return rw;
	case 2:
		return rw | 1 << 2;
	case 4:
		return rw | 3 << 2;
	case 8:
		return rw | 2 << 2;
	default:
		return -1;
	}
}

/* Vectors at whose handlers an int3 of ours comes out, if the guest has an IDT. A gate that is missing, or not for CPL3,
 * is another exception, and then a double fault; with no handler for any of them a shutdown exit, which is recognised. */
#define HANDLERS_MAX 3
static unsigned handler_vectors(struct kvcpu *v, uint8_t out[HANDLERS_MAX])
{
	static const uint8_t instead[] = {11, 13, 8};
	const struct strategy *st = v->vm->rs->st;
	enum run_mode mode = vcpu_mode(v);
	bool user = mode != RUN_REAL;
	uint8_t vector = st->int3_vector[mode][user];
	uint64_t at;
	unsigned dpl, n = 0;

	if (!idt_own(v) || st->int3[mode][user] == BREAK_INT3_EXIT)
		return 0;
	bool gate = idt_handler(v, vector, &at, &dpl);
	if (gate || !st->shutdown_keeps_state)
		out[n++] = vector;
	if (gate && (vector != 3 || dpl == 3))
		return n;
	for (size_t i = n; i < ARRAY_LEN(instead) && st->shutdown_keeps_state; i++)
		if (idt_handler(v, instead[i], &at, &dpl))
			out[n++] = instead[i];
	if (gate && !st->shutdown_keeps_state)
		out[n++] = 13;
	return n;
}

/* A debug register where that hits, else its pages, else single steps. */
static void plan_watches(struct kvcpu *v, bool user)
{
	struct run_state *rs = v->vm->rs;
	struct run_plan *p = &v->control->plan;
	enum run_mode mode = vcpu_mode(v);

	armed_begin(v);
	for (size_t i = rs->n_exec; i < rs->n_plants; i++) {
		const struct plant *w = &rs->plant[i].p;
		int bits = rs->st->watch[mode][user] ? watch_bits(w) : -1;

		unsigned dr = bits >= 0 ? take_dr(p, DR_WATCH, w->id, w->addr, (unsigned)bits) : DR_COUNT;
		if (dr < DR_COUNT) {
			p->dr_old_len[dr] = (uint8_t)gmem_read(v, w->addr, p->dr_old[dr], w->len);
			continue;
		}
		const char *why = armed_want(v, w);
		if (why)
			p->slow_why = why;
	}
}

/* Which plants get a debug register: those that ask for one, then the oldest; spare are left for handlers. */
static void plan_drs(struct run_state *rs, struct run_plan *p, unsigned spare)
{
	for (size_t i = 0; i < rs->n_exec; i++)
		if (rs->plant[i].p.kind == PLANT_EXEC_HW)
			take_dr(p, DR_PLANT, rs->plant[i].p.id, rs->plant[i].p.addr, 0);
	for (;;) {
		const struct plant *oldest = NULL;
		unsigned left = 0;

		for (unsigned i = 0; i < DR_COUNT; i++)
			left += p->dr[i] == DR_FREE;
		for (size_t i = 0; i < rs->n_exec; i++)
			if (!has_dr(p, rs->plant[i].p.id) && (!oldest || rs->plant[i].p.id < oldest->id))
				oldest = &rs->plant[i].p;
		if (!oldest || left <= spare)
			return;
		take_dr(p, DR_PLANT, oldest->id, oldest->addr, 0);
	}
}

/* Put an int3 where the debug register, if any, leaves something uncovered. */
static void plan_int3(struct kvcpu *v, const struct plant *b)
{
	struct run_state *rs = v->vm->rs;
	struct run_plan *p = &v->control->plan;
	bool dr = has_dr(p, b->id), paged = vcpu_sregs(v)->cr0 & CR0_PG;
	uint64_t gpa;
	uint8_t rights, *at;

	if (dr && (b->kind == PLANT_EXEC_HW || hw_always(rs->st)))
		return;
	if (!gmem_translate(v, b->addr, &gpa, &rights) || !gmem_slot(v, gpa)) {
		p->unresolved = true;
		return;
	}
	/* Without paging nothing is known of the tables to come; what maps this byte one to one may let CPL3 have it. */
	if (dr && paged && !(rights & ACCESS_USER))
		return;
	at = gmem_byte(v, gpa, true);
	if (at && lay_int3(rs, at)) {
		p->dbg.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
		return;
	}
	if (!dr || !rs->st->hw[vcpu_mode(v)][vcpu_cpl(v) == 3])
		p->slow_why = "a breakpoint in memory that cannot be written";
}

static void plan_handlers(struct kvcpu *v, const uint8_t *vectors, unsigned n)
{
	struct run_plan *p = &v->control->plan;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at;
		unsigned dpl;

		if (!idt_handler(v, vectors[i], &at, &dpl) || !v->vm->rs->st->hw[vcpu_mode(v)][0] ||
		    take_dr(p, DR_HANDLER, vectors[i], at, 0) == DR_COUNT)
			p->slow_why = "no handler of the guest's at which int3 could be caught";
	}
}

/* Real mode: an exception through an empty vector goes to linear address 0. */
static void plan_no_handler(struct kvcpu *v)
{
	struct run_plan *p = &v->control->plan;

	if (vcpu_sregs(v)->cr0 & CR0_PE || vcpu_linear_rip(v) == 0 || !real_any_empty(v))
		return;
	if (v->vm->rs->st->hw[RUN_REAL][0])
		take_dr(p, DR_NO_HANDLER, 0, 0, 0);
	else if (!p->slow_why)
		p->slow_why =
		    "no debug register hits in real mode, at which an exception without a handler would be noticed";
}

/* An SMI that KVM will deliver: stop at the handler's first instruction. */
static void plan_smi(struct kvcpu *v)
{
	struct kvm_vcpu_events ev;
	uint32_t smbase;

	if (!v->vm->host->x86_smm || !(v->vm->rs->catch & CATCH_SMI))
		return;
	vcpu_events(v, &ev);
	if (ev.smi.pending && !kvm_smbase(&v->vm->m, v->index, &smbase, NULL))
		take_dr(&v->control->plan, DR_SMI, 0, (uint64_t)smbase + SMM_ENTRY_OFFSET, 0);
}

static const char *slow_reason(struct kvcpu *v)
{
	uint32_t wanted = v->vm->rs->catch;

	if (v->in_smm)
		return "system management mode, emulated";
	if (wanted & CATCH_SMI && vcpu_native_smm(v))
		return "catch smi: RSM is no exit";
	if (wanted & CATCH_MODE && vcpu_cpl(v) == 0)
		return "catch mode";
	if (wanted & CATCH_EXCEPTION && idt_own(v))
		return "catch exception in a guest with an IDT";
	/* LIDT is no exit: where it comes, exceptions are the guest's from then on. */
	if (wanted & CATCH_EXCEPTION && vcpu_cpl(v) == 0)
		return "catch exception at CPL0, which may load an IDT";
	return NULL;
}

static void plan_vcpu(struct kvcpu *v)
{
	struct run_state *rs = v->vm->rs;
	struct run_plan *p = &v->control->plan;
	const struct kvm_sregs *s = vcpu_sregs(v);
	uint8_t vectors[HANDLERS_MAX];
	unsigned n;

	lock_assert_held(&rs->plant_lock);
	*p = (struct run_plan){.cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer, .idt = s->idt};
	p->width = vcpu_code_width(v);
	p->slow_why = slow_reason(v);
	guestdbg_plan(v);
	plan_smi(v);
	plan_watches(v, vcpu_cpl(v) == 3);
	n = rs->n_exec && !hw_always(rs->st) ? handler_vectors(v, vectors) : 0;
	plan_drs(rs, p, n);
	/* All of them in debug registers, and those enough: no int3, no handlers. */
	size_t before = rs->n_int3;
	for (size_t i = 0; i < rs->n_exec && !p->slow_why; i++) /* one that is stepped looks where it comes to */
		if (!v->control->passed || rs->plant[i].p.addr != vcpu_linear_rip(v))
			plan_int3(v, &rs->plant[i].p);
	if (n && (rs->n_int3 > before || p->dbg.control & KVM_GUESTDBG_USE_SW_BP))
		plan_handlers(v, vectors, n);
	plan_no_handler(v);
}

int plant_lay(struct kvm_vm *vm, struct err *e)
{
	(void)e;
	LOCK_SCOPE(&vm->rs->plant_lock);
	for (unsigned i = 0; i < vm->m.vcpus; i++)
		plan_vcpu(&vm->vcpu[i]);
	if (!armed_apply(vm))
		for (unsigned i = 0; i < vm->m.vcpus; i++)
			vm->vcpu[i].control->plan.slow_why = REFUSED;
	/* If it cannot be, other tables are seen at the next exit. */
	(void)!rootwake_set(vm, ROOTWAKE_WATCHES, armed_follows_tables(vm), NULL);
	return 0;
}

void plant_relay(struct kvcpu *v)
{
	LOCK_SCOPE(&v->vm->rs->plant_lock);
	plan_vcpu(v);
	if (!armed_apply(v->vm))
		v->control->plan.slow_why = REFUSED;
}

/* ---- the operations */

static struct plant_rec *find_plant(struct run_state *rs, int id)
{
	for (size_t i = 0; i < rs->n_plants; i++)
		if (rs->plant[i].p.id == id)
			return &rs->plant[i];
	return NULL;
}

static int check_hw(struct kvcpu *v, const struct plant *p, struct err *e)
{
	const struct run_state *rs = v->vm->rs;
	unsigned n = 0;

	for (size_t i = 0; i < rs->n_plants; i++)
		n += rs->plant[i].p.kind == PLANT_EXEC_HW;
	if (n >= DR_COUNT)
		return err_set(e, -ENOSPC,
			       "hardware breakpoint at %#" PRIx64 WHY "all four debug registers are taken" TRY "b", p->addr);
	if (!rs->st->hw[vcpu_mode(v)][vcpu_cpl(v) == 3])
		return err_set(e, -ENOTSUP,
			       "hardware breakpoint at %#" PRIx64 WHY "on this host debug registers do not hit at CPL%u" TRY
			       "b",
			       p->addr, vcpu_cpl(v));
	return 0;
}

/* While a vCPU is parked inside a run, that run's own bytes stay. */
static void plan_now(struct kvcpu *v)
{
	bool parked = kvm_is_parked(v->vm);

	LOCK_SCOPE(&v->vm->rs->plant_lock);
	plan_vcpu(v);
	if (!armed_apply(v->vm))
		v->control->plan.slow_why = REFUSED;
	if (!parked)
		plant_lift(v->vm);
}

/* What will stand for it with vCPU 0 as it is. */
static const char *plant_how(struct kvcpu *v, const struct plant *p, const char **why)
{
	struct run_plan *plan = &v->control->plan;
	bool user = vcpu_cpl(v) == 3;

	plan_now(v);
	*why = plan->slow_why;
	if (plan->slow_why)
		return "step";
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (plan->dr[i] == DR_WATCH && plan->dr_id[i] == p->id)
			return "hw";
	if (!is_exec(p))
		return "page";
	return has_dr(plan, p->id) && v->vm->rs->st->hw[vcpu_mode(v)][user] ? "hw" : "int3";
}

static int insert(struct run_state *rs, const struct plant *p, struct err *e)
{
	size_t at;

	if (rs->n_plants == rs->cap_plants) {
		size_t cap = rs->cap_plants ? rs->cap_plants * 2 : 8;
		struct plant_rec *bigger = realloc(rs->plant, cap * sizeof(*bigger));

		if (!bigger)
			return err_nomem(e, "breakpoint");
		rs->plant = bigger;
		rs->cap_plants = cap;
	}
	for (at = is_exec(p) ? 0 : rs->n_plants; is_exec(p) && at < rs->n_exec && rs->plant[at].p.addr <= p->addr; at++)
		;
	memmove(&rs->plant[at + 1], &rs->plant[at], (rs->n_plants - at) * sizeof(rs->plant[0]));
	rs->plant[at] = (struct plant_rec){.p = *p};
	rs->n_plants++;
	rs->n_exec += is_exec(p);
	return 0;
}

int kvm_plant(struct machine *m, struct plant *p, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	struct run_state *rs = vm->rs;
	struct kvcpu *v = &vm->vcpu[0];
	int rc = rs->st ? 0 : kvm_strategy_get(&rs->st, e);

	if (!rc)
		rc = vcpu_load(v, e);
	if (rc)
		return rc;
	if (find_plant(rs, p->id))
		return err_set(e, -EEXIST, "breakpoint %d" WHY "it is planted already" TRY "delete %d", p->id, p->id);
	if (p->kind == PLANT_EXEC_HW)
		rc = check_hw(v, p, e);
	if (!rc)
		rc = insert(rs, p, e);
	if (rc)
		return rc;
	/* Only the kernel's own copy of the registers tells where KVM's emulator began. */
	if (!is_exec(p) && !rs->st->tdp)
		(void)!kvm_view_open(vm, NULL);
	p->how = plant_how(v, p, &p->why);
	return 0;
}

int kvm_unplant(struct machine *m, int id, struct err *e)
{
	struct run_state *rs = kvm_of(m)->rs;
	struct plant_rec *r = find_plant(rs, id);

	if (!r)
		return err_set(e, -ENOENT, "breakpoint %d" WHY "nothing is planted for it" TRY "info breakpoints", id);
	rs->n_exec -= is_exec(&r->p);
	rs->n_plants--;
	memmove(r, r + 1, (size_t)(rs->plant + rs->n_plants - r) * sizeof(*r));
	if (!kvm_is_parked(kvm_of(m)))
		return 0;
	/* In the middle of a run: what stands for it now must not. */
	plant_lift(kvm_of(m));
	return plant_lay(kvm_of(m), e);
}

int kvm_set_catch(struct machine *m, uint32_t events, struct err *e)
{
	(void)e;
	kvm_of(m)->rs->catch = events;
	return 0;
}

void plant_free(struct run_state *rs)
{
	free(rs->plant);
	free(rs->int3);
}
