/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What is asked about the host without a VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvmback/kvm.h"

/* Without a descriptor to ask by there is no answer, as a wrong one would be remembered. */
static void tdp_is_asked_again(void **state)
{
	struct rlimit was, none;
	struct err e = {0};
	struct strategy st = {.tdp = true}, later;
	int next = dup(0);

	(void)state;
	assert_true(next > 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int rc = probe_paging(&st, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(rc, -EMFILE);
	assert_true(st.tdp);
	assert_true(e.why[0] && e.next[0]);
	assert_int_equal(probe_paging(&later, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tdp_is_asked_again)};

	return cmocka_run_group_tests_name("kvm_probe", tests, NULL, NULL);
}
