/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One guest on both machines: set up alike, stepped side by side or run to the end, compared.
 */
#include "tests/agree/agree.h"

#include <string.h>

#include "core/soft/soft.h"
#include "kvmback/kvmback.h"

#define STEPS_MAX 400
/* A guest that was not stepped may end behind any instruction. */
#define UNDEFINED_ANY (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* A device that answers with a function of the address and logs everything. */
static void log_access(struct board *b, struct board_window *w, uint64_t offset, unsigned len, void *data, bool write)
{
	struct side *s = w->ctx;
	struct mmio_log *l = &s->log;
	uint64_t v = 0, at = w->gpa + offset;

	if (write)
		memcpy(&v, data, len);
	if (w->gpa == s->scratch.gpa)
		s->scratch.access(b, &s->scratch, offset, len, data, write);
	else if (!write && w->gpa == GPA_HOLE)
		memset(data, 0xff, len);
	else if (!write) {
		v = (at * 0x9e3779b97f4a7c15ull) >> 3;
		memcpy(data, &v, len);
		v = 0;
	}
	if (l->n < MMIO_LOG_MAX)
		l->v[l->n++] = (struct mmio_entry){.gpa = at, .data = v, .len = len, .write = write};
}

static int add_slot(struct machine *m, uint32_t id, uint64_t gpa, uint64_t size, uint32_t flags, const void *bytes,
		    struct err *e)
{
	struct slot_spec spec = {.id = id, .gpa = gpa, .size = size, .flags = flags};
	int rc = machine_slot_add(m, &spec, NULL, e);

	/* What is zero is zero already. */
	for (uint64_t at = 0; !rc && at < size; at += 0x1000) {
		const uint8_t *page = (const uint8_t *)bytes + at;
		if (page[0] || memcmp(page, page + 1, 0xfff))
			rc = machine_write(m, gpa + at, false, page, 0x1000, e);
	}
	return rc;
}

static void log_scratch(struct side *s)
{
	struct board_window *w = board_window_at(machine_board(s->m), 0xd0000000);

	s->scratch = *w;
	w->access = log_access;
	w->ctx = s;
}

static int side_open(struct side *s, const struct plan *p, bool soft, struct err *e)
{
	struct machine_config cfg = {.vcpus = 1, .emulated_kernel = true, .mmio_sptes = false};
	struct board_window w = {.name = "log", .gpa = GPA_LOG, .size = LOG_SIZE, .ctx = s, .access = log_access};
	int rc;

	memset(s, 0, sizeof(*s));
	s->name = soft ? "soft" : "kvm";
	rc = machine_create(soft ? &soft_backend : &kvm_backend, &cfg, &s->m, e);
	if (!rc)
		rc = board_add_window(machine_board(s->m), &w, e);
	w.gpa = GPA_HOLE; /* answers as an address without a device, so that what goes there is seen */
	w.size = 0x1000;
	if (!rc)
		rc = board_add_window(machine_board(s->m), &w, e);
	if (!rc)
		log_scratch(s);
	if (!rc)
		rc = add_slot(s->m, 0, 0, RAM_SIZE, 0, p->ram, e);
	if (!rc)
		rc = add_slot(s->m, 1, GPA_BIG, BIG_SIZE, 0, p->big, e);
	if (!rc)
		rc = add_slot(s->m, 2, GPA_ROM, ROM_SIZE, SLOT_READONLY, p->rom, e);
	if (!rc)
		rc = machine_set_regs(s->m, 0, REGS_GPR | REGS_SYS | REGS_FPU, &p->r, e);
	return rc;
}

