/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * An image that was opened: what its readers add to it, and what others ask of it.
 */
#include "core/load/image.h"

#include <errno.h>

#include "core/load/image_impl.h"

int image_add_seg(struct image *img, const struct image_seg *seg, struct err *e)
{
	if (img->n_segs == IMAGE_SEGS_MAX)
		return err_set(e, -EINVAL, "load %s" WHY "it has more than %u segments to load" TRY "another image",
			       img->name, IMAGE_SEGS_MAX);
	img->seg[img->n_segs++] = *seg;
	return 0;
}

void image_close(struct image *img)
{
	if (!img)
		return;
	symbols_deinit(&img->syms);
	free(img->file);
	free(img->name);
	free(img);
}

unsigned image_vcpus(const struct image *img)
{
	return img->vcpus;
}

const char *image_describe(const struct image *img)
{
	return img->describe;
}

const char *image_name(const struct image *img)
{
	return img->name;
}

int image_symbols(const struct image *img, struct symbols *s, struct err *e)
{
	return symbols_add_all(s, &img->syms, e);
}
