/*
 * Where vCPUs run that cpu.affinity says nothing of: on the CPUs of the host's nodes that their
 * memory comes from. Worked out here for what the engine is told, since a VM's monitor sees no
 * /sys.
 */
#ifndef FS_MACHINE_NUMA_CPUS_H
#define FS_MACHINE_NUMA_CPUS_H

#include "backends/base/err.h"
#include "backends/config.h"

/*
 * Adds to a VM's cpu.affinity lines of those vCPUs, by numa/N/host of their node in the guest, or
 * by memory.numa; dir: HOST_NODES, or a test's. A configuration that is not valid is left as it is:
 * the engine says why.
 */
int numa_cpus_complete(struct machine_config *c, const char *dir, struct err *e);

#endif
