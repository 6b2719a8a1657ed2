/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest memory the way a command's options ask for it: through the current vCPU's tables, or physical. What x, mem, find,
 * dump and disas stand on.
 */
#include "cli/cmd/data.h"

int space_init(struct space *sp, struct call *c, bool phys, struct err *e)
{
	int rc = session_machine(c->s, &sp->m, e);

	sp->vcpu = c->s->vcpu;
	sp->phys = phys;
	sp->smm = false;
	if (rc || !phys)
		return rc;
	struct regs r;
	/* A vCPU that stands inside a fault is outside SMM as far as anybody can tell. */
	if (!machine_get_regs(sp->m, sp->vcpu, REGS_SYS, &r, NULL))
		sp->smm = r.smm;
	return 0;
}

int space_args(struct args *a, struct call *c, bool *phys, uint64_t *addr, struct err *e)
{
	int rc = args_init(a, c, e);

	if (rc)
		return rc;
	*phys = args_flag(a, "-phys");
	return args_addr(a, "A", addr, e);
}

int space_args_end(struct space *sp, struct args *a, bool phys, struct err *e)
{
	int rc = args_end(a, e);

	return rc ? rc : space_init(sp, a->call, phys, e);
}

int space_read(const struct space *sp, uint64_t addr, void *buf, size_t len, struct err *e)
{
	return sp->phys ? machine_read(sp->m, addr, sp->smm, buf, len, e)
			: machine_read_gva(sp->m, sp->vcpu, addr, buf, len, e);
}

int space_write(const struct space *sp, uint64_t addr, const void *buf, size_t len, struct err *e)
{
	return sp->phys ? machine_write(sp->m, addr, sp->smm, buf, len, e)
			: machine_write_gva(sp->m, sp->vcpu, addr, buf, len, e);
}

int space_writable(const struct space *sp, uint64_t addr, uint64_t len, struct err *e)
{
	return sp->phys ? machine_writable(sp->m, addr, sp->smm, len, e)
			: machine_writable_gva(sp->m, sp->vcpu, addr, len, e);
}

size_t space_read_some(const struct space *sp, uint64_t addr, void *buf, size_t n)
{
	while (n) {
		if (!space_read(sp, addr, buf, n, NULL))
			return n;
		/* Up to the last page boundary before the end. */
		uint64_t end = (addr + n - 1) & ~PAGE_OFFSET_MASK;
		n = end > addr ? end - addr : 0;
	}
	return 0;
}
