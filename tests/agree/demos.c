/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The demo guests on both backends, to their end: what they say, how they stop, registers, memory, MMIO cache, shadow.
 */
#include "tests/agree/agree.h"

#include <string.h>

#include "core/load/image.h"
#include "core/soft/soft.h"
#include "kvmback/kvmback.h"

struct demo_side {
	struct side s;
	struct image *img;
	char said[512];
	size_t n_said;
};

static void listen(void *ctx, const char *bytes, size_t n)
{
	struct demo_side *d = ctx;

	for (size_t i = 0; i < n && d->n_said + 1 < sizeof(d->said); i++)
		d->said[d->n_said++] = bytes[i];
}

static int demo_open(struct demo_side *d, const char *name, bool soft, struct err *e)
{
	struct image_options opt = {.name = name};
	struct machine_config cfg = {.emulated_kernel = true};
	int rc;

	memset(d, 0, sizeof(*d));
	rc = image_open(&opt, &d->img, e);
	if (rc)
		return rc;
	cfg.vcpus = image_vcpus(d->img);
	rc = machine_create(soft ? &soft_backend : &kvm_backend, &cfg, &d->s.m, e);
	if (rc)
		return rc;
	machine_board(d->s.m)->console = listen;
	machine_board(d->s.m)->console_ctx = d;
	return image_make_slots(d->img, d->s.m, e) ?: image_load(d->img, d->s.m, e);
}

static void demo_close(struct demo_side *d)
{
	if (d->s.m)
		machine_destroy(d->s.m);
	if (d->img)
		image_close(d->img);
}

/* A CR3 load with the value that CR3 has leaves this host's MMIO cache, though by the manual it flushes: what demo:remap
 * read then is taken over. */
static int forgive_same_cr3(struct demo_side *k, struct demo_side *s, struct err *e)
{
	struct symbols syms;
	uint32_t v;
	int rc;

	symbols_init(&syms);
	rc = image_symbols(k->img, &syms, e) ?: symbols_sort(&syms, e);
	const struct symbol *at = rc ? NULL : symbols_by_name(&syms, "was_same_cr3");
	if (at)
		rc = machine_read_gva(k->s.m, 0, at->addr, &v, sizeof(v), e)
			 ?: machine_write_gva(s->s.m, 0, at->addr, &v, sizeof(v), e);
	symbols_deinit(&syms);
	return rc;
}

static int compare_ends(struct diff *d, struct demo_side *k, struct demo_side *s, struct totals *t, struct err *e)
{
	bool alone = machine_vcpus(k->s.m) == 1; /* else they race, and only what they say is decided */
	int rc = machine_get_regs(k->s.m, 0, REGS_ALL, &k->s.r, e) ?: machine_get_regs(s->s.m, 0, REGS_ALL, &s->s.r, e);

	compare_stop(d, &k->s.stop, &s->s.stop);
	if (strcmp(k->said, s->said))
		diff_add(d, "  said: kvm \"%s\" soft \"%s\"\n", k->said, s->said);
	if (rc || !alone)
		return rc;
	rc = forgive_same_cr3(k, s, e);
	if (rc)
		return rc;
	compare_regs(d, &k->s.r, &s->s.r, RFLAGS_AF, REGS_FPU);
	rc = compare_memory(d, k->s.m, s->s.m, true, e);
	if (!rc)
		rc = compare_mmio_cache(d, k->s.m, s->s.m, false, e);
	/* CPL0 makes no sptes on a host that emulates it, and its roots differ with the mode; see docs/AGREEMENT.md. */
	return !rc && regs_cpl(&k->s.r) == 3 && events_there() ? compare_shadow(d, k->s.m, s->s.m, &t->counts, e) : rc;
}

int agree_demo(const char *name, struct totals *t, int verbose)
{
	struct demo_side k, s = {0};
	struct diff d = {0};
	struct err e = {0};
	int rc = demo_open(&k, name, false, &e) ?: demo_open(&s, name, true, &e);

	events_reset();
	if (!rc)
		rc = machine_run(k.s.m, RUN_CONTINUE, 0, 1, &k.s.stop, &e)
			 ?: machine_run(s.s.m, RUN_CONTINUE, 0, 1, &s.s.stop, &e);
	events_take(verbose > 2);
	if (!rc)
		rc = compare_ends(&d, &k, &s, t, &e);
	t->guests++;
	if (rc)
		printf("%s: %s: %s\n", name, e.what, e.why);
	else if (d.n)
		printf("DISAGREE %s\n%s", name, d.text);
	else if (verbose)
		printf("%s agrees: %s\n", name, stop_reason_name(k.s.stop.reason));
	demo_close(&k);
	demo_close(&s);
	return rc ? rc : d.n != 0;
}
