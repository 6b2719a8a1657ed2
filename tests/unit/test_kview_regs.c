/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Registers of a parked vCPU out of made-up kernel memory: what VMX, SVM and PVM have there is read, everything else stays
 * as the caller brought it and is marked; bits that say what is there, set and clear; pointers to nowhere; values that move.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/cpu/regs.h"
#include "tests/support/fake_kernel.h"

#define O(what) (1ull << REGS_OLD_##what)
#define SEG_BIT(i, part) (1ull << (REGS_OLD_SEG + 4 * (i) + (part)))
#define SEG_ALL(i) (15ull << (REGS_OLD_SEG + 4 * (i)))
#define SEGS_ALL (O(GDT) - O(SEG))
#define NEVER (O(MSR) | O(FPU)) /* is never read */
#define LAZY (O(RFLAGS) | SEGS_ALL | O(GDT) | O(IDT))
#define TR SEG_COUNT
#define LDT (SEG_COUNT + 1)

struct world {
	struct fake_kernel f;
	struct kview *k;
	struct regs last, now; /* what the caller brings, and what comes back */
	uint64_t vmcb, vmcb01;
};

static uint64_t cpu(const struct world *w)
{
	return w->f.vcpu[0];
}

static uint64_t inside(const struct world *w, const struct kfield *vcpu)
{
	return cpu(w) - (uint64_t)vcpu->off;
}

/* Each register something else; of segments only bits that there are. */
static void fill_last(struct regs *r)
{
	size_t n;
	const struct reg_name *names = reg_names(&n);
	struct err e = {0};

	*r = (struct regs){.valid = REGS_ALL};
	for (size_t i = 0; i < n; i++) {
		uint64_t v = 0x1111 + i * 0x101, mask = names[i].bits < 64 ? (1ull << names[i].bits) - 1 : ~0ull;

		if (strstr(names[i].name, ".flags"))
			mask = 0xf0ff;
		if (strcmp(names[i].group, "part") && names[i].bits <= 64)
			assert_int_equal(reg_set(r, &names[i], v & mask, &e), 0);
	}
}

/* arch.*, as it is on all of them. */
static void fill_arch(struct world *w, uint64_t avail)
{
	struct fake_kernel *f = &w->f;
	const struct klayout *l = &f->l;

	for (unsigned i = 0; i < 17; i++)
		fk_put64(f, cpu(w) + (uint64_t)l->vcpu_regs.off + 8 * i, 0x100 + i);
	fk_set(f, cpu(w), &l->vcpu_regs_avail, avail);
	fk_set(f, cpu(w), &l->vcpu_cr0, 0x80050033);
	fk_set(f, cpu(w), &l->vcpu_cr2, 0x2000);
	fk_set(f, cpu(w), &l->vcpu_cr3, 0x3000);
	fk_set(f, cpu(w), &l->vcpu_cr4, 0x6a0);
	fk_set(f, cpu(w), &l->vcpu_cr8, 8);
	fk_set(f, cpu(w), &l->vcpu_efer, 0xd01);
	fk_set(f, cpu(w), &l->vcpu_xcr0, 7);
	for (unsigned i = 0; i < 4; i++)
		fk_put64(f, cpu(w) + (uint64_t)l->vcpu_db.off + 8 * i, 0xd0 + i);
	fk_set(f, cpu(w), &l->vcpu_dr6, 0xd6);
	fk_set(f, cpu(w), &l->vcpu_dr7, 0xd7);
}

static void assert_arch(const struct regs *r)
{
	assert_int_equal(r->cr2, 0x2000);
	assert_int_equal(r->cr8, 8);
	assert_int_equal(r->efer, 0xd01);
	assert_int_equal(r->xcr0, 7);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(r->dr[i], 0xd0 + i);
	assert_int_equal(r->dr[6], 0xd6);
	assert_int_equal(r->dr[7], 0xd7);
}

static void open_world(struct world *w, enum fk_version v, enum kvendor vendor, bool tdp, uint64_t avail)
{
	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, tdp);
	w->f.host.vendor = vendor;
	w->f.host.ept = tdp && vendor == KVENDOR_VMX;
	fill_last(&w->last);
	fill_arch(w, avail);
	w->k = fk_open(&w->f);
}

