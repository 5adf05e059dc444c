/*
 * virtio-net's configuration, control queue and life; frames are virtio_net_queue.c's and
 * virtio_net_vhost.c's.
 */
#include "vmm/virtio/virtio_net.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/net/tap.h"
#include "vmm/virtio/virtio_net_priv.h"

#define NET_QUEUE_SIZE 256

/* Offloads of the guest's receiving side (5.1.3), and their names at a tap. */
static const struct offload {
	uint64_t feature;
	unsigned tap;
} offloads[] = {
	{ NET_FEATURE(GUEST_CSUM), TUN_F_CSUM }, { NET_FEATURE(GUEST_TSO4), TUN_F_TSO4 },
	{ NET_FEATURE(GUEST_TSO6), TUN_F_TSO6 }, { NET_FEATURE(GUEST_ECN), TUN_F_TSO_ECN },
	{ NET_FEATURE(GUEST_UFO), TUN_F_UFO },
};
#define OFFLOADS (sizeof(offloads) / sizeof(offloads[0]))

/* What the guest sends unfinished, and the feature on the other side that the tap must have for it.
 */
static const struct {
	uint64_t host, guest;
} directions[] = {
	{ NET_FEATURE(CSUM), NET_FEATURE(GUEST_CSUM) },
	{ NET_FEATURE(HOST_TSO4), NET_FEATURE(GUEST_TSO4) },
	{ NET_FEATURE(HOST_TSO6), NET_FEATURE(GUEST_TSO6) },
	{ NET_FEATURE(HOST_ECN), NET_FEATURE(GUEST_ECN) },
	{ NET_FEATURE(HOST_UFO), NET_FEATURE(GUEST_UFO) },
};

static struct virtio_net *net_of(struct virtio_device *d)
{
	return (struct virtio_net *)d;
}

/* ---- offloads ---- */

static unsigned tap_flags(uint64_t features)
{
	unsigned flags = 0;

	for (size_t i = 0; i < OFFLOADS; i++)
		if (features & offloads[i].feature)
			flags |= offloads[i].tap;
	/* Whoever cannot finish a checksum cannot cut a segment. */
	return flags & TUN_F_CSUM ? flags : 0;
}

/* Which of them the tap knows: older kernels have no UFO, newer ones again. */
static uint64_t probe_offloads(int tap)
{
	uint64_t can = 0;

	for (size_t i = 0; i < OFFLOADS; i++)
		if (tap_offload(tap, tap_flags(can | offloads[i].feature)) == 0)
			can |= offloads[i].feature;
	tap_offload(tap, 0);
	return can;
}

/* An offload is the whole tap's, not a queue's. */
static void set_offloads(struct virtio_net *n, uint64_t features)
{
	n->offloads = features & n->tap_offloads;
	if (!n->lost && n->tap_offloads)
		tap_offload(n->pair[0]->tap, tap_flags(n->offloads));
}

/* ---- the link ---- */

static uint16_t status(const struct virtio_net *n)
{
	return (uint16_t)((net_carrier(n) ? VIRTIO_NET_S_LINK_UP : 0) |
			  (n->announce ? VIRTIO_NET_S_ANNOUNCE : 0));
}

/* Sets a flag that config_read() shows; asks for an announcement when the link has come. */
static void link_change(struct virtio_net *n, bool *flag, bool value)
{
	bool before;

	pthread_mutex_lock(&n->virtio.lock);
	before = net_carrier(n);
	*flag = value;
	if (!before && net_carrier(n) && virtio_has(&n->virtio, NET_FEATURE(GUEST_ANNOUNCE)))
		n->announce = true;
	pthread_mutex_unlock(&n->virtio.lock);
	if (before != net_carrier(n))
		virtio_notify_config(&n->virtio);
}

/* Whoever is to move frames now does. */
static void rearrange(struct virtio_net *n)
{
	if (n->virtio.running && n->by_kernel != net_vhost_can(n))
		virtio_restart(&n->virtio);
}

void net_lost(struct virtio_net *n)
{
	char why[128];

	if (n->lost)
		return;
	for (unsigned i = 0; i < n->npairs; i++)
		event_del(n->pair[i]->readable);
	link_change(n, &n->lost, true);
	rearrange(n);
	snprintf(why, sizeof(why), "%s: its interface on the host is gone", n->virtio.id);
	if (n->virtio.env.failed)
		n->virtio.env.failed(n->virtio.env.arg, why);
}

