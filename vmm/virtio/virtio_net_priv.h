/*
 * What virtio_net.c (configuration, control queue, life), virtio_net_queue.c (frames) and
 * virtio_net_vhost.c (frames that the kernel moves) share.
 */
#ifndef VMM_VIRTIO_VIRTIO_NET_PRIV_H
#define VMM_VIRTIO_VIRTIO_NET_PRIV_H

#include <event2/event.h>
#include <linux/virtio_net.h>

#include "backends/vhost/vhost_kernel.h"
#include "vmm/virtio/virtio_net.h"

#define NET_FEATURE(name) (1ull << VIRTIO_NET_F_##name)

/* The header before each frame, with the number of buffers (5.1.6). */
#define NET_HEADER sizeof(struct virtio_net_hdr_v1)
/* The largest frame: a segment of 64 KiB. */
#define NET_FRAME_MAX (65536 + 14 + 4)

/* A buffer that the guest offered, taken from the queue and not filled yet. */
struct net_buffer {
	uint16_t head;
	uint16_t iov, niov; /* where in net_pair.iov */
	uint32_t len;
};

#define NET_IOV	    (2 * VIRTQ_CHAIN_MAX)
#define NET_BUFFERS 512

/* A pair of queues, and the tap's queue that both work on. */
struct net_pair {
	struct virtio_net *net;
	unsigned index;
	int tap;
	bool attached;
	struct event *readable;	  /* the tap has a frame */
	struct event *receive_at; /* the rate allows the next one, or there are more */
	struct event *send_at;
	struct vhost_kernel *vhost; /* or NULL */
	struct event *error;	    /* with it: the kernel cannot go on */
	unsigned handed;	    /* queues that the kernel has: bit 0 receive, 1 send */
	/* Those that wait to be filled: buffers[first..end), of the iovecs up to iov_end. */
	unsigned first, end, iov_end;
	size_t room;	  /* bytes in them */
	unsigned unplugs; /* the memory's, when their pointers were right */
	struct net_buffer buffers[NET_BUFFERS];
	struct iovec iov[NET_IOV];
};

struct virtio_net {
	struct virtio_device virtio;
	unsigned npairs;
	unsigned active; /* pairs that the guest uses */
	uint32_t mtu;
	struct mac own_mac;    /* as it was made */
	bool link;	       /* as the user wants it */
	bool lost;	       /* the tap is no more */
	bool by_kernel;	       /* who moves frames; from start to stop */
	uint64_t offloads;     /* what the guest does itself: NET_FEATURE(GUEST_...) */
	uint64_t tap_offloads; /* what the tap can leave to it */
	/* Under virtio.lock. */
	struct mac mac;
	bool announce; /* the guest is asked to tell the network where it is */

	struct ratelimit in, out;
	_Atomic uint64_t *counters;
	_Atomic uint64_t own_counters[VIRTIO_NET_COUNTERS];
	struct iovec iov[VIRTQ_CHAIN_MAX]; /* of the request at hand */
	unsigned char bounce[NET_HEADER + NET_FRAME_MAX];
	struct net_pair *pair[VIRTIO_NET_PAIRS];
};

static inline void net_count(struct virtio_net *n, enum virtio_net_counter which, uint64_t by)
{
	atomic_fetch_add_explicit(&n->counters[which], by, memory_order_relaxed);
}

/* Whether frames pass. */
static inline bool net_carrier(const struct virtio_net *n)
{
	return n->link && !n->lost;
}

/* ---- virtio_net_queue.c ---- */

int net_pair_new(struct virtio_net *n, unsigned index, int tap, struct net_pair **ret);
void net_pair_free(struct net_pair *p);
/*
 * Frames go from now on, by the kernel if by_kernel, or no longer; the buffers that wait go back to
 * the guest's queue.
 */
int net_pair_start(struct net_pair *p, struct err *e);
void net_pair_stop(struct net_pair *p);
/* The guest has offered buffers; it has frames to send. */
void net_receive(struct net_pair *p);
void net_send(struct net_pair *p);
/* Throws away what waits in the tap: it is from before. */
void net_pair_drain(struct net_pair *p);

/* ---- virtio_net_vhost.c ---- */

/* Takes the descriptors over, one for each pair: all or none. ret_lacks: features it has not. */
int net_vhost_open(struct virtio_net *n, const int *fds, uint64_t *ret_lacks, struct err *e);
void net_vhost_free(struct net_pair *p);
/* Whether the kernel can move frames now, as queues, link and rates are. */
bool net_vhost_can(struct virtio_net *n);
/* Whether a queue is one that it serves. */
bool net_vhost_serves(const struct virtio_net *n, unsigned queue);
/* Features and memory; then pairs may start. */
int net_vhost_prepare(struct virtio_net *n, struct err *e);
/* After a failure, as else, to be stopped. */
int net_vhost_start(struct net_pair *p, struct err *e);
void net_vhost_stop(struct net_pair *p);
/* Its queues are served here from now on. */
void net_vhost_let_go(struct net_pair *p);
/* The tap has a frame, or something to tell; or may have again. */
void net_vhost_watch(struct net_pair *p, bool frame);

/* ---- virtio_net.c ---- */

/* The tap is gone: the guest sees a pulled cable, the machine's owner a sentence. */
void net_lost(struct virtio_net *n);

#endif
