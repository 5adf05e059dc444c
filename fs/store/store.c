/* The state directory: see store.h. */
#include "fs/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/rmtree.h"

#define LOCK_TRIES   50
#define LOCK_WAIT_US 10000

/* mkdir -p */
static int make_path(const char *dir)
{
	char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s", dir) >= sizeof(path))
		return -ENAMETOOLONG;
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int store_lock(int fd)
{
	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || tries == LOCK_TRIES)
			return -errno;
		usleep(LOCK_WAIT_US);
	}
	return 0;
}

int store_open(const char *dir, int *ret_fd, struct err *e)
{
	int rc = make_path(dir), fd;

	if (rc < 0)
		return err_sys(e, -rc, "%s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, errno, "%s", dir);
	rc = store_lock(fd);
	if (rc < 0) {
		if (rc == -EWOULDBLOCK)
			err_set(e, -EBUSY, "%s: another daemon uses it", dir);
		else
			err_sys(e, -rc, "%s", dir);
		close(fd);
		return e->code;
	}
	*ret_fd = fd;
	return 0;
}

static void store_sweep(int kind_fd, store_remove *remove, void *arg)
{
	int copy = openat(kind_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, STORE_REMOVED, strlen(STORE_REMOVED)))
			remove(arg, kind_fd, entry->d_name);
		else if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".") &&
			 strcmp(entry->d_name, ".."))
			rmtree(kind_fd, entry->d_name);
	closedir(dir);
}

int store_open_kind(int state_fd, const char *kind, store_remove *remove, void *arg, int *ret_fd,
		    struct err *e)
{
	int fd;

	if (mkdirat(state_fd, kind, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "state directory: %s", kind);
	fd = openat(state_fd, kind, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(e, errno, "state directory: %s", kind);
	store_sweep(fd, remove, arg);
	*ret_fd = fd;
	return 0;
}

/* Writes and syncs a new file; not yet its name's directory. */
static int write_new(int dirfd, const char *name, const char *data, size_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = n < 0 ? -errno : -EIO;
			break;
		}
		data += n;
		len -= (size_t)n;
	}
	if (rc == 0 && fdatasync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(dirfd, name, 0);
	return rc;
}

/* A directory in the file's place is foreign; what is written now stands for it. */
static int rename_over(int dirfd, const char *from, const char *to)
{
	if (renameat(dirfd, from, dirfd, to) == 0)
		return 0;
	if (errno != EISDIR)
		return -errno;
	rmtree(dirfd, to);
	return renameat(dirfd, from, dirfd, to) < 0 ? -errno : 0;
}

int store_write(int dirfd, const char *name, const char *data, size_t len, struct err *e)
{
	char temp[80];
	int rc;

	snprintf(temp, sizeof(temp), ".%s", name);
	rc = write_new(dirfd, temp, data, len);
	if (rc == 0) {
		rc = rename_over(dirfd, temp, name);
		if (rc < 0)
			unlinkat(dirfd, temp, 0);
	}
	if (rc == 0 && fsync(dirfd) < 0)
		rc = -errno;
	return rc < 0 ? err_sys(e, -rc, "state directory: cannot keep %s", name) : 0;
}

int store_open_file(int dirfd, const char *name, int flags)
{
	int fd = openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;
	int rc;

	if (fd < 0)
		return -errno;
	rc = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int store_read(int dirfd, const char *name, struct text *out)
{
	int fd = store_open_file(dirfd, name, O_RDONLY);
	int rc;

	if (fd < 0)
		return fd;
	rc = text_read_fd(out, fd);
	close(fd);
	return rc;
}

/* When it fails the name is the old one: what was refused has not happened. */
static int rename_durably(int fd, const char *from, const char *to)
{
	int rc;

	if (renameat2(fd, from, fd, to, RENAME_NOREPLACE) < 0)
		return -errno;
	if (fsync(fd) == 0)
		return 0;
	rc = -errno;
	renameat2(fd, to, fd, from, RENAME_NOREPLACE);
	return rc;
}

int store_make(int kind_fd, const char *name, const struct text *meta, const char *file,
	       const struct text *config, int *ret_fd, struct err *e)
{
	char temp[80];
	int fd = -1, rc = 0;

	snprintf(temp, sizeof(temp), ".%s", name);
	rmtree(kind_fd, temp); /* of an earlier failure */
	if (mkdirat(kind_fd, temp, 0700) < 0)
		rc = -errno;
	if (rc == 0) {
		fd = openat(kind_fd, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		rc = fd < 0 ? -errno : 0;
	}
	if (rc == 0)
		rc = write_new(fd, "meta", text_str(meta), meta->len);
	if (rc == 0)
		rc = write_new(fd, file, text_str(config), config->len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (rc == 0)
		rc = rename_durably(kind_fd, temp, name);
	if (rc == 0) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	rmtree(kind_fd, temp);
	return err_sys(e, -rc, "state directory: cannot keep %s", name);
}

int store_hide(int kind_fd, const char *name, const char *hidden, struct err *e)
{
	int rc = rename_durably(kind_fd, name, hidden);

	return rc < 0 && rc != -ENOENT ? err_sys(e, -rc, "state directory: cannot remove %s", name)
				       : 0;
}

int store_rename(int kind_fd, const char *from, const char *to, struct err *e)
{
	int rc = rename_durably(kind_fd, from, to);

	return rc < 0 ? err_sys(e, -rc, "state directory: cannot rename %s", from) : 0;
}
