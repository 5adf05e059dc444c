/* Mounts of a container's beside its root: see mount_part.h. */
#include "backends/container/mount_part.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backends/container/inside.h"
#include "backends/host/openin.h"

/* Not from sys/mount.h, whose names clash with those of linux/mount.h in this C library. */
#define UMOUNT_LAZY	2
#define UMOUNT_NO_LINKS 8

/* ---- options ---- */

static const struct {
	const char *word;
	unsigned set, clear;
} flags[] = {
	{ "ro", MOUNT_ATTR_RDONLY, 0 },
	{ "rw", 0, MOUNT_ATTR_RDONLY },
	{ "nosuid", MOUNT_ATTR_NOSUID, 0 },
	{ "suid", 0, MOUNT_ATTR_NOSUID },
	{ "nodev", MOUNT_ATTR_NODEV, 0 },
	{ "dev", 0, MOUNT_ATTR_NODEV },
	{ "noexec", MOUNT_ATTR_NOEXEC, 0 },
	{ "exec", 0, MOUNT_ATTR_NOEXEC },
	{ "noatime", MOUNT_ATTR_NOATIME, 0 },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, 0 },
	{ "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0 },
};

/* Of a tmpfs. */
static const char *const tmpfs_keys[] = { "size", "nr_inodes", "mode", "uid", "gid" };

static bool take_flag(struct mount_spec *s, const char *word)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(flags[i].word, word)) {
			s->attributes = (s->attributes & ~flags[i].clear) | flags[i].set;
			return true;
		}
	return !strcmp(word, "rbind") || !strcmp(word, "bind");
}

/* Cuts word at its "=". */
static bool take_key(struct mount_spec *s, char *word)
{
	char *value = strchr(word, '=');

	if (!value || s->noptions == MOUNT_OPTIONS_MAX)
		return false;
	*value = '\0';
	for (size_t i = 0; i < sizeof(tmpfs_keys) / sizeof(tmpfs_keys[0]); i++)
		if (!strcmp(tmpfs_keys[i], word)) {
			s->options[s->noptions++] = (struct mount_option){ word, value + 1 };
			return true;
		}
	*value = '=';
	return false;
}

static int parse_options(struct mount_spec *s, const struct part *p, bool *ret_recursive,
			 struct err *e)
{
	char *save = NULL;

	*ret_recursive = true;
	s->text = strdup(p->mount.options ? p->mount.options : "");
	if (!s->text)
		return err_sys(e, ENOMEM, "mount/%s/options", p->name);
	for (char *word = strtok_r(s->text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (!strcmp(word, "bind"))
			*ret_recursive = false;
		if (!take_flag(s, word) && (p->mount.type != MOUNT_TMPFS || !take_key(s, word)))
			return err_set(e, -EINVAL,
				       "mount/%s/options: \"%.64s\" is not possible "
				       "here",
				       p->name, word);
	}
	return 0;
}

/* ---- making ready ---- */

static int copy_source(struct mount_spec *s, int source, bool recursive, struct err *e)
{
	struct mount_attr attr = { .attr_set = s->attributes,
				   .propagation = 1 << 18 }; // MS_PRIVATE
	const unsigned all = recursive ? AT_RECURSIVE : 0;
	struct stat st;

	s->mnt = mountfd_copy(source, "", recursive);
	if (s->mnt < 0 && errno == EPERM)
		return err_set(e, -ENXIO,
			       "mount/%s/type: only root's daemon can show a part of the host's "
			       "tree",
			       s->name);
	if (s->mnt < 0 || fstat(s->mnt, &st) < 0 ||
	    syscall(SYS_mount_setattr, s->mnt, "", AT_EMPTY_PATH | all, &attr, sizeof(attr)) < 0)
		return err_sys(e, errno, "mount/%s/source", s->name);
	s->file = !S_ISDIR(st.st_mode);
	return 0;
}

int mount_spec_init(struct mount_spec *s, struct engine_host *host, const struct part *p,
		    struct err *e)
{
	int source = engine_take_fd(host, PART_MOUNT, p->name, 0), r;
	bool recursive;

