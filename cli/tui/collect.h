/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Asking the machine for what panes need, once for all of them. While the guest stands, a look is made again when something
 * may have changed (a command, a stop, another selection). While it runs, at most ten times a second, and so seldom that
 * looking takes no more than a tenth of one core.
 */
#ifndef KVMSCOPE_CLI_TUI_COLLECT_H
#define KVMSCOPE_CLI_TUI_COLLECT_H

#include "cli/session/client.h"
#include "views/tui/scene.h"

struct collector {
	struct client *client;
	struct scene scene;
	struct pool *pool[SEEN_COUNT]; /* of scene.seen[i].v */
	unsigned made[SEEN_COUNT];     /* in which state of the machine the look was made */
	unsigned state;		       /* counts moments at which something may have changed */
	unsigned sel_seen;	       /* session.sel.generation, when it was last asked about */
	unsigned tables_opened;	       /* session.sel.generation, whose tables have been opened */
	bool code_at_selection;	       /* chosen since the last stop */
	unsigned loads;		       /* session.loads: which machine the scene is of */
	uint64_t next_live;	       /* clock_now_ns(): not before that, while the guest runs */
};

void collect_init(struct collector *k, struct client *c);
void collect_deinit(struct collector *k);
/* Something may have changed. stopped: the guest stood still anew. */
void collect_changed(struct collector *k, bool stopped);
/* These (SEES(…)) are to be looked at again: a pane needs something else of them. */
void collect_again(struct collector *k, uint32_t which);
/* Bring up to date what is needed, as far as it is due. True if anything was looked at. */
bool collect(struct collector *k, uint32_t needs);
/* ns until the next look is due; UINT64_MAX: nothing is. */
uint64_t collect_due_in(const struct collector *k);

#endif
