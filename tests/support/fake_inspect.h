/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The fake machine's inspection operations (tests/support only): deep copies of what the test scripted.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_FAKE_INSPECT_H
#define KVMSCOPE_TESTS_SUPPORT_FAKE_INSPECT_H

#include "tests/support/fake.h"

/* Non-zero, with *e filled, where the test wants operation op to fail now. */
int fake_failing(struct machine *m, const char *op, struct err *e);

int fake_shadow_pages(struct machine *m, unsigned flags, struct shadow_page_list *out, struct err *e);
int fake_roots(struct machine *m, struct root_list *out, struct err *e);
int fake_sptes(struct machine *m, unsigned vcpu, uint64_t first, uint64_t last, struct spte_list *out, struct err *e);
int fake_rmap(struct machine *m, uint64_t gfn, struct rmap_list *out, struct err *e);
int fake_rmap_all(struct machine *m, struct rmap_list *out, struct err *e);
int fake_rmap_histogram(struct machine *m, struct rmap_histogram_list *out, struct err *e);
int fake_mmio(struct machine *m, struct mmio_info_list *out, struct err *e);
int fake_fault_stages(struct machine *m, struct fault_stage_list *out, struct err *e);

#endif
