/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the files behind run.c, breaktable.c and data.c share: their handlers, and reading memory the way their
 * options ask for.
 */
#ifndef KVMSCOPE_CLI_DATA_H
#define KVMSCOPE_CLI_DATA_H

#include "cli/cmd/args.h"
#include "cli/session/session.h"
#include "cli/session/xformat.h"

/* Guest memory by the current vCPU's tables, or physical (as seen from where the vCPU stands: inside SMM or outside). */
struct space {
	struct machine *m;
	unsigned vcpu;
	bool phys, smm;
};
int space_init(struct space *sp, struct call *c, bool phys, struct err *e) MUST_USE;
/* [-phys] A: begins a command's words with the two. */
int space_args(struct args *a, struct call *c, bool *phys, uint64_t *addr, struct err *e) MUST_USE;
/* No more words: space_init() for a's command. */
int space_args_end(struct space *sp, struct args *a, bool phys, struct err *e) MUST_USE;
int space_read(const struct space *sp, uint64_t addr, void *buf, size_t len, struct err *e) MUST_USE;
int space_write(const struct space *sp, uint64_t addr, const void *buf, size_t len, struct err *e) MUST_USE;
/* Could len bytes be written at addr? The errors of space_write(), and nothing changes. */
int space_writable(const struct space *sp, uint64_t addr, uint64_t len, struct err *e) MUST_USE;
/* Up to n bytes at addr, fewer if the page after them cannot be read; 0 for none. */
size_t space_read_some(const struct space *sp, uint64_t addr, void *buf, size_t n);

/* Memory as x shows it: a dict of address, values, unit, format, symbol. *next is where it would go on. */
int examine(struct call *c, const struct space *sp, const struct xformat *f, uint64_t addr, struct value *out,
	    uint64_t *next, struct err *e) MUST_USE;
/* n instructions at addr as records (keys of record_insn, and current, breakpoint, target_symbol). */
int disassemble(struct call *c, const struct space *sp, unsigned bits, uint64_t addr, uint64_t n, struct value *out,
		uint64_t *next, struct err *e) MUST_USE;
/* Linear address of the current vCPU's next instruction, and the width of its code. */
int current_pc(struct session *s, uint64_t *pc, unsigned *bits, struct err *e) MUST_USE;
/* A number in one of p's formats: x a d u o t c. */
struct value number_value(struct pool *p, uint64_t v, char format, unsigned unit);
/* All displays, evaluated now: dicts of id, expr, format and value (n/a with the reason if it cannot be). */
struct value display_list(struct call *c);

/* memory.c, memfile.c */
int cmd_x(struct call *c, struct err *e);
int cmd_xp(struct call *c, struct err *e);
int cmd_mem_read(struct call *c, struct err *e);
int cmd_mem_write(struct call *c, struct err *e);
int cmd_find(struct call *c, struct err *e);
int cmd_dump(struct call *c, struct err *e);
int cmd_restore(struct call *c, struct err *e);
/* disas.c */
int cmd_disas(struct call *c, struct err *e);
/* backtrace.c */
int cmd_backtrace(struct call *c, struct err *e);
/* regs.c */
int cmd_info_registers(struct call *c, struct err *e);
int cmd_reg(struct call *c, struct err *e);
int cmd_set(struct call *c, struct err *e);
int cmd_print(struct call *c, struct err *e);
int cmd_vcpu(struct call *c, struct err *e);
int cmd_info_vcpus(struct call *c, struct err *e);
/* snap.c */
int cmd_snap(struct call *c, struct err *e);
int cmd_diff(struct call *c, struct err *e);
/* smm.c */
int cmd_smi(struct call *c, struct err *e);
int cmd_info_smm(struct call *c, struct err *e);
/* display.c */
int cmd_display(struct call *c, struct err *e);
int cmd_undisplay(struct call *c, struct err *e);

#endif
