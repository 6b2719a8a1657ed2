/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The memory map: guest physical space as a picture, to scale, with what the MMU has for each page of it now. Here are its
 * keys and its moving about; map_draw.c draws.
 */
#include "views/tui/map.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "views/draw.h"

#define SHIFT_MAX 40
#define WHEEL_LINES 3

static void map_close(struct pane *p)
{
	mapgeom_deinit(&((struct map_pane *)p->own)->geom);
}

void map_cell_size(struct out *o, unsigned shift)
{
	out_size(o, PAGE_SIZE_4K << shift);
}

static void out_age(struct out *o, uint64_t ms)
{
	if (ms < 10000)
		out_textf(o, ", %llu ms ago", (unsigned long long)ms);
	else
		out_textf(o, ", %llu s ago", (unsigned long long)(ms / 1000));
}

static void map_subtitle(const struct pane *p, const struct scene *s, struct out *o)
{
	const struct seen *seen = &s->seen[SEEN_MAP];
	const struct map_pane *m = p->own;

	if (!s->map)
		return;
	const struct map_about about = pagemap_about(s->map);
	out_text(o, map_mode_name(m->mode));
	out_text(o, ", ");
	map_cell_size(o, m->shift);
	out_textf(o, " a cell, %s", source_name(about.source, about.torn));
	if (seen->at && s->now >= seen->at)
		out_age(o, (s->now - seen->at) / 1000000);
	if (about.live)
		out_text(o, ", live");
}

/* ---- laying out */

/* The largest step at which the fewest lines are as many as fit: as much as can be seen at once. */
static unsigned shift_that_fits(const struct gpa_region *r, size_t n, unsigned cells, unsigned body)
{
	unsigned best = 0;
	uint64_t fewest = UINT64_MAX;

	for (unsigned shift = 0; shift <= SHIFT_MAX; shift++) {
		uint64_t lines = mapgeom_lines_with(r, n, cells, shift);

		if (lines >= fewest)
			continue;
		best = shift;
		fewest = lines;
		if (lines <= body)
			break;
	}
	return best;
}

/* From here on every slot is one cell. */
static unsigned largest_shift(const struct gpa_region *r, size_t n)
{
	unsigned shift = 0;

	for (size_t i = 0; i < n; i++)
		while (r[i].kind != GPA_HOLE && shift < SHIFT_MAX && (r[i].last - r[i].first) >> PAGE_SHIFT >> shift)
			shift++;
	return shift;
}

static void keep_cursor(struct map_pane *m)
{
	m->gpa = mapgeom_first(&m->geom, m->at);
	m->vis = m->geom.r[m->at.region].vis;
}

/* Where the cursor's place is now: in the region that it was in, if there still is such a one. */
static void find_cursor(struct map_pane *m)
{
	size_t region = pagemap_region_at(m->map, m->gpa);

	for (size_t i = region; i < m->geom.n && m->geom.r[i].first <= m->gpa; i++)
		if (m->geom.r[i].vis == m->vis && m->geom.r[i].last >= m->gpa)
			region = i;
	m->at = mapgeom_pos_of(&m->geom, region, m->gpa);
}

/* With the line above, where a heading is drawn. */
static void keep_visible(struct map_pane *m)
{
	uint64_t line = mapgeom_line_of(&m->geom, m->at), lines = mapgeom_lines(&m->geom);
	uint64_t first = line && m->body > 2 ? line - 1 : line;

	if (first < m->top)
		m->top = first;
	if (m->body && line >= m->top + m->body)
		m->top = line - m->body + 1;
	if (m->top + m->body > lines)
		m->top = lines > m->body ? lines - m->body : 0;
}

static unsigned cells_in(unsigned cols, unsigned margin)
{
	unsigned cells = cols > margin ? cols - margin : 1;

	return cells >= 16 ? cells & ~15u : cells;
}

