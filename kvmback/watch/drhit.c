/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a debug register's hit was. The processor says that one of its bytes was touched by the instruction that has just
 * ended, and nothing more; and its R/W of 3 does not tell a read from a write. The instruction is looked for in the bytes
 * before rip. It is told only if its accesses lead to the bytes by the registers as they are now, less what a string or a
 * stack instruction has moved them by; a jump may have come from anywhere.
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

/* The part of t that one of the accesses touches; several of them: both kinds. */
static bool touches(const struct insn_access *a, int n, const struct watch_touch *t, struct watch_touch *out)
{
	uint64_t first = UINT64_MAX, end = 0;

	out->read = out->write = false;
	for (int i = 0; i < n; i++) {
		if (!ranges_overlap(t->linear, t->len, a[i].linear, a[i].len))
			continue;
		uint64_t from = a[i].linear > t->linear ? a[i].linear - t->linear : 0,
			 to = a[i].linear + a[i].len - t->linear;

		first = from < first ? from : first;
		to = to < t->len ? to : t->len;
		end = to > end ? to : end;
		out->read |= a[i].read;
		out->write |= a[i].write;
	}
	if (first >= end)
		return false;
	out->linear = t->linear + first;
	out->gpa = t->gpa + first;
	out->len = (unsigned)(end - first);
	memcpy(out->old, t->old + first, out->len);
	return true;
}

/* By how much the instruction may have moved its registers: nothing, an element, words on the stack. */
static const struct {
	int8_t element, words; /* back by */
} moved[] = {{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}, {0, 2}, {0, -2}, {0, 3}, {0, 8}, {0, -8}};

static bool leads_to(struct kvcpu *v, const struct access_regs *now, const uint8_t *code, size_t n, struct watch_touch *t)
{
	static const uint8_t sizes[] = {8, 4, 2, 1};
	struct insn_access a[ACCESSES_MAX];
	bool found = false;
	struct watch_touch one, all = {0};

	for (size_t k = 0; k < ARRAY_LEN(moved); k++)
		for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
			struct access_regs r = *now;
			uint64_t by = (uint64_t)(int64_t)moved[k].element * sizes[s];

			r.gpr[RSI] -= by;
			r.gpr[RDI] -= by;
			r.gpr[RCX] += moved[k].element != 0;
			r.gpr[RSP] -= (uint64_t)(int64_t)moved[k].words * sizes[s];
			int n_a = access_decode(watch_decoder(v), &r, code, n, a);

			if (n_a <= 0 || !touches(a, n_a, t, &one))
				continue;
			if (!found)
				all = one;
			found = true;
			if (k == 0) {
				*t = all;
				return true;
			}
			/* Ways that differ: as much as they agree on. */
			if (one.linear != all.linear || one.len != all.len) {
				all.linear = t->linear;
				all.gpa = t->gpa;
				all.len = t->len;
				memcpy(all.old, t->old, sizeof(all.old));
			}
			all.read &= one.read;
			all.write &= one.write;
		}
	if (found)
		*t = all;
	return found;
}

/* The instruction has certainly been executed, but its address is gone with what it loaded over it: its kind at least. */
static void kind_of(struct kvcpu *v, const struct access_regs *r, const uint8_t *code, size_t n, struct watch_touch *t)
{
	struct insn_access a[ACCESSES_MAX];
	int n_a = access_decode(watch_decoder(v), r, code, n, a);
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

void watch_refine(struct kvcpu *v, struct watch_touch *t, uint64_t *by)
{
	struct access_regs now = {0};
	uint8_t code[BEFORE], here[15];
	uint64_t rip;
	bool sure;
	size_t n;

	*by = 0;
	if (!watch_decoder(v))
		return;
	watch_regs(v, &now);
	rip = now.rip;
	/* A round of REP that is not the last leaves rip where it is. */
	n = watch_code(v, rip, here, sizeof(here));
	if (n && disas_kind(now.bits, here, n) == INSN_REP && leads_to(v, &now, here, n, t)) {
		*by = rip;
		return;
	}
	unsigned len = find_before(v, &now, code, &n, &sure);
	now.rip = rip - len;
	if (!len)
		return;
	if (leads_to(v, &now, code + n - len, len, t)) {
		*by = now.rip;
	} else if (sure) {
		*by = now.rip;
		kind_of(v, &now, code + n - len, len, t);
	}
}
