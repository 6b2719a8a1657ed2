/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * JSON of a value (RFC 8259), on one line: VALUE_HEX as "0x…" strings, VALUE_NA as "n/a (reason)", booleans as booleans,
 * bytes that are not UTF-8 as U+FFFD.
 */
#ifndef KVMSCOPE_VIEWS_JSON_H
#define KVMSCOPE_VIEWS_JSON_H

#include "views/view.h"

void json_write(struct out *o, const struct value *v);
/* A list in parts: the first one begins it, the last one ends it. */
void json_write_part(struct out *o, const struct value *list, bool first, bool last);

#endif
