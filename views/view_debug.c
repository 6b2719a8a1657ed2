/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Stops, fault stages, differences, breakpoints, vCPUs and what the host can do.
 */
#include "views/draw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void draw_safe(struct out *o, const char *s)
{
	out_safe(o, s, strlen(s), false);
}

static enum style reason_style(const char *reason)
{
	static const char *const bad[] = {"exception", "shutdown", "error"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (!strcmp(reason, bad[i]))
			return STYLE_BAD;
	return STYLE_GOOD;
}

/* "1: $rax = 0x5"; memory on lines of its own. */
void view_display(struct out *o, const struct value *d)
{
	const struct value *v = v_get(d, "value");
	const char *format = get_str(d, "format");

	out_textf(o, "%u: ", (unsigned)get_num(d, "id"));
	if (format[0])
		out_textf(o, "/%s ", format);
	draw_safe(o, get_str(d, "expr"));
	if (v && v->type == VALUE_DICT) {
		out_text(o, "\n");
		view_dump(o, v);
		return;
	}
	out_text(o, " = ");
	if (v)
		out_inline(o, v);
	out_text(o, "\n");
}

void view_displays(struct out *o, const struct value *v)
{
	if (!v->n)
		out_nothing(o, "no displays");
	for (uint32_t i = 0; i < v->n; i++)
		view_display(o, &v->items[i]);
}

void view_checkpoints(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "id", .style = STYLE_BOLD},	 {.key = "vcpu"},  {.key = "rip", .style = STYLE_ADDR},
	    {.key = "symbol", .optional = true}, {.key = "pages"}, {.key = "position", .optional = true},
	};

	if (!v->n)
		out_nothing(o, "no checkpoint has been taken");
	table_draw(o, columns, ARRAY_LEN(columns), v);
}

/* A step needs no sentence, unless something is to be said of it. */
static void draw_why(struct out *o, const struct value *v)
{
	const char *why = get_str(v, "why"), *note = get_str(v, "note");
	char text[200];

	if (strcmp(get_str(v, "reason"), "step")) {
		if (why[0])
			out_wrapped(o, why, 0);
	} else if (note[0]) {
		snprintf(text, sizeof(text), "Note: %s.", note);
		out_wrapped(o, text, 0);
	}
}

/* Of a run that goes on. */
void view_stall(struct out *o, const struct value *v)
{
	out_begin(o, STYLE_WARN);
	out_wrapped(o, get_str(v, "why"), 0);
	out_end(o, STYLE_WARN);
}

static void draw_more_reasons(struct out *o, const struct value *reasons)
{
	for (uint32_t i = 1; reasons && i < reasons->n; i++)
		out_textf(o, " and %s", reasons->items[i].str);
}

static void draw_points(struct out *o, const struct value *v)
{
	const struct value *ids = v_get(v, "breakpoints");

	if (!ids && get_num(v, "breakpoint"))
		out_textf(o, " %u", (unsigned)get_num(v, "breakpoint"));
	for (uint32_t i = 0; ids && i < ids->n; i++)
		out_textf(o, "%s%u", i ? ", " : " ", (unsigned)ids->items[i].num);
}

/* "rip 0x20000a"; where CS has a say in it "cs:rip 0x7c0:0x10, pc 0x7c10". */
static void draw_stop_place(struct out *o, const struct value *v)
{
	const char *old = v_get(v, "of_last_stop") ? "*" : " ";

	if (!has_num(v, "cs")) {
		out_textf(o, "rip%s", old);
		out_styled_hex(o, STYLE_ADDR, get_num(v, "rip"));
		return;
	}
	out_textf(o, "cs:rip%s0x%llx:0x%llx, pc ", old, (unsigned long long)get_num(v, "cs"),
		  (unsigned long long)get_num(v, "rip"));
	out_styled_hex(o, STYLE_ADDR, get_num(v, "pc"));
}

/* "step  vcpu 0  rip 0x20000a", then the sentence. */
void view_stop(struct out *o, const struct value *v)
{
	const char *reason = get_str(v, "reason");

	out_styled(o, reason_style(reason), "%s", reason);
	draw_more_reasons(o, v_get(v, "reasons"));
	draw_points(o, v);
	out_textf(o, "  vcpu %u  ", (unsigned)get_num(v, "vcpu"));
	draw_stop_place(o, v);
	if (get_str(v, "symbol")[0]) {
		out_text(o, " <");
		draw_safe(o, get_str(v, "symbol"));
		out_text(o, ">");
	}
	out_text(o, get_truth(v, "nested") ? "  in L2\n" : "\n");
	draw_why(o, v);
	if (v_get(v, "context") && v_get(v, "context")->type == VALUE_DICT)
		view_context(o, v_get(v, "context"));
	else if (v_get(v, "next") && v_get(v, "next")->type == VALUE_LIST)
		view_disas(o, v_get(v, "next"));
	if (v_get(v, "displays") && v_get(v, "displays")->type == VALUE_LIST)
		view_displays(o, v_get(v, "displays"));
}

