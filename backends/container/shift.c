/* The files of an image given away: see shift.h; the kernel's overlayfs documentation, "metacopy".
 */
#include "backends/container/shift.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backends/base/rmtree.h"
#include "backends/base/text.h"
#include "backends/container/door.h"
#include "backends/container/mountfd.h"

#define NOBODY	   65534
#define LEVELS_MAX 256 /* as an image that was unpacked */
#define CAPABILITY "security.capability"

unsigned shift_id(const char *map, unsigned id)
{
	unsigned outside;

	return usermap_outside(map, id, &outside) ? outside : NOBODY;
}

/* ---- the overlay ---- */

struct overlay {
	int lower, below; /* the image's mount; the directory of all that is the overlay's */
	int mnt, errnum;
};

/*
 * In a mount namespace that ends with this process: what an overlay is made of must have a place in
 * that of who makes it. The working directory moves along into it.
 */
static int overlay_main(void *arg)
{
	static const struct mount_option options[] = { { "lowerdir", "lower" },
						       { "upperdir", "upper" },
						       { "workdir", "work" },
						       { "metacopy", "on" } };
	struct overlay *o = arg;
	int place = -1;

	if (fchdir(o->below) == 0 && unshare(CLONE_NEWNS) == 0 &&
	    syscall(SYS_mount, NULL, "/", NULL, 1 << 14 | 1 << 18, NULL) == 0) // REC | PRIVATE
		place = mountfd_open(AT_FDCWD, "lower", 0);
	if (place >= 0 && mountfd_place(o->lower, place) == 0)
		o->mnt = mountfd_new("overlay", "overlay", options, 4, MOUNT_ATTR_NODEV);
	o->errnum = errno;
	if (place >= 0)
		close(place);
	return 0;
}

static int overlay_new(int lower, int below, struct err *e)
{
	struct overlay o = { .lower = lower, .below = below, .mnt = -1, .errnum = EIO };
	int r = door_open(overlay_main, &o);

	if (r < 0)
		return err_sys(e, -r, "root: an overlay that gives the image's files away");
	if (o.mnt < 0)
		return err_set(e, -ENXIO,
			       "root: in a user namespace an image needs a file system that can be "
			       "mounted with its map, which this one cannot be by this kernel, or "
			       "below an overlay that gives its files away: %s",
			       strerror(o.errnum));
	return o.mnt;
}

/* ---- its files ---- */

struct walk {
	const char *uids, *gids;
	char path[1024]; /* of the latest file, as far as it fits; for a sentence */
};

static int fail(const struct walk *w, int errnum, struct err *e)
{
	return err_sys(e, errnum, "root: giving the image's file %s to its owner", w->path);
}

/*
 * What a program may do by its file is taken from it when it is given away. It is given back as
 * what it means inside: the namespace's root is in it from then on.
 */
