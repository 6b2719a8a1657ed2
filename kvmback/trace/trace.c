/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Tracepoints of vCPU threads as stages. Each recorded thread has one ring buffer; all its events are directed into it, so
 * they come in order. Sources: perf_event_open(2); Linux Documentation/trace/events.rst, fs/tracefs.
 */
#include "kvmback/trace/trace.h"

#include "core/base/lock.h"
#include "kvmback/kernel/kmem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <traceevent/event-parse.h>

#define RING_PAGES 64u
#define THREADS_MAX 64
#define FORMAT_MAX 65536

/* What an event means. gfn: the field that has it, shifted right; level: a field, or the role whose low bits are it. */
struct meaning {
	const char *system, *name;
	enum stage stage;
	const char *gfn;
	unsigned shift;
	const char *level;
	bool begins, ends;
	const char *fields; /* shown as "name value", separated by spaces */
};

static const struct meaning meanings[] = {
    {"kvm", "kvm_page_fault", STAGE_FAULT, NULL, 0, NULL, true, false, "fault_address error_code guest_rip"},
    {"kvmmmu", "kvm_mmu_pagetable_walk", STAGE_WALK, NULL, 0, NULL, true, false, "addr pferr"},
    {"kvmmmu", "kvm_mmu_paging_element", STAGE_WALK, NULL, 0, "level", false, false, "pte"},
    {"kvmmmu", "kvm_mmu_set_accessed_bit", STAGE_ACCESSED, "gpa", 12, NULL, false, false, "gpa"},
    {"kvmmmu", "kvm_mmu_set_dirty_bit", STAGE_DIRTY, "gpa", 12, NULL, false, false, "gpa"},
    {"kvmmmu", "kvm_mmu_walker_error", STAGE_GUEST_FAULT, NULL, 0, NULL, false, false, "pferr"},
    {"kvmmmu", "kvm_mmu_get_page", STAGE_SHADOW_PAGE, "gfn", 0, "role", false, false, "created root_count unsync"},
    {"kvmmmu", "kvm_mmu_spte_requested", STAGE_PAGE, "gfn", 0, "level", false, false, "pfn"},
    {"kvmmmu", "kvm_mmu_set_spte", STAGE_SPTE, "gfn", 0, "level", false, true, "spte sptep"},
    {"kvmmmu", "kvm_tdp_mmu_spte_changed", STAGE_TDP_SPTE, "gfn", 0, "level", false, false, "old_spte new_spte as_id"},
    {"kvmmmu", "fast_page_fault", STAGE_FAST_FAULT, NULL, 0, NULL, false, false, "cr2_or_gpa old_spte new_spte"},
    {"kvmmmu", "mark_mmio_spte", STAGE_MMIO_CACHE, "gfn", 0, NULL, false, false, "access gen"},
    {"kvmmmu", "handle_mmio_page_fault", STAGE_MMIO_MATCH, "gfn", 0, NULL, false, false, "addr access"},
    {"kvmmmu", "kvm_mmu_unsync_page", STAGE_UNSYNC, "gfn", 0, "role", false, false, ""},
    {"kvmmmu", "kvm_mmu_sync_page", STAGE_SYNC, "gfn", 0, "role", false, false, ""},
    {"kvmmmu", "kvm_mmu_prepare_zap_page", STAGE_ZAP, "gfn", 0, "role", false, false, ""},
    {"kvm", "vcpu_match_mmio", STAGE_MMIO_MATCH, "gpa", 12, NULL, false, false, "gva gpa write"},
    {"kvm", "kvm_emulate_insn", STAGE_EMULATE, NULL, 0, NULL, false, false, "rip"},
    {"kvm", "kvm_mmio", STAGE_MMIO, "gpa", 12, NULL, false, false, "gpa len val"},
    /* Of no fault: into and out of a nested guest, the first under the name of older kernels too. */
    {"kvm", "kvm_nested_vmenter", STAGE_NONE, NULL, 0, NULL, false, false, ""},
    {"kvm", "kvm_nested_vmrun", STAGE_NONE, NULL, 0, NULL, false, false, ""},
    {"kvm", "kvm_nested_vmexit_inject", STAGE_NONE, NULL, 0, NULL, false, false, ""},
    {"kvm", "kvm_userspace_exit", STAGE_EXIT, NULL, 0, NULL, false, true, "reason"},
};

