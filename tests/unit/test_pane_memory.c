/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the memory pane says of its page's rights, from walks of every kind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "views/tui/pane.h"

/* A record as a command gives it: flags of the last guest entry, and the sptes down to level. */
static struct value walk_of(struct pool *p, const char *guest, unsigned level, const char *flag)
{
	struct value v = v_dict(p, 2), entries = v_list(p, 1), sptes = v_list(p, 4);

	if (guest) {
		struct value entry = v_dict(p, 1), flags = v_list(p, 1);
		v_push(p, &flags, v_str(p, guest));
		v_put(p, &entry, "flags", flags);
		v_push(p, &entries, entry);
	}
	for (unsigned l = 4; level && l >= level; l--) {
		struct value spte = v_dict(p, 2), flags = v_list(p, 1);
		v_push(p, &flags, v_str(p, l == level ? flag : "present"));
		v_put(p, &spte, "level", v_int(l));
		v_put(p, &spte, "flags", flags);
		v_push(p, &sptes, spte);
	}
	v_put(p, &v, "guest", entries);
	v_put(p, &v, "sptes", sptes);
	return v;
}

static void first_line_is(const struct value *walk, const char *want)
{
	struct scene s = {.sel = {.has_gva = true, .gva = 0x240000}, .has_vm = true};
	struct pane *p = pane_create(&pane_memory);
	struct grid g = {0};
	struct out o;

	assert_non_null(p);
	assert_int_equal(grid_resize(&g, 4, 80), 0);
	s.seen[SEEN_WALK] = (struct seen){.v = *walk, .generation = 1, .at = 1};
	pane_draw(p, &s, area_whole(&g), false);
	out_init(&o, false, 0);
	pane_memory.line(p, &s, 0, &o);
	grid_clear(&g);
	area_styled(area_whole(&g), 0, 0, o.text, o.len, 0);
	out_deinit(&o);
	out_init(&o, false, 0);
	grid_text(&g, &o);
	o.text[strcspn(o.text, "\n")] = '\0';
	assert_string_equal(o.text, want);
	out_deinit(&o);
	grid_deinit(&g);
	pane_destroy(p);
}

static void rights_of_a_page(void **state)
{
	_cleanup_pool_ struct pool *p = pool_create();
	const struct value small = walk_of(p, "writable", 1, "present"), large = walk_of(p, "writable", 2, "large"),
			   mmio = walk_of(p, "writable", 2, "mmio"), above = walk_of(p, "writable", 2, "present"),
			   nothing = walk_of(p, NULL, 0, NULL);

	(void)state;
	first_line_is(&small, "guest's tables writable  spte present");
	first_line_is(&large, "guest's tables writable  spte large");
	first_line_is(&mmio, "guest's tables writable  spte mmio");
	first_line_is(&above, "guest's tables writable  spte none");
	first_line_is(&nothing, "guest's tables -  spte none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rights_of_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
