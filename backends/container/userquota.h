/*
 * Quotas of users and groups inside a container, below the one that its whole layer has (quota.h):
 * the layer's own file system counts for each owner of files what he has, and holds him to his
 * limits. quotactl_fd(2), ext4(5) "usrquota".
 *
 * They are set from outside, or by the container's root with quota.delegate: then these settings
 * have no lines. Its quotactl(2) does not reach the kernel, which wants CAP_SYS_ADMIN of the host's
 * own user namespace for it: see quotaserver.h. The limits hold for root's own writes to a user's
 * files, too: overlayfs writes with the mounter's credentials, and never with CAP_SYS_RESOURCE,
 * which would override them.
 */
#ifndef BACKENDS_CONTAINER_USERQUOTA_H
#define BACKENDS_CONTAINER_USERQUOTA_H

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/config.h"
#include "backends/container/quota.h"
#include "backends/container/usermap.h"

bool userquota_wanted(const struct container_config *c);
/* EINVAL: for want of an overlay, or since both sides would set them. */
int userquota_check(const struct container_config *c, bool overlay, struct err *e);

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
