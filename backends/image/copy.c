/* copy_tree(): see copy.h. */
#include "backends/image/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_MAX 65536

/* A file that has other names as well. */
struct linked {
	ino_t ino;
	char *path;
};

struct copy {
	struct source *source;
	struct tree *tree; /* NULL: only count */
	dev_t dev;
	void *linked; /* tsearch tree of struct linked */
	uint64_t bytes;
	char path[PATH_MAX]; /* of what is being copied */
	char buffer[BLOB_CHUNK];
};

static int fail(const struct copy *c, int errnum, struct err *e)
{
	return err_sys(e, errnum, "source: %.200s", c->path);
}

/* Opened as the owner, whatever this process may. */
static int open_as_owner(const struct copy *c, int dir, const char *name, int flags)
{
	int fd, rc = cred_enter(&c->source->owner, NULL);

	if (rc < 0)
		return rc;
	fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	rc = fd < 0 ? -errno : fd;
	cred_leave();
	return rc;
}

static void give_xattrs(struct tree *t, int to, void *arg)
{
	char names[4096], *value = malloc(XATTR_MAX);
	int from = *(int *)arg;
	ssize_t n = value ? flistxattr(from, names, sizeof(names)) : 0, size;

	for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		size = fgetxattr(from, p, value, XATTR_MAX);
		if (size >= 0)
			tree_xattr(t, to, p, value, (size_t)size);
	}
	free(value);
}

/* ---- names of one file ---- */

static int by_ino(const void *a, const void *b)
{
	ino_t x = ((const struct linked *)a)->ino, y = ((const struct linked *)b)->ino;

	return x < y ? -1 : x > y;
}

/* The name under which this inode was copied, or NULL: this is the first one. */
static int find_linked(struct copy *c, const struct stat *st, const char **ret)
{
	struct linked key = { .ino = st->st_ino }, *new, **found;

	*ret = NULL;
	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	found = tfind(&key, &c->linked, by_ino);
	if (found) {
		*ret = (*found)->path;
		return 0;
	}
	new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->ino = st->st_ino;
	new->path = strdup(c->path);
	if (!new->path || !tsearch(new, &c->linked, by_ino)) {
		free(new->path);
		free(new);
		return -ENOMEM;
	}
	return 0;
}

static void linked_free(void *p)
{
	struct linked *l = p;

	free(l->path);
	free(l);
}

/* ---- copying ---- */

static int copy_data(struct copy *c, int from, int to, const struct tree_entry *entry,
		     struct err *e)
{
	off_t at = 0;
	int rc = 0;

	while (rc == 0) {
		off_t data = lseek(from, at, SEEK_DATA);
		ssize_t n;

		if (data < 0 && errno == ENXIO)
			return 0;
		at = data > at ? data : at;
		n = pread(from, c->buffer, sizeof(c->buffer), at);
		if (n < 0)
			return fail(c, errno, e);
		/* It may grow meanwhile: what is copied is what it was. */
		if (n == 0 || (uint64_t)at >= entry->size)
			return 0;
		if ((uint64_t)(at + n) > entry->size)
			n = (ssize_t)(entry->size - (uint64_t)at);
		rc = tree_write(c->tree, to, entry, c->buffer, (size_t)n, (uint64_t)at, e);
		if (c->source->done)
			atomic_fetch_add_explicit(c->source->done, (uint64_t)n,
						  memory_order_relaxed);
		at += n;
	}
	return rc;
}

/* from: the entry itself, open, if it is a file or directory. */
static int copy_entry(struct copy *c, const struct stat *st, int from, const char *target,
		      struct err *e)
{
	struct tree_entry entry = {
		.path = c->path,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime = st->st_mtim,
		.target = target,
		.size = (uint64_t)st->st_size,
		.xattrs = from >= 0 ? give_xattrs : NULL,
		.arg = &from,
	};
	int to, rc = find_linked(c, st, &entry.same), closed;

