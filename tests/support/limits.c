/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What every unit test begins with: output line by line, so that what a test said is there when it is ended from outside;
 * and tests left out by name, for an emulated host that cannot do them. The linker puts it in place of cmocka's own entry.
 *
 * KVMSCOPE_LIMITS names a file of lines `PROGRAM TEST REASON`, globs, from the table tests/hosts/limits; KVMSCOPE_CHECK the
 * program.
 */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int __real__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
				   CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
				   CMFixtureFunction teardown);

struct limit {
	char program[64], test[64], reason[256];
};

static void left_out(void **state)
{
	printf("skip: %s\n", (const char *)*state);
	skip();
}

/* The lines that are about this program. */
static size_t read_limits(struct limit *v, size_t most)
{
	const char *path = getenv("KVMSCOPE_LIMITS"), *program = getenv("KVMSCOPE_CHECK");
	FILE *f = path && program ? fopen(path, "re") : NULL;
	size_t n = 0;

	if (!f)
		return 0;
	while (n < most && fscanf(f, "%63s %63s %255[^\n]", v[n].program, v[n].test, v[n].reason) == 3)
		n += fnmatch(v[n].program, program, 0) == 0;
	fclose(f);
	return n;
}

static void leave_out(struct CMUnitTest *t, struct limit *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fnmatch(v[i].test, t->name, 0) == 0) {
			*t = (struct CMUnitTest){.name = t->name, .test_func = left_out, .initial_state = v[i].reason};
			return;
		}
	}
}

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
				   CMFixtureFunction teardown)
{
	static struct limit limits[64];
	size_t n_limits = read_limits(limits, sizeof(limits) / sizeof(limits[0]));
	struct CMUnitTest *mine = calloc(n, sizeof(*mine));
	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!mine)
		return 1;
	memcpy(mine, tests, n * sizeof(*mine));
	for (size_t i = 0; i < n; i++)
		leave_out(&mine[i], limits, n_limits);
	failed = __real__cmocka_run_group_tests(group, mine, n, setup, teardown);
	free(mine);
	return failed;
}
