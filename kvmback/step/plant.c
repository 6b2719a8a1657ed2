/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Things to stop at: execution breakpoints, any number, and watchpoints. Which there are, whose an int3 byte is, and what is
 * told of how each is done; plan.c decides how.
 */
#include "kvmback/step/insn.h"

#include "core/base/lock.h"
#include "kvmback/vcpu/bytes.h"
#include "kvmback/watch/armed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

static struct plant_rec *find_plant(struct run_state *rs, int id)
{
	for (size_t i = 0; i < rs->n_plants; i++)
		if (rs->plant[i].p.id == id)
			return &rs->plant[i];
	return NULL;
}

/* ---- int3 bytes in memory */

void plant_lift(struct kvm_vm *vm)
{
	bytes_remove(vm->rs);
}

bool plant_int3_at(struct kvcpu *v, uint64_t linear)
{
	uint64_t gpa;
	uint8_t rights, under;

	return gmem_translate(v, linear, &gpa, &rights) && bytes_known(v->vm->rs, gmem_byte(v, gpa, true), &under);
}

/* Bytes before a breakpoint that are prefixes of the instruction in whose middle it is. */
static unsigned prefixes_before(struct kvcpu *v, int id)
{
	const struct plant_rec *r = find_plant(v->vm->rs, id);
	uint64_t n = r->insn ? r->p.addr - r->insn : 0;

	return n && insn_count_prefixes(v, r->insn) == n ? (unsigned)n : 0;
}

enum int3_of plant_int3_of(struct kvcpu *v, uint64_t linear, struct int3_met *out)
{
	uint64_t gpa;
	uint8_t rights, under;

	*out = (struct int3_met){0};
	if (!gmem_translate(v, linear, &gpa, &rights) || !bytes_known(v->vm->rs, gmem_byte(v, gpa, true), &under))
		return INT3_GUESTS;
	out->id = plant_exec_at(v->vm->rs, linear);
	out->prefixes = out->id ? prefixes_before(v, out->id) : 0;
	if (out->id && !out->prefixes)
		return INT3_POINT;
	out->id = 0;
	return under == INT3 ? INT3_GUESTS : INT3_ELSEWHERE;
}

/* ---- the operations */

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

/* ---- what is told of one */

#define SAID_MAX 512

/* The same text for as long as the machine lives. */
static const char *keep_text(struct run_state *rs, const char *text)
{
	struct said *s;

	for (s = rs->said; s; s = s->next)
		if (!strcmp(s->text, text))
			return s->text;
	s = malloc(sizeof(*s) + strlen(text) + 1);
	if (!s)
		return "no memory left to say more";
	strcpy(s->text, text);
	s->next = rs->said;
	rs->said = s;
	return s->text;
}

/* because: in brackets behind it; NULL: nothing is. */
static void add_text(char *to, const char *what, const char *because)
{
	size_t n = strlen(to);

	snprintf(to + n, SAID_MAX - n, "%s%s%s%s%s", n ? "; " : "", what, because ? " (" : "", because ? because : "",
		 because ? ")" : "");
}

static const char *why_not_followed(const struct run_state *rs)
{
	if (rs->st->tdp)
		return "with EPT or NPT guest tables cannot be armed";
	return uffd_why() ? uffd_why() : "no page of its tables can be armed";
}

static const char seen_by_reads[] = "reads of this page see the int3";

/* What of a breakpoint or watchpoint is not as it should be; NULL: nothing. */
static const char *point_why(struct run_state *rs, const struct plant_rec *r)
{
	char text[SAID_MAX] = "";

	if (r->told & TOLD_UNMAPPED)
		add_text(text, "not mapped now", NULL);
	if (r->told & TOLD_HW_SOMETIMES)
		add_text(text, "debug registers do not hit at each CPL and in each mode of this host", NULL);
	if (r->told & TOLD_HW_NOT_RF)
		add_text(text, "no hit where a handler's IRET leads to with RF set, as in a fault's frame", NULL);
	if (r->told & TOLD_UNFOLLOWED)
		add_text(text, "where its address leads is looked up at exits only", why_not_followed(rs));
	else if (r->told & (TOLD_BYTE | TOLD_UNMAPPED) && !rs->wakes)
		add_text(text, "a root that is loaded is seen at the next exit only", "no tracepoints");
	if (r->told & TOLD_UNARMED)
		add_text(text, "a guest that reads or writes its code meets the int3", rs->unarmed_why);
	else if (r->told & TOLD_SEEN)
		add_text(text, seen_by_reads, NULL);
	return *text ? keep_text(rs, text) : NULL;
}

/* What stands for it with vCPU 0 as it is, by the plan that was made just now. */
static void tell_how(struct kvcpu *v, const struct plant_rec *r, struct plant *out)
{
	struct run_state *rs = v->vm->rs;
	const struct run_plan *plan = &v->control->plan;
	bool dr = plan_has_dr(plan, r->p.id) && rs->st->hw[vcpu_mode(v)][vcpu_cpl(v) == 3];

	out->how = "page";
	out->why = point_why(rs, r);
	for (unsigned i = 0; i < DR_COUNT; i++)
		if (plan->dr[i] == DR_WATCH && plan->dr_id[i] == r->p.id)
			out->how = "hw";
	if (is_exec(&r->p)) {
		out->how = r->told & TOLD_BYTE ? (dr ? "hw+int3" : "int3") : dr ? "hw" : "int3";
	}
	if (plan->slow_why) {
		out->how = "step";
		out->why = plan->slow_why;
	}
}

static void tell_now(struct kvm_vm *vm, struct plant *p, size_t n)
{
	struct run_state *rs = vm->rs;

	plant_plan_now(vm);
	for (size_t i = 0; i < n; i++) {
		const struct plant_rec *r = find_plant(rs, p[i].id);

		if (r)
			tell_how(&vm->vcpu[0], r, &p[i]);
	}
}

int kvm_plants_now(struct machine *m, struct plant *p, size_t n, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	int rc = 0;

	/* In the middle of a run what was told when it began is what stands for it. */
	if (!vm->rs->st || kvm_is_parked(vm))
		return 0;
	rc = vcpu_load(&vm->vcpu[0], e);
	if (!rc)
		tell_now(vm, p, n);
	return rc;
}

static int insert(struct run_state *rs, const struct plant *p, uint64_t insn, struct err *e)
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
	rs->plant[at] = (struct plant_rec){.p = *p, .insn = insn};
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
		rc = insert(rs, p, is_exec(p) ? insn_begin_of(v, p->addr) : 0, e);
	if (rc)
		return rc;
	/* Only the kernel's own copy of the registers tells where KVM's emulator began. */
	if (!is_exec(p))
		(void)!kvm_view_open(vm, NULL);
	tell_now(vm, p, 1);
	/* That the guest could see it is told by who asks how it is done. */
	if (p->why && !strcmp(p->why, seen_by_reads))
		p->why = NULL;
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
	int rc = plant_lay(kvm_of(m), e);
	bytes_lift(rs, LIFT_FOR_PARK);
	return rc;
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
	for (struct said *s = rs->said, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	bytes_free(rs);
}
