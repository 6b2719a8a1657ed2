/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Taking and restoring a checkpoint. Restored is what differs: pages, slots, flags; so a step back by a few instructions
 * costs a comparison of memory and little else. Order: slots, memory, dirty logs, then hidden state or registers (they may
 * enter or leave SMM, which swaps slots on some hosts), the board last.
 */
#include "core/debug/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/board/board.h"

struct saved_slot {
	struct slot_spec spec;
	uint64_t serial;
	bool file_backed;
	struct memory_copy memory;
	uint64_t *dirty[2];
	size_t words;
};

struct saved_range {
	void *at;
	bool maps;
	struct memory_copy bytes;
};

struct checkpoint {
	struct page_store *store;
	struct saved_slot *slots; /* by id, without the debugger's own */
	size_t n_slots;
	struct saved_range *ranges;
	size_t n_ranges, cap_ranges;
	struct regs *regs;
	uint32_t *smbase;
	bool *smbase_known;
	struct saved_nested {
		void *state;
		size_t len;
	} * nested; /* what registers do not have of a guest's guest */
	unsigned vcpus;
	struct board board;
	uint64_t position;
};

uint64_t checkpoint_position(const struct checkpoint *c)
{
	return c->position;
}

uint64_t checkpoint_rip(const struct checkpoint *c, unsigned vcpu)
{
	return vcpu < c->vcpus ? c->regs[vcpu].rip : 0;
}

size_t checkpoint_pages(const struct checkpoint *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_slots; i++)
		n += c->slots[i].memory.n;
	return n;
}

void checkpoint_drop(struct checkpoint *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_slots; i++) {
		memory_copy_drop(c->store, &c->slots[i].memory);
		free(c->slots[i].dirty[0]);
		free(c->slots[i].dirty[1]);
	}
	for (size_t i = 0; i < c->n_ranges; i++)
		memory_copy_drop(c->store, &c->ranges[i].bytes);
	free(c->slots);
	free(c->ranges);
	free(c->regs);
	free(c->smbase);
	free(c->smbase_known);
	for (unsigned i = 0; c->nested && i < c->vcpus; i++)
		free(c->nested[i].state);
	free(c->nested);
	free(c);
}

/* ---- taking */

static int compare_slot_id(const void *id, const void *slot)
{
	uint32_t a = *(const uint32_t *)id, b = ((const struct saved_slot *)slot)->spec.id;

	return (a > b) - (a < b);
}

/* The same slot, not another one that has come to its number; there may be 32,000. */
static const struct saved_slot *saved_slot(const struct checkpoint *c, const struct slot *s)
{
	const uint32_t id = s->id;
	const struct saved_slot *w = c ? bsearch(&id, c->slots, c->n_slots, sizeof(*c->slots), compare_slot_id) : NULL;

	return w && w->serial == s->serial ? w : NULL;
}

static int take_dirty(struct saved_slot *to, const struct slot *s, struct err *e)
{
	to->words = (size_t)((s->size / PAGE_SIZE_4K + 63) / 64);
	for (int smm = 0; smm < 2; smm++) {
		if (!s->dirty[smm])
			continue;
		to->dirty[smm] = malloc(to->words * sizeof(uint64_t));
		if (!to->dirty[smm])
			return err_nomem(e, "checkpoint");
		memcpy(to->dirty[smm], s->dirty[smm], to->words * sizeof(uint64_t));
	}
	return 0;
}

static int take_slot(struct checkpoint *c, const struct checkpoint *base, struct machine *m, const struct slot *s,
		     struct err *e)
{
	struct saved_slot *to = &c->slots[c->n_slots++];
	const struct saved_slot *was = saved_slot(base, s);
	int rc = 0;

	to->spec = (struct slot_spec){.id = s->id,
				      .vis = s->vis,
				      .gpa = s->gpa,
				      .size = s->size,
				      .flags = s->flags,
				      .huge = s->huge,
				      .guest_memfd = s->guest_memfd};
	to->serial = s->serial;
	to->file_backed = s->file_backed;
	if (!s->file_backed && !slot_in_place(s, s->gpa))
		return err_set(e, -EROFS,
			       "checkpoint" WHY "slot %u's memory can only be read, so that it could not be put back" TRY
			       "snap -memory, to compare with later",
			       s->id);
	if (!machine_running(m) && (s->dirty[0] || s->dirty[1])) {
		uint64_t *bits = NULL;
		size_t n;
		/* Brings the record up to date with what the backend knows. */
		rc = machine_slot_dirty(m, s->id, false, &bits, &n, e);
		free(bits);
	}
	if (!rc)
		rc = take_dirty(to, s, e);
	if (!rc && slot_in_place(s, s->gpa))
		rc =
		    memory_copy_take(c->store, slot_in_place(s, s->gpa), s->size, was ? &was->memory : NULL, &to->memory, e);
	return rc;
}

static int take_slots(struct checkpoint *c, const struct checkpoint *base, struct machine *m, struct err *e)
{
	const struct slot_table *t = machine_slots(m);
	int rc = 0;

	c->slots = calloc(t->n + 1, sizeof(*c->slots));
	if (!c->slots)
		return err_nomem(e, "checkpoint");
	for (size_t i = 0; !rc && i < t->n; i++)
		if (!t->by_id[i]->own)
			rc = take_slot(c, base, m, t->by_id[i], e);
	return rc;
}

