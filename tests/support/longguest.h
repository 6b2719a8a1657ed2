/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A fake machine with one guest that translates: 2 MiB of memory in slot 0, identity-mapped by 4 KiB pages for user and
 * supervisor, vCPUs in 64-bit mode. Tables: PML4 0x1000, PDPT 0x2000, PD 0x3000, PT 0x4000.
 */
#ifndef KVMSCOPE_TESTS_SUPPORT_LONGGUEST_H
#define KVMSCOPE_TESTS_SUPPORT_LONGGUEST_H

#include "tests/support/fake.h"

#define LONG_PT 0x4000u

struct machine *longguest_create(unsigned vcpus, unsigned cpl);
/* The PT entry of gva (below 2 MiB). */
void longguest_set_pte(struct machine *m, uint64_t gva, uint64_t entry);
/* Bytes into guest memory. */
void longguest_poke(struct machine *m, uint64_t gpa, const void *bytes, size_t n);
void longguest_poke_word(struct machine *m, uint64_t gpa, uint64_t word);

#endif
