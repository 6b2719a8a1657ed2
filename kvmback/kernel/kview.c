/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Opening the kernel's view of a VM, and what is said of it as a whole. From file descriptors of this process to struct kvm:
 * task → files → fd table → file → private_data. The files are those of the thread that opens; threads of a process share
 * them unless one was unshared on purpose.
 */
#include "kvmback/kernel/kview_impl.h"

#include "kvmback/kvmback.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

/* ---- the host */

/* -1: there is none. *passing: nobody could look, which is no answer. */
static int param(const char *path, int *passing)
{
	FILE *f = fopen(path, "re");
	int c;

	if (!f && kmem_passing(-errno))
		*passing = -errno;
	if (!f)
		return -1;
	c = fgetc(f);
	fclose(f);
	return c == 'Y' || c == '1';
}

static int has_l1tf(int *passing)
{
	char line[32] = "";
	FILE *f = fopen("/sys/devices/system/cpu/vulnerabilities/l1tf", "re");
	int found = -1;

	if (!f && kmem_passing(-errno))
		*passing = -errno;
	if (!f)
		return -1;
	if (fgets(line, sizeof(line), f))
		found = strncmp(line, "Not affected", 12) != 0;
	fclose(f);
	return found;
}

/* A parameter of module kvm that is a word, without its newline; "" if it cannot be read. */
static void word_param(const char *path, char *out, int size)
{
	FILE *f = fopen(path, "re");

	if (!f || !fgets(out, size, f))
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* kvm_intel and kvm_amd may both be built in: the processor says which of them runs. */
static enum kvendor host_vendor(bool tdp)
{
	unsigned a, b, c = 0, d;

	if (!tdp && access("/sys/module/kvm_pvm", F_OK) == 0)
		return KVENDOR_PVM;
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & 1u << 2) ? KVENDOR_SVM : KVENDOR_VMX;
}

int khost_get(struct khost *h)
{
	unsigned a, b, c, d;
	int passing = 0;

	h->ept = param("/sys/module/kvm_intel/parameters/ept", &passing) == 1;
	h->tdp = param("/sys/module/kvm_amd/parameters/npt", &passing) == 1 || h->ept;
	h->mmio_caching = param("/sys/module/kvm/parameters/mmio_caching", &passing);
	h->tdp_mmu = param("/sys/module/kvm/parameters/tdp_mmu", &passing);
	word_param("/sys/module/kvm/parameters/nx_huge_pages", h->nx_huge_pages, sizeof(h->nx_huge_pages));
	h->vendor = host_vendor(h->tdp);
	h->ad = h->vendor == KVENDOR_SVM || param("/sys/module/kvm_intel/parameters/eptad", &passing) == 1;
	h->pml = h->vendor == KVENDOR_VMX && h->ad && param("/sys/module/kvm_intel/parameters/pml", &passing) == 1;
	h->maxphyaddr = __get_cpuid(0x80000008, &a, &b, &c, &d) ? a & 0xff : 46;
	h->l1tf = has_l1tf(&passing);
	return passing;
}

/* ---- opening */

static int private_of_fd(struct kview *k, uint64_t table, uint32_t max, int fd, uint64_t *out, struct err *e)
{
	uint64_t file;
	int rc;

	if (fd < 0 || (uint32_t)fd >= max)
		return err_set(e, -EBADF,
			       "find fd %d in the kernel" WHY "this thread's table has %u files" TRY
			       "opening it from the thread that created the VM",
			       fd, max);
	rc = kmem_u64(k->mem, table + (uint64_t)fd * 8, &file, e);
	if (!rc && !kmem_pointer(file))
		return err_set(e, -EBADF,
			       "find fd %d in the kernel" WHY "it is not open in this thread's file table" TRY
			       "opening it from the thread that created the VM",
			       fd);
	if (!rc)
		rc = kmem_u64(k->mem, file + (uint64_t)k->l->file_private.off, out, e);
	if (!rc && !kmem_pointer(*out))
		return err_set(e, -EBADF,
			       "find fd %d in the kernel" WHY "its file has no private data: it is not KVM's" TRY
			       "a VM's or vCPU's descriptor",
			       fd);
	return rc;
}

