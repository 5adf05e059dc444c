/*
 * Addresses of interfaces: hardware addresses made from names, and struct net_address (config.h)
 * compared and printed. Their texts are parsed where settings are (fs/attr/attr_names.c).
 */
#ifndef BACKENDS_NET_NETADDR_H
#define BACKENDS_NET_NETADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/config.h"

struct mac {
	uint8_t byte[6];
};

bool mac_none(const struct mac *mac);
/*
 * An address that is always the same for the same machine (its uuid) and interface, and, by its
 * locally administered bit, nobody's else.
 */
struct mac mac_of(const char *uuid, const char *name);

#define NET_ADDRESS_TEXT 50

/* with_prefix: with "/24" behind it. */
void net_address_print(const struct net_address *a, bool with_prefix, char ret[NET_ADDRESS_TEXT]);
/* Bytes of an address of its family: 4 or 16. */
unsigned net_address_size(const struct net_address *a);
bool net_address_equal(const struct net_address *a, const struct net_address *b);
/* Whether it lies in the network of net. */
bool net_address_in(const struct net_address *a, const struct net_address *net);

/* FNV-1a of a string, seeded and mixed: what names and addresses are made from. */
uint64_t netaddr_hash(uint64_t seed, const char *text);

#endif
