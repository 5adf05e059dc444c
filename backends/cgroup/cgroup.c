/*
 * struct cgroup: which hierarchies there are, and the life of a group in them. See cgroup.h;
 * limits, figures, tasks and devices are in the cgroup_*.c files beside this one.
 */
#include "backends/cgroup/cgroup_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Groups inside a machine's group that are followed when killing or removing. */
#define CGROUP_DEPTH_MAX 16

/* How long a start waits for the dead of an earlier one to leave their group. */
#define LEFT_TRIES   50
#define LEFT_WAIT_US 2000

static const char *const need_names[NEED_COUNT] = {
	/* as v2 has them; v1's io is blkio */
	[NEED_CPU] = "cpu",	  [NEED_CPUACCT] = "cpuacct", [NEED_MEMORY] = "memory",
	[NEED_PIDS] = "pids",	  [NEED_FREEZER] = "freezer", [NEED_DEVICES] = "devices",
	[NEED_CPUSET] = "cpuset", [NEED_IO] = "io",	      [NEED_HUGETLB] = "hugetlb",
};

/* One line of mountinfo that is a cgroup mount; strings point into a private copy of the line. */
struct cgroup_mount {
	bool v2;
	char *root;  /* which directory of the hierarchy is mounted */
	char *point; /* where */
	char *super; /* v1: controllers among other words, separated by commas */
};

int cgroup_write_file(int dir, const char *file, const char *text)
{
	int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	r = n < 0 ? -errno : (size_t)n == len ? 0 : -EIO;
	close(fd);
	return r;
}

int cgroup_read_file(int dir, const char *file, struct text *t)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = text_read_fd(t, fd);
	close(fd);
	return r;
}

/* True when word is one of the list's words, which sep separates. */
static bool list_has(const char *list, const char *word, char sep)
{
	size_t len = strlen(word);

	for (const char *p = list; p && *p; p = strchr(p, sep), p = p ? p + 1 : NULL)
		if (!strncmp(p, word, len) && (!p[len] || p[len] == sep || p[len] == '\n'))
			return true;
	return false;
}

/* mountinfo writes blanks and backslashes as \040 and the like. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* ID PARENT MAJ:MIN ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE SUPER; proc(5). Changes line. */
static bool parse_mount(char *line, struct cgroup_mount *m)
{
	char *tail = strstr(line, " - "), *save = NULL, *word, *type;

	if (!tail)
		return false;
	*tail = '\0';
	type = strtok_r(tail + 3, " ", &save);
	if (!type || strncmp(type, "cgroup", 6) || (type[6] && strcmp(type + 6, "2")))
		return false;
	m->v2 = type[6] == '2';
	m->super = strtok_r(NULL, " ", &save) ? strtok_r(NULL, " ", &save) : NULL;
	word = strtok_r(line, " ", &save);
	for (int i = 0; word && i < 2; i++)
		word = strtok_r(NULL, " ", &save);
	m->root = word ? strtok_r(NULL, " ", &save) : NULL;
	m->point = m->root ? strtok_r(NULL, " ", &save) : NULL;
	if (!m->point || !m->super)
		return false;
	unescape(m->root);
	unescape(m->point);
	return true;
}

/*
 * This process's group in the hierarchy of m, relative to what is mounted; "" when it cannot
 * be said. self is /proc/self/cgroup: lines "ID:CONTROLLERS:PATH", v2's being "0::PATH".
 */
static void own_path(const char *self, const struct cgroup_mount *m, const char *controller,
		     char *ret, size_t size)
{
	ret[0] = '\0';
	for (const char *p = self; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		const char *list = strchr(p, ':'), *path = list ? strchr(list + 1, ':') : NULL;
		char names[256];
		size_t len, skip = strcmp(m->root, "/") ? strlen(m->root) : 0;

		if (!path || (size_t)(path - list) > sizeof(names))
			continue;
		memcpy(names, list + 1, (size_t)(path - list - 1));
		names[path - list - 1] = '\0';
		if (m->v2 ? names[0] != '\0' : !list_has(names, controller, ','))
			continue;
		len = strcspn(++path, "\n");
		if (len < skip || strncmp(path, m->root, skip) || len - skip >= size)
			return;
		memcpy(ret, path + skip, len - skip);
		ret[len - skip] = '\0';
		return;
	}
}

