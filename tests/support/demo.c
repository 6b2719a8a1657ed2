/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Demo guests, loaded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/load/image.h"
#include "core/soft/soft.h"
#include "tests/support/demo.h"

static void ok(int rc, const struct err *e)
{
	if (rc)
		fail_msg("%s: %s", e->what, e->why);
}

struct machine *demo_open(const char *name)
{
	const struct image_options opt = {.name = name};
	struct machine_config cfg = {.vcpus = 1};
	struct image *img = NULL;
	struct machine *m = NULL;
	struct err e = {0};

	ok(image_open(&opt, &img, &e), &e);
	cfg.vcpus = image_vcpus(img);
	ok(machine_create(&soft_backend, &cfg, &m, &e), &e);
	ok(image_make_slots(img, m, &e), &e);
	ok(image_load(img, m, &e), &e);
	image_close(img);
	return m;
}

struct machine *demo_run(const char *name)
{
	struct machine *m = demo_open(name);
	struct stop stop;
	struct err e = {0};

	ok(machine_run(m, RUN_CONTINUE, 0, 0, &stop, &e), &e);
	return m;
}
