/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Bytes of slots, and their dirty bitmaps. Copies run slot by slot, as long as memory is contiguous; a file's bytes are
 * read by pread(), because a mapping of a file that somebody cuts short ends in SIGBUS.
 */
#include "core/mem/memslot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static size_t bitmap_words(const struct slot *s)
{
	return (size_t)((s->size / PAGE_SIZE_4K + 63) / 64);
}

int slot_log_start(struct slot *s, struct err *e)
{
	uint64_t *fresh[2] = {NULL, NULL};

	for (int smm = 0; smm < 2; smm++) {
		if (!slot_visible(s, smm) || s->dirty[smm])
			continue;
		fresh[smm] = calloc(bitmap_words(s), sizeof(uint64_t));
		if (!fresh[smm]) {
			free(fresh[0]);
			return err_set(e, -ENOMEM,
				       "slot %u" WHY "no memory for its dirty log: %zu bytes for %#llx pages" TRY
				       "a smaller slot, or none of log-dirty",
				       s->id, bitmap_words(s) * sizeof(uint64_t),
				       (unsigned long long)(s->size >> PAGE_SHIFT));
		}
	}
	for (int smm = 0; smm < 2; smm++)
		if (fresh[smm])
			s->dirty[smm] = fresh[smm];
	return 0;
}

void slot_log_stop(struct slot *s)
{
	for (int smm = 0; smm < 2; smm++) {
		free(s->dirty[smm]);
		s->dirty[smm] = NULL;
	}
}

void slot_mark_dirty(struct slot *s, uint64_t gpa, uint64_t len, bool smm)
{
	uint64_t *bits = s->dirty[smm];

	if (!bits || !len || !slot_contains(s, gpa))
		return;
	if (len > s->size - (gpa - s->gpa))
		len = s->size - (gpa - s->gpa);
	uint64_t last = (gpa - s->gpa + len - 1) >> PAGE_SHIFT;
	for (uint64_t page = (gpa - s->gpa) >> PAGE_SHIFT; page <= last; page++) {
		bits[page / 64] |= 1ull << (page % 64);
		if (s->dirtied)
			s->dirtied(s->dirtied_ctx, s, page, smm);
	}
}

/* ---- files */

static int cannot_open(const struct slot_spec *spec, int errnum, struct err *e)
{
	const char *next = "another file";

	if (errnum == ENOENT)
		next = "the path of a file that is there";
	else if (errnum == EACCES || errnum == EPERM)
		next = "a file that you may read";
	return err_errno(e, errnum, "slot %u" WHY "file %.300s cannot be opened for reading" TRY "%s", spec->id, spec->file,
			 next);
}

static int too_short(const struct slot_spec *spec, uint64_t bytes, struct err *e)
{
	unsigned long long room = (bytes + PAGE_OFFSET_MASK) & ~PAGE_OFFSET_MASK;

	if (!bytes)
		return err_set(e, -EINVAL,
			       "slot %u" WHY "file %.300s is empty, and the slot wants %#llx bytes" TRY
			       "another file, or a slot without -file",
			       spec->id, spec->file, (unsigned long long)spec->size);
	return err_set(e, -EINVAL,
		       "slot %u" WHY "file %.300s has %#llx bytes, which fill %#llx, and the slot wants %#llx" TRY
		       "size %#llx",
		       spec->id, spec->file, (unsigned long long)bytes, room, (unsigned long long)spec->size, room);
}

int slot_file_open(const struct slot_spec *spec, int *out, struct err *e)
{
	/* Nobody waits for a pipe's other end, or gets a terminal by it. */
	_cleanup_close_ int fd = open(spec->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return cannot_open(spec, errno, e);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL,
			       "slot %u" WHY "%.300s is not a regular file" TRY
			       "a regular file, or a slot without -file and restore into it",
			       spec->id, spec->file);
	if (((uint64_t)st.st_size + PAGE_OFFSET_MASK) / PAGE_SIZE_4K < spec->size / PAGE_SIZE_4K)
		return too_short(spec, (uint64_t)st.st_size, e);
	*out = fd;
	fd = -1;
	return 0;
}

/* ---- copies */

/* How much of [gpa, gpa+len) one visible slot holds; *s is that slot. */
static size_t run_length(struct slot_table *t, uint64_t gpa, bool smm, size_t len, struct slot **s)
{
	*s = slot_lookup(t, gpa, smm, NULL);
	if (!*s)
		return 0;
	uint64_t room = (*s)->size - (gpa - (*s)->gpa);
	return len < room ? len : (size_t)room;
}

