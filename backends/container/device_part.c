/* Device nodes of a container's beside the common ones: see device_part.h. */
#include "backends/container/device_part.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backends/container/inside.h"
#include "backends/container/mountfd.h"
#include "backends/host/openin.h"

/* Not from sys/mount.h, whose names clash with those of linux/mount.h in this C library. */
#define UMOUNT_LAZY	2
#define UMOUNT_NO_LINKS 8

/* ---- what it is ---- */

/* The path below /dev: of words that are neither empty nor dots. */
static int set_path(struct device_spec *s, const struct part *p, struct err *e)
{
	static const char dev[] = "/dev/";
	const char *setting = *p->device.target ? "target" : "path";
	const char *path = *p->device.target ? p->device.target : p->device.path;
	const char *below = path + sizeof(dev) - 1;

	if (strncmp(path, dev, sizeof(dev) - 1))
		return err_set(e, -EINVAL, "device/%s/%s: %.64s is not below /dev", p->name,
			       setting, path);
	for (const char *w = below;; w += strcspn(w, "/") + 1) {
		size_t len = strcspn(w, "/");

		if (!len || (len <= 2 && !strncmp(w, "..", len)))
			return err_set(e, -EINVAL, "device/%s/%s: %.64s is no plain path", p->name,
				       setting, path);
		if (!w[len])
			break;
	}
	if (snprintf(s->path, sizeof(s->path), "%s", below) >= (int)sizeof(s->path))
		return err_set(e, -EINVAL, "device/%s/%s: longer than %zu bytes", p->name, setting,
			       sizeof(s->path) - 1);
	return 0;
}

