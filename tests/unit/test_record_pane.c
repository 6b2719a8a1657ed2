/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The panes that show what commands show: each in a few sizes and states, compared with tests/golden/tui-pane-NAME.txt
 * (KVMSCOPE_GOLDEN=write writes them anew; look at them before they are committed); and what their lines are about.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/golden.h"
#include "tests/support/samples.h"
#include "views/record.h"
#include "views/tui/record_pane.h"

static sample_fn displays, bytes;

static const struct shown {
	const struct pane_ops *ops;
	enum seen_id id;
	sample_fn *sample;
	const char *name;
} panes[] = {
    {&pane_slots, SEEN_SLOTS, sample_slots, "tui-pane-slots"},
    {&pane_mmio, SEEN_MMIO, sample_mmio, "tui-pane-mmio"},
    {&pane_fault, SEEN_STAGES, sample_stages, "tui-pane-fault"},
    {&pane_vcpus, SEEN_VCPUS, sample_vcpus, "tui-pane-vcpus"},
    {&pane_registers, SEEN_REGISTERS, sample_regs, "tui-pane-registers"},
    {&pane_displays, SEEN_DISPLAYS, displays, "tui-pane-displays"},
    {&pane_code, SEEN_CODE, sample_disas, "tui-pane-code"},
    {&pane_breakpoints, SEEN_BREAKPOINTS, sample_breakpoints, "tui-pane-breakpoints"},
    {&pane_memory, SEEN_MEMORY, bytes, "tui-pane-memory"},
    {&pane_selected, SEEN_WALK, sample_walk, "tui-pane-selected"},
};

static struct scene s;
static struct grid g;
static struct pane *p;
static struct pool *pool;
static struct out all; /* what is compared with the golden file */
static struct pane_reply reply;

static struct value no_sample(struct pool *in)
{
	return v_list(in, 0);
}

static struct value displays(struct pool *in)
{
	struct value l = v_list(in, 2), d;

	for (int i = 1; i <= 2; i++) {
		d = v_dict(in, 4);
		v_put(in, &d, "id", v_int(i));
		v_put(in, &d, "expr", v_lit(i == 1 ? "$rip" : "{[llength $hits]}"));
		v_put(in, &d, "format", v_lit(""));
		v_put(in, &d, "value", i == 1 ? v_hex(0x200047) : v_na(in, "can't read \"hits\": no such variable"));
		v_push(in, &l, d);
	}
	return l;
}

static struct value bytes(struct pool *in)
{
	struct value d = v_dict(in, 2);
	uint8_t data[256];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	v_put(in, &d, "address", v_hex(0x250000));
	v_put(in, &d, "data", v_bytes(in, data, sizeof(data)));
	return d;
}

static int setup(void **state)
{
	(void)state;
	s = (struct scene){.has_vm = true, .vcpus = 1, .color = true};
	memset(&g, 0, sizeof(g));
	out_init(&all, false, 0);
	pool = pool_create();
	p = NULL;
	return pool ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	pane_destroy(p);
	grid_deinit(&g);
	out_deinit(&all);
	pool_destroy(pool);
	return 0;
}

/* What a look has brought. */
static void see(enum seen_id id, struct value v, const char *error)
{
	struct seen *seen = &s.seen[id];

	seen->v = v;
	snprintf(seen->error, sizeof(seen->error), "%s", error);
	seen->generation++;
	seen->at = 1;
}

static void select_place(struct place at)
{
	s.sel = at;
	s.sel_generation++;
}

/* As the frame does it: the pane below a row with what follows the title. */
static void draw(void)
{
	struct area whole = area_whole(&g);
	struct out o;

	grid_clear(&g);
	pane_draw(p, &s, area_part(whole, 1, 0, whole.rows - 1, whole.cols), true);
	out_init(&o, true, g.cols);
	if (p->ops->subtitle)
		p->ops->subtitle(p, &s, &o);
	area_text(whole, 0, 0, TONE_TITLE, p->ops->title);
	area_styled(whole, 0, (unsigned)strlen(p->ops->title) + 2, o.text, o.len, 0);
	out_deinit(&o);
}

static void open_pane(const struct pane_ops *ops, unsigned rows, unsigned cols)
{
	pane_destroy(p);
	p = pane_create(ops);
	assert_non_null(p);
	assert_int_equal(grid_resize(&g, rows, cols), 0);
	draw();
}

static unsigned press(int key)
{
	reply = (struct pane_reply){.line = ""};
	unsigned did = pane_key(p, &s, key, &reply);

	draw();
	return did;
}

static void add_picture(const char *state)
{
	out_textf(&all, "== %ux%u %s\n", g.cols, g.rows, state);
	draw();
	grid_text_tones(&g, &all);
}

static void add_state(const struct shown *c, const char *state, struct value v, const char *error)
{
	see(c->id, v, error);
	add_picture(state);
}

