/* struct virtio_device: see virtio.h. */
#include "vmm/virtio/virtio.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/base/text.h"
#include "vmm/pace.h"

int virtio_init(struct virtio_device *d, const struct virtio_ops *ops, const struct virtio_env *env,
		const char *id, unsigned nqueues, uint16_t queue_size, uint64_t offered,
		unsigned config_len, struct err *e)
{
	if (nqueues > VIRTIO_QUEUES_MAX)
		return err_set(e, -EINVAL, "%s: %u queues are more than %u", id, nqueues,
			       VIRTIO_QUEUES_MAX);
	d->ops = ops;
	d->env = *env;
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->offered = offered | VIRTIO_VERSION_1 | VIRTIO_INDIRECT | VIRTIO_EVENT_IDX;
	d->config_len = config_len;
	d->queue_size = queue_size;
	pthread_mutex_init(&d->lock, NULL);
	d->queues = calloc(nqueues, sizeof(*d->queues));
	if (!d->queues)
		return err_sys(e, ENOMEM, "%s", id);
	d->nqueues = nqueues;
	return 0;
}

void virtio_deinit(struct virtio_device *d)
{
	if (d->ops)
		pthread_mutex_destroy(&d->lock);
	free(d->queues);
	d->queues = NULL;
}

/* ---- services ---- */

void virtio_kick_again(struct virtio_device *d, unsigned queue)
{
	if (d->transport)
		d->transport_ops->kick_again(d->transport, queue);
}

/* One chain: 1, 0 for none, or -errno when the device was failed. */
static int virtio_serve_one(struct virtio_device *d, unsigned queue, virtio_work *work)
{
	struct iovec iov[VIRTIO_SERVE_IOV];
	struct virtq *q = &d->queues[queue];
	struct virtq_chain c;
	int64_t n;
	int r = virtq_pop(q, iov, VIRTIO_SERVE_IOV, &c);

	if (r < 0)
		virtio_fail_queue(d, queue);
	if (r <= 0)
		return r;
	n = work(d, queue, &c);
	if (n < 0) {
		virtio_fail_queue(d, queue);
		return (int)n;
	}
	virtq_push(q, c.head, (uint32_t)n);
	return 1;
}

void virtio_serve(struct virtio_device *d, unsigned queue, virtio_work *work)
{
	struct virtq *q = &d->queues[queue];
	unsigned left = q->setup.size;
	int r;

	do {
		virtq_disarm(q);
		do
			r = virtio_serve_one(d, queue, work);
		while (r > 0 && --left);
	} while (r == 0 && virtq_arm(q));
	if (r > 0)
		virtio_kick_again(d, queue);
	if (r >= 0)
		virtio_notify(d, queue);
}

void virtio_notify(struct virtio_device *d, unsigned queue)
{
	if (d->transport && virtq_should_notify(&d->queues[queue]))
		d->transport_ops->notify_queue(d->transport, queue);
}

void virtio_notify_config(struct virtio_device *d)
{
	if (d->transport)
		d->transport_ops->notify_config(d->transport);
}

void virtio_fail(struct virtio_device *d, const char *fmt, ...)
{
	char why[200], line[300];
	va_list ap;

	if (d->failed)
		return;
	d->failed = true;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	virtio_stop(d);
	snprintf(line, sizeof(line), "%s: %s", d->id, why);
	if (d->env.failed)
		d->env.failed(d->env.arg, line);
	if (d->transport)
		d->transport_ops->needs_reset(d->transport);
}

void virtio_fail_queue(struct virtio_device *d, unsigned queue)
{
	const char *broken = d->queues[queue].broken;

	virtio_fail(d, "queue %u: %s", queue, broken ? broken : "a request is malformed");
}

void virtio_settled(struct virtio_device *d)
{
	if (d->transport && virtio_is_settled(d))
		d->transport_ops->settled(d->transport);
}

void virtio_restart(struct virtio_device *d)
{
	if (d->transport && d->running)
		d->transport_ops->restart(d->transport);
}

int virtio_kick_fd(struct virtio_device *d, unsigned queue)
{
	return d->transport ? d->transport_ops->kick_fd(d->transport, queue) : -ENXIO;
}

int virtio_call_fd(struct virtio_device *d, unsigned queue)
{
	return d->transport ? d->transport_ops->call_fd(d->transport, queue) : -ENXIO;
}

/* ---- for transports ---- */

static int virtio_start_queues(struct virtio_device *d, const struct virtq_setup *setups,
			       struct err *e)
{
	for (unsigned i = 0; i < d->nqueues; i++) {
		struct virtq *q = &d->queues[i];

		if (setups[i].enabled &&
		    virtq_start(q, d->env.mem, &setups[i], virtio_has(d, VIRTIO_EVENT_IDX)) < 0)
			return err_set(e, -EINVAL, "queue %u: %s", i, q->broken);
	}
	return 0;
}

int virtio_start(struct virtio_device *d, const struct virtq_setup *setups, struct err *e)
{
	int r;

	if (d->running || d->failed)
		return 0;
	pace_relax(d->env.pace); // it may make threads
	r = virtio_start_queues(d, setups, e);
	if (r == 0)
		r = d->ops->start(d, e);
	if (r < 0) {
		for (unsigned i = 0; i < d->nqueues; i++)
			virtq_stop(&d->queues[i]);
		return r;
	}
	d->running = true;
	for (unsigned i = 0; i < d->nqueues; i++)
		virtio_kick(d, i);
	return 0;
}

void virtio_stop(struct virtio_device *d)
{
	if (!d->running)
		return;
	d->running = false;
	d->ops->stop(d);
	// What is in flight is still pushed: its queue stops with the last of it.
	if (virtio_is_settled(d))
		for (unsigned i = 0; i < d->nqueues; i++)
			virtq_stop(&d->queues[i]);
}

bool virtio_is_settled(struct virtio_device *d)
{
	return !d->running && (!d->ops->in_flight || d->ops->in_flight(d) == 0);
}

int virtio_settle(struct virtio_device *d, int ms, struct err *e)
{
	unsigned left;

	if (!virtio_is_settled(d))
		d->ops->settle(d, ms);
	left = d->ops->in_flight ? d->ops->in_flight(d) : 0;
	if (left)
		return err_set(e, -EBUSY, "%s: %u requests did not end within %d ms", d->id, left,
			       ms);
	for (unsigned i = 0; i < d->nqueues; i++)
		virtq_stop(&d->queues[i]);
	return 0;
}

void virtio_reset(struct virtio_device *d)
{
	if (d->ops->reset)
		d->ops->reset(d);
	for (unsigned i = 0; i < d->nqueues; i++)
		virtq_reset(&d->queues[i]);
	d->features = 0;
	d->failed = false;
}

void virtio_kick(struct virtio_device *d, unsigned queue)
{
	if (d->running && d->queues[queue].running &&
	    !(d->ops->own_kicks && d->ops->own_kicks(d, queue)))
		d->ops->kick(d, queue);
}

void virtio_free(struct virtio_device *d)
{
	if (d)
		d->ops->free(d);
}
