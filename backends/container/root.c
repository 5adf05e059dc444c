/* A container's root made of mounts: see root.h; the kernel's overlayfs documentation. */
#include "backends/container/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/container/loopdev.h"
#include "backends/container/mountfd.h"
#include "backends/container/quota.h"
#include "backends/container/report.h"
#include "backends/container/shift.h"
#include "backends/container/userquota.h"

/* In a layer: its files have the owners that they have outside of the user namespace, by this map.
 */
#define OUTSIDE "outside"

/* ---- the monitor's side ---- */

static bool mapped(const struct plan *p)
{
	return p->image && p->namespaces & NS_USER;
}

/* 1: mounted with the map; 0: this file system, or this kernel, cannot. */
static int map(int mnt, int userns, const char *what, struct err *e)
{
	if (mountfd_map(mnt, userns) == 0)
		return 1;
	if (errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)
		return 0;
	return err_sys(e, errno, "root: mounting %s with the map of users", what);
}

/* The file's loop device goes with its mount. */
static int mount_file(int file, struct err *e)
{
	char head[4] = "", device[32];
	int loop, mnt = -1, rc;

	rc = loopdev_attach(file, true, device, &loop, e);
	if (rc < 0)
		return err_prefix(e, "root: ");
	if (pread(file, head, sizeof(head), 0) == sizeof(head))
		mnt = mountfd_new(memcmp(head, "hsqs", 4) ? "erofs" : "squashfs", device,
				  (struct mount_option[]){ { "ro", NULL } }, 1,
				  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	rc = mnt < 0 ? err_set(e, errno == ENODEV ? -ENXIO : -EIO,
			       "root: this kernel cannot mount the image: %s", strerror(errno))
		     : mnt;
	close(loop);
	return rc;
}

/* Takes mnt over, and gives another in its place where that cannot have the map. */
static int map_lower(const struct plan *p, int mnt, int userns, struct err *e)
{
	int rc = map(mnt, userns, "an image", e);

	if (rc == 0)
		rc = shift_mount(p->root, mnt, p->layer, &p->map, e);
	else if (rc == 1)
		return mnt;
	close(mnt);
	return rc;
}

static int mount_lower(const struct plan *p, int userns, struct err *e)
{
	struct stat st;
	int mnt, rc;

	if (fstat(p->root, &st) == 0 && S_ISREG(st.st_mode))
		mnt = mount_file(p->root, e);
	else if ((mnt = mountfd_copy(p->root, "", false)) < 0)
		mnt = err_sys(e, errno, "root");
	if (mnt >= 0 && mapped(p))
		mnt = map_lower(p, mnt, userns, e);
	if (mnt < 0)
		return mnt;
	if (mountfd_restrict(mnt, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, false) == 0)
		return mnt;
	rc = err_sys(e, errno, "root: read-only");
	close(mnt);
	return rc;
}

/* Who is on disk whom inside? */
static uid_t id_on_disk(const char *map, uid_t id)
{
	return map ? shift_id(map, id) : id;
}

/* An overlay's root has the owner and mode of its upper directory. */
static int make_upper(int layer, const struct stat *st)
{
	int fd, rc = 0;

	/* By another name first: one that was left by half is none. */
	if (faccessat(layer, "upper", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (mkdirat(layer, "upper.new", 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(layer, "upper.new", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fchown(fd, st->st_uid, st->st_gid) < 0 ||
	    fchmod(fd, st->st_mode & 07777) < 0 || renameat(layer, "upper.new", layer, "upper") < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int make_layer(const struct plan *p, const struct layer *l, struct err *e)
{
	struct stat st = { 0 };
	int rc = fstat(p->root, &st) < 0 ? -errno : 0;

	/* Of a file system's file it is enough to be the usual. */
	if (rc == 0 && !S_ISDIR(st.st_mode))
		st = (struct stat){ .st_mode = S_IFDIR | 0755 };
	/* A directory's files are whose they are; an image's have the owners that they have inside.
	 */
	if (p->image) {
		st.st_uid = id_on_disk(l->uids, st.st_uid);
		st.st_gid = id_on_disk(l->gids, st.st_gid);
	}
	if (rc == 0)
		rc = make_upper(l->dir, &st);
	if (rc == 0 && p->config->quota_delegate && mkdirat(l->dir, "quota", 0555) < 0 &&
	    errno != EEXIST)
		rc = -errno;
	if (rc == 0 && ((mkdirat(l->dir, "lower", 0755) < 0 && errno != EEXIST) ||
			(mkdirat(l->dir, "work", 0755) < 0 && errno != EEXIST) ||
			fchownat(l->dir, "work", id_on_disk(l->uids, 0), id_on_disk(l->gids, 0),
				 AT_SYMLINK_NOFOLLOW) < 0))
		rc = -errno;
	return rc < 0 ? err_sys(e, -rc, "root.writable: the container's layer") : 0;
}

/* Those who have something there stay the same, also where root inside would be another by now. */
static int outside_begin(const struct layer *l, const struct text *ids, struct err *e)
{
	int fd = openat(l->dir, OUTSIDE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	int rc = 0;

	if (fd < 0 || write(fd, text_str(ids), ids->len) != (ssize_t)ids->len || fsync(fd) < 0)
		rc = err_sys(e, errno ? errno : EIO, "root.writable: the container's layer");
	if (fd >= 0)
		close(fd);
	return rc;
}

static int outside_check(int fd, const struct text *ids, struct err *e)
{
	struct text there = TEXT_INIT;
	int rc = text_read_fd(&there, fd);

	if (rc < 0)
		err_sys(e, -rc, "root.writable: the container's layer");
	else if (strcmp(text_str(&there), text_str(ids)))
		rc = err_set(
			e, -EBUSY,
			"user.map: what the container has written belongs to the users of the "
			"map that it had, and this file system cannot be mounted with another");
	text_free(&there);
	return rc;
}

static bool written(const struct layer *l)
{
	return faccessat(l->dir, "upper", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int no_map(struct err *e)
{
	return err_set(e, -ENXIO,
		       "root: what the container has written is to be mounted with the map of its "
		       "user namespace, which this file system cannot be by this kernel");
}

/* Tried out on a copy: by a mount that has the map nothing can be made for it. */
static int can_map(const struct layer *l, int userns, struct err *e)
{
	int mnt, rc;

	if (l->disk >= 0) /* ext4 */
		return 1;
	mnt = mountfd_copy(l->dir, "", false);
	if (mnt < 0)
		return err_sys(e, errno, "root.writable: the container's layer");
	rc = map(mnt, userns, "its layer", e);
	close(mnt);
	return rc;
}

static int image_outside(const struct layer *l, const struct text *ids, int userns, struct err *e)
{
	int there, rc;

	if (!written(l))
		unlinkat(l->dir, OUTSIDE, 0);
	there = openat(l->dir, OUTSIDE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (there >= 0) {
		rc = outside_check(there, ids, e);
		close(there);
		return rc < 0 ? rc : 1;
	}
	rc = can_map(l, userns, e);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = written(l) ? no_map(e) : outside_begin(l, ids, e);
	return rc < 0 ? rc : 1;
}

/*
 * Whether the files there have the owners that they have outside: those over a directory, and of an
 * image where the layer cannot be mounted with the map. Once they have, they always do.
 */
static int layer_outside(const struct plan *p, const struct layer *l, int userns, struct err *e)
{
	struct text ids = TEXT_INIT;
	int rc;

	if (!(p->namespaces & NS_USER))
		return 0;
	if (!p->image)
		return 1;
	text_addf(&ids, "%s-\n%s", text_str(&p->map.uids), text_str(&p->map.gids));
	rc = text_failed(&ids) ? err_sys(e, ENOMEM, "root.writable")
			       : image_outside(l, &ids, userns, e);
	text_free(&ids);
	return rc;
}

static int layer_ids(const struct plan *p, struct layer *l, struct err *e)
{
	l->uids = strdup(text_str(&p->map.uids));
	l->gids = strdup(text_str(&p->map.gids));
	return l->uids && l->gids ? 0 : err_sys(e, ENOMEM, "root.writable");
}

static int mount_layer(const struct plan *p, int userns, struct err *e)
{
	struct layer *l = p->kept;
	int rc = layer_open(p->layer, &p->config->quota, userquota_wanted(p->config), l, e), mnt;

	if (rc == 0)
		rc = layer_outside(p, l, userns, e);
	if (rc == 1)
		rc = layer_ids(p, l, e);
	if (rc == 0)
		rc = make_layer(p, l, e);
	if (rc == 0)
		rc = userquota_set(l, NULL, p->config, e);
	if (rc < 0)
		return rc;
	layer_begin(l);
	mnt = layer_mount(l);
	if (mnt < 0)
		return err_sys(e, errno, "root.writable: the container's layer");
	rc = mapped(p) && !l->uids ? map(mnt, userns, "its layer", e) : 1;
	if (rc == 1)
		return mnt;
	close(mnt);
	return rc < 0 ? rc : no_map(e);
}

int root_send(const struct plan *p, pid_t child, int socket, struct err *e)
{
	struct child_report go = { 0 };
	int fds[2] = { -1, -1 }, userns = -1, rc = 0;
	char path[64];

	if (mapped(p)) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)child);
		userns = open(path, O_RDONLY | O_CLOEXEC);
		if (userns < 0)
			return err_sys(e, errno, "root: the container's user namespace");
	}
	fds[0] = mount_lower(p, userns, e);
	rc = fds[0] < 0 ? fds[0] : 0;
	if (rc == 0 && p->writable == ROOT_OVERLAY) {
		fds[1] = mount_layer(p, userns, e);
		rc = fds[1] < 0 ? fds[1] : 0;
		child_append(go.text, sizeof(go.text), p->kept->device);
	}
	/* If it is gone, it has said why. */
	if (rc == 0)
		report_send(socket, &go, fds, fds[1] < 0 ? 1 : 2);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (userns >= 0)
		close(userns);
	return rc;
}

/* ---- the child's side ---- */

static void put(struct child *c, int mnt, int place, const char *name)
{
	if (place == -1 || mountfd_place(mnt, place) < 0)
		child_fail(c, errno, "root: mounting ", name);
}

/* A file system and its device are to be seen, and nothing is to be had of them. */
#define ATTR_SHOWN (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static int overlay(struct child *c)
{
	static const struct mount_option options[] = {
		{ "lowerdir", "lower" },
		{ "upperdir", "upper" },
		{ "workdir", "work" },
		{ "userxattr", NULL },
	};
	bool user = c->plan->namespaces & NS_USER;
	/* In a user namespace it cannot use trusted.* to say what is hidden. */
	int mnt = mountfd_new_labelled("overlay", "overlay", options, user ? 4 : 3, 0,
				       c->plan->config->selinux_files);

	if (mnt < 0 && errno == ENODEV)
		child_refuse(c, ENXIO, "root.writable: this kernel has no overlayfs", NULL);
	if (mnt < 0 && user && (errno == EINVAL || errno == EPERM))
		child_refuse(c, ENXIO,
			     "root.writable: this kernel makes no overlay in a user namespace on "
			     "this file system",
			     NULL);
	if (mnt < 0)
		child_fail(c, errno, "root.writable: overlay", NULL);
	return mnt;
}

int root_assemble(struct child *c)
{
	int count = c->plan->writable == ROOT_OVERLAY ? 2 : 1, fds[2] = { -1, -1 };
	struct child_report go;

	if (report_receive(c->socket, &go, fds, count) != 1 || fds[0] < 0)
		child_refuse(c, EIO, "root: the monitor is gone", NULL);
	if (count == 1)
		return fds[0];
	put(c, fds[1], AT_FDCWD, "the layer");
	if (fchdir(fds[1]) < 0)
		child_fail(c, errno, "root: entering the layer", NULL);
	put(c, fds[0], mountfd_open(fds[1], "lower", 0), "what is below");
	if (c->plan->config->quota_delegate) {
		c->quota = mountfd_copy(fds[1], "quota", false);
		child_append(c->quota_device, sizeof(c->quota_device), go.text);
		if (c->quota < 0 || mountfd_restrict(c->quota, ATTR_SHOWN, false) < 0)
			child_fail(c, errno, "quota.delegate: showing the layer", NULL);
	}
	close(fds[0]);
	close(fds[1]);
	return overlay(c);
}
