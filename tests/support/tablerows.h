/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Both sides' page tables as rows, compared with text. What fails here fails the test.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_TABLEROWS_H
#define KVMSCOPE_TESTS_SUPPORT_TABLEROWS_H

#include "core/debug/tables.h"

/* A first look at vCPU 0's, and one more at those that are there. */
struct table_trees *rows_look(struct machine *m);
void rows_look_again(struct table_trees **t, struct machine *m);
/* All rows as text: depth by indentation, "-" open, "+" closed, address, guest's and host's level, the guest's gpa and
 * rights, the host's gfn and rights, marks. */
void rows_expect(const struct table_trees *t, const char *text);
/* The row of an address, by number and as it is; it has to be there. */
size_t rows_find(const struct table_trees *t, uint64_t addr);
struct trees_row rows_at(const struct table_trees *t, uint64_t addr);
/* Whatever was done to it: numbers, parents and searches agree with each other. */
void rows_check_numbers(const struct table_trees *t);
/* Check and free them, and the machine of tableguest.h; t may be NULL. */
void rows_close(struct machine *m, struct table_trees *t);

#endif
