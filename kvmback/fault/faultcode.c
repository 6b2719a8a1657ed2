/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The three forms of a fault's error code.
 */
#include "kvmback/fault/faultcode.h"

#include <stdio.h>

#define BIT(n) (1ull << (n))
#define PF_PRESENT BIT(0)
#define PF_WRITE BIT(1)
#define PF_USER BIT(2)
#define PF_RESERVED BIT(3)
#define PF_FETCH BIT(4)
#define NPF_FINAL BIT(32)
#define NPF_WALK BIT(33)
#define EPT_READ BIT(0)
#define EPT_WRITE BIT(1)
#define EPT_FETCH BIT(2)
#define EPT_RIGHTS(code) ((code) >> 3 & 7) /* what the entries allow: read 1, write 2, fetch 4 */
#define EPT_LINEAR BIT(7)		   /* there is a linear address, and bit 8 says something */
#define EPT_FINAL BIT(8)

bool fault_code_is_walk(enum fault_format f, uint64_t code)
{
	if (f == FAULT_NPT)
		return code & NPF_WALK;
	return f == FAULT_EPT && code & EPT_LINEAR && !(code & EPT_FINAL);
}

static const char *place(enum fault_format f, uint64_t code)
{
	if (fault_code_is_walk(f, code))
		return ", for a table of the walk";
	return code & (f == FAULT_EPT ? EPT_FINAL : NPF_FINAL) ? ", for the page itself" : "";
}

static void ept_words(uint64_t code, char *out, size_t size)
{
	static const char *const rights[] = {"not mapped", "mapped r--", "mapped -w-", "mapped rw-",
					     "mapped --x", "mapped r-x", "mapped -wx", "mapped rwx"};

	snprintf(out, size, "%s%s%s%s, %s%s", code & EPT_READ ? "read" : "",
		 code & EPT_READ && code & EPT_WRITE ? " and " : "", code & EPT_WRITE ? "write" : "",
		 code & EPT_FETCH ? "fetch" : "", rights[EPT_RIGHTS(code)], place(FAULT_EPT, code));
}

void fault_code_words(enum fault_format f, uint64_t code, char *out, size_t size)
{
	if (f == FAULT_EPT)
		return ept_words(code, out, size);
	snprintf(out, size, "%s, %s, %s%s",
		 code & PF_FETCH   ? "fetch"
		 : code & PF_WRITE ? "write"
				   : "read",
		 code & PF_USER ? "user" : "supervisor",
		 code & PF_RESERVED  ? "a reserved bit is set"
		 : code & PF_PRESENT ? "mapped without that right"
				     : "not mapped",
		 f == FAULT_NPT ? place(f, code) : "");
}
