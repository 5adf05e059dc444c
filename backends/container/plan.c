/* struct plan: from a machine's configuration to what the child needs. See plan.h. */
#include "backends/container/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/base/argv.h"
#include "backends/cgroup/cgroup.h"
#include "backends/container/delegate.h"
#include "backends/container/label.h"
#include "backends/container/landlock.h"
#include "backends/container/mount_part.h"
#include "backends/container/seccomp.h"
#include "backends/container/sysctl.h"
#include "backends/container/userquota.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Turns a pool of NUL-terminated strings into a vector; pool must not grow after this. */
static int pool_to_vector(const struct text *pool, char ***ret, struct err *e)
{
	size_t n = 0;
	char **vector;

	if (text_failed(pool))
		return err_sys(e, ENOMEM, "start");
	for (size_t i = 0; i < pool->len; i += strlen(pool->data + i) + 1)
		n++;
	vector = calloc(n + 1, sizeof(*vector));
	if (!vector)
		return err_sys(e, ENOMEM, "start");
	n = 0;
	for (size_t i = 0; i < pool->len; i += strlen(pool->data + i) + 1)
		vector[n++] = pool->data + i;
	*ret = vector;
	return 0;
}

static void pool_add(struct text *pool, const char *key, const char *separator, const char *value)
{
	text_add(pool, key);
	text_add(pool, separator);
	text_add_bytes(pool, value, strlen(value) + 1);
}

static const char *env_value(const struct keyed *env, const char *key)
{
	for (size_t i = 0; i < env->n; i++)
		if (!strcmp(env->entries[i].key, key))
			return env->entries[i].value;
	return NULL;
}

/* What a session says of a variable comes first, then init.env. */
static const char *find_env(const struct plan *p, const char *key)
{
	const char *value = p->session ? env_value(&p->session->env, key) : NULL;

	return value ? value : env_value(&p->config->env, key);
}

static void add_env(struct plan *p, const struct keyed *env, const struct keyed *over)
{
	for (size_t i = 0; i < env->n; i++)
		if (!over || !env_value(over, env->entries[i].key))
			pool_add(&p->env_pool, env->entries[i].key, "=", env->entries[i].value);
}

/*
 * The environment: init.env, and where it does not say otherwise PATH (the usual six
 * directories), HOME (/root for uid 0, else /), TERM=xterm (init has a terminal), HOSTNAME, and
 * container=machinefs, by which programs such as systemd see that they are in one.
 */
static int make_env(struct plan *p, struct err *e)
{
	const struct {
		const char *key, *value;
	} defaults[] = {
		{ "PATH", DEFAULT_PATH },     { "HOME", p->user.uid == 0 ? "/root" : "/" },
		{ "TERM", "xterm" },	      { "HOSTNAME", p->hostname },
		{ "container", "machinefs" },
	};

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (!find_env(p, defaults[i].key))
			pool_add(&p->env_pool, defaults[i].key, "=", defaults[i].value);
	add_env(p, &p->config->env, p->session ? &p->session->env : NULL);
	if (p->session)
		add_env(p, &p->session->env, NULL);
	return pool_to_vector(&p->env_pool, &p->env, e);
}

/* Where to find argv[0]: a name with a slash as it is, any other in each directory of PATH. */
static int make_paths(struct plan *p, struct err *e)
{
	const char *dirs = find_env(p, "PATH");

	if (strchr(p->argv[0], '/')) {
		pool_add(&p->path_pool, "", "", p->argv[0]);
		return pool_to_vector(&p->path_pool, &p->paths, e);
	}
	dirs = dirs ? dirs : DEFAULT_PATH;
	for (;;) {
		size_t len = strcspn(dirs, ":");

		/* An empty entry is the working directory, as for execvp(3). */
		text_add_bytes(&p->path_pool, len ? dirs : ".", len ? len : 1);
		pool_add(&p->path_pool, "", "/", p->argv[0]);
		if (!dirs[len])
			break;
		dirs += len + 1;
	}
	return pool_to_vector(&p->path_pool, &p->paths, e);
}

static int make_argv(struct plan *p, const char *line, struct err *e)
{
	int r;

	if (!line || !line[0])
		return err_set(e, -EINVAL, "%s: no command is set", p->names->command);
	r = argv_split(line, &p->argv, e);
	return r < 0 ? err_prefix(e, "%s: ", p->names->command) : 0;
}

