/* nic/NAME: from a part of the configuration to a virtio interface on a tap. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/virtio/virtio_net.h"
#include "vmm/vm.h"
#include "vmm/vm_parts.h"

static struct ratelimit_rates rates_of(struct rate bytes)
{
	struct ratelimit_rates rates = RATELIMIT_NONE;

	rates.bytes = bytes;
	return rates;
}

/* One for each pair of queues, from the first on: all, or none. */
static bool take_fds(struct vm *vm, const struct part *p, unsigned first, int *fds)
{
	for (unsigned i = 0; i < p->nic.queues; i++) {
		fds[i] = engine_take_fd(vm->host, PART_NIC, p->name, first + i);
		if (fds[i] >= 0)
			continue;
		while (i > 0)
			close(fds[--i]);
		return false;
	}
	return true;
}

static bool limits(const struct rate *r)
{
	return r->rate != 0 && r->rate != LIMIT_MAX;
}

/* What the kernel's vhost cannot do. */
static int check_vhost(const struct nic_config *c, struct err *e)
{
	if (c->vhost == VHOST_ON && (limits(&c->rate.in) || limits(&c->rate.out)))
		return err_set(e, -EINVAL,
			       "rate: the kernel moves the frames (vhost is on), and "
			       "knows no rate; with auto it does not while there is one");
	return 0;
}

static int nic_make(struct vm *vm, const struct part *p, struct virtio_device **ret, struct err *e)
{
	int taps[VIRTIO_NET_PAIRS], vhosts[VIRTIO_NET_PAIRS];
	unsigned pairs = (unsigned)p->nic.queues;
	struct virtio_net_spec spec = {
		.counters = engine_part_counters(vm->host, PART_NIC, p->name),
		.mtu = (uint32_t)p->nic.mtu,
		.pairs = pairs,
		.taps = taps,
		.must_vhost = p->nic.vhost == VHOST_ON,
		.link = p->nic.link,
		.in = rates_of(p->nic.rate.in),
		.out = rates_of(p->nic.rate.out),
	};
	char id[80];
	int r;

	if (p->nic.queues < 1 || p->nic.queues > VIRTIO_NET_PAIRS)
		return err_set(e, -EINVAL, "queues: outside 1..%d", VIRTIO_NET_PAIRS);
	r = check_vhost(&p->nic, e);
	if (r < 0)
		return r;
	memcpy(spec.mac.byte, p->nic.mac, sizeof(spec.mac.byte));
	if (mac_none(&spec.mac))
		spec.mac = mac_of(vm->host->uuid, p->name);
	if (!take_fds(vm, p, 0, taps))
		return err_set(e, -ENXIO, "net: no tap was opened");
	if (p->nic.vhost != VHOST_OFF && take_fds(vm, p, pairs, vhosts))
		spec.vhosts = vhosts;
	snprintf(id, sizeof(id), "nic/%s", p->name);
	return virtio_net_new(&vm->virtio_env, id, &spec, ret, e);
}

/* To another switch its tap moves, by the daemon's hand. */
static int nic_change(struct virtio_device *d, const struct part *now, const struct part *next,
		      struct err *e)
{
	const struct nic_config *a = &now->nic, *b = &next->nic;
	const char *fixed = memcmp(a->mac, b->mac, sizeof(a->mac)) ? "mac"
			    : a->mtu != b->mtu			   ? "mtu"
			    : a->queues != b->queues		   ? "queues"
			    : a->vhost != b->vhost		   ? "vhost"
								   : NULL;
	struct ratelimit_rates in = rates_of(b->rate.in), out = rates_of(b->rate.out);
	int r;

	if (fixed)
		return err_set(e, -ENXIO, "%s: the guest has the interface; unplug it first",
			       fixed);
	r = check_vhost(b, e);
	if (r < 0)
		return r;
	if (memcmp(&a->rate, &b->rate, sizeof(a->rate)) != 0)
		virtio_net_set_rates(d, &in, &out);
	virtio_net_set_link(d, b->link);
	return 0;
}

const struct part_ops nic_part_ops = {
	.kind = PART_NIC,
	.word = "nic",
	.make = nic_make,
	.change = nic_change,
};
