/*
 * Host paths that a machine names: opened with its owner's authority, never the daemon's.
 *
 * The path is gone along one name at a time, from descriptor to descriptor, as the owner with all
 * his groups and no capability (cred.h). What is checked is what is used: nothing that is exchanged
 * meanwhile can come between, and a FIFO or a device is never opened, since nothing is opened for
 * reading before it is known to be a regular file.
 *
 * Links are followed as open(2) would, with two exceptions. Those of /proc lead into whoever asks,
 * who is not the owner, so neither they nor any file there can be named. And fs.protected_symlinks
 * holds always: in a directory like /tmp only links of the owner or of the directory's are
 * followed.
 *
 * It may wait for a file system, and for the user database; so the daemon asks the opener
 * (opener.h), and only that calls it.
 */
#ifndef BACKENDS_HOST_HOSTPATH_H
#define BACKENDS_HOST_HOSTPATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/base/err.h"

enum hostpath_kind {
	HOSTPATH_FILE,		/* regular file, opened read only */
	HOSTPATH_DIRECTORY,	/* directory, O_PATH; the owner may search it */
	HOSTPATH_DISK,		/* regular file or block device, opened for reading and writing */
	HOSTPATH_DISK_READONLY, /* likewise, for reading */
	HOSTPATH_ANY,		/* directory as above, or regular file, O_PATH; he may read it */
	HOSTPATH_NODE,		/* character or block device, O_PATH; he may read and write it */
	HOSTPATH_SOURCE, /* FIFO, regular file, terminal or /dev/null, O_PATH; he may read it */
	HOSTPATH_SINK,	 /* likewise; he may write it */
	HOSTPATH_KINDS
};

struct hostpath {
	const char *path; /* must be absolute */
	enum hostpath_kind kind;
	const char *what; /* the attribute's name, put first in the sentence */
	uid_t uid;	  /* whose authority */
	gid_t gid;	  /* his group, if the user database does not know him */
	uint64_t avoid;	  /* the dev_t of the daemon's own mount, which must not be entered; or 0 */
};

/*
 * EINVAL for a relative path, another type, the daemon's own tree; ENOENT, EACCES as the owner
 * sees it, EACCES for what is in /proc; EPERM where this process cannot act for the owner.
 * Changes the file-system credentials of the calling thread only, and back.
 */
int hostpath_open(const struct hostpath *p, int *ret_fd, struct err *e);
/* Whether what comes of this kind is O_PATH, which is a place and no open file. */
bool hostpath_only(enum hostpath_kind kind);

#endif
