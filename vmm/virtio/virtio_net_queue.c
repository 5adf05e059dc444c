/*
 * virtio-net's frames: between a pair of queues and the tap. See virtio_net.h.
 *
 * To send is simple: a request's buffers are one writev(). To receive, buffers are taken from the
 * queue until the largest frame would fit, the tap's next frame is read into them, and those that
 * it filled are given back; the others wait for the next frame. Only when the guest has little left
 * is a frame read to a place of its own first.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/net/tap.h"
#include "vmm/virtio/virtio_net_priv.h"

/* Frames in one go; then other devices have their turn. */
#define NET_BATCH 128

static struct virtq *receive_queue(struct net_pair *p)
{
	return &p->net->virtio.queues[2 * p->index];
}

static struct virtq *send_queue(struct net_pair *p)
{
	return &p->net->virtio.queues[2 * p->index + 1];
}

static void wait_for(struct event *timer, uint64_t ns)
{
	uint64_t us = ns / 1000 + (ns % 1000 != 0);
	struct timeval tv = { (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };

	if (us > 60000000) /* the rate may be another by then */
		tv = (struct timeval){ 60, 0 };
	event_add(timer, &tv);
}

/* ---- to the guest ---- */

/* No place for another chain: tiny ones, more than a frame needs of a driver that means well. */
static bool buffers_full(const struct net_pair *p)
{
	return p->end == NET_BUFFERS || p->iov_end > NET_IOV - VIRTQ_CHAIN_MAX;
}

/* Moves what waits to the front when a whole chain would not fit behind it. */
static void buffers_compact(struct net_pair *p)
{
	unsigned iov = p->first < p->end ? p->buffers[p->first].iov : p->iov_end;

	if (!buffers_full(p))
		return;
	memmove(p->iov, p->iov + iov, (p->iov_end - iov) * sizeof(p->iov[0]));
	memmove(p->buffers, p->buffers + p->first, (p->end - p->first) * sizeof(p->buffers[0]));
	p->end -= p->first;
	p->iov_end -= iov;
	p->first = 0;
	for (unsigned i = 0; i < p->end; i++)
		p->buffers[i].iov = (uint16_t)(p->buffers[i].iov - iov);
}

/* What the tap may have, with header and a VLAN's tag. */
static size_t frame_max(const struct virtio_net *n)
{
	return NET_HEADER + (n->offloads ? NET_FRAME_MAX : (size_t)n->mtu + 14 + 4);
}

/* What must wait before a frame is read into it: one buffer takes all, or many together. */
static bool buffers_suffice(const struct net_pair *p)
{
	if (!virtio_has(&p->net->virtio, NET_FEATURE(MRG_RXBUF)))
		return p->first < p->end;
	return p->room >= frame_max(p->net);
}

/* Takes one from the queue; as virtq_pop(). */
static int buffers_take(struct net_pair *p)
{
	struct virtq *q = receive_queue(p);
	struct virtq_chain c;
	int r;

	r = virtq_pop(q, p->iov + p->iov_end, VIRTQ_CHAIN_MAX, &c);
	if (r <= 0)
		return r;
	if (c.nout || c.in_len < NET_HEADER || c.in_len > UINT32_MAX) {
		q->broken = "a buffer is of no use for a frame";
		return -EINVAL;
	}
	p->buffers[p->end++] = (struct net_buffer){ c.head, (uint16_t)p->iov_end, (uint16_t)c.nin,
						    (uint32_t)c.in_len };
	p->iov_end += c.nin;
	p->room += c.in_len;
	return 1;
}

static void buffers_return(struct net_pair *p)
{
	virtq_unpop(receive_queue(p), p->end - p->first);
	p->first = p->end = p->iov_end = 0;
	p->room = 0;
}

/* What the guest has given back since they were taken may have been theirs: they are asked anew. */
static void buffers_check(struct net_pair *p)
{
	unsigned now = p->net->virtio.env.mem->unplugs;

	if (p->unplugs != now)
		buffers_return(p);
	p->unplugs = now;
}

/* 1: a frame may be read; 0: there is nothing to read it into, a kick will come; or -EINVAL. */
static int buffers_refill(struct net_pair *p)
{
	int r;

	buffers_check(p);
	while (!buffers_suffice(p)) {
		buffers_compact(p);
		if (buffers_full(p))
			break;
		r = buffers_take(p);
		if (r < 0)
			return r;
		if (r == 0 && !virtq_arm(receive_queue(p)))
			break;
	}
	return p->first < p->end;
}

/* Gives those back that hold the next len bytes; they were all there. */
static void buffers_fill(struct net_pair *p, size_t len)
{
	struct virtq *q = receive_queue(p);
	struct net_buffer *b = &p->buffers[p->first];
	struct virtq_chain header = { .in = p->iov + b->iov, .nin = b->niov };
	uint16_t used = 0;

	do {
		uint32_t part = len < b->len ? (uint32_t)len : b->len;

		virtq_fill(q, b->head, part);
		len -= part;
		p->room -= b->len;
		used++;
		b++;
	} while (len > 0);
	p->first += used;
	virtq_copy_in(&header, offsetof(struct virtio_net_hdr_v1, num_buffers), &used,
		      sizeof(used));
	virtq_publish(q);
}

/* How many bytes may be read into how many iovecs: all, or the first buffer's. */
static size_t buffers_span(const struct net_pair *p, unsigned *ret_niov)
{
	const struct net_buffer *b = &p->buffers[p->first];
	size_t span = b->len;

	*ret_niov = b->niov;
	if (!virtio_has(&p->net->virtio, NET_FEATURE(MRG_RXBUF)))
		return span;
	while (++b < p->buffers + p->end && *ret_niov + b->niov <= VIRTQ_CHAIN_MAX) {
		*ret_niov += b->niov;
		span += b->len;
	}
	return span;
}

/* Reads a frame; its length with header, cut to what there is room for, or -errno. */
static ssize_t frame_read(struct net_pair *p, struct iovec *iov, unsigned niov)
{
	ssize_t len = readv(p->tap, iov, (int)niov);

	return len < 0 ? -errno : len;
}

/* The guest has less left than the largest frame needs: this one may fit. */
static ssize_t frame_bounce(struct net_pair *p, struct iovec *iov, unsigned niov, size_t span)
{
	struct virtio_net *n = p->net;
	struct iovec bounce = { n->bounce, sizeof(n->bounce) };
	struct virtq_chain into = { .in = iov, .nin = niov };
	ssize_t len = frame_read(p, &bounce, 1);

	if (len > 0 && (size_t)len <= span)
		virtq_copy_in(&into, 0, n->bounce, (size_t)len);
	return len;
}

static void frame_received(struct net_pair *p, size_t len, size_t span)
{
	struct virtio_net *n = p->net;

	if (ratelimit_active(&n->in))
		ratelimit_charge(&n->in, len - NET_HEADER, 1, ratelimit_clock());
	if (len > span) {
		net_count(n, VIRTIO_NET_RX_DROPPED, 1);
		return;
	}
	buffers_fill(p, len);
	net_count(n, VIRTIO_NET_RX_PACKETS, 1);
	net_count(n, VIRTIO_NET_RX_BYTES, len - NET_HEADER);
}

/* Whether the rate holds the next frame back; then a timer comes. */
static bool held_back(struct net_pair *p)
{
	struct virtio_net *n = p->net;
	uint64_t wait;

	if (!ratelimit_active(&n->in))
		return false;
	wait = ratelimit_ready(&n->in, ratelimit_clock());
	if (wait == 0)
		return false;
	net_count(n, VIRTIO_NET_RATE_WAITS, 1);
	event_del(p->readable);
	wait_for(p->receive_at, wait);
	return true;
}

/* One frame: 1, or 0 when it must wait for something that will call again, or -errno. */
static int receive_one(struct net_pair *p)
{
	unsigned niov;
	size_t span;
	ssize_t len;
	int r = buffers_refill(p);

	if (r == 0) {
		net_count(p->net, VIRTIO_NET_RX_WAITS, 1);
		event_del(p->readable);
	}
	if (r <= 0 || held_back(p))
		return r < 0 ? r : 0;
	span = buffers_span(p, &niov);
	if (span >= frame_max(p->net))
		len = frame_read(p, p->iov + p->buffers[p->first].iov, niov);
	else
		len = frame_bounce(p, p->iov + p->buffers[p->first].iov, niov, span);
	if (len == -EAGAIN || len == -EINTR)
		return 0;
	if (len == 0 || len == -EBADFD || len == -EBADF)
		return -ENXIO;
	if (len < (ssize_t)NET_HEADER)
		net_count(p->net, VIRTIO_NET_RX_DROPPED, 1);
	else
		frame_received(p, (size_t)len, span);
	return 1;
}

void net_receive(struct net_pair *p)
{
	struct virtio_net *n = p->net;
	struct virtq *q = receive_queue(p);
	uint16_t before = q->next_used;
	unsigned batch = NET_BATCH;
	int r = 1;

	if (!n->virtio.running || n->by_kernel || !net_carrier(n) || p->index >= n->active)
		return;
	event_add(p->readable, NULL);
	while (batch-- > 0 && r > 0)
		r = receive_one(p);
	if (q->next_used != before)
		virtio_notify(&n->virtio, 2 * p->index);
	if (q->broken)
		virtio_fail_queue(&n->virtio, 2 * p->index);
	else if (r < 0)
		net_lost(n);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct net_pair *p = arg;

	if (p->net->by_kernel)
		net_vhost_watch(p, what & EV_READ);
	else
		net_receive(p);
}

/* ---- from the guest ---- */

/* Whether the frame was dealt with; false: not before the timer. */
static bool send_one(struct net_pair *p, const struct virtq_chain *c)
{
	struct virtio_net *n = p->net;
	size_t len = c->out_len > NET_HEADER ? c->out_len - NET_HEADER : 0;
	uint64_t wait = 0;

	if (len == 0 || !net_carrier(n) || p->index >= n->active)
		goto drop;
	if (ratelimit_active(&n->out))
		wait = ratelimit_take(&n->out, len, 1, ratelimit_clock());
	if (wait) {
		net_count(n, VIRTIO_NET_RATE_WAITS, 1);
		wait_for(p->send_at, wait);
		return false;
	}
	if (writev(p->tap, c->out, (int)c->nout) < 0) {
		if (errno == EBADFD || errno == EBADF || errno == EIO)
			net_lost(n);
		goto drop;
	}
	net_count(n, VIRTIO_NET_TX_PACKETS, 1);
	net_count(n, VIRTIO_NET_TX_BYTES, len);
	return true;
drop:
	net_count(n, VIRTIO_NET_TX_DROPPED, 1);
	return true;
}

/* 1: more at once; 0: a kick or a timer will come; or -EINVAL. */
static int send_batch(struct net_pair *p)
{
	struct virtq *q = send_queue(p);
	unsigned batch = NET_BATCH;
	struct virtq_chain c;
	int r;

	do {
		virtq_disarm(q);
		while ((r = virtq_pop(q, p->net->iov, VIRTQ_CHAIN_MAX, &c)) > 0) {
			if (!send_one(p, &c)) {
				virtq_unpop(q, 1);
				return 0;
			}
			virtq_push(q, c.head, 0);
			if (--batch == 0)
				return 1;
		}
	} while (r == 0 && virtq_arm(q));
	return r;
}

void net_send(struct net_pair *p)
{
	struct virtio_device *d = &p->net->virtio;
	uint16_t before = send_queue(p)->next_used;
	int r;

	if (!d->running || p->net->by_kernel)
		return;
	r = send_batch(p);
	if (send_queue(p)->next_used != before)
		virtio_notify(d, 2 * p->index + 1);
	if (r < 0)
		virtio_fail_queue(d, 2 * p->index + 1);
	else if (r > 0)
		event_active(p->send_at, EV_TIMEOUT, 0);
}

static void on_send_at(evutil_socket_t fd, short what, void *arg)
{
	net_send(arg);
}

/* ---- life ---- */

void net_pair_drain(struct net_pair *p)
{
	struct virtio_net *n = p->net;
	struct iovec bounce = { n->bounce, sizeof(n->bounce) };

	/* Bounded: a sender who never pauses is not from before. */
	for (int i = 0; i < 4096 && frame_read(p, &bounce, 1) > 0; i++)
		net_count(n, VIRTIO_NET_RX_DROPPED, 1);
}

/* The tap gives frames only to queues that take part: those the guest uses. */
static void attach(struct net_pair *p, bool on)
{
	if (p->attached != on && tap_attach(p->tap, on) == 0)
		p->attached = on;
}

int net_pair_start(struct net_pair *p, struct err *e)
{
	int r = 0;

	if (p->index >= p->net->active) {
		attach(p, false);
		return 0;
	}
	attach(p, true);
	if (p->net->by_kernel)
		r = net_vhost_start(p, e);
	else
		net_vhost_let_go(p);
	if (r == 0 && net_carrier(p->net))
		event_add(p->readable, NULL);
	return r;
}

void net_pair_stop(struct net_pair *p)
{
	event_del(p->readable);
	event_del(p->receive_at);
	event_del(p->send_at);
	net_vhost_stop(p);
	buffers_return(p);
}

int net_pair_new(struct virtio_net *n, unsigned index, int tap, struct net_pair **ret)
{
	struct net_pair *p = calloc(1, sizeof(*p));

	if (!p) {
		close(tap);
		return -ENOMEM;
	}
	p->net = n;
	p->index = index;
	p->tap = tap;
	p->attached = true;
	p->readable = event_new(n->virtio.env.loop, tap, EV_READ | EV_PERSIST, on_readable, p);
	p->receive_at = evtimer_new(n->virtio.env.loop, on_readable, p);
	p->send_at = evtimer_new(n->virtio.env.loop, on_send_at, p);
	if (!p->readable || !p->receive_at || !p->send_at) {
		net_pair_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

void net_pair_free(struct net_pair *p)
{
	if (!p)
		return;
	struct event *events[] = { p->readable, p->receive_at, p->send_at };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	net_vhost_free(p);
	close(p->tap);
	free(p);
}
