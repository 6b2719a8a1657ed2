/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Runs of leaves in a tree of tables: entries that stand side by side, map page after page, and allow the same.
 */
#include "views/dot.h"
#include "views/draw.h"

#include <string.h>

static bool same_rights(const struct value *a, const struct value *b)
{
	static const char *const keys[] = {"present", "writable", "user",     "exec",	       "accessed",
					   "dirty",   "mmio",	  "host_own", "host_writable", "mmu_writable"};
	const struct value *x = v_get(a, "flags"), *y = v_get(b, "flags");

	if (x && y)
		return v_equal(x, y);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (get_truth(a, keys[i]) != get_truth(b, keys[i]))
			return false;
	return true;
}

static uint64_t address_of_entry(const struct value *row)
{
	return get_num(row, has_num(row, "sptep") ? "sptep" : "at");
}

static bool follows(const struct value *a, const struct value *b)
{
	uint64_t level = get_num(a, "level"), apart = address_of_entry(b) - address_of_entry(a);
	uint64_t pages = get_num(b, "gfn") - get_num(a, "gfn");

	return get_truth(b, "leaf") && address_of_entry(b) & PAGE_OFFSET_MASK && get_num(b, "level") == level &&
	       (apart == 8 || apart == 4) && has_num(b, "gfn") == has_num(a, "gfn") &&
	       get_num(b, "gva") - get_num(a, "gva") == pages << PAGE_SHIFT && get_num(b, "gva") > get_num(a, "gva") &&
	       same_rights(a, b);
}

uint32_t run_of_leaves(const struct value *rows, uint32_t i)
{
	uint32_t n = 1;

	if (!get_truth(&rows->items[i], "leaf") || !has_num(&rows->items[i], "gva") || !has_num(&rows->items[i], "gfn"))
		return 1;
	while (i + n < rows->n && follows(&rows->items[i + n - 1], &rows->items[i + n]))
		n++;
	return n;
}
