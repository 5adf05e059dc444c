/*
 * Unit test of the host's ends of interfaces, in network namespaces of its own: addresses and their
 * texts, taps, veth pairs, a bridge between them, limits; and that nothing stays behind.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/base/text.h"
#include "backends/net/netdev.h"
#include "backends/net/netlink.h"
#include "backends/net/netswitch.h"
#include "backends/net/tap.h"
#include "backends/net/veth.h"
#include "tests/unit/tap.h"

#define UUID "5f0c6b0a-8a41-4c55-9d8a-3f1f0b8f8a11"

static int here, there; /* two namespaces */

static struct net_address address(const char *text, uint8_t prefix)
{
	struct net_address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET,
				 .prefix = prefix };

	inet_pton(a.family, text, a.bytes);
	return a;
}

static void test_addresses(void)
{
	struct mac mac = mac_of(UUID, "eth0"), other = mac_of(UUID, "eth1");
	struct net_address net = address("10.1.2.1", 20), six = address("2001:db8::7", 64);
	struct net_address in = address("10.1.15.9", 32), out = address("10.1.16.9", 32);
	char text[NET_ADDRESS_TEXT];

	ok((mac.byte[0] & 3) == 2 && memcmp(&mac, &other, sizeof(mac)) != 0 && !mac_none(&mac),
	   "a hardware address made from a name is local, and another for another name");
	net_address_print(&net, true, text);
	ok(!strcmp(text, "10.1.2.1/20"), "an address with its prefix");
	net_address_print(&six, false, text);
	ok(!strcmp(text, "2001:db8::7"), "and without");
	ok(net_address_in(&in, &net) && !net_address_in(&out, &net) && !net_address_in(&six, &net),
	   "one of the network, and others");
	ok(net_address_equal(&six, &six) && !net_address_equal(&in, &out), "the same, and not");
}

static void test_names(void)
{
	char prefix[IFNAMSIZ], name[IFNAMSIZ], other[IFNAMSIZ];

	netdev_prefix(UUID, prefix);
	netdev_name(UUID, "eth0", name);
	netdev_name(UUID, "eth1", other);
	ok(strlen(prefix) == NETDEV_PREFIX_LEN && !strncmp(name, prefix, NETDEV_PREFIX_LEN) &&
		   strlen(name) == IFNAMSIZ - 2 && strcmp(name, other) != 0,
	   "names of a machine's interfaces: %s, %s", name, other);
	ok(netdev_check_name("eth0", NULL) == 0 && netdev_check_name("lo", NULL) == -EINVAL &&
		   netdev_check_name("abcdefghijklmnop", NULL) == -EINVAL,
	   "names inside");
}

/* In which namespace a thread is decides whose interfaces a packet socket sees. */
static int packet_socket(int netns, int index)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(0x88b5),
				  .sll_ifindex = index };
	int fd;

	setns(netns, CLONE_NEWNET);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));
	if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		ok(false, "bind: %s", strerror(errno));
	setns(here, CLONE_NEWNET);
	return fd;
}

static bool arrives(int fd, const void *want, size_t len, size_t skip)
{
	char frame[2048];

	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n;

		if (poll(&p, 1, 5000) != 1)
			return false;
		n = read(fd, frame, sizeof(frame));
		if (n == (ssize_t)(len + skip) && !memcmp(frame + skip, want, len))
			return true;
	}
}

static int port_state(struct nl_sock *nl, int index)
{
	struct rtnl_link *link;
	struct nl_cache *ports;
	int state = -1;

	if (rtnl_link_alloc_cache(nl, AF_BRIDGE, &ports) < 0)
		return -1;
	link = rtnl_link_get(ports, index);
	if (link)
		state = rtnl_link_bridge_get_port_state(link);
	rtnl_link_put(link);
	nl_cache_free(ports);
	return state;
}

/*
 * A bridge's new port forwards from when a worker of the kernel's has seen its carrier: what comes
 * before is lost, as on any network whose link is just coming up.
 */
static bool forwards(struct nl_sock *nl, const char *port)
{
	int index = netlink_index(nl, port);

	for (int i = 0; i < 1000 && port_state(nl, index) != BR_STATE_FORWARDING; i++)
		usleep(10000);
	return port_state(nl, index) == BR_STATE_FORWARDING;
}