static void close_world(struct world *w)
{
	kview_close(w->k);
	fk_free(&w->f);
}

/* Read, and see that exactly these are old and all of those are as they were; $pc is made of two, one of which may be new.
 */
static void read_regs(struct world *w, uint64_t old)
{
	size_t n;
	const struct reg_name *names = reg_names(&n);
	struct err e = {0};

	w->now = w->last;
	if (kview_regs(w->k, 0, &w->now, &e))
		fail_msg("%s: %s", e.what, e.why);
	if (w->now.old != old)
		fail_msg("old is %#llx, not %#llx", (unsigned long long)w->now.old, (unsigned long long)old);
	assert_int_equal(w->now.valid, REGS_ALL);
	for (size_t i = 0; i < n; i++)
		if (reg_is_old(&w->now, &names[i]) && !reg_is_linear(&names[i]) && strcmp(names[i].name, "cr0") &&
		    strcmp(names[i].name, "cr4") && reg_get(&w->now, &names[i]) != reg_get(&w->last, &names[i]))
			fail_msg("%s is old and has changed", names[i].name);
}

/* Bits of regs_avail by number: rsp and rip, and those of enum kavail. */
static uint64_t bits(const struct world *w, unsigned from, unsigned to)
{
	uint64_t b = 0;

	for (unsigned i = from; i <= to; i++)
		b |= 1ull << w->f.l.avail[i];
	return b;
}

#define ALL_BITS (~0ull)
#define RSP_RIP (1ull << 4 | 1ull << 16)

/* ---- VMX */

static void set_vmx(struct world *w, uint64_t cached)
{
	const struct klayout *l = &w->f.l;
	uint64_t vmx = inside(w, &l->vmx_vcpu);

	fk_set(&w->f, vmx, &l->vmx_rflags, 0x10246);
	fk_set(&w->f, vmx, &l->vmx_cached, cached);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = vmx + i * l->vmx_seg.elem;

		fk_set(&w->f, at, &l->vmx_seg_selector, 0x10 + 8 * i);
		fk_set(&w->f, at, &l->vmx_seg_base, 0x50000 + i);
		fk_set(&w->f, at, &l->vmx_seg_limit, 0x60000 + i);
		fk_set(&w->f, at, &l->vmx_seg_ar, i == 7 ? 0x10082 : 0xa09b + (i << 5 & 0x60));
	}
}

/* As right after an exit: nobody has asked for anything. */
static void vmx_nothing_asked(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		uint64_t rip = 5, gpr[16];
		struct err e = {0};
		struct world w;

		open_world(&w, v, KVENDOR_VMX, true, 0);
		fk_set(&w.f, cpu(&w), &w.f.l.vcpu_regs_avail, ALL_BITS & ~(RSP_RIP | bits(&w, KAVAIL_CR0, KAVAIL_SEGMENTS)));
		fk_set(&w.f, cpu(&w), &w.f.l.vcpu_cr0_owned, CR0_TS);
		fk_set(&w.f, cpu(&w), &w.f.l.vcpu_cr4_owned, CR4_PGE | CR4_OSXSAVE);
		w.last.cr0 = CR0_TS | CR0_AM;
		w.last.cr4 = CR4_OSXSAVE | CR4_DE;
		set_vmx(&w, 0xffffffff); /* of an earlier exit: SEGMENTS is not set */
		read_regs(&w, 1ull << RSP | O(RIP) | LAZY | O(CR0) | O(CR3) | O(CR4) | NEVER);
		assert_arch(&w.now);
		assert_int_equal(w.now.gpr[RAX], 0x100);
		assert_int_equal(w.now.gpr[R15], 0x10f);
		/* The host's bits of now, the guest's of then. */
		assert_int_equal(w.now.cr0, 0x80050033 | CR0_TS);
		assert_int_equal(w.now.cr4, (0x6a0 & ~CR4_PGE) | CR4_OSXSAVE);
		assert_int_equal(kview_rip(w.k, 0, &rip, &e), -ENODATA);
		assert_int_equal(kview_gprs(w.k, 0, gpr, &rip), -ENODATA);
		assert_int_equal(rip, 5);
		close_world(&w);
	}
}

