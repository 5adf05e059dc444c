/*
 * struct places: where paths have led that the opener was asked for, so that it need not be asked
 * for the same one again and again.
 *
 * To ask another process takes longer than all the rest of a look at a path. A path that leads,
 * without a link, to the very place to which it has led before is found in the kernel's own cache,
 * which waits for nobody (openat2(2), RESOLVE_CACHED); whatever is not there, or is another place
 * now, is the opener's again. Only for directories, HOSTPATH_DIRECTORY, of the user that the
 * process is, whose authority it has anyway. The kernel looks at the permissions on the way each
 * time.
 *
 * One thread at a time.
 */
#ifndef BACKENDS_HOST_PLACES_H
#define BACKENDS_HOST_PLACES_H

#include "backends/host/hostpath.h"

#define PLACES_MAX 32

/* Where a path has led, or no path. */
struct place {
	char *path;
	uint64_t avoid;
	uint64_t mount, inode; /* statx(2)'s */
	uint32_t major, minor;
};

/* All zero: none is known. */
struct places {
	struct place list[PLACES_MAX];
	unsigned next; /* to be forgotten */
};

/* A descriptor as hostpath_open() gives, or -1: the opener is to be asked. */
int places_find(const struct places *s, const struct hostpath *p);
/* fd is what p has led to. Lack of memory is nobody's failure. */
void places_learn(struct places *s, const struct hostpath *p, int fd);
void places_free(struct places *s);

#endif
