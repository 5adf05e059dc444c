/* struct stock: see stock.h. */
#include "backends/container/stock.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* The caller has one thread, and is in the new namespace for a moment. */
static int net_make(int *ret_net)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r = 0;

	*ret_net = -1;
	if (home < 0)
		return 0;
	if (unshare(CLONE_NEWNET) == 0) {
		*ret_net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (*ret_net >= 0 && loopback_raise() < 0) {
			close(*ret_net);
			*ret_net = -1;
		}
		r = setns(home, CLONE_NEWNET) < 0 ? -errno : 0;
	}
	close(home);
	return r;
}

int stock_make(struct stock *s)
{
	devfs_make(&s->dev);
	return net_make(&s->net);
}

void stock_close(struct stock *s)
{
	devfs_close(&s->dev);
	if (s->net >= 0)
		close(s->net);
	s->net = -1;
}