/* False: there is nothing to draw. */
static bool lay_out(struct map_pane *m, const struct scene *s, struct area a)
{
	size_t n;
	const struct gpa_region *r = pagemap_regions(s->map, &n);
	unsigned cells, largest = largest_shift(r, n);

	m->map = s->map;
	m->looks = pagemap_about(s->map).looks;
	m->geom.r = r;
	m->geom.n = n;
	m->margin = map_margin(r, n);
	cells = cells_in(a.cols, m->margin);
	m->body = a.rows - map_footer_rows(m, a);
	m->shift = m->zoomed ? MIN(m->shift, largest) : shift_that_fits(r, n, cells, m->body);
	if (!n || mapgeom_make(&m->geom, r, n, cells, m->shift)) {
		m->geom.n = 0;
		return false;
	}
	return true;
}

static void go_to(struct map_pane *m, uint64_t gpa)
{
	m->gpa = gpa;
	m->at = mapgeom_pos_of(&m->geom, pagemap_region_at(m->map, gpa), gpa);
	m->vis = m->geom.r[m->at.region].vis;
}

static void follow_selection(struct pane *p, const struct scene *s)
{
	struct map_pane *m = p->own;
	bool same = p->shown == s->sel_generation;

	p->shown = s->sel_generation;
	if (!same && s->sel.has_gpa && (m->gpa ^ s->sel.gpa) >> PAGE_SHIFT)
		go_to(m, s->sel.gpa);
}

static void map_pane_draw(struct pane *p, const struct scene *s, struct area a)
{
	struct map_pane *m = p->own;

	area_clear(a);
	p->rows = a.rows;
	p->cols = a.cols;
	if (!a.rows || !a.cols)
		return;
	if (!s->map || !lay_out(m, s, a)) {
		m->geom.n = 0;
		area_text(a, 0, 0, TONE_DIM, s->seen[SEEN_MAP].error[0] ? s->seen[SEEN_MAP].error : "not looked at yet");
		return;
	}
	find_cursor(m);
	follow_selection(p, s);
	keep_visible(m);
	map_draw(m, s, a);
}

/* Is the layout that of the scene's map? Between a look and the next drawing it is not, and its regions may be gone. */
static bool is_drawn(const struct map_pane *m, const struct scene *s)
{
	size_t n = 0;
	const struct gpa_region *r = s->map ? pagemap_regions(s->map, &n) : NULL;

	return r && n == m->geom.n && r == m->geom.r && pagemap_about(s->map).looks == m->looks;
}

/* ---- keys */

static const struct key_row map_keys[] = {
    {TUI_KEY_LEFT, 'h', "the cell before"},
    {TUI_KEY_RIGHT, 0, "the cell behind"},
    {TUI_KEY_UP, 'k', "the line above"},
    {TUI_KEY_DOWN, 'j', "the line below"},
    {TUI_KEY_PAGE_UP, 0, "a page up"},
    {TUI_KEY_PAGE_DOWN, 0, "a page down"},
    {TUI_KEY_HOME, 0, "the first page of memory"},
    {TUI_KEY_END, 'G', "the end of memory"},
    {'[', 0, "the region before: slot, device, hole"},
    {']', 0, "the next region"},
    {'+', '=', "zoom in: half as many pages a cell"},
    {'-', '_', "zoom out: twice as many pages a cell"},
    {'0', 0, "zoom so that all of memory is seen"},
    {'m', 0, "what a cell says: mapping, dirty log, rmap length, heat"},
    {'l', 0, "the legend, or none"},
    {TUI_KEY_ENTER, 0, "select the cell's first page, in all panes"},
    {'y', 0, "put its address into the command line"},
    {0, 0, NULL},
};

static unsigned moved(struct map_pane *m, struct mappos to)
{
	m->at = to;
	keep_cursor(m);
	keep_visible(m);
	return PANE_HANDLED | PANE_REDRAW;
}

