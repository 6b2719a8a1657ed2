/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A row of both sides' page tables as a line of text.
 */
#ifndef KVMSCOPE_VIEWS_TUI_TREES_LINE_H
#define KVMSCOPE_VIEWS_TUI_TREES_LINE_H

#include "core/debug/tables.h"
#include "views/view.h"

/* r NULL: the line of titles. cols: the pane's, which say how much is told; width_address: of the longest address, with its
 * 0x. */
void trees_line(const struct table_trees *t, const struct trees_row *r, unsigned cols, unsigned width_address,
		struct out *o);

#endif
