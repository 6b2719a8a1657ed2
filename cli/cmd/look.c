/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The table of commands that show several things of one place at once, and `show`.
 */
#include "cli/cmd/look.h"
#include "cli/cmd/table.h"
#include "cli/session/client.h"

#include <errno.h>

static struct value setting_value(struct call *c, const struct setting *st)
{
	char value[40];

	return v_str(c->pool, setting_get(&c->client->settings, st, value, sizeof(value)));
}

static struct value setting_list(struct call *c)
{
	struct value list = v_list(c->pool, 8);

	for (const struct setting *st = settings_table; st->name; st++) {
		struct value d = v_dict(c->pool, 4);
		v_put(c->pool, &d, "setting", v_lit(st->name));
		v_put(c->pool, &d, "value", setting_value(c, st));
		v_put(c->pool, &d, "values", v_lit(st->values));
		v_put(c->pool, &d, "help", v_lit(st->help));
		v_push(c->pool, &list, d);
	}
	return list;
}

int cmd_show(struct call *c, struct err *e)
{
	const char *name;
	struct args a;
	int rc = args_init(&a, c, e);

	if (rc)
		return rc;
	if (!args_more(&a)) {
		c->result = setting_list(c);
		return 0;
	}
	rc = args_word(&a, "SETTING", &name, e);
	if (!rc)
		rc = args_end(&a, e);
	if (rc)
		return rc;
	const struct setting *st = setting_find(name);
	if (!st)
		return err_set(e, -ENOENT, "show %.40s" WHY "there is no such setting" TRY "show, which lists them", name);
	c->result = setting_value(c, st);
	return 0;
}

const struct command commands_look[] = {
    {.name = "context",
     .group = "data",
     .usage = "[regs] [code] [stack] [stop]",
     .summary = "where the current vCPU stands: registers, code, stack, stop",
     .help =
	 "All sections, or those named. Registers with what they point to; a star marks those that have changed since the "
	 "stop "
	 "before (the last one that was shown, or whose context was asked for; at first: since the entry), a tilde those "
	 "that are as of the last stop. Code around the next "
	 "instruction (what stands before it follows from the function's symbol), and whether a conditional jump there will "
	 "be "
	 "taken. The stack as telescope shows it.\n\nGives vcpu, mode, cpl; registers (a dict from name to value), changed "
	 "(names), chains (by register, where it points somewhere: a list as telescope has them); code (as disas; taken "
	 "with a "
	 "conditional jump at rip); stack (as telescope); stop (as continue). What cannot be read is n/a. `set context on` "
	 "shows "
	 "it at every stop.\n\n    context regs stack",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_WORDS,
     .words = "regs code stack stop",
     .view = "context",
     .run = cmd_context},
    {.name = "hexdump",
     .group = "data",
     .usage = "A [N] [-phys]",
     .summary = "bytes and their characters, 16 a line",
     .help =
	 "N bytes, 256 by default, up to 16 MiB; lines that repeat are folded into a star. Where the memory ends before, "
	 "what can be read is shown. An empty line goes on behind it. Gives what mem read gives (address, len, data), and "
	 "end and why if it ended early.\n\n    hexdump $rsp 64",
     .flags = CMD_NEEDS_VM | CMD_REPEATS,
     .complete = COMPLETE_ADDRESS,
     .words = "-phys",
     .view = "hexdump",
     .run = cmd_hexdump},
    {.name = "show",
     .group = "session",
     .usage = "[SETTING]",
     .summary = "what a setting is, or all of them",
     .help =
	 "With a name its value; without one a list of setting, value, values (those that it takes), help. They are changed "
	 "by set.\n\n    show context",
     .complete = COMPLETE_SETTING,
     .run = cmd_show},
    {.name = "telescope",
     .group = "data",
     .usage = "[A] [N]",
     .summary = "words of memory, and what each points to",
     .help = "N words (8) of the guest's size (8 bytes in 64-bit code, 4 in 32-bit, 2 in 16-bit) from A, or the stack "
	     "pointer, on. "
	     "Behind each the chain of what it points to: symbols, strings, instructions, up to six numbers; a number below "
	     "4096 "
	     "is taken for no address, in 16-bit code only an offset of a symbol in CS is. Registers that point there are "
	     "named. "
	     "An empty line goes on behind it.\n\nGives a list of address, offset, value (n/a with the reason where memory "
	     "cannot "
	     "be read), registers, and chain, a list of: value, symbol, and at its end what stands there: insn, string "
	     "(cut), or "
	     "loop (an address that was there already), or more (it goes on).\n\n    telescope $rsp 16",
     .flags = CMD_NEEDS_VM | CMD_REPEATS,
     .complete = COMPLETE_ADDRESS,
     .view = "telescope",
     .run = cmd_telescope},
    {.name = "xinfo",
     .group = "memory-map",
     .usage = "A",
     .summary = "what is known of one address, in a few lines",
     .help =
	 "Gives what walk gives for a read by the debugger, with rights (writable, user, exec: what the guest's tables "
	 "allow), symbol, part_of (code, stack, gdt, idt: what of the current vCPU's lies in the same page or table), "
	 "device, "
	 "rmap (gfn, sptes: how many map it), aliases (other gvas that sptes map it at), dirty (written since the log was "
	 "cleared, if its slot logs).\n\n    xinfo 0x240000",
     .flags = CMD_NEEDS_VM,
     .complete = COMPLETE_ADDRESS,
     .view = "xinfo",
     .run = cmd_xinfo},
    {.name = NULL},
};
