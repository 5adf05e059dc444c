/* struct layer: see quota.h. */
#include "backends/container/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backends/container/loopdev.h"
#include "backends/container/mountfd.h"
#include "backends/host/command.h"

#define MKFS	       "/sbin/mkfs.ext4"
#define DISK_MIN       (8u << 20)
#define EXT4_RESIZE_FS _IOW('f', 16, __u64) /* EXT4_IOC_RESIZE_FS, to so many blocks */

static bool unlimited(const struct quota *q)
{
	return q->bytes == LIMIT_MAX && q->inodes == LIMIT_MAX;
}

int quota_limit(int dir, unsigned type, uint32_t id, const struct quota *q)
{
	struct if_dqblk limits = { .dqb_valid = QIF_LIMITS };

	/* In units of 1 KiB; 0 is no limit. */
	if (q->bytes != LIMIT_MAX)
		limits.dqb_bhardlimit = (q->bytes + 1023) / 1024;
	if (q->inodes != LIMIT_MAX)
		limits.dqb_ihardlimit = q->inodes;
	return syscall(SYS_quotactl_fd, dir, QCMD((unsigned)Q_SETQUOTA, type), id, &limits) < 0
		       ? -errno
		       : 0;
}

/* ---- projects ---- */

/* What is made in the directory from now on belongs to the project. */
static int project_assign(int dir, const char *name, uint32_t project)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
	struct fsxattr x;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
		rc = -errno;
	x.fsx_projid = project;
	x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	if (rc == 0 && ioctl(fd, FS_IOC_FSSETXATTR, &x) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

/* A number of this directory's own; those that administrators give are small. */
static uint32_t project_of(int dir)
{
	struct stat st;

	return fstat(dir, &st) < 0 ? 0 : (uint32_t)(st.st_ino ^ st.st_ino >> 31) | 1u << 30;
}

/* False: there are none here. */
static bool project_begin(struct layer *l, const struct quota *q)
{
	uint32_t project = project_of(l->dir);

	if (!project || quota_limit(l->dir, PRJQUOTA, project, q) < 0 ||
	    project_assign(l->dir, "upper", project) < 0 ||
	    project_assign(l->dir, "work", project) < 0)
		return false;
	l->project = project;
	return true;
}

/* ---- a disk ---- */

static int disk_format(const char *device, const struct quota *q, bool users, struct err *e)
{
	char inodes[32] = "";
	const char *argv[12] = { MKFS, "-q", "-F", "-m", "0", "-O", "^quota", "-E" };
	int n = 8, rc;
	struct text said = TEXT_INIT;

	argv[n++] = users ? "lazy_itable_init=1,nodiscard,quotatype=usrquota:grpquota"
			  : "lazy_itable_init=1,nodiscard";
	if (users)
		argv[6] = "quota";
	if (q->inodes != LIMIT_MAX) {
		/* A dozen are the file system's own, and some the layer's. */
		snprintf(inodes, sizeof(inodes), "-N%llu", (unsigned long long)q->inodes + 16);
		argv[n++] = inodes;
	}
	argv[n++] = device;
	rc = command_run((char *const *)argv, &said, e);
	if (rc == -ENOENT)
		err_set(e, rc = -ENXIO, "quota: %s is missing (Debian: e2fsprogs)", MKFS);
	else if (rc < 0)
		err_prefix(e, "quota: ");
	else if (rc)
		rc = err_set(e, -EINVAL, "quota: %s: %.200s", MKFS, text_str(&said));
	text_free(&said);
	return rc;
}

/* It counts from its beginning what each user has, so that limits can be set at any time. */
static int disk_fill(const char *device, const struct quota *q, struct err *e)
{
	int rc = disk_format(device, q, true, e), mnt;

	if (rc < 0)
		return rc;
	mnt = mountfd_new("ext4", device, NULL, 0, MOUNT_ATTR_NODEV);
	if (mnt < 0) /* a kernel without CONFIG_QFMT_V2 */
		return disk_format(device, q, false, e);
	close(mnt);
	return 0;
}

static int check_new_disk(int place, const struct quota *q, bool users, struct err *e)
{
	const char *why = users ? "with quota.user or quota.group"
				: "without project quotas on this file system";

	if (faccessat(place, "upper", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, -EBUSY,
			       "quota: %s it has to be set before the container's first start",
			       why);
	if (q->bytes == LIMIT_MAX)
		return err_set(e, -EINVAL, "quota: %s bytes are needed, too", why);
	if (q->bytes < DISK_MIN)
		return err_set(e, -EINVAL,
			       "quota: a file system of less than %u bytes is of no use", DISK_MIN);
	return 0;
}

/* By another name first: one that was left by half is none. */
static int disk_make(int place, const struct quota *q, bool users, struct err *e)
{
	int rc = check_new_disk(place, q, users, e), file, loop;
	char device[32];

	if (rc < 0)
		return rc;
	file = openat(place, "disk.new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0 || ftruncate(file, (off_t)q->bytes) < 0)
		rc = err_sys(e, errno, "quota: the layer's disk");
	if (rc == 0) {
		rc = loopdev_attach(file, false, device, &loop, e);
		if (rc < 0)
			err_prefix(e, "quota: ");
	}
	if (rc == 0) {
		rc = disk_fill(device, q, e);
		close(loop);
	}
	if (rc == 0 && (fsync(file) < 0 || renameat(place, "disk.new", place, "disk") < 0))
		rc = err_sys(e, errno, "quota: the layer's disk");
	if (rc < 0)
		unlinkat(place, "disk.new", 0);
	if (file >= 0)
		close(file);
	return rc;
}

static uint64_t disk_size(int file)
{
	struct stat st;

	return fstat(file, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static int disk_grow(struct layer *l, uint64_t bytes, struct err *e)
{
	int fd = openat(l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	struct statfs fs;
	__u64 blocks;

	rc = fd < 0 || fstatfs(fd, &fs) < 0 || ftruncate(l->disk, (off_t)bytes) < 0
		     ? err_sys(e, errno, "quota: the layer's disk")
		     : 0;
	if (rc == 0 && (rc = loopdev_grown(l->loop, e)) < 0)
		err_prefix(e, "quota: ");
	blocks = rc < 0 ? 0 : bytes / (uint64_t)fs.f_bsize;
	if (rc == 0 && ioctl(fd, EXT4_RESIZE_FS, &blocks) < 0)
		rc = errno == EPERM ? err_set(e, -EPERM,
					      "quota: the layer's file system can only be grown by "
					      "who has CAP_SYS_RESOURCE")
				    : err_sys(e, errno, "quota: growing the layer's file system");
	if (fd >= 0)
		close(fd);
	return rc;
}

static int disk_mount(struct layer *l, struct err *e)
{
	int rc = loopdev_attach(l->disk, false, l->device, &l->loop, e);

	if (rc < 0)
		return err_prefix(e, "quota: ");
	l->dir = mountfd_new("ext4", l->device, NULL, 0, MOUNT_ATTR_NODEV);
	return l->dir < 0 ? err_sys(e, errno, "quota: mounting the layer's disk") : 0;
}

static int disk_begin(struct layer *l, int place, const struct quota *q, bool users, struct err *e)
{
	int rc = 0;

	l->disk = openat(place, "disk", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (l->disk < 0 && errno == ENOENT) {
		rc = disk_make(place, q, users, e);
		l->disk = rc < 0 ? -1 : openat(place, "disk", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	}
	if (rc == 0 && l->disk < 0)
		rc = err_sys(e, errno, "quota: the layer's disk");
	return rc < 0 ? rc : disk_mount(l, e);
}

/* ---- any ---- */

static int fail_shrink(const struct layer *l, struct err *e)
{
	return err_set(e, -EBUSY,
		       "quota: the layer's file system has %llu bytes, and does not shrink",
		       (unsigned long long)disk_size(l->disk));
}

static int disk_set(struct layer *l, const struct quota *q, struct err *e)
{
	if (q->inodes != l->quota.inodes)
		return err_set(e, -EBUSY,
			       "quota: the inodes of the layer's own file system are for life");
	if (q->bytes == LIMIT_MAX || q->bytes < disk_size(l->disk))
		return fail_shrink(l, e);
	return q->bytes > disk_size(l->disk) ? disk_grow(l, q->bytes, e) : 0;
}

int layer_set(struct layer *l, const struct quota *q, struct err *e)
{
	int rc = 0;

	if (q->bytes == l->quota.bytes && q->inodes == l->quota.inodes)
		return 0;
	if (l->disk >= 0) {
		rc = disk_set(l, q, e);
	} else if (l->project) {
		rc = quota_limit(l->dir, PRJQUOTA, l->project, q);
		if (rc < 0)
			err_sys(e, -rc, "quota");
	} else {
		rc = err_set(e, -EBUSY,
			     "quota: without project quotas on this file system it has to be set "
			     "before the container's first start");
	}
	if (rc == 0)
		l->quota = *q;
	return rc < 0 ? e->code : 0;
}

/* Those of a layer that there may be a project for. */
static int make_places(int dir)
{
	static const char *const names[] = { "lower", "work" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mkdirat(dir, names[i], 0755) < 0 && errno != EEXIST)
			return -errno;
	return 0;
}

int layer_open(int place, const struct quota *q, bool users, struct layer *ret, struct err *e)
{
	struct layer l = LAYER_NONE;
	bool disk = faccessat(place, "disk", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	int rc = 0;

	l.quota = *q;
	if (!disk) {
		l.dir = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		/* `upper` is what tells that there is a layer, so it comes last. */
		rc = l.dir < 0 ? -errno : make_places(l.dir);
		if (rc < 0)
			err_sys(e, -rc, "root.writable: the container's layer");
		disk = rc == 0 &&
		       (users ||
			(!unlimited(q) && quota_limit(l.dir, PRJQUOTA, project_of(l.dir), q) < 0));
	}
	if (rc == 0 && disk) {
		if (l.dir >= 0)
			close(l.dir);
		l.dir = -1;
		rc = disk_begin(&l, place, q, users, e);
		/* It may have been changed while the container was down. */
		if (rc == 0 && q->bytes != LIMIT_MAX && q->bytes > disk_size(l.disk))
			rc = disk_grow(&l, q->bytes, e);
		else if (rc == 0 && q->bytes < disk_size(l.disk))
			rc = fail_shrink(&l, e);
		if (rc == 0 && make_places(l.dir) < 0)
			rc = err_sys(e, errno, "root.writable: the container's layer");
	}
	if (rc < 0) {
		layer_close(&l);
		return rc < 0 && e ? e->code : rc;
	}
	*ret = l;
	return 0;
}

/* When `upper` is there, too. */
void layer_begin(struct layer *l)
{
	if (l->disk < 0)
		project_begin(l, &l->quota);
}

/* A mount that is nowhere yet cannot be copied before Linux 6.15, but moved, and stays ours. */
int layer_mount(const struct layer *l)
{
	return l->disk >= 0 ? fcntl(l->dir, F_DUPFD_CLOEXEC, 0) : mountfd_copy(l->dir, "", false);
}

void layer_close(struct layer *l)
{
	if (!l)
		return;
	if (l->dir >= 0)
		close(l->dir);
	if (l->disk >= 0)
		close(l->disk);
	if (l->loop >= 0)
		close(l->loop);
	free(l->uids);
	free(l->gids);
	*l = LAYER_NONE;
}
