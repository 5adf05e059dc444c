/*
 * The container's mounts: see mounts.h; the OCI runtime specification, Linux, "Default
 * Filesystems", masked and read-only paths.
 *
 * The root directory is hostile: its /proc may be a link to anywhere. So a mount is made without
 * a place (fsopen, fsmount), its place is opened without following links, and it is moved from
 * descriptor to descriptor. Below /proc, /sys and /dev all is the kernel's or ours.
 */
#include "backends/container/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/container/device_part.h"
#include "backends/container/devfs.h"
#include "backends/container/lxcfs.h"
#include "backends/container/mount_part.h"
#include "backends/container/mountfd.h"
#include "backends/container/root.h"

/* Not from sys/mount.h, whose names clash with those of linux/mount.h in this C library. */
#define UMOUNT_LAZY 2

/* What has no source but its type. */
static int filesystem_new(const char *type, const struct mount_option *options, int count,
			  unsigned int attributes)
{
	return mountfd_new(type, type, options, count, attributes);
}

static int place_open(int dir, const char *path)
{
	return mountfd_open(dir, path, 0);
}

/*
 * The three places in the root directory are made if they are missing, as docker and podman do;
 * root_place() says so when that was not possible.
 */
static void make_root_places(struct child *c)
{
	static const char *const names[] = { "proc", "sys", "dev" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mkdirat(c->tree, names[i], 0755) < 0 && errno != EEXIST && errno != EROFS &&
		    errno != EACCES && errno != EPERM)
			child_fail(c, errno, "root: making /", names[i]);
}

