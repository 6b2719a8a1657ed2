/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Golden text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/golden.h"

static void read_file(const char *path, struct out *o)
{
	char buf[4096];
	size_t n;
	FILE *f = fopen(path, "r");

	if (!f)
		fail_msg("no %s; KVMSCOPE_GOLDEN=write makes it", path);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		out_textf(o, "%.*s", (int)n, buf);
	fclose(f);
}

void compare_golden(const char *name, const struct out *o)
{
	const char *mode = getenv("KVMSCOPE_GOLDEN");
	struct out want;
	char path[128];

	snprintf(path, sizeof(path), "tests/golden/%s.txt", name);
	if (mode && !strcmp(mode, "write")) {
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fwrite(o->text, 1, o->len, f);
		fclose(f);
	}
	out_init(&want, false, 0);
	read_file(path, &want);
	assert_string_equal(o->text, want.text);
	out_deinit(&want);
}