static void cell_live(struct out *o, const struct value *row)
{
	if (get_truth(row, "live"))
		out_styled(o, STYLE_GOOD, "live");
	else
		out_styled(o, STYLE_DIM, "recorded");
}

void view_stages(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "fault"},
	    {.key = "n"},
	    {.key = "stage", .style = STYLE_BOLD},
	    {.key = "level"},
	    {.key = "gfn", .style = STYLE_ADDR},
	    {.key = "live", .title = "seen", .kind = COL_CELL, .cell = cell_live},
	    {.key = "detail"},
	    {.key = "vcpu", .kind = COL_SHARED},
	};

	if (!v->n)
		out_nothing(o, "no fault has been recorded");
	table_draw(o, columns, ARRAY_LEN(columns), v);
}

static void draw_change(struct out *o, const struct value *row, size_t part, size_t what)
{
	const char *kind = get_str(row, "kind"), *before = get_str(row, "before"), *after = get_str(row, "after");
	bool added = !strcmp(kind, "added"), removed = !strcmp(kind, "removed");
	enum style st = added ? STYLE_GOOD : removed ? STYLE_BAD : STYLE_WARN;

	out_begin(o, st);
	out_text(o, added ? "+ " : removed ? "- " : "~ ");
	out_textf(o, "%-*s  ", (int)part, get_str(row, "part"));
	out_textf(o, "%-*s  ", (int)what, get_str(row, "what"));
	draw_safe(o, added ? after : before);
	if (!added && !removed) {
		out_text(o, " -> ");
		draw_safe(o, after);
	}
	out_end(o, st);
	out_text(o, "\n");
}

void view_diff(struct out *o, const struct value *v)
{
	size_t part = 0, what = 0;

	for (uint32_t i = 0; i < v->n; i++) {
		size_t p = strlen(get_str(&v->items[i], "part")), w = strlen(get_str(&v->items[i], "what"));
		part = p > part ? p : part;
		what = w > what ? w : what;
	}
	for (uint32_t i = 0; i < v->n; i++)
		draw_change(o, &v->items[i], part, what);
	if (!v->n)
		out_nothing(o, "nothing changed");
}

static void cell_enabled(struct out *o, const struct value *row)
{
	if (!get_truth(row, "enabled"))
		out_styled(o, STYLE_WARN, "disabled");
	else
		out_text(o, get_truth(row, "temporary") ? "once" : "yes");
}

static void cell_place(struct out *o, const struct value *row)
{
	draw_safe(o, get_str(row, "at"));
	if (get_str(row, "means")[0])
		out_textf(o, " (%s)", get_str(row, "means"));
	if (has_num(row, "len"))
		out_textf(o, " %u byte%s", (unsigned)get_num(row, "len"), get_num(row, "len") == 1 ? "" : "s");
	if (get_truth(row, "phys"))
		out_text(o, " physical");
}

static void draw_inside(struct out *o, const struct value *row)
{
	out_text(o, ": in the middle of the instruction at ");
	out_styled_hex(o, STYLE_ADDR, get_num(row, "inside"));
}

void view_breakpoints(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "id"},
	    {.key = "kind"},
	    {.key = "enabled", .kind = COL_CELL, .cell = cell_enabled},
	    {.key = "address", .style = STYLE_ADDR, .optional = true},
	    {.key = "how", .optional = true},
	    {.key = "hits"},
	    {.key = "ignore", .optional = true},
	    {.key = "condition", .title = "if", .optional = true},
	    {.key = "at", .kind = COL_CELL, .cell = cell_place},
	};

	if (!v->n) {
		out_nothing(o, "no breakpoints");
		return;
	}
	table_draw(o, columns, ARRAY_LEN(columns), v);
	for (uint32_t i = 0; i < v->n; i++) {
		const char *why = get_str(&v->items[i], "why");
		if (!why[0])
			continue;
		out_styled(o, STYLE_DIM, "%u by %s: ", (unsigned)get_num(&v->items[i], "id"), get_str(&v->items[i], "how"));
		draw_safe(o, why);
		out_text(o, "\n");
	}
	for (uint32_t i = 0; i < v->n; i++)
		if (has_num(&v->items[i], "inside")) {
			out_styled(o, STYLE_DIM, "%u", (unsigned)get_num(&v->items[i], "id"));
			draw_inside(o, &v->items[i]);
			out_text(o, "\n");
		}
	for (uint32_t i = 0; i < v->n; i++) {
		const char *script = get_str(&v->items[i], "commands");
		if (!script[0])
			continue;
		out_styled(o, STYLE_DIM, "commands %u: ", (unsigned)get_num(&v->items[i], "id"));
		draw_safe(o, script);
		out_text(o, "\n");
	}
}

