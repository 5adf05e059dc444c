/*
 * virtio-net's frames moved by the kernel, by vhost-net: of each pair of queues it has a device of
 * its own. See virtio_net.h. The control queue stays with virtio_net.c, as do the link and rates,
 * of which the kernel knows nothing: while there are any the queues are served here.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/virtio/virtio_net_priv.h"
#include "vmm/virtio/virtio_vhost.h"

/* What whoever serves a queue must know. */
#define QUEUE_FEATURES \
	(VIRTIO_VERSION_1 | VIRTIO_INDIRECT | VIRTIO_EVENT_IDX | NET_FEATURE(MRG_RXBUF))

#define WATCH_MS 1000

static unsigned queue_of(const struct net_pair *p, unsigned which)
{
	return 2 * p->index + which;
}

static void on_error(evutil_socket_t fd, short what, void *arg)
{
	struct net_pair *p = arg;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) == sizeof(count))
		virtio_fail(&p->net->virtio, "queues %u and %u: the kernel cannot go on with them",
			    queue_of(p, 0), queue_of(p, 1));
}

/* ---- its devices ---- */

static int pair_open(struct net_pair *p, int fd, uint64_t *features, struct err *e)
{
	uint64_t can = 0;
	int r = vhost_kernel_new(fd, &p->vhost, e);

	if (r == 0)
		r = vhost_kernel_features(p->vhost, &can, e);
	if (r < 0)
		return r;
	if (!(can & VIRTIO_VERSION_1))
		return err_set(e, -ENXIO,
			       "vhost: the kernel knows only devices of before "
			       "Virtio 1.0");
	*features &= can;
	p->error = event_new(p->net->virtio.env.loop, vhost_kernel_error_fd(p->vhost),
			     EV_READ | EV_PERSIST, on_error, p);
	return p->error ? 0 : err_sys(e, ENOMEM, "vhost");
}

int net_vhost_open(struct virtio_net *n, const int *fds, uint64_t *ret_lacks, struct err *e)
{
	uint64_t features = QUEUE_FEATURES;
	int r = 0;

	for (unsigned i = 0; i < n->npairs; i++) {
		if (r < 0)
			close(fds[i]);
		else
			r = pair_open(n->pair[i], fds[i], &features, e);
	}
	*ret_lacks = r == 0 ? QUEUE_FEATURES & ~features : 0;
	for (unsigned i = 0; r < 0 && i < n->npairs; i++)
		net_vhost_free(n->pair[i]);
	return r;
}

void net_vhost_free(struct net_pair *p)
{
	if (p->error)
		event_free(p->error);
	p->error = NULL;
	vhost_kernel_free(p->vhost);
	p->vhost = NULL;
}

/* ---- queues ---- */

/* How many queues the driver knows as pairs (5.1.2). */
static unsigned data_queues(const struct virtio_net *n)
{
	return virtio_has(&n->virtio, NET_FEATURE(MQ)) ? 2 * n->npairs : 2;
}

bool net_vhost_serves(const struct virtio_net *n, unsigned queue)
{
	return n->by_kernel && queue < data_queues(n);
}

bool net_vhost_can(struct virtio_net *n)
{
	struct vhost_vring vring;

	if (!n->pair[0]->vhost || !net_carrier(n) || ratelimit_active(&n->in) ||
	    ratelimit_active(&n->out))
		return false;
	/* A driver that polls instead of having interrupts is served here. */
	for (unsigned i = 0; i < data_queues(n); i++)
		if (n->virtio.queues[i].running &&
		    virtio_vhost_vring(&n->virtio, i, &vring, NULL) < 0)
			return false;
	return true;
}

int net_vhost_prepare(struct virtio_net *n, struct err *e)
{
	struct vhost_region regions[GUESTMEM_REGIONS];
	unsigned nregions = virtio_vhost_regions(n->virtio.env.mem, regions);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n->npairs; i++) {
		struct vhost_kernel *v = n->pair[i]->vhost;

		r = vhost_kernel_set_features(v, n->virtio.features & QUEUE_FEATURES, e);
		if (r == 0)
			r = vhost_kernel_set_memory(v, regions, nregions, e);
	}
	return r;
}

static int queue_start(struct net_pair *p, unsigned which, struct err *e)
{
	struct virtio_device *d = &p->net->virtio;
	unsigned queue = queue_of(p, which);
	struct vhost_vring vring;
	int r = virtio_vhost_vring(d, queue, &vring, e);

	if (r == 0)
		r = vhost_kernel_set_queue(p->vhost, which, &vring, e);
	if (r == 0)
		r = vhost_kernel_net(p->vhost, which, p->tap, e);
	if (r < 0)
		return r;
	p->handed |= 1u << which;
	virtio_kick_again(d, queue); /* what came before it listened */
	return 0;
}

int net_vhost_start(struct net_pair *p, struct err *e)
{
	int r = 0;

	for (unsigned which = 0; r == 0 && which < 2; which++)
		if (p->net->virtio.queues[queue_of(p, which)].running && !(p->handed & 1u << which))
			r = queue_start(p, which, e);
	if (r == 0)
		event_add(p->error, NULL);
	return r;
}

void net_vhost_stop(struct net_pair *p)
{
	uint16_t base;

	if (!p->handed)
		return;
	event_del(p->error);
	for (unsigned which = 0; which < 2; which++) {
		if (!(p->handed & 1u << which))
			continue;
		(void)vhost_kernel_net(p->vhost, which, -1, NULL);
		if (vhost_kernel_queue_base(p->vhost, which, &base, NULL) == 0)
			virtio_vhost_back(&p->net->virtio.queues[queue_of(p, which)], base);
	}
	p->handed = 0;
}

void net_vhost_let_go(struct net_pair *p)
{
	for (unsigned which = 0; p->vhost && which < 2; which++)
		vhost_kernel_unbind(p->vhost, which);
}

/* ---- the tap ---- */

/*
 * A frame in the tap is the kernel's to take. But a tap that disappears looks the same, so it is
 * asked; not for each frame, but a second later again.
 */
void net_vhost_watch(struct net_pair *p, bool frame)
{
	const struct timeval later = { WATCH_MS / 1000, WATCH_MS % 1000 * 1000 };
	struct pollfd tap = { .fd = p->tap };

	if (!frame) {
		event_add(p->readable, NULL);
		return;
	}
	event_del(p->readable);
	if (poll(&tap, 1, 0) == 1 && (tap.revents & POLLERR))
		net_lost(p->net);
	else
		event_add(p->receive_at, &later);
}