static void test_together(struct nl_sock *nl, struct nl_sock *in)
{
	struct netlink_change bridge = { .name = "mfbr", .admin = NETLINK_UP };
	struct tap_spec tap = { .name = "mftap", .mtu = 1400, .owner = 12345, .queues = 2 };
	struct veth_spec veth = { .name = "eth0", .host = "mfveth", .mtu = 1400, .up = true };
	struct veth_spec next;
	unsigned char frame[TAP_HEADER + 60] = { 0 };
	int fds[2] = { -1, -1 }, packets;
	struct err e = { 0 };

	tap.mac = mac_of(UUID, "tap");
	veth.mac = mac_of(UUID, "eth0");
	ok(netlink_create(nl, "bridge", &bridge, &e) == 0, "a bridge");
	ok(netlink_create(nl, "bridge", &bridge, &e) == -EEXIST, "not twice");
	bridge.name = "mfother";
	ok(netlink_create(nl, "nonsense", &bridge, &e) == -ENXIO, "nor of a kind that is none");
	tap.bridge = veth.bridge = netlink_index(nl, "mfbr");
	ok(tap_open(nl, &tap, fds, &e) == 0 && netlink_index(nl, "mftap") > 0,
	   "a tap with two queues, a port of it");
	veth.address.n = veth.gateway.n = 2;
	veth.address.list[0] = address("192.0.2.7", 24);
	veth.address.list[1] = address("2001:db8::7", 64);
	veth.gateway.list[0] = address("192.0.2.1", 32);
	veth.gateway.list[1] = address("2001:db8::1", 128);
	ok(veth_create(nl, in, there, &veth, &e) == 0 && netlink_index(in, "eth0") > 0 &&
		   netlink_index(nl, "eth0") == -ENOENT && netlink_index(nl, "mfveth") > 0,
	   "an interface inside with addresses and gateways, its other end here");
	ok(veth_create(nl, in, there, &veth, &e) == 0 && netlink_index(in, "eth0") > 0,
	   "made again, the former is gone");
	next = veth;
	next.name = "lo";
	next.host = "mfother";
	ok(veth_create(nl, in, there, &next, &e) == -EEXIST && netlink_index(nl, "mfother") < 0,
	   "a name that is taken inside is refused");

	memset(frame + TAP_HEADER, 0xff, 6);
	memcpy(frame + TAP_HEADER + 6, tap.mac.byte, 6);
	frame[TAP_HEADER + 12] = 0x88;
	frame[TAP_HEADER + 13] = 0xb5;
	packets = packet_socket(there, netlink_index(in, "eth0"));
	ok(forwards(nl, "mftap") && forwards(nl, "mfveth"), "both ports come to forward");
	ok(write(fds[1], frame, sizeof(frame)) == sizeof(frame) &&
		   arrives(packets, frame + TAP_HEADER, 60, 0),
	   "a frame from the second queue arrives inside");
	memcpy(frame + TAP_HEADER + 6, veth.mac.byte, 6);
	ok(write(packets, frame + TAP_HEADER, 60) == 60, "one from inside");
	ok(tap_attach(fds[1], 0) == 0 && tap_attach(fds[1], 0) != 0,
	   "a queue is detached, by its descriptor alone");
	ok(write(packets, frame + TAP_HEADER, 60) == 60 &&
		   arrives(fds[0], frame + TAP_HEADER, 60, TAP_HEADER),
	   "then the first queue has what arrives");
	close(packets);

	next = veth;
	next.mtu = 1280;
	next.up = false;
	next.bridge = 0;
	next.mac = mac_of(UUID, "other");
	next.address.list[0] = address("198.51.100.7", 24);
	next.gateway.list[0] = address("198.51.100.1", 32);
	ok(veth_change(nl, in, &veth, &next, &e) == 0, "all of it is changed");
	veth = next;
	next.gateway.list[0] = address("203.0.113.1", 32);
	ok(veth_change(nl, in, &veth, &next, &e) == -EINVAL &&
		   strstr(e.text, "gateway: 203.0.113.1"),
	   "a gateway in no network is refused:");

	struct rate rate = { 100000, 0 }, none = { LIMIT_MAX, 0 };
	int index = netlink_index(nl, "mfveth");

	ok(netdev_limit(nl, index, "mfvethi", &rate, &rate, &e) == 0, "limits both ways");
	ok(netdev_limit(nl, index, "mfvethi", &rate, &rate, &e) == 0, "and again");
	ok(netlink_index(nl, "mfvethi") > 0, "with an interface beside it");
	ok(netdev_limit(nl, index, "mfvethi", &none, &none, &e) == 0 &&
		   netlink_index(nl, "mfvethi") == -ENOENT,
	   "lifted, that is gone");

	close(fds[0]);
	close(fds[1]);
	ok(netlink_index(nl, "mftap") == -ENOENT, "closed, the tap is gone");
	ok(veth_remove(nl, "mfveth", &e) == 0 && netlink_index(in, "eth0") == -ENOENT,
	   "removed, both ends are gone");
	ok(netlink_sweep(nl, "mf", &e) == 0 && netlink_index(nl, "mfbr") == -ENOENT,
	   "a sweep takes the rest");
}

