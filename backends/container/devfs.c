/*
 * What every /dev begins with: see devfs.h; the OCI runtime specification, Linux, "Default
 * Devices", "Dev symbolic links".
 */
#include "backends/container/devfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "backends/container/mountfd.h"

static const struct {
	const char *name;
	unsigned int major, minor;
} nodes[] = {
	{ "null", 1, 3 },   { "zero", 1, 5 },	 { "full", 1, 7 },
	{ "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
	const char *name, *to;
} links[] = {
	{ "fd", "/proc/self/fd" },	 { "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	{ "ptmx", "pts/ptmx" },
};

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int devfs_new(struct devfs *d, const char *context)
{
	static const struct mount_option options[] = { { "mode", "0755" }, { "size", "65536k" } };

	d->dev = mountfd_new_labelled("tmpfs", "tmpfs", options, COUNT(options), MOUNT_ATTR_NOSUID,
				      context);
	return d->dev < 0 ? -1 : 0;
}

const char *devfs_node(int n)
{
	return n < COUNT(nodes) ? nodes[n].name : NULL;
}

/* To mount something on. */
static int make_file(int dir, const char *name, mode_t mode)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, mode);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int make_node(int dir, int n, bool *real)
{
	if (*real && mknodat(dir, nodes[n].name, S_IFCHR | 0666,
			     makedev(nodes[n].major, nodes[n].minor)) == 0)
		return 0;
	if (*real && errno != EPERM)
		return -1;
	*real = false;
	return make_file(dir, nodes[n].name, 0666);
}

static int fill(int dir, bool *real, const char **what)
{
	static const char *const directories[] = { "pts", "shm" };

	*real = true;
	for (int i = 0; i < COUNT(nodes); i++)
		if (make_node(dir, i, real) < 0)
			return *what = nodes[i].name, -1;
	for (int i = 0; i < COUNT(links); i++)
		if (symlinkat(links[i].to, dir, links[i].name) < 0)
			return *what = links[i].name, -1;
	for (int i = 0; i < COUNT(directories); i++)
		if (mkdirat(dir, directories[i], 0755) < 0)
			return *what = directories[i], -1;
	*what = "console";
	return make_file(dir, "console", 0600);
}

int devfs_fill(const struct devfs *d, bool *ret_nodes, const char **what)
{
	mode_t mask = umask(0);
	int r = fill(d->dev, ret_nodes, what), saved = errno;

	umask(mask);
	errno = saved;
	return r;
}

int devfs_new_pts(struct devfs *d, bool owned, const char *context)
{
	/* 5 is the group tty everywhere. */
	static const struct mount_option options[] = { { "ptmxmode", "0666" },
						       { "mode", "0620" },
						       { "gid", "5" } };

	d->pts = mountfd_new_labelled("devpts", "devpts", options, owned ? 3 : 2,
				      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, context);
	return d->pts < 0 ? -1 : 0;
}

int devfs_new_shm(struct devfs *d, const char *context)
{
	static const struct mount_option options[] = { { "mode", "1777" }, { "size", "65536k" } };

	d->shm = mountfd_new_labelled("tmpfs", "shm", options, COUNT(options),
				      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
				      context);
	return d->shm < 0 ? -1 : 0;
}

int devfs_open_console(int dir, const char *ptmx, int *ret_master, int *ret_slave)
{
	struct termios t;
	struct stat st;
	int unlock = 0;

	*ret_master = openat(dir, ptmx, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (*ret_master < 0)
		return -1;
	if (fstat(*ret_master, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) ||
	    ioctl(*ret_master, TIOCSPTLCK, &unlock) < 0)
		return errno = EINVAL, -1;
	*ret_slave = ioctl(*ret_master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*ret_slave < 0 || tcgetattr(*ret_slave, &t) < 0)
		return -1;
	t.c_oflag &= ~(tcflag_t)ONLCR;
	return tcsetattr(*ret_slave, TCSANOW, &t);
}

void devfs_make(struct devfs *d)
{
	const char *what;
	bool real;

	*d = (struct devfs)DEVFS_NONE;
	if (devfs_new(d, NULL) < 0 || devfs_fill(d, &real, &what) < 0 || !real ||
	    devfs_new_pts(d, true, NULL) < 0 || devfs_new_shm(d, NULL) < 0 ||
	    devfs_open_console(d->pts, "ptmx", &d->master, &d->slave) < 0)
		devfs_close(d);
}

void devfs_close(struct devfs *d)
{
	const int fds[] = { d->dev, d->pts, d->shm, d->master, d->slave };

	for (int i = 0; i < COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*d = (struct devfs)DEVFS_NONE;
}
