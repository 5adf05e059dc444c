/*
 * What /proc and /sys tell of CPUs, memory, uptime and load is the host's, whatever the container's
 * namespaces: lxcfs, a FUSE file system on /var/lib/lxcfs, has these files as they would be on a
 * machine of the size of the reader's control group. Where the host runs it, they are mounted over
 * the kernel's.
 */
#ifndef BACKENDS_CONTAINER_LXCFS_H
#define BACKENDS_CONTAINER_LXCFS_H

#include "backends/container/child.h"

#define LXCFS_PATH "/var/lib/lxcfs"

/* proc and sys are the container's, mounted; the host's root is still there. Not without lxcfs. */
void lxcfs_show(const struct child *c, int proc, int sys);

#endif
