/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stdio gives up, and drops what it had, if a signal ends a write to a full pipe. A signal that asks the program to end
 * makes the descriptor one that takes everything (signals.c), so that nothing here waits for ever.
 */
#include "cli/prompt/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "cli/session/interrupt.h"

#define PATIENCE_MS 500 /* after Ctrl-C, for a reader */

/* Is Ctrl-C to end it? Else *n bytes at the most are written without waiting, if it was pressed. */
static bool is_stuck(int fd, size_t *n)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (!interrupt_asked() || interrupt_end_asked())
		return false;
	*n = MIN(*n, (size_t)PIPE_BUF);
	return poll(&p, 1, PATIENCE_MS) == 0;
}

int output_put(FILE *to, const char *bytes, size_t n)
{
	int fd = fileno(to);

	if (fflush(to) && errno != EINTR)
		return -errno;
	while (n) {
		size_t most = n;
		if (is_stuck(fd, &most))
			return -EINTR;
		ssize_t put = write(fd, bytes, most);
		if (put >= 0) {
			bytes += put;
			n -= (size_t)put;
		} else if (errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};
			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}
