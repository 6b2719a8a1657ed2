/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Symbols of loaded images: by name, and the nearest at or below an address.
 */
#ifndef KVMSCOPE_CORE_LOAD_SYMBOLS_H
#define KVMSCOPE_CORE_LOAD_SYMBOLS_H

#include "core/base/err.h"

struct symbol {
	char *name;
	uint64_t addr, size;
};

struct symbols {
	struct symbol *v; /* sorted by addr, then name, once symbols_sort() ran */
	size_t n, cap;
	size_t *by_name; /* indices into v, sorted by name */
};

void symbols_init(struct symbols *s);
void symbols_deinit(struct symbols *s);
int symbols_add(struct symbols *s, const char *name, uint64_t addr, uint64_t size, struct err *e) MUST_USE;
int symbols_sort(struct symbols *s, struct err *e) MUST_USE; /* after the last add */
const struct symbol *symbols_by_name(const struct symbols *s, const char *name);
/* The nearest symbol at or below addr: within its size, or (size 0) within 64 KiB. NULL for none. */
const struct symbol *symbols_by_addr(const struct symbols *s, uint64_t addr);
/* "name+0x12" or "" in buf; returns buf. */
const char *symbols_format(const struct symbols *s, uint64_t addr, char *buf, size_t size);
/* Call fn for each name that begins with prefix. */
void symbols_complete(const struct symbols *s, const char *prefix, void (*fn)(void *arg, const char *name), void *arg);

#endif
