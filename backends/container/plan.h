/*
 * struct plan: everything a container's first process needs, worked out before it is cloned.
 *
 * The engine may run on one thread of many, so between clone3 and execve the child may touch
 * only memory that was there before and make system calls: no allocation, no stdio, none of the
 * C library's locks. Whoever needs a string there puts it in here.
 */
#ifndef BACKENDS_CONTAINER_PLAN_H
#define BACKENDS_CONTAINER_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/container/usermap.h"
#include "backends/cred.h"
#include "backends/engine.h"
#include "backends/err.h"
#include "backends/text.h"

struct sock_filter;

struct plan {
	const struct container_config *config; /* the host's */
	uint64_t namespaces;		       /* as configured, and with NS_USER if it must be */
	char **argv;
	char **env;   /* NULL-terminated, as are: */
	char **paths; /* what to try to execute, in this order */
	const char *hostname;
	int root;			/* O_PATH, the host's */
	int cgroups[ENGINE_CGROUP_MAX]; /* the host's */
	int birth_group;		/* the host's; init is cloned into it, or -1 */
	int joined;			/* the index in cgroups of what it need not join, or -1 */
	int cgroup_count;
	bool cgroup_v2; /* there is only version 2 */
	char **groups;	/* what to show of them: pairs of name and host directory */
	bool reset_oom; /* the monitor is protected from the OOM killer; init must not be */

	struct cred owner;  /* of whom init is made, unless he is root */
	struct usermap map; /* of the user namespace */

	struct sock_filter *filter; /* NULL without seccomp */
	unsigned short filter_count;

	struct text env_pool; /* the strings that env points to */
	struct text path_pool;
	struct text group_pool;
};

/* Refusals name the attribute that is at fault. On failure *p needs no plan_free(). */
int plan_init(struct plan *p, const struct engine_host *host, struct err *e);
void plan_free(struct plan *p);

#endif
