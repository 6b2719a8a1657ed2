/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Choosing a backend.
 */
#include "cli/session/backends.h"

#include <stdio.h>

#include "core/soft/soft.h"
#include "kvmback/kvmback.h"

static int soft_available(struct err *e)
{
	(void)e;
	return 0; /* needs nothing of the host */
}

static const struct backend {
	enum backend_choice choice;
	const struct machine_ops *ops;
	int (*available)(struct err *e);

} backends[] = {
    {BACKEND_KVM, &kvm_backend, kvmback_available},
    {BACKEND_SOFT, &soft_backend, soft_available},
};

void backends_prepare(void)
{
	kvmback_prepare();
}

bool backends_still_read(void)
{
	return kvmback_still_reads();
}

static const struct backend *named_backend(enum backend_choice choice)
{
	for (size_t i = 0; i < ARRAY_LEN(backends); i++)
		if (backends[i].choice == choice)
			return &backends[i];
	return &backends[0];
}

const struct machine_ops *backend_choose(enum backend_choice choice, char *why, size_t size, struct err *e)
{
	struct err first, other;

	if (choice != BACKEND_AUTO) {
		const struct backend *b = named_backend(choice);
		snprintf(why, size, "asked for");
		return b->available(e) ? NULL : b->ops;
	}
	if (!backends[0].available(&first)) {
		snprintf(why, size, "/dev/kvm opens");
		return backends[0].ops;
	}
	for (size_t i = 1; i < ARRAY_LEN(backends); i++)
		if (!backends[i].available(&other)) {
			snprintf(why, size, "%s: %s", first.what, first.why);
			return backends[i].ops;
		}
	if (e)
		*e = first;
	return NULL;
}
