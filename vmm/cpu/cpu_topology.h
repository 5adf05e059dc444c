/*
 * cpu_topology: the setting cpu.topology: into which packages, cores and threads a machine's
 * vCPUs are sorted, and the APIC ids that say so.
 *
 * An APIC id is made of bit fields, package, core, thread from the top, each as wide as it
 * takes, so ids have gaps where a number is no power of two. vCPU numbers have none: thread by
 * thread, core by core, package by package.
 */
#ifndef VMM_CPU_CPU_TOPOLOGY_H
#define VMM_CPU_CPU_TOPOLOGY_H

#include "backends/base/err.h"
#include "backends/config.h"

#define CPU_VCPUS_MAX 1024 /* vCPUs that a machine can have at most */

/* How many vCPUs can be plugged in while the machine runs: cpu.possible, but never fewer than it
 * has. */
static inline uint64_t cpu_possible(const struct machine_config *c)
{
	return c->vm.cpu_possible > c->cpu_count ? c->vm.cpu_possible : c->cpu_count;
}

/*
 * Where want is `auto`, one package with a core for each vCPU. EINVAL when its packages, cores
 * and threads are not as many as the machine has vCPUs; sentences start with "cpu.topology: ".
 */
int cpu_topology_settle(const struct cpu_topology *want, uint64_t vcpus, struct cpu_topology *ret,
			struct err *e);

/* Bits of an APIC id that number the threads of a core, and the threads of a package. */
unsigned cpu_topology_thread_bits(const struct cpu_topology *t);
unsigned cpu_topology_package_bits(const struct cpu_topology *t);

uint32_t cpu_topology_apic_id(const struct cpu_topology *t, unsigned vcpu);
/* The package that a vCPU is in. */
unsigned cpu_topology_package(const struct cpu_topology *t, unsigned vcpu);

#endif
