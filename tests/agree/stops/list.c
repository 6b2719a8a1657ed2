/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The list of stops that a debugger gives.
 */
#include <stdio.h>
#include <string.h>

#include "core/machine/machine_impl.h"
#include "tests/agree/stops/stops.h"

static int condition(void *ctx, const struct stop_point *p, const struct stop *s, struct err *e)
{
	struct machine *m = ctx;
	unsigned modulus, rest;
	struct regs r;

	(void)s;
	if (sscanf(p->condition, "$rbp %% %u == %u", &modulus, &rest) != 2 || machine_get_regs(m, 0, REGS_GPR, &r, e))
		return -1;
	return r.gpr[RBP] % modulus == rest;
}

static int add_points(const struct s_guest *g, struct debugger *d, struct err *e)
{
	char text[64];

	for (unsigned i = 0; i < g->n_points; i++) {
		const struct s_point *p = &g->point[i];
		struct stop_point spec = {.kind = p->kind,
					  .addr = p->addr,
					  .len = p->len,
					  .phys = p->phys,
					  .event = p->event,
					  .arg_first = p->first,
					  .arg_last = p->last,
					  .has_arg = p->has_arg,
					  .temporary = p->temporary,
					  .ignore = p->ignore,
					  .condition = p->modulus ? text : NULL},
				  *made;
		snprintf(text, sizeof(text), "$rbp %% %u == %u", p->modulus, p->rest);
		int rc = point_add(&d->points, d->m, &spec, &made, e);
		/* Where debug registers do not hit, or there are no more of them. */
		if (rc && p->kind == POINT_HBREAK) {
			spec.kind = POINT_BREAK;
			rc = point_add(&d->points, d->m, &spec, &made, e);
		}
		if (rc)
			return rc;
		made->ignore = p->ignore;
	}
	return 0;
}

static int add_beside(const struct s_guest *g, struct debugger *d, struct err *e)
{
	struct stop_point *made;
	struct stop_point mmu = {.kind = POINT_CATCH, .event = CATCH_MMU, .mmu = g->beside.events},
			  fault = {.kind = POINT_CATCH, .fault = g->beside.fault, .has_arg = !g->beside.fault.all};
	int rc = g->beside.mmu ? point_add(&d->points, d->m, &mmu, &made, e) : 0;

	if (!rc && g->beside.faults)
		rc = point_add(&d->points, d->m, &fault, &made, e);
	return rc;
}

static bool is_beside(const struct stop_cause *c)
{
	return c->reason == STOP_FAULT_STAGE || c->reason == STOP_MMU;
}

static void cause_text(const struct stop *s, enum stop_reason reason, char *buf, size_t n)
{
	const char *name = stop_reason_name(reason);

	if (reason == STOP_MMIO)
		snprintf(buf, n, "mmio %c%u %#llx", s->write ? 'w' : 'r', s->len, (unsigned long long)s->gpa);
	else if (reason == STOP_PIO)
		snprintf(buf, n, "pio %c%u %#x", s->write ? 'w' : 'r', s->len, s->port);
	else if (reason == STOP_EXCEPTION && s->vector == 14)
		snprintf(buf, n, "exception v%d e%#x cr2 %#llx", s->vector, s->error_code, (unsigned long long)s->cr2);
	else if (reason == STOP_EXCEPTION && s->has_error)
		snprintf(buf, n, "exception v%d e%#x", s->vector, s->error_code);
	else if (reason == STOP_EXCEPTION)
		snprintf(buf, n, "exception v%d", s->vector);
	else
		snprintf(buf, n, "%s%.150s", name, reason == STOP_ERROR ? s->error : "");
}

static uint64_t number(const uint8_t b[8], unsigned len)
{
	uint64_t v = 0;

	memcpy(&v, b, len < 8 ? len : 8);
	return v;
}

static void touch_text(const struct stop *s, char out[120])
{
	snprintf(out, 120, " [by %#llx %s%s %u %#llx: %#llx %#llx]", (unsigned long long)s->by, s->read ? "r" : "",
		 s->write ? "w" : "", s->len, (unsigned long long)s->gva, (unsigned long long)number(s->old_data, s->len),
		 (unsigned long long)number(s->data, s->len));
}

static void note_stop(struct debugger *d, struct s_list *l)
{
	const struct stop *s = &d->stop;
	struct stop_cause one = {s->reason, s->breakpoint};
	const struct stop_cause *v = s->n_causes ? s->cause : &one;
	char text[1024] = "", word[200], touch[120] = "";
	size_t n = 0;
	struct regs r;

	if (machine_get_regs(d->m, 0, REGS_GPR | REGS_SYS, &r, NULL))
		return;
	for (unsigned i = 0; i < (s->n_causes ? s->n_causes : 1) && n < sizeof(text) - 250; i++) {
		if (is_beside(&v[i])) {
			l->beside++;
			continue;
		}
		cause_text(s, v[i].reason, word, sizeof(word));
		if (v[i].reason == STOP_WATCHPOINT)
			touch_text(s, touch);
		n += (size_t)snprintf(text + n, sizeof(text) - n, v[i].id ? ", %s %d" : ", %s", word, v[i].id);
	}
	if (n)
		s_list_add(l, "%#llx%s%s", (unsigned long long)s_linear_pc(&r), text + 1, touch);
}

static bool is_over(const struct stop *s)
{
	uint32_t reasons = 1u << s->reason;

	for (unsigned i = 0; i < s->n_causes; i++)
		reasons |= 1u << s->cause[i].reason;
	return reasons & (1u << STOP_HLT | 1u << STOP_SHUTDOWN | 1u << STOP_ERROR | 1u << STOP_EXIT | 1u << STOP_NONE);
}

static int run(struct debugger *d, bool steps, struct s_list *l, struct err *e)
{
	struct plan p = steps ? plan_step(0, 1) : plan_continue(0);

	for (unsigned i = 0; i < 8 * s_steps_max && !l->cut; i++) {
		int rc = debug_start(d, &p, RUN_LENT, e);
		if (rc > 0)
			rc = debug_wait(d, e);
		if (rc < 0)
			return rc;
		if (d->stop.reason != STOP_STEP || d->stop.n_causes)
			note_stop(d, l);
		if (is_over(&d->stop))
			return 0;
	}
	l->cut = true;
	return 0;
}

int s_debug_list(const struct s_guest *g, struct machine *m, bool steps, struct s_list *l, struct err *e)
{
	struct debugger d;
	int rc = debugger_init(&d, e);

	if (rc)
		return rc;
	d.m = m;
	d.judge.condition = condition;
	d.judge.condition_ctx = m;
	rc = add_points(g, &d, e);
	if (!rc && !steps && m->ops == &soft_backend)
		rc = add_beside(g, &d, e);
	if (!rc)
		rc = run(&d, steps, l, e);
	for (unsigned i = 0; !rc && i < g->n_points; i++) {
		const struct stop_point *p = point_find(&d.points, (int)i + 1);
		l->hits[i] = p ? p->hits : UINT64_MAX;
	}
	if (!rc)
		rc = machine_get_regs(m, 0, REGS_ALL, &l->end, e);
	debugger_deinit(&d);
	return rc;
}
