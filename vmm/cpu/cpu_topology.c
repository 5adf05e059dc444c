/* cpu_topology: see cpu_topology.h. */
#include "vmm/cpu/cpu_topology.h"

#include <errno.h>

static unsigned bits_for(uint64_t n)
{
	unsigned bits = 0;

	while ((1ull << bits) < n)
		bits++;
	return bits;
}

int cpu_topology_settle(const struct cpu_topology *want, uint64_t vcpus, struct cpu_topology *ret,
			struct err *e)
{
	uint64_t n = want->sockets * want->cores * want->threads; // each is at most CPU_VCPUS_MAX

	if (want->sockets == 0) {
		*ret = (struct cpu_topology){ 1, vcpus, 1 };
		return 0;
	}
	if (n != vcpus)
		return err_set(e, -EINVAL,
			       "cpu.topology: it has places for %llu vCPUs, the machine has %llu "
			       "(cpu.count, or cpu.possible where that is more)",
			       (unsigned long long)n, (unsigned long long)vcpus);
	*ret = *want;
	return 0;
}

unsigned cpu_topology_thread_bits(const struct cpu_topology *t)
{
	return bits_for(t->threads);
}

unsigned cpu_topology_package_bits(const struct cpu_topology *t)
{
	return bits_for(t->threads) + bits_for(t->cores);
}

unsigned cpu_topology_package(const struct cpu_topology *t, unsigned vcpu)
{
	return (unsigned)(vcpu / (t->cores * t->threads));
}

uint32_t cpu_topology_apic_id(const struct cpu_topology *t, unsigned vcpu)
{
	uint64_t thread = vcpu % t->threads, core = vcpu / t->threads % t->cores;

	return (uint32_t)((uint64_t)cpu_topology_package(t, vcpu) << cpu_topology_package_bits(t) |
			  core << cpu_topology_thread_bits(t) | thread);
}
