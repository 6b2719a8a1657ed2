/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Whole VMs in a fake kernel's memory.
 */
#include "tests/support/fake_shadow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void fk_unmake(struct fk_world *w)
{
	kview_close(w->k);
	fk_free(&w->f);
}

/* Four levels down to gva 0x240000 and 0x250000, both gfn 0x40. */
void fk_make_shadow(struct fk_world *w, enum fk_version v)
{
	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, false);
	fk_add_slot(&w->f, 0, 0, 0, 0x80, 0);
	fk_slots_done(&w->f);
	for (unsigned i = 0; i < 4; i++) {
		w->sp[i] = fk_add_sp(&w->f, 4 - i, 0x10 + i, false);
		for (unsigned j = 0; j < 512; j++)
			fk_entry(&w->f, &w->sp[i], j, v >= FK_6_12 ? 1ull << 63 : 0);
	}
	fk_link(&w->f, &w->sp[0], 0, &w->sp[1]);
	fk_link(&w->f, &w->sp[1], 0, &w->sp[2]);
	fk_link(&w->f, &w->sp[2], 1, &w->sp[3]);
	fk_leaf(&w->f, &w->sp[3], 0x40, 0x40, 0x1234);
	fk_leaf(&w->f, &w->sp[3], 0x50, 0x40, 0x1234);
	if (v != FK_5_10) /* the host's own */
		fk_entry(&w->f, &w->sp[0], 256, 0x100dd4063);
	fk_set(&w->f, w->sp[0].at, &w->f.l.sp_root_count, 1);
	fk_set(&w->f, w->f.kvm, &w->f.l.kvm_n_used, 4);
	fk_root(&w->f, w->sp[0].spt - FK_BASE, 0x10000, 4);
	w->k = fk_open(&w->f);
}

void fk_make_tdp(struct fk_world *w, enum fk_version v)
{
	memset(w, 0, sizeof(*w));
	fk_init(&w->f, v, true);
	fk_add_slot(&w->f, 0, 0, 0, 0x80000, 0);
	fk_slots_done(&w->f);
	for (unsigned level = 0; level < 3; level++) /* a TDP MMU keeps no rmaps until something is shadowed */
		fk_put64(&w->f, w->f.slot[0].at + (uint64_t)w->f.l.slot_rmap.off + level * 8, 0);
	w->sp[0] = fk_add_tdp(&w->f, 4, 0, true);
	w->sp[1] = fk_add_tdp(&w->f, 3, 0, false);
	w->sp[2] = fk_add_tdp(&w->f, 2, 0, false);
	w->sp[3] = fk_add_tdp(&w->f, 1, 0x200, false);
	fk_link(&w->f, &w->sp[0], 0, &w->sp[1]);
	fk_link(&w->f, &w->sp[1], 0, &w->sp[2]);
	fk_link(&w->f, &w->sp[2], 1, &w->sp[3]);
	fk_leaf(&w->f, &w->sp[3], 4, 0, 0x5555);
	fk_leaf(&w->f, &w->sp[2], 8, 0, 0x40000);
	fk_entry(&w->f, &w->sp[3], 5,
		 v == FK_5_10 ? 1ull << 59 : (v == FK_7 ? 0x1a0 : 0x5a0) | (v >= FK_6_12 ? 1ull << 63 : 0));
	fk_entry(&w->f, &w->sp[3], 6, (v == FK_5_10 ? 3ull << 52 : 0) | 6 | 0x206ull << 12);
	fk_root(&w->f, w->sp[0].spt - FK_BASE, 0, 4);
	w->k = fk_open(&w->f);
}

struct shadow_page_list fk_pages(struct kview *k, unsigned flags)
{
	struct shadow_page_list l;
	struct err e = {0};

	if (kview_shadow_pages(k, flags, &l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return l;
}

struct spte_list fk_sptes(struct kview *k, uint64_t first, uint64_t last)
{
	struct spte_list l;
	struct err e = {0};

	if (kview_sptes(k, 0, first, last, &l, &e) < 0)
		fail_msg("%s: %s", e.what, e.why);
	return l;
}
