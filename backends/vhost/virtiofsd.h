/*
 * A process of virtiofsd for each share of a VM: a directory of the host's, served by vhost-user
 * (vhost_user.h). It runs as the machine's owner, with no group but his main one; where he is not
 * root in a user namespace in which he is: so the guest's root is the owner, and nobody else's ids
 * are any. It sees the directory and what is mounted below, and nothing else of the host; read
 * only, if so, by its mount. It ends when its connection does.
 *
 * It is started by this binary executed again with --share-server, which makes ready what needs
 * root and becomes virtiofsd.
 */
#ifndef BACKENDS_VHOST_VIRTIOFSD_H
#define BACKENDS_VHOST_VIRTIOFSD_H

#include <stdbool.h>
#include <sys/types.h>

#include "backends/base/err.h"

/* Debian's, of the package qemu-system-common. */
#define VIRTIOFSD_PATH "/usr/lib/qemu/virtiofsd"

struct virtiofsd {
	int directory; /* O_PATH; stays the caller's */
	bool readonly;
	uid_t uid; /* of the owner */
	gid_t gid;
	int cgroup; /* the machine's, see spawn.h */
	int run;    /* a private directory, in which its socket has a name for a moment */
	const char *name;
};

/*
 * Returns when it is on its way: *ret_fd is the connection to it, which ends when it cannot come
 * about. ENXIO where there is no virtiofsd.
 */
int virtiofsd_start(const struct virtiofsd *v, int *ret_fd, struct err *e);

/*
 * The process whose child becomes virtiofsd; arg is "UID GID READONLY". For main(): 0 when the
 * child is on its way; in the child it returns only where that is not possible.
 */
int virtiofsd_main(const char *arg);

#endif
