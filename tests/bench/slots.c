/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A slot's flags against the ioctls that it takes: READONLY is a delete and a create, LOG_DIRTY one call. Both sides work on
 * the same VM and slot.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvmback/kvm.h"
#include "tests/bench/bench.h"

#define FLIPS 100 /* there and back: each is two changes */

static struct kvm_userspace_memory_region region_of(struct session *s, uint32_t flags)
{
	const struct slot *slot = slot_by_id(machine_slots(s->d.m), 1);

	return (struct kvm_userspace_memory_region){
	    .slot = 1, .flags = flags, .guest_phys_addr = slot->gpa, .memory_size = slot->size, .userspace_addr = slot->hva};
}

static bool set(struct session *s, struct kvm_userspace_memory_region r, bool empty)
{
	if (empty)
		r.memory_size = 0;
	return !ioctl(kvm_of(s->d.m)->fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static double floor_readonly(void *arg)
{
	struct kvm_userspace_memory_region plain = region_of(arg, 0), ro = region_of(arg, KVM_MEM_READONLY);
	double t = bench_now();

	for (int i = 0; i < FLIPS; i++)
		if (!set(arg, plain, true) || !set(arg, ro, false) || !set(arg, ro, true) || !set(arg, plain, false))
			return bench_fail("bare flip: %s", strerror(errno));
	return bench_now() - t;
}

static double floor_log(void *arg)
{
	struct kvm_userspace_memory_region plain = region_of(arg, 0), log = region_of(arg, KVM_MEM_LOG_DIRTY_PAGES);
	double t = bench_now();

	for (int i = 0; i < FLIPS; i++)
		if (!set(arg, log, false) || !set(arg, plain, false))
			return bench_fail("bare flip: %s", strerror(errno));
	return bench_now() - t;
}

static double flips(struct session *s, const char *flag)
{
	char script[160];

	snprintf(script, sizeof(script), "for {set i 0} {$i < %d} {incr i} {slot flags 1 +%s; slot flags 1 -%s}", FLIPS,
		 flag, flag);
	return bench_time(s, script);
}

static double ours_readonly(void *arg)
{
	return flips(arg, "readonly");
}

static double ours_log(void *arg)
{
	return flips(arg, "log-dirty");
}

/* What a flip costs where C code asks for it, without the record of it. */
static double ours_readonly_c(void *arg)
{
	struct session *s = arg;
	struct err e = {0};
	double t = bench_now();

	for (int i = 0; i < FLIPS; i++)
		if (machine_slot_flags(s->d.m, 1, SLOT_READONLY, 0, 0, NULL, &e) ||
		    machine_slot_flags(s->d.m, 1, 0, SLOT_READONLY, 0, NULL, &e))
			return bench_fail("%.100s: %.150s", e.what, e.why);
	return bench_now() - t;
}

void bench_slots(void)
{
	static const uint8_t code[] = {0xeb, 0xfe};
	const char *const argv[] = {"--mode", "user", bench_image(code, sizeof(code))};
	struct session *s = bench_open(3, argv);
	const struct figure f[] = {
	    {"flip of READONLY from Tcl", ours_readonly, floor_readonly, s, s, 21, 2 * FLIPS, "us", 1.5, 0},
	    {"flip of READONLY, library call", ours_readonly_c, floor_readonly, s, s, 21, 2 * FLIPS, "us", 1.5, 0},
	    {"flip of LOG_DIRTY from Tcl", ours_log, floor_log, s, s, 21, 2 * FLIPS, "us", 1.5, 0},
	};

	if (!s || !bench_eval(s, "si; slot add 1 0x10000000 0x10000; mem write 0x10000000 00 -phys"))
		bench_skip("flag flips", bench_why);
	else
		for (size_t i = 0; i < ARRAY_LEN(f); i++)
			bench_figure(&f[i]);
	bench_close(s);
}
