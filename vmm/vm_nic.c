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

static int take_taps(struct vm *vm, const struct part *p, int *taps, struct err *e)
{
	for (unsigned i = 0; i < p->nic.queues; i++) {
		taps[i] = engine_take_fd(vm->host, PART_NIC, p->name, i);
		if (taps[i] >= 0)
			continue;
		while (i > 0)
			close(taps[--i]);
		return err_set(e, -ENXIO, "net: no tap was opened");
	}
	return 0;
}

static int nic_make(struct vm *vm, const struct part *p, struct virtio_device **ret, struct err *e)
{
	int taps[VIRTIO_NET_PAIRS], r;
	struct virtio_net_spec spec = {
		.counters = engine_part_counters(vm->host, PART_NIC, p->name),
		.mtu = (uint32_t)p->nic.mtu,
		.pairs = (unsigned)p->nic.queues,
		.taps = taps,
		.link = p->nic.link,
		.in = rates_of(p->nic.rate.in),
		.out = rates_of(p->nic.rate.out),
	};
	char id[80];

	if (p->nic.queues < 1 || p->nic.queues > VIRTIO_NET_PAIRS)
		return err_set(e, -EINVAL, "queues: outside 1..%d", VIRTIO_NET_PAIRS);
	memcpy(spec.mac.byte, p->nic.mac, sizeof(spec.mac.byte));
	if (mac_none(&spec.mac))
		spec.mac = mac_of(vm->host->uuid, p->name);
	r = take_taps(vm, p, taps, e);
	snprintf(id, sizeof(id), "nic/%s", p->name);
	return r < 0 ? r : virtio_net_new(&vm->virtio_env, id, &spec, ret, e);
}

/* To another switch its tap moves, by the daemon's hand. */
static int nic_change(struct virtio_device *d, const struct part *now, const struct part *next,
		      struct err *e)
{
	const struct nic_config *a = &now->nic, *b = &next->nic;
	const char *fixed = memcmp(a->mac, b->mac, sizeof(a->mac)) ? "mac"
			    : a->mtu != b->mtu			   ? "mtu"
			    : a->queues != b->queues		   ? "queues"
								   : NULL;
	struct ratelimit_rates in = rates_of(b->rate.in), out = rates_of(b->rate.out);

	if (fixed)
		return err_set(e, -ENXIO, "%s: the guest has the interface; unplug it first",
			       fixed);
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
