/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Reading kernel memory with three small BPF programs, written as instructions here: nothing is compiled at run time and no
 * header of the running kernel is needed.
 *
 * gather: for each address of the request map, bpf_probe_read_kernel() into the result map. chase: the same along a linked
 * list. task: the calling thread's task_struct. Both maps are arrays of one element mapped into this process, so the
 * answer needs no further system call. Programs are of type SYSCALL (5.14), else RAW_TRACEPOINT run by BPF_PROG_RUN (5.10);
 * they take their arguments from the context and write only to the maps, so that the same instructions serve as both.
 */
#include "kvmback/kernel/kmem.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define OUT_SIZE (KMEM_CHUNK + KMEM_CHUNK)

/* The request map: addresses in, 0 or a negative errno for each out; then the end of a chase and its count. */
struct request {
	uint64_t addr[KMEM_GATHER];
	uint64_t end, count;
};

/* Contexts, as eight-byte words. */
struct gather_args {
	uint64_t n, len;
};
struct chase_args {
	uint64_t first, stop, max, size, node, next;
};

struct kmem_bpf {
	struct kmem m;
	enum kmem_bpf_type type;
	bool ahead; /* by kmem_bpf_prepare() */
	int out_fd, req_fd, gather_fd, chase_fd, task_fd;
	uint8_t *out;
	struct request *req;
};

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 };

#define INSN(c, d, s, o, i) ((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_I(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD(d, s) INSN(BPF_ALU64 | BPF_ADD | BPF_X, d, s, 0, 0)
#define ADD_I(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define SUB(d, s) INSN(BPF_ALU64 | BPF_SUB | BPF_X, d, s, 0, 0)
#define SHL_I(d, i) INSN(BPF_ALU64 | BPF_LSH | BPF_K, d, 0, 0, i)
#define LOAD(d, s, o) INSN(BPF_LDX | BPF_MEM | BPF_DW, d, s, o, 0)
#define STORE(d, o, s) INSN(BPF_STX | BPF_MEM | BPF_DW, d, s, o, 0)
#define JMP(op, d, s, o) INSN(BPF_JMP | (op) | BPF_X, d, s, o, 0)
#define JMP_I(op, d, i, o) INSN(BPF_JMP | (op) | BPF_K, d, 0, o, i)
#define GOTO(o) INSN(BPF_JMP | BPF_JA, 0, 0, o, 0)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_##f)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Two instructions: the address of a map's value. */
#define MAP(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_VALUE, 0, fd), INSN(0, 0, 0, 0, 0)

bool kmem_locked_down(void)
{
	char lock[64] = "";
	FILE *f = fopen("/sys/kernel/security/lockdown", "re");

	if (f) {
		if (!fgets(lock, sizeof(lock), f))
			lock[0] = '\0';
		fclose(f);
	}
	return strstr(lock, "[confidentiality]");
}

static int explain_load(struct err *e, int errnum, const char *what)
{
	if (kmem_locked_down())
		return err_set(e, -EPERM,
			       "read kernel memory" WHY "this kernel is locked down (confidentiality)" TRY
			       "a boot with lockdown=integrity or none, or the soft backend (-b soft)");
	if (errnum == EPERM || errnum == EACCES)
		return err_set(
		    e, -EPERM,
		    "read kernel memory" WHY "%s: no CAP_BPF and CAP_PERFMON" TRY
		    "sudo; or setcap cap_bpf,cap_perfmon+ep on the program, which leaves gpa2hpa, catch fault and "
		    "catch mmu to sudo",
		    what);
	if (errnum == ENOSYS || errnum == EINVAL)
		return err_set(e, -ENOTSUP,
			       "read kernel memory" WHY
			       "%s: this kernel's bpf() cannot do it (%s); 5.10 or later with CONFIG_BPF_SYSCALL "
			       "and CONFIG_BPF_EVENTS can" TRY "the soft backend (-b soft)",
			       what, strerror(errnum));
	return err_errno(e, errnum, "read kernel memory" WHY "%s" TRY "info kvm for what this host can do", what);
}

