/* struct tree: see tree.h; openat2(2). */
#include "backends/image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backends/base/rmtree.h"
#include "backends/host/openin.h"
#include "backends/image/inodes.h"

#define DIRS_MAX 500000 /* with modes to be set at the end: they are kept in memory */

/* A directory whose mode would hinder us, and whose time would not last, if it had them now. */
struct later {
	char *path;
	mode_t mode;
	struct timespec mtime;
};

struct tree {
	int root;
	uint64_t bytes_max, entries_max;
	struct tree_counts counts;
	struct inodes layer; /* what this layer has made */
	struct later *later;
	size_t nlater, room;
	int parent;			/* of the last entry, or -1 */
	char parent_path[PATH_MAX + 1]; /* its path */
};

int tree_new(int root, uint64_t bytes_max, uint64_t entries_max, struct tree **ret, struct err *e)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return err_sys(e, ENOMEM, "import");
	t->root = root;
	t->bytes_max = bytes_max;
	t->entries_max = entries_max;
	t->parent = -1;
	*ret = t;
	return 0;
}

static void later_free(struct tree *t)
{
	for (size_t i = 0; i < t->nlater; i++)
		free(t->later[i].path);
	t->nlater = 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	later_free(t);
	free(t->later);
	inodes_free(&t->layer);
	if (t->parent >= 0)
		close(t->parent);
	free(t);
}

struct tree_counts *tree_counts(struct tree *t)
{
	return &t->counts;
}

/* ---- names ---- */

/* Longer names are cut in sentences. */
static int refuse(const char *path, const char *why, struct err *e)
{
	return err_set(e, -EINVAL, "source: its entry \"%.200s\" %s", path, why);
}

static int fail(const char *path, int errnum, struct err *e)
{
	return err_sys(e, errnum, "source: its entry \"%.200s\"", path);
}

/*
 * "a/b/c" of "/a//./b/c/"; "" is the root itself. Control characters are fine in a file's name,
 * ".." is not, since nobody needs it who means well.
 */
static int name_clean(const char *path, char out[PATH_MAX + 1], struct err *e)
{
	size_t len = 0, part;
	int depth = 0;

	for (const char *p = path; *p; p += part) {
		p += strspn(p, "/");
		part = strcspn(p, "/");
		if (part == 0 || (part == 1 && p[0] == '.'))
			continue;
		if (part == 2 && p[0] == '.' && p[1] == '.')
			return refuse(path, "has \"..\" in its name", e);
		if (part > NAME_MAX || len + part + 2 > PATH_MAX)
			return refuse(path, "has too long a name", e);
		if (++depth > TREE_DEPTH_MAX)
			return refuse(path, "is too deep", e);
		if (len)
			out[len++] = '/';
		memcpy(out + len, p, part);
		len += part;
	}
	out[len] = '\0';
	return 0;
}

