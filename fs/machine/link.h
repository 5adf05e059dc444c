/*
 * struct link: the daemon's end of the connection to one monitor.
 *
 * What the monitor says is hostile input: messages are checked by wire_recv(), and then for
 * sense here. Requests that wait for a reply are kept here, so that they are all answered when
 * the monitor dies.
 */
#ifndef FS_MACHINE_LINK_H
#define FS_MACHINE_LINK_H

#include <stdint.h>
#include <sys/types.h>

#include "backends/base/err.h"
#include "backends/monitor/wire.h"
#include "fs/machine/machine.h"

struct config_change;
struct fd_list;
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
int link_start(struct link *l, struct request *r, struct wire_start *start,
	       const struct text *config, const struct fd_list *fds, struct err *e);
/* Sends a START that is not all yet, ... */
int link_announce(struct link *l, struct wire_start *start, const struct text *config,
		  const struct fd_list *fds, struct err *e);
/* ... and what was missing; r as above. */
int link_start_groups(struct link *l, struct request *r, const struct fd_list *groups,
		      struct err *e);
/* Sends CONFIGURE; change_answered(c) when the monitor has answered, or never will. */
int link_configure(struct link *l, struct config_change *c, struct wire_configure *w,
		   const struct text *config, const struct fd_list *fds, struct err *e);
/* r may be NULL: nobody wants the answer. */
/* Likewise VERB_DUMP, with its file, which stays the caller's. */
int link_dump(struct link *l, struct request *r, int fd, struct err *e);
int link_verb(struct link *l, struct request *r, enum wire_verb_code verb, int64_t arg,
	      struct err *e);

/* What goes on with a request when the monitor has answered. */
typedef void link_answered(struct request *r, int rc, const struct err *e);

/* Sessions, see struct exec_ops; r is given to `then`. */
int link_exec_start(struct link *l, struct request *r, link_answered *then,
		    const struct exec_spec *s, struct err *e);
/* len 0: there is no more. */
int link_exec_input(struct link *l, struct request *r, link_answered *then, uint64_t id,
		    const void *data, size_t len, struct err *e);
int link_exec_signal(struct link *l, struct request *r, link_answered *then, uint64_t id, int signo,
		     struct err *e);
int link_input(struct link *l, const void *data, size_t len, struct err *e);

/* Whether an answer of the monitor's is waited for. */
bool link_busy(const struct link *l);

/* The monitor's process, when known (0: not yet), and the machine's (a container's init). */
pid_t link_pid(const struct link *l);
pid_t link_machine_pid(const struct link *l);
const char *link_tty(const struct link *l);
/* A directory of the machine's own file system (engine.layer()), the link's; -1: it has none. */
int link_layer(const struct link *l);
/* A part's counters; false: it has none, or has not been there in this run. */
bool link_part_counters(const struct link *l, enum part_kind kind, const char *part,
			uint64_t ret[ENGINE_PART_COUNTERS]);
/* One counter of all parts of a kind, also of those that have gone. */
uint64_t link_part_total(const struct link *l, enum part_kind kind, unsigned counter);
/* The value of a counter, 0 while unknown. */
uint64_t link_counter(const struct link *l, enum engine_counter counter);
/* Tells which process it is: a child of ours, to be reaped. */
void link_own(struct link *l, pid_t pid);
/*
 * The page of counters, by its descriptor, which stays the caller's: of the daemon that has made
 * it. A later one is handed it by the monitor, and what that hands over may be another thing: then
 * nothing is taken.
 */
void link_take_page(struct link *l, int fd);
/*
 * Takes over the socket of a monitor that has waited for its machine, and may wait again; and its
 * listener, for another one if it dies before it says HELLO.
 */
void link_take_spare(struct link *l, int spare, int listener);

/* Hangs up on a monitor that has no machine, which it takes as its end. NULL: nothing. */
void link_abandon(struct link *l);
/* Answers what is open with ESTALE; the monitor goes on. */
/* Answers what the monitor has not: the daemon ends. */
void link_release(struct link *l);
void link_free(struct link *l);
/* Monitors that were still to be reaped; init will do it. */
void links_free_retired(struct daemon *d);

#endif
