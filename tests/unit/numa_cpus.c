/* vCPUs beside their memory: what cpu.affinity becomes from memory.numa and numa/N/host. */
#include "tests/unit/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/host/hostnodes.h"
#include "fs/attr/attr.h"
#include "fs/machine/numa_cpus.h"

static char dir[] = "/tmp/nodes.XXXXXX";

/* A node as sysfs has it. */
static void node(const char *name, const char *cpulist)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (mkdir(path, 0755) < 0)
		abort();
	strcat(path, "/cpulist");
	f = fopen(path, "w");
	if (!f || fputs(cpulist, f) < 0 || fclose(f) < 0)
		abort();
}

static void cpus_are(const char *nodes, const char *want, const char *what)
{
	struct cpulist l = { { 7 } };
	struct text t = TEXT_INIT;

	hostnodes_cpus(dir, nodes, &l);
	cpulist_print(&l, &t);
	ok(!strcmp(text_str(&t), want), "%s: \"%s\"", what, text_str(&t));
	text_free(&t);
}

static void set(struct machine_config *c, const char *name, const char *value)
{
	struct err e = { 0 };

	if (attr_store(attr_find(KIND_VM, name), c, value, strlen(value), &e) < 0) {
		printf("# %s: %s\n", name, e.text);
		abort();
	}
}

static void guest_node(struct machine_config *c, const char *name, const char *cpus,
		       const char *host)
{
	struct part *p;

	if (parts_add(&c->parts[PART_NUMA], PART_NUMA, name, &p, NULL) < 0)
		abort();
	free(p->numa.cpus);
	free(p->numa.host);
	p->numa.cpus = strdup(cpus);
	p->numa.host = strdup(host);
}

static void affinity_is(struct machine_config *c, const char *want, const char *what)
{
	struct text t = TEXT_INIT;
	struct err e = { 0 };
	int rc = numa_cpus_complete(c, dir, &e);

	attr_show(attr_find(KIND_VM, "cpu.affinity"), c, &t);
	if (!ok(rc == 0 && !strcmp(text_str(&t), want), "%s", what))
		printf("# %s\n", text_str(&t));
	text_free(&t);
	config_free(c);
}

static struct machine_config config(const char *count)
{
	struct machine_config c;

	if (config_init(KIND_VM, &c, NULL) < 0)
		abort();
	set(&c, "cpu.count", count);
	return c;
}

int main(void)
{
	char command[64];
	struct machine_config c;

	if (!mkdtemp(dir))
		abort();
	node("node0", "0-3,8-11\n");
	node("node1", "4-7\n");
	node("node2", "\n");
	node("node3", "no list\n");

	cpus_are("0", "0-3,8-11", "a node's CPUs");
	cpus_are("0-1", "0-11", "two nodes'");
	cpus_are("2", "", "one of memory alone has none");
	cpus_are("1-2", "4-7", "but another beside it");
	cpus_are("3", "", "nor has one that says nonsense");
	cpus_are("9", "", "nor one that is not there");
	cpus_are("", "", "nor none");
	cpus_are("no", "", "nor what is no list");

	c = config("4");
	affinity_is(&c, "", "without nodes nothing is said");
	c = config("4");
	set(&c, "memory.numa", "1");
	affinity_is(&c, "0-3 4-7\n", "memory.numa: all vCPUs are on its CPUs");
	c = config("2");
	set(&c, "cpu.possible", "6");
	set(&c, "memory.numa", "1");
	affinity_is(&c, "0-5 4-7\n", "and those that may come");
	c = config("4");
	set(&c, "memory.numa", "1");
	set(&c, "cpu.affinity", "1 0");
	affinity_is(&c, "1 0\n0-0 4-7\n2-3 4-7\n", "but those that cpu.affinity names");
	c = config("4");
	set(&c, "memory.numa", "1");
	set(&c, "cpu.affinity", "0-3 9");
	affinity_is(&c, "0-3 9\n", "which may be all");
	c = config("4");
	set(&c, "memory.numa", "2");
	affinity_is(&c, "", "a node of memory alone binds none");
	c = config("4");
	guest_node(&c, "0", "0-1", "1");
	guest_node(&c, "1", "2-3", "0");
	affinity_is(&c, "0-1 4-7\n2-3 0-3,8-11\n", "numa/N/host: by the node of each");
	c = config("5");
	guest_node(&c, "0", "0", "1");
	guest_node(&c, "1", "2-3", "");
	set(&c, "memory.numa", "0");
	affinity_is(&c, "0-1 4-7\n2-3 0-3,8-11\n4-4 4-7\n",
		    "where it is empty memory.numa, and node 0 for those that none has");
	c = config("2");
	guest_node(&c, "1", "0-1", "1");
	affinity_is(&c, "", "nodes that cannot be are left to the engine");

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		abort();
	return tap_done();
}