static int make_filter(struct plan *p, const struct engine_host *host, struct err *e)
{
	const int fds[] = { host->fd[ENGINE_FD_SECCOMP], host->fd[ENGINE_FD_SECCOMP_FILE] };
	const char *profile = p->config->seccomp ? p->config->seccomp : "default";
	int r = 0;

	if (!strcmp(profile, "none"))
		return 0;
	/* The default one lets a further one be installed. */
	for (int i = 0; r == 0 && i < 2; i++) {
		struct plan_filter *f = &p->filters[p->nfilters];

		if (fds[i] < 0)
			continue;
		r = seccomp_profile_load(fds[i], &f->program, &f->count, e);
		p->nfilters += r == 0;
	}
	if (r == 0 && !p->nfilters)
		return err_set(e, -EINVAL, "seccomp: the profile is missing");
	return r;
}

static int take_descriptors(struct plan *p, const struct engine_host *host, struct err *e)
{
	p->root = host->fd[ENGINE_FD_ROOT];
	p->layer = host->fd[ENGINE_FD_LAYER];
	p->place = p->layered ? p->layer : p->root;
	if (p->root < 0 || p->place < 0)
		return err_set(e, -EINVAL, "root: no directory is set");
	p->birth_group = host->fd[ENGINE_FD_CGROUP_V2];
	p->joined = -1;
	for (int i = 0; i < ENGINE_CGROUP_MAX; i++) {
		int fd = host->fd[ENGINE_FD_CGROUP + i];

		if (fd < 0)
			continue;
		if (p->birth_group >= 0 && cgroup_fd_is_v2(fd))
			p->joined = p->cgroup_count;
		p->cgroups[p->cgroup_count++] = fd;
	}
	return 0;
}

/*
 * Adds NAME and DIRECTORY of a joined group, as two strings. The descriptor's path is
 * /sys/fs/cgroup/NAME/.../tasks on v1 (NAME being "memory", "cpu,cpuacct", "unified" ...), and
 * /sys/fs/cgroup/.../cgroup.procs, without a NAME, where there is only v2. Elsewhere mounted
 * hierarchies are not shown in the container.
 */
static void add_group(struct plan *p, int fd)
{
	static const char mounts[] = "/sys/fs/cgroup/";
	const size_t skip = sizeof(mounts) - 1;
	char link[64], path[PATH_MAX];
	ssize_t n;
	char *end;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return;
	path[n] = '\0';
	end = strrchr(path, '/');
	if (!end || strncmp(path, mounts, skip))
		return;
	*end = '\0';
	if (p->cgroup_v2)
		pool_add(&p->group_pool, "", "", ".");
	else
		text_add_bytes(&p->group_pool, path + skip, strcspn(path + skip, "/"));
	if (!p->cgroup_v2)
		text_add_bytes(&p->group_pool, "", 1);
	pool_add(&p->group_pool, "", "", path);
}

static int find_groups(struct plan *p, struct err *e)
{
	/* What is to be divided stands alone, as systemd wants to find it. */
	p->cgroup_v2 =
		p->config->delegate || (p->cgroup_count == 1 && cgroup_fd_is_v2(p->cgroups[0]));
	if (p->namespaces & NS_CGROUP)
		for (int i = 0; i < p->cgroup_count; i++)
			if (!p->config->delegate || cgroup_fd_is_v2(p->cgroups[i]))
				add_group(p, p->cgroups[i]);
	return pool_to_vector(&p->group_pool, &p->groups, e);
}

static const struct {
	uint64_t namespace;
	const char *own;
} joinable[PLAN_JOINS] = { { NS_NET, "/proc/self/ns/net" },
			   { NS_IPC, "/proc/self/ns/ipc" },
			   { NS_UTS, "/proc/self/ns/uts" },
			   { NS_CGROUP, "/proc/self/ns/cgroup" },
			   { NS_TIME, "/proc/self/ns/time" } };

/* Of what it joins, those that are not the host's after all: another may have no own either. */
static uint64_t joined_elsewhere(const struct plan *p)
{
	uint64_t elsewhere = 0;

	for (size_t i = 0; i < sizeof(joinable) / sizeof(joinable[0]); i++) {
		struct stat here, there;

		if (p->join[i] >= 0 && stat(joinable[i].own, &here) == 0 &&
		    fstat(p->join[i], &there) == 0 &&
		    (here.st_ino != there.st_ino || here.st_dev != there.st_dev))
			elsewhere |= joinable[i].namespace;
	}
	return elsewhere;
}

