/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * All kinds of stop in pairs. One guest has instructions that stop for several reasons at once (a read-modify-write, string
 * instructions between memory, a device and a port, an exception into its handler, an SMI), with neighbours that stop too.
 * Each kind is run alone, then beside each other kind: it must be told and counted as often as alone, also where the other
 * one's condition is false. Both backends, CPL 0 and 3, one vCPU and two.
 */
#include "core/debug/debugger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/soft/soft.h"
#include "tests/support/blocking.h"
#include "tests/support/guest.h"

#define DATA 0x6000
#define STOPS_MAX 400
#define SMM_GPA 0x300000
#define TSS 0x800 /* of a vCPU: TSS + vcpu * 0x400, for the stack of its handlers */
#define IOPL3 0x3000u

/* Where the program's instructions stand. */
enum place {
	P_ADD,
	P_INC,
	P_TO_DEVICE,
	P_FROM_DEVICE,
	P_BEHIND,
	P_OUTS,
	P_INS,
	P_OUT,
	P_UD2,
	P_SMI,
	P_LAST,
	P_HANDLER,
	P_SMM,
	PLACES
};

static const struct {
	const char *bytes;
	unsigned n;
	int place; /* -1: sets registers */
} program[] = {
    {"\x89\xdf", 2, -1},		     /* mov edi, ebx */
    {"\x48\x01\x07", 3, P_ADD},		     /* add [rdi], rax */
    {"\x48\xff\x07", 3, P_INC},		     /* inc qword [rdi] */
    {"\x89\xde", 2, -1},		     /* mov esi, ebx */
    {"\xbf\x00\x00\x1d\x00", 5, -1},	     /* mov edi, GUEST_DEVICE */
    {"\x48\xa5", 2, P_TO_DEVICE},	     /* movsq */
    {"\xbe\x00\x00\x1d\x00", 5, -1},	     /* mov esi, GUEST_DEVICE */
    {"\x89\xdf", 2, -1},		     /* mov edi, ebx */
    {"\x48\xa5", 2, P_FROM_DEVICE},	     /* movsq */
    {"\x01\x47\xf8", 3, P_BEHIND},	     /* add [rdi - 8], eax */
    {"\x89\xde", 2, -1},		     /* mov esi, ebx */
    {"\xba\x80\x00\x00\x00", 5, -1},	     /* mov edx, 0x80 */
    {"\x6e", 1, P_OUTS},		     /* outsb */
    {"\x89\xdf", 2, -1},		     /* mov edi, ebx */
    {"\x6c", 1, P_INS},			     /* insb */
    {"\xe6\x80", 2, P_OUT},		     /* out 0x80, al */
    {"\x0f\x0b", 2, P_UD2},		     /* ud2 */
    {"\xf6\xc7\x10\x75\x02", 5, -1},	     /* test bh, 0x10; jnz: vCPU 0 alone does the next */
    {"\xe6\xb2", 2, P_SMI},		     /* out 0xb2, al */
    {"\x01\x47\xff", 3, P_LAST},	     /* add [rdi - 1], eax */
    {"\x66\xba\x01\x05\xee\xeb\xfe", 7, -1}, /* mov dx, 0x501; out dx, al; jmp here */
};
/* Skips the instruction: add qword [rsp], 2; iretq. In SMM: nop; rsm. */
static const char handler[] = "\x48\x83\x04\x24\x02\x48\xcf", smm_handler[] = "\x90\x0f\xaa";

enum kind {
	K_BREAK,
	K_HBREAK,
	K_WATCH,
	K_RWATCH,
	K_AWATCH,
	K_MMIO,
	K_PIO,
	K_EXCEPTION,
	K_SMI,
	K_MODE,
	K_SLOT,
	K_MMU,
	K_FAULT,
	KINDS
};
static const char *const names[KINDS] = {"break",     "hbreak", "watch", "rwatch", "awatch", "mmio", "pio",
					 "exception", "smi",	"mode",	 "slot",   "mmu",    "fault"};

/* Who runs. */
struct host {
	bool soft;
	unsigned cpl, vcpus;
	uint64_t at[PLACES];
};

static bool no_hbreak[4];
static struct guest g;
static struct debugger d;

static bool is_exec(enum kind k)
{
	return k <= K_HBREAK;
}

static struct stop_point spec_of(const struct host *h, enum kind k, enum place at)
{
	static const uint32_t event[KINDS] = {[K_MMIO] = CATCH_MMIO, [K_PIO] = CATCH_PIO,   [K_EXCEPTION] = CATCH_EXCEPTION,
					      [K_SMI] = CATCH_SMI,   [K_MODE] = CATCH_MODE, [K_SLOT] = CATCH_SLOT,
					      [K_MMU] = CATCH_MMU};
	struct stop_point p = {.kind = k < K_MMIO ? (enum point_kind)k : POINT_CATCH, .event = event[k]};

