/*
 * An image's files, given to those whom a user namespace's map has for their owners, where their
 * file system cannot be mounted with that map: NFS, FUSE, tmpfs and squashfs of older kernels.
 *
 * An overlay over the image lies beside what the container writes, and all its files are given away
 * in it, once. What they have in them stays in the image (overlayfs's metacopy), so it costs an
 * inode a file, and a moment of the first start:
 *
 *     layer/below/lower         where the image is mounted while the overlay is made
 *     layer/below/upper, work   the overlay's
 *     layer/below/ids           of which image and for which map: others are done anew
 *
 * No quota counts it. An id that the map does not have becomes nobody's. ACLs, which images have
 * not, stay as they are in a file system that is an image.
 */
#ifndef BACKENDS_CONTAINER_SHIFT_H
#define BACKENDS_CONTAINER_SHIFT_H

#include "backends/base/err.h"
#include "backends/container/usermap.h"

/*
 * image: the image itself, which says which it is; lower: a mount of it, without a place, which
 * gets one; layer: the directory. Returns a mount without a place, which is never to be written.
 */
int shift_mount(int image, int lower, int layer, const struct usermap *map, struct err *e);

/* Whom the map, lines of INSIDE OUTSIDE COUNT, has for an id; 65534 if nobody. */
unsigned shift_id(const char *map, unsigned id);

#endif