	*s = (struct mount_spec){ .name = p->name,
				  .target = p->mount.target,
				  .mnt = -1,
				  .context = host->config->container.selinux_files };
	/* A device's permission is device/NAME's to give. */
	s->attributes = MOUNT_ATTR_NODEV | (p->mount.type == MOUNT_TMPFS ? MOUNT_ATTR_NOSUID : 0);
	r = parse_options(s, p, &recursive, e);
	if (r == 0 && p->mount.type == MOUNT_BIND)
		r = source < 0 ? err_set(e, -EINVAL, "mount/%s/source: it was not opened", p->name)
			       : copy_source(s, source, recursive, e);
	if (source >= 0)
		close(source);
	if (r < 0)
		mount_spec_free(s);
	return r;
}

void mount_spec_free(struct mount_spec *s)
{
	if (s->mnt >= 0)
		close(s->mnt);
	free(s->text);
	*s = (struct mount_spec){ .mnt = -1 };
}

/* ---- in the container ---- */

static _Noreturn void fail(struct child *c, int errnum, const char *what, const char *detail)
{
	char text[200] = "";

	child_append(text, sizeof(text), what);
	child_fail(c, errnum, text, detail);
}

/* As the container sees it: no way leads out, and none over a magic link. */
static int in_root(int root, const char *path, int open_flags)
{
	return open_in(root, path, open_flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* Makes the directories on the way to path, and path itself. */
static void make_target(struct child *c, const struct mount_spec *s, int root)
{
	char path[4096] = "";
	size_t len;

	child_append(path, sizeof(path), s->target);
	len = strlen(path);
	for (size_t i = 1; i <= len; i++) {
		const bool last = i == len;
		const char *slash;
		int parent, fd;

		if (!last && path[i] != '/')
			continue;
		path[i] = '\0';
		slash = strrchr(path, '/');
		fd = in_root(root, path, O_PATH);
		if (fd < 0) {
			path[slash - path] = '\0';
			parent = in_root(root, *path ? path : "/", O_PATH | O_DIRECTORY);
			path[slash - path] = '/';
			if (parent < 0)
				fail(c, errno, "mount target: ", s->target);
			if (last && s->file)
				fd = openat(parent, slash + 1,
					    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
					    0644);
			else if (mkdirat(parent, slash + 1, 0755) == 0)
				fd = dup(parent);
			if (fd < 0)
				fail(c, errno, "mount target cannot be made: ", s->target);
			close(parent);
		}
		close(fd);
		if (!last)
			path[i] = '/';
	}
}

/* What the kernel shows there is protected by other mounts, which one here might undo. */
static bool is_kernels(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC;
}

void mount_spec_put(struct child *c, const struct mount_spec *s, int root)
{
	int place, mnt = s->mnt;

	make_target(c, s, root);
	place = in_root(root, s->target, O_PATH);
	if (place < 0)
		fail(c, errno, "mount target: ", s->target);
	if (is_kernels(place))
		child_refuse(c, EINVAL,
			     "mount target: nothing can be mounted in /proc and /sys: ", s->target);
	if (mnt < 0)
		mnt = mountfd_new_labelled("tmpfs", s->name, s->options, s->noptions, s->attributes,
					   s->context);
	if (mnt < 0 || mountfd_place(mnt, place) < 0)
		fail(c, errno, "mounting at ", s->target);
	close(place);
	if (mnt != s->mnt)
		close(mnt);
}

void mount_spec_remove(struct child *c, const char *target, int root)
{
	int place = in_root(root, target, O_PATH);
	struct statx x;

	if (place < 0)
		return; // the container has moved it away
	if (statx(place, "", AT_EMPTY_PATH, STATX_TYPE, &x) < 0 || is_kernels(place) ||
	    !(x.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return;
	if (S_ISDIR(x.stx_mode) && fchdir(place) == 0)
		target = ".";
	if (syscall(SYS_umount2, target, UMOUNT_LAZY | UMOUNT_NO_LINKS) < 0 && errno != EINVAL)
		fail(c, errno, "unmounting ", target);
}

/* ---- while it runs ---- */

struct change {
	const struct mount_spec *add; /* NULL: nothing */
	const char *remove;
};

static void do_change(struct child *c, const void *arg)
{
	const struct change *change = arg;
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		fail(c, errno, "the container's root", NULL);
	if (change->add)
		mount_spec_put(c, change->add, root);
	if (change->remove)
		mount_spec_remove(c, change->remove, root);
}

static int add_one(struct engine_host *host, int init, uint64_t namespaces, const struct part *p,
		   struct err *e)
{
	struct mount_spec s;
	struct change change = { .add = &s };
	int r = mount_spec_init(&s, host, p, e);

	if (r < 0)
		return r;
	r = inside_run(init, namespaces, do_change, &change, e);
	mount_spec_free(&s);
	return r < 0 ? err_prefix(e, "mount/%s/target: ", p->name) : 0;
}

static int remove_one(int init, uint64_t namespaces, const struct part *p, struct err *e)
{
	struct change change = { .remove = p->mount.target };
	int r = inside_run(init, namespaces, do_change, &change, e);

	return r < 0 ? err_prefix(e, "mount/%s/target: ", p->name) : 0;
}

static bool mount_equal(const struct part *x, const struct part *y)
{
	return !strcmp(x->mount.source, y->mount.source) &&
	       !strcmp(x->mount.target, y->mount.target) && x->mount.type == y->mount.type &&
	       !strcmp(x->mount.options, y->mount.options);
}

/* Those of `of` that are not, or not the same, in `in`: each is handed to add or remove. */
int mounts_configure(struct engine_host *host, int init, uint64_t namespaces,
		     const struct machine_config *next, struct err *e)
{
	const struct parts *now = &host->config->parts[PART_MOUNT],
			   *then = &next->parts[PART_MOUNT];
	const uint64_t enter = namespaces & (NS_MOUNT | NS_USER);
	int r = 0;

	if (!(namespaces & NS_MOUNT) && then->n)
		return err_set(e, -EINVAL, "mount: the container has no mount namespace");
	for (size_t i = 0; r == 0 && i < now->n; i++) {
		const struct part *p = parts_find(then, now->list[i].name);

		if (!p || !mount_equal(p, &now->list[i]))
			r = remove_one(init, enter, &now->list[i], e);
	}
	for (size_t i = 0; r == 0 && i < then->n; i++) {
		const struct part *p = parts_find(now, then->list[i].name);

		if (p && mount_equal(p, &then->list[i]))
			continue;
		r = add_one(host, init, enter, &then->list[i], e);
		/* Those before it are not to stay: it is nearly always the only one. */
		for (size_t j = 0; r < 0 && j < i; j++)
			if (!parts_find(now, then->list[j].name))
				remove_one(init, enter, &then->list[j], NULL);
	}
	return r;
}
