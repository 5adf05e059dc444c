/* struct stock: see stock.h. */
#include "backends/container/stock.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/container/mountfd.h"

int loopback_raise(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : -1;
	r = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return r;
}

static void let_go(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Of the namespace that the caller is in. */
static void net_fill(struct stock *s)
{
	s->net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (s->net >= 0 && loopback_raise() < 0)
		let_go(&s->net);
	if (s->net >= 0)
		s->sys = mountfd_new("sysfs", "sysfs", NULL, 0, ATTR_SYSTEM | MOUNT_ATTR_RDONLY);
}

/* The caller has one thread, and is in the new namespace for a moment. */
static int net_make(struct stock *s)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r = 0;

	s->net = s->sys = -1;
	if (home < 0)
		return 0;
	if (unshare(CLONE_NEWNET) == 0) {
		net_fill(s);
		r = setns(home, CLONE_NEWNET) < 0 ? -errno : 0;
	}
	close(home);
	return r;
}

int stock_make(struct stock *s)
{
	/*
	 * The network first: it is long in the kernel, and the container that took the stock before
	 * this soon waits for a grace period, to leave the host's root.
	 */
	int r = net_make(s);

	devfs_make(&s->dev);
	return r;
}

void stock_close(struct stock *s)
{
	devfs_close(&s->dev);
	let_go(&s->net);
	let_go(&s->sys);
}