static void vmx_all_asked(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		uint64_t rip, gpr[16];
		struct err e = {0};
		struct world w;

		open_world(&w, v, KVENDOR_VMX, true, ALL_BITS);
		fk_set(&w.f, cpu(&w), &w.f.l.vcpu_cr0_owned, CR0_TS);
		set_vmx(&w, 0xffffffff);
		read_regs(&w, O(GDT) | O(IDT) | NEVER);
		assert_arch(&w.now);
		assert_int_equal(w.now.rflags, 0x10246);
		assert_int_equal(w.now.cr0, 0x80050033);
		assert_int_equal(w.now.cr3, 0x3000);
		assert_int_equal(w.now.cr4, 0x6a0);
		assert_int_equal(w.now.seg[SEG_CS].selector, 0x18);
		assert_int_equal(w.now.seg[SEG_CS].base, 0x50001);
		assert_int_equal(w.now.seg[SEG_CS].limit, 0x60001);
		assert_int_equal(w.now.seg[SEG_CS].type, 11);
		assert_int_equal(w.now.seg[SEG_CS].dpl, 1);
		assert_true(w.now.seg[SEG_CS].l && w.now.seg[SEG_CS].present && !w.now.seg[SEG_CS].unusable);
		assert_int_equal(w.now.tr.base, 0x50006);
		assert_int_equal(w.now.ldt.selector, 0x48);
		assert_true(w.now.ldt.unusable && !w.now.ldt.present);
		assert_int_equal(kview_rip(w.k, 0, &rip, &e), 0);
		assert_int_equal(rip, 0x110);
		assert_int_equal(kview_gprs(w.k, 0, gpr, &rip), 0);
		assert_int_equal(gpr[15], 0x10f);
		close_world(&w);
	}
}

/* KVM has asked for SS' rights (for the CPL) and CS' base alone. */
static void vmx_parts_of_segments(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, FK_6_18, KVENDOR_VMX, true, ALL_BITS);
	set_vmx(&w, 1u << (4 * SEG_SS + OLD_FLAGS) | 1u << (4 * SEG_CS + OLD_BASE) | 1u << (4 * LDT + OLD_LIMIT));
	read_regs(&w, (SEGS_ALL & ~SEG_BIT(SEG_SS, OLD_FLAGS) & ~SEG_BIT(SEG_CS, OLD_BASE) & ~SEG_BIT(LDT, OLD_LIMIT)) |
			  O(GDT) | O(IDT) | NEVER);
	assert_int_equal(w.now.seg[SEG_SS].dpl, 2);
	assert_int_equal(w.now.seg[SEG_CS].base, 0x50001);
	assert_int_equal(w.now.ldt.limit, 0x60007);
	assert_false(regs_cpl_is_old(&w.now) && !regs_mode_is_old(&w.now));
	close_world(&w);
}

static void vmx_real_mode_by_vm86(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, FK_6_1, KVENDOR_VMX, true, ALL_BITS);
	set_vmx(&w, 0xffffffff);
	fk_set(&w.f, inside(&w, &w.f.l.vmx_vcpu), &w.f.l.vmx_vm86, 1);
	read_regs(&w, SEGS_ALL | O(GDT) | O(IDT) | NEVER);
	close_world(&w);
}

/* Without EPT each load of CR3 is an exit. */
static void vmx_without_ept(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, FK_6_12, KVENDOR_VMX, false, 0);
	fk_set(&w.f, cpu(&w), &w.f.l.vcpu_regs_avail, ALL_BITS & ~bits(&w, KAVAIL_CR0, KAVAIL_SEGMENTS));
	/* Nor are any bits the guest's own. */
	read_regs(&w, LAZY | NEVER);
	assert_int_equal(w.now.cr0, 0x80050033);
	assert_int_equal(w.now.cr3, 0x3000);
	assert_int_equal(w.now.cr4, 0x6a0);
	close_world(&w);
}

