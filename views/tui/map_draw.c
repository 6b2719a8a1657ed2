/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The memory map drawn: headings, cells, and below them what could not be seen, the cell under the cursor, the legend. A
 * cell's letter says what its colour says.
 */
#include "views/tui/map.h"

#include <stdio.h>
#include <string.h>

#include "views/axis.h"
#include "views/draw.h"

struct look {
	char ch;
	enum tone tone;
};

const char *map_mode_name(enum map_mode m)
{
	static const char *const name[] = {"mapping", "dirty log", "rmap length", "heat"};

	return name[m];
}

/* ---- cells */

/* Of a region with nothing to tell. */
static struct look nothing(const struct gpa_region *r, const struct map_cell *c, bool unknown)
{
	if (unknown)
		return (struct look){'?', TONE_WARN};
	if (r->kind == GPA_DEVICE)
		return (struct look){'.', TONE_DEVICE};
	if (c->bits & MAP_MAPPED)
		return (struct look){'r', TONE_READONLY};
	return (struct look){'.', r->flags & SLOT_SMRAM ? TONE_SMRAM : TONE_UNMAPPED};
}

static struct look count_look(uint32_t sptes, enum tone tone)
{
	return (struct look){sptes > 9 ? '+' : (char)('0' + sptes), tone};
}

/* What is rarest comes first, so that it is seen in a cell of many pages. */
static struct look mapping_look(const struct gpa_region *r, const struct map_cell *c)
{
	static const struct {
		uint32_t bit;
		struct look look;
	} rare[] = {{MAP_ARMED, {'a', TONE_ARMED}},
		    {MAP_UNSYNC, {'u', TONE_UNSYNC}},
		    {MAP_TABLE, {'T', TONE_TABLE}},
		    {MAP_MMIO, {'m', TONE_MMIO}},
		    {MAP_HUGE, {'H', TONE_HUGE}}};

	for (size_t i = 0; i < ARRAY_LEN(rare); i++)
		if (c->bits & rare[i].bit)
			return rare[i].look;
	if (c->sptes > 1)
		return count_look(c->sptes, TONE_SHARED);
	if (c->bits & MAP_DIRTY)
		return (struct look){'d', TONE_DIRTY};
	if (c->bits & MAP_WRITABLE)
		return (struct look){'w', TONE_WRITABLE};
	return nothing(r, c, c->bits & MAP_UNKNOWN);
}

static struct look dirty_look(const struct map_pane *m, const struct gpa_region *r, const struct map_cell *c)
{
	const enum map_log_state log = pagemap_log_state(m->map, r);
	const struct map_cell none = {.bits = 0};

	if (log == MAP_LOG_NONE)
		return (struct look){'-', TONE_DIM};
	if (c->bits & MAP_LOGGED)
		return (struct look){'d', TONE_DIRTY};
	return nothing(r, &none, log == MAP_LOG_UNKNOWN);
}

static struct look rmap_look(const struct gpa_region *r, const struct map_cell *c)
{
	static const uint32_t above[] = {1, 2, 4, 9};
	unsigned step = 0;

	if (!c->sptes)
		return nothing(r, c, c->bits & MAP_UNKNOWN);
	while (step < ARRAY_LEN(above) && c->sptes > above[step])
		step++;
	return count_look(c->sptes, (enum tone)(TONE_HEAT_1 + step));
}

static struct look heat_look(const struct gpa_region *r, const struct map_cell *c)
{
	const struct map_cell none = {.bits = 0};

	if (!c->heat)
		return nothing(r, &none, c->bits & MAP_UNKNOWN);
	return (struct look){(char)('0' + c->heat), (enum tone)(TONE_HEAT_1 + MIN(c->heat, 5u) - 1)};
}

static struct look look_of(const struct map_pane *m, const struct gpa_region *r, const struct map_cell *c)
{
	switch (m->mode) {
	case MAP_MODE_DIRTY:
		return dirty_look(m, r, c);
	case MAP_MODE_RMAP:
		return rmap_look(r, c);
	case MAP_MODE_HEAT:
		return heat_look(r, c);
	default:
		return mapping_look(r, c);
	}
}

static bool is_cursor(const struct map_pane *m, struct mappos at)
{
	return at.region == m->at.region && at.cell == m->at.cell;
}

