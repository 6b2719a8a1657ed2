/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * One access to a port: the check of IOPL and of the TSS's permission map, then the device (device.c).
 */
#include "core/soft/segment.h"
#include "core/soft/soft_impl.h"

/* CPL above IOPL: the TSS's permission map decides. 1 if allowed, 0 if not, -1 if reading the map raised. */
static int io_allowed(struct soft_cpu *c, uint16_t port, unsigned size)
{
	const struct seg *tr = &c->r.tr;
	uint16_t map = 0, bits = 0;

	if (!(c->r.cr0 & CR0_PE) || (c->cpl <= (c->eflags & RFLAGS_IOPL) >> 12 && !(c->eflags & RFLAGS_VM)))
		return 1;
	if (tr->unusable || !(tr->type & 8) || tr->limit < 103 || soft_read_sys(c, tr->base + 102, 2, &map))
		return c->event ? -1 : 0;
	if (map + port / 8u + 1u > tr->limit)
		return 0;
	if (soft_read_sys(c, tr->base + map + port / 8u, 2, &bits))
		return -1;
	return !(bits >> (port & 7) & ((1u << size) - 1));
}

bool soft_pio_allowed(struct soft_cpu *c, uint16_t port, unsigned size)
{
	int ok = io_allowed(c, port, size);

	if (!ok)
		exec_gp0(c);
	return ok > 0;
}

int soft_pio(struct soft_cpu *c, uint16_t port, unsigned size, uint64_t *v, bool write)
{
	int ok = io_allowed(c, port, size);

	if (ok <= 0) {
		if (!ok)
			exec_gp0(c);
		return -1;
	}
	const struct soft_access a = {.at = port, .len = size, .port = true, .write = write, .data = v};
	if (soft_device_access(c, &a))
		return -1;
	soft_watch_port(c, port, size);
	return 0;
}