/* The layout lacks a piece: what hangs on it is old. */
static void vmx_members_missing(void **state)
{
	static const struct {
		size_t field;
		uint64_t old;
	} c[] = {
	    {offsetof(struct klayout, vmx_vcpu), LAZY},	      {offsetof(struct klayout, vmx_rflags), O(RFLAGS)},
	    {offsetof(struct klayout, vmx_cached), SEGS_ALL}, {offsetof(struct klayout, vmx_seg), SEGS_ALL},
	    {offsetof(struct klayout, vmx_vm86), SEGS_ALL},   {offsetof(struct klayout, vcpu_dr6), O(DR)},
	    {offsetof(struct klayout, vcpu_db), O(DR)},	      {offsetof(struct klayout, vcpu_cr2), O(CR2)},
	    {offsetof(struct klayout, vcpu_efer), O(EFER)},   {offsetof(struct klayout, vcpu_cr0), O(CR0)},
	    {offsetof(struct klayout, vcpu_apic), O(CR8)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct world w;

		open_world(&w, FK_6_18, KVENDOR_VMX, true, ALL_BITS);
		set_vmx(&w, 0xffffffff);
		((struct kfield *)((char *)&w.f.l + c[i].field))->off = -1;
		read_regs(&w, c[i].old | O(GDT) | O(IDT) | NEVER);
		close_world(&w);
	}
}

/* No enum kvm_reg: nobody knows which bit is whose. Nor are guest-owned bits known where that member is missing. */
static void vmx_bits_not_known(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, FK_6_18, KVENDOR_VMX, true, ALL_BITS);
	set_vmx(&w, 0xffffffff);
	memset(w.f.l.avail, -1, sizeof(w.f.l.avail));
	w.f.l.vcpu_cr4_owned.off = -1;
	read_regs(&w, LAZY | O(CR3) | O(CR4) | NEVER);
	assert_int_equal(w.now.cr0, 0x80050033);
	assert_int_equal(w.now.cr4, w.last.cr4);
	close_world(&w);
}

/* ---- SVM */

static void put_vmcb_seg(struct world *w, uint64_t vmcb, const struct kfield *f, unsigned i, unsigned attrib)
{
	const struct klayout *l = &w->f.l;
	uint64_t at = vmcb + (uint64_t)f->off;

	fk_set(&w->f, at, &l->vmcb_seg_selector, 0x10 + 8 * i);
	fk_set(&w->f, at, &l->vmcb_seg_attrib, attrib);
	fk_set(&w->f, at, &l->vmcb_seg_limit, i & 1 ? 0xffffffff : 0x6000 + i);
	fk_set(&w->f, at, &l->vmcb_seg_base, 0x70000 + i);
}

static void set_vmcb(struct world *w, uint64_t vmcb, unsigned first)
{
	const struct klayout *l = &w->f.l;
	const struct kfield *f[] = {&l->vmcb_es, &l->vmcb_cs, &l->vmcb_ss,   &l->vmcb_ds,   &l->vmcb_fs,
				    &l->vmcb_gs, &l->vmcb_tr, &l->vmcb_ldtr, &l->vmcb_gdtr, &l->vmcb_idtr};

	for (unsigned i = 0; i < ARRAY_LEN(f); i++)
		put_vmcb_seg(w, vmcb, f[i], first + i, i == SEG_CS ? 0x29b : i == SEG_SS ? 0x400 : i == TR ? 0x89 : 0x492);
	fk_set(&w->f, vmcb, &l->vmcb_cpl, 3);
	fk_set(&w->f, vmcb, &l->vmcb_rflags, 0x10202);
}

static void open_svm(struct world *w, enum fk_version v)
{
	uint64_t svm;

	open_world(w, v, KVENDOR_SVM, true, ALL_BITS);
	svm = inside(w, &w->f.l.svm_vcpu);
	w->vmcb = w->vmcb01 = fk_alloc_page(&w->f);
	set_vmcb(w, w->vmcb, 0);
	fk_set(&w->f, svm, &w->f.l.svm_vmcb, w->vmcb);
	fk_set(&w->f, svm, &w->f.l.svm_vmcb01, w->vmcb01);
}

