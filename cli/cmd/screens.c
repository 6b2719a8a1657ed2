/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Commands about the screens: going there, and the address that all of them show.
 */
#include "cli/cmd/args.h"
#include "cli/cmd/table.h"
#include "cli/session/client.h"
#include "cli/session/go.h"

#include <errno.h>

static int run_tui(struct call *c, struct err *e)
{
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret || (ret = args_end(&a, e)))
		return ret;
	if (!c->client->ops->screens)
		return err_set(e, -ENOTSUP, "tui" WHY "whoever gives the commands has no terminal" TRY "it at a prompt");
	return c->client->ops->screens(c->client, e);
}

static struct value selection_record(struct pool *p, const struct place *at)
{
	struct value v = v_dict(p, 3);

	v_put(p, &v, "gva", at->has_gva ? v_hex(at->gva) : v_null());
	v_put(p, &v, "gpa", at->has_gpa ? v_hex(at->gpa) : v_null());
	v_put(p, &v, "gfn", at->has_gpa ? v_hex(at->gpa >> PAGE_SHIFT) : v_null());
	return v;
}

static int choose(struct call *c, struct args *a, bool phys, struct err *e)
{
	struct session *s = c->s;
	struct place at = {.has_gva = !phys, .has_gpa = phys};
	int ret = args_addr(a, "address", phys ? &at.gpa : &at.gva, e);

	if (!ret)
		ret = args_end(a, e);
	if (ret)
		return ret;
	selection_choose(&s->sel, s->d.m, s->vcpu, &at);
	s->sel_chosen = true;
	return 0;
}

static int step(struct call *c, struct args *a, int by, struct err *e)
{
	int ret = args_end(a, e);

	if (ret)
		return ret;
	if (!selection_step(&c->s->sel, c->s->d.m, c->s->vcpu, by))
		return err_set(e, -ENOENT, "select" WHY "nothing was selected %s that" TRY "select ADDRESS",
			       by < 0 ? "before" : "after");
	c->s->sel_chosen = true;
	return 0;
}

static int run_select(struct call *c, struct err *e)
{
	struct args a;
	int ret = args_init(&a, c, e);

	if (ret)
		return ret;
	bool phys = args_flag(&a, "-phys"), back = args_flag(&a, "-back"), forward = args_flag(&a, "-forward");
	if (args_flag(&a, "-stops")) {
		ret = args_end(&a, e);
		c->s->sel_chosen &= ret != 0;
	} else if (back || forward) {
		ret = step(c, &a, back ? -1 : 1, e);
	} else if (args_more(&a)) {
		ret = choose(c, &a, phys, e);
	} else if (!go_is_under_way(c->s)) {
		selection_refresh(&c->s->sel, c->s->d.m, c->s->vcpu); /* the guest may have run since */
	}
	if (!ret)
		c->result = selection_record(c->pool, &c->s->sel.at);
	return ret;
}

const struct command commands_screens[] = {
    {.name = "select",
     .group = "screens",
     .usage = "[A [-phys] | -back | -forward | -stops]",
     .summary = "the address that all screens show",
     .help =
	 "Choose a guest virtual address, or with -phys a guest physical one; the other side is found by the current "
	 "vCPU's tables, or by the page's rmap. -back and -forward go through what was chosen before. Until something is "
	 "chosen each stop chooses what it is about; -stops goes back to that. Gives gva, gpa, gfn, each null if it is not "
	 "known.\n\n"
	 "    select 0x240000\n"
	 "    select 0x80000 -phys",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys -back -forward -stops",
     .run = run_select},
    {.name = "tui",
     .group = "screens",
     .usage = "",
     .summary = "the screens: map, tables, fault, CPU",
     .help = "Opens the screens on this session, with everything as it is; q or C-x a leads back to the prompt, C-x a there "
	     "to the screens. `?` shows the keys.\n\n"
	     "    tui",
     .run = run_tui},
    {0},
};
