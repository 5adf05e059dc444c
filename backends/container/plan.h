/*
 * struct plan: everything that a process of a container needs, worked out before it is cloned.
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

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/container/rlimit.h"
#include "backends/container/stock.h"
#include "backends/container/usermap.h"
#include "backends/engine.h"
#include "backends/host/cred.h"

struct layer;
struct mount_spec;
struct sock_filter;

/* Of the settings that say what to execute, as refusals are to name them. */
struct plan_names {
	const char *command, *user, *cwd, *stdio[3];
};

#define PLAN_JOINS 5

struct plan {
	const struct container_config *config; /* the host's */
	const struct exec_spec *session;       /* NULL: the first process */
	const struct plan_names *names;
	struct init_user user;
	const char *cwd;     /* as the settings and the session have them, which outlive the plan */
	uint64_t namespaces; /* as configured, and with NS_USER if it must be */
	char **argv;
	char **env;   /* NULL-terminated, as are: */
	char **paths; /* what to try to execute, in this order */
	const char *hostname;
	bool own_process;      /* the monitor is one, and ignores no signal but SIGPIPE */
	bool waits;	       /* the child, until the parent has prepared its namespaces */
	bool together;	       /* it has the parent's memory, which sleeps until it executes */
	enum engine_hold hold; /* where it waits on its way */
	int root;	       /* the host's: a directory, or a file system's file */
	int layer;	       /* the host's: the directory of what it writes, or -1 */
	struct layer *kept;    /* what is in it, opened by root_send(); the engine's */
	int place; /* the directory that the root is mounted on, or is: one of these two */
	enum root_writable writable;	/* not ROOT_AUTO */
	bool image;			/* the root is one */
	bool layered;			/* it is made of mounts: see root.h */
	int cgroups[ENGINE_CGROUP_MAX]; /* the host's */
	int birth_group;		/* the host's; init is cloned into it, or -1 */
	int leaf;			/* owned, where that is one below it; or -1 */
	int joined;			/* the index in cgroups of what it need not join, or -1 */
	int cgroup_count;
	bool cgroup_v2;	    /* only version 2 is shown */
	char **groups;	    /* what to show of them: pairs of name and host directory */
	bool reset_oom;	    /* the score that is to be is not the monitor's */
	char oom_score[16]; /* as text */

	struct cred owner;  /* of whom init is made, unless he is root */
	struct usermap map; /* of the user namespace */

	struct mount_spec *mounts;
	size_t nmounts;
	const struct devices *devices; /* the engine's; NULL: none */
	struct stock stock;	       /* the engine's; what is not in it init makes itself */
	char **sysctls;		       /* pairs of path, below the host's /proc, and value */
	char **masked;		       /* paths without their first slash, as are: */
	char **readonly;
	struct container_rlimit rlimits[RLIMITS_MAX];
	int nrlimits;
	int join[PLAN_JOINS]; /* the host's; net, ipc, uts, cgroup, time that the child enters, or
				 -1 */
	int join_pids; /* the host's; the pid namespace that init is born into, or -1; likewise */
	int join_user; /* the user namespace, of which `map` is then read when init is there */
	uint64_t joined_namespaces;
	int ruleset;  /* the host's: of landlock, once init has made them; or -1 */
	int stdio[3]; /* its 0, 1, 2, or -1: its console's or session's */

	struct plan_filter {
		struct sock_filter *program;
		unsigned short count;
	} filters[2]; /* of system calls, in the order that they are installed in */
	int nfilters;

	struct text env_pool; /* the strings that env points to */
	struct text path_pool;
	struct text group_pool;
	struct text sysctl_pool, masked_pool, readonly_pool;
};

/* Refusals name the attribute that is at fault. On failure *p needs no plan_free(). */
int plan_init(struct plan *p, struct engine_host *host, struct err *e);
/*
 * Likewise for a session. The user namespace is there already, and with it its map; what it may not
 * do about groups is as the map has it.
 */
int plan_init_session(struct plan *p, const struct engine_host *host, const struct exec_spec *s,
		      struct err *e);
/* CLONE_NEW* for enum namespace_bit. */
uint64_t plan_clone_flags(uint64_t namespaces);
void plan_free(struct plan *p);

#endif
