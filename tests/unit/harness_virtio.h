/*
 * A virtio driver for unit tests: it lays queues out in a memory image, offers buffers, and takes
 * back what the device has used. The transport is this file's: it counts interrupts.
 */
#ifndef TESTS_UNIT_HARNESS_VIRTIO_H
#define TESTS_UNIT_HARNESS_VIRTIO_H

#include <errno.h>
#include <event2/event.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "vmm/guestmem.h"
#include "vmm/virtio/virtio.h"

#define HARNESS_MEMORY	   (16u << 20)
#define HARNESS_QUEUE_SIZE 64
#define HARNESS_QUEUES	   16
/* Each queue has its rings in 16 KiB; what buffers use lies behind them. */
#define HARNESS_RING	0x4000u
#define HARNESS_BUFFERS 0x100000u

struct harness_queue {
	uint64_t base;
	uint16_t free; /* the next descriptor; the driver never uses one that is offered */
	uint16_t avail;
	uint16_t taken; /* used entries seen */
};

struct harness {
	struct guestmem mem;
	struct event_base *loop;
	struct virtio_device *device;
	struct virtq_setup setup[HARNESS_QUEUES];
	struct harness_queue queue[HARNESS_QUEUES];
	unsigned interrupts[HARNESS_QUEUES];
	unsigned config_interrupts, resets_needed;
	char failed[300];
	bool quiet; /* that a start is refused is no news */
	int kick_fd[HARNESS_QUEUES], call_fd[HARNESS_QUEUES]; /* -ENXIO but for who makes them */
};

static void harness_on_queue(void *transport, unsigned queue)
{
	((struct harness *)transport)->interrupts[queue]++;
}

static void harness_on_config(void *transport)
{
	((struct harness *)transport)->config_interrupts++;
}

static void harness_on_needs_reset(void *transport)
{
	((struct harness *)transport)->resets_needed++;
}

static void harness_on_settled(void *transport)
{
}

static void harness_kick_again(void *transport, unsigned queue)
{
	uint64_t one = 1;

	(void)!write(((struct harness *)transport)->kick_fd[queue], &one, sizeof(one));
}

static void harness_restart(void *transport)
{
	struct harness *h = transport;

	virtio_stop(h->device);
	virtio_start(h->device, h->setup, NULL);
}

static int harness_kick_fd(void *transport, unsigned queue)
{
	return ((struct harness *)transport)->kick_fd[queue];
}

static int harness_call_fd(void *transport, unsigned queue)
{
	return ((struct harness *)transport)->call_fd[queue];
}

static void harness_on_failed(void *arg, const char *why)
{
	snprintf(((struct harness *)arg)->failed, 300, "%s", why);
}

static const struct virtio_transport_ops harness_transport = {
	.notify_queue = harness_on_queue,
	.notify_config = harness_on_config,
	.kick_again = harness_kick_again,
	.needs_reset = harness_on_needs_reset,
	.settled = harness_on_settled,
	.restart = harness_restart,
	.kick_fd = harness_kick_fd,
	.call_fd = harness_call_fd,
};

static void harness_init(struct harness *h)
{
	struct guestmem_want want = { .size = HARNESS_MEMORY, .shared = true };

	memset(h, 0, sizeof(*h));
	h->loop = event_base_new();
	if (!h->loop || guestmem_make(&h->mem, &want, NULL) < 0)
		abort();
	for (unsigned i = 0; i < HARNESS_QUEUES; i++)
		h->kick_fd[i] = h->call_fd[i] = -ENXIO;
}

static struct virtio_env harness_env(struct harness *h)
{
	return (struct virtio_env){ &h->mem, h->loop, harness_on_failed, h };
}

/* The driver agrees to what is offered of `features`, and enables all queues. */
static int harness_start(struct harness *h, struct virtio_device *d, uint64_t features)
{
	struct err e = { 0 };
	int r;

	h->device = d;
	d->transport = h;
	d->transport_ops = &harness_transport;
	d->features = d->offered & (features | VIRTIO_VERSION_1 | VIRTIO_INDIRECT);
	for (unsigned i = 0; i < d->nqueues && i < HARNESS_QUEUES; i++) {
		uint64_t base = HARNESS_RING * (i + 1);

		h->queue[i] = (struct harness_queue){ .base = base };
		memset(guestmem_range(&h->mem, base, HARNESS_RING), 0, HARNESS_RING);
		h->setup[i] = (struct virtq_setup){ HARNESS_QUEUE_SIZE, true, base, base + 0x1000,
						    base + 0x2000 };
	}
	r = virtio_start(d, h->setup, &e);
	if (r < 0 && !h->quiet)
		printf("# %s\n", e.text);
	return r;
}

/* A device that was stopped goes on. */
static __attribute__((unused)) int harness_go_on(struct harness *h)
{
	return virtio_start(h->device, h->setup, NULL);
}

static void *harness_at(struct harness *h, uint64_t gpa, uint64_t len)
{
	void *p = guestmem_range(&h->mem, gpa, len);

	if (!p)
		abort();
	return p;
}

/* One buffer of a request. */
struct harness_buffer {
	uint64_t gpa;
	uint32_t len;
	bool in; /* the device may write */
};

/* Offers a chain, without a kick; returns its head. */
static __attribute__((unused)) uint16_t harness_offer(struct harness *h, unsigned queue,
						      const struct harness_buffer *b, unsigned n)
{
	struct harness_queue *q = &h->queue[queue];
	struct vring_desc *desc = harness_at(h, q->base, 0x1000);
	uint16_t *avail = harness_at(h, q->base + 0x1000, 0x1000);
	uint16_t head = q->free % HARNESS_QUEUE_SIZE;

	for (unsigned i = 0; i < n; i++, q->free++) {
		desc[q->free % HARNESS_QUEUE_SIZE] = (struct vring_desc){
			.addr = b[i].gpa,
			.len = b[i].len,
			.flags = (uint16_t)((b[i].in ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)((q->free + 1) % HARNESS_QUEUE_SIZE),
		};
	}
	avail[2 + q->avail++ % HARNESS_QUEUE_SIZE] = head;
	avail[1] = q->avail;
	return head;
}

static __attribute__((unused)) void harness_kick(struct harness *h, unsigned queue)
{
	virtio_kick(h->device, queue);
}

/* The next chain that the device has given back: its length; or -1. */
static __attribute__((unused)) int64_t harness_take(struct harness *h, unsigned queue,
						    uint16_t *ret_head)
{
	struct harness_queue *q = &h->queue[queue];
	struct vring_used *used = harness_at(h, q->base + 0x2000, 0x1000);

	if (used->idx == q->taken)
		return -1;
	if (ret_head)
		*ret_head = (uint16_t)used->ring[q->taken % HARNESS_QUEUE_SIZE].id;
	return used->ring[q->taken++ % HARNESS_QUEUE_SIZE].len;
}

/* Lets the device do what it has to do now. */
static __attribute__((unused)) void harness_turn(struct harness *h)
{
	event_base_loop(h->loop, EVLOOP_NONBLOCK);
}

static void harness_free(struct harness *h)
{
	if (h->device)
		virtio_stop(h->device);
	virtio_free(h->device);
	event_base_free(h->loop);
	guestmem_free(&h->mem);
}

#endif
