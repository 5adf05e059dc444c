/* Logs in two parts: see keptlog.h. */
#include "fs/store/keptlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/err.h"
#include "fs/store/store.h"

static void old_name(const char *name, char buf[80])
{
	snprintf(buf, 80, "%s.old", name);
}

static off_t part_size(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
		       ? st.st_size
		       : 0;
}

off_t keptlog_size(int dirfd, const char *name)
{
	char old[80];

	old_name(name, old);
	return part_size(dirfd, old) + part_size(dirfd, name);
}

static off_t part_open(int dirfd, const char *name, int *ret_fd)
{
	struct stat st;

	*ret_fd = store_open_file(dirfd, name, O_RDONLY);
	return *ret_fd >= 0 && fstat(*ret_fd, &st) == 0 ? st.st_size : 0;
}

ssize_t keptlog_read(int dirfd, const char *name, char *buf, size_t size, off_t at)
{
	ssize_t n = 0, more;
	char old_part[80];
	int old, log;
	off_t first;

	old_name(name, old_part);
	first = part_open(dirfd, old_part, &old);
	part_open(dirfd, name, &log);
	if (old >= 0 && at < first)
		n = pread(old, buf, size, at);
	if (log >= 0 && n >= 0 && (size_t)n < size) {
		more = pread(log, buf + n, size - (size_t)n, at < first ? 0 : at - first);
		n = more < 0 ? more : n + more;
	}
	if (n < 0)
		n = -err_public(errno);
	if (old >= 0)
		close(old);
	if (log >= 0)
		close(log);
	return n;
}
