/* virtio-vsock's queues and life; connections are virtio_vsock_conn.c's. */
#include "vmm/virtio/virtio_vsock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/virtio/virtio_vsock_priv.h"

#define VSOCK_BATCH  64
#define VSOCK_HEADER sizeof(struct virtio_vsock_hdr)

static struct vsock *vsock_of(struct virtio_device *d)
{
	return (struct vsock *)d;
}

/* ---- to the guest ---- */

/* The iovecs behind the first `skip` bytes; returns how many there are from *iov on. */
static unsigned iov_skip(struct iovec **iov, unsigned n, size_t skip)
{
	while (n > 0 && skip >= (*iov)->iov_len) {
		skip -= (*iov)->iov_len;
		(*iov)++;
		n--;
	}
	if (n > 0) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + skip;
		(*iov)->iov_len -= skip;
	}
	return n;
}

/* Fills one buffer: 1, or 0 when there is nothing to say or no buffer, or -EINVAL. */
static int fill_one(struct vsock *v)
{
	struct virtq *q = &v->device.virtio.queues[VSOCK_RX];
	struct virtio_vsock_hdr h = { 0 };
	struct iovec header[VIRTQ_CHAIN_MAX], *data = v->iov;
	struct virtq_chain c;
	unsigned n;
	int r = virtq_pop(q, v->iov, VIRTQ_CHAIN_MAX, &c);

	if (r <= 0)
		return r;
	if (c.nout || c.in_len < VSOCK_HEADER) {
		q->broken = "a buffer is of no use for a packet";
		return -EINVAL;
	}
	/* As far as the header reaches: it is written last, when the data are known. */
	memcpy(header, v->iov, c.nin * sizeof(header[0]));
	c.in = header;
	n = iov_skip(&data, c.nin, VSOCK_HEADER);
	if (!conn_next(v, &h, data, n)) {
		virtq_unpop(q, 1);
		return 0;
	}
	h.src_cid = VSOCK_CID_HOST;
	h.dst_cid = v->device.cid;
	h.type = VIRTIO_VSOCK_TYPE_STREAM;
	virtq_copy_in(&c, 0, &h, sizeof(h));
	virtq_push(q, c.head, (uint32_t)(VSOCK_HEADER + h.len));
	return 1;
}

static void fill(struct vsock *v)
{
	struct virtq *q = &v->device.virtio.queues[VSOCK_RX];
	uint16_t before = q->next_used;
	unsigned batch = VSOCK_BATCH;
	int r = 1;

	if (!v->device.virtio.running)
		return;
	do {
		virtq_disarm(q);
		while (batch > 0 && (r = fill_one(v)) > 0)
			batch--;
	} while (r == 0 && batch > 0 && !virtq_pending(q) && virtq_arm(q));
	if (q->next_used != before)
		virtio_notify(&v->device.virtio, VSOCK_RX);
	if (r < 0)
		virtio_fail_queue(&v->device.virtio, VSOCK_RX);
	else if (batch == 0)
		event_active(v->refilled, EV_TIMEOUT, 0);
}

/* Not at once: the caller may be in the middle of a packet. */
void vsock_wants_buffer(struct vsock *v)
{
	if (v->device.virtio.running)
		event_active(v->refilled, EV_TIMEOUT, 0);
}

/* ---- from the guest ---- */

/* Addresses and lengths are checked here; of what is left the connection knows. */
static void packet(struct vsock *v, struct virtq_chain *c)
{
	struct virtio_vsock_hdr h;
	struct virtq_chain data = *c;

	if (virtq_copy_out(c, 0, &h, sizeof(h)) != sizeof(h) || h.dst_cid != VSOCK_CID_HOST ||
	    h.src_cid != v->device.cid)
		return;
	data.nout = iov_skip(&data.out, c->nout, VSOCK_HEADER);
	data.out_len -= VSOCK_HEADER;
	if (h.len > data.out_len)
		return;
	data.out_len = h.len;
	conn_packet(v, &h, &data);
}

/* 1: more at once; 0: later; -EINVAL. Refusals need room: without it the guest reads first. */
static int take(struct vsock *v)
{
	struct virtq *q = &v->device.virtio.queues[VSOCK_TX];
	unsigned batch = VSOCK_BATCH;
	struct virtq_chain c;
	int r = 0;

	do {
		virtq_disarm(q);
		while (v->nrefusals < VSOCK_REFUSALS &&
		       (r = virtq_pop(q, v->iov, VIRTQ_CHAIN_MAX, &c)) > 0) {
			packet(v, &c);
			virtq_push(q, c.head, 0);
			if (--batch == 0)
				return 1;
		}
		if (v->nrefusals == VSOCK_REFUSALS)
			return 0;
	} while (r == 0 && virtq_arm(q));
	return r;
}

