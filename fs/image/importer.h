/*
 * struct importer: the daemon's end of an importer at work (backends/image/importer.h).
 *
 * `done` is called once, on the loop, when its process has ended and was reaped, so that nothing of
 * it is left: with what it has answered, or, when it was killed or has said nothing, without. What
 * it says is hostile: strings are cut at their ends, and nothing else is checked here.
 */
#ifndef FS_IMAGE_IMPORTER_H
#define FS_IMAGE_IMPORTER_H

#include "backends/base/err.h"
#include "backends/monitor/wire.h"

struct daemon;
struct importer;

/* answer NULL: it did not come to that, and e says why. run: lines, see image/oci.h. */
typedef void importer_done(void *arg, const struct wire_imported *answer, const char *run,
			   const struct err *e);

/*
 * The descriptors stay the caller's. *ret is good until done is called. -EBUSY: there are too many,
 * not counting removals.
 */
int importer_start(struct daemon *d, const struct wire_import *task, const int *fds, int nfds,
		   importer_done *done, void *arg, struct importer **ret, struct err *e);
/* Ends it; done comes. */
void importer_kill(struct importer *i);

/*
 * Removes a name of a directory that the daemon has open all its life, in a process of its own, one
 * after the other, and nobody is told. What a daemon leaves, the next one sweeps: see store.h.
 */
void importer_remove(struct daemon *d, int dirfd, const char *name);

/* Kills them all, and waits for it. done is not called; what is to be removed stays. */
void importers_free(struct daemon *d);

#endif
