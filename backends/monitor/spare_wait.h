/*
 * The process that waits to be a monitor, `--spare KIND ...`, and the one of which it may be a
 * copy, `--mould KIND ...`: see spare.h.
 */
#ifndef BACKENDS_MONITOR_SPARE_WAIT_H
#define BACKENDS_MONITOR_SPARE_WAIT_H

#include "backends/base/err.h"
#include "backends/monitor/monitor.h"

#define SPARE_FD 3 /* by which it hears */

/* What the process knows of itself. */
struct spare_self {
	char **argv; /* the process's own: what ps reads is written there */
	const struct monitor_hooks *hooks;
	enum machine_kind kind;
	/* The rest is spare_wait()'s; zeroes to begin with. */
	char *title_end;
	char name[16];
	unsigned machines; /* so many it has waited for */
};

/*
 * Does what the engine has to do first, waits, behind walls unless the engine keeps root, and
 * returns the listener in the process that is to be the monitor, whose arguments then are a
 * monitor's; place tells what was done. -EPIPE: nobody wants it any more. Once monitor_main() has
 * returned 1 it is called again, in that process: for another machine, with nothing of the last.
 */
int spare_wait(struct spare_self *self, struct monitor_place *place, struct err *e);

#endif
