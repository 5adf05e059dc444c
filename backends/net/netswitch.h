/*
 * A virtual switch of the host: a bridge, with the host's own addresses on it, a physical interface
 * as its uplink, and translation of addresses. It is the kernel's and nobody's child: it stays
 * until netswitch_remove() or the host's end.
 */
#ifndef BACKENDS_NET_NETSWITCH_H
#define BACKENDS_NET_NETSWITCH_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/config.h"

struct nl_sock;

struct netswitch {
	const char *bridge; /* its name on the host, netswitch_name() */
	const char *uuid;   /* its hardware address is made from it */
	const struct net_addresses *address;
	uint32_t mtu;
	const char *uplink; /* or "" */
	bool nat;
};

#define NETSWITCH_NAME 16

void netswitch_name(const char *uuid, char ret[NETSWITCH_NAME]);

/*
 * Makes the switch what `next` says; `now` is what it is, or NULL: it may be there or not, of an
 * earlier daemon's. Refused, it is what it was, as far as the kernel lets it go back. Sentences
 * begin with the setting's name.
 */
int netswitch_set(struct nl_sock *nl, const struct netswitch *now, const struct netswitch *next,
		  struct err *e);
int netswitch_remove(struct nl_sock *nl, const struct netswitch *s, struct err *e);

#endif
