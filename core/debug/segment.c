/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Selectors, descriptors and what the vCPU has loaded of them.
 */
#include "core/debug/segment.h"

#include <errno.h>
#include <strings.h>

static const char *const names[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

int segment_by_name(const char *name)
{
	for (int i = 0; i < SEG_COUNT; i++)
		if (!strcasecmp(name, names[i]))
			return i;
	return -1;
}

/* What is wrong with a selector, said the same way everywhere. */
#define BAD(e, sel, words, ...) err_set(e, -EINVAL, "selector 0x%x" WHY words, (unsigned)(sel), ##__VA_ARGS__)

static int check_offset(const struct regs *r, uint64_t offset, struct err *e)
{
	if (regs_mode(r) == CPU_LONG64 || offset <= UINT32_MAX)
		return 0;
	return err_set(e, -ERANGE,
		       "offset 0x%llx" WHY "outside 64-bit code an offset has 32 bits" TRY
		       "a linear address, without a segment",
		       (unsigned long long)offset);
}

/* What IP, or an effective address of 16 bits, cannot be. limit: the segment's, which may be more than real mode gives it.
 */
static int check_real_offset(uint64_t offset, uint64_t limit, struct err *e)
{
	if (offset <= 0xffff || offset <= limit)
		return 0;
	return err_set(e, -ERANGE,
		       "offset 0x%llx" WHY "in real mode an offset has 16 bits" TRY
		       "a higher segment, or a linear address without one",
		       (unsigned long long)offset);
}

static bool is_real(const struct regs *r)
{
	return regs_mode(r) == CPU_REAL || regs_mode(r) == CPU_VM86;
}

struct descriptor {
	uint32_t base, flags; /* flags: the second word as it stands in the table */
};

static bool is_64bit_code(const struct descriptor *d)
{
	return (d->flags >> 11 & 1) && (d->flags >> 21 & 1);
}

static int read_descriptor(struct machine *m, unsigned vcpu, const struct regs *r, uint16_t sel, struct descriptor *out,
			   struct err *e)
{
	bool local = sel & 4;
	uint64_t base = local ? r->ldt.base : r->gdt.base, limit = local ? r->ldt.limit : r->gdt.limit;
	const char *table = local ? "LDT" : "GDT";
	uint32_t word[2];
	int rc;

	if (sel <= 3)
		return BAD(e, sel, "it is the null selector" TRY "a selector of the GDT, or a linear address");
	if (local && (r->ldt.unusable || !r->ldt.present))
		return BAD(e, sel, "it is of the LDT, and none is loaded" TRY "a selector of the GDT");
	if ((sel | 7u) > limit)
		return BAD(e, sel, "it is beyond the end of the %s, whose limit is 0x%llx" TRY "info registers", table,
			   (unsigned long long)limit);
	rc = machine_read_gva(m, vcpu, base + (sel & ~7u), word, sizeof(word), e);
	if (rc) {
		err_prefix(e, "descriptor of selector 0x%x in the %s: ", sel, table);
		return rc;
	}
	*out =
	    (struct descriptor){.base = word[0] >> 16 | (word[1] & 0xff) << 16 | (word[1] & 0xff000000), .flags = word[1]};
	return 0;
}

static int check_descriptor(uint16_t sel, const struct descriptor *d, struct err *e)
{
	if (!(d->flags >> 12 & 1))
		return BAD(e, sel,
			   "its descriptor is of the system type %u (a gate, TSS or LDT), no code or data" TRY
			   "a selector of code or data",
			   d->flags >> 8 & 15);
	if (!(d->flags >> 15 & 1))
		return BAD(e, sel, "its descriptor is marked as not present" TRY "a selector that is");
	return 0;
}

/* 64-bit code takes no base out of a descriptor; what a far jump into code of 32 bits would use, counts. */
static uint64_t through_descriptor(const struct regs *r, const struct descriptor *d, uint64_t offset)
{
	bool code = d->flags >> 11 & 1;

	if ((r->efer & EFER_LMA) && is_64bit_code(d))
		return offset;
	if (regs_mode(r) == CPU_LONG64 && !code)
		return offset;
	return (uint32_t)(d->base + offset);
}

int segment_linear(struct machine *m, unsigned vcpu, uint64_t selector, uint64_t offset, uint64_t *out, struct err *e)
{
	struct descriptor d = {0};
	struct regs r = {0};
	int rc = m ? machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS, &r, e) : 0;

	if (!rc && selector > 0xffff)
		rc = err_set(e, -EINVAL, "selector 0x%llx" WHY "a selector has 16 bits" TRY "0x7c0:0x10",
			     (unsigned long long)selector);
	if (!rc)
		rc = check_offset(&r, offset, e);
	if (rc)
		return rc;
	if (is_real(&r)) {
		rc = check_real_offset(offset, 0, e);
		if (rc)
			return rc;
		*out = (uint32_t)(selector * 16 + offset);
		return 0;
	}
	rc = read_descriptor(m, vcpu, &r, (uint16_t)selector, &d, e);
	if (!rc)
		rc = check_descriptor((uint16_t)selector, &d, e);
	if (!rc)
		*out = through_descriptor(&r, &d, offset);
	return rc;
}

int segment_reg_linear(struct machine *m, unsigned vcpu, unsigned seg, uint64_t offset, uint64_t *out, struct err *e)
{
	struct regs r;
	int rc = machine_get_regs(m, vcpu, REGS_GPR | REGS_SYS, &r, e);

	if (!rc)
		rc = check_offset(&r, offset, e);
	if (!rc && is_real(&r))
		rc = check_real_offset(offset, r.seg[seg].limit, e);
	if (rc)
		return rc;
	if ((r.cr0 & CR0_PE) && regs_mode(&r) != CPU_LONG64 && r.seg[seg].unusable)
		return BAD(e, r.seg[seg].selector, "$%s has nothing loaded" TRY "a selector of code or data", names[seg]);
	*out = regs_linear(&r, seg, offset);
	return 0;
}
