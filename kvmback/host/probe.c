/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which of KVM's debug facilities work on this host, found by trying each once in a scratch VM of 32 KiB: hardware where
 * everything does (VT-x, SVM), hosts where code at CPL0 is emulated and code at CPL3 runs natively without hardware help,
 * and what is between. The probe runs in a thread of its own, so that an instruction that never comes back from KVM_RUN is a
 * "does not work" after a while and not a hang. A few milliseconds, at the first run or `info kvm` of the process.
 */
#include "kvmback/host/kick.h"
#include "kvmback/host/uffd.h"
#include "kvmback/kvm.h"

#include "core/base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

/* The scratch VM's memory. All of it is mapped one to one, for users too. */
enum {
	SCRATCH_SIZE = 0x8000,
	AT_PML4 = 0x1000,
	AT_PDPT = 0x2000,
	AT_PD = 0x3000,
	AT_PT = 0x4000,
	AT_CODE = 0x5000,
	AT_IVT_CODE = 0x5800,
	AT_STACK = 0x7000,
	AT_DATA = 0x7800,
	AT_NOTHING = 0x9000, /* not mapped */
};
/* In the events before each question: what no question is about, so that a vector that KVM did not set is none. */
#define NO_VECTOR 31
#define PROBE_SECONDS 2

struct scratch {
	int vm, fd;
	size_t run_size;
	struct kvm_run *run;
	uint8_t *mem;
	struct kvm_sregs reset;
	struct strategy *st;
};

static void scratch_close(struct scratch *s)
{
	if (s->run)
		munmap(s->run, s->run_size);
	if (s->fd >= 0)
		close(s->fd);
	if (s->vm >= 0)
		close(s->vm);
	if (s->mem)
		munmap(s->mem, SCRATCH_SIZE);
}

static void scratch_fill(struct scratch *s)
{
	uint64_t *pt = (void *)(s->mem + AT_PT);
	uint16_t *ivt = (void *)s->mem;

	*(uint64_t *)(void *)(s->mem + AT_PML4) = AT_PDPT | PTE_P | PTE_W | PTE_U;
	*(uint64_t *)(void *)(s->mem + AT_PDPT) = AT_PD | PTE_P | PTE_W | PTE_U;
	*(uint64_t *)(void *)(s->mem + AT_PD) = AT_PT | PTE_P | PTE_W | PTE_U;
	for (unsigned i = 0; i < SCRATCH_SIZE >> PAGE_SHIFT; i++)
		pt[i] = (uint64_t)i << PAGE_SHIFT | PTE_P | PTE_W | PTE_U;
	for (unsigned v = 0; v < 32; v++)
		ivt[v * 2] = AT_IVT_CODE;
	/* nop: where HLT is emulated, the emulator sees breakpoints that the processor does not. hlt */
	s->mem[AT_IVT_CODE] = 0x90;
	s->mem[AT_IVT_CODE + 1] = 0xf4;
}