static bool is_selected(const struct scene *s, uint64_t first, uint64_t last)
{
	return s->sel.has_gpa && s->sel.gpa >= first && s->sel.gpa <= last;
}

static void draw_cells(const struct map_pane *m, const struct scene *s, struct area a, unsigned row, struct mappos at)
{
	const struct gpa_region *r = &m->geom.r[at.region];
	uint64_t cells = mapgeom_cells(&m->geom, at.region);

	area_textf(a, row, 0, TONE_ADDR, "0x%llx", (unsigned long long)mapgeom_first(&m->geom, at));
	for (unsigned i = 0; i < m->geom.cells && at.cell < cells; i++, at.cell++) {
		uint64_t first = mapgeom_first(&m->geom, at), last = mapgeom_last(&m->geom, at);
		struct map_cell c = pagemap_cell(m->map, r, first, last);
		struct look k = look_of(m, r, &c);
		unsigned flags = c.bits & MAP_CHANGED ? CELL_BOLD : 0;

		flags |= is_cursor(m, at) ? CELL_REVERSE : 0;
		flags |= is_selected(s, first, last) ? CELL_UNDERLINE : 0;
		area_cell(a, row, m->margin + i, (unsigned char)k.ch, k.tone, flags);
	}
}

/* ---- headings */

/* Exact for slots and devices, which have few digits. */
static void out_extent(struct out *o, const struct gpa_region *r)
{
	uint64_t size = r->last - r->first + 1;
	char about[32];

	if (r->kind != GPA_HOLE && size) {
		out_size(o, size);
		return;
	}
	format_about(about, sizeof(about), size ? size : UINT64_MAX);
	out_text(o, about);
}

static void out_flags(struct out *o, const struct gpa_region *r)
{
	if (r->flags & SLOT_READONLY)
		out_text(o, " readonly");
	if (r->flags & SLOT_LOG_DIRTY)
		out_text(o, " log-dirty");
	if (r->flags & SLOT_SMRAM)
		out_text(o, " smram");
	else if (r->vis != SLOT_VIS_BOTH)
		out_textf(o, " %s", slot_vis_name(r->vis));
	if (r->own)
		out_text(o, " own");
}

void map_heading(const struct gpa_region *r, struct out *o)
{
	if (gpa_is_slot(r))
		out_textf(o, "slot %u", r->slot);
	else if (r->kind == GPA_DEVICE)
		out_text(o, "device ");
	else
		out_text(o, "hole");
	if (r->kind == GPA_DEVICE)
		out_safe(o, r->name, strlen(r->name), false);
	out_textf(o, " 0x%llx-0x%llx ", (unsigned long long)r->first, (unsigned long long)r->last);
	out_extent(o, r);
	if (gpa_is_slot(r))
		out_flags(o, r);
}

static void out_count(struct out *o, uint64_t n, const char *what)
{
	if (n)
		out_textf(o, "%s %llu %s", o->len ? "," : "", (unsigned long long)n, what);
}

static void draw_heading(const struct map_pane *m, struct area a, unsigned row, size_t region)
{
	static const enum tone tones[] = {
	    [GPA_RAM] = TONE_HEAD, [GPA_ROM] = TONE_HEAD, [GPA_DEVICE] = TONE_DEVICE, [GPA_HOLE] = TONE_HOLE};
	const struct gpa_region *r = &m->geom.r[region];
	const struct map_cell c = pagemap_cell(m->map, r, r->first, r->last);
	bool cursor = r->kind == GPA_HOLE && m->at.region == region;
	struct out o;

	out_init(&o, false, 0);
	map_heading(r, &o);
	unsigned col = area_text(a, row, 0, r->flags & SLOT_SMRAM ? TONE_SMRAM : tones[r->kind], o.text);
	out_deinit(&o);
	out_init(&o, false, 0);
	out_count(&o, c.mapped, "mapped");
	out_count(&o, c.mmio, "mmio");
	area_text(a, row, col, TONE_DIM, o.text);
	out_deinit(&o);
	if (cursor)
		area_row_flags(a, row, CELL_REVERSE);
}

bool map_heading_stays(const struct map_pane *m)
{
	bool heading;
	struct mappos at = mapgeom_at(&m->geom, m->top, &heading);

	return m->body > 2 && !heading && m->geom.r[at.region].kind != GPA_HOLE;
}