	p.addr = is_exec(k) ? h->at[at] : DATA;
	p.len = is_exec(k) ? 1 : 8;
	if (k == K_PIO) {
		p.has_arg = true;
		p.arg_first = 0x80;
		p.arg_last = 0xb2;
	}
	p.mmu = (struct mmu_filter){MMU_SPTE, DATA >> PAGE_SHIFT, DATA >> PAGE_SHIFT};
	p.fault = (struct fault_filter){.first = DATA >> PAGE_SHIFT, .last = DATA >> PAGE_SHIFT};
	return p;
}

static int never(void *ctx, const struct stop_point *p, const struct stop *s, struct err *e)
{
	(void)ctx;
	(void)p;
	(void)s;
	(void)e;
	return 0;
}

static void must(int rc, const struct err *e)
{
	char text[1200];

	if (!rc)
		return;
	err_format(e, text, sizeof(text));
	fail_msg("%s", text);
}

static void load_program(struct host *h)
{
	uint64_t at = GUEST_CODE;

	for (size_t i = 0; i < ARRAY_LEN(program); at += program[i++].n) {
		guest_poke(&g, at, program[i].bytes, program[i].n);
		if (program[i].place >= 0)
			h->at[program[i].place] = at;
	}
	h->at[P_HANDLER] = GUEST_HANDLERS + 6 * 16;
	h->at[P_SMM] = 0x38000;
	guest_poke(&g, h->at[P_HANDLER], handler, sizeof(handler) - 1);
	guest_poke(&g, h->at[P_SMM], smm_handler, sizeof(smm_handler) - 1);
}

static struct regs at_start[2]; /* of the guest that is open */

static void set_start(const struct host *h)
{
	struct err e = {0};

	for (unsigned i = 0; i < h->vcpus; i++) {
		struct regs r = guest_regs(&g, i);
		uint64_t tss = TSS + i * 0x400, stack = GUEST_KSTACK - i * 0x400;

		guest_poke(&g, tss + 4, &stack, sizeof(stack));
		r.tr.base = tss;
		r.rflags |= IOPL3;
		r.gpr[RBX] = DATA + i * PAGE_SIZE_4K;
		must(machine_set_regs(g.m, i, REGS_GPR | REGS_SYS, &r, &e), &e);
		at_start[i] = r;
	}
}

/* slot: with memory that only SMM sees. */
static void open_guest(struct host *h, bool slot)
{
	struct slot_spec smm = {.id = 9, .gpa = SMM_GPA, .size = PAGE_SIZE_4K, .flags = SLOT_SMRAM, .vis = SLOT_VIS_SMM};
	struct slot_steps steps = {0};
	struct err e = {0};

	guest_backend = h->soft ? &soft_backend : NULL;
	guest_open(&g, GUEST_LONG, h->cpl, true, h->vcpus);
	if (slot)
		must(machine_slot_add(g.m, &smm, &steps, &e), &e);
	load_program(h);
	set_start(h);
	must(debugger_init(&d, &e), &e);
	d.m = g.m;
	d.judge.condition = never;
	d.history.off = true;
}

static void close_guest(void)
{
	if (!g.m)
		return;
	guest_close(&g);
	debugger_deinit(&d);
}

/* The guest of the last run once more, from its start: making one costs as much as ten runs. */
static void restart_guest(const struct host *h)
{
	static const uint8_t zeroes[2 * PAGE_SIZE_4K];
	struct err e = {0};

	guest_poke(&g, DATA, zeroes, sizeof(zeroes));
	for (unsigned i = 0; i < h->vcpus; i++)
		must(machine_set_regs(g.m, i, REGS_GPR | REGS_SYS, &at_start[i], &e), &e);
	d.has_run = false;
	d.stop = (struct stop){.slot = -1};
}

/* Of the point with this id in the last stop. */
static unsigned told_of(int id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d.stop.n_causes; i++)
		n += d.stop.cause[i].id == id;
	return d.stop.n_causes ? n : d.stop.breakpoint == id;
}

static bool told_reason(enum stop_reason r)
{
	for (unsigned i = 0; i < d.stop.n_causes; i++)
		if (d.stop.cause[i].reason == r)
			return true;
	return d.stop.reason == r;
}

/* Two points; the second may be KINDS: none. quiet: the second's condition is false. */
struct pair {
	enum kind k[2];
	enum place at[2];
	bool quiet;
	unsigned told[2], hits[2];
};

