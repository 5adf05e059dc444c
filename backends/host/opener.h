/*
 * struct opener: a helper process that opens host paths for the daemon, and knows its users.
 *
 * Opening a path of somebody else's waits for whatever it leads to: a network file system, a FUSE
 * of the user's own, an automount, a directory service that knows his groups. The daemon has one
 * thread, so it asks a process of its own, the same binary executed again, and waits for it no
 * longer than OPENER_WAIT_MS, not counting when it could run and the machine is busy; one that does
 * not answer is killed, the path refused, and the next path gets a new one.
 *
 * Closing a file may wait in the same way. So what is opened for reading or writing the daemon gets
 * in an envelope (envelope.h), after the opener has closed it once to see.
 *
 * A path that leads into the daemon's own mount would always end so, since nobody answers there
 * meanwhile; so the opener is told which one that is, and stops before it.
 *
 * Directories of the daemon's own user that it has found before are not asked for again (places.h).
 *
 * The opener is made when it is first needed, by executing this binary with --opener; it holds
 * nothing but its socket, and goes with it.
 * The daemon's thread only.
 */
#ifndef BACKENDS_HOST_OPENER_H
#define BACKENDS_HOST_OPENER_H

#include "backends/base/err.h"
#include "backends/config.h"
#include "backends/host/hostpath.h"

#define OPENER_WAIT_MS	2000
#define OPENER_PAUSE_MS 20000
#define OPENER_FD	3 /* the only descriptor of an opener at its start */

struct opener;

int opener_new(struct opener **ret, struct err *e);
void opener_free(struct opener *o);
/* Ends the process; the next path gets a new one. */
void opener_rest(struct opener *o);

/*
 * hostpath_open() by the opener; what is not O_PATH comes in an envelope. Also EIO, when what is on
 * the way does not answer; EBUSY, when such a path of the same user, unless he is root, was less
 * than OPENER_PAUSE_MS ago or still holds an opener, so that nobody makes the daemon wait all the
 * time; ENOSPC, when too many openers wait and cannot be killed.
 */
int opener_open(struct opener *o, const struct hostpath *p, int *ret_fd, struct err *e);
/* Whether that would do: opened and closed; an open file is not handed over. */
int opener_check(struct opener *o, const struct hostpath *p, struct err *e);

/*
 * Whether the owner may map these ids (container/usermap.h), asked of the user database: 0, EPERM,
 * or EIO when that does not answer.
 */
int opener_check_map(struct opener *o, const struct id_map *map, uid_t uid, gid_t gid,
		     struct err *e);

/*
 * The main group of a user, asked of the user database; gid for one whom it does not know. EIO when
 * that does not answer.
 */
int opener_find_group(struct opener *o, uid_t uid, gid_t gid, gid_t *ret, struct err *e);

/* The opener's own life: answers until its socket is closed. For main(). */
int opener_main(void);

#endif
