/*
 * The inside of struct cgroup, for backends/cgroup/ and their unit test only.
 *
 * cgroup.c finds hierarchies, makes, opens and removes groups; cgroup_limits.c sets limits;
 * cgroup_files.c and cgroup_accounting.c read figures; cgroup_tasks.c freezes and kills;
 * cgroup_devices.c restricts device nodes. All of them reach a group through directory descriptors,
 * so a renamed mount does no harm.
 */
#ifndef BACKENDS_CGROUP_CGROUP_PRIV_H
#define BACKENDS_CGROUP_CGROUP_PRIV_H

#include "backends/cgroup/cgroup.h"

/*
 * What a machine needs of a host. On v1 every hierarchy that is joined costs a start some 60
 * microseconds, so those that are seldom used (from NEED_CPUSET on) are joined when a limit of
 * theirs is first set: `late`.
 */
enum cgroup_need {
	NEED_CPU,     /* cpu.weight, cpu.max */
	NEED_CPUACCT, /* cpu.stat's usage; v2 has it without a controller */
	NEED_MEMORY,
	NEED_PIDS,
	NEED_FREEZER, /* pause, and kill without a race; part of v2's core */
	NEED_DEVICES, /* v1: a controller. v2: a BPF program on the group */
	NEED_CPUSET,
	NEED_IO, /* v1: blkio */
	NEED_HUGETLB,
	NEED_COUNT,
};

struct cgroup_hierarchy {
	bool v2;
	unsigned int needs; /* bit N: it serves enum cgroup_need N */
	bool late;	    /* a group here is made when it is needed */
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
	char name[64];
	int dir[NEED_COUNT]; /* one for each hier; -1: late and not needed yet */
	bool fresh;	     /* made by us just now: what was not set yet has its default */
};

/* As cgroup_host_new(), from given texts of /proc/self/mountinfo and /proc/self/cgroup. */
int cgroup_host_parse(const char *mountinfo, const char *self, const char *parent,
		      struct cgroup_host **ret, struct err *e);

/* Directory of g in the hierarchy that serves need, or -1; *ret_v2 says which version. */
int cgroup_dir(const struct cgroup *g, enum cgroup_need need, bool *ret_v2);

/* Loads the v2 device program if that is possible; true also when none is needed. */
bool cgroup_load_devices(struct cgroup_host *h);

/* The number after "KEY " in a flat keyed text, or 0. */
uint64_t cgroup_keyed_number(const char *text, const char *key);

/* Writes text to FILE in dir: 0 or a negative errno as the system gave it. */
int cgroup_write_file(int dir, const char *file, const char *text);
/* Appends FILE in dir to t: likewise. */
int cgroup_read_file(int dir, const char *file, struct text *t);

#endif
