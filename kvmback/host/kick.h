/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The signal that gets a thread out of KVM_RUN, and who takes it.
 */
#ifndef KVMSCOPE_KVMBACK_KICK_H
#define KVMSCOPE_KVMBACK_KICK_H

#include <signal.h>

/* None of the queued ones: those get lost where the user has too many of them pending. */
#define KICK_SIGNAL SIGURG
void kick_init(void);	 /* install the handler; the debugger's thread takes the signal too */
void kick_unblock(void); /* in a thread that does nothing but call KVM_RUN: that signal and no other */

#endif
