/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Errors as values: filling, prefixing and formatting struct err.
 */
#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static void copy_part(char *dst, size_t size, const char *src, size_t len)
{
	if (len >= size)
		len = size - 1;
	memcpy(dst, src, len);
	dst[len] = '\0';
}

static void split_into(struct err *e, const char *text)
{
	const char *why = strchr(text, WHY[0]);
	const char *next = strchr(text, TRY[0]);
	const char *end = text + strlen(text);
	const char *what_end = why ? why : next ? next : end;

	copy_part(e->what, sizeof(e->what), text, (size_t)(what_end - text));
	e->why[0] = e->next[0] = '\0';
	if (why)
		copy_part(e->why, sizeof(e->why), why + 1, (size_t)((next && next > why ? next : end) - why - 1));
	if (next)
		copy_part(e->next, sizeof(e->next), next + 1, (size_t)(end - next - 1));
}

PRINTF_LIKE(5, 0)
static int fill(struct err *e, int code, enum err_space space, uint64_t addr, const char *fmt, va_list ap)
{
	char text[1024];

	if (!e)
		return code;
	vsnprintf(text, sizeof(text), fmt, ap);
	e->code = code;
	e->space = space;
	e->addr = addr;
	split_into(e, text);
	return code;
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, code, ERR_SPACE_NONE, 0, fmt, ap);
	va_end(ap);
	return code;
}

int err_set_at(struct err *e, int code, enum err_space space, uint64_t addr, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, code, space, addr, fmt, ap);
	va_end(ap);
	return code;
}

/* Whoever tried something thinks of what usually stands in its way. Descriptors that have run out are never that. */
static void advise_descriptors(struct err *e, int errnum)
{
	struct rlimit most;

	if (errnum == ENFILE)
		snprintf(e->next, sizeof(e->next), "fewer open files on this host, or a higher fs.file-max");
	if (errnum != EMFILE)
		return;
	if (getrlimit(RLIMIT_NOFILE, &most))
		most.rlim_cur = 0;
	snprintf(e->next, sizeof(e->next), "a higher ulimit -n: %llu descriptors are allowed now, and in use",
		 (unsigned long long)most.rlim_cur);
}

int err_errno(struct err *e, int errnum, const char *fmt, ...)
{
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	fill(e, -errnum, ERR_SPACE_NONE, 0, fmt, ap);
	va_end(ap);
	if (!e)
		return -errnum;
	len = strlen(e->why);
	snprintf(e->why + len, sizeof(e->why) - len, "%s%s", len ? ": " : "", strerror(errnum));
	advise_descriptors(e, errnum);
	return -errnum;
}

int err_nomem(struct err *e, const char *what)
{
	return err_set(e, -ENOMEM, "%s" WHY "out of memory" TRY "a smaller request, or free memory on this host", what);
}

void err_prefix(struct err *e, const char *fmt, ...)
{
	char text[sizeof(e->what)], old[sizeof(e->what)];
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(old, e->what, sizeof(old));
	snprintf(e->what, sizeof(e->what), "%.90s%.100s", text, old);
}

const char *err_reason(const struct err *e)
{
	return e->why[0] ? e->why : e->what;
}

void err_clear(struct err *e)
{
	if (!e)
		return;
	e->code = 0;
	e->space = ERR_SPACE_NONE;
	e->addr = 0;
	e->what[0] = e->why[0] = e->next[0] = '\0';
}

void err_format(const struct err *e, char *buf, size_t size)
{
	snprintf(buf, size, "error: %s: %s; try %s", e->what[0] ? e->what : "command",
		 e->why[0] ? e->why : strerror(-e->code), e->next[0] ? e->next : "help");
}