/* Where the daemon goes that must not stay in the group itself: see leave_base(). */
static void leaf_name(const char *parent, char leaf[NAME_MAX + 1])
{
	snprintf(leaf, NAME_MAX + 1, "%.200s.daemon", parent);
}

/* systemd marks what it delegates; an ordinary user's own group is his when he may write it. */
static bool is_delegated(int dir)
{
	char mark = '0';

	if (geteuid() != 0)
		return faccessat(dir, ".", W_OK, AT_EACCESS) == 0;
	return (fgetxattr(dir, "trusted.delegate", &mark, 1) == 1 && mark == '1') ||
	       (fgetxattr(dir, "user.delegate", &mark, 1) == 1 && mark == '1');
}

/*
 * The directory below which PARENT goes: our own group where it is delegated, or the mount. Own is
 * also the one whose leaf we are in: an earlier daemon made it, or systemd (DelegateSubgroup=).
 */
static int open_base(const struct cgroup_mount *m, char *own, const char *parent, struct err *e)
{
	int top = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir;
	char leaf[NAME_MAX + 1], *last = strrchr(own, '/');

	if (top < 0)
		return err_sys(e, errno, "%s", m->point);
	leaf_name(parent, leaf);
	if (last && !strcmp(last + 1, leaf))
		*last = '\0';
	while (*own == '/')
		own++;
	if (!*own)
		return top;
	dir = openat(top, own, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir >= 0 && is_delegated(dir)) {
		close(top);
		return dir;
	}
	if (dir >= 0)
		close(dir);
	return top;
}

/*
 * v2 allows no processes in a group whose children have controllers (kernel document cgroup-v2,
 * "No Internal Process Constraint"). Where the daemon's own delegated group is the base, the
 * daemon steps into a leaf of it.
 */
