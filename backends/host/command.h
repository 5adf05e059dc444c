/*
 * command_run(): a program of the system's, for what no library does; waited for.
 *
 * It gets no environment, /dev/null as its input, signals as at the birth of a process. Only for
 * who may wait: a monitor before its machine runs, never the daemon's loop.
 */
#ifndef BACKENDS_HOST_COMMAND_H
#define BACKENDS_HOST_COMMAND_H

#include "backends/base/err.h"
#include "backends/base/text.h"

/*
 * 0: it has succeeded. 1: it has failed, and said has the first line of what it printed. -errno
 * when it could not be run, -ENOENT where it is not there; e says so without a prefix.
 */
int command_run(char *const argv[], struct text *said, struct err *e);

#endif
