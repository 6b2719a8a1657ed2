/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stdio gives up, and drops what it had, if a signal ends a write to a full pipe. A signal that asks the program to end
 * makes the descriptor one that takes everything (signals.c), so that nothing here waits for ever.
 */
#include "cli/prompt/output.h"

#include <errno.h>
#include <poll.h>

int output_put(FILE *to, const char *bytes, size_t n)
{
	int fd = fileno(to);

	if (fflush(to) && errno != EINTR)
		return -errno;
	while (n) {
		ssize_t put = write(fd, bytes, n);
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
