/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Copies of memory that share their pages: many moments of the same memory cost little more than what changed between them.
 * Pages that are all zeroes are not kept, and memory that does not exist yet is not touched.
 */
#ifndef KVMSCOPE_CORE_DEBUG_PAGES_H
#define KVMSCOPE_CORE_DEBUG_PAGES_H

#include "core/base/err.h"

struct page_store;
int page_store_create(struct page_store **out, struct err *e) MUST_USE;
void page_store_destroy(struct page_store *s); /* after every copy was dropped */
size_t page_store_bytes(const struct page_store *s);

struct stored_page;
/* A range of memory as it was. */
struct memory_copy {
	size_t len; /* bytes; the last page may be a part of one */
	size_t n;   /* pages that are not all zeroes, ascending */
	uint32_t *index;
	struct stored_page **page;
};
/* base: an earlier copy of the same range, which makes it fast; NULL for none. */
int memory_copy_take(struct page_store *s, const void *at, size_t len, const struct memory_copy *base,
		     struct memory_copy *out, struct err *e) MUST_USE;
void memory_copy_drop(struct page_store *s, struct memory_copy *c);
/* Call fn for each page (the last may be shorter) where memory at `at` differs now: bytes NULL where they were zeroes. fn's
 * first non-zero, or -ENOMEM. */
int memory_copy_differences(const struct memory_copy *c, const void *at,
			    int (*fn)(void *ctx, uint64_t index, const uint8_t *bytes), void *ctx, struct err *e) MUST_USE;
/* Put everything back by plain stores. */
int memory_copy_put(const struct memory_copy *c, void *at, struct err *e) MUST_USE;

#endif
