/* Host paths opened as the owner: see hostpath.h; path_resolution(7). */
#include "backends/host/hostpath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backends/host/cred.h"

#define LINKS_MAX 40 /* as the kernel */

/* A way along a path: where it has got to, and what is still before it. */
struct walk {
	const struct hostpath *path;
	int at; /* O_PATH */
	struct statx st;
	char rest[PATH_MAX];
	int links;
};

static int walk_fail(const struct walk *w, int errnum, struct err *e)
{
	return err_sys(e, errnum, "%s: %s", w->path->what, w->path->path);
}

/* Of what has been opened: without asking a file system, which might be the daemon's own. */
static int look(int fd, struct statx *st)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		     STATX_TYPE | STATX_MODE | STATX_UID, st) < 0
		       ? -errno
		       : 0;
}

static bool in_proc(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static int refuse_proc(const struct walk *w, struct err *e)
{
	return err_set(e, -EACCES,
		       "%s: %s: what /proc has there is another thing to each process; name the "
		       "file itself",
		       w->path->what, w->path->path);
}

/* Takes the next name from the way; "." for slashes at the end. False: there is none. */
static bool walk_next(struct walk *w, char name[NAME_MAX + 2])
{
	size_t slashes = strspn(w->rest, "/"), len = strcspn(w->rest + slashes, "/");

	if (slashes + len == 0)
		return false;
	snprintf(name, NAME_MAX + 2, "%.*s", len ? (int)len : 1, len ? w->rest + slashes : ".");
	memmove(w->rest, w->rest + slashes + len, strlen(w->rest + slashes + len) + 1);
	return true;
}

static int walk_to(struct walk *w, int fd, struct err *e)
{
	int rc;

	if (w->at >= 0)
		close(w->at);
	w->at = fd;
	rc = fd < 0 ? -errno : look(fd, &w->st);
	if (rc < 0)
		return walk_fail(w, -rc, e);
	if (w->path->avoid && makedev(w->st.stx_dev_major, w->st.stx_dev_minor) == w->path->avoid)
		return err_set(e, -EINVAL, "%s: %s is in machinefs's own tree", w->path->what,
			       w->path->path);
	return 0;
}

/* Puts the link's target before the rest of the way. Takes link over. */
static int walk_follow(struct walk *w, int link, const struct statx *st, struct err *e)
{
	bool shared = (w->st.stx_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH);
	char target[PATH_MAX];
	size_t left = strlen(w->rest);
	ssize_t n = readlinkat(link, "", target, sizeof(target));
	int rc = n < 0 ? walk_fail(w, errno, e) : in_proc(link) ? refuse_proc(w, e) : 0;

	close(link);
	if (rc < 0)
		return rc;
	if (shared && st->stx_uid != w->path->uid && st->stx_uid != w->st.stx_uid)
		return walk_fail(w, EACCES, e);
	if (++w->links > LINKS_MAX)
		return walk_fail(w, ELOOP, e);
	if (n == 0 || (size_t)n + left >= sizeof(w->rest))
		return walk_fail(w, n ? ENAMETOOLONG : ENOENT, e);
	memmove(w->rest + n, w->rest, left + 1);
	memcpy(w->rest, target, (size_t)n);
	return target[0] == '/' ? walk_to(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), e) : 0;
}

static int walk_step(struct walk *w, const char *name, struct err *e)
{
	/* Asked for as a directory, a place where something is mounted on demand gets it. */
	int fd = openat(w->at, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC), rc;
	struct statx st;

	if (fd < 0 && errno == ENOTDIR)
		fd = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return walk_fail(w, errno, e);
	rc = look(fd, &st);
	if (rc == 0 && S_ISLNK(st.stx_mode))
		return walk_follow(w, fd, &st, e);
	return walk_to(w, fd, e);
}

static int walk_all(struct walk *w, struct err *e)
{
	char name[NAME_MAX + 2]; /* one too long is cut, and still too long */
	int rc;

	if (snprintf(w->rest, sizeof(w->rest), "%s", w->path->path) >= (int)sizeof(w->rest))
		return walk_fail(w, ENAMETOOLONG, e);
	rc = walk_to(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), e);
	while (rc == 0 && walk_next(w, name))
		rc = walk_step(w, name, e);
	return rc == 0 && in_proc(w->at) ? refuse_proc(w, e) : rc;
}

