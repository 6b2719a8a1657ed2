/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One moment of a VM as one HTML page that needs nothing else: style and pictures (SVG) are in it, no script is. It reads on
 * paper, on a phone, light and dark. Everything from a guest, an image, a kernel is escaped; what is too much is counted.
 */
#ifndef KVMSCOPE_VIEWS_HTML_HTML_H
#define KVMSCOPE_VIEWS_HTML_HTML_H

#include "views/view.h"

/* v is a dict; each part may be n/a with the reason, or missing (then its section is too):
 *
 *   title version date   strings                    vm          dict, drawn by shape
 *   stop       record_stop                          map         list of record_region
 *   slots      list of record_slot                  vcpus       as `info vcpus`
 *   registers  record_regs                          breakpoints list of record_stop_point
 *   guest      dict: rows (list of record_guest_entry in tree order, with why where the table below is not shown again),
 *              more (true: rows were left out)
 *   sptes      dict: rows (list of record_spte in tree order), left_out (how many)
 *   pages      dict: rows (list of record_shadow_page), left_out
 *   chains     dict: rows (list of record_rmap), left_out (gfns)
 *   rmaps      list of record_rmap_histogram        mmio        list of record_mmio
 *   fault      list of record_fault_stage           facts       list of what, value, why
 *   trace      dict: rows (list of record_trace_stop), left_out
 */
void html_report(struct out *o, const struct value *v);

#endif
