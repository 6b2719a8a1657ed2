/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Offsets of struct members by BTF, the type description that a kernel carries of itself (Documentation/bpf/btf.rst). Only
 * what the kernel reader needs: structs, unions and enums by name, members by dotted path, through typedefs and unnamed
 * members.
 *
 * One pass over the raw bytes finds the wanted structs. libbpf's btf object costs more than the rest of an inspection (it
 * copies 5 MB, and each lookup by name is a scan of its own); this one takes about a tenth of it.
 */
#ifndef KVMSCOPE_KVMBACK_KERNEL_KBTF_H
#define KVMSCOPE_KVMBACK_KERNEL_KBTF_H

#include "core/base/err.h"

#define KBTF_WANTED_MAX 48

struct kbtf;

struct kfield {
	int32_t off;	   /* bytes from the start of the struct; -1: there is no such member */
	uint32_t size;	   /* bytes of the member; of the storage unit for a bitfield */
	uint32_t count;	   /* elements, all dimensions; 1 if it is no array, 0 for a flexible one */
	uint32_t elem;	   /* bytes of one element */
	uint8_t bit, bits; /* bitfield: first bit counted from off, and width; else 0 */
};

/* Read types out of raw BTF. split (NULL for none) is a module's, whose ids and strings continue base's. names: the structs,
 * unions and enums that will be asked for, n of them at most KBTF_WANTED_MAX. The bytes must outlive it. -EINVAL: broken
 * BTF, saying where. */
int kbtf_open(const void *base, size_t base_len, const void *split, size_t split_len, const char *const *names, size_t n,
	      struct kbtf **out, struct err *e) MUST_USE;
void kbtf_close(struct kbtf *b);

/* Size of a wanted struct or union, 0 if there is none. */
uint32_t kbtf_size(const struct kbtf *b, const char *name);
/* A member: path is "a.b.c", each but the last a struct or union (an array's first element). False: no such struct or
 * member; then out->off is -1. */
bool kbtf_field(const struct kbtf *b, const char *name, const char *path, struct kfield *out);

/* The value of an enumerator of a wanted enum. False: no such enum or enumerator. */
bool kbtf_enumerator(const struct kbtf *b, const char *name, const char *enumerator, int64_t *out);

/* The bytes of a BTF file: mapped where the kernel allows it, else read. */
struct kbtf_file {
	void *at;
	size_t len;
	bool mapped;
};
int kbtf_file_open(const char *path, struct kbtf_file *out, struct err *e) MUST_USE;
void kbtf_file_close(struct kbtf_file *f);

#endif
