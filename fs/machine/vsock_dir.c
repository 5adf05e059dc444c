/* The directory of a VM's vsock sockets: see vsock_dir.h. */
#include "fs/machine/vsock_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/daemon.h"
#include "fs/machine/machine.h"

static void dir_name(const struct machine *m, char ret[64])
{
	snprintf(ret, 64, "%s.vsock", m->identity.uuid);
}

/* A mount of its own has no way up; without the right to make one it stays what it is. */
static int detach(int dir)
{
	int tree = (int)syscall(SYS_open_tree, dir, "",
				AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return dir;
	close(dir);
	return tree;
}

int vsock_dir_open(const struct machine *m, int *ret_fd, struct err *e)
{
	int run = m->object.daemon->run_fd, dir;
	char name[64];

	vsock_dir_remove(m);
	dir_name(m, name);
	if (mkdirat(run, name, 0700) < 0)
		return err_sys(e, errno, "vsock.cid: %s", name);
	dir = openat(run, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 ||
	    (geteuid() == 0 && fchown(dir, m->object.owner.uid, m->object.owner.gid) < 0)) {
		err_sys(e, errno, "vsock.cid: %s", name);
		if (dir >= 0)
			close(dir);
		return e->code;
	}
	*ret_fd = detach(dir);
	return 0;
}

void vsock_dir_remove(const struct machine *m)
{
	int run = m->object.daemon->run_fd, fd;
	struct dirent *entry;
	char name[64];
	DIR *dir;

	dir_name(m, name);
	fd = openat(run, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		unlinkat(fd, entry->d_name, 0); /* what is no file of his stays, and with it this */
	closedir(dir);
	unlinkat(run, name, AT_REMOVEDIR);
}

void vsock_dir_print(const struct machine *m, struct text *out)
{
	char link[32], path[4096], name[64];
	ssize_t n;

	dir_name(m, name);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", m->object.daemon->run_fd);
	n = readlink(link, path, sizeof(path));
	if (n > 0 && faccessat(m->object.daemon->run_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		text_addf(out, "%.*s/%s", (int)n, path, name);
	else
		text_add(out, "nowhere");
}
