/*
 * launch_machine(): from `start` to a monitor that has everything it needs.
 *
 * Opens, as the owner, what the machine names; makes its control group and sets the limits;
 * makes the socket; starts the monitor as a process or a thread; sends START. Nothing is left
 * of it when it fails.
 */
#ifndef FS_MACHINE_LAUNCH_H
#define FS_MACHINE_LAUNCH_H

#include "backends/base/err.h"
#include "fs/machine/machine.h"

struct event_base;
struct spare;

/*
 * Returns NODE_PARKED (r is finished when the machine runs, is held, or is refused) or -errno. r
 * may be NULL: the start is our own, see fs/machine/restart.h.
 */
int launch_machine(struct machine *m, enum engine_hold hold, struct request *r, struct err *e);

/*
 * Another monitor on the listener of one that has died before it listened, of a kind that keeps
 * root: what was sent is still in the socket. The listener stays the caller's.
 */
int launch_anew(const struct machine *m, int listener, pid_t *ret_pid, struct err *e);

/* What lets monitors of a kind wait for their machines; program: backends/host/program.h. */
int launch_spare_new(struct event_base *loop, enum machine_kind kind, int program,
		     struct spare **ret, struct err *e);

/* What main() runs in a monitor's process: the listening socket is descriptor 3. */
int launch_monitor(void);
/* Likewise in that of one which waits for a machine, see backends/monitor/spare_wait.h. */
int launch_spare(char **argv);

#endif