static int follow(struct kview *k, uint64_t from, const struct kfield *f, uint64_t *out, struct err *e)
{
	int rc = kmem_u64(k->mem, from + (uint64_t)f->off, out, e);

	if (!rc && !kmem_pointer(*out))
		return err_set_at(e, -EFAULT, ERR_SPACE_KERNEL, *out,
				  "find this process's files in the kernel" WHY "a pointer is %#llx" TRY "again",
				  (unsigned long long)*out);
	return rc;
}

static int find_vm(struct kview *k, int vm_fd, const int *vcpu_fds, struct err *e)
{
	const struct klayout *l = k->l;
	uint64_t files, fdt, table, owner;
	uint32_t max = 0;
	int rc = kmem_task(k->mem, &k->task, e);

	if (!rc)
		rc = follow(k, k->task, &l->task_files, &files, e);
	if (!rc)
		rc = follow(k, files, &l->files_fdt, &fdt, e);
	if (!rc)
		rc = follow(k, fdt, &l->fdt_fd, &table, e);
	if (!rc)
		rc = kmem_read(k->mem, fdt + (uint64_t)l->fdt_max.off, &max, sizeof(max), e);
	if (!rc)
		rc = private_of_fd(k, table, max, vm_fd, &k->kvm, e);
	for (unsigned i = 0; !rc && i < k->vcpus; i++) {
		rc = private_of_fd(k, table, max, vcpu_fds[i], &k->vcpu[i], e);
		if (!rc)
			rc = kmem_u64(k->mem, k->vcpu[i] + (uint64_t)l->vcpu_kvm.off, &owner, e);
		if (!rc && owner != k->kvm)
			return err_set(e, -EINVAL,
				       "find vCPU %u in the kernel" WHY "fd %d is no vCPU of the VM of fd %d" TRY
				       "descriptors of one VM",
				       i, vcpu_fds[i], vm_fd);
	}
	return rc;
}

static int choose_bits(struct kview *k, struct err *e)
{
	const struct klayout *l = k->l;
	enum kspte_era era = !l->mmu_present ? KSPTE_EARLY : l->role_access.bits > 3 ? KSPTE_LATE : KSPTE_PRESENT_BIT;
	int rc = 0;

	kspte_bits_init(&k->bits, era, k->host.ept);
	k->bits_sure = era != KSPTE_EARLY;
	k->bits.maxphyaddr = k->host.maxphyaddr;
	k->bits.l1tf = k->host.l1tf;
	k->bits.mmio = k->host.mmio_caching == 0 ? KMMIO_OFF : era == KSPTE_EARLY ? KMMIO_SPECIAL : KMMIO_SHAPE;
	if (l->kvm_mmio_value.off >= 0) {
		rc = kmem_u64(k->mem, k->kvm + (uint64_t)l->kvm_mmio_value.off, &k->bits.mmio_value, e);
		if (k->bits.mmio == KMMIO_SHAPE && k->bits.mmio_value)
			k->bits.mmio = KMMIO_VALUE;
	}
	return rc;
}

int kview_open_on(struct kmem *mem, const struct klayout *l, const struct khost *host, int vm_fd, const int *vcpu_fds,
		  unsigned n, struct kview **out, struct err *e)
{
	struct kview *k = calloc(1, sizeof(*k));
	int rc;

	if (!k || n > ARRAY_LEN(k->vcpu)) {
		free(k);
		kmem_close(mem);
		return k ? err_set(e, -EINVAL, "open the kernel's view" WHY "%u vCPUs of at most 64" TRY "fewer", n)
			 : err_nomem(e, "kernel view");
	}
	k->mem = mem;
	k->l = l;
	k->host = *host;
	k->vcpus = n;
	snprintf(k->files_of, sizeof(k->files_of), "%ld", syscall(SYS_gettid));
	rc = find_vm(k, vm_fd, vcpu_fds, e);
	if (!rc)
		rc = choose_bits(k, e);
	if (rc) {
		kview_close(k);
		return rc;
	}
	*out = k;
	return 0;
}

