/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What QEMU's monitor says about the paging that both machines are stopped in, against core/mem/paging over soft's memory:
 *
 *   gva2gpa   of the addresses that the job went to         info tlb  every leaf: address, entry, flags
 *   info mem  every range: rights of all levels together
 *
 * The monitor follows entries with reserved bits too; there the walk must name them. Its accessed bits are compare.c's.
 */
#include "tests/qemu/qemu.h"

#include <inttypes.h>
#include <string.h>

#include "core/mem/paging_bits.h"

struct range {
	uint64_t first, last;
	bool user, write;
};

struct seen {
	const struct plan_job *p;
	struct xlate_env env;
	struct tally *t;
	struct diff *d;
	char *at; /* in the monitor's text: leaves come in the same order */
	struct range *ranges;
	size_t n;
};

static void walk(struct seen *s, uint64_t gva, struct walk *w)
{
	struct paging pg = s->env.pg;

	pg.cr4 &= ~CR4_SMAP;
	paging_walk(&pg, &s->env.mem, gva, ACCESS_READ, false, w);
}

static bool reserved(const struct walk *w)
{
	return w->fault.present && w->fault.vector == 14 && (w->fault.error_code & PFERR_RSVD);
}

static int compare_gva2gpa(struct qemu *q, struct seen *s, struct err *e)
{
	for (unsigned i = 0; i < s->p->job.count; i += 4) {
		const struct access_note *a = &s->p->list[i];
		char command[64], *text = NULL;
		struct walk w;
		if (a->op > OP_FETCH)
			continue;
		snprintf(command, sizeof(command), "gva2gpa %#" PRIx64, a->gva);
		int rc = qemu_monitor(q, command, &text, e);
		if (rc)
			return rc;
		walk(s, a->gva, &w);
		bool unmapped = !strncmp(text, "Unmapped", 8);
		uint64_t gpa = unmapped ? 0 : strtoull(text + strcspn(text, "x") + 1, NULL, 16);
		s->t->monitor++;
		if (!reserved(&w) && (unmapped != w.fault.present || (!unmapped && gpa != w.gpa)))
			diff_add(s->d, "gva2gpa %#" PRIx64 ": QEMU %sthe walk %#" PRIx64 " %s\n", a->gva, text, w.gpa,
				 w.why);
		free(text);
	}
	return 0;
}

/* "X G P D A C T U W" without the A, whose place keeps a dash. */
static void flags_text(uint64_t entry, unsigned level, char out[10])
{
	static const struct {
		uint64_t bit;
		char c;
	} flag[] = {{PTE_NX, 'X'},  {PTE_G, 'G'},   {PTE_PS, 'P'}, {PTE_D, 'D'}, {0, 'A'},
		    {PTE_PCD, 'C'}, {PTE_PWT, 'T'}, {PTE_U, 'U'},  {PTE_W, 'W'}};

	for (unsigned i = 0; i < ARRAY_LEN(flag); i++)
		out[i] = (entry & flag[i].bit) && !(level == 1 && flag[i].bit == PTE_PS) ? flag[i].c : '-';
	out[9] = '\0';
}

/* The next line of `info tlb`; the monitor's lines for entries with reserved bits are checked and passed over. */
static bool next_leaf(struct seen *s, uint64_t *gva, uint64_t *gpa, char flags[10])
{
	struct walk w;
	char *end;

	for (; *s->at; s->at = end) {
		*gva = strtoull(s->at, &end, 16);
		if (*end != ':')
			return false;
		*gpa = strtoull(end + 1, &end, 16);
		if (strcspn(end, "\r\n") < 10)
			return false;
		memcpy(flags, end + 1, 9);
		end += strcspn(end, "\n");
		end += *end == '\n';
		walk(s, *gva, &w);
		if (reserved(&w))
			continue;
		s->at = end;
		return true;
	}
	return false;
}

