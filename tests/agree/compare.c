/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What must be equal: registers, stops, memory, MMIO accesses, the MMIO cache.
 */
#include "tests/agree/agree.h"

#include <stdarg.h>
#include <string.h>

#include "core/mem/paging.h"

void diff_add(struct diff *d, const char *fmt, ...)
{
	va_list ap;

	if (d->n >= sizeof(d->text) - 1)
		return;
	va_start(ap, fmt);
	int n = vsnprintf(d->text + d->n, sizeof(d->text) - d->n, fmt, ap);
	va_end(ap);
	d->n = d->n + (size_t)n < sizeof(d->text) ? d->n + (size_t)n : sizeof(d->text) - 1;
}

#define ULL(x) ((unsigned long long)(x))

static void differ(struct diff *d, const char *what, uint64_t kvm, uint64_t soft)
{
	if (kvm != soft)
		diff_add(d, "  %s: kvm %#llx soft %#llx\n", what, ULL(kvm), ULL(soft));
}

static const char *const gpr_name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					 "r8",	"r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static void compare_sys(struct diff *d, const struct regs *kvm, const struct regs *soft)
{
	static const char *const seg[] = {"es", "cs", "ss", "ds", "fs", "gs"};

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		differ(d, seg[i], kvm->seg[i].selector, soft->seg[i].selector);
		if (i == SEG_FS || i == SEG_GS)
			differ(d, "its base", kvm->seg[i].base, soft->seg[i].base);
	}
	differ(d, "cr0", kvm->cr0, soft->cr0);
	differ(d, "cr3", kvm->cr3, soft->cr3);
	differ(d, "cr4", kvm->cr4, soft->cr4);
	differ(d, "efer", kvm->efer, soft->efer);
}

void compare_regs(struct diff *d, const struct regs *kvm, const struct regs *soft, uint64_t undefined, uint32_t parts)
{
	uint64_t mask = ~(undefined | RFLAGS_RF);

	for (unsigned i = 0; i < 16; i++)
		differ(d, gpr_name[i], kvm->gpr[i], soft->gpr[i]);
	differ(d, "rip", kvm->rip, soft->rip);
	differ(d, "rflags", kvm->rflags & mask, soft->rflags & mask);
	if (parts & REGS_SYS)
		compare_sys(d, kvm, soft);
	for (unsigned i = 0; parts & REGS_FPU && i < 16; i++)
		if (memcmp(kvm->fpu.xmm[i], soft->fpu.xmm[i], 16)) {
			uint64_t k[2], s[2];
			memcpy(k, kvm->fpu.xmm[i], 16);
			memcpy(s, soft->fpu.xmm[i], 16);
			diff_add(d, "  xmm%u: kvm %016llx:%016llx soft %016llx:%016llx\n", i, ULL(k[1]), ULL(k[0]),
				 ULL(s[1]), ULL(s[0]));
		}
	if (parts & REGS_FPU)
		differ(d, "mxcsr", kvm->fpu.mxcsr, soft->fpu.mxcsr);
}

void compare_stop(struct diff *d, const struct stop *kvm, const struct stop *soft)
{
	if (kvm->reason != soft->reason) {
		diff_add(d, "  stop: kvm %s (%s) soft %s (%s)\n", stop_reason_name(kvm->reason), kvm->error,
			 stop_reason_name(soft->reason), soft->error);
		if (kvm->reason != STOP_EXCEPTION && soft->reason != STOP_EXCEPTION)
			return;
	} else if (kvm->reason != STOP_EXCEPTION) {
		return;
	}
	differ(d, "vector", kvm->vector, soft->vector);
	if (!rule_no_table(kvm->error_code, soft->error_code))
		differ(d, "error code", kvm->error_code, soft->error_code);
	differ(d, "has error", kvm->has_error, soft->has_error);
	if (kvm->vector == 14 || soft->vector == 14)
		differ(d, "cr2", kvm->cr2, soft->cr2);
}

static void print_entry(struct diff *d, const char *name, const struct mmio_log *l, unsigned i)
{
	const struct mmio_entry *e = &l->v[i];

	if (i < l->n)
		diff_add(d, " %s %s %u at %#llx data %#llx", name, e->write ? "write" : "read", e->len, ULL(e->gpa),
			 ULL(e->data));
	else
		diff_add(d, " %s none", name);
}

