/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Columns for the borders of regions, and words about regions.
 */
#include "views/axis.h"
#include "views/draw.h"

#include <stdio.h>
#include <string.h>

static bool is_hole(const struct value *row)
{
	return !strcmp(get_str(row, "kind"), "hole");
}

static uint64_t end_of(const struct value *row)
{
	uint64_t gpa = get_num(row, "gpa"), size = get_num(row, "size");

	return range_wraps(gpa, size) || gpa + size < gpa ? UINT64_MAX : gpa + size;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Holes together take a third of the axis at most, unless they are small. */
static uint64_t cut_of(const struct value *rows)
{
	double memory = 0;
	uint64_t holes = 0;

	for (uint32_t i = 0; i < rows->n; i++) {
		if (is_hole(&rows->items[i]))
			holes++;
		else
			memory += (double)get_num(&rows->items[i], "size");
	}
	if (!holes || memory <= 0)
		return UINT64_MAX;
	double each = memory / 2 / (double)holes;
	return each < 4096 ? 4096 : (uint64_t)each;
}

static size_t collect_borders(uint64_t *at, const struct value *rows)
{
	size_t n = 0, to = 0;

	for (uint32_t i = 0; i < rows->n; i++) {
		at[n++] = get_num(&rows->items[i], "gpa");
		at[n++] = end_of(&rows->items[i]);
	}
	qsort(at, n, sizeof(*at), ascending);
	for (size_t i = 0; i < n; i++)
		if (!to || at[i] != at[to - 1])
			at[to++] = at[i];
	return to ? to - 1 : 0;
}

/* Intervals below a cut hole are as long as the hole is allowed to be. */
static double *lengths(const struct axis *a, const struct value *rows)
{
	double *len = calloc(a->n + 1, sizeof(*len));

	for (size_t i = 0; len && i < a->n; i++)
		len[i] = (double)(a->at[i + 1] - a->at[i]);
	for (uint32_t i = 0; len && i < rows->n; i++) {
		if (!axis_is_cut(a, &rows->items[i]))
			continue;
		uint64_t gpa = get_num(&rows->items[i], "gpa");
		const uint64_t *found = bsearch(&gpa, a->at, a->n + 1, sizeof(*a->at), ascending);
		if (found && (size_t)(found - a->at) < a->n)
			len[found - a->at] = (double)a->cut;
	}
	return len;
}

/* Each interval its share of what is left after `least` for everybody; without room for that, plain shares. */
static void place(struct axis *a, const double *len, unsigned columns, unsigned least)
{
	double total = 0, sum = 0;

	for (size_t i = 0; i < a->n; i++)
		total += len[i];
	if ((uint64_t)a->n * least > columns)
		least = 0;
	double rest = (double)columns - (double)a->n * least;
	for (size_t i = 0; i <= a->n; i++) {
		a->column[i] = (unsigned)((double)i * least + (total > 0 ? sum / total * rest : 0) + 0.5);
		sum += i < a->n ? len[i] : 0;
	}
	a->per_column = rest > 0 ? total / rest : 0;
}

bool axis_init(struct axis *a, const struct value *rows, unsigned columns, unsigned least)
{
	*a = (struct axis){.at = calloc(2 * (size_t)rows->n + 2, sizeof(*a->at)),
			   .column = calloc(2 * (size_t)rows->n + 2, sizeof(*a->column))};
	_cleanup_free_ double *len = NULL;

	if (a->at && a->column) {
		a->cut = cut_of(rows);
		a->n = collect_borders(a->at, rows);
		len = lengths(a, rows);
	}
	if (len)
		place(a, len, columns, least);
	else
		axis_deinit(a);
	return len != NULL;
}

void axis_deinit(struct axis *a)
{
	free(a->at);
	free(a->column);
	*a = (struct axis){.at = NULL};
}

static unsigned column_of(const struct axis *a, uint64_t x)
{
	const uint64_t *found = bsearch(&x, a->at, a->n + 1, sizeof(*a->at), ascending);

	return found ? a->column[found - a->at] : 0;
}

void axis_span(const struct axis *a, const struct value *region, unsigned *first, unsigned *end)
{
	*first = column_of(a, get_num(region, "gpa"));
	*end = column_of(a, end_of(region));
	if (*end > *first)
		return;
	if (*first && *first == a->column[a->n])
		--*first;
	*end = *first + 1;
}

bool axis_is_cut(const struct axis *a, const struct value *region)
{
	return is_hole(region) && get_num(region, "size") > a->cut;
}

void region_words(struct out *o, const struct axis *a, const struct value *row)
{
	const struct value *flags = get_list(row, "flags");
	const char *visible = get_str(row, "visible"), *name = get_str(row, "name");

	if (has_num(row, "slot"))
		out_textf(o, "slot %u ", (unsigned)get_num(row, "slot"));
	out_safe(o, get_str(row, "kind"), strlen(get_str(row, "kind")), false);
	if (name[0]) {
		out_text(o, " ");
		out_safe(o, name, strlen(name), false);
	}
	if (flags->n) {
		out_text(o, " ");
		out_words(o, flags, "");
	}
	if (!strcmp(visible, "smm"))
		out_text(o, ", in SMM only");
	else if (!strcmp(visible, "non-smm"))
		out_text(o, ", outside SMM only");
	if (get_truth(row, "own"))
		out_text(o, ", the debugger's own");
	if (axis_is_cut(a, row))
		out_text(o, ", not to scale");
}

void format_about(char *buf, size_t size, uint64_t bytes)
{
	static const char *const unit[] = {"", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
	double x = (double)bytes;
	unsigned u = 0;

	while (x >= 1024 && u < ARRAY_LEN(unit) - 1) {
		x /= 1024;
		u++;
	}
	if (u && x - (double)(uint64_t)x > 0.04 && x < 100)
		snprintf(buf, size, "%.1f%s", x, unit[u]);
	else
		snprintf(buf, size, "%.0f%s", x, unit[u]);
}
