/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The view of the running kernel: a full snapshot of a VM with 1 GiB and 50,000 mapped pages against the BPF reads that
 * bring the same bytes (every shadow page's structure and table, every rmap array, the MMIO cache: once each, in the largest
 * pieces that the reader takes); and 100,000 mappings listed with their permissions.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tcl/exec.h"
#include "core/base/lock.h"
#include "core/debug/snap.h"
#include "kvmback/kernel/kview_impl.h"
#include "kvmback/kvm.h"
#include "tests/bench/bench.h"

#define SNAP_PAGES 50000
#define LIST_PAGES 100000

struct looking {
	struct session *s;
	struct kmem *mem;
	uint64_t *at, *spt, mmio;
	size_t n; /* shadow pages */
	struct {
		uint64_t at;
		size_t bytes;
	} array[64]; /* of rmap heads */
	size_t n_arrays, sp_size;
	uint8_t *to;
	size_t room;
	bool *ok;
};

static double ours_snap(void *arg)
{
	struct looking *l = arg;
	struct snap *snap;
	struct err e = {0};
	double t = bench_now();

	if (snap_take(l->s->d.m, false, &snap, &e))
		return bench_fail("%.100s: %.150s", e.what, e.why);
	t = bench_now() - t;
	const char *missing = snap_missing(snap, DIFF_RMAP);
	if (missing)
		t = bench_fail("%.200s", missing);
	else if (snap_count(snap, DIFF_RMAP) < SNAP_PAGES)
		t = bench_fail("only %zu pages are mapped", snap_count(snap, DIFF_RMAP));
	snap_destroy(snap);
	return t;
}

static double floor_snap(void *arg)
{
	struct looking *l = arg;
	struct err e = {0};
	double t = bench_now();
	int rc = kmem_gather(l->mem, l->at, l->n, l->sp_size, l->to, l->ok, &e);

	if (!rc)
		rc = kmem_gather(l->mem, l->spt, l->n, 4096, l->to, l->ok, &e);
	for (size_t i = 0; !rc && i < l->n_arrays; i++)
		rc = kmem_read(l->mem, l->array[i].at, l->to, l->array[i].bytes, &e);
	if (!rc)
		rc = kmem_read(l->mem, l->mmio, l->to, 64, &e);
	return rc ? bench_fail("%.100s: %.150s", e.what, e.why) : bench_now() - t;
}

static void rmap_arrays(struct looking *l, const struct kslots *s, unsigned levels)
{
	for (size_t i = 0; i < s->n; i++)
		for (unsigned level = 0; level < levels && l->n_arrays < ARRAY_LEN(l->array); level++) {
			uint64_t pages = s->v[i].npages >> 9 * level;

			if (!kmem_pointer(s->v[i].rmap[level]) || !pages)
				continue;
			l->array[l->n_arrays].at = s->v[i].rmap[level];
			l->array[l->n_arrays++].bytes = pages * 8;
		}
}

/* Where everything is, by the view itself. */
static bool locate(struct looking *l)
{
	struct shadow_page_list p = {0};
	const struct kslots *slots;
	struct kview *k;
	struct err e = {0};
	size_t most = 4096;

	LOCK_SCOPE(&kvm_of(l->s->d.m)->kview_lock);
	if (kvm_kview(kvm_of(l->s->d.m), &k, &e) || kview_shadow_pages(k, 0, &p, &e) || kslots_get(k, &slots, &e) ||
	    kmem_bpf_open(KMEM_BPF_ANY, &l->mem, &e)) {
		bench_fail("%.100s: %.150s", e.what, e.why);
		shadow_page_list_free(&p);
		return false;
	}
	l->sp_size = k->l->sp_size;
	l->mmio = k->vcpu[0] + (uint64_t)k->l->vcpu_mmio_gva.off;
	l->at = calloc(p.n + 1, sizeof(*l->at));
	l->spt = calloc(p.n + 1, sizeof(*l->spt));
	l->ok = calloc(p.n + 1, sizeof(*l->ok));
	for (size_t i = 0; l->at && l->spt && i < p.n; i++) {
		if (!p.v[i].address || !p.v[i].spt)
			continue;
		l->at[l->n] = p.v[i].address;
		l->spt[l->n++] = p.v[i].spt;
	}
	rmap_arrays(l, slots, k->l->slot_rmap.count);
	shadow_page_list_free(&p);
	most *= l->n;
	for (size_t i = 0; i < l->n_arrays; i++)
		most = l->array[i].bytes > most ? l->array[i].bytes : most;
	l->to = malloc(most);
	return l->at && l->spt && l->ok && l->to;
}

