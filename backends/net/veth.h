/*
 * A veth pair: an interface of a container, and its other end on the host, which live and die with
 * the container's network namespace. All functions are for the container's monitor, which
 * can enter that namespace: `in` speaks for it, `nl` for the host (netlink.h).
 */
#ifndef BACKENDS_NET_VETH_H
#define BACKENDS_NET_VETH_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/net/netaddr.h"

struct nl_sock;

struct veth_spec {
	const char *name; /* inside */
	const char *host; /* on the host */
	struct mac mac;
	uint32_t mtu;
	int bridge; /* index on the host, or 0 */
	bool up;    /* the cable is plugged in */
	struct net_addresses address, gateway;
};

/* Makes the pair, with its inner end in the namespace of the descriptor netns, and sets it up. */
int veth_create(struct nl_sock *nl, struct nl_sock *in, int netns, const struct veth_spec *spec,
		struct err *e);
/*
 * Makes one that is `now` what `next` says (same names); when it fails what was changed is changed
 * back as far as that goes.
 */
int veth_change(struct nl_sock *nl, struct nl_sock *in, const struct veth_spec *now,
		const struct veth_spec *next, struct err *e);
int veth_remove(struct nl_sock *nl, const char *host, struct err *e);

#endif
