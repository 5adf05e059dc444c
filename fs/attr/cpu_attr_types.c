/* The types of settings that tell of CPUs: models, topologies, lists. See attr_types.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/base/cpulist.h"
#include "fs/attr/attr.h"
#include "vmm/cpu/cpu_model.h"
#include "vmm/cpu/cpu_topology.h"

/* ---- cpu.model ---- */

static int parse_model(const struct attr *a, const char *line, void *field, struct err *e)
{
	int r = cpu_model_check(line, e);

	return r < 0 ? r : attr_string.parse(a, line, field, e);
}

const struct attr_type attr_cpu_model = {
	.name = "model",
	.format = "A model, then any number of words +FLAG and -FLAG.",
	.size = sizeof(char *),
	.parse = parse_model,
	.print = attr_print_string,
	.equal = attr_equal_string,
	.copy = attr_copy_string,
	.free = attr_free_string,
};

/* ---- cpu.topology ---- */

static int parse_topology(const struct attr *a, const char *line, void *field, struct err *e)
{
	unsigned sockets, cores, threads;
	int end = -1;

	if (!strcmp(line, "auto")) {
		*(struct cpu_topology *)field = (struct cpu_topology){ 0 };
		return 0;
	}
	if (sscanf(line, "sockets=%4u cores=%4u threads=%4u%n", &sockets, &cores, &threads, &end) !=
		    3 ||
	    end < 0 || line[end] || strchr(line, '-') || strchr(line, '+'))
		return err_set(e, -EINVAL,
			       "\"%.64s\" is neither auto nor like sockets=1 cores=2 threads=1",
			       line);
	if (!sockets || !cores || !threads || (uint64_t)sockets * cores * threads > CPU_VCPUS_MAX)
		return err_set(e, -EINVAL, "%u x %u x %u is outside 1..%u", sockets, cores, threads,
			       CPU_VCPUS_MAX);
	*(struct cpu_topology *)field = (struct cpu_topology){ sockets, cores, threads };
	return 0;
}

static void print_topology(const struct attr *a, const void *field, struct text *out)
{
	const struct cpu_topology *t = field;

	if (t->sockets)
		text_addf(out, "sockets=%llu cores=%llu threads=%llu\n",
			  (unsigned long long)t->sockets, (unsigned long long)t->cores,
			  (unsigned long long)t->threads);
	else
		text_add(out, "auto\n");
}

const struct attr_type attr_cpu_topology = {
	.name = "topology",
	.format = "sockets=N cores=N threads=N, or auto.",
	.size = sizeof(struct cpu_topology),
	.parse = parse_topology,
	.print = print_topology,
};

/* ---- cpu.affinity of a VM ---- */

static int parse_affinity(const struct attr *a, const char *line, void *field, struct err *e)
{
	const char *split = strchr(line, ' ');
	struct cpulist vcpus, cpus;
	char key[64];
	int r;

	if (!split || (size_t)(split - line) >= sizeof(key))
		return err_set(e, -EINVAL, "\"%.64s\" is not VCPUS CPUS, two lists like 0-3 8-11",
			       line);
	snprintf(key, sizeof(key), "%.*s", (int)(split - line), line);
	r = cpulist_parse(key, CPU_VCPUS_MAX, &vcpus, e);
	if (r == 0 && strcmp(split + 1, "default") != 0)
		r = cpulist_parse(split + 1, CPULIST_MAX, &cpus, e);
	if (r == 0 && strcmp(split + 1, "default") != 0 && cpulist_empty(&cpus))
		return err_set(e, -EINVAL, "\"%.64s\" names no CPU", line);
	return r < 0 ? r : attr_parse_keyed(a, line, field, e);
}

const struct attr_type attr_cpu_affinity = {
	.name = "affinity",
	.format = "Lines VCPUS CPUS, both lists like 0-3,8; of two lines about a vCPU the later "
		  "one counts; VCPUS default forgets a line.",
	.size = sizeof(struct keyed),
	.separator = ' ',
	.parse = parse_affinity,
	.print = attr_print_keyed,
	.copy = attr_copy_keyed,
	.free = attr_free_keyed,
};