void compare_mmio_log(struct diff *d, const struct mmio_log *kvm, const struct mmio_log *soft)
{
	for (unsigned i = 0; i < kvm->n || i < soft->n; i++) {
		if (i < kvm->n && i < soft->n && !memcmp(&kvm->v[i], &soft->v[i], sizeof(kvm->v[i])))
			continue;
		diff_add(d, "  MMIO access %u:", i);
		print_entry(d, "kvm", kvm, i);
		print_entry(d, "soft", soft, i);
		diff_add(d, "\n");
		return;
	}
}

static int compare_range(struct diff *d, struct machine *kvm, struct machine *soft, const struct slot *in, uint64_t len,
			 struct err *e)
{
	uint8_t a[4096], b[4096];

	bool smm = !slot_visible(in, false);

	for (uint64_t at = in->gpa; at < in->gpa + len; at += sizeof(a)) {
		if (machine_read(kvm, at, smm, a, sizeof(a), e) || machine_read(soft, at, smm, b, sizeof(b), e))
			return -1;
		if (!memcmp(a, b, sizeof(a)))
			continue;
		for (unsigned i = 0; i < sizeof(a); i += 8)
			if (memcmp(a + i, b + i, 8)) {
				uint64_t k, s;
				memcpy(&k, a + i, 8);
				memcpy(&s, b + i, 8);
				/* The emulator fetches 15 bytes, of the page behind too. */
				if (k == (s | PTE_A) && events_accessed_by_fetch(at + i))
					continue;
				/* RF in the frame of an exception that was stepped into; flags that may be undefined. */
				if (at + i == GPA_FRAME_FLAGS && !((k ^ s) & ~(RFLAGS_RF | UNDEFINED_ANY)))
					continue;
				if (at + i == GPA_FRAME_ERROR && rule_no_table(k, s))
					continue;
				diff_add(d, "  memory at gpa %#llx: kvm %#llx soft %#llx\n", ULL(at + i), ULL(k), ULL(s));
				break;
			}
	}
	return 0;
}

int compare_memory(struct diff *d, struct machine *kvm, struct machine *soft, bool everything, struct err *e)
{
	const struct slot_table *t = machine_slots(soft);

	for (size_t i = 0; i < t->n; i++) {
		const struct slot *s = t->by_id[i];
		/* Of a large slot the generator aims at the first pages only. */
		uint64_t len = everything || s->size <= RAM_SIZE ? s->size : 0x20000;
		int rc = s->own ? 0 : compare_range(d, kvm, soft, s, len, e);
		if (rc)
			return rc;
	}
	return 0;
}

int compare_mmio_cache(struct diff *d, struct machine *kvm, struct machine *soft, bool kept, struct err *e)
{
	struct mmio_info_list k = {0}, s = {0};
	int rc = machine_mmio(kvm, &k, e);

	if (!rc)
		rc = machine_mmio(soft, &s, e);
	for (size_t i = 0; !rc && i < k.n && i < s.n; i++) {
		d->cache_cleared |= s.v[i].valid && !k.v[i].valid;
		if (!kept || s.v[i].valid)
			differ(d, "MMIO cache valid", k.v[i].valid, s.v[i].valid);
		if (!k.v[i].valid || !s.v[i].valid)
			continue;
		differ(d, "MMIO cache gva", k.v[i].gva, s.v[i].gva);
		differ(d, "MMIO cache gfn", k.v[i].gfn, s.v[i].gfn);
		differ(d, "MMIO cache access", k.v[i].access, s.v[i].access);
	}
	mmio_info_list_free(&k);
	mmio_info_list_free(&s);
	return rc;
}

void regs_print(FILE *f, const char *name, const struct regs *r)
{
	fprintf(f, "%s: rip %#llx rflags %#llx\n", name, ULL(r->rip), ULL(r->rflags));
	for (unsigned i = 0; i < 16; i++)
		fprintf(f, "  %-3s %016llx%s", gpr_name[i], ULL(r->gpr[i]), i % 4 == 3 ? "\n" : "");
}
