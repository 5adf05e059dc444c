/*
 * inside_run: does something inside a running container, in a process of its own.
 *
 * That process is a copy of the monitor; it enters namespaces of the container's by one setns(2)
 * with init's pidfd, as root of the container, but not its control group: it can act while that is
 * frozen. What it looks at there the container may have prepared, so it is killed when it takes too
 * long.
 */
#ifndef BACKENDS_CONTAINER_INSIDE_H
#define BACKENDS_CONTAINER_INSIDE_H

#include <stdint.h>

#include "backends/base/err.h"
#include "backends/container/child.h"

/*
 * fn runs in the process: it ends it by child_fail() or returns, which is success. It may not
 * allocate, lock or use stdio. namespaces: bits of enum namespace_bit that are the container's own.
 */
int inside_run(int init, uint64_t namespaces, void (*fn)(struct child *c, const void *arg),
	       const void *arg, struct err *e);

#endif
