/*
 * struct session: the descriptors by which a mount outlives its daemon.
 *
 * Whoever started the daemon keeps them, fs/handover/keeper.h or systemd, and hands them to the
 * next one by sd_listen_fds(3)'s protocol: LISTEN_FDS descriptors from 3 on, named by
 * LISTEN_FDNAMES. A daemon that executes its successor hands them over in the same way; so that
 * nothing else is in the way then, these numbers are theirs from the beginning.
 */
#ifndef FS_HANDOVER_SESSION_H
#define FS_HANDOVER_SESSION_H

#include <stdbool.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "fs/handover/journal.h"

enum session_fd {
	SESSION_FUSE = 3, /* see fs/front/fuse_mount.h */
	SESSION_JOURNAL,  /* see fs/handover/journal.h */
	SESSION_LUGGAGE,  /* see fs/handover/upgrade.h; only from hand to hand */
	SESSION_FD_END
};
#define SESSION_FDS (SESSION_FD_END - SESSION_FUSE)

struct session {
	bool have[SESSION_FDS]; /* else the number is taken by /dev/null */
	struct journal *journal;
	bool inherited; /* a daemon before this one has served it */
};

/* Takes what was handed over. Before anything else is opened. */
int session_init(struct session *s, struct err *e);
/*
 * Makes sure that there is a mount. One that was handed over but is of no use, since it was
 * unmounted or noted by another version, is given up and made anew.
 */
int session_open(struct session *s, const char *mountpoint, const char *options, struct err *e);
/* Puts fd in its place, instead of what was there; fd is closed. */
int session_put(struct session *s, enum session_fd which, int fd, struct err *e);
/* Reads what was handed over, see fs/handover/luggage.h, and drops it. ENOENT: nothing was. */
int session_luggage(struct session *s, struct text *out, struct err *e);
/* Has mount and journal kept, if there is anybody to do it. */
void session_keep(const struct session *s);
/* Executes a successor with all of them; returns only on failure. */
int session_leave(const struct session *s, const char *exe, char *const *argv, struct err *e);
/* Unmounts, and nothing is to be kept any more. */
void session_end(struct session *s, const char *mountpoint);
/* Closes what it has; the mount goes with the last descriptor. */
void session_close(struct session *s);

#endif
