/*
 * virtio_mem: RAM that comes and goes while the guest runs (Virtio 1.2, 5.15): blocks of the hot
 * region of guestmem.h. The machine says how much there should be, the guest plugs and unplugs
 * blocks towards that as it can.
 *
 * A driver that does not promise to leave unplugged blocks alone (UNPLUGGED_INACCESSIBLE) is
 * refused: they have no memory, and who touches them ends the machine.
 */
#ifndef VMM_VIRTIO_VIRTIO_MEM_H
#define VMM_VIRTIO_VIRTIO_MEM_H

#include "vmm/virtio/virtio.h"

/* mem has a hot region; plugged, if not NULL, always says how many bytes of it have memory. */
int virtio_mem_new(const struct virtio_env *env, struct guestmem *mem, _Atomic uint64_t *plugged,
		   struct virtio_device **ret, struct err *e);
/* The machine was reset, and the region is empty. Loop thread. */
void virtio_mem_emptied(struct virtio_device *d);
/* How much of the region there should be; rounded down to blocks. Loop thread. */
void virtio_mem_want(struct virtio_device *d, uint64_t bytes);

#endif
