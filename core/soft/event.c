/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What an instruction raises for the run loop to act on: an exception, a stop, a word from the board. Only the vCPU's record
 * of it is filled here; interrupt.c delivers, run.c stops.
 */
#include "core/soft/exec.h"

#include <stdio.h>

const struct uop *soft_raise(struct soft_cpu *c, uint8_t vector)
{
	c->event = EVENT_EXCEPTION;
	c->vector = vector;
	c->not_canonical = c->rep_emulated = false;
	c->has_error = false;
	c->error_code = 0;
	c->soft_int_len = 0;
	c->int1 = c->int_n = false;
	return NULL;
}

const struct uop *soft_raise_error(struct soft_cpu *c, uint8_t vector, uint32_t error_code)
{
	soft_raise(c, vector);
	c->has_error = true;
	c->error_code = error_code;
	return NULL;
}

void soft_out_of_memory(struct soft_cpu *c)
{
	c->event = EVENT_STOP;
	c->stop = (struct stop){.reason = STOP_ERROR, .vcpu = c->index, .slot = -1};
	snprintf(c->stop.error, sizeof(c->stop.error), "out of memory for decoded code");
}

void soft_board_effect(struct soft_cpu *c, enum board_effect effect)
{
	if (effect == BOARD_NONE)
		return;
	if (effect == BOARD_SMI)
		c->smi_pending = true;
	else
		c->exit_pending = true;
	c->event = EVENT_YIELD;
}