/* The cursor's page stays where it is on the screen, as far as that can be. */
static unsigned zoom(struct map_pane *m, int by)
{
	uint64_t above = mapgeom_line_of(&m->geom, m->at) - m->top, line;
	unsigned largest = largest_shift(m->geom.r, m->geom.n);

	if ((by < 0 && !m->shift) || (by > 0 && m->shift >= largest))
		return PANE_HANDLED;
	m->zoomed = true;
	m->shift = (unsigned)((int)m->shift + by);
	if (mapgeom_make(&m->geom, m->geom.r, m->geom.n, m->geom.cells, m->shift))
		return PANE_HANDLED;
	m->at = mapgeom_pos_of(&m->geom, m->at.region, m->gpa);
	line = mapgeom_line_of(&m->geom, m->at);
	m->top = line > above ? line - above : 0;
	return PANE_HANDLED | PANE_REDRAW;
}

static unsigned fit(struct map_pane *m)
{
	m->zoomed = false;
	return PANE_HANDLED | PANE_REDRAW;
}

static unsigned next_region(struct map_pane *m, bool back)
{
	size_t to = m->at.region;

	if (back && !m->at.cell)
		to -= to > 0;
	else if (!back && to + 1 < m->geom.n)
		to++;
	return moved(m, (struct mappos){to, 0});
}

static struct mappos last_cell(const struct map_pane *m)
{
	return (struct mappos){m->geom.n - 1, mapgeom_cells(&m->geom, m->geom.n - 1) - 1};
}

static unsigned select_cell(const struct map_pane *m, struct pane_reply *r)
{
	r->place = (struct place){.has_gpa = true, .gpa = mapgeom_first(&m->geom, m->at)};
	return PANE_HANDLED | PANE_SELECT | PANE_REDRAW;
}

static unsigned yank_cell(const struct map_pane *m, struct pane_reply *r)
{
	snprintf(r->line, sizeof(r->line), "0x%llx", (unsigned long long)mapgeom_first(&m->geom, m->at));
	return PANE_HANDLED | PANE_EDIT;
}

static unsigned switch_look(struct map_pane *m, int key)
{
	if (key == 'm')
		m->mode = (m->mode + 1) % MAP_MODES;
	else
		m->no_legend = !m->no_legend;
	return PANE_HANDLED | PANE_REDRAW;
}

static unsigned move_key(struct map_pane *m, int key)
{
	const struct mapgeom *g = &m->geom;

	switch (key) {
	case TUI_KEY_LEFT:
	case 'h':
		return moved(m, mapgeom_step(g, m->at, true));
	case TUI_KEY_RIGHT:
		return moved(m, mapgeom_step(g, m->at, false));
	case TUI_KEY_UP:
	case 'k':
		return moved(m, mapgeom_move(g, m->at, -1));
	case TUI_KEY_DOWN:
	case 'j':
		return moved(m, mapgeom_move(g, m->at, 1));
	case TUI_KEY_PAGE_UP:
		return moved(m, mapgeom_move(g, m->at, -(int64_t)MAX(m->body, 1u)));
	case TUI_KEY_PAGE_DOWN:
		return moved(m, mapgeom_move(g, m->at, MAX(m->body, 1u)));
	case TUI_KEY_HOME:
		return moved(m, (struct mappos){0, 0});
	case TUI_KEY_END:
	case 'G':
		return moved(m, last_cell(m));
	case '[':
	case ']':
		return next_region(m, key == '[');
	default:
		return PANE_IGNORED;
	}
}

static unsigned map_key(struct pane *p, const struct scene *s, int key, struct pane_reply *r)
{
	struct map_pane *m = p->own;

	if (key == 'm' || key == 'l')
		return switch_look(m, key);
	if (!is_drawn(m, s))
		return PANE_IGNORED;
	switch (key) {
	case '+':
	case '=':
		return zoom(m, -1);
	case '-':
	case '_':
		return zoom(m, 1);
	case '0':
		return fit(m);
	case TUI_KEY_ENTER:
		return select_cell(m, r);
	case 'y':
		return yank_cell(m, r);
	default:
		return move_key(m, key);
	}
}

