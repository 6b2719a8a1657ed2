/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Lines at the prompt: commands with words that may be theirs or another's, spoilt now and then, over a guest of the soft
 * backend. Left out are those that read or write files, start programs, or let the guest run without an end.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/table.h"
#include "cli/prompt/console.h"
#include "cli/tcl/exec.h"
#include "tests/fuzz/rng.h"

static const char *const commands[] = {
    "break",
    "tbreak",
    "hbreak",
    "watch",
    "rwatch",
    "awatch",
    "catch",
    "delete",
    "enable",
    "disable",
    "condition",
    "ignore",
    "info breakpoints",
    "x",
    "x/8gx",
    "xp/4wx",
    "x/3i",
    "x/s",
    "mem read",
    "mem write",
    "find",
    "disas",
    "info registers",
    "reg",
    "set",
    "p",
    "p/x",
    "vcpu",
    "info vcpus",
    "snap",
    "diff",
    "fault step",
    "fault list",
    "fault show",
    "checkpoint",
    "restart",
    "info checkpoints",
    "delete checkpoint",
    "rsi",
    "rc",
    "record",
    "memop key",
    "memop read",
    "memop write",
    "gpa2hpa",
    "gpa2hva",
    "gva2gpa",
    "info mem",
    "info mmio",
    "info rmap",
    "info rmaps",
    "info shadow",
    "info sptes",
    "info tlb",
    "shadow tree",
    "walk",
    "xlate",
    "si",
    "interrupt",
    "why",
    "display",
    "undisplay",
    "smi",
    "info smm",
    "vm",
    "info slots",
    "slot add",
    "slot del",
    "slot dirty",
    "slot flags",
    "slot move",
    "apropos",
    "help",
    "info kvm",
    "expr",
    "info history",
};
static const char *const words[] = {
    "0",
    "1",
    "2",
    "5",
    "0x40",
    "0x40000",
    "0x240000",
    "0x200000",
    "0x100000",
    "start",
    "$rip",
    "$rax",
    "*0x200000",
    "-phys",
    "-user",
    "-all",
    "-readonly",
    "-log",
    "-smram",
    "+readonly",
    "-check",
    "-inject",
    "-key",
    "3",
    "if",
    "{$rax == 1}",
    "r",
    "w",
    "x",
    "on",
    "off",
    "limit",
    "-memory",
    "fault",
    "mmio",
    "exception",
    "smi",
    "mode",
    "slot",
    "zap",
    "unsync",
    "0xffffffffffffffff",
    "18446744073709551616",
    "-1",
    "{}",
    "\"",
    "{",
    "}",
    "[p 1]",
    "$rbx",
    "=",
    "+",
    "8",
    "4096",
    "64K",
    "deadbeef",
    "abc",
    "\\",
    "-visible",
    "smm",
    "-huge",
};

static struct session session;
static struct console console;

static void open_session(void)
{
	static struct session_options opt = {.backend = BACKEND_SOFT, .image = {.name = "demo:rmap"}};
	struct err e;

	if (session_init(&session, &opt, command_table(), &e) || console_open(&console, &session, false, true, &e) ||
	    session_load(&session, &opt.image, &e)) {
		fprintf(stderr, "fuzz line: %s: %s\n", e.what, e.why);
		abort();
	}
}

static void close_session(void)
{
	console_close(&console);
	session_deinit(&session);
}

/* What is printed goes nowhere. */
static void quietly(const char *text, bool json)
{
	static int null = -1;
	int saved[2] = {dup(1), dup(2)};

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fflush(stdout);
	dup2(null, 1);
	if (!fuzz_verbose)
		dup2(null, 2);
	console.client.json = json;
	exec_line(&console.client, text);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
}

uint64_t fuzz_line(uint64_t seed)
{
	struct rng r = rng_of(seed);
	char text[512];
	uint64_t done = 0;

	open_session();
	for (unsigned n = 12; n--;) {
		size_t at = (size_t)snprintf(text, sizeof(text), "%s", commands[rng_below(&r, ARRAY_LEN(commands))]);
		for (unsigned k = rng_below(&r, 5); k--;)
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %s", words[rng_below(&r, ARRAY_LEN(words))]);
		if (!rng_below(&r, 10))
			text[rng_mutate(&r, (uint8_t *)text, at)] = 0;
		if (fuzz_verbose)
			fprintf(stderr, "  %s\n", text);
		session.last_was_error = false;
		quietly(text, rng_below(&r, 2));
		done += !session.last_was_error;
	}
	close_session();
	return done;
}
