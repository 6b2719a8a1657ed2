/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How much memory is available, out of the kernel's files and out of files that are none, and a slot that asks for more.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "core/machine/machine.h"
#include "core/soft/soft.h"

static char folder[] = "/tmp/kvmscope-memory-XXXXXX";

static const char *file(const char *name, const char *text)
{
	static char p[100];

	snprintf(p, sizeof(p), "%s/%s", folder, name);
	FILE *f = fopen(p, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return p;
}

static void test_of_the_host(void **state)
{
	(void)state;
	assert_int_equal(memory_available_by(file("meminfo", "MemTotal: 100 kB\nMemAvailable:    64 kB\n"), ""), 64 << 10);
	assert_true(memory_available_by(file("meminfo", "MemTotal: 100 kB\n"), "") == UINT64_MAX);
	assert_true(memory_available_by("/none-such", "") == UINT64_MAX);
	assert_true(memory_available() > 0);
}

static void test_of_a_group(void **state)
{
	char info[100];

	(void)state;
	snprintf(info, sizeof(info), "%s", file("meminfo", "MemAvailable: 1024 kB\n"));
	file("memory.max", "max\n");
	file("memory.current", "4096\n");
	assert_int_equal(memory_available_by(info, folder), 1 << 20);
	file("memory.max", "65536\n");
	assert_int_equal(memory_available_by(info, folder), 65536 - 4096);
	file("memory.current", "70000\n");
	assert_int_equal(memory_available_by(info, folder), 0);
	file("memory.max", "9999999999\n");
	assert_int_equal(memory_available_by(info, folder), 1 << 20);
}

static void test_of_pools(void **state)
{
	char path[100];

	(void)state;
	assert_int_equal(memory_in_pools_by("/none-such"), 0);
	assert_int_equal(memory_in_pools_by(folder), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/hugepages-%dkB", folder, i ? 1 << 20 : 2048);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(memory_in_pools_by(folder), 0); /* they do not say */
	file("hugepages-2048kB/free_hugepages", "3\n");
	file("hugepages-1048576kB/free_hugepages", "1\n");
	assert_int_equal(memory_in_pools_by(folder), (6ull << 20) + (1ull << 30));
}

/* Advice, as help says: nothing is taken, so nothing is refused for being more than there is. */
static void test_huge_takes_nothing_on_soft(void **state)
{
	const struct machine_config cfg = {.vcpus = 1};
	struct slot_spec spec = {.id = 6, .gpa = 1ull << 32, .size = 1ull << 35, .huge = true};
	struct machine *m = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(machine_create(&soft_backend, &cfg, &m, &e), 0);
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), 0);
	machine_destroy(m);
}

/* ---- the soft backend copies a slot's file */

static int at_once(void *unused)
{
	(void)unused;
	return -EINTR;
}

static void test_a_copy_looks_first(void **state)
{
	const struct machine_config cfg = {.vcpus = 1};
	char path[100];
	struct slot_spec spec = {.id = 6, .gpa = 1ull << 32, .file = path};
	struct machine *m = NULL;
	struct err e = {0};

	(void)state;
	snprintf(path, sizeof(path), "%s", file("sparse", ""));
	assert_int_equal(truncate(path, 1ll << 40), 0);
	assert_int_equal(machine_create(&soft_backend, &cfg, &m, &e), 0);
	spec.size = 1ull << 39;
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -ENOMEM);
	assert_non_null(strstr(e.why, "available on this host"));
	assert_non_null(strstr(e.next, "-overcommit"));
	spec.size = 0x100000;
	spec.poll = at_once;
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), -EINTR);
	assert_int_equal(machine_slots(m)->n, 0);
	spec.poll = NULL;
	assert_int_equal(machine_slot_add(m, &spec, NULL, &e), 0);
	machine_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_of_the_host),	       cmocka_unit_test(test_of_a_group),
	    cmocka_unit_test(test_of_pools),	       cmocka_unit_test(test_huge_takes_nothing_on_soft),
	    cmocka_unit_test(test_a_copy_looks_first),
	};
	if (!mkdtemp(folder))
		return 1;
	int failed = cmocka_run_group_tests_name("memory", tests, NULL, NULL);
	char command[100];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return failed || system(command);
}
