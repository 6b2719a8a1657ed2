/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The one shape in which a command hands out its result: numbers, strings, lists and dicts, in an arena. The prompt draws
 * it, Tcl scripts get it as lists and dicts, -j prints it as JSON; nobody computes a result twice.
 *
 * A struct value is 16 bytes and passed by value. Lists and dicts point into the arena (struct pool) that made them and
 * live as long as it. Keys are string constants (never copied, compared by content). Running out of memory poisons the
 * pool: later calls do nothing, and pool_failed() is asked once at the end.
 */
#ifndef KVMSCOPE_CORE_BASE_VALUE_H
#define KVMSCOPE_CORE_BASE_VALUE_H

#include "core/base/util.h"

enum value_type {
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,  /* shown in decimal everywhere */
	VALUE_HEX,  /* an address or flags word: a number in Tcl, "0x…" in JSON, hex for people */
	VALUE_STR,  /* bytes, NUL-terminated */
	VALUE_REAL, /* a script's number with a fraction; .str is its text, as JSON has it too */
	VALUE_NA,   /* cannot be known; .str is the reason. "n/a (reason)" everywhere */
	VALUE_LIST, /* items[n] */
	VALUE_DICT, /* fields[n] in insertion order */
};

struct field;

struct value {
	uint8_t type;	  /* enum value_type */
	uint8_t cap_log2; /* containers: room for 1 << cap_log2 entries; the pool's own business */
	uint32_t n;	  /* items, fields, or bytes of str */
	union {
		uint64_t hex;
		int64_t num;
		bool truth;
		const char *str;
		struct value *items;
		struct field *fields;
	};
};

struct field {
	const char *key;
	struct value value;
};

/* An arena: everything is freed at once. */
struct pool;
struct pool *pool_create(void); /* NULL if memory is out */
/* With room for size bytes, allocation overhead not counted, in one piece. */
struct pool *pool_create_sized(size_t size);
void pool_destroy(struct pool *p);
static inline void pool_destroyp(struct pool **p)
{
	pool_destroy(*p);
}
#define _cleanup_pool_ _cleanup_(pool_destroyp)
/* Empty it for the next use, keeping one small block. */
void pool_reset(struct pool *p);
bool pool_failed(const struct pool *p);
/* Zeroed bytes of the pool, 16-byte aligned; NULL (and the pool poisoned) if memory is out. */
void *pool_alloc(struct pool *p, size_t size);
const char *pool_strdup(struct pool *p, const char *s); /* "" if memory is out */

static inline struct value v_null(void)
{
	return (struct value){.type = VALUE_NULL};
}
static inline struct value v_bool(bool b)
{
	return (struct value){.type = VALUE_BOOL, .hex = b};
}
static inline struct value v_int(int64_t n)
{
	return (struct value){.type = VALUE_INT, .num = n};
}
static inline struct value v_hex(uint64_t x)
{
	return (struct value){.type = VALUE_HEX, .hex = x};
}
/* A string that outlives the pool (a constant); not copied. */
struct value v_lit(const char *s);
/* A copy of s in the pool; a NULL s gives null. */
struct value v_str(struct pool *p, const char *s);
struct value v_strf(struct pool *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* len bytes as lower-case hex without 0x, in memory order. */
struct value v_bytes(struct pool *p, const void *bytes, size_t len);
/* "Cannot be known", with the reason (copied). */
struct value v_na(struct pool *p, const char *reason);
/* Empty containers; cap is how many entries to make room for (they grow). */
struct value v_list(struct pool *p, size_t cap);
struct value v_dict(struct pool *p, size_t cap);

/* A dict of exactly these n fields, copied, without room for more: for rows that come by the hundred thousand. v_put() still
 * works on it. */
struct value v_dict_of(struct pool *p, const struct field *fields, uint32_t n);

void v_push(struct pool *p, struct value *list, struct value item);
/* Appends; the caller does not put one key twice. key must be a string constant or in the pool. */
void v_put(struct pool *p, struct value *dict, const char *key, struct value item);
/* The value of key in a dict, or NULL. */
const struct value *v_get(const struct value *dict, const char *key);
bool v_equal(const struct value *a, const struct value *b);

#endif