	if (rc < 0)
		return fail(c, -rc, e);
	rc = tree_add(c->tree, &entry, &to, e);
	if (rc < 0)
		return rc;
	if (to >= 0 && S_ISREG(st->st_mode))
		rc = copy_data(c, from, to, &entry, e);
	closed = tree_close(c->tree, to, &entry, rc < 0 ? NULL : e);
	return rc < 0 ? rc : closed;
}

static int copy_directory(struct copy *c, int fd, size_t len, int depth, struct err *e);

/* Takes fd over. */
static int count_or_copy(struct copy *c, const struct stat *st, int fd, const char *target,
			 size_t len, int depth, struct err *e)
{
	int rc = 0;

	if (c->tree)
		rc = copy_entry(c, st, fd, target, e);
	else if (S_ISREG(st->st_mode))
		c->bytes += (uint64_t)st->st_size;
	if (rc == 0 && S_ISDIR(st->st_mode) && fd >= 0 && st->st_dev == c->dev)
		return copy_directory(c, fd, len, depth + 1, e);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int copy_name(struct copy *c, int dir, const char *name, size_t len, int depth,
		     struct err *e)
{
	size_t room = sizeof(c->path) - len, more = strlen(name);
	char target[PATH_MAX];
	struct stat st;
	ssize_t n = 0;
	int fd = -1;

	if (more + 2 > room)
		return fail(c, ENAMETOOLONG, e);
	if (len)
		c->path[len++] = '/';
	memcpy(c->path + len, name, more + 1);
	len += more;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(c, errno, e);
	if (S_ISLNK(st.st_mode) && (n = readlinkat(dir, name, target, sizeof(target) - 1)) < 0)
		return fail(c, errno, e);
	target[n] = '\0';
	if ((S_ISREG(st.st_mode) && c->tree) || S_ISDIR(st.st_mode)) {
		fd = open_as_owner(c, dir, name, O_RDONLY);
		if (fd < 0)
			return c->tree ? fail(c, -fd, e) : 0;
		/* Another one may have come into its place. */
		if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
			close(fd);
			return fail(c, EBUSY, e);
		}
	}
	return count_or_copy(c, &st, fd, S_ISLNK(st.st_mode) ? target : NULL, len, depth, e);
}

/* Takes fd over. len: of c->path, which is this directory's. */
static int copy_directory(struct copy *c, int fd, size_t len, int depth, struct err *e)
{
	DIR *dir = depth > TREE_DEPTH_MAX ? NULL : fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		close(fd);
		return depth > TREE_DEPTH_MAX
			       ? err_set(e, -EINVAL, "source: %.200s is too deep", c->path)
			       : fail(c, errno, e);
	}
	while (rc == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = copy_name(c, fd, entry->d_name, len, depth, e);
		c->path[len] = '\0';
	}
	closedir(dir);
	return rc;
}

static int copy_run(struct source *s, struct tree *t, uint64_t *ret_bytes, struct err *e)
{
	struct copy *c = calloc(1, sizeof(*c));
	struct stat st;
	int fd, rc;

	if (!c)
		return err_sys(e, ENOMEM, "source");
	c->source = s;
	c->tree = t;
	fd = open_as_owner(c, s->fd, ".", O_RDONLY | O_DIRECTORY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = err_sys(e, fd < 0 ? -fd : errno, "source");
	} else {
		c->dev = st.st_dev;
		rc = count_or_copy(c, &st, fd, NULL, 0, -1, e);
		fd = -1;
	}
	if (fd >= 0)
		close(fd);
	if (ret_bytes)
		*ret_bytes = c->bytes;
	tdestroy(c->linked, linked_free);
	free(c);
	return rc;
}

int copy_tree(struct source *s, struct tree *t, struct err *e)
{
	return copy_run(s, t, NULL, e);
}

uint64_t copy_size(struct source *s)
{
	uint64_t bytes = 0;

	copy_run(s, NULL, &bytes, NULL);
	return bytes;
}