static int load(const struct kmem_bpf *b, const struct bpf_insn *p, size_t n, const char *name, int *fd)
{
	LIBBPF_OPTS(bpf_prog_load_opts, sleepable, .prog_flags = BPF_F_SLEEPABLE);
	int first = -EINVAL;

	if (b->type != KMEM_BPF_RAW_TRACEPOINT) {
		first = *fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, name, "GPL", p, n, &sleepable);
		if (*fd >= 0 || b->type == KMEM_BPF_SYSCALL)
			return *fd < 0 ? *fd : 0;
	}
	*fd = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, name, "GPL", p, n, NULL);
	if (*fd >= 0)
		return 0;
	return first == -EINVAL ? *fd : first;
}

/* r6 args, r7 i, r8 offset in the result, r9 len. */
static int load_gather(struct kmem_bpf *b)
{
	const struct bpf_insn p[] = {
	    /*  0 */ MOV(R6, R1),
	    /*  1 */ MOV_I(R7, 0),
	    /*  2 */ MOV_I(R8, 0),
	    /*  3 */ LOAD(R9, R6, offsetof(struct gather_args, len)),
	    /*  4 */ JMP_I(BPF_JGT, R9, KMEM_CHUNK, 22),
	    /*  5 */ JMP_I(BPF_JEQ, R9, 0, 21),
	    /*  6 loop */ JMP_I(BPF_JGE, R7, KMEM_GATHER, 20),
	    /*  7 */ LOAD(R1, R6, offsetof(struct gather_args, n)),
	    /*  8 */ JMP(BPF_JGE, R7, R1, 18),
	    /*  9 */ JMP_I(BPF_JGT, R8, KMEM_CHUNK, 17),
	    /* 10 */ MAP(R1, b->req_fd),
	    /* 12 */ MOV(R2, R7),
	    /* 13 */ SHL_I(R2, 3),
	    /* 14 */ ADD(R1, R2),
	    /* 15 */ STORE(R10, -8, R1),
	    /* 16 */ LOAD(R3, R1, 0),
	    /* 17 */ MAP(R1, b->out_fd),
	    /* 19 */ ADD(R1, R8),
	    /* 20 */ MOV(R2, R9),
	    /* 21 */ CALL(probe_read_kernel),
	    /* 22 */ LOAD(R1, R10, -8),
	    /* 23 */ STORE(R1, 0, R0),
	    /* 24 */ ADD(R8, R9),
	    /* 25 */ ADD_I(R7, 1),
	    /* 26 */ GOTO(-21),
	    /* 27 end */ MOV_I(R0, 0),
	    /* 28 */ EXIT(),
	};
	return load(b, p, ARRAY_LEN(p), "kvmscope_gather", &b->gather_fd);
}

