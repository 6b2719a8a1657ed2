/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Taking a command's words apart. Options (-phys, -file F) may stand anywhere among the words; args_end() refuses what is
 * left. Errors name the command, the word and the usage.
 */
#ifndef KVMSCOPE_CLI_ARGS_H
#define KVMSCOPE_CLI_ARGS_H

#include "cli/session/command.h"

#define ARGS_MAX 64

struct args {
	struct call *call;
	const char *word[ARGS_MAX]; /* NULL where taken */
	int n, next;
};

int args_init(struct args *a, struct call *c, struct err *e) MUST_USE; /* -E2BIG: more than ARGS_MAX words */
bool args_flag(struct args *a, const char *name);		       /* "-phys": true and taken where present */
/* "-file F": 1 and *value if present, 0 if not, -EINVAL without a value. */
int args_option(struct args *a, const char *name, const char **value, struct err *e) MUST_USE;
bool args_more(const struct args *a);	     /* a positional word is left */
const char *args_peek(const struct args *a); /* the next one or NULL */
int args_word(struct args *a, const char *what, const char **out, struct err *e) MUST_USE;
/* An address expression: numbers, $registers, symbols, operators. Words that go on with an operator belong to it: "$rsp +
 * 8".
 */
int args_addr(struct args *a, const char *what, uint64_t *out, struct err *e) MUST_USE;
/* An expression within min..max. */
int args_number(struct args *a, const char *what, uint64_t min, uint64_t max, uint64_t *out, struct err *e) MUST_USE;
/* The bytes of a hex word ("deadbeef", 0x and spaces allowed); *out is malloc'ed. */
int args_hex(struct args *a, const char *what, uint8_t **out, size_t *len, struct err *e) MUST_USE;
/* All words that are left, joined by single spaces: an expression with blanks in it ("p $rip + 4", "condition 1 $rax == 5").
 */
int args_rest(struct args *a, const char *what, const char **out, struct err *e) MUST_USE;
int args_end(struct args *a, struct err *e) MUST_USE;
int args_none(struct call *c, struct err *e) MUST_USE; /* of a command without words */
/* "64M" → bytes; K, M, G, T. */
int parse_size(const char *text, uint64_t *out, struct err *e) MUST_USE;

#endif
