/* Names of interfaces on the host, and limits by the packet scheduler: see netdev.h. */
#include "backends/net/netdev.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/netlink.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/tbf.h>
#include <stdio.h>
#include <string.h>

#include "backends/net/netlink.h"

static void add_base32(uint64_t number, unsigned digits, char *at)
{
	static const char alphabet[] = "0123456789abcdefghijklmnopqrstuv";

	for (unsigned i = 0; i < digits; i++, number >>= 5)
		at[i] = alphabet[number & 31];
	at[digits] = '\0';
}

void netdev_prefix(const char *uuid, char ret[IFNAMSIZ])
{
	strcpy(ret, "mf");
	add_base32(netaddr_hash(0, uuid), NETDEV_PREFIX_LEN - 2, ret + 2);
}

void netdev_name(const char *uuid, const char *nic, char ret[IFNAMSIZ])
{
	netdev_prefix(uuid, ret);
	add_base32(netaddr_hash(1, nic), 5, ret + NETDEV_PREFIX_LEN);
}

void netdev_beside(const char *uuid, const char *nic, char ret[IFNAMSIZ])
{
	netdev_name(uuid, nic, ret);
	strcat(ret, "i");
}

int netdev_check_name(const char *name, struct err *e)
{
	if (strlen(name) >= IFNAMSIZ)
		return err_set(e, -EINVAL, "an interface's name has at most %d characters",
			       IFNAMSIZ - 1);
	if (!strcmp(name, "lo"))
		return err_set(e, -EINVAL, "lo is there already");
	return 0;
}

/* ---- limits ---- */

/* A bucket smaller than a frame would let none of that size pass, ever. */
#define BUCKET_MIN 2048
#define RATE_MAX   INT32_MAX

static bool limits(const struct rate *r)
{
	return r->rate != LIMIT_MAX && r->rate != 0;
}

static struct rtnl_qdisc *qdisc_alloc(int index, uint32_t parent, uint32_t handle, const char *kind)
{
	struct rtnl_qdisc *q = rtnl_qdisc_alloc();

	if (!q)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(q), index);
	rtnl_tc_set_parent(TC_CAST(q), parent);
	rtnl_tc_set_handle(TC_CAST(q), handle);
	if (kind && rtnl_tc_set_kind(TC_CAST(q), kind) < 0) {
		rtnl_qdisc_put(q);
		return NULL;
	}
	return q;
}

static int qdisc_remove(struct nl_sock *nl, int index, uint32_t parent, const char *kind)
{
	struct rtnl_qdisc *q = qdisc_alloc(index, parent, 0, kind);
	int r;

	if (!q)
		return -NLE_NOMEM;
	r = rtnl_qdisc_delete(nl, q);
	rtnl_qdisc_put(q);
	return r;
}

/* As long a queue as passes in a tenth of a second: what more comes is dropped, as by a wire. */
static int shape(struct nl_sock *nl, int index, const struct rate *limit)
{
	uint64_t burst = limit->burst ? limit->burst : limit->rate / 10;
	int rate = limit->rate < RATE_MAX ? (int)limit->rate : RATE_MAX;
	int bucket = burst < BUCKET_MIN	    ? BUCKET_MIN
		     : burst < RATE_MAX / 2 ? (int)burst
					    : RATE_MAX / 2;
	struct rtnl_qdisc *q = qdisc_alloc(index, TC_H_ROOT, TC_HANDLE(1, 0), "tbf");
	int r;

	if (!q)
		return -NLE_NOMEM;
	rtnl_qdisc_tbf_set_limit(q, rate / 10 + bucket + 64 * 1024);
	rtnl_qdisc_tbf_set_rate(q, rate, bucket, 0);
	r = rtnl_qdisc_add(nl, q, NLM_F_CREATE | NLM_F_REPLACE);
	rtnl_qdisc_put(q);
	return r;
}

/* All that comes in at the interface goes out at `to` instead, and from there comes in after all.
 */
static int redirect(struct nl_sock *nl, int index, int to)
{
	struct rtnl_cls *filter = rtnl_cls_alloc();
	struct rtnl_act *action = rtnl_act_alloc();
	int r = -NLE_NOMEM;

	if (!filter || !action)
		goto out;
	rtnl_tc_set_ifindex(TC_CAST(filter), index);
	rtnl_tc_set_parent(TC_CAST(filter), TC_HANDLE(0xffffu, 0));
	rtnl_cls_set_protocol(filter, ETH_P_ALL);
	rtnl_cls_set_prio(filter, 1);
	r = rtnl_tc_set_kind(TC_CAST(filter), "u32");
	if (r == 0)
		r = rtnl_u32_add_key_uint32(filter, 0, 0, 0, 0);
	if (r == 0)
		r = rtnl_tc_set_kind(TC_CAST(action), "mirred");
	if (r < 0)
		goto out;
	rtnl_mirred_set_action(action, TCA_EGRESS_REDIR);
	rtnl_mirred_set_policy(action, TC_ACT_STOLEN);
	rtnl_mirred_set_ifindex(action, (uint32_t)to);
	r = rtnl_u32_add_action(filter, action);
	if (r == 0)
		r = rtnl_u32_set_cls_terminal(filter);
	if (r == 0)
		r = rtnl_cls_add(nl, filter, NLM_F_CREATE | NLM_F_EXCL);
	if (r == -NLE_EXIST)
		r = 0;
out:
	if (action)
		rtnl_act_put(action);
	if (filter)
		rtnl_cls_put(filter);
	return r;
}

static int limit_out(struct nl_sock *nl, int index, int to, const struct rate *limit)
{
	struct rtnl_qdisc *ingress;
	int r = shape(nl, to, limit);

	if (r < 0)
		return r;
	ingress = qdisc_alloc(index, TC_H_INGRESS, TC_HANDLE(0xffffu, 0), "ingress");
	if (!ingress)
		return -NLE_NOMEM;
	r = rtnl_qdisc_add(nl, ingress, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_qdisc_put(ingress);
	return r < 0 && r != -NLE_EXIST ? r : redirect(nl, index, to);
}

static int ifb_find(struct nl_sock *nl, const char *name, struct err *e)
{
	struct netlink_change change = { .name = name, .admin = NETLINK_UP };
	int index = netlink_index(nl, name);

	if (index >= 0)
		return index;
	if (netlink_create(nl, "ifb", &change, e) < 0)
		return e->code;
	index = netlink_index(nl, name);
	return index < 0 ? err_set(e, -EIO, "%s was not made", name) : index;
}

static void lift_out(struct nl_sock *nl, int index, const char *beside)
{
	int to = netlink_index(nl, beside);

	if (to < 0)
		return;
	qdisc_remove(nl, index, TC_H_INGRESS, "ingress");
	netlink_delete(nl, to, NULL);
}

int netdev_limit(struct nl_sock *nl, int index, const char *beside, const struct rate *in,
		 const struct rate *out, struct err *e)
{
	int r = 0, to;

	if (limits(in))
		r = shape(nl, index, in);
	else
		qdisc_remove(nl, index, TC_H_ROOT, NULL); /* none: ENOENT is as well */
	if (r == 0 && limits(out)) {
		to = ifb_find(nl, beside, e);
		if (to < 0)
			return err_prefix(e, "rate: ");
		r = limit_out(nl, index, to, out);
	} else {
		lift_out(nl, index, beside);
	}
	if (r < 0 && netlink_errno(r) == ENOENT)
		return err_set(e, -ENXIO, "rate: this kernel has not all of tbf, u32, mirred");
	return r < 0 ? err_sys(e, netlink_errno(r), "rate") : 0;
}
