/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Running handlers in tests.
 */
#include "tests/support/handlers.h"

#include <stdio.h>
#include <string.h>

#include "cli/cmd/table.h"
#include "cli/session/client.h"
#include "views/json.h"

struct session handlers_session;
struct client handlers_client;
struct err handlers_err;

static const struct client_ops silent;
static struct pool *pool;
static struct out out;

int handlers_setup(void **state)
{
	struct session *s = &handlers_session;

	(void)state;
	pool = pool_create();
	out_init(&out, false, 0);
	if (!pool || session_init(s, &(struct session_options){.backend = BACKEND_SOFT}, command_table(), NULL))
		return -1;
	client_init(&handlers_client, s, &silent);
	s->d.m = longguest_create(2, 0);
	return 0;
}

int handlers_teardown(void **state)
{
	(void)state;
	client_deinit(&handlers_client);
	session_deinit(&handlers_session);
	pool_destroy(pool);
	out_deinit(&out);
	return 0;
}

/* One word off the text, in place. */
static char *next_word(char **text)
{
	char *p = *text + strspn(*text, " "), *end;

	if (!*p)
		return NULL;
	if (*p == '{')
		end = strchr(++p, '}');
	else
		end = p + strcspn(p, " ");
	*text = end + (*end != 0);
	*end = 0;
	return p;
}

static int run(const char *line, struct call *c, struct err *e)
{
	static char text[512];
	static const char *argv[32];
	char *at = text;
	int argc = 0, used;

	snprintf(text, sizeof(text), "%s", line);
	while (argc < 32 && (argv[argc] = next_word(&at)) != NULL)
		argc++;
	memset(e, 0, sizeof(*e));
	*c = (struct call){.s = &handlers_session, .client = &handlers_client, .pool = pool};
	c->cmd = command_find(command_table(), argc, argv, true, &used, &c->format, e);
	if (!c->cmd)
		return e->code;
	c->argc = argc - used;
	c->argv = argv + used;
	return command_run(c, e);
}

const char *run_line(const char *line)
{
	char why[1024];
	struct call c;
	struct err e;

	if (run(line, &c, &e)) {
		err_format(&e, why, sizeof(why));
		fprintf(stderr, "%s: %s\n", line, why);
		abort();
	}
	out.len = 0;
	json_write(&out, &c.result);
	return out.text;
}

int refused_line(const char *line)
{
	struct call c;
	int rc = run(line, &c, &handlers_err);

	if (!rc) {
		fprintf(stderr, "%s: not refused\n", line);
		abort();
	}
	return rc;
}
