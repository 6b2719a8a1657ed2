/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A reader of raw BTF: one pass notes where each type id starts and which of the wanted names are structs or enums; members
 * are then looked up directly. Every offset is checked against the section that it points into.
 */
#include "kvmback/kernel/kbtf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <sys/mman.h>

#define DEPTH_MAX 16

struct part {
	const uint8_t *types;
	const char *strs;
	uint32_t types_len, strs_len;
	uint32_t first_id, n;
	uint32_t *off; /* of type first_id + i in types */
};

struct kbtf {
	struct part part[2]; /* vmlinux, module */
	unsigned parts;
	size_t n_names;
	char name[KBTF_WANTED_MAX][40];
	uint32_t hash[KBTF_WANTED_MAX];
	uint32_t id[KBTF_WANTED_MAX];
};

static const char *str_at(const struct kbtf *b, uint32_t off)
{
	const struct part *p = &b->part[0];

	if (off >= p->strs_len && b->parts > 1) {
		off -= p->strs_len;
		p = &b->part[1];
	}
	return off < p->strs_len ? p->strs + off : "";
}

static const struct btf_type *type_at(const struct kbtf *b, uint32_t id)
{
	for (unsigned i = 0; i < b->parts; i++)
		if (id >= b->part[i].first_id && id - b->part[i].first_id < b->part[i].n)
			return (const void *)(b->part[i].types + b->part[i].off[id - b->part[i].first_id]);
	return NULL;
}

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

/* Bytes after struct btf_type of a kind, or -1 for one that this code does not know. */
static long tail_len(const struct btf_type *t)
{
	uint32_t vlen = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return (long)(vlen * sizeof(struct btf_member));
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return (long)vlen * 8;
	case BTF_KIND_DATASEC:
	case BTF_KIND_ENUM64:
		return (long)vlen * 12;
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	}
	return -1;
}

static bool is_struct(uint32_t kind)
{
	return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION;
}

static bool is_enum(uint32_t kind)
{
	return kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
}

static void note_name(struct kbtf *b, const struct btf_type *t, uint32_t id)
{
	const char *s = str_at(b, t->name_off);
	uint32_t h = hash_of(s);

	for (size_t i = 0; i < b->n_names; i++) {
		const struct btf_type *known;

		if (b->hash[i] != h || strcmp(b->name[i], s))
			continue;
		known = b->id[i] ? type_at(b, b->id[i]) : NULL;
		/* A module's own definition, read later, wins; an enum may have a struct's name. */
		if (!known || !is_enum(BTF_INFO_KIND(t->info)) || is_enum(BTF_INFO_KIND(known->info)))
			b->id[i] = id;
	}
}

static int scan(struct kbtf *b, struct part *p, struct err *e)
{
	uint32_t at = 0;

	p->off = malloc((p->types_len / sizeof(struct btf_type) + 1) * sizeof(*p->off));
	if (!p->off)
		return err_nomem(e, "kernel types");
	while (at + sizeof(struct btf_type) <= p->types_len) {
		const struct btf_type *t = (const void *)(p->types + at);
		uint32_t kind = BTF_INFO_KIND(t->info);
		long tail = tail_len(t);

		if (tail < 0 || (uint64_t)at + sizeof(*t) + (uint64_t)tail > p->types_len)
			return err_set(e, -EINVAL,
				       "read kernel types" WHY "BTF type %u is of kind %u, at byte %u of %u" TRY
				       "a newer kvmscope, or the soft backend (-b soft)",
				       p->first_id + p->n, kind, at, p->types_len);
		p->off[p->n] = at;
		p->n++;
		if ((is_struct(kind) || is_enum(kind)) && t->name_off)
			note_name(b, t, p->first_id + p->n - 1);
		at += (uint32_t)sizeof(*t) + (uint32_t)tail;
	}
	return 0;
}

