/*
 * struct vhost_user: the front end of a device whose queues another process serves, such as
 * virtiofsd, by QEMU's vhost-user protocol (its document "Vhost-user Protocol") over a UNIX
 * stream socket. The other side has the machine's memory file mapped, is told where the rings are,
 * gets the driver's kicks from one eventfd and interrupts by another: nothing of the traffic
 * passes here.
 *
 * Each request waits for its answer, at most VHOST_USER_MS; -EIO, with a sentence, when there is
 * none. What the other side says is hostile: lengths and numbers are checked, it can only break its
 * own device.
 */
#ifndef BACKENDS_VHOST_VHOST_USER_H
#define BACKENDS_VHOST_VHOST_USER_H

#include <stdint.h>

#include "backends/base/err.h"
#include "backends/vhost/vhost.h"

#define VHOST_USER_MS 5000

struct vhost_user;

/* Takes fd over, also when it fails. */
int vhost_user_new(int fd, struct vhost_user **ret, struct err *e);
void vhost_user_free(struct vhost_user *v);
/* Readable when the other side has died, or talks out of turn: nobody need read it. */
int vhost_user_fd(const struct vhost_user *v);

/* What the device can: features of virtio. */
int vhost_user_features(struct vhost_user *v, uint64_t *ret, struct err *e);
int vhost_user_set_features(struct vhost_user *v, uint64_t features, struct err *e);
/* All regions are in one file. */
int vhost_user_set_memory(struct vhost_user *v, int file, const struct vhost_region *regions,
			  unsigned n, struct err *e);
int vhost_user_start(struct vhost_user *v, unsigned queue, const struct vhost_vring *vring,
		     struct err *e);
/* When it returns the other side touches neither the queue nor what was in it. */
int vhost_user_stop(struct vhost_user *v, unsigned queue, uint16_t *ret_base, struct err *e);

#endif
