/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The kernel's own memslots. Sets with a tree by gfn (5.17 on) are read level by level, each level in one batch; older ones
 * are an array. What was read stays good while the active set and its generation are the same, so most calls cost two reads.
 */
#include "kvmback/kernel/kview_impl.h"

#include <errno.h>
#include <string.h>

#define TREE_DEPTH_MAX 64

void kslots_free(struct kslots *s)
{
	free(s->v);
	memset(s, 0, sizeof(*s));
}

/* Which set is active in each address space, and its generation. */
static int read_sets(struct kview *k, uint64_t set[2], uint64_t generation[2], struct err *e)
{
	const struct klayout *l = k->l;
	int rc = kmem_read(k->mem, k->kvm + (uint64_t)l->kvm_memslots.off, set, l->as_count * sizeof(*set), e);

	for (unsigned as = 0; !rc && as < l->as_count; as++) {
		if (!kmem_pointer(set[as]))
			return err_set_at(e, -EFAULT, ERR_SPACE_KERNEL, set[as],
					  "read memslots" WHY "kvm->memslots[%u] is %#llx" TRY "again", as,
					  (unsigned long long)set[as]);
		rc = kmem_u64(k->mem, set[as] + (uint64_t)l->slots_generation.off, &generation[as], e);
	}
	return rc;
}

static void decode(const struct klayout *l, const void *raw, uint64_t at, unsigned as, struct kslot *s)
{
	*s = (struct kslot){.at = at,
			    .base_gfn = klayout_num(&l->slot_base_gfn, raw),
			    .npages = klayout_num(&l->slot_npages, raw),
			    .hva = klayout_num(&l->slot_hva, raw),
			    .dirty = klayout_num(&l->slot_dirty, raw),
			    .flags = (uint32_t)klayout_num(&l->slot_flags, raw),
			    .id = (uint32_t)klayout_num(&l->slot_id, raw),
			    .as = as};
	memcpy(s->rmap, (const char *)raw + l->slot_rmap.off, l->slot_rmap.count * sizeof(s->rmap[0]));
}

static int grow(struct kslots *s, size_t more, struct err *e)
{
	struct kslot *v;

	if (!more) /* realloc() to nothing would free it */
		return 0;
	if (s->n + more > KVIEW_SLOTS_MAX)
		return err_set(e, -EFAULT,
			       "read memslots" WHY "more than %u of them: the structures moved meanwhile" TRY "again",
			       KVIEW_SLOTS_MAX);
	v = realloc(s->v, (s->n + more) * sizeof(*v));
	if (!v)
		return err_nomem(e, "memslots");
	s->v = v;
	return 0;
}

/* One level of the tree: nodes in, their children out. */
static int read_level(struct kview *k, unsigned as, int32_t node_off, uint64_t **level, size_t *n, struct kslots *s,
		      struct err *e)
{
	const struct klayout *l = k->l;
	size_t count = *n, children = 0;
	_cleanup_free_ char *raw = malloc(count * l->slot_size);
	_cleanup_free_ bool *ok = malloc(count);
	uint64_t *next = malloc(2 * count * sizeof(*next));
	int rc;

	if (!raw || !ok || !next) {
		free(next);
		return err_nomem(e, "memslots");
	}
	for (size_t i = 0; i < count; i++)
		(*level)[i] -= (uint64_t)node_off;
	rc = kmem_gather(k->mem, *level, count, l->slot_size, raw, ok, e);
	if (!rc)
		rc = grow(s, count, e);
	for (size_t i = 0; !rc && i < count; i++) {
		const char *slot = raw + i * l->slot_size;
		uint64_t child[2];

		s->torn |= !ok[i];
		if (!ok[i])
			continue;
		decode(l, slot, (*level)[i], as, &s->v[s->n++]);
		memcpy(&child[0], slot + node_off + l->rb_left.off, 8);
		memcpy(&child[1], slot + node_off + l->rb_right.off, 8);
		for (int c = 0; c < 2; c++)
			if (kmem_pointer(child[c]))
				next[children++] = child[c];
			else
				s->torn |= child[c] != 0;
	}
	free(*level);
	*level = next;
	*n = children;
	return rc;
}

