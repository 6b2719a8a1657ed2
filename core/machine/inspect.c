/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What every user of the inspection types needs: freeing and copying lists, names, histogram buckets.
 */
#include "core/machine/inspect.h"

#include <stddef.h>
#include <string.h>

const char *source_name(enum source s, bool torn)
{
	switch (s) {
	case SOURCE_KVM:
		return torn ? "kvm torn" : "kvm";
	case SOURCE_KERNEL:
		return torn ? "kernel torn" : "kernel";
	case SOURCE_SOFT:
		return torn ? "soft torn" : "soft";
	}
	return "unknown";
}

struct slot_info slot_info_of(const struct slot *s, uint64_t generation, enum source source)
{
	return (struct slot_info){.id = s->id,
				  .vis = s->vis,
				  .gpa = s->gpa,
				  .size = s->size,
				  .hva = s->hva,
				  .flags = s->flags,
				  .own = s->own,
				  .guest_memfd = s->guest_memfd,
				  .memfd = s->memfd,
				  .generation = generation,
				  .source = source};
}

const char *slot_info_owner(const struct slot_info_list *l, uint64_t gfn)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct slot_info *s = &l->v[i];

		if (s->own && gfn >= s->gpa >> PAGE_SHIFT && gfn - (s->gpa >> PAGE_SHIFT) < s->size >> PAGE_SHIFT)
			return s->owner ? s->owner : "the debugger's own";
	}
	return NULL;
}

const char *rmap_kind_name(enum rmap_kind k)
{
	static const char *const name[] = {[RMAP_EMPTY] = "empty", [RMAP_ONE] = "one", [RMAP_MANY] = "many"};

	return (size_t)k < ARRAY_LEN(name) ? name[k] : "unknown";
}

const char *tdp_kind_name(enum tdp_kind k)
{
	static const char *const name[] = {[TDP_NONE] = "shadow", [TDP_MMU] = "tdp", [TDP_SHADOW_PAGES] = "shadow-pages"};

	return (size_t)k < ARRAY_LEN(name) ? name[k] : "unknown";
}

unsigned rmap_bucket(uint64_t sptes)
{
	unsigned log2;

	if (!sptes)
		return 0;
	log2 = 63 - (unsigned)__builtin_clzll(sptes);
	return log2 + 1 < RMAP_BUCKETS ? log2 + 1 : RMAP_BUCKETS - 1;
}

/* ---- lists */

/* An array that an element owns: its pointer and its count, or `fixed` elements if it has no count. */
struct owned_array {
	size_t at, count_at, fixed, size;
};

struct list_shape {
	size_t size; /* of an element */
	struct owned_array owned[4];
};

#define OWNS(type, member, count)                                                                                           \
	{offsetof(struct type, member), offsetof(struct type, count), 0, sizeof(*((struct type *)0)->member)},
#define OWNS_TABLE(type, member) {offsetof(struct type, member), 0, 512, sizeof(*((struct type *)0)->member)},

static void *array_of(const char *element, const struct owned_array *a)
{
	void *p;

	memcpy(&p, element + a->at, sizeof(p));
	return p;
}

static size_t count_of(const char *element, const struct owned_array *a)
{
	size_t n = a->fixed;

	if (!n)
		memcpy(&n, element + a->count_at, sizeof(n));
	return n;
}

static void free_elements(void *v, size_t n, const struct list_shape *shape)
{
	for (size_t i = 0; v && i < n; i++)
		for (const struct owned_array *a = shape->owned; a->size; a++)
			free(array_of((char *)v + i * shape->size, a));
	free(v);
}

/* Give an element that was copied byte by byte arrays of its own. False: no memory, and those that it has not got are NULL.
 */
static bool own_arrays(char *element, const struct list_shape *shape)
{
	bool whole = true;

	for (const struct owned_array *a = shape->owned; a->size; a++) {
		size_t bytes = count_of(element, a) * a->size;
		const void *from = array_of(element, a);
		void *own = whole && from && bytes ? malloc(bytes) : NULL;

		if (own)
			memcpy(own, from, bytes);
		whole = whole && (own || !from || !bytes);
		memcpy(element + a->at, &own, sizeof(own));
	}
	return whole;
}

static int copy_elements(const void *from, size_t n, const struct list_shape *shape, void **to, struct err *e)
{
	char *v = n ? calloc(n, shape->size) : NULL;

	for (size_t i = 0; v && i < n; i++) {
		memcpy(v + i * shape->size, (const char *)from + i * shape->size, shape->size);
		if (own_arrays(v + i * shape->size, shape))
			continue;
		free_elements(v, i + 1, shape);
		v = NULL;
	}
	if (n && !v)
		return err_nomem(e, "copy a list");
	*to = v;
	return 0;
}

#define LIST_FUNCTIONS(name, element, owned)                                                                                \
	static const struct list_shape name##_shape = {sizeof(struct element), {owned{0, 0, 0, 0}}};                        \
	void name##_list_free(struct name##_list *l)                                                                        \
	{                                                                                                                   \
		free_elements(l->v, l->n, &name##_shape);                                                                   \
		*l = (struct name##_list){.v = NULL};                                                                       \
	}                                                                                                                   \
	int name##_list_copy(const struct name##_list *from, struct name##_list *to, struct err *e)                         \
	{                                                                                                                   \
		struct name##_list l = *from;                                                                               \
		void *v = NULL;                                                                                             \
		int rc = copy_elements(from->v, from->n, &name##_shape, &v, e);                                             \
                                                                                                                            \
		if (rc)                                                                                                     \
			return rc;                                                                                          \
		l.v = v;                                                                                                    \
		*to = l;                                                                                                    \
		return 0;                                                                                                   \
	}
INSPECT_LISTS(LIST_FUNCTIONS)
