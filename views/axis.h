/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An axis for pictures of the guest physical space: from addresses to columns (or pixels), to scale but for holes that would
 * leave no room for anything else, which are cut short. Nothing vanishes: between any two borders of regions lies at least
 * one column, as long as there are as many columns as borders.
 */
#ifndef KVMSCOPE_VIEWS_AXIS_H
#define KVMSCOPE_VIEWS_AXIS_H

#include "views/view.h"

struct axis {
	uint64_t *at;	   /* the borders, ascending; n + 1 of them */
	unsigned *column;  /* where each stands */
	size_t n;	   /* intervals */
	uint64_t cut;	   /* a hole above this size is cut short to it */
	double per_column; /* bytes that a column stands for, roughly */
};

/* rows: a list of record_region, by gpa. least: columns that an interval gets at least. False: memory is out. */
bool axis_init(struct axis *a, const struct value *rows, unsigned columns, unsigned least);
void axis_deinit(struct axis *a);
/* Columns [*first, *end) of a region; never empty. */
void axis_span(const struct axis *a, const struct value *region, unsigned *first, unsigned *end);
bool axis_is_cut(const struct axis *a, const struct value *region);
/* "slot 1 rom readonly, in SMM only": what is known of a region beside where it is. */
void region_words(struct out *o, const struct axis *a, const struct value *region);
/* "3.2 GiB": for sizes that nobody wants to the byte. */
void format_about(char *buf, size_t size, uint64_t bytes);

#endif
