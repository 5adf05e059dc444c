/*
 * The mount as such: a /dev/fuse descriptor that the kernel has tied to a mount point.
 *
 * Nobody answers on it yet; fs/front/fuse.h does, in this process or in one that has got the
 * descriptor. The mount lives as long as any process has it open.
 */
#ifndef FS_FRONT_FUSE_MOUNT_H
#define FS_FRONT_FUSE_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"

/* Takes a dead mount away first. As an ordinary user by fusermount3. `options`: for -o, or NULL. */
int mount_new(const char *mountpoint, const char *options, int *ret_fd, struct err *e);
/* The dev_t of what is mounted there, 0 if nothing is; asks nobody, so also its own server may. */
uint64_t mount_device(const char *mountpoint);
/* Whether it is still mounted. */
bool mount_alive(int fd);
/* Unmounts it if it still is; who is inside keeps what he has open. The descriptor stays. */
void mount_end(const char *mountpoint, int fd);

#endif