static void name_run(const struct host *h, const struct pair *r, char *buf, size_t size)
{
	snprintf(buf, size, "%s, CPL %u, %u vCPUs: %s (%d) and %s (%d)%s", h->soft ? "soft" : "kvm", h->cpl, h->vcpus,
		 names[r->k[0]], r->at[0], r->k[1] == KINDS ? "nothing" : names[r->k[1]], r->at[1],
		 r->quiet ? ", quiet" : "");
}

static void fail_run(const struct host *h, const struct pair *r, const char *what)
{
	char text[400], why[1600];

	name_run(h, r, text, sizeof(text));
	debug_why(&d, &d.stop, why, sizeof(why));
	fail_msg("%s: %s: %s", text, what, why);
}

/* One more stop. True: the last vCPU has come to the program's end. */
static bool next_stop(const struct host *h, struct pair *r, struct stop_point *p[2], unsigned *exits)
{
	struct err e = {0};

	must(debug_continue(&d, d.stop.vcpu, &e), &e);
	for (int i = 0; i < 2 && p[i]; i++)
		r->told[i] += told_of(p[i]->id);
	if (told_reason(STOP_ERROR) || told_reason(STOP_SHUTDOWN) || told_reason(STOP_HLT))
		fail_run(h, r, "the guest went astray");
	*exits += told_reason(STOP_EXIT);
	return *exits == h->vcpus;
}

/* What the MMU does for the first time, and what is told of slots. */
static bool is_fresh(enum kind k)
{
	return k == K_MMU || k == K_SLOT;
}

static void ready_guest(struct host *h, const struct pair *r)
{
	bool fresh = is_fresh(r->k[0]) || is_fresh(r->k[1]);

	if (fresh)
		close_guest();
	if (g.m)
		restart_guest(h);
	else
		open_guest(h, r->k[0] == K_SLOT || r->k[1] == K_SLOT);
}

static void run_pair(struct host *h, struct pair *r)
{
	struct stop_point *p[2] = {NULL, NULL};
	struct err e = {0};
	unsigned exits = 0, n = 0;

	memset(r->told, 0, sizeof(r->told));
	ready_guest(h, r);
	for (int i = 0; i < 2 && r->k[i] != KINDS; i++) {
		struct stop_point spec = spec_of(h, r->k[i], r->at[i]);

		spec.condition = i && r->quiet ? (char *)(uintptr_t) "0" : NULL;
		must(point_add(&d.points, d.m, &spec, &p[i], &e), &e);
	}
	while (!next_stop(h, r, p, &exits))
		if (++n == STOPS_MAX)
			fail_run(h, r, "no end");
	for (int i = 0; i < 2 && p[i]; i++) {
		r->hits[i] = (unsigned)p[i]->hits;
		must(point_delete(&d.points, d.m, p[i]->id, &e), &e);
	}
	if (is_fresh(r->k[0]) || is_fresh(r->k[1]))
		close_guest();
}

/* ---- what is expected */

static bool is_watch(enum kind k)
{
	return k >= K_WATCH && k <= K_AWATCH;
}

/* How often it stops is not the program's alone: what other points do to sptes and pages counts, and where a vCPU of CPL 3
 * comes out of the guest. Then it must be told as often as it counts, and at all if it is alone. */
static bool is_loose(const struct host *h, enum kind k)
{
	if (k == K_MMU || k == K_FAULT)
		return true;
	/* Emulated by KVM, two vCPUs: a message of userfaultfd that comes late may tell a write twice. */
	if (!h->soft && h->vcpus > 1 && !h->cpl && is_watch(k))
		return true;
	/* Of an instruction that reads memory for a device KVM's emulator may have read before anybody looks. */
	if (!h->soft && (k == K_RWATCH || k == K_AWATCH))
		return true;
	return !h->soft && k == K_MODE && h->cpl;
}

static bool is_possible(const struct host *h, enum kind k)
{
	if (h->soft)
		return true;
	/* Two vCPUs that deliver an exception at the same time lay their int3 on one handler, and one of them may miss it.
	 */
	if (k == K_EXCEPTION && h->vcpus > 1)
		return false;
	/* Two that are stepped over IRET: the int3 at the target of one is met by the other. */
	if (k == K_MODE && h->vcpus > 1 && !h->cpl)
		return false;
	return k != K_HBREAK || !no_hbreak[h->cpl];
}

/* On kvm one page serves either a watch or `catch fault`: a read's watch hides the faults, a fault now and then a write. */
static bool is_blind(const struct host *h, const struct pair *r)
{
	for (int i = 0; i < 2; i++)
		if (!h->soft && r->k[i] == K_FAULT && is_watch(r->k[!i]))
			return true;
	return false;
}

static unsigned alone[KINDS][PLACES];

