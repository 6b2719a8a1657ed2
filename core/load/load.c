/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * From an image into a machine: slots, bytes, tables, registers. May be done again at any time: what the debugger put there
 * is put there again, slots stay as they are.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/load/image_impl.h"

/* ---- slots */

static int add_slot(struct machine *m, const struct slot_spec *spec, struct err *e)
{
	struct slot_steps steps = {0};

	return machine_slot_add(m, spec, &steps, e);
}

static int make_demo_slots(const struct image *img, struct machine *m, struct err *e)
{
	const struct demo *d = img->demo;
	int lacking = machine_check_caps(m, d->needs, img->name, e);

	if (lacking)
		return lacking;
	for (size_t i = 0; i < ARRAY_LEN(d->slot) && d->slot[i].size; i++) {
		const struct demo_slot *s = &d->slot[i];
		struct slot_spec spec = {.id = s->id, .vis = s->vis, .gpa = s->gpa, .size = s->size, .flags = s->flags};
		int rc = add_slot(m, &spec, e);

		if (rc)
			return rc;
	}
	if (d->window) {
		struct board_window w = board_scratch_window(d->window, d->window_gpa, d->window_size);

		return board_add_window(machine_board(m), &w, e);
	}
	return 0;
}

int image_make_slots(struct image *img, struct machine *m, struct err *e)
{
	struct slot_spec low = {.id = 0, .vis = SLOT_VIS_BOTH, .gpa = 0, .size = image_low_ram(img)};
	struct slot_spec high = {.id = 1, .vis = SLOT_VIS_BOTH, .gpa = IMAGE_HIGH, .size = image_high_ram(img)};
	int rc;

	if (img->demo)
		return make_demo_slots(img, m, e);
	rc = add_slot(m, &low, e);
	if (!rc && high.size)
		rc = add_slot(m, &high, e);
	return rc;
}

/* ---- bytes */

/* Memory that only SMM sees is written as SMM sees it. */
static bool in_smram(const struct image *img, uint64_t gpa)
{
	if (!img->demo)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(img->demo->slot) && img->demo->slot[i].size; i++) {
		const struct demo_slot *s = &img->demo->slot[i];

		if (gpa - s->gpa < s->size)
			return s->vis == SLOT_VIS_SMM;
	}
	return false;
}

static int write_zeroes(struct machine *m, uint64_t gpa, bool smm, uint64_t len, struct err *e)
{
	static const uint8_t zeros[0x10000];

	while (len) {
		size_t n = len < sizeof(zeros) ? len : sizeof(zeros);
		int rc = machine_write(m, gpa, smm, zeros, n, e);

		if (rc)
			return rc;
		gpa += n;
		len -= n;
	}
	return 0;
}