static int no_memory_at(struct slot_table *t, uint64_t gpa, bool smm, const char *what, struct err *e)
{
	struct slot *found;

	slot_lookup(t, gpa, smm, &found);
	if (found)
		return err_set_at(e, -EFAULT, ERR_SPACE_GPA, gpa,
				  "%s gpa %#llx" WHY "slot %u is visible %s only" TRY
				  "slot flags %u, or an address in another slot",
				  what, (unsigned long long)gpa, found->id, smm ? "outside SMM" : "inside SMM", found->id);
	return err_set_at(e, -EFAULT, ERR_SPACE_GPA, gpa,
			  "%s gpa %#llx" WHY "no slot covers it" TRY "info slots for what there is", what,
			  (unsigned long long)gpa);
}

int slots_probe(struct slot_table *t, uint64_t gpa, bool smm, size_t len, bool write, struct err *e)
{
	const char *what = write ? "write" : "read";
	struct slot *s;

	if (range_wraps(gpa, len))
		return err_set_at(e, -EFAULT, ERR_SPACE_GPA, gpa,
				  "%s %#zx bytes at gpa %#llx" WHY "the range runs past 2^64" TRY "a shorter length", what,
				  len, (unsigned long long)gpa);
	while (len) {
		size_t run = run_length(t, gpa, smm, len, &s);

		if (!run || !(s->alias || s->fill || (s->file_backed && s->fd >= 0)))
			return no_memory_at(t, gpa, smm, what, e);
		if (write && !s->alias && s->fill)
			return err_set_at(e, -EROFS, ERR_SPACE_GPA, gpa,
					  "write gpa %#llx" WHY "slot %u's memory can only be read by this debugger" TRY
					  "info slots",
					  (unsigned long long)gpa, s->id);
		if (write && s->file_backed)
			return err_set_at(e, -EROFS, ERR_SPACE_GPA, gpa,
					  "write gpa %#llx" WHY "slot %u is a file mapped for reading only" TRY
					  "a copy of the file loaded into a slot of plain memory",
					  (unsigned long long)gpa, s->id);
		gpa += run;
		len -= run;
	}
	return 0;
}

static int read_file(const struct slot *s, uint64_t gpa, void *buf, size_t len, struct err *e)
{
	uint64_t at = s->fd_offset + (gpa - s->gpa);

	while (len) {
		ssize_t got = pread(s->fd, buf, len, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(e, errno, "read gpa %#llx" WHY "slot %u's file, offset %#llx" TRY "another slot",
					 (unsigned long long)gpa, s->id, (unsigned long long)at);
		if (!got)
			return err_set_at(e, -EIO, ERR_SPACE_GPA, gpa,
					  "read gpa %#llx" WHY
					  "slot %u's file ends before offset %#llx: it was cut short" TRY
					  "slot del %u, then add it again with the whole file",
					  (unsigned long long)gpa, s->id, (unsigned long long)at + len - 1, s->id);
		buf = (uint8_t *)buf + got;
		at += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

static int no_bytes(const struct slot *s, uint64_t gpa, struct err *e)
{
	return err_set_at(e, -ENODATA, ERR_SPACE_GPA, gpa,
			  "read gpa %#llx" WHY "slot %u has no memory here" TRY "info slots", (unsigned long long)gpa,
			  s->id);
}

int slot_read(const struct slot *s, uint64_t gpa, void *buf, size_t len, struct err *e)
{
	if (s->file_backed && s->fd >= 0)
		return read_file(s, gpa, buf, len, e);
	if (!s->alias)
		return s->fill ? s->fill(s, gpa, buf, len, e) : no_bytes(s, gpa, e);
	memcpy(buf, s->alias + (gpa - s->gpa), len);
	return 0;
}

int slots_read(struct slot_table *t, uint64_t gpa, bool smm, void *buf, size_t len, struct err *e)
{
	uint8_t *to = buf;
	struct slot *s;
	int rc = slots_probe(t, gpa, smm, len, false, e);

	while (!rc && len) {
		size_t run = run_length(t, gpa, smm, len, &s);

		rc = slot_read(s, gpa, to, run, e);
		to += run;
		gpa += run;
		len -= run;
	}
	return rc;
}

int slots_write(struct slot_table *t, uint64_t gpa, bool smm, const void *buf, size_t len, struct err *e)
{
	const uint8_t *from = buf;
	struct slot *s;
	int rc = slots_probe(t, gpa, smm, len, true, e);

	while (!rc && len) {
		size_t run = run_length(t, gpa, smm, len, &s);

		memcpy(slot_in_place(s, gpa), from, run);
		from += run;
		gpa += run;
		len -= run;
	}
	return rc;
}
