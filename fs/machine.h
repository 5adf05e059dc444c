/*
 * struct machine: one virtual machine or container, as the daemon knows it.
 *
 * The object in the tree, its configuration, and, while it runs, the link to its monitor. Its
 * settings change through machine_configure() alone: a transaction that checks the new
 * configuration, applies it to the running machine, makes it durable and only then swaps it in.
 */
#ifndef FS_MACHINE_H
#define FS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backends/cgroup.h"
#include "backends/config.h"
#include "backends/engine.h"
#include "fs/ephemeral.h"
#include "fs/node.h"
#include "fs/restart.h"

struct attr;
struct event_log;
struct link;
struct waiter;

enum machine_state {
	STATE_STOPPED,
	STATE_STARTING,
	STATE_RUNNING,
	STATE_PAUSED,
	STATE_STOPPING,
	STATE_FAILED,
	STATE_COUNT,
};

struct machine {
	struct object object; /* first: object_machine() */
	enum machine_kind kind;
	struct machine_config config;
	struct err broken; /* why its files could not be read; code 0: they could */
	char uuid[37];
	struct timespec created;
	struct text foreign; /* lines of meta about files that this version does not have */
	int dirfd;	     /* its state directory, while open: machine_dir() */
	TAILQ_ENTRY(machine) opened;
	enum machine_state state;
	uid_t runs_as;			 /* while it has a monitor */
	enum machine_state before_start; /* what a refused start goes back to */
	struct ending ending;		 /* of its last run */
	bool has_ending;
	struct link *link;     /* to its monitor; NULL when there is none */
	struct cgroup *cgroup; /* while it has a monitor; NULL where there are no cgroups */
	struct event_log *events;
	TAILQ_HEAD(, waiter) waiters;
	struct restart restart;
	struct ephemeral ephemeral;
	bool refused;	       /* cleaning up after a refused start */
	struct event *cleanup; /* tries again to remove the control group */
	unsigned cleanup_tries;
};

static inline struct machine *object_machine(struct object *o)
{
	return (struct machine *)o;
}

extern const char *const state_words[STATE_COUNT];
int state_parse(const char *word, size_t len); /* enum machine_state, or -1 */

/*
 * Its state directory, the machine's own: not to be closed, and good until the next call for
 * another machine. -errno when it cannot be opened.
 */
int machine_dir(struct machine *m);

/* With a monitor: not at rest. */
bool machine_active(const struct machine *m);
/* Owned by another user than the daemon's. */
bool machine_foreign(const struct machine *m);
/* Opens the host path that the setting a has in c, as the owner; -1 in *ret_fd where it is "". */
int machine_open_path(const struct machine *m, const struct machine_config *c, const struct attr *a,
		      int *ret_fd, struct err *e);

/* One that is not in the tree yet; and into it. `fd`: its directory, from now on its own. */
struct machine *machine_new(enum machine_kind kind);
int machine_insert(struct machine *m, struct daemon *d, uint64_t id, const char *name,
		   struct err *e);
void machine_keep_dir(struct machine *m, int fd);
/* The directory of all of its kind. */
int machine_kind_fd(const struct machine *m);
int machine_save_meta(struct machine *m, struct err *e);

/* class operations, see struct class */
int machine_mkdir(struct object *parent, const char *name, struct caller who, mode_t mode,
		  struct object **ret, struct err *e);
int machine_rmdir(struct object *o, struct caller who, struct err *e);
int machine_rename(struct object *o, const char *name, struct err *e);
int machine_chown(struct object *o, struct err *e);
void machine_free(struct object *o);

/*
 * Makes the machine whose directory is STATE/KIND/NAME; one that cannot be read is `failed`. One
 * whose id cannot be had, or is another's, needs a new one: without `anew` it is left out, and 1
 * is returned.
 */
int machine_load(struct daemon *d, enum machine_kind kind, const char *name, bool anew,
		 struct err *e);
/* Finds a monitor that an earlier daemon left, or how the machine ended without one. */
void machine_recover(struct machine *m);

/*
 * Whether machine_configure() would accept it; what only doing it can tell, a full disk, aside.
 * e has the first refusal, all (when not NULL) a line "ERRNO SETTING: SENTENCE" for each.
 */
int machine_check(struct machine *m, const struct machine_config *next, struct caller who,
		  struct text *all, struct err *e);
/* Takes over next (on success only). who: whose request it is. Refused, nothing has changed. */
int machine_configure(struct machine *m, struct machine_config *next, struct caller who,
		      struct text *all, struct err *e);

/* Records the new state: events, watchers, waiters. */
void machine_set_state(struct machine *m, enum machine_state state, const char *detail);
/* Likewise of a machine that was there before this daemon: of what `events` tells nothing new. */
void machine_found(struct machine *m, enum machine_state state);
/* The run is over: control group, then state and ending. */
void machine_ended(struct machine *m, const struct ending *ending);
/* The start was refused, nothing has run: back to what was before. */
void machine_refused(struct machine *m, const struct err *why);
/* At rest, with no other run to follow by itself: nothing when that is not so. */
void machine_over(struct machine *m);
/* Its last ending, or none, for the daemon that comes after this one. */
void machine_record_ending(struct machine *m);
void machine_event(struct machine *m, const char *what, const char *detail);

/* The group's name below the daemon's parent group. */
void machine_cgroup_name(const struct machine *m, char buf[64]);
/* Applies cpu.max, cpu.weight, memory.size, pids.max; only what differs from `old` if given. */
int machine_limit(struct machine *m, const struct machine_config *c,
		  const struct machine_config *old, struct err *e);

#endif