static void svm_all_in_the_vmcb(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct world w;

		open_svm(&w, v);
		read_regs(&w, NEVER);
		assert_arch(&w.now);
		assert_int_equal(w.now.rip, 0x110);
		assert_int_equal(w.now.rflags, 0x10202);
		assert_int_equal(w.now.cr0, 0x80050033);
		assert_int_equal(w.now.cr3, 0x3000);
		assert_int_equal(w.now.seg[SEG_CS].selector, 0x18);
		assert_int_equal(w.now.seg[SEG_CS].base, 0x70001);
		assert_int_equal(w.now.seg[SEG_CS].limit, 0xffffffff);
		assert_true(w.now.seg[SEG_CS].l && w.now.seg[SEG_CS].g && w.now.seg[SEG_CS].present);
		assert_int_equal(w.now.seg[SEG_CS].type, 11);
		/* What the processor does not save, KVM makes up. */
		assert_int_equal(w.now.seg[SEG_DS].type, 3);
		assert_true(w.now.seg[SEG_DS].db && w.now.seg[SEG_DS].g && !w.now.seg[SEG_ES].g);
		assert_true(w.now.seg[SEG_SS].unusable && !w.now.seg[SEG_SS].db);
		assert_int_equal(w.now.seg[SEG_SS].dpl, 3);
		assert_int_equal(w.now.tr.type, 11);
		assert_int_equal(w.now.ldt.base, 0x70007);
		assert_int_equal(w.now.gdt.base, 0x70008);
		assert_int_equal(w.now.gdt.limit, 0x6008);
		assert_int_equal(w.now.idt.base, 0x70009);
		assert_int_equal(w.now.idt.limit, 0xffff);
		close_world(&w);
	}
}

/* A nested guest: VMSAVE goes to the first VMCB all the same. */
static void svm_two_vmcbs(void **state)
{
	struct world w;

	(void)state;
	open_svm(&w, FK_6_12);
	w.vmcb01 = fk_alloc_page(&w.f);
	set_vmcb(&w, w.vmcb01, 20);
	fk_set(&w.f, inside(&w, &w.f.l.svm_vcpu), &w.f.l.svm_vmcb01, w.vmcb01);
	read_regs(&w, NEVER);
	assert_int_equal(w.now.seg[SEG_DS].base, 0x70003);
	assert_int_equal(w.now.gdt.base, 0x70008);
	assert_int_equal(w.now.seg[SEG_FS].base, 0x70000 + 24);
	assert_int_equal(w.now.seg[SEG_GS].base, 0x70000 + 25);
	assert_int_equal(w.now.tr.base, 0x70000 + 26);
	assert_int_equal(w.now.ldt.base, 0x70000 + 27);
	close_world(&w);
}

static void svm_pointers_to_nowhere(void **state)
{
	static const uint64_t bad[] = {
	    0, 0x1000, 0x7fffffffe000, 0xffff888000100010, 0xffff8880f0000000, ~0ull, 0xfffffffffffff000};
	const uint64_t saved = SEG_ALL(SEG_FS) | SEG_ALL(SEG_GS) | SEG_ALL(TR) | SEG_ALL(LDT);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct world w;
		uint64_t svm;

		open_svm(&w, FK_6_18);
		svm = inside(&w, &w.f.l.svm_vcpu);
		fk_set(&w.f, svm, &w.f.l.svm_vmcb01, bad[i]);
		read_regs(&w, saved | NEVER);
		fk_set(&w.f, svm, &w.f.l.svm_vmcb, bad[i]);
		read_regs(&w, LAZY | NEVER);
		fk_set(&w.f, svm, &w.f.l.svm_vmcb, w.vmcb);
		fk_unmap(&w.f, w.vmcb);
		read_regs(&w, LAZY | NEVER);
		close_world(&w);
	}
}

