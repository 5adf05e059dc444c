/*
 * virtio-fs (Virtio 1.2, 5.11): a directory of the host inside the guest. Its queues are served by
 * virtiofsd, a process of the machine's owner, over vhost-user (backends/vhost/vhost_user.h); guest
 * memory must be a memory file (guestmem_want.shared).
 *
 * When that process dies the device fails, with a sentence, and the machine goes on; what the
 * guest has of the directory is then gone, until it is unplugged and plugged in anew. What the
 * process knows of open files cannot be saved: a device that is loaded elsewhere has to be mounted
 * anew.
 *
 * All functions belong to the loop thread.
 */
#ifndef VMM_VIRTIO_VIRTIO_FS_H
#define VMM_VIRTIO_VIRTIO_FS_H

#include "vmm/virtio/virtio.h"

#define VIRTIO_FS_TAG_MAX 36

/* server: the connection to virtiofsd, taken over also when it fails. */
int virtio_fs_new(const struct virtio_env *env, const char *id, const char *tag, int server,
		  struct virtio_device **ret, struct err *e);

#endif
