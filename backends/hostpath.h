/*
 * Host paths that a machine names: opened with its owner's authority, never the daemon's.
 *
 * The path is resolved once, as the owner, into a descriptor; what is checked and what is used
 * is that descriptor. Nothing is opened for reading before it is known to be of the wanted
 * type, so a FIFO or a device named as a kernel is never touched.
 */
#ifndef BACKENDS_HOSTPATH_H
#define BACKENDS_HOSTPATH_H

#include <sys/types.h>

#include "backends/err.h"

/* Whose authority; the daemon's own when it is not root. */
struct cred {
	uid_t uid;
	gid_t gid;
};

enum hostpath_kind {
	HOSTPATH_FILE,	    /* regular file, opened read only */
	HOSTPATH_DIRECTORY, /* directory, O_PATH; the owner may search it */
};

/*
 * Opens path, which must be absolute. `what` is the name of the attribute, put first in the
 * sentence. EINVAL for a relative path or another type; ENOENT, EACCES as the owner sees it.
 * Changes the file-system credentials of the calling thread only, and back.
 */
int hostpath_open(struct cred who, const char *path, enum hostpath_kind kind, const char *what,
		  int *ret_fd, struct err *e);

#endif
