/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A batch of jobs on both machines: the same bytes into both memories, run from signal to signal, everything compared.
 */
#include "tests/qemu/qemu.h"

#include <errno.h>
#include <string.h>

#include "core/soft/soft.h"

extern const uint8_t qemu_guest[], qemu_guest_end[];

struct batch {
	struct qemu *q;
	struct machine *m;
	struct plan_job *jobs;
	unsigned n;
	struct tally *t;
};

static void fill_memory(struct batch *b)
{
	uint8_t *low = b->q->low;
	uint32_t count = b->n;

	memset(low, 0, FIXED_SIZE);
	memcpy(low + GUEST_AT, qemu_guest, (size_t)(qemu_guest_end - qemu_guest));
	memcpy(low + GUEST_PARAMS, &count, sizeof(count));
	for (unsigned i = 0; i < b->n; i++) {
		memcpy(low + GUEST_JOBS + i * sizeof(struct job), &b->jobs[i].job, sizeof(struct job));
		if (b->jobs[i].job.wide < WIDE_INSN)
			memcpy(low + b->jobs[i].job.list, b->jobs[i].list, sizeof(b->jobs[i].list));
		memcpy(low + GUEST_TABLES + i * JOB_BYTES, b->jobs[i].tables, JOB_BYTES);
	}
	for (unsigned i = 0; i < POOL_SIZE >> 12; i++)
		pool_fill(low + POOL_AT + i * 0x1000, i);
	for (unsigned i = 0; i < HIGH_SIZE >> 12; i++)
		pool_fill(b->q->high + i * 0x1000, 0x8000 + i);
}

static int copy_to_soft(struct batch *b, uint64_t gpa, uint64_t len, struct err *e)
{
	const uint8_t *from = gpa >= HIGH_AT ? b->q->high + (gpa - HIGH_AT) : b->q->low + gpa;

	return machine_write(b->m, gpa, false, from, len, e);
}

static int soft_open(struct batch *b, struct err *e)
{
	struct machine_config cfg = {.vcpus = 1, .mmio_sptes = true};
	struct slot_spec low = {.id = 0, .size = LOW_SIZE}, high = {.id = 1, .gpa = HIGH_AT, .size = HIGH_SIZE};
	struct regs r;
	int rc = machine_create(&soft_backend, &cfg, &b->m, e);

	if (!rc)
		rc = machine_slot_add(b->m, &low, NULL, e);
	if (!rc)
		rc = machine_slot_add(b->m, &high, NULL, e);
	if (!rc)
		rc = copy_to_soft(b, 0, FIXED_SIZE, e);
	if (!rc)
		rc = copy_to_soft(b, GUEST_TABLES, (uint64_t)b->n * JOB_BYTES, e);
	if (!rc)
		rc = copy_to_soft(b, POOL_AT, POOL_SIZE, e);
	if (!rc)
		rc = copy_to_soft(b, HIGH_AT, HIGH_SIZE, e);
	if (rc)
		return rc;
	regs_reset(&r, true);
	r.seg[SEG_CS].base = r.seg[SEG_CS].selector = 0;
	r.rip = GUEST_AT;
	return machine_set_regs(b->m, 0, REGS_GPR | REGS_SYS, &r, e);
}

/* Both to their next signal. */
static int run_both(struct batch *b, struct err *e)
{
	struct stop stop;
	int rc = qemu_run(b->q, e);

	if (!rc)
		rc = machine_run(b->m, RUN_CONTINUE, 0, 0, &stop, e);
	if (!rc && stop.reason != STOP_EXIT)
		rc = err_set(e, -EPROTO, "soft" WHY "it stopped with %s at %#llx %s", stop_reason_name(stop.reason),
			     (unsigned long long)stop.rip, stop.error);
	return rc;
}

static const uint8_t *soft_at(struct batch *b, uint64_t gpa)
{
	size_t len;

	return machine_peek(b->m, gpa, false, &len);
}

static void report(struct batch *b, const struct plan_job *p, const struct diff *d)
{
	if (!d->n)
		return;
	b->t->failed++;
	printf("DISAGREE seed %llu (%s)\n%s", (unsigned long long)p->seed, p->mode, d->text);
}

static void compare_range(struct batch *b, uint64_t gpa, uint64_t size, struct diff *d)
{
	const uint8_t *q = gpa >= HIGH_AT ? b->q->high + (gpa - HIGH_AT) : b->q->low + gpa, *s = soft_at(b, gpa);

	for (uint64_t at = 0; at < size; at += 8)
		if (memcmp(q + at, s + at, 8))
			diff_add(d, "memory at %#llx: QEMU %016llx soft %016llx\n", (unsigned long long)(gpa + at),
				 *(const unsigned long long *)(q + at), *(const unsigned long long *)(s + at));
}

