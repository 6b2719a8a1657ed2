/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest physical to host physical, by /proc/self/pagemap (Documentation/admin-guide/mm/pagemap.rst). The page is only looked
 * up, never touched: asking must not populate it.
 */
#include <errno.h>
#include <fcntl.h>

#include "kvmback/kvm.h"

#define ENTRY_PRESENT (1ull << 63)
#define ENTRY_SWAPPED (1ull << 62)
#define ENTRY_PFN ((1ull << 55) - 1)

static int entry_of(int fd, uint64_t hva, uint64_t *entry, struct err *e)
{
	ssize_t got = pread(fd, entry, sizeof(*entry), (off_t)(hva >> PAGE_SHIFT) * 8);

	if (got < 0)
		return err_errno(e, errno, "host physical address" WHY "/proc/self/pagemap at hva %#llx",
				 (unsigned long long)hva);
	if (got != sizeof(*entry))
		return err_set_at(e, -ENODATA, ERR_SPACE_HVA, hva,
				  "host physical address" WHY "hva %#llx is not in this process's memory" TRY "info slots",
				  (unsigned long long)hva);
	return 0;
}

/* What this process may read of its own page map, asked of a page that is there: the frame number is zeroes for who may not
 * see it. */
static int may_read(struct err *e)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile uint64_t here = 1;
	uint64_t entry = 0;

	if (fd < 0)
		return err_errno(e, errno, "host physical address" WHY "open /proc/self/pagemap" TRY "sudo");
	int rc = entry_of(fd, (uintptr_t)&here, &entry, e);
	if (rc || entry & ENTRY_PFN)
		return rc;
	return err_set(e, -EPERM,
		       "host physical address" WHY
		       "the kernel hides page frame numbers from processes without CAP_SYS_ADMIN" TRY "sudo");
}

static struct err hpa_err;

/* Asked for each address of a look: what was found is kept, unless it is about this moment. */
const char *kvm_hpa_why(void)
{
	static bool known;

	if (!known) {
		err_clear(&hpa_err);
		int rc = may_read(&hpa_err);
		known = rc != -EMFILE && rc != -ENFILE && rc != -ENOMEM;
	}
	return hpa_err.code ? hpa_err.why : NULL;
}

const char *kvm_hpa_next(void)
{
	return hpa_err.next;
}

static int not_present(uint64_t gpa, uint64_t hva, uint64_t entry, struct err *e)
{
	if (entry & ENTRY_SWAPPED)
		return err_set_at(e, -ENODATA, ERR_SPACE_GPA, gpa,
				  "host physical address of gpa %#llx" WHY "its page is swapped out" TRY
				  "x/1bx there, then again",
				  (unsigned long long)gpa);
	return err_set_at(e, -ENODATA, ERR_SPACE_GPA, gpa,
			  "host physical address of gpa %#llx" WHY
			  "no host page is there yet: hva %#llx was never touched" TRY
			  "a run of the guest, or a write to it",
			  (unsigned long long)gpa, (unsigned long long)hva);
}

int kvm_hpa(struct machine *m, const struct slot *s, uint64_t gpa, uint64_t *hpa, struct err *e)
{
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t off = gpa - s->gpa, entry = 0, alias = 0;
	int rc;

	(void)m;
	if (fd < 0)
		return err_errno(e, errno, "host physical address" WHY "open /proc/self/pagemap" TRY "sudo");
	rc = entry_of(fd, s->hva + off, &entry, e);
	/* The guest's mapping may have lost its entry (fault stepping drops them) while the page is still in the file. */
	if (!rc && !(entry & ENTRY_PRESENT) && s->alias)
		rc = entry_of(fd, (uintptr_t)s->alias + off, &alias, e);
	if (rc)
		return rc;
	if (alias & ENTRY_PRESENT)
		entry = alias;
	if (!(entry & ENTRY_PRESENT))
		return not_present(gpa, s->hva + off, entry, e);
	*hpa = (entry & ENTRY_PFN) << PAGE_SHIFT | (gpa & PAGE_OFFSET_MASK);
	return 0;
}
