/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * UTF-8 (RFC 3629), one code point at a time.
 */
#ifndef KVMSCOPE_VIEWS_UTF8_H
#define KVMSCOPE_VIEWS_UTF8_H

#include "core/base/util.h"

/* Bytes of the code point at s, of which n follow; 0 if there is none: broken, cut off, overlong, a surrogate. */
size_t utf8_decode(const char *s, size_t n, uint32_t *ch);
/* The code point as up to 4 bytes; how many. */
size_t utf8_encode(uint32_t ch, char bytes[4]);

#endif
