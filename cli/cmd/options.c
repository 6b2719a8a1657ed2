/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The command line's options, as a table of what each takes. Values may follow with a blank or '='; short ones directly.
 */
#include "cli/cmd/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd/args.h"
#include "core/mem/dirtyring.h"

const char options_image[] = "IMAGE is a file (ELF, multiboot ELF, flat: told apart by content) or demo:NAME; demo:tour if "
			     "none is named.";

/* What an option does with its value; value is NULL if it takes none. */
struct target {
	struct options *o;
	enum options_end *end;
};

struct option_entry {
	struct option_doc doc;
	bool image; /* `load` has it too */
	int (*set)(struct target *t, const char *value, struct err *e);
};

static int one_of(const char *option, const char *value, const char *const *names, int *out, struct err *e)
{
	char all[120] = "";

	for (int i = 0; names[i]; i++) {
		size_t at = strlen(all);
		if (!strcmp(names[i], value)) {
			*out = i;
			return 0;
		}
		snprintf(all + at, sizeof(all) - at, "%s%s", i ? ", " : "", names[i]);
	}
	return err_set(e, -EINVAL, "%s %.60s" WHY "it is none of %s" TRY "%s %s", option, value, all, option, names[0]);
}

static int number(const char *option, const char *value, uint64_t *out, struct err *e)
{
	char *end;

	errno = 0;
	*out = strtoull(value, &end, 0);
	if (errno || *end || value[0] < '0' || value[0] > '9')
		return err_set(e, -EINVAL, "%s %.60s" WHY "it is no number of 64 bits" TRY "%s 0x100000", option, value,
			       option);
	return 0;
}

static int set_backend(struct target *t, const char *value, struct err *e)
{
	static const char *const names[] = {"auto", "kvm", "soft", NULL};
	int i;
	int ret = one_of("--backend", value, names, &i, e);

	if (!ret)
		t->o->session.backend = (enum backend_choice)i;
	return ret;
}

static int set_memory(struct target *t, const char *value, struct err *e)
{
	uint64_t size;
	int ret = parse_size(value, &size, e);

	if (ret) {
		err_prefix(e, "--memory: ");
		return ret;
	}
	if (!size || size & PAGE_OFFSET_MASK)
		return err_set(e, -EINVAL, "--memory %.60s" WHY "%llu bytes are not a multiple of 4 KiB" TRY "--memory 64M",
			       value, (unsigned long long)size);
	t->o->session.image.memory = size;
	return 0;
}

static int set_vcpus(struct target *t, const char *value, struct err *e)
{
	uint64_t n;
	int ret = number("--vcpus", value, &n, e);

	if (ret)
		return ret;
	if (n < 1 || n > 64)
		return err_set(e, -ERANGE, "--vcpus %.60s" WHY "it is outside 1..64" TRY "--vcpus 1", value);
	t->o->session.image.vcpus = (unsigned)n;
	return 0;
}

static int set_dirty_ring(struct target *t, const char *value, struct err *e)
{
	uint64_t n;
	int ret = number("--dirty-ring", value, &n, e);

	if (!ret)
		ret = dirty_ring_check(n, e);
	if (!ret)
		t->o->session.image.dirty_ring = (unsigned)n;
	return ret;
}

static int set_mode(struct target *t, const char *value, struct err *e)
{
	static const char *const names[] = {"real", "prot", "long", "user", NULL};
	int i;
	int ret = one_of("--mode", value, names, &i, e);

	if (!ret)
		t->o->session.image.mode = (enum entry_mode)(ENTRY_REAL + i);
	return ret;
}

static int set_format(struct target *t, const char *value, struct err *e)
{
	static const char *const names[] = {"auto", "flat", "elf", "multiboot", NULL};
	int i;
	int ret = one_of("--format", value, names, &i, e);

	if (!ret)
		t->o->session.image.format = (enum image_format)i;
	return ret;
}

static int set_at(struct target *t, const char *value, struct err *e)
{
	t->o->session.image.has_at = true;
	return number("--at", value, &t->o->session.image.at, e);
}

static int set_entry(struct target *t, const char *value, struct err *e)
{
	t->o->session.image.has_entry = true;
	return number("--entry", value, &t->o->session.image.entry, e);
}

