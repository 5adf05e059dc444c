/*
 * The FUSE front: the tree on a mount point, through libfuse's low-level API in the daemon's
 * loop. The only user of libfuse.
 */
#ifndef FS_FUSE_H
#define FS_FUSE_H

#include "backends/err.h"
#include "fs/daemon.h"

struct fuse_front;

/* Mounts; requests are served when the loop runs. `options`: for -o, or NULL. */
int fuse_front_new(struct daemon *d, const char *mountpoint, const char *options,
		   struct fuse_front **ret, struct err *e);
/* Unmounts, if the mount is still there. */
void fuse_front_free(struct fuse_front *f);

#endif
