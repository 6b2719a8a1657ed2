/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Symbols of loaded images: by name, and the nearest at or below an address. One name may stand for several symbols: static
 * functions of two objects, or of two images.
 */
#ifndef KVMSCOPE_CORE_LOAD_SYMBOLS_H
#define KVMSCOPE_CORE_LOAD_SYMBOLS_H

#include "core/base/err.h"

struct symbol {
	char *name;
	uint64_t addr, size;
	uint32_t file; /* of a local symbol: the file whose it is, by symbols_add_file(); 0: global, or it is not told */
	bool shared;   /* another symbol, at another address, has this name */
};

struct symbols {
	struct symbol *v; /* sorted by addr, then name, once symbols_sort() ran */
	size_t n, cap;
	size_t *by_name; /* indices into v, sorted by name, then as v is */
	char **files;
	uint32_t n_files;
};

void symbols_init(struct symbols *s);
void symbols_deinit(struct symbols *s);
int symbols_add(struct symbols *s, const char *name, uint64_t addr, uint64_t size, struct err *e) MUST_USE;
/* A source file; *file is its number, from 1 on. The same name may come again: two objects of one file name. */
int symbols_add_file(struct symbols *s, const char *name, uint32_t *file, struct err *e) MUST_USE;
/* The same as symbols_add() of a symbol that is local to a file (0: of none). */
int symbols_add_local(struct symbols *s, uint32_t file, const char *name, uint64_t addr, uint64_t size,
		      struct err *e) MUST_USE;
/* All of from's, with their files. */
int symbols_add_all(struct symbols *s, const struct symbols *from, struct err *e) MUST_USE;
int symbols_sort(struct symbols *s, struct err *e) MUST_USE; /* after the last add */

/* The first of that name in the order of addresses, or NULL. */
const struct symbol *symbols_by_name(const struct symbols *s, const char *name);
/* The nearest symbol at or below addr: within its size, or (size 0) within 64 KiB. NULL for none. */
const struct symbol *symbols_by_addr(const struct symbols *s, uint64_t addr);

/* A symbol as people name it: "helper"; "file.c:helper", the one that is local to that file (the path that the symbol table
 * has of it, or its last part); "helper@2", the second of that name in the order of addresses; "file.c:helper@2". Symbols of
 * one name at one address are one. 0; -ENOENT; -ENOTUNIQ if text leaves a choice, which symbols_choices() tells. */
int symbols_lookup(const struct symbols *s, const char *text, const struct symbol **out) MUST_USE;
/* text is NAME@N, and there is no such one: how many symbols have the name. 0 where none has, or for any other text. */
unsigned symbols_numbered(const struct symbols *s, const char *text);
/* How much of the text is a file's name, with the ':' behind it; 0 if it begins with none. */
size_t symbols_file_len(const struct symbols *s, const char *text);
/* Call fn for each symbol that text may mean, in the order of addresses, with the text that means it alone. */
void symbols_choices(const struct symbols *s, const char *text,
		     void (*fn)(void *arg, const struct symbol *sym, const char *text), void *arg);
/* The choices as "a.c:helper (0x1000), b.c:helper (0x2000)", as many as fit, and how many more there are. Returns buf. */
const char *symbols_choices_text(const struct symbols *s, const char *text, char *buf, size_t size);
/* The shortest text that means this symbol alone. Returns buf. */
const char *symbols_name(const struct symbols *s, const struct symbol *sym, char *buf, size_t size);

/* "name+0x12" (the name as symbols_name() has it) or "" in buf; returns buf. */
const char *symbols_format(const struct symbols *s, uint64_t addr, char *buf, size_t size);
/* Call fn for each text that begins with prefix and means one symbol: names; of names that are shared name@N, and
 * file.c:name once the prefix is the beginning of it. */
void symbols_complete(const struct symbols *s, const char *prefix, void (*fn)(void *arg, const char *name), void *arg);

#endif
