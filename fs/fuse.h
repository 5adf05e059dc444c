/*
 * The FUSE front: the tree on a mount, through libfuse's low-level API in the daemon's loop.
 *
 * It serves a descriptor of fs/fuse_mount.h, be it new or one that a daemon before this has
 * served: then the kernel knows nodes, has open handles and may be waiting for answers. Node ids
 * and handles are numbers that say by themselves what they stand for, so that this can go on.
 */
#ifndef FS_FUSE_H
#define FS_FUSE_H

#include <stdbool.h>

#include "backends/err.h"
#include "fs/daemon.h"

struct fuse_front;
struct journal;

/* fd stays the caller's, as j does, which must outlive it; served when the loop runs. */
int fuse_front_new(struct daemon *d, int fd, struct journal *j, struct fuse_front **ret,
		   struct err *e);
/*
 * Goes on where a daemon before this one has ended: takes back what the kernel keeps, wakes those
 * who poll, and serves the calls that were parked. If that one was `killed`, the kernel is asked
 * to send again what it was not answered; an older kernel cannot, and what was not parked ends
 * with EIO.
 */
int fuse_front_resume(struct fuse_front *f, bool killed, struct err *e);
void fuse_front_free(struct fuse_front *f);

#endif
