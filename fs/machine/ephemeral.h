/*
 * Ephemeral machines: removed when their run is over and no other follows.
 *
 * The kernel keeps names until it removes them itself, and inotify watchers see only what it
 * does; so the helper thread (fs/poker.h) is asked for an rmdir, which is known by its thread and
 * granted for such a machine alone: a name may have become another's meanwhile. Waiters are
 * answered before; a second is left to look at `exit`, more to who holds a file of it open.
 * A mark in the state directory has the next daemon do what this one has not.
 */
#ifndef FS_MACHINE_EPHEMERAL_H
#define FS_MACHINE_EPHEMERAL_H

#include <stdbool.h>

struct machine;

struct ephemeral {
	struct event *timer; /* it is to be removed; NULL: it is not */
	unsigned tries;
};

/*
 * The run is about to be over. Unless another follows it is marked, before anybody is told: so
 * whoever knows of the end can rely on what follows, whatever becomes of this daemon.
 */
void ephemeral_mark(struct machine *m);
/* The run is over for good; nothing when it is not ephemeral. */
void ephemeral_over(struct machine *m);
/* Whether it is to be removed. */
bool ephemeral_goes(const struct machine *m);
/* The settings have changed: it may stay after all. */
void ephemeral_configured(struct machine *m);
/* Whether an earlier daemon was to remove it. */
bool ephemeral_marked(struct machine *m);
void ephemeral_free(struct machine *m);

#endif
