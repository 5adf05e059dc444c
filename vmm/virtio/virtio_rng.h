/* virtio_rng: random bytes of the host's for the guest (Virtio 1.2, 5.4). One queue, no state. */
#ifndef VMM_VIRTIO_VIRTIO_RNG_H
#define VMM_VIRTIO_VIRTIO_RNG_H

#include "vmm/virtio/virtio.h"

int virtio_rng_new(const struct virtio_env *env, struct virtio_device **ret, struct err *e);

#endif