static int compare_all(struct batch *b)
{
	struct diff d = {0};

	for (unsigned i = 0; i < b->n; i++) {
		const struct plan_job *p = &b->jobs[i];
		uint64_t tables = GUEST_TABLES + (uint64_t)i * JOB_BYTES;
		d.n = 0, d.text[0] = '\0';
		compare_job(p, (const void *)(b->q->low + p->job.list), (const void *)soft_at(b, p->job.list),
			    b->q->low + tables, soft_at(b, tables), b->t, &d);
		report(b, p, &d);
	}
	d.n = 0, d.text[0] = '\0';
	compare_range(b, POOL_AT, POOL_SIZE, &d);
	compare_range(b, HIGH_AT, HIGH_SIZE, &d);
	if (d.n) {
		b->t->failed++;
		printf("DISAGREE seeds %llu and following: memory at their end\n%s", (unsigned long long)b->jobs[0].seed,
		       d.text);
	}
	return 0;
}

static int run_jobs(struct batch *b, struct err *e)
{
	struct diff d = {0};
	int rc = 0;

	for (unsigned i = 0; !rc && i < b->n; i++) {
		if (!(b->jobs[i].job.flags & JOB_SIGNALS))
			continue;
		rc = run_both(b, e);
		if (rc)
			break;
		d.n = 0, d.text[0] = '\0';
		rc = compare_monitor(b->q, b->m, &b->jobs[i], b->t, &d, e);
		report(b, &b->jobs[i], &d);
	}
	return rc ? rc : run_both(b, e);
}

/* Two lists of instructions, compared when each is through. */
static int run_lists(struct batch *b, uint64_t seed, struct err *e)
{
	struct diff d = {0};
	int rc = 0;

	for (unsigned i = 0; !rc && i < 2; i++) {
		rc = run_both(b, e);
		if (rc)
			break;
		d.n = 0, d.text[0] = '\0';
		compare_insns(seed, i, b->q->low + INSN_AT, soft_at(b, INSN_AT), &d);
		b->t->insns += INSNS;
		b->t->failed += d.n != 0;
		if (d.n)
			printf("DISAGREE %s", d.text);
	}
	return rc ? rc : run_both(b, e);
}

int run_insns(struct qemu *q, uint64_t seed, struct tally *t)
{
	struct batch b = {.q = q, .t = t, .n = 2};
	struct err e = {0};
	char text[1024];

	b.jobs = calloc(2, sizeof(*b.jobs));
	if (!b.jobs)
		return -ENOMEM;
	for (uint32_t i = 0; i < 2; i++)
		b.jobs[i].job = (struct job){.wide = WIDE_INSN + i, .count = INSNS, .list = INSN_STAGE + i * INSN_BYTES};
	fill_memory(&b);
	for (uint32_t i = 0; i < 2; i++)
		insns_make(q->low + INSN_STAGE + i * INSN_BYTES, seed, i);
	int rc = soft_open(&b, &e);
	if (!rc)
		rc = copy_to_soft(&b, INSN_STAGE, 2 * INSN_BYTES, &e);
	if (!rc)
		rc = run_lists(&b, seed, &e);
	if (rc) {
		uint32_t cur = 0;
		err_format(&e, text, sizeof(text));
		if (b.m && soft_at(&b, GUEST_PARAMS + 0x108))
			memcpy(&cur, soft_at(&b, GUEST_PARAMS + 0x108), 4);
		printf("instructions of seed %llu, about number %u: %s\n", (unsigned long long)seed, (cur - INSN_AT) / 256,
		       text);
		t->failed++;
	}
	t->jobs += 2;
	machine_destroy(b.m);
	free(b.jobs);
	return rc;
}

int run_batch(struct qemu *q, uint64_t first, unsigned n, bool monitor, struct tally *t)
{
	struct batch b = {.q = q, .n = n, .t = t};
	struct err e = {0};
	char text[1024];
	int rc = -ENOMEM;

	b.jobs = calloc(n, sizeof(*b.jobs));
	if (!b.jobs)
		return rc;
	for (unsigned i = 0; i < n; i++) {
		job_make(&b.jobs[i], first + i, i);
		if (monitor && (first + i) % 4 == 0)
			b.jobs[i].job.flags |= JOB_SIGNALS;
	}
	fill_memory(&b);
	rc = soft_open(&b, &e);
	if (!rc)
		rc = run_jobs(&b, &e);
	if (!rc)
		rc = compare_all(&b);
	if (rc) {
		err_format(&e, text, sizeof(text));
		printf("seeds %llu to %llu: %s\n", (unsigned long long)first, (unsigned long long)first + n - 1, text);
		t->failed++;
	}
	t->jobs += n;
	machine_destroy(b.m);
	free(b.jobs);
	return rc;
}