static int add_action(struct options *o, bool is_file, const char *text, struct err *e)
{
	struct action *more = realloc(o->actions, (o->n_actions + 1) * sizeof(*more));

	if (!more)
		return err_nomem(e, "command line");
	o->actions = more;
	o->actions[o->n_actions++] = (struct action){.is_file = is_file, .text = text};
	return 0;
}

static int set_script(struct target *t, const char *value, struct err *e)
{
	return add_action(t->o, true, value, e);
}

static int set_command(struct target *t, const char *value, struct err *e)
{
	return add_action(t->o, false, value, e);
}

#define SWITCH(name, what)                                                                                                  \
	static int set_##name(struct target *t, const char *value, struct err *e)                                           \
	{                                                                                                                   \
		(void)value, (void)e;                                                                                       \
		what;                                                                                                       \
		return 0;                                                                                                   \
	}
SWITCH(emulated_kernel, t->o->session.emulated_kernel = true)
SWITCH(mmio_sptes, t->o->session.mmio_sptes = true)
SWITCH(batch, t->o->batch = true)
SWITCH(tui, t->o->tui = true)
SWITCH(json, t->o->json = true)
SWITCH(quiet, t->o->quiet = true)
SWITCH(nx, t->o->no_init = true)
SWITCH(help, *t->end = OPTIONS_HELP)
SWITCH(version, *t->end = OPTIONS_VERSION)

static const struct option_entry entries[] = {
    {{"--backend", "-b", "BACKEND", "auto kvm soft", false,
      "who runs the guest (default: kvm where /dev/kvm opens, else soft)"},
     false,
     set_backend},
    {{"--emulated-kernel", NULL, NULL, NULL, false,
      "soft: CPL 0 as a KVM without VT-x or SVM emulates it: no sptes for it, the MMIO cache asked first"},
     false,
     set_emulated_kernel},
    {{"--mmio-sptes", NULL, NULL, NULL, false,
      "soft: remember MMIO pages in the shadow tables too, as KVM with mmio_caching"},
     false,
     set_mmio_sptes},
    {{"--memory", "-m", "SIZE", NULL, false, "guest RAM, with K, M or G (default: 64M)"}, true, set_memory},
    {{"--vcpus", "-n", "N", NULL, false, "virtual CPUs, 1 to 64 (default: 1)"}, true, set_vcpus},
    {{"--dirty-ring", NULL, "ENTRIES", NULL, false,
      "log dirty pages in a ring for each vCPU instead of bitmaps: 256 to 65536 entries, a power of two"},
     true,
     set_dirty_ring},
    {{"--mode", NULL, "MODE", "real prot long user", false, "how a flat image is entered (default: real)"}, true, set_mode},
    {{"--at", NULL, "GPA", NULL, false, "where a flat image is loaded"}, true, set_at},
    {{"--entry", NULL, "GVA", NULL, false, "where it is entered"}, true, set_entry},
    {{"--format", NULL, "FORMAT", "auto flat elf multiboot", false, "what the image is, instead of telling by content"},
     true,
     set_format},
    {{"--script", "-x", "FILE", NULL, true, "run a Tcl script (may repeat, in order with -c)"}, false, set_script},
    {{"--command", "-c", "COMMAND", NULL, false, "run a command line (may repeat)"}, false, set_command},
    {{"--eval-command", "-ex", "COMMAND", NULL, false, "the same, as gdb has it"}, false, set_command},
    {{"--batch", NULL, NULL, NULL, false, "end after -x and -c; exit status 1 at the first error"}, false, set_batch},
    {{"--tui", NULL, NULL, NULL, false, "start in the screens"}, false, set_tui},
    {{"--json", "-j", NULL, NULL, false, "every command line prints its value as one line of JSON"}, false, set_json},
    {{"--quiet", "-q", NULL, NULL, false, "no greeting"}, false, set_quiet},
    {{"--nx", NULL, NULL, NULL, false, "no init file"}, false, set_nx},
    {{"--help", "-h", NULL, NULL, false, "this text"}, false, set_help},
    {{"--version", "-V", NULL, NULL, false, "which kvmscope this is"}, false, set_version},
};

bool options_doc(size_t i, struct option_doc *out)
{
	if (i >= ARRAY_LEN(entries))
		return false;
	*out = entries[i].doc;
	return true;
}