static void svm_members_missing(void **state)
{
	static const struct {
		size_t field;
		uint64_t old;
	} c[] = {
	    {offsetof(struct klayout, svm_vcpu), LAZY},
	    {offsetof(struct klayout, svm_vmcb), LAZY},
	    {offsetof(struct klayout, vmcb_seg_attrib), SEGS_ALL | O(GDT) | O(IDT)},
	    {offsetof(struct klayout, vmcb_cpl), SEG_ALL(SEG_SS)},
	    {offsetof(struct klayout, vmcb_gs), SEG_ALL(SEG_GS)},
	    {offsetof(struct klayout, vmcb_gdtr), O(GDT)},
	    {offsetof(struct klayout, vmcb_rflags), O(RFLAGS)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct world w;

		open_svm(&w, FK_6_18);
		((struct kfield *)((char *)&w.f.l + c[i].field))->off = -1;
		read_regs(&w, c[i].old | NEVER);
		close_world(&w);
	}
}

/* ---- PVM */

static void set_pvm(struct world *w)
{
	const struct klayout *l = &w->f.l;
	uint64_t pvm = inside(w, &l->pvm_vcpu);
	struct kvm_segment seg[8];

	for (unsigned i = 0; i < 8; i++)
		seg[i] = (struct kvm_segment){.base = 0x90000 + i,
					      .limit = 0xfffff,
					      .selector = (uint16_t)(0x10 + 8 * i),
					      .type = 0xfb,
					      .present = 1,
					      .dpl = 0xff,
					      .s = 1,
					      .l = 1};
	fk_set(&w->f, pvm, &l->pvm_rflags, 0x246);
	if (l->pvm_seg.off >= 0)
		fk_put(&w->f, pvm + (uint64_t)l->pvm_seg.off, seg, sizeof(seg));
	fk_put(&w->f, pvm + (uint64_t)l->pvm_gdt.off, "\x3f\0\0\x50\0\0\0\0\0\0", 10);
	fk_put(&w->f, pvm + (uint64_t)l->pvm_idt.off, "\xff\x0f\0\x60\0\0\0\0\0\0", 10);
}

/* regs_avail says nothing there. The other PVM has CS and SS elsewhere, so its segments are not taken. */
static void pvm_has_all_in_memory(void **state)
{
	(void)state;
	for (unsigned v = FK_5_10; v <= FK_7; v++) {
		struct regs none = {0};
		struct err e = {0};
		struct world w;

		open_world(&w, v, KVENDOR_PVM, false, 0);
		fk_set(&w.f, cpu(&w), &w.f.l.vcpu_cr0_owned, ~0ull);
		set_pvm(&w);
		read_regs(&w, NEVER | (v == FK_7 ? SEGS_ALL : 0));
		assert_arch(&w.now);
		assert_int_equal(w.now.rip, 0x110);
		assert_int_equal(w.now.rflags, 0x246);
		assert_int_equal(w.now.cr0, 0x80050033);
		assert_int_equal(w.now.cr3, 0x3000);
		assert_int_equal(w.now.gdt.base, 0x5000);
		assert_int_equal(w.now.gdt.limit, 0x3f);
		assert_int_equal(w.now.idt.base, 0x6000);
		assert_int_equal(kview_regs(w.k, 0, &none, &e), 0);
		assert_int_equal(none.valid, REGS_GPR | REGS_DEBUG | (v == FK_7 ? 0 : REGS_SYS));
		if (v < FK_7) {
			assert_int_equal(w.now.seg[SEG_CS].base, 0x90001);
			assert_int_equal(w.now.seg[SEG_CS].type, 11);
			assert_int_equal(w.now.seg[SEG_CS].dpl, 3);
			assert_int_equal(w.now.ldt.selector, 0x48);
		}
		w.f.l.pvm_gdt.size = 16;
		w.f.l.pvm_rflags.off = -1;
		read_regs(&w, NEVER | (v == FK_7 ? SEGS_ALL : 0) | O(GDT) | O(RFLAGS));
		close_world(&w);
	}
}

/* ---- all of them */

static void an_apic_in_the_kernel_has_cr8(void **state)
{
	struct world w;

	(void)state;
	open_svm(&w, FK_6_18);
	fk_set(&w.f, cpu(&w), &w.f.l.vcpu_apic, FK_BASE + 0x4000);
	read_regs(&w, O(CR8) | NEVER);
	close_world(&w);
}

static void smm_is_the_callers(void **state)
{
	struct world w;

	(void)state;
	open_svm(&w, FK_6_18);
	w.last.smm = true;
	w.last.old = O(SMM) | O(CR2);
	read_regs(&w, O(SMM) | NEVER);
	assert_true(w.now.smm);
	close_world(&w);
}

static void a_debuggers_step_is_hidden(void **state)
{
	struct world w;

	(void)state;
	open_svm(&w, FK_6_18);
	fk_set(&w.f, w.vmcb, &w.f.l.vmcb_rflags, 0x302);
	read_regs(&w, NEVER);
	assert_int_equal(w.now.rflags, 0x302);
	fk_set(&w.f, cpu(&w), &w.f.l.vcpu_guest_debug, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
	read_regs(&w, NEVER);
	assert_int_equal(w.now.rflags, 0x202);
	/* Where rflags is that of the last stop, it has no such bit. */
	w.f.l.vmcb_rflags.off = -1;
	w.last.rflags = 0x302;
	read_regs(&w, O(RFLAGS) | NEVER);
	assert_int_equal(w.now.rflags, 0x302);
	close_world(&w);
}

/* rip changes at each of its first `arg` reads. */
static void move_rip(struct fake_kernel *f, uint64_t n, uint64_t addr)
{
	int *left = f->arg;

	(void)n;
	if (addr == f->vcpu[0] + (uint64_t)f->l.vcpu_regs.off && (*left)-- > 0)
		fk_put64(f, addr + 8 * 16, 0x5000 + (unsigned)*left);
}

static void what_moves_is_read_again(void **state)
{
	int left = 2;
	struct err e = {0};
	struct world w;

	(void)state;
	open_svm(&w, FK_6_18);
	w.f.on_read = move_rip;
	w.f.arg = &left;
	read_regs(&w, NEVER);
	assert_int_equal(w.now.rip, 0x5000);
	left = 1000;
	w.now = w.last;
	assert_int_equal(kview_regs(w.k, 0, &w.now, &e), -EAGAIN);
	assert_memory_equal(&w.now, &w.last, sizeof(w.last));
	w.f.on_read = NULL;
	close_world(&w);
}

static void nothing_to_say(void **state)
{
	uint64_t rip = 5;
	struct regs r;
	struct err e = {0};
	struct world w;

	(void)state;
	/* Some general registers are old, and nobody has them. */
	open_world(&w, FK_6_18, KVENDOR_VMX, true, ALL_BITS & ~RSP_RIP);
	r = (struct regs){0};
	assert_int_equal(kview_regs(w.k, 0, &r, &e), -ENODATA);
	assert_int_equal(r.valid, 0);
	/* None is there. */
	fk_set(&w.f, cpu(&w), &w.f.l.vcpu_regs_avail, 0);
	r = w.last;
	assert_int_equal(kview_regs(w.k, 0, &r, &e), -ENODATA);
	assert_memory_equal(&r, &w.last, sizeof(r));
	w.f.l.vcpu_regs_avail.off = -1;
	assert_int_equal(kview_regs(w.k, 0, &r, &e), -ENODATA);
	assert_int_equal(kview_regs(w.k, 1, &r, &e), -EINVAL);
	fk_unmap(&w.f, cpu(&w));
	fk_unmap(&w.f, cpu(&w) + 4096);
	assert_int_equal(kview_regs(w.k, 0, &r, &e), -EFAULT);
	assert_int_equal(kview_rip(w.k, 0, &rip, &e), -EFAULT);
	assert_int_equal(rip, 5);
	assert_memory_equal(&r, &w.last, sizeof(r));
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vmx_nothing_asked),
	    cmocka_unit_test(vmx_all_asked),
	    cmocka_unit_test(vmx_parts_of_segments),
	    cmocka_unit_test(vmx_real_mode_by_vm86),
	    cmocka_unit_test(vmx_without_ept),
	    cmocka_unit_test(vmx_members_missing),
	    cmocka_unit_test(vmx_bits_not_known),
	    cmocka_unit_test(svm_all_in_the_vmcb),
	    cmocka_unit_test(svm_two_vmcbs),
	    cmocka_unit_test(svm_pointers_to_nowhere),
	    cmocka_unit_test(svm_members_missing),
	    cmocka_unit_test(pvm_has_all_in_memory),
	    cmocka_unit_test(an_apic_in_the_kernel_has_cr8),
	    cmocka_unit_test(smm_is_the_callers),
	    cmocka_unit_test(a_debuggers_step_is_hidden),
	    cmocka_unit_test(what_moves_is_read_again),
	    cmocka_unit_test(nothing_to_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
