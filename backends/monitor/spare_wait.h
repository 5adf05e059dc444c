/*
 * The process that waits to be a monitor, `--spare KIND ...`, and the one of which it may be a
 * copy, `--mould KIND ...`: see spare.h.
 */
#ifndef BACKENDS_MONITOR_SPARE_WAIT_H
#define BACKENDS_MONITOR_SPARE_WAIT_H

#include "backends/base/err.h"
#include "backends/monitor/monitor.h"

#define SPARE_FD 3 /* by which it hears */

/*
 * Does what the engine has to do first, waits, behind walls unless the engine keeps root, and
 * returns the listener in the process that is to be the monitor, whose arguments then are a
 * monitor's; place tells what was done. -EPIPE: nobody wants it any more. argv must be the
 * process's own.
 */
int spare_wait(char **argv, const struct monitor_hooks *hooks, enum machine_kind kind,
	       struct monitor_place *place, struct err *e);

#endif
