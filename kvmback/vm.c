/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kvm backend as a machine: making a VM and its vCPUs, taking them down, reset, what it cannot do and why, and the table
 * of operations. There is no interrupt controller in the kernel: HLT and CR8 are exits, and nothing runs that the debugger
 * did not start.
 */
#include "core/base/lock.h"
#include "core/machine/calls.h"
#include "kvmback/vcpu/nested.h"
#include "kvmback/step/live.h"
#include "kvmback/kernel/kview.h"
#include "kvmback/fault/fault.h"
#include "kvmback/host/uffd.h"
#include "kvmback/kvm.h"
#include "kvmback/kvmback.h"
#include "kvmback/trace/mmucatch.h"
#include "kvmback/watch/armed.h"
#include "core/cpu/smm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* Three pages below 4 GiB that VT-x without unrestricted guests needs for real mode. */
#define TSS_GPA 0xfffbd000ul
#define CPUID_EXT_GBPAGES (1u << 26)

static int fd_error(const char *what, int errnum, struct err *e)
{
	return err_errno(e, errnum, "%s" WHY "the kernel refused" TRY "fewer vCPUs, or -b soft", what);
}

static bool real_mode_needs_tss(void)
{
	_cleanup_close_ int fd = open("/sys/module/kvm_intel/parameters/unrestricted_guest", O_RDONLY | O_CLOEXEC);
	char c = 'Y';

	return fd >= 0 && read(fd, &c, 1) == 1 && (c == 'N' || c == '0');
}

static int vm_open(struct kvm_vm *vm, unsigned dirty_ring, struct err *e)
{
	struct kvm_enable_cap manual = {.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
					.args = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE}};

	do
		vm->fd = ioctl(vm->host->fd, KVM_CREATE_VM, 0);
	while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		return fd_error("create a VM", errno, e);
	int rc = dirty_ring ? kvm_rings_enable(vm, dirty_ring, e) : 0;
	if (rc)
		return rc;
	/* Then fetching a dirty log neither clears it nor write-protects anything: looking changes nothing. */
	if (!dirty_ring && vm->host->manual_dirty && ioctl(vm->fd, KVM_ENABLE_CAP, &manual) < 0)
		return fd_error("enable manual dirty log protection", errno, e);
	if (real_mode_needs_tss() && ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_GPA) < 0)
		return fd_error("place the TSS for real mode", errno, e);
	return 0;
}

/* ---- vCPUs */

/* The host's CPUID with the vCPU's own number in it. */
static int vcpu_cpuid(const struct kvcpu *v, struct err *e)
{
	const struct kvm_cpuid2 *host = v->vm->host->cpuid;
	size_t size = sizeof(*host) + host->nent * sizeof(host->entries[0]);
	_cleanup_free_ struct kvm_cpuid2 *c = malloc(size);

	if (!c)
		return err_nomem(e, "create a vCPU");
	memcpy(c, host, size);
	for (unsigned i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *en = &c->entries[i];

		if (en->function == 1)
			en->ebx = (en->ebx & 0x00ffffff) | v->index << 24;
		else if (en->function == 0xb || en->function == 0x1f)
			en->edx = v->index;
	}
	return ioctl(v->fd, KVM_SET_CPUID2, c) < 0 ? fd_error("set a vCPU's CPUID", errno, e) : 0;
}

static int vcpu_open(struct kvm_vm *vm, unsigned i, struct err *e)
{
	struct kvcpu *v = &vm->vcpu[i];
	void *run;
	int rc;

	v->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)i);
	if (v->fd < 0)
		return fd_error("create a vCPU", errno, e);
	run = mmap(NULL, vm->host->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED)
		return fd_error("map a vCPU's run area", errno, e);
	v->run = run;
	rc = v->vm->m.rings.entries ? kvm_ring_map(v, e) : 0;
	if (!rc)
		rc = vcpu_cpuid(v, e);
	return rc ? rc : kvm_reset_regs(v, e);
}

static void vcpu_close(struct kvcpu *v)
{
	kvm_ring_unmap(v);
	if (v->run)
		munmap(v->run, v->vm->host->run_size);
	util_closep(&v->fd);
}

/* ---- create, destroy, reset */

