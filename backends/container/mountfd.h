/*
 * Mounts by descriptor: made without a place, changed, and moved from descriptor to descriptor, so
 * that no path of a container's is ever followed. fsopen(2), open_tree(2), mount_setattr(2),
 * move_mount(2). No allocation and no locks: the container's first process uses them, see plan.h.
 *
 * All return -1 with errno when they fail.
 */
#ifndef BACKENDS_CONTAINER_MOUNTFD_H
#define BACKENDS_CONTAINER_MOUNTFD_H

#include <linux/mount.h>
#include <stdbool.h>

/* With what a file system of the kernel's own is mounted. */
#define ATTR_SYSTEM (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

struct mount_option {
	const char *key;
	const char *value; /* NULL: a flag */
};

/* A new instance of a filesystem, mounted nowhere yet; source: what mount(8) shows first. */
int mountfd_new(const char *type, const char *source, const struct mount_option *options, int count,
		unsigned int attributes);
/* The same, and all its files have this context of SELinux's; NULL or "": those that they have. */
int mountfd_new_labelled(const char *type, const char *source, const struct mount_option *options,
			 int count, unsigned int attributes, const char *context);
/* A copy of the mount at path, or of the file there, mounted nowhere yet; "": of dir itself. */
int mountfd_copy(int dir, const char *path, bool recursive);
/* attributes: MOUNT_ATTR_*, which it has from now on. */
int mountfd_restrict(int mnt, unsigned int attributes, bool recursive);
/* Its files' owners are seen as the user namespace maps them; not once it is mounted. */
int mountfd_map(int mnt, int userns);
/* Mounts it on place, a descriptor, or AT_FDCWD for the working directory. */
int mountfd_place(int mnt, int place);
/* Opens path below dir, to mount on it, by way of no link at all; resolve: more of RESOLVE_*. */
int mountfd_open(int dir, const char *path, unsigned long long resolve);

#endif
