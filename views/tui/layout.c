/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Layouts: their text, and dividing a screen by weights.
 */
#include "views/tui/layout.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "views/draw.h"

#define LEAST_ROWS 3 /* with the title */
#define LEAST_COLS 12
#define WEIGHT_MAX 10000

/* ---- text */

struct parser {
	struct layout l;
	const char *at;
	const struct pane_ops *const *panes;
	char what[48]; /* what was expected; "" if all is well */
};

static char next_char(struct parser *p)
{
	p->at += strspn(p->at, " ");
	return *p->at;
}

static int fail(struct parser *p, const char *what)
{
	if (!p->what[0])
		snprintf(p->what, sizeof(p->what), "%s", what);
	return -1;
}

static int add_node(struct parser *p, enum node_kind kind, int parent)
{
	if (p->l.n == LAYOUT_NODES)
		return fail(p, "fewer panes");
	p->l.node[p->l.n] = (struct layout_node){.kind = kind, .parent = parent, .weight = 1};
	return p->l.n++;
}

static void parse_weight(struct parser *p, int node)
{
	unsigned weight = 0;

	if (next_char(p) != ':')
		return;
	p->at++;
	for (; isdigit((unsigned char)*p->at) && weight < WEIGHT_MAX; p->at++)
		weight = weight * 10 + (unsigned)(*p->at - '0');
	if (weight && weight <= WEIGHT_MAX)
		p->l.node[node].weight = weight;
	else
		fail(p, "a weight");
}

static const struct pane_ops *find_pane(const struct parser *p, const char *name, size_t len)
{
	for (const struct pane_ops *const *o = p->panes; *o; o++)
		if (strlen((*o)->name) == len && !memcmp((*o)->name, name, len))
			return *o;
	return NULL;
}

static void parse_pane(struct parser *p, int parent)
{
	size_t len = strspn(p->at, "abcdefghijklmnopqrstuvwxyz-");
	const struct pane_ops *ops = find_pane(p, p->at, len);
	int node = ops ? add_node(p, NODE_PANE, parent) : fail(p, "a pane's name");

	if (node < 0)
		return;
	p->l.node[node].ops = ops;
	p->at += len;
	if (*p->at == '!') {
		p->l.node[node].hidden = true;
		p->at++;
	}
	parse_weight(p, node);
}

static void parse_node(struct parser *p, int parent, unsigned depth);

static void parse_split(struct parser *p, int parent, unsigned depth)
{
	int node = depth < LAYOUT_DEPTH ? add_node(p, NODE_ROWS, parent) : fail(p, "fewer brackets");
	char sign = 0;

	if (node < 0)
		return;
	p->at++;
	for (;;) {
		parse_node(p, node, depth + 1);
		if (p->what[0])
			return;
		char c = next_char(p);
		if (c == ')')
			break;
		if ((c != '|' && c != '/') || (sign && c != sign)) {
			fail(p, "one of | or / throughout, or )");
			return;
		}
		sign = c;
		p->at++;
	}
	p->at++;
	p->l.node[node].kind = sign == '|' ? NODE_COLUMNS : NODE_ROWS;
	parse_weight(p, node);
}

static void parse_node(struct parser *p, int parent, unsigned depth)
{
	if (next_char(p) == '(')
		parse_split(p, parent, depth);
	else
		parse_pane(p, parent);
}

static int first_pane(const struct layout *l)
{
	for (int i = 0; i < l->n; i++)
		if (l->node[i].kind == NODE_PANE && !l->node[i].hidden)
			return i;
	return -1;
}

int layout_parse(struct layout *out, const char *text, const struct pane_ops *const *panes, struct err *e)
{
	struct parser p = {.at = text, .panes = panes};

	parse_node(&p, -1, 0);
	if (!p.what[0] && next_char(&p))
		fail(&p, "the end");
	p.l.focus = first_pane(&p.l);
	if (!p.what[0] && p.l.focus < 0)
		fail(&p, "a pane that is not hidden");
	if (p.what[0])
		return err_set(e, -EINVAL, "layout" WHY "at \"%.24s\" %s was expected" TRY "(map | selected)", p.at, p.what);
	*out = p.l;
	return 0;
}

static void format_node(const struct layout *l, int node, struct out *o)
{
	const struct layout_node *n = &l->node[node];
	const char *sign = "(";

	if (n->kind == NODE_PANE) {
		out_textf(o, "%s%s", n->ops->name, n->hidden ? "!" : "");
	} else {
		for (int i = node + 1; i < l->n; i++) {
			if (l->node[i].parent != node)
				continue;
			out_text(o, sign);
			format_node(l, i, o);
			sign = n->kind == NODE_COLUMNS ? " | " : " / ";
		}
		out_text(o, ")");
	}
	if (n->weight != 1)
		out_textf(o, ":%u", n->weight);
}

void layout_format(const struct layout *l, struct out *o)
{
	format_node(l, 0, o);
}

/* ---- places */

static bool has_panes(const struct layout *l, int node)
{
	const struct layout_node *n = &l->node[node];

	if (n->kind == NODE_PANE)
		return !n->hidden;
	for (int i = node + 1; i < l->n; i++)
		if (l->node[i].parent == node && has_panes(l, i))
			return true;
	return false;
}

/* The children of a split that get room: the first ones, as many as there is room for. */
static int children_shown(const struct layout *l, int node, unsigned room, unsigned least, int *child)
{
	int n = 0;

	for (int i = node + 1; i < l->n; i++)
		if (l->node[i].parent == node && has_panes(l, i) && (!n || (unsigned)(n + 1) * least <= room))
			child[n++] = i;
	return n;
}

