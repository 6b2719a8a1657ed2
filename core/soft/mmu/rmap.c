/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The reverse map's chains: adding, removing, walking. See rmap.h for the encoding and for what stands beside KVM's
 * layout.
 */
#include "core/soft/mmu/rmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MANY 1ull

static struct rmap_node *first_node(uint64_t head)
{
	return (struct rmap_node *)(uintptr_t)(head & ~MANY);
}

static unsigned used(const struct rmap_node *n)
{
	unsigned i = 0;

	while (i < RMAP_DESC_ENTRIES && n->sptep[i])
		i++;
	return i;
}

static void set_owner(const struct rmap_env *env, uint64_t *sptep, struct rmap_node *n)
{
	*env->owner(env->ctx, sptep) = n;
}

static struct rmap_node *node_make(const struct rmap_env *env)
{
	return env->alloc ? env->alloc(env->ctx) : calloc(1, sizeof(struct rmap_node));
}

static int one_to_many(const struct rmap_env *env, uint64_t *head, uint64_t *sptep, struct err *e)
{
	struct rmap_node *n = node_make(env);
	uint64_t *old = (uint64_t *)(uintptr_t)*head;

	if (!n)
		return err_nomem(e, "reverse map");
	n->sptep[0] = old;
	n->sptep[1] = sptep;
	n->last = n;
	n->count = 2;
	set_owner(env, old, n);
	set_owner(env, sptep, n);
	*head = (uintptr_t)n | MANY;
	return 0;
}

static int many_to_many(const struct rmap_env *env, struct rmap_node *first, uint64_t *sptep, struct err *e)
{
	struct rmap_node *last = first->last;
	unsigned at = used(last);

	if (at == RMAP_DESC_ENTRIES) {
		struct rmap_node *n = node_make(env);
		if (!n)
			return err_nomem(e, "reverse map");
		n->prev = last;
		last->more = n;
		first->last = last = n;
		at = 0;
	}
	last->sptep[at] = sptep;
	first->count++;
	set_owner(env, sptep, last);
	return 0;
}

int rmap_add(const struct rmap_env *env, uint64_t *head, uint64_t *sptep, struct err *e)
{
	if (!*head) {
		set_owner(env, sptep, NULL);
		*head = (uintptr_t)sptep;
		return 0;
	}
	if (!(*head & MANY))
		return one_to_many(env, head, sptep, e);
	return many_to_many(env, first_node(*head), sptep, e);
}

/* Take an emptied descriptor out of the chain. What the first one remembers moves to its successor. */
static void unlink_node(const struct rmap_env *env, uint64_t *head, struct rmap_node *n)
{
	struct rmap_node *first = first_node(*head);

	if (n == first) {
		*head = n->more ? (uintptr_t)n->more | MANY : 0;
		if (n->more) {
			n->more->prev = NULL;
			n->more->last = n->last;
			n->more->count = n->count;
		}
	} else {
		n->prev->more = n->more;
		if (n->more)
			n->more->prev = n->prev;
		else
			first->last = n->prev;
	}
	if (env->release)
		env->release(env->ctx, n);
	else
		free(n);
}

static int remove_from(const struct rmap_env *env, uint64_t *head, struct rmap_node *n, uint64_t *sptep, struct err *e)
{
	unsigned count = used(n), at = 0;

	while (at < count && n->sptep[at] != sptep)
		at++;
	if (at == count)
		return err_set_at(e, -EUCLEAN, ERR_SPACE_HVA, (uintptr_t)sptep,
				  "reverse map" WHY "spte %p is not in the descriptor %p that it should stand in" TRY
				  "a report of how this came about: the map is corrupt",
				  (void *)sptep, (void *)n);
	n->sptep[at] = n->sptep[count - 1];
	n->sptep[count - 1] = NULL;
	first_node(*head)->count--;
	if (count == 1)
		unlink_node(env, head, n);
	return 0;
}

int rmap_remove(const struct rmap_env *env, uint64_t *head, uint64_t *sptep, struct err *e)
{
	if (!*head)
		return err_set_at(e, -EUCLEAN, ERR_SPACE_HVA, (uintptr_t)sptep,
				  "reverse map" WHY "spte %p is to be removed from an empty head" TRY
				  "a report of how this came about: the map is corrupt",
				  (void *)sptep);
	if (*head & MANY) {
		struct rmap_node *n = *env->owner(env->ctx, sptep);
		int rc = n ? remove_from(env, head, n, sptep, e)
			   : err_set_at(e, -EUCLEAN, ERR_SPACE_HVA, (uintptr_t)sptep,
					"reverse map" WHY "spte %p stands in no descriptor of this chain" TRY
					"a report of how this came about: the map is corrupt",
					(void *)sptep);
		if (!rc)
			set_owner(env, sptep, NULL);
		return rc;
	}
	if (*head != (uintptr_t)sptep)
		return err_set_at(e, -EUCLEAN, ERR_SPACE_HVA, (uintptr_t)sptep,
				  "reverse map" WHY "the only spte is %#llx, not %p" TRY
				  "a report of how this came about: the map is corrupt",
				  (unsigned long long)*head, (void *)sptep);
	*head = 0;
	return 0;
}

enum rmap_kind rmap_kind_of(uint64_t head)
{
	return !head ? RMAP_EMPTY : head & MANY ? RMAP_MANY : RMAP_ONE;
}

uint64_t rmap_count(uint64_t head)
{
	return !head ? 0 : head & MANY ? first_node(head)->count : 1;
}

static int each_of_node(const struct rmap_node *n, uint64_t *seen, uint64_t limit, int (*fn)(void *arg, uint64_t *sptep),
			void *arg)
{
	unsigned count = used(n);

	if (!count)
		return -EUCLEAN;
	for (unsigned i = count; i < RMAP_DESC_ENTRIES; i++)
		if (n->sptep[i])
			return -EUCLEAN;
	for (unsigned i = 0; i < count; i++) {
		if ((*seen)++ >= limit)
			return -EUCLEAN;
		int rc = fn(arg, n->sptep[i]);
		if (rc)
			return rc;
	}
	return 0;
}

int rmap_each(uint64_t head, uint64_t limit, int (*fn)(void *arg, uint64_t *sptep), void *arg)
{
	uint64_t seen = 0;

	if (!head)
		return 0;
	if (!(head & MANY))
		return limit ? fn(arg, (uint64_t *)(uintptr_t)head) : -EUCLEAN;
	for (const struct rmap_node *n = first_node(head); n; n = n->more) {
		int rc = each_of_node(n, &seen, limit, fn, arg);
		if (rc)
			return rc;
	}
	return 0;
}

int rmap_describe(uint64_t head, struct rmap_info *out, struct err *e)
{
	size_t n = 0, i = 0;

	out->head = head;
	out->kind = rmap_kind_of(head);
	out->desc = NULL;
	out->n_desc = 0;
	if (out->kind != RMAP_MANY)
		return 0;
	for (const struct rmap_node *d = first_node(head); d; d = d->more)
		n++;
	out->desc = calloc(n, sizeof(*out->desc));
	if (!out->desc)
		return err_nomem(e, "reverse map");
	for (const struct rmap_node *d = first_node(head); d; d = d->more, i++)
		out->desc[i] = (struct rmap_desc){.address = (uintptr_t)d, .more = (uintptr_t)d->more, .used = used(d)};
	out->n_desc = n;
	return 0;
}
