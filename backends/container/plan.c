/* struct plan: from a machine's configuration to what the child needs. See plan.h. */
#include "backends/container/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/argv.h"
#include "backends/cgroup.h"
#include "backends/seccomp.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Turns a pool of NUL-terminated strings into a vector; pool must not grow after this. */
static int pool_to_vector(const struct text *pool, char ***ret, struct err *e)
{
	size_t n = 0;
	char **vector;

	if (text_failed(pool))
		return err_sys(e, ENOMEM, "init");
	for (size_t i = 0; i < pool->len; i += strlen(pool->data + i) + 1)
		n++;
	vector = calloc(n + 1, sizeof(*vector));
	if (!vector)
		return err_sys(e, ENOMEM, "init");
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

/*
 * The environment: init.env, and where it does not say otherwise PATH (the usual six
 * directories), HOME (/root for uid 0, else /), TERM=xterm (init has a terminal), HOSTNAME, and
 * container=machinefs, by which programs such as systemd see that they are in one.
 */
static int make_env(struct plan *p, struct err *e)
{
	const struct keyed *env = &p->config->env;
	const struct {
		const char *key, *value;
	} defaults[] = {
		{ "PATH", DEFAULT_PATH },     { "HOME", p->config->user.uid == 0 ? "/root" : "/" },
		{ "TERM", "xterm" },	      { "HOSTNAME", p->hostname },
		{ "container", "machinefs" },
	};

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		if (!env_value(env, defaults[i].key))
			pool_add(&p->env_pool, defaults[i].key, "=", defaults[i].value);
	for (size_t i = 0; i < env->n; i++)
		pool_add(&p->env_pool, env->entries[i].key, "=", env->entries[i].value);
	return pool_to_vector(&p->env_pool, &p->env, e);
}

/* Where to find argv[0]: a name with a slash as it is, any other in each directory of PATH. */
static int make_paths(struct plan *p, struct err *e)
{
	const char *dirs = env_value(&p->config->env, "PATH");

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

static int make_argv(struct plan *p, struct err *e)
{
	const char *init = p->config->init;
	int r;

	if (!init || !init[0])
		return err_set(e, -EINVAL, "init: no command is set");
	r = argv_split(init, &p->argv, e);
	return r < 0 ? err_prefix(e, "init: ") : 0;
}

static int make_filter(struct plan *p, const struct engine_host *host, struct err *e)
{
	if (p->config->seccomp == SECCOMP_PROFILE_NONE)
		return 0;
	if (host->fd[ENGINE_FD_SECCOMP] < 0)
		return err_set(e, -EINVAL, "seccomp: the profile is missing");
	return seccomp_profile_load(host->fd[ENGINE_FD_SECCOMP], &p->filter, &p->filter_count, e);
}

static int take_descriptors(struct plan *p, const struct engine_host *host, struct err *e)
{
	p->root = host->fd[ENGINE_FD_ROOT];
	if (p->root < 0)
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
	p->cgroup_v2 = p->cgroup_count == 1 && cgroup_fd_is_v2(p->cgroups[0]);
	if (p->namespaces & NS_CGROUP)
		for (int i = 0; i < p->cgroup_count; i++)
			add_group(p, p->cgroups[i]);
	return pool_to_vector(&p->group_pool, &p->groups, e);
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
	const struct container_config *config = p->config;

	if (config->root_writable == ROOT_NONE && !(p->namespaces & NS_MOUNT))
		return err_set(e, -EINVAL,
			       "root.writable: none needs a mount namespace, see namespaces");
	if (config->cwd && config->cwd[0] && config->cwd[0] != '/')
		return err_set(e, -EINVAL, "init.cwd: not an absolute path");
	return 0;
}

int plan_init(struct plan *p, const struct engine_host *host, struct err *e)
{
	int r;

	*p = (struct plan){ .config = &host->config->container };
	p->namespaces = p->config->namespaces;
	/* Nobody but root is root in a container without being somebody else outside. */
	if (host->uid != 0)
		p->namespaces |= NS_USER;
	p->hostname =
		p->config->hostname && p->config->hostname[0] ? p->config->hostname : host->name;
	p->reset_oom = oom_protected();
	r = check(p, e);
	if (r == 0)
		r = take_descriptors(p, host, e);
	if (r == 0)
		r = find_groups(p, e);
	if (r == 0)
		r = make_argv(p, e);
	if (r == 0)
		r = make_env(p, e);
	if (r == 0)
		r = make_paths(p, e);
	if (r == 0)
		r = make_filter(p, host, e);
	if (r == 0)
		r = cred_find(host->uid, host->gid, &p->owner, e);
	if (r == 0 && (p->namespaces & NS_USER))
		r = usermap_make(&p->config->user_map, &p->owner, &p->map, e);
	if (r < 0)
		plan_free(p);
	return r;
}

void plan_free(struct plan *p)
{
	argv_free(p->argv);
	free(p->env);
	free(p->paths);
	free(p->groups);
	free(p->filter);
	usermap_free(&p->map);
	text_free(&p->env_pool);
	text_free(&p->path_pool);
	text_free(&p->group_pool);
	*p = (struct plan){ 0 };
}