static int scratch_open(struct scratch *s, const struct kvm_host *host, struct err *e)
{
	struct kvm_userspace_memory_region r = {.memory_size = SCRATCH_SIZE};

	s->fd = -1;
	s->run_size = host->run_size;
	s->vm = ioctl(host->fd, KVM_CREATE_VM, 0);
	if (s->vm < 0)
		return err_errno(e, errno, "probe debug facilities" WHY "KVM_CREATE_VM" TRY "-b soft");
	void *mem = mmap(NULL, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return err_errno(e, errno, "probe debug facilities" WHY "mmap" TRY "less memory in use");
	s->mem = mem;
	scratch_fill(s);
	r.userspace_addr = (uintptr_t)mem;
	if (ioctl(s->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		return err_errno(e, errno, "probe debug facilities" WHY "KVM_SET_USER_MEMORY_REGION" TRY "-b soft");
	s->fd = ioctl(s->vm, KVM_CREATE_VCPU, 0);
	if (s->fd < 0)
		return err_errno(e, errno, "probe debug facilities" WHY "KVM_CREATE_VCPU" TRY "-b soft");
	void *run = mmap(NULL, host->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (run == MAP_FAILED)
		return err_errno(e, errno, "probe debug facilities" WHY "mmap of kvm_run" TRY "-b soft");
	s->run = run;
	if (ioctl(s->fd, KVM_SET_CPUID2, host->cpuid) < 0 || ioctl(s->fd, KVM_GET_SREGS, &s->reset) < 0)
		return err_errno(e, errno, "probe debug facilities" WHY "KVM_SET_CPUID2" TRY "-b soft");
	return 0;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, uint8_t dpl, bool l)
{
	return (struct kvm_segment){.limit = ~0u,
				    .selector = selector | dpl,
				    .type = type,
				    .present = 1,
				    .dpl = dpl,
				    .s = 1,
				    .l = l,
				    .db = !l,
				    .g = 1};
}

/* Registers for mode and CPL with an empty IDT (in real mode: the vector table at 0), rip at code, no debug facility on. */
static bool begin(struct scratch *s, enum run_mode mode, unsigned cpl, const char *code, size_t n)
{
	struct kvm_sregs k = s->reset;
	struct kvm_regs g = {.rip = AT_CODE, .rsp = AT_STACK, .rflags = RFLAGS_FIXED};
	struct kvm_guest_debug off = {0};
	struct kvm_vcpu_events none = {.exception.nr = NO_VECTOR};

	memset(s->mem + AT_CODE, 0x90, 64);
	memcpy(s->mem + AT_CODE, code, n);
	k.idt.limit = mode == RUN_REAL ? 0x3ff : 0;
	k.cs.base = k.cs.selector = 0;
	if (mode != RUN_REAL) {
		k.cs = flat(8, 11, cpl, mode == RUN_LONG);
		k.ss = k.ds = k.es = k.fs = k.gs = flat(16, 3, cpl, false);
		k.cr0 = CR0_PE | CR0_ET | CR0_NE | (mode == RUN_LONG ? CR0_PG : 0);
	}
	if (mode == RUN_LONG) {
		k.cr3 = AT_PML4;
		k.cr4 = CR4_PAE;
		k.efer = EFER_LME | EFER_LMA;
	}
	s->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	s->run->kvm_dirty_regs = 0;
	return !ioctl(s->fd, KVM_SET_GUEST_DEBUG, &off) && !ioctl(s->fd, KVM_SET_VCPU_EVENTS, &none) &&
	       !ioctl(s->fd, KVM_SET_SREGS, &k) && !ioctl(s->fd, KVM_SET_REGS, &g);
}

static bool debug_control(struct scratch *s, uint32_t control, uint64_t dr0, uint64_t dr7)
{
	struct kvm_guest_debug d = {.control = KVM_GUESTDBG_ENABLE | control};

	d.arch.debugreg[0] = dr0;
	d.arch.debugreg[7] = dr7;
	return !ioctl(s->fd, KVM_SET_GUEST_DEBUG, &d);
}

/* Run to an exit: its reason, or -1 if KVM_RUN failed or was kicked out. */
static int go(struct scratch *s)
{
	return ioctl(s->fd, KVM_RUN, 0) < 0 ? -1 : (int)s->run->exit_reason;
}

/* What KVM has still to do of an exit's instruction: else it would do that in the next question, whose first instruction is
 * at the same rip, and move on over it. */
static void end_exit(struct scratch *s)
{
	s->run->immediate_exit = 1;
	(void)go(s);
	s->run->immediate_exit = 0;
}

static uint64_t rip(const struct scratch *s)
{
	return s->run->s.regs.regs.rip;
}

static unsigned vector(struct scratch *s)
{
	struct kvm_vcpu_events ev = {0};

	return ioctl(s->fd, KVM_GET_VCPU_EVENTS, &ev) < 0 ? NO_VECTOR : ev.exception.nr;
}

/* ---- the questions */

/* As a step does, see trapped_early(): some nested hosts trap before the instruction, once for each page that EPT lacks. */
static bool step_comes_back(struct scratch *s)
{
	for (unsigned i = 0; i < 64; i++)
		if (go(s) != KVM_EXIT_DEBUG || rip(s) != AT_CODE)
			return s->run->exit_reason == KVM_EXIT_DEBUG && rip(s) == AT_CODE + 1;
	return false;
}

static enum step_how probe_step(struct scratch *s, enum run_mode mode, unsigned cpl)
{
	if (!begin(s, mode, cpl, "", 0))
		return STEP_NONE;
	if (debug_control(s, KVM_GUESTDBG_SINGLESTEP, 0, 0) && step_comes_back(s))
		return STEP_GUESTDBG;
	/* TF by hand, its #DB as a shutdown. */
	if (mode != RUN_REAL && !s->st->shutdown_keeps_state)
		return STEP_TRAP_PAGE;
	if (mode == RUN_REAL || !begin(s, mode, cpl, "", 0))
		return STEP_NONE;
	struct kvm_regs g;
	if (ioctl(s->fd, KVM_GET_REGS, &g) < 0)
		return STEP_NONE;
	g.rflags |= RFLAGS_TF;
	if (ioctl(s->fd, KVM_SET_REGS, &g) < 0 || go(s) != KVM_EXIT_SHUTDOWN)
		return STEP_NONE;
	return rip(s) == AT_CODE + 1 && vector(s) == 1 ? STEP_EMPTY_IDT : STEP_NONE;
}

static bool probe_hw(struct scratch *s, enum run_mode mode, unsigned cpl)
{
	return begin(s, mode, cpl, "\x90\x90\xf4", 3) && debug_control(s, KVM_GUESTDBG_USE_HW_BP, AT_CODE + 1, 0x602) &&
	       go(s) == KVM_EXIT_DEBUG && rip(s) == AT_CODE + 1;
}

/* Where KVM itself goes through the vector table it may leave RF set for the handler, which no breakpoint hits then. */
static bool probe_real_handler(struct scratch *s)
{
	return begin(s, RUN_REAL, 0, "\x90\x0f\x0b", 3) && debug_control(s, KVM_GUESTDBG_USE_HW_BP, AT_IVT_CODE, 0x602) &&
	       go(s) == KVM_EXIT_DEBUG && rip(s) == AT_IVT_CODE;
}

/* True too if it cannot be tried: so it is on processors. */
static bool probe_rf(struct scratch *s)
{
	struct kvm_regs g;

	if (!begin(s, RUN_LONG, 0, "\x90\x90\xf4", 3) || ioctl(s->fd, KVM_GET_REGS, &g) < 0)
		return true;
	g.rflags |= RFLAGS_RF;
	return ioctl(s->fd, KVM_SET_REGS, &g) < 0 || !debug_control(s, KVM_GUESTDBG_USE_HW_BP, AT_CODE, 0x602) ||
	       go(s) != KVM_EXIT_DEBUG || rip(s) != AT_CODE;
}

static bool probe_watch(struct scratch *s, enum run_mode mode, unsigned cpl)
{
	static const char real[] = "\xc6\x06\x00\x78\x01\x90\xf4", prot[] = "\xc6\x05\x00\x78\x00\x00\x01\x90\xf4",
			  in_long[] = "\xc6\x04\x25\x00\x78\x00\x00\x01\x90\xf4";
	const char *code = mode == RUN_REAL ? real : mode == RUN_PROT ? prot : in_long;
	size_t n = mode == RUN_REAL ? sizeof(real) : mode == RUN_PROT ? sizeof(prot) : sizeof(in_long);

	return begin(s, mode, cpl, code, n - 1) && debug_control(s, KVM_GUESTDBG_USE_HW_BP, AT_DATA, 0x602 | 1 << 16) &&
	       go(s) == KVM_EXIT_DEBUG && rip(s) == AT_CODE + n - 3;
}

static void probe_int3(struct scratch *s, enum run_mode mode, unsigned cpl)
{
	enum break_how *how = &s->st->int3[mode][cpl == 3];
	uint8_t *vec = &s->st->int3_vector[mode][cpl == 3];

	*how = BREAK_STEP;
	if (!begin(s, mode, cpl, "\xcc", 1) || !debug_control(s, KVM_GUESTDBG_USE_SW_BP, 0, 0))
		return;
	int exit = go(s);
	*vec = 3;
	if (exit == KVM_EXIT_DEBUG || exit == KVM_EXIT_INTERNAL_ERROR)
		*how = rip(s) == AT_CODE ? BREAK_INT3_EXIT : BREAK_STEP;
	else if (exit == KVM_EXIT_HLT && mode == RUN_REAL)
		*how = BREAK_INT3_HANDLER;
	else if (exit == KVM_EXIT_SHUTDOWN && !s->st->shutdown_keeps_state)
		*how = BREAK_INT3_TRAP_PAGE;
	else if (exit == KVM_EXIT_SHUTDOWN) {
		*vec = (uint8_t)vector(s);
		*how = (*vec == 3 && rip(s) == AT_CODE + 1) || (*vec == 6 && rip(s) == AT_CODE) ? BREAK_INT3_EMPTY_IDT
												: BREAK_STEP;
	}
}

/* An exception at AT_CODE + 1. KVM knows those that it intercepts, which are few where the processor walks the guest's
 * tables: with EPT no page fault, and a divide error nowhere but in emulation. */
struct raise {
	const char *code;
	size_t n;
	uint8_t vector;
	bool paging; /* needs it */
};
static const struct raise raises[] = {
    {"\x90\x0f\x0b", 3, 6, false},		       /* ud2 */
    {"\x90\xf7\xf1", 3, 0, false},		       /* div ecx, which is 0 */
    {"\x90\x8a\x04\x25\x00\x90\x00\x00", 8, 14, true}, /* mov al, [AT_NOTHING] */
};

/* With an empty IDT: is the vCPU what it was, and what was raised known? */
static bool probe_raise(struct scratch *s, const struct raise *r, enum run_mode mode, unsigned cpl)
{
	struct kvm_sregs k;

	if (!begin(s, mode, cpl, r->code, r->n) || go(s) != KVM_EXIT_SHUTDOWN)
		return false;
	if (rip(s) != AT_CODE + 1 || s->run->s.regs.regs.rsp != AT_STACK || vector(s) != r->vector)
		return false;
	return r->vector != 14 || (ioctl(s->fd, KVM_GET_SREGS, &k) >= 0 && k.cr2 == AT_NOTHING);
}

/* All modes and CPLs must say so. */
static bool probe_shutdown(struct scratch *s)
{
	for (int mode = RUN_PROT; mode <= RUN_LONG; mode++)
		for (unsigned cpl = 0; cpl <= 3; cpl += 3)
			for (size_t i = 0; i < ARRAY_LEN(raises); i++)
				if ((mode == RUN_LONG || !raises[i].paging) && !probe_raise(s, &raises[i], mode, cpl))
					return false;
	return true;
}

static bool probe_hlt(struct scratch *s)
{
	return begin(s, RUN_LONG, 0, "\xf4", 1) && debug_control(s, KVM_GUESTDBG_SINGLESTEP, 0, 0) &&
	       go(s) == KVM_EXIT_DEBUG;
}

/* Where the CPU steps by TF, KVM puts TF into flags that are written only at the rip that it had when the step was asked
 * for: a second one behind a write runs on to the HLT. True too if it cannot be tried. */
static bool probe_one_rip(struct scratch *s)
{
	struct kvm_regs g;

	if (!begin(s, RUN_LONG, 0, "\x90\x90\x90\xf4", 4) || !debug_control(s, KVM_GUESTDBG_SINGLESTEP, 0, 0) ||
	    go(s) != KVM_EXIT_DEBUG || ioctl(s->fd, KVM_GET_REGS, &g) < 0 || ioctl(s->fd, KVM_SET_REGS, &g) < 0)
		return true;
	return go(s) != KVM_EXIT_DEBUG || rip(s) != AT_CODE + 2;
}

/* KVM's emulator is done with an OUT when user space sees it; where KVM handles the CPU's own exit it is not. */
static bool probe_out(struct scratch *s, enum run_mode mode, unsigned cpl)
{
	struct kvm_regs g;

	if (!begin(s, mode, cpl, "\xe6\x80\x90\xf4", 4) || ioctl(s->fd, KVM_GET_REGS, &g) < 0)
		return false;
	g.rflags |= RFLAGS_IOPL;
	bool out = ioctl(s->fd, KVM_SET_REGS, &g) >= 0 && go(s) == KVM_EXIT_IO, moved = out && rip(s) == AT_CODE + 2;
	if (out)
		end_exit(s);
	return moved;
}

/* False for a parameter that is not there: to have no descriptor for the question is no answer. */
static int parameter_is_on(const char *path, bool *on, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = 0;

	if (fd < 0 && errno != ENOENT && errno != EACCES)
		return err_errno(e, errno, "probe for two-dimensional paging" WHY "%s" TRY "it again", path);
	*on = fd >= 0 && read(fd, &c, 1) == 1 && (c == 'Y' || c == '1');
	return 0;
}

#define INTEL "/sys/module/kvm_intel/parameters/"
#define NPT "/sys/module/kvm_amd/parameters/npt"

bool kvm_host_tdp(void)
{
	bool npt = false, ept = false;
	struct err e;

	return (!parameter_is_on(NPT, &npt, &e) && npt) || (!parameter_is_on(INTEL "ept", &ept, &e) && ept);
}

int probe_paging(struct strategy *st, struct err *e)
{
	bool npt, ept, ad;
	int rc = parameter_is_on(NPT, &npt, e);

	if (!rc)
		rc = parameter_is_on(INTEL "ept", &ept, e);
	if (!rc)
		rc = parameter_is_on(INTEL "eptad", &ad, e);
	if (rc)
		return rc;
	st->tdp = npt || ept;
	st->walks_write = npt || (ept && ad);
	return 0;
}

/* ---- all of them */

static void probe_all(struct scratch *s)
{
	struct strategy *st = s->st;

	/* The variables are for tests: the trap page, and armed pages, are used though they are not needed. */
	st->shutdown_keeps_state = probe_shutdown(s) && !getenv("KVMSCOPE_TRAP_PAGE");
	bool pages = getenv("KVMSCOPE_WATCH_PAGES");
	for (int mode = 0; mode < RUN_MODES; mode++)
		for (unsigned cpl = 0; cpl <= (mode == RUN_REAL ? 0 : 3); cpl += 3) {
			st->step[mode][cpl == 3] = probe_step(s, mode, cpl);
			st->hw[mode][cpl == 3] = probe_hw(s, mode, cpl);
			st->watch[mode][cpl == 3] = !pages && probe_watch(s, mode, cpl);
			probe_int3(s, mode, cpl);
			st->out_moves_on[mode][cpl == 3] = probe_out(s, mode, cpl);
		}
	st->out_moves_on[RUN_REAL][1] = st->out_moves_on[RUN_PROT][1];
	st->step[RUN_REAL][1] = st->step[RUN_PROT][1]; /* virtual-8086 mode */
	st->int3[RUN_REAL][1] = st->int3[RUN_PROT][1];
	st->int3_vector[RUN_REAL][1] = st->int3_vector[RUN_PROT][1];
	st->hw[RUN_REAL][1] = st->hw[RUN_PROT][1];
	st->real_handler_hits = probe_real_handler(s);
	st->rf_hides = probe_rf(s);
	st->hlt_step_runs_on = probe_hlt(s);
	st->step_is_for_one_rip = probe_one_rip(s);
}

static void *probe_thread(void *arg)
{
	kick_unblock();
	probe_all(arg);
	return NULL;
}

static int probe(struct strategy *st, struct err *e)
{
	const struct kvm_host *host;
	struct scratch s = {.vm = -1, .fd = -1, .st = st};
	pthread_t thread;
	struct timespec until;
	int rc = kvm_host_get(&host, e);

	if (rc)
		return rc;
	kick_init();
	rc = probe_paging(st, e);
	if (!rc)
		rc = scratch_open(&s, host, e);
	if (!rc && pthread_create(&thread, NULL, probe_thread, &s))
		rc = err_set(e, -EAGAIN, "probe debug facilities" WHY "no thread can be made" TRY "fewer processes");
	if (!rc) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += PROBE_SECONDS;
		/* Each kick ends the question that hangs; the answer is then no. */
		while (pthread_timedjoin_np(thread, NULL, &until)) {
			pthread_kill(thread, KICK_SIGNAL);
			until.tv_nsec = (until.tv_nsec + 100000000) % 1000000000;
			until.tv_sec += until.tv_nsec < 100000000;
		}
	}
	scratch_close(&s);
	return rc;
}

int kvm_strategy_get(const struct strategy **out, struct err *e)
{
	static struct lock lock = LOCK_INIT(LOCK_STRATEGY);
	static struct strategy found;
	static bool done;

	LOCK_SCOPE(&lock);
	if (!done) {
		struct strategy st = {0};
		int rc = probe(&st, e);

		if (rc)
			return rc;
		found = st;
		done = true;
	}
	*out = &found;
	return 0;
}

/* ---- `info kvm` */

typedef int (*fact_fn)(void *arg, const char *what, const char *value, const char *why);

struct fact {
	const char *value, *why;
};

static struct fact step_fact(const struct strategy *st, int mode, int user)
{
	switch (st->step[mode][user]) {
	case STEP_GUESTDBG:
		return (struct fact){"KVM_GUESTDBG_SINGLESTEP", "tried: one instruction, then a debug exit"};
	case STEP_EMPTY_IDT:
		return (struct fact){
		    "TF, empty IDT",
		    "KVM_GUESTDBG_SINGLESTEP gives the #DB to the guest; with IDT limit 0 it is a shutdown exit "
		    "that keeps the vCPU's state"};
	case STEP_TRAP_PAGE:
		return (struct fact){"TF, trap page",
				     "KVM_GUESTDBG_SINGLESTEP gives the #DB to the guest; an IDT of kvmscope's own "
				     "leaves for user space"};
	default:
		return (struct fact){"none", "neither KVM_GUESTDBG_SINGLESTEP nor TF with an empty IDT comes back"};
	}
}

static struct fact break_fact(const struct strategy *st, int mode, int user)
{
	bool hw = st->hw[mode][user];

	switch (st->int3[mode][user]) {
	case BREAK_INT3_EXIT:
		return hw ? (struct fact){"debug registers, then int3", "debug registers hit; int3 is an exit of its own"}
			  : (struct fact){"int3", "debug registers never hit; int3 is an exit of its own"};
	case BREAK_INT3_EMPTY_IDT:
		return hw ? (struct fact){"debug registers, then int3",
					  "debug registers hit; int3 with an empty IDT is a shutdown exit"}
			  : (struct fact){"int3",
					  "debug registers never hit; int3 is a shutdown exit with an empty IDT, else "
					  "caught at the guest's handler"};
	case BREAK_INT3_HANDLER:
		return hw ? (struct fact){"debug registers, then int3",
					  "debug registers hit; int3 goes to the guest's handler and is caught there"}
			  : (struct fact){"steps", "debug registers never hit, not at the guest's handler of int3 either"};
	case BREAK_INT3_TRAP_PAGE:
		return hw ? (struct fact){"debug registers, then int3",
					  "debug registers hit; int3 comes out at the trap page"}
			  : (struct fact){"int3",
					  "debug registers never hit; int3 comes out at the trap page, or at the guest's "
					  "handler"};
	default:
		return hw ? (struct fact){"debug registers, then steps", "int3 cannot be told from the guest's own"}
			  : (struct fact){"steps", "neither debug registers nor int3 come back"};
	}
}

static int mode_facts(const struct strategy *st, fact_fn fn, void *arg)
{
	static const char *const step[RUN_MODES][2] = {{"step, real mode", NULL},
						       {"step, protected mode CPL0", "step, protected mode CPL3"},
						       {"step, long mode CPL0", "step, long mode CPL3"}};
	static const char *const brk[RUN_MODES][2] = {
	    {"breakpoints, real mode", NULL},
	    {"breakpoints, protected mode CPL0", "breakpoints, protected mode CPL3"},
	    {"breakpoints, long mode CPL0", "breakpoints, long mode CPL3"}};
	int rc = 0;

	for (int i = 0; !rc && i < RUN_MODES * 2; i++) {
		struct fact s = step_fact(st, i / 2, i % 2), b = break_fact(st, i / 2, i % 2);

		if (!step[i / 2][i % 2])
			continue;
		rc = fn(arg, step[i / 2][i % 2], s.value, s.why);
		if (!rc)
			rc = fn(arg, brk[i / 2][i % 2], b.value, b.why);
	}
	return rc;
}

/* What stands for a data watchpoint in long mode: the order of plan_watches() in plant.c. */
static int watch_fact(const struct strategy *st, fact_fn fn, void *arg)
{
	const char *why = uffd_why(), *rest = why ? "single steps" : "armed pages";
	const char *hits = st->watch[RUN_LONG][0] ? "debug registers hit once" : "debug registers never hit on data";
	char value[64], text[256];

	snprintf(value, sizeof(value), "%s%s", st->watch[RUN_LONG][0] ? "debug registers, then " : "", rest);
	snprintf(text, sizeof(text), "%s; %s", hits, why ? why : "userfaultfd parks who touches a watched page");
	return fn(arg, "data watchpoints", value, text);
}

int kvm_run_facts(struct machine *m, fact_fn fn, void *arg, struct err *e)
{
	const struct strategy *st;
	int rc = kvm_strategy_get(&st, e);

	(void)m;
	if (rc)
		return rc;
	rc = mode_facts(st, fn, arg);
	if (!rc)
		rc = fn(arg, "exceptions without an IDT", st->shutdown_keeps_state ? "empty IDT" : "trap page",
			st->shutdown_keeps_state ? "the shutdown exit keeps the vCPU's state and tells the vector"
						 : "the shutdown exit loses the vCPU's state or does not tell the vector: a "
						   "hidden IDT stands in while the guest runs");
	if (!rc)
		rc = fn(arg, "hlt", st->hlt_step_runs_on ? "decoded before a step" : "an exit of its own",
			st->hlt_step_runs_on ? "a single step over hlt is a debug exit and would run on" : "tried");
	if (!rc)
		rc = watch_fact(st, fn, arg);
	return rc ? rc
		  : fn(arg, "paging", st->tdp ? "two-dimensional" : "shadow",
		       st->tdp ? "EPT or NPT is on: the guest's own tables are not shadowed (info tdp)"
			       : "neither kvm_intel's ept nor kvm_amd's npt is on: shadow pages and rmaps are there to see");
}
