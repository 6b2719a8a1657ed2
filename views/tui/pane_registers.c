/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The current vCPU's registers: the general ones with what changed since the last stop and what they point to, then the
 * others.
 */
#include <string.h>

#include "core/cpu/regs.h"
#include "views/draw.h"
#include "views/tui/record_pane.h"

/* The view's text but for its heading, which the pane's title says. */
static void draw_general(struct out *o, const struct value *context)
{
	struct out all;

	out_init(&all, o->color, o->width);
	all.ascii = o->ascii;
	view_draw(&all, "context", context);
	const char *rest = strchr(all.text, '\n');
	if (rest)
		out_text(o, rest + 1);
	out_deinit(&all);
}

static bool is_general(const char *name)
{
	const struct reg_name *reg = reg_find(name);

	return reg && !strcmp(reg->group, "general");
}

static void draw_others(struct out *o, const struct value *registers)
{
	_cleanup_pool_ struct pool *pool = pool_create();
	struct value others = pool ? v_dict(pool, registers->n) : v_null();

	for (uint32_t i = 0; pool && i < registers->n; i++)
		if (!is_general(registers->fields[i].key))
			v_put(pool, &others, registers->fields[i].key, registers->fields[i].value);
	if (pool && !pool_failed(pool))
		view_draw(o, "registers", &others);
}

static void update(struct pane *p, const struct scene *s)
{
	const struct seen *context = &s->seen[SEEN_CONTEXT], *all = &s->seen[SEEN_REGISTERS];
	struct out *o = record_pane_begin(p, s, context->generation + all->generation);

	if (!o)
		return;
	if (context->v.type == VALUE_DICT)
		draw_general(o, &context->v);
	if (all->v.type == VALUE_DICT)
		draw_others(o, &all->v);
	record_pane_end(p);
}

const struct pane_ops pane_registers = {
    .name = "registers",
    .title = "Registers",
    .about = "Registers of the current vCPU: a star at those that changed since the last stop, and what they point to.",
    .size = sizeof(struct record_pane),
    RECORD_PANE_LINES,
    .needs = SEES(CONTEXT) | SEES(REGISTERS),
    .seen = SEEN_CONTEXT,
    .subtitle = record_pane_subtitle,
    .update = update,
    .place = record_pane_place,
};
