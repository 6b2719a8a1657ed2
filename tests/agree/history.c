/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Which values the entries of a guest's tables have had: its tables may be unsync, and what the kernel took from an entry
 * before it was rewritten stays until a flush. Noted after each of soft's instructions.
 */
#include "tests/agree/agree.h"

#include <stdlib.h>
#include <string.h>

#define VALUES_MAX 8192

static struct {
	uint8_t now[TABLES_END - TABLES_BASE];
	struct {
		uint64_t gpa, entry; /* the value that it had before */
	} v[VALUES_MAX];
	size_t n;
} h;

void history_begin(const uint8_t *ram)
{
	h.n = 0;
	memcpy(h.now, ram + TABLES_BASE, sizeof(h.now));
}

void history_note(struct machine *soft)
{
	size_t len;
	const uint8_t *now = machine_peek(soft, TABLES_BASE, false, &len);

	if (!now || len < sizeof(h.now) || !memcmp(now, h.now, sizeof(h.now)))
		return;
	for (size_t i = 0; i < sizeof(h.now); i += 8)
		if (memcmp(now + i, h.now + i, 8) && h.n < VALUES_MAX) {
			h.v[h.n].gpa = TABLES_BASE + i;
			memcpy(&h.v[h.n++].entry, h.now + i, 8);
			memcpy(h.now + i, now + i, 8);
		}
}

bool history_value(uint64_t gpa, size_t which, uint64_t *entry)
{
	for (size_t i = 0; i < h.n; i++)
		if (h.v[i].gpa == gpa && !which--) {
			*entry = h.v[i].entry;
			return true;
		}
	return false;
}
