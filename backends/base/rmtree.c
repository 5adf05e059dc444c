/* rmtree(): see rmtree.h. */
#include "backends/base/rmtree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A walk goes up by "..", so it counts how far it is below where it began. */
struct walk {
	int at;
	dev_t dev;
	unsigned long depth;
	int rc; /* the first that could not be removed */
};

static void walk_fail(struct walk *w, int errnum)
{
	if (!w->rc)
		w->rc = -errnum;
}

static void walk_move(struct walk *w, int fd, long step)
{
	close(w->at);
	w->at = fd;
	w->depth = (unsigned long)((long)w->depth + step);
}

static int open_dir(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Removes a file or an empty directory; a full one is entered: true. */
static bool walk_remove(struct walk *w, const char *name)
{
	struct stat st;
	int fd;

	if (unlinkat(w->at, name, 0) == 0 || errno == ENOENT)
		return false;
	if (errno != EISDIR) {
		walk_fail(w, errno);
		return false;
	}
	if (unlinkat(w->at, name, AT_REMOVEDIR) == 0)
		return false;
	if (errno != ENOTEMPTY && errno != EEXIST) {
		walk_fail(w, errno);
		return false;
	}
	fd = open_dir(w->at, name);
	if (fd < 0 && errno == EACCES && fchmodat(w->at, name, 0700, 0) == 0)
		fd = open_dir(w->at, name);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != w->dev) {
		walk_fail(w, fd < 0 ? errno : EXDEV);
		if (fd >= 0)
			close(fd);
		return false;
	}
	walk_move(w, fd, 1);
	return true;
}

/* Removes what is here; true: it has entered a directory, whose turn it is first. */
static bool walk_empty(struct walk *w)
{
	int copy = openat(w->at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	bool entered = false;

	if (!dir) {
		walk_fail(w, errno);
		if (copy >= 0)
			close(copy);
		return false;
	}
	while (!entered && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			entered = walk_remove(w, entry->d_name);
	closedir(dir);
	return entered;
}

/* Takes fd over. What cannot be removed would be met again and again, so then it ends. */
static int walk_all(int fd)
{
	struct walk w = { .at = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		walk_fail(&w, errno);
	w.dev = st.st_dev;
	while (!w.rc) {
		if (walk_empty(&w))
			continue;
		if (w.depth == 0 || w.rc)
			break;
		fd = open_dir(w.at, "..");
		if (fd < 0)
			walk_fail(&w, errno);
		else
			walk_move(&w, fd, -1);
	}
	close(w.at);
	return w.rc;
}

int rmtree_below(int dirfd)
{
	int fd = open_dir(dirfd, ".");

	return fd < 0 ? -errno : walk_all(fd);
}

int rmtree(int dirfd, const char *name)
{
	int fd, rc;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
		return 0;
	fd = open_dir(dirfd, name);
	if (fd < 0)
		return -errno;
	rc = walk_all(fd);
	return rc < 0 ? rc : unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
