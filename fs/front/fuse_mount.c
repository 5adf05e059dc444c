/* The mount as such: see fuse_mount.h. libfuse knows how to make it, also without root. */
#define FUSE_USE_VERSION 314

#include "fs/front/fuse_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* MNT_FORCE ends the connection whoever else keeps its descriptor. Root does it by itself; a user's
 * mounts are taken away by the program that made them. */
static void mount_detach(const char *mountpoint)
{
	char path[4096], name[] = "fusermount3", unmount[] = "-u", quiet[] = "-q", lazy[] = "-z",
			 end[] = "--";
	char *argv[] = { name, unmount, quiet, lazy, end, path, NULL };
	char *env[] = { NULL };
	pid_t pid;

	if (umount2(mountpoint, MNT_FORCE | MNT_DETACH) == 0 || errno != EPERM)
		return;
	snprintf(path, sizeof(path), "%s", mountpoint);
	if (posix_spawnp(&pid, name, NULL, NULL, argv, env) == 0)
		waitpid(pid, NULL, 0);
}

/*
 * A daemon that was killed leaves a mount on which everything fails; but for what the kernel
 * has kept, so it is made to ask.
 */
static int mount_clear(const char *mountpoint, struct err *e)
{
	struct statx st;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) < 0 &&
	    errno == ENOTCONN)
		mount_detach(mountpoint);
	if (statx(AT_FDCWD, mountpoint, 0, STATX_TYPE, &st) < 0)
		return err_sys(e, errno, "%s: cannot be mounted", mountpoint);
	if (!S_ISDIR(st.stx_mode))
		return err_set(e, -EINVAL, "%s: cannot be mounted: not a directory", mountpoint);
	return 0;
}

int mount_new(const char *mountpoint, const char *options, int *ret_fd, struct err *e)
{
	static const struct fuse_lowlevel_ops none;
	const char *all = geteuid() == 0 ? ",allow_other" : "";
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session;
	char opts[4096];

	snprintf(opts, sizeof(opts),
		 "-ofsname=machinefs,subtype=machinefs,default_permissions%s%s%s", all,
		 options ? "," : "", options ? options : "");
	if (fuse_opt_add_arg(&args, "machinefs") < 0 || fuse_opt_add_arg(&args, opts) < 0)
		return err_sys(e, ENOMEM, "mount");
	session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	if (!session)
		return err_set(e, -EINVAL, "mount: the options \"%s\" are not accepted",
			       options ? options : "");
	if (mount_clear(mountpoint, e) == 0 && fuse_session_mount(session, mountpoint) < 0)
		err_set(e, -EIO, "%s: cannot be mounted; is /dev/fuse there, and may you open it?",
			mountpoint);
	if (!e->code) {
		*ret_fd = fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 3);
		if (*ret_fd < 0 || fcntl(*ret_fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
			err_sys(e, errno, "mount");
	}
	fuse_session_destroy(session);
	return e->code;
}

uint64_t mount_device(const char *mountpoint)
{
	struct statx st;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0 ||
	    !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return 0;
	return makedev(st.stx_dev_major, st.stx_dev_minor);
}

bool mount_alive(int fd)
{
	struct pollfd p = { .fd = fd };
	struct stat st;

	/* <linux/major.h>, and admin-guide/devices.txt of the kernel's documents: misc, fuse. */
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(10, 229))
		return false;
	return poll(&p, 1, 0) == 0 || !(p.revents & POLLERR);
}

void mount_end(const char *mountpoint, int fd)
{
	if (mount_alive(fd))
		mount_detach(mountpoint);
}
