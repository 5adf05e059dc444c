/* Where vCPUs run: see numa_cpus.h. */
#include "fs/machine/numa_cpus.h"

#include <errno.h>
#include <stdlib.h>

#include "backends/host/hostnodes.h"
#include "fs/attr/attr.h"
#include "vmm/cpu/cpu_topology.h"
#include "vmm/numa.h"

/* The vCPUs that have a line. */
static void named_of(const struct keyed *affinity, struct cpulist *ret)
{
	struct cpulist l;

	*ret = (struct cpulist){ 0 };
	for (size_t i = 0; i < affinity->n; i++)
		if (cpulist_parse(affinity->entries[i].key, CPU_VCPUS_MAX, &l, NULL) == 0)
			for (size_t w = 0; w < CPULIST_MAX / 64; w++)
				ret->bits[w] |= l.bits[w];
}

static const char *nodes_of(const struct machine_config *c, const struct numa *n, unsigned vcpu)
{
	const char *own = n->n ? n->nodes[numa_of_vcpu(n, vcpu)].host : "";

	return *own ? own : c->vm.memory_numa;
}

/* A line for vCPUs first..last, unless their nodes have no CPUs. */
static void add_line(const char *dir, const char *nodes, unsigned first, unsigned last,
		     struct text *out)
{
	struct cpulist cpus;

	hostnodes_cpus(dir, nodes, &cpus);
	if (cpulist_empty(&cpus))
		return;
	text_addf(out, "%u-%u ", first, last);
	cpulist_print(&cpus, out);
	text_add(out, "\n");
}

static void add_lines(const struct machine_config *c, const struct numa *n, unsigned vcpus,
		      const char *dir, struct text *out)
{
	struct cpulist named;

	named_of(&c->vm.cpu_affinity, &named);
	for (unsigned i = 0, next; i < vcpus; i = next) {
		const char *nodes = nodes_of(c, n, i);

		for (next = i + 1; next < vcpus && nodes_of(c, n, next) == nodes &&
				   cpulist_has(&named, next) == cpulist_has(&named, i);)
			next++;
		if (*nodes && !cpulist_has(&named, i))
			add_line(dir, nodes, i, next - 1, out);
	}
}

int numa_cpus_complete(struct machine_config *c, const char *dir, struct err *e)
{
	unsigned vcpus =
		(unsigned)(c->vm.cpu_possible > c->cpu_count ? c->vm.cpu_possible : c->cpu_count);
	struct numa *n;
	struct text lines = TEXT_INIT;
	int rc = 0;

	if (!*c->vm.memory_numa && !c->parts[PART_NUMA].n)
		return 0;
	n = malloc(sizeof(*n));
	if (!n)
		return err_sys(e, ENOMEM, "memory.numa");
	if (numa_settle(c, vcpus, n, NULL) == 0)
		add_lines(c, n, vcpus, dir, &lines);
	if (text_failed(&lines))
		rc = err_sys(e, ENOMEM, "memory.numa");
	else if (lines.len)
		rc = attr_store(attr_find(KIND_VM, "cpu.affinity"), c, lines.data, lines.len, e);
	text_free(&lines);
	free(n);
	return rc;
}
