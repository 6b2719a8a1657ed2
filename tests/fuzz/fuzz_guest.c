/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Raw guest images on the soft backend: whatever they contain, nothing outside the slots is read or written (ASan, and guard
 * pages around the slots), and an interrupt always ends the run.
 *
 * An input is a mode byte, eight bytes of flags, then memory from gpa 0 on. As a libFuzzer target (-DLIBFUZZER), or with the
 * driver below: fuzz_guest [-t SECONDS] [-s FIRST SEED] [FILE ...].
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "core/machine/machine.h"
#include "core/mem/paging.h"
#include "core/soft/soft.h"

enum { RAM = 0x40000, ROM_GPA = 0x80000, ROM = 0x2000, SLICE_US = 3000, PATIENCE = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct machine *running;
static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
	(void)sig;
	if (running)
		machine_interrupt(running);
	if (++ticks > PATIENCE) { /* three seconds of interrupts and no end */
		static const char text[] = "fuzz_guest: the run does not end\n";
		(void)!write(2, text, sizeof(text) - 1);
		abort();
	}
}

static void timer(long us)
{
	struct itimerval t = {.it_interval.tv_usec = us, .it_value.tv_usec = us};

	ticks = 0;
	signal(SIGALRM, on_tick);
	setitimer(ITIMER_REAL, &t, NULL);
}