static int root_place(struct child *c, const char *name)
{
	int place = openat(c->tree, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (place < 0 && errno == ENOENT)
		child_refuse(c, ENOENT, "root: this directory is missing, and cannot be made: /",
			     name);
	if (place < 0)
		child_refuse(c, EINVAL, "root: not a directory: /", name);
	return place;
}

/* Mounts mnt there and lets go of place; mnt stays open, as the root of what is mounted. */
static void put(struct child *c, int mnt, int place, const char *name)
{
	if (mnt < 0 || place < 0 || mountfd_place(mnt, place) < 0)
		child_fail(c, errno, "mounting /", name);
	close(place);
}

/*
 * A user namespace that does not own the pid or net namespace may not mount these anew; it has
 * the host's view anyway, so it gets a copy of the host's mount.
 */
static int system_filesystem(const char *type, const char *host_path, unsigned int attributes)
{
	int mnt = filesystem_new(type, NULL, 0, attributes);

	if (mnt >= 0 || errno != EPERM)
		return mnt;
	mnt = mountfd_copy(AT_FDCWD, host_path, true);
	if (mnt >= 0 && mountfd_restrict(mnt, attributes, true) < 0) {
		close(mnt);
		return -1;
	}
	return mnt;
}

/* The host's own, where no nodes can be made. */
static void show_node(struct child *c, const char *name)
{
	char host[32] = "/dev/";
	int fd;

	strcpy(host + 5, name);
	fd = mountfd_copy(AT_FDCWD, host, false);
	put(c, fd, place_open(c->dev, name), host + 1);
	close(fd);
}

static void make_nodes(struct child *c, const struct devfs *d)
{
	const char *what;
	bool real;

	if (devfs_fill(d, &real, &what) < 0)
		child_fail(c, errno, "making /dev/", what);
	for (int i = 0; !real && devfs_node(i); i++)
		show_node(c, devfs_node(i));
}

/* A directory in /dev to mount on. */
static int dev_place(struct child *c, const char *name)
{
	if (mkdirat(c->dev, name, 0755) < 0)
		child_fail(c, errno, "making /dev/", name);
	return place_open(c->dev, name);
}

static void mount_console(struct child *c, const struct devfs *d)
{
	int fd;

	if (d->slave >= 0) {
		c->master = d->master;
		c->slave = d->slave;
		child_own_console(c);
	} else {
		child_open_console(c, d->pts, "ptmx");
	}
	fd = mountfd_copy(c->slave, "", false);
	put(c, fd, place_open(c->dev, "console"), "dev/console");
	close(fd);
}

/*
 * Programs look for file systems with quotas in /proc/mounts, and for their devices by name: both
 * are to be seen. What they then call with that name is answered by quotaserver.h.
 */
static void show_quota(struct child *c)
{
	const char *name = c->quota_device + strlen("/dev/");
	int fd;

	if (c->quota < 0)
		return;
	put(c, c->quota, dev_place(c, "quota"), "dev/quota");
	close(c->quota);
	fd = openat(c->dev, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	fd = mountfd_copy(AT_FDCWD, c->quota_device, false);
	if (fd >= 0 && mountfd_restrict(fd, ATTR_SYSTEM | MOUNT_ATTR_RDONLY, false) < 0)
		child_fail(c, errno, "restricting ", c->quota_device);
	put(c, fd, place_open(c->dev, name), c->quota_device + 1);
	close(fd);
}

/* Its queues are the ipc namespace's: without one of its own they would be the host's. */
static void mount_queues(struct child *c)
{
	int mnt;

	if (!(c->plan->namespaces & NS_IPC))
		return;
	mnt = filesystem_new("mqueue", NULL, 0, ATTR_SYSTEM);
	if (mnt < 0 && errno == ENODEV)
		return;
	put(c, mnt, dev_place(c, "mqueue"), "dev/mqueue");
	close(mnt);
}

static void mount_dev(struct child *c)
{
	const char *context = c->plan->config->selinux_files;
	struct devfs d = c->plan->stock.dev;
	const bool made = d.dev >= 0;

	if (!made)
		devfs_new(&d, context);
	c->dev = d.dev;
	put(c, d.dev, root_place(c, "dev"), "dev");
	if (!made)
		make_nodes(c, &d);
	show_quota(c);
	for (size_t i = 0; c->plan->devices && i < c->plan->devices->n; i++)
		device_spec_put(c, &c->plan->devices->list[i], c->dev);
	if (!made)
		devfs_new_pts(&d, !(c->plan->namespaces & NS_USER), context);
	put(c, d.pts, place_open(c->dev, "pts"), "dev/pts");
	mount_console(c, &d);
	close(d.pts);
	if (!made)
		devfs_new_shm(&d, context);
	put(c, d.shm, place_open(c->dev, "shm"), "dev/shm");
	close(d.shm);
	mount_queues(c);
}

/*
 * Shows one group: the host's mount of it, from that group on. A mount of its own would be a
 * superblock for each namespace and hierarchy, which costs four times as much.
 */
static void show_group(struct child *c, int place, const char *directory, unsigned int attributes)
{
	int mnt = mountfd_copy(AT_FDCWD, directory, false);

	if (mnt >= 0 && attributes && mountfd_restrict(mnt, attributes, false) < 0)
		child_fail(c, errno, "restricting ", directory);
	put(c, mnt, place, "sys/fs/cgroup");
	close(mnt);
}

static int group_place(struct child *c, int dir, const char *name)
{
	/* "cpu,cpuacct" is looked for as "cpu" and as "cpuacct" too. */
	if (!strcmp(name, "cpu,cpuacct") &&
	    (symlinkat(name, dir, "cpu") < 0 || symlinkat(name, dir, "cpuacct") < 0))
		child_fail(c, errno, "making /sys/fs/cgroup/", name);
	if (mkdirat(dir, name, 0755) < 0)
		child_fail(c, errno, "making /sys/fs/cgroup/", name);
	return place_open(dir, name);
}

/*
 * The machine's own groups, read-only but for what is delegated, are all there is of
 * /sys/fs/cgroup. Without a cgroup namespace their names would not fit /proc/self/cgroup, so then
 * nothing is mounted.
 */
static void mount_cgroups(struct child *c, int sys)
{
	static const struct mount_option options[] = { { "mode", "0755" }, { "size", "64k" } };
	char *const *group = c->plan->groups;
	int place, mnt;

	if (!*group)
		return;
	place = place_open(sys, "fs/cgroup");
	if (c->plan->cgroup_v2) {
		show_group(c, place, group[1],
			   ATTR_SYSTEM | (c->plan->config->delegate ? 0 : MOUNT_ATTR_RDONLY));
		return;
	}
	mnt = filesystem_new("tmpfs", options, 2, ATTR_SYSTEM);
	put(c, mnt, place, "sys/fs/cgroup");
	for (; *group; group += 2)
		show_group(c, group_place(c, mnt, group[0]), group[1], 0);
	if (mountfd_restrict(mnt, ATTR_SYSTEM | MOUNT_ATTR_RDONLY, true) < 0)
		child_fail(c, errno, "sys/fs/cgroup", NULL);
	close(mnt);
}

/*
 * An empty read-only directory, mounted nowhere. sysfs keeps /sys/fs/cgroup empty for ever, and
 * a copy of it spares a tmpfs; sys may be the host's, with something mounted there (NO_XDEV).
 */
static int empty_directory(int sys)
{
	static const struct mount_option options[] = { { "mode", "0555" } };
	int dir = mountfd_open(sys, "fs/cgroup", RESOLVE_NO_XDEV), mnt;

	if (dir < 0)
		return filesystem_new("tmpfs", options, 1, ATTR_SYSTEM | MOUNT_ATTR_RDONLY);
	mnt = mountfd_copy(dir, "", false);
	close(dir);
	if (mnt >= 0 && mountfd_restrict(mnt, ATTR_SYSTEM | MOUNT_ATTR_RDONLY, false) < 0) {
		close(mnt);
		return -1;
	}
	return mnt;
}

/* Hides path below dir: a file behind /dev/null, a directory behind an empty one. */
static void mask(struct child *c, int dir, const char *path, int sys)
{
	int place = place_open(dir, path), mnt;
	struct stat st;

	if (place < 0) // not on this kernel
		return;
	if (fstat(place, &st) < 0)
		child_fail(c, errno, "masking ", path);
	mnt = S_ISDIR(st.st_mode) ? empty_directory(sys) : mountfd_copy(c->dev, "null", false);
	put(c, mnt, place, path);
	close(mnt);
}

static void make_read_only(struct child *c, int dir, const char *path)
{
	int place = place_open(dir, path), mnt;

	if (place < 0)
		return;
	mnt = mountfd_copy(place, "", true);
	if (mnt >= 0 && mountfd_restrict(mnt, MOUNT_ATTR_RDONLY, true) < 0)
		child_fail(c, errno, "making read-only ", path);
	put(c, mnt, place, path);
	close(mnt);
}

static void protect(struct child *c, int sys)
{
	for (char *const *path = c->plan->masked; *path; path++)
		mask(c, c->tree, *path, sys);
	for (char *const *path = c->plan->readonly; *path; path++)
		make_read_only(c, c->tree, *path);
}

static void mount_root(struct child *c)
{
	if (syscall(SYS_mount, NULL, "/", NULL, 1 << 14 | 1 << 18, NULL) < 0) // REC | PRIVATE
		child_fail(c, errno, "namespaces: private mounts", NULL);
	c->tree = c->plan->layered ? root_assemble(c) : mountfd_copy(AT_FDCWD, "", true);
	if (c->tree < 0)
		child_fail(c, errno, "root: not in the monitor's mount namespace", NULL);
	make_root_places(c);
	if (c->plan->writable == ROOT_NONE &&
	    mountfd_restrict(c->tree, MOUNT_ATTR_RDONLY, true) < 0)
		child_fail(c, errno, "root.writable", NULL);
	if (mountfd_place(c->tree, AT_FDCWD) < 0 || fchdir(c->tree) < 0)
		child_fail(c, errno, "root", NULL);
}

void mounts_build(struct child *c)
{
	int proc, sys = c->plan->stock.sys;

	mount_root(c);
	proc = system_filesystem("proc", "/proc", ATTR_SYSTEM);
	put(c, proc, root_place(c, "proc"), "proc");
	mount_dev(c);
	if (sys < 0)
		sys = system_filesystem("sysfs", "/sys", ATTR_SYSTEM | MOUNT_ATTR_RDONLY);
	put(c, sys, root_place(c, "sys"), "sys");
	lxcfs_show(c, proc, sys);
	protect(c, sys);
	for (size_t i = 0; i < c->plan->nmounts; i++)
		mount_spec_put(c, &c->plan->mounts[i], c->tree);
	mount_cgroups(c, sys);
	close(proc);
	close(sys);
}

/* pivot_root(2), "pivot_root(".", ".")": the old root lands on top of the new one, and goes. */
void mounts_enter(struct child *c)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		child_fail(c, errno, "root: pivot_root", NULL);
	if (syscall(SYS_umount2, ".", UMOUNT_LAZY) < 0 || chdir("/") < 0)
		child_fail(c, errno, "root: leaving the host's", NULL);
}

void mounts_chroot(struct child *c)
{
	child_open_console(c, AT_FDCWD, "/dev/ptmx");
	if (chroot(".") < 0 || chdir("/") < 0)
		child_fail(c, errno, "root", NULL);
}