static int take_regs(struct checkpoint *c, struct machine *m, struct err *e)
{
	int rc = 0;

	c->regs = calloc(c->vcpus, sizeof(*c->regs));
	c->smbase = calloc(c->vcpus, sizeof(*c->smbase));
	c->smbase_known = calloc(c->vcpus, sizeof(*c->smbase_known));
	c->nested = calloc(c->vcpus, sizeof(*c->nested));
	if (!c->regs || !c->smbase || !c->smbase_known || !c->nested)
		return err_nomem(e, "checkpoint");
	for (unsigned i = 0; !rc && i < c->vcpus; i++) {
		rc = machine_get_regs(m, i, REGS_ALL, &c->regs[i], e);
		c->smbase_known[i] = !machine_smbase(m, i, &c->smbase[i], NULL);
		if (!rc)
			rc = machine_nested_take(m, i, &c->nested[i].state, &c->nested[i].len, e);
	}
	return rc;
}

struct taking {
	struct checkpoint *c;
	const struct checkpoint *base;
	struct err *e;
};

static const struct memory_copy *range_before(const struct checkpoint *base, const void *at, size_t hint)
{
	if (base && hint < base->n_ranges && base->ranges[hint].at == at)
		return &base->ranges[hint].bytes;
	for (size_t i = 0; base && i < base->n_ranges; i++)
		if (base->ranges[i].at == at)
			return &base->ranges[i].bytes;
	return NULL;
}

static int take_range(void *ctx, void *at, size_t len, bool maps)
{
	struct taking *t = ctx;
	struct checkpoint *c = t->c;

	if (c->n_ranges == c->cap_ranges) {
		size_t cap = c->cap_ranges ? c->cap_ranges * 2 : 16;
		struct saved_range *grown = realloc(c->ranges, cap * sizeof(*grown));
		if (!grown)
			return err_nomem(t->e, "checkpoint");
		c->ranges = grown;
		c->cap_ranges = cap;
	}
	struct saved_range *r = &c->ranges[c->n_ranges];
	*r = (struct saved_range){.at = at, .maps = maps};
	int rc = memory_copy_take(c->store, at, len, range_before(t->base, at, c->n_ranges), &r->bytes, t->e);
	if (!rc)
		c->n_ranges++;
	return rc;
}

int checkpoint_take(struct page_store *store, struct machine *m, const struct checkpoint *base, struct checkpoint **out,
		    struct err *e)
{
	struct checkpoint *c;
	struct taking t = {.base = base, .e = e};
	unsigned vcpu;
	int rc;

	if (machine_parked(m, &vcpu))
		return err_set(e, -EBUSY,
			       "checkpoint" WHY "vCPU %u stands inside a fault, in the middle of an instruction" TRY
			       "fault continue, or si, first",
			       vcpu);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_nomem(e, "checkpoint");
	t.c = c;
	c->store = store;
	c->vcpus = machine_vcpus(m);
	c->position = machine_position(m);
	c->board = *machine_board(m);
	rc = take_slots(c, base, m, e);
	if (!rc)
		rc = take_regs(c, m, e);
	if (!rc)
		rc = machine_hidden(m, take_range, &t);
	if (rc) {
		checkpoint_drop(c);
		return rc;
	}
	*out = c;
	return 0;
}

/* ---- restoring slots */

static bool has_slot(const struct checkpoint *c, uint32_t id)
{
	for (size_t i = 0; i < c->n_slots; i++)
		if (c->slots[i].spec.id == id)
			return true;
	return false;
}

static int delete_new_slots(struct machine *m, const struct checkpoint *c, struct err *e)
{
	const struct slot_table *t = machine_slots(m);
	int rc = 0;

	for (size_t i = t->n; !rc && i--;) {
		const struct slot *s = t->by_id[i];
		if (!s->own && !has_slot(c, s->id))
			rc = machine_slot_delete(m, s->id, NULL, e);
	}
	return rc;
}

/* The same slot as then, or one that can become it without losing its memory. */
static bool reusable(const struct slot *s, const struct saved_slot *w)
{
	return s && s->size == w->spec.size && (s->serial == w->serial || (!s->file_backed && !w->file_backed));
}

/* Two slots that changed places stand in each other's way: whoever cannot move is made anew. */
static int restore_slot(struct machine *m, const struct saved_slot *w, struct err *e)
{
	struct slot *s = slot_by_id(machine_slots(m), w->spec.id);
	int rc = 0;

	if (reusable(s, w) && s->gpa != w->spec.gpa && machine_slot_move(m, s->id, w->spec.gpa, NULL, NULL))
		s = NULL;
	if (reusable(s, w)) {
		if (s->flags == w->spec.flags && s->vis == w->spec.vis)
			return 0;
		return machine_slot_flags(m, s->id, w->spec.flags, ~w->spec.flags & SLOT_FLAGS_ALL, w->spec.vis, NULL, e);
	}
	if (slot_by_id(machine_slots(m), w->spec.id))
		rc = machine_slot_delete(m, w->spec.id, NULL, e);
	return rc;
}

