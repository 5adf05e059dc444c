/*
 * The inside of struct cgroup, for backends/cgroup*.c and their unit test only.
 *
 * cgroup.c finds hierarchies, makes, opens and removes groups; cgroup_files.c sets limits and
 * reads figures; cgroup_tasks.c freezes and kills; cgroup_devices.c restricts device nodes.
 * All of them reach a group through directory descriptors, so a renamed mount does no harm.
 */
#ifndef BACKENDS_CGROUP_PRIV_H
#define BACKENDS_CGROUP_PRIV_H

#include "backends/cgroup.h"

/*
 * What a machine needs of a host. Every hierarchy that is joined costs a start some 60
 * microseconds, so nothing else is joined: cpuset, blkio, hugetlb, net_* have no attribute yet.
 */
enum cgroup_need {
	NEED_CPU,     /* cpu.weight, cpu.max */
	NEED_CPUACCT, /* cpu.stat's usage; v2 has it without a controller */
	NEED_MEMORY,
	NEED_PIDS,
	NEED_FREEZER, /* pause, and kill without a race; part of v2's core */
	NEED_DEVICES, /* v1: a controller. v2: a BPF program on the group */
	NEED_COUNT,
};

struct cgroup_hierarchy {
	bool v2;
	unsigned int needs; /* bit N: it serves enum cgroup_need N */
	int parent;	    /* directory PARENT, below which groups are made */
};

struct cgroup_host {
	struct cgroup_hierarchy hier[NEED_COUNT];
	int n;
	int where[NEED_COUNT]; /* index into hier, or -1 */
	int device_program;    /* v2: the loaded BPF program, shared by all groups, or -1 */
};

struct cgroup {
	struct cgroup_host *host;
	int dir[NEED_COUNT];  /* one for each hier */
	bool fresh;	      /* made by us just now: what was not set yet has its default */
	unsigned int touched; /* bits of enum cgroup_limit, and CPU_MAX_TOUCHED */
};

#define CPU_MAX_TOUCHED (1u << 31)

/* As cgroup_host_new(), from given texts of /proc/self/mountinfo and /proc/self/cgroup. */
int cgroup_host_parse(const char *mountinfo, const char *self, const char *parent,
		      struct cgroup_host **ret, struct err *e);

/* Directory of g in the hierarchy that serves need, or -1; *ret_v2 says which version. */
int cgroup_dir(const struct cgroup *g, enum cgroup_need need, bool *ret_v2);

/* Loads the v2 device program if that is possible; true also when none is needed. */
bool cgroup_load_devices(struct cgroup_host *h);

/* Writes text to FILE in dir: 0 or a negative errno as the system gave it. */
int cgroup_write_file(int dir, const char *file, const char *text);
/* Appends FILE in dir to t: likewise. */
int cgroup_read_file(int dir, const char *file, struct text *t);

#endif
