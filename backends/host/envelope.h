/*
 * An envelope: a descriptor of a file, in a socket's queue, for whoever only passes it on.
 *
 * The last thing a process does with a file may wait for its file system: close(2) asks FUSE's
 * server, and a network's, and where that does not answer not even a signal ends it. A process that
 * must not wait has an envelope instead. What is in it is no descriptor of that process, so closing
 * the envelope asks nobody.
 */
#ifndef BACKENDS_HOST_ENVELOPE_H
#define BACKENDS_HOST_ENVELOPE_H

#include "backends/base/err.h"

/*
 * Puts fd, which it takes over, into a new one. It may wait for the file system: fd is closed
 * before it returns.
 */
int envelope_seal(int fd, int *ret, struct err *e);

/*
 * Puts what is in an envelope in its place; another descriptor, also -1, stays what it is. EINVAL
 * for an envelope that is empty.
 */
int envelope_open(int *fd, struct err *e);

#endif