static bool has_gbpages(const struct kvm_host *h)
{
	for (unsigned i = 0; i < h->cpuid->nent; i++)
		if (h->cpuid->entries[i].function == 0x80000001u)
			return h->cpuid->entries[i].edx & CPUID_EXT_GBPAGES;
	return false;
}

static void vm_free(struct kvm_vm *vm)
{
	if (vm->kview)
		kview_close(vm->kview);
	for (unsigned i = 0; i < KVM_MAX_VCPUS_HERE; i++)
		vcpu_close(&vm->vcpu[i]);
	util_closep(&vm->fd);
	lock_destroy(&vm->kview_lock);
	free(vm->remembered);
	free(vm);
}

static int vm_alloc(const struct machine_config *cfg, struct kvm_vm **out, struct err *e)
{
	const struct kvm_host *h;
	struct kvm_vm *vm;
	int rc = kvm_host_get(&h, e);

	if (rc)
		return rc;
	if (cfg->vcpus < 1 || cfg->vcpus > KVM_MAX_VCPUS_HERE)
		return err_set(e, -EINVAL, "create a VM" WHY "%u vCPUs" TRY "1 to %u", cfg->vcpus, KVM_MAX_VCPUS_HERE);
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return err_nomem(e, "create a VM");
	vm->host = h;
	lock_init(&vm->kview_lock, LOCK_KVIEW);
	vm->fd = -1;
	vm->m.vcpus = cfg->vcpus;
	vm->m.rings.entries = cfg->dirty_ring;
	vm->m.maxphyaddr = h->maxphyaddr;
	vm->m.no_gbpages = !has_gbpages(h);
	vm->m.slots.limits.max_slots = h->max_slots;
	vm->m.slots.limits.gpa_limit = h->gpa_limit;
	vm->m.slots.limits.address_spaces = h->address_spaces;
	for (unsigned i = 0; i < KVM_MAX_VCPUS_HERE; i++)
		vm->vcpu[i] = (struct kvcpu){.vm = vm, .index = i, .fd = -1, .xcr0 = 1, .smbase = SMM_DEFAULT_SMBASE};
	*out = vm;
	return 0;
}

static int vm_create(const struct machine_config *cfg, struct machine **out, struct err *e)
{
	struct kvm_vm *vm = NULL;
	int rc = vm_alloc(cfg, &vm, e);

	if (rc)
		return rc;
	rc = vm_open(vm, cfg->dirty_ring, e);
	for (unsigned i = 0; !rc && i < cfg->vcpus; i++)
		rc = vcpu_open(vm, i, e);
	if (!rc)
		rc = kvm_run_init(vm, e);
	if (rc) {
		vm_free(vm);
		return rc;
	}
	*out = &vm->m;
	return 0;
}

static void vm_destroy(struct machine *m)
{
	kvm_run_deinit(kvm_of(m));
	vm_free(kvm_of(m));
}

static int vm_reset(struct machine *m, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);

	armed_forget_code(vm);
	for (unsigned i = 0; i < m->vcpus; i++) {
		int rc;

		kvm_run_forget(vm, i);
		rc = kvm_reset_regs(&vm->vcpu[i], e);
		if (rc)
			return rc;
	}
	return 0;
}

static int vm_get_regs(struct machine *m, unsigned vcpu, uint32_t parts, struct regs *out, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	unsigned parked;

	/* The others are out of KVM_RUN, and are asked as ever. */
	if (!live_elsewhere(vm) && !(machine_parked(m, &parked) && parked == vcpu))
		return kvm_get_regs(m, vcpu, parts, out, e);
	live_regs(vm, vcpu, out);
	return 0;
}

static int vm_set_regs(struct machine *m, unsigned vcpu, uint32_t parts, const struct regs *in, struct err *e)
{
	kvm_run_forget(kvm_of(m), vcpu);
	return kvm_set_regs(m, vcpu, parts, in, e);
}

static void vm_slot_release(struct machine *m, struct slot *s)
{
	armed_forget(kvm_of(m));
	kvm_slot_release(m, s);
}

/* ---- what it can do */