static int read_tree(struct kview *k, unsigned as, struct kslots *s, struct err *e)
{
	const struct klayout *l = k->l;
	uint64_t set = s->set[as], root;
	uint32_t node_idx = 0;
	int32_t node_off;
	uint64_t *level;
	size_t n = 1;
	int rc = kmem_u64(k->mem, set + (uint64_t)l->slots_tree.off, &root, e);

	if (!rc)
		rc = kmem_read(k->mem, set + (uint64_t)l->slots_node_idx.off, &node_idx, sizeof(node_idx), e);
	if (rc || !root)
		return rc;
	if (node_idx > 1 || !kmem_pointer(root)) {
		s->torn = true;
		return 0;
	}
	level = malloc(sizeof(*level));
	if (!level)
		return err_nomem(e, "memslots");
	*level = root;
	node_off = l->slot_gfn_node.off + (int32_t)(node_idx * l->rb_size);
	for (unsigned depth = 0; !rc && n; depth++) {
		if (depth == TREE_DEPTH_MAX) {
			s->torn = true;
			break;
		}
		rc = read_level(k, as, node_off, &level, &n, s, e);
	}
	free(level);
	return rc;
}

static int read_array(struct kview *k, unsigned as, struct kslots *s, struct err *e)
{
	const struct klayout *l = k->l;
	uint64_t at = s->set[as] + (uint64_t)l->slots_array.off;
	_cleanup_free_ char *raw = NULL;
	uint32_t used = 0;
	int rc = kmem_read(k->mem, s->set[as] + (uint64_t)l->slots_used.off, &used, sizeof(used), e);

	if (!rc)
		rc = grow(s, used, e);
	if (rc || !used)
		return rc;
	raw = malloc((size_t)used * l->slot_size);
	if (!raw)
		return err_nomem(e, "memslots");
	rc = kmem_read(k->mem, at, raw, (size_t)used * l->slot_size, e);
	for (uint32_t i = 0; !rc && i < used; i++)
		decode(l, raw + (size_t)i * l->slot_size, at + (uint64_t)i * l->slot_size, as, &s->v[s->n++]);
	return rc;
}

static int by_gfn(const void *a, const void *b)
{
	const struct kslot *x = a, *y = b;

	if (x->as != y->as)
		return x->as < y->as ? -1 : 1;
	return x->base_gfn < y->base_gfn ? -1 : x->base_gfn > y->base_gfn;
}

/* Torn where two slots of one space overlap or a slot makes no sense: read while they changed. */
static void check(struct kslots *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct kslot *a = &s->v[i];

		if (!a->npages || a->npages > SLOT_MAX_PAGES || range_wraps(a->base_gfn, a->npages) ||
		    (i && s->v[i - 1].as == a->as && s->v[i - 1].base_gfn + s->v[i - 1].npages > a->base_gfn))
			s->torn = true;
	}
}

static int read_all(struct kview *k, struct kslots *s, struct err *e)
{
	int rc = read_sets(k, s->set, s->generation, e);

	for (unsigned as = 0; !rc && as < k->l->as_count; as++)
		rc = k->l->slots == KSLOTS_TREE ? read_tree(k, as, s, e) : read_array(k, as, s, e);
	if (rc)
		return rc;
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_gfn);
	check(s);
	return 0;
}

static bool same(const struct kslots *s, const uint64_t set[2], const uint64_t generation[2], unsigned as_count)
{
	return !memcmp(s->set, set, as_count * sizeof(*set)) &&
	       !memcmp(s->generation, generation, as_count * sizeof(*generation));
}

int kslots_get(struct kview *k, const struct kslots **out, struct err *e)
{
	uint64_t set[2] = {0}, generation[2] = {0};
	int rc = read_sets(k, set, generation, e);

	if (rc)
		return rc;
	if (k->slots.set[0] && !k->slots.torn && same(&k->slots, set, generation, k->l->as_count)) {
		*out = &k->slots;
		return 0;
	}
	for (int try = 0; try < KVIEW_TRIES; try++) {
		struct kslots s = {0};

		rc = read_all(k, &s, e);
		if (!rc)
			rc = read_sets(k, set, generation, e);
		if (rc) {
			kslots_free(&s);
			if (rc == -EFAULT)
				continue;
			return rc;
		}
		s.torn |= !same(&s, set, generation, k->l->as_count);
		kslots_free(&k->slots);
		k->slots = s;
		if (!s.torn)
			break;
	}
	if (rc)
		return rc;
	*out = &k->slots;
	return 0;
}

