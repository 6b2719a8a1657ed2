/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What a client may choose about how it is shown things: `set NAME VALUE`, `show NAME`. One row of the table in settings.c
 * is a setting; the line's rules, completion, help and `show` follow from it.
 */
#ifndef KVMSCOPE_CLI_SETTINGS_H
#define KVMSCOPE_CLI_SETTINGS_H

#include "core/base/err.h"

/* Each member is the index of a word in its setting's values. Zero at first. */
struct settings {
	uint8_t context; /* 1: shown at every stop */
};

struct setting {
	const char *name;
	const char *values; /* words; the first is what it is at first */
	const char *help;   /* one line */
	size_t at;	    /* of its member in struct settings */
};

/* All of them, ended by one without a name; sorted. */
extern const struct setting settings_table[];
/* NULL: there is none of exactly that name. */
const struct setting *setting_find(const char *name);
/* Is it one of the setting's words? */
bool setting_takes(const struct setting *st, const char *value);
/* -EINVAL names the words that it takes. */
int setting_set(struct settings *s, const struct setting *st, const char *value, struct err *e) MUST_USE;
/* The word that it is now, into buf; returns buf. */
const char *setting_get(const struct settings *s, const struct setting *st, char *buf, size_t size);

#endif
