/*
 * The uid and gid maps of a container's user namespace: what its owner may have, and writing it.
 *
 * An owner who is not root may map himself, and the ids that subuid(5) and subgid(5) give him; uids
 * by the one, gids by the other, so that a line of user.map, which is for both, needs both. A line
 * of one id that is his uid means him: his uid, and his main group.
 *
 * Where a daemon of root's runs the container, its monitor writes the maps. An ordinary user's own
 * may write no more than the user himself; newuidmap(1) and newgidmap(1), which have the privilege,
 * write the others, and look into the same files.
 */
#ifndef BACKENDS_CONTAINER_USERMAP_H
#define BACKENDS_CONTAINER_USERMAP_H

#include <stdbool.h>
#include <sys/types.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/config.h"
#include "backends/host/cred.h"

struct usermap {
	struct text uids, gids; /* of uid_map and gid_map */
	bool deny_setgroups;	/* the namespace has no groups but its owner's, so it must not be
				   able to drop them: one may be what keeps him out of a file */
	bool helped;		/* newuidmap and newgidmap have to write them */
};

/* Whether the owner may have each of the ranges: EPERM, EINVAL. Root may have all. */
int usermap_check(const struct id_map *map, const struct cred *owner, struct err *e);

/*
 * Makes the maps. An empty one is the identity for root. For anybody else 0 is the owner, and from
 * 1 on follow his subordinate ids, if he has both kinds (and, in his own daemon, newuidmap is
 * there). EINVAL also where 0 is not mapped: the engine becomes 0 to build the container.
 */
int usermap_make(const struct id_map *map, const struct cred *owner, struct usermap *ret,
		 struct err *e);
void usermap_free(struct usermap *u);
/* Those of a process's user namespace, whatever it is. */
int usermap_read(pid_t pid, struct usermap *ret, struct err *e);

/* Whom a map, lines of INSIDE OUTSIDE COUNT, has for the id inside; false: nobody. */
bool usermap_outside(const char *map, unsigned id, unsigned *ret);

/* Writes them for the process pid, which waits; parent's side. May wait for newuidmap. */
int usermap_write(pid_t pid, const struct usermap *u, struct err *e);

#endif
