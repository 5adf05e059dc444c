/* Mounts by descriptor: see mountfd.h. */
#include "backends/container/mountfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backends/host/openin.h"

static int configure(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
			    value, 0);
}

int mountfd_new_labelled(const char *type, const char *source, const struct mount_option *options,
			 int count, unsigned int attributes, const char *context)
{
	int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), mnt = -1, saved;

	if (fs < 0)
		return -1;
	if (configure(fs, "source", source) < 0)
		goto out;
	for (int i = 0; i < count; i++)
		if (configure(fs, options[i].key, options[i].value) < 0)
			goto out;
	if (context && *context && configure(fs, "context", context) < 0)
		goto out;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		goto out;
	mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
out:
	saved = errno;
	close(fs);
	errno = saved;
	return mnt;
}

int mountfd_new(const char *type, const char *source, const struct mount_option *options, int count,
		unsigned int attributes)
{
	return mountfd_new_labelled(type, source, options, count, attributes, NULL);
}

int mountfd_copy(int dir, const char *path, bool recursive)
{
	return (int)syscall(SYS_open_tree, dir, path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) |
				    (path[0] ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH));
}

static int set(int mnt, struct mount_attr *attr, bool recursive)
{
	return (int)syscall(SYS_mount_setattr, mnt, "",
			    AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), attr, sizeof(*attr));
}

int mountfd_restrict(int mnt, unsigned int attributes, bool recursive)
{
	struct mount_attr attr = { .attr_set = attributes };

	return set(mnt, &attr, recursive);
}

int mountfd_map(int mnt, int userns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (__u64)userns };

	return set(mnt, &attr, false);
}

int mountfd_place(int mnt, int place)
{
	return (int)syscall(SYS_move_mount, mnt, "", place, "",
			    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

int mountfd_open(int dir, const char *path, unsigned long long resolve)
{
	return open_in(dir, path, O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | resolve);
}
