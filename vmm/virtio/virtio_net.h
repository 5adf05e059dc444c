/*
 * virtio-net (Virtio 1.2, 5.1): a network interface whose other end is a tap (backends/net/tap.h).
 *
 * Frames go between guest memory and the tap by one readv() or writev() each, on the device loop.
 * With descriptors of /dev/vhost-net the kernel does that instead, wherever it can do all that is
 * asked: not while there is a rate, nor while the link is down. Which of the two it is may change
 * at any time, and neither guest nor saved state knows.
 *
 * Checksums and segmentation (TSO, UFO) are passed on in virtio's header, which the tap has before
 * each frame: nothing here looks into a frame. Of each pair of queues (receive, transmit) the tap
 * has a descriptor; with more than one pair the guest says how many it uses.
 *
 * All functions belong to the loop thread. The device is made for virtio_pci_new(), which owns it.
 */
#ifndef VMM_VIRTIO_VIRTIO_NET_H
#define VMM_VIRTIO_VIRTIO_NET_H

#include "backends/base/ratelimit.h"
#include "backends/net/netaddr.h"
#include "vmm/virtio/virtio.h"

#define VIRTIO_NET_PAIRS 16

/* Relaxed adds by the device; a row of atomics that others read. Packets are frames as the guest
 * gave or got them: a segment of 64 KiB is one. */
enum virtio_net_counter {
	VIRTIO_NET_RX_BYTES,
	VIRTIO_NET_RX_PACKETS,
	VIRTIO_NET_RX_DROPPED, /* larger than the guest's buffer, or the link was down */
	VIRTIO_NET_RX_WAITS,   /* times that the guest had no buffer */
	VIRTIO_NET_TX_BYTES,
	VIRTIO_NET_TX_PACKETS,
	VIRTIO_NET_TX_DROPPED, /* malformed, the link was down, or the host would not have it */
	VIRTIO_NET_RATE_WAITS, /* times that `rate` held one back */
	VIRTIO_NET_HANDED,     /* times that the queues were handed to the kernel, which counts at
				  the tap: nothing of its frames is in the above */
	VIRTIO_NET_COUNTERS,
};

struct virtio_net_spec {
	struct mac mac;
	uint32_t mtu;
	unsigned pairs;	 /* 1 to VIRTIO_NET_PAIRS */
	const int *taps; /* one for each pair; taken over, also when virtio_net_new() fails */
	/* Likewise, of /dev/vhost-net; or NULL: frames are moved here. */
	const int *vhosts;
	bool must_vhost; /* fail where the kernel cannot; else frames are moved here then */
	bool link;	 /* the cable is plugged in */
	struct ratelimit_rates in, out; /* to the guest, from it */
	_Atomic uint64_t *counters; /* VIRTIO_NET_COUNTERS of them, or NULL; outlive the device */
};

int virtio_net_new(const struct virtio_env *env, const char *id, const struct virtio_net_spec *spec,
		   struct virtio_device **ret, struct err *e);

/* Pulls the cable, or plugs it in: the guest sees its carrier go and come. */
void virtio_net_set_link(struct virtio_device *d, bool up);
void virtio_net_set_rates(struct virtio_device *d, const struct ratelimit_rates *in,
			  const struct ratelimit_rates *out);
/* As the guest has it: it may have changed it. Any thread. */
struct mac virtio_net_mac(struct virtio_device *d);

#endif
