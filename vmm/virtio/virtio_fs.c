/* virtio-fs: see virtio_fs.h. */
#include "vmm/virtio/virtio_fs.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/virtio_fs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/vhost/vhost_user.h"
#include "vmm/virtio/virtio_vhost.h"

#define FS_QUEUES     2 /* hiprio, requests */
#define FS_QUEUE_SIZE 128

struct fs {
	struct virtio_device virtio;
	struct vhost_user *server;
	struct event *gone; /* the server has hung up */
	unsigned started;   /* queues that the server has: a bit each */
	struct virtio_fs_config config;
};

static struct fs *fs_of(struct virtio_device *d)
{
	return (struct fs *)d;
}

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	struct fs *f = arg;

	event_del(f->gone);
	f->started = 0;
	virtio_fail(&f->virtio, "its server is gone");
}

static int set_memory(struct fs *f, struct err *e)
{
	const struct guestmem *mem = f->virtio.env.mem;
	struct vhost_region regions[GUESTMEM_REGIONS];
	unsigned n = virtio_vhost_regions(mem, regions);

	return vhost_user_set_memory(f->server, mem->fd, regions, n, e);
}

static int start_queue(struct fs *f, unsigned i, struct err *e)
{
	struct vhost_vring vring;
	int r = virtio_vhost_vring(&f->virtio, i, &vring, e);

	return r < 0 ? r : vhost_user_start(f->server, i, &vring, e);
}

static void stop_queues(struct fs *f)
{
	for (unsigned i = 0; i < FS_QUEUES; i++) {
		uint16_t base;

		if (!(f->started & 1u << i))
			continue;
		if (vhost_user_stop(f->server, i, &base, NULL) == 0)
			virtio_vhost_back(&f->virtio.queues[i], base);
	}
	f->started = 0;
}

static int fs_start(struct virtio_device *d, struct err *e)
{
	struct fs *f = fs_of(d);
	int r = vhost_user_set_features(f->server, d->features, e);

	if (r == 0)
		r = set_memory(f, e);
	for (unsigned i = 0; r == 0 && i < FS_QUEUES; i++) {
		if (!d->queues[i].running)
			continue;
		r = start_queue(f, i, e);
		if (r == 0)
			f->started |= 1u << i;
	}
	if (r < 0)
		stop_queues(f);
	return r;
}

static void fs_stop(struct virtio_device *d)
{
	stop_queues(fs_of(d));
}

static bool fs_own_kicks(const struct virtio_device *d, unsigned queue)
{
	return true;
}

static void fs_reset(struct virtio_device *d)
{
}

static void fs_config_read(struct virtio_device *d, unsigned offset, void *data, unsigned len)
{
	memcpy(data, (const char *)&fs_of(d)->config + offset, len);
}

static void fs_save(struct virtio_device *d, struct record *r)
{
	record_put_u8(r, 1);
}

static int fs_load(struct virtio_device *d, struct record *r, struct err *e)
{
	uint8_t version = record_get_u8(r);

	if (version != 1 || !record_done(r))
		return err_set(e, -EINVAL, "virtio-fs: not a state that this version can load");
	return 0;
}

static void fs_free(struct virtio_device *d)
{
	struct fs *f = fs_of(d);

	if (f->gone)
		event_free(f->gone);
	vhost_user_free(f->server);
	virtio_deinit(d);
	free(f);
}

static const struct virtio_ops fs_ops = {
	.name = "virtio-fs",
	.type = 26,
	.pci_class = 0x018000,
	.own_kicks = fs_own_kicks,
	.start = fs_start,
	.stop = fs_stop,
	.reset = fs_reset,
	.config_read = fs_config_read,
	.save = fs_save,
	.load = fs_load,
	.free = fs_free,
};

static int fs_connect(struct fs *f, const struct virtio_env *env, int server, uint64_t *ret,
		      struct err *e)
{
	int r = vhost_user_new(server, &f->server, e);

	if (r == 0)
		r = vhost_user_features(f->server, ret, e);
	if (r < 0)
		return r;
	if (!(*ret & VIRTIO_VERSION_1))
		return err_set(e, -ENXIO, "its server knows only devices of before Virtio 1.0");
	f->gone = event_new(env->loop, server, EV_READ, on_gone, f);
	return f->gone && event_add(f->gone, NULL) == 0 ? 0 : err_sys(e, ENOMEM, "share");
}

static int fs_check(const struct virtio_env *env, const char *tag, struct err *e)
{
	if (strlen(tag) > VIRTIO_FS_TAG_MAX)
		return err_set(e, -EINVAL, "a tag has at most %d bytes", VIRTIO_FS_TAG_MAX);
	if (env->mem->fd < 0)
		return err_set(e, -EIO, "the machine's memory cannot be shared");
	return 0;
}

int virtio_fs_new(const struct virtio_env *env, const char *id, const char *tag, int server,
		  struct virtio_device **ret, struct err *e)
{
	struct fs *f = calloc(1, sizeof(*f));
	uint64_t features = 0;
	int r;

	if (!f) {
		close(server);
		return err_sys(e, ENOMEM, "%s", id);
	}
	r = fs_check(env, tag, e);
	if (r == 0)
		r = fs_connect(f, env, server, &features, e);
	else
		close(server);
	if (r < 0) {
		fs_free(&f->virtio);
		return r;
	}
	memcpy(f->config.tag, tag, strlen(tag)); /* filled up with zeros (5.11.4) */
	f->config.num_request_queues = FS_QUEUES - 1;
	r = virtio_init(&f->virtio, &fs_ops, env, id, FS_QUEUES, FS_QUEUE_SIZE, features,
			sizeof(f->config), e);
	if (r < 0) {
		fs_free(&f->virtio);
		return r;
	}
	/* It is the server that must know them, not virtq.c. */
	f->virtio.offered = features & (VIRTIO_VERSION_1 | VIRTIO_INDIRECT | VIRTIO_EVENT_IDX);
	*ret = &f->virtio;
	return 0;
}
