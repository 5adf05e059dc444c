/*
 * struct cred: what a user may do, for acting in his name: uid, main group and other groups.
 *
 * Durable is only the uid that owns a machine, so the rest is looked up where it is used, in the
 * system's own user database (getpwuid(3), getgrouplist(3)): who was taken out of a group has lost
 * it at the next use, and who is known by a directory service has his groups, too. Such a service
 * may take its time, so only processes that may wait ask: the opener (opener.h) and monitors,
 * never the daemon's loop. Nothing is kept, since with files it takes 0.3 ms. Root may do all, and
 * is not looked up.
 *
 * Of a user that the database does not know there is nothing but his uid, and the group that
 * whoever gave him the machine gave it, too. Of one that it knows, the group of a machine's
 * directory is not his credential: it may be there to let others in.
 */
#ifndef BACKENDS_HOST_CRED_H
#define BACKENDS_HOST_CRED_H

#include <stdbool.h>
#include <sys/types.h>

#include "backends/base/err.h"

#define CRED_GROUPS_MAX 1024 /* who is in more is refused, not cut down */

struct cred {
	uid_t uid;
	gid_t gid;
	char name[64]; /* for subuid(5); "" when he has none, or a longer one */
	int ngroups;
	gid_t groups[CRED_GROUPS_MAX]; /* with gid among them */
};

/* May wait for a directory service. ENXIO: too many groups; EIO: the database cannot be read. */
int cred_find(uid_t uid, gid_t gid, struct cred *ret, struct err *e);

/*
 * From here on the calling thread, which alone is changed, opens files as `who`: his uid and
 * groups, no capability. For root nothing changes. EPERM where this process is not root and is
 * somebody else: it cannot act for him.
 */
int cred_enter(const struct cred *who, struct err *e);
/* Back to what the process is. */
void cred_leave(void);

/*
 * A user namespace of its own for the process, which has one thread: in it, it is uid and gid, and
 * nobody else is anybody. 0; EIO: it is there, and cannot be used; else -errno: there is none.
 */
int cred_be_alone(uid_t uid, gid_t gid);

/* The thread gets these groups for good, and so do its children. 0 or -errno. */
int cred_set_groups(const struct cred *who);

#endif
