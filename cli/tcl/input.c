/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bytes of standard input, buffered here and not by stdio: a read that a signal ends must lose nothing and end no line.
 */
#include "cli/tcl/input.h"

#include <errno.h>
#include <string.h>

#include "cli/session/interrupt.h"

#define CHUNK 65536u

static struct {
	char *bytes;
	size_t at, n, cap; /* at: what was given out already */
	bool ended;
} in;

static int make_room(void)
{
	char *grown;

	if (in.at)
		memmove(in.bytes, in.bytes + in.at, in.n - in.at);
	in.n -= in.at;
	in.at = 0;
	if (in.cap - in.n >= CHUNK / 2)
		return 0;
	grown = realloc(in.bytes, in.cap + CHUNK);
	if (!grown)
		return -ENOMEM;
	in.bytes = grown;
	in.cap += CHUNK;
	return 0;
}

int input_fill(void)
{
	ssize_t got = -1;
	int rc = 0;

	if (in.at || in.cap - in.n < CHUNK / 2)
		rc = make_room();
	if (rc)
		return rc;
	do {
		if (interrupt_wait_readable(STDIN_FILENO))
			got = read(STDIN_FILENO, in.bytes + in.n, in.cap - in.n);
		else if (interrupt_asked())
			return -EINTR;
		else
			errno = EINTR;
	} while (got < 0 && (errno == EINTR || errno == EAGAIN));
	if (got <= 0)
		in.ended = true; /* a descriptor that cannot be read has no lines either */
	else
		in.n += (size_t)got;
	return 0;
}

static char *newline(size_t from)
{
	return in.n > from ? memchr(in.bytes + from, '\n', in.n - from) : NULL;
}

bool input_has_line(void)
{
	return in.ended || newline(in.at);
}

int input_line(char **out)
{
	size_t looked = 0; /* of what waits */
	char *end;
	int rc;

	*out = NULL;
	while (!(end = newline(in.at + looked)) && !in.ended) {
		looked = in.n - in.at;
		rc = input_fill();
		if (rc)
			return rc;
	}
	if (!end && in.at == in.n)
		return 0;
	size_t len = end ? (size_t)(end - (in.bytes + in.at)) : in.n - in.at;
	bool text = !memchr(in.bytes + in.at, '\0', len);
	*out = text ? strndup(in.bytes + in.at, len) : NULL;
	in.at += len + (end != NULL);
	return *out ? 0 : text ? -ENOMEM : -EILSEQ;
}

ssize_t input_read(void *to, size_t n)
{
	char *end;
	int rc;

	while (in.at == in.n && !in.ended) {
		rc = input_fill();
		if (rc)
			return rc;
	}
	end = newline(in.at);
	if (end && n > (size_t)(end + 1 - (in.bytes + in.at)))
		n = (size_t)(end + 1 - (in.bytes + in.at));
	if (n > in.n - in.at)
		n = in.n - in.at;
	if (n)
		memcpy(to, in.bytes + in.at, n);
	in.at += n;
	return (ssize_t)n;
}

bool input_buffered(void)
{
	return in.at < in.n || in.ended;
}
