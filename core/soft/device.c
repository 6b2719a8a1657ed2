/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Accesses to ports and MMIO, one by one. An instruction may make several (a read-modify-write, both operands of a CMPS, the
 * parts of a wide or a crossing one), and where they are caught it stops before each of them. It begins again behind such a
 * stop; what a device has had from it before is remembered then, and not done a second time.
 *
 * What is remembered is an instruction's own only if that was begun by itself. So while somebody catches accesses, the first
 * one in a block of others has its instruction begin again, alone.
 */
#include <string.h>

#include "core/soft/cpu.h"
#include "core/soft/soft_impl.h"
#include "core/soft/stall.h"

void soft_devices_forget(struct soft_cpu *c)
{
	struct soft_devices *d = &c->devices;

	d->alone = d->shown = false;
	d->n = d->next = 0;
}

static bool caught_now(const struct soft_cpu *c, const struct soft_access *a)
{
	return c->m->catches & (a->port ? CATCH_PIO : CATCH_MMIO);
}

static int slot_of(const struct soft_cpu *c, uint64_t gpa)
{
	const struct slot *s = slot_lookup(&c->m->m.slots, gpa, c->r.smm, NULL);

	return s ? (int)s->id : -1;
}

/* Before the device sees it. */
static void show(struct soft_cpu *c, const struct soft_access *a)
{
	struct stop *s = &c->stop;

	*s = (struct stop){.reason = a->port ? STOP_PIO : STOP_MMIO,
			   .vcpu = c->index,
			   .len = a->len,
			   .write = a->write,
			   .count = a->port,
			   .has_by = true, /* run.c knows where */
			   .slot = a->port ? -1 : slot_of(c, a->at)};
	if (a->port)
		s->port = (uint16_t)a->at;
	else
		s->gpa = a->at;
	if (a->write)
		memcpy(s->data, a->data, a->len);
	c->event = EVENT_STOP;
	c->devices.shown = true;
}

/* Is it to stop, or to begin again by itself, first? */
static bool is_put_off(struct soft_cpu *c, const struct soft_access *a)
{
	struct soft_devices *d = &c->devices;

	if (!(c->m->catches & (CATCH_MMIO | CATCH_PIO)))
		return false;
	if (!d->alone) {
		d->alone = true;
		c->event = EVENT_RESTART;
		return true;
	}
	/* More of them than are remembered go through: stopping there would have the devices see the first ones twice. */
	if (d->shown || !caught_now(c, a) || d->n == SOFT_ACCESSES_MAX)
		return false;
	show(c, a);
	return true;
}

/* The same access as the time before? */
static bool is_same(const struct soft_seen *s, const struct soft_access *a)
{
	return s->at == a->at && s->len == a->len && s->port == a->port && s->write == a->write;
}

/* What the board asked for then it asks for still. */
static void answer_again(struct soft_cpu *c, const struct soft_access *a)
{
	const struct soft_seen *s = &c->devices.v[c->devices.next++];

	if (!a->write)
		memcpy(a->data, s->data, a->len);
	if (c->exit_pending || (c->smi_pending && !c->r.smm))
		c->event = EVENT_YIELD;
}

static void answer(struct soft_cpu *c, const struct soft_access *a)
{
	struct board *b = &c->m->m.board;

	if (!a->port && slot_of(c, a->at) >= 0)
		return; /* a write to READONLY memory: dropped */
	soft_stall_access(c, a->port, a->at, a->len, a->write);
	if (a->port)
		soft_board_effect(c, board_pio(b, (uint16_t)a->at, a->len, a->data, a->write));
	else
		soft_board_effect(c, board_mmio(b, a->at, a->len, a->data, a->write));
}

static void remember(struct soft_cpu *c, const struct soft_access *a)
{
	struct soft_devices *d = &c->devices;

	d->shown = false;
	if (!d->alone || d->n == SOFT_ACCESSES_MAX)
		return;
	d->v[d->n] = (struct soft_seen){.at = a->at, .len = (uint8_t)a->len, .port = a->port, .write = a->write};
	memcpy(d->v[d->n].data, a->data, a->len);
	d->next = ++d->n;
}

int soft_device_access(struct soft_cpu *c, const struct soft_access *a)
{
	struct soft_devices *d = &c->devices;

	if (d->next < d->n && is_same(&d->v[d->next], a)) {
		answer_again(c, a);
		return 0;
	}
	d->n = d->next; /* memory that leads elsewhere by now */
	if (is_put_off(c, a))
		return -1;
	answer(c, a);
	remember(c, a);
	return 0;
}
