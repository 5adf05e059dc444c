/*
 * What every container's /dev begins with: nodes, links and places on a tmpfs, and the file systems
 * of its terminals and shared memory. Mounts without a place, so that they can be there before
 * there is a container: a monitor in waiting makes them. They belong to the user namespace that
 * they are made in; a container with one of its own makes them itself.
 *
 * No allocation and no locks, see plan.h. What returns int returns -1 with errno when it fails.
 */
#ifndef BACKENDS_CONTAINER_DEVFS_H
#define BACKENDS_CONTAINER_DEVFS_H

#include <stdbool.h>

struct devfs {
	int dev;	   /* the tmpfs */
	int pts, shm;	   /* to be mounted on its directories of these names */
	int master, slave; /* of pts: the console */
};

#define DEVFS_NONE                 \
	{                          \
		-1, -1, -1, -1, -1 \
	}

/* context: SELinux's, of their files; NULL or "": the policy's choice. */

/* The tmpfs, empty; it can be mounted, and then filled. */
int devfs_new(struct devfs *d, const char *context);
/*
 * Nodes, links and places. A user namespace may make no nodes: *ret_nodes is false where that is
 * so, and the host's nodes are still to be mounted on devfs_node(). *what: what it was about.
 */
int devfs_fill(const struct devfs *d, bool *ret_nodes, const char **what);
/* "null" and so on, below the host's /dev as well, until NULL. */
const char *devfs_node(int n);
/* The terminals. owned: the namespace knows the group tty. */
int devfs_new_pts(struct devfs *d, bool owned, const char *context);
int devfs_new_shm(struct devfs *d, const char *context);

/* All that. *d is as DEVFS_NONE where it cannot be done. */
void devfs_make(struct devfs *d);
void devfs_close(struct devfs *d);

/*
 * A terminal of the multiplexer dir/ptmx, whose output is left as it is. EINVAL: it is none; what a
 * container has put there could keep its opener waiting.
 */
int devfs_open_console(int dir, const char *ptmx, int *ret_master, int *ret_slave);

#endif
