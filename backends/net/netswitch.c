/* Virtual switches: see netswitch.h. */
#include "backends/net/netswitch.h"

#include <errno.h>
#include <string.h>

#include "backends/net/netaddr.h"
#include "backends/net/netdev.h"
#include "backends/net/netfilter.h"
#include "backends/net/netlink.h"

void netswitch_name(const char *uuid, char ret[NETSWITCH_NAME])
{
	netdev_prefix(uuid, ret);
	strcat(ret, "br");
}

/* Its index; made when it is not there. An address of its own: else it follows its ports'. */
static int find_bridge(struct nl_sock *nl, const struct netswitch *s, struct err *e)
{
	struct mac mac = mac_of(s->uuid, "bridge");
	struct netlink_change change = { .name = s->bridge, .mac = &mac };
	int index = netlink_index(nl, s->bridge);

	if (index != -ENOENT)
		return index < 0 ? err_sys(e, -index, "the bridge %s", s->bridge) : index;
	if (netlink_create(nl, "bridge", &change, e) < 0)
		return e->code;
	index = netlink_index(nl, s->bridge);
	return index < 0 ? err_set(e, -EIO, "the bridge %s was not made", s->bridge) : index;
}

static bool has(const struct net_addresses *all, const struct net_address *one)
{
	for (unsigned i = 0; i < all->n; i++)
		if (net_address_equal(&all->list[i], one))
			return true;
	return false;
}

static int set_addresses(struct nl_sock *nl, int index, const struct netswitch *now,
			 const struct netswitch *next, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; now && r == 0 && i < now->address->n; i++)
		if (!has(next->address, &now->address->list[i]))
			r = netlink_address(nl, index, &now->address->list[i], false, e);
	for (unsigned i = 0; r == 0 && i < next->address->n; i++)
		if (!now || !has(now->address, &next->address->list[i]))
			r = netlink_address(nl, index, &next->address->list[i], true, e);
	return r;
}

static int set_uplink(struct nl_sock *nl, int index, const struct netswitch *now,
		      const struct netswitch *next, struct err *e)
{
	struct netlink_change leave = { .master = -1 },
			      join = { .master = index, .admin = NETLINK_UP };
	int uplink;

	if (now && !strcmp(now->uplink, next->uplink))
		return 0;
	if (now && *now->uplink && (uplink = netlink_index(nl, now->uplink)) > 0 &&
	    netlink_change(nl, uplink, &leave, e) < 0)
		return err_prefix(e, "uplink: %s: ", now->uplink);
	if (!*next->uplink)
		return 0;
	uplink = netlink_index(nl, next->uplink);
	if (uplink < 0)
		return err_set(e, -ENOENT, "uplink: there is no interface %s", next->uplink);
	if (netlink_change(nl, uplink, &join, e) < 0)
		return err_prefix(e, "uplink: %s: ", next->uplink);
	return 0;
}

static int set_nat(const struct netswitch *now, const struct netswitch *next, struct err *e)
{
	int r = 0;

	if (next->nat && next->address->n == 0)
		return err_set(e, -EINVAL, "nat: needs an address, for the machines' gateway");
	if (next->nat)
		r = netfilter_nat(next->bridge, next->bridge, next->address, e);
	else if (now && now->nat)
		r = netfilter_remove(next->bridge, e);
	if (r < 0)
		err_prefix(e, "nat: ");
	return r;
}

static int set_all(struct nl_sock *nl, const struct netswitch *now, const struct netswitch *next,
		   struct err *e)
{
	struct netlink_change change = { .admin = NETLINK_UP };
	int index = find_bridge(nl, next, e), r;

	if (index < 0)
		return e->code;
	r = netlink_change(nl, index, &change, e);
	change = (struct netlink_change){ .mtu = next->mtu };
	if (r == 0 && (!now || now->mtu != next->mtu)) {
		r = netlink_change(nl, index, &change, e);
		if (r < 0)
			err_prefix(e, "mtu: ");
	}
	if (r == 0)
		r = set_addresses(nl, index, now, next, e);
	if (r == 0)
		r = set_uplink(nl, index, now, next, e);
	if (r == 0)
		r = set_nat(now, next, e);
	return r;
}

int netswitch_set(struct nl_sock *nl, const struct netswitch *now, const struct netswitch *next,
		  struct err *e)
{
	struct err own = { 0 };
	int r = set_all(nl, now, next, e ? e : &own);

	if (r < 0 && now)
		set_all(nl, next, now, NULL);
	return r;
}

int netswitch_remove(struct nl_sock *nl, const struct netswitch *s, struct err *e)
{
	int index = netlink_index(nl, s->bridge), r;

	r = index > 0 ? netlink_delete(nl, index, e) : 0;
	if (r == 0 && s->nat)
		r = netfilter_remove(s->bridge, e);
	return r;
}
