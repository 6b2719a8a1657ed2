/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How a vCPU is to run freely: what stands for each plant is decided anew at each resume, and where tables or modes are seen
 * to have changed. A debug register where one is left and hits, as the guest cannot see that; an int3 byte wherever the
 * guest can come to execute an address and no debug register would hit; single steps if neither can be. A byte is laid under
 * each of the roots that the vCPU has had lately, and the entries of the guest's tables on the way to it are armed, so that
 * it follows its address. int3 bytes are in memory only while the guest runs.
 */
#include "kvmback/step/step.h"

#include "core/base/lock.h"
#include "core/cpu/smm.h"
#include "kvmback/trace/rootwake.h"
#include "kvmback/vcpu/bytes.h"
#include "kvmback/watch/armed.h"

#include <string.h>

#define REFUSED "userfaultfd refuses a watched page"

/* ---- a vCPU's plan */

static bool hw_always(const struct strategy *st)
{
	return st->hw[RUN_LONG][0] && st->hw[RUN_LONG][1] && st->hw[RUN_PROT][0] && st->hw[RUN_PROT][1] &&
	       st->hw[RUN_REAL][0];
}

/* Wherever it stands, and whatever the guest has for an IDT. */
static bool int3_always_exits(const struct strategy *st)
{
	for (unsigned mode = 0; mode < RUN_MODES; mode++)
		if (st->int3[mode][0] != BREAK_INT3_EXIT || st->int3[mode][1] != BREAK_INT3_EXIT)
			return false;
	return true;
}

/* IRET from a fault's frame loads RF, which a debug register heeds wherever that leads: the handler may have changed it. Who
 * has no IDT handles no fault, and a frame of real mode has no RF. */
static bool rf_may_hide(struct kvcpu *v)
{
	return v->vm->rs->st->rf_hides && vcpu_sregs(v)->cr0 & CR0_PE && idt_own(v);
}

/* The guest may get there without an exit, so bytes are laid before it has if they do no harm meanwhile. */
static bool hw_suffices(struct kvcpu *v)
{
	const struct strategy *st = v->vm->rs->st;

	return hw_always(st) && !rf_may_hide(v) && !(st->rf_hides && int3_always_exits(st));
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

bool plan_has_dr(const struct run_plan *p, int id)
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

/* What is told of a plant is as vCPU 0 has it. */
static void say(struct kvcpu *v, struct plant_rec *r, unsigned what)
{
	if (!v->index)
		r->told |= (uint8_t)what;
}

static void say_unfollowed(struct kvcpu *v, struct plant_rec *r)
{
	v->control->plan.at_exits = true;
	say(v, r, TOLD_UNFOLLOWED);
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
		else if (!w->phys && rs->st->walks_write)
			say_unfollowed(v, &rs->plant[i]);
	}
}

/* The next that gets a debug register. What is nowhere now and cannot be followed first, then the oldest. */
static const struct plant *next_for_dr(struct kvcpu *v)
{
	const struct run_state *rs = v->vm->rs;
	const struct plant *best = NULL;
	bool choose = rs->st->tdp && rs->n_exec > DR_COUNT, best_mapped = false;
	uint64_t gpa;
	uint8_t rights;

	for (size_t i = 0; i < rs->n_exec; i++) {
		const struct plant *b = &rs->plant[i].p;

		if (plan_has_dr(&v->control->plan, b->id))
			continue;
		bool mapped = choose && gmem_translate(v, b->addr, &gpa, &rights);
		if (best && (mapped == best_mapped ? b->id > best->id : mapped))
			continue;
		best = b;
		best_mapped = mapped;
	}
	return best;
}

/* Which plants get a debug register: those that ask for one first; spare are left for handlers. */
static void plan_drs(struct kvcpu *v, unsigned spare)
{
	const struct run_state *rs = v->vm->rs;
	struct run_plan *p = &v->control->plan;

	for (size_t i = 0; i < rs->n_exec; i++)
		if (rs->plant[i].p.kind == PLANT_EXEC_HW)
			take_dr(p, DR_PLANT, rs->plant[i].p.id, rs->plant[i].p.addr, 0);
	for (;;) {
		const struct plant *next;
		unsigned left = 0;

		for (unsigned i = 0; i < DR_COUNT; i++)
			left += p->dr[i] == DR_FREE;
		next = left > spare ? next_for_dr(v) : NULL;
		if (!next)
			return;
		take_dr(p, DR_PLANT, next->id, next->addr, 0);
	}
}

