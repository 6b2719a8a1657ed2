/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Looks: commands that change nothing, run for their records, and core's models.
 */
#include "cli/tui/collect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/session/go.h"
#include "core/debug/pagemap.h"
#include "core/debug/tables.h"
#include "views/record.h"

#define LIVE_NS 100000000ull /* ten looks a second at the most */
#define LIVE_SHARE 10	     /* and no more than one part in ten of a core */
#define CODE_INSNS "64"

static const struct {
	const char *command;
	enum seen_about about;
} looks[SEEN_RECORDS] = {
#define LOOK(id, command, about) [SEEN_##id] = {command, ABOUT_##about},
    SEEN_LIST(LOOK)
#undef LOOK
};

void collect_init(struct collector *k, struct client *c)
{
	*k = (struct collector){.client = c, .state = 1};
}

static void drop(struct collector *k, unsigned i)
{
	pool_destroy(k->pool[i]);
	k->pool[i] = NULL;
	k->scene.seen[i].v = v_null();
}

static void drop_all(struct collector *k)
{
	for (unsigned i = 0; i < SEEN_COUNT; i++) {
		drop(k, i);
		k->scene.seen[i] = (struct seen){.generation = k->scene.seen[i].generation + 1};
		k->made[i] = 0;
	}
	pagemap_destroy(k->scene.map);
	trees_destroy(k->scene.tables);
	k->scene.map = NULL;
	k->scene.tables = NULL;
}

void collect_deinit(struct collector *k)
{
	drop_all(k);
}

void collect_changed(struct collector *k, bool stopped)
{
	k->state++;
	if (stopped)
		k->code_at_selection = false;
}

/* ---- one look */

/* Where the listing begins: at the vCPU's place, unless that stands in the upper part of what is listed already: then the
 * lines stay and the mark moves. */
static uint64_t code_from(const struct collector *k)
{
	const struct value *old = &k->scene.seen[SEEN_CODE].v;
	uint64_t at;

	if (k->code_at_selection && k->scene.sel.has_gva)
		return k->scene.sel.gva;
	if (client_eval(k->client, "$pc", &at, NULL))
		return 0;
	for (uint32_t i = 0; old->type == VALUE_LIST && i < old->n / 4; i++) {
		const struct value *address = v_get(&old->items[i], "address");
		if (address && address->type == VALUE_HEX && address->hex == at)
			return v_get(&old->items[0], "address")->hex;
	}
	return at;
}

/* The words behind a command's name; false: there is nothing that it could be about. */
static bool words_of(const struct collector *k, enum seen_about about, char word[3][24], int *n)
{
	const struct place *sel = &k->scene.sel;
	unsigned long long page;

	*n = 0;
	switch (about) {
	case ABOUT_NOTHING:
		return true;
	case ABOUT_FAULT:
		return k->scene.parked;
	case ABOUT_GFN:
		snprintf(word[(*n)++], 24, "0x%llx", (unsigned long long)(sel->gpa >> PAGE_SHIFT));
		return sel->has_gpa;
	case ABOUT_GVA:
	case ABOUT_WRITE:
		snprintf(word[(*n)++], 24, "0x%llx", (unsigned long long)sel->gva);
		if (about == ABOUT_WRITE)
			strcpy(word[(*n)++], "w");
		return sel->has_gva;
	case ABOUT_CODE:
		snprintf(word[(*n)++], 24, "0x%llx", (unsigned long long)code_from(k));
		strcpy(word[(*n)++], CODE_INSNS);
		return true;
	case ABOUT_MEMORY:
		page = (sel->has_gva ? sel->gva : sel->gpa) & ~PAGE_OFFSET_MASK;
		snprintf(word[(*n)++], 24, "0x%llx", page);
		strcpy(word[(*n)++], "4096");
		if (!sel->has_gva)
			strcpy(word[(*n)++], "-phys");
		return sel->has_gva || sel->has_gpa;
	}
	return false;
}

static int run_look(struct collector *k, unsigned i, struct pool *pool, struct value *out, struct err *e)
{
	char name[2][24], word[3][24];
	const char *names[2] = {name[0], name[1]}, *argv[6], *format;
	int used, n, n_names = sscanf(looks[i].command, "%23s %23s", name[0], name[1]);
	struct call c = {.s = k->client->s, .client = k->client, .pool = pool};

	if (!words_of(k, looks[i].about, word, &n))
		return -ENOENT; /* nothing is selected: nothing to say */
	c.cmd = command_find(c.s->commands, n_names, names, true, &used, &format, e);
	if (!c.cmd)
		return -ENOENT;
	for (int w = used; w < n_names; w++)
		argv[c.argc++] = names[w];
	for (int w = 0; w < n; w++)
		argv[c.argc++] = word[w];
	c.argv = argv;
	int ret = command_look(&c, e);
	*out = c.result;
	return ret;
}

static int record_of_stop(struct collector *k, struct pool *pool, struct value *out)
{
	struct session *s = k->client->s;
	char why[2048];

	if (!s->d.m)
		return -ENODEV;
	debug_why(&s->d, &s->d.stop, why, sizeof(why));
	*out = record_stop(pool, &s->d.stop, why);
	return 0;
}