static int set_number(struct device_spec *s, const struct part *p, int node, struct err *e)
{
	const struct device_number *n = &p->device.number;
	struct stat st;

	s->access = (struct device_access){ n->type, n->major, n->minor, p->device.permissions };
	if (n->type)
		return 0;
	if (node < 0 || fstat(node, &st) < 0 || !(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
		return err_set(e, -EINVAL, "device/%s/path: no device was opened", p->name);
	s->access.type = S_ISCHR(st.st_mode) ? 'c' : 'b';
	s->access.major = major(st.st_rdev);
	s->access.minor = minor(st.st_rdev);
	return 0;
}

/* A copy of the host's node, of which the container can make no other use than to open it. */
static int show(struct device_spec *s, int node, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
				   .attr_clr = MOUNT_ATTR_NODEV,
				   .propagation = 1 << 18 }; // MS_PRIVATE

	if (node < 0)
		return err_set(
			e, -ENXIO,
			"device/%s/number: in a user namespace no node can be made, only one "
			"of the host's be shown",
			s->name);
	s->shown = true;
	s->mnt = mountfd_copy(node, "", false);
	if (s->mnt < 0 ||
	    syscall(SYS_mount_setattr, s->mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_sys(e, errno, "device/%s/path", s->name);
	return 0;
}

static int spec_init(struct device_spec *s, struct engine_host *host, uint64_t namespaces,
		     const struct part *p, struct err *e)
{
	int node = engine_take_fd(host, PART_DEVICE, p->name, 0), r;

	*s = (struct device_spec){ .mnt = -1,
				   .mode = (unsigned)p->device.mode,
				   .uid = (unsigned)p->device.uid,
				   .gid = (unsigned)p->device.gid };
	snprintf(s->name, sizeof(s->name), "%s", p->name);
	r = set_path(s, p, e);
	if (r == 0)
		r = set_number(s, p, node, e);
	if (r == 0 && namespaces & NS_USER)
		r = show(s, node, e);
	if (node >= 0)
		close(node);
	return r;
}

static void spec_close(struct device_spec *s)
{
	if (s->mnt >= 0)
		close(s->mnt);
	s->mnt = -1;
}

void devices_close(struct devices *d)
{
	for (size_t i = 0; i < d->n; i++)
		spec_close(&d->list[i]);
}

static const struct device_spec *find(const struct devices *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (!strcmp(d->list[i].name, name))
			return &d->list[i];
	return NULL;
}

/* What may be used of them. */
static size_t accesses(const struct devices *d, struct device_access out[PARTS_MAX])
{
	for (size_t i = 0; i < d->n; i++)
		out[i] = d->list[i].access;
	return d->n;
}

static int allow(const struct engine_host *host, const struct devices *now,
		 const struct devices *then, struct err *e)
{
	struct device_access a[PARTS_MAX], b[PARTS_MAX];
	size_t na = accesses(now, a), nb = accesses(then, b);

	return cgroup_allow_devices(host->fd[ENGINE_FD_DEVICES], a, na, b, nb, e);
}

static int check(const struct engine_host *host, uint64_t namespaces, const struct parts *parts,
		 struct err *e)
{
	if (!parts->n)
		return 0;
	if (!(namespaces & NS_MOUNT))
		return err_set(e, -EINVAL,
			       "device/%s: the container has no mount namespace, and so no /dev of "
			       "its own",
			       parts->list[0].name);
	if (host->fd[ENGINE_FD_DEVICES] < 0)
		return err_set(e, -ENXIO,
			       "device/%s: only root's daemon can give devices, by a control group "
			       "that restricts them",
			       parts->list[0].name);
	return 0;
}

struct devices *devices_new(void)
{
	struct devices *d = malloc(sizeof(*d));

	if (d)
		d->n = 0;
	return d;
}

int devices_init(struct devices *d, struct engine_host *host, uint64_t namespaces, struct err *e)
{
	const struct parts *parts = &host->config->parts[PART_DEVICE];
	static const struct devices none;
	int r = check(host, namespaces, parts, e);

	d->n = 0;
	for (size_t i = 0; r == 0 && i < parts->n; i++)
		r = spec_init(&d->list[d->n++], host, namespaces, &parts->list[i], e);
	if (r == 0 && d->n)
		r = allow(host, &none, d, e);
	if (r < 0)
		devices_close(d);
	return r;
}

/* ---- in the container ---- */

static _Noreturn void fail(struct child *c, int errnum, const char *what,
			   const struct device_spec *s)
{
	char text[300] = "";

	child_append(text, sizeof(text), what);
	child_append(text, sizeof(text), " /dev/");
	child_fail(c, errnum, text, s->path);
}

static int below(int dev, const char *path, int flags)
{
	return open_in(dev, path, O_PATH | flags,
		       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/*
 * The directory that the node is in, and the node's own name in it. Directories on the way are made
 * with make; -1: they are not there.
 */
static int directory(struct child *c, const struct device_spec *s, int dev, bool make,
		     const char **ret_name)
{
	char path[sizeof(s->path)] = "";
	const char *last = strrchr(s->path, '/');
	int dir;

	*ret_name = last ? last + 1 : s->path;
	if (!last)
		return below(dev, ".", O_DIRECTORY);
	child_append(path, (size_t)(last - s->path) + 1, s->path);
	for (char *at = path; make && at; at = strchr(at + 1, '/')) {
		char *slash = strchr(at + 1, '/'), *name;
		int parent;

		if (slash)
			*slash = '\0';
		name = strrchr(path, '/');
		if (name)
			*name = '\0';
		parent = name ? below(dev, path, O_DIRECTORY) : dev;
		if (name)
			*name = '/';
		if (parent < 0 ||
		    (mkdirat(parent, name ? name + 1 : path, 0755) < 0 && errno != EEXIST))
			fail(c, errno, "making the directory of", s);
		if (parent != dev)
			close(parent);
		if (slash)
			*slash = '/';
	}
	dir = below(dev, path, O_DIRECTORY);
	if (dir < 0 && make)
		fail(c, errno, "the directory of", s);
	return dir;
}

static void show_node(struct child *c, const struct device_spec *s, int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int place;

	if (fd < 0)
		fail(c, errno, "making", s);
	close(fd);
	place = below(dir, name, 0);
	if (place < 0 || mountfd_place(s->mnt, place) < 0) {
		int saved = errno;

		unlinkat(dir, name, 0);
		fail(c, saved, "showing", s);
	}
	close(place);
}

static bool is_node(const struct device_spec *s, const struct stat *st)
{
	return (s->access.type == 'c' ? S_ISCHR(st->st_mode) : S_ISBLK(st->st_mode)) &&
	       st->st_rdev == makedev(s->access.major, s->access.minor);
}

static void make_node(struct child *c, const struct device_spec *s, int dir, const char *name)
{
	mode_t type = s->access.type == 'c' ? S_IFCHR : S_IFBLK, old = umask(0);
	struct stat st;
	int node;

	if (mknodat(dir, name, type | s->mode, makedev(s->access.major, s->access.minor)) < 0)
		fail(c, errno, "making", s);
	umask(old);
	if (!s->uid && !s->gid)
		return;
	/* It is opened, and looked at, because the container can exchange it. */
	node = below(dir, name, O_NOFOLLOW);
	if (node < 0 || fstat(node, &st) < 0 || !is_node(s, &st) ||
	    fchownat(node, "", s->uid, s->gid, AT_EMPTY_PATH) < 0) {
		unlinkat(dir, name, 0);
		fail(c, EIO, "the owner of", s);
	}
	close(node);
}

void device_spec_put(struct child *c, const struct device_spec *s, int dev)
{
	const char *name;
	int dir = directory(c, s, dev, true, &name);

	if (dir < 0)
		fail(c, errno, "the directory of", s);
	if (s->shown)
		show_node(c, s, dir, name);
	else
		make_node(c, s, dir, name);
	close(dir);
}

/* What is there by now may be the container's: then it stays. */
static void spec_remove(struct child *c, const struct device_spec *s, int dev)
{
	const char *name;
	int dir = directory(c, s, dev, false, &name);
	struct stat st;

	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (s->shown) {
		if (fchdir(dir) < 0 || !is_node(s, &st) ||
		    syscall(SYS_umount2, name, UMOUNT_LAZY | UMOUNT_NO_LINKS) < 0 ||
		    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		    st.st_size)
			return;
	} else if (!is_node(s, &st)) {
		return;
	}
	unlinkat(dir, name, 0);
}

/* ---- while it runs ---- */

struct change {
	const struct device_spec *spec;
	bool add;
};

/*
 * /dev as mounts.c has made it: the container may have put something else in its place, in which no
 * node is made, since it might be a directory of the host's.
 */
static int find_dev(void)
{
	int dev = open("/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx x;
	struct statfs fs;

	if (dev < 0 || fstatfs(dev, &fs) < 0 || fs.f_type != TMPFS_MAGIC ||
	    statx(dev, "", AT_EMPTY_PATH, STATX_TYPE, &x) < 0 ||
	    !(x.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return -1;
	return dev;
}

static void do_change(struct child *c, const void *arg)
{
	const struct change *change = arg;
	int dev = find_dev();

	if (dev < 0 && change->add)
		child_refuse(c, EINVAL, "the container has something else at /dev", NULL);
	if (change->add)
		device_spec_put(c, change->spec, dev);
	else if (dev >= 0)
		spec_remove(c, change->spec, dev);
}

/* Whether it has gone does not matter much: the container may make nodes, but not use it any more.
 */
static void remove_one(int init, uint64_t enter, const struct device_spec *s)
{
	struct change change = { s, false };

	inside_run(init, enter, do_change, &change, NULL);
}

static int add_new(const struct devices *now, const struct devices *next, int init, uint64_t enter,
		   struct err *e)
{
	for (size_t i = 0; i < next->n; i++) {
		const struct device_spec *s = &next->list[i];
		struct change change = { s, true };
		int r = find(now, s->name) ? 0 : inside_run(init, enter, do_change, &change, e);

		if (r == 0)
			continue;
		while (i-- > 0)
			if (!find(now, next->list[i].name))
				remove_one(init, enter, &next->list[i]);
		return err_prefix(e, "device/%s/path: ", s->name);
	}
	return 0;
}

static bool same(const struct part *x, const struct part *y)
{
	const struct device_config *a = &x->device, *b = &y->device;

	return !strcmp(a->path, b->path) && !strcmp(a->target, b->target) &&
	       a->number.type == b->number.type && a->number.major == b->number.major &&
	       a->number.minor == b->number.minor && a->mode == b->mode && a->uid == b->uid &&
	       a->gid == b->gid;
}

/* What stays is taken over from d, with the permissions that it is to have. */
static int make_next(const struct devices *d, struct engine_host *host, uint64_t namespaces,
		     const struct machine_config *config, struct devices *next, struct err *e)
{
	const struct parts *now = &host->config->parts[PART_DEVICE],
			   *then = &config->parts[PART_DEVICE];
	int r = 0;

	next->n = 0;
	for (size_t i = 0; r == 0 && i < then->n; i++) {
		const struct part *p = &then->list[i], *was = parts_find(now, p->name);
		const struct device_spec *s = find(d, p->name);

		if (!was || !s) {
			r = spec_init(&next->list[next->n++], host, namespaces, p, e);
			continue;
		}
		if (!same(p, was))
			return err_set(e, -EBUSY,
				       "device/%s: it cannot become another while it is there",
				       p->name);
		next->list[next->n] = *s;
		next->list[next->n++].access.access = p->device.permissions;
	}
	return r;
}

int devices_configure(struct devices *d, struct engine_host *host, int init, uint64_t namespaces,
		      const struct machine_config *config, struct err *e)
{
	const uint64_t enter = namespaces & (NS_MOUNT | NS_USER);
	struct devices next;
	int r = check(host, namespaces, &config->parts[PART_DEVICE], e);

	if (r < 0 || (!d->n && !config->parts[PART_DEVICE].n))
		return r;
	r = make_next(d, host, namespaces, config, &next, e);
	if (r == 0)
		r = allow(host, d, &next, e);
	if (r < 0)
		goto out;
	r = add_new(d, &next, init, enter, e);
	if (r < 0)
		allow(host, &next, d, NULL);
	for (size_t i = 0; r == 0 && i < d->n; i++)
		if (!find(&next, d->list[i].name))
			remove_one(init, enter, &d->list[i]);
out:
	devices_close(&next);
	if (r == 0)
		*d = next;
	return r;
}