static void check(struct host *h, struct pair *r)
{
	char text[300];

	if (!is_possible(h, r->k[0]) || !is_possible(h, r->k[1]) || is_blind(h, r))
		return;
	run_pair(h, r);
	name_run(h, r, text, sizeof(text));
	for (int i = 0; i < 2; i++) {
		unsigned want = alone[r->k[i]][r->at[i]];
		bool quiet = i && r->quiet, bad = r->told[i] != r->hits[i] || (quiet && r->hits[i]);

		if (!quiet)
			bad |= is_loose(h, r->k[i]) ? !r->hits[i] != !want : r->hits[i] != want;
		if (bad)
			fail_msg("%s: number %d told %u times, counted %u times, alone %u", text, i + 1, r->told[i],
				 r->hits[i], want);
	}
}

/* ---- the test */

/* 1 vCPU; soft and kvm agree. */
static unsigned expected(const struct host *h, enum kind k, enum place at)
{
	static const unsigned n[KINDS] = {[K_BREAK] = 1, [K_HBREAK] = 1, [K_WATCH] = 6,	    [K_RWATCH] = 6, [K_AWATCH] = 8,
					  [K_MMIO] = 2,	 [K_PIO] = 4,	 [K_EXCEPTION] = 1, [K_SMI] = 2,    [K_SLOT] = 2};
	bool first_alone = is_watch(k) || k == K_SMI || k == K_SLOT || (is_exec(k) && (at == P_SMI || at == P_SMM));

	return n[k] * (first_alone ? 1 : h->vcpus) - (k == K_PIO && h->vcpus == 2);
}

static void run_alone(struct host *h)
{
	for (enum kind k = 0; k < KINDS; k++)
		for (enum place at = 0; at < (is_exec(k) ? PLACES : 1); at++) {
			struct pair r = {.k = {k, KINDS}, .at = {at, 0}};
			char text[300];

			if (!is_possible(h, k))
				continue;
			run_pair(h, &r);
			alone[k][at] = r.hits[0];
			name_run(h, &r, text, sizeof(text));
			if (r.told[0] != r.hits[0] || (!is_loose(h, k) && k != K_MODE && r.hits[0] != expected(h, k, at)))
				fail_msg("%s: told %u times, counted %u times, wanted %u", text, r.told[0], r.hits[0],
					 expected(h, k, at));
		}
}

static void run_pairs(struct host *h)
{
	run_alone(h);
	for (enum kind a = 0; a < KINDS; a++)
		for (enum kind b = 0; b < KINDS; b++)
			for (enum place at = 0; at < (is_exec(a) || is_exec(b) ? PLACES : 1);
			     at += h->soft ? 1 : 3 * h->vcpus) {
				enum place near = is_exec(a) && is_exec(b) && at + 1 < PLACES ? at + 1 : at;
				struct pair r = {.k = {a, b}, .at = {is_exec(a) ? at : 0, is_exec(b) ? at : 0}};

				/* On kvm each order of a pair once: a run waits for the kernel's grace periods. */
				if (h->soft || a <= b)
					check(h, &r);
				r.quiet = true;
				if (h->soft || a > b)
					check(h, &r);
				r.at[1] = near;
				if (near != at)
					check(h, &r);
			}
}

/* Debug registers that do not hit at a privilege level, for `hbreak`. */
static void probe(void)
{
	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		struct host h = {.cpl = cpl, .vcpus = 1};
		struct stop_point spec;
		struct err e = {0};

		open_guest(&h, false);
		spec = spec_of(&h, K_HBREAK, P_ADD);
		no_hbreak[cpl] = point_add(&d.points, d.m, &spec, NULL, &e) == -ENOTSUP;
		if (no_hbreak[cpl])
			printf("no hbreak at CPL %u: %s\n", cpl, e.why);
		close_guest();
	}
}

static void pairs(void **state)
{
	struct host *h = *state;

	close_guest(); /* of a test that failed */
	if (!h->soft) {
		if (!guest_possible())
			skip();
		probe();
	}
	run_pairs(h);
	close_guest();
}

int main(void)
{
	static struct host hosts[] = {{true, 0, 1, {0}},  {true, 3, 1, {0}},  {true, 0, 2, {0}},  {true, 3, 2, {0}},
				      {false, 0, 1, {0}}, {false, 3, 1, {0}}, {false, 0, 2, {0}}, {false, 3, 2, {0}}};
	static const char *const what[] = {"soft_kernel", "soft_user", "soft_kernel_two", "soft_user_two",
					   "kvm_kernel",  "kvm_user",  "kvm_kernel_two",  "kvm_user_two"};
	struct CMUnitTest tests[ARRAY_LEN(hosts)];

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		tests[i] = (struct CMUnitTest){what[i], pairs, NULL, NULL, &hosts[i]};
	return _cmocka_run_group_tests("pairs", tests, ARRAY_LEN(tests), NULL, NULL);
}