static int restore_slots(struct machine *m, const struct checkpoint *c, struct err *e)
{
	int rc = delete_new_slots(m, c, e);

	for (size_t i = 0; !rc && i < c->n_slots; i++)
		rc = restore_slot(m, &c->slots[i], e);
	for (size_t i = 0; !rc && i < c->n_slots; i++)
		if (!slot_by_id(machine_slots(m), c->slots[i].spec.id))
			rc = machine_slot_add(m, &c->slots[i].spec, NULL, e);
	return rc;
}

/* ---- restoring memory */

struct page_list {
	struct machine_page *v;
	size_t n, cap;
};

static int add_page(void *ctx, uint64_t index, const uint8_t *bytes)
{
	struct page_list *l = ctx;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct machine_page *grown = realloc(l->v, cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->v = grown;
		l->cap = cap;
	}
	l->v[l->n++] = (struct machine_page){.index = index, .bytes = bytes};
	return 0;
}

static int restore_memory(struct machine *m, const struct saved_slot *w, struct err *e)
{
	const struct slot *s = slot_by_id(machine_slots(m), w->spec.id);
	struct page_list l = {0};
	int rc = 0;

	if (slot_in_place(s, s->gpa) && !w->file_backed)
		rc = memory_copy_differences(&w->memory, slot_in_place(s, s->gpa), add_page, &l, e);
	if (rc == -ENOMEM)
		err_nomem(e, "restore memory");
	if (!rc && l.n)
		rc = machine_write_pages(m, w->spec.id, l.v, l.n, e);
	free(l.v);
	if (!rc && (w->dirty[0] || w->dirty[1]))
		rc = machine_slot_dirty_set(m, w->spec.id, w->dirty, e);
	return rc;
}

/* ---- restoring the rest */

static bool same_slots(struct machine *m, const struct checkpoint *c)
{
	for (size_t i = 0; i < c->n_slots; i++)
		if (slot_by_id(machine_slots(m), c->slots[i].spec.id)->serial != c->slots[i].serial)
			return false;
	return true;
}

static int restore_hidden(struct machine *m, const struct checkpoint *c, bool maps, struct err *e)
{
	int rc = 0;

	if (!maps)
		machine_hidden_drop(m);
	for (size_t i = 0; !rc && i < c->n_ranges; i++)
		if (maps || !c->ranges[i].maps)
			rc = memory_copy_put(&c->ranges[i].bytes, c->ranges[i].at, e);
	machine_hidden_restored(m, maps);
	return rc;
}

static int restore_smbase(struct machine *m, const struct checkpoint *c, unsigned vcpu, struct err *e)
{
	uint32_t now;

	if (!c->smbase_known[vcpu] || machine_smbase(m, vcpu, &now, NULL) || now == c->smbase[vcpu])
		return 0;
	return machine_set_smbase(m, vcpu, c->smbase[vcpu], e);
}

static int restore_regs(struct machine *m, const struct checkpoint *c, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < c->vcpus; i++) {
		rc = machine_nested_leave(m, i, e);
		if (!rc)
			rc = restore_smbase(m, c, i, e);
		if (!rc)
			rc = machine_set_regs(m, i, c->regs[i].valid & REGS_ALL, &c->regs[i], e);
		if (!rc)
			rc = machine_nested_put(m, i, c->nested[i].state, c->nested[i].len, e);
	}
	return rc;
}

static void restore_board(struct machine *m, const struct checkpoint *c)
{
	struct board *b = machine_board(m), now = *b;

	*b = c->board;
	b->console = now.console;
	b->console_ctx = now.console_ctx;
	memcpy(b->window, now.window, sizeof(b->window));
	b->n_windows = now.n_windows;
}

static int check(struct machine *m, const struct checkpoint *c, struct err *e)
{
	unsigned vcpu;

	if (machine_parked(m, &vcpu))
		return err_set(e, -EBUSY,
			       "restore a checkpoint" WHY "vCPU %u stands inside a fault" TRY "fault continue, or si, first",
			       vcpu);
	if (machine_vcpus(m) != c->vcpus)
		return err_set(e, -EINVAL, "restore a checkpoint" WHY "it has %u vCPUs, this VM %u" TRY "load with -n %u",
			       c->vcpus, machine_vcpus(m), c->vcpus);
	return 0;
}

int checkpoint_restore(struct machine *m, const struct checkpoint *c, struct err *e)
{
	int rc = check(m, c, e);

	if (rc)
		return rc;
	rc = restore_slots(m, c, e);
	for (size_t i = 0; !rc && i < c->n_slots; i++)
		rc = restore_memory(m, &c->slots[i], e);
	if (!rc)
		rc = machine_has_hidden(m) ? restore_hidden(m, c, same_slots(m, c), e) : restore_regs(m, c, e);
	if (rc) {
		err_prefix(e, "the VM is only half restored: ");
		return rc;
	}
	restore_board(m, c);
	machine_slot_forget_news(m);
	return 0;
}
