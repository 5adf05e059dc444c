/* The journal of an import: see layers.h. */
#include "backends/image/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The image, each layer, and an end, a line each. */
static void layers_print(const struct oci_image *image, size_t n, struct text *out)
{
	text_addf(out, "%s\n", image->manifest.digest);
	for (size_t i = 0; i < n; i++)
		text_addf(out, "%s\n", image->layers[i].digest);
	text_add(out, "end\n");
}

size_t layers_read(int dirfd, const struct oci_image *image)
{
	struct text there = TEXT_INIT, want = TEXT_INIT;
	int fd = openat(dirfd, "layers", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t n = 0;

	if (fd >= 0 && text_read_fd(&there, fd) == 0)
		for (n = image->nlayers; n > 0; n--) {
			text_clear(&want);
			layers_print(image, n, &want);
			if (!strcmp(text_str(&there), text_str(&want)))
				break;
		}
	if (fd >= 0)
		close(fd);
	text_free(&there);
	text_free(&want);
	return n;
}

int layers_write(int dirfd, const struct oci_image *image, size_t n, struct err *e)
{
	struct text text = TEXT_INIT;
	int fd = openat(dirfd, ".layers", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	int rc = fd < 0 ? -errno : 0;

	layers_print(image, n, &text);
	if (rc == 0 &&
	    (text_failed(&text) || write(fd, text_str(&text), text.len) != (ssize_t)text.len ||
	     fsync(fd) < 0 || renameat(dirfd, ".layers", dirfd, "layers") < 0 || fsync(dirfd) < 0))
		rc = errno ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
	text_free(&text);
	return rc < 0 ? err_sys(e, -rc, "import: layers") : 0;
}