static int open_part(struct kbtf *b, const void *raw, size_t len, struct err *e)
{
	const struct btf_header *h = raw;
	struct part *p = &b->part[b->parts];
	uint64_t room;

	if (len < sizeof(*h) || h->magic != BTF_MAGIC || h->hdr_len < sizeof(*h) || h->hdr_len > len)
		return err_set(e, -EINVAL,
			       "read kernel types" WHY "%zu bytes that do not begin as BTF" TRY
			       "a kernel with CONFIG_DEBUG_INFO_BTF, or the soft backend (-b soft)",
			       len);
	room = len - h->hdr_len;
	if ((uint64_t)h->type_off + h->type_len > room || (uint64_t)h->str_off + h->str_len > room || !h->str_len ||
	    (h->type_off & 3) || (h->hdr_len & 3) || ((const char *)raw)[h->hdr_len + h->str_off + h->str_len - 1])
		return err_set(e, -EINVAL,
			       "read kernel types" WHY "BTF sections of %u and %u bytes do not fit in %zu" TRY
			       "the soft backend (-b soft)",
			       h->type_len, h->str_len, len);
	p->types = (const uint8_t *)raw + h->hdr_len + h->type_off;
	p->types_len = h->type_len;
	p->strs = (const char *)raw + h->hdr_len + h->str_off;
	p->strs_len = h->str_len;
	p->first_id = b->parts ? b->part[0].first_id + b->part[0].n : 1;
	b->parts++;
	return scan(b, p, e);
}

int kbtf_open(const void *base, size_t base_len, const void *split, size_t split_len, const char *const *names, size_t n,
	      struct kbtf **out, struct err *e)
{
	struct kbtf *b = n <= KBTF_WANTED_MAX ? calloc(1, sizeof(*b)) : NULL;
	int rc;

	if (!b)
		return err_nomem(e, "kernel types");
	for (; b->n_names < n; b->n_names++) {
		size_t len = strlen(names[b->n_names]);

		memcpy(b->name[b->n_names], names[b->n_names], len < sizeof(b->name[0]) ? len : sizeof(b->name[0]) - 1);
		b->hash[b->n_names] = hash_of(b->name[b->n_names]);
	}
	rc = open_part(b, base, base_len, e);
	if (!rc && split)
		rc = open_part(b, split, split_len, e);
	if (rc) {
		kbtf_close(b);
		return rc;
	}
	*out = b;
	return 0;
}

void kbtf_close(struct kbtf *b)
{
	if (!b)
		return;
	free(b->part[0].off);
	free(b->part[1].off);
	free(b);
}

static const struct btf_type *find(const struct kbtf *b, const char *name)
{
	for (size_t i = 0; i < b->n_names; i++)
		if (!strcmp(b->name[i], name))
			return b->id[i] ? type_at(b, b->id[i]) : NULL;
	return NULL;
}

uint32_t kbtf_size(const struct kbtf *b, const char *name)
{
	const struct btf_type *t = find(b, name);

	return t ? t->size : 0;
}

/* Through typedefs and qualifiers. */
static const struct btf_type *plain(const struct kbtf *b, uint32_t id)
{
	const struct btf_type *t = type_at(b, id);

	for (int depth = 0; t && depth < DEPTH_MAX; depth++) {
		switch (BTF_INFO_KIND(t->info)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			t = type_at(b, t->type);
			continue;
		}
		return t;
	}
	return NULL;
}

static bool composite(const struct btf_type *t)
{
	return t && is_struct(BTF_INFO_KIND(t->info));
}

static uint32_t size_of(const struct btf_type *t)
{
	switch (t ? BTF_INFO_KIND(t->info) : 0) {
	case BTF_KIND_INT:
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_FLOAT:
		return t->size;
	case BTF_KIND_PTR:
		return 8;
	}
	return 0;
}

/* Fill size, count and elem; gives the type of one element. */
static const struct btf_type *measure(const struct kbtf *b, uint32_t type, struct kfield *out)
{
	const struct btf_type *t = plain(b, type);
	uint64_t count = 1;

	for (int depth = 0; t && BTF_INFO_KIND(t->info) == BTF_KIND_ARRAY && depth < DEPTH_MAX; depth++) {
		const struct btf_array *a = (const void *)(t + 1);

		count *= a->nelems;
		t = plain(b, a->type);
	}
	out->elem = size_of(t);
	out->count = (uint32_t)(count > UINT32_MAX ? UINT32_MAX : count);
	out->size = out->count > UINT32_MAX / (out->elem ? out->elem : 1) ? UINT32_MAX : out->count * out->elem;
	return t;
}