/* ---- the cell under the cursor */

static void out_state(struct out *o, bool is, const char *word)
{
	if (is)
		out_textf(o, ", %s", word);
}

static void out_page(struct out *o, const struct map_cell *c)
{
	if (c->bits & MAP_MAPPED)
		out_textf(o, ", %u spte%s", c->sptes, c->sptes == 1 ? "" : "s");
	else
		out_text(o, c->bits & MAP_UNKNOWN ? ", sptes not known" : ", not mapped");
	out_state(o, c->bits & MAP_HUGE, "2 MiB");
	if (c->bits & MAP_MAPPED)
		out_text(o, c->bits & MAP_WRITABLE ? ", writable" : ", read-only");
	out_state(o, c->bits & MAP_ACCESSED, "accessed");
	out_state(o, c->bits & MAP_DIRTY, "dirty");
	out_state(o, c->bits & MAP_TABLE, "guest page table");
}

static void out_pages(struct out *o, const struct map_cell *c)
{
	out_textf(o, ", %llu pages", (unsigned long long)c->pages);
	if (c->bits & MAP_UNKNOWN)
		out_text(o, ", sptes not known");
	else
		out_textf(o, ", %llu mapped", (unsigned long long)c->mapped);
	out_count(o, c->writable, "writable");
	out_count(o, c->dirty, "dirty");
	out_count(o, c->huge, "by 2 MiB");
	out_count(o, c->tables, "guest tables");
	if (c->sptes > 1)
		out_textf(o, ", up to %u sptes", c->sptes);
}

static void draw_detail(const struct map_pane *m, struct area a, unsigned row)
{
	const struct gpa_region *r = &m->geom.r[m->at.region];
	uint64_t first = mapgeom_first(&m->geom, m->at), last = mapgeom_last(&m->geom, m->at);
	const struct map_cell c = pagemap_cell(m->map, r, first, last);
	struct out o;

	out_init(&o, false, 0);
	if (gpa_is_slot(r))
		out_textf(&o, " slot %u", r->slot);
	else
		out_text(&o, r->kind == GPA_HOLE ? " hole" : " device");
	if (gpa_is_slot(r))
		(c.pages == 1 ? out_page : out_pages)(&o, &c);
	out_state(&o, c.bits & MAP_UNSYNC, "unsync");
	out_state(&o, c.bits & MAP_MMIO, "mmio");
	out_state(&o, c.bits & MAP_ARMED, "armed");
	if (c.logged)
		out_textf(&o, ", %llu logged", (unsigned long long)c.logged);
	if (c.heat)
		out_textf(&o, ", heat %u", c.heat);
	unsigned col = area_textf(a, row, 0, TONE_ADDR, "0x%llx", (unsigned long long)first);
	if (c.pages == 1)
		col = area_textf(a, row, col, TONE_DIM, " gfn 0x%llx", (unsigned long long)(first >> PAGE_SHIFT));
	area_text(a, row, col, TONE_PLAIN, o.text);
	out_deinit(&o);
}

/* ---- the legend */

struct legend {
	const char *letters;
	enum tone tone;
	const char *what;
};
#define LEGEND_MAX 12
static const struct legend legends[MAP_MODES][LEGEND_MAX] = {
    [MAP_MODE_MAPPING] = {{".", TONE_UNMAPPED, "not mapped"},
			  {"r", TONE_READONLY, "read-only"},
			  {"w", TONE_WRITABLE, "writable"},
			  {"d", TONE_DIRTY, "dirty"},
			  {"2-9+", TONE_SHARED, "sptes"},
			  {"H", TONE_HUGE, "2 MiB"},
			  {"T", TONE_TABLE, "guest table"},
			  {"u", TONE_UNSYNC, "unsync"},
			  {"m", TONE_MMIO, "mmio"},
			  {"a", TONE_ARMED, "armed"},
			  {"?", TONE_WARN, "not known"}},
    [MAP_MODE_DIRTY] = {{"d", TONE_DIRTY, "in the log"},
			{".", TONE_UNMAPPED, "clean"},
			{"-", TONE_DIM, "no log"},
			{"?", TONE_WARN, "not known"}},
    [MAP_MODE_RMAP] = {{".", TONE_UNMAPPED, "no spte"},
		       {"1", TONE_HEAT_1, "one"},
		       {"2", TONE_HEAT_2, "two"},
		       {"3-4", TONE_HEAT_3, "a few"},
		       {"5-9", TONE_HEAT_4, "several"},
		       {"+", TONE_HEAT_5, "10 or more"},
		       {"?", TONE_WARN, "not known"}},
    [MAP_MODE_HEAT] = {{".", TONE_UNMAPPED, "as it was"},
		       {"1", TONE_HEAT_1, "cooling"},
		       {"2-4", TONE_HEAT_3, "changed"},
		       {"5", TONE_HEAT_5, "at each look"},
		       {"?", TONE_WARN, "not known"}},
};

