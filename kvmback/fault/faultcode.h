/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the error code of tracepoint kvm_page_fault says. With shadow tables it is a page fault's (Intel SDM volume 3,
 * "Page-fault exceptions"); with NPT that of exit code NPF, EXITINFO1 (AMD APM volume 2, "Nested paging"); with EPT the exit
 * qualification of an EPT violation (Intel SDM volume 3, "Exit qualification for EPT violations").
 */
#ifndef KVMSCOPE_KVMBACK_FAULTCODE_H
#define KVMSCOPE_KVMBACK_FAULTCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_format { FAULT_SHADOW, FAULT_NPT, FAULT_EPT };

/* Was it a table of the guest's that the processor's walk wanted to read, and not the page at its end? */
bool fault_code_is_walk(enum fault_format f, uint64_t code);
/* "write, user, not mapped, for a table of the walk". Cut to size. */
void fault_code_words(enum fault_format f, uint64_t code, char *out, size_t size);

#endif
