/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * UTF-8, as hostile text may have it.
 */
#include "views/utf8.h"

size_t utf8_decode(const char *text, size_t n, uint32_t *ch)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *)text;

	if (!n)
		return 0;
	if (s[0] < 0x80) {
		*ch = s[0];
		return 1;
	}
	unsigned len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t c = s[0] & (0xffu >> (len + 1));
	if (s[0] < 0xc2 || s[0] > 0xf4 || n < len)
		return 0;
	for (unsigned i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	*ch = c;
	return c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

size_t utf8_encode(uint32_t ch, char bytes[4])
{
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t n = ch < 0x80 ? 1 : ch < 0x800 ? 2 : ch < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; ch >>= 6)
		bytes[i] = (char)(0x80 | (ch & 0x3f));
	bytes[0] = (char)(first[n] | ch);
	return n;
}
