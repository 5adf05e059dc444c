/*
 * struct upgrade: `echo upgrade > ctl`, a daemon that executes its successor in its place.
 *
 * The program's file is asked first whether it can take over; then no more requests are read, the
 * monitors' answers that are still out are awaited, and what clients have open is packed
 * (fs/handover/luggage.h). The successor answers the write: who sees it return has the new daemon.
 * Until the exec itself everything can be refused, and then nothing has happened.
 */
#ifndef FS_HANDOVER_UPGRADE_H
#define FS_HANDOVER_UPGRADE_H

#include "backends/base/err.h"
#include "fs/daemon.h"
#include "fs/options.h"

struct fuse_front;
struct session;
struct upgrade;

struct upgrade *upgrade_new(struct daemon *d, struct fuse_front *f, struct session *s,
			    const struct daemon_options *o);
void upgrade_free(struct upgrade *u);

/* Parks r, or refuses. */
int upgrade_start(struct upgrade *u, struct request *r, struct err *e);

/* What is asked of a program's file: prints what it understands on descriptor 3. Main's result. */
int upgrade_answer(void);

#endif
