/* Descriptors for interfaces: see nic.h. */
#include "fs/machine/nic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/net/netaddr.h"
#include "backends/net/netdev.h"
#include "backends/net/netlink.h"
#include "backends/net/tap.h"
#include "fs/machine/link.h"
#include "fs/net/net.h"
#include "vmm/virtio/virtio_net.h"

/* Adds as many as there are queues; role comes to be that of the next one. */
static int open_taps(struct fd_list *l, const struct machine *m, struct wire_fd *role,
		     const struct part *part, struct nl_sock *nl, int bridge, struct err *e)
{
	char name[IFNAMSIZ];
	struct tap_spec spec = {
		.name = name,
		.mtu = (uint32_t)part->nic.mtu,
		.bridge = bridge,
		.owner = m->object.owner.uid,
		.queues = (unsigned)part->nic.queues,
	};
	struct netlink_change move = { .master = bridge };
	int fds[WIRE_FDS_MAX], rc;

	netdev_name(m->identity.uuid, part->name, name);
	/* A running machine's moves from one switch to another. */
	rc = netlink_index(nl, name);
	if (rc > 0)
		return netlink_change(nl, rc, &move, e);
	memcpy(spec.mac.byte, part->nic.mac, sizeof(spec.mac.byte));
	if (mac_none(&spec.mac))
		spec.mac = mac_of(m->identity.uuid, part->name);
	rc = tap_open(nl, &spec, fds, e);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < spec.queues; i++, role->which++) {
		if (rc == 0)
			rc = fd_list_add(l, *role, fds[i], e);
		else
			close(fds[i]);
	}
	return rc;
}

/* Of each pair of queues one; with `auto` it may be none. */
static int open_vhosts(struct fd_list *l, struct wire_fd role, const struct part *part,
		       struct err *e)
{
	int fd, rc = 0;

	/* What must be there comes first: other interfaces' taps. */
	if (part->nic.vhost == VHOST_AUTO && l->n + part->nic.queues > WIRE_FDS_MAX * 3 / 4)
		return 0;
	/* Who may make machines here may use it, as /dev/kvm. */
	for (unsigned i = 0; rc == 0 && i < part->nic.queues; i++, role.which++) {
		fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			rc = fd_list_add(l, role, fd, e);
		else if (part->nic.vhost == VHOST_AUTO)
			break;
		else if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
			rc = err_set(e, -ENXIO,
				     "there is no /dev/vhost-net here: the kernel's module "
				     "vhost_net");
		else
			rc = err_sys(e, errno, "/dev/vhost-net");
	}
	return rc < 0 ? err_prefix(e, "nic/%s/vhost: ", part->name) : 0;
}

static int pass_index(struct fd_list *l, struct wire_fd role, int index, struct err *e)
{
	int fd = memfd_create("switch", MFD_CLOEXEC);

	if (fd < 0 || dprintf(fd, "%d\n", index) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		err_sys(e, errno, "switch");
		if (fd >= 0)
			close(fd);
		return e->code;
	}
	return fd_list_add(l, role, fd, e);
}

static int open_on(struct fd_list *l, const struct machine *m, struct wire_fd *role,
		   const struct part *part, const struct net *net, struct err *e)
{
	struct nl_sock *nl;
	int rc = netlink_open(-1, &nl, e), index;

	if (rc < 0)
		return rc;
	index = netlink_index(nl, net->bridge);
	if (index < 0)
		rc = err_set(e, -ENXIO, "net/%s has no bridge", net->object.name);
	else if (m->kind == KIND_VM)
		rc = open_taps(l, m, role, part, nl, index, e);
	else
		rc = pass_index(l, *role, index, e);
	netlink_close(nl);
	return rc;
}

int nic_open(struct fd_list *l, const struct machine *m, struct wire_fd role,
	     const struct part *part, struct err *e)
{
	struct net *net;
	unsigned first = role.which;
	char what[80];
	int rc;

	snprintf(what, sizeof(what), "nic/%s/net", part->name);
	rc = net_find(m, part->nic.net, what, &net, e);
	if (rc < 0)
		return rc;
	rc = open_on(l, m, &role, part, net, e);
	if (rc < 0)
		return err_prefix(e, "%s: ", what);
	return role.which > first && part->nic.vhost != VHOST_OFF ? open_vhosts(l, role, part, e)
								  : 0;
}

/* ---- files ---- */

static void show_host(const struct machine *m, const struct part *part, struct text *out)
{
	char name[IFNAMSIZ];

	netdev_name(m->identity.uuid, part->name, name);
	text_addf(out, "%s\n", name);
}

/* What the host has sent, the machine has received. */
static void show_stat(const struct machine *m, const struct part *part, struct text *out)
{
	struct netlink_stats s = { 0 };
	char name[IFNAMSIZ];
	struct nl_sock *nl;

	netdev_name(m->identity.uuid, part->name, name);
	if (machine_active(m) && netlink_open(-1, &nl, NULL) == 0) {
		netlink_stats(nl, name, &s);
		netlink_close(nl);
	}
	text_addf(out,
		  "rx_bytes %" PRIu64 "\nrx_packets %" PRIu64 "\nrx_dropped %" PRIu64
		  "\ntx_bytes %" PRIu64 "\ntx_packets %" PRIu64 "\ntx_dropped %" PRIu64 "\n",
		  s.tx_bytes, s.tx_packets, s.tx_dropped, s.rx_bytes, s.rx_packets, s.rx_dropped);
}

/* Frames that the kernel moves are counted at the tap, as are those that the engine does. */
static void count_tap(const struct netlink_stats *tap, const uint64_t *own, uint64_t *total)
{
	const struct {
		enum virtio_net_counter which;
		uint64_t all;
	} figures[] = {
		{ VIRTIO_NET_RX_BYTES, tap->tx_bytes },
		{ VIRTIO_NET_RX_PACKETS, tap->tx_packets },
		{ VIRTIO_NET_TX_BYTES, tap->rx_bytes },
		{ VIRTIO_NET_TX_PACKETS, tap->rx_packets },
	};

	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		if (figures[i].all > own[figures[i].which])
			total[figures[i].which] += figures[i].all - own[figures[i].which];
	total[VIRTIO_NET_RX_DROPPED] += tap->tx_dropped;
	total[VIRTIO_NET_TX_DROPPED] += tap->rx_dropped;
}

void nic_count(const struct machine *m, uint64_t total[])
{
	const struct parts *nics = &m->config.parts[PART_NIC];
	struct nl_sock *nl = NULL;

	for (size_t i = 0; i < nics->n; i++) {
		uint64_t own[ENGINE_PART_COUNTERS];
		struct netlink_stats tap;
		char name[IFNAMSIZ];

		if (!link_part_counters(m->link, PART_NIC, nics->list[i].name, own) ||
		    !own[VIRTIO_NET_HANDED])
			continue;
		if (!nl && netlink_open(-1, &nl, NULL) < 0)
			return;
		netdev_name(m->identity.uuid, nics->list[i].name, name);
		if (netlink_stats(nl, name, &tap) == 0)
			count_tap(&tap, own, total);
	}
	netlink_close(nl);
}

const struct part_file nic_files[] = {
	{ "host", show_host, "The interface's name on the host: a VM's tap, a container's veth." },
	{ "stat", show_stat,
	  "What it has received and sent since the machine was started, as the host counts it; 0 "
	  "when "
	  "the machine does not run." },
	{ NULL },
};