/* What each kind may lead to, and how it is opened. */
static const struct ending_place {
	bool regular, directory, block, character;
	bool stream; /* FIFOs, and of character devices those that nothing comes of by opening them
		      */
	int flags;   /* of open(2); O_PATH: of what the owner may access(2) as the next says */
	int access;  /* R_OK and the like */
	const char *what;
} ends[HOSTPATH_KINDS] = {
	[HOSTPATH_FILE] = { .regular = true, .flags = O_RDONLY, .what = "a regular file" },
	[HOSTPATH_DIRECTORY] = { .directory = true, .flags = O_PATH, .what = "a directory" },
	[HOSTPATH_DISK] = { .regular = true,
			    .block = true,
			    .flags = O_RDWR,
			    .what = "a regular file or a block device" },
	[HOSTPATH_DISK_READONLY] = { .regular = true,
				     .block = true,
				     .flags = O_RDONLY,
				     .what = "a regular file or a block device" },
	[HOSTPATH_ANY] = { .regular = true,
			   .directory = true,
			   .flags = O_PATH,
			   .access = R_OK,
			   .what = "a directory or a regular file" },
	[HOSTPATH_NODE] = { .block = true,
			    .character = true,
			    .flags = O_PATH,
			    .access = R_OK | W_OK,
			    .what = "a device" },
	[HOSTPATH_SOURCE] = { .regular = true,
			      .stream = true,
			      .flags = O_PATH,
			      .access = R_OK,
			      .what = "a FIFO, a regular file, a terminal or /dev/null" },
	[HOSTPATH_SINK] = { .regular = true,
			    .stream = true,
			    .flags = O_PATH,
			    .access = W_OK,
			    .what = "a FIFO, a regular file, a terminal or /dev/null" },
};

/* A pty's slave, or /dev/null: Documentation/admin-guide/devices.txt. */
static bool is_stream(const struct statx *st)
{
	return S_ISFIFO(st->stx_mode) ||
	       (S_ISCHR(st->stx_mode) &&
		((st->stx_rdev_major >= 136 && st->stx_rdev_major <= 143) ||
		 (st->stx_rdev_major == 1 && st->stx_rdev_minor == 3)));
}

static bool place_fits(const struct ending_place *p, const struct statx *st)
{
	mode_t mode = st->stx_mode;

	return (p->stream && is_stream(st)) || (p->regular && S_ISREG(mode)) ||
	       (p->directory && S_ISDIR(mode)) || (p->block && S_ISBLK(mode)) ||
	       (p->character && S_ISCHR(mode));
}

static const char *type_name(mode_t mode)
{
	return S_ISDIR(mode)	? "a directory"
	       : S_ISREG(mode)	? "a regular file"
	       : S_ISBLK(mode)	? "a block device"
	       : S_ISCHR(mode)	? "a character device"
	       : S_ISFIFO(mode) ? "a pipe"
				: "a socket";
}

/* Where the way has led, as what is wanted. */
static int walk_end(struct walk *w, int *ret_fd, struct err *e)
{
	const struct ending_place *place = &ends[w->path->kind];
	char self[64];

	if (!place_fits(place, &w->st))
		return err_set(e, -EINVAL, "%s: %s is %s, not %s", w->path->what, w->path->path,
			       type_name(w->st.stx_mode), place->what);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", w->at);
	if (place->flags & O_PATH) {
		if (place->access && faccessat(AT_FDCWD, self, place->access, AT_EACCESS) < 0)
			return walk_fail(w, errno, e);
		*ret_fd = S_ISDIR(w->st.stx_mode)
				  ? openat(w->at, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)
				  : fcntl(w->at, F_DUPFD_CLOEXEC, 3);
	} else {
		*ret_fd = open(self, place->flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	}
	return *ret_fd < 0 ? walk_fail(w, errno, e) : 0;
}

bool hostpath_only(enum hostpath_kind kind)
{
	return ends[kind].flags & O_PATH;
}

int hostpath_open(const struct hostpath *p, int *ret_fd, struct err *e)
{
	struct walk w = { .path = p, .at = -1 };
	struct cred who;
	int rc;

	if ((unsigned)p->kind >= HOSTPATH_KINDS)
		return err_set(e, -EINVAL, "%s: kind %d", p->what, (int)p->kind);
	if (p->path[0] != '/')
		return err_set(e, -EINVAL, "%s: \"%s\" is not an absolute path", p->what, p->path);
	rc = cred_find(p->uid, p->gid, &who, e);
	if (rc == 0)
		rc = cred_enter(&who, e);
	if (rc < 0)
		return err_prefix(e, "%s: ", p->what);
	rc = walk_all(&w, e);
	if (rc == 0)
		rc = walk_end(&w, ret_fd, e);
	cred_leave();
	if (w.at >= 0)
		close(w.at);
	return rc;
}
