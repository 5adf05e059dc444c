/*
 * The FUSE front: the tree on a mount, through libfuse's low-level API in the daemon's loop.
 *
 * It serves a descriptor of fs/front/fuse_mount.h, be it new or one that a daemon before this has
 * served: then the kernel knows nodes, has open handles and may be waiting for answers. Node ids
 * and handles are numbers that say by themselves what they stand for, so that this can go on.
 */
#ifndef FS_FRONT_FUSE_H
#define FS_FRONT_FUSE_H

#include <stdbool.h>

#include "backends/base/err.h"
#include "fs/daemon.h"

struct fuse_front;
struct journal;

/* fd stays the caller's, as j does, which must outlive it; served when the loop runs. */
int fuse_front_new(struct daemon *d, int fd, struct journal *j, struct fuse_front **ret,
		   struct err *e);
/*
 * Goes on where a daemon before this one has ended: takes back what the kernel keeps, wakes those
 * who poll, opens what is in the luggage, and serves the calls that were parked. Without luggage
 * (NULL) that one was killed: then the kernel is asked to send again what it was not answered; an
 * older kernel cannot, and what was not parked ends with EIO.
 */
int fuse_front_resume(struct fuse_front *f, const struct text *luggage, struct err *e);

/* ---- before that, in the one that will be followed; see fs/handover/upgrade.h ---- */

/* Reads no more requests, or goes on. */
void fuse_front_pause(struct fuse_front *f, bool pause);
/* Adds what is open to the luggage. */
void fuse_front_pack(const struct fuse_front *f, struct text *luggage);
/* The successor will tell this parked write that it has succeeded. */
int fuse_front_promise(struct request *request, struct err *e);
void fuse_front_free(struct fuse_front *f);

#endif