/* r6 args, r7 count, r8 offset in the result, r9 node. */
static int load_chase(struct kmem_bpf *b)
{
	const struct bpf_insn p[] = {
	    /*  0 */ MOV(R6, R1),
	    /*  1 */ MOV_I(R7, 0),
	    /*  2 */ MOV_I(R8, 0),
	    /*  3 */ LOAD(R9, R6, offsetof(struct chase_args, first)),
	    /*  4 loop */ JMP_I(BPF_JGE, R7, KMEM_GATHER, 28),
	    /*  5 */ LOAD(R1, R6, offsetof(struct chase_args, max)),
	    /*  6 */ JMP(BPF_JGE, R7, R1, 26),
	    /*  7 */ LOAD(R1, R6, offsetof(struct chase_args, stop)),
	    /*  8 */ JMP(BPF_JEQ, R9, R1, 24),
	    /*  9 */ JMP_I(BPF_JEQ, R9, 0, 23),
	    /* 10 */ JMP_I(BPF_JGT, R8, KMEM_CHUNK, 22),
	    /* 11 */ LOAD(R2, R6, offsetof(struct chase_args, size)),
	    /* 12 */ JMP_I(BPF_JGT, R2, KMEM_ITEM_MAX, 20),
	    /* 13 */ JMP_I(BPF_JEQ, R2, 0, 19),
	    /* 14 */ MAP(R1, b->out_fd),
	    /* 16 */ ADD(R1, R8),
	    /* 17 */ STORE(R10, -8, R1),
	    /* 18 */ STORE(R10, -16, R2),
	    /* 19 */ MOV(R3, R9),
	    /* 20 */ LOAD(R4, R6, offsetof(struct chase_args, node)),
	    /* 21 */ SUB(R3, R4),
	    /* 22 */ CALL(probe_read_kernel),
	    /* 23 */ JMP_I(BPF_JNE, R0, 0, 9),
	    /* 24 */ LOAD(R2, R6, offsetof(struct chase_args, next)),
	    /* 25 */ JMP_I(BPF_JGT, R2, KMEM_ITEM_MAX, 7),
	    /* 26 */ LOAD(R1, R10, -8),
	    /* 27 */ ADD(R1, R2),
	    /* 28 */ LOAD(R9, R1, 0),
	    /* 29 */ LOAD(R2, R10, -16),
	    /* 30 */ ADD(R8, R2),
	    /* 31 */ ADD_I(R7, 1),
	    /* 32 */ GOTO(-29),
	    /* 33 end */ MAP(R1, b->req_fd),
	    /* 35 */ STORE(R1, offsetof(struct request, end), R9),
	    /* 36 */ STORE(R1, offsetof(struct request, count), R7),
	    /* 37 */ MOV_I(R0, 0),
	    /* 38 */ EXIT(),
	};
	return load(b, p, ARRAY_LEN(p), "kvmscope_chase", &b->chase_fd);
}

static int load_task(struct kmem_bpf *b)
{
	const struct bpf_insn p[] = {
	    CALL(get_current_task), MAP(R1, b->req_fd), STORE(R1, 0, R0), MOV_I(R0, 0), EXIT(),
	};
	return load(b, p, ARRAY_LEN(p), "kvmscope_task", &b->task_fd);
}

static int run(int prog, const void *args, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = args, .ctx_size_in = (__u32)size);

	return bpf_prog_test_run_opts(prog, &o);
}

static int bpf_gather(struct kmem *m, const uint64_t *addr, size_t n, size_t len, void *buf, bool *ok)
{
	struct kmem_bpf *b = CONTAINER_OF(m, struct kmem_bpf, m);
	struct gather_args args = {n, len};
	int rc;

	memcpy(b->req->addr, addr, n * sizeof(*addr));
	rc = run(b->gather_fd, &args, sizeof(args));
	if (rc < 0)
		return rc;
	memcpy(buf, b->out, n * len);
	for (size_t i = 0; i < n; i++) {
		int64_t why = (int64_t)b->req->addr[i];

		/* A lockdown refuses every read by itself. */
		if (why < 0 && why > -4096 && why != -EFAULT)
			return (int)why;
		ok[i] = !why;
		if (!ok[i])
			memset((char *)buf + i * len, 0, len);
	}
	return 0;
}

static int bpf_read(struct kmem *m, uint64_t addr, void *buf, size_t len)
{
	bool ok;
	int rc = bpf_gather(m, &addr, 1, len, buf, &ok);

	return rc < 0 ? rc : ok ? 0 : -EFAULT;
}

static int bpf_chase(struct kmem *m, const struct kmem_list *l, size_t max, void *buf, size_t *n, uint64_t *end)
{
	struct kmem_bpf *b = CONTAINER_OF(m, struct kmem_bpf, m);
	struct chase_args args = {l->first, l->stop, max, l->size, l->node, l->next};
	int rc = run(b->chase_fd, &args, sizeof(args));

	if (rc < 0)
		return rc;
	*n = b->req->count <= max ? b->req->count : max;
	*end = b->req->end;
	memcpy(buf, b->out, *n * l->size);
	return 0;
}

static int bpf_task(struct kmem *m, uint64_t *task)
{
	struct kmem_bpf *b = CONTAINER_OF(m, struct kmem_bpf, m);
	struct gather_args args = {0, 0};
	int rc = run(b->task_fd, &args, sizeof(args));

	if (rc >= 0)
		*task = b->req->addr[0];
	return rc;
}

