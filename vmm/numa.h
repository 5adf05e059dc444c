/*
 * struct numa: a guest's NUMA nodes, settled from the parts numa/N: which node each vCPU and each
 * byte of RAM belongs to, and how far they are apart. A machine without such parts has none.
 */
#ifndef VMM_NUMA_H
#define VMM_NUMA_H

#include "backends/base/cpulist.h"
#include "backends/base/err.h"
#include "backends/config.h"
#include "vmm/guestmem.h"

struct numa_node {
	struct cpulist cpus;
	uint64_t size;
	const char *host; /* the configuration's */
	uint8_t distance[NUMA_NODES_MAX];
};

struct numa {
	unsigned n; /* 0: the guest is told of no nodes */
	struct numa_node nodes[NUMA_NODES_MAX];
};

/*
 * The nodes must be numbered 0 to n - 1; vCPUs that none has are node 0's. EINVAL when sizes are
 * more than memory.size, or less with no node to take the rest. Sentences begin with "numa". The
 * configuration must outlive ret.
 */
int numa_settle(const struct machine_config *c, uint64_t vcpus, struct numa *ret, struct err *e);

/* The node of a vCPU. */
unsigned numa_of_vcpu(const struct numa *n, unsigned vcpu);

#endif
