/*
 * Rules of the host's packet filter, by nft(8): each user of this file has a table of its own, so
 * that it neither needs to know others' rules nor can break them.
 */
#ifndef BACKENDS_NET_NETFILTER_H
#define BACKENDS_NET_NETFILTER_H

#include "backends/base/err.h"
#include "backends/config.h"

/*
 * The table `inet NAME`: what comes from these networks at the bridge and leaves by another
 * interface gets that one's address, and from elsewhere only answers come to the bridge. Replaces
 * the table, in one transaction. ENXIO where there is no nft, or the host does not forward.
 */
int netfilter_nat(const char *table, const char *bridge, const struct net_addresses *networks,
		  struct err *e);
/* 0 also when there is none. */
int netfilter_remove(const char *table, struct err *e);

#endif