static void place_node(struct layout *l, int node, unsigned row, unsigned col, unsigned rows, unsigned cols);

/* Every child its least, and the rest by weight. */
static void place_split(struct layout *l, int node, unsigned row, unsigned col, unsigned rows, unsigned cols)
{
	bool columns = l->node[node].kind == NODE_COLUMNS;
	unsigned least = columns ? LEAST_COLS : LEAST_ROWS, room = columns ? cols : rows, weights = 0;
	int child[LAYOUT_NODES], n = children_shown(l, node, room, least, child);

	for (int i = 0; i < n; i++)
		weights += l->node[child[i]].weight;
	for (int i = 0; i < n; i++) {
		unsigned weight = l->node[child[i]].weight, later = (unsigned)(n - 1 - i) * least;
		unsigned size = i == n - 1 ? room : (unsigned)((uint64_t)room * weight / weights);
		size = MIN(MAX(size, least), room > later ? room - later : room);
		unsigned line = columns && i < n - 1;
		if (columns)
			place_node(l, child[i], row, col, rows, size - line);
		else
			place_node(l, child[i], row, col, size, cols);
		*(columns ? &col : &row) += size;
		room -= size;
		weights -= weight;
	}
}

static void place_node(struct layout *l, int node, unsigned row, unsigned col, unsigned rows, unsigned cols)
{
	struct layout_node *n = &l->node[node];

	if (n->kind != NODE_PANE) {
		place_split(l, node, row, col, rows, cols);
		return;
	}
	n->row = row;
	n->col = col;
	n->rows = rows;
	n->cols = cols;
	n->placed = rows && cols;
}

void layout_place(struct layout *l, unsigned rows, unsigned cols)
{
	for (int i = 0; i < l->n; i++)
		l->node[i].placed = false;
	if (l->zoomed) {
		place_node(l, l->focus, 0, 0, rows, cols);
		return;
	}
	place_node(l, 0, 0, 0, rows, cols);
	if (!l->node[l->focus].placed)
		layout_focus_next(l, 1);
}

int layout_at(const struct layout *l, unsigned row, unsigned col)
{
	for (int i = 0; i < l->n; i++) {
		const struct layout_node *n = &l->node[i];
		if (n->placed && row >= n->row && row < n->row + n->rows && col >= n->col && col < n->col + n->cols)
			return i;
	}
	return -1;
}

int layout_find(const struct layout *l, const struct pane_ops *ops)
{
	for (int i = 0; i < l->n; i++)
		if (l->node[i].ops == ops)
			return i;
	return -1;
}

/* ---- changes */

static bool can_focus(const struct layout *l, int i)
{
	const struct layout_node *n = &l->node[i];

	return n->kind == NODE_PANE && !n->hidden && (n->placed || l->zoomed);
}

void layout_focus_next(struct layout *l, int by)
{
	int i = l->focus;

	for (int left = l->n; left; left--) {
		i = (i + by + l->n) % l->n;
		if (can_focus(l, i)) {
			l->focus = i;
			return;
		}
	}
}

static bool are_siblings(const struct layout *l, int i, int k)
{
	return i != k && l->node[i].parent == l->node[k].parent && has_panes(l, i);
}

static bool has_neighbour(const struct layout *l, int child)
{
	for (int i = 0; i < l->n; i++)
		if (are_siblings(l, i, child))
			return true;
	return false;
}

/* The nearest split of that direction around the pane in focus that has something beside it: the child that it is in. */
static int child_in_split(const struct layout *l, enum node_kind kind)
{
	for (int i = l->focus; l->node[i].parent >= 0; i = l->node[i].parent)
		if (l->node[l->node[i].parent].kind == kind && has_neighbour(l, i))
			return i;
	return -1;
}

#define SPLIT 1000 /* what the weights of a split add up to once one of its panes has grown */
bool layout_grow(struct layout *l, bool columns, int by)
{
	int child = child_in_split(l, columns ? NODE_COLUMNS : NODE_ROWS);
	unsigned others = 0;

	if (child < 0)
		return false;
	for (int i = 0; i < l->n; i++)
		if (are_siblings(l, i, child))
			others += l->node[i].weight;
	int share = (int)(l->node[child].weight * SPLIT / (l->node[child].weight + others)) + by * (SPLIT / 100);
	share = MAX(10, MIN(share, SPLIT - 10));
	/* Those that are hidden too: they come back as large as they were. */
	for (int i = 0; i < l->n; i++)
		if (i != child && l->node[i].parent == l->node[child].parent) {
			uint64_t scaled = (uint64_t)l->node[i].weight * (unsigned)(SPLIT - share) / others;
			l->node[i].weight = (unsigned)MAX(1u, MIN(scaled, (uint64_t)WEIGHT_MAX));
		}
	l->node[child].weight = (unsigned)share;
	return true;
}

bool layout_hide(struct layout *l)
{
	l->node[l->focus].hidden = true;
	if (!has_panes(l, 0)) {
		l->node[l->focus].hidden = false;
		return false;
	}
	layout_focus_next(l, 1);
	if (l->node[l->focus].hidden) /* nothing else has a place now */
		l->focus = first_pane(l);
	l->zoomed = false;
	return true;
}

void layout_show_all(struct layout *l)
{
	for (int i = 0; i < l->n; i++)
		l->node[i].hidden = false;
	l->zoomed = false;
}
