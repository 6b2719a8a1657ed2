/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One guest on both machines: set up alike, stepped side by side or run to the end, compared.
 */
#include "tests/agree/agree.h"

#include <string.h>

#include "core/machine/machine_impl.h"
#include "core/soft/soft.h"
#include "kvmback/kvmback.h"

#define STEPS_MAX 400
#define SCOUT_MAX 20000
#define SKIPS_MAX 12
#define REPEATS_MAX 3
#define REPEAT 2 /* of end_compare(): the host may have had a hand in it */

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

/* maxphyaddr: soft's has what kvm's has; 0 opens kvm's. Known before the registers are set: that is when a vCPU takes it. */
static int side_open(struct side *s, const struct plan *p, unsigned maxphyaddr, struct err *e)
{
	struct machine_config cfg = {.vcpus = 1, .emulated_kernel = true, .mmio_sptes = false};
	struct board_window w = {.name = "log", .gpa = GPA_LOG, .size = LOG_SIZE, .ctx = s, .access = log_access};
	int rc;

	memset(s, 0, sizeof(*s));
	s->name = maxphyaddr ? "soft" : "kvm";
	rc = machine_create(maxphyaddr ? &soft_backend : &kvm_backend, &cfg, &s->m, e);
	if (!rc && maxphyaddr) {
		s->m->maxphyaddr = maxphyaddr;
		soft_set_habits(s->m, host_habits());
	}
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

static bool in_handler(uint64_t rip)
{
	return rip >= GVA_SYS && rip < GVA_SYS + 0x4000;
}

static int end_compare(const struct plan *p, struct side *k, struct side *s, struct totals *t)
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
	bool alike = !d.n;
	if (!rc)
		rc = compare_mmio_cache(&d, k->m, s->m, p->same_cr3, &e);
	t->overflowed += !p->cpl0 && events_lost();
	if (!rc && alike && d.cache_cleared && t->again < REPEATS_MAX) {
		t->repeated++;
		return REPEAT;
	}
	if (!rc && !p->cpl0 && events_there() && !events_lost()) {
		t->shadow++;
		rc = compare_shadow(&d, k->m, s->m, &t->counts, &e);
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

/* Behind an instruction that faulted alike on both. */
static int skip(struct side *k, struct side *s, unsigned len, struct totals *t, struct err *e)
{
	t->skipped++;
	k->r.rip += len;
	s->r.rip += len;
	return machine_set_regs(k->m, 0, REGS_GPR, &k->r, e) ?: machine_set_regs(s->m, 0, REGS_GPR, &s->r, e);
}

enum outcome { WENT, DISAGREED, ENDED, RULED };

/* Has kvm written to a table what soft has not? Accessed bits aside. */
static bool tables_differ(struct side *k, struct side *s, struct err *e)
{
	static uint64_t a[(TABLES_END - TABLES_BASE) / 8], b[(TABLES_END - TABLES_BASE) / 8];

	if (machine_read(k->m, TABLES_BASE, false, a, sizeof(a), e) ||
	    machine_read(s->m, TABLES_BASE, false, b, sizeof(b), e))
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(a); i++)
		if ((a[i] ^ b[i]) & ~PTE_A)
			return true;
	return false;
}

/* It has read the second page, a device, before the write there faulted: soft's log has that too. */
static void take_half_read(struct side *k, struct side *s, const struct rule_input *in)
{
	const struct mmio_entry *last = k->log.n ? &k->log.v[k->log.n - 1] : NULL;

	if (k->log.n == s->log.n + 1 && !last->write && !(last->gpa & 0xfff) && rule_half_write(in) && rule_half_written())
		s->log.v[s->log.n++] = *last;
}

/* The emulator's half of a write that faults in its second page is soft's too from now on; where it went to a table the
 * guest ends. */
static int take_half_write(const struct plan *p, struct side *k, struct side *s, const struct rule_input *in, struct err *e)
{
	unsigned n = rule_half_write(in);
	uint64_t at = in->kvm_cr2 - n;
	uint8_t theirs[16], ours[16];

	if (!n || machine_read_gva(k->m, 0, at, theirs, n, e) || machine_read_gva(s->m, 0, at, ours, n, e) ||
	    !memcmp(theirs, ours, n) || !rule_half_written())
		return WENT;
	if (p->handlers && tables_differ(k, s, e))
		return RULED;
	return machine_write_gva(s->m, 0, at, theirs, n, e);
}

static bool used_stale_leaf(struct side *k, struct side *s, struct err *e)
{
	struct shadow_counts counts = {0};
	struct diff ignored = {0};

	return !compare_shadow(&ignored, k->m, s->m, &counts, e) && counts.stale_used;
}

/* Both have stopped at kvm's instruction f: what of it is the host's own, and is the rest equal? */
static int judge(const struct plan *p, struct side *k, struct side *s, struct rule_input *in, uint64_t undefined,
		 uint32_t parts, struct diff *d, struct err *e)
{
	in->kvm = &k->stop;
	in->soft = &s->stop;
	in->kvm_regs = &k->r;
	in->soft_regs = &s->r;
	in->raw = p->classes & CLASS_RAW;
	struct regs sys;
	in->kvm_cr2 = k->stop.cr2;
	if (p->handlers && !machine_get_regs(k->m, 0, REGS_SYS, &sys, e))
		in->kvm_cr2 = sys.cr2;
	if (rule_after(in))
		return RULED;
	int rc = 0;
	if (rule_adopts(in))
		rc = machine_set_regs(s->m, 0, REGS_GPR, &s->r, e);
	take_half_read(k, s, in);
	compare_stop(d, &k->stop, &s->stop);
	compare_regs(d, &k->r, &s->r, undefined, parts & REGS_FPU);
	compare_mmio_log(d, &k->log, &s->log);
	if (!rc && d->n && used_stale_leaf(k, s, e) && rule_stale())
		return RULED;
	if (!rc && !d->n)
		rc = take_half_write(p, k, s, in, e);
	return rc ? rc : d->n ? DISAGREED : k->stop.reason == STOP_STEP ? WENT : ENDED;
}

/* To find the instruction behind a difference at the end. */
static int compare_behind(const struct plan *p, struct side *k, struct side *s, struct diff *d, struct err *e)
{
	struct shadow_counts counts = {0};
	int rc = compare_memory(d, k->m, s->m, false, e);

	if (!rc && !p->cpl0)
		rc = compare_shadow(d, k->m, s->m, &counts, e);
	return rc ? rc : compare_mmio_cache(d, k->m, s->m, p->same_cr3, e);
}

static bool goes_on(const struct plan *p, const struct side *k, const struct insn_facts *f, unsigned skipped)
{
	return k->stop.reason == STOP_EXCEPTION && !p->handlers && f->known && skipped < SKIPS_MAX &&
	       k->r.rip < p->start + p->len - 4;
}

/* WENT: stepped, or skipped what faulted. */
static int step_both(const struct plan *p, struct side *k, struct side *s, unsigned n, unsigned *skipped, int verbose,
		     struct totals *t)
{
	struct insn_facts f;
	struct err e = {0};
	struct diff d = {0};
	uint8_t code[16] = {0};
	uint64_t before = s->r.rip;
	struct rule_input in = {.insn = &f, .cpl0 = p->cpl0 || in_handler(before)};

	fetch(s, &f, code);
	if (verbose)
		printf("%4u %#llx %s\n", n, (unsigned long long)before, f.text);
	in.raw = p->classes & CLASS_RAW;
	if (rule_before(&in))
		return RULED;
	if (rule_passes_over(&in))
		return get(k, REGS_GPR, &e) ?: get(s, REGS_GPR, &e) ?: skip(k, s, f.len, t, &e);
	rule_habit(&f, in.cpl0);
	int rc = step(k, &e);
	in.emulated = events_take(verbose > 2) || in.cpl0;
	if (!rc)
		rc = step(s, &e);
	history_note(s->m);
	uint32_t parts = REGS_GPR | (strstr(f.text, "xmm") ? REGS_FPU : 0);
	if (!rc)
		rc = get(k, parts, &e) ?: get(s, parts, &e);
	in.moved = k->r.rip != before;
	if (!rc)
		rc = judge(p, k, s, &in, f.undefined, parts, &d, &e);
	if (rc == RULED)
		return rc;
	t->instructions++;
	if (rc >= 0 && rc != DISAGREED && verbose > 1 && !in_handler(k->r.rip)) {
		int behind = compare_behind(p, k, s, &d, &e);
		rc = behind ? behind : d.n ? DISAGREED : rc;
	}
	if (rc == DISAGREED)
		fail_text(stdout, p, "at", &f, n, &d, k, s);
	if (rc == ENDED && goes_on(p, k, &f, (*skipped)++))
		rc = skip(k, s, f.len, t, &e);
	else if (rc == WENT)
		rc = settle(k, s, f.undefined, s->r.rip == before, &e);
	if (rc < 0)
		printf("seed %llu: %s: %s\n", (unsigned long long)p->seed, e.what, e.why);
	return rc;
}

static int run_stepping(const struct plan *p, struct side *k, struct side *s, int verbose, struct totals *t)
{
	struct err e = {0};
	unsigned skipped = 0;
	int rc = get(s, REGS_GPR, &e);

	for (unsigned n = 0; rc == WENT && n < STEPS_MAX; n++)
		rc = step_both(p, k, s, n, &skipped, verbose, t);
	t->ruled += rc == RULED;
	return rc == DISAGREED || rc < 0 ? rc : rc == RULED ? 0 : end_compare(p, k, s, t);
}

/* The entries' history of a guest that is not stepped: soft once more, step by step. */
static int scout(const struct plan *p, unsigned maxphyaddr, struct err *e)
{
	struct insn_facts f;
	uint8_t code[16] = {0};
	unsigned skipped = 0;
	struct side s;
	int rc = side_open(&s, p, maxphyaddr, e);

	for (unsigned n = 0; !rc && n < SCOUT_MAX; n++) {
		rc = get(&s, REGS_GPR, e);
		fetch(&s, &f, code);
		rule_habit(&f, p->cpl0 || in_handler(s.r.rip));
		if (!rc)
			rc = step(&s, e);
		history_note(s.m);
		if (rc || s.stop.reason == STOP_STEP)
			continue;
		rc = get(&s, REGS_GPR, e);
		fetch(&s, &f, code);
		if (rc || !goes_on(p, &s, &f, skipped++))
			break;
		s.r.rip += f.len;
		rc = machine_set_regs(s.m, 0, REGS_GPR, &s.r, e);
	}
	if (s.m)
		machine_destroy(s.m);
	return rc;
}

/* To the next stop. */
static int run_on(const struct plan *p, struct side *k, struct side *s, unsigned *skipped, int verbose, struct totals *t)
{
	struct insn_facts f;
	struct err e = {0};
	struct diff d = {0};
	uint8_t code[16] = {0};
	struct rule_input in = {.insn = &f, .cpl0 = p->cpl0, .moved = true};
	int rc = machine_run(k->m, RUN_CONTINUE, 0, 1, &k->stop, &e);

	in.emulated = events_take(verbose > 2) || in.cpl0;
	if (!rc)
		rc = machine_run(s->m, RUN_CONTINUE, 0, 1, &s->stop, &e) ?: get(k, REGS_GPR, &e) ?: get(s, REGS_GPR, &e);
	/* In the handler of #UD: the instruction that it came from. */
	uint64_t rip = k->r.rip, from;
	if (rip == GVA_UD_END && !machine_read(k->m, GPA_FRAME_RIP, false, &from, 8, &e))
		k->r.rip = from;
	fetch(k, &f, code);
	k->r.rip = rip;
	if (!rc)
		rc = judge(p, k, s, &in, UNDEFINED_ANY, REGS_GPR, &d, &e);
	if (rc == DISAGREED)
		fail_text(stdout, p, "at the stop", &f, 0, &d, k, s);
	if (rc == ENDED && goes_on(p, k, &f, (*skipped)++))
		rc = skip(k, s, f.len, t, &e);
	if (rc < 0)
		printf("seed %llu: %s: %s\n", (unsigned long long)p->seed, e.what, e.why);
	return rc;
}

static int run_whole(const struct plan *p, struct side *k, struct side *s, int verbose, struct totals *t)
{
	struct err e = {0};
	unsigned skipped = 0;
	int rc = scout(p, k->m->maxphyaddr, &e);

	while (rc == WENT)
		rc = run_on(p, k, s, &skipped, verbose, t);
	t->ruled += rc == RULED;
	return rc == DISAGREED || rc < 0 ? rc : rc == RULED ? 0 : end_compare(p, k, s, t);
}

static int once(const struct plan *p, struct totals *t, int verbose)
{
	struct side k = {0}, s = {0};
	struct err e = {0};
	int rc = side_open(&k, p, 0, &e);

	if (!rc)
		rc = side_open(&s, p, k.m->maxphyaddr, &e);
	if (rc)
		printf("seed %llu: %s: %s\n", (unsigned long long)p->seed, e.what, e.why);
	events_reset();
	history_begin(p->ram);
	if (!rc)
		rc = p->stepping ? run_stepping(p, &k, &s, verbose, t) : run_whole(p, &k, &s, verbose, t);
	if (k.m)
		machine_destroy(k.m);
	if (s.m)
		machine_destroy(s.m);
	return rc;
}

/* Guests do the same each time; what the host does to a VM on its own account, now and then, does not come again. */
int agree_seed(struct plan *p, struct totals *t, int verbose)
{
	int rc;

	t->again = 0;
	while ((rc = once(p, t, verbose)) == REPEAT)
		t->again++;
	t->guests++;
	p->features |= events_met();
	for (unsigned i = 0; i < FEATURE_COUNT; i++)
		t->feature[i] += p->features >> i & 1;
	return rc;
}
