/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The soft backend: instructions a second over the shadow MMU, a fault that installs an spte, reverse map and slot lookup as
 * they grow. Rates are absolute (the aim says what at least); how things grow is a ratio of two sizes in one run.
 */
#include <stdio.h>
#include <string.h>

#include "core/load/image.h"
#include "core/soft/mmu/rmap.h"
#include "core/soft/mmu/shadow.h"
#include "core/soft/soft.h"
#include "tests/bench/bench.h"

/* ---- instructions */

#define LOOPS 10000000u

/* mov ecx, LOOPS; l: dec ecx; jnz l; ud2 */
static const uint8_t plain_loop[] = {0xb9, 0x80, 0x96, 0x98, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0x0f, 0x0b};
/* mov ecx, LOOPS; mov rbx, rsp; l: add [rbx-8], rcx; mov rax, [rbx-8]; dec ecx; jnz l; ud2 */
static const uint8_t memory_loop[] = {0xb9, 0x80, 0x96, 0x98, 0x00, 0x48, 0x89, 0xe3, 0x48, 0x01, 0x4b,
				      0xf8, 0x48, 0x8b, 0x43, 0xf8, 0xff, 0xc9, 0x75, 0xf4, 0x0f, 0x0b};

static struct machine *soft_user(const uint8_t *code, size_t len)
{
	struct image_options opt = {.name = bench_image(code, len), .mode = ENTRY_USER};
	struct machine_config cfg = {.vcpus = 1};
	struct machine *m = NULL;
	struct image *img;
	struct err e = {0};

	if (!opt.name || image_open(&opt, &img, &e))
		return NULL;
	if (machine_create(&soft_backend, &cfg, &m, &e) || image_make_slots(img, m, &e) || image_load(img, m, &e)) {
		machine_destroy(m);
		m = NULL;
	}
	image_close(img);
	return m;
}

struct code {
	const uint8_t *bytes;
	size_t len;
};

static double run_code(void *arg)
{
	const struct code *k = arg;
	struct machine *m = soft_user(k->bytes, k->len);
	struct stop s = {.reason = STOP_NONE};
	double t;

	if (!m)
		return bench_fail("the soft VM could not be made");
	t = bench_now();
	int rc = machine_run(m, RUN_CONTINUE, 0, 1, &s, NULL);
	t = bench_now() - t;
	machine_destroy(m);
	return rc || s.reason != STOP_EXCEPTION ? bench_fail("the loop did not run to its end") : t;
}

/* ---- a fault that installs an spte: 512 pages behind one table, mapped, zapped, mapped again */

#define FAULT_PAGES 512u
struct shadow_rig {
	struct slot_table slots;
	struct shadow *s;
	struct shadow_vcpu v;
	struct xlate_env x;
	uint8_t *ram;
};

static bool rig_open(struct shadow_rig *r)
{
	struct regs regs = {
	    .cr0 = CR0_PE | CR0_PG | CR0_WP, .cr4 = CR4_PAE, .cr3 = 0x1000, .efer = EFER_LME | EFER_LMA | EFER_NXE};
	struct slot_spec spec = {.id = 0, .size = 4u << 20, .vis = SLOT_VIS_BOTH};
	struct shadow_config cfg = {.slots = &r->slots};
	struct slot *slot = slot_new(&spec);

	memset(r, 0, sizeof(*r));
	cfg.slots = &r->slots;
	r->ram = aligned_alloc(4096, spec.size);
	if (!slot || !r->ram)
		return false;
	memset(r->ram, 0, spec.size);
	slot->alias = r->ram;
	slot_table_init(&r->slots);
	if (slot_table_insert(&r->slots, slot, NULL) || shadow_create(&cfg, &r->s, NULL) ||
	    shadow_slot_created(r->s, slot, NULL))
		return false;
	uint64_t *t = (uint64_t *)(void *)r->ram;
	t[0x1000 / 8] = 0x2000 | 7, t[0x2000 / 8] = 0x3000 | 7, t[0x3000 / 8 + 1] = 0x4000 | 7;
	for (unsigned i = 0; i < FAULT_PAGES; i++)
		t[0x4000 / 8 + i] = (0x100000 + 0x1000ull * i) | 0x67;
	regs.seg[SEG_CS].l = true;
	xlate_env_init(&r->x, &r->slots, &regs);
	shadow_vcpu_init(&r->v);
	return true;
}

