/* The walls around a monitor: see walls.h. */
#include "backends/monitor/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAMESPACES  (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define DESCRIPTORS 4096 /* a large machine has some hundreds */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* He is himself in it, and nobody else is anybody. Returns 1, or 0 where the host allows him none.
 */
static int user_namespace(struct err *e)
{
	char uids[64], gids[64];

	snprintf(uids, sizeof(uids), "%u %u 1\n", geteuid(), geteuid());
	snprintf(gids, sizeof(gids), "%u %u 1\n", getegid(), getegid());
	if (unshare(CLONE_NEWUSER) < 0)
		return 0;
	if (!write_text("/proc/self/setgroups", "deny") ||
	    !write_text("/proc/self/uid_map", uids) || !write_text("/proc/self/gid_map", gids))
		return err_set(e, -EIO, "start: the monitor's user namespace");
	return 1;
}

/* Any directory that is surely there will do to mount on; nothing of it is seen any more. */
static int empty_root(struct err *e)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("empty", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		  "size=4k,nr_inodes=2,mode=555") < 0 ||
	    chdir("/proc") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(e, errno, "start: the monitor's empty root");
	return 0;
}

int walls_raise(struct err *e)
{
	int may = geteuid() == 0 ? 1 : user_namespace(e);

	if (may <= 0)
		return may;
	if (unshare(NAMESPACES) < 0)
		return err_sys(e, errno, "start: the monitor's namespaces");
	return empty_root(e);
}

int walls_limit(struct err *e)
{
	struct rlimit none = { 0, 0 }, files;

	if (setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(e, errno, "start: the monitor's limits");
	if (files.rlim_max > DESCRIPTORS)
		files.rlim_max = DESCRIPTORS;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(e, errno, "start: the monitor's limits");
	return 0;
}
