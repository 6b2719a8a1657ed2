/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The tables of the files of handlers as one, sorted.
 */
#include "cli/cmd/table.h"

#include <string.h>

static const struct command *const tables[] = {
    commands_run,     commands_break,	commands_data,	  commands_slots,  commands_mmu,     commands_memop, commands_fault,
    commands_session, commands_support, commands_history, commands_report, commands_screens, commands_look,  commands_tdp,
};

static const struct command_group groups[] = {
    {"running", "Running"},
    {"breakpoints", "Stopping"},
    {"data", "Registers, memory, code"},
    {"memory-map", "How memory is mapped"},
    {"slots", "Memory slots"},
    {"faults", "Inside a fault"},
    {"screens", "Screens and pictures"},
    {"session", "The session"},
    {"support", "Help"},
};

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct command *const *)a)->name, (*(const struct command *const *)b)->name);
}

static size_t count(void)
{
	size_t n = 0;

	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct command *c = tables[t]; c->name; c++)
			n++;
	return n;
}

const struct command_table *command_table(void)
{
	static struct command_table all = {.groups = groups, .n_groups = ARRAY_LEN(groups)};
	static const struct command **list;

	if (list)
		return &all;
	list = calloc(count() + 1, sizeof(*list));
	for (size_t t = 0; list && t < ARRAY_LEN(tables); t++)
		for (const struct command *c = tables[t]; c->name; c++)
			list[all.n++] = c;
	if (list)
		qsort(list, all.n, sizeof(*list), by_name);
	all.list = list;
	return &all;
}
