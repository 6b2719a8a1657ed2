/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The list of stops that follows from a machine in which nothing is planted and nothing caught, stepped to its end: what
 *each step executed, accessed and raised is worked out from the bytes at rip and the registers before and behind it.
 *
 * What a step did:
 *	an exception's handler is where it ends: its entry tells the vector, and the frame what was to be returned to.
 *	  A fault: nothing was executed. A trap (#DB behind an instruction, INT n): it was.
 *	anything else: the instruction was executed, of a REP one round.
 * Stops: before a device's access, one each; before the delivery of an exception that is caught; behind the step one for
 * everything else: watched bytes, the mode, breakpoints at the place that was come to.
 */
#include <stdio.h>
#include <string.h>

#include "tests/agree/stops/stops.h"

unsigned s_steps_max = S_STEPS_MAX;
#define BEGUN_MAX 64

struct taken {
	struct s_guest *g;
	struct machine *m;
	struct s_list *l;
	struct regs before, after;
	struct s_insn insn;
	bool known;
	/* what it came to */
	int vector; /* -1: none */
	bool executed, soft_int;
	bool halted;
	uint64_t frame, frame_len, frame_ip; /* frame: linear */
	/* The one access that is watched; touched: how many are. */
	unsigned touched;
	struct s_access touch;
	uint8_t was[8];
	bool in_frame;
	/* Where instructions faulted that are to be executed again. */
	uint64_t begun[BEGUN_MAX];
	unsigned n_begun;
	uint32_t error;
	bool has_error;
};

static bool wants(const struct s_guest *g, uint32_t event)
{
	for (unsigned i = 0; i < g->n_points; i++)
		if (g->point[i].kind == POINT_CATCH && g->point[i].event == event)
			return true;
	return false;
}

static bool overlap(uint64_t a, uint64_t an, uint64_t b, uint64_t bn)
{
	return a < b + bn && b < a + an;
}

/* ---- what a step was */

static bool fetch(struct taken *t)
{
	uint8_t code[16] = {0};
	uint64_t pc = s_linear_pc(&t->before), gpa;

	for (unsigned i = 0; i < 15; i++)
		if (!s_walk(t->m, &t->before, pc + i, &gpa) || machine_read(t->m, gpa, false, &code[i], 1, NULL))
			break;
	return s_decode(&t->before, code, t->g->mode->cpl == 3, &t->insn);
}

static uint64_t word_at(struct taken *t, uint64_t linear, unsigned n)
{
	uint64_t v = 0, gpa;

	if (!s_walk(t->m, &t->after, linear, &gpa) || machine_read(t->m, gpa, false, &v, n, NULL))
		return 0;
	return v;
}

static bool has_error_code(unsigned v)
{
	return v == 8 || (v >= 10 && v <= 14) || v == 17;
}

static void look_at_frame(struct taken *t)
{
	unsigned width = t->g->mode->handler_bits / 8, words = width == 8 || (width == 4 && t->g->mode->cpl == 3) ? 5 : 3;

	/* An exception of a handler's would be of the same level; handlers raise none. */
	t->has_error = width > 2 && !t->soft_int && has_error_code((unsigned)t->vector);
	t->frame = t->after.seg[SEG_SS].base * (width != 8) + t->after.gpr[RSP];
	t->frame_len = width * (words + t->has_error);
	t->error = t->has_error ? (uint32_t)word_at(t, t->frame, 4) : 0;
	t->frame_ip = word_at(t, t->frame + (t->has_error ? width : 0), width);
}

/* A #DB is a fault where a debug register stops at the instruction. */
static bool executes_at_dr(const struct regs *r)
{
	for (unsigned n = 0; n < 4; n++)
		if (r->dr[7] >> 2 * n & 3 && !(r->dr[7] >> (16 + 4 * n) & 3) && r->dr[n] == s_linear_pc(r))
			return !(r->rflags & RFLAGS_RF);
	return false;
}

static void classify(struct taken *t)
{
	uint64_t pc = s_linear_pc(&t->after), from = s_linear_pc(&t->before);
	bool inside = from >= S_HANDLERS && from < S_HANDLERS + 0x400;

	t->vector = -1;
	t->executed = true;
	t->soft_int = false;
	if (pc < S_HANDLERS || pc >= S_HANDLERS + 512 || pc % 16 || inside)
		return;
	t->vector = (int)(pc - S_HANDLERS) / 16;
	t->soft_int = t->known && t->insn.trap && !(t->vector == 1 && executes_at_dr(&t->before));
	look_at_frame(t);
	t->executed = t->soft_int || (t->vector == 1 && !executes_at_dr(&t->before));
}

/* ---- stops before something takes place */

static void device_part(struct taken *t, uint64_t gpa, unsigned len, bool write)
{
	struct s_scene sc;
	char what[100];

	snprintf(what, sizeof(what), "mmio %c%u %#llx", write ? 'w' : 'r', len, (unsigned long long)gpa);
	s_scene_begin(&sc, t->g, t->l, t->before.gpr[RBP], s_linear_pc(&t->before));
	for (unsigned i = 0; i < t->g->n_points; i++) {
		struct s_point *p = &t->g->point[i];
		if (p->kind == POINT_CATCH && p->event == CATCH_MMIO &&
		    (!p->has_arg || overlap(p->first, p->last - p->first + 1, gpa, len)))
			s_scene_match(&sc, i, what);
	}
	s_scene_end(&sc);
}

/* As many accesses as the bus takes: 8 bytes at the most, none across a page's end. */
static void device_access(struct taken *t, const struct s_access *a, bool write)
{
	uint64_t at = a->linear, left = a->len, gpa;

	while (left) {
		uint64_t n = 0x1000 - (at & 0xfff);
		n = n < left ? n : left;
		if (!s_walk(t->m, &t->before, at, &gpa))
			return;
		if (gpa >= S_RAM)
			for (uint64_t k = 0; k < n; k += 8)
				device_part(t, gpa + k, (unsigned)(n - k < 8 ? n - k : 8), write);
		at += n;
		left -= n;
	}
}

static void port_access(struct taken *t)
{
	struct s_scene sc;
	char what[100];

	snprintf(what, sizeof(what), "pio %c%u %#x", t->insn.port_write ? 'w' : 'r', t->insn.port_len, t->insn.port_at);
	s_scene_begin(&sc, t->g, t->l, t->before.gpr[RBP], s_linear_pc(&t->before));
	for (unsigned i = 0; i < t->g->n_points; i++) {
		struct s_point *p = &t->g->point[i];
		if (p->kind == POINT_CATCH && p->event == CATCH_PIO && (!p->has_arg || p->first == t->insn.port_at))
			s_scene_match(&sc, i, what);
	}
	s_scene_end(&sc);
}

/* In the order in which the instruction makes them: what it reads first, a port behind the memory that it takes the bytes
 * from and before the memory that they go to. */
static void device_accesses(struct taken *t)
{
	const struct s_insn *x = &t->insn;

	for (unsigned i = 0; i < x->n; i++)
		if (x->access[i].read)
			device_access(t, &x->access[i], false);
	if (x->port)
		port_access(t);
	for (unsigned i = 0; i < x->n; i++)
		if (x->access[i].write)
			device_access(t, &x->access[i], true);
}

static bool touches_device(struct taken *t)
{
	uint64_t gpa;

	for (unsigned i = 0; i < t->insn.n; i++)
		for (unsigned k = 0; k < t->insn.access[i].len; k++)
			if (s_walk(t->m, &t->before, t->insn.access[i].linear + k, &gpa) && gpa >= S_RAM)
				return true;
	return t->insn.port;
}

/* ---- what is behind it */

static bool watch_meets(struct taken *t, const struct s_point *p, const struct regs *r, uint64_t at, uint64_t len)
{
	uint64_t gpa;

	for (uint64_t k = 0; k < len; k++) {
		if (!s_walk(t->m, r, at + k, &gpa) || gpa >= S_RAM)
			continue;
		uint64_t where = p->phys ? gpa : at + k;
		if (where >= p->addr && where - p->addr < p->len)
			return true;
	}
	return false;
}

static bool wants_kind(const struct s_point *p, bool read, bool write)
{
	return (p->kind == POINT_WATCH && write) || (p->kind == POINT_RWATCH && read) || p->kind == POINT_AWATCH;
}

static void bytes_at(struct taken *t, const struct s_access *a, uint8_t out[8])
{
	uint64_t gpa;

	for (unsigned i = 0; i < a->len && i < 8; i++)
		if (!s_walk(t->m, &t->before, a->linear + i, &gpa) || machine_read(t->m, gpa, false, &out[i], 1, NULL))
			out[i] = 0xff;
}

/* The translation of an access is that before the step, in which it may have changed. */
static void note_hits(struct taken *t, bool hit[S_POINTS_MAX])
{
	memset(hit, 0, S_POINTS_MAX * sizeof(*hit));
	t->touched = 0;
	t->in_frame = false;
	for (unsigned k = 0; k < t->insn.n; k++) {
		const struct s_access *a = &t->insn.access[k];
		bool met = false;

		for (unsigned i = 0; i < t->g->n_points; i++)
			if (wants_kind(&t->g->point[i], a->read, a->write) &&
			    watch_meets(t, &t->g->point[i], &t->before, a->linear, a->len))
				met = hit[i] = true;
		t->touched += met;
		if (!met)
			continue;
		t->touch = *a;
		bytes_at(t, a, t->was);
	}
	/* Of a string instruction onto itself both sides are one. */
	for (unsigned k = 0; k < t->insn.n; k++)
		t->touched += t->insn.n > 1 && t->touched == 1 && memcmp(&t->insn.access[k], &t->touch, sizeof(t->touch)) &&
			      overlap(t->insn.access[k].linear, t->insn.access[k].len, t->touch.linear, t->touch.len);
}

/* What is told of the access beside whose it is. Of several, of a wide one and of a frame several parts may be, and are not
 * compared. */
static void touch_text(struct taken *t, char out[120])
{
	uint8_t now[8];

	if (t->touched != 1 || t->touch.len > 8 || t->insn.several || t->in_frame) {
		snprintf(out, 120, " [?]");
		return;
	}
	uint64_t old = 0, new = 0;
	bytes_at(t, &t->touch, now);
	memcpy(&old, t->was, t->touch.len);
	/* What is read is what was there, whatever the step has put there behind it. */
	memcpy(&new, t->touch.write ? now : t->was, t->touch.len);
	snprintf(out, 120, " [by %#llx %s%s %u %#llx: %#llx %#llx]", (unsigned long long)t->before.rip,
		 t->touch.read ? "r" : "", t->touch.write ? "w" : "", t->touch.len, (unsigned long long)t->touch.linear,
		 (unsigned long long)old, (unsigned long long)new);
}

static void tell_hits(struct taken *t, struct s_scene *sc, const bool hit[S_POINTS_MAX])
{
	for (unsigned i = 0; i < t->g->n_points; i++)
		if (hit[i] && s_scene_match(sc, i, "watchpoint"))
			touch_text(t, sc->detail);
}

static void frame_hits(struct taken *t, bool hit[S_POINTS_MAX])
{
	for (unsigned i = 0; i < t->g->n_points; i++)
		if (wants_kind(&t->g->point[i], false, true) &&
		    watch_meets(t, &t->g->point[i], &t->after, t->frame, t->frame_len))
			hit[i] = t->in_frame = true;
}

static void tell_breaks(struct taken *t, struct s_scene *sc, uint64_t pc)
{
	for (unsigned i = 0; i < t->g->n_points; i++) {
		struct s_point *p = &t->g->point[i];

		if ((p->kind == POINT_BREAK || p->kind == POINT_HBREAK) && p->addr == pc)
			s_scene_match(sc, i, "breakpoint");
	}
}

static void tell_mode(struct taken *t, struct s_scene *sc)
{
	unsigned a = s_code_bits(&t->before), b = s_code_bits(&t->after);
	unsigned from = t->before.cr0 & CR0_PE ? t->before.seg[SEG_SS].dpl : 0,
		 to = t->after.cr0 & CR0_PE ? t->after.seg[SEG_SS].dpl : 0;

	if (a == b && from == to)
		return;
	for (unsigned i = 0; i < t->g->n_points; i++)
		if (t->g->point[i].kind == POINT_CATCH && t->g->point[i].event == CATCH_MODE)
			s_scene_match(sc, i, "mode");
}

static void tell_exception(struct taken *t, struct s_scene *sc)
{
	char what[100];

	snprintf(what, sizeof(what),
		 t->vector == 14 ? "exception v%d e%#x cr2 %#llx"
		 : t->has_error	 ? "exception v%d e%#x"
				 : "exception v%d",
		 t->vector, t->error, (unsigned long long)t->after.cr2);
	for (unsigned i = 0; i < t->g->n_points; i++) {
		struct s_point *p = &t->g->point[i];

		if (p->kind == POINT_CATCH && p->event == CATCH_EXCEPTION &&
		    (!p->has_arg || (uint64_t)t->vector == p->first))
			s_scene_match(sc, i, what);
	}
}

static uint64_t frame_pc(const struct taken *t)
{
	return s_code_bits(&t->before) == 64 ? t->frame_ip : (uint32_t)(t->before.seg[SEG_CS].base + t->frame_ip);
}

/* Has one round of a REP been made, and it is not the last? */
static bool mid_rep(const struct taken *t)
{
	if (!t->executed || !t->insn.rep)
		return false;
	return s_linear_pc(&t->before) == (t->vector < 0 ? s_linear_pc(&t->after) : frame_pc(t));
}

static bool has_begun(const struct taken *t, uint64_t pc)
{
	for (unsigned i = 0; i < t->n_begun; i++)
		if (t->begun[i] == pc)
			return true;
	return false;
}

static void note_begun(struct taken *t)
{
	uint64_t pc = s_linear_pc(&t->before);
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_begun; i++)
		if (t->begun[i] != pc)
			t->begun[n++] = t->begun[i];
	t->n_begun = n;
	if ((!t->executed || mid_rep(t)) && n < BEGUN_MAX)
		t->begun[t->n_begun++] = pc;
}

