/*
 * What a process of the container tells its monitor before it executes its program: one
 * struct child_report a packet on a SOCK_SEQPACKET pair, with descriptors by SCM_RIGHTS.
 *
 * The child sends one with errnum 0 when all is ready for execve; then comes the socket's end,
 * which is execve's success, or another report, which is its failure. A report with a failure may
 * come at any time and is the last. One that it is held comes where it was to be, and the child
 * waits there for a byte, which says where it is to be held next (enum engine_hold).
 */
#ifndef BACKENDS_CONTAINER_REPORT_H
#define BACKENDS_CONTAINER_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backends/base/err.h"

#define REPORT_FDS 4

struct child_report {
	int32_t errnum; /* 0: ready */
	bool whole;	/* text is the whole sentence; else strerror(errnum) belongs behind it */
	bool held;	/* neither: it waits to be told to go on */
	char text[300];
};

/* A pair that both sides close at execve; the child finds its end above its standard descriptors.
 */
int report_sockets(int fds[2], struct err *e);

/* Child's side: no allocation, no locks. False when the monitor is gone. */
bool report_send(int socket, const struct child_report *report, const int *fds, int count);

/*
 * The monitor's side. 1 when there was one, 0 at the end, or -errno. The first `count` descriptors
 * are put into fds, which are all -1 before; when others came, or fewer, they are closed.
 */
int report_receive(int socket, struct child_report *ret, int *fds, int count);

/* The refusal that a report with an errnum is. */
int report_explain(const struct child_report *report, struct err *e);

#endif
