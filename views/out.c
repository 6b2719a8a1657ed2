/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The growing text buffer that views draw into: styles, numbers formatted by hand (tables of 100,000 rows are drawn while
 * somebody waits), and text that may come from a hostile guest made safe for a terminal.
 */
#include "views/draw.h"
#include "views/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_TEXT ((size_t)4 << 20)

static char no_text[1];

static const char style_code[STYLE_COUNT][STYLE_CODE_MAX] = {
    [STYLE_PLAIN] = "",	       [STYLE_HEAD] = "\033[1;2m", [STYLE_ADDR] = "\033[36m", [STYLE_GOOD] = "\033[32m",
    [STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[1;31m", [STYLE_DIM] = "\033[2m",   [STYLE_BOLD] = "\033[1m",
};

void out_init(struct out *o, bool color, unsigned width)
{
	*o = (struct out){.text = no_text, .color = color, .width = width};
}

void out_deinit(struct out *o)
{
	if (o->cap)
		free(o->text);
	o->text = no_text;
	o->len = o->cap = 0;
}

/* A text of many MiB is written once, and would cost a page fault for every 4 KiB. */
static void want_huge(char *text, size_t size)
{
	const uintptr_t mask = ((uintptr_t)2 << 20) - 1;
	uintptr_t first = ((uintptr_t)text + mask) & ~mask, end = ((uintptr_t)text + size) & ~mask;

	if (first < end)
		madvise((void *)first, end - first, MADV_HUGEPAGE);
}

static char *grow_text(struct out *o, size_t need)
{
	size_t cap = o->cap ? o->cap : 1024;

	while (cap < need)
		cap *= 2;
	char *text = realloc(o->cap ? o->text : NULL, cap);
	if (!text) {
		o->failed = true;
		return NULL;
	}
	if (cap >= HUGE_TEXT)
		want_huge(text, cap);
	o->text = text;
	o->cap = cap;
	return text + o->len;
}

char *out_room(struct out *o, size_t n)
{
	if (o->len + n + 1 <= o->cap)
		return o->text + o->len;
	return n > SIZE_MAX / 4 || o->failed ? NULL : grow_text(o, o->len + n + 1);
}

static void count_used(struct out *o, size_t n)
{
	o->len += n;
	o->text[o->len] = '\0';
}

void out_bytes(struct out *o, const char *s, size_t n)
{
	char *at = out_room(o, n);

	if (!at)
		return;
	memcpy(at, s, n);
	count_used(o, n);
}

void out_fill(struct out *o, char c, size_t n)
{
	char *at = out_room(o, n);

	if (!at)
		return;
	memset(at, c, n);
	count_used(o, n);
}

void out_text(struct out *o, const char *s)
{
	out_bytes(o, s, strlen(s));
}

PRINTF_LIKE(2, 0)
static void append_format(struct out *o, const char *fmt, va_list ap)
{
	va_list second_pass;
	char small[256];

	va_copy(second_pass, ap);
	int len = vsnprintf(small, sizeof(small), fmt, ap);
	if (len >= 0 && (size_t)len < sizeof(small)) {
		out_bytes(o, small, (size_t)len);
	} else if (len >= 0) {
		char *at = out_room(o, (size_t)len);
		if (at) {
			vsnprintf(at, (size_t)len + 1, fmt, second_pass);
			count_used(o, (size_t)len);
		}
	}
	va_end(second_pass);
}

void out_textf(struct out *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append_format(o, fmt, ap);
	va_end(ap);
}

const char *style_code_of(enum style st)
{
	return style_code[st];
}

void out_begin(struct out *o, enum style st)
{
	if (o->color && st != STYLE_PLAIN)
		out_text(o, style_code[st]);
}

void out_end(struct out *o, enum style st)
{
	if (o->color && st != STYLE_PLAIN)
		out_text(o, STYLE_CODE_END);
}

void out_styled(struct out *o, enum style st, const char *fmt, ...)
{
	va_list ap;

	out_begin(o, st);
	va_start(ap, fmt);
	append_format(o, fmt, ap);
	va_end(ap);
	out_end(o, st);
}

unsigned hex_width(uint64_t x)
{
	return x ? 2 + (67 - (unsigned)__builtin_clzll(x)) / 4 : 3;
}

size_t format_hex(char *buf, uint64_t x)
{
	static const char digit[] = "0123456789abcdef";
	unsigned len = hex_width(x);

	buf[0] = '0';
	buf[1] = 'x';
	for (unsigned i = len; i > 2; x >>= 4)
		buf[--i] = digit[x & 15];
	buf[len] = '\0';
	return len;
}

size_t format_dec(char *buf, int64_t n)
{
	char tmp[24];
	size_t i = sizeof(tmp), len = 0;
	uint64_t u = n < 0 ? -(uint64_t)n : (uint64_t)n;

	if (u < 10 && n >= 0) {
		buf[0] = (char)('0' + u);
		buf[1] = '\0';
		return 1;
	}
	do
		tmp[--i] = (char)('0' + u % 10);
	while (u /= 10);
	if (n < 0)
		buf[len++] = '-';
	memcpy(buf + len, tmp + i, sizeof(tmp) - i);
	len += sizeof(tmp) - i;
	buf[len] = '\0';
	return len;
}

void out_hex(struct out *o, uint64_t x)
{
	char *at = out_room(o, 24);

	if (at)
		o->len += format_hex(at, x);
}

void out_styled_hex(struct out *o, enum style st, uint64_t x)
{
	out_begin(o, st);
	out_hex(o, x);
	out_end(o, st);
}

void out_hex_range(struct out *o, uint64_t first, uint64_t last)
{
	out_hex(o, first);
	if (last == first)
		return;
	out_text(o, "-");
	out_hex(o, last);
}

size_t format_size(char *buf, uint64_t bytes)
{
	static const char unit[][5] = {"", " KiB", " MiB", " GiB", " TiB"};
	unsigned u = 0;

	while (u < 4 && bytes && !(bytes & 1023)) {
		bytes >>= 10;
		u++;
	}
	size_t n = format_dec(buf, (int64_t)bytes);
	memcpy(buf + n, unit[u], 5);
	return n + (u ? 4 : 0);
}

void out_size(struct out *o, uint64_t bytes)
{
	char text[32];

	out_bytes(o, text, format_size(text, bytes));
}

size_t text_width(const char *s, size_t n)
{
	size_t width = 0;

	for (size_t i = 0; i < n; i++)
		width += ((unsigned char)s[i] & 0xc0) != 0x80;
	return width;
}

/* Bytes of the character at s that a terminal may be sent: 0 if it is broken, or a C1 control. */
static size_t character_length(const unsigned char *s, size_t n)
{
	uint32_t ch;
	size_t len = utf8_decode((const char *)s, n, &ch);

	return len && ch >= 0xa0 ? len : 0;
}

static size_t plain_run(const unsigned char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= 0x20 && s[i] < 0x7f)
		i++;
	return i;
}

void out_safe(struct out *o, const char *text, size_t n, bool multiline)
{
	const unsigned char *s = (const unsigned char *)text;

	while (n) {
		size_t run = plain_run(s, n);
		if (!run && s[0] >= 0x80)
			run = character_length(s, n);
		if (!run && multiline && (s[0] == '\n' || s[0] == '\t'))
			run = 1;
		if (run) {
			out_bytes(o, (const char *)s, run);
		} else {
			if (s[0] >= 0x80)
				out_bytes(o, "?", 1);
			else
				out_textf(o, "\\x%02x", s[0]);
			run = 1;
		}
		s += run;
		n -= run;
	}
}

size_t out_column(const struct out *o)
{
	size_t from = o->len, width = 0;

	while (from && o->text[from - 1] != '\n')
		from--;
	for (size_t i = from; i < o->len; i++) {
		if (o->text[i] == '\033') {
			while (i < o->len && o->text[i] != 'm')
				i++;
			continue;
		}
		width += ((unsigned char)o->text[i] & 0xc0) != 0x80;
	}
	return width;
}

void out_wrapped(struct out *o, const char *text, unsigned indent)
{
	size_t at = out_column(o);
	bool first = true;

	while (*text) {
		size_t n = strcspn(text, " ");
		size_t width = text_width(text, n);
		if (!first && o->width && at + 1 + width > o->width) {
			out_text(o, "\n");
			out_fill(o, ' ', indent);
			at = indent;
		} else if (!first) {
			out_text(o, " ");
			at++;
		}
		out_safe(o, text, n, false);
		at += width;
		text += n;
		text += strspn(text, " ");
		first = false;
	}
	out_text(o, "\n");
}

bool out_locale_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	const char *value = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names) && (!value || !value[0]); i++)
		value = getenv(names[i]);
	return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}