/* Does the vCPU stand before another execution than that of the step? Not between two rounds of a REP, and not where an
 * instruction that an exception kept from its end is returned to, which RF says (SDM vol. 3B, 18.3.1.1). */
static bool arrived(const struct taken *t)
{
	uint64_t pc = s_linear_pc(&t->after);

	if (t->vector < 0 && mid_rep(t))
		return false;
	return !(t->after.rflags & RFLAGS_RF && has_begun(t, pc));
}

/* INT n is no exception; INT3, INTO and INT1 are told where they stand, as faults are. */
static bool is_exception(const struct taken *t)
{
	return t->vector >= 0 && !(t->soft_int && t->insn.int_n);
}

static void tell_behind(struct taken *t, bool hit[S_POINTS_MAX])
{
	struct s_scene sc;

	if (is_exception(t) && wants(t->g, CATCH_EXCEPTION)) {
		s_scene_begin(&sc, t->g, t->l, t->after.gpr[RBP], t->soft_int ? s_linear_pc(&t->before) : frame_pc(t));
		tell_hits(t, &sc, hit);
		tell_exception(t, &sc);
		s_scene_end(&sc);
		memset(hit, 0, S_POINTS_MAX * sizeof(*hit));
		t->touched = 0;
	}
	if (t->vector >= 0)
		frame_hits(t, hit);
	s_scene_begin(&sc, t->g, t->l, t->after.gpr[RBP], s_linear_pc(&t->after));
	tell_hits(t, &sc, hit);
	tell_mode(t, &sc);
	if (arrived(t))
		tell_breaks(t, &sc, s_linear_pc(&t->after));
	if (t->halted)
		s_scene_own(&sc, "hlt");
	s_scene_end(&sc);
}

