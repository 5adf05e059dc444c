/*
 * The container's view of the filesystem, built by the child in its new mount namespace.
 * Every function ends the process with a report when it fails.
 */
#ifndef BACKENDS_CONTAINER_MOUNTS_H
#define BACKENDS_CONTAINER_MOUNTS_H

#include "backends/container/child.h"

/*
 * The working directory is the root directory, seen from the new mount namespace. Makes it a
 * mount, mounts /proc, /sys, /dev and what is in them, opens the console's pty.
 */
void mounts_build(struct child *c);

/* Makes it the root of the process, and lets go of the host's. */
void mounts_enter(struct child *c);

/* Without a mount namespace: a changed root directory, and a pty of the host's. */
void mounts_chroot(struct child *c);

#endif
