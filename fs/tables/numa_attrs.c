/* The settings of a NUMA node of the guest, numa/N: see machine_attrs.c. */
#include "backends/base/cpulist.h"
#include "fs/attr/part_type.h"

#define AT(field) .offset = offsetof(struct part, numa.field)

static const struct attr rows[] = {
	{ .name = "cpus",
	  .type = &attr_cpulist,
	  AT(cpus),
	  .max = CPULIST_MAX,
	  .doc = "Its vCPUs.",
	  .good = "0-3,8",
	  .bad = "3-0" },
	{ .name = "size",
	  .type = &attr_size,
	  AT(size),
	  .min = 0,
	  .max = 1ULL << 46,
	  .initial = "0",
	  .doc = "Its memory. Those of all nodes are memory.size, when they are not 0; nodes with "
		 "0 share what is left.",
	  .good = "512M",
	  .bad = "max" },
	{ .name = "host",
	  .type = &attr_cpulist,
	  AT(host),
	  .max = CPULIST_MAX,
	  .doc = "The nodes of the host that its memory comes from, and on whose CPUs its vCPUs "
		 "run; when empty, as memory.numa says.",
	  .good = "0",
	  .bad = "node0" },
	{ .name = "distance",
	  .type = &attr_distance,
	  AT(distance),
	  .doc = "How far it is to each node, in the order of their numbers, as ACPI's SLIT; those "
		 "left out are 10 to itself and 20 to others.",
	  .good = "10 20",
	  .bad = "9" },
};

const struct attr_table numa_attrs = { rows, sizeof(rows) / sizeof(rows[0]) };
