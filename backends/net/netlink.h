/*
 * Network interfaces by rtnetlink: the few requests that machines' networks need, over libnl.
 *
 * A struct nl_sock speaks for the network namespace in which it was opened. Each request waits for
 * the kernel's answer (the kernel's lock of all network configuration: most often microseconds).
 * Interfaces are named by index, which, unlike a name, nobody inside can change. Not
 * thread-safe for one socket.
 */
#ifndef BACKENDS_NET_NETLINK_H
#define BACKENDS_NET_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/net/netaddr.h"

struct nl_sock;
struct rtnl_link;

/* In the calling thread's namespace, or, with netns >= 0, in that of the descriptor. */
int netlink_open(int netns, struct nl_sock **ret, struct err *e);
/* Takes NULL. */
void netlink_close(struct nl_sock *nl);

/* The positive errno for one of libnl's results (negative NLE_). */
int netlink_errno(int result);

/* Index of an interface; -ENOENT without a sentence when there is none. */
int netlink_index(struct nl_sock *nl, const char *name);

/* What netlink_change() sets; a zero field is left as it is. */
struct netlink_change {
	const char *name;
	const struct mac *mac;
	uint32_t mtu;
	int master; /* index of the bridge it becomes a port of; -1: of none */
	enum { NETLINK_AS_IT_IS, NETLINK_UP, NETLINK_DOWN } admin;
	bool mute; /* no IPv6 addresses of its own: the host only forwards here */
};

/* Puts the fields of a change into a request; for those who create an interface with them. */
void netlink_fill(struct rtnl_link *link, const struct netlink_change *change);

int netlink_change(struct nl_sock *nl, int index, const struct netlink_change *change,
		   struct err *e);
/* Makes an interface of a kind that needs no more to be said ("bridge", "ifb"). EEXIST, ENXIO. */
int netlink_create(struct nl_sock *nl, const char *kind, const struct netlink_change *change,
		   struct err *e);
/* What the kernel has counted at an interface, as seen from the host. */
struct netlink_stats {
	uint64_t rx_bytes, rx_packets, rx_dropped, tx_bytes, tx_packets, tx_dropped;
};

/* -ENOENT when there is none of that name. */
int netlink_stats(struct nl_sock *nl, const char *name, struct netlink_stats *ret);

/* 0 also when there is none. */
int netlink_delete(struct nl_sock *nl, int index, struct err *e);
/* Removes all whose names begin so. */
int netlink_sweep(struct nl_sock *nl, const char *prefix, struct err *e);

/* EEXIST is no failure when it is added, nor its absence when it is removed. */
int netlink_address(struct nl_sock *nl, int index, const struct net_address *address, bool add,
		    struct err *e);
/* The default route of the gateway's family by this interface. */
int netlink_gateway(struct nl_sock *nl, int index, const struct net_address *gateway, bool add,
		    struct err *e);

#endif
