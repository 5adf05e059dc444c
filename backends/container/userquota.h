/*
 * Quotas of users and groups inside a container, below the one that its whole layer has (quota.h):
 * the layer's own file system counts for each owner of files what he has, and holds him to his
 * limits. quotactl_fd(2), ext4(5) "usrquota".
 *
 * They are set from outside. No container's root can do it by quotactl(2): the kernel wants
 * CAP_SYS_ADMIN of the host's own user namespace for that, and its root is an overlay, which has no
 * quotas; what is behind it is not to be seen inside, since it is a raw disk. The limits hold there
 * nevertheless, for root's own writes to a user's files, too: overlayfs writes with the mounter's
 * credentials, and never with CAP_SYS_RESOURCE, which would override them.
 */
#ifndef BACKENDS_CONTAINER_USERQUOTA_H
#define BACKENDS_CONTAINER_USERQUOTA_H

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/config.h"
#include "backends/container/quota.h"
#include "backends/container/usermap.h"

bool userquota_wanted(const struct container_config *c);
/* EINVAL: the container has no overlay. */
int userquota_refuse(struct err *e);

/*
 * The layer's limits are those of `from`, or, NULL, not known: now they are those of `to`. On
 * failure they are what they were. EBUSY when the layer has no file system of its own, ENXIO when
 * that has no quotas of users; EINVAL for an id that the container has not.
 */
int userquota_set(const struct layer *l, const struct container_config *from,
		  const struct container_config *to, struct err *e);

/*
 * What is used of the layer's own file system, and by each id that has a line: "all", "user ID" or
 * "group ID", and bytes=N inodes=N. Asks of l its dir, uids and gids.
 */
void userquota_show(const struct layer *l, const struct container_config *c, struct text *out);

#endif
