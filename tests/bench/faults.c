/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What one live stage of a fault costs over the bare userfaultfd round trip: a guest at CPL 3 that touches 128 pages, each
 * dropped from its view. The floor continues each page and waits for the next message; ours is `fault step`, with its
 * tracepoints read, its registers out of the kernel, its stage written down.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tests/bench/bench.h"

#define PAGES 128u

/* mov rbx, GVA; mov ecx, PAGES; next: mov [rbx], rbx; add rbx, 0x1000; dec ecx; jnz next; ud2 */
static const uint8_t touch[] = {0x48, 0xc7, 0xc3, 0,	0, 0,	 0x40, 0xb9, 0x80, 0,	 0,    0,    0x48, 0x89,
				0x1b, 0x48, 0x81, 0xc3, 0, 0x10, 0,    0,    0xff, 0xc9, 0x75, 0xf2, 0x0f, 0x0b};
#define TOUCH_GVA 3

/* ---- bare */

static void *enter(void *arg)
{
	struct bare *b = arg;

	while (!ioctl(b->vcpu, KVM_RUN, 0) && b->run->exit_reason != KVM_EXIT_SHUTDOWN)
		;
	return NULL;
}

static int arm(struct bare *b, const uint8_t *at)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_THREAD_ID};
	struct uffdio_register reg = {.range = {(uintptr_t)at, PAGES * PAGE_SIZE_4K}, .mode = UFFDIO_REGISTER_MODE_MINOR};

	(void)b;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg) ||
	    madvise((void *)(uintptr_t)at, PAGES * PAGE_SIZE_4K, MADV_DONTNEED)) {
		util_closep(&fd);
		return -1;
	}
	return fd;
}

static bool one_round(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct uffd_msg m;

	if (poll(&p, 1, 2000) <= 0 || read(fd, &m, sizeof(m)) != sizeof(m))
		return false;
	struct uffdio_continue c = {.range = {m.arg.pagefault.address & ~PAGE_OFFSET_MASK, PAGE_SIZE_4K}};
	return !ioctl(fd, UFFDIO_CONTINUE, &c);
}

static double floor_stage(void *arg)
{
	uint8_t code[sizeof(touch)];
	uint32_t gva = 0x240000;
	struct bare b;
	pthread_t thread;
	double t;
	bool ok = true;

	(void)arg;
	memcpy(code, touch, sizeof(code));
	memcpy(code + TOUCH_GVA, &gva, sizeof(gva));
	if (!bare_open(&b, 3, code, sizeof(code)))
		return -1;
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t pte = (0x40000 + i * 0x1000ull) | 7;
		memcpy(b.mem + 0x13000 + 8 * (0x40 + i), &pte, sizeof(pte));
		b.mem[0x40000 + i * 0x1000] = 1;
	}
	int fd = arm(&b, b.mem + 0x40000);
	if (fd < 0 || pthread_create(&thread, NULL, enter, &b)) {
		bare_close(&b);
		return bench_fail("userfaultfd: %s", strerror(errno));
	}
	ok = one_round(fd);
	t = bench_now();
	for (unsigned i = 1; ok && i < PAGES; i++)
		ok = one_round(fd);
	t = bench_now() - t;
	close(fd);
	pthread_join(thread, NULL);
	bare_close(&b);
	return ok ? t : bench_fail("the bare guest did not fault on every page");
}

/* ---- ours */

static double ours_stage(void *arg)
{
	uint8_t code[sizeof(touch)];
	uint32_t gva = BENCH_GVA;
	struct fault_filter f = {.first = BENCH_DATA >> PAGE_SHIFT, .last = (BENCH_DATA >> PAGE_SHIFT) + PAGES - 1};
	struct err e = {0};
	struct stop st;
	double t = -1;

	(void)arg;
	memcpy(code, touch, sizeof(code));
	memcpy(code + TOUCH_GVA, &gva, sizeof(gva));
	const char *const argv[] = {"-b", "kvm", "--mode", "user", bench_image(code, sizeof(code))};
	struct session *s = bench_open(ARRAY_LEN(argv), argv);
	if (!s)
		return -1;
	int rc = bench_map(s, PAGES, false) ? machine_fault_catch(s->d.m, &f, 1, &e) : -1;
	if (!rc)
		rc = machine_run(s->d.m, RUN_CONTINUE, 0, 1, &st, &e);
	t = bench_now();
	for (unsigned i = 1; !rc && i < PAGES; i++) {
		rc = machine_fault_step(s->d.m, &st, &e);
		if (!rc && st.reason != STOP_FAULT_STAGE)
			rc = -EPROTO;
	}
	t = bench_now() - t;
	bench_close(s);
	return rc ? bench_fail("%.100s: %.150s", e.what, e.why) : t;
}

/* A run through as many faults that are not on the range which is asked for: its tables are theirs. */
static double ours_pass(void *arg)
{
	uint8_t code[sizeof(touch)];
	uint32_t gva = BENCH_GVA;
	struct fault_filter f = {
	    .gva = true, .first = BENCH_GVA + PAGES * PAGE_SIZE_4K, .last = BENCH_GVA + (PAGES + 1) * PAGE_SIZE_4K - 1};
	struct err e = {0};
	struct stop st = {0};
	double t = -1;

	(void)arg;
	memcpy(code, touch, sizeof(code));
	memcpy(code + TOUCH_GVA, &gva, sizeof(gva));
	const char *const argv[] = {"-b", "kvm", "--mode", "user", bench_image(code, sizeof(code))};
	struct session *s = bench_open(ARRAY_LEN(argv), argv);
	if (!s)
		return -1;
	int rc = bench_map(s, PAGES, false) ? machine_fault_catch(s->d.m, &f, 1, &e) : -1;
	if (!rc)
		rc = machine_run(s->d.m, RUN_STEP, 0, 1, &st, &e);
	t = bench_now();
	if (!rc)
		rc = machine_run(s->d.m, RUN_CONTINUE, 0, 1, &st, &e);
	t = bench_now() - t;
	bench_close(s);
	if (!rc && st.reason != STOP_EXCEPTION)
		return bench_fail("a stop by %s: a fault beside the range was told", stop_reason_name(st.reason));
	return rc ? bench_fail("%.100s: %.150s", e.what, e.why) : t;
}

/* The difference is what the aim is about. */
static double over_floor(void *arg)
{
	double floor = floor_stage(arg), ours = floor < 0 ? -1 : ours_stage(arg);

	if (ours < 0)
		return -1;
	return ours > floor ? ours - floor : 1e-9;
}

void bench_faults(void)
{
	bench_figure(&(struct figure){.name = "one live stage of a fault",
				      .ours = ours_stage,
				      .floor = floor_stage,
				      .runs = 9,
				      .per = PAGES - 1,
				      .unit = "us"});
	bench_figure(&(struct figure){.name = "  what is above the bare round trip",
				      .ours = over_floor,
				      .runs = 9,
				      .per = PAGES - 1,
				      .unit = "us",
				      .aim_abs = 60});
	bench_figure(&(struct figure){.name = "a fault beside the range that is caught",
				      .ours = ours_pass,
				      .floor = floor_stage,
				      .runs = 9,
				      .per = PAGES - 1,
				      .unit = "us"});
}
