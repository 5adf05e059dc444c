/*
 * struct virtio_console: a console as a virtio device (Virtio 1.2, 5.3): one port, /dev/hvc0 in a
 * Linux guest. What the guest prints goes to a sink, as a uart's does; what is typed waits until
 * the guest has offered room for it.
 */
#ifndef VMM_VIRTIO_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_VIRTIO_CONSOLE_H

#include "vmm/virtio/virtio.h"

#define VIRTIO_CONSOLE_BACKLOG 16384

/* Loop thread. */
typedef void virtio_console_sink(void *arg, const void *data, size_t len);

int virtio_console_new(const struct virtio_env *env, virtio_console_sink *sink, void *arg,
		       struct virtio_device **ret, struct err *e);

/* Types; loop thread. Returns how many bytes were taken. */
size_t virtio_console_input(struct virtio_device *d, const void *data, size_t len);

#endif
