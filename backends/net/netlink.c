/* Interfaces by rtnetlink: see netlink.h. */
#include "backends/net/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

int netlink_errno(int result)
{
	static const int map[] = {
		[NLE_INTR] = EINTR,
		[NLE_AGAIN] = EAGAIN,
		[NLE_EXIST] = EEXIST,
		[NLE_NOMEM] = ENOMEM,
		[NLE_NOACCESS] = EACCES,
		[NLE_INVAL] = EINVAL,
		[NLE_RANGE] = EINVAL,
		[NLE_OPNOTSUPP] = EOPNOTSUPP,
		[NLE_AF_NOSUPPORT] = EAFNOSUPPORT,
		[NLE_OBJ_NOTFOUND] = ENOENT,
		[NLE_PERM] = EPERM,
		[NLE_BUSY] = EBUSY,
		[NLE_NODEV] = ENODEV,
		[NLE_PROTO_MISMATCH] = EPROTONOSUPPORT,
	};
	size_t code = (size_t)(result < 0 ? -result : result);

	return code < sizeof(map) / sizeof(map[0]) && map[code] ? map[code] : EIO;
}

/* A socket belongs for ever to the namespace of the thread that made it. */
static int connect_in(struct nl_sock *nl, int netns)
{
	int here, r;

	if (netns < 0)
		return nl_connect(nl, NETLINK_ROUTE);
	here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (here < 0)
		return -NLE_FAILURE;
	if (setns(netns, CLONE_NEWNET) < 0) {
		r = errno == EPERM ? -NLE_PERM : -NLE_INVAL;
		close(here);
		return r;
	}
	r = nl_connect(nl, NETLINK_ROUTE);
	if (setns(here, CLONE_NEWNET) < 0)
		r = -NLE_FAILURE;
	close(here);
	return r;
}

int netlink_open(int netns, struct nl_sock **ret, struct err *e)
{
	struct nl_sock *nl = nl_socket_alloc();
	int r;

	if (!nl)
		return err_sys(e, ENOMEM, "network");
	r = connect_in(nl, netns);
	if (r < 0) {
		nl_socket_free(nl);
		return err_sys(e, netlink_errno(r), "network: cannot reach its namespace");
	}
	*ret = nl;
	return 0;
}

void netlink_close(struct nl_sock *nl)
{
	if (nl)
		nl_socket_free(nl);
}

int netlink_index(struct nl_sock *nl, const char *name)
{
	struct rtnl_link *link;
	int r = rtnl_link_get_kernel(nl, 0, name, &link);

	if (r < 0)
		return r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND ? -ENOENT : -netlink_errno(r);
	r = rtnl_link_get_ifindex(link);
	rtnl_link_put(link);
	return r;
}

void netlink_fill(struct rtnl_link *link, const struct netlink_change *change)
{
	struct nl_addr *mac;

	if (change->name)
		rtnl_link_set_name(link, change->name);
	mac = change->mac ? nl_addr_build(AF_LLC, change->mac->byte, 6) : NULL;
	if (mac) {
		rtnl_link_set_addr(link, mac);
		nl_addr_put(mac);
	}
	if (change->mtu)
		rtnl_link_set_mtu(link, change->mtu);
	if (change->master)
		rtnl_link_set_master(link, change->master > 0 ? change->master : 0);
	if (change->admin == NETLINK_UP)
		rtnl_link_set_flags(link, IFF_UP);
	if (change->admin == NETLINK_DOWN)
		rtnl_link_unset_flags(link, IFF_UP);
	if (change->mute)
		rtnl_link_inet6_set_addr_gen_mode(link, IN6_ADDR_GEN_MODE_NONE);
}

int netlink_change(struct nl_sock *nl, int index, const struct netlink_change *change,
		   struct err *e)
{
	struct rtnl_link *is = rtnl_link_alloc(), *wanted = rtnl_link_alloc();
	int r = -NLE_NOMEM;

	if (is && wanted) {
		rtnl_link_set_ifindex(is, index);
		netlink_fill(wanted, change);
		r = rtnl_link_change(nl, is, wanted, 0);
	}
	if (is)
		rtnl_link_put(is);
	if (wanted)
		rtnl_link_put(wanted);
	return r < 0 ? err_sys(e, netlink_errno(r), "interface %d", index) : 0;
}

int netlink_create(struct nl_sock *nl, const char *kind, const struct netlink_change *change,
		   struct err *e)
{
	struct rtnl_link *link = rtnl_link_alloc();
	int r = -NLE_NOMEM;

	if (link)
		r = rtnl_link_set_type(link, kind);
	if (r == 0) {
		netlink_fill(link, change);
		r = rtnl_link_add(nl, link, NLM_F_CREATE | NLM_F_EXCL);
	}
	if (link)
		rtnl_link_put(link);
	if (r == -NLE_OPNOTSUPP)
		return err_set(e, -ENXIO, "this kernel has no interfaces of the kind %s", kind);
	return r < 0 ? err_sys(e, netlink_errno(r), "cannot make the interface %s", change->name)
		     : 0;
}

