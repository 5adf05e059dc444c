/* Files of the tree: see oci.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "examples/oci/oci.h"

const char *tree_path(char *buf, const char *dir, const char *file)
{
	snprintf(buf, PATH_MAX, "%s/%s", dir, file);
	return buf;
}

/* What the handle reads back after a refusal is "ERRNO sentence". */
static int tree_refusal(int fd, const char *file, int errnum, struct err *e)
{
	char text[sizeof(e->text)];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	const char *sentence;

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	sentence = strchr(text, ' ');
	if (n <= 0 || text[0] != 'E' || !sentence)
		return err_sys(e, errnum, "%s", file);
	return err_set(e, -err_public(errnum), "%s", sentence + 1);
}

int tree_write(const char *dir, const char *file, const char *text, struct err *e)
{
	char path[PATH_MAX];
	size_t len = strlen(text);
	int fd = open(tree_path(path, dir, file), O_RDWR | O_CLOEXEC), rc = 0;

	if (fd < 0 && errno == EACCES)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	if (write(fd, text, len) != (ssize_t)len)
		rc = tree_refusal(fd, file, errno, e);
	if (close(fd) < 0 && rc == 0)
		rc = err_sys(e, errno, "%s", file);
	return rc;
}

int tree_writef(const char *dir, const char *file, struct err *e, const char *fmt, ...)
{
	struct text text = TEXT_INIT;
	char line[PATH_MAX + 256];
	va_list args;
	int n, rc;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line))
		return err_set(e, -EINVAL, "%s: too long", file);
	text_add(&text, line);
	text_add(&text, "\n");
	rc = tree_write(dir, file, text_str(&text), e);
	text_free(&text);
	return rc;
}

int tree_read(const char *dir, const char *file, struct text *out, struct err *e)
{
	char path[PATH_MAX];
	int fd = open(tree_path(path, dir, file), O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_sys(e, errno, "%s", path);
	rc = text_read_fd(out, fd);
	close(fd);
	if (rc < 0)
		return err_sys(e, -rc, "%s", path);
	if (out->len && out->data[out->len - 1] == '\n')
		text_cut(out, out->len - 1);
	return text_failed(out) ? err_sys(e, ENOMEM, "%s", path) : 0;
}
