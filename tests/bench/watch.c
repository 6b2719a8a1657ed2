/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Watchpoints by pages. What one that is never touched costs a guest at CPL 3: the same loop of stores with it and without.
 * What a hit costs: the floor is the best that a write-protected page can do, with TF set beforehand, so that the store that
 * waits for its page is the last before the vCPU is out again, and with the thread that opens it on the vCPU's own CPU; ours
 * is a free run up to the hit, which finds out first and steps then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "tests/bench/bench.h"

#define HITS 300u
#define DATA 0x240000u /* gva and gpa 0x40000 of the bare guest */

/* inc dword [DATA]; jmp back */
static const uint8_t increment[] = {0xff, 0x04, 0x25, 0, 0, 0x24, 0, 0xeb, 0xf7};
#define INCREMENT_AT 3
/* mov ecx, 250,000,000; next: mov [BENCH_GVA], ecx; dec ecx; jnz next; ud2 */
static const uint8_t loop[] = {0xb9, 0x80, 0xb2, 0xe6, 0x0e, 0x89, 0x0c, 0x25, 0,
			       0,    0,	   0x40, 0xff, 0xc9, 0x75, 0xf5, 0x0f, 0x0b};

/* ---- bare */

struct opener {
	int fd;
	atomic_bool stop;
	atomic_int cpu; /* the vCPU's */
	pthread_t thread;
};

static void protect(int fd, uint64_t at, bool on)
{
	struct uffdio_writeprotect w = {.range = {at & ~PAGE_OFFSET_MASK, PAGE_SIZE_4K},
					.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};

	(void)ioctl(fd, UFFDIO_WRITEPROTECT, &w);
}

/* No other CPU has to be woken, which is half of the time otherwise. */
static void follow(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	(void)!pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *open_pages(void *arg)
{
	struct opener *o = arg;
	struct uffd_msg m;
	int at = -1;

	while (!atomic_load(&o->stop)) {
		struct pollfd p = {.fd = o->fd, .events = POLLIN};
		int cpu = atomic_load_explicit(&o->cpu, memory_order_relaxed);

		if (cpu != at)
			follow(at = cpu);
		if (poll(&p, 1, 50) > 0 && read(o->fd, &m, sizeof(m)) == sizeof(m))
			protect(o->fd, m.arg.pagefault.address, false);
	}
	return NULL;
}

static bool opener_start(struct opener *o, const struct bare *b)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | 1 << 12};
	struct uffdio_register reg = {.range = {(uintptr_t)b->mem + 0x40000, PAGE_SIZE_4K}, .mode = UFFDIO_REGISTER_MODE_WP};

	o->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	atomic_store(&o->stop, false);
	atomic_store(&o->cpu, sched_getcpu());
	if (o->fd >= 0 && !ioctl(o->fd, UFFDIO_API, &api) && !ioctl(o->fd, UFFDIO_REGISTER, &reg) &&
	    !pthread_create(&o->thread, NULL, open_pages, o))
		return true;
	util_closep(&o->fd);
	return false;
}

static double floor_hit(void *arg)
{
	uint64_t pte = 0x40007;
	struct opener o;
	struct bare b;
	unsigned seen = 0;
	double t;

	(void)arg;
	if (!bare_open(&b, 3, increment, sizeof(increment)))
		return -1;
	memcpy(b.mem + 0x13000 + 8 * 0x40, &pte, sizeof(pte));
	b.mem[0x40000] = 0;
	if (!opener_start(&o, &b)) {
		bare_close(&b);
		return bench_fail("userfaultfd: %s", strerror(errno));
	}
	b.run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	b.run->s.regs.regs = (struct kvm_regs){.rip = BARE_CODE, .rflags = 2};
	t = bench_now();
	for (unsigned i = 0; i < HITS; i++) {
		protect(o.fd, (uintptr_t)b.mem + 0x40000, true);
		b.run->s.regs.regs.rip = BARE_CODE;
		b.run->s.regs.regs.rflags |= 0x100;
		b.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
		atomic_store_explicit(&o.cpu, sched_getcpu(), memory_order_relaxed);
		if (ioctl(b.vcpu, KVM_RUN, 0) || b.run->exit_reason != KVM_EXIT_SHUTDOWN)
			break;
		seen++;
	}
	t = bench_now() - t;
	atomic_store(&o.stop, true);
	pthread_join(o.thread, NULL);
	close(o.fd);
	bool ok = seen == HITS && *(volatile uint32_t *)(void *)(b.mem + 0x40000) == HITS;
	bare_close(&b);
	return ok ? t : bench_fail("the bare guest did not come out behind its store (%u of %u)", seen, HITS);
}