static int take(struct taken *t, struct err *e)
{
	const uint32_t parts = REGS_GPR | REGS_SYS | REGS_DEBUG;
	bool hit[S_POINTS_MAX];
	struct stop stop;
	int rc = machine_get_regs(t->m, 0, parts, &t->before, e);

	if (rc)
		return rc;
	t->known = fetch(t);
	note_hits(t, hit);
	bool device = touches_device(t);
	struct s_insn insn = t->insn;
	/* What is told before the step must be worked out before it: its walks are those of before. */
	struct s_guest was = *t->g;
	unsigned lines = t->l->n;
	if (device)
		device_accesses(t);
	rc = machine_run(t->m, RUN_STEP, 0, 1, &stop, e);
	if (!rc)
		rc = machine_get_regs(t->m, 0, parts, &t->after, e);
	if (rc)
		return rc;
	t->insn = insn;
	t->halted = stop.reason == STOP_HLT;
	classify(t);
	if (t->executed && !t->known) {
		t->l->why = "an instruction that decode.c does not know";
		return 1;
	}
	if (!t->executed && device) {
		for (unsigned i = 0; i < t->g->n_points; i++)
			t->g->point[i] = was.point[i];
		t->l->n = lines;
		t->l->why = "a fault of an instruction that accesses a device too";
		return 1;
	}
	if (!t->executed)
		memset(hit, 0, sizeof(hit));
	note_begun(t);
	tell_behind(t, hit);
	if (!t->halted && stop.reason != STOP_STEP)
		s_list_add(t->l, "%#llx %s%.150s", (unsigned long long)s_linear_pc(&t->after), stop_reason_name(stop.reason),
			   stop.error);
	return stop.reason != STOP_STEP;
}

int s_oracle(struct s_guest *g, struct machine *m, struct s_list *l, struct err *e)
{
	struct taken t = {.g = g, .m = m, .l = l};
	int rc = 0;

	for (unsigned i = 0; !rc && i < s_steps_max; i++)
		rc = take(&t, e);
	if (!rc)
		l->why = "it does not end";
	return rc < 0 ? rc : machine_get_regs(m, 0, REGS_ALL, &l->end, e);
}