/* Rows that it takes in this many columns; drawn from row on unless a.grid is NULL. */
static unsigned put_legend(enum map_mode mode, struct area a, unsigned row, unsigned rows)
{
	unsigned col = 0, at = 0;

	for (const struct legend *l = legends[mode]; l < legends[mode] + LEGEND_MAX && l->letters; l++) {
		unsigned width = (unsigned)(strlen(l->letters) + 1 + strlen(l->what));

		if (col && col + width > a.cols) {
			col = 0;
			at++;
		}
		if (a.grid && at < rows) {
			area_text(a, row + at, col, l->tone, l->letters);
			area_text(a, row + at, col + (unsigned)strlen(l->letters) + 1, TONE_DIM, l->what);
		}
		col += width + 2;
	}
	return at + 1;
}

/* ---- what could not be seen */

static const char *reason(const struct map_pane *m, char *buf, size_t size)
{
	static const char *const what[] = {"slots", "sptes", "dirty log", "mmio caches"};
	const struct map_about about = pagemap_about(m->map);
	bool old = false;

	for (size_t i = 0; i < m->geom.n; i++)
		old |= pagemap_log_state(m->map, &m->geom.r[i]) == MAP_LOG_OLD;
	for (unsigned i = 0; i < MAP_PARTS; i++) {
		if (!about.why[i] || (i == MAP_PART_LOG && m->mode != MAP_MODE_DIRTY))
			continue;
		if (i == MAP_PART_LOG && old)
			snprintf(buf, size, "dirty log as of the last stop, with what sptes show since");
		else
			snprintf(buf, size, "%s not known: %s", what[i], about.why[i]);
		return buf;
	}
	return NULL;
}

/* ---- all of it */

unsigned map_margin(const struct gpa_region *r, size_t n)
{
	uint64_t last = 0;

	for (size_t i = 0; i < n; i++)
		if (r[i].kind != GPA_HOLE)
			last = MAX(last, r[i].last);
	return hex_width(last) + 1;
}

#define LEAST_BODY 3
unsigned map_footer_rows(const struct map_pane *m, struct area a)
{
	char buf[256];
	unsigned rows = 1 + (reason(m, buf, sizeof(buf)) != NULL), legend;

	a.grid = NULL;
	legend = m->no_legend ? 0 : put_legend(m->mode, a, 0, 0);
	if (a.rows >= LEAST_BODY + rows + legend)
		rows += legend;
	return a.rows > rows ? rows : 0;
}

static void draw_footer(const struct map_pane *m, struct area a)
{
	char buf[256];
	const char *why = reason(m, buf, sizeof(buf));
	unsigned row = m->body;

	if (row >= a.rows)
		return;
	if (why)
		area_text(a, row++, 0, TONE_WARN, why);
	draw_detail(m, a, row++);
	if (row < a.rows)
		put_legend(m->mode, a, row, a.rows - row);
}

void map_draw(const struct map_pane *m, const struct scene *s, struct area a)
{
	struct area body = area_part(a, 0, 0, m->body, a.cols);
	uint64_t lines = mapgeom_lines(&m->geom);

	for (unsigned row = 0; row < m->body && m->top + row < lines; row++) {
		bool heading;
		struct mappos at = mapgeom_at(&m->geom, m->top + row, &heading);

		if (heading || m->geom.r[at.region].kind == GPA_HOLE || (!row && map_heading_stays(m)))
			draw_heading(m, body, row, at.region);
		else
			draw_cells(m, s, body, row, at);
	}
	draw_footer(m, a);
}