int kslots_rmap(struct kview *k, const struct kslot *s, uint64_t rmap[4], struct err *e)
{
	memcpy(rmap, s->rmap, sizeof(s->rmap));
	if (rmap[0])
		return 0;
	return kmem_read(k->mem, s->at + (uint64_t)k->l->slot_rmap.off, rmap, k->l->slot_rmap.count * sizeof(rmap[0]), e);
}

/* ---- the view's operations on slots */

int kview_slots(struct kview *k, struct slot_info_list *out, struct err *e)
{
	const struct kslots *s;
	struct slot_info *v;
	int rc = kslots_get(k, &s, e);

	if (rc)
		return rc;
	v = calloc(s->n ? s->n : 1, sizeof(*v));
	if (!v)
		return err_nomem(e, "memslots");
	for (size_t i = 0; i < s->n; i++)
		v[i] = (struct slot_info){.id = s->v[i].id,
					  .as = s->v[i].as,
					  .vis = SLOT_VIS_BOTH,
					  .gpa = s->v[i].base_gfn << PAGE_SHIFT,
					  .size = s->v[i].npages << PAGE_SHIFT,
					  .hva = s->v[i].hva,
					  .flags = s->v[i].flags,
					  .generation = s->generation[s->v[i].as],
					  .source = SOURCE_KERNEL,
					  .torn = s->torn};
	*out = (struct slot_info_list){v, s->n};
	return 0;
}

/* An address space has two sets that take turns: if both are known, which one is active and its generation are one
 * read. */
static bool generation_at_once(struct kview *k, unsigned as, uint64_t *out)
{
	const struct klayout *l = k->l;
	const uint64_t *known = k->known_set[as];
	uint64_t at[3] = {k->kvm + (uint64_t)l->kvm_memslots.off + as * 8u}, word[3];
	bool ok[3];

	if (!known[0] || !known[1])
		return false;
	at[1] = known[0] + (uint64_t)l->slots_generation.off;
	at[2] = known[1] + (uint64_t)l->slots_generation.off;
	if (kmem_gather(k->mem, at, 3, sizeof(word[0]), word, ok, NULL) || !ok[0] || !ok[1] || !ok[2])
		return false;
	if (word[0] != known[0] && word[0] != known[1])
		return false;
	*out = word[word[0] == known[0] ? 1 : 2];
	return true;
}

static void remember_set(struct kview *k, unsigned as, uint64_t set)
{
	uint64_t *known = k->known_set[as];

	if (known[0] == set || known[1] == set)
		return;
	known[1] = known[0];
	known[0] = set;
}

int kview_generation(struct kview *k, unsigned as, uint64_t *out, struct err *e)
{
	uint64_t set[2] = {0}, generation[2] = {0};
	int rc;

	if (as >= k->l->as_count)
		return err_set(e, -EINVAL, "memslot generation" WHY "address space %u of %u" TRY "0", as, k->l->as_count);
	if (generation_at_once(k, as, out))
		return 0;
	rc = read_sets(k, set, generation, e);
	if (rc)
		return rc;
	remember_set(k, as, set[as]);
	*out = generation[as];
	return 0;
}

int kview_dirty(struct kview *k, uint32_t slot, unsigned as, uint64_t *bits, size_t n, struct err *e)
{
	const struct kslots *s;
	int rc = kslots_get(k, &s, e);

	for (size_t i = 0; !rc && i < s->n; i++) {
		if (s->v[i].id != slot || s->v[i].as != as)
			continue;
		if (!kmem_pointer(s->v[i].dirty))
			return err_set(e, -ENOENT,
				       "dirty bitmap of slot %u" WHY "the kernel keeps none: it is not logged" TRY
				       "slot flags %u +log-dirty",
				       slot, slot);
		if (n > (s->v[i].npages + 63) / 64)
			return err_set(e, -EINVAL, "dirty bitmap of slot %u" WHY "%zu words asked for of %llu" TRY "fewer",
				       slot, n, (unsigned long long)(s->v[i].npages + 63) / 64);
		return kmem_read(k->mem, s->v[i].dirty, bits, n * sizeof(*bits), e);
	}
	return rc ? rc
		  : err_set(e, -ENOENT, "dirty bitmap of slot %u" WHY "the kernel has no such slot" TRY "info slots", slot);
}
