/* Descriptors for interfaces: see nic.h. */
#include "fs/machine/nic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/net/netaddr.h"
#include "backends/net/netdev.h"
#include "backends/net/netlink.h"
#include "backends/net/tap.h"
#include "fs/net/net.h"

static int open_taps(struct fd_list *l, const struct machine *m, struct wire_fd role,
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
	for (unsigned i = 0; i < spec.queues; i++, role.which++) {
		if (rc == 0)
			rc = fd_list_add(l, role, fds[i], e);
		else
			close(fds[i]);
	}
	return rc;
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

static int open_on(struct fd_list *l, const struct machine *m, struct wire_fd role,
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
		rc = pass_index(l, role, index, e);
	netlink_close(nl);
	return rc;
}

int nic_open(struct fd_list *l, const struct machine *m, struct wire_fd role,
	     const struct part *part, struct err *e)
{
	struct net *net;
	char what[80];
	int rc;

	snprintf(what, sizeof(what), "nic/%s/net", part->name);
	rc = net_find(m, part->nic.net, what, &net, e);
	if (rc < 0)
		return rc;
	rc = open_on(l, m, role, part, net, e);
	return rc < 0 ? err_prefix(e, "%s: ", what) : 0;
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

const struct part_file nic_files[] = {
	{ "host", show_host, "The interface's name on the host: a VM's tap, a container's veth." },
	{ "stat", show_stat,
	  "What it has received and sent since the machine was started, as the host counts it; 0 "
	  "when "
	  "the machine does not run." },
	{ NULL },
};
