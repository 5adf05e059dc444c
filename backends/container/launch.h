/*
 * container_launch: clones the first process and sees it through to execve; parent's side.
 */
#ifndef BACKENDS_CONTAINER_LAUNCH_H
#define BACKENDS_CONTAINER_LAUNCH_H

#include <sys/types.h>

#include "backends/container/plan.h"
#include "backends/container/report.h"

struct launched {
	pid_t pid;
	int pidfd;
	/*
	 * The console's pty, master and slave; then the rules of landlock, if there are any, and
	 * with quota.delegate the listener of its calls of quotactl(2).
	 */
	int fds[REPORT_FDS];
	int nfds;   /* how many of them init sends */
	bool ready; /* it has: then all but its program is there */
	int socket; /* one that is held waits on its other end; else -1 */
};

/* How many of them init sends. */
static inline int launched_fds(const struct plan *p)
{
	return 2 + (p->config->landlock.n > 0) + p->config->quota_delegate;
}

/* What is to be done when the process is there, with its namespaces, and has not gone on yet. */
struct launch_hook {
	int (*run)(void *arg, pid_t pid, struct err *e);
	void *arg;
};

/*
 * Returns 0 when execve has succeeded (and p->map is that of its user namespace), or when the
 * process is held where the plan says. On failure the process is gone and reaped, and *ret is
 * untouched. The process dies with the calling thread (PR_SET_PDEATHSIG; one that is held, by the
 * end of the socket).
 */
int container_launch(struct plan *p, const struct launch_hook *born, struct launched *ret,
		     struct err *e);

/*
 * Lets one that is held go on, until execve has succeeded, or to another hold. On failure it has
 * ended, or is of no more use; it is still to be killed and reaped. fds are the caller's when ready
 * has become true.
 */
int container_release(struct launched *l, enum engine_hold hold, struct err *e);

#endif