static const char *vm_cap_why(const struct machine *m, enum machine_cap cap)
{
	struct kvm_vm *vm = kvm_of(m);

	switch (cap) {
	case MACHINE_CAP_SHADOW:
	case MACHINE_CAP_RMAP:
	case MACHINE_CAP_MMIO_CACHE:
		if (!kvm_view_open(vm, NULL))
			return NULL;
		return vm->kview_err.why[0] ? vm->kview_err.why : "the running kernel's structures cannot be read";
	case MACHINE_CAP_SMM_NATIVE:
		return vm->host->x86_smm
			   ? NULL
			   : "this host's KVM has no SMM (KVM_CAP_X86_SMM is 0): kvmscope enters and leaves it by hand";
	case MACHINE_CAP_FAULT_STEP:
		return kvm_faults_why();
	case MACHINE_CAP_SVM:
		return nested_svm_why(vm->host);
	case MACHINE_CAP_HPA:
		return kvm_hpa_why();
	case MACHINE_CAP_REVERSE:
		return "KVM keeps no record of what ran";
	case MACHINE_CAP_RUN:
	case MACHINE_CAP_WRITE:
	case MACHINE_CAP_SLOTS:
	case MACHINE_CAP_CONTROL:
	case MACHINE_CAP_WATCH:
	case MACHINE_CAP_COUNT:
		break;
	}
	return NULL;
}

static const char *vm_cap_next(const struct machine *m, enum machine_cap cap)
{
	switch (cap) {
	case MACHINE_CAP_SHADOW:
	case MACHINE_CAP_RMAP:
	case MACHINE_CAP_MMIO_CACHE:
		return kvm_of(m)->kview_err.next;
	case MACHINE_CAP_FAULT_STEP:
		return uffd_next_step();
	case MACHINE_CAP_HPA:
		return kvm_hpa_next();
	case MACHINE_CAP_SVM:
		return "a host with an AMD processor, and modprobe kvm_amd nested=1";
	default:
		return NULL;
	}
}

/* What brings a vCPU out at an event. */
static const char *vm_catch_how(uint32_t event)
{
	switch (event) {
	case 0:
		return "page";
	case CATCH_EXCEPTION:
		return "trap";
	case CATCH_SMI:
	case CATCH_MODE:
		return "step";
	case CATCH_MMU:
		return "trace";
	default:
		return "exit";
	}
}

typedef int (*fact_fn)(void *arg, const char *what, const char *value, const char *why);

struct fact {
	const char *what, *why;
	char value[64];
};

static int host_facts(const struct kvm_host *h, fact_fn fn, void *arg)
{
	struct fact f[] = {
	    {"memslots", "KVM_CAP_NR_MEMSLOTS", ""},
	    {"address spaces",
	     h->address_spaces > 1 ? "KVM_CAP_MULTI_ADDRESS_SPACE: SMM sees the second"
				   : "KVM_CAP_MULTI_ADDRESS_SPACE is 0: SMRAM by swapping slots at SMI and RSM",
	     ""},
	    {"SMM", h->x86_smm ? "KVM_CAP_X86_SMM" : "KVM_CAP_X86_SMM is 0: entered and left by kvmscope", ""},
	    {"guest physical limit", "of a slot, by trying one page above the processor's width", ""},
	    {"physical address width", "CPUID 0x80000008", ""},
	    {"registers with each exit", "KVM_CAP_SYNC_REGS: 1 general, 2 system, 4 events; no ioctl needed for these", ""},
	    {"dirty log",
	     h->manual_dirty ? "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: looking clears nothing"
			     : "fetching it clears and write-protects; kvmscope keeps what was fetched",
	     ""},
	    {"readonly slots", "KVM_CAP_READONLY_MEM", ""},
	};
	int rc = 0;

	snprintf(f[0].value, sizeof(f[0].value), "%u", h->max_slots);
	snprintf(f[1].value, sizeof(f[1].value), "%u", h->address_spaces);
	snprintf(f[2].value, sizeof(f[2].value), "%s", h->x86_smm ? "native" : "by hand");
	snprintf(f[3].value, sizeof(f[3].value), "%#llx", (unsigned long long)h->gpa_limit);
	snprintf(f[4].value, sizeof(f[4].value), "%u", h->maxphyaddr);
	snprintf(f[5].value, sizeof(f[5].value), "%#x", h->sync_regs);
	snprintf(f[6].value, sizeof(f[6].value), "%s", h->manual_dirty ? "manual" : "automatic");
	snprintf(f[7].value, sizeof(f[7].value), "%s", h->readonly_mem ? "yes" : "no");
	for (unsigned i = 0; !rc && i < ARRAY_LEN(f); i++)
		rc = fn(arg, f[i].what, f[i].value, f[i].why);
	return rc;
}

