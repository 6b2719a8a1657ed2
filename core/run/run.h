/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The only owner of who runs: the phase of a machine (core/run/phase.h), the thread that executes guest code, and the queue
 * by which whatever happens there reaches the client.
 *
 * The client is the thread that starts a job. Everything is delivered there and nowhere else, in the order in which it
 * happened: console bytes, calls (marks), the stop. A client that only waits lends its own thread (RUN_LENT, then
 * run_wait()): no thread is switched. A client with a terminal or a socket starts with RUN_RUNNER, polls run_fd() and calls
 * run_poll() when it is readable. A run in which a vCPU may stand still inside a fault is made by the runner either way,
 * since somebody has to look around meanwhile.
 *
 * This knows nothing of machines: a backend gives enter, kick and park by struct run_ops.
 */
#ifndef KVMSCOPE_CORE_RUN_RUN_H
#define KVMSCOPE_CORE_RUN_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/lock.h"
#include "core/run/phase.h"
#include "core/run/progress.h"
#include "core/run/stop.h"

/* RUN_STEP executes exactly one instruction (an instruction with a REP prefix: one iteration, as hardware) on vcpu, count
 * times, the others standing still, and stops early for anything but a step. RUN_CONTINUE lets all vCPUs go until one stops.
 * RUN_STAGE takes the fault that a vCPU stands in to its next stage; if none does it is RUN_CONTINUE. RUN_REPLAY runs what
 * has run before as it ran, its console silent, up to a position, where it ends with STOP_NONE. */
enum run_kind { RUN_CONTINUE, RUN_STEP, RUN_STAGE, RUN_REPLAY };

struct run_job {
	enum run_kind kind;
	unsigned vcpu;
	uint64_t count;	   /* RUN_STEP */
	uint64_t position; /* RUN_REPLAY: where it ends (machine_position()) */
	bool stops;	   /* RUN_REPLAY: stop at plants and catches too, which it passes over otherwise */
	/* A bit for each vCPU whose execution plants at its present address have been asked already, so that it runs over
	 * them; without it a plant there is reported before the vCPU executes anything. On return the bits of those that
	 * executed something are clear. */
	uint64_t passed;
	bool quiet; /* set by run.c: nobody is to stand still in a fault of this run */
};
#define RUN_PASSED_ALL UINT64_MAX

/* How a vCPU that stands inside a fault goes on. */
enum run_release {
	RUN_RELEASE_NONE,
	RUN_RELEASE_STAGE,   /* to the fault's next stage */
	RUN_RELEASE_FAULT,   /* through the rest of this fault without standing still */
	RUN_RELEASE_ABANDON, /* out of it with the instruction still to come; the run ends */
};

struct run_ops {
	/* Run on the calling thread until something stops; *out and job->passed are filled. An error: nothing ran, or the
	 * host failed. Ends with STOP_INTERRUPTED when run_asked(). */
	int (*enter)(void *ctx, struct run_job *job, struct stop *out, struct err *e);
	/* Whoever executes guest code looks at run_asked() soon. Any thread, async-signal-safe. */
	void (*kick)(void *ctx);
	/* O: the client's thread waits inside enter for vCPUs of other threads: have it call run_serve(). Any thread. */
	void (*nudge)(void *ctx);
	/* O: first thing on the runner's thread. */
	void (*thread_begin)(void *ctx);
	/* O: could a vCPU stand still inside a fault of a run that begins now? */
	bool (*may_park)(void *ctx, const struct run_job *job);
	/* O: does the runner alone wait for the client at each stage, so that one CPU serves both best? */
	bool (*near)(void *ctx);
	/* O, on the client's thread: before a run of the runner's, and behind it; parks: a vCPU may stand still in it.
	 * begin's error: nothing runs. */
	int (*runner_begin)(void *ctx, const struct run_job *job, bool parks, struct err *e);
	void (*runner_end)(void *ctx, const struct stop *stop, bool parks);
	/* O: who parks in the kernel is told by a descriptor, and seen by park_look() on the client's thread: true with *out
	 * filled if a vCPU stands still now. -1: none. Without them a vCPU's own thread calls run_park(). */
	int (*park_fd)(void *ctx);
	bool (*park_look)(void *ctx, struct stop *out);
	/* With park_fd: let it go on. ABANDON: kick it first, so that it comes out before its instruction. */
	void (*release)(void *ctx, enum run_release how);
	/* O, with park_fd: an abandoned vCPU may have finished its instruction all the same: then that was the step. */
	bool (*abandoned_late)(void *ctx, const struct run_job *next, struct stop *stop);
};

enum run_where { RUN_LENT, RUN_RUNNER };
enum run_park_state { PARK_NONE, PARK_POSTED, PARK_TAKEN };

