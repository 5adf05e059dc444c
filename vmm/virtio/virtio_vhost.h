/*
 * Queues in other hands: what a device needs to hand its rings to vhost, a server of vhost-user's
 * (backends/vhost/vhost_user.h) or the kernel (vhost_kernel.h), and to take them back. Loop thread.
 */
#ifndef VMM_VIRTIO_VIRTIO_VHOST_H
#define VMM_VIRTIO_VIRTIO_VHOST_H

#include "backends/vhost/vhost.h"
#include "vmm/virtio/virtio.h"

/*
 * All of guest memory; returns how many regions. Memory that may come is in it from the beginning:
 * where there is none, whoever touches it finds that out from the page tables.
 */
unsigned virtio_vhost_regions(const struct guestmem *mem,
			      struct vhost_region ret[GUESTMEM_REGIONS]);
/* A queue that was started. -ENXIO when it has no doorbell, or no vector to interrupt by. */
int virtio_vhost_vring(struct virtio_device *d, unsigned queue, struct vhost_vring *ret,
		       struct err *e);
/* It was taken back, at this index; whoever had it has given back, and told of, all that it took.
 */
void virtio_vhost_back(struct virtq *q, uint16_t base);

#endif
