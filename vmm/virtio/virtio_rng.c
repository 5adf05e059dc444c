/* virtio_rng: see virtio_rng.h. */
#include "vmm/virtio/virtio_rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define REQUEST_MAX 4096 /* bytes for one request; a driver that wants more asks again */

static int64_t rng_work(struct virtio_device *d, unsigned queue, const struct virtq_chain *c)
{
	unsigned char bytes[REQUEST_MAX];
	size_t len = c->in_len < sizeof(bytes) ? c->in_len : sizeof(bytes);
	ssize_t n = getrandom(bytes, len, GRND_NONBLOCK);

	// A host that has no entropy yet gives none; the driver asks again.
	return n < 0 ? 0 : (int64_t)virtq_copy_in(c, 0, bytes, (size_t)n);
}

static int rng_start(struct virtio_device *d, struct err *e)
{
	return 0;
}

static void rng_kick(struct virtio_device *d, unsigned queue)
{
	virtio_serve(d, queue, rng_work);
}

static void rng_stop(struct virtio_device *d)
{
}

static void rng_save(struct virtio_device *d, struct record *r)
{
	record_put_u8(r, 1);
}

static int rng_load(struct virtio_device *d, struct record *r, struct err *e)
{
	if (record_get_u8(r) != 1 || !record_done(r))
		return err_set(e, -EINVAL, "%s: not a state that this version can load", d->id);
	return 0;
}

static void rng_free(struct virtio_device *d)
{
	virtio_deinit(d);
	free(d);
}

static const struct virtio_ops rng_ops = {
	.name = "virtio-rng",
	.type = 4,
	.pci_class = 0x00ff00,
	.start = rng_start,
	.kick = rng_kick,
	.stop = rng_stop,
	.save = rng_save,
	.load = rng_load,
	.free = rng_free,
};

int virtio_rng_new(const struct virtio_env *env, struct virtio_device **ret, struct err *e)
{
	struct virtio_device *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return err_sys(e, ENOMEM, "rng");
	r = virtio_init(d, &rng_ops, env, "rng", 1, 64, 0, 0, e);
	if (r < 0) {
		rng_free(d);
		return r;
	}
	*ret = d;
	return 0;
}