struct recorded {
	pid_t tid;
	int fd[ARRAY_LEN(meanings)];
	struct perf_event_mmap_page *ring;
	size_t size;
};

struct trace {
	struct tep_handle *tep;
	const enum stage *stages; /* NULL: all; else n_stages of kvmmmu's */
	size_t n_stages;
	char *filter;
	bool wake;
	struct tep_event *event[ARRAY_LEN(meanings)];
	struct lock lock;
	struct recorded thread[THREADS_MAX];
	unsigned n_threads;
	uint64_t lost;
};

/* ---- formats */

static int tracefs_open(struct err *e)
{
	int fs = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC), dir = -1;

	if (fs >= 0 && !syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		dir = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	int saved = errno;
	util_closep(&fs);
	if (dir >= 0)
		return dir;
	dir = open("/sys/kernel/tracing", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* If it is mounted already, and ours to read; else the mount point is an empty or a closed folder. */
	if (dir >= 0 && faccessat(dir, "events", R_OK | X_OK, AT_EACCESS)) {
		close(dir);
		dir = -1;
	}
	return dir >= 0 ? dir
			: err_errno(e, saved,
				    "tracepoints" WHY "tracefs" TRY
				    "sudo (CAP_SYS_ADMIN), or a mounted tracefs that you may read");
}

static ssize_t read_format(int dir, const struct meaning *m, char *buf)
{
	char path[128];
	ssize_t n = 0, got = 1;

	snprintf(path, sizeof(path), "events/%s/%s/format", m->system, m->name);
	_cleanup_close_ int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (got > 0 && n < FORMAT_MAX) {
		got = read(fd, buf + n, (size_t)(FORMAT_MAX - n));
		n += got > 0 ? got : 0;
	}
	return n;
}

static bool asked_for(const struct trace *t, const struct meaning *m)
{
	if (!t->stages)
		return m->stage != STAGE_NONE;
	for (size_t i = 0; i < t->n_stages; i++)
		if ((!strcmp(m->system, "kvmmmu") || m->stage == STAGE_NONE) && m->stage == t->stages[i])
			return true;
	return false;
}

/* How many events there are; *error: why one could not be read, a positive errno. */
static unsigned parse_formats(struct trace *t, int dir, int *error)
{
	_cleanup_free_ char *buf = malloc(FORMAT_MAX);
	unsigned known = 0;

	*error = buf ? 0 : ENOMEM;

	for (unsigned i = 0; buf && i < ARRAY_LEN(meanings); i++) {
		if (!asked_for(t, &meanings[i]))
			continue;
		ssize_t n = read_format(dir, &meanings[i], buf);
		/* What libtraceevent cannot print it can still take apart: only the fields are used. */
		if (n < 0 && n != -ENOENT)
			*error = (int)-n;
		if (n > 0)
			(void)tep_parse_event(t->tep, buf, (unsigned long)n, meanings[i].system);
		t->event[i] = tep_find_event_by_name(t->tep, meanings[i].system, meanings[i].name);
		known += t->event[i] != NULL;
	}
	return known;
}

static int no_events(int error, struct err *e)
{
	if (kmem_locked_down())
		return err_set(e, -EPERM,
			       "tracepoints" WHY "this kernel is locked down (confidentiality): tracefs is empty" TRY
			       "a boot with lockdown=integrity or none");
	if (error)
		return err_errno(e, error,
				 "tracepoints" WHY "tracefs is there, its events/kvmmmu cannot be read" TRY
				 "sudo, or a tracefs mounted so that you may read it");
	return err_set(e, -ENOENT, "tracepoints" WHY "this kernel has none of KVM's" TRY "a kernel with CONFIG_TRACEPOINTS");
}

int trace_open(struct trace **out, struct err *e)
{
	return trace_open_some(out, NULL, 0, NULL, false, e);
}

int trace_open_some(struct trace **out, const enum stage *stages, size_t n, const char *filter, bool wake, struct err *e)
{
	_cleanup_close_ int dir = tracefs_open(e);
	struct trace *t;
	int error;

	if (dir < 0)
		return dir;
	t = calloc(1, sizeof(*t));
	if (t)
		t->tep = tep_alloc();
	if (t && filter)
		t->filter = strdup(filter);
	if (!t || !t->tep || (filter && !t->filter)) {
		if (t)
			tep_free(t->tep);
		free(t);
		return err_nomem(e, "tracepoints");
	}
	t->stages = stages;
	t->n_stages = n;
	t->wake = wake;
	tep_set_loglevel(TEP_LOG_NONE);
	lock_init(&t->lock, LOCK_TRACE);
	if (!parse_formats(t, dir, &error)) {
		trace_close(t);
		return no_events(error, e);
	}
	*out = t;
	return 0;
}

/* ---- threads */

/* Where the recording thread itself is to come out of the guest: SIGIO does not queue, however many events there are. */
static bool event_wakes(int fd, pid_t tid)
{
	struct f_owner_ex owner = {F_OWNER_TID, tid};

	return !fcntl(fd, F_SETOWN_EX, &owner) && !fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK);
}