/* "  -b, --backend auto|kvm|soft  who runs the guest". */
static void usage_line(FILE *to, const struct option_doc *d)
{
	bool short_one = d->letter && !d->letter[2];
	char left[80], arg[40] = "";

	if (d->arg)
		snprintf(arg, sizeof(arg), "%s", d->words ? d->words : d->arg);
	for (char *p = arg; d->words && *p; p++)
		*p = *p == ' ' ? '|' : *p;
	snprintf(left, sizeof(left), "%s%s%s%s%s", short_one ? d->letter : "", short_one ? ", " : "    ", d->name,
		 d->arg ? " " : "", arg);
	fprintf(to, "  %-30s  %s", left, d->help);
	if (d->letter && d->letter[2])
		fprintf(to, "; %s too", d->letter);
	fprintf(to, "\n");
}

void options_usage(FILE *to)
{
	struct option_doc d;

	fprintf(to, "usage: kvmscope [options] [IMAGE]\n");
	for (size_t i = 0; options_doc(i, &d); i++)
		usage_line(to, &d);
	fprintf(to, "%s\n", options_image);
}

/* "--memory", "--memory=64M", "-m", "-m64M". *value is what stands in the same word. */
static const struct option_entry *find_option(const char *word, bool image_only, const char **value)
{
	*value = NULL;
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		const struct option_entry *o = &entries[i];
		size_t n = strlen(o->doc.name);

		if (image_only && !o->image)
			continue;
		if (!strcmp(word, o->doc.name) || (o->doc.letter && !strcmp(word, o->doc.letter)))
			return o;
		if (o->doc.arg && !strncmp(word, o->doc.name, n) && word[n] == '=') {
			*value = word + n + 1;
			return o;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(entries) && word[1] != '-'; i++)
		if (entries[i].doc.arg && entries[i].doc.letter && !entries[i].doc.letter[2] &&
		    (!image_only || entries[i].image) && word[1] == entries[i].doc.letter[1]) {
			*value = word + 2;
			return &entries[i];
		}
	return NULL;
}

/* The options among the words; what is left must be one image. */
static int parse(struct target *t, int argc, const char *const *argv, bool image_only, struct err *e)
{
	bool only_names = false;

	for (int i = 0; i < argc; i++) {
		const char *value;
		if (only_names || argv[i][0] != '-' || !argv[i][1]) {
			if (t->o->session.image.name)
				return err_set(e, -EINVAL, "%.80s" WHY "an image is named already: %.80s" TRY "one image",
					       argv[i], t->o->session.image.name);
			t->o->session.image.name = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			only_names = true;
			continue;
		}
		const struct option_entry *o = find_option(argv[i], image_only, &value);
		if (!o)
			return err_set(e, -EINVAL, "%.80s" WHY "there is no such option" TRY "%s", argv[i],
				       image_only ? "help load" : "kvmscope --help");
		if (o->doc.arg && !value && ++i >= argc)
			return err_set(e, -EINVAL, "%s" WHY "it needs a value" TRY "%s", o->doc.name,
				       image_only ? "help load" : "kvmscope --help");
		int ret = o->set(t, o->doc.arg && !value ? argv[i] : value, e);
		if (ret)
			return ret;
	}
	return 0;
}

int options_parse(struct options *o, int argc, char **argv, enum options_end *end, struct err *e)
{
	struct target t = {.o = o, .end = end};
	int ret;

	memset(o, 0, sizeof(*o));
	*end = OPTIONS_GO_ON;
	ret = parse(&t, argc - 1, (const char *const *)argv + 1, false, e);
	if (!o->session.image.name)
		o->session.image.name = "demo:tour";
	if (ret)
		options_deinit(o);
	return ret;
}

void options_deinit(struct options *o)
{
	free(o->actions);
	o->actions = NULL;
	o->n_actions = 0;
}

int options_parse_image(struct image_options *o, int argc, const char *const *argv, struct err *e)
{
	struct options all = {.n_actions = 0};
	enum options_end end;
	struct target t = {.o = &all, .end = &end};
	int ret = parse(&t, argc, argv, true, e);

	if (!ret && !all.session.image.name)
		ret = err_set(e, -EINVAL, "load" WHY "no image is named" TRY "load demo:tour, or load FILE");
	if (!ret)
		*o = all.session.image;
	return ret;
}