/* The rmap of the selected page stands in the same pane. */
static void see_more(const struct shown *c)
{
	if (c->ops != &pane_selected && c->ops != &pane_memory)
		return;
	select_place((struct place){.has_gva = true, .has_gpa = true, .gva = 0x250000, .gpa = 0x40000});
	see(SEEN_RMAP, sample_rmap(pool), "");
	if (c->ops == &pane_memory)
		see(SEEN_WALK, sample_walk(pool), "");
}

static void draw_states(const struct shown *c)
{
	struct seen *seen = &s.seen[c->id];

	open_pane(c->ops, 5, 60);
	add_picture("before the first look");
	add_state(c, "refused", v_null(), "the guest runs, and this backend cannot say it then");
	see_more(c);
	assert_int_equal(grid_resize(&g, 14, 100), 0);
	add_state(c, "seen", c->sample(pool), "");
	assert_int_equal(grid_resize(&g, 6, 40), 0);
	seen->live = true;
	add_state(c, "live", c->sample(pool), "");
	seen->torn = true;
	add_state(c, "torn", c->sample(pool), "");
	add_state(c, "older, as it is busy now", c->sample(pool), "it is busy");
	seen->torn = seen->live = false;
	s.ascii = true;
	assert_int_equal(grid_resize(&g, 8, 70), 0);
	add_state(c, "ascii", c->sample(pool), "");
	if (c->sample != sample_walk && c->sample != bytes && c->sample != sample_regs)
		add_state(c, "nothing there", no_sample(pool), "");
	s.ascii = false;
}

static void goldens(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(panes); i++) {
		memset(s.seen, 0, sizeof(s.seen));
		s.sel = (struct place){0};
		all.len = 0;
		draw_states(&panes[i]);
		assert_false(all.failed);
		compare_golden(panes[i].name, &all);
	}
}

/* The same address outside SMM and inside it is told once each. */
static void mapped_in_smm(void **state)
{
	struct spte_info spte = {.gva = 0x1000, .gva_known = true};
	struct value rmaps = v_list(pool, 2);

	(void)state;
	for (unsigned as = 0; as < 2; as++) {
		struct rmap_info r = {
		    .gfn = 1, .as = as, .level = 1, .kind = RMAP_ONE, .head = 8, .sptes = &spte, .n_sptes = 1};
		v_push(pool, &rmaps, record_rmap(pool, &r));
	}
	see(SEEN_RMAP, rmaps, "");
	select_place((struct place){.has_gpa = true, .gpa = 0x1000});
	open_pane(&pane_selected, 20, 60);
	draw();
	grid_text(&g, &all);
	assert_non_null(strstr(all.text, "\nmapped at gva 0x1000\nmapped in SMM at gva 0x1000\n"));
}

/* A vCPU stands still inside a fault: the last stage is live. */
static void inside_a_fault(void **state)
{
	struct value v = sample_stages(pool);

	(void)state;
	s.parked = true;
	see(SEEN_STAGES, v, "");
	open_pane(&pane_fault, 10, 100);
	press(TUI_KEY_END);
	add_picture("inside a fault");
	compare_golden("tui-pane-inside-fault", &all);
}

/* ---- what lines are about */

static struct place selected_by(int key)
{
	assert_true(press(key) & PANE_SELECT);
	return reply.place;
}

static void rows_of_tables(void **state)
{
	struct place at;

	(void)state;
	see(SEEN_SLOTS, sample_slots(pool), "");
	open_pane(&pane_slots, 8, 100);
	press(TUI_KEY_DOWN);
	at = selected_by(TUI_KEY_ENTER);
	assert_true(at.has_gpa && !at.has_gva && at.gpa == 0x80000);
	assert_true(press('y') & PANE_EDIT);
	assert_string_equal(reply.line, "0x80000");
	see(SEEN_MMIO, sample_mmio(pool), "");
	open_pane(&pane_mmio, 8, 100);
	at = selected_by(TUI_KEY_ENTER);
	assert_true(at.has_gva && at.gva == 0x260000 && at.has_gpa && at.gpa == 0xd0000000);
	press(TUI_KEY_END); /* a line below the table: no row's */
	assert_int_equal(press(TUI_KEY_ENTER), PANE_HANDLED);
}

static void a_physical_watchpoint(void **state)
{
	struct place at;

	(void)state;
	see(SEEN_BREAKPOINTS, sample_breakpoints(pool), "");
	open_pane(&pane_breakpoints, 8, 100);
	at = selected_by(TUI_KEY_ENTER);
	assert_true(at.has_gva && at.gva == 0x200033 && !at.has_gpa);
	press(TUI_KEY_DOWN);
	at = selected_by(TUI_KEY_ENTER);
	assert_true(at.has_gpa && at.gpa == 0x40000 && !at.has_gva);
	press(TUI_KEY_DOWN); /* catches mmio: nowhere */
	assert_int_equal(press(TUI_KEY_ENTER), PANE_HANDLED);
}