int netlink_stats(struct nl_sock *nl, const char *name, struct netlink_stats *ret)
{
	struct rtnl_link *link;
	int r = rtnl_link_get_kernel(nl, 0, name, &link);

	if (r < 0)
		return r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND ? -ENOENT : -netlink_errno(r);
	*ret = (struct netlink_stats){
		rtnl_link_get_stat(link, RTNL_LINK_RX_BYTES),
		rtnl_link_get_stat(link, RTNL_LINK_RX_PACKETS),
		rtnl_link_get_stat(link, RTNL_LINK_RX_DROPPED),
		rtnl_link_get_stat(link, RTNL_LINK_TX_BYTES),
		rtnl_link_get_stat(link, RTNL_LINK_TX_PACKETS),
		rtnl_link_get_stat(link, RTNL_LINK_TX_DROPPED),
	};
	rtnl_link_put(link);
	return 0;
}

int netlink_delete(struct nl_sock *nl, int index, struct err *e)
{
	struct rtnl_link *link = rtnl_link_alloc();
	int r;

	if (!link)
		return err_sys(e, ENOMEM, "interface %d", index);
	rtnl_link_set_ifindex(link, index);
	r = rtnl_link_delete(nl, link);
	rtnl_link_put(link);
	if (r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND)
		return 0;
	return r < 0 ? err_sys(e, netlink_errno(r), "interface %d", index) : 0;
}

int netlink_sweep(struct nl_sock *nl, const char *prefix, struct err *e)
{
	struct nl_cache *links;
	int r = rtnl_link_alloc_cache(nl, AF_UNSPEC, &links), rc = 0;

	if (r < 0)
		return err_sys(e, netlink_errno(r), "network: the interfaces");
	for (struct nl_object *o = nl_cache_get_first(links); o; o = nl_cache_get_next(o)) {
		struct rtnl_link *link = (struct rtnl_link *)o;
		const char *name = rtnl_link_get_name(link);

		if (name && !strncmp(name, prefix, strlen(prefix)) && rc == 0)
			rc = netlink_delete(nl, rtnl_link_get_ifindex(link), e);
	}
	nl_cache_free(links);
	return rc;
}

static struct nl_addr *address_of(const struct net_address *c)
{
	struct nl_addr *a = nl_addr_build(c->family, c->bytes, net_address_size(c));

	if (a)
		nl_addr_set_prefixlen(a, (int)c->prefix);
	return a;
}

/* Without waiting whether another on the link has the same IPv6 address: it is the user's word. */
static int address_request(struct nl_sock *nl, struct rtnl_addr *request, int index,
			   const struct net_address *address, bool add)
{
	struct nl_addr *local = address_of(address);
	int r;

	if (!local)
		return -NLE_NOMEM;
	rtnl_addr_set_ifindex(request, index);
	r = rtnl_addr_set_local(request, local);
	nl_addr_put(local);
	if (r < 0)
		return r;
	if (address->family == AF_INET6)
		rtnl_addr_set_flags(request, IFA_F_NODAD);
	return add ? rtnl_addr_add(nl, request, 0) : rtnl_addr_delete(nl, request, 0);
}

int netlink_address(struct nl_sock *nl, int index, const struct net_address *address, bool add,
		    struct err *e)
{
	struct rtnl_addr *request = rtnl_addr_alloc();
	char text[NET_ADDRESS_TEXT];
	int r = -NLE_NOMEM;

	if (request)
		r = address_request(nl, request, index, address, add);
	if (request)
		rtnl_addr_put(request);
	if (r >= 0 || (add && r == -NLE_EXIST) ||
	    (!add && (r == -NLE_NOADDR || r == -NLE_OBJ_NOTFOUND)))
		return 0;
	net_address_print(address, true, text);
	return err_sys(e, netlink_errno(r), "address: %s", text);
}

static int route_request(struct nl_sock *nl, struct rtnl_route *route, struct nl_addr *everywhere,
			 struct nl_addr *via, int index, const struct net_address *gateway,
			 bool add)
{
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();

	if (!hop)
		return -NLE_NOMEM;
	rtnl_route_nh_set_ifindex(hop, index);
	rtnl_route_nh_set_gateway(hop, via);
	rtnl_route_set_family(route, (uint8_t)gateway->family);
	rtnl_route_set_dst(route, everywhere);
	rtnl_route_add_nexthop(route, hop);
	return add ? rtnl_route_add(nl, route, NLM_F_REPLACE) : rtnl_route_delete(nl, route, 0);
}

int netlink_gateway(struct nl_sock *nl, int index, const struct net_address *gateway, bool add,
		    struct err *e)
{
	struct net_address none = { .family = gateway->family };
	struct nl_addr *via =
		nl_addr_build(gateway->family, gateway->bytes, net_address_size(gateway));
	struct nl_addr *everywhere = address_of(&none);
	struct rtnl_route *route = rtnl_route_alloc();
	char text[NET_ADDRESS_TEXT];
	int r = -NLE_NOMEM;

	if (via && everywhere && route)
		r = route_request(nl, route, everywhere, via, index, gateway, add);
	if (route)
		rtnl_route_put(route);
	if (via)
		nl_addr_put(via);
	if (everywhere)
		nl_addr_put(everywhere);
	if (r >= 0 || (!add && r == -NLE_OBJ_NOTFOUND))
		return 0;
	net_address_print(gateway, false, text);
	if (r == -NLE_INVAL || r == -NLE_OBJ_NOTFOUND || r == -NLE_NOADDR || r == -NLE_FAILURE)
		return err_set(e, -EINVAL, "gateway: %s is in no network of the addresses", text);
	return err_sys(e, netlink_errno(r), "gateway: %s", text);
}
