/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Parts of a report that are bounded: a large VM has more than a page can hold. Each is a dict as views/html/html.h has it,
 * or n/a with the reason.
 */
#ifndef KVMSCOPE_CLI_REPORT_H
#define KVMSCOPE_CLI_REPORT_H

#include "cli/session/command.h"

struct value report_guest(struct call *c); /* the current vCPU's own tables */
struct value report_sptes(struct call *c); /* under its root */
struct value report_pages(struct call *c);
struct value report_chains(struct call *c); /* the longest rmap chains */

#endif