static void lines_of_text(void **state)
{
	static const struct {
		const char *text;
		struct place at;
	} cases[] = {
	    {"gfn 0x40  slot 0", {.has_gpa = true, .gpa = 0x40000}},
	    {"├─ gpa   0x40010  in a page", {.has_gpa = true, .gpa = 0x40010}},
	    {"gva 0x250000", {.has_gva = true, .gva = 0x250000}},
	    {" => 0x200047  8b04", {.has_gva = true, .gva = 0x200047}},
	    {"\033[2mgpa \033[0m\033[36m0x5000\033[0m", {.has_gpa = true, .gpa = 0x5000}},
	    {"xgfn 0x40", {.has_gva = true, .gva = 0x40}}, /* another word */
	    {"0xffffffffffffffffff", {.has_gva = true, .gva = UINT64_MAX}},
	};
	struct place at;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(place_of_text(cases[i].text, &at));
		assert_memory_equal(&at, &cases[i].at, sizeof(at));
	}
	assert_false(place_of_text("", &at));
	assert_false(place_of_text("nothing here, 40 of x", &at));
	assert_false(place_of_text("\033[36", &at));
}

static void the_cursor_goes_to_the_selection(void **state)
{
	(void)state;
	see(SEEN_CODE, sample_disas(pool), "");
	open_pane(&pane_code, 8, 100);
	select_place((struct place){.has_gva = true, .gva = 0x200031});
	draw();
	assert_int_equal(selected_by(TUI_KEY_ENTER).gva, 0x200031);
	see(SEEN_MEMORY, bytes(pool), "");
	select_place((struct place){.has_gva = true, .gva = 0x250034});
	open_pane(&pane_memory, 8, 100);
	assert_int_equal(selected_by(TUI_KEY_ENTER).gva, 0x250030);
	select_place((struct place){.has_gpa = true, .gpa = 0x250055});
	see(SEEN_MEMORY, bytes(pool), "");
	draw();
	struct place at = selected_by(TUI_KEY_ENTER);
	assert_true(at.has_gpa && !at.has_gva && at.gpa == 0x250050);
}

/* Words that are drawn in several styles are one text. */
static void search_does_not_see_styles(void **state)
{
	(void)state;
	see(SEEN_CODE, sample_disas(pool), "");
	open_pane(&pane_code, 8, 100);
	assert_true(pane_search(p, &s, "0x200031  f4", false));
	assert_int_equal(selected_by(TUI_KEY_ENTER).gva, 0x200031);
	assert_false(pane_search(p, &s, "36m", false));
	assert_false(pane_search(p, &s, "\033", false));
}

/* ---- breakpoints' own keys */

static void breakpoints_are_turned_off_and_deleted(void **state)
{
	(void)state;
	see(SEEN_BREAKPOINTS, sample_breakpoints(pool), "");
	open_pane(&pane_breakpoints, 12, 100);
	assert_true(press(' ') & PANE_COMMAND);
	assert_string_equal(reply.line, "disable 1");
	press(TUI_KEY_DOWN);
	assert_true(press(' ') & PANE_COMMAND);
	assert_string_equal(reply.line, "enable 2");
	press(TUI_KEY_DOWN);
	assert_true(press('d') & PANE_COMMAND);
	assert_string_equal(reply.line, "delete 4");
	press(TUI_KEY_DOWN); /* its commands, below the table */
	assert_int_equal(press('d'), PANE_IGNORED);
}

/* The list is another one than what is drawn: no key may hit the wrong row. */
static void a_row_that_is_not_drawn_yet(void **state)
{
	(void)state;
	see(SEEN_BREAKPOINTS, sample_breakpoints(pool), "");
	open_pane(&pane_breakpoints, 12, 100);
	see(SEEN_BREAKPOINTS, no_sample(pool), "");
	reply = (struct pane_reply){.line = ""};
	assert_int_equal(pane_key(p, &s, 'd', &reply), PANE_IGNORED);
	assert_string_equal(reply.line, "");
	assert_int_equal(pane_key(p, &s, TUI_KEY_ENTER, &reply), PANE_HANDLED);
	draw();
	assert_int_equal(press(' '), PANE_IGNORED);
}

/* ---- drawn anew when it must be */

static void drawn_anew_for_a_look_and_for_a_width(void **state)
{
	struct record_pane *r;
	const char *text;

	(void)state;
	see(SEEN_SLOTS, sample_slots(pool), "");
	open_pane(&pane_slots, 8, 100);
	r = p->own;
	text = r->text.text;
	draw();
	assert_ptr_equal(r->text.text, text);
	assert_int_equal(r->n, 6);
	see(SEEN_SLOTS, no_sample(pool), "");
	draw();
	assert_int_equal(r->n, 1);
	assert_int_equal(grid_resize(&g, 8, 50), 0);
	draw();
	assert_int_equal(r->cols, 50);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(goldens),
	    TEST(inside_a_fault),
	    TEST(mapped_in_smm),
	    TEST(rows_of_tables),
	    TEST(a_physical_watchpoint),
	    TEST(lines_of_text),
	    TEST(the_cursor_goes_to_the_selection),
	    TEST(search_does_not_see_styles),
	    TEST(breakpoints_are_turned_off_and_deleted),
	    TEST(a_row_that_is_not_drawn_yet),
	    TEST(drawn_anew_for_a_look_and_for_a_width),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
