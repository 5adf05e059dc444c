/* disk/NAME: from a part of the configuration to a virtio disk on an image. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/block/block.h"
#include "vmm/virtio/virtio_blk.h"
#include "vmm/vm.h"
#include "vmm/vm_parts.h"

static struct virtio_blk_options options_of(const struct part *p, const char *id)
{
	const struct disk_config *c = &p->disk;

	return (struct virtio_blk_options){ .id = id,
					    .serial = c->serial && *c->serial ? c->serial : p->name,
					    .queues = (unsigned)c->queues,
					    .rbps = c->io_max.rbps,
					    .wbps = c->io_max.wbps,
					    .riops = c->io_max.riops,
					    .wiops = c->io_max.wiops };
}

static int open_image(const struct disk_config *c, int fd, struct event_base *loop,
		      struct block **ret, struct err *e)
{
	const struct block_options o = { .cache = c->cache,
					 .readonly = c->readonly,
					 .discard = c->discard };

	if (c->format == DISK_RAW)
		return block_raw_new(fd, &o, loop, ret, e);
	close(fd);
	return err_set(e, -ENXIO, "no such image format yet");
}

static int disk_make(struct vm *vm, const struct part *p, struct virtio_device **ret, struct err *e)
{
	const struct disk_config *c = &p->disk;
	struct virtio_blk_options o;
	struct block *b;
	char id[80];
	int r, fd = engine_take_fd(vm->host, PART_DISK, p->name, 0);

	if (fd < 0)
		return err_set(e, -ENOENT, "path: no image was opened");
	r = open_image(c, fd, vm->host->loop, &b, e);
	if (r == 0 && c->size) {
		r = b->ops->resize(b, c->size, e);
		if (r < 0)
			block_free(b);
	}
	if (r < 0) {
		err_prefix(e, "path: ");
		return r;
	}
	snprintf(id, sizeof(id), "disk/%s", p->name);
	o = options_of(p, id);
	_Static_assert(BLK_COUNTERS <= ENGINE_PART_COUNTERS, "figures");
	return virtio_blk_new(&vm->virtio_env, b, &o,
			      engine_part_counters(vm->host, PART_DISK, p->name), ret, e);
}

/* Sizes and limits change; what the guest was told of the rest does not. */
static int disk_change(struct virtio_device *d, const struct part *now, const struct part *next,
		       struct err *e)
{
	const struct disk_config *a = &now->disk, *b = &next->disk;
	struct virtio_blk_options o = options_of(next, d->id);
	const char *fixed = strcmp(a->path, b->path)	   ? "path"
			    : a->format != b->format	   ? "format"
			    : a->readonly != b->readonly   ? "readonly"
			    : a->cache != b->cache	   ? "cache"
			    : strcmp(a->serial, b->serial) ? "serial"
			    : a->queues != b->queues	   ? "queues"
			    : a->discard != b->discard	   ? "discard"
							   : NULL;
	int r = 0;

	if (fixed)
		return err_set(e, -ENXIO, "%s: the guest has the disk; unplug it first", fixed);
	if (a->size != b->size && b->size)
		r = virtio_blk_resize(d, b->size, e);
	if (r < 0)
		err_prefix(e, "size: ");
	else
		virtio_blk_limit(d, &o);
	return r;
}

const struct part_ops disk_part_ops = {
	.kind = PART_DISK,
	.word = "disk",
	.make = disk_make,
	.change = disk_change,
};