/* As in a changed root directory. */
static int open_in_root(const struct tree *t, const char *path, int flags)
{
	return open_in(t->root, *path ? path : ".", flags,
		       RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

/* Directories on the way that have no entry of their own, or not yet. */
static int make_parents(struct tree *t, char *path)
{
	for (char *p = path;; p++) {
		char kept = *p;
		int fd;

		if (kept && kept != '/')
			continue;
		*p = '\0';
		fd = open_in_root(t, path, O_PATH | O_DIRECTORY);
		if (fd < 0 && errno == ENOENT) {
			char *slash = strrchr(path, '/');
			int dir;

			if (slash)
				*slash = '\0';
			dir = open_in_root(t, slash ? path : "", O_PATH | O_DIRECTORY);
			if (slash)
				*slash = '/';
			if (dir >= 0 && mkdirat(dir, slash ? slash + 1 : path, 0755) < 0) {
				close(dir);
				return -errno;
			}
			fd = dir;
		}
		*p = kept;
		if (fd < 0)
			return -errno;
		close(fd);
		if (!kept)
			return 0;
	}
}

static void forget_parent(struct tree *t)
{
	if (t->parent >= 0)
		close(t->parent);
	t->parent = -1;
}

/*
 * The directory that clean, which is not "", is in, and the rest of the name. Kept until something
 * is removed, since archives go directory by directory. Missing ones are made if `make`.
 */
static int open_parent(struct tree *t, char *clean, bool make, const char **ret_name)
{
	char *slash = strrchr(clean, '/');
	const char *dir = slash ? clean : "";
	int fd;

	*ret_name = slash ? slash + 1 : clean;
	if (slash)
		*slash = '\0';
	if (t->parent < 0 || strcmp(t->parent_path, dir)) {
		forget_parent(t);
		fd = open_in_root(t, dir, O_PATH | O_DIRECTORY);
		if (fd < 0 && errno == ENOENT && make && make_parents(t, clean) == 0)
			fd = open_in_root(t, dir, O_PATH | O_DIRECTORY);
		t->parent = fd;
		strcpy(t->parent_path, dir);
	}
	if (slash)
		*slash = '/';
	return t->parent < 0 ? -errno : 0;
}

/* ---- making ---- */

static int note_later(struct tree *t, const char *path, const struct tree_entry *entry)
{
	struct later *l;

	if (t->nlater == t->room) {
		size_t room = t->room ? 2 * t->room : 256;
		struct later *more =
			room > DIRS_MAX * 2 ? NULL : realloc(t->later, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->later = more;
		t->room = room;
	}
	l = &t->later[t->nlater];
	l->path = strdup(path);
	l->mode = entry->mode & 07777;
	l->mtime = entry->mtime;
	return l->path ? (t->nlater++, 0) : -ENOMEM;
}

/* What is in the entry's way goes; 1: a directory that stays, since the entry is one as well. */
static int clear_way(struct tree *t, const char *name, bool directory)
{
	struct stat st;

	if (fstatat(t->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return directory && S_ISDIR(st.st_mode) ? 1 : rmtree(t->parent, name);
}

/* Its other name, which must be that of a file. */
static int make_same(struct tree *t, const struct tree_entry *entry, const char *name,
		     struct err *e)
{
	char clean[PATH_MAX + 1], *slash;
	const char *base;
	struct stat st;
	int dir, rc = name_clean(entry->same, clean, e);

	if (rc < 0)
		return rc;
	if (!*clean)
		return refuse(entry->path, "is a hard link to a directory", e);
	slash = strrchr(clean, '/');
	base = slash ? slash + 1 : clean;
	if (slash)
		*slash = '\0';
	dir = open_in_root(t, slash ? clean : "", O_PATH | O_DIRECTORY);
	if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		rc = refuse(entry->path, "is a hard link to what is not there", e);
	else if (S_ISDIR(st.st_mode))
		rc = refuse(entry->path, "is a hard link to a directory", e);
	else if (linkat(dir, base, t->parent, name, 0) < 0)
		rc = fail(entry->path, errno, e);
	if (dir >= 0)
		close(dir);
	return rc;
}

static int keep_owner(struct tree *t, const char *name, const struct tree_entry *entry)
{
	if (fchownat(t->parent, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM && errno != EINVAL)
		return -errno;
	t->counts.owners++;
	return 0;
}

static int make_symlink(struct tree *t, const struct tree_entry *entry, const char *name)
{
	const struct timespec times[2] = { entry->mtime, entry->mtime };
	int rc;

	if (symlinkat(entry->target, t->parent, name) < 0)
		return -errno;
	rc = keep_owner(t, name, entry);
	utimensat(t->parent, name, times, AT_SYMLINK_NOFOLLOW);
	return rc;
}

static int make_fifo(struct tree *t, const struct tree_entry *entry, const char *name)
{
	int rc;

	if (mkfifoat(t->parent, name, 0600) < 0)
		return -errno;
	rc = keep_owner(t, name, entry);
	return rc < 0 || fchmodat(t->parent, name, entry->mode & 07777, 0) == 0 ? rc : -errno;
}

static int make_directory(struct tree *t, const char *clean, const struct tree_entry *entry,
			  const char *name, bool there, int *ret_fd)
{
	int rc;

	if (!there && mkdirat(t->parent, name, 0700) < 0)
		return -errno;
	rc = note_later(t, clean, entry);
	if (rc == 0)
		rc = keep_owner(t, name, entry);
	if (rc < 0)
		return rc;
	*ret_fd = openat(t->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* The root itself has owner, mode and time, too. */
static int add_root(struct tree *t, const struct tree_entry *entry, int *ret_fd, struct err *e)
{
	if (!S_ISDIR(entry->mode) || entry->same)
		return refuse(entry->path, "has no name", e);
	if (fchown(t->root, entry->uid, entry->gid) < 0)
		t->counts.owners++;
	if (note_later(t, "", entry) < 0)
		return fail(entry->path, ENOMEM, e);
	*ret_fd = openat(t->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? fail(entry->path, errno, e) : 0;
}

static bool left_out(const struct tree_entry *entry)
{
	return !entry->same &&
	       (S_ISCHR(entry->mode) || S_ISBLK(entry->mode) || S_ISSOCK(entry->mode));
}

static int make_entry(struct tree *t, const char *clean, const struct tree_entry *entry,
		      const char *name, int *ret_fd, struct err *e)
{
	int rc = clear_way(t, name, S_ISDIR(entry->mode) && !entry->same);

	if (rc < 0)
		return fail(entry->path, -rc, e);
	if (entry->same)
		return make_same(t, entry, name, e);
	switch (entry->mode & S_IFMT) {
	case S_IFDIR:
		rc = make_directory(t, clean, entry, name, rc == 1, ret_fd);
		break;
	case S_IFLNK:
		rc = entry->target && *entry->target ? make_symlink(t, entry, name) : -EINVAL;
		break;
	case S_IFIFO:
		rc = make_fifo(t, entry, name);
		break;
	case S_IFREG:
		*ret_fd = openat(t->parent, name,
				 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		rc = *ret_fd < 0 ? -errno : 0;
		break;
	default:
		return refuse(entry->path, "is of no known type", e);
	}
	return rc < 0 ? fail(entry->path, -rc, e) : 0;
}

/* Of what was made: what an opaque whiteout in the same layer leaves alone. */
static int note_made(struct tree *t, const char *name)
{
	struct stat st;

	if (fstatat(t->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return inodes_add(&t->layer, st.st_ino);
}

int tree_add(struct tree *t, const struct tree_entry *entry, int *ret_fd, struct err *e)
{
	char clean[PATH_MAX + 1];
	const char *name;
	int rc = name_clean(entry->path, clean, e);

	*ret_fd = -1;
	if (rc < 0)
		return rc;
	if (++t->counts.entries > t->entries_max)
		return err_set(e, -ENOSPC, "source: more than %llu entries",
			       (unsigned long long)t->entries_max);
	if (left_out(entry)) {
		t->counts.devices++;
		return 0;
	}
	if (!*clean)
		return add_root(t, entry, ret_fd, e);
	rc = open_parent(t, clean, true, &name);
	if (rc < 0)
		return fail(entry->path, -rc, e);
	rc = make_entry(t, clean, entry, name, ret_fd, e);
	if (rc == 0 && note_made(t, name) < 0)
		rc = fail(entry->path, ENOMEM, e);
	if (rc < 0 && *ret_fd >= 0) {
		close(*ret_fd);
		*ret_fd = -1;
	}
	return rc;
}

int tree_write(struct tree *t, int fd, const struct tree_entry *entry, const void *data, size_t len,
	       uint64_t at, struct err *e)
{
	const char *p = data;

	if (len > t->bytes_max - t->counts.bytes)
		return err_set(e, -ENOSPC, "size.max: the image has more than %llu bytes",
			       (unsigned long long)t->bytes_max);
	t->counts.bytes += len;
	while (len > 0) {
		ssize_t n = at > INT64_MAX ? (errno = EFBIG, -1) : pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(entry->path, n < 0 ? errno : EIO, e);
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* What only the image's own programs read, and what a program may do when it is executed. */
bool tree_xattr_taken(const char *name)
{
	static const char user[] = "user.", overlay[] = "user.overlay.";

	if (!strcmp(name, "security.capability"))
		return true;
	return !strncmp(name, user, sizeof(user) - 1) &&
	       strncmp(name, overlay, sizeof(overlay) - 1);
}

void tree_xattr(struct tree *t, int fd, const char *name, const void *value, size_t size)
{
	if (!tree_xattr_taken(name) || fsetxattr(fd, name, value, size, 0) < 0)
		t->counts.xattrs++;
}

static int close_file(struct tree *t, int fd, const struct tree_entry *entry)
{
	const struct timespec times[2] = { entry->mtime, entry->mtime };

	if (entry->size > INT64_MAX || ftruncate(fd, (off_t)entry->size) < 0)
		return entry->size > INT64_MAX ? -EFBIG : -errno;
	if (fchown(fd, entry->uid, entry->gid) < 0) {
		if (errno != EPERM && errno != EINVAL)
			return -errno;
		t->counts.owners++;
	}
	if (fchmod(fd, entry->mode & 07777) < 0)
		return -errno;
	if (entry->xattrs)
		entry->xattrs(t, fd, entry->arg);
	return futimens(fd, times) < 0 ? -errno : 0;
}

int tree_close(struct tree *t, int fd, const struct tree_entry *entry, struct err *e)
{
	int rc = 0;

	if (fd < 0)
		return 0;
	if (S_ISREG(entry->mode))
		rc = close_file(t, fd, entry);
	else if (entry->xattrs)
		entry->xattrs(t, fd, entry->arg);
	close(fd);
	return rc < 0 ? fail(entry->path, -rc, e) : 0;
}

/* ---- whiteouts ---- */

int tree_whiteout(struct tree *t, const char *path, struct err *e)
{
	char clean[PATH_MAX + 1];
	const char *name;
	int rc = name_clean(path, clean, e);

	if (rc < 0)
		return rc;
	if (!*clean)
		return refuse(path, "hides the root", e);
	rc = open_parent(t, clean, false, &name);
	if (rc == 0)
		rc = rmtree(t->parent, name);
	forget_parent(t);
	/* What is not there is hidden already. */
	return rc < 0 && rc != -ENOENT && rc != -ENOTDIR ? fail(path, -rc, e) : 0;
}

static int hide_below(struct tree *t, int fd, int depth);

static int hide_one(struct tree *t, int dir, const char *name, int depth)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!inodes_has(&t->layer, st.st_ino))
		return rmtree(dir, name);
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : hide_below(t, fd, depth + 1);
}

/* Removes what other layers have put there. Takes fd over. */
static int hide_below(struct tree *t, int fd, int depth)
{
	DIR *dir = depth > TREE_DEPTH_MAX ? NULL : fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = hide_one(t, fd, entry->d_name, depth);
	closedir(dir);
	return rc;
}

int tree_opaque(struct tree *t, const char *path, struct err *e)
{
	char clean[PATH_MAX + 1];
	int fd, rc = name_clean(path, clean, e);

	if (rc < 0)
		return rc;
	fd = open_in_root(t, clean, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : fail(path, errno, e);
	rc = hide_below(t, fd, 0);
	forget_parent(t);
	return rc < 0 ? fail(path, -rc, e) : 0;
}

/* ---- the end ---- */

static int settle_one(const struct tree *t, const struct later *l)
{
	const struct timespec times[2] = { l->mtime, l->mtime };
	int fd = open_in_root(t, l->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), rc = 0;

	/* Another entry may have come into its place. */
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	if (fchmod(fd, l->mode) < 0 || futimens(fd, times) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int tree_settle(struct tree *t, struct err *e)
{
	int rc = 0;

	/* Backwards: a mode without x, or w, for us may close the way to what is below. */
	for (size_t i = t->nlater; rc == 0 && i-- > 0;) {
		rc = settle_one(t, &t->later[i]);
		if (rc < 0)
			fail(t->later[i].path, -rc, e);
	}
	later_free(t);
	inodes_free(&t->layer);
	if (rc == 0 && syncfs(t->root) < 0)
		rc = err_sys(e, errno, "import: the state directory");
	return rc < 0 ? e->code : 0;
}

static int count_below(struct tree *t, int fd, int depth)
{
	DIR *dir = depth > TREE_DEPTH_MAX ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;
	int rc = 0;

	if (!dir) {
		close(fd);
		return -EIO;
	}
	while (rc == 0 && (entry = readdir(dir))) {
		int sub;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			rc = -errno;
		t->counts.entries++;
		if (rc == 0 && S_ISREG(st.st_mode))
			t->counts.bytes += (uint64_t)st.st_blocks * 512 < (uint64_t)st.st_size
						   ? (uint64_t)st.st_blocks * 512
						   : (uint64_t)st.st_size;
		if (rc < 0 || !S_ISDIR(st.st_mode))
			continue;
		sub = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		rc = sub < 0 ? -errno : count_below(t, sub, depth + 1);
	}
	closedir(dir);
	return rc;
}

int tree_recount(struct tree *t, struct err *e)
{
	int fd = openat(t->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	t->counts.bytes = t->counts.entries = 0;
	rc = fd < 0 ? -errno : count_below(t, fd, 0);
	if (rc == 0 && t->counts.bytes > t->bytes_max)
		return err_set(e, -ENOSPC, "size.max: the image has more than %llu bytes",
			       (unsigned long long)t->bytes_max);
	return rc < 0 ? err_sys(e, -rc, "import: what is there already") : 0;
}
