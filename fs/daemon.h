/* struct daemon: everything the daemon owns. One thread, one loop. */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "backends/base/err.h"
#include "backends/cgroup/cgroup.h"
#include "backends/config.h"
#include "fs/node.h"
#include "fs/options.h"

struct autostart;
struct importer;
struct event_log;
struct link;
struct machine;
struct opener;
struct spare;
struct waiter;
TAILQ_HEAD(machine_list, machine);
struct poker;
struct upgrade;
struct wire_message;

enum daemon_class {
	CLASS_ROOT,
	CLASS_HOST,
	CLASS_VMS,
	CLASS_CONTAINERS,
	CLASS_IMAGES,
	CLASS_NETS,
	CLASS_VM,
	CLASS_CONTAINER,
	CLASS_IMAGE,
	CLASS_NET,
	CLASS_EXECS,
	CLASS_EXEC,
	CLASS_VCPU,
	CLASS_COUNT
};

struct daemon_stats {
	uint64_t requests, starts, parked;
};

struct daemon {
	struct event_base *loop;
	const struct front *front;
	int state_fd;	/* --state-dir; flock'd */
	int run_fd;	/* --run-dir: monitors' sockets */
	int kind_fd[2]; /* state_dir/vm, state_dir/container */
	int image_fd;	/* state_dir/image */
	int net_fd;	/* state_dir/net */
	struct class classes[CLASS_COUNT];
	struct class part_classes[PART_KINDS];
	struct object *root, *host, *machines[2], *images, *nets;
	void *by_id; /* tsearch tree of all objects */
	uint64_t next_id, id_limit;
	struct cgroup_host *cgroups; /* NULL where there are none; then why says why */
	struct err cgroups_why;
	struct event_log *events;
	struct autostart *autostart;
	struct poker *poker;	 /* NULL until mounted */
	struct upgrade *upgrade; /* likewise */
	struct opener *opener;
	struct spare *spares[2];	   /* monitors in waiting, by kind */
	struct machine_config defaults[2]; /* by kind: what a new machine has */
	int program;			   /* backends/host/program.h; -1: by its path */
	uint64_t own_dev;		   /* of the mount; 0 until mounted */
	int seccomp_fd;			   /* the default profile, compiled at first use; -1 */
	uint64_t seccomp_capabilities;
	bool seccomp_quotas;
	struct timespec clock; /* the newest time given out */
	struct daemon_stats stats;
	struct machine_list opened; /* machines whose directory is open, the newest first */
	unsigned nopened;
	LIST_HEAD(, waiter) waiters; /* of all objects */
	LIST_HEAD(, importer) importers;
	STAILQ_HEAD(, removal)
	removals;		   /* directories that are still to go, see fs/image/importer.c */
	unsigned running;	   /* machines with a monitor */
	LIST_HEAD(, link) retired; /* monitors that are still to be reaped */
	struct wire_message *message; /* the one being received, see fs/machine/link.c */
	bool shutting_down;
	bool same_boot; /* another daemon was here since the host's boot, or the last shutdown */
};

int daemon_new(const struct daemon_options *options, struct daemon **ret, struct err *e);
/* Leaves process-isolated machines running. */
void daemon_free(struct daemon *d);
/* A number that no object of this state directory has had; 0 and e when it cannot be recorded. */
uint64_t daemon_new_id(struct daemon *d, struct err *e);
/* Now, but later than any time given before: mtime must move with every change. */
struct timespec daemon_now(struct daemon *d);
/* Ends the loop when no machine runs any more. */
void daemon_shutdown(struct daemon *d);
void daemon_machine_ended(struct daemon *d);
/*
 * Stops the machines that run on threads of this process, which ends. Runs the loop meanwhile: the
 * tree answers still.
 */
void daemon_end_threads(struct daemon *d);
/* Answers all that wait and drops what was not committed: the front is about to go. */
void daemon_release(struct daemon *d);

#endif