void virtio_net_set_link(struct virtio_device *d, bool up)
{
	struct virtio_net *n = net_of(d);

	if (n->link == up)
		return;
	for (unsigned i = 0; up && i < n->npairs; i++)
		net_pair_drain(n->pair[i]);
	link_change(n, &n->link, up);
	rearrange(n);
	for (unsigned i = 0; i < n->npairs; i++) {
		if (!up)
			event_del(n->pair[i]->readable);
		else
			net_receive(n->pair[i]);
	}
}

void virtio_net_set_rates(struct virtio_device *d, const struct ratelimit_rates *in,
			  const struct ratelimit_rates *out)
{
	struct virtio_net *n = net_of(d);
	uint64_t now = ratelimit_clock();

	ratelimit_set(&n->in, in, now);
	ratelimit_set(&n->out, out, now);
	rearrange(n);
	/* Who waits by the former rates asks again. */
	for (unsigned i = 0; i < n->active; i++) {
		net_receive(n->pair[i]);
		net_send(n->pair[i]);
	}
}

struct mac virtio_net_mac(struct virtio_device *d)
{
	struct virtio_net *n = net_of(d);
	struct mac mac;

	pthread_mutex_lock(&d->lock);
	mac = n->mac;
	pthread_mutex_unlock(&d->lock);
	return mac;
}

static void net_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	struct virtio_net *n = net_of(d);
	struct virtio_net_config config = {
		.status = status(n),
		.max_virtqueue_pairs = (uint16_t)n->npairs,
		.mtu = (uint16_t)n->mtu,
	};

	memcpy(config.mac, n->mac.byte, sizeof(config.mac));
	memcpy(data, (const char *)&config + offset, len);
}

/* ---- the control queue (5.1.6.5) ---- */

static void set_active(struct virtio_net *n, unsigned active)
{
	struct err e = { 0 };
	int r = 0;

	n->active = active;
	for (unsigned i = 0; r == 0 && i < n->npairs; i++) {
		if (i >= active)
			net_pair_stop(n->pair[i]);
		r = net_pair_start(n->pair[i], &e);
		if (r == 0)
			net_receive(n->pair[i]);
	}
	if (r < 0)
		virtio_fail(&n->virtio, "%s", e.text);
}

static bool control_pairs(struct virtio_net *n, const struct virtq_chain *c)
{
	uint16_t pairs;

	if (!virtio_has(&n->virtio, NET_FEATURE(MQ)) ||
	    virtq_copy_out(c, 2, &pairs, sizeof(pairs)) != sizeof(pairs) || pairs < 1 ||
	    pairs > n->npairs)
		return false;
	set_active(n, pairs);
	return true;
}

static bool control_mac(struct virtio_net *n, const struct virtq_chain *c)
{
	struct mac mac;

	if (!virtio_has(&n->virtio, NET_FEATURE(CTRL_MAC_ADDR)) ||
	    virtq_copy_out(c, 2, &mac, sizeof(mac)) != sizeof(mac))
		return false;
	pthread_mutex_lock(&n->virtio.lock);
	n->mac = mac;
	pthread_mutex_unlock(&n->virtio.lock);
	return true;
}

static bool control_offloads(struct virtio_net *n, const struct virtq_chain *c)
{
	uint64_t wanted;

	if (!virtio_has(&n->virtio, NET_FEATURE(CTRL_GUEST_OFFLOADS)) ||
	    virtq_copy_out(c, 2, &wanted, sizeof(wanted)) != sizeof(wanted) ||
	    (wanted & ~(n->virtio.features & n->tap_offloads)))
		return false;
	set_offloads(n, wanted);
	return true;
}

static bool control_announced(struct virtio_net *n, const struct virtq_chain *c)
{
	if (!virtio_has(&n->virtio, NET_FEATURE(GUEST_ANNOUNCE)))
		return false;
	pthread_mutex_lock(&n->virtio.lock);
	n->announce = false;
	pthread_mutex_unlock(&n->virtio.lock);
	return true;
}

