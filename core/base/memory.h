/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * How much memory could be had on this host now.
 */
#ifndef KVMSCOPE_CORE_BASE_MEMORY_H
#define KVMSCOPE_CORE_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Bytes: what /proc/meminfo calls available, or what the limit of this process's control group leaves if that is less.
 * UINT64_MAX if nobody says. */
uint64_t memory_available(void);
/* The same by these files, for tests: meminfo, and the folder of the control group (version 2; "" for none). */
uint64_t memory_available_by(const char *meminfo, const char *group);

/* What lies free in the host's hugetlb pools is not among it, and slots are not made of it: words for who wonders where it
 * is, to follow the number of bytes available. "" if there is none. Lives in buf. */
const char *memory_pools_words(char *buf, size_t size);
/* Bytes, by a folder as /sys/kernel/mm/hugepages. */
uint64_t memory_in_pools_by(const char *folder);

#endif
