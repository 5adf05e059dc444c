/*
 * A container's root when it is made of mounts: an image, or an overlay over a directory.
 *
 * What is below is shared and read-only: a tree, or a squashfs or erofs file on a loop device. What
 * the container writes is kept in its layer, a directory of its state directory:
 *
 *     layer/lower    where what is below is mounted, in the container's mount namespace only
 *     layer/upper    what it has written
 *     layer/work     overlayfs's own
 *     layer/quota    empty; what is shown of it with quota.delegate, see mounts.c
 *     layer/disk     or a file system in which these are, see quota.h
 *     layer/outside  says that what it has written belongs to the same users as outside of it
 *     layer/below    what is below, given to these, see shift.h
 *
 * Files of an image lie on disk with the owners that they have inside; in a user namespace they,
 * and the layer, are mounted with its map (mount_setattr(2), MOUNT_ATTR_IDMAP). Only root may do
 * that, so the monitor makes both mounts, without a place, and sends them to the child. Where one
 * of them cannot have a map, its files get the owners that they have outside. The child puts both
 * on its working directory, which is the layer's, and makes the overlay there: what overlayfs is
 * told are the three names above.
 */
#ifndef BACKENDS_CONTAINER_ROOT_H
#define BACKENDS_CONTAINER_ROOT_H

#include "backends/container/child.h"

/* The monitor's side, when the child's user namespace has its map; or before it is there, if it has
 * none. */
int root_send(const struct plan *p, pid_t child, int socket, struct err *e);

/* The child's: returns the root's mount, placed nowhere. Ends the process when it fails. */
int root_assemble(struct child *c);

#endif