/* Is it said as the number that the address is? */
static bool says_address(const char *at, uint64_t address)
{
	char *end;

	at += strspn(at, "* ");
	uint64_t v = strtoull(at, &end, 0);
	return end != at && v == address && (!*end || *end == ' ');
}

/* "breakpoint 1 at fib (0x20003a), by int3", as an answer to setting one. */
void view_breakpoint(struct out *o, const struct value *v)
{
	const char *condition = get_str(v, "condition"), *how = get_str(v, "how");

	out_textf(o, "%s %u %s ", get_str(v, "kind"), (unsigned)get_num(v, "id"), has_num(v, "address") ? "at" : "on");
	cell_place(o, v);
	if (has_num(v, "address") && !says_address(get_str(v, "at"), get_num(v, "address"))) {
		out_text(o, " (");
		out_styled_hex(o, STYLE_ADDR, get_num(v, "address"));
		out_text(o, ")");
	}
	if (how[0])
		out_textf(o, ", by %s", how);
	if (get_str(v, "why")[0]) {
		out_text(o, ": ");
		draw_safe(o, get_str(v, "why"));
	}
	if (has_num(v, "inside"))
		draw_inside(o, v);
	if (get_truth(v, "temporary"))
		out_text(o, ", once");
	if (!get_truth(v, "enabled"))
		out_text(o, ", disabled");
	if (get_num(v, "ignore"))
		out_textf(o, ", ignored %llu time%s more", (unsigned long long)get_num(v, "ignore"),
			  get_num(v, "ignore") == 1 ? "" : "s");
	if (condition[0]) {
		out_text(o, ", if ");
		draw_safe(o, condition);
	}
	out_text(o, "\n");
}

/* "#1  0x200031 <fib+0xe>  frame 0x27ff0"; below the last, why there are no more. */
void view_backtrace(struct out *o, const struct value *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		const struct value *row = &v->items[i];
		out_textf(o, "#%-3u", (unsigned)get_num(row, "level"));
		out_styled_hex(o, STYLE_ADDR, get_num(row, "rip"));
		if (get_str(row, "symbol")[0]) {
			out_text(o, " <");
			draw_safe(o, get_str(row, "symbol"));
			out_text(o, ">");
		}
		if (has_num(row, "frame")) {
			out_text(o, "  frame ");
			out_styled_hex(o, STYLE_ADDR, get_num(row, "frame"));
		}
		out_text(o, "\n");
		if (!get_str(row, "end")[0])
			continue;
		/* The end of the line is in no style: what ends one behind it would be a line of its own. */
		out_styled(o, STYLE_DIM, "ends here: ");
		out_wrapped(o, get_str(row, "end"), 0);
	}
}

static void cell_current(struct out *o, const struct value *row)
{
	out_text(o, get_truth(row, "current") ? "*" : " ");
}

static void cell_nested(struct out *o, const struct value *row)
{
	out_text(o, v_get(row, "nested") ? "L2" : "L1");
}

void view_vcpus(struct out *o, const struct value *v)
{
	static const struct column columns[] = {
	    {.key = "current", .title = " ", .kind = COL_CELL, .cell = cell_current},
	    {.key = "id"},
	    {.key = "mode"},
	    {.key = "cpl"},
	    {.key = "rip", .style = STYLE_ADDR},
	    {.key = "smm", .kind = COL_FLAG},
	    {.key = "state"},
	    {.key = "nested", .title = "guest", .kind = COL_CELL, .cell = cell_nested, .optional = true},
	    {.key = "of_last_stop", .title = "of the last stop", .optional = true},
	};

	if (!v->n)
		out_nothing(o, "no vCPUs");
	table_draw(o, columns, ARRAY_LEN(columns), v);
}

/* The reason beside the value, or below it if it does not fit. */
static void draw_reason(struct out *o, const char *why, size_t indent)
{
	size_t most = o->width ? o->width : 110;

	if (!why[0]) {
		out_text(o, "\n");
		return;
	}
	bool beside = out_column(o) + strlen(why) + 3 <= most;
	out_text(o, beside ? " " : "\n");
	out_fill(o, ' ', beside ? 0 : indent);
	out_begin(o, STYLE_DIM);
	if (beside) {
		out_text(o, "(");
		draw_safe(o, why);
		out_text(o, ")\n");
	} else {
		out_wrapped(o, why, (unsigned)indent);
	}
	out_end(o, STYLE_DIM);
}

void view_facts(struct out *o, const struct value *v)
{
	size_t widest = 0;

	for (uint32_t i = 0; i < v->n; i++) {
		size_t n = strlen(get_str(&v->items[i], "what"));
		widest = n > widest ? n : widest;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		const struct value *row = &v->items[i];
		out_styled(o, STYLE_BOLD, "%-*s", (int)widest + 2, get_str(row, "what"));
		out_field(o, row, "value");
		draw_reason(o, get_str(row, "why"), widest + 2);
	}
}
