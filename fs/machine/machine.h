/*
 * struct machine: one virtual machine or container, as the daemon knows it.
 *
 * The object in the tree, its configuration, and, while it runs, the link to its monitor. Its
 * settings change through machine_configure() alone: a transaction that checks the new
 * configuration, applies it to the running machine, makes it durable and only then swaps it in.
 */
#ifndef FS_MACHINE_MACHINE_H
#define FS_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backends/cgroup/cgroup.h"
#include "backends/config.h"
#include "backends/engine.h"
#include "fs/machine/ephemeral.h"
#include "fs/machine/restart.h"
#include "fs/node.h"
#include "fs/store/meta.h"

struct attr;
struct config_change;
struct link;
struct putoff;

enum machine_state {
	STATE_STOPPED,
	STATE_STARTING,
	STATE_RUNNING,
	STATE_PAUSED,
	STATE_STOPPING,
	STATE_FAILED,
	STATE_PREPARING, /* held: HOLD_OUTSIDE of enum engine_hold */
	STATE_PREPARED,	 /* HOLD_INSIDE */
	STATE_COUNT,
};

/* What is told, to whom, when a machine has gone back to what it was. */
struct start_answer {
	struct request *request; /* NULL: nobody waits */
	struct err why;
};

struct machine {
	struct object object; /* first: object_machine() */
	enum machine_kind kind;
	struct machine_config config;
	struct err broken; /* why its files could not be read; code 0: they could */
	struct identity identity;
	int dirfd; /* its state directory, while open: machine_dir() */
	TAILQ_ENTRY(machine) opened;
	enum machine_state state;
	uid_t runs_as;			 /* while it has a monitor */
	enum machine_state before_start; /* what a refused start goes back to */
	struct ending ending;		 /* of its last run */
	bool has_ending;
	struct config_change *change; /* under way to the engine, or NULL: see change.h */
	TAILQ_HEAD(, putoff) putoffs;
	struct link *link;     /* to its monitor; NULL when there is none */
	struct cgroup *cgroup; /* while it has a monitor; NULL where there are no cgroups */
	struct restart restart;
	struct ephemeral ephemeral;
	bool refused; /* cleaning up after a refused start, of which this is answered: */
	struct start_answer refusal;
	struct cgroup *leftover; /* of a run that no daemon has seen end; NULL most often */
	struct event *cleanup;	 /* tries again to remove the control group */
	unsigned cleanup_tries;
};

static inline struct machine *object_machine(struct object *o)
{
	return (struct machine *)o;
}

extern const char *const state_words[STATE_COUNT];
extern const struct states machine_states;

/*
 * Its state directory, the machine's own: not to be closed, and good until the next call for
 * another machine. -errno when it cannot be opened.
 */
int machine_dir(struct machine *m);

/* With a monitor: not at rest. */
bool machine_active(const struct machine *m);
/* It is prepared as far as it was to be, and its program does not run yet. */
bool machine_held(const struct machine *m);
/* Owned by another user than the daemon's. */
bool machine_foreign(const struct machine *m);
/*
 * Opens the host path that the setting a has in base, as the owner; -1 in *ret_fd where it is "".
 * prefix: what comes before the setting's name in sentences: "", or "disk/root/".
 */
int machine_open_path(const struct machine *m, const void *base, const struct attr *a,
		      const char *prefix, int *ret_fd, struct err *e);

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
/* A part that a client makes or removes by himself, so that his kernel knows of it. */
struct part_ref {
	enum part_kind kind;
	const char *name;
	struct caller who; /* of mkdir */
	mode_t mode;
};

/* Whose change it is, and what he is told. */
struct machine_edit {
	struct caller who;
	const struct part_ref *own;  /* which part is his own doing, or NULL */
	const struct text *document; /* the config.yaml that asks for it, or NULL */
	struct text *all;	     /* gets a line for each refusal, as machine_check(); or NULL */
};

/*
 * Takes over next, but on failure; refused, nothing has changed. NODE_PARKED: the engine has to act
 * on it, and r (NULL: nobody waits) is answered when it has (change.h). To be called only when no
 * other change is under way (m->change).
 */
int machine_configure(struct machine *m, struct machine_config *next, struct request *r,
		      const struct machine_edit *edit, struct err *e);
/* Its last steps: limits, disk, and it is so. Takes over next on success only. */
int machine_adopt(struct machine *m, struct machine_config *next, const struct part_ref *own,
		  struct err *e);

/* Records the new state: events, watchers, waiters. */
void machine_set_state(struct machine *m, enum machine_state state, const char *detail);
/* Likewise of a machine that was there before this daemon: of what `events` tells nothing new. */
void machine_found(struct machine *m, enum machine_state state);
/* The run is over: control group, then state and ending. */
void machine_ended(struct machine *m, const struct ending *ending);
/*
 * The start was refused, nothing has run: back to what was before, and when that is so its request,
 * which may be NULL, is answered.
 */
void machine_refused(struct machine *m, struct request *r, const struct err *why);
/*
 * Of a machine that is at rest: removes what a daemon that was killed on the way has left, as soon
 * as its last process is gone; or no more, since there is going to be another run.
 */
void machine_sweep(struct machine *m);
void machine_sweep_end(struct machine *m);
/* At rest, with no other run to follow by itself: nothing when that is not so. */
void machine_over(struct machine *m);
/* Its last ending, or none, for the daemon that comes after this one. */
void machine_record_ending(struct machine *m);

/* The group's name below the daemon's parent group. */
void machine_cgroup_name(const struct machine *m, char buf[64]);
/* Applies the limits of its control group; only what differs from `old` if given. */
int machine_limit(struct machine *m, const struct machine_config *c,
		  const struct machine_config *old, struct err *e);

#endif
