/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A guest and its stop points as lines for the prompt, so that a difference can be looked at by hand. Its memory is written
 * to a file; the device, which the prompt has not, is told of.
 */
#include <stdlib.h>

#include "tests/agree/stops/stops.h"

static void print_catch(FILE *f, const struct s_point *p)
{
	fprintf(f, "catch %s",
		p->event == CATCH_MMIO	 ? "mmio"
		: p->event == CATCH_PIO	 ? "pio"
		: p->event == CATCH_MODE ? "mode"
					 : "exception");
	if (p->has_arg)
		fprintf(f, " %#llx %#llx", (unsigned long long)p->first, (unsigned long long)p->last);
}

void s_print_point(FILE *f, const struct s_point *p, unsigned id)
{
	static const char *const command[] = {[POINT_BREAK] = "break",
					      [POINT_HBREAK] = "hbreak",
					      [POINT_WATCH] = "watch",
					      [POINT_RWATCH] = "rwatch",
					      [POINT_AWATCH] = "awatch"};
	bool watch = p->kind == POINT_WATCH || p->kind == POINT_RWATCH || p->kind == POINT_AWATCH;

	fprintf(f, "    ");
	if (p->kind == POINT_CATCH)
		print_catch(f, p);
	else
		fprintf(f, "%s %#llx", p->temporary ? "tbreak" : command[p->kind], (unsigned long long)p->addr);
	if (watch)
		fprintf(f, " %llu%s", (unsigned long long)p->len, p->phys ? " -phys" : "");
	if (p->modulus)
		fprintf(f, " if {$rbp %% %u == %u}", p->modulus, p->rest);
	fprintf(f, "\n");
	if (p->ignore)
		fprintf(f, "    ignore %u %u\n", id, p->ignore);
}

static void print_beside(FILE *f, const struct s_guest *g)
{
	const struct fault_filter *t = &g->beside.fault;

	if (g->beside.mmu) {
		fprintf(f, "    catch mmu");
		for (uint32_t k = 1; k <= MMU_ALL; k <<= 1)
			if (g->beside.events.kinds & k)
				fprintf(f, " %s", mmu_kind_name((enum mmu_kind)k));
		fprintf(f, "\n");
	}
	if (g->beside.faults && t->all)
		fprintf(f, "    catch fault\n");
	else if (g->beside.faults) /* of gfns one word is one of them */
		fprintf(f, t->gva ? "    catch fault %#llx %#llx\n" : "    catch fault %#llx\n",
			(unsigned long long)t->first, (unsigned long long)t->last);
}

/* Control registers first, in an order in which each is allowed; then the segments that they give a meaning. */
static void print_registers(FILE *f, const struct regs *r)
{
	static const char *const gpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					  "r8",	 "r9",	"r10", "r11", "r12", "r13", "r14", "r15"};
	static const char *const seg[] = {"es", "cs", "ss", "ds", "fs", "gs"};
	struct {
		const char *name;
		uint64_t v;
	} sys[] = {{"cr4", r->cr4},
		   {"cr3", r->cr3},
		   {"efer", r->efer & ~(uint64_t)EFER_LMA},
		   {"cr0", r->cr0},
		   {"efer", r->efer},
		   {"gdt.base", r->gdt.base},
		   {"gdt.limit", r->gdt.limit},
		   {"idt.base", r->idt.base},
		   {"idt.limit", r->idt.limit},
		   {"tr", r->tr.selector},
		   {"tr.base", r->tr.base},
		   {"tr.limit", r->tr.limit},
		   {"tr.flags", 0x8b},
		   {"rflags", r->rflags},
		   {"rip", r->rip}};

	fprintf(f, "    foreach {r v} {");
	for (size_t i = 0; i < ARRAY_LEN(sys); i++)
		fprintf(f, "%s %#llx ", sys[i].name, (unsigned long long)sys[i].v);
	for (unsigned i = 0; i < ARRAY_LEN(seg); i++) {
		const struct seg *s = &r->seg[i];
		unsigned flags = s->type | s->s << 4 | s->dpl << 5 | s->present << 7 | s->l << 13 | s->db << 14 | s->g << 15;
		fprintf(f, "%s %#x %s.base %#llx %s.limit %#x %s.flags %#x ", seg[i], s->selector, seg[i],
			(unsigned long long)s->base, seg[i], s->limit, seg[i], flags);
	}
	for (unsigned i = 0; i < ARRAY_LEN(gpr); i++)
		fprintf(f, "%s %#llx ", gpr[i], (unsigned long long)r->gpr[i]);
	fprintf(f, "} {reg $r $v}\n");
}

static bool write_memory(const struct s_guest *g, const char *path)
{
	FILE *to = fopen(path, "w");
	bool whole = to && fwrite(g->ram, 1, S_RAM, to) == S_RAM;

	return to && !fclose(to) && whole;
}

void s_print_prompt(FILE *f, const struct s_guest *g, const char *backend)
{
	const char *folder = getenv("TMPDIR");
	char path[300];

	snprintf(path, sizeof(path), "%.200s/kvmscope-stops-%llu.bin", folder && *folder ? folder : "/tmp",
		 (unsigned long long)g->seed);
	if (!write_memory(g, path)) {
		fprintf(f, "  no lines for the prompt: %s cannot be written\n", path);
		return;
	}
	fprintf(f,
		"  at the prompt, where nothing answers at %#x, of\n    build/kvmscope --nx -q -b %s --mode real --at 0 -m "
		"%uK %s\n",
		S_MMIO, backend, S_RAM >> 10, path);
	print_registers(f, &g->r);
	for (unsigned i = 0; i < g->n_points; i++)
		s_print_point(f, &g->point[i], i + 1);
	print_beside(f, g);
	fprintf(f, "    c\n");
}