static int event_prepare(const struct trace *t, int fd, pid_t tid)
{
	if (fd < 0)
		return fd;
	if ((t->filter && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, t->filter)) || (t->wake && !event_wakes(fd, tid))) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int event_open(const struct tep_event *ev, pid_t tid)
{
	struct perf_event_attr a = {.type = PERF_TYPE_TRACEPOINT,
				    .size = sizeof(a),
				    .config = (uint64_t)ev->id,
				    .sample_type = PERF_SAMPLE_RAW | PERF_SAMPLE_TIME | PERF_SAMPLE_TID,
				    .sample_period = 1,
				    .use_clockid = 1,
				    .clockid = CLOCK_MONOTONIC};

	return (int)syscall(SYS_perf_event_open, &a, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void recorded_close(struct recorded *r)
{
	if (r->ring)
		munmap(r->ring, r->size);
	for (unsigned i = 0; i < ARRAY_LEN(r->fd); i++)
		if (r->fd[i] >= 0)
			close(r->fd[i]);
}

/* The first event that opens owns the ring, the others are directed into it. */
static bool recorded_open(const struct trace *t, struct recorded *r, pid_t tid)
{
	int owner = -1;

	*r = (struct recorded){.tid = tid, .size = (RING_PAGES + 1) * (size_t)sysconf(_SC_PAGESIZE)};
	for (unsigned i = 0; i < ARRAY_LEN(meanings); i++) {
		r->fd[i] = t->event[i] ? event_prepare(t, event_open(t->event[i], tid), tid) : -1;
		if (r->fd[i] < 0)
			continue;
		if (owner >= 0) {
			(void)ioctl(r->fd[i], PERF_EVENT_IOC_SET_OUTPUT, owner);
			continue;
		}
		owner = r->fd[i];
		void *ring = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, owner, 0);
		r->ring = ring == MAP_FAILED ? NULL : ring;
	}
	return r->ring;
}

int trace_may_record(const struct trace *t, struct err *e)
{
	_cleanup_close_ int fd = -1;

	for (unsigned i = 0; fd < 0 && i < ARRAY_LEN(meanings); i++)
		if (t->event[i]) {
			fd = event_open(t->event[i], gettid());
			if (fd < 0)
				return err_errno(e, errno,
						 "tracepoints" WHY "perf_event_open of KVM's" TRY
						 "sudo, or CAP_PERFMON and kernel.perf_event_paranoid at most 2");
		}
	return 0;
}

struct recorded *trace_ring(struct trace *t, pid_t tid, int *error)
{
	struct recorded *found = NULL;

	LOCK_SCOPE(&t->lock);
	errno = ENOSPC;
	for (unsigned i = 0; i < t->n_threads; i++)
		if (t->thread[i].tid == tid)
			found = &t->thread[i];
	if (!found && t->n_threads < THREADS_MAX) {
		struct recorded *r = &t->thread[t->n_threads];
		errno = ENOENT;
		if (recorded_open(t, r, tid)) {
			t->n_threads++;
			found = r;
		}
		int why = errno;
		if (!found)
			recorded_close(r);
		errno = why;
	}
	if (error)
		*error = found ? 0 : errno;
	return found;
}

void trace_thread(struct trace *t, pid_t tid)
{
	(void)trace_ring(t, tid, NULL);
}

bool trace_news(const struct recorded *r)
{
	return __atomic_load_n(&r->ring->data_head, __ATOMIC_RELAXED) !=
	       __atomic_load_n(&r->ring->data_tail, __ATOMIC_RELAXED);
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n_threads; i++)
		recorded_close(&t->thread[i]);
	tep_free(t->tep);
	free(t->filter);
	lock_destroy(&t->lock);
	free(t);
}

