/*
 * The system call filter of a VM's monitor, by what a thread is there for.
 *
 * The table of monitor_filter.c has a row for each call that a monitor makes, with who makes it and
 * why. Whatever else is called ends the monitor, which says by which number. A thread inherits the
 * filter of who started it, and may only narrow it: so the loop's comes first.
 */
#ifndef BACKENDS_MONITOR_MONITOR_FILTER_H
#define BACKENDS_MONITOR_MONITOR_FILTER_H

#include "backends/base/err.h"

enum monitor_role {
	MONITOR_LOOP = 1 << 0, /* the loop, which makes the others; workers, who do its I/O */
	MONITOR_VCPU = 1 << 1, /* KVM_RUN and what a device's register does */
};

/* For the calling thread, for ever. It must have no_new_privs. */
int monitor_filter_install(enum monitor_role role, struct err *e);

/*
 * What a forbidden call leaves behind in the file `exit`, of which fd stays the caller's: a
 * sentence with the call's number. The monitor then exits with MONITOR_FORBIDDEN. Signal SIGSYS
 * must not be blocked in any thread, or the number is lost.
 */
int monitor_filter_report(int exit_fd, struct err *e);
#define MONITOR_FORBIDDEN 159

#endif
