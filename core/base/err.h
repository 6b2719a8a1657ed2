/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Errors as values. A function that can fail returns 0 or a negative errno and takes a struct err * last, which it
 * fills only on failure: what was tried, why it failed, what to do next. Nobody below cli/ and views/ prints.
 *
 *     return err_set(e, -EINVAL, "slot add %u" WHY "gpa %#llx is not a multiple of 4 KiB" TRY "%#llx", ...);
 *
 * is shown to people as `error: slot add 5: gpa 0x1 is not a multiple of 4 KiB; try 0x1000`.
 */
#ifndef KVMSCOPE_CORE_BASE_ERR_H
#define KVMSCOPE_CORE_BASE_ERR_H

#include "core/base/util.h"

/* Separators inside the format of err_set(), in this order, each at most once. */
#define WHY "\x1f"
#define TRY "\x1e"

enum err_space { ERR_SPACE_NONE, ERR_SPACE_GVA, ERR_SPACE_GPA, ERR_SPACE_HVA, ERR_SPACE_KERNEL };

struct err {
	int code;	      /* negative errno, 0 if nothing failed */
	enum err_space space; /* what addr is an address of */
	uint64_t addr;
	char what[192]; /* what was tried */
	char why[512];	/* why it failed, with the numbers */
	char next[256]; /* what to do; shown after "try " */
};

/* Fill *e (which may be NULL) and return code, so that `return err_set(…)` reads well. code must be negative. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same, naming the address that it is about. */
int err_set_at(struct err *e, int code, enum err_space space, uint64_t addr, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* As err_set(), for an errno that a system call left: appends its text to the why part. errnum is positive. Where
 * descriptors have run out (EMFILE, ENFILE) that is what the next part says, whatever fmt does. */
int err_errno(struct err *e, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Out of memory while doing what. Always -ENOMEM. */
int err_nomem(struct err *e, const char *what);
/* Put a prefix before what, for callers that know more: "load image x: " … */
void err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Why it failed, for a place that has room for that alone; what was tried where no reason was given. */
const char *err_reason(const struct err *e);
void err_clear(struct err *e);
/* Write `error: WHAT: WHY; try WHAT NEXT` without a newline. Missing parts get general words; never empty. */
void err_format(const struct err *e, char *buf, size_t size);

#endif
