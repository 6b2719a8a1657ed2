/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Records as graphs in Graphviz's language: "digraph … { … }" for `dot -Tsvg`. Text of a guest's or a kernel's is escaped. A
 * graph is of a size that dot can lay out; what is left out is counted in a note.
 */
#ifndef KVMSCOPE_VIEWS_DOT_H
#define KVMSCOPE_VIEWS_DOT_H

#include "views/view.h"

/* A dict: vcpu, sptes (list of record_spte in tree order), pages (list of record_shadow_page, with parents). Nodes are
 * shadow pages and runs of guest pages, edges are sptes. */
void dot_shadow_tree(struct out *o, const struct value *v);
/* A list of record_rmap: head words, descriptors, sptes, the shadow pages that they stand in. */
void dot_rmap(struct out *o, const struct value *v);

/* How many rows from i on of a list in tree order (record_spte, or record_guest_entry) map neighbours by neighbours, with
 * the same rights; 1 or more. */
uint32_t run_of_leaves(const struct value *rows, uint32_t i);

#endif
