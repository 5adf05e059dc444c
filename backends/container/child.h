/*
 * The container's first process between clone3 and execve, and what it tells its parent.
 *
 * Nothing here allocates, locks or uses stdio: see plan.h. The socket is a SOCK_SEQPACKET pair.
 * Parent to child: one byte when the user namespace's maps are written (only with NS_USER).
 * Child to parent: one struct child_report when all is ready for execve, with the console's
 * master and slave as SCM_RIGHTS; then the socket's end, which is execve's success, or another
 * report, which is its failure. A report with a failure may come at any time and is the last.
 */
#ifndef BACKENDS_CONTAINER_CHILD_H
#define BACKENDS_CONTAINER_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/container/plan.h"

struct child_report {
	int32_t errnum; /* 0: ready */
	bool whole;	/* text is the whole sentence; else strerror(errnum) belongs behind it */
	char text[300];
};

/* What child.c and mounts.c share; on the child's stack. */
struct child {
	const struct plan *plan;
	int socket; /* at least 3 */
	int tree;   /* the root directory, as a mount of its own */
	int dev;    /* root of the mount on /dev, or -1 */
	int master; /* the console */
	int slave;
};

/* Runs in the child; does not return. */
_Noreturn void child_main(const struct plan *plan, int socket);

/* Reports the failure and ends the process. detail may be NULL, else ": " and it follow. */
_Noreturn void child_fail(struct child *c, int errnum, const char *what, const char *detail);
/* The same with a sentence that needs no strerror. */
_Noreturn void child_refuse(struct child *c, int errnum, const char *what, const char *detail);

#endif
