/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The lowest layer of the kernel reader: what a failed reader is told as, beside memory that is not mapped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "kvmback/kernel/kmem.h"

#define AT 0xffff888000001000ull

static int answer; /* of every call of the reader */

static int op_read(struct kmem *m, uint64_t addr, void *buf, size_t len)
{
	(void)m, (void)addr;
	memset(buf, 0, len);
	return answer;
}

static int op_gather(struct kmem *m, const uint64_t *addr, size_t n, size_t len, void *buf, bool *ok)
{
	(void)m, (void)addr, (void)len, (void)buf;
	memset(ok, answer == 0, n * sizeof(*ok));
	return answer;
}

static int op_chase(struct kmem *m, const struct kmem_list *l, size_t max, void *buf, size_t *n, uint64_t *end)
{
	(void)m, (void)l, (void)max, (void)buf;
	*n = 0;
	*end = 0;
	return answer;
}

static int op_task(struct kmem *m, uint64_t *task)
{
	(void)m;
	*task = AT;
	return answer;
}

static const struct kmem_ops plain = {.read = op_read, .task = op_task},
			     batched = {.read = op_read, .gather = op_gather, .chase = op_chase, .task = op_task};

/* Whatever way is taken, the errno is told, and not as memory that is not there. */
static void check_failed(const struct kmem_ops *ops, int errnum, const char *words, const char *next)
{
	struct kmem_list list = {.first = AT, .size = 16, .next = 8};
	struct kmem m = {.ops = ops};
	const uint64_t addr[2] = {AT, AT + 64};
	struct err e;
	char buf[64];
	bool ok[2];
	uint64_t v;
	size_t n;

	answer = -errnum;
	for (int way = 0; way < 4; way++) {
		err_clear(&e);
		int rc = way == 0   ? kmem_u64(&m, AT, &v, &e)
			 : way == 1 ? kmem_gather(&m, addr, 2, 8, buf, ok, &e)
			 : way == 2 ? kmem_chase(&m, &list, 2, buf, &n, &v, &e)
				    : kmem_task(&m, &v, &e);
		assert_int_equal(rc, -errnum);
		assert_non_null(strstr(e.why, "BPF_PROG_RUN"));
		assert_non_null(strstr(e.why, words));
		assert_non_null(strstr(e.next, next));
		assert_null(strstr(e.why, "mapped"));
	}
}

static void test_a_failed_run_is_told(void **state)
{
	(void)state;
	check_failed(&plain, EPERM, "Operation not permitted", "sudo");
	check_failed(&batched, EPERM, "Operation not permitted", "sudo");
	check_failed(&batched, ENOMEM, "Cannot allocate", "memory");
	check_failed(&plain, EBUSY, "busy", "again");
}

static void test_what_is_not_mapped(void **state)
{
	struct kmem m = {.ops = &plain};
	const uint64_t addr[2] = {AT, AT + 64};
	struct err e;
	char buf[64];
	bool ok[2] = {true, true};
	uint64_t v;

	(void)state;
	answer = -EFAULT;
	assert_int_equal(kmem_u64(&m, AT, &v, &e), -EFAULT);
	assert_non_null(strstr(e.why, "nothing is mapped"));
	assert_int_equal(kmem_gather(&m, addr, 2, 8, buf, ok, &e), 0);
	assert_false(ok[0] || ok[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_failed_run_is_told),
	    cmocka_unit_test(test_what_is_not_mapped),
	};
	return cmocka_run_group_tests_name("kmem", tests, NULL, NULL);
}