#define RUN_STALLS_MAX 4
struct run_queue {
	struct lock lock;
	pthread_cond_t room; /* a waiter's call was made, or bytes were taken */
	int fd;		     /* eventfd: readable while there is something */
	atomic_bool news;    /* something was put in since it was last emptied */
	char *bytes;	     /* console, in order */
	size_t n_bytes;
	struct stall stall[RUN_STALLS_MAX]; /* to be told */
	unsigned n_stalls;
	struct run_queue_call {
		void (*fn)(void *ctx);
		void *ctx;
	} call;	     /* waits to be made on the client's thread, behind the bytes; fn NULL for none */
	bool ended;  /* the run is over: its result is struct run's */
	bool closed; /* teardown: nothing is kept any more and nobody waits */
};

struct run {
	const struct run_ops *ops;
	void *ctx;
	_Atomic(enum run_phase) phase;
	atomic_bool asked;
	bool (*interrupted)(void); /* run_ask_interrupted() */
	pthread_t client;	   /* valid with has_client */
	atomic_bool has_client;
	enum run_where where;
	atomic_bool lent; /* started, and waits for run_wait() to execute it */
	bool on_runner;	  /* the run under way is the runner's */
	bool parks;	  /* a vCPU may stand still in it */
	/* The run under way, and what came of it. */
	struct run_job job;
	struct stop stop;
	int rc;
	struct err err;
	/* What is to follow when a vCPU was released from a fault for it. */
	bool has_next;
	struct run_job next;
	enum run_release released;
	/* A vCPU's thread that stands still in run_park(), under queue.lock. */
	enum run_park_state park;
	struct stop park_stop;
	enum run_release park_release;
	unsigned parked_vcpu;
	/* The runner. */
	pthread_t thread;
	bool has_thread;
	int cpu; /* where the runner is kept; -1: anywhere */
	bool quit, go;
	pthread_cond_t wake; /* go or quit, under queue.lock */
	struct run_queue queue;
	/* Where console bytes go, on the client's thread. */
	void (*console)(void *ctx, const char *bytes, size_t n);
	void *console_ctx;
	/* Who is told that a run makes no progress, there too; NULL: nobody. */
	void (*stalled)(void *ctx, const struct stall *s);
	void *stalled_ctx;
	int epoll; /* run_fd(); -1: not asked for yet */
};

int run_init(struct run *r, const struct run_ops *ops, void *ctx, struct err *e) MUST_USE;
/* Whoever runs or stands in a fault is fetched out first; what it had to tell is dropped. Phase GONE. */
void run_close(struct run *r);
void run_deinit(struct run *r); /* after run_close(): frees */

static inline enum run_phase run_phase(const struct run *r)
{
	return atomic_load(&((struct run *)(uintptr_t)r)->phase);
}
static inline bool run_is_going(const struct run *r)
{
	enum run_phase p = run_phase(r);

	return p == RUN_GOING || p == RUN_STOPPING;
}

/* Begin a job; STOPPED or PARKED (which it leaves as the kind says: CONTINUE finishes the fault and goes on, STEP gives it
 * up and takes the instruction anew, STAGE goes to the next stage). With RUN_LENT the caller calls run_wait() next.
 * REPLAY needs STOPPED. -EBUSY in any other phase; other errors: nothing ran. */
int run_start(struct run *r, const struct run_job *job, enum run_where where, struct err *e) MUST_USE;
/* Until the stop, which is *out; what else happens is delivered meanwhile. */
int run_wait(struct run *r, struct stop *out, struct err *e) MUST_USE;
/* Deliver what there is. 1: the run stopped, *out says why; 0: it goes on; negative: the run failed. */
int run_poll(struct run *r, struct stop *out, struct err *e) MUST_USE;
/* Readable when run_poll() has something to do. Stays the same for the life of r; -1 if none can be had. */
int run_fd(struct run *r);
/* The job of the run that stopped last, with what has become of .passed. */
const struct run_job *run_last_job(const struct run *r);
/* Have the run under way, or the next one if none is, end with STOP_INTERRUPTED. Async-signal-safe, any thread. */
void run_interrupt(struct run *r);
static inline bool run_asked(const struct run *r)
{
	return atomic_load(&((struct run *)(uintptr_t)r)->asked);
}
/* Asked once when a run begins, when its phase is GOING already: true stops it. What came between the caller's last look and
 * that moment is not lost so. */
void run_ask_interrupted(struct run *r, bool (*interrupted)(void));
/* Leave the fault that a vCPU stands in, with the instruction still to come, and stop. Nothing if none does. */
void run_abandon(struct run *r);

/* ---- for backends */

/* Stand still inside a fault, from the thread that executes the vCPU, until the client lets it go on; how. */
enum run_release run_park(struct run *r, const struct stop *stop);
/* Have fn called on the client's thread, in order with the console, and wait for it. */
void run_call(struct run *r, void (*fn)(void *ctx), void *ctx);
/* Console bytes of the guest's: handed on at once on the client's thread, else queued (waits while the queue is full and a
 * client is there to empty it). */
void run_console(struct run *r, const char *bytes, size_t n);
/* A run makes no progress; what is too much to be kept for the client is dropped. */
void run_stalled(struct run *r, const struct stall *s);
/* On the client's thread while it executes a run that others have parts in: deliver what they queued. */
void run_serve(struct run *r);
/* Is this the client's thread, or is there none yet? */
bool run_on_client(const struct run *r);

#endif