static int leave_base(int base, const char *parent)
{
	char leaf[NAME_MAX + 1];
	int dir, r;

	leaf_name(parent, leaf);
	if (mkdirat(base, leaf, 0755) < 0 && errno != EEXIST)
		return -errno;
	dir = openat(base, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = cgroup_write_file(dir, "cgroup.procs", "0");
	close(dir);
	return r;
}

static bool has_processes(int dir)
{
	struct text procs = TEXT_INIT;
	bool any = cgroup_read_file(dir, "cgroup.procs", &procs) == 0 && procs.len > 0;

	text_free(&procs);
	return any;
}

/*
 * Empties the base of the daemon itself; EBUSY where somebody else is there, too. The kernel would
 * then still give cpu and pids to the groups below, but make threads of them, which no process can
 * enter. The hierarchy's root, which has no type, may have both.
 */
static int empty_base(int base, const char *parent, struct err *e)
{
	if (faccessat(base, "cgroup.type", F_OK, 0) < 0 || !has_processes(base))
		return 0;
	leave_base(base, parent);
	if (!has_processes(base))
		return 0;
	return err_set(e, -EBUSY,
		       "the daemon is not alone in its control group; start it in one of its own, "
		       "as by systemd-run --user --scope -p Delegate=yes");
}

/* Lets the children of dir have each controller that dir has and a machine needs. */
static void enable_controllers(int dir)
{
	struct text have = TEXT_INIT, on = TEXT_INIT;

	cgroup_read_file(dir, "cgroup.controllers", &have);
	cgroup_read_file(dir, "cgroup.subtree_control", &on);
	for (int i = 0; i < NEED_COUNT; i++) {
		char word[32] = "+";

		strcat(word, need_names[i]);
		if (!list_has(text_str(&have), word + 1, ' ') ||
		    list_has(text_str(&on), word + 1, ' '))
			continue;
		/* One by one: a controller that cannot be had must not cost the others. */
		cgroup_write_file(dir, "cgroup.subtree_control", word);
	}
	text_free(&have);
	text_free(&on);
}

/* Which needs the groups below the v2 directory dir can serve. */
static unsigned int v2_needs(struct cgroup_host *h, int dir)
{
	unsigned int needs = 1u << NEED_CPUACCT;
	struct text on = TEXT_INIT;

	if (faccessat(dir, "cgroup.freeze", F_OK, 0) == 0) // Linux 5.2
		needs |= 1u << NEED_FREEZER;
	if (cgroup_load_devices(h))
		needs |= 1u << NEED_DEVICES;

	cgroup_read_file(dir, "cgroup.subtree_control", &on);
	for (int i = 0; i < NEED_COUNT; i++)
		if (list_has(text_str(&on), need_names[i], ' '))
			needs |= 1u << i;
	text_free(&on);
	return needs;
}

/* Makes and opens PARENT below base; returns its descriptor. */
static int open_parent(int base, const char *parent, bool v2, struct err *e)
{
	int dir;

	if (v2 && empty_base(base, parent, e) < 0)
		return -EBUSY;
	if (v2)
		enable_controllers(base);
	if (mkdirat(base, parent, 0755) < 0 && errno != EEXIST)
		return err_sys(e, errno, "control group %s", parent);
	dir = openat(base, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_sys(e, errno, "control group %s", parent);
	/* Another user's daemon may have made it. */
	if (faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		err_sys(e, errno, "control group %s", parent);
		close(dir);
		return -EACCES;
	}
	if (v2)
		enable_controllers(dir);
	return dir;
}

static bool mount_has(const struct cgroup_mount *m, int need)
{
	return m->v2 || list_has(m->super, need == NEED_IO ? "blkio" : need_names[need], ',');
}

/* Adds the hierarchy of m for those needs that nothing serves yet. */
static int add_hierarchy(struct cgroup_host *h, const struct cgroup_mount *m, const char *self,
			 const char *parent, struct err *e)
{
	struct cgroup_hierarchy *hier = &h->hier[h->n];
	unsigned int needs = 0;
	char own[PATH_MAX];
	int base, dir, first = -1;

	for (int i = NEED_COUNT - 1; i >= 0; i--)
		if (h->where[i] < 0 && mount_has(m, i))
			needs |= 1u << (first = i);
	if (!needs)
		return 0;
	own_path(self, m, first == NEED_IO ? "blkio" : need_names[first], own, sizeof(own));
	base = open_base(m, own, parent, e);
	if (base < 0)
		return base;
	dir = open_parent(base, parent, m->v2, e);
	close(base);
	if (dir < 0)
		return dir;
	if (m->v2)
		needs &= v2_needs(h, dir);
	*hier = (struct cgroup_hierarchy){
		.v2 = m->v2,
		.needs = needs,
		.late = !m->v2 && !(needs & ((1u << NEED_CPUSET) - 1)),
		.parent = dir,
	};
	for (int i = 0; i < NEED_COUNT; i++)
		if (needs & 1u << i)
			h->where[i] = h->n;
	h->n++;
	return 0;
}

/* Goes over all mounts of one version. A mount that cannot be used is as good as none. */
static void add_hierarchies(struct cgroup_host *h, const char *mountinfo, const char *self,
			    const char *parent, bool v2, struct err *e)
{
	char *copy = strdup(mountinfo), *save = NULL;

	for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct cgroup_mount m;

		if (h->n < NEED_COUNT && parse_mount(line, &m) && m.v2 == v2)
			add_hierarchy(h, &m, self, parent, e);
	}
	free(copy);
}

int cgroup_host_parse(const char *mountinfo, const char *self, const char *parent,
		      struct cgroup_host **ret, struct err *e)
{
	struct cgroup_host *h = calloc(1, sizeof(*h));
	struct err why = { 0 };

	if (!h)
		return err_sys(e, ENOMEM, "control groups");
	h->device_program = -1;
	for (int i = 0; i < NEED_COUNT; i++)
		h->where[i] = -1;
	/*
	 * A controller is on one version only. What v2 does without controllers it does better,
	 * and in a hybrid one group of v2 spares three of v1 (cpuacct, freezer, devices).
	 */
	add_hierarchies(h, mountinfo, self, parent, true, &why);
	add_hierarchies(h, mountinfo, self, parent, false, &why);
	if (h->n == 0) {
		cgroup_host_free(h);
		return err_set(e, -ENXIO, "this host has no usable control groups%s%s",
			       why.code ? ": " : "", why.text);
	}
	*ret = h;
	return 0;
}

static int read_proc(const char *path, struct text *t, struct err *e)
{
	int r = cgroup_read_file(AT_FDCWD, path, t);

	return r < 0 ? err_sys(e, -r, "%s", path) : 0;
}

int cgroup_host_new(const char *parent, struct cgroup_host **ret, struct err *e)
{
	struct text mountinfo = TEXT_INIT, self = TEXT_INIT;
	int r = read_proc("/proc/self/mountinfo", &mountinfo, e);

	if (r == 0)
		r = read_proc("/proc/self/cgroup", &self, e);
	if (r == 0)
		r = cgroup_host_parse(text_str(&mountinfo), text_str(&self), parent, ret, e);
	text_free(&mountinfo);
	text_free(&self);
	return r;
}

void cgroup_host_free(struct cgroup_host *h)
{
	if (!h)
		return;
	for (int i = 0; i < h->n; i++)
		close(h->hier[i].parent);
	if (h->device_program >= 0)
		close(h->device_program);
	free(h);
}

/* Removes the groups inside dir, deepest first. Takes dir over. */
static void remove_below(int dir, int depth)
{
	DIR *d = fdopendir(dir);
	struct dirent *entry;

	if (!d) {
		close(dir);
		return;
	}
	while ((entry = readdir(d))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (depth < CGROUP_DEPTH_MAX && unlinkat(dir, entry->d_name, AT_REMOVEDIR) < 0) {
			int sub = openat(dir, entry->d_name,
					 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

			if (sub >= 0)
				remove_below(sub, depth + 1);
			unlinkat(dir, entry->d_name, AT_REMOVEDIR);
		}
	}
	closedir(d);
}

static int remove_one(int parent, const char *name)
{
	int dir;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir >= 0)
		remove_below(dir, 0);
	if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return -errno;
}

/*
 * A group of that name is an earlier run's: it may be frozen and limited, and (Linux 6.18) whoever
 * is cloned into one that cgroup.kill was ever written to dies at once. So it is never taken over.
 */
static int make_one(int parent, const char *name)
{
	int r;

	if (mkdirat(parent, name, 0755) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	r = remove_one(parent, name);
	if (r < 0)
		return r;
	return mkdirat(parent, name, 0755) < 0 ? -errno : 0;
}

/* Opens, and if make is set first makes, the group in every hierarchy. */
static int open_group(struct cgroup_host *h, const char *name, bool make, struct cgroup **ret,
		      struct err *e)
{
	struct cgroup *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return err_sys(e, ENOMEM, "control group %s", name);
	g->host = h;
	g->fresh = make;
	snprintf(g->name, sizeof(g->name), "%s", name);
	for (int i = 0; i < h->n; i++)
		g->dir[i] = -1;
	for (int i = 0; i < h->n; i++) {
		bool late = h->hier[i].late;

		if (make && late) {
			remove_one(h->hier[i].parent, name); // of an earlier run
			continue;
		}
		r = make ? make_one(h->hier[i].parent, name) : 0;
		if (r < 0)
			goto fail;
		g->dir[i] = openat(h->hier[i].parent, name,
				   O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		r = -errno;
		if (g->dir[i] < 0 && !(late && r == -ENOENT))
			goto fail;
	}
	*ret = g;
	return 0;
fail:
	err_sys(e, -r, "control group %s", name);
	cgroup_free(g);
	return r;
}

/* Kills what is left of an earlier run, and waits until its group can go: a moment, or it stays. */
static void clear_left(struct cgroup_host *h, const char *name)
{
	struct cgroup *left;

	if (cgroup_open(h, name, &left, NULL) < 0)
		return;
	cgroup_kill(left, NULL);
	cgroup_free(left);
	for (int i = 0; i < LEFT_TRIES && cgroup_remove(h, name, NULL) == -EBUSY; i++)
		usleep(LEFT_WAIT_US);
}

int cgroup_new(struct cgroup_host *h, const char *name, struct cgroup **ret, struct err *e)
{
	struct err busy = { 0 };
	int r = open_group(h, name, true, ret, &busy);

	if (r == -EBUSY) {
		clear_left(h, name);
		busy = (struct err){ 0 };
		r = open_group(h, name, true, ret, &busy);
	}
	if (r == -EBUSY)
		return err_set(e, r, "control group %s: processes of an earlier run do not die",
			       name);
	return r < 0 ? err_set(e, r, "%s", busy.text) : 0;
}

int cgroup_open(struct cgroup_host *h, const char *name, struct cgroup **ret, struct err *e)
{
	return open_group(h, name, false, ret, e);
}

void cgroup_free(struct cgroup *g)
{
	if (!g)
		return;
	for (int i = 0; i < g->host->n; i++)
		if (g->dir[i] >= 0)
			close(g->dir[i]);
	free(g);
}

int cgroup_dir(const struct cgroup *g, enum cgroup_need need, bool *ret_v2)
{
	int i = g->host->where[need];

	if (i < 0)
		return -1;
	*ret_v2 = g->host->hier[i].v2;
	return g->dir[i];
}

/*
 * v1's tasks file moves one thread. For a process of one thread that is the same as
 * cgroup.procs, but without the lock that stops every fork of the host, so joining is several
 * times faster. v2 has no such file for a group that is not threaded.
 */
static int open_procs(struct cgroup *g, bool late_only, int *fds, int max, struct err *e)
{
	struct cgroup_host *h = g->host;
	int n = 0, r;

	for (int i = 0; i < h->n; i++) {
		const char *file = h->hier[i].v2 ? "cgroup.procs" : "tasks";

		if (g->dir[i] < 0 || (late_only && !h->hier[i].late))
			continue;
		if (n == max) {
			r = err_set(e, -EINVAL, "more than %d control groups", max);
			goto fail;
		}
		fds[n] = openat(g->dir[i], file, O_RDWR | O_CLOEXEC);
		if (fds[n] < 0) {
			r = err_sys(e, errno, "%s of a control group", file);
			goto fail;
		}
		n++;
	}
	return n;
fail:
	while (n-- > 0)
		close(fds[n]);
	return r;
}

int cgroup_open_procs(struct cgroup *g, int *fds, int max, struct err *e)
{
	return open_procs(g, false, fds, max, e);
}

int cgroup_open_late(struct cgroup *g, int *fds, int max, struct err *e)
{
	return open_procs(g, true, fds, max, e);
}

int cgroup_open_v2(const struct cgroup *g)
{
	for (int i = 0; i < g->host->n; i++)
		if (g->host->hier[i].v2)
			return openat(g->dir[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return -1;
}

bool cgroup_fd_is_v2(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

int cgroup_remove(struct cgroup_host *h, const char *name, struct err *e)
{
	int r = 0;

	for (int i = 0; i < h->n; i++) {
		int one = remove_one(h->hier[i].parent, name);

		if (one < 0 && r == 0)
			r = one == -EBUSY
				    ? err_set(e, one, "control group %s still has processes", name)
				    : err_sys(e, -one, "control group %s", name);
	}
	return r;
}
