/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Standard output and standard error set aside while the screens are open. Nothing is asserted while they are: who says what
 * failed writes there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/tui/divert.h"

static char taken[1024];
static uint64_t bytes, wrong;

static void take(void *arg, const char *text, size_t n)
{
	size_t at = strlen(taken);

	(void)arg;
	if (at + n < sizeof(taken)) {
		memcpy(taken + at, text, n);
		taken[at + n] = '\0';
	}
	for (size_t i = 0; i < n; i++)
		wrong += text[i] != "0123456789"[bytes++ % 10];
}

static int setup(void **state)
{
	(void)state;
	taken[0] = '\0';
	bytes = wrong = 0;
	return 0;
}

static bool same_file(int a, const struct stat *b)
{
	struct stat st;

	return !fstat(a, &st) && st.st_dev == b->st_dev && st.st_ino == b->st_ino;
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A limit that leaves room for so many more. */
static rlim_t limit_for(int room)
{
	int fd = 0;

	for (; fcntl(fd, F_GETFD) >= 0 || room > 0; fd++)
		room -= fcntl(fd, F_GETFD) < 0;
	return (rlim_t)fd;
}

static void run_child(void)
{
	pid_t pid = fork();

	if (!pid) {
		_exit(write(1, "child\n", 6) == 6 && write(2, "its error\n", 10) == 10 ? 0 : 1);
	}
	waitpid(pid, NULL, 0);
}

static void all_that_is_written_in_its_order(void **state)
{
	int before = open_descriptors();
	struct stat out, err;
	struct divert d;

	(void)state;
	fstat(1, &out);
	fstat(2, &err);
	int ret = divert_begin(&d, NULL);
	printf("printed, ");
	fflush(stdout);
	bool written = write(1, "written\n", 8) == 8;
	divert_take(&d, take, NULL);
	fprintf(stderr, "an error\n");
	run_child();
	printf("no newline");
	divert_take(&d, take, NULL);
	divert_take(&d, take, NULL); /* nothing new */
	divert_end(&d);
	assert_int_equal(ret, 0);
	assert_true(written);
	assert_string_equal(taken, "printed, written\nan error\nchild\nits error\nno newline");
	assert_true(same_file(1, &out) && same_file(2, &err));
	assert_int_equal(open_descriptors(), before);
	divert_take(&d, take, NULL); /* over: nothing */
	divert_end(&d);
	assert_int_equal(open_descriptors(), before);
}

/* 16 MiB: none is lost or taken twice, and the memory is given back. */
static void a_lot(void **state)
{
	struct divert d;
	struct stat st;
	bool written = true;

	(void)state;
	int ret = divert_begin(&d, NULL);
	for (int i = 0; i < 16384; i++) {
		char block[1000];
		for (size_t k = 0; k < sizeof(block); k++)
			block[k] = (char)('0' + k % 10);
		written &= write(1, block, sizeof(block)) == (ssize_t)sizeof(block);
		if (i % 100 == 0)
			divert_take(&d, take, NULL);
	}
	divert_take(&d, take, NULL);
	bool known = !fstat(d.file, &st);
	divert_end(&d);
	assert_int_equal(ret, 0);
	assert_true(written && known);
	assert_int_equal(bytes, 16384000);
	assert_int_equal(wrong, 0);
	assert_true(st.st_blocks * 512 < 4 << 20);
}

/* A child that goes on writing while what it has written is taken, and given back. */
static void taken_while_it_is_written(void **state)
{
	struct divert d;
	int status = 1;

	(void)state;
	int ret = divert_begin(&d, NULL);
	pid_t pid = fork();
	if (!pid) {
		bool written = true;
		for (int i = 0; i < 100000; i++)
			written &= write(1, "01234567890123456789012345678901234567890123456789", 50) == 50;
		_exit(!written);
	}
	while (!waitpid(pid, &status, WNOHANG))
		divert_take(&d, take, NULL);
	divert_take(&d, take, NULL);
	divert_end(&d);
	assert_int_equal(ret, 0);
	assert_int_equal(status, 0);
	assert_int_equal(bytes, 5000000);
	assert_int_equal(wrong, 0);
}

static void no_descriptors_left(void **state)
{
	struct rlimit old, few;
	struct stat out;
	struct divert d;
	struct err e = {0};

	(void)state;
	fstat(1, &out);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int room = 0; room < 3; room++) { /* for the file, and one of those to be kept */
		few = old;
		few.rlim_cur = limit_for(room);
		setrlimit(RLIMIT_NOFILE, &few);
		int ret = divert_begin(&d, &e);
		setrlimit(RLIMIT_NOFILE, &old);
		divert_end(&d);
		assert_true(ret < 0);
		assert_non_null(strstr(e.why, "cannot be set aside"));
		assert_true(same_file(1, &out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(all_that_is_written_in_its_order, setup),
	    cmocka_unit_test_setup(a_lot, setup),
	    cmocka_unit_test_setup(taken_while_it_is_written, setup),
	    cmocka_unit_test_setup(no_descriptors_left, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
