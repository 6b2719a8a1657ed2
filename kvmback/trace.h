/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kvm and kvmmmu tracepoints of one thread, as stages of a fault: what the kernel did between two places where a vCPU
 * can stand still. perf_event_open() for each event on the thread that runs the vCPU; event numbers and formats are read
 * through a detached tracefs (fsopen, fsmount), so nothing is mounted anywhere; libtraceevent decodes.
 */
#ifndef KVMSCOPE_KVMBACK_TRACE_H
#define KVMSCOPE_KVMBACK_TRACE_H

#include <sys/types.h>

#include "core/base/err.h"

struct trace;

/* Prepare. -ENOENT: no tracefs or no kvm events; -EACCES, -EPERM: not allowed; each says what would help. */
int trace_open(struct trace **out, struct err *e) MUST_USE;
void trace_close(struct trace *t); /* NULL is fine */
/* Record this thread from now on; one that is recorded already stays so. From any thread. */
void trace_thread(struct trace *t, pid_t tid);

struct trace_event {
	uint64_t time;	   /* ns */
	const char *stage; /* walk, accessed, dirty, guest-fault, fast-fault, shadow-page, spte, mmio-cache, mmio-match,
			      emulate, exit, unsync, sync, zap … */
	uint64_t gfn;
	bool gfn_known;
	unsigned level; /* 0 where it has none */
	pid_t tid;	/* the thread that it is of */
	bool gva_known; /* the beginning of a walk: for gva, an access with this error code */
	uint64_t gva, error;
	bool element; /* the entry that a walk has read at level: pte */
	uint64_t pte;
	bool interrupted; /* an exit that a signal made */
	bool fetch;	  /* a walk for an instruction fetch: the emulator's, when inside a fault */
	bool begins;	  /* a fault's first event: kvm_page_fault, a walk */
	bool ends;	  /* a fault's last: emulation done, userspace exit */
	char detail[160];
};
/* Hand out what came in since the last call, in order of time over all threads. From the debugger's thread. */
void trace_read(struct trace *t, void (*fn)(void *arg, const struct trace_event *e), void *arg);
/* How many events were lost because the buffers were full. */
uint64_t trace_lost(const struct trace *t);

#endif
