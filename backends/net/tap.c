/* Taps: see tap.h. */
#include "backends/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/net/netlink.h"

static int queue_open(const struct tap_spec *spec, int *ret, struct err *e)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), header = TAP_HEADER;

	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		return err_set(e, -ENXIO, "no /dev/net/tun here: the kernel's module tun");
	if (fd < 0)
		return err_sys(e, errno, "/dev/net/tun");
	if (spec->queues > 1)
		request.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", spec->name);
	/* Without an owner anybody could attach to a queue of his own. */
	if (ioctl(fd, TUNSETIFF, &request) < 0 ||
	    ioctl(fd, TUNSETOWNER, (unsigned long)spec->owner) < 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) {
		err_sys(e, errno, "cannot make the tap %s", spec->name);
		close(fd);
		return e->code;
	}
	*ret = fd;
	return 0;
}

/*
 * The tap's own address is not the guest's, and higher than any usual one: a bridge takes the
 * lowest of its ports, and would change it when a machine comes or goes.
 */
static int configure(struct nl_sock *nl, const struct tap_spec *spec, struct err *e)
{
	struct mac mac = spec->mac;
	struct netlink_change change = {
		.mac = &mac,
		.mtu = spec->mtu,
		.master = spec->bridge,
		.admin = NETLINK_UP,
		.mute = spec->bridge != 0,
	};
	int index = netlink_index(nl, spec->name);

	if (index < 0)
		return err_set(e, -EIO, "the tap %s was not made", spec->name);
	mac.byte[0] = 0xfe;
	if (netlink_change(nl, index, &change, e) < 0)
		return err_prefix(e, "the tap %s: ", spec->name);
	return 0;
}

int tap_open(struct nl_sock *nl, const struct tap_spec *spec, int *ret_fds, struct err *e)
{
	unsigned n = 0;
	int r = 0;

	while (r == 0 && n < spec->queues) {
		r = queue_open(spec, &ret_fds[n], e);
		n += r == 0;
	}
	if (r == 0)
		r = configure(nl, spec, e);
	if (r == 0)
		return 0;
	while (n > 0)
		close(ret_fds[--n]);
	return r;
}

int tap_offload(int fd, unsigned offloads)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) < 0 ? -errno : 0;
}

int tap_attach(int fd, int attach)
{
	struct ifreq request = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(fd, TUNSETQUEUE, &request) < 0 ? -errno : 0;
}
