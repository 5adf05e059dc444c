/* The host's NUMA nodes: which CPUs they have, as sysfs says it. */
#ifndef BACKENDS_HOST_HOSTNODES_H
#define BACKENDS_HOST_HOSTNODES_H

#include "backends/base/cpulist.h"

#define HOST_NODES "/sys/devices/system/node"

/*
 * The CPUs of the nodes in a list of numbers; dir: HOST_NODES, or a test's. Empty when they have
 * none, as nodes of memory alone, and when a node is not there or the list is none: whoever takes
 * memory from it says so.
 */
void hostnodes_cpus(const char *dir, const char *nodes, struct cpulist *ret);

#endif
