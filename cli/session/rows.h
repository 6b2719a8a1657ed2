/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The rows of a listing, which may be many: a client that takes parts of them (client_ops.rows) is shown them while they are
 * made, and no more of them than a part are in memory; for everybody else, a script above all, they become the call's value.
 * So they do while a run is in the background: the guest stands as long as a listing looks, and must not wait for a reader.
 *
 *     rows_begin(); for each row: rows_next(), then rows_add() of what was made in rows.p; rows_end() in any case
 *
 * What ends a listing of which a part has been shown (Ctrl-C, tables that cannot be read any more) is said in its last row,
 * as the limit is; before that it is the command's error.
 */
#ifndef KVMSCOPE_CLI_ROWS_H
#define KVMSCOPE_CLI_ROWS_H

#include "cli/session/command.h"

/* Rows of the first part, soon to be seen, and of the others. A listing of no more than the first is shown whole, as ever.
 */
#define ROWS_FIRST 256
#define ROWS_PART 4096

struct rows {
	struct call *c;
	struct pool *p; /* where the next row is made */
	struct value list;
	uint64_t most; /* of rows */
	uint64_t n;
	uint64_t since; /* clock_now_ns(): when the last part was shown */
	uint64_t at;	/* the address of the last row; cut: of the one that there was no room for */
	bool cut, streams, begun;
};

/* At most so many rows. */
void rows_begin(struct rows *r, struct call *c, uint64_t most);
/* Another row begins at addr. 0; 1: it is one too many; -EPIPE: nobody takes any more; -ENOMEM. What was made in r->p is
 * gone after it. */
int rows_next(struct rows *r, uint64_t addr) MUST_USE;
static inline void rows_add(struct rows *r, struct value row)
{
	v_push(r->p, &r->list, row);
	r->n++;
}
/* rc is how it went: 0 or 1, or an error that stands in e already. 0: the rows are the call's value, or have been shown. */
int rows_end(struct rows *r, int rc, struct err *e) MUST_USE;

#endif
