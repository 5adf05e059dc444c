/* Queues in other hands: see virtio_vhost.h. */
#include "vmm/virtio/virtio_vhost.h"

#include <errno.h>

unsigned virtio_vhost_regions(const struct guestmem *mem, struct vhost_region ret[GUESTMEM_REGIONS])
{
	for (unsigned i = 0; i < mem->nregions; i++)
		ret[i] = (struct vhost_region){
			.gpa = mem->regions[i].gpa,
			.len = mem->regions[i].len,
			.address = (uint64_t)(uintptr_t)mem->host + mem->regions[i].offset,
			.offset = mem->regions[i].offset,
		};
	return mem->nregions;
}

int virtio_vhost_vring(struct virtio_device *d, unsigned queue, struct vhost_vring *ret,
		       struct err *e)
{
	const struct virtq *q = &d->queues[queue];

	*ret = (struct vhost_vring){
		.size = q->setup.size,
		.base = q->next_avail,
		.desc = (uint64_t)(uintptr_t)q->desc,
		.used = (uint64_t)(uintptr_t)q->used,
		.avail = (uint64_t)(uintptr_t)q->avail,
		.kick = virtio_kick_fd(d, queue),
		.call = virtio_call_fd(d, queue),
	};
	if (ret->kick < 0 || ret->call < 0)
		return err_set(e, -ENXIO, "queue %u has no doorbells", queue);
	return 0;
}

void virtio_vhost_back(struct virtq *q, uint16_t base)
{
	q->next_avail = q->next_used = q->signalled = base;
}
