/*
 * container_enter: a further process in a running container.
 *
 * The monitor clones a door, which shares its memory and descriptors while the monitor sleeps. The
 * door enters the container's namespaces by one setns(2) with init's pidfd, and clones the process,
 * which is thereby born in them and in the control group, as the monitor's child and not the
 * door's: so the monitor learns how it ends. The container sees it from then on, and so it has
 * memory of its own, that of a process that cannot be traced.
 */
#ifndef BACKENDS_CONTAINER_ENTER_H
#define BACKENDS_CONTAINER_ENTER_H

#include <sys/types.h>

#include "backends/container/plan.h"

struct entered {
	pid_t pid;
	int pidfd;
	int socket; /* non-blocking; what it reports (report.h): see enter_fds() */
};

/* init: a pidfd of the container's first process. Returns before anything is executed. */
int container_enter(const struct plan *p, int init, struct entered *ret, struct err *e);

/*
 * How many descriptors the report brings. With a tty 2, the pty's master and slave; else 3, the
 * monitor's ends of what the process reads, prints, and prints as errors. With quota.delegate a
 * listener comes behind them.
 */
static inline int enter_fds(bool tty)
{
	return tty ? 2 : 3;
}

#endif
