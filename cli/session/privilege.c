/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Giving up what the program's file gave it.
 */
#include "cli/session/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/session/backends.h"

static bool elevated;

bool privilege_elevated(void)
{
	return elevated;
}

const char *privilege_getenv(const char *name)
{
	return elevated ? NULL : getenv(name);
}

const char *privilege_home(void)
{
	const struct passwd *user = elevated ? getpwuid(getuid()) : NULL;

	return user ? user->pw_dir : privilege_getenv("HOME");
}

/* ---- the environment */

/* What libraries read by themselves: Tcl its library and packages, readline its keys, ncurses its terminals. */
static bool is_of_a_library(const char *entry)
{
	static const char *const prefix[] = {"TCL", "KVMSCOPE", "TERMINFO", "INPUTRC="};

	for (size_t i = 0; i < ARRAY_LEN(prefix); i++)
		if (!strncmp(entry, prefix[i], strlen(prefix[i])))
			return true;
	return false;
}

static void clean_environment(void)
{
	char name[256];

	for (char **at = environ; at && *at;) {
		size_t len = strcspn(*at, "=");

		if (!is_of_a_library(*at) || len >= sizeof(name)) {
			at++;
			continue;
		}
		memcpy(name, *at, len);
		name[len] = '\0';
		unsetenv(name);
		at = environ;
	}
	setenv("INPUTRC", "/dev/null", 1); /* else readline takes the file in the home folder */
}

/* ---- capabilities */

static int set_capabilities(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
	    {.effective = (uint32_t)effective, .permitted = (uint32_t)permitted},
	    {.effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(permitted >> 32)},
	};

	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

static uint64_t permitted_now(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}, {0}};

	if (syscall(SYS_capget, &head, data))
		return 0;
	return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* What the user has anyway: all, for root. Who is root keeps it. */
static int drop_ids(void)
{
	if (getegid() != getgid() && setresgid(getgid(), getgid(), getgid()))
		return -errno;
	if (geteuid() != getuid() && setresuid(getuid(), getuid(), getuid()))
		return -errno;
	return 0;
}

/* Before Linux 5.19 a program that is loaded is run for who has CAP_BPF alone: that one is kept then, and nothing else. */
static int drop_capabilities(void)
{
	const uint64_t bpf = 1ull << 39, have = permitted_now();

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	int rc = set_capabilities(have & bpf, 0);
	if (rc || !(have & bpf))
		return rc;
	return backends_still_read() ? set_capabilities(0, 0) : set_capabilities(bpf, bpf);
}

int privilege_give_up(struct err *e)
{
	elevated = getauxval(AT_SECURE) != 0;
	if (!elevated)
		return 0;
	clean_environment();
	backends_prepare();
	int rc = drop_ids();
	if (!rc && getuid())
		rc = drop_capabilities();
	if (rc)
		return err_errno(
		    e, -rc, "start" WHY "the capabilities of the program's file cannot be given up" TRY "setcap -r on it");
	return 0;
}
