/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The table of settings.
 */
#include "cli/session/settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/command.h"

const struct setting settings_table[] = {
    {"context", "off on", "show registers, code and stack at every stop", offsetof(struct settings, context)},
    {.name = NULL},
};

const struct setting *setting_find(const char *name)
{
	for (const struct setting *st = settings_table; st->name; st++)
		if (!strcmp(st->name, name))
			return st;
	return NULL;
}

/* -1: it is none of them. */
static int index_of(const struct setting *st, const char *value)
{
	struct command_words w = {.at = st->values};
	int i = 0;

	for (command_word_next(&w); w.text; command_word_next(&w), i++)
		if (strlen(value) == w.len && !memcmp(w.text, value, w.len))
			return i;
	return -1;
}

bool setting_takes(const struct setting *st, const char *value)
{
	return index_of(st, value) >= 0;
}

int setting_set(struct settings *s, const struct setting *st, const char *value, struct err *e)
{
	int i = index_of(st, value);

	if (i < 0)
		return err_set(e, -EINVAL, "set %s" WHY "'%.40s' is none of its values" TRY "one of: %s", st->name, value,
			       st->values);
	*((uint8_t *)s + st->at) = (uint8_t)i;
	return 0;
}

const char *setting_get(const struct settings *s, const struct setting *st, char *buf, size_t size)
{
	struct command_words w = {.at = st->values};
	unsigned i = *((const uint8_t *)s + st->at);

	for (command_word_next(&w); w.text && i; command_word_next(&w))
		i--;
	snprintf(buf, size, "%.*s", w.text ? (int)w.len : 0, w.text ? w.text : "");
	return buf;
}