/* "net.ipv4.ip_forward" is the file sys/net/ipv4/ip_forward below /proc. */
static int make_sysctls(struct plan *p, struct err *e)
{
	const struct keyed *k = &p->config->sysctl;
	uint64_t namespaces = p->namespaces | joined_elsewhere(p);

	for (size_t i = 0; i < k->n; i++) {
		const char *name = k->entries[i].key;
		size_t from;

		if (!(sysctl_namespace(name) & namespaces))
			return err_set(e, -EINVAL,
				       "sysctl: %s is the host's, since the container has no "
				       "namespace of its own for it",
				       name);
		text_add(&p->sysctl_pool, "/proc/sys/");
		from = p->sysctl_pool.len;
		pool_add(&p->sysctl_pool, name, "", "");
		for (size_t at = from; at < p->sysctl_pool.len; at++)
			if (p->sysctl_pool.data[at] == '.')
				p->sysctl_pool.data[at] = '/';
		pool_add(&p->sysctl_pool, "", "", k->entries[i].value);
	}
	return pool_to_vector(&p->sysctl_pool, &p->sysctls, e);
}

static int make_rlimits(struct plan *p, struct err *e)
{
	const struct keyed *k = &p->config->rlimit;
	int r = 0;

	for (size_t i = 0; r == 0 && i < k->n && p->nrlimits < RLIMITS_MAX; i++)
		r = rlimit_parse(k->entries[i].key, k->entries[i].value, &p->rlimits[p->nrlimits++],
				 e);
	return r < 0 ? err_prefix(e, "rlimit: ") : 0;
}

/* Paths below the root. */
static int make_paths_list(const char *words, struct text *pool, char ***ret, struct err *e)
{
	for (const char *w = words ? words : ""; *w; w += strcspn(w, " "), w += *w == ' ') {
		size_t n = strcspn(w, " ");

		text_add_bytes(pool, w + 1, n - 1);
		text_add_bytes(pool, "", 1);
	}
	return pool_to_vector(pool, ret, e);
}

static int make_mounts(struct plan *p, struct engine_host *host, struct err *e)
{
	const struct parts *parts = &host->config->parts[PART_MOUNT];
	int r = 0;

	if (parts->n && !(p->namespaces & NS_MOUNT))
		return err_set(e, -EINVAL, "mount: the container has no mount namespace");
	p->mounts = calloc(parts->n + 1, sizeof(*p->mounts));
	if (!p->mounts)
		return err_sys(e, ENOMEM, "mount");
	for (size_t i = 0; r == 0 && i < parts->n; i++) {
		r = mount_spec_init(&p->mounts[i], host, &parts->list[i], e);
		p->nmounts += r == 0;
	}
	return r;
}

static int make_confinement(struct plan *p, struct err *e)
{
	int r = make_sysctls(p, e);

	if (r == 0)
		r = make_paths_list(p->config->masked, &p->masked_pool, &p->masked, e);
	if (r == 0)
		r = make_paths_list(p->config->readonly_paths, &p->readonly_pool, &p->readonly, e);
	return r;
}