static int write_segs(const struct image *img, struct machine *m, struct err *e)
{
	for (unsigned i = 0; i < img->n_segs; i++) {
		const struct image_seg *s = &img->seg[i];
		bool smm = in_smram(img, s->gpa);
		int rc = s->filesz ? machine_write(m, s->gpa, smm, s->data, s->filesz, e) : 0;

		/* Slots are born zeroed; later on the guest has been there. */
		if (!rc && img->loaded)
			rc = write_zeroes(m, s->gpa + s->filesz, smm, s->memsz - s->filesz, e);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- what a mode needs */

static bool has_paging(enum entry_mode mode)
{
	return mode == ENTRY_LONG || mode == ENTRY_USER;
}

static int write_tables(const struct image *img, struct machine *m, struct err *e)
{
	struct tables t;
	int rc = image_tables(img, img->layout.tables, &t, e);

	if (rc)
		return rc;
	rc = machine_write(m, t.gpa, false, t.entry, t.n * PAGE_SIZE_4K, e);
	tables_deinit(&t);
	return rc;
}

static uint64_t stack_top(const struct image *img, unsigned vcpu)
{
	return img->layout.stacks + (vcpu + 1) * ENTRY_STACK;
}

static uint64_t rsp_of(const struct image *img, unsigned vcpu)
{
	if (img->demo)
		return img->demo->cpu[vcpu < img->demo->vcpus ? vcpu : img->demo->vcpus - 1].rsp;
	return img->mode == ENTRY_REAL ? 0x7c00 : stack_top(img, vcpu) - 16;
}

static int write_gdt(const struct image *img, const struct entry *en, struct machine *m, struct err *e)
{
	uint8_t buf[ENTRY_GDT_SIZE(64)], tss[ENTRY_TSS_SIZE];
	int rc;

	entry_gdt(en, buf);
	rc = machine_write(m, en->gdt, false, buf, has_paging(en->mode) ? ENTRY_GDT_SIZE(en->vcpus) : ENTRY_TSS, e);
	for (unsigned i = 0; !rc && has_paging(en->mode) && i < en->vcpus; i++) {
		entry_tss(rsp_of(img, i), tss);
		rc = machine_write(m, en->tss + i * ENTRY_TSS_SIZE, false, tss, sizeof(tss), e);
	}
	return rc;
}

static int write_info(const struct image *img, struct machine *m, struct err *e)
{
	uint8_t buf[0x800];
	size_t n = image_multiboot_info(img, img->layout.info, buf, sizeof(buf));

	return machine_write(m, img->layout.info, false, buf, n, e);
}

static int write_support(const struct image *img, const struct entry *en, struct machine *m, struct err *e)
{
	int rc = 0;

	if (en->mode == ENTRY_REAL)
		return 0;
	if (has_paging(en->mode))
		rc = write_tables(img, m, e);
	if (!rc)
		rc = write_gdt(img, en, m, e);
	if (!rc && img->format == IMAGE_MULTIBOOT)
		rc = write_info(img, m, e);
	return rc;
}

/* ---- vCPUs */

static struct entry entry_of(const struct image *img, const struct machine *m, unsigned vcpu)
{
	struct entry en = {
	    .mode = img->mode,
	    .vcpu = vcpu,
	    .vcpus = machine_vcpus(m),
	    .rip = img->entry,
	    .rsp = rsp_of(img, vcpu),
	    .cr3 = img->layout.tables,
	    .gdt = img->layout.gdt,
	    .tss = img->layout.tss,
	};

	if (img->demo) {
		const struct demo_cpu *c = &img->demo->cpu[vcpu < img->demo->vcpus ? vcpu : img->demo->vcpus - 1];

		en.mode = c->mode;
		en.rip = symbols_by_name(&img->syms, c->entry)->addr;
	}
	return en;
}

static int enter_vcpu(const struct image *img, struct machine *m, unsigned vcpu, struct err *e)
{
	struct entry en = entry_of(img, m, vcpu);
	struct regs r;
	int rc = machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS, &r, e);

	if (rc)
		return rc;
	entry_regs(&en, &r);
	if (img->format == IMAGE_MULTIBOOT) {
		r.gpr[RAX] = 0x2badb002;
		r.gpr[RBX] = img->layout.info;
	}
	return machine_set_regs(m, vcpu, REGS_GPR | REGS_SYS, &r, e);
}

int image_load(struct image *img, struct machine *m, struct err *e)
{
	struct entry en = entry_of(img, m, 0);
	int rc;

	if (en.vcpus > img->vcpus)
		return err_set(e, -EINVAL, "load %s" WHY "it was opened for %u vCPUs, the machine has %u" TRY "-n %u",
			       img->name, img->vcpus, en.vcpus, img->vcpus);
	rc = machine_reset(m, e);
	if (!rc)
		rc = write_segs(img, m, e);
	if (!rc)
		rc = write_support(img, &en, m, e);
	for (unsigned i = 0; !rc && i < en.vcpus; i++)
		rc = enter_vcpu(img, m, i, e);
	if (!rc)
		img->loaded = true;
	return rc;
}
