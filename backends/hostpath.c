/* Host paths opened as the owner: see hostpath.h. */
#include "backends/hostpath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct cred_saved {
	bool changed;
	int ngroups;
	gid_t groups[256];
};

/*
 * The file-system uid is what permission checks use, and leaving 0 takes the file capabilities
 * with it. setgroups() of libc would change every thread; the system call changes this one.
 */
static int cred_enter(struct cred who, struct cred_saved *saved)
{
	saved->changed = false;
	if (geteuid() != 0 || who.uid == 0)
		return 0;
	saved->ngroups = getgroups(256, saved->groups);
	if (saved->ngroups < 0 || syscall(SYS_setgroups, 0, NULL) < 0)
		return -errno;
	saved->changed = true;
	setfsgid(who.gid);
	setfsuid(who.uid);
	return 0;
}

static void cred_leave(const struct cred_saved *saved)
{
	if (!saved->changed)
		return;
	setfsuid(geteuid());
	setfsgid(getegid());
	syscall(SYS_setgroups, saved->ngroups, saved->groups);
}

static int path_open(const char *path, enum hostpath_kind kind, const char *what, int *ret_fd,
		     struct err *e)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	char self[64];
	struct stat st;
	int real;

	if (fd < 0)
		return err_sys(e, errno, "%s: %s", what, path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) < 0) {
		err_sys(e, errno, "%s: %s", what, path);
		goto fail;
	}
	if (kind == HOSTPATH_DIRECTORY) {
		if (!S_ISDIR(st.st_mode)) {
			err_set(e, -EINVAL, "%s: %s is not a directory", what, path);
			goto fail;
		}
		if (faccessat(fd, ".", X_OK, AT_EACCESS) < 0 && errno == EACCES) {
			err_sys(e, errno, "%s: %s", what, path);
			goto fail;
		}
		*ret_fd = fd;
		return 0;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(e, -EINVAL, "%s: %s is %s", what, path,
			S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
		goto fail;
	}
	real = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (real < 0) {
		err_sys(e, errno, "%s: %s", what, path);
		goto fail;
	}
	close(fd);
	*ret_fd = real;
	return 0;
fail:
	close(fd);
	return e ? e->code : -EIO;
}

int hostpath_open(struct cred who, const char *path, enum hostpath_kind kind, const char *what,
		  int *ret_fd, struct err *e)
{
	struct cred_saved saved;
	int rc;

	if (path[0] != '/')
		return err_set(e, -EINVAL, "%s: \"%s\" is not an absolute path", what, path);
	if (cred_enter(who, &saved) < 0)
		return err_sys(e, errno, "%s: cannot act as user %u", what, who.uid);
	rc = path_open(path, kind, what, ret_fd, e);
	cred_leave(&saved);
	return rc;
}