static int compare_leaf(void *arg, const struct guest_mapping *m)
{
	struct seen *s = arg;
	/* As the monitor masks it: PSE-36 is beyond it. */
	uint64_t low = s->env.pg.mode == PAGING_32BIT && m->page_size > 4096 ? 0x200000 : m->page_size;
	uint64_t mask = PTE_ADDRESS & ~(low - 1), gva = 0, gpa = 0;
	char flags[10] = "", want[10];

	/* A table where there is no memory: all ones here, zeroes in QEMU. */
	if (s->env.pg.mode == PAGING_32BIT && m->entry == 0xffffffff)
		return 0;
	s->ranges[s->n++ % 65536] =
	    (struct range){m->gva, m->gva + m->page_size - 1, m->rights & ACCESS_USER, m->rights & ACCESS_WRITE};
	flags_text(m->entry, m->page_size > 4096 ? 2 : 1, want);
	bool any = next_leaf(s, &gva, &gpa, flags);
	if (flags[0])
		flags[4] = '-';
	if (any && gva == m->gva && (gpa & mask) == (m->entry & mask) && !strcmp(flags, want))
		return 0;
	diff_add(s->d, "info tlb: QEMU %#" PRIx64 " to %#" PRIx64 " %s, the walk %#" PRIx64 " entry %#" PRIx64 " %s\n", gva,
		 gpa, flags, m->gva, m->entry, want);
	return 1;
}

static int compare_tlb(struct qemu *q, struct seen *s, struct err *e)
{
	char *text, flags[10];
	uint64_t gva, gpa;
	int rc = qemu_monitor(q, "info tlb", &text, e);

	if (rc)
		return rc;
	s->at = text;
	if (!paging_enumerate(&s->env.pg, &s->env.mem, 0, ~0ull, compare_leaf, s, NULL) && next_leaf(s, &gva, &gpa, flags))
		diff_add(s->d, "info tlb: QEMU has %#" PRIx64 " to %#" PRIx64 " %s more\n", gva, gpa, flags);
	s->t->monitor += s->n;
	free(text);
	return 0;
}

/* Where the monitor's range begins or ends, the walk must agree with it. */
static void check_edge(struct seen *s, uint64_t gva, bool user, bool write)
{
	struct walk w;

	walk(s, gva, &w);
	if (reserved(&w))
		return;
	if (w.fault.present || (w.rights & ACCESS_USER) / ACCESS_USER != user ||
	    (w.rights & ACCESS_WRITE) / ACCESS_WRITE != write)
		diff_add(s->d, "info mem: QEMU has %#" PRIx64 " %s%s, the walk %s rights %#x\n", gva, user ? "u" : "-",
			 write ? "w" : "-", w.why, w.rights);
}

static int compare_mem(struct qemu *q, struct seen *s, struct err *e)
{
	uint64_t first, end, size;
	char *text, rights[4], *at;
	size_t i = 0;
	int rc = qemu_monitor(q, "info mem", &text, e), used;

	if (rc)
		return rc;
	for (at = text; sscanf(at, "%" SCNx64 "-%" SCNx64 " %" SCNx64 " %3s%n", &first, &end, &size, rights, &used) == 4;
	     at += used) {
		bool user = rights[0] == 'u', write = rights[2] == 'w';
		check_edge(s, first, user, write);
		check_edge(s, end - 1, user, write);
		for (; i < s->n && s->ranges[i].first >= first && s->ranges[i].last <= end - 1; i++)
			if (s->ranges[i].user != user || s->ranges[i].write != write)
				diff_add(s->d, "info mem: QEMU %#" PRIx64 "-%#" PRIx64 " %s, the walk %#" PRIx64 " %s%s\n",
					 first, end, rights, s->ranges[i].first, s->ranges[i].user ? "u" : "-",
					 s->ranges[i].write ? "w" : "-");
		s->t->monitor++;
	}
	if (i != s->n)
		diff_add(s->d, "info mem: QEMU has no range with %#" PRIx64 "\n", s->ranges[i].first);
	free(text);
	return 0;
}

int compare_monitor(struct qemu *q, struct machine *m, const struct plan_job *p, struct tally *t, struct diff *d,
		    struct err *e)
{
	struct seen s = {.p = p, .t = t, .d = d};
	int rc = machine_env(m, 0, &s.env, e);

	s.ranges = calloc(65536, sizeof(*s.ranges));
	if (!s.ranges)
		return err_nomem(e, "ranges");
	if (!rc)
		rc = compare_gva2gpa(q, &s, e);
	if (!rc)
		rc = compare_tlb(q, &s, e);
	/* QEMU 7.2 never ends an `info mem` of 5-level paging. */
	if (!rc && !d->n && s.n < 65536 && s.env.pg.mode != PAGING_5LEVEL)
		rc = compare_mem(q, &s, e);
	free(s.ranges);
	return rc;
}
