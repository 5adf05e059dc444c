/*
 * The host's ends of machines' network interfaces: a tap (tap.h) for a VM, a veth (veth.h) for a
 * container; this file has what both share: names, and limits by the kernel's packet scheduler.
 *
 * An interface's name on the host is made from the machine's uuid and the interface's name, so
 * that it needs no record: `mf`, seven characters of the machine, five of the interface, and
 * for what stands beside it one more. All of a machine begin with netdev_prefix().
 */
#ifndef BACKENDS_NET_NETDEV_H
#define BACKENDS_NET_NETDEV_H

#include <net/if.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/config.h"

struct nl_sock;

#define NETDEV_PREFIX_LEN 9

void netdev_prefix(const char *uuid, char ret[IFNAMSIZ]);
void netdev_name(const char *uuid, const char *nic, char ret[IFNAMSIZ]);
/* Of what stands beside one: see netdev_limit(). */
void netdev_beside(const char *uuid, const char *nic, char ret[IFNAMSIZ]);
/* A name that the kernel would take, for an interface inside a container. */
int netdev_check_name(const char *name, struct err *e);

/*
 * Limits the bytes a second that the host sends to (in) and takes from (out) the interface of that
 * index. `out` needs an interface beside it (ifb), named `beside`, which netdev_limit() makes and
 * removes.
 */
int netdev_limit(struct nl_sock *nl, int index, const char *beside, const struct rate *in,
		 const struct rate *out, struct err *e);

#endif