/* ---- reading */

struct sample {
	struct perf_event_header head;
	uint32_t pid, tid;
	uint64_t time;
	uint32_t size;
	uint8_t raw[4096];
};

static uint64_t number(struct tep_event *ev, const char *name, size_t len, struct tep_record *rec, bool *ok)
{
	char field[64];
	unsigned long long v = 0;

	snprintf(field, sizeof(field), "%.*s", (int)len, name);
	*ok = !tep_get_field_val(NULL, ev, field, rec, &v, 0);
	return v;
}

static void describe(struct tep_event *ev, const struct meaning *m, struct tep_record *rec, struct trace_event *out)
{
	size_t n = 0;

	for (const char *p = m->fields; *p && n < sizeof(out->detail) - 1;) {
		size_t len = strcspn(p, " ");
		bool ok;
		uint64_t v = number(ev, p, len, rec, &ok);
		if (ok)
			n += (size_t)snprintf(out->detail + n, sizeof(out->detail) - n, "%s%.*s %#llx", n ? ", " : "",
					      (int)len, p, (unsigned long long)v);
		p += len;
		p += *p == ' ';
	}
}

static void decode_walk(struct tep_event *ev, const struct meaning *m, struct tep_record *rec, struct trace_event *out)
{
	if (m->begins) {
		out->gva = number(ev, "addr", 4, rec, &out->gva_known);
		out->error = number(ev, "pferr", 5, rec, &(bool){false});
		out->fetch = out->error & 0x10;
	} else {
		out->pte = number(ev, "pte", 3, rec, &out->element);
	}
}

/* Whose address it is, a gva or a gpa, depends on the MMU. */
static void decode_fault(struct tep_event *ev, struct tep_record *rec, struct trace_event *out)
{
	out->address = number(ev, "fault_address", 13, rec, &(bool){false});
	out->error = number(ev, "error_code", 10, rec, &(bool){false});
}

static void decode_tdp_spte(struct tep_event *ev, struct tep_record *rec, struct trace_event *out)
{
	out->spte = number(ev, "new_spte", 8, rec, &(bool){false});
	out->old_spte = number(ev, "old_spte", 8, rec, &(bool){false});
	out->as = (unsigned)number(ev, "as_id", 5, rec, &(bool){false});
}

static bool decode(const struct trace *t, const struct sample *s, struct trace_event *out)
{
	struct tep_record rec = {.data = (void *)(uintptr_t)s->raw, .size = (int)s->size};
	bool ok;
	uint16_t id;

	memcpy(&id, s->raw, sizeof(id));
	for (unsigned i = 0; i < ARRAY_LEN(meanings); i++) {
		const struct meaning *m = &meanings[i];
		struct tep_event *ev = t->event[i];
		if (!ev || ev->id != id)
			continue;
		*out = (struct trace_event){
		    .time = s->time, .stage = m->stage, .begins = m->begins, .ends = m->ends, .tid = (pid_t)s->tid};
		if (m->gfn)
			out->gfn = number(ev, m->gfn, strlen(m->gfn), &rec, &out->gfn_known) >> m->shift;
		if (m->level)
			out->level = (unsigned)number(ev, m->level, strlen(m->level), &rec, &ok) & 15;
		if (m->stage == STAGE_WALK)
			decode_walk(ev, m, &rec, out);
		if (m->stage == STAGE_FAULT)
			decode_fault(ev, &rec, out);
		if (m->stage == STAGE_FAST_FAULT) /* it is over if it has changed the entry, else the slow way follows */
			out->ends = number(ev, "old_spte", 8, &rec, &ok) != number(ev, "new_spte", 8, &rec, &ok);
		if (m->stage == STAGE_TDP_SPTE)
			decode_tdp_spte(ev, &rec, out);
		if (m->stage == STAGE_EXIT)
			out->interrupted = number(ev, "reason", 6, &rec, &ok) == KVM_EXIT_INTR;
		if (m->level && !strcmp(m->level, "role"))
			out->role = (uint32_t)number(ev, "role", 4, &rec, &ok);
		if (m->stage == STAGE_SPTE) {
			out->spte = number(ev, "spte", 4, &rec, &ok);
			out->sptep = number(ev, "sptep", 5, &rec, &ok);
		}
		describe(ev, m, &rec, out);
		return true;
	}
	return false;
}

