/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * display and undisplay: expressions and memory that are shown at every stop. What they mean is worked out at each stop, not
 * when they are set.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/data.h"
#include "cli/session/client.h"

static bool is_memory(const struct xformat *f, const char *format)
{
	return f->format == 'i' || f->format == 's' || f->count > 1 || strpbrk(format, "bhwg");
}

/* With a unit, a count, i or s the expression is an address, as in gdb; else its value is shown. */
static int display_eval(struct call *c, const struct display *d, struct value *out, struct err *e)
{
	struct xsticky fresh = {'x', 8};
	struct xformat f;
	struct space sp;
	uint64_t v, next;
	int rc = xformat_parse(d->format, 8, &fresh, &f, e);

	if (!rc)
		rc = client_eval(c->client, d->expr, &v, e);
	if (rc)
		return rc;
	if (!is_memory(&f, d->format)) {
		*out = number_value(c->pool, v, f.format, f.format == 'c' ? 1 : 8);
		return 0;
	}
	rc = space_init(&sp, c, false, e);
	return rc ? rc : examine(c, &sp, &f, v, out, &next, e);
}

/* *interrupted: Ctrl-C has ended one before this; those behind it are not begun. */
static struct value show_display(struct call *c, const struct display *d, bool *interrupted)
{
	struct value v = v_dict(c->pool, 4), shown;
	struct err why = {0};
	int rc;

	const char *before = session_only_look(c->s, "a display");
	rc = *interrupted ? err_set(&why, -EINTR, "display" WHY "interrupted" TRY "display")
			  : display_eval(c, d, &shown, &why);
	session_only_look(c->s, before);
	*interrupted = rc == -EINTR;
	if (rc)
		shown = v_na(c->pool, err_reason(&why));
	v_put(c->pool, &v, "id", v_int(d->id));
	v_put(c->pool, &v, "expr", v_str(c->pool, d->expr));
	v_put(c->pool, &v, "format", v_str(c->pool, d->format));
	v_put(c->pool, &v, "value", shown);
	return v;
}

struct value display_list(struct call *c)
{
	struct value list = v_list(c->pool, c->s->n_displays);
	bool interrupted = false;

	for (size_t i = 0; i < c->s->n_displays; i++)
		v_push(c->pool, &list, show_display(c, &c->s->displays[i], &interrupted));
	return list;
}

static int add_display(struct session *s, const char *format, const char *text, struct err *e)
{
	struct display *grown = realloc(s->displays, (s->n_displays + 1) * sizeof(*grown));

	if (!grown)
		return err_nomem(e, "display");
	s->displays = grown;
	struct display *d = &grown[s->n_displays];
	d->expr = strdup(text);
	if (!d->expr)
		return err_nomem(e, "display");
	snprintf(d->format, sizeof(d->format), "%s", format ? format : "");
	d->id = s->next_display++;
	s->n_displays++;
	return 0;
}

/* The list must stand while it is gone through, and a display that shows displays would not end. */
int cmd_display(struct call *c, struct err *e)
{
	struct xsticky fresh = {'x', 8};
	struct xformat f;
	const char *text;
	struct args a;
	int rc = session_check_not_looking(c->s, "display", e);

	if (!rc)
		rc = args_init(&a, c, e);
	if (rc)
		return rc;
	if (!args_more(&a)) {
		c->result = display_list(c);
		c->view = "displays";
		return 0;
	}
	rc = xformat_parse(c->format, 8, &fresh, &f, e);
	if (!rc && c->format && strlen(c->format) >= sizeof(c->s->displays[0].format))
		rc = err_set(e, -EINVAL, "display" WHY "the format %.30s is too long" TRY "display/8gx A", c->format);
	if (!rc)
		rc = args_rest(&a, "EXPR", &text, e);
	if (!rc)
		rc = add_display(c->s, c->format, text, e);
	if (!rc)
		c->result = show_display(c, &c->s->displays[c->s->n_displays - 1], &(bool){false});
	return rc;
}

static int remove_display(struct session *s, uint64_t id, struct err *e)
{
	for (size_t i = 0; i < s->n_displays; i++) {
		if ((uint64_t)s->displays[i].id != id)
			continue;
		free(s->displays[i].expr);
		s->n_displays--;
		memmove(&s->displays[i], &s->displays[i + 1], (s->n_displays - i) * sizeof(s->displays[0]));
		return 0;
	}
	return err_set(e, -ENOENT, "undisplay %llu" WHY "no display has that number" TRY "display", (unsigned long long)id);
}

int cmd_undisplay(struct call *c, struct err *e)
{
	struct args a;
	uint64_t id;
	int rc = session_check_not_looking(c->s, "undisplay", e);

	if (!rc)
		rc = args_init(&a, c, e);

	if (!rc && !args_more(&a)) {
		while (c->s->n_displays)
			free(c->s->displays[--c->s->n_displays].expr);
		return 0;
	}
	while (!rc && args_more(&a)) {
		rc = args_number(&a, "N", 1, INT32_MAX, &id, e);
		if (!rc)
			rc = remove_display(c->s, id, e);
	}
	return rc;
}