/* ---- mouse */

/* False: no cell is there. */
static bool cell_under(const struct map_pane *m, const struct mouse *mouse, struct mappos *out)
{
	uint64_t line = m->top + mouse->row;
	unsigned col = mouse->col > m->margin ? mouse->col - m->margin : 0;
	bool heading;

	if (mouse->row >= m->body || line >= mapgeom_lines(&m->geom))
		return false;
	*out = mapgeom_at(&m->geom, line, &heading);
	if (!heading && (mouse->row || !map_heading_stays(m)))
		out->cell += MIN(col, m->geom.cells - 1);
	out->cell = MIN(out->cell, mapgeom_cells(&m->geom, out->region) - 1);
	return true;
}

static unsigned map_mouse(struct pane *p, const struct scene *s, const struct mouse *mouse, struct pane_reply *r)
{
	struct map_pane *m = p->own;
	struct mappos at;

	if (!is_drawn(m, s))
		return PANE_IGNORED;
	if (mouse->button == MOUSE_WHEEL_UP || mouse->button == MOUSE_WHEEL_DOWN)
		return moved(m, mapgeom_move(&m->geom, m->at, mouse->button == MOUSE_WHEEL_UP ? -WHEEL_LINES : WHEEL_LINES));
	if (!cell_under(m, mouse, &at))
		return PANE_HANDLED;
	moved(m, at);
	if (mouse->button == MOUSE_DOUBLE)
		return zoom(m, -1) | PANE_REDRAW;
	return select_cell(m, r);
}

/* ---- search: an address, a slot's number, else a word of a heading */

/* "0x80000", or digits of which one at least is decimal, so that no word is taken for an address. */
static bool is_address(const char *text, uint64_t *gpa)
{
	bool prefix = !strncmp(text, "0x", 2);
	char *end;

	if (!isxdigit((unsigned char)text[0]) || (!prefix && !strpbrk(text, "0123456789")))
		return false;
	*gpa = strtoull(text, &end, 16);
	return !*end;
}

static bool heading_has(const struct gpa_region *r, const char *text)
{
	unsigned slot;
	char rest;
	struct out o;

	if (sscanf(text, "slot %u%c", &slot, &rest) == 1)
		return gpa_is_slot(r) && r->slot == slot;
	out_init(&o, false, 0);
	map_heading(r, &o);
	bool has = strcasestr(o.text, text) != NULL;
	out_deinit(&o);
	return has;
}

static bool map_search(struct pane *p, const struct scene *s, const char *text, bool backwards)
{
	struct map_pane *m = p->own;
	size_t n = m->geom.n, i = m->at.region;
	uint64_t gpa;

	if (!is_drawn(m, s))
		return false;
	if (is_address(text, &gpa)) {
		go_to(m, gpa);
		keep_visible(m);
		return true;
	}
	for (size_t left = n; left; left--) {
		i = backwards ? (i ? i - 1 : n - 1) : (i + 1 < n ? i + 1 : 0);
		if (heading_has(&m->geom.r[i], text)) {
			moved(m, (struct mappos){i, 0});
			return true;
		}
	}
	return false;
}

const struct pane_ops pane_map = {.name = "map",
				  .title = "Memory map",
				  .about = "Guest physical space to scale: slots, devices, holes, and what the MMU has "
					   "for each page now.",
				  .size = sizeof(struct map_pane),
				  .keys = map_keys,
				  .close = map_close,
				  .needs = SEES(MAP),
				  .subtitle = map_subtitle,
				  .draw = map_pane_draw,
				  .mouse = map_mouse,
				  .search = map_search,
				  .key = map_key};
