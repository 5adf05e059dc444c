/* struct virtio_console: see virtio_console.h. */
#include "vmm/virtio/virtio_console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RX, TX, QUEUES };

struct virtio_console {
	struct virtio_device virtio;
	virtio_console_sink *sink;
	void *arg;
	size_t waiting; /* bytes typed that the guest has not taken */
	unsigned char typed[VIRTIO_CONSOLE_BACKLOG];
};

static struct virtio_console *console_of(struct virtio_device *d)
{
	return (struct virtio_console *)((char *)d - offsetof(struct virtio_console, virtio));
}

static int64_t console_print(struct virtio_device *d, unsigned queue, const struct virtq_chain *c)
{
	struct virtio_console *vc = console_of(d);
	unsigned char bytes[4096];
	size_t at = 0, n;

	while ((n = virtq_copy_out(c, at, bytes, sizeof(bytes))) > 0) {
		vc->sink(vc->arg, bytes, n);
		at += n;
		if (at >= (1u << 20)) // no line is longer; what is behind is dropped
			break;
	}
	return 0;
}

/* Buffers without room are taken like others: a driver that never runs out of them gets turns. */
static void console_type(struct virtio_console *vc)
{
	struct virtq *q = &vc->virtio.queues[RX];
	unsigned left = q->setup.size;
	struct iovec iov[VIRTIO_SERVE_IOV];
	struct virtq_chain c;
	int r = 0;
	size_t n;

	while (vc->waiting && left) {
		r = virtq_pop(q, iov, VIRTIO_SERVE_IOV, &c);
		if (r == 0 && virtq_arm(q))
			continue;
		if (r <= 0)
			break;
		left--;
		n = virtq_copy_in(&c, 0, vc->typed, vc->waiting);
		virtq_push(q, c.head, (uint32_t)n);
		vc->waiting -= n;
		memmove(vc->typed, vc->typed + n, vc->waiting);
	}
	if (r < 0) {
		virtio_fail_queue(&vc->virtio, RX);
		return;
	}
	virtio_notify(&vc->virtio, RX);
	if (vc->waiting && r > 0)
		virtio_kick_again(&vc->virtio, RX);
}

size_t virtio_console_input(struct virtio_device *d, const void *data, size_t len)
{
	struct virtio_console *vc = console_of(d);

	if (len > sizeof(vc->typed) - vc->waiting)
		len = sizeof(vc->typed) - vc->waiting;
	memcpy(vc->typed + vc->waiting, data, len);
	vc->waiting += len;
	if (d->running)
		console_type(vc);
	return len;
}

static int console_start(struct virtio_device *d, struct err *e)
{
	return 0;
}

static void console_kick(struct virtio_device *d, unsigned queue)
{
	if (queue == TX)
		virtio_serve(d, queue, console_print);
	else
		console_type(console_of(d));
}

static void console_stop(struct virtio_device *d)
{
}

static void console_reset(struct virtio_device *d)
{
	console_of(d)->waiting = 0;
}

/* cols, rows, max_nr_ports, emerg_wr: none of them is negotiated. */
static void console_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	memset(data, 0, len);
}

static void console_save(struct virtio_device *d, struct record *r)
{
	struct virtio_console *vc = console_of(d);
	size_t n = vc->waiting < 4096 ? vc->waiting : 4096;

	record_put_u8(r, 1);
	record_put_u32(r, (uint32_t)n); // who types more than a page ahead types into the void
	record_put(r, vc->typed, n);
}

static int console_load(struct virtio_device *d, struct record *r, struct err *e)
{
	struct virtio_console *vc = console_of(d);
	uint8_t version = record_get_u8(r);
	uint32_t n = record_get_u32(r);

	if (version != 1 || n > 4096 || r->failed || record_left(r) != n)
		return err_set(e, -EINVAL, "%s: not a state that this version can load", d->id);
	record_get(r, vc->typed, n);
	vc->waiting = n;
	return 0;
}

static void console_free(struct virtio_device *d)
{
	virtio_deinit(d);
	free(console_of(d));
}

static const struct virtio_ops console_ops = {
	.name = "virtio-console",
	.type = 3,
	.pci_class = 0x078000,
	.start = console_start,
	.kick = console_kick,
	.stop = console_stop,
	.reset = console_reset,
	.config_read = console_config_read,
	.save = console_save,
	.load = console_load,
	.free = console_free,
};

int virtio_console_new(const struct virtio_env *env, virtio_console_sink *sink, void *arg,
		       struct virtio_device **ret, struct err *e)
{
	struct virtio_console *vc = calloc(1, sizeof(*vc));
	int r;

	if (!vc)
		return err_sys(e, ENOMEM, "console");
	vc->sink = sink;
	vc->arg = arg;
	r = virtio_init(&vc->virtio, &console_ops, env, "console", QUEUES, 64, 0, 12, e);
	if (r < 0) {
		console_free(&vc->virtio);
		return r;
	}
	*ret = &vc->virtio;
	return 0;
}