static const struct {
	uint8_t class, command;
	bool (*run)(struct virtio_net *n, const struct virtq_chain *c);
} commands[] = {
	{ VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, control_pairs },
	{ VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, control_mac },
	{ VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, control_offloads },
	{ VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, control_announced },
};

/* Its answer, one byte. What it does not know it refuses: the driver goes on without. */
static uint8_t control(struct virtio_net *n, const struct virtq_chain *c)
{
	uint8_t what[2];

	if (virtq_copy_out(c, 0, what, sizeof(what)) == sizeof(what))
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (commands[i].class == what[0] && commands[i].command == what[1])
				return commands[i].run(n, c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	return VIRTIO_NET_ERR;
}

static int64_t control_work(struct virtio_device *d, unsigned queue, const struct virtq_chain *c)
{
	uint8_t ack = control(net_of(d), c);

	return (int64_t)virtq_copy_in(c, 0, &ack, 1);
}

/* ---- virtio ---- */

/* Without MQ a driver knows one pair, and looks for the control queue behind it (5.1.2). */
static unsigned control_queue(const struct virtio_net *n)
{
	return virtio_has(&n->virtio, NET_FEATURE(MQ)) ? 2 * n->npairs : 2;
}

static void net_kick(struct virtio_device *d, unsigned queue)
{
	struct virtio_net *n = net_of(d);

	if (queue == control_queue(n))
		virtio_serve(d, queue, control_work);
	else if (queue >= 2 * n->npairs)
		return;
	else if (queue % 2)
		net_send(n->pair[queue / 2]);
	else
		net_receive(n->pair[queue / 2]);
}

static void net_stop(struct virtio_device *d)
{
	struct virtio_net *n = net_of(d);

	for (unsigned i = 0; i < n->npairs; i++)
		net_pair_stop(n->pair[i]);
	n->by_kernel = false;
}

/* A device that goes on keeps what the driver has told it; `active` 0: it has told nothing yet. */
static int net_start(struct virtio_device *d, struct err *e)
{
	struct virtio_net *n = net_of(d);
	int r = 0;

	if (n->active == 0) {
		n->active = 1;
		n->offloads = d->features;
	}
	set_offloads(n, n->offloads);
	n->by_kernel = net_vhost_can(n);
	if (n->by_kernel)
		r = net_vhost_prepare(n, e);
	for (unsigned i = 0; r == 0 && i < n->npairs; i++)
		r = net_pair_start(n->pair[i], e);
	if (r < 0)
		net_stop(d);
	else if (n->by_kernel)
		net_count(n, VIRTIO_NET_HANDED, 1);
	return r;
}

static bool net_own_kicks(const struct virtio_device *d, unsigned queue)
{
	return net_vhost_serves((const struct virtio_net *)d, queue);
}

static void net_reset(struct virtio_device *d)
{
	struct virtio_net *n = net_of(d);

	n->active = 0;
	set_offloads(n, 0);
	pthread_mutex_lock(&d->lock);
	n->mac = n->own_mac;
	n->announce = false;
	pthread_mutex_unlock(&d->lock);
}

static void net_save(struct virtio_device *d, struct record *r)
{
	struct virtio_net *n = net_of(d);

	record_put_u8(r, 1);
	record_put_u32(r, n->active);
	record_put_u64(r, n->offloads);
	record_put(r, n->mac.byte, sizeof(n->mac.byte));
	record_put_u8(r, n->announce);
}

/* In another place the network has to learn where it is now. */
static int net_load(struct virtio_device *d, struct record *r, struct err *e)
{
	struct virtio_net *n = net_of(d);
	uint8_t version = record_get_u8(r);
	uint32_t active = record_get_u32(r);
	uint64_t wanted = record_get_u64(r);
	struct mac mac;

	record_get(r, mac.byte, sizeof(mac.byte));
	record_get_u8(r); /* an announcement is due anyway */
	if (version != 1 || !record_done(r))
		return err_set(e, -EINVAL, "virtio-net: not a state that this version can load");
	if (active > n->npairs)
		return err_set(e, -EINVAL, "virtio-net: the saved state uses %u pairs of queues",
			       active);
	n->active = active;
	n->offloads = wanted & d->features;
	pthread_mutex_lock(&d->lock);
	n->mac = mac;
	n->announce = active > 0 && virtio_has(d, NET_FEATURE(GUEST_ANNOUNCE));
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static void net_free(struct virtio_device *d)
{
	struct virtio_net *n = net_of(d);

	for (unsigned i = 0; i < n->npairs; i++)
		net_pair_free(n->pair[i]);
	virtio_deinit(d);
	free(n);
}

static const struct virtio_ops net_ops = {
	.name = "virtio-net",
	.type = 1,
	.pci_class = 0x020000,
	.own_kicks = net_own_kicks,
	.start = net_start,
	.kick = net_kick,
	.stop = net_stop,
	.reset = net_reset,
	.config_read = net_config_read,
	.save = net_save,
	.load = net_load,
	.free = net_free,
};

static uint64_t features(const struct virtio_net *n)
{
	uint64_t all = NET_FEATURE(MAC) | NET_FEATURE(STATUS) | NET_FEATURE(MTU) |
		       NET_FEATURE(MRG_RXBUF) | NET_FEATURE(CTRL_VQ) | NET_FEATURE(CTRL_MAC_ADDR) |
		       NET_FEATURE(GUEST_ANNOUNCE) | n->tap_offloads;

	if (n->npairs > 1)
		all |= NET_FEATURE(MQ);
	if (n->tap_offloads)
		all |= NET_FEATURE(CTRL_GUEST_OFFLOADS);
	for (size_t i = 0; i < sizeof(directions) / sizeof(directions[0]); i++)
		if (n->tap_offloads & directions[i].guest)
			all |= directions[i].host;
	return all;
}

/* spec's descriptors are taken over, each once. */
static int add_pairs(struct virtio_net *n, const struct virtio_net_spec *spec)
{
	int r = 0;

	for (unsigned i = 0; i < spec->pairs; i++) {
		if (r < 0)
			close(spec->taps[i]);
		else
			r = net_pair_new(n, i, spec->taps[i], &n->pair[i]);
		n->npairs += r == 0;
	}
	return r;
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; fds && i < n; i++)
		close(fds[i]);
}

/* ret_lacks: what must not be offered. */
static int add_vhosts(struct virtio_net *n, const struct virtio_net_spec *spec, uint64_t *ret_lacks,
		      struct err *e)
{
	if (!spec->vhosts)
		return spec->must_vhost ? err_set(e, -ENXIO, "vhost: no device was opened") : 0;
	if (spec->must_vhost)
		return net_vhost_open(n, spec->vhosts, ret_lacks, e);
	(void)net_vhost_open(n, spec->vhosts, ret_lacks, NULL);
	return 0;
}

int virtio_net_new(const struct virtio_env *env, const char *id, const struct virtio_net_spec *spec,
		   struct virtio_device **ret, struct err *e)
{
	struct virtio_net *n = calloc(1, sizeof(*n));
	uint64_t lacks = 0;
	int r;

	if (!n) {
		close_all(spec->taps, spec->pairs);
		close_all(spec->vhosts, spec->pairs);
		return err_sys(e, ENOMEM, "%s", id);
	}
	n->mtu = spec->mtu;
	n->own_mac = n->mac = spec->mac;
	n->link = spec->link;
	n->counters = spec->counters ? spec->counters : n->own_counters;
	n->virtio.env = *env; /* the pairs' events are on its loop */
	r = add_pairs(n, spec);
	if (r < 0) {
		close_all(spec->vhosts, spec->pairs);
		r = err_sys(e, ENOMEM, "%s", id);
	} else {
		r = add_vhosts(n, spec, &lacks, e);
	}
	if (r == 0) {
		n->tap_offloads = probe_offloads(spec->taps[0]);
		r = virtio_init(&n->virtio, &net_ops, env, id, 2 * spec->pairs + 1, NET_QUEUE_SIZE,
				features(n), offsetof(struct virtio_net_config, mtu) + 2, e);
	}
	if (r < 0) {
		net_free(&n->virtio);
		return r;
	}
	n->virtio.offered &= ~lacks;
	virtio_net_set_rates(&n->virtio, &spec->in, &spec->out);
	*ret = &n->virtio;
	return 0;
}
