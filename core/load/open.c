/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Opening an image: reading the file, telling its format, and handing it to the reader of that format.
 */
#include "core/load/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/load/image_impl.h"

#define MEMORY_DEFAULT (64ull << 20)
#define REAL_AT 0x7c00ull
#define HIGH_AT 0x100000ull
#define USER_AT 0x1000ull
#define USER_GVA 0x200000ull

static const char *const mode_text[] = {
    [ENTRY_AUTO] = "no mode",
    [ENTRY_REAL] = "real mode",
    [ENTRY_PROT] = "32-bit protected mode",
    [ENTRY_LONG] = "long mode at CPL 0",
    [ENTRY_USER] = "long mode at CPL 3",
};

/* ---- the file */

static int open_file(const char *name, off_t *size, struct err *e)
{
	struct stat st;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), errnum;

	if (fd < 0)
		return err_errno(e, errno, "load %s" WHY "cannot open it" TRY "a file that is there, or demo:tour", name);
	if (fstat(fd, &st) < 0) {
		errnum = errno;
		close(fd);
		return err_errno(e, errnum, "load %s" WHY "cannot look at it" TRY "another file", name);
	}
	*size = st.st_size;
	if (S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= IMAGE_FILE_MAX)
		return fd;
	close(fd);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "load %s" WHY "it is no regular file" TRY "a file, or demo:tour", name);
	if (!st.st_size)
		return err_set(e, -EINVAL, "load %s" WHY "it is empty" TRY "another file", name);
	return err_set(e, -EFBIG, "load %s" WHY "%lld bytes are more than 1 GiB" TRY "a smaller image", name,
		       (long long)st.st_size);
}

static int read_file(struct image *img, struct err *e)
{
	_cleanup_close_ int fd = -1;
	off_t size = 0;
	size_t got = 0;

	fd = open_file(img->name, &size, e);
	if (fd < 0)
		return fd;
	img->file = malloc((size_t)size);
	if (!img->file)
		return err_nomem(e, "read an image");
	while (got < (size_t)size) {
		ssize_t n = read(fd, img->file + got, (size_t)size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "load %s" WHY "cannot read it" TRY "another file", img->name);
		if (!n)
			break;
		got += (size_t)n;
	}
	img->bytes = img->file;
	img->size = got;
	return 0;
}

/* ---- formats */

static bool is_elf(const struct image *img)
{
	return img->size >= 4 && memcmp(img->bytes,
					"\x7f"
					"ELF",
					4) == 0;
}

/* Formats that are known by sight only. */
static const char *foreign_format(const struct image *img)
{
	const uint8_t *b = img->bytes;

	if (img->size >= 0x206 && memcmp(b + 0x202, "HdrS", 4) == 0)
		return "a Linux bzImage";
	if (img->size >= 2 && memcmp(b, "\x1f\x8b", 2) == 0)
		return "gzip-compressed";
	if (img->size >= 0x10000 && img->size % 0x10000 == 0 && (b[img->size - 16] == 0xea || b[img->size - 16] == 0xe9))
		return "a ROM (a jump at its reset vector)";
	return NULL;
}

static int detect_format(struct image *img, const struct image_options *opt, struct err *e)
{
	const char *foreign;

	img->format = opt->format;
	if (opt->format != IMAGE_AUTO)
		return 0;
	img->format = IMAGE_FLAT;
	foreign = foreign_format(img);
	if (is_elf(img)) {
		bool multiboot = image_multiboot_header(img->bytes, img->size) >= 0;

		img->format =
		    multiboot && (opt->mode == ENTRY_AUTO || opt->mode == ENTRY_PROT) ? IMAGE_MULTIBOOT : IMAGE_ELF;
	} else if (foreign) {
		return err_set(e, -EINVAL,
			       "load %s" WHY "it is %s, not yet a format that is loaded" TRY
			       "an ELF, multiboot ELF or flat image, or --format flat for its bytes as they are",
			       img->name, foreign);
	} else if (image_multiboot_header(img->bytes, img->size) >= 0) {
		return err_set(e, -EINVAL,
			       "load %s" WHY
			       "it has a multiboot header but is no ELF file, not yet a format that is loaded" TRY
			       "an ELF kernel, or --format flat for its bytes as they are",
			       img->name);
	}
	return 0;
}