/* ---- ours */

/* image: the code's file, made the first time. */
static struct session *guest(const char **image, const uint8_t *code, size_t len)
{
	if (!*image)
		*image = bench_image(code, len);
	const char *const argv[] = {"-b", "kvm", "--mode", "user", *image};
	struct session *s = *image ? bench_open(ARRAY_LEN(argv), argv) : NULL;

	if (s && !bench_map(s, 2, false)) {
		bench_close(s);
		return NULL;
	}
	return s;
}

static struct session *counting_guest(void)
{
	static const char *image;
	uint8_t code[sizeof(increment)];
	uint32_t gva = BENCH_GVA;
	struct session *s;

	memcpy(code, increment, sizeof(code));
	memcpy(code + INCREMENT_AT, &gva, sizeof(gva));
	s = guest(&image, code, sizeof(code));
	if (s && !bench_eval(s, "watch 0x40000000 4")) {
		bench_close(s);
		return NULL;
	}
	return s;
}

static double ours_hit(void *arg)
{
	struct session *s = counting_guest();
	struct err e = {0};
	struct stop st = {.reason = STOP_WATCHPOINT};
	int rc = s ? machine_run(s->d.m, RUN_CONTINUE, 0, 1, &st, &e) : -1;
	double t = bench_now();

	(void)arg;
	if (!s)
		return -1;
	for (unsigned i = 0; !rc && st.reason == STOP_WATCHPOINT && i < HITS; i++)
		rc = machine_run(s->d.m, RUN_CONTINUE, 0, 1, &st, &e);
	t = bench_now() - t;
	bench_close(s);
	return !rc && st.reason == STOP_WATCHPOINT ? t : bench_fail("%.100s: %.150s", e.what, e.why);
}

static double ours_c(void *arg)
{
	struct session *s = counting_guest();
	double t = -1;

	(void)arg;
	if (!s)
		return -1;
	if (bench_eval(s, "c"))
		t = bench_time(s, "for {set i 0} {$i < 300} {incr i} {c}");
	bench_close(s);
	return t;
}

/* arg: what is watched; NULL: nothing. */
static double loop_with(void *arg)
{
	static const char *image;
	struct session *s = guest(&image, loop, sizeof(loop));
	struct err e = {0};
	struct stop st;
	double t = -1;
	int rc = -1;

	if (!s)
		return -1;
	if (!arg || bench_eval(s, arg)) {
		t = bench_now();
		rc = machine_run(s->d.m, RUN_CONTINUE, 0, 1, &st, &e);
		t = bench_now() - t;
	}
	bench_close(s);
	return !rc && st.reason == STOP_EXCEPTION ? t : bench_fail("the loop did not end in its ud2");
}

void bench_watch(void)
{
	bench_figure(&(struct figure){.name = "a loop at CPL 3, a watch armed elsewhere",
				      .ours = loop_with,
				      .floor = loop_with,
				      .arg = (char *)(uintptr_t) "watch 0x40001000 64",
				      .runs = 15,
				      .per = 1,
				      .unit = "ms",
				      .aim = 1.02});
	bench_figure(&(struct figure){.name = "a loop at CPL 3, an awatch armed elsewhere",
				      .ours = loop_with,
				      .floor = loop_with,
				      .arg = (char *)(uintptr_t) "awatch 0x40001000 64",
				      .runs = 15,
				      .per = 1,
				      .unit = "ms",
				      .aim = 1.02});
	bench_figure(&(struct figure){.name = "watch hit, library call",
				      .ours = ours_hit,
				      .floor = floor_hit,
				      .runs = 15,
				      .per = HITS,
				      .unit = "us",
				      .aim = 1.3});
	bench_figure(&(struct figure){
	    .name = "watch hit and c from Tcl", .ours = ours_c, .floor = floor_hit, .runs = 9, .per = HITS, .unit = "us"});
}
