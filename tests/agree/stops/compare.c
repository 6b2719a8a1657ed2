/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Two lists of stops and what they end in, and the words for a difference.
 */
#include <string.h>

#include "tests/agree/stops/stops.h"

/* ---- printing */

void s_print_guest(FILE *f, const struct s_guest *g)
{
	struct disas *d;
	struct insn insn;

	for (unsigned i = 0; i < g->n_points; i++)
		if (g->point[i].addr != 0xfff0)
			s_print_point(f, &g->point[i], i + 1);
	if (g->beside.faults)
		fprintf(f, "  beside them: catch fault%s%s\n", g->beside.fault.all ? "" : " of some",
			g->beside.fault.all   ? ""
			: g->beside.fault.gva ? " addresses"
					      : " gfns");
	if (g->beside.mmu)
		fprintf(f, "  beside them: catch mmu %#x\n", g->beside.events.kinds);
	if (disas_create(&d, NULL))
		return;
	for (size_t at = 0; at < g->len; at += insn.len ? insn.len : 1) {
		insn.len = 1;
		if (g->ram[S_CODE + at] == 0x90)
			continue;
		if (!disas_one(d, g->mode->bits, S_CODE + at, g->ram + S_CODE + at, g->len - at, &insn))
			fprintf(f, "  %#zx .byte %#x\n", S_CODE + at, g->ram[S_CODE + at]);
		else
			fprintf(f, "  %#zx %s %s\n", S_CODE + at, insn.mnemonic, insn.operands);
		if (insn.len == 2 && !strcmp(insn.mnemonic, "ud2")) { /* a service */
			fprintf(f, "  %#zx .byte %#x\n", S_CODE + at + 2, g->ram[S_CODE + at + 2]);
			at++;
		}
	}
	disas_destroy(d);
}

static void print_lists(FILE *f, const struct s_list *a, const char *an, const struct s_list *b, const char *bn,
			unsigned from)
{
	for (unsigned i = from > 3 ? from - 3 : 0; i < from + 6 && (i < a->n || i < b->n); i++) {
		const char *x = i < a->n ? a->line[i] : "(none)", *y = i < b->n ? b->line[i] : "(none)";
		if (!strcmp(x, y))
			fprintf(f, "  %3u %s\n", i, y);
		else
			fprintf(f, "  %3u %-8s %s\n      %-8s %s\n", i, an, x, bn, y);
	}
}

static void print_regs(FILE *f, const char *name, const struct regs *r)
{
	fprintf(f, "  %-6s", name);
	for (unsigned i = 0; i < 16; i++)
		fprintf(f, " %llx", (unsigned long long)r->gpr[i]);
	fprintf(f, " rip %llx flags %llx cr3 %llx dr %llx %llx %llx %llx\n", (unsigned long long)r->rip,
		(unsigned long long)r->rflags, (unsigned long long)r->cr3, (unsigned long long)r->dr[0],
		(unsigned long long)r->dr[1], (unsigned long long)r->dr[6], (unsigned long long)r->dr[7]);
}

/* ---- comparing */

/* An access that one of the two does not tell of is not compared. */
static bool same_line(const char *a, const char *b)
{
	const char *x = strstr(a, " ["), *y = strstr(b, " [");

	if (x && y && (!strcmp(x, " [?]") || !strcmp(y, " [?]")))
		return x - a == y - b && !strncmp(a, b, (size_t)(x - a));
	return !strcmp(a, b);
}

static unsigned first_difference(const struct s_list *a, const struct s_list *b)
{
	unsigned i = 0;

	while (i < a->n && i < b->n && same_line(a->line[i], b->line[i]))
		i++;
	return i;
}

static bool hits_differ(const struct s_guest *g, const struct s_list *a, const struct s_list *b, unsigned *which)
{
	for (unsigned i = 0; i < g->n_points; i++)
		if (a->hits[i] != b->hits[i] && a->hits[i] != UINT64_MAX && b->hits[i] != UINT64_MAX) {
			*which = i;
			return true;
		}
	return false;
}

static bool ends_differ(const struct s_list *a, const struct s_list *b)
{
	return memcmp(a->end.gpr, b->end.gpr, sizeof(a->end.gpr)) || a->end.rip != b->end.rip ||
	       a->end.rflags != b->end.rflags || a->end.cr3 != b->end.cr3 || memcmp(a->end.dr, b->end.dr, sizeof(a->end.dr));
}

static bool memory_differs(struct machine *a, struct machine *b, uint64_t *where)
{
	static uint8_t x[S_RAM], y[S_RAM];

	if (machine_read(a, 0, false, x, S_RAM, NULL) || machine_read(b, 0, false, y, S_RAM, NULL))
		return true;
	for (*where = 0; *where < S_RAM; ++*where)
		/* accessed and dirty bits of tables are compared by build/agree */
		if (x[*where] != y[*where] && (*where < S_PT1 || *where >= S_ROOTS + 0x6000))
			return true;
	return false;
}

int s_compare(FILE *f, const struct s_guest *g, struct machine *am, const struct s_list *a, const char *an,
	      struct machine *bm, const struct s_list *b, const char *bn)
{
	unsigned at = first_difference(a, b), point = 0;
	bool whole = !a->cut && !b->cut && !a->why && !b->why;
	uint64_t where = 0;

	if ((at < a->n || at < b->n) && !(a->why && at == a->n) && !(a->cut && at == a->n) && !(b->cut && at == b->n)) {
		fprintf(f, "DISAGREE seed %llu (%s): stop %u\n", (unsigned long long)g->seed, g->mode->name, at);
		print_lists(f, a, an, b, bn, at);
		return 1;
	}
	if (!whole)
		return 0;
	if (hits_differ(g, a, b, &point)) {
		fprintf(f, "DISAGREE seed %llu (%s): hits of point %u: %s %llu, %s %llu\n", (unsigned long long)g->seed,
			g->mode->name, point + 1, an, (unsigned long long)a->hits[point], bn,
			(unsigned long long)b->hits[point]);
		return 1;
	}
	bool regs = ends_differ(a, b);
	if (!regs && !memory_differs(am, bm, &where))
		return 0;
	fprintf(f, "DISAGREE seed %llu (%s): %s at the end\n", (unsigned long long)g->seed, g->mode->name,
		regs ? "registers" : "memory");
	if (regs) {
		print_regs(f, an, &a->end);
		print_regs(f, bn, &b->end);
	} else {
		fprintf(f, "  at %#llx\n", (unsigned long long)where);
	}
	return 1;
}
