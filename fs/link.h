/*
 * struct link: the daemon's end of the connection to one monitor.
 *
 * What the monitor says is hostile input: messages are checked by wire_recv(), and then for
 * sense here. Requests that wait for a reply are kept here, so that they are all answered when
 * the monitor dies.
 */
#ifndef FS_LINK_H
#define FS_LINK_H

#include <stdint.h>
#include <sys/types.h>

#include "backends/err.h"
#include "backends/wire.h"
#include "fs/machine.h"

struct link;

/*
 * Connects to the monitor that listens at RUN/UUID; takes no ownership of anything else.
 * ENOENT when there is no such socket, ECONNREFUSED (as -ECONNREFUSED) when nobody listens.
 */
int link_connect(struct machine *m, struct link **ret);
/* Makes RUN/UUID; *ret_listener is the monitor's. */
int link_listen(struct machine *m, int *ret_listener, struct err *e);
void link_unlink(struct machine *m);
/* Whether there is that socket: of a run whose end no daemon has acted on. */
bool link_exists(const struct machine *m);

/* Sends START; r is finished when the monitor has answered. */
int link_start(struct link *l, struct request *r, const struct wire_start *start,
	       const struct text *config, const int *fds, struct err *e);
/* r may be NULL: nobody wants the answer. */
int link_verb(struct link *l, struct request *r, enum wire_verb_code verb, int64_t arg,
	      struct err *e);
int link_input(struct link *l, const void *data, size_t len, struct err *e);

/* Whether a client waits for an answer of the monitor's. */
bool link_busy(const struct link *l);

/* The monitor's process, when known (0: not yet), and the machine's (a container's init). */
pid_t link_pid(const struct link *l);
pid_t link_machine_pid(const struct link *l);
const char *link_tty(const struct link *l);
/* The value of a counter, 0 while unknown. */
uint64_t link_counter(const struct link *l, enum engine_counter counter);
/* Tells which process it is: a child of ours, to be reaped. */
void link_own(struct link *l, pid_t pid);

/* Hangs up on a monitor that has no machine, which it takes as its end. NULL: nothing. */
void link_abandon(struct link *l);
/* Answers what is open with ESTALE; the monitor goes on. */
/* Answers what the monitor has not: the daemon ends. */
void link_release(struct link *l);
void link_free(struct link *l);
/* Monitors that were still to be reaped; init will do it. */
void links_free_retired(struct daemon *d);

#endif
