/*
 * The walls around a VM's monitor: namespaces of its own, an empty root, limits. What the machine
 * needs is open before.
 */
#ifndef BACKENDS_MONITOR_WALLS_H
#define BACKENDS_MONITOR_WALLS_H

#include "backends/base/err.h"

/*
 * The calling process, which has one thread, gets mount, network, IPC and UTS namespaces and a root
 * in which there is nothing and nothing can be made. As root; an ordinary user's by a user
 * namespace, and where the host allows him none he stays where he is.
 */
int walls_raise(struct err *e);

/* No core dumps, no more than so many descriptors. */
int walls_limit(struct err *e);

#endif