static void fail_text(FILE *f, const struct plan *p, const char *where, const struct insn_facts *insn, unsigned step,
		      const struct diff *d, const struct side *k, const struct side *s)
{
	fprintf(f, "DISAGREE seed %llu%s%s %s", (unsigned long long)p->seed, p->cpl0 ? " -0" : "", p->stepping ? "" : " -c",
		where);
	if (insn)
		fprintf(f, " step %u: %s", step, insn->text);
	fprintf(f, "\n%s", d->text);
	fprintf(f, "kvm: %s %s%s; soft: %s\n", stop_reason_name(k->stop.reason), k->stop.note,
		k->stop.no_progress ? " no progress" : "", stop_reason_name(s->stop.reason));
	for (unsigned i = 0; i < k->log.n || i < s->log.n; i++)
		fprintf(f, "  MMIO %u: kvm %c%u %#llx soft %c%u %#llx\n", i, k->log.v[i].write ? 'w' : 'r', k->log.v[i].len,
			(unsigned long long)k->log.v[i].gpa, s->log.v[i].write ? 'w' : 'r', s->log.v[i].len,
			(unsigned long long)s->log.v[i].gpa);
	regs_print(f, "kvm", &k->r);
	regs_print(f, "soft", &s->r);
}

static int get(struct side *s, uint32_t parts, struct err *e)
{
	return machine_get_regs(s->m, 0, parts, &s->r, e);
}

static int fetch(struct side *s, struct insn_facts *out, uint8_t code[16])
{
	struct err e = {0};
	size_t n = 15;

	while (n && machine_read_gva(s->m, 0, s->r.rip, code, n, &e))
		n--;
	facts_of(code, n, s->r.rip, s->r.gpr[RCX], out);
	return 0;
}

static int end_compare(const struct plan *p, struct side *k, struct side *s, bool shadow, struct totals *t)
{
	struct err e = {0};
	struct diff d = {0};
	int rc = get(k, REGS_ALL, &e);

	if (!rc)
		rc = get(s, REGS_ALL, &e);
	if (!rc)
		compare_regs(&d, &k->r, &s->r, p->stepping ? 0 : UNDEFINED_ANY, REGS_SYS | REGS_FPU);
	compare_mmio_log(&d, &k->log, &s->log);
	if (!rc)
		rc = compare_memory(&d, k->m, s->m, p->seed % 16 == 0, &e);
	if (!rc)
		rc = compare_mmio_cache(&d, k->m, s->m, &e);
	if (!rc && shadow) {
		t->shadow++;
		rc = compare_shadow(&d, k->m, s->m, &e);
	}
	if (rc) {
		printf("seed %llu: %s: %s\n", (unsigned long long)p->seed, e.what, e.why);
		return rc;
	}
	if (!d.n)
		return 0;
	fail_text(stdout, p, "at the end", NULL, 0, &d, k, s);
	return 1;
}

static int step(struct side *s, struct err *e)
{
	return machine_run(s->m, RUN_STEP, 0, 1, &s->stop, e);
}

/* Undefined flags: soft goes on with what the host has. Within a REP its registers are set in any case: a trap behind each
 * iteration brings the host out of its emulator, which soft would stay in. */
static int settle(struct side *k, struct side *s, uint64_t undefined, bool in_rep, struct err *e)
{
	if (!in_rep && !((k->r.rflags ^ s->r.rflags) & undefined))
		return 0;
	s->r.rflags = (s->r.rflags & ~undefined) | (k->r.rflags & undefined);
	return machine_set_regs(s->m, 0, REGS_GPR, &s->r, e);
}

