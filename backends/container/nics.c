/* A container's network interfaces: see nics.h. */
#include "backends/container/nics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/net/netdev.h"
#include "backends/net/netlink.h"
#include "backends/net/veth.h"

/* One as it is: a copy, since the configuration goes. */
struct nic {
	char name[64];
	char host[IFNAMSIZ];
	char beside[IFNAMSIZ]; /* see netdev_limit() */
	int bridge;
	struct nic_config config; /* `net` is not kept */
};

struct nics {
	struct engine_host *host;
	int netns;
	struct nl_sock *out, *in; /* of the host, and of the container */
	unsigned count;
	struct nic list[PARTS_MAX];
};

static struct nic *find(struct nics *n, const char *name)
{
	for (unsigned i = 0; i < n->count; i++)
		if (!strcmp(n->list[i].name, name))
			return &n->list[i];
	return NULL;
}

static struct veth_spec veth_of(const struct nics *n, const struct nic *nic)
{
	struct veth_spec spec = {
		.name = nic->name,
		.host = nic->host,
		.mtu = (uint32_t)nic->config.mtu,
		.bridge = nic->bridge,
		.up = nic->config.link,
		.address = nic->config.address,
		.gateway = nic->config.gateway,
	};

	memcpy(spec.mac.byte, nic->config.mac, sizeof(spec.mac.byte));
	if (mac_none(&spec.mac))
		spec.mac = mac_of(n->host->uuid, nic->name);
	return spec;
}

/* The index of the switch that the daemon has passed; 0: it has passed none. */
static int take_bridge(struct nics *n, const char *name, struct err *e)
{
	int fd = engine_take_fd(n->host, PART_NIC, name, 0), index = 0;
	char text[16];
	ssize_t len;

	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len > 0) {
		text[len] = '\0';
		index = atoi(text);
	}
	return index > 0 ? index : err_set(e, -ENXIO, "net: the switch is gone");
}

static int nic_init(struct nics *n, const struct part *part, const struct nic *now, struct nic *ret,
		    struct err *e)
{
	int bridge, r = netdev_check_name(part->name, e);

	if (r < 0)
		return err_prefix(e, "net: ");
	bridge = take_bridge(n, part->name, e);
	if (bridge < 0)
		return bridge;
	if (bridge == 0 && !now)
		return err_set(e, -ENXIO, "net: no switch was passed");
	*ret = (struct nic){ .bridge = bridge ? bridge : now->bridge, .config = part->nic };
	ret->config.net = NULL;
	snprintf(ret->name, sizeof(ret->name), "%s", part->name);
	netdev_name(n->host->uuid, part->name, ret->host);
	netdev_beside(n->host->uuid, part->name, ret->beside);
	return 0;
}

static int set_rate(struct nics *n, const struct nic *nic, struct err *e)
{
	int index = netlink_index(n->out, nic->host);

	if (index < 0)
		return err_set(e, -ENXIO, "net: the interface %s is gone", nic->host);
	return netdev_limit(n->out, index, nic->beside, &nic->config.rate.in, &nic->config.rate.out,
			    e);
}

static bool rate_equal(const struct nic *x, const struct nic *y)
{
	return !memcmp(&x->config.rate, &y->config.rate, sizeof(x->config.rate));
}

static void nic_remove(struct nics *n, const struct nic *nic)
{
	int beside = netlink_index(n->out, nic->beside);

	veth_remove(n->out, nic->host, NULL);
	if (beside > 0)
		netlink_delete(n->out, beside, NULL);
}

static int nic_add(struct nics *n, const struct nic *nic, struct err *e)
{
	static const struct rate none = { LIMIT_MAX, 0 };
	struct veth_spec spec = veth_of(n, nic);
	int r = veth_create(n->out, n->in, n->netns, &spec, e);

	if (r == 0 &&
	    (nic->config.rate.in.rate != none.rate || nic->config.rate.out.rate != none.rate)) {
		r = set_rate(n, nic, e);
		if (r < 0)
			nic_remove(n, nic);
	}
	return r;
}

static int nic_change(struct nics *n, const struct nic *now, const struct nic *next, struct err *e)
{
	struct veth_spec was = veth_of(n, now), is = veth_of(n, next);
	int r = veth_change(n->out, n->in, &was, &is, e);

	if (r == 0 && !rate_equal(now, next)) {
		r = set_rate(n, next, e);
		if (r < 0) {
			set_rate(n, now, NULL);
			veth_change(n->out, n->in, &is, &was, NULL);
		}
	}
	return r;
}

/* One of those that are to be: made, or changed, and noted in `next`. */
static int nic_apply(struct nics *n, const struct part *part, struct nics *next, struct err *e)
{
	struct nic *now = find(n, part->name), *nic = &next->list[next->count];
	int r = nic_init(n, part, now, nic, e);

	if (r == 0)
		r = now ? nic_change(n, now, nic, e) : nic_add(n, nic, e);
	if (r < 0)
		return err_prefix(e, "nic/%s/", part->name);
	next->count++;
	return 0;
}

/* Back to what was before those in `next` were made and changed. */
static void undo(struct nics *n, struct nics *next)
{
	while (next->count > 0) {
		struct nic *nic = &next->list[--next->count], *was = find(n, nic->name);

		if (was)
			nic_change(n, nic, was, NULL);
		else
			nic_remove(n, nic);
	}
}

int nics_configure(struct nics *n, const struct machine_config *next, struct err *e)
{
	const struct parts *parts = &next->parts[PART_NIC];
	struct nics *made = calloc(1, sizeof(*made));
	int r = 0;

	if (!made)
		return err_sys(e, ENOMEM, "nic");
	for (size_t i = 0; r == 0 && i < parts->n; i++)
		r = nic_apply(n, &parts->list[i], made, e);
	if (r < 0) {
		undo(n, made);
	} else {
		for (unsigned i = 0; i < n->count; i++)
			if (!find(made, n->list[i].name))
				nic_remove(n, &n->list[i]);
		n->count = made->count;
		memcpy(n->list, made->list, sizeof(n->list));
	}
	free(made);
	return r;
}

static int nics_open(struct nics *n, pid_t pid, struct err *e)
{
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	n->netns = open(path, O_RDONLY | O_CLOEXEC);
	if (n->netns < 0)
		return err_sys(e, errno, "nic: the container's network");
	r = netlink_open(-1, &n->out, e);
	if (r == 0)
		r = netlink_open(n->netns, &n->in, e);
	return r < 0 ? err_prefix(e, "nic: ") : 0;
}

int nics_new(struct engine_host *host, pid_t pid, struct nics **ret, struct err *e)
{
	struct nics *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_sys(e, ENOMEM, "nic");
	n->host = host;
	n->netns = -1;
	r = nics_open(n, pid, e);
	if (r < 0) {
		nics_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void nics_free(struct nics *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n->count; i++)
		nic_remove(n, &n->list[i]);
	netlink_close(n->out);
	netlink_close(n->in);
	if (n->netns >= 0)
		close(n->netns);
	free(n);
}