/* Of this namespace: nobody else's. */
static bool says(const char *command, const char *what)
{
	char line[400];
	FILE *p = popen(command, "r");
	bool found = false;

	while (p && fgets(line, sizeof(line), p))
		found = found || strstr(line, what);
	return p && pclose(p) == 0 && found;
}

static int sysctl_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = fd < 0 ? -1 : (int)write(fd, value, 1);

	if (fd >= 0)
		close(fd);
	return r;
}

static void test_switch(struct nl_sock *nl)
{
	struct net_addresses none = { 0 }, one = { 1, { address("10.77.0.1", 24) } };
	char name[NETSWITCH_NAME];
	struct netswitch now = { name, UUID, &none, 1500, "", false }, next = now;
	struct netlink_change port = { .name = "mfport" };
	struct err e = { 0 };

	netswitch_name(UUID, name);
	ok(strlen(name) < IFNAMSIZ, "a switch's name: %s", name);
	ok(netswitch_set(nl, NULL, &now, &e) == 0 && netlink_index(nl, name) > 0, "a switch");
	ok(netswitch_set(nl, NULL, &now, &e) == 0, "that is there already");
	next.uplink = "mfport";
	ok(netswitch_set(nl, &now, &next, &e) == -ENOENT && strstr(e.text, "uplink: "), "%s",
	   e.text);
	netlink_create(nl, "ifb", &port, &e);
	next.address = &one;
	next.mtu = 1400;
	ok(netswitch_set(nl, &now, &next, &e) == 0, "an uplink, an address, an MTU");
	now = next;
	next.nat = true;
	sysctl_write("/proc/sys/net/ipv4/ip_forward", "0");
	ok(netswitch_set(nl, &now, &next, &e) == -ENXIO &&
		   strstr(e.text, "nat: this host does not"),
	   "%s", e.text);
	sysctl_write("/proc/sys/net/ipv4/ip_forward", "1");
	if (netswitch_set(nl, &now, &next, &e) == 0) {
		ok(says("nft list ruleset", "ip saddr 10.77.0.0/24"), "translation of addresses");
		now = next;
		next.nat = false;
		ok(netswitch_set(nl, &now, &next, &e) == 0 &&
			   !says("nft list ruleset", "ip saddr 10.77.0.0/24"),
		   "taken back");
	} else {
		ok(e.code == -ENXIO, "translation # SKIP %s", e.text);
	}
	now = next;
	ok(netswitch_remove(nl, &now, &e) == 0 && netlink_index(nl, name) == -ENOENT,
	   "removed, it is gone");
	ok(netlink_index(nl, "mfport") > 0, "its uplink is not");
}

static int namespace(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		skip_all("needs a network namespace of its own");
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int main(void)
{
	struct nl_sock *nl = NULL, *in = NULL;

	there = namespace();
	here = namespace();
	test_addresses();
	test_names();
	ok(netlink_open(-1, &nl, NULL) == 0 && netlink_open(there, &in, NULL) == 0,
	   "a word with each of two namespaces");
	ok(netlink_open(open("/dev/null", O_RDONLY), &nl, NULL) < 0, "a descriptor that is none");
	if (nl && in)
		test_together(nl, in);
	if (nl)
		test_switch(nl);
	netlink_close(nl);
	netlink_close(in);
	return tap_done();
}