/* Neither side of a slot may be touched. */
static void guard(struct machine *m, uint32_t id, void *at[2])
{
	const struct slot *s = slot_by_id(machine_slots(m), id);
	uint8_t *where[2] = {s->alias - PAGE_SIZE_4K, s->alias + s->size};

	for (unsigned i = 0; i < 2; i++)
		at[i] = mmap(where[i], PAGE_SIZE_4K, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void unguard(void *at[2])
{
	for (unsigned i = 0; i < 2; i++)
		if (at[i] != MAP_FAILED)
			munmap(at[i], PAGE_SIZE_4K);
}

static struct seg flat(uint8_t type, bool l, uint8_t dpl)
{
	return (struct seg){.limit = ~0u,
			    .type = type,
			    .s = true,
			    .present = true,
			    .l = l,
			    .db = !l,
			    .g = true,
			    .dpl = dpl,
			    .selector = dpl};
}

/* Real, protected, PAE, 32-bit and long mode, at CPL 0 or 3, tables and code in the image itself. */
static void enter(struct regs *r, uint8_t mode, uint64_t flags)
{
	static const uint8_t entry_page[] = {0, 1, 2, 8};
	unsigned how = mode & 7;
	bool l = how >= 5, paged = how >= 3;
	uint8_t dpl = mode & 8 ? 3 : 0;

	r->rip = 0x1000ull * entry_page[mode >> 4 & 3] + (flags & 0xff0);
	r->rflags = RFLAGS_FIXED | (flags >> 12 & (RFLAGS_TF | RFLAGS_DF | RFLAGS_IF | RFLAGS_AC | RFLAGS_NT));
	for (unsigned i = 0; i < 16; i++)
		r->gpr[i] = flags >> i & 0x7ffff;
	if (how < 2) {
		r->seg[SEG_CS].base = r->seg[SEG_CS].selector = 0;
		return;
	}
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = flat(i == SEG_CS ? 11 : 3, i == SEG_CS && l, dpl);
	r->gdt = (struct desc_table){0x3000, 0xfff};
	r->idt = (struct desc_table){0x4000, mode & 0x40 ? 0xfff : 0};
	r->tr = (struct seg){.base = 0x5000, .limit = 0x67, .type = 11, .present = true, .selector = 0x28};
	r->cr0 = CR0_PE | CR0_ET | CR0_NE | (paged ? CR0_PG : 0) | (flags & 1 ? CR0_WP : 0);
	r->cr3 = 0x6000;
	r->cr4 =
	    (how != 3 ? CR4_PAE : CR4_PSE) | CR4_OSFXSR | (flags & 2 ? CR4_SMEP | CR4_SMAP : 0) | (how == 7 ? CR4_LA57 : 0);
	r->efer = EFER_SCE | EFER_NXE | (l ? EFER_LME | EFER_LMA : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slot_spec ram = {.size = RAM},
				      rom = {.id = 1, .gpa = ROM_GPA, .size = ROM, .flags = SLOT_READONLY};
	struct machine_config cfg = {.vcpus = 1};
	void *guards[2][2];
	struct err e = {0};
	struct stop stop;
	struct regs r;
	uint64_t flags;

	if (size < 10)
		return 0;
	memcpy(&flags, data + 1, 8);
	cfg.mmio_sptes = data[0] & 0x80;
	cfg.emulated_kernel = flags >> 63;
	if (machine_create(&soft_backend, &cfg, &running, &e) || machine_slot_add(running, &ram, NULL, &e) ||
	    machine_slot_add(running, &rom, NULL, &e) || machine_get_regs(running, 0, REGS_ALL, &r, &e))
		abort();
	guard(running, 0, guards[0]);
	guard(running, 1, guards[1]);
	size_t n = size - 9 < RAM ? size - 9 : RAM;
	if (machine_write(running, 0, false, data + 9, n, &e))
		abort();
	enter(&r, data[0], flags);
	if (machine_set_regs(running, 0, REGS_GPR | REGS_SYS, &r, &e))
		abort();
	timer(SLICE_US);
	for (unsigned i = 0; i < 3; i++)
		if (machine_run(running, i == 1 ? RUN_STEP : RUN_CONTINUE, 0, i == 1 ? 50 : 1, &stop, &e))
			break;
	timer(0);
	if (getenv("FUZZ_VERBOSE") && !machine_get_regs(running, 0, REGS_ALL, &r, &e))
		fprintf(stderr, "  %s at %#llx, %llu instructions\n", stop_reason_name(stop.reason),
			(unsigned long long)r.rip, (unsigned long long)r.msr.tsc);
	unguard(guards[0]);
	unguard(guards[1]);
	struct machine *m = running;
	running = NULL;
	machine_destroy(m);
	return 0;
}

#ifndef LIBFUZZER

static uint64_t state;

static uint64_t next(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Page tables that mostly lead somewhere: entries to low pages, itself, READONLY memory, MMIO. */
static void random_table(uint8_t *at)
{
	for (unsigned i = 0; i < 512; i++) {
		static const uint64_t far[] = {ROM_GPA, 0xd0000000, 0x10000000000, 0x6000};
		uint64_t v = next(), page = (v >> 8 & 7) == 7 ? far[v >> 11 & 3] : (v >> 16 & 0x3f) << 12;
		uint64_t entry = page | (v & 0x7f) | ((v >> 40 & 3) ? 7 : 0) | (v >> 48 & 15 ? 0 : PTE_PS);

		memcpy(at + 8 * i, &entry, 8);
	}
}

/* Bytes that decode more often than noise does. */
static void random_code(uint8_t *at, size_t n)
{
	static const uint8_t lead[] = {0x0f, 0x48, 0x66, 0xf3, 0xf2, 0x67, 0x8b, 0x89, 0x01, 0xc7, 0xff, 0xe8, 0xeb, 0x75,
				       0xa4, 0xa5, 0xab, 0x50, 0x58, 0xc3, 0xcf, 0xcd, 0x8e, 0x9a, 0xea, 0x0f, 0x62, 0xc8,
				       0xc9, 0x6c, 0x6e, 0xe6, 0x64, 0x65, 0x36, 0x41, 0x9c, 0x9d, 0xf0, 0x0f};

	for (size_t i = 0; i < n; i++) {
		uint64_t v = next();
		at[i] = v & 1 ? lead[(v >> 8) % sizeof(lead)] : (uint8_t)(v >> 16);
	}
}

static void one_seed(uint64_t seed, uint8_t *image)
{
	state = seed * 0x2545f4914f6cdd1dull + 7;
	memset(image, 0, RAM + 9);
	random_code(image, 9 + 0x3000);
	for (unsigned i = 0; i < 0x2000; i += 8) {
		uint64_t v = next();
		/* Descriptors and gates of types that exist, mostly. */
		v = (v & 0xffff0000ffffffffull) | (v >> 32 & 0x7f1f) << 32 | (v & 1 ? 0x8000ull << 32 : 0);
		memcpy(image + 9 + 0x3000 + i, &v, 8);
	}
	for (unsigned p = 6; p < 16; p++)
		random_table(image + 9 + 0x1000 * p);
	random_code(image + 9 + 0x8000, 0x1000);
	LLVMFuzzerTestOneInput(image, RAM + 9);
}

static int one_file(const char *name, uint8_t *image)
{
	FILE *f = fopen(name, "rb");

	if (!f)
		return 1;
	size_t n = fread(image, 1, RAM + 9, f);
	fclose(f);
	return LLVMFuzzerTestOneInput(image, n);
}

int main(int argc, char **argv)
{
	double seconds = 10;
	uint64_t seed = 1, n = 0;
	struct timespec t0, t;
	uint8_t *image = malloc(RAM + 9);
	int c;

	while ((c = getopt(argc, argv, "t:s:")) != -1)
		if (c == 't')
			seconds = atof(optarg);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	if (!image)
		return 2;
	for (; optind < argc; optind++, seconds = 0)
		if (one_file(argv[optind], image))
			return 1;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	do {
		if (getenv("FUZZ_VERBOSE"))
			fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
		if (seconds > 0)
			one_seed(seed++, image), n++;
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while ((double)(t.tv_sec - t0.tv_sec) + (double)(t.tv_nsec - t0.tv_nsec) / 1e9 < seconds);
	free(image);
	printf("%llu images, up to seed %llu\n1 passed, 0 failed, 0 skipped\n", (unsigned long long)n,
	       (unsigned long long)seed - 1);
	return 0;
}
#endif
