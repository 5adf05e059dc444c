/* Addresses of interfaces: see netaddr.h. */
#include "backends/net/netaddr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

uint64_t netaddr_hash(uint64_t seed, const char *text)
{
	uint64_t hash = 0xcbf29ce484222325 ^ seed;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	/* Short texts leave the upper bits of FNV alike: mix once more. */
	hash ^= hash >> 32;
	hash *= 0xd6e8feb86659fd93;
	return hash ^ hash >> 32;
}

bool mac_none(const struct mac *mac)
{
	static const struct mac none;

	return !memcmp(mac, &none, sizeof(none));
}

struct mac mac_of(const char *uuid, const char *name)
{
	uint64_t hash = netaddr_hash(netaddr_hash(0, uuid), name);
	struct mac mac;

	memcpy(mac.byte, &hash, sizeof(mac.byte));
	mac.byte[0] = 0x52; /* locally administered, of one interface, below a tap's 0xfe */
	return mac;
}

unsigned net_address_size(const struct net_address *a)
{
	return a->family == AF_INET ? 4 : 16;
}

void net_address_print(const struct net_address *a, bool with_prefix, char ret[NET_ADDRESS_TEXT])
{
	size_t len;

	ret[0] = '\0';
	if (a->family == 0 || !inet_ntop(a->family, a->bytes, ret, NET_ADDRESS_TEXT))
		return;
	len = strlen(ret);
	if (with_prefix)
		snprintf(ret + len, NET_ADDRESS_TEXT - len, "/%u", a->prefix);
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return a->family == b->family && a->prefix == b->prefix &&
	       !memcmp(a->bytes, b->bytes, net_address_size(a));
}

bool net_address_in(const struct net_address *a, const struct net_address *net)
{
	unsigned whole = net->prefix / 8, rest = net->prefix % 8;

	if (net->family != a->family || memcmp(net->bytes, a->bytes, whole) != 0)
		return false;
	return rest == 0 || (net->bytes[whole] ^ a->bytes[whole]) >> (8 - rest) == 0;
}
