/* The walls around a monitor: see walls.h. */
#include "backends/monitor/walls.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/host/cred.h"

#define NAMESPACES  (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define DESCRIPTORS 4096 /* a large machine has some hundreds */

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
	int rc = geteuid() == 0 ? 0 : cred_be_alone(geteuid(), getegid());

	if (rc == -EIO)
		return err_set(e, rc, "start: the monitor's user namespace");
	if (rc < 0) /* the host allows him none */
		return 0;
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