/* A member of t by one name, through unnamed structs and unions. */
static const struct btf_type *member(const struct kbtf *b, const struct btf_type *t, const char *name, size_t len,
				     struct kfield *out, int depth)
{
	const struct btf_member *m = (const void *)(t + 1);
	uint32_t vlen = BTF_INFO_VLEN(t->info);
	bool flag = BTF_INFO_KFLAG(t->info);

	for (uint32_t i = 0; i < vlen; i++) {
		const char *s = str_at(b, m[i].name_off);
		uint32_t bit = flag ? BTF_MEMBER_BIT_OFFSET(m[i].offset) : m[i].offset;
		const struct btf_type *inner;

		if (!strncmp(s, name, len) && !s[len]) {
			inner = measure(b, m[i].type, out);
			out->off = (int32_t)(bit / 8);
			out->bit = (uint8_t)(bit % 8);
			out->bits = flag ? (uint8_t)BTF_MEMBER_BITFIELD_SIZE(m[i].offset) : 0;
			return inner;
		}
		inner = *s ? NULL : plain(b, m[i].type);
		if (!composite(inner) || depth >= DEPTH_MAX)
			continue;
		inner = member(b, inner, name, len, out, depth + 1);
		if (inner) {
			out->off += (int32_t)(bit / 8);
			return inner;
		}
	}
	return NULL;
}

bool kbtf_field(const struct kbtf *b, const char *name, const char *path, struct kfield *out)
{
	const struct btf_type *t = find(b, name);
	int32_t base = 0;

	while (t && *path) {
		size_t len = strcspn(path, ".");

		t = composite(t) ? member(b, t, path, len, out, 0) : NULL;
		if (!t)
			break;
		base += out->off;
		path += len + (path[len] == '.');
	}
	if (!t) {
		*out = (struct kfield){.off = -1};
		return false;
	}
	out->off = base;
	return true;
}

bool kbtf_enumerator(const struct kbtf *b, const char *name, const char *enumerator, int64_t *out)
{
	const struct btf_type *t = find(b, name);
	uint32_t kind = t ? BTF_INFO_KIND(t->info) : 0;

	for (uint32_t i = 0; is_enum(kind) && i < BTF_INFO_VLEN(t->info); i++) {
		const struct btf_enum *small = (const struct btf_enum *)(t + 1) + i;
		const struct btf_enum64 *wide = (const struct btf_enum64 *)(t + 1) + i;

		if (strcmp(str_at(b, kind == BTF_KIND_ENUM ? small->name_off : wide->name_off), enumerator))
			continue;
		*out = kind == BTF_KIND_ENUM ? small->val : (int64_t)((uint64_t)wide->val_hi32 << 32 | wide->val_lo32);
		return true;
	}
	return false;
}

static int read_whole(int fd, struct kbtf_file *out, const char *path, struct err *e)
{
	size_t cap = 1 << 20;
	ssize_t got;
	char *p;

	out->at = malloc(cap);
	out->len = 0;
	while (out->at && (got = read(fd, (char *)out->at + out->len, cap - out->len)) != 0) {
		if (got < 0) {
			got = errno;
			free(out->at);
			return err_errno(e, (int)got, "read %s" WHY "after %zu bytes", path, out->len);
		}
		out->len += (size_t)got;
		if (out->len < cap)
			continue;
		p = realloc(out->at, cap *= 2);
		if (!p)
			free(out->at);
		out->at = p;
	}
	return out->at ? 0 : err_nomem(e, "kernel types");
}

int kbtf_file_open(const char *path, struct kbtf_file *out, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct kbtf_file f = {0};
	off_t end;
	int rc;

	if (fd < 0)
		return err_errno(e, errno, "read kernel types" WHY "%s", path);
	end = lseek(fd, 0, SEEK_END);
	if (end > 0) {
		f.at = mmap(NULL, (size_t)end, PROT_READ, MAP_PRIVATE, fd, 0);
		f.mapped = f.at != MAP_FAILED;
		f.len = (size_t)end;
	}
	if (!f.mapped) {
		if (lseek(fd, 0, SEEK_SET) < 0)
			return err_errno(e, errno, "read kernel types" WHY "%s", path);
		rc = read_whole(fd, &f, path, e);
		if (rc)
			return rc;
	}
	*out = f;
	return 0;
}

void kbtf_file_close(struct kbtf_file *f)
{
	if (f->mapped)
		munmap(f->at, f->len);
	else
		free(f->at);
	*f = (struct kbtf_file){0};
}
