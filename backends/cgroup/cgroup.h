/*
 * struct cgroup: the control group of one machine, on cgroup v2, v1, or a hybrid of both.
 *
 * The interface speaks cgroup v2's words and formats; v1 values are translated (weight to
 * shares, cpu.max to cfs quota and period, memory.current from usage_in_bytes ...). The daemon
 * makes, limits, reads and removes groups; processes enter through descriptors that
 * cgroup_open_procs() gives, so that whoever enters needs no authority of its own.
 *
 * Groups live at PARENT/NAME of each hierarchy, where PARENT is given to cgroup_host_new()
 * ("machinefs"), below the cgroup the daemon itself runs in where that is a delegated one.
 * A controller that is used but absent makes its setter refuse with ENXIO and a sentence, but
 * only when the value is not the default.
 */
#ifndef BACKENDS_CGROUP_CGROUP_H
#define BACKENDS_CGROUP_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/config.h"

struct cgroup_host; /* which hierarchies this host has; one for the daemon */
struct cgroup;

/* Files of cgroup v2 that can be read on either version. */
enum cgroup_file {
	CGROUP_MEMORY_CURRENT,
	CGROUP_MEMORY_STAT,
	CGROUP_MEMORY_PRESSURE,
	CGROUP_CPU_STAT,
	CGROUP_CPU_PRESSURE,
	CGROUP_PIDS_CURRENT,
	CGROUP_PROCS,
};

/* Finds the hierarchies in /proc/self/mountinfo; ENXIO where there is no usable cgroup. */
int cgroup_host_new(const char *parent, struct cgroup_host **ret, struct err *e);
void cgroup_host_free(struct cgroup_host *h);

/*
 * Makes the group NAME. One that an earlier run left is removed first, what it has of processes
 * killed, which may take 100 ms; EBUSY when they do not die.
 */
int cgroup_new(struct cgroup_host *h, const char *name, struct cgroup **ret, struct err *e);
/* Opens NAME if it exists; ENOENT if not. */
int cgroup_open(struct cgroup_host *h, const char *name, struct cgroup **ret, struct err *e);
/* Frees the handle; the group stays. */
void cgroup_free(struct cgroup *g);

/*
 * Makes the group's limits what c says (cgroup_limits.c has a row for each): all of them, or if
 * `old` is given what differs. On failure some may be set: go back by the same call. Sentences
 * begin with the setting's name.
 */
int cgroup_limit(struct cgroup *g, const struct machine_config *c, const struct machine_config *old,
		 struct err *e);
/* Sets all once more, whatever the group has: each that can be. */
void cgroup_limit_again(struct cgroup *g, const struct machine_config *c);
/* Whether c has a limit that is not the default. */
bool cgroup_limits_asked(const struct machine_config *c);
/* Appends OpenVZ's beancounters, as far as the kernel has such figures: a table with a head. */
void cgroup_accounting(struct cgroup *g, struct text *out);

/* Appends the file's text as cgroup v2 prints it. ENXIO where this host has no such figure. */
int cgroup_read(struct cgroup *g, enum cgroup_file file, struct text *out, struct err *e);

/*
 * Lets the group's processes open only the device nodes that the common runtimes allow: null,
 * zero, full, random, urandom, tty, console, ptmx, pts. For containers, before the first process
 * joins, once for each group. Without it CAP_MKNOD would be the host's disks: ENXIO where neither
 * the devices controller nor BPF can do it. As an ordinary user there is nothing to do: 0.
 */
int cgroup_restrict_devices(struct cgroup *g, struct err *e);

/* A device that one machine may use beside these. */
struct device_access {
	char type; /* 'c' or 'b' */
	unsigned int major, minor;
	uint64_t access; /* enum device_permission */
};

/*
 * The group's directory where devices are restricted, for who is to change that: of
 * cgroup_allow_devices(), or -1 where nothing is to change (no such controller, an ordinary user).
 */
int cgroup_open_devices(const struct cgroup *g);
/*
 * Restricted was it already, and `now` could be used beside the common ones: from now on it is
 * `then`. What is open stays open. On failure all of v1's may be half done: go back by a call.
 */
int cgroup_allow_devices(int dir, const struct device_access *now, size_t nnow,
			 const struct device_access *then, size_t nthen, struct err *e);

/*
 * Descriptors through which a process joins the group by writing "0" to each, read-write,
 * O_CLOEXEC, one a hierarchy in use; returns the count. On v1 they are `tasks` files, which
 * move only the calling thread (and are much faster): join before making threads. Reading one
 * from its start gives the group's pids (v1: thread ids).
 */
int cgroup_open_procs(struct cgroup *g, int *fds, int max, struct err *e);

/*
 * Those of them that came late, when a limit was first set: whoever has the others already joins
 * these too.
 */
int cgroup_open_late(struct cgroup *g, int *fds, int max, struct err *e);

/*
 * The group's directory in a v2 hierarchy, for CLONE_INTO_CGROUP; -1 where there is none. To be
 * born into a group costs nothing, to move there waits for an RCU grace period, 15 ms if this
 * happens seldom: v2 has no `tasks` file to move one thread by.
 */
int cgroup_open_v2(const struct cgroup *g);
bool cgroup_fd_is_v2(int fd);

/* *ret_freezer is written to freeze, *ret_frozen (or -1) tells completion; see freezer_set. */
int cgroup_open_freezer(struct cgroup *g, int *ret_freezer, int *ret_frozen, struct err *e);
/* Freezes or thaws; returns when every task is frozen (or EIO after one second). */
int freezer_set(int freezer, int frozen, bool freeze, struct err *e);

/*
 * SIGKILLs all that a descriptor of cgroup_open_procs() lists, but for the caller's own process,
 * and thaws it: for whoever has no more than the descriptors of the group. freezer may be -1.
 * Returns when nothing is listed, or EIO after one second.
 */
int cgroup_kill_listed(int procs, int freezer, int frozen, struct err *e);

/* SIGKILLs every process of the group and of groups below it; does not wait. */
int cgroup_kill(struct cgroup *g, struct err *e);
/* Removes the group and those below it; EBUSY while processes are left. Gone already: 0. */
int cgroup_remove(struct cgroup_host *h, const char *name, struct err *e);

#endif
