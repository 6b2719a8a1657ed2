/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How Tcl waits in the debugger: every wait of its event loop, of `after MS` and of reading standard input ends at once when
 * a signal asks for it.
 */
#ifndef KVMSCOPE_CLI_TCLWAIT_H
#define KVMSCOPE_CLI_TCLWAIT_H

struct Tcl_Interp;

void tclwait_before_interp(void); /* before anything else of Tcl is called */
void tclwait_init(struct Tcl_Interp *interp);

#endif