static int image_read_flat(struct image *img, const struct image_options *opt, struct err *e)
{
	struct image_seg s = {.data = img->bytes, .filesz = img->size, .memsz = img->size};

	if (img->mode == ENTRY_AUTO)
		img->mode = ENTRY_REAL;
	if (opt->has_at)
		s.gpa = opt->at;
	else
		s.gpa = img->mode == ENTRY_REAL ? REAL_AT : img->mode == ENTRY_USER ? USER_AT : HIGH_AT;
	if (range_wraps(s.gpa, s.memsz))
		return err_set_at(e, -EFBIG, ERR_SPACE_GPA, s.gpa,
				  "load %s" WHY "%#" PRIx64 " bytes at gpa %#" PRIx64
				  " go past the end of the address space" TRY "another --at",
				  img->name, s.memsz, s.gpa);
	s.gva = img->mode == ENTRY_USER ? USER_GVA + (s.gpa & PAGE_OFFSET_MASK) : s.gpa;
	img->entry = s.gva;
	return image_add_seg(img, &s, e);
}

static int read_general(struct image *img, const struct image_options *opt, struct err *e)
{
	int rc = read_file(img, e);

	if (!rc)
		rc = detect_format(img, opt, e);
	if (rc)
		return rc;
	if (img->format == IMAGE_MULTIBOOT) {
		if (img->mode == ENTRY_AUTO)
			img->mode = ENTRY_PROT;
		rc = image_check_multiboot(img, e);
	}
	if (!rc && img->format == IMAGE_FLAT)
		rc = image_read_flat(img, opt, e);
	else if (!rc)
		rc = image_read_elf(img, e);
	if (rc)
		return rc;
	if (opt->has_at && img->format != IMAGE_FLAT)
		return err_set(e, -EINVAL,
			       "load %s" WHY "--at is for flat images; an ELF file says itself where it goes" TRY
			       "without --at, or --format flat",
			       img->name);
	if (opt->has_entry)
		img->entry = opt->entry;
	return image_place(img, e);
}

/* ---- life */

static int check_options(const struct image_options *opt, struct err *e)
{
	if (opt->memory & PAGE_OFFSET_MASK)
		return err_set(e, -EINVAL, "load %s" WHY "memory size %#" PRIx64 " is not a multiple of 4 KiB" TRY "%#llx",
			       opt->name, opt->memory, (opt->memory | PAGE_OFFSET_MASK) + 1);
	if (opt->memory >> 46)
		return err_set(e, -EINVAL, "load %s" WHY "memory size %#" PRIx64 " is more than 64 TiB" TRY "-m 64M",
			       opt->name, opt->memory);
	if (opt->vcpus > 64)
		return err_set(e, -EINVAL, "load %s" WHY "%u vCPUs are more than 64" TRY "-n 64", opt->name, opt->vcpus);
	return 0;
}

static int image_init(struct image *img, const struct image_options *opt, struct err *e)
{
	img->name = strdup(opt->name);
	if (!img->name)
		return err_nomem(e, "open an image");
	symbols_init(&img->syms);
	img->mode = opt->mode;
	img->memory = opt->memory ? opt->memory : MEMORY_DEFAULT;
	img->vcpus = opt->vcpus ? opt->vcpus : 1;
	return 0;
}

int image_open(const struct image_options *opt, struct image **out, struct err *e)
{
	struct image *img;
	int rc = check_options(opt, e);

	if (rc)
		return rc;
	img = calloc(1, sizeof(*img));
	if (!img)
		return err_nomem(e, "open an image");
	rc = image_init(img, opt, e);
	if (!rc)
		rc = strncmp(opt->name, "demo:", 5) == 0 ? image_read_demo(img, opt, e) : read_general(img, opt, e);
	if (rc) {
		image_close(img);
		return rc;
	}
	snprintf(img->describe, sizeof(img->describe), "%.90s, %s, entry %#" PRIx64, img->name, mode_text[img->mode],
		 img->entry);
	*out = img;
	return 0;
}
