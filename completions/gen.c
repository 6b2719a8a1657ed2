/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * build/gen bash|zsh|fish, or build/gen manual TEMPLATE: to standard output.
 */
#include "completions/gen.h"

#include <string.h>

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int status = 0;

	if (argc == 2 && !strcmp(what, "bash"))
		gen_bash(stdout);
	else if (argc == 2 && !strcmp(what, "zsh"))
		gen_zsh(stdout);
	else if (argc == 2 && !strcmp(what, "fish"))
		gen_fish(stdout);
	else if (argc == 3 && !strcmp(what, "manual"))
		status = gen_manual(stdout, argv[2]) ? 1 : 0;
	else
		status = 2;
	if (status == 2)
		fprintf(stderr, "usage: gen bash|zsh|fish, or gen manual TEMPLATE\n");
	return fflush(stdout) ? 1 : status;
}