static void keep_capability(const struct walk *w, const char *file, const void *value, ssize_t size)
{
	struct vfs_ns_cap_data cap = { 0 };

	if (size < (ssize_t)sizeof(struct vfs_cap_data) || size > (ssize_t)sizeof(cap))
		return;
	memcpy(&cap, value, sizeof(struct vfs_cap_data));
	cap.magic_etc =
		htole32(VFS_CAP_REVISION_3 | (le32toh(cap.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE));
	cap.rootid = htole32(shift_id(w->uids, 0));
	setxattr(file, CAPABILITY, &cap, sizeof(cap), 0);
}

static int give(const struct walk *w, int dir, const char *name, const struct stat *st,
		struct err *e)
{
	uid_t uid = shift_id(w->uids, st->st_uid);
	gid_t gid = shift_id(w->gids, st->st_gid);
	char value[sizeof(struct vfs_ns_cap_data)], file[64] = "";
	ssize_t size = -1;
	int fd = -1, rc = 0;

	if (S_ISREG(st->st_mode)) {
		fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return fail(w, errno, e);
		snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
		size = getxattr(file, CAPABILITY, value, sizeof(value));
	}
	if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		rc = fail(w, errno, e);
	else if (st->st_mode & (S_ISUID | S_ISGID) && !S_ISLNK(st->st_mode) &&
		 fchmodat(dir, name, st->st_mode & 07777, 0) < 0)
		rc = fail(w, errno, e);
	if (rc == 0 && size > 0)
		keep_capability(w, file, value, size);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Takes dir over: all that is in it, and in what is below. */
static int give_all(struct walk *w, int dir, int level, struct err *e)
{
	DIR *list = level < LEVELS_MAX ? fdopendir(dir) : NULL;
	size_t length = strlen(w->path);
	struct dirent *entry;
	struct stat st;
	int rc = 0, below;

	if (!list) {
		rc = level < LEVELS_MAX
			     ? fail(w, errno, e)
			     : err_set(e, -EINVAL, "root: the image is too deep: %s", w->path);
		close(dir);
		return rc;
	}
	while (rc == 0 && (entry = readdir(list))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(w->path + length, sizeof(w->path) - length, "/%s", entry->d_name);
		if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			rc = fail(w, errno, e);
		else
			rc = give(w, dir, entry->d_name, &st, e);
		if (rc == 0 && S_ISDIR(st.st_mode)) {
			below = openat(dir, entry->d_name,
				       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			rc = below < 0 ? fail(w, errno, e) : give_all(w, below, level + 1, e);
		}
		w->path[length] = '\0';
	}
	closedir(list);
	return rc;
}

static int give_tree(int mnt, const struct usermap *map, struct err *e)
{
	struct walk w = { .uids = text_str(&map->uids), .gids = text_str(&map->gids) };
	int top = openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	struct stat st;

	if (top < 0 || fstat(top, &st) < 0)
		rc = fail(&w, errno, e);
	else
		rc = give(&w, top, ".", &st, e);
	if (rc < 0) {
		if (top >= 0)
			close(top);
		return rc;
	}
	return give_all(&w, top, 0, e);
}

/* ---- once for each image and map ---- */

static int describe(int image, const struct usermap *map, struct text *out)
{
	struct stat st;

	if (fstat(image, &st) < 0)
		return -errno;
	text_addf(out, "%llx %llu %lld.%09ld\n%s-\n%s", (unsigned long long)st.st_dev,
		  (unsigned long long)st.st_ino, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec,
		  text_str(&map->uids), text_str(&map->gids));
	return text_failed(out) ? -ENOMEM : 0;
}

static bool described(int below, const struct text *ids)
{
	struct text there = TEXT_INIT;
	int fd = openat(below, "ids", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool same = fd >= 0 && text_read_fd(&there, fd) == 0 &&
		    !strcmp(text_str(&there), text_str(ids));

	if (fd >= 0)
		close(fd);
	text_free(&there);
	return same;
}

/* All that was given away is on disk before this says so. */
static int keep_description(int below, const struct text *ids)
{
	int fd = syncfs(below) < 0
			 ? -1
			 : openat(below, "ids.new",
				  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text_str(ids), ids->len) != (ssize_t)ids->len || fsync(fd) < 0 ||
	    renameat(below, "ids.new", below, "ids") < 0)
		rc = errno ? -errno : -EIO;
	close(fd);
	return rc;
}

static int open_below(int layer)
{
	return openat(layer, "below", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* What is there is of another image or map, or was left by half. */
static int make_anew(int layer, int *below)
{
	static const char *const names[] = { "lower", "upper", "work" };
	int rc;

	if (*below >= 0)
		close(*below);
	*below = -1;
	rc = rmtree(layer, "below");
	if (rc < 0)
		return rc;
	if (mkdirat(layer, "below", 0755) < 0 || (*below = open_below(layer)) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mkdirat(*below, names[i], 0755) < 0)
			return -errno;
	return 0;
}

/* The overlay's own directory has its mode of what is below it. */
static int copy_mode(int lower, int below)
{
	struct stat st;

	return fstat(lower, &st) < 0 || fchmodat(below, "upper", st.st_mode & 07777, 0) < 0 ? -errno
											    : 0;
}

int shift_mount(int image, int lower, int layer, const struct usermap *map, struct err *e)
{
	struct text ids = TEXT_INIT;
	int below = open_below(layer), rc = describe(image, map, &ids), mnt = -1;
	bool done = rc == 0 && below >= 0 && described(below, &ids);

	if (rc == 0 && !done)
		rc = make_anew(layer, &below);
	if (rc == 0 && !done)
		rc = copy_mode(lower, below);
	if (rc < 0) {
		err_sys(e, -rc, "root: what gives the image's files away");
	} else {
		mnt = overlay_new(lower, below, e);
		rc = mnt < 0 ? mnt : 0;
	}
	if (rc == 0 && !done) {
		rc = give_tree(mnt, map, e);
		if (rc == 0 && (rc = keep_description(below, &ids)) < 0)
			err_sys(e, -rc, "root: what gives the image's files away");
	}
	if (rc < 0 && mnt >= 0)
		close(mnt);
	if (below >= 0)
		close(below);
	text_free(&ids);
	return rc < 0 ? rc : mnt;
}
