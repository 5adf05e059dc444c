/* veth pairs: see veth.h. */
#include "backends/net/veth.h"

#include <errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>

#include "backends/net/netlink.h"

/* Both ends in one request: nobody sees one without the other, or the inner one on the host. */
static int request(struct nl_sock *nl, int netns, const struct veth_spec *spec)
{
	struct rtnl_link *host = rtnl_link_veth_alloc(), *inside;
	struct mac outer = spec->mac;
	struct netlink_change here = {
		.name = spec->host,
		.mac = &outer,
		.mtu = spec->mtu,
		.master = spec->bridge,
		.admin = spec->up ? NETLINK_UP : NETLINK_AS_IT_IS,
	};
	struct netlink_change there = {
		.name = spec->name,
		.mac = &spec->mac,
		.mtu = spec->mtu,
	};
	int r;

	if (!host)
		return -NLE_NOMEM;
	outer.byte[0] = 0xfe; /* see tap.c */
	netlink_fill(host, &here);
	inside = rtnl_link_veth_get_peer(host);
	netlink_fill(inside, &there);
	rtnl_link_set_ns_fd(inside, netns);
	r = rtnl_link_add(nl, host, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(inside);
	rtnl_link_put(host);
	return r;
}

static int find(struct nl_sock *nl, const char *name, struct err *e)
{
	int index = netlink_index(nl, name);

	return index < 0 ? err_set(e, -ENXIO, "net: the interface %s is gone", name) : index;
}

static int set_up(struct nl_sock *nl, struct nl_sock *in, const struct veth_spec *spec,
		  struct err *e)
{
	struct netlink_change up = { .admin = NETLINK_UP };
	struct netlink_change mute = { .mute = true };
	int inside = find(in, spec->name, e), host = find(nl, spec->host, e), r = 0;

	if (inside < 0 || host < 0)
		return e->code;
	if (spec->bridge)
		r = netlink_change(nl, host, &mute, e);
	if (r == 0)
		r = netlink_change(in, inside, &up, e);
	if (r < 0)
		return err_prefix(e, "net: ");
	for (unsigned i = 0; r == 0 && i < spec->address.n; i++)
		r = netlink_address(in, inside, &spec->address.list[i], true, e);
	for (unsigned i = 0; r == 0 && i < spec->gateway.n; i++)
		r = netlink_gateway(in, inside, &spec->gateway.list[i], true, e);
	return r;
}

int veth_create(struct nl_sock *nl, struct nl_sock *in, int netns, const struct veth_spec *spec,
		struct err *e)
{
	int r;

	/* The namespace of an earlier run may still be on its way out. */
	veth_remove(nl, spec->host, NULL);
	r = request(nl, netns, spec);
	if (r == -NLE_EXIST)
		return err_set(e, -EEXIST, "net: there is an interface %s inside already",
			       spec->name);
	if (r == -NLE_OPNOTSUPP)
		return err_set(e, -ENXIO, "net: this kernel has no veth");
	if (r < 0)
		return err_sys(e, netlink_errno(r), "net: cannot make the interface %s",
			       spec->host);
	r = set_up(nl, in, spec, e);
	if (r < 0)
		veth_remove(nl, spec->host, NULL);
	return r;
}

static bool has(const struct net_addresses *all, const struct net_address *one)
{
	for (unsigned i = 0; i < all->n; i++)
		if (net_address_equal(&all->list[i], one))
			return true;
	return false;
}

/* Routes go before their networks, and come after them. */
static int lose(struct nl_sock *in, int index, const struct veth_spec *now,
		const struct veth_spec *next, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < now->gateway.n; i++)
		if (!has(&next->gateway, &now->gateway.list[i]))
			r = netlink_gateway(in, index, &now->gateway.list[i], false, e);
	for (unsigned i = 0; r == 0 && i < now->address.n; i++)
		if (!has(&next->address, &now->address.list[i]))
			r = netlink_address(in, index, &now->address.list[i], false, e);
	return r;
}

/* All gateways, also those that an address took with it. */
static int gain(struct nl_sock *in, int index, const struct veth_spec *now,
		const struct veth_spec *next, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < next->address.n; i++)
		if (!has(&now->address, &next->address.list[i]))
			r = netlink_address(in, index, &next->address.list[i], true, e);
	for (unsigned i = 0; r == 0 && i < next->gateway.n; i++)
		r = netlink_gateway(in, index, &next->gateway.list[i], true, e);
	return r;
}

static int change(struct nl_sock *nl, struct nl_sock *in, const struct veth_spec *now,
		  const struct veth_spec *next, struct err *e)
{
	int inside = find(in, next->name, e), host = find(nl, next->host, e), r;
	struct mac outer = next->mac;
	struct netlink_change there = { .mac = &next->mac, .mtu = next->mtu };
	struct netlink_change here = {
		.mac = &outer,
		.mtu = next->mtu,
		.master = next->bridge ? next->bridge : -1,
		.admin = next->up ? NETLINK_UP : NETLINK_DOWN,
	};

	if (inside < 0 || host < 0)
		return e->code;
	outer.byte[0] = 0xfe;
	if (now->bridge == next->bridge)
		here.master = 0;
	r = netlink_change(nl, host, &here, e);
	if (r == 0)
		r = netlink_change(in, inside, &there, e);
	if (r < 0)
		return err_prefix(e, "mtu: ");
	r = lose(in, inside, now, next, e);
	if (r == 0)
		r = gain(in, inside, now, next, e);
	return r;
}

int veth_change(struct nl_sock *nl, struct nl_sock *in, const struct veth_spec *now,
		const struct veth_spec *next, struct err *e)
{
	int r = change(nl, in, now, next, e);

	if (r < 0)
		change(nl, in, next, now, NULL);
	return r;
}

int veth_remove(struct nl_sock *nl, const char *host, struct err *e)
{
	int index = netlink_index(nl, host);

	return index < 0 ? 0 : netlink_delete(nl, index, e);
}
