/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Every pane there is.
 */
#include "views/tui/pane.h"

const struct pane_ops *const pane_list[] = {
    &pane_map,	   &pane_selected, &pane_trees, &pane_registers,   &pane_code,	&pane_stack, &pane_displays,
    &pane_memory,  &pane_slots,	   &pane_mmio,	&pane_breakpoints, &pane_fault, &pane_vcpus, &pane_log,
    &pane_console, &pane_output,   NULL,
};
