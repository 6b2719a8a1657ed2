/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `info slots -map`, and the same list for a report.
 */
#include "cli/cmd/map.h"

#include "cli/session/session.h"
#include "views/record.h"

int map_regions(struct call *c, bool own, struct value *out, struct err *e)
{
	_cleanup_(slot_info_list_free) struct slot_info_list slots = {0};
	_cleanup_(gpa_map_free) struct gpa_map map = {0};
	struct machine *m = c->s->d.m;
	int ret = machine_slot_list(m, &slots, e);

	if (!ret)
		ret = gpa_map_build(&slots, machine_board(m), machine_slots(m)->limits.gpa_limit, own, &map, e);
	if (ret)
		return ret;
	*out = v_list(c->pool, map.n);
	for (size_t i = 0; i < map.n; i++)
		v_push(c->pool, out, record_region(c->pool, &map.v[i]));
	return 0;
}
