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
#include "cli/session/interrupt.h"

#define CHUNK (1u << 20)

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

static int read_all(int fd, const char *path, uint8_t *buf, size_t size, struct err *e)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = read(fd, buf + at, size - at);
		if (n < 0 && errno == EINTR && !interrupt_asked())
			continue;
		if (n <= 0)
			return err_errno(e, n ? errno : EIO, "restore %.100s" WHY "cannot be read" TRY "another file", path);
		at += (size_t)n;
	}
	return 0;
}

static int load_file(const char *path, uint8_t **out, size_t *size, struct err *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_errno(e, errno, "restore %.100s" WHY "cannot be opened" TRY "another file", path);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return err_set(e, -EINVAL, "restore %.100s" WHY "%s" TRY "a file that dump wrote", path,
			       S_ISREG(st.st_mode) ? "the file is empty" : "it is no regular file");
	_cleanup_free_ uint8_t *buf = malloc((size_t)st.st_size);
	if (!buf)
		return err_nomem(e, "restore");
	int rc = read_all(fd, path, buf, (size_t)st.st_size, e);
	if (rc)
		return rc;
	*size = (size_t)st.st_size;
	*out = buf;
	buf = NULL;
	return 0;
}

int cmd_restore(struct call *c, struct err *e)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	const char *path;
	struct space sp;
	struct args a;
	uint64_t addr;
	size_t len = 0;
	bool phys;
	int rc = file_args(&a, c, &phys, &path, &addr, e);

	if (!rc)
		rc = space_args_end(&sp, &a, phys, e);
	if (!rc)
		rc = load_file(path, &bytes, &len, e);
	if (!rc)
		rc = space_write(&sp, addr, bytes, len, e);
	if (!rc)
		file_result(c, path, addr, len);
	return rc;
}