/* A selection that has been chosen anew has its tables opened, so that its row is there when it is drawn. */
static int look_at_tables(struct collector *k, struct err *e)
{
	const struct place *sel = &k->scene.sel;
	struct session *s = k->client->s;
	int ret = trees_look(&k->scene.tables, s->d.m, s->vcpu, e);

	if (ret || k->tables_opened == k->scene.sel_generation || (!sel->has_gva && !sel->has_gpa))
		return ret;
	k->tables_opened = k->scene.sel_generation;
	if (!trees_open_path(k->scene.tables, !sel->has_gva, sel->has_gva ? sel->gva : sel->gpa))
		return 0;
	return trees_look(&k->scene.tables, s->d.m, s->vcpu, e);
}

static int look_at(struct collector *k, unsigned i, struct pool *pool, struct value *out, struct err *e)
{
	struct session *s = k->client->s;

	if (i == SEEN_MAP)
		return s->d.m ? pagemap_look(&k->scene.map, s->d.m, e) : -ENODEV;
	if (i == SEEN_TABLES)
		return s->d.m ? look_at_tables(k, e) : -ENODEV;
	return i == SEEN_STOP ? record_of_stop(k, pool, out) : run_look(k, i, pool, out, e);
}

/* The kernel changed it under the look: some row's source says so. */
static bool is_torn(const struct value *v)
{
	if (v->type == VALUE_LIST)
		for (uint32_t i = 0; i < v->n; i++)
			if (is_torn(&v->items[i]))
				return true;
	const struct value *source = v->type == VALUE_DICT ? v_get(v, "source") : NULL;
	return source && source->type == VALUE_STR && strstr(source->str, "torn");
}

static void look(struct collector *k, unsigned i)
{
	struct seen *seen = &k->scene.seen[i];
	struct pool *pool = pool_create();
	struct value v = v_null();
	struct err e = {0};
	uint64_t began = clock_now_ns();
	int ret = pool ? look_at(k, i, pool, &v, &e) : err_nomem(&e, "look");

	seen->at = clock_now_ns();
	seen->cost = seen->at - began;
	seen->generation++;
	seen->live = go_is_under_way(k->client->s);
	snprintf(seen->error, sizeof(seen->error), "%.159s", ret ? e.why : "");
	k->made[i] = k->state;
	if (ret == -EBUSY && seen->v.type != VALUE_NULL) { /* what was seen before stays, and the reason beside it */
		pool_destroy(pool);
		return;
	}
	drop(k, i);
	k->pool[i] = pool;
	seen->v = ret ? v_null() : v;
	seen->torn = is_torn(&seen->v);
}

/* ---- all of them */

static void follow_machine(struct collector *k)
{
	struct session *s = k->client->s;

	if (k->loads != s->loads)
		drop_all(k);
	k->loads = s->loads;
	k->scene.has_vm = s->d.m != NULL;
	k->scene.running = go_is_under_way(s) || (s->d.m && machine_running(s->d.m));
	k->scene.parked = s->d.m && machine_parked(s->d.m, NULL);
	k->scene.vcpu = s->vcpu;
	k->scene.vcpus = s->d.m ? machine_vcpus(s->d.m) : 0;
	k->scene.sel = s->sel.at;
	k->scene.sel_generation = s->sel.generation;
	k->scene.now = clock_now_ns();
}

/* Looks that are about the selection are made again when it is another one. */
static void follow_selection(struct collector *k)
{
	if (k->sel_seen == k->scene.sel_generation)
		return;
	k->sel_seen = k->scene.sel_generation;
	k->code_at_selection = k->client->s->sel_chosen;
	for (unsigned i = 0; i < SEEN_RECORDS; i++)
		if (looks[i].about != ABOUT_NOTHING)
			k->made[i] = 0;
	k->made[SEEN_TABLES] = 0;
}

bool collect(struct collector *k, uint32_t needs)
{
	uint64_t began;
	bool any = false, live;

	follow_machine(k);
	follow_selection(k);
	began = k->scene.now;
	live = k->scene.running && began >= k->next_live;
	for (unsigned i = 0; i < SEEN_COUNT; i++)
		if (needs & 1u << i && (live || k->made[i] != k->state)) {
			look(k, i);
			any = true;
		}
	k->scene.now = clock_now_ns();
	if (live) {
		uint64_t cost = k->scene.now - began;
		k->next_live = k->scene.now + MAX(LIVE_NS, cost * (LIVE_SHARE - 1));
	}
	return any;
}

void collect_again(struct collector *k, uint32_t which)
{
	for (unsigned i = 0; i < SEEN_COUNT; i++)
		if (which & 1u << i)
			k->made[i] = 0;
}

uint64_t collect_due_in(const struct collector *k)
{
	uint64_t now = clock_now_ns();

	if (!k->scene.running)
		return UINT64_MAX;
	return k->next_live > now ? k->next_live - now : 0;
}
