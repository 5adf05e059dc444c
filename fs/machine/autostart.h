/*
 * struct autostart: starts machines with the setting `autostart`, once for each boot of the host.
 *
 * One after the other, by autostart.order and name: the next one when the last one runs or was
 * refused, and its autostart.delay is over. Machines that run already are left alone, and so is
 * everything when an earlier daemon of this boot has done it: restarting the daemon starts nothing
 * that somebody has stopped. `shutdown` is an end of all, after which it is done again.
 *
 * RUN/autostart records it: the boot's id, a UUID for each machine whose turn has come, `end`.
 * A daemon that is killed on the way is continued by the next one.
 */
#ifndef FS_MACHINE_AUTOSTART_H
#define FS_MACHINE_AUTOSTART_H

#include <stdbool.h>

#include "backends/base/err.h"

struct autostart;
struct daemon;
struct machine;

/* Reads what was done; sets d->same_boot. Before machines are found again. */
int autostart_new(struct daemon *d, struct autostart **ret, struct err *e);
/* When the tree is mounted. */
void autostart_begin(struct autostart *a);
/* The machine has come into another state. */
void autostart_notice(struct autostart *a, const struct machine *m);
/* The daemon shuts down: no more of it, and the next one begins anew. */
void autostart_stop(struct autostart *a);
void autostart_free(struct autostart *a);

#endif
