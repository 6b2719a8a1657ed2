/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Guest memory at large: searching it, writing it to a file, filling it from one. All go through a buffer and look for
 * Ctrl-C between its fills.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cmd/data.h"
#include "cli/cmd/sink.h"
#include "cli/session/client.h"
#include "cli/session/interrupt.h"

#define CHUNK (1u << 20)
#define LOOK (64u << 20) /* of a range whose place is looked at in one go */

static int interrupted(struct err *e, const char *what, uint64_t at)
{
	return err_set(e, -EINTR, "%s" WHY "interrupted at 0x%llx" TRY "a shorter range", what, (unsigned long long)at);
}

/* ---- find */

struct search {
	struct call *c;
	struct space sp;
	uint64_t at, end; /* what is left, end exclusive (0 for 2^64) */
	const uint8_t *pattern;
	size_t len;
	bool any; /* some of the range could be read */
};

static void find_in(struct search *f, const uint8_t *bytes, size_t n)
{
	const uint8_t *p = bytes, *hit;

	while ((hit = memmem(p, n - (size_t)(p - bytes), f->pattern, f->len)) != NULL) {
		v_push(f->c->pool, &f->c->result, v_hex(f->at + (uint64_t)(hit - bytes)));
		p = hit + 1;
	}
}

/* One buffer's worth. Chunks overlap by a pattern's length less one, so that nothing is missed or found twice; what cannot
 * be read is skipped a page at a time. */
static void find_chunk(struct search *f, uint8_t *buf)
{
	uint64_t left = f->end - f->at;
	size_t want = left < CHUNK ? left : CHUNK;
	size_t n = space_read_some(&f->sp, f->at, buf, want);

	if (!n) {
		uint64_t skip = PAGE_SIZE_4K - (f->at & PAGE_OFFSET_MASK);
		f->at = skip < left ? f->at + skip : f->end;
		return;
	}
	f->any = true;
	if (n >= f->len)
		find_in(f, buf, n);
	f->at += n < want || n == left ? n : n - (f->len - 1);
}

static int find_args(struct call *c, struct search *f, uint8_t **pattern, struct err *e)
{
	struct args a;
	uint64_t len;
	bool phys;
	int rc = space_args(&a, c, &phys, &f->at, e);

	if (!rc)
		rc = args_number(&a, "LEN", 1, UINT64_MAX, &len, e);
	if (!rc)
		rc = args_hex(&a, "HEX", pattern, &f->len, e);
	if (!rc)
		rc = args_end(&a, e);
	if (!rc && range_wraps(f->at, len))
		rc = err_set(e, -EINVAL, "find" WHY "0x%llx and 0x%llx more wrap past the last address" TRY "a shorter LEN",
			     (unsigned long long)f->at, (unsigned long long)len);
	if (rc)
		return rc;
	f->c = c;
	f->end = f->at + len;
	f->pattern = *pattern;
	if (f->len > CHUNK / 2)
		return err_set(e, -E2BIG, "find" WHY "%zu bytes are too many to look for" TRY "at most %u", f->len,
			       CHUNK / 2);
	return space_init(&f->sp, c, phys, e);
}

int cmd_find(struct call *c, struct err *e)
{
	_cleanup_free_ uint8_t *pattern = NULL;
	struct search f = {0};
	int rc = find_args(c, &f, &pattern, e);

	if (rc)
		return rc;
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);
	if (!buf)
		return err_nomem(e, "find");
	uint64_t first = f.at;
	c->result = v_list(c->pool, 16);
	while (f.at != f.end) {
		find_chunk(&f, buf);
		if (interrupt_asked())
			return interrupted(e, "find", f.at);
	}
	return f.any ? 0 : space_read(&f.sp, first, buf, 1, e);
}

/* ---- dump */

static int dump_range(const struct space *sp, struct sink *k, uint64_t addr, uint64_t len, struct err *e)
{
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);

	if (!buf)
		return err_nomem(e, "dump");
	while (len) {
		size_t n = len < CHUNK ? len : CHUNK;
		int rc = space_read(sp, addr, buf, n, e);
		if (!rc)
			rc = sink_write(k, buf, n, e);
		if (!rc && interrupt_asked())
			rc = interrupted(e, "dump", addr);
		if (rc)
			return rc;
		addr += n;
		len -= n;
	}
	return 0;
}

static void file_result(struct call *c, const char *path, uint64_t addr, uint64_t len)
{
	c->result = v_dict(c->pool, 3);
	v_put(c->pool, &c->result, "file", v_str(c->pool, path));
	v_put(c->pool, &c->result, "address", v_hex(addr));
	v_put(c->pool, &c->result, "len", v_int((int64_t)len));
}

/* [-phys] FILE A */
static int file_args(struct args *a, struct call *c, bool *phys, const char **path, uint64_t *addr, struct err *e)
{
	int rc = args_init(a, c, e);

	if (rc)
		return rc;
	*phys = args_flag(a, "-phys");
	rc = args_word(a, "FILE", path, e);
	return rc ? rc : args_addr(a, "A", addr, e);
}