/* Copy len bytes at position pos of the ring, which wraps. */
static void ring_copy(const struct recorded *r, uint64_t pos, void *to, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = RING_PAGES * page, at = pos % size;
	const uint8_t *data = (const uint8_t *)r->ring + page;
	size_t first = len < size - at ? len : size - at;

	memcpy(to, data + at, first);
	memcpy((uint8_t *)to + first, data, len - first);
}

/* The record at *pos; false if none is left or it is damaged (then the rest is skipped). */
static bool ring_next(struct trace *t, struct recorded *r, uint64_t *pos, uint64_t head, struct sample *s)
{
	while (*pos + sizeof(s->head) <= head) {
		ring_copy(r, *pos, &s->head, sizeof(s->head));
		size_t size = s->head.size;
		if (size < sizeof(s->head) || *pos + size > head) {
			*pos = head;
			return false;
		}
		uint64_t at = *pos + sizeof(s->head);
		*pos += size;
		if (s->head.type == PERF_RECORD_LOST) {
			uint64_t lost[2] = {0};
			if (size >= sizeof(s->head) + sizeof(lost))
				ring_copy(r, at, lost, sizeof(lost));
			t->lost += lost[1];
		}
		if (s->head.type != PERF_RECORD_SAMPLE || size < sizeof(s->head) + 20)
			continue;
		ring_copy(r, at, &s->pid, 4);
		ring_copy(r, at + 4, &s->tid, 4);
		ring_copy(r, at + 8, &s->time, 8);
		ring_copy(r, at + 16, &s->size, 4);
		if (s->size > sizeof(s->raw) || s->size + 20 + sizeof(s->head) > size || s->size < 2)
			continue;
		memset(s->raw, 0, sizeof(s->raw));
		ring_copy(r, at + 20, s->raw, s->size);
		return true;
	}
	return false;
}

struct batch {
	struct trace_event *v;
	size_t n, cap;
};

static void batch_push(struct batch *b, const struct trace_event *e)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 64;
		struct trace_event *v = realloc(b->v, cap * sizeof(*v));
		if (!v)
			return;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = *e;
}

static void read_thread(struct trace *t, struct recorded *r, struct batch *b)
{
	uint64_t head = __atomic_load_n(&r->ring->data_head, __ATOMIC_ACQUIRE),
		 pos = __atomic_load_n(&r->ring->data_tail, __ATOMIC_RELAXED);
	struct sample s;
	struct trace_event ev;

	while (ring_next(t, r, &pos, head, &s))
		if (decode(t, &s, &ev))
			batch_push(b, &ev);
	__atomic_store_n(&r->ring->data_tail, pos, __ATOMIC_RELEASE);
}

void trace_read_ring(struct trace *t, struct recorded *r, void (*fn)(void *arg, const struct trace_event *e), void *arg)
{
	struct batch b = {0};

	if (fn)
		read_thread(t, r, &b);
	else
		__atomic_store_n(&r->ring->data_tail, __atomic_load_n(&r->ring->data_head, __ATOMIC_ACQUIRE),
				 __ATOMIC_RELEASE);
	for (size_t i = 0; i < b.n; i++)
		fn(arg, &b.v[i]);
	free(b.v);
}

static int by_time(const void *a, const void *b)
{
	const struct trace_event *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

/* How many threads that was. */
static unsigned read_threads(struct trace *t, struct batch *b)
{
	LOCK_SCOPE(&t->lock);
	for (unsigned i = 0; i < t->n_threads; i++)
		read_thread(t, &t->thread[i], b);
	return t->n_threads;
}

void trace_read(struct trace *t, void (*fn)(void *arg, const struct trace_event *e), void *arg)
{
	struct batch b = {0};
	bool several = read_threads(t, &b) > 1;

	/* One thread's events are in order already; equal times must keep it. */
	if (several && b.n)
		qsort(b.v, b.n, sizeof(*b.v), by_time);
	for (size_t i = 0; i < b.n; i++)
		fn(arg, &b.v[i]);
	free(b.v);
}

uint64_t trace_lost(const struct trace *t)
{
	return t->lost;
}