static void bpf_close_all(struct kmem *m)
{
	struct kmem_bpf *b = CONTAINER_OF(m, struct kmem_bpf, m);
	const int fds[] = {b->out_fd, b->req_fd, b->gather_fd, b->chase_fd, b->task_fd};

	if (b->out)
		munmap(b->out, OUT_SIZE);
	if (b->req)
		munmap(b->req, sizeof(*b->req));
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(b);
}

static void bpf_close(struct kmem *m);

static const struct kmem_ops bpf_ops = {
    .read = bpf_read, .gather = bpf_gather, .chase = bpf_chase, .task = bpf_task, .close = bpf_close};

static int make_map(const char *name, size_t size, int *fd, void **at)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
	void *p;

	*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), (__u32)size, 1, &o);
	if (*fd < 0)
		return *fd;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*at = p;
	return 0;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level, (void)fmt, (void)ap;
	return 0;
}

static int open_reader(enum kmem_bpf_type type, struct kmem_bpf **out, struct err *e)
{
	struct kmem_bpf *b = calloc(1, sizeof(*b));
	const char *what = "BPF map";
	int rc;

	if (!b)
		return err_nomem(e, "kernel reader");
	libbpf_set_print(quiet);
	b->m.ops = &bpf_ops;
	b->type = type;
	b->out_fd = b->req_fd = b->gather_fd = b->chase_fd = b->task_fd = -1;
	rc = make_map("kvmscope_out", OUT_SIZE, &b->out_fd, (void **)&b->out);
	if (!rc)
		rc = make_map("kvmscope_req", sizeof(*b->req), &b->req_fd, (void **)&b->req);
	if (!rc) {
		what = "BPF program";
		rc = load_gather(b);
	}
	if (!rc)
		rc = load_chase(b);
	if (!rc)
		rc = load_task(b);
	if (rc < 0) {
		bpf_close_all(&b->m);
		return explain_load(e, -rc, what);
	}
	*out = b;
	return 0;
}

/* ---- opened ahead: a VM's, and that of the VM that `load` makes before the old one goes */

static _Atomic(struct kmem_bpf *) prepared[2];

static struct kmem_bpf *take_prepared(void)
{
	struct kmem_bpf *b = NULL;

	for (size_t i = 0; !b && i < ARRAY_LEN(prepared); i++)
		b = atomic_exchange(&prepared[i], NULL);
	return b;
}

static bool give_back(struct kmem_bpf *b)
{
	for (size_t i = 0; i < ARRAY_LEN(prepared); i++) {
		struct kmem_bpf *none = NULL;

		if (atomic_compare_exchange_strong(&prepared[i], &none, b))
			return true;
	}
	return false;
}

void kmem_bpf_prepare(void)
{
	for (size_t i = 0; i < ARRAY_LEN(prepared); i++) {
		struct kmem_bpf *b;

		if (open_reader(KMEM_BPF_ANY, &b, NULL))
			return;
		b->ahead = true;
		(void)give_back(b);
	}
}

bool kmem_bpf_runs(void)
{
	struct kmem_bpf *b = take_prepared();
	uint64_t task;

	if (!b)
		return true;
	bool runs = bpf_task(&b->m, &task) >= 0;
	(void)give_back(b);
	return runs;
}

static void bpf_close(struct kmem *m)
{
	struct kmem_bpf *b = CONTAINER_OF(m, struct kmem_bpf, m);

	if (!b->ahead || !give_back(b))
		bpf_close_all(m);
}

int kmem_bpf_open(enum kmem_bpf_type type, struct kmem **out, struct err *e)
{
	struct kmem_bpf *b = type == KMEM_BPF_ANY ? take_prepared() : NULL;
	int rc = b ? 0 : open_reader(type, &b, e);

	if (rc)
		return rc;
	b->m.reads = b->m.bytes = b->m.calls = 0;
	*out = &b->m;
	return 0;
}
