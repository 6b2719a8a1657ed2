/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a debug register's hit was. The processor says that one of its bytes was touched by the instruction that has just
 * ended, and nothing more; and its R/W of 3 does not tell a read from a write. The instruction is looked for in the bytes
 * before rip: from where KVM_RUN began if nothing has jumped since; else it is told only if its accesses lead to the bytes
 * by the registers as they are now, less what a string or a stack instruction has moved them by. A jump may have come from
 * anywhere.
 */
#include "kvmback/watch/watchpoint.h"

#include <string.h>

#include "core/cpu/access.h"
#include "core/cpu/disas.h"

#define BEFORE 64u /* bytes of code in which instructions fall into step */

/* The bytes that end at rip: those of its page at least, where there is nothing before. */
static size_t code_before(struct kvcpu *v, uint64_t rip, uint8_t code[BEFORE])
{
	size_t n = BEFORE, in_page = vcpu_linear_rip(v) & PAGE_OFFSET_MASK;

	if (n > rip)
		n = (size_t)rip;
	if (watch_code(v, rip - n, code, n) == n)
		return n;
	n = in_page < n ? in_page : n;
	return watch_code(v, rip - n, code, n) == n ? n : 0;
}

/* The part of all that an access touches. */
static struct watch_touch part_of(const struct insn_access *a, const struct watch_touch *all)
{
	uint64_t off = a->linear > all->linear ? a->linear - all->linear : 0, end = a->linear + a->len - all->linear;
	struct watch_touch t = {.linear = all->linear + off, .gpa = all->gpa + off, .read = a->read, .write = a->write};

	t.len = (unsigned)((end < all->len ? end : all->len) - off);
	memcpy(t.old, all->old + off, t.len);
	return t;
}

/* By the registers before the instruction, as far as they can be had: which bytes its first access to some of them touches,
 * and which its next. */
static bool leads_to(struct kvcpu *v, const struct access_regs *now, const uint8_t *code, size_t n, struct watch_touch *t,
		     struct watch_touch *then)
{
	const struct watch_touch all = *t;
	struct insn_access a[ACCESSES_MAX];
	struct access_regs r;
	bool found = false;

	access_undo(watch_decoder(v), now, vcpu_regs(v)->rflags & RFLAGS_DF, code, n, &r);
	int n_a = access_decode(watch_decoder(v), &r, code, n, a);
	for (int i = 0; i < n_a; i++) {
		if (!ranges_overlap(all.linear, all.len, a[i].linear, a[i].len))
			continue;
		struct watch_touch part = part_of(&a[i], &all);

		if (found && part.linear == t->linear) {
			t->read |= part.read;
			t->write |= part.write;
		} else if (found && !then->len) {
			*then = part;
		} else if (!found) {
			*t = part;
		}
		found = true;
	}
	return found;
}

/* The instruction has certainly been executed, but its address is gone with what it loaded over it: its kind at least. */
static void kind_of(struct kvcpu *v, const struct access_regs *r, const uint8_t *code, size_t n, struct watch_touch *t)
{
	struct insn_access a[ACCESSES_MAX];
	struct access_regs before;

	access_undo(watch_decoder(v), r, false, code, n, &before);
	int n_a = access_decode(watch_decoder(v), &before, code, n, a);
	bool same = n_a > 0;

	for (int i = 1; i < n_a; i++)
		same &= a[i].read == a[0].read && a[i].write == a[0].write;
	t->read = same && a[0].read;
	t->write = same && a[0].write;
}

/* The instruction that ends at rip, with its code; *sure: that is the one which was executed last. 0: nobody knows. */
static unsigned find_before(struct kvcpu *v, const struct access_regs *now, uint8_t code[BEFORE], size_t *n, bool *sure)
{
	uint64_t ran = now->rip - v->control->entered;

	*n = code_before(v, now->rip, code);
	*sure = ran && ran <= *n;
	unsigned len = *sure ? access_length_from(watch_decoder(v), now->bits, code + *n - ran, ran) : 0;
	*sure = len;
	return len ? len : access_length_before(watch_decoder(v), now->bits, code, *n);
}

void watch_refine(struct kvcpu *v, struct watch_touch *t, struct watch_touch *then, uint64_t *by)
{
	struct access_regs now = {0};
	uint8_t code[BEFORE], here[15];
	uint64_t rip;
	bool sure;
	size_t n;

	*by = 0;
	if (!watch_decoder(v))
		return;
	vcpu_access_regs(v, &now);
	rip = now.rip;
	/* A round of REP that is not the last leaves rip where it is. */
	n = watch_code(v, rip, here, sizeof(here));
	if (n && disas_kind(now.bits, here, n) == INSN_REP && leads_to(v, &now, here, n, t, then)) {
		*by = rip;
		return;
	}
	unsigned len = find_before(v, &now, code, &n, &sure);
	now.rip = rip - len;
	if (!len)
		return;
	if (leads_to(v, &now, code + n - len, len, t, then)) {
		*by = now.rip;
	} else if (sure) {
		*by = now.rip;
		kind_of(v, &now, code + n - len, len, t);
	}
}
