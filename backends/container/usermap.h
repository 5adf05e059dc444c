/*
 * The uid and gid maps of a container's user namespace: what its owner may have, and writing it.
 */
#ifndef BACKENDS_CONTAINER_USERMAP_H
#define BACKENDS_CONTAINER_USERMAP_H

#include <stdbool.h>
#include <sys/types.h>

#include "backends/config.h"
#include "backends/err.h"
#include "backends/text.h"

/*
 * Makes the texts of uid_map and gid_map. An empty map is the identity for root, and for anybody
 * else container id 0 is the owner. An owner who is not root may map himself and his subordinate
 * ids (subuid(5), subgid(5)), else EPERM. *ret_deny_setgroups: the namespace must not be able to
 * drop groups, since a group may be what keeps its owner out of a file.
 */
int usermap_make(const struct id_map *map, uid_t uid, gid_t gid, struct text *uids,
		 struct text *gids, bool *ret_deny_setgroups, struct err *e);

/* Writes them for the process pid, which waits; parent's side. */
int usermap_write(pid_t pid, const struct text *uids, const struct text *gids, bool deny_setgroups,
		  struct err *e);

#endif
