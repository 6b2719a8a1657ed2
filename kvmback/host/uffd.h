/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The one userfaultfd of a VM, on the guest's views of its slots: pages that are missing there though they exist (minor
 * faults) and pages that may not be written. Used by fault stepping (fault.c) and by page watchpoints (armed.c). Opened when
 * first needed; closing it ends every registration and lets every waiter go, which the kernel does for a killed process.
 * Source: Linux Documentation/admin-guide/mm/userfaultfd.rst.
 */
#ifndef KVMSCOPE_KVMBACK_UFFD_H
#define KVMSCOPE_KVMBACK_UFFD_H

#include <sys/types.h>

#include "core/base/err.h"

struct uffd {
	int fd;	      /* -1: not open */
	unsigned gen; /* raised by each close: what was armed before is armed no more */
};

/* NULL if userfaultfd can do it here; else why not, and uffd_next_step() says what to do. */
const char *uffd_why(void);
const char *uffd_next_step(void);

void uffd_init(struct uffd *u);
/* Open it if it is not. what: for the error. -EPERM, -EINVAL (no minor faults or no write protection of shmem) … */
int uffd_open(struct uffd *u, const char *what, struct err *e) MUST_USE;
void uffd_close(struct uffd *u);

/* Register [hva, hva+len), whole pages, for these and for nothing else: 0 or a negative errno. Ending a registration for
 * write protection takes every page of it out of the shadow tables; that for minor faults does not. */
#define UFFD_PROTECT 1u
#define UFFD_MINOR 2u
int uffd_register(struct uffd *u, uint64_t hva, uint64_t len, unsigned modes) MUST_USE;
/* Write-protect pages, or allow writes and wake who waits. Pages that are not there are protected as well. */
int uffd_protect(struct uffd *u, uint64_t hva, uint64_t len, bool on) MUST_USE;
/* Map the page that exists but is missing here, protected or not, and wake who waits. */
void uffd_continue(struct uffd *u, uint64_t hva, bool protect);

struct uffd_fault {
	uint64_t hva; /* of the page */
	pid_t tid;
	bool protect; /* a write to a protected page; else the page is missing */
};
/* Whoever waits for the page looks again. */
void uffd_wake(struct uffd *u, uint64_t hva);
/* The next fault that waits; false if there is none. Never blocks. */
bool uffd_next(struct uffd *u, struct uffd_fault *out);

#endif