static bool oom_protected(void)
{
	char text[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return text[0] == '-';
}

static int check(const struct plan *p, struct err *e)
{
	int r = label_check(p->config, e);

	if (r < 0)
		return r;
	if (p->writable != ROOT_DIRECT && !(p->namespaces & NS_MOUNT))
		return err_set(e, -EINVAL,
			       "root.writable: %s needs a mount namespace, see namespaces",
			       p->writable == ROOT_NONE ? "none" : "an overlay");
	if (p->writable == ROOT_DIRECT && p->image)
		return err_set(e, -EINVAL,
			       "root.writable: an image is shared: overlay or none, not direct");
	if (p->layered && geteuid() != 0)
		return err_set(e, -ENXIO,
			       "root: an image or an overlay takes a daemon of root's here");
	if (p->joined_namespaces && (p->namespaces & NS_USER) && p->join_user < 0)
		return err_set(
			e, -EINVAL,
			"namespaces.join: not with a user namespace of its own, whose root "
			"has no power over another's namespaces: user has to be joined, too");
	if (p->join_user >= 0 && p->config->delegate)
		return err_set(e, -EINVAL,
			       "cgroup.delegate: not with another's user namespace, whose root "
			       "would have the group, too");
	if ((p->joined_namespaces & NS_PID) && !p->cgroup_count)
		return err_set(e, -ENXIO,
			       "namespaces.join: pid: without a control group, by which its "
			       "processes are killed when it ends");
	if (p->config->landlock.n && !landlock_abi())
		return err_set(e, -ENXIO,
			       "landlock: this kernel has it not, or not enabled; see host/check");
	if (p->config->ambient & ~p->config->capabilities)
		return err_set(e, -EINVAL,
			       "capabilities.ambient: not all of them are among capabilities");
	if (p->cwd && p->cwd[0] && p->cwd[0] != '/')
		return err_set(e, -EINVAL, "%s: not an absolute path", p->names->cwd);
	return userquota_check(p->config, p->writable == ROOT_OVERLAY, e);
}

/*
 * Opened anew, so that nothing waits; the descriptor is of what its owner may use. For the process
 * it is an ordinary one again.
 */
static int open_stream(int fd, bool reads, const char *name, struct err *e)
{
	char path[64];
	int ret, flags = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = open(path, flags | (reads ? O_RDONLY : O_WRONLY | O_APPEND));
	if (ret < 0 && errno == ENXIO)
		return err_set(e, -EBUSY, "%s: nobody reads this FIFO", name);
	if (ret < 0 || fcntl(ret, F_SETFL, reads ? 0 : O_APPEND) < 0) {
		err_sys(e, errno, "%s", name);
		if (ret >= 0)
			close(ret);
		return e->code;
	}
	return ret;
}

static int make_stdio(struct plan *p, const int fds[3], struct err *e)
{
	int r = 0;

	for (int i = 0; r >= 0 && i < 3; i++)
		if (fds[i] >= 0)
			p->stdio[i] = r = open_stream(fds[i], i == 0, p->names->stdio[i], e);
	return r < 0 ? r : 0;
}

static void plan_begin(struct plan *p, const struct engine_host *host)
{
	*p = (struct plan){ .config = &host->config->container,
			    .own_process = host->own_process,
			    .stock = STOCK_NONE,
			    .stdio = { -1, -1, -1 },
			    .leaf = -1 };
	p->namespaces = p->config->namespaces;
	p->image = p->config->root && !strncmp(p->config->root, "image ", 6);
	p->writable = p->config->root_writable;
	if (p->writable == ROOT_AUTO)
		p->writable = p->image ? ROOT_OVERLAY : ROOT_DIRECT;
	p->layered = p->image || p->writable == ROOT_OVERLAY;
	/* Nobody but root is root in a container without being somebody else outside. */
	if (host->uid != 0)
		p->namespaces |= NS_USER;
	p->hostname =
		p->config->hostname && p->config->hostname[0] ? p->config->hostname : host->name;
	snprintf(p->oom_score, sizeof(p->oom_score), "%lld", (long long)p->config->oom_score);
	p->reset_oom = oom_protected() || p->config->oom_score != 0;
	for (size_t i = 0; i < sizeof(joinable) / sizeof(joinable[0]); i++) {
		p->join[i] = host->fd[ENGINE_FD_NET_NS + i];
		if (p->join[i] >= 0)
			p->joined_namespaces |= joinable[i].namespace;
	}
	p->ruleset = host->fd[ENGINE_FD_LANDLOCK];
	p->join_pids = host->fd[ENGINE_FD_PID_NS];
	if (p->join_pids >= 0)
		p->joined_namespaces |= NS_PID;
	p->namespaces &= ~p->joined_namespaces;
	/* That of another is one, too: what is done in one is done in it. */
	p->join_user = host->fd[ENGINE_FD_USER_NS];
	if (p->join_user >= 0)
		p->namespaces |= NS_USER;
}

/* What every process needs, whatever it is to execute. */
static int plan_fill(struct plan *p, const struct engine_host *host, const char *line,
		     struct err *e)
{
	int r = take_descriptors(p, host, e);

	if (r == 0)
		r = check(p, e);
	if (r == 0)
		r = make_argv(p, line, e);
	if (r == 0)
		r = make_env(p, e);
	if (r == 0)
		r = make_paths(p, e);
	if (r == 0)
		r = make_rlimits(p, e);
	if (r == 0)
		r = make_filter(p, host, e);
	if (r == 0)
		r = cred_find(host->uid, host->gid, &p->owner, e);
	if (r == 0 && (p->namespaces & NS_USER) && p->join_user < 0)
		r = usermap_make(&p->config->user_map, &p->owner, &p->map, e);
	return r;
}

int plan_init(struct plan *p, struct engine_host *host, struct err *e)
{
	static const struct plan_names names = {
		"init", "init.user", "init.cwd", { "init.stdin", "init.stdout", "init.stderr" }
	};
	int r;

	plan_begin(p, host);
	p->names = &names;
	p->user = p->config->user;
	p->cwd = p->config->cwd;
	r = plan_fill(p, host, p->config->init, e);
	p->waits = (p->namespaces & NS_USER) || host->config->parts[PART_NIC].n > 0;
	p->hold = host->hold;
	/* Nobody moves to another time namespace whose memory is not his alone. */
	p->together = p->own_process && !p->waits && p->join_pids < 0 && !p->hold &&
		      !(p->joined_namespaces & NS_TIME);
	if (r == 0)
		r = find_groups(p, e);
	if (r == 0)
		r = delegate_give(p, e);
	if (r == 0)
		r = make_confinement(p, e);
	if (r == 0)
		r = make_mounts(p, host, e);
	if (r == 0)
		r = make_stdio(p, host->fd + ENGINE_FD_STDIN, e);
	if (r < 0)
		plan_free(p);
	return r;
}

int plan_init_session(struct plan *p, const struct engine_host *host, const struct exec_spec *s,
		      struct err *e)
{
	static const struct plan_names names = {
		"argv", "user", "cwd", { "stdin.path", "stdout.path", "stderr.path" }
	};
	int r;

	plan_begin(p, host);
	p->names = &names;
	p->session = s;
	p->user = s->user;
	p->cwd = s->cwd;
	r = plan_fill(p, host, s->argv, e);
	if (r == 0 && p->config->delegate && p->birth_group >= 0) {
		p->leaf = delegate_leaf(p->birth_group, e);
		r = p->leaf < 0 ? p->leaf : 0;
		p->birth_group = p->leaf;
	}
	for (unsigned i = 0; r == 0 && i < s->ngroups && p->cgroup_count < ENGINE_CGROUP_MAX; i++)
		p->cgroups[p->cgroup_count++] = s->groups[i];
	if (r == 0)
		r = make_stdio(p, s->stdio, e);
	if (r < 0)
		plan_free(p);
	return r;
}

uint64_t plan_clone_flags(uint64_t namespaces)
{
	static const struct {
		uint64_t namespace;
		uint64_t flag;
	} flags[] = {
		{ NS_PID, CLONE_NEWPID },   { NS_MOUNT, CLONE_NEWNS },
		{ NS_NET, CLONE_NEWNET },   { NS_UTS, CLONE_NEWUTS },
		{ NS_IPC, CLONE_NEWIPC },   { NS_CGROUP, CLONE_NEWCGROUP },
		{ NS_USER, CLONE_NEWUSER }, { NS_TIME, CLONE_NEWTIME },
	};
	uint64_t all = 0;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (namespaces & flags[i].namespace)
			all |= flags[i].flag;
	return all;
}

void plan_free(struct plan *p)
{
	for (int i = 0; i < 3; i++)
		if (p->stdio[i] >= 0)
			close(p->stdio[i]);
	argv_free(p->argv);
	free(p->env);
	free(p->paths);
	for (size_t i = 0; i < p->nmounts; i++)
		mount_spec_free(&p->mounts[i]);
	free(p->mounts);
	free(p->groups);
	free(p->sysctls);
	free(p->masked);
	free(p->readonly);
	for (int i = 0; i < p->nfilters; i++)
		free(p->filters[i].program);
	usermap_free(&p->map);
	text_free(&p->env_pool);
	text_free(&p->path_pool);
	text_free(&p->group_pool);
	text_free(&p->sysctl_pool);
	text_free(&p->masked_pool);
	text_free(&p->readonly_pool);
	if (p->leaf >= 0)
		close(p->leaf);
	*p = (struct plan){ .leaf = -1 };
}