int cmd_dump(struct call *c, struct err *e)
{
	const char *path;
	struct space sp;
	struct args a;
	struct sink k;
	uint64_t addr, len;
	bool phys;
	int rc = file_args(&a, c, &phys, &path, &addr, e);

	if (!rc)
		rc = args_number(&a, "LEN", 1, 1ull << 52, &len, e);
	if (!rc)
		rc = space_args_end(&sp, &a, phys, e);
	if (!rc)
		rc = sink_open(&k, "dump", path, e);
	if (rc)
		return rc;
	rc = sink_close(&k, dump_range(&sp, &k, addr, len, e), e);
	if (!rc)
		file_result(c, path, addr, len);
	return rc;
}

/* ---- restore */

struct input_file {
	const char *path;
	int fd;
	uint64_t size;
};

/* Nobody waits for a pipe's other end. */
static int input_open(struct input_file *f, const char *path, struct err *e)
{
	struct stat st;

	*f = (struct input_file){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
	if (f->fd < 0 || fstat(f->fd, &st))
		return err_errno(e, errno, "restore %.100s" WHY "cannot be opened" TRY "another file", path);
	f->size = (uint64_t)st.st_size;
	if (S_ISREG(st.st_mode) && f->size)
		return 0;
	return err_set(e, -EINVAL, "restore %.100s" WHY "%s" TRY "a file that dump wrote", path,
		       S_ISREG(st.st_mode) ? "the file is empty" : "it is no regular file");
}

/* Whether all of it has a place, before any of it is read. In parts: a sparse file is larger than any memory. */
static int check_place(const struct space *sp, uint64_t addr, const struct input_file *f, struct err *e)
{
	int rc =
	    !range_wraps(addr, f->size)
		? 0
		: err_set(e, -EFAULT, "place" WHY "0x%llx and the file's size wrap past the last address" TRY "a lower A",
			  (unsigned long long)addr);

	for (uint64_t at = 0, n; !rc && at < f->size; at += n) {
		n = f->size - at < LOOK ? f->size - at : LOOK;
		rc = interrupt_asked() ? err_set(e, -EINTR, "restore" WHY "interrupted" TRY "it again")
				       : space_writable(sp, addr + at, n, e);
	}
	if (rc)
		err_prefix(e, "restore %.40s, 0x%llx bytes, nothing written: ", f->path, (unsigned long long)f->size);
	return rc;
}

static int read_chunk(const struct input_file *f, uint64_t at, uint8_t *buf, size_t size, struct err *e)
{
	while (size) {
		ssize_t n = pread(f->fd, buf, size, (off_t)at);
		if (n < 0 && errno == EINTR && !interrupt_asked())
			continue;
		if (n < 0)
			return err_errno(e, errno, "restore %.60s" WHY "cannot be read at offset 0x%llx" TRY "another file",
					 f->path, (unsigned long long)at);
		if (!n)
			return err_set(e, -EIO,
				       "restore %.60s" WHY "the file ends at offset 0x%llx now: it was cut short" TRY
				       "the whole file",
				       f->path, (unsigned long long)at);
		buf += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

static int copy_in(struct call *c, const struct space *sp, const struct input_file *f, uint64_t addr, uint64_t *done,
		   struct err *e)
{
	_cleanup_free_ uint8_t *buf = malloc(f->size < CHUNK ? (size_t)f->size : CHUNK);
	int rc = buf ? 0 : err_nomem(e, "restore");

	while (!rc && *done < f->size) {
		uint64_t left = f->size - *done;
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if (interrupt_asked())
			return err_set(e, -EINTR, "restore %.60s" WHY "interrupted" TRY "it again, from the beginning",
				       f->path);
		rc = read_chunk(f, *done, buf, n, e);
		if (!rc)
			rc = space_write(sp, addr + *done, buf, n, e);
		if (!rc)
			*done += n;
		if (!rc && c->client && c->client->ops->progress)
			c->client->ops->progress(c->client, *done, f->size);
	}
	return rc;
}

/* What stands in memory now is part of the answer. */
static int say_written(int rc, const struct input_file *f, uint64_t addr, uint64_t done, struct err *e)
{
	size_t len = e ? strlen(e->why) : 0;

	if (!e)
		return rc;
	if (!done)
		snprintf(e->why + len, sizeof(e->why) - len, "; nothing was written");
	else
		snprintf(e->why + len, sizeof(e->why) - len, "; 0x%llx of 0x%llx bytes are written, 0x%llx to 0x%llx",
			 (unsigned long long)done, (unsigned long long)f->size, (unsigned long long)addr,
			 (unsigned long long)(addr + done - 1));
	return rc;
}

int cmd_restore(struct call *c, struct err *e)
{
	struct input_file f = {.fd = -1};
	const char *path;
	struct space sp;
	struct args a;
	uint64_t addr, done = 0;
	bool phys;
	int rc = file_args(&a, c, &phys, &path, &addr, e);

	if (!rc)
		rc = space_args_end(&sp, &a, phys, e);
	if (!rc)
		rc = input_open(&f, path, e);
	if (!rc)
		rc = check_place(&sp, addr, &f, e);
	if (!rc) {
		rc = copy_in(c, &sp, &f, addr, &done, e);
		if (c->client && c->client->ops->progress)
			c->client->ops->progress(c->client, 0, 0);
		if (rc)
			rc = say_written(rc, &f, addr, done, e);
	}
	util_closep(&f.fd);
	if (!rc)
		file_result(c, path, addr, f.size);
	return rc;
}