static void looking_close(struct looking *l)
{
	if (l->mem)
		kmem_close(l->mem);
	free(l->at);
	free(l->spt);
	free(l->ok);
	free(l->to);
	bench_close(l->s);
	*l = (struct looking){0};
}

/* A VM whose guest has touched n pages. */
static bool looking_open(struct looking *l, uint32_t n)
{
	l->s = bench_touched("kvm", n);
	return l->s != NULL;
}

static void snapshots(void)
{
	struct looking l = {0};
	const struct figure f = {"snapshot, 1 GiB, 50,000 pages mapped", ours_snap, floor_snap, &l, &l, 15, 1, "ms", 2, 50};

	if (!looking_open(&l, SNAP_PAGES) || !locate(&l))
		bench_skip(f.name, bench_why);
	else
		bench_figure(&f);
	looking_close(&l);
}

/* ---- 100,000 mappings */

static bool keep_entry(void *arg, const struct spte_info *s)
{
	*(size_t *)arg += s->present;
	return true;
}

static double ours_sptes(void *arg)
{
	struct looking *l = arg;
	struct spte_list v = {0};
	struct err e = {0};
	size_t n = 0;
	double t = bench_now();

	if (machine_sptes(l->s->d.m, 0, BENCH_GVA, BENCH_GVA + LIST_PAGES * 0x1000ull - 1, &v, &e))
		return bench_fail("%.100s: %.150s", e.what, e.why);
	t = bench_now() - t;
	for (size_t i = 0; i < v.n; i++)
		keep_entry(&n, &v.v[i]);
	spte_list_free(&v);
	return n < LIST_PAGES ? bench_fail("only %zu sptes", n) : t;
}

static double in_tcl(struct looking *l, const char *command)
{
	char script[160];

	snprintf(script, sizeof(script), "if {[llength [%s]] < %d} {error {entries are missing}}", command, LIST_PAGES);
	return bench_time(l->s, script);
}

static double ours_tlb_tcl(void *arg)
{
	return in_tcl(arg, "info tlb 0x40000000 0x7fffffff");
}

static double ours_sptes_tcl(void *arg)
{
	return in_tcl(arg, "info sptes 0x40000000 0x7fffffff");
}

/* As at the prompt, to nowhere. */
static double as_text(struct looking *l, const char *line)
{
	int out, null = open("/dev/null", O_WRONLY);

	fflush(stdout);
	out = dup(STDOUT_FILENO);
	if (null < 0 || out < 0 || dup2(null, STDOUT_FILENO) < 0)
		return bench_fail("/dev/null");
	double t = bench_now();
	int rc = exec_line(l->s->clients, line);
	t = bench_now() - t;
	dup2(out, STDOUT_FILENO);
	close(out);
	close(null);
	return rc ? bench_fail("%s", line) : t;
}

static double ours_tlb_text(void *arg)
{
	return as_text(arg, "info tlb 0x40000000 0x7fffffff");
}

static double ours_sptes_text(void *arg)
{
	return as_text(arg, "info sptes 0x40000000 0x7fffffff");
}

static void lists(void)
{
	struct looking l = {0};
	const struct figure f[] = {
	    {"100,000 sptes, library call", ours_sptes, NULL, &l, NULL, 9, 1, "ms", 0, 20},
	    {"info tlb, 100,000 pages, as text", ours_tlb_text, NULL, &l, NULL, 9, 1, "ms", 0, 20},
	    {"info sptes, 100,000 pages, as text", ours_sptes_text, NULL, &l, NULL, 9, 1, "ms", 0, 20},
	    {"info tlb, 100,000 pages, as Tcl data", ours_tlb_tcl, NULL, &l, NULL, 9, 1, "ms", 0, 20},
	    {"info sptes, 100,000 pages, as Tcl data", ours_sptes_tcl, NULL, &l, NULL, 9, 1, "ms", 0, 20},
	};

	if (!looking_open(&l, LIST_PAGES))
		bench_skip("100,000 pages", bench_why);
	else
		for (size_t i = 0; i < ARRAY_LEN(f); i++)
			bench_figure(&f[i]);
	looking_close(&l);
}

void bench_kernel(void)
{
	if (bench_wanted("snapshot"))
		snapshots();
	if (bench_wanted("lists"))
		lists();
}
