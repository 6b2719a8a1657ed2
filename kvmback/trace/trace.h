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
#include "core/run/stage.h"

struct trace;
struct recorded; /* one thread's ring */

/* Prepare. -ENOENT: no tracefs or no kvm events; -EACCES, -EPERM: not allowed; each says what would help. */
int trace_open(struct trace **out, struct err *e) MUST_USE;
/* The same for these stages only (n of them, of system kvmmmu; STAGE_NONE: a guest's guest is entered or left), and of those
 * what the kernel's filter lets through ("gfn >=
 * 1
 * && gfn <= 2"). With wake a thread that records something is sent SIGIO, which makes it leave KVM_RUN before it enters the
 * guest again. -EINVAL: the filter, or none of the stages is traced here. */
int trace_open_some(struct trace **out, const enum stage *stages, size_t n, const char *filter, bool wake,
		    struct err *e) MUST_USE;
/* Formats may be there to read where recording is not allowed: -EACCES, -EPERM, -EMFILE. */
int trace_may_record(const struct trace *t, struct err *e) MUST_USE;
void trace_close(struct trace *t); /* NULL is fine */
/* Record this thread from now on; one that is recorded already stays so. From any thread. */
void trace_thread(struct trace *t, pid_t tid);
/* Its ring; NULL if it is not recorded (why: *error, a positive errno, where error is not NULL). */
struct recorded *trace_ring(struct trace *t, pid_t tid, int *error);
bool trace_news(const struct recorded *r); /* has anything come in that was not read? A few instructions. */

struct trace_event {
	uint64_t time; /* ns */
	enum stage stage;
	uint64_t gfn;
	bool gfn_known;
	unsigned level; /* 0 if it has none */
	pid_t tid;	/* the thread that it is of */
	bool gva_known; /* the beginning of a walk: for gva, an access with this error code */
	uint64_t gva, error;
	bool element; /* the entry that a walk has read at level: pte */
	uint64_t pte;
	bool interrupted; /* an exit that a signal made */
	uint32_t role;	  /* of the shadow page, where the event has one */
	uint64_t spte, sptep;
	uint64_t old_spte; /* of a change in the TDP MMU */
	unsigned as;
	uint64_t address; /* of a fault as KVM is told of it: a gva, with EPT and NPT a gpa; error is its code then */
	bool fetch;	  /* a walk for an instruction fetch: the emulator's, when inside a fault */
	bool begins;	  /* a fault's first event: kvm_page_fault, a walk */
	bool ends;	  /* a fault's last: emulation done, userspace exit */
	char detail[160];
};
/* Hand out what came in since the last call, in order of time over all threads. From the debugger's thread. */
void trace_read(struct trace *t, void (*fn)(void *arg, const struct trace_event *e), void *arg);
/* The same of one thread only; from that thread, or while it stands. fn may be NULL: they are thrown away. */
void trace_read_ring(struct trace *t, struct recorded *r, void (*fn)(void *arg, const struct trace_event *e), void *arg);
/* How many events were lost because the buffers were full. */
uint64_t trace_lost(const struct trace *t);

#endif
