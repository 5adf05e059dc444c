/* A control group that is the container's to divide: see delegate.h. */
#include "backends/container/delegate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEAF "machinefs.exec"

/* The host's id of 0 in a map of lines INSIDE OUTSIDE COUNT; usermap_make() has seen that it has
 * one. */
static unsigned outside(const struct text *map)
{
	unsigned first, other, count;
	int used;

	for (const char *p = text_str(map);
	     sscanf(p, "%u %u %u%n", &first, &other, &count, &used) == 3; p += used)
		if (first == 0)
			return other;
	return 0;
}

int delegate_give(const struct plan *p, struct err *e)
{
	static const char *const files[] = { "cgroup.procs", "cgroup.threads",
					     "cgroup.subtree_control" };
	unsigned uid, gid;

	if (!p->config->delegate)
		return 0;
	if (p->birth_group < 0 || geteuid() != 0)
		return err_set(
			e, -ENXIO,
			"cgroup.delegate: it takes control groups of version 2, and a daemon "
			"of root's");
	if (!(p->namespaces & NS_CGROUP))
		return err_set(e, -EINVAL, "cgroup.delegate: needs a cgroup namespace");
	uid = p->namespaces & NS_USER ? outside(&p->map.uids) : 0;
	gid = p->namespaces & NS_USER ? outside(&p->map.gids) : 0;
	if (!uid)
		return err_set(e, -EINVAL,
			       "cgroup.delegate: the container's root would be the host's, who can "
			       "undo its limits; it needs a user namespace and a user.map");
	if (fchown(p->birth_group, uid, gid) < 0)
		return err_sys(e, errno, "cgroup.delegate");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (fchownat(p->birth_group, files[i], uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT)
			return err_sys(e, errno, "cgroup.delegate: %s", files[i]);
	return 0;
}

int delegate_leaf(int group, struct err *e)
{
	int leaf;

	if (mkdirat(group, LEAF, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cgroup.delegate: a group for sessions");
	leaf = openat(group, LEAF, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return leaf < 0 ? err_sys(e, errno, "cgroup.delegate: a group for sessions") : leaf;
}