static int vm_facts(struct machine *m, fact_fn fn, void *arg, struct err *e)
{
	struct kvm_vm *vm = kvm_of(m);
	struct err why = {0};
	struct kview *k;
	int rc = host_facts(vm->host, fn, arg);

	if (!rc)
		rc = kvm_new_facts(vm, fn, arg);
	if (!rc)
		rc = kvm_run_facts(m, fn, arg, e);
	if (!rc)
		rc = kvm_privilege_facts(vm, fn, arg);
	if (rc)
		return rc;
	LOCK_SCOPE(&vm->kview_lock);
	if (kvm_kview(vm, &k, &why)) {
		char text[sizeof(why.why) + sizeof(why.next) + 8];

		snprintf(text, sizeof(text), "%s%s%s", why.why, why.next[0] ? "; try " : "", why.next);
		return fn(arg, "kernel reader", "no", text);
	}
	return kview_facts(k, fn, arg, e);
}

static int runner_begin(void *ctx, const struct run_job *job, bool parks, struct err *e)
{
	int rc = live_remember(kvm_of(ctx), e);

	return rc || !parks ? rc : kvm_park_begin(ctx, job, e);
}

static void runner_end(void *ctx, const struct stop *stop, bool parks)
{
	if (parks)
		kvm_park_end(ctx, stop);
}

static const struct run_ops run_ops = {
    .enter = kvm_enter,
    .kick = kvm_kick,
    .nudge = kvm_nudge,
    .thread_begin = kvm_thread_begin,
    .may_park = kvm_may_park,
    .near = kvm_park_near,
    .runner_begin = runner_begin,
    .runner_end = runner_end,
    .park_fd = kvm_park_fd,
    .park_look = kvm_park_look,
    .release = kvm_park_release,
    .abandoned_late = kvm_park_abandoned_late,
};

const struct machine_ops kvm_backend = {
    .name = "kvm",
    .create = vm_create,
    .destroy = vm_destroy,
    .cap_why = vm_cap_why,
    .cap_next = vm_cap_next,
    .facts = vm_facts,
    .slot_change = kvm_slot_change,
    .slot_release = vm_slot_release,
    .slot_dirty = kvm_slot_dirty,
    .slot_prefault = kvm_prefault,
    .slot_source = SOURCE_KVM,
    .live = 1u << ASK_LIVE_VCPU | 1u << ASK_LIVE_MEMORY | 1u << ASK_LIVE_MMU,
    .hide_plants = live_hide_int3,
    .slot_list = kvm_slot_list,
    .slot_generation = kvm_slot_generation,
    .wrote = kvm_wrote,
    .hpa = kvm_hpa,
    .get_regs = vm_get_regs,
    .set_regs = vm_set_regs,
    .inject = kvm_inject,
    .smi = kvm_smi,
    .smbase = kvm_smbase,
    .set_smbase = kvm_set_smbase,
    .nested_take = kvm_nested_take,
    .nested_leave = kvm_nested_leave,
    .nested_put = kvm_nested_put,
    .reset = vm_reset,
    .run = &run_ops,
    .plant = kvm_plant,
    .unplant = kvm_unplant,
    .plants_now = kvm_plants_now,
    .set_catch = kvm_set_catch,
    .catch_how = vm_catch_how,
    .mmu_catch = kvm_mmu_catch,
    .mmu_events = kvm_mmu_events,
    .looks = &kvm_looks,
    .rmap_each = kvm_rmap_each,
    .share_reads = kvm_share_reads,
    .armed = armed_ranges,
    .fault_catch = kvm_fault_catch,
    .fault_stages = kvm_fault_stages,
    .fault_limit = kvm_fault_limit,
};