int kview_open(int vm_fd, const int *vcpu_fds, unsigned n_vcpus, struct kview **out, struct err *e)
{
	const struct klayout *l;
	struct khost host;
	struct kmem *mem;
	int rc = klayout_get(&l, e);

	if (!rc && (rc = khost_get(&host)))
		rc = err_errno(e, -rc, "open the kernel's view" WHY "parameters of KVM's modules" TRY "again");
	if (!rc)
		rc = kmem_bpf_open(KMEM_BPF_ANY, &mem, e);
	if (rc)
		return rc;
	return kview_open_on(mem, l, &host, vm_fd, vcpu_fds, n_vcpus, out, e);
}

void kvmback_prepare(void)
{
	const struct klayout *l;

	if (!klayout_get(&l, NULL))
		kmem_bpf_prepare();
}

bool kvmback_still_reads(void)
{
	return kmem_bpf_runs();
}

void kview_close(struct kview *k)
{
	if (k)
		kview_hold(k, false);
	if (!k)
		return;
	kslots_free(&k->slots);
	kmem_close(k->mem);
	free(k);
}

bool kview_tdp(const struct kview *k)
{
	return k->host.tdp;
}

bool kview_tdp_mmu(const struct kview *k)
{
	return k->host.tdp && k->host.tdp_mmu != 0;
}

bool kview_ept(const struct kview *k)
{
	return k->host.ept;
}

/* ---- facts */

typedef int fact_fn(void *arg, const char *what, const char *value, const char *why);

static const char *slots_name(const struct klayout *l)
{
	return l->slots == KSLOTS_TREE ? "tree by gfn" : "sorted array";
}

static const char *desc_name(const struct klayout *l, char *buf, size_t size)
{
	static const char *const how[] = {"entries up to the first NULL", "spte_count",
					  "spte_count and tail_count, newest first"};

	snprintf(buf, size, "%u sptes, %s", l->desc_entries, how[l->desc]);
	return buf;
}

int kview_facts(struct kview *k, int (*fn)(void *arg, const char *what, const char *value, const char *why), void *arg,
		struct err *e)
{
	static const char *const caching[] = {"not known", "off", "on"};
	const struct klayout *l = k->l;
	char value[200], text[120];
	int rc;

	(void)e;
	snprintf(text, sizeof(text), "bpf_probe_read_kernel, from the files of thread %s", k->files_of);
	rc = fn(arg, "kernel reader", "BPF", text);
	if (!rc)
		rc = fn(arg, "KVM's structures", l->where[0] ? l->where : "given",
			l->split ? "KVM is a module: split BTF" : "KVM is built in");
	snprintf(value, sizeof(value), "memslots %s; rmap descriptors %s", slots_name(l), desc_name(l, text, sizeof(text)));
	if (!rc)
		rc = fn(arg, "layout", value, "by which members exist");
	if (!rc)
		rc = fn(arg, "tables", k->host.tdp ? "TDP" : "shadow",
			k->host.tdp ? "ept or npt is on" : "neither kvm_intel's ept nor kvm_amd's npt is on");
	snprintf(value, sizeof(value), "%s, %s format", kspte_era_name(k->bits.era), k->bits.ept ? "EPT" : "legacy");
	if (!rc)
		rc = fn(arg, "spte bits", value,
			k->bits_sure ? "by the structures and the sptes" : "by the structures; no spte seen yet");
	if (!rc)
		rc = fn(arg, "MMIO sptes", kmmio_how_name(k->bits.mmio),
			k->bits.mmio == KMMIO_SHAPE ? "their value is a variable that BTF does not place" : "");
	if (!rc)
		rc = fn(arg, "mmio_caching", caching[k->host.mmio_caching + 1], "/sys/module/kvm/parameters/mmio_caching");
	return rc;
}