/* May code at an address that has a debug register be executed where none hits? rights: of its page. */
static bool byte_needed(struct kvcpu *v, uint8_t rights)
{
	const struct run_state *rs = v->vm->rs;
	const struct strategy *st = rs->st;
	const bool *hw = st->hw[vcpu_sregs(v)->efer & EFER_LMA ? RUN_LONG : RUN_PROT];

	if (hw_always(st))
		return !hw_suffices(v);
	if (vcpu_sregs(v)->cr0 & CR0_PG)
		return !hw[0] || (rights & ACCESS_USER && !hw[1]);
	/* What a guest without paging comes to unseen. Long mode is seen, where it is told that a root is loaded. */
	return !st->hw[RUN_REAL][0] || !st->hw[RUN_PROT][0] || !st->hw[RUN_PROT][1] || !rs->wakes;
}

/* Bytes under one root. */
struct byte_plan {
	uint64_t root;
	bool now; /* it is the one in CR3 */
	bool follow;
	struct armed_way way;
};

static void plan_byte_at(struct kvcpu *v, struct plant_rec *r, const struct slot *s, uint64_t gpa, bool now)
{
	struct run_state *rs = v->vm->rs;
	struct run_plan *p = &v->control->plan;
	bool here = now && v->control->passed && r->p.addr == vcpu_linear_rip(v), seen;
	uint8_t *at = gmem_byte(v, gpa, true);

	if (!at) {
		if (now && (!plan_has_dr(p, r->p.id) || !rs->st->hw[vcpu_mode(v)][vcpu_cpl(v) == 3]))
			p->slow_why = "a breakpoint in memory that cannot be written";
		return;
	}
	const char *why = armed_want_code(v, s, gpa, &seen);
	if (why)
		rs->unarmed_why = why;
	say(v, r, TOLD_BYTE | (why ? TOLD_UNARMED : seen ? TOLD_SEEN : 0));
	/* One that is stepped looks where it comes to, and so does the first instruction of a run. */
	if (!p->slow_why && !here && !bytes_lay(rs, at))
		p->slow_why = "no memory left to note its byte";
}

static void plan_byte(struct kvcpu *v, struct plant_rec *r, struct byte_plan *l)
{
	struct run_plan *p = &v->control->plan;
	const struct strategy *st = v->vm->rs->st;
	bool dr = plan_has_dr(p, r->p.id);
	const struct slot *s;
	struct walk w;

	if (dr && (r->p.kind == PLANT_EXEC_HW || hw_suffices(v))) {
		if (!hw_always(st) || rf_may_hide(v))
			say(v, r, hw_always(st) ? TOLD_HW_NOT_RF : TOLD_HW_SOMETIMES);
		return;
	}
	bool mapped = gmem_walk_under(v, l->root, r->p.addr, &w);
	if (!l->follow || armed_want_way(v, &w, &l->way))
		say_unfollowed(v, r);
	s = mapped ? gmem_slot(v, w.gpa) : NULL;
	if (!s && l->now) {
		p->unresolved = true;
		say(v, r, TOLD_UNMAPPED);
	}
	if (s && !(dr && !byte_needed(v, w.rights)))
		plan_byte_at(v, r, s, w.gpa, l->now);
}

static bool all_in_drs(struct kvcpu *v)
{
	const struct run_state *rs = v->vm->rs;

	for (size_t i = 0; i < rs->n_exec; i++)
		if (!plan_has_dr(&v->control->plan, rs->plant[i].p.id))
			return false;
	return rs->n_exec ? hw_suffices(v) : hw_always(rs->st);
}

/* With EPT and NPT the processor's own walks write to tables: armed ones would be touched at each. */
static bool can_follow(struct kvcpu *v)
{
	struct armed *a;

	return !v->vm->rs->st->tdp && !uffd_why() && !armed_get(v->vm, "break", &a, NULL);
}

