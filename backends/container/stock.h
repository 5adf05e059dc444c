/*
 * What a monitor in waiting makes for the container that it will have, whichever that is: to make a
 * network namespace takes as long as to clone a process, and its sysfs the longer the more there
 * are already. All of it is root's, so it serves a
 * container that has no user namespace of its own, and it serves one container.
 */
#ifndef BACKENDS_CONTAINER_STOCK_H
#define BACKENDS_CONTAINER_STOCK_H

#include "backends/container/devfs.h"

struct stock {
	struct devfs dev;
	int net; /* a network namespace whose loopback interface is up */
	int sys; /* sysfs, which shows the interfaces of that namespace; a mount without a place */
};

#define STOCK_NONE                 \
	{                          \
		DEVFS_NONE, -1, -1 \
	}

/*
 * What cannot be made, as by whoever is not root, is not there. -errno: the process could not come
 * back from the namespace that it has made, and no monitor is to be where its container is.
 */
int stock_make(struct stock *s);
void stock_close(struct stock *s);

/* Brings up that of the caller's network namespace, if the kernel has any. -1: errno. */
int loopback_raise(void);

#endif
