/*
 * virtio-vsock served by the kernel, by vhost-vsock: see virtio_vsock.h. Receiving and sending are
 * the kernel's queues; events are told from here.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/vhost/vhost_kernel.h"
#include "vmm/virtio/virtio_vhost.h"
#include "vmm/virtio/virtio_vsock_priv.h"

#define QUEUE_FEATURES (VIRTIO_VERSION_1 | VIRTIO_INDIRECT | VIRTIO_EVENT_IDX)

struct kernel_vsock {
	struct vsock_device device; /* what the kernel knows of connections cannot be saved */
	struct vhost_kernel *vhost;
	struct event *error; /* the kernel cannot go on */
};

static struct kernel_vsock *vsock_of(struct virtio_device *d)
{
	return (struct kernel_vsock *)d;
}

static void on_error(evutil_socket_t fd, short what, void *arg)
{
	struct kernel_vsock *v = arg;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) == sizeof(count))
		virtio_fail(&v->device.virtio, "the kernel cannot go on with its queues");
}

static bool vsock_own_kicks(const struct virtio_device *d, unsigned queue)
{
	return queue != VSOCK_EVENT;
}

static void vsock_kick(struct virtio_device *d, unsigned queue)
{
	vsock_tell_reset(d);
}

static int set_queues(struct kernel_vsock *v, struct err *e)
{
	struct vhost_vring vring;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < VSOCK_EVENT; i++) {
		r = virtio_vhost_vring(&v->device.virtio, i, &vring, e);
		if (r == 0)
			r = vhost_kernel_set_queue(v->vhost, i, &vring, e);
	}
	return r;
}

static void vsock_stop(struct virtio_device *d)
{
	struct kernel_vsock *v = vsock_of(d);
	uint16_t base;

	event_del(v->error);
	(void)vhost_kernel_vsock_run(v->vhost, false, NULL);
	for (unsigned i = 0; i < VSOCK_EVENT; i++)
		if (vhost_kernel_queue_base(v->vhost, i, &base, NULL) == 0)
			virtio_vhost_back(&d->queues[i], base);
}

static int vsock_start(struct virtio_device *d, struct err *e)
{
	struct kernel_vsock *v = vsock_of(d);
	struct vhost_region regions[GUESTMEM_REGIONS];
	unsigned n = virtio_vhost_regions(d->env.mem, regions);
	int r;

	if (!d->queues[VSOCK_RX].running || !d->queues[VSOCK_TX].running)
		return err_set(e, -EINVAL, "it has no queues");
	r = vhost_kernel_set_features(v->vhost, d->features & QUEUE_FEATURES, e);
	if (r == 0)
		r = vhost_kernel_set_memory(v->vhost, regions, n, e);
	if (r == 0)
		r = set_queues(v, e);
	if (r == 0)
		r = vhost_kernel_vsock_run(v->vhost, true, e);
	if (r < 0) {
		vsock_stop(d);
		return r;
	}
	event_add(v->error, NULL);
	for (unsigned i = 0; i < VSOCK_EVENT; i++)
		virtio_kick_again(d, i); /* what came before it listened */
	return 0;
}

static void vsock_reset(struct virtio_device *d)
{
	vsock_of(d)->device.tell_reset = false;
}

static void vsock_free(struct virtio_device *d)
{
	struct kernel_vsock *v = vsock_of(d);

	if (v->error)
		event_free(v->error);
	vhost_kernel_free(v->vhost);
	virtio_deinit(d);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.name = "virtio-vsock",
	.type = 19,
	.pci_class = 0x078000,
	.own_kicks = vsock_own_kicks,
	.start = vsock_start,
	.kick = vsock_kick,
	.stop = vsock_stop,
	.reset = vsock_reset,
	.config_read = vsock_config_read,
	.save = vsock_save,
	.load = vsock_load,
	.free = vsock_free,
};

static int vsock_open(struct kernel_vsock *v, const struct virtio_env *env, int fd,
		      uint64_t *ret_features, struct err *e)
{
	int r = vhost_kernel_new(fd, &v->vhost, e);

	if (r == 0)
		r = vhost_kernel_features(v->vhost, ret_features, e);
	if (r == 0)
		r = vhost_kernel_vsock_cid(v->vhost, v->device.cid, e);
	if (r < 0)
		return r;
	if (!(*ret_features & VIRTIO_VERSION_1))
		return err_set(e, -ENXIO,
			       "vhost: the kernel knows only devices of before "
			       "Virtio 1.0");
	v->error = event_new(env->loop, vhost_kernel_error_fd(v->vhost), EV_READ | EV_PERSIST,
			     on_error, v);
	return v->error ? 0 : err_sys(e, ENOMEM, "vhost");
}

int virtio_vsock_vhost_new(const struct virtio_env *env, const char *id, uint64_t cid, int fd,
			   struct virtio_device **ret, struct err *e)
{
	struct kernel_vsock *v = calloc(1, sizeof(*v));
	uint64_t features = 0;
	int r;

	if (!v) {
		close(fd);
		return err_sys(e, ENOMEM, "%s", id);
	}
	v->device.cid = cid;
	r = vsock_open(v, env, fd, &features, e);
	if (r == 0)
		r = virtio_init(&v->device.virtio, &vsock_ops, env, id, VSOCK_QUEUES,
				VSOCK_QUEUE_SIZE, 0, sizeof(struct virtio_vsock_config), e);
	if (r < 0) {
		vsock_free(&v->device.virtio);
		return r;
	}
	v->device.virtio.offered = features & QUEUE_FEATURES;
	*ret = &v->device.virtio;
	return 0;
}
