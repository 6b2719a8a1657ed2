/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The command line. The same parser serves `load IMAGE [options]`.
 */
#ifndef KVMSCOPE_CLI_OPTIONS_H
#define KVMSCOPE_CLI_OPTIONS_H

#include <stdio.h>

#include "cli/session/session.h"

struct options {
	struct session_options session;
	bool batch, json, quiet, no_init, tui;
	struct action {
		bool is_file; /* -x, else -c */
		const char *text;
	} * actions;
	size_t n_actions;
};

enum options_end { OPTIONS_GO_ON, OPTIONS_HELP, OPTIONS_VERSION };

/* Parse argv into *o; its texts point into argv, o->actions is malloc'ed. *end: what to do instead of starting. -EINVAL. */
int options_parse(struct options *o, int argc, char **argv, enum options_end *end, struct err *e) MUST_USE;
void options_deinit(struct options *o);
/* The options of `load`: IMAGE and those that say how it is entered; words as in a command. */
int options_parse_image(struct image_options *o, int argc, const char *const *argv, struct err *e) MUST_USE;

/* One option, for --help, the manual and the shell completions. */
struct option_doc {
	const char *name, *letter; /* "--memory", "-m" or NULL */
	const char *arg;	   /* what follows it: "SIZE"; NULL for nothing */
	const char *words;	   /* the values it can have, if these are few: "auto kvm soft" */
	bool file;		   /* its value is a file */
	const char *help;	   /* a few words, without a full stop */
};
/* The i-th; false past the last. */
bool options_doc(size_t i, struct option_doc *out);
extern const char options_image[]; /* what IMAGE is: a sentence */
void options_usage(FILE *to);	   /* what --help prints */

#endif
