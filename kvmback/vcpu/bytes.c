/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bytes of guest memory that are int3 of ours while the guest runs. Each is known by where the debugger's view has it, so it
 * is the same byte at whatever address the guest meets it. One that is lifted has the guest's own for a moment: while an
 * instruction is stepped, while its page is open for an access, while somebody stands inside a fault. When it is laid again
 * it is over what is there then.
 */
#include "kvmback/vcpu/bytes.h"

#include <stdlib.h>

static struct int3_byte *find(struct run_state *rs, const uint8_t *at)
{
	lock_assert_held(&rs->byte_lock);
	for (size_t i = 0; at && i < rs->n_int3; i++)
		if (rs->int3[i].at == at)
			return &rs->int3[i];
	return NULL;
}

static void lay(struct int3_byte *b)
{
	b->under = *(volatile uint8_t *)b->at;
	*(volatile uint8_t *)b->at = INT3;
}

/* A byte that the guest has overwritten meanwhile is the guest's. */
static void lift(struct int3_byte *b, unsigned what_for)
{
	if (!b->lifted && *(volatile uint8_t *)b->at == INT3)
		*(volatile uint8_t *)b->at = b->under;
	b->lifted |= (uint8_t)what_for;
}

bool bytes_lay(struct run_state *rs, uint8_t *at)
{
	LOCK_SCOPE(&rs->byte_lock);

	if (find(rs, at))
		return true;
	if (rs->n_int3 == rs->cap_int3) {
		size_t cap = rs->cap_int3 ? rs->cap_int3 * 2 : 16;
		struct int3_byte *bigger = realloc(rs->int3, cap * sizeof(*bigger));

		if (!bigger)
			return false;
		rs->int3 = bigger;
		rs->cap_int3 = cap;
	}
	rs->int3[rs->n_int3] = (struct int3_byte){.at = at};
	lay(&rs->int3[rs->n_int3++]);
	return true;
}

bool bytes_known(struct run_state *rs, const uint8_t *at, uint8_t *under)
{
	LOCK_SCOPE(&rs->byte_lock);
	const struct int3_byte *b = find(rs, at);

	if (b)
		*under = b->lifted ? *(volatile const uint8_t *)at : b->under;
	return b;
}

bool bytes_any(struct run_state *rs)
{
	LOCK_SCOPE(&rs->byte_lock);
	return rs->n_int3;
}

void bytes_lift_page(struct run_state *rs, const uint8_t *page)
{
	LOCK_SCOPE(&rs->byte_lock);
	for (size_t i = 0; i < rs->n_int3; i++)
		if ((uintptr_t)rs->int3[i].at - (uintptr_t)page < PAGE_SIZE_4K)
			lift(&rs->int3[i], LIFT_FOR_INSN);
}

void bytes_lift(struct run_state *rs, enum lift_for what_for)
{
	LOCK_SCOPE(&rs->byte_lock);
	for (size_t i = 0; i < rs->n_int3; i++)
		lift(&rs->int3[i], what_for);
}

void bytes_lay_again(struct run_state *rs, enum lift_for what_for)
{
	LOCK_SCOPE(&rs->byte_lock);
	for (size_t i = 0; i < rs->n_int3; i++)
		if (rs->int3[i].lifted & what_for) {
			rs->int3[i].lifted &= (uint8_t)~what_for;
			if (!rs->int3[i].lifted)
				lay(&rs->int3[i]);
		}
}

void bytes_remove(struct run_state *rs)
{
	LOCK_SCOPE(&rs->byte_lock);
	for (size_t i = 0; i < rs->n_int3; i++)
		lift(&rs->int3[i], LIFT_FOR_INSN);
	rs->n_int3 = 0;
}

void bytes_each(struct run_state *rs, bytes_fn *fn, void *arg)
{
	LOCK_SCOPE(&rs->byte_lock);
	for (size_t i = 0; i < rs->n_int3; i++)
		if (!rs->int3[i].lifted)
			fn(arg, rs->int3[i].at, rs->int3[i].under);
}

void bytes_free(struct run_state *rs)
{
	free(rs->int3);
	lock_destroy(&rs->byte_lock);
}
