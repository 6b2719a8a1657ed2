/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Pages of the guest's view that have int3 bytes of ours. All are write-protected, so that the guest's writes find and leave
 * the right bytes. Until code on a page has been executed it is missing as well: who reads it first (a loader that copies
 * it, a checksum) is stepped with our bytes lifted. A page that is executed cannot be missing, or each instruction on it
 * would have to be stepped; from then on its reads see our bytes, as long as the page's slot stays.
 */
#include "kvmback/watch/armed_impl.h"

#include "kvmback/vcpu/bytes.h"

#define INSN_MAX 15u
/* A page that is read so often without ever being executed has data that others work with: steps would never end. */
#define READS_MAX 65536u

static struct code_page *find_code(const struct armed *p, uint64_t hva)
{
	lock_assert_held(&p->lock);
	for (size_t i = 0; i < p->n_code; i++)
		if (p->code[i].hva == hva)
			return &p->code[i];
	return NULL;
}

static struct code_page *get_code(struct armed *p, uint64_t hva)
{
	struct code_page *c = find_code(p, hva);

	if (c || !armed_grow(&p->code, p->n_code, &p->cap_code, sizeof(*p->code)))
		return c;
	c = &p->code[p->n_code++];
	*c = (struct code_page){.hva = hva};
	return c;
}

/* The page in which the instruction at linear begins (off 0) or may end; 0: none. */
static uint64_t page_of(struct kvcpu *v, uint64_t linear, unsigned off)
{
	const struct slot *s;
	uint64_t gpa;
	uint8_t rights;

	if (!gmem_translate(v, linear + off, &gpa, &rights))
		return 0;
	s = gmem_slot(v, gpa);
	return s ? (s->hva + (gpa - s->gpa)) & ~PAGE_OFFSET_MASK : 0;
}

static bool add_to_known(struct armed *p, const uint8_t *alias, bool drop)
{
	LOCK_SCOPE(&p->lock);
	for (size_t i = 0; i < p->n_parts; i++)
		if (p->part[i].code && p->part[i].alias == alias) {
			p->part[i].drop &= drop;
			return true;
		}
	return false;
}

static bool reads_seen(struct kvcpu *v, struct armed *p, uint64_t hva)
{
	uint64_t here = page_of(v, vcpu_linear_rip(v), 0);

	LOCK_SCOPE(&p->lock);
	struct code_page *c = here == hva ? get_code(p, hva) : find_code(p, hva);
	if (c && here == hva)
		c->open = true;
	/* What is missing while faults are caught is told as a fault. */
	return v->vm->faults || (c && c->open);
}

const char *armed_want_code(struct kvcpu *v, const struct slot *s, uint64_t gpa, bool *seen)
{
	struct watched_part c = {.len = 1, .code = true};
	const char *why = uffd_why();
	struct armed *p;

	*seen = true;
	if (why)
		return why;
	if (armed_get(v->vm, "break", &p, NULL))
		return "there is no file descriptor or thread left for userfaultfd";
	*seen = reads_seen(v, p, (s->hva + (gpa - s->gpa)) & ~PAGE_OFFSET_MASK);
	c.drop = !*seen;
	return add_to_known(p, s->alias + (gpa - s->gpa), c.drop) ? NULL : armed_add_part(v, s, gpa, &c);
}

void armed_forget_code(struct kvm_vm *vm)
{
	if (!vm->armed)
		return;
	LOCK_SCOPE(&vm->armed->lock);
	vm->armed->n_code = 0;
}

static bool has_code(const struct armed *p, uint64_t hva)
{
	for (size_t i = 0; i < p->n_parts; i++)
		if (p->part[i].code && p->part[i].hva - hva < PAGE_SIZE_4K)
			return true;
	return false;
}

/* True if the page is not to be missing any more. */
static bool note_access(struct armed *p, uint64_t hva, bool fetched)
{
	const struct armed_range *a = armed_find(p, hva);
	struct code_page *c = a && a->drop && has_code(p, hva) ? get_code(p, hva) : NULL;

	if (!c || c->open)
		return false;
	c->open = fetched || ++c->reads > READS_MAX;
	return c->open;
}

void armed_fetched(struct kvcpu *v)
{
	const struct armed_access *a = &v->control->access;
	struct armed *p = v->vm->armed;
	bool known = a->regs_known && a->entry == vcpu_entry(v);
	uint64_t at = known ? vcpu_linear(v, &vcpu_sregs(v)->cs, a->rip) : vcpu_linear_rip(v), first, last;

	if (!p || !p->n_opened)
		return;
	first = page_of(v, at, 0);
	last = page_of(v, at, INSN_MAX - 1);
	LOCK_SCOPE(&p->lock);
	for (size_t i = 0; i < p->n_opened; i++) {
		uint64_t hva = p->opened[i]->hva;

		if (note_access(p, hva, hva == first || hva == last))
			v->control->plan.stale = true;
	}
}