static void plan_bytes(struct kvcpu *v)
{
	struct run_state *rs = v->vm->rs;
	struct run_plan *p = &v->control->plan;
	const uint64_t *root;

	if (all_in_drs(v))
		return;
	/* What the byte raises would be L2's, or L1's, to take. */
	if (v->nested.in && rs->st->int3[vcpu_mode(v)][vcpu_cpl(v) == 3] != BREAK_INT3_EXIT) {
		p->slow_why = "a breakpoint in a nested guest, beyond what debug registers can hold";
		return;
	}
	p->dbg.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	bool follow = can_follow(v);
	unsigned n = armed_roots(v, &root);
	for (unsigned k = 0; k < n; k++) {
		struct byte_plan l = {.root = root[k], .now = !k, .follow = follow};

		for (size_t i = 0; i < rs->n_exec; i++)
			plan_byte(v, &rs->plant[i], &l);
	}
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

static bool catches_empty(struct kvcpu *v)
{
	return !(vcpu_sregs(v)->cr0 & CR0_PE) && vcpu_linear_rip(v) != 0 && real_any_empty(v);
}

/* Real mode: an exception through an empty vector goes to linear address 0. */
static void plan_no_handler(struct kvcpu *v)
{
	if (catches_empty(v) && v->vm->rs->st->real_handler_hits)
		take_dr(&v->control->plan, DR_NO_HANDLER, 0, 0, 0);
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
	/* The trap page stands in for an IDT from one entry to the next exit. */
	if (v->vm->rs->trap && smi_returns_without_idt(v))
		return "system management mode, from which RSM leads to a guest without an IDT";
	if (wanted & CATCH_MODE && vcpu_cpl(v) == 0)
		return "catch mode";
	if (wanted & CATCH_EXCEPTION && idt_own(v))
		return "catch exception in a guest with an IDT";
	/* LIDT is no exit: where it comes, exceptions are the guest's from then on. */
	if (wanted & CATCH_EXCEPTION && vcpu_cpl(v) == 0)
		return "catch exception at CPL0, which may load an IDT";
	return NULL;
}

/* Debug registers that the handlers of int3 bytes need: none if there will be no byte, as each plant has a register that
 * hits wherever the guest can come to it. */
static unsigned spare_for_handlers(struct kvcpu *v)
{
	const struct run_state *rs = v->vm->rs;
	uint8_t vectors[HANDLERS_MAX];
	unsigned left = 0;

	for (unsigned i = 0; i < DR_COUNT; i++)
		left += v->control->plan.dr[i] == DR_FREE;
	if (!rs->n_exec || (hw_suffices(v) && rs->n_exec <= left))
		return 0;
	return handler_vectors(v, vectors);
}

static void plan_vcpu(struct kvcpu *v)
{
	struct run_state *rs = v->vm->rs;
	struct run_plan *p = &v->control->plan;
	const struct kvm_sregs *s = vcpu_sregs(v);

	lock_assert_held(&rs->plant_lock);
	*p = (struct run_plan){.cr0 = s->cr0, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer, .idt = s->idt};
	p->nested = v->nested.in;
	p->width = vcpu_code_width(v);
	for (size_t i = 0; !v->index && i < rs->n_plants; i++)
		rs->plant[i].told = 0;
	p->slow_why = slow_reason(v);
	if (!p->slow_why && catches_empty(v) && !rs->st->real_handler_hits)
		p->slow_why = "no debug register hits where an exception of real mode leads, at which one without a handler "
			      "would be noticed";
	guestdbg_plan(v);
	plan_smi(v);
	plan_watches(v, vcpu_cpl(v) == 3);
	plan_drs(v, spare_for_handlers(v));
	plan_bytes(v);
}

/* Behind the plans of all: where int3 bytes come out, whoever's they are. */
static void plan_exits(struct kvcpu *v)
{
	struct run_state *rs = v->vm->rs;
	uint8_t vectors[HANDLERS_MAX];

	if (bytes_any(rs))
		plan_handlers(v, vectors, handler_vectors(v, vectors));
	plan_no_handler(v);
}

/* A root that is loaded is where a breakpoint's address may lead elsewhere. */
static void watch_roots(struct kvm_vm *vm)
{
	struct run_state *rs = vm->rs;
	bool bytes = false;

	for (unsigned i = 0; rs->n_exec && !rs->st->tdp && i < vm->m.vcpus; i++)
		bytes |= !hw_suffices(&vm->vcpu[i]) || rs->n_exec > DR_COUNT;

	/* If it cannot be, other tables are seen at the next exit. */
	rs->wakes = !rootwake_set(vm, ROOTWAKE_WATCHES, bytes || armed_follows_tables(vm), NULL) && bytes;
}

static void plan_all(struct kvm_vm *vm, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		plan_vcpu(&vm->vcpu[i]);
	for (unsigned i = 0; i < n; i++)
		plan_exits(&vm->vcpu[i]);
	if (!armed_apply(vm))
		for (unsigned i = 0; i < n; i++)
			vm->vcpu[i].control->plan.slow_why = REFUSED;
}

int plant_lay(struct kvm_vm *vm, struct err *e)
{
	(void)e;
	LOCK_SCOPE(&vm->rs->plant_lock);
	watch_roots(vm);
	plan_all(vm, vm->m.vcpus);
	watch_roots(vm);
	return 0;
}

void plant_relay(struct kvcpu *v)
{
	LOCK_SCOPE(&v->vm->rs->plant_lock);
	/* Those of others stay; one that nobody's tables lead to any more is stepped over. */
	if (vcpu_runs_here(v))
		bytes_remove(v->vm->rs);
	plan_vcpu(v);
	plan_exits(v);
	if (!armed_apply(v->vm))
		v->control->plan.slow_why = REFUSED;
}

void plant_plan_now(struct kvm_vm *vm)
{
	bool parked = kvm_is_parked(vm);

	LOCK_SCOPE(&vm->rs->plant_lock);
	if (!parked)
		watch_roots(vm);
	plan_all(vm, 1);
	/* In the middle of a run: that run's own bytes stay, and so does what is read of memory. */
	if (parked)
		bytes_lift(vm->rs, LIFT_FOR_PARK);
	else
		bytes_remove(vm->rs);
}
