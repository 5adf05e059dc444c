/*
 * struct quotaserver: quotactl(2) for the processes of a container, whose root thereby sets the
 * quotas of its users itself (setting quota.delegate).
 *
 * The kernel grants that to the host's root alone, so a filter of each process (quotacall.h) has
 * the call wait for the monitor, which makes it in its place: seccomp_unotify(2). It does so on the
 * file system of the container's own layer, whatever device was meant, by an id that is one of the
 * container's. Other devices have no quotas there: ENODEV.
 *
 * What a caller has in its memory may be behind a page that somebody else has to bring, and takes
 * his time for: so a thread of its own reads it, one call after the other, and the loop never
 * waits. What it costs the host is bounded by a rate, by which calls are held back. Each process is
 * looked at by descriptors that are taken before it is asked whether it is still the caller, so
 * none is ever mistaken for another; its memory is read once.
 */
#ifndef BACKENDS_CONTAINER_QUOTASERVER_H
#define BACKENDS_CONTAINER_QUOTASERVER_H

#include <sys/types.h>

#include "backends/base/err.h"
#include "backends/container/quotacall.h"

#define QUOTASERVER_LISTENERS 256  /* of init, and of sessions as long as they have processes */
#define QUOTASERVER_RATE      2000 /* calls in a second, and at once */

struct quotaserver;

/* All of it is copied. */
struct quotaserver_setup {
	int dir;		 /* of the layer's file system */
	const char *device;	 /* its name in /proc/mounts inside */
	const char *uids, *gids; /* lines of uid_map and gid_map; NULL: there is no other */
	bool disk_inside;	 /* see struct quota_ids */
	pid_t init;		 /* of whose user namespace its root is */
	uint64_t capabilities;	 /* the container's */
	/* What makes the calls, quotactl_fd(2) if NULL; op, type and id as on the disk. -errno. */
	int (*perform)(int dir, unsigned op, unsigned type, uint32_t id, void *data);
};

int quotaserver_new(const struct quotaserver_setup *setup, struct quotaserver **ret, struct err *e);
/*
 * A process's listener, which is the server's from now on, as long as there are processes that have
 * its filter. When there are too many, or no server, it is closed, and their calls answer ENOSYS.
 */
void quotaserver_add(struct quotaserver *s, int listener);
/* NULL is fine. The container's processes should be gone. */
void quotaserver_free(struct quotaserver *s);

#endif