/* 0 stepped, 1 disagreed, 2 the guest ended, 3 by a rule, negative: an error. */
static int step_both(const struct plan *p, struct side *k, struct side *s, unsigned n, int verbose, struct totals *t)
{
	struct insn_facts f;
	struct err e = {0};
	struct diff d = {0};
	uint8_t code[16] = {0};
	struct rule_input in = {.insn = &f, .cpl0 = p->cpl0, .code = code};
	unsigned log = k->log.n;
	const char *why;

	uint64_t before = s->r.rip;
	fetch(s, &f, code);
	if (verbose)
		printf("%4u %#llx %s\n", n, (unsigned long long)s->r.rip, f.text);
	why = rule_before(&in);
	if (why)
		return 3;
	int rc = step(k, &e);
	(void)events_take(verbose > 2);
	if (!rc)
		rc = step(s, &e);
	uint32_t parts = REGS_GPR | (strstr(f.text, "xmm") ? REGS_FPU : 0);
	if (!rc)
		rc = get(k, parts, &e);
	if (!rc)
		rc = get(s, parts, &e);
	if (rc) {
		printf("seed %llu: %s: %s\n", (unsigned long long)p->seed, e.what, e.why);
		return rc;
	}
	in.kvm = &k->stop;
	in.soft = &s->stop;
	in.mmio_exits = k->log.n - log;
	in.moved = k->r.rip != before;
	if (rule_after(&in))
		return 3;
	t->instructions++;
	compare_stop(&d, &k->stop, &s->stop);
	compare_regs(&d, &k->r, &s->r, f.undefined, parts & REGS_FPU);
	compare_mmio_log(&d, &k->log, &s->log);
	if (d.n) {
		fail_text(stdout, p, "at", &f, n, &d, k, s);
		return 1;
	}
	if (verbose > 1) { /* to find the instruction behind a difference at the end */
		rc = compare_memory(&d, k->m, s->m, false, &e);
		if (!rc && !p->cpl0)
			rc = compare_shadow(&d, k->m, s->m, &e);
		if (!rc)
			rc = compare_mmio_cache(&d, k->m, s->m, &e);
		if (rc || d.n) {
			fail_text(stdout, p, "behind", &f, n, &d, k, s);
			return rc ? rc : 1;
		}
	}
	if (k->stop.reason != STOP_STEP)
		return 2;
	return settle(k, s, f.undefined, s->r.rip == before, &e);
}

static int run_stepping(const struct plan *p, struct side *k, struct side *s, int verbose, struct totals *t)
{
	struct err e = {0};
	int rc = get(s, REGS_GPR, &e);

	for (unsigned n = 0; !rc && n < STEPS_MAX; n++)
		rc = step_both(p, k, s, n, verbose, t);
	if (rc == 3)
		t->ruled++;
	if (rc == 1 || rc < 0)
		return rc;
	return rc == 3 ? 0 : end_compare(p, k, s, !p->cpl0, t);
}

static int run_whole(const struct plan *p, struct side *k, struct side *s, int verbose, struct totals *t)
{
	struct err e = {0};
	struct diff d = {0};
	int rc = machine_run(k->m, RUN_CONTINUE, 0, 1, &k->stop, &e);
	events_take(verbose > 2);

	if (!rc)
		rc = machine_run(s->m, RUN_CONTINUE, 0, 1, &s->stop, &e);
	if (!rc)
		rc = get(k, REGS_GPR, &e);
	if (!rc)
		rc = get(s, REGS_GPR, &e);
	if (rc)
		return rc;
	struct rule_input in = {.cpl0 = p->cpl0, .kvm = &k->stop, .soft = &s->stop, .mmio_exits = k->log.n};
	if (rule_after(&in)) {
		t->ruled++;
		return 0;
	}
	compare_stop(&d, &k->stop, &s->stop);
	if (d.n) {
		fail_text(stdout, p, "at the stop", NULL, 0, &d, k, s);
		return 1;
	}
	return end_compare(p, k, s, !p->cpl0, t);
}

int agree_seed(const struct plan *p, struct totals *t, int verbose)
{
	struct side k = {0}, s = {0};
	struct err e = {0};
	int rc = side_open(&k, p, false, &e);

	if (!rc)
		rc = side_open(&s, p, true, &e);
	if (rc)
		printf("seed %llu: %s: %s\n", (unsigned long long)p->seed, e.what, e.why);
	else
		rc = p->stepping ? run_stepping(p, &k, &s, verbose, t) : run_whole(p, &k, &s, verbose, t);
	t->guests++;
	if (k.m)
		machine_destroy(k.m);
	if (s.m)
		machine_destroy(s.m);
	return rc;
}