static double fault_round(void *arg)
{
	struct shadow_rig *r = arg;
	struct shadow_result out;
	double t;

	shadow_zap_all(r->s);
	if (shadow_access(r->s, &r->v, &r->x.pg, &r->x.mem, 0x200000, ACCESS_WRITE | ACCESS_USER, false, false, &out, NULL))
		return bench_fail("a soft fault failed");
	t = bench_now();
	for (unsigned i = 1; i < FAULT_PAGES; i++)
		if (shadow_access(r->s, &r->v, &r->x.pg, &r->x.mem, 0x200000 + 0x1000ull * i, ACCESS_WRITE | ACCESS_USER,
				  false, false, &out, NULL) ||
		    out.kind != SHADOW_MAPPED)
			return bench_fail("a soft fault failed");
	return bench_now() - t;
}

/* ---- reverse map: add and remove at the far end of a chain of n */

#define CHAIN_MAX 1100
#define CHAIN_OPS 20000
static uint64_t chain_spte[CHAIN_MAX];
static struct rmap_node *chain_word[CHAIN_MAX];

static struct rmap_node **chain_owner(void *ctx, uint64_t *sptep)
{
	(void)ctx;
	return &chain_word[sptep - chain_spte];
}

static double chain_round(void *arg)
{
	const struct rmap_env env = {.owner = chain_owner};
	unsigned n = *(unsigned *)arg;
	uint64_t head = 0;
	bool ok = true;
	double t;

	for (unsigned i = 0; i < n; i++)
		ok &= !rmap_add(&env, &head, &chain_spte[i], NULL);
	t = bench_now();
	for (unsigned i = 0; i < CHAIN_OPS; i++) {
		uint64_t *one = &chain_spte[n + i % 64];
		ok &= !rmap_add(&env, &head, one, NULL);
		ok &= !rmap_remove(&env, &head, one, NULL);
	}
	t = bench_now() - t;
	for (unsigned i = 0; i < n; i++)
		ok &= !rmap_remove(&env, &head, &chain_spte[i], NULL);
	return ok && !head ? t : bench_fail("the chain broke");
}

/* ---- slot lookup at random addresses with n slots */

#define LOOKUPS 200000u
static bool make_slots(struct slot_table *t, unsigned n)
{
	slot_table_init(t);
	for (unsigned i = 0; i < n; i++) {
		struct slot_spec spec = {.id = i, .gpa = 0x2000ull * i, .size = 0x1000, .vis = SLOT_VIS_BOTH};
		struct slot *s = slot_new(&spec);
		if (!s || slot_table_insert(t, s, NULL))
			return false;
	}
	return true;
}

static double lookup_round(void *arg)
{
	struct slot_table *t = arg;
	uint64_t seed = 88172645463325252ull, found = 0;
	double start = bench_now();

	for (unsigned i = 0; i < LOOKUPS; i++) {
		seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
		found += slot_lookup(t, 0x2000ull * (seed % t->n), false, NULL) != NULL;
	}
	start = bench_now() - start;
	return found == LOOKUPS ? start : bench_fail("a lookup missed");
}

void bench_soft(void)
{
	static struct code loops[] = {{plain_loop, sizeof(plain_loop)}, {memory_loop, sizeof(memory_loop)}};
	static unsigned few = 4, many = 1000;
	static struct slot_table small, large;
	static struct shadow_rig rig;

	/* Aims are times a unit: 30 million a second is 0.0333 µs. */
	bench_figure(&(struct figure){.name = "soft: dec, jnz",
				      .ours = run_code,
				      .arg = &loops[0],
				      .runs = 5,
				      .per = 2.0 * LOOPS,
				      .unit = "/s",
				      .aim_abs = 30e6});
	bench_figure(&(struct figure){.name = "soft: add [m], mov [m], dec, jnz",
				      .ours = run_code,
				      .arg = &loops[1],
				      .runs = 5,
				      .per = 4.0 * LOOPS,
				      .unit = "/s",
				      .aim_abs = 30e6});
	if (rig_open(&rig))
		bench_figure(&(struct figure){.name = "soft: fault that sets an spte",
					      .ours = fault_round,
					      .arg = &rig,
					      .runs = 50,
					      .per = FAULT_PAGES - 1,
					      .unit = "us",
					      .aim_abs = 2});
	bench_figure(&(struct figure){.name = "rmap add, remove: 1000 against 4",
				      .ours = chain_round,
				      .floor = chain_round,
				      .arg = &many,
				      .floor_arg = &few,
				      .runs = 30,
				      .per = CHAIN_OPS,
				      .unit = "us",
				      .aim = 1.5});
	if (make_slots(&small, 8) && make_slots(&large, 32000))
		bench_figure(&(struct figure){.name = "slot lookup: 32,000 against 8",
					      .ours = lookup_round,
					      .floor = lookup_round,
					      .arg = &large,
					      .floor_arg = &small,
					      .runs = 30,
					      .per = LOOKUPS,
					      .unit = "us",
					      .aim = 3});
}