static void take_all(struct vsock *v)
{
	struct virtq *q = &v->device.virtio.queues[VSOCK_TX];
	uint16_t before = q->next_used;
	int r;

	if (!v->device.virtio.running)
		return;
	r = take(v);
	if (q->next_used != before)
		virtio_notify(&v->device.virtio, VSOCK_TX);
	if (r < 0)
		virtio_fail_queue(&v->device.virtio, VSOCK_TX);
	else if (r > 0)
		event_active(v->refilled, EV_TIMEOUT, 0);
}

static void on_refilled(evutil_socket_t fd, short what, void *arg)
{
	fill(arg);
	take_all(arg);
}

/* ---- events ---- */

void vsock_tell_reset(struct virtio_device *d)
{
	struct vsock_device *v = (struct vsock_device *)d;
	struct virtio_vsock_event event = { .id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET };
	struct virtq *q = &d->queues[VSOCK_EVENT];
	struct iovec iov[VIRTIO_SERVE_IOV];
	struct virtq_chain c;
	int r = 0;

	if (!v->tell_reset)
		return;
	while ((r = virtq_pop(q, iov, VIRTIO_SERVE_IOV, &c)) == 0 && virtq_arm(q))
		;
	if (r < 0)
		virtio_fail_queue(d, VSOCK_EVENT);
	if (r <= 0)
		return;
	virtq_push(q, c.head, (uint32_t)virtq_copy_in(&c, 0, &event, sizeof(event)));
	v->tell_reset = false;
	virtio_notify(d, VSOCK_EVENT);
}

/* ---- virtio ---- */

static void vsock_kick(struct virtio_device *d, unsigned queue)
{
	struct vsock *v = vsock_of(d);

	if (queue == VSOCK_RX) {
		fill(v);
		take_all(v); /* it may have waited for that */
	} else if (queue == VSOCK_TX) {
		take_all(v);
	} else {
		vsock_tell_reset(d);
	}
}

static int vsock_start(struct virtio_device *d, struct err *e)
{
	conn_start_all(vsock_of(d));
	return 0;
}

static void vsock_stop(struct virtio_device *d)
{
	conn_stop_all(vsock_of(d));
	event_del(vsock_of(d)->refilled);
}

static void vsock_reset(struct virtio_device *d)
{
	struct vsock *v = vsock_of(d);

	conn_free_all(v);
	v->nrefusals = 0;
	v->device.tell_reset = false;
}

void vsock_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	struct virtio_vsock_config config = { .guest_cid = ((struct vsock_device *)d)->cid };

	memcpy(data, (const char *)&config + offset, len);
}

void vsock_save(struct virtio_device *d, struct record *r)
{
	record_put_u8(r, 1);
}

int vsock_load(struct virtio_device *d, struct record *r, struct err *e)
{
	uint8_t version = record_get_u8(r);

	if (version != 1 || !record_done(r))
		return err_set(e, -EINVAL, "virtio-vsock: not a state that this version can load");
	((struct vsock_device *)d)->tell_reset = true;
	return 0;
}

static int vsock_load_anew(struct virtio_device *d, struct record *r, struct err *e)
{
	int rc = vsock_load(d, r, e);

	if (rc < 0)
		return rc;
	conn_free_all(vsock_of(d));
	vsock_of(d)->nrefusals = 0;
	return 0;
}

static void vsock_free(struct virtio_device *d)
{
	struct vsock *v = vsock_of(d);

	conn_free_all(v);
	if (v->acceptable)
		event_free(v->acceptable);
	if (v->refilled)
		event_free(v->refilled);
	if (v->listener >= 0)
		close(v->listener);
	if (v->dir >= 0)
		close(v->dir);
	virtio_deinit(d);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.name = "virtio-vsock",
	.type = 19,
	.pci_class = 0x078000,
	.start = vsock_start,
	.kick = vsock_kick,
	.stop = vsock_stop,
	.reset = vsock_reset,
	.config_read = vsock_config_read,
	.save = vsock_save,
	.load = vsock_load_anew,
	.free = vsock_free,
};

int virtio_vsock_new(const struct virtio_env *env, const char *id,
		     const struct virtio_vsock_spec *spec, struct virtio_device **ret,
		     struct err *e)
{
	struct vsock *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		close(spec->dir);
		return err_sys(e, ENOMEM, "%s", id);
	}
	TAILQ_INIT(&v->conns);
	v->device.cid = spec->cid;
	v->dir = spec->dir;
	v->listener = -1;
	v->next_port = 1u << 30;
	v->counters = spec->counters ? spec->counters : v->own_counters;
	r = virtio_init(&v->device.virtio, &vsock_ops, env, id, VSOCK_QUEUES, VSOCK_QUEUE_SIZE, 0,
			sizeof(struct virtio_vsock_config), e);
	if (r == 0) {
		v->refilled = evtimer_new(env->loop, on_refilled, v);
		r = v->refilled ? conn_listen(v, e) : err_sys(e, ENOMEM, "%s", id);
	}
	if (r < 0) {
		vsock_free(&v->device.virtio);
		return r;
	}
	*ret = &v->device.virtio;
	return 0;
}
