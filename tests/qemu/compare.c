/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One job, when both machines have run it: what the guest noted about each access, and the tables.
 *
 * QEMU sets the accessed bit of each entry on its way down (of pages of 1 GiB too), before it knows that the access is
 * allowed; soft, as KVM does, when the walk has ended well (SDM vol. 3A 4.8 leaves this open). So a bit that QEMU alone has
 * is looked up in the list of the job's faults: it must be of a table that one of them went through.
 */
#include "tests/qemu/qemu.h"

#include <inttypes.h>
#include <string.h>

#include "core/mem/paging_bits.h"

/* The tables while the job's accesses are gone through again, and which bits each entry may have in QEMU alone. */
struct replay {
	struct paging pg;
	uint64_t base;
	uint8_t work[JOB_BYTES], may[JOB_BYTES];
};

static void note_text(char *buf, size_t size, const struct access_note *n)
{
	const char *how = n->vector == VECTOR_DONE ? "done" : n->vector == VECTOR_FETCHED ? "fetched" : "vector";

	snprintf(buf, size, "%s %" PRIu32 " error %#" PRIx32 " cr2 %#" PRIx64 " data %#" PRIx64 " at %#" PRIx32 ":%#" PRIx32,
		 how, n->vector, n->error, n->cr2, n->data, n->cs, n->ip);
}

static uint64_t entry_of(const struct replay *r, uint64_t gpa)
{
	uint64_t v = 0;

	memcpy(&v, r->work + (gpa - r->base), paging_entry_size(&r->pg));
	return v;
}

/* Entries on the way to gva: each gets bits in may; the last one, of the page itself, gets leaf. Text too, where asked. */
static void path(struct replay *r, uint64_t gva, uint8_t leaf, struct diff *d)
{
	uint64_t table = paging_root(&r->pg);

	for (unsigned level = paging_top(&r->pg); level; level--) {
		uint64_t index = gva >> paging_shift(&r->pg, level) & (paging_entries(&r->pg, level) - 1);
		uint64_t gpa = table + index * paging_entry_size(&r->pg);
		if (gpa - r->base >= JOB_BYTES)
			return;
		uint64_t e = entry_of(r, gpa);
		bool last = paging_is_leaf(&r->pg, level, e);
		if (d)
			diff_add(d, "  level %u: entry %#" PRIx64 " at %#" PRIx64 "\n", level, e, gpa);
		if (!(e & PTE_P))
			return;
		r->may[gpa - r->base] |= last && level < 3 ? leaf : (uint8_t)(leaf | PTE_A);
		if (last)
			return;
		table = e & (r->pg.mode == PAGING_32BIT ? 0xfffff000 : PTE_ADDRESS);
	}
}

/* Bring the replay past one access. */
static void follow(struct replay *r, const struct access_note *a, const struct access_note *noted)
{
	uint32_t at = (uint32_t)a->gva - TABLES_ALIAS;

	if (noted->vector == 14) {
		path(r, noted->cr2, 0, NULL);
		if (noted->cr2 >> 12 != a->gva >> 12) /* the second page of two */
			path(r, a->gva, PTE_A | PTE_D, NULL);
		return;
	}
	if (noted->vector != VECTOR_DONE)
		return;
	switch (a->op) {
	case OP_SET4:
	case OP_SET8:
		memcpy(r->work + at, &a->value, a->op == OP_SET4 ? 4 : 8);
		r->may[at] = 0;
		break;
	case OP_CR0:
		r->pg.cr0 = a->value;
		break;
	case OP_CR4:
		r->pg.cr4 = a->value;
		break;
	default:
		break;
	}
}

/* QEMU 7.2 clears bit 0 where it reports a reserved bit. SDM vol. 3A 4.7: bit 3 is set only where bit 0 is. */
static uint32_t qemu_error(const struct access_note *n)
{
	return n->vector == 14 && (n->error & PFERR_RSVD) ? n->error | PFERR_PRESENT : n->error;
}

/* An address that is not canonical is #GP in QEMU 7.2 whatever the segment. SDM vol. 3A 6.15: #SS through SS. */
static bool same_vector(const struct access_note *q, const struct access_note *s)
{
	return q->vector == s->vector || (s->op == OP_STACK && q->vector == 13 && s->vector == 12);
}

static bool same_note(const struct access_note *a, const struct access_note *b)
{
	bool data = a->vector != VECTOR_DONE || a->op > OP_READ8 || !((a->data ^ b->data) & a->mask);

	if (a->vector != VECTOR_DONE || a->op == OP_XADD)
		data = a->data == b->data || (a->op == OP_XADD && !((a->data ^ b->data) & a->mask));
	return data && same_vector(a, b) && qemu_error(a) == b->error && a->cr2 == b->cr2 && a->ip == b->ip &&
	       a->cs == b->cs;
}

static void differ(struct replay *r, const struct plan_job *p, unsigned i, const struct access_note *q,
		   const struct access_note *s, struct diff *d)
{
	const struct access_note *a = &p->list[i];
	char text[160];

	diff_add(d,
		 "access %u: %s of %#" PRIx64 " (value %#" PRIx64 ") by CPL %d%s, cr0 %#" PRIx64 " cr4 %#" PRIx64
		 " efer %#" PRIx64 "\n",
		 i, op_name(a->op), a->gva, a->value, a->flags & ACCESS_BY_USER ? 3 : 0,
		 a->flags & ACCESS_WITH_AC ? " with AC" : "", r->pg.cr0, r->pg.cr4, r->pg.efer);
	note_text(text, sizeof(text), q);
	diff_add(d, "  QEMU: %s\n", text);
	note_text(text, sizeof(text), s);
	diff_add(d, "  soft: %s\n", text);
	path(r, a->gva, 0, d);
}

static void compare_tables(struct replay *r, const struct plan_job *p, const uint8_t *q, const uint8_t *s, struct tally *t,
			   struct diff *d)
{
	unsigned size = paging_entry_size(&r->pg);

	for (uint32_t at = 0; at < JOB_BYTES; at += size) {
		uint64_t eq = 0, es = 0, first = 0;
		memcpy(&eq, q + at, size);
		memcpy(&es, s + at, size);
		memcpy(&first, p->tables + at, size);
		if (eq == es)
			continue;
		uint64_t more = eq & ~es;
		/* QEMU 7.2 sets bit 5 in what PAE loads its registers from, too. */
		uint64_t may = r->pg.mode == PAGING_PAE && at < 0x1000 ? PTE_A : r->may[at];
		if ((es & ~eq) || (more & ~may))
			diff_add(d, "entry at %#" PRIx64 ": QEMU %#" PRIx64 " soft %#" PRIx64 " at the start %#" PRIx64 "\n",
				 r->base + at, eq, es, first);
		else
			t->early_a++;
	}
}

void compare_job(const struct plan_job *p, const struct access_note *qemu, const struct access_note *soft,
		 const uint8_t *qemu_tables, const uint8_t *soft_tables, struct tally *t, struct diff *d)
{
	struct replay *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	job_paging(p, &r->pg);
	r->base = p->job.cr3 & ~(uint64_t)(JOB_BYTES - 1);
	memcpy(r->work, p->tables, JOB_BYTES);
	for (unsigned i = 0; i < p->job.count; i++) {
		if (!same_note(&qemu[i], &soft[i]) && d->n < sizeof(d->text) - 1000)
			differ(r, p, i, &qemu[i], &soft[i], d);
		t->accesses++;
		t->faults += qemu[i].vector == 14;
		follow(r, &p->list[i], &qemu[i]);
	}
	compare_tables(r, p, qemu_tables, soft_tables, t, d);
	free(r);
}
